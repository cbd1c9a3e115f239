//! Messages that run flat: whole, or not at all.

use std::ops::Range;
use std::sync::Arc;

use super::batch::{Attributes, Batch, Bytes, Prepared, PreparedMessage};
use super::finish::Facts;
use super::message::{Intake, Worker, mix};
use crate::flat::{Made, Offer, Program, Selector};
use crate::identity;
use crate::map::Mapping;
use crate::map::scratch::{Given, Meta};

/// A mapping with its program.
#[derive(Clone, Copy, Debug)]
struct Fast<'p> {
    index: usize,
    mapping: &'p Mapping,
    program: &'p Program,
}

/// How the mapping of a message is found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Choice<'p> {
    /// The source has one.
    One(usize),
    /// A value of the message says which.
    By(&'p Selector),
}

impl<'p> Choice<'p> {
    /// How messages of a source may run flat; `None` when they all run on trees.
    pub(super) fn of(intake: &Intake<'p>) -> Option<Self> {
        let source = intake.source().filter(|source| source.filters.is_empty())?;
        let mut mappings = intake.mappings();
        let (index, _) = mappings.next()?;
        if mappings.next().is_some() {
            return source.selector.as_ref().map(Self::By);
        }
        intake.plan.programs.get(index)?.is_ok().then_some(Self::One(index))
    }
}

impl Worker {
    /// The mapping that takes a message, if it runs flat.
    fn pick<'p>(&mut self, intake: &Intake<'p>, choice: Choice<'p>, offer: &Offer<'_>) -> Option<Fast<'p>> {
        let index = match choice {
            Choice::One(index) => index,
            Choice::By(selector) => selector.pick(offer, &self.limits, &mut self.flat)?,
        };
        let program = intake.plan.programs.get(index)?.as_ref().ok()?;
        Some(Fast { index, mapping: intake.plan.mappings.get(index)?, program })
    }

    /// Takes the line of a slab that starts at `at`; gives where the next one starts. `None`: nothing is
    /// prepared, it is a message for trees.
    pub(super) fn flat_line(
        &mut self,
        intake: &Intake<'_>,
        choice: Choice<'_>,
        slab: &[u8],
        (at, line): (usize, u64),
        meta: Meta<'_>,
        batch: &mut Batch,
    ) -> Option<usize> {
        let offer = offer(intake, slab, at, Some(line), meta)?;
        let fast = self.pick(intake, choice, &offer)?;
        let end = fast.program.scan(&offer, &self.limits, &mut self.flat)?;
        let next = match slab.get(end) {
            None => end,
            Some(b'\n') => end + 1,
            Some(_) => return None,
        };
        let text = slab.get(at..end)?;
        let raw = at..at + text.strip_suffix(b"\r").unwrap_or(text).len();
        let message = PreparedMessage {
            raw: Bytes::Slab(raw.clone()),
            meta: Attributes::Line(line),
            independent: false,
            items: 0..0,
            mapping: Some(fast.index),
        };
        self.flat_events(intake, fast, &offer, raw, message, batch)?;
        Some(next)
    }

    /// Takes one message. False: nothing is prepared, it is a message for trees.
    pub(super) fn flat_message(
        &mut self,
        intake: &Intake<'_>,
        choice: Choice<'_>,
        bytes: &[u8],
        meta: Meta<'_>,
        batch: &mut Batch,
    ) -> bool {
        let Some(offer) = offer(intake, bytes, 0, None, meta) else { return false };
        let Some(fast) = self.pick(intake, choice, &offer) else { return false };
        if fast.program.scan(&offer, &self.limits, &mut self.flat) != Some(bytes.len()) {
            return false;
        }
        let before = batch.bytes.len();
        let raw = batch.push(bytes);
        let attributes = batch.push_attributes(meta);
        let message = PreparedMessage {
            raw: Bytes::Own(raw),
            meta: Attributes::Own(attributes),
            independent: false,
            items: 0..0,
            mapping: Some(fast.index),
        };
        let taken = self.flat_events(intake, fast, &offer, 0..bytes.len(), message, batch).is_some();
        if !taken {
            batch.bytes.truncate(before);
        }
        taken
    }

    /// Prepares what the program makes of the message that was read last.
    fn flat_events(
        &mut self,
        intake: &Intake<'_>,
        fast: Fast<'_>,
        offer: &Offer<'_>,
        raw: Range<usize>,
        mut message: PreparedMessage,
        batch: &mut Batch,
    ) -> Option<()> {
        let raw = offer.bytes.get(raw)?;
        if raw.len() > self.limits.message_bytes {
            return None;
        }
        let (items, bytes, sinks) = (batch.items.len(), batch.bytes.len(), batch.sinks.len());
        let print = identity::fingerprint(raw);
        let Self { flat, finish, .. } = self;
        let run =
            fast.program.run(fast.mapping, &intake.plan.contracts, offer, flat, &mut |independent, made| {
                message.independent |= independent;
                let prepared = match made {
                    Made::Filtered(rule) => Prepared::Filtered(Arc::from(rule)),
                    Made::Event(event) => {
                        let facts = Facts {
                            item: event.item,
                            contract: event.contract,
                            time: event.time,
                            raw_print: mix(print, event.item),
                            mapping: &fast.mapping.label,
                        };
                        finish.flat(intake, fast.index, &facts, &event, offer.meta, batch)?
                    }
                };
                batch.items.push(prepared);
                Some(())
            });
        if run.is_none() {
            batch.items.truncate(items);
            batch.bytes.truncate(bytes);
            batch.sinks.truncate(sinks);
            return None;
        }
        message.items = items..batch.items.len();
        batch.messages.push(message);
        self.flat_count += 1;
        Some(())
    }
}

fn offer<'m>(
    intake: &Intake<'m>,
    bytes: &'m [u8],
    at: usize,
    line: Option<u64>,
    meta: Meta<'m>,
) -> Option<Offer<'m>> {
    let source = intake.source()?;
    let given =
        Given { source: &source.name, site: &intake.plan.site, received: intake.recorded, xml_root: "" };
    Some(Offer { bytes, at, line, meta, given, source: &source.uri })
}
