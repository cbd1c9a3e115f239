//! One value on its way from a cell to a field.

use super::op::Const;
use crate::value::{Decimal, Short};

/// A range of the message or of the arena.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) start: u32,
    pub(super) len: u32,
}

/// What a value is at this point.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece<'p> {
    /// Not there, or null.
    Absent,
    /// A text of the message that is ASCII and written as it stands.
    Clean(Range),
    /// Another text of the message.
    Wide(Range),
    /// A text in the arena.
    Arena(Range),
    /// A text of a table of the plan.
    Plan(&'p str),
    /// A constant of the plan, not null.
    Const(&'p Const),
    /// A number of the message of at most 18 digits, with its value; `len` bytes at `start`.
    Number { start: u32, len: u16, scale: u8, digits: i64 },
    /// A longer number of the message.
    LongNumber(Range),
    /// A number that was computed.
    Short(Short),
    /// A longer one, by its place in [`super::run::Memory`].
    Long(u32),
    /// True or false.
    Bool(bool),
    /// A list, written already.
    List,
}

impl Piece<'_> {
    #[inline]
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// A number, short if it can be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Short(Short),
    Long(Decimal),
}

impl Number {
    #[inline]
    pub(super) fn of(decimal: Decimal) -> Self {
        Short::of(decimal).map_or(Self::Long(decimal), Self::Short)
    }

    pub(super) fn decimal(self) -> Decimal {
        match self {
            Self::Short(short) => short.decimal(),
            Self::Long(decimal) => decimal,
        }
    }
}
