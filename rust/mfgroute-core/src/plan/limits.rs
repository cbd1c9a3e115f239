//! Values of a contract's schema that contradict each other: no event would pass, or a keyword asserts nothing.

use std::cmp::Ordering;

use crate::plan::read::File;
use crate::schema::compare_numbers;
use crate::yaml::{Node, Value};

/// Keywords that assert something of values of some types only.
const OF_TYPES: &[(&[&str], &[&str])] = &[
    (&["minLength", "maxLength", "pattern", "format", "x-codes"], &["string"]),
    (&["x-decimal"], &["string", "number", "integer"]),
    (&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"], &["number", "integer"]),
    (&["items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"], &["array"]),
    (
        &[
            "properties",
            "required",
            "additionalProperties",
            "patternProperties",
            "propertyNames",
            "minProperties",
            "maxProperties",
            "dependentRequired",
        ],
        &["object"],
    ),
];

/// A lower and an upper bound, and whether they may be equal.
const PAIRS: &[(&str, &str, bool)] = &[
    ("minLength", "maxLength", true),
    ("minItems", "maxItems", true),
    ("minContains", "maxContains", true),
    ("minProperties", "maxProperties", true),
    ("minimum", "maximum", true),
    ("minimum", "exclusiveMaximum", false),
    ("exclusiveMinimum", "maximum", false),
    ("exclusiveMinimum", "exclusiveMaximum", false),
];

/// Notes what is contradictory in one schema object; what is below it is not looked at.
pub fn check(schema: &Node, file: &mut File<'_>) {
    for (low, high, may_be_equal) in PAIRS {
        let (Some(low_at), Some(high_at)) = (schema.get(low), schema.get(high)) else { continue };
        let (Value::Number(min), Value::Number(max)) = (&low_at.value, &high_at.value) else { continue };
        let order = compare_numbers(min, max);
        if order == Ordering::Greater || (order == Ordering::Equal && !may_be_equal) {
            file.error(high_at.place, format!("{high} is {max}, expected more, as {low} is {min}"));
        }
    }
    if let Some(choice) = schema.get("enum").filter(|choice| choice.items().is_empty()) {
        file.error(choice.place, "enum has no values, so that nothing is possible");
    }
    types(schema, file);
    required(schema, file);
}

fn types(schema: &Node, file: &mut File<'_>) {
    let Some(types) = schema.get("type") else { return };
    let types: Vec<&str> = match &types.value {
        Value::List(items) => items.iter().filter_map(Node::text).collect(),
        _ => types.text().into_iter().collect(),
    };
    if types.is_empty() {
        return;
    }
    for (keywords, needed) in OF_TYPES {
        if types.iter().any(|name| needed.contains(name)) {
            continue;
        }
        for (key, _) in schema.entries().iter().filter(|(key, _)| keywords.contains(&&*key.text)) {
            let found = types.join(" or ");
            let message =
                format!("{} asserts nothing of {found}, expected type {}", key.text, needed.join(" or "));
            let decimal = schema.get("format").and_then(Node::text) == Some("decimal");
            match key.text.as_str() {
                "minimum" if decimal => file.error_hint(key.place, message, "write x-decimal: {min: …}"),
                "maximum" if decimal => file.error_hint(key.place, message, "write x-decimal: {max: …}"),
                _ => file.error(key.place, message),
            }
        }
    }
    for value in schema.get("enum").map(Node::items).unwrap_or_default().iter().chain(schema.get("const")) {
        let kind = match &value.value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::Text(_) => "string",
            Value::List(_) => "array",
            Value::Map(_) => "object",
        };
        let possible = types.contains(&kind) || (kind == "number" && types.contains(&"integer"));
        if !possible {
            let (found, expected) = (value.to_serde(), types.join(" or "));
            file.error(value.place, format!("{found} is never possible, as the type is {expected}"));
        }
    }
}

/// A required member that `additionalProperties: false` forbids.
fn required(schema: &Node, file: &mut File<'_>) {
    let closed =
        matches!(schema.get("additionalProperties").map(|node| &node.value), Some(Value::Bool(false)));
    if !closed || schema.get("patternProperties").is_some() {
        return;
    }
    let properties = schema.get("properties").map(Node::entries).unwrap_or_default();
    let names: Vec<&str> = properties.iter().map(|(key, _)| key.text.as_str()).collect();
    for item in schema.get("required").map(Node::items).unwrap_or_default() {
        let Some(name) = item.text().filter(|name| !names.contains(name)) else { continue };
        let message =
            format!("{name} is required, and not among the properties, which are all that is allowed");
        file.error_near(item.place, message, name, &names);
    }
}
