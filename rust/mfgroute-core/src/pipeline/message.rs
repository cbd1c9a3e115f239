//! One message through the stages.

use std::sync::Arc;

use super::batch::{Batch, Prepared, PreparedMessage};
use crate::contract::Contract;
use crate::decode::Limits;
use crate::decode::csv::decode_stored;
use crate::decode::json::JsonDecoder;
use crate::decode::xml::XmlDecoder;
use crate::dedup::Prints;
use crate::identity::{self, IdHasher};
use crate::map::run::{Given, Meta, Outcome, Scratch, Workspace};
use crate::map::{Decode, Mapping};
use crate::plan::project::{Plan, SourcePlan};
use crate::record::Header;
use crate::reject::{Code, Reject};
use crate::schema::Violation;
use crate::time::Instant;
use crate::tree::{NONE, NodeId, Tree};

/// Memory and decoders of one thread; used for one message after the other.
#[derive(Debug)]
pub struct Worker {
    pub(super) limits: Limits,
    pub(super) json: JsonDecoder,
    xml: XmlDecoder,
    pub(super) space: Workspace,
    pub(super) finish: Finish,
}

/// Memory for making records.
#[derive(Debug, Default)]
pub struct Finish {
    violations: Vec<Violation>,
    text: String,
    key: String,
    data: Vec<u8>,
}

impl Default for Worker {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            limits,
            json: JsonDecoder::new(limits),
            xml: XmlDecoder::new(limits),
            space: Workspace::default(),
            finish: Finish::default(),
        }
    }
}

/// What messages of one submit share.
#[derive(Clone, Copy, Debug)]
pub struct Intake<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The source, by index in the plan.
    pub source: usize,
    /// When they are admitted, RFC 3339 in UTC: `recordedtime`, and the event time of mappings without.
    pub recorded: &'a str,
    /// Only this mapping, for tests; the source's own when `None`.
    pub mapping: Option<usize>,
}

impl<'a> Intake<'a> {
    /// The source.
    #[must_use]
    pub fn source(&self) -> Option<&'a SourcePlan> {
        self.plan.sources.get(self.source)
    }

    /// The mappings that may take a message.
    pub fn mappings(&self) -> impl Iterator<Item = (usize, &'a Mapping)> + use<'a> {
        let plan = self.plan;
        let forced = self.mapping;
        let own = self.source().map(|source| source.mappings.as_slice()).unwrap_or_default();
        let indexes = forced.into_iter().chain(own.iter().copied().filter(move |_| forced.is_none()));
        indexes.filter_map(move |index| plan.mappings.get(index).map(|mapping| (index, mapping)))
    }
}

/// How the bytes of a message are to be read.
#[derive(Clone, Copy, Debug)]
pub enum Read<'b> {
    /// They are decoded here.
    Bytes(&'b [u8]),
    /// They are in [`Workspace::message`] already.
    Decoded,
}

impl Worker {
    /// Prepares one message. `raw` is what is kept of it when something is rejected.
    pub fn message(
        &mut self,
        intake: &Intake<'_>,
        read: Read<'_>,
        raw: &[u8],
        meta: Meta<'_>,
        batch: &mut Batch,
    ) {
        let items = batch.items.len();
        let raw_range = batch.push(raw);
        let meta_range = push_meta(meta, batch);
        let mut message = PreparedMessage {
            raw: raw_range,
            meta: meta_range,
            independent: false,
            items: items..items,
            mapping: None,
        };
        let index = batch.messages.len() as u32;
        if let Err(mut reject) = self.stages(intake, read, raw, meta, &mut message, batch) {
            reject.message = index;
            batch.items.push(Prepared::Reject(reject));
        }
        for prepared in batch.items.get_mut(items..).unwrap_or_default() {
            if let Prepared::Reject(reject) = prepared {
                reject.message = index;
                reject.place = place(meta);
            }
        }
        message.items = items..batch.items.len();
        batch.messages.push(message);
    }

    fn stages(
        &mut self,
        intake: &Intake<'_>,
        read: Read<'_>,
        raw: &[u8],
        meta: Meta<'_>,
        message: &mut PreparedMessage,
        batch: &mut Batch,
    ) -> Result<(), Reject> {
        let mut mappings = intake.mappings().peekable();
        let Some((_, first)) = mappings.peek() else {
            return self.canonical(intake, raw, batch);
        };
        if let Read::Bytes(bytes) = read {
            self.decode(first, bytes)?;
        }
        if let Some(prepared) = self.filtered(intake, first, meta) {
            batch.items.push(prepared);
            return Ok(());
        }
        let (index, mapping) = self.select(intake, meta)?;
        message.mapping = Some(index);
        if let Some(schema) = &mapping.from.schema {
            self.finish.violations.clear();
            if !schema.validate(&self.space.message, 0, 1, &mut self.finish.violations)
                && let Some(violation) = self.finish.violations.first()
            {
                return Err(violation.reject(Code::InputInvalid, &self.space.message));
            }
        }
        self.map(intake, mapping, raw, meta, message, batch);
        Ok(())
    }

    fn decode(&mut self, mapping: &Mapping, bytes: &[u8]) -> Result<(), Reject> {
        match &mapping.from.decode {
            Decode::Json => self.json.decode(bytes, &mut self.space.message),
            Decode::Xml { .. } => self.xml.decode(bytes, &mut self.space.message),
            Decode::Csv(options) => decode_stored(bytes, options, &self.limits, &mut self.space.message),
        }
    }

    /// The filter of the source that drops the message, or the reject that its condition ended in.
    /// Empty texts are those of the first mapping.
    fn filtered(&mut self, intake: &Intake<'_>, first: &Mapping, meta: Meta<'_>) -> Option<Prepared> {
        let filters = intake.source().map(|source| source.filters.as_slice()).filter(|f| !f.is_empty())?;
        let given = given(intake, first, &self.xml);
        let mut scratch = Scratch::take(&mut self.space, first, meta, given);
        let found = filters.iter().find_map(|(name, when)| match when.holds(&mut scratch) {
            Ok(true) => Some(Prepared::Filtered(Arc::from(name.as_str()))),
            Ok(false) => None,
            Err(reject) => Some(Prepared::Reject(reject)),
        });
        scratch.give_back(&mut self.space);
        found
    }

    /// The one mapping that takes the message.
    fn select<'a>(&mut self, intake: &Intake<'a>, meta: Meta<'_>) -> Result<(usize, &'a Mapping), Reject> {
        let mut chosen: Option<(usize, &'a Mapping)> = None;
        for (index, mapping) in intake.mappings() {
            if !self.guard(mapping) {
                continue;
            }
            let given = given(intake, mapping, &self.xml);
            let mut scratch = Scratch::take(&mut self.space, mapping, meta, given);
            let holds = mapping.when.as_ref().map_or(Ok(true), |when| when.holds(&mut scratch));
            scratch.give_back(&mut self.space);
            if !holds? {
                continue;
            }
            if let Some((_, other)) = chosen {
                let found = format!("{} and {}", other.name, mapping.name);
                return Err(Reject::new(Code::MappingAmbiguous, found, "exactly one mapping that takes it"));
            }
            chosen = Some((index, mapping));
        }
        chosen.ok_or_else(|| {
            let names: Vec<&str> = intake.mappings().map(|(_, mapping)| mapping.name.as_str()).collect();
            let xml = intake.mappings().any(|(_, mapping)| matches!(mapping.from.decode, Decode::Xml { .. }));
            let found = if xml {
                let head = self.xml.head();
                format!("{} in namespace {:?}", head.root, head.namespace)
            } else {
                "a message that none takes".to_owned()
            };
            Reject::new(Code::NoMapping, found, format!("one that {} takes", names.join(" or ")))
        })
    }

    fn guard(&self, mapping: &Mapping) -> bool {
        let Decode::Xml { root, namespace } = &mapping.from.decode else { return true };
        let head = self.xml.head();
        (root.is_empty() || root.contains(&head.root))
            && (namespace.is_empty() || namespace.contains(&head.namespace))
    }

    fn map(
        &mut self,
        intake: &Intake<'_>,
        mapping: &Mapping,
        raw: &[u8],
        meta: Meta<'_>,
        message: &mut PreparedMessage,
        batch: &mut Batch,
    ) {
        let print = identity::fingerprint(raw);
        let Self { space, finish, xml, .. } = self;
        let mut scratch = Scratch::take(space, mapping, meta, given(intake, mapping, xml));
        mapping.run(&mut scratch, &mut |scratch, item, set, outcome| {
            message.independent |= set.independent;
            let prepared = match outcome {
                Outcome::Filtered(rule) => Prepared::Filtered(Arc::from(rule)),
                Outcome::Reject(reject) => Prepared::Reject(Reject { item: Some(item), ..reject }),
                Outcome::Event { contract, time } => {
                    let facts = Facts { item, contract, time, raw_print: mix(print, item), mapping };
                    finish
                        .event(intake, &facts, &scratch.message, &scratch.out, meta, batch)
                        .unwrap_or_else(|reject| Prepared::Reject(Reject { item: Some(item), ..reject }))
                }
            };
            batch.items.push(prepared);
        });
        scratch.give_back(space);
    }
}

/// The attributes that every message has.
fn given<'a>(intake: &Intake<'a>, mapping: &Mapping, xml: &'a XmlDecoder) -> Given<'a> {
    let is_xml = matches!(mapping.from.decode, Decode::Xml { .. });
    Given {
        source: intake.source().map_or("", |source| source.name.as_str()),
        site: &intake.plan.site,
        received: intake.recorded,
        xml_root: if is_xml { &xml.head().root } else { "" },
    }
}

/// The fingerprint of an item of a message with this fingerprint.
fn mix(message: u128, item: u32) -> u128 {
    message ^ (u128::from(item) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

/// Where people find a row or line of a file: `BDE.csv:3`.
pub(super) fn place(meta: Meta<'_>) -> Option<String> {
    let text = |name: &str| meta.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
    Some(format!("{}:{}", text("file.name")?, text("file.line")?))
}

fn push_meta(meta: Meta<'_>, batch: &mut Batch) -> std::ops::Range<usize> {
    let start = batch.bytes.len();
    batch.bytes.push(b'{');
    for (index, (name, text)) in meta.iter().enumerate() {
        if index > 0 {
            batch.bytes.push(b',');
        }
        crate::tree::write_json_string(name, &mut batch.bytes);
        batch.bytes.push(b':');
        crate::tree::write_json_string(text, &mut batch.bytes);
    }
    batch.bytes.push(b'}');
    start..batch.bytes.len()
}

struct Facts<'m> {
    item: u32,
    contract: usize,
    time: Option<Instant>,
    raw_print: u128,
    mapping: &'m Mapping,
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

impl Finish {
    /// Checks `data` against its contract and writes the record.
    fn event(
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
        self.check(contract, data, 0, |node| pointer_of(message, data, node))?;
        self.text.clear();
        if let Some(time) = facts.time {
            time.write_to(&mut self.text);
        } else {
            self.text.push_str(intake.recorded);
        }
        let trace = meta.iter().find(|(name, _)| *name == "http.header.traceparent");
        let traceparent = trace.map(|(_, text)| *text).filter(|text| is_traceparent(text)).unwrap_or("");
        let time = std::mem::take(&mut self.text);
        let envelope = Envelope {
            id: None,
            source: &source.uri,
            time: &time,
            recorded: intake.recorded,
            site: &intake.plan.site,
            traceparent,
            mapping: &facts.mapping.label,
        };
        // The time of admission is no part of what a re-send is compared by.
        let compared = if facts.time.is_some() { time.as_str() } else { "" };
        let mut prepared = self.record(
            intake,
            facts.contract,
            contract,
            (data, 0),
            &envelope,
            compared,
            facts.raw_print,
            batch,
        );
        if let Ok(Prepared::Event { item, time, .. }) = &mut prepared {
            *item = facts.item;
            *time = facts.time;
        }
        self.text = time;
        prepared
    }

    /// Validates `data`.
    pub(super) fn check(
        &mut self,
        contract: &Contract,
        data: &Tree,
        root: NodeId,
        pointer: impl Fn(NodeId) -> String,
    ) -> Result<(), Reject> {
        self.violations.clear();
        if contract.schema.validate(data, root, 1, &mut self.violations) {
            return Ok(());
        }
        let Some(violation) = self.violations.first() else { return Ok(()) };
        let mut reject = violation.reject(Code::ContractInvalid, data);
        reject.pointer = pointer(violation.node);
        reject.field = Some(dotted(&violation.pointer(data), data, root));
        Err(reject)
    }

    /// Writes key and record of valid `data`.
    #[expect(clippy::too_many_arguments, reason = "one call site for each way an event arises")]
    pub(super) fn record(
        &mut self,
        intake: &Intake<'_>,
        index: usize,
        contract: &Contract,
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
        let source_name = intake.source().map(|source| source.name.as_str()).unwrap_or_default();
        let sinks = batch.sinks.len();
        for route in intake.plan.routes_of.get(index).into_iter().flatten() {
            let Some(route) = intake.plan.routes.get(*route) else { continue };
            if !route.takes_source(source_name, envelope.source)
                || !route.holds(index, &contract.full_type, source_name, (data, root))?
            {
                continue;
            }
            for sink in &route.sinks {
                if !batch.sinks.get(sinks..).unwrap_or_default().contains(sink) {
                    batch.sinks.push(*sink);
                }
            }
        }
        self.data.clear();
        data.write_json(root, &mut self.data);
        let body = body_print(contract, compared_time, &self.data, data, root);
        let id_text = identity::text(id);
        let header = Header {
            id: envelope.id.unwrap_or(&id_text),
            source: envelope.source,
            full_type: &contract.full_type,
            time: envelope.time,
            key: &self.key,
            dataschema: &contract.dataschema,
            transaction: contract
                .business
                .transaction
                .as_ref()
                .and_then(|f| f.text(data, root))
                .unwrap_or(""),
            process: contract.business.process.as_deref().unwrap_or(""),
            step: contract.business.step.as_deref().unwrap_or(""),
            traceparent: envelope.traceparent,
            recorded: envelope.recorded,
            site: envelope.site,
            kind: &contract.kind,
            mapping: envelope.mapping,
        };
        let key = batch.push(self.key.as_bytes());
        let start = batch.bytes.len();
        header.write(&mut batch.bytes);
        let data_at = batch.bytes.len();
        batch.bytes.extend_from_slice(&self.data);
        Ok(Prepared::Event {
            item: 0,
            contract: index,
            id,
            prints: Prints { raw: raw_print, body },
            key,
            record: start..batch.bytes.len(),
            data: data_at,
            sinks: sinks..batch.sinks.len(),
            time: None,
        })
    }
}

/// The fingerprint of type, time and `data` without volatile fields.
fn body_print(contract: &Contract, time: &str, json: &[u8], data: &Tree, root: NodeId) -> u128 {
    let mut hasher = IdHasher::default();
    hasher.part(&contract.name);
    if contract.volatile.is_empty() {
        hasher.part(time);
        hasher.part(std::str::from_utf8(json).unwrap_or_default());
        return hasher.finish();
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
    if !contract.volatile.iter().any(|field| field.0 == ["time"]) {
        hasher.part(time);
    }
    hasher.part(&value.to_string());
    hasher.finish()
}

/// Where in the message a value of `data` comes from; empty when it was not one path.
fn pointer_of(message: &Tree, data: &Tree, node: NodeId) -> String {
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
