//! Refuses schemas that would take unbounded work: schema bombs.

use serde_json::Value;

use super::program::{Apply, Program, SubId};
use super::{SCHEMA_BYTES_MAX, SCHEMA_DEPTH_MAX, SCHEMA_NODES_MAX, SchemaProblem};

/// Most subschemas that one value may meet without a step down.
const FAN_OUT_MAX: u64 = 100_000;
/// Longest chain of subschemas on one value.
const CHAIN_MAX: u32 = 64;

/// Adds the size of a document and refuses what is too large or too deep.
pub(crate) fn measure(
    document: &Value,
    bytes: &mut usize,
    nodes: &mut usize,
) -> Result<(), Vec<SchemaProblem>> {
    let refuse = |message: String| Err(vec![SchemaProblem { pointer: String::new(), message }]);
    let mut stack = vec![(document, 0_usize)];
    while let Some((value, depth)) = stack.pop() {
        *nodes += 1;
        *bytes += match value {
            Value::String(text) => text.len() + 2,
            Value::Number(number) => number.as_str().len(),
            Value::Array(items) => {
                stack.extend(items.iter().map(|item| (item, depth + 1)));
                2
            }
            Value::Object(object) => {
                stack.extend(object.values().map(|item| (item, depth + 1)));
                2 + object.keys().map(|key| key.len() + 4).sum::<usize>()
            }
            Value::Null | Value::Bool(_) => 4,
        };
        if depth > SCHEMA_DEPTH_MAX {
            return refuse(format!("the schema is nested more than {SCHEMA_DEPTH_MAX} deep"));
        }
        if *nodes > SCHEMA_NODES_MAX {
            return refuse(format!("the schema has more than {SCHEMA_NODES_MAX} values"));
        }
        if *bytes > SCHEMA_BYTES_MAX {
            return refuse(format!("the schema has more than {SCHEMA_BYTES_MAX} bytes"));
        }
    }
    Ok(())
}

/// Refuses subschemas that refer to themselves without a step down, and those that unfold too far.
pub(crate) fn bounded(program: &Program, problems: &mut Vec<SchemaProblem>) {
    let mut states = vec![State::New; program.subs.len()];
    for id in 0..program.subs.len() as SubId {
        if let Err(message) = visit(program, id, &mut states) {
            problems.push(SchemaProblem { pointer: String::new(), message });
            return;
        }
    }
}

#[derive(Clone, Copy)]
enum State {
    New,
    Open,
    Done { fan_out: u64, chain: u32 },
}

/// Depth-first with an own stack, since a chain of `$ref` may be as long as the schema.
fn visit(program: &Program, start: SubId, states: &mut [State]) -> Result<(), String> {
    let mut stack = vec![(start, false)];
    while let Some((id, leaving)) = stack.pop() {
        let Some(state) = states.get(id as usize).copied() else { continue };
        let below = same_value(program, id);
        if leaving {
            let mut fan_out = 1_u64;
            let mut chain = 0;
            for sub in below {
                if let Some(State::Done { fan_out: inner, chain: length }) = states.get(sub as usize) {
                    fan_out = fan_out.saturating_add(*inner);
                    chain = chain.max(*length);
                }
            }
            if fan_out > FAN_OUT_MAX {
                return Err(format!("the schema applies more than {FAN_OUT_MAX} subschemas to one value"));
            }
            if chain >= CHAIN_MAX {
                return Err(format!(
                    "the schema nests more than {CHAIN_MAX} subschemas or references on one value"
                ));
            }
            if let Some(slot) = states.get_mut(id as usize) {
                *slot = State::Done { fan_out, chain: chain + 1 };
            }
            continue;
        }
        match state {
            State::Done { .. } => {}
            State::Open => {
                return Err("the schema refers to itself without going into a member or item".to_owned());
            }
            State::New => {
                if let Some(slot) = states.get_mut(id as usize) {
                    *slot = State::Open;
                }
                stack.push((id, true));
                stack.extend(below.into_iter().filter(|sub| !is_done(states, *sub)).map(|sub| (sub, false)));
            }
        }
    }
    Ok(())
}

fn is_done(states: &[State], id: SubId) -> bool {
    matches!(states.get(id as usize), Some(State::Done { .. }))
}

/// The subschemas that meet the same value as `id`.
fn same_value(program: &Program, id: SubId) -> Vec<SubId> {
    let sub = program.sub(id);
    let mut below = Vec::new();
    for apply in &sub.apply {
        match apply {
            Apply::Ref(sub) | Apply::Not(sub) => below.push(*sub),
            Apply::All(subs) | Apply::Any(subs) | Apply::One(subs) => below.extend(subs),
            Apply::If { condition, then, otherwise } => {
                below.push(*condition);
                below.extend(then.iter().chain(otherwise));
            }
        }
    }
    if let Some(object) = &sub.object {
        below.extend(object.dependent_subs.iter().map(|(_, sub)| *sub));
    }
    below
}
