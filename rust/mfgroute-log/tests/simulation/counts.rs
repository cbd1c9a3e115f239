//! What a history did.

/// What a history did, so that a suite in which nothing happens is noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Of everything that was decided and seen.
    pub(crate) hash: u64,
    pub(crate) lives: u64,
    pub(crate) appended: u64,
    pub(crate) acknowledged: u64,
    pub(crate) kills: u64,
    pub(crate) cuts: u64,
    pub(crate) poisoned: u64,
    pub(crate) rolled: u64,
    pub(crate) retired: u64,
    pub(crate) torn: u64,
    pub(crate) rotten: u64,
    pub(crate) refused: u64,
    pub(crate) read: u64,
    pub(crate) failed_openings: u64,
}

impl Counts {
    pub(crate) fn mix(&mut self, number: u64) {
        self.hash = (self.hash.rotate_left(5) ^ number).wrapping_mul(0x517C_C1B7_2722_0A95);
    }
}
