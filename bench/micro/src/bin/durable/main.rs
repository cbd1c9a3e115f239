//! Durable streams beside the disk they stand on: `durable curve|raw|engine ...`; see `usage`.
//!
//! Everything runs in one process without Python and prints one line of JSON. `raw` is what anybody could do with the
//! same disk: append to a recycled file, one `fdatasync` for what has come in since the last one. `engine` is the whole
//! of `submit_lines`: validate, map, refuse duplicates, route, append, wait until it is durable.

mod engine;
mod load;
mod raw;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use load::{Drive, Quantiles, Run, Target};
use serde_json::{Value, json};

/// Sizes of groups of which the disk is asked, in bytes: one record of W1 to what a group can be at most.
const GROUPS: [usize; 7] = [448, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20];

/// Of the kernel, for processor time, on every machine that Linux runs on today.
const TICKS_PER_S: f64 = 100.0;

const USAGE: &str = "usage:
  durable curve FOLDER SECONDS
  durable wake SECONDS
  durable raw FOLDER SENDERS BATCH|@RATE SECONDS RECORD_BYTES
  durable engine FOLDER SENDERS BATCH|@RATE SECONDS PROJECT EVENTS CAPACITY reader|alone [memory]

SENDERS threads hand over BATCH messages, wait until they are durable, and go on (closed loop); with @RATE, each
message has its time, RATE in all in a second, and a sender hands over what is due (open loop).
Files are made below FOLDER, which must be new or empty, and stay there.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(Some(found)) => {
            println!("{found}");
            ExitCode::SUCCESS
        }
        Ok(None) => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> Result<Option<Value>, String> {
    load::exact_timers();
    Ok(Some(match *args {
        ["curve", folder, seconds] => curve(&PathBuf::from(folder), number(seconds)?)?,
        ["wake", seconds] => json!({"wake_us": load::wake(duration(seconds)?).as_json()}),
        ["raw", folder, senders, drive, seconds, bytes] => {
            let log = raw::Log::new(&PathBuf::from(folder), number::<f64>(bytes)?)?;
            let (drive, seconds) = (Drive::read(drive)?, duration(seconds)?);
            measure(&log, number(senders)?, drive, seconds)?.with(log.groups())
        }
        ["engine", folder, senders, drive, seconds, project, events, capacity, reader, ref memory @ ..] => {
            let durable = memory.first() != Some(&"memory");
            let folder = durable.then(|| PathBuf::from(folder));
            let node = engine::Node::new(folder.as_deref(), &PathBuf::from(project), events, capacity)?;
            let (drive, seconds) = (Drive::read(drive)?, duration(seconds)?);
            if reader == "alone" {
                measure(&node, number(senders)?, drive, seconds)?.with(node.groups(None))
            } else {
                let begin = Instant::now();
                let (found, reader) = node.read_while(begin, drive, || {
                    measure_from(&node, number(senders)?, drive, seconds, begin)
                })?;
                found.with(node.groups(Some(&reader)))
            }
        }
        _ => return Ok(None),
    }))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}

fn duration(text: &str) -> Result<Duration, String> {
    Duration::try_from_secs_f64(number(text)?).map_err(|_| format!("{text} is not a time in seconds"))
}

/// What was measured, before the target has said what it did.
struct Found(Run, f64);

impl Found {
    fn with(self, groups: Value) -> Value {
        let Self(run, cpu_us) = self;
        let mut found = json!({
            "events": run.events,
            "seconds": run.seconds,
            "events_per_s": run.events as f64 / run.seconds,
            "ack_us": run.latency.as_json(),
            "late_us": run.late.as_json(),
            "cpu_us_per_event": cpu_us / run.events.max(1) as f64,
        });
        if let (Some(found), Value::Object(groups)) = (found.as_object_mut(), groups) {
            found.extend(groups);
        }
        found
    }
}

fn measure(target: &dyn Target, senders: usize, drive: Drive, seconds: Duration) -> Result<Found, String> {
    measure_from(target, senders, drive, seconds, Instant::now())
}

fn measure_from(
    target: &dyn Target,
    senders: usize,
    drive: Drive,
    seconds: Duration,
    begin: Instant,
) -> Result<Found, String> {
    let before = cpu_us();
    let run = load::run(target, senders, drive, seconds, begin)?;
    Ok(Found(run, cpu_us() - before))
}

/// Processor time of this process, in microseconds, as exact as the ticks of the kernel; 0 where it does not say.
fn cpu_us() -> f64 {
    let said = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may hold anything but ends with the last bracket: user and system are 12th and 13th.
    let words = said.rsplit(')').next().unwrap_or_default().split_whitespace();
    words.skip(11).take(2).filter_map(|word| word.parse::<f64>().ok()).sum::<f64>() * 1e6 / TICKS_PER_S
}

/// How long a write and its `fdatasync` take, by the size of the write, in a file that was written before.
fn curve(folder: &std::path::Path, seconds: f64) -> Result<Value, String> {
    let mut file = raw::File::new(folder)?;
    let mut sizes = Vec::new();
    for bytes in GROUPS {
        let group = vec![0x5a; bytes];
        let (mut took, end) = (Vec::new(), Instant::now() + Duration::from_secs_f64(seconds));
        while Instant::now() < end || took.len() < 8 {
            let began = Instant::now();
            file.put(&group)?;
            took.push(began.elapsed().as_nanos() as u64);
        }
        sizes.push(json!({"bytes": bytes, "us": Quantiles::of(took).as_json()}));
    }
    Ok(json!({"groups": sizes}))
}
