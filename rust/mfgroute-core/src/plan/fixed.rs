//! What a mapping or a table says by itself, compared with the contract: a value that it can never accept.

use serde_json::Value as Json;

use crate::plan::builder::Builder;
use crate::plan::read::{File, nearest};
use crate::plan::value::STEPS;
use crate::problem::Place;
use crate::schema::{ITEMS, PropertyInfo, Schema};
use crate::value::Decimal;
use crate::yaml::{Node, Value};

/// Steps whose result is a number.
const NUMERIC: &[&str] = &["number", "sign", "unit", "scale", "round"];
/// Sources whose result is a text, with its format where that is always the same.
const TEXTS: &[(&str, &str, Option<&str>)] = &[
    ("concat", "a text", None),
    ("join", "a text", None),
    ("meta", "a text", None),
    ("date", "a date", Some("date")),
    ("time", "a time", Some("date-time")),
];
/// Formats of which no text has two.
const DISJOINT: &[&str] =
    &["date", "date-time", "time", "decimal", "duration", "email", "ipv4", "ipv6", "uuid", "uri"];
const MEND: &str = "mend the value, or release a contract that accepts it";

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
        let known = self.schema.property(path).and_then(|info| info.enum_values).unwrap_or_default();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        match json.as_str().and_then(|text| nearest(text, &known)) {
            Some(name) => file.error_hint(value.place, message, format!("did you mean {name}?")),
            None => file.error_hint(value.place, message, MEND),
        }
    }

    fn accepts_lists(&self, list: &Node, file: &mut File<'_>) {
        let Some(info) = self.schema.property(self.path) else { return };
        if !info.types.contains(&"array") {
            let (name, expected) = (self.name(), info.types.join(" or "));
            let message = format!("the contract never accepts a list for {name}, expected {expected}");
            file.error_hint(list.place, message, "take one value with `path`");
        }
    }

    /// A result that is always a text, or always a number, for a field that is neither, or of another format.
    fn kind(&self, last: Option<&str>, path: &[&str], file: &mut File<'_>) {
        let source = TEXTS.iter().find_map(|(key, what, format)| Some((self.node.get(key)?, *what, *format)));
        let (at, what, format) = match (last, source) {
            (Some(step), _) if NUMERIC.contains(&step) => (self.node.get(step), "a number", Some("decimal")),
            (Some(step @ ("text" | "code_set")), _) => (self.node.get(step), "a text", None),
            (None, Some((at, what, format))) => (Some(at), what, format),
            _ => return,
        };
        let wanted: &[&str] = if what == "a number" { &["string", "number", "integer"] } else { &["string"] };
        let (Some(at), Some(info)) = (at, self.schema.property(path)) else { return };
        let expected = if !info.types.iter().any(|name| wanted.contains(name)) {
            info.types.join(" or ")
        } else if !info.types.contains(&"string") {
            return;
        } else if let Some(other) = conflict(format, &info) {
            format!("format {other}")
        } else if let Some(values) = unreachable(last, at, &info) {
            values
        } else {
            return;
        };
        let message = format!("the contract never accepts {what} for {}, expected {expected}", self.name());
        file.error_hint(at.place, message, "make what the contract expects, or mend the contract");
    }

    /// Tables change without the mapping, and the other rows work: a bad cell is a warning. When no row works
    /// and there is nothing else to take, the field never gets a value.
    fn cells(&self, lookup: &Node, path: &[&str], builder: &Builder, file: &mut File<'_>) {
        let Some((table, column)) = builder.taken(lookup) else { return };
        let cells = || {
            table
                .rows()
                .filter_map(|(line, row)| Some((line, row.get(column).filter(|cell| !cell.is_empty())?)))
        };
        let mut bad = cells().filter_map(|(line, cell)| {
            Some((line, cell, self.schema.refuses(path, &Json::String(cell.clone()))?))
        });
        let Some((line, cell, expected)) = bad.next() else { return };
        let count = bad.count();
        let name = self.name();
        let kept = self.node.get("default").is_some()
            || lookup.get("missing").is_some_and(|missing| missing.text() != Some("reject"));
        if count + 1 == cells().count() && !kept {
            let column = table.columns().get(column).map(String::as_str).unwrap_or_default();
            let message = format!(
                "the contract never accepts any cell of column {column} of table {} for {name}, expected {expected}",
                table.name
            );
            let hint =
                format!("take another column, or mend {}, such as {cell:?} in line {line}", table.file());
            file.error_hint(lookup.place, message, hint);
            return;
        }
        let more = if count == 0 { String::new() } else { format!(", nor {count} others") };
        let message = format!("the contract never accepts {cell:?}{more} for {name}, expected {expected}");
        let hint = format!("a message that needs this row of table {} is rejected", table.name);
        file.warn_once(table.file(), Place { line, column: 1 }, message, hint);
    }
}

/// The format that the contract asks for and that a text of another format never has.
fn conflict<'i>(made: Option<&str>, info: &'i PropertyInfo) -> Option<&'i str> {
    let (made, asked) = (made?, info.format.as_deref()?);
    (made != asked && DISJOINT.contains(&asked)).then_some(asked)
}

/// The texts of `enum` or `const`, when none of them is a number, or in the case that the last rule makes.
fn unreachable(last: Option<&str>, at: &Node, info: &PropertyInfo) -> Option<String> {
    let values = info.enum_values.as_ref().filter(|values| !values.is_empty())?;
    let rule = match &at.value {
        Value::List(rules) => rules.last().and_then(Node::text),
        _ => at.text(),
    };
    let possible = |text: &String| match (last, rule) {
        (Some("text"), Some("upper")) => text.to_uppercase() == *text,
        (Some("text"), Some("lower")) => text.to_lowercase() == *text,
        (Some(step), _) if NUMERIC.contains(&step) => Decimal::parse(text).is_ok(),
        _ => true,
    };
    (!values.iter().any(possible)).then(|| format!("one of {}", values.join(", ")))
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
