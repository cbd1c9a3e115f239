//! Requests about dead letters: rejected messages of sources, and events of sinks that wait.
//!
//! A request is a JSON object with `kind`, `verb`, and what the verb needs:
//!
//! | kind | verb | needs | gives |
//! |---|---|---|---|
//! | rejects | `list` | `source?`, `code?`, `answered?` | a list without raw bytes |
//! | rejects | `show` | `number`, `source?` | one, with its text |
//! | rejects | `retry` | `number`, `who`, `why?` | what became of it |
//! | rejects | `retry` | `code`/`source`, `who`, `why?`, `from?`, `until?` | what became of those it dealt with, and `next`: `from` of the request that goes on |
//! | rejects | `edit` | `number`, `message`, `who`, `why?` | what became of it |
//! | rejects | `skip` | `number`, `who`, `why` | `{skipped}` |
//! | parked | `list` | `sink?` | a list |
//! | parked | `show` | `number`, `sink` | one, with its CloudEvent |
//! | parked | `retry` | `number`, `sink`, `who` | `{retried}` |
//! | parked | `retry-key` | `key`, `sink`, `who` | `{retried}` |
//! | parked | `edit` | `number`, `sink`, `data` or `set`, `who`, `why` | the ids, or why `data` was `rejected` |
//! | parked | `skip` | `number`, `sink`, `who`, `why`, `posted_as?` | `{skipped}` |
//! | both | `export` | as `list` | whole messages or CloudEvents |
//! | effects | `booked` | `id`, `sink` | `{document}` by which an event that waits was booked |
//! | effects | `book` | `id`, `sink`, `who`, `why`, `document?` | as `booked`, of before |
//! | replay | see [`super::replay`] | | |
//! | inbox | `list` | | everything that waits for a person |
//! | actions | `list` | | what people did, oldest first, as far back as is known |
//!
//! With `durable`, a message that gives events of a stream in memory is not submitted again: who asks ends soon.

use serde_json::{Value as Json, json};

use super::report::{Names, cause_json, when};
use super::retry::Submitted;
use super::{Active, Router, RouterError};
use crate::engine::{ActError, Actor, ParkedEvent, RejectedMessage, SourceNo};
use crate::identity;
use crate::pipeline::explain::reject_json;
use crate::record;

/// A request, its members read with a sentence when one is missing.
pub(super) struct Request<'r>(pub(super) &'r Json);

impl Request<'_> {
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(Json::as_u64)
    }

    /// Whether a rejected message has the code that is asked for, if one is.
    pub(super) fn wants(&self, message: &RejectedMessage) -> bool {
        let code = self.text("code");
        code.is_none_or(|code| message.rejects.iter().any(|reject| reject.code.as_str() == code))
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Json::as_str)
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, RouterError> {
        self.text(name).ok_or_else(|| RouterError::Request(format!("the request has no {name}")))
    }

    pub(super) fn number(&self) -> Result<u64, RouterError> {
        let number = self.0.get("number").and_then(Json::as_u64);
        number.ok_or_else(|| RouterError::Request("the request has no number".to_owned()))
    }

    /// Whether nothing may go to a stream in memory.
    pub(super) fn durable(&self) -> bool {
        self.0.get("durable").and_then(Json::as_bool).unwrap_or(false)
    }

    /// A list of pairs of texts; empty if it is not given.
    pub(super) fn pairs(&self, name: &str) -> Result<Vec<(String, String)>, RouterError> {
        let pair = |pair: &Json| match pair.as_array()?.as_slice() {
            [Json::String(left), Json::String(right)] => Some((left.clone(), right.clone())),
            _ => None,
        };
        let pairs =
            self.0.get(name).map(|list| list.as_array().and_then(|list| list.iter().map(pair).collect()));
        let wrong = || RouterError::Request(format!("{name} is a list of pairs of texts"));
        pairs.map_or_else(|| Ok(Vec::new()), |pairs| pairs.ok_or_else(wrong))
    }

    pub(super) fn actor(&self) -> Actor<'_> {
        Actor { who: self.text("who").unwrap_or("unknown"), why: self.text("why").unwrap_or("") }
    }
}

pub(super) fn act<T>(result: Result<T, ActError>) -> Result<T, RouterError> {
    result.map_err(|error| RouterError::Request(error.to_string()))
}

impl Router {
    /// Answers a request.
    ///
    /// # Errors
    ///
    /// The request makes no sense, or names something that is not there.
    pub fn dead_letters(&self, request: &Json) -> Result<Json, RouterError> {
        let request = Request(request);
        match (request.required("kind")?, request.required("verb")?) {
            ("inbox", _) => Ok(self.inbox()),
            ("actions", _) => Ok(self.actions()),
            ("rejects", verb) => self.rejects(verb, &request),
            ("parked", verb) => self.parked(verb, &request),
            ("effects", verb @ ("book" | "booked")) => self.book(verb, &request),
            ("replay", verb) => self.replay(verb, &request),
            (kind, verb) => Err(RouterError::Request(format!(
                "kind and verb are {kind} {verb}, expected rejects, parked, effects, replay, inbox or actions"
            ))),
        }
    }

    fn rejects(&self, verb: &str, request: &Request<'_>) -> Result<Json, RouterError> {
        match verb {
            "list" => Ok(self.selected(request)?.iter().map(|(source, m)| summary(source, m)).collect()),
            "export" => Ok(self.selected(request)?.iter().map(|(source, m)| whole(source, m)).collect()),
            "show" => {
                let (source, message) = self.reject(request)?;
                Ok(whole(&source, &message))
            }
            "retry" if request.0.get("number").is_some() => {
                let (source, message) = self.reject(request)?;
                let submitted = Submitted { message: &message, bytes: &message.raw };
                self.retry_one(&source, &submitted, Some(("rejects retry", request)))
            }
            "retry" => self.retry_selected(request),
            "edit" => {
                let (source, message) = self.reject(request)?;
                let bytes = request.required("message")?.as_bytes();
                self.retry_one(
                    &source,
                    &Submitted { message: &message, bytes },
                    Some(("rejects edit", request)),
                )
            }
            "skip" => {
                let (source, message) = self.reject(request)?;
                act(self.engine().skip_reject(
                    self.source_number(&source)?,
                    message.number,
                    request.actor(),
                ))?;
                self.release_after(&source, Some(request));
                Ok(json!({"skipped": 1}))
            }
            _ => Err(RouterError::Request(format!(
                "rejects knows list, show, edit, retry, skip, export, not {verb}"
            ))),
        }
    }

    pub(super) fn source_number(&self, name: &str) -> Result<u16, RouterError> {
        let active = self.active();
        active
            .plan
            .source(name)
            .and_then(|index| active.installed.sources.get(index).copied())
            .ok_or_else(|| RouterError::Unknown { what: "source", name: name.to_owned() })
    }

    /// The rejected messages that `source`, `code` and `answered` select.
    fn selected(&self, request: &Request<'_>) -> Result<Vec<(String, RejectedMessage)>, RouterError> {
        let active = self.active();
        let answered = request.0.get("answered").and_then(Json::as_bool).unwrap_or(false);
        let mut found = Vec::new();
        for (name, number) in self.wanted_sources(&active, request)? {
            let messages = act(self.engine().rejects(number, answered))?;
            let wanted = messages.into_iter().filter(|message| request.wants(message));
            found.extend(wanted.map(|message| (name.to_owned(), message)));
        }
        found.sort_by_key(|(_, message)| message.number);
        Ok(found)
    }

    /// The source that a request names, or all; with their numbers.
    pub(super) fn wanted_sources<'a>(
        &self,
        active: &'a Active,
        request: &Request<'_>,
    ) -> Result<Vec<(&'a str, SourceNo)>, RouterError> {
        let name = request.text("source");
        name.map(|name| self.source_number(name)).transpose()?;
        let sources = active.plan.sources.iter().zip(&active.installed.sources);
        let all = sources.map(|(source, number)| (source.name.as_str(), *number));
        Ok(all.filter(|(source, _)| name.is_none_or(|name| name == *source)).collect())
    }

    fn reject(&self, request: &Request<'_>) -> Result<(String, RejectedMessage), RouterError> {
        let number = request.number()?;
        let active = self.active();
        for (source, source_number) in active.plan.sources.iter().zip(&active.installed.sources) {
            for answered in [false, true] {
                let messages = act(self.engine().rejects(*source_number, answered))?;
                if let Some(message) = messages.into_iter().find(|message| message.number == number) {
                    return Ok((source.name.clone(), message));
                }
            }
        }
        Err(RouterError::Request(format!("there is no rejected message {number}")))
    }

    fn parked(&self, verb: &str, request: &Request<'_>) -> Result<Json, RouterError> {
        match verb {
            "list" | "export" => {
                let names = Names::of(self);
                let mut out = Vec::new();
                for (name, number) in self.wanted_sinks(request)? {
                    for event in act(self.engine().parked(number))? {
                        out.push(self.parked_json(&name, &names, &event, verb == "export"));
                    }
                }
                Ok(Json::Array(out))
            }
            "show" => {
                let (name, number) = (request.required("sink")?, request.number()?);
                let events = act(self.engine().parked(self.sink(name)?))?;
                let event = events.iter().find(|event| event.number == number);
                let names = Names::of(self);
                event
                    .map(|event| self.parked_json(name, &names, event, true))
                    .ok_or_else(|| RouterError::Request(format!("sink {name} has no parked event {number}")))
            }
            "retry" => {
                let sink = self.sink(request.required("sink")?)?;
                act(self.engine().retry_parked(sink, request.number()?, request.actor()))?;
                Ok(json!({"retried": 1}))
            }
            "retry-key" => {
                let sink = self.sink(request.required("sink")?)?;
                let key = request.required("key")?.as_bytes();
                let retried = act(self.engine().retry_key(sink, key, request.actor()))?;
                Ok(json!({"retried": retried}))
            }
            "skip" => {
                let sink = self.sink(request.required("sink")?)?;
                let posted_as = request.text("posted_as").map(str::to_owned);
                act(self.engine().skip_parked(sink, request.number()?, posted_as, request.actor()))?;
                Ok(json!({"skipped": 1}))
            }
            "edit" => self.edit_parked(request),
            _ => Err(RouterError::Request(format!(
                "parked knows list, show, edit, retry, retry-key, skip, export, not {verb}"
            ))),
        }
    }

    fn book(&self, verb: &str, request: &Request<'_>) -> Result<Json, RouterError> {
        let (sink, id) = (self.sink(request.required("sink")?)?, identity::number(request.required("id")?));
        let document = match verb {
            "book" => act(self.engine().book(sink, id, request.text("document"), request.actor()))?,
            _ => self.engine().booked(sink, id),
        };
        Ok(json!({"document": document.as_deref()}))
    }

    fn wanted_sinks(&self, request: &Request<'_>) -> Result<Vec<(String, u16)>, RouterError> {
        if let Some(name) = request.text("sink") {
            return Ok(vec![(name.to_owned(), self.sink(name)?)]);
        }
        let active = self.active();
        let names = active.plan.engine.sinks.iter().map(|sink| sink.name.clone());
        Ok(names.zip(active.installed.sinks.iter().copied()).collect())
    }
}

fn summary(source: &str, message: &RejectedMessage) -> Json {
    let meta: Json = serde_json::from_slice(&message.meta).unwrap_or_default();
    let text = |name: &str| meta.get(name).and_then(Json::as_str);
    // Where people find it: `BDE.csv:3`.
    let place = text("file.name").map(|file| match text("file.line") {
        Some(line) => format!("{file}:{line}"),
        None => file.to_owned(),
    });
    json!({
        "place": place,
        "number": message.number,
        "source": source,
        "since": when(message.at_ms),
        "bytes": message.raw.len(),
        "behind": message.behind,
        "keys": message.rejects.iter().flat_map(|reject| &reject.keys).collect::<Vec<_>>(),
        "rejects": message.rejects.iter().map(reject_json).collect::<Vec<_>>(),
    })
}

fn whole(source: &str, message: &RejectedMessage) -> Json {
    let mut out = summary(source, message);
    if let Json::Object(members) = &mut out {
        let meta: Json = serde_json::from_slice(&message.meta).unwrap_or_default();
        members.insert("meta".to_owned(), meta);
        match std::str::from_utf8(&message.raw) {
            Ok(text) => members.insert("message".to_owned(), json!(text)),
            Err(_) => {
                let hex = message.raw.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
                members.insert("message_hex".to_owned(), json!(hex))
            }
        };
    }
    out
}

impl Router {
    fn parked_json(&self, sink: &str, names: &Names, event: &ParkedEvent, with_event: bool) -> Json {
        let mut out = cause_json(&event.cause);
        if let Json::Object(members) = &mut out {
            members.insert("sink".to_owned(), json!(sink));
            members.insert("number".to_owned(), json!(event.number));
            members.insert("stream".to_owned(), json!(names.stream(event.stream)));
            members.insert("offset".to_owned(), json!(event.seq));
            members.insert("key".to_owned(), json!(String::from_utf8_lossy(event.key())));
            members.insert("tries".to_owned(), json!(event.tries));
            members.insert("since".to_owned(), json!(when(event.at_ms)));
            members.insert("admitted".to_owned(), json!(when(event.admitted_ms())));
            if let Some((header, data)) = record::read(event.record()) {
                let (full_type, envelope) = self.event_for(sink, &header, data);
                members.insert("id".to_owned(), json!(header.id));
                members.insert("type".to_owned(), json!(full_type));
                if with_event {
                    members.insert("event".to_owned(), serde_json::from_slice(&envelope).unwrap_or_default());
                }
            }
        }
        out
    }
}
