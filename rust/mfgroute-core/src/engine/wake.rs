//! Waking those who wait for data or room.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::clock::Now;
use super::config::SinkNo;
use super::lanes::DeliveryId;
use super::node::Later;
use super::poll::{Delivery, Poll};
use super::settle::{Decision, Desk, Outcome};
use super::state::{Life, State};
use super::sync::{AtomicBool, Condvar, Mutex, MutexGuard};

type Call = Arc<dyn Fn() + Send + Sync>;

/// Conditions for threads, and one call for an event loop.
#[derive(Default)]
pub(super) struct Wake {
    data: Condvar,
    room: Condvar,
    written: Condvar,
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

    /// A group has become durable, or cannot.
    pub(super) fn written(&self) {
        self.written.notify_all();
        self.all();
    }

    pub(super) fn wait_written<'a>(
        &self,
        state: MutexGuard<'a, State>,
        wait: Duration,
    ) -> MutexGuard<'a, State> {
        wait_on(&self.written, state, wait)
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
        let (closed, open) = (self.life == Life::Closed, self.life == Life::Open);
        let Some((sink, streams)) = self.at(sink).filter(|(sink, _)| !sink.paused && !closed) else {
            return (Vec::new(), false, false);
        };
        let (no, mut poll) = (sink.no, Poll::new(sink, streams, max, now));
        poll.replays = open;
        let more = poll.run();
        let polled = (poll.batch, poll.freed, more);
        self.end_replay(no, now);
        self.flush(Vec::new(), now);
        polled
    }

    /// Settles deliveries: at once, or once that is durable. Returns those that are not in flight.
    pub(super) fn settle(
        &mut self,
        sink: SinkNo,
        outcomes: impl IntoIterator<Item = (DeliveryId, Outcome)>,
        now: Now,
    ) -> Vec<DeliveryId> {
        let no = sink;
        let Self { sinks, streams, journal, chance, .. } = self;
        let Some(sink) = sinks.get_mut(usize::from(sink)).filter(|sink| sink.present) else {
            return outcomes.into_iter().map(|(id, _)| id).collect();
        };
        let mut desk = Desk { sink, streams, journal, chance, now, freed: false, drawn: None };
        let (mut stale, mut later) = (Vec::new(), Vec::new());
        for (id, outcome) in outcomes {
            let Some(decision) = desk.decide(id, outcome) else {
                stale.push(id);
                continue;
            };
            let stream = desk.sink.lanes.get(id).map(|held| held.stream);
            desk.sink.end_effect(id, &decision, now.wall_ms);
            if decision == Decision::Wait || stream.is_none_or(|stream| !desk.sink.is_durable(stream)) {
                desk.apply(id, decision);
                continue;
            }
            desk.sink.note_decision(id, &decision, now.wall_ms);
            let returning = matches!(decision, Decision::Retry { .. } | Decision::Park(_));
            desk.sink.lanes.change(id, |held| (held.settling, held.returning) = (true, returning));
            later.push(Later::Settle { sink: no, id, decision });
        }
        self.flush(later, now);
        stale
    }

    /// Does what waited for its facts to be durable.
    pub(super) fn catch_up(&mut self, now: Now) {
        while let Some(later) = self.node.as_mut().and_then(|node| node.next_later()) {
            match later {
                Later::Settle { sink, id, decision } => {
                    let Self { sinks, streams, journal, chance, .. } = self;
                    if let Some(sink) = sinks.get_mut(usize::from(sink)) {
                        Desk { sink, streams, journal, chance, now, freed: false, drawn: None }
                            .apply(id, decision);
                    }
                }
                Later::Retry { sink, numbers } => {
                    if let Some(sink) = self.sinks.get_mut(usize::from(sink)) {
                        for number in numbers {
                            sink.unpark(number, now);
                        }
                    }
                }
                Later::Skip { sink, number, reason, posted_as } => {
                    self.set_aside(sink, number, reason, posted_as, now);
                }
                Later::Edit { sink, number, record } => self.supersede(sink, number, record, now),
                Later::Show { sink, upto } => {
                    if let Some(sink) = self.sinks.get_mut(usize::from(sink)) {
                        sink.effects.show(upto);
                    }
                }
                Later::Free { stream, seq } => self.free(stream, seq),
                Later::FreeFacts { seq } => self.free_facts(seq),
            }
        }
        self.flush(Vec::new(), now);
    }

    /// How long until the next retry of a sink.
    pub(super) fn next_due(&mut self, sink: SinkNo, now: Now) -> Option<Duration> {
        let open = self.life == Life::Open;
        let sink = self.sink_mut(sink)?;
        let may = open && !sink.paused && sink.may_park(0);
        let replay = sink.job.as_ref().filter(|_| may).and_then(|job| job.next_due());
        let replay = replay.map(|due| Duration::from_millis(due.saturating_sub(now.steady_ms)));
        while let Some(&std::cmp::Reverse((due_ms, id))) = sink.due.peek() {
            if sink.lanes.get(id).is_some() {
                let due = Duration::from_millis(due_ms.saturating_sub(now.steady_ms));
                return Some(replay.map_or(due, |replay| replay.min(due)));
            }
            sink.due.pop();
        }
        replay
    }
}
