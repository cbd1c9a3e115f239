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

use mfgroute_log::{Disk, DiskFile};

use crate::dice::Dice;

const SECTOR: usize = 512;
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
struct Node {
    cache: Vec<u8>,
    platter: Vec<u8>,
    /// Sectors that a sync would write.
    dirty: Vec<bool>,
    /// Whether the length is to be written too.
    grown: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Create(String, usize),
    Rename(String, String, usize),
    Remove(String, usize),
    Folder(String),
}

#[derive(Debug)]
struct State {
    dice: Dice,
    faults: Faults,
    nodes: Vec<Node>,
    names: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    folders: BTreeSet<String>,
    durable_folders: BTreeSet<String>,
    changes: Vec<Change>,
    free: u64,
    /// Operations until the process dies.
    fuse: Option<u64>,
    dead: bool,
    operations: u64,
}

/// The machine. Handles of folders and files share it.
#[derive(Clone, Debug)]
pub(crate) struct Machine(Arc<Mutex<State>>);

/// What one operation does beyond what was asked.
enum Fate {
    Fine,
    /// The process dies; what was asked has happened if true.
    Dies(bool),
}

fn dead() -> io::Error {
    io::Error::other("the process is dead")
}

fn eio() -> io::Error {
    io::Error::other("input/output error")
}

impl State {
    /// Counts an operation, and says whether the process survives it.
    fn step(&mut self) -> io::Result<Fate> {
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
    fn change(&mut self, change: impl FnOnce(&mut Self) -> io::Result<Change>) -> io::Result<()> {
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

    fn node(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write(&mut self, node: usize, bytes: &[u8], at: usize) {
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
    fn keep_some(&mut self, dice: &mut Dice) {
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

    fn keep_all(&mut self) {
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

fn apply(names: &mut BTreeMap<String, usize>, folders: &mut BTreeSet<String>, change: &Change) {
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The folder of the log.
    pub(crate) fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(Place { machine: self.clone(), prefix: String::new() })
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
        let logs: Vec<_> = state.names.iter().filter(|(name, _)| name.ends_with(".log")).collect();
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

#[derive(Debug)]
struct Place {
    machine: Machine,
    prefix: String,
}

impl Place {
    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn handle(&self, node: usize) -> Arc<dyn DiskFile> {
        Arc::new(Handle { machine: self.machine.clone(), node })
    }
}

impl Disk for Place {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut state = self.machine.state();
        if let Fate::Dies(_) = state.step()? {
            return Err(dead());
        }
        let mut names: Vec<String> = state
            .names
            .keys()
            .filter_map(|name| name.strip_prefix(&self.prefix))
            .filter(|name| !name.contains('/'))
            .map(str::to_owned)
            .collect();
        // "In no order".
        for at in (1..names.len()).rev() {
            let other = state.dice.below(at as u64 + 1) as usize;
            names.swap(at, other);
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let (name, mut state) = (self.full(name), self.machine.state());
        let node = state.nodes.len();
        state.change(|state| {
            if state.names.contains_key(&name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.nodes.push(Node::default());
            Ok(Change::Create(name, node))
        })?;
        Ok(self.handle(node))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.machine.state();
        if let Fate::Dies(_) = state.step()? {
            return Err(dead());
        }
        Ok(self.handle(state.node(&self.full(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.full(from), self.full(to));
        self.machine.state().change(|state| {
            let node = state.node(&from)?;
            Ok(Change::Rename(from, to, node))
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let name = self.full(name);
        self.machine.state().change(|state| {
            let node = state.node(&name)?;
            Ok(Change::Remove(name, node))
        })
    }

    fn sync_names(&self) -> io::Result<()> {
        let state = &mut *self.machine.state();
        let fate = state.step()?;
        let fails = matches!(fate, Fate::Fine) && state.dice.once_in(state.faults.names);
        if fails || matches!(fate, Fate::Dies(false)) {
            return Err(if fails { eio() } else { dead() });
        }
        let inside =
            |name: &String| name.starts_with(&self.prefix) && !name[self.prefix.len()..].contains('/');
        let changes = std::mem::take(&mut state.changes);
        for change in changes {
            let here = match &change {
                Change::Create(name, _) | Change::Remove(name, _) | Change::Folder(name) => inside(name),
                Change::Rename(_, to, _) => inside(to),
            };
            if here {
                apply(&mut state.durable, &mut state.durable_folders, &change);
            } else {
                state.changes.push(change);
            }
        }
        if matches!(fate, Fate::Dies(_)) { Err(dead()) } else { Ok(()) }
    }

    fn free(&self) -> io::Result<u64> {
        Ok(self.machine.state().free)
    }

    fn folder(&self, name: &str) -> io::Result<Arc<dyn Disk>> {
        let missing = !self.machine.state().folders.contains(name);
        if missing {
            self.machine.state().change(|_| Ok(Change::Folder(name.to_owned())))?;
        }
        // As the real folder does: its own name is durable before anything is put into it.
        self.sync_names()?;
        Ok(Arc::new(Self { machine: self.machine.clone(), prefix: format!("{}{name}/", self.prefix) }))
    }
}

#[derive(Debug)]
struct Handle {
    machine: Machine,
    node: usize,
}

impl DiskFile for Handle {
    fn length(&self) -> io::Result<u64> {
        let state = self.machine.state();
        if state.dead { Err(dead()) } else { Ok(state.nodes[self.node].cache.len() as u64) }
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let state = &mut *self.machine.state();
        if matches!(state.step()?, Fate::Dies(_)) {
            return Err(dead());
        }
        if state.dice.once_in(state.faults.read) {
            return Err(eio());
        }
        let cache = &state.nodes[self.node].cache;
        let rest = cache.get(at as usize..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        let state = &mut *self.machine.state();
        let fate = state.step()?;
        let some = state.dice.below(bytes.len() as u64 + 1) as usize;
        let (written, outcome) = match fate {
            Fate::Dies(true) => (bytes.len(), Err(dead())),
            Fate::Dies(false) => (some, Err(dead())),
            Fate::Fine if state.dice.once_in(state.faults.write) => (some, Err(eio())),
            Fate::Fine if state.dice.once_in(state.faults.full) => {
                (some, Err(io::ErrorKind::StorageFull.into()))
            }
            Fate::Fine if state.dice.once_in(state.faults.short_write) => (some.max(1), Ok(some.max(1))),
            Fate::Fine => (bytes.len(), Ok(bytes.len())),
        };
        let written = written.min(bytes.len());
        state.write(self.node, &bytes[..written], at as usize);
        outcome
    }

    fn sync(&self) -> io::Result<()> {
        let state = &mut *self.machine.state();
        let fate = state.step()?;
        let node = &mut state.nodes[self.node];
        match fate {
            Fate::Dies(false) => Err(dead()),
            Fate::Dies(true) => {
                node.keep_all();
                Err(dead())
            }
            Fate::Fine if state.dice.once_in(state.faults.sync) => {
                node.keep_some(&mut state.dice);
                Err(eio())
            }
            Fate::Fine => {
                node.keep_all();
                Ok(())
            }
        }
    }
}
