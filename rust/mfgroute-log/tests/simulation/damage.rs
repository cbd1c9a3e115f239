//! Damage to the files of a log, one kind at a time, through the code that opens it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use mfgroute_log::{
    Disk, DiskFile, Frame, Keeper, OpenError, Options, SegmentState, Store, Verified, Writer, open, salvage,
    stat, verify,
};

use crate::number;
use mfgroute_log::testing::{Dice, Machine};

pub(crate) const SEGMENT: u64 = 16 * 1024;
const PAGE: usize = 4096;

type Files = BTreeMap<String, Arc<Vec<u8>>>;

/// Files that can only be read.
struct Shelf(Files);

struct Book(Arc<Vec<u8>>);

fn no<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Disk for Shelf {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.keys().cloned().collect())
    }
    fn create(&self, _: &str) -> io::Result<Arc<dyn DiskFile>> {
        no()
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(Book(self.0.get(name).ok_or(io::ErrorKind::NotFound)?.clone())))
    }
    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        no()
    }
    fn remove(&self, _: &str) -> io::Result<()> {
        no()
    }
    fn sync_names(&self) -> io::Result<()> {
        no()
    }
    fn free(&self) -> io::Result<u64> {
        no()
    }
    fn folder(&self, _: &str) -> io::Result<Arc<dyn Disk>> {
        no()
    }
}

impl DiskFile for Book {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let rest = self.0.get(at as usize..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        no()
    }
    fn sync(&self) -> io::Result<()> {
        no()
    }
}

pub(crate) fn options(seed: u64) -> Options {
    Options { segment_bytes: SEGMENT, reserve_bytes: 0, tail_bytes: 0, seed: Some(seed), wall: || 9 }
}

/// A log of four segments of 16 KiB, one of them recycled, with a last group that nothing attests.
struct Sample {
    files: Files,
    /// The files after each group.
    earlier: Vec<Files>,
    records: Vec<(u64, Vec<u8>)>,
    first: u64,
    sealed: u64,
}

fn files(machine: &Machine) -> Files {
    machine.files().into_iter().map(|(name, bytes)| (name, Arc::new(bytes))).collect()
}

/// Makes a segment ready, unless one is.
pub(crate) fn make_ready(writer: &mut Writer, keeper: &mut Keeper, store: &mut Store) {
    while store.spares() == 0 {
        if let Some(spare) = keeper.prepare(SEGMENT).unwrap() {
            writer.add_spare(spare);
            store.add_spares(1);
        }
    }
}

fn sample(seed: u64) -> Sample {
    let machine = Machine::new(Dice::new(seed));
    let mut dice = Dice::new(seed + 1);
    let (mut writer, mut keeper, mut store, _) =
        open(machine.disk(), &options(seed), &mut |_, _, _| ()).unwrap();
    let (mut records, mut earlier, mut frame, mut used) = (Vec::new(), Vec::new(), Frame::new(), 0);
    loop {
        make_ready(&mut writer, &mut keeper, &mut store);
        for _ in 0..=dice.below(2) {
            frame.clear();
            for _ in 0..=dice.below(3) {
                let bytes: Vec<u8> = (0..dice.below(400)).map(|_| dice.draw() as u8).collect();
                frame.push(&bytes);
                records.push((5, bytes));
            }
            store.append(&frame, 5).unwrap();
        }
        let group = store.take_pending();
        let written = writer.write(&group).unwrap();
        let (last, bytes) = (store.boundaries().last(), written.bytes);
        store.committed(written);
        used = if store.boundaries().last() == last { used + bytes } else { 0 };
        let bounds: Vec<u64> = store.boundaries().collect();
        if store.first_seq() == 0 && bounds.len() == 3 {
            // There is no spare segment now, so this one becomes the next.
            for name in store.free_to(bounds[0]) {
                let spare = keeper.retire(&name, store.spares() < 2).unwrap();
                store.add_spares(u64::from(spare.is_some()));
                if let Some(spare) = spare {
                    writer.add_spare(spare);
                }
            }
        }
        earlier.push(files(&machine));
        // The end: a group in the third page of frames of the fourth segment.
        let whole = store.boundaries().count() == 3 && store.first_seq() > 0;
        if whole && used > 2 * PAGE as u64 {
            break;
        }
        if dice.once_in(3) && store.begin_seal() {
            store.committed(writer.seal().unwrap());
        }
    }
    let files = earlier.pop().unwrap();
    Sample { files, earlier, records, first: store.first_seq(), sealed: store.sealed() }
}

/// What opening says of damaged files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Same,
    /// Only records that nothing attests are gone, and that is said.
    Torn,
    /// The same, and nothing can tell it from a log that ended there.
    Shorter,
    Refused,
}

impl Sample {
    fn next(&self) -> u64 {
        self.records.len() as u64
    }

    fn with(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Shelf {
        let mut files = self.files.clone();
        change(Arc::make_mut(files.get_mut(name).unwrap()));
        Shelf(files)
    }

    fn names(&self) -> Vec<String> {
        self.files.keys().filter(|name| name.contains(".log")).cloned().collect()
    }

    fn check(&self, seq: u64, at_ms: u64, bytes: &[u8]) {
        assert_eq!(self.records[seq as usize], (at_ms, bytes.to_vec()), "record {seq}");
    }

    /// Opens damaged files: a changed record, a lost one that was attested or a panic fails the test.
    fn judge(&self, shelf: &Shelf, what: &str) -> Verdict {
        self.judge_to(shelf, self.sealed, what)
    }

    /// The same where records from `sealed` on may be gone.
    fn judge_to(&self, shelf: &Shelf, sealed: u64, what: &str) -> Verdict {
        match verify(shelf) {
            Ok(Verified { first, next, .. }) if (first, next) == (self.first, self.next()) => Verdict::Same,
            Ok(Verified { first, next, torn, .. }) => {
                assert!(first == self.first && next < self.next() && next >= sealed, "{what}: to {next}");
                if torn.is_some() { Verdict::Torn } else { Verdict::Shorter }
            }
            Err(OpenError::Corrupt(found)) => {
                assert!(self.files.contains_key(&found.segment), "{what}: {found}");
                assert!(
                    found.offset <= SEGMENT && found.next.is_none_or(|next| next >= found.first),
                    "{what}"
                );
                Verdict::Refused
            }
            // With the head of another one.
            Err(OpenError::Misnamed { .. }) => Verdict::Refused,
            Err(other) => panic!("{what}: {other}"),
        }
    }

    /// Reads what is readable; says how many attested records are not.
    fn salvaged(&self, shelf: &Shelf) -> u64 {
        let mut read = Vec::new();
        let salvaged = salvage(shelf, &mut |seq, at_ms, bytes| {
            self.check(seq, at_ms, bytes);
            read.push(seq);
        })
        .unwrap();
        assert!(read.is_sorted_by(|a, b| a < b) && salvaged.records == read.len() as u64);
        let missing = (self.first..self.sealed).filter(|seq| read.binary_search(seq).is_err());
        let lost = |seq: &u64| {
            let covers = |lost: &&mfgroute_log::Corruption| {
                lost.first <= *seq && lost.next.is_none_or(|next| *seq < next)
            };
            salvaged.damaged.iter().any(|lost| covers(&lost)) || !salvaged.left_out.is_empty()
        };
        missing.inspect(|seq| assert!(lost(seq), "record {seq} is missing in silence")).count() as u64
    }
}

#[test]
fn the_sample_is_what_the_tests_need() {
    let sample = sample(1);
    let shelf = Shelf(sample.files.clone());
    assert_eq!(sample.names().len(), 4);
    assert_eq!(sample.judge(&shelf, "untouched"), Verdict::Same);
    assert!(sample.sealed < sample.next() && sample.first > 0);
    let mut count = sample.first;
    salvage(&shelf, &mut |seq, at_ms, bytes| {
        sample.check(seq, at_ms, bytes);
        assert_eq!(seq, count);
        count += 1;
    })
    .unwrap();
    assert_eq!(count, sample.next());
    let stats = stat(&shelf).unwrap();
    assert_eq!(stats.iter().map(|stat| stat.records).sum::<u64>(), sample.next() - sample.first);
    assert!(stats.iter().all(|stat| stat.state == mfgroute_log::SegmentState::Whole), "{stats:?}");
    let active = Arc::clone(&sample.files[sample.names().last().unwrap()]);
    let used = stats.last().unwrap().used as usize;
    assert!(active[used + 40..].iter().any(|&byte| byte != 0), "the last segment is a recycled one");
}

#[test]
fn every_flipped_bit_is_found_or_harmless() {
    let sample = sample(1);
    let all = number("MFGROUTE_HISTORIES").is_some();
    let mut verdicts = BTreeMap::new();
    for name in sample.names() {
        for at in 0..SEGMENT as usize {
            let bits = if all { 0..8 } else { at % 8..at % 8 + 1 };
            for bit in bits {
                let shelf = sample.with(&name, |bytes| bytes[at] ^= 1 << bit);
                let verdict = sample.judge(&shelf, &format!("bit {bit} of byte {at} of {name}"));
                *verdicts.entry(verdict).or_insert(0) += 1;
                if verdict == Verdict::Refused && (all || at % 16 == 0) {
                    // No more than the one frame: four records.
                    assert!(sample.salvaged(&shelf) <= 4, "byte {at} of {name}");
                }
                assert!(verdict != Verdict::Shorter, "byte {at} of {name}: gone without a word");
            }
        }
    }
    println!("{verdicts:?}");
    assert!(verdicts.len() == 3 && verdicts.values().all(|&count| count > 100), "{verdicts:?}");
}

#[test]
fn one_copy_of_a_head_is_enough_and_the_damaged_one_is_named() {
    let sample = sample(1);
    for name in sample.names() {
        for at in (0..PAGE).step_by(7) {
            let what = format!("byte {at} of {name}");
            let shelf = sample.with(&name, |bytes| bytes[at] ^= 0x41);
            assert_eq!(sample.judge(&shelf, &what), Verdict::Same, "{what}");
            assert_eq!(verify(&shelf).unwrap().half_heads, [name.as_str()], "{what}");
            let stats = stat(&shelf).unwrap();
            let state = |name: &str| &stats.iter().find(|stat| stat.name == name).unwrap().state;
            assert_eq!(*state(&name), SegmentState::HalfHead, "{what}");
            // Both copies at once are too much.
            let shelf = sample.with(&name, |bytes| {
                bytes[at] ^= 0x41;
                bytes[(at + PAGE / 2) % PAGE] ^= 0x40;
            });
            assert_eq!(sample.judge(&shelf, &what), Verdict::Refused, "{what}");
        }
    }
    // A whole copy under another name than its own is not trusted.
    let (first, last) = (&sample.names()[0], &sample.names()[3]);
    let head = sample.files[first][..PAGE].to_vec();
    let shelf = sample.with(last, |bytes| {
        bytes[..PAGE].copy_from_slice(&head);
        bytes[9] ^= 1;
    });
    assert_eq!(sample.judge(&shelf, "the head of another"), Verdict::Refused);
}

#[test]
fn opening_with_half_a_head_says_so_and_makes_the_last_one_anew() {
    let machine = Machine::new(Dice::new(3));
    let (mut writer, _, mut store, _) = open(machine.disk(), &options(3), &mut |_, _, _| ()).unwrap();
    let mut frame = Frame::new();
    frame.push(b"a record");
    store.append(&frame, 5).unwrap();
    let group = store.take_pending();
    store.committed(writer.write(&group).unwrap());
    drop((writer, store));
    let disk = machine.disk();
    let name = disk.names().unwrap().into_iter().find(|name| name.contains(".log")).unwrap();
    disk.open(&name).unwrap().write_all_at(b"?", 100).unwrap();
    let mut read = 0;
    let (.., report) = open(machine.disk(), &options(4), &mut |_, _, bytes| {
        assert_eq!(bytes, b"a record");
        read += 1;
    })
    .unwrap();
    assert_eq!((read, report.half_heads.as_slice()), (1, [name].as_slice()));
    let (.., report) = open(machine.disk(), &options(5), &mut |_, _, _| ()).unwrap();
    assert_eq!(report.half_heads, [""; 0]);
}

#[test]
fn every_truncated_length_is_refused_or_harmless() {
    let sample = sample(1);
    let names = sample.names();
    for name in &names {
        for length in 0..SEGMENT as usize {
            let shelf = sample.with(name, |bytes| bytes.truncate(length));
            let verdict = sample.judge(&shelf, &format!("{name} cut to {length}"));
            let last = names.last() == Some(name);
            assert!(
                verdict == Verdict::Refused || !last && verdict == Verdict::Same,
                "{name} cut to {length}"
            );
            if length % 64 == 0 {
                sample.salvaged(&shelf);
            }
        }
    }
}

#[test]
fn a_page_that_is_zeroed_swapped_or_old_is_found() {
    let sample = sample(1);
    let pages = || (0..SEGMENT as usize).step_by(PAGE);
    let mut refused = 0;
    for name in sample.names() {
        for at in pages() {
            // In the page in which the log ends, all that attests its last records is gone with them.
            let ends = stat(&Shelf(sample.files.clone())).unwrap().pop().unwrap();
            let last = ends.name == name && at as u64 / PAGE as u64 == ends.used / PAGE as u64;
            let mut judge = |what: &str, page: &[u8]| {
                let shelf = sample.with(&name, |bytes| bytes[at..at + PAGE].copy_from_slice(page));
                let what = format!("{what} at {at} of {name}");
                if last {
                    let first = ends.head.unwrap().first;
                    sample.judge_to(&shelf, first + 1, &what);
                    return;
                }
                let verdict = sample.judge(&shelf, &what);
                sample.salvaged(&shelf);
                refused += u64::from(verdict == Verdict::Refused);
            };
            judge("zeros", &[0; PAGE]);
            for other in sample.names() {
                pages().for_each(|from| judge("swapped", &sample.files[&other][from..from + PAGE]));
            }
            for earlier in &sample.earlier {
                if let Some(old) = earlier.get(&name) {
                    judge("lost write", &old[at..at + PAGE]);
                }
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn a_segment_that_is_missing_renamed_copied_or_foreign_is_refused_by_name() {
    let sample = sample(1);
    let names = sample.names();
    // The oldest may go: that is how a log is freed.
    for name in &names[1..] {
        let mut files = sample.files.clone();
        files.remove(name);
        let shelf = Shelf(files);
        assert_eq!(sample.judge(&shelf, name), Verdict::Refused, "{name} is missing");
        sample.salvaged(&shelf);
    }
    for name in &names {
        for copy in [false, true] {
            let mut files = sample.files.clone();
            let bytes = files.remove(name).unwrap();
            if copy {
                files.insert(name.clone(), bytes.clone());
            }
            let other = name.replace("-000001", "-000009");
            files.insert(other.clone(), bytes);
            match verify(&Shelf(files.clone())) {
                Err(OpenError::Misnamed { segment, made_as }) => {
                    assert_eq!((segment, &made_as), (other, name));
                }
                unexpected => panic!("{unexpected:?}"),
            }
            assert_eq!(sample.salvaged(&Shelf(files)), 0);
        }
    }
    let foreign = self::sample(2);
    for name in foreign.names() {
        let mut files = sample.files.clone();
        if files.insert(name.clone(), foreign.files[&name].clone()).is_none() {
            let opened = verify(&Shelf(files.clone()));
            assert!(matches!(opened, Err(OpenError::Foreign { .. } | OpenError::Corrupt(_))), "{opened:?}");
            sample.salvaged(&Shelf(files));
        }
    }
}

#[test]
fn a_later_format_is_refused_and_not_touched() {
    let sample = sample(1);
    for name in sample.names() {
        let shelf = sample.with(&name, |bytes| {
            for block in [0, 2048] {
                bytes[block + 8] = 2;
                let sum = crc32c::crc32c(&bytes[block..block + 12]);
                let sum = crc32c::crc32c_append(sum, &bytes[block + 16..block + 2048]);
                bytes[block + 12..block + 16].copy_from_slice(&sum.to_le_bytes());
            }
        });
        let opened = verify(&shelf);
        assert!(
            matches!(&opened, Err(OpenError::Newer { segment, version: 2 }) if *segment == name),
            "{opened:?}"
        );
        let stats = stat(&shelf).unwrap();
        assert!(stats.iter().any(|stat| stat.name == name && stat.head.is_none()), "{stats:?}");
        sample.salvaged(&shelf);
    }
}
