//! One value on its way from the message to a field.

use std::borrow::Cow;

use serde_json::Value as Json;

use crate::reject::{Code, Reject};
use crate::tree::{Kind, NONE, NodeId, Tree};
use crate::value::{Decimal, DecimalError};

/// What a value is at this point of its chain.
#[derive(Clone, Debug)]
pub enum Val<'p> {
    /// Not there, or null.
    Absent,
    /// A value of the message as it is.
    Node(NodeId),
    /// Text that a rule made.
    Text(String),
    /// A number in JSON syntax, of another field.
    Number(String),
    /// An exact number.
    Decimal(Decimal),
    /// A value of the plan.
    Json(&'p Json),
    /// True or false that an expression made.
    Bool(bool),
}

/// A value and the one message value it was made of.
#[derive(Clone, Debug)]
pub struct Value<'p> {
    /// The value.
    pub val: Val<'p>,
    /// The message value, or [`NONE`].
    pub origin: NodeId,
}

impl<'p> Value<'p> {
    /// Nothing.
    pub const ABSENT: Value<'static> = Value { val: Val::Absent, origin: NONE };

    /// A value of the message; JSON `null` is absent.
    #[must_use]
    pub fn node(tree: &Tree, id: NodeId) -> Self {
        let val = if tree.kind(id) == Kind::Null { Val::Absent } else { Val::Node(id) };
        Self { val, origin: id }
    }

    /// A value of the plan; `null` is absent.
    #[must_use]
    pub fn json(json: &'p Json) -> Self {
        let val = if json.is_null() { Val::Absent } else { Val::Json(json) };
        Self { val, origin: NONE }
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self.val, Val::Absent)
    }

    /// Replaces the value and keeps where it came from.
    #[must_use]
    pub fn with(self, val: Val<'p>) -> Self {
        Self { val, origin: self.origin }
    }

    /// The text of a scalar; `None` for objects and lists.
    #[must_use]
    pub fn text<'t>(&'t self, tree: &'t Tree) -> Option<Cow<'t, str>> {
        match &self.val {
            Val::Absent => None,
            Val::Node(id) => match tree.kind(*id) {
                Kind::String | Kind::Number | Kind::Bool(_) => Some(Cow::Borrowed(tree.text(*id))),
                _ => None,
            },
            Val::Text(text) | Val::Number(text) => Some(Cow::Borrowed(text)),
            Val::Decimal(decimal) => Some(Cow::Owned(decimal.to_string())),
            Val::Json(Json::String(text)) => Some(Cow::Borrowed(text)),
            Val::Json(Json::Bool(value)) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
            Val::Json(Json::Number(number)) => Some(Cow::Owned(number.to_string())),
            Val::Json(_) => None,
            Val::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
        }
    }

    /// The text of a scalar, or the reject `wrong_type`.
    pub fn scalar<'t>(&'t self, tree: &'t Tree, expected: &str) -> Result<Cow<'t, str>, Reject> {
        self.text(tree).ok_or_else(|| self.reject(tree, Code::WrongType, expected))
    }

    /// A reject that shows this value and points at it.
    #[must_use]
    pub fn reject(&self, tree: &Tree, code: Code, expected: &str) -> Reject {
        let found = match &self.val {
            Val::Absent => "nothing".to_owned(),
            Val::Node(id) => shown(tree, *id),
            Val::Json(json) => json.to_string(),
            _ => self.text(tree).map_or_else(String::new, Cow::into_owned),
        };
        Reject::new(code, found, expected).at(self.pointer(tree))
    }

    /// Where in the message the value is.
    #[must_use]
    pub fn pointer(&self, tree: &Tree) -> String {
        if self.origin == NONE { String::new() } else { tree.pointer(self.origin) }
    }
}

/// A value of the message for people: a scalar as it is, others by what they are.
#[must_use]
pub fn shown(tree: &Tree, id: NodeId) -> String {
    match tree.kind(id) {
        Kind::Object => format!("an object of {}", tree.node(id).children),
        Kind::Array => format!("a list of {}", tree.node(id).children),
        Kind::Null => "null".to_owned(),
        _ => tree.text(id).to_owned(),
    }
}

/// Code and expectation of a failed computation.
#[must_use]
pub fn decimal_reject(error: DecimalError) -> (Code, &'static str) {
    match error {
        DecimalError::Syntax => (Code::BadNumber, "a number in the declared form"),
        DecimalError::Overflow => (Code::NumberOverflow, "at most 38 digits"),
        DecimalError::NotExact => (Code::NotExact, "a result with a finite decimal form, or `round`"),
    }
}
