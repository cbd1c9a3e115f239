//! Times and dates as a mapping reads them: a form, and where needed a zone.

use super::parse::{Stamp, read};
use super::{DAY_S, Date, Instant, TimeError, TimeFormat, TimeFormatError, ZoneRule};

/// Reads instants.
#[derive(Clone, Debug)]
pub struct TimeReader {
    format: TimeFormat,
    zone: Option<ZoneRule>,
}

impl TimeReader {
    /// A reader of one form. A form without offset needs a zone. Without declared format (RFC 3339)
    /// the zone is optional: it is what a text without offset means.
    pub fn compile(format: Option<&str>, zone: Option<ZoneRule>) -> Result<Self, TimeFormatError> {
        let compiled = TimeFormat::compile(format)?;
        if format.is_some() && compiled.may_be_local() && zone.is_none() {
            return Err(TimeFormatError::NoZone);
        }
        Ok(Self { format: compiled, zone })
    }

    /// Whether the form says no time of day, so that every instant is the first moment of a day.
    #[must_use]
    pub fn is_date_only(&self) -> bool {
        !self.format.has_time()
    }

    /// Reads an instant that is written as [`Instant::write_to`] writes it; `None` of any other text.
    #[inline]
    pub(crate) fn read_own(&self, text: &[u8]) -> Option<Instant> {
        if self.format.is_rfc3339() { super::parse::own(text) } else { None }
    }

    /// Reads an instant. A date alone, in a form that has no time of day, is its first moment.
    pub fn read(&self, text: &str) -> Result<Instant, TimeError> {
        let (local, nanoseconds) = match read(&self.format, text, false)? {
            Stamp::Instant(instant) => return Ok(instant),
            Stamp::Local(local, nanoseconds) => (local, nanoseconds),
            Stamp::Day(date) => (date.days * DAY_S, 0),
        };
        match &self.zone {
            Some(zone) => zone.resolve(local, nanoseconds),
            None => Err(no_offset(text, "an offset `Z` or `+HH:MM`, since no zone is declared")),
        }
    }
}

/// Reads plant-local dates.
#[derive(Clone, Debug)]
pub struct DateReader {
    format: TimeFormat,
    zone: Option<ZoneRule>,
    /// Second of the day at which the production day starts; `None`: the calendar date is asked for.
    day_starts: Option<u32>,
}

impl DateReader {
    /// A reader of one form. `day_starts` (`HH:MM`) makes the time before it part of the day before.
    /// A form that says an instant needs a zone; without declared format (RFC 3339) the zone is what
    /// an instant needs, and a date alone, `YYYY-MM-DD`, is read too.
    ///
    /// With `day_starts` and a zone the day of an instant is that of the last start of a day at or
    /// before it. So days never go back: one that began before the clock was set back over its start
    /// stays, and one whose start the clock leaves out begins where the clock is set forward.
    pub fn compile(
        format: Option<&str>,
        zone: Option<ZoneRule>,
        day_starts: Option<&str>,
    ) -> Result<Self, TimeFormatError> {
        let format = TimeFormat::compile(format)?;
        if format.has_offset() && zone.is_none() {
            return Err(TimeFormatError::NoZoneForDate);
        }
        let day_starts = match day_starts {
            Some(text) if format.has_time() => Some(hour_and_minute(text).ok_or(TimeFormatError::DayStarts)?),
            Some(_) => return Err(TimeFormatError::DayStarts),
            None => None,
        };
        Ok(Self { format, zone, day_starts })
    }

    /// Reads a date. A date alone stays what it is. A local time is read as the zone declares; one
    /// that occurs twice, with no declaration which is meant, is refused only where its two instants
    /// are in different days.
    pub fn read(&self, text: &str) -> Result<Date, TimeError> {
        match read(&self.format, text, true)? {
            Stamp::Day(date) => Ok(date),
            Stamp::Local(local, nanoseconds) => self.date_of_local(local, nanoseconds),
            Stamp::Instant(instant) => self.date(instant),
        }
    }

    /// The date of an instant.
    pub fn date(&self, instant: Instant) -> Result<Date, TimeError> {
        let expected = "a date alone or a local time, since no zone is declared";
        let zone = self.zone.as_ref().ok_or(TimeError::Bad { column: 1, expected })?;
        let local = match self.day_starts {
            Some(_) => zone.latest_local(instant),
            None => zone.local(instant),
        };
        self.production_day(local.ok_or(OUT_OF_RANGE)?)
    }

    fn date_of_local(&self, local: i64, nanoseconds: u32) -> Result<Date, TimeError> {
        let Some(zone) = &self.zone else { return self.production_day(local) };
        match zone.resolve(local, nanoseconds) {
            Ok(instant) => self.date(instant),
            Err(TimeError::Ambiguous { earlier, later }) => {
                let date = self.date(earlier)?;
                if self.date(later)? == date {
                    Ok(date)
                } else {
                    Err(TimeError::Ambiguous { earlier, later })
                }
            }
            Err(error) => Err(error),
        }
    }

    fn production_day(&self, local: i64) -> Result<Date, TimeError> {
        let date = Date::of_seconds(local - i64::from(self.day_starts.unwrap_or(0)));
        date.plus_days(0).ok_or(OUT_OF_RANGE)
    }
}

const OUT_OF_RANGE: TimeError = TimeError::Bad { column: 1, expected: "a date in the years 0001 to 9999" };

fn no_offset(text: &str, expected: &'static str) -> TimeError {
    TimeError::Bad { column: text.chars().count() as u32 + 1, expected }
}

fn hour_and_minute(text: &str) -> Option<u32> {
    let [h1, h2, b':', m1, m2] = *text.as_bytes() else { return None };
    if ![h1, h2, m1, m2].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let two = |high: u8, low: u8| u32::from(high - b'0') * 10 + u32::from(low - b'0');
    let (hour, minute) = (two(h1, h2), two(m1, m2));
    (hour < 24 && minute < 60).then_some(hour * 3600 + minute * 60)
}
