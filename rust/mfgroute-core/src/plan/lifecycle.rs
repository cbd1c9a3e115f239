//! The `lifecycle` of a contract: whether it is to be used, and until when.

use crate::contract::Contract;
use crate::contract::lifecycle::Deprecation;
use crate::plan::contract::{is_type, place_of};
use crate::plan::read::File;
use crate::route::TypePattern;
use crate::time::{Date, DateReader};
use crate::yaml::Node;

const STATUSES: &[&str] = &["active", "deprecated"];
/// What is said of a deprecated contract only.
const OF_DEPRECATED: &[&str] = &["since", "sunset", "successor"];

/// Reads the end of the contract `label`, such as `quality.hold/1`, and notes what is wrong with its
/// lifecycle; `None` when it is active.
pub fn read(contract: &Node, label: &str, file: &mut File<'_>) -> Option<Deprecation> {
    let lifecycle = contract.get("lifecycle")?;
    if !file.keys(lifecycle, "lifecycle", &["status", "since", "sunset", "successor"]) {
        return None;
    }
    let status = file.text(lifecycle, "status").unwrap_or("active");
    let place = place_of(lifecycle, "/status");
    if !STATUSES.contains(&status) {
        let message = format!("status is {status}, expected active or deprecated");
        file.error_near(place, message, status, STATUSES);
        return None;
    }
    if status == "active" {
        for (key, _) in lifecycle.entries().iter().filter(|(key, _)| OF_DEPRECATED.contains(&&*key.text)) {
            let message = format!("an active contract has {}, expected it of a deprecated one", key.text);
            file.error_hint(key.place, message, format!("write status: deprecated, or remove {}", key.text));
        }
        return None;
    }
    let since = date(lifecycle, "since", file);
    let sunset = date(lifecycle, "sunset", file);
    if let (Some(since), Some(sunset)) = (since, sunset)
        && sunset < since
    {
        let message = format!("sunset is {sunset}, before since, which is {since}");
        file.error(place_of(lifecycle, "/sunset"), message);
    }
    Some(Deprecation::new(since, sunset, successor(lifecycle, label, file)))
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

fn successor(lifecycle: &Node, label: &str, file: &mut File<'_>) -> Option<String> {
    let text = file.text(lifecycle, "successor")?;
    let place = place_of(lifecycle, "/successor");
    let major = text.rsplit_once('/').filter(|(name, _)| is_type(name)).map(|(_, major)| major);
    if major.is_none_or(|major| major.parse::<u32>().is_err()) {
        file.error(place, format!("successor is {text}, expected a contract like {label}"));
    } else if text == label {
        file.error(place, format!("successor is {text}, which is this contract"));
    }
    Some(text.to_owned())
}

/// Notes that a mapping makes events of a contract that is to go: a warning, or an error when `today`
/// (`2027-06-30`, UTC) is its sunset or later. A node that starts says no day: one contract that ended keeps
/// no other event from its way, and what comes of that one is rejected.
pub fn check_emitted(contract: &Contract, to: &Node, today: Option<&str>, file: &mut File<'_>) {
    let Some(deprecation) = &contract.deprecation else { return };
    let hint = hint(contract, deprecation, "emit");
    if let (Some(sunset), Some(_)) = (&deprecation.sunset, today.filter(|today| deprecation.is_over(today))) {
        let message = format!("{} ended on {sunset}, its events are rejected", contract.label());
        file.error_hint(to.place, message, hint);
    } else {
        file.warn_once(file.name, to.place, told(contract, deprecation), hint);
    }
}

/// Warns about a pattern of a route that takes only contracts which are to go.
pub fn check_route(pattern: &TypePattern, contracts: &[Contract], node: &Node, file: &mut File<'_>) {
    let taken = contracts.iter().filter(|contract| pattern.asks_for(contract, contracts));
    let pairs = taken.map(|contract| contract.deprecation.as_ref().map(|known| (contract, known)));
    let Some(pairs) = pairs.collect::<Option<Vec<_>>>() else { return };
    if let Some((contract, deprecation)) = pairs.first() {
        let hint = hint(contract, deprecation, "take");
        file.warn_once(file.name, node.place, told(contract, deprecation), hint);
    }
}

fn told(contract: &Contract, deprecation: &Deprecation) -> String {
    let until = deprecation.sunset.as_ref();
    let until = until.map(|day| format!(", its events are rejected from {day} on")).unwrap_or_default();
    format!("{} is deprecated{until}", contract.label())
}

fn hint(contract: &Contract, deprecation: &Deprecation, verb: &str) -> String {
    match &deprecation.successor {
        Some(successor) => format!("{verb} its successor {successor}"),
        None => format!("ask {} what takes its place", contract.owner),
    }
}
