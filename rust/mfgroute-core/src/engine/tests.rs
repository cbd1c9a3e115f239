//! Behaviour of the engine, one sentence each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::*;
use crate::dedup::Prints;
use crate::reject::{Code, Reject};

/// A clock that a test moves.
#[derive(Debug, Default)]
pub(super) struct TestClock(AtomicU64);

impl TestClock {
    pub(super) fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        let ms = self.0.load(Ordering::SeqCst);
        Now { steady_ms: ms, wall_ms: 1_000_000 + ms }
    }
}

const ME: Actor<'static> = Actor { who: "test", why: "because" };

pub(super) fn config(sinks: &[&str]) -> EngineConfig {
    let big = Bound { count: 1_000, bytes: 1 << 20 };
    let stream = |name: &str| StreamConfig {
        name: name.into(),
        capacity: big,
        when_full: WhenFull::Block,
        durable: false,
        keep_ms: 0,
        first: false,
    };
    EngineConfig {
        streams: vec![stream("business"), stream("telemetry")],
        sinks: sinks.iter().map(|name| SinkConfig::new(*name)).collect(),
        sources: vec![SourceConfig {
            name: "mes".into(),
            rejects_max: Bound { count: 3, bytes: 1 << 20 },
            holds_keys: false,
        }],
    }
}

pub(super) struct Rig {
    pub(super) engine: Engine,
    clock: Arc<TestClock>,
    kind: Arc<str>,
    next: std::cell::Cell<u128>,
}

impl Rig {
    pub(super) fn new(config: &EngineConfig) -> Self {
        let clock = Arc::new(TestClock::default());
        let options = EngineOptions { dedup_window: 1_000, seed: Some(1), ..EngineOptions::default() };
        Self::on(Engine::new(&options, clock.clone()), clock, config)
    }

    pub(super) fn on(engine: Engine, clock: Arc<TestClock>, config: &EngineConfig) -> Self {
        engine.install(config, &[], "test").unwrap();
        Self { engine, clock, kind: "done/1".into(), next: 1.into() }
    }

    pub(super) fn event<'a>(&'a self, key: &'a str, sinks: &'a [u16]) -> Item<'a> {
        let id = self.next.replace(self.next.get() + 1);
        let prints = Prints { raw: id, body: id };
        let (key, record, kind) = (key.as_bytes(), key.as_bytes(), &self.kind);
        Item::Event(Event { item: 0, stream: 0, key, id, prints, kind, sinks, record })
    }

    pub(super) fn admit(&self, items: &[Item<'_>]) -> Result<Receipt, AdmitError> {
        self.admit_as(items, false, false)
    }

    fn admit_as(&self, items: &[Item<'_>], independent: bool, sync: bool) -> Result<Receipt, AdmitError> {
        let messages = [Message { raw: b"raw", meta: Attributes::Json(b""), independent, items }];
        let result = self.engine.admit(&Admission { source: 0, sync, messages: &messages, position: None });
        assert_eq!(self.engine.stats().unaccounted, 0);
        result
    }

    pub(super) fn poll(&self, sink: u16) -> Vec<Delivery> {
        self.engine.poll(sink, 100, u64::MAX)
    }

    fn seqs(&self, sink: u16) -> Vec<u64> {
        self.poll(sink).iter().map(|delivery| delivery.seq).collect()
    }

    fn settle(&self, delivery: &Delivery, outcome: Outcome) {
        self.engine.settle(0, [(delivery.id, outcome)]).unwrap();
        assert_eq!(self.engine.stats().unaccounted, 0);
    }
}

fn done() -> Outcome {
    Outcome::Done { reference: Some("4900012345".into()) }
}

fn refused() -> Outcome {
    Outcome::Refused { code: "M7/053".into(), reason: "period closed".into() }
}

fn retry(judged: bool) -> Outcome {
    Outcome::Retry { after_ms: None, judged, reason: "500".into() }
}

#[test]
fn one_event_of_a_key_is_in_flight_at_a_time_and_other_keys_flow() {
    let rig = Rig::new(&config(&["sap"]));
    rig.admit(&[rig.event("a", &[0]), rig.event("a", &[0]), rig.event("b", &[0])]).unwrap();
    let batch = rig.poll(0);
    assert_eq!(batch.iter().map(|d| d.seq).collect::<Vec<_>>(), [0, 2]);
    rig.settle(&batch[0], done());
    assert_eq!(rig.seqs(0), [1]);
}

#[test]
fn a_refused_event_holds_its_key_until_a_person_decides() {
    let rig = Rig::new(&config(&["sap"]));
    rig.admit(&[rig.event("a", &[0]), rig.event("a", &[0]), rig.event("b", &[0])]).unwrap();
    let batch = rig.poll(0);
    rig.settle(&batch[0], refused());
    rig.admit(&[rig.event("a", &[0])]).unwrap();
    assert!(rig.poll(0).is_empty());
    let parked = rig.engine.parked(0).unwrap();
    assert_eq!(
        parked.iter().map(|p| (p.seq, p.cause.as_str())).collect::<Vec<_>>(),
        [(0, "refused"), (1, "behind"), (3, "behind")]
    );
    assert_eq!(rig.engine.retry_parked(0, parked[1].number, ME), Err(ActError::NotFirst { first: 0 }));
    rig.engine.skip_parked(0, parked[0].number, None, ME).unwrap();
    let next = rig.poll(0);
    assert_eq!((next.len(), next[0].seq), (1, 1));
    rig.settle(&next[0], done());
    assert_eq!(rig.seqs(0), [3]);
}

#[test]
fn a_try_counts_only_if_another_event_succeeded_since_the_last() {
    let mut config = config(&["sap"]);
    config.sinks[0].tries = 2;
    let rig = Rig::new(&config);
    rig.admit(&[rig.event("a", &[0])]).unwrap();
    for round in 0..12 {
        let batch = rig.poll(0);
        assert_eq!(batch.len(), 1, "{round}");
        rig.settle(&batch[0], retry(true));
        rig.clock.advance(300_001);
    }
    for parked in [0, 1] {
        rig.admit(&[rig.event("b", &[0])]).unwrap();
        let batch = rig.poll(0);
        let (other, this): (Vec<_>, Vec<_>) = batch.iter().partition(|d| d.key() == b"b");
        rig.settle(other[0], done());
        rig.settle(this[0], retry(true));
        rig.clock.advance(300_001);
        assert_eq!(rig.engine.stats().sinks[0].parked, parked);
    }
}

#[test]
fn a_full_stream_names_the_sink_that_holds_it_and_marks_no_id() {
    let mut config = config(&["fast", "slow"]);
    config.streams[0].capacity.count = 2;
    let rig = Rig::new(&config);
    rig.admit(&[rig.event("a", &[0, 1]), rig.event("b", &[0, 1])]).unwrap();
    for delivery in rig.poll(0) {
        rig.settle(&delivery, done());
    }
    let item = [rig.event("c", &[0])];
    let full = AdmitError::StreamFull { stream: "business".into(), sink: Some("slow".into()) };
    assert_eq!(rig.admit(&item), Err(full));
    let outcomes = rig.poll(1).into_iter().map(|d| (d.id, done()));
    rig.engine.settle(1, outcomes).unwrap();
    assert_eq!(rig.admit(&item).unwrap().counts.accepted, 1);
}

#[test]
fn a_message_with_one_bad_item_is_rejected_whole_unless_its_items_are_independent() {
    let rig = Rig::new(&config(&["sap"]));
    let bad = || Item::Reject(Reject::new(Code::LookupMissing, "x", "y"));
    let items = [rig.event("a", &[0]), bad()];
    let counts = rig.admit(&items).unwrap().counts;
    assert_eq!((counts.accepted, counts.rejected), (0, 2));
    let counts = rig.admit_as(&items, true, false).unwrap().counts;
    assert_eq!((counts.accepted, counts.rejected), (1, 1));
    assert_eq!(rig.engine.rejects(0, false).unwrap().len(), 2);
}

#[test]
fn a_full_reject_store_stops_its_source_and_an_answered_reject_goes_to_the_ring() {
    let rig = Rig::new(&config(&["sap"]));
    let bad = [Item::Reject(Reject::new(Code::BadJson, "x", "y"))];
    for _ in 0..3 {
        rig.admit(&bad).unwrap();
    }
    assert_eq!(rig.admit(&bad), Err(AdmitError::RejectsFull { source: "mes".into() }));
    for _ in 0..5 {
        rig.admit_as(&bad, false, true).unwrap();
    }
    let stats = &rig.engine.stats().sources[0];
    assert_eq!((stats.rejects_kept, stats.rejects_answered, stats.rejects_answered_evicted), (3, 3, 2));
}

#[test]
fn duplicates_and_conflicts_are_found_within_one_admission() {
    let rig = Rig::new(&config(&["sap"]));
    let first = rig.event("a", &[0]);
    let Item::Event(event) = first.clone() else { unreachable!() };
    let other = Item::Event(Event { prints: Prints { raw: 99, body: 99 }, ..event });
    let counts = rig.admit_as(&[first.clone(), first.clone(), other], true, false).unwrap().counts;
    assert_eq!((counts.accepted, counts.duplicates, counts.rejected), (1, 1, 1));
    assert_eq!(rig.admit(&[first]).unwrap().counts.duplicates, 1);
}

#[test]
fn a_delivery_is_settled_once() {
    let rig = Rig::new(&config(&["sap"]));
    rig.admit(&[rig.event("a", &[0])]).unwrap();
    let batch = rig.poll(0);
    rig.settle(&batch[0], done());
    assert_eq!(rig.engine.settle(0, [(batch[0].id, done())]), Err(Stale(vec![batch[0].id])));
}

#[test]
fn a_sink_with_events_goes_only_when_it_is_named() {
    let rig = Rig::new(&config(&["sap"]));
    rig.admit(&[rig.event("a", &[0]), rig.event("b", &[0])]).unwrap();
    let batch = rig.poll(0);
    let empty = config(&[]);
    assert!(matches!(rig.engine.install(&empty, &[], "me"), Err(InstallError::SinkBusy { queued: 2, .. })));
    rig.engine.install(&empty, &["sap".into()], "me").unwrap();
    let stats = rig.engine.stats();
    assert_eq!((stats.sinks[0].dropped, stats.unaccounted, stats.streams[0].count_open), (2, 0, 0));
    rig.engine.install(&config(&["sap"]), &[], "me").unwrap();
    assert!(rig.engine.settle(0, [(batch[0].id, done())]).is_err());
    assert!(rig.poll(0).is_empty());
}

#[test]
fn a_trace_shows_every_sink_of_an_event() {
    let rig = Rig::new(&config(&["sap", "wms"]));
    rig.admit(&[rig.event("a", &[0, 1])]).unwrap();
    rig.settle(&rig.poll(0)[0], done());
    let traces = rig.engine.trace(Find::Key(b"a"));
    let at = &traces[0].sinks;
    assert!(
        matches!(&at[0].standing, Standing::Settled { what: Settled::Delivered { reference: Some(r) }, .. } if r == "4900012345")
    );
    assert_eq!(at[1].standing, Standing::Queued);
}

#[test]
fn a_lone_event_in_an_idle_engine_leaves_within_a_second() {
    let engine = Engine::new(&EngineOptions::default(), Arc::new(SystemClock::default()));
    engine.install(&config(&["sap"]), &[], "test").unwrap();
    let kind: Arc<str> = "done/1".into();
    let (taken, was_taken) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..1_000 {
                let batch = engine.poll_wait(0, 10, u64::MAX, Duration::from_secs(10));
                engine.settle(0, batch.iter().map(|d| (d.id, Outcome::Done { reference: None }))).unwrap();
                taken.send(batch.len()).unwrap();
            }
        });
        for id in 1..=1_000_u128 {
            let prints = Prints { raw: id, body: id };
            let event =
                Event { item: 0, stream: 0, key: b"k", id, prints, kind: &kind, sinks: &[0], record: b"r" };
            let messages = [Message {
                raw: b"",
                meta: Attributes::Json(b""),
                independent: false,
                items: &[Item::Event(event)],
            }];
            engine.admit(&Admission { source: 0, sync: false, messages: &messages, position: None }).unwrap();
            assert_eq!(was_taken.recv_timeout(Duration::from_secs(1)), Ok(1), "event {id}");
        }
    });
}
