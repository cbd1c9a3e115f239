//! A flat program makes, byte for byte, what trees make of the same message; or it hands the message back.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says so when it fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use mfgroute_core::pipeline::batch::Prepared;
use mfgroute_core::pipeline::message::{Intake, Read};
use mfgroute_core::pipeline::{Batch, Worker};
use mfgroute_core::plan::project::{self, Plan};
use proptest::prelude::*;
use serde_json::{Value, json};

#[path = "flat/canonical.rs"]
mod canonical;

fn plan(folder: &Path, mappings: &[&str], routes: &Value) -> Plan {
    let config = json!({
        "node": {"id": "t", "site": "DE04", "namespace": "com.example", "data_dir": "./data"},
        "streams": {"business": {"durability": "memory"}},
        "sources": {"in": {"adapter": "http", "mappings": mappings}},
        "sinks": {"out": {"adapter": "console"}, "some": {"adapter": "console"}, "few": {"adapter": "console"}},
        "routes": routes,
    });
    project::compile(folder, &config, &BTreeMap::new(), None)
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

static RICH: LazyLock<Plan> = LazyLock::new(|| {
    let some = "has(data.quantity.good) && data.quantity.good > 1.5 || has(data.urgent) && data.urgent && has(data.kind) && data.kind == 'a'";
    let few = "data.plant.startsWith('DE') && data.quantity.unit in ['KGM', 'C62'] && has(data.quantity) && type != 'x'";
    plan(
        &here().join("tests/flat"),
        &["other", "report"],
        &json!([
            {"name": "all", "match": {"type": ">"}, "to": "out"},
            {"name": "some", "match": {"type": "shop.report/1"}, "where": some, "to": "some"},
            {"name": "few", "match": {"type": "shop.report"}, "where": few, "to": "few"},
        ]),
    )
});
static W1: LazyLock<Plan> = LazyLock::new(|| {
    let all = json!([{"name": "all", "match": {"type": ">"}, "to": "out"}]);
    plan(&here().join("../../bench/w1"), &["mes"], &all)
});

/// What became of one message, for comparison.
fn shown(batch: &Batch) -> Vec<String> {
    let item = |item: &Prepared| match item {
        Prepared::Event { item, contract, id, prints, key, record, data, sinks, time } => {
            let record_bytes = batch.get(record);
            format!(
                "{item} {contract} {id:x} {prints:?} {} {} {} {:?} {time:?}",
                String::from_utf8_lossy(batch.get(key)),
                String::from_utf8_lossy(record_bytes),
                data - record.start,
                batch.sinks.get(sinks.clone()),
            )
        }
        other => format!("{other:?}"),
    };
    let messages = batch
        .messages
        .iter()
        .map(|message| format!("{} {:?} {:?}", message.independent, message.mapping, message.items));
    batch.items.iter().map(item).chain(messages).collect()
}

/// Both ways of one message. Returns whether it ran flat, and how many events it became.
fn both(plan: &Plan, message: &[u8]) -> (bool, usize) {
    let intake = Intake { plan, source: 0, recorded: "2026-01-02T03:04:05Z", mapping: None };
    let meta = [
        ("file.name", "line-7"),
        ("http.header.traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ];
    let run = |mut worker: Worker| {
        let mut batch = Batch::default();
        worker.message(&intake, Read::Bytes(message), message, &meta, &mut batch);
        (shown(&batch), worker.ran_flat(), batch)
    };
    let (trees, none, batch) = run(Worker::on_trees());
    let (flat, taken, _) = run(Worker::default());
    assert_eq!(flat, trees, "{}", String::from_utf8_lossy(message));
    assert_eq!(none, 0);
    let events = batch.items.iter().filter(|item| matches!(item, Prepared::Event { .. })).count();
    let refused = batch.items.iter().any(|item| matches!(item, Prepared::Reject(_)));
    assert!(taken == 0 || !refused);
    // The same message as a line among others.
    if !message.contains(&b'\n') && !message.iter().all(u8::is_ascii_whitespace) {
        let slab = [b"\n", message, b"\r\n  \n", message].concat();
        let lines = |mut worker: Worker| {
            let mut batch = Batch::default();
            worker.slab(&intake, &slab, None, &meta, 100, &mut batch).unwrap();
            shown(&batch)
        };
        assert_eq!(lines(Worker::default()), lines(Worker::on_trees()));
    }
    (taken > 0, events)
}

const W1_MESSAGE: &str = r#"{"specversion":"1.0","id":"01J8ZQH7MDPJZ3HW4H3ZK81KFM","source":"/plant/DE04/line/L37/mes","type":"mes.operation.completed.v2","time":"2025-03-14T15:46:33.594Z","data":{"order":"000010042747","operation":"0150","workcenter":"WC-5591","material":"RM-29032-F","lot":"L240310-06","qty":{"good":466,"scrap":2,"uom":"LB"},"duration_s":897.06,"operator":"u90941","params":[{"n":"temp","v":240.9,"u":"degF"},{"n":"press","v":49.0,"u":"psi"}]}}"#;

#[test]
fn the_standard_workload_runs_flat() {
    assert_eq!(W1.programs.first().and_then(|program| program.as_ref().err()), None);
    assert_eq!(both(&W1, W1_MESSAGE.as_bytes()), (true, 1));
    let spaced = W1_MESSAGE.replace(':', " :\t").replace(',', " , ").replace("15 :\t46 :\t33", "15:46:33");
    assert_eq!(both(&W1, spaced.as_bytes()), (true, 1));
}

fn report() -> Value {
    json!({
        "type": "report", "at": "2026-03-29T03:30:00.5+02:00", "plant": " de04 ", "order": "00A17", "number": 12,
        "note": "banana", "press": "P1", "place": "A", "kind": "x", "urgent": true, "level": 7, "weight": 10.5,
        "qty": {"good": 12.25, "uom": "LB"}, "cost": "1.50", "tags": ["a ", null, "", "b"],
        "lines": [{"n": "M1", "u": "PK", "v": 2}, {"n": "M2", "u": "PK", "v": "1.5"}, {"n": "x", "skip": 1}],
        "alarms": [{"code": "E1", "t": "2026-01-01T00:00:00Z", "val": 1.50}, {"code": "Q", "t": "x"}],
    })
}

#[test]
fn a_mapping_with_nearly_everything_runs_flat() {
    assert_eq!(RICH.programs.last().and_then(|program| program.as_ref().err()), None);
    assert_eq!(both(&RICH, report().to_string().as_bytes()), (true, 2));
}

/// Values that are put in the place of others.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "-",
            "x",
            "y",
            "z",
            "P1",
            "P2",
            "A",
            "Ä/ö%",
            "E1",
            "E2",
            "7",
            "X9",
            "KG",
            "LB",
            "ST",
            "F",
            "PK",
            "M3",
            "1.5",
            "1,5",
            "-0",
            "00017",
            "000",
            "\u{7f}",
            "\u{2028}",
            "\"q\"\\\n",
            "2026-01-01T12:00:00Z",
            "2026-13-01T12:00:00Z",
            "true",
            " pad ",
            "a/b",
            "1e3",
            "99999999999999999999999999999999999999",
        ])
        .prop_map(Value::from),
        "[ -~]{0,30}".prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "0",
            "-0",
            "-0.0",
            "7",
            "10",
            "1.0",
            "1.50",
            "-5.50",
            "123456789012345678",
            "1234567890123456789",
            "0.000000000000000001",
            "12345678901234567890.123456789",
            "1e2",
            "1E-3",
            "49.999",
            "50",
            "99999999999999999999999999999999999999",
            "0.33333333333333333333",
            "-273.15",
        ])
        .prop_map(|text| serde_json::from_str(text).unwrap()),
        (-100_000_i64..100_000, 0_u32..5).prop_map(|(digits, scale)| {
            let text = format!("{digits}e-{scale}");
            let plain = mfgroute_core::value::Decimal::parse(&text).unwrap().to_string();
            serde_json::from_str(&plain).unwrap()
        }),
        Just(json!([])),
        Just(json!(["a"])),
        Just(json!({"uom": "KG"})),
        Just(json!([{"n": "M1", "v": "3"}])),
    ]
}

#[derive(Clone, Debug)]
enum Change {
    Set(usize, Value),
    Remove(usize),
    Add(String, Value),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (0_usize..64, value()).prop_map(|(at, value)| Change::Set(at, value)),
        1 => (0_usize..64).prop_map(Change::Remove),
        1 => ("[a-c]{1,2}", value()).prop_map(|(name, value)| Change::Add(name, value)),
    ]
}

/// All places of a document, in order.
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            out.push(format!("{at}/{name}"));
            places(value, &format!("{at}/{name}"), out);
        }),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, value)| {
            out.push(format!("{at}/{index}"));
            places(value, &format!("{at}/{index}"), out);
        }),
        _ => {}
    }
}

fn apply(document: &mut Value, change: &Change) {
    let mut all = Vec::new();
    places(document, "", &mut all);
    match change {
        Change::Set(at, value) => {
            if let Some(place) = all.get(at % all.len().max(1)).and_then(|place| document.pointer_mut(place))
            {
                *place = value.clone();
            }
        }
        Change::Remove(at) => {
            let Some((above, name)) = all.get(at % all.len().max(1)).and_then(|place| place.rsplit_once('/'))
            else {
                return;
            };
            match document.pointer_mut(above) {
                Some(Value::Object(members)) => drop(members.remove(name)),
                Some(Value::Array(items)) => drop(items.remove(name.parse().unwrap())),
                _ => {}
            }
        }
        Change::Add(name, value) => {
            if let Value::Object(members) = document {
                members.insert(name.clone(), value.clone());
            }
        }
    }
}

/// A document as text: compact or with white space, members in order or not, ASCII or not.
fn written(document: &Value, style: u8, out: &mut String) {
    let gap = if style & 1 == 1 { " \t" } else { "" };
    match document {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            if style & 2 == 2 {
                members.reverse();
            }
            out.push('{');
            for (index, (name, value)) in members.into_iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                out.push_str(&format!("{gap}{}{gap}:{gap}", Value::from(name.as_str())));
                written(value, style, out);
                out.push_str(gap);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, value) in items.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                out.push_str(gap);
                written(value, style, out);
            }
            out.push_str(gap);
            out.push(']');
        }
        Value::String(text) if style & 4 == 4 => {
            out.push('"');
            text.encode_utf16().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            out.push('"');
        }
        other => out.push_str(&other.to_string()),
    }
}

proptest! {
    #![proptest_config({
        let set = ProptestConfig::default();
        ProptestConfig { cases: set.cases.max(2000), ..set }
    })]

    #[test]
    fn changed_documents_become_the_same_on_both_ways(
        changes in prop::collection::vec(change(), 0..4),
        style in 0_u8..8,
        rich in any::<bool>(),
    ) {
        let (plan, mut document) = if rich {
            (&*RICH, report())
        } else {
            (&*W1, serde_json::from_str(W1_MESSAGE).unwrap())
        };
        for change in &changes {
            apply(&mut document, change);
        }
        let mut text = String::new();
        written(&document, style, &mut text);
        both(plan, text.as_bytes());
    }

    #[test]
    fn damaged_bytes_become_the_same_on_both_ways(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 1..4),
        rich in any::<bool>(),
    ) {
        let (plan, mut bytes) = if rich {
            (&*RICH, report().to_string().into_bytes())
        } else {
            (&*W1, W1_MESSAGE.as_bytes().to_vec())
        };
        for (at, byte, how) in edits {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, byte),
            }
        }
        both(plan, &bytes);
    }
}
