//! What people have booked by hand while its event still waited: when its turn comes, nothing is sent.
//!
//! Such an event cannot be set aside: it stands in its log among others of its key, and only its sender can say what it
//! adds. So the document is a fact of the node's own log, is handed out with the event, and is forgotten when the event
//! has ended at the sink. Followers are told by a line.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::Engine;
use super::clock::Now;
use super::config::SinkNo;
use super::fact::{Fact, Facts};
use super::lanes::Phase;
use super::people::{ActError, Actor};
use super::sink::Sink;
use super::state::State;
use super::stored::Stored;
use crate::identity;

/// The documents of one sink, by event.
#[derive(Debug, Default)]
pub(super) struct Booked(BTreeMap<u128, Arc<str>>);

/// That a person has booked an event, or takes that back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Booking<'a> {
    pub(super) at_ms: u64,
    pub(super) id: u128,
    /// `None` takes it back.
    pub(super) document: Option<&'a str>,
    pub(super) who: &'a str,
    pub(super) why: &'a str,
}

impl Booking<'_> {
    /// What followers are told, as the line with a number.
    pub(super) fn line(&self, number: u64) -> Vec<u8> {
        let Self { at_ms, id, document, who, why } = *self;
        let state = if document.is_some() { "booked" } else { "unbooked" };
        let line = json!({
            "number": number, "at_ms": at_ms, "id": identity::text(id), "state": state, "reference": document,
            "reason": why, "who": who,
        });
        line.to_string().into_bytes()
    }
}

impl Booked {
    /// The document of an event.
    pub(super) fn document(&self, id: u128) -> Option<&Arc<str>> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&id)
    }

    /// Books an event, or takes that back; gives the document before.
    pub(super) fn book(&mut self, id: u128, document: Option<&str>) -> Option<Arc<str>> {
        match document {
            Some(document) => self.0.insert(id, document.into()),
            None => self.0.remove(&id),
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes everything down.
    pub(super) fn note(&self, sink: SinkNo, facts: &mut Facts) {
        for (&id, document) in &self.0 {
            facts.note(&Fact::Document { sink, id, document });
        }
    }
}

impl Engine {
    /// Says that an event which waits at a sink was booked there by hand, as a document, or takes that back. When it
    /// returns, this is durable, and the event is handed out with the document.
    ///
    /// Whether the event waits there at all is for the caller to know; one that has ended, or never comes, changes nothing.
    ///
    /// # Arguments
    ///
    /// * `id`: of the event.
    /// * `document`: `None` takes back what was said before, also in an older life that this log does not know.
    ///
    /// # Errors
    ///
    /// The event is in flight, there is no such sink or no reason, or the node's own log has failed.
    pub fn book(
        &self,
        sink: SinkNo,
        id: u128,
        document: Option<&str>,
        actor: Actor<'_>,
    ) -> Result<Option<Arc<str>>, ActError> {
        self.act(|state, now| state.book(sink, id, document, actor, now))
    }

    /// The document as which an event that waits at a sink was booked by hand.
    #[must_use]
    pub fn booked(&self, sink: SinkNo, id: u128) -> Option<Arc<str>> {
        self.lock().sink(sink)?.effects.booked.document(id).cloned()
    }
}

impl State {
    fn book(
        &mut self,
        sink: SinkNo,
        id: u128,
        document: Option<&str>,
        actor: Actor<'_>,
        now: Now,
    ) -> Result<Option<Arc<str>>, ActError> {
        let Actor { who, why } = actor;
        if why.trim().is_empty() {
            return Err(ActError::NoReason);
        }
        let kept = self.is_durable();
        let at = self.sink_mut(sink).ok_or(ActError::NotInstalled)?;
        if at.is_in_flight(id) {
            return Err(ActError::InFlight);
        }
        let before = at.effects.booked.document(id).cloned();
        let booking = Booking { at_ms: now.wall_ms, id, document, who, why };
        at.facts.note(&Fact::Booked { sink, booking });
        at.effects.book(&booking, kept);
        let on = format!("{} {}", at.config.name, identity::text(id));
        let what = if document.is_some() { "effects book" } else { "effects unbook" };
        self.note(what, on, actor, now);
        Ok(before)
    }
}

impl Sink {
    /// Whether the caller has an event.
    fn is_in_flight(&self, id: u128) -> bool {
        let flies = self.lanes.iter().filter(|(_, held)| held.phase == Phase::InFlight);
        let mut records = flies.filter_map(|(_, held)| held.record.as_ref());
        records.any(|record| Stored::read(record.bytes()).id == id)
    }
}
