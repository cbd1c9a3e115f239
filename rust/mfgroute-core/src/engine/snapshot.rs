//! Taking the snapshot.

use super::clock::Now;
use super::sink::Sink;
use super::source::Source;
use super::state::State;
use super::stored::Stored;
use super::stream::Stream;
use crate::stats::{SinkStats, SourceStats, Stats, StreamStats};

/// Records looked at for the age of a backlog.
const AHEAD_MAX: usize = 4_096;

impl State {
    pub(super) fn stats(&self, now: Now) -> Stats {
        let sources = self.sources.iter().map(Source::unaccounted).sum::<u64>();
        let sinks = self.sinks.iter().map(Sink::unaccounted).sum::<u64>();
        Stats {
            sources: self.sources.iter().map(of_source).collect(),
            sinks: self.sinks.iter().map(|sink| self.of_sink(sink, now)).collect(),
            streams: self.streams.iter().map(of_stream).collect(),
            dedup_ids: self.dedup.len() as u64,
            dedup_capacity: self.dedup.capacity() as u64,
            unaccounted: sources + sinks,
            commits: self.node.as_ref().map(|node| node.commits.clone()),
            failed: self.node.as_ref().and_then(|node| node.failed.clone()),
        }
    }

    fn of_sink(&self, sink: &Sink, now: Now) -> SinkStats {
        let counts = sink.counts;
        let (parked, in_doubt) = sink.parked_counts();
        let lag_events = counts.queued + counts.in_flight;
        let oldest_ms = if lag_events > 0 { self.oldest(sink) } else { None };
        SinkStats {
            name: sink.config.name.clone(),
            present: sink.present,
            paused: sink.paused,
            stopped: sink.is_stopped(),
            matched: counts.matched,
            delivered: counts.delivered,
            queued: counts.queued,
            in_flight: counts.in_flight,
            parked,
            in_doubt,
            skipped: counts.skipped,
            superseded: counts.superseded,
            taken_back: counts.taken_back,
            dropped: counts.dropped,
            retries: counts.retries,
            parked_total: sink.parked.total().clone(),
            effects_open: sink.effects.count().0,
            effects_waiting: sink.effects.count().1,
            parked_bytes: sink.parked.load().1,
            lag_events,
            oldest_ms,
            lag_ms: oldest_ms.map_or(0, |oldest| now.wall_ms.saturating_sub(oldest)),
        }
    }

    /// When the oldest event that a sink has not finished was admitted. Costs a look at its lanes and
    /// at what lies between its cursors and the next event that it wants.
    fn oldest(&self, sink: &Sink) -> Option<u64> {
        let held = sink.lanes.iter().filter_map(|(_, held)| {
            let logged = || self.streams.get(usize::from(held.stream))?.log.get(held.seq);
            held.record.clone().or_else(logged).map(|record| record.at_ms())
        });
        let new = self.streams.iter().zip(&sink.cursors).filter_map(|(stream, cursor)| {
            let mut ahead = stream.log.records_from(cursor.next());
            ahead
                .by_ref()
                .take(AHEAD_MAX)
                .find(|(_, record)| Stored::read(record.bytes()).wants(sink.no))
                .map(|(_, record)| record.at_ms())
        });
        held.chain(new).min()
    }
}

fn of_source(source: &Source) -> SourceStats {
    let counts = &source.counts;
    SourceStats {
        name: source.config.name.clone(),
        present: source.present,
        messages: counts.messages,
        received: counts.received,
        accepted: counts.accepted.iter().map(|(kind, count)| (kind.to_string(), *count)).collect(),
        rejected: counts.rejected.iter().map(|(code, count)| (code.as_str(), *count)).collect(),
        duplicates: counts.duplicates,
        filtered: counts.filtered.clone(),
        dropped: counts.dropped,
        unrouted: counts.unrouted,
        rejects_kept: source.kept.len(),
        rejects_bytes: source.kept.bytes(),
        rejects_answered: source.answered.len(),
        rejects_answered_evicted: counts.answered_evicted,
    }
}

fn of_stream(stream: &Stream) -> StreamStats {
    let limits = stream.log.limits();
    StreamStats {
        name: stream.config.name.clone(),
        present: stream.present,
        bytes: stream.log.bytes(),
        bytes_open: stream.log.bytes_open(),
        count: stream.log.len(),
        count_open: stream.unfinished(),
        capacity_bytes: limits.bytes,
        capacity_count: limits.count,
        first_seq: stream.log.first_seq(),
        next_seq: stream.log.next_seq(),
        durable: stream.log.disk().is_some(),
        durable_seq: stream.log.disk().map_or(0, |log| log.store.durable()),
        failed: stream.failed(),
    }
}
