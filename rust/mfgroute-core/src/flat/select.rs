//! Which of a source's mappings takes a message, when one value of it decides that.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::cell::bytes_of;
use super::scan::Scan;
use super::shape::Shape;
use super::want::{CellNo, Wants};
use super::{Memory, Offer};
use crate::decode::Limits;
use crate::map::{Cond, Decode, Mapping};
use crate::path::Path;

/// A value that decides between mappings: at most one of them asks for it.
#[derive(Debug)]
pub struct Selector {
    shape: Shape,
    cell: CellNo,
    /// Indexes of the mappings in the plan, by the texts that they ask for.
    mappings: HashMap<Box<[u8]>, usize>,
}

impl Selector {
    /// Finds the value; `None` when only the conditions themselves can tell.
    pub fn compile<'m>(mappings: impl Iterator<Item = (usize, &'m Mapping)>) -> Option<Self> {
        let mut place: Option<&Path> = None;
        let mut chosen = HashMap::new();
        for (index, mapping) in mappings {
            if !matches!(mapping.from.decode, Decode::Json) {
                return None;
            }
            let (path, values) = asked(mapping.when.as_ref()?)?;
            if place.is_some_and(|known| known != path) {
                return None;
            }
            place = Some(path);
            for value in values {
                let twice = chosen.insert(Box::from(value.as_str()?.as_bytes()), index);
                if twice.is_some_and(|other| other != index) {
                    return None;
                }
            }
        }
        let (_, names) = place?.names()?;
        let mut wants = Wants::default();
        let cell = wants.scalar(0, &names);
        let shape = Shape::new(None, &wants).ok()?;
        Some(Self { shape, cell, mappings: chosen })
    }

    /// The one mapping that may take the message; `None` when the value is not there or nobody asks for it.
    pub fn pick(&self, offer: &Offer<'_>, limits: &Limits, memory: &mut Memory) -> Option<usize> {
        Scan::run(offer, &self.shape, limits, &mut memory.store)?;
        let cell = memory.store.cells.get(self.cell as usize)?;
        if !cell.kind.is_text() {
            return None;
        }
        self.mappings.get(bytes_of(cell, offer.bytes, &memory.store.arena)).copied()
    }
}

/// The place and the values that a condition asks for, whatever else it does.
fn asked(cond: &Cond) -> Option<(&Path, &[Json])> {
    match cond {
        Cond::In { path, values } if path.names().is_some() && values.iter().all(Json::is_string) => {
            Some((path, values))
        }
        Cond::All(parts) => parts.iter().find_map(asked),
        _ => None,
    }
}
