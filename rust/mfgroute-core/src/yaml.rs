//! Strict YAML 1.2 (core schema) with the place of every value.
//!
//! Duplicate keys, anchors, aliases, merge keys, tags and a second document are errors. A plain number
//! with leading zeros (`0020`) is an error with a hint to quote it: it is an identifier, and YAML would
//! make 20 of it.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::problem::{Place, Problems};

/// Longest text that is read.
pub const BYTES_MAX: usize = 1 << 20;
const DEPTH_MAX: usize = 64;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it starts.
    pub place: Place,
    /// Whether a `${…}` in it was replaced, so that it may be a secret.
    pub replaced: bool,
}

/// What a value is.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as written, in JSON syntax.
    Number(String),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<(Key, Node)>),
}

/// A key and where it stands. Keys are always text.
#[derive(Clone, Debug)]
pub struct Key {
    /// The text of the key.
    pub text: String,
    /// Where it starts.
    pub place: Place,
}

/// Gives the replacement of `${name}` by the text between the braces; `None` when there is none.
pub type Variables<'a> = &'a mut dyn FnMut(&str) -> Option<String>;

impl Node {
    /// What kind of value it is, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The member with this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(name, _)| name.text == key).map(|(_, node)| node)
    }

    /// The entries of a mapping; empty for other values.
    #[must_use]
    pub fn entries(&self) -> &[(Key, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; empty for other values.
    #[must_use]
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The text, if it is text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value as `serde_json`.
    #[must_use]
    pub fn to_serde(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(text) => serde_json::from_str(text).unwrap_or(Json::Null),
            Value::Text(text) => Json::String(text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Node::to_serde).collect()),
            Value::Map(entries) => {
                Json::Object(entries.iter().map(|(key, node)| (key.text.clone(), node.to_serde())).collect())
            }
        }
    }

    /// The place of every value by RFC 6901 pointer, and the pointers of replaced values.
    #[must_use]
    pub fn places(&self) -> (BTreeMap<String, Place>, Vec<String>) {
        let mut places = BTreeMap::new();
        let mut replaced = Vec::new();
        self.walk(&mut String::new(), &mut places, &mut replaced);
        (places, replaced)
    }

    fn walk(&self, pointer: &mut String, places: &mut BTreeMap<String, Place>, replaced: &mut Vec<String>) {
        places.insert(pointer.clone(), self.place);
        if self.replaced {
            replaced.push(pointer.clone());
        }
        let length = pointer.len();
        for (index, item) in self.items().iter().enumerate() {
            pointer.push('/');
            pointer.push_str(&index.to_string());
            item.walk(pointer, places, replaced);
            pointer.truncate(length);
        }
        for (key, node) in self.entries() {
            pointer.push('/');
            pointer.push_str(&key.text.replace('~', "~0").replace('/', "~1"));
            node.walk(pointer, places, replaced);
            places.insert(format!("{pointer}#key"), key.place);
            pointer.truncate(length);
        }
    }
}

/// Reads one document.
///
/// Every problem that the reader can go on after is noted in `problems`; `None` when the text cannot be
/// read at all.
pub fn parse(
    text: &[u8],
    file: &str,
    variables: Option<Variables<'_>>,
    problems: &mut Problems,
) -> Option<Node> {
    let start = Place { line: 1, column: 1 };
    if text.len() > BYTES_MAX {
        let found = text.len();
        problems.error(file, start, format!("the file has {found} bytes, at most {BYTES_MAX} are read"));
        return None;
    }
    let text = match std::str::from_utf8(text) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let line =
                text.iter().take(error.valid_up_to()).filter(|&&byte| byte == b'\n').count() as u32 + 1;
            problems.error(file, Place { line, column: 1 }, "the file is not UTF-8");
            return None;
        }
    };
    Reader { file, variables, problems, stack: Vec::new(), root: None, documents: 0 }.read(text)
}

enum Open {
    List(Vec<Node>, Place),
    Map { entries: Vec<(Key, Node)>, key: Option<Key>, place: Place },
}

struct Reader<'a, 'v> {
    file: &'a str,
    variables: Option<Variables<'v>>,
    problems: &'a mut Problems,
    stack: Vec<Open>,
    root: Option<Node>,
    documents: u32,
}

impl Reader<'_, '_> {
    fn read(mut self, text: &str) -> Option<Node> {
        for event in Parser::new_from_str(text) {
            let (event, span) = match event {
                Ok(pair) => pair,
                Err(error) => {
                    let place = place(*error.marker());
                    self.problems.error(self.file, place, format!("not YAML: {}", error.info()));
                    return None;
                }
            };
            let at = place(span.start);
            if !self.event(event, at) {
                return None;
            }
        }
        let empty = Node { value: Value::Null, place: Place { line: 1, column: 1 }, replaced: false };
        Some(self.root.unwrap_or(empty))
    }

    /// Takes one event; false when reading on makes no sense.
    fn event(&mut self, event: Event<'_>, at: Place) -> bool {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.problems.error(self.file, at, "a second document starts, expected one");
                    return false;
                }
            }
            Event::Alias(_) => {
                let hint = "write the value out, or put shared fields into `common` or `use: name`";
                self.problems.error_hint(self.file, at, "an alias is used, expected a value", hint);
                self.add(Node { value: Value::Null, place: at, replaced: false });
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.anchor_and_tag(anchor, tag.is_some(), at);
                self.scalar(&text, style, at);
            }
            Event::SequenceStart(anchor, tag) => {
                self.anchor_and_tag(anchor, tag.is_some(), at);
                self.stack.push(Open::List(Vec::new(), at));
            }
            Event::MappingStart(anchor, tag) => {
                self.anchor_and_tag(anchor, tag.is_some(), at);
                self.stack.push(Open::Map { entries: Vec::new(), key: None, place: at });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let node = match self.stack.pop() {
                    Some(Open::List(items, place)) => {
                        Node { value: Value::List(items), place, replaced: false }
                    }
                    Some(Open::Map { entries, place, .. }) => {
                        Node { value: Value::Map(entries), place, replaced: false }
                    }
                    None => return false,
                };
                self.add(node);
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        if self.stack.len() > DEPTH_MAX {
            self.problems.error(self.file, at, format!("values are nested more than {DEPTH_MAX} deep"));
            return false;
        }
        true
    }

    fn anchor_and_tag(&mut self, anchor: usize, tag: bool, at: Place) {
        if anchor > 0 {
            self.problems.error(self.file, at, "an anchor is declared, anchors and aliases are not read");
        }
        if tag {
            self.problems.error(self.file, at, "a tag is used, tags are not read");
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, at: Place) {
        let is_key = matches!(self.stack.last(), Some(Open::Map { key: None, .. }));
        if is_key {
            if text == "<<" && style == ScalarStyle::Plain {
                self.problems.error(self.file, at, "a merge key is used, merge keys are not read");
            }
            if let Some(Open::Map { key, .. }) = self.stack.last_mut() {
                *key = Some(Key { text: text.to_owned(), place: at });
            }
            return;
        }
        let (text, replaced) = self.replace(text, at);
        let value = if style == ScalarStyle::Plain { self.resolve(&text, at) } else { Value::Text(text) };
        self.add(Node { value, place: at, replaced });
    }

    fn replace(&mut self, text: &str, at: Place) -> (String, bool) {
        let Some(variables) = self.variables.as_mut() else { return (text.to_owned(), false) };
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut replaced = false;
        while let Some(start) = rest.find("${") {
            let before = rest.get(..start).unwrap_or_default();
            if let Some(escaped) = before.strip_suffix('$') {
                out.push_str(escaped);
                out.push_str("${");
                rest = rest.get(start + 2..).unwrap_or_default();
                continue;
            }
            out.push_str(before);
            let inner = rest.get(start + 2..).unwrap_or_default();
            let Some(end) = inner.find('}') else {
                self.problems.error(self.file, at, "a `${` has no closing `}`");
                return (text.to_owned(), replaced);
            };
            let name = inner.get(..end).unwrap_or_default();
            match variables(name) {
                Some(value) => out.push_str(&value),
                None => {
                    let what = name.split(":-").next().unwrap_or(name);
                    let (message, hint) = match what.strip_prefix("file:") {
                        Some(path) => (
                            format!("the file {path} cannot be read"),
                            "write it, readable for this user, at most 64 KiB of UTF-8".to_owned(),
                        ),
                        None => (
                            format!("the variable {what} is not set"),
                            format!("set it, or give a default: ${{{what}:-value}}"),
                        ),
                    };
                    self.problems.error_hint(self.file, at, message, hint);
                    out.push_str("${");
                    out.push_str(name);
                    out.push('}');
                }
            }
            replaced = true;
            rest = inner.get(end + 1..).unwrap_or_default();
        }
        out.push_str(rest);
        (out, replaced)
    }

    fn resolve(&mut self, text: &str, at: Place) -> Value {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
            "true" | "True" | "TRUE" => return Value::Bool(true),
            "false" | "False" | "FALSE" => return Value::Bool(false),
            _ => {}
        }
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        if !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
            return Value::Text(text.to_owned());
        }
        let all_digits = unsigned.bytes().all(|byte| byte.is_ascii_digit());
        if all_digits && unsigned.len() > 1 && unsigned.starts_with('0') {
            let hint = format!("quote it to keep the zeros: \"{text}\"");
            self.problems.error_hint(self.file, at, format!("{text} is a number with leading zeros"), hint);
            return Value::Text(text.to_owned());
        }
        if crate::value::Decimal::parse(text.strip_prefix('+').unwrap_or(text)).is_ok() {
            return Value::Number(text.strip_prefix('+').unwrap_or(text).to_owned());
        }
        Value::Text(text.to_owned())
    }

    fn add(&mut self, node: Node) {
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Open::List(items, _)) => items.push(node),
            Some(Open::Map { entries, key, .. }) => match key.take() {
                Some(name) => {
                    if let Some((first, _)) = entries.iter().find(|(other, _)| other.text == name.text) {
                        let line = first.place.line;
                        let message = format!("the key {} is written twice, first in line {line}", name.text);
                        self.problems.error(self.file, name.place, message);
                    } else {
                        entries.push((name, node));
                    }
                }
                None => {
                    self.problems.error(self.file, node.place, "a key is a list or mapping, expected text");
                    *key = Some(Key { text: String::new(), place: node.place });
                }
            },
        }
    }
}

fn place(marker: saphyr_parser::Marker) -> Place {
    Place { line: marker.line() as u32, column: marker.col() as u32 + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Node>, Vec<String>) {
        let mut problems = Problems::default();
        let mut vars = |name: &str| match name {
            "PORT" => Some("8080".to_owned()),
            _ => name.split_once(":-").map(|(_, default)| default.to_owned()),
        };
        let node = parse(text.as_bytes(), "f.yaml", Some(&mut vars), &mut problems);
        (node, problems.0.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_core_schema_of_yaml_1_2_decides_types() {
        let (node, problems) = read("a: NO\nb: 1.50\nc: ~\nd: true\ne: '1'\nf: 1:30\ng: 0x1F\nh: 1e3");
        assert!(problems.is_empty(), "{problems:?}");
        let json = node.unwrap().to_serde().to_string();
        assert_eq!(json, r#"{"a":"NO","b":1.50,"c":null,"d":true,"e":"1","f":"1:30","g":"0x1F","h":1e+3}"#);
    }

    #[test]
    fn a_number_with_leading_zeros_must_be_quoted() {
        let (_, problems) = read("op:\n  - 0020");
        assert_eq!(
            problems,
            ["f.yaml:2:5: 0020 is a number with leading zeros\n  hint: quote it to keep the zeros: \"0020\""]
        );
    }

    #[test]
    fn all_problems_are_reported_with_their_places() {
        let (_, problems) = read("a: 1\na: 2\nb: &x 1\nc: *x\nd: !!str 1\n<<: {a: 1}");
        assert_eq!(problems.len(), 5, "{problems:#?}");
        assert!(problems[0].starts_with("f.yaml:2:1: the key a is written twice, first in line 1"));
    }

    #[test]
    fn variables_are_replaced_before_types_are_decided() {
        let (node, problems) = read("p: ${PORT}\nq: \"${PORT}\"\nr: ${X:-b}c\ns: $${PORT}");
        assert!(problems.is_empty(), "{problems:?}");
        let node = node.unwrap();
        assert_eq!(node.to_serde().to_string(), r#"{"p":8080,"q":"8080","r":"bc","s":"${PORT}"}"#);
        assert_eq!(node.places().1, ["/p", "/q", "/r"]);
    }

    #[test]
    fn a_missing_variable_names_itself() {
        let (_, problems) = read("p: ${NOPE}");
        assert!(problems[0].starts_with("f.yaml:1:4: the variable NOPE is not set"));
    }

    #[test]
    fn broken_yaml_is_one_problem_with_a_place() {
        let (node, problems) = read("a: [1, 2\nb: }");
        assert!(node.is_none());
        assert_eq!(problems.len(), 1);
    }

    #[test]
    fn places_are_found_by_pointer() {
        let (node, _) = read("a:\n  - x: 1\n    y/z: 2");
        let (places, _) = node.unwrap().places();
        assert_eq!(places["/a/0/y~1z"], Place { line: 3, column: 10 });
    }
}
