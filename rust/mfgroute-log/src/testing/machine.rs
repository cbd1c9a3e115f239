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

use super::dice::Dice;
use super::disk::Place;
use crate::Disk;

/// Bytes that reach the platter together or not at all.
pub const SECTOR: usize = 512;
/// Where the frames of a segment begin.
const HEAD: usize = 4096;

/// How often what goes wrong: once in so many operations of the kind, 0 for never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// A sync fails, and leaves all pages clean.
    pub sync: u64,
    /// A write fails half way.
    pub write: u64,
    /// A write does less than asked.
    pub short_write: u64,
    /// A write finds no room.
    pub full: u64,
    /// A change of names, or their sync, fails.
    pub names: u64,
    /// A read fails.
    pub read: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) cache: Vec<u8>,
    pub(super) platter: Vec<u8>,
    /// Sectors that a sync would write.
    pub(super) dirty: Vec<bool>,
    /// Whether the length is to be written too.
    pub(super) grown: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    Create(String, usize),
    Rename(String, String, usize),
    Remove(String, usize),
    Folder(String),
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) dice: Dice,
    pub(super) faults: Faults,
    pub(super) nodes: Vec<Node>,
    pub(super) names: BTreeMap<String, usize>,
    pub(super) durable: BTreeMap<String, usize>,
    pub(super) folders: BTreeSet<String>,
    pub(super) durable_folders: BTreeSet<String>,
    pub(super) changes: Vec<Change>,
    pub(super) free: u64,
    /// Operations until the process dies.
    pub(super) fuse: Option<u64>,
    pub(super) dead: bool,
    pub(super) operations: u64,
}

/// The machine. Handles of folders and files share it.
#[derive(Clone, Debug)]
pub struct Machine(Arc<Mutex<State>>);

/// What one operation does beyond what was asked.
pub(super) enum Fate {
    Fine,
    /// The process dies; what was asked has happened if true.
    Dies(bool),
}

pub(super) fn dead() -> io::Error {
    io::Error::other("the process is dead")
}

pub(super) fn eio() -> io::Error {
    io::Error::other("input/output error")
}

impl State {
    /// Counts an operation, and says whether the process survives it.
    pub(super) fn step(&mut self) -> io::Result<Fate> {
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
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Self) -> io::Result<Change>) -> io::Result<()> {
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

    pub(super) fn node(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn write(&mut self, node: usize, bytes: &[u8], at: usize) {
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
pub struct Rot {
    /// Path of the file.
    pub name: String,
    /// Offset of the byte.
    pub at: usize,
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
    pub(super) fn keep_some(&mut self, dice: &mut Dice) {
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

    pub(super) fn keep_all(&mut self) {
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

pub(super) fn apply(names: &mut BTreeMap<String, usize>, folders: &mut BTreeSet<String>, change: &Change) {
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

/// Whether all folders that a path leads through are among these.
fn is_held(folders: &BTreeSet<String>, path: &str) -> bool {
    path.match_indices('/').all(|(end, _)| folders.contains(&path[..end]))
}

impl Machine {
    /// A machine with an empty disk.
    pub fn new(dice: Dice) -> Self {
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

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The folder of the log.
    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(Place::of(self))
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// Lets the process die at the operation after so many others.
    pub fn set_fuse(&self, fuse: Option<u64>) {
        self.state().fuse = fuse;
    }

    /// Bytes that the disk says are free.
    pub fn set_free(&self, free: u64) {
        self.state().free = free;
    }

    /// Runs something to which nothing happens: a look at what is on the disk.
    pub fn calmly<T>(&self, run: impl FnOnce() -> T) -> T {
        let calm = |state: &mut State| (std::mem::take(&mut state.faults), state.fuse.take());
        let (faults, fuse) = calm(&mut self.state());
        let found = run();
        let mut state = self.state();
        (state.faults, state.fuse) = (faults, fuse);
        found
    }

    /// Bytes that the disk says are free.
    pub fn free(&self) -> u64 {
        self.state().free
    }

    /// Whether an operation may fail: the process is dead, or a fault is on.
    pub fn may_fail(&self) -> bool {
        let state = self.state();
        let Faults { sync, write, full, names, read, .. } = state.faults;
        state.dead || [sync, write, full, names, read].iter().any(|&times| times > 0)
    }

    /// Whether the process has died.
    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// Operations so far.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// A new process on the same machine: the cache is as it was, but for clean pages that were dropped.
    pub fn restart(&self) {
        let state = &mut *self.state();
        (state.dead, state.fuse) = (false, None);
        for node in &mut state.nodes {
            if state.dice.once_in(4) {
                node.drop_clean();
            }
        }
    }

    /// The machine loses power.
    pub fn power_cut(&self) {
        let state = &mut *self.state();
        (state.dead, state.fuse) = (false, None);
        let odds = state.dice.pick(&[0, 1, 2, 3]);
        for change in std::mem::take(&mut state.changes) {
            if state.dice.once_in(odds) {
                apply(&mut state.durable, &mut state.durable_folders, &change);
            }
        }
        let folders = state.durable_folders.clone();
        state.durable.retain(|name, _| is_held(&folders, name));
        state.durable_folders.retain(|name| is_held(&folders, name));
        state.names.clone_from(&state.durable);
        state.folders.clone_from(&state.durable_folders);
        for node in &mut state.nodes {
            node.keep_some(&mut state.dice);
            node.cache.clone_from(&node.platter);
            node.dirty.resize(node.cache.len().div_ceil(SECTOR), false);
        }
    }

    /// Flips one bit on the platter in a file of the log, and drops the page. Says where.
    pub fn rot(&self) -> Option<Rot> {
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
    pub fn heal(&self, rot: &Rot) {
        self.state().nodes[rot.node].flip(rot);
    }

    /// All files as a process sees them.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state();
        state.names.iter().map(|(name, &node)| (name.clone(), state.nodes[node].cache.clone())).collect()
    }

    /// A file as it would be found after a power cut, whatever became of what is not synced.
    pub fn durable_file(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let node = *state.durable.get(name).filter(|_| is_held(&state.durable_folders, name))?;
        Some(state.nodes[node].platter.clone())
    }
}
