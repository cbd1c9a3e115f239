//! A log that lives as long as its process.

use std::collections::VecDeque;
use std::fmt;

use crate::{Frame, Record};

/// A bound in bytes and in records; both hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of records.
    pub bytes: u64,
    /// Number of records.
    pub count: u64,
}

/// Why a frame was not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// It would not fit into an empty log either.
    TooLarge,
    /// It fits once older records are finished.
    NoRoom,
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the frame is larger than the capacity of the log",
            Self::NoRoom => "the log has no room until older records are finished",
        })
    }
}

impl std::error::Error for AppendError {}

/// An ordered log of records in memory.
///
/// Records below the finished mark stay readable until their room is needed. The bytes of a frame
/// are one allocation, which is given back with its last record.
#[derive(Debug)]
pub struct MemoryLog {
    records: VecDeque<Record>,
    first: u64,
    finished: u64,
    bytes: u64,
    bytes_finished: u64,
    limits: Limits,
}

impl MemoryLog {
    /// An empty log; the first record gets number 0.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { records: VecDeque::new(), first: 0, finished: 0, bytes: 0, bytes_finished: 0, limits }
    }

    /// Appends all records of a frame and returns the sequence number of the first. Finished
    /// records go, oldest first, as far as the room is needed.
    pub fn append(&mut self, frame: &Frame, at_ms: u64) -> Result<u64, AppendError> {
        self.fits(frame)?;
        let (bytes, count) = (frame.bytes() as u64, frame.len() as u64);
        while self.bytes + bytes > self.limits.bytes || self.len() + count > self.limits.count {
            self.free_one();
        }
        let first = self.next_seq();
        let shared = frame.shared();
        self.records.extend(frame.spans().map(|span| Record::new(shared.clone(), span, at_ms)));
        self.bytes += bytes;
        Ok(first)
    }

    /// Whether [`append`](MemoryLog::append) would succeed now.
    pub fn fits(&self, frame: &Frame) -> Result<(), AppendError> {
        let (bytes, count) = (frame.bytes() as u64, frame.len() as u64);
        if bytes > self.limits.bytes || count > self.limits.count || u32::try_from(bytes).is_err() {
            return Err(AppendError::TooLarge);
        }
        let open_bytes = self.bytes - self.bytes_finished;
        let open_count = self.next_seq() - self.finished;
        let room = open_bytes + bytes <= self.limits.bytes && open_count + count <= self.limits.count;
        if room { Ok(()) } else { Err(AppendError::NoRoom) }
    }

    /// Declares all records below `seq` finished: they may go when room is needed.
    pub fn finish_to(&mut self, seq: u64) {
        while self.finished < seq.min(self.next_seq()) {
            self.bytes_finished += self.get(self.finished).map_or(0, |record| record.len() as u64);
            self.finished += 1;
        }
    }

    /// Frees all records below `seq` now, finished or not.
    pub fn free_to(&mut self, seq: u64) {
        self.finish_to(seq);
        while self.first < seq.min(self.finished) {
            self.free_one();
        }
    }

    /// Changes the capacity. A smaller one takes effect as records are finished.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The capacity.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// A record that is still in the log.
    #[must_use]
    #[inline]
    pub fn get(&self, seq: u64) -> Option<&Record> {
        self.records.get(usize::try_from(seq.checked_sub(self.first)?).ok()?)
    }

    /// The records from `seq` on that are still in the log, with their numbers.
    pub fn from_seq(&self, seq: u64) -> impl Iterator<Item = (u64, &Record)> {
        let start = seq.max(self.first);
        (start..self.next_seq()).zip(self.records.iter().skip((start - self.first) as usize))
    }

    /// The oldest sequence number in the log, or the next one if it is empty.
    #[must_use]
    pub fn first_seq(&self) -> u64 {
        self.first
    }

    /// The sequence number of the next record.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    /// All records below are finished.
    #[must_use]
    pub fn finished_seq(&self) -> u64 {
        self.finished
    }

    /// Number of records in the log, finished or not.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.records.len() as u64
    }

    /// Whether the log holds no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of all records in the log.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of the records that are not finished.
    #[must_use]
    pub fn bytes_open(&self) -> u64 {
        self.bytes - self.bytes_finished
    }

    fn free_one(&mut self) {
        let Some(record) = self.records.pop_front() else { return };
        let bytes = record.len() as u64;
        self.bytes -= bytes;
        if self.first < self.finished {
            self.bytes_finished -= bytes;
        } else {
            self.finished = self.first + 1;
        }
        self.first += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(records: &[&[u8]]) -> Frame {
        let mut frame = Frame::new();
        for record in records {
            frame.push(record);
        }
        frame
    }

    fn small() -> MemoryLog {
        MemoryLog::new(Limits { bytes: 10, count: 4 })
    }

    #[test]
    fn a_frame_gets_consecutive_numbers_and_its_bytes_come_back() {
        let mut log = small();
        assert_eq!(log.append(&frame(&[b"ab", b"", b"cde"]), 7), Ok(0));
        assert_eq!(log.append(&frame(&[b"f"]), 8), Ok(3));
        let read: Vec<_> =
            log.from_seq(1).map(|(seq, record)| (seq, record.bytes().to_vec(), record.at_ms())).collect();
        assert_eq!(read, [(1, vec![], 7), (2, b"cde".to_vec(), 7), (3, b"f".to_vec(), 8)]);
        assert_eq!(log.bytes(), 6);
    }

    #[test]
    fn a_full_log_takes_nothing_until_records_are_finished() {
        let mut log = small();
        log.append(&frame(&[b"12345", b"678"]), 0).unwrap();
        assert_eq!(log.append(&frame(&[b"abc"]), 0), Err(AppendError::NoRoom));
        assert_eq!(log.next_seq(), 2);
        log.finish_to(1);
        assert_eq!(log.first_seq(), 0, "a finished record stays until its room is needed");
        assert_eq!(log.append(&frame(&[b"abc"]), 0), Ok(2));
        assert_eq!((log.first_seq(), log.bytes(), log.bytes_open()), (1, 6, 6));
    }

    #[test]
    fn the_count_bounds_records_without_bytes() {
        let mut log = small();
        log.append(&frame(&[b"", b"", b"", b""]), 0).unwrap();
        assert_eq!(log.append(&frame(&[b""]), 0), Err(AppendError::NoRoom));
    }

    #[test]
    fn a_frame_larger_than_the_log_is_refused_for_good() {
        let mut log = small();
        assert_eq!(log.append(&frame(&[b"12345678901"]), 0), Err(AppendError::TooLarge));
        assert_eq!(log.append(&frame(&[b"", b"", b"", b"", b""]), 0), Err(AppendError::TooLarge));
    }

    #[test]
    fn freeing_takes_unfinished_records_too() {
        let mut log = small();
        log.append(&frame(&[b"1", b"2", b"3"]), 0).unwrap();
        log.finish_to(1);
        log.free_to(2);
        assert_eq!((log.first_seq(), log.finished_seq(), log.bytes(), log.bytes_open()), (2, 2, 1, 1));
        assert!(log.get(1).is_none());
    }

    #[test]
    fn a_detached_record_does_not_hold_its_frame() {
        let mut log = small();
        log.append(&frame(&[b"ab", b"cd"]), 3).unwrap();
        let copy = log.get(1).unwrap().detached();
        log.free_to(2);
        assert_eq!((copy.bytes(), copy.len(), copy.at_ms()), (&b"cd"[..], 2, 3));
    }
}
