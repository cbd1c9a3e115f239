//! What sources, sinks and people do in a history, and what becomes certain of it.

use super::super::{
    Actor, Admission, AdmitError, Attributes, Clock, DeliveryId, Engine, Event, Item, Message, Outcome,
    ParkedEvent, Receipt,
};
use super::oracle::{Asked, Cell, Fate, Known, Model, Refused, Waiting};
use super::swarm::SINKS;
use super::world::{History, number};
use crate::dedup::Prints;
use crate::reject::{Code, Reject};

const ME: Actor<'static> = Actor { who: "simulation", why: "because" };

/// An event that is about to be admitted.
struct Draft {
    id: u128,
    print: u128,
    key: u8,
    stream: u16,
    sinks: Vec<u16>,
    body: Vec<u8>,
}

impl History {
    /// One thing that somebody does.
    pub(super) fn act(&mut self, engine: &Engine, kind: usize) {
        self.look(engine);
        if self.is_over() {
            return;
        }
        let sink = self.dice.below(SINKS as u64) as usize;
        match kind {
            0 => self.admit(engine),
            1 => self.repeat(engine),
            2 => self.poll(engine, sink),
            3 => self.settle(engine, sink),
            4 => self.person(engine, sink),
            _ => {
                let ms = self.dice.below(1_500);
                self.clock.advance(ms);
            }
        }
        if !self.machine.is_dead() {
            self.effects(engine);
            let found = Self::with(engine, |state| Model::bounds(state));
            self.check(found);
        }
    }

    fn draft(&mut self) -> Draft {
        self.serial += 1;
        let length = self.dice.below(self.swarm.body_bytes) as usize;
        let mut body = self.serial.to_le_bytes().to_vec();
        body.resize(8 + length, self.dice.draw() as u8);
        let bits = self.dice.below(1 << SINKS);
        let sinks = (0..SINKS).filter(|sink| bits >> sink & 1 == 1).map(number).collect();
        let (key, stream) = (self.dice.below(self.swarm.keys) as u8, self.dice.below(2) as u16);
        Draft { id: u128::from(self.serial), print: u128::from(self.serial), key, stream, sinks, body }
    }

    /// Some new events, perhaps with something that is refused, perhaps with a position.
    fn admit(&mut self, engine: &Engine) {
        let drafts: Vec<Draft> = (0..self.dice.below(4)).map(|_| self.draft()).collect();
        let refused = drafts.is_empty() || self.dice.once_in(6);
        let positioned = !self.stuck && self.dice.once_in(2);
        if let Some((receipt, raw, position)) = self.submit(engine, &drafts, refused, positioned) {
            let counts = (receipt.counts.accepted, receipt.counts.rejected);
            if counts != (drafts.len() as u64, u64::from(refused)) {
                self.check(Err(format!("{} new events came to {counts:?}", drafts.len())));
            }
            let ordinal = Self::with(engine, |state| state.ordinal);
            self.admitted(&drafts, (receipt, ordinal), refused.then_some(raw), position);
        }
    }

    /// An event that was admitted comes again, or another one under its id.
    fn repeat(&mut self, engine: &Engine) {
        if self.model.events.is_empty() {
            return;
        }
        let index = self.dice.below(self.model.events.len() as u64) as usize;
        let known = &self.model.events[index];
        let (id, body, stream) = (known.id, known.body.clone(), known.at.0);
        if known.ordinal + self.swarm.window as u64 <= self.model.ordinal {
            // Beyond the window it may be new again, and nothing more could be said of it.
            return;
        }
        let other = self.dice.once_in(4);
        let print = if other { u128::MAX - id } else { id };
        let draft = Draft { id, print, stream, body, ..self.draft() };
        let Some((receipt, raw, position)) = self.submit(engine, &[draft], false, false) else { return };
        self.counts.repeated += 1;
        let counts = receipt.counts;
        if counts.accepted == 1 {
            self.check(Err(format!("event {id} was admitted twice")));
        }
        if (counts.rejected == 1) != other || counts.duplicates + counts.rejected != 1 {
            self.check(Err(format!("event {id} again, another one: {other}, came to {counts:?}")));
        }
        let ids = if other { Vec::new() } else { vec![id] };
        let waiting = Waiting { receipt, ids, raw: other.then(|| raw.clone()), position };
        if other {
            self.model.refused.push(Refused { raw, acked: false, taken: (false, false) });
        }
        self.model.waiting.push(waiting);
    }

    /// Gives messages to the engine. Nothing if they were not taken.
    fn submit(
        &mut self,
        engine: &Engine,
        drafts: &[Draft],
        refused: bool,
        positioned: bool,
    ) -> Option<(Receipt, Vec<u8>, Option<u64>)> {
        self.serial += 1;
        let raw = format!("raw {}", self.serial).into_bytes();
        let keys: Vec<String> = drafts.iter().map(|draft| format!("key{}", draft.key)).collect();
        let item = |(draft, key): (&Draft, &'_ String)| {
            let Draft { id, print, stream, .. } = *draft;
            (id, Prints { raw: print, body: print }, stream, key.clone())
        };
        let parts: Vec<_> = drafts.iter().zip(&keys).map(item).collect();
        let kind = self.kind.clone();
        let mut items: Vec<Item<'_>> = parts
            .iter()
            .zip(drafts)
            .map(|((id, prints, stream, key), draft)| {
                let (sinks, record) = (&draft.sinks[..], &draft.body[..]);
                let (id, prints, stream, key) = (*id, *prints, *stream, key.as_bytes());
                Item::Event(Event { item: 0, stream, key, id, prints, kind: &kind, sinks, record })
            })
            .collect();
        if refused {
            items.push(Item::Reject(Reject::new(Code::Missing, "", "")));
        }
        let position = positioned.then_some(self.serial);
        let bytes = position.map(u64::to_le_bytes);
        let meta = Attributes::Json(b"{}");
        let messages = [Message { raw: &raw, meta, independent: true, items: &items }];
        let position_bytes = bytes.as_ref().map(|bytes| &bytes[..]);
        let result = engine.admit(&Admission {
            source: 0,
            sync: false,
            messages: &messages,
            position: position_bytes,
        });
        match result {
            Ok(receipt) => {
                let failed = Self::with(engine, |state| state.check_durable(&receipt).is_err());
                if failed && receipt.counts.accepted > 0 {
                    self.check(Err("a log that has failed takes something".into()));
                }
                for offsets in &receipt.offsets {
                    let found = Self::with(engine, |state| Model::had_room(state, offsets.stream));
                    self.check(found);
                }
                self.tell(|| format!("admitted {raw:?} {position:?}: {:?}", receipt.offsets));
                self.counts.mix(receipt.counts.accepted << 8 | receipt.counts.duplicates);
                Some((receipt, raw, position))
            }
            Err(error) => {
                self.tell(|| format!("not admitted: {error}"));
                let fails = matches!(error, AdmitError::LogFailed { .. });
                if fails && (!self.machine.may_fail() || error.to_string().contains("promised")) {
                    self.check(Err(format!("refused without a fault: {error}")));
                }
                self.counts.mix(99);
                None
            }
        }
    }

    /// Notes what was admitted, and where it lies.
    fn admitted(
        &mut self,
        drafts: &[Draft],
        (receipt, ordinal): (Receipt, u64),
        raw: Option<Vec<u8>>,
        position: Option<u64>,
    ) {
        let mut ordinals = ordinal - drafts.len() as u64..;
        self.model.ordinal = self.model.ordinal.max(ordinal);
        let cell = || Cell {
            at: Fate::Open,
            maybe: Vec::new(),
            flight: None,
            settling: false,
            sent: false,
            done: false,
        };
        for draft in drafts {
            let seq = &mut self.model.next[usize::from(draft.stream)];
            let at = (draft.stream, *seq);
            *seq += 1;
            let wants = |sink: usize| draft.sinks.contains(&number(sink)).then(cell);
            let Draft { id, key, body, .. } = draft;
            let cells = [wants(0), wants(1), wants(2)];
            let (id, key, body, ordinal) = (*id, *key, body.clone(), ordinals.next().unwrap_or(0));
            self.model.events.push(Known { id, key, at, ordinal, body, acked: false, cells });
            self.counts.admitted += 1;
        }
        let appended: u64 = receipt.offsets.iter().map(|offsets| offsets.last + 1 - offsets.first).sum();
        if appended != drafts.len() as u64 {
            self.check(Err(format!("{appended} of {} admitted events are in a log", drafts.len())));
        }
        for offsets in &receipt.offsets {
            if offsets.last + 1 != self.model.next[usize::from(offsets.stream)] {
                self.check(Err(format!("{offsets:?}, expected an end at {:?}", self.model.next)));
            }
        }
        if let Some(raw) = &raw {
            self.model.refused.push(Refused { raw: raw.clone(), acked: false, taken: (false, false) });
        }
        let ids: Vec<u128> = drafts.iter().map(|draft| draft.id).collect();
        if let Some(position) = position {
            self.model.positions.push((position, ids.clone()));
        }
        self.model.waiting.push(Waiting { receipt, ids, raw, position });
    }

    pub(super) fn poll(&mut self, engine: &Engine, sink: usize) {
        let max = 1 + self.dice.below(4) as usize;
        for given in engine.poll(number(sink), max, u64::MAX) {
            let found = Self::with(engine, |state| self.model.delivered(state, sink, &given));
            self.check(self.sent.delivered(sink, &given));
            self.tell(|| format!("sink {sink} gets {:?} as {:?}", (given.stream, given.seq), given.id));
            self.check(found);
            self.counts.delivered += 1;
            self.counts.mix(u64::from(given.stream) << 32 | given.seq);
        }
    }

    fn settle(&mut self, engine: &Engine, sink: usize) {
        let cells = self.model.events.iter().filter_map(|event| event.cells[sink].as_ref());
        let flying: Vec<DeliveryId> =
            cells.filter(|cell| !cell.settling).filter_map(|cell| cell.flight).collect();
        if !flying.is_empty() {
            let (id, how) = (self.dice.pick(&flying), self.dice.below(12));
            self.settle_one(engine, sink, id, how);
        }
    }

    pub(super) fn settle_one(&mut self, engine: &Engine, sink: usize, id: DeliveryId, how: u64) {
        let reason = String::from("because");
        let own = Fate::Parked(sink == 0);
        let (outcome, maybe, sent) = match how {
            0 => (Outcome::Refused { code: "c".into(), reason }, vec![own], true),
            1 => (Outcome::InDoubt { code: String::new(), reason }, vec![Fate::Parked(true)], true),
            2 | 3 => {
                let after_ms = (how == 2).then_some(700);
                (Outcome::Retry { after_ms, judged: true, reason }, vec![Fate::Open, own], true)
            }
            4 => (Outcome::Released, vec![Fate::Open], false),
            _ => (Outcome::Done { reference: Some("4900".into()) }, vec![Fate::Final], true),
        };
        let may_drop = self.swarm.drops && how < 5;
        let cells = self.model.events.iter_mut().filter_map(|event| event.cells[sink].as_mut());
        let Some(cell) = cells.into_iter().find(|cell| cell.flight == Some(id)) else { return };
        cell.maybe.extend(maybe);
        cell.maybe.extend(may_drop.then_some(Fate::Final));
        (cell.settling, cell.sent, cell.done) = (true, cell.sent | sent, how > 4);
        self.tell(|| format!("sink {sink} settles {id:?}: {outcome:?}"));
        if engine.settle(number(sink), [(id, outcome)]).is_err() {
            self.check(Err(format!("{id:?} is not in flight at sink {sink}")));
        }
        self.look(engine);
    }

    /// Somebody decides about what is parked or rejected, or pauses a sink.
    fn person(&mut self, engine: &Engine, sink: usize) {
        let no = number(sink);
        match self.dice.below(6) {
            0 | 1 => self.retry(engine, sink, false),
            2 => self.retry(engine, sink, true),
            3 => {
                let parked = engine.parked(no).unwrap();
                if let Some(event) = parked.get(self.dice.below(parked.len() as u64 + 1) as usize) {
                    let (id, number) = (event.id(), event.number);
                    self.ask(engine, vec![Asked::Skip(id, sink)], |state, now| {
                        state.skip(no, number, None, ME, now).is_ok()
                    });
                }
            }
            4 => {
                let kept = engine.rejects(0, false).unwrap();
                if let Some(message) = kept.get(self.dice.below(kept.len() as u64 + 1) as usize) {
                    let (raw, number) = (message.raw.to_vec(), message.number);
                    self.ask(engine, vec![Asked::Take(raw)], |state, now| {
                        state.skip_reject(0, number, ME, now).is_ok()
                    });
                }
            }
            _ => {
                let on = self.dice.once_in(3);
                self.ask(engine, vec![Asked::Pause(sink, on)], |state, now| {
                    state.pause(no, on, ME, now).is_ok()
                });
            }
        }
    }

    /// Tries what is parked again: an event, or a key.
    fn retry(&mut self, engine: &Engine, sink: usize, whole: bool) {
        let (no, parked) = (number(sink), engine.parked(number(sink)).unwrap());
        if parked.is_empty() {
            return;
        }
        let event = &parked[self.dice.below(parked.len() as u64) as usize];
        let (key, chosen) = (event.key().to_vec(), event.number);
        let of_key = parked.iter().filter(|event| event.key() == key);
        let ids: Vec<u128> = if whole { of_key.map(ParkedEvent::id).collect() } else { vec![event.id()] };
        let asked = ids.into_iter().map(|id| Asked::Retry(id, sink)).collect();
        self.ask(engine, asked, |state, now| {
            if whole {
                state.retry_key(no, &key, ME, now).is_ok()
            } else {
                state.retry(no, chosen, ME, now).is_ok()
            }
        });
    }

    /// A person asks for something, as [`Engine::act`] does, and is answered later.
    fn ask(
        &mut self,
        engine: &Engine,
        asked: Vec<Asked>,
        act: impl FnOnce(&mut super::super::State, super::super::Now) -> bool,
    ) {
        let now = self.clock.now();
        let (taken, ticket) = Self::with(engine, |state| (act(state, now), state.flush(Vec::new(), now)));
        if !taken {
            return;
        }
        self.tell(|| format!("asked with {ticket}: {asked:?}"));
        for one in &asked {
            match one {
                Asked::Pause(sink, on) => self.model.paused[*sink].1.push(*on),
                Asked::Take(raw) => {
                    let refused = self.model.refused.iter_mut().find(|refused| refused.raw == *raw);
                    if let Some(refused) = refused {
                        refused.taken.0 = true;
                    }
                }
                Asked::Retry(id, sink) | Asked::Skip(id, sink) => {
                    let fate = if matches!(one, Asked::Skip(..)) { Fate::Final } else { Fate::Open };
                    let cell = self.model.event(*id).and_then(|event| event.cells[*sink].as_mut());
                    if let Some(cell) = cell {
                        cell.maybe.push(fate);
                    }
                }
            }
        }
        self.model.asked.extend(asked.into_iter().map(|one| (ticket, one)));
    }

    /// Lets a sink go on with everything that it holds.
    pub(super) fn release(&mut self, engine: &Engine, sink: usize) {
        let no = number(sink);
        if Self::with(engine, |state| state.sinks[sink].paused) {
            self.ask(engine, vec![Asked::Pause(sink, false)], |state, now| {
                state.pause(no, false, ME, now).is_ok()
            });
        }
        self.retry(engine, sink, true);
    }

    /// The disk fills or empties, or somebody copies the folder.
    pub(super) fn disturb(&mut self, engine: &Engine) {
        match self.dice.below(3) {
            0 => self.machine.set_free(0),
            1 => self.machine.set_free(1 << 20),
            _ => self.machine.set_free(1 << 30),
        }
        let quiet = Self::with(engine, |state| {
            let node = state.node.as_ref().unwrap();
            node.ticket == node.done || node.failed.is_some()
        });
        if quiet && self.dice.once_in(2) {
            let wait = std::time::Duration::from_millis(self.dice.below(3_000));
            let until = self.clock.now().steady_ms + wait.as_millis() as u64;
            let _ = engine.hold(wait);
            self.held = (!wait.is_zero()).then(|| (until, self.logs()));
        }
    }
}
