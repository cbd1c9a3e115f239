//! A sink gets events in the version that its route takes; everything else stays as it was produced.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says so when it fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mfgroute_core::engine::Outcome;
use mfgroute_core::plan::project::{self, Plan};
use mfgroute_core::record;
use mfgroute_core::router::{Ask, Router};
use serde_json::{Value, json};

/// A folder that is gone when the test ends.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const MAPPING: &str = "\
from: {decode: json}
emit:
  - {to: shop.cut/1, fields: {id: {path: id}, n: {path: n}}}
";
const UP: &str = "\
from: {contract: shop.cut/1}
emit:
  - {to: shop.cut/2, fields: {id: {path: id}, size: {path: n, scale: 1000}}}
";

fn plan(name: &str, with_conversion: bool) -> Plan {
    let folder =
        Folder(std::env::temp_dir().join(format!("mfgroute-versions-{name}-{}", std::process::id())));
    for sub in ["contracts", "mappings"] {
        fs::create_dir_all(folder.0.join(sub)).unwrap();
    }
    for (major, field) in [(1, "n"), (2, "size")] {
        let contract = format!(
            "type: shop.cut\nversion: {major}.0.0\nkey: {{cut: [data.id]}}\nidempotency: [data.id]\nschema:\n  \
             type: object\n  required: [id, {field}]\n  additionalProperties: false\n  properties:\n    \
             id: {{type: string}}\n    {field}: {{type: string, format: decimal, x-decimal: {{max: \"9000\"}}}}\n"
        );
        fs::write(folder.0.join(format!("contracts/shop.cut.v{major}.yaml")), contract).unwrap();
    }
    fs::write(folder.0.join("mappings/m.yaml"), MAPPING).unwrap();
    let mut routes = vec![json!({"name": "old", "match": {"type": "shop.cut/1"}, "to": "old"})];
    if with_conversion {
        fs::write(folder.0.join("mappings/up.yaml"), UP).unwrap();
        routes.push(
            json!({"name": "new", "match": {"type": "shop.cut"}, "where": "data.size > 2000", "to": "new"}),
        );
    }
    let config = json!({
        "node": {"id": "t", "site": "DE04", "namespace": "com.example", "data_dir": "./data"},
        "streams": {"business": {"durability": "memory"}},
        "sources": {"in": {"adapter": "http", "mappings": ["m"]}},
        "sinks": {"old": {"adapter": "console", "owner": "t"}, "new": {"adapter": "console", "owner": "t"}},
        "routes": routes,
    });
    project::compile(&folder.0, &config, &BTreeMap::new(), None).unwrap_or_else(|found| panic!("{found:#?}"))
}

fn submit(router: &Router, message: &str) -> Vec<&'static str> {
    let messages = std::iter::once((message.as_bytes(), [].as_slice()));
    let answer = router.submit("in", messages, Ask::default()).unwrap();
    answer.receipt.rejects.iter().map(|reject| reject.code.as_str()).collect()
}

/// What a sink is handed, all of it done: its type, its `data`, and the `data` that the stream holds.
fn handed(router: &Router, sink: &str) -> Vec<(String, Value, Value)> {
    let (number, handed) = router.poll(sink, 10, u64::MAX, Duration::ZERO).unwrap();
    let done = handed.iter().map(|one| (one.delivery.id, Outcome::Done { reference: None })).collect();
    router.settle(number, done).unwrap();
    let parts = handed.into_iter().map(|one| {
        let envelope: Value = serde_json::from_slice(&one.json).unwrap();
        let (_, data) = record::read(one.delivery.record()).unwrap();
        assert_eq!(envelope["id"], one.id);
        assert_eq!(envelope["type"], one.full_type);
        (one.full_type, envelope["data"].clone(), serde_json::from_slice(data).unwrap())
    });
    parts.collect()
}

#[test]
fn the_stream_keeps_what_was_produced_and_the_sink_gets_what_its_route_takes() {
    let router = Router::new(Arc::new(plan("both", true))).unwrap();
    assert_eq!(submit(&router, r#"{"id":"a","n":"2.5"}"#), [""; 0]);
    let (old, new) = (json!({"id": "a", "n": "2.5"}), json!({"id": "a", "size": "2500"}));
    assert_eq!(handed(&router, "new"), [("com.example.shop.cut.v2".to_owned(), new, old.clone())]);
    assert_eq!(handed(&router, "old"), [("com.example.shop.cut.v1".to_owned(), old.clone(), old)]);
    let found = router.find("cut/a");
    assert_eq!(found["events"][0]["type"], "com.example.shop.cut.v1");
    let shown = |sink: &Value| (sink["sink"].clone(), sink["as"].clone());
    let mut sinks: Vec<_> = found["events"][0]["sinks"].as_array().unwrap().iter().map(shown).collect();
    sinks.sort_by_key(|(sink, _)| sink.to_string());
    assert_eq!(sinks, [(json!("new"), json!("shop.cut/2")), (json!("old"), Value::Null)]);
}

#[test]
fn a_condition_sees_the_version_that_is_delivered() {
    let router = Router::new(Arc::new(plan("where", true))).unwrap();
    // 1.5 is not over 2000, 1500 neither; as the produced version has it, no condition could be asked at all.
    submit(&router, r#"{"id":"a","n":"1.5"}"#);
    assert!(handed(&router, "new").is_empty());
    assert_eq!(handed(&router, "old").len(), 1);
}

#[test]
fn what_cannot_be_converted_is_no_event_for_anybody() {
    let router = Router::new(Arc::new(plan("fails", true))).unwrap();
    assert_eq!(submit(&router, r#"{"id":"a","n":"9.001"}"#), ["conversion_failed"]);
    assert!(handed(&router, "old").is_empty());
    assert_eq!(router.stats()["unaccounted"], 0);
}

#[test]
fn a_conversion_that_is_gone_parks_the_event_until_it_is_back() {
    let router = Router::new(Arc::new(plan("gone", true))).unwrap();
    submit(&router, r#"{"id":"a","n":"3"}"#);
    router.install(Arc::new(plan("gone-later", false)), &[]).unwrap();
    assert!(handed(&router, "new").is_empty());
    let parked = router.dead_letters(&json!({"kind": "parked", "verb": "list", "sink": "new"})).unwrap();
    assert_eq!((&parked[0]["code"], &parked[0]["key"]), (&json!("conversion_failed"), &json!("cut/a")));
    assert_eq!(
        parked[0]["reason"],
        "found none, expected a conversion that leads from shop.cut/1 to shop.cut/2"
    );
    assert_eq!(router.stats()["unaccounted"], 0);
    router.install(Arc::new(plan("gone-back", true)), &[]).unwrap();
    let number = parked[0]["number"].clone();
    router
        .dead_letters(&json!({"kind": "parked", "verb": "retry", "sink": "new", "number": number}))
        .unwrap();
    assert_eq!(handed(&router, "new")[0].1, json!({"id": "a", "size": "3000"}));
}
