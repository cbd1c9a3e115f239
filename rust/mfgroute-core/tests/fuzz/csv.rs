//! CSV files, cut into messages.

use encoding_rs::{SHIFT_JIS, UTF_8, UTF_16LE, WINDOWS_1252};
use mfgroute_core::decode::Limits;
use mfgroute_core::decode::csv::{
    CsvCursor, CsvDocument, CsvOptions, Header, SkipRule, Trailer, decode_stored,
};
use mfgroute_core::reject::Reject;
use mfgroute_core::tree::Tree;

use crate::drive::Print;
use crate::{inside, print};

fn options(choice: u8, second: u8) -> CsvOptions {
    let names = || ["a", "b"].map(str::to_owned).to_vec();
    let rule = |text: &str| SkipRule { column: "a".to_owned(), text: text.to_owned() };
    let sums = Trailer { when: rule("sum"), sums: vec!["b".to_owned()], decimal: ',', group: Some('.') };
    CsvOptions {
        delimiter: [b',', b';', b'\t', b'|'][usize::from(choice & 3)],
        quote: [Some(b'"'), None, Some(b'\''), Some(b'"')][usize::from(choice >> 2 & 3)],
        encoding: [UTF_8, WINDOWS_1252, UTF_16LE, SHIFT_JIS][usize::from(choice >> 4 & 3)],
        header: [Header::FromFile, Header::None, Header::Names(names())][usize::from(choice >> 6 & 3) % 3]
            .clone(),
        skip_first: usize::from(second & 3) / 2,
        skip_rows: if second & 4 != 0 { vec![rule("#"), rule("")] } else { Vec::new() },
        group_by: if second & 8 != 0 { vec!["a".to_owned()] } else { Vec::new() },
        trailer: (second & 0x30 == 0x30).then_some(sums),
    }
}

/// What a message became.
fn outcome(result: Result<(), Reject>, tree: &Tree, length: usize) -> Result<String, &'static str> {
    match result {
        Ok(()) => Ok(tree.json(0)),
        Err(reject) => {
            inside(&reject, length);
            Err(reject.code.as_str())
        }
    }
}

/// Messages lie one behind the other in the file, can be gone on with at any cursor, and are read again from what
/// is stored of them.
pub(crate) fn file(bytes: &[u8]) -> Print {
    let &[choice, second, ref body @ ..] = bytes else { return print("none", 0) };
    let (options, limits) = (options(choice, second), Limits { nodes: 500, ..Limits::default() });
    let mut document = match CsvDocument::open(body, &options, &limits) {
        Ok(document) => document,
        Err(reject) => {
            inside(&reject, body.len());
            return print(reject.code.as_str(), reject.offset.unwrap_or(0) as usize);
        }
    };
    let (mut tree, mut again) = (Tree::new(), Tree::new());
    let (mut end, mut line, mut count, mut good) = (0, 0, 0, 0);
    loop {
        let (offset, at_line) = document.cursor().parts();
        let Some(message) = document.next_message() else { break };
        assert!(
            message.range.start >= end && message.range.end > message.range.start,
            "{message:?} after {end}"
        );
        assert!(
            message.range.end <= document.bytes().len() && message.line > line,
            "{message:?} after line {line}"
        );
        (end, line) = (message.range.end, message.line);
        count += 1;
        let decoded = document.decode_message(&message, &mut tree);
        let first = outcome(decoded, &tree, message.range.len().max(1));
        good += usize::from(first.is_ok());
        if count <= 20 {
            let stored = document.stored(&message);
            let read = decode_stored(&stored, &options, &limits, &mut again);
            assert_eq!(outcome(read, &again, stored.len()), first, "stored as {}", stored.escape_ascii());
            let mut rest =
                CsvDocument::resume(body, &options, &limits, CsvCursor::from_parts(offset, at_line)).unwrap();
            assert_eq!(rest.next_message(), Some(message));
        }
    }
    assert!(document.next_message().is_none());
    print(&format!("{:?}", options.header), good * 16 + count - good)
}
