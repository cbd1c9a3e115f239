//! CSV files: cut into messages, each message decoded for itself.
//!
//! A row is a message: an object of texts in column order. With `group_by`, consecutive rows with
//! the same texts in those columns are one message: an object of those columns (texts of the first
//! row) and `rows`, an array of all columns of each row.
//!
//! [`CsvDocument::open`] refuses a file that cannot be cut: bad header, a quote that is not closed,
//! a totals row that is missing or does not agree. A row that is wrong in itself costs only its
//! message. Blank lines are skipped. UTF-8 and encodings of one byte per character are cut as they
//! are; other encodings are decoded as a whole first, and offsets then count bytes of the text. A line ends with
//! `\n`, `\r\n` or `\r` alone.

mod header;
mod options;
mod rows;
mod trailer;

use std::borrow::Cow;
use std::ops::Range;

use encoding_rs::{Encoding, UTF_8};

use super::{Limits, encoding};
use crate::reject::{Code, Reject};
use crate::tree::{Kind, NONE, NodeId, Span, Tree};

pub use options::{CsvOptions, Header, SkipRule, Trailer};
use rows::{BadQuote, Row, Rows};

/// One message of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvMessage {
    /// Its bytes in [`CsvDocument::bytes`], from the first byte of its first row to the last byte
    /// of its last row, without line end.
    pub range: Range<usize>,
    /// Line of its first row in the file, counted from 1. A line break in quotes counts.
    pub line: u64,
}

/// Where reading goes on; valid for the same bytes and options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CsvCursor {
    offset: usize,
    line: u64,
}

impl CsvCursor {
    /// A cursor that was stored as two numbers, see [`CsvCursor::parts`].
    #[must_use]
    pub fn from_parts(offset: u64, line: u64) -> Self {
        Self { offset: usize::try_from(offset).unwrap_or(usize::MAX), line }
    }

    /// Byte offset and line, to be stored.
    #[must_use]
    pub fn parts(self) -> (u64, u64) {
        (self.offset as u64, self.line)
    }
}

/// An open CSV file.
#[derive(Debug)]
pub struct CsvDocument<'a> {
    bytes: Cow<'a, [u8]>,
    encoding: &'static Encoding,
    limits: Limits,
    columns: Vec<String>,
    header_line: Vec<u8>,
    skip: Vec<(usize, Vec<u8>)>,
    trailer: Option<(usize, Vec<u8>)>,
    group: Vec<usize>,
    at: CsvCursor,
    rows: Rows,
    key: Vec<u8>,
}

impl<'a> CsvDocument<'a> {
    /// Opens a file and checks everything that makes it one: encoding, header, quotes, totals row.
    pub fn open(bytes: &'a [u8], options: &CsvOptions, limits: &Limits) -> Result<Self, Reject> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(Reject::new(Code::PayloadEmpty, "no rows", "a file with rows"));
        }
        let mut document = Self::with_header(bytes, options, limits)?;
        document.check(options)?;
        Ok(document)
    }

    /// Opens a file that was opened before, at a place where [`CsvDocument::cursor`] was. Only the
    /// header is read again.
    pub fn resume(
        bytes: &'a [u8],
        options: &CsvOptions,
        limits: &Limits,
        cursor: CsvCursor,
    ) -> Result<Self, Reject> {
        let mut document = Self::with_header(bytes, options, limits)?;
        if cursor.offset < document.at.offset || cursor.offset > document.bytes.len() {
            let (found, from, to) = (cursor.offset, document.at.offset, document.bytes.len());
            return Err(bad(format!("a cursor at byte {found}"), format!("one from byte {from} to {to}")));
        }
        document.at = cursor;
        Ok(document)
    }

    fn with_header(bytes: &'a [u8], options: &CsvOptions, limits: &Limits) -> Result<Self, Reject> {
        let (encoding, bom) = encoding::from_bom(bytes).unwrap_or((options.encoding, 0));
        let body = bytes.get(bom..).unwrap_or_default();
        // A mark stays in the bytes that are cut, so that offsets are those of the file.
        let (bytes, encoding, bom) = if encoding::is_cut_before_decoding(encoding) {
            (Cow::Borrowed(bytes), encoding, bom)
        } else {
            let mut text = String::new();
            encoding::decode(body, encoding, &mut text).map_err(|reject| in_line(&reject, body))?;
            (Cow::Owned(text.into_bytes()), UTF_8, 0)
        };
        let mut rows = Rows::new(options, limits.message_bytes);
        let mut at = CsvCursor { offset: bom, line: 1 };
        for _ in 0..options.skip_first {
            rows::skip_line(&bytes, &mut at);
        }
        let (columns, header_line) = header::read(&bytes, encoding, options, &mut rows, &mut at)?;
        if columns.len() > limits.keys {
            return Err(limits.too_many_keys(bom));
        }
        let column = |name: &str| {
            columns
                .iter()
                .position(|column| column == name)
                .ok_or_else(|| bad(format!("columns {}", columns.join(", ")), format!("a column {name:?}")))
        };
        let rule = |name: &str, text: &str| Ok((column(name)?, encoding.encode(text).0.into_owned()));
        let skip = options.skip_rows.iter().map(|skip| rule(&skip.column, &skip.text));
        let skip = skip.collect::<Result<_, Reject>>()?;
        let trailer = options.trailer.as_ref().map(|trailer| rule(&trailer.when.column, &trailer.when.text));
        let trailer = trailer.transpose()?;
        let group = options.group_by.iter().map(|name| column(name)).collect::<Result<Vec<_>, Reject>>()?;
        if options.group_by.iter().any(|name| name == "rows") {
            return Err(bad("group_by has a column \"rows\"", "another name: the rows have this one"));
        }
        Ok(Self {
            bytes,
            encoding,
            limits: *limits,
            columns,
            header_line,
            skip,
            trailer,
            group,
            at,
            rows,
            key: Vec::new(),
        })
    }

    /// The bytes that ranges of messages mean: the file, or its text as UTF-8 (see the module).
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Names of the columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Where the next message starts.
    #[must_use]
    pub fn cursor(&self) -> CsvCursor {
        self.at
    }

    /// The next message, not yet decoded; `None` at the end of the file.
    pub fn next_message(&mut self) -> Option<CsvMessage> {
        let mut message: Option<CsvMessage> = None;
        loop {
            let before = self.at;
            let Some(row) = self.rows.next(&self.bytes, &mut self.at) else { return message };
            if self.is_skipped() {
                continue;
            }
            let Some(open) = &mut message else {
                message = Some(CsvMessage { range: row.range, line: row.line });
                if self.group.is_empty() {
                    return message;
                }
                group_key(&self.rows, &self.group, &mut self.key);
                continue;
            };
            // A row without these cells is damaged; it stays with its group, so that the group is
            // refused and not admitted without it.
            let same = row.cells <= self.group.iter().copied().max().unwrap_or(0) || {
                let known = self.key.len();
                group_key_append(&self.rows, &self.group, &mut self.key);
                let (old, new) = self.key.split_at(known);
                let same = old == new;
                self.key.truncate(known);
                same
            };
            if !same {
                self.at = before;
                return message;
            }
            open.range.end = row.range.end;
        }
    }

    /// Whether the row just read is not part of any message.
    fn is_skipped(&self) -> bool {
        let matches = |(column, text): &(usize, Vec<u8>)| self.rows.cell(*column) == Some(text.as_slice());
        self.skip.iter().any(matches) || self.trailer.as_ref().is_some_and(matches)
    }

    /// Fills `tree` with a message of this file.
    ///
    /// Refuses with `bad_csv` if a row has too many or too few cells, and with `encoding` if one
    /// has a byte that is not valid.
    pub fn decode_message(&mut self, message: &CsvMessage, tree: &mut Tree) -> Result<(), Reject> {
        tree.clear();
        if message.range.len() > self.limits.message_bytes {
            let expected = format!("at most {} bytes", self.limits.message_bytes);
            let found = format!("{} bytes from line {} on", message.range.len(), message.line);
            return Err(Reject::new(Code::MessageTooLarge, found, expected));
        }
        let mut at = CsvCursor { offset: message.range.start, line: message.line };
        let mut list = None;
        while at.offset < message.range.end {
            let Some(row) = self.rows.next(&self.bytes, &mut at) else { break };
            if self.is_skipped() {
                continue;
            }
            let origin = row.range.start - message.range.start;
            self.check_row(&row, origin)?;
            let parent = match list {
                _ if self.group.is_empty() => NONE,
                Some(list) => list,
                None => *list.insert(self.open_group(tree, &row)?),
            };
            let object = self.add(tree, parent, "", Kind::Object, "", origin)?;
            for index in 0..row.cells {
                self.add_cell(tree, object, index, &row, origin)?;
            }
        }
        Ok(())
    }

    /// Adds the object of a group with its columns, and returns the array for its rows.
    fn open_group(&self, tree: &mut Tree, row: &Row) -> Result<NodeId, Reject> {
        let object = self.add(tree, NONE, "", Kind::Object, "", 0)?;
        for &index in &self.group {
            self.add_cell(tree, object, index, row, 0)?;
        }
        self.add(tree, object, "rows", Kind::Array, "", 0)
    }

    fn check_row(&self, row: &Row, origin: usize) -> Result<(), Reject> {
        let line = row.line;
        if row.too_large {
            let expected = format!("at most {} bytes", self.limits.message_bytes);
            return Err(Reject::new(Code::MessageTooLarge, format!("a longer row in line {line}"), expected));
        }
        if row.cells != self.columns.len() {
            let expected = format!("{} cells", self.columns.len());
            return Err(bad(format!("line {line}: {} cells", row.cells), expected).offset(origin));
        }
        let raw = self.bytes.get(row.range.clone()).unwrap_or_default();
        if let Err(wrong) = self.rows.check_quotes(raw) {
            let at = if let BadQuote::Early(at) = wrong { at } else { 0 };
            let found = format!("line {line}: a quote that ends before its cell does");
            return Err(bad(found, "a quote in a quoted cell twice").offset(origin + at));
        }
        Ok(())
    }

    fn add_cell(
        &self,
        tree: &mut Tree,
        parent: NodeId,
        index: usize,
        row: &Row,
        origin: usize,
    ) -> Result<(), Reject> {
        let cell = self.rows.cell(index).unwrap_or_default();
        let name = self.columns.get(index).map_or("", String::as_str);
        let mut decoded = String::new();
        let text = if self.encoding == UTF_8 || cell.is_ascii() {
            std::str::from_utf8(cell).map_err(|_| self.bad_cell(row, origin))?
        } else {
            encoding::decode(cell, self.encoding, &mut decoded).map_err(|_| self.bad_cell(row, origin))?;
            decoded.as_str()
        };
        if text.len() > self.limits.string_bytes {
            return Err(self.limits.string_too_long(origin));
        }
        self.add(tree, parent, name, Kind::String, text, origin).map(|_| ())
    }

    /// Names the bad byte of a row by its place in the file; the offset is that in the message.
    fn bad_cell(&self, row: &Row, origin: usize) -> Reject {
        let raw = self.bytes.get(row.range.clone()).unwrap_or_default();
        let Err(reject) = encoding::decode(raw, self.encoding, &mut String::new()) else {
            return Reject::new(
                Code::Encoding,
                format!("line {}: a bad byte", row.line),
                self.encoding.name(),
            );
        };
        let at = reject.offset.unwrap_or(0) as usize;
        let line = row.line + rows::line_ends(raw, 0..at);
        let named = encoding::bad_byte(&self.bytes, row.range.start + at, self.encoding);
        Reject { found: format!("line {line}: {}", named.found), ..named }.offset(origin + at)
    }

    fn add(
        &self,
        tree: &mut Tree,
        parent: NodeId,
        key: &str,
        kind: Kind,
        text: &str,
        origin: usize,
    ) -> Result<NodeId, Reject> {
        if tree.len() >= self.limits.nodes {
            return Err(self.limits.too_many_nodes(origin));
        }
        let key = if key.is_empty() { Span::default() } else { tree.push_text(key) };
        let text = if text.is_empty() { Span::default() } else { tree.push_text(text) };
        Ok(tree.add(parent, key, kind, text, origin as u32))
    }

    /// A message as it is stored: its header line (made up where the file has none) and its rows,
    /// which [`decode_stored`] reads again.
    #[must_use]
    pub fn stored(&self, message: &CsvMessage) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.header_line.len() + message.range.len() + 5);
        if self.encoding == UTF_8 {
            // Says so even where the options name another encoding.
            out.extend_from_slice(b"\xEF\xBB\xBF");
        }
        out.extend_from_slice(&self.header_line);
        out.push(b'\n');
        out.extend_from_slice(self.bytes.get(message.range.clone()).unwrap_or_default());
        out.push(b'\n');
        out
    }
}

/// Fills `tree` from a message that [`CsvDocument::stored`] wrote.
pub fn decode_stored(
    stored: &[u8],
    options: &CsvOptions,
    limits: &Limits,
    tree: &mut Tree,
) -> Result<(), Reject> {
    let alone = CsvOptions { header: Header::FromFile, skip_first: 0, ..options.clone() };
    let mut document = CsvDocument::with_header(stored, &alone, limits)?;
    let Some(message) = document.next_message() else {
        return Err(Reject::new(Code::PayloadEmpty, "no rows", "a header line and rows"));
    };
    document.decode_message(&message, tree)
}

fn group_key(rows: &Rows, group: &[usize], key: &mut Vec<u8>) {
    key.clear();
    group_key_append(rows, group, key);
}

/// Appends the cells of these columns, each with its length, so that they cannot run together.
fn group_key_append(rows: &Rows, group: &[usize], key: &mut Vec<u8>) {
    for &column in group {
        let cell = rows.cell(column).unwrap_or_default();
        key.extend_from_slice(&cell.len().to_le_bytes());
        key.extend_from_slice(cell);
    }
}

/// Adds the line of a bad byte of a file.
fn in_line(reject: &Reject, file: &[u8]) -> Reject {
    let line = 1 + rows::line_ends(file, 0..reject.offset.unwrap_or(0) as usize);
    Reject { found: format!("line {line}: {}", reject.found), ..reject.clone() }
}

#[cold]
fn bad(found: impl Into<String>, expected: impl Into<String>) -> Reject {
    Reject::new(Code::BadCsv, found, expected)
}

#[cfg(test)]
mod tests;
