//! How far a reader has come.

use std::collections::VecDeque;

/// How far a cursor may run ahead of its low mark unless it is told otherwise.
pub const DISTANCE_MAX: u64 = 100_000;

/// Everything below the low mark is finished; above it, single sequence numbers are.
///
/// The distance from the low mark to the newest sequence number taken is bounded, and so is the
/// memory of a cursor: one bit for each number in between.
#[derive(Clone, Debug)]
pub struct Cursor {
    low: u64,
    next: u64,
    distance_max: u64,
    /// Nothing from here on is finished.
    top: u64,
    /// Bits of the finished numbers from `low` rounded down to a multiple of 64.
    words: VecDeque<u64>,
}

impl Cursor {
    /// A cursor that starts at `seq` and runs at most `distance_max` (at least 1) ahead.
    #[must_use]
    pub fn new(seq: u64, distance_max: u64) -> Self {
        Self { low: seq, next: seq, distance_max: distance_max.max(1), top: seq, words: VecDeque::new() }
    }

    /// Marks a number as finished that an earlier life of the reader took; it will not be given again.
    pub fn restore(&mut self, seq: u64) {
        if seq < self.low || self.is_finished(seq) {
            return;
        }
        self.set(seq);
        self.pass();
    }

    /// The numbers above the low mark that are finished, in order.
    pub fn finished_above(&self) -> impl Iterator<Item = u64> {
        (self.low..self.top).filter(|&seq| self.is_finished(seq))
    }

    /// Goes past numbers that are finished already.
    fn pass(&mut self) {
        self.next = self.next.max(self.low);
        while self.next < self.top && self.is_finished(self.next) {
            self.next += 1;
        }
    }

    /// The oldest sequence number that is not finished.
    #[must_use]
    pub fn low(&self) -> u64 {
        self.low
    }

    /// The sequence number that [`take`](Cursor::take) gives next.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Whether the bound on the distance allows to take one more.
    #[must_use]
    pub fn has_reach(&self) -> bool {
        self.next - self.low < self.distance_max
    }

    /// Takes the next sequence number, unless the bound forbids it.
    pub fn take(&mut self) -> Option<u64> {
        self.has_reach().then(|| self.retake())
    }

    /// Takes the next sequence number, however far it is: one that was taken in an earlier life, when the bound allowed it.
    pub fn retake(&mut self) -> u64 {
        let taken = self.next;
        self.next += 1;
        self.pass();
        taken
    }

    /// Marks a number that was taken as finished. Says whether it was open until now.
    pub fn finish(&mut self, seq: u64) -> bool {
        if seq >= self.next || self.is_finished(seq) {
            return false;
        }
        if seq == self.low && self.words.is_empty() {
            self.low += 1;
            self.top = self.top.max(self.low);
            return true;
        }
        self.set(seq);
        true
    }

    fn set(&mut self, seq: u64) {
        self.top = self.top.max(seq + 1);
        let (word, bit) = self.place(seq);
        while self.words.len() <= word {
            self.words.push_back(0);
        }
        if let Some(bits) = self.words.get_mut(word) {
            *bits |= 1 << bit;
        }
        self.advance();
    }

    /// Whether a number is finished.
    #[must_use]
    pub fn is_finished(&self, seq: u64) -> bool {
        if seq < self.low {
            return true;
        }
        let (word, bit) = self.place(seq);
        self.words.get(word).is_some_and(|bits| bits >> bit & 1 == 1)
    }

    /// Declares everything below `seq` finished, taken or not.
    pub fn skip_to(&mut self, seq: u64) {
        if seq <= self.low {
            return;
        }
        let (word, _) = self.place(seq);
        self.words.drain(..word.min(self.words.len()));
        self.low = seq;
        self.next = self.next.max(seq);
        self.top = self.top.max(seq);
        self.advance();
        self.pass();
    }

    fn place(&self, seq: u64) -> (usize, u32) {
        ((seq / 64 - self.low / 64) as usize, (seq % 64) as u32)
    }

    fn advance(&mut self) {
        while let Some(&bits) = self.words.front() {
            let bit = (self.low % 64) as u32;
            let run = (bits >> bit).trailing_ones();
            self.low += u64::from(run);
            if bit + run < 64 {
                break;
            }
            self.words.pop_front();
        }
        if self.low == self.top {
            self.words.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cursor_never_runs_further_ahead_than_its_bound() {
        let mut cursor = Cursor::new(5, 3);
        assert_eq!(
            (cursor.take(), cursor.take(), cursor.take(), cursor.take()),
            (Some(5), Some(6), Some(7), None)
        );
        assert!(cursor.finish(6));
        assert_eq!(cursor.take(), None);
        assert!(cursor.finish(5));
        assert_eq!((cursor.low(), cursor.take()), (7, Some(8)));
    }

    #[test]
    fn a_number_is_finished_once_and_only_after_it_was_taken() {
        let mut cursor = Cursor::new(0, 10);
        assert!(!cursor.finish(0));
        cursor.take();
        assert!(cursor.finish(0));
        assert!(!cursor.finish(0));
    }

    proptest! {
        #[test]
        fn a_restored_cursor_gives_exactly_what_is_not_finished(
            start in 0_u64..200,
            finished in prop::collection::btree_set(0_u64..300, 0..200),
        ) {
            let mut cursor = Cursor::new(start, 1_000);
            for &seq in &finished {
                cursor.restore(start + seq);
            }
            let above: Vec<u64> = cursor.finished_above().collect();
            let mut open = Vec::new();
            while open.last().is_none_or(|&last| last < start + 320) {
                open.extend(cursor.take());
            }
            let expected: Vec<u64> = (start..=open[open.len() - 1]).filter(|seq| !finished.contains(&(seq - start))).collect();
            prop_assert_eq!(&open, &expected);
            prop_assert!(above.iter().all(|seq| finished.contains(&(seq - start))));
            for seq in open {
                prop_assert!(cursor.finish(seq));
            }
            prop_assert_eq!(cursor.low(), cursor.next());
        }

        #[test]
        fn a_cursor_agrees_with_a_set(
            start in 0_u64..200,
            steps in prop::collection::vec((0_u8..8, 0_u64..300), 1..600),
        ) {
            let mut cursor = Cursor::new(start, 200);
            let (mut low, mut next) = (start, start);
            let mut done = BTreeSet::new();
            for (action, offset) in steps {
                match action {
                    0..=3 => {
                        let expected = (next - low < 200).then_some(next);
                        prop_assert_eq!(cursor.take(), expected);
                        next += u64::from(expected.is_some());
                    }
                    4..=6 => {
                        let seq = low + offset % 200;
                        let open = seq < next && done.insert(seq);
                        prop_assert_eq!(cursor.finish(seq), open);
                    }
                    _ => {
                        let seq = low + offset % 70;
                        cursor.skip_to(seq);
                        done.extend(low..seq);
                        next = next.max(seq);
                    }
                }
                while done.remove(&low) {
                    low += 1;
                }
                prop_assert_eq!((cursor.low(), cursor.next()), (low, next));
                for seq in low.saturating_sub(3)..next + 70 {
                    prop_assert_eq!(cursor.is_finished(seq), seq < low || done.contains(&seq), "{}", seq);
                }
            }
        }
    }
}
