//! Submitting rejected messages again: one, or all of a cause.
//!
//! Messages go again in the order of their numbers, in pieces that are admitted whole, so that a thousand of them wait
//! for the disk a few times and not a thousand times, and no more than a piece is in memory twice. A piece for which
//! there is no room is halved.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde_json::{Map, Value as Json, json};

use super::letters::{Request, act};
use super::{Active, Router, RouterError, ask, recorded_now, source_index};
use crate::engine::{AdmitError, Again, Counts, RejectedMessage, Retried};
use crate::pipeline::batch::Origin;
use crate::pipeline::explain::reject_json;
use crate::pipeline::message::{Intake, Read};
use crate::reject::{Code, Reject};

/// Messages of a piece, and their bytes.
const PIECE: (usize, usize) = (64, 1 << 20);
/// Messages that one request deals with; who asks goes on from where it ended.
const REQUEST: usize = 512;
/// Messages that are shown with why they were rejected again.
const SHOWN: usize = 20;

/// What became of one message.
#[derive(Debug)]
pub(super) struct Outcome {
    retried: Retried,
    counts: Counts,
    rejects: Vec<Reject>,
}

/// A rejected message with the bytes that are submitted: its own, or corrected ones.
pub(super) struct Submitted<'m> {
    pub(super) message: &'m RejectedMessage,
    pub(super) bytes: &'m [u8],
}

impl Router {
    /// Submits one message again and says what came of it.
    pub(super) fn retry_one(
        &self,
        source: &str,
        submitted: &Submitted<'_>,
        by: Option<(&'static str, &Request<'_>)>,
    ) -> Result<Json, RouterError> {
        let mut outcomes = Vec::new();
        let number = submitted.message.number;
        self.retry_piece(source, std::slice::from_ref(submitted), by, &mut outcomes)?;
        self.release_after(source, by.map(|(_, request)| request));
        let outcome = outcomes.pop().filter(|outcome| outcome.retried != Retried::Gone);
        let outcome = outcome.ok_or_else(|| {
            RouterError::Request(format!("rejected message {number} was taken out by another"))
        })?;
        let Counts { accepted, duplicates, filtered, .. } = outcome.counts;
        Ok(json!({
            "number": number, "source": source, "accepted": accepted, "duplicates": duplicates,
            "filtered": filtered, "rejected": outcome.rejects.iter().map(reject_json).collect::<Vec<_>>(),
        }))
    }

    /// Submits the messages again that a request selects, oldest first, as many as one request deals with.
    pub(super) fn retry_selected(&self, request: &Request<'_>) -> Result<Json, RouterError> {
        let until = request.count("until").unwrap_or_else(|| self.engine().rejects_next());
        let found = self.page(request, request.count("from").unwrap_or(0), until, REQUEST)?;
        let next = (found.len() == REQUEST).then(|| found.last().map(|(_, message)| message.number + 1));
        let (mut tally, mut stopped) = (Tally::default(), None);
        for piece in pieces(&found) {
            let (Some((source, _)), mut outcomes) = (piece.first(), Vec::new()) else { continue };
            let submitted: Vec<Submitted<'_>> =
                piece.iter().map(|(_, message)| Submitted { message, bytes: &message.raw }).collect();
            let by = Some(("rejects retry", request));
            let result = self.retry_piece(source, &submitted, by, &mut outcomes);
            for ((source, message), outcome) in piece.iter().zip(outcomes) {
                tally.add(source, message.number, &outcome);
            }
            match result {
                Err(error) if tally.is_empty() => return Err(error),
                Err(error) => {
                    stopped = Some(error.to_string());
                    break;
                }
                Ok(()) => {}
            }
        }
        for (name, _) in self.wanted_sources(&self.active(), request)? {
            self.release_after(name, Some(request));
        }
        let next = next.flatten().filter(|_| stopped.is_none());
        let mut answer = tally.json();
        if let Json::Object(members) = &mut answer {
            let left = if next.is_none() { Some(self.count_selected(request)?) } else { None };
            members.insert("left".to_owned(), json!(left));
            members.insert("stopped".to_owned(), json!(stopped));
            members.insert("next".to_owned(), json!(next));
            members.insert("until".to_owned(), json!(until));
        }
        Ok(answer)
    }

    /// The oldest messages that a request selects, from one number up to another.
    fn page(
        &self,
        request: &Request<'_>,
        from: u64,
        until: u64,
        count_max: usize,
    ) -> Result<Vec<(String, RejectedMessage)>, RouterError> {
        let active = self.active();
        let mut found = Vec::new();
        for (name, number) in self.wanted_sources(&active, request)? {
            let wanted = |message: &RejectedMessage| message.number < until && request.wants(message);
            let messages = act(self.engine().rejects_from(number, from, count_max, wanted))?;
            found.extend(messages.into_iter().map(|message| (name.to_owned(), message)));
        }
        found.sort_by_key(|(_, message)| message.number);
        found.truncate(count_max);
        Ok(found)
    }

    fn count_selected(&self, request: &Request<'_>) -> Result<u64, RouterError> {
        let mut count = 0;
        for (_, number) in self.wanted_sources(&self.active(), request)? {
            count += act(self.engine().rejects_count(number, |message| request.wants(message)))?;
        }
        Ok(count)
    }

    /// Submits messages of one source again, and says of each what became of it; of those behind an error, nothing.
    fn retry_piece(
        &self,
        source: &str,
        messages: &[Submitted<'_>],
        by: Option<(&'static str, &Request<'_>)>,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), RouterError> {
        let active = self.active();
        match self.retry_whole(&active, source, messages, by) {
            Ok(found) => outcomes.extend(found),
            Err(RouterError::Admit(error)) if messages.len() > 1 && is_room(&error) => {
                let (first, second) = messages.split_at(messages.len() / 2);
                self.retry_piece(source, first, by, outcomes)?;
                self.retry_piece(source, second, by, outcomes)?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Submits messages of one source again through the current plan, all at once or none.
    fn retry_whole(
        &self,
        active: &Active,
        source: &str,
        messages: &[Submitted<'_>],
        by: Option<(&'static str, &Request<'_>)>,
    ) -> Result<Vec<Outcome>, RouterError> {
        let index = source_index(active, source)?;
        let recorded = recorded_now();
        let intake = Intake { plan: &active.plan, source: index, recorded: &recorded, mapping: None };
        let (mut worker, mut batch) = self.worker();
        for Submitted { message, bytes } in messages {
            let meta: Map<String, Json> = serde_json::from_slice(&message.meta).unwrap_or_default();
            let pairs: Vec<(&str, &str)> =
                meta.iter().filter_map(|(name, text)| Some((name.as_str(), text.as_str()?))).collect();
            worker.message(&intake, Read::Bytes(bytes), bytes, &pairs, &mut batch);
        }
        if let Some(stream) =
            ask::in_memory(&active.plan, &batch).filter(|_| by.is_some_and(|(_, request)| request.durable()))
        {
            self.give_back(worker, batch);
            return Err(RouterError::Request(format!(
                "a rejected message of {source} gives events of stream {stream}, which is in memory: they would be \
                 gone with this command; start the node and do it then"
            )));
        }
        let numbers: Vec<u64> = messages.iter().map(|one| one.message.number).collect();
        let same = messages.iter().all(|one| *one.bytes == *one.message.raw);
        let actor = by.map(|(what, request)| (what, request.actor()));
        let again = Again { numbers: &numbers, same, actor };
        let mut retried = Vec::new();
        let admit = |admission: &crate::engine::Admission<'_>| {
            let (receipt, each) = self.engine().admit_again(admission, &again)?;
            retried = each;
            Ok(receipt)
        };
        let said = (false, None);
        let receipt = batch.admit(&active.plan, &active.installed, index, Origin::default(), said, admit);
        self.give_back(worker, batch);
        let receipt = receipt.map_err(RouterError::Admit)?;
        // Who only goes on behind another one is nobody's to wait for.
        if actor.is_some() {
            self.engine().wait(&receipt, false).map_err(RouterError::Admit)?;
        }
        let of = |at: usize| {
            receipt.rejects.iter().filter(move |reject| reject.message as usize == at).cloned().collect()
        };
        let counted = receipt.messages.iter().zip(retried).enumerate();
        Ok(counted
            .map(|(at, (counts, retried))| Outcome { retried, counts: *counts, rejects: of(at) })
            .collect())
    }
}

impl Router {
    /// Submits the messages of a source again that waited for one that is decided about, in order. Where there is no
    /// room, they go on when a sink has taken something; nothing of their key passes them until then.
    pub(super) fn release(&self, source: &str) {
        while let Some(done) = self.release_some(source)
            && done > 0
        {}
    }

    /// As [`Router::release`], after somebody has decided; or when the node runs, if who decided ends soon.
    pub(super) fn release_after(&self, source: &str, request: Option<&Request<'_>>) {
        if request.is_some_and(Request::durable) {
            self.unreleased.store(true, Ordering::SeqCst);
        } else {
            self.release(source);
        }
    }

    /// Goes on with the messages of all sources that wait for nothing any more.
    pub(super) fn release_all(&self) {
        let active = self.active();
        for source in &active.plan.sources {
            self.release(&source.name);
        }
    }

    /// Goes on with what found no room, or what an earlier life of the node has left.
    pub(super) fn release_rest(&self) {
        if self.unreleased.load(Ordering::Relaxed) && self.unreleased.swap(false, Ordering::SeqCst) {
            self.release_all();
        }
    }

    /// Submits a piece of them; says how many are kept for that no more.
    fn release_some(&self, source: &str) -> Option<usize> {
        let number = self.source_number(source).ok()?;
        let found = self.engine().waiting(number, PIECE.0).ok()?;
        let found: Vec<(String, RejectedMessage)> =
            found.into_iter().map(|message| (source.to_owned(), message)).collect();
        let mut outcomes = Vec::new();
        for piece in pieces(&found) {
            let submitted: Vec<Submitted<'_>> =
                piece.iter().map(|(_, message)| Submitted { message, bytes: &message.raw }).collect();
            if let Err(error) = self.retry_piece(source, &submitted, None, &mut outcomes) {
                // Else it drains or its disk has failed: they go on when the node is started again.
                if matches!(&error, RouterError::Admit(error) if error.is_full()) {
                    self.unreleased.store(true, Ordering::SeqCst);
                }
                return None;
            }
        }
        Some(outcomes.iter().filter(|outcome| !outcome.waits()).count())
    }
}

impl Outcome {
    /// Whether the message still waits for another one and nothing else.
    fn waits(&self) -> bool {
        self.retried == Retried::Refused && self.rejects.iter().all(|reject| reject.code == Code::KeyHeld)
    }
}

/// Whether fewer messages may be admitted where these were not.
fn is_room(error: &AdmitError) -> bool {
    error.is_full() || matches!(error, AdmitError::TooLarge { .. })
}

/// Runs of messages of one source, none with too many or too much.
fn pieces(found: &[(String, RejectedMessage)]) -> Vec<&[(String, RejectedMessage)]> {
    let (count_max, bytes_max) = PIECE;
    let (mut pieces, mut rest) = (Vec::new(), found);
    while let Some((source, _)) = rest.first() {
        let mut bytes = 0;
        let fits = |(other, message): &&(String, RejectedMessage)| {
            bytes += message.raw.len();
            other == source && bytes <= bytes_max
        };
        let count = rest.iter().take(count_max).take_while(fits).count().max(1);
        let (piece, behind) = rest.split_at(count);
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

/// What became of many messages.
#[derive(Debug, Default)]
struct Tally {
    admitted: u64,
    counts: Counts,
    refused: u64,
    codes: BTreeMap<&'static str, u64>,
    gone: u64,
    shown: Vec<Json>,
}

impl Tally {
    fn add(&mut self, source: &str, number: u64, outcome: &Outcome) {
        match outcome.retried {
            Retried::Gone => self.gone += 1,
            Retried::Admitted => {
                self.admitted += 1;
                self.counts.add(&outcome.counts);
            }
            Retried::Refused => {
                self.refused += 1;
                let code = outcome.rejects.first().map_or("no_output", |reject| reject.code.as_str());
                *self.codes.entry(code).or_default() += 1;
                if self.shown.len() < SHOWN {
                    let rejects: Vec<Json> = outcome.rejects.iter().map(reject_json).collect();
                    self.shown.push(json!({"number": number, "source": source, "rejected": rejects}));
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.admitted + self.refused + self.gone == 0
    }

    fn json(&self) -> Json {
        let Counts { accepted, duplicates, filtered, .. } = self.counts;
        json!({
            "admitted": self.admitted, "accepted": accepted, "duplicates": duplicates, "filtered": filtered,
            "refused": self.refused, "codes": self.codes, "gone": self.gone, "again": self.shown,
        })
    }
}
