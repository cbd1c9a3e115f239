//! What is checked over a whole file: that quotes are closed, and that a totals row agrees.

use super::rows::{BadQuote, Row};
use super::{CsvDocument, CsvOptions, Trailer, bad};
use crate::reject::Reject;
use crate::value::Decimal;

/// Sums of the columns that the trailer names.
struct Sums<'o> {
    trailer: &'o Trailer,
    columns: Vec<usize>,
    totals: Vec<Decimal>,
    /// Line of the totals row, once it was seen.
    line: Option<u64>,
}

impl CsvDocument<'_> {
    /// Reads the whole file, if something has to be checked in all of it.
    pub(super) fn check(&mut self, options: &CsvOptions) -> Result<(), Reject> {
        let quoted = options.quote.is_some_and(|quote| self.bytes.contains(&quote));
        if options.trailer.is_none() && !quoted {
            return Ok(());
        }
        let mut sums = options.trailer.as_ref().map(|trailer| self.sums(trailer)).transpose()?;
        let mut at = self.at;
        while let Some(row) = self.rows.next(&self.bytes, &mut at) {
            let last = at.offset >= self.bytes.len();
            let raw = self.bytes.get(row.range.clone()).unwrap_or_default();
            if last && self.rows.check_quotes(raw) == Err(BadQuote::Open) {
                let found = format!("line {}: a quote that is never closed", row.line);
                return Err(bad(found, "a whole file").offset(row.range.start));
            }
            if let Some(sums) = &mut sums {
                self.count(&row, sums)?;
            }
        }
        match sums {
            Some(Sums { trailer, line: None, .. }) => Err(bad(
                "no totals row",
                format!("a last row with {:?} in {:?}", trailer.when.text, trailer.when.column),
            )),
            _ => Ok(()),
        }
    }

    fn sums<'o>(&self, trailer: &'o Trailer) -> Result<Sums<'o>, Reject> {
        let column = |name: &String| {
            let found = self.columns.iter().position(|column| column == name);
            found.ok_or_else(|| bad(format!("no column {name:?}"), "the columns of the totals row"))
        };
        let columns = trailer.sums.iter().map(column).collect::<Result<Vec<_>, Reject>>()?;
        let totals = vec![Decimal::ZERO; columns.len()];
        Ok(Sums { trailer, columns, totals, line: None })
    }

    /// Adds a row to the sums, or compares them with the totals row.
    fn count(&self, row: &Row, sums: &mut Sums<'_>) -> Result<(), Reject> {
        if let Some(line) = sums.line {
            let found = format!("line {}: a row after the totals row in line {line}", row.line);
            return Err(bad(found, "the totals row at the end").offset(row.range.start));
        }
        let is = |(column, text): &(usize, Vec<u8>)| self.rows.cell(*column) == Some(text.as_slice());
        let is_trailer = self.trailer.as_ref().is_some_and(is);
        if !is_trailer && self.skip.iter().any(is) {
            return Ok(());
        }
        for (&column, total) in sums.columns.iter().zip(&mut sums.totals) {
            let cell = String::from_utf8_lossy(self.rows.cell(column).unwrap_or_default());
            let name = self.columns.get(column).map_or("", String::as_str);
            let value = number(&cell, sums.trailer).ok_or_else(|| {
                let found = format!("line {}: {cell:?} in {name:?}", row.line);
                bad(found, "a number, to compare the sum with the totals row").offset(row.range.start)
            })?;
            if !is_trailer {
                *total =
                    add(*total, value).ok_or_else(|| bad(format!("the sum of {name:?}"), "38 digits"))?;
            } else if *total != value {
                let found = format!("line {}: the total {value} of {name:?}", row.line);
                return Err(bad(found, format!("{total}, the sum of the rows")).offset(row.range.start));
            }
        }
        if is_trailer {
            sums.line = Some(row.line);
        }
        Ok(())
    }
}

/// A number in the form that the trailer declares; an empty cell is zero.
fn number(text: &str, form: &Trailer) -> Option<Decimal> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Decimal::ZERO);
    }
    let (negative, digits) = match (text.strip_prefix('-'), text.strip_suffix('-')) {
        (Some(rest), _) | (None, Some(rest)) => (true, rest),
        (None, None) => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once(form.decimal).unwrap_or((digits, "0"));
    let mut plain = String::from(if negative { "-" } else { "" });
    let from = plain.len();
    for (index, part) in whole.split(|c| Some(c) == form.group).enumerate() {
        let fits = if index == 0 { !part.is_empty() } else { part.len() == 3 };
        if !fits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        plain.push_str(part);
    }
    if whole.contains(|c| Some(c) == form.group) && whole.find(|c| Some(c) == form.group)? > 3 {
        return None;
    }
    let zeros = plain.get(from..)?.len() - plain.get(from..)?.trim_start_matches('0').len();
    let zeros = zeros.min(plain.len() - from - 1);
    plain.replace_range(from..from + zeros, "");
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    plain.push('.');
    plain.push_str(fraction);
    Decimal::parse(&plain).ok()
}

fn add(left: Decimal, right: Decimal) -> Option<Decimal> {
    let scale = left.scale().max(right.scale());
    let raise = |value: Decimal| value.coefficient().checked_mul(10_i128.checked_pow(scale - value.scale())?);
    Decimal::new(raise(left)?.checked_add(raise(right)?)?, scale).ok()
}

#[cfg(test)]
mod tests {
    use super::super::SkipRule;
    use super::*;

    #[test]
    fn numbers_are_read_only_in_the_declared_form() {
        let when = SkipRule { column: String::new(), text: String::new() };
        let form = Trailer { when, sums: Vec::new(), decimal: ',', group: Some('.') };
        let read = |text: &str| number(text, &form).map(|value| value.to_string());
        assert_eq!(read("2.703,50").as_deref(), Some("2703.5"));
        assert_eq!(read("1.234").as_deref(), Some("1234"));
        assert_eq!(read("-12,5").as_deref(), Some("-12.5"));
        assert_eq!(read("12,5-").as_deref(), Some("-12.5"));
        assert_eq!(read("007").as_deref(), Some("7"));
        assert_eq!(read("").as_deref(), Some("0"));
        for text in ["1,234.50", "12.34", "1234.567", ".5", "1,", "a", "1 2", "--1"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
