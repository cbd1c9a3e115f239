//! Both engines of the edge link, without Python and without the link: `linked PROJECT EVENTS [ROUNDS [flat|trees]]`.
//!
//! An edge takes the messages of workload W1 and hands out CloudEvents, 1024 at a time; a core admits them as it
//! admits what blocks hold. Prints nanoseconds of wall time per event: of handing out with settling, and of
//! admission, once as a core runs and once with every event on trees, unless one of the two is named. For
//! instruction counts, run it with `0 flat` under `valgrind --tool=callgrind --toggle-collect='linked::admit'` (or
//! `linked::hand_out`) and divide by the number of events; 0 rounds are the one that warms up.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mfgroute_core::engine::Outcome;
use mfgroute_core::plan::project::{self, Plan};
use mfgroute_core::router::{Ask, Router};
use serde_json::json;

/// Events of a batch on the edge, and of an intake in the core.
const GROUP: usize = 1024;
const SLAB: usize = 512;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(root), Some(events)) = (args.next(), args.next()) else {
        eprintln!("usage: linked PROJECT EVENTS [ROUNDS [flat|trees]]");
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

/// The project of the workload. A core has no mappings; with `on_trees`, a filter that nothing meets keeps its
/// events off flat programs.
fn plan(root: &Path, mappings: &[&str], on_trees: bool) -> Result<Arc<Plan>, String> {
    let mut source = json!({"adapter": "http", "mappings": mappings});
    if on_trees {
        source["filter"] =
            json!([{"name": "none", "when": {"path": "type", "equals": "nothing has this type"}}]);
    }
    let config = json!({
        "node": {"id": "bench", "site": "DE04", "namespace": "com.example", "data_dir": "./data"},
        "streams": {"business": {"durability": "memory", "capacity": "1GiB", "when_full": "drop_oldest"}},
        "sources": {"in": source},
        "sinks": {"out": {"adapter": "console"}},
        "routes": [{"name": "all", "match": {"type": ">"}, "to": "out"}],
    });
    let compiled = project::compile(root, &config, &BTreeMap::new(), None);
    compiled.map(Arc::new).map_err(|problems| problems.iter().map(|problem| format!("\n{problem}")).collect())
}

fn measure(root: &Path, path: &str, rounds: usize, only: Option<&str>) -> Result<(), String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    let edge = plan(root, &["mes"], false)?;
    let mut cores = Vec::new();
    for (way, name, on_trees) in [("flat", "admit", false), ("trees", "admit on trees", true)] {
        if only.is_none_or(|only| only == way) {
            cores.push((name, plan(root, &[], on_trees)?));
        }
    }
    let mut numbers = vec![Vec::new(); cores.len() + 1];
    for round in 0..=rounds {
        let (events, spent) = filled(&edge, &lines).map(|router| hand_out(&router))??;
        let mut all = vec![spent];
        for (name, plan) in &cores {
            let router = Router::new(Arc::clone(plan)).map_err(|error| error.to_string())?;
            all.push(admit(&router, &events).map_err(|message| format!("{name}: {message}"))?);
        }
        for (numbers, spent) in numbers.iter_mut().zip(all).filter(|_| round > 0) {
            numbers.push(spent.as_nanos() as f64 / events.len() as f64);
        }
    }
    let names = std::iter::once("hand out").chain(cores.iter().map(|(name, _)| *name));
    for (name, numbers) in names.zip(&mut numbers) {
        numbers.sort_by(f64::total_cmp);
        let at = |index: usize| numbers.get(index).copied().unwrap_or_default();
        let (low, median, high) = (at(0), at(numbers.len() / 2), at(numbers.len().saturating_sub(1)));
        println!("{name:24} {median:7.0} ns/event ({low:.0} to {high:.0}, {rounds} rounds)");
    }
    Ok(())
}

/// An edge that has taken all messages.
fn filled(plan: &Arc<Plan>, lines: &[&[u8]]) -> Result<Router, String> {
    let router = Router::new(Arc::clone(plan)).map_err(|error| error.to_string())?;
    for slab in lines.chunks(SLAB).map(<[&[u8]]>::concat) {
        router.submit_lines("in", &slab, &[], None, Ask::default()).map_err(|error| error.to_string())?;
    }
    Ok(router)
}

/// Takes everything out of an edge, as its sink does, with the time that it took.
#[inline(never)]
fn hand_out(router: &Router) -> Result<(Vec<Vec<u8>>, Duration), String> {
    let began = Instant::now();
    let mut events = Vec::new();
    loop {
        let (sink, handed) =
            router.poll("out", GROUP, 1 << 20, Duration::ZERO).map_err(|error| error.to_string())?;
        if handed.is_empty() {
            return Ok((events, began.elapsed()));
        }
        let mut outcomes = Vec::with_capacity(handed.len());
        for one in handed {
            events.push(one.json);
            outcomes.push((one.delivery.id, Outcome::Done { reference: None }));
        }
        router.settle(sink, outcomes).map_err(|error| error.to_string())?;
    }
}

/// Submits all events to a core.
#[inline(never)]
fn admit(router: &Router, events: &[Vec<u8>]) -> Result<Duration, String> {
    let meta = [("edge.id", "edge")];
    let began = Instant::now();
    let mut accepted = 0;
    for group in events.chunks(GROUP) {
        let messages = group.iter().map(|event| (event.as_slice(), &meta[..]));
        let answer = router.submit("in", messages, Ask::default()).map_err(|error| error.to_string())?;
        accepted += answer.receipt.counts.accepted as usize;
    }
    if accepted == events.len() { Ok(began.elapsed()) } else { Err(format!("{accepted} accepted")) }
}
