//! W1 in Vector's remap language: `mfgroute-compare-vrl EVENTS OUT PROGRAM SCHEMA`.
//!
//! The program validates and maps. Duplicates and partitions are not VRL's: Vector has other components for
//! them, and here a set and a CRC stand in, so that the work is the same. Prints counts and times as one line of
//! JSON; OUT gets the outputs after the clock has stopped, "-" for none.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::json;
use vrl::compiler::runtime::{Runtime, Terminate};
use vrl::compiler::state::RuntimeState;
use vrl::compiler::{Program, TargetValue, TimeZone};
use vrl::value::{KeyString, ObjectMap, Secrets, Value};

const WARM_UP: usize = 2048;

type Failure = Box<dyn std::error::Error>;

struct Run {
    outputs: Vec<(u32, String)>,
    rejected: usize,
    duplicates: usize,
    wall: Duration,
    cpu: Duration,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [events, out, program, schema] = args.as_slice() else {
        eprintln!("usage: mfgroute-compare-vrl EVENTS OUT PROGRAM SCHEMA");
        return ExitCode::from(2);
    };
    match measure(events, out, program, schema) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(events: &str, out: &str, program: &str, schema: &str) -> Result<String, Failure> {
    let source = std::fs::read_to_string(program)?.replace("SCHEMA", schema);
    let compiled = vrl::compiler::compile(&source, &vrl::stdlib::all())
        .map_err(|problems| format!("{program}: {problems:?}"))?;
    let text = std::fs::read_to_string(events)?;
    let lines: Vec<&str> = text.lines().collect();
    run(&compiled.program, lines.get(..WARM_UP.min(lines.len())).unwrap_or_default())?;
    let run = run(&compiled.program, &lines)?;
    if out != "-" {
        let mut text = String::new();
        for (partition, event) in &run.outputs {
            writeln!(text, "{partition}\t{event}")?;
        }
        std::fs::write(out, text)?;
    }
    let counts = json!({
        "messages": lines.len(), "accepted": run.outputs.len(), "rejected": run.rejected,
        "duplicates": run.duplicates, "wall_ns": run.wall.as_nanos() as u64, "cpu_ns": run.cpu.as_nanos() as u64,
    });
    Ok(counts.to_string())
}

fn run(program: &Program, lines: &[&str]) -> Result<Run, Failure> {
    let zone = TimeZone::default();
    let mut runtime = Runtime::new(RuntimeState::default());
    let mut seen = HashSet::new();
    let mut run = Run {
        outputs: Vec::with_capacity(lines.len()),
        rejected: 0,
        duplicates: 0,
        wall: Duration::ZERO,
        cpu: Duration::ZERO,
    };
    let (began, before) = (Instant::now(), cpu());
    for line in lines {
        let mut message = ObjectMap::new();
        message.insert(KeyString::from("message"), Value::from(*line));
        let mut target = TargetValue {
            value: Value::Object(message),
            metadata: Value::Object(ObjectMap::new()),
            secrets: Secrets::default(),
        };
        match runtime.resolve(&mut target, program, &zone) {
            Ok(_) => {}
            Err(Terminate::Abort(_)) => {
                run.rejected += 1;
                runtime.clear();
                continue;
            }
            Err(Terminate::Error(error)) => return Err(format!("{error} in {line}").into()),
            Err(Terminate::Interrupted) => return Err(format!("interrupted at {line}").into()),
        }
        runtime.clear();
        let text = |name: &str| {
            target
                .value
                .as_object()
                .and_then(|event| event.get(name))
                .and_then(Value::to_str_lossy)
                .unwrap_or_default()
        };
        if !seen.insert(text("event").into_owned()) {
            run.duplicates += 1;
            continue;
        }
        let partition = crc32(text("work_center").as_bytes()) & 15;
        run.outputs.push((partition, serde_json::to_string(&target.value)?));
    }
    run.wall = began.elapsed();
    run.cpu = cpu().saturating_sub(before);
    Ok(run)
}

/// CRC-32 of ISO 3309, as zlib has it.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// Processor time of this process, all threads together.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
