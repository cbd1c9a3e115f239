//! What the evaluation of one message needs: its tree, its open scopes, its attributes.

use super::Mapping;
use super::value::{Val, Value};
use crate::expr::{Expr, ExprCtx, ExprValue};
use crate::path::{NotSingle, Path, Scopes};
use crate::reject::{Code, Reject};
use crate::tree::{Kind, NONE, NodeId, Tree};

/// The attribute that says which line of its slab a message is, from 1.
pub const LINE: &str = "file.line";

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
    pub(super) items: Vec<NodeId>,
    pub(super) slots: Vec<NodeId>,
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
    pub(super) items: Vec<NodeId>,
    /// Output nodes of the fields and groups of the open blocks, innermost last.
    pub(super) slots: Vec<NodeId>,
    /// Where each open block starts in `slots`, and how many of these are fields.
    pub(super) blocks: Vec<(usize, usize)>,
    /// Whether what maps of a rejected item is written all the same, for the sake of its key.
    pub wants_keys: bool,
    /// The contract of the entry that was rejected last, if [`Scratch::out`] has what maps of it.
    pub rejected: Option<usize>,
    positions: usize,
    empty: &'p [String],
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
            wants_keys: false,
            rejected: None,
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
