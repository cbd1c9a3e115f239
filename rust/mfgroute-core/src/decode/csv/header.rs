//! Names of the columns.

use encoding_rs::Encoding;

use super::rows::Rows;
use super::{CsvCursor, CsvOptions, Header, bad, in_line};
use crate::decode::encoding;
use crate::reject::Reject;

/// Names of the columns and the line that says them. Leaves `at` at the first row of values.
pub(super) fn read(
    bytes: &[u8],
    encoding: &'static Encoding,
    options: &CsvOptions,
    rows: &mut Rows,
    at: &mut CsvCursor,
) -> Result<(Vec<String>, Vec<u8>), Reject> {
    let names = match &options.header {
        Header::FromFile => {
            let Some(row) = rows.next(bytes, at) else { return Err(bad("no rows", "a header row")) };
            let raw = bytes.get(row.range.clone()).unwrap_or_default();
            encoding::decode(raw, encoding, &mut String::new()).map_err(|reject| {
                let at = row.range.start + reject.offset.unwrap_or(0) as usize;
                in_line(&encoding::bad_byte(bytes, at, encoding), bytes)
            })?;
            rows.check_quotes(raw)
                .map_err(|_| bad(format!("line {}: a wrong quote", row.line), "a header row"))?;
            let names = (0..row.cells).map(|index| {
                let mut name = String::new();
                encoding::decode(rows.cell(index).unwrap_or_default(), encoding, &mut name).map(|()| name)
            });
            let names = names.collect::<Result<Vec<_>, Reject>>()?;
            check_names(&names, row.line)?;
            return Ok((names, raw.to_vec()));
        }
        Header::None => {
            let mut ahead = *at;
            let cells = rows.next(bytes, &mut ahead).map_or(0, |row| row.cells);
            (1..=cells).map(|number| format!("c{number}")).collect()
        }
        Header::Names(names) => names.clone(),
    };
    check_names(&names, at.line)?;
    let line = encoding.encode(&options.line(&names)).0.into_owned();
    Ok((names, line))
}

fn check_names(names: &[String], line: u64) -> Result<(), Reject> {
    for (index, name) in names.iter().enumerate() {
        if name.trim().is_empty() {
            return Err(bad(
                format!("line {line}: no name of column {}", index + 1),
                "a name for each column",
            ));
        }
        if names.iter().take(index).any(|earlier| earlier == name) {
            return Err(bad(format!("line {line}: the column {name:?} twice"), "each name once"));
        }
    }
    Ok(())
}
