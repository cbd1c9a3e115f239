//! One message through one mapping.

use super::scratch::Scratch;
use super::{Entry, Mapping, Set, TimeSource};
use crate::reject::{Code, Reject};
use crate::time::Instant;
use crate::tree::{Kind, NONE, Span};

/// What one entry made of one item.
#[derive(Debug)]
pub enum Outcome {
    /// `data` is in [`Scratch::out`].
    Event {
        /// Index of the contract in the plan.
        contract: usize,
        /// Event time, if the mapping gives one.
        time: Option<Instant>,
    },
    /// The item is refused.
    Reject(Reject),
    /// The item is left out by a named rule.
    Filtered(&'static str),
}

impl Mapping {
    /// Makes events of the decoded message, calling `emit` with the item's number and its outcome.
    ///
    /// Returns the number of items.
    pub fn run<'p>(
        &'p self,
        scratch: &mut Scratch<'p>,
        emit: &mut dyn FnMut(&mut Scratch<'p>, u32, &'p Set, Outcome),
    ) -> u32 {
        let mut item = 0;
        let mut outcomes = 0_u32;
        for set in &self.sets {
            let mut count = |scratch: &mut Scratch<'p>, item: u32, set: &'p Set, outcome: Outcome| {
                outcomes += 1;
                emit(scratch, item, set, outcome);
            };
            if set.each.is_empty() {
                set.run_item(self, scratch, item, &mut count);
                item += 1;
            } else {
                item = set.run_each(self, scratch, item, &mut count);
            }
        }
        if outcomes == 0 {
            let expected = "an entry that takes the message, or `others: ignore`";
            let reject = Reject::new(Code::NoOutput, "no entry takes the message", expected);
            if let Some(set) = self.sets.first() {
                emit(scratch, 0, set, Outcome::Reject(reject));
            }
            return 1;
        }
        item
    }
}

type Emit<'e, 'p> = dyn FnMut(&mut Scratch<'p>, u32, &'p Set, Outcome) + 'e;

impl Set {
    fn run_each<'p>(
        &'p self,
        mapping: &'p Mapping,
        scratch: &mut Scratch<'p>,
        first: u32,
        emit: &mut Emit<'_, 'p>,
    ) -> u32 {
        let mut item = first;
        if let Err(reject) = self.level(0, mapping, scratch, &mut item, emit) {
            emit(scratch, item, self, Outcome::Reject(reject));
            return item + 1;
        }
        if item == first {
            let path = self.each.last().map(|level| level.path.to_string()).unwrap_or_default();
            let outcome = if self.none_ok {
                Outcome::Filtered("none")
            } else {
                let reject =
                    Reject::new(Code::EachEmpty, "no items", format!("items at {path}, or `none: ok`"));
                Outcome::Reject(reject)
            };
            emit(scratch, item, self, outcome);
            item += 1;
        }
        item
    }

    fn level<'p>(
        &'p self,
        depth: usize,
        mapping: &'p Mapping,
        scratch: &mut Scratch<'p>,
        item: &mut u32,
        emit: &mut Emit<'_, 'p>,
    ) -> Result<(), Reject> {
        let Some(level) = self.each.get(depth) else {
            self.run_item(mapping, scratch, *item, emit);
            *item += 1;
            return Ok(());
        };
        let base = scratch.work.len();
        scratch.find_items(&level.path, level.split.as_deref())?;
        let end = scratch.work.len();
        for index in base..end {
            let Some(id) = scratch.work.get(index).copied() else { break };
            scratch.enter(id);
            let result = self.level(depth + 1, mapping, scratch, item, emit);
            scratch.leave();
            result?;
        }
        scratch.work.truncate(base);
        Ok(())
    }

    fn run_item<'p>(
        &'p self,
        mapping: &'p Mapping,
        scratch: &mut Scratch<'p>,
        item: u32,
        emit: &mut Emit<'_, 'p>,
    ) {
        let mut taken = false;
        for entry in &self.entries {
            match entry.when.as_ref().map_or(Ok(true), |when| when.holds(scratch)) {
                Ok(false) => continue,
                Ok(true) => {}
                Err(reject) => {
                    let outcome = Outcome::Reject(point_at_item(reject, scratch));
                    entry.make_what_maps(scratch);
                    emit(scratch, item, self, outcome);
                    taken = true;
                    continue;
                }
            }
            taken = true;
            let outcome = match entry.make(mapping, scratch) {
                Ok(time) => Outcome::Event { contract: entry.contract, time },
                Err(reject) => {
                    let outcome = Outcome::Reject(point_at_item(reject, scratch));
                    entry.make_what_maps(scratch);
                    outcome
                }
            };
            emit(scratch, item, self, outcome);
        }
        if taken {
            return;
        }
        if self.others_ignore {
            emit(scratch, item, self, Outcome::Filtered("others"));
        } else if !self.each.is_empty() {
            let expected = "an entry that takes it, or `others: ignore`";
            let reject = Reject::new(Code::ItemUnmatched, "an item that no entry takes", expected);
            let outcome = Outcome::Reject(point_at_item(reject, scratch));
            emit(scratch, item, self, outcome);
        }
    }
}

fn point_at_item(reject: Reject, scratch: &Scratch<'_>) -> Reject {
    if reject.pointer.is_empty() && !scratch.items.is_empty() {
        let pointer = scratch.message.pointer(scratch.item());
        return reject.at(pointer);
    }
    reject
}

fn event_time<'p>(source: &'p TimeSource, scratch: &mut Scratch<'p>) -> Result<Instant, Reject> {
    match source.read(scratch).map_err(|reject| reject.field("time"))? {
        Some((instant, _)) => Ok(instant),
        None => Err(Reject::new(Code::Missing, "nothing", "the time of the event").field("time")),
    }
}

impl Entry {
    /// Writes `data` of the current item; gives the event time.
    fn make<'p>(
        &'p self,
        mapping: &'p Mapping,
        scratch: &mut Scratch<'p>,
    ) -> Result<Option<Instant>, Reject> {
        scratch.out.clear();
        scratch.slots.clear();
        scratch.blocks.clear();
        let depth = scratch.items.len();
        let work = scratch.work.len();
        let result = self.write(mapping, scratch);
        // A reject leaves nested scopes open.
        scratch.items.truncate(depth);
        scratch.work.truncate(work);
        result
    }

    /// Writes what maps of an item that was rejected, if somebody wants its key.
    fn make_what_maps<'p>(&'p self, scratch: &mut Scratch<'p>) {
        if !scratch.wants_keys {
            return;
        }
        scratch.out.clear();
        scratch.slots.clear();
        scratch.blocks.clear();
        let (depth, work) = (scratch.items.len(), scratch.work.len());
        let root = scratch.out.add(NONE, Span::default(), Kind::Object, Span::default(), NONE);
        self.block.write_what_maps(root, scratch);
        scratch.items.truncate(depth);
        scratch.work.truncate(work);
        scratch.rejected = Some(self.contract);
    }

    fn write<'p>(
        &'p self,
        mapping: &'p Mapping,
        scratch: &mut Scratch<'p>,
    ) -> Result<Option<Instant>, Reject> {
        let time = match (&self.time, &mapping.time) {
            (None, None) => None,
            (Some(own), _) => Some(event_time(own, scratch)?),
            (None, Some(shared)) => {
                // The time of the mapping is that of the message, not of an item.
                let items = std::mem::take(&mut scratch.items);
                let time = event_time(shared, scratch);
                scratch.items = items;
                Some(time?)
            }
        };
        let root = scratch.out.add(NONE, Span::default(), Kind::Object, Span::default(), NONE);
        self.block.write(root, scratch)?;
        Ok(time)
    }
}
