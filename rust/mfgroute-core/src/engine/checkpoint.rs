//! Writing the state down whole, so that the facts before can go.

use super::carried::KEY_BYTES;
use super::edit::note_edited;
use super::fact::{At, End, Fact, Facts, Named};
use super::journal::{Action, Settled, Settlement};
use super::lanes::Held;
use super::node::Later;
use super::parked::Cause;
use super::redo::skipped;
use super::sink::{Sink, parked};
use super::source::note_reject;
use super::state::State;
use super::stream::Stream;
use crate::identity;

impl State {
    /// Writes the whole state down, but for [identities](super::carried).
    pub(super) fn checkpoint(&self, at_ms: u64) -> Facts {
        let mut facts = Facts { on: true, ..Facts::default() };
        facts.note(&Fact::Begin);
        facts.note(&Fact::Seed(self.lane_key.0, self.lane_key.1));
        facts.note(&Fact::Next { ordinal: self.ordinal, reject: self.rejects_number });
        for (number, stream) in (0..).zip(&self.streams) {
            facts.note(&name_of(stream, number));
            if let Some(id) = stream.log_id {
                facts.note(&Fact::Log { stream: number, id });
            }
        }
        for (number, source) in (0..).zip(&self.sources) {
            facts.note(&Fact::Name { what: Named::Source, number, name: &source.config.name });
            source.kept.iter().for_each(|message| note_reject(&mut facts, number, message));
            if let Some(position) = &source.position {
                facts.note(&Fact::Position { source: number, position });
            }
        }
        for sink in &self.sinks {
            self.checkpoint_sink(sink, &mut facts);
        }
        self.journal.settlements().for_each(|settlement| note_settlement(&mut facts, settlement));
        for Action { at_ms, who, what, on, why } in self.journal.actions() {
            facts.note(&Fact::Acted { at_ms: *at_ms, who, what, on, why });
        }
        for later in self.node.iter().flat_map(|node| node.laters()) {
            self.checkpoint_later(later, &mut facts, at_ms);
        }
        // Last: what stands before ends effects again.
        self.sinks.iter().for_each(|sink| sink.effects.note(sink.no, &mut facts));
        facts.note(&Fact::Whole);
        facts
    }

    fn checkpoint_sink(&self, sink: &Sink, facts: &mut Facts) {
        facts.note(&Fact::Name { what: Named::Sink, number: sink.no, name: &sink.config.name });
        if !sink.present {
            facts.note(&Fact::Removed { sink: sink.no });
        }
        if sink.paused {
            facts.note(&Fact::Paused { sink: sink.no, on: true });
        }
        for (number, (stream, cursor)) in (0..).zip(self.streams.iter().zip(&sink.cursors)) {
            if stream.config.durable {
                // What was dropped before it was durable may never have been.
                let shown = stream.log.visible();
                // What was given up is not handed out any more, and its effects have ended.
                let low = cursor.low().max(stream.log.floor()).min(shown);
                facts.note(&Fact::Low { sink: sink.no, stream: number, seq: low });
                for seq in cursor.finished_above().filter(|&seq| low <= seq && seq < shown) {
                    facts.note(&Fact::Above { sink: sink.no, stream: number, seq });
                }
            }
        }
        if let Some(job) = &sink.job {
            job.note(sink.no, &sink.durable, facts);
        }
        let durable = |stream: u16| sink.durable.get(usize::from(stream)).copied().unwrap_or(false);
        for event in sink.parked.iter().filter(|event| durable(event.stream)) {
            let held = Held {
                tries: event.tries,
                ..Held::waiting(event.lane, event.number, event.stream, event.seq)
            };
            let rest = (event.blocking, event.redelivered, event.at_ms);
            facts.note(&parked(sink.no, &held, &event.record, &event.cause, rest));
        }
        for (_, held) in sink.lanes.iter().filter(|(_, held)| durable(held.stream)) {
            if let (Some(record), true) = (&held.record, held.copy && !held.replayed) {
                let first = Held { copy: false, ..held.clone() };
                facts.note(&parked(sink.no, &first, record, &Cause::Behind, (true, held.redelivered, 0)));
                facts.note(&Fact::Unparked { sink: sink.no, ordinal: held.ordinal });
            }
            if held.attempts > 0 {
                let (tries, attempts) = (held.tries, held.attempts);
                facts.note(&Fact::Tried { at: held.at(sink.no), tries, attempts });
            }
        }
        for (&(stream, seq), &(tries, attempts)) in &sink.tried {
            let at = At { sink: sink.no, stream, seq, ordinal: 0, copy: false };
            facts.note(&Fact::Tried { at, tries, attempts });
        }
    }

    /// Writes what is to be done as soon as facts are durable that stand before the checkpoint.
    fn checkpoint_later(&self, later: &Later, facts: &mut Facts, at_ms: u64) {
        match later {
            Later::Settle { sink, id, decision } => {
                if let Some(sink) = self.sinks.get(usize::from(*sink)) {
                    sink.write_decision(facts, *id, decision, at_ms);
                }
            }
            Later::Retry { sink, numbers } => {
                for &ordinal in numbers {
                    facts.note(&Fact::Unparked { sink: *sink, ordinal });
                }
            }
            Later::Skip { sink, number, reason, posted_as } => {
                let event = self.sinks.get(usize::from(*sink)).and_then(|sink| sink.parked.get(*number));
                if let Some(event) = event {
                    facts.note(&skipped(*sink, event, reason, posted_as.as_deref(), at_ms));
                }
            }
            Later::Edit { sink, number, record } => {
                let event = self.sinks.get(usize::from(*sink)).and_then(|sink| sink.parked.get(*number));
                if let Some(event) = event {
                    note_edited(facts, *sink, event, record, at_ms);
                }
            }
            Later::Show { .. } | Later::Free { .. } | Later::FreeFacts { .. } => {}
        }
    }
}

/// The fact that names a stream.
pub(super) fn name_of(stream: &Stream, number: u16) -> Fact<'_> {
    let what = if stream.config.durable { Named::DurableStream } else { Named::MemoryStream };
    Fact::Name { what, number, name: &stream.config.name }
}

fn note_settlement(facts: &mut Facts, settlement: &Settlement) {
    let Settlement { at_ms, sink, stream, seq, id, tries, ref what, lane, ordinal } = *settlement;
    let at = At { sink, stream, seq, ordinal, copy: false };
    let by;
    let (how, text, posted_as) = match what {
        Settled::Delivered { reference } => (0, reference.as_deref(), None),
        Settled::Skipped { reason, posted_as } => (1, Some(reason.as_str()), posted_as.as_deref()),
        Settled::Dropped => (2, None, None),
        Settled::Superseded { by: id } => {
            by = identity::text(*id);
            (3, Some(by.as_str()), None)
        }
    };
    facts.note(&Fact::Journal { at, end: End { how, at_ms, id, lane, tries, text, posted_as } });
}

/// Notes identities that leave a stream, a hundred in a fact: a fact must fit into a segment.
pub(super) fn note_keys(keys: &[u8], facts: &mut Facts) {
    for some in keys.chunks(100 * KEY_BYTES) {
        facts.note(&Fact::Keys(some));
    }
}
