//! Faults put in on purpose, so that the tests can show that they would be found.
//!
//! Without the feature `mutants` every question is answered `false` by the compiler. With it, one fault at a time is
//! chosen for the thread that runs a test.

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mutant {
    /// Says durable before the sync.
    AckBeforeSync = 1,
    /// Syncs again after a sync failed, and believes it.
    RetrySync = 2,
    /// Compares no checksum.
    NoChecksum = 3,
    /// Does not sync names.
    NoNameSync = 4,
    /// Skips what is unreadable and goes on.
    SkipBad = 5,
    /// Takes what is unreadable below the watermark for a torn tail.
    CutBelowWatermark = 6,
    /// Leaves a torn tail in place and appends behind it.
    KeepTorn = 7,
    /// Shows what was recovered before it is synced.
    ShowBeforeSync = 8,
    /// Goes on in the recovered file as if the page cache were the platter.
    TrustCache = 9,
    /// Says that a sink has had an event when it is handed out, before its effect.
    CursorBeforeEffect = 10,
    /// Frees a segment before the record that allows it is durable.
    FreeEarly = 11,
    /// Knows after a restart of no event that it has admitted.
    DedupForgotten = 12,
    /// Takes what a stream has no room for.
    Unbounded = 18,
    /// Says that an event is finished, and only then that it is parked.
    ParkedAfter = 23,
}

#[cfg(feature = "mutants")]
mod chosen {
    use std::cell::Cell;

    thread_local!(static CHOSEN: Cell<u8> = const { Cell::new(0) });

    /// Chooses the fault of this thread, or none.
    pub fn choose(mutant: Option<super::Mutant>) {
        CHOSEN.with(|chosen| chosen.set(mutant.map_or(0, |mutant| mutant as u8)));
    }

    /// Whether it is the fault of this thread.
    #[must_use]
    pub fn is(mutant: super::Mutant) -> bool {
        CHOSEN.with(|chosen| chosen.get() == mutant as u8)
    }
}

#[cfg(feature = "mutants")]
pub use chosen::{choose, is};

/// Whether it is the fault of this thread: never, in what ships.
#[cfg(not(feature = "mutants"))]
#[must_use]
pub const fn is(_: Mutant) -> bool {
    false
}
