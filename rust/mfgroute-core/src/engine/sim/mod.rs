//! The engine on a disk that fails: random histories against a model. One thread, so that the same seed gives the same
//! history; the one who writes does a step when the history says so.
//!
//! `MFGROUTE_HISTORIES` and `MFGROUTE_SEED` make it another and a longer run: a tenth of the histories of the log.
//! With `MFGROUTE_TELL` a history says what happens in it.

mod acts;
mod effects;
mod found;
mod mutants;
mod oracle;
mod seen;
mod swarm;
mod world;

use world::{Counts, run};

/// Histories in a quick run.
const HISTORIES: u64 = 2_000;
/// Histories of the log for each of the engine.
const LOG: u64 = 10;

/// Seeds that once failed, one in a line, with a word why.
const REGRESSIONS: &str = include_str!("regressions.txt");

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.replace('_', "").parse().expect("a number"))
}

/// What the history of a seed says; a panic in it is one more way to fail.
fn outcome(seed: u64) -> Result<Counts, String> {
    std::panic::catch_unwind(|| run(seed)).unwrap_or_else(|_| Err(format!("seed {seed}: a panic")))
}

fn search(seeds: impl Iterator<Item = u64>) -> Counts {
    let (mut sum, mut wrong) = (Counts::default(), Vec::new());
    for seed in seeds {
        match outcome(seed) {
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
fn no_history_loses_invents_doubles_or_reorders_an_event() {
    let histories = number("MFGROUTE_HISTORIES").map_or(HISTORIES, |of_log| (of_log / LOG).max(1));
    let from = number("MFGROUTE_SEED").unwrap_or(0);
    let counts = search(from..from + histories);
    println!("{histories} histories from seed {from}: {counts:?}");
    let Counts { acknowledged, repeated, settled, answered, failed, freed, checkpoints, refused, .. } =
        counts;
    let happened = [acknowledged, repeated, settled, answered, failed, freed, checkpoints, refused];
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
    for seed in 0..100 {
        assert_eq!(outcome(seed), outcome(seed), "seed {seed}");
    }
    assert_ne!(outcome(0), outcome(1));
}
