//! What leaves the disk: segments that are finished and not kept, and facts that a checkpoint replaces.

use mfgroute_log::mutant::{self, Mutant};

use super::checkpoint::note_keys;
use super::clock::Now;
use super::config::StreamNo;
use super::fact::Fact;
use super::log::Freeing;
use super::node::{Later, room_for};
use super::state::{Life, State};
use super::stored::Stored;

/// How many identities are noted with one group, which waits for that.
const PIECE: usize = 1_024;

impl State {
    /// Begins to free what is finished and not kept, and writes a checkpoint when facts have become many. Both in
    /// pieces: everybody waits meanwhile.
    pub(super) fn make_room(&mut self, now: Now) {
        let Some(node) = &mut self.node else { return };
        node.more = false;
        if node.is_cramped() || self.life == Life::Closed {
            return;
        }
        for number in 0..self.streams.len() {
            self.make_room_in(number, now);
        }
        self.prepare_checkpoint(now);
    }

    fn make_room_in(&mut self, number: usize, now: Now) {
        let window = self.dedup.capacity() as u64;
        let Some(log) = self.streams.get_mut(number).and_then(|stream| stream.log.disk_mut()) else { return };
        let begun = log.freeing.filter(|freeing| freeing.noted < freeing.to);
        let Some(Freeing { noted, to }) = begun.or_else(|| {
            let to = log.spare_to()?;
            Some(Freeing { noted: log.store.first_seq().max(to.saturating_sub(window)), to })
        }) else {
            return;
        };
        let until = to.min(noted + PIECE as u64);
        log.freeing = Some(Freeing { noted: until, to });
        self.carry(number, noted, until);
        if until < to {
            self.flush(Vec::new(), now);
            self.node.iter_mut().for_each(|node| node.more = true);
            return;
        }
        // What a sink does not want leaves no fact of its own: without this it would look as if it had been lost.
        for sink in &mut self.sinks {
            sink.cursor(number as StreamNo).into_iter().for_each(|cursor| cursor.skip_to(to));
            self.facts.note(&Fact::Low { sink: sink.no, stream: number as StreamNo, seq: to });
        }
        self.flush(vec![Later::Free { stream: number as StreamNo, seq: to }], now);
        if mutant::is(Mutant::FreeEarly) {
            self.free(number as StreamNo, to);
        }
    }

    /// Notes the identities that are carried again, and then the checkpoint, once facts have become many.
    fn prepare_checkpoint(&mut self, now: Now) {
        let Some(node) = &mut self.node else { return };
        // Written down whole, facts take room and time: not before they are many, and twice what they come to.
        let due = node.since > (node.store.segment_bytes() / 2).max(2 * node.checkpoint);
        if !due
            || node.checkpointing
            || node.failed.is_some()
            || node.lossy
            || node.is_cramped()
            || node.store.room() < node.needs
        {
            return;
        }
        let from = *node.preparing.get_or_insert_with(|| {
            self.carried.begin_again();
            node.store.next_seq()
        });
        if self.carried.is_again() {
            note_keys(&self.carried.next_again(PIECE), &mut self.facts);
            self.flush(Vec::new(), now);
            self.node.iter_mut().for_each(|node| node.more = true);
            return;
        }
        let facts = self.checkpoint(now.wall_ms).frame;
        let keys = self.carried.bytes();
        let Some(node) = &mut self.node else { return };
        node.needs = room_for(&facts);
        if node.store.fits(&facts).is_err() {
            return;
        }
        (node.needs, node.preparing) = (0, None);
        (node.checkpointing, node.checkpoint) = (true, facts.bytes() as u64 + keys);
        node.note(facts, vec![Later::FreeFacts { seq: from }], now.wall_ms);
        node.since = 0;
        node.ticket += 1;
    }

    /// Notes the identities of the records of a stream that are about to leave it, as far as they are remembered.
    fn carry(&mut self, number: usize, first: u64, seq: u64) {
        let window = self.dedup.capacity();
        let Some(stream) = self.streams.get(number) else { return };
        let recent = self.ordinal.saturating_sub(window as u64);
        let mut keys = Vec::new();
        for record in (first..seq).filter_map(|seq| stream.read(seq)) {
            let stored = Stored::read(record.bytes());
            if stored.ordinal >= recent {
                keys.extend_from_slice(&self.carried.push(&stored, window));
            }
        }
        note_keys(&keys, &mut self.facts);
    }

    /// Lets go of records of a stream: what allows it is durable.
    pub(super) fn free(&mut self, stream: StreamNo, seq: u64) {
        let Some(found) = self.streams.get_mut(usize::from(stream)) else { return };
        let names = found.log.disk_mut().map(|log| log.free_to(seq)).unwrap_or_default();
        found.follow();
        self.retired.extend(names.into_iter().map(|name| (Some(stream), name)));
    }

    /// Lets go of facts before a checkpoint that is durable.
    pub(super) fn free_facts(&mut self, seq: u64) {
        let Some(node) = &mut self.node else { return };
        node.checkpointing = false;
        let names = node.store.free_to(seq);
        self.retired.extend(names.into_iter().map(|name| (None, name)));
    }
}
