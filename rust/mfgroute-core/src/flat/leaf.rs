//! What a contract asks of one field, for values that are not in a tree.

use std::sync::Arc;

use super::shape::{Place, leaf};
use crate::schema::Schema;
use crate::schema::program::{DecimalRule, Sub, SubId, Types};
use crate::value::{Decimal, Short};

/// The rules of one scalar field.
#[derive(Debug, Default)]
pub(super) struct Leaf {
    /// Its number in the program, from 1.
    pub(super) number: u32,
    place: Place,
    rules: Option<(Arc<Schema>, SubId)>,
    /// `x-decimal`.
    decimal: Option<DecimalRule>,
    /// Whether any text that is a decimal satisfies everything but `x-decimal`.
    decimal_text: bool,
}

impl Leaf {
    /// The rules of a subschema.
    pub(super) fn new(number: u32, schema: &Arc<Schema>, sub: Option<(SubId, &Sub)>) -> Result<Self, String> {
        let mut place = Place { types: Types::ANY.0, ..Place::default() };
        let Some((id, sub)) = sub else { return Ok(Self { number, place, ..Self::default() }) };
        leaf(&mut place, id, sub)?;
        let only_format = sub.string.as_deref().is_none_or(|rules| {
            rules.pattern.is_none()
                && rules.codes.is_none()
                && rules.min.is_none_or(|min| min <= 1)
                && rules.max.is_none()
                && rules.format.as_ref().is_none_or(|format| format.name() == "decimal")
        });
        let decimal_text = only_format && place.text.choice.is_none() && place.types & Types::STRING != 0;
        let rules = place.rules.map(|id| (Arc::clone(schema), id));
        Ok(Self { number, place, rules, decimal: sub.decimal.as_deref().cloned(), decimal_text })
    }

    fn sub(&self) -> Option<&Sub> {
        let (schema, id) = self.rules.as_ref()?;
        Some(schema.program()?.sub(*id))
    }

    /// Whether a text is fine.
    pub(super) fn takes_text(&self, text: &str) -> bool {
        let check = &self.place.text;
        let counted = check.min > 0 || check.max < u32::MAX;
        let count = if counted { text.chars().count() as u32 } else { check.min };
        self.takes_length(count) && self.takes_choice(text.as_bytes()) && self.takes_rules(text)
    }

    /// Whether a text is fine that is ASCII.
    #[inline]
    pub(super) fn takes_clean(&self, text: &[u8]) -> bool {
        self.takes_length(text.len() as u32)
            && self.takes_choice(text)
            && (self.rules.is_none() || std::str::from_utf8(text).is_ok_and(|text| self.takes_rules(text)))
    }

    #[inline]
    fn takes_length(&self, count: u32) -> bool {
        let check = &self.place.text;
        self.place.types & Types::STRING != 0 && count >= check.min && count <= check.max
    }

    #[inline]
    fn takes_choice(&self, text: &[u8]) -> bool {
        let choice = self.place.text.choice.as_ref();
        choice.is_none_or(|choice| choice.iter().any(|one| one.as_bytes() == text))
    }

    fn takes_rules(&self, text: &str) -> bool {
        self.sub().is_none_or(|sub| sub.string.as_deref().is_none_or(|rules| rules.broken(text).is_none()))
            && self.decimal.as_ref().is_none_or(|rule| {
                crate::schema::plain_decimal(text).is_ok_and(|value| rule.broken(value).is_none())
            })
    }

    /// Whether a number, as JSON writes it, is fine.
    pub(super) fn takes_number(&self, text: &str) -> bool {
        let types = self.place.types;
        if types & Types::NUMBER == 0 && (types & Types::INTEGER == 0 || !crate::schema::is_whole(text)) {
            return false;
        }
        let (Ok(value), check) = (Decimal::parse(text), &self.place.number) else { return false };
        check.min.is_none_or(|min| value >= Decimal::from(min))
            && check.max.is_none_or(|max| value <= Decimal::from(max))
            && self
                .sub()
                .is_none_or(|sub| sub.number.as_deref().is_none_or(|rules| rules.broken(text).is_none()))
            && self.decimal.as_ref().is_none_or(|rule| rule.broken(value).is_none())
    }

    /// Whether a decimal that is written as a text is fine.
    #[inline]
    pub(super) fn takes_short(&self, value: Short) -> bool {
        if !self.decimal_text {
            return self.takes_text(&value.decimal().to_string());
        }
        let Some(rule) = &self.decimal else { return true };
        let at_least_zero = rule.min.is_none_or(Decimal::is_zero) && value.digits() >= 0;
        let simple = at_least_zero && rule.max.is_none() && rule.digits.is_none();
        if simple {
            return rule.places.is_none_or(|places| value.scale() <= places);
        }
        rule.broken(value.decimal()).is_none()
    }

    /// Whether `true` or `false` is fine.
    pub(super) fn takes_bool(&self) -> bool {
        self.place.types & Types::BOOL != 0
    }
}
