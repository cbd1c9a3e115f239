//! Replays: which events of the past a sink may get once more, and starting, stopping and ending that.

use std::collections::{HashMap, HashSet};

use mfgroute_log::Record;

use super::Engine;
use super::clock::Now;
use super::config::{SinkNo, StreamNo};
use super::fact::{Fact, Facts};
use super::job::{Chosen, ITEM_BYTES, Job, REPLAY_EVENTS_MAX, Replaying};
use super::journal::Settled;
use super::node::Later;
use super::people::{ActError, Actor};
use super::state::State;
use super::stored::Stored;

/// Items in one fact.
const IN_A_FACT: usize = 1_000;

/// An event as its stream holds it.
#[derive(Clone, Debug)]
pub struct Kept {
    stream: StreamNo,
    seq: u64,
    record: Record,
}

impl Kept {
    /// What a replay calls it.
    #[must_use]
    pub fn chosen(&self) -> Chosen {
        let stored = Stored::read(self.record.bytes());
        Chosen { ordinal: stored.ordinal, stream: self.stream, seq: self.seq, lane: stored.lane }
    }

    /// Its offset in the stream.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// When it was admitted, milliseconds since 1970.
    #[must_use]
    pub fn admitted_ms(&self) -> u64 {
        self.record.at_ms()
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        Stored::read(self.record.bytes()).key
    }

    /// The record as it was admitted.
    #[must_use]
    pub fn record(&self) -> &[u8] {
        Stored::read(self.record.bytes()).body
    }

    /// Whether a sink was given it when it was admitted.
    #[must_use]
    pub fn is_for(&self, sink: SinkNo) -> bool {
        Stored::read(self.record.bytes()).wants(sink)
    }
}

/// Events that were chosen for a sink, by what it has of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sorted {
    /// Those that a replay would send: what the sink never had, and what it has finished.
    pub sent: Vec<Chosen>,
    /// How many of these the sink has delivered before, as far as the node remembers: events that were skipped or
    /// dropped there longer ago than its journal reaches count as delivered, replayed ones as never seen.
    pub seen: u64,
    /// Those that wait for the sink or are in flight: they come by themselves.
    pub queued: u64,
    /// Those that are parked there: a person decides about them.
    pub parked: u64,
    /// Those in whose place an edited event went, or that a person has booked by hand.
    pub decided: u64,
}

impl State {
    /// The records of a stream from `seq` on that may be shown: at most `count`, and where the next ones begin.
    fn kept(&self, stream: StreamNo, seq: u64, count: usize) -> (Vec<Kept>, u64) {
        let Some(found) = self.streams.get(usize::from(stream)) else { return (Vec::new(), seq) };
        let from = seq.max(found.log.first_seq());
        let end = found.log.visible().min(from + count as u64);
        let one = |seq| Some(Kept { stream, seq, record: found.read(seq)? });
        ((from..end).filter_map(one).collect(), end.max(from))
    }

    /// Sorts events by what a sink has of them. `given` says whether it got the event when it was admitted.
    fn sort(&self, no: SinkNo, chosen: &[(Chosen, bool)]) -> Result<Sorted, ActError> {
        let sink = self.sink(no).ok_or(ActError::NotInstalled)?;
        let held: HashSet<u64> = sink.lanes.iter().map(|(_, held)| held.ordinal).collect();
        // The journal says how an event ended, as far as it reaches; the newest end counts.
        let ends = self.journal.settlements().filter(|end| end.sink == no);
        let ends: HashMap<u64, &Settled> = ends.map(|end| (end.ordinal, &end.what)).collect();
        let mut sorted = Sorted::default();
        for &(one, given) in chosen {
            let cursor = sink.cursors.get(usize::from(one.stream));
            if sink.parked.get(one.ordinal).is_some() {
                sorted.parked += 1;
            } else if held.contains(&one.ordinal)
                || (given && cursor.is_none_or(|cursor| !cursor.is_finished(one.seq)))
            {
                sorted.queued += 1;
            } else if let Some(Settled::Superseded { .. } | Settled::Skipped { posted_as: Some(_), .. }) =
                ends.get(&one.ordinal)
            {
                sorted.decided += 1;
            } else {
                let delivered = |what: &&Settled| matches!(what, Settled::Delivered { .. });
                sorted.seen += u64::from(ends.get(&one.ordinal).map_or(given, delivered));
                sorted.sent.push(one);
            }
        }
        Ok(sorted)
    }

    fn replay(
        &mut self,
        no: SinkNo,
        chosen: &[(Chosen, bool)],
        (rate, about, repeats): (u32, &str, bool),
        actor: Actor<'_>,
        now: Now,
    ) -> Result<Sorted, ActError> {
        if chosen.len() > REPLAY_EVENTS_MAX {
            return Err(ActError::TooMany { most: REPLAY_EVENTS_MAX });
        }
        self.end_replay(no, now);
        let sorted = self.sort(no, chosen)?;
        let sink = self.sink_mut(no).ok_or(ActError::NotInstalled)?;
        if sink.job.is_some() {
            return Err(ActError::Replaying);
        }
        if sorted.seen > 0 && !repeats {
            return Err(ActError::Seen { count: sorted.seen });
        }
        if sorted.sent.is_empty() {
            return Ok(sorted);
        }
        let mut job = Job::new(now.wall_ms, about.to_owned(), rate);
        job.add(sorted.sent.iter().copied());
        job.sort();
        let on = format!("{} {about}", sink.config.name);
        let mut facts = Facts { on: sink.facts.on, ..Facts::default() };
        job.note(no, &sink.durable, &mut facts);
        sink.facts.frame.append(&mut facts.frame);
        sink.job = Some(Box::new(job));
        self.note("replay", on, actor, now);
        Ok(sorted)
    }

    /// Ends a replay of which nothing is left, and records what became of it.
    pub(super) fn end_replay(&mut self, no: SinkNo, now: Now) {
        let Some(sink) = self.sink_mut(no) else { return };
        let Some(job) = sink.job.take_if(|job| job.is_over()) else { return };
        sink.facts.note(&Fact::Replayed { sink: no });
        let progress = job.seen().progress;
        let why = format!(
            "{} delivered, {} parked, {} gone from the stream before their turn",
            progress.delivered, progress.parked, progress.gone
        );
        let on = sink.config.name.clone();
        self.note("replay ended", on, Actor { who: "mfgroute", why: &why }, now);
    }

    /// Stops a replay: what is at the sink goes on, the rest is not sent.
    fn stop_replay(&mut self, no: SinkNo, actor: Actor<'_>, now: Now) -> Result<Replaying, ActError> {
        self.end_replay(no, now);
        let sink = self.sink_mut(no).ok_or(ActError::NotInstalled)?;
        let Some(job) = &mut sink.job else { return Err(ActError::NotFound) };
        let seen = job.seen();
        let lanes = job.stop();
        sink.facts.note(&Fact::Replayed { sink: no });
        if job.is_over() {
            sink.job = None;
        } else {
            // What is there is sent after a restart, too.
            let mut facts = Facts { on: sink.facts.on, ..Facts::default() };
            job.note(no, &sink.durable, &mut facts);
            sink.facts.frame.append(&mut facts.frame);
            self.repeat_decisions(no, now);
        }
        let Some(sink) = self.sink_mut(no) else { return Ok(seen) };
        for lane in lanes {
            sink.promote(lane, now.steady_ms);
        }
        let on = sink.config.name.clone();
        self.note("replay stop", on, actor, now);
        Ok(seen)
    }

    /// Writes again what was decided about replayed events and has not taken effect: what was noted just now knows
    /// nothing of it.
    fn repeat_decisions(&mut self, no: SinkNo, now: Now) {
        let Self { node, sinks, .. } = self;
        let (Some(node), Some(sink)) = (node, sinks.get_mut(usize::from(no))) else { return };
        let mut facts = std::mem::take(&mut sink.facts);
        for later in node.laters() {
            if let Later::Settle { sink: at, id, decision } = later
                && *at == no
                && sink.lanes.get(*id).is_some_and(|held| held.replayed)
            {
                sink.write_decision(&mut facts, *id, decision, now.wall_ms);
            }
        }
        sink.facts = facts;
    }

    pub(super) fn redo_replay(&mut self, fact: &Fact<'_>) {
        let (Fact::Replay { sink, .. } | Fact::Chosen { sink, .. } | Fact::Replayed { sink }) = *fact else {
            return;
        };
        let Some(sink) = self.sinks.get_mut(usize::from(sink)) else { return };
        match *fact {
            Fact::Replay { at_ms, about, rate, .. } => {
                sink.job = Some(Box::new(Job::new(at_ms, about.to_owned(), rate)));
            }
            Fact::Chosen { chosen, .. } => {
                if let Some(job) = &mut sink.job {
                    job.add(chosen.as_chunks::<ITEM_BYTES>().0.iter().map(Chosen::read));
                }
            }
            _ => sink.job = None,
        }
    }
}

impl Job {
    /// Writes down what has not ended.
    pub(super) fn note(&self, sink: SinkNo, durable: &[bool], facts: &mut Facts) {
        facts.note(&Fact::Replay { sink, at_ms: self.since_ms, about: &self.about, rate: self.rate });
        // Events in memory do not outlive the node.
        let mut rest = self.rest();
        rest.retain(|one| durable.get(usize::from(one.stream)).copied().unwrap_or(false));
        for some in rest.chunks(IN_A_FACT) {
            let mut chosen = Vec::with_capacity(some.len() * ITEM_BYTES);
            for one in some {
                one.write(&mut chosen);
            }
            facts.note(&Fact::Chosen { sink, chosen: &chosen });
        }
    }
}

impl Engine {
    /// The events of a stream from an offset on that are still there and may be shown: at most `count`, and the
    /// offset behind the last that was looked at.
    #[must_use]
    pub fn kept(&self, stream: StreamNo, seq: u64, count: usize) -> (Vec<Kept>, u64) {
        self.lock().kept(stream, seq, count)
    }

    /// What a replay of these events to a sink would send. `given` says of each whether the sink got it when it was
    /// admitted.
    ///
    /// # Errors
    ///
    /// There is no such sink.
    pub fn sort_replay(&self, sink: SinkNo, chosen: &[(Chosen, bool)]) -> Result<Sorted, ActError> {
        self.lock().sort(sink, chosen)
    }

    /// Sends events of the past to a sink once more, `rate` in a thousand seconds (0: as fast as it takes them), in
    /// order per key; live events of a key wait while it is its turn. `about` says what was asked for; `repeats`,
    /// whether the target recognises what it has.
    ///
    /// # Errors
    ///
    /// There is no such sink, a replay is under way there, these are too many, or the target would have an effect
    /// twice. Nothing was done then.
    pub fn replay(
        &self,
        sink: SinkNo,
        chosen: &[(Chosen, bool)],
        (rate, about, repeats): (u32, &str, bool),
        actor: Actor<'_>,
    ) -> Result<Sorted, ActError> {
        self.act(|state, now| state.replay(sink, chosen, (rate, about, repeats), actor, now))
    }

    /// Stops the replay of a sink; what has been taken to the sink already is still sent.
    ///
    /// # Errors
    ///
    /// There is no such sink, or no replay there.
    pub fn stop_replay(&self, sink: SinkNo, actor: Actor<'_>) -> Result<Replaying, ActError> {
        self.act(|state, now| state.stop_replay(sink, actor, now))
    }

    /// The replay of a sink: under way, or over and not yet seen by a poll.
    #[must_use]
    pub fn replaying(&self, sink: SinkNo) -> Option<Replaying> {
        self.lock().sink(sink)?.job.as_ref().map(|job| job.seen())
    }
}
