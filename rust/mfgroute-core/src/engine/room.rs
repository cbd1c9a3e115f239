//! What leaves the disk: segments that are finished and not kept, and facts that a checkpoint replaces.

use mfgroute_log::mutant::{self, Mutant};

use super::checkpoint::note_keys;
use super::clock::Now;
use super::config::StreamNo;
use super::fact::Fact;
use super::node::{Later, room_for};
use super::open::write_key;
use super::state::State;
use super::stored::Stored;

impl State {
    /// Begins to free what is finished and not kept, and writes a checkpoint when facts have become many.
    pub(super) fn make_room(&mut self, now: Now) {
        for number in 0..self.streams.len() {
            let Some(log) = self.streams.get_mut(number).and_then(|stream| stream.log.disk_mut()) else {
                continue;
            };
            let Some(seq) = log.spare_to() else { continue };
            log.freeing = true;
            let first = log.store.first_seq();
            self.carry(number, first, seq);
            // What a sink does not want leaves no fact of its own: without this it would look as if it had been lost.
            for sink in &mut self.sinks {
                sink.cursor(number as StreamNo).into_iter().for_each(|cursor| cursor.skip_to(seq));
                self.facts.note(&Fact::Low { sink: sink.no, stream: number as StreamNo, seq });
            }
            self.flush(vec![Later::Free { stream: number as StreamNo, seq }], now);
            if mutant::is(Mutant::FreeEarly) {
                self.free(number as StreamNo, seq);
            }
        }
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
        let facts = self.checkpoint(now.wall_ms).frame;
        let Some(node) = &mut self.node else { return };
        let (seq, bytes) = (node.store.next_seq(), facts.bytes() as u64);
        node.needs = room_for(&facts);
        if node.store.fits(&facts).is_err() {
            return;
        }
        node.needs = 0;
        (node.checkpointing, node.checkpoint) = (true, bytes);
        node.note(facts, vec![Later::FreeFacts { seq }], now.wall_ms);
        node.since = 0;
        node.ticket += 1;
    }

    /// Notes the identities of the records of a stream that are about to leave it, as far as they are remembered.
    fn carry(&mut self, number: usize, first: u64, seq: u64) {
        let window = self.dedup.capacity() as u64;
        let Some(stream) = self.streams.get(number) else { return };
        let recent = self.ordinal.saturating_sub(window);
        let first = first.max(seq.saturating_sub(window));
        let mut keys = Vec::new();
        for record in (first..seq).filter_map(|seq| stream.read(seq)) {
            let stored = Stored::read(record.bytes());
            if stored.ordinal >= recent {
                self.carried.push_back(write_key(&stored));
                keys.extend_from_slice(&write_key(&stored));
            }
        }
        while self.carried.len() as u64 > window {
            self.carried.pop_front();
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
