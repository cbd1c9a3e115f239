//! Making records: the contract, the key, the identity, the routes.

use std::ops::Range;

use super::batch::{Batch, Prepared};
use super::convert::{Forms, at_pointer};
use super::message::Intake;
use crate::contract::Contract;
use crate::dedup::Prints;
use crate::identity;
use crate::map::scratch::Meta;
use crate::record::Header;
use crate::reject::{Code, Reject};
use crate::schema::Violation;
use crate::time::Instant;
use crate::tree::{NONE, NodeId, Tree};

/// Memory for making records.
#[derive(Debug, Default)]
pub struct Finish {
    pub(super) violations: Vec<Violation>,
    text: String,
    key: String,
    data: Vec<u8>,
    shared: Shared,
    pub(super) forms: Forms,
    pub(super) versions: String,
    /// Routes that may take the event.
    pub(super) candidates: Vec<usize>,
}

/// The part of a record that many events share, and the events it is for.
#[derive(Debug, Default)]
pub(super) struct Shared {
    of: Option<Events>,
    recorded: String,
    bytes: Vec<u8>,
}

/// Events that share the second part of their records: plan, source, contract and mapping by their numbers.
pub(super) type Events = (u64, usize, usize, usize);

impl Shared {
    fn write(&mut self, of: Events, header: &Header<'_>, out: &mut Vec<u8>) {
        if self.of != Some(of) || self.recorded != header.recorded {
            self.of = Some(of);
            header.recorded.clone_into(&mut self.recorded);
            self.bytes.clear();
            header.write_shared(&mut self.bytes);
        }
        header.write_own(out);
        out.extend_from_slice(&self.bytes);
    }
}

/// What is known of an event besides its `data`.
pub(super) struct Facts<'m> {
    pub item: u32,
    pub contract: usize,
    pub time: Option<Instant>,
    pub raw_print: u128,
    /// `name@hash` of its mapping.
    pub mapping: &'m str,
}

/// What the envelope of an event takes from elsewhere than its contract.
pub(super) struct Envelope<'e> {
    pub id: Option<&'e str>,
    pub source: &'e str,
    pub time: &'e str,
    pub recorded: &'e str,
    pub site: &'e str,
    pub traceparent: &'e str,
    pub mapping: &'e str,
}

/// An event that satisfies its contract, ready to be written.
pub(super) struct Valid<'v> {
    /// Index of the contract in the plan.
    pub index: usize,
    pub contract: &'v Contract,
    pub id: u128,
    pub prints: Prints,
    pub key: &'v str,
    /// Text of the business transaction; empty without one.
    pub transaction: &'v str,
    pub data: &'v [u8],
    pub sinks: Range<usize>,
    /// Sinks that get another version, as the record has them.
    pub versions: &'v str,
}

impl Valid<'_> {
    /// Writes the record, which has the key in it.
    pub(super) fn write(
        self,
        envelope: &Envelope<'_>,
        shared: Option<(&mut Shared, Events)>,
        batch: &mut Batch,
    ) -> Prepared {
        let Self { index, contract, id, prints, key, transaction, data, sinks, versions } = self;
        let id_text = identity::Text::new(id);
        let header = Header {
            id: envelope.id.unwrap_or(id_text.as_str()),
            source: envelope.source,
            full_type: &contract.full_type,
            time: envelope.time,
            key,
            dataschema: &contract.dataschema,
            transaction,
            process: contract.business.process.as_deref().unwrap_or(""),
            step: contract.business.step.as_deref().unwrap_or(""),
            traceparent: envelope.traceparent,
            recorded: envelope.recorded,
            site: envelope.site,
            kind: &contract.kind,
            versions,
            mapping: envelope.mapping,
            deprecation: contract.deprecation.as_ref().map_or("", |known| &known.attributes),
        };
        let start = batch.bytes.len();
        let key_at = start + header.key_at();
        let key = key_at..key_at + key.len();
        match shared {
            Some((shared, of)) => shared.write(of, &header, &mut batch.bytes),
            None => header.write(&mut batch.bytes),
        }
        let data_at = batch.bytes.len();
        batch.bytes.extend_from_slice(data);
        let record = start..batch.bytes.len();
        Prepared::Event {
            item: 0,
            contract: index,
            id,
            prints,
            key,
            record,
            data: data_at,
            sinks,
            time: None,
        }
    }
}

impl Finish {
    /// Checks `data` against its contract and writes the record.
    pub(super) fn event(
        &mut self,
        intake: &Intake<'_>,
        facts: &Facts<'_>,
        message: &Tree,
        data: &Tree,
        meta: Meta<'_>,
        batch: &mut Batch,
    ) -> Result<Prepared, Reject> {
        let (Some(contract), Some(source)) = (intake.plan.contracts.get(facts.contract), intake.source())
        else {
            return Err(Reject::new(Code::TypeUnknown, "nothing", "an installed contract"));
        };
        contract.check_sunset(intake.recorded)?;
        self.check(contract, data, 0, |node| pointer_of(message, data, node))?;
        let time = self.time(intake, facts.time);
        let envelope = envelope(intake, &source.uri, &time, meta, facts.mapping);
        // The time of admission is no part of what a re-send is compared by.
        let compared = if facts.time.is_some() { time.as_str() } else { "" };
        let place = (data, 0);
        let prepared = self.record(
            intake,
            (facts.contract, contract),
            place,
            &envelope,
            compared,
            facts.raw_print,
            batch,
        );
        self.text = time;
        let at_message = |reject: Reject| match at_pointer(data, 0, &reject.pointer) {
            Some(node) if reject.code == Code::ConversionFailed => reject.at(pointer_of(message, data, node)),
            _ => reject,
        };
        prepared.map(|prepared| facts.note(prepared)).map_err(at_message)
    }

    /// Writes the record of an event that was made without a tree; `None` hands the message back.
    pub(super) fn flat(
        &mut self,
        intake: &Intake<'_>,
        mapping: usize,
        facts: &Facts<'_>,
        event: &crate::flat::Event<'_>,
        meta: Meta<'_>,
        batch: &mut Batch,
    ) -> Option<Prepared> {
        let (contract, source) = (intake.plan.contracts.get(facts.contract)?, intake.source()?);
        contract.check_sunset(intake.recorded).ok()?;
        let data = event.seen.map(|tree| (tree, 0));
        if data.is_some_and(|(tree, root)| contract.broken_rule(tree, root).is_some()) {
            return None;
        }
        let sinks = self.routes(intake, (facts.contract, contract), &source.uri, data, batch).ok()?;
        let mut written = None;
        let time = match event.time_text {
            Some(text) => text,
            None => written.insert(self.time(intake, facts.time)).as_str(),
        };
        let envelope = envelope(intake, &source.uri, time, meta, facts.mapping);
        let compared = if facts.time.is_some() { time } else { "" };
        let body = identity::body_print(&contract.name, compared, event.data);
        let valid = Valid {
            index: facts.contract,
            contract,
            id: event.id,
            prints: Prints { raw: facts.raw_print, body },
            key: event.key,
            transaction: event.transaction,
            data: event.data,
            sinks,
            versions: "",
        };
        let of = (intake.plan.number, intake.source, facts.contract, mapping);
        let prepared = valid.write(&envelope, Some((&mut self.shared, of)), batch);
        if let Some(written) = written {
            self.text = written;
        }
        Some(facts.note(prepared))
    }

    /// The event time as text, in memory that is given back.
    fn time(&mut self, intake: &Intake<'_>, time: Option<Instant>) -> String {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        match time {
            Some(time) => time.write_to(&mut text),
            None => text.push_str(intake.recorded),
        }
        text
    }

    /// Checks `data` against the schema, then the rules.
    pub(super) fn check(
        &mut self,
        contract: &Contract,
        data: &Tree,
        root: NodeId,
        pointer: impl Fn(NodeId) -> String,
    ) -> Result<(), Reject> {
        check(contract, &mut self.violations, data, root, pointer)
    }

    /// Writes key and record of valid `data`.
    #[expect(clippy::too_many_arguments, reason = "one call site for each way an event arises")]
    pub(super) fn record(
        &mut self,
        intake: &Intake<'_>,
        (index, contract): (usize, &Contract),
        (data, root): (&Tree, NodeId),
        envelope: &Envelope<'_>,
        compared_time: &str,
        raw_print: u128,
        batch: &mut Batch,
    ) -> Result<Prepared, Reject> {
        let missing = |field: String| {
            Reject::new(Code::Missing, "nothing", "a field of the key or identity").field(field)
        };
        self.key.clear();
        contract.write_key(data, root, &mut self.key).map_err(missing)?;
        let id = match envelope.id {
            Some(text) => identity::number(text),
            None => contract.id(envelope.source, data, root).map_err(missing)?,
        };
        let sinks = self.routes(intake, (index, contract), envelope.source, Some((data, root)), batch)?;
        self.data.clear();
        data.write_json(root, &mut self.data);
        let body = body_print(contract, compared_time, &self.data, data, root);
        let transaction = contract.business.transaction.as_ref().and_then(|field| field.text(data, root));
        let valid = Valid {
            index,
            contract,
            id,
            prints: Prints { raw: raw_print, body },
            key: &self.key,
            transaction: transaction.unwrap_or(""),
            data: &self.data,
            sinks,
            versions: &self.versions,
        };
        Ok(valid.write(envelope, None, batch))
    }
}

impl Facts<'_> {
    /// Adds what only the message knows.
    fn note(&self, mut prepared: Prepared) -> Prepared {
        if let Prepared::Event { item, time, .. } = &mut prepared {
            (*item, *time) = (self.item, self.time);
        }
        prepared
    }
}

/// The envelope of an event that a mapping made.
fn envelope<'e>(
    intake: &Intake<'e>,
    source: &'e str,
    time: &'e str,
    meta: Meta<'e>,
    mapping: &'e str,
) -> Envelope<'e> {
    let trace = meta.iter().find(|(name, _)| *name == "http.header.traceparent");
    let traceparent = trace.map(|(_, text)| *text).filter(|text| is_traceparent(text)).unwrap_or("");
    Envelope {
        id: None,
        source,
        time,
        recorded: intake.recorded,
        site: &intake.plan.site,
        traceparent,
        mapping,
    }
}

/// Checks `data` against the schema of a contract, then its rules.
pub(super) fn check(
    contract: &Contract,
    violations: &mut Vec<Violation>,
    data: &Tree,
    root: NodeId,
    pointer: impl Fn(NodeId) -> String,
) -> Result<(), Reject> {
    violations.clear();
    if contract.schema.validate(data, root, 1, violations) {
        let Some(broken) = contract.broken_rule(data, root) else { return Ok(()) };
        let at = broken.field.as_ref().map(|(_, node)| pointer(*node)).unwrap_or_default();
        return Err(broken.reject().at(at));
    }
    let Some(violation) = violations.first() else { return Ok(()) };
    let mut reject = violation.reject(Code::ContractInvalid, data);
    reject.pointer = pointer(violation.node);
    reject.field = Some(dotted(&violation.pointer(data), data, root));
    Err(reject)
}

/// The fingerprint of type, time and `data` without volatile fields.
fn body_print(contract: &Contract, time: &str, json: &[u8], data: &Tree, root: NodeId) -> u128 {
    if contract.volatile.is_empty() {
        return identity::body_print(&contract.name, time, json);
    }
    let mut value = data.to_serde(root);
    for field in &contract.volatile {
        if let Some((last, above)) = field.0.split_last() {
            let mut at = Some(&mut value);
            for name in above {
                at = at.and_then(|value| value.get_mut(name));
            }
            if let Some(serde_json::Value::Object(members)) = at {
                members.remove(last);
            }
        }
    }
    let time = if contract.volatile.iter().any(|field| field.0 == ["time"]) { "" } else { time };
    identity::body_print(&contract.name, time, value.to_string().as_bytes())
}

/// Where in the message a value of `data` comes from; empty when it was not one path.
pub(super) fn pointer_of(message: &Tree, data: &Tree, node: NodeId) -> String {
    let origin = data.node(node).origin;
    if origin == NONE || origin as usize >= message.len() { String::new() } else { message.pointer(origin) }
}

/// `/quantity/good` as people write it: `quantity.good`; items as `readings[1].value`.
fn dotted(pointer: &str, data: &Tree, root: NodeId) -> String {
    let prefix = data.pointer(root);
    let mut out = String::new();
    for part in pointer.strip_prefix(&prefix).unwrap_or(pointer).split('/').skip(1) {
        if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            out.push_str(&format!("[{part}]"));
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(&part.replace("~1", "/").replace("~0", "~"));
        }
    }
    out
}

/// `00-<32 hex>-<16 hex>-<2 hex>` (W3C Trace Context §3.2).
fn is_traceparent(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 55
        && bytes.iter().enumerate().all(|(index, byte)| match index {
            2 | 35 | 52 => *byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(byte),
        })
}
