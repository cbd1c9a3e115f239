//! What a contract asks of one field, for values that are not in a tree.

use std::sync::Arc;

use super::shape::{Place, TextCheck, leaf};
use crate::schema::Schema;
use crate::schema::classes::Classes;
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
    /// What ASCII must be besides its length.
    clean: Clean,
    /// The least length of ASCII, and how much longer it may be, where nothing else is asked of it.
    plain: Option<(u32, u32)>,
    /// What a short decimal that is written as a text must be, where little is asked.
    short: Option<ShortRule>,
}

/// What ASCII must be besides its length.
#[derive(Debug, Default)]
enum Clean {
    /// Anything.
    #[default]
    Free,
    /// A row of classes.
    Classes,
    /// More.
    Rules,
}

/// Not negative, and so many digits after the point.
#[derive(Debug)]
struct ShortRule {
    signed: bool,
    places: u32,
}

impl Leaf {
    /// The rules of a subschema.
    pub(super) fn new(number: u32, schema: &Arc<Schema>, sub: Option<(SubId, &Sub)>) -> Result<Self, String> {
        let mut place = Place { types: Types::ANY.0, ..Place::default() };
        let Some((id, sub)) = sub else {
            let short = Some(ShortRule { signed: true, places: u32::MAX });
            let plain = Some((0, u32::MAX));
            return Ok(Self { number, place, decimal_text: true, plain, short, ..Self::default() });
        };
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
        let decimal = sub.decimal.as_deref().cloned();
        let clean = match sub.string.as_deref() {
            _ if decimal.is_some() => Clean::Rules,
            Some(rules) if rules.format.is_some() || rules.codes.is_some() => Clean::Rules,
            Some(rules) if rules.classes.is_some() => Clean::Classes,
            Some(rules) if rules.pattern.is_some() => Clean::Rules,
            _ => Clean::Free,
        };
        let short = short_rule(decimal.as_ref()).filter(|_| decimal_text);
        let TextCheck { min, max, choice } = &place.text;
        let only_length =
            matches!(clean, Clean::Free) && choice.is_none() && place.types & Types::STRING != 0;
        let plain = max.checked_sub(*min).filter(|_| only_length).map(|more| (*min, more));
        Ok(Self { number, place, rules, decimal, decimal_text, clean, plain, short })
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
        match self.plain {
            Some((min, more)) => (text.len() as u32).wrapping_sub(min) <= more,
            None => self.takes_other_clean(text),
        }
    }

    fn takes_other_clean(&self, text: &[u8]) -> bool {
        self.takes_length(text.len() as u32)
            && (self.place.text.choice.is_none() || self.takes_choice(text))
            && match self.clean {
                Clean::Free => true,
                Clean::Classes => self.classes().is_some_and(|classes| classes.accepts(text)),
                Clean::Rules => std::str::from_utf8(text).is_ok_and(|text| self.takes_rules(text)),
            }
    }

    fn classes(&self) -> Option<&Classes> {
        self.sub()?.string.as_deref()?.classes.as_ref()
    }

    #[inline]
    fn takes_length(&self, count: u32) -> bool {
        let check = &self.place.text;
        self.place.types & Types::STRING != 0 && count >= check.min && count <= check.max
    }

    #[inline]
    fn takes_choice(&self, text: &[u8]) -> bool {
        self.place.text.choice.as_ref().is_none_or(|choice| choice.have(text))
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
        match &self.short {
            Some(rule) if rule.signed || value.digits() >= 0 => value.scale() <= rule.places,
            _ => self.takes_other_short(value),
        }
    }

    fn takes_other_short(&self, value: Short) -> bool {
        if !self.decimal_text {
            return self.takes_text(&value.decimal().to_string());
        }
        self.decimal.as_ref().is_none_or(|rule| rule.broken(value.decimal()).is_none())
    }

    /// Whether `true` or `false` is fine.
    pub(super) fn takes_bool(&self) -> bool {
        self.place.types & Types::BOOL != 0
    }
}

/// An `x-decimal` that asks for no more than [`ShortRule`] can say.
fn short_rule(decimal: Option<&DecimalRule>) -> Option<ShortRule> {
    let Some(rule) = decimal else { return Some(ShortRule { signed: true, places: u32::MAX }) };
    let simple = rule.min.is_none_or(Decimal::is_zero) && rule.max.is_none() && rule.digits.is_none();
    let places = rule.places.unwrap_or(u32::MAX);
    simple.then_some(ShortRule { signed: rule.min.is_none(), places })
}
