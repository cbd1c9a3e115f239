//! The compiled validator and the `jsonschema` crate give the same verdict.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Schema, SchemaOptions, fallback};
use crate::tree::{NONE, Tree};

fn number() -> impl Strategy<Value = Value> {
    let texts =
        ["0", "1", "1.0", "-1", "2.5", "0.1", "1e2", "100", "9007199254740993", "9007199254740992", "3"];
    prop::sample::select(texts.map(|text| serde_json::from_str::<Value>(text).unwrap()).to_vec())
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "ab", "x/y", "é"]).prop_map(str::to_owned)
}

fn scalar() -> impl Strategy<Value = Value> {
    let texts = [
        "",
        "a",
        "ab",
        "é",
        "abc",
        "2024-02-29",
        "2023-02-29",
        "12:00:00Z",
        "1.50",
        "007",
        "192.168.0.1",
        "\u{1F600}",
    ];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number(),
        prop::sample::select(texts.to_vec()).prop_map(Value::from),
    ]
}

fn document() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((name(), inner), 0..4).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn leaf_rule() -> impl Strategy<Value = (&'static str, Value)> {
    let types =
        prop::sample::select(vec!["null", "boolean", "integer", "number", "string", "array", "object"]);
    let count = || (0_u64..4).prop_map(Value::from);
    prop_oneof![
        types.clone().prop_map(|name| ("type", json!(name))),
        (types.clone(), types)
            .prop_filter("differ", |(a, b)| a != b)
            .prop_map(|(a, b)| ("type", json!([a, b]))),
        prop::collection::vec(scalar(), 1..4).prop_map(|items| ("enum", json!(items))),
        document().prop_map(|value| ("const", value)),
        number().prop_map(|value| ("minimum", value)),
        number().prop_map(|value| ("exclusiveMaximum", value)),
        prop::sample::select(vec![json!(2), json!(0.1), json!(2.5)]).prop_map(|value| ("multipleOf", value)),
        count().prop_map(|value| ("minLength", value)),
        count().prop_map(|value| ("maxLength", value)),
        prop::sample::select(vec!["^a", "^\\d+$", "\\w", "^[^a-c]*$", "a|b", "^.$"])
            .prop_map(|text| ("pattern", json!(text))),
        prop::sample::select(vec!["date", "time", "ipv4", "decimal", "uuid", "email"])
            .prop_map(|text| ("format", json!(text))),
        count().prop_map(|value| ("minItems", value)),
        count().prop_map(|value| ("maxProperties", value)),
        Just(("uniqueItems", json!(true))),
        prop::collection::vec(name(), 0..3).prop_map(|mut names| {
            names.sort();
            names.dedup();
            ("required", json!(names))
        }),
        (name(), name()).prop_map(|(name, need)| ("dependentRequired", json!({name: [need]}))),
        Just(("x-decimal", json!({"min": "0", "digits": 3, "places": 2}))),
        Just(("$ref", json!("#/$defs/d"))),
    ]
}

fn schema() -> impl Strategy<Value = Value> {
    let leaf = prop::collection::vec(leaf_rule(), 0..3)
        .prop_map(|rules| rules.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Value>());
    let leaf = prop_oneof![8 => leaf, 1 => any::<bool>().prop_map(Value::Bool)];
    leaf.prop_recursive(3, 20, 3, |inner| {
        let list = prop::collection::vec(inner.clone(), 1..3);
        let rule = prop_oneof![
            prop::collection::vec((name(), inner.clone()), 0..3)
                .prop_map(|members| ("properties", members.into_iter().collect::<Value>())),
            inner.clone().prop_map(|value| ("additionalProperties", value)),
            inner.clone().prop_map(|value| ("patternProperties", json!({"^a": value}))),
            inner.clone().prop_map(|value| ("propertyNames", value)),
            inner.clone().prop_map(|value| ("items", value)),
            inner.clone().prop_map(|value| ("contains", value)),
            inner.clone().prop_map(|value| ("not", value)),
            inner.clone().prop_map(|value| ("if", value)),
            inner.clone().prop_map(|value| ("then", value)),
            inner.clone().prop_map(|value| ("else", value)),
            (name(), inner).prop_map(|(name, value)| ("dependentSchemas", json!({name: value}))),
            (prop::sample::select(vec!["allOf", "anyOf", "oneOf", "prefixItems"]), list)
                .prop_map(|(key, items)| (key, json!(items))),
        ];
        prop::collection::vec(prop_oneof![3 => rule, 1 => leaf_rule()], 1..4)
            .prop_map(|rules| rules.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_validators_give_the_same_verdict(
        mut schema in schema(),
        definition in prop::sample::select(vec![json!(true), json!({"type": "string"}), json!({"properties": {"a": {"$ref": "#"}}})]),
        documents in prop::collection::vec(document(), 8),
    ) {
        if let Some(object) = schema.as_object_mut() {
            object.insert("$defs".to_owned(), json!({"d": definition}));
        } else {
            return Ok(());
        }
        let options = SchemaOptions { assert_formats: true, ..SchemaOptions::default() };
        let compiled = Schema::compile(&schema, &options).map_err(|problems| TestCaseError::fail(format!("{problems:?} {schema}")))?;
        prop_assert!(compiled.runs_compiled());
        let other = fallback::build(&schema, &options).map_err(|problems| TestCaseError::fail(format!("{problems:?}")))?;
        for document in documents {
            let mut tree = Tree::new();
            let root = tree.add_serde(NONE, "", &document);
            let valid = compiled.validate(&tree, root, 1, &mut Vec::new());
            let expected = fallback::validate(&other, &tree, root, 1, &mut Vec::new());
            prop_assert_eq!(valid, expected, "{} against {}", document, schema);
        }
    }
}
