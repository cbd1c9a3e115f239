//! Why a log does not do what it was asked to.

use std::fmt;
use std::io;

/// Why a log does not open. Nothing has been deleted or changed.
#[derive(Debug)]
pub enum OpenError {
    /// The file system said no.
    Io(io::Error),
    /// The segment was written by a later version.
    Newer {
        /// File name.
        segment: String,
        /// Its format version.
        version: u32,
    },
    /// Bytes that were durable are not what was written.
    Corrupt(Corruption),
    /// The segment belongs to another log.
    Foreign {
        /// File name.
        segment: String,
    },
    /// The segment does not have the name that it was made with: somebody renamed it or put a copy there.
    Misnamed {
        /// File name.
        segment: String,
        /// The name that it was made with.
        made_as: String,
    },
}

/// Where durable bytes are damaged or missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// File name.
    pub segment: String,
    /// Offset of the first unreadable byte.
    pub offset: u64,
    /// The first sequence number that cannot be read.
    pub first: u64,
    /// The next one that can be, if any can; the same number if no record stood in the damaged bytes.
    pub next: Option<u64>,
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segment, offset, first, next } = self;
        match next {
            Some(next) if *next > *first => {
                write!(
                    f,
                    "{segment} is damaged at byte {offset}: records {first} to {} cannot be read",
                    next - 1
                )
            }
            Some(_) => write!(f, "{segment} is damaged at byte {offset}, where no record stands"),
            None => {
                write!(f, "{segment} is damaged at byte {offset}: records from {first} on cannot be read")
            }
        }
    }
}

impl OpenError {
    /// Whether records that were durable are damaged, missing or not of this log, rather than the disk refusing.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Corrupt(_) | Self::Foreign { .. } | Self::Misnamed { .. })
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Newer { segment, version } => {
                write!(f, "{segment} has format {version}, and this version reads {}", crate::FORMAT)
            }
            Self::Corrupt(corruption) => corruption.fmt(f),
            Self::Foreign { segment } => write!(f, "{segment} belongs to another log"),
            Self::Misnamed { segment, made_as } => {
                write!(f, "{segment} was made as {made_as}: it was renamed, or is a copy")
            }
        }
    }
}

impl std::error::Error for OpenError {}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A log that was poisoned: a write or a sync failed, and nothing is durable any more in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poisoned(pub String);

impl fmt::Display for Poisoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the log takes nothing more, since a write failed: {}; restart to recover", self.0)
    }
}

impl std::error::Error for Poisoned {}
