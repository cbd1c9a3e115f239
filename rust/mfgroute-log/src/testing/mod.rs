//! A simulated machine for tests: a disk that fails as real ones do, and one source of chance.
//!
//! Only with the feature `testing`, which nothing that ships has. The same seed gives the same machine, as long as it is
//! asked the same things in the same order.

// A place that is not there is a fault of the test.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate
)]

mod dice;
mod disk;
mod machine;

pub use dice::Dice;
pub use machine::{Faults, Machine, Rot, SECTOR};
