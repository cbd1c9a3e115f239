//! The one who tidies: makes segments ready before they are needed, and takes those away that are not any more.
//!
//! Whoever waits for a group to become durable must not wait for this: a file that grows, or a name that changes, may take
//! a busy disk a hundred times as long as a group. What comes of it goes through the state of the engine: the room of a
//! spare segment is there under the same lock as the segment, so that no frame is written for which there is none.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use mfgroute_log::{Keeper, Spare, Store};

use super::Inner;
use super::config::StreamNo;
use super::state::{Life, State};

/// Bytes of a spare segment that are written and synced at once: what a group that comes meanwhile may have to wait for.
const STEP: u64 = 1 << 20;
/// How often a disk without room is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Which log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Which {
    Stream(StreamNo),
    Node,
}

/// See the module.
pub(super) struct Tidier {
    inner: Arc<Inner>,
    keepers: BTreeMap<Which, Keeper>,
    /// Segments that are to go, oldest first.
    retired: VecDeque<(Which, String)>,
    /// The disk had no room for a spare segment or did not let one go, or somebody holds them.
    cramped: bool,
}

impl Tidier {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self { inner, keepers: BTreeMap::new(), retired: VecDeque::new(), cramped: false }
    }

    /// Tidies until the engine is closed, and returns what is left to do.
    pub(super) fn run(mut self) -> Self {
        loop {
            let worked = self.step();
            let state = self.inner.lock();
            if state.life == Life::Closed {
                drop(state);
                return self;
            }
            if worked || has_chores(&state) && !self.cramped {
                continue;
            }
            let wait = if self.cramped { ASK_AGAIN } else { Duration::from_secs(60) };
            let waited = self.inner.chores.wait_timeout(state, wait);
            drop(waited.expect("no earlier call of the engine panicked"));
        }
    }

    /// Does one piece of work: a segment that is to go, or a part of a spare one. Says whether it did.
    pub(super) fn step(&mut self) -> bool {
        let lacking = {
            let mut state = self.inner.lock();
            if let Some(home) = &mut state.home {
                self.keepers.extend(home.keepers.drain(..));
            }
            let retired = std::mem::take(&mut state.retired);
            let which = |stream: Option<StreamNo>| stream.map_or(Which::Node, Which::Stream);
            self.retired.extend(retired.into_iter().map(|(stream, name)| (which(stream), name)));
            lacking(&state)
        };
        self.cramped = false;
        self.retire() || self.prepare(&lacking)
    }

    fn retire(&mut self) -> bool {
        let Some((which, name)) = self.retired.front().cloned() else { return false };
        // One more than are made: in the long run every segment that is needed is one that was needed before.
        let wanted = with_ready(&self.inner.lock(), which).is_some_and(|(ready, wanted)| ready <= wanted);
        let inner = Arc::clone(&self.inner);
        let free = inner.hold.free(inner.clock.now());
        let keeper = self.keepers.get_mut(&which).filter(|_| free.is_some());
        let Some(Ok(spare)) = keeper.map(|keeper| keeper.retire(&name, wanted)) else {
            self.cramped = true;
            return false;
        };
        drop(free);
        self.retired.pop_front();
        self.hand_over(which, spare);
        true
    }

    fn prepare(&mut self, lacking: &[Which]) -> bool {
        let mut worked = false;
        for &which in lacking {
            match self.keepers.get_mut(&which).map(|keeper| keeper.prepare(STEP)) {
                Some(Ok(spare)) => {
                    worked = true;
                    self.hand_over(which, spare);
                }
                Some(Err(_)) | None => self.cramped = true,
            }
        }
        worked
    }

    fn hand_over(&self, which: Which, spare: Option<Spare>) {
        let Some(spare) = spare else { return };
        let mut state = self.inner.lock();
        if let Some(home) = &mut state.home {
            home.spares.push((which, spare));
        }
        with_store(&mut state, which, |store| store.add_spares(1));
        drop(state);
        self.inner.work.notify_one();
        self.inner.wake.all();
    }
}

/// Whether there is something to tidy.
pub(super) fn has_chores(state: &State) -> bool {
    let fresh = state.home.as_ref().is_some_and(|home| !home.keepers.is_empty());
    fresh || !state.retired.is_empty() || !lacking(state).is_empty()
}

/// Logs that have fewer spare segments than they want.
fn lacking(state: &State) -> Vec<Which> {
    let streams = (0..).zip(&state.streams).filter(|(_, stream)| stream.log.disk().is_some());
    let whiches = std::iter::once(Which::Node).chain(streams.map(|(no, _)| Which::Stream(no)));
    let lacks = |&which: &Which| with_ready(state, which).is_some_and(|(ready, wanted)| ready < wanted);
    whiches.filter(lacks).collect()
}

/// How many spare segments a log has, and how many it wants. `None` for one that has failed.
fn with_ready(state: &State, which: Which) -> Option<(u64, u64)> {
    match which {
        Which::Node => {
            let node = state.node.as_ref().filter(|node| node.failed.is_none())?;
            Some((node.store.spares(), node.wanted() / node.store.segment_bytes() + 2))
        }
        Which::Stream(no) => {
            let log = state.streams.get(usize::from(no))?.log.disk().filter(|log| log.failed.is_none())?;
            Some((log.store.spares(), log.needs().max(1)))
        }
    }
}

pub(super) fn with_store<T>(state: &mut State, which: Which, run: impl FnOnce(&mut Store) -> T) -> Option<T> {
    let store = match which {
        Which::Node => state.node.as_mut().filter(|node| node.failed.is_none()).map(|node| &mut node.store),
        Which::Stream(no) => {
            let log = state.streams.get_mut(usize::from(no)).and_then(|stream| stream.log.disk_mut());
            log.filter(|log| log.failed.is_none()).map(|log| &mut log.store)
        }
    };
    store.map(run)
}
