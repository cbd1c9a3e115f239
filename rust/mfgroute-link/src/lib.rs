//! A block of the edge link as bytes (docs/design/edge-link.md): how an edge writes one, how the core reads it, and
//! what the core has to know of its events before the engine sees them.
//!
//! The reader gets bytes from a network. It keeps within them, and what it allocates is bounded by [`EVENTS_MAX`].

use std::borrow::Cow;
use std::fmt;

use serde_core::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

/// Version of the format.
pub const VERSION: u8 = 3;
/// Most events of a block.
pub const EVENTS_MAX: usize = 1024;
/// Bytes that a block spends on each event besides the event itself.
pub const EVENT_HEAD: usize = 8;

const MAGIC: [u8; 4] = *b"MFEL";
const KIND: u8 = 3;
const CRC: usize = 4;
/// Bytes of what stands behind the names: six numbers of 64 bits, of which one is twice as long, and the count.
const NUMBERS: usize = 60;

/// What a block says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// The stream.
    pub stream: &'a str,
    /// Under which its blocks are numbered.
    pub epoch: u64,
    /// Who sends it.
    pub edge: &'a str,
    /// The life of the edge's sink.
    pub session: u64,
    /// The block up to which the edge has taken note of acknowledgements.
    pub settled: u64,
    /// Its number, from 1 on; above `settled`.
    pub number: u64,
    /// Hash of the block before it; zeros if that is not known.
    pub before: [u8; 16],
}

/// Where an event of a block stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// In the edge's log.
    pub offset: u64,
    /// In the frame, in bytes; within it.
    pub bytes: std::ops::Range<usize>,
}

/// Why bytes are no block, or events cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// The checksum at the end of each frame, over everything before it: CRC-32C.
#[must_use]
pub fn checksum(data: &[u8]) -> u32 {
    crc32c::crc32c(data)
}

/// The 16 bytes by which both sides compare a block: XXH3-128 of its frame. The epoch is its seed: only the edge and the
/// core know it, so that nobody else can make up events of which two blocks have one hash.
#[must_use]
pub fn hash(frame: &[u8], epoch: u64) -> [u8; 16] {
    xxh3_128_with_seed(frame, epoch).to_be_bytes()
}

/// The frame of a block with these events, each behind its offset in the edge's log.
///
/// # Errors
///
/// There are none or more than [`EVENTS_MAX`], a name or an event is too long, or the offsets are too far apart.
pub fn write(head: &Head<'_>, events: &[(u64, &[u8])]) -> Result<Vec<u8>, Malformed> {
    let offsets = || events.iter().map(|(offset, _)| *offset);
    let (Some(first), Some(last)) = (offsets().min(), offsets().max()) else {
        return Err(Malformed("a block of no events"));
    };
    if events.len() > EVENTS_MAX {
        return Err(Malformed("a block of more than 1024 events"));
    }
    let names = head.stream.len() + head.edge.len();
    let size = events.iter().map(|(_, event)| EVENT_HEAD + event.len()).sum::<usize>();
    let mut out = Vec::with_capacity(MAGIC.len() + 14 + names + NUMBERS + CRC + size);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, KIND, 0, 0]);
    out.extend_from_slice(&head.epoch.to_be_bytes());
    write_name(head.stream, &mut out)?;
    write_name(head.edge, &mut out)?;
    for number in [head.session, head.settled, head.number] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    out.extend_from_slice(&head.before);
    out.extend_from_slice(&first.to_be_bytes());
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&(events.len() as u32).to_be_bytes());
    let short = |number: u64| u32::try_from(number).map_err(|_| Malformed("offsets too far apart"));
    short(last - first)?;
    for (offset, event) in events {
        let length = u32::try_from(event.len()).map_err(|_| Malformed("an event of 4 GiB or more"))?;
        out.extend_from_slice(&short(offset - first)?.to_be_bytes());
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(event);
    }
    out.extend_from_slice(&checksum(&out).to_be_bytes());
    Ok(out)
}

fn write_name(name: &str, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let length = u8::try_from(name.len()).map_err(|_| Malformed("a name of more than 255 bytes"))?;
    out.push(length);
    out.extend_from_slice(name.as_bytes());
    Ok(())
}

/// What the block says of itself, and where its events stand in the frame, in its order.
///
/// # Errors
///
/// The bytes are no whole block of this version.
pub fn read(frame: &[u8]) -> Result<(Head<'_>, Vec<Item>), Malformed> {
    let (content, crc) = frame.split_last_chunk::<CRC>().ok_or(ENDS_EARLY)?;
    let mut rest = Rest { data: content, at: 0 };
    if rest.array::<4>()? != MAGIC {
        return Err(Malformed("no frame of the edge link"));
    }
    let [version, kind, reserved @ ..] = rest.array::<4>()?;
    if version != VERSION {
        return Err(Malformed("another version"));
    }
    if checksum(content) != u32::from_be_bytes(*crc) {
        return Err(Malformed("wrong checksum"));
    }
    let epoch = rest.long()?;
    let stream = rest.name()?;
    if kind != KIND || reserved != [0, 0] || stream.is_empty() {
        return Err(Malformed("malformed head"));
    }
    let edge = rest.name()?;
    let (session, settled, number) = (rest.long()?, rest.long()?, rest.long()?);
    let before = rest.array::<16>()?;
    let (first, last, count) = (rest.long()?, rest.long()?, rest.short()? as usize);
    if !(1..=EVENTS_MAX).contains(&count) || number == 0 || settled >= number {
        return Err(Malformed("an impossible block"));
    }
    let items = read_items(&mut rest, first, count)?;
    let offsets = || items.iter().map(|item| item.offset);
    if offsets().min() != Some(first) || offsets().max() != Some(last) {
        return Err(Malformed("offsets do not match"));
    }
    if rest.at != content.len() {
        return Err(Malformed("goes on after its end"));
    }
    Ok((Head { stream, epoch, edge, session, settled, number, before }, items))
}

fn read_items(rest: &mut Rest<'_>, first: u64, count: usize) -> Result<Vec<Item>, Malformed> {
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        let (delta, length) = (rest.short()?, rest.short()? as usize);
        let offset = first.checked_add(u64::from(delta)).ok_or(Malformed("offsets do not match"))?;
        let start = rest.at;
        rest.take(length)?;
        items.push(Item { offset, bytes: start..rest.at });
    }
    Ok(items)
}

const ENDS_EARLY: Malformed = Malformed("ends early");

/// What is not read yet.
struct Rest<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(length).ok_or(ENDS_EARLY)?;
        let taken = self.data.get(self.at..end).ok_or(ENDS_EARLY)?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| ENDS_EARLY)
    }

    fn short(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn long(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn name(&mut self) -> Result<&'a str, Malformed> {
        let [length] = self.array::<1>()?;
        std::str::from_utf8(self.take(usize::from(length))?).map_err(|_| Malformed("a name is not UTF-8"))
    }
}

/// What the core has to know of an event before the engine reads it. Empty texts are not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About<'a> {
    /// CloudEvents `id`.
    pub id: Cow<'a, str>,
    /// CloudEvents `source`.
    pub source: Cow<'a, str>,
}

/// `id` and `source` of an event; `None` if it is no JSON object, or one of them is no text. It is read no further
/// than to the second of both: the engine refuses what is wrong behind it, and names that come twice.
#[must_use]
pub fn about(event: &[u8]) -> Option<About<'_>> {
    let mut texts = Texts::default();
    let read = serde_json::Deserializer::from_slice(event).deserialize_map(&mut texts);
    let Texts { id, source } = texts;
    match (read, id, source) {
        (_, Some(id), Some(source)) => Some(About { id, source }),
        (Ok(()), id, source) => {
            Some(About { id: id.unwrap_or_default(), source: source.unwrap_or_default() })
        }
        (Err(_), ..) => None,
    }
}

/// The two bytes by which an event is recognised: of its id, or of itself if it has none.
#[must_use]
pub fn mark(about: Option<&About<'_>>, event: &[u8]) -> u16 {
    let id = about.map(|about| about.id.as_bytes()).filter(|id| !id.is_empty());
    xxh3_64(id.unwrap_or(event)) as u16
}

/// The members of an object that were found.
#[derive(Default)]
struct Texts<'de> {
    id: Option<Cow<'de, str>>,
    source: Option<Cow<'de, str>>,
}

impl<'de> Visitor<'de> for &mut Texts<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(name)) = map.next_key()? {
            match name.as_ref() {
                "id" => self.id = Some(map.next_value::<Text<'_>>()?.0),
                "source" => self.source = Some(map.next_value::<Text<'_>>()?.0),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
            if self.id.is_some() && self.source.is_some() {
                // Read no further; what this error says is not looked at.
                return Err(A::Error::custom("both are found"));
            }
        }
        Ok(())
    }
}

/// A text that is borrowed where it stands without escapes.
struct Text<'de>(Cow<'de, str>);

impl<'de> serde_core::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Whole;
        impl<'de> Visitor<'de> for Whole {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(Whole)
    }
}

#[cfg(test)]
mod tests;
