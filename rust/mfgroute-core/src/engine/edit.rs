//! Editing a parked event: another event takes its place.

use mfgroute_log::Record;

use super::Engine;
use super::clock::Now;
use super::config::SinkNo;
use super::effect::Ending;
use super::fact::{At, End, Fact, Facts};
use super::journal::{Settled, Settlement};
use super::node::Later;
use super::parked::{Cause, ParkedEvent};
use super::people::{ActError, Actor};
use super::state::State;
use super::stored::{Fields, Stored};
use crate::dedup::Prints;
use crate::identity;

/// What is put in the place of a parked event. Its key is that of the event.
#[derive(Clone, Copy, Debug)]
pub struct Edit<'a> {
    /// The id of the event that was looked at; if it is another one by now, nothing is done.
    pub seen: u128,
    /// The id of the new event.
    pub id: u128,
    /// Its record.
    pub record: &'a [u8],
}

impl Engine {
    /// Puts a new event in the place of a parked one, at this sink only, which is superseded with that: it counts as
    /// skipped, and the new one as matched. The new event goes out as soon as nothing of its key is before it. A reason
    /// is needed.
    ///
    /// # Errors
    ///
    /// There is no such event, or not this one any more, or it is in doubt; or nothing can be recorded.
    pub fn edit_parked(
        &self,
        sink: SinkNo,
        number: u64,
        edit: &Edit<'_>,
        actor: Actor<'_>,
    ) -> Result<(), ActError> {
        self.act(|state, now| state.edit(sink, number, edit, actor, now))
    }
}

impl State {
    fn edit(
        &mut self,
        sink: SinkNo,
        number: u64,
        edit: &Edit<'_>,
        actor: Actor<'_>,
        now: Now,
    ) -> Result<(), ActError> {
        if actor.why.trim().is_empty() {
            return Err(ActError::NoReason);
        }
        let sink = self.sink_mut(sink).ok_or(ActError::NotInstalled)?;
        let event = sink.parked.get(number).ok_or(ActError::NotFound)?;
        if event.decided || event.id() != edit.seen {
            return Err(ActError::Changed);
        }
        if matches!(event.cause, Cause::InDoubt { .. }) {
            return Err(ActError::InDoubt);
        }
        let Edit { id, record: body, .. } = *edit;
        // It is never in a stream, so nothing is compared with it.
        let prints = Prints { raw: 0, body: 0 };
        let sinks = &[sink.no];
        let fields = Fields { id, prints, ordinal: number, lane: event.lane, sinks, key: event.key(), body };
        let mut bytes = Vec::new();
        fields.write(&mut bytes);
        let record = Record::alone(&bytes, now.wall_ms);
        let (no, on) = (sink.no, format!("{} {number}", sink.config.name));
        let by = identity::text(id);
        if sink.is_durable(event.stream) {
            let event = event.clone();
            sink.effects.end(number, event.id(), now.wall_ms, Ending::Superseded { by: &by });
            sink.parked.decide(number);
            note_edited(&mut self.facts, no, &event, &record, now.wall_ms);
            self.note("parked edit", on, actor, now);
            self.flush(vec![Later::Edit { sink: no, number, record }], now);
        } else {
            let old = event.id();
            sink.effects.end(number, old, now.wall_ms, Ending::Superseded { by: &by });
            self.note("parked edit", on, actor, now);
            self.supersede(no, number, record, now);
        }
        Ok(())
    }

    /// Puts a record in the place of a parked event.
    pub(super) fn supersede(&mut self, sink: SinkNo, number: u64, record: Record, now: Now) {
        let Self { sinks, journal, .. } = self;
        let Some(sink) = sinks.get_mut(usize::from(sink)) else { return };
        let by = Stored::read(record.bytes()).id;
        let Some(old) = sink.parked.replace(number, record, now.wall_ms) else { return };
        sink.counts.matched += 1;
        sink.counts.skipped += 1;
        sink.counts.superseded += 1;
        sink.follow(old.lane, now);
        journal.write(Settlement {
            at_ms: now.wall_ms,
            sink: sink.no,
            stream: old.stream,
            seq: old.seq,
            id: old.id(),
            tries: old.tries,
            what: Settled::Superseded { by },
            lane: old.lane,
            ordinal: number,
        });
    }
}

/// Notes that a record takes the place of a parked event.
pub(super) fn note_edited(facts: &mut Facts, sink: SinkNo, event: &ParkedEvent, record: &Record, at_ms: u64) {
    let at = At { sink, stream: event.stream, seq: event.seq, ordinal: event.number, copy: true };
    let by = identity::text(Stored::read(record.bytes()).id);
    let (id, lane, tries) = (event.id(), event.lane, event.tries);
    let end = End { how: 3, at_ms, id, lane, tries, text: Some(&by), posted_as: None };
    facts.note(&Fact::Edited { at, end, admitted_ms: record.at_ms(), record: record.bytes() });
}
