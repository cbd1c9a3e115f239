//! Finds a key that an object has twice.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::tree::{NodeId, Span, Tree};

/// From this many keys on, duplicates are found by hash.
const LINEAR_KEYS_MAX: u32 = 16;

/// The names of large objects, to find duplicates in constant time each.
#[derive(Debug, Default)]
pub(super) struct Keys {
    seed: RandomState,
    /// (object, hash of the name) to the first value with it.
    by_hash: HashMap<(NodeId, u64), NodeId>,
}

impl Keys {
    /// Forgets the names of the message before.
    pub(super) fn clear(&mut self) {
        self.by_hash.clear();
    }

    /// Whether `object` has this key already. The value that gets it is the next node of the tree.
    pub(super) fn is_duplicate(&mut self, tree: &Tree, object: NodeId, key: Span) -> bool {
        let count = tree.node(object).children;
        let name = tree.span(key);
        let is_same = |child: NodeId| tree.node(child).key.len == key.len && tree.key(child) == name;
        if count < LINEAR_KEYS_MAX {
            return tree.children(object).any(is_same);
        }
        if count == LINEAR_KEYS_MAX {
            for child in tree.children(object) {
                self.by_hash.insert((object, self.seed.hash_one(tree.key(child))), child);
            }
        }
        let next = tree.len() as NodeId;
        match self.by_hash.insert((object, self.seed.hash_one(name)), next) {
            None => false,
            Some(earlier) if is_same(earlier) => true,
            // Two names with one 64-bit keyed hash: never seen, but it must not be an error.
            Some(_) => tree.children(object).any(is_same),
        }
    }
}
