//! Routes: which events go to which sinks.

mod index;

use crate::contract::Contract;
use crate::expr::{Expr, ExprCtx};
use crate::reject::{Code, Reject};
use crate::tree::{NodeId, Tree};

pub use index::{Group, Index};

/// One route, compiled. Its type patterns were matched against all contracts when the plan was
/// compiled: an event meets only the routes that take events of its contract, as they are or converted.
#[derive(Debug)]
pub struct Route {
    /// Name, for messages and `explain`.
    pub name: String,
    /// Patterns of types.
    pub types: Vec<TypePattern>,
    /// Names or URIs of sources; empty means any.
    pub sources: Vec<String>,
    /// For each contract the one whose form its events are delivered in: itself, another version that
    /// conversions lead to, or `None` when the route does not take them.
    pub delivers: Vec<Option<usize>>,
    /// For each contract the condition over `data` in the form that is delivered.
    pub conditions: Vec<Option<Expr>>,
    /// Sinks, by their index in the plan.
    pub sinks: Vec<usize>,
}

/// `a.b/1`, `a.b` (its newest version), `a.*` (one level), `a.>` (all below), `>` (all).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypePattern {
    parts: Vec<String>,
    major: Option<u32>,
}

impl TypePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, major) = match text.split_once('/') {
            Some((name, major)) => {
                let major = major.parse().map_err(|_| format!("{major:?} after / is not a major version"))?;
                (name, Some(major))
            }
            None => (text, None),
        };
        let parts: Vec<String> = name.split('.').map(str::to_owned).collect();
        if parts.iter().any(String::is_empty) {
            return Err(format!("the pattern {text:?} has an empty part"));
        }
        let last = parts.len() - 1;
        if parts.iter().enumerate().any(|(index, part)| part == ">" && index != last) {
            return Err(format!("the pattern {text:?} has > before its end"));
        }
        Ok(Self { parts, major })
    }

    /// The major version it names.
    #[must_use]
    pub fn major(&self) -> Option<u32> {
        self.major
    }

    /// Whether it may match several types.
    #[must_use]
    pub fn is_wild(&self) -> bool {
        self.parts.iter().any(|part| part == "*" || part == ">")
    }

    /// Whether events in the form of a contract are what it asks for: of a type that is named without a
    /// version, the newest of `contracts`; of types that a wildcard finds, every version.
    #[must_use]
    pub fn asks_for(&self, contract: &Contract, contracts: &[Contract]) -> bool {
        let newer = |other: &Contract| other.name == contract.name && other.major > contract.major;
        self.matches(&contract.name, contract.major)
            && (self.major.is_some() || self.is_wild() || !contracts.iter().any(newer))
    }

    /// Whether a type matches.
    #[must_use]
    pub fn matches(&self, name: &str, major: u32) -> bool {
        if self.major.is_some_and(|expected| expected != major) {
            return false;
        }
        let mut names = name.split('.');
        for part in &self.parts {
            match (part.as_str(), names.next()) {
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (expected, Some(found)) if expected == found => {}
                _ => return false,
            }
        }
        names.next().is_none()
    }
}

/// Whether a list of sources means this one; an empty list means any.
#[must_use]
pub fn names(sources: &[String], name: &str, uri: &str) -> bool {
    if sources.is_empty() {
        return true;
    }
    let last = uri.rsplit('/').next().unwrap_or(uri);
    sources.iter().any(|source| source == name || source == uri || source == last)
}

impl Route {
    /// The contract whose form events of a contract are delivered in; `None` when the route does not take them.
    #[must_use]
    pub fn delivers(&self, contract: usize) -> Option<usize> {
        self.delivers.get(contract).copied().flatten()
    }

    /// Whether the route takes events of a source: by its name, its URI, or the last part of its URI.
    #[must_use]
    pub fn takes_source(&self, name: &str, uri: &str) -> bool {
        names(&self.sources, name, uri)
    }

    /// Whether the condition holds for an event of this contract; `event_type` and `data` are those of the form
    /// that is delivered.
    ///
    /// # Errors
    ///
    /// The reject `expression_failed`: an expression that fails is never false, never true.
    pub fn holds(
        &self,
        contract: usize,
        event_type: &str,
        source: &str,
        data: (&Tree, NodeId),
    ) -> Result<bool, Reject> {
        let Some(Some(expr)) = self.conditions.get(contract) else { return Ok(true) };
        let context = ExprCtx { data: Some(data), event_type, source, ..ExprCtx::default() };
        expr.eval_bool(&context).map_err(|failure| {
            let expected = format!("the condition of route {} to be true or false", self.name);
            Reject::new(Code::ExpressionFailed, failure.message, expected)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str, major: u32) -> bool {
        TypePattern::parse(pattern).unwrap().matches(name, major)
    }

    #[test]
    fn a_star_is_one_level_and_an_arrow_all_below() {
        assert!(matches(">", "a.b.c", 1));
        assert!(matches("a.>", "a.b.c", 1));
        assert!(!matches("a.>", "a", 1));
        assert!(matches("a.*", "a.b", 1));
        assert!(!matches("a.*", "a.b.c", 1));
        assert!(!matches("a.*", "b.b", 1));
    }

    #[test]
    fn a_major_version_is_exact_and_optional() {
        assert!(matches("a.b/2", "a.b", 2));
        assert!(!matches("a.b/2", "a.b", 1));
        assert!(matches("a.b", "a.b", 7));
        assert!(matches("a.>/2", "a.b", 2));
    }

    #[test]
    fn a_wrong_pattern_says_why() {
        assert!(TypePattern::parse("a.>.b").is_err());
        assert!(TypePattern::parse("a..b").is_err());
        assert!(TypePattern::parse("a/x").is_err());
    }
}
