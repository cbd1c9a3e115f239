//! What is wrong with a configuration, and where.

use std::fmt;

/// A place in a file, counted from 1. Zero means "not known".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The plan cannot be installed.
    Error,
    /// The plan works, but probably not as meant.
    Warning,
}

/// One sentence about one mistake in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Path of the file, relative to the project folder.
    pub file: String,
    /// Where in it.
    pub place: Place,
    /// Lowercase, names the thing, what was found and what was expected; no full stop.
    pub message: String,
    /// What to do, where that is known.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.place.line, self.place.column, self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// Collects all problems of one compilation.
#[derive(Debug, Default)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Notes an error.
    pub fn error(&mut self, file: &str, place: Place, message: impl Into<String>) {
        self.add(Severity::Error, file, place, message.into(), None);
    }

    /// Notes an error and says what to do.
    pub fn error_hint(
        &mut self,
        file: &str,
        place: Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Severity::Error, file, place, message.into(), Some(hint.into()));
    }

    /// Notes a warning.
    pub fn warn(&mut self, file: &str, place: Place, message: impl Into<String>, hint: impl Into<String>) {
        self.add(Severity::Warning, file, place, message.into(), Some(hint.into()));
    }

    /// Whether nothing stands in the way of an installation.
    #[must_use]
    pub fn installable(&self) -> bool {
        self.0.iter().all(|problem| problem.severity == Severity::Warning)
    }

    /// Sorts by file and place.
    pub fn sort(&mut self) {
        self.0.sort_by(|a, b| (&a.file, a.place, a.severity).cmp(&(&b.file, b.place, b.severity)));
    }

    fn add(&mut self, severity: Severity, file: &str, place: Place, message: String, hint: Option<String>) {
        self.0.push(Problem { severity, file: file.to_owned(), place, message, hint });
    }
}
