//! Which event ids were admitted, and with what content: a window by count.
//!
//! Ids may come from outside (canonical events keep theirs), so the table is keyed with a random key.

use std::hash::{BuildHasher, Hasher, RandomState};

/// How many ids are remembered unless the configuration says otherwise.
pub const WINDOW_DEFAULT: usize = 1_000_000;

/// Keyed 128-bit fingerprints of what an event was made of and of what it became.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prints {
    /// Of the raw item.
    pub raw: u128,
    /// Of canonical type, time and `data`.
    pub body: u128,
}

/// What an id with its fingerprints means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The id is not in the window.
    New,
    /// The id is, and the raw item or the canonical content is the same as the first's.
    Duplicate,
    /// The id is, and neither is the same.
    Conflict,
}

impl Prints {
    /// Compares a later event of the same id with the first.
    #[must_use]
    pub fn compare(&self, later: &Prints) -> Verdict {
        if self.raw == later.raw || self.body == later.body { Verdict::Duplicate } else { Verdict::Conflict }
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: u128,
    prints: Prints,
}

/// A number for an id. Both halves are mixed with the key and multiplied: ids whose numbers fall together
/// cannot be made without it.
#[inline]
fn spread(id: u128, key: (u64, u64)) -> u64 {
    let fold = |left: u64, right: u64| {
        let product = u128::from(left) * u128::from(right);
        (product >> 64) as u64 ^ product as u64
    };
    fold(fold((id >> 64) as u64 ^ key.0, id as u64 ^ key.1) ^ key.0, key.1 | 1)
}

/// Makes maps by id, each with a random key of its own.
#[derive(Clone, Debug)]
pub struct ById((u64, u64));

impl Default for ById {
    fn default() -> Self {
        let random = || RandomState::new().hash_one(0_u64);
        Self((random(), random()))
    }
}

impl BuildHasher for ById {
    type Hasher = IdSpread;

    fn build_hasher(&self) -> IdSpread {
        IdSpread { key: self.0, number: 0 }
    }
}

/// The hasher of [`ById`].
#[derive(Debug)]
pub struct IdSpread {
    key: (u64, u64),
    number: u64,
}

impl Hasher for IdSpread {
    fn finish(&self) -> u64 {
        self.number
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.number = spread(u128::from(self.number) << 8 | u128::from(byte), self.key);
        }
    }

    fn write_u128(&mut self, id: u128) {
        self.number = spread(id, self.key);
    }
}

/// The last ids admitted, first in first out.
///
/// An open-addressing table of positions in a ring: 56 bytes for each id at the bound, reserved at
/// once and touched only as the window fills.
#[derive(Debug)]
pub struct Window {
    ring: Vec<Entry>,
    oldest: usize,
    capacity: usize,
    /// Position in the ring plus one; zero is empty. At most half full.
    table: Vec<u32>,
    mask: usize,
    key: (u64, u64),
    evicted: u64,
}

impl Window {
    /// A window of `capacity` ids (at least 1, at most 2^30), keyed with `key`.
    #[must_use]
    pub fn new(capacity: usize, key: (u64, u64)) -> Self {
        let capacity = capacity.clamp(1, 1 << 30);
        let slots = (capacity * 2).next_power_of_two();
        Self {
            ring: Vec::with_capacity(capacity),
            oldest: 0,
            capacity,
            table: vec![0; slots],
            mask: slots - 1,
            key,
            evicted: 0,
        }
    }

    /// What `id` means now. Remembers nothing.
    #[must_use]
    pub fn check(&self, id: u128, prints: &Prints) -> Verdict {
        match self.find(id).and_then(|slot| self.entry(slot)) {
            Some(first) => first.prints.compare(prints),
            None => Verdict::New,
        }
    }

    /// Remembers an id that is [`Verdict::New`], in place of the oldest if the window is full.
    /// An id that is remembered already stays as it is.
    pub fn insert(&mut self, id: u128, prints: Prints) {
        let Err(mut slot) = self.search(id) else { return };
        let entry = Entry { id, prints };
        let position = if self.ring.len() < self.capacity {
            self.ring.push(entry);
            self.ring.len() - 1
        } else {
            let position = self.oldest;
            self.evict(position);
            if let Some(place) = self.ring.get_mut(position) {
                *place = entry;
            }
            self.oldest = (position + 1) % self.capacity;
            // Entries have moved.
            slot = self.search(id).unwrap_or_else(|slot| slot);
            position
        };
        self.set(slot, position as u32 + 1);
    }

    /// Brings what will be asked about these ids near: a table of this size is far from the processor, which
    /// fetches many places at once as long as none waits for another.
    pub fn approach(&self, ids: impl Iterator<Item = u128>) {
        let places = ids.filter_map(|id| self.table.get(self.home(id)));
        std::hint::black_box(places.fold(0, |sum: u32, place| sum.wrapping_add(*place)));
    }

    /// Number of ids remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether no id is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// How many ids are remembered at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many ids were forgotten because the window was full.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    #[inline]
    fn home(&self, id: u128) -> usize {
        spread(id, self.key) as usize & self.mask
    }

    fn position(&self, slot: usize) -> Option<usize> {
        (self.table.get(slot).copied()? as usize).checked_sub(1)
    }

    fn entry(&self, slot: usize) -> Option<&Entry> {
        self.ring.get(self.position(slot)?)
    }

    fn set(&mut self, slot: usize, value: u32) {
        if let Some(place) = self.table.get_mut(slot) {
            *place = value;
        }
    }

    fn find(&self, id: u128) -> Option<usize> {
        self.search(id).ok()
    }

    /// The slot of an id, or the one that it would get.
    #[inline]
    fn search(&self, id: u128) -> Result<usize, usize> {
        let mut slot = self.home(id);
        while let Some(entry) = self.entry(slot) {
            if entry.id == id {
                return Ok(slot);
            }
            slot = (slot + 1) & self.mask;
        }
        Err(slot)
    }

    /// Takes an entry out of the table and closes the gap, so that no tombstones collect.
    fn evict(&mut self, position: usize) {
        let Some(mut gap) = self.ring.get(position).map(|entry| entry.id).and_then(|id| self.find(id)) else {
            return;
        };
        self.evicted += 1;
        let mut slot = (gap + 1) & self.mask;
        while let Some(entry) = self.entry(slot) {
            let home = self.home(entry.id);
            // An entry may move back unless its home lies behind the gap.
            if (slot.wrapping_sub(home) & self.mask) >= (slot.wrapping_sub(gap) & self.mask) {
                let moved = self.table.get(slot).copied().unwrap_or_default();
                self.set(gap, moved);
                gap = slot;
            }
            slot = (slot + 1) & self.mask;
        }
        self.set(gap, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn prints(raw: u128, body: u128) -> Prints {
        Prints { raw, body }
    }

    #[test]
    fn the_same_raw_item_or_the_same_content_is_a_duplicate_and_neither_is_a_conflict() {
        let mut window = Window::new(10, (1, 2));
        assert_eq!(window.check(7, &prints(1, 1)), Verdict::New);
        window.insert(7, prints(1, 1));
        assert_eq!(window.check(7, &prints(1, 9)), Verdict::Duplicate);
        assert_eq!(window.check(7, &prints(9, 1)), Verdict::Duplicate);
        assert_eq!(window.check(7, &prints(9, 9)), Verdict::Conflict);
        assert_eq!(window.check(8, &prints(1, 1)), Verdict::New);
    }

    #[test]
    fn the_first_content_stays_the_reference() {
        let mut window = Window::new(10, (1, 2));
        window.insert(7, prints(1, 1));
        window.insert(7, prints(2, 2));
        assert_eq!(window.check(7, &prints(2, 2)), Verdict::Conflict);
        assert_eq!(window.len(), 1);
    }

    proptest! {
        #[test]
        fn a_window_agrees_with_a_list(
            capacity in 1_usize..40,
            ids in prop::collection::vec((0_u128..80, 0_u128..3, 0_u128..3), 1..400),
        ) {
            let mut window = Window::new(capacity, (3, 4));
            let mut model: VecDeque<(u128, Prints)> = VecDeque::new();
            for (id, raw, body) in ids {
                let prints = prints(raw, body);
                let first = model.iter().find(|(known, _)| *known == id);
                let expected = first.map_or(Verdict::New, |(_, first)| first.compare(&prints));
                prop_assert_eq!(window.check(id, &prints), expected);
                window.insert(id, prints);
                if expected == Verdict::New {
                    if model.len() == capacity {
                        model.pop_front();
                    }
                    model.push_back((id, prints));
                }
                prop_assert_eq!(window.len(), model.len());
                for (known, first) in &model {
                    prop_assert_eq!(window.check(*known, first), Verdict::Duplicate);
                }
            }
        }
    }
}
