//! Load: senders in a closed or an open loop, and what they measured.

use std::num::NonZeroU64;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Messages that a sender hands over together at most.
const BATCH_MAX: usize = 512;

/// Something that makes messages durable.
pub(crate) trait Target: Sync {
    /// Takes the messages with these numbers, and returns when they are durable.
    fn put(&self, numbers: &[u64]) -> Result<(), String>;
}

/// When messages are handed over.
#[derive(Clone, Copy)]
pub(crate) enum Drive {
    /// So many at a time, as soon as those before are durable.
    Closed(usize),
    /// So many a second, each at its own time.
    Open(f64),
}

impl Drive {
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is neither a number of messages nor @ and a rate");
        match text.strip_prefix('@') {
            Some(rate) => rate.parse().ok().filter(|&rate| rate > 0.0).map(Self::Open).ok_or_else(wrong),
            None => text.parse().ok().filter(|&batch| batch > 0).map(Self::Closed).ok_or_else(wrong),
        }
    }

    /// When a message should be sent, counted from the begin.
    pub(crate) fn due(self, number: u64) -> Option<Duration> {
        match self {
            Self::Closed(_) => None,
            Self::Open(rate) => Some(Duration::from_secs_f64(number as f64 / rate)),
        }
    }
}

/// Timers that fire when they should: the kernel may else be 50 µs late for each.
pub(crate) fn exact_timers() {
    // Where the kernel does not let it, senders are a little later, which `late_us` shows.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
}

/// Some shares of many durations.
#[derive(Default)]
pub(crate) struct Quantiles(Vec<u64>);

impl Quantiles {
    pub(crate) fn of(mut nanoseconds: Vec<u64>) -> Self {
        nanoseconds.sort_unstable();
        Self(nanoseconds)
    }

    /// In microseconds: the smallest value that at least this share of all does not exceed.
    fn at(&self, share: f64) -> Option<f64> {
        let place = (self.0.len() as f64 * share).ceil() as usize;
        self.0.get(place.saturating_sub(1)).map(|&found| found as f64 / 1e3)
    }

    pub(crate) fn as_json(&self) -> Value {
        json!({
            "count": self.0.len(), "p50": self.at(0.5), "p99": self.at(0.99), "p99_9": self.at(0.999),
            "max": self.at(1.0),
        })
    }
}

/// What a run came to.
pub(crate) struct Run {
    pub(crate) events: u64,
    pub(crate) seconds: f64,
    /// From the time at which a message should have been sent (open) or was sent (closed) until it was durable.
    pub(crate) latency: Quantiles,
    /// How late senders woke up that had nothing else to do.
    pub(crate) late: Quantiles,
}

#[derive(Default)]
struct Sent {
    events: u64,
    latency: Vec<u64>,
    late: Vec<u64>,
}

/// Lets senders send until the time is over.
pub(crate) fn run(
    target: &dyn Target,
    senders: usize,
    drive: Drive,
    time: Duration,
    begin: Instant,
) -> Result<Run, String> {
    let all: Vec<Result<Sent, String>> = std::thread::scope(|scope| {
        let sender = |lane| {
            scope.spawn(move || {
                exact_timers();
                let step = senders.max(1) as u64;
                match drive {
                    Drive::Closed(batch) => closed(target, (lane, step), batch, begin + time),
                    Drive::Open(_) => open(target, (lane, step), drive, begin, time),
                }
            })
        };
        let started: Vec<_> = (0..senders.max(1) as u64).map(sender).collect();
        started
            .into_iter()
            .map(|one| one.join().unwrap_or_else(|_| Err("a sender panicked".to_owned())))
            .collect()
    });
    let (mut events, mut latency, mut late) = (0, Vec::new(), Vec::new());
    for sent in all {
        let mut sent = sent?;
        events += sent.events;
        latency.append(&mut sent.latency);
        late.append(&mut sent.late);
    }
    let seconds = begin.elapsed().as_secs_f64();
    Ok(Run { events, seconds, latency: Quantiles::of(latency), late: Quantiles::of(late) })
}

fn closed(target: &dyn Target, (lane, step): (u64, u64), batch: usize, end: Instant) -> Result<Sent, String> {
    let (mut sent, mut next, mut numbers) = (Sent::default(), lane, Vec::new());
    loop {
        let began = Instant::now();
        if began >= end {
            return Ok(sent);
        }
        numbers.clear();
        numbers.extend((0..batch as u64).map(|index| next + index * step));
        next += batch as u64 * step;
        target.put(&numbers)?;
        sent.latency.push(began.elapsed().as_nanos() as u64);
        sent.events += batch as u64;
    }
}

/// Numbers of a sender are `lane`, `lane + step` and so on. The first tenth of the time is not counted.
fn open(
    target: &dyn Target,
    (lane, step): (u64, u64),
    drive: Drive,
    begin: Instant,
    time: Duration,
) -> Result<Sent, String> {
    let (mut sent, mut next, mut numbers) = (Sent::default(), lane, Vec::new());
    let due = |number| drive.due(number).unwrap_or_default();
    while due(next) < time {
        let now = begin.elapsed();
        if let Some(rest) = due(next).checked_sub(now).filter(|rest| !rest.is_zero()) {
            std::thread::sleep(rest);
            sent.late.push(begin.elapsed().saturating_sub(due(next)).as_nanos() as u64);
            continue;
        }
        numbers.clear();
        while numbers.len() < BATCH_MAX && due(next) <= now && due(next) < time {
            numbers.push(next);
            next += step;
        }
        target.put(&numbers)?;
        let done = begin.elapsed();
        let counted = numbers.iter().map(|&number| due(number)).filter(|&due| due > time / 10);
        sent.latency.extend(counted.map(|due| done.saturating_sub(due).as_nanos() as u64));
        sent.events += numbers.len() as u64;
    }
    Ok(sent)
}

/// How long it takes to wake a thread that waits for a condition: half of there and back.
pub(crate) fn wake(time: Duration) -> Quantiles {
    let (turn, changed, end) = (Mutex::new((0_u64, false)), Condvar::new(), Instant::now() + time);
    let pass = |mine: u64| {
        let mut state = turn.lock().unwrap_or_else(PoisonError::into_inner);
        while state.0 % 2 != mine && !state.1 {
            state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.0 += 1;
        state.1 |= mine == 0 && Instant::now() >= end;
        changed.notify_one();
        !state.1
    };
    let mut took = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| while pass(1) {});
        let mut began = Instant::now();
        while pass(0) {
            took.push(began.elapsed().as_nanos() as u64 / 2);
            began = Instant::now();
        }
    });
    Quantiles::of(took)
}
