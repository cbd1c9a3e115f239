//! Routes: which events go to which sinks.

use crate::contract::Contract;
use crate::expr::{Expr, ExprCtx};
use crate::reject::{Code, Reject};
use crate::tree::{NodeId, Tree};

/// One route, compiled. Its type patterns were matched against all contracts when the plan was
/// compiled: an event meets only the routes of its own contract.
#[derive(Debug)]
pub struct Route {
    /// Name, for messages and `explain`.
    pub name: String,
    /// Patterns of types.
    pub types: Vec<TypePattern>,
    /// Names or URIs of sources; empty means any.
    pub sources: Vec<String>,
    /// Condition over `data`, compiled for each contract it may meet.
    pub conditions: Vec<Option<Expr>>,
    /// Sinks, by their index in the plan.
    pub sinks: Vec<usize>,
}

/// `a.b/1`, `a.b`, `a.*` (one level), `a.>` (all below), `>` (all).
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

impl Route {
    /// Whether the route may take events of a contract.
    #[must_use]
    pub fn may_take(&self, contract: &Contract) -> bool {
        self.types.iter().any(|pattern| pattern.matches(&contract.name, contract.major))
    }

    /// Whether the route takes events of a source: by its name, its URI, or the last part of its URI.
    #[must_use]
    pub fn takes_source(&self, name: &str, uri: &str) -> bool {
        let last = uri.rsplit('/').next().unwrap_or(uri);
        self.sources.is_empty()
            || self.sources.iter().any(|source| source == name || source == uri || source == last)
    }

    /// Whether the condition holds for an event of this contract.
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
