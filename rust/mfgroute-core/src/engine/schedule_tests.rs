//! Hand-offs between threads, in many orders: whoever waits is woken, whatever the others do first.
//!
//! What is handed over, and by what: the group commit (`work`, `room`; submit, write, acknowledge), poison and close
//! (`room`, `data`), new events for a sink (`data`), room in a stream (`room`), the one call for an event loop (`armed`),
//! and holding segments for a copy of the folder (`hold`). The scheduler runs the real engine over a disk in memory. No
//! wait of it times out, so a lost wake-up is a deadlock, which it reports with the order that led there.

use std::sync::Arc;
use std::time::Duration;

use mfgroute_log::testing::{Dice, Faults, Machine};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner, thread};

use super::hold::Hold;
use super::sync::under_scheduler;
use super::tests::TestClock;
use super::*;
use crate::dedup::Prints;

/// Orders tried for each test and each way to choose them; `MFGROUTE_HISTORIES` raises it.
const ORDERS: usize = 560;
/// Histories of the log for each of these orders.
const LOG: u64 = 100;
const LONG: Duration = Duration::from_secs(3_600);
const ME: Actor<'static> = Actor { who: "test", why: "because" };

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.replace('_', "").parse().expect("a number"))
}

/// Runs something in many orders, chosen at random and with few changes of thread.
fn in_many_orders(run: impl Fn() + Send + Sync + 'static) {
    let orders = number("MFGROUTE_HISTORIES").map_or(ORDERS, |of_log| (of_log / LOG).max(10) as usize);
    let seed = number("MFGROUTE_SEED").unwrap_or(1);
    let run = Arc::new(run);
    let try_all = |scheduler: Box<dyn Scheduler + Send>| {
        let mut config = Config::new();
        config.stack_size = 1 << 20;
        let run = Arc::clone(&run);
        under_scheduler(|| Runner::new(scheduler, config).run(move || run()));
    };
    try_all(Box::new(RandomScheduler::new_from_seed(seed, orders)));
    try_all(Box::new(PctScheduler::new_from_seed(seed, 3, orders)));
}

/// An engine with a durable stream and one in memory, each for so many events.
fn open(machine: &Machine, count: u64) -> Engine {
    let (segment_bytes, seed, wall) = (Some(16 << 10), Some(1), Some((|| 1) as fn() -> u64));
    let disk_options = DiskOptions { segment_bytes, seed, wall, ..DiskOptions::default() };
    let options = EngineOptions { dedup_window: 100, seed: Some(1), ..EngineOptions::default() };
    let clock = Arc::new(TestClock::default());
    let engine = Engine::open(&options, machine.disk(), &disk_options, clock).unwrap().0;
    let bound = |count| Bound { count, bytes: 1 << 20 };
    let stream = |name: &str, durable| StreamConfig {
        name: name.into(),
        capacity: bound(count),
        when_full: WhenFull::Block,
        durable,
        keep_ms: 0,
        first: false,
    };
    let config = EngineConfig {
        streams: vec![stream("business", true), stream("telemetry", false)],
        sinks: vec![SinkConfig::new("sap")],
        sources: vec![SourceConfig { name: "mes".into(), rejects_max: bound(3), holds_keys: false }],
    };
    engine.install(&config, &[], "test").unwrap();
    engine
}

fn machine() -> Machine {
    Machine::new(Dice::new(1))
}

fn shared(count: u64) -> Arc<Engine> {
    Arc::new(open(&machine(), count))
}

/// Admits one event, waiting for room.
fn admit(engine: &Engine, stream: u16, id: u128) -> Result<Receipt, AdmitError> {
    let (kind, prints, sinks) = ("done/1".into(), Prints { raw: id, body: id }, &[0][..]);
    let key = &id.to_le_bytes()[..];
    let items = [Item::Event(Event { item: 0, stream, key, id, prints, kind: &kind, sinks, record: b"r" })];
    let messages = [Message { raw: b"", meta: Attributes::Json(b""), independent: false, items: &items }];
    engine.admit_wait(&Admission { source: 0, sync: false, messages: &messages, position: None }, LONG)
}

fn submit(engine: &Engine, stream: u16, id: u128) -> Result<(), AdmitError> {
    let receipt = admit(engine, stream, id)?;
    engine.wait(&receipt, false)
}

/// Takes so many events and settles each.
fn consume(engine: &Engine, count: usize) {
    let mut seen = 0;
    while seen < count {
        let batch = engine.poll_wait(0, 1, u64::MAX, LONG);
        seen += batch.len();
        let done = batch.iter().map(|delivery| (delivery.id, Outcome::Done { reference: None }));
        engine.settle(0, done).unwrap();
    }
}

fn spawn<T: Send + 'static>(
    engine: &Arc<Engine>,
    run: impl FnOnce(&Engine) -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    let engine = Arc::clone(engine);
    thread::spawn(move || run(&engine))
}

#[test]
fn everyone_who_waits_for_the_disk_or_for_an_event_is_woken() {
    in_many_orders(|| {
        let engine = shared(10);
        let one = spawn(&engine, |engine| submit(engine, 0, 1));
        let other = spawn(&engine, |engine| submit(engine, 0, 2));
        let sink = spawn(&engine, |engine| consume(engine, 2));
        one.join().unwrap().unwrap();
        other.join().unwrap().unwrap();
        sink.join().unwrap();
        let _ = engine.drain(LONG);
        let _ = engine.close();
        assert_eq!(engine.stats().sinks[0].delivered, 2);
    });
}

#[test]
fn everyone_who_waits_is_told_that_the_disk_has_failed() {
    in_many_orders(|| {
        let machine = machine();
        let engine = Arc::new(open(&machine, 10));
        machine.set_faults(Faults { sync: 1, ..Faults::default() });
        let one = spawn(&engine, |engine| submit(engine, 0, 1));
        let other = spawn(&engine, |engine| submit(engine, 0, 2));
        let person = spawn(&engine, |engine| engine.pause(0, ME));
        assert!(matches!(one.join().unwrap(), Err(AdmitError::LogFailed { .. })));
        assert!(matches!(other.join().unwrap(), Err(AdmitError::LogFailed { .. })));
        assert_eq!(person.join().unwrap(), Err(ActError::NotDurable));
        let _ = engine.close();
    });
}

#[test]
fn a_closing_engine_wakes_everyone() {
    in_many_orders(|| {
        let engine = shared(1);
        submit(&engine, 0, 1).unwrap();
        // Paused, so that nothing is handed out; full, so that nothing is taken.
        engine.pause(0, ME).unwrap();
        let sink = spawn(&engine, |engine| engine.poll_wait(0, 1, u64::MAX, LONG).len());
        let source = spawn(&engine, |engine| admit(engine, 0, 2).unwrap_err());
        let _ = engine.close();
        assert_eq!(sink.join().unwrap(), 0);
        assert_eq!(source.join().unwrap(), AdmitError::Closing);
    });
}

#[test]
fn a_source_that_waits_for_room_is_woken_when_there_is_some() {
    for stream in 0..2 {
        in_many_orders(move || {
            let engine = shared(1);
            let source = spawn(&engine, move |engine| {
                (1..3).for_each(|id| drop(admit(engine, stream, id).unwrap()));
            });
            consume(&engine, 2);
            source.join().unwrap();
            let _ = engine.close();
        });
    }
}

#[test]
fn whoever_asks_for_an_attestation_gets_it() {
    in_many_orders(|| {
        let engine = shared(10);
        let sealed = |id| {
            spawn(&engine, move |engine| {
                let receipt = admit(engine, 0, id).unwrap();
                engine.wait(&receipt, true)
            })
        };
        let (one, other) = (sealed(1), sealed(2));
        one.join().unwrap().unwrap();
        other.join().unwrap().unwrap();
        let _ = engine.close();
    });
}

#[test]
fn an_event_loop_that_looks_after_it_asked_for_a_call_misses_nothing() {
    use shuttle::sync::{Condvar, Mutex};
    for stream in 0..2 {
        in_many_orders(move || {
            let engine = shared(10);
            let called = Arc::new((Mutex::new(false), Condvar::new()));
            let call = Arc::clone(&called);
            engine.on_wake(Arc::new(move || {
                *call.0.lock().unwrap() = true;
                call.1.notify_all();
            }));
            let source = spawn(&engine, move |engine| admit(engine, stream, 1).map(drop));
            loop {
                engine.rearm();
                if !engine.poll(0, 1, u64::MAX).is_empty() {
                    break;
                }
                let mut flag = called.0.lock().unwrap();
                while !std::mem::take(&mut *flag) {
                    flag = called.1.wait(flag).unwrap();
                }
            }
            source.join().unwrap().unwrap();
            let _ = engine.close();
        });
    }
}

#[test]
fn no_segment_goes_once_somebody_holds_them() {
    use shuttle::sync::atomic::{AtomicBool, Ordering};
    in_many_orders(|| {
        let (hold, held) = (Arc::new(Hold::default()), Arc::new(AtomicBool::new(false)));
        let (other, told) = (Arc::clone(&hold), Arc::clone(&held));
        let copying = thread::spawn(move || {
            assert!(!other.until(Now::default(), LONG));
            told.store(true, Ordering::SeqCst);
        });
        if let Some(_leave) = hold.free(Now::default()) {
            assert!(!held.load(Ordering::SeqCst));
            thread::yield_now();
            assert!(!held.load(Ordering::SeqCst), "it is held while a segment goes");
        }
        copying.join().unwrap();
        assert!(hold.free(Now::default()).is_none());
    });
}
