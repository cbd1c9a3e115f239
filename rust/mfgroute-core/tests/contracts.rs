//! What a contract asks beyond its schema: its rules, and that its sunset has not come; on both ways of a message.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says so when it fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use mfgroute_core::pipeline::batch::Prepared;
use mfgroute_core::pipeline::message::{Intake, Read};
use mfgroute_core::pipeline::{Batch, Worker};
use mfgroute_core::plan::project::{self, Plan};
use mfgroute_core::record;
use mfgroute_core::reject::Code;
use serde_json::json;

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
  - to: shop.cut/1
    fields: {id: {path: id}, n: {path: n}, of: {path: of}}
";

fn plan(name: &str, more: &str) -> Plan {
    let folder = Folder(std::env::temp_dir().join(format!("mfgroute-{name}-{}", std::process::id())));
    for sub in ["contracts", "mappings"] {
        fs::create_dir_all(folder.0.join(sub)).unwrap();
    }
    let contract = format!(
        "type: shop.cut\nversion: 1.0.0\nkey: {{cut: [data.id]}}\nidempotency: [data.id]\n{more}schema:\n  \
         type: object\n  required: [id, n, of]\n  additionalProperties: false\n  properties:\n    \
         id: {{type: string}}\n    n: {{type: string, format: decimal}}\n    \
         of: {{type: string, format: decimal}}\n"
    );
    fs::write(folder.0.join("contracts/shop.cut.v1.yaml"), &contract).unwrap();
    // Its name is how the other one ends.
    let other = contract.replace("type: shop.cut\n", "type: cut\n").replace(more, "");
    fs::write(folder.0.join("contracts/cut.v1.yaml"), other).unwrap();
    fs::write(folder.0.join("mappings/m.yaml"), MAPPING).unwrap();
    let config = json!({
        "node": {"id": "t", "site": "DE04", "namespace": "com.example", "data_dir": "./data"},
        "streams": {"business": {"durability": "memory"}},
        "sources": {"in": {"adapter": "http", "mappings": ["m"]}, "linked": {"adapter": "http"}},
        "sinks": {"out": {"adapter": "console", "owner": "t"}},
        "routes": [{"name": "all", "match": {"type": ">"}, "to": "out"}],
    });
    project::compile(&folder.0, &config, &BTreeMap::new(), None).unwrap_or_else(|found| panic!("{found:#?}"))
}

/// What one message becomes when it is admitted at a time: the event's envelope, or the code of its reject.
fn outcome(plan: &Plan, worker: Worker, recorded: &str, message: &str) -> Result<String, Code> {
    outcome_of(plan, worker, (0, recorded), message)
}

/// The same for a canonical event, on both ways.
fn canonical(plan: &Plan, recorded: &str, event: &str) -> Result<String, Code> {
    let flat = outcome_of(plan, Worker::default(), (1, recorded), event);
    assert_eq!(flat, outcome_of(plan, Worker::on_trees(), (1, recorded), event));
    flat
}

fn outcome_of(
    plan: &Plan,
    mut worker: Worker,
    (source, recorded): (usize, &str),
    message: &str,
) -> Result<String, Code> {
    let intake = Intake { plan, source, recorded, mapping: None };
    let mut batch = Batch::default();
    worker.message(&intake, Read::Bytes(message.as_bytes()), message.as_bytes(), &[], &mut batch);
    assert_eq!(batch.items.len(), 1);
    match &batch.items[0] {
        Prepared::Event { record, .. } => {
            let (header, data) = record::read(batch.get(record)).unwrap();
            let mut out = Vec::new();
            record::write_envelope(&header, data, &mut out);
            Ok(String::from_utf8(out).unwrap())
        }
        Prepared::Reject(reject) => {
            assert!(batch.sinks.is_empty());
            Err(reject.code)
        }
        Prepared::Filtered(rule) => panic!("filtered by {rule}"),
    }
}

#[test]
fn an_event_is_taken_until_the_sunset_of_its_contract() {
    let plan = plan("sunset", "lifecycle: {status: deprecated, sunset: 2027-07-01, successor: shop.cut/2}\n");
    assert_eq!(plan.programs[0].as_ref().err(), None);
    let message = r#"{"id":"1","n":"2","of":"2"}"#;
    let event = outcome(&plan, Worker::default(), "2026-01-01T00:00:00Z", message).unwrap();
    for recorded in ["2026-01-01T00:00:00Z", "2027-06-30T23:59:59.999Z"] {
        let flat = outcome(&plan, Worker::default(), recorded, message).unwrap();
        assert_eq!(Ok(&flat), outcome(&plan, Worker::on_trees(), recorded, message).as_ref());
        let envelope: serde_json::Value = serde_json::from_str(&flat).unwrap();
        assert_eq!(envelope["deprecated"], true);
        assert_eq!(envelope["deprecationsunset"], "2027-07-01T00:00:00Z");
        assert_eq!(envelope["deprecationmigration"], "mfgroute:contract:shop.cut:2");
        // A node that has the contract says itself what becomes of it, whatever the sender knows.
        let sent = flat.replace("2027-07-01T", "2029-01-01T");
        assert_ne!(sent, flat);
        assert_eq!(canonical(&plan, recorded, &sent), Ok(flat));
    }
    for recorded in ["2027-07-01T00:00:00Z", "2027-07-01T00:00:00.001Z", "2031-01-01T00:00:00Z"] {
        for worker in [Worker::default(), Worker::on_trees()] {
            assert_eq!(outcome(&plan, worker, recorded, message), Err(Code::ContractSunset), "{recorded}");
        }
        assert_eq!(canonical(&plan, recorded, &event), Err(Code::ContractSunset));
    }
}

#[test]
fn rules_are_asked_on_both_ways_and_broken_ones_are_told_by_trees() {
    let rules = "rules: [{code: n_exceeds_of, check: data.n <= data.of, message: n is no more than of}]\n";
    let plan = plan("rules", rules);
    assert_eq!(plan.programs[0].as_ref().err(), None);
    let at = "2026-01-01T00:00:00Z";
    for (n, of, met) in [("9", "10", true), ("1.50", "1.5", true), ("1.51", "1.5", false)] {
        let message = json!({"id": "1", "n": n, "of": of}).to_string();
        let found = outcome(&plan, Worker::default(), at, &message);
        assert_eq!(found, outcome(&plan, Worker::on_trees(), at, &message));
        assert_eq!(found.as_ref().err(), (!met).then_some(Code::ContractRule).as_ref(), "{message}");
        let good = outcome(&plan, Worker::default(), at, r#"{"id":"1","n":"1","of":"1"}"#).unwrap();
        let event = good.replace(r#""n":"1","of":"1""#, &format!(r#""n":"{n}","of":"{of}""#));
        assert_eq!(canonical(&plan, at, &event).is_ok(), met, "{event}");
        assert_eq!(canonical(&plan, at, &event).ok(), found.ok());
    }
}

#[test]
fn an_event_belongs_to_the_contract_with_its_whole_type() {
    let plan = plan("types", "");
    let at = "2026-01-01T00:00:00Z";
    let event = outcome(&plan, Worker::default(), at, r#"{"id":"1","n":"2","of":"2"}"#).unwrap();
    assert_eq!(canonical(&plan, at, &event), Ok(event.clone()));
    let found = |kind: &str| -> Result<String, Code> {
        let event = event.replacen("\"com.example.shop.cut.v1\"", &format!("{kind:?}"), 1);
        let taken = canonical(&plan, at, &event)?;
        let taken: serde_json::Value = serde_json::from_str(&taken).unwrap();
        Ok(taken["type"].as_str().unwrap().to_owned())
    };
    assert_eq!(found("com.example.cut.v1").as_deref(), Ok("com.example.cut.v1"));
    assert_eq!(found("org.another.cut.v1").as_deref(), Ok("com.example.cut.v1"));
    for unknown in ["com.example.cut.v2", "com.example.cut", "cut.v1", "com.example.recut.v1", "v1", ""] {
        assert!(found(unknown).is_err(), "{unknown}");
    }
}
