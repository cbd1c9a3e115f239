//! What is done to a value: text rules, numbers, codes, units, rounding.

use super::lookup::shown;
use super::scratch::Scratch;
use super::source::key_of;
use super::value::{Val, Value, decimal_reject};
use super::{Factor, SignRule, Step, UnitRef, UnitStep};
use crate::reject::{Code, Reject};
use crate::tree::{Kind, Tree};
use crate::units::{self, Unit};
use crate::value::{Affine, Decimal, DecimalError, NumberFormat, Rational, number};

impl Step {
    /// The value after this step.
    pub fn apply<'p>(&'p self, value: Value<'p>, scratch: &mut Scratch<'p>) -> Result<Value<'p>, Reject> {
        match self {
            Self::Text(rules) => {
                let mut out = String::new();
                let text = value.scalar(&scratch.message, "a text")?;
                rules
                    .apply(&text, &mut out)
                    .map_err(|error| value.reject(&scratch.message, Code::TextRule, &error.to_string()))?;
                drop(text);
                let val = if scratch.is_empty(&out) { Val::Absent } else { Val::Text(out) };
                Ok(value.with(val))
            }
            Self::Number(format) => decimal(value, format.as_ref(), scratch, Ok),
            Self::Sign(rule) => decimal(value, None, scratch, |decimal| match rule {
                SignRule::Abs => Ok(decimal.abs()),
                SignRule::Negate => Decimal::ZERO.checked_sub(decimal),
            }),
            Self::Codes(table) => {
                let text = value.scalar(&scratch.message, "a code")?;
                let Some((_, json)) = table.iter().find(|(code, _)| code.as_str() == text) else {
                    let known = table.iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>().join(", ");
                    return Err(value.reject(
                        &scratch.message,
                        Code::CodeUnknown,
                        &format!("one of {known}"),
                    ));
                };
                drop(text);
                Ok(Value { origin: value.origin, ..Value::json(json) })
            }
            Self::CodeSet { from, to } => {
                let text = value.scalar(&scratch.message, "a unit code")?;
                let unit = from.unit(&text);
                let Some(code) = unit.and_then(|unit| to.code(unit)) else {
                    let expected = format!("a unit of code set {} that {} knows", from.name(), to.name());
                    return Err(value.reject(&scratch.message, Code::UnitUnknown, &expected));
                };
                drop(text);
                Ok(value.with(Val::Text(code.to_owned())))
            }
            Self::Lookup(lookup) => lookup.find(Some(&value), scratch),
            Self::Unit(step) => step.convert(value, scratch),
            Self::Scale { factor, round } => decimal(value, None, scratch, |decimal| {
                Rational::from(decimal).mul(factor).to_decimal(*round)
            }),
            Self::Round(round) => decimal(value, None, scratch, |decimal| round.apply(decimal)),
        }
    }
}

/// Reads a number and computes with it.
fn decimal<'p>(
    value: Value<'p>,
    format: Option<&NumberFormat>,
    scratch: &Scratch<'_>,
    compute: impl Fn(Decimal) -> Result<Decimal, DecimalError>,
) -> Result<Value<'p>, Reject> {
    let result = read(&value, format, &scratch.message)?;
    match compute(result) {
        Ok(result) => Ok(value.with(Val::Decimal(result))),
        Err(error) => {
            let (code, expected) = decimal_reject(error);
            Err(value.reject(&scratch.message, code, expected))
        }
    }
}

/// A number of the message is read as JSON writes it, a text in the declared form.
fn read(value: &Value<'_>, format: Option<&NumberFormat>, tree: &Tree) -> Result<Decimal, Reject> {
    if let Val::Decimal(decimal) = value.val {
        return Ok(decimal);
    }
    let json_number = match value.val {
        Val::Number(_) => true,
        Val::Node(id) => match tree.kind(id) {
            Kind::Number => true,
            Kind::Bool(_) => return Err(value.reject(tree, Code::WrongType, "a number")),
            _ => false,
        },
        _ => false,
    };
    let text = value.scalar(tree, "a number")?;
    number::parse(&text, format.filter(|_| !json_number)).map_err(|error| {
        let (code, expected) = decimal_reject(error);
        match format.filter(|_| code == Code::BadNumber && !json_number) {
            Some(format) => value.reject(tree, code, &format!("a number like {}", format.example())),
            None => value.reject(tree, code, expected),
        }
    })
}

impl UnitStep {
    fn convert<'p>(&'p self, value: Value<'p>, scratch: &mut Scratch<'p>) -> Result<Value<'p>, Reject> {
        let quantity = read(&value, self.number.as_ref(), &scratch.message)?;
        let rational = match self.factor.as_ref().map(|factor| factor.find(scratch)).transpose()?.flatten() {
            Some(factor) => Affine::scale(factor).apply(quantity),
            None => {
                let from = self.from.resolve(scratch)?;
                let to = self.to.resolve(scratch)?;
                if from == to && self.scale.is_none() {
                    let result = self.round.map_or(Ok(quantity), |round| round.apply(quantity));
                    return finish(value, result, scratch);
                }
                let Some(affine) = units::convert(from, to) else {
                    let found = format!("{} ({})", from.code(), from.dimension_name());
                    let expected =
                        format!("a unit of {} like {}, or a factor", to.dimension_name(), to.code());
                    let pointer = value.pointer(&scratch.message);
                    return Err(Reject::new(Code::UnitIncompatible, found, expected).at(pointer));
                };
                match &self.scale {
                    // One step without a reduced fraction in between: the usual case.
                    None => return finish(value, affine.convert(quantity, self.round), scratch),
                    Some(_) => affine.apply(quantity),
                }
            }
        };
        let result = match &self.scale {
            None => rational.to_decimal(self.round),
            Some(scale) => rational.mul(scale).to_decimal(self.round),
        };
        finish(value, result, scratch)
    }
}

fn finish<'p>(
    value: Value<'p>,
    result: Result<Decimal, DecimalError>,
    scratch: &Scratch<'_>,
) -> Result<Value<'p>, Reject> {
    match result {
        Ok(decimal) => Ok(value.with(Val::Decimal(decimal))),
        Err(error) => {
            let (code, expected) = decimal_reject(error);
            Err(value.reject(&scratch.message, code, expected))
        }
    }
}

impl UnitRef {
    fn resolve<'p>(&'p self, scratch: &mut Scratch<'p>) -> Result<Unit, Reject> {
        match self {
            Self::Fixed(unit) => Ok(*unit),
            Self::Read { chain, set } => {
                let value = chain.eval(scratch)?;
                if value.is_absent() {
                    return Err(value.reject(&scratch.message, Code::Missing, "the unit of the quantity"));
                }
                let text = value.scalar(&scratch.message, "a unit code")?;
                set.unit(&text).ok_or_else(|| {
                    let expected = format!("a unit of code set {}", set.name());
                    value.reject(&scratch.message, Code::UnitUnknown, &expected)
                })
            }
        }
    }
}

impl Factor {
    /// The factor of the table, or `None` when it has no row for the keys.
    fn find<'p>(&'p self, scratch: &mut Scratch<'p>) -> Result<Option<Rational>, Reject> {
        let Some((key, _)) = key_of(&self.keys, scratch)? else { return Ok(None) };
        let Some(num) = self.index.get(&key, self.num) else { return Ok(None) };
        let den = match self.den {
            Some(column) => self.index.get(&key, column).unwrap_or("1"),
            None => "1",
        };
        let bad = || {
            let shown = shown(&key);
            let expected = format!("numbers other than zero in table {} at {shown}", self.index.table);
            Reject::new(Code::BadNumber, format!("{num} / {den}"), expected)
        };
        let num_value = Decimal::parse(num).map_err(|_| bad())?;
        let den_value = Decimal::parse(den).map_err(|_| bad())?;
        if num_value.is_zero() {
            return Err(bad());
        }
        Rational::ratio(num_value, den_value).map(Some).ok_or_else(bad)
    }
}
