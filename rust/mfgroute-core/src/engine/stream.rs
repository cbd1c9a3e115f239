//! A stream: a log, and for each record how many sinks still owe it.

use std::collections::VecDeque;

use mfgroute_log::{Limits, MemoryLog};

use super::config::{Bound, StreamConfig};

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) config: StreamConfig,
    pub(super) present: bool,
    pub(super) log: MemoryLog,
    /// For each record of the log, how many sinks have not finished it.
    owed: VecDeque<u16>,
}

pub(super) fn limits(bound: Bound) -> Limits {
    Limits { bytes: bound.bytes, count: bound.count }
}

impl Stream {
    pub(super) fn new(config: StreamConfig) -> Self {
        let log = MemoryLog::new(limits(config.capacity));
        Self { config, present: true, log, owed: VecDeque::new() }
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
        self.log.free_to(self.log.finished_seq() + 1);
        self.follow();
        self.advance();
    }

    /// Records that a sink still owes.
    pub(super) fn unfinished(&self) -> u64 {
        self.log.next_seq() - self.log.finished_seq()
    }

    /// The log frees finished records by itself.
    fn follow(&mut self) {
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
