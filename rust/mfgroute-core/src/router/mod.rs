//! A plan and an engine together: what a node is, without adapters.
//!
//! * [`Router`] submits and settles by name; [`hand`] hands out events in the version that a sink asked for.
//! * `behind` finds events that wait behind one that was handed out.
//! * [`letters`] answers requests about rejects and parked events; `retry` submits rejected messages again.
//! * [`look`] reads the logs of a data folder that may be damaged, for people.
//! * [`replay`] sends events of the past to a sink again.
//! * [`report`] writes counters, traces and the inbox as JSON.

mod ask;
mod behind;
mod edit;
pub mod hand;
pub mod letters;
pub mod look;
pub mod replay;
pub mod report;
mod retry;

use std::fmt;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::engine::{
    AdmitError, Delivery, DiskOptions, Engine, EngineOptions, InstallError, Installed, Level, OpenError,
    Outcome, Receipt, Reports, SinkNo, Stale, StreamConfig, SystemClock,
};
pub use ask::{Answer, Ask};
use mfgroute_log::Folder;

use crate::map::scratch::Meta;
use crate::pipeline::batch::Origin;
use crate::pipeline::message::{Intake, Read};
use crate::pipeline::slab::Cursor;
use crate::pipeline::{Batch, Worker};
use crate::plan::project::Plan;
use crate::reject::Reject;
use crate::time::Instant;

/// Messages of a slab that are admitted together.
const SLAB_MESSAGES: usize = 1024;
/// Workers kept for later submits.
const WORKERS_MAX: usize = 64;

/// Why a call did nothing.
#[derive(Debug)]
pub enum RouterError {
    /// No source, sink or stream has this name.
    Unknown {
        /// `source` or `sink`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The engine admitted nothing.
    Admit(AdmitError),
    /// The data folder does not open.
    Open(OpenError),
    /// The plan was not installed.
    Install(InstallError),
    /// A level was asked for that no stream reaches.
    Level(Level),
    /// Deliveries that are not in flight.
    Stale(Stale),
    /// A request that makes no sense, with a sentence why.
    Request(String),
}

impl fmt::Display for RouterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { what, name } => write!(f, "there is no {what} {name}"),
            Self::Admit(error) => error.fmt(f),
            Self::Open(error) => error.fmt(f),
            Self::Install(error) => error.fmt(f),
            Self::Level(level) => {
                let level = level.as_str();
                write!(f, "the streams are in memory: the level {level} is not available, expected memory")
            }
            Self::Stale(error) => error.fmt(f),
            Self::Request(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for RouterError {}

/// A plan that is installed.
#[derive(Debug)]
pub struct Active {
    /// The plan.
    pub plan: Arc<Plan>,
    /// Numbers of its streams, sinks and sources in the engine.
    pub installed: Installed,
}

/// A plan and an engine together.
#[derive(Debug)]
pub struct Router {
    engine: Engine,
    active: RwLock<Arc<Active>>,
    workers: Mutex<Vec<(Worker, Batch)>>,
    /// Where events lie that are asked for by what they wait behind.
    ahead: behind::Aheads,
    /// Messages may wait for nothing any more: they found no room, or the node was started.
    unreleased: AtomicBool,
}

/// An event that was handed out, with its CloudEvent.
#[derive(Debug)]
pub struct Handed {
    /// What `settle` is told.
    pub delivery: Delivery,
    /// CloudEvents id.
    pub id: String,
    /// CloudEvents type.
    pub full_type: String,
    /// Key.
    pub key: String,
    /// The CloudEvent as one line of JSON.
    pub json: Vec<u8>,
}

impl Router {
    /// An engine with this plan installed.
    ///
    /// # Errors
    ///
    /// The engine refuses the plan.
    pub fn new(plan: Arc<Plan>) -> Result<Self, RouterError> {
        let options = EngineOptions { dedup_window: plan.dedup_window, ..EngineOptions::default() };
        Self::on(plan, Engine::new(&options, Arc::new(SystemClock::default())))
    }

    /// The engine of a data folder with this plan installed, and what opening the folder has found.
    ///
    /// # Errors
    ///
    /// A log of the folder does not open, or the engine refuses the plan. Nothing is deleted.
    pub fn open(plan: Arc<Plan>, folder: &Path) -> Result<(Self, Reports), RouterError> {
        let options = EngineOptions { dedup_window: plan.dedup_window, ..EngineOptions::default() };
        let disk = Folder::open(folder).map_err(|error| RouterError::Open(OpenError::io("_node", &error)))?;
        let clock = Arc::new(SystemClock::default());
        let capacity = |stream: &StreamConfig| (stream.name.clone(), stream.capacity.bytes);
        let capacities = plan.engine.streams.iter().map(capacity).collect();
        let disk_options = DiskOptions { capacities, ..DiskOptions::default() };
        let (engine, reports) =
            Engine::open(&options, Arc::new(disk), &disk_options, clock).map_err(RouterError::Open)?;
        Ok((Self::on(plan, engine)?, reports))
    }

    fn on(plan: Arc<Plan>, engine: Engine) -> Result<Self, RouterError> {
        let installed = engine.install(&plan.engine, &[], "start").map_err(RouterError::Install)?;
        let active = RwLock::new(Arc::new(Active { plan, installed }));
        let workers = Mutex::new(Vec::new());
        let ahead = behind::Aheads::default();
        Ok(Self { engine, active, workers, ahead, unreleased: AtomicBool::new(true) })
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The plan that is installed now.
    #[must_use]
    pub fn active(&self) -> Arc<Active> {
        Arc::clone(&self.active.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether anything waits for the disk here.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.engine.is_durable()
    }

    /// How far a source had read when its last durable messages came, as it said itself.
    ///
    /// # Errors
    ///
    /// No source has this name.
    pub fn position(&self, source: &str) -> Result<Option<Arc<[u8]>>, RouterError> {
        let active = self.active();
        let index = source_index(&active, source)?;
        let number = active.installed.sources.get(index).copied();
        Ok(number.and_then(|number| self.engine.position(number)))
    }

    /// Swaps the plan whole. Messages submitted later meet the new one.
    ///
    /// # Errors
    ///
    /// A sink that is to go holds events and is not named in `discard`; then nothing changes.
    pub fn install(&self, plan: Arc<Plan>, discard: &[String]) -> Result<(), RouterError> {
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        let installed = self.engine.install(&plan.engine, discard, "reload").map_err(RouterError::Install)?;
        *active = Arc::new(Active { plan, installed });
        drop(active);
        self.release_all();
        Ok(())
    }

    /// Number of a sink.
    ///
    /// # Errors
    ///
    /// No sink has this name.
    pub fn sink(&self, name: &str) -> Result<SinkNo, RouterError> {
        let active = self.active();
        let index = active.plan.engine.sinks.iter().position(|sink| sink.name == name);
        index
            .and_then(|index| active.installed.sinks.get(index).copied())
            .ok_or_else(|| RouterError::Unknown { what: "sink", name: name.to_owned() })
    }

    /// Submits messages with their attributes.
    ///
    /// # Errors
    ///
    /// Nothing was admitted: no such source, or no room within the time to wait. Or the disk failed: nothing is
    /// acknowledged then.
    pub fn submit<'m>(
        &self,
        source: &str,
        messages: impl Iterator<Item = (&'m [u8], Meta<'m>)>,
        ask: Ask<'_>,
    ) -> Result<Answer, RouterError> {
        self.release_rest();
        let active = self.active();
        ask.check(&active.plan)?;
        let index = source_index(&active, source)?;
        let recorded = recorded_now();
        let intake = Intake { plan: &active.plan, source: index, recorded: &recorded, mapping: None };
        let (mut worker, mut batch) = self.worker();
        for (bytes, meta) in messages {
            worker.message(&intake, Read::Bytes(bytes), bytes, meta, &mut batch);
        }
        let result = self.admit(&active, index, (&batch, Origin::default()), ask);
        self.give_back(worker, batch);
        self.settle_level(Answer { receipt: result?, ..Answer::default() }, ask)
    }

    /// Submits a slab of lines or a CSV file, in pieces that are admitted whole.
    ///
    /// # Errors
    ///
    /// Nothing was admitted. When some pieces were, the answer says where the rest starts.
    pub fn submit_lines(
        &self,
        source: &str,
        slab: &[u8],
        meta: Meta<'_>,
        mut cursor: Option<Cursor>,
        ask: Ask<'_>,
    ) -> Result<Answer, RouterError> {
        self.release_rest();
        let active = self.active();
        ask.check(&active.plan)?;
        let index = source_index(&active, source)?;
        let recorded = recorded_now();
        let intake = Intake { plan: &active.plan, source: index, recorded: &recorded, mapping: None };
        let (mut worker, mut batch) = self.worker();
        let mut answer = Answer::default();
        let mut messages = 0;
        let mut admitted = false;
        let result = loop {
            batch.clear();
            let next = match worker.slab(&intake, slab, cursor, meta, SLAB_MESSAGES, &mut batch) {
                Ok(next) => next,
                Err(reject) => {
                    answer.unsplittable = true;
                    Worker::refused(reject, slab, meta, &mut batch);
                    None
                }
            };
            // The position is that of the whole slab.
            let piece = Ask { position: ask.position.filter(|_| next.is_none()), ..ask };
            match self.admit(&active, index, (&batch, Origin { slab, meta }), piece) {
                Ok(receipt) => add(&mut answer.receipt, receipt, &mut messages),
                Err(error) if admitted => {
                    answer.resume = cursor;
                    let full = matches!(&error, RouterError::Admit(error) if error.is_full());
                    break if full { Ok(()) } else { Err(error) };
                }
                Err(error) => break Err(error),
            }
            admitted = true;
            cursor = next;
            if cursor.is_none() {
                break Ok(());
            }
        };
        self.give_back(worker, batch);
        result?;
        self.settle_level(answer, ask)
    }

    /// Waits for the level that was asked for, and names the one that was reached.
    fn settle_level(&self, mut answer: Answer, ask: Ask<'_>) -> Result<Answer, RouterError> {
        if ask.ack == Some(Level::Memory) {
            answer.receipt.level = Level::Memory;
        }
        let sealed = ask.ack == Some(Level::Sealed) && answer.receipt.level == Level::Durable;
        self.engine.wait(&answer.receipt, sealed).map_err(RouterError::Admit)?;
        if sealed {
            answer.receipt.level = Level::Sealed;
        }
        Ok(answer)
    }

    fn admit(
        &self,
        active: &Active,
        source: usize,
        (batch, origin): (&Batch, Origin<'_>),
        ask: Ask<'_>,
    ) -> Result<Receipt, RouterError> {
        let admit = |admission: &crate::engine::Admission<'_>| match ask.wait {
            Some(wait) => self.engine.admit_wait(admission, wait),
            None => self.engine.admit(admission),
        };
        let said = (ask.sync, ask.position);
        batch.admit(&active.plan, &active.installed, source, origin, said, admit).map_err(RouterError::Admit)
    }

    /// Settles deliveries of a sink.
    ///
    /// # Errors
    ///
    /// Some are not in flight; the others are settled.
    pub fn settle(
        &self,
        sink: SinkNo,
        outcomes: Vec<(crate::engine::DeliveryId, Outcome)>,
    ) -> Result<(), RouterError> {
        let settled = self.engine.settle(sink, outcomes).map_err(RouterError::Stale);
        self.release_rest();
        settled
    }

    /// Stops or continues handing out events of a sink.
    ///
    /// # Errors
    ///
    /// No sink has this name.
    pub fn pause(&self, sink: &str, paused: bool, who: &str, why: &str) -> Result<(), RouterError> {
        let number = self.sink(sink)?;
        let actor = crate::engine::Actor { who, why };
        let result =
            if paused { self.engine.pause(number, actor) } else { self.engine.resume(number, actor) };
        result.map_err(|error| RouterError::Request(error.to_string()))
    }

    fn worker(&self) -> (Worker, Batch) {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.pop().unwrap_or_default()
    }

    fn give_back(&self, worker: Worker, mut batch: Batch) {
        batch.clear();
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if workers.len() < WORKERS_MAX && batch.bytes.capacity() <= 16 << 20 {
            workers.push((worker, batch));
        }
    }
}

fn source_index(active: &Active, name: &str) -> Result<usize, RouterError> {
    active.plan.source(name).ok_or_else(|| RouterError::Unknown { what: "source", name: name.to_owned() })
}

/// Adds the receipt of a later piece; its messages count on from those before.
fn add(sum: &mut Receipt, mut next: Receipt, messages: &mut u32) {
    sum.counts.add(&next.counts);
    for reject in &mut next.rejects {
        reject.message += *messages;
    }
    *messages += next.messages.len() as u32;
    sum.messages.append(&mut next.messages);
    sum.rejects.append(&mut next.rejects);
    sum.offsets.append(&mut next.offsets);
    sum.level = if sum.ticket == 0 { next.level } else { sum.level.min(next.level) };
    sum.ticket = sum.ticket.max(next.ticket);
    sum.followed |= next.followed;
    sum.streams.append(&mut next.streams);
}

/// The wall clock as RFC 3339 in UTC, to the millisecond.
#[must_use]
pub fn recorded_now() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let instant = Instant::new(now.as_secs().cast_signed(), now.subsec_millis() * 1_000_000);
    instant.map(|instant| instant.to_string()).unwrap_or_default()
}

impl Worker {
    /// Notes a slab that could not be taken apart as one rejected message. Bytes beyond the limit of a
    /// message are not kept.
    fn refused(reject: Reject, slab: &[u8], meta: Meta<'_>, batch: &mut Batch) {
        let kept = slab.get(..slab.len().min(1 << 20)).unwrap_or_default();
        crate::pipeline::slab::refuse(reject, kept, meta, batch);
    }
}
