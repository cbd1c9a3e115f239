//! What must be true of the engine, kept in plain lists.

use super::super::state::State;
use super::super::stored::Stored;
use super::super::{Delivery, DeliveryId, Receipt};
use super::swarm::{SINKS, STREAMS};

/// Where an event stands at a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// To be delivered; also if it waits behind a parked one.
    Open,
    /// It waits for a person, and later events of its key behind it if true.
    Parked(bool),
    Final,
}

/// An event at a sink.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    /// What was said and is durable.
    pub(super) at: Fate,
    /// What was said, and may be durable or not.
    pub(super) maybe: Vec<Fate>,
    pub(super) flight: Option<DeliveryId>,
    pub(super) settling: bool,
    /// The target may have seen it.
    pub(super) sent: bool,
    /// Its last outcome was that it is done; if not, it may have been dropped, and come again.
    pub(super) done: bool,
}

/// An event that was admitted.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) id: u128,
    pub(super) key: u8,
    pub(super) at: (u16, u64),
    /// Its place in the order of admission, as the engine counts.
    pub(super) ordinal: u64,
    pub(super) body: Vec<u8>,
    pub(super) acked: bool,
    pub(super) cells: [Option<Cell>; SINKS],
}

/// A rejected message, by its bytes.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) raw: Vec<u8>,
    pub(super) acked: bool,
    /// Taken out: asked for, and acknowledged.
    pub(super) taken: (bool, bool),
}

/// An admission that waits for the disk.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) receipt: Receipt,
    /// Ids of its events, and of those it repeats.
    pub(super) ids: Vec<u128>,
    pub(super) raw: Option<Vec<u8>>,
    pub(super) position: Option<u64>,
}

/// What a person asked for, and has no answer to yet.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Retry(u128, usize),
    Skip(u128, usize),
    Take(Vec<u8>),
    Pause(usize, bool),
}

#[derive(Debug, Default)]
pub(super) struct Model {
    /// In order of admission.
    pub(super) events: Vec<Known>,
    pub(super) next: [u64; STREAMS],
    /// The highest place that was ever given.
    pub(super) ordinal: u64,
    pub(super) refused: Vec<Refused>,
    pub(super) waiting: Vec<Waiting>,
    pub(super) asked: Vec<(u64, Asked)>,
    /// Positions with the ids of their events.
    pub(super) positions: Vec<(u64, Vec<u128>)>,
    pub(super) position: u64,
    /// Durable, and possible besides.
    pub(super) paused: [(bool, Vec<bool>); SINKS],
    /// The second stream drops.
    pub(super) drops: bool,
}

/// Where the engine has an event at a sink.
pub(super) fn standing(state: &State, sink: usize, (stream, seq): (u16, u64)) -> Fate {
    let sink = &state.sinks[sink];
    let this = |of: (u16, u64)| of == (stream, seq);
    if let Some(event) = sink.parked.iter().find(|event| this((event.stream, event.seq))) {
        return if event.cause.is_own() { Fate::Parked(event.blocking) } else { Fate::Open };
    }
    if sink.lanes.iter().any(|(_, held)| this((held.stream, held.seq))) {
        return Fate::Open;
    }
    let floor = state.streams[usize::from(stream)].log.floor();
    let finished = sink.cursors[usize::from(stream)].is_finished(seq);
    if finished || seq < floor { Fate::Final } else { Fate::Open }
}

impl Model {
    pub(super) fn event(&mut self, id: u128) -> Option<&mut Known> {
        self.events.iter_mut().rev().find(|event| event.id == id)
    }

    fn may_drop(&self, at: (u16, u64)) -> bool {
        self.drops && at.0 == 1
    }

    /// A sink is given an event: it was admitted, is not finished, and nothing of its key comes first.
    pub(super) fn delivered(&mut self, state: &State, at: usize, given: &Delivery) -> Result<(), String> {
        let place = (given.stream, given.seq);
        let Some(index) = self.events.iter().position(|event| event.at == place) else {
            return Err(format!("phantom: {place:?} at sink {at}"));
        };
        let event = &self.events[index];
        let key = format!("key{}", event.key);
        if given.event_id() != event.id || given.record() != event.body || given.key() != key.as_bytes() {
            return Err(format!("{place:?} is not what was admitted"));
        }
        let Some(cell) = &event.cells[at] else {
            return Err(format!("no route leads {place:?} to sink {at}"));
        };
        let may = cell.at == Fate::Open || cell.at != Fate::Final && cell.maybe.contains(&Fate::Open);
        if !may || cell.flight.is_some() {
            return Err(format!("{place:?} is handed out at sink {at} and is {cell:?}"));
        }
        if cell.sent && !given.redelivered {
            return Err(format!("{place:?} may have been sent to sink {at}, and is handed out as new"));
        }
        for earlier in self.events[..index].iter().filter(|earlier| earlier.key == event.key) {
            let Some(other) = &earlier.cells[at] else { continue };
            let passes = match other.at {
                Fate::Final | Fate::Parked(false) => true,
                _ if other.flight.is_some() => at == 2,
                // Of a log that has failed nothing more is shown; the sender knows.
                _ if !earlier.acked && state.streams[usize::from(earlier.at.0)].failed().is_some() => true,
                _ => self.may_drop(earlier.at) && standing(state, at, earlier.at) == Fate::Final,
            };
            if !passes {
                return Err(format!("sink {at} gets {place:?} before {:?}, which is {other:?}", earlier.at));
            }
        }
        if let Some(cell) = &mut self.events[index].cells[at] {
            (cell.at, cell.flight) = (Fate::Open, Some(given.id));
        }
        Ok(())
    }

    /// What has become certain since the last look.
    pub(super) fn settled(&mut self, state: &State) -> Result<u64, String> {
        let mut count = 0;
        for event in &mut self.events {
            for (sink, cell) in event.cells.iter_mut().enumerate() {
                let Some(cell) = cell.as_mut().filter(|cell| !cell.maybe.is_empty()) else { continue };
                if !cell.settling {
                    // What a person asked for has its effect once it is durable, and the answer comes after.
                    let found = standing(state, sink, event.at);
                    cell.at = if cell.maybe.contains(&found) { found } else { cell.at };
                    continue;
                }
                let Some(id) = cell.flight else { continue };
                if state.sinks[sink].lanes.get(id).is_some_and(|held| held.settling) {
                    continue;
                }
                let found = standing(state, sink, event.at);
                if !cell.maybe.contains(&found) {
                    return Err(format!("{:?} at sink {sink} became {found:?}: {cell:?}", event.at));
                }
                (cell.at, cell.flight, cell.settling) = (found, None, false);
                cell.maybe.clear();
                count += 1;
            }
        }
        Ok(count)
    }

    /// The answer to what a person asked for.
    pub(super) fn answered(&mut self, state: &State, asked: &Asked) -> Result<(), String> {
        match asked {
            Asked::Pause(sink, on) => {
                let (paused, asked) = &mut self.paused[*sink];
                *paused = *on;
                // Answers come in the order of the questions.
                drop(asked.drain(..1));
            }
            Asked::Take(raw) => {
                if let Some(refused) = self.refused.iter_mut().find(|refused| refused.raw == *raw) {
                    refused.taken = (true, true);
                }
            }
            Asked::Retry(id, sink) | Asked::Skip(id, sink) => {
                let Some(event) = self.event(*id) else { return Ok(()) };
                let place = event.at;
                let Some(cell) = &mut event.cells[*sink] else { return Ok(()) };
                let found = standing(state, *sink, place);
                if matches!(asked, Asked::Skip(..)) && found != Fate::Final {
                    return Err(format!("{place:?} was set aside at sink {sink} and is {found:?}"));
                }
                if cell.flight.is_none() {
                    cell.at = found;
                }
            }
        }
        Ok(())
    }

    /// The folder was opened: what was promised is there, and nothing else.
    pub(super) fn reopened(&mut self, state: &State, position: u64) -> Result<(), String> {
        self.check_position(state, position)?;
        for stream in 0..STREAMS {
            self.check_stream(state, stream)?;
        }
        (self.waiting, self.asked) = (Vec::new(), Vec::new());
        let drops = self.drops;
        for event in &mut self.events {
            for (sink, cell) in event.cells.iter_mut().enumerate() {
                let Some(cell) = cell else { continue };
                let found = standing(state, sink, event.at);
                let may_drop = drops && event.at.0 == 1;
                let dropped = may_drop && (found == Fate::Final || cell.at == Fate::Final && !cell.done);
                if found != cell.at && !cell.maybe.contains(&found) && !dropped {
                    return Err(format!("{:?} at sink {sink} is {found:?} again, was {cell:?}", event.at));
                }
                cell.sent |= cell.flight.is_some();
                (cell.at, cell.flight, cell.settling) = (found, None, false);
                cell.maybe.clear();
            }
        }
        self.check_sinks(state)?;
        self.check_refused(state)
    }

    /// A source goes on where it was: everything before is there.
    fn check_position(&mut self, state: &State, position: u64) -> Result<(), String> {
        if position < self.position {
            return Err(format!("the source is at {position} again, was at {}", self.position));
        }
        let gone = |id: &u128| {
            let event = self.events.iter().rev().find(|event| event.id == *id);
            event.is_none_or(|event| event.at.1 >= state.streams[usize::from(event.at.0)].log.next_seq())
        };
        let passed = |(number, ids): &&(u64, Vec<u128>)| *number <= position && ids.iter().any(gone);
        if let Some((number, ids)) = self.positions.iter().find(passed) {
            return Err(format!("the source is at {position}, and {ids:?}, read at {number}, are gone"));
        }
        self.positions.clear();
        self.position = position;
        Ok(())
    }

    fn check_stream(&mut self, state: &State, number: usize) -> Result<(), String> {
        let log = &state.streams[number].log;
        let (first, next) = (log.first_seq(), log.next_seq());
        if next > self.next[number] {
            return Err(format!("phantom: stream {number} has {next} events of {}", self.next[number]));
        }
        let here = |event: &&Known| usize::from(event.at.0) == number;
        if let Some(lost) = self.events.iter().filter(here).find(|event| event.at.1 >= next && event.acked) {
            return Err(format!("{:?} is lost: the log ends at {next}", lost.at));
        }
        self.events.retain(|event| usize::from(event.at.0) != number || event.at.1 < next);
        for event in self.events.iter().filter(here).filter(|event| event.at.1 >= first) {
            let record = log.get(event.at.1).ok_or(format!("{:?} cannot be read", event.at))?;
            let stored = Stored::read(record.bytes());
            let wanted = (0..SINKS).filter(|&sink| event.cells[sink].is_some());
            let same = stored.id == event.id
                && stored.body == event.body
                && stored.sinks().map(usize::from).eq(wanted);
            if !same {
                return Err(format!("{:?} is not what was admitted", event.at));
            }
        }
        // It is shown now, so it stays.
        self.events
            .iter_mut()
            .filter(|event| usize::from(event.at.0) == number)
            .for_each(|event| event.acked = true);
        self.next[number] = next;
        Ok(())
    }

    /// The equation of each sink, against a count of our own.
    fn check_sinks(&mut self, state: &State) -> Result<(), String> {
        for (number, sink) in state.sinks.iter().enumerate() {
            let cells = self.events.iter().filter_map(|event| event.cells[number].as_ref());
            let (mut open, mut parked) = (0, 0);
            for cell in cells {
                open += u64::from(cell.at == Fate::Open);
                parked += u64::from(matches!(cell.at, Fate::Parked(_)));
            }
            let behind = sink.parked.iter().filter(|event| !event.cause.is_own()).count() as u64;
            let counts = sink.counts;
            if counts.queued + behind != open || counts.matched != open + parked || sink.unaccounted() != 0 {
                return Err(format!("sink {number}: {open} open, {parked} parked, counted {counts:?}"));
            }
            for event in sink.parked.iter() {
                let known = self.events.iter().find(|known| known.at == (event.stream, event.seq));
                if known.is_none_or(|known| known.body != event.record()) {
                    return Err(format!("parked at sink {number} is not what was admitted"));
                }
            }
            let (paused, maybe) = &mut self.paused[number];
            if sink.paused != *paused && !maybe.contains(&sink.paused) {
                return Err(format!("sink {number} is paused: {}", sink.paused));
            }
            (*paused, *maybe) = (sink.paused, Vec::new());
        }
        Ok(())
    }

    fn check_refused(&mut self, state: &State) -> Result<(), String> {
        let kept: Vec<&[u8]> = state.sources[0].kept.iter().map(|message| &*message.raw).collect();
        if let Some(raw) = kept.iter().find(|raw| !self.refused.iter().any(|known| known.raw == **raw)) {
            return Err(format!("phantom: the reject {raw:?}"));
        }
        for refused in &self.refused {
            let (found, (asked, taken)) = (kept.contains(&&*refused.raw), refused.taken);
            if !found && refused.acked && !asked || found && taken {
                return Err(format!("a reject is {}: {refused:?}", if found { "back" } else { "lost" }));
            }
        }
        self.refused.retain(|refused| kept.contains(&&*refused.raw));
        self.refused.iter_mut().for_each(|refused| (refused.acked, refused.taken) = (true, (false, false)));
        Ok(())
    }

    /// A stream took something: it had room. (Recovery may find more than fits: what was finished for room was not
    /// durable yet.)
    pub(super) fn had_room(state: &State, stream: u16) -> Result<(), String> {
        let stream = &state.streams[usize::from(stream)];
        let (limits, count, bytes) = (stream.log.limits(), stream.unfinished(), stream.log.bytes_open());
        if count <= limits.count && bytes <= limits.bytes {
            return Ok(());
        }
        Err(format!("{} takes something and holds {count} events, {bytes} bytes", stream.config.name))
    }

    /// Bounds hold, and nothing is unaccounted for.
    pub(super) fn bounds(state: &State) -> Result<(), String> {
        let source = &state.sources[0];
        if source.kept.len() > source.config.rejects_max.count || source.unaccounted() != 0 {
            return Err(format!("the source keeps {} rejects: {:?}", source.kept.len(), source.counts));
        }
        for sink in &state.sinks {
            let held = sink.parked.load().0 + sink.reserved.0;
            if sink.unaccounted() != 0 || sink.no != 2 && held > sink.config.parked_max.count {
                return Err(format!("{} holds {held} besides its log: {:?}", sink.config.name, sink.counts));
            }
        }
        Ok(())
    }
}
