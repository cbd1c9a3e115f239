//! Settling: what became of a delivery.

use std::fmt;

use mfgroute_log::Record;
use mfgroute_log::mutant::{self, Mutant};

use super::clock::{Chance, Now};
use super::config::StreamNo;
use super::effect::Ending;
use super::fact::Fact;
use super::job::End;
use super::journal::{Journal, Settled, Settlement};
use super::lanes::{DeliveryId, Held, Phase};
use super::parked::{Cause, ParkedEvent};
use super::sink::Sink;
use super::stored::Stored;
use super::stream::Stream;

const DELAY_BASE_MS: u64 = 500;
const AFTER_MAX_MS: u64 = 3_600_000;

/// What a sink says about one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The effect has happened.
    Done {
        /// What the target calls it.
        reference: Option<String>,
    },
    /// The target judged the event and refused it for good.
    Refused {
        /// The code of the target.
        code: String,
        /// Its words.
        reason: String,
    },
    /// Certainly not done; try again.
    Retry {
        /// Not before this many milliseconds, if the target said so; at most one hour is honoured.
        after_ms: Option<u64>,
        /// The target judged this event, rather than being out of reach or busy.
        judged: bool,
        /// Why.
        reason: String,
    },
    /// Sent, and the outcome is unknown.
    InDoubt {
        /// Our own, where there is one for this; else empty.
        code: String,
        /// What is known.
        reason: String,
    },
    /// It was never sent, and is not any more: an event that waits behind it takes back what it reports. It ends as
    /// skipped.
    TakenBack {
        /// By which event, as a sentence.
        reason: String,
    },
    /// Not tried: it goes back to its place.
    Released,
}

/// Deliveries that are not, or no longer, in flight. The others of the call were settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale(pub Vec<DeliveryId>);

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} deliveries are not in flight at this sink", self.0.len())
    }
}

impl std::error::Error for Stale {}

/// What settling needs besides the sink.
pub(super) struct Desk<'a> {
    pub(super) sink: &'a mut Sink,
    pub(super) streams: &'a mut [Stream],
    pub(super) journal: &'a mut Journal,
    pub(super) chance: &'a mut Chance,
    pub(super) now: Now,
    /// Room was made in a stream.
    pub(super) freed: bool,
    /// The delay of those that were tried so often.
    pub(super) drawn: Option<(u32, u64)>,
}

/// What is to become of a delivery. It is decided when the sink says its outcome, and done when that is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Done { reference: Option<String> },
    Park(Cause),
    DropGone,
    Retry { delay_ms: u64, tries: u32, attempts: u32 },
    TakeBack { reason: String },
    Wait,
}

impl Desk<'_> {
    /// Decides about one delivery; `None` if it is not in flight, or if it was decided about before.
    pub(super) fn decide(&mut self, id: DeliveryId, outcome: Outcome) -> Option<Decision> {
        let held = self.sink.lanes.undecided(id)?;
        Some(match outcome {
            Outcome::Done { reference } => Decision::Done { reference },
            Outcome::Refused { code, reason } => Decision::Park(Cause::Refused { code, reason }),
            Outcome::InDoubt { code, reason } => Decision::Park(Cause::InDoubt { code, reason }),
            Outcome::TakenBack { reason } => Decision::TakeBack { reason },
            Outcome::Retry { .. } | Outcome::Released if held.gone => Decision::DropGone,
            Outcome::Released => Decision::Wait,
            Outcome::Retry { after_ms, judged, reason } => {
                let delivered = self.sink.counts.delivered;
                let counts = judged && held.mark.is_some_and(|mark| delivered > mark);
                let (tries, attempts) = (held.tries + u32::from(counts), held.attempts.saturating_add(1));
                let full = tries >= self.sink.config.tries;
                self.sink.counts.retries += 1;
                self.sink.lanes.change(id, |held| (held.tries, held.attempts) = (tries, attempts));
                if full {
                    Decision::Park(Cause::Tries { reason })
                } else {
                    let delay_ms = self.delay(attempts).max(after_ms.unwrap_or(0).min(AFTER_MAX_MS));
                    Decision::Retry { delay_ms, tries, attempts }
                }
            }
        })
    }

    /// Does what was decided, unless the delivery has gone with its sink.
    pub(super) fn apply(&mut self, id: DeliveryId, decision: Decision) {
        let in_flight = self.sink.lanes.get(id).filter(|held| held.phase == Phase::InFlight);
        let Some(lane) = in_flight.map(|held| held.lane) else { return };
        match decision {
            Decision::Done { reference } => self.done(id, reference),
            Decision::Park(cause) => self.park(id, cause),
            Decision::DropGone => self.drop_gone(id),
            Decision::TakeBack { reason } => self.take_back(id, reason),
            Decision::Retry { .. } | Decision::Wait if self.is_gone(id) => self.drop_gone(id),
            Decision::Retry { delay_ms, .. } => self.retry(id, delay_ms),
            Decision::Wait => self.wait(id, 0),
        }
        self.sink.promote(lane, self.now.steady_ms);
    }

    fn is_gone(&self, id: DeliveryId) -> bool {
        self.sink.lanes.get(id).is_some_and(|held| held.gone)
    }

    fn done(&mut self, id: DeliveryId, reference: Option<String>) {
        let Some((held, record)) = self.leave(id, End::Delivered) else { return };
        self.sink.counts.delivered += 1;
        self.finish(&held, &record);
        self.write(&held, &record, Settled::Delivered { reference });
        self.sink.follow(held.lane, self.now);
    }

    fn drop_gone(&mut self, id: DeliveryId) {
        let Some((held, record)) = self.leave(id, End::Dropped) else { return };
        self.sink.counts.dropped += 1;
        self.finish(&held, &record);
        self.write(&held, &record, Settled::Dropped);
    }

    fn take_back(&mut self, id: DeliveryId, reason: String) {
        let Some((held, record)) = self.leave(id, End::Dropped) else { return };
        self.sink.counts.skipped += 1;
        self.sink.counts.taken_back += 1;
        self.finish(&held, &record);
        self.write(&held, &record, Settled::Skipped { reason, posted_as: None });
        self.sink.follow(held.lane, self.now);
    }

    fn park(&mut self, id: DeliveryId, cause: Cause) {
        let Some((held, record)) = self.leave(id, End::Parked) else { return };
        let blocking = self.sink.blocks(&cause);
        if mutant::is(Mutant::ParkedAfter) {
            self.sink.note_parked(&held, &record, &cause, blocking, self.now.wall_ms);
        }
        self.sink.parked.add(&held, &record, cause, blocking, self.now.wall_ms);
        if !held.copy {
            self.freed |= self.sink.finish(self.streams, held.stream, held.seq);
        }
        self.freed |= self.sink.spill(self.streams, held.lane, self.now);
        self.sink.follow(held.lane, self.now);
    }

    /// After how many milliseconds an event is tried again. What failed together comes again together: one request is
    /// one request again, and not as many as it had events.
    fn delay(&mut self, attempts: u32) -> u64 {
        if let Some((_, delay)) = self.drawn.filter(|(drawn, _)| *drawn == attempts) {
            return delay;
        }
        let ceiling = DELAY_BASE_MS
            .saturating_mul(1 << attempts.saturating_sub(1).min(32))
            .min(self.sink.config.delay_max_ms);
        let delay = self.chance.up_to(ceiling);
        self.drawn = Some((attempts, delay));
        delay
    }

    fn retry(&mut self, id: DeliveryId, delay_ms: u64) {
        let delivered = self.sink.counts.delivered;
        self.sink.lanes.change(id, |held| {
            held.redelivered = true;
            held.mark = Some(delivered);
        });
        self.wait(id, delay_ms);
    }

    /// From in flight back to waiting.
    fn wait(&mut self, id: DeliveryId, delay_ms: u64) {
        let due_ms = self.now.steady_ms + delay_ms;
        let Some(held) = self.sink.lanes.get(id) else { return };
        let (copy, bytes) = (held.copy, held.record.as_ref().map_or(0, |record| record.len() as u64));
        self.sink.leave_flight(copy, bytes);
        self.sink.counts.queued += 1;
        self.sink.lanes.change(id, |held| {
            held.phase = Phase::Waiting { due_ms };
            (held.settling, held.returning) = (false, false);
            if !held.copy {
                held.record = None;
            }
        });
        if delay_ms > 0 {
            self.sink.due.push(std::cmp::Reverse((due_ms, id)));
        }
        let Some(lane) = self.sink.lanes.get(id).map(|held| held.lane) else { return };
        // Several of a key may be in flight, and one before it may have been parked meanwhile.
        self.freed |= self.sink.spill(self.streams, lane, self.now);
    }

    fn leave(&mut self, id: DeliveryId, how: End) -> Option<(Held, Record)> {
        let held = self.sink.lanes.remove(id)?;
        self.sink.replay_ended(&held, how);
        let record = held.record.clone()?;
        self.sink.leave_flight(held.copy, record.len() as u64);
        Some((held, record))
    }

    fn finish(&mut self, held: &Held, record: &Record) {
        if held.copy {
            self.sink.parked.release(record.len() as u64);
        } else {
            self.freed |= self.sink.finish(self.streams, held.stream, held.seq);
        }
    }

    fn write(&mut self, held: &Held, record: &Record, what: Settled) {
        self.journal.write(Settlement {
            at_ms: self.now.wall_ms,
            sink: self.sink.no,
            stream: held.stream,
            seq: held.seq,
            id: Stored::read(record.bytes()).id,
            lane: held.lane,
            ordinal: held.ordinal,
            tries: held.tries,
            what,
        });
    }
}

impl Sink {
    pub(super) fn leave_flight(&mut self, copy: bool, bytes: u64) {
        self.counts.in_flight -= 1;
        if !copy {
            self.reserved.0 -= 1;
            self.reserved.1 -= bytes;
        }
    }

    /// Ends the effect of a delivery about which something was decided.
    pub(super) fn end_effect(&mut self, id: DeliveryId, decision: &Decision, at_ms: u64) {
        let how = match decision {
            Decision::Done { reference } => Some(Ending::Posted { reference: reference.as_deref() }),
            Decision::Park(cause) => Ending::parked(cause),
            Decision::DropGone => Some(Ending::Dropped),
            Decision::TakeBack { reason } => Some(Ending::TakenBack { reason }),
            Decision::Retry { .. } | Decision::Wait => None,
        };
        if let (Some(how), Some(held)) = (how, self.lanes.get(id)) {
            let event = held.record.as_ref().map_or(0, |record| Stored::read(record.bytes()).id);
            self.effects.end(held.ordinal, event, at_ms, how);
        }
    }

    /// Marks an event of a log as finished at this sink. Says whether that made room.
    pub(super) fn finish(&mut self, streams: &mut [Stream], stream: StreamNo, seq: u64) -> bool {
        let open = self.cursor(stream).is_some_and(|cursor| cursor.finish(seq));
        open && streams.get_mut(usize::from(stream)).is_some_and(|stream| stream.finish(seq))
    }

    /// Moves events of a lane that wait for a parked one to the parked ones, as far as it is their turn and there is
    /// room.
    pub(super) fn spill(&mut self, streams: &mut [Stream], lane: u64, now: Now) -> bool {
        let mut freed = false;
        while let Some(id) = self.blocked(lane) {
            let turn = self.turn(now.steady_ms);
            let Some(held) = self.lanes.get(id) else { break };
            if !held.copy && (held.ordinal > turn || !self.may_park(0)) {
                self.spilled.insert(lane);
                break;
            }
            let logged = || streams.get(usize::from(held.stream))?.read(held.seq);
            let Some(record) = held.record.clone().or_else(logged) else {
                self.spilled.insert(lane);
                break;
            };
            if !held.copy && !self.may_park(record.len() as u64) {
                self.spilled.insert(lane);
                break;
            }
            let Some(held) = self.lanes.remove(id) else { break };
            self.counts.queued -= 1;
            self.replay_ended(&held, End::Parked);
            self.note_parked(&held, &record, &Cause::Behind, true, now.wall_ms);
            self.parked.add(&held, &record, Cause::Behind, true, now.wall_ms);
            if !held.copy {
                self.ready.parked();
                freed |= self.finish(streams, held.stream, held.seq);
            }
        }
        freed
    }

    /// An event of a lane that waits in vain: one before it is parked.
    fn blocked(&self, lane: u64) -> Option<DeliveryId> {
        let first = self.parked.first_blocking(lane)?;
        let waits = |held: &Held| held.phase != Phase::InFlight && held.ordinal > first;
        self.lanes.line(lane).find(|&id| self.lanes.get(id).is_some_and(waits))
    }

    /// Lets the events flow that only waited for one that is no longer parked.
    pub(super) fn follow(&mut self, lane: u64, now: Now) {
        while let Some(number) = self.parked.first_blocking(lane) {
            if self.parked.get(number).is_none_or(|event| event.cause.is_own() || event.decided) {
                return;
            }
            self.note_unparked(number);
            self.unpark(number, now);
        }
        self.promote(lane, now.steady_ms);
    }

    /// Lets the events flow that wait behind nothing: an earlier life of the node ended when the one before them had
    /// been decided about, and before it was written that they go.
    pub(super) fn refollow(&mut self) {
        for lane in self.parked.blocked_lanes() {
            let first = self.parked.first_blocking(lane);
            let held = self.lanes.line(lane).filter_map(|id| self.lanes.get(id));
            let tried = held.filter(|held| held.copy).map(|held| held.ordinal).min();
            if tried.is_none_or(|tried| first < Some(tried)) {
                self.follow(lane, Now::default());
            }
        }
    }

    /// Notes that a parked event is tried again.
    pub(super) fn note_unparked(&mut self, number: u64) {
        let stream = self.parked.get(number).map(|event| event.stream);
        if stream.is_some_and(|stream| self.is_durable(stream)) {
            self.facts.note(&Fact::Unparked { sink: self.no, ordinal: number });
        }
    }

    /// Puts a parked event back into its lane.
    pub(super) fn unpark(&mut self, number: u64, now: Now) {
        let Some(event) = self.parked.take(number) else { return };
        let ParkedEvent { stream, seq, lane, redelivered, record, .. } = event;
        let mut held = Held::waiting(lane, number, stream, seq);
        held.record = Some(record);
        held.copy = true;
        held.redelivered = redelivered;
        held.first = self.goes_first(stream);
        self.enqueue(held, now.steady_ms);
    }
}
