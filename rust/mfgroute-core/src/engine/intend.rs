//! What a sink writes down before it sends, and what followers read of it.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::Engine;
use super::clock::Now;
use super::config::SinkNo;
use super::effect::{Step, Stepped};
use super::fact::{At, Fact};
use super::lanes::DeliveryId;
use super::sink::Sink;
use super::state::State;
use super::stored::Stored;

/// Bytes of lines at one sink that nobody has taken, beyond which no effect begins.
const LINES_MAX: u64 = 16 << 20;

/// What is to be sent for a delivery. Where something was written down for it before, that is what is sent, and this
/// counts as one more attempt.
#[derive(Clone, Copy, Debug)]
pub struct Intention<'a> {
    /// The delivery.
    pub delivery: DeliveryId,
    /// What the target knows the request by; empty if there is no request yet, only the plan to make one.
    pub key: &'a str,
    /// Exactly what is sent.
    pub request: &'a [u8],
    /// What followers are told about it: a JSON object without line breaks.
    pub about: &'a [u8],
}

/// Why nothing may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntendError {
    /// The delivery is not in flight.
    Stale,
    /// It does not fit into a record of the node's own log.
    TooLarge {
        /// Bytes of the request and of what is told about it.
        bytes: u64,
        /// Bytes that fit.
        most: u64,
    },
    /// What is told about it is no JSON object in one line.
    NotTellable,
    /// Nobody takes the lines.
    Behind {
        /// Bytes that wait.
        bytes: u64,
    },
    /// The node's own log has failed.
    NotDurable(String),
}

impl fmt::Display for IntendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale => f.write_str("the delivery is not in flight at this sink"),
            Self::TooLarge { bytes, most } => {
                write!(f, "a request with its event has {bytes} bytes, at most {most} can be recorded")
            }
            Self::NotTellable => f.write_str("what is told about a request is no JSON object in one line"),
            Self::Behind { bytes } => {
                write!(f, "nobody has read the last {bytes} bytes of what became of effects at this sink")
            }
            Self::NotDurable(why) => write!(f, "the request cannot be recorded: {why}"),
        }
    }
}

impl std::error::Error for IntendError {}

/// Whether followers can be told this: a JSON object in one line.
fn is_tellable(about: &[u8]) -> bool {
    let object = || serde_json::from_slice::<Value>(about).is_ok_and(|value| value.is_object());
    about.is_empty() || (!about.contains(&b'\n') && object())
}

impl Engine {
    /// Writes down what is about to be sent for deliveries in flight, and waits until that is durable. Nothing of it may
    /// be sent before.
    ///
    /// # Errors
    ///
    /// Nothing of it may be sent. Some of it may have been written down, which then counts as an attempt.
    pub fn intend(&self, sink: SinkNo, intentions: &[Intention<'_>]) -> Result<(), IntendError> {
        // Not under the lock: what is told may be long.
        if !intentions.iter().all(|one| is_tellable(one.about)) {
            return Err(IntendError::NotTellable);
        }
        let now = self.inner.clock.now();
        let ticket = self.lock().intend(sink, intentions, now)?;
        if ticket == 0 {
            return Ok(());
        }
        let failed = self.wait_for(ticket).node.as_ref().and_then(|node| node.failed.clone());
        failed.map_or(Ok(()), |why| Err(IntendError::NotDurable(why)))
    }

    /// Notes that the target has taken a request under a reference and says later what became of it.
    ///
    /// # Errors
    ///
    /// The delivery is not in flight, or nothing was written down for it.
    pub fn accepted(&self, sink: SinkNo, delivery: DeliveryId, reference: &str) -> Result<(), IntendError> {
        let now = self.inner.clock.now();
        let mut state = self.lock();
        let at = state.sink_mut(sink).ok_or(IntendError::Stale)?;
        let held = at.lanes.undecided(delivery).ok_or(IntendError::Stale)?;
        let place = held.at(sink);
        let id = held.record.as_ref().map_or(0, |record| Stored::read(record.bytes()).id);
        at.effects.begun(place.ordinal).ok_or(IntendError::Stale)?;
        let (step, at_ms) = (Step::Accepted, now.wall_ms);
        at.step(place, &Stepped { step, at_ms, id, key: reference, request: &[], about: &[] });
        state.flush(Vec::new(), now);
        drop(state);
        self.inner.work.notify_one();
        Ok(())
    }

    /// What became of effects of a sink, as far as it is durable: JSON lines in order, those behind a number.
    #[must_use]
    pub fn effects(&self, sink: SinkNo, after: u64, count_max: usize) -> Vec<Arc<[u8]>> {
        self.lock()
            .sinks
            .get(usize::from(sink))
            .map(|at| at.effects.read(after, count_max))
            .unwrap_or_default()
    }

    /// Lines up to a number are no longer needed: their follower has made its own of them, durably. Says whether there
    /// has been such a number.
    pub fn effects_taken(&self, sink: SinkNo, upto: u64) -> bool {
        let mut state = self.lock();
        let Some(at) = state.sinks.get_mut(usize::from(sink)) else { return upto == 0 };
        at.effects.take(upto)
    }
}

impl State {
    /// Writes intentions down. Returns the ticket to wait for; 0 if nothing is durable here.
    pub(super) fn intend(
        &mut self,
        sink: SinkNo,
        intentions: &[Intention<'_>],
        now: Now,
    ) -> Result<u64, IntendError> {
        if let Some(why) = self.node.as_ref().and_then(|node| node.failed.clone()) {
            return Err(IntendError::NotDurable(why));
        }
        let most = self.node.as_ref().map_or(u64::MAX, |node| node.store.segment_bytes() / 2);
        let at = self.sink_mut(sink).ok_or(IntendError::Stale)?;
        let bytes = at.effects.waiting();
        if bytes > LINES_MAX {
            return Err(IntendError::Behind { bytes });
        }
        for one in intentions {
            at.intend(one, most, now)?;
        }
        Ok(self.flush(Vec::new(), now))
    }
}

impl Sink {
    fn intend(&mut self, one: &Intention<'_>, most: u64, now: Now) -> Result<(), IntendError> {
        let Intention { delivery, key, request, about } = *one;
        let held = self.lanes.undecided(delivery).ok_or(IntendError::Stale)?;
        let bytes = (key.len() + request.len() + about.len()) as u64;
        if bytes > most {
            return Err(IntendError::TooLarge { bytes, most });
        }
        let Some(record) = &held.record else { return Err(IntendError::Stale) };
        let (id, at) = (Stored::read(record.bytes()).id, held.at(self.no));
        let again = self.effects.begun(at.ordinal).is_some_and(|begun| begun.attempts > 0);
        let (step, key, request, about): (_, &str, &[u8], &[u8]) = match (again, key.is_empty()) {
            (true, _) => (Step::Again, "", &[], &[]),
            (false, true) => (Step::Planned, key, &[], about),
            (false, false) => (Step::Intent, key, request, about),
        };
        self.step(at, &Stepped { step, at_ms: now.wall_ms, id, key, request, about });
        Ok(())
    }

    /// Does a step of an effect, and writes it down.
    fn step(&mut self, at: At, stepped: &Stepped<'_>) {
        let kept = self.is_durable(at.stream);
        if kept {
            self.facts.note(&Fact::Effect { at, stepped: *stepped });
        }
        self.effects.step(at, kept, stepped);
    }

    /// Ends effects of events that are gone: they left their log while an earlier life of the node had them in flight.
    pub(super) fn drop_effects(&mut self) {
        // What a replay has chosen comes again although its cursor has passed it.
        if self.job.is_some() {
            return;
        }
        for (at, id) in self.effects.places() {
            let passed =
                self.cursors.get(usize::from(at.stream)).is_none_or(|cursor| cursor.is_finished(at.seq));
            let held = self.parked.get(at.ordinal).is_some() || self.copy_of(at.ordinal).is_some();
            if passed && !held {
                let step = Step::Gone;
                let at_ms = self.effects.begun(at.ordinal).map_or(0, |begun| begun.last_ms);
                self.step(at, &Stepped { step, at_ms, id, key: "", request: &[], about: &[] });
            }
        }
    }
}
