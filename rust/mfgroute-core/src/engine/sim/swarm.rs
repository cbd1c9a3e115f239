//! Each seed has its own sizes, weights and a random part of the faults: what would drown in all of them is met so.

use mfgroute_log::testing::{Dice, Faults};

use super::super::{
    Bound, DiskOptions, EngineConfig, EngineOptions, OnRefused, SinkConfig, SourceConfig, StreamConfig,
    WhenFull,
};

/// The first parks a key, the second an event, and the third takes several events of a key at a time.
pub(super) const SINKS: usize = 3;
pub(super) const STREAMS: usize = 2;
/// More than a history admits.
const WIDE: usize = 10_000;

/// What this seed's history is like.
#[derive(Debug)]
pub(super) struct Swarm {
    pub(super) segment_bytes: u64,
    pub(super) tail_bytes: u64,
    pub(super) capacity: u64,
    pub(super) capacity_bytes: u64,
    pub(super) parked_max: u64,
    pub(super) rejects_max: u64,
    pub(super) keep_ms: u64,
    pub(super) body_bytes: u64,
    pub(super) keys: u64,
    pub(super) window: usize,
    pub(super) distance_max: u64,
    /// The second stream drops its oldest events.
    pub(super) drops: bool,
    /// The events of the second stream go first.
    pub(super) first: bool,
    pub(super) steps: u64,
    pub(super) lives: u64,
    /// One life in so many has a process that dies at some operation, and at most so late.
    pub(super) fuse: (u64, u64),
    /// One ending in so many is a power cut.
    pub(super) cut: u64,
    /// One orderly ending in so many flips a bit.
    pub(super) rot: u64,
    /// One moment in so many without the lock has somebody in it.
    pub(super) meanwhile: u64,
    /// How often each kind of step is taken.
    pub(super) weights: [u64; 10],
    pub(super) faults: Faults,
}

impl Swarm {
    pub(super) fn draw(seed: u64, dice: &mut Dice) -> Self {
        let mut sometimes = |of: &[u64]| if dice.once_in(4) { dice.pick(of) } else { 0 };
        let often = &[20, 60, 200];
        let faults = Faults {
            sync: sometimes(often),
            write: sometimes(often),
            short_write: sometimes(&[2, 8]),
            full: sometimes(often),
            names: sometimes(often),
            read: sometimes(often),
        };
        Self {
            segment_bytes: dice.pick(&[16, 16, 32]) * 1024,
            tail_bytes: dice.pick(&[0, 2_000, 1 << 20]),
            capacity: dice.pick(&[4, 12, 40, 1_000]),
            capacity_bytes: dice.pick(&[14, 24, 64, 1 << 20]) * 1024,
            parked_max: dice.pick(&[2, 4, 100]),
            rejects_max: dice.pick(&[2, 6, 100]),
            keep_ms: dice.pick(&[0, 0, 0, 500, u64::MAX]),
            body_bytes: dice.pick(&[20, 700, 2_500, 6_000]),
            keys: dice.pick(&[1, 2, 6]),
            window: dice.pick(&[5, WIDE, WIDE]),
            distance_max: dice.pick(&[3, 8, 1_000]),
            drops: dice.once_in(4),
            // Not drawn: what else a history is like does not depend on it. No seed that is kept is one of these.
            first: seed.is_multiple_of(5),
            steps: dice.pick(&[8, 30, 60, 150]),
            lives: dice.pick(&[1, 2, 3, 4]),
            fuse: (dice.pick(&[0, 1, 2, 4]), dice.pick(&[20, 80, 200])),
            cut: dice.pick(&[0, 1, 2, 3]),
            rot: dice.pick(&[0, 1, 3]),
            meanwhile: dice.pick(&[0, 2, 4]),
            weights: [
                4 + dice.below(5),
                dice.below(3),
                2 + dice.below(4),
                3 + dice.below(6),
                dice.below(4),
                1 + dice.below(3),
                2 + dice.below(6),
                1 + dice.below(3),
                1 + dice.below(3),
                dice.below(2),
            ],
            faults,
        }
    }

    /// What the engine is told when it is made.
    pub(super) fn options(&self) -> EngineOptions {
        EngineOptions {
            dedup_window: self.window,
            journal_max: 10,
            actions_max: 5,
            distance_max: self.distance_max,
            seed: Some(7),
        }
    }

    /// What it is told about its disk.
    pub(super) fn disk_options(&self, seed: u64) -> DiskOptions {
        DiskOptions {
            segment_bytes: Some(self.segment_bytes),
            reserve_bytes: Some(1 << 20),
            tail_bytes: Some(self.tail_bytes),
            seed: Some(seed),
            wall: Some(|| 1_700_000_000_000),
            ..DiskOptions::default()
        }
    }

    /// What is installed: the same in every life.
    pub(super) fn config(&self) -> EngineConfig {
        let wide = |count| Bound { count, bytes: 1 << 30 };
        let sink = |number: usize| {
            let mut sink = SinkConfig::new(["keys", "events", "several"][number]);
            sink.tries = 2;
            sink.delay_max_ms = 2_000;
            sink.parked_max = wide(self.parked_max);
            sink.on_refused = if number == 0 { OnRefused::ParkKey } else { OnRefused::ParkEvent };
            sink.one_per_key = number != 2;
            sink
        };
        let stream = |name: &str, drops, first| StreamConfig {
            name: name.into(),
            capacity: Bound { count: self.capacity, bytes: self.capacity_bytes },
            when_full: if drops { WhenFull::DropOldest } else { WhenFull::Block },
            durable: true,
            keep_ms: self.keep_ms,
            first,
        };
        EngineConfig {
            streams: vec![stream("business", false, false), stream("quality", self.drops, self.first)],
            sinks: (0..SINKS).map(sink).collect(),
            sources: vec![SourceConfig {
                name: "mes".into(),
                rejects_max: wide(self.rejects_max),
                holds_keys: false,
            }],
        }
    }
}
