//! Faults that were put in on purpose are found: the evidence that the simulation is evidence.
//!
//! `make test` runs each with the seed that `mutants.txt` names. With `MFGROUTE_HISTORIES` each is searched for from
//! `MFGROUTE_SEED` on; with `MFGROUTE_RECORD` besides, the seeds that were found are written down.

// A place that is not there is a fault of the test.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

#[path = "simulation/counts.rs"]
mod counts;
#[path = "simulation/history.rs"]
mod history;
#[path = "simulation/model.rs"]
mod model;
#[path = "simulation/swarm.rs"]
mod swarm;

use history::{Owner, run};
use mfgroute_log::mutant::{Mutant, choose};

const MUTANTS: [(&str, Mutant, Owner); 10] = [
    ("MU1", Mutant::AckBeforeSync, Owner::Careful),
    ("MU2", Mutant::RetrySync, Owner::Careful),
    ("MU3", Mutant::NoChecksum, Owner::Careful),
    ("MU4", Mutant::NoNameSync, Owner::Careful),
    ("MU5", Mutant::SkipBad, Owner::Careful),
    ("MU6", Mutant::CutBelowWatermark, Owner::Careful),
    ("MU7", Mutant::KeepTorn, Owner::Careful),
    ("MU8", Mutant::ShowBeforeSync, Owner::Careful),
    ("MU9", Mutant::TrustCache, Owner::Careful),
    ("MU11", Mutant::FreeEarly, Owner::FreesEarly),
];

const RECORDED: &str = include_str!("simulation/mutants.txt");

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.replace('_', "").parse().expect("a number"))
}

/// What the history of a seed says of a fault; nothing if it does not notice.
fn caught(mutant: Mutant, owner: Owner, seed: u64) -> Option<String> {
    choose(Some(mutant));
    let failed = std::panic::catch_unwind(|| run(seed, owner)).unwrap_or_else(|_| Err("a panic".into()));
    choose(None);
    failed.err()
}

fn recorded(name: &str) -> Option<u64> {
    let line = RECORDED.lines().find(|line| line.split_whitespace().next() == Some(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn every_mutant_is_caught() {
    let histories = number("MFGROUTE_HISTORIES");
    let mut table =
        String::from("# Mutant, the first seed whose history fails, how many of how many fail, and how.\n");
    let mut missed = Vec::new();
    for (name, mutant, owner) in MUTANTS {
        let seeds = match histories {
            // Enough to say how often; the whole million is for the log itself.
            Some(histories) => {
                let from = number("MFGROUTE_SEED").unwrap_or(0);
                from..from + histories.min(5_000)
            }
            None => recorded(name).map_or(0..0, |seed| seed..seed + 1),
        };
        let count = seeds.end - seeds.start;
        let found: Vec<_> = seeds.filter_map(|seed| Some((seed, caught(mutant, owner, seed)?))).collect();
        match found.first() {
            Some((seed, how)) => {
                let how = how.split_once(": ").map_or("", |(_, how)| how);
                let how: String = how.chars().take(70).collect();
                table += &format!("{name} {seed} {} of {count} {mutant:?}: {how}\n", found.len());
            }
            None => missed.push(name),
        }
    }
    println!("{table}");
    assert!(missed.is_empty(), "not caught: {missed:?}; a changed simulation needs MFGROUTE_RECORD=1");
    if histories.is_some() && std::env::var_os("MFGROUTE_RECORD").is_some() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/simulation/mutants.txt");
        std::fs::write(file, table).expect("the table can be written");
    }
}

#[test]
fn the_recorded_seeds_fail_for_nothing_but_their_mutant() {
    for (name, _, _) in MUTANTS {
        let seed = recorded(name).expect("each mutant has a seed");
        assert_eq!(run(seed, Owner::Careful).err(), None, "{name}");
    }
}
