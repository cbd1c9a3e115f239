//! Texts: their ends, escapes and rules.

use super::super::cell::{Cell, CellKind, bytes_of};
use super::super::shape::{Place, TextCheck};
use super::{Scan, bytes};
use crate::decode::escape::escape;
use crate::schema::program::Types;
use crate::tree::write_json_string;

impl Scan<'_> {
    /// Reads a text that starts at a quote.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as Scan::value")]
    pub(super) fn text(&mut self, place: &Place, base: usize, at: usize) -> Option<usize> {
        let start = at + 1;
        let run = bytes::run(self.bytes, start);
        if !run.clean || self.bytes.get(run.end) != Some(&b'"') {
            return self.odd_text(place, base, at);
        }
        let len = run.end - start;
        if len > self.limits.string_bytes {
            return None;
        }
        let cell = Cell { kind: CellKind::Clean, start: start as u32, len: len as u32, ..Cell::default() };
        match place.plain {
            Some(plain) if cell.len.wrapping_sub(plain.min) <= plain.more => {
                *self.store.cells.get_mut(base + plain.cell as usize)? = cell;
            }
            Some(_) => return None,
            None => self.clean_text(place, base, cell)?,
        }
        Some(run.end + 1)
    }

    /// Checks and notes a text that is plain ASCII.
    fn clean_text(&mut self, place: &Place, base: usize, cell: Cell) -> Option<()> {
        let check = &place.text;
        if place.types & Types::STRING == 0 || cell.len < check.min || cell.len > check.max {
            return None;
        }
        self.allows(place, &cell)?;
        self.note(place, base, cell)
    }

    /// [`Scan::text`] for texts that are not plain ASCII, or have escapes.
    #[inline(never)]
    fn odd_text(&mut self, place: &Place, base: usize, at: usize) -> Option<usize> {
        if place.types & Types::STRING == 0 {
            return None;
        }
        let (cell, end) = self.string(at)?;
        if cell.len as usize > self.limits.string_bytes {
            return None;
        }
        let TextCheck { min, max, .. } = place.text;
        if min > 0 || max < u32::MAX {
            let text = std::str::from_utf8(bytes_of(&cell, self.bytes, &self.store.arena)).ok()?;
            let count = text.chars().count() as u32;
            if count < min || count > max {
                return None;
            }
        }
        self.allows(place, &cell)?;
        self.note(place, base, cell)?;
        Some(end)
    }

    /// What is asked of a text besides its length.
    fn allows(&self, place: &Place, cell: &Cell) -> Option<()> {
        let text = bytes_of(cell, self.bytes, &self.store.arena);
        if place.text.choice.as_ref().is_some_and(|choice| !choice.have(text)) {
            return None;
        }
        let Some(rules) = place.rules else { return Some(()) };
        let (text, rules) = (std::str::from_utf8(text).ok()?, self.shape.rules(rules)?);
        if rules.string.as_deref().is_some_and(|rules| rules.broken(text).is_some()) {
            return None;
        }
        match rules.decimal.as_deref() {
            None => Some(()),
            Some(rule) => rule.broken(crate::schema::plain_decimal(text).ok()?).is_none().then_some(()),
        }
    }

    /// Reads a text from its opening to behind its closing quote.
    pub(super) fn string(&mut self, at: usize) -> Option<(Cell, usize)> {
        let start = at + 1;
        let run = bytes::run(self.bytes, start);
        if self.bytes.get(run.end) != Some(&b'"') {
            return self.escaped(start, run.end);
        }
        if !run.clean {
            // Only texts may hold more than ASCII, so this is where UTF-8 is checked.
            let text = std::str::from_utf8(self.bytes.get(start..run.end)?).ok()?;
            self.odd |= text.contains(['\u{7f}', '\u{2028}', '\u{2029}']);
        }
        let kind = if run.clean { CellKind::Clean } else { CellKind::Wide };
        let cell = Cell { kind, start: start as u32, len: (run.end - start) as u32, ..Cell::default() };
        Some((cell, run.end + 1))
    }

    #[cold]
    fn escaped(&mut self, mut from: usize, mut stop: usize) -> Option<(Cell, usize)> {
        let (start, opening) = (self.store.arena.len(), from - 1);
        loop {
            self.store.arena.push_str(std::str::from_utf8(self.bytes.get(from..stop)?).ok()?);
            match self.bytes.get(stop)? {
                b'"' => break,
                b'\\' => {
                    let (character, length) = escape(self.bytes.get(stop..)?).ok()?;
                    self.store.arena.push(character);
                    from = stop + length;
                }
                _ => return None,
            }
            stop = bytes::run(self.bytes, from).end;
        }
        let mut written = Vec::new();
        write_json_string(self.store.arena.get(start..)?, &mut written);
        self.odd |= self.bytes.get(opening..=stop) != Some(written.as_slice());
        let len = (self.store.arena.len() - start) as u32;
        let cell = Cell { kind: CellKind::Unescaped, start: start as u32, len, ..Cell::default() };
        Some((cell, stop + 1))
    }
}
