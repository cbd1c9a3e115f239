//! Exact decimal numbers of up to 38 digits.

use std::cmp::Ordering;
use std::fmt;

/// Largest number of significant digits.
pub const DIGITS_MAX: u32 = 38;

/// Why a text or a result is not a decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecimalError {
    /// Not a number in JSON syntax.
    Syntax,
    /// More than 38 digits, or an exponent that would need them.
    Overflow,
    /// No finite decimal form.
    NotExact,
}

/// `coefficient * 10^-scale`, normalised: no trailing zero in the fraction, no negative zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    coefficient: i128,
    scale: u32,
}

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self { coefficient: 0, scale: 0 };

    /// From a coefficient and the number of fraction digits.
    pub fn new(coefficient: i128, scale: u32) -> Result<Self, DecimalError> {
        let mut value = Self { coefficient, scale };
        while value.scale > 0 && value.coefficient % 10 == 0 {
            value.coefficient /= 10;
            value.scale -= 1;
        }
        if value.digits() > DIGITS_MAX || value.scale > DIGITS_MAX {
            return Err(DecimalError::Overflow);
        }
        Ok(value)
    }

    /// Reads a number in JSON syntax (RFC 8259 §6), exponent included.
    pub fn parse(text: &str) -> Result<Self, DecimalError> {
        let (body, exponent) = match text.find(['e', 'E']) {
            Some(at) => {
                let digits = text.get(at + 1..).unwrap_or_default();
                let bare = digits.strip_prefix(['+', '-']).unwrap_or(digits);
                if bare.is_empty() || !bare.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(DecimalError::Syntax);
                }
                let exponent: i64 =
                    digits.trim_start_matches('+').parse().map_err(|_| DecimalError::Overflow)?;
                (text.get(..at).unwrap_or_default(), exponent)
            }
            None => (text, 0),
        };
        let (negative, unsigned) = match body.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, body),
        };
        let (whole, fraction) = match unsigned.split_once('.') {
            Some((_, "")) => return Err(DecimalError::Syntax),
            Some(parts) => parts,
            None => (unsigned, ""),
        };
        if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
            return Err(DecimalError::Syntax);
        }
        let mut coefficient: i128 = 0;
        let mut pending_zeros = 0_u32;
        let mut scale = -exponent;
        for (index, byte) in whole.bytes().chain(fraction.bytes()).enumerate() {
            if !byte.is_ascii_digit() {
                return Err(DecimalError::Syntax);
            }
            if index >= whole.len() {
                scale += 1;
            }
            if byte == b'0' {
                pending_zeros += u32::from(coefficient != 0);
                continue;
            }
            coefficient = shift(coefficient, pending_zeros + 1)?
                .checked_add(i128::from(byte - b'0'))
                .ok_or(DecimalError::Overflow)?;
            pending_zeros = 0;
        }
        if coefficient == 0 {
            return Ok(Self::ZERO);
        }
        scale -= i64::from(pending_zeros);
        if scale < 0 {
            let up = u32::try_from(-scale).map_err(|_| DecimalError::Overflow)?;
            coefficient = shift(coefficient, up)?;
            scale = 0;
        }
        let scale = u32::try_from(scale).map_err(|_| DecimalError::Overflow)?;
        Self::new(if negative { -coefficient } else { coefficient }, scale)
    }

    /// The digits without the point, signed.
    #[must_use]
    pub fn coefficient(self) -> i128 {
        self.coefficient
    }

    /// Number of digits after the point.
    #[must_use]
    pub fn scale(self) -> u32 {
        self.scale
    }

    /// Number of significant digits, at least 1.
    #[must_use]
    pub fn digits(self) -> u32 {
        self.coefficient.unsigned_abs().checked_ilog10().unwrap_or(0) + 1
    }

    /// Number of digits before the point, 0 below one.
    #[must_use]
    pub fn whole_digits(self) -> u32 {
        if self.coefficient == 0 { 0 } else { self.digits().saturating_sub(self.scale) }
    }
}

fn shift(coefficient: i128, places: u32) -> Result<i128, DecimalError> {
    if places > DIGITS_MAX {
        return Err(DecimalError::Overflow);
    }
    coefficient.checked_mul(10_i128.pow(places)).ok_or(DecimalError::Overflow)
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        let left = shift(self.coefficient, scale - self.scale);
        let right = shift(other.coefficient, scale - other.scale);
        match (left, right) {
            (Ok(left), Ok(right)) => left.cmp(&right),
            // Only the one with the larger magnitude overflows when both are scaled alike.
            (Err(_), _) => self.coefficient.cmp(&0),
            (_, Err(_)) => 0.cmp(&other.coefficient),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Decimal {
    /// Canonical: no exponent, no leading `+` or zeros, no trailing fraction zeros, no `-0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.coefficient < 0 {
            f.write_str("-")?;
        }
        let digits = self.coefficient.unsigned_abs().to_string();
        let scale = self.scale as usize;
        if scale == 0 {
            return f.write_str(&digits);
        }
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        write!(f, "{whole}.{fraction}")
    }
}
