//! Messages that run flat, beside the same messages on trees.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use mfgroute_core::pipeline::batch::Prepared;
use mfgroute_core::pipeline::message::{Intake, Read};
use mfgroute_core::pipeline::{Batch, Worker};
use mfgroute_core::plan::project::{self, Plan};
use serde_json::json;

use crate::drive::Print;
use crate::{inside, print};

static PLANS: LazyLock<[Plan; 4]> = LazyLock::new(|| {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let (rich, plain) = (here.join("tests/flat"), here.join("../../bench/w1"));
    // Without a mapping, what comes is a canonical event.
    [plan(&rich, &["other", "report"]), plan(&plain, &["mes"]), plan(&rich, &[]), plan(&plain, &[])]
});

fn plan(folder: &Path, mappings: &[&str]) -> Plan {
    let config = json!({
        "node": {"id": "t", "site": "DE04", "namespace": "com.example", "data_dir": "./data"},
        "streams": {"business": {"durability": "memory"}},
        "sources": {"in": {"adapter": "http", "mappings": mappings}},
        "sinks": {"out": {"adapter": "console"}},
        "routes": [{"name": "all", "match": {"type": ">"}, "to": "out"}],
    });
    project::compile(folder, &config, &BTreeMap::new(), None).unwrap_or_else(|found| panic!("{found:#?}"))
}

const META: [(&str, &str); 1] = [("file.name", "line-7")];

fn intake(plan: &Plan) -> Intake<'_> {
    Intake { plan, source: 0, recorded: "2026-01-02T03:04:05Z", mapping: None }
}

fn shown(batch: &Batch) -> Vec<String> {
    let item = |item: &Prepared| match item {
        Prepared::Event { item, contract, id, prints, key, record, data, sinks, time } => {
            let bytes = batch.get(record);
            assert!(mfgroute_core::record::read(bytes).is_some());
            format!(
                "{item} {contract} {id:x} {prints:?} {} {} {} {:?} {time:?}",
                batch.get(key).escape_ascii(),
                bytes.escape_ascii(),
                data - record.start,
                batch.sinks.get(sinks.clone()),
            )
        }
        other => format!("{other:?}"),
    };
    let messages =
        batch.messages.iter().map(|one| format!("{} {:?} {:?}", one.independent, one.mapping, one.items));
    batch.items.iter().map(item).chain(messages).collect()
}

fn events(batch: &Batch) -> usize {
    batch.items.iter().filter(|item| matches!(item, Prepared::Event { .. })).count()
}

/// One message becomes the same on both ways, and a refusal points into it.
pub(crate) fn line(bytes: &[u8]) -> Print {
    let mut seen = Print(0);
    for plan in PLANS.iter() {
        let run = |mut worker: Worker| {
            let mut batch = Batch::default();
            worker.message(&intake(plan), Read::Bytes(bytes), bytes, &META, &mut batch);
            (batch, worker.ran_flat())
        };
        let (trees, none) = run(Worker::on_trees());
        let (flat, taken) = run(Worker::default());
        assert_eq!(shown(&flat), shown(&trees));
        assert_eq!(none, 0);
        let mut what = format!("{taken}");
        for item in &trees.items {
            if let Prepared::Reject(reject) = item {
                inside(reject, bytes.len());
                what = format!("{} {:?}", reject.code.as_str(), reject.field);
            }
        }
        seen.0 = seen.0.rotate_left(7) ^ print(&what, events(&trees)).0;
    }
    seen
}

/// A slab becomes the same on both ways, at once or a message at a time.
pub(crate) fn slab(bytes: &[u8]) -> Print {
    let mut seen = Print(0);
    for plan in PLANS.iter() {
        let run = |mut worker: Worker, most: usize| {
            let (mut lines, mut events_made, mut cursor, mut before) = (Vec::new(), 0, None, 0);
            loop {
                let mut batch = Batch::default();
                let next = worker.slab(&intake(plan), bytes, cursor, &META, most, &mut batch).unwrap();
                assert!(batch.messages.len() <= most);
                lines.extend(shown(&batch));
                events_made += events(&batch);
                let Some((offset, line)) = next else { return (lines, events_made) };
                assert!(offset > before && offset <= bytes.len() as u64 && line >= 1, "{offset} {line}");
                before = offset;
                cursor = next;
            }
        };
        let (trees, made) = run(Worker::on_trees(), usize::MAX);
        assert_eq!(run(Worker::default(), usize::MAX), (trees, made));
        let (parts, parts_made) = run(Worker::default(), 1);
        assert_eq!((parts, parts_made), run(Worker::on_trees(), 1));
        assert_eq!(parts_made, made);
        seen.0 = seen.0.rotate_left(7) ^ print("slab", made).0;
    }
    seen
}
