//! One history: a log, its owner, and a machine that fails them, through several lives.

use std::collections::BTreeSet;
use std::io::ErrorKind::NotFound;
use std::sync::Arc;

use mfgroute_log::{
    Corruption, Frame, Keeper, OpenError, Options, Pending, Record, SegmentState, Spare, Store, Writer, open,
    salvage, stat, verify,
};

use crate::counts::Counts;
use crate::model::{FREES, Known, Model, Shown};
use crate::swarm::Swarm;
use mfgroute_log::testing::{Dice, Faults, Machine};

/// A mistake of the owner, which is not in the log and so not among its mutants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Careful,
    /// Frees before the record that allows it is durable.
    FreesEarly,
}

/// Runs the history of a seed.
pub(crate) fn run(seed: u64, owner: Owner) -> Result<Counts, String> {
    let mut history = History::new(seed, owner);
    history.lives().map_err(|wrong| format!("seed {seed}, life {}: {wrong}", history.model.life))?;
    history.counts.mix(history.machine.operations());
    Ok(history.counts)
}

/// A log that is open, and what its owner still has to do.
struct Running {
    writer: Writer,
    keeper: Keeper,
    store: Store,
    /// Records that allow to free, and how far.
    frees: Vec<(u64, u64)>,
    /// Segments to be retired, in order.
    retiring: Vec<String>,
}

impl Running {
    /// A segment is ready, or none.
    fn take(&mut self, spare: Option<Spare>) {
        let Some(spare) = spare else { return };
        self.writer.add_spare(spare);
        self.store.add_spares(1);
    }
}

struct History {
    dice: Dice,
    swarm: Swarm,
    machine: Machine,
    model: Model,
    counts: Counts,
    owner: Owner,
    clock: u64,
    frame: Frame,
}

/// How the life of a process ends.
enum End {
    /// It is dead, was killed or is poisoned.
    Abrupt,
    Graceful,
}

fn wall() -> u64 {
    1_700_000_000_000
}

impl History {
    fn new(seed: u64, owner: Owner) -> Self {
        let mut dice = Dice::new(seed);
        let machine = Machine::new(Dice::new(dice.draw()));
        let swarm = Swarm::draw(&mut dice);
        let (model, counts, frame) = (Model::default(), Counts::default(), Frame::new());
        Self { dice, swarm, machine, model, counts, owner, clock: 1, frame }
    }

    fn lives(&mut self) -> Result<(), String> {
        for _ in 0..self.swarm.lives {
            let mut running = self.start(true)?;
            let end = self.live(&mut running)?;
            self.end(running, &end)?;
        }
        let mut running = self.start(false)?;
        for seq in 0..=self.model.next() {
            self.read(&mut running, seq)?;
        }
        Ok(())
    }

    /// Opens the log; where that fails, the process ends and another one tries.
    fn start(&mut self, faulty: bool) -> Result<Running, String> {
        self.counts.lives += 1;
        let attempts = if faulty { self.dice.below(4) } else { 0 };
        for _ in 0..attempts {
            self.machine.set_faults(self.swarm.faults);
            let fuse = self.dice.once_in(self.swarm.fuse).then(|| self.dice.below(40));
            self.machine.set_fuse(fuse);
            if let Some(running) = self.open()? {
                return Ok(running);
            }
            self.counts.failed_openings += 1;
            self.fall();
        }
        self.machine.set_faults(Faults::default());
        self.machine.set_fuse(None);
        let running = self.open()?.ok_or("the log does not open on a machine without faults")?;
        self.machine.set_faults(if faulty { self.swarm.faults } else { Faults::default() });
        Ok(running)
    }

    /// One opening. Nothing if the machine made it fail.
    fn open(&mut self) -> Result<Option<Running>, String> {
        let before = self.machine.files();
        let options = Options {
            segment_bytes: self.swarm.segment_bytes,
            reserve_bytes: 1 << 20,
            tail_bytes: self.swarm.tail_bytes,
            seed: Some(self.dice.draw()),
            wall,
        };
        let mut shown = Shown::default();
        let mut each = |seq: u64, at_ms: u64, bytes: &[u8]| {
            shown.0.push((seq, Known { at_ms, bytes: Arc::from(bytes) }));
        };
        let opened = open(self.machine.disk(), &options, &mut each);
        let may_fail = self.machine.may_fail();
        let (writer, keeper, store, report) = match opened {
            Ok(opened) => opened,
            Err(OpenError::Io(_)) if may_fail => {
                self.counts.mix(1);
                return Ok(None);
            }
            Err(OpenError::Corrupt(found)) => {
                let rot = self.model.rot.take().ok_or(format!("false alarm: {found}"))?;
                let range = found.next.is_none_or(|next| next >= found.first);
                if found.segment != rot.name || found.offset > rot.at as u64 || !range {
                    return Err(format!("{found:?} for {rot:?}"));
                }
                self.machine.set_faults(Faults::default());
                self.machine.set_fuse(None);
                self.salvage(&found)?;
                if self.machine.files() != before {
                    return Err(format!("something changed although it was refused: {found}"));
                }
                self.counts.refused += 1;
                self.counts.mix(found.offset);
                self.machine.heal(&rot);
                return self.open();
            }
            Err(other) => return Err(format!("not opened: {other:?}")),
        };
        if let Some(torn) = &report.torn {
            let kept = self.machine.durable_file(&format!("quarantine/{}", torn.kept)).unwrap_or_default();
            let whole = before.get(&torn.segment).map(Vec::as_slice).unwrap_or_default();
            if kept.is_empty()
                || whole.get(torn.offset as usize..).is_none_or(|rest| !rest.starts_with(&kept))
            {
                return Err(format!("the torn tail is not kept: {torn:?}"));
            }
            self.counts.torn += 1;
        }
        self.model.opened(&store, &report, &shown)?;
        self.counts.mix(store.next_seq());
        Ok(Some(Running { writer, keeper, store, frees: Vec::new(), retiring: Vec::new() }))
    }

    /// Reads what a refused log still has: everything but the frame that was damaged.
    fn salvage(&mut self, found: &Corruption) -> Result<(), String> {
        let disk = self.machine.disk();
        let mut read = BTreeSet::new();
        let mut wrong = None;
        let salvaged = salvage(&*disk, &mut |seq, at_ms, bytes| {
            let known = self.model.records.get(seq as usize);
            if known.is_none_or(|known| known.at_ms != at_ms || *known.bytes != *bytes) || !read.insert(seq) {
                wrong = wrong.or(Some(seq));
            }
        })
        .map_err(|error| error.to_string())?;
        if let Some(seq) = wrong {
            return Err(format!("salvage gives a wrong record {seq}"));
        }
        let covered = |seq: u64| {
            let inside = |lost: &Corruption| lost.first <= seq && lost.next.is_none_or(|next| seq < next);
            salvaged.damaged.iter().any(inside)
        };
        let first = read.first().copied().unwrap_or(0).max(self.model.retired);
        let missing: Vec<u64> = (first..self.model.durable).filter(|seq| !read.contains(seq)).collect();
        let frame = self.swarm.frame_records.max(1);
        if missing.iter().any(|&seq| !covered(seq)) || missing.len() as u64 > frame {
            return Err(format!("salvage misses {missing:?} and reports {:?}", salvaged.damaged));
        }
        let stats = stat(&*disk).map_err(|error| error.to_string())?;
        let said = stats.iter().any(|stat| matches!(stat.state, SegmentState::Damaged(_)));
        let same = matches!(verify(&*disk), Err(OpenError::Corrupt(again)) if again == *found);
        if said && same {
            Ok(())
        } else {
            Err(format!("{found:?}, but stat and verify say otherwise: {stats:?}"))
        }
    }

    /// The process is gone; the machine perhaps too.
    fn fall(&mut self) {
        if self.dice.once_in(self.swarm.cut) {
            self.counts.cuts += 1;
            self.machine.power_cut();
        } else {
            self.counts.kills += 1;
            self.machine.restart();
        }
        if self.model.rot.is_none() && self.dice.once_in(self.swarm.rot) {
            self.model.rot = self.machine.rot();
            self.counts.rotten += u64::from(self.model.rot.is_some());
        }
    }

    fn end(&mut self, mut running: Running, end: &End) -> Result<(), String> {
        if matches!(end, End::Graceful) && self.write(&mut running)? {
            self.seal(&mut running)?;
        }
        drop(running);
        self.fall();
        Ok(())
    }

    fn live(&mut self, running: &mut Running) -> Result<End, String> {
        let fuse = self.dice.once_in(self.swarm.fuse).then(|| self.dice.below(60));
        if !self.machine.is_dead() {
            self.machine.set_fuse(fuse);
        }
        let total = self.swarm.weights.iter().sum();
        for _ in 0..self.dice.below(self.swarm.steps + 1) {
            let mut at = self.dice.below(total);
            let step = self.swarm.weights.iter().position(|&weight| {
                let here = at < weight;
                at = at.saturating_sub(weight);
                here
            });
            let alive = match step {
                Some(0) => self.append(running, None),
                Some(1) => self.write(running)?,
                Some(2) => self.seal(running)?,
                Some(3) => self.prepare(running),
                Some(4) => self.free(running)?,
                _ => {
                    let from = running.store.first_seq().saturating_sub(1);
                    let seq = from + self.dice.below(running.store.next_seq() + 2 - from);
                    self.read(running, seq)?
                }
            };
            if !alive || self.machine.is_dead() {
                return Ok(End::Abrupt);
            }
        }
        Ok(if self.dice.once_in(2) { End::Graceful } else { End::Abrupt })
    }

    /// Appends a frame of records, or one that allows to free.
    fn append(&mut self, running: &mut Running, frees: Option<u64>) -> bool {
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        match frees {
            Some(to) => frame.push_with(|out| {
                out.extend_from_slice(FREES);
                out.extend_from_slice(&to.to_le_bytes());
            }),
            None => {
                for _ in 0..=self.dice.below(self.swarm.frame_records) {
                    let length = self.dice.below(self.swarm.record_bytes + 1) as usize;
                    let pattern = [self.dice.draw(), self.dice.draw()].map(u64::to_le_bytes).concat();
                    frame.push_with(|out| {
                        let end = out.len() + length;
                        while out.len() < end {
                            out.extend_from_slice(&pattern[..pattern.len().min(end - out.len())]);
                        }
                    });
                }
            }
        }
        self.clock += self.dice.below(3);
        let fits = running.store.fits(&frame);
        let appended = running.store.append(&frame, self.clock);
        assert_eq!(fits.is_ok(), appended.is_ok());
        self.counts.mix(appended.unwrap_or(u64::MAX));
        if let Ok(first) = appended {
            assert_eq!(first, self.model.next());
            let known = |bytes: &[u8]| Known { at_ms: self.clock, bytes: Arc::from(bytes) };
            self.model.records.extend(frame.records().map(known));
            self.counts.appended += frame.len() as u64;
            if let Some(to) = frees {
                running.frees.push((first, to));
            }
        }
        self.frame = frame;
        true
    }

    /// Writes what waits, while more is appended. Says whether the log still takes something.
    fn write(&mut self, running: &mut Running) -> Result<bool, String> {
        let group = running.store.take_pending();
        let sealing = self.dice.once_in(4) && running.store.begin_seal();
        if self.dice.once_in(3) {
            self.append(running, None);
        }
        if self.dice.once_in(4) {
            self.prepare(running);
        }
        let written = running.writer.write(&group);
        if self.dice.once_in(3) {
            self.append(running, None);
        }
        let alive = self.settle(running, written)?;
        if alive && group.last().is_some_and(|last: &Pending| running.store.durable() != last.end()) {
            return Err(format!("durable is {} after a group", running.store.durable()));
        }
        if alive && sealing {
            let written = running.writer.seal();
            return self.settle(running, written);
        }
        Ok(alive)
    }

    fn seal(&mut self, running: &mut Running) -> Result<bool, String> {
        if !running.store.begin_seal() {
            return Ok(true);
        }
        if self.dice.once_in(3) {
            self.append(running, None);
        }
        let written = running.writer.seal();
        let alive = self.settle(running, written)?;
        if alive && running.store.sealed() != running.store.durable() {
            return Err("a seal attests nothing".into());
        }
        Ok(alive)
    }

    /// Takes what the writer says to the store, as the owner does.
    fn settle(
        &mut self,
        running: &mut Running,
        written: Result<mfgroute_log::Written, mfgroute_log::Poisoned>,
    ) -> Result<bool, String> {
        match written {
            // What a process says after its death nobody hears.
            _ if self.machine.is_dead() => Ok(false),
            Ok(written) => {
                let (before, segments) = (self.model.durable, running.store.boundaries().count());
                running.store.committed(written);
                self.counts.rolled += (running.store.boundaries().count() - segments) as u64;
                self.model.committed(&running.store)?;
                self.counts.acknowledged += self.model.durable - before;
                self.counts.mix(self.model.durable);
                self.retire(running)?;
                Ok(!self.machine.is_dead())
            }
            Err(poisoned) => {
                if !self.machine.may_fail() || poisoned.0.contains("promised") {
                    return Err(format!("poisoned without a fault: {poisoned}"));
                }
                self.counts.poisoned += 1;
                // Other faults are over: a write that works now must not be believed either.
                self.machine.set_faults(Faults::default());
                if running.writer.write(&[]).is_ok() || running.writer.seal().is_ok() {
                    return Err("a poisoned log goes on".into());
                }
                let seq = self.dice.below(running.store.next_seq() + 1);
                self.read(running, seq)?;
                Ok(false)
            }
        }
    }

    fn prepare(&mut self, running: &mut Running) -> bool {
        let low = self.dice.once_in(10);
        self.machine.set_free(if low { 1 << 20 } else { 1 << 30 });
        let step = self.dice.pick(&[4096, 16_384, 65_536]);
        while running.store.spares() == 0 && !self.machine.is_dead() {
            match running.keeper.prepare(step) {
                Ok(spare) => running.take(spare),
                Err(_) => return true,
            }
            if self.dice.once_in(3) {
                return true;
            }
        }
        true
    }

    /// Notes in the log itself that some segments may go.
    fn free(&mut self, running: &mut Running) -> Result<bool, String> {
        let boundaries: Vec<u64> = running.store.boundaries().collect();
        if !boundaries.is_empty() {
            let to = self.dice.pick(&boundaries);
            self.append(running, Some(to));
        }
        if self.owner == Owner::FreesEarly {
            self.retire(running)?;
        }
        Ok(true)
    }

    /// Retires what durable records allow.
    fn retire(&mut self, running: &mut Running) -> Result<(), String> {
        let durable = if self.owner == Owner::FreesEarly { u64::MAX } else { running.store.durable() };
        let allowed = running.frees.iter().filter(|(seq, _)| *seq < durable).map(|(_, to)| *to).max();
        running.frees.retain(|(seq, _)| *seq >= durable);
        running.retiring.extend(running.store.free_to(allowed.unwrap_or(0)));
        while let Some(name) = running.retiring.first() {
            let retired = running.keeper.retire(name, running.store.spares() < 2);
            if self.machine.is_dead() {
                return Ok(());
            }
            match retired {
                Ok(spare) => running.take(spare),
                Err(error) if self.machine.may_fail() && error.kind() != NotFound => return Ok(()),
                Err(error) => return Err(format!("{name} cannot be retired: {error}")),
            }
            running.retiring.remove(0);
            self.counts.retired += 1;
        }
        self.model.retired = running.store.first_seq();
        Ok(())
    }

    /// Reads one record back, wherever it is.
    fn read(&mut self, running: &mut Running, seq: u64) -> Result<bool, String> {
        let known =
            (seq >= running.store.first_seq()).then(|| self.model.records.get(seq as usize)).flatten();
        self.counts.read += 1;
        match running.store.get(seq) {
            Ok(found) => {
                let found = found.as_ref().map(|record| (record.at_ms(), Record::bytes(record)));
                if found != known.map(|known| (known.at_ms, &*known.bytes)) {
                    return Err(format!("record {seq} reads {found:?}, appended was {known:?}"));
                }
            }
            Err(_) if self.machine.may_fail() => {}
            Err(error) => return Err(format!("record {seq} cannot be read: {error}")),
        }
        Ok(true)
    }
}
