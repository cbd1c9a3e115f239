//! Ordered logs of byte records with sequence numbers and cursors: the queue under mfgroute.
//!
//! # Layout
//!
//! * [`Frame`] is the atom: records that are appended together or not at all.
//! * [`Record`] is a cheap handle to the bytes of one of them.
//! * [`MemoryLog`] is a log that lives as long as its process.
//! * [`open`] opens a log on a [`Disk`]: its [`Store`] takes frames and reads, under its owner's lock; its [`Writer`]
//!   waits for the disk, in a thread of its own. What goes from one to the other is [`Pending`] and [`Written`]. Its
//!   [`Keeper`] makes segments ready before they are needed and takes them away afterwards, in another one.
//! * [`verify`], [`stat`] and [`salvage`] look at a log and change nothing, however damaged it is.
//! * [`Cursor`] is how far a reader has come: a low mark and what it finished above it.
//!
//! The crate knows bytes, frames, sequence numbers and cursors. What a record means is its caller's
//! business.

mod chance;
mod cursor;
pub mod disk;
mod error;
mod format;
mod frame;
mod inspect;
mod keeper;
mod memory;
pub mod mutant;
mod recover;
mod segment;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod writer;

pub use cursor::{Cursor, DISTANCE_MAX};
pub use disk::{Disk, DiskFile, Folder};
pub use error::{Corruption, OpenError, Poisoned};
pub use format::FORMAT;
pub use frame::{Frame, Record};
pub use inspect::{Salvaged, SegmentHead, SegmentStat, SegmentState, Verified, salvage, stat, verify};
pub use keeper::{Keeper, Spare};
pub use memory::{AppendError, Limits, MemoryLog};
pub use recover::{Report, Torn, open};
pub use store::{NoRoom, Pending, Store, record_max};
pub use writer::{Writer, Written};

/// What a log on a disk is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size of a segment, at least 16 KiB.
    pub segment_bytes: u64,
    /// Bytes that no spare segment may take from the disk.
    pub reserve_bytes: u64,
    /// Bytes of records that are kept in memory besides those that wait to be written.
    pub tail_bytes: u64,
    /// Seed of generations; random unless a test needs the same run twice.
    pub seed: Option<u64>,
    /// The wall clock, in milliseconds since 1970: for people who look at a segment.
    pub wall: fn() -> u64,
}
