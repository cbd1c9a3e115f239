//! Events that wait for a person at one sink.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use mfgroute_log::Record;

use super::config::StreamNo;
use super::lanes::{ByLane, Held};
use super::stored::Stored;

/// Why an event is parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The target refused it for good.
    Refused {
        /// The code of the target.
        code: String,
        /// Its words.
        reason: String,
    },
    /// Its counted tries are used up.
    Tries {
        /// Why the last one failed.
        reason: String,
    },
    /// It was sent and the outcome is unknown.
    InDoubt {
        /// Our own, where there is one for this.
        code: String,
        /// What is known.
        reason: String,
    },
    /// An earlier event of its key is parked.
    Behind,
}

impl Cause {
    /// The label of the counter.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::Tries { .. } => "tries",
            Self::InDoubt { .. } => "in_doubt",
            Self::Behind => "behind",
        }
    }

    /// Whether a person must decide about this event, not only about one before it.
    #[must_use]
    pub fn is_own(&self) -> bool {
        *self != Self::Behind
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code, reason } => write!(f, "refused ({code}): {reason}"),
            Self::Tries { reason } => write!(f, "tries used up: {reason}"),
            Self::InDoubt { code, reason } if code.is_empty() => write!(f, "sent, no answer: {reason}"),
            Self::InDoubt { code, reason } => write!(f, "sent, no outcome ({code}): {reason}"),
            Self::Behind => f.write_str("waiting behind an earlier event of its key"),
        }
    }
}

/// A parked event. Its number is its place in the order of admission over all streams.
#[derive(Clone, Debug)]
pub struct ParkedEvent {
    /// Number, unique at its sink and the same if it is parked again.
    pub number: u64,
    /// The stream it came from.
    pub stream: StreamNo,
    /// Its offset there.
    pub seq: u64,
    /// Why.
    pub cause: Cause,
    /// When it was parked, milliseconds since 1970.
    pub at_ms: u64,
    /// Counted tries.
    pub tries: u32,
    pub(super) record: Record,
    pub(super) lane: u64,
    pub(super) blocking: bool,
    pub(super) redelivered: bool,
    /// Somebody has decided about it, and that is not durable yet.
    pub(super) decided: bool,
}

impl ParkedEvent {
    /// The event id.
    #[must_use]
    pub fn id(&self) -> u128 {
        Stored::read(self.record.bytes()).id
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        Stored::read(self.record.bytes()).key
    }

    /// The record as it was admitted.
    #[must_use]
    pub fn record(&self) -> &[u8] {
        Stored::read(self.record.bytes()).body
    }

    /// When it was admitted, milliseconds since 1970.
    #[must_use]
    pub fn admitted_ms(&self) -> u64 {
        self.record.at_ms()
    }
}

/// The parked events of one sink, and how much is held as copies.
#[derive(Debug, Default)]
pub(super) struct Parked {
    events: BTreeMap<u64, ParkedEvent>,
    /// Those that later events of their lane wait for.
    blocking: ByLane<BTreeSet<u64>>,
    in_doubt: u64,
    copies: u64,
    copied_bytes: u64,
    total: BTreeMap<&'static str, u64>,
}

impl Parked {
    /// Adds a copy of an event.
    pub(super) fn add(&mut self, held: &Held, record: &Record, cause: Cause, blocking: bool, at_ms: u64) {
        if !held.copy {
            self.copies += 1;
            self.copied_bytes += record.len() as u64;
        }
        *self.total.entry(cause.as_str()).or_default() += 1;
        self.in_doubt += u64::from(matches!(cause, Cause::InDoubt { .. }));
        if blocking {
            self.blocking.entry(held.lane).or_default().insert(held.ordinal);
        }
        let redelivered = held.redelivered || cause.is_own();
        let record = if held.copy { record.clone() } else { record.detached() };
        let event = ParkedEvent {
            number: held.ordinal,
            stream: held.stream,
            seq: held.seq,
            cause,
            at_ms,
            tries: held.tries,
            record,
            lane: held.lane,
            blocking,
            redelivered,
            decided: false,
        };
        self.events.insert(held.ordinal, event);
    }

    /// Puts another event in the place of one, to go as soon as nothing of its key is before it. Returns the one that
    /// was there.
    pub(super) fn replace(&mut self, number: u64, record: Record, at_ms: u64) -> Option<ParkedEvent> {
        let event = self.events.get_mut(&number)?;
        let new = ParkedEvent {
            cause: Cause::Behind,
            at_ms,
            tries: 0,
            blocking: true,
            redelivered: false,
            decided: false,
            record,
            ..event.clone()
        };
        self.copied_bytes += new.record.len() as u64;
        self.blocking.entry(new.lane).or_default().insert(number);
        let old = std::mem::replace(event, new);
        self.copied_bytes = self.copied_bytes.saturating_sub(old.record.len() as u64);
        self.in_doubt -= u64::from(matches!(old.cause, Cause::InDoubt { .. }));
        Some(old)
    }

    /// Takes an event out. Its copy counts as held until [`Parked::release`].
    pub(super) fn take(&mut self, number: u64) -> Option<ParkedEvent> {
        let event = self.events.remove(&number)?;
        self.in_doubt -= u64::from(matches!(event.cause, Cause::InDoubt { .. }));
        if let Some(set) = self.blocking.get_mut(&event.lane) {
            set.remove(&number);
            if set.is_empty() {
                self.blocking.remove(&event.lane);
            }
        }
        Some(event)
    }

    /// Takes room for a copy that is not parked, only held.
    pub(super) fn hold(&mut self, bytes: u64) {
        self.copies += 1;
        self.copied_bytes += bytes;
    }

    /// Gives the room of a copy back.
    pub(super) fn release(&mut self, bytes: u64) {
        self.copies = self.copies.saturating_sub(1);
        self.copied_bytes = self.copied_bytes.saturating_sub(bytes);
    }

    pub(super) fn get(&self, number: u64) -> Option<&ParkedEvent> {
        self.events.get(&number)
    }

    /// An event about which nobody has decided.
    pub(super) fn undecided(&self, number: u64) -> Option<&ParkedEvent> {
        self.get(number).filter(|event| !event.decided)
    }

    /// Notes that somebody has decided about an event: nobody else does until it is parked again.
    pub(super) fn decide(&mut self, number: u64) {
        if let Some(event) = self.events.get_mut(&number) {
            event.decided = true;
        }
    }

    /// In order of admission.
    pub(super) fn iter(&self) -> impl Iterator<Item = &ParkedEvent> {
        self.events.values()
    }

    /// Whether an event with this place in the order must wait for a parked one.
    pub(super) fn blocks(&self, lane: u64, ordinal: u64) -> bool {
        self.first_blocking(lane).is_some_and(|first| first < ordinal)
    }

    pub(super) fn first_blocking(&self, lane: u64) -> Option<u64> {
        if self.blocking.is_empty() {
            return None;
        }
        self.blocking.get(&lane)?.first().copied()
    }

    /// Lanes in which an event is parked that later ones wait for.
    pub(super) fn blocked_lanes(&self) -> Vec<u64> {
        self.blocking.keys().copied().collect()
    }

    /// Number of events and of those in doubt.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.events.len() as u64, self.in_doubt)
    }

    /// Number and bytes of copies, those that are being retried included.
    pub(super) fn load(&self) -> (u64, u64) {
        (self.copies, self.copied_bytes)
    }

    /// Counts from nothing again.
    pub(super) fn forget_totals(&mut self) {
        self.total.clear();
    }

    /// How many were ever parked, by cause.
    pub(super) fn total(&self) -> &BTreeMap<&'static str, u64> {
        &self.total
    }
}
