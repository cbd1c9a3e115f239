//! Reads a text in a compiled form.

use super::format::{Field, Form, Piece, TimeFormat};
use super::{DAY_S, Date, Instant, TimeError, days_of, is_leap};
use crate::value::Decimal;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// What a text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    /// An instant.
    Instant(Instant),
    /// What a clock shows, in seconds as if it were UTC, and nanoseconds.
    Local(i64, u32),
    /// A day, and no time of day.
    Day(Date),
}

/// Reads a text in a compiled form. Only if `day_alone` may a text without declared format be
/// `YYYY-MM-DD`.
pub(super) fn read(format: &TimeFormat, text: &str, day_alone: bool) -> Result<Stamp, TimeError> {
    match &format.form {
        Form::Rfc3339 if day_alone && text.len() == 10 => {
            let mut cursor = Cursor { text, at: 0 };
            Ok(Stamp::Day(cursor.full_date()?))
        }
        Form::Rfc3339 => rfc3339(text),
        Form::Epoch(digits) => epoch(text, *digits, text),
        Form::DotNet => dotnet(text),
        Form::Pieces(pieces) => pieces_of(pieces, text, format.has_time()),
    }
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl Cursor<'_> {
    fn bad(&self, expected: &'static str) -> TimeError {
        bad_at(self.text, self.at, expected)
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte, if it is one of these ASCII characters.
    fn take(&mut self, any: &[u8]) -> Option<u8> {
        let byte = self.peek().filter(|byte| any.contains(byte))?;
        self.at += 1;
        Some(byte)
    }

    /// A number of at most `width` digits, or exactly so many, within bounds.
    fn number(
        &mut self,
        width: u32,
        exact: bool,
        bounds: (u32, u32),
        name: &'static str,
    ) -> Result<u32, TimeError> {
        let start = self.at;
        let mut value = 0;
        let mut digits = 0;
        while digits < width
            && let Some(byte @ b'0'..=b'9') = self.peek()
        {
            value = value * 10 + u32::from(byte - b'0');
            digits += 1;
            self.at += 1;
        }
        if digits == 0 || (exact && digits < width) || !(bounds.0..=bounds.1).contains(&value) {
            return Err(bad_at(self.text, start, name));
        }
        Ok(value)
    }

    fn two(&mut self, bounds: (u32, u32), name: &'static str) -> Result<u32, TimeError> {
        self.number(2, true, bounds, name)
    }

    /// Digits after the point, in nanoseconds; those after the ninth are cut.
    fn fraction(&mut self) -> Result<u32, TimeError> {
        let (mut value, mut place) = (0, 100_000_000);
        let start = self.at;
        while let Some(byte @ b'0'..=b'9') = self.peek() {
            value += u32::from(byte - b'0') * place;
            place /= 10;
            self.at += 1;
        }
        if self.at == start { Err(self.bad("digits of a fraction of a second")) } else { Ok(value) }
    }

    fn full_date(&mut self) -> Result<Date, TimeError> {
        const DATE: &str = "a date `YYYY-MM-DD`";
        let year = self.number(4, true, (1, 9999), "a year from 0001 to 9999")?;
        self.take(b"-").ok_or_else(|| self.bad(DATE))?;
        let month = self.two((1, 12), "a month from 01 to 12")?;
        self.take(b"-").ok_or_else(|| self.bad(DATE))?;
        let start = self.at;
        let day = self.two((1, 31), "a day from 01 to 31")?;
        Date::new(year.cast_signed(), month, day)
            .ok_or_else(|| bad_at(self.text, start, "a day of this month"))
    }

    /// `±HH:MM`, and if `loose` also `±HHMM` and `±HH`, in seconds.
    fn offset(&mut self, loose: bool) -> Result<i64, TimeError> {
        let sign = self.take(b"+-").ok_or_else(|| self.bad("an offset `Z` or `+HH:MM`"))?;
        let hours = self.two((0, 23), "hours of an offset from 00 to 23")?;
        let colon = self.take(b":").is_some();
        let minutes = if colon || (loose && matches!(self.peek(), Some(b'0'..=b'9'))) {
            self.two((0, 59), "minutes of an offset from 00 to 59")?
        } else if loose {
            0
        } else {
            return Err(self.bad("an offset `Z` or `+HH:MM`"));
        };
        let seconds = i64::from(hours * 3600 + minutes * 60);
        Ok(if sign == b'-' { -seconds } else { seconds })
    }

    fn name(&mut self, names: &[&str], expected: &'static str) -> Result<u32, TimeError> {
        let rest = self.rest();
        let starts =
            |name: &str| rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        let found = names.iter().enumerate().find_map(|(index, name)| {
            let short = name.get(..3).unwrap_or(name);
            [*name, short].into_iter().find(|name| starts(name)).map(|name| (index as u32 + 1, name.len()))
        });
        let (number, len) = found.ok_or_else(|| self.bad(expected))?;
        self.at += len;
        Ok(number)
    }

    fn end(&self) -> Result<(), TimeError> {
        if self.rest().is_empty() { Ok(()) } else { Err(self.bad("the end of the text")) }
    }
}

fn bad_at(text: &str, at: usize, expected: &'static str) -> TimeError {
    let before = text.get(..at).unwrap_or(text);
    TimeError::Bad { column: before.chars().count() as u32 + 1, expected }
}

fn instant(seconds: i64, nanoseconds: u32) -> Result<Stamp, TimeError> {
    let found = Instant::new(seconds, nanoseconds).map(Stamp::Instant);
    found.ok_or(TimeError::Bad { column: 1, expected: "an instant in the years 0001 to 9999 of UTC" })
}

fn rfc3339(text: &str) -> Result<Stamp, TimeError> {
    const TIME: &str = "a time `HH:MM:SS`";
    let mut cursor = Cursor { text, at: 0 };
    let date = cursor.full_date()?;
    cursor.take(b"Tt ").ok_or_else(|| cursor.bad("`T` and a time"))?;
    let hour = cursor.two((0, 23), "an hour from 00 to 23")?;
    cursor.take(b":").ok_or_else(|| cursor.bad(TIME))?;
    let minute = cursor.two((0, 59), "a minute from 00 to 59")?;
    cursor.take(b":").ok_or_else(|| cursor.bad(TIME))?;
    let second = cursor.two((0, 60), "a second from 00 to 60")?.min(59);
    let nanoseconds = if cursor.take(b".").is_some() { cursor.fraction()? } else { 0 };
    let local = date.days * DAY_S + i64::from(hour * 3600 + minute * 60 + second);
    if cursor.rest().is_empty() {
        return Ok(Stamp::Local(local, nanoseconds));
    }
    let offset = if cursor.take(b"Zz").is_some() { 0 } else { cursor.offset(false)? };
    cursor.end()?;
    instant(local - offset, nanoseconds)
}

/// An instant as [`Instant::write_to`] writes it: `2026-11-24T10:31:40.5Z`.
pub(super) fn own(text: &[u8]) -> Option<Instant> {
    let head = text.first_chunk::<19>()?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', n0, n1, b':', s0, s1] = *head else {
        return None;
    };
    let mut highest = 0;
    let mut two = |tens: u8, ones: u8| {
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        highest = highest.max(tens).max(ones);
        u32::from(tens) * 10 + u32::from(ones)
    };
    let year = two(y0, y1) * 100 + two(y2, y3);
    let (month, day) = (two(m0, m1), two(d0, d1));
    let (hour, minute, second) = (two(h0, h1), two(n0, n1), two(s0, s1));
    if highest > 9 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let nanoseconds = match text.get(19..)? {
        [b'Z'] => 0,
        [b'.', digits @ .., b'Z']
            if !digits.is_empty() && digits.len() <= 9 && digits.last() != Some(&b'0') =>
        {
            let (mut value, mut place) = (0, 1_000_000_000);
            for byte in digits {
                let digit = byte.wrapping_sub(b'0');
                if digit > 9 {
                    return None;
                }
                place /= 10;
                value += u32::from(digit) * place;
            }
            value
        }
        _ => return None,
    };
    let date = Date::new(year.cast_signed(), month, day)?;
    Instant::new(date.days * DAY_S + i64::from(hour * 3600 + minute * 60 + second), nanoseconds)
}

/// A number of units of `10^-digits` seconds since 1970, cut to the nanosecond before it.
fn epoch(number: &str, digits: u32, text: &str) -> Result<Stamp, TimeError> {
    let bad = bad_at(text, 0, "a number since 1970-01-01T00:00:00Z");
    let value = Decimal::parse(number).map_err(|_| bad)?;
    let scale = value.scale() + digits;
    let coefficient = value.coefficient();
    let nanoseconds = if scale <= 9 {
        coefficient.checked_mul(10_i128.pow(9 - scale)).ok_or(bad)?
    } else {
        // A scale beyond 38 leaves nothing of any coefficient.
        coefficient.div_euclid(10_i128.checked_pow(scale - 9).unwrap_or(i128::MAX))
    };
    let second = 1_000_000_000;
    let seconds = i64::try_from(nanoseconds.div_euclid(second)).map_err(|_| bad)?;
    instant(seconds, nanoseconds.rem_euclid(second) as u32)
}

fn dotnet(text: &str) -> Result<Stamp, TimeError> {
    let bad = bad_at(text, 0, "`/Date(milliseconds)/`");
    let inner = text.strip_prefix("/Date(").and_then(|rest| rest.strip_suffix(")/")).ok_or(bad)?;
    let signs = inner.char_indices().skip(1);
    let Some((at, _)) = signs.into_iter().find(|(_, c)| matches!(c, '+' | '-')) else {
        return epoch(inner, 3, text);
    };
    let mut cursor = Cursor { text, at: "/Date(".len() + at };
    cursor.offset(true)?;
    if cursor.rest() != ")/" {
        return Err(cursor.bad("`)/`"));
    }
    epoch(inner.get(..at).unwrap_or_default(), 3, text)
}

#[derive(Default)]
struct Fields {
    year: u32,
    month: u32,
    day: u32,
    day_of_year: Option<u32>,
    iso: Option<u32>,
    iso_year: u32,
    iso_weekday: u32,
    weekday: Option<u32>,
    hour: u32,
    afternoon: bool,
    minute: u32,
    second: u32,
    nanoseconds: u32,
    offset: Option<i64>,
}

fn pieces_of(pieces: &[Piece], text: &str, has_time: bool) -> Result<Stamp, TimeError> {
    let mut cursor = Cursor { text, at: 0 };
    let mut fields = Fields::default();
    for &piece in pieces {
        piece_of(piece, &mut cursor, &mut fields)?;
    }
    cursor.end()?;
    let date = fields.date().ok_or(TimeError::Bad { column: 1, expected: "a day that exists" })?;
    if fields.weekday.is_some_and(|weekday| weekday != date.weekday()) {
        return Err(TimeError::Bad { column: 1, expected: "the weekday of this date" });
    }
    if !has_time && fields.offset.is_none() {
        return Ok(Stamp::Day(date));
    }
    let hour = fields.hour + if fields.afternoon { 12 } else { 0 };
    let second = hour * 3600 + fields.minute * 60 + fields.second.min(59);
    if second > DAY_S as u32 || (second == DAY_S as u32 && fields.nanoseconds > 0) {
        return Err(TimeError::Bad { column: 1, expected: "a time of day up to 24:00:00" });
    }
    let local = date.days * DAY_S + i64::from(second);
    match fields.offset {
        Some(offset) => instant(local - offset, fields.nanoseconds),
        None => Ok(Stamp::Local(local, fields.nanoseconds)),
    }
}

fn piece_of(piece: Piece, cursor: &mut Cursor<'_>, fields: &mut Fields) -> Result<(), TimeError> {
    match piece {
        Piece::Literal(c) if cursor.rest().starts_with(c) => cursor.at += c.len_utf8(),
        Piece::Literal(_) => return Err(cursor.bad("the next character of the format")),
        Piece::Number { field, width, exact } => number_of(field, width, exact, cursor, fields)?,
        Piece::MonthName => fields.month = cursor.name(&MONTHS, "an English month name")?,
        Piece::WeekdayName => fields.weekday = Some(cursor.name(&WEEKDAYS, "an English weekday name")?),
        Piece::AmPm => {
            let half = cursor.rest().get(..2).map(str::to_ascii_lowercase);
            fields.afternoon = match half.as_deref() {
                Some("am") => false,
                Some("pm") => true,
                _ => return Err(cursor.bad("`AM` or `PM`")),
            };
            cursor.at += 2;
        }
        Piece::Fraction => fields.nanoseconds = cursor.fraction()?,
        Piece::OptionalFraction => {
            if cursor.take(b".").is_some() {
                fields.nanoseconds = cursor.fraction()?;
            }
        }
        Piece::Offset if cursor.take(b"Zz").is_some() => fields.offset = Some(0),
        Piece::Offset => fields.offset = Some(cursor.offset(true)?),
        Piece::UtcName => {
            let names = ["UTC", "GMT", "Z"];
            let found = names.iter().find(|name| cursor.rest().starts_with(**name));
            cursor.at += found.ok_or_else(|| cursor.bad("`UTC`, `GMT` or `Z`"))?.len();
            fields.offset = Some(fields.offset.unwrap_or(0));
        }
    }
    Ok(())
}

fn number_of(
    field: Field,
    width: u32,
    exact: bool,
    cursor: &mut Cursor<'_>,
    fields: &mut Fields,
) -> Result<(), TimeError> {
    let (bounds, name) = match field {
        Field::Year | Field::IsoYear => ((1, 9999), "a year from 0001 to 9999"),
        Field::Year2 => ((0, 99), "a year of two digits"),
        Field::Month => ((1, 12), "a month from 01 to 12"),
        Field::Day => ((1, 31), "a day from 01 to 31"),
        Field::DayOfYear => ((1, 366), "a day of the year from 001 to 366"),
        Field::IsoWeek => ((1, 53), "a week from 01 to 53"),
        Field::IsoWeekday => ((1, 7), "a weekday from 1 to 7"),
        Field::Hour => ((0, 24), "an hour from 00 to 24"),
        Field::Hour12 => ((1, 12), "an hour from 01 to 12"),
        Field::Minute => ((0, 59), "a minute from 00 to 59"),
        Field::Second => ((0, 60), "a second from 00 to 60"),
    };
    let value = cursor.number(width, exact, bounds, name)?;
    match field {
        Field::Year => fields.year = value,
        Field::Year2 => fields.year = value + if value >= 69 { 1900 } else { 2000 },
        Field::Month => fields.month = value,
        Field::Day => fields.day = value,
        Field::DayOfYear => fields.day_of_year = Some(value),
        Field::IsoYear => fields.iso_year = value,
        Field::IsoWeek => fields.iso = Some(value),
        Field::IsoWeekday => fields.iso_weekday = value,
        Field::Hour => fields.hour = value,
        Field::Hour12 => fields.hour = value % 12,
        Field::Minute => fields.minute = value,
        Field::Second => fields.second = value,
    }
    Ok(())
}

impl Fields {
    fn date(&self) -> Option<Date> {
        if self.year == 0 {
            return self.week_date();
        }
        let year = self.year.cast_signed();
        match self.day_of_year {
            Some(366) if !is_leap(year) => None,
            Some(day) => Date::new(year, 1, 1)?.plus_days(i64::from(day) - 1),
            None => Date::new(year, self.month, self.day),
        }
    }

    /// ISO 8601: week 1 is the one with 4 January, and starts on a Monday.
    fn week_date(&self) -> Option<Date> {
        let monday_of_week_1 = |year: i32| {
            let fourth = Date { days: days_of(year, 1, 4) };
            fourth.days - i64::from(fourth.weekday()) + 1
        };
        let year = self.iso_year.cast_signed();
        let monday = monday_of_week_1(year) + (i64::from(self.iso?) - 1) * 7;
        let in_year = monday < monday_of_week_1(year + 1);
        in_year.then_some(Date { days: monday })?.plus_days(i64::from(self.iso_weekday) - 1)
    }
}
