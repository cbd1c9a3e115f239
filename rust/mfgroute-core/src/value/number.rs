//! Numbers as people and older systems write them: decimal comma, groups, trailing sign.
//!
//! Nothing is guessed. `1.234` is 1234 only where a mapping declares `.` as the group mark.

use std::fmt;

use super::decimal::{Decimal, DecimalError};

/// Where a minus sign may stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sign {
    /// Before the digits: `-12,5`.
    #[default]
    Leading,
    /// After the digits, as SAP prints: `12,5-`.
    Trailing,
    /// Before or after, not both.
    Either,
}

impl Sign {
    /// `leading`, `trailing` or `either`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "leading" => Self::Leading,
            "trailing" => Self::Trailing,
            "either" => Self::Either,
            _ => return None,
        })
    }
}

/// A declared form of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberFormat {
    decimal: char,
    group: Option<char>,
    sign: Sign,
}

/// Why a form of numbers cannot be declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberFormatError {
    /// The decimal and the group mark are the same.
    SameMark(char),
    /// A digit, letter, sign or control character cannot be a mark.
    BadMark(char),
}

impl fmt::Display for NumberFormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SameMark(mark) => write!(f, "`{mark}` is both the decimal and the group mark"),
            Self::BadMark(mark) => write!(f, "{mark:?} cannot be a mark in a number"),
        }
    }
}

impl std::error::Error for NumberFormatError {}

impl NumberFormat {
    /// Declares a form: the decimal mark, the group mark if groups may occur, and where the sign is.
    pub fn new(decimal: char, group: Option<char>, sign: Sign) -> Result<Self, NumberFormatError> {
        if group == Some(decimal) {
            return Err(NumberFormatError::SameMark(decimal));
        }
        let bad = |mark: &char| mark.is_alphanumeric() || mark.is_control() || matches!(mark, '-' | '+');
        match [Some(decimal), group].into_iter().flatten().find(bad) {
            Some(mark) => Err(NumberFormatError::BadMark(mark)),
            None => Ok(Self { decimal, group, sign }),
        }
    }

    /// The decimal mark and the group mark.
    #[must_use]
    pub fn marks(&self) -> (char, Option<char>) {
        (self.decimal, self.group)
    }

    /// A number written in this form, for messages: `1.234,5`.
    #[must_use]
    pub fn example(&self) -> String {
        let group = self.group.map(String::from).unwrap_or_default();
        format!("1{group}234{}5", self.decimal)
    }

    /// Reads a number of this form.
    ///
    /// There is at least one digit before the decimal mark and, if the mark is there, after it.
    /// With group marks every group but the first has exactly three digits and the first one to
    /// three, and the first does not start with a zero: `0.123` is an English number, not 123.
    /// Without group marks leading zeros are allowed, since fixed-width exports pad with them. `+`, exponents and surrounding space are errors of syntax.
    pub fn parse(&self, text: &str) -> Result<Decimal, DecimalError> {
        let (negative, unsigned) = self.split_sign(text);
        let (whole, fraction) = match unsigned.split_once(self.decimal) {
            Some((_, "")) => return Err(DecimalError::Syntax),
            Some(parts) => parts,
            None => (unsigned, ""),
        };
        if !self.is_whole(whole) || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(DecimalError::Syntax);
        }
        // Only digits and group marks are left, and no byte of a longer character is a digit.
        let digits = whole.bytes().chain(fraction.bytes()).filter(u8::is_ascii_digit);
        Decimal::from_digits(negative, digits, fraction.len().cast_signed() as i64)
    }

    fn split_sign<'a>(&self, text: &'a str) -> (bool, &'a str) {
        let leading = || text.strip_prefix('-');
        let trailing = || text.strip_suffix('-');
        let unsigned = match self.sign {
            Sign::Leading => leading(),
            Sign::Trailing => trailing(),
            Sign::Either => leading().or_else(trailing),
        };
        unsigned.map_or((false, text), |rest| (true, rest))
    }

    fn is_whole(&self, whole: &str) -> bool {
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let Some((first, rest)) = self.group.and_then(|group| whole.split_once(group)) else {
            return is_digits(whole);
        };
        is_digits(first)
            && first.len() <= 3
            && !first.starts_with('0')
            && self
                .group
                .is_some_and(|group| rest.split(group).all(|part| part.len() == 3 && is_digits(part)))
    }
}

/// Reads a number in the declared form, or, without one, in JSON number syntax.
pub fn parse(text: &str, format: Option<&NumberFormat>) -> Result<Decimal, DecimalError> {
    match format {
        Some(format) => format.parse(text),
        None => Decimal::parse(text),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn format(decimal: char, group: Option<char>, sign: Sign) -> NumberFormat {
        NumberFormat::new(decimal, group, sign).unwrap()
    }

    #[test]
    fn german_numbers_are_read_and_english_ones_refused() {
        let german = format(',', Some('.'), Sign::Leading);
        for (text, value) in [
            ("1.234,50", "1234.5"),
            ("1.234", "1234"),
            ("1234,5", "1234.5"),
            ("-1.234.567,89", "-1234567.89"),
            ("0,5", "0.5"),
            ("007,50", "7.5"),
            ("-0,00", "0"),
        ] {
            assert_eq!(german.parse(text).unwrap().to_string(), value, "{text}");
        }
        for text in [
            "1,234.50",
            "12.34",
            "1234.567",
            "1.2345",
            "1..234",
            ".234",
            "1.234.",
            "1,",
            ",5",
            "",
            "-",
            "+1",
            " 1",
            "1 ",
            "1,5e3",
            "1,2,3",
            "1,234.567",
            "12,5-",
            "--1",
            "1.-23",
            "½",
            "١٢٣",
        ] {
            assert_eq!(german.parse(text), Err(DecimalError::Syntax), "{text:?}");
        }
    }

    #[test]
    fn a_sign_stands_where_it_is_declared() {
        let sap = format(',', None, Sign::Trailing);
        assert_eq!(sap.parse("12,5-").unwrap().to_string(), "-12.5");
        assert_eq!(sap.parse("12,5").unwrap().to_string(), "12.5");
        assert_eq!(sap.parse("-12,5"), Err(DecimalError::Syntax));
        let either = format('.', None, Sign::Either);
        assert_eq!(either.parse("-3").unwrap(), either.parse("3-").unwrap());
        assert_eq!(either.parse("-3-"), Err(DecimalError::Syntax));
    }

    #[test]
    fn a_group_mark_is_exactly_the_declared_character() {
        let french = format(',', Some('\u{202f}'), Sign::Leading);
        assert_eq!(french.parse("1\u{202f}234,5").unwrap().to_string(), "1234.5");
        assert_eq!(french.parse("1 234,5"), Err(DecimalError::Syntax));
        let swiss = format('.', Some('’'), Sign::Leading);
        assert_eq!(swiss.parse("1’234’567.5").unwrap().to_string(), "1234567.5");
    }

    #[test]
    fn marks_that_could_be_mistaken_are_refused() {
        assert_eq!(NumberFormat::new(',', Some(','), Sign::Leading), Err(NumberFormatError::SameMark(',')));
        assert_eq!(NumberFormat::new('-', None, Sign::Leading), Err(NumberFormatError::BadMark('-')));
        assert_eq!(NumberFormat::new('.', Some('0'), Sign::Leading), Err(NumberFormatError::BadMark('0')));
    }

    proptest! {
        #[test]
        fn a_grouped_number_reads_as_without_groups(whole in 0_u64.., fraction in "[0-9]{1,6}", negative: bool) {
            let digits = whole.to_string();
            let mut grouped = String::new();
            for (index, digit) in digits.chars().enumerate() {
                if index > 0 && (digits.len() - index) % 3 == 0 {
                    grouped.push('.');
                }
                grouped.push(digit);
            }
            let sign = if negative { "-" } else { "" };
            let german = format(',', Some('.'), Sign::Leading);
            prop_assert_eq!(
                german.parse(&format!("{sign}{grouped},{fraction}")),
                Decimal::parse(&format!("{sign}{digits}.{fraction}"))
            );
        }
    }
}
