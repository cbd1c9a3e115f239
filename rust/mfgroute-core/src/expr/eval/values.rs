//! What one or two values say, without an evaluation around them.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::super::op::{Lit, V};
use super::super::{ExprFailure, ExprValue};
use super::{Answer, fail};
use crate::schema::{compare_numbers, plain_decimal};
use crate::tree::{Kind, NodeId, Tree};
use crate::value::Decimal;

pub(super) fn literal(lit: &Lit) -> V<'_> {
    match lit {
        Lit::Null => V::Null,
        Lit::Bool(value) => V::Bool(*value),
        Lit::Int(value) => V::Int(*value),
        Lit::Decimal(value) => V::Decimal(*value),
        Lit::Number(text) => V::Number(text),
        Lit::Text(text) => V::Text(text),
    }
}

/// The value of a node.
pub(crate) fn of_node(tree: &Tree, node: NodeId) -> V<'_> {
    match tree.kind(node) {
        Kind::Null => V::Null,
        Kind::Bool(value) => V::Bool(value),
        Kind::Number => V::Number(tree.text(node)),
        Kind::String => V::Text(tree.text(node)),
        Kind::Array | Kind::Object => V::Node(tree, node),
    }
}

pub(super) fn member<'t>(operand: &V<'t>, name: &str) -> Result<Option<V<'t>>, ExprFailure> {
    match operand {
        V::Node(tree, node) if tree.kind(*node) == Kind::Object => {
            Ok(tree.child(*node, name).map(|child| of_node(tree, child)))
        }
        _ => fail(format!("{name} is asked of something that has no fields")),
    }
}

pub(super) fn items<'t>(value: &V<'t>) -> Option<Vec<V<'t>>> {
    match value {
        V::List(items) => Some(items.clone()),
        V::Node(tree, node) if tree.kind(*node) == Kind::Array => {
            Some(tree.children(*node).map(|child| of_node(tree, child)).collect())
        }
        _ => None,
    }
}

pub(super) fn size(value: &V<'_>) -> Result<i64, ExprFailure> {
    let size = match value {
        V::Text(text) => text.chars().count(),
        V::List(items) => items.len(),
        V::Node(tree, node) => tree.node(*node).children as usize,
        _ => return fail("size is called on something that has none"),
    };
    Ok(i64::try_from(size).unwrap_or(i64::MAX))
}

pub(super) fn decimal<'t>(value: &V<'t>) -> Answer<'t> {
    match value {
        V::Text(text) => match plain_decimal(text) {
            Ok(value) => Ok(V::Decimal(value)),
            Err(_) => fail(format!("{:?} is not a decimal", crate::reject::shorten(text))),
        },
        V::Number(text) => Ok(Decimal::parse(text).map_or(V::Number(text), V::Decimal)),
        V::Int(value) => Ok(exact(*value).map_or(V::Int(*value), V::Decimal)),
        V::Decimal(value) => Ok(V::Decimal(*value)),
        _ => fail("a value is not a decimal"),
    }
}

fn exact(value: i64) -> Option<Decimal> {
    Decimal::new(i128::from(value), 0).ok()
}

pub(super) fn number<'v>(value: &'v V<'_>) -> Option<Cow<'v, str>> {
    match value {
        V::Int(value) => Some(Cow::Owned(value.to_string())),
        V::Decimal(value) => Some(Cow::Owned(value.to_string())),
        V::Number(text) => Some(Cow::Borrowed(text)),
        _ => None,
    }
}

/// Order of two numbers, at any length.
pub(super) fn order(left: &V<'_>, right: &V<'_>) -> Option<Ordering> {
    let fits = |value: &V<'_>| match value {
        V::Int(value) => exact(*value),
        V::Decimal(value) => Some(*value),
        V::Number(text) => Decimal::parse(text).ok(),
        _ => None,
    };
    if let (Some(left), Some(right)) = (fits(left), fits(right)) {
        return Some(left.cmp(&right));
    }
    Some(compare_numbers(&number(left)?, &number(right)?))
}

pub(super) fn add(left: Decimal, right: Decimal) -> Option<Decimal> {
    let scale = left.scale().max(right.scale());
    let up = |value: Decimal| value.coefficient().checked_mul(10_i128.checked_pow(scale - value.scale())?);
    Decimal::new(up(left)?.checked_add(up(right)?)?, scale).ok()
}

/// A value that outlives the evaluation.
pub(crate) fn export(value: &V<'_>) -> Result<ExprValue, ExprFailure> {
    Ok(match value {
        V::Null => ExprValue::Null,
        V::Bool(value) => ExprValue::Bool(*value),
        V::Int(value) => ExprValue::Int(*value),
        V::Decimal(value) => ExprValue::Decimal(*value),
        V::Number(text) => match Decimal::parse(text) {
            Ok(value) => ExprValue::Decimal(value),
            Err(_) => return fail("a number has more than 38 digits"),
        },
        V::Text(text) => ExprValue::String((*text).to_owned()),
        V::List(items) => ExprValue::List(items.iter().map(export).collect::<Result<_, _>>()?),
        V::Node(tree, node) if tree.kind(*node) == Kind::Array => {
            let items = tree.children(*node).map(|child| export(&of_node(tree, child)));
            ExprValue::List(items.collect::<Result<_, _>>()?)
        }
        V::Node(tree, node) => {
            let pair = |child| Ok((tree.key(child).to_owned(), export(&of_node(tree, child))?));
            ExprValue::Map(tree.children(*node).map(pair).collect::<Result<_, _>>()?)
        }
    })
}
