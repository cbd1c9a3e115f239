//! Everything behind the lock.

use std::collections::{HashMap, VecDeque};
use std::hash::Hasher as _;

use mfgroute_log::Frame;
use siphasher::sip::SipHasher13;

use super::admission::{Counts, Offsets};
use super::clock::Chance;
use super::config::{EngineOptions, SinkNo, SourceNo, StreamNo};
use super::journal::Journal;
use super::sink::Sink;
use super::source::{Refused, Source};
use super::stream::Stream;
use crate::dedup::{ById, Prints, Window};
use crate::reject::Code;

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
    lane_key: (u64, u64),
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
        }
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
