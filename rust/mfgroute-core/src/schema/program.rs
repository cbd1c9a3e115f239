//! What a schema compiles to: a flat list of subschemas that name each other by index.

use std::collections::HashSet;

use regex::Regex;
use serde_json::Value;

use super::CodeSet;
use super::classes::Classes;
use super::format::Format;
use crate::value::Decimal;

/// Index of a subschema.
pub(crate) type SubId = u32;

/// Set of JSON types, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Types(pub(crate) u8);

impl Types {
    pub(crate) const NULL: u8 = 1;
    pub(crate) const BOOL: u8 = 2;
    pub(crate) const INTEGER: u8 = 4;
    pub(crate) const NUMBER: u8 = 8;
    pub(crate) const STRING: u8 = 16;
    pub(crate) const ARRAY: u8 = 32;
    pub(crate) const OBJECT: u8 = 64;
    pub(crate) const ANY: Self = Self(127);
    pub(crate) const NAMES: [(&'static str, u8); 7] = [
        ("null", Self::NULL),
        ("boolean", Self::BOOL),
        ("integer", Self::INTEGER),
        ("number", Self::NUMBER),
        ("string", Self::STRING),
        ("array", Self::ARRAY),
        ("object", Self::OBJECT),
    ];

    pub(crate) fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    /// A number may be an integer.
    pub(crate) fn widened(self) -> Self {
        if self.has(Self::NUMBER) { Self(self.0 | Self::INTEGER) } else { self }
    }

    pub(crate) fn names(self) -> Vec<&'static str> {
        let implied = if self.has(Self::NUMBER) { Self::INTEGER } else { 0 };
        Self::NAMES.iter().filter(|(_, bit)| self.has(*bit & !implied)).map(|(name, _)| *name).collect()
    }
}

/// A compiled schema.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) subs: Vec<Sub>,
}

impl Program {
    /// A subschema by its index, which always comes from this program.
    #[expect(clippy::indexing_slicing, reason = "subschema ids come from this program")]
    pub(crate) fn sub(&self, id: SubId) -> &Sub {
        &self.subs[id as usize]
    }
}

/// One subschema: what it asks of a value, by kind of value.
#[derive(Debug)]
pub(crate) struct Sub {
    pub(crate) types: Types,
    /// The boolean schema `false`.
    pub(crate) never: bool,
    pub(crate) values: Option<Box<Values>>,
    pub(crate) string: Option<Box<StringRules>>,
    pub(crate) number: Option<Box<NumberRules>>,
    pub(crate) decimal: Option<Box<DecimalRule>>,
    pub(crate) array: Option<Box<ArrayRules>>,
    pub(crate) object: Option<Box<ObjectRules>>,
    pub(crate) apply: Vec<Apply>,
}

impl Default for Sub {
    fn default() -> Self {
        Self {
            types: Types::ANY,
            never: false,
            values: None,
            string: None,
            number: None,
            decimal: None,
            array: None,
            object: None,
            apply: Vec::new(),
        }
    }
}

/// A schema applied to the same value.
#[derive(Debug)]
pub(crate) enum Apply {
    Ref(SubId),
    All(Vec<SubId>),
    Any(Vec<SubId>),
    One(Vec<SubId>),
    Not(SubId),
    If { condition: SubId, then: Option<SubId>, otherwise: Option<SubId> },
}

/// `enum` and `const`.
#[derive(Debug, Default)]
pub(crate) struct Values {
    pub(crate) one_of: Option<Choice>,
    pub(crate) constant: Option<Value>,
}

/// The values of an `enum`, strings apart because they are the usual case.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) few: Vec<Box<str>>,
    pub(crate) many: HashSet<Box<str>>,
    pub(crate) others: Vec<Value>,
}

impl Choice {
    pub(crate) fn has_text(&self, text: &str) -> bool {
        self.few.iter().any(|item| &**item == text) || (!self.many.is_empty() && self.many.contains(text))
    }

    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.few.iter().chain(&self.many).map(AsRef::as_ref)
    }
}

#[derive(Default)]
pub(crate) struct StringRules {
    pub(crate) min: Option<usize>,
    pub(crate) max: Option<usize>,
    pub(crate) pattern: Option<Regex>,
    /// The same without an engine, if that can be.
    pub(crate) classes: Option<Classes>,
    /// As the schema says it.
    pub(crate) pattern_text: String,
    pub(crate) format: Option<Format>,
    pub(crate) codes: Option<(String, CodeSet)>,
}

impl std::fmt::Debug for StringRules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StringRules")
            .field("min", &self.min)
            .field("max", &self.max)
            .field("pattern", &self.pattern_text)
            .field("format", &self.format)
            .field("codes", &self.codes.as_ref().map(|(name, _)| name))
            .finish_non_exhaustive()
    }
}

/// A limit of a number: its text, and the decimal if it fits.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub(crate) text: String,
    pub(crate) decimal: Option<Decimal>,
}

impl Bound {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), decimal: Decimal::parse(text).ok() }
    }
}

#[derive(Debug, Default)]
pub(crate) struct NumberRules {
    pub(crate) minimum: Option<Bound>,
    pub(crate) maximum: Option<Bound>,
    pub(crate) above: Option<Bound>,
    pub(crate) below: Option<Bound>,
    pub(crate) multiple: Option<Bound>,
}

/// `x-decimal`.
#[derive(Clone, Debug, Default)]
pub(crate) struct DecimalRule {
    pub(crate) min: Option<Decimal>,
    pub(crate) max: Option<Decimal>,
    pub(crate) digits: Option<u32>,
    pub(crate) places: Option<u32>,
}

#[derive(Debug, Default)]
pub(crate) struct ArrayRules {
    pub(crate) prefix: Vec<SubId>,
    pub(crate) items: Option<SubId>,
    pub(crate) min: Option<usize>,
    pub(crate) max: Option<usize>,
    pub(crate) unique: bool,
    pub(crate) contains: Option<Contains>,
}

#[derive(Debug)]
pub(crate) struct Contains {
    pub(crate) sub: SubId,
    pub(crate) min: usize,
    pub(crate) max: Option<usize>,
}

#[derive(Debug, Default)]
pub(crate) struct ObjectRules {
    pub(crate) properties: Vec<Property>,
    /// Positions in `properties`, ordered by name.
    pub(crate) by_name: Vec<u32>,
    /// Names that must be there; the first 64 also have a bit in their [`Property`].
    pub(crate) required: Vec<Box<str>>,
    pub(crate) patterns: Vec<(Regex, SubId)>,
    pub(crate) additional: Option<SubId>,
    pub(crate) names: Option<SubId>,
    pub(crate) min: Option<usize>,
    pub(crate) max: Option<usize>,
    pub(crate) dependent: Vec<(Box<str>, Vec<Box<str>>)>,
    pub(crate) dependent_subs: Vec<(Box<str>, SubId)>,
}

#[derive(Debug)]
pub(crate) struct Property {
    pub(crate) name: Box<str>,
    /// `None` for a name that is only required.
    pub(crate) sub: Option<SubId>,
    /// Position in `required`, if it is below 64.
    pub(crate) bit: Option<u8>,
}

impl ArrayRules {
    /// Whether it asks for nothing but a number of items, all of one kind.
    pub(crate) fn is_plain(&self) -> bool {
        self.prefix.is_empty() && !self.unique && self.contains.is_none()
    }
}

impl ObjectRules {
    /// Whether it asks for nothing but members by their names, and a number of them.
    pub(crate) fn is_plain(&self) -> bool {
        self.patterns.is_empty()
            && self.names.is_none()
            && self.dependent.is_empty()
            && self.dependent_subs.is_empty()
    }

    /// The rule for a member. `hint` is where it probably is: members come in the order of the schema.
    pub(crate) fn property(&self, name: &str, hint: &mut usize) -> Option<&Property> {
        if let Some(property) = self.properties.get(*hint)
            && &*property.name == name
        {
            *hint += 1;
            return Some(property);
        }
        let at = self
            .by_name
            .binary_search_by(|&at| {
                self.properties.get(at as usize).map_or("", |property| &*property.name).cmp(name)
            })
            .ok()?;
        let position = *self.by_name.get(at)? as usize;
        *hint = position + 1;
        self.properties.get(position)
    }
}
