//! What the engine is told about streams, sinks and sources, and why it may refuse.

use std::fmt;

/// Number of a stream, fixed for the life of the engine.
pub type StreamNo = u16;
/// Number of a sink, fixed for the life of the engine.
pub type SinkNo = u16;
/// Number of a source, fixed for the life of the engine.
pub type SourceNo = u16;

/// A bound in number and bytes; both hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// How many.
    pub count: u64,
    /// How many bytes.
    pub bytes: u64,
}

impl Bound {
    pub(super) fn holds(self, count: u64, bytes: u64) -> bool {
        count <= self.count && bytes <= self.bytes
    }
}

/// What happens when a stream has no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// Admission stops.
    #[default]
    Block,
    /// The oldest unfinished events go, counted per sink.
    DropOldest,
}

/// What a refused event does to later events of its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnRefused {
    /// They wait behind it.
    #[default]
    ParkKey,
    /// They pass it.
    ParkEvent,
}

/// A stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamConfig {
    /// Name, which is the identity.
    pub name: String,
    /// How much it holds.
    pub capacity: Bound,
    /// What happens when that is reached.
    pub when_full: WhenFull,
    /// Its events survive this process and a power cut.
    pub durable: bool,
    /// How long finished events stay on the disk, in milliseconds; they go first when room is needed.
    pub keep_ms: u64,
    /// A sink is handed its events before those of other streams.
    pub first: bool,
}

/// A sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkConfig {
    /// Name, which is the identity.
    pub name: String,
    /// What a refused event does to its key.
    pub on_refused: OnRefused,
    /// After how many counted tries an event is parked.
    pub tries: u32,
    /// Longest delay between tries, before jitter.
    pub delay_max_ms: u64,
    /// How much may be parked before the sink stops.
    pub parked_max: Bound,
    /// One event of a key at a time. False for sinks that never refuse a single event.
    pub one_per_key: bool,
}

impl SinkConfig {
    /// A sink with the documented defaults.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            on_refused: OnRefused::ParkKey,
            tries: 8,
            delay_max_ms: 300_000,
            parked_max: Bound { count: 10_000, bytes: 256 << 20 },
            one_per_key: true,
        }
    }
}

/// A source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceConfig {
    /// Name, which is the identity.
    pub name: String,
    /// How many rejects are kept before the source alone is refused.
    pub rejects_max: Bound,
    /// Later messages of the key of a rejected one wait for it.
    pub holds_keys: bool,
}

/// Everything the engine is told by a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineConfig {
    /// Streams.
    pub streams: Vec<StreamConfig>,
    /// Sinks.
    pub sinks: Vec<SinkConfig>,
    /// Sources.
    pub sources: Vec<SourceConfig>,
}

/// What is fixed when an engine is made.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// How many event ids are remembered.
    pub dedup_window: usize,
    /// How many settlements are remembered for `trace`.
    pub journal_max: usize,
    /// How many actions of people are remembered.
    pub actions_max: usize,
    /// How far a sink may run ahead of its oldest unfinished event.
    pub distance_max: u64,
    /// Seed of jitter and hash keys; random unless a test needs the same run twice.
    pub seed: Option<u64>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            dedup_window: crate::dedup::WINDOW_DEFAULT,
            journal_max: 100_000,
            actions_max: 10_000,
            distance_max: mfgroute_log::DISTANCE_MAX,
            seed: None,
        }
    }
}

/// The numbers of what was installed, in the order of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installed {
    /// Of the streams.
    pub streams: Vec<StreamNo>,
    /// Of the sinks.
    pub sinks: Vec<SinkNo>,
    /// Of the sources.
    pub sources: Vec<SourceNo>,
}

/// Why a configuration was not installed. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstallError {
    /// A name occurs twice.
    Twice(String),
    /// There are more than 65,535 names of a kind.
    TooMany,
    /// A bound is zero, so that nothing could ever pass.
    ZeroBound(String),
    /// A sink that is to go holds events, and it was not named to be discarded.
    SinkBusy {
        /// The sink.
        sink: String,
        /// Its queued events and those in flight.
        queued: u64,
        /// Its parked events, also in doubt.
        parked: u64,
    },
    /// A stream that is to go holds events that are not finished.
    StreamBusy {
        /// The stream.
        stream: String,
        /// How many.
        unfinished: u64,
    },
    /// The log of a durable stream could not be opened.
    Log {
        /// The stream.
        stream: String,
        /// What was found.
        why: String,
    },
    /// A source that is to go holds rejects.
    SourceBusy {
        /// The source.
        source: String,
        /// How many messages.
        rejects: u64,
    },
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice(name) => write!(f, "the name {name} is used twice"),
            Self::TooMany => f.write_str("more than 65535 names of one kind"),
            Self::ZeroBound(name) => write!(f, "a bound of {name} is zero, at least 1 is needed"),
            Self::SinkBusy { sink, queued, parked } => {
                write!(f, "sink {sink} cannot be removed: {queued} events are queued and {parked} parked")
            }
            Self::StreamBusy { stream, unfinished } => {
                write!(f, "stream {stream} cannot be removed: {unfinished} events are not finished")
            }
            Self::Log { stream, why } => write!(f, "the log of stream {stream} cannot be opened: {why}"),
            Self::SourceBusy { source, rejects } => {
                write!(f, "source {source} cannot be removed: {rejects} rejected messages are kept")
            }
        }
    }
}

impl std::error::Error for InstallError {}
