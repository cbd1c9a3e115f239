//! Patterns that are nothing but ASCII classes one after the other, from the first character to the last:
//! `^[A-Z]{2}-[0-9]+$`. They need no engine of regular expressions.

/// Parts of one pattern; more are left to the engine.
const PARTS_MAX: usize = 32;

/// A pattern as a row of classes.
#[derive(Debug)]
pub(crate) struct Classes {
    parts: Vec<Part>,
}

/// So many characters of a class.
#[derive(Debug)]
struct Part {
    /// By byte; nothing beyond ASCII.
    set: Box<[bool; 256]>,
    min: usize,
    max: usize,
}

impl Classes {
    /// Reads a pattern that [`super::pattern`] has accepted; `None` when it is more than a row of classes, or when
    /// taking as many characters as a class allows might leave too few for the next one.
    pub(crate) fn new(pattern: &str) -> Option<Self> {
        let mut rest = pattern.strip_prefix('^')?.strip_suffix('$')?.as_bytes();
        let mut parts: Vec<Part> = Vec::new();
        while !rest.is_empty() {
            let set = class(&mut rest)?;
            let (min, max) = count(&mut rest)?;
            parts.push(Part { set, min, max });
        }
        let certain = parts.iter().enumerate().all(|(at, part)| {
            let mut next = parts.iter().skip(at + 1);
            part.min == part.max || {
                let mut open = true;
                next.all(|other| {
                    let apart = !open || !part.meets(other);
                    open &= other.min == 0;
                    apart
                })
            }
        });
        (certain && !parts.is_empty() && parts.len() <= PARTS_MAX).then_some(Self { parts })
    }

    /// Whether a text matches.
    pub(crate) fn accepts(&self, text: &[u8]) -> bool {
        let mut bytes = text.iter();
        for part in &self.parts {
            let mut rest = bytes.clone();
            let mut count = 0;
            while count < part.max
                && let Some(byte) = rest.next()
                && part.has(*byte)
            {
                count += 1;
                bytes = rest.clone();
            }
            if count < part.min {
                return false;
            }
        }
        bytes.as_slice().is_empty()
    }
}

impl Part {
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "there is a place for every byte")]
    fn has(&self, byte: u8) -> bool {
        self.set[usize::from(byte)]
    }

    fn meets(&self, other: &Self) -> bool {
        self.set.iter().zip(other.set.iter()).any(|(left, right)| *left && *right)
    }
}

/// Characters that mean themselves, in a class and outside of one.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'_' | b'/' | b':' | b',' | b'@' | b'#' | b'%' | b'=' | b' ' | b';')
}

/// A character or class at the start of a pattern.
fn class(rest: &mut &[u8]) -> Option<Box<[bool; 256]>> {
    let mut set = Box::new([false; 256]);
    let (first, behind) = rest.split_first()?;
    *rest = behind;
    match first {
        b'[' => loop {
            let (byte, behind) = rest.split_first()?;
            *rest = behind;
            match byte {
                b']' => break,
                b'\\' => escape(rest, &mut set)?,
                b'-' if rest.first() == Some(&b']') => add(&mut set, b'-', b'-'),
                b'.' => add(&mut set, b'.', b'.'),
                byte if is_plain(*byte) => match rest {
                    [b'-', b']', ..] => add(&mut set, *byte, *byte),
                    [b'-', last, behind @ ..] if is_plain(*last) && byte <= last => {
                        add(&mut set, *byte, *last);
                        *rest = behind;
                    }
                    [b'-', ..] => return None,
                    _ => add(&mut set, *byte, *byte),
                },
                _ => return None,
            }
        },
        b'\\' => escape(rest, &mut set)?,
        byte if is_plain(*byte) || *byte == b'-' => add(&mut set, *byte, *byte),
        _ => return None,
    }
    set.contains(&true).then_some(set)
}

/// What stands behind a backslash.
fn escape(rest: &mut &[u8], set: &mut [bool; 256]) -> Option<()> {
    let (byte, behind) = rest.split_first()?;
    // The class would go on as a range.
    if behind.first() == Some(&b'-') && behind.get(1) != Some(&b']') {
        return None;
    }
    *rest = behind;
    match byte {
        b'd' => add(set, b'0', b'9'),
        b'w' => [(b'0', b'9'), (b'A', b'Z'), (b'a', b'z'), (b'_', b'_')]
            .map(|(a, z)| add(set, a, z))
            .into_iter()
            .collect(),
        b'.' | b'-' | b'/' => add(set, *byte, *byte),
        _ => return None,
    }
    Some(())
}

fn add(set: &mut [bool; 256], first: u8, last: u8) {
    set.iter_mut().take(usize::from(last) + 1).skip(usize::from(first)).for_each(|has| *has = true);
}

/// How many of a class there may be.
fn count(rest: &mut &[u8]) -> Option<(usize, usize)> {
    let (range, length) = match rest {
        [b'+', ..] => ((1, usize::MAX), 1),
        [b'*', ..] => ((0, usize::MAX), 1),
        [b'?', ..] => ((0, 1), 1),
        [b'{', inside @ ..] => {
            let end = inside.iter().position(|byte| *byte == b'}')?;
            let text = std::str::from_utf8(inside.get(..end)?).ok()?;
            let number =
                |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
            let range = match text.split_once(',') {
                None => (number(text)?, number(text)?),
                Some((min, "")) => (number(min)?, usize::MAX),
                Some((min, max)) => (number(min)?, number(max)?),
            };
            (range, end + 2)
        }
        _ => ((1, 1), 0),
    };
    *rest = rest.get(length..)?;
    // `+?` takes as few as it can, `++` is no pattern.
    let once = length == 0 || !matches!(rest.first(), Some(b'?' | b'+' | b'*' | b'{'));
    (once && range.0 <= range.1).then_some(range)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::pattern;
    use super::*;

    #[test]
    fn the_usual_patterns_of_plants_are_rows_of_classes() {
        for pattern in [
            "^[0-9]{4}$",
            r"^\d{1,12}$",
            "^[A-Z0-9-]+$",
            "^[A-Z]{2}-[0-9]+$",
            r"^[\w.-]*$",
            "^WC-[0-9]{4}[A-Z]?$",
            "^[A-Z_]+/[0-9]{2,}$",
        ] {
            assert!(Classes::new(pattern).is_some(), "{pattern}");
        }
    }

    #[test]
    fn what_is_more_or_uncertain_is_left_to_the_engine() {
        for pattern in [
            "[0-9]+",
            "^[0-9]+",
            "^[^0-9]$",
            "^a|b$",
            "^(ab)+$",
            "^[0-9]+[0-9]$",
            "^a?[a-z]?a$",
            "^.$",
            r"^\s$",
            "^[a-z&&b]$",
            "^ä$",
            "^[a-ä]$",
            "^a+?$",
            "^$",
            r"^[\d-z]$",
            "^[z-a]$",
            r"^a\$",
            "^[]$",
            "^a{2}{3}$",
        ] {
            assert!(Classes::new(pattern).is_none(), "{pattern}");
        }
    }

    fn row() -> impl Strategy<Value = String> {
        let class = prop::sample::select(vec![
            "[0-9]", r"\d", "[A-C]", "[a-cA-C]", "[ab-]", r"[\w]", "a", "-", "b", r"\.", "[.a]", "[-]", "_",
        ]);
        let count = prop::sample::select(vec!["", "", "+", "*", "?", "{2}", "{1,2}", "{0,3}", "{2,}", "{0}"]);
        prop::collection::vec((class, count), 1..5)
            .prop_map(|parts| parts.iter().flat_map(|(class, count)| [*class, *count]).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn a_row_of_classes_accepts_what_the_engine_accepts(
            row in row(),
            texts in prop::collection::vec("[0-2a-cA-C._é-]{0,6}", 1..20),
        ) {
            let pattern = format!("^{row}$");
            if let (Some(classes), Ok(engine)) = (Classes::new(&pattern), pattern::compile(&pattern)) {
                for text in texts {
                    prop_assert_eq!(classes.accepts(text.as_bytes()), engine.is_match(&text), "{} {}", pattern, text);
                }
            }
        }
    }
}
