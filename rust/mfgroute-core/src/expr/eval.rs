//! Evaluates an expression on trees.

mod values;

use std::cmp::Ordering;

use super::op::{Loop, Op, Relation, Root, TextTest, V};
use super::{ExprCtx, ExprFailure, STEPS_MAX};
use crate::tree::{Kind, NodeId, Tree};
use crate::value::Decimal;

use values::{add, decimal, items, literal, member, number, order, size};
pub(crate) use values::{export, of_node};

type Answer<'t> = Result<V<'t>, ExprFailure>;

/// One evaluation.
pub(crate) struct Eval<'c, 't> {
    ctx: &'c ExprCtx<'t>,
    locals: Vec<V<'t>>,
    steps: u64,
}

fn fail<T>(message: impl Into<String>) -> Result<T, ExprFailure> {
    Err(ExprFailure::new(message))
}

impl<'t> Eval<'_, 't> {
    pub(crate) fn new<'c>(ctx: &'c ExprCtx<'t>) -> Eval<'c, 't> {
        Eval { ctx, locals: Vec::new(), steps: STEPS_MAX }
    }

    fn spend(&mut self, steps: u64) -> Result<(), ExprFailure> {
        self.steps = self
            .steps
            .checked_sub(steps)
            .ok_or_else(|| ExprFailure::new(format!("the expression takes more than {STEPS_MAX} steps")))?;
        Ok(())
    }

    pub(crate) fn value<'o: 't>(&mut self, op: &'o Op) -> Answer<'t> {
        self.spend(1)?;
        match op {
            Op::Lit(lit) => Ok(literal(lit)),
            Op::List(items) => {
                Ok(V::List(items.iter().map(|item| self.value(item)).collect::<Result<_, _>>()?))
            }
            Op::Root(root) => self.root(*root),
            Op::Local(at) => {
                self.locals.get(*at).cloned().ok_or_else(|| ExprFailure::new("unknown variable"))
            }
            Op::Meta(name) => match self.meta(name) {
                Some(text) => Ok(V::Text(text)),
                None => fail(format!("meta.{name} is absent")),
            },
            Op::HasMeta(name) => Ok(V::Bool(self.meta(name).is_some())),
            Op::Field(operand, name) => match member(&self.value(operand)?, name)? {
                Some(value) => Ok(value),
                None => fail(format!("the field {name} is absent")),
            },
            Op::Has(operand, name) => Ok(V::Bool(member(&self.value(operand)?, name)?.is_some())),
            Op::Index(operand, index) => self.index(operand, index),
            Op::AsDecimal(operand) => decimal(&self.value(operand)?),
            Op::Not(operand) => Ok(V::Bool(!self.condition(operand)?)),
            Op::And(left, right) => self.logic(left, right, false),
            Op::Or(left, right) => self.logic(left, right, true),
            Op::If(condition, then, otherwise) => {
                if self.condition(condition)? {
                    self.value(then)
                } else {
                    self.value(otherwise)
                }
            }
            Op::Compare { relation, left, right, exact } => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                if *exact && (number(&left).is_none() || number(&right).is_none()) {
                    return fail("a decimal is compared with something that is not a number");
                }
                self.compare(*relation, &left, &right).map(V::Bool)
            }
            Op::In(left, right) => self.contained(left, right),
            Op::Size(operand) => size(&self.value(operand)?).map(V::Int),
            Op::Text(test, left, right) => {
                let (V::Text(left), V::Text(right)) = (self.value(left)?, self.value(right)?) else {
                    return fail("a text function is called on something that is not text");
                };
                Ok(V::Bool(match test {
                    TextTest::StartsWith => left.starts_with(right),
                    TextTest::EndsWith => left.ends_with(right),
                    TextTest::Contains => left.contains(right),
                }))
            }
            Op::Matches(operand, pattern) => match self.value(operand)? {
                V::Text(text) => Ok(V::Bool(pattern.is_match(text))),
                _ => fail("matches is called on something that is not text"),
            },
            Op::Sum(list, field) => self.sum(list, field),
            Op::Loop { kind, range, condition, body } => self.run(*kind, range, condition.as_deref(), body),
            Op::Foreign(_) => fail("the expression is not native"),
        }
    }

    fn root(&self, root: Root) -> Answer<'t> {
        let (tree, name) = match root {
            Root::Type => return Ok(V::Text(self.ctx.event_type)),
            Root::Source => return Ok(V::Text(self.ctx.source)),
            Root::Data => (self.ctx.data, "data"),
            Root::Message => (self.ctx.message, "message"),
            Root::Item => (self.ctx.item, "item"),
            Root::Meta => (None, "meta"),
        };
        tree.map_or_else(|| fail(format!("{name} has no value here")), |(tree, node)| Ok(of_node(tree, node)))
    }

    fn meta(&self, name: &str) -> Option<&'t str> {
        self.ctx.meta.iter().find(|(key, _)| *key == name).map(|(_, text)| *text)
    }

    fn condition<'o: 't>(&mut self, op: &'o Op) -> Result<bool, ExprFailure> {
        match self.value(op)? {
            V::Bool(answer) => Ok(answer),
            _ => fail("a condition is not a bool"),
        }
    }

    /// `&&` and `||`: the deciding value wins over a failure on either side.
    fn logic<'o: 't>(&mut self, left: &'o Op, right: &'o Op, decides: bool) -> Answer<'t> {
        let first = self.condition(left);
        if first.as_ref().is_ok_and(|answer| *answer == decides) {
            return Ok(V::Bool(decides));
        }
        match self.condition(right) {
            Ok(answer) if answer == decides => Ok(V::Bool(decides)),
            second => first.and(second).map(V::Bool),
        }
    }

    fn index<'o: 't>(&mut self, operand: &'o Op, index: &'o Op) -> Answer<'t> {
        let operand = self.value(operand)?;
        let index = self.value(index)?;
        if let V::Text(name) = index {
            let found = member(&operand, name)?;
            return found.ok_or_else(|| ExprFailure::new(format!("the field {name} is absent")));
        }
        let Some(at) = number(&index).and_then(|text| text.parse::<usize>().ok()) else {
            return fail("an index is not a whole number");
        };
        self.spend(at as u64 / 8)?;
        let item = match &operand {
            V::List(items) => items.get(at).cloned(),
            V::Node(tree, node) if tree.kind(*node) == Kind::Array => {
                tree.children(*node).nth(at).map(|child| of_node(tree, child))
            }
            _ => return fail("an index is used on something that is not a list"),
        };
        item.ok_or_else(|| ExprFailure::new(format!("the list has no item {at}")))
    }

    fn contained<'o: 't>(&mut self, left: &'o Op, right: &'o Op) -> Answer<'t> {
        let needle = self.value(left)?;
        if let Op::List(items) = right {
            for item in items {
                let item = self.value(item)?;
                if self.equal(&needle, &item)? {
                    return Ok(V::Bool(true));
                }
            }
            return Ok(V::Bool(false));
        }
        let range = self.value(right)?;
        if let V::Node(tree, node) = &range
            && tree.kind(*node) == Kind::Object
        {
            return match &needle {
                V::Text(name) => Ok(V::Bool(tree.child(*node, name).is_some())),
                // A map may have such keys in CEL; ours never does.
                V::Bool(_) | V::Int(_) | V::Decimal(_) | V::Number(_) => Ok(V::Bool(false)),
                _ => fail("`in` looks for something that cannot be the name of a field"),
            };
        }
        let Some(items) = items(&range) else { return fail("`in` is used on something that is not a list") };
        for item in items {
            if self.equal(&needle, &item)? {
                return Ok(V::Bool(true));
            }
        }
        Ok(V::Bool(false))
    }

    fn compare(&mut self, relation: Relation, left: &V<'t>, right: &V<'t>) -> Result<bool, ExprFailure> {
        match relation {
            Relation::Equal => return self.equal(left, right),
            Relation::Different => return Ok(!self.equal(left, right)?),
            _ => {}
        }
        let order = match (left, right) {
            (V::Text(left), V::Text(right)) => left.cmp(right),
            (V::Bool(left), V::Bool(right)) => left.cmp(right),
            _ => match order(left, right) {
                Some(order) => order,
                None => return fail("values of different types have no order"),
            },
        };
        Ok(match relation {
            Relation::Less => order == Ordering::Less,
            Relation::LessOrEqual => order != Ordering::Greater,
            Relation::Greater => order == Ordering::Greater,
            _ => order != Ordering::Less,
        })
    }

    fn equal(&mut self, left: &V<'t>, right: &V<'t>) -> Result<bool, ExprFailure> {
        self.spend(1)?;
        if let Some(order) = order(left, right) {
            return Ok(order == Ordering::Equal);
        }
        match (left, right) {
            (V::Null, V::Null) => Ok(true),
            (V::Bool(left), V::Bool(right)) => Ok(left == right),
            (V::Text(left), V::Text(right)) => Ok(left == right),
            (V::Node(tree, node), V::Node(other, twin)) if tree.kind(*node) == Kind::Object => {
                self.equal_objects((tree, *node), (other, *twin))
            }
            _ => {
                let (Some(left), Some(right)) = (items(left), items(right)) else { return Ok(false) };
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (left, right) in left.iter().zip(&right) {
                    if !self.equal(left, right)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    fn equal_objects(
        &mut self,
        left: (&'t Tree, NodeId),
        right: (&'t Tree, NodeId),
    ) -> Result<bool, ExprFailure> {
        let ((tree, node), (other, twin)) = (left, right);
        if other.kind(twin) != Kind::Object || tree.node(node).children != other.node(twin).children {
            return Ok(false);
        }
        for child in tree.children(node) {
            self.spend(1 + u64::from(other.node(twin).children) / 8)?;
            let Some(same) = other.child(twin, tree.key(child)) else { return Ok(false) };
            if !self.equal(&of_node(tree, child), &of_node(other, same))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn sum<'o: 't>(&mut self, list: &'o Op, field: &[Box<str>]) -> Answer<'t> {
        let list = self.value(list)?;
        let Some(items) = items(&list) else { return fail("sum is called on something that is not a list") };
        let mut total = Decimal::ZERO;
        for mut item in items {
            self.spend(1)?;
            for name in field {
                let Some(value) = member(&item, name)? else {
                    return fail(format!("the field {name} of an item is absent"));
                };
                item = value;
            }
            let V::Decimal(value) = decimal(&item)? else {
                return fail("an item of sum has more than 38 digits");
            };
            total = add(total, value).ok_or_else(|| ExprFailure::new("the sum has more than 38 digits"))?;
        }
        Ok(V::Decimal(total))
    }

    fn run<'o: 't>(
        &mut self,
        kind: Loop,
        range: &'o Op,
        condition: Option<&'o Op>,
        body: &'o Op,
    ) -> Answer<'t> {
        let range = self.value(range)?;
        let items = match &range {
            V::Node(tree, node) if tree.kind(*node) == Kind::Object => {
                tree.children(*node).map(|child| V::Text(tree.key(child))).collect()
            }
            other => items(other)
                .ok_or_else(|| ExprFailure::new("a macro is used on something that is not a list"))?,
        };
        let depth = self.locals.len();
        let mut out = Vec::new();
        let mut hits = 0;
        let mut failure = None;
        for item in items {
            self.spend(1)?;
            self.locals.truncate(depth);
            self.locals.push(item.clone());
            match kind {
                Loop::Map => {
                    if condition.map_or(Ok(true), |condition| self.condition(condition))? {
                        out.push(self.value(body)?);
                    }
                }
                Loop::Filter => {
                    if self.condition(body)? {
                        out.push(item);
                    }
                }
                Loop::ExistsOne => hits += usize::from(self.condition(body)?),
                Loop::All | Loop::Exists => match self.condition(body) {
                    Ok(answer) if answer == (kind == Loop::Exists) => {
                        self.locals.truncate(depth);
                        return Ok(V::Bool(answer));
                    }
                    Ok(_) => {}
                    Err(error) => failure = Some(error),
                },
            }
        }
        self.locals.truncate(depth);
        match (kind, failure) {
            (_, Some(error)) => Err(error),
            (Loop::Map | Loop::Filter, None) => Ok(V::List(out)),
            (Loop::ExistsOne, None) => Ok(V::Bool(hits == 1)),
            (Loop::All | Loop::Exists, None) => Ok(V::Bool(kind == Loop::All)),
        }
    }
}
