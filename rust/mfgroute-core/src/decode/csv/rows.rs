//! Cuts bytes into rows and cells, on `csv-core`.

use std::ops::Range;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::{CsvCursor, CsvOptions};

/// One row of a file.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Its bytes without line end.
    pub(super) range: Range<usize>,
    /// Line of its first byte.
    pub(super) line: u64,
    /// Number of cells.
    pub(super) cells: usize,
    /// Longer than a message may be; its cells are not kept.
    pub(super) too_large: bool,
}

/// Reads rows and keeps the cells of the one read last.
#[derive(Debug)]
pub(super) struct Rows {
    reader: Reader,
    delimiter: u8,
    quote: Option<u8>,
    cells_bytes_max: usize,
    cells: Vec<u8>,
    ends: Vec<usize>,
    count: usize,
}

impl Rows {
    pub(super) fn new(options: &CsvOptions, cells_bytes_max: usize) -> Self {
        let mut builder = ReaderBuilder::new();
        builder.delimiter(options.delimiter);
        match options.quote {
            Some(quote) => builder.quote(quote),
            None => builder.quoting(false),
        };
        Self {
            reader: builder.build(),
            delimiter: options.delimiter,
            quote: options.quote,
            cells_bytes_max,
            cells: vec![0; 1024],
            ends: vec![0; 64],
            count: 0,
        }
    }

    /// A cell of the row read last, without quotes.
    pub(super) fn cell(&self, index: usize) -> Option<&[u8]> {
        let ends = self.ends.get(..self.count)?;
        let end = *ends.get(index)?;
        let start = if index == 0 { 0 } else { *ends.get(index - 1)? };
        self.cells.get(start..end)
    }

    /// Reads the row at `at` and moves there behind it. Blank lines are skipped.
    pub(super) fn next(&mut self, bytes: &[u8], at: &mut CsvCursor) -> Option<Row> {
        let blank = at.offset;
        while let Some(b'\n' | b'\r') = bytes.get(at.offset) {
            at.offset += 1;
        }
        at.line += line_ends(bytes, blank..at.offset);
        let (start, line) = (at.offset, at.line);
        if start >= bytes.len() {
            self.count = 0;
            return None;
        }
        self.reader.reset();
        let (mut used, mut filled, mut count, mut too_large) = (0, 0, 0, false);
        loop {
            let rest = bytes.get(start + used..).unwrap_or_default();
            let cells = self.cells.get_mut(filled..).unwrap_or_default();
            let ends = self.ends.get_mut(count..).unwrap_or_default();
            let (result, read, written, ended) = self.reader.read_record(rest, cells, ends);
            used += read;
            filled += written;
            count += ended;
            match result {
                // All bytes were given: an empty input says so, and the row ends.
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if self.cells.len() >= self.cells_bytes_max => {
                    (filled, too_large) = (0, true);
                }
                ReadRecordResult::OutputFull => self.cells.resize(self.cells.len() * 2, 0),
                ReadRecordResult::OutputEndsFull if self.ends.len() >= self.cells_bytes_max => {
                    (count, too_large) = (0, true);
                }
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record | ReadRecordResult::End => break,
            }
        }
        let mut end = start + used;
        let raw = bytes.get(start..end).unwrap_or_default();
        at.line += line_ends(bytes, start..end);
        at.offset = end;
        // csv-core stops behind the first byte of a line end; only a last row may lack it.
        end -= usize::from(matches!(raw.last(), Some(b'\n' | b'\r')));
        self.count = if too_large { 0 } else { count };
        Some(Row { range: start..end, line, cells: self.count, too_large })
    }

    /// Checks what `csv-core` lets pass: text after a closing quote, and a quote never closed.
    pub(super) fn check_quotes(&self, raw: &[u8]) -> Result<(), BadQuote> {
        let Some(quote) = self.quote else { return Ok(()) };
        if !raw.contains(&quote) {
            return Ok(());
        }
        let mut at = 0;
        while at < raw.len() {
            if raw.get(at) != Some(&quote) {
                let cell = raw.get(at..).unwrap_or_default();
                at += cell.iter().position(|&byte| byte == self.delimiter).map_or(cell.len(), |end| end + 1);
                continue;
            }
            let Some(close) = close_of(raw, at, quote) else { return Err(BadQuote::Open) };
            match raw.get(close + 1) {
                None => return Ok(()),
                Some(&byte) if byte == self.delimiter => at = close + 2,
                Some(_) => return Err(BadQuote::Early(close)),
            }
        }
        Ok(())
    }
}

/// What is wrong with the quotes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadQuote {
    /// One is never closed: the row is the last, and the file is not whole.
    Open,
    /// The one at this byte closes before the cell ends.
    Early(usize),
}

/// Offset of the quote that closes the one at `open`. Two quotes are one character.
fn close_of(raw: &[u8], open: usize, quote: u8) -> Option<usize> {
    let mut at = open + 1;
    loop {
        at += raw.get(at..)?.iter().position(|&byte| byte == quote)?;
        if raw.get(at + 1) != Some(&quote) {
            return Some(at);
        }
        at += 2;
    }
}

/// Skips one physical line.
pub(super) fn skip_line(bytes: &[u8], at: &mut CsvCursor) {
    let rest = bytes.get(at.offset..).unwrap_or_default();
    match rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        Some(end) => {
            let both = rest.get(end..).is_some_and(|rest| rest.starts_with(b"\r\n"));
            at.offset += end + 1 + usize::from(both);
            at.line += 1;
        }
        None => at.offset = bytes.len(),
    }
}

/// Number of line ends that are over within a range: `\n`, `\r\n`, or `\r` alone, as `csv-core` ends rows.
pub(super) fn line_ends(bytes: &[u8], range: Range<usize>) -> u64 {
    let part = bytes.get(range.clone()).unwrap_or_default();
    let is_end = |(at, byte): &(usize, &u8)| match byte {
        b'\n' => true,
        b'\r' => bytes.get(range.start + at + 1) != Some(&b'\n'),
        _ => false,
    };
    part.iter().enumerate().filter(is_end).count() as u64
}
