//! JSON, exactly as RFC 8259 defines it, and stricter where parsers disagree.
//!
//! Refused besides bad grammar: duplicate keys, lone surrogates, a byte order mark, NUL in keys,
//! invalid UTF-8, and numbers that are neither `i64`, `u64` nor a decimal of 38 digits.
//!
//! The message is copied once into the tree's text; a string without escapes is a range of that
//! copy. The scanner keeps no stack of its own: the open values are the parents in the tree.

use super::escape::{EscapeError, escape};
use super::keys::Keys;
use super::{Limits, encoding};
use crate::reject::{Code, Reject};
use crate::tree::{Kind, NONE, NodeId, Span, Tree};
use crate::value::Decimal;

/// Largest number of digits of an exponent, leading zeros not counted. No number with a longer one
/// fits into 38 digits, except zero.
const EXPONENT_DIGITS_MAX: usize = 9;

/// Decodes JSON messages one after the other and keeps its memory.
#[derive(Debug)]
pub struct JsonDecoder {
    limits: Limits,
    keys: Keys,
}

impl JsonDecoder {
    /// A decoder with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, keys: Keys::default() }
    }

    /// Fills `tree` from one message. The origin of each value is its byte offset.
    pub fn decode(&mut self, bytes: &[u8], tree: &mut Tree) -> Result<(), Reject> {
        tree.clear();
        self.keys.clear();
        if bytes.starts_with(b"\xEF\xBB\xBF") {
            return Err(Reject::new(Code::Bom, "a byte order mark", "JSON without one").offset(0));
        }
        self.limits.check_size(bytes)?;
        let text = encoding::utf8(bytes)?;
        tree.push_text(text);
        Scan { text, bytes, at: 0, depth: 0, tree, limits: &self.limits, keys: &mut self.keys }.document()
    }
}

struct Scan<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    tree: &'a mut Tree,
    limits: &'a Limits,
    keys: &'a mut Keys,
}

/// What follows a value.
enum After {
    /// Another value of `NodeId` with this key.
    Value(NodeId, Span),
    /// Nothing: the outermost value is complete.
    End,
}

impl Scan<'_> {
    fn document(mut self) -> Result<(), Reject> {
        let mut holder = NONE;
        let mut key = Span::default();
        loop {
            self.skip_space();
            let after = match self.bytes.get(self.at) {
                Some(b'{') => self.open(holder, key, Kind::Object)?,
                Some(b'[') => self.open(holder, key, Kind::Array)?,
                _ => {
                    self.scalar(holder, key)?;
                    self.after(holder)?
                }
            };
            match after {
                After::Value(next, name) => (holder, key) = (next, name),
                After::End => break,
            }
        }
        self.skip_space();
        if self.at < self.bytes.len() {
            return Err(self.unexpected("the end of the message"));
        }
        Ok(())
    }

    /// Begins an object or array; one that is empty is complete at once.
    fn open(&mut self, holder: NodeId, key: Span, kind: Kind) -> Result<After, Reject> {
        self.depth += 1;
        if self.depth > self.limits.depth {
            return Err(self.limits.too_deep(self.at));
        }
        let id = self.add(holder, key, kind, Span::default(), self.at)?;
        self.at += 1;
        self.skip_space();
        let close = if kind == Kind::Object { b'}' } else { b']' };
        if self.bytes.get(self.at) == Some(&close) {
            return self.close(id);
        }
        self.next_of(id, kind)
    }

    /// Reads what stands after a complete value of `holder`.
    fn after(&mut self, holder: NodeId) -> Result<After, Reject> {
        if holder == NONE {
            return Ok(After::End);
        }
        self.skip_space();
        let kind = self.tree.kind(holder);
        match (self.bytes.get(self.at), kind) {
            (Some(b','), _) => {
                self.at += 1;
                self.next_of(holder, kind)
            }
            (Some(b'}'), Kind::Object) | (Some(b']'), Kind::Array) => self.close(holder),
            (_, Kind::Object) => Err(self.unexpected("',' or '}'")),
            _ => Err(self.unexpected("',' or ']'")),
        }
    }

    /// Ends an object or array, and all that end directly after it. Not recursive: a hostile
    /// message decides how many there are.
    fn close(&mut self, id: NodeId) -> Result<After, Reject> {
        let mut closed = id;
        loop {
            self.at += 1;
            self.depth -= 1;
            let holder = self.tree.node(closed).parent;
            if holder == NONE {
                return Ok(After::End);
            }
            self.skip_space();
            match (self.bytes.get(self.at), self.tree.kind(holder)) {
                (Some(b'}'), Kind::Object) | (Some(b']'), Kind::Array) => closed = holder,
                _ => return self.after(holder),
            }
        }
    }

    /// Reads the key of the next member, where `holder` is an object.
    fn next_of(&mut self, holder: NodeId, kind: Kind) -> Result<After, Reject> {
        if kind != Kind::Object {
            return Ok(After::Value(holder, Span::default()));
        }
        self.skip_space();
        if self.bytes.get(self.at) != Some(&b'"') {
            return Err(self.unexpected("a key in quotes"));
        }
        let start = self.at;
        let key = self.string()?;
        if self.tree.span(key).contains('\0') {
            return Err(Reject::new(Code::NulInKey, "\\u0000 in a key", "a key without NUL")
                .at(self.tree.pointer(holder))
                .offset(start));
        }
        if self.tree.node(holder).children as usize >= self.limits.keys {
            return Err(self.limits.too_many_keys(start).at(self.tree.pointer(holder)));
        }
        if self.keys.is_duplicate(self.tree, holder, key) {
            let name = self.tree.span(key);
            let pointer = self.tree.pointer(holder) + "/" + &name.replace('~', "~0").replace('/', "~1");
            let found = format!("the key {name:?} twice");
            return Err(Reject::new(Code::DuplicateKey, found, "each key once").at(pointer).offset(start));
        }
        self.skip_space();
        if self.bytes.get(self.at) != Some(&b':') {
            return Err(self.unexpected("':'"));
        }
        self.at += 1;
        Ok(After::Value(holder, key))
    }

    fn scalar(&mut self, holder: NodeId, key: Span) -> Result<(), Reject> {
        let start = self.at;
        let (kind, text) = match self.bytes.get(start) {
            Some(b'"') => (Kind::String, self.string()?),
            Some(b'-' | b'0'..=b'9') => (Kind::Number, self.number()?),
            Some(b't') => (Kind::Bool(true), self.word("true")?),
            Some(b'f') => (Kind::Bool(false), self.word("false")?),
            Some(b'n') => (Kind::Null, self.word("null")?),
            _ => return Err(self.unexpected("a value")),
        };
        self.add(holder, key, kind, text, start)?;
        Ok(())
    }

    fn add(
        &mut self,
        holder: NodeId,
        key: Span,
        kind: Kind,
        text: Span,
        at: usize,
    ) -> Result<NodeId, Reject> {
        if self.tree.len() >= self.limits.nodes {
            return Err(self.limits.too_many_nodes(at));
        }
        Ok(self.tree.add(holder, key, kind, text, at as u32))
    }

    fn word(&mut self, word: &str) -> Result<Span, Reject> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(self.unexpected("a value"));
        }
        self.at += word.len();
        Ok(Span::default())
    }

    /// Reads a number and leaves it as text.
    fn number(&mut self) -> Result<Span, Reject> {
        let start = self.at;
        self.at += usize::from(self.bytes.get(self.at) == Some(&b'-'));
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        let mut exponent_digits = 0;
        let plain_end = self.at;
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            let from = self.at;
            self.digits()?;
            let digits = self.bytes.get(from..self.at).unwrap_or_default();
            exponent_digits = digits.iter().skip_while(|&&digit| digit == b'0').count();
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        let certain = self.at == plain_end && text.len() <= 38;
        if text.len() > self.limits.number_chars
            || exponent_digits > EXPONENT_DIGITS_MAX
            || !(certain || Decimal::parse(text).is_ok())
        {
            let expected =
                format!("a number of at most 38 digits and {} characters", self.limits.number_chars);
            return Err(Reject::new(Code::NumberTooLong, text, expected).offset(start));
        }
        Ok(Span { start: start as u32, len: text.len() as u32 })
    }

    fn digits(&mut self) -> Result<(), Reject> {
        let from = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == from { Err(self.unexpected("a digit")) } else { Ok(()) }
    }

    /// Reads a string from its opening to behind its closing quote.
    fn string(&mut self) -> Result<Span, Reject> {
        let start = self.at;
        self.at += 1;
        let end = special(self.bytes, self.at);
        let span = if self.bytes.get(end) == Some(&b'"') {
            let span = Span { start: self.at as u32, len: (end - self.at) as u32 };
            self.at = end + 1;
            span
        } else {
            self.escaped_string(end)?
        };
        if span.len as usize > self.limits.string_bytes {
            return Err(self.limits.string_too_long(start));
        }
        Ok(span)
    }

    /// Reads a string whose first escape, control character or end of message is at `stop`.
    fn escaped_string(&mut self, mut stop: usize) -> Result<Span, Reject> {
        let start = self.tree.text_len();
        loop {
            let text = self.text;
            self.tree.push_text(text.get(self.at..stop).unwrap_or_default());
            self.at = stop;
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Span { start: start as u32, len: (self.tree.text_len() - start) as u32 });
                }
                Some(b'\\') => {
                    let character = self.escape()?;
                    self.tree.text_mut().push(character);
                }
                Some(_) => return Err(self.unexpected("control characters escaped")),
                None => return Err(self.unexpected("'\"' at the end of the text")),
            }
            stop = special(self.bytes, self.at);
        }
    }

    fn escape(&mut self) -> Result<char, Reject> {
        let start = self.at;
        match escape(self.rest()) {
            Ok((character, length)) => {
                self.at += length;
                Ok(character)
            }
            Err(EscapeError::Unknown) => {
                self.at = start + 1;
                Err(self.unexpected("one of \" \\ / b f n r t u after '\\'"))
            }
            Err(EscapeError::Hex(at)) => {
                self.at = start + at;
                Err(self.unexpected("four hexadecimal digits after '\\u'"))
            }
            Err(EscapeError::LoneSurrogate(first)) => {
                let found = format!("\\u{first:04X}");
                Err(Reject::new(Code::LoneSurrogate, found, "both halves of a surrogate pair").offset(start))
            }
        }
    }

    #[inline]
    fn skip_space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    #[cold]
    fn unexpected(&self, expected: &str) -> Reject {
        let found = match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some(character) => format!("{character:?} at offset {}", self.at),
            None => "the end of the message".to_owned(),
        };
        Reject::new(Code::BadJson, found, expected).offset(self.at)
    }
}

/// First byte from `at` on that is a quote, a backslash or a control character, or the end.
/// Looks at eight bytes at a time.
fn special(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        // A borrow can flag a byte wrongly only above one that is flagged rightly, so the lowest is right.
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let quote = word ^ (ONES * u64::from(b'"'));
        let backslash = word ^ (ONES * u64::from(b'\\'));
        let zero = |value: u64| value.wrapping_sub(ONES) & !value;
        let hit = (control | zero(quote) | zero(backslash)) & HIGHS;
        if hit != 0 {
            return at + hit.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|&byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        at += 1;
    }
    at
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
