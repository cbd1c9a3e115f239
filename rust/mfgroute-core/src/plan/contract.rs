//! Compiling a contract file.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::contract::{Business, Contract, Field};
use crate::plan::read::{File, nearest};
use crate::plan::{keywords, lifecycle, rules};
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
const KINDS: &[&str] = &["event", "command", "telemetry"];
/// JSON types whose values have one text, as a key or an identity needs it.
const SCALARS: &[&str] = &["string", "number", "integer", "boolean"];

/// Compiles one contract; `None` when it has errors.
pub fn compile(node: &Node, namespace: &str, file: &mut File<'_>) -> Option<Contract> {
    let errors = file.errors();
    if !file.keys(node, "a contract", KEYS) {
        return None;
    }
    // A mistake in one place does not hide those in others: with stand-ins, everything else is still checked.
    let name = file.required_text(node, "the contract", "type").map(str::to_owned);
    let version = file.required_text(node, "the contract", "version").map(str::to_owned);
    let major = match (&name, &version) {
        (Some(name), Some(version)) => name_and_version(node, name, version, file),
        _ => 1,
    };
    let (name, version) = (name.unwrap_or_default(), version.unwrap_or_default());
    let kind = file.text(node, "kind").unwrap_or("event").to_owned();
    if !KINDS.contains(&kind.as_str()) {
        let message = format!("kind is {kind}, expected event, command or telemetry");
        file.error_near(place_of(node, "/kind"), message, &kind, KINDS);
    }
    let deprecation = lifecycle::read(node, &format!("{name}/{major}"), file);
    let compiled = compile_schema(node, file);
    let is_whole = compiled.is_some();
    let schema = compiled.or_else(|| outline(node))?;
    let key = key(node, &schema, file).unwrap_or_default();
    let idempotency = identity(node, &schema, file);
    let volatile = volatile(node, &schema, file);
    let business = business(node, &schema, file);
    let rules = rules::read(node, &format!("{name}/{major}"), &schema, file);
    let examples = node.get("examples").map(|list| list.items().iter().map(Node::to_serde).collect());
    let contract = Contract {
        dataschema: format!("mfgroute:contract:{name}:{version}"),
        full_type: format!("{namespace}.{name}.v{major}").into(),
        name,
        major,
        version,
        deprecation,
        kind,
        stream: file.text(node, "stream").unwrap_or("business").to_owned(),
        stream_place: place_of(node, "/stream"),
        owner: file.text(node, "owner").unwrap_or_default().to_owned(),
        file: file.name.to_owned(),
        key,
        idempotency,
        across_sources: file.flag(node, "across_sources"),
        volatile,
        business,
        schema: Arc::new(schema),
        rules,
        examples: examples.unwrap_or_default(),
    };
    if is_whole {
        check_examples(&contract, node, file);
    }
    (file.errors() == errors).then_some(contract)
}

/// Checks type and version, also against the name of the file. Returns the major version, 1 if it is wrong.
fn name_and_version(node: &Node, name: &str, version: &str, file: &mut File<'_>) -> u32 {
    if !is_type(name) {
        let message = format!("the type is {name:?}, expected words with dots between them");
        let hint = "use lowercase letters, digits, `-` and `_`, such as production.operation.completed";
        file.error_hint(place_of(node, "/type"), message, hint);
        return 1;
    }
    let number = |part: &str| {
        let digits =
            part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
        if digits { part.parse::<u32>().ok() } else { None }
    };
    let parts: Vec<Option<u32>> = version.split('.').map(number).collect();
    let [Some(major), Some(_), Some(_)] = parts[..] else {
        let message = format!("version is {version}, expected major.minor.patch like 1.0.0");
        file.error(place_of(node, "/version"), message);
        return 1;
    };
    let full = file.name.rsplit('/').next().unwrap_or_default();
    let (stem, wanted) = (full.trim_end_matches(".yaml"), format!("{name}.v{major}"));
    if stem != wanted {
        let same_type = stem.rsplit_once(".v").is_some_and(|(known, _)| known == name);
        let (place, what) = if same_type {
            (place_of(node, "/version"), format!("version is {version}"))
        } else {
            (place_of(node, "/type"), format!("the type is {name}"))
        };
        let hint = format!("name the file {wanted}.yaml, or mend the contract");
        file.error_hint(place, format!("{what}, but the file is {full}"), hint);
    }
    major
}

/// Whether a text can be a type: words with dots between them.
#[must_use]
pub fn is_type(name: &str) -> bool {
    let word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
    };
    name.split('.').all(word)
}

fn compile_schema(node: &Node, file: &mut File<'_>) -> Option<Schema> {
    let Some(schema) = node.get("schema") else {
        file.error(node.place, "the contract has no schema");
        return None;
    };
    keywords::check(schema, file);
    let options = SchemaOptions { assert_formats: true, resources: &[], code_sets: &code_set };
    match Schema::compile(&schema.to_serde(), &options) {
        Ok(compiled) => {
            let types = compiled.property(&[]).map(|info| info.types).unwrap_or_default();
            if types.contains(&"object") {
                return Some(compiled);
            }
            let found = if types.is_empty() { "of no type".to_owned() } else { types.join(" or ") };
            file.error(place_of(schema, "/type"), format!("data is {found} in the schema, expected object"));
            None
        }
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

/// What a schema with mistakes says about fields: names, which are required, and types that are any.
fn outline(node: &Node) -> Option<Schema> {
    fn fields(schema: &Json) -> Json {
        let Json::Object(members) = schema else { return Json::Bool(true) };
        let mut kept = serde_json::Map::new();
        for (name, value) in members {
            let value = match (name.as_str(), value) {
                ("properties", Json::Object(below)) => {
                    Json::Object(below.iter().map(|(name, schema)| (name.clone(), fields(schema))).collect())
                }
                ("items", below) => fields(below),
                ("required", Json::Array(names)) if names.iter().all(Json::is_string) => value.clone(),
                ("type", Json::String(kind)) if schema::TYPES.contains(&kind.as_str()) => value.clone(),
                _ => continue,
            };
            kept.insert(name.clone(), value);
        }
        Json::Object(kept)
    }
    Schema::compile(&fields(&node.get("schema")?.to_serde()), &SchemaOptions::default()).ok()
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
    let fields = fields(parts, "a key field", file);
    if parts.items().is_empty() && parts.text().is_none() {
        file.error(parts.place, format!("the key {} has no fields", name.text));
    }
    require(&fields, schema, "key", file);
    Some((name.text.clone(), fields.into_iter().map(|(field, _)| field).collect()))
}

fn identity(node: &Node, schema: &Schema, file: &mut File<'_>) -> Vec<Field> {
    let list = node.get("idempotency");
    let errors = file.errors();
    let fields = list.map(|list| fields(list, "idempotency", file)).unwrap_or_default();
    require(&fields, schema, "idempotency", file);
    if fields.is_empty() && file.errors() == errors {
        file.error(
            list.unwrap_or(node).place,
            "the contract has no idempotency, expected the fields that tell one fact from another",
        );
    }
    fields.into_iter().map(|(field, _)| field).collect()
}

/// `volatile`: fields of the schema, or `time`, which is the event time.
fn volatile(node: &Node, schema: &Schema, file: &mut File<'_>) -> Vec<Field> {
    let fields = node.get("volatile").map(|list| fields(list, "volatile", file)).unwrap_or_default();
    for (field, place) in &fields {
        if field.dotted() != "time" {
            known(field, schema, "the volatile field", *place, file);
        }
    }
    fields.into_iter().map(|(field, _)| field).collect()
}

/// A text or a list of texts as fields, each with its place.
fn fields(list: &Node, what: &str, file: &mut File<'_>) -> Vec<(Field, Place)> {
    let items = if list.items().is_empty() { std::slice::from_ref(list) } else { list.items() };
    let empty = matches!(&list.value, Value::List(items) if items.is_empty());
    let texts = items.iter().filter(|_| !empty);
    texts.filter_map(|item| Some((Field::parse(file.as_text(item, what)?), item.place))).collect()
}

/// Notes a field that the schema does not name.
fn known(field: &Field, schema: &Schema, what: &str, place: Place, file: &mut File<'_>) {
    let dotted = field.dotted();
    if schema.allows_field(&dotted) && schema.knows_field(&dotted) {
        return;
    }
    let names = schema.fields(8);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    file.error_near(place, format!("{what} {dotted} is not in the schema"), &dotted, &names);
}

/// Key and identity fields must be there in every valid event, and be one text.
fn require(fields: &[(Field, Place)], schema: &Schema, key: &str, file: &mut File<'_>) {
    let required = schema.required_fields();
    for (field, place) in fields {
        let dotted = field.dotted();
        if !required.contains(&dotted) {
            let names: Vec<&str> = required.iter().map(String::as_str).collect();
            let hint = match nearest(&dotted, &names).filter(|_| !schema.knows_field(&dotted)) {
                Some(name) => format!("did you mean data.{name}?"),
                None => format!("add it to `required` in the schema, or take it out of {key}"),
            };
            let message = format!("the {key} field {dotted} is not required by the schema");
            file.error_hint(*place, message, hint);
            continue;
        }
        let path: Vec<&str> = field.0.iter().map(String::as_str).collect();
        let Some(info) = schema.property(&path) else { continue };
        if !info.types.iter().any(|name| SCALARS.contains(name)) {
            let found = info.types.join(" or ");
            file.error(*place, format!("the {key} field {dotted} is {found}, expected a text or number"));
        }
    }
}

fn business(node: &Node, schema: &Schema, file: &mut File<'_>) -> Business {
    let Some(business) = node.get("business") else { return Business::default() };
    file.keys(business, "business", &["process", "transaction", "step"]);
    let transaction = file.text(business, "transaction").map(Field::parse);
    if let Some(field) = &transaction {
        known(field, schema, "the transaction field", place_of(business, "/transaction"), file);
    }
    Business {
        process: file.text(business, "process").map(str::to_owned),
        transaction,
        step: file.text(business, "step").map(str::to_owned),
    }
}

fn check_examples(contract: &Contract, node: &Node, file: &mut File<'_>) {
    let nodes = node.get("examples").map(Node::items).unwrap_or_default();
    for (example, node) in contract.examples.iter().zip(nodes) {
        let (data, node) = match (example, node.get("data")) {
            (Json::Object(members), Some(below)) if members.len() <= 2 => {
                (members.get("data").unwrap_or(example), below)
            }
            _ => (example, node),
        };
        let mut tree = Tree::new();
        let root = tree.add_serde(NONE, "", data);
        let mut violations = Vec::new();
        contract.schema.validate(&tree, root, 3, &mut violations);
        for violation in &violations {
            let pointer = violation.pointer(&tree);
            let (found, expected) = (&violation.found, &violation.expected);
            let message = format!("the example is not valid at {pointer:?}: {found}, expected {expected}");
            file.error(place_of(node, &pointer), message);
        }
        if violations.is_empty()
            && let Some(broken) = contract.broken_rule(&tree, root)
        {
            let pointer = broken.field.map(|(_, field)| tree.pointer(field)).unwrap_or_default();
            let message = format!("the example breaks {}; found {}", broken.expected, broken.found);
            file.error(place_of(node, &pointer), message);
        }
    }
}
