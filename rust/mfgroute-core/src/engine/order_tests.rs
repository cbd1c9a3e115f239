//! Order of a key at a sink that gets several events of a key at once.

use super::rerun_tests::{Rig, config, done, refused};
use super::*;

/// A rig whose first sink gets what is ready, however many of a key are in flight.
fn rig() -> Rig {
    let rig = Rig::new();
    let mut config = config(&["sap", "wms"], u64::MAX);
    config.sinks[0].one_per_key = false;
    rig.engine.install(&config, &[], "test").unwrap();
    rig
}

fn retry() -> Outcome {
    Outcome::Retry { after_ms: None, judged: false, reason: "busy".into() }
}

fn seqs(batch: &[Delivery]) -> Vec<u64> {
    batch.iter().map(|one| one.seq).collect()
}

/// Settles without waiting for the disk.
fn say(rig: &Rig, batch: &[Delivery], outcome: &Outcome) {
    rig.engine.settle(0, batch.iter().map(|one| (one.id, outcome.clone()))).unwrap();
}

#[test]
fn nothing_passes_an_event_that_comes_again_while_that_is_written_down() {
    let mut rig = rig();
    for round in 0..20 {
        let first = 3 * round;
        for _ in 0..2 {
            rig.admit(1);
        }
        let batch = rig.engine.poll(0, 2, u64::MAX);
        assert_eq!(seqs(&batch), [first, first + 1]);
        rig.admit(1);
        say(&rig, &batch, &retry());
        // The disk may be quicker than this; then the first comes again, or waits.
        let early = rig.engine.poll(0, 100, u64::MAX);
        assert!(early.first().is_none_or(|one| one.seq == first), "{:?} of round {round}", seqs(&early));
        say(&rig, &early, &done());
        rig.quiesce();
        rig.clock.advance(600_000);
        let left: Vec<u64> = (first..first + 3).skip(early.len()).collect();
        assert_eq!(rig.drain(0), left, "round {round}");
    }
}

#[test]
fn nothing_passes_an_event_that_is_refused_while_that_is_written_down() {
    let mut rig = rig();
    for round in 1..=20 {
        rig.admit(round);
        let batch = rig.engine.poll(0, 1, u64::MAX);
        rig.admit(round);
        say(&rig, &batch, &refused());
        assert_eq!(seqs(&rig.engine.poll(0, 100, u64::MAX)), [0; 0]);
        rig.quiesce();
        assert_eq!(rig.drain(0), [0; 0]);
        assert_eq!(rig.engine.stats().sinks[0].parked, 2 * u64::from(round));
    }
}

#[test]
fn what_failed_together_comes_again_together() {
    let mut rig = Rig::new();
    let mut apart = 0;
    for round in 0..20 {
        for key in 0..40 {
            rig.admit(key);
        }
        let batch = rig.engine.poll(0, 100, u64::MAX);
        let (one, other) = batch.split_at(20);
        for written in [one, other] {
            rig.settle(0, written, &retry());
        }
        let mut sizes = Vec::new();
        while let Some(due) = rig.engine.next_due(0) {
            rig.clock.advance(due.as_millis() as u64);
            let again = rig.engine.poll(0, 100, u64::MAX);
            sizes.push(again.len());
            rig.settle(0, &again, &done());
        }
        apart += usize::from(sizes == [20, 20]);
        assert!(matches!(sizes[..], [20, 20] | [40]), "{sizes:?} in round {round}");
    }
    // Two requests have a jitter each.
    assert!(apart > 10, "{apart}");
}
