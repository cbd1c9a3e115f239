//! The engine as a target: a router on workload W1, and somebody who reads what it hands out.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mfgroute_core::engine::{Outcome, SinkNo};
use mfgroute_core::plan::project::{self, Plan};
use mfgroute_core::router::{Ask, Router};
use serde_json::{Value, json};

use crate::load::{Drive, Quantiles, Target};

const SOURCE: &str = "mes";
/// How a message of W1 and its event say their id, and how many characters it has.
const ID: (&[u8], &[u8], usize) = (b"\"id\":\"", b"\"event\":\"", 26);
/// How long a message waits for room in the stream.
const WAIT: Duration = Duration::from_secs(30);

/// A router, with lines whose ids are made new for each message.
pub(crate) struct Node {
    router: Router,
    /// Lines of W1 with the place of the id in each.
    lines: Vec<(Vec<u8>, usize)>,
}

/// What the reader measured.
#[derive(Default)]
pub(crate) struct Reader {
    events: u64,
    latency: Quantiles,
}

fn plan(root: &Path, capacity: &str, durable: bool) -> Result<Arc<Plan>, String> {
    let durability = if durable { "fsync" } else { "memory" };
    let config = json!({
        "node": {"id": "bench", "site": "DE04", "namespace": "com.example", "data_dir": "./data"},
        "streams": {"business": {"durability": durability, "capacity": capacity, "when_full": "block"}},
        "sources": {SOURCE: {"adapter": "http", "mappings": ["mes"]}},
        "sinks": {"out": {"adapter": "console"}},
        "routes": [{"name": "all", "match": {"type": ">"}, "to": "out"}],
    });
    let compiled = project::compile(root, &config, &BTreeMap::new(), None);
    compiled.map(Arc::new).map_err(|problems| problems.iter().map(|problem| format!("\n{problem}")).collect())
}

fn place(bytes: &[u8], of: &[u8]) -> Option<usize> {
    bytes.windows(of.len()).position(|window| window == of).map(|at| at + of.len())
}

impl Node {
    /// A node with its data folder, or in memory.
    pub(crate) fn new(
        folder: Option<&Path>,
        project: &Path,
        events: &str,
        capacity: &str,
    ) -> Result<Self, String> {
        let plan = plan(project, capacity, folder.is_some())?;
        let bytes = std::fs::read(events).map_err(|error| format!("{events}: {error}"))?;
        let lines = bytes.split_inclusive(|&byte| byte == b'\n');
        let lines: Vec<_> = lines.filter_map(|line| Some((line.to_vec(), place(line, ID.0)?))).collect();
        if lines.is_empty() {
            return Err(format!("{events} has no message"));
        }
        let opened = match folder {
            Some(folder) => Router::open(plan, folder).map(|(router, _)| router),
            None => Router::new(plan),
        };
        Ok(Self { router: opened.map_err(|error| error.to_string())?, lines })
    }

    /// Reads and settles everything while something else runs, and until nothing waits any more.
    pub(crate) fn read_while<T>(
        &self,
        begin: Instant,
        drive: Drive,
        run: impl FnOnce() -> Result<T, String>,
    ) -> Result<(T, Reader), String> {
        let sink = self.router.sink("out").map_err(|error| error.to_string())?;
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| self.read(sink, begin, drive, &ended));
            let found = run();
            ended.store(true, Ordering::SeqCst);
            let read = reader.join().map_err(|_| "the reader panicked".to_owned())?;
            Ok((found?, read?))
        })
    }

    fn read(&self, sink: SinkNo, begin: Instant, drive: Drive, ended: &AtomicBool) -> Result<Reader, String> {
        let (mut events, mut latency) = (0, Vec::new());
        loop {
            let over = ended.load(Ordering::SeqCst);
            let batch = self.router.engine().poll_wait(sink, 512, 1 << 20, Duration::from_millis(50));
            let now = begin.elapsed();
            if batch.is_empty() && over && self.is_idle() {
                return Ok(Reader { events, latency: Quantiles::of(latency) });
            }
            for delivery in &batch {
                if let Some(due) = number_of(delivery.record()).and_then(|number| drive.due(number)) {
                    latency.push(now.saturating_sub(due).as_nanos() as u64);
                }
            }
            events += batch.len() as u64;
            let done = batch.iter().map(|delivery| (delivery.id, Outcome::Done { reference: None }));
            self.router.settle(sink, done.collect()).map_err(|error| error.to_string())?;
        }
    }

    /// Whether the sink has everything, and all of it is settled: on a slow disk the next event of a key may wait longer
    /// for the one before than a poll does.
    fn is_idle(&self) -> bool {
        self.router.engine().stats().sinks.iter().all(|sink| sink.queued + sink.in_flight == 0)
    }

    /// What the engine counted, and the reader.
    pub(crate) fn groups(&self, reader: Option<&Reader>) -> Value {
        let stats = self.router.engine().stats();
        let stream = stats.streams.first().cloned().unwrap_or_default();
        let commits = stats.commits.unwrap_or_default();
        let groups: u64 = commits.counts.iter().sum();
        let record = stream.bytes as f64 / stream.count.max(1) as f64 + 4.0;
        json!({
            "groups": groups,
            "record_bytes": record,
            "bytes_per_group": record * stream.next_seq as f64 / groups.max(1) as f64,
            "unaccounted": stats.unaccounted,
            "accepted": stream.next_seq,
            "read": reader.map(|reader| reader.events),
            "poll_us": reader.map(|reader| reader.latency.as_json()),
        })
    }
}

/// The number of a message by the id of its event.
fn number_of(record: &[u8]) -> Option<u64> {
    let at = place(record, ID.1)?;
    std::str::from_utf8(record.get(at..at + ID.2)?).ok()?.parse().ok()
}

impl Target for Node {
    fn put(&self, numbers: &[u64]) -> Result<(), String> {
        let mut slab = Vec::with_capacity(numbers.len() * 512);
        for &number in numbers {
            let line = self.lines.get((number % self.lines.len() as u64) as usize);
            let Some((line, at)) = line else { continue };
            let start = slab.len() + at;
            slab.extend_from_slice(line);
            let width = ID.2;
            if let Some(id) = slab.get_mut(start..start + width) {
                id.copy_from_slice(format!("{number:0width$}").as_bytes());
            }
        }
        let ask = Ask { wait: Some(WAIT), ..Ask::default() };
        let answer =
            self.router.submit_lines(SOURCE, &slab, &[], None, ask).map_err(|error| error.to_string())?;
        let accepted = answer.receipt.counts.accepted;
        if accepted == numbers.len() as u64 && answer.resume.is_none() {
            Ok(())
        } else {
            Err(format!("{accepted} events of {} messages", numbers.len()))
        }
    }
}
