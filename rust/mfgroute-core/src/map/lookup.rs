//! Cross-reference tables: items, units, work centers, locations.
//!
//! A table is a CSV file with a header row. The first *n* columns are the key, where *n* is the number of
//! keys that the mapping gives; one table may be used with different *n*.

use std::collections::HashMap;

use crate::identity;
use crate::problem::{Place, Problems};

/// Separates key parts; the decoder refuses it in CSV tables.
pub const SEPARATOR: char = '\u{1f}';

/// A table as it was read.
#[derive(Debug)]
pub struct Table {
    /// Name: the file name without its ending.
    pub name: String,
    /// Hash of the file, shown as its version.
    pub version: String,
    file: String,
    columns: Vec<String>,
    rows: Vec<(u32, Vec<String>)>,
}

/// A table prepared for keys of one length and one result column.
#[derive(Debug)]
pub struct Index {
    /// Name of the table.
    pub table: String,
    rows: HashMap<String, Vec<String>>,
    keys: usize,
    columns: Vec<String>,
}

impl Table {
    /// Reads a table; mistakes are noted in `problems`.
    pub fn parse(name: &str, file: &str, bytes: &[u8], problems: &mut Problems) -> Option<Self> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let line = before.iter().filter(|&&byte| byte == b'\n').count() as u32 + 1;
                problems.error(file, Place { line, column: 1 }, "the table is not UTF-8");
                return None;
            }
        };
        let mut table = Self {
            name: name.to_owned(),
            version: format!("{:016x}", identity::fingerprint(bytes) >> 64),
            file: file.to_owned(),
            columns: Vec::new(),
            rows: Vec::new(),
        };
        if let Some(line) = open_quote(text) {
            problems.error(file, Place { line, column: 1 }, "a quote is opened and never closed");
            return None;
        }
        for (line, row) in rows(text) {
            if row.len() == 1 && row.first().is_some_and(String::is_empty) {
                continue;
            }
            if table.columns.is_empty() {
                if let Some(twice) = twice(&row) {
                    let place = Place { line, column: 1 };
                    problems.error(file, place, format!("the header has the column {twice} twice"));
                }
                table.columns = row;
                continue;
            }
            if row.len() != table.columns.len() {
                let (found, expected) = (row.len(), table.columns.len());
                let place = Place { line, column: 1 };
                problems.error(file, place, format!("the row has {found} cells, the header has {expected}"));
                continue;
            }
            if row.iter().any(|cell| cell.contains(SEPARATOR)) {
                problems.error(file, Place { line, column: 1 }, "a cell holds the control character U+001F");
                continue;
            }
            table.rows.push((line, row));
        }
        if table.columns.is_empty() {
            problems.error(file, Place { line: 1, column: 1 }, "the table has no header row");
            return None;
        }
        Some(table)
    }

    /// The file it was read from, for problems.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Each row with the line it starts in.
    pub fn rows(&self) -> impl Iterator<Item = (u32, &[String])> {
        self.rows.iter().map(|(line, row)| (*line, row.as_slice()))
    }

    /// The names of its columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Notes rows that no lookup could tell apart, whatever its keys: only the last column differs, or none.
    pub fn check_unused(&self, problems: &mut Problems) {
        // Too few columns are told where the table is used.
        let _ = self.index(self.columns.len().saturating_sub(1).max(1), problems);
    }

    /// Prepares the table for `keys` key parts. Two rows with the same key are a problem.
    ///
    /// # Errors
    ///
    /// A sentence when the table has too few columns.
    pub fn index(&self, keys: usize, problems: &mut Problems) -> Result<Index, String> {
        if keys == 0 || keys > self.columns.len() {
            return Err(format!(
                "table {} has {} columns, {keys} keys are given",
                self.name,
                self.columns.len()
            ));
        }
        let mut rows = HashMap::with_capacity(self.rows.len());
        let mut first_lines: HashMap<String, u32> = HashMap::new();
        for (line, row) in &self.rows {
            let key = row.get(..keys).unwrap_or_default().join(&SEPARATOR.to_string());
            if let Some(first) = first_lines.get(&key) {
                let shown = row.get(..keys).unwrap_or_default().join(", ");
                let place = Place { line: *line, column: 1 };
                problems.error_hint(
                    &self.file,
                    place,
                    format!("the key {shown} is there twice, first in line {first}"),
                    "remove one of the two rows, or look up by more columns",
                );
                continue;
            }
            first_lines.insert(key.clone(), *line);
            rows.insert(key, row.clone());
        }
        Ok(Index { table: self.name.clone(), rows, keys, columns: self.columns.clone() })
    }
}

impl Index {
    /// The number of a result column. Without a name, the only column that is not a key.
    ///
    /// # Errors
    ///
    /// A sentence that lists the columns.
    pub fn column(&self, name: Option<&str>) -> Result<usize, String> {
        let Some(name) = name else {
            return if self.columns.len() == self.keys + 1 {
                Ok(self.keys)
            } else {
                let rest = self.columns.get(self.keys..).unwrap_or_default().join(", ");
                Err(format!("table {} has several columns to take ({rest}), expected `take`", self.table))
            };
        };
        self.columns.iter().position(|column| column == name).ok_or_else(|| {
            format!("table {} has no column {name}, it has {}", self.table, self.columns.join(", "))
        })
    }

    /// The cell of a row, if the table has the key.
    #[must_use]
    pub fn get(&self, key: &str, column: usize) -> Option<&str> {
        self.rows.get(key)?.get(column).map(String::as_str)
    }
}

/// A key for people: its parts with commas.
#[must_use]
pub fn shown(key: &str) -> String {
    key.replace(SEPARATOR, ", ")
}

/// A name that is there twice.
fn twice(names: &[String]) -> Option<&String> {
    names
        .iter()
        .enumerate()
        .find(|(index, name)| names.iter().take(*index).any(|other| other == *name))
        .map(|(_, n)| n)
}

/// The line of a quote that is never closed.
fn open_quote(text: &str) -> Option<u32> {
    let mut line = 1;
    let mut opened = None;
    for byte in text.bytes() {
        match byte {
            b'"' => opened = if opened.is_some() { None } else { Some(line) },
            b'\n' => line += 1,
            _ => {}
        }
    }
    opened
}

/// The rows of a comma-separated table with the line each starts in.
fn rows(text: &str) -> Vec<(u32, Vec<String>)> {
    let mut out = Vec::new();
    let mut reader = csv_core::Reader::new();
    // With a line end at its end, no record is left open when the input is used up.
    let text = if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
    let mut input = text.as_bytes();
    let (mut cells, mut buffer, mut ends) = (Vec::new(), vec![0_u8; text.len() + 1], [0_usize; 64]);
    let mut line = 1_u32;
    loop {
        let (result, read, _, fields) = reader.read_record(input, &mut buffer, &mut ends);
        let consumed = input.get(..read).unwrap_or_default();
        input = input.get(read..).unwrap_or_default();
        let start = line + consumed.iter().take_while(|&&byte| byte == b'\n').count() as u32;
        line += consumed.iter().filter(|&&byte| byte == b'\n').count() as u32;
        match result {
            csv_core::ReadRecordResult::Record => {
                let mut from = 0;
                for &end in ends.get(..fields).unwrap_or_default() {
                    let cell = buffer.get(from..end).unwrap_or_default();
                    cells.push(String::from_utf8_lossy(cell).into_owned());
                    from = end;
                }
                out.push((start, std::mem::take(&mut cells)));
            }
            csv_core::ReadRecordResult::InputEmpty if read > 0 => {}
            _ => return out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> (Option<Table>, Problems) {
        let mut problems = Problems::default();
        let table = Table::parse("t", "lookups/t.csv", text.as_bytes(), &mut problems);
        (table, problems)
    }

    #[test]
    fn a_row_is_found_by_several_keys() {
        let (table, problems) = table("site,code,wc\nDE07,\"Mischer 4; Nord\",10-MIX04\nDE04,P,20-PRS07");
        assert!(problems.0.is_empty());
        let index = table.unwrap().index(2, &mut Problems::default()).unwrap();
        let key = ["DE07", "Mischer 4; Nord"].join(&SEPARATOR.to_string());
        assert_eq!(index.get(&key, index.column(None).unwrap()), Some("10-MIX04"));
        assert_eq!(index.get("DE07", 2), None);
    }

    #[test]
    fn a_key_that_is_there_twice_is_a_problem_with_its_line() {
        let (table, _) = table("a,b\n1,2\n\n1,3\n");
        let mut problems = Problems::default();
        table.unwrap().index(1, &mut problems).unwrap();
        let found = problems.0[0].to_string();
        assert!(
            found.starts_with("lookups/t.csv:4:1: the key 1 is there twice, first in line 2\n"),
            "{found}"
        );
    }

    #[test]
    fn a_short_row_is_a_problem_with_its_line() {
        let (_, problems) = table("a,b\n1\n");
        assert_eq!(problems.0[0].to_string(), "lookups/t.csv:2:1: the row has 1 cells, the header has 2");
    }

    #[test]
    fn the_column_to_take_must_be_clear() {
        let (table, _) = table("a,b,c\n1,2,3\n");
        let index = table.unwrap().index(1, &mut Problems::default()).unwrap();
        assert!(index.column(None).unwrap_err().contains("b, c"));
        assert_eq!(index.column(Some("c")).unwrap(), 2);
    }
}
