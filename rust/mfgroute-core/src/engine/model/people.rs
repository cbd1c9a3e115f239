//! What people do in a model.

use super::super::{ActError, Cause, Edit, ParkedEvent};
use super::{Admitted, Fate, ME, Model};

impl Model {
    pub(super) fn act(&mut self, sink: u16, pick: usize, how: u8) {
        let parked = self.engine.parked(sink).unwrap();
        let picked = (!parked.is_empty()).then(|| &parked[pick % parked.len()]);
        match (how, picked) {
            (0, _) => self.engine.pause(sink, ME).unwrap(),
            (1, _) => self.engine.resume(sink, ME).unwrap(),
            (2, Some(event)) => {
                let _ = self.engine.retry_parked(sink, event.number, ME);
            }
            (3, Some(event)) => drop(self.engine.retry_key(sink, event.key(), ME).unwrap()),
            (4, Some(event)) => {
                self.engine.skip_parked(sink, event.number, None, ME).unwrap();
                self.set_final(sink, |other| other.stream == event.stream && other.seq == event.seq);
            }
            (5, Some(event)) => self.edit(sink, event),
            _ => assert!(self.engine.retry_parked(sink, 1 << 40, ME).is_err()),
        }
    }

    /// Another event takes the place of a parked one, unless that may have arrived.
    fn edit(&mut self, sink: u16, event: &ParkedEvent) {
        let edit = Edit { seen: event.id(), id: event.id().wrapping_add(1 << 100), record: b"edited" };
        let result = self.engine.edit_parked(sink, event.number, &edit, ME);
        if matches!(event.cause, Cause::InDoubt { .. }) {
            assert_eq!(result, Err(ActError::InDoubt));
            return;
        }
        assert_eq!(result, Ok(()));
        self.edited.insert((sink, event.stream, event.seq), edit.id);
        self.edits[usize::from(sink)] += 1;
        let again = self.engine.edit_parked(sink, event.number, &edit, ME);
        assert!(matches!(again, Err(ActError::Changed | ActError::NotFound)), "{again:?}");
    }

    pub(super) fn set_final(&mut self, sink: u16, which: impl Fn(&Admitted) -> bool) {
        for event in self.events.iter_mut().filter(|event| which(event)) {
            let fate = &mut event.fates[usize::from(sink)];
            *fate = fate.map(|_| Fate::Final);
        }
    }
}
