//! Reads, validates and takes apart a JSON message in one pass.
//!
//! `None` anywhere means that the message is handed back: it is wrong, or it has something the table has no
//! rule for. It never means that the message is fine.

mod bytes;
pub(super) mod envelope;
mod object;
mod text;

use super::Offer;
use super::cell::{Cell, CellKind};
use super::shape::{Place, Shape};
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
    /// Attributes of an envelope that no router knows.
    pub(super) extras: Vec<envelope::Extra>,
}

impl Store {
    /// Forgets the message before.
    pub(super) fn clear(&mut self) {
        self.cells.clear();
        self.arena.clear();
        self.names.clear();
        self.extras.clear();
    }
}

/// One scan. Positions go from call to call: what reads a value is given where it starts and gives where it ends.
pub(super) struct Scan<'m> {
    bytes: &'m [u8],
    shape: &'m Shape,
    limits: &'m Limits,
    store: &'m mut Store,
    /// Whether a line feed ends the message.
    lines: bool,
    /// Whether something does not stand as the router would write it: white space, or a text or name that is escaped
    /// in another way.
    odd: bool,
    values: usize,
    depth: usize,
}

/// A number that was read.
struct Number {
    end: usize,
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
        let mut scan =
            Scan { bytes, shape, limits, store, lines: line.is_some(), odd: false, values: 0, depth: 0 };
        let end = scan.value(shape.place(shape.root), 0, at)?;
        let end = scan.space(end);
        scan.count(1)?;
        (end - at <= limits.message_bytes).then_some(end)
    }

    /// Where white space ends.
    #[inline]
    fn space(&mut self, at: usize) -> usize {
        match self.bytes.get(at) {
            Some(byte) if *byte <= b' ' => self.blanks(at),
            _ => at,
        }
    }

    fn blanks(&mut self, mut at: usize) -> usize {
        self.odd = true;
        while let Some(byte) = self.bytes.get(at)
            && (matches!(byte, b' ' | b'\t' | b'\r') || (*byte == b'\n' && !self.lines))
        {
            at += 1;
        }
        at
    }

    /// Steps over the comma, or the bracket or brace `close`, behind a value: whether it was a comma.
    #[inline]
    fn goes_on(&mut self, at: &mut usize, close: u8) -> Option<bool> {
        let mut mark = *self.bytes.get(*at)?;
        if mark <= b' ' {
            *at = self.blanks(*at);
            mark = *self.bytes.get(*at)?;
        }
        *at += 1;
        if mark == b',' { Some(true) } else { (mark == close).then_some(false) }
    }

    /// Counts values; too many are handed back.
    #[inline]
    fn count(&mut self, values: usize) -> Option<()> {
        self.values += values;
        (self.values <= self.limits.nodes).then_some(())
    }

    /// Reads one value. It is part of whoever calls it: most values are texts, which need no further call.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "a tenth of all instructions of a message were spent on the call"
    )]
    fn value(&mut self, place: &'m Place, base: usize, at: usize) -> Option<usize> {
        let mut at = at;
        let mut first = *self.bytes.get(at)?;
        if first <= b' ' {
            at = self.blanks(at);
            first = *self.bytes.get(at)?;
        }
        match first {
            b'"' => self.text(place, base, at),
            b'-' | b'0'..=b'9' => self.number(place, base, at),
            b'{' => self.holder(place, base, at, Types::OBJECT),
            b'[' => self.holder(place, base, at, Types::ARRAY),
            b't' => self.word(b"true", Types::BOOL, CellKind::True, (place, base), at),
            b'f' => self.word(b"false", Types::BOOL, CellKind::False, (place, base), at),
            b'n' => self.word(b"null", Types::NULL, CellKind::Null, (place, base), at),
            _ => None,
        }
    }

    fn word(
        &mut self,
        word: &[u8],
        kind: u8,
        cell: CellKind,
        (place, base): (&Place, usize),
        at: usize,
    ) -> Option<usize> {
        if place.types & kind == 0 || !self.bytes.get(at..)?.starts_with(word) {
            return None;
        }
        self.note(place, base, Cell { kind: cell, ..Cell::default() })?;
        Some(at + word.len())
    }

    fn holder(&mut self, place: &'m Place, base: usize, at: usize, kind: u8) -> Option<usize> {
        self.depth += 1;
        if place.types & kind == 0 || place.cell.is_some() || self.depth > self.limits.depth {
            return None;
        }
        let end = if kind == Types::OBJECT {
            self.object(place, base, at + 1)?
        } else {
            self.array(place, base, at + 1)?
        };
        self.depth -= 1;
        Some(end)
    }

    #[inline]
    fn note(&mut self, place: &Place, base: usize, cell: Cell) -> Option<()> {
        if let Some(number) = place.cell {
            *self.store.cells.get_mut(base + number as usize)? = cell;
            return Some(());
        }
        // A list of one may be written as its item; only `null` surely means no item.
        (place.list.is_none() || cell.kind == CellKind::Null).then_some(())
    }

    fn array(&mut self, place: &'m Place, base: usize, mut at: usize) -> Option<usize> {
        let shape = place.array.as_ref()?;
        let inner = self.shape.place(shape.item);
        let mut count = 0_u32;
        let mut list = Items { first: 0, last: 0 };
        at = self.space(at);
        if *self.bytes.get(at)? == b']' {
            at += 1;
        } else {
            loop {
                count += 1;
                self.count(1)?;
                let item = match place.list {
                    None => base,
                    Some((_, cells)) => self.item(cells, &mut list),
                };
                at = self.value(inner, item, at)?;
                if !self.goes_on(&mut at, b']')? {
                    break;
                }
            }
        }
        if let Some((cell, _)) = place.list {
            let list = Cell { kind: CellKind::List, start: list.first, len: count, ..Cell::default() };
            *self.store.cells.get_mut(base + cell as usize)? = list;
        }
        (count >= shape.min && count <= shape.max).then_some(at)
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

    fn number(&mut self, place: &Place, base: usize, start: usize) -> Option<usize> {
        let number = self.digits(start)?;
        if place.types & Types::NUMBER == 0 {
            let text = self.bytes.get(start..number.end)?;
            let whole = || std::str::from_utf8(text).is_ok_and(crate::schema::is_whole);
            if place.types & Types::INTEGER == 0 || (number.scale > 0 && !whole()) || !number.short {
                return None;
            }
        }
        if let Some(min) = place.number.min
            && !(number.short && at_least(&number, min)?)
        {
            return None;
        }
        if let Some(max) = place.number.max
            && !(number.short && compared(&number, max)?.is_le())
        {
            return None;
        }
        if let Some(rules) = place.rules {
            let rules = self.shape.rules(rules)?;
            let text = std::str::from_utf8(self.bytes.get(start..number.end)?).ok()?;
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
        let Number { end, digits, scale, .. } = number;
        self.note(place, base, Cell { kind, scale, start: start as u32, len: (end - start) as u32, digits })?;
        Some(end)
    }

    /// Reads a number. One with an exponent, or of more than 38 characters, is handed back.
    #[inline]
    fn digits(&self, start: usize) -> Option<Number> {
        let negative = *self.bytes.get(start)? == b'-';
        let first = start + usize::from(negative);
        let leading = *self.bytes.get(first)?;
        let mut digits = 0_u64;
        let mut end = self.run_of_digits(first, &mut digits);
        let whole = end - first;
        if whole == 0 || (whole > 1 && leading == b'0') {
            return None;
        }
        let mut scale = 0;
        let mut behind = self.bytes.get(end).copied().unwrap_or_default();
        if behind == b'.' {
            let fraction = end + 1;
            end = self.run_of_digits(fraction, &mut digits);
            scale = end - fraction;
            if scale == 0 {
                return None;
            }
            behind = self.bytes.get(end).copied().unwrap_or_default();
        }
        if behind | 0x20 == b'e' || end - start > 38 {
            return None;
        }
        let short = whole + scale <= 18;
        let digits = digits.cast_signed();
        Some(Number { end, digits: if negative { -digits } else { digits }, scale: scale as u8, short })
    }

    #[inline]
    fn run_of_digits(&self, mut at: usize, digits: &mut u64) -> usize {
        while let Some(byte) = self.bytes.get(at) {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            *digits = digits.wrapping_mul(10).wrapping_add(u64::from(digit));
            at += 1;
        }
        at
    }
}

#[inline]
fn at_least(number: &Number, min: i64) -> Option<bool> {
    if min == 0 { Some(number.digits >= 0) } else { Some(compared(number, min)?.is_ge()) }
}

/// A short number against a whole one.
#[inline]
fn compared(number: &Number, bound: i64) -> Option<std::cmp::Ordering> {
    let unit = i128::from(power(u32::from(number.scale))?);
    Some(i128::from(number.digits).cmp(&(i128::from(bound) * unit)))
}

/// Bases of the first and the newest item of a list that is being read.
struct Items {
    first: u32,
    last: usize,
}
