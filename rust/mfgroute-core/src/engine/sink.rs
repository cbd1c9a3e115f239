//! A sink: cursors, lanes, parked events and counters.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use mfgroute_log::mutant::{self, Mutant};
use mfgroute_log::{Cursor, Record};

use super::clock::Now;
use super::config::{OnRefused, SinkConfig, SinkNo, StreamNo};
use super::effect::{Effects, Ending};
use super::fact::{At, End, Fact, Facts};
use super::job::{self, Job};
use super::journal::{Journal, Settled, Settlement};
use super::lanes::{DeliveryId, Held, Lanes, Phase};
use super::parked::{Cause, Parked};
use super::ready::{Entry, Ready};
use super::settle::Decision;
use super::stored::Stored;

/// What a sink has counted. `queued` and `in_flight` are kept by each step, not derived.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SinkCounts {
    pub(super) matched: u64,
    pub(super) delivered: u64,
    pub(super) queued: u64,
    pub(super) in_flight: u64,
    pub(super) skipped: u64,
    /// Those of the skipped that were edited.
    pub(super) superseded: u64,
    /// Those of the skipped that another event took back before they were sent.
    pub(super) taken_back: u64,
    pub(super) dropped: u64,
    pub(super) retries: u64,
}

#[derive(Debug)]
pub(super) struct Sink {
    pub(super) no: SinkNo,
    pub(super) config: SinkConfig,
    pub(super) present: bool,
    pub(super) paused: bool,
    /// By stream.
    pub(super) cursors: Vec<Cursor>,
    pub(super) lanes: Lanes,
    /// Events that may be handed out.
    pub(super) ready: Ready,
    /// Events that wait for a time.
    pub(super) due: BinaryHeap<Reverse<(u64, DeliveryId)>>,
    pub(super) parked: Parked,
    /// Lanes whose later events found no room among the parked ones.
    pub(super) spilled: BTreeSet<u64>,
    pub(super) counts: SinkCounts,
    /// Number and bytes of events in flight that have no copy among the parked ones yet.
    pub(super) reserved: (u64, u64),
    /// What happened and is not in the node's log yet.
    pub(super) facts: Facts,
    /// Streams whose events are on a disk.
    pub(super) durable: Vec<bool>,
    /// Streams whose events go before those of others.
    pub(super) first: Vec<bool>,
    /// Tries that an earlier life of the node made, by stream and number.
    pub(super) tried: BTreeMap<(StreamNo, u64), (u32, u32)>,
    /// Events below, by stream, may have been sent by an earlier life of the node.
    pub(super) sent_to: Vec<u64>,
    /// The replay under way, or the last one until it is seen to be over.
    pub(super) job: Option<Box<Job>>,
    /// What is sent for events in flight and parked, and what is told of it.
    pub(super) effects: Effects,
}

impl Sink {
    pub(super) fn new(no: SinkNo, config: SinkConfig) -> Self {
        Self {
            no,
            config,
            present: true,
            paused: false,
            cursors: Vec::new(),
            lanes: Lanes::default(),
            ready: Ready::default(),
            due: BinaryHeap::new(),
            parked: Parked::default(),
            spilled: BTreeSet::new(),
            counts: SinkCounts::default(),
            reserved: (0, 0),
            facts: Facts::default(),
            durable: Vec::new(),
            first: Vec::new(),
            tried: BTreeMap::new(),
            sent_to: Vec::new(),
            job: None,
            effects: Effects::default(),
        }
    }

    /// Whether what becomes of an event of a stream is to be durable.
    pub(super) fn is_durable(&self, stream: StreamNo) -> bool {
        self.facts.on && self.durable.get(usize::from(stream)).copied().unwrap_or(false)
    }

    /// Notes that an event is parked.
    pub(super) fn note_parked(
        &mut self,
        held: &Held,
        record: &Record,
        cause: &Cause,
        blocking: bool,
        at_ms: u64,
    ) {
        if self.is_durable(held.stream) {
            let redelivered = held.redelivered || cause.is_own();
            self.facts.note(&parked(self.no, held, record, cause, (blocking, redelivered, at_ms)));
        }
    }

    /// An event as it is first taken from a log.
    pub(super) fn taken(&mut self, lane: u64, ordinal: u64, stream: StreamNo, seq: u64) -> Held {
        let held = self.seen(lane, ordinal, stream, seq);
        self.tried.remove(&(stream, seq));
        held
    }

    /// An event of a log that may be left there for now.
    pub(super) fn seen(&self, lane: u64, ordinal: u64, stream: StreamNo, seq: u64) -> Held {
        let mut held = Held::waiting(lane, ordinal, stream, seq);
        if let Some(&(tries, attempts)) = self.tried.get(&(stream, seq)) {
            (held.tries, held.attempts) = (tries, attempts);
        }
        held.redelivered = self.sent_to.get(usize::from(stream)).is_some_and(|&end| seq < end);
        held.first = self.goes_first(stream);
        held
    }

    /// Whether events of a stream go before those of others.
    #[inline]
    pub(super) fn goes_first(&self, stream: StreamNo) -> bool {
        self.first.get(usize::from(stream)).copied().unwrap_or(false)
    }

    /// Learns of what streams events go first; what was taken from them before does so too. What is replayed does not.
    pub(super) fn put_first(&mut self, first: &[bool], now_ms: u64) {
        if self.first == first {
            return;
        }
        self.first = first.to_vec();
        let goes_first = |held: &Held| self.goes_first(held.stream) && !held.replayed;
        let changed: Vec<_> = self
            .lanes
            .iter()
            .filter(|(_, held)| goes_first(held) != held.first)
            .map(|(id, held)| (id, held.lane))
            .collect();
        for (id, lane) in changed {
            self.lanes.change(id, |held| held.first = !held.first);
            self.promote(lane, now_ms);
        }
    }

    pub(super) fn cursor(&mut self, stream: StreamNo) -> Option<&mut Cursor> {
        self.cursors.get_mut(usize::from(stream))
    }

    /// Whether the bound on parked events leaves room for one more to be handed out: whatever is in
    /// flight may have to be parked.
    pub(super) fn may_hand_out(&self, bytes: u64, is_copy: bool) -> bool {
        if is_copy {
            return true;
        }
        let (count, held) = self.committed();
        count == 0 || self.config.parked_max.holds(count + 1, held + bytes)
    }

    /// Whether the first event of a lane must go although the bound is reached: a person has retried
    /// all parked events, and those of this lane come after it. Without this nothing would ever move
    /// again; with it the bound may be passed by that one event.
    pub(super) fn must_pass(&self, lane: u64) -> bool {
        self.parked.counts().0 == 0 && self.reserved.0 == 0 && self.lanes.has_copy(lane)
    }

    /// Whether the bound on parked events leaves room to copy one more.
    pub(super) fn may_park(&self, bytes: u64) -> bool {
        let (count, held) = self.committed();
        self.config.parked_max.holds(count + 1, held + bytes)
    }

    /// Whether the bound on parked events has stopped the sink.
    pub(super) fn is_stopped(&self) -> bool {
        let (count, held) = self.parked.load();
        count > 0 && !self.config.parked_max.holds(count + 1, held + 1)
    }

    fn committed(&self) -> (u64, u64) {
        let (count, bytes) = self.parked.load();
        (count + self.reserved.0, bytes + self.reserved.1)
    }

    /// Whether an entry of the ready list may still go: its event is the next one of its lane, and what waits before
    /// one that goes first is on that list too.
    pub(super) fn may_go(&self, entry: Entry, now_ms: u64) -> Option<&Held> {
        let held = self.lanes.get(entry.id)?;
        let listed_twice = !entry.first && self.lanes.is_urgent(held.lane);
        (!listed_twice && self.next_of(held.lane, now_ms) == Some(entry.id)).then_some(held)
    }

    /// Up to which place in the order of admission it is the turn of what waits for a parked event to be parked. What
    /// was taken from the logs for the sake of one that goes first takes no room from what is ready and older, and
    /// none from what goes first unless it is the turn of the rest.
    pub(super) fn turn(&mut self, now_ms: u64) -> u64 {
        if !self.first.contains(&true) {
            return u64::MAX;
        }
        while let Some(entry) = self.ready.pop_rest() {
            if let Some(ordinal) = self.may_go(entry, now_ms).map(|held| held.ordinal) {
                self.ready.put_back(entry);
                return ordinal;
            }
        }
        if self.ready.is_turn_of_rest() { u64::MAX } else { 0 }
    }

    /// Makes the next event of a lane ready, if there is one and nothing forbids it. It goes first if one that waits
    /// behind it does.
    pub(super) fn promote(&mut self, lane: u64, now_ms: u64) {
        if let Some(id) = self.next_of(lane, now_ms) {
            self.ready.push(id, self.lanes.is_urgent(lane), self.lanes.has_copy(lane));
        }
    }

    /// Whether events of a lane wait for a replay.
    #[inline]
    pub(super) fn is_replayed(&self, lane: u64) -> bool {
        self.job.as_ref().is_some_and(|job| job.holds(lane))
    }

    /// The event of a lane that may be handed out now.
    pub(super) fn next_of(&self, lane: u64, now_ms: u64) -> Option<DeliveryId> {
        let replayed = self.is_replayed(lane);
        if (self.config.one_per_key || replayed) && self.lanes.load(lane).0 > 0 {
            return None;
        }
        if self.lanes.is_held_up(lane) {
            return None;
        }
        let id = self.lanes.first_waiting(lane)?;
        let held = self.lanes.get(id)?;
        // What comes behind an event that the replay has not sent yet waits for it; what comes before it goes first.
        if self.job.as_ref().is_some_and(|job| job.is_behind(lane, held.ordinal)) {
            return None;
        }
        let due = matches!(held.phase, Phase::Waiting { due_ms } if due_ms <= now_ms);
        (due && !self.parked.blocks(lane, held.ordinal)).then_some(id)
    }

    /// Notes that an event which leaves its lane has ended, if it was of a replay.
    pub(super) fn replay_ended(&mut self, held: &Held, how: job::End) {
        if held.replayed
            && let Some(job) = &mut self.job
        {
            job.ended(held.ordinal, how);
        }
    }

    /// Adds an event to its lane as waiting.
    pub(super) fn enqueue(&mut self, held: Held, now_ms: u64) {
        let lane = held.lane;
        let due = match held.phase {
            Phase::Waiting { due_ms } if due_ms > now_ms => Some(due_ms),
            _ => None,
        };
        let id = self.lanes.add(held);
        self.counts.queued += 1;
        match due {
            Some(due_ms) => self.due.push(Reverse((due_ms, id))),
            None => self.promote(lane, now_ms),
        }
    }

    /// Moves events whose time has come to the ready list.
    pub(super) fn wake_due(&mut self, now_ms: u64) {
        while let Some(&Reverse((due_ms, id))) = self.due.peek() {
            if due_ms > now_ms {
                return;
            }
            self.due.pop();
            if let Some(lane) = self.lanes.get(id).map(|held| held.lane) {
                self.promote(lane, now_ms);
            }
        }
    }

    /// Events that wait for a person, not in doubt and in doubt.
    pub(super) fn parked_counts(&self) -> (u64, u64) {
        let (all, in_doubt) = self.parked.counts();
        (all - in_doubt, in_doubt)
    }

    /// The sum of what became of the events, less their number: 0 unless events are unaccounted for.
    pub(super) fn unaccounted(&self) -> u64 {
        let (parked, in_doubt) = self.parked_counts();
        let c = &self.counts;
        let sum = c.delivered + c.queued + c.in_flight + parked + in_doubt + c.skipped + c.dropped;
        c.matched.abs_diff(sum)
    }
}

impl Sink {
    /// Notes what was decided about a delivery.
    pub(super) fn note_decision(&mut self, id: DeliveryId, decision: &Decision, at_ms: u64) {
        let mut facts = std::mem::take(&mut self.facts);
        self.write_decision(&mut facts, id, decision, at_ms);
        self.facts = facts;
    }

    /// Writes what was decided about a delivery.
    pub(super) fn write_decision(&self, facts: &mut Facts, id: DeliveryId, decision: &Decision, at_ms: u64) {
        let Some(held) = self.lanes.get(id) else { return };
        let Some(record) = &held.record else { return };
        let (id, lane, tries) = (Stored::read(record.bytes()).id, held.lane, held.tries);
        let at = held.at(self.no);
        let end =
            |how, text| Fact::Ended { at, end: End { how, at_ms, id, lane, tries, text, posted_as: None } };
        match decision {
            Decision::Done { reference } => facts.note(&end(0, reference.as_deref())),
            Decision::Park(_) if mutant::is(Mutant::ParkedAfter) => facts.note(&end(0, None)),
            Decision::DropGone => facts.note(&end(2, None)),
            Decision::TakeBack { reason } => facts.note(&end(4, Some(reason))),
            Decision::Retry { tries, attempts, .. } => {
                facts.note(&Fact::Tried { at, tries: *tries, attempts: *attempts });
            }
            Decision::Park(cause) => {
                facts.note(&parked(self.no, held, record, cause, (self.blocks(cause), true, at_ms)));
            }
            Decision::Wait => {}
        }
    }

    /// Whether an event that is parked for this cause holds up its key.
    pub(super) fn blocks(&self, cause: &Cause) -> bool {
        self.config.on_refused == OnRefused::ParkKey || matches!(cause, Cause::InDoubt { .. })
    }

    /// Gives up an event whose record leaves its log, and which was durable or not. In flight it keeps its bytes until
    /// it is settled.
    pub(super) fn lose(
        &mut self,
        (stream, seq, durable): (StreamNo, u64, bool),
        stored: &Stored<'_>,
        now: Now,
        journal: &mut Journal,
    ) {
        if self.cursor(stream).is_none_or(|cursor| cursor.is_finished(seq)) {
            return;
        }
        let this = |&id: &DeliveryId| {
            self.lanes.get(id).is_some_and(|held| !held.copy && held.stream == stream && held.seq == seq)
        };
        let found = self.lanes.line(stored.lane).find(this);
        let phase = found.and_then(|id| self.lanes.get(id)).map(|held| held.phase);
        let mut tries = 0;
        match (found, phase) {
            (Some(id), Some(Phase::InFlight)) => return self.lanes.change(id, |held| held.gone = true),
            (Some(id), _) => tries = self.lanes.remove(id).map_or(0, |held| held.tries),
            (None, _) => {}
        }
        // Of an event that may never have been nothing is said.
        if durable && self.is_durable(stream) {
            let at = At { sink: self.no, stream, seq, ordinal: stored.ordinal, copy: false };
            let (at_ms, id, lane) = (now.wall_ms, stored.id, stored.lane);
            let end = End { how: 2, at_ms, id, lane, tries, text: None, posted_as: None };
            self.facts.note(&Fact::Ended { at, end });
        }
        self.effects.end(stored.ordinal, stored.id, now.wall_ms, Ending::Dropped);
        self.counts.queued -= 1;
        self.counts.dropped += 1;
        let (id, lane, ordinal) = (stored.id, stored.lane, stored.ordinal);
        let (at_ms, sink, what) = (now.wall_ms, self.no, Settled::Dropped);
        journal.write(Settlement { at_ms, sink, stream, seq, id, tries, what, lane, ordinal });
        self.promote(lane, now.steady_ms);
    }
}

/// The fact that an event is parked: whether it blocks its key, may have been sent, and since when.
pub(super) fn parked<'a>(
    sink: SinkNo,
    held: &Held,
    record: &'a Record,
    cause: &'a Cause,
    (blocking, redelivered, at_ms): (bool, bool, u64),
) -> Fact<'a> {
    // One of a replay has its bytes nowhere else: it is written as when it is parked for the first time.
    let copy = held.copy && !held.replayed;
    let (number, code, reason) = match cause {
        Cause::Refused { code, reason } => (0, code.as_str(), reason.as_str()),
        Cause::Tries { reason } => (1, "", reason.as_str()),
        Cause::InDoubt { code, reason } => (2, code.as_str(), reason.as_str()),
        Cause::Behind => (3, "", ""),
    };
    Fact::Parked {
        at: At { copy, ..held.at(sink) },
        cause: number,
        code,
        reason,
        tries: held.tries,
        blocking,
        redelivered,
        at_ms,
        admitted_ms: record.at_ms(),
        record: if copy { &[] } else { record.bytes() },
    }
}
