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

mod admission;
mod admit;
mod clock;
mod config;
mod install;
mod journal;
mod lanes;
mod parked;
mod people;
mod poll;
mod settle;
mod sink;
mod snapshot;
mod source;
mod state;
mod stored;
mod stream;
mod trace;
mod wake;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

pub use admission::write_attributes;
pub use admission::{Admission, AdmitError, Attributes, Counts, Event, Item, Message, Offsets, Receipt};
pub use clock::{Clock, Now, SystemClock};
pub use config::{
    Bound, EngineConfig, EngineOptions, InstallError, Installed, OnRefused, SinkConfig, SinkNo, SourceConfig,
    SourceNo, StreamConfig, StreamNo, WhenFull,
};
pub use journal::{Action, Settled, Settlement};
pub use lanes::DeliveryId;
pub use parked::{Cause, ParkedEvent};
pub use people::{ActError, Actor};
pub use poll::Delivery;
pub use settle::{Outcome, Stale};
pub use source::RejectedMessage;
pub use trace::{AtSink, Find, InboxLine, Standing, Trace, Waiting};

use crate::stats::Stats;
use state::{Life, State};
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

/// The engine. All methods may be called from any thread.
pub struct Engine {
    state: Mutex<State>,
    wake: Wake,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine with nothing installed.
    #[must_use]
    pub fn new(options: &EngineOptions, clock: Arc<dyn Clock>) -> Self {
        Self { state: Mutex::new(State::new(options)), wake: Wake::default(), clock }
    }

    /// Installs a configuration in place of the one before, or changes nothing. `discard` names the
    /// sinks that may go with their events, which are counted as dropped and recorded for `who`.
    pub fn install(
        &self,
        config: &EngineConfig,
        discard: &[String],
        who: &str,
    ) -> Result<Installed, InstallError> {
        let now = self.clock.now();
        let installed = self.lock().install(config, discard, who, now)?;
        self.wake.all();
        Ok(installed)
    }

    /// Admits all messages or none.
    pub fn admit(&self, admission: &Admission<'_>) -> Result<Receipt, AdmitError> {
        let now = self.clock.now();
        let receipt = self.lock().admit(admission, now)?;
        if !receipt.offsets.is_empty() {
            self.wake.data();
        }
        Ok(receipt)
    }

    /// Admits all messages or none, and waits for room up to `wait`.
    pub fn admit_wait(&self, admission: &Admission<'_>, wait: Duration) -> Result<Receipt, AdmitError> {
        let end = Instant::now() + wait;
        let mut state = self.lock();
        loop {
            match state.admit(admission, self.clock.now()) {
                Err(error) if error.is_full() => {
                    let rest = end.saturating_duration_since(Instant::now());
                    if rest.is_zero() {
                        return Err(error);
                    }
                    state = self.wake.wait_room(state, rest);
                }
                result => {
                    drop(state);
                    self.wake.data();
                    return result;
                }
            }
        }
    }

    /// Hands out events of a sink: at most `events_max`, and at most `bytes_max` bytes unless one
    /// event alone is larger. Empty if there is nothing, or if the sink is unknown, paused or stopped.
    pub fn poll(&self, sink: SinkNo, events_max: usize, bytes_max: u64) -> Vec<Delivery> {
        loop {
            let now = self.clock.now();
            let (batch, freed, more) = self.lock().poll(sink, (events_max, bytes_max), now);
            if freed {
                self.wake.room();
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
            let (batch, freed, more) = state.poll(sink, (events_max, bytes_max), self.clock.now());
            if freed {
                drop(state);
                self.wake.room();
                state = self.lock();
            }
            let rest = end.saturating_duration_since(Instant::now());
            if !batch.is_empty() || rest.is_zero() || state.life == Life::Closed {
                return batch;
            }
            if !more && !freed {
                let due = state.next_due(sink, self.clock.now());
                state = self.wake.wait_data(state, due.map_or(rest, |due| due.min(rest)));
            }
        }
    }

    /// How long until the next retry of a sink, for callers that sleep by themselves.
    #[must_use]
    pub fn next_due(&self, sink: SinkNo) -> Option<Duration> {
        let now = self.clock.now();
        self.lock().next_due(sink, now)
    }

    /// Settles deliveries of a sink. Those that are not in flight are given back as an error; the
    /// others are settled.
    pub fn settle(
        &self,
        sink: SinkNo,
        outcomes: impl IntoIterator<Item = (DeliveryId, Outcome)>,
    ) -> Result<(), Stale> {
        let now = self.clock.now();
        let stale = self.lock().settle(sink, outcomes, now);
        self.wake.all();
        if stale.is_empty() { Ok(()) } else { Err(Stale(stale)) }
    }

    /// Stops handing out events of a sink.
    pub fn pause(&self, sink: SinkNo, actor: Actor<'_>) -> Result<(), ActError> {
        self.act(|state, now| state.pause(sink, true, actor, now))
    }

    /// Hands out events of a sink again.
    pub fn resume(&self, sink: SinkNo, actor: Actor<'_>) -> Result<(), ActError> {
        self.act(|state, now| state.pause(sink, false, actor, now))
    }

    /// The parked events of a sink, in order of admission. Clones handles, not bytes.
    pub fn parked(&self, sink: SinkNo) -> Result<Vec<ParkedEvent>, ActError> {
        self.act(|state, now| state.parked(sink, None, now))
    }

    /// As [`Engine::parked`], recorded.
    pub fn export_parked(&self, sink: SinkNo, actor: Actor<'_>) -> Result<Vec<ParkedEvent>, ActError> {
        self.act(|state, now| state.parked(sink, Some(actor), now))
    }

    /// Tries one parked event again. It must be the first of its key; those behind it flow when it is done.
    pub fn retry_parked(&self, sink: SinkNo, number: u64, actor: Actor<'_>) -> Result<(), ActError> {
        self.act(|state, now| state.retry(sink, number, actor, now))
    }

    /// Tries all parked events of a key again, in order; then the key flows. Returns how many.
    pub fn retry_key(&self, sink: SinkNo, key: &[u8], actor: Actor<'_>) -> Result<u64, ActError> {
        self.act(|state, now| state.retry_key(sink, key, actor, now))
    }

    /// Sets a parked event aside for good; those behind it flow. A reason is needed.
    pub fn skip_parked(
        &self,
        sink: SinkNo,
        number: u64,
        posted_as: Option<String>,
        actor: Actor<'_>,
    ) -> Result<(), ActError> {
        self.act(|state, now| state.skip(sink, number, posted_as, actor, now))
    }

    /// The rejected messages of a source that wait for a person, oldest first; with `answered`, those
    /// of which the sender knows.
    pub fn rejects(&self, source: SourceNo, answered: bool) -> Result<Vec<RejectedMessage>, ActError> {
        let state = self.lock();
        let source = state.sources.get(usize::from(source)).ok_or(ActError::NotInstalled)?;
        let messages = if answered { &source.answered } else { &source.kept };
        Ok(messages.iter().cloned().collect())
    }

    /// Takes a rejected message out after its bytes were submitted again as new.
    pub fn reject_retried(&self, source: SourceNo, number: u64, actor: Actor<'_>) -> Result<(), ActError> {
        self.act(|state, now| state.take_reject(source, number, true, actor, now).map(drop))
    }

    /// Takes a rejected message out because nobody wants it. A reason is needed.
    pub fn skip_reject(&self, source: SourceNo, number: u64, actor: Actor<'_>) -> Result<(), ActError> {
        self.act(|state, now| state.take_reject(source, number, false, actor, now).map(drop))
    }

    /// Everything that is still known of an event or a key, in order of admission.
    #[must_use]
    pub fn trace(&self, find: Find<'_>) -> Vec<Trace> {
        self.lock().trace(find)
    }

    /// Everything that waits for a person, oldest first.
    #[must_use]
    pub fn inbox(&self) -> Vec<InboxLine> {
        self.lock().inbox()
    }

    /// What people did, oldest first, as far back as the bound reaches.
    #[must_use]
    pub fn actions(&self) -> Vec<Action> {
        self.lock().journal.actions().cloned().collect()
    }

    /// One consistent snapshot of everything counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let now = self.clock.now();
        self.lock().stats(now)
    }

    /// Registers what is called when there may be data to poll or room to admit. It is called without
    /// a lock, once after each [`Engine::rearm`].
    pub fn on_wake(&self, call: Arc<dyn Fn() + Send + Sync>) {
        self.wake.register(call);
    }

    /// Asks for the next wake-up. To be called before looking for data or room, so that what comes
    /// after the look is not missed.
    pub fn rearm(&self) {
        self.wake.rearm();
    }

    /// Refuses messages from now on; sinks go on.
    pub fn begin_drain(&self) {
        let mut state = self.lock();
        if state.life == Life::Open {
            state.life = Life::Draining;
        }
        drop(state);
        self.wake.all();
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
            state = self.wake.wait_room(state, rest);
        }
    }

    /// Refuses messages and polls from now on and wakes everyone who waits. Says what is left.
    #[must_use]
    pub fn close(&self) -> Left {
        let mut state = self.lock();
        state.life = Life::Closed;
        let left = Left { sinks: state.left().into() };
        drop(state);
        self.wake.all();
        left
    }

    fn act<T>(&self, act: impl FnOnce(&mut State, Now) -> Result<T, ActError>) -> Result<T, ActError> {
        let now = self.clock.now();
        let result = act(&mut self.lock(), now);
        self.wake.all();
        result
    }

    /// A panic while the lock was held means that the state is not to be trusted: every later call
    /// panics too, and nothing is half alive.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no earlier call of the engine panicked")
    }
}
