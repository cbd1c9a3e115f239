//! Conversions: mappings whose `from` names a contract, and the ways they make from one version to another.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::contract::Contract;
use crate::map::{From, Mapping, Version};
use crate::plan::builder::Builder;
use crate::plan::read::File;
use crate::problem::Problems;
use crate::yaml::Node;

/// Ways from one version of a contract to another, each the only one.
#[derive(Debug, Default)]
pub struct Conversions {
    /// From contract and to contract, by index: the mappings to run, in order.
    ways: BTreeMap<(usize, usize), Vec<usize>>,
    /// Whether something is wrong with a conversion, so that ways may be missing.
    pub incomplete: bool,
}

/// What a conversion may say of its `from`.
const FROM_KEYS: &[&str] = &["contract", "empty", "number"];
/// What an ordinary mapping may say and a conversion may not, with the reason.
const NOT_IN_MAPPING: &[(&str, &str)] =
    &[("when", "it converts every event of its contract"), ("time", "the event keeps its time")];
const NOT_IN_ENTRY: &[(&str, &str)] = &[
    ("each", "one event becomes one event"),
    ("split", "one event becomes one event"),
    ("when", "it converts every event of its contract"),
    ("time", "the event keeps its time"),
    ("others", "it converts every event of its contract"),
    ("none", "one event becomes one event"),
    ("items", "one event becomes one event"),
];

/// Whether a mapping file is a conversion.
#[must_use]
pub fn is_one(mapping: Option<&Node>) -> bool {
    mapping.and_then(|mapping| mapping.get("from")).is_some_and(|from| from.get("contract").is_some())
}

/// The contract that the mapping with this index reads, if it is a conversion.
#[must_use]
pub fn of(mappings: &[Mapping], index: usize) -> Option<&Version> {
    mappings.get(index)?.from.version.as_ref()
}

/// Reads the `from` of a conversion, of which `read` holds what every mapping may say: its input schema is
/// that of the contract.
pub fn from(
    node: &Node,
    contract: &Node,
    read: From,
    builder: &Builder,
    file: &mut File<'_>,
) -> Option<From> {
    for (key, _) in node.entries().iter().filter(|(key, _)| !FROM_KEYS.contains(&key.text.as_str())) {
        let message = format!("{} has no meaning in the `from` of a conversion", key.text);
        file.error_hint(key.place, message, "a conversion reads `data` of the contract it names");
    }
    let index = builder.contract(contract, "contract", file)?;
    let schema = builder.contracts.get(index).map(|contract| Arc::clone(&contract.schema));
    let version = Version { contract: index, file: file.name.to_owned(), place: contract.place };
    Some(From { schema, version: Some(version), ..read })
}

/// Notes what a conversion cannot be: it makes exactly one event of another version of its contract.
pub fn check(node: &Node, version: &Version, builder: &Builder, file: &mut File<'_>) {
    let entries = node.get("emit").map(Node::items).unwrap_or_default();
    let mut refuse = |node: &Node, keys: &[(&str, &str)]| {
        for (key, _) in node.entries() {
            if let Some((name, why)) = keys.iter().find(|(name, _)| *name == key.text) {
                file.error_hint(
                    key.place,
                    format!("a conversion has {name}, expected none: {why}"),
                    "remove it",
                );
            }
        }
    };
    refuse(node, NOT_IN_MAPPING);
    for entry in entries {
        refuse(entry, NOT_IN_ENTRY);
    }
    if let Some(second) = entries.get(1) {
        file.error(second.place, "a conversion has several entries in emit, expected one");
    }
    let Some(from) = builder.contracts.get(version.contract) else { return };
    let Some((text, to)) =
        entries.first().and_then(|entry| entry.get("to")).and_then(|to| Some((to.text()?, to)))
    else {
        return;
    };
    let hint = format!("emit another version of {}", from.name);
    if text == from.label() {
        let message = format!("the conversion is circular: it makes {text} of {text}");
        file.error_hint(version.place, message, hint);
    } else if text.split('/').next() != Some(&from.name) {
        let message = format!("a conversion of {} makes {text}, expected the same type", from.label());
        file.error_hint(to.place, message, hint);
    }
}

/// One conversion: from contract, to contract, mapping.
type Edge = (usize, usize, usize);

impl Conversions {
    /// The mappings that make the version `to` of the version `from`, in order; `None` when there is no way.
    #[must_use]
    pub fn way(&self, from: usize, to: usize) -> Option<&[usize]> {
        self.ways.get(&(from, to)).map(Vec::as_slice)
    }

    /// Whether some version leads to another.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ways.is_empty()
    }

    /// Finds the ways, and notes circles and versions that are reached in two ways. Two conversions that
    /// undo each other are no circle: each is the one way in its direction.
    pub fn find(mappings: &[Mapping], contracts: &[Contract], problems: &mut Problems) -> Self {
        let edge = |(index, mapping): (usize, &Mapping)| {
            let version = mapping.from.version.as_ref()?;
            let entry = mapping.sets.first()?.entries.first()?;
            Some((version.contract, entry.contract, index))
        };
        let edges: Vec<Edge> = mappings.iter().enumerate().filter_map(edge).collect();
        let mut found = Self::default();
        let mut told: Vec<&str> = Vec::new();
        for (index, contract) in contracts.iter().enumerate() {
            let name = contract.name.as_str();
            let mut ways: BTreeMap<usize, Vec<Vec<Edge>>> = BTreeMap::new();
            follow(&edges, index, &mut Vec::new(), &mut ways);
            for (to, several) in ways {
                let way = |edges: &[Edge]| edges.iter().map(|(.., mapping)| *mapping).collect::<Vec<_>>();
                match several.as_slice() {
                    [only] if to != index => {
                        found.ways.insert((index, to), way(only));
                    }
                    [] => {}
                    several => {
                        found.incomplete = true;
                        let circle = several.get(..1).filter(|_| to == index);
                        if !told.contains(&name) {
                            told.push(name);
                            refuse(circle.unwrap_or(several), mappings, contracts, problems);
                        }
                    }
                }
            }
        }
        found
    }
}

/// Adds the ways that go on from where `way` ends, or from `start`, without meeting a version twice: at most
/// two for each version, and those that come back to the start over a third version.
fn follow(edges: &[Edge], start: usize, way: &mut Vec<Edge>, ways: &mut BTreeMap<usize, Vec<Vec<Edge>>>) {
    let at = way.last().map_or(start, |(_, to, _)| *to);
    for edge in edges.iter().filter(|(from, ..)| *from == at) {
        let (_, to, _) = *edge;
        let closes = to == start && way.len() >= 2;
        if (to == start && !closes) || way.iter().any(|(_, met, _)| *met == to) {
            continue;
        }
        let known = ways.entry(to).or_default();
        if known.len() == 2 {
            continue;
        }
        way.push(*edge);
        known.push(way.clone());
        if !closes {
            follow(edges, start, way, ways);
        }
        way.pop();
    }
}

/// Notes a circle, or two ways to one version, at the conversion that stands last.
fn refuse(ways: &[Vec<Edge>], mappings: &[Mapping], contracts: &[Contract], problems: &mut Problems) {
    let label = |index: usize| contracts.get(index).map(Contract::label).unwrap_or_default();
    let mut names: Vec<&str> = Vec::new();
    let mut members: Vec<usize> = ways.iter().flatten().map(|(.., mapping)| *mapping).collect();
    members.sort_unstable();
    members.dedup();
    names
        .extend(members.iter().filter_map(|index| mappings.get(*index)).map(|mapping| mapping.name.as_str()));
    let Some(version) = members.last().and_then(|last| of(mappings, *last)) else { return };
    let shown = |way: &Vec<Edge>| {
        let start = way.first().map(|(from, ..)| label(*from)).unwrap_or_default();
        way.iter().fold(start, |text, (_, to, _)| format!("{text} → {}", label(*to)))
    };
    let message = match ways {
        [circle] => format!("the conversions are circular: {}", shown(circle)),
        [one, two, ..] if one.len() == 1 && two.len() == 1 => {
            format!("two conversions do the same: {}", shown(one))
        }
        [one, two, ..] => {
            format!("the conversions go two ways to one version: {} and {}", shown(one), shown(two))
        }
        [] => return,
    };
    problems.error_hint(&version.file, version.place, message, format!("remove one of {}", names.join(", ")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::{Block, Decode, Entry, Set};
    use crate::problem::{Place, Severity};

    const VERSIONS: usize = 4;

    fn contracts() -> Vec<Contract> {
        let mut problems = Problems::default();
        let made = (1..=VERSIONS).filter_map(|major| {
            let name = format!("contracts/a.b.v{major}.yaml");
            let text = format!(
                "type: a.b\nversion: {major}.0.0\nkey: {{id: [data.id]}}\nidempotency: [data.id]\n\
                 schema: {{type: object, required: [id], properties: {{id: {{type: string}}}}}}\n"
            );
            let node = crate::yaml::parse(text.as_bytes(), &name, None, &mut problems)?;
            let mut file = File { name: &name, problems: &mut problems };
            crate::plan::contract::compile(&node, "com.example", &mut file)
        });
        made.collect()
    }

    fn conversion(from: usize, to: usize) -> Mapping {
        let name = format!("{from}-to-{to}");
        let version = Version { contract: from, file: name.clone(), place: Place { line: 1, column: 1 } };
        let from = From {
            decode: Decode::Json,
            schema: None,
            empty: Vec::new(),
            number: None,
            version: Some(version),
        };
        let entry = Entry { contract: to, when: None, time: None, block: Block::default() };
        let set = Set {
            each: Vec::new(),
            entries: vec![entry],
            none_ok: false,
            others_ignore: false,
            independent: false,
        };
        Mapping { label: name.clone(), name, from, when: None, time: None, sets: vec![set] }
    }

    /// Every order of some of the versions, without repeating one.
    fn walks(length: usize) -> Vec<Vec<usize>> {
        if length == 0 {
            return vec![Vec::new()];
        }
        let longer = |walk: Vec<usize>| {
            let free = (0..VERSIONS).filter(|version| !walk.contains(version)).collect::<Vec<_>>();
            free.into_iter().map(move |version| [walk.as_slice(), &[version]].concat())
        };
        walks(length - 1).into_iter().flat_map(longer).collect()
    }

    #[test]
    fn ways_are_found_where_there_is_one_and_refused_where_there_are_two_or_a_circle() {
        let contracts = contracts();
        assert_eq!(contracts.len(), VERSIONS);
        let pairs: Vec<(usize, usize)> = walks(2).iter().map(|walk| (walk[0], walk[1])).collect();
        let walks: Vec<Vec<usize>> = (2..=VERSIONS).flat_map(walks).collect();
        let mut refused = 0;
        // Every set of conversions that four versions can have.
        for chosen in 0_u32..1 << pairs.len() {
            let edges: Vec<(usize, usize)> = pairs
                .iter()
                .enumerate()
                .filter(|(bit, _)| chosen >> bit & 1 == 1)
                .map(|(_, pair)| *pair)
                .collect();
            let mappings: Vec<Mapping> = edges.iter().map(|(from, to)| conversion(*from, *to)).collect();
            let mut problems = Problems::default();
            let found = Conversions::find(&mappings, &contracts, &mut problems);
            let possible: Vec<&Vec<usize>> = walks
                .iter()
                .filter(|walk| walk.windows(2).all(|step| edges.contains(&(step[0], step[1]))))
                .collect();
            let ends = |walk: &[usize]| (walk[0], walk[walk.len() - 1]);
            let twice =
                pairs.iter().any(|pair| possible.iter().filter(|walk| ends(walk) == *pair).count() > 1);
            let circle =
                possible.iter().any(|walk| walk.len() > 2 && edges.contains(&(ends(walk).1, ends(walk).0)));
            assert_eq!(problems.0.len(), usize::from(twice || circle), "{edges:?}");
            assert_eq!(found.incomplete, twice || circle, "{edges:?}");
            if let Some(problem) = problems.0.first() {
                refused += 1;
                assert_eq!((problem.severity, problem.place.line), (Severity::Error, 1));
                assert_eq!(
                    problem.message.contains("circular"),
                    circle && !problem.message.contains("two ways")
                );
                assert!(problem.hint.as_deref().is_some_and(|hint| hint.starts_with("remove one of ")));
                continue;
            }
            for pair in &pairs {
                let steps =
                    |mapping: &usize| mappings[*mapping].from.version.as_ref().map(|from| from.contract);
                let way =
                    found.way(pair.0, pair.1).map(|way| way.iter().filter_map(steps).collect::<Vec<_>>());
                let walk = possible.iter().find(|walk| ends(walk) == *pair);
                assert_eq!(way.as_deref(), walk.map(|walk| &walk[..walk.len() - 1]), "{edges:?} {pair:?}");
            }
        }
        assert!(refused > 3000, "{refused}");
    }

    #[test]
    fn two_conversions_of_the_same_versions_are_refused() {
        let mut problems = Problems::default();
        Conversions::find(&[conversion(0, 1), conversion(0, 1)], &contracts(), &mut problems);
        let [problem] = problems.0.as_slice() else { panic!("{problems:?}") };
        assert_eq!(problem.message, "two conversions do the same: a.b/1 → a.b/2");
    }
}
