//! Numbers, beside arithmetic on their digits.

use mfgroute_core::value::{Decimal, DecimalError, NumberFormat, Rational, Round, RoundMode, Sign};
use num_bigint::BigInt;

use crate::drive::Print;
use crate::print;

/// `digits * 10^exponent` as a JSON number says it; `None` for what is no JSON number. The exponent of a number
/// that is written with more than 15 digits of exponent is cut there, which is out of range in any case.
struct Written {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Written {
    fn read(text: &str) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (body, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let (whole, fraction) = match body.find('.') {
            Some(at) => (&body[..at], Some(&body[at + 1..])),
            None => (body, None),
        };
        if !is_digits(whole)
            || (whole != "0" && whole.starts_with('0'))
            || fraction.is_some_and(|part| !is_digits(part))
        {
            return None;
        }
        let exponent = match exponent {
            None => 0,
            Some(part) => {
                let bare = part.strip_prefix(['+', '-']).unwrap_or(part);
                if !is_digits(bare) {
                    return None;
                }
                let bare = bare.trim_start_matches('0');
                let size: i64 = if bare.len() > 15 { 1 << 50 } else { bare.parse().unwrap_or(0) };
                if part.starts_with('-') { -size } else { size }
            }
        };
        let fraction = fraction.unwrap_or_default();
        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0').trim_end_matches('0').to_owned();
        let cut = all.len() - all.trim_end_matches('0').len();
        let exponent = exponent - fraction.len().cast_signed() as i64 + cut.cast_signed() as i64;
        let zero = significant.is_empty();
        Some(Self {
            negative: negative && !zero,
            digits: if zero { "0".to_owned() } else { significant },
            exponent: if zero { 0 } else { exponent },
        })
    }

    fn fits(&self) -> bool {
        let length = self.digits.len().cast_signed() as i64;
        if self.exponent >= 0 { length + self.exponent <= 38 } else { length <= 38 && self.exponent >= -38 }
    }

    /// No exponent, no zeros that say nothing.
    fn canonical(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        let Ok(shift) = usize::try_from(-self.exponent) else {
            return format!("{sign}{}{}", self.digits, "0".repeat(self.exponent.unsigned_abs() as usize));
        };
        if shift == 0 {
            return format!("{sign}{}", self.digits);
        }
        let padded = format!("{:0>width$}", self.digits, width = shift + 1);
        let (whole, fraction) = padded.split_at(padded.len() - shift);
        format!("{sign}{whole}.{fraction}")
    }
}

/// Whether a JSON number is a decimal of 38 digits.
pub(crate) fn fits(text: &str) -> bool {
    Written::read(text).is_some_and(|written| written.fits())
}

/// A decimal is exactly what is written, or an error that says why; sums, comparisons and roundings of two are
/// those of their digits.
pub(crate) fn decimal(bytes: &[u8]) -> Print {
    let Ok(text) = std::str::from_utf8(bytes) else { return print("bytes", 0) };
    let mut lines = text.lines();
    let first = read(lines.next().unwrap_or_default());
    let Some(value) = first else { return print("none", 0) };
    let places = (bytes.len() % 40) as u32;
    rounded(value, places);
    if let Some(other) = lines.next().and_then(read) {
        together(value, other);
    }
    print("ok", value.digits() as usize * 64 + value.scale() as usize)
}

fn read(text: &str) -> Option<Decimal> {
    let found = Decimal::parse(text);
    match Written::read(text) {
        None => assert_eq!(found, Err(DecimalError::Syntax)),
        Some(written) if !written.fits() => assert_eq!(found, Err(DecimalError::Overflow)),
        Some(written) => {
            let value = found.unwrap();
            assert_eq!(value.to_string(), written.canonical());
            assert_eq!(Decimal::parse(&value.to_string()), Ok(value));
        }
    }
    found.ok()
}

/// As a multiple of `10^-scale`.
fn big(value: Decimal, scale: u32) -> BigInt {
    BigInt::from(value.coefficient()) * BigInt::from(10).pow(scale - value.scale())
}

fn together(a: Decimal, b: Decimal) {
    let scale = a.scale().max(b.scale());
    let sum = big(a, scale) + big(b, scale);
    match a.checked_add(b) {
        Ok(found) => assert_eq!(big(found, scale), sum),
        Err(error) => {
            assert_eq!(error, DecimalError::Overflow);
            assert!(
                sum.magnitude().to_string().trim_end_matches('0').len() > 38
                    || sum.magnitude() >= &BigInt::from(10).pow(38 + scale).into_parts().1
            );
        }
    }
    assert_eq!(a.cmp(&b), big(a, scale).cmp(&big(b, scale)));
    assert_eq!(a == b, a.to_string() == b.to_string());
    if let Some(ratio) = Rational::ratio(a, b) {
        if let Ok(exact) = ratio.to_decimal(None) {
            assert!(ratio.terminates());
            // exact * b == a
            assert_eq!(
                BigInt::from(exact.coefficient())
                    * BigInt::from(b.coefficient())
                    * BigInt::from(10).pow(a.scale()),
                BigInt::from(a.coefficient()) * BigInt::from(10).pow(exact.scale() + b.scale()),
            );
        }
    } else {
        assert!(b.is_zero());
    }
}

fn rounded(value: Decimal, places: u32) {
    let by = |mode| Round { places, mode }.apply(value);
    let (down, up) = (by(RoundMode::Down), by(RoundMode::Up));
    if places > 38 {
        assert_eq!(down, Err(DecimalError::Overflow));
        return;
    }
    let down = down.unwrap();
    assert!(down.scale() <= places && down.abs() <= value.abs());
    let unit = Decimal::new(1, places).unwrap();
    if let Ok(up) = up {
        assert!(up.abs() >= value.abs());
        assert!(up == down || up.abs().checked_sub(down.abs()) == Ok(unit), "{value} {places}");
        for mode in [RoundMode::HalfEven, RoundMode::HalfUp] {
            let near = by(mode).unwrap();
            assert!(near == up || near == down);
        }
    }
}

/// Digits in a declared form mean what the same digits mean in JSON.
pub(crate) fn declared(bytes: &[u8]) -> Print {
    let Some((&choice, rest)) = bytes.split_first() else { return print("none", 0) };
    let Ok(text) = std::str::from_utf8(rest) else { return print("bytes", 0) };
    let signs = [Sign::Leading, Sign::Trailing, Sign::Either];
    let sign = signs[usize::from(choice) % 3];
    let marks = [
        (',', Some('.')),
        ('.', Some(',')),
        (',', None),
        ('.', Some(' ')),
        (',', Some('\u{202f}')),
        ('.', Some('’')),
    ];
    let (decimal, group) = marks[usize::from(choice / 3) % marks.len()];
    let format = NumberFormat::new(decimal, group, sign).unwrap();
    let found = format.parse(text);
    let bare = text.trim_matches('-');
    let plain: String =
        bare.chars().filter(|&c| Some(c) != group).map(|c| if c == decimal { '.' } else { c }).collect();
    match found {
        Ok(value) => {
            let minus = text.len() - bare.len();
            assert!(
                minus <= 1
                    && (minus == 0
                        || sign == Sign::Either
                        || text.starts_with('-') == (sign == Sign::Leading))
            );
            let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, "0"));
            let whole =
                if whole.trim_start_matches('0').is_empty() { "0" } else { whole.trim_start_matches('0') };
            let sign = if minus == 1 { "-" } else { "" };
            assert_eq!(Decimal::parse(&format!("{sign}{whole}.{fraction}")), Ok(value), "{text}");
        }
        Err(DecimalError::Overflow) => {
            assert!(!fits(plain.trim_start_matches('0')) || plain.starts_with('0'), "{text}");
        }
        Err(error) => assert_eq!(error, DecimalError::Syntax),
    }
    print(if found.is_ok() { "ok" } else { "refused" }, text.len())
}
