//! What waits behind an event at a sink: later events of its key, such as one that takes it back.
//!
//! Lanes hold only what a poll has seen, and only by its number. So whoever asks keeps an [`Ahead`]: where the events that
//! it picks lie in the logs. Each record is looked at once for it, whatever the number of questions.

use mfgroute_log::Record;

use super::Engine;
use super::config::{SinkNo, StreamNo};
use super::intend::IntendError;
use super::lanes::{ByLane, DeliveryId, Phase};
use super::parked::Cause;
use super::sink::Sink;
use super::state::State;
use super::stored::Stored;

/// Says something of a record.
type Pick<'a> = &'a dyn Fn(&[u8]) -> bool;

/// Records looked at under one lock.
const SCAN_MAX: usize = if cfg!(test) { 64 } else { 4_096 };
/// Places that are kept before it is looked which of them are over.
const PLACES_LEAST: usize = 1_024;

/// Where the events of one sink lie that somebody picks, as far as the logs were read.
#[derive(Debug, Default)]
pub struct Ahead {
    /// Where to read on, by stream.
    next: Vec<u64>,
    found: ByLane<Vec<Place>>,
    places: usize,
    /// Number of places beyond which those are dropped that are over.
    most: usize,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    ordinal: u64,
    stream: StreamNo,
    seq: u64,
}

impl Ahead {
    fn add(&mut self, lane: u64, place: Place) {
        self.found.entry(lane).or_default().push(place);
        self.places += 1;
    }

    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.places
    }

    /// Forgets what the sink has finished, or holds itself.
    fn tidy(&mut self, sink: &Sink) {
        if self.places <= self.most.max(PLACES_LEAST) {
            return;
        }
        self.found.retain(|_, places| {
            places.retain(|place| is_open(sink, place));
            !places.is_empty()
        });
        self.places = self.found.values().map(Vec::len).sum();
        self.most = self.places * 2;
    }
}

/// Whether a sink has an event still before it, and not as a copy of its own.
fn is_open(sink: &Sink, place: &Place) -> bool {
    let cursor = sink.cursors.get(usize::from(place.stream));
    cursor.is_some_and(|cursor| !cursor.is_finished(place.seq))
}

impl Engine {
    /// The records of events of the same key that wait behind a delivery in flight, durable if their stream is, and for
    /// which nothing was sent; the oldest first.
    ///
    /// # Arguments
    ///
    /// * `ahead`: what was found before with the same `pick`, at the same sink.
    /// * `pick`: says of a record whether events like it are looked for, whatever they wait behind.
    /// * `wanted`: says of a picked record whether it is one of the answer.
    /// * `patient`: whether to read on, however much there is that was not looked at; else there is no answer then, but
    ///   a part of it was looked at.
    ///
    /// # Errors
    ///
    /// The delivery is not in flight.
    pub fn behind(
        &self,
        sink: SinkNo,
        delivery: DeliveryId,
        ahead: &mut Ahead,
        (pick, wanted): (Pick<'_>, Pick<'_>),
        patient: bool,
    ) -> Result<Option<Vec<Vec<u8>>>, IntendError> {
        loop {
            let state = self.lock();
            if !state.look_on(sink, ahead, pick)? {
                let found = state.waiting_behind(sink, delivery, ahead)?;
                drop(state);
                let body = |record: &Record| Stored::read(record.bytes()).body.to_vec();
                let bodies = found.iter().map(body).filter(|body| pick(body) && wanted(body));
                return Ok(Some(bodies.collect()));
            }
            if !patient {
                return Ok(None);
            }
        }
    }
}

impl State {
    /// Looks at records that were not looked at. Says whether there are more.
    fn look_on(&self, no: SinkNo, ahead: &mut Ahead, pick: Pick<'_>) -> Result<bool, IntendError> {
        let sink = self.sink(no).ok_or(IntendError::Stale)?;
        ahead.next.resize(self.streams.len().max(ahead.next.len()), 0);
        let mut left = SCAN_MAX;
        for (number, stream) in self.streams.iter().enumerate() {
            let visible = stream.log.visible();
            // A log that ends before is another one.
            let next = ahead.next.get(number).copied().filter(|&next| next <= visible).unwrap_or(0);
            let from = next.max(stream.log.floor()).max(stream.log.finished_seq());
            let end = visible.min(from + left as u64);
            let mut looked = from;
            while looked < end {
                let Some(record) = stream.read(looked) else { break };
                let stored = Stored::read(record.bytes());
                if stored.wants(no) && pick(stored.body) {
                    let place = Place { ordinal: stored.ordinal, stream: number as StreamNo, seq: looked };
                    ahead.add(stored.lane, place);
                }
                looked += 1;
            }
            left -= (looked - from) as usize;
            if let Some(next) = ahead.next.get_mut(number) {
                *next = looked;
            }
            if left == 0 && looked < visible {
                return Ok(true);
            }
        }
        ahead.tidy(sink);
        Ok(false)
    }

    /// Events of the key of a delivery that wait behind it, of those that were found.
    fn waiting_behind(
        &self,
        no: SinkNo,
        delivery: DeliveryId,
        ahead: &Ahead,
    ) -> Result<Vec<Record>, IntendError> {
        let sink = self.sink(no).ok_or(IntendError::Stale)?;
        let first = sink.lanes.undecided(delivery).ok_or(IntendError::Stale)?;
        let (lane, ordinal) = (first.lane, first.ordinal);
        let mut found: Vec<(u64, Record)> = Vec::new();
        let in_log = ahead.found.get(&lane).into_iter().flatten();
        for place in in_log.filter(|place| is_open(sink, place)) {
            let flies = !sink.config.one_per_key && sink.is_flying(lane, place);
            let record = self.streams.get(usize::from(place.stream)).and_then(|one| one.read(place.seq));
            let same = |record: &Record| Stored::read(record.bytes()).ordinal == place.ordinal;
            let record = record.filter(|record| !flies && same(record));
            found.extend(record.map(|record| (place.ordinal, record)));
        }
        if sink.lanes.has_copy(lane) {
            let line = sink.lanes.line(lane).filter_map(|id| sink.lanes.get(id));
            let copies = line.filter(|held| held.copy && !held.replayed && held.phase != Phase::InFlight);
            found.extend(copies.filter_map(|held| Some((held.ordinal, held.record.clone()?))));
        }
        if sink.parked.first_blocking(lane).is_some() {
            let parked = sink.parked.iter().filter(|one| one.lane == lane && one.cause == Cause::Behind);
            found.extend(parked.map(|one| (one.number, one.record.clone())));
        }
        let key = first.record.as_ref().map(|record| Stored::read(record.bytes()).key.to_vec());
        found.retain(|(other, record)| {
            let same = key.as_deref() == Some(Stored::read(record.bytes()).key);
            let sent = sink.effects.begun(*other).is_some_and(|begun| begun.attempts > 0);
            *other > ordinal && same && !sent
        });
        found.sort_by_key(|(ordinal, _)| *ordinal);
        Ok(found.into_iter().map(|(_, record)| record).collect())
    }
}

impl Sink {
    /// Whether an event of a log is with the caller.
    fn is_flying(&self, lane: u64, place: &Place) -> bool {
        let line = self.lanes.line(lane).filter_map(|id| self.lanes.get(id));
        let this = |held: &&super::lanes::Held| (held.stream, held.seq) == (place.stream, place.seq);
        line.into_iter().find(this).is_some_and(|held| held.phase == Phase::InFlight)
    }
}
