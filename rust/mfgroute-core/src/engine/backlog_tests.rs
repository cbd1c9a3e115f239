//! A start with a backlog of a thousand segments.

use mfgroute_log::Folder;

use super::rerun_tests::{config, done};
use super::tests::TestClock;
use super::*;
use crate::dedup::Prints;

const SEGMENT: u64 = 16 << 10;
const TAIL: u64 = 64 << 10;
const RECORD: usize = 1_000;

fn open(path: &std::path::Path) -> Engine {
    let disk_options = DiskOptions {
        segment_bytes: Some(SEGMENT),
        reserve_bytes: Some(0),
        tail_bytes: Some(TAIL),
        seed: Some(1),
        ..Default::default()
    };
    let options = EngineOptions { dedup_window: 100_000, seed: Some(1), ..EngineOptions::default() };
    let disk = Arc::new(Folder::open(path).unwrap());
    let engine = Engine::open(&options, disk, &disk_options, Arc::new(TestClock::default())).unwrap().0;
    let mut config = config(&["sap"], u64::MAX);
    config.streams[0].capacity.bytes = 64 << 20;
    config.sinks[0].one_per_key = false;
    engine.install(&config, &[], "test").unwrap();
    engine
}

/// Admits a few events of ten keys and waits until they are durable.
fn admit(engine: &Engine, ids: std::ops::Range<u128>) {
    let kind: Arc<str> = "done/1".into();
    let keys: Vec<u8> = (0..10).collect();
    let items: Vec<Item<'_>> = ids
        .map(|id| {
            let key = std::slice::from_ref(&keys[(id % 10) as usize]);
            let prints = Prints { raw: id, body: id };
            let record = &[7; RECORD];
            Item::Event(Event { item: 0, stream: 0, key, id, prints, kind: &kind, sinks: &[0], record })
        })
        .collect();
    let messages = [Message { raw: b"", meta: Attributes::Json(b""), independent: false, items: &items }];
    let admission = Admission { source: 0, sync: false, messages: &messages, position: None };
    let receipt = loop {
        match engine.admit(&admission) {
            // The next segment is being made ready.
            Err(AdmitError::NoDisk { .. }) => std::thread::yield_now(),
            admitted => break admitted.unwrap(),
        }
    };
    engine.wait(&receipt, false).unwrap();
}

/// Bytes of records of the stream that are in memory, at most.
fn remembered(engine: &Engine) -> u64 {
    let state = engine.lock();
    let store = &state.streams[0].log.disk().unwrap().store;
    (store.next_seq() - store.tail_seq()) * (RECORD as u64 + 200)
}

#[test]
fn a_start_with_a_thousand_full_segments_holds_the_newest_alone_and_hands_out_all_in_order() {
    let path = std::env::temp_dir().join(format!("mfgroute-backlog-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    let engine = open(&path);
    let segments = || std::fs::read_dir(path.join("streams/business")).unwrap().count();
    let mut count = 0;
    while segments() < 1_002 {
        admit(&engine, count..count + 140);
        count += 140;
    }
    let _ = engine.close();
    let engine = open(&path);
    assert!(remembered(&engine) < 2 * TAIL, "{}", remembered(&engine));
    let mut next = 0;
    while next < count as u64 {
        let batch = engine.poll(0, 500, u64::MAX);
        assert!(!batch.is_empty(), "nothing comes behind {next}");
        for one in &batch {
            assert_eq!(one.seq, next);
            next += 1;
        }
        engine.settle(0, batch.iter().map(|one| (one.id, done()))).unwrap();
        let ticket = engine.lock().node.as_ref().map_or(0, |node| node.ticket);
        drop(engine.wait_for(ticket));
        assert!(remembered(&engine) < 2 * TAIL);
    }
    let _ = engine.close();
    std::fs::remove_dir_all(&path).unwrap();
}
