//! What was settled and what people did, as far back as two bounds reach.

use std::collections::VecDeque;

use super::config::{SinkNo, StreamNo};

/// How an event ended at a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The effect has happened.
    Delivered {
        /// What the target calls it.
        reference: Option<String>,
    },
    /// A person set it aside for good.
    Skipped {
        /// Why.
        reason: String,
        /// The document of a person who booked it by hand.
        posted_as: Option<String>,
    },
    /// Lost for room or with its sink, as the configuration or a person said.
    Dropped,
    /// A person edited it: another event took its place.
    Superseded {
        /// The id of that event.
        by: u128,
    },
}

/// One end of one event at one sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// Where.
    pub sink: SinkNo,
    /// The stream of the event.
    pub stream: StreamNo,
    /// Its offset there.
    pub seq: u64,
    /// Its id.
    pub id: u128,
    /// Counted tries.
    pub tries: u32,
    /// How.
    pub what: Settled,
    pub(super) lane: u64,
    pub(super) ordinal: u64,
}

/// One action of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// Who.
    pub who: String,
    /// What, as the verb of the command line: `parked retry`, `rejects skip`, `pause`, `discard`.
    pub what: String,
    /// To what: `sap 4711`, `mes-a 3`, `sap`.
    pub on: String,
    /// Why.
    pub why: String,
}

/// Both rings; the oldest entry goes first.
#[derive(Debug)]
pub(super) struct Journal {
    settlements: VecDeque<Settlement>,
    settlements_max: usize,
    actions: VecDeque<Action>,
    actions_max: usize,
}

impl Journal {
    pub(super) fn new(settlements_max: usize, actions_max: usize) -> Self {
        Self { settlements: VecDeque::new(), settlements_max, actions: VecDeque::new(), actions_max }
    }

    pub(super) fn write(&mut self, settlement: Settlement) {
        push(&mut self.settlements, self.settlements_max, settlement);
    }

    pub(super) fn act(&mut self, action: Action) {
        push(&mut self.actions, self.actions_max, action);
    }

    pub(super) fn settlements(&self) -> impl Iterator<Item = &Settlement> {
        self.settlements.iter()
    }

    pub(super) fn actions(&self) -> impl Iterator<Item = &Action> {
        self.actions.iter()
    }
}

fn push<T>(ring: &mut VecDeque<T>, max: usize, entry: T) {
    if ring.len() >= max {
        ring.pop_front();
    }
    if max > 0 {
        ring.push_back(entry);
    }
}
