//! Which encoding an XML document is in.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::encoding;
use crate::reject::{Code, Reject};

/// The encoding of a document and the length of its byte order mark, as appendix F of XML 1.0
/// tells it. A declaration that contradicts the bytes is refused.
pub(super) fn detect(bytes: &[u8]) -> Result<(&'static Encoding, usize), Reject> {
    let (certain, bom) = match encoding::from_bom(bytes) {
        Some((encoding, bom)) => (Some(encoding), bom),
        None if bytes.starts_with(b"<\0") => (Some(UTF_16LE), 0),
        None if bytes.starts_with(b"\0<") => (Some(UTF_16BE), 0),
        None => (None, 0),
    };
    if matches!(certain, Some(encoding) if encoding != UTF_8) {
        return Ok((certain.unwrap_or(UTF_8), bom));
    }
    let Some(name) = declared(bytes.get(bom..).unwrap_or_default()) else {
        return Ok((UTF_8, bom));
    };
    let unknown = |expected: &str| Reject::new(Code::Encoding, format!("encoding {name:?}"), expected);
    let Some(encoding) = encoding::by_name(&name) else {
        return Err(unknown("the name of a known encoding").offset(bom));
    };
    if !encoding.is_ascii_compatible() {
        return Err(unknown("bytes in that encoding, but each character is one byte").offset(bom));
    }
    if certain == Some(UTF_8) && encoding != UTF_8 {
        return Err(unknown("UTF-8, as the byte order mark says").offset(bom));
    }
    Ok((encoding, bom))
}

/// A declaration that is longer is taken to name no encoding.
const DECLARATION_BYTES_MAX: usize = 256;

/// The value of `encoding` in the XML declaration, as far as it can be found before decoding.
fn declared(bytes: &[u8]) -> Option<String> {
    let rest = bytes.strip_prefix(b"<?xml")?;
    let end = rest.iter().take(DECLARATION_BYTES_MAX).position(|&byte| byte == b'>')?;
    let declaration = String::from_utf8_lossy(rest.get(..end)?);
    let after = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    after.get(1..)?.split(quote).next().map(str::to_owned)
}
