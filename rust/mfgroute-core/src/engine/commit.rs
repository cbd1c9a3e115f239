//! The one who writes: groups what has come in since the last sync, syncs it, and lets it take effect.
//!
//! A cycle writes the streams first and the node's own log after them, so that no fact is durable before what it is
//! about. The group of a cycle is what arrived while the one before was under way; there is no timer. What is left of
//! its time goes to seals.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mfgroute_log::{Pending, Poisoned, Writer, Written};

use super::Inner;
use super::clock::Now;
use super::config::StreamNo;
use super::fact::{Fact, Facts};
use super::node::After;
use super::state::{Life, State};
use super::sync::{self, JoinHandle};
use super::tidy::{self, Tidier, Which, with_store};

/// How long nothing must have come in before what is durable is attested.
const SEAL_AFTER: Duration = Duration::from_millis(10);

/// The thread that waits for the disk.
pub(super) struct Committer {
    inner: Arc<Inner>,
    writers: BTreeMap<Which, Writer>,
    tidying: Tidying,
    /// What is durable cannot be attested before more is written: its segment has no room for that.
    unsealable: bool,
}

/// Who tidies.
enum Tidying {
    /// The one who writes, between groups: at the end of the engine, and in a simulation.
    Itself(Tidier),
    Thread(JoinHandle<Tidier>),
    /// The thread panicked.
    Nobody,
}

/// What one cycle takes under one lock.
struct Cut {
    streams: Vec<(StreamNo, Vec<Pending>)>,
    after: Vec<After>,
    ticket: u64,
}

impl Committer {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        let tidying = Tidying::Itself(Tidier::new(Arc::clone(&inner)));
        Self { inner, writers: BTreeMap::new(), tidying, unsealable: false }
    }

    /// Starts a thread that writes and one that tidies, until the engine is closed and everything is on the disk.
    ///
    /// # Errors
    ///
    /// The machine has no thread for them; nothing runs then.
    pub(super) fn start(mut self) -> io::Result<JoinHandle> {
        let inner = Arc::clone(&self.inner);
        if let Tidying::Itself(tidier) = std::mem::replace(&mut self.tidying, Tidying::Nobody) {
            self.tidying = Tidying::Thread(sync::spawn("mfgroute-tidy", move || tidier.run())?);
        }
        sync::spawn("mfgroute-log", move || self.run()).inspect_err(|_| {
            inner.lock().life = Life::Closed;
            inner.chores.notify_one();
        })
    }

    fn run(mut self) {
        loop {
            if self.step(&mut || ()) {
                continue;
            }
            let state = self.inner.lock();
            if has_work(&state) || wants_seal(&state) && !self.unsealable || has_spares(&state) {
                continue;
            }
            if tidy::has_chores(&state) {
                self.inner.chores.notify_one();
            }
            if state.life == Life::Closed {
                drop(state);
                match std::mem::replace(&mut self.tidying, Tidying::Nobody) {
                    Tidying::Thread(thread) => {
                        self.inner.chores.notify_one();
                        // A panic there was said by the thread itself.
                        self.tidying = thread.join().map_or(Tidying::Nobody, Tidying::Itself);
                        continue;
                    }
                    Tidying::Itself(_) | Tidying::Nobody => return,
                }
            }
            let unsealed = unsealed(&state) && !self.unsealable;
            let wait = if unsealed { SEAL_AFTER } else { Duration::from_secs(60) };
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
        between();
        let facts = {
            let inner = Arc::clone(&self.inner);
            let mut state = inner.lock();
            for (no, written) in written {
                state.written(no, written);
            }
            state.pass_after(cut.after, now);
            self.take_in(&mut state);
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
        let chores = tidy::has_chores(&state);
        drop(state);
        self.inner.wake.written();
        if chores {
            self.inner.chores.notify_one();
        }
        true
    }

    fn cut(&mut self, now: Now) -> Option<Cut> {
        let inner = Arc::clone(&self.inner);
        let mut state = inner.lock();
        self.take_in(&mut state);
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

    /// Takes writers of logs that were opened, and segments that are ready: under the lock under which room is promised,
    /// so that there is a segment for all of it.
    fn take_in(&mut self, state: &mut State) {
        let Some(home) = &mut state.home else { return };
        self.writers.extend(home.writers.drain(..));
        self.unsealable &= home.spares.is_empty();
        for (which, spare) in home.spares.drain(..) {
            self.writers.entry(which).and_modify(|writer| writer.add_spare(spare));
        }
    }

    fn write(&mut self, which: Which, group: &[Pending]) -> Result<Written, Poisoned> {
        match self.writers.get_mut(&which) {
            Some(writer) => writer.write(group),
            None => Err(Poisoned("its writer is gone".to_owned())),
        }
    }

    /// Does one piece of what can wait, unless a thread does. Says whether it did.
    pub(super) fn tidy(&mut self) -> bool {
        match &mut self.tidying {
            Tidying::Itself(tidier) => tidier.step(),
            Tidying::Thread(_) | Tidying::Nobody => false,
        }
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
            let inner = Arc::clone(&self.inner);
            let mut state = inner.lock();
            self.take_in(&mut state);
            let begun = with_store(&mut state, which, mfgroute_log::Store::begin_seal);
            drop(state);
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
        drop(state);
        self.inner.wake.written();
        sealed
    }
}

/// Whether segments are ready that the one who writes does not know of.
fn has_spares(state: &State) -> bool {
    state.home.as_ref().is_some_and(|home| !home.spares.is_empty())
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
