//! Instants and plant-local dates, read from whatever form a message has them in.
//!
//! * [`format`](mod@format): the declared form of a text, compiled.
//! * [`zone`]: time zones, and what happens where a clock is changed. The rules are those of the IANA
//!   database built into the program, never of the machine, so every node reads alike.
//! * [`reader`]: both together, as a mapping uses them.
//!
//! Years are 0001 to 9999 of the proleptic Gregorian calendar. More than nine fractional digits are
//! cut. A leap second (`:60`) is read as the second before it (`:59`, its fraction kept), as in ECMAScript
//! Temporal, so that the minute and the date are those of the text.

pub mod format;
pub mod reader;
pub mod zone;

mod parse;

use std::fmt;

pub use format::{TimeFormat, TimeFormatError};
pub use reader::{DateReader, TimeReader};
pub use zone::{Ambiguous, Nonexistent, ZoneError, ZoneRule, zone_has_changes, zone_rules};

use crate::reject::Code;

const DAY_S: i64 = 86_400;
/// 0001-01-01T00:00:00Z.
const SECONDS_MIN: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z.
const SECONDS_MAX: i64 = 253_402_300_799;

/// A point in time, to the nanosecond, in the years 0001 to 9999 of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instant {
    seconds: i64,
    nanoseconds: u32,
}

impl Instant {
    /// From seconds since 1970-01-01T00:00:00Z and nanoseconds after that second; `None` outside
    /// the years 0001 to 9999 or from 10⁹ nanoseconds.
    #[must_use]
    pub fn new(seconds: i64, nanoseconds: u32) -> Option<Self> {
        let valid = (SECONDS_MIN..=SECONDS_MAX).contains(&seconds) && nanoseconds < 1_000_000_000;
        valid.then_some(Self { seconds, nanoseconds })
    }

    /// Seconds since 1970-01-01T00:00:00Z, rounded down.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds after [`Self::seconds`].
    #[must_use]
    pub fn nanoseconds(self) -> u32 {
        self.nanoseconds
    }

    /// Appends RFC 3339 in UTC: `2026-11-24T10:31:40.5Z`, without trailing zeros in the fraction.
    pub fn write_to(self, out: &mut String) {
        Date::of_seconds(self.seconds).write_to(out);
        let second = self.seconds.rem_euclid(DAY_S) as u32;
        for (mark, part) in [('T', second / 3600), (':', second / 60 % 60), (':', second % 60)] {
            out.push(mark);
            push_two(part, out);
        }
        if self.nanoseconds != 0 {
            out.push('.');
            let (mut rest, mut place) = (self.nanoseconds, 100_000_000);
            while rest > 0 {
                out.push(digit(rest / place));
                rest %= place;
                place /= 10;
            }
        }
        out.push('Z');
    }
}

impl fmt::Display for Instant {
    /// The text of [`Instant::write_to`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write_to(&mut text);
        f.write_str(&text)
    }
}

/// A day of the calendar, in the years 0001 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Date {
    /// Since 1970-01-01.
    days: i64,
}

impl Date {
    /// A day by its year, month and day of the month; `None` if there is no such day.
    #[must_use]
    pub fn new(year: i32, month: u32, day: u32) -> Option<Self> {
        let valid = (1..=9999).contains(&year) && (1..=12).contains(&month) && day >= 1;
        (valid && day <= days_in_month(year, month)).then(|| Self { days: days_of(year, month, day) })
    }

    fn of_seconds(seconds: i64) -> Self {
        Self { days: seconds.div_euclid(DAY_S) }
    }

    /// Another day; `None` outside the years 0001 to 9999.
    fn plus_days(self, days: i64) -> Option<Self> {
        let moved = Self { days: self.days + days };
        (1..=9999).contains(&moved.parts().0).then_some(moved)
    }

    /// Year, month and day of the month. After Howard Hinnant, "chrono-Compatible Low-Level Date
    /// Algorithms", `civil_from_days`.
    #[must_use]
    pub fn parts(self) -> (i32, u32, u32) {
        let z = self.days + 719_468;
        let era = z.div_euclid(146_097);
        let day_of_era = z.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = (day_of_year - (153 * shifted + 2) / 5 + 1).cast_unsigned() as u32;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 }.cast_unsigned() as u32;
        let year = (year_of_era + era * 400) as i32 + i32::from(month <= 2);
        (year, month, day)
    }

    /// 1 for Monday to 7 for Sunday.
    #[must_use]
    pub fn weekday(self) -> u32 {
        (self.days + 3).rem_euclid(7) as u32 + 1
    }

    /// Appends `YYYY-MM-DD`.
    pub fn write_to(self, out: &mut String) {
        let (year, month, day) = self.parts();
        let year = year.cast_unsigned();
        push_two(year / 100, out);
        push_two(year % 100, out);
        for part in [month, day] {
            out.push('-');
            push_two(part, out);
        }
    }
}

impl fmt::Display for Date {
    /// `YYYY-MM-DD`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write_to(&mut text);
        f.write_str(&text)
    }
}

/// Why a text is not an instant or a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeError {
    /// The text does not have the declared form, or means no time there is.
    Bad {
        /// Where, in characters from 1.
        column: u32,
        /// What was expected there.
        expected: &'static str,
    },
    /// The local time occurs twice because the clock was set back.
    Ambiguous {
        /// The first reading.
        earlier: Instant,
        /// The second.
        later: Instant,
    },
    /// The local time does not occur because the clock was set forward.
    Nonexistent {
        /// What `shift` would make of it.
        shifted: Instant,
    },
}

impl TimeError {
    /// The reject it becomes.
    #[must_use]
    pub fn code(self) -> Code {
        match self {
            Self::Bad { .. } => Code::BadTime,
            Self::Ambiguous { .. } => Code::TimeAmbiguous,
            Self::Nonexistent { .. } => Code::TimeNonexistent,
        }
    }
}

impl fmt::Display for TimeError {
    /// What was expected.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad { column, expected } => write!(f, "{expected} at column {column}"),
            Self::Ambiguous { earlier, later } => {
                write!(f, "a local time that occurs once, this is both {earlier} and {later}")
            }
            Self::Nonexistent { shifted } => {
                write!(
                    f,
                    "a local time that occurs, the clock was set forward over it (shifted it is {shifted})"
                )
            }
        }
    }
}

impl std::error::Error for TimeError {}

/// Days since 1970-01-01. After Howard Hinnant, `days_from_civil`.
fn days_of(year: i32, month: u32, day: u32) -> i64 {
    let year = i64::from(year) - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month = i64::from(month);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i32, month: u32) -> u32 {
    match month {
        2 => 28 + u32::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn digit(value: u32) -> char {
    char::from(b'0' + (value % 10) as u8)
}

fn push_two(value: u32, out: &mut String) {
    out.push(digit(value / 10));
    out.push(digit(value));
}

#[cfg(test)]
mod tests;
