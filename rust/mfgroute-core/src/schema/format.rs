//! `format`: our own `decimal`, fast forms of the usual ones, the `jsonschema` crate for the rest.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use super::program::DecimalRule;
use crate::value::{Decimal, DecimalError};

/// A format that is checked.
#[derive(Clone, Debug)]
pub(crate) enum Format {
    Decimal,
    Date,
    Time,
    DateTime,
    Uuid,
    Ipv4,
    Ipv6,
    /// Any other format that the `jsonschema` crate knows.
    Other(Arc<(String, Validator)>),
}

impl Format {
    /// The check for a format; `None` when it is unknown or only annotates.
    pub(crate) fn new(name: &str, assert: bool) -> Option<Self> {
        if name == "decimal" {
            return Some(Self::Decimal);
        }
        if !assert {
            return None;
        }
        Some(match name {
            "date" => Self::Date,
            "time" => Self::Time,
            "date-time" => Self::DateTime,
            "uuid" => Self::Uuid,
            "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            _ => {
                let options = jsonschema::options().with_draft(Draft::Draft202012);
                if !options.is_known_format(Draft::Draft202012, name) {
                    return None;
                }
                let options = options.offline().should_validate_formats(true);
                Self::Other(Arc::new((name.to_owned(), options.build(&json!({"format": name})).ok()?)))
            }
        })
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Decimal => "decimal",
            Self::Date => "date",
            Self::Time => "time",
            Self::DateTime => "date-time",
            Self::Uuid => "uuid",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Other(other) => &other.0,
        }
    }

    pub(crate) fn accepts(&self, text: &str) -> bool {
        match self {
            Self::Decimal => decimal(text).is_ok(),
            Self::Date => date(text.as_bytes()),
            Self::Time => time(text.as_bytes()),
            Self::DateTime => text.as_bytes().split_at_checked(10).is_some_and(|(day, rest)| {
                date(day)
                    && matches!(rest.first(), Some(b'T' | b't'))
                    && time(rest.get(1..).unwrap_or_default())
            }),
            Self::Uuid => uuid(text.as_bytes()),
            Self::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Self::Other(other) => other.1.is_valid(&Value::String(text.to_owned())),
        }
    }
}

/// Reads a decimal in plain notation: JSON number syntax without an exponent, at most 38 digits.
pub(crate) fn decimal(text: &str) -> Result<Decimal, DecimalError> {
    if text.bytes().any(|byte| matches!(byte, b'e' | b'E')) {
        return Err(DecimalError::Syntax);
    }
    Decimal::parse(text)
}

impl DecimalRule {
    /// What the decimal should be, when it is not.
    pub(crate) fn broken(&self, value: Decimal) -> Option<String> {
        if let Some(min) = self.min
            && value < min
        {
            return Some(format!("at least {min}"));
        }
        if let Some(max) = self.max
            && value > max
        {
            return Some(format!("at most {max}"));
        }
        if let Some(places) = self.places
            && value.scale() > places
        {
            return Some(format!("at most {places} digits after the point"));
        }
        if let Some(digits) = self.digits
            && value.whole_digits() + value.scale() > digits
        {
            return Some(format!("at most {digits} digits"));
        }
        None
    }

    /// The bound that leaves no decimal, or that another one makes meaningless.
    fn impossible(&self) -> Option<(&'static str, String)> {
        if let (Some(min), Some(max)) = (self.min, self.max)
            && min > max
        {
            return Some((
                "max",
                format!("max of x-decimal is {max}, expected at least min, which is {min}"),
            ));
        }
        let digits = self.digits?;
        if digits == 0 {
            return Some(("digits", "digits of x-decimal is 0, expected at least 1".to_owned()));
        }
        let places = self.places.filter(|places| *places > digits)?;
        Some((
            "places",
            format!("places of x-decimal is {places}, expected at most digits, which is {digits}"),
        ))
    }

    /// Reads `{min, max, digits, places}`.
    pub(crate) fn read(value: &Value) -> Result<Self, (String, String)> {
        let object = value.as_object().ok_or((String::new(), "x-decimal must be an object".to_owned()))?;
        let mut rule = Self::default();
        for (key, value) in object {
            let bad =
                |what: &str| (format!("/{key}"), format!("{key} of x-decimal must be {what}, found {value}"));
            match key.as_str() {
                "min" | "max" => {
                    let text = match value {
                        Value::String(text) => text.as_str(),
                        Value::Number(number) => number.as_str(),
                        _ => return Err(bad("a decimal")),
                    };
                    let limit = Decimal::parse(text).map_err(|_| bad("a decimal"))?;
                    *(if key == "min" { &mut rule.min } else { &mut rule.max }) = Some(limit);
                }
                "digits" | "places" => {
                    let count = value.as_u64().filter(|count| *count <= 38);
                    let count = count.ok_or_else(|| bad("a whole number up to 38"))? as u32;
                    *(if key == "digits" { &mut rule.digits } else { &mut rule.places }) = Some(count);
                }
                _ => {
                    let message =
                        format!("unknown key {key} of x-decimal, expected min, max, digits or places");
                    return Err((format!("/{key}"), message));
                }
            }
        }
        match rule.impossible() {
            Some((key, message)) => Err((format!("/{key}"), message)),
            None => Ok(rule),
        }
    }
}

fn digits(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
}

#[expect(clippy::many_single_char_names, reason = "the characters of a fixed form")]
fn date(bytes: &[u8]) -> bool {
    let &[a, b, c, d, b'-', e, f, b'-', g, h] = bytes else { return false };
    let (Some(year), Some(month), Some(day)) = (digits(&[a, b, c, d]), digits(&[e, f]), digits(&[g, h]))
    else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => return false,
    };
    (1..=last).contains(&day)
}

/// RFC 3339 `full-time`; a leap second only at the end of a UTC day.
#[expect(clippy::many_single_char_names, reason = "the characters of a fixed form")]
fn time(bytes: &[u8]) -> bool {
    let Some((&[a, b, b':', c, d, b':', e, f], mut rest)) = bytes.split_first_chunk::<8>() else {
        return false;
    };
    let (Some(hour), Some(minute), Some(second)) = (digits(&[a, b]), digits(&[c, d]), digits(&[e, f])) else {
        return false;
    };
    if hour > 23 || minute > 59 || second > 60 {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return false;
        }
        rest = fraction.get(count..).unwrap_or_default();
    }
    let shift = match *rest {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), a, b, b':', c, d] => match (digits(&[a, b]), digits(&[c, d])) {
            (Some(hours @ 0..=23), Some(minutes @ 0..=59)) => {
                let shift = (hours * 60 + minutes).cast_signed();
                if sign == b'+' { -shift } else { shift }
            }
            _ => return false,
        },
        _ => return false,
    };
    second != 60 || ((hour * 60 + minute).cast_signed() + shift).rem_euclid(1440) == 1439
}

fn uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
