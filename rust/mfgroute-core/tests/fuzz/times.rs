//! Times and dates.

use mfgroute_core::time::{Ambiguous, DateReader, Nonexistent, TimeError, TimeReader, ZoneRule};

use crate::drive::Print;
use crate::print;

const ZONES: [&str; 8] = [
    "Europe/Berlin",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
    "UTC",
    "Asia/Kathmandu",
    "Antarctica/Troll",
];

fn zone(choice: u8) -> Option<ZoneRule> {
    let name = ZONES.get(usize::from(choice & 15))?;
    let ambiguous = [Ambiguous::Earlier, Ambiguous::Later, Ambiguous::Reject][usize::from(choice >> 4) % 3];
    let nonexistent = [Nonexistent::Shift, Nonexistent::Reject][usize::from(choice >> 7)];
    Some(ZoneRule::new(name, Some(ambiguous), Some(nonexistent)).unwrap())
}

/// The first byte chooses a zone, the first line is a format, the second a text.
pub(crate) fn time(bytes: &[u8]) -> Print {
    let Some((&choice, rest)) = bytes.split_first() else { return print("none", 0) };
    let Ok(rest) = std::str::from_utf8(rest) else { return print("bytes", 0) };
    let (format, text) = rest.split_once('\n').unwrap_or(("", rest));
    let format = Some(format).filter(|format| !format.is_empty());
    let mut seen = print("refused", 0);
    if let Ok(reader) = TimeReader::compile(format, zone(choice)) {
        match reader.read(text) {
            Ok(instant) => {
                // As it prints, so it reads.
                let printed = instant.to_string();
                assert_eq!(TimeReader::compile(None, None).unwrap().read(&printed), Ok(instant), "{printed}");
                seen = print("read", format.map_or(0, |format| format.matches('%').count()));
            }
            Err(error) => {
                column(error, text);
                seen = print(error.code().as_str(), format.map_or(0, |format| format.matches('%').count()));
            }
        }
    }
    let starts = [None, Some("06:00"), Some("00:00"), Some("23:59")][usize::from(choice) % 4];
    if let Ok(reader) = DateReader::compile(format, zone(choice), starts) {
        match reader.read(text) {
            Ok(date) => {
                let printed = date.to_string();
                assert_eq!(
                    DateReader::compile(None, None, None).unwrap().read(&printed),
                    Ok(date),
                    "{printed}"
                );
            }
            Err(error) => column(error, text),
        }
    }
    seen
}

fn column(error: TimeError, text: &str) {
    if let TimeError::Bad { column, .. } = error {
        assert!((1..=text.chars().count() + 1).contains(&(column as usize)), "{error} in {text:?}");
    }
}
