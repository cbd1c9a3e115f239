//! What people do: pause and resume, and decide about parked events and rejected messages.

use std::fmt;

use super::clock::Now;
use super::config::{SinkNo, SourceNo};
use super::journal::{Action, Settled, Settlement};
use super::parked::ParkedEvent;
use super::source::RejectedMessage;
use super::state::State;

/// Who acts, and why; both are recorded.
#[derive(Clone, Copy, Debug)]
pub struct Actor<'a> {
    /// Who.
    pub who: &'a str,
    /// Why.
    pub why: &'a str,
}

/// Why an action was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActError {
    /// No such sink or source is installed.
    NotInstalled,
    /// No such parked event or rejected message.
    NotFound,
    /// No parked event of this key.
    NoKey,
    /// An earlier event of the key is parked or is being tried: order would be lost.
    NotFirst {
        /// The number of the event to decide first.
        first: u64,
    },
    /// A reason is needed.
    NoReason,
}

impl fmt::Display for ActError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled => f.write_str("no such sink or source is installed"),
            Self::NotFound => f.write_str("no parked event or rejected message has this number"),
            Self::NoKey => f.write_str("no parked event has this key"),
            Self::NotFirst { first } => write!(f, "event {first} of the same key comes first"),
            Self::NoReason => f.write_str("a reason is needed"),
        }
    }
}

impl std::error::Error for ActError {}

impl State {
    pub(super) fn pause(
        &mut self,
        sink: SinkNo,
        paused: bool,
        actor: Actor<'_>,
        now: Now,
    ) -> Result<(), ActError> {
        let sink = self.sink_mut(sink).ok_or(ActError::NotInstalled)?;
        sink.paused = paused;
        let on = sink.config.name.clone();
        self.note(if paused { "pause" } else { "resume" }, on, actor, now);
        Ok(())
    }

    /// Tries a parked event again, in its place.
    pub(super) fn retry(
        &mut self,
        sink: SinkNo,
        number: u64,
        actor: Actor<'_>,
        now: Now,
    ) -> Result<(), ActError> {
        let sink = self.sink_mut(sink).ok_or(ActError::NotInstalled)?;
        let event = sink.parked.get(number).ok_or(ActError::NotFound)?;
        let lane = event.lane;
        if let Some(first) = sink.parked.first_blocking(lane).filter(|&first| first < number) {
            return Err(ActError::NotFirst { first });
        }
        let tried = sink.lanes.line(lane).filter_map(|id| sink.lanes.get(id)).find(|held| held.copy);
        if let Some(first) = tried.map(|held| held.ordinal).filter(|&first| first < number) {
            return Err(ActError::NotFirst { first });
        }
        sink.unpark(number, now);
        let on = format!("{} {number}", sink.config.name);
        self.note("parked retry", on, actor, now);
        Ok(())
    }

    /// Tries all parked events of a key again, in order; then the key flows. Returns how many.
    pub(super) fn retry_key(
        &mut self,
        sink: SinkNo,
        key: &[u8],
        actor: Actor<'_>,
        now: Now,
    ) -> Result<u64, ActError> {
        let sink = self.sink_mut(sink).ok_or(ActError::NotInstalled)?;
        let numbers: Vec<u64> =
            sink.parked.iter().filter(|event| event.key() == key).map(|event| event.number).collect();
        if numbers.is_empty() {
            return Err(ActError::NoKey);
        }
        for &number in &numbers {
            sink.unpark(number, now);
        }
        let on = format!("{} {}", sink.config.name, String::from_utf8_lossy(key));
        self.note("parked retry-key", on, actor, now);
        Ok(numbers.len() as u64)
    }

    /// Sets a parked event aside for good; those behind it flow.
    pub(super) fn skip(
        &mut self,
        sink: SinkNo,
        number: u64,
        posted_as: Option<String>,
        actor: Actor<'_>,
        now: Now,
    ) -> Result<(), ActError> {
        if actor.why.trim().is_empty() {
            return Err(ActError::NoReason);
        }
        let sink = self.sink_mut(sink).ok_or(ActError::NotInstalled)?;
        let event = sink.parked.take(number).ok_or(ActError::NotFound)?;
        sink.parked.release(event.record.len() as u64);
        sink.counts.skipped += 1;
        sink.follow(event.lane, now);
        let settlement = Settlement {
            at_ms: now.wall_ms,
            sink: sink.no,
            stream: event.stream,
            seq: event.seq,
            id: event.id(),
            tries: event.tries,
            what: Settled::Skipped { reason: actor.why.to_owned(), posted_as },
            lane: event.lane,
            ordinal: number,
        };
        let on = format!("{} {number}", sink.config.name);
        self.journal.write(settlement);
        self.note("parked skip", on, actor, now);
        Ok(())
    }

    /// The parked events of a sink, oldest first; with an actor, as a recorded export.
    pub(super) fn parked(
        &mut self,
        sink: SinkNo,
        export: Option<Actor<'_>>,
        now: Now,
    ) -> Result<Vec<ParkedEvent>, ActError> {
        let sink = self.sink(sink).ok_or(ActError::NotInstalled)?;
        let (events, on) = (sink.parked.iter().cloned().collect(), sink.config.name.clone());
        if let Some(actor) = export {
            self.note("parked export", on, actor, now);
        }
        Ok(events)
    }

    /// Takes a rejected message out, after it was submitted again or because nobody wants it.
    pub(super) fn take_reject(
        &mut self,
        source: SourceNo,
        number: u64,
        retried: bool,
        actor: Actor<'_>,
        now: Now,
    ) -> Result<RejectedMessage, ActError> {
        if !retried && actor.why.trim().is_empty() {
            return Err(ActError::NoReason);
        }
        let source = self.source_mut(source).ok_or(ActError::NotInstalled)?;
        let message = source.kept.take(number).or_else(|| source.answered.take(number));
        let message = message.ok_or(ActError::NotFound)?;
        let on = format!("{} {number}", source.config.name);
        self.note(if retried { "rejects retry" } else { "rejects skip" }, on, actor, now);
        Ok(message)
    }

    fn note(&mut self, what: &'static str, on: String, actor: Actor<'_>, now: Now) {
        let Actor { who, why } = actor;
        self.journal.act(Action { at_ms: now.wall_ms, who: who.to_owned(), what, on, why: why.to_owned() });
    }
}
