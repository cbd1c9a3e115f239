//! The value tree: what every decoder fills, every path walks and every mapping writes.
//!
//! A tree owns one text buffer and one list of nodes. It is cleared and filled again for each
//! message, so a warm tree allocates nothing. JSON, CSV and XML use the same shapes:
//!
//! | input | node |
//! |---|---|
//! | JSON object / array / string / number / bool / null | the kind of the same name |
//! | XML element with attributes or child elements | [`Kind::Object`]; an attribute is a child with key `@name`, direct text a child with key `#text` |
//! | XML element with text only, or empty | [`Kind::String`] |
//! | repeated XML siblings | children of one object with the same key |
//! | CSV row | [`Kind::Object`] of strings, in column order |
//!
//! Numbers stay the text they arrived as; they become decimals only where someone needs them.

use std::fmt::Write as _;

/// Index of a node in its tree.
pub type NodeId = u32;

/// No node.
pub const NONE: NodeId = u32::MAX;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// JSON `null`.
    Null,
    /// JSON `true` or `false`.
    Bool(bool),
    /// A number; its text is exactly what the message said, in JSON number syntax.
    Number,
    /// Text, unescaped.
    String,
    /// An ordered list.
    Array,
    /// Named children, in document order.
    Object,
}

/// A range of the tree's text buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

/// One value.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// The text of a number or string; empty for other kinds.
    pub text: Span,
    /// The name under which the parent holds it; empty in arrays and at the root.
    pub key: Span,
    /// The value that holds it, or [`NONE`].
    pub parent: NodeId,
    /// First child, or [`NONE`].
    pub first: NodeId,
    /// Last child, or [`NONE`].
    pub last: NodeId,
    /// Next sibling, or [`NONE`].
    pub next: NodeId,
    /// Number of children.
    pub children: u32,
    /// In a decoded tree: byte offset in the message. In a mapped tree: the [`NodeId`] of the one
    /// message value it was made of, or [`NONE`].
    pub origin: u32,
}

/// One decoded message, or the `data` a mapping made of it.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    nodes: Vec<Node>,
    text: String,
}

impl Tree {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all values and keeps the memory.
    pub fn clear(&mut self) {
        self.nodes.clear();
        self.text.clear();
    }

    /// The outermost value, if there is one.
    #[must_use]
    pub fn root(&self) -> Option<NodeId> {
        (!self.nodes.is_empty()).then_some(0)
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// A value by its index. An index of another tree is a bug of the caller and panics.
    #[must_use]
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "node ids come from this tree")]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    /// What a value is.
    #[must_use]
    #[inline]
    pub fn kind(&self, id: NodeId) -> Kind {
        self.node(id).kind
    }

    /// Text of a number or string, `true`/`false` of a bool, empty for other kinds.
    #[must_use]
    #[inline]
    pub fn text(&self, id: NodeId) -> &str {
        let node = self.node(id);
        match node.kind {
            Kind::Bool(true) => "true",
            Kind::Bool(false) => "false",
            _ => self.span(node.text),
        }
    }

    /// The name under which the parent holds a value.
    #[must_use]
    #[inline]
    pub fn key(&self, id: NodeId) -> &str {
        self.span(self.node(id).key)
    }

    /// A range of the text buffer.
    #[must_use]
    #[inline]
    pub fn span(&self, span: Span) -> &str {
        &self.text[span.start as usize..(span.start + span.len) as usize]
    }

    /// Copies text into the buffer.
    #[inline]
    pub fn push_text(&mut self, text: &str) -> Span {
        let start = self.text.len() as u32;
        self.text.push_str(text);
        Span { start, len: text.len() as u32 }
    }

    /// The text buffer, for decoders and formatters that write into it directly: everything
    /// between the length before and after makes one [`Span`].
    pub fn text_mut(&mut self) -> &mut String {
        &mut self.text
    }

    /// Number of bytes in the text buffer.
    #[must_use]
    pub fn text_len(&self) -> usize {
        self.text.len()
    }

    /// Appends a value as the last child of `parent` ([`NONE`] for the root) and returns it.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "node ids come from this tree")]
    pub fn add(&mut self, parent: NodeId, key: Span, kind: Kind, text: Span, origin: u32) -> NodeId {
        let id = self.nodes.len() as NodeId;
        self.nodes.push(Node {
            kind,
            text,
            key,
            parent,
            first: NONE,
            last: NONE,
            next: NONE,
            children: 0,
            origin,
        });
        if parent != NONE {
            let last = self.nodes[parent as usize].last;
            if last == NONE {
                self.nodes[parent as usize].first = id;
            } else {
                self.nodes[last as usize].next = id;
            }
            let holder = &mut self.nodes[parent as usize];
            holder.last = id;
            holder.children += 1;
        }
        id
    }

    /// Adds a value that `parent` does not list among its children: a part of a text that was taken
    /// apart. Its pointer is that of `parent`.
    #[expect(clippy::indexing_slicing, reason = "node ids come from this tree")]
    pub fn add_detached(&mut self, parent: NodeId, kind: Kind, text: Span) -> NodeId {
        let id = self.add(NONE, Span::default(), kind, text, NONE);
        self.nodes[id as usize].parent = parent;
        id
    }

    /// Says what message value a value is made of.
    #[expect(clippy::indexing_slicing, reason = "node ids come from this tree")]
    pub fn set_origin(&mut self, id: NodeId, origin: u32) {
        self.nodes[id as usize].origin = origin;
    }

    /// Changes what a value is: a decoder learns only at its end that an XML element is text.
    #[expect(clippy::indexing_slicing, reason = "node ids come from this tree")]
    pub fn set(&mut self, id: NodeId, kind: Kind, text: Span) {
        let node = &mut self.nodes[id as usize];
        node.kind = kind;
        node.text = text;
    }

    /// The children of a value, in order.
    #[inline]
    pub fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let mut next = self.node(id).first;
        std::iter::from_fn(move || {
            (next != NONE).then(|| {
                let current = next;
                next = self.node(current).next;
                current
            })
        })
    }

    /// The first child with this name.
    #[must_use]
    pub fn child(&self, id: NodeId, key: &str) -> Option<NodeId> {
        self.children(id).find(|&child| self.key(child) == key)
    }

    /// RFC 6901 pointer to a value. A repeated XML sibling carries its index: `/Item/1/ID`.
    #[must_use]
    pub fn pointer(&self, id: NodeId) -> String {
        let mut chain = Vec::new();
        let mut at = id;
        while at != NONE {
            chain.push(at);
            at = self.node(at).parent;
        }
        let mut out = String::new();
        for &step in chain.iter().rev().skip(1) {
            let parent = self.node(step).parent;
            if !matches!(self.kind(parent), Kind::Array | Kind::Object) {
                continue;
            }
            if self.kind(parent) == Kind::Array {
                let index = self.children(parent).take_while(|&c| c != step).count();
                let _ = write!(out, "/{index}");
                continue;
            }
            let key = self.key(step);
            out.push('/');
            out.push_str(&key.replace('~', "~0").replace('/', "~1"));
            let twins = self.children(parent).filter(|&c| self.key(c) == key).count();
            if twins > 1 {
                let index =
                    self.children(parent).take_while(|&c| c != step).filter(|&c| self.key(c) == key).count();
                let _ = write!(out, "/{index}");
            }
        }
        out
    }

    /// Writes a value as compact JSON. Control characters, DEL, U+2028 and U+2029 are escaped;
    /// everything else is UTF-8.
    pub fn write_json(&self, id: NodeId, out: &mut Vec<u8>) {
        match self.kind(id) {
            Kind::Null => out.extend_from_slice(b"null"),
            Kind::Bool(true) => out.extend_from_slice(b"true"),
            Kind::Bool(false) => out.extend_from_slice(b"false"),
            Kind::Number => out.extend_from_slice(self.text(id).as_bytes()),
            Kind::String => write_json_string(self.text(id), out),
            Kind::Array => {
                out.push(b'[');
                for (index, child) in self.children(id).enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    self.write_json(child, out);
                }
                out.push(b']');
            }
            Kind::Object => {
                out.push(b'{');
                for (index, child) in self.children(id).enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    write_json_string(self.key(child), out);
                    out.push(b':');
                    self.write_json(child, out);
                }
                out.push(b'}');
            }
        }
    }

    /// A value as compact JSON text.
    #[must_use]
    pub fn json(&self, id: NodeId) -> String {
        let mut out = Vec::new();
        self.write_json(id, &mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    /// Copies a value of another tree, with everything below it, under `parent`.
    /// `origin` says what message value it is made of.
    pub fn copy(&mut self, parent: NodeId, key: Span, from: &Tree, id: NodeId, origin: u32) -> NodeId {
        let node = from.node(id);
        let text = self.push_text(from.span(node.text));
        let copied = self.add(parent, key, node.kind, text, origin);
        let children: Vec<NodeId> = from.children(id).collect();
        for child in children {
            let name = self.push_text(from.key(child));
            self.copy(copied, name, from, child, child);
        }
        copied
    }

    /// A value as `serde_json`, numbers with all their digits.
    #[must_use]
    pub fn to_serde(&self, id: NodeId) -> serde_json::Value {
        use serde_json::Value;
        match self.kind(id) {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(value),
            Kind::Number => serde_json::from_str(self.text(id)).unwrap_or(Value::Null),
            Kind::String => Value::String(self.text(id).to_owned()),
            Kind::Array => Value::Array(self.children(id).map(|child| self.to_serde(child)).collect()),
            Kind::Object => Value::Object(
                self.children(id).map(|child| (self.key(child).to_owned(), self.to_serde(child))).collect(),
            ),
        }
    }

    /// Fills the tree from `serde_json`, for examples and tests written in YAML.
    pub fn add_serde(&mut self, parent: NodeId, key: &str, value: &serde_json::Value) -> NodeId {
        let key = self.push_text(key);
        self.add_serde_at(parent, key, value)
    }

    /// As [`Tree::add_serde`], with the key already in the text buffer.
    pub fn add_serde_at(&mut self, parent: NodeId, key: Span, value: &serde_json::Value) -> NodeId {
        use serde_json::Value;
        let (kind, text) = match value {
            Value::Null => (Kind::Null, Span::default()),
            Value::Bool(value) => (Kind::Bool(*value), Span::default()),
            Value::Number(number) => (Kind::Number, self.push_text(&number.to_string())),
            Value::String(text) => (Kind::String, self.push_text(text)),
            Value::Array(_) => (Kind::Array, Span::default()),
            Value::Object(_) => (Kind::Object, Span::default()),
        };
        let id = self.add(parent, key, kind, text, NONE);
        match value {
            Value::Array(items) => {
                for item in items {
                    self.add_serde(id, "", item);
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    self.add_serde(id, name, member);
                }
            }
            _ => {}
        }
        id
    }
}

/// Whether a text is written as it stands: ASCII without quotes, backslashes, control characters and DEL.
fn is_clean(text: &[u8]) -> bool {
    let odd = |byte: u8| !matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~');
    // Without an early end, so that many bytes are looked at at once.
    text.iter().fold(0, |found, &byte| found | u8::from(odd(byte))) == 0
}

/// Writes `text` as a JSON string with quotes.
pub fn write_json_string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    if is_clean(bytes) {
        out.extend_from_slice(bytes);
        out.push(b'"');
        return;
    }
    let mut clean_from = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let separator = byte == 0xE2
            && bytes.get(at + 1) == Some(&0x80)
            && matches!(bytes.get(at + 2), Some(&(0xA8 | 0xA9)));
        if byte >= 0x20 && byte != b'"' && byte != b'\\' && byte != 0x7F && !separator {
            at += 1;
            continue;
        }
        out.extend_from_slice(bytes.get(clean_from..at).unwrap_or_default());
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0xE2 => {
                out.extend_from_slice(if bytes.get(at + 2) == Some(&0xA8) { b"\\u2028" } else { b"\\u2029" });
                at += 2;
            }
            _ => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX.get(usize::from(byte >> 4)).copied().unwrap_or(b'0'));
                out.push(HEX.get(usize::from(byte & 15)).copied().unwrap_or(b'0'));
            }
        }
        at += 1;
        clean_from = at;
    }
    out.extend_from_slice(bytes.get(clean_from..).unwrap_or_default());
    out.push(b'"');
}
