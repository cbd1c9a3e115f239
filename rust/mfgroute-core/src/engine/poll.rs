//! Handing out: what is ready in the lanes, then what is new in the logs.

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
        for lane in std::mem::take(&mut self.sink.spilled) {
            self.freed |= self.sink.spill(self.streams, lane, self.now);
            self.sink.promote(lane, self.now.steady_ms);
        }
        if self.drain_ready() {
            self.scan_logs();
        }
        self.batch.is_empty() && (fed || self.scanned >= SCAN_MAX)
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
            (held.copy, held.replayed, held.redelivered) = (true, true, true);
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
        let mut room = true;
        while self.batch.len() < self.events_max {
            let Some(id) = self.sink.ready.pop_front() else { break };
            let Some(held) = self.sink.lanes.get(id) else { continue };
            let (lane, copy) = (held.lane, held.copy);
            if self.sink.next_of(lane, self.now.steady_ms) != Some(id) {
                continue;
            }
            let Some(record) = self.bytes_of(held) else {
                held_back.push(id);
                continue;
            };
            if !self.fits(&record) {
                self.sink.ready.push_front(id);
                room = false;
                break;
            }
            if !self.sink.may_hand_out(record.len() as u64, copy) && !self.sink.must_pass(lane) {
                held_back.push(id);
                continue;
            }
            self.hand_out(id, record);
            if !self.sink.config.one_per_key {
                self.sink.promote(lane, self.now.steady_ms);
            }
        }
        let stopped = !held_back.is_empty();
        self.sink.ready.extend(held_back);
        room && !stopped && self.batch.len() < self.events_max
    }

    /// Goes through the logs in order of admission.
    fn scan_logs(&mut self) {
        while self.batch.len() < self.events_max && self.scanned < SCAN_MAX {
            let Some((stream, seq)) = self.next_wanted() else { return };
            let Some(record) = self.streams.get(usize::from(stream)).and_then(|s| s.read(seq)) else {
                return;
            };
            let stored = Stored::read(record.bytes());
            let held = self.sink.taken(stored.lane, stored.ordinal, stream, seq);
            let bytes = record.len() as u64;
            if self.sink.parked.blocks(held.lane, held.ordinal) {
                if !self.sink.may_park(bytes) {
                    return;
                }
                self.sink.note_parked(&held, &record, &Cause::Behind, true, self.now.wall_ms);
                self.sink.parked.add(&held, &record, Cause::Behind, true, self.now.wall_ms);
                self.take(stream);
                self.sink.counts.queued -= 1;
                self.freed |= self.sink.finish(self.streams, stream, seq);
                continue;
            }
            let (in_flight, waiting) = self.sink.lanes.load(held.lane);
            let behind = waiting > 0 || self.sink.is_replayed(held.lane);
            if behind || (in_flight > 0 && self.sink.config.one_per_key) {
                self.take(stream);
                self.sink.lanes.add(held);
                continue;
            }
            if !self.fits(&record) || !self.sink.may_hand_out(bytes, false) {
                return;
            }
            self.take(stream);
            let id = self.sink.lanes.add(held);
            self.hand_out(id, record);
        }
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

    fn take(&mut self, stream: StreamNo) {
        self.scanned += 1;
        self.sink.cursor(stream).and_then(mfgroute_log::Cursor::take);
    }

    fn fits(&self, record: &Record) -> bool {
        self.batch.is_empty() || self.bytes + record.len() as u64 <= self.bytes_max
    }

    fn bytes_of(&self, held: &Held) -> Option<Record> {
        let logged = || self.streams.get(usize::from(held.stream))?.read(held.seq);
        held.record.clone().or_else(logged)
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
        self.batch.push(Delivery { id, stream, seq, tries, redelivered, replayed, begun, record });
    }
}
