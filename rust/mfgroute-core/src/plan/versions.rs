//! The version in which a route delivers events of a contract, and what keeps it from doing so.

use crate::contract::Contract;
use crate::plan::project::{Plan, SourcePlan};
use crate::plan::read::File;
use crate::route::{Route, TypePattern};
use crate::yaml::Node;

/// What becomes of events of a contract at a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// They are delivered in the form of this contract.
    As(usize),
    /// The route does not ask for them.
    No,
    /// The route asks, by the pattern with this index, for a version that no conversion makes of them.
    Unreachable { wanted: usize, pattern: usize },
    /// The route asks for two other versions, and both can be made of them.
    Several { one: usize, two: usize, pattern: usize },
}

/// For each contract the one whose form its events are delivered in. `types` is where the patterns stand.
pub fn deliveries(
    name: &str,
    patterns: &[TypePattern],
    sources: &[String],
    types: &Node,
    plan: &Plan,
    file: &mut File<'_>,
) -> Vec<Option<usize>> {
    let route = Asking { name, patterns, sources, types };
    (0..plan.contracts.len()).map(|contract| route.delivery(contract, plan, file)).collect()
}

/// A route that is being compiled.
struct Asking<'r> {
    name: &'r str,
    patterns: &'r [TypePattern],
    sources: &'r [String],
    types: &'r Node,
}

impl Asking<'_> {
    fn delivery(&self, contract: usize, plan: &Plan, file: &mut File<'_>) -> Option<usize> {
        match taken(self.patterns, contract, plan) {
            Taken::As(to) => return Some(to),
            Taken::No => {}
            Taken::Unreachable { wanted, pattern } => self.refuse(contract, wanted, pattern, plan, file),
            Taken::Several { one, two, pattern } => {
                let [made, one, two] = [contract, one, two].map(|index| label(index, plan));
                let message = format!("the route {} asks for {made} as {one} and as {two}", self.name);
                file.error_hint(
                    self.place(pattern),
                    message,
                    format!("take {made} as well, or one of the two alone"),
                );
            }
        }
        None
    }

    /// Events that certainly come and cannot be delivered are an error; those that may come, a warning.
    fn refuse(&self, contract: usize, wanted: usize, pattern: usize, plan: &Plan, file: &mut File<'_>) {
        if plan.conversions.incomplete {
            return;
        }
        let mut makers =
            plan.sources.iter().filter(|source| makes(source, contract, plan) && self.takes(source));
        let [made, wanted] = [contract, wanted].map(|index| label(index, plan));
        let hint = format!(
            "write a mapping with from: {{contract: {made}}} and to: {wanted}, or take {made} as well"
        );
        if let Some(source) = makers.next() {
            let message = format!(
                "the route {} takes {wanted}, but {} makes {made} and no conversion leads from there",
                self.name, source.name
            );
            file.error_hint(self.place(pattern), message, hint);
        } else if let Some(source) = plan.sources.iter().find(|source| source.mappings.is_empty()) {
            let message = format!(
                "the route {} takes {wanted}; {made}, which {} may bring, does not reach it without a conversion",
                self.name, source.name
            );
            file.problems.warn(file.name, self.place(pattern), message, hint);
        }
    }

    fn takes(&self, source: &SourcePlan) -> bool {
        takes(self.sources, source)
    }

    fn place(&self, pattern: usize) -> crate::problem::Place {
        self.types.items().get(pattern).unwrap_or(self.types).place
    }
}

fn taken(patterns: &[TypePattern], contract: usize, plan: &Plan) -> Taken {
    let Some(made) = plan.contracts.get(contract) else { return Taken::No };
    let mut wanted: Vec<(usize, usize)> = Vec::new();
    let mut as_made = false;
    for (pattern, asked) in patterns.iter().enumerate() {
        if asked.is_wild() && asked.major().is_none() {
            as_made |= asked.asks_for(made, &plan.contracts);
            continue;
        }
        for (index, other) in plan.contracts.iter().enumerate() {
            if other.name == made.name && asked.asks_for(other, &plan.contracts) {
                wanted.push((index, pattern));
            }
        }
    }
    // What is named counts more than what a wildcard finds besides.
    let Some(&(first, pattern)) = wanted.first() else {
        return if as_made { Taken::As(contract) } else { Taken::No };
    };
    if wanted.iter().any(|(index, _)| *index == contract) {
        return Taken::As(contract);
    }
    wanted.retain(|(index, _)| plan.conversions.way(contract, *index).is_some());
    match wanted.first() {
        None => Taken::Unreachable { wanted: first, pattern },
        Some(&(one, _)) => match wanted.iter().find(|(index, _)| *index != one) {
            Some(&(two, pattern)) => Taken::Several { one, two, pattern },
            None => Taken::As(one),
        },
    }
}

/// Notes two routes that send one event to one sink in two versions: a sink gets an event once. `at` is where
/// each route stands.
pub fn check_sinks(at: &[&Node], plan: &Plan, file: &mut File<'_>) {
    for (index, route) in plan.routes.iter().enumerate() {
        for earlier in plan.routes.iter().take(index) {
            let Some(&sink) = route.sinks.iter().find(|sink| earlier.sinks.contains(sink)) else { continue };
            let Some((contract, one, two)) = different(earlier, route, plan) else { continue };
            let [made, one, two] = [contract, one, two].map(|index| label(index, plan));
            let sink = plan.engine.sinks.get(sink).map(|sink| sink.name.as_str()).unwrap_or_default();
            let message = format!(
                "the routes {} and {} send {made} to the sink {sink} as {one} and as {two}, expected one version",
                earlier.name, route.name
            );
            let place = at.get(index).map(|node| node.place).unwrap_or_default();
            file.error_hint(place, message, "take the same version in both routes, or send to another sink");
        }
    }
}

/// A contract whose events may meet both routes, and the two forms.
fn different(one: &Route, two: &Route, plan: &Plan) -> Option<(usize, usize, usize)> {
    (0..plan.contracts.len()).find_map(|contract| {
        let (first, second) = (one.delivers(contract)?, two.delivers(contract)?);
        let meets = |source: &SourcePlan| {
            let both = takes(&one.sources, source) && takes(&two.sources, source);
            // A canonical event names the source of another node.
            source.mappings.is_empty() || (both && makes(source, contract, plan))
        };
        (first != second && plan.sources.iter().any(meets)).then_some((contract, first, second))
    })
}

fn makes(source: &SourcePlan, contract: usize, plan: &Plan) -> bool {
    let mappings = source.takers().filter_map(|index| plan.mappings.get(index));
    mappings
        .flat_map(|mapping| &mapping.sets)
        .flat_map(|set| &set.entries)
        .any(|entry| entry.contract == contract)
}

fn takes(sources: &[String], source: &SourcePlan) -> bool {
    crate::route::names(sources, &source.name, &source.uri)
}

fn label(contract: usize, plan: &Plan) -> String {
    plan.contracts.get(contract).map(Contract::label).unwrap_or_default()
}
