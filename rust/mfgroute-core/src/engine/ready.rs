//! Events that may be handed out: those that go first, and the rest, which gets a turn now and then.

use std::collections::VecDeque;

use super::lanes::DeliveryId;

/// How many events in a row go first while one of the rest could go.
pub(super) const ROW_MAX: u32 = 8;

/// Two lists, each in the order in which its events became ready. An entry that may no longer go is passed over by whoever
/// takes it.
#[derive(Debug, Default)]
pub(super) struct Ready {
    first: List,
    rest: List,
    /// How many have gone first since one of the rest went.
    row: u32,
    /// How many entries there were.
    count: u64,
}

/// An entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) id: DeliveryId,
    /// It is on the list of those that go first.
    pub(super) first: bool,
    /// Its lane has a copy: it may go although the bound on parked events is reached.
    pub(super) copies: bool,
    /// Its place in the order of both lists.
    number: u64,
}

/// A list in two parts, so that what may go from a sink that is stopped is found without a look at the others.
#[derive(Debug, Default)]
struct List {
    copies: VecDeque<Entry>,
    others: VecDeque<Entry>,
}

impl List {
    fn part(&mut self, copies: bool) -> &mut VecDeque<Entry> {
        if copies { &mut self.copies } else { &mut self.others }
    }

    fn is_empty(&self, only_copies: bool) -> bool {
        self.copies.is_empty() && (only_copies || self.others.is_empty())
    }

    fn pop(&mut self, only_copies: bool) -> Option<Entry> {
        let number = |part: &VecDeque<Entry>| part.front().map_or(u64::MAX, |entry| entry.number);
        let copies = only_copies || number(&self.copies) < number(&self.others);
        self.part(copies).pop_front()
    }
}

impl Ready {
    /// Adds an event, which may go first, and whose lane may have a copy.
    pub(super) fn push(&mut self, id: DeliveryId, first: bool, copies: bool) {
        self.count += 1;
        let number = self.count;
        self.list(first).part(copies).push_back(Entry { id, first, copies, number });
    }

    /// Gives back what was taken last.
    pub(super) fn put_back(&mut self, entry: Entry) {
        self.list(entry.first).part(entry.copies).push_front(entry);
    }

    /// Whose turn it is; of those in whose lanes are copies if there is no room for others.
    pub(super) fn pop(&mut self, only_copies: bool) -> Option<Entry> {
        let none = |list: &List| list.is_empty(only_copies);
        let first = !none(&self.first) && (self.row < ROW_MAX || none(&self.rest));
        self.list(first).pop(only_copies)
    }

    /// The oldest of the rest.
    pub(super) fn pop_rest(&mut self) -> Option<Entry> {
        self.rest.pop(false)
    }

    /// Whether it is the turn of the rest, if there is any.
    pub(super) fn is_turn_of_rest(&self) -> bool {
        self.first.is_empty(false) || self.row >= ROW_MAX
    }

    /// Notes that an event was parked because it waits for another one: of a rest that can do no more, that is a turn.
    pub(super) fn parked(&mut self) {
        if self.rest.is_empty(false) {
            self.row = 0;
        }
    }

    /// Notes that an entry was handed out.
    pub(super) fn gone(&mut self, first: bool) {
        self.row = if first { self.row.saturating_add(1) } else { 0 };
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn list(&mut self, first: bool) -> &mut List {
        if first { &mut self.first } else { &mut self.rest }
    }

    /// All entries, in no order.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = DeliveryId> + '_ {
        let lists = [&self.first, &self.rest].into_iter();
        lists.flat_map(|list| list.copies.iter().chain(&list.others)).map(|entry| entry.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_stopped_sink_only_lanes_with_copies_are_looked_at_and_nothing_changes_its_place() {
        let mut ready = Ready::default();
        for (id, copies) in [(1, false), (2, true), (3, false), (4, true), (5, false)] {
            ready.push(DeliveryId(id), false, copies);
        }
        ready.push(DeliveryId(6), true, false);
        let mut pop = |only_copies| ready.pop(only_copies).map(|entry| entry.id.0);
        assert_eq!([pop(false), pop(false)], [Some(6), Some(1)], "what goes first, then by age");
        assert_eq!([pop(true), pop(true), pop(true)], [Some(2), Some(4), None]);
        assert_eq!([pop(false), pop(false), pop(false)], [Some(3), Some(5), None]);
    }
}
