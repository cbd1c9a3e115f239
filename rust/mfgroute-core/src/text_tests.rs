#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panic")]

use proptest::prelude::*;

use super::*;

fn apply(rules: &[TextRule], input: &str) -> Result<String, TextError> {
    let mut out = String::from("before");
    TextRules::compile(rules).unwrap().apply(input, &mut out)?;
    Ok(out.strip_prefix("before").unwrap().to_owned())
}

fn one(rule: TextRule, input: &str) -> String {
    apply(&[rule], input).unwrap()
}

fn split(by: &str, part: i32) -> TextRule {
    TextRule::Split { by: by.into(), part }
}

fn pattern(pattern: &str) -> TextRule {
    TextRule::Regex { pattern: pattern.into() }
}

#[test]
fn leading_zeros_go_but_one_digit_stays() {
    for (text, expected) in [
        ("000", "0"),
        ("0", "0"),
        ("0010", "10"),
        ("10", "10"),
        ("", ""),
        ("00A1", "A1"),
        ("00,5", "0,5"),
        ("0.5", "0.5"),
        ("1000", "1000"),
        ("00-7", "0-7"),
    ] {
        assert_eq!(one(TextRule::StripZerosLeft, text), expected, "{text}");
    }
}

#[test]
fn padding_fills_with_characters_and_leaves_a_longer_text() {
    let pad = |with, to| TextRule::PadLeft { with, to };
    assert_eq!(one(pad('0', 4), "20"), "0020");
    assert_eq!(one(pad('0', 4), "12345"), "12345");
    assert_eq!(one(pad('·', 3), "ä"), "··ä");
}

#[test]
fn a_part_is_taken_from_either_end_or_missing() {
    assert_eq!(one(split("/", 2), "//DE04/line/L3"), "DE04");
    assert_eq!(one(split("/", -1), "//DE04/line/L3"), "L3");
    assert_eq!(one(split("/", 0), "//DE04"), "");
    assert_eq!(apply(&[split("/", 3)], "a/b"), Err(TextError::NoPart { part: 3, found: 2 }));
    assert_eq!(apply(&[split("/", -3)], "a/b"), Err(TextError::NoPart { part: -3, found: 2 }));
}

#[test]
fn a_slice_counts_characters() {
    let slice = |from, to| TextRule::Slice { from, to };
    assert_eq!(one(slice(1, Some(3)), "Öläß"), "lä");
    assert_eq!(one(slice(2, None), "abcdef"), "cdef");
    assert_eq!(one(slice(2, Some(99)), "abc"), "c");
    assert_eq!(apply(&[slice(3, None)], "abc"), Err(TextError::NoSlice { from: 3 }));
}

#[test]
fn a_pattern_yields_its_one_group() {
    assert_eq!(one(pattern("^LOT-(\\d+)$"), "LOT-0042"), "0042");
    assert_eq!(apply(&[pattern("^LOT-(\\d+)$")], "lot"), Err(TextError::NoMatch));
    assert_eq!(apply(&[pattern("a(b)?")], "a"), Err(TextError::NoMatch));
}

#[test]
fn what_cannot_be_meant_is_refused_with_the_index_of_the_rule() {
    let refused = |rule| TextRules::compile(&[TextRule::Strip, rule]).unwrap_err();
    assert_eq!(refused(split("", 0)), (1, TextRuleError::Empty("split.by")));
    assert_eq!(refused(TextRule::Slice { from: 3, to: Some(2) }), (1, TextRuleError::SliceBackward));
    assert_eq!(refused(TextRule::PadLeft { with: '0', to: 1001 }), (1, TextRuleError::PadTooWide));
    assert_eq!(refused(pattern("a")), (1, TextRuleError::Groups(0)));
    assert_eq!(refused(pattern("(a)(b)")), (1, TextRuleError::Groups(2)));
    assert!(matches!(refused(pattern("(")), (1, TextRuleError::BadPattern(_))));
    assert!(matches!(refused(pattern("(\\w{1000}{1000})")), (1, TextRuleError::BadPattern(_))));
    let empty = TextRule::Replace { old: String::new(), new: "x".into() };
    assert_eq!(refused(empty), (1, TextRuleError::Empty("replace.old")));
}

#[test]
fn rules_apply_in_order_and_mix_cuts_with_rewrites() {
    let rules = [
        TextRule::Strip,
        TextRule::Upper,
        TextRule::Replace { old: "-".into(), new: String::new() },
        TextRule::Slice { from: 1, to: Some(5) },
        TextRule::Lower,
        TextRule::StripZerosLeft,
        TextRule::PadLeft { with: '*', to: 5 },
        split("9", 0),
    ];
    assert_eq!(apply(&rules, " x0-0ß-b9 ").unwrap(), "***ss");
    assert_eq!(apply(&[], "same").unwrap(), "same");
    assert_eq!(apply(&[TextRule::Upper], "straße").unwrap(), "STRASSE");
}

#[test]
fn an_error_leaves_the_output_as_it_was() {
    let rules = TextRules::compile(&[TextRule::Upper, split("/", 1)]).unwrap();
    let mut out = String::from("kept");
    assert!(rules.apply("abc", &mut out).is_err());
    assert_eq!(out, "kept");
}

proptest! {
    #[test]
    fn padding_and_stripping_zeros_undo_each_other(digits in "[1-9][0-9]{0,9}", to in 0_u32..20) {
        let rules = [TextRule::PadLeft { with: '0', to }, TextRule::StripZerosLeft];
        prop_assert_eq!(apply(&rules, &digits).unwrap(), digits);
    }

    #[test]
    fn a_slice_is_that_of_its_characters(text in "\\PC{0,12}", from in 0_u32..14, len in 0_u32..14) {
        let characters: Vec<char> = text.chars().collect();
        let expected = characters.get(from as usize..).filter(|rest| !rest.is_empty())
            .map(|rest| rest.iter().take(len as usize).collect::<String>());
        prop_assert_eq!(apply(&[TextRule::Slice { from, to: Some(from + len) }], &text).ok(), expected);
    }

    #[test]
    fn replacing_is_that_of_the_standard_library(text in "[ab/]{0,20}", old in "[ab]{1,2}", new in "[ab]{0,3}") {
        let expected = text.replace(&old, &new);
        prop_assert_eq!(one(TextRule::Replace { old, new }, &text), expected);
    }
}
