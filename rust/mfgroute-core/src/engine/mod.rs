//! The delivery state machine: streams, lanes, retries and dead letters, generic over record bytes.
//!
//! The pure stages prepare [`Item`]s; [`Engine::admit`] appends them or nothing. Each sink polls and
//! settles. What a sink takes is decided once, at admission; it is a cursor on the logs, so fan-out
//! copies nothing.
//!
//! # What holds at every instant
//!
//! * Both equations of [`crate::stats`].
//! * An event is in flight at one sink at most once, and at most one of a key at a time (unless the
//!   sink says otherwise), in the order of admission over all streams.
//! * An event is handed out only if no earlier event of its key is parked there.
//! * A record stays in its log until every sink that wants it has finished it or holds a copy.
//!
//! # Locking
//!
//! One mutex around the state; the pure stages run outside it, and each call takes it once for a
//! whole batch. Nothing waits, calls back or wakes anyone while it is held.

mod act;
mod admission;
mod admit;
mod again;
mod behind;
mod booked;
mod carried;
mod checkpoint;
mod clock;
mod commit;
mod config;
mod edit;
mod effect;
mod fact;
mod fields;
mod held;
mod hold;
mod install;
mod intend;
mod job;
mod journal;
mod lanes;
mod log;
mod node;
mod open;
mod parked;
mod people;
mod poll;
mod ready;
mod redo;
mod rerun;
mod room;
mod settle;
mod sink;
mod snapshot;
mod source;
mod state;
mod stored;
mod stream;
mod sync;
mod tidy;
mod trace;
mod wait;
mod wake;

#[cfg(test)]
mod backlog_tests;
#[cfg(test)]
mod behind_tests;
#[cfg(test)]
mod booked_tests;
#[cfg(test)]
mod effect_tests;
#[cfg(test)]
mod fact_tests;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod first_tests;
#[cfg(test)]
mod model;
#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod rerun_model;
#[cfg(test)]
mod rerun_tests;
#[cfg(test)]
mod schedule_tests;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

pub use admission::write_attributes;
pub use admission::{
    Admission, AdmitError, Attributes, Counts, Event, Item, Level, Message, Offsets, Receipt,
};
pub use again::{Again, Retried};
pub use behind::Ahead;
pub use clock::{Clock, Now, SystemClock};
pub use config::{
    Bound, EngineConfig, EngineOptions, InstallError, Installed, OnRefused, SinkConfig, SinkNo, SourceConfig,
    SourceNo, StreamConfig, StreamNo, WhenFull,
};
pub use edit::Edit;
pub use effect::Begun;
pub use intend::{IntendError, Intention};
pub use job::{Chosen, Progress, REPLAY_EVENTS_MAX, Replaying};
pub use journal::{Action, Settled, Settlement};
pub use lanes::DeliveryId;
pub use mfgroute_log::Report as LogReport;
pub use open::{DiskOptions, OpenError, OpenKind, Reports, Room, known_streams};
pub use parked::{Cause, ParkedEvent};
pub use people::{ActError, Actor};
pub use poll::Delivery;
pub use rerun::{Kept, Sorted};
pub use settle::{Outcome, Stale};
pub use source::RejectedMessage;
pub use stored::body_of;
pub use trace::{AtSink, Find, InboxLine, Standing, Trace, Waiting};

use mfgroute_log::Disk;

use crate::stats::Stats;
use commit::Committer;
use state::{Life, State};
use sync::{Condvar, JoinHandle, Mutex, MutexGuard};
use wake::Wake;

/// What is left when a drain ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Sinks that are not idle: name, queued events, events in flight.
    pub sinks: Vec<(String, u64, u64)>,
}

impl Left {
    /// Whether everything was delivered or is parked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sinks.is_empty()
    }
}

/// What the engine and the one who writes its logs share.
struct Inner {
    state: Mutex<State>,
    wake: Wake,
    /// There is something to write.
    work: Condvar,
    /// There is something to tidy.
    chores: Condvar,
    clock: Arc<dyn Clock>,
    hold: hold::Hold,
}

impl Inner {
    fn new(state: State, clock: Arc<dyn Clock>) -> Self {
        let (work, chores) = (Condvar::new(), Condvar::new());
        Self {
            state: Mutex::new(state),
            wake: Wake::default(),
            work,
            chores,
            clock,
            hold: hold::Hold::default(),
        }
    }

    /// A panic while the lock was held means that the state is not to be trusted: every later call
    /// panics too, and nothing is half alive.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no earlier call of the engine panicked")
    }
}

/// The engine. All methods may be called from any thread.
pub struct Engine {
    inner: Arc<Inner>,
    committer: Mutex<Option<JoinHandle>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = self.close();
        }
    }
}

impl Engine {
    /// An engine with nothing installed, in memory: durable streams are refused.
    #[must_use]
    pub fn new(options: &EngineOptions, clock: Arc<dyn Clock>) -> Self {
        Self { inner: Arc::new(Inner::new(State::new(options), clock)), committer: Mutex::new(None) }
    }

    /// The engine of a data folder: everything that was durable in it is there again. A thread of its own writes to
    /// the disk. The caller holds the lock of the folder.
    pub fn open(
        options: &EngineOptions,
        disk: Arc<dyn Disk>,
        disk_options: &DiskOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Reports), OpenError> {
        let (engine, committer, reports) = Self::assemble(options, disk, disk_options, clock)?;
        let failed = |error| OpenError::io(open::NODE, &error);
        let thread = committer.start().map_err(failed)?;
        *engine.committer.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok((engine, reports))
    }

    /// The engine of a data folder, and the one who writes to it, who has not begun yet.
    fn assemble(
        options: &EngineOptions,
        disk: Arc<dyn Disk>,
        disk_options: &DiskOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Committer, Reports), OpenError> {
        let (state, reports) = State::open(options, disk, disk_options)?;
        let inner = Arc::new(Inner::new(state, clock));
        let committer = Committer::new(Arc::clone(&inner));
        Ok((Self { inner, committer: Mutex::new(None) }, committer, reports))
    }

    /// Whether this engine has a data folder.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.lock().is_durable()
    }

    /// How far a source had read when its last durable messages came, as it said itself.
    #[must_use]
    pub fn position(&self, source: SourceNo) -> Option<Arc<[u8]>> {
        self.lock().sources.get(usize::from(source)).and_then(|source| source.position.clone())
    }

    /// Installs a configuration in place of the one before, or changes nothing. `discard` names the
    /// sinks that may go with their events, which are counted as dropped and recorded for `who`.
    pub fn install(
        &self,
        config: &EngineConfig,
        discard: &[String],
        who: &str,
    ) -> Result<Installed, InstallError> {
        let now = self.inner.clock.now();
        let mut state = self.lock();
        let installed = state.install(config, discard, who, now)?;
        let ticket = state.flush(Vec::new(), now);
        drop(state);
        drop(self.wait_for(ticket));
        self.inner.wake.all();
        Ok(installed)
    }

    /// Admits all messages or none.
    pub fn admit(&self, admission: &Admission<'_>) -> Result<Receipt, AdmitError> {
        let now = self.inner.clock.now();
        let result = self.lock().admit(admission, None, now);
        self.admitted(&result);
        result
    }

    /// Wakes those to whom it matters.
    fn admitted(&self, result: &Result<Receipt, AdmitError>) {
        let Ok(receipt) = result else {
            // It may need more segments than are kept ready.
            if matches!(result, Err(AdmitError::NoDisk { .. })) {
                self.inner.work.notify_one();
            }
            return;
        };
        if receipt.ticket > 0 {
            self.inner.work.notify_one();
        }
        // Events of durable streams are seen once they are on the disk.
        if receipt.level == Level::Memory && !receipt.offsets.is_empty() {
            self.inner.wake.data();
        }
    }

    /// Admits all messages or none, and waits for room up to `wait`.
    pub fn admit_wait(&self, admission: &Admission<'_>, wait: Duration) -> Result<Receipt, AdmitError> {
        let end = Instant::now() + wait;
        let mut state = self.lock();
        loop {
            let result = state.admit(admission, None, self.inner.clock.now());
            let rest = end.saturating_duration_since(Instant::now());
            if rest.is_zero() || !result.as_ref().is_err_and(AdmitError::is_full) {
                drop(state);
                self.admitted(&result);
                return result;
            }
            self.admitted(&result);
            state = self.inner.wake.wait_room(state, rest);
        }
    }

    /// Hands out events of a sink: at most `events_max`, and at most `bytes_max` bytes unless one
    /// event alone is larger. Empty if there is nothing, or if the sink is unknown, paused or stopped.
    pub fn poll(&self, sink: SinkNo, events_max: usize, bytes_max: u64) -> Vec<Delivery> {
        loop {
            let now = self.inner.clock.now();
            let (batch, freed, more) = self.lock().poll(sink, (events_max, bytes_max), now);
            self.inner.work.notify_one();
            if freed {
                self.inner.wake.room();
            }
            if !more {
                return batch;
            }
        }
    }

    /// As [`Engine::poll`], and waits for the first event up to `wait`.
    pub fn poll_wait(
        &self,
        sink: SinkNo,
        events_max: usize,
        bytes_max: u64,
        wait: Duration,
    ) -> Vec<Delivery> {
        let end = Instant::now() + wait;
        let mut state = self.lock();
        loop {
            let (batch, freed, more) = state.poll(sink, (events_max, bytes_max), self.inner.clock.now());
            self.inner.work.notify_one();
            if freed {
                drop(state);
                self.inner.wake.room();
                state = self.lock();
            }
            let rest = end.saturating_duration_since(Instant::now());
            if !batch.is_empty() || rest.is_zero() || state.life == Life::Closed {
                return batch;
            }
            if !more && !freed {
                let due = state.next_due(sink, self.inner.clock.now());
                state = self.inner.wake.wait_data(state, due.map_or(rest, |due| due.min(rest)));
            }
        }
    }

    /// How long until the next retry of a sink, for callers that sleep by themselves.
    #[must_use]
    pub fn next_due(&self, sink: SinkNo) -> Option<Duration> {
        let now = self.inner.clock.now();
        self.lock().next_due(sink, now)
    }

    /// Settles deliveries of a sink. Those that are not in flight are given back as an error; the
    /// others are settled.
    pub fn settle(
        &self,
        sink: SinkNo,
        outcomes: impl IntoIterator<Item = (DeliveryId, Outcome)>,
    ) -> Result<(), Stale> {
        let now = self.inner.clock.now();
        let stale = self.lock().settle(sink, outcomes, now);
        self.inner.work.notify_one();
        self.inner.wake.all();
        if stale.is_empty() { Ok(()) } else { Err(Stale(stale)) }
    }

    /// One consistent snapshot of everything counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let now = self.inner.clock.now();
        self.lock().stats(now)
    }

    /// Registers what is called when there may be data to poll or room to admit. It is called without
    /// a lock, once after each [`Engine::rearm`].
    pub fn on_wake(&self, call: Arc<dyn Fn() + Send + Sync>) {
        self.inner.wake.register(call);
    }

    /// Asks for the next wake-up. To be called before looking for data or room, so that what comes
    /// after the look is not missed.
    pub fn rearm(&self) {
        self.inner.wake.rearm();
    }

    /// Refuses messages from now on; sinks go on.
    pub fn begin_drain(&self) {
        let mut state = self.lock();
        if state.life == Life::Open {
            state.life = Life::Draining;
        }
        drop(state);
        self.inner.wake.all();
    }

    /// Refuses messages and waits until all sinks are idle or the time is over. Parked events do not
    /// count: they wait for a person. Says what is left.
    #[must_use]
    pub fn drain(&self, wait: Duration) -> Left {
        self.begin_drain();
        let end = Instant::now() + wait;
        let mut state = self.lock();
        loop {
            let left = Left { sinks: state.left().into() };
            let rest = end.saturating_duration_since(Instant::now());
            if left.is_empty() || rest.is_zero() {
                return left;
            }
            state = self.inner.wake.wait_room(state, rest);
        }
    }

    /// Refuses messages and polls from now on and wakes everyone who waits. Says what is left.
    #[must_use]
    pub fn close(&self) -> Left {
        let mut state = self.lock();
        state.life = Life::Closed;
        let left = Left { sinks: state.left().into() };
        drop(state);
        self.inner.wake.all();
        self.inner.work.notify_one();
        let thread = self.committer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic there was said by the thread itself.
            let _ = thread.join();
        }
        left
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.lock()
    }
}
