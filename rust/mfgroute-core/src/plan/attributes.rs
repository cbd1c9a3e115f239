//! The names that `meta` may have. A misspelt one would always be absent.

use crate::plan::read::{File, nearest};
use crate::problem::Place;

/// Attributes of every message, and those that the adapters of this package give.
const NAMES: &[&str] = &[
    "edge.id",
    "file.line",
    "file.mtime",
    "file.name",
    "file.path",
    "opcua.application_uri",
    "opcua.endpoint",
    "opcua.node",
    "received",
    "source.mapping",
    "source.name",
    "source.site",
    "topic",
    "xml.root",
];
/// Before the name of a header of a request, which is in lower case.
const HEADER: &str = "http.header.";

/// Notes a name that no message has. The attributes of an adapter that somebody adds start with its name and a
/// dot, so only a first word that is not one of ours, nor close to one, may be followed by anything.
pub fn check(name: &str, place: Place, file: &mut File<'_>) {
    if NAMES.contains(&name) {
        return;
    }
    let lower = name.to_lowercase();
    if let Some(header) = lower.strip_prefix(HEADER) {
        if header.is_empty() || name != lower {
            let hint = format!("write {HEADER}{}", if header.is_empty() { "<name>" } else { header });
            let message = format!("there is no attribute {name}, names of headers are in lower case");
            file.error_hint(place, message, hint);
        }
        return;
    }
    let family = name.split('.').next().unwrap_or(name);
    let families: Vec<&str> =
        NAMES.iter().chain(&[HEADER]).filter_map(|name| name.split('.').next()).collect();
    let dotted = name.split('.').count() > 1 && name.split('.').all(|part| !part.is_empty());
    if dotted && nearest(family, &families).is_none() && nearest(name, NAMES).is_none() {
        return;
    }
    let hint = match nearest(name, NAMES) {
        Some(close) => format!("did you mean {close}?"),
        None => format!("known are {}, {HEADER}<name>", NAMES.join(", ")),
    };
    file.error_hint(place, format!("there is no attribute {name}"), hint);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problems;

    fn hint(name: &str) -> Option<String> {
        let mut problems = Problems::default();
        check(name, Place::default(), &mut File { name: "m.yaml", problems: &mut problems });
        problems.0.into_iter().next().and_then(|problem| problem.hint)
    }

    #[test]
    fn a_misspelt_attribute_is_refused_with_the_one_that_was_meant() {
        for (name, meant) in [
            ("souce.name", "source.name"),
            ("file.nme", "file.name"),
            ("recieved", "received"),
            ("opcua.nod", "opcua.node"),
            ("http.header.X-Plant", "http.header.x-plant"),
            ("http.header.", "http.header.<name>"),
            ("file.size", "file.line"),
            ("name", "known are"),
        ] {
            assert!(hint(name).is_some_and(|hint| hint.contains(meant)), "{name}: {:?}", hint(name));
        }
    }

    #[test]
    fn an_attribute_of_a_header_or_of_an_added_adapter_is_taken() {
        for name in ["http.header.x-plant", "mqtt.qos", "rabbitmq.routing_key"] {
            assert_eq!(hint(name), None, "{name}");
        }
    }
}
