//! The index of routes leaves out only routes that evaluation would have passed over.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says so when it fails")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use serde_json::json;

use super::super::batch::Batch;
use super::super::finish::Finish;
use crate::decode::Limits;
use crate::decode::json::JsonDecoder;
use crate::expr::{Expr, ExprEnv};
use crate::plan::project::{self, Plan};
use crate::route::{Index, Route};
use crate::tree::Tree;

const OLD: &str = "\
type: shop.cut
version: 1.0.0
key: {cut: [data.id]}
idempotency: [data.id]
schema:
  type: object
  required: [id, place, qty, num]
  properties:
    id: {type: string}
    place: {type: string}
    opt: {type: string}
    qty: {type: string, format: decimal}
    num: {type: number}
    flag: {type: boolean}
    any: {}
    deep: {type: object, properties: {a: {type: object, properties: {b: {type: string}}}}}
    list: {type: array, items: {type: string}}
";
const NEW: &str = "\
type: shop.cut
version: 2.0.0
key: {cut: [data.id]}
idempotency: [data.id]
schema:
  type: object
  required: [id, qty]
  properties:
    id: {type: string}
    qty: {type: string, format: decimal}
";
/// Fails where `id` or `qty` is not there or `qty` is no number.
const UP: &str = "\
from: {contract: shop.cut/1}
emit:
  - {to: shop.cut/2, fields: {id: {path: id}, qty: {path: qty, scale: 2}}}
";
const SINKS: [&str; 4] = ["a", "b", "c", "d"];
const SOURCES: [(&str, &str); 4] =
    [("in", "urn:DE04/in"), ("other", "urn:DE04/other"), ("", "https://far.example/in"), ("in", "in")];

/// Of routes.
const LISTS: [&[&str]; 6] =
    [&[], &[], &["in"], &["other"], &["urn:DE04/in", "in"], &["https://far.example/in"]];

/// A project without routes.
fn plan(name: &str) -> Plan {
    let root = std::env::temp_dir().join(format!("mfgroute-routing-{name}-{}", std::process::id()));
    for sub in ["contracts", "mappings"] {
        fs::create_dir_all(root.join(sub)).unwrap();
    }
    fs::write(root.join("contracts/shop.cut.v1.yaml"), OLD).unwrap();
    fs::write(root.join("contracts/shop.cut.v2.yaml"), NEW).unwrap();
    fs::write(root.join("mappings/up.yaml"), UP).unwrap();
    let sinks: serde_json::Map<_, _> =
        SINKS.iter().map(|sink| ((*sink).to_owned(), json!({"adapter": "console", "owner": "t"}))).collect();
    let config = json!({
        "node": {"id": "t", "site": "DE04", "namespace": "com.example", "data_dir": "./data"},
        "streams": {"business": {"durability": "memory"}},
        "sources": {"in": {"adapter": "http"}},
        "sinks": sinks,
        "routes": [],
    });
    let compiled = project::compile(&root, &config, &BTreeMap::new(), None);
    fs::remove_dir_all(&root).unwrap();
    compiled.unwrap_or_else(|found| panic!("{found:#?}"))
}

/// What a route is made of.
#[derive(Clone, Debug)]
struct Draft {
    converted: bool,
    sources: Vec<&'static str>,
    condition: Option<String>,
    sinks: Vec<usize>,
}

/// Gives the plan these routes for its older contract; those whose condition does not compile are left out.
fn install(plan: &mut Plan, drafts: &[Draft]) {
    plan.routes.clear();
    for draft in drafts {
        let form = usize::from(draft.converted);
        let condition = match &draft.condition {
            None => None,
            Some(text) => {
                let schema = Some(&*plan.contracts[form].schema);
                let env = ExprEnv { schema, data: true, message: false, event: true };
                match Expr::compile_condition(text, &env) {
                    Ok(expr) => Some(expr),
                    Err(_) => continue,
                }
            }
        };
        plan.routes.push(Route {
            name: format!("r{}", plan.routes.len()),
            types: Vec::new(),
            sources: draft.sources.iter().map(|source| (*source).to_owned()).collect(),
            delivers: vec![Some(form), None],
            conditions: vec![condition, None],
            sinks: draft.sinks.clone(),
        });
    }
    plan.routes_of = vec![(0..plan.routes.len()).collect(), Vec::new()];
    plan.route_index = vec![Index::new(0, &plan.contracts, &plan.routes), Index::default()];
}

/// The sinks and versions of an event, or why it is refused: by the index, and by every route.
fn both(plan: &Plan, source: (&str, &str), data: &str) -> [String; 2] {
    let (mut tree, mut batch, mut finish) = (Tree::new(), Batch::default(), Finish::default());
    JsonDecoder::new(Limits::default()).decode(data.as_bytes(), &mut tree).unwrap();
    let (of, data) = ((0, &plan.contracts[0]), Some((&tree, 0)));
    let found = finish.routes_of(plan, of, source, data, &mut batch);
    let indexed = format!("{:?}", found.map(|range| (batch.sinks[range].to_vec(), finish.versions.clone())));
    finish.forms.clear();
    batch.sinks.clear();
    let found = finish.taken(plan, of, source, data, &plan.routes_of[0], &mut batch);
    let all = format!("{:?}", found.map(|range| (batch.sinks[range].to_vec(), finish.versions.clone())));
    [indexed, all]
}

/// How many routes are evaluated.
fn evaluated(plan: &Plan, source: (&str, &str), data: &str) -> usize {
    let (mut tree, mut batch, mut finish) = (Tree::new(), Batch::default(), Finish::default());
    JsonDecoder::new(Limits::default()).decode(data.as_bytes(), &mut tree).unwrap();
    let _ = finish.routes_of(plan, (0, &plan.contracts[0]), source, Some((&tree, 0)), &mut batch);
    finish.candidates.len()
}

fn draft(condition: &str) -> Draft {
    Draft { converted: false, sources: Vec::new(), condition: Some(condition.to_owned()), sinks: vec![0] }
}

const FIELDS: [&str; 10] = [
    "data.id",
    "data.place",
    "data.opt",
    "data.qty",
    "data.num",
    "data.flag",
    "data.any",
    "data.deep",
    "data.deep.a.b",
    "data.list",
];
const LITERALS: [&str; 16] = [
    "'A'",
    "'B'",
    "'1'",
    "'1.0'",
    "''",
    "1",
    "1.0",
    "10",
    "0",
    "-0.0",
    "0.5",
    "true",
    "false",
    "null",
    "[]",
    "123456789012345678901234567890123456789012345",
];

fn condition() -> impl Strategy<Value = String> {
    let field = || select(FIELDS.as_slice());
    let literal = || select(LITERALS.as_slice());
    let leaf = prop_oneof![
        4 => (field(), literal()).prop_map(|(field, literal)| format!("{field} == {literal}")),
        1 => (field(), literal()).prop_map(|(field, literal)| format!("{literal} == {field}")),
        3 => (field(), vec(literal(), 0..4)).prop_map(|(field, all)| format!("{field} in [{}]", all.join(", "))),
        1 => (field(), literal()).prop_map(|(field, literal)| format!("{field} != {literal}")),
        1 => (field(), literal()).prop_map(|(field, literal)| format!("{field} < {literal}")),
        2 => field().prop_map(|field| format!("has({field})")),
        1 => field().prop_map(|field| format!("{field} == data.any")),
        1 => Just("data.list.exists(item, item == 'A')".to_owned()),
        1 => Just("has(data.deep.a) && has(data.deep)".to_owned()),
        1 => Just("data.flag".to_owned()),
        1 => Just("data.opt.startsWith('A')".to_owned()),
        1 => select(["source == 'in'", "source in ['other', '']"].as_slice()).prop_map(str::to_owned),
        1 => select(["type.endsWith('/2')", "type == 'com.example.shop.cut/1'"].as_slice())
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 12, 2, |inner| {
        prop_oneof![
            4 => (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left}) && ({right})")),
            2 => (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left}) || ({right})")),
            1 => inner.prop_map(|part| format!("!({part})")),
        ]
    })
}

fn drafts() -> impl Strategy<Value = Vec<Draft>> {
    let sources = select(LISTS.as_slice());
    let one = (any::<u8>(), sources, proptest::option::weighted(0.9, condition()), vec(0..SINKS.len(), 1..3));
    let draft = one.prop_map(|(converted, sources, condition, sinks)| Draft {
        converted: converted % 4 == 0,
        sources: sources.to_vec(),
        condition,
        sinks,
    });
    vec(draft, 0..24)
}

fn event() -> impl Strategy<Value = String> {
    let value = select(
        [
            "\"A\"",
            "\"A\"",
            "\"B\"",
            "\"1\"",
            "\"1.00\"",
            "\"\"",
            "1",
            "1.0",
            "1e1",
            "0",
            "-0",
            "0.50",
            "1e30",
            "true",
            "false",
            "null",
            "[]",
            "[\"A\",\"B\"]",
            "{}",
            "{\"a\":{}}",
            "{\"a\":{\"b\":\"A\"}}",
            "{\"a\":null}",
            "12345678901234567890123456789012345678",
        ]
        .as_slice(),
    );
    let names = ["id", "place", "opt", "qty", "num", "flag", "any", "deep", "list"];
    vec(proptest::option::weighted(0.8, value), names.len()).prop_map(move |values| {
        let members = names.iter().zip(values);
        let members = members.filter_map(|(name, value)| Some(format!("\"{name}\":{}", value?)));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    })
}

#[test]
fn the_index_says_what_evaluating_every_condition_says() {
    let plan = RefCell::new(plan("property"));
    // Sinks, refused, candidates left out: each must have happened, or the test shows nothing.
    let seen = RefCell::new([0_usize; 3]);
    let cases = ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() };
    let given = (drafts(), vec((select(SOURCES.as_slice()), event()), 1..6));
    let outcome = TestRunner::new(cases).run(&given, |(drafts, events)| {
        let plan = &mut *plan.borrow_mut();
        install(plan, &drafts);
        for (source, data) in &events {
            let [indexed, all] = both(plan, *source, data);
            prop_assert_eq!(&indexed, &all, "{:?} {}", source, data);
            let [taken, refused, left_out] = &mut *seen.borrow_mut();
            *taken += usize::from(all.starts_with("Ok(([") && !all.starts_with("Ok(([]"));
            *refused += usize::from(all.starts_with("Err"));
            *left_out += usize::from(evaluated(plan, *source, data) < plan.routes.len());
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    let seen = *seen.borrow();
    assert!(seen.iter().all(|count| *count > 40), "{seen:?}");
}

#[test]
fn only_routes_that_can_match_are_evaluated() {
    let mut plan = plan("few");
    let number = |number: usize| {
        let place = format!("'P{number}'");
        let mut by_source = draft("data.qty == 7.5");
        by_source.sources = vec!["other"];
        vec![
            draft(&format!("data.place == {place}")),
            draft(&format!("data.num > 0 && data.place in ['Q', {place}]")),
            draft(&format!("has(data.opt) && data.opt == {place}")),
            draft(&format!("data.place == {place} || data.place == 'Z'")),
            draft(&format!("data.place == 'P1' && data.qty == {number}.50")),
            draft(&format!("data.num == {number}")),
            by_source,
        ]
    };
    install(&mut plan, &(0..100).flat_map(number).collect::<Vec<_>>());
    assert_eq!(plan.routes.len(), 700);
    let event = r#"{"id":"1","place":"P1","qty":"7.500","num":3e0}"#;
    let [indexed, all] = both(&plan, ("in", "urn:in"), event);
    assert_eq!(indexed, all);
    assert_eq!(evaluated(&plan, ("in", "urn:in"), event), 5);
    assert_eq!(evaluated(&plan, ("other", "urn:other"), event), 105);
}

#[test]
fn a_condition_that_uses_up_its_steps_fails_before_it_asks_for_a_value() {
    let mut plan = plan("steps");
    let condition = "data.list.all(item, item == 'A') && data.place == 'nowhere'";
    install(&mut plan, &[draft(condition), draft("data.place == 'elsewhere'")]);
    let list = vec!["\"A\""; 60_000].join(",");
    let event = format!(r#"{{"id":"1","place":"here","qty":"1","num":1,"list":[{list}]}}"#);
    let [indexed, all] = both(&plan, ("in", "urn:in"), &event);
    assert!(all.contains("steps"), "{all}");
    assert_eq!(indexed, all);
}

#[test]
fn a_field_that_is_not_there_is_an_error_unless_the_condition_asks_for_it_first() {
    let mut plan = plan("absent");
    install(&mut plan, &[draft("data.opt == 'A'"), draft("data.opt == 'B'")]);
    let event = r#"{"id":"1","place":"here","qty":"1","num":1}"#;
    let [indexed, all] = both(&plan, ("in", "urn:in"), event);
    assert!(all.contains("the field opt is absent"), "{all}");
    assert_eq!(indexed, all);
    install(
        &mut plan,
        &[draft("has(data.opt) && data.opt == 'A'"), draft("data.opt == 'B' && has(data.opt)")],
    );
    let [indexed, all] = both(&plan, ("in", "urn:in"), event);
    assert!(all.starts_with("Ok(([]"), "{all}");
    assert_eq!(indexed, all);
    assert_eq!(evaluated(&plan, ("in", "urn:in"), event), 0);
}
