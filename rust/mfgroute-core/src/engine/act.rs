//! What people ask of the engine: to pause, to look at what waits for them, and to decide.

use super::Engine;
use super::clock::Now;
use super::config::{SinkNo, SourceNo};
use super::journal::Action;
use super::parked::ParkedEvent;
use super::people::{ActError, Actor};
use super::source::RejectedMessage;
use super::state::State;
use super::trace::{Find, InboxLine, Trace};

impl Engine {
    /// Stops handing out events of a sink.
    pub fn pause(&self, sink: SinkNo, actor: Actor<'_>) -> Result<(), ActError> {
        self.act(|state, now| state.pause(sink, true, actor, now))
    }

    /// Hands out events of a sink again.
    pub fn resume(&self, sink: SinkNo, actor: Actor<'_>) -> Result<(), ActError> {
        self.act(|state, now| state.pause(sink, false, actor, now))
    }

    /// The parked events of a sink, in order of admission. Clones handles, not bytes.
    pub fn parked(&self, sink: SinkNo) -> Result<Vec<ParkedEvent>, ActError> {
        let now = self.inner.clock.now();
        self.lock().parked(sink, None, now)
    }

    /// As [`Engine::parked`], recorded.
    pub fn export_parked(&self, sink: SinkNo, actor: Actor<'_>) -> Result<Vec<ParkedEvent>, ActError> {
        self.act(|state, now| state.parked(sink, Some(actor), now))
    }

    /// Tries one parked event again. It must be the first of its key; those behind it flow when it is done.
    pub fn retry_parked(&self, sink: SinkNo, number: u64, actor: Actor<'_>) -> Result<(), ActError> {
        self.act(|state, now| state.retry(sink, number, actor, now))
    }

    /// Tries all parked events of a key again, in order; then the key flows. Returns how many.
    pub fn retry_key(&self, sink: SinkNo, key: &[u8], actor: Actor<'_>) -> Result<u64, ActError> {
        self.act(|state, now| state.retry_key(sink, key, actor, now))
    }

    /// Sets a parked event aside for good; those behind it flow. A reason is needed.
    pub fn skip_parked(
        &self,
        sink: SinkNo,
        number: u64,
        posted_as: Option<String>,
        actor: Actor<'_>,
    ) -> Result<(), ActError> {
        self.act(|state, now| state.skip(sink, number, posted_as, actor, now))
    }

    /// The rejected messages of a source that wait for a person, oldest first; with `answered`, those
    /// of which the sender knows.
    pub fn rejects(&self, source: SourceNo, answered: bool) -> Result<Vec<RejectedMessage>, ActError> {
        let state = self.lock();
        let source = state.sources.get(usize::from(source)).ok_or(ActError::NotInstalled)?;
        let messages = if answered { &source.answered } else { &source.kept };
        Ok(messages.iter().map(|message| source.shown(message)).collect())
    }

    /// The first rejected messages of a source that wait for a person, from a number on, and that somebody wants.
    pub fn rejects_from(
        &self,
        source: SourceNo,
        from: u64,
        count_max: usize,
        wanted: impl Fn(&RejectedMessage) -> bool,
    ) -> Result<Vec<RejectedMessage>, ActError> {
        let state = self.lock();
        let source = state.sources.get(usize::from(source)).ok_or(ActError::NotInstalled)?;
        let found = source.kept.from(from).filter(|message| wanted(message));
        Ok(found.take(count_max).map(|message| source.shown(message)).collect())
    }

    /// How many rejected messages of a source wait for a person that somebody wants.
    pub fn rejects_count(
        &self,
        source: SourceNo,
        wanted: impl Fn(&RejectedMessage) -> bool,
    ) -> Result<u64, ActError> {
        let state = self.lock();
        let source = state.sources.get(usize::from(source)).ok_or(ActError::NotInstalled)?;
        Ok(source.kept.iter().filter(|message| wanted(message)).count() as u64)
    }

    /// The number that the next rejected message gets.
    #[must_use]
    pub fn rejects_next(&self) -> u64 {
        self.lock().rejects_number
    }

    /// Takes a rejected message out because nobody wants it. A reason is needed.
    pub fn skip_reject(&self, source: SourceNo, number: u64, actor: Actor<'_>) -> Result<(), ActError> {
        self.act(|state, now| state.skip_reject(source, number, actor, now))
    }

    /// Everything that is still known of an event or a key, in order of admission.
    #[must_use]
    pub fn trace(&self, find: Find<'_>) -> Vec<Trace> {
        self.lock().trace(find)
    }

    /// Everything that waits for a person, oldest first.
    #[must_use]
    pub fn inbox(&self) -> Vec<InboxLine> {
        self.lock().inbox()
    }

    /// What people did, oldest first, as far back as the bound reaches.
    #[must_use]
    pub fn actions(&self) -> Vec<Action> {
        self.lock().journal.actions().cloned().collect()
    }

    pub(super) fn act<T>(
        &self,
        act: impl FnOnce(&mut State, Now) -> Result<T, ActError>,
    ) -> Result<T, ActError> {
        let now = self.inner.clock.now();
        let mut state = self.lock();
        let result = act(&mut state, now);
        let ticket = state.flush(Vec::new(), now);
        drop(state);
        let failed = self.wait_for(ticket).node.as_ref().is_some_and(|node| node.failed.is_some());
        self.inner.wake.all();
        if failed && ticket > 0 { result.and(Err(ActError::NotDurable)) } else { result }
    }
}
