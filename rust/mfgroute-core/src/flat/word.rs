//! Texts of the plan that texts of messages are compared with.

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
}
