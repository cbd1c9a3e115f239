//! Text into a [`Path`].

use std::fmt;

use super::{Name, Path, Select, Start, Step};

/// Longest text of a path, in bytes.
pub const LENGTH_MAX: usize = 1024;

/// Largest number of names and brackets together.
const PARTS_MAX: usize = 64;

/// Why a text is not a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError {
    /// Where, in characters, counted from 1.
    pub column: usize,
    /// What was found and what was expected.
    pub message: String,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (column {})", self.message, self.column)
    }
}

impl std::error::Error for PathError {}

/// Whether a name needs no quotes.
pub(super) fn is_bare(name: &str) -> bool {
    if name == "#text" {
        return true;
    }
    let name = name.strip_prefix('@').unwrap_or(name);
    !name.is_empty() && name.chars().all(is_bare_character)
}

fn is_bare_character(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-')
}

pub(super) fn parse(text: &str) -> Result<Path, PathError> {
    let mut parser = Parser { text, at: 0, parts: 0, deep: false };
    if text.len() > LENGTH_MAX {
        return Err(parser.error(format!("a path of {} bytes, at most {LENGTH_MAX} are allowed", text.len())));
    }
    let start = parser.start()?;
    let steps = match parser.peek() {
        None if start == Start::Up(0) => return Err(parser.error("an empty path, expected a name or '#'")),
        None => Vec::new(),
        Some('#') if parser.rest() == "#" => {
            parser.at += 1;
            Vec::new()
        }
        Some(_) => parser.steps(true)?,
    };
    match parser.peek() {
        None => Ok(Path { start, steps }),
        Some(_) => Err(parser.unexpected("'.', '[' or the end")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    parts: usize,
    deep: bool,
}

impl Parser<'_> {
    /// Reads `$.`, `^.`, `^.^.`, or nothing. A bracket may follow without a dot.
    fn start(&mut self) -> Result<Start, PathError> {
        if self.eat('$') {
            self.joint()?;
            return Ok(Start::Root);
        }
        let mut up = 0;
        while self.eat('^') {
            up += 1;
            self.joint()?;
        }
        Ok(Start::Up(up))
    }

    fn joint(&mut self) -> Result<(), PathError> {
        match self.peek() {
            None | Some('[') => Ok(()),
            Some('.') => {
                self.at += 1;
                if self.peek().is_none() { Err(self.unexpected("a name")) } else { Ok(()) }
            }
            Some(_) => Err(self.unexpected("'.' after the prefix")),
        }
    }

    /// Reads names joined by dots; `outer` ones may have brackets.
    fn steps(&mut self, outer: bool) -> Result<Vec<Step>, PathError> {
        let mut steps = Vec::new();
        loop {
            let name = if outer && steps.is_empty() && self.peek() == Some('[') {
                Name::This
            } else if self.rest().starts_with("**") {
                if std::mem::replace(&mut self.deep, true) {
                    // Two would find one value by several ways, and as many ways as a message likes.
                    return Err(self.error("a second '**', a path may have one"));
                }
                self.at += 2;
                if !self.eat('.') {
                    return Err(self.unexpected("'.' and a name after '**'"));
                }
                Name::Below(self.name()?)
            } else {
                Name::Child(self.name()?)
            };
            self.count()?;
            let mut selects = Vec::new();
            while outer && self.eat('[') {
                self.count()?;
                selects.push(self.select()?);
            }
            steps.push(Step { name, selects });
            if !self.eat('.') {
                return Ok(steps);
            }
        }
    }

    fn count(&mut self) -> Result<(), PathError> {
        self.parts += 1;
        if self.parts > PARTS_MAX {
            return Err(self.error(format!("more than {PARTS_MAX} names and brackets")));
        }
        Ok(())
    }

    fn name(&mut self) -> Result<Box<str>, PathError> {
        if self.peek() == Some('\'') {
            let start = self.at;
            let name = self.quoted()?;
            if name.is_empty() {
                self.at = start;
                return Err(self.error("an empty name"));
            }
            return Ok(name.into());
        }
        let start = self.at;
        if self.rest().starts_with("#text") {
            self.at += "#text".len();
        } else {
            if self.peek() == Some('#') {
                return Err(self.error("'#' stands alone or before 'text'; quote the name if it is one"));
            }
            let at_sign = self.eat('@');
            let from = self.at;
            while self.peek().is_some_and(is_bare_character) {
                self.bump();
            }
            if self.at == from {
                return Err(self.unexpected(if at_sign { "the name of an attribute" } else { "a name" }));
            }
        }
        if self.peek().is_some_and(|next| !matches!(next, '.' | '[' | ']' | '=')) {
            return Err(self.unexpected("'.', '[' or the end; put a name with other characters in '…'"));
        }
        Ok(self.text.get(start..self.at).unwrap_or_default().into())
    }

    /// Reads text in quotes, in which `''` is one quote.
    fn quoted(&mut self) -> Result<String, PathError> {
        let start = self.at;
        self.at += 1;
        let mut out = String::new();
        while let Some(character) = self.bump() {
            if character != '\'' {
                out.push(character);
            } else if self.eat('\'') {
                out.push('\'');
            } else {
                return Ok(out);
            }
        }
        self.at = start;
        Err(self.error("a quote that is not closed"))
    }

    fn select(&mut self) -> Result<Select, PathError> {
        let Some(close) = self.rest().find(']') else {
            return Err(self.error("a bracket that is not closed"));
        };
        let inside = self.rest().get(..close).unwrap_or_default();
        if inside == "*" {
            self.at += 2;
            return Ok(Select::All);
        }
        if !inside.is_empty() && inside.bytes().all(|byte| byte.is_ascii_digit()) {
            let index = inside.parse().map_err(|_| self.error(format!("an index of {inside}")))?;
            self.at += close + 1;
            return Ok(Select::Index(index));
        }
        if inside.is_empty() || inside.starts_with(['-', '+']) {
            return Err(self.unexpected("a number from 0, '*' or name=value in brackets"));
        }
        let steps = if self.rest().starts_with("#=") {
            self.at += 1;
            Vec::new()
        } else {
            self.steps(false)?
        };
        if !self.eat('=') {
            return Err(self.unexpected("'=' and a value"));
        }
        let value = if self.peek() == Some('\'') {
            self.quoted()?
        } else {
            let start = self.at;
            while self.peek().is_some_and(|next| next != ']') {
                self.bump();
            }
            self.text.get(start..self.at).unwrap_or_default().trim().to_owned()
        };
        if !self.eat(']') {
            return Err(self.unexpected("']'"));
        }
        Ok(Select::Where { steps, value: value.into() })
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.bump();
        }
        found
    }

    fn unexpected(&self, expected: &str) -> PathError {
        let found = match self.peek() {
            Some(character) => format!("{character:?}"),
            None => "the end".to_owned(),
        };
        self.error(format!("{found}, expected {expected}"))
    }

    fn error(&self, message: impl Into<String>) -> PathError {
        let before = self.text.get(..self.at).unwrap_or_default();
        PathError { column: before.chars().count() + 1, message: message.into() }
    }
}
