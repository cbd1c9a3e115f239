//! One message through the stages.

use std::sync::Arc;

use super::batch::{Attributes, Batch, Bytes, Prepared, PreparedMessage};
use super::finish::{Facts, Finish};
use super::flat::Choice;
use crate::decode::Limits;
use crate::decode::csv::decode_stored;
use crate::decode::json::JsonDecoder;
use crate::decode::xml::XmlDecoder;
use crate::identity;
use crate::map::run::Outcome;
use crate::map::scratch::{Given, LINE, Meta, Scratch, Workspace};
use crate::map::{Decode, Mapping};
use crate::plan::project::{Plan, SourcePlan};
use crate::reject::{Code, Reject};
use crate::tree::Tree;

/// The attribute by which an adapter marks a message that it made itself, with the name of its mapping.
const OWN: &str = "source.mapping";

/// Memory and decoders of one thread; used for one message after the other.
#[derive(Debug)]
pub struct Worker {
    pub(super) limits: Limits,
    pub(super) json: JsonDecoder,
    xml: XmlDecoder,
    pub(super) space: Workspace,
    pub(super) finish: Finish,
    pub(super) flat: crate::flat::Memory,
    /// Whether messages may run flat; what is shown to people runs on trees, where every step has a place.
    pub(super) flat_allowed: bool,
    pub(super) flat_count: u64,
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
            flat: crate::flat::Memory::default(),
            flat_allowed: true,
            flat_count: 0,
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

    /// This intake for one message: if its adapter made it, only the mapping that the adapter brings takes it.
    fn of_message(&self, meta: Meta<'_>) -> Self {
        let own = self.source().map(|source| source.own.as_slice()).unwrap_or_default();
        if own.is_empty() || self.mapping.is_some() {
            return *self;
        }
        let named = meta.iter().find(|(name, _)| *name == OWN).map(|(_, mapping)| *mapping);
        let is_named = |index: &&usize| self.plan.mappings.get(**index).map(|one| one.name.as_str()) == named;
        let mapping = named.and(own.iter().find(is_named)).copied();
        Self { mapping, ..*self }
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
    /// A worker that runs every message on trees.
    #[must_use]
    pub fn on_trees() -> Self {
        Self { flat_allowed: false, ..Self::default() }
    }

    /// How many messages of this worker ran flat.
    #[must_use]
    pub fn ran_flat(&self) -> u64 {
        self.flat_count
    }

    /// Prepares one message. `raw` is what is kept of it when something is rejected.
    pub fn message(
        &mut self,
        intake: &Intake<'_>,
        read: Read<'_>,
        raw: &[u8],
        meta: Meta<'_>,
        batch: &mut Batch,
    ) {
        let intake = &intake.of_message(meta);
        if let (Read::Bytes(bytes), true) = (read, self.flat_allowed) {
            let taken = match Choice::of(intake) {
                Some(choice) => self.flat_message(intake, choice, bytes, meta, batch),
                None => intake.mappings().next().is_none() && self.flat_canonical(intake, bytes, meta, batch),
            };
            if taken {
                return;
            }
        }
        let items = batch.items.len();
        let raw_range = batch.push(raw);
        let meta_range = batch.push_attributes(meta);
        let mut message = PreparedMessage {
            raw: Bytes::Own(raw_range),
            meta: Attributes::Own(meta_range),
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
                let mut reject = violation.reject(Code::InputInvalid, &self.space.message);
                reject.keys = self.keys(intake, mapping, meta);
                return Err(reject);
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
        let source = intake.source()?;
        // What an adapter says of itself is none of the messages that filters are written for.
        if intake.mapping.is_some_and(|mapping| source.own.contains(&mapping)) {
            return None;
        }
        let filters = Some(source.filters.as_slice()).filter(|filters| !filters.is_empty())?;
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
        scratch.wants_keys = holds_keys(intake);
        mapping.run(&mut scratch, &mut |scratch, item, set, outcome| {
            message.independent |= set.independent;
            let rejected = scratch.rejected.take();
            let prepared = match outcome {
                Outcome::Filtered(rule) => Prepared::Filtered(Arc::from(rule)),
                Outcome::Reject(reject) => {
                    let keys = rejected.and_then(|contract| key_of(intake, contract, &scratch.out));
                    Prepared::Reject(Reject { item: Some(item), keys: keys.into_iter().collect(), ..reject })
                }
                Outcome::Event { contract, time } => {
                    let raw_print = mix(print, item);
                    let facts = Facts { item, contract, time, raw_print, mapping: &mapping.label };
                    finish.event(intake, &facts, &scratch.message, &scratch.out, meta, batch).unwrap_or_else(
                        |reject| {
                            let keys = Some(contract).filter(|_| scratch.wants_keys);
                            let keys = keys.and_then(|contract| key_of(intake, contract, &scratch.out));
                            let keys = keys.into_iter().collect();
                            Prepared::Reject(Reject { item: Some(item), keys, ..reject })
                        },
                    )
                }
            };
            batch.items.push(prepared);
        });
        scratch.give_back(space);
    }
}

impl Worker {
    /// The keys that a message has which its input schema refuses, if a reject holds them.
    fn keys(&mut self, intake: &Intake<'_>, mapping: &Mapping, meta: Meta<'_>) -> Vec<String> {
        let mut keys = Vec::new();
        if !holds_keys(intake) {
            return keys;
        }
        let Self { space, xml, .. } = self;
        let mut scratch = Scratch::take(space, mapping, meta, given(intake, mapping, xml));
        scratch.wants_keys = true;
        mapping.run(&mut scratch, &mut |scratch, _, _, outcome| {
            let contract = match outcome {
                Outcome::Event { contract, .. } => Some(contract),
                _ => scratch.rejected.take(),
            };
            keys.extend(contract.and_then(|contract| key_of(intake, contract, &scratch.out)));
        });
        scratch.give_back(space);
        keys
    }
}

/// Whether rejects of the source hold their keys.
pub(super) fn holds_keys(intake: &Intake<'_>) -> bool {
    intake.source().is_some_and(|source| source.holds_keys)
}

/// The key of `data`, if its fields are there.
fn key_of(intake: &Intake<'_>, contract: usize, data: &Tree) -> Option<String> {
    let mut key = String::new();
    intake.plan.contracts.get(contract)?.write_key(data, 0, &mut key).ok()?;
    Some(key)
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
pub(super) fn mix(message: u128, item: u32) -> u128 {
    message ^ (u128::from(item) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

/// Where people find a row or line of a file: `BDE.csv:3`; or the file, where all of it is meant.
pub(super) fn place(meta: Meta<'_>) -> Option<String> {
    let text = |name: &str| meta.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
    let file = text("file.name")?;
    Some(text(LINE).map_or_else(|| file.to_owned(), |line| format!("{file}:{line}")))
}
