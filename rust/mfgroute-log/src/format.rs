//! The bytes of a segment: its head and the frames in it. `docs/design/log-format.md` is this file in words.
//!
//! ```text
//! segment = head 4096 | frame* | end 40
//! head    = block 2048 | the same block again
//! block   = "mfgroute" | version 4 | crc32c 4 | log id 16 | generation 8 | first seq 8 | life 8 | created 8 | size 8
//!           | zeros
//! frame   = length 4 | crc32c 4 | first seq 8 | watermark 8 | time 8 | count 4 | closing 4 | body
//! body    = ( length 4 | bytes )*
//! end     = zeros, as far as the segment goes; the next frame is written over it
//! ```
//!
//! All numbers are little-endian. The checksum of a frame begins with the generation of its segment, which is random:
//! bytes of an earlier use of the file never verify.

use crate::mutant::{self, Mutant};

/// Version of the format that this build reads and writes.
pub const FORMAT: u32 = 1;
/// Where the frames of a segment begin.
pub(crate) const HEAD: u64 = 4096;
const BLOCK: usize = 2048;
const MAGIC: &[u8; 8] = b"mfgroute";
/// Bytes of a frame before its body.
pub(crate) const FRAME: usize = 40;

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) log: u128,
    pub(crate) generation: u64,
    pub(crate) first: u64,
    /// How many times the log had been opened when it was made.
    pub(crate) life: u64,
    pub(crate) created_ms: u64,
    /// Bytes of the file, which are durable before the segment gets its name: one that is shorter was cut.
    pub(crate) size: u64,
}

/// Why a head could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadHead {
    /// Its format is of a later build.
    Newer(u32),
    /// Its bytes are damaged; one of its two blocks may still be whole.
    Damaged(Option<Head>),
}

impl Head {
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut block = Vec::with_capacity(HEAD as usize);
        block.extend_from_slice(MAGIC);
        block.extend_from_slice(&FORMAT.to_le_bytes());
        block.extend_from_slice(&[0; 4]);
        block.extend_from_slice(&self.log.to_le_bytes());
        for number in [self.generation, self.first, self.life, self.created_ms, self.size] {
            block.extend_from_slice(&number.to_le_bytes());
        }
        block.resize(BLOCK, 0);
        let sum = checksum_of_block(&block);
        if let Some(place) = block.get_mut(12..16) {
            place.copy_from_slice(&sum.to_le_bytes());
        }
        block.extend_from_within(..);
        block
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, BadHead> {
        let block =
            |at: usize| bytes.get(at..at + BLOCK).map_or(Err(BadHead::Damaged(None)), Self::read_block);
        match (block(0), block(BLOCK)) {
            (Ok(first), Ok(second)) if first == second => Ok(first),
            (Err(BadHead::Newer(version)), Err(BadHead::Newer(_))) => Err(BadHead::Newer(version)),
            (Ok(whole), Err(_)) | (Err(_), Ok(whole)) => Err(BadHead::Damaged(Some(whole))),
            _ => Err(BadHead::Damaged(None)),
        }
    }

    fn read_block(block: &[u8]) -> Result<Self, BadHead> {
        let damaged = BadHead::Damaged(None);
        if block.get(..8) != Some(MAGIC) || number::<4>(block, 12) != Some(checksum_of_block(block).into()) {
            return Err(damaged);
        }
        match number::<4>(block, 8) {
            Some(version) if version == u64::from(FORMAT) => {}
            Some(version) => return Err(BadHead::Newer(version as u32)),
            None => return Err(damaged),
        }
        let log = block.get(16..32).and_then(|id| id.try_into().ok()).map(u128::from_le_bytes);
        let numbers = (number::<8>(block, 32), number::<8>(block, 40), number::<8>(block, 48));
        match (log, numbers, (number::<8>(block, 56), number::<8>(block, 64))) {
            (Some(log), (Some(generation), Some(first), Some(life)), (Some(created_ms), Some(size))) => {
                Ok(Self { log, generation, first, life, created_ms, size })
            }
            _ => Err(damaged),
        }
    }
}

/// Over everything but the place of the checksum itself.
fn checksum_of_block(block: &[u8]) -> u32 {
    let sum = crc32c::crc32c(block.get(..12).unwrap_or_default());
    crc32c::crc32c_append(sum, block.get(16..).unwrap_or_default())
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let mut wide = [0; 8];
    wide.get_mut(..N)?.copy_from_slice(bytes.get(at..at + N)?);
    Some(u64::from_le_bytes(wide))
}

/// A frame as it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read<'a> {
    pub(crate) first: u64,
    pub(crate) watermark: u64,
    pub(crate) at_ms: u64,
    pub(crate) count: u32,
    /// Another segment follows.
    pub(crate) closing: bool,
    pub(crate) body: &'a [u8],
}

impl<'a> Read<'a> {
    /// Reads the frame at the start of `bytes`; `None` if none of this generation is there, whole.
    pub(crate) fn parse(bytes: &'a [u8], generation: u64) -> Option<Self> {
        let claim = Claim::read(bytes)?;
        let whole = bytes.get(..FRAME + claim.length as usize)?;
        if !mutant::is(Mutant::NoChecksum) && claim.crc != checksum(generation, whole) {
            return None;
        }
        let body = whole.get(FRAME..)?;
        let Claim { first, watermark, at_ms, count, closing, .. } = claim;
        let read = Self { first, watermark, at_ms, count, closing, body };
        (read.spans().count() == count as usize).then_some(read)
    }

    /// Bytes of the whole frame.
    pub(crate) fn size(&self) -> u64 {
        (FRAME + self.body.len()) as u64
    }

    /// The sequence number behind its last record.
    pub(crate) fn end(&self) -> u64 {
        self.first + u64::from(self.count)
    }

    /// Start and end of each record in the body. Stops early where the body is malformed.
    pub(crate) fn spans(&self) -> impl Iterator<Item = (u32, u32)> + use<'a> {
        let body = self.body;
        let mut at = 0;
        std::iter::from_fn(move || {
            let length = number::<4>(body, at)? as usize;
            let start = at + 4;
            at = start.checked_add(length).filter(|&end| end <= body.len())?;
            Some((start as u32, at as u32))
        })
    }
}

/// Appends the mark of the end, as far as the segment has room for it: zeros where the next frame will begin. What
/// stands there without being a frame or zeros is then known to be damaged, in a recycled segment too.
pub(crate) fn write_end(room: u64, out: &mut Vec<u8>) {
    out.resize(out.len() + room.min(FRAME as u64) as usize, 0);
}

/// What the head of a frame says before anything is verified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) length: u32,
    crc: u32,
    pub(crate) first: u64,
    pub(crate) watermark: u64,
    pub(crate) at_ms: u64,
    pub(crate) count: u32,
    closing: bool,
}

impl Claim {
    /// Reads the head of a frame, if it could be one at all.
    #[inline]
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let head = bytes.first_chunk::<FRAME>()?;
        let claim = Self {
            length: number::<4>(head, 0)? as u32,
            crc: number::<4>(head, 4)? as u32,
            first: number::<8>(head, 8)?,
            watermark: number::<8>(head, 16)?,
            at_ms: number::<8>(head, 24)?,
            count: number::<4>(head, 32)? as u32,
            closing: number::<4>(head, 36)? == 1,
        };
        let fits =
            u64::from(claim.length) >= 4 * u64::from(claim.count) && (claim.count > 0 || claim.length == 0);
        let closing = number::<4>(head, 36)? <= u64::from(claim.count == 0);
        let written = claim.crc != 0 || claim.length != 0 || claim.first != 0 || claim.at_ms != 0;
        (fits && closing && written && claim.watermark <= claim.first).then_some(claim)
    }
}

/// Checksum of a whole frame, its own place left out.
fn checksum(generation: u64, frame: &[u8]) -> u32 {
    let sum = crc32c::crc32c(&generation.to_le_bytes());
    let sum = crc32c::crc32c_append(sum, frame.get(..4).unwrap_or_default());
    crc32c::crc32c_append(sum, frame.get(8..).unwrap_or_default())
}

/// Bytes of a segment that frames with records can take: the closing frame has its room besides.
pub(crate) fn room(segment_bytes: u64) -> u64 {
    segment_bytes.saturating_sub(HEAD + FRAME as u64)
}

/// Bytes that a frame with these records takes in a segment.
pub(crate) fn size_of(records: usize, bytes: usize) -> u64 {
    (FRAME + 4 * records + bytes) as u64
}

/// Appends a frame to `out`.
pub(crate) fn write_frame<'r>(
    generation: u64,
    numbers: (u64, u64, u64),
    records: impl Iterator<Item = &'r [u8]>,
    out: &mut Vec<u8>,
) {
    write_any(generation, numbers, 0, records, out);
}

/// The frame without records that says that another segment follows.
pub(crate) fn closing_frame(generation: u64, end: u64, at_ms: u64) -> Vec<u8> {
    let mut out = Vec::new();
    write_any(generation, (end, end, at_ms), 1, std::iter::empty(), &mut out);
    out
}

fn write_any<'r>(
    generation: u64,
    (first, watermark, at_ms): (u64, u64, u64),
    closing: u32,
    records: impl Iterator<Item = &'r [u8]>,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME]);
    let mut count = 0_u32;
    for record in records {
        out.extend_from_slice(&(record.len() as u32).to_le_bytes());
        out.extend_from_slice(record);
        count += 1;
    }
    let length = (out.len() - start - FRAME) as u32;
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = out.get_mut(start + at..start + at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    put(0, &length.to_le_bytes());
    put(8, &first.to_le_bytes());
    put(16, &watermark.to_le_bytes());
    put(24, &at_ms.to_le_bytes());
    put(32, &count.to_le_bytes());
    put(36, &closing.to_le_bytes());
    let sum = checksum(generation, out.get(start..).unwrap_or_default());
    if let Some(place) = out.get_mut(start + 4..start + 8) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: Head =
        Head { log: 7, generation: 0x0102_0304_0506_0708, first: 5, life: 2, created_ms: 9, size: 8192 };

    /// The worked example of the document. These bytes are the format: a change of them needs a new version.
    #[test]
    fn the_bytes_of_a_segment_are_the_documented_ones() {
        let mut out = SEGMENT.write();
        assert_eq!(out.len() as u64, HEAD);
        write_frame(SEGMENT.generation, (5, 3, 1_000), [&b"ab"[..], b""].into_iter(), &mut out);
        out.extend_from_slice(&closing_frame(SEGMENT.generation, 7, 1_000));
        let page = include_str!("../../../docs/design/log-format.md");
        let example = page.split("```").nth(1).unwrap().trim_start_matches("text");
        let (mut lines, mut end) = (0, 0);
        for line in example.lines().filter(|line| !line.is_empty()) {
            let (offset, hex) = line.split_once("  ").unwrap();
            let bytes: Vec<u8> = hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
            let offset = usize::from_str_radix(offset, 16).unwrap();
            end = offset + bytes.len();
            assert_eq!(out[offset..end], bytes, "{line}");
            lines += 1;
        }
        assert_eq!((lines, end), (12, out.len()));
        assert!(out[80..2048].iter().all(|&byte| byte == 0) && out[..2048] == out[2048..4096]);
    }

    #[test]
    fn every_flipped_bit_of_a_head_is_found_and_one_block_still_reads() {
        let good = SEGMENT.write();
        assert_eq!(Head::read(&good), Ok(SEGMENT));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::read(&bad), Err(BadHead::Damaged(Some(SEGMENT))), "bit {bit}");
        }
    }

    #[test]
    fn a_frame_reads_back_and_every_flipped_bit_is_found() {
        let mut good = Vec::new();
        let records = [&b"first"[..], b"", b"third"];
        write_frame(SEGMENT.generation, (9, 4, 77), records.into_iter(), &mut good);
        assert_eq!(good.len() as u64, size_of(3, 10));
        let read = Read::parse(&good, SEGMENT.generation).unwrap();
        assert_eq!((read.first, read.watermark, read.at_ms, read.end()), (9, 4, 77, 12));
        let texts: Vec<_> =
            read.spans().map(|(start, end)| &read.body[start as usize..end as usize]).collect();
        assert_eq!(texts, records);
        assert!(Read::parse(&good, 1).is_none(), "another generation");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Read::parse(&bad, SEGMENT.generation).is_none(), "bit {bit}");
        }
        for length in 0..good.len() {
            assert!(Read::parse(&good[..length], SEGMENT.generation).is_none(), "length {length}");
        }
    }
}
