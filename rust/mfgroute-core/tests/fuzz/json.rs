//! JSON, beside `serde_json`.

use mfgroute_core::decode::Limits;
use mfgroute_core::decode::escape::{EscapeError, escape};
use mfgroute_core::decode::json::JsonDecoder;
use mfgroute_core::reject::{Code, Reject};
use mfgroute_core::tree::Tree;
use serde_json::Value;

use crate::drive::Print;
use crate::numbers::fits;
use crate::{inside, print};

/// So small that ordinary inputs meet them.
const TIGHT: Limits =
    Limits { depth: 3, keys: 4, nodes: 12, string_bytes: 8, message_bytes: 300, number_chars: 6 };

/// Both accept, with one value; or we refuse what the limits or our strictness name; or both refuse.
pub(crate) fn strict(bytes: &[u8]) -> Print {
    let theirs: Option<Value> = serde_json::from_slice(bytes).ok();
    let seen = judged(bytes, theirs.as_ref(), &Limits::default());
    judged(bytes, theirs.as_ref(), &TIGHT);
    seen
}

fn decode(bytes: &[u8], limits: &Limits) -> Result<Tree, Reject> {
    let mut tree = Tree::new();
    JsonDecoder::new(*limits).decode(bytes, &mut tree)?;
    Ok(tree)
}

fn judged(bytes: &[u8], theirs: Option<&Value>, limits: &Limits) -> Print {
    let found = theirs.map(|value| Facts::of(value, bytes, limits));
    match (decode(bytes, limits), theirs, found) {
        (Ok(tree), Some(value), Some(facts)) => {
            assert_eq!(&tree.to_serde(0), value);
            assert_eq!(facts.wrong(limits, false), Vec::<Code>::new(), "accepted");
            // What is written again is read again as the same.
            let text = tree.json(0);
            if text.len() <= limits.message_bytes {
                assert_eq!(decode(text.as_bytes(), limits).unwrap().json(0), text);
            }
            print("ok", tree.len())
        }
        (Ok(_), _, _) => panic!("only we accept it"),
        (Err(reject), value, facts) => {
            inside(&reject, bytes.len());
            if value.is_some() {
                let wrong = facts.map(|facts| facts.wrong(limits, true)).unwrap_or_default();
                assert!(wrong.contains(&reject.code), "only we refuse it: {reject:?}, found {wrong:?}");
            }
            print(reject.code.as_str(), reject.offset.unwrap_or(0) as usize)
        }
    }
}

/// What another parser found in a message.
#[derive(Default)]
struct Facts {
    length: usize,
    /// Colons outside of texts: members as they are written.
    colons: usize,
    members: usize,
    nodes: usize,
    depth: usize,
    keys: usize,
    string_bytes: usize,
    nul_in_key: bool,
    number_too_long: bool,
    /// The other parser adds a plus to an exponent without a sign, so one character may not have been written.
    number_at_limit: bool,
}

impl Facts {
    fn of(value: &Value, bytes: &[u8], limits: &Limits) -> Self {
        let mut facts = Self { length: bytes.len(), colons: colons(bytes), ..Self::default() };
        facts.walk(value, 0, limits);
        facts
    }

    fn walk(&mut self, value: &Value, depth: usize, limits: &Limits) {
        self.nodes += 1;
        match value {
            Value::Number(number) => {
                let text = number.to_string();
                let exponent = text.split_once(['e', 'E']).map_or("", |(_, exponent)| exponent);
                // Zero has any exponent; nobody writes one of ten digits who means well.
                let wide = exponent.trim_start_matches(['+', '-']).trim_start_matches('0').len() > 9;
                let plus = usize::from(exponent.starts_with('+'));
                self.number_too_long |= wide || text.len() - plus > limits.number_chars || !fits(&text);
                self.number_at_limit |= text.len() > limits.number_chars;
            }
            Value::String(text) => self.string_bytes = self.string_bytes.max(text.len()),
            Value::Array(items) => {
                self.depth = self.depth.max(depth + 1);
                for item in items {
                    self.walk(item, depth + 1, limits);
                }
            }
            Value::Object(members) => {
                self.depth = self.depth.max(depth + 1);
                self.keys = self.keys.max(members.len());
                self.members += members.len();
                for (key, member) in members {
                    self.nul_in_key |= key.contains('\0');
                    self.string_bytes = self.string_bytes.max(key.len());
                    self.walk(member, depth + 1, limits);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// Every reason to refuse the message; with `perhaps`, also those that the other parser's value leaves open.
    /// A message with a key written twice may have any: the other parser keeps only the last.
    fn wrong(&self, limits: &Limits, perhaps: bool) -> Vec<Code> {
        let twice = self.colons != self.members;
        let reasons = [
            (Code::DuplicateKey, twice),
            (Code::MessageTooLarge, self.length > limits.message_bytes),
            (Code::NumberTooLong, self.number_too_long || (perhaps && self.number_at_limit) || twice),
            (Code::NulInKey, self.nul_in_key || twice),
            (Code::TooDeep, self.depth > limits.depth || twice),
            (Code::TooManyKeys, self.keys > limits.keys || twice),
            (Code::TooManyNodes, self.nodes > limits.nodes || twice),
            (Code::StringTooLong, self.string_bytes > limits.string_bytes || twice),
        ];
        reasons.into_iter().filter(|(_, holds)| *holds).map(|(code, _)| code).collect()
    }
}

fn colons(bytes: &[u8]) -> usize {
    let (mut count, mut quoted, mut escaped) = (0, false, false);
    for &byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b':' if !quoted => count += 1,
            _ => {}
        }
    }
    count
}

/// An escape is what `serde_json` reads in quotes, and every refusal has its reason.
pub(crate) fn escapes(bytes: &[u8]) -> Print {
    let mut text = vec![b'\\'];
    text.extend_from_slice(bytes);
    match escape(&text) {
        Ok((character, length)) => {
            assert!((2..=12).contains(&length) && length <= text.len());
            let quoted = [b"\"", &text[..length], b"\""].concat();
            let theirs: String = serde_json::from_slice(&quoted).unwrap();
            assert_eq!(theirs, character.to_string());
            print("ok", length)
        }
        Err(error) => {
            let what = match error {
                EscapeError::Unknown => "unknown",
                EscapeError::Hex(at) => {
                    assert!(at <= text.len() && !text.get(at).is_some_and(u8::is_ascii_hexdigit));
                    "hex"
                }
                EscapeError::LoneSurrogate(code) => {
                    assert!((0xD800..0xE000).contains(&code));
                    "lone"
                }
            };
            // However long a piece is taken for the escape, nobody else reads it alone.
            for length in 2..=12.min(text.len()) {
                let quoted = [b"\"", &text[..length], b"\""].concat();
                let theirs = serde_json::from_slice::<String>(&quoted);
                assert!(!theirs.is_ok_and(|text| text.chars().count() == 1), "{error:?} {length}");
            }
            print(what, 0)
        }
    }
}
