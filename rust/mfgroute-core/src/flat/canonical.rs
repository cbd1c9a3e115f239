//! Canonical events without a tree: the envelope is read, and `data` is checked against its contract where it stands.
//!
//! As with mappings, an event is taken whole or handed back, and never rejected here. `data` must stand as the router
//! would write it: what is kept are its bytes.

use super::Memory;
use super::cell::{Cell, CellKind, bytes_of};
use super::scan::Scan;
use super::scan::envelope::Envelope;
use super::shape::Shape;
use super::want::{CellNo, Wants};
use crate::contract::lifecycle;
use crate::contract::{Contract, Field, write_key_part};
use crate::decode::Limits;
use crate::route::Route;
use crate::tree::write_json_string;

/// A contract whose events are admitted without a tree.
#[derive(Debug)]
pub struct Canonical {
    shape: Shape,
    key: Vec<CellNo>,
    transaction: Option<CellNo>,
    /// Whether rules of the contract or conditions of routes look at `data`.
    looks: bool,
}

/// An event that satisfies the schema of its contract.
#[derive(Clone, Copy, Debug)]
pub struct Canon<'e> {
    /// Index of the contract in the plan.
    pub contract: usize,
    /// CloudEvents `id`.
    pub id: &'e str,
    /// CloudEvents `source`.
    pub source: &'e str,
    /// CloudEvents `time`; empty if there is none.
    pub time: &'e str,
    /// `recordedtime`, if it is there.
    pub recorded: Option<&'e str>,
    /// `mfgsite`, if it is there.
    pub site: Option<&'e str>,
    /// W3C trace context; empty if there is none.
    pub traceparent: &'e str,
    /// Further attributes as the inside of a JSON object, each behind a comma.
    pub extras: &'e str,
    /// Key.
    pub key: &'e str,
    /// Text of the business transaction; empty without one.
    pub transaction: &'e str,
    /// `data` as JSON.
    pub data: &'e [u8],
    /// Whether rules of the contract or conditions of routes look at `data`.
    pub looks: bool,
}

impl Canonical {
    /// Compiles the contract with this index, or says why its events run on trees.
    ///
    /// # Errors
    ///
    /// What a flat program cannot do, as a sentence.
    pub fn compile(index: usize, contract: &Contract, routes: &[Route]) -> Result<Self, String> {
        if !contract.volatile.is_empty() {
            return Err("it has volatile fields".to_owned());
        }
        let converts = |route: &&Route| route.delivers(index).is_some_and(|to| to != index);
        if let Some(route) = routes.iter().find(converts) {
            return Err(format!("the route {} takes its events in another version", route.name));
        }
        let mut wants = Wants::default();
        let mut cell = |field: &Field| {
            let names: Vec<&str> = field.0.iter().map(String::as_str).collect();
            wants.scalar(0, &names)
        };
        let key = contract.key.1.iter().map(&mut cell).collect();
        let transaction = contract.business.transaction.as_ref().map(&mut cell);
        let asked = routes.iter().any(|route| matches!(route.conditions.get(index), Some(Some(_))));
        let looks = asked || !contract.rules.is_empty();
        Ok(Self { shape: Shape::new(Some(&contract.schema), &wants)?, key, transaction, looks })
    }

    /// Reads one canonical event; `None` hands it back.
    ///
    /// `programs` and `contracts` are those of the plan, in one order; `contract_of` finds a contract by the type of
    /// its events.
    pub fn read<'e>(
        (programs, contracts): (&'e [Result<Self, String>], &[Contract]),
        contract_of: impl Fn(&str) -> Option<usize>,
        bytes: &'e [u8],
        limits: &Limits,
        memory: &'e mut Memory,
    ) -> Option<Canon<'e>> {
        let known = |index: usize| programs.get(index).and_then(|program| program.as_ref().ok());
        let guessed = memory.guess;
        let guess = known(guessed).or_else(|| programs.iter().find_map(|program| program.as_ref().ok()))?;
        let shape_of = |kind: &str| {
            let same = contracts.get(guessed).is_some_and(|contract| *contract.full_type == *kind);
            let index = if same { guessed } else { contract_of(kind)? };
            Some((index, &known(index)?.shape))
        };
        let Memory { store, key, transaction, extras, .. } = memory;
        let found = Scan::event(bytes, &guess.shape, limits, store, shape_of)?;
        let (program, contract) = (known(found.contract)?, contracts.get(found.contract)?);
        memory.guess = found.contract;
        key.clear();
        key.push_str(&contract.key.0);
        for cell in &program.key {
            key.push('/');
            write_key_part(scalar(store.cells.get(*cell as usize)?, bytes, &store.arena)?, key);
        }
        transaction.clear();
        if let Some(cell) = program.transaction.and_then(|cell| store.cells.get(cell as usize)) {
            // It may be absent, or null.
            transaction.push_str(scalar(cell, bytes, &store.arena).unwrap_or_default());
        }
        extras.clear();
        write_extras(contract, store, bytes, extras)?;
        program.canon(&found, bytes, (extras, key, transaction))
    }

    fn canon<'e>(
        &self,
        found: &Envelope,
        bytes: &'e [u8],
        (extras, key, transaction): (&'e [u8], &'e str, &'e str),
    ) -> Option<Canon<'e>> {
        let text = |place| found.text(place, bytes).ok();
        let required = |place| text(place)?.filter(|text| !text.is_empty());
        if text(0)? != Some("1.0") {
            return None;
        }
        // The type is not empty, because a contract has it.
        Some(Canon {
            contract: found.contract,
            id: required(1)?,
            source: required(2)?,
            time: text(4)?.unwrap_or_default(),
            traceparent: text(10)?.unwrap_or_default(),
            recorded: text(11)?,
            site: text(15)?,
            extras: std::str::from_utf8(extras).ok()?,
            key,
            transaction,
            data: bytes.get(found.data.clone())?,
            looks: self.looks,
        })
    }
}

/// The text of a scalar; `None` where there is none.
fn scalar<'b>(cell: &Cell, bytes: &'b [u8], arena: &'b str) -> Option<&'b str> {
    match cell.kind {
        CellKind::Absent | CellKind::Null | CellKind::List => None,
        CellKind::True => Some("true"),
        CellKind::False => Some("false"),
        _ => std::str::from_utf8(bytes_of(cell, bytes, arena)).ok(),
    }
}

/// Writes the attributes that no router knows, but those that a deprecated contract says itself.
fn write_extras(
    contract: &Contract,
    store: &super::scan::Store,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    for extra in &store.extras {
        let name = std::str::from_utf8(bytes.get(extra.name.clone())?).ok()?;
        if contract.deprecation.is_some() && lifecycle::ATTRIBUTES.contains(&name) {
            continue;
        }
        out.push(b',');
        write_json_string(name, out);
        out.push(b':');
        match &extra.text {
            Some(cell) => {
                write_json_string(std::str::from_utf8(bytes_of(cell, bytes, &store.arena)).ok()?, out);
            }
            None => out.extend_from_slice(bytes.get(extra.value.clone())?),
        }
    }
    Some(())
}
