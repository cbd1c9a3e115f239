//! Segments: their names, and what is in one.

use std::io;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile};
use crate::error::{Corruption, OpenError};
use crate::format::{BadHead, Claim, FRAME, HEAD, Head, Read};
use crate::mutant::{self, Mutant};

/// Bytes between two entries of the sparse index.
pub(crate) const INDEX_STEP: u64 = 64 * 1024;

/// A segment of a log that is open: what is needed to read from it.
#[derive(Clone)]
pub(crate) struct Segment {
    pub(crate) name: String,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) head: Head,
    /// Sequence number and offset of some frames, the first one among them.
    pub(crate) index: Vec<(u64, u64)>,
}

/// The name of a segment: its first sequence number and the life that made it.
pub(crate) fn name(first: u64, life: u64) -> String {
    format!("{first:020}-{life:06}.log")
}

/// The first sequence number as the name of a segment says it, or 0.
pub(crate) fn first_in(name: &str) -> u64 {
    name.get(..20).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

pub(crate) fn is_segment(name: &str) -> bool {
    name.strip_suffix(".log").is_some()
}

pub(crate) fn is_spare(name: &str) -> bool {
    name.strip_suffix(".spare").is_some()
}

pub(crate) fn is_unfinished(name: &str) -> bool {
    name.strip_suffix(".new").is_some()
}

/// A head of which one copy is damaged: no record is lost by that.
pub(crate) fn damaged_head(segment: &str, first: u64) -> Corruption {
    Corruption { segment: segment.to_owned(), offset: 0, first, next: Some(first) }
}

/// The segments of a folder.
pub(crate) struct Opened {
    /// In order: by first number, then by life.
    pub(crate) segments: Vec<Segment>,
    /// Names of those of which one copy of the head is damaged. The other has a checksum, and a name that it must bear
    /// out, so it is as good as both.
    pub(crate) half_heads: Vec<String>,
}

/// Opens every segment of a folder.
pub(crate) fn open_all(disk: &dyn Disk) -> Result<Opened, OpenError> {
    let (mut segments, mut half_heads) = (Vec::new(), Vec::new());
    for name in disk.names()?.into_iter().filter(|name| is_segment(name)) {
        let file = disk.open(&name)?;
        let head = match Head::read(&file.read_up_to(HEAD as usize, 0)?) {
            Ok(head) => head,
            Err(BadHead::Newer(version)) => return Err(OpenError::Newer { segment: name, version }),
            Err(BadHead::Damaged(Some(whole))) => {
                half_heads.push(name.clone());
                whole
            }
            Err(BadHead::Damaged(None)) => {
                let first = first_in(&name);
                return Err(OpenError::Corrupt(Corruption { segment: name, offset: 0, first, next: None }));
            }
        };
        let made_as = self::name(head.first, head.life);
        if name != made_as {
            return Err(OpenError::Misnamed { segment: name, made_as });
        }
        segments.push(Segment { name, file, head, index: vec![(head.first, HEAD)] });
    }
    segments.sort_by_key(|segment| (segment.head.first, segment.head.life));
    let log = segments.first().map(|segment| segment.head.log);
    match segments.iter().find(|segment| Some(segment.head.log) != log) {
        Some(foreign) => Err(OpenError::Foreign { segment: foreign.name.clone() }),
        None => {
            half_heads.sort();
            Ok(Opened { segments, half_heads })
        }
    }
}

/// What was found by going through a segment from its start.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// The sequence number behind the last readable record.
    pub(crate) end: u64,
    /// Where the last readable frame ends.
    pub(crate) offset: u64,
    /// The highest watermark in what is readable.
    pub(crate) watermark: u64,
    /// It says itself that another segment follows.
    pub(crate) closed: bool,
    pub(crate) index: Vec<(u64, u64)>,
    /// Traces of frames behind the last readable one.
    pub(crate) beyond: Option<Beyond>,
}

/// What lies behind the first unreadable byte of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beyond {
    /// The first sequence number that is readable again.
    pub(crate) next: Option<u64>,
    /// The highest watermark there.
    pub(crate) watermark: u64,
    /// Where the traces end.
    pub(crate) end: u64,
}

/// Reads a whole segment.
pub(crate) fn load(segment: &Segment) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    load_into(segment, &mut bytes)?;
    Ok(bytes)
}

/// As [`load`], in place of what is in a buffer: a fresh one of this size costs as much time as reading into it.
pub(crate) fn load_into(segment: &Segment, bytes: &mut Vec<u8>) -> io::Result<()> {
    let length = segment.file.length()?;
    segment.file.read_into(bytes, length as usize, 0)
}

/// Goes through the bytes of a segment, up to the record `until` if there is a later segment, and calls `each` with
/// the number, the time and the bytes of each record.
pub(crate) fn walk(
    bytes: &[u8],
    head: &Head,
    until: Option<u64>,
    each: &mut dyn FnMut(u64, u64, &[u8]),
) -> Walk {
    let mut walk = Walk { end: head.first, offset: HEAD, watermark: head.first, ..Walk::default() };
    let mut indexed = 0;
    while until.is_none_or(|until| walk.end < until) {
        let rest = bytes.get(walk.offset as usize..).unwrap_or_default();
        let frame = Read::parse(rest, head.generation).filter(|frame| frame.first == walk.end);
        let Some(frame) = frame else {
            walk.beyond = beyond(bytes, head.generation, walk.offset, walk.end);
            if let (true, Some(next)) = (mutant::is(Mutant::SkipBad), skip(bytes, head.generation, &walk)) {
                (walk.offset, walk.end, walk.beyond) = (next.0, next.1, None);
                continue;
            }
            break;
        };
        if frame.closing {
            // What stands behind it is of an earlier use.
            walk.closed = true;
            break;
        }
        if indexed == 0 || walk.offset - indexed >= INDEX_STEP {
            walk.index.push((walk.end, walk.offset));
            indexed = walk.offset;
        }
        for (number, (start, end)) in (frame.first..).zip(frame.spans()) {
            each(number, frame.at_ms, frame.body.get(start as usize..end as usize).unwrap_or_default());
        }
        walk.watermark = walk.watermark.max(frame.watermark);
        walk.end = frame.end();
        walk.offset += frame.size();
    }
    walk
}

/// Looks for traces of frames at and behind an offset at which the frame of record `expected` should stand and is not
/// readable.
///
/// The writer puts an [end mark](crate::format) behind each group, so anything else at the offset is a trace, even
/// when it is no head of a frame any more.
fn beyond(bytes: &[u8], generation: u64, offset: u64, expected: u64) -> Option<Beyond> {
    let mut found = Beyond { next: None, watermark: 0, end: 0 };
    let mut at = offset as usize;
    while let Some(frame) = later(bytes, generation, &mut at, expected) {
        found.next = found.next.or(Some(frame.first));
        found.watermark = found.watermark.max(frame.watermark);
        at += frame.size() as usize;
        found.end = at as u64;
    }
    if found.next.is_none() && is_end(bytes, offset as usize) {
        return None;
    }
    found.end = found.end.max(claimed_end(bytes, offset as usize, expected) as u64);
    Some(found)
}

/// Whether the mark of the end stands there, or nothing at all can.
pub(crate) fn is_end(bytes: &[u8], at: usize) -> bool {
    bytes.get(at..).unwrap_or_default().iter().take(FRAME).all(|&byte| byte == 0)
}

/// Where what was being written at an offset ends: behind the frames that it claims to be if the mark of the end is
/// there, else behind the last byte that is not zero.
fn claimed_end(bytes: &[u8], offset: usize, mut expected: u64) -> usize {
    let mut at = offset;
    while let Some(claim) = bytes.get(at..).and_then(Claim::read).filter(|claim| claim.first == expected) {
        expected += u64::from(claim.count);
        at = at.saturating_add(FRAME + claim.length as usize);
    }
    if offset < at && at <= bytes.len() && is_end(bytes, at) {
        return at;
    }
    let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    used.max(offset)
}

/// The next readable frame at or behind `at`, which is set to its place.
pub(crate) fn later<'b>(bytes: &'b [u8], generation: u64, at: &mut usize, expected: u64) -> Option<Read<'b>> {
    while let Some(rest) = bytes.get(*at..).filter(|rest| rest.len() >= FRAME) {
        // Nearly every offset ends here: this is what a restart spends on the unused part of a recycled segment.
        let first =
            rest.get(8..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes));
        if u32::try_from(first.wrapping_sub(expected)).is_ok()
            && Claim::read(rest).is_some()
            && let Some(read) = Read::parse(rest, generation)
        {
            return Some(read);
        }
        *at += zeros(rest).saturating_sub(FRAME - 1).max(1);
    }
    None
}

/// How many zeros there are at the start; no frame begins where `FRAME` of them follow.
fn zeros(bytes: &[u8]) -> usize {
    let words = bytes
        .chunks_exact(16)
        .take_while(|word| u128::from_ne_bytes((*word).try_into().unwrap_or([1; 16])) == 0);
    let whole = 16 * words.count();
    whole + bytes.get(whole..).unwrap_or_default().iter().take(16).take_while(|&&byte| byte == 0).count()
}

/// Where the next readable frame is, for the mutant that goes on there.
fn skip(bytes: &[u8], generation: u64, walk: &Walk) -> Option<(u64, u64)> {
    let mut at = walk.offset as usize;
    let frame = later(bytes, generation, &mut at, walk.end)?;
    Some((at as u64, frame.first))
}
