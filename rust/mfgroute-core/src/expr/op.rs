//! The form an expression runs in.

use regex::Regex;

use crate::tree::{NodeId, Tree};
use crate::value::Decimal;

/// A variable of the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    Data,
    Message,
    Item,
    Meta,
    Type,
    Source,
}

/// A literal.
#[derive(Clone, Debug)]
pub(crate) enum Lit {
    Null,
    Bool(bool),
    Int(i64),
    Decimal(Decimal),
    /// A number of more than 38 digits.
    Number(Box<str>),
    Text(Box<str>),
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    Different,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A function of text and text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextTest {
    StartsWith,
    EndsWith,
    Contains,
}

/// A loop over a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loop {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

/// One operation.
#[derive(Debug)]
pub(crate) enum Op {
    Lit(Lit),
    List(Vec<Op>),
    Root(Root),
    /// Variable of the loop at this depth, outermost first.
    Local(usize),
    Meta(Box<str>),
    HasMeta(Box<str>),
    Field(Box<Op>, Box<str>),
    Has(Box<Op>, Box<str>),
    Index(Box<Op>, Box<Op>),
    /// Reads a text as a decimal.
    AsDecimal(Box<Op>),
    Not(Box<Op>),
    And(Box<Op>, Box<Op>),
    Or(Box<Op>, Box<Op>),
    If(Box<Op>, Box<Op>, Box<Op>),
    /// `exact`: both sides must be numbers.
    Compare {
        relation: Relation,
        left: Box<Op>,
        right: Box<Op>,
        exact: bool,
    },
    In(Box<Op>, Box<Op>),
    Size(Box<Op>),
    Text(TextTest, Box<Op>, Box<Op>),
    Matches(Box<Op>, Regex),
    Sum(Box<Op>, Vec<Box<str>>),
    Loop {
        kind: Loop,
        range: Box<Op>,
        condition: Option<Box<Op>>,
        body: Box<Op>,
    },
    /// Something only the `cel` crate evaluates, with the parts that it is made of.
    Foreign(Vec<Op>),
}

/// A value during evaluation.
#[derive(Clone, Debug)]
pub(crate) enum V<'t> {
    Null,
    Bool(bool),
    Int(i64),
    Decimal(Decimal),
    /// A number of the message.
    Number(&'t str),
    Text(&'t str),
    /// An array or an object.
    Node(&'t Tree, NodeId),
    List(Vec<V<'t>>),
}
