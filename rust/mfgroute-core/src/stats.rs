//! What the engine has counted: one consistent snapshot.

use std::collections::BTreeMap;
use std::time::Duration;

/// Counters and gauges of everything, taken at one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// By source, in order of number; removed ones included.
    pub sources: Vec<SourceStats>,
    /// By sink, in order of number; removed ones included.
    pub sinks: Vec<SinkStats>,
    /// By stream, in order of number; removed ones included.
    pub streams: Vec<StreamStats>,
    /// Ids in the dedup window.
    pub dedup_ids: u64,
    /// Bound of the dedup window.
    pub dedup_capacity: u64,
    /// The sum of all differences of both equations: 0 at every instant.
    pub unaccounted: u64,
    /// How long groups took to become durable, if anything is.
    pub commits: Option<Durations>,
    /// Why nothing more can be made durable, if the node's own log has failed.
    pub failed: Option<String>,
}

/// A source. `received = accepted + rejected + duplicates + filtered + dropped`, in items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceStats {
    /// Name.
    pub name: String,
    /// Whether it is installed.
    pub present: bool,
    /// Messages.
    pub messages: u64,
    /// Items.
    pub received: u64,
    /// Events appended to a log, by type.
    pub accepted: BTreeMap<String, u64>,
    /// Items refused, by code.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Items known already.
    pub duplicates: u64,
    /// Items dropped by a rule, by rule.
    pub filtered: BTreeMap<String, u64>,
    /// Items lost before they came here.
    pub dropped: u64,
    /// Accepted events that no route wants.
    pub unrouted: u64,
    /// Rejected messages kept for a person.
    pub rejects_kept: u64,
    /// Their bytes.
    pub rejects_bytes: u64,
    /// Rejected messages of which the sender knows, kept in a ring.
    pub rejects_answered: u64,
    /// How many of those the ring has lost.
    pub rejects_answered_evicted: u64,
}

/// A sink. `matched = delivered + queued + in_flight + parked + in_doubt + skipped + dropped`, in events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkStats {
    /// Name.
    pub name: String,
    /// Whether it is installed.
    pub present: bool,
    /// A person has paused it.
    pub paused: bool,
    /// Its bound on parked events has stopped it.
    pub stopped: bool,
    /// Events that a route sent to it.
    pub matched: u64,
    /// Events whose effect has happened.
    pub delivered: u64,
    /// Events that wait to be handed out.
    pub queued: u64,
    /// Events handed out and not settled.
    pub in_flight: u64,
    /// Events set aside for a person, those waiting behind them included.
    pub parked: u64,
    /// Events sent with unknown outcome.
    pub in_doubt: u64,
    /// Events set aside for good: by a person, superseded and taken back ones included.
    pub skipped: u64,
    /// Events a person edited, so that another event took their place.
    pub superseded: u64,
    /// Those of the skipped that were never sent, since an event behind them takes back what they report.
    pub taken_back: u64,
    /// Events lost for room or with their sink, as the configuration or a person said.
    pub dropped: u64,
    /// Tries that failed and were repeated, ever.
    pub retries: u64,
    /// Events that were parked, ever, by cause.
    pub parked_total: BTreeMap<&'static str, u64>,
    /// Effects that have begun and not ended, those of parked events included.
    pub effects_open: u64,
    /// Lines about effects that no follower has taken.
    pub effects_waiting: u64,
    /// Bytes held as copies for parked events.
    pub parked_bytes: u64,
    /// Events not finished: queued and in flight.
    pub lag_events: u64,
    /// When the oldest of them was admitted, milliseconds since 1970.
    pub oldest_ms: Option<u64>,
    /// The age of the oldest of them.
    pub lag_ms: u64,
}

/// A stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamStats {
    /// Name.
    pub name: String,
    /// Whether it is installed.
    pub present: bool,
    /// Bytes of records in the log, finished ones included.
    pub bytes: u64,
    /// Bytes of records that are not finished.
    pub bytes_open: u64,
    /// Records in the log, finished ones included.
    pub count: u64,
    /// Records that are not finished.
    pub count_open: u64,
    /// Bound on bytes.
    pub capacity_bytes: u64,
    /// Bound on records.
    pub capacity_count: u64,
    /// The oldest sequence number in the log.
    pub first_seq: u64,
    /// The sequence number of the next record.
    pub next_seq: u64,
    /// Its records survive this process.
    pub durable: bool,
    /// Records below are durable.
    pub durable_seq: u64,
    /// Why it takes or gives nothing any more, if its log has failed.
    pub failed: Option<String>,
}

/// A histogram of durations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// How many there were up to each of [`BOUNDS_S`], and beyond the last; each counted once.
    pub counts: [u64; BOUNDS_S.len() + 1],
    /// Their sum in microseconds.
    pub sum_us: u64,
}

/// Upper bounds of a histogram, in seconds.
pub const BOUNDS_S: [f64; 12] =
    [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 10.0];

impl Durations {
    /// Counts one.
    pub fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS_S.partition_point(|&bound| bound < seconds);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum_us += duration.as_micros() as u64;
    }
}
