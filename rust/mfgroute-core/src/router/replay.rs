//! Replays: events that are still in their streams go to a sink once more, or to whoever reads them here.
//!
//! A request has `kind: replay` and one of these verbs:
//!
//! | verb | does | gives |
//! |---|---|---|
//! | `preview` | looks | how many events, and what the target has of them |
//! | `start` | sends them to `to` | the same |
//! | `read` | reads at most `count` from `after` up to `ends` | CloudEvents, and where the next ones begin |
//! | `list` | | replays under way |
//! | `stop` | gives up what is not at the sink `to` yet | how far it was |
//!
//! What is chosen: events that the sink `sink` was given when they were admitted, or that the routes of today give
//! it; admitted from `from_ms` on and before `until_ms` (milliseconds since 1970), with an offset in
//! `offsets[stream]` (first and behind the last), with the key `key`, for which the condition `filter` holds. They are
//! as they were admitted: nothing is mapped again.

use serde_json::{Value as Json, json};

use super::letters::{Request, act};
use super::report::when;
use super::{Router, RouterError};
use crate::engine::{Chosen, Kept, REPLAY_EVENTS_MAX, Replaying, SinkNo, Sorted, StreamNo};
use crate::expr::{Expr, ExprEnv};
use crate::pipeline::{Batch, Worker};
use crate::plan::project::Plan;
use crate::record;
use crate::reject::Reject;

/// Records read under one lock.
const PAGE: usize = 512;
/// Most events that one `read` gives, and their bytes.
const READ_MAX: (usize, usize) = (5_000, 4 << 20);

/// The part of a stream that a request looks at.
#[derive(Debug)]
struct Range {
    name: String,
    stream: StreamNo,
    next: u64,
    end: u64,
    page: std::vec::IntoIter<Kept>,
    head: Option<Kept>,
}

/// What a request looks for.
struct Wanted<'r> {
    plan: &'r Plan,
    sink: (usize, SinkNo),
    from_ms: u64,
    until_ms: u64,
    key: Option<&'r str>,
    /// By contract; `None` where the condition does not fit the contract.
    filter: Option<Vec<Option<Expr>>>,
}

/// An event that is wanted.
struct Found {
    kept: Kept,
    given: bool,
}

/// What looking has counted.
#[derive(Debug, Default)]
struct Looked {
    events: u64,
    other_version: u64,
    unreadable: u64,
    first: Option<(Chosen, u64)>,
    last: Option<(Chosen, u64)>,
}

impl Router {
    pub(super) fn replay(&self, verb: &str, request: &Request<'_>) -> Result<Json, RouterError> {
        match verb {
            "preview" | "start" => self.send(verb == "start", request),
            "read" => self.read(request),
            "list" => Ok(self.under_way()),
            "stop" => {
                let name = request.required("to")?;
                let seen = act(self.engine().stop_replay(self.sink(name)?, request.actor()))?;
                Ok(progress(name, &seen))
            }
            _ => Err(RouterError::Request(format!(
                "replay knows preview, start, read, list, stop, not {verb}"
            ))),
        }
    }

    fn under_way(&self) -> Json {
        let active = self.active();
        let pairs = active.plan.engine.sinks.iter().zip(&active.installed.sinks);
        let seen =
            pairs.filter_map(|(sink, &number)| Some(progress(&sink.name, &self.engine().replaying(number)?)));
        seen.collect()
    }

    fn send(&self, start: bool, request: &Request<'_>) -> Result<Json, RouterError> {
        let active = self.active();
        let name = request.required("sink")?;
        let to = request.text("to").unwrap_or(name);
        let target = self.sink(to)?;
        let wanted = self.wanted(&active.plan, request)?;
        let mut looked = Looked::default();
        let (mut chosen, mut given) = (Vec::new(), 0_u64);
        let mut ranges = self.ranges(request)?;
        let ends: Json = ranges.iter().map(|range| (range.name.clone(), json!(range.end))).collect();
        self.look(&wanted, &mut ranges, &mut looked, |found| {
            given += u64::from(found.given);
            chosen.push((found.kept.chosen(), found.kept.is_for(target)));
            if start && chosen.len() > REPLAY_EVENTS_MAX {
                let most = REPLAY_EVENTS_MAX;
                return Err(RouterError::Request(format!(
                    "more than {most} events are in this range; take a shorter one"
                )));
            }
            Ok(true)
        })?;
        let sorted = if start {
            let rate = request.0.get("rate").and_then(Json::as_u64).unwrap_or(0);
            let rate = u32::try_from(rate).unwrap_or(u32::MAX);
            let about = request.text("about").unwrap_or("{}");
            let repeats = request.0.get("repeats").and_then(Json::as_bool).unwrap_or(false);
            act(self.engine().replay(target, &chosen, (rate, about, repeats), request.actor()))?
        } else {
            act(self.engine().sort_replay(target, &chosen))?
        };
        let Sorted { sent, seen, queued, parked, decided } = sorted;
        let edge = |edge: Option<(Chosen, u64)>| {
            edge.map(|(one, at_ms)| {
                let stream = ranges.iter().find(|range| range.stream == one.stream);
                json!({"stream": stream.map(|range| &range.name), "offset": one.seq, "ordinal": one.ordinal, "admitted": when(at_ms)})
            })
        };
        let mut answer = json!({
            "sink": name, "to": to, "started": start && !sent.is_empty(), "events": chosen.len(), "given": given,
            "sent": sent.len(), "seen": seen, "queued": queued, "parked": parked, "decided": decided, "most": REPLAY_EVENTS_MAX,
        });
        if let Json::Object(members) = &mut answer {
            members.insert("ends".to_owned(), ends);
            members.insert("looked_at".to_owned(), json!(looked.events));
            members.insert("other_version".to_owned(), json!(looked.other_version));
            members.insert("unreadable".to_owned(), json!(looked.unreadable));
            members.insert("first".to_owned(), json!(edge(looked.first)));
            members.insert("last".to_owned(), json!(edge(looked.last)));
        }
        Ok(answer)
    }

    fn read(&self, request: &Request<'_>) -> Result<Json, RouterError> {
        let active = self.active();
        let name = request.required("sink")?;
        let wanted = self.wanted(&active.plan, request)?;
        let most = request.0.get("count").and_then(Json::as_u64).unwrap_or(u64::MAX);
        let most = usize::try_from(most).unwrap_or(usize::MAX).clamp(1, READ_MAX.0);
        let mut ranges = self.ranges(request)?;
        let (mut looked, mut events, mut bytes) = (Looked::default(), Vec::new(), 0);
        self.look(&wanted, &mut ranges, &mut looked, |found| {
            if let Some((header, data)) = record::read(found.kept.record()) {
                let (_, json) = self.event_for(name, &header, data);
                bytes += json.len();
                events.push(String::from_utf8_lossy(&json).into_owned());
            }
            Ok(events.len() < most && bytes < READ_MAX.1)
        })?;
        let next = |range: &Range| (range.name.clone(), json!(range.at()));
        let more = ranges.iter().any(|range| range.at() < range.end);
        let after: serde_json::Map<String, Json> = ranges.iter().map(next).collect();
        Ok(json!({"events": events, "after": more.then_some(after), "looked_at": looked.events}))
    }

    /// The streams with their parts that a request names; `after` has been read before.
    fn ranges(&self, request: &Request<'_>) -> Result<Vec<Range>, RouterError> {
        let active = self.active();
        let stats = self.engine().stats();
        let number = |kind: &str, name: &str, place: usize| {
            let pair = request.0.get(kind)?.get(name)?;
            pair.get(place).unwrap_or(pair).as_u64()
        };
        let named = request.0.get("offsets").and_then(Json::as_object);
        for name in named.into_iter().flat_map(serde_json::Map::keys) {
            if !active.plan.engine.streams.iter().any(|stream| stream.name == *name) {
                return Err(RouterError::Unknown { what: "stream", name: name.clone() });
            }
        }
        let mut ranges = Vec::new();
        for (config, &stream) in active.plan.engine.streams.iter().zip(&active.installed.streams) {
            if named.is_some_and(|named| !named.contains_key(&config.name)) {
                continue;
            }
            let Some(found) = stats.streams.get(usize::from(stream)) else { continue };
            let first = number("offsets", &config.name, 0).unwrap_or(0);
            let next = number("after", &config.name, 0).unwrap_or(first).max(found.first_seq);
            // What is admitted from now on is not of the past.
            let end = number("offsets", &config.name, 1).or_else(|| number("ends", &config.name, 0));
            let end = end.unwrap_or(u64::MAX).min(found.next_seq);
            let (name, page, head) = (config.name.clone(), Vec::new().into_iter(), None);
            ranges.push(Range { name, stream, next, end: end.max(next), page, head });
        }
        Ok(ranges)
    }

    fn wanted<'r>(&self, plan: &'r Plan, request: &'r Request<'_>) -> Result<Wanted<'r>, RouterError> {
        let name = request.required("sink")?;
        let index = plan.engine.sinks.iter().position(|sink| sink.name == name);
        let index = index.ok_or_else(|| RouterError::Unknown { what: "sink", name: name.to_owned() })?;
        let ms = |name: &str| request.0.get(name).and_then(Json::as_u64);
        Ok(Wanted {
            plan,
            sink: (index, self.sink(name)?),
            from_ms: ms("from_ms").unwrap_or(0),
            until_ms: ms("until_ms").unwrap_or(u64::MAX),
            key: request.text("key"),
            filter: request.text("filter").map(|text| filter(plan, text)).transpose()?,
        })
    }

    /// Calls `each` with every event that is wanted, in order of admission over all streams, until it says `false`.
    fn look(
        &self,
        wanted: &Wanted<'_>,
        ranges: &mut [Range],
        looked: &mut Looked,
        mut each: impl FnMut(Found) -> Result<bool, RouterError>,
    ) -> Result<(), RouterError> {
        let (mut worker, mut batch) = self.worker();
        let result = loop {
            for range in ranges.iter_mut() {
                range.fill(self);
            }
            let ordinal = |range: &Range| range.head.as_ref().map(|kept| kept.chosen().ordinal);
            let oldest =
                ranges.iter_mut().filter(|range| range.head.is_some()).min_by_key(|range| ordinal(range));
            let Some(kept) = oldest.and_then(|range| range.head.take()) else { break Ok(()) };
            looked.events += 1;
            match wanted.asks(kept, &mut worker, &mut batch, looked).map(&mut each) {
                None | Some(Ok(true)) => {}
                Some(Ok(false)) => break Ok(()),
                Some(Err(error)) => break Err(error),
            }
        };
        self.give_back(worker, batch);
        result
    }
}

impl Range {
    /// Takes the next event from the stream, if none is at hand.
    fn fill(&mut self, router: &Router) {
        while self.head.is_none() {
            self.head = self.page.next();
            if self.head.is_some() || self.next >= self.end {
                return;
            }
            let count = PAGE.min(usize::try_from(self.end - self.next).unwrap_or(PAGE));
            let (page, next) = router.engine().kept(self.stream, self.next, count);
            // Nothing more may be shown yet.
            self.end = if next <= self.next { self.next } else { self.end };
            (self.page, self.next) = (page.into_iter(), next);
        }
    }

    /// The offset of the next event that was not given.
    fn at(&self) -> u64 {
        let waiting = self.head.as_ref().or_else(|| self.page.as_slice().first());
        waiting.map_or(self.next, Kept::seq)
    }
}

impl Wanted<'_> {
    /// The event if it is asked for.
    fn asks(&self, kept: Kept, worker: &mut Worker, batch: &mut Batch, looked: &mut Looked) -> Option<Found> {
        let at_ms = kept.admitted_ms();
        let in_time = (self.from_ms..self.until_ms).contains(&at_ms);
        if !in_time || self.key.is_some_and(|key| key.as_bytes() != kept.key()) {
            return None;
        }
        let given = kept.is_for(self.sink.1);
        match self.routed(&kept, given, worker, batch) {
            Ok(Some(false)) => looked.other_version += 1,
            Ok(Some(true)) => {
                let chosen = kept.chosen();
                looked.first.get_or_insert((chosen, at_ms));
                looked.last = Some((chosen, at_ms));
                return Some(Found { kept, given });
            }
            Ok(None) => {}
            Err(_) => looked.unreadable += 1,
        }
        None
    }

    /// Whether the filter takes the event and the sink was given it or is given it today; `false` if today it would
    /// get another version.
    fn routed(
        &self,
        kept: &Kept,
        given: bool,
        worker: &mut Worker,
        batch: &mut Batch,
    ) -> Result<Option<bool>, Reject> {
        if given && self.filter.is_none() {
            return Ok(Some(true));
        }
        let Some((header, data)) = record::read(kept.record()) else { return Ok(None) };
        let Some(contract) = worker.read_again(self.plan, &header, data)? else { return Ok(None) };
        if let Some(filter) = &self.filter {
            let Some(Some(condition)) = filter.get(contract) else { return Ok(None) };
            if !worker.holds_again(self.plan, condition, &header)? {
                return Ok(None);
            }
        }
        if given {
            return Ok(Some(true));
        }
        let today = worker.sinks_today(self.plan, contract, &header, batch)?;
        Ok(today.iter().find(|one| one.sink == self.sink.0).map(|one| !one.other_version))
    }
}

/// Compiles a filter for each contract; it must fit one of them.
fn filter(plan: &Plan, text: &str) -> Result<Vec<Option<Expr>>, RouterError> {
    let mut problem = None;
    let mut compiled = Vec::new();
    for contract in &plan.contracts {
        let env = ExprEnv { schema: Some(&contract.schema), data: true, message: false, event: true };
        compiled.push(match Expr::compile_condition(text, &env) {
            Ok(expr) => {
                let unknown = expr.paths().iter().find(|path| !contract.schema.allows_field(path)).cloned();
                let unguarded = expr.unguarded_optionals().first().cloned();
                if let Some(path) = unknown {
                    problem.get_or_insert(format!("the contract {} has no field {path}", contract.label()));
                    None
                } else if let Some(path) = unguarded {
                    let label = contract.label();
                    return Err(RouterError::Request(format!(
                        "the filter asks {path}, which is optional in {label}; write has(data.{path}) && …"
                    )));
                } else {
                    Some(expr)
                }
            }
            Err(wrong) => {
                problem.get_or_insert(format!("at character {}: {}", wrong.column, wrong.message));
                None
            }
        });
    }
    if compiled.iter().any(Option::is_some) {
        return Ok(compiled);
    }
    let why = problem.unwrap_or_else(|| "the project has no contract".to_owned());
    Err(RouterError::Request(format!("the filter fits no contract of the project: {why}")))
}

fn progress(sink: &str, seen: &Replaying) -> Json {
    let Replaying { since_ms, about, rate, progress } = seen;
    let about: Json = serde_json::from_str(about).unwrap_or_default();
    json!({
        "to": sink, "since": when(*since_ms), "about": about, "rate": rate, "total": progress.total,
        "delivered": progress.delivered, "parked": progress.parked, "gone": progress.gone, "left": progress.left,
    })
}
