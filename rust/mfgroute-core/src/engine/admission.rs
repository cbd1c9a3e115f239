//! What is admitted, and what comes of it.

use std::fmt;
use std::sync::Arc;

use super::config::{SinkNo, SourceNo, StreamNo};
use crate::dedup::Prints;
use crate::reject::Reject;

/// Messages of one source with their prepared outcomes: admitted whole or not at all.
#[derive(Clone, Copy, Debug)]
pub struct Admission<'a> {
    /// Who sent them.
    pub source: SourceNo,
    /// The sender learns of rejects at once, so they go to a ring instead of the bounded store.
    pub sync: bool,
    /// The messages, in order.
    pub messages: &'a [Message<'a>],
    /// How far the source has read with these messages: what it is told after a restart. Durable with them.
    pub position: Option<&'a [u8]>,
}

/// One message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The bytes that came in; copied only if something of it is rejected.
    pub raw: &'a [u8],
    /// What is needed besides to submit it again; copied likewise.
    pub meta: Attributes<'a>,
    /// False: one bad item rejects the message. True: it rejects only itself.
    pub independent: bool,
    /// What the stages made of it, in order. None at all counts as the reject `no_output`.
    pub items: &'a [Item<'a>],
}

/// Attributes of a message.
#[derive(Clone, Copy, Debug)]
pub enum Attributes<'a> {
    /// A JSON object.
    Json(&'a [u8]),
    /// Those that all messages of a slab share, and the line that this one is.
    Line {
        /// Names and texts.
        shared: &'a [(&'a str, &'a str)],
        /// Number of the line, from 1.
        line: u64,
    },
}

impl Attributes<'_> {
    /// As a JSON object.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        match self {
            Self::Json(json) => json.to_vec(),
            Self::Line { shared, line } => {
                let line = line.to_string();
                let pairs = shared.iter().copied().chain([("file.line", line.as_str())]);
                let mut out = Vec::new();
                write_attributes(pairs, &mut out);
                out
            }
        }
    }

    /// Number of bytes of the JSON object.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Json(json) => json.len(),
            Self::Line { .. } => self.to_json().len(),
        }
    }

    /// Whether there is nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Appends attributes as a JSON object.
pub fn write_attributes<'p>(pairs: impl Iterator<Item = (&'p str, &'p str)>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, (name, text)) in pairs.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        crate::tree::write_json_string(name, out);
        out.push(b':');
        crate::tree::write_json_string(text, out);
    }
    out.push(b'}');
}

/// What the stages made of one item. Each counts as one in the equation of its source.
#[derive(Clone, Debug)]
pub enum Item<'a> {
    /// An event, if its id is new.
    Event(Event<'a>),
    /// Refused.
    Reject(Reject),
    /// Dropped by a named rule.
    Filtered {
        /// The rule.
        rule: &'a str,
    },
    /// Lost before it came here, as the configuration of the source allows.
    Dropped,
}

/// An event with everything the engine needs to know of it.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// Index of the item it is made of.
    pub item: u32,
    /// The stream of its contract.
    pub stream: StreamNo,
    /// What it is ordered by.
    pub key: &'a [u8],
    /// Its identity.
    pub id: u128,
    /// Its fingerprints.
    pub prints: Prints,
    /// Its type, for the counter. The same `Arc` for the same type makes counting cheap.
    pub kind: &'a Arc<str>,
    /// Where it goes; nowhere is counted as unrouted.
    pub sinks: &'a [SinkNo],
    /// Its bytes.
    pub record: &'a [u8],
}

/// How many items of a message or an admission came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Appended to a log.
    pub accepted: u64,
    /// Refused.
    pub rejected: u64,
    /// Known already, with the same content.
    pub duplicates: u64,
    /// Dropped by a named rule.
    pub filtered: u64,
    /// Lost before they came here.
    pub dropped: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Counts) {
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.duplicates += other.duplicates;
        self.filtered += other.filtered;
        self.dropped += other.dropped;
    }
}

/// Sequence numbers that an admission got in one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// The stream.
    pub stream: StreamNo,
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

/// How safe something is. No level is named before it is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It lives as long as this process.
    #[default]
    Memory,
    /// This node's disk has synced it.
    Durable,
    /// A later durable record attests it.
    Sealed,
}

impl Level {
    /// The text on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Durable => "durable",
            Self::Sealed => "sealed",
        }
    }
}

/// What came of an admission.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The sum.
    pub counts: Counts,
    /// Each message, in order.
    pub messages: Vec<Counts>,
    /// Why items were refused.
    pub rejects: Vec<Reject>,
    /// Where the events lie.
    pub offsets: Vec<Offsets>,
    /// The level that [`wait`](super::Engine::wait) brings it to; until then it is in memory.
    pub level: Level,
    /// What to wait for.
    pub ticket: u64,
    /// It says more than its events (rejects that are kept, a position), which is written behind them.
    pub followed: bool,
    /// The durable streams that its events name.
    pub streams: Vec<StreamNo>,
}

/// Why nothing was admitted. No count has changed and no id is marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdmitError {
    /// A stream has no room.
    StreamFull {
        /// The stream.
        stream: String,
        /// The sink whose backlog holds it.
        sink: Option<String>,
    },
    /// The source has as many rejects as it may keep.
    RejectsFull {
        /// The source.
        source: String,
    },
    /// The events for one stream are more than its whole capacity: they never fit.
    TooLarge {
        /// The stream.
        stream: String,
    },
    /// The rejects are more than the source may keep in all: they never fit.
    RejectsTooLarge {
        /// The source.
        source: String,
    },
    /// The disk has no room for the stream.
    NoDisk {
        /// The stream.
        stream: String,
    },
    /// Writing to the disk failed: the stream takes nothing until the node is restarted.
    LogFailed {
        /// The stream.
        stream: String,
        /// What the disk said.
        why: String,
    },
    /// A number that is not, or no longer, installed.
    NotInstalled,
    /// The engine drains or is closed.
    Closing,
}

impl AdmitError {
    /// Whether the same admission may succeed later.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::StreamFull { .. } | Self::RejectsFull { .. } | Self::NoDisk { .. })
    }
}

impl fmt::Display for AdmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StreamFull { stream, sink: Some(sink) } => {
                write!(f, "stream {stream} is full, held back by sink {sink}")
            }
            Self::StreamFull { stream, sink: None } => write!(f, "stream {stream} is full"),
            Self::RejectsFull { source } => write!(f, "source {source} has as many rejects as it may keep"),
            Self::TooLarge { stream } => {
                write!(f, "the events are larger than the capacity of stream {stream}")
            }
            Self::RejectsTooLarge { source } => {
                write!(f, "the rejects are larger than what source {source} may keep")
            }
            Self::NoDisk { stream } => {
                write!(f, "stream {stream} waits for room on the disk; free some, and it goes on by itself")
            }
            Self::LogFailed { stream, why } => {
                write!(f, "stream {stream} takes nothing more, since a write failed: {why}; restart the node")
            }
            Self::NotInstalled => f.write_str("a stream, sink or source of the admission is not installed"),
            Self::Closing => f.write_str("the engine takes no more messages: it is draining or closed"),
        }
    }
}

impl std::error::Error for AdmitError {}
