//! Everything behind the lock.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hasher as _;
use std::sync::Arc;

use mfgroute_log::Frame;
use siphasher::sip::SipHasher13;

use super::admission::{AdmitError, Counts, Offsets, Receipt};
use super::again::Retried;
use super::carried::Carried;
use super::clock::{Chance, Now};
use super::config::{EngineOptions, SinkNo, SourceNo, StreamNo};
use super::fact::Facts;
use super::journal::Journal;
use super::node::{After, Later, Node};
use super::open::Home;
use super::sink::Sink;
use super::source::{Refused, Source};
use super::stream::Stream;
use crate::dedup::{ById, Prints, Window};
use crate::reject::Code;

/// What the node's own log is called.
pub(super) const NODE: &str = "_node";

/// Whether messages and polls are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Open,
    Draining,
    Closed,
}

/// What one item of an admission comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accepted,
    Duplicate,
    Rejected(Code),
    Filtered,
    Dropped,
}

/// The plan of one admission; kept between admissions for its memory.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Of all items of all messages, in order.
    pub(super) verdicts: Vec<Verdict>,
    pub(super) messages: Vec<Counts>,
    pub(super) refused: Vec<Refused>,
    /// Of all messages, in order: what was rejected before and stays out.
    pub(super) left: Vec<Option<Retried>>,
    /// Messages of this admission that were rejected before and are no more, by number.
    pub(super) freed: Vec<u64>,
    /// Keys that messages of this admission hold, and the numbers of these.
    pub(super) held: BTreeMap<String, u64>,
    /// By stream.
    pub(super) frames: Vec<Frame>,
    /// New ids of this admission.
    pub(super) ids: HashMap<u128, Prints, ById>,
    pub(super) offsets: Vec<Offsets>,
    /// Next place in the order of admission.
    pub(super) ordinal: u64,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) streams: Vec<Stream>,
    pub(super) sinks: Vec<Sink>,
    pub(super) sources: Vec<Source>,
    pub(super) dedup: Window,
    pub(super) draft: Draft,
    pub(super) ordinal: u64,
    pub(super) rejects_number: u64,
    pub(super) journal: Journal,
    pub(super) chance: Chance,
    pub(super) life: Life,
    pub(super) distance_max: u64,
    pub(super) lane_key: (u64, u64),
    /// The node's own log, if anything is durable here.
    pub(super) node: Option<Box<Node>>,
    /// What happened and is not in that log yet.
    pub(super) facts: Facts,
    /// What happened to the admission under way, and is written after its events.
    pub(super) after: Facts,
    pub(super) carried: Carried,
    /// Streams that the node's own log has named.
    pub(super) named_streams: usize,
    /// Segments that nobody needs any more, oldest first; without a stream, of the node's own log.
    pub(super) retired: VecDeque<(Option<StreamNo>, String)>,
    /// Someone waits for what is durable to be attested.
    pub(super) seal_wanted: bool,
    /// Where streams are opened, and what opening them gave to the one who writes.
    pub(super) home: Option<Home>,
}

impl State {
    pub(super) fn new(options: &EngineOptions) -> Self {
        let random = || std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0_u64);
        let mut chance = Chance(options.seed.unwrap_or_else(random));
        Self {
            streams: Vec::new(),
            sinks: Vec::new(),
            sources: Vec::new(),
            dedup: Window::new(options.dedup_window, (chance.draw(), chance.draw())),
            draft: Draft::default(),
            ordinal: 0,
            rejects_number: 0,
            journal: Journal::new(options.journal_max, options.actions_max),
            lane_key: (chance.draw(), chance.draw()),
            chance,
            life: Life::Open,
            distance_max: options.distance_max,
            node: None,
            facts: Facts::default(),
            after: Facts::default(),
            carried: Carried::default(),
            named_streams: 0,
            retired: VecDeque::new(),
            seal_wanted: false,
            home: None,
        }
    }

    /// Whether anything is durable here.
    pub(super) fn is_durable(&self) -> bool {
        self.node.is_some()
    }

    /// Whether everything of an admission is durable, or why not.
    pub(super) fn check_durable(&self, receipt: &Receipt) -> Result<(), AdmitError> {
        if let Some(why) = self.node.as_ref().and_then(|node| node.failed.clone()) {
            return Err(AdmitError::LogFailed { stream: NODE.to_owned(), why });
        }
        for &number in &receipt.streams {
            let Some(stream) = self.streams.get(usize::from(number)) else { continue };
            if let Some(why) = stream.failed() {
                return Err(AdmitError::LogFailed { stream: stream.config.name.clone(), why });
            }
        }
        Ok(())
    }

    /// What must be attested for everything of an admission to be: of each durable stream that it names, duplicates too,
    /// and of the node's own log, everything that is durable now.
    pub(super) fn to_seal(&self, receipt: &Receipt) -> (Vec<(StreamNo, u64)>, u64) {
        let store = |number: StreamNo| Some(&self.streams.get(usize::from(number))?.log.disk()?.store);
        let streams = receipt.streams.iter().filter_map(|&number| Some((number, store(number)?.durable())));
        let node = self.node.as_ref().filter(|_| receipt.followed).map_or(0, |node| node.store.durable());
        (streams.collect(), node)
    }

    /// Whether that is attested by a later durable record.
    pub(super) fn is_sealed(&self, (streams, node): &(Vec<(StreamNo, u64)>, u64)) -> bool {
        let sealed = |&(number, end): &(StreamNo, u64)| {
            let log = self.streams.get(usize::from(number)).and_then(|stream| stream.log.disk());
            log.is_none_or(|log| log.store.sealed() >= end)
        };
        streams.iter().all(sealed) && self.node.as_ref().is_none_or(|own| own.store.sealed() >= *node)
    }

    /// Sends what was noted of an admission on its way, to be written behind the events it names. Says whether there
    /// is anything.
    pub(super) fn flush_after(
        &mut self,
        streams: Vec<(StreamNo, u64)>,
        position: Option<(SourceNo, Arc<[u8]>)>,
    ) -> bool {
        let Some(node) = &mut self.node else { return false };
        let facts = std::mem::take(&mut self.after.frame);
        let any = !facts.is_empty() || position.is_some();
        if any {
            node.after.push(After { streams, facts, position });
            node.ticket += 1;
        }
        any
    }

    /// Sends what was noted on its way to the disk, and what is to be done once it is there. Returns the ticket to
    /// wait for.
    pub(super) fn flush(&mut self, mut later: Vec<Later>, now: Now) -> u64 {
        let Some(node) = &mut self.node else { return 0 };
        let mut facts = std::mem::take(&mut self.facts.frame);
        for sink in &mut self.sinks {
            facts.append(&mut sink.facts.frame);
            later.extend(sink.effects.send().map(|upto| Later::Show { sink: sink.no, upto }));
        }
        if !facts.is_empty() || !later.is_empty() {
            node.note(facts, later, now.wall_ms);
            node.ticket += 1;
        }
        node.ticket
    }

    /// The lane of a key.
    pub(super) fn lane(&self, key: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.lane_key.0, self.lane_key.1);
        hasher.write(key);
        hasher.finish()
    }

    pub(super) fn stream(&self, no: StreamNo) -> Option<&Stream> {
        self.streams.get(usize::from(no)).filter(|stream| stream.present)
    }

    pub(super) fn sink(&self, no: SinkNo) -> Option<&Sink> {
        self.sinks.get(usize::from(no)).filter(|sink| sink.present)
    }

    pub(super) fn sink_mut(&mut self, no: SinkNo) -> Option<&mut Sink> {
        self.sinks.get_mut(usize::from(no)).filter(|sink| sink.present)
    }

    pub(super) fn source_mut(&mut self, no: SourceNo) -> Option<&mut Source> {
        self.sources.get_mut(usize::from(no)).filter(|source| source.present)
    }

    /// A sink and all streams at once.
    pub(super) fn at(&mut self, no: SinkNo) -> Option<(&mut Sink, &mut [Stream])> {
        let sink = self.sinks.get_mut(usize::from(no)).filter(|sink| sink.present)?;
        Some((sink, &mut self.streams))
    }

    /// Events that sinks must still deliver, and those in flight.
    pub(super) fn left(&self) -> VecDeque<(String, u64, u64)> {
        let busy = self.sinks.iter().filter(|sink| sink.counts.queued + sink.counts.in_flight > 0);
        busy.map(|sink| (sink.config.name.clone(), sink.counts.queued, sink.counts.in_flight)).collect()
    }
}
