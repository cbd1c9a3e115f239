//! Counters, traces and the inbox as JSON, with names instead of numbers.

use serde_json::{Map, Value as Json, json};

use super::Router;
use crate::engine::{Cause, Find, Settled, Standing, Waiting};
use crate::identity;
use crate::stats::{BOUNDS_S, Durations, SinkStats, SourceStats, Stats, StreamStats};
use crate::time::Instant;

/// Milliseconds since 1970 as RFC 3339 in UTC.
#[must_use]
pub fn when(at_ms: u64) -> String {
    let instant = Instant::new((at_ms / 1000).cast_signed(), (at_ms % 1000) as u32 * 1_000_000);
    instant.map(|instant| instant.to_string()).unwrap_or_default()
}

impl Router {
    /// One consistent snapshot of all counters.
    #[must_use]
    pub fn stats(&self) -> Json {
        let stats: Stats = self.engine().stats();
        let mut sources = Map::new();
        for source in stats.sources.iter().filter(|source| source.present || source.messages > 0) {
            sources.insert(source.name.clone(), source_json(source));
        }
        let mut sinks = Map::new();
        for sink in stats.sinks.iter().filter(|sink| sink.present || sink.matched > 0) {
            sinks.insert(sink.name.clone(), sink_json(sink));
        }
        let mut streams = Map::new();
        for stream in stats.streams.iter().filter(|stream| stream.present) {
            streams.insert(stream.name.clone(), stream_json(stream));
        }
        json!({
            "sources": sources,
            "sinks": sinks,
            "streams": streams,
            "dedup": {"ids": stats.dedup_ids, "capacity": stats.dedup_capacity},
            "unaccounted": stats.unaccounted,
            "failed": stats.failed,
            "commit_seconds": stats.commits.as_ref().map(durations_json),
        })
    }

    /// The local timeline of a key, or of an event id.
    #[must_use]
    pub fn find(&self, query: &str) -> Json {
        let number = identity::number(query);
        let by_id = identity::text(number) == query;
        let mut traces =
            self.engine().trace(if by_id { Find::Id(number) } else { Find::Key(query.as_bytes()) });
        if traces.is_empty() && !query.is_empty() {
            traces = self.engine().trace(Find::Text(query.as_bytes()));
        }
        let names = Names::of(self);
        let events: Vec<Json> = traces
            .iter()
            .map(|trace| {
                let sinks: Vec<Json> = trace
                    .sinks
                    .iter()
                    .map(|at| {
                        let mut out = standing(&at.standing);
                        if let Json::Object(members) = &mut out {
                            members.insert("sink".to_owned(), json!(names.sink(at.sink)));
                            members.insert("tries".to_owned(), json!(at.tries));
                            if let Some(to) = version(trace.record.as_deref(), names.sink(at.sink)) {
                                members.insert("as".to_owned(), json!(to));
                            }
                        }
                        out
                    })
                    .collect();
                let mut out = json!({
                    "offset": trace.seq,
                    "stream": names.stream(trace.stream),
                    "id": identity::text(trace.id),
                    "admitted": trace.admitted_ms.map(when),
                    "sinks": sinks,
                });
                if let (Json::Object(members), Some(record)) = (&mut out, &trace.record)
                    && let Some((header, data)) = crate::record::read(record)
                {
                    members.insert("id".to_owned(), json!(header.id));
                    members.insert("type".to_owned(), json!(header.full_type));
                    members.insert("key".to_owned(), json!(header.key));
                    members.insert("source".to_owned(), json!(header.source));
                    members.insert("time".to_owned(), json!(header.time));
                    members.insert("data".to_owned(), serde_json::from_slice(data).unwrap_or_default());
                }
                out
            })
            .collect();
        json!({"query": query, "events": events})
    }

    /// What people did, oldest first, as far back as is known.
    #[must_use]
    pub fn actions(&self) -> Json {
        let one = |act: crate::engine::Action| json!({"at": when(act.at_ms), "who": act.who, "what": act.what, "on": act.on, "why": act.why});
        self.engine().actions().into_iter().map(one).collect()
    }

    /// Everything that waits for a person, oldest first.
    #[must_use]
    pub fn inbox(&self) -> Json {
        let names = Names::of(self);
        let lines = self.engine().inbox().into_iter().map(|line| {
            let mut out = match line.what {
                Waiting::Reject { source, number, code, behind } => json!({
                    "kind": "reject", "source": names.source(source), "number": number,
                    "code": code.map(crate::reject::Code::as_str), "behind": behind,
                }),
                Waiting::Parked { sink, number, key, cause, behind } => {
                    let mut out = cause_json(&cause);
                    if let Json::Object(members) = &mut out {
                        members.insert("kind".to_owned(), json!("parked"));
                        members.insert("sink".to_owned(), json!(names.sink(sink)));
                        members.insert("number".to_owned(), json!(number));
                        members.insert("key".to_owned(), json!(String::from_utf8_lossy(&key)));
                        members.insert("behind".to_owned(), json!(behind));
                    }
                    out
                }
                Waiting::Stopped { sink } => json!({"kind": "stopped", "sink": names.sink(sink)}),
            };
            if let Json::Object(members) = &mut out {
                members.insert("since".to_owned(), json!(when(line.at_ms)));
            }
            out
        });
        Json::Array(lines.collect())
    }
}

/// The other version of its contract in which a sink gets the event of a record: `quality.hold/2`.
fn version(record: Option<&[u8]>, sink: &str) -> Option<String> {
    let (header, _) = crate::record::read(record?)?;
    Some(format!("{}/{}", header.contract()?.0, header.version_for(sink)?))
}

/// Names of what has a number.
pub(super) struct Names {
    sinks: Vec<String>,
    sources: Vec<String>,
    streams: Vec<String>,
}

impl Names {
    pub(super) fn of(router: &Router) -> Self {
        let stats = router.engine().stats();
        Self {
            sinks: stats.sinks.into_iter().map(|sink| sink.name).collect(),
            sources: stats.sources.into_iter().map(|source| source.name).collect(),
            streams: stats.streams.into_iter().map(|stream| stream.name).collect(),
        }
    }

    pub(super) fn sink(&self, number: u16) -> &str {
        self.sinks.get(usize::from(number)).map_or("", String::as_str)
    }

    pub(super) fn source(&self, number: u16) -> &str {
        self.sources.get(usize::from(number)).map_or("", String::as_str)
    }

    pub(super) fn stream(&self, number: u16) -> &str {
        self.streams.get(usize::from(number)).map_or("", String::as_str)
    }
}

/// Why an event is parked.
pub(super) fn cause_json(cause: &Cause) -> Json {
    let (code, reason) = match cause {
        Cause::Refused { code, reason } => (Some(code.as_str()), reason.as_str()),
        Cause::Tries { reason } => (None, reason.as_str()),
        Cause::InDoubt { code, reason } => {
            (Some(code.as_str()).filter(|code| !code.is_empty()), reason.as_str())
        }
        Cause::Behind => (None, "waiting behind an earlier event of its key"),
    };
    json!({"cause": cause.as_str(), "code": code, "reason": reason})
}

fn standing(standing: &Standing) -> Json {
    match standing {
        Standing::Queued => json!({"state": "queued"}),
        Standing::InFlight => json!({"state": "in_flight"}),
        Standing::Parked { cause, at_ms } => {
            let mut out = cause_json(cause);
            if let Json::Object(members) = &mut out {
                let state = if matches!(cause, Cause::InDoubt { .. }) { "in_doubt" } else { "parked" };
                members.insert("state".to_owned(), json!(state));
                members.insert("at".to_owned(), json!(when(*at_ms)));
            }
            out
        }
        Standing::Settled { what: Settled::Delivered { reference }, at_ms } => {
            json!({"state": "delivered", "reference": reference, "at": when(*at_ms)})
        }
        Standing::Settled { what: Settled::Skipped { reason, posted_as }, at_ms } => {
            json!({"state": "skipped", "reason": reason, "posted_as": posted_as, "at": when(*at_ms)})
        }
        Standing::Settled { what: Settled::Dropped, at_ms } => {
            json!({"state": "dropped", "at": when(*at_ms)})
        }
        Standing::Settled { what: Settled::Superseded { by }, at_ms } => {
            json!({"state": "superseded", "by": identity::text(*by), "at": when(*at_ms)})
        }
        Standing::Finished => json!({"state": "finished"}),
    }
}

fn source_json(source: &SourceStats) -> Json {
    json!({
        "messages": source.messages,
        "received": source.received,
        "accepted": source.accepted.values().sum::<u64>(),
        "accepted_by_type": source.accepted,
        "rejected": source.rejected.values().sum::<u64>(),
        "rejected_by_code": source.rejected,
        "duplicates": source.duplicates,
        "filtered": source.filtered.values().sum::<u64>(),
        "filtered_by_rule": source.filtered,
        "dropped": source.dropped,
        "unrouted": source.unrouted,
        "rejects_kept": source.rejects_kept,
        "rejects_bytes": source.rejects_bytes,
        "rejects_answered": source.rejects_answered,
        "rejects_answered_evicted": source.rejects_answered_evicted,
    })
}

fn sink_json(sink: &SinkStats) -> Json {
    json!({
        "matched": sink.matched,
        "delivered": sink.delivered,
        "queued": sink.queued,
        "in_flight": sink.in_flight,
        "parked": sink.parked,
        "in_doubt": sink.in_doubt,
        "skipped": sink.skipped,
        "superseded": sink.superseded,
        "taken_back": sink.taken_back,
        "dropped": sink.dropped,
        "retries": sink.retries,
        "parked_by_cause": sink.parked_total,
        "effects_open": sink.effects_open,
        "effects_waiting": sink.effects_waiting,
        "parked_bytes": sink.parked_bytes,
        "lag_events": sink.lag_events,
        "lag_ms": sink.lag_ms,
        "oldest": sink.oldest_ms.map(when),
        "paused": sink.paused,
        "stopped": sink.stopped,
    })
}

fn durations_json(durations: &Durations) -> Json {
    let bounds = BOUNDS_S.iter().map(|&bound| Some(bound)).chain([None]);
    let buckets: Vec<Json> =
        bounds.zip(durations.counts).map(|(bound, count)| json!([bound, count])).collect();
    #[expect(clippy::cast_precision_loss, reason = "microseconds of centuries")]
    let seconds = durations.sum_us as f64 / 1e6;
    json!({"buckets": buckets, "sum": seconds})
}

fn stream_json(stream: &StreamStats) -> Json {
    json!({
        "bytes": stream.bytes,
        "bytes_open": stream.bytes_open,
        "count": stream.count,
        "count_open": stream.count_open,
        "capacity_bytes": stream.capacity_bytes,
        "first_offset": stream.first_seq,
        "next_offset": stream.next_seq,
        "durable": stream.durable,
        "durable_offset": stream.durable_seq,
        "failed": stream.failed,
    })
}
