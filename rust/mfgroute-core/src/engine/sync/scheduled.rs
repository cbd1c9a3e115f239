//! The same as in the standard library, or of a scheduler that tries orders: chosen when each is made.

use std::cell::Cell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering;
use std::sync::{LockResult, PoisonError};
use std::time::Duration;

use shuttle::sync as tried;

thread_local!(static TRIED: Cell<bool> = const { Cell::new(false) });

/// Runs something whose locks, conditions and threads belong to the scheduler: all of it is one thread of the machine.
pub(in super::super) fn under_scheduler<T>(run: impl FnOnce() -> T) -> T {
    TRIED.set(true);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    TRIED.set(false);
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

pub(in super::super) enum Mutex<T> {
    Real(std::sync::Mutex<T>),
    Tried(tried::Mutex<T>),
}

pub(in super::super) enum MutexGuard<'a, T> {
    Real(std::sync::MutexGuard<'a, T>),
    Tried(tried::MutexGuard<'a, T>),
}

pub(in super::super) enum Condvar {
    Real(std::sync::Condvar),
    Tried(tried::Condvar),
}

pub(in super::super) enum AtomicBool {
    Real(std::sync::atomic::AtomicBool),
    Tried(tried::atomic::AtomicBool),
}

pub(in super::super) enum JoinHandle<T = ()> {
    Real(std::thread::JoinHandle<T>),
    Tried(shuttle::thread::JoinHandle<T>),
}

/// Whether a wait ended because the time was over.
pub(in super::super) struct TimedOut(bool);

impl TimedOut {
    pub(in super::super) fn timed_out(&self) -> bool {
        self.0
    }
}

fn both<T, U>(result: LockResult<T>, wrap: impl Fn(T) -> U) -> LockResult<U> {
    result.map(&wrap).map_err(|error| PoisonError::new(wrap(error.into_inner())))
}

impl<T> Mutex<T> {
    pub(in super::super) fn new(value: T) -> Self {
        if TRIED.get() {
            Self::Tried(tried::Mutex::new(value))
        } else {
            Self::Real(std::sync::Mutex::new(value))
        }
    }

    pub(in super::super) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        match self {
            Self::Real(mutex) => both(mutex.lock(), MutexGuard::Real),
            Self::Tried(mutex) => both(mutex.lock(), MutexGuard::Tried),
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Real(guard) => guard,
            Self::Tried(guard) => guard,
        }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match self {
            Self::Real(guard) => guard,
            Self::Tried(guard) => guard,
        }
    }
}

impl Condvar {
    pub(in super::super) fn new() -> Self {
        if TRIED.get() { Self::Tried(tried::Condvar::new()) } else { Self::Real(std::sync::Condvar::new()) }
    }

    pub(in super::super) fn notify_one(&self) {
        match self {
            Self::Real(condition) => condition.notify_one(),
            Self::Tried(condition) => condition.notify_one(),
        }
    }

    pub(in super::super) fn notify_all(&self) {
        match self {
            Self::Real(condition) => condition.notify_all(),
            Self::Tried(condition) => condition.notify_all(),
        }
    }

    pub(in super::super) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        wait: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, TimedOut)> {
        match (self, guard) {
            (Self::Real(condition), MutexGuard::Real(guard)) => {
                both(condition.wait_timeout(guard, wait), |(guard, timeout)| {
                    (MutexGuard::Real(guard), TimedOut(timeout.timed_out()))
                })
            }
            (Self::Tried(condition), MutexGuard::Tried(guard)) => {
                both(condition.wait(guard), |guard| (MutexGuard::Tried(guard), TimedOut(false)))
            }
            _ => panic!("a lock of one kind and a condition of the other"),
        }
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl AtomicBool {
    pub(in super::super) fn store(&self, value: bool, order: Ordering) {
        match self {
            Self::Real(flag) => flag.store(value, order),
            Self::Tried(flag) => flag.store(value, order),
        }
    }

    pub(in super::super) fn swap(&self, value: bool, order: Ordering) -> bool {
        match self {
            Self::Real(flag) => flag.swap(value, order),
            Self::Tried(flag) => flag.swap(value, order),
        }
    }
}

impl Default for AtomicBool {
    fn default() -> Self {
        if TRIED.get() {
            Self::Tried(tried::atomic::AtomicBool::new(false))
        } else {
            Self::Real(std::sync::atomic::AtomicBool::new(false))
        }
    }
}

impl<T> JoinHandle<T> {
    pub(in super::super) fn join(self) -> std::thread::Result<T> {
        match self {
            Self::Real(handle) => handle.join(),
            Self::Tried(handle) => handle.join(),
        }
    }
}

/// Starts a thread.
pub(in super::super) fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    if TRIED.get() {
        return Ok(JoinHandle::Tried(shuttle::thread::spawn(run)));
    }
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map(JoinHandle::Real)
}
