//! Reading, and what waits to be written: the side of a log that lives under its owner's lock.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::format::{self, FRAME, HEAD};
use crate::segment::Segment;
use crate::writer::Written;
use crate::{Frame, Options, Record};

/// Bytes read from a segment at once.
const CHUNK: usize = 256 * 1024;
/// Chunks kept for readers that lag behind.
const CHUNKS: usize = 8;

/// Bytes before a record in its frame.
const LENGTH: u64 = 4;

/// The longest record that a log with segments of this size takes.
#[must_use]
pub fn record_max(segment_bytes: u64) -> u64 {
    format::room(segment_bytes).saturating_sub(FRAME as u64 + LENGTH)
}

/// Records of one frame that wait to be written.
#[derive(Clone, Debug)]
pub struct Pending {
    pub(crate) first: u64,
    pub(crate) at_ms: u64,
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) spans: Vec<(u32, u32)>,
}

impl Pending {
    pub(crate) fn records(&self) -> impl Iterator<Item = &[u8]> {
        self.spans
            .iter()
            .map(|&(start, end)| self.bytes.get(start as usize..end as usize).unwrap_or_default())
    }

    /// Bytes of the frame in a segment.
    pub(crate) fn size(&self) -> u64 {
        let bytes = self.spans.iter().map(|&(start, end)| (end - start) as usize).sum();
        format::size_of(self.spans.len(), bytes)
    }

    /// The sequence number behind its last record.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.first + self.spans.len() as u64
    }
}

/// Why a frame is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// One of its records is larger than a segment.
    TooLarge,
    /// It fits once another segment is ready.
    Later,
}

/// The records of a log: the newest in memory, the others in segments.
pub struct Store {
    tail: VecDeque<Record>,
    tail_bytes: u64,
    tail_max: u64,
    segments: Vec<Segment>,
    pending: Vec<Pending>,
    first: u64,
    next: u64,
    durable: u64,
    sealed: u64,
    segment_bytes: u64,
    /// Bytes left in the active segment once everything pending is written, and ready segments besides.
    left: u64,
    spares: u64,
    chunks: RefCell<VecDeque<Chunk>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { first, next, durable, sealed, .. } = self;
        write!(f, "Store {{ first: {first}, next: {next}, durable: {durable}, sealed: {sealed} }}")
    }
}

/// Records that were read from a segment, in a row.
struct Chunk {
    first: u64,
    records: Vec<Record>,
}

impl Store {
    pub(crate) fn new(segments: Vec<Segment>, next: u64, options: &Options, left: u64, spares: u64) -> Self {
        let first = segments.first().map_or(next, |segment| segment.head.first);
        Self {
            tail: VecDeque::new(),
            tail_bytes: 0,
            tail_max: options.tail_bytes,
            segments,
            pending: Vec::new(),
            first,
            next,
            durable: next,
            sealed: next,
            segment_bytes: options.segment_bytes,
            left,
            spares,
            chunks: RefCell::default(),
        }
    }

    /// Appends the records of a frame: they are readable at once and durable once they are written. A frame that is
    /// larger than a quarter of a segment goes in pieces.
    ///
    /// # Errors
    ///
    /// There is no room; nothing has changed.
    pub fn append(&mut self, frame: &Frame, at_ms: u64) -> Result<u64, NoRoom> {
        let pieces = self.pieces(frame)?;
        let (left, spares) = self.after(&pieces)?;
        (self.left, self.spares) = (left, spares);
        let first = self.next;
        let bytes = frame.shared();
        for spans in pieces {
            let count = spans.len() as u64;
            self.tail.extend(spans.iter().map(|&span| Record::new(bytes.clone(), span, at_ms)));
            let pending = Pending { first: self.next, at_ms, bytes: bytes.clone(), spans };
            self.next += count;
            self.pending.push(pending);
        }
        self.tail_bytes += frame.bytes() as u64;
        Ok(first)
    }

    /// Whether [`Store::append`] would take the frame now.
    pub fn fits(&self, frame: &Frame) -> Result<(), NoRoom> {
        self.after(&self.pieces(frame)?).map(drop)
    }

    /// The records of a frame in pieces that fit anywhere.
    fn pieces(&self, frame: &Frame) -> Result<Vec<Vec<(u32, u32)>>, NoRoom> {
        let max = record_max(self.segment_bytes) + LENGTH;
        let (mut pieces, mut piece, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (start, end) in frame.spans() {
            let size = u64::from(end - start) + LENGTH;
            if size > max {
                return Err(NoRoom::TooLarge);
            }
            if bytes + size > max / 4 && !piece.is_empty() {
                pieces.push(std::mem::take(&mut piece));
                bytes = 0;
            }
            bytes += size;
            piece.push((start, end));
        }
        pieces.extend((!piece.is_empty()).then_some(piece));
        Ok(pieces)
    }

    /// The room that is left when these pieces are written.
    fn after(&self, pieces: &[Vec<(u32, u32)>]) -> Result<(u64, u64), NoRoom> {
        let (mut left, mut spares) = (self.left, self.spares);
        for piece in pieces {
            let bytes = piece.iter().map(|&(start, end)| (end - start) as usize).sum();
            let size = format::size_of(piece.len(), bytes);
            if size > left {
                spares = spares.checked_sub(1).ok_or(NoRoom::Later)?;
                left = format::room(self.segment_bytes);
            }
            left -= size;
        }
        Ok((left, spares))
    }

    /// Bytes that fit before another segment is made ready, if nothing of them goes to waste.
    #[must_use]
    pub fn room(&self) -> u64 {
        self.left + self.spares * (self.segment_bytes - HEAD)
    }

    /// Size of a segment.
    #[must_use]
    pub fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    /// Segments that are ready and that nothing was promised yet.
    #[must_use]
    pub fn spares(&self) -> u64 {
        self.spares
    }

    /// Segments were made ready.
    pub fn add_spares(&mut self, count: u64) {
        self.spares += count;
    }

    /// Takes everything that waits to be written.
    pub fn take_pending(&mut self) -> Vec<Pending> {
        std::mem::take(&mut self.pending)
    }

    /// Whether something waits to be written.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Notes what has become durable, and lets go of memory that segments hold as well.
    pub fn committed(&mut self, written: Written) {
        self.durable = self.durable.max(written.durable);
        self.sealed = self.sealed.max(written.sealed);
        let before = self.segments.len().saturating_sub(1);
        self.segments.extend(written.begun);
        for (number, seq, offset) in written.index {
            if let Some(segment) = self.segments.get_mut(before + number) {
                segment.index.push((seq, offset));
            }
        }
        self.trim();
    }

    /// Takes the room of what [`Writer::seal`](crate::Writer::seal) writes: of an empty frame, or, where that does not
    /// fit any more, of the next segment. Says whether there is any, and something to attest; not while something waits
    /// to be written, which will attest it as well.
    pub fn begin_seal(&mut self) -> bool {
        // What waits may have taken its room in the next segment, and the seal would be written before it in this one.
        if self.sealed >= self.durable || !self.pending.is_empty() {
            return false;
        }
        let size = format::size_of(0, 0);
        if self.left >= size {
            self.left -= size;
            return true;
        }
        let Some(spares) = self.spares.checked_sub(1) else { return false };
        (self.spares, self.left) = (spares, format::room(self.segment_bytes));
        true
    }

    fn trim(&mut self) {
        while self.tail_bytes > self.tail_max && self.tail_seq() < self.durable {
            let Some(record) = self.tail.pop_front() else { return };
            self.tail_bytes -= record.len() as u64;
        }
    }

    /// A record that is still in the log; one that is not durable yet among them.
    ///
    /// # Errors
    ///
    /// The segment cannot be read, or its bytes are not what was written.
    pub fn get(&self, seq: u64) -> io::Result<Option<Record>> {
        if seq < self.first || seq >= self.next {
            return Ok(None);
        }
        if let Some(index) = seq.checked_sub(self.tail_seq()) {
            return Ok(self.tail.get(index as usize).cloned());
        }
        let mut chunks = self.chunks.borrow_mut();
        if let Some(record) = chunks.iter().find_map(|chunk| chunk.get(seq)) {
            return Ok(Some(record));
        }
        let chunk = self.read(seq)?;
        let record = chunk.get(seq);
        if chunks.len() >= CHUNKS {
            chunks.pop_front();
        }
        chunks.push_back(chunk);
        Ok(record)
    }

    /// Reads the records around `seq` from its segment.
    fn read(&self, seq: u64) -> io::Result<Chunk> {
        let behind = self.segments.partition_point(|segment| segment.head.first <= seq);
        let segment = behind.checked_sub(1).and_then(|number| self.segments.get(number));
        let segment = segment.ok_or_else(|| io::Error::other(format!("no segment has record {seq}")))?;
        let entries = segment.index.partition_point(|&(first, _)| first <= seq);
        let entry = entries.checked_sub(1).and_then(|entry| segment.index.get(entry));
        let (mut expected, mut offset) = entry.copied().unwrap_or((segment.head.first, HEAD));
        let damaged = |offset: u64| {
            let name = &segment.name;
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{name} is damaged at byte {offset}: record {seq}"),
            )
        };
        let size = segment.file.length()?;
        loop {
            let rest = size.saturating_sub(offset) as usize;
            let mut bytes = segment.file.read_up_to(rest.min(CHUNK), offset)?;
            let length = format::Claim::read(&bytes).ok_or_else(|| damaged(offset))?.length as usize;
            if length + FRAME > bytes.len() {
                // A damaged length must not ask for more memory than there is file.
                bytes = segment.file.read_up_to(rest.min(length + FRAME), offset)?;
            }
            let (mut at, first) = (0, expected);
            let mut records = Vec::new();
            let shared: Arc<[u8]> = bytes.into();
            while let Some(frame) =
                shared.get(at..).and_then(|b| format::Read::parse(b, segment.head.generation))
            {
                if frame.first != expected {
                    return Err(damaged(offset + at as u64));
                }
                let start = (at + FRAME) as u32;
                let record =
                    |(from, to)| Record::new(shared.clone(), (start + from, start + to), frame.at_ms);
                records.extend(frame.spans().map(record));
                expected = frame.end();
                at += frame.size() as usize;
            }
            if at == 0 {
                return Err(damaged(offset));
            }
            if expected > seq {
                return Ok(Chunk { first, records });
            }
            offset += at as u64;
        }
    }

    /// Lets go of whole segments with nothing but records below `seq`. Returns their names, oldest first, to be
    /// [retired](crate::Writer::retire) in this order.
    pub fn free_to(&mut self, seq: u64) -> Vec<String> {
        let seq = seq.min(self.durable);
        let mut names = Vec::new();
        while self.segments.get(1).is_some_and(|next| next.head.first <= seq) {
            names.push(self.segments.remove(0).name);
        }
        if let Some(first) =
            self.segments.first().map(|segment| segment.head.first).filter(|_| !names.is_empty())
        {
            self.first = first;
            self.chunks.get_mut().retain(|chunk| chunk.first >= first);
            while self.tail_seq() < first {
                let gone = self.tail.pop_front().map_or(0, |record| record.len() as u64);
                self.tail_bytes -= gone;
            }
        }
        names
    }

    /// The first sequence number behind each segment but the active one, oldest first: where
    /// [`Store::free_to`] can free.
    pub fn boundaries(&self) -> impl Iterator<Item = u64> {
        self.segments.iter().skip(1).map(|segment| segment.head.first)
    }

    /// The oldest sequence number in the log, or the next one if it is empty.
    #[must_use]
    pub fn first_seq(&self) -> u64 {
        self.first
    }

    /// Records from here on are in memory.
    #[must_use]
    pub fn tail_seq(&self) -> u64 {
        self.next - self.tail.len() as u64
    }

    /// The sequence number of the next record.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    /// All records below are durable.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// All records below are attested by a later durable frame.
    #[must_use]
    pub fn sealed(&self) -> u64 {
        self.sealed
    }
}

impl Chunk {
    /// A copy of a record: a handle would keep the whole chunk in memory.
    fn get(&self, seq: u64) -> Option<Record> {
        self.records.get(usize::try_from(seq.checked_sub(self.first)?).ok()?).map(Record::detached)
    }
}
