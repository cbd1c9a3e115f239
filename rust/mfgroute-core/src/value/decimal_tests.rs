#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panic")]

use num_bigint::BigInt;
use proptest::prelude::*;

use super::*;

fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

/// A decimal as coefficient of `10^-38`, in arithmetic without limits.
fn exact(value: Decimal) -> BigInt {
    BigInt::from(value.coefficient()) * power_of_ten(DIGITS_MAX - value.scale())
}

prop_compose! {
    fn any_decimal()(digits in 1_u32..=38, scale in 0_u32..=38, raw in any::<i128>()) -> Decimal {
        Decimal::new(raw % 10_i128.pow(digits), scale).unwrap()
    }
}

#[test]
fn numbers_print_canonically() {
    for (text, canonical) in [
        ("0", "0"),
        ("-0", "0"),
        ("-0.000", "0"),
        ("0e99999999999999999999", "0"),
        ("12.500", "12.5"),
        ("-0.05", "-0.05"),
        ("100", "100"),
        ("1e3", "1000"),
        ("1E+3", "1000"),
        ("1.5e-3", "0.0015"),
        ("12300e-2", "123"),
        ("9007199254740993", "9007199254740993"),
        ("18446744073709551615", "18446744073709551615"),
        ("99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
        ("-0.00000000000000000000000000000000000001", "-0.00000000000000000000000000000000000001"),
        ("1000000000000000000", "1000000000000000000"),
        ("1000000000000000000.5", "1000000000000000000.5"),
        ("10e36", "10000000000000000000000000000000000000"),
    ] {
        assert_eq!(decimal(text).to_string(), canonical, "{text}");
        let mut out = String::from("x");
        decimal(text).write_to(&mut out);
        assert_eq!(out, format!("x{canonical}"));
    }
}

#[test]
fn what_is_not_a_json_number_is_an_error_of_syntax() {
    for text in [
        "",
        "-",
        "+1",
        ".5",
        "1.",
        "01",
        "-01",
        "00",
        "1e",
        "1e+",
        "1e+-5",
        "1.2.3",
        "1,5",
        " 1",
        "1 ",
        "0x1",
        "NaN",
        "Infinity",
        "1_000",
        "--1",
        "1e5.0",
        "١",
        "123456789012345678901234567890123456789012x",
    ] {
        assert_eq!(Decimal::parse(text), Err(DecimalError::Syntax), "{text:?}");
    }
}

#[test]
fn what_needs_more_than_38_digits_overflows() {
    for text in [
        "100000000000000000000000000000000000000",
        "123456789012345678901234567890123456789",
        "1e38",
        "1e-39",
        "1e-9223372036854775808",
        "1e9223372036854775808",
        "1e99999999999999999999999",
        "0.123456789012345678901234567890123456789",
        "1000000000000000000000.0000000000000000000000000000000000001",
    ] {
        assert_eq!(Decimal::parse(text), Err(DecimalError::Overflow), "{text:?}");
    }
}

#[test]
fn a_sum_that_fits_is_found_even_if_an_aligned_operand_does_not_fit() {
    let large = decimal("9999999999999999999999999999999999999");
    assert_eq!(large.checked_add(decimal("0.01")), Err(DecimalError::Overflow));
    let fraction = decimal("0.99999999999999999999999999999999999999");
    assert_eq!(
        decimal("1.8").checked_sub(fraction).unwrap().to_string(),
        "0.80000000000000000000000000000000000001"
    );
}

proptest! {
    #[test]
    fn text_and_value_round_trip(value in any_decimal()) {
        prop_assert_eq!(Decimal::parse(&value.to_string()), Ok(value));
    }

    #[test]
    fn parsing_never_panics_and_short_and_long_paths_agree(text in "-?[0-9]{0,25}(\\.[0-9]{0,25})?([eE][+-]?[0-9]{1,3})?") {
        let any = Decimal::parse_any(&text);
        if let Some(short) = Decimal::parse_short(text.as_bytes()) {
            prop_assert_eq!(any, Ok(short));
        }
        prop_assert_eq!(any, Decimal::parse(&text));
        let json = serde_json::from_str::<serde_json::Number>(&text).is_ok();
        prop_assert_eq!(json, any != Err(DecimalError::Syntax), "{}", text);
    }

    #[test]
    fn order_and_sums_are_those_of_unlimited_arithmetic(left in any_decimal(), right in any_decimal()) {
        prop_assert_eq!(left.cmp(&right), exact(left).cmp(&exact(right)));
        let sum = exact(left) + exact(right);
        let expected = Decimal::from_big(sum, DIGITS_MAX);
        prop_assert_eq!(left.checked_add(right), expected);
        prop_assert_eq!(left.checked_sub(right), left.checked_add(-right));
        prop_assert_eq!((-left).abs(), left.abs());
    }
}
