//! Effects in a history: what is written down for deliveries, and the lines that a follower reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::super::{Clock, Delivery, DeliveryId, Engine, Intention, State};
use super::oracle::{Fate, Model};
use super::swarm::SINKS;
use super::world::{History, number};

/// What was written down to be sent for an event at a sink.
#[derive(Clone, Debug)]
struct Said {
    request: Vec<u8>,
    /// To wait for; nothing once it is durable.
    ticket: Option<u64>,
}

/// What must be true of effects.
#[derive(Debug, Default)]
pub(super) struct Effects {
    said: BTreeMap<(usize, u128), Said>,
    /// Lines that were seen, from the first on: they stay what they are.
    lines: [Vec<Arc<[u8]>>; SINKS],
    /// Number up to which a follower has taken them.
    taken: [u64; SINKS],
}

fn number_of(line: &[u8]) -> u64 {
    let line: Value = serde_json::from_slice(line).unwrap();
    line["number"].as_u64().unwrap()
}

impl Effects {
    /// An event is handed out with what was written down for it.
    pub(super) fn delivered(&self, sink: usize, given: &Delivery) -> Result<(), String> {
        let said = self.said.get(&(sink, given.event_id())).map(|said| said.request.as_slice());
        let found = given.begun.as_ref().map(|begun| &*begun.request);
        if found == said {
            return Ok(());
        }
        Err(format!("sink {sink} gets {:?} with {found:?}, written down was {said:?}", given.event_id()))
    }

    /// Lines that can be seen now.
    fn look(&mut self, engine: &Engine) -> Result<(), String> {
        for (sink, seen) in self.lines.iter_mut().enumerate() {
            for line in engine.effects(number(sink), seen.len() as u64, usize::MAX) {
                seen.push(line);
                if number_of(&seen[seen.len() - 1]) != seen.len() as u64 {
                    return Err(format!("line {} of sink {sink} has another number", seen.len()));
                }
            }
        }
        Ok(())
    }

    /// What was written down and waits for the disk.
    fn settle(&mut self, done: u64) {
        for said in self.said.values_mut() {
            said.ticket = said.ticket.filter(|&ticket| ticket > done);
        }
    }

    /// The folder was opened: effects and lines are what they were.
    pub(super) fn reopened(&mut self, model: &Model, state: &State) -> Result<(), String> {
        for (sink, at) in state.sinks.iter().enumerate().take(SINKS) {
            self.check_open(model, at, sink)?;
            let found = at.effects.read(0, usize::MAX);
            let first = found.first().map_or(self.lines[sink].len() as u64 + 1, |line| number_of(line));
            if first > self.taken[sink] + 1 {
                return Err(format!(
                    "lines of sink {sink} begin at {first}, taken were {}",
                    self.taken[sink]
                ));
            }
            for (line, number) in found.iter().zip(first..) {
                let seen = self.lines[sink].get(number as usize - 1);
                if number_of(line) != number || seen.is_some_and(|seen| seen != line) {
                    let line = String::from_utf8_lossy(line);
                    return Err(format!("line {number} of sink {sink} is {line}, was {seen:?}"));
                }
            }
            if first + (found.len() as u64) <= self.lines[sink].len() as u64 {
                return Err(format!("lines of sink {sink} end before {}", self.lines[sink].len()));
            }
        }
        Ok(())
    }

    fn check_open(
        &mut self,
        model: &Model,
        at: &super::super::sink::Sink,
        sink: usize,
    ) -> Result<(), String> {
        let mut open = 0;
        for event in &model.events {
            let Some(cell) = &event.cells[sink] else { continue };
            let found = at.effects.begun(event.ordinal);
            if cell.at == Fate::Final {
                self.said.remove(&(sink, event.id));
                if found.is_some() {
                    return Err(format!("{:?} has ended at sink {sink}, and its effect has not", event.at));
                }
                continue;
            }
            open += u64::from(found.is_some());
            let said = self.said.get_mut(&(sink, event.id));
            match (said, found) {
                (None, None) => {}
                (Some(said), Some(begun)) if *said.request == *begun.request => said.ticket = None,
                (Some(said), None) if said.ticket.is_some() => {
                    self.said.remove(&(sink, event.id));
                }
                (said, found) => {
                    let id = event.at;
                    return Err(format!("{id:?} at sink {sink}: written down {said:?}, found {found:?}"));
                }
            }
        }
        if at.effects.count().0 == open {
            return Ok(());
        }
        Err(format!("sink {sink} has {} effects, {open} of them of events", at.effects.count().0))
    }
}

impl History {
    /// A sender writes down what it is about to send for something that it holds, or a follower takes lines.
    pub(super) fn effects(&mut self, engine: &Engine) {
        let found = self.sent.look(engine);
        self.check(found);
        if !self.posts || self.is_over() || !self.more.once_in(3) {
            return;
        }
        let sink = self.more.below(SINKS as u64) as usize;
        if self.more.once_in(6) {
            let upto = self.more.below(self.sent.lines[sink].len() as u64 + 1);
            self.sent.taken[sink] = self.sent.taken[sink].max(upto);
            engine.effects_taken(number(sink), upto);
            return;
        }
        let flying: Vec<(u128, DeliveryId)> = self
            .model
            .events
            .iter()
            .filter_map(|event| Some((event.id, event.cells[sink].as_ref()?)))
            .filter(|(_, cell)| !cell.settling)
            .filter_map(|(id, cell)| Some((id, cell.flight?)))
            .collect();
        if flying.is_empty() {
            return;
        }
        let (id, delivery) = self.more.pick(&flying);
        let request = vec![self.more.draw() as u8; self.more.below(400) as usize];
        let now = self.clock.now();
        let intention = Intention { delivery, key: "k", request: &request, about: b"{}" };
        let result = Self::with(engine, |state| state.intend(number(sink), &[intention], now));
        if let Ok(ticket) = result {
            self.tell(|| format!("sink {sink} writes down {} bytes for {id}", request.len()));
            let ticket = Some(ticket);
            self.sent.said.entry((sink, id)).or_insert(Said { request, ticket });
        }
        self.counts.mix(u64::from(result.is_ok()));
    }

    /// What a sender is told once the disk has answered.
    pub(super) fn effects_written(&mut self, done: u64) {
        self.sent.settle(done);
    }
}
