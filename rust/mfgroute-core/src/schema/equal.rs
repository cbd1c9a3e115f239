//! Equality of JSON values as JSON Schema defines it: numbers by value, objects without order.

use std::cmp::Ordering;
use std::hash::{BuildHasher, Hasher, RandomState};

use serde_json::Value;

use super::number;
use crate::tree::{Kind, NodeId, Tree};

/// Whether a value of a tree equals a value of a schema.
pub(crate) fn equals_value(tree: &Tree, node: NodeId, value: &Value) -> bool {
    match (tree.kind(node), value) {
        (Kind::Null, Value::Null) => true,
        (Kind::Bool(left), Value::Bool(right)) => left == *right,
        (Kind::Number, Value::Number(right)) => {
            number::compare(tree.text(node), right.as_str()) == Ordering::Equal
        }
        (Kind::String, Value::String(right)) => tree.text(node) == right,
        (Kind::Array, Value::Array(right)) => {
            tree.node(node).children as usize == right.len()
                && tree.children(node).zip(right).all(|(child, item)| equals_value(tree, child, item))
        }
        (Kind::Object, Value::Object(right)) => {
            tree.node(node).children as usize == right.len()
                && tree.children(node).all(|child| {
                    right.get(tree.key(child)).is_some_and(|item| equals_value(tree, child, item))
                })
        }
        _ => false,
    }
}

/// Whether two values of a tree are equal. `steps` bounds the work; without any left the answer is `None`.
fn equals(tree: &Tree, left: NodeId, right: NodeId, steps: &mut u64) -> Option<bool> {
    *steps = steps.checked_sub(1)?;
    Some(match (tree.kind(left), tree.kind(right)) {
        (Kind::Null, Kind::Null) => true,
        (Kind::Bool(left), Kind::Bool(right)) => left == right,
        (Kind::Number, Kind::Number) => number::compare(tree.text(left), tree.text(right)) == Ordering::Equal,
        (Kind::String, Kind::String) => tree.text(left) == tree.text(right),
        (Kind::Array, Kind::Array) => {
            if tree.node(left).children != tree.node(right).children {
                return Some(false);
            }
            for (left, right) in tree.children(left).zip(tree.children(right)) {
                if !equals(tree, left, right, steps)? {
                    return Some(false);
                }
            }
            true
        }
        (Kind::Object, Kind::Object) => {
            if tree.node(left).children != tree.node(right).children {
                return Some(false);
            }
            for child in tree.children(left) {
                *steps = steps.checked_sub(u64::from(tree.node(right).children))?;
                let Some(twin) = tree.child(right, tree.key(child)) else { return Some(false) };
                if !equals(tree, child, twin, steps)? {
                    return Some(false);
                }
            }
            true
        }
        _ => false,
    })
}

/// The second of two equal items of an array, if there are any; `Err` when the work exceeds `steps`.
pub(crate) fn duplicate(tree: &Tree, array: NodeId, steps: &mut u64) -> Result<Option<NodeId>, ()> {
    let count = tree.node(array).children as usize;
    if count < 2 {
        return Ok(None);
    }
    let keys = RandomState::new();
    let mut few = [(0_u64, 0_u32); 32];
    let mut many = Vec::new();
    let slots: &mut [(u64, NodeId)] = if let Some(slots) = few.get_mut(..count) {
        slots
    } else {
        many.resize(count, (0, 0));
        &mut many
    };
    for (slot, child) in slots.iter_mut().zip(tree.children(array)) {
        *slot = (fingerprint(tree, child, &keys, steps).ok_or(())?, child);
    }
    slots.sort_unstable();
    for (index, &(hash, left)) in slots.iter().enumerate() {
        for &(_, right) in slots.iter().skip(index + 1).take_while(|(other, _)| *other == hash) {
            if equals(tree, left, right, steps).ok_or(())? {
                return Ok(Some(right));
            }
        }
    }
    Ok(None)
}

fn fingerprint(tree: &Tree, node: NodeId, keys: &RandomState, steps: &mut u64) -> Option<u64> {
    *steps = steps.checked_sub(1)?;
    let mut state = keys.build_hasher();
    match tree.kind(node) {
        Kind::Null => state.write_u8(0),
        Kind::Bool(value) => state.write_u8(1 + u8::from(value)),
        Kind::Number => {
            state.write_u8(3);
            number::hash_into(tree.text(node), &mut state);
        }
        Kind::String => {
            state.write_u8(4);
            state.write(tree.text(node).as_bytes());
        }
        Kind::Array => {
            state.write_u8(5);
            for child in tree.children(node) {
                state.write_u64(fingerprint(tree, child, keys, steps)?);
            }
        }
        Kind::Object => {
            let mut sum = 0_u64;
            for child in tree.children(node) {
                let mut member = keys.build_hasher();
                member.write(tree.key(child).as_bytes());
                member.write_u64(fingerprint(tree, child, keys, steps)?);
                sum = sum.wrapping_add(member.finish());
            }
            state.write_u8(6);
            state.write_u64(sum);
        }
    }
    Some(state.finish())
}
