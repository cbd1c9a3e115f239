//! Replays of the engine, one sentence each.

use std::path::PathBuf;

use mfgroute_log::Folder;

use super::tests::TestClock;
use super::*;
use crate::dedup::Prints;

pub(super) const ME: Actor<'static> = Actor { who: "test", why: "the ERP was restored" };

pub(super) struct Rig {
    path: PathBuf,
    pub(super) clock: Arc<TestClock>,
    kind: Arc<str>,
    pub(super) engine: Engine,
    next: u128,
    /// Keys of all events, by offset.
    pub(super) keys: Vec<u8>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.engine.close();
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn open(path: &std::path::Path, clock: &Arc<TestClock>, keep_ms: u64) -> Engine {
    let disk_options = DiskOptions {
        segment_bytes: Some(16 << 10),
        reserve_bytes: Some(0),
        seed: Some(1),
        ..Default::default()
    };
    let options = EngineOptions { dedup_window: 1_000, seed: Some(1), ..EngineOptions::default() };
    let disk = Arc::new(Folder::open(path).unwrap());
    let engine = Engine::open(&options, disk, &disk_options, clock.clone()).unwrap().0;
    let sinks = ["sap", "wms"];
    engine.install(&config(&sinks, keep_ms), &[], "test").unwrap();
    engine
}

pub(super) fn config(sinks: &[&str], keep_ms: u64) -> EngineConfig {
    let capacity = Bound { count: 100_000, bytes: 1 << 20 };
    let (name, when_full, durable) = ("business".to_owned(), WhenFull::Block, true);
    EngineConfig {
        streams: vec![StreamConfig { name, capacity, when_full, durable, keep_ms, first: false }],
        sinks: sinks.iter().map(|name| SinkConfig::new((*name).to_owned())).collect(),
        sources: vec![SourceConfig { name: "mes".into(), rejects_max: capacity, holds_keys: false }],
    }
}

impl Rig {
    pub(super) fn new() -> Self {
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let path = std::env::temp_dir().join(format!("mfgroute-rerun-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        let clock = Arc::new(TestClock::default());
        let engine = open(&path, &clock, u64::MAX);
        Self { path, clock, kind: "done/1".into(), engine, next: 0, keys: Vec::new() }
    }

    pub(super) fn reopen(&mut self) {
        let _ = self.engine.close();
        self.engine = open(&self.path, &self.clock, u64::MAX);
    }

    /// Admits one event for the first sink.
    pub(super) fn admit(&mut self, key: u8) {
        self.next += 1;
        self.keys.push(key);
        let (id, prints) = (self.next, Prints { raw: self.next, body: self.next });
        let (kind, sinks, bytes) = (&self.kind, &[0][..], [key; 40]);
        let key = std::slice::from_ref(&key);
        let items = [Item::Event(Event { item: 0, stream: 0, key, id, prints, kind, sinks, record: &bytes })];
        let messages = [Message { raw: b"", meta: Attributes::Json(b""), independent: false, items: &items }];
        let admission = Admission { source: 0, sync: false, messages: &messages, position: None };
        let receipt = self.engine.admit_wait(&admission, Duration::from_secs(60)).unwrap();
        self.engine.wait(&receipt, false).unwrap();
    }

    fn admit_all(&mut self, keys: &[u8]) {
        for &key in keys {
            self.admit(key);
        }
    }

    pub(super) fn quiesce(&self) {
        let ticket = self.engine.lock().node.as_ref().map_or(0, |node| node.ticket);
        drop(self.engine.wait_for(ticket));
        assert_eq!(self.engine.stats().unaccounted, 0);
    }

    pub(super) fn settle(&self, sink: u16, batch: &[Delivery], outcome: &Outcome) {
        self.engine.settle(sink, batch.iter().map(|one| (one.id, outcome.clone()))).unwrap();
        self.quiesce();
    }

    /// Everything that comes now, in order, and is done.
    pub(super) fn drain(&self, sink: u16) -> Vec<u64> {
        let mut seqs = Vec::new();
        loop {
            let batch = self.engine.poll(sink, 100, u64::MAX);
            if batch.is_empty() {
                return seqs;
            }
            seqs.extend(batch.iter().map(|one| one.seq));
            self.settle(sink, &batch, &done());
        }
    }

    fn chosen(&self, sink: u16, seqs: &[u64]) -> Vec<(Chosen, bool)> {
        let (kept, _) = self.engine.kept(0, 0, 100_000);
        let wanted = kept.iter().filter(|one| seqs.contains(&one.seq()));
        wanted.map(|one| (one.chosen(), one.is_for(sink))).collect()
    }

    pub(super) fn replay(&self, sink: u16, seqs: &[u64], rate: u32) -> Result<Sorted, ActError> {
        self.engine.replay(sink, &self.chosen(sink, seqs), (rate, "{}", true), ME)
    }
}

pub(super) fn done() -> Outcome {
    Outcome::Done { reference: None }
}

pub(super) fn refused() -> Outcome {
    Outcome::Refused { code: "M7/053".into(), reason: "period closed".into() }
}

#[test]
fn what_a_sink_has_finished_comes_again_with_the_same_ids_and_in_order_per_key() {
    let mut rig = Rig::new();
    rig.admit_all(&[1, 2, 1, 2]);
    let first: Vec<_> = rig.engine.poll(0, 100, u64::MAX).iter().map(Delivery::event_id).collect();
    assert_eq!(first, [1, 2]);
    rig.reopen();
    assert_eq!(rig.drain(0), [0, 1, 2, 3]);
    let sorted = rig.replay(0, &[0, 1, 2, 3], 0).unwrap();
    assert_eq!((sorted.sent.len(), sorted.seen, sorted.queued, sorted.parked), (4, 4, 0, 0));
    let again = rig.engine.poll(0, 100, u64::MAX);
    assert!(again.iter().all(|one| one.redelivered));
    assert_eq!(again.iter().map(|one| (one.seq, one.event_id())).collect::<Vec<_>>(), [(0, 1), (1, 2)]);
    rig.settle(0, &again, &done());
    assert_eq!(rig.drain(0), [2, 3]);
    assert_eq!(rig.engine.replaying(0), None);
    let actions = rig.engine.actions();
    let last = actions.last().unwrap();
    assert_eq!(
        (last.what.as_str(), last.why.as_str()),
        ("replay ended", "4 delivered, 0 parked, 0 gone from the stream before their turn")
    );
    assert_eq!(actions[actions.len() - 2].who, "test");
}

#[test]
fn a_sink_that_is_new_gets_the_past_and_nothing_that_it_had_is_marked() {
    let mut rig = Rig::new();
    rig.admit_all(&[1, 2, 3]);
    rig.drain(0);
    let sorted = rig.replay(1, &[0, 1, 2], 0).unwrap();
    assert_eq!((sorted.sent.len(), sorted.seen), (3, 0));
    assert_eq!(rig.drain(1), [0, 1, 2]);
}

#[test]
fn what_still_waits_for_the_sink_or_is_parked_there_is_not_sent_twice() {
    let mut rig = Rig::new();
    rig.admit_all(&[1, 1, 2, 3]);
    let batch = rig.engine.poll(0, 100, u64::MAX);
    rig.settle(0, &batch[..1], &refused());
    let sorted = rig.replay(0, &[0, 1, 2, 3], 0).unwrap();
    assert_eq!((sorted.sent.len(), sorted.queued, sorted.parked), (0, 2, 2));
    assert_eq!(rig.engine.replaying(0), None);
}

#[test]
fn live_events_of_a_key_wait_while_it_is_replayed_and_other_keys_flow() {
    let mut rig = Rig::new();
    rig.admit_all(&[1, 1]);
    rig.drain(0);
    rig.admit(1);
    let live = rig.engine.poll(0, 100, u64::MAX);
    assert_eq!(live[0].seq, 2);
    rig.replay(0, &[0, 1], 0).unwrap();
    rig.admit_all(&[1, 5]);
    let other: Vec<u64> = rig.engine.poll(0, 100, u64::MAX).iter().map(|one| one.seq).collect();
    assert_eq!(other, [4], "the key is in flight, and is taken when it no longer is");
    rig.settle(0, &live, &done());
    for seq in [0, 1, 3] {
        let batch = rig.engine.poll(0, 100, u64::MAX);
        assert_eq!(batch.iter().map(|one| one.seq).collect::<Vec<_>>(), [seq]);
        rig.settle(0, &batch, &done());
    }
}

#[test]
fn a_second_replay_waits_for_the_end_of_the_first() {
    let mut rig = Rig::new();
    rig.admit_all(&[1, 2]);
    rig.drain(0);
    rig.replay(0, &[0], 0).unwrap();
    assert_eq!(rig.replay(0, &[1], 0), Err(ActError::Replaying));
    assert_eq!(rig.drain(0), [0]);
    rig.replay(0, &[1], 0).unwrap();
    assert_eq!(rig.drain(0), [1]);
}

#[test]
fn a_refused_event_of_a_replay_parks_its_key_and_comes_back_when_a_person_says_so() {
    let mut rig = Rig::new();
    rig.admit_all(&[1, 1, 2]);
    rig.drain(0);
    rig.replay(0, &[0, 1, 2], 0).unwrap();
    let batch = rig.engine.poll(0, 1, u64::MAX);
    rig.settle(0, &batch, &refused());
    rig.reopen();
    let parked: Vec<(u64, Cause)> =
        rig.engine.parked(0).unwrap().into_iter().map(|one| (one.seq, one.cause)).collect();
    assert_eq!(parked.iter().map(|one| one.0).collect::<Vec<_>>(), [0, 1]);
    assert_eq!((parked[0].1.as_str(), parked[1].1.as_str()), ("refused", "behind"));
    assert_eq!(rig.drain(0), [2], "other keys flow");
    let number = rig.engine.parked(0).unwrap()[0].number;
    rig.reopen();
    rig.engine.retry_parked(0, number, ME).unwrap();
    assert_eq!(rig.drain(0), [0, 1]);
    assert!(rig.engine.parked(0).unwrap().is_empty());
}

#[test]
fn a_replay_can_be_stopped_and_what_is_at_the_sink_goes_on() {
    let mut rig = Rig::new();
    rig.admit_all(&[1, 1, 1, 2]);
    rig.drain(0);
    rig.replay(0, &[0, 1, 3], 1_000).unwrap();
    let batch = rig.engine.poll(0, 100, u64::MAX);
    assert_eq!(batch.len(), 1);
    rig.admit(1);
    assert_eq!(rig.engine.stop_replay(0, ME).unwrap().progress.left, 3);
    rig.settle(0, &batch, &done());
    assert_eq!(rig.drain(0), [4]);
    assert_eq!(rig.engine.stop_replay(0, ME), Err(ActError::NotFound));
    rig.reopen();
    assert_eq!(rig.drain(0), [0_u64; 0]);
}

#[test]
fn a_rate_is_kept_and_the_sink_says_when_to_come_again() {
    let mut rig = Rig::new();
    rig.admit_all(&[1, 2, 3]);
    rig.drain(0);
    rig.replay(0, &[0, 1, 2], 2_000).unwrap();
    for seq in 0..3 {
        assert_eq!(rig.drain(0), [seq]);
        let due = rig.engine.next_due(0).map(|due| due.as_millis());
        assert_eq!(due, (seq < 2).then_some(500));
        rig.clock.advance(500);
    }
}

#[test]
fn what_has_left_the_stream_before_its_turn_is_counted_and_the_rest_comes() {
    let mut rig = Rig::new();
    (0..200).for_each(|key| rig.admit(key));
    rig.drain(0);
    let all: Vec<u64> = (0..200).collect();
    rig.replay(0, &all, 1_000).unwrap();
    {
        let mut state = rig.engine.lock();
        state.streams[0].log.give_up_to(150);
        state.streams[0].log.disk_mut().unwrap().free_to(150);
    }
    let first = rig.engine.kept(0, 0, 1).0[0].seq();
    assert!(first > 0);
    for _ in first..200 {
        rig.clock.advance(200_000);
        rig.drain(0);
    }
    let why = rig.engine.actions().last().unwrap().why.clone();
    assert_eq!(
        why,
        format!("{} delivered, 0 parked, {first} gone from the stream before their turn", 200 - first)
    );
}

#[test]
fn a_sink_with_a_replay_does_not_go_without_being_told_to() {
    let mut rig = Rig::new();
    rig.admit(1);
    rig.drain(0);
    rig.replay(0, &[0], 0).unwrap();
    let none = EngineConfig { sinks: vec![SinkConfig::new("wms")], ..config_of(&rig) };
    assert!(matches!(rig.engine.install(&none, &[], "test"), Err(InstallError::SinkBusy { queued: 1, .. })));
    rig.engine.install(&none, &["sap".to_owned()], "test").unwrap();
    assert_eq!(rig.engine.stats().unaccounted, 0);
}

fn config_of(rig: &Rig) -> EngineConfig {
    let state = rig.engine.lock();
    EngineConfig {
        streams: state.streams.iter().map(|stream| stream.config.clone()).collect(),
        sinks: Vec::new(),
        sources: vec![SourceConfig {
            name: "mes".into(),
            rejects_max: Bound { count: 9, bytes: 1 << 20 },
            holds_keys: false,
        }],
    }
}

#[test]
fn what_a_person_retries_goes_before_the_rest_of_its_key() {
    for behind in [false, true] {
        let mut rig = Rig::new();
        rig.admit_all(&[1, 1, 1]);
        rig.drain(0);
        rig.replay(0, &[0, 1, 2], 1_000).unwrap();
        let batch = rig.engine.poll(0, 100, u64::MAX);
        rig.settle(0, &batch, &refused());
        let number = rig.engine.parked(0).unwrap()[0].number;
        if behind {
            rig.clock.advance(1_000);
            assert!(rig.engine.poll(0, 100, u64::MAX).is_empty());
            assert_eq!(rig.engine.parked(0).unwrap().len(), 2);
        }
        rig.engine.retry_parked(0, number, ME).unwrap();
        rig.quiesce();
        assert_eq!(rig.drain(0), if behind { vec![0, 1] } else { vec![0] });
        rig.clock.advance(10_000);
        assert_eq!(rig.drain(0), if behind { vec![2] } else { vec![1, 2] });
    }
}

#[test]
fn a_target_that_refuses_everything_stops_a_replay_at_its_bound() {
    let mut rig = Rig::new();
    (0..60).for_each(|key| rig.admit(key % 50));
    rig.drain(0);
    let mut few = SinkConfig::new("sap");
    few.parked_max = Bound { count: 5, bytes: 1 << 20 };
    let config = EngineConfig { sinks: vec![few, SinkConfig::new("wms")], ..config_of(&rig) };
    rig.engine.install(&config, &[], "test").unwrap();
    rig.replay(0, &(0..60).collect::<Vec<_>>(), 0).unwrap();
    for _ in 0..20 {
        let batch = rig.engine.poll(0, 100, u64::MAX);
        rig.settle(0, &batch, &refused());
    }
    assert_eq!(rig.engine.parked(0).unwrap().len(), 5);
    assert_eq!(rig.engine.replaying(0).unwrap().progress.left, 55);
    assert_eq!(rig.engine.next_due(0), None, "nobody is told to come again for nothing");
    while let Some(first) = rig.engine.parked(0).unwrap().first() {
        rig.engine.retry_parked(0, first.number, ME).unwrap();
        rig.quiesce();
        rig.drain(0);
    }
    assert_eq!(rig.engine.replaying(0), None);
}

#[test]
fn a_key_that_is_held_goes_on_first_after_a_restart() {
    let mut rig = Rig::new();
    rig.admit_all(&[1, 2, 1, 2, 1]);
    rig.drain(0);
    rig.replay(0, &[0, 1, 2, 3, 4], 1_000).unwrap();
    for seq in [0, 2] {
        assert_eq!(rig.drain(0), [seq]);
        rig.clock.advance(1_000);
    }
    rig.reopen();
    rig.admit(1);
    // The restart begins to count anew: one goes at once.
    assert_eq!(rig.drain(0), [4, 5]);
    rig.clock.advance(10_000);
    assert_eq!(rig.drain(0), [1, 3]);
}

#[test]
fn what_was_decided_just_before_a_stop_is_not_sent_again() {
    let mut rig = Rig::new();
    rig.admit_all(&[1, 2, 3]);
    rig.drain(0);
    rig.replay(0, &[0, 1, 2], 0).unwrap();
    let batch = rig.engine.poll(0, 2, u64::MAX);
    let outcomes = batch.iter().map(|one| (one.id, done()));
    rig.engine.settle(0, outcomes).unwrap();
    rig.engine.stop_replay(0, ME).unwrap();
    rig.reopen();
    assert_eq!(rig.drain(0), [2], "it was at the sink");
}

#[test]
fn what_was_booked_by_hand_is_left_out() {
    let mut rig = Rig::new();
    rig.admit_all(&[1, 2]);
    let batch = rig.engine.poll(0, 100, u64::MAX);
    rig.settle(0, &batch[..1], &refused());
    rig.settle(0, &batch[1..], &done());
    let number = rig.engine.parked(0).unwrap()[0].number;
    rig.engine.skip_parked(0, number, Some("4900".into()), ME).unwrap();
    rig.quiesce();
    let sorted = rig.replay(0, &[0, 1], 0).unwrap();
    assert_eq!((sorted.sent.len(), sorted.seen, sorted.decided), (1, 1, 1));
    assert_eq!(rig.drain(0), [1]);
}

#[test]
fn a_target_that_cannot_recognise_an_event_is_not_sent_it_again() {
    let mut rig = Rig::new();
    rig.admit_all(&[1, 2]);
    rig.drain(0);
    let chosen = rig.chosen(0, &[0, 1]);
    let refused = rig.engine.replay(0, &chosen, (0, "{}", false), ME);
    assert_eq!(refused, Err(ActError::Seen { count: 2 }));
}
