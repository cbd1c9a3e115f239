//! XML: what holds of any document, whatever it says.

use mfgroute_core::decode::Limits;
use mfgroute_core::decode::xml::XmlDecoder;
use mfgroute_core::reject::{Code, Reject};
use mfgroute_core::tree::Tree;

use crate::drive::Print;
use crate::{inside, print};

const TIGHT: Limits =
    Limits { depth: 3, keys: 4, nodes: 12, string_bytes: 8, message_bytes: 400, number_chars: 400 };

fn decode(bytes: &[u8], limits: Limits) -> Result<String, Reject> {
    let mut tree = Tree::new();
    let mut decoder = XmlDecoder::new(limits);
    decoder.decode(bytes, &mut tree)?;
    assert!(tree.len() <= limits.nodes && !decoder.head().root.is_empty());
    Ok(tree.json(0))
}

/// A document is read whole or refused: with its last byte gone, or with anything but space, comments and
/// instructions behind it, it is no document.
pub(crate) fn document(bytes: &[u8]) -> Print {
    let found = decode(bytes, Limits::default());
    let tight = decode(bytes, TIGHT);
    match &found {
        Err(reject) => {
            inside(reject, bytes.len());
            assert!(tight.is_err(), "only smaller limits accept it");
            print(reject.code.as_str(), reject.offset.unwrap_or(0) as usize)
        }
        Ok(json) => {
            match tight {
                Ok(small) => assert_eq!(&small, json),
                Err(reject) => {
                    inside(&reject, bytes.len());
                    let limits = [Code::TooDeep, Code::TooManyKeys, Code::TooManyNodes, Code::StringTooLong];
                    assert!(
                        limits.contains(&reject.code) || reject.code == Code::MessageTooLarge,
                        "{reject:?}"
                    );
                }
            }
            if std::str::from_utf8(bytes).is_ok_and(|text| !text.contains("encoding")) {
                around(bytes, json);
            }
            print("ok", json.len())
        }
    }
}

fn around(bytes: &[u8], json: &str) {
    let with = |tail: &[u8]| decode(&[bytes, tail].concat(), Limits::default());
    for tail in [&b"\r\n"[..], b"<!-- c -->", b"<?p i?>", b" <!---->\t"] {
        assert_eq!(with(tail).as_deref(), Ok(json), "{}", tail.escape_ascii());
    }
    for tail in [
        &b"x"[..],
        b"<a/>",
        b"&#32;",
        b"<![CDATA[ ]]>",
        b"<!DOCTYPE a>",
        b"\0",
        b"</a>",
        b"<?xml version=\"1.0\"?>",
    ] {
        assert!(with(tail).is_err(), "{}", tail.escape_ascii());
    }
    let whole = bytes.trim_ascii_end();
    let cut = &whole[..whole.len() - 1];
    assert!(decode(cut, Limits::default()).is_err(), "it is a document without its last byte");
}
