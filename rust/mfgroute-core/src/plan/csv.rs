//! Declarations of a CSV file that contradict themselves.
//!
//! Such a file would be refused whole, or rows of it would be left out or let through, at run time and
//! without a word about the configuration.

use std::borrow::Cow;

use crate::decode::csv::{CsvOptions, Header};
use crate::plan::read::{File, nearest};
use crate::problem::Place;
use crate::yaml::{Node, Value};

/// Notes what contradicts itself in the `from` of a CSV mapping.
pub fn check(from: &Node, options: &CsvOptions, file: &mut File<'_>) {
    marks(from, options, file);
    if let Header::Names(names) = &options.header {
        header(from, names, options, file);
    }
    if let Some(member) = from.get("skip_rows") {
        skip_rows(member, options, file);
    }
    if let Some(member) = from.get("group_by") {
        group_by(member, options, file);
    }
    if let Some(member) = from.get("trailer") {
        trailer(member, options, file);
    }
}

/// Place of a member, or of the whole where it has none.
fn place(node: &Node, key: &str) -> Place {
    node.get(key).map_or(node.place, |member| member.place)
}

fn marks(from: &Node, options: &CsvOptions, file: &mut File<'_>) {
    let delimiter = char::from(options.delimiter);
    if options.quote == Some(options.delimiter) {
        let key = if from.get("quote").is_some() { "quote" } else { "delimiter" };
        let message = format!("delimiter and quote are both {delimiter:?}, expected two characters");
        file.error_hint(place(from, key), message, "write quote: false if no cell is quoted");
    }
    let breaks = |mark: u8| matches!(mark, b'\n' | b'\r');
    for (key, mark) in [("delimiter", Some(options.delimiter)), ("quote", options.quote)] {
        if mark.is_some_and(breaks) {
            let message = format!("{key} is a line end, expected a character within a line");
            file.error_hint(place(from, key), message, "a line end always ends a row");
        }
    }
}

fn header(from: &Node, names: &[String], options: &CsvOptions, file: &mut File<'_>) {
    let Some(member) = from.get("header") else { return };
    if member.items().is_empty() {
        let hint = "write header: false for columns c1, c2, … or header: true for names in the first row";
        file.error_hint(member.place, "header is an empty list, expected the names of the columns", hint);
        return;
    }
    // Names of other kinds have a problem of their own.
    let items = member.items().iter().filter(|item| matches!(item.value, Value::Text(_)));
    for (index, (name, item)) in names.iter().zip(items).enumerate() {
        if name.trim().is_empty() {
            let message = format!("header has no name for column {}", index + 1);
            file.error_hint(item.place, message, "name each column, also one that is not used");
        }
        if names.iter().take(index).any(|earlier| earlier == name) {
            let message = format!("header names the column {name:?} twice, expected each name once");
            file.error_hint(item.place, message, format!("write for example \"{name} 2\""));
        }
        encodable(name, item.place, options, file);
    }
}

fn skip_rows(member: &Node, options: &CsvOptions, file: &mut File<'_>) {
    let Value::Map(rules) = &member.value else { return };
    if rules.len() != 1 {
        let message = format!("skip_rows names {} columns, expected {{column: text}}", rules.len());
        file.error_hint(member.place, message, "one column says which rows to leave out");
    }
    for (key, value) in rules {
        column(&key.text, "skip_rows", key.place, options, file);
        if let Value::Text(text) = &value.value {
            encodable(text, value.place, options, file);
        }
    }
}

fn group_by(member: &Node, options: &CsvOptions, file: &mut File<'_>) {
    if matches!(&member.value, Value::List(items) if items.is_empty()) {
        let message = "group_by is an empty list, expected columns";
        file.error_hint(member.place, message, "leave group_by out if each row is a message");
    }
    let items = if member.items().is_empty() { std::slice::from_ref(member) } else { member.items() };
    let mut seen: Vec<&str> = Vec::new();
    for item in items {
        let Value::Text(name) = &item.value else { continue };
        column(name, "group_by", item.place, options, file);
        if name == "rows" {
            let message = "group_by has a column \"rows\", expected another name: the rows have this one";
            file.error_hint(item.place, message, "name the columns otherwise, with header: […]");
        }
        if seen.contains(&name.as_str()) {
            let message = format!("group_by names the column {name:?} twice");
            file.error_hint(item.place, message, "name each column once");
        }
        seen.push(name);
    }
}

fn trailer(member: &Node, options: &CsvOptions, file: &mut File<'_>) {
    let Some(trailer) = &options.trailer else { return };
    if let Some((key, value)) = member.get("when").and_then(|when| when.entries().first()) {
        column(&key.text, "trailer", key.place, options, file);
        encodable(&trailer.when.text, value.place, options, file);
    }
    let Some(sums) = member.get("sums") else { return };
    let items = if sums.items().is_empty() { std::slice::from_ref(sums) } else { sums.items() };
    for item in items {
        let Value::Text(name) = &item.value else { continue };
        column(name, "trailer", item.place, options, file);
        if *name == trailer.when.column {
            let message =
                format!("the totals row has the text {:?} in the column {name:?} of sums", trailer.when.text);
            file.error_hint(item.place, message, "sum other columns than the one of `when`");
        }
    }
}

/// Checks a column that a declaration names against the columns that are known before any file.
fn column(name: &str, what: &str, place: Place, options: &CsvOptions, file: &mut File<'_>) {
    if name.trim().is_empty() {
        let hint = "name a column of the header";
        file.error_hint(place, format!("{what} names a column without a name"), hint);
        return;
    }
    let known: Vec<&str> = match &options.header {
        Header::FromFile => return,
        Header::None if numbered(name) => return,
        Header::None => {
            let message = format!("{what} names the column {name:?}, but header: false has no names");
            file.error_hint(place, message, "write c1 for the first column, c2 for the second, …");
            return;
        }
        Header::Names(names) => names.iter().map(String::as_str).collect(),
    };
    if known.contains(&name) {
        return;
    }
    let message = format!("{what} names the column {name:?}, the header has {}", known.join(", "));
    let close = nearest(name, &known).filter(|_| name.chars().count() > 2);
    let hint =
        close.map_or_else(|| format!("add {name:?} to header"), |name| format!("did you mean {name}?"));
    file.error_hint(place, message, hint);
}

/// Whether it is `c1`, `c2`, …
fn numbered(name: &str) -> bool {
    name.strip_prefix('c').is_some_and(|number| {
        !number.starts_with('0') && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// A text that the encoding cannot write is in no cell of a file.
fn encodable(text: &str, place: Place, options: &CsvOptions, file: &mut File<'_>) {
    let (_, encoding, replaced): (Cow<'_, [u8]>, _, _) = options.encoding.encode(text);
    if replaced {
        let message = format!("{text:?} has a character that {} does not have", encoding.name());
        file.error_hint(place, message, "declare the encoding that the file has");
    }
}
