//! A log on a disk that fails: random histories against a model, and every kind of damage to its files.
//!
//! The same seed gives the same history. `MFGROUTE_HISTORIES` and `MFGROUTE_SEED` make it another and a longer run.

// A place that is not there is a fault of the test.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

mod counts;
mod damage;
mod found;
mod history;
mod model;
mod swarm;

use counts::Counts;
use history::{Owner, run};

/// Histories in a quick run; `MFGROUTE_HISTORIES` raises it.
const HISTORIES: u64 = 20_000;

/// Seeds that once failed, one in a line, with a word why.
const REGRESSIONS: &str = include_str!("regressions.txt");

impl Counts {
    /// Adds what another history did.
    pub(crate) fn add(&mut self, other: &Self) {
        self.mix(other.hash);
        self.lives += other.lives;
        self.appended += other.appended;
        self.acknowledged += other.acknowledged;
        self.kills += other.kills;
        self.cuts += other.cuts;
        self.poisoned += other.poisoned;
        self.rolled += other.rolled;
        self.retired += other.retired;
        self.torn += other.torn;
        self.rotten += other.rotten;
        self.refused += other.refused;
        self.read += other.read;
        self.failed_openings += other.failed_openings;
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.replace('_', "").parse().expect("a number"))
}

fn search(seeds: impl Iterator<Item = u64>) -> Counts {
    let (mut sum, mut wrong) = (Counts::default(), Vec::new());
    for seed in seeds {
        match run(seed, Owner::Careful) {
            Ok(counts) => sum.add(&counts),
            Err(failed) => wrong.push(failed),
        }
        if wrong.len() >= 20 {
            break;
        }
    }
    assert!(wrong.is_empty(), "{} histories failed:\n{}", wrong.len(), wrong.join("\n"));
    sum
}

#[test]
fn no_history_loses_invents_or_changes_a_record() {
    let histories = number("MFGROUTE_HISTORIES").unwrap_or(HISTORIES);
    let from = number("MFGROUTE_SEED").unwrap_or(0);
    let counts = search(from..from + histories);
    println!("{histories} histories from seed {from}: {counts:?}");
    let happened =
        [counts.acknowledged, counts.poisoned, counts.rolled, counts.retired, counts.torn, counts.refused];
    assert!(
        happened.iter().all(|&count| count > histories / 100),
        "too little happened to mean anything: {counts:?}"
    );
}

#[test]
fn seeds_that_once_failed_do_not_fail_again() {
    let seed = |line: &str| line.split_whitespace().next().expect("a seed").parse().expect("a number");
    let lines = REGRESSIONS.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    search(lines.map(seed));
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in 0..200 {
        assert_eq!(run(seed, Owner::Careful), run(seed, Owner::Careful), "seed {seed}");
    }
    assert_ne!(run(0, Owner::Careful), run(1, Owner::Careful));
}
