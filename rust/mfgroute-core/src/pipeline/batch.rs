//! Prepared messages: what the stages made of them, ready to be admitted.

use std::ops::Range;
use std::sync::Arc;

use crate::dedup::Prints;
use crate::engine::{self, Installed, SinkNo};
use crate::plan::project::Plan;
use crate::reject::Reject;

/// What one item became.
#[derive(Debug)]
pub enum Prepared {
    /// An event; its bytes are in the batch.
    Event {
        /// Index of the item in its message.
        item: u32,
        /// Index of the contract in the plan.
        contract: usize,
        /// Event id.
        id: u128,
        /// Fingerprints of the raw item and of the canonical event.
        prints: Prints,
        /// Key, in the record.
        key: Range<usize>,
        /// Record, in [`Batch::bytes`].
        record: Range<usize>,
        /// Where `data` starts in the record's range.
        data: usize,
        /// Sinks, in [`Batch::sinks`].
        sinks: Range<usize>,
        /// Event time as in the record; empty when the mapping gives none.
        time: Option<crate::time::Instant>,
    },
    /// Refused.
    Reject(Reject),
    /// Left out by a named rule.
    Filtered(Arc<str>),
}

/// Where the bytes of a message are.
#[derive(Clone, Debug)]
pub enum Bytes {
    /// In [`Batch::bytes`].
    Own(Range<usize>),
    /// In the slab that is submitted.
    Slab(Range<usize>),
}

/// Where the attributes of a message are.
#[derive(Clone, Debug)]
pub enum Attributes {
    /// In [`Batch::bytes`], as a JSON object.
    Own(Range<usize>),
    /// Those that all messages of the slab share, and this line.
    Line(u64),
}

/// A slab that messages were prepared from, for what a batch did not copy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'o> {
    /// Its bytes.
    pub slab: &'o [u8],
    /// Attributes that its messages share.
    pub meta: crate::map::scratch::Meta<'o>,
}

/// One message.
#[derive(Debug)]
pub struct PreparedMessage {
    /// Its bytes as they would be submitted again.
    pub raw: Bytes,
    /// Its attributes.
    pub meta: Attributes,
    /// Whether a bad item leaves the others alone.
    pub independent: bool,
    /// Its items, in [`Batch::items`].
    pub items: Range<usize>,
    /// The mapping that took it, by index in the plan.
    pub mapping: Option<usize>,
}

/// Prepared messages of one source.
#[derive(Debug, Default)]
pub struct Batch {
    /// Raw messages, keys and records.
    pub bytes: Vec<u8>,
    /// What items became.
    pub items: Vec<Prepared>,
    /// Messages, in order.
    pub messages: Vec<PreparedMessage>,
    /// Sinks of events, by their index in the plan.
    pub sinks: Vec<usize>,
}

impl Batch {
    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
        self.messages.clear();
        self.sinks.clear();
    }

    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    /// Appends attributes as a JSON object.
    pub(super) fn push_attributes(&mut self, meta: crate::map::scratch::Meta<'_>) -> Range<usize> {
        let start = self.bytes.len();
        engine::write_attributes(meta.iter().copied(), &mut self.bytes);
        start..self.bytes.len()
    }

    /// The bytes of a range.
    #[must_use]
    pub fn get(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    /// Submits the batch to an engine in which `plan` is installed with these numbers.
    ///
    /// # Errors
    ///
    /// As [`engine::Engine::admit`].
    pub fn admit(
        &self,
        plan: &Plan,
        installed: &Installed,
        source: usize,
        origin: Origin<'_>,
        (sync, position): (bool, Option<&[u8]>),
        admit: impl FnOnce(&engine::Admission<'_>) -> Result<engine::Receipt, engine::AdmitError>,
    ) -> Result<engine::Receipt, engine::AdmitError> {
        let number = |numbers: &[u16], index: usize| {
            numbers.get(index).copied().ok_or(engine::AdmitError::NotInstalled)
        };
        let sinks: Vec<SinkNo> =
            self.sinks.iter().map(|sink| number(&installed.sinks, *sink)).collect::<Result<_, _>>()?;
        let mut items = Vec::with_capacity(self.items.len());
        for prepared in &self.items {
            items.push(match prepared {
                Prepared::Event { item, contract, id, prints, key, record, sinks: wanted, .. } => {
                    let stream = plan.stream_of.get(*contract).copied().unwrap_or(usize::MAX);
                    let Some(contract) = plan.contracts.get(*contract) else {
                        return Err(engine::AdmitError::NotInstalled);
                    };
                    engine::Item::Event(engine::Event {
                        item: *item,
                        stream: number(&installed.streams, stream)?,
                        key: self.get(key),
                        id: *id,
                        prints: *prints,
                        kind: &contract.full_type,
                        sinks: sinks.get(wanted.clone()).unwrap_or_default(),
                        record: self.get(record),
                    })
                }
                Prepared::Reject(reject) => engine::Item::Reject(reject.clone()),
                Prepared::Filtered(rule) => engine::Item::Filtered { rule },
            });
        }
        let messages: Vec<engine::Message<'_>> = self
            .messages
            .iter()
            .map(|message| engine::Message {
                raw: match &message.raw {
                    Bytes::Own(range) => self.get(range),
                    Bytes::Slab(range) => origin.slab.get(range.clone()).unwrap_or_default(),
                },
                meta: match &message.meta {
                    Attributes::Own(range) => engine::Attributes::Json(self.get(range)),
                    Attributes::Line(line) => engine::Attributes::Line { shared: origin.meta, line: *line },
                },
                independent: message.independent,
                items: items.get(message.items.clone()).unwrap_or_default(),
            })
            .collect();
        let source = number(&installed.sources, source)?;
        admit(&engine::Admission { source, sync, messages: &messages, position })
    }
}
