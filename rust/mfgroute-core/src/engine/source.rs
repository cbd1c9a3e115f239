//! A source: its counters and the messages that were refused.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};

use super::admission::{Counts, Message};
use super::config::{Bound, SourceConfig};
use super::fact::{Fact, Facts};
use crate::reject::{Code, Reject};

/// A message that was refused, in whole or in part, with its one stored copy.
#[derive(Clone, Debug)]
pub struct RejectedMessage {
    /// Number, unique in its engine.
    pub number: u64,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// Why, for each item that is the cause.
    pub rejects: Vec<Reject>,
    /// The first message with one of its keys, if it waits for that; filled in for who asks.
    pub behind: Option<u64>,
    /// The bytes that came in.
    pub raw: Arc<[u8]>,
    /// What is needed besides to submit it again.
    pub meta: Arc<[u8]>,
}

/// A refused message before it has a number.
#[derive(Debug)]
pub(super) struct Refused {
    /// Index of the message in its admission.
    pub(super) message: usize,
    pub(super) rejects: Vec<Reject>,
}

impl Refused {
    /// Whether it is kept for a person: always, unless the sender is told and nothing waits for it.
    pub(super) fn is_kept(&self, told: bool) -> bool {
        !told || self.rejects.iter().any(|reject| !reject.keys.is_empty())
    }

    pub(super) fn bytes(&self, message: &Message<'_>) -> u64 {
        weigh(&self.rejects, message.raw.len() + message.meta.len())
    }
}

fn weigh(rejects: &[Reject], bytes: usize) -> u64 {
    let texts = |reject: &Reject| {
        let field = reject.field.as_ref().map_or(0, String::len);
        let keys = reject.keys.iter().map(|key| size_of::<String>() + 2 * key.len()).sum::<usize>();
        let texts = reject.pointer.len() + reject.found.len() + reject.expected.len();
        size_of::<Reject>() + texts + field + keys
    };
    (bytes + rejects.iter().map(texts).sum::<usize>()) as u64
}

impl RejectedMessage {
    /// Whether nothing is wrong with it but that an earlier message of its key was rejected.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.rejects.iter().all(|reject| reject.code == Code::KeyHeld)
    }

    /// The keys that it holds.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.rejects.iter().flat_map(|reject| &reject.keys).map(String::as_str)
    }

    fn bytes(&self) -> u64 {
        weigh(&self.rejects, self.raw.len() + self.meta.len())
    }
}

/// Refused messages under a bound.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    messages: VecDeque<RejectedMessage>,
    bytes: u64,
    /// Numbers of the messages that have a key, by key.
    keys: BTreeMap<String, BTreeSet<u64>>,
}

impl Shelf {
    pub(super) fn len(&self) -> u64 {
        self.messages.len() as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &RejectedMessage> {
        self.messages.iter()
    }

    /// Those from a number on, in order.
    pub(super) fn from(&self, number: u64) -> impl Iterator<Item = &RejectedMessage> {
        let first = self.messages.partition_point(|message| message.number < number);
        self.messages.range(first..)
    }

    /// A message by its number.
    pub(super) fn get(&self, number: u64) -> Option<&RejectedMessage> {
        let index = self.messages.binary_search_by_key(&number, |message| message.number).ok()?;
        self.messages.get(index)
    }

    /// The first message with a key, below a number, that is none of some.
    pub(super) fn holder(&self, key: &str, below: u64, but: &[u64]) -> Option<u64> {
        self.keys.get(key)?.range(..below).find(|number| !but.contains(number)).copied()
    }

    /// The first message that has one of the keys of a message and is before it.
    pub(super) fn behind(&self, message: &RejectedMessage) -> Option<u64> {
        message.keys().filter_map(|key| self.holder(key, message.number, &[])).min()
    }

    /// Says anew why a message is rejected.
    pub(super) fn explain(&mut self, number: u64, rejects: Vec<Reject>) {
        let Ok(index) = self.messages.binary_search_by_key(&number, |message| message.number) else { return };
        let Some(mut message) = self.messages.get(index).cloned() else { return };
        self.forget(&message);
        message.rejects = rejects;
        self.note(&message);
        if let Some(place) = self.messages.get_mut(index) {
            *place = message;
        }
    }

    fn note(&mut self, message: &RejectedMessage) {
        self.bytes += message.bytes();
        for key in message.keys() {
            self.keys.entry(key.to_owned()).or_default().insert(message.number);
        }
    }

    fn forget(&mut self, message: &RejectedMessage) {
        self.bytes -= message.bytes();
        for key in message.keys() {
            if let Some(numbers) = self.keys.get_mut(key) {
                numbers.remove(&message.number);
                if numbers.is_empty() {
                    self.keys.remove(key);
                }
            }
        }
    }

    fn push(&mut self, message: RejectedMessage) {
        self.note(&message);
        self.messages.push_back(message);
    }

    fn pop(&mut self) {
        if let Some(message) = self.messages.pop_front() {
            self.forget(&message);
        }
    }

    /// Takes a message out by its number.
    pub(super) fn take(&mut self, number: u64) -> Option<RejectedMessage> {
        let index = self.messages.binary_search_by_key(&number, |message| message.number).ok()?;
        let message = self.messages.remove(index)?;
        self.forget(&message);
        Some(message)
    }
}

/// What a source has counted. `received` is counted when items come in, the others as each is decided.
#[derive(Debug, Default)]
pub(super) struct SourceCounts {
    pub(super) messages: u64,
    pub(super) received: u64,
    pub(super) accepted: HashMap<Arc<str>, u64>,
    pub(super) rejected: BTreeMap<Code, u64>,
    pub(super) filtered: BTreeMap<String, u64>,
    pub(super) duplicates: u64,
    pub(super) dropped: u64,
    pub(super) unrouted: u64,
    pub(super) answered_evicted: u64,
}

impl SourceCounts {
    pub(super) fn accept(&mut self, kind: &Arc<str>) {
        match self.accepted.get_mut(kind) {
            Some(count) => *count += 1,
            None => drop(self.accepted.insert(Arc::clone(kind), 1)),
        }
    }

    pub(super) fn reject(&mut self, code: Code) {
        *self.rejected.entry(code).or_default() += 1;
    }

    pub(super) fn filter(&mut self, rule: &str) {
        match self.filtered.get_mut(rule) {
            Some(count) => *count += 1,
            None => drop(self.filtered.insert(rule.to_owned(), 1)),
        }
    }

    /// The sums, to be compared with `received`.
    pub(super) fn sums(&self) -> Counts {
        Counts {
            accepted: self.accepted.values().sum(),
            rejected: self.rejected.values().sum(),
            duplicates: self.duplicates,
            filtered: self.filtered.values().sum(),
            dropped: self.dropped,
        }
    }
}

#[derive(Debug)]
pub(super) struct Source {
    pub(super) config: SourceConfig,
    pub(super) present: bool,
    pub(super) counts: SourceCounts,
    /// Bounded: full stops the source.
    pub(super) kept: Shelf,
    /// A ring: the sender knows of these.
    pub(super) answered: Shelf,
    /// How far it has read, as it said with the last messages that are durable.
    pub(super) position: Option<Arc<[u8]>>,
    /// Something that it read with a position did not become durable: the position stays before that.
    pub(super) stuck: bool,
}

impl Source {
    pub(super) fn new(config: SourceConfig) -> Self {
        Self {
            config,
            present: true,
            counts: SourceCounts::default(),
            kept: Shelf::default(),
            answered: Shelf::default(),
            position: None,
            stuck: false,
        }
    }

    /// Keeps a refused message for a person.
    pub(super) fn keep(&mut self, message: RejectedMessage) {
        self.kept.push(message);
    }

    /// Keeps a refused message in the ring.
    pub(super) fn answer(&mut self, message: RejectedMessage) {
        let bound: Bound = self.config.rejects_max;
        let bytes = message.bytes();
        while self.answered.len() > 0 && !bound.holds(self.answered.len() + 1, self.answered.bytes() + bytes)
        {
            self.answered.pop();
            self.counts.answered_evicted += 1;
        }
        if bound.holds(self.answered.len() + 1, self.answered.bytes() + bytes) {
            self.answered.push(message);
        } else {
            self.counts.answered_evicted += 1;
        }
    }

    pub(super) fn unaccounted(&self) -> u64 {
        let sums = self.counts.sums();
        let sum = sums.accepted + sums.rejected + sums.duplicates + sums.filtered + sums.dropped;
        self.counts.received.abs_diff(sum)
    }
}

/// Notes a message that was refused.
pub(super) fn note_reject(facts: &mut Facts, source: u16, message: &RejectedMessage) {
    let rejects = write_rejects(&message.rejects);
    let RejectedMessage { number, at_ms, raw, meta, .. } = message;
    facts.note(&Fact::Rejected { source, number: *number, at_ms: *at_ms, rejects: &rejects, raw, meta });
}

pub(super) fn write_rejects(rejects: &[Reject]) -> Vec<u8> {
    let one = |reject: &Reject| {
        json!({
            "message": reject.message,
            "item": reject.item,
            "code": reject.code.as_str(),
            "pointer": reject.pointer,
            "offset": reject.offset,
            "field": reject.field,
            "place": reject.place,
            "found": reject.found,
            "expected": reject.expected,
            "keys": reject.keys,
        })
    };
    Value::from(rejects.iter().map(one).collect::<Vec<_>>()).to_string().into_bytes()
}

pub(super) fn read_rejects(bytes: &[u8]) -> Vec<Reject> {
    let found: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let texts = |value: Option<&Value>| {
        let texts = value.and_then(Value::as_array).into_iter().flatten();
        texts.filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let one = |value: &Value| {
        let code = text(value, "code")?;
        let code = Code::ALL.iter().find(|(_, known, _)| *known == code).map(|known| known.0)?;
        let number = |name: &str| value.get(name).and_then(Value::as_u64);
        Some(Reject {
            message: number("message").unwrap_or(0) as u32,
            item: number("item").map(|item| item as u32),
            code,
            pointer: text(value, "pointer").unwrap_or_default(),
            offset: number("offset"),
            field: text(value, "field"),
            place: text(value, "place"),
            found: text(value, "found").unwrap_or_default(),
            expected: text(value, "expected").unwrap_or_default(),
            keys: texts(value.get("keys")),
        })
    };
    found.as_array().into_iter().flatten().filter_map(one).collect()
}
