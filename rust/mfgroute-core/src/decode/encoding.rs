//! Bytes of any declared encoding into UTF-8, never with replacement characters.

use encoding_rs::{DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::reject::{Code, Reject};

/// The encoding that a byte order mark names, and the length of the mark.
#[must_use]
pub fn from_bom(bytes: &[u8]) -> Option<(&'static Encoding, usize)> {
    Encoding::for_bom(bytes)
}

/// The encoding with this name (WHATWG labels, any case), if we read it.
///
/// `iso-8859-1` and `us-ascii` are read as windows-1252, as all browsers do.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Encoding> {
    Encoding::for_label_no_replacement(name.as_bytes())
}

/// Whether ASCII bytes mean themselves everywhere in this encoding, so that a file can be cut at
/// them before it is decoded. True for UTF-8 and all encodings of one byte per character.
#[must_use]
pub fn is_cut_before_decoding(encoding: &'static Encoding) -> bool {
    encoding == UTF_8 || encoding.is_single_byte()
}

/// The bytes as UTF-8 text.
///
/// Refuses with `encoding`, the byte and its offset.
pub fn utf8(bytes: &[u8]) -> Result<&str, Reject> {
    std::str::from_utf8(bytes).map_err(|error| bad_byte(bytes, error.valid_up_to(), UTF_8))
}

/// Appends the bytes, decoded, to `out`.
///
/// Refuses with `encoding`, the byte and its offset.
pub fn decode(bytes: &[u8], encoding: &'static Encoding, out: &mut String) -> Result<(), Reject> {
    if encoding == UTF_8 {
        out.push_str(utf8(bytes)?);
        return Ok(());
    }
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut rest = bytes;
    loop {
        out.reserve(decoder.max_utf8_buffer_length_without_replacement(rest.len()).unwrap_or(rest.len()) + 4);
        let (result, read) = decoder.decode_to_string_without_replacement(rest, out, true);
        rest = rest.get(read..).unwrap_or_default();
        match result {
            DecoderResult::InputEmpty => return Ok(()),
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(bad, after) => {
                let read = bytes.len() - rest.len();
                let at = read.saturating_sub(usize::from(bad) + usize::from(after));
                return Err(bad_byte(bytes, at, encoding));
            }
        }
    }
}

/// Byte offset in the original of byte `at` of the decoded text, where that can be told.
pub(super) fn original_offset(
    text: &str,
    at: usize,
    encoding: &'static Encoding,
    bom: usize,
) -> Option<usize> {
    let before = text.get(..at)?;
    if encoding == UTF_8 {
        Some(at + bom)
    } else if encoding == UTF_16LE || encoding == UTF_16BE {
        Some(before.encode_utf16().count() * 2 + bom)
    } else if encoding.is_single_byte() {
        Some(before.chars().count() + bom)
    } else {
        None
    }
}

/// A reject that names the byte at `at`.
pub(super) fn bad_byte(bytes: &[u8], at: usize, encoding: &'static Encoding) -> Reject {
    let found = match bytes.get(at) {
        Some(byte) => format!("byte 0x{byte:02X} at offset {at}"),
        None => format!("the end of the bytes at offset {at}"),
    };
    Reject::new(Code::Encoding, found, encoding.name()).offset(at)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_bad_byte_is_named_with_its_offset() {
        let reject = utf8(b"ab\xE4c").unwrap_err();
        assert_eq!(reject.code, Code::Encoding);
        assert_eq!(reject.offset, Some(2));
        assert_eq!(reject.found, "byte 0xE4 at offset 2");
        assert_eq!(reject.expected, "UTF-8");
    }

    #[test]
    fn single_byte_and_utf16_texts_become_utf8() {
        let mut out = String::new();
        decode(b"R\xFCck \x80", by_name("windows-1252").unwrap(), &mut out).unwrap();
        assert_eq!(out, "Rück €");
        out.clear();
        decode(b"a\0\xFC\0", UTF_16LE, &mut out).unwrap();
        assert_eq!(out, "aü");
    }

    #[test]
    fn half_of_a_utf16_pair_is_refused_where_it_stands() {
        let mut out = String::new();
        let reject = decode(b"a\0\x00\xD8b\0", UTF_16LE, &mut out).unwrap_err();
        assert_eq!(reject.code, Code::Encoding);
        assert_eq!(reject.offset, Some(2));
        let reject = decode(b"a\0b", UTF_16LE, &mut out).unwrap_err();
        assert_eq!(reject.offset, Some(2));
    }

    #[test]
    fn an_unknown_or_dangerous_name_is_no_encoding() {
        assert!(by_name("klingon").is_none());
        assert!(by_name("iso-2022-cn").is_none());
        assert_eq!(by_name("ISO-8859-1").unwrap().name(), "windows-1252");
    }
}
