//! Computes the fields of a block and writes them as JSON.

use super::super::op::{Block, ConstKind, Field, FieldValue, Out, OutValue};
use super::super::piece::Piece;
use super::super::sheet::{Fixed, Sheet};
use super::Run;
use crate::tree::{Kind, NONE, NodeId, Span, Tree, write_json_string};

impl<'p> Run<'p, '_> {
    /// Computes the fields of a block, the last in `pieces` then, and writes them as an object. `None`: something
    /// is missing that the contract requires, or is not as it asks.
    pub(in super::super) fn object(&mut self, block: &'p Block, out: &mut Sheet) -> Option<()> {
        self.blocks.push(self.pieces.len());
        let start = out.len();
        self.members(block, &block.outs, out)?;
        out.close_object(start);
        Some(())
    }

    /// Writes members, each behind a comma.
    fn members(&mut self, block: &'p Block, outs: &'p [Out], out: &mut Sheet) -> Option<()> {
        let here = self.memory.frames.last().copied().unwrap_or(0);
        for member in outs {
            let before = out.len();
            match &member.what {
                OutValue::Field(index, as_number) => {
                    let field = block.fields.get(*index)?;
                    let quick =
                        field.quick.and_then(|quick| self.quick(quick, field, here, &member.lead, out));
                    let piece = match quick {
                        Some(piece) => piece,
                        None => self.member(field, &member.lead, *as_number, out)?,
                    };
                    self.pieces.push(piece);
                }
                OutValue::Group(inner) => {
                    out.put_fixed(&member.lead);
                    let start = out.len();
                    self.members(block, inner, out)?;
                    if out.len() > start {
                        out.close_object(start);
                    } else {
                        out.truncate(before);
                    }
                }
            }
            if member.required && out.len() == before {
                return None;
            }
        }
        Some(())
    }

    /// Computes any field and writes it behind its name, if it is there.
    #[inline(never)]
    fn member(
        &mut self,
        field: &'p Field,
        lead: &Fixed,
        as_number: bool,
        out: &mut Sheet,
    ) -> Option<Piece<'p>> {
        let chain = match &field.value {
            FieldValue::Chain(chain) => chain,
            FieldValue::List(list) => {
                out.put_fixed(lead);
                self.list(list, out)?;
                return Some(Piece::List);
            }
        };
        let piece = self.field(chain, field)?;
        if !piece.is_absent() {
            out.put_fixed(lead);
            self.write_piece(&piece, as_number, out);
        }
        Some(piece)
    }

    /// Adds members of the outermost block to a tree, below `parent`.
    pub(in super::super) fn grow(&self, outs: &[Out], parent: NodeId, tree: &mut Tree) {
        for member in outs {
            let key = tree.push_text(&member.name());
            match &member.what {
                OutValue::Group(inner) => {
                    if inner.iter().any(|out| self.is_there(out)) {
                        let group = tree.add(parent, key, Kind::Object, Span::default(), NONE);
                        self.grow(inner, group, tree);
                    }
                }
                OutValue::Field(index, as_number) => {
                    let piece = self.pieces.get(*index).copied().unwrap_or(Piece::Absent);
                    if !piece.is_absent() {
                        self.leaf(&piece, *as_number, (parent, key), tree);
                    }
                }
            }
        }
    }

    fn is_there(&self, out: &Out) -> bool {
        match &out.what {
            OutValue::Group(inner) => inner.iter().any(|out| self.is_there(out)),
            OutValue::Field(index, _) => self.pieces.get(*index).is_some_and(|piece| !piece.is_absent()),
        }
    }

    fn leaf(&self, piece: &Piece<'p>, as_number: bool, (parent, key): (NodeId, Span), tree: &mut Tree) {
        if matches!(piece, Piece::List) {
            // Only that it is there counts: a condition that looks into a list is not for flat programs.
            tree.add(parent, key, Kind::Array, Span::default(), NONE);
            return;
        }
        let computed = self.computed(piece).map(|decimal| decimal.to_string());
        let kind = match piece {
            Piece::Bool(truth) => Kind::Bool(*truth),
            Piece::Const(constant) => match constant.kind {
                ConstKind::Bool => Kind::Bool(&*constant.text == "true"),
                ConstKind::Number => Kind::Number,
                ConstKind::Text => Kind::String,
            },
            Piece::Number { .. } | Piece::LongNumber(_) => Kind::Number,
            Piece::Short(_) | Piece::Long(_) if as_number => Kind::Number,
            _ => Kind::String,
        };
        let text = computed.as_deref().or_else(|| self.text(piece)).unwrap_or_default();
        let span = if matches!(kind, Kind::Bool(_)) { Span::default() } else { tree.push_text(text) };
        tree.add(parent, key, kind, span, NONE);
    }

    /// Writes one value; nothing for one that is absent.
    pub(super) fn write_piece(&self, piece: &Piece<'p>, as_number: bool, out: &mut Sheet) {
        match piece {
            Piece::Clean(text) => out.put_quoted(self.bytes, text.start as usize, text.len as usize),
            Piece::Short(short) => {
                let spelled = short.spell();
                let (chunk, len) = if as_number { spelled.bare() } else { spelled.quoted() };
                out.put_chunk(chunk, len);
            }
            Piece::Const(constant) => out.put_fixed(&constant.json),
            piece => self.write_other(piece, as_number, out),
        }
    }

    fn write_other(&self, piece: &Piece<'p>, as_number: bool, out: &mut Sheet) {
        match piece {
            Piece::Absent | Piece::List | Piece::Clean(_) | Piece::Short(_) | Piece::Const(_) => {}
            Piece::Number { .. } | Piece::LongNumber(_) => {
                out.put_all(self.bytes_of(piece).unwrap_or_default());
            }
            Piece::Bool(truth) => out.put_all(if *truth { b"true" } else { b"false" }),
            Piece::Long(_) => {
                let Some(decimal) = self.computed(piece) else { return };
                let quote = if as_number { "" } else { "\"" };
                out.put_all(quote.as_bytes());
                out.put_with(|out| decimal.write_bytes(out));
                out.put_all(quote.as_bytes());
            }
            Piece::Wide(_) | Piece::Arena(_) | Piece::Plan(_) => {
                out.put_with(|out| write_json_string(self.text(piece).unwrap_or_default(), out));
            }
        }
    }
}
