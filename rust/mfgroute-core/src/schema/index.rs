//! Where the schemas are that `$ref` may name: `$id`, `$anchor` and JSON pointers, never the network.

use std::collections::HashMap;
use std::rc::Rc;

use jsonschema::uri;
use serde_json::Value;

/// Base of a schema without `$id`.
pub(crate) const BASE: &str = "json-schema:///";

/// Keywords whose value is a schema.
const ONE: [&str; 10] = [
    "additionalProperties",
    "items",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Keywords whose value is a list of schemas.
const LIST: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords whose value is an object of schemas.
const MAP: [&str; 4] = ["properties", "patternProperties", "$defs", "dependentSchemas"];

/// A schema with the base for its references.
#[derive(Clone)]
pub(crate) struct Located<'s> {
    pub(crate) value: &'s Value,
    pub(crate) base: Rc<str>,
}

/// All schemas that have an address.
#[derive(Default)]
pub(crate) struct Index<'s> {
    resources: HashMap<String, Located<'s>>,
    anchors: HashMap<(String, String), Located<'s>>,
    bases: HashMap<*const Value, Rc<str>>,
}

impl<'s> Index<'s> {
    /// Adds a document under its own URI.
    pub(crate) fn add(&mut self, address: &str, document: &'s Value) {
        let base: Rc<str> = address.trim_end_matches('#').into();
        self.resources
            .entry(base.to_string())
            .or_insert_with(|| Located { value: document, base: base.clone() });
        self.walk(document, base);
    }

    fn walk(&mut self, value: &'s Value, base: Rc<str>) {
        let mut stack = vec![(value, base)];
        while let Some((value, mut base)) = stack.pop() {
            let Some(object) = value.as_object() else { continue };
            if let Some(id) = object.get("$id").and_then(Value::as_str)
                && let Some((address, _)) = resolve(&base, id)
            {
                base = address.as_str().into();
                self.resources.insert(address, Located { value, base: base.clone() });
            }
            for keyword in ["$anchor", "$dynamicAnchor"] {
                if let Some(name) = object.get(keyword).and_then(Value::as_str) {
                    let located = Located { value, base: base.clone() };
                    self.anchors.insert((base.to_string(), name.to_owned()), located);
                }
            }
            self.bases.insert(std::ptr::from_ref(value), base.clone());
            for (key, member) in object {
                if ONE.contains(&key.as_str()) {
                    stack.push((member, base.clone()));
                } else if LIST.contains(&key.as_str()) {
                    stack.extend(member.as_array().into_iter().flatten().map(|item| (item, base.clone())));
                } else if MAP.contains(&key.as_str()) {
                    let items = member.as_object().into_iter().flat_map(serde_json::Map::values);
                    stack.extend(items.map(|item| (item, base.clone())));
                }
            }
        }
    }

    /// The schema that `reference` names, seen from `base`.
    pub(crate) fn find(&self, base: &str, reference: &str) -> Option<Located<'s>> {
        let (address, fragment) = resolve(base, reference)?;
        if fragment.is_empty() || fragment.starts_with('/') {
            let resource = self.resources.get(&address)?;
            return self.descend(resource, &fragment);
        }
        self.anchors.get(&(address, fragment)).cloned()
    }

    fn descend(&self, resource: &Located<'s>, pointer: &str) -> Option<Located<'s>> {
        let mut at = resource.clone();
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            at.value = match at.value {
                Value::Object(object) => object.get(&step)?,
                Value::Array(items) => items.get(step.parse::<usize>().ok()?)?,
                _ => return None,
            };
            if let Some(base) = self.bases.get(&std::ptr::from_ref(at.value)) {
                at.base = base.clone();
            }
        }
        Some(at)
    }

    /// The base of a schema, `outer` if it was never seen.
    pub(crate) fn base_or(&self, value: &Value, outer: &Rc<str>) -> Rc<str> {
        self.bases.get(&std::ptr::from_ref(value)).unwrap_or(outer).clone()
    }
}

/// Address without fragment, and the fragment without escapes.
fn resolve(base: &str, reference: &str) -> Option<(String, String)> {
    if let Some(fragment) = reference.strip_prefix('#') {
        return Some((base.to_owned(), unescape(fragment)?));
    }
    let base = uri::from_str(base).ok()?;
    let full = uri::resolve_against(&base.borrow(), reference).ok()?;
    let full = full.as_str();
    let (address, fragment) = full.split_once('#').unwrap_or((full, ""));
    Some((address.to_owned(), unescape(fragment)?))
}

fn unescape(fragment: &str) -> Option<String> {
    let mut out = Vec::with_capacity(fragment.len());
    let mut rest = fragment.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let hex = [rest.next()?, rest.next()?];
            out.push(u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}
