//! An event as the engine puts it into a log: a header, the key, and the record the caller gave.
//!
//! ```text
//! id 16 | raw print 16 | body print 16 | ordinal 8 | lane 8 | sinks 2 | key length 4 | sinks × 2 | key | record     (little-endian)
//! ```
//!
//! `ordinal` counts admissions over all streams, so that one key has one order even when its events
//! lie in several streams. `lane` is a keyed hash of the key: two keys with the same hash would
//! wait for each other and lose nothing else.

use super::config::SinkNo;
use crate::dedup::Prints;

const FIXED: usize = 70;

/// An event read back from a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored<'a> {
    pub(super) id: u128,
    pub(super) prints: Prints,
    pub(super) ordinal: u64,
    pub(super) lane: u64,
    sinks: &'a [u8],
    pub(super) key: &'a [u8],
    pub(super) body: &'a [u8],
}

/// What to write.
pub(super) struct Fields<'a> {
    pub(super) id: u128,
    pub(super) prints: Prints,
    pub(super) ordinal: u64,
    pub(super) lane: u64,
    pub(super) sinks: &'a [SinkNo],
    pub(super) key: &'a [u8],
    pub(super) body: &'a [u8],
}

impl Fields<'_> {
    /// Appends the event to `out`. A sink that is named twice is written once.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let unique =
            |&(at, sink): &(usize, &SinkNo)| !self.sinks.iter().take(at).any(|earlier| earlier == sink);
        let count = self.sinks.iter().enumerate().filter(unique).count() as u16;
        out.reserve(FIXED + self.sinks.len() * 2 + self.key.len() + self.body.len());
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&self.prints.raw.to_le_bytes());
        out.extend_from_slice(&self.prints.body.to_le_bytes());
        out.extend_from_slice(&self.ordinal.to_le_bytes());
        out.extend_from_slice(&self.lane.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(&(self.key.len() as u32).to_le_bytes());
        for (_, sink) in self.sinks.iter().enumerate().filter(unique) {
            out.extend_from_slice(&sink.to_le_bytes());
        }
        out.extend_from_slice(self.key);
        out.extend_from_slice(self.body);
    }
}

impl<'a> Stored<'a> {
    /// Reads an event. Bytes that [`Fields::write`] did not make read as an empty one.
    #[inline]
    pub(super) fn read(bytes: &'a [u8]) -> Self {
        Self::parse(bytes).unwrap_or(Self {
            id: 0,
            prints: Prints { raw: 0, body: 0 },
            ordinal: 0,
            lane: 0,
            sinks: &[],
            key: &[],
            body: &[],
        })
    }

    #[inline]
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk::<16>()?;
        let (raw, rest) = rest.split_first_chunk::<16>()?;
        let (print, rest) = rest.split_first_chunk::<16>()?;
        let (ordinal, rest) = rest.split_first_chunk::<8>()?;
        let (lane, rest) = rest.split_first_chunk::<8>()?;
        let (sinks, rest) = rest.split_first_chunk::<2>()?;
        let (key, rest) = rest.split_first_chunk::<4>()?;
        let (sinks, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*sinks)) * 2)?;
        let (key, body) = rest.split_at_checked(u32::from_le_bytes(*key) as usize)?;
        let (id, ordinal) = (u128::from_le_bytes(*id), u64::from_le_bytes(*ordinal));
        let prints = Prints { raw: u128::from_le_bytes(*raw), body: u128::from_le_bytes(*print) };
        Some(Self { id, prints, ordinal, lane: u64::from_le_bytes(*lane), sinks, key, body })
    }

    /// The sinks it goes to.
    pub(super) fn sinks(&self) -> impl Iterator<Item = SinkNo> + use<'a> {
        self.sinks.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair))
    }

    /// Whether it goes to `sink`.
    #[inline]
    pub(super) fn wants(&self, sink: SinkNo) -> bool {
        self.sinks().any(|wanted| wanted == sink)
    }
}

/// The record that the caller gave, out of what lies in the log of a stream; `None` if it is something else.
#[must_use]
pub fn body_of(bytes: &[u8]) -> Option<&[u8]> {
    Stored::parse(bytes).map(|stored| stored.body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_comes_back_as_it_was_written() {
        let fields = Fields {
            id: 5,
            prints: Prints { raw: 8, body: 9 },
            ordinal: 6,
            lane: 7,
            sinks: &[3, 1, 3],
            key: b"order/1",
            body: b"{}",
        };
        let mut out = Vec::new();
        fields.write(&mut out);
        let read = Stored::read(&out);
        assert_eq!(
            (read.id, read.prints.body, read.ordinal, read.lane, read.key, read.body),
            (5, 9, 6, 7, &b"order/1"[..], &b"{}"[..])
        );
        assert_eq!(read.sinks().collect::<Vec<_>>(), [3, 1]);
        assert!(read.wants(1) && !read.wants(2));
        for cut in 0..out.len() - 2 {
            assert_eq!(Stored::read(&out[..cut]).id, 0, "{cut}");
        }
    }
}
