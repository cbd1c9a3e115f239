//! The log of a stream: in memory, or on a disk with its newest records in memory.

use std::cell::Cell;
use std::collections::VecDeque;

use mfgroute_log::mutant::{self, Mutant};
use mfgroute_log::{AppendError, Frame, Limits, MemoryLog, NoRoom, Record, Store};

/// Longest step between two records that counts when the age of records is measured: a clock that was set, or a
/// plant that stood still, makes nothing old.
const STEP_MAX_MS: u64 = 3_600_000;
/// Records between two samples of the time of a log.
const SAMPLE: u64 = 1_024;

/// Why a frame does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoFit {
    /// It never does.
    TooLarge,
    /// It does once older records are finished.
    NoRoom,
    /// It does once the disk has room.
    NoDisk,
}

#[derive(Debug)]
pub(super) enum Log {
    Memory(MemoryLog),
    Disk(Box<DiskLog>),
}

/// What is known of the records of a log without reading them.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Bytes of each record that is still in the log.
    sizes: VecDeque<u32>,
    bytes: u64,
    /// Time of the log itself: the sum of the steps between records.
    ticks: u64,
    last_ms: u64,
    /// The time of the log at some of its records.
    samples: VecDeque<(u64, u64)>,
}

impl Known {
    /// Notes the next record.
    pub(super) fn add(&mut self, seq: u64, bytes: usize, at_ms: u64) {
        if self.last_ms > 0 {
            self.ticks += at_ms.saturating_sub(self.last_ms).min(STEP_MAX_MS);
        }
        self.last_ms = at_ms;
        self.sizes.push_back(bytes as u32);
        self.bytes += bytes as u64;
        if seq.is_multiple_of(SAMPLE) || self.samples.is_empty() {
            self.samples.push_back((seq, self.ticks));
        }
    }

    /// How much older everything below a record is than the newest record, at least.
    fn age(&self, seq: u64) -> u64 {
        let sample = self.samples.get(self.samples.partition_point(|&(sampled, _)| sampled < seq));
        sample.map_or(0, |&(_, ticks)| self.ticks - ticks)
    }

    /// Forgets the oldest record, which was number `seq`. Returns its bytes.
    fn forget(&mut self, seq: u64) -> u64 {
        let size = u64::from(self.sizes.pop_front().unwrap_or(0));
        self.bytes -= size;
        while self.samples.front().is_some_and(|&(sampled, _)| sampled <= seq) {
            self.samples.pop_front();
        }
        size
    }
}

/// Records at the beginning of a log that are to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Freeing {
    /// The identities of records below are noted.
    pub(super) noted: u64,
    /// Those below go.
    pub(super) to: u64,
}

/// A log on a disk.
#[derive(Debug)]
pub(super) struct DiskLog {
    pub(super) store: Store,
    known: Known,
    /// The number of the first record that is known.
    first: u64,
    finished: u64,
    bytes_finished: u64,
    limits: Limits,
    pub(super) keep_ms: u64,
    /// Why nothing is taken any more.
    pub(super) failed: Option<String>,
    /// A part of it is being freed.
    pub(super) freeing: Option<Freeing>,
    /// Records below were given up for room.
    given_up: u64,
    /// Spare segments that the largest frame needs of those that did not fit.
    needs: Cell<u64>,
}

impl DiskLog {
    /// The log of a store, with what was noted of each of its records.
    pub(super) fn new(store: Store, known: Known, limits: Limits, keep_ms: u64) -> Self {
        let first = store.first_seq();
        let (finished, bytes_finished, failed, freeing, given_up) = (first, 0, None, None, first);
        let needs = Cell::new(1);
        Self {
            store,
            known,
            first,
            finished,
            bytes_finished,
            limits,
            keep_ms,
            failed,
            freeing,
            given_up,
            needs,
        }
    }

    /// How many spare segments are to be ready, so that a frame fits which did not.
    pub(super) fn needs(&self) -> u64 {
        self.needs.get()
    }

    fn fits(&self, frame: &Frame) -> Result<(), NoFit> {
        let (bytes, count) = (frame.bytes() as u64, frame.len() as u64);
        if bytes > self.limits.bytes || count > self.limits.count || u32::try_from(bytes).is_err() {
            return Err(NoFit::TooLarge);
        }
        let open = (self.known.bytes - self.bytes_finished, self.store.next_seq() - self.finished);
        let fits = open.0 + bytes <= self.limits.bytes && open.1 + count <= self.limits.count;
        if !fits && !mutant::is(Mutant::Unbounded) {
            return Err(NoFit::NoRoom);
        }
        self.fits_disk(frame)
    }

    /// Whether the disk has room for a frame, whatever the limits say.
    fn fits_disk(&self, frame: &Frame) -> Result<(), NoFit> {
        self.store.fits(frame).map_err(|no| match no {
            NoRoom::TooLarge => NoFit::TooLarge,
            NoRoom::Later => {
                // Its pieces leave at most a third of each segment empty, and none of it may fit into the active one.
                let bytes = (frame.bytes() + 8 * frame.len()) as u64 * 3 / 2;
                self.needs.set(self.needs.get().max(bytes / self.store.segment_bytes() + 1));
                NoFit::NoDisk
            }
        })
    }

    fn finish_to(&mut self, seq: u64) {
        while self.finished < seq.min(self.store.next_seq()) {
            let size = self.known.sizes.get((self.finished - self.first) as usize);
            self.bytes_finished += size.copied().map_or(0, u64::from);
            self.finished += 1;
        }
    }

    /// The number below which records may leave the disk now, if any: they are finished, and their room is needed or
    /// they are older than they are kept.
    pub(super) fn spare_to(&self) -> Option<u64> {
        if self.freeing.is_some() {
            return None;
        }
        let cramped =
            self.known.bytes > self.limits.bytes || self.store.next_seq() - self.first > self.limits.count;
        let finished = || self.store.boundaries().take_while(|&seq| seq <= self.finished);
        let aged = finished().take_while(|&seq| self.known.age(seq) >= self.keep_ms).last();
        aged.max(finished().next().filter(|_| cramped)).filter(|&seq| seq > self.first)
    }

    /// Lets go of whole segments below `seq`; returns their names, oldest first.
    pub(super) fn free_to(&mut self, seq: u64) -> Vec<String> {
        self.freeing = None;
        let names = self.store.free_to(seq);
        while self.first < self.store.first_seq() {
            let size = self.known.forget(self.first);
            self.bytes_finished = self.bytes_finished.saturating_sub(size);
            self.first += 1;
        }
        names
    }
}

impl Log {
    /// Appends all records of a frame and returns the number of the first.
    pub(super) fn append(&mut self, frame: &Frame, at_ms: u64) -> Option<u64> {
        match self {
            Self::Memory(log) => log.append(frame, at_ms).ok(),
            Self::Disk(log) => {
                log.fits(frame).ok()?;
                let first = log.store.append(frame, at_ms).ok()?;
                for (seq, record) in (first..).zip(frame.records()) {
                    log.known.add(seq, record.len(), at_ms);
                }
                Some(first)
            }
        }
    }

    pub(super) fn fits(&self, frame: &Frame) -> Result<(), NoFit> {
        match self {
            Self::Memory(log) => log.fits(frame).map_err(|error| match error {
                AppendError::TooLarge => NoFit::TooLarge,
                AppendError::NoRoom => NoFit::NoRoom,
            }),
            Self::Disk(log) => log.fits(frame),
        }
    }

    /// As [`Log::fits`] once older records are given up: only the disk can be in the way.
    pub(super) fn fits_without(&self, frame: &Frame) -> Result<(), NoFit> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Disk(log) => log.fits_disk(frame),
        }
    }

    /// A record that is still in the log. One that cannot be read from the disk fails the log.
    #[inline]
    pub(super) fn get(&self, seq: u64) -> Option<Record> {
        match self {
            Self::Memory(log) => log.get(seq).cloned(),
            Self::Disk(log) => log.store.get(seq).ok().flatten(),
        }
    }

    /// As [`Log::get`], and says why if the disk does not give it.
    pub(super) fn read(&self, seq: u64) -> std::io::Result<Option<Record>> {
        match self {
            Self::Memory(log) => Ok(log.get(seq).cloned()),
            Self::Disk(log) => log.store.get(seq),
        }
    }

    /// Records below may be shown: they will not disappear.
    #[inline]
    pub(super) fn visible(&self) -> u64 {
        match self {
            Self::Memory(log) => log.next_seq(),
            Self::Disk(log) => log.store.durable(),
        }
    }

    /// The records from `seq` on that are still in the log, with their numbers.
    pub(super) fn records_from(&self, seq: u64) -> impl Iterator<Item = (u64, Record)> {
        (seq.max(self.floor())..self.next_seq()).filter_map(|seq| Some((seq, self.get(seq)?)))
    }

    /// Where a look at everything that is in memory begins.
    pub(super) fn at_hand(&self) -> u64 {
        match self {
            Self::Memory(log) => log.first_seq(),
            Self::Disk(log) => log.store.tail_seq(),
        }
    }

    /// Declares all records below `seq` finished.
    pub(super) fn finish_to(&mut self, seq: u64) {
        match self {
            Self::Memory(log) => log.finish_to(seq),
            Self::Disk(log) => log.finish_to(seq),
        }
    }

    /// Gives up all records below `seq`, finished or not.
    pub(super) fn give_up_to(&mut self, seq: u64) {
        match self {
            Self::Memory(log) => log.free_to(seq),
            Self::Disk(log) => {
                log.finish_to(seq);
                log.given_up = log.given_up.max(seq);
            }
        }
    }

    /// Records below are handed out no more, finished or not.
    pub(super) fn floor(&self) -> u64 {
        match self {
            Self::Memory(log) => log.first_seq(),
            Self::Disk(log) => log.given_up.max(log.first),
        }
    }

    pub(super) fn set_limits(&mut self, limits: Limits) {
        match self {
            Self::Memory(log) => log.set_limits(limits),
            Self::Disk(log) => log.limits = limits,
        }
    }

    pub(super) fn limits(&self) -> Limits {
        match self {
            Self::Memory(log) => log.limits(),
            Self::Disk(log) => log.limits,
        }
    }

    /// The oldest number in the log, or the next one if it is empty.
    pub(super) fn first_seq(&self) -> u64 {
        match self {
            Self::Memory(log) => log.first_seq(),
            Self::Disk(log) => log.first,
        }
    }

    pub(super) fn next_seq(&self) -> u64 {
        match self {
            Self::Memory(log) => log.next_seq(),
            Self::Disk(log) => log.store.next_seq(),
        }
    }

    /// All records below are finished.
    pub(super) fn finished_seq(&self) -> u64 {
        match self {
            Self::Memory(log) => log.finished_seq(),
            Self::Disk(log) => log.finished,
        }
    }

    /// Number of records, finished or not.
    pub(super) fn len(&self) -> u64 {
        self.next_seq() - self.first_seq()
    }

    /// Bytes of all records.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Memory(log) => log.bytes(),
            Self::Disk(log) => log.known.bytes,
        }
    }

    /// Bytes of records that are not finished.
    pub(super) fn bytes_open(&self) -> u64 {
        match self {
            Self::Memory(log) => log.bytes_open(),
            Self::Disk(log) => log.known.bytes - log.bytes_finished,
        }
    }

    pub(super) fn disk(&self) -> Option<&DiskLog> {
        match self {
            Self::Memory(_) => None,
            Self::Disk(log) => Some(log),
        }
    }

    pub(super) fn disk_mut(&mut self) -> Option<&mut DiskLog> {
        match self {
            Self::Memory(_) => None,
            Self::Disk(log) => Some(log),
        }
    }
}
