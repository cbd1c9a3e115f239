//! Reading configuration values with all problems noted at their places.

use crate::path::Path;
use crate::problem::{Place, Problem, Problems, Severity};
use crate::yaml::{Node, Value};

/// A file that is being compiled.
pub struct File<'a> {
    /// Path relative to the project folder.
    pub name: &'a str,
    /// Where problems go.
    pub problems: &'a mut Problems,
}

impl File<'_> {
    /// How many errors were noted; warnings keep nothing from being compiled.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.problems.0.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// Notes an error.
    pub fn error(&mut self, place: Place, message: impl Into<String>) {
        self.problems.error(self.name, place, message);
    }

    /// Notes an error and says what to do.
    pub fn error_hint(&mut self, place: Place, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.error_hint(self.name, place, message, hint);
    }

    /// Notes an error about a word, with the known word that was probably meant.
    pub fn error_near(&mut self, place: Place, message: impl Into<String>, word: &str, known: &[&str]) {
        match nearest(word, known) {
            Some(name) => self.error_hint(place, message, format!("did you mean {name}?")),
            None => self.error(place, message),
        }
    }

    /// Notes a warning about `name`, unless it was noted before.
    pub fn warn_once(&mut self, name: &str, place: Place, message: String, hint: impl Into<String>) {
        let known = |one: &Problem| one.file == name && one.place == place && one.message == message;
        if !self.problems.0.iter().any(known) {
            self.problems.warn(name, place, message, hint);
        }
    }

    /// Checks that `node` is a mapping with no other keys than these.
    pub fn keys(&mut self, node: &Node, what: &str, known: &[&str]) -> bool {
        if !matches!(node.value, Value::Map(_)) {
            self.error(node.place, format!("{what} is {}, expected a mapping", node.kind()));
            return false;
        }
        for (key, _) in node.entries() {
            if known.contains(&key.text.as_str()) {
                continue;
            }
            let message = format!("unknown key {} in {what}, known are {}", key.text, known.join(", "));
            self.error_near(key.place, message, &key.text, known);
        }
        true
    }

    /// A text member; a number or bool there is an error with a hint to quote it.
    pub fn text<'n>(&mut self, node: &'n Node, key: &str) -> Option<&'n str> {
        let member = node.get(key)?;
        self.as_text(member, key)
    }

    /// A node as text.
    pub fn as_text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        if let Value::Text(text) = &node.value {
            return Some(text);
        }
        let message = format!("{what} is {}, expected text", node.kind());
        match &node.value {
            Value::Number(number) => self.error_hint(node.place, message, format!("quote it: \"{number}\"")),
            Value::Bool(truth) => self.error_hint(node.place, message, format!("quote it: \"{truth}\"")),
            _ => self.error(node.place, message),
        }
        None
    }

    /// A text member that must be there.
    pub fn required_text<'n>(&mut self, node: &'n Node, what: &str, key: &str) -> Option<&'n str> {
        if node.get(key).is_none() {
            self.error(node.place, format!("{what} has no {key}"));
            return None;
        }
        self.text(node, key)
    }

    /// A text or a list of texts.
    pub fn texts(&mut self, node: &Node, what: &str) -> Vec<String> {
        match &node.value {
            Value::List(items) => {
                items.iter().filter_map(|item| self.as_text(item, what).map(str::to_owned)).collect()
            }
            _ => self.as_text(node, what).map(str::to_owned).into_iter().collect(),
        }
    }

    /// A whole number member.
    pub fn number(&mut self, node: &Node, key: &str) -> Option<u32> {
        let member = node.get(key)?;
        let parsed = match &member.value {
            Value::Number(text) => text.parse().ok(),
            _ => None,
        };
        if parsed.is_none() {
            self.error(member.place, format!("{key} is not a whole number from 0 on"));
        }
        parsed
    }

    /// A true or false member; false when absent.
    pub fn flag(&mut self, node: &Node, key: &str) -> bool {
        match node.get(key).map(|member| (&member.value, member.place)) {
            None => false,
            Some((Value::Bool(truth), _)) => *truth,
            Some((_, place)) => {
                self.error(place, format!("{key} is not true or false"));
                false
            }
        }
    }

    /// A path.
    pub fn path(&mut self, node: &Node) -> Option<Path> {
        let text = self.as_text(node, "path")?;
        match Path::parse(text) {
            Ok(path) => Some(path),
            Err(error) => {
                self.error(node.place, format!("the path {text:?} is wrong: {error}"));
                None
            }
        }
    }

    /// One path or a list of them.
    pub fn paths(&mut self, node: &Node) -> Vec<Path> {
        match &node.value {
            Value::List(items) => items.iter().filter_map(|item| self.path(item)).collect(),
            _ => self.path(node).into_iter().collect(),
        }
    }
}

/// The known name that is at most two edits away.
#[must_use]
pub fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let scored = known.iter().map(|candidate| (distance(name, candidate), *candidate));
    // As many edits as letters make any word of another.
    let near = |(edits, candidate): &(usize, &str)| {
        *edits <= 2 && *edits < name.chars().count().max(candidate.chars().count())
    };
    scored.filter(near).min().map(|(_, candidate)| candidate)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut previous = i;
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
        for (j, right) in b.iter().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(0);
            let beside = row.get(j).copied().unwrap_or(0);
            let cost = (previous + usize::from(left != *right)).min(above + 1).min(beside + 1);
            previous = above;
            if let Some(cell) = row.get_mut(j + 1) {
                *cell = cost;
            }
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_two_edits_away_is_suggested() {
        assert_eq!(nearest("lokup", &["path", "lookup"]), Some("lookup"));
        assert_eq!(nearest("xyz", &["path", "lookup"]), None);
        assert_eq!(nearest("v", &["n"]), None);
        assert_eq!(nearest("i", &["id"]), Some("id"));
    }
}
