//! How a CSV file is written.

use encoding_rs::{Encoding, UTF_8};

/// How a CSV file is written and which rows of it are messages.
#[derive(Clone, Debug)]
pub struct CsvOptions {
    /// Between cells; an ASCII character.
    pub delimiter: u8,
    /// Around cells that hold delimiters or line ends; `None`: a quote is a character like any.
    pub quote: Option<u8>,
    /// Of the file, unless it starts with a byte order mark.
    pub encoding: &'static Encoding,
    /// Where the names of the columns come from.
    pub header: Header,
    /// Lines before the header (or the first row) that mean nothing.
    pub skip_first: usize,
    /// Rows that are no messages.
    pub skip_rows: Vec<SkipRule>,
    /// Columns whose texts tell which consecutive rows are one message; empty: each row is one.
    pub group_by: Vec<String>,
    /// The last row holds totals, which are checked.
    pub trailer: Option<Trailer>,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            delimiter: b',',
            quote: Some(b'"'),
            encoding: UTF_8,
            header: Header::FromFile,
            skip_first: 0,
            skip_rows: Vec::new(),
            group_by: Vec::new(),
            trailer: None,
        }
    }
}

impl CsvOptions {
    /// A row with these cells.
    pub(super) fn line(&self, cells: &[String]) -> String {
        let delimiter = char::from(self.delimiter);
        let mut out = String::new();
        for (index, cell) in cells.iter().enumerate() {
            if index > 0 {
                out.push(delimiter);
            }
            match self.quote.map(char::from) {
                Some(quote) if cell.contains([delimiter, quote, '\n', '\r']) => {
                    out.push(quote);
                    out.push_str(&cell.replace(quote, &format!("{quote}{quote}")));
                    out.push(quote);
                }
                _ => out.push_str(cell),
            }
        }
        out
    }
}

/// Where the names of the columns come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header {
    /// The first row holds them.
    FromFile,
    /// There are none: the columns are `c1`, `c2`, … as many as the first row has.
    None,
    /// The configuration says them; all rows hold values.
    Names(Vec<String>),
}

/// A row with exactly this text in this column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkipRule {
    /// Name of the column.
    pub column: String,
    /// Its whole text.
    pub text: String,
}

/// A last row that holds totals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Which row it is. It is no message.
    pub when: SkipRule,
    /// Columns in which it holds the sum of all rows that are messages.
    pub sums: Vec<String>,
    /// Between whole and fraction of these numbers.
    pub decimal: char,
    /// Between groups of three digits, where there are such.
    pub group: Option<char>,
}
