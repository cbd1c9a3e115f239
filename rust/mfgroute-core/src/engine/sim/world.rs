//! One history: an engine on a machine that fails it, through several lives.

use std::sync::Arc;

use mfgroute_log::testing::{Dice, Faults, Machine};

use super::super::commit::Committer;
use super::super::tests::TestClock;
use super::super::{Clock, DeliveryId, Engine, InstallError, Life, SinkNo, State};
use super::effects::Effects;
use super::oracle::Model;
use super::swarm::Swarm;

/// What a history did, so that a suite in which nothing happens is noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Of everything that was decided and seen.
    pub(super) hash: u64,
    pub(super) lives: u64,
    pub(super) admitted: u64,
    pub(super) acknowledged: u64,
    pub(super) repeated: u64,
    pub(super) delivered: u64,
    pub(super) settled: u64,
    pub(super) answered: u64,
    pub(super) kills: u64,
    pub(super) cuts: u64,
    pub(super) failed: u64,
    /// Openings that found a stream, or the facts, without its first segment.
    pub(super) freed: u64,
    pub(super) checkpoints: u64,
    pub(super) refused: u64,
    pub(super) failed_openings: u64,
}

impl Counts {
    pub(super) fn mix(&mut self, number: u64) {
        self.hash = (self.hash.rotate_left(5) ^ number).wrapping_mul(0x517C_C1B7_2722_0A95);
    }

    /// Adds what another history did.
    pub(super) fn add(&mut self, other: &Self) {
        self.mix(other.hash);
        self.lives += other.lives;
        self.admitted += other.admitted;
        self.acknowledged += other.acknowledged;
        self.repeated += other.repeated;
        self.delivered += other.delivered;
        self.settled += other.settled;
        self.answered += other.answered;
        self.kills += other.kills;
        self.cuts += other.cuts;
        self.failed += other.failed;
        self.freed += other.freed;
        self.checkpoints += other.checkpoints;
        self.refused += other.refused;
        self.failed_openings += other.failed_openings;
    }
}

/// An engine, and the one who writes for it, who does a step when he is told to.
pub(super) struct Running {
    pub(super) engine: Engine,
    pub(super) committer: Committer,
}

pub(super) struct History {
    pub(super) dice: Dice,
    pub(super) swarm: Swarm,
    pub(super) machine: Machine,
    pub(super) clock: Arc<TestClock>,
    pub(super) model: Model,
    pub(super) counts: Counts,
    pub(super) kind: Arc<str>,
    pub(super) serial: u64,
    /// A source that was told of a failure reads no further in this life.
    pub(super) stuck: bool,
    /// What senders have written down, and followers seen.
    pub(super) sent: Effects,
    /// Senders write down what they send. Of dice of its own: what else happens is drawn as before.
    pub(super) posts: bool,
    pub(super) more: Dice,
    /// Until when nothing may leave the disk, and what was there.
    pub(super) held: Option<(u64, Vec<String>)>,
    /// The first thing that was not as it must be.
    pub(super) wrong: Option<String>,
    /// Whether the history is told as it goes.
    told: bool,
}

/// Runs the history of a seed.
pub(super) fn run(seed: u64) -> Result<Counts, String> {
    let mut history = History::new(seed);
    history.lives();
    history.counts.mix(history.machine.operations());
    match history.wrong {
        Some(wrong) => Err(format!("seed {seed}, life {}: {wrong}", history.counts.lives)),
        None => Ok(history.counts),
    }
}

impl History {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut more = Dice::new(seed ^ 0x0EFF_EC75);
        let machine = Machine::new(Dice::new(dice.draw()));
        let swarm = Swarm::draw(seed, &mut dice);
        let model = Model { drops: swarm.drops, ..Model::default() };
        Self {
            dice,
            swarm,
            machine,
            clock: Arc::default(),
            model,
            counts: Counts::default(),
            kind: "done/1".into(),
            serial: 0,
            stuck: false,
            sent: Effects::default(),
            posts: more.once_in(2),
            more,
            held: None,
            wrong: None,
            told: std::env::var_os("MFGROUTE_TELL").is_some(),
        }
    }

    /// Tells what happens to somebody who looks into one history.
    pub(super) fn tell(&self, what: impl FnOnce() -> String) {
        if self.told {
            println!("{:>5}: {}", self.machine.operations(), what());
        }
    }

    /// Notes what is not as it must be.
    pub(super) fn check(&mut self, found: Result<(), String>) {
        if let Err(wrong) = found {
            self.tell(|| format!("WRONG {wrong}"));
            self.wrong.get_or_insert(wrong);
        }
    }

    /// Whether this life is over, or the history.
    pub(super) fn is_over(&self) -> bool {
        self.wrong.is_some() || self.machine.is_dead()
    }

    fn lives(&mut self) {
        for _ in 0..self.swarm.lives {
            let Some(mut running) = self.start(true) else { return };
            self.live(&mut running);
            if self.wrong.is_some() {
                return;
            }
            self.end(running);
        }
        let Some(mut running) = self.start(false) else { return };
        self.drain(&mut running);
    }

    /// Opens the folder; where that fails, the process ends and another one tries.
    fn start(&mut self, faulty: bool) -> Option<Running> {
        self.counts.lives += 1;
        let attempts = if faulty { self.dice.below(4) } else { 0 };
        for _ in 0..attempts {
            self.machine.set_faults(self.swarm.faults);
            let (often, late) = self.swarm.fuse;
            let fuse = self.dice.once_in(often).then(|| self.dice.below(late));
            self.machine.set_fuse(fuse);
            let running = self.open();
            if running.is_some() || self.wrong.is_some() {
                return running.filter(|_| self.wrong.is_none());
            }
            self.counts.failed_openings += 1;
            self.fall();
        }
        self.machine.set_faults(Faults::default());
        self.machine.set_fuse(None);
        let running = self.open();
        if running.is_none() {
            self.check(Err("the folder does not open on a machine without faults".into()));
        }
        self.machine.set_faults(if faulty { self.swarm.faults } else { Faults::default() });
        running.filter(|_| self.wrong.is_none())
    }

    /// One opening. Nothing if the machine made it fail.
    fn open(&mut self) -> Option<Running> {
        let options = self.swarm.disk_options(self.dice.draw());
        let clock = self.clock.clone();
        let opened = Engine::assemble(&self.swarm.options(), self.machine.disk(), &options, clock);
        let (engine, committer) = match opened {
            Ok((engine, committer, _)) => (engine, committer),
            Err(error) => {
                if error.kind == crate::engine::OpenKind::Damage || !self.machine.may_fail() {
                    self.check(Err(format!("not opened: {error}")));
                }
                return None;
            }
        };
        let mut running = Running { engine, committer };
        self.tell(|| format!("opened {:?}", self.swarm));
        self.stuck = false;
        self.held = None;
        if self.machine.is_dead() {
            return None;
        }
        let config = self.swarm.config();
        let now = self.clock.now();
        let mut state = running.engine.lock();
        let known = state.sinks.len();
        if known > 0 {
            let position = state.sources[0].position.clone();
            let position = position.map_or(0, |bytes| u64::from_le_bytes(bytes[..].try_into().unwrap()));
            let found = self.machine.calmly(|| self.model.reopened(&state, position));
            let found = found.and_then(|()| self.sent.reopened(&self.model, &state));
            self.counts.freed +=
                state.streams.iter().filter(|stream| stream.log.first_seq() > 0).count() as u64;
            self.counts.checkpoints +=
                u64::from(state.node.as_ref().is_some_and(|node| node.store.first_seq() > 0));
            self.check(found);
        }
        let installed = state.install(&config, &[], "simulation", now);
        let ticket = state.flush(Vec::new(), now);
        drop(state);
        match installed {
            Ok(installed) => assert_eq!((installed.streams.len(), installed.sinks.len()), (2, 3)),
            Err(InstallError::Log { why, .. }) if self.machine.may_fail() && !why.contains("not know") => {
                return None;
            }
            Err(error) => self.check(Err(format!("not installed: {error}"))),
        }
        if known == 0 && !self.model.events.iter().all(|event| !event.acked) {
            self.check(Err("the node's own log is empty".into()));
        }
        if known == 0 {
            self.model = Model { drops: self.swarm.drops, ..Model::default() };
            self.sent = Effects::default();
        }
        let quiet = |_: &mut Self, _: &Engine| ();
        while self.wrong.is_none() && self.step(&mut running, quiet) {}
        let state = running.engine.lock();
        let node = state.node.as_ref().unwrap();
        let done = node.done >= ticket && node.failed.is_none() && !self.machine.is_dead();
        self.counts.mix(node.store.next_seq());
        drop(state);
        if !done && !self.machine.may_fail() {
            self.check(Err("what was installed is not durable".into()));
        }
        done.then_some(running)
    }

    /// One step of the one who writes. Says whether there was anything to do.
    pub(super) fn step(
        &mut self,
        running: &mut Running,
        mut between: impl FnMut(&mut Self, &Engine),
    ) -> bool {
        let Running { engine, committer } = running;
        self.tell(|| "step".into());
        let worked = committer.step(&mut || between(self, engine));
        self.look(engine);
        worked && !self.is_over()
    }

    /// The process is gone; the machine perhaps too.
    fn fall(&mut self) {
        if self.dice.once_in(self.swarm.cut) {
            self.counts.cuts += 1;
            self.tell(|| "power cut".into());
            self.machine.power_cut();
        } else {
            self.counts.kills += 1;
            self.tell(|| "kill".into());
            self.machine.restart();
        }
    }

    fn end(&mut self, mut running: Running) {
        let mut sealed = false;
        if !self.machine.is_dead() && self.dice.once_in(2) {
            running.engine.lock().life = Life::Closed;
            while self.step(&mut running, |_, _| ()) {}
            sealed = self.is_sealed(&running.engine);
        }
        drop(running);
        self.fall();
        if sealed && self.dice.once_in(self.swarm.rot) {
            self.rot();
        }
    }

    /// Whether everything is attested, so that not a bit of it may change without a word.
    fn is_sealed(&self, engine: &Engine) -> bool {
        let state = engine.lock();
        let sealed = |store: &mfgroute_log::Store| store.sealed() == store.next_seq();
        let stream = |stream: &super::super::stream::Stream| {
            stream.failed().is_none() && stream.log.disk().is_some_and(|log| sealed(&log.store))
        };
        let node = state.node.as_ref().unwrap();
        let done = node.failed.is_none() && !node.is_cramped() && sealed(&node.store);
        done && state.streams.iter().all(stream) && !self.machine.is_dead()
    }

    /// A bit flips: the folder is refused, or shows everything nevertheless.
    fn rot(&mut self) {
        let Some(rot) = self.machine.rot() else { return };
        self.machine.set_faults(Faults::default());
        let options = self.swarm.disk_options(self.dice.draw());
        let clock = self.clock.clone();
        match Engine::assemble(&self.swarm.options(), self.machine.disk(), &options, clock) {
            Err(error) if error.kind == crate::engine::OpenKind::Damage => {
                self.counts.refused += 1;
                self.machine.heal(&rot);
            }
            Err(error) => self.check(Err(format!("{rot:?}: {error}"))),
            // It shows what it shows in the next life as well.
            Ok(opened) => {
                drop(opened);
                self.fall();
            }
        }
    }

    fn live(&mut self, running: &mut Running) {
        let (often, late) = self.swarm.fuse;
        let fuse = self.dice.once_in(often).then(|| self.dice.below(late));
        self.machine.set_fuse(fuse);
        self.machine.set_free(1 << 30);
        let total = self.swarm.weights.iter().sum();
        for _ in 0..=self.dice.below(self.swarm.steps + 1) {
            let mut at = self.dice.below(total);
            let kind = self.swarm.weights.iter().position(|&weight| {
                let here = at < weight;
                at = at.saturating_sub(weight);
                here
            });
            match kind.unwrap_or(0) {
                6 => drop(self.step(running, Self::meanwhile)),
                7 => self.several(running),
                8 => drop(running.committer.seal_all(&mut || self.meanwhile(&running.engine))),
                9 => self.disturb(&running.engine),
                kind => self.act(&running.engine, kind),
            }
            self.look(&running.engine);
            if self.is_over() {
                return;
            }
        }
    }

    /// What others do while the disk works.
    fn meanwhile(&mut self, engine: &Engine) {
        if !self.is_over() && self.dice.once_in(self.swarm.meanwhile) {
            let kind = self.dice.below(6) as usize;
            self.act(engine, kind);
        }
    }

    /// The one who writes gets some time: until there is nothing to do, or less.
    fn several(&mut self, running: &mut Running) {
        if self.dice.once_in(4) {
            running.committer.tidy();
            return;
        }
        while self.step(running, Self::meanwhile) {
            if self.dice.once_in(20) {
                return;
            }
        }
    }

    /// Everything goes on once people have said that it may; then nothing is left.
    fn drain(&mut self, running: &mut Running) {
        self.machine.set_free(1 << 30);
        for _ in 0..self.model.events.len() * 4 + 12 {
            for sink in 0..3 {
                self.release(&running.engine, sink);
                self.poll(&running.engine, sink);
                self.done(&running.engine, sink);
            }
            self.clock.advance(3_000);
            while self.step(running, |_, _| ()) {}
            if self.is_over() {
                return;
            }
        }
        let state = running.engine.lock();
        let left = state.left();
        let parked: u64 = state.sinks.iter().map(|sink| sink.parked.counts().0).sum();
        drop(state);
        if !left.is_empty() || parked > 0 {
            self.check(Err(format!("{left:?} are left, {parked} parked")));
        }
        let open = self
            .model
            .events
            .iter()
            .find(|event| event.cells.iter().flatten().any(|cell| cell.at != super::oracle::Fate::Final));
        if let Some(open) = open.filter(|_| !self.swarm.drops) {
            let found = Err(format!("{open:?} was never finished"));
            self.check(found);
        }
    }

    pub(super) fn done(&mut self, engine: &Engine, sink: usize) {
        let flying: Vec<DeliveryId> = self
            .model
            .events
            .iter()
            .filter_map(|event| event.cells[sink].as_ref())
            .filter(|cell| !cell.settling)
            .filter_map(|cell| cell.flight)
            .collect();
        for id in flying {
            self.settle_one(engine, sink, id, 9);
        }
    }

    pub(super) fn with<T>(engine: &Engine, run: impl FnOnce(&mut State) -> T) -> T {
        run(&mut engine.lock())
    }
}

/// All sinks by their numbers.
pub(super) fn number(sink: usize) -> SinkNo {
    sink as SinkNo
}
