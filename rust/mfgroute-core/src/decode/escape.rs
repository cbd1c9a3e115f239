//! The escapes of JSON texts.

/// Why an escape is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EscapeError {
    /// The character behind the backslash means nothing.
    Unknown,
    /// `\u` is not followed by four hexadecimal digits; the place of the first byte that is none,
    /// counted from the backslash.
    Hex(usize),
    /// Half of a surrogate pair.
    LoneSurrogate(u32),
}

/// Reads an escape at the start of `bytes`, which is a backslash. Gives the character and the length of
/// the escape in bytes.
///
/// # Errors
///
/// See [`EscapeError`].
pub fn escape(bytes: &[u8]) -> Result<(char, usize), EscapeError> {
    let character = match bytes.get(1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(bytes),
        _ => return Err(EscapeError::Unknown),
    };
    Ok((character, 2))
}

fn unicode(bytes: &[u8]) -> Result<(char, usize), EscapeError> {
    let first = hex(bytes, 2)?;
    let mut code = first;
    let mut length = 6;
    if (0xD800..0xDC00).contains(&first) && bytes.get(6..8) == Some(b"\\u") {
        let second = hex(bytes, 8)?;
        if (0xDC00..0xE000).contains(&second) {
            code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            length = 12;
        }
    }
    char::from_u32(code).map(|character| (character, length)).ok_or(EscapeError::LoneSurrogate(first))
}

fn hex(bytes: &[u8], at: usize) -> Result<u32, EscapeError> {
    (at..at + 4).try_fold(0, |code, at| {
        let digit = bytes.get(at).and_then(|&byte| char::from(byte).to_digit(16));
        Ok(code * 16 + digit.ok_or(EscapeError::Hex(at))?)
    })
}
