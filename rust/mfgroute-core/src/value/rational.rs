//! Exact fractions, affine conversions, and how a result becomes a decimal.

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::decimal::{DIGITS_MAX, Decimal, DecimalError, power_of_ten};

/// An exact fraction in lowest terms, of any size.
///
/// Fractions that fit into 128 bits are held without allocation; unit factors and the numbers of
/// ordinary messages always do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rational(Repr);

/// The denominator is positive, and a fraction that fits is always `Small`: equality is structural.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Repr {
    Small(i128, i128),
    Big(Box<(BigInt, BigInt)>),
}

impl Rational {
    /// Zero.
    pub const ZERO: Self = Self(Repr::Small(0, 1));
    /// One.
    pub const ONE: Self = Self(Repr::Small(1, 1));

    /// Reads a decimal (`0.45359237`) or a fraction of two (`5/9`), each in JSON number syntax.
    /// A zero denominator is an error of syntax.
    pub fn parse(text: &str) -> Result<Self, DecimalError> {
        match text.split_once('/') {
            Some((num, den)) => {
                Self::ratio(Decimal::parse(num)?, Decimal::parse(den)?).ok_or(DecimalError::Syntax)
            }
            None => Ok(Decimal::parse(text)?.into()),
        }
    }

    /// `num / den`; `None` if `den` is zero. This is how a material factor (`umrez`/`umren`) is read.
    #[must_use]
    pub fn ratio(num: Decimal, den: Decimal) -> Option<Self> {
        Some(Self::from(num).mul(&Self::from(den).inverse()?))
    }

    /// Numerator and denominator, if 128 bits hold them.
    pub(super) fn small(&self) -> Option<(i128, i128)> {
        match &self.0 {
            Repr::Small(num, den) => Some((*num, *den)),
            Repr::Big(_) => None,
        }
    }

    /// The product.
    #[must_use]
    pub fn mul(&self, other: &Self) -> Self {
        if let (Repr::Small(a, b), Repr::Small(c, d)) = (&self.0, &other.0)
            && let (Some(num), Some(den)) = (a.checked_mul(*c), b.checked_mul(*d))
        {
            return Self::reduced(num, den);
        }
        let ((a, b), (c, d)) = (self.big(), other.big());
        Self::reduced_big(a * c, b * d)
    }

    /// The sum.
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        if let (Repr::Small(a, b), Repr::Small(c, d)) = (&self.0, &other.0)
            && let (Some(left), Some(right), Some(den)) =
                (a.checked_mul(*d), c.checked_mul(*b), b.checked_mul(*d))
            && let Some(num) = left.checked_add(right)
        {
            return Self::reduced(num, den);
        }
        let ((a, b), (c, d)) = (self.big(), other.big());
        Self::reduced_big(a * &d + c * &b, b * d)
    }

    /// The number with the other sign.
    #[must_use]
    pub fn neg(&self) -> Self {
        self.mul(&Self(Repr::Small(-1, 1)))
    }

    /// `1 / self`; `None` for zero.
    #[must_use]
    pub fn inverse(&self) -> Option<Self> {
        match &self.0 {
            Repr::Small(0, _) => None,
            Repr::Small(num, den) if *num > 0 => Some(Self(Repr::Small(*den, *num))),
            _ => {
                let (num, den) = self.big();
                Some(Self::reduced_big(den, num))
            }
        }
    }

    /// Whether it is zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0 == Repr::Small(0, 1)
    }

    /// Whether it has a finite decimal form, of whatever length: the denominator has no prime
    /// factor but 2 and 5.
    #[must_use]
    pub fn terminates(&self) -> bool {
        let (_, den) = self.big();
        fraction_digits(den).is_some()
    }

    /// The decimal nearest in the sense of `round`, or, without it, exactly this number.
    ///
    /// # Errors
    ///
    /// `NotExact` without `round` if no decimal of 38 digits is this number; `Overflow` if the
    /// result has more than 38 digits.
    pub fn to_decimal(&self, round: Option<Round>) -> Result<Decimal, DecimalError> {
        match &self.0 {
            Repr::Small(num, den) => small_to_decimal(*num, *den, round),
            Repr::Big(parts) => big_to_decimal(&parts.0, &parts.1, round),
        }
    }

    fn big(&self) -> (BigInt, BigInt) {
        match &self.0 {
            Repr::Small(num, den) => (BigInt::from(*num), BigInt::from(*den)),
            Repr::Big(parts) => (**parts).clone(),
        }
    }

    /// `num / den` in lowest terms; `den` is not zero.
    fn reduced(num: i128, den: i128) -> Self {
        if num == i128::MIN || den == i128::MIN {
            return Self::reduced_big(num.into(), den.into());
        }
        let divisor = num.gcd(&den).max(1) * den.signum();
        Self(Repr::Small(num / divisor, den / divisor))
    }

    fn reduced_big(num: BigInt, den: BigInt) -> Self {
        let mut divisor = num.gcd(&den);
        if den.is_negative() {
            divisor = -divisor;
        }
        let (num, den) = (num / &divisor, den / &divisor);
        match (num.to_i128(), den.to_i128()) {
            (Some(num), Some(den)) => Self(Repr::Small(num, den)),
            _ => Self(Repr::Big(Box::new((num, den)))),
        }
    }
}

impl From<Decimal> for Rational {
    fn from(value: Decimal) -> Self {
        Self::reduced(value.coefficient(), 10_i128.pow(value.scale()))
    }
}

/// What happens to digits after the last place kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RoundMode {
    /// To the nearest; a tie goes to the even last digit (IEEE 754 roundTiesToEven). `2.5` is `2`.
    HalfEven,
    /// To the nearest; a tie goes away from zero, as in commerce. `2.5` is `3`, `-2.5` is `-3`.
    HalfUp,
    /// Toward zero: the digits are cut. `2.9` is `2`, `-2.9` is `-2`.
    Down,
    /// Away from zero if any digit is lost. `2.1` is `3`, `-2.1` is `-3`.
    Up,
}

impl RoundMode {
    /// `half_even`, `half_up`, `down` or `up`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "half_even" => Self::HalfEven,
            "half_up" => Self::HalfUp,
            "down" => Self::Down,
            "up" => Self::Up,
            _ => return None,
        })
    }

    /// Whether the quotient moves one away from zero. `twice_rest` compares twice the rest with
    /// the divisor.
    pub(super) fn moves(self, rest: bool, twice_rest: std::cmp::Ordering, odd: bool) -> bool {
        match self {
            Self::HalfEven => twice_rest.is_gt() || (twice_rest.is_eq() && odd),
            Self::HalfUp => twice_rest.is_ge(),
            Self::Down => false,
            Self::Up => rest,
        }
    }
}

/// A declared rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Round {
    /// Digits kept after the point, at most 38; more is `Overflow`.
    pub places: u32,
    /// What happens to the others.
    pub mode: RoundMode,
}

impl Round {
    /// Rounds a decimal.
    pub fn apply(self, value: Decimal) -> Result<Decimal, DecimalError> {
        if value.scale() <= self.places && self.places <= DIGITS_MAX {
            return Ok(value);
        }
        small_to_decimal(value.coefficient(), 10_i128.pow(value.scale()), Some(self))
    }
}

fn small_to_decimal(num: i128, den: i128, round: Option<Round>) -> Result<Decimal, DecimalError> {
    let quick = match round {
        Some(Round { places, mode }) if places <= DIGITS_MAX => num
            .checked_mul(10_i128.pow(places))
            .and_then(|scaled| divide_small(scaled, den, mode))
            .map(|q| (q, places)),
        Some(_) => return Err(DecimalError::Overflow),
        None => {
            return match exact_small(num, den) {
                Some(exact) => Ok(exact),
                // Either it needs more than 128 bits on the way, or this says what is wrong.
                None => big_to_decimal(&num.into(), &den.into(), None),
            };
        }
    };
    match quick {
        Some((coefficient, places)) => Decimal::new(coefficient, places),
        None => big_to_decimal(&num.into(), &den.into(), round),
    }
}

/// The decimal that a fraction in lowest terms is, if 128 bits suffice to find it.
fn exact_small(num: i128, den: i128) -> Option<Decimal> {
    let twos = den.trailing_zeros();
    let (mut rest, mut fives) = (den >> twos, 0);
    while rest % 5 == 0 {
        rest /= 5;
        fives += 1;
    }
    let digits = twos.max(fives);
    if rest != 1 || digits > DIGITS_MAX {
        return None;
    }
    Decimal::new(num.checked_mul(10_i128.pow(digits) / den)?, digits).ok()
}

/// `num / den` as an integer; `None` if 128 bits do not suffice on the way. `den` is positive.
fn divide_small(num: i128, den: i128, mode: RoundMode) -> Option<i128> {
    let (quotient, rest) = (num / den, num % den);
    let twice = rest.unsigned_abs().checked_mul(2)?.cmp(&den.unsigned_abs());
    let step = if mode.moves(rest != 0, twice, quotient % 2 != 0) { num.signum() } else { 0 };
    quotient.checked_add(step)
}

fn big_to_decimal(num: &BigInt, den: &BigInt, round: Option<Round>) -> Result<Decimal, DecimalError> {
    if let Some(Round { places, mode }) = round {
        if places > DIGITS_MAX {
            return Err(DecimalError::Overflow);
        }
        let (quotient, rest) = (num * power_of_ten(places)).div_rem(den);
        let twice = (rest.abs() * 2_u8).cmp(den);
        let moves = mode.moves(!rest.is_zero(), twice, quotient.is_odd());
        return Decimal::from_big(if moves { quotient + num.signum() } else { quotient }, places);
    }
    let divisor = num.gcd(den);
    let (num, den) = (num / &divisor, den / &divisor);
    let digits =
        fraction_digits(den.clone()).filter(|&digits| digits <= DIGITS_MAX).ok_or(DecimalError::NotExact)?;
    let exact = Decimal::from_big(&num * power_of_ten(digits) / &den, digits);
    // A whole part that fits shows that rounding would help; one that does not is an overflow.
    match exact {
        Err(_) if (num / den).abs() < power_of_ten(DIGITS_MAX) => Err(DecimalError::NotExact),
        other => other,
    }
}

/// Digits after the point of a fraction in lowest terms with this denominator; `None` if they
/// never end.
fn fraction_digits(mut den: BigInt) -> Option<u32> {
    let twos = u32::try_from(den.trailing_zeros().unwrap_or(0)).ok()?;
    den >>= twos;
    let mut fives = 0;
    while !den.is_one() {
        let (quotient, rest) = den.div_rem(&BigInt::from(5_u8));
        if !rest.is_zero() {
            return None;
        }
        den = quotient;
        fives += 1;
    }
    Some(twos.max(fives))
}

/// `value * factor + offset`: a conversion between two units of one dimension.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Affine {
    /// What a value is multiplied by.
    pub factor: Rational,
    /// What is added then.
    pub offset: Rational,
}

impl Affine {
    /// A conversion that changes nothing.
    pub const IDENTITY: Self = Self { factor: Rational::ONE, offset: Rational::ZERO };

    /// A conversion without offset.
    #[must_use]
    pub fn scale(factor: Rational) -> Self {
        Self { factor, offset: Rational::ZERO }
    }

    /// This conversion, then `next`.
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        Self {
            factor: self.factor.mul(&next.factor),
            offset: self.offset.mul(&next.factor).add(&next.offset),
        }
    }

    /// The way back; `None` if the factor is zero.
    #[must_use]
    pub fn inverse(&self) -> Option<Self> {
        let factor = self.factor.inverse()?;
        let offset = self.offset.neg().mul(&factor);
        Some(Self { factor, offset })
    }

    /// The exact result.
    #[must_use]
    pub fn apply(&self, value: Decimal) -> Rational {
        self.factor.mul(&value.into()).add(&self.offset)
    }

    /// [`Self::apply`] and [`Rational::to_decimal`] in one step, without reducing in between.
    pub fn convert(&self, value: Decimal, round: Option<Round>) -> Result<Decimal, DecimalError> {
        match self.fraction(value) {
            Some((num, den)) if round.is_some() => small_to_decimal(num, den, round),
            _ => self.apply(value).to_decimal(round),
        }
    }

    /// The result as a fraction that need not be in lowest terms, if 128 bits suffice.
    fn fraction(&self, value: Decimal) -> Option<(i128, i128)> {
        let (Repr::Small(factor_num, factor_den), Repr::Small(offset_num, offset_den)) =
            (&self.factor.0, &self.offset.0)
        else {
            return None;
        };
        let num = value.coefficient().checked_mul(*factor_num)?;
        let den = 10_i128.pow(value.scale()).checked_mul(*factor_den)?;
        if *offset_num == 0 {
            return Some((num, den));
        }
        let sum = num.checked_mul(*offset_den)?.checked_add(offset_num.checked_mul(den)?)?;
        Some((sum, den.checked_mul(*offset_den)?))
    }
}

/// Whether every decimal converts to a number with a finite decimal form. Where it does not, a
/// mapping must declare `round`. (A finite form may still be longer than 38 digits.)
#[must_use]
pub fn terminates_always(conversion: &Affine) -> bool {
    conversion.factor.terminates() && conversion.offset.terminates()
}

#[cfg(test)]
#[path = "rational_tests.rs"]
mod tests;
