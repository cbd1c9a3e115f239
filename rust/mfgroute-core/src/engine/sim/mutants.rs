//! Faults that were put into the engine on purpose are found: the evidence that the histories are evidence.
//!
//! `make test` runs each with the seed that `mutants.txt` names. With `MFGROUTE_HISTORIES` each is searched for from
//! `MFGROUTE_SEED` on; with `MFGROUTE_RECORD` besides, the seeds that were found are written down.

use mfgroute_log::mutant::{Mutant, choose};

use super::{LOG, number, outcome};

const MUTANTS: [(&str, Mutant); 5] = [
    ("MU10", Mutant::CursorBeforeEffect),
    ("MU11", Mutant::FreeEarly),
    ("MU12", Mutant::DedupForgotten),
    ("MU18", Mutant::Unbounded),
    ("MU23", Mutant::ParkedAfter),
];
/// Enough to say how often; one that is not found among them is searched for further, as far as it goes.
const COUNTED: u64 = 1_000;

const RECORDED: &str = include_str!("mutants.txt");

/// What the history of a seed says of a fault; nothing if it does not notice.
fn caught(mutant: Mutant, seed: u64) -> Option<String> {
    choose(Some(mutant));
    let failed = outcome(seed).err();
    choose(None);
    failed
}

fn recorded(name: &str) -> Option<u64> {
    let line = RECORDED.lines().find(|line| line.split_whitespace().next() == Some(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn every_mutant_of_the_engine_is_caught() {
    let histories = number("MFGROUTE_HISTORIES").map(|of_log| (of_log / LOG).max(1));
    let mut table =
        String::from("# Mutant, the first seed whose history fails, how many of how many fail, and how.\n");
    let mut missed = Vec::new();
    for (name, mutant) in MUTANTS {
        let from = number("MFGROUTE_SEED").unwrap_or(0);
        let seeds = match histories {
            Some(histories) => from..from + histories,
            None => recorded(name).map_or(0..0, |seed| seed..seed + 1),
        };
        let (mut count, mut found) = (0, Vec::new());
        for seed in seeds {
            if count >= COUNTED && !found.is_empty() {
                break;
            }
            count += 1;
            found.extend(caught(mutant, seed).map(|how| (seed, how)));
        }
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
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/engine/sim/mutants.txt");
        std::fs::write(file, table).expect("the table can be written");
    }
}

#[test]
fn the_recorded_seeds_fail_for_nothing_but_their_mutant() {
    for (name, _) in MUTANTS {
        let seed = recorded(name).expect("each mutant has a seed");
        assert_eq!(outcome(seed).err(), None, "{name}");
    }
}
