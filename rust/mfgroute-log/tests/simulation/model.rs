//! What must be true of a log, kept in plain lists.

use std::sync::Arc;

use mfgroute_log::{Report, Store};

use mfgroute_log::testing::Rot;

/// A record as its caller knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) at_ms: u64,
    pub(crate) bytes: Arc<[u8]>,
}

impl Known {
    /// How far a record with this meaning allows to free; 0 for any other.
    fn frees_to(&self) -> u64 {
        self.bytes
            .strip_prefix(FREES)
            .and_then(|rest| rest.first_chunk())
            .map_or(0, |to| u64::from_le_bytes(*to))
    }
}

/// How a record begins that allows to free.
pub(crate) const FREES: &[u8] = b"free to ";

/// All that was appended and said about it.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// By sequence number.
    pub(crate) records: Vec<Known>,
    /// Records below were said to be durable, or were shown by an opening.
    pub(crate) durable: u64,
    /// Records below were said to be attested.
    pub(crate) sealed: u64,
    /// Records below were retired, and the log said so.
    pub(crate) retired: u64,
    /// Records below were allowed to be freed by a record that is lost.
    freed: u64,
    /// A durable bit that was flipped since the log was last opened.
    pub(crate) rot: Option<Rot>,
    pub(crate) life: u64,
}

/// What an opening showed.
#[derive(Debug, Default)]
pub(crate) struct Shown(pub(crate) Vec<(u64, Known)>);

impl Model {
    pub(crate) fn next(&self) -> u64 {
        self.records.len() as u64
    }

    /// The log says how far it is.
    pub(crate) fn committed(&mut self, store: &Store) -> Result<(), String> {
        let (durable, sealed) = (store.durable(), store.sealed());
        if durable > self.next() || sealed > durable {
            return Err(format!("sealed {sealed}, durable {durable}, appended {}", self.next()));
        }
        if durable < self.durable || sealed < self.sealed {
            return Err(format!("marks went back to {sealed}, {durable} from {}", self.durable));
        }
        (self.durable, self.sealed) = (durable, sealed);
        Ok(())
    }

    /// The log was opened: everything that was promised is there, and nothing else.
    pub(crate) fn opened(&mut self, store: &Store, report: &Report, shown: &Shown) -> Result<(), String> {
        let (first, next) = (store.first_seq(), store.next_seq());
        let numbers = shown.0.iter().map(|(seq, _)| *seq);
        if !numbers.eq(first..next) || report.records != next - first || store.durable() != next {
            let count = shown.0.len();
            return Err(format!(
                "{count} records shown and {} reported for {first} to {next}",
                report.records
            ));
        }
        if next > self.next() {
            return Err(format!("phantom: {next} records, {} were appended", self.next()));
        }
        for (seq, found) in &shown.0 {
            let known = self.records.get(*seq as usize);
            if known != Some(found) {
                return Err(format!("record {seq} is {found:?}, appended was {known:?}"));
            }
        }
        let promised = if self.rot.is_some() { self.sealed } else { self.durable };
        if next < promised {
            return Err(format!("records {next} to {promised} are lost; durable were {}", self.durable));
        }
        // Each name ends with the life that put it there.
        let since = |name: &String| {
            name.rsplit(['-', '.']).nth(1).and_then(|life| life.parse().ok()) > Some(self.life)
        };
        if next < self.durable && report.torn.is_none() && !report.quarantined.iter().any(since) {
            return Err(format!("records {next} to {} are gone without a word", self.durable));
        }
        // What allowed to free may be what has rotted, unsealed.
        if self.rot.is_some() {
            self.freed = self.freed.max(self.allowed(self.durable));
        }
        let allowed = self.allowed(next).max(self.freed);
        if first < self.retired || first > allowed {
            return Err(format!("first is {first}; retired below {}, allowed {allowed}", self.retired));
        }
        if report.life < self.life {
            return Err(format!("life {} after life {}", report.life, self.life));
        }
        self.records.truncate(next as usize);
        (self.durable, self.sealed, self.life, self.rot) = (next, next, report.life, None);
        Ok(())
    }

    /// How far the records below `next` allow to free.
    fn allowed(&self, next: u64) -> u64 {
        self.records.iter().take(next as usize).map(Known::frees_to).max().unwrap_or(0)
    }
}
