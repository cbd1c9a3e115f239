//! Which paths an expression uses without asking `has()` first.

use super::op::{Op, Root};
use crate::schema::{ITEMS, Schema};

type Path = Vec<String>;

struct Walk<'s> {
    schema: Option<&'s Schema>,
    /// Item paths of the loops around.
    locals: Vec<Option<Path>>,
    /// Paths that are present for sure.
    guards: Vec<Path>,
    out: Vec<String>,
    /// Every path that is used or asked for.
    all: Vec<String>,
}

/// Every path of `data` that an expression uses or asks `has()` for.
pub(crate) fn all(op: &Op) -> Vec<String> {
    let mut walk = Walk::new(None);
    walk.visit(op);
    walk.all
}

/// Paths of `data` that may be absent and are not guarded.
pub(crate) fn unguarded(op: &Op, schema: Option<&Schema>) -> Vec<String> {
    let mut walk = Walk::new(schema);
    walk.visit(op);
    walk.out
}

impl<'s> Walk<'s> {
    fn new(schema: Option<&'s Schema>) -> Self {
        Self { schema, locals: Vec::new(), guards: Vec::new(), out: Vec::new(), all: Vec::new() }
    }

    fn path(&self, op: &Op) -> Option<Path> {
        match op {
            Op::Root(Root::Data) => Some(Vec::new()),
            Op::Local(at) => self.locals.get(*at).cloned().flatten(),
            Op::Field(operand, name) => self.path(operand).map(|path| extend(path, name)),
            Op::Index(operand, _) => self.path(operand).map(|path| extend(path, ITEMS)),
            Op::AsDecimal(operand) => self.path(operand),
            Op::Loop { kind: super::op::Loop::Filter, range, .. } => self.path(range),
            _ => None,
        }
    }

    /// Adds the paths that are present when `op` is `truth`.
    fn facts(&self, op: &Op, truth: bool, out: &mut Vec<Path>) {
        match op {
            Op::Has(operand, name) if truth => {
                out.extend(self.path(operand).map(|path| extend(path, name)));
            }
            Op::Not(operand) => self.facts(operand, !truth, out),
            Op::And(left, right) if truth => {
                self.facts(left, true, out);
                self.facts(right, true, out);
            }
            Op::Or(left, right) if !truth => {
                self.facts(left, false, out);
                self.facts(right, false, out);
            }
            _ => {}
        }
    }

    /// Visits `op` where `other` is known to be `truth`, or else decides alone.
    fn with(&mut self, op: &Op, other: &Op, truth: bool) {
        let mut facts = Vec::new();
        self.facts(other, truth, &mut facts);
        let before = self.guards.len();
        self.guards.extend(facts);
        self.visit(op);
        self.guards.truncate(before);
    }

    fn visit(&mut self, op: &Op) {
        match op {
            Op::Lit(_) | Op::Root(_) | Op::Local(_) | Op::Meta(_) | Op::HasMeta(_) => {}
            Op::Field(operand, name) => {
                self.visit(operand);
                self.reference(operand, name);
            }
            Op::Has(operand, name) => {
                self.visit(operand);
                if let Some(parent) = self.path(operand) {
                    self.all.push(extend(parent, name).join("."));
                }
            }
            Op::Not(operand) | Op::Size(operand) | Op::AsDecimal(operand) => {
                self.visit(operand);
            }
            Op::Matches(operand, _) => self.visit(operand),
            Op::And(left, right) => {
                self.with(left, right, true);
                self.with(right, left, true);
            }
            Op::Or(left, right) => {
                self.with(left, right, false);
                self.with(right, left, false);
            }
            Op::If(condition, then, otherwise) => {
                self.visit(condition);
                self.with(then, condition, true);
                self.with(otherwise, condition, false);
            }
            Op::Index(left, right)
            | Op::In(left, right)
            | Op::Text(_, left, right)
            | Op::Compare { left, right, .. } => {
                self.visit(left);
                self.visit(right);
            }
            Op::List(items) | Op::Foreign(items) => items.iter().for_each(|item| self.visit(item)),
            Op::Sum(list, field) => {
                self.visit(list);
                let mut path = self.path(list).map(|path| extend(path, ITEMS));
                for name in field {
                    let Some(parent) = path.take() else { break };
                    self.need(&parent, name);
                    path = Some(extend(parent, name));
                }
            }
            Op::Loop { range, condition, body, .. } => {
                self.visit(range);
                let path = self.path(range).map(|path| extend(path, ITEMS));
                self.locals.push(path);
                match condition {
                    Some(condition) => {
                        self.visit(condition);
                        self.with(body, condition, true);
                    }
                    None => self.visit(body),
                }
                self.locals.pop();
            }
        }
    }

    fn reference(&mut self, operand: &Op, name: &str) {
        if let Some(parent) = self.path(operand) {
            self.need(&parent, name);
        }
    }

    fn need(&mut self, parent: &Path, name: &str) {
        self.all.push(extend(parent.clone(), name).join("."));
        let steps: Vec<&str> = parent.iter().map(String::as_str).collect();
        if self.schema.is_some_and(|schema| schema.requires_member(&steps, name)) {
            return;
        }
        let path = extend(parent.clone(), name);
        // `has(a.b)` also says that `a` is there.
        if self.guards.iter().any(|guard| guard.starts_with(&path)) {
            return;
        }
        let text = path.join(".");
        if !self.out.contains(&text) {
            self.out.push(text);
        }
    }
}

fn extend(mut path: Path, step: &str) -> Path {
    path.push(step.to_owned());
    path
}

/// Whether an expression uses `data` itself as a value, not only what is in it.
pub(crate) fn whole_data(op: &Op) -> bool {
    match op {
        Op::Root(root) => *root == Root::Data,
        Op::Field(operand, _) | Op::Has(operand, _) => {
            !matches!(**operand, Op::Root(Root::Data)) && whole_data(operand)
        }
        Op::Lit(_) | Op::Local(_) | Op::Meta(_) | Op::HasMeta(_) => false,
        Op::Not(part) | Op::Size(part) | Op::AsDecimal(part) | Op::Matches(part, _) | Op::Sum(part, _) => {
            whole_data(part)
        }
        Op::And(left, right)
        | Op::Or(left, right)
        | Op::Index(left, right)
        | Op::In(left, right)
        | Op::Text(_, left, right)
        | Op::Compare { left, right, .. } => whole_data(left) || whole_data(right),
        Op::If(condition, then, otherwise) => {
            whole_data(condition) || whole_data(then) || whole_data(otherwise)
        }
        Op::List(parts) | Op::Foreign(parts) => parts.iter().any(whole_data),
        Op::Loop { range, condition, body, .. } => {
            whole_data(range) || condition.as_deref().is_some_and(whole_data) || whole_data(body)
        }
    }
}
