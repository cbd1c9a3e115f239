//! Which events go first: those of streams of commands, unless order per key or a turn of the rest forbids it.

use proptest::prelude::*;

use super::ready::ROW_MAX;
use super::tests::{Rig, config as plain};
use super::*;

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// `business`, and a stream whose events go first.
fn config() -> EngineConfig {
    let mut config = plain(&["sap"]);
    config.streams[1].name = "commands".into();
    config.streams[1].first = true;
    config
}

fn admit(rig: &Rig, key: &str, stream: u16) {
    let Item::Event(event) = rig.event(key, &[0]) else { unreachable!() };
    rig.admit(&[Item::Event(Event { stream, ..event })]).unwrap();
}

fn keys(batch: &[Delivery]) -> Vec<&str> {
    batch.iter().map(|delivery| std::str::from_utf8(delivery.key()).unwrap()).collect()
}

#[test]
fn commands_come_before_what_waited_longer() {
    let rig = Rig::new(&config());
    for key in ["a", "b", "c"] {
        admit(&rig, key, 0);
    }
    admit(&rig, "d", 1);
    admit(&rig, "e", 1);
    assert_eq!(keys(&rig.engine.poll(0, 3, u64::MAX)), ["d", "e", "a"]);
    assert_eq!(keys(&rig.poll(0)), ["b", "c"]);
}

#[test]
fn a_command_takes_what_comes_before_it_in_its_key_along() {
    let rig = Rig::new(&config());
    for key in ["a", "b", "c"] {
        admit(&rig, key, 0);
    }
    admit(&rig, "c", 1);
    let batch = rig.engine.poll(0, 1, u64::MAX);
    assert_eq!((keys(&batch), batch[0].stream), (vec!["c"], 0));
    rig.engine.settle(0, [(batch[0].id, Outcome::Done { reference: None })]).unwrap();
    let batch = rig.poll(0);
    assert_eq!((keys(&batch), batch[0].stream), (vec!["c", "a", "b"], 1));
}

#[test]
fn of_nine_events_one_is_of_the_rest() {
    let rig = Rig::new(&config());
    let names: Vec<String> = (0..40).map(|n| format!("k{n}")).collect();
    for name in &names[..4] {
        admit(&rig, name, 0);
    }
    for name in &names[4..] {
        admit(&rig, name, 1);
    }
    let streams: Vec<u16> = (0..40).flat_map(|_| rig.engine.poll(0, 1, u64::MAX)).map(|d| d.stream).collect();
    for (at, &stream) in streams.iter().enumerate() {
        assert_eq!(stream == 0, at % 9 == 8, "number {at}");
    }
}

#[test]
fn a_reload_can_put_a_stream_first_when_its_events_wait_already() {
    let mut reloaded = config();
    reloaded.streams[1].first = false;
    let rig = Rig::new(&reloaded);
    for (key, stream) in [("a", 0), ("b", 0), ("a", 0), ("c", 1), ("c", 1)] {
        admit(&rig, key, stream);
    }
    let batch = rig.engine.poll(0, 1, u64::MAX);
    assert_eq!(keys(&batch), ["a"]);
    rig.engine.install(&config(), &[], "test").unwrap();
    assert_eq!(keys(&rig.poll(0)), ["c", "b"]);
    reloaded.streams[1].first = false;
    rig.engine.install(&reloaded, &[], "test").unwrap();
    rig.engine.settle(0, [(batch[0].id, Outcome::Done { reference: None })]).unwrap();
    assert_eq!(keys(&rig.poll(0)), ["a"]);
    assert_eq!(rig.engine.stats().unaccounted, 0);
}

/// `config`, with room for so many parked events.
fn narrow(count: u64) -> EngineConfig {
    let mut config = config();
    config.sinks[0].parked_max = Bound { count, bytes: 1 << 20 };
    config
}

/// Polls one by one, refuses what is of the key `k`, and returns all keys and what is parked in the end.
fn refuse_k(rig: &Rig) -> (Vec<String>, u64) {
    let mut seen = Vec::new();
    while let [delivery] = &rig.engine.poll(0, 1, u64::MAX)[..] {
        let key = keys(std::slice::from_ref(delivery))[0].to_owned();
        let refused = || Outcome::Refused { code: "c".into(), reason: String::new() };
        let outcome = if key == "k" { refused() } else { Outcome::Done { reference: None } };
        rig.engine.settle(0, [(delivery.id, outcome)]).unwrap();
        seen.push(key);
    }
    assert_eq!(rig.engine.stats().unaccounted, 0);
    (seen, rig.engine.stats().sinks[0].parked)
}

#[test]
fn what_waits_for_a_parked_event_takes_no_room_from_what_is_older() {
    let backlog = ["a", "b", "c", "k", "k", "k", "k", "d", "e"];
    let rigs = [Rig::new(&narrow(3)), Rig::new(&narrow(3))];
    let mut seen = Vec::new();
    for (rig, command) in rigs.iter().zip([false, true]) {
        admit(rig, "k", 0);
        assert_eq!(refuse_k(rig), (vec!["k".to_owned()], 1));
        for key in backlog {
            admit(rig, key, 0);
        }
        if command {
            admit(rig, "x", 1);
        }
        seen.push(refuse_k(rig));
    }
    let [(without, parked), (with, parked_too)] = &seen[..] else { unreachable!() };
    assert_eq!((with[0].as_str(), &with[1..], parked_too), ("x", &without[..], parked));
    assert_eq!((without.join(""), *parked), ("abc".into(), 3), "then the bound stops the sink");
}

#[test]
fn what_was_taken_behind_an_event_that_is_refused_waits_for_its_turn_to_be_parked() {
    let rig = Rig::new(&narrow(3));
    for key in ["k", "a", "b", "c", "k", "k", "k", "k"] {
        admit(&rig, key, 0);
    }
    admit(&rig, "x", 1);
    let (seen, parked) = refuse_k(&rig);
    assert_eq!((seen.join(""), parked), ("xkabc".into(), 3));
}

#[test]
fn a_retry_lets_what_was_not_parked_yet_go_in_its_order() {
    const WHO: Actor<'static> = Actor { who: "me", why: "mended" };
    let rig = Rig::new(&narrow(3));
    for key in ["k", "a", "k", "k", "k", "k", "b"] {
        admit(&rig, key, 0);
    }
    admit(&rig, "x", 1);
    assert_eq!(refuse_k(&rig).0.join(""), "xka");
    rig.engine.retry_key(0, b"k", WHO).unwrap();
    let mut seen = Vec::new();
    while let [delivery] = &rig.engine.poll(0, 1, u64::MAX)[..] {
        seen.push(delivery.seq);
        rig.engine.settle(0, [(delivery.id, Outcome::Done { reference: None })]).unwrap();
    }
    let of_k = seen.iter().copied().filter(|&seq| seq != 6).collect::<Vec<_>>();
    assert_eq!((seen.len(), of_k), (6, vec![0, 2, 3, 4, 5]));
    assert_eq!(rig.engine.stats().sinks[0].queued, 0);
}

#[test]
fn one_that_waits_for_a_parked_event_is_parked_in_the_turn_of_the_rest() {
    let rig = Rig::new(&narrow(4));
    admit(&rig, "k", 0);
    refuse_k(&rig);
    (0..9).for_each(|_| admit(&rig, "k", 0));
    (0..30).for_each(|n| admit(&rig, &format!("x{n}"), 1));
    let mut parked = Vec::new();
    while let [delivery] = &rig.engine.poll(0, 1, u64::MAX)[..] {
        rig.engine.settle(0, [(delivery.id, Outcome::Done { reference: None })]).unwrap();
        parked.push(rig.engine.stats().sinks[0].parked);
    }
    let expected: Vec<u64> = (0..24).map(|at| 1 + at / 8).collect();
    assert_eq!(parked, expected, "the fourth fills the bound");
}

#[test]
fn a_backlog_beyond_the_reach_of_the_sink_is_not_overtaken() {
    let clock = std::sync::Arc::new(super::tests::TestClock::default());
    let options = EngineOptions { distance_max: 3, seed: Some(1), ..EngineOptions::default() };
    let rig = Rig::on(Engine::new(&options, clock.clone()), clock, &config());
    for key in ["a", "b", "c", "d"] {
        admit(&rig, key, 0);
    }
    admit(&rig, "e", 1);
    let batch = rig.engine.poll(0, 1, u64::MAX);
    assert_eq!(keys(&batch), ["a"], "the log is not looked into beyond the reach");
    rig.engine.settle(0, [(batch[0].id, Outcome::Done { reference: None })]).unwrap();
    assert_eq!(keys(&rig.poll(0)), ["e", "b", "c", "d"]);
}

#[derive(Clone, Debug)]
enum Step {
    Admit { key: usize, stream: u16 },
    Poll { max: usize },
    Settle { pick: usize, done: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..KEYS.len(), 0_u16..2).prop_map(|(key, stream)| Step::Admit { key, stream }),
        2 => (1_usize..4).prop_map(|max| Step::Poll { max }),
        3 => (0_usize..8, any::<bool>()).prop_map(|(pick, done)| Step::Settle { pick, done }),
    ]
}

/// What waits, in order of admission, and what is in flight.
#[derive(Default)]
struct Model {
    waiting: Vec<(u64, usize, u16)>,
    flying: Vec<(DeliveryId, (u64, usize, u16))>,
    number: u64,
    row: u32,
}

impl Model {
    /// The events that may go now, each with whether it goes first.
    fn heads(&self) -> Vec<((u64, usize, u16), bool)> {
        let head = |key: usize| {
            let line: Vec<_> = self.waiting.iter().filter(|event| event.1 == key).collect();
            let free = self.flying.iter().all(|(_, event)| event.1 != key);
            let first = line.iter().any(|event| event.2 == 1);
            line.first().filter(|_| free).map(|&&event| (event, first))
        };
        (0..KEYS.len()).filter_map(head).collect()
    }

    fn handed_out(&mut self, delivery: &Delivery) {
        let heads = self.heads();
        let this = |&&(event, _): &&((u64, usize, u16), bool)| KEYS[event.1].as_bytes() == delivery.key();
        let &(event, first) = heads.iter().find(this).expect("one that may go");
        assert_eq!(event.2, delivery.stream, "order per key");
        if first {
            let waits = heads.iter().any(|&(other, first)| !first && other.0 < event.0);
            assert!(self.row < ROW_MAX || !waits, "the rest has its turn");
        } else {
            let waits = heads.iter().any(|&(_, first)| first);
            assert!(!waits || self.row >= ROW_MAX, "a command waits and another event goes");
        }
        self.row = if first { self.row + 1 } else { 0 };
        self.waiting.retain(|&other| other != event);
        self.flying.push((delivery.id, event));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(512)))]

    #[test]
    fn commands_go_first_in_every_history(steps in prop::collection::vec(step(), 1..150)) {
        let (rig, mut model) = (Rig::new(&config()), Model::default());
        for step in steps {
            match step {
                Step::Admit { key, stream } => {
                    admit(&rig, KEYS[key], stream);
                    model.waiting.push((model.number, key, stream));
                    model.number += 1;
                }
                Step::Poll { max } => {
                    let heads = model.heads().len();
                    let batch = rig.engine.poll(0, max, u64::MAX);
                    prop_assert_eq!(batch.len(), heads.min(max), "nothing that may go is kept back");
                    for delivery in &batch {
                        model.handed_out(delivery);
                    }
                }
                Step::Settle { pick, done } if !model.flying.is_empty() => {
                    let (id, event) = model.flying.remove(pick % model.flying.len());
                    let outcome = if done { Outcome::Done { reference: None } } else { Outcome::Released };
                    rig.engine.settle(0, [(id, outcome)]).unwrap();
                    if !done {
                        model.waiting.push(event);
                        model.waiting.sort_unstable();
                    }
                }
                Step::Settle { .. } => {}
            }
            prop_assert_eq!(rig.engine.stats().unaccounted, 0);
        }
    }
}
