//! Opening a log: what is readable, what was torn, what is damaged; and a clean last segment.
//!
//! The last segment is always written anew and synced before anything of it is shown: after an input/output error the
//! page cache shows bytes that the platter does not have, and only a new file can be told from the old one.

use std::io;
use std::sync::Arc;

use crate::chance::Chance;
use crate::disk::{Disk, DiskFile};
use crate::error::{Corruption, OpenError};
use crate::format::{self, FRAME, HEAD, Head};
use crate::keeper::{Keeper, Spare};
use crate::mutant::{self, Mutant};
use crate::segment::{self, Beyond, Segment, Walk};
use crate::{Options, Store, Writer};

/// The folder of torn tails, in that of the log.
const QUARANTINE: &str = "quarantine";

/// What opening a log has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How often the log has been opened, this time included.
    pub life: u64,
    /// Records that are readable.
    pub records: u64,
    /// A torn tail, of which nothing had been acknowledged.
    pub torn: Option<Torn>,
    /// Segments of which one of the two copies of the head was damaged; the other one was used. The last segment has
    /// been written anew since.
    pub half_heads: Vec<String>,
    /// Files that are not needed any more and were taken away.
    pub removed: Vec<String>,
    /// All files in the folder `quarantine`. An opening that did not come to its end may have put a torn tail there that
    /// no report names.
    pub quarantined: Vec<String>,
}

/// Bytes of writes that were under way when the machine or the process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The segment.
    pub segment: String,
    /// Where in it.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
    /// The file in the folder `quarantine` that holds them.
    pub kept: String,
}

/// Opens the log of a folder, or starts one. `each` is called with the number, the time and the bytes of every
/// record, in order.
///
/// # Errors
///
/// Durable records are damaged or missing, the format is newer, a segment is of another log, or the file system says
/// no. Nothing has been deleted then.
pub fn open(
    disk: Arc<dyn Disk>,
    options: &Options,
    each: &mut dyn FnMut(u64, u64, &[u8]),
) -> Result<(Writer, Keeper, Store, Report), OpenError> {
    let mut chance = Chance::new(options.seed);
    let Found { mut segments, superseded, half_heads, last, next } = read(&*disk, each)?;
    let log = segments.first().map_or_else(|| chance.wide(), |segment| segment.head.log);
    let lives = segments.iter().chain(&superseded).map(|segment| segment.head.life);
    let life = lives.max().unwrap_or(0) + 1;
    let records = next - segments.first().map_or(next, |segment| segment.head.first);
    let mut report = Report { life, records, half_heads, ..Report::default() };
    let old = segments.pop();
    let spares = tidy(&*disk, options)?;
    let mut maker = Maker { disk: &disk, options, log, life, chance: &mut chance, spares };
    let active = maker.renew(old.as_ref(), &last, &mut report)?;
    report.quarantined = disk.folder(QUARANTINE)?.names()?;
    report.quarantined.sort();
    let mut retired: Vec<Segment> = superseded;
    retired.extend(old.filter(|old| old.name != active.segment.name));
    for segment in retired {
        disk.remove(&segment.name)?;
        disk.sync_names()?;
        report.removed.push(segment.name);
    }
    let spares = std::mem::take(&mut maker.spares);
    segments.push(active.segment.clone());
    let store = Store::new(segments, next, options, active.left(), spares.len() as u64);
    let keeper = Keeper::new(Arc::clone(&disk), options.clone(), life);
    let spares = spares.into_iter().map(Spare).collect();
    let writer = Writer::new(disk, options.clone(), (log, life, chance), active, next, spares);
    Ok((writer, keeper, store, report))
}

/// A log as it was read.
pub(crate) struct Found {
    pub(crate) segments: Vec<Segment>,
    /// Older files of which a later one holds all that is in them.
    superseded: Vec<Segment>,
    /// Segments of which one copy of the head is damaged.
    pub(crate) half_heads: Vec<String>,
    pub(crate) last: Last,
    /// The sequence number behind the last record.
    next: u64,
}

/// Reads a whole log and changes nothing.
pub(crate) fn read(disk: &dyn Disk, each: &mut dyn FnMut(u64, u64, &[u8])) -> Result<Found, OpenError> {
    let segment::Opened { segments, half_heads } = segment::open_all(disk)?;
    let (mut segments, superseded) = split(segments);
    let mut next = segments.first().map_or(0, |segment| segment.head.first);
    let (mut last, mut bytes) = (Last::default(), Vec::new());
    for number in 0..segments.len() {
        let until = segments.get(number + 1).map(|next| next.head.first);
        let Some(segment) = segments.get_mut(number) else { break };
        segment::load_into(segment, &mut bytes)?;
        let walk = segment::walk(&bytes, &segment.head, until, each);
        check(segment, &walk, until, bytes.len() as u64)?;
        segment.index.clone_from(&walk.index);
        next = walk.end;
        if until.is_none() {
            last = Last { bytes: std::mem::take(&mut bytes), walk };
        }
    }
    Ok(Found { segments, superseded, half_heads, last, next })
}

/// Takes those out of which every record stands in a later segment.
pub(crate) fn split(found: Vec<Segment>) -> (Vec<Segment>, Vec<Segment>) {
    let (mut kept, mut superseded) = (Vec::<Segment>::new(), Vec::new());
    for segment in found {
        if kept.last().is_some_and(|last| last.head.first == segment.head.first) {
            superseded.extend(kept.pop());
        }
        kept.push(segment);
    }
    (kept, superseded)
}

/// Tells corruption from a torn tail.
pub(crate) fn check(
    segment: &Segment,
    walk: &Walk,
    until: Option<u64>,
    length: u64,
) -> Result<(), OpenError> {
    let next = walk.beyond.and_then(|beyond| beyond.next);
    // A last segment that says that another one follows, or is shorter than it was made: the rest is gone.
    let cut = until.is_none() && (walk.closed || length < segment.head.size);
    let missing = until.is_some_and(|until| walk.end != until) || cut;
    // A frame that goes on where the records end was written after what is unreadable had been synced: only a frame
    // without records can stand between the two, and that is a group of its own.
    let known =
        walk.beyond.is_some_and(|beyond| beyond.watermark > walk.end || beyond.next == Some(walk.end));
    if mutant::is(Mutant::SkipBad) || mutant::is(Mutant::CutBelowWatermark) && until.is_none() {
        return Ok(());
    }
    if missing || known {
        let (segment, offset) = (segment.name.clone(), walk.offset);
        let corruption = Corruption { segment, offset, first: walk.end, next: next.or(until) };
        return Err(OpenError::Corrupt(corruption));
    }
    Ok(())
}

/// Removes what was never part of the log, and lists spare files of the right size.
fn tidy(disk: &dyn Disk, options: &Options) -> io::Result<Vec<String>> {
    let mut spares = Vec::new();
    for name in disk.names()? {
        let fits = || Ok::<_, io::Error>(disk.open(&name)?.length()? == options.segment_bytes);
        if segment::is_unfinished(&name) || segment::is_spare(&name) && (spares.len() >= 2 || !fits()?) {
            disk.remove(&name)?;
        } else if segment::is_spare(&name) {
            spares.push(name);
        }
    }
    disk.sync_names()?;
    spares.sort();
    Ok(spares)
}

/// The last segment as it was read.
#[derive(Default)]
pub(crate) struct Last {
    bytes: Vec<u8>,
    pub(crate) walk: Walk,
}

/// The segment that is written to.
pub(crate) struct Active {
    pub(crate) segment: Segment,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    /// Records below are on the platter.
    pub(crate) durable: u64,
}

impl Active {
    /// Bytes that frames can still take; the closing frame has its room besides.
    pub(crate) fn left(&self) -> u64 {
        self.size.saturating_sub(self.offset + FRAME as u64)
    }
}

struct Maker<'a> {
    disk: &'a Arc<dyn Disk>,
    options: &'a Options,
    log: u128,
    life: u64,
    chance: &'a mut Chance,
    spares: Vec<String>,
}

impl Maker<'_> {
    /// A new last segment with the readable frames of the old one.
    fn renew(
        &mut self,
        old: Option<&Segment>,
        last: &Last,
        report: &mut Report,
    ) -> Result<Active, OpenError> {
        if let (Some(old), Some(beyond)) = (old, last.walk.beyond) {
            report.torn = Some(self.quarantine(old, last, beyond)?);
        }
        if let Some(old) = old.filter(|_| mutant::is(Mutant::TrustCache) || mutant::is(Mutant::KeepTorn)) {
            let torn = last.walk.beyond.filter(|_| mutant::is(Mutant::KeepTorn));
            let offset = torn.map_or(last.walk.offset, |beyond| beyond.end);
            let (durable, size) = (last.walk.end, old.file.length()?);
            return Ok(Active { segment: old.clone(), offset, size, durable });
        }
        let first = old.map_or(0, |old| old.head.first);
        let created_ms = (self.options.wall)();
        let (log, life) = (self.log, self.life);
        let generation = self.chance.draw();
        let mut head = Head { log, generation, first, life, created_ms, size: 0 };
        let (mut bytes, mut index) = (head.write(), Vec::new());
        if let Some(old) = old {
            copy(last, &old.head, &head, &mut bytes, &mut index);
        }
        // So that a later opening knows that everything up to here was durable.
        let end = old.map_or(0, |_| last.walk.end);
        let sealed = bytes.len();
        format::write_frame(head.generation, (end, end, created_ms), std::iter::empty(), &mut bytes);
        let (file, size, from) = self.file((bytes.len() + FRAME) as u64)?;
        let offset = bytes.len() as u64;
        head.size = size;
        bytes.splice(..HEAD as usize, head.write());
        format::write_end(size - offset, &mut bytes);
        file.write_all_at(bytes.get(..sealed).unwrap_or_default(), 0)?;
        if !mutant::is(Mutant::ShowBeforeSync) {
            file.sync()?;
        }
        file.write_all_at(bytes.get(sealed..).unwrap_or_default(), sealed as u64)?;
        if !mutant::is(Mutant::ShowBeforeSync) {
            file.sync()?;
        }
        let name = segment::name(first, life);
        self.disk.rename(&from, &name)?;
        if !mutant::is(Mutant::NoNameSync) {
            self.disk.sync_names()?;
        }
        let segment = Segment { name, file, head, index };
        Ok(Active { segment, offset, size, durable: end })
    }

    /// A file of the size of a segment: a spare one, or a new one; a smaller one where the disk has no more room.
    fn file(&mut self, needed: u64) -> io::Result<(Arc<dyn DiskFile>, u64, String)> {
        let size = self.options.segment_bytes;
        if needed <= size
            && let Some(name) = self.spares.pop()
        {
            return Ok((self.disk.open(&name)?, size, name));
        }
        let name = format!("{:06}.new", self.life);
        let file = self.disk.create(&name)?;
        let mut filled = 0;
        let zeros = vec![0; size.max(needed).min(1 << 20) as usize];
        while filled < size.max(needed) {
            let step = (size.max(needed) - filled).min(zeros.len() as u64);
            match file.write_all_at(zeros.get(..step as usize).unwrap_or_default(), filled) {
                Err(error) if error.kind() == io::ErrorKind::StorageFull && filled >= needed => break,
                other => other?,
            }
            filled += step;
        }
        Ok((file, filled, name))
    }

    fn quarantine(&self, old: &Segment, last: &Last, beyond: Beyond) -> io::Result<Torn> {
        let folder = self.disk.folder(QUARANTINE)?;
        let (offset, life) = (last.walk.offset, self.life);
        let kept = format!("{}-{offset}-{life:06}.torn", old.name.trim_end_matches(".log"));
        if folder.names()?.contains(&kept) {
            folder.remove(&kept)?;
        }
        let bytes = last.bytes.get(offset as usize..beyond.end as usize).unwrap_or_default();
        let file = folder.create(&kept)?;
        file.write_all_at(bytes, 0)?;
        file.sync()?;
        folder.sync_names()?;
        Ok(Torn { segment: old.name.clone(), offset, bytes: bytes.len() as u64, kept })
    }
}

/// Copies all readable frames into a segment of another generation.
fn copy(last: &Last, from: &Head, to: &Head, out: &mut Vec<u8>, index: &mut Vec<(u64, u64)>) {
    let mut at = HEAD as usize;
    let mut indexed = 0;
    while (at as u64) < last.walk.offset {
        let rest = last.bytes.get(at..).unwrap_or_default();
        let Some(frame) = format::Read::parse(rest, from.generation) else { break };
        let offset = out.len() as u64;
        if indexed == 0 || offset - indexed >= segment::INDEX_STEP {
            index.push((frame.first, offset));
            indexed = offset;
        }
        let records = frame
            .spans()
            .map(|(start, end)| frame.body.get(start as usize..end as usize).unwrap_or_default());
        format::write_frame(to.generation, (frame.first, frame.watermark, frame.at_ms), records, out);
        at += frame.size() as usize;
    }
}
