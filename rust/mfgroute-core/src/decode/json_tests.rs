//! What is JSON and what is not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::too_many_lines, reason = "tables of cases")]

use proptest::prelude::*;

use super::*;

fn decode_with(bytes: &[u8], limits: Limits) -> Result<Tree, Reject> {
    let mut tree = Tree::new();
    JsonDecoder::new(limits).decode(bytes, &mut tree)?;
    Ok(tree)
}

fn decode(text: &str) -> Result<Tree, Reject> {
    decode_with(text.as_bytes(), Limits::default())
}

fn code(text: &str) -> Option<Code> {
    decode(text).err().map(|reject| reject.code)
}

fn written(text: &str) -> String {
    decode(text).unwrap().json(0)
}

#[test]
fn values_keep_order_and_number_texts() {
    assert_eq!(
        written(r#" { "b" : [ 1.50 , -0 , 2E+3 ] , "a" : null } "#),
        r#"{"b":[1.50,-0,2E+3],"a":null}"#
    );
    assert_eq!(written("\t[true,false,\"\",{},[]]\r\n"), r#"[true,false,"",{},[]]"#);
    assert_eq!(
        written(r#""\u0041\"\\\/\b\f\n\r\t\uD83D\uDE00é""#),
        "\"A\\\"\\\\/\\u0008\\u000c\\n\\r\\t😀é\""
    );
}

#[test]
fn the_origin_of_a_value_is_its_byte_offset() {
    let tree = decode(r#"{"ä": [10, "x"]}"#).unwrap();
    let origins: Vec<u32> = (0..tree.len() as u32).map(|id| tree.node(id).origin).collect();
    assert_eq!(origins, [0, 7, 8, 12]);
}

#[test]
fn valid_documents_are_accepted() {
    let valid = [
        "0",
        "-0",
        "-1",
        "1.0",
        "1e1",
        "1E-2",
        "0.1e+1",
        "123456789012345678",
        "18446744073709551615",
        "-9223372036854775808",
        "99999999999999999999999999999999999999",
        "0e0",
        "0.00",
        "[]",
        "[ ]",
        "{}",
        "[[]]",
        "[1,2]",
        "[null,1]",
        "\"\"",
        "\"\u{7f}\"",
        "\"\u{2028}\"",
        "\"\\u0000\"",
        "[\"\\uFFFF\"]",
        "{\"\":0}",
        "{\"a\":{\"a\":1}}",
        "[{\"a\":1},{\"a\":1}]",
        "true",
        " null ",
        "[1\n]",
        "\"\\uDBFF\\uDFFF\"",
        "0.00000000000000000000000000000000000001",
        "1e37",
        "1000e-3",
    ];
    for text in valid {
        assert_eq!(code(text), None, "{text}");
    }
}

#[test]
fn bad_grammar_is_refused() {
    let invalid = [
        "[1 true]",
        "[a]",
        "[\"\": 1]",
        "[\"\"],",
        "[,1]",
        "[1,,2]",
        "[\"x\"]]",
        "[\"\",]",
        "[\"x\"",
        "[x",
        "[3[4]]",
        "[1:2]",
        "[,]",
        "[-]",
        "[   , \"\"]",
        "[1,",
        "[1,1",
        "[*]",
        "[\"a\\f\"]x",
        "[-01]",
        "[-1.0.]",
        "[-2.]",
        "[.-1]",
        "[.2e-3]",
        "[0.1.2]",
        "[0.3e+]",
        "[0.3e]",
        "[0.e1]",
        "[0e]",
        "[0e+]",
        "[1.0e]",
        "[1 000.0]",
        "[1eE2]",
        "[2.e3]",
        "[9.e+]",
        "[+1]",
        "[++1]",
        "[Inf]",
        "[NaN]",
        "[Infinity]",
        "[-Infinity]",
        "[0x1]",
        "[1+2]",
        "[-foo]",
        "[- 1]",
        "[-012]",
        "[01]",
        "[1.]",
        "[\u{ff11}]",
        "[tru]",
        "[fals]",
        "[nul]",
        "[True]",
        "[\"\\x00\"]",
        "[\"\\a\"]",
        "[\"\\u\"]",
        "[\"\\u00A\"]",
        "[\"\\u00G0\"]",
        "[\"\\",
        "[\"\\\"]",
        "[\"a",
        "[\"a\tb\"]",
        "[\"a\nb\"]",
        "[\"a\u{0}b\"]",
        "[\"\u{1f}\"]",
        "['a']",
        "[\"\u{e9}",
        "{\"a\"}",
        "{\"a\" b}",
        "{a:1}",
        "{'a':1}",
        "{1:1}",
        "{\"a\":1,}",
        "{\"a\":1,,\"b\":2}",
        "{,}",
        "{\"a\"::1}",
        "{\"a\":\"b\"}#",
        "{\"a\":1 \"b\":2}",
        "{[:]}",
        "{",
        "[",
        "]",
        "}",
        "[}",
        "{]",
        "[}]",
        "[1}",
        "{\"a\":1]",
        "1 2",
        "{} {}",
        "[] x",
        "/* c */ 1",
        "1 // c",
        "[\u{a0}1]",
        "\u{c}1",
        "--1",
        "\"a\"\"b\"",
        "nulll",
        "\\u0031",
        "<a/>",
        "{\"a\":/*c*/1}",
        "[\u{2060}]",
    ];
    for text in invalid {
        assert_eq!(code(text), Some(Code::BadJson), "{text}");
    }
}

#[test]
fn a_bad_character_is_named_with_its_offset() {
    let reject = decode("{\"a\":1,}").unwrap_err();
    assert_eq!((reject.offset, reject.found.as_str()), (Some(7), "'}' at offset 7"));
    assert_eq!(reject.expected, "a key in quotes");
    assert_eq!(decode("[1").unwrap_err().found, "the end of the message");
}

#[test]
fn what_parsers_disagree_on_is_refused_by_name() {
    let cases = [
        ("", Code::PayloadEmpty),
        (" \n\t\r", Code::PayloadEmpty),
        ("\u{feff}{}", Code::Bom),
        ("{\"a\":1,\"a\":1}", Code::DuplicateKey),
        ("{\"a\":1,\"\\u0061\":1}", Code::DuplicateKey),
        ("[\"\\uD800\"]", Code::LoneSurrogate),
        ("[\"\\uDC00\"]", Code::LoneSurrogate),
        ("[\"\\uD800\\uD800\"]", Code::LoneSurrogate),
        ("[\"\\uD800x\"]", Code::LoneSurrogate),
        ("[\"\\uD800\\n\"]", Code::LoneSurrogate),
        ("{\"a\\u0000\":1}", Code::NulInKey),
        ("1e999", Code::NumberTooLong),
        ("1e38", Code::NumberTooLong),
        ("1e-39", Code::NumberTooLong),
        ("1e9223372036854775807", Code::NumberTooLong),
        ("1e-9223372036854775808", Code::NumberTooLong),
        ("1e99999999999999999999999", Code::NumberTooLong),
        ("999999999999999999999999999999999999999", Code::NumberTooLong),
        ("0.123456789012345678901234567890123456789", Code::NumberTooLong),
    ];
    for (text, expected) in cases {
        assert_eq!(code(text), Some(expected), "{text}");
    }
}

#[test]
fn a_duplicate_key_is_pointed_at() {
    let reject = decode("{\"x\":[{\"a/b\":1, \"a/b\":2}]}").unwrap_err();
    assert_eq!(reject.pointer, "/x/0/a~1b");
    assert_eq!(reject.offset, Some(16));
}

#[test]
fn duplicate_keys_are_found_in_large_objects_and_across_nesting() {
    let members: Vec<String> = (0..40).map(|n| format!("\"k{n}\":{{\"k{n}\":1,\"k0\":[]}}")).collect();
    // k0 stands in its own inner object twice.
    let rest = members.iter().skip(1).cloned().collect::<Vec<_>>().join(",");
    assert_eq!(code(&format!("{{{rest}}}")), None);
    for again in [1, 16, 17, 18, 39] {
        assert_eq!(code(&format!("{{{rest},\"k{again}\":1}}")), Some(Code::DuplicateKey), "{again}");
    }
}

#[test]
fn invalid_utf8_is_refused_with_its_byte() {
    for (bytes, at) in
        [(&b"[\"\xE4\"]"[..], 2), (b"[\"\xC0\x80\"]", 2), (b"\xFF\xFE[\0]\0", 0), (b"\"\xED\xA0\x80\"", 1)]
    {
        let reject = decode_with(bytes, Limits::default()).unwrap_err();
        assert_eq!((reject.code, reject.offset), (Code::Encoding, Some(at)));
    }
}

#[test]
fn each_limit_holds_at_its_bound() {
    let limits =
        Limits { depth: 3, keys: 20, nodes: 30, string_bytes: 10, message_bytes: 400, number_chars: 50 };
    let object =
        |n: usize| format!("{{{}}}", (0..n).map(|i| format!("\"{i}\":0")).collect::<Vec<_>>().join(","));
    let list = |n: usize| format!("[{}]", vec!["0"; n].join(","));
    let cases = [
        ("[[[1]]]".to_owned(), "[[[[]]]]".to_owned(), Code::TooDeep),
        ("[[[{}]]]".replacen("[{}]", "{}", 1), "{\"a\":{\"a\":{\"a\":{}}}}".to_owned(), Code::TooDeep),
        (object(20), object(21), Code::TooManyKeys),
        (list(29), list(30), Code::TooManyNodes),
        (format!("\"{}\"", "é".repeat(5)), format!("\"{}\"", "é".repeat(6)), Code::StringTooLong),
        ("\"\\u0041123456789\"".to_owned(), "\"\\u00411234567890\"".to_owned(), Code::StringTooLong),
        ("{\"1234567890\":1}".to_owned(), "{\"12345678901\":1}".to_owned(), Code::StringTooLong),
        (" ".repeat(399) + "1", " ".repeat(400) + "1", Code::MessageTooLarge),
        ("1.".to_owned() + &"0".repeat(48), "1.".to_owned() + &"0".repeat(49), Code::NumberTooLong),
    ];
    for (at, over, expected) in cases {
        assert!(decode_with(at.as_bytes(), limits).is_ok(), "{at}");
        assert_eq!(decode_with(over.as_bytes(), limits).unwrap_err().code, expected, "{over}");
    }
}

#[test]
fn bombs_end_early_and_without_deep_recursion() {
    assert_eq!(code(&"[".repeat(100_000)), Some(Code::TooDeep));
    assert_eq!(code(&"{\"a\":".repeat(100_000)), Some(Code::TooDeep));
    let deep = "[".repeat(64) + &"]".repeat(64);
    assert_eq!(code(&deep), None);
    assert_eq!(code(&format!("[{deep}]")), Some(Code::TooDeep));
    assert_eq!(code(&format!("[{}1]", "1,".repeat(200_000))), Some(Code::TooManyNodes));
    assert_eq!(code(&"1".repeat(100_000)), Some(Code::NumberTooLong));
    assert_eq!(code(&format!("0.{}", "0".repeat(399))), Some(Code::NumberTooLong));
}

#[test]
fn a_warm_decoder_keeps_its_memory() {
    let mut decoder = JsonDecoder::new(Limits::default());
    let mut tree = Tree::new();
    decoder.decode(br#"{"a":[1,2,"x\ny"],"b":{}}"#, &mut tree).unwrap();
    let before = (tree.text_mut().as_ptr(), tree.text_mut().capacity());
    decoder.decode(br#"{"c":[1,2,"x\ny"],"d":{}}"#, &mut tree).unwrap();
    assert_eq!(before, (tree.text_mut().as_ptr(), tree.text_mut().capacity()));
    assert_eq!(tree.json(0), r#"{"c":[1,2,"x\ny"],"d":{}}"#);
}

#[test]
fn the_special_byte_is_found_at_every_position() {
    for byte in [b'"', b'\\', 0, 0x1f, b'\n'] {
        for length in 0..40 {
            for at in 0..length {
                let mut bytes = vec![0x80; length];
                bytes[at] = byte;
                assert_eq!(special(&bytes, 0), at);
            }
        }
    }
    let harmless: Vec<u8> = (0x20..=0xFF).filter(|byte| !matches!(byte, b'"' | b'\\')).collect();
    assert_eq!(special(&harmless, 0), harmless.len());
}

/// What `serde_json` says, or nothing where we refuse more than it by intent.
fn agrees(text: &[u8]) -> Result<(), TestCaseError> {
    let theirs = serde_json::from_slice::<serde_json::Value>(text);
    match (decode_with(text, Limits::default()), theirs) {
        (Ok(tree), Ok(value)) => prop_assert_eq!(tree.to_serde(0), value),
        (Ok(_), Err(error)) => {
            return Err(TestCaseError::fail(format!(
                "only we accept {:?}: {error}",
                String::from_utf8_lossy(text)
            )));
        }
        (Err(reject), Ok(_)) => prop_assert!(
            matches!(reject.code, Code::DuplicateKey | Code::NumberTooLong | Code::NulInKey | Code::Bom),
            "only we refuse {:?}: {:?}",
            String::from_utf8_lossy(text),
            reject
        ),
        (Err(_), Err(_)) => {}
    }
    Ok(())
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        (-1e15..1e15).prop_map(serde_json::Value::from),
        any::<String>().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(serde_json::Value::from),
            prop::collection::vec((".{0,6}", inner), 0..24)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn generated_json_has_the_value_that_serde_json_finds(value in any_json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) };
        agrees(&text.unwrap())?;
    }

    #[test]
    fn mutated_json_is_judged_as_serde_json_judges_it(
        value in any_json(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, prop::sample::select(
            b"\"\\{}[]:,0123456789.eE+-tfnu/ \t\n\x00\x1f\x7f\x80\xC3\xA4\xED\xF0abd".to_vec())), 1..5),
    ) {
        let mut text = serde_json::to_vec(&value).unwrap();
        for (at, how, byte) in changes {
            if text.is_empty() {
                break;
            }
            let at = at.index(text.len());
            match how {
                0 => text[at] = byte,
                1 => text.insert(at, byte),
                _ => { text.remove(at); }
            }
        }
        agrees(&text)?;
    }

    #[test]
    fn json_like_tokens_are_judged_as_serde_json_judges_them(tokens in prop::collection::vec(prop::sample::select(vec![
        "{", "}", "[", "]", ":", ",", "\"a\"", "\"b\"", "1", "-", "0", ".5", "e3", "true", "null", " ", "\"\\u12\"", "\"\\ud800\"",
    ]), 0..12)) {
        agrees(tokens.concat().as_bytes())?;
    }
}
