#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panic")]

use num_bigint::BigInt;
use proptest::prelude::*;

use super::*;

const MODES: [RoundMode; 4] = [RoundMode::HalfEven, RoundMode::HalfUp, RoundMode::Down, RoundMode::Up];

fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

fn rational(text: &str) -> Rational {
    Rational::parse(text).unwrap()
}

fn rounded(text: &str, places: u32, mode: RoundMode) -> String {
    rational(text).to_decimal(Some(Round { places, mode })).unwrap().to_string()
}

#[test]
fn ties_and_directions_follow_the_declared_mode() {
    for (text, expected) in [
        ("2.5", ["2", "3", "2", "3"]),
        ("3.5", ["4", "4", "3", "4"]),
        ("-2.5", ["-2", "-3", "-2", "-3"]),
        ("2.4", ["2", "2", "2", "3"]),
        ("-2.6", ["-3", "-3", "-2", "-3"]),
        ("0.5", ["0", "1", "0", "1"]),
        ("-0.5", ["0", "-1", "0", "-1"]),
        ("1/3", ["0", "0", "0", "1"]),
        ("2", ["2", "2", "2", "2"]),
    ] {
        for (mode, expected) in MODES.into_iter().zip(expected) {
            assert_eq!(rounded(text, 0, mode), expected, "{text} {mode:?}");
        }
    }
}

#[test]
fn a_fraction_without_a_finite_decimal_form_needs_rounding() {
    assert_eq!(rational("1/3").to_decimal(None), Err(DecimalError::NotExact));
    assert_eq!(rational("1/8").to_decimal(None), Ok(decimal("0.125")));
    assert_eq!(rational("3/6"), rational("0.5"));
    assert_eq!(rational("-3/-6"), rational("0.5"));
    let tiny = rational("1e-30").mul(&rational("1e-30"));
    assert!(tiny.terminates());
    assert_eq!(tiny.to_decimal(None), Err(DecimalError::NotExact));
    let wide = rational("1e30").add(&rational("1e-30"));
    assert_eq!(wide.to_decimal(None), Err(DecimalError::NotExact));
    let huge = rational("1e30").mul(&rational("1e30"));
    assert_eq!(huge.to_decimal(None), Err(DecimalError::Overflow));
    assert_eq!(huge.mul(&tiny), Rational::ONE);
}

#[test]
fn rounding_beyond_38_places_is_an_overflow_and_never_a_wrong_number() {
    let round = Some(Round { places: 39, mode: RoundMode::HalfEven });
    assert_eq!(rational("1/3").to_decimal(round), Err(DecimalError::Overflow));
    assert_eq!(rounded("1/3", 38, RoundMode::Down), format!("0.{}", "3".repeat(38)));
    assert_eq!(Round { places: 39, mode: RoundMode::Up }.apply(decimal("1.5")), Err(DecimalError::Overflow));
}

#[test]
fn a_zero_denominator_is_refused() {
    assert_eq!(Rational::parse("1/0"), Err(DecimalError::Syntax));
    assert_eq!(Rational::ratio(decimal("1"), Decimal::ZERO), None);
    assert_eq!(Rational::ZERO.inverse(), None);
    assert_eq!(Rational::parse("1/2/3"), Err(DecimalError::Syntax));
}

#[test]
fn a_conversion_says_whether_its_results_always_end() {
    assert!(terminates_always(&Affine::scale(rational("0.45359237"))));
    assert!(!terminates_always(&Affine::scale(rational("1/60"))));
    assert!(!terminates_always(&Affine { factor: Rational::ONE, offset: rational("1/3") }));
}

prop_compose! {
    fn any_decimal()(digits in 1_u32..=38, scale in 0_u32..=38, raw in any::<i128>()) -> Decimal {
        Decimal::new(raw % 10_i128.pow(digits), scale).unwrap()
    }
}

proptest! {
    #[test]
    fn conversion_is_that_of_unlimited_arithmetic(
        value in any_decimal(), a in any_decimal(), b in any_decimal(), offset in any_decimal(),
        places in 0_u32..=38, mode in 0_usize..4,
    ) {
        prop_assume!(!b.is_zero());
        let mode = MODES[mode];
        let round = Round { places, mode };
        let affine = Affine { factor: Rational::ratio(a, b).unwrap(), offset: offset.into() };
        let ten = |n: u32| BigInt::from(10).pow(n);
        // (v/10^sv) * (a/10^sa) / (b/10^sb) + o/10^so
        let coefficient = |d: Decimal| BigInt::from(d.coefficient());
        let mut den = coefficient(b) * ten(value.scale() + a.scale() + offset.scale());
        let mut num = coefficient(value) * coefficient(a) * ten(b.scale() + offset.scale())
            + coefficient(offset) * coefficient(b) * ten(value.scale() + a.scale());
        if den < BigInt::ZERO {
            (num, den) = (-num, -den);
        }
        let scaled = num * ten(places);
        let (low, rest) = scaled.div_mod_floor(&den);
        let high = if rest == BigInt::ZERO { low.clone() } else { &low + 1 };
        let negative = scaled < BigInt::ZERO;
        let (toward_zero, away) = if negative { (high.clone(), low.clone()) } else { (low.clone(), high.clone()) };
        let twice = &rest * 2;
        let expected = match mode {
            RoundMode::Down => toward_zero,
            RoundMode::Up => away,
            _ if twice < den => low,
            _ if twice > den => high,
            RoundMode::HalfUp => away,
            RoundMode::HalfEven => if low.is_even() { low } else { high },
        };
        let expected = Decimal::from_big(expected, places);
        prop_assert_eq!(affine.convert(value, Some(round)), expected);
        prop_assert_eq!(affine.apply(value).to_decimal(Some(round)), expected);
        let result = affine.apply(value);
        match affine.convert(value, None) {
            Ok(exact) => prop_assert_eq!(Rational::from(exact), result),
            Err(error) => {
                // There is no such decimal: rounding to the most places there are changes the number.
                let finest = Round { places: DIGITS_MAX, mode: RoundMode::Down };
                let near = result.to_decimal(Some(finest)).map(Rational::from);
                prop_assert!(near.as_ref() != Ok(&result), "{} for {:?}", error, result);
            }
        }
    }

    #[test]
    fn there_and_back_is_where_it_began(value in any_decimal(), a in any_decimal(), offset in any_decimal()) {
        prop_assume!(!a.is_zero());
        let there = Affine { factor: a.into(), offset: offset.into() };
        let round_trip = there.then(&there.inverse().unwrap());
        prop_assert_eq!(&round_trip, &Affine::IDENTITY);
        prop_assert_eq!(round_trip.convert(value, None), Ok(value));
    }

    #[test]
    fn rounding_a_decimal_is_rounding_its_fraction(value in any_decimal(), places in 0_u32..=38, mode in 0_usize..4) {
        let round = Round { places, mode: MODES[mode] };
        prop_assert_eq!(round.apply(value), Rational::from(value).to_decimal(Some(round)));
    }
}
