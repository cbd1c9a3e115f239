//! Waiting for the disk.

use std::time::Duration;

use super::Engine;
use super::admission::{AdmitError, Level, Receipt};
use super::node::Node;
use super::state::State;
use super::sync::MutexGuard;

impl Engine {
    /// Waits until everything that was noted up to a ticket is durable, or cannot become so.
    pub(super) fn wait_for(&self, ticket: u64) -> MutexGuard<'_, State> {
        self.wait_until(|node| node.done >= ticket)
    }

    /// Waits until a group has become durable that brings what is waited for, or none can any more.
    pub(super) fn wait_until(&self, reached: impl Fn(&Node) -> bool) -> MutexGuard<'_, State> {
        self.inner.work.notify_one();
        let mut state = self.lock();
        while !state.node.as_ref().is_none_or(|node| reached(node) || node.failed.is_some()) {
            state = self.inner.wake.wait_written(state, Duration::from_secs(60));
        }
        state
    }

    /// Brings an admission to its level by waiting for the disk, or to `sealed` if that is asked for.
    ///
    /// # Errors
    ///
    /// The disk failed: nothing of it may be acknowledged.
    pub fn wait(&self, receipt: &Receipt, sealed: bool) -> Result<(), AdmitError> {
        if receipt.level == Level::Memory {
            return Ok(());
        }
        let ticket = receipt.ticket;
        let mut state = if receipt.followed {
            self.wait_for(ticket)
        } else {
            // What others said of sinks and sources in the same group is not for its sender to wait for.
            self.wait_until(|node| node.synced >= ticket)
        };
        let to_seal = state.to_seal(receipt);
        loop {
            state.check_durable(receipt)?;
            if !sealed || state.is_sealed(&to_seal) {
                return Ok(());
            }
            if !std::mem::replace(&mut state.seal_wanted, true) {
                self.inner.work.notify_one();
            }
            state = self.inner.wake.wait_written(state, Duration::from_secs(60));
        }
    }
}
