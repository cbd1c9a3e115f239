//! Checks a [`Tree`] against a JSON Schema (draft 2020-12).
//!
//! Most schemas compile to a flat program that runs on the nodes of the tree and allocates only
//! for what it refuses. A schema with a keyword outside of that subset runs in the `jsonschema`
//! crate instead, as a whole; [`Schema::fallback_reason`] says why. Both give the same verdict.
//!
//! Two keywords are ours: `x-decimal: {min, max, digits, places}` bounds a decimal, and
//! `x-codes: SET` asks for a code of a set. `format: decimal` is always asserted: a string that is
//! a number in JSON syntax without exponent, of at most 38 digits.

mod build;
mod check;
pub(crate) mod classes;
mod cost;
mod describe;
mod equal;
mod fallback;
mod format;
mod index;
mod leaf;
mod number;
pub(crate) mod pattern;
pub(crate) mod program;

use std::fmt;
use std::sync::Arc;

use jsonschema::Validator;
use serde_json::Value;

use crate::reject::{Code, Reject};
use crate::tree::{NodeId, Tree};

pub use describe::{ITEMS, PropertyInfo};
pub(crate) use format::decimal as plain_decimal;
pub(crate) use number::compare as compare_numbers;
pub(crate) use number::is_integer as is_whole;

/// The one dialect that is compiled.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Names of the JSON types.
pub(crate) const TYPES: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];
/// Largest schema, in bytes of compact JSON.
pub const SCHEMA_BYTES_MAX: usize = 1 << 20;
/// Most values of a schema document.
pub const SCHEMA_NODES_MAX: usize = 100_000;
/// Most values of one `enum`.
pub const ENUM_MAX: usize = 10_000;
/// Deepest nesting of a schema document.
pub const SCHEMA_DEPTH_MAX: usize = 128;
/// Work that one validation may take, in subschemas applied.
pub const STEPS_MAX: u64 = 2_000_000;

/// Says whether a text is in a set of codes.
pub type CodeSet = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// What a schema is compiled with.
#[derive(Clone, Copy)]
pub struct SchemaOptions<'o> {
    /// Whether all known formats are asserted; `decimal` always is.
    pub assert_formats: bool,
    /// Documents that `$ref` may name, with their addresses. Nothing is ever fetched.
    pub resources: &'o [(String, Value)],
    /// Finds the set that `x-codes` names.
    pub code_sets: &'o dyn Fn(&str) -> Option<CodeSet>,
}

impl Default for SchemaOptions<'_> {
    fn default() -> Self {
        Self { assert_formats: false, resources: &[], code_sets: &|_| None }
    }
}

/// One mistake in a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaProblem {
    /// RFC 6901 pointer into the schema.
    pub pointer: String,
    /// Lowercase, without full stop.
    pub message: String,
}

/// One thing that a value does not satisfy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The value, or the object in which a member is missing.
    pub node: NodeId,
    /// The member of `node` that is missing.
    pub member: Option<Box<str>>,
    /// The keyword of the schema; `false` for a schema that refuses everything, `limit` when the
    /// check itself was too much work.
    pub keyword: &'static str,
    /// What is there.
    pub found: String,
    /// What should be there.
    pub expected: String,
}

impl Violation {
    /// RFC 6901 pointer to the value or to the missing member.
    #[must_use]
    pub fn pointer(&self, tree: &Tree) -> String {
        let mut pointer = tree.pointer(self.node);
        if let Some(member) = &self.member {
            pointer.push('/');
            pointer.push_str(&member.replace('~', "~0").replace('/', "~1"));
        }
        pointer
    }

    /// The same as a dotted field: `quantity.good`, `readings.2.unit`.
    #[must_use]
    pub fn field(&self, tree: &Tree) -> String {
        let pointer = self.pointer(tree);
        let steps = pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"));
        steps.collect::<Vec<_>>().join(".")
    }

    /// As a reject of the message in `tree`.
    #[must_use]
    pub fn reject(&self, code: Code, tree: &Tree) -> Reject {
        Reject::new(code, self.found.clone(), self.expected.clone()).at(self.pointer(tree))
    }
}

/// A compiled schema.
pub struct Schema {
    program: program::Program,
    fallback: Option<(Validator, String)>,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema")
            .field("program", &self.program)
            .field("fallback", &self.fallback_reason())
            .finish()
    }
}

impl Schema {
    /// Compiles a schema, or says everything that is wrong with it.
    pub fn compile(schema: &Value, options: &SchemaOptions<'_>) -> Result<Self, Vec<SchemaProblem>> {
        let mut bytes = 0;
        let mut nodes = 0;
        for document in std::iter::once(schema).chain(options.resources.iter().map(|(_, value)| value)) {
            cost::measure(document, &mut bytes, &mut nodes)?;
        }
        check_form(schema)?;
        let mut index = index::Index::default();
        for (address, document) in options.resources {
            index.add(address, document);
        }
        index.add(index::BASE, schema);
        let mut builder = build::Builder::new(index, options);
        builder.run(schema);
        let build::Builder { program, reasons, mut problems, .. } = builder;
        cost::bounded(&program, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let Some(reason) = reasons.first() else { return Ok(Self { program, fallback: None }) };
        match fallback::build(schema, options) {
            Ok(validator) => {
                let at = if reason.pointer.is_empty() { "/" } else { &reason.pointer };
                Ok(Self { program, fallback: Some((validator, format!("{at}: {}", reason.message))) })
            }
            // The reasons have pointers; the crate's own words add nothing to them.
            Err(mut found) => {
                found.retain(|problem| !problem.pointer.is_empty());
                found.extend(
                    reasons.into_iter().filter(|reason| !reason.message.ends_with("is not compiled")),
                );
                if found.is_empty() {
                    found = fallback::build(schema, options).err().unwrap_or_default();
                }
                Err(found)
            }
        }
    }

    /// Checks a value, with everything below it. At most `max` violations are added to `out`;
    /// the hot path asks for one. Returns whether the value is valid.
    pub fn validate(&self, tree: &Tree, node: NodeId, max: usize, out: &mut Vec<Violation>) -> bool {
        let start = out.len();
        let mut check = check::Check::new(tree, &self.program, out, max, STEPS_MAX);
        let valid = check.run(node);
        if check.exhausted {
            out.truncate(start);
            let expected = format!("a value that is checked in {STEPS_MAX} steps");
            out.push(Violation {
                node,
                member: None,
                keyword: "limit",
                found: check::found(tree, node),
                expected,
            });
            return false;
        }
        // A fallback gets its verdict from the crate; the run above has shown that the work is bounded.
        let Some((validator, _)) = &self.fallback else { return valid };
        out.truncate(start);
        fallback::validate(validator, tree, node, max, out)
    }

    /// The flat program, if the schema runs compiled.
    pub(crate) fn program(&self) -> Option<&program::Program> {
        self.fallback.is_none().then_some(&self.program)
    }

    /// Whether the schema runs compiled.
    #[must_use]
    pub fn runs_compiled(&self) -> bool {
        self.fallback.is_none()
    }

    /// Why the schema runs in the `jsonschema` crate: a pointer into it and a reason.
    #[must_use]
    pub fn fallback_reason(&self) -> Option<&str> {
        self.fallback.as_ref().map(|(_, reason)| reason.as_str())
    }
}

/// Checks the schema itself against its metaschema.
fn check_form(schema: &Value) -> Result<(), Vec<SchemaProblem>> {
    if !fallback::is_default_dialect(schema) {
        return Ok(());
    }
    let validator = jsonschema::draft202012::meta::validator();
    let problems: Vec<SchemaProblem> = validator
        .iter_errors(schema)
        .take(100)
        .map(|error| SchemaProblem {
            pointer: error.instance_path().as_str().to_owned(),
            message: crate::reject::shorten(&error.to_string()),
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

#[cfg(test)]
mod differential_tests;
#[cfg(test)]
mod suite_tests;
#[cfg(test)]
mod tests;
