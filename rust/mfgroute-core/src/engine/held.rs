//! Messages that wait for a rejected one of their key, at sources that say so.
//!
//! They are kept where rejects are: in the order in which they came, durable, and within the same bound. A message waits
//! if an earlier one that is kept has a key of its events, and from then on later ones wait for it as well. When the
//! first goes, admitted or skipped, those that wait for nothing any more are submitted again, in order.

use std::collections::BTreeMap;

use super::Engine;
use super::admission::{Event, Item, Message};
use super::config::SourceNo;
use super::people::ActError;
use super::source::{Refused, RejectedMessage, Source};
use super::state::{Draft, State, Verdict};
use crate::reject::{Code, Reject};

/// How a message comes: from whom, under which number if it was rejected before, and whether its items are admitted one
/// without the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came {
    pub(super) source: SourceNo,
    pub(super) again: Option<u64>,
    pub(super) independent: bool,
}

/// The reject of an event that waits.
pub(super) fn held(first: u64, event: &Event<'_>, message: u32) -> Reject {
    let found = format!("message {first} of the same key, which is rejected");
    let mut reject = Reject::new(Code::KeyHeld, found, "that it is retried or skipped first");
    (reject.message, reject.item) = (message, Some(event.item));
    reject.keys.push(String::from_utf8_lossy(event.key).into_owned());
    reject
}

impl Engine {
    /// The first messages of a source that only waited for another one, and wait for it no more, in order: what is
    /// before them is decided about, or among them.
    pub fn waiting(&self, source: SourceNo, count_max: usize) -> Result<Vec<RejectedMessage>, ActError> {
        let state = self.lock();
        let source = state.sources.get(usize::from(source)).ok_or(ActError::NotInstalled)?;
        let (mut found, mut numbers): (Vec<RejectedMessage>, Vec<u64>) = (Vec::new(), Vec::new());
        for message in source.kept.iter().filter(|message| message.is_held()) {
            if found.len() >= count_max {
                break;
            }
            let behind = |key| source.kept.holder(key, message.number, &numbers).is_some();
            if !source.config.holds_keys || !message.keys().any(behind) {
                numbers.push(message.number);
                found.push(message.clone());
            }
        }
        Ok(found)
    }
}

impl State {
    /// The number of the message that an event must wait for.
    pub(super) fn waits_for(&self, draft: &Draft, came: Came, key: &[u8], refused: &Refused) -> Option<u64> {
        let source = self.sources.get(usize::from(came.source)).filter(|source| source.config.holds_keys)?;
        let key = std::str::from_utf8(key).ok()?;
        let kept = source.kept.holder(key, came.again.unwrap_or(u64::MAX), &draft.freed);
        let here =
            || came.independent && refused.rejects.iter().flat_map(|one| &one.keys).any(|one| one == key);
        let own = || came.again.unwrap_or(self.rejects_number + draft.refused.len() as u64);
        kept.or_else(|| draft.held.get(key).copied().filter(|_| came.again.is_none()))
            .or_else(|| here().then(own))
    }

    /// Notes which keys a message holds of which something was rejected: those of all its events that are not admitted.
    pub(super) fn hold_keys(
        &self,
        draft: &mut Draft,
        (start, message): (usize, &Message<'_>),
        came: Came,
        refused: &mut Refused,
    ) {
        let holds = self.sources.get(usize::from(came.source)).is_some_and(|source| source.config.holds_keys);
        if !holds || refused.rejects.is_empty() {
            return;
        }
        for (verdict, item) in draft.verdicts.iter().skip(start).zip(message.items) {
            let Item::Event(event) = item else { continue };
            // One that comes again stays whole.
            let stays = came.again.is_some() && *verdict == Verdict::Accepted;
            if !stays && !matches!(verdict, Verdict::Rejected(_)) {
                continue;
            }
            let key = String::from_utf8_lossy(event.key).into_owned();
            if refused.rejects.iter().any(|reject| reject.keys.contains(&key)) {
                continue;
            }
            if let Some(first) = refused.rejects.first_mut() {
                first.keys.push(key);
            }
        }
        if came.again.is_none() {
            let number = self.rejects_number + draft.refused.len() as u64;
            for key in refused.rejects.iter().flat_map(|reject| &reject.keys) {
                draft.held.entry(key.clone()).or_insert(number);
            }
        }
    }
}

impl Source {
    /// Rejected messages with a cause of their own, and those that wait for nothing that is kept; each with the number
    /// of messages that wait for it, directly or behind others.
    pub(super) fn causes(&self) -> impl Iterator<Item = (&RejectedMessage, u64)> {
        let (mut cause_of, mut behind) = (BTreeMap::new(), BTreeMap::<u64, u64>::new());
        for message in self.kept.iter().filter(|message| self.config.holds_keys && message.is_held()) {
            if let Some(first) = self.kept.behind(message) {
                let cause = cause_of.get(&first).copied().unwrap_or(first);
                cause_of.insert(message.number, cause);
                *behind.entry(cause).or_default() += 1;
            }
        }
        let own = self.kept.iter().filter(move |message| !cause_of.contains_key(&message.number));
        own.map(move |message| (message, behind.get(&message.number).copied().unwrap_or(0)))
    }

    /// A copy of a message, with what it waits for.
    pub(super) fn shown(&self, message: &RejectedMessage) -> RejectedMessage {
        let behind = self.kept.behind(message).filter(|_| self.config.holds_keys);
        RejectedMessage { behind, ..message.clone() }
    }
}
