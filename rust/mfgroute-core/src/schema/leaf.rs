//! The rules of one text or number, apart from any tree: for the validator and for compiled messages.

use std::cmp::Ordering;

use super::number;
use super::program::{Bound, NumberRules, StringRules};
use crate::value::Decimal;

impl StringRules {
    /// The keyword that a text does not satisfy.
    pub(crate) fn broken(&self, text: &str) -> Option<&'static str> {
        if let Some(max) = self.max
            && text.len() > max
            && text.chars().count() > max
        {
            return Some("maxLength");
        }
        if let Some(min) = self.min
            && text.len() < min.saturating_mul(4)
            && text.chars().count() < min
        {
            return Some("minLength");
        }
        let matches = match (&self.classes, &self.pattern) {
            (Some(classes), _) => classes.accepts(text.as_bytes()),
            (None, Some(pattern)) => pattern.is_match(text),
            (None, None) => true,
        };
        if !matches {
            return Some("pattern");
        }
        if self.format.as_ref().is_some_and(|format| !format.accepts(text)) {
            return Some("format");
        }
        if self.codes.as_ref().is_some_and(|(_, codes)| !codes(text)) {
            return Some("x-codes");
        }
        None
    }

    /// What the keyword asks for.
    pub(crate) fn expected(&self, keyword: &str) -> String {
        match keyword {
            "maxLength" => format!("at most {} characters", self.max.unwrap_or_default()),
            "minLength" => format!("at least {} characters", self.min.unwrap_or_default()),
            "pattern" => format!("text that matches {}", self.pattern_text),
            "format" => format!("format {}", self.format.as_ref().map_or("", |format| format.name())),
            _ => format!("a code of {}", self.codes.as_ref().map_or("", |(set, _)| set)),
        }
    }
}

impl NumberRules {
    /// The keyword that a number in JSON syntax does not satisfy, and what it asks for.
    pub(crate) fn broken(&self, text: &str) -> Option<(&'static str, &'static str, &str)> {
        let value = Decimal::parse(text).ok();
        let order = |bound: &Bound| match (value, bound.decimal) {
            (Some(value), Some(bound)) => value.cmp(&bound),
            _ => number::compare(text, &bound.text),
        };
        let limits = [
            (&self.minimum, "minimum", "at least", Ordering::Less, false),
            (&self.maximum, "maximum", "at most", Ordering::Greater, false),
            (&self.above, "exclusiveMinimum", "more than", Ordering::Less, true),
            (&self.below, "exclusiveMaximum", "less than", Ordering::Greater, true),
        ];
        for (bound, keyword, words, wrong, exclusive) in limits {
            let Some(bound) = bound else { continue };
            let order = order(bound);
            if order == wrong || (exclusive && order == Ordering::Equal) {
                return Some((keyword, words, &bound.text));
            }
        }
        match &self.multiple {
            Some(unit) if !number::is_multiple(text, &unit.text) => {
                Some(("multipleOf", "a multiple of", &unit.text))
            }
            _ => None,
        }
    }
}
