//! A message that is a canonical CloudEvent already: from the edge link or from a batch of CloudEvents.
//!
//! Nothing is mapped. The contract is the input schema, and id, source, time and attributes are kept.

use super::batch::{Attributes, Batch, Bytes, Prepared, PreparedMessage};
use super::finish::{Envelope, Finish, Valid};
use super::message::{Intake, Worker, holds_keys};
use crate::contract::lifecycle;
use crate::dedup::Prints;
use crate::flat::{Canon, Canonical};
use crate::identity;
use crate::map::scratch::Meta;
use crate::reject::{Code, Reject};
use crate::tree::{Kind, NodeId, Tree, write_json_string};

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
        let found = intake.plan.contract_of(kind);
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

impl Worker {
    /// Prepares one canonical event without a tree. False: nothing is prepared, it is one for trees.
    pub(super) fn flat_canonical(
        &mut self,
        intake: &Intake<'_>,
        raw: &[u8],
        meta: Meta<'_>,
        batch: &mut Batch,
    ) -> bool {
        if intake.source().is_none_or(|source| !source.filters.is_empty()) {
            return false;
        }
        let (items, bytes, sinks) = (batch.items.len(), batch.bytes.len(), batch.sinks.len());
        let own = (batch.push(raw), batch.push_attributes(meta));
        let plan = intake.plan;
        let Self { limits, json, space, finish, flat, .. } = self;
        let programs = (plan.canonical.as_slice(), plan.contracts.as_slice());
        let read = Canonical::read(programs, |kind| plan.contract_of(kind), raw, limits, flat);
        let prepared = read.and_then(|event| {
            let tree = &mut space.message;
            if event.looks {
                json.decode(event.data, tree).ok()?;
            }
            finish.canon(
                intake,
                &event,
                event.looks.then_some((&*tree, 0)),
                identity::fingerprint(raw),
                batch,
            )
        });
        let Some(prepared) = prepared else {
            batch.bytes.truncate(bytes);
            batch.sinks.truncate(sinks);
            return false;
        };
        batch.items.push(prepared);
        batch.messages.push(PreparedMessage {
            raw: Bytes::Own(own.0),
            meta: Attributes::Own(own.1),
            independent: false,
            items: items..items + 1,
            mapping: None,
        });
        self.flat_count += 1;
        true
    }
}

impl Finish {
    /// Writes the record of a canonical event that was read without a tree; `None` hands it back. `data` is there if
    /// somebody looks at it.
    fn canon(
        &mut self,
        intake: &Intake<'_>,
        event: &Canon<'_>,
        data: Option<(&Tree, NodeId)>,
        raw: u128,
        batch: &mut Batch,
    ) -> Option<Prepared> {
        let contract = intake.plan.contracts.get(event.contract)?;
        contract.check_sunset(intake.recorded).ok()?;
        if data.is_some_and(|(tree, root)| contract.broken_rule(tree, root).is_some()) {
            return None;
        }
        let sinks = self.routes(intake, (event.contract, contract), event.source, data, batch).ok()?;
        let envelope = Envelope {
            id: Some(event.id),
            source: event.source,
            time: event.time,
            recorded: event.recorded.unwrap_or(intake.recorded),
            site: event.site.unwrap_or(&intake.plan.site),
            traceparent: event.traceparent,
            mapping: event.extras,
        };
        let valid = Valid {
            index: event.contract,
            contract,
            id: identity::number(event.id),
            prints: Prints { raw, body: identity::body_print(&contract.name, event.time, event.data) },
            key: event.key,
            transaction: event.transaction,
            data: event.data,
            sinks,
            versions: "",
        };
        Some(valid.write(&envelope, None, batch))
    }
}

fn text<'t>(tree: &'t Tree, name: &str) -> Option<&'t str> {
    let id = tree.child(0, name)?;
    (tree.kind(id) == Kind::String).then(|| tree.text(id))
}
