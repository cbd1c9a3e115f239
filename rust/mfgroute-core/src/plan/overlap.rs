//! Mappings of one source that want the same messages. Exactly one may take a message, so a mapping that
//! never has one for itself is an error, and two that may meet are a warning.

use serde_json::Value as Json;

use crate::map::{Cond, Decode, Mapping};
use crate::path::Path;
use crate::plan::read::File;
use crate::problem::Place;
use crate::value::Decimal;

/// Notes pairs of mappings of one source that want the same messages. Each comes with its place in the list
/// of the source. What an expression asks is not known here, and nothing is said about it.
pub fn check(source: &str, mappings: &[(&Mapping, Place)], file: &mut File<'_>) {
    for (index, &(second, place)) in mappings.iter().enumerate() {
        for &(first, other) in mappings.iter().take(index) {
            let (one, two) = (&first.name, &second.name);
            if one == two {
                file.error_hint(place, format!("the mapping {one} is there twice"), "name it once");
            } else if covers(first, second) {
                never_alone(source, second, first, place, file);
            } else if covers(second, first) {
                never_alone(source, first, second, other, file);
            } else if meet(first, second) {
                let message =
                    format!("a message of source {source} may be wanted by the mappings {one} and {two}");
                let hint = "it would be rejected as mapping_ambiguous; tell them apart by one path, such as \
                            when: {path: evt, equals: …}";
                file.problems.warn(file.name, place, message, hint);
            }
        }
    }
}

fn never_alone(source: &str, never: &Mapping, other: &Mapping, place: Place, file: &mut File<'_>) {
    let (name, taker) = (&never.name, &other.name);
    let message =
        format!("the mapping {name} can take no message of source {source}: {taker} wants each of them, too");
    let hint = match &other.when {
        None => format!("give {taker} a `when` that leaves out what {name} takes"),
        Some(_) => format!("narrow the `when` of {taker}, or remove one of the two"),
    };
    file.error_hint(place, message, hint);
}

/// Whether `all` wants every message that `some` wants.
fn covers(all: &Mapping, some: &Mapping) -> bool {
    let guarded = match (&all.from.decode, &some.from.decode) {
        (Decode::Xml { root, namespace }, Decode::Xml { root: some_root, namespace: some_namespace }) => {
            within(some_root, root) && within(some_namespace, namespace)
        }
        _ => true,
    };
    guarded
        && match (&all.when, &some.when) {
            (None, _) => true,
            // What one mapping reads as absent may be a value for the other.
            (Some(wide), Some(narrow)) => all.from.empty == some.from.empty && implies(narrow, wide),
            (Some(_), None) => false,
        }
}

/// Whether each name of a list is in another; the empty list means any name.
fn within(names: &[String], all: &[String]) -> bool {
    all.is_empty() || (!names.is_empty() && names.iter().all(|name| all.contains(name)))
}

/// Whether one condition holds wherever another does. False where that is not known.
fn implies(given: &Cond, wanted: &Cond) -> bool {
    match (given, wanted) {
        (_, Cond::All(parts)) => parts.iter().all(|part| implies(given, part)),
        (Cond::Any(parts), _) => !parts.is_empty() && parts.iter().all(|part| implies(part, wanted)),
        (Cond::All(parts), _) if parts.iter().any(|part| implies(part, wanted)) => true,
        (_, Cond::Any(parts)) => parts.iter().any(|part| implies(given, part)),
        (Cond::Not(given), Cond::Not(wanted)) => implies(wanted, given),
        _ => match (leaf(given), leaf(wanted)) {
            (Some((place, given)), Some((other, wanted))) => same(place, other) && given.implies(&wanted),
            _ => false,
        },
    }
}

/// Whether a message can be made that both want.
fn meet(first: &Mapping, second: &Mapping) -> bool {
    let open = |left: &[String], right: &[String]| {
        left.is_empty() || right.is_empty() || left.iter().any(|name| right.contains(name))
    };
    let guarded = match (&first.from.decode, &second.from.decode) {
        (Decode::Xml { root, namespace }, Decode::Xml { root: other, namespace: others }) => {
            open(root, other) && open(namespace, others)
        }
        _ => true,
    };
    let mut leaves = Vec::new();
    let whens = first.when.iter().chain(&second.when);
    guarded
        && whens.into_iter().all(|when| gather(when, &mut leaves))
        && leaves.iter().enumerate().all(|(index, (place, ask))| {
            leaves
                .iter()
                .take(index)
                .all(|(other, asked)| if same(place, other) { ask.meets(asked) } else { apart(place, other) })
        })
}

/// What a condition asks of single places, all of which must hold; false when it asks otherwise.
fn gather<'c>(cond: &'c Cond, out: &mut Vec<(&'c Path, Ask<'c>)>) -> bool {
    if let Cond::All(parts) = cond {
        return parts.iter().all(|part| gather(part, out));
    }
    leaf(cond).map(|found| out.push(found)).is_some()
}

/// What is asked of one place.
enum Ask<'c> {
    In(&'c [Json]),
    Prefix(&'c str),
    Present(bool),
}

impl Ask<'_> {
    fn implies(&self, wanted: &Ask<'_>) -> bool {
        match (self, wanted) {
            (Ask::In(values), Ask::In(all)) => values.iter().all(|value| all.contains(value)),
            (Ask::In(values), Ask::Prefix(start)) => values.iter().all(|value| starts(value, start)),
            (Ask::Prefix(long), Ask::Prefix(start)) => long.starts_with(start),
            (Ask::In(_) | Ask::Prefix(_), Ask::Present(present)) => *present,
            (Ask::Present(given), Ask::Present(wanted)) => given == wanted,
            (Ask::Prefix(_) | Ask::Present(_), Ask::In(_)) | (Ask::Present(_), Ask::Prefix(_)) => false,
        }
    }

    fn meets(&self, other: &Ask<'_>) -> bool {
        match (self, other) {
            (Ask::In(left), Ask::In(right)) => {
                left.iter().any(|value| right.iter().any(|other| equal(value, other)))
            }
            (Ask::In(values), Ask::Prefix(start)) | (Ask::Prefix(start), Ask::In(values)) => {
                values.iter().any(|value| starts(value, start))
            }
            (Ask::Prefix(left), Ask::Prefix(right)) => left.starts_with(right) || right.starts_with(left),
            (Ask::Present(left), Ask::Present(right)) => left == right,
            (Ask::Present(present), _) | (_, Ask::Present(present)) => *present,
        }
    }
}

fn leaf(cond: &Cond) -> Option<(&Path, Ask<'_>)> {
    match cond {
        Cond::In { path, values } => Some((path, Ask::In(values))),
        Cond::Prefix { path, prefix } => Some((path, Ask::Prefix(prefix))),
        Cond::Present { path, present } => Some((path, Ask::Present(*present))),
        Cond::All(_) | Cond::Any(_) | Cond::Not(_) | Cond::Cel(_) => None,
    }
}

/// Whether two paths of conditions on a message lead to the same place: `a` and `$.a` do.
fn same(left: &Path, right: &Path) -> bool {
    left == right
        || matches!((left.names(), right.names()), (Some((_, left)), Some((_, right))) if left == right)
}

/// Whether the values of two places do not depend on each other.
fn apart(left: &Path, right: &Path) -> bool {
    match (left.names(), right.names()) {
        (Some((_, left)), Some((_, right))) => !left.starts_with(&right) && !right.starts_with(&left),
        _ => false,
    }
}

fn starts(value: &Json, start: &str) -> bool {
    value.as_str().is_some_and(|text| text.starts_with(start))
}

/// Whether a value of a message can be equal to both.
fn equal(left: &Json, right: &Json) -> bool {
    if let (Json::Number(left), Json::Number(right)) = (left, right) {
        let left = Decimal::parse(&left.to_string());
        return left.is_ok() && left == Decimal::parse(&right.to_string());
    }
    left == right
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &str, values: &[&str]) -> Cond {
        let values = values.iter().map(|value| Json::from(*value)).collect();
        Cond::In { path: Path::parse(path).unwrap(), values }
    }

    fn present(path: &str, present: bool) -> Cond {
        Cond::Present { path: Path::parse(path).unwrap(), present }
    }

    #[test]
    fn a_condition_implies_those_that_ask_for_less() {
        let one = asked("evt", &["A"]);
        assert!(implies(&one, &asked("$.evt", &["A", "B"])));
        assert!(!implies(&asked("evt", &["A", "B"]), &one));
        assert!(implies(&one, &present("evt", true)));
        assert!(!implies(&one, &present("evt", false)));
        assert!(!implies(&one, &present("lot", true)));
        let both = Cond::All(vec![asked("evt", &["A"]), present("lot", true)]);
        assert!(implies(&both, &one));
        assert!(!implies(&one, &both));
        let either = Cond::Any(vec![asked("evt", &["A"]), asked("evt", &["C"])]);
        assert!(implies(&one, &either));
        assert!(!implies(&either, &one));
        assert!(implies(&either, &asked("evt", &["A", "C"])));
        let not = |cond| Cond::Not(Box::new(cond));
        assert!(implies(&not(asked("evt", &["A", "B"])), &not(asked("evt", &["B"]))));
        assert!(!implies(&not(asked("evt", &["B"])), &not(asked("evt", &["A", "B"]))));
    }

    #[test]
    fn numbers_are_equal_as_numbers() {
        assert!(equal(&serde_json::json!(1), &serde_json::json!(1.0)));
        assert!(!equal(&serde_json::json!(1), &serde_json::json!("1.5")));
    }

    #[test]
    fn places_within_each_other_are_not_apart() {
        let path = |text| Path::parse(text).unwrap();
        assert!(apart(&path("a.b"), &path("a.c")));
        assert!(!apart(&path("a"), &path("a.c")));
        assert!(!apart(&path("a"), &path("b[*]")));
    }
}
