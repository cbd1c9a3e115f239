//! The lines of events at one sink: what was taken from the logs and is not settled.
//!
//! A lane is a list of places in one slab, ordered by admission. Lanes hold sequence numbers; bytes
//! are held only while an event is in flight or comes back from the parked ones.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use mfgroute_log::Record;

use super::config::{SinkNo, StreamNo};
use super::fact::At;

/// A place in the slab with its generation: what the outside knows a delivery by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(pub u64);

impl DeliveryId {
    fn new(generation: u32, index: usize) -> Self {
        Self(u64::from(generation) << 32 | index as u64)
    }

    fn index(self) -> usize {
        (self.0 & 0xFFFF_FFFF) as usize
    }
}

/// Whether an event is with the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Handed out.
    InFlight,
    /// To be handed out, not before `due_ms` of the steady clock.
    Waiting { due_ms: u64 },
}

/// One event of a lane.
#[expect(clippy::struct_excessive_bools, reason = "seven things that are independently so or not")]
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) lane: u64,
    pub(super) ordinal: u64,
    pub(super) stream: StreamNo,
    pub(super) seq: u64,
    pub(super) phase: Phase,
    /// Its bytes, while in flight or if it is a copy.
    pub(super) record: Option<Record>,
    /// It comes back from the parked ones: its cursor has moved on already.
    pub(super) copy: bool,
    /// It is of a replay, and a copy.
    pub(super) replayed: bool,
    /// Its outcome is known and not durable yet.
    pub(super) settling: bool,
    /// It will wait again, or be parked, once that is durable: until then nothing of its lane is handed out.
    pub(super) returning: bool,
    /// Its record was dropped from the log while it was in flight.
    pub(super) gone: bool,
    /// Counted tries.
    pub(super) tries: u32,
    /// All tries, for the delay.
    pub(super) attempts: u32,
    /// The target may have seen it before.
    pub(super) redelivered: bool,
    /// It goes before events of other keys that are not so.
    pub(super) first: bool,
    /// Successes of the sink at its last try.
    pub(super) mark: Option<u64>,
    /// The next event of the lane; kept by [`Lanes`].
    pub(super) next: u32,
}

impl Held {
    pub(super) fn waiting(lane: u64, ordinal: u64, stream: StreamNo, seq: u64) -> Self {
        Self {
            lane,
            ordinal,
            stream,
            seq,
            phase: Phase::Waiting { due_ms: 0 },
            record: None,
            copy: false,
            replayed: false,
            settling: false,
            returning: false,
            gone: false,
            tries: 0,
            attempts: 0,
            redelivered: false,
            first: false,
            mark: None,
            next: END,
        }
    }

    /// Which event of which sink it is.
    pub(super) fn at(&self, sink: SinkNo) -> At {
        let Self { stream, seq, ordinal, copy, .. } = *self;
        At { sink, stream, seq, ordinal, copy }
    }
}

const END: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Lane {
    first: u32,
    last: u32,
    in_flight: u32,
    waiting: u32,
    /// Those of the waiting that go first.
    urgent: u32,
    /// Those of all that are copies.
    copies: u32,
    /// Those in flight that are about to wait again or to be parked.
    returning: u32,
}

impl Lane {
    const EMPTY: Self =
        Self { first: END, last: END, in_flight: 0, waiting: 0, urgent: 0, copies: 0, returning: 0 };

    fn count(&mut self, held: &Held) {
        self.copies += u32::from(held.copy);
        self.returning += u32::from(held.returning);
        match held.phase {
            Phase::InFlight => self.in_flight += 1,
            Phase::Waiting { .. } => {
                self.waiting += 1;
                self.urgent += u32::from(held.first);
            }
        }
    }

    fn discount(&mut self, held: &Held) {
        self.copies -= u32::from(held.copy);
        self.returning -= u32::from(held.returning);
        match held.phase {
            Phase::InFlight => self.in_flight -= 1,
            Phase::Waiting { .. } => {
                self.waiting -= 1;
                self.urgent -= u32::from(held.first);
            }
        }
    }
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    held: Option<Held>,
}

/// Lane numbers are hashes already.
#[derive(Debug, Default)]
pub(super) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// A map by lane number.
pub(super) type ByLane<T> = HashMap<u64, T, BuildHasherDefault<AsIs>>;

/// All lanes of a sink.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_key: ByLane<Lane>,
    /// Where generations of new places start.
    start: u32,
}

impl Lanes {
    /// Empty lanes that give no id that lanes up to this generation gave.
    pub(super) fn succeeding(generation: u32) -> Self {
        Self { start: generation.wrapping_add(1), ..Self::default() }
    }

    /// The newest generation of any place.
    pub(super) fn generation(&self) -> u32 {
        self.slots.iter().map(|slot| slot.generation).fold(self.start, u32::max)
    }

    pub(super) fn get(&self, id: DeliveryId) -> Option<&Held> {
        let slot = self.slots.get(id.index())?;
        (u64::from(slot.generation) == id.0 >> 32).then_some(slot.held.as_ref())?
    }

    /// An event that is with the caller, and about which nothing was decided.
    pub(super) fn undecided(&self, id: DeliveryId) -> Option<&Held> {
        self.get(id).filter(|held| held.phase == Phase::InFlight && !held.settling)
    }

    /// Adds an event to its lane, at its place in the order of admission.
    pub(super) fn add(&mut self, held: Held) -> DeliveryId {
        let (lane, ordinal) = (held.lane, held.ordinal);
        let mut queue = self.by_key.get(&lane).copied().unwrap_or(Lane::EMPTY);
        queue.count(&held);
        let index = self.place(held);
        let before = self.predecessor(&queue, ordinal);
        let after = match before {
            END => std::mem::replace(&mut queue.first, index),
            place => self.link(place, index),
        };
        self.link(index, after);
        if after == END {
            queue.last = index;
        }
        self.by_key.insert(lane, queue);
        self.id(index)
    }

    /// Takes an event out of its lane.
    pub(super) fn remove(&mut self, id: DeliveryId) -> Option<Held> {
        let held = self.get(id)?;
        let lane = held.lane;
        let index = id.index() as u32;
        let mut queue = self.by_key.get(&lane).copied()?;
        queue.discount(held);
        let after = self.after(index);
        if queue.first == index {
            queue.first = after;
        } else {
            let mut before = queue.first;
            while self.after(before) != index && before != END {
                before = self.after(before);
            }
            self.link(before, after);
            if queue.last == index {
                queue.last = before;
            }
        }
        if queue.first == END {
            self.by_key.remove(&lane);
        } else {
            self.by_key.insert(lane, queue);
        }
        let slot = self.slots.get_mut(index as usize)?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        slot.held.take()
    }

    /// Changes an event in place; its lane, ordinal and links stay.
    pub(super) fn change(&mut self, id: DeliveryId, change: impl FnOnce(&mut Held)) {
        if self.get(id).is_none() {
            return;
        }
        let Some(held) = self.slots.get_mut(id.index()).and_then(|slot| slot.held.as_mut()) else { return };
        let Some(queue) = self.by_key.get_mut(&held.lane) else { return };
        queue.discount(held);
        change(held);
        queue.count(held);
    }

    /// How many events of the lane are in flight, and how many wait.
    pub(super) fn load(&self, lane: u64) -> (u32, u32) {
        self.by_key.get(&lane).map_or((0, 0), |queue| (queue.in_flight, queue.waiting))
    }

    /// Whether an event of the lane that is in flight is about to wait again or to be parked.
    pub(super) fn is_held_up(&self, lane: u64) -> bool {
        self.by_key.get(&lane).is_some_and(|queue| queue.returning > 0)
    }

    /// Whether an event waits in the lane that goes before those of other lanes.
    pub(super) fn is_urgent(&self, lane: u64) -> bool {
        self.by_key.get(&lane).is_some_and(|queue| queue.urgent > 0)
    }

    /// Whether an event of the lane comes back from the parked ones.
    pub(super) fn has_copy(&self, lane: u64) -> bool {
        self.by_key.get(&lane).is_some_and(|queue| queue.copies > 0)
    }

    /// The first event of the lane that waits.
    pub(super) fn first_waiting(&self, lane: u64) -> Option<DeliveryId> {
        if self.load(lane).1 == 0 {
            return None;
        }
        self.line(lane).find(|&id| self.get(id).is_some_and(|held| held.phase != Phase::InFlight))
    }

    /// The events of a lane, in order.
    pub(super) fn line(&self, lane: u64) -> impl Iterator<Item = DeliveryId> + '_ {
        let mut at = self.by_key.get(&lane).map_or(END, |queue| queue.first);
        std::iter::from_fn(move || {
            (at != END).then(|| {
                let id = self.id(at);
                at = self.after(at);
                id
            })
        })
    }

    /// All events of all lanes, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (DeliveryId, &Held)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            slot.held.as_ref().map(|held| (DeliveryId::new(slot.generation, index), held))
        })
    }

    fn place(&mut self, held: Held) -> u32 {
        let Some(index) = self.free.pop() else {
            self.slots.push(Slot { generation: self.start, held: Some(held) });
            return self.slots.len() as u32 - 1;
        };
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.held = Some(held);
        }
        index
    }

    /// The last event before `ordinal`, or [`END`].
    fn predecessor(&self, queue: &Lane, ordinal: u64) -> u32 {
        if self.ordinal(queue.last).is_some_and(|last| last < ordinal) {
            return queue.last;
        }
        let (mut before, mut at) = (END, queue.first);
        while self.ordinal(at).is_some_and(|earlier| earlier < ordinal) {
            (before, at) = (at, self.after(at));
        }
        before
    }

    fn ordinal(&self, index: u32) -> Option<u64> {
        Some(self.slots.get(index as usize)?.held.as_ref()?.ordinal)
    }

    fn id(&self, index: u32) -> DeliveryId {
        let generation = self.slots.get(index as usize).map_or(0, |slot| slot.generation);
        DeliveryId::new(generation, index as usize)
    }

    fn after(&self, index: u32) -> u32 {
        self.slots.get(index as usize).and_then(|slot| slot.held.as_ref()).map_or(END, |held| held.next)
    }

    /// Sets what follows `index` and returns what followed.
    fn link(&mut self, index: u32, next: u32) -> u32 {
        match self.slots.get_mut(index as usize).and_then(|slot| slot.held.as_mut()) {
            Some(held) => std::mem::replace(&mut held.next, next),
            None => END,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_keeps_the_order_of_admission_whatever_the_order_of_arrival() {
        let mut lanes = Lanes::default();
        let ids: Vec<_> = [5, 9, 3, 7, 1].iter().map(|&n| lanes.add(Held::waiting(1, n, 0, n))).collect();
        let order = |lanes: &Lanes| {
            lanes.line(1).filter_map(|id| lanes.get(id)).map(|held| held.seq).collect::<Vec<_>>()
        };
        assert_eq!(order(&lanes), [1, 3, 5, 7, 9]);
        assert_eq!(lanes.remove(ids[1]).map(|held| held.seq), Some(9));
        assert_eq!(lanes.remove(ids[0]).map(|held| held.seq), Some(5));
        lanes.add(Held::waiting(1, 8, 0, 8));
        assert_eq!(order(&lanes), [1, 3, 7, 8]);
        assert!(lanes.remove(ids[0]).is_none(), "a delivery is known by one id once");
    }
}
