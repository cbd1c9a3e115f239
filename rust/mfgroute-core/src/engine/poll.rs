//! Handing out: what is ready in the lanes, then what is new in the logs.

use std::sync::Arc;

use mfgroute_log::Record;
use mfgroute_log::mutant::{self, Mutant};

use super::clock::Now;
use super::config::StreamNo;
use super::effect::Begun;
use super::job;
use super::lanes::{DeliveryId, Held, Phase};
use super::parked::Cause;
use super::settle::Decision;
use super::sink::Sink;
use super::stored::Stored;
use super::stream::Stream;

/// Records looked at under one lock.
const SCAN_MAX: usize = 4_096;

/// One attempt to hand one event to one sink.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// What [`settle`](super::Engine::settle) is told.
    pub id: DeliveryId,
    /// The stream.
    pub stream: StreamNo,
    /// The offset in the stream.
    pub seq: u64,
    /// Counted tries so far.
    pub tries: u32,
    /// The target may have seen it before.
    pub redelivered: bool,
    /// It is of a replay: somebody wants it to come again.
    pub replayed: bool,
    /// What was written down to be sent for it before.
    pub begun: Option<Begun>,
    /// The document by which a person has booked it meanwhile: it is not to be sent.
    pub booked: Option<Arc<str>>,
    record: Record,
}

impl Delivery {
    /// The event id.
    #[must_use]
    pub fn event_id(&self) -> u128 {
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

/// An event that was not taken from its log yet, as it will stand in its lane.
struct New {
    held: Held,
    record: Record,
}

/// What a look for the bytes of an event comes to.
enum Bytes {
    Read(Record),
    /// For now.
    Unreadable,
    /// The bound on parked events has no room for them.
    TooMany,
}

/// One poll of one sink.
pub(super) struct Poll<'a> {
    pub(super) sink: &'a mut Sink,
    pub(super) streams: &'a mut [Stream],
    pub(super) events_max: usize,
    pub(super) bytes_max: u64,
    pub(super) now: Now,
    pub(super) batch: Vec<Delivery>,
    bytes: u64,
    scanned: usize,
    /// Room was made in a stream.
    pub(super) freed: bool,
    /// A replay may go on: not while the node stops.
    pub(super) replays: bool,
}

impl<'a> Poll<'a> {
    pub(super) fn new(sink: &'a mut Sink, streams: &'a mut [Stream], max: (usize, u64), now: Now) -> Self {
        let (events_max, bytes_max) = max;
        Self {
            sink,
            streams,
            events_max,
            bytes_max,
            now,
            batch: Vec::new(),
            bytes: 0,
            scanned: 0,
            freed: false,
            replays: true,
        }
    }

    /// Fills the batch. Says whether there is more to look at although the batch is empty.
    pub(super) fn run(&mut self) -> bool {
        self.sink.wake_due(self.now.steady_ms);
        let fed = self.replays && self.feed();
        self.spill();
        if self.look_ahead() {
            return true;
        }
        if self.drain_ready() {
            // Nothing is ready any more: it is their turn.
            self.spill();
            self.scan_logs();
        }
        self.batch.is_empty() && (fed || self.scanned >= SCAN_MAX)
    }

    /// Parks what waits in the lanes for a parked event, as far as it is its turn and there is room.
    fn spill(&mut self) {
        for lane in std::mem::take(&mut self.sink.spilled) {
            self.freed |= self.sink.spill(self.streams, lane, self.now);
            if !self.sink.spilled.contains(&lane) {
                self.sink.promote(lane, self.now.steady_ms);
            }
        }
    }

    /// Takes what was admitted before the newest event that goes first into its lanes, as far as the cursors reach, so
    /// that this event can go before those of other keys, and still comes after those of its own. Says whether there is
    /// more of it. Nothing is parked here: what waits for a parked event would take the room of what comes before it.
    fn look_ahead(&mut self) -> bool {
        while self.has_first() {
            if self.scanned >= SCAN_MAX {
                return true;
            }
            let Some(New { held, .. }) = self.next_new(false) else { break };
            let (lane, first) = (held.lane, held.first);
            if self.sink.parked.blocks(lane, held.ordinal) {
                self.sink.spilled.insert(lane);
            }
            let waiting = self.sink.lanes.load(lane).1;
            self.take(held);
            // One on the list is enough, but for an event that takes those before it along.
            if waiting == 0 || first {
                self.sink.promote(lane, self.now.steady_ms);
            }
        }
        self.scanned >= SCAN_MAX && self.has_first()
    }

    /// Whether the cursors have something before them in a stream whose events go first.
    fn has_first(&self) -> bool {
        let streams = self.streams.iter().zip(&self.sink.cursors).zip(&self.sink.first);
        streams.into_iter().any(|((stream, cursor), first)| *first && cursor.next() < stream.log.visible())
    }

    /// Takes events of a replay whose turn it is, as far as the bounds on parked events have room for their bytes.
    /// Says whether there may be more.
    fn feed(&mut self) -> bool {
        let (now_ms, mut bytes) = (self.now.steady_ms, 0);
        for _ in 0..job::AHEAD.0 {
            if bytes >= job::AHEAD.1 || !self.sink.may_park(0) {
                return bytes >= job::AHEAD.1;
            }
            let Some(job) = &mut self.sink.job else { return false };
            let Some(chosen) = job.next(now_ms) else { return false };
            let stream = self.streams.get(usize::from(chosen.stream));
            // One that was replayed into the parked ones before is theirs, and an offset may have another event now.
            let same = |record: &Record| Stored::read(record.bytes()).ordinal == chosen.ordinal;
            let free = self.sink.parked.get(chosen.ordinal).is_none();
            let record = stream.and_then(|stream| stream.read(chosen.seq)).filter(same);
            let Some(record) = record.filter(|_| free) else {
                job.gone(chosen);
                self.sink.promote(chosen.lane, now_ms);
                continue;
            };
            let size = record.len() as u64;
            bytes += size;
            job.take(chosen, size);
            let mut held = self.sink.taken(chosen.lane, chosen.ordinal, chosen.stream, chosen.seq);
            (held.copy, held.replayed, held.redelivered, held.first) = (true, true, true, false);
            held.record = Some(record.detached());
            self.sink.parked.hold(size);
            self.sink.counts.matched += 1;
            self.sink.enqueue(held, now_ms);
            self.freed |= self.sink.spill(self.streams, chosen.lane, self.now);
            self.sink.promote(chosen.lane, now_ms);
        }
        true
    }

    /// Hands out what is ready. Says whether the batch has room for more.
    fn drain_ready(&mut self) -> bool {
        let mut held_back = Vec::new();
        let (mut room, mut full) = (true, false);
        while self.batch.len() < self.events_max {
            // Once the bound on parked events is reached, only those go on that it does not stop.
            let Some(entry) = self.sink.ready.pop(full) else { break };
            let Some(held) = self.sink.may_go(entry, self.now.steady_ms) else { continue };
            let (lane, passes) = (held.lane, held.copy || self.sink.must_pass(held.lane));
            let record = match self.bytes_of(held, passes) {
                Bytes::Read(record) => record,
                Bytes::Unreadable => {
                    held_back.push(entry);
                    continue;
                }
                Bytes::TooMany => {
                    full = true;
                    if entry.copies {
                        held_back.push(entry);
                    } else {
                        self.sink.ready.put_back(entry);
                    }
                    continue;
                }
            };
            if !self.fits(&record) {
                self.sink.ready.put_back(entry);
                room = false;
                break;
            }
            self.sink.ready.gone(entry.first);
            self.hand_out(entry.id, record);
            if !self.sink.config.one_per_key {
                self.sink.promote(lane, self.now.steady_ms);
            }
        }
        let stopped = full || !held_back.is_empty();
        for entry in held_back {
            self.sink.ready.push(entry.id, entry.first, entry.copies);
        }
        room && !stopped && self.batch.len() < self.events_max
    }

    /// Goes through the logs in order of admission.
    fn scan_logs(&mut self) {
        while self.batch.len() < self.events_max && self.scanned < SCAN_MAX {
            let Some(New { held, record }) = self.next_new(true) else { return };
            let (in_flight, waiting) = self.sink.lanes.load(held.lane);
            let held_up = self.sink.lanes.is_held_up(held.lane) || self.sink.is_replayed(held.lane);
            let behind = waiting > 0 || held_up;
            if behind || (in_flight > 0 && self.sink.config.one_per_key) {
                let (lane, first) = (held.lane, held.first);
                self.take(held);
                if first {
                    self.sink.promote(lane, self.now.steady_ms);
                }
                continue;
            }
            if !self.fits(&record) || !self.sink.may_hand_out(record.len() as u64, false) {
                return;
            }
            self.sink.ready.gone(held.first);
            let id = self.take(held);
            self.hand_out(id, record);
        }
    }

    /// The next event that the cursors have not taken. If those that wait for a parked one are to be parked, the next
    /// one that does not.
    fn next_new(&mut self, park: bool) -> Option<New> {
        while self.scanned < SCAN_MAX {
            let (stream, seq) = self.next_wanted()?;
            let record = self.streams.get(usize::from(stream))?.read(seq)?;
            let stored = Stored::read(record.bytes());
            if !park || !self.sink.parked.blocks(stored.lane, stored.ordinal) {
                let held = self.sink.seen(stored.lane, stored.ordinal, stream, seq);
                return Some(New { held, record });
            }
            if !self.sink.may_park(record.len() as u64) {
                return None;
            }
            let held = self.sink.taken(stored.lane, stored.ordinal, stream, seq);
            self.sink.note_parked(&held, &record, &Cause::Behind, true, self.now.wall_ms);
            self.sink.parked.add(&held, &record, Cause::Behind, true, self.now.wall_ms);
            self.pass(stream);
            self.sink.counts.queued -= 1;
            self.freed |= self.sink.finish(self.streams, stream, seq);
        }
        None
    }

    /// The oldest event that the cursors have not taken and the sink wants.
    fn next_wanted(&mut self) -> Option<(StreamNo, u64)> {
        let mut oldest: Option<(u64, StreamNo, u64)> = None;
        let no = self.sink.no;
        for (stream, cursor) in
            self.streams.iter().zip(&mut self.sink.cursors).enumerate().map(|(n, (s, c))| {
                let pair: (StreamNo, &Stream) = (n as StreamNo, s);
                (pair, c)
            })
        {
            let (number, stream) = stream;
            cursor.skip_to(stream.log.floor());
            while cursor.next() < stream.log.visible() {
                // What cannot be read could be of a key that comes next elsewhere.
                let record = stream.read(cursor.next())?;
                if !cursor.has_reach() {
                    // What lies beyond could be of a key that comes next elsewhere.
                    return None;
                }
                let stored = Stored::read(record.bytes());
                if stored.wants(no) {
                    if oldest.is_none_or(|(ordinal, ..)| stored.ordinal < ordinal) {
                        oldest = Some((stored.ordinal, number, cursor.next()));
                    }
                    break;
                }
                if self.scanned >= SCAN_MAX {
                    return None;
                }
                self.scanned += 1;
                if let Some(seq) = cursor.take() {
                    cursor.finish(seq);
                }
            }
        }
        let hidden = self.streams.iter().filter_map(Stream::hidden).min();
        oldest
            .filter(|&(ordinal, ..)| hidden.is_none_or(|hidden| ordinal < hidden))
            .map(|(_, stream, seq)| (stream, seq))
    }

    /// Takes an event from its log into its lane.
    fn take(&mut self, held: Held) -> DeliveryId {
        self.pass(held.stream);
        self.sink.tried.remove(&(held.stream, held.seq));
        self.sink.lanes.add(held)
    }

    fn pass(&mut self, stream: StreamNo) {
        self.scanned += 1;
        self.sink.cursor(stream).and_then(mfgroute_log::Cursor::take);
    }

    fn fits(&self, record: &Record) -> bool {
        self.batch.is_empty() || self.bytes + record.len() as u64 <= self.bytes_max
    }

    /// The bytes of an event, if the bound on parked events has room for them, or if it passes that.
    fn bytes_of(&self, held: &Held, passes: bool) -> Bytes {
        let has_room = |bytes| passes || self.sink.may_hand_out(bytes, false);
        if !has_room(0) {
            return Bytes::TooMany;
        }
        let logged = || self.streams.get(usize::from(held.stream))?.read(held.seq);
        match held.record.clone().or_else(logged) {
            None => Bytes::Unreadable,
            Some(record) if has_room(record.len() as u64) => Bytes::Read(record),
            Some(_) => Bytes::TooMany,
        }
    }

    fn hand_out(&mut self, id: DeliveryId, record: Record) {
        let bytes = record.len() as u64;
        let counts = &mut self.sink.counts;
        counts.queued -= 1;
        counts.in_flight += 1;
        let delivered = counts.delivered;
        self.bytes += bytes;
        self.sink.lanes.change(id, |held| {
            held.phase = Phase::InFlight;
            held.record = Some(record.clone());
            held.mark.get_or_insert(delivered);
        });
        let Some(held) = self.sink.lanes.get(id) else { return };
        if !held.copy {
            self.sink.reserved.0 += 1;
            self.sink.reserved.1 += bytes;
        }
        if mutant::is(Mutant::CursorBeforeEffect) {
            self.sink.note_decision(id, &Decision::Done { reference: None }, self.now.wall_ms);
        }
        let Some(held) = self.sink.lanes.get(id) else { return };
        let (stream, seq, tries) = (held.stream, held.seq, held.tries);
        let (redelivered, replayed) = (held.redelivered, held.replayed);
        let begun = self.sink.effects.begun(held.ordinal).cloned();
        let booked = &self.sink.effects.booked;
        let booked = booked.document(Stored::read(record.bytes()).id).cloned();
        self.batch.push(Delivery { id, stream, seq, tries, redelivered, replayed, begun, booked, record });
    }
}
