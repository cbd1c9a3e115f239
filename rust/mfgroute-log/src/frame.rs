//! Frames and the records in them.

use std::sync::Arc;

/// Records that become part of a log together or not at all.
///
/// A frame is a buffer to fill, append and [`clear`](Frame::clear): a warm one allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Frame {
    /// An empty frame.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one record, whose bytes `write` appends to the buffer it is given. `write` must not
    /// touch what is in the buffer already.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len() as u32);
    }

    /// Adds one record.
    pub fn push(&mut self, record: &[u8]) {
        self.push_with(|bytes| bytes.extend_from_slice(record));
    }

    /// Moves all records of another frame behind those of this one.
    pub fn append(&mut self, other: &mut Self) {
        let before = self.bytes.len() as u32;
        self.bytes.append(&mut other.bytes);
        self.ends.extend(other.ends.drain(..).map(|end| end + before));
    }

    /// Forgets the records and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Number of bytes in all records.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The records, in order.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        self.spans().map(|(start, end)| self.bytes.get(start as usize..end as usize).unwrap_or_default())
    }

    /// Start and end of each record in [`shared`](Frame::shared).
    pub(crate) fn spans(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let mut start = 0;
        self.ends.iter().map(move |&end| (std::mem::replace(&mut start, end), end))
    }

    /// One shared copy of all bytes.
    pub(crate) fn shared(&self) -> Arc<[u8]> {
        Arc::from(self.bytes.as_slice())
    }
}

/// A handle to the bytes of one record; cloning it copies no bytes.
///
/// The bytes of a frame are one allocation, so a handle keeps the frame in memory.
/// [`Record::detached`] makes one that does not.
#[derive(Clone, Debug)]
pub struct Record {
    frame: Arc<[u8]>,
    start: u32,
    end: u32,
    at_ms: u64,
}

impl Record {
    pub(crate) fn new(frame: Arc<[u8]>, (start, end): (u32, u32), at_ms: u64) -> Self {
        Self { frame, start, end, at_ms }
    }

    /// A record of its own, with a copy of these bytes.
    #[must_use]
    pub fn alone(bytes: &[u8], at_ms: u64) -> Self {
        Self { frame: Arc::from(bytes), start: 0, end: bytes.len() as u32, at_ms }
    }

    /// The bytes.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.frame.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// Number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// When it was appended: the time the caller of `append` gave, in milliseconds.
    #[must_use]
    pub fn at_ms(&self) -> u64 {
        self.at_ms
    }

    /// A copy of the bytes that no longer holds the frame.
    #[must_use]
    pub fn detached(&self) -> Self {
        let end = self.end - self.start;
        Self { frame: Arc::from(self.bytes()), start: 0, end, at_ms: self.at_ms }
    }
}
