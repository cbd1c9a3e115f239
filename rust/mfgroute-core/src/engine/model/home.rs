//! Where a model lives, and a look at the lists of a sink.

use std::sync::Arc;

use super::super::lanes::Phase;
use super::super::sink::Sink;
use super::super::tests::TestClock;
use super::super::{
    Bound, DiskOptions, Engine, EngineConfig, EngineOptions, OnRefused, SinkConfig, SourceConfig,
    StreamConfig, WhenFull,
};
use super::{PARKED_MAX, SINKS};

/// A folder that goes with its test; in memory where the machine has such a place.
pub(super) struct Home(std::path::PathBuf);

impl Home {
    pub(super) fn new() -> Self {
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let shared = std::path::Path::new("/dev/shm");
        let base = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
        Self(base.join(format!("mfgroute-model-{}-{number}", std::process::id())))
    }

    /// Small segments and no memory, so that everything is read from the disk and freed soon.
    pub(super) fn open(&self, options: &EngineOptions, clock: &Arc<TestClock>) -> Engine {
        let disk = Arc::new(mfgroute_log::Folder::open(&self.0).unwrap());
        let disk_options = DiskOptions {
            segment_bytes: Some(16 << 10),
            reserve_bytes: Some(0),
            tail_bytes: Some(0),
            seed: Some(3),
            ..DiskOptions::default()
        };
        Engine::open(options, disk, &disk_options, clock.clone()).unwrap().0
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whatever waits is on a list that some step looks at.
pub(super) fn check_progress(sink: &Sink, now: u64) {
    for event in sink.parked.iter().filter(|event| !event.cause.is_own()) {
        let first = sink.parked.iter().find(|first| first.lane == event.lane && first.blocking);
        let caused = first.is_some_and(|first| first.cause.is_own());
        let copies = sink.lanes.iter().filter(|(_, held)| held.copy && held.lane == event.lane);
        let tried = copies.into_iter().any(|(_, held)| held.ordinal < event.number);
        assert!(caused || tried, "event {} waits behind nothing", event.number);
    }
    for (id, held) in sink.lanes.iter().filter(|(_, held)| held.phase != Phase::InFlight) {
        let listed =
            sink.ready.iter().any(|ready| ready == id) || sink.due.iter().any(|entry| entry.0.1 == id);
        assert!(sink.next_of(held.lane, now) != Some(id) || listed, "an event that is due is on no list");
        let blocked = sink.parked.blocks(held.lane, held.ordinal);
        assert!(
            !blocked || sink.spilled.contains(&held.lane),
            "a log is held by an event behind a parked one"
        );
    }
}

/// What the engine is told: capacity of its streams, and which go first; perhaps without one of its sinks.
pub(super) fn config((capacity, first): (u64, u8), without: Option<usize>, durable: bool) -> EngineConfig {
    let bound = |count| Bound { count, bytes: 1 << 20 };
    let sink = |(number, name): (usize, &&str)| {
        let mut sink = SinkConfig::new(*name);
        sink.tries = 2;
        sink.delay_max_ms = 2_000;
        sink.parked_max = bound(PARKED_MAX);
        sink.on_refused = if number == 0 { OnRefused::ParkKey } else { OnRefused::ParkEvent };
        sink.one_per_key = number != 2;
        sink
    };
    let stream = |name: &str, when_full, bit: u8| StreamConfig {
        name: name.into(),
        capacity: bound(capacity),
        when_full,
        durable,
        keep_ms: 0,
        first: first & bit != 0,
    };
    let kept = SINKS.iter().enumerate().filter(|(number, _)| Some(*number) != without);
    EngineConfig {
        streams: vec![stream("business", WhenFull::Block, 1), stream("telemetry", WhenFull::DropOldest, 2)],
        sinks: kept.map(sink).collect(),
        sources: vec![SourceConfig { name: "mes".into(), rejects_max: bound(20), holds_keys: false }],
    }
}

/// A short reach, and always the same chances.
pub(super) fn options() -> EngineOptions {
    EngineOptions { dedup_window: 10_000, distance_max: 6, seed: Some(7), ..EngineOptions::default() }
}
