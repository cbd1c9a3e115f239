//! The `lifecycle` of a contract: whether it is to be used, and until when.

use crate::plan::contract::place_of;
use crate::plan::read::File;
use crate::time::{Date, DateReader};
use crate::yaml::Node;

const STATUSES: &[&str] = &["active", "deprecated"];
/// What is said of a deprecated contract only.
const OF_DEPRECATED: &[&str] = &["since", "sunset", "successor"];

/// Notes what is wrong with the lifecycle of the contract `label`, such as `quality.hold/1`.
pub fn check(contract: &Node, label: &str, file: &mut File<'_>) {
    let Some(lifecycle) = contract.get("lifecycle") else { return };
    if !file.keys(lifecycle, "lifecycle", &["status", "since", "sunset", "successor"]) {
        return;
    }
    let status = file.text(lifecycle, "status").unwrap_or("active");
    let place = place_of(lifecycle, "/status");
    if !STATUSES.contains(&status) {
        let message = format!("status is {status}, expected active or deprecated");
        file.error_near(place, message, status, STATUSES);
        return;
    }
    if status == "active" {
        for (key, _) in lifecycle.entries().iter().filter(|(key, _)| OF_DEPRECATED.contains(&&*key.text)) {
            let message = format!("an active contract has {}, expected it of a deprecated one", key.text);
            file.error_hint(key.place, message, format!("write status: deprecated, or remove {}", key.text));
        }
        return;
    }
    let since = date(lifecycle, "since", file);
    let sunset = date(lifecycle, "sunset", file);
    if let (Some(since), Some(sunset)) = (since, sunset)
        && sunset < since
    {
        let message = format!("sunset is {sunset}, before since, which is {since}");
        file.error(place_of(lifecycle, "/sunset"), message);
    }
    successor(lifecycle, label, file);
}

fn date(lifecycle: &Node, key: &str, file: &mut File<'_>) -> Option<Date> {
    let text = file.text(lifecycle, key)?;
    let reader = DateReader::compile(Some("%Y-%m-%d"), None, None).ok()?;
    let date = reader.read(text).ok().filter(|date| date.to_string() == text);
    if date.is_none() {
        let message = format!("{key} is {text}, expected a date like 2027-06-30");
        file.error(place_of(lifecycle, &format!("/{key}")), message);
    }
    date
}

fn successor(lifecycle: &Node, label: &str, file: &mut File<'_>) {
    let Some(text) = file.text(lifecycle, "successor") else { return };
    let place = place_of(lifecycle, "/successor");
    let major = text.rsplit_once('/').filter(|(name, _)| !name.is_empty()).map(|(_, major)| major);
    if major.is_none_or(|major| major.parse::<u32>().is_err()) {
        file.error(place, format!("successor is {text}, expected a contract like {label}"));
    } else if text == label {
        file.error(place, format!("successor is {text}, which is this contract"));
    }
}
