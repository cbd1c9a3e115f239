//! What the engine does when its disk does not.

use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mfgroute_log::{DiskFile, Folder};

use super::tests::TestClock;
use super::*;
use crate::dedup::Prints;

/// A folder of the machine whose syncs and room a test takes away.
struct Faulty {
    folder: Arc<dyn Disk>,
    faults: Arc<Faults>,
    /// Path from the data folder.
    name: String,
}

#[derive(Default)]
struct Faults {
    /// Syncs of files in folders that end so fail.
    broken: Mutex<Option<String>>,
    /// Reads of files in folders that end so fail.
    unreadable: Mutex<Option<String>>,
    /// The disk has no room.
    full: AtomicBool,
    syncs: AtomicU64,
}

struct FaultyFile {
    file: Arc<dyn DiskFile>,
    faults: Arc<Faults>,
    name: String,
}

impl Faulty {
    fn wrap(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(FaultyFile { file, faults: self.faults.clone(), name: self.name.clone() })
    }
}

impl Disk for Faulty {
    fn names(&self) -> io::Result<Vec<String>> {
        self.folder.names()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(self.folder.create(name)?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(self.folder.open(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.folder.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.folder.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.folder.sync_names()
    }

    fn free(&self) -> io::Result<u64> {
        if self.faults.full.load(Ordering::SeqCst) { Ok(0) } else { self.folder.free() }
    }

    fn folder(&self, name: &str) -> io::Result<Arc<dyn Disk>> {
        let (folder, faults) = (self.folder.folder(name)?, self.faults.clone());
        Ok(Arc::new(Self { folder, faults, name: format!("{}/{name}", self.name) }))
    }
}

impl DiskFile for FaultyFile {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let unreadable = self.faults.unreadable.lock().unwrap().clone();
        match unreadable.filter(|unreadable| self.name.ends_with(unreadable)) {
            Some(_) => Err(io::Error::from_raw_os_error(5)),
            None => self.file.read_at(into, at),
        }
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        self.file.write_at(bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.faults.syncs.fetch_add(1, Ordering::SeqCst);
        let broken = self.faults.broken.lock().unwrap().clone();
        match broken.filter(|broken| self.name.ends_with(broken)) {
            Some(_) => Err(io::Error::from_raw_os_error(5)),
            None => self.file.sync(),
        }
    }
}

struct Rig {
    path: PathBuf,
    faults: Arc<Faults>,
    clock: Arc<TestClock>,
    kind: Arc<str>,
    engine: Engine,
    next: u128,
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.engine.close();
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

impl Rig {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mfgroute-fault-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        let (faults, clock) = (Arc::new(Faults::default()), Arc::new(TestClock::default()));
        let engine = open(&path, &faults, &clock);
        Self { path, faults, clock, kind: "done/1".into(), engine, next: 0 }
    }

    fn reopen(&mut self) {
        let _ = self.engine.close();
        self.engine = open(&self.path, &self.faults, &self.clock);
    }

    /// Admits one event.
    fn admit(
        &mut self,
        stream: u16,
        bytes: usize,
        sinks: &[u16],
        position: Option<&[u8]>,
    ) -> Result<Receipt, AdmitError> {
        self.next += 1;
        let record = vec![7; bytes];
        let (id, prints) = (self.next, Prints { raw: self.next, body: self.next });
        let (key, kind) = (&b"order/1"[..], &self.kind);
        let event = Item::Event(Event { item: 0, stream, key, id, prints, kind, sinks, record: &record });
        let items = [event];
        let messages = [Message { raw: b"", meta: Attributes::Json(b""), independent: false, items: &items }];
        self.engine.admit(&Admission { source: 0, sync: false, messages: &messages, position })
    }

    /// Admits one event for the first sink and waits for its level.
    fn submit(&mut self, stream: u16, bytes: usize) -> Result<(), AdmitError> {
        let receipt = self.admit(stream, bytes, &[0], None)?;
        self.engine.wait(&receipt, false)
    }

    /// As `submit` to the first stream, as soon as another segment is ready.
    fn submit_at_last(&mut self, bytes: usize) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.submit(0, bytes).is_err() {
            assert!(Instant::now() < end, "it goes on within seconds");
            std::thread::yield_now();
        }
    }

    /// What a sink gets next.
    fn next(&self, sink: u16) -> Option<Delivery> {
        self.engine.poll(sink, 1, u64::MAX).pop()
    }

    fn done(&self, sink: u16, delivery: &Delivery) {
        self.engine.settle(sink, [(delivery.id, Outcome::Done { reference: None })]).unwrap();
    }

    fn refused(&self, sink: u16, delivery: &Delivery) {
        let outcome = Outcome::Refused { code: "M7".into(), reason: "closed".into() };
        self.engine.settle(sink, [(delivery.id, outcome)]).unwrap();
        self.quiesce();
    }

    /// Waits until everything that was said is durable.
    fn quiesce(&self) {
        let ticket = self.engine.lock().node.as_ref().map_or(0, |node| node.ticket);
        drop(self.engine.wait_for(ticket));
    }

    fn queued(&self) -> u64 {
        self.engine.stats().sinks[0].queued
    }
}

fn open(path: &std::path::Path, faults: &Arc<Faults>, clock: &Arc<TestClock>) -> Engine {
    let folder: Arc<dyn Disk> = Arc::new(Folder::open(path).unwrap());
    let disk = Faulty { folder, faults: faults.clone(), name: String::new() };
    let (segment_bytes, tail_bytes, seed) = (Some(64 << 10), Some(0), Some(1));
    let disk_options = DiskOptions { segment_bytes, tail_bytes, seed, ..DiskOptions::default() };
    let options = EngineOptions { dedup_window: 1_000, seed: Some(1), ..EngineOptions::default() };
    let engine = Engine::open(&options, Arc::new(disk), &disk_options, clock.clone()).unwrap().0;
    let capacity = Bound { count: 100_000, bytes: 64 << 20 };
    let stream = |name: &str, when_full, count, keep_ms| StreamConfig {
        name: name.into(),
        capacity: Bound { count, ..capacity },
        when_full,
        durable: true,
        keep_ms,
        first: false,
    };
    let config = EngineConfig {
        streams: vec![
            stream("business", WhenFull::Block, 100_000, u64::MAX),
            stream("quality", WhenFull::Block, 100_000, 0),
            stream("telemetry", WhenFull::DropOldest, 3, 0),
        ],
        sinks: vec![SinkConfig::new("sap"), SinkConfig::new("wms")],
        sources: vec![SourceConfig { name: "mes".into(), rejects_max: capacity, holds_keys: false }],
    };
    engine.install(&config, &[], "test").unwrap();
    engine
}

#[test]
fn after_a_failed_sync_a_stream_acknowledges_nothing_and_the_others_go_on() {
    let mut rig = Rig::new("sync");
    rig.submit(0, 100).unwrap();
    *rig.faults.broken.lock().unwrap() = Some("/business".to_owned());
    let failed = rig.submit(0, 100).unwrap_err();
    assert!(matches!(&failed, AdmitError::LogFailed { stream, .. } if stream == "business"), "{failed}");
    assert!(!failed.is_full(), "waiting does not help");
    *rig.faults.broken.lock().unwrap() = None;
    assert!(
        matches!(rig.submit(0, 100), Err(AdmitError::LogFailed { .. })),
        "not even once the disk is well"
    );
    rig.submit(1, 100).unwrap();
    assert!(rig.engine.stats().streams[0].failed.as_deref().is_some_and(|why| why.contains("os error 5")));
    assert_eq!(rig.engine.stats().streams[1].failed, None);
    rig.reopen();
    // What was acknowledged is there; what was not may be.
    assert!((2..=4).contains(&rig.queued()), "{}", rig.queued());
    rig.submit(0, 100).unwrap();
}

#[test]
fn when_the_nodes_own_log_fails_nothing_is_acknowledged_any_more() {
    let mut rig = Rig::new("node");
    rig.submit(0, 100).unwrap();
    *rig.faults.broken.lock().unwrap() = Some("/node".to_owned());
    let (delivery, sap) = (rig.engine.poll(0, 1, u64::MAX).remove(0), 0);
    rig.engine.settle(sap, [(delivery.id, Outcome::Done { reference: None })]).unwrap();
    let actor = Actor { who: "test", why: "because" };
    assert_eq!(rig.engine.pause(sap, actor), Err(ActError::NotDurable));
    assert!(rig.engine.stats().failed.is_some());
    assert_eq!(rig.engine.stats().sinks[0].delivered, 0, "a settlement that is not durable has no effect");
    assert!(matches!(rig.submit(1, 100), Err(AdmitError::LogFailed { .. })));
    *rig.faults.broken.lock().unwrap() = None;
    rig.reopen();
    // The settlement was written, and the disk did not say whether it has it.
    assert!(rig.queued() <= 1);
    rig.submit(0, 100).unwrap();
}

#[test]
fn a_full_disk_stops_admission_before_it_hurts_and_it_goes_on_by_itself() {
    let mut rig = Rig::new("full");
    rig.submit(0, 100).unwrap();
    rig.faults.full.store(true, Ordering::SeqCst);
    let mut admitted = 1;
    let refused = loop {
        match rig.submit(0, 8 << 10) {
            Ok(()) => admitted += 1,
            Err(error) => break error,
        }
        assert!(admitted < 100, "the disk is full");
    };
    assert!(matches!(&refused, AdmitError::NoDisk { stream } if stream == "business"), "{refused}");
    assert!(refused.is_full(), "waiting helps");
    // Deliveries and what people decide go on out of the reserve.
    let delivery = rig.engine.poll(0, 1, u64::MAX).remove(0);
    rig.engine.settle(0, [(delivery.id, Outcome::Done { reference: None })]).unwrap();
    rig.engine.pause(0, Actor { who: "test", why: "because" }).unwrap();
    assert_eq!(rig.engine.stats().sinks[0].delivered, 1);
    rig.faults.full.store(false, Ordering::SeqCst);
    rig.submit_at_last(8 << 10);
    assert_eq!(rig.queued(), admitted);
}

#[test]
fn what_comes_in_during_a_sync_shares_the_next_one() {
    let rig = Rig::new("group");
    let before = rig.faults.syncs.load(Ordering::SeqCst);
    let rig = Mutex::new(rig);
    let receipts: Vec<Receipt> = (0..200_u32)
        .map(|_| {
            let mut rig = rig.lock().unwrap();
            rig.next += 1;
            let (id, prints) = (rig.next, Prints { raw: rig.next, body: rig.next });
            let (key, kind, sinks) = (&b"order/1"[..], &rig.kind, &[0][..]);
            let items =
                [Item::Event(Event { item: 0, stream: 0, key, id, prints, kind, sinks, record: b"r" })];
            let messages =
                [Message { raw: b"", meta: Attributes::Json(b""), independent: false, items: &items }];
            rig.engine
                .admit(&Admission { source: 0, sync: false, messages: &messages, position: None })
                .unwrap()
        })
        .collect();
    let rig = rig.into_inner().unwrap();
    for receipt in &receipts {
        rig.engine.wait(receipt, false).unwrap();
    }
    let syncs = rig.faults.syncs.load(Ordering::SeqCst) - before;
    assert!(syncs < 150, "{syncs} syncs for 200 admissions");
}

const ME: Actor<'static> = Actor { who: "test", why: "because" };

#[test]
fn a_sink_that_wants_few_events_is_not_taken_for_one_that_lost_some() {
    let mut rig = Rig::new("few");
    let receipt = rig.admit(1, 100, &[0, 1], None).unwrap();
    rig.engine.wait(&receipt, false).unwrap();
    let first = rig.next(1).unwrap();
    rig.done(1, &first);
    // Only the other sink wants the rest, until the first segments go, also of the facts.
    let node = |rig: &Rig| rig.engine.lock().node.as_ref().map(|node| node.store.first_seq());
    let end = Instant::now() + Duration::from_secs(60);
    while rig.engine.stats().streams[1].first_seq == 0 || node(&rig) == Some(0) {
        let _ = rig.submit(1, 2 << 10);
        while let Some(delivery) = rig.next(0) {
            rig.done(0, &delivery);
            rig.quiesce();
        }
        assert!(Instant::now() < end, "finished events that are not kept leave the disk");
    }
    rig.reopen();
    assert_eq!(rig.queued(), 0);
}

#[test]
fn a_source_does_not_go_on_behind_something_that_was_lost() {
    let mut rig = Rig::new("position");
    let receipt = rig.admit(1, 100, &[0], Some(b"1")).unwrap();
    rig.engine.wait(&receipt, false).unwrap();
    *rig.faults.broken.lock().unwrap() = Some("/business".to_owned());
    let lost = rig.admit(0, 100, &[0], Some(b"2")).unwrap();
    let after = rig.admit(1, 100, &[0], Some(b"3")).unwrap();
    rig.engine.wait(&lost, false).unwrap_err();
    rig.engine.wait(&after, false).unwrap();
    assert_eq!(rig.engine.position(0).as_deref(), Some(&b"1"[..]));
    *rig.faults.broken.lock().unwrap() = None;
    rig.reopen();
    assert_eq!(rig.engine.position(0).as_deref(), Some(&b"1"[..]), "from there it reads again");
}

#[test]
fn an_event_that_waited_behind_a_parked_one_and_was_sent_is_said_to_be_sent_again() {
    let mut rig = Rig::new("again");
    rig.submit(0, 100).unwrap();
    rig.submit(0, 100).unwrap();
    let first = rig.next(0).unwrap();
    rig.refused(0, &first);
    assert!(rig.next(0).is_none(), "the second is parked behind the first");
    rig.engine.retry_key(0, b"order/1", ME).unwrap();
    let first = rig.next(0).unwrap();
    rig.done(0, &first);
    rig.quiesce();
    let second = rig.next(0).unwrap();
    assert!(!second.redelivered);
    rig.reopen();
    let again = rig.next(0).unwrap();
    assert_eq!((again.seq, again.redelivered), (second.seq, true));
}

#[test]
fn of_two_people_who_decide_about_one_event_at_the_same_time_one_is_told_that_it_is_decided() {
    let mut rig = Rig::new("two");
    rig.submit(0, 100).unwrap();
    let first = rig.next(0).unwrap();
    rig.refused(0, &first);
    let number = rig.engine.parked(0).unwrap()[0].number;
    let now = rig.clock.now();
    let mut state = rig.engine.lock();
    let one = state.retry(0, number, ME, now);
    let others = (state.skip(0, number, None, ME, now), state.retry(0, number, ME, now));
    let whole = state.retry_key(0, b"order/1", ME, now);
    drop(state);
    let decided = Err(ActError::NotFound);
    assert_eq!((one, others, whole), (Ok(()), (decided, decided), Err(ActError::NoKey)));
    rig.quiesce();
    let again = rig.next(0).unwrap();
    rig.refused(0, &again);
    assert_eq!(rig.engine.skip_parked(0, number, None, ME), Ok(()), "parked again, it can be decided again");
    assert_eq!(rig.engine.stats().sinks[0].skipped, 1);
}

#[test]
fn a_stream_that_drops_its_oldest_takes_nothing_that_the_disk_has_no_room_for() {
    let mut rig = Rig::new("drops");
    rig.faults.full.store(true, Ordering::SeqCst);
    let refused = loop {
        match rig.admit(2, 8 << 10, &[0], None) {
            Ok(receipt) => assert_eq!(receipt.offsets.len(), 1, "what is admitted is in a log"),
            Err(error) => break error,
        }
        assert!(rig.next < 100, "the disk is full");
    };
    assert!(matches!(&refused, AdmitError::NoDisk { stream } if stream == "telemetry"), "{refused}");
}

#[test]
fn more_facts_at_once_than_fit_into_the_segments_that_are_ready_are_written_all_the_same() {
    let mut rig = Rig::new("facts");
    for _ in 0..40 {
        rig.submit_at_last(8 << 10);
    }
    let first = rig.next(0).unwrap();
    rig.refused(0, &first);
    assert!(rig.next(0).is_none(), "all others are parked behind the first");
    assert_eq!(rig.engine.stats().sinks[0].parked, 40);
    rig.submit_at_last(100);
    rig.reopen();
    assert_eq!(rig.engine.stats().sinks[0].parked, 40);
}

#[test]
fn what_was_admitted_behind_an_event_that_cannot_be_read_does_not_pass_it() {
    let mut rig = Rig::new("unreadable");
    rig.submit(0, 100).unwrap();
    rig.submit(1, 100).unwrap();
    *rig.faults.unreadable.lock().unwrap() = Some("/business".to_owned());
    assert!(rig.next(0).is_none(), "they are of one key");
    assert!(rig.engine.stats().streams[0].failed.as_deref().is_some_and(|why| why.contains("os error 5")));
    *rig.faults.unreadable.lock().unwrap() = None;
    assert_eq!(rig.next(0).unwrap().stream, 0);
}
