//! Installing a configuration: numbers by name, for life.

use std::collections::BTreeSet;

use mfgroute_log::Cursor;

use super::checkpoint::name_of;
use super::clock::Now;
use super::config::{EngineConfig, InstallError, Installed, StreamConfig};
use super::fact::{Fact, Facts, Named};
use super::journal::{Action, Settled, Settlement};
use super::lanes::Lanes;
use super::log::Log;
use super::parked::Parked;
use super::sink::Sink;
use super::source::Source;
use super::state::State;
use super::stored::Stored;
use super::stream::{Stream, limits};

impl State {
    /// Installs a configuration in place of the one before, or changes nothing.
    pub(super) fn install(
        &mut self,
        config: &EngineConfig,
        discard: &[String],
        who: &str,
        now: Now,
    ) -> Result<Installed, InstallError> {
        check(config)?;
        self.check_removed(config, discard)?;
        for number in 0..self.sinks.len() {
            let gone = self.sinks.get(number).is_some_and(|sink| {
                sink.present && !config.sinks.iter().any(|kept| kept.name == sink.config.name)
            });
            if gone {
                self.remove_sink(number, who, now);
            }
        }
        let logs = self.open_streams(config)?;
        let streams = self.install_streams(config, logs);
        let sinks = self.install_sinks(config);
        let first: Vec<bool> = self.streams.iter().map(|stream| stream.config.first).collect();
        for sink in &mut self.sinks {
            sink.put_first(&first, now.steady_ms);
        }
        let sources = self.install_sources(config);
        self.flush(Vec::new(), now);
        Ok(Installed { streams, sinks, sources })
    }

    /// Refuses what would lose events or rejects without being told to.
    fn check_removed(&self, config: &EngineConfig, discard: &[String]) -> Result<(), InstallError> {
        let kept = |name: &String| config.sinks.iter().any(|sink| sink.name == *name);
        for sink in self.sinks.iter().filter(|sink| sink.present && !kept(&sink.config.name)) {
            let replayed = sink.job.as_ref().map_or(0, |job| job.waiting());
            let queued = sink.counts.queued + sink.counts.in_flight + replayed;
            let parked = sink.parked.counts().0;
            if queued + parked > 0 && !discard.contains(&sink.config.name) {
                return Err(InstallError::SinkBusy { sink: sink.config.name.clone(), queued, parked });
            }
        }
        let kept = |old: &StreamConfig| config.streams.iter().any(|stream| self.is_same(old, stream));
        for stream in self.streams.iter().filter(|stream| stream.present && !kept(&stream.config)) {
            let unfinished = stream.unfinished();
            // Also if only discarded sinks owe them: one reload removes one thing.
            if unfinished > 0 {
                return Err(InstallError::StreamBusy { stream: stream.config.name.clone(), unfinished });
            }
        }
        let kept = |name: &String| config.sources.iter().any(|source| source.name == *name);
        for source in self.sources.iter().filter(|source| source.present && !kept(&source.config.name)) {
            let rejects = source.kept.len();
            if rejects > 0 {
                return Err(InstallError::SourceBusy { source: source.config.name.clone(), rejects });
            }
        }
        Ok(())
    }

    /// Whether two configurations mean one stream: a stream that becomes durable is another one.
    fn is_same(&self, one: &StreamConfig, other: &StreamConfig) -> bool {
        one.name == other.name && (one.durable == other.durable || !self.is_durable())
    }

    /// Opens the logs of durable streams that are new.
    fn open_streams(&mut self, config: &EngineConfig) -> Result<Vec<Option<(Log, u128)>>, InstallError> {
        let mut logs = Vec::new();
        for wanted in &config.streams {
            let known = self.streams.iter().any(|stream| self.is_same(&stream.config, wanted));
            let number = (self.streams.len() + logs.iter().filter(|log| Option::is_some(log)).count()) as u16;
            logs.push(match &mut self.home {
                Some(home) if wanted.durable && !known => Some(home.new_log(wanted, number)?),
                _ => None,
            });
        }
        Ok(logs)
    }

    fn install_streams(&mut self, config: &EngineConfig, logs: Vec<Option<(Log, u128)>>) -> Vec<u16> {
        self.streams.iter_mut().for_each(|stream| stream.present = false);
        // Those with a log of their own got their numbers when it was opened.
        let mut numbers = vec![None; config.streams.len()];
        for on_disk in [true, false] {
            for ((wanted, log), number) in config.streams.iter().zip(&logs).zip(&mut numbers) {
                let known = self.streams.iter().position(|stream| self.is_same(&stream.config, wanted));
                if log.is_some() == on_disk && known.is_none() {
                    *number = Some(self.streams.len());
                    self.streams.push(Stream::new(wanted.clone()));
                } else if known.is_some() {
                    *number = number.or(known);
                }
            }
        }
        let numbers: Vec<u16> = numbers.into_iter().map(|number| number.unwrap_or(0) as u16).collect();
        for ((wanted, log), &number) in config.streams.iter().zip(logs).zip(&numbers) {
            let Some(stream) = self.streams.get_mut(usize::from(number)) else { continue };
            if let Some((log, id)) = log {
                (stream.log, stream.log_id) = (log, Some(id));
            }
            stream.log.set_limits(limits(wanted.capacity));
            if let Some(log) = stream.log.disk_mut() {
                log.keep_ms = wanted.keep_ms;
            }
            (stream.config, stream.present) = (wanted.clone(), true);
        }
        for (number, stream) in (0..).zip(&self.streams).skip(self.named_streams) {
            self.facts.note(&name_of(stream, number));
            if let Some(id) = stream.log_id {
                self.facts.note(&Fact::Log { stream: number, id });
            }
        }
        self.named_streams = self.streams.len();
        for sink in &mut self.sinks {
            while sink.cursors.len() < self.streams.len() {
                sink.cursors.push(Cursor::new(0, self.distance_max));
            }
            sink.durable = self.streams.iter().map(|stream| stream.config.durable).collect();
        }
        numbers
    }

    fn install_sinks(&mut self, config: &EngineConfig) -> Vec<u16> {
        let mut numbers = Vec::new();
        for wanted in &config.sinks {
            let known = self.sinks.iter().position(|sink| sink.config.name == wanted.name);
            let number = known.unwrap_or(self.sinks.len());
            numbers.push(number as u16);
            if known.is_none() {
                self.sinks.push(Sink::new(number as u16, wanted.clone()));
            }
            let on = self.is_durable();
            let Some(sink) = self.sinks.get_mut(number) else { continue };
            if known.is_none() || !sink.present {
                let heads = self.streams.iter().map(|stream| stream.log.visible());
                sink.cursors = heads.map(|head| Cursor::new(head, self.distance_max)).collect();
                sink.durable = self.streams.iter().map(|stream| stream.config.durable).collect();
                self.facts.note(&Fact::Name { what: Named::Sink, number: sink.no, name: &wanted.name });
                note_lows(sink, &self.streams, &mut self.facts);
            }
            sink.facts.on = on;
            (sink.config, sink.present) = (wanted.clone(), true);
        }
        numbers
    }

    fn install_sources(&mut self, config: &EngineConfig) -> Vec<u16> {
        self.sources.iter_mut().for_each(|source| source.present = false);
        let mut numbers = Vec::new();
        for wanted in &config.sources {
            let known = self.sources.iter().position(|source| source.config.name == wanted.name);
            numbers.push(known.unwrap_or(self.sources.len()) as u16);
            match known.and_then(|number| self.sources.get_mut(number)) {
                Some(source) => (source.config, source.present) = (wanted.clone(), true),
                None => {
                    let number = self.sources.len() as u16;
                    self.facts.note(&Fact::Name { what: Named::Source, number, name: &wanted.name });
                    self.sources.push(Source::new(wanted.clone()));
                }
            }
        }
        numbers
    }

    /// Takes a sink away. What it had not finished counts as dropped.
    fn remove_sink(&mut self, number: usize, who: &str, now: Now) {
        let Some(sink) = self.sinks.get_mut(number) else { return };
        let no = sink.no;
        let mut lost: Vec<Settlement> = Vec::new();
        let mut note = |bytes: &[u8], stream: u16, seq: u64| {
            let Stored { id, lane, ordinal, .. } = Stored::read(bytes);
            let (at_ms, what) = (now.wall_ms, Settled::Dropped);
            lost.push(Settlement { at_ms, sink: no, stream, seq, id, tries: 0, what, lane, ordinal });
        };
        for event in sink.parked.iter() {
            note(event.record.bytes(), event.stream, event.seq);
        }
        for (_, held) in sink.lanes.iter().filter(|(_, held)| held.copy || held.gone) {
            if let Some(record) = &held.record {
                note(record.bytes(), held.stream, held.seq);
            }
        }
        for (stream_no, (stream, cursor)) in self.streams.iter_mut().zip(&mut sink.cursors).enumerate() {
            for seq in cursor.low().max(stream.log.floor())..stream.log.next_seq() {
                let record = stream.log.get(seq);
                let wanted = record.filter(|record| Stored::read(record.bytes()).wants(no));
                if let (Some(record), false) = (wanted, cursor.is_finished(seq)) {
                    note(record.bytes(), stream_no as u16, seq);
                    stream.finish(seq);
                }
            }
            cursor.skip_to(stream.log.next_seq());
        }
        sink.counts.dropped += lost.len() as u64;
        (sink.counts.queued, sink.counts.in_flight, sink.reserved) = (0, 0, (0, 0));
        let generation = sink.lanes.generation();
        (sink.lanes, sink.parked) = (Lanes::succeeding(generation), Parked::default());
        sink.ready.clear();
        sink.due.clear();
        sink.spilled.clear();
        sink.tried.clear();
        (sink.present, sink.paused, sink.job) = (false, false, None);
        sink.effects.drop_all();
        self.facts.note(&Fact::Removed { sink: no });
        note_lows(sink, &self.streams, &mut self.facts);
        let (on, why) = (sink.config.name.clone(), format!("removed with {} events", lost.len()));
        if !lost.is_empty() {
            self.facts.note(&Fact::Acted { at_ms: now.wall_ms, who, what: "discard", on: &on, why: &why });
            self.journal.act(Action {
                at_ms: now.wall_ms,
                who: who.to_owned(),
                what: "discard".to_owned(),
                on,
                why,
            });
        }
        for settlement in lost {
            self.journal.write(settlement);
        }
    }
}

/// Notes where a sink begins, or ended, in each durable stream.
fn note_lows(sink: &Sink, streams: &[Stream], facts: &mut Facts) {
    for (number, (stream, cursor)) in (0..).zip(streams.iter().zip(&sink.cursors)) {
        if stream.config.durable {
            // What cannot be seen yet may never have been.
            let seq = cursor.low().min(stream.log.visible());
            facts.note(&Fact::Low { sink: sink.no, stream: number, seq });
        }
    }
}

/// What can be seen from the configuration alone.
fn check(config: &EngineConfig) -> Result<(), InstallError> {
    let streams = config.streams.iter().map(|stream| (&stream.name, stream.capacity));
    let sinks = config.sinks.iter().map(|sink| (&sink.name, sink.parked_max));
    let sources = config.sources.iter().map(|source| (&source.name, source.rejects_max));
    for kind in [streams.collect::<Vec<_>>(), sinks.collect(), sources.collect()] {
        let mut names = BTreeSet::new();
        for (name, bound) in &kind {
            if !names.insert(*name) {
                return Err(InstallError::Twice((*name).clone()));
            }
            if bound.count == 0 || bound.bytes == 0 {
                return Err(InstallError::ZeroBound((*name).clone()));
            }
        }
        if kind.len() > usize::from(u16::MAX) {
            return Err(InstallError::TooMany);
        }
    }
    match config.sinks.iter().find(|sink| sink.tries == 0) {
        Some(sink) => Err(InstallError::ZeroBound(sink.name.clone())),
        None => Ok(()),
    }
}
