//! Compiling routes.

use crate::plan::condition::{self, Of};
use crate::plan::project::{Plan, SourcePlan};
use crate::plan::read::{File, nearest};
use crate::plan::{lifecycle, versions};
use crate::route::{Index, Route, TypePattern};
use crate::yaml::Node;

/// Reads the routes of the main file into the plan.
pub fn read(main: &Node, plan: &mut Plan, file: &mut File<'_>) {
    let mut at = Vec::new();
    for node in main.get("routes").map(Node::items).unwrap_or_default() {
        if let Some(route) = route(node, plan, file) {
            plan.routes.push(route);
            at.push(node);
        }
    }
    versions::check_sinks(&at, plan, file);
    let routes_of = |contract| {
        let takes = |(index, route): (usize, &Route)| route.delivers(contract).map(|_| index);
        plan.routes.iter().enumerate().filter_map(takes).collect()
    };
    plan.routes_of = (0..plan.contracts.len()).map(routes_of).collect();
    let index = |contract| Index::new(contract, &plan.contracts, &plan.routes);
    plan.route_index = (0..plan.contracts.len()).map(index).collect();
    warn_unwanted(main, plan, file);
}

fn route(node: &Node, plan: &Plan, file: &mut File<'_>) -> Option<Route> {
    let name = file.required_text(node, "the route", "name")?.to_owned();
    if plan.routes.iter().any(|route| route.name == name) {
        file.error(node.place, format!("there are two routes {name}"));
    }
    let matching = node.get("match");
    let Some(patterns) = matching.and_then(|matching| matching.get("type")) else {
        file.error(node.place, format!("the route {name} has no match with a type"));
        return None;
    };
    let mut types = Vec::new();
    for (index, text) in file.texts(patterns, "type").into_iter().enumerate() {
        match TypePattern::parse(&text) {
            Ok(pattern) => {
                let known =
                    plan.contracts.iter().any(|contract| pattern.matches(&contract.name, contract.major));
                if !known {
                    unknown_type(&text, patterns, plan, file);
                }
                let at = patterns.items().get(index).unwrap_or(patterns);
                lifecycle::check_route(&pattern, &plan.contracts, at, file);
                types.push(pattern);
            }
            Err(message) => file.error(patterns.place, message),
        }
    }
    let sources = sources(matching, plan, file);
    let mut sinks = Vec::new();
    match node.get("to") {
        None => file.error(node.place, format!("the route {name} has no `to`")),
        Some(to) => {
            for text in file.texts(to, "to") {
                match plan.engine.sinks.iter().position(|sink| sink.name == text) {
                    Some(index) => sinks.push(index),
                    None => {
                        let known: Vec<&str> =
                            plan.engine.sinks.iter().map(|sink| sink.name.as_str()).collect();
                        let message = format!("there is no sink {text}");
                        match nearest(&text, &known) {
                            Some(close) => {
                                file.error_hint(to.place, message, format!("did you mean {close}?"));
                            }
                            None => {
                                file.error(to.place, format!("{message}, known are {}", known.join(", ")));
                            }
                        }
                    }
                }
            }
        }
    }
    let delivers = versions::deliveries(&name, &types, &sources, patterns, plan, file);
    let mut route = Route { name, types, sources, delivers, conditions: Vec::new(), sinks };
    if let Some(condition) = node.get("where") {
        conditions(condition, &mut route, plan, file);
    }
    Some(route)
}

fn unknown_type(text: &str, node: &Node, plan: &Plan, file: &mut File<'_>) {
    let labels: Vec<String> = plan.contracts.iter().map(crate::contract::Contract::label).collect();
    let known: Vec<&str> = labels.iter().map(String::as_str).collect();
    let message = format!("no contract matches the type {text}");
    match nearest(text, &known) {
        Some(close) => file.error_hint(node.place, message, format!("did you mean {close}?")),
        None => file.error(node.place, message),
    }
}

fn sources(matching: Option<&Node>, plan: &Plan, file: &mut File<'_>) -> Vec<String> {
    let Some(node) = matching.and_then(|matching| matching.get("source")) else { return Vec::new() };
    let names = file.texts(node, "source");
    // Canonical events name the source of another node, which this project cannot know.
    let canonical = plan.sources.iter().any(|source| source.mappings.is_empty());
    for name in &names {
        let known = plan.sources.iter().any(|source| source.name == *name || source.uri == *name);
        if !known && !canonical {
            let names: Vec<&str> = plan.sources.iter().map(|source| source.name.as_str()).collect();
            let message = format!("there is no source {name}");
            match nearest(name, &names) {
                Some(close) => file.error_hint(node.place, message, format!("did you mean {close}?")),
                None => file.error(node.place, message),
            }
        }
    }
    names
}

/// Compiles the condition for each contract that the route may take, in the form that it delivers: the schema
/// says which paths are decimals and which may be absent.
fn conditions(node: &Node, route: &mut Route, plan: &Plan, file: &mut File<'_>) {
    let Some(text) = file.as_text(node, "where") else { return };
    for index in 0..plan.contracts.len() {
        let Some(contract) = route.delivers(index).and_then(|form| plan.contracts.get(form)) else {
            route.conditions.push(None);
            continue;
        };
        let label = contract.label();
        let wrong = format!("the condition is wrong for {label}");
        let of = Of { label: &label, schema: &contract.schema, event: true };
        let Some(expr) = condition::compile(node, text, &wrong, &of, file) else { return };
        route.conditions.push(Some(expr));
    }
}

fn warn_unwanted(main: &Node, plan: &Plan, file: &mut File<'_>) {
    let place = main.get("routes").map_or(main.place, |routes| routes.place);
    for (index, contract) in plan.contracts.iter().enumerate() {
        let made = plan
            .sources
            .iter()
            .flat_map(SourcePlan::takers)
            .filter_map(|mapping| plan.mappings.get(mapping))
            .flat_map(|mapping| &mapping.sets)
            .flat_map(|set| &set.entries)
            .any(|entry| entry.contract == index);
        if made && plan.routes_of.get(index).is_some_and(Vec::is_empty) {
            let message = format!("no route wants {}", contract.label());
            file.problems.warn(file.name, place, message, "its events are counted as unrouted");
        }
    }
}
