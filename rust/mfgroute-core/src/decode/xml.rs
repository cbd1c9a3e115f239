//! XML 1.0 documents without DOCTYPE.
//!
//! The root element becomes the root of the tree, so that a path starts with the names below it.
//! Names are local names; what namespace they are in counts for the root only ([`XmlHead`]), but all
//! must be right by the rules of namespaces. Elements and attributes have the shapes listed in
//! [`crate::tree`], and:
//!
//! * an element with text only keeps the text exactly, white space included;
//! * direct text of an element with child elements is joined and trimmed; if nothing is left there
//!   is no `#text`, else it is the last child;
//! * an attribute in a namespace (`xsi:nil`) is `@` and its local name; `xmlns` is left out.
//!
//! Offsets in rejects are bytes of the message. The origin of a node is the byte offset of its
//! element in the message as UTF-8 without byte order mark, attributes included.

use encoding_rs::UTF_8;
use quick_xml::XmlVersion;
use quick_xml::errors::{IllFormedError, SyntaxError};
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};
use quick_xml::name::QName;
use quick_xml::reader::Reader;

use super::xml_names::{Name, Namespaces};
use super::{Limits, encoding, xml_encoding};
use crate::reject::{Code, Reject};
use crate::tree::{Kind, NONE, NodeId, Span, Tree};

/// What a document is, for the guards `root` and `namespace` of a mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct XmlHead {
    /// Local name of the root element.
    pub root: String,
    /// Namespace name of the root element; empty if it is in none.
    pub namespace: String,
}

/// Decodes XML messages one after the other and keeps its memory.
#[derive(Debug)]
pub struct XmlDecoder {
    limits: Limits,
    decoded: String,
    build: Build,
}

impl XmlDecoder {
    /// A decoder with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, decoded: String::new(), build: Build::default() }
    }

    /// Fills `tree` from one message; [`XmlDecoder::head`] then says what document it is.
    pub fn decode(&mut self, bytes: &[u8], tree: &mut Tree) -> Result<(), Reject> {
        tree.clear();
        self.build.clear();
        self.limits.check_size(bytes)?;
        let (encoding, bom) = xml_encoding::detect(bytes)?;
        let body = bytes.get(bom..).unwrap_or_default();
        self.decoded.clear();
        let text = if encoding == UTF_8 {
            std::str::from_utf8(body)
                .map_err(|error| encoding::bad_byte(bytes, bom + error.valid_up_to(), UTF_8))?
        } else {
            encoding::decode(body, encoding, &mut self.decoded).map_err(|reject| {
                encoding::bad_byte(bytes, bom + reject.offset.unwrap_or(0) as usize, encoding)
            })?;
            &self.decoded
        };
        read(text, tree, &self.limits, &mut self.build).map_err(|mut reject| {
            let at = reject.offset.and_then(|at| usize::try_from(at).ok());
            reject.offset = at
                .and_then(|at| encoding::original_offset(text, at, encoding, bom))
                .map(|offset| offset as u64);
            reject
        })
    }

    /// The root element of the message decoded last.
    #[must_use]
    pub fn head(&self) -> &XmlHead {
        &self.build.head
    }
}

/// What is known while a document is read.
#[derive(Debug, Default)]
struct Build {
    head: XmlHead,
    open: Vec<Open>,
    /// Direct text of all open elements, the innermost last.
    text: String,
    namespaces: Namespaces,
}

#[derive(Debug)]
struct Open {
    id: NodeId,
    text_from: usize,
    namespaces_from: usize,
    elements: bool,
}

impl Build {
    fn clear(&mut self) {
        self.head.root.clear();
        self.head.namespace.clear();
        self.open.clear();
        self.text.clear();
        self.namespaces.clear();
    }
}

fn read(text: &str, tree: &mut Tree, limits: &Limits, build: &mut Build) -> Result<(), Reject> {
    check_characters(text)?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = true;
    loop {
        let at = reader.buffer_position() as usize;
        let event = match reader.read_event() {
            Ok(event) => event,
            Err(error) => return Err(syntax(&error, reader.error_position() as usize)),
        };
        let mut element = Element { tree, limits, build, at };
        match event {
            Event::Start(start) => element.start(&start)?,
            Event::Empty(start) => {
                element.start(&start)?;
                element.end()?;
            }
            Event::End(_) => element.end()?,
            Event::Text(piece) => {
                if piece.contains("]]>") {
                    return Err(bad("']]>' in text", "']]&gt;'", at));
                }
                element.text(&piece.xml10_content())?;
            }
            Event::CData(piece) => element.cdata(&piece.xml10_content())?,
            Event::GeneralRef(reference) => element.reference(&reference)?,
            Event::Decl(declaration) => check_declaration(&declaration, at)?,
            Event::DocType(_) => return Err(doctype(at)),
            Event::Comment(_) => {}
            Event::PI(instruction) => {
                if !valid_ncname(instruction.target()) || instruction.target().eq_ignore_ascii_case("xml") {
                    return Err(bad(format!("<?{}", instruction.target()), "the name of an instruction", at));
                }
            }
            Event::Eof => break,
        }
    }
    match (build.open.last(), tree.is_empty()) {
        (Some(open), _) => Err(bad(
            "the end of the message",
            format!("the end of the element at {:?}", tree.pointer(open.id)),
            text.len(),
        )),
        (None, true) => Err(bad("no element", "a root element", text.len())),
        (None, false) => Ok(()),
    }
}

/// One event at byte `at`.
struct Element<'a> {
    tree: &'a mut Tree,
    limits: &'a Limits,
    build: &'a mut Build,
    at: usize,
}

impl Element<'_> {
    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), Reject> {
        let name = self.name(start.name(), self.at + 1)?;
        let local = name.local;
        if self.build.open.len() >= self.limits.depth {
            return Err(self.limits.too_deep(self.at));
        }
        let (parent, key) = if let Some(open) = self.build.open.last_mut() {
            open.elements = true;
            (open.id, self.tree.push_text(local))
        } else if self.tree.is_empty() {
            self.build.head.root.push_str(local);
            (NONE, Span::default())
        } else {
            return Err(bad(format!("a second root element <{local}>"), "the end of the message", self.at));
        };
        let id = self.add(parent, key, Kind::Object, Span::default())?;
        let (text_from, namespaces_from) = (self.build.text.len(), self.build.namespaces.len());
        self.build.open.push(Open { id, text_from, namespaces_from, elements: false });
        self.attributes(start, id)?;
        let namespace = self.build.namespaces.of_element(name)?;
        if id == 0 {
            self.build.head.namespace.push_str(namespace);
        }
        Ok(())
    }

    fn attributes(&mut self, start: &BytesStart<'_>, id: NodeId) -> Result<(), Reject> {
        let tag = start.name().into_inner().as_ptr() as usize;
        let mut prefixed: Vec<Name<'_>> = Vec::new();
        let mut read_to = start.attributes_raw().as_ptr() as usize;
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| bad(error.to_string(), "attributes", self.at))?;
            // quick-xml takes `a="1"b="2"`; the grammar wants white space between.
            let from = attribute.key.as_ref().as_ptr() as usize;
            if from == read_to {
                return Err(bad("attributes without space between", "white space", self.at));
            }
            read_to = attribute.value.as_ptr() as usize + attribute.value.len() + 1;
            if self.tree.node(id).children as usize >= self.limits.keys {
                return Err(self.limits.too_many_keys(self.at).at(self.tree.pointer(id)));
            }
            if attribute.value.contains('<') {
                return Err(bad("'<' in an attribute", "'&lt;'", self.at));
            }
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| bad(error.to_string(), "a predefined entity or a character", self.at))?;
            if !value.chars().all(is_character) {
                return Err(bad("a forbidden character in an attribute", "characters of XML 1.0", self.at));
            }
            if value.len() > self.limits.string_bytes {
                return Err(self.limits.string_too_long(self.at));
            }
            // The tag name stands one byte after the start of the element.
            let name = self.name(attribute.key, self.at + 1 + from.saturating_sub(tag))?;
            let Name { prefix, local, at } = name;
            if prefix == Some("xmlns") || (prefix.is_none() && local == "xmlns") {
                self.build.namespaces.declare(prefix.map(|_| local), &value, at, self.limits)?;
                continue;
            }
            if prefix.is_some() {
                prefixed.push(name);
            }
            let from = self.tree.text_len() as u32;
            let text = self.tree.text_mut();
            text.push('@');
            text.push_str(local);
            let key = Span { start: from, len: local.len() as u32 + 1 };
            let text = self.tree.push_text(&value);
            self.add(id, key, Kind::String, text)?;
        }
        self.build.namespaces.check_attributes(&prefixed)
    }

    fn end(&mut self) -> Result<(), Reject> {
        // quick-xml refuses an end without a start.
        let Some(open) = self.build.open.pop() else {
            return Err(bad("an end tag", "a start tag before it", self.at));
        };
        self.build.namespaces.truncate(open.namespaces_from);
        let raw = self.build.text.get(open.text_from..).unwrap_or_default();
        let text = if open.elements { raw.trim_matches(is_space) } else { raw };
        let children = self.tree.node(open.id).children;
        if children == 0 {
            let text = self.tree.push_text(text);
            self.tree.set(open.id, Kind::String, text);
        } else if !text.chars().all(is_space) {
            let text = self.tree.push_text(text);
            let key = self.tree.push_text("#text");
            self.add(open.id, key, Kind::String, text)?;
        }
        self.build.text.truncate(open.text_from);
        if children as usize > self.limits.keys {
            let names: std::collections::HashSet<&str> =
                self.tree.children(open.id).map(|child| self.tree.key(child)).collect();
            if names.len() > self.limits.keys {
                return Err(self.limits.too_many_keys(self.at).at(self.tree.pointer(open.id)));
            }
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Reject> {
        let Some(open) = self.build.open.last() else {
            if text.chars().all(is_space) {
                return Ok(());
            }
            return Err(bad("text outside the root element", "elements or the end", self.at));
        };
        self.build.text.push_str(text);
        if self.build.text.len() - open.text_from > self.limits.string_bytes {
            return Err(self.limits.string_too_long(self.at).at(self.tree.pointer(open.id)));
        }
        Ok(())
    }

    fn cdata(&mut self, text: &str) -> Result<(), Reject> {
        if self.build.open.is_empty() {
            return Err(bad("CDATA outside the root element", "elements or the end", self.at));
        }
        self.text(text)
    }

    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<(), Reject> {
        let expected = "lt, gt, amp, apos, quot or the number of a character";
        let unknown = || bad(format!("entity &{};", reference.as_ref()), expected, self.at);
        let character = match reference.as_ref() {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "apos" => '\'',
            "quot" => '"',
            _ => reference
                .resolve_char_ref()
                .ok()
                .flatten()
                .filter(|&character| is_character(character))
                .ok_or_else(unknown)?,
        };
        // As CDATA, because `&#32;` outside the root is not white space either.
        self.cdata(character.encode_utf8(&mut [0; 4]))
    }

    fn name<'n>(&self, QName(full): QName<'n>, at: usize) -> Result<Name<'n>, Reject> {
        let (prefix, local) = match full.split_once(':') {
            Some((prefix, local)) => (Some(prefix), local),
            None => (None, full),
        };
        if !prefix.is_none_or(valid_ncname) || !valid_ncname(local) {
            return Err(bad(format!("the name {full:?}"), "an XML name", at));
        }
        if local.len() >= self.limits.string_bytes {
            return Err(self.limits.string_too_long(at));
        }
        Ok(Name { prefix, local, at })
    }

    fn add(&mut self, parent: NodeId, key: Span, kind: Kind, text: Span) -> Result<NodeId, Reject> {
        if self.tree.len() >= self.limits.nodes {
            return Err(self.limits.too_many_nodes(self.at));
        }
        Ok(self.tree.add(parent, key, kind, text, self.at as u32))
    }
}

fn check_declaration(declaration: &BytesDecl<'_>, at: usize) -> Result<(), Reject> {
    if at != 0 {
        return Err(bad("an XML declaration", "it at the very beginning only", at));
    }
    match declaration.version() {
        Ok(version) if version.starts_with("1.") => Ok(()),
        Ok(version) => Err(bad(format!("version {version:?}"), "version 1.0", at)),
        Err(error) => Err(bad(error.to_string(), "version 1.0", at)),
    }
}

/// Refuses characters that XML 1.0 forbids: most control characters, U+FFFE and U+FFFF.
fn check_characters(text: &str) -> Result<(), Reject> {
    let suspect = |&byte: &u8| byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r') || byte == 0xEF;
    let Some(from) = text.as_bytes().iter().position(suspect) else { return Ok(()) };
    let rest = text.get(from..).unwrap_or_default();
    match rest.char_indices().find(|&(_, character)| !is_character(character)) {
        Some((at, character)) => {
            Err(bad(format!("character U+{:04X}", u32::from(character)), "characters of XML 1.0", from + at))
        }
        None => Ok(()),
    }
}

fn is_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

/// Whether this is a name without colon. Beyond ASCII, letters and digits of Unicode are taken.
fn valid_ncname(name: &str) -> bool {
    let first = |c: char| c == '_' || c.is_ascii_alphabetic() || (!c.is_ascii() && c.is_alphabetic());
    let other = |c: char| {
        first(c)
            || matches!(c, '0'..='9' | '-' | '.' | '\u{B7}' | '\u{300}'..='\u{36F}')
            || (!c.is_ascii() && c.is_alphanumeric())
    };
    name.starts_with(first) && name.chars().all(other)
}

#[cold]
pub(super) fn bad(found: impl Into<String>, expected: impl Into<String>, at: usize) -> Reject {
    Reject::new(Code::BadXml, found, expected).offset(at)
}

#[cold]
fn doctype(at: usize) -> Reject {
    Reject::new(Code::Doctype, "a DOCTYPE", "a document without DOCTYPE, which is never read").offset(at)
}

#[cold]
fn syntax(error: &quick_xml::Error, at: usize) -> Reject {
    match error {
        quick_xml::Error::Syntax(SyntaxError::UnclosedDoctype)
        | quick_xml::Error::IllFormed(IllFormedError::MissingDoctypeName) => doctype(at),
        _ => bad(error.to_string(), "well-formed XML", at),
    }
}

#[cfg(test)]
#[path = "xml_tests.rs"]
mod tests;
