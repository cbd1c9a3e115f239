//! Texts of the plan that texts of messages are compared with.

use std::collections::HashSet;

/// A text, its first bytes apart for a quick comparison.
#[derive(Debug)]
pub(super) struct Word {
    text: Box<str>,
    head: u64,
}

impl Word {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.into(), head: head(text.as_bytes()) }
    }

    /// Whether it is this text, of which `head` are the first bytes.
    #[inline]
    pub(super) fn is(&self, text: &[u8], head: u64) -> bool {
        self.head == head
            && self.text.len() == text.len()
            && (text.len() <= 8 || self.text.as_bytes() == text)
    }
}

/// Texts of which one has to be found: a few are looked through, many are in a table.
#[derive(Debug)]
pub(super) enum Words {
    Few(Vec<Word>),
    Many(HashSet<Box<[u8]>>),
}

impl Words {
    /// From so many on, a table takes less than looking through them.
    const MANY: usize = 32;

    pub(super) fn new<'t>(texts: impl Iterator<Item = &'t str>) -> Self {
        let texts: Vec<&str> = texts.collect();
        if texts.len() < Self::MANY {
            Self::Few(texts.into_iter().map(Word::new).collect())
        } else {
            Self::Many(texts.into_iter().map(|text| text.as_bytes().into()).collect())
        }
    }

    /// Whether a text is one of them.
    #[inline]
    pub(super) fn have(&self, text: &[u8]) -> bool {
        match self {
            Self::Few(words) => {
                let head = head(text);
                words.iter().any(|word| word.is(text, head))
            }
            Self::Many(texts) => texts.contains(text),
        }
    }
}

/// Up to eight bytes of a text as a number, the first one lowest.
#[inline]
pub(super) fn head(text: &[u8]) -> u64 {
    if let Some(chunk) = text.first_chunk::<8>() {
        return u64::from_le_bytes(*chunk);
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        let shift = 8 * (text.len() - 4);
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << shift;
    }
    match *text {
        [] => 0,
        [one] => u64::from(one),
        [one, two] => u64::from(one) | u64::from(two) << 8,
        [one, two, three, ..] => u64::from(one) | u64::from(two) << 8 | u64::from(three) << 16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_is_the_first_bytes_whatever_the_length() {
        let text = b"0123456789";
        for length in 0..=text.len() {
            let text = &text[..length];
            let slow = text.iter().take(8).rev().fold(0, |head, &byte| head << 8 | u64::from(byte));
            assert_eq!(head(text), slow, "{length}");
        }
    }

    #[test]
    fn a_word_is_its_text_and_no_other() {
        let texts = ["", "a", "ab", "abcdefgh", "abcdefghi", "abcdefghj", "b"];
        for one in texts {
            for other in texts {
                let found = Word::new(one).is(other.as_bytes(), head(other.as_bytes()));
                assert_eq!(found, one == other, "{one} {other}");
            }
        }
    }
    #[test]
    fn few_and_many_words_have_the_same_texts() {
        for count in [0, 1, Words::MANY - 1, Words::MANY, 1_000] {
            let texts: Vec<String> = (0..count).map(|number| format!("operation.{number}")).collect();
            let words = Words::new(texts.iter().map(String::as_str));
            assert_eq!(matches!(words, Words::Many(_)), count >= Words::MANY);
            for number in 0..=2 * count {
                assert_eq!(words.have(format!("operation.{number}").as_bytes()), number < count, "{number}");
            }
            assert!(!words.have(b"operation"));
        }
    }
}
