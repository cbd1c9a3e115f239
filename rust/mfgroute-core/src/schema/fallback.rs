//! What the compiled program does not cover runs in the `jsonschema` crate.

use std::collections::HashMap;

use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::Location;
use jsonschema::{Draft, Keyword, PatternOptions, Registry, ValidationError, Validator};
use serde_json::{Map, Value};

use super::format::Format;
use super::program::DecimalRule;
use super::{CodeSet, SchemaOptions, SchemaProblem, Violation, check, format, pattern};
use crate::tree::{Kind, NodeId, Tree};
use crate::value::Decimal;

/// Builds the validator. Nothing is fetched; patterns run in linear time.
pub(crate) fn build(schema: &Value, options: &SchemaOptions<'_>) -> Result<Validator, Vec<SchemaProblem>> {
    let resources: Vec<&(String, Value)> = options.resources.iter().collect();
    let mut registry = Registry::new();
    for (address, document) in resources {
        registry = registry.add(address, document).map_err(|error| problem("", &error))?;
    }
    let registry = registry.retriever(Nothing).prepare().map_err(|error| problem("", &error))?;
    let assert = options.assert_formats;
    let mut sets: HashMap<String, CodeSet> = HashMap::new();
    for document in std::iter::once(schema).chain(options.resources.iter().map(|(_, document)| document)) {
        collect_sets(document, options, &mut sets);
    }
    jsonschema::options()
        .offline()
        .with_registry(&registry)
        .with_pattern_options(
            PatternOptions::regex()
                .size_limit(pattern::PATTERN_BYTES_MAX)
                .dfa_size_limit(pattern::PATTERN_BYTES_MAX),
        )
        .with_keyword("format", move |_: &Map<String, Value>, value: &Value, _: Location| {
            Ok(Box::new(FormatRule(value.as_str().and_then(|name| Format::new(name, assert)))) as Rule)
        })
        .with_keyword("x-decimal", |_: &Map<String, Value>, value: &Value, _: Location| {
            let rule = DecimalRule::read(value).map_err(|(_, message)| ValidationError::custom(message))?;
            Ok(Box::new(rule) as Rule)
        })
        .with_keyword("x-codes", move |_: &Map<String, Value>, value: &Value, _: Location| {
            let set = value.as_str().unwrap_or_default();
            let codes =
                sets.get(set).ok_or_else(|| ValidationError::custom(format!("unknown code set {value}")))?;
            Ok(Box::new(CodeRule(set.to_owned(), codes.clone())) as Rule)
        })
        .build(schema)
        .map_err(|error| problem(error.instance_path().as_str(), &error))
}

type Rule = Box<dyn for<'i> Keyword<'i>>;

fn problem(pointer: &str, error: &dyn std::fmt::Display) -> Vec<SchemaProblem> {
    vec![SchemaProblem { pointer: pointer.to_owned(), message: error.to_string() }]
}

/// Refuses every reference that is not among the resources.
struct Nothing;

impl jsonschema::Retrieve for Nothing {
    fn retrieve(
        &self,
        uri: &jsonschema::Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err(format!("{uri} is not among the resources, and nothing is fetched").into())
    }
}

fn collect_sets(value: &Value, options: &SchemaOptions<'_>, sets: &mut HashMap<String, CodeSet>) {
    let mut stack = vec![value];
    while let Some(value) = stack.pop() {
        match value {
            Value::Array(items) => stack.extend(items),
            Value::Object(object) => {
                if let Some(set) = object.get("x-codes").and_then(Value::as_str)
                    && let Some(codes) = (options.code_sets)(set)
                {
                    sets.insert(set.to_owned(), codes);
                }
                stack.extend(object.values());
            }
            _ => {}
        }
    }
}

struct FormatRule(Option<Format>);

impl<'i> Keyword<'i> for FormatRule {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        match (&self.0, instance) {
            (Some(format), Value::String(text)) if !format.accepts(text) => {
                Err(ValidationError::custom(format!("format {}", format.name())))
            }
            _ => Ok(()),
        }
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        self.validate(instance).is_ok()
    }
}

impl<'i> Keyword<'i> for DecimalRule {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        let value = match instance {
            Value::String(text) => format::decimal(text),
            Value::Number(number) => Decimal::parse(number.as_str()),
            _ => return Ok(()),
        };
        let broken = match value {
            Ok(value) => self.broken(value),
            Err(_) => Some("a decimal of at most 38 digits".to_owned()),
        };
        broken.map_or(Ok(()), |expected| Err(ValidationError::custom(expected)))
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        self.validate(instance).is_ok()
    }
}

struct CodeRule(String, CodeSet);

impl<'i> Keyword<'i> for CodeRule {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        match instance {
            Value::String(text) if !(self.1)(text) => {
                Err(ValidationError::custom(format!("a code of {}", self.0)))
            }
            _ => Ok(()),
        }
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        self.validate(instance).is_ok()
    }
}

/// Validates a value of a tree and tells up to `max` violations.
pub(crate) fn validate(
    validator: &Validator,
    tree: &Tree,
    node: NodeId,
    max: usize,
    out: &mut Vec<Violation>,
) -> bool {
    let value = tree.to_serde(node);
    if validator.is_valid(&value) {
        return true;
    }
    out.extend(validator.iter_errors(&value).take(max).map(|error| violation(tree, node, &error)));
    false
}

fn violation(tree: &Tree, root: NodeId, error: &ValidationError<'_>) -> Violation {
    let mut node = locate(tree, root, error.instance_path().as_str());
    let mut member = None;
    let keyword = keyword(error.kind());
    let mut expected = error.to_string();
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            expected = format!("a member {name}");
            member = Some(name.into());
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            if let Some(child) = unexpected.first().and_then(|name| tree.child(node, name)) {
                node = child;
            }
            "a member that the schema names".clone_into(&mut expected);
        }
        _ => {}
    }
    let found = if member.is_some() { "nothing".to_owned() } else { check::found(tree, node) };
    Violation { node, member, keyword, found, expected: crate::reject::shorten(&expected) }
}

fn locate(tree: &Tree, root: NodeId, pointer: &str) -> NodeId {
    let mut node = root;
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        let child = match tree.kind(node) {
            Kind::Array => step.parse().ok().and_then(|at| tree.children(node).nth(at)),
            _ => tree.child(node, &step),
        };
        let Some(child) = child else { break };
        node = child;
    }
    node
}

/// The keyword as a constant.
fn keyword(kind: &ValidationErrorKind) -> &'static str {
    const KNOWN: [&str; 32] = [
        "type",
        "required",
        "additionalProperties",
        "unevaluatedProperties",
        "unevaluatedItems",
        "enum",
        "const",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "pattern",
        "format",
        "minItems",
        "maxItems",
        "uniqueItems",
        "contains",
        "minProperties",
        "maxProperties",
        "propertyNames",
        "anyOf",
        "oneOf",
        "not",
        "x-decimal",
        "x-codes",
        "$ref",
        "false",
        "additionalItems",
        "dependentRequired",
    ];
    let name = match kind.keyword() {
        "falseSchema" => "false",
        other => other,
    };
    KNOWN.iter().find(|known| **known == name).copied().unwrap_or("schema")
}

/// The dialect of a schema without `$schema`.
pub(crate) fn is_default_dialect(schema: &Value) -> bool {
    Draft::Draft202012 == Draft::default().detect(schema)
}
