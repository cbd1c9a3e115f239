//! Words of a contract's schema that JSON Schema does not know: a misspelt keyword would assert nothing.

use crate::plan::contract::place_of;
use crate::plan::limits;
use crate::plan::read::{File, nearest};
use crate::yaml::{Node, Value};

/// Keywords of draft 2020-12, and ours.
const KEYWORDS: &[&str] = &[
    "$anchor",
    "$comment",
    "$defs",
    "$dynamicAnchor",
    "$dynamicRef",
    "$id",
    "$ref",
    "$schema",
    "$vocabulary",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "dependentRequired",
    "dependentSchemas",
    "deprecated",
    "description",
    "else",
    "enum",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "if",
    "items",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "readOnly",
    "required",
    "then",
    "title",
    "type",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
    "writeOnly",
];

/// Formats that are asserted.
const FORMATS: &[&str] = &[
    "date",
    "date-time",
    "decimal",
    "duration",
    "email",
    "hostname",
    "idn-email",
    "idn-hostname",
    "ipv4",
    "ipv6",
    "iri",
    "iri-reference",
    "json-pointer",
    "regex",
    "relative-json-pointer",
    "time",
    "uri",
    "uri-reference",
    "uri-template",
    "uuid",
];

/// Keywords whose members are schemas by a free name.
const NAMED: &[&str] = &["properties", "patternProperties", "$defs", "dependentSchemas"];
/// Keywords whose value is no schema.
const DATA: &[&str] = &["const", "default", "enum", "examples", "required", "type", "dependentRequired"];

/// Notes every keyword and format of a schema that means nothing.
pub fn check(schema: &Node, file: &mut File<'_>) {
    if let Value::List(items) = &schema.value {
        for item in items {
            check(item, file);
        }
    }
    limits::check(schema, file);
    for (key, value) in schema.entries() {
        let word = key.text.as_str();
        if word.starts_with("x-") || DATA.contains(&word) {
            continue;
        }
        if !KEYWORDS.contains(&word) {
            let message = format!("{word} is no keyword of JSON Schema and would assert nothing");
            match nearest(word, KEYWORDS) {
                Some(close) => file.error_hint(key.place, message, format!("did you mean {close}?")),
                None => file.error_hint(key.place, message, format!("an annotation of your own is x-{word}")),
            }
        } else if word == "format" {
            format(value, file);
        } else if NAMED.contains(&word) {
            for (_, member) in value.entries() {
                check(member, file);
            }
        } else {
            check(value, file);
        }
    }
}

fn format(value: &Node, file: &mut File<'_>) {
    let Some(name) = value.text().filter(|name| !FORMATS.contains(name)) else { return };
    let message = format!("the format {name} is not known and would assert nothing");
    let hint = match nearest(name, FORMATS) {
        Some(close) => format!("did you mean {close}?"),
        None => format!("known are {}", FORMATS.join(", ")),
    };
    file.error_hint(place_of(value, ""), message, hint);
}
