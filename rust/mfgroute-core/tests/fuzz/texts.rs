//! Encodings and text rules.

use encoding_rs::{BIG5, EUC_KR, GB18030, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, WINDOWS_1253};
use mfgroute_core::decode::encoding;
use mfgroute_core::text::{TextRule, TextRules};

use crate::drive::Print;
use crate::{inside, print};

/// Bytes are text in an encoding, or one of them is named; nothing is replaced.
pub(crate) fn encodings(bytes: &[u8]) -> Print {
    let mut seen = Print(0);
    for one in [UTF_8, UTF_16LE, UTF_16BE, WINDOWS_1252, WINDOWS_1253, SHIFT_JIS, BIG5, EUC_KR, GB18030] {
        let mut out = "kept".to_owned();
        let found = encoding::decode(bytes, one, &mut out);
        assert!(out.starts_with("kept"));
        let ours = found.as_ref().ok().map(|()| out["kept".len()..].to_owned());
        let units = |from: fn([u8; 2]) -> u16| {
            let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| from([pair[0], pair[1]])).collect();
            String::from_utf16(&units).ok().filter(|_| bytes.len().is_multiple_of(2))
        };
        if one == UTF_8 {
            assert_eq!(ours.as_deref(), std::str::from_utf8(bytes).ok());
        } else if one == UTF_16LE {
            assert_eq!(ours, units(u16::from_le_bytes));
        } else if one == UTF_16BE {
            assert_eq!(ours, units(u16::from_be_bytes));
        } else if let Some(text) = &ours {
            let (whole, wrong) = one.decode_without_bom_handling(bytes);
            assert!(!wrong && whole == text.as_str(), "{}", one.name());
        }
        if let Err(reject) = &found {
            inside(reject, bytes.len());
        }
        seen.0 = seen.0 * 2 + u64::from(found.is_ok());
    }
    let _ = encoding::from_bom(bytes).map(|(_, length)| assert!(length <= bytes.len()));
    seen
}

/// The first bytes choose rules, the rest is the text.
pub(crate) fn rules(bytes: &[u8]) -> Print {
    let (choices, rest) = bytes.split_at(bytes.len().min(3));
    let Ok(text) = std::str::from_utf8(rest) else { return print("bytes", 0) };
    let rule = |&byte: &u8| {
        let size = u32::from(byte >> 4);
        match byte & 15 {
            0 => TextRule::Strip,
            1 => TextRule::StripZerosLeft,
            2 => TextRule::PadLeft { with: '0', to: size * 3 },
            3 => TextRule::PadLeft { with: '\u{e9}', to: size },
            4 => TextRule::Upper,
            5 => TextRule::Lower,
            6 => TextRule::Split { by: "-".to_owned(), part: size.cast_signed() - 8 },
            7 => TextRule::Split { by: "\u{e9}/".to_owned(), part: size.cast_signed() - 8 },
            8 => TextRule::Slice { from: size, to: Some(size + 3) },
            9 => TextRule::Slice { from: size, to: None },
            10 => TextRule::Replace { old: "a".to_owned(), new: "aa".to_owned() },
            11 => TextRule::Replace { old: "00".to_owned(), new: String::new() },
            12 => TextRule::Regex { pattern: "([0-9]+)".to_owned() },
            13 => TextRule::Regex { pattern: "^.(.*)$".to_owned() },
            14 => TextRule::Slice { from: 0, to: Some(size) },
            _ => TextRule::Strip,
        }
    };
    let rules = TextRules::compile(&choices.iter().map(rule).collect::<Vec<_>>()).unwrap();
    let mut out = "kept".to_owned();
    let found = rules.apply(text, &mut out);
    assert!(out.starts_with("kept"));
    match &found {
        Err(_) => assert_eq!(out, "kept", "a refusal leaves nothing behind"),
        // One rule after the other is all of them at once.
        Ok(()) => {
            let mut now = text.to_owned();
            for choice in choices {
                let one = TextRules::compile(&[rule(choice)]).unwrap();
                let mut next = String::new();
                one.apply(&now, &mut next).unwrap();
                now = next;
            }
            assert_eq!(&out["kept".len()..], now);
        }
    }
    print(&format!("{:?} {}", choices.first().map(|choice| choice & 15), found.is_ok()), out.len())
}
