//! Where an event is and was, and what waits for a person.

use std::collections::{BTreeMap, BTreeSet};

use super::config::{SinkNo, SourceNo, StreamNo};
use super::journal::Settled;
use super::lanes::Phase;
use super::parked::{Cause, ParkedEvent};
use super::sink::Sink;
use super::state::State;
use super::stored::Stored;
use crate::reject::Code;

/// What to look for.
#[derive(Clone, Copy, Debug)]
pub enum Find<'a> {
    /// All events of a key.
    Key(&'a [u8]),
    /// One event.
    Id(u128),
    /// All events with this text as a whole value in `data`, or posted under this reference.
    Text(&'a [u8]),
}

/// Where an event stands at one sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It waits to be handed out.
    Queued,
    /// It is with the sink.
    InFlight,
    /// It waits for a person, or behind one that does.
    Parked {
        /// Why.
        cause: Cause,
        /// Since when, milliseconds since 1970.
        at_ms: u64,
    },
    /// It is finished.
    Settled {
        /// How.
        what: Settled,
        /// When, milliseconds since 1970.
        at_ms: u64,
    },
    /// It is finished, further back than the journal reaches.
    Finished,
}

/// An event at one sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtSink {
    /// The sink.
    pub sink: SinkNo,
    /// Where it stands there.
    pub standing: Standing,
    /// Counted tries.
    pub tries: u32,
}

/// One event with all its sinks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Its place in the order of admission over all streams.
    pub number: u64,
    /// Its stream.
    pub stream: StreamNo,
    /// Its offset there.
    pub seq: u64,
    /// Its id.
    pub id: u128,
    /// When it was admitted, if the record is still known; milliseconds since 1970.
    pub admitted_ms: Option<u64>,
    /// Its record, if it is still known.
    pub record: Option<Vec<u8>>,
    /// Its sinks, by number.
    pub sinks: Vec<AtSink>,
}

/// One thing that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// A rejected message.
    Reject {
        /// Its source.
        source: SourceNo,
        /// Its number.
        number: u64,
        /// The first cause.
        code: Option<Code>,
        /// How many later messages of its keys wait for it.
        behind: u64,
    },
    /// A parked event with a cause of its own.
    Parked {
        /// Its sink.
        sink: SinkNo,
        /// Its number.
        number: u64,
        /// Its key.
        key: Vec<u8>,
        /// Why.
        cause: Cause,
        /// How many later events of its key wait behind it among the parked ones.
        behind: u64,
    },
    /// A sink whose bound on parked events is reached, so that it has stopped.
    Stopped {
        /// The sink.
        sink: SinkNo,
    },
}

/// Events by their place and id: one that was edited shares its place with the one that took it.
type Found = BTreeMap<(u64, u128), Trace>;

/// A line of the inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxLine {
    /// Since when, milliseconds since 1970.
    pub at_ms: u64,
    /// What.
    pub what: Waiting,
}

impl State {
    /// Everything that is still known of an event or a key, in order of admission.
    pub(super) fn trace(&self, find: Find<'_>) -> Vec<Trace> {
        let (wanted, ids) = match find {
            Find::Key(key) => (Some(self.lane(key)), BTreeSet::new()),
            Find::Id(id) => (None, BTreeSet::from([id])),
            Find::Text(text) => (None, self.ids_with(text)),
        };
        let matches = |lane: u64, id: u128| wanted == Some(lane) || ids.contains(&id);
        let mut found = Found::new();
        for (number, stream) in self.streams.iter().enumerate() {
            for (seq, record) in stream.log.records_from(stream.log.at_hand()) {
                let stored = Stored::read(record.bytes());
                if matches(stored.lane, stored.id) {
                    let trace = entry(&mut found, stored.ordinal, (number as u16, seq), stored.id);
                    trace.admitted_ms = Some(record.at_ms());
                    trace.record = Some(stored.body.to_vec());
                    let open = stored.sinks().map(|sink| self.in_log(sink, number as u16, seq, &stored));
                    trace.sinks.extend(open);
                }
            }
        }
        for settlement in self.journal.settlements().filter(|s| matches(s.lane, s.id)) {
            let trace =
                entry(&mut found, settlement.ordinal, (settlement.stream, settlement.seq), settlement.id);
            let standing = Standing::Settled { what: settlement.what.clone(), at_ms: settlement.at_ms };
            set(trace, AtSink { sink: settlement.sink, standing, tries: settlement.tries });
        }
        for sink in &self.sinks {
            trace_copies(sink, &mut found, matches);
        }
        let mut traces: Vec<Trace> = found.into_values().collect();
        for trace in &mut traces {
            trace.sinks.sort_by_key(|at| at.sink);
        }
        traces.sort_by_key(|trace| (trace.number, superseded_ms(trace)));
        traces
    }

    /// Ids of events that hold `text` as a whole JSON string, or that were posted under it.
    fn ids_with(&self, text: &[u8]) -> BTreeSet<u128> {
        let mut quoted = Vec::new();
        crate::tree::write_json_string(&String::from_utf8_lossy(text), &mut quoted);
        let holds = |body: &[u8]| body.windows(quoted.len()).any(|window| window == quoted);
        let logs = self.streams.iter().flat_map(|stream| stream.log.records_from(stream.log.at_hand()));
        let mut ids: BTreeSet<u128> = logs
            .filter_map(|(_, record)| {
                let stored = Stored::read(record.bytes());
                holds(stored.body).then_some(stored.id)
            })
            .collect();
        for sink in &self.sinks {
            ids.extend(sink.parked.iter().filter(|event| holds(event.record())).map(ParkedEvent::id));
        }
        ids.extend(self.journal.settlements().filter_map(|settlement| match &settlement.what {
            Settled::Delivered { reference: Some(known) } if known.as_bytes() == text => Some(settlement.id),
            Settled::Skipped { posted_as: Some(known), .. } if known.as_bytes() == text => {
                Some(settlement.id)
            }
            _ => None,
        }));
        ids
    }

    fn in_log(&self, no: SinkNo, stream: StreamNo, seq: u64, stored: &Stored<'_>) -> AtSink {
        let mut at = AtSink { sink: no, standing: Standing::Queued, tries: 0 };
        let Some(sink) = self.sinks.get(usize::from(no)) else { return at };
        let line = sink.lanes.line(stored.lane).filter_map(|id| sink.lanes.get(id));
        if let Some(held) = line.into_iter().find(|held| held.stream == stream && held.seq == seq) {
            at.tries = held.tries;
            if held.phase == Phase::InFlight {
                at.standing = Standing::InFlight;
            }
        } else if sink.cursors.get(usize::from(stream)).is_some_and(|cursor| cursor.is_finished(seq)) {
            at.standing = Standing::Finished;
        }
        at
    }

    /// Everything that waits for a person, oldest first.
    pub(super) fn inbox(&self) -> Vec<InboxLine> {
        let mut lines = Vec::new();
        for (number, source) in self.sources.iter().enumerate() {
            for (message, behind) in source.causes() {
                let code = message.rejects.first().map(|reject| reject.code);
                let what = Waiting::Reject { source: number as u16, number: message.number, code, behind };
                lines.push(InboxLine { at_ms: message.at_ms, what });
            }
        }
        for sink in &self.sinks {
            let mut behind: BTreeMap<u64, u64> = BTreeMap::new();
            for event in sink.parked.iter().filter(|event| !event.cause.is_own()) {
                *behind.entry(event.lane).or_default() += 1;
            }
            for event in sink.parked.iter().filter(|event| event.cause.is_own()) {
                let (number, key, cause) = (event.number, event.key().to_vec(), event.cause.clone());
                let behind = if event.blocking { behind.get(&event.lane).copied().unwrap_or(0) } else { 0 };
                let what = Waiting::Parked { sink: sink.no, number, key, cause, behind };
                lines.push(InboxLine { at_ms: event.at_ms, what });
            }
            if sink.is_stopped() {
                let at_ms = sink.parked.iter().map(|event| event.at_ms).max().unwrap_or(0);
                lines.push(InboxLine { at_ms, what: Waiting::Stopped { sink: sink.no } });
            }
        }
        lines.sort_by_key(|line| line.at_ms);
        lines
    }
}

/// Events whose bytes the sink holds itself: parked, tried again, or in flight when their record went.
fn trace_copies(sink: &Sink, found: &mut Found, matches: impl Fn(u64, u128) -> bool) {
    for event in sink.parked.iter().filter(|event| matches(event.lane, event.id())) {
        let trace = entry(found, event.number, (event.stream, event.seq), event.id());
        trace.admitted_ms = Some(event.admitted_ms());
        trace.record = Some(event.record().to_vec());
        let standing = Standing::Parked { cause: event.cause.clone(), at_ms: event.at_ms };
        set(trace, AtSink { sink: sink.no, standing, tries: event.tries });
    }
    for (_, held) in sink.lanes.iter().filter(|(_, held)| held.copy || held.gone) {
        let Some(record) = &held.record else { continue };
        let id = Stored::read(record.bytes()).id;
        if matches(held.lane, id) {
            let trace = entry(found, held.ordinal, (held.stream, held.seq), id);
            trace.admitted_ms = Some(record.at_ms());
            trace.record = Some(Stored::read(record.bytes()).body.to_vec());
            let in_flight = held.phase == Phase::InFlight;
            let standing = if in_flight { Standing::InFlight } else { Standing::Queued };
            set(trace, AtSink { sink: sink.no, standing, tries: held.tries });
        }
    }
}

/// When an event was superseded. The one that took its place comes after it.
fn superseded_ms(trace: &Trace) -> u64 {
    let at = |at: &AtSink| match at.standing {
        Standing::Settled { what: Settled::Superseded { .. }, at_ms } => Some(at_ms),
        _ => None,
    };
    trace.sinks.iter().filter_map(at).min().unwrap_or(u64::MAX)
}

fn entry(found: &mut Found, number: u64, at: (StreamNo, u64), id: u128) -> &mut Trace {
    let (stream, seq) = at;
    let new = || Trace { number, stream, seq, id, admitted_ms: None, record: None, sinks: Vec::new() };
    found.entry((number, id)).or_insert_with(new)
}

fn set(trace: &mut Trace, at: AtSink) {
    match trace.sinks.iter_mut().find(|known| known.sink == at.sink) {
        Some(known) => *known = at,
        None => trace.sinks.push(at),
    }
}
