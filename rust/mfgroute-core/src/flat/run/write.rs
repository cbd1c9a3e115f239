//! Writes the fields of a block as JSON.

use super::super::op::{ConstKind, Out, OutValue};
use super::super::piece::Piece;
use super::{Run, slice};
use crate::tree::{Kind, NONE, NodeId, Span, Tree, write_json_string};
use crate::value::SPELLED_MAX;

impl<'p> Run<'p, '_> {
    /// Writes the innermost block as an object. `None`: something is missing that the contract requires.
    pub(in super::super) fn write(&self, outs: &[Out], out: &mut Vec<u8>) -> Option<()> {
        out.push(b'{');
        self.members(outs, out)?;
        out.push(b'}');
        Some(())
    }

    /// Writes members without braces; whether there was one.
    fn members(&self, outs: &[Out], out: &mut Vec<u8>) -> Option<bool> {
        let start = out.len();
        let pieces = self.pieces.get(self.blocks.last().copied()?..)?;
        for member in outs {
            let before = out.len();
            match &member.what {
                OutValue::Field(index, as_number) => {
                    let piece = pieces.get(*index)?;
                    if !piece.is_absent() {
                        out.extend_from_slice(if before > start {
                            &member.lead
                        } else {
                            member.first_lead()
                        });
                        self.write_piece(piece, *as_number, out);
                    }
                }
                OutValue::Group(inner) => {
                    out.extend_from_slice(if before > start { &member.lead } else { member.first_lead() });
                    out.push(b'{');
                    if self.members(inner, out)? {
                        out.push(b'}');
                    } else {
                        out.truncate(before);
                    }
                }
            }
            if member.required && out.len() == before {
                return None;
            }
        }
        Some(out.len() > start)
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
        if matches!(piece, Piece::List(_)) {
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
    #[inline]
    pub(super) fn write_piece(&self, piece: &Piece<'p>, as_number: bool, out: &mut Vec<u8>) {
        match piece {
            Piece::Absent => {}
            Piece::Clean(text) => {
                out.reserve(text.len as usize + 2);
                out.push(b'"');
                out.extend_from_slice(slice(self.bytes, *text));
                out.push(b'"');
            }
            Piece::Short(short) => {
                let mut buffer = [b'"'; SPELLED_MAX];
                let (bare, quoted) = short.spell(&mut buffer);
                out.extend_from_slice(if as_number { bare } else { quoted });
            }
            Piece::Const(constant) => out.extend_from_slice(&constant.json),
            Piece::Number { .. } | Piece::LongNumber(_) => {
                out.extend_from_slice(self.bytes_of(piece).unwrap_or_default());
            }
            Piece::List(list) => out.extend_from_slice(slice(&self.memory.lists, *list)),
            Piece::Bool(truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
            Piece::Long(_) => {
                let Some(decimal) = self.computed(piece) else { return };
                let quote = if as_number { "" } else { "\"" };
                out.extend_from_slice(quote.as_bytes());
                decimal.write_bytes(out);
                out.extend_from_slice(quote.as_bytes());
            }
            Piece::Wide(_) | Piece::Arena(_) | Piece::Plan(_) => {
                write_json_string(self.text(piece).unwrap_or_default(), out);
            }
        }
    }
}
