//! The one who writes: groups what has come in since the last sync, syncs it, and lets it take effect.
//!
//! A cycle writes the streams first and the node's own log after them, so that no fact is durable before what it is
//! about. The group of a cycle is what arrived while the one before was under way; there is no timer. What is left of
//! its time goes to the next spare segments, to seals and to segments that are not needed any more.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mfgroute_log::{Pending, Poisoned, Writer, Written};

use super::Inner;
use super::clock::Now;
use super::config::StreamNo;
use super::fact::{Fact, Facts};
use super::node::After;
use super::state::{Life, State};

/// Bytes of a spare segment that are written between two groups, at least and at most. The next group waits so long, so
/// it is no more than keeps up with the groups.
const SPARE_STEP: (u64, u64) = (256 << 10, 4 << 20);
/// How long nothing must have come in before what is durable is attested.
const SEAL_AFTER: Duration = Duration::from_millis(10);
/// How often a disk without room is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Which log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Which {
    Stream(StreamNo),
    Node,
}

/// The thread that waits for the disk.
pub(super) struct Committer {
    inner: Arc<Inner>,
    writers: BTreeMap<Which, Writer>,
    /// Segments that are to go, oldest first.
    retired: VecDeque<(Which, String)>,
    /// The disk had no room for a spare segment or did not let one go, or somebody holds them.
    cramped: bool,
    /// What is durable cannot be attested before more is written: its segment has no room for that.
    unsealable: bool,
    /// Bytes of the group before, in all streams.
    grouped: u64,
}

/// What one cycle takes under one lock.
struct Cut {
    streams: Vec<(StreamNo, Vec<Pending>)>,
    after: Vec<After>,
    ticket: u64,
}

impl Committer {
    pub(super) fn new(inner: Arc<Inner>, node: Writer) -> Self {
        let writers = BTreeMap::from([(Which::Node, node)]);
        Self { inner, writers, retired: VecDeque::new(), cramped: false, unsealable: false, grouped: 0 }
    }

    /// Writes until the engine is closed and everything is on the disk.
    pub(super) fn run(mut self) {
        loop {
            if self.step(&mut || ()) {
                continue;
            }
            let state = self.inner.lock();
            if has_work(&state) || wants_seal(&state) && !self.unsealable {
                continue;
            }
            if state.life == Life::Closed {
                return;
            }
            let unsealed = unsealed(&state) && !self.unsealable;
            let wait = match (unsealed, self.cramped) {
                (true, _) => SEAL_AFTER,
                (false, true) => ASK_AGAIN,
                (false, false) => Duration::from_secs(60),
            };
            self.cramped = false;
            let (state, timeout) =
                self.inner.work.wait_timeout(state, wait).expect("no earlier call of the engine panicked");
            let quiet = timeout.timed_out() && !has_work(&state);
            drop(state);
            if unsealed && quiet {
                self.seal_all(&mut || ());
            }
        }
    }

    /// Does what is most urgent. Says whether there was anything to do. `between` is called wherever the lock is free
    /// while the disk works: a test puts there what others do meanwhile.
    pub(super) fn step(&mut self, between: &mut dyn FnMut()) -> bool {
        self.cycle(between) || self.tidy() || self.seal(between)
    }

    /// Writes what has come in. Says whether there was anything.
    pub(super) fn cycle(&mut self, between: &mut dyn FnMut()) -> bool {
        let now = self.inner.clock.now();
        let Some(cut) = self.cut(now) else { return false };
        let began = Instant::now();
        let mut written: Vec<(StreamNo, Result<Written, Poisoned>)> = Vec::new();
        for (no, group) in &cut.streams {
            between();
            written.push((*no, self.write(Which::Stream(*no), group)));
        }
        self.grouped = written.iter().flat_map(|(_, written)| written).map(|written| written.bytes).sum();
        between();
        let facts = {
            let mut state = self.inner.lock();
            for (no, written) in written {
                state.written(no, written);
            }
            state.pass_after(cut.after, now);
            let taken = state.node.as_mut().map(|node| {
                node.synced = node.synced.max(cut.ticket);
                node.store.take_pending()
            });
            taken.unwrap_or_default()
        };
        if !facts.is_empty() {
            // Who sent events or waits for them does not wait for the facts.
            self.inner.wake.written();
        }
        between();
        let result = if facts.is_empty() { Ok(None) } else { self.write(Which::Node, &facts).map(Some) };
        between();
        let mut state = self.inner.lock();
        if let Some(node) = &mut state.node {
            match result {
                Ok(written) => written.into_iter().for_each(|written| node.store.committed(written)),
                Err(poisoned) => node.failed = Some(poisoned.0),
            }
        }
        state.catch_up(now);
        state.make_room(now);
        let took = began.elapsed();
        if let Some(node) = &mut state.node {
            node.commits.add(took);
            // Facts that wait for room are not on the disk.
            if !node.is_cramped() {
                node.done = node.done.max(cut.ticket);
            }
        }
        self.unsealable = false;
        self.retired.extend(state.take_retired());
        drop(state);
        self.inner.wake.written();
        true
    }

    fn cut(&mut self, now: Now) -> Option<Cut> {
        let mut state = self.inner.lock();
        let fresh = state.home.as_mut().map(|home| std::mem::take(&mut home.writers)).unwrap_or_default();
        self.writers.extend(fresh.into_iter().map(|(no, writer)| (Which::Stream(no), writer)));
        if let Some(node) = &mut state.node {
            node.pass_on(now.wall_ms);
        }
        if !has_work(&state) {
            return None;
        }
        let mut streams = Vec::new();
        for (number, stream) in (0..).zip(&mut state.streams) {
            let Some(log) = stream.log.disk_mut().filter(|log| log.failed.is_none()) else { continue };
            if log.store.has_pending() {
                streams.push((number, log.store.take_pending()));
            }
        }
        let node = state.node.as_mut()?;
        let (after, ticket) = (std::mem::take(&mut node.after), node.ticket);
        Some(Cut { streams, after, ticket })
    }

    fn write(&mut self, which: Which, group: &[Pending]) -> Result<Written, Poisoned> {
        match self.writers.get_mut(&which) {
            Some(writer) => writer.write(group),
            None => Err(Poisoned("its writer is gone".to_owned())),
        }
    }

    /// Does one piece of what can wait: a segment that is to go, or a part of a spare one. Says whether it did.
    pub(super) fn tidy(&mut self) -> bool {
        let (inner, retired) = (Arc::clone(&self.inner), self.retired.front().cloned());
        let free = inner.hold.free(inner.clock.now());
        self.cramped |= retired.is_some() && free.is_none();
        if let (Some((which, name)), Some(_free)) = (retired, free) {
            let retired = self.writers.get_mut(&which).map_or(Ok(0), |writer| writer.retire(&name));
            match retired {
                Ok(spares) => {
                    self.retired.pop_front();
                    self.add_spares(which, spares);
                    return true;
                }
                Err(_) => self.cramped = true,
            }
        }
        let wanted = wanted(&self.inner.lock());
        for (which, spares) in wanted {
            if let Some(writer) = self.writers.get_mut(&which) {
                writer.want_spares(spares as usize);
            }
        }
        let (mut worked, mut made) = (false, Vec::new());
        let step = (2 * self.grouped).next_multiple_of(4096).clamp(SPARE_STEP.0, SPARE_STEP.1);
        for (&which, writer) in &mut self.writers {
            if !writer.lacks_spare() {
                continue;
            }
            match writer.prepare(step) {
                Ok(spares) => {
                    worked = true;
                    made.push((which, spares));
                }
                Err(_) => self.cramped = true,
            }
        }
        for (which, spares) in made {
            self.add_spares(which, spares);
        }
        worked
    }

    fn add_spares(&self, which: Which, spares: u64) {
        if spares == 0 {
            return;
        }
        with_store(&mut self.inner.lock(), which, |store| store.add_spares(spares));
        self.inner.wake.all();
    }

    /// Seals at once if someone waits for it, or the engine is closed. Says whether it did.
    fn seal(&mut self, between: &mut dyn FnMut()) -> bool {
        let wanted = wants_seal(&self.inner.lock()) && !self.unsealable;
        wanted && self.seal_all(between)
    }

    /// Attests everything that is durable.
    pub(super) fn seal_all(&mut self, between: &mut dyn FnMut()) -> bool {
        let mut sealed = false;
        let whiches: Vec<Which> = self.writers.keys().copied().collect();
        for which in whiches {
            let begun = with_store(&mut self.inner.lock(), which, mfgroute_log::Store::begin_seal);
            if begun != Some(true) {
                continue;
            }
            between();
            let result = self.writers.get_mut(&which).map(Writer::seal);
            between();
            let mut state = self.inner.lock();
            match result {
                Some(Ok(written)) => {
                    sealed = true;
                    with_store(&mut state, which, |store| store.committed(written));
                }
                Some(Err(poisoned)) => state.poison(which, poisoned.0),
                None => {}
            }
        }
        let mut state = self.inner.lock();
        // What became durable meanwhile, or found no room, is still wanted.
        state.seal_wanted &= unsealed(&state);
        self.unsealable = !sealed;
        state.catch_up(self.inner.clock.now());
        self.retired.extend(state.take_retired());
        drop(state);
        self.inner.wake.written();
        sealed
    }
}

fn with_store<T>(
    state: &mut State,
    which: Which,
    run: impl FnOnce(&mut mfgroute_log::Store) -> T,
) -> Option<T> {
    let store = match which {
        Which::Node => state.node.as_mut().filter(|node| node.failed.is_none()).map(|node| &mut node.store),
        Which::Stream(no) => {
            let log = state.streams.get_mut(usize::from(no)).and_then(|stream| stream.log.disk_mut());
            log.filter(|log| log.failed.is_none()).map(|log| &mut log.store)
        }
    };
    store.map(run)
}

/// How many spare segments each log is to have.
fn wanted(state: &State) -> Vec<(Which, u64)> {
    let stream = |(no, stream): (StreamNo, &super::stream::Stream)| {
        stream.log.disk().map(|log| (Which::Stream(no), log.needs()))
    };
    let node = state.node.as_ref().map(|node| (Which::Node, node.wanted() / node.store.segment_bytes() + 2));
    node.into_iter().chain((0..).zip(&state.streams).filter_map(stream)).collect()
}

fn has_work(state: &State) -> bool {
    let pending = |stream: &super::stream::Stream| {
        stream.log.disk().is_some_and(|log| log.failed.is_none() && log.store.has_pending())
    };
    let node = state.node.as_ref().is_some_and(|node| node.failed.is_none() && node.has_work());
    node || state.streams.iter().any(pending)
}

/// Whether something is durable that nothing attests.
fn unsealed(state: &State) -> bool {
    let open = |store: &mfgroute_log::Store| store.sealed() < store.durable();
    let stream = |stream: &super::stream::Stream| {
        stream.log.disk().is_some_and(|log| log.failed.is_none() && open(&log.store))
    };
    state.node.as_ref().is_some_and(|node| node.failed.is_none() && open(&node.store))
        || state.streams.iter().any(stream)
}

/// Whether somebody waits until what is durable is attested.
fn wants_seal(state: &State) -> bool {
    (state.life == Life::Closed || state.seal_wanted) && unsealed(state)
}

impl State {
    fn take_retired(&mut self) -> impl Iterator<Item = (Which, String)> + use<> {
        let retired = std::mem::take(&mut self.retired);
        retired.into_iter().map(|(stream, name)| (stream.map_or(Which::Node, Which::Stream), name))
    }

    fn poison(&mut self, which: Which, why: String) {
        let failed = match which {
            Which::Node => self.node.as_mut().map(|node| &mut node.failed),
            Which::Stream(no) => {
                let log = self.streams.get_mut(usize::from(no)).and_then(|stream| stream.log.disk_mut());
                log.map(|log| &mut log.failed)
            }
        };
        if let Some(failed) = failed {
            *failed = Some(why);
        }
    }

    fn written(&mut self, no: StreamNo, result: Result<Written, Poisoned>) {
        match result {
            Ok(written) => drop(with_store(self, Which::Stream(no), |store| store.committed(written))),
            Err(poisoned) => self.poison(Which::Stream(no), poisoned.0),
        }
    }

    /// Passes on what was said besides the events of admissions, for those of which all events are durable.
    fn pass_after(&mut self, after: Vec<After>, now: Now) {
        for After { streams, facts, position } in after {
            let durable = |&(no, end): &(StreamNo, u64)| {
                self.streams.get(usize::from(no)).is_some_and(|stream| stream.log.visible() >= end)
            };
            let passes = streams.iter().all(durable);
            if let (Some(node), false) = (&mut self.node, passes || facts.is_empty()) {
                node.lossy = true;
            }
            let mut facts = Facts { frame: facts, on: true };
            if let Some((number, position)) = position
                && let Some(source) = self.sources.get_mut(usize::from(number))
            {
                // What was read before must not be passed over: from there on it is read again.
                source.stuck |= !passes;
                if !source.stuck {
                    facts.note(&Fact::Position { source: number, position: &position });
                    source.position = Some(position);
                }
            }
            if let (Some(node), true) = (&mut self.node, passes && !facts.frame.is_empty()) {
                node.note(facts.frame, Vec::new(), now.wall_ms);
            }
        }
    }
}
