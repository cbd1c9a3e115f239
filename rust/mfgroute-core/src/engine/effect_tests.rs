//! Effects of the engine, one sentence each.

use serde_json::Value;

use super::rerun_tests::{ME, Rig, config, done};
use super::*;

const ABOUT: &[u8] = br#"{"object":"order/DE04/4711"}"#;

impl Rig {
    fn poll_one(&self) -> Delivery {
        let mut batch = self.engine.poll(0, 1, u64::MAX);
        assert_eq!(batch.len(), 1);
        batch.remove(0)
    }

    fn intend(&self, one: &Delivery, key: &str, request: &[u8]) -> Result<(), IntendError> {
        self.engine.intend(0, &[Intention { delivery: one.id, key, request, about: ABOUT }])
    }

    fn end(&self, one: &Delivery, outcome: &Outcome) {
        self.settle(0, std::slice::from_ref(one), outcome);
    }

    fn lines(&self, after: u64) -> Vec<Value> {
        self.quiesce();
        let lines = self.engine.effects(0, after, 1_000);
        lines.iter().map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    fn states(&self) -> Vec<String> {
        self.lines(0).iter().map(|line| line["state"].as_str().unwrap().to_owned()).collect()
    }
}

fn retry() -> Outcome {
    Outcome::Retry { after_ms: None, judged: false, reason: "no answer".into() }
}

fn refused() -> Outcome {
    Outcome::Refused { code: "M7/053".into(), reason: "period closed".into() }
}

fn in_doubt() -> Outcome {
    Outcome::InDoubt { code: String::new(), reason: "no answer".into() }
}

#[test]
fn what_was_written_down_comes_with_the_next_attempt_also_after_a_restart() {
    let mut rig = Rig::new();
    rig.admit(1);
    let one = rig.poll_one();
    assert_eq!(one.begun, None);
    rig.intend(&one, "", b"").unwrap();
    rig.intend(&one, "k1", b"POST /a").unwrap();
    rig.reopen();
    let one = rig.poll_one();
    let begun = one.begun.clone().unwrap();
    assert_eq!((&*begun.key, &*begun.request, begun.attempts), ("k1", &b"POST /a"[..], 1));
    // What else is said to be sent is not.
    rig.intend(&one, "k2", b"POST /b").unwrap();
    rig.end(&one, &retry());
    rig.clock.advance(60_000);
    let begun = rig.poll_one().begun.unwrap();
    assert_eq!((&*begun.key, &*begun.request, begun.attempts), ("k1", &b"POST /a"[..], 2));
    assert_eq!(rig.states(), ["planned", "intent", "again"]);
}

#[test]
fn every_change_is_one_line_with_the_next_number() {
    let mut rig = Rig::new();
    rig.admit(1);
    rig.admit(2);
    let [one, two] = rig.engine.poll(0, 2, u64::MAX).try_into().unwrap();
    rig.intend(&one, "", b"").unwrap();
    rig.intend(&one, "k1", b"POST /a").unwrap();
    rig.engine.accepted(0, one.id, "job 7").unwrap();
    rig.end(&one, &retry());
    rig.intend(&two, "k2", b"POST /b").unwrap();
    rig.end(&two, &refused());
    rig.reopen();
    rig.clock.advance(60_000);
    let one = rig.poll_one();
    assert_eq!(one.begun.as_ref().unwrap().accepted.as_deref(), Some("job 7"));
    rig.end(&one, &Outcome::Done { reference: Some("4900000001".into()) });
    let lines = rig.lines(0);
    let states = ["planned", "intent", "accepted", "intent", "refused", "posted"];
    assert_eq!(rig.states(), states);
    assert!(lines.iter().zip(1..).all(|(line, number)| line["number"] == number));
    assert_eq!(lines[1]["about"]["object"], "order/DE04/4711");
    assert_eq!(lines[1]["key"], "k1");
    assert_eq!((&lines[4]["code"], &lines[4]["reason"]), (&"M7/053".into(), &"period closed".into()));
    assert_eq!((&lines[5]["reference"], &lines[5]["id"]), (&"4900000001".into(), &lines[0]["id"]));
}

#[test]
fn since_when_a_target_has_accepted_something_is_known_after_a_restart() {
    let mut rig = Rig::new();
    rig.admit(1);
    let one = rig.poll_one();
    rig.intend(&one, "k1", b"POST /a").unwrap();
    rig.clock.advance(1_000);
    rig.engine.accepted(0, one.id, "job 7").unwrap();
    rig.clock.advance(1_000);
    rig.engine.accepted(0, one.id, "job 8").unwrap();
    rig.end(&one, &retry());
    rig.reopen();
    rig.clock.advance(60_000);
    let one = rig.poll_one();
    let begun = one.begun.clone().unwrap();
    assert_eq!((begun.accepted.as_deref(), begun.last_ms - begun.first_ms), (Some("job 8"), 1_000));
    let (code, reason) = ("outcome_missing".to_owned(), "nobody knows".to_owned());
    rig.end(&one, &Outcome::InDoubt { code, reason });
    let cause = Cause::InDoubt { code: "outcome_missing".into(), reason: "nobody knows".into() };
    assert_eq!(rig.engine.parked(0).unwrap()[0].cause, cause);
    rig.reopen();
    assert_eq!(rig.engine.parked(0).unwrap()[0].cause, cause);
    let line = rig.lines(0).pop().unwrap();
    assert_eq!((&line["state"], &line["code"]), (&"in_doubt".into(), &"outcome_missing".into()));
}

#[test]
fn lines_are_the_same_after_restarts_and_checkpoints_until_they_are_taken() {
    let mut rig = Rig::new();
    let mut seen: Vec<Value> = Vec::new();
    for round in 0..120_u8 {
        rig.admit(round % 7);
        let batch = rig.engine.poll(0, 10, u64::MAX);
        for one in &batch {
            rig.intend(one, "k", &[round; 300]).unwrap();
            let outcome = match (round + one.seq as u8) % 5 {
                0 => refused(),
                1 => in_doubt(),
                2 => retry(),
                _ => done(),
            };
            rig.end(one, &outcome);
        }
        rig.clock.advance(60_000);
        if round % 9 == 0
            && let Some(parked) = rig.engine.parked(0).unwrap().first()
        {
            match round % 4 {
                0 => rig.engine.skip_parked(0, parked.number, Some("4900".into()), ME).unwrap(),
                _ => rig.engine.retry_parked(0, parked.number, ME).unwrap(),
            }
        }
        seen.extend(rig.lines(seen.len() as u64));
        if round % 10 == 3 {
            let open = rig.engine.stats().sinks[0].effects_open;
            rig.reopen();
            assert_eq!(rig.lines(0), seen);
            assert_eq!(rig.engine.stats().sinks[0].effects_open, open);
        }
    }
    for state in ["intent", "again", "refused", "in_doubt", "skipped", "posted"] {
        assert!(seen.iter().any(|line| line["state"] == state), "{state}");
    }
    let half = seen.len() as u64 / 2;
    assert!(rig.engine.effects_taken(0, half));
    assert!(!rig.engine.effects_taken(0, seen.len() as u64 + 1));
    assert_eq!(rig.lines(0), seen[half as usize..]);
    // A checkpoint leaves out what was taken; the numbers go on.
    rig.reopen();
    rig.admit(200);
    let one = rig.engine.poll(0, 100, u64::MAX).pop().unwrap();
    rig.intend(&one, "k", b"x").unwrap();
    assert_eq!(rig.lines(seen.len() as u64)[0]["number"], seen.len() + 1);
}

#[test]
fn an_effect_of_a_removed_sink_is_dropped_and_its_lines_stay() {
    let mut rig = Rig::new();
    rig.admit(1);
    let one = rig.poll_one();
    rig.intend(&one, "k", b"x").unwrap();
    rig.engine.install(&config(&["wms"], u64::MAX), &["sap".to_owned()], "test").unwrap();
    assert_eq!(rig.states(), ["intent", "dropped"]);
    let lines = rig.lines(0);
    rig.reopen();
    assert_eq!(rig.lines(0), lines);
}

#[test]
fn nothing_is_written_down_that_does_not_fit_or_is_not_in_flight() {
    let mut rig = Rig::new();
    rig.admit(1);
    let one = rig.poll_one();
    let too_large = rig.intend(&one, "k", &vec![0; 1 << 20]);
    assert!(matches!(too_large, Err(IntendError::TooLarge { .. })));
    for about in [&b"{\n}"[..], b"[]", b"{"] {
        let intention = Intention { delivery: one.id, key: "k", request: b"x", about };
        assert_eq!(rig.engine.intend(0, &[intention]), Err(IntendError::NotTellable));
    }
    assert_eq!(rig.engine.accepted(0, one.id, "job"), Err(IntendError::Stale));
    assert!(rig.lines(0).is_empty());
    rig.end(&one, &done());
    assert_eq!(rig.intend(&one, "k", b"x"), Err(IntendError::Stale));
    assert!(rig.lines(0).is_empty());
}

#[test]
fn effects_stop_at_a_sink_whose_lines_nobody_takes() {
    let mut rig = Rig::new();
    rig.admit(1);
    let one = rig.poll_one();
    let mut about = b"{\"event\":\"".to_vec();
    about.extend([b'x'; 6_000]);
    about.extend(b"\"}");
    let mut written = 0;
    loop {
        let intention = Intention { delivery: one.id, key: "", request: b"", about: &about };
        match rig.engine.intend(0, &[intention]) {
            Ok(()) => written += 1,
            Err(IntendError::Behind { bytes }) => break assert!(bytes > 16 << 20),
            Err(other) => panic!("{other}"),
        }
    }
    assert!(rig.engine.effects_taken(0, written));
    rig.intend(&one, "k", b"x").unwrap();
}
