//! Compiling a mapping file.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::decode::csv::{CsvOptions, Header, SkipRule, Trailer};
use crate::decode::encoding;
use crate::identity;
use crate::map::{Cond, Decode, Entry, From, Level, Mapping, Set, TimeSource};
use crate::plan::builder::Builder;
use crate::plan::conversions;
use crate::plan::fields::Names;
use crate::plan::forms::number_format;
use crate::plan::lifecycle;
use crate::plan::read::File;
use crate::plan::required::Made;
use crate::plan::value::Scope;
use crate::problem::Place;
use crate::value::NumberFormat;
use crate::yaml::{Key, Node, Value};

/// An example of a mapping file, run before the plan is installed.
#[derive(Debug)]
pub struct Example {
    /// Index of the mapping in the plan.
    pub mapping: usize,
    /// The file.
    pub file: String,
    /// Where it is.
    pub place: Place,
    /// Its specification: `name`, `given`, `meta`, `expect`, `reject`.
    pub spec: Json,
}

const KEYS: &[&str] =
    &["from", "when", "time", "common", "emit", "examples", "title", "description", "owner"];
const ENTRY_KEYS: &[&str] = &["to", "each", "split", "when", "time", "fields", "others", "none", "items"];

/// Compiles one mapping. `bytes` is the file, for its hash.
pub fn compile(
    name: &str,
    node: &Node,
    bytes: &[u8],
    builder: &mut Builder,
    file: &mut File<'_>,
) -> Option<Mapping> {
    let errors = file.errors();
    if !file.keys(node, "a mapping", KEYS) {
        return None;
    }
    // With a wrong `from` the rest is still read, so that all problems are reported.
    let from = from(node, builder, file).unwrap_or(From {
        decode: Decode::Json,
        schema: None,
        empty: Vec::new(),
        number: None,
        version: None,
    });
    let number = from.number;
    if let Some(version) = &from.version {
        conversions::check(node, version, builder, file);
    }
    let mut scope = Scope { builder, number, depth: 0, conversion: from.version.is_some() };
    let when = node.get("when").and_then(|when| scope.cond(when, file));
    let time = event_time(node, &mut scope, file);
    let common: Vec<(Key, Node)> = node.get("common").map(|c| c.entries().to_vec()).unwrap_or_default();
    let emit = node.get("emit").map(Node::items).unwrap_or_default();
    if emit.is_empty() {
        file.error(node.place, "the mapping has no emit, expected a list of entries");
    }
    let mut sets: Vec<(String, Set)> = Vec::new();
    for entry in emit {
        compile_entry(entry, &common, &mut scope, &mut sets, file);
    }
    let label = format!("{name}@{:012x}", identity::fingerprint(bytes) >> 80);
    let sets = sets.into_iter().map(|(_, set)| set).collect();
    (file.errors() == errors).then(|| Mapping { name: name.to_owned(), label, from, when, time, sets })
}

fn compile_entry(
    node: &Node,
    common: &[(Key, Node)],
    scope: &mut Scope<'_>,
    sets: &mut Vec<(String, Set)>,
    file: &mut File<'_>,
) {
    if !file.keys(node, "an entry of emit", ENTRY_KEYS) {
        return;
    }
    let Some(to) = node.get("to") else {
        file.error(
            node.place,
            "an entry of emit has no `to`, expected a contract like production.operation.completed/1",
        );
        return;
    };
    let contract = scope.builder.contract(to, "to", file).unwrap_or(usize::MAX);
    let fields = node.get("fields").map(Node::entries).unwrap_or_default();
    let mut written: Vec<(&Key, &Node)> = common
        .iter()
        .filter(|(key, _)| !fields.iter().any(|(own, _)| own.text == key.text))
        .map(|(key, node)| (key, node))
        .collect();
    written.extend(fields.iter().map(|(key, node)| (key, node)));
    // Who still needs an old version gets it from a conversion: that is what it is for.
    if let Some(contract) = scope.builder.contracts.get(contract).filter(|_| !scope.conversion) {
        lifecycle::check_emitted(contract, to, scope.builder.today.as_deref(), file);
    }
    let schema = scope.builder.contracts.get(contract).map(|contract| Arc::clone(&contract.schema));
    let (each, id) = each(node, file);
    scope.depth = each.len();
    let block = scope.block(&written, None, schema.as_deref().map(|schema| (schema, [].as_slice())), file);
    if let Some(schema) = &schema {
        let label = format!("the contract {}", to.text().unwrap_or_default());
        let fields = written.iter().map(|(key, _)| (key.text.as_str(), key.place)).collect();
        Made { schema, label: &label, prefix: Vec::new(), fields }.check(to.place, file);
    }
    warn_send_times(contract, &written, scope, file);
    let entry = Entry {
        contract,
        when: node.get("when").and_then(|when| scope.cond(when, file)),
        time: event_time(node, scope, file),
        block,
    };
    scope.depth = 0;
    let position = sets.iter().position(|(known, _)| *known == id);
    let index = position.unwrap_or_else(|| {
        let set = Set { each, entries: Vec::new(), none_ok: false, others_ignore: false, independent: false };
        sets.push((id, set));
        sets.len() - 1
    });
    let Some((_, set)) = sets.get_mut(index) else { return };
    set.none_ok |= word(node, "none", "ok", file);
    set.others_ignore |= word(node, "others", "ignore", file);
    set.independent |= word(node, "items", "each", file);
    set.entries.push(entry);
}

/// The event time of a mapping or an entry.
fn event_time(node: &Node, scope: &mut Scope<'_>, file: &mut File<'_>) -> Option<TimeSource> {
    let member = node.get("time")?;
    let time = scope.time(member, &Names::NONE, file)?;
    if time.rule.is_date_only() {
        let place = member.get("format").unwrap_or(member).place;
        let message = "the event time is made from a date only, so every event of a day is at midnight";
        file.problems.warn(
            file.name,
            place,
            message,
            "join the date with the time of day, or leave time out",
        );
    }
    Some(time)
}

/// An identity that is made of a send time makes a new event of every re-send.
fn warn_send_times(contract: usize, written: &[(&Key, &Node)], scope: &Scope<'_>, file: &mut File<'_>) {
    const SEND_TIMES: &[&str] = &["sentat", "sendtime", "sent", "timestamp", "creationdatetime", "createdat"];
    let Some(contract) = scope.builder.contracts.get(contract) else { return };
    for field in &contract.idempotency {
        let name = field.dotted();
        let Some((_, node)) = written.iter().find(|(key, _)| key.text == name) else { continue };
        let Some(path) = node.get("path").and_then(Node::text) else { continue };
        let last = path.rsplit('.').next().unwrap_or(path).to_lowercase().replace(['_', '-'], "");
        if SEND_TIMES.contains(&last.as_str()) {
            let message = format!(
                "the identity field {name} of {} is taken from the send time {path}",
                contract.label()
            );
            file.problems.warn(file.name, node.place, message, "a re-send gets a new id and is posted twice");
        }
    }
}

/// A key that knows one word.
fn word(node: &Node, key: &str, expected: &str, file: &mut File<'_>) -> bool {
    match file.text(node, key) {
        None => false,
        Some(text) if text == expected => true,
        Some(text) => {
            let place = node.get(key).map_or(node.place, |member| member.place);
            file.error(place, format!("{key} is {text}, expected {expected}"));
            false
        }
    }
}

/// The scopes of an entry and the text by which entries with the same scopes are found.
fn each(node: &Node, file: &mut File<'_>) -> (Vec<Level>, String) {
    let Some(member) = node.get("each") else { return (Vec::new(), String::new()) };
    let split = file.text(node, "split").map(str::to_owned);
    let paths = file.paths(member);
    for (depth, path) in paths.iter().enumerate() {
        if path.scopes_up().is_some_and(|up| up > depth) {
            file.error(member.place, format!("the path {path} climbs above the message"));
        }
    }
    let last = paths.len().saturating_sub(1);
    let mut id = String::from("each");
    let levels = paths
        .into_iter()
        .enumerate()
        .map(|(index, path)| {
            id.push_str(&format!("\n{path}"));
            Level { path, split: split.clone().filter(|_| index == last) }
        })
        .collect();
    if let Some(split) = split {
        id.push_str(&format!("\nsplit {split}"));
    }
    (levels, id)
}

impl Scope<'_> {
    /// Compiles a condition.
    pub fn cond(&mut self, node: &Node, file: &mut File<'_>) -> Option<Cond> {
        const KNOWN: &[&str] = &["path", "equals", "in", "present", "prefix", "all", "any", "not", "cel"];
        if !file.keys(node, "a condition", KNOWN) {
            return None;
        }
        for (key, make) in [("all", Cond::All as fn(Vec<Cond>) -> Cond), ("any", Cond::Any)] {
            if let Some(parts) = node.get(key) {
                return Some(make(parts.items().iter().filter_map(|part| self.cond(part, file)).collect()));
            }
        }
        if let Some(part) = node.get("not") {
            return Some(Cond::Not(Box::new(self.cond(part, file)?)));
        }
        if let Some(text) = node.get("cel") {
            return Some(Cond::Cel(Box::new(self.expr(text, true, file)?)));
        }
        let Some(path) = node.get("path") else {
            file.error(node.place, "a condition has none of path, all, any, not and cel");
            return None;
        };
        let path = self.paths(path, file).pop()?;
        if let Some(value) = node.get("equals") {
            return Some(Cond::In { path, values: vec![value.to_serde()] });
        }
        if let Some(values) = node.get("in") {
            return Some(Cond::In { path, values: values.items().iter().map(Node::to_serde).collect() });
        }
        if node.get("present").is_some() {
            return Some(Cond::Present { path, present: file.flag(node, "present") });
        }
        if let Some(prefix) = file.text(node, "prefix") {
            return Some(Cond::Prefix { path, prefix: prefix.to_owned() });
        }
        file.error(node.place, "a condition on a path has none of equals, in, present and prefix");
        None
    }
}

const FROM_KEYS: &[&str] = &[
    "contract",
    "decode",
    "schema",
    "empty",
    "number",
    "root",
    "namespace",
    "delimiter",
    "encoding",
    "header",
    "quote",
    "skip_rows",
    "group_by",
    "trailer",
    "use",
];

fn from(node: &Node, builder: &Builder, file: &mut File<'_>) -> Option<From> {
    let Some(from) = node.get("from") else {
        file.error(node.place, "the mapping has no from, expected for example {decode: json}");
        return None;
    };
    let from = &builder.resolve(from, file);
    if !file.keys(from, "from", FROM_KEYS) {
        return None;
    }
    let number = from.get("number").and_then(|number| number_format(number, file));
    let empty = from.get("empty").map(|empty| file.texts(empty, "empty")).unwrap_or_default();
    if let Some(contract) = from.get("contract") {
        return conversions::from(
            from,
            contract,
            From { decode: Decode::Json, schema: None, empty, number, version: None },
            builder,
            file,
        );
    }
    let decode = match file.required_text(from, "from", "decode")? {
        "json" => Decode::Json,
        "xml" => Decode::Xml {
            root: from.get("root").map(|root| file.texts(root, "root")).unwrap_or_default(),
            namespace: from.get("namespace").map(|name| file.texts(name, "namespace")).unwrap_or_default(),
        },
        "csv" => Decode::Csv(Box::new(csv(from, number.as_ref(), file)?)),
        later @ ("x12" | "edifact" | "idoc" | "sparkplug") => {
            file.error(from.place, format!("decode: {later} is not available in this version"));
            return None;
        }
        other => {
            file.error(from.place, format!("decode is {other}, expected json, csv or xml"));
            return None;
        }
    };
    misplaced(from, &decode, file);
    let schema = match from.get("schema") {
        None => None,
        Some(member) => {
            let name = file.as_text(member, "schema")?;
            let schema = builder.schemas.get(name).cloned();
            if schema.is_none() {
                file.error(member.place, format!("there is no usable schema {name}"));
            }
            schema
        }
    };
    Some(From { decode, schema, empty, number, version: None })
}

fn misplaced(from: &Node, decode: &Decode, file: &mut File<'_>) {
    const CSV: &[&str] = &["delimiter", "encoding", "header", "quote", "skip_rows", "group_by", "trailer"];
    const XML: &[&str] = &["root", "namespace"];
    for (key, _) in from.entries() {
        let name = key.text.as_str();
        let wrong = match decode {
            Decode::Json => CSV.contains(&name) || XML.contains(&name),
            Decode::Csv(_) => XML.contains(&name),
            Decode::Xml { .. } => CSV.contains(&name),
        };
        if wrong {
            file.error(key.place, format!("{name} has no meaning with decode: {}", decode.name()));
        }
    }
}

fn csv(from: &Node, number: Option<&NumberFormat>, file: &mut File<'_>) -> Option<CsvOptions> {
    let mut options = CsvOptions::default();
    let mut ascii = |key: &str, fallback: u8| match file.text(from, key) {
        None => fallback,
        Some(text) => match text.as_bytes() {
            [one] if one.is_ascii() => *one,
            _ => {
                file.error(from.place, format!("{key} is not one ASCII character"));
                fallback
            }
        },
    };
    options.delimiter = ascii("delimiter", b',');
    options.quote = match from.get("quote").map(|quote| &quote.value) {
        Some(Value::Bool(false) | Value::Null) => None,
        _ => Some(ascii("quote", b'"')),
    };
    if let Some(name) = file.text(from, "encoding") {
        match encoding::by_name(name) {
            Some(encoding) => options.encoding = encoding,
            None => file.error(from.place, format!("there is no encoding {name}")),
        }
    }
    options.header = match from.get("header").map(|header| (&header.value, header)) {
        None | Some((Value::Bool(true), _)) => Header::FromFile,
        Some((Value::Bool(false), _)) => Header::None,
        Some((Value::List(_), header)) => Header::Names(file.texts(header, "header")),
        Some((_, header)) => {
            file.error(header.place, "header is none of true, false and a list of names");
            Header::FromFile
        }
    };
    match from.get("skip_rows").map(|skip| (&skip.value, skip)) {
        None => {}
        Some((Value::Number(text), skip)) => match text.parse() {
            Ok(lines) => options.skip_first = lines,
            Err(_) => file.error(skip.place, "skip_rows is not a number of lines"),
        },
        Some((Value::Map(rules), _)) => {
            options.skip_rows = rules
                .iter()
                .filter_map(|(key, value)| {
                    let text = file.as_text(value, "skip_rows")?.to_owned();
                    Some(SkipRule { column: key.text.clone(), text })
                })
                .collect();
        }
        Some((_, skip)) => file.error(skip.place, "skip_rows is neither a number nor {column: text}"),
    }
    options.group_by = from.get("group_by").map(|group| file.texts(group, "group_by")).unwrap_or_default();
    options.trailer = match from.get("trailer") {
        Some(trailer) => Some(self::trailer(trailer, number, file)?),
        None => None,
    };
    super::csv::check(from, &options, file);
    Some(options)
}

fn trailer(node: &Node, number: Option<&NumberFormat>, file: &mut File<'_>) -> Option<Trailer> {
    if !file.keys(node, "trailer", &["when", "sums"]) {
        return None;
    }
    let [(column, text)] = node.get("when").map(Node::entries).unwrap_or_default() else {
        file.error(
            node.place,
            "trailer has no `when` with one column, expected {when: {column: text}, sums: [columns]}",
        );
        return None;
    };
    let text = file.as_text(text, "when")?.to_owned();
    let sums = node.get("sums").map(|sums| file.texts(sums, "sums")).unwrap_or_default();
    if sums.is_empty() {
        file.error(node.place, "trailer has no `sums`, expected a list of columns");
    }
    let (decimal, group) = number.map_or(('.', None), NumberFormat::marks);
    Some(Trailer { when: SkipRule { column: column.text.clone(), text }, sums, decimal, group })
}
