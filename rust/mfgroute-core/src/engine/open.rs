//! Opening a data folder: the node's own log first, then the streams it names.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use mfgroute_log::mutant::{self, Mutant};
use mfgroute_log::{Disk, Keeper, Options, Report, Spare, Writer};

use super::carried::{Key, read_key};
use super::config::{EngineOptions, InstallError, StreamConfig, StreamNo};
use super::fact::Fact;
use super::log::{DiskLog, Known, Log};
use super::node::Node;
use super::redo::Replay;
use super::sink::Sink;
use super::state::State;
use super::stored::Stored;
use super::stream::{Stream, limits};
use super::tidy::Which;

/// What the node's own log is called.
pub(crate) const NODE: &str = "_node";
/// Largest and smallest segment of a stream.
const SEGMENT: (u64, u64) = (256 << 10, 64 << 20);
/// Segments that a stream of full capacity has.
const SEGMENTS: u64 = 16;
/// A segment of the node's own log.
const NODE_SEGMENT: u64 = 4 << 20;
/// Room on the disk that streams leave to the node's own log, at least.
const RESERVE_MIN: u64 = 64 << 20;
/// Bytes of records of a stream that stay in memory.
const TAIL: u64 = 64 << 20;

/// What a durable stream takes of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes of a segment; an event must fit into one.
    pub segment: u64,
    /// Most bytes of one event, with what the log notes of it.
    pub event: u64,
    /// Most bytes of its segments: those of the capacity, the one that is written and one that is ready.
    pub takes: u64,
    /// Bytes that it leaves to the node's own log.
    pub reserve: u64,
}

impl Room {
    /// That of a stream of this capacity.
    #[must_use]
    pub fn of(capacity: u64) -> Self {
        let segment = segment_of(capacity);
        let takes = capacity.next_multiple_of(segment).saturating_add(2 * segment);
        let event = mfgroute_log::record_max(segment).min(capacity);
        Self { segment, event, takes, reserve: RESERVE_MIN.max(2 * segment) }
    }
}

/// The size of the segments of a stream of this capacity.
fn segment_of(capacity: u64) -> u64 {
    let (least, most) = SEGMENT;
    (capacity / SEGMENTS).clamp(least, most).next_multiple_of(4096)
}

/// What the engine is told about its disk.
#[derive(Clone, Debug, Default)]
pub struct DiskOptions {
    /// Size of the segments of streams, in bytes; made from their capacity if not given.
    pub segment_bytes: Option<u64>,
    /// Capacity of streams in bytes, by name: the node's log does not know it. A stream that is missing here takes
    /// nothing more.
    pub capacities: BTreeMap<String, u64>,
    /// Room that streams leave on the disk, in bytes: 64 MiB or two segments if not given.
    pub reserve_bytes: Option<u64>,
    /// Bytes of records that stay in memory for each stream; 64 MiB if not given.
    pub tail_bytes: Option<u64>,
    /// Seed of generations; random unless a test needs the same run twice.
    pub seed: Option<u64>,
    /// The wall clock that segments are marked with, in milliseconds since 1970; that of the machine if not given.
    pub wall: Option<fn() -> u64>,
}

/// Why a data folder does not open. Nothing was deleted or changed.
#[derive(Debug)]
pub struct OpenError {
    /// The stream, `_node` for the node's own log.
    pub stream: String,
    /// What was found.
    pub why: String,
    /// Of which kind that is.
    pub kind: OpenKind,
}

/// What kind of thing stands in the way of opening a data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenKind {
    /// The disk refuses.
    Disk,
    /// This user may not read or write it.
    Denied,
    /// It is no folder of this version: a symbolic link, a file, or written by a later version.
    Unfit,
    /// Bytes that were durable are damaged or missing.
    Damage,
}

impl OpenError {
    /// The file system says no.
    pub(crate) fn io(stream: &str, error: &std::io::Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::PermissionDenied => OpenKind::Denied,
            ErrorKind::NotADirectory => OpenKind::Unfit,
            _ => OpenKind::Disk,
        };
        Self { stream: stream.to_owned(), why: error.to_string(), kind }
    }

    fn log(stream: &str, error: &mfgroute_log::OpenError) -> Self {
        let kind = match error {
            mfgroute_log::OpenError::Io(error) => return Self::io(stream, error),
            mfgroute_log::OpenError::Newer { .. } => OpenKind::Unfit,
            _ => OpenKind::Damage,
        };
        Self { stream: stream.to_owned(), why: error.to_string(), kind }
    }

    fn damage(stream: &str, why: String) -> Self {
        Self { stream: stream.to_owned(), why, kind: OpenKind::Damage }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, why, .. } = self;
        write!(f, "the log of {stream} does not open: {why}")
    }
}

impl std::error::Error for OpenError {}

/// What opening a data folder has found, by stream.
pub type Reports = Vec<(String, Report)>;

/// The data folder of an engine.
pub(super) struct Home {
    disk: Arc<dyn Disk>,
    options: DiskOptions,
    /// Writers of logs that were opened, for the one who writes.
    pub(super) writers: Vec<(Which, Writer)>,
    /// Their keepers, for the one who tidies.
    pub(super) keepers: Vec<(Which, Keeper)>,
    /// Segments that are ready, for the one who writes. Their room is in the stores already.
    pub(super) spares: Vec<(Which, Spare)>,
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home").finish_non_exhaustive()
    }
}

fn wall() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

impl Home {
    fn log_options(&self, capacity: u64) -> Options {
        let segment_bytes = self.options.segment_bytes.unwrap_or_else(|| segment_of(capacity));
        let segment_bytes = segment_bytes.next_multiple_of(4096);
        let reserve_bytes = self.options.reserve_bytes.unwrap_or(RESERVE_MIN.max(2 * segment_bytes));
        let tail_bytes = self.options.tail_bytes.unwrap_or(TAIL);
        let wall = self.options.wall.unwrap_or(wall);
        Options { segment_bytes, reserve_bytes, tail_bytes, seed: self.options.seed, wall }
    }

    fn folder(&self, stream: &str) -> std::io::Result<Arc<dyn Disk>> {
        self.disk.folder("streams")?.folder(&folder_name(stream))
    }

    fn opened(&mut self, which: Which, writer: Writer, keeper: Keeper) {
        self.writers.push((which, writer));
        self.keepers.push((which, keeper));
    }

    /// The log of a stream that is new here.
    pub(super) fn new_log(
        &mut self,
        config: &StreamConfig,
        number: StreamNo,
    ) -> Result<(Log, u128), InstallError> {
        let failed = |why: String| InstallError::Log { stream: config.name.clone(), why };
        let folder = self.folder(&config.name).map_err(|error| failed(error.to_string()))?;
        let mut found = 0_u64;
        let options = self.log_options(config.capacity.bytes);
        let opened = mfgroute_log::open(folder, &options, &mut |_, _, _| found += 1);
        let (writer, keeper, store, _) = opened.map_err(|error| failed(error.to_string()))?;
        if found > 0 {
            let why = format!("it holds {found} records that the node's own log does not know");
            return Err(failed(why));
        }
        let id = writer.log();
        self.opened(Which::Stream(number), writer, keeper);
        let log = DiskLog::new(store, Known::default(), limits(config.capacity), config.keep_ms);
        Ok((Log::Disk(Box::new(log)), id))
    }
}

/// A folder name for a stream name, the same for no two.
fn folder_name(stream: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let part = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") };
    stream.bytes().map(part).collect()
}

impl State {
    /// The state of a data folder.
    pub(super) fn open(
        options: &EngineOptions,
        disk: Arc<dyn Disk>,
        disk_options: &DiskOptions,
    ) -> Result<(Self, Reports), OpenError> {
        let (writers, keepers, spares) = (Vec::new(), Vec::new(), Vec::new());
        let mut home = Home { disk, options: disk_options.clone(), writers, keepers, spares };
        let (mut state, node, report, bytes) = open_node(options, &mut home)?;
        let mut reports = vec![(NODE.to_owned(), report)];
        let is_new = state.streams.is_empty() && state.ordinal == 0 && node.next_seq() == 0;
        state.node = Some(Box::new(Node::new(node, bytes)));
        (state.facts.on, state.after.on) = (true, true);
        state.home = Some(home);
        state.carried.settle(options.dedup_window);
        let mut keys: Vec<VecDeque<Key>> = vec![state.carried.iter().map(read_key).collect()];
        let mut queued = vec![0; state.sinks.len()];
        for number in 0..state.streams.len() {
            if state.streams.get(number).is_some_and(|stream| stream.config.durable) {
                reports.push(state.open_stream(number, &mut queued, &mut keys)?);
            }
        }
        if !mutant::is(Mutant::DedupForgotten) {
            state.restore_keys(keys);
        }
        for (sink, queued) in state.sinks.iter_mut().zip(queued) {
            sink.facts.on = true;
            sink.sent_to = state.streams.iter().map(|stream| stream.log.next_seq()).collect();
            for (cursor, stream) in sink.cursors.iter_mut().zip(&state.streams) {
                cursor.skip_to(stream.log.finished_seq());
            }
            sink.doubt_copies();
            sink.retake(&state.streams)?;
            sink.refollow();
            sink.effects.show_all();
            sink.drop_effects();
            sink.doubt_copies();
            sink.recount(queued);
            sink.job.iter_mut().for_each(|job| job.begin_again());
        }
        state.named_streams = state.streams.len();
        if is_new {
            let (left, right) = state.lane_key;
            state.facts.note(&Fact::Seed(left, right));
        }
        Ok((state, reports))
    }

    fn open_stream(
        &mut self,
        number: usize,
        queued: &mut [u64],
        keys: &mut Vec<VecDeque<Key>>,
    ) -> Result<(String, Report), OpenError> {
        let Self { streams, sinks, home, dedup, ordinal, .. } = self;
        let (Some(stream), Some(home)) = (streams.get_mut(number), home.as_mut()) else {
            return Ok(Default::default());
        };
        let config = stream.config.clone();
        let (name, log_id) = (config.name.clone(), stream.log_id);
        let folder = home.folder(&name).map_err(|error| OpenError::io(&name, &error))?;
        let (mut known, mut owed, mut ids) = (Known::default(), VecDeque::new(), VecDeque::new());
        let mut each = |seq: u64, at_ms: u64, bytes: &[u8]| {
            let stored = Stored::read(bytes);
            let mut count = 0;
            for no in stored.sinks() {
                let sink = sinks.get(usize::from(no)).filter(|sink| sink.present);
                let cursor = sink.and_then(|sink| sink.cursors.get(number));
                if cursor.is_some_and(|cursor| !cursor.is_finished(seq)) {
                    count += 1;
                    queued.get_mut(usize::from(no)).into_iter().for_each(|queued| *queued += 1);
                }
            }
            known.add(seq, bytes.len(), at_ms);
            owed.push_back(count);
            *ordinal = (*ordinal).max(stored.ordinal + 1);
            if ids.len() >= dedup.capacity() {
                ids.pop_front();
            }
            ids.push_back((stored.ordinal, stored.id, stored.prints));
        };
        let capacity = home.options.capacities.get(&config.name).copied().unwrap_or(0);
        let options = home.log_options(capacity);
        let (writer, keeper, store, report) =
            mfgroute_log::open(folder, &options, &mut each).map_err(|error| OpenError::log(&name, &error))?;
        if log_id.is_some_and(|id| id != writer.log()) {
            let why = "its segments are gone, and others are in their place".to_owned();
            return Err(OpenError::damage(&name, why));
        }
        check_cursors(sinks, number, (store.first_seq(), store.next_seq()))
            .map_err(|why| OpenError::damage(&name, why))?;
        home.opened(Which::Stream(number as StreamNo), writer, keeper);
        let log = DiskLog::new(store, known, limits(config.capacity), config.keep_ms);
        *stream = Stream::on(config, Log::Disk(Box::new(log)), owed);
        stream.log_id = log_id;
        keys.push(ids);
        Ok((name, report))
    }

    /// Remembers identities again, in the order of admission.
    fn restore_keys(&mut self, mut keys: Vec<VecDeque<Key>>) {
        let mut last = None;
        loop {
            let next = |keys: &VecDeque<Key>| keys.front().map(|key| key.0);
            let oldest = keys.iter_mut().filter(|keys| !keys.is_empty()).min_by_key(|keys| next(keys));
            let Some((ordinal, id, prints)) = oldest.and_then(VecDeque::pop_front) else { return };
            // One that was about to leave its stream stands in both.
            if last.replace(ordinal) != Some(ordinal) {
                self.dedup.insert(id, prints);
            }
        }
    }
}

/// Facts are written after what they are about: a log that ends before them, or begins behind what is still to be
/// delivered, has lost records.
fn check_cursors(sinks: &[Sink], stream: usize, (first, next): (u64, u64)) -> Result<(), String> {
    for sink in sinks.iter().filter(|sink| sink.present) {
        let Some(cursor) = sink.cursors.get(stream) else { continue };
        let name = &sink.config.name;
        let last = cursor.finished_above().last().map_or(cursor.low(), |last| last + 1);
        if last > next {
            return Err(format!("it ends at record {next}, and sink {name} has had record {}", last - 1));
        }
        if cursor.low() < first && cursor.low() > 0 {
            return Err(format!(
                "it begins at record {first}, and sink {name} has had nothing from {} on",
                cursor.low()
            ));
        }
    }
    Ok(())
}

impl Sink {
    /// Events that come back from the parked ones may have been sent by an earlier life of the node, as those in the
    /// logs may.
    fn doubt_copies(&mut self) {
        let ids: Vec<_> = self.lanes.iter().map(|(id, _)| id).collect();
        for id in ids {
            self.lanes.change(id, |held| held.redelivered = true);
        }
    }

    /// Takes the events again that were taken before one that is parked or tried again: they come before it.
    fn retake(&mut self, streams: &[Stream]) -> Result<(), OpenError> {
        let tried = self.lanes.iter().map(|(_, held)| held.ordinal).max();
        let Some(limit) = self.parked.iter().last().map(|event| event.number).max(tried) else {
            return Ok(());
        };
        for (number, stream) in (0..).zip(streams) {
            while let Some(seq) = self.cursor(number).map(|cursor| cursor.next()) {
                let record = if seq < stream.log.visible() { stream.log.read(seq) } else { Ok(None) };
                // Without it, what was admitted later would come before it.
                let unreadable = |error: std::io::Error| OpenError::io(&stream.config.name, &error);
                let Some(record) = record.map_err(unreadable)? else { break };
                let stored = Stored::read(record.bytes());
                if stored.ordinal > limit {
                    break;
                }
                // However far: what finishes between may not be known any more, and the order of keys comes first.
                let _ = self.cursor(number).map(mfgroute_log::Cursor::retake);
                if stored.wants(self.no) {
                    let held = self.taken(stored.lane, stored.ordinal, number, seq);
                    self.lanes.add(held);
                } else {
                    let _ = self.cursor(number).map(|cursor| cursor.finish(seq));
                }
            }
        }
        Ok(())
    }
}

fn open_node(
    options: &EngineOptions,
    home: &mut Home,
) -> Result<(State, mfgroute_log::Store, Report, u64), OpenError> {
    let folder = home.disk.folder("node").map_err(|error| OpenError::io(NODE, &error))?;
    let mut replay = Replay::new(*options);
    let (mut unread, mut read) = (None, 0);
    let segment_bytes = home.options.segment_bytes.unwrap_or(NODE_SEGMENT);
    let wall = home.options.wall.unwrap_or(wall);
    let log_options =
        Options { segment_bytes, reserve_bytes: 0, tail_bytes: 0, seed: home.options.seed, wall };
    let mut each = |seq: u64, _: u64, bytes: &[u8]| {
        read += bytes.len() as u64;
        if unread.is_none() && !replay.fact(bytes) {
            unread = Some(seq);
        }
    };
    let (writer, keeper, store, report) =
        mfgroute_log::open(folder, &log_options, &mut each).map_err(|error| OpenError::log(NODE, &error))?;
    if let Some(seq) = unread {
        let why = format!("record {seq} is of a later version");
        return Err(OpenError { stream: NODE.to_owned(), why, kind: OpenKind::Unfit });
    }
    home.opened(Which::Node, writer, keeper);
    if replay.is_torn() {
        replay.state.facts.on = true;
        replay.state.facts.note(&Fact::Torn);
    }
    Ok((replay.state, store, report, read))
}

/// The durable streams that the node's own log knows, each with the id of its log, as far as that log is readable.
/// Nothing is changed.
///
/// # Errors
///
/// The file system says no.
pub fn known_streams(node: &dyn Disk) -> std::io::Result<Vec<(String, u128)>> {
    let mut replay = Replay::new(EngineOptions::default());
    mfgroute_log::salvage(node, &mut |_, _, bytes| {
        let _ = replay.fact(bytes);
    })?;
    let durable = replay.state.streams.iter().filter(|stream| stream.config.durable);
    Ok(durable.filter_map(|stream| Some((stream.config.name.clone(), stream.log_id?))).collect())
}
