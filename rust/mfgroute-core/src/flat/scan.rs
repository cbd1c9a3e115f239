//! Reads, validates and takes apart a JSON message in one pass.
//!
//! `None` anywhere means that the message is handed back: it is wrong, or it has something the table has no
//! rule for. It never means that the message is fine.

mod bytes;
mod object;
mod text;

use super::Offer;
use super::cell::{Cell, CellKind};
use super::shape::{Place, PlaceNo, Shape};
use crate::decode::Limits;
use crate::schema::program::Types;
use crate::value::power;

/// Memory of scans, used for one message after the other.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// Cells of the message and of all items.
    pub(super) cells: Vec<Cell>,
    /// Texts without their escapes, and texts that mappings make.
    pub(super) arena: String,
    /// Names of the open objects that the table does not know.
    names: Vec<(u32, u32)>,
}

impl Store {
    /// Forgets the message before.
    pub(super) fn clear(&mut self) {
        self.cells.clear();
        self.arena.clear();
        self.names.clear();
    }
}

/// One scan.
pub(super) struct Scan<'m> {
    bytes: &'m [u8],
    at: usize,
    shape: &'m Shape,
    limits: &'m Limits,
    store: &'m mut Store,
    /// Whether a line feed ends the message.
    lines: bool,
    values: usize,
    depth: usize,
}

/// A number that was read.
struct Number {
    start: usize,
    digits: i64,
    scale: u8,
    /// Whether `digits` and `scale` say it all.
    short: bool,
}

impl<'m> Scan<'m> {
    /// Reads one message. Gives where it ends, behind its white space.
    ///
    /// In a line of a slab, a line feed is no white space: what is read lies in one line.
    pub(super) fn run(
        offer: &Offer<'m>,
        shape: &'m Shape,
        limits: &'m Limits,
        store: &'m mut Store,
    ) -> Option<usize> {
        store.clear();
        store.cells.resize(shape.cells as usize, Cell::default());
        let Offer { bytes, at, line, .. } = *offer;
        let mut scan = Scan { bytes, at, shape, limits, store, lines: line.is_some(), values: 0, depth: 0 };
        scan.space();
        scan.value(shape.root, 0)?;
        scan.space();
        (scan.at - at <= limits.message_bytes).then_some(scan.at)
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn space(&mut self) {
        while let Some(byte) = self.peek() {
            let blank = matches!(byte, b' ' | b'\t' | b'\r') || (byte == b'\n' && !self.lines);
            if byte > b' ' || !blank {
                return;
            }
            self.at += 1;
        }
    }

    fn value(&mut self, place: PlaceNo, base: usize) -> Option<()> {
        let place = self.shape.place(place);
        self.values += 1;
        if self.values > self.limits.nodes {
            return None;
        }
        match self.peek()? {
            b'"' => self.text(place, base),
            b'{' => self.holder(place, base, Types::OBJECT),
            b'[' => self.holder(place, base, Types::ARRAY),
            b'-' | b'0'..=b'9' => self.number(place, base),
            b't' => self.word(b"true", Types::BOOL, CellKind::True, place, base),
            b'f' => self.word(b"false", Types::BOOL, CellKind::False, place, base),
            b'n' => self.word(b"null", Types::NULL, CellKind::Null, place, base),
            _ => None,
        }
    }

    fn word(&mut self, word: &[u8], kind: u8, cell: CellKind, place: &Place, base: usize) -> Option<()> {
        if place.types & kind == 0 || !self.bytes.get(self.at..)?.starts_with(word) {
            return None;
        }
        self.at += word.len();
        self.note(place, base, Cell { kind: cell, ..Cell::default() })
    }

    fn holder(&mut self, place: &Place, base: usize, kind: u8) -> Option<()> {
        self.depth += 1;
        if place.types & kind == 0 || place.cell.is_some() || self.depth > self.limits.depth {
            return None;
        }
        if kind == Types::OBJECT {
            self.object(place, base)?;
        } else {
            self.array(place, base)?;
        }
        self.depth -= 1;
        Some(())
    }

    #[inline]
    fn note(&mut self, place: &Place, base: usize, cell: Cell) -> Option<()> {
        if place.list.is_some() {
            // A list of one may be written as its item; only `null` surely means no item.
            return (cell.kind == CellKind::Null).then_some(());
        }
        if let Some(number) = place.cell {
            *self.store.cells.get_mut(base + number as usize)? = cell;
        }
        Some(())
    }

    fn array(&mut self, place: &Place, base: usize) -> Option<()> {
        let shape = place.array.as_ref()?;
        self.at += 1;
        self.space();
        let mut count = 0_u32;
        let mut list = Items { first: 0, last: 0 };
        if self.peek()? == b']' {
            self.at += 1;
        } else {
            loop {
                count += 1;
                let item = match place.list {
                    None => base,
                    Some((_, cells)) => self.item(cells, &mut list),
                };
                self.value(shape.item, item)?;
                self.space();
                let byte = self.peek()?;
                self.at += 1;
                match byte {
                    b',' => self.space(),
                    b']' => break,
                    _ => return None,
                }
            }
        }
        if let Some((cell, _)) = place.list {
            let list = Cell { kind: CellKind::List, start: list.first, len: count, ..Cell::default() };
            *self.store.cells.get_mut(base + cell as usize)? = list;
        }
        (count >= shape.min && count <= shape.max).then_some(())
    }

    /// Makes the cells of one more item and links it to the one before.
    fn item(&mut self, cells: u32, list: &mut Items) -> usize {
        let base = self.store.cells.len();
        self.store.cells.resize(base + cells as usize, Cell::default());
        if list.last == 0 {
            list.first = base as u32;
        } else if let Some(link) = self.store.cells.get_mut(list.last) {
            link.start = base as u32;
        }
        list.last = base;
        base
    }

    fn number(&mut self, place: &Place, base: usize) -> Option<()> {
        let number = self.digits()?;
        let text = self.bytes.get(number.start..self.at)?;
        if place.types & Types::NUMBER == 0 {
            let whole = || std::str::from_utf8(text).is_ok_and(crate::schema::is_whole);
            if place.types & Types::INTEGER == 0 || (number.scale > 0 && !whole()) || !number.short {
                return None;
            }
        }
        if place.number.min.is_some() || place.number.max.is_some() {
            if !number.short {
                return None;
            }
            let value = i128::from(number.digits);
            let unit = i128::from(power(u32::from(number.scale))?);
            let scaled = |bound: i64| i128::from(bound) * unit;
            if place.number.min.is_some_and(|min| value < scaled(min))
                || place.number.max.is_some_and(|max| value > scaled(max))
            {
                return None;
            }
        }
        if let Some(rules) = place.rules {
            let rules = self.shape.rules(rules)?;
            let text = std::str::from_utf8(text).ok()?;
            if rules.number.as_deref().is_some_and(|rules| rules.broken(text).is_some()) {
                return None;
            }
            if let Some(rule) = rules.decimal.as_deref()
                && crate::value::Decimal::parse(text).ok().is_none_or(|value| rule.broken(value).is_some())
            {
                return None;
            }
        }
        let kind = if number.short { CellKind::Number } else { CellKind::LongNumber };
        let (start, len) = (number.start as u32, text.len() as u32);
        self.note(place, base, Cell { kind, scale: number.scale, start, len, digits: number.digits })
    }

    /// Reads a number. One with an exponent, or of more than 38 characters, is handed back.
    #[inline]
    fn digits(&mut self) -> Option<Number> {
        let start = self.at;
        let negative = self.peek()? == b'-';
        self.at += usize::from(negative);
        let first = self.at;
        let mut digits = 0_u64;
        let leading = self.peek()?;
        self.run_of_digits(&mut digits);
        let whole = self.at - first;
        if whole == 0 || (whole > 1 && leading == b'0') {
            return None;
        }
        let mut scale = 0;
        if self.peek() == Some(b'.') {
            self.at += 1;
            let fraction = self.at;
            self.run_of_digits(&mut digits);
            scale = self.at - fraction;
            if scale == 0 {
                return None;
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) || self.at - start > 38 {
            return None;
        }
        let short = whole + scale <= 18;
        let digits = digits.cast_signed();
        Some(Number { start, digits: if negative { -digits } else { digits }, scale: scale as u8, short })
    }

    #[inline]
    fn run_of_digits(&mut self, digits: &mut u64) {
        while let Some(byte) = self.peek() {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return;
            }
            *digits = digits.wrapping_mul(10).wrapping_add(u64::from(digit));
            self.at += 1;
        }
    }
}

/// Bases of the first and the newest item of a list that is being read.
struct Items {
    first: u32,
    last: usize,
}
