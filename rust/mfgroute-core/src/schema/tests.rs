//! Schemas at their boundary.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{CodeSet, Schema, SchemaOptions, Violation};
use crate::tree::{NONE, Tree};

fn codes(set: &str) -> Option<CodeSet> {
    (set == "rec20").then(|| Arc::new(|code: &str| matches!(code, "KGM" | "C62")) as CodeSet)
}

fn compile(schema: &Value) -> Schema {
    Schema::compile(
        schema,
        &SchemaOptions { assert_formats: true, code_sets: &codes, ..SchemaOptions::default() },
    )
    .unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn check(schema: &Schema, data: &Value, max: usize) -> (Tree, Vec<Violation>) {
    let mut tree = Tree::new();
    let root = tree.add_serde(NONE, "", data);
    let mut out = Vec::new();
    schema.validate(&tree, root, max, &mut out);
    (tree, out)
}

fn contract() -> Value {
    json!({
        "type": "object",
        "required": ["order", "operation", "quantity"],
        "additionalProperties": false,
        "properties": {
            "order": {"type": "string", "minLength": 1, "maxLength": 12},
            "operation": {"type": "string", "pattern": "^[0-9]{4}$"},
            "posting_date": {"type": "string", "format": "date"},
            "severity": {"enum": ["minor", "major"]},
            "serials": {"type": "array", "maxItems": 3, "items": {"type": "string"}},
            "quantity": {
                "type": "object",
                "required": ["good", "unit"],
                "additionalProperties": false,
                "properties": {
                    "good": {"type": "string", "format": "decimal", "x-decimal": {"min": "0", "digits": 13, "places": 3}},
                    "unit": {"type": "string", "x-codes": "rec20"}
                }
            }
        }
    })
}

#[test]
fn a_contract_runs_compiled_and_names_what_is_wrong() {
    let schema = compile(&contract());
    assert!(schema.runs_compiled());
    let good = json!({"order": "4711", "operation": "0010", "quantity": {"good": "1.5", "unit": "KGM"}});
    assert_eq!(check(&schema, &good, 1).1, []);
    let cases = [
        (json!({"good": "1.5"}), "/quantity/unit", "required"),
        (json!({"good": "1.5", "unit": "KGM", "x": 1}), "/quantity/x", "additionalProperties"),
        (json!({"good": "1.5555", "unit": "KGM"}), "/quantity/good", "x-decimal"),
        (json!({"good": "-1", "unit": "KGM"}), "/quantity/good", "x-decimal"),
        (json!({"good": "1e3", "unit": "KGM"}), "/quantity/good", "format"),
        (json!({"good": 1, "unit": "KGM"}), "/quantity/good", "type"),
        (json!({"good": "1", "unit": "kg"}), "/quantity/unit", "x-codes"),
    ];
    for (quantity, pointer, keyword) in cases {
        let mut data = good.clone();
        data["quantity"] = quantity;
        let (tree, out) = check(&schema, &data, 1);
        assert_eq!((out[0].pointer(&tree).as_str(), out[0].keyword), (pointer, keyword), "{data}");
    }
}

#[test]
fn the_number_of_violations_is_the_callers_choice() {
    let schema = compile(&contract());
    let data = json!({"order": "", "operation": "x", "more": 1});
    assert_eq!(check(&schema, &data, 1).1.len(), 1);
    assert_eq!(check(&schema, &data, 3).1.len(), 3);
    assert_eq!(check(&schema, &data, 100).1.len(), 4);
}

#[test]
fn our_keywords_hold_in_the_fallback_too() {
    let mut schema = contract();
    schema.as_object_mut().unwrap().remove("additionalProperties");
    schema["unevaluatedProperties"] = json!(false);
    let schema = compile(&schema);
    assert_eq!(
        schema.fallback_reason(),
        Some("/unevaluatedProperties: unevaluatedProperties is not compiled")
    );
    let good = json!({"order": "4711", "operation": "0010", "quantity": {"good": "1.5", "unit": "KGM"}});
    assert_eq!(check(&schema, &good, 1).1, []);
    for (pointer, bad) in [
        ("/quantity/good", json!({"good": "1.5555", "unit": "KGM"})),
        ("/quantity/good", json!({"good": "1e3", "unit": "KGM"})),
        ("/quantity/unit", json!({"good": "1", "unit": "kg"})),
        ("/quantity/unit", json!({"good": "1"})),
        ("/quantity/x", json!({"good": "1", "unit": "KGM", "x": 1})),
    ] {
        let mut data = good.clone();
        data["quantity"] = bad;
        let (tree, out) = check(&schema, &data, 1);
        assert_eq!(out[0].pointer(&tree), pointer, "{out:?}");
    }
}

#[test]
fn a_bad_schema_is_refused_with_a_pointer() {
    let options = SchemaOptions { code_sets: &codes, ..SchemaOptions::default() };
    for (schema, pointer) in [
        (json!({"properties": {"a": {"type": "txt"}}}), "/properties/a/type"),
        (json!({"properties": {"a": {"x-codes": "rec21"}}}), "/properties/a/x-codes"),
        (json!({"properties": {"a": {"x-decimal": {"place": 1}}}}), "/properties/a/x-decimal/place"),
        (json!({"properties": {"a": {"pattern": "(?=a)"}}}), "/properties/a/pattern"),
        (json!({"properties": {"a": {"$ref": "https://elsewhere.example/x.json"}}}), "/properties/a/$ref"),
    ] {
        let problems = Schema::compile(&schema, &options).unwrap_err();
        assert_eq!(problems[0].pointer, pointer, "{problems:?}");
    }
}

#[test]
fn a_schema_bomb_is_refused() {
    let mut defs = serde_json::Map::new();
    for at in 0..40 {
        let next = json!({"$ref": format!("#/$defs/d{}", at + 1)});
        defs.insert(format!("d{at}"), json!({"allOf": [next, next]}));
    }
    defs.insert("d40".to_owned(), json!(true));
    let many: Vec<usize> = (0..20_000).collect();
    let mut deep = json!(true);
    for _ in 0..300 {
        deep = json!({"not": deep});
    }
    for schema in [
        json!({"$ref": "#/$defs/d0", "$defs": defs}),
        json!({"$ref": "#"}),
        json!({"allOf": [{"anyOf": [{"$ref": "#"}]}]}),
        json!({"enum": many}),
        json!({"pattern": "(((a{100}){100}){100})"}),
        deep,
    ] {
        let problems = Schema::compile(&schema, &SchemaOptions::default()).unwrap_err();
        assert!(!problems.is_empty());
    }
}

#[test]
fn recursion_that_doubles_with_depth_ends_with_a_violation() {
    let again = json!({"$ref": "#"});
    let schema = compile(&json!({"properties": {"a": {"allOf": [again, again, again, again]}}}));
    let mut data = json!({});
    for _ in 0..40 {
        data = json!({"a": data});
    }
    let (_, out) = check(&schema, &data, 1);
    assert_eq!(out[0].keyword, "limit");
}

#[test]
fn numbers_are_compared_exactly() {
    let schema: Value =
        serde_json::from_str(r#"{"minimum": 0.1, "maximum": 9007199254740993, "multipleOf": 0.1}"#).unwrap();
    let schema = compile(&schema);
    for (text, valid) in [
        ("0.1", true),
        ("0.3", true),
        ("9007199254740993.0", true),
        ("9007199254740993.1", false),
        ("0.09999999999999999999999999999999999999999999999999999", false),
        ("0.15", false),
    ] {
        let data: Value = serde_json::from_str(text).unwrap();
        assert_eq!(check(&schema, &data, 1).1.is_empty(), valid, "{text}");
    }
}

#[test]
fn the_plan_checker_learns_what_a_contract_allows() {
    let schema = compile(&contract());
    let good = schema.property(&["quantity", "good"]).unwrap();
    assert!(good.required && good.format_decimal);
    assert_eq!(good.types, ["string"]);
    assert!(!schema.property(&["posting_date"]).unwrap().required);
    assert!(schema.property(&["serials"]).unwrap().items);
    assert_eq!(schema.property(&["serials", "*"]).unwrap().types, ["string"]);
    assert_eq!(schema.property(&["severity"]).unwrap().enum_values.unwrap(), ["minor", "major"]);
    assert!(schema.property(&["nothing"]).is_none());
    assert!(schema.allows_field("quantity.good"));
    assert!(!schema.allows_field("quantity.bad"));
    assert!(!schema.allows_field("order.no"));
    assert_eq!(
        schema.required_fields(),
        ["order", "operation", "quantity", "quantity.good", "quantity.unit"]
    );
}

#[test]
fn a_value_that_no_object_may_have_is_told_before_any_object() {
    let schema = compile(&contract());
    let refused = |path: &[&str], value: Value| schema.refuses(path, &value);
    assert_eq!(refused(&["operation"], json!("010")).unwrap(), "text that matches ^[0-9]{4}$");
    assert_eq!(refused(&["quantity", "good"], json!("-1")).unwrap(), "at least 0");
    assert_eq!(refused(&["serials", "*"], json!(1)).unwrap(), "type string");
    assert_eq!(refused(&["quantity"], json!({"good": "1"})).unwrap(), "a member unit");
    assert_eq!(refused(&["order"], json!("4711")), None);
    assert_eq!(refused(&["nothing"], json!(1)), None, "another check refuses the field itself");
    assert!(schema.knows_field("quantity.good") && !schema.knows_field("quantity.bad"));
}

#[test]
fn a_schema_that_is_not_compiled_is_asked_for_types_only() {
    let schema = compile(&json!({
        "properties": {"a": {"type": "integer", "not": {"multipleOf": 2}}},
        "unevaluatedProperties": false
    }));
    assert!(!schema.runs_compiled());
    assert_eq!(schema.refuses(&["a"], &json!("x")).unwrap(), "type integer");
    assert_eq!(schema.refuses(&["a"], &json!(2)), None);
}
