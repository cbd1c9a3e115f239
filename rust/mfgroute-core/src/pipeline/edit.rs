//! A parked event that a person edits: another event with other `data`, in the form in which its sink gets it.
//!
//! The new event keeps the envelope of the original but for its id, and says in `causationid` which event it comes from
//! and in `mfgrevision` the how-manieth edit of it at this sink it is. Its id is a hash of both and of the sink: two
//! sinks may need different corrections, and one id must never stand for two contents.

use serde_json::{Map, Value as Json};

use super::message::Worker;
use crate::contract::Contract;
use crate::identity::{self, IdHasher};
use crate::plan::project::Plan;
use crate::record::{self, Header};
use crate::reject::{Code, Reject};
use crate::tree::{Tree, write_json_string};

/// The attribute that names the event that was edited.
const CAUSE: &str = "causationid";
/// The attribute that counts its edits.
const REVISION: &str = "mfgrevision";

/// What is changed.
#[derive(Clone, Copy, Debug)]
pub enum Change<'c> {
    /// `data` becomes this JSON document.
    Data(&'c [u8]),
    /// Values of `data` are set: RFC 6901 pointer and text. Where a text stands, the text is taken as it is; elsewhere
    /// as JSON, or as a text if it is none.
    Set(&'c [(String, String)]),
}

/// A new event for the place of a parked one.
#[derive(Debug, PartialEq, Eq)]
pub struct Edited {
    /// Its id.
    pub id: u128,
    /// The id of the event that was edited first.
    pub original: String,
    /// How many edits of that one there were at the sink, this one included.
    pub revision: u64,
    /// Its record.
    pub record: Vec<u8>,
}

impl Worker {
    /// Edits the event of a record for one sink. `recorded` is the time of the edit, RFC 3339 in UTC.
    ///
    /// # Errors
    ///
    /// The new `data` does not satisfy the contract, or has another key; or the contract of the event is gone. The
    /// pointer is one into `data`.
    pub fn edit(
        &mut self,
        plan: &Plan,
        (header, data): (&Header<'_>, &[u8]),
        sink: &str,
        change: Change<'_>,
        recorded: &str,
    ) -> Result<Edited, Reject> {
        let form = self.form_for(plan, header, data, sink)?;
        let (contract, data) = match &form {
            Some(form) => (plan.contracts.get(form.contract), form.data.as_slice()),
            None => (contract_of(plan, header), data),
        };
        let expected = "the contract of the event, which the project had when it was admitted";
        let contract = contract.ok_or_else(|| Reject::new(Code::TypeUnknown, header.dataschema, expected))?;
        let mut old = Tree::default();
        self.json.decode(data, &mut old)?;
        let set;
        let wanted = match change {
            Change::Data(wanted) => wanted,
            Change::Set(values) => {
                set = with_values(&old.to_serde(0), values)?;
                set.as_slice()
            }
        };
        let mut new = Tree::default();
        self.json.decode(wanted, &mut new)?;
        self.finish.check(contract, &new, 0, |node| new.pointer(node))?;
        check_key(contract, &old, &new)?;
        let mut attributes = attributes(form.as_ref().map(|form| form.attributes(header)), header);
        let (original, revision) = origin(&attributes, header.id, sink);
        let id = edit_id(&original, revision, sink);
        attributes.insert(CAUSE.to_owned(), Json::from(original.as_str()));
        attributes.insert(REVISION.to_owned(), Json::from(revision));
        let record = write(contract, header, (&new, id), &attributes, recorded);
        Ok(Edited { id, original, revision, record })
    }
}

fn contract_of<'p>(plan: &'p Plan, header: &Header<'_>) -> Option<&'p Contract> {
    let (name, version) = header.contract()?;
    let major: u32 = version.split('.').next()?.parse().ok()?;
    plan.contracts.iter().find(|contract| contract.name == name && contract.major == major)
}

/// The further attributes of an event, that of its mapping included.
fn attributes(converted: Option<String>, header: &Header<'_>) -> Map<String, Json> {
    let inside = converted.unwrap_or_else(|| header.mapping.to_owned());
    match inside.strip_prefix(',') {
        Some(inside) => serde_json::from_str(&format!("{{{inside}}}")).unwrap_or_default(),
        None if inside.is_empty() => Map::new(),
        None => [("mfgmapping".to_owned(), Json::from(inside))].into_iter().collect(),
    }
}

/// The event that was edited first at this sink, and the number of the edit that comes now. Attributes that another
/// node wrote do not fit the id.
fn origin(attributes: &Map<String, Json>, id: &str, sink: &str) -> (String, u64) {
    let cause = attributes.get(CAUSE).and_then(Json::as_str);
    let revision = attributes.get(REVISION).and_then(Json::as_u64);
    match (cause, revision) {
        (Some(cause), Some(revision))
            if identity::text(edit_id(cause, revision, sink)) == id && revision < u64::MAX =>
        {
            (cause.to_owned(), revision + 1)
        }
        _ => (id.to_owned(), 1),
    }
}

/// The id of an edit of an event at a sink.
fn edit_id(original: &str, revision: u64, sink: &str) -> u128 {
    let mut hasher = IdHasher::default();
    for part in ["parked edit", original, &revision.to_string(), sink] {
        hasher.part(part);
    }
    hasher.finish()
}

/// What orders events must not change: the sink has seen this key in this order.
fn check_key(contract: &Contract, old: &Tree, new: &Tree) -> Result<(), Reject> {
    for field in &contract.key.1 {
        let (was, is) = (field.text(old, 0), field.text(new, 0));
        if was != is {
            let mut pointer = String::new();
            for name in &field.0 {
                pointer.push('/');
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
            }
            let expected = format!("{}, as it is part of the key", was.unwrap_or("nothing"));
            let reject = Reject::new(Code::KeyChanged, is.unwrap_or("nothing"), expected);
            return Err(reject.at(pointer).field(field.dotted()));
        }
    }
    Ok(())
}

/// `data` with other values, as JSON.
fn with_values(data: &Json, values: &[(String, String)]) -> Result<Vec<u8>, Reject> {
    let mut data = data.clone();
    for (pointer, text) in values {
        let json = || serde_json::from_str(text).unwrap_or_else(|_| Json::from(text.as_str()));
        if let Some(place) = data.pointer_mut(pointer).filter(|_| !pointer.is_empty()) {
            *place = if place.is_string() { Json::from(text.as_str()) } else { json() };
            continue;
        }
        let missing = || {
            let expected = "a value in data, or a new member of an object there";
            Reject::new(Code::Missing, "nothing", expected).at(pointer.as_str())
        };
        let (above, name) = pointer.rsplit_once('/').ok_or_else(missing)?;
        let Some(Json::Object(members)) = data.pointer_mut(above) else { return Err(missing()) };
        members.insert(name.replace("~1", "/").replace("~0", "~"), json());
    }
    Ok(data.to_string().into_bytes())
}

fn write(
    contract: &Contract,
    header: &Header<'_>,
    (data, id): (&Tree, u128),
    attributes: &Map<String, Json>,
    recorded: &str,
) -> Vec<u8> {
    let mut further = Vec::new();
    for (name, value) in attributes {
        further.push(b',');
        write_json_string(name, &mut further);
        further.push(b':');
        further.extend_from_slice(value.to_string().as_bytes());
    }
    let (id, further) = (identity::text(id), String::from_utf8(further).unwrap_or_default());
    let transaction = contract.business.transaction.as_ref().and_then(|field| field.text(data, 0));
    let header = Header {
        id: &id,
        full_type: &contract.full_type,
        dataschema: &contract.dataschema,
        transaction: transaction.unwrap_or(""),
        process: contract.business.process.as_deref().unwrap_or(""),
        step: contract.business.step.as_deref().unwrap_or(""),
        kind: &contract.kind,
        recorded,
        versions: "",
        mapping: &further,
        deprecation: contract.deprecation.as_ref().map_or("", |known| &known.attributes),
        ..*header
    };
    let mut out = Vec::new();
    header.write(&mut out);
    data.write_json(0, &mut out);
    debug_assert!(record::read(&out).is_some(), "what is written is a record");
    out
}
