//! Mappings as flat programs: decode, check, map and write in one pass, without a tree.
//!
//! A [`Program`] takes a JSON message whole or hands it back. It never rejects: what it hands back runs on
//! trees, which say why it is wrong. What it does take becomes, byte for byte, what trees would have made of
//! it; a test holds both against each other. So a program may leave out whatever is rare, and nobody notices
//! but the clock.
//!
//! * [`want`] says which values are read, [`shape`] what the message must look like.
//! * [`canonical`] takes events that are canonical already.
//! * [`select`] finds the mapping of a message, where a source has several.
//! * [`scan`] reads the message into cells ([`cell`]).
//! * [`op`] is what [`build`] makes of a mapping, with what the contract asks ([`contract`], [`leaf`]).
//! * [`word`] compares texts, [`sheet`] is written on.
//! * [`looks`] says what else looks at fields.
//! * [`run`] computes values ([`piece`]) from cells and writes them.

mod build;
mod canonical;
mod cell;
mod contract;
mod leaf;
mod looks;
mod op;
mod piece;
mod run;
mod scan;
mod select;
mod shape;
mod sheet;
mod want;
mod word;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::contract::{Contract, Field as Name};
use crate::decode::Limits;
use crate::identity::IdHasher;
use crate::map::scratch::{Given, Meta};
use crate::map::{Decode, Mapping};
use crate::route::Route;
use crate::time::Instant;
use crate::tree::{Kind, NONE, Span, Tree};

use build::Builder;
use looks::{field, looked_at, seen};
use op::{At, Block, Cond, Out, Time};
use run::Run;
use shape::Shape;
use sheet::Sheet;

pub use canonical::{Canon, Canonical};
pub use select::Selector;

/// Numbers of entries; 0 is none.
static ENTRIES: AtomicU64 = AtomicU64::new(1);

/// A mapping that runs flat.
#[derive(Debug)]
pub struct Program {
    shape: Shape,
    when: Option<Cond>,
    sets: Vec<Set>,
}

#[derive(Debug)]
struct Set {
    each: Vec<At>,
    entries: Vec<Entry>,
    none_ok: bool,
    others_ignore: bool,
    independent: bool,
}

#[derive(Debug)]
struct Entry {
    /// No other entry has it, of whatever program.
    number: u64,
    contract: usize,
    when: Option<Cond>,
    time: Option<Time>,
    block: Block,
    key: Vec<usize>,
    id: Vec<usize>,
    transaction: Option<usize>,
    /// The members that conditions of routes may look at, if there are conditions.
    seen: Option<Vec<Out>>,
}

/// Memory of one thread.
#[derive(Debug, Default)]
pub struct Memory {
    store: scan::Store,
    run: run::Memory,
    key: String,
    data: Sheet,
    transaction: String,
    seen: Tree,
    started: Started,
    extras: Vec<u8>,
    /// The contract of the canonical event before.
    guess: usize,
}

/// The id of events as far as it is the same for all of them.
#[derive(Debug, Default)]
struct Started {
    /// Number of the entry, and the source.
    of: (u64, String),
    hasher: IdHasher,
}

/// A message that is offered.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'m> {
    /// Its bytes, which may go on behind it.
    pub bytes: &'m [u8],
    /// Where it starts.
    pub at: usize,
    /// The line of a slab that it is, from 1: it ends at the next line feed. `None`: it is all of the bytes.
    pub line: Option<u64>,
    /// Attributes that its source gave.
    pub meta: Meta<'m>,
    /// Attributes that every message has.
    pub given: Given<'m>,
    /// CloudEvents source of its events.
    pub source: &'m str,
}

/// What one entry made of one item.
#[derive(Clone, Copy, Debug)]
pub enum Made<'e> {
    /// An event that satisfies the schema of its contract.
    Event(Event<'e>),
    /// An item that a named rule leaves out.
    Filtered(&'static str),
}

/// An event that satisfies the schema of its contract; whether it meets the rules is asked of [`Event::seen`].
#[derive(Clone, Copy, Debug)]
pub struct Event<'e> {
    /// Index of the item.
    pub item: u32,
    /// Index of the contract in the plan.
    pub contract: usize,
    /// Event time, if the mapping gives one.
    pub time: Option<Instant>,
    /// Its text in UTC, where it is that of the message.
    pub time_text: Option<&'e str>,
    /// Key.
    pub key: &'e str,
    /// Event id.
    pub id: u128,
    /// Text of the business transaction; empty without one.
    pub transaction: &'e str,
    /// `data` as JSON.
    pub data: &'e [u8],
    /// The part of `data` that rules and conditions of routes look at; `None` when there are none.
    pub seen: Option<&'e Tree>,
}

impl Program {
    /// Compiles a mapping, or says why it runs on trees.
    ///
    /// # Errors
    ///
    /// What a flat program cannot do, as a sentence.
    pub fn compile(mapping: &Mapping, contracts: &[Contract], routes: &[Route]) -> Result<Self, String> {
        if !matches!(mapping.from.decode, Decode::Json) {
            return Err(format!("it reads {}", mapping.from.decode.name()));
        }
        let mut builder = Builder::default();
        let when = mapping.when.as_ref().map(|when| builder.cond(when)).transpose()?;
        let mut sets = Vec::with_capacity(mapping.sets.len());
        for set in &mapping.sets {
            sets.push(Set::compile(set, mapping, (contracts, routes), &mut builder)?);
        }
        let shape = Shape::new(mapping.from.schema.as_ref(), &builder.wants)?;
        Ok(Self { shape, when, sets })
    }

    /// Reads one message. Gives where it ends, behind its white space; `None` hands it back.
    pub fn scan(&self, offer: &Offer<'_>, limits: &Limits, memory: &mut Memory) -> Option<usize> {
        scan::Scan::run(offer, &self.shape, limits, &mut memory.store)
    }

    /// Makes the events of the message that was read last, calling `emit` with whether its items are
    /// independent and what was made of one.
    ///
    /// `None` hands the message back, and whatever was emitted of it counts for nothing.
    pub fn run<'p>(
        &'p self,
        mapping: &'p Mapping,
        contracts: &[Contract],
        offer: &Offer<'_>,
        memory: &mut Memory,
        emit: &mut dyn FnMut(bool, Made<'_>) -> Option<()>,
    ) -> Option<()> {
        let Memory { store, run, key, data, transaction, seen, started, .. } = memory;
        let mut run = Run::new(offer, store, run, &mapping.from.empty);
        let source = offer.source;
        let mut sink = Sink { contracts, source, key, data, transaction, seen, started, emit, made: 0 };
        let result = self.events(&mut run, &mut sink);
        run.end();
        result
    }

    fn events<'p>(&'p self, run: &mut Run<'p, '_>, sink: &mut Sink<'_>) -> Option<()> {
        if let Some(when) = &self.when
            && !run.holds(when)?
        {
            return None;
        }
        let mut item = 0;
        for set in &self.sets {
            set.run(0, run, &mut item, sink)?;
        }
        (sink.made > 0).then_some(())
    }
}

/// Where events go, and the memory that they are made in.
struct Sink<'s> {
    contracts: &'s [Contract],
    source: &'s str,
    key: &'s mut String,
    data: &'s mut Sheet,
    transaction: &'s mut String,
    seen: &'s mut Tree,
    started: &'s mut Started,
    emit: &'s mut dyn FnMut(bool, Made<'_>) -> Option<()>,
    made: u32,
}

impl Started {
    /// A hasher that has taken what is the same for all events of an entry from one source.
    fn hasher(&mut self, entry: u64, contract: &Contract, source: &str) -> IdHasher {
        if self.of.0 != entry || self.of.1 != source {
            self.of.0 = entry;
            source.clone_into(&mut self.of.1);
            self.hasher = IdHasher::default();
            self.hasher.part(&contract.name);
            self.hasher.part(if contract.across_sources { "" } else { source });
        }
        self.hasher.clone()
    }
}

impl Set {
    fn compile(
        set: &crate::map::Set,
        mapping: &Mapping,
        known: (&[Contract], &[Route]),
        builder: &mut Builder,
    ) -> Result<Self, String> {
        let mut each = Vec::with_capacity(set.each.len());
        for level in &set.each {
            if level.split.is_some() {
                return Err("items are taken out of a text".to_owned());
            }
            each.push(builder.enter(&level.path)?);
        }
        let entries = set.entries.iter().map(|entry| Entry::compile(entry, mapping, known, builder));
        let entries = entries.collect::<Result<_, _>>()?;
        for _ in &set.each {
            builder.leave();
        }
        Ok(Self {
            each,
            entries,
            none_ok: set.none_ok,
            others_ignore: set.others_ignore,
            independent: set.independent,
        })
    }

    /// Runs the entries for every item of the scopes from `depth` on.
    fn run<'p>(
        &'p self,
        depth: usize,
        run: &mut Run<'p, '_>,
        item: &mut u32,
        sink: &mut Sink<'_>,
    ) -> Option<()> {
        let first = *item;
        let Some(level) = self.each.get(depth) else {
            self.item(run, *item, sink)?;
            *item += 1;
            return Some(());
        };
        let list = *run.cell(*level)?;
        let count = if list.kind == cell::CellKind::List { list.len } else { 0 };
        let mut base = list.start as usize;
        for _ in 0..count {
            run.enter(base);
            self.run(depth + 1, run, item, sink)?;
            run.leave();
            base = run.store.cells.get(base)?.start as usize;
        }
        if depth == 0 && *item == first {
            if !self.none_ok {
                return None;
            }
            sink.made += 1;
            (sink.emit)(self.independent, Made::Filtered("none"))?;
            *item += 1;
        }
        Some(())
    }

    fn item<'p>(&'p self, run: &mut Run<'p, '_>, item: u32, sink: &mut Sink<'_>) -> Option<()> {
        let mut taken = false;
        for entry in &self.entries {
            if let Some(when) = &entry.when
                && !run.holds(when)?
            {
                continue;
            }
            taken = true;
            entry.make(run, item, self.independent, sink)?;
        }
        if taken {
            return Some(());
        }
        if self.others_ignore {
            sink.made += 1;
            return (sink.emit)(self.independent, Made::Filtered("others"));
        }
        self.each.is_empty().then_some(())
    }
}

impl Entry {
    fn compile(
        entry: &crate::map::Entry,
        mapping: &Mapping,
        (contracts, routes): (&[Contract], &[Route]),
        builder: &mut Builder,
    ) -> Result<Self, String> {
        let contract = contracts.get(entry.contract).ok_or("its contract is missing")?;
        if !contract.volatile.is_empty() {
            return Err("its contract has volatile fields".to_owned());
        }
        let time = match (&entry.time, &mapping.time) {
            (None, None) => None,
            (Some(own), _) => Some(builder.time(own)?),
            (None, Some(shared)) => {
                // The time of the mapping is that of the message, not of an item.
                let frames = std::mem::replace(&mut builder.frames, vec![0]);
                let time = builder.time(shared);
                builder.frames = frames;
                Some(time?)
            }
        };
        let when = entry.when.as_ref().map(|when| builder.cond(when)).transpose()?;
        let block = builder.block(&entry.block, &contract::Fields::new(&contract.schema)?)?;
        let find = |names: &[Name]| {
            let find = |name: &Name| field(name, &entry.block, &block.outs).ok_or_else(|| name.dotted());
            names.iter().map(find).collect::<Result<Vec<usize>, _>>()
        };
        let missing = |name| format!("the mapping never makes {name}");
        let key = find(&contract.key.1).map_err(missing)?;
        let id = find(&contract.idempotency).map_err(missing)?;
        let transaction =
            contract.business.transaction.as_ref().and_then(|name| field(name, &entry.block, &block.outs));
        let paths = looked_at(entry.contract, contract, routes)?;
        let seen = paths.map(|paths| seen(&block.outs, "", (&paths, false), &entry.block)).transpose()?;
        let number = ENTRIES.fetch_add(1, Ordering::Relaxed);
        Ok(Self { number, contract: entry.contract, when, time, block, key, id, transaction, seen })
    }

    fn make<'p>(
        &'p self,
        run: &mut Run<'p, '_>,
        item: u32,
        independent: bool,
        sink: &mut Sink<'_>,
    ) -> Option<()> {
        run.clear();
        let time = match &self.time {
            None => None,
            Some(time) => Some(run.time(time)?),
        };
        sink.data.clear();
        run.object(&self.block, sink.data)?;
        let contract = sink.contracts.get(self.contract)?;
        sink.key.clear();
        sink.key.push_str(&contract.key.0);
        for index in &self.key {
            sink.key.push('/');
            run.with_text(*index, |text| crate::contract::write_key_part(text, sink.key))?;
        }
        let mut hasher = sink.started.hasher(self.number, contract, sink.source);
        for index in &self.id {
            run.with_bytes(*index, |text| hasher.bytes(text))?;
        }
        sink.transaction.clear();
        if let Some(index) = self.transaction {
            // It may be absent.
            let _ = run.with_text(index, |text| sink.transaction.push_str(text));
        }
        if let Some(seen) = &self.seen {
            sink.seen.clear();
            let root = sink.seen.add(NONE, Span::default(), Kind::Object, Span::default(), NONE);
            run.grow(seen, root, sink.seen);
        }
        sink.made += 1;
        let event = Event {
            item,
            contract: self.contract,
            time: time.map(|(instant, _)| instant),
            time_text: time.and_then(|(_, text)| text),
            key: sink.key,
            id: hasher.finish(),
            transaction: sink.transaction,
            data: sink.data.get(),
            seen: self.seen.is_some().then_some(&*sink.seen),
        };
        (sink.emit)(independent, Made::Event(event))
    }
}
