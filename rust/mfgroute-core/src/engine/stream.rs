//! A stream: a log, and for each record how many sinks still owe it.

use std::cell::RefCell;
use std::collections::VecDeque;

use mfgroute_log::{Limits, MemoryLog, Record};

use super::config::{Bound, StreamConfig};
use super::log::Log;
use super::stored::Stored;

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) config: StreamConfig,
    pub(super) present: bool,
    pub(super) log: Log,
    /// For each record of the log, how many sinks have not finished it.
    owed: VecDeque<u16>,
    /// Which log it is, if it is on a disk: a folder that was emptied is not taken for it.
    pub(super) log_id: Option<u128>,
    /// Why a record could not be read from the disk.
    unreadable: RefCell<Option<String>>,
}

pub(super) fn limits(bound: Bound) -> Limits {
    Limits { bytes: bound.bytes, count: bound.count }
}

impl Stream {
    pub(super) fn new(config: StreamConfig) -> Self {
        let log = Log::Memory(MemoryLog::new(limits(config.capacity)));
        Self::on(config, log, VecDeque::new())
    }

    /// A stream on a log that has records already, with how many sinks owe each of them.
    pub(super) fn on(config: StreamConfig, log: Log, owed: VecDeque<u16>) -> Self {
        let mut stream =
            Self { config, present: true, log, owed, log_id: None, unreadable: RefCell::default() };
        stream.advance();
        stream
    }

    /// Why the stream takes nothing, or gives nothing, if its log has failed.
    pub(super) fn failed(&self) -> Option<String> {
        self.log.disk().and_then(|log| log.failed.clone()).or_else(|| self.unreadable.borrow().clone())
    }

    /// A record; one that the disk does not give is noted as a failure of the stream.
    #[inline]
    pub(super) fn read(&self, seq: u64) -> Option<Record> {
        match self.log.read(seq) {
            Ok(record) => record,
            Err(error) => {
                *self.unreadable.borrow_mut() = Some(error.to_string());
                None
            }
        }
    }

    /// The place in the order of admission of the first record that may not be shown yet. What was admitted later
    /// waits for it, in whatever stream: it may be of the same key. A log that has failed holds up nobody.
    pub(super) fn hidden(&self) -> Option<u64> {
        let seq = self.log.visible();
        if seq >= self.log.next_seq() || self.failed().is_some() {
            return None;
        }
        self.log.get(seq).map(|record| Stored::read(record.bytes()).ordinal)
    }

    /// Notes how many sinks owe each record of a frame that was just appended.
    pub(super) fn appended(&mut self, owed: impl Iterator<Item = u16>) {
        self.owed.extend(owed);
        self.follow();
        self.advance();
    }

    /// Notes that one sink has finished a record. Says whether room was made.
    pub(super) fn finish(&mut self, seq: u64) -> bool {
        let Some(index) = seq.checked_sub(self.log.first_seq()) else { return false };
        if let Some(owed) = self.owed.get_mut(index as usize) {
            *owed = owed.saturating_sub(1);
        }
        seq == self.log.finished_seq() && self.advance()
    }

    /// Gives up the oldest record that is not finished; the caller has counted what that means.
    pub(super) fn drop_oldest(&mut self) {
        self.log.give_up_to(self.log.finished_seq() + 1);
        self.follow();
        self.advance();
    }

    /// Records that a sink still owes.
    pub(super) fn unfinished(&self) -> u64 {
        self.log.next_seq() - self.log.finished_seq()
    }

    /// The log frees finished records by itself.
    pub(super) fn follow(&mut self) {
        let gone = self.owed.len().saturating_sub(self.log.len() as usize);
        self.owed.drain(..gone);
    }

    fn advance(&mut self) -> bool {
        let before = self.log.finished_seq();
        let from = (before - self.log.first_seq()) as usize;
        let run = self.owed.iter().skip(from).take_while(|&&owed| owed == 0).count() as u64;
        self.log.finish_to(before + run);
        run > 0
    }
}
