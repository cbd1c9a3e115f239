//! Each seed has its own sizes, weights and a random part of the faults: what would drown in all of them is met so.

use mfgroute_log::testing::{Dice, Faults};

/// What this seed's history is like.
pub(crate) struct Swarm {
    pub(crate) segment_bytes: u64,
    pub(crate) tail_bytes: u64,
    pub(crate) record_bytes: u64,
    pub(crate) frame_records: u64,
    pub(crate) steps: u64,
    pub(crate) lives: u64,
    /// One life in so many has a process that dies at some operation.
    pub(crate) fuse: u64,
    /// One ending in so many is a power cut.
    pub(crate) cut: u64,
    /// One ending in so many flips a bit.
    pub(crate) rot: u64,
    /// How often each kind of step is taken.
    pub(crate) weights: [u64; 6],
    pub(crate) faults: Faults,
}

impl Swarm {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let mut sometimes = |of: &[u64]| if dice.once_in(3) { dice.pick(of) } else { 0 };
        let often = &[8, 30, 100];
        let faults = Faults {
            sync: sometimes(often),
            write: sometimes(often),
            short_write: sometimes(&[2, 8]),
            full: sometimes(often),
            names: sometimes(often),
            read: sometimes(often),
        };
        Self {
            segment_bytes: dice.pick(&[16, 16, 16, 20, 32, 64]) * 1024,
            tail_bytes: dice.pick(&[0, 0, 2_000, 1 << 20]),
            record_bytes: dice.pick(&[1, 30, 200, 700, 700, 3_000, 9_000]),
            frame_records: dice.pick(&[1, 3, 12]),
            steps: dice.pick(&[3, 10, 25, 40]),
            lives: dice.pick(&[2, 3, 4, 6]),
            fuse: dice.pick(&[0, 2, 4]),
            cut: dice.pick(&[0, 1, 2, 3]),
            rot: dice.pick(&[0, 0, 2, 4]),
            weights: [5, dice.pick(&[2, 4]), dice.below(3), 1 + dice.below(3), dice.below(3), dice.below(3)],
            faults,
        }
    }
}
