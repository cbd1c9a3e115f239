//! Envelopes of canonical events: attributes in any order, expected as an engine writes them, and `data`.

use std::ops::Range;
use std::sync::LazyLock;

use super::super::cell::{Cell, CellKind};
use super::super::shape::{ANYTHING, Member, Seen, Shape};
use super::{Scan, Store};
use crate::decode::Limits;

/// Attributes that a router knows, as it writes them.
pub(in super::super) const NAMES: [&str; 18] = [
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "subject",
    "datacontenttype",
    "dataschema",
    "partitionkey",
    "correlationid",
    "traceparent",
    "recordedtime",
    "bampid",
    "bamtxid",
    "bamptxsid",
    "mfgsite",
    "mfgkind",
    "data",
];
const TYPE: usize = 3;
const DATA: usize = 17;
/// Attributes that it does not know, in one event; more are handed back.
const EXTRAS_MAX: usize = 32;

static MEMBERS: LazyLock<Vec<Member>> = LazyLock::new(|| {
    let members = NAMES.iter().enumerate().map(|(index, name)| Member::new(name, ANYTHING, index));
    members.flatten().collect()
});

/// An attribute that no router knows: its name, and where its value stands.
#[derive(Clone, Debug)]
pub(in super::super) struct Extra {
    pub(in super::super) name: Range<usize>,
    /// A text; `None` is another scalar, which is written as it stands.
    pub(in super::super) text: Option<Cell>,
    pub(in super::super) value: Range<usize>,
}

/// What was read of an event.
#[derive(Debug)]
pub(in super::super) struct Envelope {
    texts: [Cell; NAMES.len()],
    /// Where `data` stands.
    pub(in super::super) data: Range<usize>,
    /// What the type says.
    pub(in super::super) contract: usize,
}

impl Envelope {
    /// An attribute by its place in [`NAMES`]; `None` if it is not there. `Err` hands the event back.
    pub(in super::super) fn text<'m>(&self, place: usize, bytes: &'m [u8]) -> Result<Option<&'m str>, ()> {
        let cell = self.texts.get(place).copied().unwrap_or_default();
        match cell.kind {
            CellKind::Absent => Ok(None),
            CellKind::Clean | CellKind::Wide => text(&cell, bytes).map(Some).ok_or(()),
            _ => Err(()),
        }
    }
}

fn text<'m>(cell: &Cell, bytes: &'m [u8]) -> Option<&'m str> {
    let range = cell.start as usize..(cell.start + cell.len) as usize;
    std::str::from_utf8(bytes.get(range)?).ok()
}

impl<'m> Scan<'m> {
    /// Reads one canonical event, and checks its `data` against the shape of its contract, which `shape_of` finds by
    /// the type, with its number. `guess` is any shape.
    pub(in super::super) fn event(
        bytes: &'m [u8],
        guess: &'m Shape,
        limits: &'m Limits,
        store: &'m mut Store,
        shape_of: impl Fn(&str) -> Option<(usize, &'m Shape)>,
    ) -> Option<Envelope> {
        store.clear();
        if bytes.len() > limits.message_bytes {
            return None;
        }
        let mut scan =
            Scan { bytes, shape: guess, limits, store, lines: false, odd: false, values: 1, depth: 1 };
        let at = scan.space(0);
        if *bytes.get(at)? != b'{' {
            return None;
        }
        let (envelope, end) = scan.attributes(at + 1, shape_of)?;
        (scan.space(end) == bytes.len() && !envelope.data.is_empty()).then_some(envelope)
    }

    /// Reads the members of an envelope, from behind its brace to behind its other one.
    fn attributes(
        &mut self,
        mut at: usize,
        shape_of: impl Fn(&str) -> Option<(usize, &'m Shape)>,
    ) -> Option<(Envelope, usize)> {
        let members: &[Member] = &MEMBERS;
        let mut found = Envelope { texts: [Cell::default(); NAMES.len()], data: 0..0, contract: 0 };
        let (mut seen, mut next, mut count) = (Seen::default(), 0, 0_usize);
        loop {
            let known;
            (known, at) = self.attribute(members, next, at)?;
            count += 1;
            self.count(1)?;
            at = self.space(at);
            match known {
                Name::Known(index) => {
                    if !seen.take(members.get(index)?) {
                        return None;
                    }
                    next = index + 1;
                    if index == DATA {
                        let kind = text(found.texts.get(TYPE)?, self.bytes)?;
                        (found.contract, self.shape) = shape_of(kind)?;
                        let end = self.data(at)?;
                        found.data = at..end;
                        at = end;
                    } else {
                        (*found.texts.get_mut(index)?, at) = self.attribute_text(at)?;
                    }
                }
                Name::Extra(name) => at = self.extra(name, at)?,
            }
            if !self.goes_on(&mut at, b'}')? {
                break;
            }
        }
        (count <= self.limits.keys).then_some((found, at))
    }

    /// The attribute whose name starts here or behind white space, and the place behind its colon.
    fn attribute(&mut self, members: &[Member], next: usize, at: usize) -> Option<(Name, usize)> {
        let bytes = self.bytes;
        let is_at = |index: &usize| members.get(*index).is_some_and(|member| member.is_at(bytes, at));
        if let Some(index) = (next..members.len()).find(is_at) {
            return Some((Name::Known(index), at + members.get(index)?.key.len()));
        }
        let at = self.space(at);
        if *bytes.get(at)? != b'"' {
            return None;
        }
        let (name, end) = self.string(at)?;
        if name.kind == CellKind::Unescaped || name.len as usize > self.limits.string_bytes {
            return None;
        }
        let colon = self.space(end);
        if *bytes.get(colon)? != b':' {
            return None;
        }
        let range = name.start as usize..(name.start + name.len) as usize;
        let text = bytes.get(range.clone())?;
        let known = members.iter().position(|member| member.name() == text);
        Some((known.map_or(Name::Extra(range), Name::Known), colon + 1))
    }

    fn attribute_text(&mut self, at: usize) -> Option<(Cell, usize)> {
        if *self.bytes.get(at)? != b'"' {
            return None;
        }
        let (cell, end) = self.string(at)?;
        (cell.len as usize <= self.limits.string_bytes).then_some((cell, end))
    }

    fn extra(&mut self, name: Range<usize>, at: usize) -> Option<usize> {
        let own = self.bytes.get(name.clone())?;
        let twice = self.store.extras.iter().any(|known| self.bytes.get(known.name.clone()) == Some(own));
        if twice || self.store.extras.len() >= EXTRAS_MAX {
            return None;
        }
        let (text, end) = match *self.bytes.get(at)? {
            b'"' => self.attribute_text(at).map(|(cell, end)| (Some(cell), end))?,
            b'{' | b'[' => return None,
            _ => (None, self.value(self.shape.place(ANYTHING), 0, at)?),
        };
        self.store.extras.push(Extra { name, text, value: at..end });
        Some(end)
    }

    /// Reads `data`, which must stand as the router would write it.
    fn data(&mut self, at: usize) -> Option<usize> {
        self.store.cells.clear();
        self.store.cells.resize(self.shape.cells as usize, Cell::default());
        self.odd = false;
        let end = self.value(self.shape.place(self.shape.root), 0, at)?;
        (!self.odd).then_some(end)
    }
}

/// Whose name was read.
enum Name {
    /// By its place in [`NAMES`].
    Known(usize),
    /// Where it stands.
    Extra(Range<usize>),
}
