//! Waking those who wait for data or room.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::clock::Now;
use super::config::SinkNo;
use super::lanes::DeliveryId;
use super::poll::{Delivery, Poll};
use super::settle::{Desk, Outcome};
use super::state::{Life, State};

type Call = Arc<dyn Fn() + Send + Sync>;

/// Two conditions for threads, and one call for an event loop.
#[derive(Default)]
pub(super) struct Wake {
    data: Condvar,
    room: Condvar,
    armed: AtomicBool,
    call: Mutex<Option<Call>>,
}

impl Wake {
    pub(super) fn register(&self, call: Call) {
        *self.call.lock().unwrap_or_else(PoisonError::into_inner) = Some(call);
    }

    pub(super) fn rearm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// There may be something to poll.
    pub(super) fn data(&self) {
        self.data.notify_all();
        self.call();
    }

    /// There may be room, or a sink may have become idle.
    pub(super) fn room(&self) {
        self.room.notify_all();
        self.call();
    }

    pub(super) fn all(&self) {
        self.data.notify_all();
        self.room();
    }

    pub(super) fn wait_data<'a>(
        &self,
        state: MutexGuard<'a, State>,
        wait: Duration,
    ) -> MutexGuard<'a, State> {
        wait_on(&self.data, state, wait)
    }

    pub(super) fn wait_room<'a>(
        &self,
        state: MutexGuard<'a, State>,
        wait: Duration,
    ) -> MutexGuard<'a, State> {
        wait_on(&self.room, state, wait)
    }

    fn call(&self) {
        if !self.armed.swap(false, Ordering::SeqCst) {
            return;
        }
        let call = self.call.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(call) = call {
            call();
        }
    }
}

fn wait_on<'a>(on: &Condvar, state: MutexGuard<'a, State>, wait: Duration) -> MutexGuard<'a, State> {
    // A clock that counts whole milliseconds may say "due in 0 ms" just before it is.
    let wait = wait.max(Duration::from_millis(1));
    on.wait_timeout(state, wait).expect("no earlier call of the engine panicked").0
}

impl State {
    /// Hands out events. Also says whether room was made, and whether to look again at once.
    pub(super) fn poll(&mut self, sink: SinkNo, max: (usize, u64), now: Now) -> (Vec<Delivery>, bool, bool) {
        let closed = self.life == Life::Closed;
        let Some((sink, streams)) = self.at(sink).filter(|(sink, _)| !sink.paused && !closed) else {
            return (Vec::new(), false, false);
        };
        let mut poll = Poll::new(sink, streams, max, now);
        let more = poll.run();
        (poll.batch, poll.freed, more)
    }

    /// Settles deliveries. Returns those that are not in flight.
    pub(super) fn settle(
        &mut self,
        sink: SinkNo,
        outcomes: impl IntoIterator<Item = (DeliveryId, Outcome)>,
        now: Now,
    ) -> Vec<DeliveryId> {
        let Self { sinks, streams, journal, chance, .. } = self;
        let Some(sink) = sinks.get_mut(usize::from(sink)).filter(|sink| sink.present) else {
            return outcomes.into_iter().map(|(id, _)| id).collect();
        };
        let mut desk = Desk { sink, streams, journal, chance, now, freed: false };
        let stale =
            outcomes.into_iter().filter_map(|(id, outcome)| (!desk.settle(id, outcome)).then_some(id));
        stale.collect()
    }

    /// How long until the next retry of a sink.
    pub(super) fn next_due(&mut self, sink: SinkNo, now: Now) -> Option<Duration> {
        let sink = self.sink_mut(sink)?;
        while let Some(&std::cmp::Reverse((due_ms, id))) = sink.due.peek() {
            if sink.lanes.get(id).is_some() {
                return Some(Duration::from_millis(due_ms.saturating_sub(now.steady_ms)));
            }
            sink.due.pop();
        }
        None
    }
}
