//! Compiling a contract file.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::contract::{Business, Contract, Field};
use crate::plan::keywords;
use crate::plan::read::File;
use crate::problem::Place;
use crate::schema::{self, Schema, SchemaOptions};
use crate::tree::{NONE, Tree};
use crate::units;
use crate::yaml::{Node, Value};

const KEYS: &[&str] = &[
    "type",
    "version",
    "kind",
    "stream",
    "owner",
    "lifecycle",
    "key",
    "idempotency",
    "across_sources",
    "volatile",
    "business",
    "schema",
    "examples",
    "title",
    "description",
    "rules",
    "compatibility",
];

/// Compiles one contract; `None` when it has errors.
pub fn compile(node: &Node, namespace: &str, file: &mut File<'_>) -> Option<Contract> {
    let errors = file.problems.0.len();
    if !file.keys(node, "a contract", KEYS) {
        return None;
    }
    not_yet(node, "rules", file);
    let name = file.required_text(node, "the contract", "type")?.to_owned();
    let version = file.required_text(node, "the contract", "version")?.to_owned();
    let major = version.split('.').next().and_then(|part| part.parse().ok());
    if major.is_none() || version.split('.').count() != 3 {
        let place = node.get("version").map_or(node.place, |version| version.place);
        file.error(place, format!("version is {version}, expected major.minor.patch like 1.0.0"));
    }
    let kind = file.text(node, "kind").unwrap_or("event").to_owned();
    if !["event", "command", "telemetry"].contains(&kind.as_str()) {
        file.error(node.place, format!("kind is {kind}, expected event, command or telemetry"));
    }
    lifecycle(node, file);
    let schema = compile_schema(node, file)?;
    let key = key(node, &schema, file)?;
    let idempotency = fields(node, "idempotency", &schema, true, file);
    if idempotency.is_empty() {
        file.error(
            node.place,
            "the contract has no idempotency, expected the fields that tell one fact from another",
        );
    }
    let volatile = fields(node, "volatile", &schema, false, file);
    let business = business(node, &schema, file);
    let examples = node.get("examples").map(|list| list.items().iter().map(Node::to_serde).collect());
    let major = major.unwrap_or(1);
    let contract = Contract {
        dataschema: format!("mfgroute:contract:{name}:{version}"),
        full_type: format!("{namespace}.{name}.v{major}").into(),
        name,
        major,
        version,
        kind,
        stream: file.text(node, "stream").unwrap_or("business").to_owned(),
        owner: file.text(node, "owner").unwrap_or_default().to_owned(),
        file: file.name.to_owned(),
        key,
        idempotency,
        across_sources: file.flag(node, "across_sources"),
        volatile,
        business,
        schema: Arc::new(schema),
        examples: examples.unwrap_or_default(),
    };
    check_examples(&contract, node, file);
    (file.problems.0.len() == errors).then_some(contract)
}

fn not_yet(node: &Node, key: &str, file: &mut File<'_>) {
    if let Some(member) = node.get(key) {
        file.error(member.place, format!("{key} is not available in this version"));
    }
}

fn lifecycle(node: &Node, file: &mut File<'_>) {
    let Some(lifecycle) = node.get("lifecycle") else { return };
    file.keys(lifecycle, "lifecycle", &["status", "since", "sunset", "successor"]);
    let status = file.text(lifecycle, "status").unwrap_or("active");
    if !["active", "deprecated"].contains(&status) {
        file.error(lifecycle.place, format!("status is {status}, expected active or deprecated"));
    }
}

fn compile_schema(node: &Node, file: &mut File<'_>) -> Option<Schema> {
    let Some(schema) = node.get("schema") else {
        file.error(node.place, "the contract has no schema");
        return None;
    };
    keywords::check(schema, file);
    let options = SchemaOptions { assert_formats: true, resources: &[], code_sets: &code_set };
    match Schema::compile(&schema.to_serde(), &options) {
        Ok(compiled) => Some(compiled),
        Err(problems) => {
            for problem in problems {
                let place = place_of(schema, &problem.pointer);
                file.error(
                    place,
                    format!("the schema is wrong at {:?}: {}", problem.pointer, problem.message),
                );
            }
            None
        }
    }
}

/// The test for `x-codes`.
#[must_use]
pub fn code_set(name: &str) -> Option<schema::CodeSet> {
    let set = units::CodeSet::by_name(name)?;
    Some(Arc::new(move |code: &str| set.unit(code).is_some()))
}

/// The place of the value at a pointer, or of the nearest value above it.
#[must_use]
pub fn place_of(node: &Node, pointer: &str) -> Place {
    let mut at = node;
    for step in pointer.split('/').skip(1) {
        let name = step.replace("~1", "/").replace("~0", "~");
        let next = match &at.value {
            Value::List(items) => name.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => at.get(&name),
        };
        match next {
            Some(node) => at = node,
            None => break,
        }
    }
    at.place
}

fn key(node: &Node, schema: &Schema, file: &mut File<'_>) -> Option<(String, Vec<Field>)> {
    let Some(key) = node.get("key") else {
        file.error(
            node.place,
            "the contract has no key, expected for example `key: {order: [data.site, data.order]}`",
        );
        return None;
    };
    let [(name, parts)] = key.entries() else {
        file.error(
            key.place,
            "key has not exactly one name, expected for example {order: [data.site, data.order]}",
        );
        return None;
    };
    let fields: Vec<Field> = file.texts(parts, "a key field").iter().map(|text| Field::parse(text)).collect();
    require(&fields, schema, "the key field", parts.place, file);
    Some((name.text.clone(), fields))
}

fn fields(node: &Node, key: &str, schema: &Schema, required: bool, file: &mut File<'_>) -> Vec<Field> {
    let Some(list) = node.get(key) else { return Vec::new() };
    let fields: Vec<Field> = file.texts(list, key).iter().map(|text| Field::parse(text)).collect();
    if required {
        require(&fields, schema, &format!("the {key} field"), list.place, file);
    }
    fields
}

/// Key and identity fields must be there in every valid event.
fn require(fields: &[Field], schema: &Schema, what: &str, place: Place, file: &mut File<'_>) {
    let required = schema.required_fields();
    for field in fields {
        let dotted = field.dotted();
        if !required.contains(&dotted) {
            let hint = format!("add it to `required` in the schema, or take it out of the {what}s");
            let hint = hint.replace("the the", "the");
            file.error_hint(place, format!("{what} {dotted} is not required by the schema"), hint);
        }
    }
}

fn business(node: &Node, schema: &Schema, file: &mut File<'_>) -> Business {
    let Some(business) = node.get("business") else { return Business::default() };
    file.keys(business, "business", &["process", "transaction", "step"]);
    let transaction = file.text(business, "transaction").map(Field::parse);
    if let Some(field) = &transaction
        && !schema.allows_field(&field.dotted())
    {
        file.error(business.place, format!("the transaction field {} is not in the schema", field.dotted()));
    }
    Business {
        process: file.text(business, "process").map(str::to_owned),
        transaction,
        step: file.text(business, "step").map(str::to_owned),
    }
}

fn check_examples(contract: &Contract, node: &Node, file: &mut File<'_>) {
    let places: Vec<Place> = node
        .get("examples")
        .map(|list| list.items().iter().map(|item| item.place).collect())
        .unwrap_or_default();
    for (example, place) in contract.examples.iter().zip(places) {
        let data = match example {
            Json::Object(members) if members.len() <= 2 => members.get("data").unwrap_or(example),
            _ => example,
        };
        let mut tree = Tree::new();
        let root = tree.add_serde(NONE, "", data);
        let mut violations = Vec::new();
        contract.schema.validate(&tree, root, 3, &mut violations);
        for violation in violations {
            let pointer = violation.pointer(&tree);
            let (found, expected) = (&violation.found, &violation.expected);
            file.error(
                place,
                format!("the example is not valid at {pointer:?}: {found}, expected {expected}"),
            );
        }
    }
}
