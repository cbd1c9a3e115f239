//! What is seen of an engine from outside, and what becomes certain by it.

use super::super::{Clock, Engine};
use super::oracle::Waiting;
use super::world::History;

impl History {
    /// Files that hold records.
    pub(super) fn logs(&self) -> Vec<String> {
        let names = self.machine.files().into_keys();
        names.filter(|name| name.strip_suffix(".log").is_some()).collect()
    }

    /// What has become certain. What a process says after its death nobody hears.
    pub(super) fn look(&mut self, engine: &Engine) {
        if self.is_over() {
            return;
        }
        if let Some((until, names)) = &self.held {
            let logs = self.logs();
            if let Some(gone) = names.iter().find(|name| !logs.contains(name)) {
                let found = Err(format!("{gone} left the disk while it was held"));
                self.check(found);
            } else if self.clock.now().steady_ms >= *until {
                self.held = None;
            }
        }
        let (done, failed) = Self::with(engine, |state| {
            let node = state.node.as_ref().unwrap();
            (node.done, node.failed.is_some())
        });
        if !failed {
            self.effects_written(done);
        }
        let settled = Self::with(engine, |state| self.model.settled(state));
        match settled {
            Ok(count) => self.counts.settled += count,
            Err(wrong) => self.check(Err(wrong)),
        }
        let waiting = std::mem::take(&mut self.model.waiting);
        for one in waiting {
            if one.receipt.ticket > done && !failed {
                self.model.waiting.push(one);
                continue;
            }
            self.acknowledged(engine, one);
        }
        let asked = std::mem::take(&mut self.model.asked);
        for (ticket, one) in asked {
            if failed {
                continue;
            }
            if ticket > done {
                self.model.asked.push((ticket, one));
                continue;
            }
            self.counts.answered += 1;
            self.tell(|| format!("answered {ticket}: {one:?}"));
            let found = Self::with(engine, |state| self.model.answered(state, &one));
            self.check(found);
        }
    }

    /// The disk has answered, or will not.
    fn acknowledged(&mut self, engine: &Engine, one: Waiting) {
        let Waiting { receipt, ids, raw, position } = one;
        if let Err(error) = engine.wait(&receipt, false) {
            self.counts.failed += 1;
            self.stuck = true;
            let text = error.to_string();
            self.tell(|| format!("failed {ids:?}: {text}"));
            if !self.machine.may_fail() || text.contains("promised") {
                self.check(Err(format!("failed without a fault: {text}")));
            }
            return;
        }
        self.tell(|| format!("acknowledged {ids:?} {position:?}"));
        self.counts.acknowledged += ids.len() as u64;
        for id in ids {
            if let Some(event) = self.model.event(id) {
                event.acked = true;
            }
        }
        if let Some(raw) = raw {
            let refused = self.model.refused.iter_mut().find(|refused| refused.raw == raw);
            if let Some(refused) = refused {
                refused.acked = true;
            }
        }
        if let Some(position) = position.filter(|_| !self.stuck) {
            self.model.position = self.model.position.max(position);
        }
    }
}
