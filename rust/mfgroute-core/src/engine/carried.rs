//! Identities of events that have left their streams, as far as they are remembered.
//!
//! There may be a million of them. They stand in the node's own log, piece by piece, and outside of its checkpoints: what
//! is written whole holds everybody up. Before a checkpoint they are written down again, a piece with each group, so that
//! the facts in which they stood first can go.

use std::collections::VecDeque;

use super::stored::Stored;
use crate::dedup::Prints;

/// Bytes of one identity in [`Fact::Keys`](super::fact::Fact::Keys).
pub(super) const KEY_BYTES: usize = 56;

/// Ordinal, id and prints of an event, as they are written.
type Written = [u8; KEY_BYTES];

/// An identity with its place in the order of admission.
pub(super) type Key = (u64, u128, Prints);

/// The newest identities, oldest first.
#[derive(Debug, Default)]
pub(super) struct Carried {
    keys: VecDeque<Written>,
    /// How many were forgotten: the number of the first one.
    forgotten: u64,
    /// Those with a lower number have been written down again, since that was begun.
    again: Option<u64>,
}

fn ordinal(key: &Written) -> u64 {
    key.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

impl Carried {
    /// Adds the identity of an event, and forgets the oldest if there are more than the window holds.
    pub(super) fn push(&mut self, stored: &Stored<'_>, window: usize) -> Written {
        let key = write_key(stored);
        self.keys.push_back(key);
        while self.keys.len() > window {
            self.keys.pop_front();
            self.forgotten += 1;
        }
        key
    }

    /// Adds identities as a log has them: in any order, and some of them more than once.
    pub(super) fn restore(&mut self, keys: &[Written], window: usize) {
        self.keys.extend(keys);
        if self.keys.len() > 2 * window + (1 << 16) {
            self.settle(window);
        }
    }

    /// Puts identities that were restored in order, each once, and forgets those that are beyond the window.
    pub(super) fn settle(&mut self, window: usize) {
        let keys = self.keys.make_contiguous();
        keys.sort_unstable_by_key(ordinal);
        let mut keys = Vec::from(std::mem::take(&mut self.keys));
        keys.dedup_by_key(|key| ordinal(key));
        keys.drain(..keys.len().saturating_sub(window));
        self.keys = keys.into();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Written> {
        self.keys.iter()
    }

    /// Bytes of all of them.
    pub(super) fn bytes(&self) -> u64 {
        (self.keys.len() * KEY_BYTES) as u64
    }

    /// Begins to write all of them down again.
    pub(super) fn begin_again(&mut self) {
        self.again = Some(self.forgotten);
    }

    /// Whether they are being written down again.
    pub(super) fn is_again(&self) -> bool {
        self.again.is_some()
    }

    /// The next ones that are to be written down again, at most so many. None are left if there are fewer.
    pub(super) fn next_again(&mut self, most: usize) -> Vec<u8> {
        let Some(again) = self.again else { return Vec::new() };
        let from = again.saturating_sub(self.forgotten) as usize;
        let keys: Vec<u8> = self.keys.iter().skip(from).take(most).flatten().copied().collect();
        let found = keys.len() / KEY_BYTES;
        self.again = (found == most).then_some(self.forgotten + (from + found) as u64);
        keys
    }
}

/// The bytes of an identity in [`Fact::Keys`](super::fact::Fact::Keys).
fn write_key(stored: &Stored<'_>) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    let numbers = [stored.id, stored.prints.raw, stored.prints.body];
    let (ordinal, rest) = key.split_at_mut(8);
    ordinal.copy_from_slice(&stored.ordinal.to_le_bytes());
    for (place, number) in rest.chunks_exact_mut(16).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    key
}

pub(super) fn read_key(key: &[u8; KEY_BYTES]) -> Key {
    let (ordinal, rest) = key.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    let mut numbers = rest.as_chunks::<16>().0.iter().map(|number| u128::from_le_bytes(*number));
    let mut next = || numbers.next().unwrap_or(0);
    (u64::from_le_bytes(*ordinal), next(), Prints { raw: next(), body: next() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(ordinal: u64) -> Written {
        let mut key = [7; KEY_BYTES];
        key[..8].copy_from_slice(&ordinal.to_le_bytes());
        key
    }

    fn ordinals(carried: &Carried) -> Vec<u64> {
        carried.iter().map(ordinal).collect()
    }

    #[test]
    fn what_a_log_has_more_than_once_is_there_once_and_in_order() {
        let mut carried = Carried::default();
        carried.restore(&[key(5), key(3), key(4)], 3);
        carried.restore(&[key(3), key(9), key(5)], 3);
        carried.settle(3);
        assert_eq!(ordinals(&carried), [4, 5, 9]);
    }

    #[test]
    fn all_are_written_down_again_in_pieces_but_those_that_were_forgotten_meanwhile() {
        let mut carried = Carried::default();
        carried.restore(&(0..10).map(key).collect::<Vec<_>>(), 10);
        assert!(carried.next_again(4).is_empty());
        carried.begin_again();
        let ordinals = |bytes: Vec<u8>| -> Vec<u64> { bytes.as_chunks().0.iter().map(ordinal).collect() };
        assert_eq!(ordinals(carried.next_again(4)), [0, 1, 2, 3]);
        carried.keys.drain(..6);
        carried.forgotten = 6;
        carried.keys.push_back(key(10));
        assert_eq!(ordinals(carried.next_again(4)), [6, 7, 8, 9]);
        assert!(carried.is_again());
        assert_eq!(ordinals(carried.next_again(4)), [10]);
        assert!(!carried.is_again());
    }
}
