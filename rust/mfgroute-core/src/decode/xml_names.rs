//! Namespaces in XML 1.0: which prefix means which namespace, where.
//!
//! Prefixes must be declared, reserved names keep their meaning, and no element has one attribute
//! twice by its expanded name. Source: W3C "Namespaces in XML 1.0 (Third Edition)", sections 2 to 6.

use super::Limits;
use super::xml::bad;
use crate::reject::Reject;

const XML: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

/// The declarations of the elements that are open, the innermost last.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    bindings: Vec<Binding>,
    /// Prefix and namespace name of each binding, one after the other.
    text: String,
}

#[derive(Clone, Copy, Debug)]
struct Binding {
    prefix: usize,
    name: usize,
    end: usize,
}

/// A name in the source: `at` is its offset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'n> {
    /// What stands before the colon; `None` without a colon.
    pub(super) prefix: Option<&'n str>,
    pub(super) local: &'n str,
    pub(super) at: usize,
}

impl Namespaces {
    pub(super) fn clear(&mut self) {
        self.bindings.clear();
        self.text.clear();
    }

    /// How many declarations are in force; [`Namespaces::truncate`] goes back to it.
    pub(super) fn len(&self) -> usize {
        self.bindings.len()
    }

    /// Forgets the declarations of an element that ends.
    pub(super) fn truncate(&mut self, len: usize) {
        if let Some(first) = self.bindings.get(len) {
            self.text.truncate(first.prefix);
            self.bindings.truncate(len);
        }
    }

    /// Takes `xmlns="name"` (no prefix) or `xmlns:prefix="name"`, which stands at `at`.
    pub(super) fn declare(
        &mut self,
        prefix: Option<&str>,
        name: &str,
        at: usize,
        limits: &Limits,
    ) -> Result<(), Reject> {
        match prefix {
            Some("xmlns") => return Err(bad("a declaration of the prefix \"xmlns\"", "another prefix", at)),
            Some("xml") if name != XML => {
                return Err(bad(format!("the prefix \"xml\" for {name:?}"), format!("{XML:?} only"), at));
            }
            Some("xml") => return Ok(()),
            Some(prefix) if name.is_empty() => {
                return Err(bad(format!("the prefix {prefix:?} for no namespace"), "the name of one", at));
            }
            _ => {}
        }
        if name == XML || name == XMLNS {
            let found = match prefix {
                Some(prefix) => format!("the prefix {prefix:?} for {name:?}"),
                None => format!("{name:?} as the default namespace"),
            };
            return Err(bad(found, "a namespace that is not reserved", at));
        }
        // Bounds the search that each prefix of the message costs.
        if self.bindings.len() >= limits.keys {
            return Err(limits.too_many_keys(at));
        }
        let start = self.text.len();
        self.text.push_str(prefix.unwrap_or_default());
        let middle = self.text.len();
        self.text.push_str(name);
        self.bindings.push(Binding { prefix: start, name: middle, end: self.text.len() });
        Ok(())
    }

    /// The namespace name of an element; empty if it is in none.
    pub(super) fn of_element(&self, name: Name<'_>) -> Result<&str, Reject> {
        match name.prefix {
            None => Ok(self.find("").unwrap_or_default()),
            Some(prefix) => self.of_prefix(prefix, name.at),
        }
    }

    /// Refuses an element that has one attribute twice. `names` are its attributes with a prefix; one
    /// without is in no namespace.
    pub(super) fn check_attributes(&self, names: &[Name<'_>]) -> Result<(), Reject> {
        for (index, name) in names.iter().enumerate() {
            let namespace = self.of_prefix(name.prefix.unwrap_or_default(), name.at)?;
            for earlier in names.iter().take(index).filter(|earlier| earlier.local == name.local) {
                if self.of_prefix(earlier.prefix.unwrap_or_default(), earlier.at)? == namespace {
                    let found = format!("the attribute {:?} of {namespace:?} twice", name.local);
                    return Err(bad(found, "each attribute once", name.at));
                }
            }
        }
        Ok(())
    }

    fn of_prefix(&self, prefix: &str, at: usize) -> Result<&str, Reject> {
        if prefix == "xml" {
            return Ok(XML);
        }
        self.find(prefix).ok_or_else(|| bad(format!("the prefix {prefix:?}"), "a declared prefix", at))
    }

    fn find(&self, prefix: &str) -> Option<&str> {
        let (text, prefix) = (self.text.as_bytes(), prefix.as_bytes());
        let means = |binding: &&Binding| {
            binding.name - binding.prefix == prefix.len()
                && text.get(binding.prefix..binding.name) == Some(prefix)
        };
        let binding = self.bindings.iter().rev().find(means)?;
        self.text.get(binding.name..binding.end)
    }
}
