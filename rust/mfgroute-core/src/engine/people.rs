//! What people do: pause and resume, and decide about parked events and rejected messages.

use std::fmt;

use super::clock::Now;
use super::config::{SinkNo, SourceNo};
use super::effect::Ending;
use super::fact::Fact;
use super::journal::{Action, Settled, Settlement};
use super::node::Later;
use super::parked::ParkedEvent;
use super::redo::skipped;
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
    /// A replay is under way at the sink.
    Replaying,
    /// The target has delivered some of the events and cannot recognise them.
    Seen {
        /// How many.
        count: u64,
    },
    /// A replay of more events than one may have.
    TooMany {
        /// How many it may have.
        most: usize,
    },
    /// The event was sent, and nobody knows what became of it: another one may be its double.
    InDoubt,
    /// The event is being sent.
    InFlight,
    /// The event is not the one that was looked at, or somebody else decides about it at this moment.
    Changed,
    /// The node's own log has failed: whether this was done is seen after a restart.
    NotDurable,
}

impl fmt::Display for ActError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled => f.write_str("no such sink or source is installed"),
            Self::NotFound => f.write_str("no parked event or rejected message has this number"),
            Self::NoKey => f.write_str("no parked event has this key"),
            Self::NotFirst { first } => write!(f, "event {first} of the same key comes first"),
            Self::NoReason => f.write_str("a reason is needed"),
            Self::Replaying => f.write_str("a replay is under way at this sink; see it, or stop it"),
            Self::Seen { count } => write!(
                f,
                "the sink has delivered {count} of these events and cannot recognise them: each would have its effect twice"
            ),
            Self::TooMany { most } => write!(f, "these are more than {most} events; take a shorter range"),
            Self::InDoubt => f.write_str(
                "the event was sent and its outcome is unknown: look into the target, then retry it or skip it",
            ),
            Self::InFlight => f.write_str("the event is being sent right now: pause the sink first"),
            Self::Changed => f.write_str("somebody else has decided about this event; look again"),
            Self::NotDurable => f.write_str(
                "the disk has failed and nothing can be recorded; restart the node, then see whether it was done",
            ),
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
        let (on, no) = (sink.config.name.clone(), sink.no);
        self.facts.note(&Fact::Paused { sink: no, on: paused });
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
        let event = sink.parked.undecided(number).ok_or(ActError::NotFound)?;
        let lane = event.lane;
        if let Some(first) = sink.parked.first_blocking(lane).filter(|&first| first < number) {
            return Err(ActError::NotFirst { first });
        }
        let tried = sink.lanes.line(lane).filter_map(|id| sink.lanes.get(id)).find(|held| held.copy);
        if let Some(first) = tried.map(|held| held.ordinal).filter(|&first| first < number) {
            return Err(ActError::NotFirst { first });
        }
        let (on, no) = (format!("{} {number}", sink.config.name), sink.no);
        self.note("parked retry", on, actor, now);
        self.try_again(no, vec![number], now);
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
        let numbers: Vec<u64> = sink
            .parked
            .iter()
            .filter(|event| event.key() == key && !event.decided)
            .map(|event| event.number)
            .collect();
        if numbers.is_empty() {
            return Err(ActError::NoKey);
        }
        let (on, no) = (format!("{} {}", sink.config.name, String::from_utf8_lossy(key)), sink.no);
        let count = numbers.len() as u64;
        self.note("parked retry-key", on, actor, now);
        self.try_again(no, numbers, now);
        Ok(count)
    }

    /// Puts parked events back into their lanes: at once, or once that is durable.
    fn try_again(&mut self, no: SinkNo, numbers: Vec<u64>, now: Now) {
        let durable = self.is_durable();
        let Some(sink) = self.sink_mut(no) else { return };
        if durable {
            for &number in &numbers {
                sink.note_unparked(number);
                sink.parked.decide(number);
            }
            self.flush(vec![Later::Retry { sink: no, numbers }], now);
        } else {
            for number in numbers {
                sink.unpark(number, now);
            }
        }
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
        let sink = self.sinks.get_mut(usize::from(sink)).filter(|sink| sink.present);
        let sink = sink.ok_or(ActError::NotInstalled)?;
        let event = sink.parked.undecided(number).ok_or(ActError::NotFound)?;
        let (on, no, reason) = (format!("{} {number}", sink.config.name), sink.no, actor.why.to_owned());
        let fact = skipped(no, event, &reason, posted_as.as_deref(), now.wall_ms);
        let (id, durable) = (event.id(), sink.is_durable(event.stream));
        if durable {
            self.facts.note(&fact);
            sink.parked.decide(number);
        }
        let how = Ending::Skipped { reason: &reason, posted_as: posted_as.as_deref() };
        sink.effects.end(number, id, now.wall_ms, how);
        self.note("parked skip", on, actor, now);
        if durable {
            self.flush(vec![Later::Skip { sink: no, number, reason, posted_as }], now);
        } else {
            self.set_aside(no, number, reason, posted_as, now);
        }
        Ok(())
    }

    /// Takes a parked event out for good; those behind it flow.
    pub(super) fn set_aside(
        &mut self,
        sink: SinkNo,
        number: u64,
        reason: String,
        posted_as: Option<String>,
        now: Now,
    ) {
        let Self { sinks, journal, .. } = self;
        let Some(sink) = sinks.get_mut(usize::from(sink)) else { return };
        let Some(event) = sink.parked.take(number) else { return };
        sink.parked.release(event.record.len() as u64);
        sink.counts.skipped += 1;
        sink.follow(event.lane, now);
        journal.write(Settlement {
            at_ms: now.wall_ms,
            sink: sink.no,
            stream: event.stream,
            seq: event.seq,
            id: event.id(),
            tries: event.tries,
            what: Settled::Skipped { reason, posted_as },
            lane: event.lane,
            ordinal: number,
        });
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

    /// Takes a rejected message out because nobody wants it.
    pub(super) fn skip_reject(
        &mut self,
        source: SourceNo,
        number: u64,
        actor: Actor<'_>,
        now: Now,
    ) -> Result<(), ActError> {
        if actor.why.trim().is_empty() {
            return Err(ActError::NoReason);
        }
        let name = self.source_mut(source).ok_or(ActError::NotInstalled)?.config.name.clone();
        if !self.take_reject(source, number) {
            return Err(ActError::NotFound);
        }
        self.flush_after(Vec::new(), None);
        self.note("rejects skip", format!("{name} {number}"), actor, now);
        Ok(())
    }

    pub(super) fn note(&mut self, what: &'static str, on: String, actor: Actor<'_>, now: Now) {
        let Actor { who, why } = actor;
        self.facts.note(&Fact::Acted { at_ms: now.wall_ms, who, what, on: &on, why });
        self.journal.act(Action {
            at_ms: now.wall_ms,
            who: who.to_owned(),
            what: what.to_owned(),
            on,
            why: why.to_owned(),
        });
    }
}
