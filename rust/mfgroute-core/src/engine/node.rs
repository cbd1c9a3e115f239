//! The node's own log: facts on their way to the disk, and what is done once they are there.

use std::collections::VecDeque;
use std::sync::Arc;

use mfgroute_log::{Frame, NoRoom, Record, Store};

use crate::stats::Durations;

use super::config::{SinkNo, SourceNo, StreamNo};
use super::lanes::DeliveryId;
use super::settle::Decision;

/// What is done once the facts before it are durable.
#[derive(Debug)]
pub(super) enum Later {
    /// A delivery is settled.
    Settle { sink: SinkNo, id: DeliveryId, decision: Decision },
    /// Parked events are tried again.
    Retry { sink: SinkNo, numbers: Vec<u64> },
    /// A parked event is set aside.
    Skip { sink: SinkNo, number: u64, reason: String, posted_as: Option<String> },
    /// Another event takes the place of a parked one.
    Edit { sink: SinkNo, number: u64, record: Record },
    /// Lines of effects at a sink are shown, up to a number.
    Show { sink: SinkNo, upto: u64 },
    /// Records of a stream leave the disk.
    Free { stream: StreamNo, seq: u64 },
    /// Facts before a checkpoint leave the disk.
    FreeFacts { seq: u64 },
}

/// Facts about an admission, which are written once its events are durable.
#[derive(Debug)]
pub(super) struct After {
    /// Streams with the number behind the last record of the admission.
    pub(super) streams: Vec<(StreamNo, u64)>,
    pub(super) facts: Frame,
    /// How far the source has read with it.
    pub(super) position: Option<(SourceNo, Arc<[u8]>)>,
}

/// The node's own log under the lock.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) store: Store,
    /// Facts for which the log has no room yet.
    backlog: VecDeque<(Frame, Vec<Later>)>,
    later: VecDeque<(u64, Later)>,
    /// What is freed once the facts below a number are attested: rot in the last record must not cost what it frees.
    frees: VecDeque<(u64, Later)>,
    pub(super) after: Vec<After>,
    /// What was said of an admission was dropped with its events, so the state says more than the facts: it is not
    /// written down as a checkpoint.
    pub(super) lossy: bool,
    /// Why nothing is taken any more.
    pub(super) failed: Option<String>,
    /// Bytes of facts since the last checkpoint, and of that checkpoint.
    pub(super) since: u64,
    pub(super) checkpoint: u64,
    pub(super) checkpointing: bool,
    /// Facts from here on stay behind the checkpoint that is being prepared.
    pub(super) preparing: Option<u64>,
    /// There is more to do of what is done in pieces, with the next group.
    pub(super) more: bool,
    /// Room that the next checkpoint needs, with what goes to waste at the ends of segments.
    pub(super) needs: u64,
    /// Everything that was noted before a call got this number is durable once `done` reaches it.
    pub(super) ticket: u64,
    pub(super) done: u64,
    /// All events that were admitted before a call got this number are durable once `synced` reaches it.
    pub(super) synced: u64,
    /// How long groups took to become durable.
    pub(super) commits: Durations,
}

impl Node {
    pub(super) fn new(store: Store, since: u64) -> Self {
        Self {
            store,
            backlog: VecDeque::new(),
            later: VecDeque::new(),
            frees: VecDeque::new(),
            after: Vec::new(),
            lossy: false,
            failed: None,
            since,
            checkpoint: 0,
            checkpointing: false,
            preparing: None,
            more: false,
            needs: 0,
            ticket: 0,
            done: 0,
            synced: 0,
            commits: Durations::default(),
        }
    }

    /// Takes facts in, and what is to be done once they are durable.
    pub(super) fn note(&mut self, facts: Frame, later: Vec<Later>, at_ms: u64) {
        self.backlog.push_back((facts, later));
        self.pass_on(at_ms);
    }

    /// Appends what there is room for.
    pub(super) fn pass_on(&mut self, at_ms: u64) {
        while let Some((facts, _)) = self.backlog.front() {
            match if facts.is_empty() { Ok(0) } else { self.store.append(facts, at_ms) } {
                Ok(_) => {}
                Err(NoRoom::Later) => return,
                Err(NoRoom::TooLarge) => {
                    self.failed = Some("a record is larger than a segment of the node's own log".to_owned());
                    return;
                }
            }
            let Some((facts, later)) = self.backlog.pop_front() else { return };
            self.since += facts.bytes() as u64;
            let end = self.store.next_seq();
            for later in later {
                let frees = matches!(later, Later::Free { .. } | Later::FreeFacts { .. });
                let queue = if frees { &mut self.frees } else { &mut self.later };
                queue.push_back((end, later));
            }
        }
    }

    /// Room that must be made ready beyond the usual: for the next checkpoint, or for facts that wait for it.
    pub(super) fn wanted(&self) -> u64 {
        self.needs.max(self.backlog.front().map_or(0, |(facts, _)| room_for(facts)))
    }

    /// Whether facts wait for room, so that nothing more is to be admitted.
    pub(super) fn is_cramped(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Everything that is still to be done.
    pub(super) fn laters(&self) -> impl Iterator<Item = &Later> {
        self.later.iter().map(|(_, later)| later).chain(self.backlog.iter().flat_map(|(_, later)| later))
    }

    /// The next thing to do whose facts are durable.
    pub(super) fn next_later(&mut self) -> Option<Later> {
        let durable = self.store.durable();
        let sealed = self.store.sealed();
        let due =
            |queue: &VecDeque<(u64, Later)>, reached| queue.front().is_some_and(|(end, _)| *end <= reached);
        let next = if due(&self.later, durable) {
            self.later.pop_front()
        } else if due(&self.frees, sealed) {
            self.frees.pop_front()
        } else {
            None
        };
        next.map(|(_, later)| later)
    }

    /// Whether something is to be written, or done.
    pub(super) fn has_work(&self) -> bool {
        let waits = self.ticket > self.synced || (self.ticket > self.done && !self.is_cramped());
        self.store.has_pending() || !self.after.is_empty() || waits || self.more
    }
}

/// Room that facts take in segments: pieces of a quarter of a segment leave at most a third of each empty.
pub(super) fn room_for(facts: &Frame) -> u64 {
    (facts.bytes() as u64 + 8 * facts.len() as u64) * 3 / 2 + (1 << 16)
}
