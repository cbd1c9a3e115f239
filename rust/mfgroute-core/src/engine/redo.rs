//! Doing the facts of the node's own log again: the state as it was.

use std::collections::BTreeSet;

use mfgroute_log::{Cursor, Record};

use super::clock::Now;
use super::config::{Bound, EngineOptions, SinkConfig, SourceConfig, StreamConfig, WhenFull};
use super::effect::Ending;
use super::fact::{At, End, Fact, Named};
use super::journal::{Action, Settled, Settlement};
use super::lanes::{DeliveryId, Held};
use super::parked::{Cause, ParkedEvent};
use super::sink::Sink;
use super::source::{RejectedMessage, Source, read_rejects};
use super::state::State;
use super::stream::Stream;
use crate::identity;

/// A bound that holds nothing back: names without a configuration have none.
const UNBOUND: Bound = Bound { count: u64::MAX, bytes: u64::MAX };

/// A state that is being rebuilt.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) state: State,
    options: EngineOptions,
    /// Facts of a checkpoint that is not whole yet.
    checkpoint: Option<Vec<Vec<u8>>>,
}

impl Replay {
    pub(super) fn new(options: EngineOptions) -> Self {
        Self { state: State::new(&options), options, checkpoint: None }
    }

    /// Does one fact again. Says whether it could be read.
    pub(super) fn fact(&mut self, bytes: &[u8]) -> bool {
        match (Fact::read(bytes), &mut self.checkpoint) {
            (None, _) => return false,
            (Some(Fact::Begin), _) => self.checkpoint = Some(Vec::new()),
            (Some(Fact::Whole), Some(_)) => {
                let facts = self.checkpoint.take().unwrap_or_default();
                // Identities stand outside: in the facts before it, as far as those are needed.
                let carried = std::mem::take(&mut self.state.carried);
                self.state = State { carried, ..State::new(&self.options) };
                facts.iter().filter_map(|bytes| Fact::read(bytes)).for_each(|fact| self.state.redo(&fact));
            }
            (Some(Fact::Torn), _) => self.checkpoint = None,
            (Some(_), Some(facts)) => facts.push(bytes.to_vec()),
            (Some(fact), None) => self.state.redo(&fact),
        }
        true
    }
}

impl Replay {
    /// Whether the facts end within a checkpoint. Whoever goes on notes that first, or the facts that follow would be taken
    /// for a part of it and forgotten.
    pub(super) fn is_torn(&self) -> bool {
        self.checkpoint.is_some()
    }
}

impl State {
    /// Does a fact again.
    fn redo(&mut self, fact: &Fact<'_>) {
        match *fact {
            Fact::Begin | Fact::Whole | Fact::Torn => {}
            Fact::Seed(left, right) => self.lane_key = (left, right),
            Fact::Next { ordinal, reject } => (self.ordinal, self.rejects_number) = (ordinal, reject),
            Fact::Name { what, number, name } => self.redo_name(what, number, name),
            Fact::Low { sink, stream, seq } => {
                if let Some(cursor) = self.cursor(sink, stream) {
                    cursor.skip_to(seq);
                }
            }
            Fact::Above { sink, stream, seq } => {
                if let Some(cursor) = self.cursor(sink, stream) {
                    cursor.restore(seq);
                }
            }
            Fact::Paused { sink, on } => {
                if let Some(sink) = self.sinks.get_mut(usize::from(sink)) {
                    sink.paused = on;
                }
            }
            Fact::Removed { sink } => self.redo_removal(sink),
            Fact::Ended { at, ref end } => self.redo_end(at, end),
            Fact::Journal { at, ref end } => self.journal.write(settlement(at, end)),
            Fact::Tried { at, tries, attempts } => self.redo_try(at, tries, attempts),
            Fact::Parked { .. } => self.redo_park(fact),
            Fact::Unparked { sink, ordinal } => {
                if let Some(sink) = self.sinks.get_mut(usize::from(sink)) {
                    sink.unpark(ordinal, Now::default());
                }
            }
            Fact::Rejected { source, number, at_ms, rejects, raw, meta } => {
                let rejects = read_rejects(rejects);
                let (raw, meta) = (raw.into(), meta.into());
                let message = RejectedMessage { number, at_ms, rejects, behind: None, raw, meta };
                self.rejects_number = self.rejects_number.max(number + 1);
                // A checkpoint may have written it before its own fact was.
                let known = |source: &&mut Source| !source.kept.iter().any(|kept| kept.number == number);
                if let Some(source) = self.sources.get_mut(usize::from(source)).filter(known) {
                    source.keep(message);
                }
            }
            Fact::Explained { source, number, rejects } => {
                if let Some(source) = self.sources.get_mut(usize::from(source)) {
                    source.kept.explain(number, read_rejects(rejects));
                }
            }
            Fact::Taken { source, number } => {
                let _ = self.sources.get_mut(usize::from(source)).map(|source| source.kept.take(number));
            }
            Fact::Position { source, position } => {
                if let Some(source) = self.sources.get_mut(usize::from(source)) {
                    source.position = Some(position.into());
                }
            }
            Fact::Acted { at_ms, who, what, on, why } => {
                let [who, what, on, why] = [who, what, on, why].map(str::to_owned);
                self.journal.act(Action { at_ms, who, what, on, why });
            }
            Fact::Edited { at, ref end, admitted_ms, record } => {
                self.journal.write(settlement(at, end));
                if let Some(sink) = self.sinks.get_mut(usize::from(at.sink)) {
                    sink.effects.end(
                        at.ordinal,
                        end.id,
                        end.at_ms,
                        Ending::of(end.how, end.text, end.posted_as),
                    );
                    sink.parked.replace(at.ordinal, Record::alone(record, admitted_ms), end.at_ms);
                }
            }
            Fact::Log { stream, id } => {
                if let Some(stream) = self.streams.get_mut(usize::from(stream)) {
                    stream.log_id = Some(id);
                }
            }
            Fact::Keys(keys) => self.carried.restore(keys.as_chunks().0, self.dedup.capacity()),
            Fact::Replay { .. } | Fact::Chosen { .. } | Fact::Replayed { .. } => self.redo_replay(fact),
            Fact::Effect { at, ref stepped } => {
                if let Some(sink) = self.sinks.get_mut(usize::from(at.sink)) {
                    sink.effects.step(at, true, stepped);
                }
            }
            Fact::Booked { sink, ref booking } => {
                if let Some(sink) = self.sinks.get_mut(usize::from(sink)) {
                    sink.effects.book(booking, true);
                }
            }
            Fact::Effects { sink, .. }
            | Fact::Document { sink, .. }
            | Fact::Line { sink, .. }
            | Fact::Begun { at: At { sink, .. }, .. } => {
                if let Some(sink) = self.sinks.get_mut(usize::from(sink)) {
                    sink.effects.restore(fact);
                }
            }
        }
    }

    fn redo_removal(&mut self, sink: u16) {
        let Some(sink) = self.sinks.get_mut(usize::from(sink)) else { return };
        let (cursors, durable) = (std::mem::take(&mut sink.cursors), std::mem::take(&mut sink.durable));
        sink.effects.drop_all();
        let effects = std::mem::take(&mut sink.effects);
        *sink = Sink { cursors, durable, effects, present: false, ..Sink::new(sink.no, sink.config.clone()) };
    }

    fn cursor(&mut self, sink: u16, stream: u16) -> Option<&mut Cursor> {
        self.sinks.get_mut(usize::from(sink))?.cursor(stream)
    }

    fn redo_name(&mut self, what: Named, number: u16, name: &str) {
        let name = name.to_owned();
        match what {
            Named::MemoryStream | Named::DurableStream if usize::from(number) == self.streams.len() => {
                let durable = what == Named::DurableStream;
                let (capacity, when_full) = (UNBOUND, WhenFull::Block);
                let config =
                    StreamConfig { name, capacity, when_full, durable, keep_ms: u64::MAX, first: false };
                self.streams.push(Stream::new(config));
                for sink in &mut self.sinks {
                    sink.durable.push(durable);
                    sink.cursors.push(Cursor::new(0, self.distance_max));
                }
            }
            Named::Sink if usize::from(number) == self.sinks.len() => {
                let mut sink = Sink::new(number, SinkConfig { parked_max: UNBOUND, ..SinkConfig::new(name) });
                sink.cursors = self.streams.iter().map(|_| Cursor::new(0, self.distance_max)).collect();
                sink.durable = self.streams.iter().map(|stream| stream.config.durable).collect();
                self.sinks.push(sink);
            }
            Named::Sink => {
                // It had been taken away and is back.
                if let Some(sink) = self.sinks.get_mut(usize::from(number)) {
                    sink.present = true;
                }
            }
            Named::Source if usize::from(number) == self.sources.len() => {
                self.sources.push(Source::new(SourceConfig {
                    name,
                    rejects_max: UNBOUND,
                    holds_keys: false,
                }));
            }
            _ => {}
        }
    }

    fn redo_end(&mut self, at: At, end: &End<'_>) {
        self.journal.write(settlement(at, end));
        let Some(sink) = self.sinks.get_mut(usize::from(at.sink)) else { return };
        sink.effects.end(at.ordinal, end.id, end.at_ms, Ending::of(end.how, end.text, end.posted_as));
        if !at.copy {
            sink.tried.remove(&(at.stream, at.seq));
            if let Some(cursor) = sink.cursor(at.stream) {
                cursor.restore(at.seq);
            }
        } else if let Some(event) = sink.parked.take(at.ordinal) {
            sink.parked.release(event.record.len() as u64);
        } else if let Some(record) = sink.copy_of(at.ordinal).and_then(|id| sink.lanes.remove(id)?.record) {
            sink.parked.release(record.len() as u64);
        } else if let Some(job) = &mut sink.job {
            job.note_ended(at.ordinal);
            sink.tried.remove(&(at.stream, at.seq));
        }
    }

    fn redo_try(&mut self, at: At, tries: u32, attempts: u32) {
        let Some(sink) = self.sinks.get_mut(usize::from(at.sink)) else { return };
        if !at.copy {
            sink.tried.insert((at.stream, at.seq), (tries, attempts));
        } else if let Some(id) = sink.copy_of(at.ordinal) {
            sink.lanes.change(id, |held| (held.tries, held.attempts) = (tries, attempts));
        } else if sink.job.is_some() {
            sink.tried.insert((at.stream, at.seq), (tries, attempts));
        }
    }

    fn redo_park(&mut self, fact: &Fact<'_>) {
        let Fact::Parked {
            at,
            cause,
            code,
            reason,
            tries,
            blocking,
            redelivered,
            at_ms,
            admitted_ms,
            record,
        } = *fact
        else {
            return;
        };
        let Some(sink) = self.sinks.get_mut(usize::from(at.sink)) else { return };
        let (code, reason) = (code.to_owned(), reason.to_owned());
        let cause = match cause {
            0 => Cause::Refused { code, reason },
            1 => Cause::Tries { reason },
            2 => Cause::InDoubt { code, reason },
            _ => Cause::Behind,
        };
        if let Some(how) = Ending::parked(&cause) {
            // For now: of whom it is does not matter.
            sink.effects.end(at.ordinal, 0, at_ms, how);
        }
        let held = if at.copy {
            sink.copy_of(at.ordinal).and_then(|id| sink.lanes.remove(id))
        } else {
            let record = Record::alone(record, admitted_ms);
            let lane = super::stored::Stored::read(record.bytes()).lane;
            if let Some(job) = &mut sink.job {
                job.note_ended(at.ordinal);
            }
            sink.tried.remove(&(at.stream, at.seq));
            if let Some(cursor) = sink.cursor(at.stream) {
                cursor.restore(at.seq);
            }
            Some(Held { record: Some(record), ..Held::waiting(lane, at.ordinal, at.stream, at.seq) })
        };
        let Some(mut held) = held else { return };
        (held.tries, held.redelivered) = (tries, redelivered);
        if let Some(record) = held.record.clone() {
            sink.parked.add(&held, &record, cause, blocking, at_ms);
        }
    }
}

/// The fact that a parked event was set aside by a person.
pub(super) fn skipped<'a>(
    sink: u16,
    event: &ParkedEvent,
    reason: &'a str,
    posted_as: Option<&'a str>,
    at_ms: u64,
) -> Fact<'a> {
    let at = At { sink, stream: event.stream, seq: event.seq, ordinal: event.number, copy: true };
    let (id, lane, tries) = (event.id(), event.lane, event.tries);
    Fact::Ended { at, end: End { how: 1, at_ms, id, lane, tries, text: Some(reason), posted_as } }
}

impl Sink {
    /// The event of which this sink holds the bytes, and which is tried again.
    pub(super) fn copy_of(&self, ordinal: u64) -> Option<DeliveryId> {
        self.lanes.iter().find(|(_, held)| held.copy && held.ordinal == ordinal).map(|(id, _)| id)
    }

    /// Makes ready what may go, and counts what was found in the logs: what an earlier life did is not counted again.
    pub(super) fn recount(&mut self, queued: u64) {
        let lanes: BTreeSet<u64> = self.lanes.iter().map(|(_, held)| held.lane).collect();
        self.ready.clear();
        for lane in lanes {
            self.promote(lane, 0);
            self.spilled.insert(lane);
        }
        let copies = self.lanes.iter().filter(|(_, held)| held.copy).count();
        let (parked, _) = self.parked.counts();
        self.parked.forget_totals();
        self.counts = super::sink::SinkCounts { queued: queued + copies as u64, ..Default::default() };
        self.counts.matched = self.counts.queued + parked;
    }
}

fn settlement(at: At, end: &End<'_>) -> Settlement {
    let text = end.text.map(str::to_owned);
    let what = match end.how {
        0 => Settled::Delivered { reference: text },
        1 | 4 => {
            Settled::Skipped { reason: text.unwrap_or_default(), posted_as: end.posted_as.map(str::to_owned) }
        }
        3 => Settled::Superseded { by: identity::number(end.text.unwrap_or_default()) },
        _ => Settled::Dropped,
    };
    let At { sink, stream, seq, ordinal, .. } = at;
    let End { at_ms, id, lane, tries, .. } = *end;
    Settlement { at_ms, sink, stream, seq, id, tries, what, lane, ordinal }
}
