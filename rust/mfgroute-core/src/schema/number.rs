//! Number texts compared without floats, at any length.

use std::cmp::Ordering;

use num_bigint::BigUint;
use num_traits::Zero;

use crate::value::Decimal;

/// A number text taken apart: `0.<digits> * 10^point`, borrowed from the text.
#[derive(Clone, Copy, Debug)]
struct Parts<'t> {
    negative: bool,
    whole: &'t str,
    fraction: &'t str,
    /// Where the point stands relative to the first significant digit.
    point: i64,
    /// Significant digits without leading and trailing zeros.
    count: usize,
    /// Leading zeros of `whole + fraction`.
    skip: usize,
}

impl<'t> Parts<'t> {
    fn new(text: &'t str) -> Self {
        let (body, exponent) = match text.split_once(['e', 'E']) {
            Some((body, exponent)) => (body, exponent_of(exponent)),
            None => (text, 0),
        };
        let (negative, unsigned) = body.strip_prefix('-').map_or((false, body), |rest| (true, rest));
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let total = whole.len() + fraction.len();
        let skip = whole.bytes().chain(fraction.bytes()).take_while(|&b| b == b'0').count();
        let tail = fraction.bytes().rev().chain(whole.bytes().rev()).take_while(|&b| b == b'0').count();
        let count = total.saturating_sub(skip).saturating_sub(tail);
        let point = exponent.saturating_add(length(whole.len())).saturating_sub(length(skip));
        Self {
            negative: negative && count > 0,
            whole,
            fraction,
            point: if count == 0 { 0 } else { point },
            count,
            skip,
        }
    }

    fn digits(&self) -> impl Iterator<Item = u8> + use<'t> {
        self.whole.bytes().chain(self.fraction.bytes()).skip(self.skip).take(self.count)
    }

    /// Exponent of the last significant digit.
    fn exponent(&self) -> i64 {
        self.point.saturating_sub(length(self.count))
    }

    fn magnitude(&self) -> BigUint {
        let digits: Vec<u8> = self.digits().map(|digit| digit - b'0').collect();
        BigUint::from_radix_be(&digits, 10).unwrap_or_default()
    }
}

fn length(digits: usize) -> i64 {
    i64::try_from(digits).unwrap_or(i64::MAX / 4)
}

/// An exponent beyond `i64` is as good as the largest one.
fn exponent_of(text: &str) -> i64 {
    let positive = i64::MAX / 4;
    match text.trim_start_matches('+').parse::<i64>() {
        Ok(exponent) => exponent.clamp(-positive, positive),
        Err(_) if text.starts_with('-') => -positive,
        Err(_) => positive,
    }
}

/// Compares two texts in JSON number syntax by value.
pub(crate) fn compare(left: &str, right: &str) -> Ordering {
    let (left, right) = (Parts::new(left), Parts::new(right));
    match (left.negative, right.negative) {
        (false, true) => return Ordering::Greater,
        (true, false) => return Ordering::Less,
        _ => {}
    }
    let magnitude = match (left.count == 0, right.count == 0) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => left.point.cmp(&right.point).then_with(|| left.digits().cmp(right.digits())),
    };
    if left.negative { magnitude.reverse() } else { magnitude }
}

/// Whether the value has no fraction: `1`, `1.0`, `1e3`, `10e-1`.
pub(crate) fn is_integer(text: &str) -> bool {
    if !text.bytes().any(|b| matches!(b, b'.' | b'e' | b'E')) {
        return true;
    }
    let parts = Parts::new(text);
    parts.count == 0 || parts.exponent() >= 0
}

/// Whether `text` is an integer multiple of `unit`, which is above zero.
pub(crate) fn is_multiple(text: &str, unit: &str) -> bool {
    if let (Ok(value), Ok(step)) = (Decimal::parse(text), Decimal::parse(unit)) {
        let scale = value.scale().max(step.scale());
        let up = |number: Decimal| {
            10_i128.checked_pow(scale - number.scale()).and_then(|f| number.coefficient().checked_mul(f))
        };
        if let (Some(value), Some(step)) = (up(value), up(step)) {
            return step != 0 && value % step == 0;
        }
    }
    let (value, step) = (Parts::new(text), Parts::new(unit));
    if value.count == 0 {
        return true;
    }
    if step.count == 0 {
        return false;
    }
    // Neither coefficient ends in zero: with less exponent than the unit it cannot be a multiple.
    let Ok(shift) = u64::try_from(value.exponent().saturating_sub(step.exponent())) else {
        return divides_below(&value, &step);
    };
    let modulus = step.magnitude();
    let power = BigUint::from(10_u8).modpow(&BigUint::from(shift), &modulus);
    ((value.magnitude() * power) % modulus).is_zero()
}

/// A multiple of `step * 10^k` with `k > 0` ends in zero, and a trimmed coefficient does not.
fn divides_below(value: &Parts<'_>, step: &Parts<'_>) -> bool {
    debug_assert!(value.exponent() < step.exponent());
    value.count == 0
}

/// Feeds a form of the number that is the same for equal values.
pub(crate) fn hash_into(text: &str, state: &mut impl std::hash::Hasher) {
    let parts = Parts::new(text);
    state.write_u8(u8::from(parts.negative));
    state.write_i64(parts.point);
    for digit in parts.digits() {
        state.write_u8(digit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_in_other_notation_are_equal() {
        for (left, right) in
            [("1", "1.0"), ("100", "1e2"), ("0", "-0.0"), ("0.001", "1E-3"), ("-5", "-50e-1")]
        {
            assert_eq!(compare(left, right), Ordering::Equal, "{left} {right}");
        }
    }

    #[test]
    fn order_is_exact_at_any_length() {
        let long = "9".repeat(400);
        assert_eq!(compare(&long, "1e400"), Ordering::Less);
        assert_eq!(compare("1e400", &long), Ordering::Greater);
        assert_eq!(compare("9007199254740993", "9007199254740992.0"), Ordering::Greater);
        assert_eq!(compare("-1e999999999999999999999", "0"), Ordering::Less);
        assert_eq!(compare("0.1", "0.10000000000000000000000000000000000000000001"), Ordering::Less);
    }

    #[test]
    fn integers_are_mathematical() {
        for text in ["1", "1.0", "1e3", "10e-1", "0.0", "1.5e1"] {
            assert!(is_integer(text), "{text}");
        }
        for text in ["1.5", "1e-1", "0.1"] {
            assert!(!is_integer(text), "{text}");
        }
    }

    #[test]
    fn multiples_need_no_float() {
        for (value, unit) in [
            ("0.0075", "0.0001"),
            ("1e308", "0.5"),
            ("12391239123", "1e-8"),
            ("0", "3"),
            ("4.5", "1.5"),
            ("-6", "2"),
        ] {
            assert!(is_multiple(value, unit), "{value} {unit}");
        }
        for (value, unit) in
            [("0.00751", "0.0001"), ("35", "1.5"), ("1e308", "0.123456789"), ("7", "20"), ("1e-400", "1")]
        {
            assert!(!is_multiple(value, unit), "{value} {unit}");
        }
    }
}
