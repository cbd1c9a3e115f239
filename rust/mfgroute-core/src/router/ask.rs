//! How messages are submitted, and what is answered.

use std::time::Duration;

use super::RouterError;
use crate::engine::{Level, Receipt};
use crate::pipeline::Batch;
use crate::pipeline::batch::Prepared;
use crate::pipeline::slab::Cursor;
use crate::plan::project::Plan;

/// What `submit` answers.
#[derive(Debug, Default)]
pub struct Answer {
    /// Counts and rejects, summed over all admissions of the call.
    pub receipt: Receipt,
    /// Where the rest of a slab starts, when the engine was full in the middle of it.
    pub resume: Option<Cursor>,
    /// Whether a slab could not be taken apart; it counts as one reject.
    pub unsplittable: bool,
}

/// How messages are submitted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    /// The sender learns of rejects at once.
    pub sync: bool,
    /// How long to wait for room; not at all if not given.
    pub wait: Option<Duration>,
    /// The level to wait for; that of the streams if not given.
    pub ack: Option<Level>,
    /// How far the source has read with these messages.
    pub position: Option<&'a [u8]>,
}

impl Ask<'_> {
    /// Refuses a level that no stream has.
    pub(super) fn check(&self, plan: &Plan) -> Result<(), RouterError> {
        match self.ack {
            Some(level @ (Level::Durable | Level::Sealed))
                if !plan.engine.streams.iter().any(|stream| stream.durable) =>
            {
                Err(RouterError::Level(level))
            }
            _ => Ok(()),
        }
    }
}

/// The first stream in memory that an event which was prepared goes to.
pub(super) fn in_memory<'p>(plan: &'p Plan, batch: &Batch) -> Option<&'p str> {
    batch.items.iter().find_map(|item| {
        let Prepared::Event { contract, .. } = item else { return None };
        let stream = plan.engine.streams.get(*plan.stream_of.get(*contract)?)?;
        (!stream.durable).then_some(stream.name.as_str())
    })
}
