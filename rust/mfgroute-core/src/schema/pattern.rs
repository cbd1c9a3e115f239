//! ECMA-262 patterns as linear-time regular expressions.

use regex::{Regex, RegexBuilder};

/// Largest compiled regular expression, in bytes.
pub(crate) const PATTERN_BYTES_MAX: usize = 1 << 20;

/// White space of ECMA-262, for use inside a class.
const SPACE: &str = r"\t\n\x0B\x0C\r \u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000\uFEFF";

/// Compiles a pattern of a schema. The error says why it has no linear-time form.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > 4096 {
        return Err(format!("the pattern has {} bytes, at most 4096 are allowed", pattern.len()));
    }
    build(&translate(pattern)?)
}

/// Compiles a regular expression that is already in the syntax of the `regex` crate.
pub(crate) fn build(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX)
        .nest_limit(64)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "the compiled pattern is larger than 1 MiB".to_owned(),
            other => other.to_string().lines().last().unwrap_or_default().trim().to_owned(),
        })
}

/// Rewrites what means something else in ECMA-262.
fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern.chars().peekable();
    // Characters of the class so far, `None` outside of one.
    let mut class: Option<usize> = None;
    while let Some(c) = rest.next() {
        match (c, class) {
            ('\\', _) => {
                escape(&mut rest, class.is_some(), &mut out)?;
                class = class.map(|n| n + 1);
            }
            ('[', None) => {
                out.push('[');
                if rest.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                if rest.peek() == Some(&']') {
                    return Err("an empty class is not supported".to_owned());
                }
                class = Some(0);
            }
            (']', Some(_)) => {
                out.push(']');
                class = None;
            }
            ('[' | '&' | '~', Some(n)) => {
                out.push('\\');
                out.push(c);
                class = Some(n + 1);
            }
            ('-', Some(n)) => {
                // `--` is set difference to the regex crate.
                out.push_str(if n == 0 || rest.peek() == Some(&']') { "\\-" } else { "-" });
                class = Some(n + 1);
            }
            (_, Some(n)) => {
                out.push(c);
                class = Some(n + 1);
            }
            ('.', None) => out.push_str(r"[^\n\r\u2028\u2029]"),
            ('(', None) if rest.peek() == Some(&'?') => {
                rest.next();
                group(&mut rest, &mut out)?;
            }
            _ => out.push(c),
        }
    }
    Ok(out)
}

fn group(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) -> Result<(), String> {
    match rest.next() {
        Some(':') => out.push_str("(?:"),
        Some('<') if !matches!(rest.peek(), Some('=' | '!')) => out.push_str("(?<"),
        Some('=' | '!' | '<') => return Err("look-around has no linear-time form".to_owned()),
        _ => return Err("unknown group".to_owned()),
    }
    Ok(())
}

/// Only characters that ECMA-262 with the `u` flag lets us escape, and the control escapes.
fn escape(
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
    in_class: bool,
    out: &mut String,
) -> Result<(), String> {
    let Some(c) = rest.next() else { return Err("the pattern ends in a backslash".to_owned()) };
    let wrap = |inner: &str| if in_class { inner.to_owned() } else { format!("[{inner}]") };
    match c {
        'd' => out.push_str(&wrap("0-9")),
        'w' => out.push_str(&wrap("A-Za-z0-9_")),
        's' => out.push_str(&wrap(SPACE)),
        'D' => out.push_str("[^0-9]"),
        'W' => out.push_str("[^A-Za-z0-9_]"),
        'S' => {
            out.push_str("[^");
            out.push_str(SPACE);
            out.push(']');
        }
        'b' if in_class => out.push_str(r"\x08"),
        'b' => out.push_str(r"(?-u:\b)"),
        'n' | 'r' | 't' | 'f' | 'v' | 'p' | 'P' | 'x' | 'u' => {
            if c == 'u' && rest.clone().take(2).eq("d8".chars()) {
                return Err("a surrogate pair in an escape is not supported".to_owned());
            }
            out.push('\\');
            out.push(c);
        }
        'c' => match rest.next().filter(char::is_ascii_alphabetic) {
            Some(letter) => out.push(char::from((letter as u8) % 32)),
            None => return Err("`\\c` needs a letter".to_owned()),
        },
        '0' if !rest.peek().is_some_and(char::is_ascii_digit) => out.push_str(r"\x00"),
        '1'..='9' => return Err("a back-reference has no linear-time form".to_owned()),
        '/' => out.push('/'),
        '^' | '$' | '\\' | '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '-' => {
            out.push('\\');
            out.push(c);
        }
        other => return Err(format!("unknown escape `\\{other}`")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        compile(pattern).unwrap().is_match(text)
    }

    #[test]
    fn digits_and_words_are_ascii() {
        assert!(matches(r"^\d+$", "0123"));
        assert!(!matches(r"^\d+$", "\u{0967}"));
        assert!(!matches(r"^\w$", "é"));
        assert!(matches(r"^[\w.-]+$", "a-b.c"));
        assert!(matches(r"^\s$", "\u{FEFF}"));
        assert!(!matches(r"^\S$", "\u{2003}"));
    }

    #[test]
    fn a_class_has_no_set_operators() {
        assert!(matches("^[a&&b]+$", "a&b"));
        assert!(matches("^[[a]+$", "[a"));
        assert!(matches(r"^[~~a-]+$", "~a-"));
    }

    #[test]
    fn the_end_is_the_end_and_not_a_line_break_before_it() {
        assert!(!matches("^a$", "a\n"));
        assert!(!matches("^.$", "\u{2028}"));
    }

    #[test]
    fn what_would_backtrack_is_refused() {
        for pattern in ["(?=a)b", "(a)\\1", "(?<!a)b", "a{1000}{1000}"] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
    }
}
