//! B5 in instructions: `scaling PROJECT EVENTS CASE COUNT`.
//!
//! Submits all messages once to a project of the given size. Cases: `types`, `equal`, `in`, `and`, `sources` and
//! `other` are COUNT routes of which one takes the events, the others by a type, a condition or a source that is
//! not theirs (`other`: a condition that no index knows); `contracts` is COUNT contracts with a mapping each,
//! among which the messages are spread as a deterministic Zipf. Run it under
//! `valgrind --tool=callgrind --toggle-collect='*Router::submit_lines*'` and divide by the number of messages.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use mfgroute_core::plan::project;
use mfgroute_core::router::{Ask, Router};
use serde_json::{Value, json};

const SLAB: usize = 512;
const TYPE: &str = "production.operation.completed";
const MESSAGE: &str = "mes.operation.completed.v2";
/// Of the projects whose routes grow; every message becomes an event of the first.
const CONTRACTS: usize = 50;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [root, events, case, count] = args.as_slice() else {
        eprintln!("usage: scaling PROJECT EVENTS types|equal|in|and|sources|other|contracts COUNT");
        return ExitCode::from(2);
    };
    match count
        .parse()
        .map_err(|_| format!("{count} is no number"))
        .and_then(|count| measure(Path::new(root), Path::new(events), case, count))
    {
        Ok(nanos) => {
            println!("{case} {count}: {nanos:.0} ns/message");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn suffix(number: usize) -> String {
    if number == 0 { String::new() } else { format!(".t{number}") }
}

fn measure(root: &Path, events: &Path, case: &str, count: usize) -> Result<f64, String> {
    let text = std::fs::read_to_string(events).map_err(|error| format!("{}: {error}", events.display()))?;
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let contracts = match case {
        "contracts" => count,
        "types" => CONTRACTS,
        _ => 1,
    };
    if case == "contracts" {
        spread(&mut lines, count);
    }
    let folder = write(root, contracts).map_err(|error| error.to_string())?;
    let mappings: Vec<String> = (0..contracts).map(|number| format!("mes{}", suffix(number))).collect();
    let config = json!({
        "node": {"id": "bench", "site": "DE04", "namespace": "com.example", "data_dir": "./data"},
        "streams": {"business": {"durability": "memory", "capacity": "1GiB", "when_full": "drop_oldest"}},
        "sources": {
            "mes": {"adapter": "http", "mappings": mappings},
            "other": {"adapter": "http", "mappings": [mappings[0]]},
        },
        "sinks": {"out": {"adapter": "console"}},
        "routes": (0..if case == "contracts" { 1 } else { count })
            .map(|number| route(case, number)).collect::<Result<Vec<_>, _>>()?,
    });
    let plan = project::compile(&folder, &config, &BTreeMap::new(), None)
        .map_err(|problems| problems.iter().map(|problem| format!("\n{problem}")).collect::<String>())?;
    std::fs::remove_dir_all(&folder).map_err(|error| error.to_string())?;
    let slabs: Vec<String> = lines.chunks(SLAB).map(<[String]>::concat).collect();
    let router = Router::new(Arc::new(plan)).map_err(|error| error.to_string())?;
    let started = Instant::now();
    let mut accepted = 0;
    for slab in &slabs {
        let answer = router.submit_lines("mes", slab.as_bytes(), &[], None, Ask::default());
        accepted += answer.map_err(|error| error.to_string())?.receipt.counts.accepted as usize;
    }
    let spent = started.elapsed().as_nanos() as f64 / lines.len() as f64;
    if accepted == lines.len() {
        Ok(spent)
    } else {
        Err(format!("{accepted} events of {} messages", lines.len()))
    }
}

/// The first route takes everything, the others nothing.
fn route(case: &str, number: usize) -> Result<Value, String> {
    let name = format!("r{number}");
    if number == 0 {
        return Ok(json!({"name": name, "match": {"type": ">"}, "to": "out"}));
    }
    let condition = match case {
        "types" => {
            let other = suffix(1 + number % (CONTRACTS - 1));
            return Ok(json!({"name": name, "match": {"type": format!("{TYPE}{other}/1")}, "to": "out"}));
        }
        "sources" => {
            return Ok(json!({"name": name, "match": {"type": ">", "source": "other"}, "to": "out"}));
        }
        "equal" => format!("data.work_center == 'X{number}'"),
        "in" => format!("data.work_center in ['X{number}', 'Y{number}']"),
        "and" => format!("data.quantity.good > 0 && data.work_center == 'X{number}'"),
        "other" => format!("data.work_center.startsWith('X{number}')"),
        _ => return Err(format!("{case} is no case")),
    };
    Ok(json!({"name": name, "match": {"type": ">"}, "where": condition, "to": "out"}))
}

/// Gives each message one of many types: of `n` messages, about `n / (k · ln types)` have the k-th.
fn spread(lines: &mut [String], types: usize) {
    let weights: Vec<f64> = (1..=types).map(|rank| 1.0 / rank as f64).collect();
    let total: f64 = weights.iter().sum();
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    for line in lines {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut left = (state >> 11) as f64 / (1_u64 << 53) as f64 * total;
        let chosen = weights
            .iter()
            .position(|weight| {
                left -= weight;
                left < 0.0
            })
            .unwrap_or(0);
        *line = line.replace(
            &format!("\"type\":\"{MESSAGE}\""),
            &format!("\"type\":\"{MESSAGE}{}\"", suffix(chosen)),
        );
    }
}

/// The project of the workload with that many contracts and mappings, in a folder of its own.
fn write(root: &Path, contracts: usize) -> std::io::Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("mfgroute-scaling-{}", std::process::id()));
    for name in ["contracts", "mappings", "schemas"] {
        std::fs::create_dir_all(folder.join(name))?;
    }
    let read = |path: &str| std::fs::read_to_string(root.join(path));
    let (schema, mapping) = (read("schemas/mes.json")?, read("mappings/mes.yaml")?);
    let contract = read(&format!("contracts/{TYPE}.v1.yaml"))?;
    let names: Vec<String> =
        (0..contracts).map(|number| format!("\"{MESSAGE}{}\"", suffix(number))).collect();
    let schema = schema.replace(&format!("\"{MESSAGE}\",\"mes.operation.started.v2\""), &names.join(","));
    std::fs::write(folder.join("schemas/mes.json"), schema)?;
    for number in 0..contracts {
        let tail = suffix(number);
        std::fs::write(
            folder.join(format!("contracts/{TYPE}{tail}.v1.yaml")),
            contract.replace(&format!("type: {TYPE}\n"), &format!("type: {TYPE}{tail}\n")),
        )?;
        std::fs::write(
            folder.join(format!("mappings/mes{tail}.yaml")),
            mapping
                .replace(&format!("equals: {MESSAGE}"), &format!("equals: {MESSAGE}{tail}"))
                .replace(&format!("to: {TYPE}/1"), &format!("to: {TYPE}{tail}/1")),
        )?;
    }
    Ok(folder)
}
