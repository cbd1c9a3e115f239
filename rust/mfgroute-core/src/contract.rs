//! Contracts: type, version, schema, key and identity of an event.
//!
//! * [`rule`]: what must hold between the fields of its `data`.
//! * [`lifecycle`]: contracts that are to go.

pub mod lifecycle;
pub mod rule;

use std::sync::Arc;

use serde_json::Value as Json;

use crate::contract::lifecycle::Deprecation;
use crate::contract::rule::Rule;
use crate::identity::IdHasher;
use crate::problem::Place;
use crate::schema::Schema;
use crate::tree::{Kind, NodeId, Tree};

/// A contract, compiled.
#[derive(Debug)]
pub struct Contract {
    /// Type without namespace and version: `production.operation.completed`.
    pub name: String,
    /// Major version.
    pub major: u32,
    /// Full version: `1.2.0`.
    pub version: String,
    /// `event`, `command` or `telemetry`.
    pub kind: String,
    /// Name of the stream.
    pub stream: String,
    /// Where the file names the stream, for messages.
    pub stream_place: Place,
    /// Who answers for it.
    pub owner: String,
    /// Until when it is used, if it is to go.
    pub deprecation: Option<Deprecation>,
    /// CloudEvents type: `<namespace>.<name>.v<major>`.
    pub full_type: Arc<str>,
    /// CloudEvents `dataschema`: `mfgroute:contract:<name>:<version>`.
    pub dataschema: String,
    /// Where it was read, for messages.
    pub file: String,
    /// Name of the key (`order`) and the fields it is made of.
    pub key: (String, Vec<Field>),
    /// Fields that tell one fact from another.
    pub idempotency: Vec<Field>,
    /// Whether the source is no part of the identity.
    pub across_sources: bool,
    /// Fields that do not count when a re-send is compared.
    pub volatile: Vec<Field>,
    /// Process, transaction field and step, for business activity monitoring.
    pub business: Business,
    /// Schema of `data`.
    pub schema: Arc<Schema>,
    /// What must hold between fields, tried in their order when the schema is met.
    pub rules: Vec<Rule>,
    /// Examples of `data` that must be valid.
    pub examples: Vec<Json>,
}

/// Which business transaction an event belongs to.
#[derive(Debug, Default)]
pub struct Business {
    /// Process model, such as `order-to-production`.
    pub process: Option<String>,
    /// Field that names the transaction.
    pub transaction: Option<Field>,
    /// Step, such as `operation-completed`.
    pub step: Option<String>,
}

/// A field of `data` by its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field(pub Vec<String>);

impl Field {
    /// Reads `data.a.b` or `a.b`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(text.strip_prefix("data.").unwrap_or(text).split('.').map(str::to_owned).collect())
    }

    /// The value in `data`, if it is there.
    #[must_use]
    pub fn find(&self, tree: &Tree, root: NodeId) -> Option<NodeId> {
        self.0.iter().try_fold(root, |at, name| tree.child(at, name))
    }

    /// The text of the scalar in `data`.
    #[must_use]
    pub fn text<'t>(&self, tree: &'t Tree, root: NodeId) -> Option<&'t str> {
        let id = self.find(tree, root)?;
        matches!(tree.kind(id), Kind::String | Kind::Number | Kind::Bool(_)).then(|| tree.text(id))
    }

    /// As written: `a.b`.
    #[must_use]
    pub fn dotted(&self) -> String {
        self.0.join(".")
    }
}

impl Contract {
    /// `production.operation.completed/1`, as mappings and routes name it.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}/{}", self.name, self.major)
    }

    /// What the first rule that `data` does not meet found; `data` satisfies the schema.
    #[must_use]
    pub fn broken_rule(&self, data: &Tree, root: NodeId) -> Option<rule::Broken> {
        self.rules.iter().find_map(|rule| rule.broken(data, root))
    }

    /// Writes the key: `order/DE04/4711`. `%` and `/` in a value are written `%25` and `%2F`, so that
    /// different values never make the same key. `Err` names a field that is absent.
    pub fn write_key(&self, tree: &Tree, root: NodeId, out: &mut String) -> Result<(), String> {
        let (name, fields) = &self.key;
        out.push_str(name);
        for field in fields {
            let text = field.text(tree, root).ok_or_else(|| field.dotted())?;
            out.push('/');
            write_key_part(text, out);
        }
        Ok(())
    }

    /// The event id, see [`crate::identity`]. `Err` names a field that is absent.
    pub fn id(&self, source: &str, tree: &Tree, root: NodeId) -> Result<u128, String> {
        let mut hasher = IdHasher::default();
        hasher.part(&self.name);
        hasher.part(if self.across_sources { "" } else { source });
        for field in &self.idempotency {
            hasher.part(field.text(tree, root).ok_or_else(|| field.dotted())?);
        }
        Ok(hasher.finish())
    }
}

/// Appends one value of a key: `%` and `/` are written `%25` and `%2F`.
pub fn write_key_part(text: &str, out: &mut String) {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'/') {
        return out.push_str(text);
    }
    for part in text.split_inclusive(['%', '/']) {
        match part.as_bytes().last() {
            Some(b'%') => {
                out.push_str(part);
                out.push_str("25");
            }
            Some(b'/') => {
                out.push_str(part.strip_suffix('/').unwrap_or(part));
                out.push_str("%2F");
            }
            _ => out.push_str(part),
        }
    }
}
