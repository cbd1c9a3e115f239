//! Text rules of a mapping: what happens to a text between the message and the event.
//!
//! Positions and lengths count characters (Unicode scalar values), never bytes. A rule either
//! applies or is an error; it never guesses.

use std::fmt;

use regex::{Regex, RegexBuilder};

/// Bound of a compiled pattern, in bytes. The engine is linear in the text, so a pattern cannot
/// hang on a message; this keeps it from exhausting memory when it is compiled.
pub const PATTERN_BYTES_MAX: usize = 256 * 1024;

/// Bound of the width that `pad_left` fills to.
pub const PAD_TO_MAX: u32 = 1000;

/// One rule, as a mapping declares it.
#[derive(Clone, Debug)]
pub enum TextRule {
    /// Removes white space (Unicode `White_Space`, so also no-break space) at both ends.
    Strip,
    /// Removes leading zeros, but not the last digit: `000` is `0`. Only `0` counts, and a text
    /// that goes on with something else than a digit keeps its last zero: `00,5` is `0,5`.
    StripZerosLeft,
    /// Puts a character in front until the text has a length. A longer text stays.
    PadLeft {
        /// The character.
        with: char,
        /// The length, at most [`PAD_TO_MAX`].
        to: u32,
    },
    /// To upper case, by the Unicode mapping that is the same for all languages.
    Upper,
    /// To lower case, likewise.
    Lower,
    /// Takes one part of a text.
    Split {
        /// What is between the parts; not empty.
        by: String,
        /// Which part, from 0; a negative number counts from the end, `-1` being the last.
        part: i32,
    },
    /// Takes the characters from one position, included, to another, excluded, both from 0 and cut
    /// at the end of the text.
    Slice {
        /// First position.
        from: u32,
        /// Position after the last; `None` is the end.
        to: Option<u32>,
    },
    /// Replaces every occurrence.
    Replace {
        /// What is replaced; not empty.
        old: String,
        /// What comes in its place.
        new: String,
    },
    /// Takes what the one capture group of a pattern matched, at the first match.
    Regex {
        /// Syntax of the `regex` crate. Anchors are the author's business.
        pattern: String,
    },
}

/// Why a rule cannot be declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextRuleError {
    /// `split.by` or `replace.old` is empty.
    Empty(&'static str),
    /// `slice.to` is before `slice.from`.
    SliceBackward,
    /// `pad_left.to` is larger than [`PAD_TO_MAX`].
    PadTooWide,
    /// The pattern is not one; the text says why.
    BadPattern(String),
    /// The pattern has this many capture groups and not one.
    Groups(usize),
}

impl fmt::Display for TextRuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty(what) => write!(f, "`{what}` is empty, expected at least one character"),
            Self::SliceBackward => f.write_str("`slice` ends before it begins"),
            Self::PadTooWide => write!(f, "`pad_left.to` is larger than {PAD_TO_MAX}"),
            Self::BadPattern(why) => write!(f, "`regex` is not a pattern: {why}"),
            Self::Groups(found) => write!(f, "`regex` has {found} capture groups, expected one"),
        }
    }
}

impl std::error::Error for TextRuleError {}

/// Why a rule does not apply to a text. All are the reject `text_rule`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextError {
    /// The text has fewer parts than `split.part` asks for.
    NoPart {
        /// The part asked for.
        part: i32,
        /// Parts found.
        found: usize,
    },
    /// The text has no character at `slice.from`.
    NoSlice {
        /// The position asked for.
        from: u32,
    },
    /// The pattern, or its group, matches nothing.
    NoMatch,
}

impl TextError {
    /// The reject it becomes.
    #[must_use]
    pub fn code(self) -> crate::reject::Code {
        crate::reject::Code::TextRule
    }
}

impl fmt::Display for TextError {
    /// What was expected.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPart { part, found } => write!(f, "a text with part {part}, found {found} parts"),
            Self::NoSlice { from } => write!(f, "a text of more than {from} characters"),
            Self::NoMatch => f.write_str("a text that matches the pattern"),
        }
    }
}

impl std::error::Error for TextError {}

#[derive(Clone, Debug)]
enum Step {
    /// Takes a part of the text.
    Cut(Cut),
    /// Writes another text.
    Rewrite(Rewrite),
}

#[derive(Clone, Debug)]
enum Cut {
    Strip,
    StripZerosLeft,
    Split { by: String, part: i32 },
    Slice { from: usize, to: Option<usize> },
    Regex(Regex),
}

#[derive(Clone, Debug)]
enum Rewrite {
    PadLeft { with: char, to: usize },
    Upper,
    Lower,
    Replace { old: String, new: String },
}

/// Compiled rules, applied in order.
#[derive(Clone, Debug, Default)]
pub struct TextRules {
    steps: Vec<Step>,
}

impl TextRules {
    /// Compiles rules. On an error, the index of the rule that is wrong comes with it.
    pub fn compile(rules: &[TextRule]) -> Result<Self, (usize, TextRuleError)> {
        let steps =
            rules.iter().enumerate().map(|(index, rule)| compile(rule).map_err(|error| (index, error)));
        Ok(Self { steps: steps.collect::<Result<_, _>>()? })
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The part of an ASCII text without control characters that the rules take; `None` when one of them does
    /// not apply or has no short way: then [`TextRules::apply`] is asked.
    #[must_use]
    pub(crate) fn cut_ascii(&self, text: &[u8]) -> Option<std::ops::Range<usize>> {
        let mut range = 0..text.len();
        for step in &self.steps {
            let Step::Cut(cut) = step else { return None };
            let inner = cut.take_ascii(text.get(range.clone())?)?;
            range = range.start + inner.start..range.start + inner.end;
        }
        Some(range)
    }

    /// Appends what the rules make of `input`. On an error, `out` is as it was.
    ///
    /// Rules that only take a part of the text, in any number and order, allocate nothing; nor do
    /// they before and after one rule that rewrites it.
    pub fn apply(&self, input: &str, out: &mut String) -> Result<(), TextError> {
        let begin = out.len();
        let result = self.apply_from(input, out, begin);
        if result.is_err() {
            out.truncate(begin);
        }
        result
    }

    fn apply_from(&self, input: &str, out: &mut String, begin: usize) -> Result<(), TextError> {
        let mut steps = self.steps.as_slice();
        let text = cut_while(input, &mut steps)?;
        let Some((Step::Rewrite(first), mut rest)) = steps.split_first() else {
            out.push_str(text);
            return Ok(());
        };
        first.write(text, out);
        loop {
            let cut = cut_while(out.get(begin..).unwrap_or_default(), &mut rest)?;
            if let Some((Step::Rewrite(next), later)) = rest.split_first() {
                let cut = cut.to_owned();
                out.truncate(begin);
                next.write(&cut, out);
                rest = later;
                continue;
            }
            // `cut` is a part of `out`; what is before and after it goes.
            let start = cut.as_ptr() as usize - out.as_ptr() as usize;
            let end = start + cut.len();
            out.truncate(end);
            out.replace_range(begin..start, "");
            return Ok(());
        }
    }
}

/// Applies cuts up to the first step that rewrites, which is left in `steps`.
fn cut_while<'a>(mut text: &'a str, steps: &mut &[Step]) -> Result<&'a str, TextError> {
    while let Some((Step::Cut(cut), rest)) = steps.split_first() {
        text = cut.take(text)?;
        *steps = rest;
    }
    Ok(text)
}

fn compile(rule: &TextRule) -> Result<Step, TextRuleError> {
    Ok(match rule {
        TextRule::Strip => Step::Cut(Cut::Strip),
        TextRule::StripZerosLeft => Step::Cut(Cut::StripZerosLeft),
        TextRule::Split { by, .. } if by.is_empty() => return Err(TextRuleError::Empty("split.by")),
        TextRule::Split { by, part } => Step::Cut(Cut::Split { by: by.clone(), part: *part }),
        TextRule::Slice { from, to: Some(to) } if to < from => return Err(TextRuleError::SliceBackward),
        TextRule::Slice { from, to } => {
            Step::Cut(Cut::Slice { from: *from as usize, to: to.map(|to| to as usize) })
        }
        TextRule::Regex { pattern } => Step::Cut(Cut::Regex(compile_pattern(pattern)?)),
        TextRule::PadLeft { to, .. } if *to > PAD_TO_MAX => return Err(TextRuleError::PadTooWide),
        TextRule::PadLeft { with, to } => Step::Rewrite(Rewrite::PadLeft { with: *with, to: *to as usize }),
        TextRule::Upper => Step::Rewrite(Rewrite::Upper),
        TextRule::Lower => Step::Rewrite(Rewrite::Lower),
        TextRule::Replace { old, .. } if old.is_empty() => return Err(TextRuleError::Empty("replace.old")),
        TextRule::Replace { old, new } => {
            Step::Rewrite(Rewrite::Replace { old: old.clone(), new: new.clone() })
        }
    })
}

fn compile_pattern(pattern: &str) -> Result<Regex, TextRuleError> {
    let regex = RegexBuilder::new(pattern)
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX)
        .nest_limit(50)
        .build()
        .map_err(|error| TextRuleError::BadPattern(error.to_string()))?;
    match regex.captures_len() - 1 {
        1 => Ok(regex),
        found => Err(TextRuleError::Groups(found)),
    }
}

impl Cut {
    /// [`Cut::take`] for ASCII without control characters; `None` when it does not apply or has no
    /// short way.
    fn take_ascii(&self, text: &[u8]) -> Option<std::ops::Range<usize>> {
        match self {
            Self::Strip => {
                let start = text.iter().take_while(|&&byte| byte == b' ').count();
                let end =
                    text.len() - text.iter().skip(start).rev().take_while(|&&byte| byte == b' ').count();
                Some(start..end)
            }
            Self::StripZerosLeft => {
                let zeros = text.iter().take_while(|&&byte| byte == b'0').count();
                let goes_on = text.get(zeros).is_some_and(u8::is_ascii_alphanumeric);
                Some(zeros - usize::from(zeros > 0 && !goes_on)..text.len())
            }
            Self::Split { by, part } => {
                let [mark] = *by.as_bytes() else { return None };
                if *part < 0 {
                    return None;
                }
                let (mut start, mut before) = (0, part.unsigned_abs());
                for (at, byte) in text.iter().enumerate() {
                    if *byte == mark {
                        if before == 0 {
                            return Some(start..at);
                        }
                        (start, before) = (at + 1, before - 1);
                    }
                }
                (before == 0).then_some(start..text.len())
            }
            Self::Slice { from, to } => {
                let end = to.map_or(text.len(), |to| to.min(text.len()));
                (*from < text.len()).then_some(*from..end.max(*from))
            }
            Self::Regex(_) => None,
        }
    }

    fn take<'a>(&self, text: &'a str) -> Result<&'a str, TextError> {
        match self {
            Self::Strip => Ok(text.trim()),
            Self::StripZerosLeft => {
                let rest = text.trim_start_matches('0');
                let keeps_one = !rest.starts_with(|c: char| c.is_alphanumeric()) && rest.len() < text.len();
                Ok(text.get(text.len() - rest.len() - usize::from(keeps_one)..).unwrap_or(rest))
            }
            Self::Split { by, part } => {
                let found = if *part >= 0 {
                    text.split(by.as_str()).nth(part.unsigned_abs() as usize)
                } else {
                    text.rsplit(by.as_str()).nth((part.unsigned_abs() - 1) as usize)
                };
                found.ok_or_else(|| TextError::NoPart { part: *part, found: text.split(by.as_str()).count() })
            }
            Self::Slice { from, to } => slice(text, *from, *to),
            Self::Regex(regex) => {
                let group = regex.captures(text).and_then(|captures| captures.get(1));
                group.map(|group| group.as_str()).ok_or(TextError::NoMatch)
            }
        }
    }
}

/// A slice that begins at the end of the text, or behind it, is an error.
fn slice(text: &str, from: usize, to: Option<usize>) -> Result<&str, TextError> {
    let at = |position: usize| {
        if text.is_ascii() {
            return (position < text.len()).then_some(position);
        }
        text.char_indices().nth(position).map(|(at, _)| at)
    };
    let start = at(from).ok_or(TextError::NoSlice { from: from as u32 })?;
    let end = to.and_then(at).unwrap_or(text.len());
    Ok(text.get(start..end).unwrap_or_default())
}

impl Rewrite {
    fn write(&self, text: &str, out: &mut String) {
        match self {
            Self::PadLeft { with, to } => {
                let missing = to.saturating_sub(text.chars().count());
                out.extend(std::iter::repeat_n(*with, missing));
                out.push_str(text);
            }
            Self::Upper if text.is_ascii() => {
                out.extend(text.bytes().map(|b| char::from(b.to_ascii_uppercase())));
            }
            Self::Lower if text.is_ascii() => {
                out.extend(text.bytes().map(|b| char::from(b.to_ascii_lowercase())));
            }
            Self::Upper => out.extend(text.chars().flat_map(char::to_uppercase)),
            // Not by character: the last sigma of a Greek word has a form of its own.
            Self::Lower => out.push_str(&text.to_lowercase()),
            Self::Replace { old, new } => {
                let mut from = 0;
                for (at, found) in text.match_indices(old.as_str()) {
                    out.push_str(text.get(from..at).unwrap_or_default());
                    out.push_str(new);
                    from = at + found.len();
                }
                out.push_str(text.get(from..).unwrap_or_default());
            }
        }
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
