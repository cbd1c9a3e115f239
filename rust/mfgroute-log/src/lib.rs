//! Ordered logs of byte records with sequence numbers and cursors: the queue under mfgroute.
//!
//! # Layout
//!
//! * [`Frame`] is the atom: records that are appended together or not at all.
//! * [`Record`] is a cheap handle to the bytes of one of them.
//! * [`MemoryLog`] is a log that lives as long as its process.
//! * [`Cursor`] is how far a reader has come: a low mark and what it finished above it.
//!
//! The crate knows bytes, frames, sequence numbers and cursors. What a record means is its caller's
//! business.

mod cursor;
mod frame;
mod memory;

pub use cursor::{Cursor, DISTANCE_MAX};
pub use frame::{Frame, Record};
pub use memory::{AppendError, Limits, MemoryLog};
