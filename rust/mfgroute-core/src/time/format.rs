//! The form of a time in a text, compiled.

use std::fmt;

/// What a mapping declares as `format`.
///
/// | format | reads |
/// |---|---|
/// | none | RFC 3339 §5.6: `2026-11-24T10:00:00.5+01:00`; `T` may be `t` or a space, `Z` may be `z`, `-00:00` is UTC (§4.3). Without offset it is a local time and needs a zone |
/// | `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns` | a number since 1970-01-01T00:00:00Z, negative or with a fraction too, exact to the nanosecond |
/// | `dotnet` | `/Date(1700000000000+0100)/`; the offset is not part of the instant |
/// | a text with `%` | the directives below; other characters stand for themselves |
///
/// `%Y` four digits, `%y` two (69–99 are 19xx, 00–68 are 20xx, as in POSIX), `%m` `%d` `%e` month
/// and day, `%j` day of the year, `%b` `%h` `%B` English month names, `%G` `%V` `%u` ISO 8601 week
/// date, `%a` `%A` English weekday names, which must be right, `%H` hour (`24:00:00` is the end of
/// the day), `%I` with `%p` twelve hours and AM or PM, `%M` `%S` minute and second, `%f` fraction of
/// a second, `%.f` the same with its point, or nothing, `%z` offset (`Z`, `+01`, `+0100`, `+01:00`),
/// `%Z` one of `Z`, `UTC`, `GMT`, `%F` is `%Y-%m-%d`, `%T` is `%H:%M:%S`, `%R` is `%H:%M`, `%%` a `%`.
/// Numbers may lack leading zeros, unless another number stands next to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeFormat {
    pub(super) form: Form,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Rfc3339,
    /// Decimal digits of a second that one unit has.
    Epoch(u32),
    DotNet,
    Pieces(Vec<Piece>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(char),
    /// A number of at most `width` digits; exactly so many if `exact`.
    Number {
        field: Field,
        width: u32,
        exact: bool,
    },
    MonthName,
    WeekdayName,
    AmPm,
    Fraction,
    OptionalFraction,
    Offset,
    UtcName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Year,
    Year2,
    Month,
    Day,
    DayOfYear,
    IsoYear,
    IsoWeek,
    IsoWeekday,
    Hour,
    Hour12,
    Minute,
    Second,
}

/// Why a format cannot be declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeFormatError {
    /// `%` is followed by something that is no directive.
    Directive(String),
    /// The format has no directive and is no named format.
    Unknown(String),
    /// The format leaves the day open.
    NoDate,
    /// `%I` without `%p`, or minutes or seconds without an hour.
    NoHour,
    /// The format has no offset, and no zone is declared.
    NoZone,
    /// A date is made of an instant, and no zone says whose date.
    NoZoneForDate,
    /// `day_starts` is not `HH:MM`, or the format has no time of day.
    DayStarts,
}

impl fmt::Display for TimeFormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directive(found) => write!(f, "`{found}` is not a directive of a time format"),
            Self::Unknown(found) => write!(
                f,
                "`{found}` is not a time format, expected `%` directives, `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns` or `dotnet`"
            ),
            Self::NoDate => f.write_str("the time format leaves the day open, expected year, month and day"),
            Self::NoHour => {
                f.write_str("the time format leaves the hour open, expected `%H`, or `%I` and `%p`")
            }
            Self::NoZone => f.write_str("the time format has no offset, expected `zone`"),
            Self::NoZoneForDate => {
                f.write_str("the date of an instant depends on the place, expected `zone`")
            }
            Self::DayStarts => {
                f.write_str("`day_starts` needs the form `HH:MM` and a format with a time of day")
            }
        }
    }
}

impl std::error::Error for TimeFormatError {}

impl TimeFormat {
    /// Compiles a declared format; `None` is RFC 3339.
    pub fn compile(text: Option<&str>) -> Result<Self, TimeFormatError> {
        let form = match text {
            None => Form::Rfc3339,
            Some("epoch_s") => Form::Epoch(0),
            Some("epoch_ms") => Form::Epoch(3),
            Some("epoch_us") => Form::Epoch(6),
            Some("epoch_ns") => Form::Epoch(9),
            Some("dotnet") => Form::DotNet,
            Some(text) if text.contains('%') => Form::Pieces(pieces(text)?),
            Some(text) => return Err(TimeFormatError::Unknown(text.to_owned())),
        };
        let format = Self { form };
        format.check()?;
        Ok(format)
    }

    /// Whether no form was declared.
    pub(crate) fn is_rfc3339(&self) -> bool {
        matches!(self.form, Form::Rfc3339)
    }

    /// Whether every text of this form says its offset from UTC.
    #[must_use]
    pub fn has_offset(&self) -> bool {
        match &self.form {
            Form::Rfc3339 => false,
            Form::Epoch(_) | Form::DotNet => true,
            Form::Pieces(pieces) => pieces.iter().any(|p| matches!(p, Piece::Offset | Piece::UtcName)),
        }
    }

    /// Whether a text of this form may lack an offset.
    #[must_use]
    pub fn may_be_local(&self) -> bool {
        !self.has_offset()
    }

    /// Whether a text of this form says a time of day.
    #[must_use]
    pub fn has_time(&self) -> bool {
        match &self.form {
            Form::Pieces(_) => self.has(Field::Hour) || self.has(Field::Hour12),
            _ => true,
        }
    }

    fn has(&self, field: Field) -> bool {
        let Form::Pieces(pieces) = &self.form else { return false };
        pieces.iter().any(|piece| matches!(piece, Piece::Number { field: found, .. } if *found == field))
    }

    fn check(&self) -> Result<(), TimeFormatError> {
        let Form::Pieces(pieces) = &self.form else { return Ok(()) };
        let year = self.has(Field::Year) || self.has(Field::Year2);
        let month = self.has(Field::Month) || pieces.contains(&Piece::MonthName);
        let calendar = year && ((month && self.has(Field::Day)) || self.has(Field::DayOfYear));
        let week =
            [Field::IsoYear, Field::IsoWeek, Field::IsoWeekday].into_iter().all(|field| self.has(field));
        if !calendar && !week {
            return Err(TimeFormatError::NoDate);
        }
        let half_day = pieces.contains(&Piece::AmPm);
        let finer = self.has(Field::Minute) || self.has(Field::Second);
        if self.has(Field::Hour12) != half_day || (finer && !self.has_time()) {
            return Err(TimeFormatError::NoHour);
        }
        Ok(())
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, TimeFormatError> {
    let text = text.replace("%F", "%Y-%m-%d").replace("%T", "%H:%M:%S").replace("%R", "%H:%M");
    let mut pieces = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let mut piece = match c {
            '%' => match chars.next() {
                Some('.') if chars.next() == Some('f') => Piece::OptionalFraction,
                Some(directive) => piece(directive)?,
                None => return Err(TimeFormatError::Directive("%".to_owned())),
            },
            literal => Piece::Literal(literal),
        };
        let digits = matches!(piece, Piece::Number { .. } | Piece::Fraction);
        let digits = digits || matches!(piece, Piece::Literal(c) if c.is_ascii_digit());
        if digits && let Some(Piece::Number { exact, .. }) = pieces.last_mut() {
            *exact = true;
            // The last of several, too: `%H%M%S` must not read `14412` as 14:41:02.
            if let Piece::Number { exact, .. } = &mut piece {
                *exact = true;
            }
        }
        pieces.push(piece);
    }
    Ok(pieces)
}

fn piece(directive: char) -> Result<Piece, TimeFormatError> {
    let number = |field, width, exact| Piece::Number { field, width, exact };
    Ok(match directive {
        'Y' => number(Field::Year, 4, true),
        'y' => number(Field::Year2, 2, true),
        'm' => number(Field::Month, 2, false),
        'd' | 'e' => number(Field::Day, 2, false),
        'j' => number(Field::DayOfYear, 3, false),
        'G' => number(Field::IsoYear, 4, true),
        'V' => number(Field::IsoWeek, 2, false),
        'u' => number(Field::IsoWeekday, 1, true),
        'H' => number(Field::Hour, 2, false),
        'I' => number(Field::Hour12, 2, false),
        'M' => number(Field::Minute, 2, false),
        'S' => number(Field::Second, 2, false),
        'b' | 'h' | 'B' => Piece::MonthName,
        'a' | 'A' => Piece::WeekdayName,
        'p' => Piece::AmPm,
        'f' => Piece::Fraction,
        'z' => Piece::Offset,
        'Z' => Piece::UtcName,
        '%' => Piece::Literal('%'),
        other => return Err(TimeFormatError::Directive(format!("%{other}"))),
    })
}
