//! The folder and the files of a [`Machine`], as the log sees them.

use std::io;
use std::sync::Arc;

use crate::{Disk, DiskFile};

use super::machine::{Change, Fate, Machine, Node, apply, dead, eio};

#[derive(Debug)]
pub(super) struct Place {
    machine: Machine,
    prefix: String,
}

impl Place {
    /// The folder of the log.
    pub(super) fn of(machine: &Machine) -> Self {
        Self { machine: machine.clone(), prefix: String::new() }
    }

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
        let full = self.full(name);
        let missing = !self.machine.state().folders.contains(&full);
        if missing {
            self.machine.state().change(|_| Ok(Change::Folder(full.clone())))?;
        }
        // As the real folder does: its own name is durable before anything is put into it.
        self.sync_names()?;
        Ok(Arc::new(Self { machine: self.machine.clone(), prefix: format!("{full}/") }))
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
