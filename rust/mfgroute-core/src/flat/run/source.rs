//! Where values come from.

use super::super::cell::CellKind;
use super::super::op::{At, Chain, Const, Lookup, Missing, Source, Step, Time, find_code};
use super::super::piece::{Piece, Range};
use super::{Run, slice};
use crate::map::lookup::{SEPARATOR, shown};
use crate::map::scratch::LINE;
use crate::time::Instant;

impl<'p, 'm> Run<'p, 'm> {
    /// The constant that a chain comes to in one step, if it is so short: `Some(None)` when it comes to nothing.
    #[inline]
    #[expect(clippy::option_option, reason = "not so short, nothing, and a constant are three things")]
    pub(super) fn constant(&self, chain: &'p Chain) -> Option<Option<&'p Const>> {
        match (&chain.source, chain.steps.as_slice()) {
            (Source::Cell(at), [Step::Codes(table)]) => {
                let cell = self.cell(*at).filter(|cell| cell.kind == CellKind::Clean)?;
                let text = Range { start: cell.start, len: cell.len };
                if text.len < self.empty_below {
                    return None;
                }
                Some(find_code(table, slice(self.bytes, text)).and_then(|code| code.value.as_ref()))
            }
            (Source::Field { up, index }, []) => match self.earlier(*up, *index) {
                Piece::Const(constant) => Some(Some(constant)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The value after all steps. An absent value passes through nothing.
    pub(super) fn chain(&mut self, chain: &'p Chain) -> Option<Piece<'p>> {
        let mut piece = match &chain.source {
            Source::Cell(at) => self.piece(*at),
            source => self.fetch(source)?,
        };
        for step in &chain.steps {
            if piece.is_absent() {
                return Some(Piece::Absent);
            }
            piece = self.step(step, piece)?;
        }
        Some(piece)
    }

    fn fetch(&mut self, source: &'p Source) -> Option<Piece<'p>> {
        Some(match source {
            Source::Cell(at) => self.piece(*at),
            Source::First(ats) => {
                ats.iter().map(|at| self.piece(*at)).find(|piece| !piece.is_absent()).unwrap_or(Piece::Absent)
            }
            Source::Const(constant) => constant.as_ref().map_or(Piece::Absent, Piece::Const),
            Source::Field { up, index } => self.field_value(*up, *index),
            Source::Meta(name) => {
                let start = self.store.arena.len();
                match (self.meta_text(name), self.line) {
                    (Some(text), _) => self.store.arena.push_str(text),
                    (None, Some(line)) if &**name == LINE => {
                        self.store.arena.push_str(&line.to_string());
                    }
                    _ => return Some(Piece::Absent),
                }
                self.arena_from(start)
            }
            Source::Lookup(lookup) => return self.lookup(lookup, None),
            Source::Concat(parts) => return self.concat(parts),
            Source::Join(ats) => return Some(self.join(ats)),
            Source::Time(time) => {
                let piece = self.chain(&time.chain)?;
                if piece.is_absent() {
                    return Some(Piece::Absent);
                }
                let instant = self.instant(time, piece)?;
                let start = self.store.arena.len();
                instant.write_to(&mut self.store.arena);
                self.arena_from(start)
            }
            Source::Date(date) => {
                let piece = self.chain(&date.chain)?;
                if piece.is_absent() {
                    return Some(Piece::Absent);
                }
                let piece = self.spelled(piece);
                let day = date.rule.read(self.text(&piece)?).ok()?;
                let start = self.store.arena.len();
                day.write_to(&mut self.store.arena);
                self.arena_from(start)
            }
        })
    }

    /// What an earlier field came to.
    #[inline]
    fn earlier(&self, up: usize, index: usize) -> Piece<'p> {
        let block = self.blocks.len().checked_sub(up + 1).and_then(|at| self.blocks.get(at));
        block.and_then(|start| self.pieces.get(start + index)).copied().unwrap_or(Piece::Absent)
    }

    /// What an earlier field was written as.
    fn field_value(&mut self, up: usize, index: usize) -> Piece<'p> {
        let piece = self.earlier(up, index);
        // A list is no value, and a decimal is the text that it became.
        match piece {
            Piece::List => Piece::Absent,
            piece => self.spelled(piece),
        }
    }

    fn meta_text(&self, name: &str) -> Option<&'m str> {
        self.meta
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, text)| *text)
            .or_else(|| self.given.get(name))
    }

    /// The time of an event, which must be there; and its text in UTC, where the message has it so.
    pub(in super::super) fn time(&mut self, time: &'p Time) -> Option<(Instant, Option<&'m str>)> {
        let piece = self.chain(&time.chain)?;
        if let Piece::Clean(text) = piece
            && let text = slice(self.bytes, text)
            && let Some(instant) = time.rule.read_own(text)
        {
            return Some((instant, std::str::from_utf8(text).ok()));
        }
        Some((self.instant(time, piece)?, None))
    }

    fn instant(&mut self, time: &'p Time, piece: Piece<'p>) -> Option<Instant> {
        let piece = self.spelled(piece);
        time.rule.read(self.text(&piece)?).ok()
    }

    fn concat(&mut self, parts: &'p [Chain]) -> Option<Piece<'p>> {
        self.together(parts, "")
    }

    /// The texts of all parts in the arena, or absent when one is.
    fn together(&mut self, parts: &'p [Chain], between: &str) -> Option<Piece<'p>> {
        let mut whole = std::mem::take(&mut self.memory.spare);
        whole.clear();
        let mut absent = false;
        for (index, part) in parts.iter().enumerate() {
            // Parts may use the arena and, being together themselves, the spare text: it is taken.
            let piece = self.chain(part)?;
            if piece.is_absent() {
                absent = true;
                break;
            }
            if index > 0 {
                whole.push_str(between);
            }
            let piece = self.spelled(piece);
            whole.push_str(self.text(&piece)?);
        }
        let start = self.store.arena.len();
        self.store.arena.push_str(&whole);
        self.memory.spare = whole;
        Some(if absent { Piece::Absent } else { self.arena_from(start) })
    }

    fn join(&mut self, ats: &[At]) -> Piece<'p> {
        let start = self.store.arena.len();
        for at in ats {
            let piece = self.piece(*at);
            if piece.is_absent() {
                return Piece::Absent;
            }
            if self.store.arena.len() > start {
                self.store.arena.push(' ');
            }
            let mut spare = std::mem::take(&mut self.memory.spare);
            spare.clear();
            spare.push_str(self.text(&piece).unwrap_or_default());
            self.store.arena.push_str(&spare);
            self.memory.spare = spare;
        }
        self.arena_from(start)
    }

    /// The key that the parts make; absent when one is.
    pub(super) fn key(&mut self, parts: &'p [Chain]) -> Option<Piece<'p>> {
        let mut buffer = [0; 4];
        self.together(parts, SEPARATOR.encode_utf8(&mut buffer))
    }

    /// The cell for the keys, or for `current` when there are none.
    pub(super) fn lookup(&mut self, lookup: &'p Lookup, current: Option<Piece<'p>>) -> Option<Piece<'p>> {
        let key = match current.filter(|_| lookup.keys.is_empty()) {
            Some(current) => self.spelled(current),
            None => self.key(&lookup.keys)?,
        };
        if key.is_absent() {
            return Some(Piece::Absent);
        }
        let text = self.text(&key)?;
        if let Some(cell) = lookup.index.get(text, lookup.take) {
            return Some(if cell.is_empty() { Piece::Absent } else { Piece::Plan(cell) });
        }
        match &lookup.missing {
            Missing::HandBack => None,
            Missing::Default(constant) => Some(constant.as_ref().map_or(Piece::Absent, Piece::Const)),
            Missing::Keep => {
                let shown = shown(text);
                let start = self.store.arena.len();
                self.store.arena.push_str(&shown);
                Some(self.arena_from(start))
            }
        }
    }
}
