//! What became of a message, for `try`, `eval`, `explain` and tests: exactly the hot path, without engine.

use serde_json::{Map, Value as Json, json};

use super::batch::{Batch, Prepared};
use super::message::{Intake, Read, Worker};
use crate::contract::Contract;
use crate::map::Decode;
use crate::map::scratch::Meta;
use crate::plan::conversions;
use crate::plan::project::Plan;
use crate::record;
use crate::reject::Reject;

/// One JSON object per outcome, in order: `{to, time, key, id, data, sinks}`, `{reject}`, `{filtered}`;
/// each with the `mapping` that took the message.
///
/// # Errors
///
/// A CSV document that cannot be taken apart is one reject, too.
#[must_use]
pub fn outcomes(
    plan: &Plan,
    source: usize,
    mapping: Option<usize>,
    bytes: &[u8],
    meta: Meta<'_>,
) -> Vec<Json> {
    let recorded = "1970-01-01T00:00:00Z";
    let intake = Intake { plan, source, recorded, mapping };
    let (mut worker, mut batch) = (Worker::on_trees(), Batch::default());
    if let Some(index) = mapping.filter(|index| conversions::of(&plan.mappings, *index).is_some()) {
        return vec![conversion(plan, index, &mut worker, bytes)];
    }
    let csv = intake.mappings().any(|(_, mapping)| matches!(mapping.from.decode, Decode::Csv(_)));
    if csv {
        if let Err(reject) = worker.slab(&intake, bytes, None, meta, usize::MAX, &mut batch) {
            return vec![json!({"reject": reject_json(&reject)})];
        }
    } else {
        worker.message(&intake, Read::Bytes(bytes), bytes, meta, &mut batch);
    }
    let mut out = Vec::new();
    for message in &batch.messages {
        let mapping =
            message.mapping.and_then(|index| plan.mappings.get(index)).map(|mapping| &mapping.label);
        let items = batch.items.get(message.items.clone()).unwrap_or_default();
        // A message is atomic: with one bad item, nothing of it goes anywhere.
        let refused = !message.independent && items.iter().any(|item| matches!(item, Prepared::Reject(_)));
        for item in items.iter().filter(|item| !refused || matches!(item, Prepared::Reject(_))) {
            let mut outcome = outcome(plan, &batch, item, &mut worker);
            if let (Some(label), Json::Object(members)) = (mapping, &mut outcome) {
                members.insert("mapping".to_owned(), json!(label));
            }
            out.push(outcome);
        }
    }
    out
}

/// What a conversion makes of `data`. Time, key, id and sinks are those of an event, which there is none of.
fn conversion(plan: &Plan, mapping: usize, worker: &mut Worker, data: &[u8]) -> Json {
    let label = plan.mappings.get(mapping).map(|mapping| &mapping.label);
    match worker.converted(plan, mapping, data) {
        Err(reject) => json!({"reject": reject_json(&reject), "mapping": label}),
        Ok((to, data)) => json!({
            "to": to, "time": null, "key": null, "id": null, "data": data, "sinks": [], "mapping": label,
        }),
    }
}

fn outcome(plan: &Plan, batch: &Batch, item: &Prepared, worker: &mut Worker) -> Json {
    match item {
        Prepared::Filtered(rule) => json!({"filtered": &**rule}),
        Prepared::Reject(reject) => json!({"reject": reject_json(reject)}),
        Prepared::Event { contract, record, sinks, time, .. } => {
            let bytes = batch.get(record);
            let Some((header, data)) = record::read(bytes) else { return Json::Null };
            let label = plan.contracts.get(*contract).map(Contract::label);
            let sinks: Vec<&str> = batch
                .sinks
                .get(sinks.clone())
                .unwrap_or_default()
                .iter()
                .filter_map(|sink| plan.engine.sinks.get(*sink).map(|sink| sink.name.as_str()))
                .collect();
            let mut found = json!({
                "to": label,
                "time": time.map(|time| time.to_string()),
                "key": header.key,
                "id": header.id,
                "data": serde_json::from_slice::<Json>(data).unwrap_or_default(),
                "sinks": sinks,
            });
            if let (Json::Object(members), false) = (&mut found, header.versions.is_empty()) {
                add_forms(plan, (&header, data), &sinks, worker, members);
            }
            found
        }
    }
}

/// What the sinks get that ask for another version: `converted` has type and `data` for each, `conversions` the
/// mappings that make each type.
fn add_forms(
    plan: &Plan,
    (header, data): (&record::Header<'_>, &[u8]),
    sinks: &[&str],
    worker: &mut Worker,
    members: &mut Map<String, Json>,
) {
    let (mut converted, mut conversions) = (Map::new(), Map::new());
    for sink in sinks {
        let Ok(Some(form)) = worker.form_for(plan, header, data, sink) else { continue };
        let to = plan.contracts.get(form.contract).map(Contract::label).unwrap_or_default();
        let data: Json = serde_json::from_slice(&form.data).unwrap_or_default();
        converted.insert((*sink).to_owned(), json!({"to": to, "data": data}));
        conversions.insert(to, json!(form.by));
    }
    members.insert("converted".to_owned(), Json::Object(converted));
    members.insert("conversions".to_owned(), Json::Object(conversions));
}

/// A reject as JSON, without what is absent.
#[must_use]
pub fn reject_json(reject: &Reject) -> Json {
    let mut out = json!({
        "code": reject.code.as_str(),
        "pointer": reject.pointer,
        "found": reject.found,
        "expected": reject.expected,
    });
    if let Json::Object(members) = &mut out {
        if let Some(item) = reject.item {
            members.insert("item".to_owned(), json!(item));
        }
        if let Some(offset) = reject.offset {
            members.insert("offset".to_owned(), json!(offset));
        }
        if let Some(place) = &reject.place {
            members.insert("place".to_owned(), json!(place));
        }
        if let Some(field) = &reject.field {
            members.insert("field".to_owned(), json!(field));
        }
    }
    out
}
