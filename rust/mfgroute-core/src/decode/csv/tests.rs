//! Files of rows, and what is refused.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;
use crate::decode::encoding::by_name;

fn rule(column: &str, text: &str) -> SkipRule {
    SkipRule { column: column.to_owned(), text: text.to_owned() }
}

fn semicolons() -> CsvOptions {
    CsvOptions { delimiter: b';', ..CsvOptions::default() }
}

/// All messages as JSON, or the reject of each.
fn read(bytes: &[u8], options: &CsvOptions) -> Result<Vec<String>, Reject> {
    let mut document = CsvDocument::open(bytes, options, &Limits::default())?;
    let mut tree = Tree::new();
    let mut out = Vec::new();
    while let Some(message) = document.next_message() {
        let result = document.decode_message(&message, &mut tree);
        let stored = document.stored(&message);
        let mut again = Tree::new();
        let result_again = decode_stored(&stored, options, &Limits::default(), &mut again);
        assert_eq!(result.is_ok(), result_again.is_ok(), "stored: {}", String::from_utf8_lossy(&stored));
        out.push(match result {
            Ok(()) => {
                assert_eq!(tree.json(0), again.json(0));
                format!("{}: {}", message.line, tree.json(0))
            }
            Err(reject) => format!("{} {}", reject.code.as_str(), reject.found),
        });
    }
    Ok(out)
}

fn refused(bytes: &[u8], options: &CsvOptions) -> Reject {
    read(bytes, options).unwrap_err()
}

const TERMINAL: &[u8] = b"Auftrag;R\xFCckmelde-Nr;Gutmenge;Arbeitsplatz;Charge\r\n\
    4711;88231;1.234,50;\"Mischer 4; Nord\";L-03\r\n\
    4711;88232;234,5;\"Mischer \"\"4\"\"\";\r\n\
    Summe;;1.469,00;;\r\n";

fn terminal() -> CsvOptions {
    let sums = vec!["Gutmenge".to_owned()];
    CsvOptions {
        encoding: by_name("windows-1252").unwrap(),
        skip_rows: vec![rule("Auftrag", "Summe")],
        trailer: Some(Trailer { when: rule("Auftrag", "Summe"), sums, decimal: ',', group: Some('.') }),
        ..semicolons()
    }
}

#[test]
fn each_row_is_an_object_of_texts() {
    let rows = read(TERMINAL, &terminal()).unwrap();
    assert_eq!(
        rows,
        [
            r#"2: {"Auftrag":"4711","Rückmelde-Nr":"88231","Gutmenge":"1.234,50","Arbeitsplatz":"Mischer 4; Nord","Charge":"L-03"}"#,
            r#"3: {"Auftrag":"4711","Rückmelde-Nr":"88232","Gutmenge":"234,5","Arbeitsplatz":"Mischer \"4\"","Charge":""}"#,
        ]
    );
}

#[test]
fn line_ends_blank_lines_and_quoted_newlines_keep_line_numbers() {
    let rows = read(b"a,b\n\n1,\"x\ny\"\r\n\r\n2,z", &CsvOptions::default()).unwrap();
    assert_eq!(rows, ["3: {\"a\":\"1\",\"b\":\"x\\ny\"}", "6: {\"a\":\"2\",\"b\":\"z\"}"]);
}

#[test]
fn lines_that_end_with_a_carriage_return_alone_are_counted() {
    let options = CsvOptions { skip_first: 1, ..CsvOptions::default() };
    for end in ["\n", "\r\n", "\r"] {
        let file = ["title", "a,b", "1,2", "", "3,4", "5,6"].join(end);
        let mut document = CsvDocument::open(file.as_bytes(), &options, &Limits::default()).unwrap();
        let lines: Vec<u64> = std::iter::from_fn(|| document.next_message()).map(|one| one.line).collect();
        assert_eq!(lines, [3, 5, 6], "{end:?}");
    }
}

#[test]
fn ranges_are_the_raw_rows() {
    let bytes = b"a,b\r\n1,\"x\"\r\n2,y\n3,z";
    let mut document = CsvDocument::open(bytes, &CsvOptions::default(), &Limits::default()).unwrap();
    let raw: Vec<&[u8]> = std::iter::from_fn(|| document.next_message()).map(|m| &bytes[m.range]).collect();
    assert_eq!(raw, [&b"1,\"x\""[..], b"2,y", b"3,z"]);
}

#[test]
fn a_row_of_another_length_costs_only_itself() {
    let rows = read(b"a,b\n1\n1,2\n1,2,3\n", &CsvOptions::default()).unwrap();
    assert_eq!(rows, ["bad_csv line 2: 1 cells", r#"3: {"a":"1","b":"2"}"#, "bad_csv line 4: 3 cells"]);
}

#[test]
fn a_quote_that_closes_early_costs_only_its_row() {
    let rows = read(b"a,b\n\"1\"x,2\n1\",2\n\"\",\"\"\n", &CsvOptions::default()).unwrap();
    assert_eq!(
        rows,
        [
            "bad_csv line 2: a quote that ends before its cell does",
            r#"3: {"a":"1\"","b":"2"}"#,
            r#"4: {"a":"","b":""}"#
        ]
    );
    let plain = CsvOptions { quote: None, ..CsvOptions::default() };
    assert_eq!(read(b"a\n\"x\n", &plain).unwrap(), [r#"2: {"a":"\"x"}"#]);
}

#[test]
fn a_bad_byte_costs_only_its_row() {
    let rows = read(b"a,b\n1,\xFC\n2,\xC3\xBC\n", &CsvOptions::default()).unwrap();
    assert_eq!(rows, ["encoding line 2: byte 0xFC at offset 6", r#"3: {"a":"2","b":"ü"}"#]);
    let reject = refused(b"a,\xFC\n1,2\n", &CsvOptions::default());
    assert_eq!((reject.code, reject.found.as_str()), (Code::Encoding, "line 1: byte 0xFC at offset 2"));
}

#[test]
fn a_mark_names_the_encoding() {
    assert_eq!(read("\u{feff}ä\nü\n".as_bytes(), &terminal_without_rules()).unwrap(), [r#"2: {"ä":"ü"}"#]);
    let wide: Vec<u8> = "\u{feff}ä;b\r\n\"ü;\";2\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(read(&wide, &semicolons()).unwrap(), [r#"2: {"ä":"ü;","b":"2"}"#]);
    let mut odd = wide.clone();
    odd.push(0);
    assert_eq!(refused(&odd, &semicolons()).code, Code::Encoding);
}

fn terminal_without_rules() -> CsvOptions {
    CsvOptions { encoding: by_name("windows-1252").unwrap(), ..semicolons() }
}

#[test]
fn names_come_from_file_configuration_or_numbers() {
    let none = CsvOptions { header: Header::None, ..CsvOptions::default() };
    assert_eq!(read(b"1,2\n3\n", &none).unwrap(), [r#"1: {"c1":"1","c2":"2"}"#, "bad_csv line 2: 1 cells"]);
    let names = Header::Names(vec!["x".to_owned(), "y,z".to_owned()]);
    let options = CsvOptions { header: names, skip_first: 2, ..CsvOptions::default() };
    assert_eq!(read(b"report\n\"of today\n1,2\n", &options).unwrap(), [r#"3: {"x":"1","y,z":"2"}"#]);
}

#[test]
fn a_header_without_distinct_names_is_refused() {
    assert_eq!(refused(b"a,,b\n1,2,3\n", &CsvOptions::default()).found, "line 1: no name of column 2");
    assert_eq!(refused(b"a,b,a\n1,2,3\n", &CsvOptions::default()).found, "line 1: the column \"a\" twice");
    assert_eq!(refused(b" \n\r\n", &CsvOptions::default()).code, Code::PayloadEmpty);
    let unknown = CsvOptions { skip_rows: vec![rule("z", "1")], ..CsvOptions::default() };
    assert_eq!(refused(b"a\n1\n", &unknown).expected, "a column \"z\"");
    assert_eq!(read(b"a,b\n", &CsvOptions::default()).unwrap(), Vec::<String>::new());
}

#[test]
fn a_quote_that_is_never_closed_refuses_the_file() {
    let reject = refused(b"a,b\n1,2\n3,\"x\n4,5\n", &CsvOptions::default());
    assert_eq!((reject.code, reject.found.as_str()), (Code::BadCsv, "line 3: a quote that is never closed"));
    assert_eq!(reject.offset, Some(8));
}

#[test]
fn rows_of_one_document_are_one_message() {
    let options = CsvOptions {
        group_by: vec!["doc".to_owned()],
        skip_rows: vec![rule("n", "-")],
        ..CsvOptions::default()
    };
    let rows = read(b"doc,n\nA,1\nA,-\nA,2\nB,3\nA,4\n", &options).unwrap();
    assert_eq!(
        rows,
        [
            r#"2: {"doc":"A","rows":[{"doc":"A","n":"1"},{"doc":"A","n":"2"}]}"#,
            r#"5: {"doc":"B","rows":[{"doc":"B","n":"3"}]}"#,
            r#"6: {"doc":"A","rows":[{"doc":"A","n":"4"}]}"#,
        ]
    );
    let damaged = CsvOptions { group_by: vec!["n".to_owned()], ..CsvOptions::default() };
    let rows = read(b"doc,n\nA,1\nA\nB,2\n", &damaged).unwrap();
    assert_eq!(rows, ["bad_csv line 3: 1 cells", r#"4: {"n":"2","rows":[{"doc":"B","n":"2"}]}"#]);
}

#[test]
fn totals_must_agree() {
    let file = |rows: &str| format!("Auftrag;Gutmenge\n{rows}").into_bytes();
    let options = terminal();
    assert_eq!(read(&file("1;1,5\n2;2.000,25\nSumme;2.001,75\n"), &options).unwrap().len(), 2);
    let reject = refused(&file("1;1,5\n2;2,25\nSumme;3,7\n"), &options);
    assert_eq!(reject.code, Code::BadCsv);
    assert_eq!(reject.found, "line 4: the total 3.7 of \"Gutmenge\"");
    assert_eq!(reject.expected, "3.75, the sum of the rows");
    assert_eq!(refused(&file("1;1,5\n"), &options).found, "no totals row");
    let late = refused(&file("1;1,5\nSumme;1,5\n2;1\n"), &options);
    assert_eq!(late.found, "line 4: a row after the totals row in line 3");
    let english = refused(&file("1;1,234.50\nSumme;1,5\n"), &options);
    assert_eq!(english.found, "line 2: \"1,234.50\" in \"Gutmenge\"");
}

#[test]
fn reading_goes_on_where_it_stopped() {
    let options = CsvOptions { group_by: vec!["d".to_owned()], ..CsvOptions::default() };
    let bytes = b"\xEF\xBB\xBFd,n\r\nA,1\r\nA,\"x\r\ny\"\r\nB,2\r\n\r\nC,3";
    let limits = Limits::default();
    let mut whole = CsvDocument::open(bytes, &options, &limits).unwrap();
    let mut cursor = whole.cursor();
    let mut count = 0;
    while let Some(expected) = whole.next_message() {
        let (offset, line) = cursor.parts();
        let stored = CsvCursor::from_parts(offset, line);
        let mut piece = CsvDocument::resume(bytes, &options, &limits, stored).unwrap();
        assert_eq!(piece.next_message(), Some(expected));
        cursor = piece.cursor();
        count += 1;
    }
    assert_eq!(count, 3);
    assert!(CsvDocument::resume(bytes, &options, &limits, CsvCursor::from_parts(1, 1)).is_err());
    assert!(CsvDocument::resume(bytes, &options, &limits, CsvCursor::from_parts(u64::MAX, 1)).is_err());
}

#[test]
fn each_limit_holds_at_its_bound() {
    let limits = Limits { keys: 2, nodes: 3, string_bytes: 5, message_bytes: 2000, ..Limits::default() };
    let read = |bytes: &[u8]| {
        let mut document = CsvDocument::open(bytes, &CsvOptions::default(), &limits)?;
        let message = document.next_message().unwrap();
        document.decode_message(&message, &mut Tree::new())
    };
    assert_eq!(read(b"a,b\n12345,2\n"), Ok(()));
    assert_eq!(read(b"a,b\n123456,2\n").unwrap_err().code, Code::StringTooLong);
    assert_eq!(read(b"a,b,c\n1,2,3\n").unwrap_err().code, Code::TooManyKeys);
    let long = format!("a,b\n{},2\n", "x".repeat(5000));
    assert_eq!(read(long.as_bytes()).unwrap_err().code, Code::MessageTooLarge);
    let wide = format!("a,b\n{}\n", ",".repeat(5000));
    assert!(matches!(read(wide.as_bytes()).unwrap_err().code, Code::BadCsv | Code::MessageTooLarge));
    let options = CsvOptions { group_by: vec!["a".to_owned()], ..CsvOptions::default() };
    let mut document = CsvDocument::open(b"a\n1\n", &options, &limits).unwrap();
    let message = document.next_message().unwrap();
    assert_eq!(document.decode_message(&message, &mut Tree::new()).unwrap_err().code, Code::TooManyNodes);
}

proptest! {
    #[test]
    fn cells_come_back_as_they_were_written(
        rows in prop::collection::vec(prop::collection::vec("[a-c;\"'\r\nü ]{0,6}", 3), 1..8),
    ) {
        let options = semicolons();
        let mut file = String::from("a;b;c\r\n");
        for row in &rows {
            file.push_str(&options.line(row));
            file.push_str("\r\n");
        }
        let mut document = CsvDocument::open(file.as_bytes(), &options, &Limits::default()).unwrap();
        let mut tree = Tree::new();
        for row in &rows {
            let message = document.next_message().unwrap();
            document.decode_message(&message, &mut tree).unwrap();
            let cells: Vec<&str> = tree.children(0).map(|cell| tree.text(cell)).collect();
            prop_assert_eq!(&cells, row);
        }
        prop_assert_eq!(document.next_message(), None);
    }

    #[test]
    fn any_bytes_are_read_without_panic_and_to_the_end(
        bytes in prop::collection::vec(prop::sample::select(b"ab,,\"\r\n\xC3\xBC\xEF\xBB\xBF\xFF\xFE\0".to_vec()), 0..60),
        grouped in any::<bool>(),
    ) {
        let group_by = if grouped { vec!["a".to_owned()] } else { Vec::new() };
        let _ = read(&bytes, &CsvOptions { group_by, ..CsvOptions::default() });
    }
}
