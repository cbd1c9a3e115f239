//! A replay at one sink: events of the past that it gets once more, fenced from what is live.
//!
//! Keys come one after the other. A key is taken when its first event gets its turn and given back behind its last;
//! meanwhile live events of that key wait at this sink, and all other keys flow. What was chosen is noted in the
//! node's own log, and so is each end: after a restart the rest goes on.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use super::config::StreamNo;
use super::lanes::ByLane;

/// Events of one replay: what is chosen stays in memory and in the node's own log until it has ended.
pub const REPLAY_EVENTS_MAX: usize = 250_000;
/// Events and bytes that a replay has at a sink at once.
pub(super) const AHEAD: (usize, u64) = (256, 8 << 20);
/// Bytes of one item as facts have it.
pub(super) const ITEM_BYTES: usize = 26;

/// An event that is chosen for a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Its place in the order of admission.
    pub ordinal: u64,
    /// The stream.
    pub stream: StreamNo,
    /// Its offset there.
    pub seq: u64,
    pub(super) lane: u64,
}

impl Chosen {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.ordinal.to_le_bytes());
        out.extend_from_slice(&self.stream.to_le_bytes());
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&self.lane.to_le_bytes());
    }

    pub(super) fn read(bytes: &[u8; ITEM_BYTES]) -> Self {
        let long = |at: usize| {
            bytes.get(at..).and_then(<[u8]>::first_chunk::<8>).map_or(0, |eight| u64::from_le_bytes(*eight))
        };
        let stream =
            bytes.get(8..).and_then(<[u8]>::first_chunk::<2>).map_or(0, |two| u16::from_le_bytes(*two));
        Self { ordinal: long(0), stream, seq: long(10), lane: long(18) }
    }
}

/// What became of the events of a replay so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// All that were chosen and had not ended when the node started.
    pub total: u64,
    /// Those that the sink has finished.
    pub delivered: u64,
    /// Those that wait for a person now, or waited.
    pub parked: u64,
    /// Those that had left the stream before their turn, or were dropped.
    pub gone: u64,
    /// Those that have not ended.
    pub left: u64,
}

/// A replay under way, as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaying {
    /// When it began, milliseconds since 1970; it is its name, too.
    pub since_ms: u64,
    /// What was asked for, as JSON.
    pub about: String,
    /// Events in a thousand seconds; without a bound 0.
    pub rate: u32,
    /// How far it is.
    pub progress: Progress,
}

#[derive(Debug)]
pub(super) struct Job {
    pub(super) since_ms: u64,
    pub(super) about: String,
    pub(super) rate: u32,
    /// Not at the sink yet; the events of a key stand together.
    waiting: VecDeque<Chosen>,
    /// At the sink, with their bytes.
    taken: HashMap<u64, (Chosen, u64)>,
    taken_bytes: u64,
    /// Events of a lane that have not ended, for lanes that were taken.
    held: ByLane<u32>,
    /// Those of all lanes.
    owed: ByLane<u32>,
    progress: Progress,
    /// Events that an earlier life of the node ended.
    ended_before: HashSet<u64>,
    /// When it began in this life of the node, on the steady clock, and how many went to the sink since.
    began_ms: Option<u64>,
    sent: u64,
}

impl Job {
    pub(super) fn new(since_ms: u64, about: String, rate: u32) -> Self {
        Self {
            since_ms,
            about,
            rate,
            waiting: VecDeque::new(),
            taken: HashMap::new(),
            taken_bytes: 0,
            held: ByLane::default(),
            owed: ByLane::default(),
            progress: Progress::default(),
            ended_before: HashSet::new(),
            began_ms: None,
            sent: 0,
        }
    }

    /// Adds events. All of a job are sorted before the first is taken.
    pub(super) fn add(&mut self, chosen: impl IntoIterator<Item = Chosen>) {
        for one in chosen {
            self.waiting.push_back(one);
            *self.owed.entry(one.lane).or_default() += 1;
            self.progress.total += 1;
        }
    }

    /// Puts the events of each key together: keys by their first event, and each in order of admission.
    pub(super) fn sort(&mut self) {
        let mut first: BTreeMap<u64, u64> = BTreeMap::new();
        for one in &self.waiting {
            first.entry(one.lane).and_modify(|least| *least = one.ordinal.min(*least)).or_insert(one.ordinal);
        }
        let place = |one: &Chosen| (first.get(&one.lane).copied(), one.ordinal);
        self.waiting.make_contiguous().sort_by_key(place);
    }

    /// Whether live events of a lane must wait.
    #[inline]
    pub(super) fn holds(&self, lane: u64) -> bool {
        self.held.contains_key(&lane)
    }

    /// Whether an event of a lane that is held comes behind one that is not at the sink yet.
    #[inline]
    pub(super) fn is_behind(&self, lane: u64, ordinal: u64) -> bool {
        let next = self.waiting.front().filter(|next| next.lane == lane);
        next.is_some_and(|next| next.ordinal < ordinal) && self.holds(lane)
    }

    /// Whether the next event may go to the sink.
    fn may_go(&self, now_ms: u64) -> bool {
        let room = self.taken.len() < AHEAD.0 && self.taken_bytes < AHEAD.1;
        room && !self.waiting.is_empty() && self.due_ms().is_none_or(|due| due <= now_ms)
    }

    /// When the next event may go, on the steady clock; `None` if at any time.
    fn due_ms(&self) -> Option<u64> {
        let began = self.began_ms?;
        (self.rate > 0).then(|| began + self.sent * 1_000_000 / u64::from(self.rate))
    }

    /// When the next event may go, if only the rate holds it up.
    pub(super) fn next_due(&self) -> Option<u64> {
        let due = self.due_ms().unwrap_or(0);
        self.may_go(u64::MAX).then_some(due)
    }

    /// The next event, which is taken to the sink now.
    pub(super) fn next(&mut self, now_ms: u64) -> Option<Chosen> {
        if !self.may_go(now_ms) {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.began_ms.get_or_insert(now_ms);
        self.sent += 1;
        let owed = self.owed.get(&next.lane).copied().unwrap_or(0);
        self.held.entry(next.lane).or_insert(owed);
        Some(next)
    }

    pub(super) fn take(&mut self, chosen: Chosen, bytes: u64) {
        self.taken.insert(chosen.ordinal, (chosen, bytes));
        self.taken_bytes += bytes;
    }

    /// Notes that an event has left its stream before its turn.
    pub(super) fn gone(&mut self, chosen: Chosen) {
        self.progress.gone += 1;
        self.release(chosen.lane);
    }

    /// Notes that an event has ended at the sink.
    pub(super) fn ended(&mut self, ordinal: u64, how: End) {
        let Some((chosen, bytes)) = self.taken.remove(&ordinal) else { return };
        self.taken_bytes -= bytes;
        match how {
            End::Delivered => self.progress.delivered += 1,
            End::Parked => self.progress.parked += 1,
            End::Dropped => self.progress.gone += 1,
        }
        self.release(chosen.lane);
    }

    fn release(&mut self, lane: u64) {
        for map in [&mut self.held, &mut self.owed] {
            if let Some(count) = map.get_mut(&lane) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    map.remove(&lane);
                }
            }
        }
    }

    /// Notes that an earlier life of the node ended an event.
    pub(super) fn note_ended(&mut self, ordinal: u64) {
        self.ended_before.insert(ordinal);
    }

    /// Begins in another life of the node, without the events that were ended before.
    pub(super) fn begin_again(&mut self) {
        let (waiting, ended) = (std::mem::take(&mut self.waiting), std::mem::take(&mut self.ended_before));
        (self.owed, self.progress) = (ByLane::default(), Progress::default());
        // In the order in which they were noted: keys that were held come first.
        self.add(waiting.into_iter().filter(|one| !ended.contains(&one.ordinal)));
    }

    /// Gives up what is not at the sink yet. Returns the lanes that were held only for that.
    pub(super) fn stop(&mut self) -> Vec<u64> {
        let mut lanes = Vec::new();
        for one in std::mem::take(&mut self.waiting) {
            self.progress.gone += 1;
            self.release(one.lane);
            if !self.holds(one.lane) {
                lanes.push(one.lane);
            }
        }
        lanes
    }

    /// Whether nothing is left.
    pub(super) fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.taken.is_empty()
    }

    /// Everything that has not ended, in order: keys that are held first, and last of them the one that goes on in what
    /// waits.
    pub(super) fn rest(&self) -> Vec<Chosen> {
        let next = self.waiting.front().map(|next| next.lane);
        let mut rest: Vec<Chosen> = self.taken.values().map(|(chosen, _)| *chosen).collect();
        rest.sort_by_key(|one| (Some(one.lane) == next, one.lane, one.ordinal));
        rest.extend(&self.waiting);
        rest
    }

    /// Events that are not at the sink yet.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.len() as u64
    }

    pub(super) fn seen(&self) -> Replaying {
        let progress = Progress { left: (self.waiting.len() + self.taken.len()) as u64, ..self.progress };
        Replaying { since_ms: self.since_ms, about: self.about.clone(), rate: self.rate, progress }
    }
}

/// How an event of a replay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Delivered,
    Parked,
    Dropped,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(rate: u32, chosen: &[(u64, u64)]) -> Job {
        let mut job = Job::new(1, String::new(), rate);
        job.add(chosen.iter().map(|&(ordinal, lane)| Chosen { ordinal, stream: 0, seq: ordinal, lane }));
        job.sort();
        job
    }

    fn all(job: &mut Job) -> Vec<u64> {
        std::iter::from_fn(|| job.next(0)).map(|one| one.ordinal).collect()
    }

    #[test]
    fn keys_come_one_after_the_other_and_each_in_order() {
        assert_eq!(all(&mut job(0, &[(5, 1), (2, 2), (9, 1), (3, 3), (4, 2), (1, 1)])), [1, 5, 9, 2, 4, 3]);
    }

    #[test]
    fn a_key_is_held_from_its_first_event_to_behind_its_last() {
        let mut job = job(0, &[(1, 7), (2, 7), (3, 8)]);
        assert!(!job.holds(7));
        for ordinal in [1, 2] {
            let next = job.next(0).unwrap();
            job.take(next, 10);
            assert!(job.holds(7) && !job.holds(8), "{ordinal}");
        }
        job.ended(1, End::Delivered);
        assert!(job.holds(7));
        job.ended(2, End::Parked);
        assert!(!job.holds(7));
        let next = job.next(0).unwrap();
        job.gone(next);
        assert!(job.is_over() && !job.holds(8));
        let Progress { total, delivered, parked, gone, left } = job.seen().progress;
        assert_eq!((total, delivered, parked, gone, left), (3, 1, 1, 1, 0));
    }

    #[test]
    fn the_rate_holds_over_any_time_from_the_first() {
        let mut job = job(10_000, &[(1, 1), (2, 2), (3, 3), (4, 4)]);
        assert_eq!(job.next_due(), Some(0), "the first goes at once");
        assert_eq!(job.next(5_000).map(|one| one.ordinal), Some(1));
        assert_eq!((job.next(5_099), job.next_due()), (None, Some(5_100)));
        assert_eq!(job.next(5_250).map(|one| one.ordinal), Some(2));
        assert_eq!(job.next(5_250).map(|one| one.ordinal), Some(3));
        assert_eq!((job.next(5_250), job.next_due()), (None, Some(5_300)));
    }

    #[test]
    fn what_is_at_the_sink_at_once_is_bounded() {
        let many: Vec<(u64, u64)> = (0..1_000).map(|n| (n, n)).collect();
        let mut job = job(0, &many);
        let mut count = 0;
        while let Some(next) = job.next(0) {
            job.take(next, 1);
            count += 1;
        }
        assert_eq!((count, job.next_due()), (AHEAD.0, None));
        job.ended(0, End::Delivered);
        assert!(job.next(0).is_some());
    }

    #[test]
    fn an_item_reads_back() {
        let one = Chosen { ordinal: 1 << 40, stream: 513, seq: 7, lane: u64::MAX - 3 };
        let mut out = Vec::new();
        one.write(&mut out);
        assert_eq!(Chosen::read(out.as_slice().try_into().unwrap()), one);
    }
}
