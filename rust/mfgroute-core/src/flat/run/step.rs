//! What is done to values.

use super::super::op::{Factor, Step, UnitRef, UnitStep, find_code};
use super::super::piece::{Number, Piece, Range};
use super::Run;
use crate::map::SignRule;
use crate::text::TextRules;
use crate::units::{self, Unit};
use crate::value::{Affine, Decimal, NumberFormat, Rational, Round, Short, number};

impl<'p> Run<'p, '_> {
    /// The value after a step.
    pub(super) fn step(&mut self, step: &'p Step, piece: Piece<'p>) -> Option<Piece<'p>> {
        match step {
            Step::Text(rules) => self.text_rules(rules, piece),
            Step::Number(format) => {
                let value = self.value(&piece, format.as_ref())?;
                Some(self.number(value))
            }
            Step::Sign(rule) => {
                let value = self.value(&piece, None)?.decimal();
                let value = match rule {
                    SignRule::Abs => value.abs(),
                    SignRule::Negate => Decimal::ZERO.checked_sub(value).ok()?,
                };
                Some(self.number(Number::of(value)))
            }
            Step::Codes(table) => {
                let piece = self.spelled(piece);
                let code = find_code(table, self.bytes_of(&piece)?)?;
                Some(code.value.as_ref().map_or(Piece::Absent, Piece::Const))
            }
            Step::CodeSet { from, to } => {
                let piece = self.spelled(piece);
                let unit = self.unit_of(&piece, *from)?;
                Some(Piece::Plan(to.code(unit)?))
            }
            Step::Lookup(lookup) => self.lookup(lookup, Some(piece)),
            Step::Unit(step) => {
                let value = self.convert(step, piece)?;
                Some(self.number(value))
            }
            Step::Scale { factor, round } => {
                let value = self.value(&piece, None)?.decimal();
                let value = Rational::from(value).mul(factor).to_decimal(*round).ok()?;
                Some(self.number(Number::of(value)))
            }
            Step::Round(round) => {
                let value = rounded(self.value(&piece, None)?, *round)?;
                Some(self.number(value))
            }
        }
    }

    fn text_rules(&mut self, rules: &'p TextRules, piece: Piece<'p>) -> Option<Piece<'p>> {
        if let Piece::Clean(whole) = piece
            && let Some(cut) = rules.cut_ascii(super::slice(self.bytes, whole))
        {
            let text = Range { start: whole.start + cut.start as u32, len: cut.len() as u32 };
            let absent = !self.empty.is_empty() && self.is_empty(super::slice(self.bytes, text));
            return Some(if absent { Piece::Absent } else { Piece::Clean(text) });
        }
        let piece = self.spelled(piece);
        let mut spare = std::mem::take(&mut self.memory.spare);
        spare.clear();
        let applied = self.text(&piece).map(|text| rules.apply(text, &mut spare));
        let start = self.store.arena.len();
        self.store.arena.push_str(&spare);
        self.memory.spare = spare;
        applied?.ok()?;
        if self.is_empty(self.store.arena.as_bytes().get(start..)?) {
            return Some(Piece::Absent);
        }
        Some(self.arena_from(start))
    }

    /// Reads a number: one of the message as JSON writes it, a text in the declared form.
    #[inline]
    fn value(&self, piece: &Piece<'p>, format: Option<&NumberFormat>) -> Option<Number> {
        match piece {
            Piece::Short(short) => Some(Number::Short(*short)),
            Piece::Number { digits, scale, .. } => Short::new(*digits, u32::from(*scale)).map(Number::Short),
            Piece::LongNumber(_) => Decimal::parse(self.text(piece)?).ok().map(Number::of),
            Piece::Long(_) => self.computed(piece).map(Number::Long),
            Piece::Bool(_) => None,
            _ => number::parse(self.text(piece)?, format).ok().map(Number::of),
        }
    }

    #[inline]
    fn unit_of(&self, piece: &Piece<'p>, set: units::CodeSet) -> Option<Unit> {
        match piece {
            Piece::Const(constant) => constant.unit(set),
            piece => set.unit(self.text(piece)?),
        }
    }

    #[inline]
    fn unit(&mut self, unit: &'p UnitRef) -> Option<Unit> {
        match unit {
            UnitRef::Fixed(unit) => Some(*unit),
            UnitRef::Read { chain, set } => {
                if let Some(constant) = self.constant(chain) {
                    return constant?.unit(*set);
                }
                let piece = self.chain(chain)?;
                let piece = self.spelled(piece);
                self.unit_of(&piece, *set)
            }
        }
    }

    fn convert(&mut self, step: &'p UnitStep, piece: Piece<'p>) -> Option<Number> {
        let quantity = self.value(&piece, step.number.as_ref())?;
        let mut key = Piece::Absent;
        if let Some(factor) = &step.factor {
            key = self.key(&factor.keys)?;
        }
        let row = step.factor.as_ref().and_then(|factor| self.row(factor, &key));
        let rational = match row {
            Some((num, den)) => {
                let factor = fraction(num, den)?;
                Affine::scale(factor).apply(quantity.decimal())
            }
            None => {
                let (from, to) = (self.unit(&step.from)?, self.unit(&step.to)?);
                if from == to && step.scale.is_none() {
                    return step.round.map_or(Some(quantity), |round| rounded(quantity, round));
                }
                if let (Number::Short(short), Some(round), None) = (quantity, step.round, &step.scale)
                    && let Some(linear) = units::linear(from, to)
                    && let Some(result) = linear.convert(short, round)
                {
                    return Some(Number::Short(result));
                }
                let affine = units::convert(from, to)?;
                if step.scale.is_none() {
                    return affine.convert(quantity.decimal(), step.round).ok().map(Number::of);
                }
                affine.apply(quantity.decimal())
            }
        };
        let result = match &step.scale {
            None => rational,
            Some(scale) => rational.mul(scale),
        };
        result.to_decimal(step.round).ok().map(Number::of)
    }

    /// Numerator and denominator of a table, if it has a row for the key.
    fn row(&self, factor: &'p Factor, key: &Piece<'p>) -> Option<(&'p str, &'p str)> {
        let text = self.text(key)?;
        let num = factor.index.get(text, factor.num)?;
        let den = factor.den.and_then(|column| factor.index.get(text, column)).unwrap_or("1");
        Some((num, den))
    }
}

/// The factor that a table says; zero is none.
fn fraction(num: &str, den: &str) -> Option<Rational> {
    let (num, den) = (Decimal::parse(num).ok()?, Decimal::parse(den).ok()?);
    if num.is_zero() { None } else { Rational::ratio(num, den) }
}

#[inline]
fn rounded(value: Number, round: Round) -> Option<Number> {
    if let Number::Short(short) = value
        && let Some(result) = short.round(round)
    {
        return Some(Number::Short(result));
    }
    round.apply(value.decimal()).ok().map(Number::of)
}
