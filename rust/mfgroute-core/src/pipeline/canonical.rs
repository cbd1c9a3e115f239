//! A message that is a canonical CloudEvent already: from the edge link or from a batch of CloudEvents.
//!
//! Nothing is mapped. The contract is the input schema, and id, source, time and attributes are kept.

use super::batch::Batch;
use super::finish::Envelope;
use super::message::{Intake, Worker, holds_keys};
use crate::contract::lifecycle;
use crate::identity;
use crate::reject::{Code, Reject};
use crate::tree::{Kind, Tree, write_json_string};

/// Attributes that the envelope writes itself.
const OWN: &[&str] = &[
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "subject",
    "datacontenttype",
    "dataschema",
    "partitionkey",
    "correlationid",
    "traceparent",
    "recordedtime",
    "bampid",
    "bamtxid",
    "bamptxsid",
    "mfgsite",
    "mfgkind",
    "data",
];

impl Worker {
    /// Prepares one canonical event.
    pub(super) fn canonical(
        &mut self,
        intake: &Intake<'_>,
        raw: &[u8],
        batch: &mut Batch,
    ) -> Result<(), Reject> {
        self.json.decode(raw, &mut self.space.message)?;
        let tree = &self.space.message;
        let bad =
            |found: &str, expected: &str, at: &str| Reject::new(Code::BadCloudEvent, found, expected).at(at);
        if tree.kind(0) != Kind::Object {
            return Err(bad("no object", "a CloudEvent as a JSON object", ""));
        }
        let version = text(tree, "specversion").unwrap_or("nothing");
        if version != "1.0" {
            return Err(bad(version, "specversion 1.0", "/specversion"));
        }
        let required = |name: &str| {
            text(tree, name)
                .filter(|text| !text.is_empty())
                .ok_or_else(|| bad("nothing", &format!("the attribute {name}"), &format!("/{name}")))
        };
        let (id, source, kind) = (required("id")?, required("source")?, required("type")?);
        let found = intake.plan.contracts.iter().position(|contract| {
            let suffix = format!("{}.v{}", contract.name, contract.major);
            kind == &*contract.full_type || kind.strip_suffix(&suffix).is_some_and(|rest| rest.ends_with('.'))
        });
        let Some((index, contract)) =
            found.and_then(|index| Some((index, intake.plan.contracts.get(index)?)))
        else {
            return Err(Reject::new(Code::TypeUnknown, kind, "the type of an installed contract").at("/type"));
        };
        let Some(data) = tree.child(0, "data") else {
            return Err(bad("nothing", "data", "/data"));
        };
        let time = text(tree, "time").unwrap_or("");
        let mut extras = Vec::new();
        // Of a deprecated contract this node says what it knows; of another one the sender may.
        let replaced = if contract.deprecation.is_some() { lifecycle::ATTRIBUTES } else { &[] };
        let kept = |key: &str| !OWN.contains(&key) && !replaced.contains(&key);
        for child in tree.children(0).filter(|child| kept(tree.key(*child))) {
            extras.push(b',');
            write_json_string(tree.key(child), &mut extras);
            extras.push(b':');
            tree.write_json(child, &mut extras);
        }
        let extras = String::from_utf8(extras).unwrap_or_default();
        let with_key = |mut reject: Reject| {
            let mut key = String::new();
            if holds_keys(intake) && contract.write_key(tree, data, &mut key).is_ok() {
                reject.keys.push(key);
            }
            reject
        };
        contract.check_sunset(intake.recorded).map_err(|reject| with_key(reject.at("/type")))?;
        self.finish.check(contract, tree, data, |node| tree.pointer(node)).map_err(with_key)?;
        let envelope = Envelope {
            id: Some(id),
            source,
            time,
            recorded: text(tree, "recordedtime").unwrap_or(intake.recorded),
            site: text(tree, "mfgsite").unwrap_or(&intake.plan.site),
            traceparent: text(tree, "traceparent").unwrap_or(""),
            mapping: &extras,
        };
        let print = identity::fingerprint(raw);
        let prepared =
            self.finish.record(intake, (index, contract), (tree, data), &envelope, time, print, batch);
        let prepared = prepared.map_err(with_key).map_err(|reject| match reject.code {
            Code::ConversionFailed => Reject { pointer: format!("/data{}", reject.pointer), ..reject },
            _ => reject,
        })?;
        batch.items.push(prepared);
        Ok(())
    }
}

fn text<'t>(tree: &'t Tree, name: &str) -> Option<&'t str> {
    let id = tree.child(0, name)?;
    (tree.kind(id) == Kind::String).then(|| tree.text(id))
}
