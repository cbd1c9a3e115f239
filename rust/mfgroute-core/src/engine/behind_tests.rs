//! What waits behind an event, and what becomes of one that is taken back.

use super::rerun_tests::{ME, Rig, done, refused};
use super::*;

impl Rig {
    fn behind(&self, one: &Delivery, ahead: &mut Ahead) -> Vec<Vec<u8>> {
        self.engine.behind(0, one.id, ahead, (&|_| true, &|_| true), true).unwrap().unwrap()
    }
}

fn taken_back() -> Outcome {
    Outcome::TakenBack { reason: "its report was taken back by event 2 before it was posted".into() }
}

/// The keys of records.
fn keys(found: &[Vec<u8>]) -> Vec<u8> {
    found.iter().map(|record| record[0]).collect()
}

#[test]
fn what_waits_behind_an_event_is_found_wherever_it_is() {
    let mut rig = Rig::new();
    let mut ahead = Ahead::default();
    for key in [1, 2, 1] {
        rig.admit(key);
    }
    let [first, other] = rig.engine.poll(0, 10, u64::MAX).try_into().unwrap();
    assert_eq!(keys(&rig.behind(&first, &mut ahead)), [1], "in its lane");
    assert_eq!(rig.behind(&other, &mut ahead).len(), 0);
    rig.admit(2);
    assert_eq!(keys(&rig.behind(&other, &mut ahead)), [2], "only in its log");
    let ask = |pick: bool, key: u8, ahead: &mut Ahead| {
        let wanted = move |record: &[u8]| record[0] == key;
        rig.engine.behind(0, other.id, ahead, (&move |_| pick, &wanted), true).unwrap()
    };
    assert_eq!(ask(false, 2, &mut Ahead::default()), Some(Vec::new()), "not picked");
    assert_eq!(ask(true, 1, &mut ahead), Some(Vec::new()), "not wanted");
    rig.settle(0, std::slice::from_ref(&other), &done());
    assert_eq!(
        rig.engine.behind(0, other.id, &mut ahead, (&|_| true, &|_| true), true),
        Err(IntendError::Stale),
        "it is not in flight any more"
    );

    // The second of a key is parked behind the first, which a person has tried again.
    rig.settle(0, std::slice::from_ref(&first), &refused());
    rig.reopen();
    let mut ahead = Ahead::default();
    let mut batch = rig.engine.poll(0, 10, u64::MAX);
    assert_eq!(batch.len(), 1, "the one of the other key");
    assert_eq!(rig.behind(&batch.remove(0), &mut ahead).len(), 0);
    let number = rig.engine.parked(0).unwrap()[0].number;
    rig.engine.retry_parked(0, number, ME).unwrap();
    rig.quiesce();
    let [first] = rig.engine.poll(0, 10, u64::MAX).try_into().unwrap();
    assert_eq!(keys(&rig.behind(&first, &mut ahead)), [1], "parked behind it, or freed with it");
}

#[test]
fn what_was_sent_already_or_is_over_does_not_wait() {
    let mut rig = Rig::new();
    let mut ahead = Ahead::default();
    for key in [1, 1, 1] {
        rig.admit(key);
    }
    let [first] = rig.engine.poll(0, 10, u64::MAX).try_into().unwrap();
    assert_eq!(rig.behind(&first, &mut ahead).len(), 2);
    rig.settle(0, std::slice::from_ref(&first), &done());
    let [second] = rig.engine.poll(0, 10, u64::MAX).try_into().unwrap();
    assert_eq!(rig.behind(&second, &mut ahead).len(), 1, "what came before it is not behind it");
    rig.settle(0, std::slice::from_ref(&second), &done());
    let [last] = rig.engine.poll(0, 10, u64::MAX).try_into().unwrap();
    rig.engine.intend(0, &[Intention { delivery: last.id, key: "k", request: b"POST", about: b"" }]).unwrap();
    rig.settle(0, std::slice::from_ref(&last), &Outcome::Released);
    rig.replay(0, &[0], 0).unwrap();
    let [replayed] = rig.engine.poll(0, 10, u64::MAX).try_into().unwrap();
    assert!(replayed.replayed, "it goes before what is live");
    assert_eq!(rig.behind(&replayed, &mut ahead).len(), 0, "something was sent for the one behind it");
}

#[test]
fn places_of_events_that_are_over_are_forgotten() {
    let mut rig = Rig::new();
    let mut ahead = Ahead::default();
    for round in 0..30_u8 {
        for key in 0..100 {
            rig.admit(key);
        }
        rig.admit(200);
        let batch = rig.engine.poll(0, 1_000, u64::MAX);
        let last = batch.last().unwrap();
        assert_eq!(rig.behind(last, &mut ahead).len(), 0, "{round}");
        rig.settle(0, &batch, &done());
    }
    assert!(ahead.known() < 1_200, "{}", ahead.known());
}

#[test]
fn an_event_that_is_taken_back_ends_as_skipped_and_the_next_of_its_key_goes() {
    for restart in [false, true] {
        let mut rig = Rig::new();
        rig.admit(1);
        rig.admit(1);
        let [first] = rig.engine.poll(0, 10, u64::MAX).try_into().unwrap();
        rig.engine
            .intend(0, &[Intention { delivery: first.id, key: "", request: b"", about: b"{}" }])
            .unwrap();
        rig.settle(0, std::slice::from_ref(&first), &taken_back());
        let stats = &rig.engine.stats().sinks[0];
        assert_eq!((stats.skipped, stats.taken_back, stats.delivered), (1, 1, 0));
        if restart {
            rig.reopen();
        }
        let lines = rig.engine.effects(0, 0, 10);
        let line: serde_json::Value = serde_json::from_slice(lines.last().unwrap()).unwrap();
        assert_eq!((&line["state"], &line["code"]), (&"skipped".into(), &"taken_back".into()));
        assert_eq!(line["reason"], "its report was taken back by event 2 before it was posted");
        assert_eq!((&line["attempt"], &line["reference"]), (&0.into(), &serde_json::Value::Null));
        let trace = rig.engine.trace(Find::Id(first.event_id()));
        let Standing::Settled { what: Settled::Skipped { reason, posted_as: None }, .. } =
            &trace[0].sinks[0].standing
        else {
            panic!("{trace:?}")
        };
        assert!(reason.contains("taken back by event 2"));
        assert_eq!(rig.drain(0), [1], "the next of its key goes, and only that");
    }
}

#[test]
fn what_a_replay_sends_again_can_be_taken_back_too() {
    let mut rig = Rig::new();
    rig.admit(1);
    assert_eq!(rig.drain(0), [0]);
    rig.replay(0, &[0], 0).unwrap();
    let [again] = rig.engine.poll(0, 10, u64::MAX).try_into().unwrap();
    rig.settle(0, std::slice::from_ref(&again), &taken_back());
    rig.reopen();
    assert!(rig.drain(0).is_empty());
    assert_eq!(rig.engine.replaying(0), None);
}

#[test]
fn who_is_not_patient_gets_no_answer_before_everything_was_looked_at() {
    let mut rig = Rig::new();
    for _ in 0..65 {
        rig.admit(1);
    }
    let [first] = rig.engine.poll(0, 1, u64::MAX).try_into().unwrap();
    let mut ahead = Ahead::default();
    let mut ask = || rig.engine.behind(0, first.id, &mut ahead, (&|_| true, &|_| true), false).unwrap();
    assert_eq!(ask(), None);
    assert_eq!(ask().map(|found| found.len()), Some(64));
}
