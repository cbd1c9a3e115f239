//! Admission: first decide everything, then look for room, then change anything.

use super::admission::{Admission, AdmitError, Counts, Event, Item, Level, Message, Offsets, Receipt};
use super::again::{Again, Retried};
use super::clock::Now;
use super::config::WhenFull;
use super::held::{Came, held};
use super::log::NoFit;
use super::source::{Refused, RejectedMessage, note_reject};
use super::state::{Draft, Life, NODE, State, Verdict};
use super::stored::{Fields, Stored};
use crate::dedup::Verdict as Seen;
use crate::reject::{Code, Reject};

impl State {
    /// Admits all messages or none; or of messages that were rejected before, those that are not rejected again.
    pub(super) fn admit(
        &mut self,
        admission: &Admission<'_>,
        again: Option<&Again<'_>>,
        now: Now,
    ) -> Result<Receipt, AdmitError> {
        if self.life != Life::Open {
            return Err(AdmitError::Closing);
        }
        self.check_numbers(admission)?;
        let mut draft = std::mem::take(&mut self.draft);
        draft.reset(self.streams.len(), self.ordinal);
        let items = admission.messages.iter().flat_map(|message| message.items);
        self.dedup.approach(items.filter_map(|item| match item {
            Item::Event(event) => Some(event.id),
            _ => None,
        }));
        for (index, message) in admission.messages.iter().enumerate() {
            let number = again.map(|again| again.at(index));
            let came = Came { source: admission.source, again: number, independent: message.independent };
            self.decide(&mut draft, index, message, came);
        }
        let result = self.look_for_room(&draft, admission, again.is_some());
        let result = result.map(|()| self.commit(&mut draft, admission, again, now));
        self.draft = draft;
        result
    }

    fn check_numbers(&self, admission: &Admission<'_>) -> Result<(), AdmitError> {
        let known_event = |event: &Event<'_>| {
            self.stream(event.stream).is_some() && event.sinks.iter().all(|&sink| self.sink(sink).is_some())
        };
        let known_item = |item: &Item<'_>| match item {
            Item::Event(event) => known_event(event),
            _ => true,
        };
        let source = self.sources.get(usize::from(admission.source)).is_some_and(|source| source.present);
        let items = admission.messages.iter().all(|message| message.items.iter().all(known_item));
        if source && items { Ok(()) } else { Err(AdmitError::NotInstalled) }
    }

    /// Decides what the items of a message come to, and adds the accepted ones to the frames.
    fn decide(&self, draft: &mut Draft, index: usize, message: &Message<'_>, came: Came) {
        let start = draft.verdicts.len();
        let mut refused = Refused { message: index, rejects: Vec::new() };
        for item in message.items {
            let verdict = match item {
                Item::Event(event) => self.judge(draft, came, event, &mut refused),
                Item::Filtered { .. } => Verdict::Filtered,
                Item::Dropped => Verdict::Dropped,
                Item::Reject(reject) => {
                    refused.rejects.push(Reject { message: index as u32, ..reject.clone() });
                    Verdict::Rejected(reject.code)
                }
            };
            draft.verdicts.push(verdict);
        }
        if message.items.is_empty() {
            let reject = Reject::new(Code::NoOutput, "nothing", "at least one event");
            refused.rejects.push(Reject { message: index as u32, ..reject });
        }
        let cause = refused.rejects.first().map(|reject| reject.code);
        if let (Some(code), false) = (cause, message.independent) {
            draft.withdraw(start, message, code);
        }
        self.hold_keys(draft, (start, message), came, &mut refused);
        if let Some(number) = came.again {
            let kept = self.is_kept(came.source, number);
            if !kept || cause.is_some() {
                return draft.leave(start, message, refused, kept);
            }
            draft.freed.push(number);
        }
        let mut counts = Counts { rejected: u64::from(message.items.is_empty()), ..Counts::default() };
        for (at, item) in (start..).zip(message.items) {
            let verdict = draft.verdicts.get(at).copied();
            if let (Some(Verdict::Accepted), Item::Event(event)) = (verdict, item) {
                let lane = self.lane(event.key);
                draft.append(event, lane);
            }
            count(&mut counts, verdict);
        }
        draft.messages.push(counts);
        draft.left.push(None);
        if cause.is_some() {
            draft.refused.push(refused);
        }
    }

    /// Whether an event is new, to the window and within its admission.
    fn judge(&self, draft: &mut Draft, came: Came, event: &Event<'_>, refused: &mut Refused) -> Verdict {
        let seen = match draft.ids.get(&event.id) {
            Some(first) => first.compare(&event.prints),
            None => self.dedup.check(event.id, &event.prints),
        };
        match seen {
            Seen::New if let Some(first) = self.waits_for(draft, came, event.key, refused) => {
                refused.rejects.push(held(first, event, refused.message as u32));
                Verdict::Rejected(Code::KeyHeld)
            }
            Seen::New => {
                draft.ids.insert(event.id, event.prints);
                Verdict::Accepted
            }
            Seen::Duplicate => Verdict::Duplicate,
            Seen::Conflict => {
                let found = format!("another content for the id {:032x}", event.id);
                let mut reject = Reject::new(Code::Conflict, found, "the content admitted first");
                (reject.message, reject.item) = (refused.message as u32, Some(event.item));
                refused.rejects.push(reject);
                Verdict::Rejected(Code::Conflict)
            }
        }
    }

    fn look_for_room(&self, draft: &Draft, admission: &Admission<'_>, again: bool) -> Result<(), AdmitError> {
        if let Some(why) = self.node.as_ref().and_then(|node| node.failed.clone()) {
            return Err(AdmitError::LogFailed { stream: NODE.to_owned(), why });
        }
        if self.node.as_ref().is_some_and(|node| node.is_cramped()) {
            return Err(AdmitError::NoDisk { stream: NODE.to_owned() });
        }
        for (stream, frame) in self.streams.iter().zip(&draft.frames).filter(|(_, frame)| !frame.is_empty()) {
            let name = || stream.config.name.clone();
            if let Some(why) = stream.failed() {
                return Err(AdmitError::LogFailed { stream: name(), why });
            }
            let drops = stream.config.when_full == WhenFull::DropOldest;
            let fits = match stream.log.fits(frame) {
                Err(NoFit::NoRoom) if drops => stream.log.fits_without(frame),
                other => other,
            };
            match fits {
                Err(NoFit::TooLarge) => return Err(AdmitError::TooLarge { stream: name() }),
                Err(NoFit::NoDisk) => return Err(AdmitError::NoDisk { stream: name() }),
                Err(NoFit::NoRoom) => {
                    return Err(AdmitError::StreamFull { stream: name(), sink: self.holder(stream) });
                }
                Ok(()) => {}
            }
        }
        let Some(source) = self.sources.get(usize::from(admission.source)) else { return Ok(()) };
        let kept = || draft.refused.iter().filter(|refused| refused.is_kept(admission.sync));
        if again || kept().next().is_none() {
            return Ok(());
        }
        let weight =
            |refused: &Refused| admission.messages.get(refused.message).map_or(0, |m| refused.bytes(m));
        let (count, bytes) = (kept().count() as u64, kept().map(weight).sum::<u64>());
        let name = source.config.name.clone();
        let bound = source.config.rejects_max;
        if !bound.holds(count, bytes) {
            return Err(AdmitError::RejectsTooLarge { source: name });
        }
        if !bound.holds(source.kept.len() + count, source.kept.bytes() + bytes) {
            return Err(AdmitError::RejectsFull { source: name });
        }
        Ok(())
    }

    /// The sink with the largest backlog among those that owe the oldest unfinished record.
    fn holder(&self, stream: &super::stream::Stream) -> Option<String> {
        let seq = stream.log.finished_seq();
        let number = self.streams.iter().position(|other| std::ptr::eq(other, stream))?;
        let record = stream.log.get(seq)?;
        let stored = Stored::read(record.bytes());
        let owing = stored
            .sinks()
            .filter_map(|no| self.sink(no))
            .filter(|sink| sink.cursors.get(number).is_some_and(|cursor| !cursor.is_finished(seq)));
        owing.max_by_key(|sink| sink.counts.queued).map(|sink| sink.config.name.clone())
    }

    fn commit(
        &mut self,
        draft: &mut Draft,
        admission: &Admission<'_>,
        again: Option<&Again<'_>>,
        now: Now,
    ) -> Receipt {
        self.ordinal = draft.ordinal;
        for number in 0..draft.frames.len() {
            self.append(draft, number, now);
        }
        self.count_items(draft, admission);
        let (level, streams) = self.level(admission);
        let mut receipt = Receipt { messages: draft.messages.clone(), level, streams, ..Receipt::default() };
        for counts in &draft.messages {
            receipt.counts.add(counts);
        }
        receipt.offsets.clone_from(&draft.offsets);
        if let Some(again) = again {
            receipt.rejects = self.retake(draft, admission.source, again, now);
        }
        for refused in draft.refused.drain(..) {
            receipt.rejects.extend_from_slice(&refused.rejects);
            let Some(message) = admission.messages.get(refused.message) else { continue };
            let answered = !refused.is_kept(admission.sync);
            let kept = RejectedMessage {
                number: self.rejects_number,
                at_ms: now.wall_ms,
                rejects: refused.rejects,
                behind: None,
                raw: message.raw.into(),
                meta: message.meta.to_json().into(),
            };
            self.rejects_number += 1;
            if !answered {
                note_reject(&mut self.after, admission.source, &kept);
            }
            let Some(source) = self.source_mut(admission.source) else { continue };
            if answered { source.answer(kept) } else { source.keep(kept) }
        }
        self.flush(Vec::new(), now);
        self.send_after(admission, &receipt.offsets);
        receipt.ticket = self.node.as_mut().map_or(0, |node| {
            node.ticket += 1;
            node.ticket
        });
        receipt
    }

    /// What an admission says besides its events follows them to the disk.
    fn send_after(&mut self, admission: &Admission<'_>, offsets: &[Offsets]) {
        let position = admission.position.filter(|_| self.is_durable());
        let durable =
            |offsets: &&Offsets| self.stream(offsets.stream).is_some_and(|stream| stream.config.durable);
        let streams =
            offsets.iter().filter(durable).map(|offsets| (offsets.stream, offsets.last + 1)).collect();
        self.flush_after(streams, position.map(|position| (admission.source, position.into())));
    }

    /// The level that an admission reaches by waiting, the lowest of the streams that its events name; and the durable
    /// ones of these. A duplicate counts as well: it is acknowledged when the first of its kind is.
    fn level(&self, admission: &Admission<'_>) -> (Level, Vec<u16>) {
        let mut streams = Vec::new();
        if !self.is_durable() {
            return (Level::Memory, streams);
        }
        for item in admission.messages.iter().flat_map(|message| message.items) {
            if let Item::Event(event) = item
                && !streams.contains(&event.stream)
            {
                streams.push(event.stream);
            }
        }
        let durable = |&no: &u16| self.stream(no).is_some_and(|stream| stream.config.durable);
        let level = if streams.iter().all(durable) { Level::Durable } else { Level::Memory };
        streams.retain(durable);
        (level, streams)
    }

    /// Appends the frame of one stream, which fits, if need be once older events are dropped.
    fn append(&mut self, draft: &mut Draft, number: usize, now: Now) {
        let Some(frame) = draft.frames.get(number).filter(|frame| !frame.is_empty()) else { return };
        while self.streams.get(number).is_some_and(|stream| stream.log.fits(frame) == Err(NoFit::NoRoom)) {
            self.drop_oldest(number, now);
        }
        let Some(stream) = self.streams.get_mut(number) else { return };
        let Some(first) = stream.log.append(frame, now.wall_ms) else { return };
        stream.appended(frame.records().map(|bytes| Stored::read(bytes).sinks().count() as u16));
        let last = first + frame.len() as u64 - 1;
        draft.offsets.push(Offsets { stream: number as u16, first, last });
        for sink in frame.records().flat_map(|bytes| Stored::read(bytes).sinks()) {
            if let Some(sink) = self.sinks.get_mut(usize::from(sink)) {
                sink.counts.matched += 1;
                sink.counts.queued += 1;
            }
        }
    }

    /// Gives up the oldest unfinished event of a stream, at every sink that has not finished it.
    fn drop_oldest(&mut self, number: usize, now: Now) {
        let Some(stream) = self.streams.get_mut(number) else { return };
        let seq = stream.log.finished_seq();
        if let Some(record) = stream.log.get(seq) {
            let stored = Stored::read(record.bytes());
            for sink in stored.sinks() {
                if let Some(sink) = self.sinks.get_mut(usize::from(sink)) {
                    sink.lose(number as u16, seq, &stored, now, &mut self.journal);
                }
            }
        }
        stream.drop_oldest();
    }

    fn count_items(&mut self, draft: &Draft, admission: &Admission<'_>) {
        let Some(source) = self.sources.get_mut(usize::from(admission.source)) else { return };
        let counts = &mut source.counts;
        let mut verdicts = draft.verdicts.iter();
        for (message, left) in admission.messages.iter().zip(&draft.left) {
            if left.is_some() {
                verdicts.by_ref().take(message.items.len()).for_each(drop);
                continue;
            }
            counts.messages += 1;
            counts.received += message.items.len().max(1) as u64;
            if message.items.is_empty() {
                counts.reject(Code::NoOutput);
            }
            for (item, verdict) in message.items.iter().zip(&mut verdicts) {
                match (verdict, item) {
                    (Verdict::Accepted, Item::Event(event)) => {
                        counts.accept(event.kind);
                        counts.unrouted += u64::from(event.sinks.is_empty());
                        self.dedup.insert(event.id, event.prints);
                    }
                    (Verdict::Duplicate, _) => counts.duplicates += 1,
                    (Verdict::Rejected(code), _) => counts.reject(*code),
                    (Verdict::Filtered, Item::Filtered { rule }) => counts.filter(rule),
                    _ => counts.dropped += 1,
                }
            }
        }
    }
}

fn count(counts: &mut Counts, verdict: Option<Verdict>) {
    match verdict {
        Some(Verdict::Accepted) => counts.accepted += 1,
        Some(Verdict::Duplicate) => counts.duplicates += 1,
        Some(Verdict::Rejected(_)) => counts.rejected += 1,
        Some(Verdict::Filtered) => counts.filtered += 1,
        Some(Verdict::Dropped) => counts.dropped += 1,
        None => {}
    }
}

impl Draft {
    fn reset(&mut self, streams: usize, ordinal: u64) {
        self.verdicts.clear();
        self.messages.clear();
        self.refused.clear();
        self.left.clear();
        self.freed.clear();
        self.held.clear();
        self.offsets.clear();
        self.ids.clear();
        self.frames.resize_with(streams, mfgroute_log::Frame::new);
        self.frames.iter_mut().for_each(mfgroute_log::Frame::clear);
        self.ordinal = ordinal;
    }

    /// Rejects what is not rejected yet of a message that is refused as a whole.
    fn withdraw(&mut self, start: usize, message: &Message<'_>, code: Code) {
        for (verdict, item) in self.verdicts.iter_mut().skip(start).zip(message.items) {
            if let (Verdict::Accepted, Item::Event(event)) = (*verdict, item) {
                self.ids.remove(&event.id);
            }
            if !matches!(verdict, Verdict::Rejected(_)) {
                *verdict = Verdict::Rejected(code);
            }
        }
    }

    /// Leaves a message where it is that was rejected before: nothing of it is admitted or counted.
    fn leave(&mut self, start: usize, message: &Message<'_>, refused: Refused, kept: bool) {
        self.withdraw(start, message, Code::NoOutput);
        self.messages.push(Counts::default());
        self.left.push(Some(if kept { Retried::Refused } else { Retried::Gone }));
        if kept {
            self.refused.push(refused);
        }
    }

    fn append(&mut self, event: &Event<'_>, lane: u64) {
        let Event { id, prints, sinks, key, record: body, .. } = *event;
        let fields = Fields { id, prints, ordinal: self.ordinal, lane, sinks, key, body };
        self.ordinal += 1;
        if let Some(frame) = self.frames.get_mut(usize::from(event.stream)) {
            frame.push_with(|out| fields.write(out));
        }
    }
}
