//! Holding on to segments that are not needed any more, while somebody copies the data folder.

use std::sync::PoisonError;
use std::time::Duration;

use super::Engine;
use super::clock::Now;
use super::state::Life;
use super::sync::{Mutex, MutexGuard};

/// Until when no segment leaves the disk, on the steady clock in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Hold(Mutex<u64>);

impl Hold {
    /// The leave to take segments away; nobody can begin to hold them while it lives.
    pub(super) fn free(&self, now: Now) -> Option<MutexGuard<'_, u64>> {
        Some(self.lock()).filter(|until| **until <= now.steady_ms)
    }

    /// Sets a new end, and says whether the one before had not come yet.
    pub(super) fn until(&self, now: Now, wait: Duration) -> bool {
        let mut until = self.lock();
        let held = *until > now.steady_ms;
        *until = if wait.is_zero() { 0 } else { now.steady_ms + wait.as_millis() as u64 };
        held
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Keeps every segment on the disk for a while from now on, so that the folder can be copied: nothing that its
    /// logs refer to goes away. What has been noted before is durable when this returns. A time of zero ends it. Says
    /// whether segments were held until now.
    ///
    /// Who takes longer than the time asks again before it is over; who went away holds nothing for longer.
    #[must_use]
    pub fn hold(&self, wait: Duration) -> bool {
        let now = self.inner.clock.now();
        let held = self.inner.hold.until(now, wait);
        let mut state = self.lock();
        if state.life == Life::Closed || !state.is_durable() {
            return held;
        }
        let ticket = state.flush(Vec::new(), now);
        drop(state);
        drop(self.wait_for(ticket));
        held
    }
}
