//! Texts: their ends, escapes and rules.

use super::super::cell::{Cell, CellKind, bytes_of};
use super::super::shape::{Place, TextCheck};
use super::{Scan, bytes};
use crate::decode::escape::escape;
use crate::schema::program::Types;

impl Scan<'_> {
    pub(super) fn text(&mut self, place: &Place, base: usize) -> Option<()> {
        if place.types & Types::STRING == 0 {
            return None;
        }
        let cell = self.string()?;
        if cell.len as usize > self.limits.string_bytes {
            return None;
        }
        let TextCheck { min, max, choice } = &place.text;
        if cell.kind == CellKind::Clean {
            if cell.len < *min || cell.len > *max {
                return None;
            }
        } else if *min > 0 || *max < u32::MAX {
            let text = std::str::from_utf8(bytes_of(&cell, self.bytes, &self.store.arena)).ok()?;
            let count = text.chars().count() as u32;
            if count < *min || count > *max {
                return None;
            }
        }
        if choice.is_some() || place.rules.is_some() {
            let text = bytes_of(&cell, self.bytes, &self.store.arena);
            if let Some(choice) = choice
                && !choice.iter().any(|one| one.as_bytes() == text)
            {
                return None;
            }
            if let Some(rules) = place.rules {
                let (text, rules) = (std::str::from_utf8(text).ok()?, self.shape.rules(rules)?);
                if rules.string.as_deref().is_some_and(|rules| rules.broken(text).is_some()) {
                    return None;
                }
                if let Some(rule) = rules.decimal.as_deref() {
                    let value = crate::schema::plain_decimal(text).ok()?;
                    if rule.broken(value).is_some() {
                        return None;
                    }
                }
            }
        }
        self.note(place, base, cell)
    }

    /// Reads a text from its opening to behind its closing quote.
    #[inline]
    pub(super) fn string(&mut self) -> Option<Cell> {
        let start = self.at + 1;
        let run = bytes::run(self.bytes, start);
        if self.bytes.get(run.end) != Some(&b'"') {
            return self.escaped(start, run.end);
        }
        self.at = run.end + 1;
        if !run.clean {
            // Only texts may hold more than ASCII, so this is where UTF-8 is checked.
            std::str::from_utf8(self.bytes.get(start..run.end)?).ok()?;
        }
        let kind = if run.clean { CellKind::Clean } else { CellKind::Wide };
        Some(Cell { kind, start: start as u32, len: (run.end - start) as u32, ..Cell::default() })
    }

    #[cold]
    fn escaped(&mut self, mut from: usize, mut stop: usize) -> Option<Cell> {
        let start = self.store.arena.len();
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
        self.at = stop + 1;
        let len = (self.store.arena.len() - start) as u32;
        Some(Cell { kind: CellKind::Unescaped, start: start as u32, len, ..Cell::default() })
    }
}
