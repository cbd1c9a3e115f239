//! Writing: groups of frames with one sync each, and the segments they go to.
//! What makes segments ready, and takes them away, is the [`Keeper`](crate::Keeper).

use std::io;
use std::sync::Arc;

use crate::Options;
use crate::chance::Chance;
use crate::disk::Disk;
use crate::error::Poisoned;
use crate::format::{self, HEAD, Head};
use crate::keeper::Spare;
use crate::mutant::{self, Mutant};
use crate::recover::Active;
use crate::segment::{self, INDEX_STEP, Segment};
use crate::store::Pending;

/// What a group has made durable.
#[derive(Default)]
pub struct Written {
    /// Records below are durable.
    pub durable: u64,
    /// Records below are attested by a later durable frame.
    pub sealed: u64,
    /// Segments that were begun, in order.
    pub(crate) begun: Vec<Segment>,
    /// Index entries of the segment that was active before, and of those begun: which segment counts from 0.
    pub(crate) index: Vec<(usize, u64, u64)>,
    /// Bytes of frames.
    pub bytes: u64,
    /// How often the disk was asked to sync.
    pub syncs: u64,
}

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { durable, sealed, bytes, syncs, .. } = self;
        write!(f, "Written {{ durable: {durable}, sealed: {sealed}, bytes: {bytes}, syncs: {syncs} }}")
    }
}

/// The one who writes to a log. It belongs to one thread, which may wait for the disk.
pub struct Writer {
    disk: Arc<dyn Disk>,
    options: Options,
    log: u128,
    life: u64,
    chance: Chance,
    active: Active,
    indexed: u64,
    next: u64,
    spares: Vec<Spare>,
    buffer: Vec<u8>,
    poisoned: Option<Poisoned>,
}

impl Writer {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        options: Options,
        (log, life, chance): (u128, u64, Chance),
        active: Active,
        next: u64,
        spares: Vec<Spare>,
    ) -> Self {
        let indexed = active.segment.index.last().map_or(0, |entry| entry.1);
        let (buffer, poisoned) = (Vec::new(), None);
        Self { disk, options, log, life, chance, active, indexed, next, spares, buffer, poisoned }
    }

    /// The id of the log, which is in each of its segments.
    #[must_use]
    pub fn log(&self) -> u128 {
        self.log
    }

    /// Writes a group of frames and syncs once for each segment it touches.
    ///
    /// # Errors
    ///
    /// A write or a sync failed, now or before: nothing of this group may be acknowledged, and nothing will be
    /// written by this writer again.
    pub fn write(&mut self, group: &[Pending]) -> Result<Written, Poisoned> {
        self.guarded(|writer, written| {
            for pending in group {
                if pending.size() + writer.buffer.len() as u64 > writer.active.left() {
                    writer.flush(written)?;
                    writer.roll(written)?;
                }
                writer.encode(pending, written);
            }
            writer.flush(written)
        })
    }

    /// Attests everything that is durable: by an empty frame, or by the head of the next segment where the active one has
    /// no room for that. The room was taken with [`Store::begin_seal`](crate::Store::begin_seal).
    ///
    /// # Errors
    ///
    /// As [`Writer::write`].
    pub fn seal(&mut self) -> Result<Written, Poisoned> {
        self.guarded(|writer, written| {
            if format::size_of(0, 0) > writer.active.left() {
                return writer.roll(written);
            }
            let numbers = (writer.next, writer.active.durable, (writer.options.wall)());
            let generation = writer.active.segment.head.generation;
            format::write_frame(generation, numbers, std::iter::empty(), &mut writer.buffer);
            writer.flush(written)
        })
    }

    fn guarded(
        &mut self,
        run: impl FnOnce(&mut Self, &mut Written) -> io::Result<()>,
    ) -> Result<Written, Poisoned> {
        if let Some(poisoned) = &self.poisoned {
            return Err(poisoned.clone());
        }
        let mut written = Written { durable: self.active.durable, ..Written::default() };
        match run(self, &mut written) {
            Ok(()) => Ok(written),
            Err(error) => {
                let poisoned = Poisoned(error.to_string());
                self.poisoned = Some(poisoned.clone());
                Err(poisoned)
            }
        }
    }

    fn offset(&self) -> u64 {
        self.active.offset + self.buffer.len() as u64
    }

    fn encode(&mut self, pending: &Pending, written: &mut Written) {
        let offset = self.offset();
        if self.indexed == 0 || offset - self.indexed >= INDEX_STEP {
            written.index.push((written.begun.len(), pending.first, offset));
            self.indexed = offset;
        }
        let numbers = (pending.first, self.active.durable, pending.at_ms);
        format::write_frame(
            self.active.segment.head.generation,
            numbers,
            pending.records(),
            &mut self.buffer,
        );
        self.next = pending.first + pending.spans.len() as u64;
    }

    fn flush(&mut self, written: &mut Written) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let (file, length) = (&self.active.segment.file, self.buffer.len());
        format::write_end(self.active.size.saturating_sub(self.offset()), &mut self.buffer);
        file.write_all_at(&self.buffer, self.active.offset)?;
        if !mutant::is(Mutant::AckBeforeSync) {
            let synced = file.sync();
            let again = || if mutant::is(Mutant::RetrySync) { file.sync() } else { Ok(()) };
            if mutant::is(Mutant::RetrySync) { synced.or_else(|_| again())? } else { synced? }
        }
        written.sealed = self.active.durable;
        self.active.offset += length as u64;
        self.active.durable = self.next;
        written.durable = self.next;
        written.bytes += length as u64;
        written.syncs += 1;
        self.buffer.clear();
        Ok(())
    }

    /// Goes on to a new segment. Everything in the one before is durable.
    fn roll(&mut self, written: &mut Written) -> io::Result<()> {
        let Some(Spare(spare)) = self.spares.pop() else {
            return Err(io::Error::other("no segment is ready, although room was promised"));
        };
        let file = self.disk.open(&spare)?;
        let (log, life, first) = (self.log, self.life, self.next);
        let generation = self.chance.draw();
        let (created_ms, size) = ((self.options.wall)(), self.options.segment_bytes);
        let head = Head { log, generation, first, life, created_ms, size };
        let mut bytes = head.write();
        format::write_end(self.options.segment_bytes - HEAD, &mut bytes);
        file.write_all_at(&bytes, 0)?;
        file.sync()?;
        let name = segment::name(first, life);
        self.disk.rename(&spare, &name)?;
        if !mutant::is(Mutant::NoNameSync) {
            self.disk.sync_names()?;
        }
        // Not before the new name is durable, and without a sync of its own: it is for somebody who loses the new file.
        let before = &self.active.segment;
        let closing = format::closing_frame(before.head.generation, first, created_ms);
        before.file.write_all_at(&closing, self.active.offset)?;
        let segment = Segment { name, file, head, index: Vec::new() };
        written.begun.push(segment.clone());
        written.sealed = first;
        let (offset, durable) = (HEAD, self.active.durable);
        self.active = Active { segment, offset, size, durable };
        self.indexed = 0;
        Ok(())
    }

    /// A segment is ready. It is used when the active one is full.
    pub fn add_spare(&mut self, spare: Spare) {
        self.spares.push(spare);
    }

    /// Records below are durable.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.active.durable
    }
}
