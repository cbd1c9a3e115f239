//! A disk with a page cache, a platter, and everything between the two that can go wrong.
//!
//! * A write goes to the cache; its sectors of 512 bytes are dirty until a sync. A power cut keeps any subset of them.
//! * A sync that fails has written any subset and leaves **all** pages clean: the cache then shows bytes which the
//!   platter does not have, until the page is dropped.
//! * A name is volatile until the names are synced. A power cut keeps any subset of the changes; a rename is one
//!   change, as on every journaling file system.
//! * A process dies at any operation, which then has happened, or not, or half.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use mfgroute_log::Disk;

use crate::dice::Dice;
use crate::disk::Place;

pub(crate) const SECTOR: usize = 512;
/// Where the frames of a segment begin.
const HEAD: usize = 4096;

/// How often what goes wrong: once in so many operations of the kind, 0 for never.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) sync: u64,
    pub(crate) write: u64,
    pub(crate) short_write: u64,
    pub(crate) full: u64,
    pub(crate) names: u64,
    pub(crate) read: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub(crate) cache: Vec<u8>,
    pub(crate) platter: Vec<u8>,
    /// Sectors that a sync would write.
    pub(crate) dirty: Vec<bool>,
    /// Whether the length is to be written too.
    pub(crate) grown: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Change {
    Create(String, usize),
    Rename(String, String, usize),
    Remove(String, usize),
    Folder(String),
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) dice: Dice,
    pub(crate) faults: Faults,
    pub(crate) nodes: Vec<Node>,
    pub(crate) names: BTreeMap<String, usize>,
    pub(crate) durable: BTreeMap<String, usize>,
    pub(crate) folders: BTreeSet<String>,
    pub(crate) durable_folders: BTreeSet<String>,
    pub(crate) changes: Vec<Change>,
    pub(crate) free: u64,
    /// Operations until the process dies.
    pub(crate) fuse: Option<u64>,
    pub(crate) dead: bool,
    pub(crate) operations: u64,
}

/// The machine. Handles of folders and files share it.
#[derive(Clone, Debug)]
pub(crate) struct Machine(Arc<Mutex<State>>);

/// What one operation does beyond what was asked.
pub(crate) enum Fate {
    Fine,
    /// The process dies; what was asked has happened if true.
    Dies(bool),
}

pub(crate) fn dead() -> io::Error {
    io::Error::other("the process is dead")
}

pub(crate) fn eio() -> io::Error {
    io::Error::other("input/output error")
}

impl State {
    /// Counts an operation, and says whether the process survives it.
    pub(crate) fn step(&mut self) -> io::Result<Fate> {
        if self.dead {
            return Err(dead());
        }
        self.operations += 1;
        match &mut self.fuse {
            Some(0) => {
                self.dead = true;
                Ok(Fate::Dies(self.dice.once_in(2)))
            }
            Some(left) => {
                *left -= 1;
                Ok(Fate::Fine)
            }
            None => Ok(Fate::Fine),
        }
    }

    /// Runs a change of names, which may fail or be the last that this process does.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Self) -> io::Result<Change>) -> io::Result<()> {
        let fate = self.step()?;
        if matches!(fate, Fate::Dies(false)) {
            return Err(dead());
        }
        if matches!(fate, Fate::Fine) && self.dice.once_in(self.faults.names) {
            return Err(eio());
        }
        let change = change(self)?;
        apply(&mut self.names, &mut self.folders, &change);
        self.changes.push(change);
        if matches!(fate, Fate::Dies(_)) { Err(dead()) } else { Ok(()) }
    }

    pub(crate) fn node(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(crate) fn write(&mut self, node: usize, bytes: &[u8], at: usize) {
        let file = &mut self.nodes[node];
        if at + bytes.len() > file.cache.len() {
            file.cache.resize(at + bytes.len(), 0);
            file.grown = true;
        }
        file.cache[at..at + bytes.len()].copy_from_slice(bytes);
        let sectors = file.cache.len().div_ceil(SECTOR);
        file.dirty.resize(sectors, false);
        if !bytes.is_empty() {
            file.dirty[at / SECTOR..=(at + bytes.len() - 1) / SECTOR].fill(true);
        }
    }
}

/// One flipped bit.
#[derive(Clone, Debug)]
pub(crate) struct Rot {
    pub(crate) name: String,
    pub(crate) at: usize,
    bit: u8,
    node: usize,
}

impl Node {
    fn flip(&mut self, rot: &Rot) {
        self.platter[rot.at] ^= rot.bit;
        self.load(rot.at / SECTOR);
    }

    /// Brings one sector to the platter.
    fn keep(&mut self, sector: usize) {
        let end = ((sector + 1) * SECTOR).min(self.cache.len());
        if self.platter.len() < end {
            self.platter.resize(end, 0);
        }
        self.platter[sector * SECTOR..end].copy_from_slice(&self.cache[sector * SECTOR..end]);
    }

    /// Brings some dirty sectors to the platter, and forgets that the others are dirty.
    pub(crate) fn keep_some(&mut self, dice: &mut Dice) {
        let odds = dice.pick(&[0, 1, 2, 4, 1000]);
        for sector in 0..self.dirty.len() {
            let chosen = if odds == 1000 { !dice.once_in(8) } else { dice.once_in(odds) };
            if std::mem::take(&mut self.dirty[sector]) && chosen {
                self.keep(sector);
            }
        }
        if std::mem::take(&mut self.grown) && dice.once_in(2) && self.platter.len() < self.cache.len() {
            self.platter.resize(self.cache.len(), 0);
        }
    }

    pub(crate) fn keep_all(&mut self) {
        for sector in 0..self.dirty.len() {
            if std::mem::take(&mut self.dirty[sector]) {
                self.keep(sector);
            }
        }
        if std::mem::take(&mut self.grown) {
            self.platter.resize(self.cache.len(), 0);
        }
    }

    /// Reads clean sectors from the platter again.
    fn drop_clean(&mut self) {
        for sector in 0..self.dirty.len() {
            if !self.dirty[sector] {
                self.load(sector);
            }
        }
    }

    /// Reads one sector from the platter.
    fn load(&mut self, sector: usize) {
        let from = sector * SECTOR;
        let end = (from + SECTOR).min(self.cache.len());
        let there = self.platter.len().min(end).max(from);
        if there > from {
            self.cache[from..there].copy_from_slice(&self.platter[from..there]);
        }
        self.cache[there..end].fill(0);
    }
}

pub(crate) fn apply(names: &mut BTreeMap<String, usize>, folders: &mut BTreeSet<String>, change: &Change) {
    let mut gone = |name: &String, node: usize| {
        if names.get(name) == Some(&node) {
            names.remove(name);
        }
    };
    match change {
        Change::Create(name, node) => drop(names.insert(name.clone(), *node)),
        Change::Remove(name, node) => gone(name, *node),
        Change::Rename(from, to, node) => {
            gone(from, *node);
            names.insert(to.clone(), *node);
        }
        Change::Folder(name) => drop(folders.insert(name.clone())),
    }
}

impl Machine {
    pub(crate) fn new(dice: Dice) -> Self {
        Self(Arc::new(Mutex::new(State {
            dice,
            faults: Faults::default(),
            nodes: Vec::new(),
            names: BTreeMap::new(),
            durable: BTreeMap::new(),
            folders: BTreeSet::new(),
            durable_folders: BTreeSet::new(),
            changes: Vec::new(),
            free: 1 << 40,
            fuse: None,
            dead: false,
            operations: 0,
        })))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The folder of the log.
    pub(crate) fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(Place::of(self))
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// Lets the process die at the operation after so many others.
    pub(crate) fn set_fuse(&self, fuse: Option<u64>) {
        self.state().fuse = fuse;
    }

    pub(crate) fn set_free(&self, free: u64) {
        self.state().free = free;
    }

    /// Whether an operation may fail: the process is dead, or a fault is on.
    pub(crate) fn may_fail(&self) -> bool {
        let state = self.state();
        let Faults { sync, write, full, names, read, .. } = state.faults;
        state.dead || [sync, write, full, names, read].iter().any(|&times| times > 0)
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.state().dead
    }

    pub(crate) fn operations(&self) -> u64 {
        self.state().operations
    }

    /// A new process on the same machine: the cache is as it was, but for clean pages that were dropped.
    pub(crate) fn restart(&self) {
        let state = &mut *self.state();
        (state.dead, state.fuse) = (false, None);
        for node in &mut state.nodes {
            if state.dice.once_in(4) {
                node.drop_clean();
            }
        }
    }

    /// The machine loses power.
    pub(crate) fn power_cut(&self) {
        let state = &mut *self.state();
        (state.dead, state.fuse) = (false, None);
        let odds = state.dice.pick(&[0, 1, 2, 3]);
        for change in std::mem::take(&mut state.changes) {
            if state.dice.once_in(odds) {
                apply(&mut state.durable, &mut state.durable_folders, &change);
            }
        }
        let folders = state.durable_folders.clone();
        let held = |name: &str| name.split_once('/').is_none_or(|(folder, _)| folders.contains(folder));
        state.durable.retain(|name, _| held(name));
        state.names.clone_from(&state.durable);
        state.folders.clone_from(&state.durable_folders);
        for node in &mut state.nodes {
            node.keep_some(&mut state.dice);
            node.cache.clone_from(&node.platter);
            node.dirty.resize(node.cache.len().div_ceil(SECTOR), false);
        }
    }

    /// Flips one bit on the platter in a file of the log, and drops the page. Says where.
    pub(crate) fn rot(&self) -> Option<Rot> {
        let state = &mut *self.state();
        let logs: Vec<_> = state.names.iter().filter(|(name, _)| name.contains(".log")).collect();
        let count = logs.len() as u64;
        let (name, &node) = *logs.get(state.dice.below(count) as usize)?;
        let name = name.clone();
        let file = &mut state.nodes[node];
        // Where the bytes are; the unused end of a segment has nothing to say.
        let used = file.platter.iter().rposition(|&byte| byte != 0)? + 1;
        // More often in frames than in the head, which is longer than they are.
        let from = if used > HEAD && !state.dice.once_in(8) { HEAD } else { 0 };
        let at = from + state.dice.below((used - from) as u64) as usize;
        if file.dirty.get(at / SECTOR).copied().unwrap_or(false) {
            return None;
        }
        let rot = Rot { name, at, bit: 1 << state.dice.below(8), node };
        file.flip(&rot);
        Some(rot)
    }

    /// Flips the bit back, if the file is still there as it was.
    pub(crate) fn heal(&self, rot: &Rot) {
        self.state().nodes[rot.node].flip(rot);
    }

    /// All files as a process sees them.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state();
        state.names.iter().map(|(name, &node)| (name.clone(), state.nodes[node].cache.clone())).collect()
    }

    /// A file as it would be found after a power cut, whatever became of what is not synced.
    pub(crate) fn durable_file(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let folder = name.split_once('/').map(|(folder, _)| folder);
        let node = *state.durable.get(name)?;
        folder.is_none_or(|folder| state.durable_folders.contains(folder)).then_some(())?;
        Some(state.nodes[node].platter.clone())
    }
}
