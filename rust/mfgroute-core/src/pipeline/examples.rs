//! Running the examples of mapping files: a plan whose examples fail is not installed.

use serde_json::Value as Json;

use super::explain::outcomes;
use crate::map::Decode;
use crate::plan::mapping::Example;
use crate::plan::project::Plan;
use crate::problem::Problems;

/// Runs all examples and notes those that fail.
pub fn check(plan: &Plan, problems: &mut Problems) {
    for example in &plan.examples {
        if let Err(message) = run(plan, example) {
            let name = example.spec.get("name").and_then(Json::as_str).unwrap_or("without a name");
            problems.error(&example.file, example.place, format!("the example {name:?} fails: {message}"));
        }
    }
}

fn run(plan: &Plan, example: &Example) -> Result<(), String> {
    let spec = &example.spec;
    let Some(given) = spec.get("given") else { return Err("it has no `given`".to_owned()) };
    let bytes = match (given, plan.mappings.get(example.mapping).map(|mapping| &mapping.from.decode)) {
        (Json::String(text), Some(Decode::Csv(_) | Decode::Xml { .. })) => text.clone().into_bytes(),
        _ => given.to_string().into_bytes(),
    };
    let meta: Vec<(String, String)> = spec
        .get("meta")
        .and_then(Json::as_object)
        .map(|members| {
            let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            members.iter().map(|(name, value)| (name.clone(), text(value))).collect()
        })
        .unwrap_or_default();
    let pairs: Vec<(&str, &str)> = meta.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let source = plan.sources.iter().position(|source| source.takers().any(|index| index == example.mapping));
    let made = outcomes(plan, source.unwrap_or(0), Some(example.mapping), &bytes, &pairs);
    compare(spec, &made)
}

/// Compares what was made with `expect` (a list of events) or `reject`.
///
/// # Errors
///
/// A sentence that names the first difference.
pub fn compare(spec: &Json, made: &[Json]) -> Result<(), String> {
    let shown = |outcome: &Json| {
        let mut short = outcome.clone();
        if let Json::Object(members) = &mut short {
            for name in ["id", "key", "mapping", "sinks"] {
                members.remove(name);
            }
        }
        short.to_string()
    };
    if let Some(expected) = spec.get("reject") {
        let Some(reject) = made.iter().find_map(|outcome| outcome.get("reject")) else {
            let found: Vec<String> = made.iter().map(shown).collect();
            return Err(format!("nothing is rejected, found {}", found.join(" ")));
        };
        for (name, value) in expected.as_object().into_iter().flatten() {
            if reject.get(name) != Some(value) {
                return Err(format!(
                    "the reject has {name} {}, expected {value}",
                    reject.get(name).unwrap_or(&Json::Null)
                ));
            }
        }
        return Ok(());
    }
    let Some(expected) = spec.get("expect").and_then(Json::as_array) else {
        return Err("it has neither `expect` nor `reject`".to_owned());
    };
    let events: Vec<&Json> = made.iter().filter(|outcome| outcome.get("filtered").is_none()).collect();
    if let Some(rejected) = events.iter().find(|outcome| outcome.get("reject").is_some()) {
        return Err(format!("a reject was not expected: {}", shown(rejected)));
    }
    if events.len() != expected.len() {
        let found: Vec<String> = events.iter().map(|event| shown(event)).collect();
        return Err(format!("{} events, expected {}: {}", events.len(), expected.len(), found.join(" ")));
    }
    for (event, expected) in events.iter().zip(expected) {
        for (name, value) in expected.as_object().into_iter().flatten() {
            let found = event.get(name).unwrap_or(&Json::Null);
            if !equal(found, value) {
                return Err(format!("{name} is {found}, expected {value}"));
            }
        }
    }
    Ok(())
}

/// Equality of JSON in which numbers are equal when their values are.
fn equal(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => {
            let (a, b) = (a.to_string(), b.to_string());
            a == b
                || crate::value::Decimal::parse(&a).is_ok_and(|a| crate::value::Decimal::parse(&b) == Ok(a))
        }
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(name, value)| b.get(name).is_some_and(|other| equal(value, other)))
        }
        _ => a == b,
    }
}
