//! Locks, conditions and threads of the engine: those of the standard library.
//!
//! Every hand-off between threads is written with these. In a test they can be those of a scheduler instead, which
//! tries many orders of what threads do and never lets a wait time out: whoever is not woken waits for ever, and the
//! test fails. See `schedule_tests`.

#[cfg(not(test))]
pub(super) use real::*;
#[cfg(test)]
pub(super) use scheduled::*;

#[cfg(not(test))]
mod real {
    pub(in super::super) use std::sync::atomic::AtomicBool;
    pub(in super::super) use std::sync::{Condvar, Mutex, MutexGuard};

    pub(in super::super) type JoinHandle<T = ()> = std::thread::JoinHandle<T>;

    /// Starts a thread.
    pub(in super::super) fn spawn<T: Send + 'static>(
        name: &str,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> std::io::Result<JoinHandle<T>> {
        std::thread::Builder::new().name(name.to_owned()).spawn(run)
    }
}

#[cfg(test)]
mod scheduled;
