//! What of an event is looked at besides writing it: by keys and ids, by rules and conditions of routes.

use super::op::{Out, OutValue};
use crate::contract::{Contract, Field as Name};
use crate::map::FieldOp;
use crate::route::Route;

/// The paths of `data` that the rules of its contract and the conditions of routes look at; `None` without any.
pub(super) fn looked_at(
    index: usize,
    contract: &Contract,
    routes: &[Route],
) -> Result<Option<Vec<String>>, String> {
    let rules = contract.rules.iter().map(|rule| (format!("rule {}", rule.code), rule.check()));
    let conditions = routes.iter().filter_map(|route| {
        let condition = route.conditions.get(index)?.as_ref()?;
        Some((format!("the condition of route {}", route.name), condition))
    });
    let mut paths = None;
    for (name, condition) in rules.chain(conditions) {
        if !condition.is_known_by_paths() || condition.paths().iter().any(|path| path.contains('*')) {
            return Err(format!("{name} looks at more than single fields"));
        }
        let all: &mut Vec<String> = paths.get_or_insert_default();
        all.extend_from_slice(condition.paths());
    }
    Ok(paths)
}

/// The members that have one of these paths, or are in a group that has; or all.
pub(super) fn seen(
    outs: &[Out],
    above: &str,
    (paths, all): (&[String], bool),
    block: &crate::map::Block,
) -> Result<Vec<Out>, String> {
    let mut found = Vec::new();
    for out in outs {
        let name = out.name();
        let path = if above.is_empty() { name } else { format!("{above}.{name}") };
        let inside = format!("{path}.");
        let named = all || paths.contains(&path);
        let what = match &out.what {
            OutValue::Group(inner) => OutValue::Group(seen(inner, &path, (paths, named), block)?),
            OutValue::Field(index, as_number) => {
                let is_list =
                    block.fields.get(*index).is_none_or(|field| matches!(field.op, FieldOp::List(_)));
                if is_list && paths.iter().any(|other| *other == path || other.starts_with(&inside)) {
                    return Err("a rule or the condition of a route looks at a list".to_owned());
                }
                OutValue::Field(*index, *as_number)
            }
        };
        let empty = matches!(&what, OutValue::Group(inner) if inner.is_empty());
        if named || (matches!(what, OutValue::Group(_)) && !empty) {
            found.push(Out { what, ..out.clone() });
        }
    }
    Ok(found)
}

/// The field of a block that has this name, if it is a scalar.
pub(super) fn field(name: &Name, block: &crate::map::Block, outs: &[Out]) -> Option<usize> {
    let dotted = name.dotted();
    let index = block.fields.iter().position(|field| field.name == dotted)?;
    let is_value = matches!(block.fields.get(index)?.op, FieldOp::Value(_));
    (is_value && holds(outs, index)).then_some(index)
}

fn holds(outs: &[Out], index: usize) -> bool {
    outs.iter().any(|out| match &out.what {
        OutValue::Field(at, _) => *at == index,
        OutValue::Group(inner) => holds(inner, index),
    })
}
