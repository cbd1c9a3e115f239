//! What kind of value a part of an expression has, as far as contract and source say.

use std::fmt;

use super::super::op::Lit;
use crate::schema::PropertyInfo;

/// The kinds that a value may have. It is only ever too wide, so what does not meet never meets; but
/// a contract's integer is taken to be written as one, and not as `3.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub(crate) const NULL: Self = Self(1);
    pub(crate) const BOOL: Self = Self(2);
    pub(crate) const INTEGER: Self = Self(4);
    /// A number with places; `1.0` is one too.
    pub(crate) const DECIMAL: Self = Self(8);
    pub(crate) const TEXT: Self = Self(16);
    pub(crate) const LIST: Self = Self(32);
    pub(crate) const OBJECT: Self = Self(64);
    pub(crate) const NUMBER: Self = Self::INTEGER.or(Self::DECIMAL);
    pub(crate) const ANY: Self = Self(127);

    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether a value may be of one of both kinds.
    pub(crate) const fn meets(self, other: Self) -> bool {
        self.and(other).0 != 0
    }

    /// Whether it is of one of these kinds for sure.
    pub(crate) const fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Integers and other numbers are compared with each other.
    pub(crate) const fn widened(self) -> Self {
        if self.meets(Self::NUMBER) { self.or(Self::NUMBER) } else { self }
    }

    pub(crate) fn of_literal(lit: &Lit) -> Self {
        match lit {
            Lit::Null => Self::NULL,
            Lit::Bool(_) => Self::BOOL,
            Lit::Int(_) => Self::INTEGER,
            Lit::Decimal(_) => Self::DECIMAL,
            Lit::Number(_) => Self::NUMBER,
            Lit::Text(_) => Self::TEXT,
        }
    }

    /// What the contract says of a field.
    pub(crate) fn of_property(info: &PropertyInfo) -> Self {
        let kinds = info.types.iter().map(|name| match *name {
            "null" => Self::NULL,
            "boolean" => Self::BOOL,
            "integer" => Self::INTEGER,
            "number" => Self::NUMBER,
            "string" if info.format_decimal => Self::DECIMAL,
            "string" => Self::TEXT,
            "array" => Self::LIST,
            "object" => Self::OBJECT,
            _ => Self::ANY,
        });
        let kinds = kinds.fold(Self(0), Self::or);
        if kinds == Self(0) { Self::ANY } else { kinds }
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ANY {
            return f.write_str("of any type");
        }
        let named = [
            (Self::NULL, "null"),
            (Self::BOOL, "a bool"),
            (Self::NUMBER, "a number"),
            (Self::INTEGER, "an integer"),
            (Self::DECIMAL, "a decimal"),
            (Self::TEXT, "a text"),
            (Self::LIST, "a list"),
            (Self::OBJECT, "an object"),
        ];
        let mut rest = *self;
        let mut first = true;
        for (kinds, name) in named {
            if !kinds.within(rest) {
                continue;
            }
            rest = Self(rest.0 & !kinds.0);
            f.write_str(if first { "" } else { " or " })?;
            f.write_str(name)?;
            first = false;
        }
        Ok(())
    }
}

/// The kinds of a value, and those of its items if it is a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Type {
    pub(crate) kinds: Kinds,
    pub(crate) items: Kinds,
}

impl Type {
    pub(crate) const ANY: Self = Self::of(Kinds::ANY);

    pub(crate) const fn of(kinds: Kinds) -> Self {
        Self { kinds, items: Kinds::ANY }
    }

    pub(crate) const fn list(items: Kinds) -> Self {
        Self { kinds: Kinds::LIST, items }
    }

    /// What a loop over it, or an index in it, gives.
    pub(crate) const fn item(self) -> Self {
        Self::of(if self.kinds.within(Kinds::LIST) { self.items } else { Kinds::ANY })
    }
}
