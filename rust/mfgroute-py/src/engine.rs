//! The engine as Python sees it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mfgroute_core::engine::{Level, Reports};
use mfgroute_core::router::{Answer, Ask, Handed, Router, RouterError};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use serde_json::json;

use crate::batch::Batch;
use crate::errors::router_error;
use crate::eventfd::EventFd;
use crate::json::to_python;
use crate::link::Blocks;
use crate::plan::Plan;
use crate::values::{Begun, Event, Receipt, Reject};

/// Work below this many bytes is done without releasing the interpreter: releasing costs more.
const DETACH_BYTES: usize = 16 * 1024;
/// The attribute that says which edge an event came from.
const EDGE: &str = "edge.id";

/// Streams, sinks and dead letters of one node.
#[pyclass(frozen, module = "mfgroute._core")]
pub struct Engine {
    router: Arc<Router>,
    wake: Arc<EventFd>,
    /// What opening the data folder has found.
    reports: Reports,
}

type Attributes = HashMap<String, String>;

fn receipt(answer: &Answer) -> Receipt {
    let counts = answer.receipt.counts;
    Receipt {
        accepted: counts.accepted,
        rejected: counts.rejected,
        duplicates: counts.duplicates,
        filtered: counts.filtered,
        dropped: counts.dropped,
        level: answer.receipt.level.as_str().to_owned(),
        rejects: answer.receipt.rejects.iter().map(Reject::from).collect(),
        unsplittable: answer.unsplittable,
        resume: answer.resume,
    }
}

/// The acknowledgement level that was asked for.
fn level(ack: Option<&str>) -> PyResult<Option<Level>> {
    Ok(Some(match ack {
        None => return Ok(None),
        Some("memory") => Level::Memory,
        Some("durable") => Level::Durable,
        Some("sealed") => Level::Sealed,
        Some(other) => {
            let message = format!("ack is {other}, expected memory, durable or sealed");
            return Err(PyValueError::new_err(message));
        }
    }))
}

/// A time to wait.
pub fn duration(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| PyValueError::new_err(format!("{seconds} is not a time to wait in seconds")))
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (plan, *, data_dir=None))]
    fn new(py: Python<'_>, plan: &Plan, data_dir: Option<&str>) -> PyResult<Self> {
        let durable = plan.plan.engine.streams.iter().find(|stream| stream.durable);
        let wake = Arc::new(EventFd::new().map_err(|error| PyOSError::new_err(error.to_string()))?);
        let shared = Arc::clone(&plan.plan);
        let opened = match (data_dir.map(Path::new), durable) {
            (None, Some(stream)) => {
                let message = format!("stream {} is durable: give the engine a data_dir", stream.name);
                return Err(PyValueError::new_err(message));
            }
            // A folder that was used for durable streams may hold events, also if none is durable now.
            (Some(folder), durable) if durable.is_some() || folder.join("node").exists() => {
                py.detach(|| Router::open(shared, folder))
            }
            _ => Router::new(shared).map(|router| (router, Reports::default())),
        };
        let (router, reports) = opened.map_err(|error| router_error(py, &error))?;
        let router = Arc::new(router);
        let signal = Arc::clone(&wake);
        router.engine().on_wake(Arc::new(move || signal.signal()));
        router.engine().rearm();
        Ok(Self { router, wake, reports })
    }

    #[getter]
    fn opened<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let one = |(stream, report): &(String, mfgroute_core::engine::LogReport)| {
            let torn = report.torn.as_ref().map(|torn| {
                json!({"segment": torn.segment, "offset": torn.offset, "bytes": torn.bytes, "kept": torn.kept})
            });
            json!({
                "stream": stream, "life": report.life, "records": report.records, "torn": torn,
                "quarantined": report.quarantined, "half_heads": report.half_heads,
            })
        };
        to_python(py, &self.reports.iter().map(one).collect::<serde_json::Value>())
    }

    fn position<'py>(&self, py: Python<'py>, source: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let position = self.router.position(source).map_err(|error| router_error(py, &error))?;
        Ok(position.map(|position| PyBytes::new(py, &position)))
    }

    #[pyo3(signature = (plan, *, discard=Vec::new()))]
    #[expect(clippy::needless_pass_by_value, reason = "what Python hands over")]
    fn install(&self, py: Python<'_>, plan: &Plan, discard: Vec<String>) -> PyResult<()> {
        py.detach(|| self.router.install(Arc::clone(&plan.plan), &discard))
            .map_err(|error| router_error(py, &error))
    }

    #[pyo3(signature = (source, messages, *, meta=None, metas=None, ack=None, wait_s=None, synchronous=false, position=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword-only in Python")]
    #[expect(clippy::needless_pass_by_value, reason = "what Python hands over")]
    fn submit(
        &self,
        py: Python<'_>,
        source: &str,
        messages: &Bound<'_, PyAny>,
        meta: Option<Attributes>,
        metas: Option<Vec<Attributes>>,
        ack: Option<&str>,
        wait_s: Option<f64>,
        synchronous: bool,
        position: Option<PyBackedBytes>,
    ) -> PyResult<Receipt> {
        let ask = Ask {
            ack: level(ack)?,
            wait: wait_s.map(duration).transpose()?,
            sync: synchronous,
            position: position.as_deref(),
        };
        let common = pairs(meta.as_ref());
        self.router.engine().rearm();
        if let Ok(blocks) = messages.cast::<Blocks>() {
            if metas.is_some() {
                return Err(PyValueError::new_err("blocks have their own metas"));
            }
            let result = py.detach({
                let blocks = blocks.get();
                || self.submit_blocks(source, blocks, &common, ask)
            });
            return result.map(|answer| receipt(&answer)).map_err(|error| router_error(py, &error));
        }
        let messages: Vec<PyBackedBytes> = messages.extract()?;
        if metas.as_ref().is_some_and(|metas| metas.len() != messages.len()) {
            return Err(PyValueError::new_err("metas has not one entry for each message"));
        }
        let own: Option<Vec<Vec<(&str, &str)>>> =
            metas.as_ref().map(|metas| metas.iter().map(|one| merged(&common, one)).collect());
        let bytes: usize = messages.iter().map(|message| message.len()).sum();
        let run = || {
            let with_meta = messages.iter().enumerate().map(|(index, message)| {
                let attributes = own.as_ref().and_then(|own| own.get(index)).unwrap_or(&common);
                (&**message, attributes.as_slice())
            });
            self.router.submit(source, with_meta, ask)
        };
        let waits = ask.wait.is_some() || self.router.is_durable();
        let result = if bytes >= DETACH_BYTES || waits { py.detach(run) } else { run() };
        result.map(|answer| receipt(&answer)).map_err(|error| router_error(py, &error))
    }

    #[pyo3(signature = (source, slab, *, meta=None, resume=None, ack=None, wait_s=None, synchronous=false, position=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword-only in Python")]
    #[expect(clippy::needless_pass_by_value, reason = "what Python hands over")]
    fn submit_lines(
        &self,
        py: Python<'_>,
        source: &str,
        slab: PyBackedBytes,
        meta: Option<Attributes>,
        resume: Option<(u64, u64)>,
        ack: Option<&str>,
        wait_s: Option<f64>,
        synchronous: bool,
        position: Option<PyBackedBytes>,
    ) -> PyResult<Receipt> {
        let ask = Ask {
            ack: level(ack)?,
            wait: wait_s.map(duration).transpose()?,
            sync: synchronous,
            position: position.as_deref(),
        };
        let common = pairs(meta.as_ref());
        self.router.engine().rearm();
        let run = || self.router.submit_lines(source, &slab, &common, resume, ask);
        let waits = ask.wait.is_some() || self.router.is_durable();
        let result = if slab.len() >= DETACH_BYTES || waits { py.detach(run) } else { run() };
        result.map(|answer| receipt(&answer)).map_err(|error| router_error(py, &error))
    }

    #[pyo3(signature = (sink, *, events_max=500, bytes_max=1_048_576, wait_s=0.0))]
    fn poll(
        &self,
        py: Python<'_>,
        sink: &str,
        events_max: usize,
        bytes_max: u64,
        wait_s: f64,
    ) -> PyResult<Batch> {
        let wait = duration(wait_s)?;
        // Asked for before the look, so that what comes after it is not missed.
        self.router.engine().rearm();
        let (sink, handed) = py
            .detach(|| self.router.poll(sink, events_max, bytes_max, wait))
            .map_err(|error| router_error(py, &error))?;
        let names = self.stream_names();
        let mut events = Vec::with_capacity(handed.len());
        let mut open = HashMap::with_capacity(handed.len());
        for (index, one) in handed.into_iter().enumerate() {
            let number = index as u64 + 1;
            open.insert(number, one.delivery.id);
            events.push(Py::new(py, event(py, one, number, &names))?);
        }
        Ok(Batch { router: Arc::clone(&self.router), sink, events, open: Mutex::new(open) })
    }

    fn wake_fd(&self) -> i32 {
        self.wake.raw()
    }

    fn next_due_s(&self, py: Python<'_>, sink: &str) -> PyResult<Option<f64>> {
        let number = self.router.sink(sink).map_err(|error| router_error(py, &error))?;
        Ok(self.router.engine().next_due(number).map(|due| due.as_secs_f64()))
    }

    fn dead_letters<'py>(&self, py: Python<'py>, request: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let request: serde_json::Value =
            serde_json::from_slice(request).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let answer =
            py.detach(|| self.router.dead_letters(&request)).map_err(|error| router_error(py, &error))?;
        Ok(PyBytes::new(py, answer.to_string().as_bytes()))
    }

    fn find<'py>(&self, py: Python<'py>, query: &str) -> Bound<'py, PyBytes> {
        let answer = py.detach(|| self.router.find(query));
        PyBytes::new(py, answer.to_string().as_bytes())
    }

    fn effects<'py>(
        &self,
        py: Python<'py>,
        sink: &str,
        after: u64,
        count_max: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let number = self.router.sink(sink).map_err(|error| router_error(py, &error))?;
        let lines = py.detach(|| self.router.engine().effects(number, after, count_max));
        let mut out = Vec::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
        for line in &lines {
            out.extend_from_slice(line);
            out.push(b'\n');
        }
        Ok(PyBytes::new(py, &out))
    }

    fn effects_taken(&self, py: Python<'_>, sink: &str, upto: u64) -> PyResult<()> {
        let number = self.router.sink(sink).map_err(|error| router_error(py, &error))?;
        if self.router.engine().effects_taken(number, upto) {
            return Ok(());
        }
        Err(PyValueError::new_err(format!("sink {sink} has no line {upto} yet")))
    }

    #[pyo3(signature = (sink, *, who="unknown", why=""))]
    fn pause(&self, py: Python<'_>, sink: &str, who: &str, why: &str) -> PyResult<()> {
        py.detach(|| self.router.pause(sink, true, who, why)).map_err(|error| router_error(py, &error))
    }

    #[pyo3(signature = (sink, *, who="unknown", why=""))]
    fn resume(&self, py: Python<'_>, sink: &str, who: &str, why: &str) -> PyResult<()> {
        py.detach(|| self.router.pause(sink, false, who, why)).map_err(|error| router_error(py, &error))
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &py.detach(|| self.router.stats()))
    }

    fn hold(&self, py: Python<'_>, seconds: f64) -> PyResult<bool> {
        let wait = duration(seconds)?;
        Ok(py.detach(|| self.router.engine().hold(wait)))
    }

    fn drain(&self) {
        self.router.engine().begin_drain();
    }

    fn close(&self, py: Python<'_>) {
        let _ = py.detach(|| self.router.engine().close());
    }
}

impl Engine {
    /// Submits the events of blocks, each with the name of its edge.
    fn submit_blocks(
        &self,
        source: &str,
        blocks: &Blocks,
        common: &[(&str, &str)],
        ask: Ask<'_>,
    ) -> Result<Answer, RouterError> {
        let metas: Vec<Vec<(&str, &str)>> = blocks
            .blocks()
            .map(|block| {
                let other = common.iter().copied().filter(|(name, _)| *name != EDGE);
                other.chain([(EDGE, block.edge())]).collect()
            })
            .collect();
        let events = blocks.blocks().zip(&metas).flat_map(|(block, meta)| {
            let meta = meta.as_slice();
            block.events().map(move |event| (event, meta))
        });
        self.router.submit(source, events, ask)
    }

    fn stream_names(&self) -> Vec<String> {
        let active = self.router.active();
        let mut names = Vec::new();
        for (stream, number) in active.plan.engine.streams.iter().zip(&active.installed.streams) {
            let at = usize::from(*number);
            if names.len() <= at {
                names.resize(at + 1, String::new());
            }
            if let Some(name) = names.get_mut(at) {
                name.clone_from(&stream.name);
            }
        }
        names
    }
}

fn pairs(meta: Option<&Attributes>) -> Vec<(&str, &str)> {
    meta.into_iter().flatten().map(|(name, text)| (name.as_str(), text.as_str())).collect()
}

/// Attributes of one message over those that all share.
fn merged<'a>(common: &[(&'a str, &'a str)], own: &'a Attributes) -> Vec<(&'a str, &'a str)> {
    let mut out: Vec<(&str, &str)> =
        common.iter().filter(|(name, _)| !own.contains_key(*name)).copied().collect();
    out.extend(own.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    out
}

fn event(py: Python<'_>, handed: Handed, number: u64, streams: &[String]) -> Event {
    Event {
        id: handed.id,
        kind: handed.full_type,
        key: handed.key,
        offset: handed.delivery.seq,
        stream: streams.get(usize::from(handed.delivery.stream)).cloned().unwrap_or_default(),
        attempt: handed.delivery.tries + 1,
        replayed: handed.delivery.replayed,
        begun: handed.delivery.begun.as_ref().map(Begun::from),
        booked: handed.delivery.booked.as_ref().map(ToString::to_string),
        delivery: number,
        json: PyBytes::new(py, &handed.json).unbind(),
    }
}
