//! B2: decode and validate, nothing else: `validate PROJECT EVENTS ROUNDS`.
//!
//! Two ways of the engine: `scan`, the one pass of a flat program that validates while it reads (or why the schema
//! has none), and `tree`, a tree and then the schema over it. Prints one line of JSON: nanoseconds of processor time per
//! message of every round, and how many messages were valid.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use mfgroute_core::decode::Limits;
use mfgroute_core::decode::json::JsonDecoder;
use mfgroute_core::flat::{Memory, Offer, Program};
use mfgroute_core::map::scratch::Given;
use mfgroute_core::plan::project;
use mfgroute_core::schema::{Schema, SchemaOptions};
use mfgroute_core::tree::Tree;
use serde_json::{Value, json};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(root), Some(events)) = (args.next(), args.next()) else {
        eprintln!("usage: validate PROJECT EVENTS [ROUNDS]");
        return ExitCode::from(2);
    };
    let rounds = args.next().and_then(|text| text.parse().ok()).unwrap_or(7);
    match measure(Path::new(&root), &events, rounds) {
        Ok(found) => {
            println!("{found}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn measure(root: &Path, events: &str, rounds: usize) -> Result<Value, String> {
    let read = |path: &Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let bytes = read(Path::new(events))?;
    let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect();
    let document: Value = serde_json::from_slice(&read(&root.join("schemas/mes.json"))?)
        .map_err(|error| format!("schemas/mes.json: {error}"))?;
    let schema = Schema::compile(&document, &SchemaOptions::default())
        .map_err(|problems| format!("schemas/mes.json: {problems:?}"))?;
    let config = json!({
        "node": {"id": "bench", "site": "DE04", "namespace": "com.example", "data_dir": "./data"},
        "streams": {"business": {"durability": "memory", "capacity": "64MiB", "when_full": "drop_oldest"}},
        "sources": {"mes": {"adapter": "http", "mappings": ["mes"]}},
        "sinks": {"out": {"adapter": "console"}},
        "routes": [{"name": "all", "match": {"type": ">"}, "to": "out"}],
    });
    let plan = project::compile(root, &config, &BTreeMap::new(), None)
        .map_err(|problems| problems.iter().map(|problem| format!("\n{problem}")).collect::<String>())?;
    let program = plan.programs.first().ok_or("the project has no mapping")?;

    let mut tree_rounds = Vec::new();
    let mut scan_rounds = Vec::new();
    let mut valid = (0, 0);
    for round in 0..=rounds {
        let (spent, found) = over_tree(&schema, &lines);
        valid.0 = found;
        let scanned = program.as_ref().ok().map(|program| scan(program, &lines));
        // The first round warms up.
        if round > 0 {
            tree_rounds.push(spent);
            scan_rounds.extend(scanned.map(|(spent, _)| spent));
        }
        valid.1 = scanned.map_or(0, |(_, found)| found);
    }
    Ok(json!({
        "messages": lines.len(),
        "tree": {"ns": tree_rounds, "valid": valid.0, "compiled": schema.runs_compiled()},
        "scan": {"ns": scan_rounds, "valid": valid.1, "absent": program.as_ref().err()},
    }))
}

fn over_tree(schema: &Schema, lines: &[&[u8]]) -> (f64, usize) {
    let mut decoder = JsonDecoder::new(Limits::default());
    let (mut tree, mut violations) = (Tree::new(), Vec::new());
    let mut valid = 0;
    let began = cpu();
    for line in lines {
        tree.clear();
        violations.clear();
        let Ok(()) = decoder.decode(line, &mut tree) else { continue };
        let Some(root) = tree.root() else { continue };
        valid += usize::from(schema.validate(&tree, root, 1, &mut violations));
    }
    ((cpu() - began) / lines.len() as f64, valid)
}

fn scan(program: &Program, lines: &[&[u8]]) -> (f64, usize) {
    let limits = Limits::default();
    let mut memory = Memory::default();
    let mut valid = 0;
    let began = cpu();
    for line in lines {
        let offer =
            Offer { bytes: line, at: 0, line: None, meta: &[], given: Given::default(), source: "bench" };
        valid += usize::from(program.scan(&offer, &limits, &mut memory) == Some(line.len()));
    }
    ((cpu() - began) / lines.len() as f64, valid)
}

/// Processor time of this process in nanoseconds.
fn cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
