//! Exact decimal numbers of up to 38 digits.

use std::cmp::Ordering;
use std::fmt;

use num_bigint::BigInt;
use num_traits::ToPrimitive;

/// Largest number of significant digits, and of digits after the point.
pub const DIGITS_MAX: u32 = 38;

/// `-0.` and 38 digits are 41 bytes.
const PRINTED_MAX: usize = 48;

/// An exponent beyond this is out of range whatever the digits of a 1 MiB message are.
const EXPONENT_MAX: i64 = 1 << 40;

/// Why a text or a result is not a decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecimalError {
    /// Not a number in the expected syntax.
    Syntax,
    /// More than 38 significant digits, or more than 38 digits after the point.
    Overflow,
    /// No decimal form within 38 digits, and no rounding was declared.
    NotExact,
}

impl DecimalError {
    /// The reject it becomes.
    #[must_use]
    pub fn code(self) -> crate::reject::Code {
        use crate::reject::Code;
        match self {
            Self::Syntax => Code::BadNumber,
            Self::Overflow => Code::NumberOverflow,
            Self::NotExact => Code::NotExact,
        }
    }
}

impl fmt::Display for DecimalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "a number",
            Self::Overflow => "a number of at most 38 digits",
            Self::NotExact => "a result with a finite decimal form, or a declared `round`",
        })
    }
}

impl std::error::Error for DecimalError {}

/// `coefficient * 10^-scale`, normalised: no trailing zero in the fraction, no negative zero.
///
/// Two decimals are equal exactly if their values are: `1.50` is `1.5`.
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

    /// From a coefficient of at most 18 digits and as many fraction digits.
    #[must_use]
    #[inline]
    pub(crate) fn short(mut coefficient: i64, mut scale: u32) -> Self {
        while scale > 0 && coefficient % 10 == 0 {
            coefficient /= 10;
            scale -= 1;
        }
        Self { coefficient: i128::from(coefficient), scale }
    }

    /// Reads a number in JSON syntax (RFC 8259 §6), exponent included. Leading `+`, leading zeros,
    /// a bare point and surrounding space are errors of syntax, as in JSON.
    pub fn parse(text: &str) -> Result<Self, DecimalError> {
        match Self::parse_short(text.as_bytes()) {
            Some(value) => Ok(value),
            None => Self::parse_any(text),
        }
    }

    /// Up to 18 digits without exponent, which is nearly every number there is; `None` means
    /// "ask [`Self::parse_any`]", not "wrong".
    #[inline]
    fn parse_short(text: &[u8]) -> Option<Self> {
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        if digits.len() > 19 || matches!(digits, [] | [b'.', ..] | [.., b'.'] | [b'0', b'0'..=b'9', ..]) {
            return None;
        }
        let (mut value, mut scale, mut point) = (0_u64, 0_u32, false);
        for &byte in digits {
            match byte {
                b'0'..=b'9' => {
                    value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
                    scale += u32::from(point);
                }
                b'.' if !point => point = true,
                _ => return None,
            }
        }
        while scale > 0 && value.is_multiple_of(10) {
            value /= 10;
            scale -= 1;
        }
        let coefficient = i128::from(value);
        Some(Self { coefficient: if negative { -coefficient } else { coefficient }, scale })
    }

    fn parse_any(text: &str) -> Result<Self, DecimalError> {
        let (body, exponent) = match text.split_once(['e', 'E']) {
            Some((body, digits)) => (body, parse_exponent(digits)?),
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
        let digits = whole.bytes().chain(fraction.bytes());
        if !digits.clone().all(|byte| byte.is_ascii_digit()) {
            return Err(DecimalError::Syntax);
        }
        Self::from_digits(negative, digits, fraction.len().cast_signed() as i64 - exponent)
    }

    /// The number that ASCII digits spell, times `10^-scale`.
    pub(super) fn from_digits(
        negative: bool,
        digits: impl Iterator<Item = u8>,
        mut scale: i64,
    ) -> Result<Self, DecimalError> {
        let mut coefficient: i128 = 0;
        let mut zeros = 0_u32;
        for byte in digits {
            if byte == b'0' {
                zeros += u32::from(coefficient != 0);
                continue;
            }
            coefficient = shift(coefficient, zeros + 1)?
                .checked_add(i128::from(byte - b'0'))
                .ok_or(DecimalError::Overflow)?;
            zeros = 0;
        }
        if coefficient == 0 {
            return Ok(Self::ZERO);
        }
        scale -= i64::from(zeros);
        if scale < 0 {
            let up = u32::try_from(-scale).map_err(|_| DecimalError::Overflow)?;
            coefficient = shift(coefficient, up)?;
            scale = 0;
        }
        let scale = u32::try_from(scale).map_err(|_| DecimalError::Overflow)?;
        Self::new(if negative { -coefficient } else { coefficient }, scale)
    }

    /// As [`Self::new`], for a coefficient that may need more than 128 bits before its trailing
    /// zeros are gone.
    pub(super) fn from_big(mut coefficient: BigInt, mut scale: u32) -> Result<Self, DecimalError> {
        while scale > 0 && (&coefficient % 10_u8) == BigInt::ZERO {
            coefficient /= 10_u8;
            scale -= 1;
        }
        Self::new(coefficient.to_i128().ok_or(DecimalError::Overflow)?, scale)
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

    /// Whether it is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.coefficient < 0
    }

    /// Whether it is zero.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.coefficient == 0
    }

    /// The number without its sign.
    #[must_use]
    pub fn abs(self) -> Self {
        // At most 38 digits, so the positive coefficient always exists.
        Self { coefficient: self.coefficient.abs(), scale: self.scale }
    }

    /// The exact sum.
    pub fn checked_add(self, other: Self) -> Result<Self, DecimalError> {
        let scale = self.scale.max(other.scale);
        let (up, other_up) = (scale - self.scale, scale - other.scale);
        let sum = shift(self.coefficient, up)
            .ok()
            .zip(shift(other.coefficient, other_up).ok())
            .and_then(|(left, right)| left.checked_add(right));
        match sum {
            Some(sum) => Self::new(sum, scale),
            // Aligned, one of them is wider than 128 bits; their sum may still not be.
            None => Self::from_big(
                BigInt::from(self.coefficient) * power_of_ten(up)
                    + BigInt::from(other.coefficient) * power_of_ten(other_up),
                scale,
            ),
        }
    }

    /// The exact difference.
    pub fn checked_sub(self, other: Self) -> Result<Self, DecimalError> {
        self.checked_add(-other)
    }

    /// Appends the canonical text: no exponent, no leading `+` or zeros, no trailing fraction
    /// zeros, no `-0`.
    pub fn write_to(self, out: &mut String) {
        self.printed(|text| out.push_str(text));
    }

    /// As [`Self::write_to`], as bytes.
    pub(crate) fn write_bytes(self, out: &mut Vec<u8>) {
        self.printed(|text| out.extend_from_slice(text.as_bytes()));
    }

    /// Spells the number into a buffer on the stack, from the last digit to the first.
    #[inline]
    fn printed<R>(self, use_text: impl FnOnce(&str) -> R) -> R {
        const CHUNK: u128 = 10_u128.pow(18);
        let mut buffer = [0_u8; PRINTED_MAX];
        let mut start = PRINTED_MAX;
        let mut high = self.coefficient.unsigned_abs();
        let mut low = (high % CHUNK) as u64;
        high /= CHUNK;
        let mut low_digits = 18;
        let mut before_point = self.scale;
        let mut slots = buffer.iter_mut().rev();
        let mut put = |byte: u8| {
            if let Some(slot) = slots.next() {
                *slot = byte;
                start -= 1;
            }
        };
        loop {
            put(b'0' + (low % 10) as u8);
            low /= 10;
            low_digits -= 1;
            if low_digits == 0 && high > 0 {
                low = (high % CHUNK) as u64;
                high /= CHUNK;
                low_digits = 18;
            }
            if before_point > 0 {
                before_point -= 1;
                if before_point == 0 {
                    put(b'.');
                    continue;
                }
            }
            if before_point == 0 && low == 0 && high == 0 {
                break;
            }
        }
        if self.coefficient < 0 {
            put(b'-');
        }
        use_text(std::str::from_utf8(buffer.get(start..).unwrap_or_default()).unwrap_or_default())
    }
}

impl std::ops::Neg for Decimal {
    type Output = Self;

    fn neg(self) -> Self {
        Self { coefficient: -self.coefficient, scale: self.scale }
    }
}

fn parse_exponent(text: &str) -> Result<i64, DecimalError> {
    let (negative, digits) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DecimalError::Syntax);
    }
    let size = digits
        .bytes()
        .fold(0_i64, |size, byte| size.saturating_mul(10).saturating_add(i64::from(byte - b'0')))
        .min(EXPONENT_MAX);
    Ok(if negative { -size } else { size })
}

/// `10^places` for `places` of one decimal or the sum of two.
pub(super) fn power_of_ten(places: u32) -> BigInt {
    BigInt::from(10_u8).pow(places)
}

fn shift(coefficient: i128, places: u32) -> Result<i128, DecimalError> {
    if places > DIGITS_MAX {
        return if coefficient == 0 { Ok(0) } else { Err(DecimalError::Overflow) };
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
            // Only one of them is shifted. If it no longer fits into 128 bits, it is beyond any
            // coefficient of 38 digits, so its sign decides.
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

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        Self { coefficient: i128::from(value), scale: 0 }
    }
}

impl fmt::Display for Decimal {
    /// The text of [`Decimal::write_to`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.printed(|text| f.write_str(text))
    }
}

#[cfg(test)]
#[path = "decimal_tests.rs"]
mod tests;
