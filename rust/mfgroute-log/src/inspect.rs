//! Looking at a log that nobody has open, without changing anything on the disk: [`verify`], [`stat`] and [`salvage`].

use std::io;

use crate::disk::Disk;
use crate::error::{Corruption, OpenError};
use crate::format::{BadHead, HEAD, Head};
use crate::recover::{self, check, split};
use crate::segment::{self, Segment, damaged_head};

/// What [`verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// The oldest sequence number.
    pub first: u64,
    /// The sequence number behind the last readable record.
    pub next: u64,
    /// Records below are attested by the log itself: their damage would not pass for a torn tail.
    pub sealed: u64,
    /// Traces of writes behind the last record: file and offset.
    pub torn: Option<(String, u64)>,
    /// Segments of which one of the two copies of the head is damaged.
    pub half_heads: Vec<String>,
}

/// Reads the whole log and says whether [`open`](crate::open) would take it.
///
/// # Errors
///
/// Those of [`open`](crate::open), for the same reasons.
pub fn verify(disk: &dyn Disk) -> Result<Verified, OpenError> {
    let mut found = Verified::default();
    let read = recover::read(disk, &mut |_, _, _| ())?;
    let (Some(first), Some(last)) = (read.segments.first(), read.segments.last()) else { return Ok(found) };
    (found.first, found.next, found.sealed) =
        (first.head.first, read.last.walk.end, read.last.walk.watermark);
    found.half_heads = read.half_heads;
    found.torn = read.last.walk.beyond.map(|_| (last.name.clone(), read.last.walk.offset));
    Ok(found)
}

/// One segment as [`stat`] found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentStat {
    /// File name.
    pub name: String,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// What it says about itself; nothing if both copies of that are damaged.
    pub head: Option<SegmentHead>,
    /// Records that are readable from its start on.
    pub records: u64,
    /// Where the last of them ends.
    pub used: u64,
    /// The highest watermark in it: records below were durable when it was written.
    pub watermark: u64,
    /// The latest time of its records, in milliseconds since 1970.
    pub newest_ms: u64,
    /// What is to be said of it.
    pub state: SegmentState,
}

/// The numbers in the head of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHead {
    /// Id of the log.
    pub log: u128,
    /// The number that the checksums of its frames begin with.
    pub generation: u64,
    /// Its first sequence number.
    pub first: u64,
    /// How many times the log had been opened when it was made.
    pub life: u64,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

/// What is to be said of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SegmentState {
    /// Every record up to the next segment is readable.
    Whole,
    /// The last one: bytes behind its last record were being written when the machine or the process ended.
    Torn,
    /// One of the two copies of its head is damaged; the other one is used, and its records are readable.
    HalfHead,
    /// Durable bytes are damaged or missing.
    Damaged(Corruption),
    /// A newer file begins with the same record and holds what is in it.
    Superseded,
    /// It was written by a later version, which is named.
    Newer(u32),
    /// It was made with the name that is given.
    Misnamed(String),
}

/// Says what is in each file of a log, oldest record first.
///
/// # Errors
///
/// The file system says no. A file that is damaged is no error.
pub fn stat(disk: &dyn Disk) -> io::Result<Vec<SegmentStat>> {
    let (found, unreadable) = heads(disk)?;
    let (kept, superseded) = split(found);
    let mut stats = Vec::new();
    for (name, bytes, state) in unreadable {
        let (records, used, watermark, newest_ms) = (0, 0, 0, 0);
        stats.push(SegmentStat { name, bytes, head: None, records, used, watermark, newest_ms, state });
    }
    for segment in superseded {
        stats.push(stat_of(&segment, None, Some(SegmentState::Superseded))?);
    }
    let mut firsts = kept.iter().skip(1).map(|segment| segment.head.first);
    for segment in &kept {
        let made_as = name_of(segment);
        let state = (segment.name != made_as).then_some(SegmentState::Misnamed(made_as));
        stats.push(stat_of(segment, firsts.next(), state)?);
    }
    stats.sort_by_key(|stat| stat.head.map(|head| (head.first, head.life)));
    Ok(stats)
}

fn stat_of(segment: &Segment, until: Option<u64>, state: Option<SegmentState>) -> io::Result<SegmentStat> {
    let bytes = segment::load(segment)?;
    let mut newest_ms = 0;
    let walk =
        segment::walk(&bytes, &segment.head, until, &mut |_, at_ms, _| newest_ms = newest_ms.max(at_ms));
    let checked = check(segment, &walk, until, bytes.len() as u64);
    let state = match (Head::read(&bytes), state, checked) {
        (_, Some(state), _) => state,
        (_, _, Err(OpenError::Corrupt(found))) => SegmentState::Damaged(found),
        (Err(_), _, _) => SegmentState::HalfHead,
        _ if walk.beyond.is_some() => SegmentState::Torn,
        _ => SegmentState::Whole,
    };
    let Head { log, generation, first, life, created_ms, .. } = segment.head;
    let head = Some(SegmentHead { log, generation, first, life, created_ms });
    let (name, records, used) = (segment.name.clone(), walk.end - first, walk.offset);
    let (bytes, watermark) = (bytes.len() as u64, walk.watermark);
    Ok(SegmentStat { name, bytes, head, records, used, watermark, newest_ms, state })
}

/// The name that a segment was made with.
fn name_of(segment: &Segment) -> String {
    segment::name(segment.head.first, segment.head.life)
}

/// Segments whose head can be read from one copy at least, and the other files: name, length, why.
type Heads = (Vec<Segment>, Vec<(String, u64, SegmentState)>);

fn heads(disk: &dyn Disk) -> io::Result<Heads> {
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    for name in disk.names()?.into_iter().filter(|name| segment::is_segment(name)) {
        let file = disk.open(&name)?;
        match Head::read(&file.read_up_to(HEAD as usize, 0)?) {
            Ok(head) | Err(BadHead::Damaged(Some(head))) => {
                found.push(Segment { name, file, head, index: Vec::new() });
            }
            Err(BadHead::Newer(version)) => {
                unreadable.push((name, file.length()?, SegmentState::Newer(version)));
            }
            Err(BadHead::Damaged(None)) => {
                let (segment, first) = (name.clone(), segment::first_in(&name));
                let corruption = Corruption { segment, offset: 0, first, next: None };
                unreadable.push((name, file.length()?, SegmentState::Damaged(corruption)));
            }
        }
    }
    // Of two files with the same head, the one with its own name is the log's and the other one a copy.
    found.sort_by_key(|segment| (segment.head.first, segment.head.life, segment.name == name_of(segment)));
    Ok((found, unreadable))
}

/// What [`salvage`] could read and what not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Records that were read.
    pub records: u64,
    /// What could not be read, in order: a range may end with no number, at the end of the log.
    pub damaged: Vec<Corruption>,
    /// Files that were left out: of another log, of a later version, with the head of another file, or unreadable.
    pub left_out: Vec<String>,
}

/// Reads every readable record of a damaged log, in order, and calls `each` with its number, its time and its bytes.
/// Nothing on the disk is changed.
///
/// A frame is read if its checksum is right and its number is above those read before, whatever lies between. What is
/// behind the last record may be a torn tail or damage; it is reported in either case.
///
/// # Errors
///
/// The file system says no. A file that is damaged is no error.
pub fn salvage(disk: &dyn Disk, each: &mut dyn FnMut(u64, u64, &[u8])) -> io::Result<Salvaged> {
    let (found, unreadable) = heads(disk)?;
    let mut salvaged = Salvaged::default();
    salvaged.left_out.extend(unreadable.into_iter().map(|(name, _, _)| name));
    // The log is that of most files; one from elsewhere has been put there.
    let count = |log: u128| found.iter().filter(|segment| segment.head.log == log).count();
    let log = found.iter().map(|segment| segment.head.log).max_by_key(|&log| count(log));
    let (own, foreign): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|segment| Some(segment.head.log) == log);
    salvaged.left_out.extend(foreign.into_iter().map(|segment| segment.name));
    let (kept, superseded) = split(own);
    let copies = superseded.into_iter().filter(|segment| segment.name != name_of(segment));
    salvaged.left_out.extend(copies.map(|segment| segment.name));
    let mut expected = kept.first().map_or(0, |segment| segment.head.first);
    let mut behind = None;
    for segment in &kept {
        if let Some((name, offset)) = behind.take().filter(|_| segment.head.first > expected) {
            salvaged.lost(name, offset, expected, Some(segment.head.first));
        }
        let bytes = segment::load(segment)?;
        if Head::read(&bytes).is_err() {
            salvaged.damaged.push(damaged_head(&segment.name, segment.head.first));
        }
        expected = expected.max(segment.head.first);
        let (offset, closed) = salvaged.frames(segment, &bytes, &mut expected, each);
        behind = Some((&segment.name, offset));
        let cut = closed || (bytes.len() as u64) < segment.head.size;
        let last = kept.last().is_some_and(|last| last.name == segment.name);
        if last && (cut || !segment::is_end(&bytes, offset as usize)) {
            salvaged.lost(&segment.name, offset, expected, None);
        }
    }
    salvaged.left_out.sort();
    Ok(salvaged)
}

impl Salvaged {
    fn lost(&mut self, segment: &str, offset: u64, first: u64, next: Option<u64>) {
        self.damaged.push(Corruption { segment: segment.to_owned(), offset, first, next });
    }

    /// Reads the frames of one segment, and says where the last one ends and whether it says that a segment follows.
    fn frames(
        &mut self,
        segment: &Segment,
        bytes: &[u8],
        expected: &mut u64,
        each: &mut dyn FnMut(u64, u64, &[u8]),
    ) -> (u64, bool) {
        let (mut at, mut end, mut closed) = (HEAD as usize, HEAD, false);
        while let Some(frame) = segment::later(bytes, segment.head.generation, &mut at, *expected) {
            if at as u64 != end {
                self.lost(&segment.name, end, *expected, Some(frame.first));
            }
            for (number, (from, to)) in (frame.first..).zip(frame.spans()) {
                each(number, frame.at_ms, frame.body.get(from as usize..to as usize).unwrap_or_default());
                self.records += 1;
            }
            *expected = frame.end();
            closed = frame.closing;
            at += frame.size() as usize;
            end = at as u64;
        }
        (end, closed)
    }
}
