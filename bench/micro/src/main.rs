//! The Rust side of workload W1, without Python: `mfgroute-micro PROJECT EVENTS [ROUNDS [flat|trees]]`.
//!
//! Prints nanoseconds of wall time per message of `submit_lines` with slabs of 512 lines: once as a source runs
//! in production, and once with every message on trees, unless one of the two is named. For instruction counts,
//! run it with `0 flat` under `valgrind --tool=callgrind --toggle-collect='*Router::submit_lines*'` and divide by
//! the number of messages; 0 rounds are the one that warms up.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use mfgroute_core::plan::project::{self, Plan};
use mfgroute_core::router::{Ask, Router};
use serde_json::json;

const SLAB: usize = 512;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(root), Some(events)) = (args.next(), args.next()) else {
        eprintln!("usage: mfgroute-micro PROJECT EVENTS [ROUNDS [flat|trees]]");
        return ExitCode::from(2);
    };
    let rounds = args.next().and_then(|text| text.parse().ok()).unwrap_or(7);
    match measure(Path::new(&root), &events, rounds, args.next().as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The project of the workload; with `on_trees`, a filter that nothing meets keeps its messages off flat programs.
fn plan(root: &Path, on_trees: bool) -> Result<Arc<Plan>, String> {
    let mut source = json!({"adapter": "http", "mappings": ["mes"]});
    if on_trees {
        source["filter"] =
            json!([{"name": "none", "when": {"path": "type", "equals": "nothing has this type"}}]);
    }
    let config = json!({
        "node": {"id": "bench", "site": "DE04", "namespace": "com.example", "data_dir": "./data"},
        "streams": {"business": {"durability": "memory", "capacity": "1GiB", "when_full": "drop_oldest"}},
        "sources": {"mes": source},
        "sinks": {"out": {"adapter": "console"}},
        "routes": [{"name": "all", "match": {"type": ">"}, "to": "out"}],
    });
    let compiled = project::compile(root, &config, &BTreeMap::new(), None);
    compiled.map(Arc::new).map_err(|problems| problems.iter().map(|problem| format!("\n{problem}")).collect())
}

fn measure(root: &Path, events: &str, rounds: usize, only: Option<&str>) -> Result<(), String> {
    let bytes = std::fs::read(events).map_err(|error| format!("{events}: {error}"))?;
    let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    let slabs: Vec<Vec<u8>> = lines.chunks(SLAB).map(<[&[u8]]>::concat).collect();
    let mut plans = Vec::new();
    for (way, name, on_trees) in [("flat", "submit_lines", false), ("trees", "submit_lines on trees", true)] {
        if only.is_none_or(|only| only == way) {
            plans.push((name, plan(root, on_trees)?));
        }
    }
    let mut numbers = vec![Vec::new(); plans.len()];
    for round in 0..=rounds {
        for ((name, plan), numbers) in plans.iter().zip(&mut numbers) {
            let spent = submit(plan, &slabs, lines.len()).map_err(|message| format!("{name}: {message}"))?;
            // The first round warms up.
            if round > 0 {
                numbers.push(spent);
            }
        }
    }
    for ((name, _), numbers) in plans.iter().zip(&mut numbers) {
        numbers.sort_by(f64::total_cmp);
        let at = |index: usize| numbers.get(index).copied().unwrap_or_default();
        let (low, median, high) = (at(0), at(numbers.len() / 2), at(numbers.len().saturating_sub(1)));
        println!("{name:24} {median:7.0} ns/message ({low:.0} to {high:.0}, {rounds} rounds)");
    }
    Ok(())
}

/// Submits everything to a fresh router; nanoseconds per message.
fn submit(plan: &Arc<Plan>, slabs: &[Vec<u8>], messages: usize) -> Result<f64, String> {
    let router = Router::new(Arc::clone(plan)).map_err(|error| error.to_string())?;
    let started = Instant::now();
    let mut accepted = 0;
    for slab in slabs {
        let answer =
            router.submit_lines("mes", slab, &[], None, Ask::default()).map_err(|error| error.to_string())?;
        accepted += answer.receipt.counts.accepted as usize;
    }
    let spent = started.elapsed();
    if accepted == messages {
        Ok(spent.as_nanos() as f64 / messages as f64)
    } else {
        Err(format!("{accepted} events of {messages} messages"))
    }
}
