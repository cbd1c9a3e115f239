//! Admitting messages that were rejected before: in one step they become events and are no rejects any more.

use super::Engine;
use super::admission::{Admission, AdmitError, Receipt};
use super::clock::Now;
use super::config::SourceNo;
use super::fact::Fact;
use super::people::Actor;
use super::source::write_rejects;
use super::state::{Draft, State};
use crate::reject::Reject;

/// The rejected messages that an admission brings again.
#[derive(Clone, Copy, Debug)]
pub struct Again<'a> {
    /// Their numbers, one for each message of the admission, in order.
    pub numbers: &'a [u64],
    /// The bytes are those of the rejected messages, not corrected ones: what is found now is why they are rejected.
    pub same: bool,
    /// Who wants it, and the verb that is recorded for each: `rejects retry`, `rejects edit`. Nothing is recorded of
    /// messages that only waited for another one.
    pub actor: Option<(&'static str, Actor<'a>)>,
}

impl Again<'_> {
    /// The number of a message of the admission; none that any message has if it has none.
    pub(super) fn at(&self, index: usize) -> u64 {
        self.numbers.get(index).copied().unwrap_or(u64::MAX)
    }
}

/// What became of a rejected message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retried {
    /// It was admitted as new, and is no reject any more.
    Admitted,
    /// It was rejected again, and is where it was.
    Refused,
    /// Somebody else had taken it out before; nothing was admitted.
    Gone,
}

impl Engine {
    /// Admits rejected messages again, as new, in the order given. One with an item that is rejected again stays where
    /// it is, as if nobody had tried. The others are admitted all or not at all, and with that they are taken out: on
    /// a disk not before their events are durable, so that a crash in between leaves both, and the next try finds
    /// duplicates.
    ///
    /// # Errors
    ///
    /// As [`Engine::admit`].
    pub fn admit_again(
        &self,
        admission: &Admission<'_>,
        again: &Again<'_>,
    ) -> Result<(Receipt, Vec<Retried>), AdmitError> {
        let now = self.inner.clock.now();
        let mut state = self.lock();
        let receipt = state.admit(admission, Some(again), now)?;
        let retried = state.draft.left.iter().map(|left| left.unwrap_or(Retried::Admitted)).collect();
        drop(state);
        self.admitted(&receipt);
        self.inner.wake.room();
        Ok((receipt, retried))
    }
}

impl State {
    /// Whether a message is still rejected.
    pub(super) fn is_kept(&self, source: SourceNo, number: u64) -> bool {
        let source = self.sources.get(usize::from(source));
        source.is_some_and(|source| source.kept.get(number).or(source.answered.get(number)).is_some())
    }

    /// Takes the messages out that were admitted again, and records all. Returns why the others were rejected.
    pub(super) fn retake(
        &mut self,
        draft: &mut Draft,
        source: SourceNo,
        again: &Again<'_>,
        now: Now,
    ) -> Vec<Reject> {
        let name = self.sources.get(usize::from(source)).map(|source| source.config.name.clone());
        let name = name.unwrap_or_default();
        let mut refused = draft.refused.drain(..);
        let mut rejects = Vec::new();
        for (&number, left) in again.numbers.iter().zip(&draft.left) {
            let on = match left {
                None => {
                    self.take_reject(source, number);
                    format!("{name} {number}")
                }
                Some(Retried::Gone | Retried::Admitted) => continue,
                Some(Retried::Refused) => {
                    let found = refused.next().map(|refused| refused.rejects).unwrap_or_default();
                    let code = found.first().map_or("", |reject| reject.code.as_str());
                    let on = format!("{name} {number}, rejected again: {code}");
                    if again.same {
                        self.explain(source, number, &found);
                    }
                    rejects.extend(found);
                    on
                }
            };
            if let Some((what, actor)) = again.actor {
                self.note(what, on, actor, now);
            }
        }
        rejects
    }

    /// Says anew why a message is rejected, if that is another cause.
    fn explain(&mut self, source: SourceNo, number: u64, found: &[Reject]) {
        let no = source;
        let Some(source) = self.sources.get_mut(usize::from(no)) else { return };
        let Some(kept) = source.kept.get(number) else { return };
        let message = kept.rejects.first().map_or(0, |reject| reject.message);
        let found: Vec<Reject> = found.iter().map(|reject| Reject { message, ..reject.clone() }).collect();
        if found != kept.rejects {
            self.after.note(&Fact::Explained { source: no, number, rejects: &write_rejects(&found) });
            source.kept.explain(number, found);
        }
    }

    /// Takes a rejected message out, to be written behind the events of the admission under way. Says whether it was
    /// there.
    pub(super) fn take_reject(&mut self, source: SourceNo, number: u64) -> bool {
        let no = source;
        let Some(source) = self.sources.get_mut(usize::from(no)) else { return false };
        let found = source.kept.take(number).or_else(|| source.answered.take(number)).is_some();
        if found {
            self.after.note(&Fact::Taken { source: no, number });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Rig, config};
    use super::super::{Attributes, Item, Message};
    use super::*;
    use crate::reject::Code;

    const ME: Actor<'static> = Actor { who: "me", why: "mended" };

    fn again(rig: &Rig, numbers: &[u64], items: &[Vec<Item<'_>>]) -> (Receipt, Vec<Retried>) {
        let message = |items| Message { raw: b"raw", meta: Attributes::Json(b""), independent: true, items };
        let messages: Vec<Message<'_>> = items.iter().map(|items| message(items)).collect();
        let admission = Admission { source: 0, sync: false, messages: &messages, position: None };
        let again = Again { numbers, same: true, actor: Some(("rejects retry", ME)) };
        let answer = rig.engine.admit_again(&admission, &again).unwrap();
        assert_eq!(rig.engine.stats().unaccounted, 0);
        answer
    }

    #[test]
    fn what_is_rejected_again_stays_uncounted_and_the_rest_goes() {
        let rig = Rig::new(&config(&["sap"]));
        let bad = || Item::Reject(Reject::new(Code::LookupMissing, "", ""));
        for _ in 0..3 {
            rig.admit(&[bad()]).unwrap();
        }
        let items = vec![
            vec![rig.event("a", &[0])],
            vec![rig.event("b", &[0]), bad()],
            vec![],
            vec![rig.event("c", &[0])],
        ];
        let (receipt, retried) = again(&rig, &[0, 1, 2, 7], &items);
        assert_eq!(retried, [Retried::Admitted, Retried::Refused, Retried::Refused, Retried::Gone]);
        assert_eq!((receipt.counts.accepted, receipt.counts.rejected), (1, 0));
        let codes: Vec<_> = receipt.rejects.iter().map(|reject| (reject.message, reject.code)).collect();
        assert_eq!(codes, [(1, Code::LookupMissing), (2, Code::NoOutput)]);
        let kept: Vec<u64> = rig.engine.rejects(0, false).unwrap().iter().map(|kept| kept.number).collect();
        assert_eq!(kept, [1, 2]);
        assert_eq!(rig.poll(0).iter().map(|one| one.key().to_vec()).collect::<Vec<_>>(), [b"a"]);
        let stats = rig.engine.stats();
        assert_eq!(
            (stats.sources[0].received, stats.sources[0].messages),
            (4, 4),
            "three rejects, one event"
        );
        let done: Vec<_> = rig.engine.actions().into_iter().map(|act| (act.on, act.why)).collect();
        assert_eq!(done.len(), 3, "what was gone was not retried: {done:?}");
        assert_eq!(done[0], ("mes 0".to_owned(), "mended".to_owned()));
        assert_eq!(done[1].0, "mes 1, rejected again: lookup_missing");
    }
}
