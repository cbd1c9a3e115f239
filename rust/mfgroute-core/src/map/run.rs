//! One message through one mapping.

use super::value::{Val, Value};
use super::{Entry, Mapping, Set, TimeSource};
use crate::expr::{Expr, ExprCtx, ExprValue};
use crate::path::{NotSingle, Path, Scopes};
use crate::reject::{Code, Reject};
use crate::time::Instant;
use crate::tree::{Kind, NONE, NodeId, Span, Tree};

/// Attributes of a message: name and text.
pub type Meta<'p> = &'p [(&'p str, &'p str)];

/// Attributes that every message has without its source giving them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given<'p> {
    /// `source.name`.
    pub source: &'p str,
    /// `source.site`.
    pub site: &'p str,
    /// `received`: when this node took the message, RFC 3339 in UTC.
    pub received: &'p str,
    /// `xml.root`: local name of the root element of an XML message.
    pub xml_root: &'p str,
}

impl<'p> Given<'p> {
    fn pairs(self) -> [(&'static str, &'p str); 4] {
        [
            ("source.name", self.source),
            ("source.site", self.site),
            ("received", self.received),
            ("xml.root", self.xml_root),
        ]
    }

    /// The attribute with this name, if it says anything.
    #[must_use]
    pub fn get(self, name: &str) -> Option<&'p str> {
        self.pairs()
            .into_iter()
            .find(|(known, text)| *known == name && !text.is_empty())
            .map(|(_, text)| text)
    }
}

/// Memory that messages share, one after the other.
#[derive(Debug, Default)]
pub struct Workspace {
    /// The decoded message.
    pub message: Tree,
    /// The `data` being written.
    pub out: Tree,
    work: Vec<NodeId>,
    items: Vec<NodeId>,
    slots: Vec<NodeId>,
}

/// Everything that evaluation of one message needs.
pub struct Scratch<'p> {
    /// The decoded message.
    pub message: Tree,
    /// The `data` being written.
    pub out: Tree,
    /// Working memory of paths.
    pub work: Vec<NodeId>,
    /// Attributes of the message.
    pub meta: Meta<'p>,
    given: Given<'p>,
    items: Vec<NodeId>,
    /// Output nodes of the fields and groups of the open blocks, innermost last.
    slots: Vec<NodeId>,
    /// Where each open block starts in `slots`, and how many of these are fields.
    blocks: Vec<(usize, usize)>,
    positions: usize,
    empty: &'p [String],
}

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

impl<'p> Scratch<'p> {
    /// Takes the memory of `workspace` for one message, which is decoded already.
    #[must_use]
    pub fn take(workspace: &mut Workspace, mapping: &'p Mapping, meta: Meta<'p>, given: Given<'p>) -> Self {
        let Workspace { message, out, work, items, slots } = std::mem::take(workspace);
        Self {
            message,
            out,
            work,
            meta,
            given,
            items,
            slots,
            blocks: Vec::new(),
            positions: 0,
            empty: &mapping.from.empty,
        }
    }

    /// Gives the memory back.
    pub fn give_back(self, workspace: &mut Workspace) {
        let Self { message, out, mut work, mut items, mut slots, .. } = self;
        work.clear();
        items.clear();
        slots.clear();
        *workspace = Workspace { message, out, work, items, slots };
    }

    /// The current item.
    #[must_use]
    pub fn item(&self) -> NodeId {
        self.items.last().copied().unwrap_or(0)
    }

    /// Makes `item` the current one.
    pub fn enter(&mut self, item: NodeId) {
        self.items.push(item);
    }

    /// Goes back to the enclosing item.
    pub fn leave(&mut self) {
        self.items.pop();
    }

    /// Whether the text stands for "absent".
    #[must_use]
    pub fn is_empty(&self, text: &str) -> bool {
        self.empty.iter().any(|empty| empty == text)
    }

    /// Whether the value is a text that stands for "absent".
    #[must_use]
    pub fn is_empty_text(&self, id: NodeId) -> bool {
        !self.empty.is_empty()
            && self.message.kind(id) == Kind::String
            && self.is_empty(self.message.text(id))
    }

    /// Appends what the path finds to `work`.
    pub fn find_many(&mut self, path: &Path) {
        let scopes = Scopes { root: 0, items: &self.items };
        path.find_many(&self.message, &scopes, &mut self.work);
    }

    /// The one scalar at a path.
    pub fn find_scalar(&mut self, path: &Path) -> Result<Option<NodeId>, NotSingle> {
        let scopes = Scopes { root: 0, items: &self.items };
        path.find_scalar(&self.message, &scopes, &mut self.work)
    }

    /// Appends the items at a path to `work`, texts taken apart at delimiters.
    pub fn find_items(&mut self, path: &Path, split: Option<&str>) -> Result<(), Reject> {
        let base = self.work.len();
        self.find_many(path);
        let Some(delimiters) = split else { return Ok(()) };
        let found: Vec<NodeId> = self.work.drain(base..).collect();
        for id in found {
            let id = crate::path::scalar(&self.message, id).unwrap_or(id);
            if self.message.kind(id) != Kind::String {
                let value = Value { val: Val::Node(id), origin: id };
                return Err(value.reject(&self.message, Code::WrongType, "a text to take apart"));
            }
            let text = self.message.text(id).to_owned();
            for part in text.split(|c| delimiters.contains(c)).map(str::trim).filter(|part| !part.is_empty())
            {
                let span = self.message.push_text(part);
                let made = self.message.add_detached(id, Kind::String, span);
                self.work.push(made);
            }
        }
        Ok(())
    }

    /// Starts a block with room for its fields and groups.
    pub fn open_block(&mut self, fields: usize, groups: usize) {
        let start = self.slots.len();
        self.slots.resize(start + fields + groups, NONE);
        self.blocks.push((start, fields));
    }

    /// Ends the innermost block.
    pub fn close_block(&mut self) {
        if let Some((start, _)) = self.blocks.pop() {
            self.slots.truncate(start);
        }
    }

    /// Notes what a field of the innermost block became.
    pub fn set_slot(&mut self, field: usize, id: NodeId) {
        let at = self.blocks.last().map(|(start, _)| start + field);
        if let Some(slot) = at.and_then(|at| self.slots.get_mut(at)) {
            *slot = id;
        }
    }

    /// The object of a group of the innermost block, or [`NONE`].
    #[must_use]
    pub fn group(&self, group: usize) -> NodeId {
        let at = self.blocks.last().map(|(start, fields)| start + fields + group);
        at.and_then(|at| self.slots.get(at)).copied().unwrap_or(NONE)
    }

    /// Notes the object of a group of the innermost block.
    pub fn set_group(&mut self, group: usize, id: NodeId) {
        let at = self.blocks.last().map(|(start, fields)| start + fields + group);
        if let Some(slot) = at.and_then(|at| self.slots.get_mut(at)) {
            *slot = id;
        }
    }

    /// The value of a field that was written before.
    #[must_use]
    pub fn field(&self, up: usize, field: usize) -> Value<'static> {
        let block = self.blocks.len().checked_sub(up + 1).and_then(|index| self.blocks.get(index));
        let id = block.and_then(|(start, _)| self.slots.get(start + field)).copied().unwrap_or(NONE);
        if id == NONE {
            return Value::ABSENT;
        }
        let val = match self.out.kind(id) {
            Kind::Bool(truth) => Val::Bool(truth),
            Kind::Null | Kind::Object | Kind::Array => Val::Absent,
            Kind::Number => Val::Number(self.out.text(id).to_owned()),
            Kind::String => Val::Text(self.out.text(id).to_owned()),
        };
        Value { val, origin: self.out.node(id).origin }
    }

    /// Which item of a list is being written.
    #[must_use]
    pub fn list_position(&self) -> usize {
        self.positions
    }

    /// Notes which item of a list is being written.
    pub fn set_list_position(&mut self, position: usize) {
        self.positions = position;
    }

    /// The attribute with this name.
    #[must_use]
    pub fn meta(&self, name: &str) -> Option<&'p str> {
        let own = self.meta.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
        own.or_else(|| self.given.get(name))
    }

    fn with_expr_context<T>(&self, eval: impl FnOnce(&ExprCtx<'_>) -> T) -> T {
        let mut meta: Vec<(&str, &str)> = self.meta.to_vec();
        let given = self.given.pairs().into_iter();
        meta.extend(given.filter(|(name, _)| !self.meta.iter().any(|(known, _)| known == name)));
        eval(&ExprCtx {
            message: Some((&self.message, 0)),
            item: Some((&self.message, self.item())),
            meta: &meta,
            ..ExprCtx::default()
        })
    }

    /// Evaluates a condition.
    pub fn eval_bool(&self, expr: &Expr) -> Result<bool, Reject> {
        self.with_expr_context(|context| expr.eval_bool(context)).map_err(failed)
    }

    /// Evaluates an expression to a field value.
    pub fn eval_value(&self, expr: &Expr) -> Result<Value<'static>, Reject> {
        let value = self.with_expr_context(|context| expr.eval_value(context)).map_err(failed)?;
        let val = match value {
            ExprValue::Null => Val::Absent,
            ExprValue::Bool(truth) => Val::Bool(truth),
            ExprValue::Int(number) => Val::Decimal(crate::value::Decimal::from(number)),
            ExprValue::Decimal(decimal) => Val::Decimal(decimal),
            ExprValue::String(text) => Val::Text(text),
            _ => return Err(Reject::new(Code::ExpressionFailed, "a list or map", "a text, number or bool")),
        };
        Ok(Value { val, origin: NONE })
    }
}

fn failed(failure: crate::expr::ExprFailure) -> Reject {
    Reject::new(Code::ExpressionFailed, failure.message, "an expression that can be evaluated")
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
                    emit(scratch, item, self, outcome);
                    taken = true;
                    continue;
                }
            }
            taken = true;
            let outcome = match entry.make(mapping, scratch) {
                Ok(time) => Outcome::Event { contract: entry.contract, time },
                Err(reject) => Outcome::Reject(point_at_item(reject, scratch)),
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
