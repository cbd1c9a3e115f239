//! What the node's own log says: one record for each thing that happened, and how it is written.
//!
//! A fact is a kind (1 byte) and its fields in order: numbers little-endian, texts and bytes with their length in four
//! bytes. What is read back was checked by the log; a fact that does not parse is of a later version and stops the
//! opening.

use mfgroute_log::Frame;

use super::booked::Booking;
use super::config::{SinkNo, SourceNo, StreamNo};
use super::effect::Stepped;
use super::fields::{In, Out};

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Named {
    MemoryStream = 0,
    DurableStream = 1,
    Sink = 2,
    Source = 3,
}

/// An event at a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) sink: SinkNo,
    pub(super) stream: StreamNo,
    pub(super) seq: u64,
    pub(super) ordinal: u64,
    /// Its bytes are held by the sink: its cursor has moved on.
    pub(super) copy: bool,
}

/// How an event ended: 0 delivered, 1 skipped, 2 dropped, 3 superseded by the event whose id is the text,
/// 4 skipped because another event takes it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End<'a> {
    pub(super) how: u8,
    pub(super) at_ms: u64,
    pub(super) id: u128,
    pub(super) lane: u64,
    pub(super) tries: u32,
    /// Reference or reason; absent and empty differ.
    pub(super) text: Option<&'a str>,
    pub(super) posted_as: Option<&'a str>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact<'a> {
    /// A checkpoint begins: what follows, up to its end, replaces everything before.
    Begin,
    /// It is whole.
    Whole,
    /// The one before never became whole, for the node ended meanwhile: what stands before it still holds.
    Torn,
    /// Key of the hash of lanes.
    Seed(u64, u64),
    /// Next place in the order of admission, and next number of a reject.
    Next { ordinal: u64, reject: u64 },
    /// A number and its name.
    Name { what: Named, number: u16, name: &'a str },
    /// A sink has finished everything below in a stream.
    Low { sink: SinkNo, stream: StreamNo, seq: u64 },
    /// A sink has finished this one above.
    Above { sink: SinkNo, stream: StreamNo, seq: u64 },
    /// A sink is paused, or goes on.
    Paused { sink: SinkNo, on: bool },
    /// A sink was taken away with everything it had.
    Removed { sink: SinkNo },
    /// An event ended at a sink.
    Ended { at: At, end: End<'a> },
    /// Only for the journal: an event ended at a sink, as an earlier fact said.
    Journal { at: At, end: End<'a> },
    /// A counted or uncounted try.
    Tried { at: At, tries: u32, attempts: u32 },
    /// An event waits for a person: cause 0 refused, 1 tries, 2 in doubt, 3 behind.
    Parked {
        at: At,
        cause: u8,
        code: &'a str,
        reason: &'a str,
        tries: u32,
        blocking: bool,
        redelivered: bool,
        at_ms: u64,
        admitted_ms: u64,
        /// Empty if it is a copy: then the sink has its bytes.
        record: &'a [u8],
    },
    /// A parked event is tried again.
    Unparked { sink: SinkNo, ordinal: u64 },
    /// A message was refused.
    Rejected { source: SourceNo, number: u64, at_ms: u64, rejects: &'a [u8], raw: &'a [u8], meta: &'a [u8] },
    /// Why a message is refused was found anew.
    Explained { source: SourceNo, number: u64, rejects: &'a [u8] },
    /// A rejected message was taken out.
    Taken { source: SourceNo, number: u64 },
    /// How far a source has read.
    Position { source: SourceNo, position: &'a [u8] },
    /// What a person did.
    Acted { at_ms: u64, who: &'a str, what: &'a str, on: &'a str, why: &'a str },
    /// Which log a durable stream has.
    Log { stream: StreamNo, id: u128 },
    /// A parked event ended, as another event took its place there: that one is parked behind whatever is before it.
    Edited { at: At, end: End<'a>, admitted_ms: u64, record: &'a [u8] },
    /// Identities of events that leave a stream: ordinal, id and both prints, 56 bytes each.
    Keys(&'a [u8]),
    /// A sink gets events of the past once more: when that began, what was asked for, events in a
    /// thousand seconds.
    Replay { sink: SinkNo, at_ms: u64, about: &'a str, rate: u32 },
    /// Events of that replay which have not ended, 26 bytes each.
    Chosen { sink: SinkNo, chosen: &'a [u8] },
    /// That replay is over.
    Replayed { sink: SinkNo },
    /// An effect of an event at a sink begins or goes on; what ends the delivery ends it.
    Effect { at: At, stepped: Stepped<'a> },
    /// A person has booked an event that waits at a sink, or takes that back.
    Booked { sink: SinkNo, booking: Booking<'a> },
    /// Only in a checkpoint: what a person has booked an event as.
    Document { sink: SinkNo, id: u128, document: &'a str },
    /// Only in a checkpoint: the effects of a sink follow, and the number of the first line.
    Effects { sink: SinkNo, first: u64 },
    /// Only in a checkpoint: the next line.
    Line { sink: SinkNo, line: &'a [u8] },
    /// Only in a checkpoint: an effect that has begun.
    Begun {
        at: At,
        id: u128,
        key: &'a str,
        request: &'a [u8],
        attempts: u32,
        first_ms: u64,
        last_ms: u64,
        accepted: Option<&'a str>,
        rests: bool,
    },
}

/// Facts that are written together.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) frame: Frame,
    /// Nothing is noted while this is false: nobody would read it.
    pub(super) on: bool,
}

impl Facts {
    pub(super) fn note(&mut self, fact: &Fact<'_>) {
        if self.on {
            self.frame.push_with(|out| fact.write(out));
        }
    }
}

impl Fact<'_> {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut out = Out(out);
        match self {
            Self::Begin => out.byte(0),
            Self::Whole => out.byte(1),
            Self::Torn => out.byte(22),
            Self::Seed(left, right) => out.byte(2).long(*left).long(*right),
            Self::Next { ordinal, reject } => out.byte(3).long(*ordinal).long(*reject),
            Self::Name { what, number, name } => {
                out.byte(4).byte(*what as u8).short(*number).bytes(name.as_bytes())
            }
            Self::Low { sink, stream, seq } => out.byte(5).short(*sink).short(*stream).long(*seq),
            Self::Above { sink, stream, seq } => out.byte(6).short(*sink).short(*stream).long(*seq),
            Self::Paused { sink, on } => out.byte(7).short(*sink).flag(*on),
            Self::Removed { sink } => out.byte(8).short(*sink),
            Self::Ended { at, end } => out.byte(9).at(at).end(end),
            Self::Journal { at, end } => out.byte(10).at(at).end(end),
            Self::Tried { at, tries, attempts } => out.byte(11).at(at).word(*tries).word(*attempts),
            Self::Parked {
                at,
                cause,
                code,
                reason,
                tries,
                blocking,
                redelivered,
                at_ms,
                admitted_ms,
                record,
            } => {
                out.byte(12).at(at).byte(*cause).bytes(code.as_bytes()).bytes(reason.as_bytes()).word(*tries);
                out.flag(*blocking).flag(*redelivered).long(*at_ms).long(*admitted_ms).bytes(record)
            }
            Self::Unparked { sink, ordinal } => out.byte(13).short(*sink).long(*ordinal),
            Self::Rejected { source, number, at_ms, rejects, raw, meta } => {
                out.byte(14).short(*source).long(*number).long(*at_ms).bytes(rejects).bytes(raw).bytes(meta)
            }
            Self::Taken { source, number } => out.byte(15).short(*source).long(*number),
            Self::Position { source, position } => out.byte(16).short(*source).bytes(position),
            Self::Acted { at_ms, who, what, on, why } => {
                out.byte(17).long(*at_ms);
                for text in [who, what, on, why] {
                    out.bytes(text.as_bytes());
                }
                &mut out
            }
            Self::Keys(keys) => out.byte(18).bytes(keys),
            Self::Edited { at, end, admitted_ms, record } => {
                out.byte(20).at(at).end(end).long(*admitted_ms).bytes(record)
            }
            Self::Explained { source, number, rejects } => {
                out.byte(21).short(*source).long(*number).bytes(rejects)
            }
            Self::Log { stream, id } => out.byte(19).short(*stream).id(*id),
            Self::Replay { sink, at_ms, about, rate } => {
                out.byte(30).short(*sink).long(*at_ms).bytes(about.as_bytes()).word(*rate)
            }
            Self::Chosen { sink, chosen } => out.byte(31).short(*sink).bytes(chosen),
            Self::Replayed { sink } => out.byte(32).short(*sink),
            Self::Effect { at, stepped } => {
                let Stepped { step, at_ms, id, key, request, about } = stepped;
                out.byte(40).at(at).byte(*step as u8).long(*at_ms).id(*id);
                out.bytes(key.as_bytes()).bytes(request).bytes(about)
            }
            Self::Booked { sink, booking: Booking { at_ms, id, document, who, why } } => {
                out.byte(44).short(*sink).long(*at_ms).id(*id).text(*document);
                out.bytes(who.as_bytes()).bytes(why.as_bytes())
            }
            Self::Document { sink, id, document } => {
                out.byte(45).short(*sink).id(*id).bytes(document.as_bytes())
            }
            Self::Effects { sink, first } => out.byte(41).short(*sink).long(*first),
            Self::Line { sink, line } => out.byte(42).short(*sink).bytes(line),
            Self::Begun { at, id, key, request, attempts, first_ms, last_ms, accepted, rests } => {
                out.byte(43).at(at).id(*id).bytes(key.as_bytes()).bytes(request);
                out.word(*attempts).long(*first_ms).long(*last_ms).text(*accepted).flag(*rests)
            }
        };
    }
}

impl<'a> Fact<'a> {
    /// Reads a fact; `None` if it is of a kind that this version does not know, or not whole.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut from = In(bytes);
        let fact = match from.byte()? {
            0 => Self::Begin,
            1 => Self::Whole,
            22 => Self::Torn,
            2 => Self::Seed(from.long()?, from.long()?),
            3 => Self::Next { ordinal: from.long()?, reject: from.long()? },
            4 => {
                let what = match from.byte()? {
                    0 => Named::MemoryStream,
                    1 => Named::DurableStream,
                    2 => Named::Sink,
                    3 => Named::Source,
                    _ => return None,
                };
                Self::Name { what, number: from.short()?, name: from.str()? }
            }
            5 => Self::Low { sink: from.short()?, stream: from.short()?, seq: from.long()? },
            6 => Self::Above { sink: from.short()?, stream: from.short()?, seq: from.long()? },
            7 => Self::Paused { sink: from.short()?, on: from.flag()? },
            8 => Self::Removed { sink: from.short()? },
            9 => Self::Ended { at: from.at()?, end: from.end()? },
            10 => Self::Journal { at: from.at()?, end: from.end()? },
            11 => Self::Tried { at: from.at()?, tries: from.word()?, attempts: from.word()? },
            12 => Self::Parked {
                at: from.at()?,
                cause: from.byte()?,
                code: from.str()?,
                reason: from.str()?,
                tries: from.word()?,
                blocking: from.flag()?,
                redelivered: from.flag()?,
                at_ms: from.long()?,
                admitted_ms: from.long()?,
                record: from.bytes()?,
            },
            13 => Self::Unparked { sink: from.short()?, ordinal: from.long()? },
            14 => Self::Rejected {
                source: from.short()?,
                number: from.long()?,
                at_ms: from.long()?,
                rejects: from.bytes()?,
                raw: from.bytes()?,
                meta: from.bytes()?,
            },
            15 => Self::Taken { source: from.short()?, number: from.long()? },
            16 => Self::Position { source: from.short()?, position: from.bytes()? },
            17 => Self::Acted {
                at_ms: from.long()?,
                who: from.str()?,
                what: from.str()?,
                on: from.str()?,
                why: from.str()?,
            },
            18 => Self::Keys(from.bytes()?),
            21 => Self::Explained { source: from.short()?, number: from.long()?, rejects: from.bytes()? },
            20 => Self::Edited {
                at: from.at()?,
                end: from.end()?,
                admitted_ms: from.long()?,
                record: from.bytes()?,
            },
            19 => Self::Log { stream: from.short()?, id: from.id()? },
            30 => Self::Replay {
                sink: from.short()?,
                at_ms: from.long()?,
                about: from.str()?,
                rate: from.word()?,
            },
            31 => Self::Chosen { sink: from.short()?, chosen: from.bytes()? },
            32 => Self::Replayed { sink: from.short()? },
            40 => Self::Effect { at: from.at()?, stepped: from.stepped()? },
            41 => Self::Effects { sink: from.short()?, first: from.long()? },
            42 => Self::Line { sink: from.short()?, line: from.bytes()? },
            43 => Self::Begun {
                at: from.at()?,
                id: from.id()?,
                key: from.str()?,
                request: from.bytes()?,
                attempts: from.word()?,
                first_ms: from.long()?,
                last_ms: from.long()?,
                accepted: from.text()?,
                rests: from.flag()?,
            },
            44 => Self::Booked {
                sink: from.short()?,
                booking: Booking {
                    at_ms: from.long()?,
                    id: from.id()?,
                    document: from.text()?,
                    who: from.str()?,
                    why: from.str()?,
                },
            },
            45 => Self::Document { sink: from.short()?, id: from.id()?, document: from.str()? },
            _ => return None,
        };
        from.0.is_empty().then_some(fact)
    }
}
