//! Runs a block over the cells of one message.

mod cond;
mod list;
mod quick;
mod source;
mod step;
mod write;

use super::Offer;
use super::cell::{Cell, CellKind};
use super::leaf::Leaf;
use super::op::{At, Chain, ConstKind, Field};
use super::piece::{Number, Piece, Range};
use super::scan::Store;
use crate::map::scratch::{Given, Meta};
use crate::value::Decimal;

/// Memory of runs, used for one message after the other.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Bases of the open frames, the message first.
    frames: Vec<usize>,
    /// Numbers of more than 18 digits.
    longs: Vec<Decimal>,
    /// A text that is read and written at once.
    spare: String,
    /// Memory of [`Run::pieces`]; always empty here.
    pieces: Vec<Piece<'static>>,
    blocks: Vec<usize>,
}

/// One run.
pub(super) struct Run<'p, 'm> {
    bytes: &'m [u8],
    line: Option<u64>,
    pub(super) store: &'m mut Store,
    memory: &'m mut Memory,
    meta: Meta<'m>,
    given: Given<'m>,
    empty: &'p [String],
    /// Shorter texts may be among them.
    empty_below: u32,
    /// Values of the fields of the open blocks, innermost last, and where each block starts.
    pieces: Vec<Piece<'p>>,
    blocks: Vec<usize>,
}

/// An empty vector with the memory of another.
fn recycled<'b>(mut pieces: Vec<Piece<'_>>) -> Vec<Piece<'b>> {
    pieces.clear();
    // Of an empty vector nothing is mapped; the standard library keeps its allocation.
    pieces.into_iter().map(|_| Piece::Absent).collect()
}

impl<'p, 'm> Run<'p, 'm> {
    /// A run that starts at the message.
    pub(super) fn new(
        offer: &Offer<'m>,
        store: &'m mut Store,
        memory: &'m mut Memory,
        empty: &'p [String],
    ) -> Self {
        memory.frames.clear();
        memory.frames.push(0);
        let pieces = recycled(std::mem::take(&mut memory.pieces));
        let blocks = std::mem::take(&mut memory.blocks);
        let Offer { bytes, line, meta, given, .. } = *offer;
        let empty_below = empty.iter().map(|text| text.len() as u32 + 1).max().unwrap_or(0);
        Self { bytes, line, store, memory, meta, given, empty, empty_below, pieces, blocks }
    }

    /// Gives the memory back.
    pub(super) fn end(self) {
        self.memory.pieces = recycled(self.pieces);
        self.memory.blocks = self.blocks;
    }

    /// Forgets the fields of the event before.
    pub(super) fn clear(&mut self) {
        self.memory.longs.clear();
        self.pieces.clear();
        self.blocks.clear();
    }

    /// Makes an item of a list the current one.
    pub(super) fn enter(&mut self, base: usize) {
        self.memory.frames.push(base);
    }

    /// Goes back to the scope around.
    pub(super) fn leave(&mut self) {
        self.memory.frames.pop();
    }

    #[inline]
    pub(super) fn cell(&self, at: At) -> Option<&Cell> {
        let base = match at.up {
            None => 0,
            Some(up) => {
                let frames = &self.memory.frames;
                frames.get(frames.len().checked_sub(up + 1)?).copied()?
            }
        };
        self.store.cells.get(base + at.cell as usize)
    }

    /// The value of a cell; an empty text is absent.
    #[inline]
    pub(super) fn piece(&self, at: At) -> Piece<'p> {
        let Some(cell) = self.cell(at) else { return Piece::Absent };
        let text = Range { start: cell.start, len: cell.len };
        let piece = match cell.kind {
            CellKind::Absent | CellKind::Null | CellKind::List => return Piece::Absent,
            CellKind::Number => {
                let Cell { start, len, scale, digits, .. } = *cell;
                return Piece::Number { start, len: len as u16, scale, digits };
            }
            CellKind::LongNumber => return Piece::LongNumber(text),
            CellKind::True => return Piece::Bool(true),
            CellKind::False => return Piece::Bool(false),
            CellKind::Clean => Piece::Clean(text),
            CellKind::Wide => Piece::Wide(text),
            CellKind::Unescaped => Piece::Arena(text),
        };
        let absent = !self.empty.is_empty() && self.bytes_of(&piece).is_some_and(|text| self.is_empty(text));
        if absent { Piece::Absent } else { piece }
    }

    fn is_empty(&self, text: &[u8]) -> bool {
        self.empty.iter().any(|empty| empty.as_bytes() == text)
    }

    /// The text of a scalar as bytes; `None` of one that is not spelled out.
    #[inline]
    fn bytes_of<'s>(&'s self, piece: &Piece<'s>) -> Option<&'s [u8]> {
        Some(match piece {
            Piece::Absent | Piece::List | Piece::Short(_) | Piece::Long(_) => return None,
            Piece::Clean(text) | Piece::Wide(text) | Piece::LongNumber(text) => slice(self.bytes, *text),
            Piece::Number { start, len, .. } => {
                slice(self.bytes, Range { start: *start, len: u32::from(*len) })
            }
            Piece::Arena(text) => slice(self.store.arena.as_bytes(), *text),
            Piece::Plan(text) => text.as_bytes(),
            Piece::Const(constant) => constant.text.as_bytes(),
            Piece::Bool(truth) => {
                if *truth {
                    b"true"
                } else {
                    b"false"
                }
            }
        })
    }

    /// The text of a scalar; `None` of one that is not spelled out.
    fn text<'s>(&'s self, piece: &Piece<'s>) -> Option<&'s str> {
        match piece {
            Piece::Arena(text) => self.store.arena.get(text.start as usize..(text.start + text.len) as usize),
            Piece::Plan(text) => Some(text),
            Piece::Const(constant) => Some(&constant.text),
            piece => std::str::from_utf8(self.bytes_of(piece)?).ok(),
        }
    }

    /// A computed number as the text it is written as; other values stay.
    #[inline]
    fn spelled(&mut self, piece: Piece<'p>) -> Piece<'p> {
        match piece {
            Piece::Short(_) | Piece::Long(_) => self.spell(&piece),
            piece => piece,
        }
    }

    #[cold]
    fn spell(&mut self, piece: &Piece<'p>) -> Piece<'p> {
        let start = self.store.arena.len();
        if let Some(decimal) = self.computed(piece) {
            decimal.write_to(&mut self.store.arena);
        }
        self.arena_from(start)
    }

    /// A number that was computed.
    fn computed(&self, piece: &Piece<'p>) -> Option<Decimal> {
        match piece {
            Piece::Short(short) => Some(short.decimal()),
            Piece::Long(at) => self.memory.longs.get(*at as usize).copied(),
            _ => None,
        }
    }

    #[inline]
    fn number(&mut self, number: Number) -> Piece<'p> {
        match number {
            Number::Short(short) => Piece::Short(short),
            Number::Long(decimal) => {
                self.memory.longs.push(decimal);
                Piece::Long(self.memory.longs.len() as u32 - 1)
            }
        }
    }

    /// What was appended to the arena since it had this length.
    fn arena_from(&self, start: usize) -> Piece<'p> {
        Piece::Arena(Range { start: start as u32, len: (self.store.arena.len() - start) as u32 })
    }

    /// Hands the text of a field of the outermost block to `use_text`, as bytes; `None` when it is absent.
    pub(super) fn with_bytes(&self, index: usize, use_text: impl FnOnce(&[u8])) -> Option<()> {
        let piece = self.pieces.get(index)?;
        match self.computed(piece) {
            Some(decimal) => use_text(decimal.to_string().as_bytes()),
            None => use_text(self.bytes_of(piece)?),
        }
        Some(())
    }

    /// Hands the text of a field of the outermost block to `use_text`; `None` when it is absent.
    pub(super) fn with_text(&self, index: usize, use_text: impl FnOnce(&str)) -> Option<()> {
        let piece = self.pieces.get(index)?;
        match self.computed(piece) {
            Some(decimal) => use_text(&decimal.to_string()),
            None => use_text(self.text(piece)?),
        }
        Some(())
    }

    /// The value of a field that is no list.
    #[inline]
    fn field(&mut self, chain: &'p Chain, field: &'p Field) -> Option<Piece<'p>> {
        let mut piece = self.chain(chain)?;
        if piece.is_absent() {
            match &field.default {
                None => return Some(Piece::Absent),
                Some(default) => piece = Piece::Const(default),
            }
        }
        self.allowed(&field.leaf, field.as_number, &piece).then_some(piece)
    }

    /// Whether the contract allows a value.
    #[inline]
    fn allowed(&self, leaf: &'p Leaf, as_number: bool, piece: &Piece<'p>) -> bool {
        match piece {
            Piece::Absent | Piece::List => true,
            Piece::Bool(_) => leaf.takes_bool(),
            Piece::Clean(text) => leaf.takes_clean(slice(self.bytes, *text)),
            Piece::Number { .. } | Piece::LongNumber(_) => {
                self.text(piece).is_some_and(|text| leaf.takes_number(text))
            }
            Piece::Const(constant) => match (constant.verdict, constant.kind) {
                (Some((number, verdict)), _) if number == leaf.number => verdict,
                (_, ConstKind::Text) => leaf.takes_text(&constant.text),
                (_, ConstKind::Number) => leaf.takes_number(&constant.text),
                (_, ConstKind::Bool) => leaf.takes_bool(),
            },
            Piece::Wide(_) | Piece::Arena(_) | Piece::Plan(_) => {
                self.text(piece).is_some_and(|text| leaf.takes_text(text))
            }
            Piece::Short(short) if !as_number => leaf.takes_short(*short),
            Piece::Short(_) | Piece::Long(_) => self.computed(piece).is_some_and(|decimal| {
                let text = decimal.to_string();
                if as_number { leaf.takes_number(&text) } else { leaf.takes_text(&text) }
            }),
        }
    }
}

/// The bytes of a range.
#[inline]
fn slice(bytes: &[u8], range: Range) -> &[u8] {
    bytes.get(range.start as usize..(range.start + range.len) as usize).unwrap_or_default()
}
