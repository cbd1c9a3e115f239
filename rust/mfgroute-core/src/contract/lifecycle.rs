//! Contracts that are to go: what their events say about it, and the day from which there are none.

use crate::contract::Contract;
use crate::reject::{Code, Reject};
use crate::time::Date;
use crate::tree::write_json_string;

/// Attributes of the deprecation extension of CloudEvents (`cloudevents/extensions/deprecation.md`).
pub const ATTRIBUTES: &[&str] =
    &["deprecated", "deprecationfrom", "deprecationsunset", "deprecationmigration"];

/// A contract with `status: deprecated`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deprecation {
    /// When it was said: `2026-06-30`.
    pub since: Option<String>,
    /// The first day without its events, in UTC: `2027-06-30`.
    pub sunset: Option<String>,
    /// What takes its place: `quality.hold/2`.
    pub successor: Option<String>,
    /// The attributes of its events, as the inside of a JSON object that goes on: `,"deprecated":true`.
    pub attributes: String,
}

impl Deprecation {
    /// What a contract says of itself.
    #[must_use]
    pub fn new(since: Option<Date>, sunset: Option<Date>, successor: Option<String>) -> Self {
        let (since, sunset) = (since.map(|date| date.to_string()), sunset.map(|date| date.to_string()));
        let start = |date: &String| format!("{date}T00:00:00Z");
        // The extension asks for a URI; this is that of `dataschema`, without minor version.
        let migration =
            successor.as_ref().map(|label| format!("mfgroute:contract:{}", label.replace('/', ":")));
        let mut out = b",\"deprecated\":true".to_vec();
        let texts = [None, since.as_ref().map(start), sunset.as_ref().map(start), migration];
        for (name, text) in ATTRIBUTES.iter().zip(texts) {
            if let Some(text) = text {
                out.extend_from_slice(format!(",\"{name}\":").as_bytes());
                write_json_string(&text, &mut out);
            }
        }
        let attributes = String::from_utf8(out).unwrap_or_default();
        Self { since, sunset, successor, attributes }
    }

    /// Whether the sunset has come at a day or a time in UTC, as RFC 3339 has them.
    #[must_use]
    pub fn is_over(&self, at: &str) -> bool {
        // Years have four digits, so texts are in the order of times, and a time is after its day.
        self.sunset.as_deref().is_some_and(|sunset| at >= sunset)
    }
}

impl Contract {
    /// Refuses events that arrive at `recorded` (RFC 3339 in UTC), the sunset or later.
    ///
    /// # Errors
    ///
    /// The reject `contract_sunset`, which names the successor.
    pub fn check_sunset(&self, recorded: &str) -> Result<(), Reject> {
        let Some(deprecation) = self.deprecation.as_ref().filter(|known| known.is_over(recorded)) else {
            return Ok(());
        };
        let sunset = deprecation.sunset.as_deref().unwrap_or_default();
        let expected = match &deprecation.successor {
            Some(successor) => format!("its successor {successor}"),
            None => format!("an event of a contract that is in use; ask {}", self.owner),
        };
        let found = format!("{}, which ended on {sunset}", self.label());
        Err(Reject::new(Code::ContractSunset, found, expected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(year: i32, month: u32, day: u32) -> Option<Date> {
        Date::new(year, month, day)
    }

    #[test]
    fn attributes_say_only_what_the_contract_says() {
        let one = Deprecation::new(day(2026, 6, 30), day(2027, 7, 1), Some("quality.hold/2".to_owned()));
        assert_eq!(
            one.attributes,
            ",\"deprecated\":true,\"deprecationfrom\":\"2026-06-30T00:00:00Z\",\
             \"deprecationsunset\":\"2027-07-01T00:00:00Z\",\
             \"deprecationmigration\":\"mfgroute:contract:quality.hold:2\""
        );
        assert_eq!(Deprecation::new(None, None, None).attributes, ",\"deprecated\":true");
    }

    #[test]
    fn the_sunset_comes_at_midnight_of_its_day() {
        let one = Deprecation::new(None, day(2027, 7, 1), None);
        for (at, over) in [
            ("2027-06-30", false),
            ("2027-06-30T23:59:59.999999999Z", false),
            ("2027-07-01", true),
            ("2027-07-01T00:00:00Z", true),
            ("2028-01-01T00:00:00Z", true),
        ] {
            assert_eq!(one.is_over(at), over, "{at}");
        }
        assert!(!Deprecation::new(None, None, None).is_over("9999-12-31T00:00:00Z"));
    }
}
