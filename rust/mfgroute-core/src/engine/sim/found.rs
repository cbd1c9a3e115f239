//! Faults of the engine that histories found, and that need the simulated machine to be shown.

use std::sync::Arc;

use mfgroute_log::testing::{Dice, Faults, Machine};

use super::super::commit::Committer;
use super::super::fact::Fact;
use super::super::tests::TestClock;
use super::super::{
    Admission, Attributes, Bound, Clock, DiskOptions, Engine, EngineConfig, EngineOptions, Event, Item,
    Message, SinkConfig, SourceConfig, StreamConfig, WhenFull,
};
use crate::dedup::Prints;

/// An engine with one stream, which holds three events and drops the oldest.
fn open(machine: &Machine, clock: &Arc<TestClock>) -> (Engine, Committer) {
    let disk_options = DiskOptions { segment_bytes: Some(16 << 10), seed: Some(1), ..DiskOptions::default() };
    let options = EngineOptions { dedup_window: 100, seed: Some(1), ..EngineOptions::default() };
    let opened = Engine::assemble(&options, machine.disk(), &disk_options, clock.clone());
    let (engine, mut committer, _) = opened.unwrap();
    let bound = |count| Bound { count, bytes: 1 << 20 };
    let stream = StreamConfig {
        name: "telemetry".into(),
        capacity: bound(3),
        when_full: WhenFull::DropOldest,
        durable: true,
        keep_ms: 0,
        first: false,
    };
    let config = EngineConfig {
        streams: vec![stream],
        sinks: vec![SinkConfig::new("sap")],
        sources: vec![SourceConfig { name: "mes".into(), rejects_max: bound(3), holds_keys: false }],
    };
    let now = clock.now();
    let mut state = engine.lock();
    state.install(&config, &[], "test", now).unwrap();
    state.flush(Vec::new(), now);
    drop(state);
    while committer.step(&mut || ()) {}
    (engine, committer)
}

#[test]
fn an_event_that_is_dropped_before_it_is_durable_leaves_no_word_without_itself() {
    let lost = (1..9).filter(|&seed| lost_after_drops(seed)).count();
    assert!((1..8).contains(&lost), "some machines lose what was dropped: {lost}");
}

/// Whether a machine loses events that were dropped before they were durable; it opens in any case.
fn lost_after_drops(seed: u64) -> bool {
    let (machine, clock) = (Machine::new(Dice::new(seed)), Arc::new(TestClock::default()));
    let (engine, mut committer) = open(&machine, &clock);
    for id in 1..6_u128 {
        let (kind, prints) = ("done/1".into(), Prints { raw: id, body: id });
        let (key, sinks, record) = (&b"order/1"[..], &[0][..], &b"r"[..]);
        let items = [Item::Event(Event { item: 0, stream: 0, key, id, prints, kind: &kind, sinks, record })];
        let messages = [Message { raw: b"", meta: Attributes::Json(b""), independent: false, items: &items }];
        engine.admit(&Admission { source: 0, sync: false, messages: &messages, position: None }).unwrap();
    }
    assert_eq!(engine.stats().sinks[0].dropped, 2);
    // The stream fails, the node's own log does not.
    let mut moment = 0;
    committer.cycle(&mut || {
        moment += 1;
        machine.set_faults(Faults { sync: u64::from(moment == 1), ..Faults::default() });
    });
    assert!(engine.stats().streams[0].failed.is_some() && engine.stats().failed.is_none());
    drop((engine, committer));
    machine.power_cut();
    let (engine, _) = open(&machine, &clock);
    engine.stats().streams[0].next_seq < 2
}

#[test]
fn a_checkpoint_that_never_became_whole_takes_nothing_of_what_comes_after_it() {
    let (machine, clock) = (Machine::new(Dice::new(1)), Arc::new(TestClock::default()));
    let (engine, mut committer) = open(&machine, &clock);
    let mut state = engine.lock();
    // What is durable of a checkpoint if the power goes while it is written.
    state.facts.note(&Fact::Begin);
    state.facts.note(&Fact::Seed(1, 2));
    state.flush(Vec::new(), clock.now());
    drop(state);
    while committer.step(&mut || ()) {}
    drop((engine, committer));
    machine.power_cut();
    let (engine, mut committer) = open(&machine, &clock);
    let message = Message { raw: b"{}", meta: Attributes::Json(b""), independent: false, items: &[] };
    let admission = Admission { source: 0, sync: false, messages: &[message], position: Some(b"7") };
    engine.admit(&admission).unwrap();
    while committer.step(&mut || ()) {}
    assert_eq!(engine.position(0).as_deref(), Some(&b"7"[..]));
    drop((engine, committer));
    machine.power_cut();
    let (engine, _committer) = open(&machine, &clock);
    assert_eq!(engine.position(0).as_deref(), Some(&b"7"[..]));
}
