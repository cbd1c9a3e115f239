//! Decimals of at most 18 digits, and conversions between them in 64 bits: what nearly every message needs.
//!
//! Everything here gives the same result as [`Decimal`] and [`Affine`], or `None`: then those are asked.

use num_integer::Integer as _;

use super::decimal::Decimal;
use super::rational::{Affine, Round};

/// Most digits of a short decimal.
const DIGITS_MAX: usize = 18;

/// Powers of ten that 64 bits hold.
#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
const POWERS: [u64; DIGITS_MAX + 1] = {
    let mut powers = [1; DIGITS_MAX + 1];
    let mut at = 1;
    while at <= DIGITS_MAX {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// `10^places`, if a short decimal may have so many.
#[inline]
pub(crate) fn power(places: u32) -> Option<u64> {
    POWERS.get(places as usize).copied()
}

/// `digits * 10^-scale`, normalised as [`Decimal`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Short {
    digits: i64,
    scale: u32,
}

impl Short {
    /// From digits and their scale; `None` when there are more than 18.
    #[inline]
    pub(crate) fn new(mut digits: i64, mut scale: u32) -> Option<Self> {
        while scale > 0 && digits % 10 == 0 {
            digits /= 10;
            scale -= 1;
        }
        let fits = digits.unsigned_abs() < POWERS[DIGITS_MAX] && scale as usize <= DIGITS_MAX;
        fits.then_some(Self { digits, scale })
    }

    /// The same number, if it is short.
    pub(crate) fn of(decimal: Decimal) -> Option<Self> {
        Self::new(i64::try_from(decimal.coefficient()).ok()?, decimal.scale())
    }

    /// The same number.
    pub(crate) fn decimal(self) -> Decimal {
        Decimal::short(self.digits, self.scale)
    }

    /// Digits, signed.
    #[inline]
    pub(crate) fn digits(self) -> i64 {
        self.digits
    }

    /// Number of digits after the point.
    #[inline]
    pub(crate) fn scale(self) -> u32 {
        self.scale
    }

    /// Rounds; `None` when that needs more than 64 bits.
    #[inline]
    pub(crate) fn round(self, round: Round) -> Option<Self> {
        if self.scale <= round.places {
            return Some(self);
        }
        let unit = power(self.scale - round.places)?;
        divide(self.digits < 0, u128::from(self.digits.unsigned_abs()), unit, round)
    }

    /// The canonical text.
    #[inline]
    pub(crate) fn spell(self) -> Spelled {
        let mut out = Spelled { buffer: [b'"'; 2 * CHUNK], start: CHUNK - 1 };
        let mut rest = self.digits.unsigned_abs();
        for _ in 0..self.scale / 2 {
            out.put_two(rest % 100);
            rest /= 100;
        }
        if self.scale % 2 == 1 {
            out.put(b'0' + (rest % 10) as u8);
            rest /= 10;
        }
        if self.scale > 0 {
            out.put(b'.');
        }
        while rest > 9 {
            out.put_two(rest % 100);
            rest /= 100;
        }
        // Of an odd number of digits the first is left; of an even one there is at least the zero of `0.5`.
        if rest > 0 || matches!(out.buffer.get(out.start), Some(b'.' | b'"')) {
            out.put(b'0' + rest as u8);
        }
        if self.digits < 0 {
            out.put(b'-');
        }
        out
    }
}

/// Bytes that a text has room in, with a quote on both sides.
const CHUNK: usize = 32;

/// A number as text, amid quotes.
pub(crate) struct Spelled {
    buffer: [u8; 2 * CHUNK],
    start: usize,
}

impl Spelled {
    #[inline]
    fn put(&mut self, byte: u8) {
        self.start -= 1;
        if let Some(place) = self.buffer.get_mut(self.start) {
            *place = byte;
        }
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "there are a hundred pairs of digits")]
    fn put_two(&mut self, number: u64) {
        self.start -= 2;
        if let Some(place) = self.buffer.get_mut(self.start..self.start + 2) {
            place.copy_from_slice(&PAIRS[(number % 100) as usize]);
        }
    }

    /// The text and how long it is; bytes that do not belong to it follow.
    #[inline]
    pub(crate) fn bare(&self) -> (&[u8; CHUNK], usize) {
        self.from(self.start, CHUNK - 1 - self.start)
    }

    /// The same with its quotes.
    #[inline]
    pub(crate) fn quoted(&self) -> (&[u8; CHUNK], usize) {
        self.from(self.start - 1, CHUNK + 1 - self.start)
    }

    #[inline]
    fn from(&self, start: usize, len: usize) -> (&[u8; CHUNK], usize) {
        let chunk = self.buffer.get(start..).and_then(<[u8]>::first_chunk);
        chunk.map_or((&[0; CHUNK], 0), |chunk| (chunk, len))
    }
}

/// `00` to `99`.
#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut at = 0;
    while at < 100 {
        pairs[at] = [b'0' + (at / 10) as u8, b'0' + (at % 10) as u8];
        at += 1;
    }
    pairs
};

/// `magnitude / unit`, rounded to `places` digits after the point.
#[inline]
fn divide(negative: bool, magnitude: u128, unit: u64, round: Round) -> Option<Short> {
    let (quotient, rest) = match u64::try_from(magnitude) {
        Ok(magnitude) => (magnitude / unit, magnitude % unit),
        Err(_) => {
            let wide = u128::from(unit);
            (u64::try_from(magnitude / wide).ok()?, (magnitude % wide) as u64)
        }
    };
    let twice = (u128::from(rest) * 2).cmp(&u128::from(unit));
    let moved = quotient + u64::from(round.mode.moves(rest != 0, twice, quotient % 2 != 0));
    let digits = i64::try_from(moved).ok()?;
    Short::new(if negative { -digits } else { digits }, round.places)
}

/// `(value * times + plus) / over`: a conversion in whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Linear {
    times: i64,
    plus: i64,
    over: u64,
}

impl Linear {
    /// The same conversion, if 64 bits hold it.
    pub(crate) fn of(affine: &Affine) -> Option<Self> {
        let (factor, factor_over) = affine.factor.small()?;
        let (offset, offset_over) = affine.offset.small()?;
        let over = factor_over.lcm(&offset_over);
        let whole = |num: i128, den: i128| i64::try_from(num.checked_mul(over / den)?).ok();
        Some(Self {
            times: whole(factor, factor_over)?,
            plus: whole(offset, offset_over)?,
            over: u64::try_from(over).ok()?,
        })
    }

    /// The rounded result; `None` when it needs more than 64 bits on the way.
    #[inline]
    pub(crate) fn convert(&self, value: Short, round: Round) -> Option<Short> {
        let scale = power(value.scale)?;
        let sum =
            i128::from(value.digits) * i128::from(self.times) + i128::from(self.plus) * i128::from(scale);
        let magnitude = u64::try_from(sum.unsigned_abs()).ok()?;
        let unit = self.over.checked_mul(scale)?;
        let scaled = u128::from(magnitude) * u128::from(power(round.places)?);
        divide(sum < 0, scaled, unit, round)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::rational::{Rational, RoundMode};
    use super::*;

    fn mode() -> impl Strategy<Value = RoundMode> {
        prop_oneof![
            Just(RoundMode::HalfEven),
            Just(RoundMode::HalfUp),
            Just(RoundMode::Down),
            Just(RoundMode::Up)
        ]
    }

    proptest! {
        #[test]
        fn a_short_decimal_is_written_and_rounded_as_the_long_one(
            digits in -999_999_999_999_999_999_i64..=999_999_999_999_999_999,
            shrink in 0_u32..18,
            scale in 0_u32..=18,
            places in 0_u32..=18,
            mode in mode(),
        ) {
            let digits = digits / 10_i64.pow(shrink);
            let short = Short::new(digits, scale).unwrap();
            let long = Decimal::new(i128::from(digits), scale).unwrap();
            prop_assert_eq!(short.decimal(), long);
            prop_assert_eq!(Short::of(long), Some(short));
            let spelled = short.spell();
            let text = |(chunk, len): (&[u8; CHUNK], usize)| String::from_utf8(chunk[..len].to_vec()).unwrap();
            prop_assert_eq!(text(spelled.bare()), long.to_string());
            prop_assert_eq!(text(spelled.quoted()), format!("\"{long}\""));
            let round = Round { places, mode };
            let rounded = round.apply(long).unwrap();
            if let Some(short) = short.round(round) {
                prop_assert_eq!(short.decimal(), rounded);
            }
        }

        #[test]
        fn a_conversion_in_whole_numbers_is_the_exact_one(
            digits in -999_999_999_999_i64..=999_999_999_999,
            scale in 0_u32..=12,
            factor in (1_i64..1_000_000, 1_i64..1_000_000),
            offset in (-100_000_i64..100_000, 1_i64..1_000),
            places in 0_u32..=9,
            mode in mode(),
        ) {
            let ratio = |(num, den): (i64, i64)| Rational::ratio(num.into(), den.into()).unwrap();
            let affine = Affine { factor: ratio(factor), offset: ratio(offset) };
            let round = Round { places, mode };
            let short = Short::new(digits, scale).unwrap();
            let exact = affine.convert(short.decimal(), Some(round)).unwrap();
            if let Some(found) = Linear::of(&affine).and_then(|linear| linear.convert(short, round)) {
                prop_assert_eq!(found.decimal(), exact);
            }
        }
    }
}
