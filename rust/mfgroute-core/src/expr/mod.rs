//! CEL over trees: `where` of routes, `when: {cel: …}` and `cel:` fields of mappings, `rules` of contracts.
//!
//! What plans usually say — fields, literals, comparisons, `&& || !`, `in`, `has`, `size`, text
//! functions, `sum`, `all exists exists_one filter map` — runs on the nodes of the tree, and
//! numbers are compared as exact decimals. Anything else runs in the interpreter of the `cel` crate,
//! which knows no decimals, so an expression that would bring one there does not compile.
//!
//! An absent field is a failure, as CEL has it: never false, never true. `has()` asks first.

pub(crate) mod ask;
mod compile;
mod eval;
mod foreign;
mod guard;
mod op;

use std::fmt;

use crate::schema::Schema;
use crate::tree::{NodeId, Tree};
use crate::value::Decimal;

/// Longest expression, in bytes.
pub const SOURCE_BYTES_MAX: usize = 4096;
/// Deepest nesting of an expression.
pub const DEPTH_MAX: usize = 64;
/// Deepest nesting of `all`, `exists`, `exists_one`, `filter` and `map`.
pub const MACRO_DEPTH_MAX: usize = 3;
/// Work that one evaluation may take.
pub const STEPS_MAX: u64 = 200_000;

/// What an expression is compiled against.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExprEnv<'e> {
    /// The contract of `data`: it says which paths are decimals and which are required.
    pub schema: Option<&'e Schema>,
    /// Whether `data` exists: in routes and rules, not in mappings.
    pub data: bool,
    /// Whether `message` and `item` exist: in mappings; with `event`, `meta` as well.
    pub message: bool,
    /// Whether `type` and `source` exist: in routes and mappings, not in rules and conversions, which ask
    /// `data` alone.
    pub event: bool,
}

/// What an expression is evaluated with. What the environment does not have stays `None`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExprCtx<'t> {
    /// The canonical data.
    pub data: Option<(&'t Tree, NodeId)>,
    /// The whole message.
    pub message: Option<(&'t Tree, NodeId)>,
    /// The current item of an `each` or `list`.
    pub item: Option<(&'t Tree, NodeId)>,
    /// The type of the event.
    pub event_type: &'t str,
    /// The name of the source.
    pub source: &'t str,
    /// Facts about the message, by dotted name: `file.line`, `http.header.x`.
    pub meta: &'t [(&'t str, &'t str)],
}

/// Why an expression does not compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExprProblem {
    /// Column in the source, counted from 1 in characters.
    pub column: u32,
    /// Lowercase, without full stop.
    pub message: String,
    /// What to do, where that is known.
    pub hint: Option<String>,
}

/// Why an expression has no value for this event: the reject `expression_failed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExprFailure {
    /// Lowercase, without full stop.
    pub message: String,
}

impl ExprFailure {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for ExprFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The value of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExprValue {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A count or another integer.
    Int(i64),
    /// A number of the message, exact.
    Decimal(Decimal),
    /// Text.
    String(String),
    /// A list.
    List(Vec<ExprValue>),
    /// Named values, in their order.
    Map(Vec<(String, ExprValue)>),
}

/// A compiled expression.
#[derive(Debug)]
pub struct Expr {
    op: op::Op,
    foreign: Option<foreign::Foreign>,
    unguarded: Vec<String>,
    paths: Vec<String>,
}

impl Expr {
    /// Compiles an expression. Refuses what fails or never holds by the types that the contract and the
    /// source say; a type that is not known is found when it runs.
    pub fn compile(source: &str, env: &ExprEnv<'_>) -> Result<Self, ExprProblem> {
        Self::from_compiled(source, env, compile::compile(source, env, false)?)
    }

    /// Compiles a condition, as [`Expr::compile`] and refusing what is never true or false.
    pub fn compile_condition(source: &str, env: &ExprEnv<'_>) -> Result<Self, ExprProblem> {
        Self::from_compiled(source, env, compile::compile(source, env, true)?)
    }

    fn from_compiled(
        source: &str,
        env: &ExprEnv<'_>,
        compiled: compile::Compiled,
    ) -> Result<Self, ExprProblem> {
        let unguarded = guard::unguarded(&compiled.op, env.schema);
        let paths = guard::all(&compiled.op);
        let foreign =
            if compiled.foreign { Some(foreign::Foreign::new(source, &compiled.op)?) } else { None };
        Ok(Self { op: compiled.op, foreign, unguarded, paths })
    }

    /// Evaluates a condition.
    pub fn eval_bool(&self, ctx: &ExprCtx<'_>) -> Result<bool, ExprFailure> {
        let answer = match &self.foreign {
            Some(foreign) => foreign.eval(ctx)?,
            None => match eval::Eval::new(ctx).value(&self.op)? {
                op::V::Bool(answer) => return Ok(answer),
                other => eval::export(&other)?,
            },
        };
        match answer {
            ExprValue::Bool(answer) => Ok(answer),
            _ => Err(ExprFailure::new("the condition is not a bool")),
        }
    }

    /// Evaluates to a value.
    pub fn eval_value(&self, ctx: &ExprCtx<'_>) -> Result<ExprValue, ExprFailure> {
        match &self.foreign {
            Some(foreign) => foreign.eval(ctx),
            None => eval::export(&eval::Eval::new(ctx).value(&self.op)?),
        }
    }

    /// Whether it runs on the tree, without the `cel` crate.
    #[must_use]
    pub fn is_native(&self) -> bool {
        self.foreign.is_none()
    }

    /// Whether [`Expr::paths`] are all that it uses of `data`, and it runs without the `cel` crate.
    #[must_use]
    pub fn is_known_by_paths(&self) -> bool {
        self.foreign.is_none() && !guard::whole_data(&self.op)
    }

    /// What it asks that lets an index tell that it is false.
    pub(crate) fn asks(&self) -> Vec<ask::Ask> {
        if self.is_native() { ask::asks(&self.op) } else { Vec::new() }
    }

    /// Every path of `data` that is used or asked for with `has()`, dotted, items of lists as `*`.
    #[must_use]
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// Paths of `data` that may be absent and that no `has()` guards, dotted, items of lists as `*`.
    #[must_use]
    pub fn unguarded_optionals(&self) -> &[String] {
        &self.unguarded
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod type_tests;
