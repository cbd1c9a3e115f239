//! What a mapping or a table says by itself, compared with the contract: a value that it can never accept.

use serde_json::Value as Json;

use crate::plan::builder::Builder;
use crate::plan::read::File;
use crate::plan::value::STEPS;
use crate::problem::Place;
use crate::schema::{ITEMS, Schema};
use crate::yaml::{Node, Value};

/// Steps whose result is a number.
const NUMERIC: &[&str] = &["number", "sign", "unit", "scale", "round"];
/// Sources whose result is a text.
const TEXTS: &[&str] = &["concat", "join", "meta", "date", "time"];

/// A field as it is written, and what the contract says about it.
pub struct Fixed<'a> {
    /// The field, shared rules merged in.
    pub node: &'a Node,
    /// The contract.
    pub schema: &'a Schema,
    /// Where the field is in the contract.
    pub path: &'a [&'a str],
}

impl Fixed<'_> {
    /// Notes every constant, default, code and cell that the contract never accepts.
    pub fn check(&self, builder: &Builder, file: &mut File<'_>) {
        let node = self.node;
        let list = node.get("list");
        let mut path = self.path.to_vec();
        if let Some(list) = list {
            self.accepts_lists(list, file);
            path.push(ITEMS);
        }
        if let Some(default) = node.get("default") {
            self.refuse(self.path, default, "the default ", file);
        }
        let steps: Vec<&str> = STEPS.iter().copied().filter(|key| node.get(key).is_some()).collect();
        match (node.get("const"), steps.last()) {
            (Some(constant), None) => self.refuse(&path, constant, "", file),
            (_, Some(&"codes")) => {
                for (code, result) in node.get("codes").map(Node::entries).unwrap_or_default() {
                    self.refuse(&path, result, &format!("the result of code {} ", code.text), file);
                }
            }
            (_, Some(&"lookup")) => {
                let lookup = node.get("lookup");
                if let Some(missing) = lookup.and_then(|lookup| lookup.get("missing")?.get("default")) {
                    self.refuse(&path, missing, "the default of the table ", file);
                }
                if let Some(lookup) = lookup {
                    self.cells(lookup, &path, builder, file);
                }
            }
            (_, last) => self.kind(last.copied(), &path, file),
        }
    }

    fn name(&self) -> String {
        self.path.join(".").replace(".*", "[]")
    }

    fn refuse(&self, path: &[&str], value: &Node, what: &str, file: &mut File<'_>) {
        let json = value.to_serde();
        // Null is absent, and whether a field may be absent is another question.
        let Some(expected) = self.schema.refuses(path, &json).filter(|_| !json.is_null()) else { return };
        let message =
            format!("the contract never accepts {what}{json} for {}, expected {expected}", self.name());
        file.error(value.place, message);
    }

    fn accepts_lists(&self, list: &Node, file: &mut File<'_>) {
        let Some(info) = self.schema.property(self.path) else { return };
        if !info.types.contains(&"array") {
            let (name, expected) = (self.name(), info.types.join(" or "));
            let message = format!("the contract never accepts a list for {name}, expected {expected}");
            file.error(list.place, message);
        }
    }

    /// A result that is always a text, or always a number, for a field that is neither.
    fn kind(&self, last: Option<&str>, path: &[&str], file: &mut File<'_>) {
        let source = TEXTS.iter().find_map(|key| self.node.get(key));
        let (what, at, wanted): (&str, _, &[&str]) = match last {
            Some(step) if NUMERIC.contains(&step) => {
                ("a number", self.node.get(step), &["string", "number", "integer"])
            }
            Some(step @ ("text" | "code_set")) => ("a text", self.node.get(step), &["string"]),
            None => ("a text", source, &["string"]),
            Some(_) => return,
        };
        let (Some(at), Some(info)) = (at, self.schema.property(path)) else { return };
        if !info.types.iter().any(|name| wanted.contains(name)) {
            let (name, expected) = (self.name(), info.types.join(" or "));
            file.error(
                at.place,
                format!("the contract never accepts {what} for {name}, expected {expected}"),
            );
        }
    }

    /// Tables change without the mapping, and the other rows work: a bad cell is a warning.
    fn cells(&self, lookup: &Node, path: &[&str], builder: &Builder, file: &mut File<'_>) {
        let Some((table, column)) = builder.taken(lookup) else { return };
        let mut bad = table.rows().filter_map(|(line, row)| {
            let cell = row.get(column).filter(|cell| !cell.is_empty())?;
            let expected = self.schema.refuses(path, &Json::String(cell.clone()))?;
            Some((line, cell, expected))
        });
        let Some((line, cell, expected)) = bad.next() else { return };
        let more = match bad.count() {
            0 => String::new(),
            count => format!(", nor {count} others"),
        };
        let name = self.name();
        let message = format!("the contract never accepts {cell:?}{more} for {name}, expected {expected}");
        let hint = format!("a message that needs this row of table {} is rejected", table.name);
        file.warn_once(table.file(), Place { line, column: 1 }, message, hint);
    }
}

/// The keys of a lookup: those it says, or the value beside it.
#[must_use]
pub fn keys_of(lookup: &Node) -> &[Node] {
    match lookup.get("key") {
        Some(Node { value: Value::List(items), .. }) => items,
        Some(key) => std::slice::from_ref(key),
        None => &[],
    }
}
