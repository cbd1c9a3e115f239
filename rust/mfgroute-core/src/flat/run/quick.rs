//! Fields of the usual forms, without the detours of the others: a text that is copied or cut, a code, a quantity
//! that is converted.

use super::super::cell::{Cell, CellKind};
use super::super::op::{Field, FieldValue, Quick, Step, UnitRef, UnitStep, find_code};
use super::super::piece::{Piece, Range};
use super::super::sheet::{Fixed, Sheet};
use super::{Run, slice};
use crate::units::{self, Unit};
use crate::value::Short;

impl<'p> Run<'p, '_> {
    /// Computes a field and writes it behind its name. `None`: nothing was written, and the field goes the long
    /// way. `here` is where the cells of the current scope start.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "most fields go this way, and a call costs as much as a copy")]
    pub(super) fn quick(
        &self,
        quick: Quick,
        field: &'p Field,
        here: usize,
        lead: &Fixed,
        out: &mut Sheet,
    ) -> Option<Piece<'p>> {
        let cell = self.store.cells.get(quick.cell as usize + if quick.here { here } else { 0 })?;
        let FieldValue::Chain(chain) = &field.value else { return None };
        let text = match cell.kind {
            CellKind::Clean if cell.len >= self.empty_below => Range { start: cell.start, len: cell.len },
            CellKind::Number => return self.quantity(cell, field, chain.steps.first()?, lead, out),
            _ => return None,
        };
        let text = match chain.steps.first() {
            None => text,
            Some(Step::Text(rules)) => {
                let cut = rules.cut_ascii(slice(self.bytes, text))?;
                Range { start: text.start + cut.start as u32, len: cut.len() as u32 }
            }
            Some(Step::Codes(table)) => {
                let constant = find_code(table, slice(self.bytes, text))?.value.as_ref()?;
                if constant.verdict != Some((field.leaf.number, true)) {
                    return None;
                }
                out.put_fixed(lead);
                out.put_fixed(&constant.json);
                return Some(Piece::Const(constant));
            }
            Some(_) => return None,
        };
        if text.len < self.empty_below || !field.leaf.takes_clean(slice(self.bytes, text)) {
            return None;
        }
        out.put_member(lead, self.bytes, text.start as usize, text.len as usize);
        Some(Piece::Clean(text))
    }

    /// The same for a number of the message that is converted.
    fn quantity(
        &self,
        cell: &Cell,
        field: &'p Field,
        step: &'p Step,
        lead: &Fixed,
        out: &mut Sheet,
    ) -> Option<Piece<'p>> {
        let Step::Unit(step) = step else { return None };
        let value = self.converted(step, Short::new(cell.digits, u32::from(cell.scale))?)?;
        if !field.leaf.takes_short(value) {
            return None;
        }
        out.put_fixed(lead);
        let spelled = value.spell();
        let (chunk, len) = spelled.quoted();
        out.put_chunk(chunk, len);
        Some(Piece::Short(value))
    }

    #[inline]
    fn converted(&self, step: &'p UnitStep, value: Short) -> Option<Short> {
        let round = step.round?;
        if step.factor.is_some() || step.scale.is_some() {
            return None;
        }
        let (from, to) = (self.named(&step.from)?, self.named(&step.to)?);
        if from == to { value.round(round) } else { units::linear(from, to)?.convert(value, round) }
    }

    #[inline]
    fn named(&self, unit: &'p UnitRef) -> Option<Unit> {
        match unit {
            UnitRef::Fixed(unit) => Some(*unit),
            UnitRef::Read { chain, set } => self.constant(chain)??.unit(*set),
        }
    }
}
