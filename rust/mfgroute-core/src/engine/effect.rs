//! Effects in a target: what is sent for an event is durable before it is sent, and what became of it is told as lines
//! that followers read.
//!
//! An effect begins with a fact of its own and ends with the fact of the delivery: delivered, parked, skipped,
//! dropped, superseded. Doing the facts again gives the same lines with the same numbers. Only events of durable streams
//! have lines: a line of anything else could get a number that is given again after a restart.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::json;

use super::booked::{Booked, Booking};
use super::config::SinkNo;
use super::fact::{At, Fact, Facts};
use super::parked::Cause;
use crate::identity;

/// Code of an event that was never sent, since another one that waited behind it takes back what it reports.
const TAKEN_BACK: &str = "taken_back";

/// What was written down for an event before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// What the target knows the request by.
    pub key: Arc<str>,
    /// Exactly what was sent, or was about to be.
    pub request: Arc<[u8]>,
    /// How often; 0 if there is only the plan to send something.
    pub attempts: u32,
    /// When the first of this was written down, milliseconds since 1970.
    pub first_ms: u64,
    /// When the last attempt was, or when the target accepted it.
    pub last_ms: u64,
    /// The target has taken it under this reference, and says later what became of it.
    pub accepted: Option<Arc<str>>,
}

/// How an effect goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Step {
    Planned = 0,
    Intent = 1,
    Again = 2,
    Accepted = 3,
    /// Its event is gone from the log of its stream.
    Gone = 4,
}

impl Step {
    pub(super) fn of(number: u8) -> Option<Self> {
        let all = [Self::Planned, Self::Intent, Self::Again, Self::Accepted, Self::Gone];
        all.get(usize::from(number)).copied()
    }
}

/// A step as it is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stepped<'a> {
    pub(super) step: Step,
    pub(super) at_ms: u64,
    pub(super) id: u128,
    /// Of an acceptance, its reference.
    pub(super) key: &'a str,
    pub(super) request: &'a [u8],
    pub(super) about: &'a [u8],
}

/// How an attempt, or the effect, ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending<'a> {
    Posted { reference: Option<&'a str> },
    Refused { code: &'a str, reason: &'a str },
    InDoubt { code: &'a str, reason: &'a str },
    GaveUp { reason: &'a str },
    Skipped { reason: &'a str, posted_as: Option<&'a str> },
    Superseded { by: &'a str },
    TakenBack { reason: &'a str },
    Dropped,
}

impl<'a> Ending<'a> {
    /// How a delivered, skipped, dropped, superseded or taken back event ends, by the number that its fact has.
    pub(super) fn of(how: u8, text: Option<&'a str>, posted_as: Option<&'a str>) -> Self {
        match how {
            0 => Self::Posted { reference: text },
            1 => Self::Skipped { reason: text.unwrap_or_default(), posted_as },
            3 => Self::Superseded { by: text.unwrap_or_default() },
            4 => Self::TakenBack { reason: text.unwrap_or_default() },
            _ => Self::Dropped,
        }
    }

    /// How it ends for now with an event that is parked; not at all if that only waits behind another.
    pub(super) fn parked(cause: &'a Cause) -> Option<Self> {
        Some(match cause {
            Cause::Refused { code, reason } => Self::Refused { code, reason },
            Cause::Tries { reason } => Self::GaveUp { reason },
            Cause::InDoubt { code, reason } => Self::InDoubt { code, reason },
            Cause::Behind => return None,
        })
    }

    /// State, reference, code and reason.
    fn told(self) -> (&'static str, Option<&'a str>, Option<&'a str>, Option<&'a str>) {
        match self {
            Self::Posted { reference } => ("posted", reference, None, None),
            Self::Refused { code, reason } => ("refused", None, Some(code), Some(reason)),
            Self::InDoubt { code, reason } => {
                ("in_doubt", None, Some(code).filter(|code| !code.is_empty()), Some(reason))
            }
            Self::GaveUp { reason } => ("gave_up", None, None, Some(reason)),
            Self::Skipped { reason, posted_as } => ("skipped", posted_as, None, Some(reason)),
            Self::Superseded { by } => ("superseded", Some(by), None, None),
            Self::TakenBack { reason } => ("skipped", None, Some(TAKEN_BACK), Some(reason)),
            Self::Dropped => ("dropped", None, None, None),
        }
    }

    /// Whether the event may come again.
    fn is_for_now(self) -> bool {
        matches!(self, Self::Refused { .. } | Self::InDoubt { .. } | Self::GaveUp { .. })
    }
}

/// An effect that has begun and not ended.
#[derive(Clone, Debug)]
struct Open {
    id: u128,
    /// Where its event is, or was.
    at: At,
    /// It has lines, and is there after a restart.
    kept: bool,
    /// It has ended for now, and has not begun again.
    rests: bool,
    begun: Begun,
}

/// The effects of one sink.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// By the place of the event in the order of admission.
    open: BTreeMap<u64, Open>,
    /// What people have booked of what waits.
    pub(super) booked: Booked,
    /// Those that nobody has taken; their numbers end with the last.
    lines: VecDeque<Arc<[u8]>>,
    /// Number of the last line, of the last that is on its way to the disk, and of the last that is durable.
    last: u64,
    sent: u64,
    shown: u64,
    bytes: u64,
}

impl Effects {
    /// What was written down for an event before.
    pub(super) fn begun(&self, ordinal: u64) -> Option<&Begun> {
        if self.open.is_empty() {
            return None;
        }
        self.open.get(&ordinal).map(|open| &open.begun)
    }

    /// Number of open effects, and of lines that nobody has taken.
    pub(super) fn count(&self) -> (u64, u64) {
        (self.open.len() as u64, self.lines.len() as u64)
    }

    /// Does a step.
    pub(super) fn step(&mut self, at: At, kept: bool, stepped: &Stepped<'_>) {
        let Stepped { step, at_ms, id, key, request, about } = *stepped;
        let (first_ms, last_ms) = (at_ms, at_ms);
        let nothing =
            || Begun { key: "".into(), request: [].into(), attempts: 0, first_ms, last_ms, accepted: None };
        let open = self.open.entry(at.ordinal);
        let open = open.or_insert_with(|| Open { at, id, kept, rests: false, begun: nothing() });
        open.rests = false;
        let begun = &mut open.begun;
        let (state, reference) = match step {
            Step::Planned => ("planned", None),
            Step::Intent => {
                (begun.key, begun.request) = (key.into(), request.into());
                (begun.attempts, begun.last_ms, begun.accepted) = (1, at_ms, None);
                ("intent", None)
            }
            Step::Again => {
                (begun.attempts, begun.last_ms) = (begun.attempts.saturating_add(1), at_ms);
                ("again", None)
            }
            Step::Accepted => {
                // A target that gives another reference each time has accepted it once.
                if begun.accepted.is_none() {
                    begun.last_ms = at_ms;
                }
                begun.accepted = Some(key.into());
                ("accepted", Some(key))
            }
            Step::Gone => return self.end(at.ordinal, id, at_ms, Ending::Dropped),
        };
        if open.kept {
            let told = (state, reference, None, None);
            let line = line_of(self.last + 1, at_ms, open, told, about);
            self.tell(line);
        }
    }

    /// Where the events of open effects are, or were, and their ids.
    pub(super) fn places(&self) -> Vec<(At, u128)> {
        self.open.values().map(|open| (open.at, open.id)).collect()
    }

    /// A person books an event or takes that back; gives followers a line if it is there after a restart.
    pub(super) fn book(&mut self, booking: &Booking<'_>, kept: bool) {
        self.booked.book(booking.id, booking.document);
        if kept {
            self.tell(booking.line(self.last + 1));
        }
    }

    /// Ends the effect of an event, if it has one, for good or for now.
    pub(super) fn end(&mut self, ordinal: u64, id: u128, at_ms: u64, how: Ending<'_>) {
        if !how.is_for_now() {
            self.booked.book(id, None);
        }
        if self.open.is_empty() {
            return;
        }
        let Some(open) = self.open.get_mut(&ordinal) else { return };
        // A fact may be written twice.
        if open.rests && how.is_for_now() {
            return;
        }
        (open.begun.accepted, open.rests) = (None, true);
        if open.kept {
            let line = line_of(self.last + 1, at_ms, open, how.told(), &[]);
            self.tell(line);
        }
        if !how.is_for_now() {
            self.open.remove(&ordinal);
        }
    }

    /// Ends all that are open: their events are dropped.
    pub(super) fn drop_all(&mut self) {
        let open = self.open.iter().map(|(&ordinal, open)| (ordinal, open.id, open.begun.first_ms));
        for (ordinal, id, first_ms) in open.collect::<Vec<_>>() {
            // The fact of a removal does not say when.
            self.end(ordinal, id, first_ms, Ending::Dropped);
        }
        self.booked.clear();
    }

    fn tell(&mut self, line: Vec<u8>) {
        self.last += 1;
        self.bytes += line.len() as u64;
        self.lines.push_back(line.into());
    }

    /// Number of the first line that nobody has taken.
    fn first(&self) -> u64 {
        self.last + 1 - self.lines.len() as u64
    }

    /// Number of the last line if the lines before it are not on their way to the disk yet: now they are.
    pub(super) fn send(&mut self) -> Option<u64> {
        let fresh = self.last > self.sent;
        self.sent = self.last;
        fresh.then_some(self.last)
    }

    /// Lines up to a number are durable.
    pub(super) fn show(&mut self, upto: u64) {
        self.shown = self.shown.max(upto);
    }

    /// Everything that was done again is durable.
    pub(super) fn show_all(&mut self) {
        (self.sent, self.shown) = (self.last, self.last);
    }

    /// Durable lines behind a number.
    pub(super) fn read(&self, after: u64, count_max: usize) -> Vec<Arc<[u8]>> {
        let place = |number: u64| number.saturating_add(1).saturating_sub(self.first()) as usize;
        self.lines.iter().take(place(self.shown)).skip(place(after)).take(count_max).cloned().collect()
    }

    /// Forgets lines up to a number. Says whether they have been shown.
    pub(super) fn take(&mut self, upto: u64) -> bool {
        if upto > self.shown {
            return false;
        }
        while self.first() <= upto
            && let Some(line) = self.lines.pop_front()
        {
            self.bytes -= line.len() as u64;
        }
        true
    }

    /// Bytes of lines that nobody has taken.
    pub(super) fn waiting(&self) -> u64 {
        self.bytes
    }

    /// Writes everything down; what is read back replaces what there is.
    pub(super) fn note(&self, sink: SinkNo, facts: &mut Facts) {
        if self.last == 0 && self.open.is_empty() && self.booked.is_empty() {
            return;
        }
        facts.note(&Fact::Effects { sink, first: self.first() });
        for line in &self.lines {
            facts.note(&Fact::Line { sink, line });
        }
        for Open { at, id, begun, rests, .. } in self.open.values().filter(|open| open.kept) {
            let Begun { key, request, attempts, first_ms, last_ms, accepted } = begun;
            facts.note(&Fact::Begun {
                at: At { sink, ..*at },
                id: *id,
                key,
                request,
                attempts: *attempts,
                first_ms: *first_ms,
                last_ms: *last_ms,
                accepted: accepted.as_deref(),
                rests: *rests,
            });
        }
        self.booked.note(sink, facts);
    }

    /// Reads one of those facts back.
    pub(super) fn restore(&mut self, fact: &Fact<'_>) {
        match *fact {
            Fact::Effects { first, .. } => *self = Self { last: first - 1, ..Self::default() },
            Fact::Line { line, .. } => self.tell(line.to_vec()),
            Fact::Document { id, document, .. } => _ = self.booked.book(id, Some(document)),
            Fact::Begun { at, id, key, request, attempts, first_ms, last_ms, accepted, rests, .. } => {
                let (key, request, accepted) = (key.into(), request.into(), accepted.map(Into::into));
                let begun = Begun { key, request, attempts, first_ms, last_ms, accepted };
                self.open.insert(at.ordinal, Open { at, id, kept: true, rests, begun });
            }
            _ => {}
        }
    }
}

type Told<'a> = (&'static str, Option<&'a str>, Option<&'a str>, Option<&'a str>);

fn line_of(
    number: u64,
    at_ms: u64,
    open: &Open,
    (state, reference, code, reason): Told<'_>,
    about: &[u8],
) -> Vec<u8> {
    let Begun { key, attempts, .. } = &open.begun;
    let line = json!({
        "number": number, "at_ms": at_ms, "id": identity::text(open.id), "state": state, "key": **key,
        "attempt": attempts, "reference": reference, "code": code, "reason": reason,
    });
    let mut line = line.to_string().into_bytes();
    if !about.is_empty() {
        line.pop();
        line.extend_from_slice(b",\"about\":");
        line.extend_from_slice(about);
        line.push(b'}');
    }
    line
}
