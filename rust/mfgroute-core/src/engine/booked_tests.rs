//! What people book by hand while its event waits, one sentence each.

use std::collections::BTreeMap;

use serde_json::Value;

use super::rerun_tests::{ME, Rig, config, done};
use super::*;

impl Rig {
    fn book(&self, id: u128, document: Option<&str>) -> Result<Option<String>, ActError> {
        let before = self.engine.book(0, id, document, ME)?;
        Ok(before.map(|document| document.to_string()))
    }

    fn told(&self) -> Vec<(String, Option<String>)> {
        self.quiesce();
        let text = |line: &Value, name: &str| line[name].as_str().map(str::to_owned);
        let lines = self.engine.effects(0, 0, 10_000);
        let lines = lines.iter().map(|line| serde_json::from_slice::<Value>(line).unwrap());
        lines.map(|line| (text(&line, "state").unwrap(), text(&line, "reference"))).collect()
    }

    fn handed(&self) -> Vec<(u128, Option<String>)> {
        let batch = self.engine.poll(0, 100, u64::MAX);
        let seen = batch.iter().map(|one| (one.event_id(), one.booked.as_ref().map(ToString::to_string)));
        let seen = seen.collect();
        self.settle(0, &batch, &Outcome::Released);
        seen
    }
}

#[test]
fn an_event_that_waits_is_handed_out_with_its_document_also_after_a_restart() {
    let mut rig = Rig::new();
    for key in 1..=3 {
        rig.admit(key);
    }
    assert_eq!(rig.book(2, Some("49-1")), Ok(None));
    assert_eq!(rig.book(2, Some("49-2")), Ok(Some("49-1".into())));
    assert_eq!(rig.book(3, Some("49-3")), Ok(None));
    assert_eq!(rig.book(3, None), Ok(Some("49-3".into())));
    for _ in 0..3 {
        assert_eq!(rig.handed(), [(1, None), (2, Some("49-2".into())), (3, None)]);
        rig.reopen();
    }
    let actions = rig.engine.actions();
    let what: Vec<_> = actions.iter().map(|one| (one.what.as_str(), one.who.as_str())).collect();
    assert_eq!(what[what.len() - 2..], [("effects book", "test"), ("effects unbook", "test")]);
}

#[test]
fn what_is_in_flight_is_neither_booked_nor_is_that_taken_back() {
    let mut rig = Rig::new();
    rig.admit(1);
    rig.book(1, Some("49")).unwrap();
    let one = rig.engine.poll(0, 1, u64::MAX).remove(0);
    for document in [Some("50"), None] {
        assert_eq!(rig.book(1, document), Err(ActError::InFlight));
    }
    assert_eq!(rig.engine.book(0, 1, Some("50"), Actor { who: "me", why: " " }), Err(ActError::NoReason));
    assert_eq!(rig.engine.book(9, 1, Some("50"), ME), Err(ActError::NotInstalled));
    let retry = Outcome::Retry { after_ms: None, judged: false, reason: "away".into() };
    rig.settle(0, &[one], &retry);
    // A try that failed changes nothing, and while it waits for the next a person may change his mind.
    assert_eq!(rig.book(1, None), Ok(Some("49".into())));
    rig.clock.advance(60_000);
    assert_eq!(rig.handed(), [(1, None)]);
}

#[test]
fn a_document_is_forgotten_with_the_end_of_its_event_and_not_before() {
    let mut rig = Rig::new();
    rig.admit(1);
    rig.book(1, Some("49")).unwrap();
    let batch = rig.engine.poll(0, 1, u64::MAX);
    let refused = Outcome::Refused { code: "M7/053".into(), reason: "period closed".into() };
    rig.settle(0, &batch, &refused);
    rig.reopen();
    assert_eq!(rig.engine.booked(0, 1).as_deref(), Some("49"));
    let number = rig.engine.parked(0).unwrap()[0].number;
    rig.engine.retry_parked(0, number, ME).unwrap();
    rig.quiesce();
    let batch = rig.engine.poll(0, 1, u64::MAX);
    assert_eq!(batch[0].booked.as_deref(), Some("49"));
    rig.settle(0, &batch, &done());
    assert_eq!(rig.engine.booked(0, 1), None);
    rig.reopen();
    assert_eq!(rig.engine.booked(0, 1), None);
}

#[test]
fn a_document_ends_with_an_event_that_is_skipped_or_whose_sink_is_taken_away() {
    let mut rig = Rig::new();
    rig.admit(1);
    rig.admit(2);
    rig.book(1, Some("49")).unwrap();
    rig.book(2, Some("50")).unwrap();
    let batch = rig.engine.poll(0, 1, u64::MAX);
    rig.settle(0, &batch, &Outcome::Refused { code: "X".into(), reason: "no".into() });
    let number = rig.engine.parked(0).unwrap()[0].number;
    rig.engine.skip_parked(0, number, None, ME).unwrap();
    rig.quiesce();
    assert_eq!((rig.engine.booked(0, 1), rig.engine.booked(0, 2).is_some()), (None, true));
    rig.engine.install(&config(&["wms"], u64::MAX), &["sap".to_owned()], "test").unwrap();
    rig.reopen();
    assert_eq!(rig.engine.booked(0, 2), None);
}

#[test]
fn documents_and_lines_are_the_same_after_restarts_and_checkpoints() {
    let mut rig = Rig::new();
    let mut booked: BTreeMap<u128, String> = BTreeMap::new();
    let mut told = Vec::new();
    for round in 0..150_u8 {
        rig.admit(round);
        let id = u128::from(round) + 1;
        if round % 3 > 0 {
            let document = format!("49-{round}");
            rig.book(id, Some(&document)).unwrap();
            told.push(("booked".to_owned(), Some(document.clone())));
            booked.insert(id, document);
        }
        if round % 7 == 4 && booked.remove(&(id - 2)).is_some() {
            rig.book(id - 2, None).unwrap();
            told.push(("unbooked".to_owned(), None));
        }
        // What fills the log, so that it is checkpointed.
        let reason = "x".repeat(600);
        rig.engine.pause(1, Actor { who: "me", why: &reason }).unwrap();
        if round % 20 == 13 {
            rig.reopen();
            for id in 1..=id {
                let known = rig.engine.booked(0, id).map(|document| document.to_string());
                assert_eq!(known.as_ref(), booked.get(&id), "{id} in round {round}");
            }
            assert_eq!(rig.told(), told);
        }
    }
    assert!(rig.engine.effects_taken(0, 10));
    assert_eq!(rig.told(), told[10..]);
    rig.reopen();
    assert_eq!(rig.engine.booked(0, 150).as_deref(), booked.get(&150).map(String::as_str));
}
