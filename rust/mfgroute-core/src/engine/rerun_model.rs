//! A random test of replays against what was chosen.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::rerun_tests::{ME, Rig, done, refused};
use super::*;

#[derive(Clone, Debug)]
enum Step {
    Admit(u8),
    Poll(usize),
    Settle(usize, u8),
    Replay(u32),
    Stop,
    Retry,
    Advance(u64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u8..3).prop_map(Step::Admit),
        6 => (1_usize..4).prop_map(Step::Poll),
        8 => (0_usize..6, 0_u8..6).prop_map(|(pick, how)| Step::Settle(pick, how)),
        2 => any::<u32>().prop_map(Step::Replay),
        1 => Just(Step::Stop),
        2 => Just(Step::Retry),
        2 => (0_u64..4_000).prop_map(Step::Advance),
        1 => Just(Step::Reopen),
    ]
}

/// What must hold of a replay, whatever happens around it.
struct Watch {
    rig: Rig,
    in_flight: Vec<Delivery>,
    /// Events whose first effect has happened, in order of that.
    effects: Vec<u64>,
    /// Chosen and not ended.
    owed: BTreeSet<u64>,
    /// Ended by the replay under way.
    ended: BTreeMap<u64, bool>,
}

impl Watch {
    fn key(&self, seq: u64) -> u8 {
        self.rig.keys[seq as usize]
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Admit(key) => self.rig.admit(key),
            Step::Poll(max) => self.poll(max),
            Step::Settle(pick, how) => self.settle(pick, how),
            Step::Replay(bits) => self.replay(bits),
            Step::Stop => {
                if self.rig.engine.stop_replay(0, ME).is_ok() {
                    let flying: BTreeSet<u64> = self.in_flight.iter().map(|one| one.seq).collect();
                    self.owed.retain(|seq| flying.contains(seq));
                }
            }
            Step::Retry => {
                let parked = self.rig.engine.parked(0).unwrap();
                if let Some(first) = parked.iter().find(|one| one.cause.is_own()) {
                    let _ = self.rig.engine.retry_parked(0, first.number, ME);
                    self.rig.quiesce();
                }
            }
            Step::Advance(ms) => self.rig.clock.advance(ms),
            Step::Reopen => {
                self.rig.reopen();
                self.in_flight.clear();
            }
        }
        self.rig.quiesce();
    }

    fn replay(&mut self, bits: u32) {
        let seqs: Vec<u64> =
            (0..self.rig.keys.len() as u64).filter(|seq| bits >> (seq % 32) & 1 == 1).collect();
        if let Ok(sorted) = self.rig.replay(0, &seqs, 0) {
            self.owed = sorted.sent.iter().map(|one| one.seq).collect();
            self.ended.clear();
        }
    }

    fn poll(&mut self, max: usize) {
        for one in self.rig.engine.poll(0, max, u64::MAX) {
            let (seq, key) = (one.seq, self.key(one.seq));
            assert!(
                self.in_flight.iter().all(|other| self.key(other.seq) != key),
                "two of a key are in flight"
            );
            if self.owed.contains(&seq) {
                let before = self.owed.iter().filter(|&&owed| owed < seq && self.key(owed) == key).count();
                assert_eq!(before, 0, "{seq} comes before an earlier event of the same key and replay");
            } else {
                // A live one, or one that a person tries again: no replay is in the middle of its key.
                let begun = self.ended.keys().any(|&ended| self.key(ended) == key);
                let more = self.owed.iter().any(|&owed| self.key(owed) == key);
                let parked = self.ended.iter().any(|(&ended, &parked)| parked && self.key(ended) == key);
                assert!(!(begun && more) || parked, "{seq} comes in the middle of a replay of its key");
            }
            self.in_flight.push(one);
        }
    }

    fn settle(&mut self, pick: usize, how: u8) {
        if self.in_flight.is_empty() {
            return;
        }
        let one = self.in_flight.remove(pick % self.in_flight.len());
        let outcome = match how {
            0 => refused(),
            1 => Outcome::Retry { after_ms: None, judged: false, reason: "503".into() },
            _ => done(),
        };
        let ends = !matches!(outcome, Outcome::Retry { .. });
        if matches!(outcome, Outcome::Done { .. }) && !self.effects.contains(&one.seq) {
            let key = self.key(one.seq);
            let later = self.effects.iter().filter(|&&seq| seq > one.seq && self.key(seq) == key).count();
            assert_eq!(later, 0, "the first effects of a key are out of order");
            self.effects.push(one.seq);
        }
        if ends && self.owed.remove(&one.seq) {
            self.ended.insert(one.seq, how == 0);
        }
        let sink = 0;
        self.rig.settle(sink, std::slice::from_ref(&one), &outcome);
        // What waits behind a parked event is parked with it.
        for parked in self.rig.engine.parked(0).unwrap() {
            if self.owed.remove(&parked.seq) {
                self.ended.insert(parked.seq, true);
            }
        }
    }

    /// Ends everything: whatever was chosen comes, and every event has its effect.
    fn finish(&mut self) {
        for one in std::mem::take(&mut self.in_flight) {
            self.owed.remove(&one.seq);
            self.effects.push(one.seq);
            self.rig.settle(0, &[one], &done());
        }
        loop {
            self.rig.clock.advance(400_000);
            for seq in self.rig.drain(0) {
                self.owed.remove(&seq);
                self.effects.push(seq);
            }
            let parked = self.rig.engine.parked(0).unwrap();
            let Some(first) = parked.iter().find(|one| one.cause.is_own()) else { break };
            self.rig.engine.retry_parked(0, first.number, ME).unwrap();
        }
        for seq in 0..self.rig.keys.len() as u64 {
            assert!(self.effects.contains(&seq), "{seq} never came");
        }
        assert!(self.owed.is_empty(), "chosen and never sent: {:?}", self.owed);
        assert_eq!(self.rig.engine.replaying(0), None);
        let stats = self.rig.engine.stats();
        assert_eq!((stats.sinks[0].parked, stats.sinks[0].parked_bytes), (0, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 8))]

    #[test]
    fn a_replay_keeps_its_fence_through_retries_parking_stops_and_restarts(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let rig = Rig::new();
        let (in_flight, effects, owed, ended) = Default::default();
        let mut watch = Watch { rig, in_flight, effects, owed, ended };
        for step in &steps {
            watch.run(step);
        }
        watch.finish();
    }
}
