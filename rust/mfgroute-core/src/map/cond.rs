//! Conditions over the message and the current item.

use serde_json::Value as Json;

use super::Cond;
use super::scratch::Scratch;
use super::value::Value;
use crate::path::Path;
use crate::reject::{Code, Reject};
use crate::tree::{Kind, NodeId};
use crate::value::Decimal;

impl Cond {
    /// Whether the condition holds.
    ///
    /// A path with `[*]` or `**` holds when one of the values does; any other path that finds two
    /// values is the reject `not_single`. An absent or empty value satisfies nothing but
    /// `present: false`.
    pub fn holds(&self, scratch: &mut Scratch<'_>) -> Result<bool, Reject> {
        match self {
            Self::All(parts) => {
                for part in parts {
                    if !part.holds(scratch)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Any(parts) => {
                for part in parts {
                    if part.holds(scratch)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Not(part) => Ok(!part.holds(scratch)?),
            Self::In { path, values } => {
                any(path, scratch, |scratch, id| values.iter().any(|value| equal(scratch, id, value)))
            }
            Self::Present { path, present } => Ok(any(path, scratch, |_, _| true)? == *present),
            Self::Prefix { path, prefix } => {
                any(path, scratch, |scratch, id| scratch.message.text(id).starts_with(prefix.as_str()))
            }
            Self::Cel(expr) => scratch.eval_bool(expr),
        }
    }
}

/// Whether `holds` for one of the present scalars that the path finds.
fn any(
    path: &Path,
    scratch: &mut Scratch<'_>,
    holds: impl Fn(&Scratch<'_>, NodeId) -> bool,
) -> Result<bool, Reject> {
    let base = scratch.work.len();
    scratch.find_many(path);
    let found = scratch.work.len() - base;
    if found > 1 && !path.names_many() {
        let second = scratch.work.get(base + 1).copied();
        let pointer = second.map(|id| scratch.message.pointer(id)).unwrap_or_default();
        scratch.work.truncate(base);
        let expected = format!("one value at {path}");
        return Err(Reject::new(Code::NotSingle, format!("{found} values"), expected).at(pointer));
    }
    let mut result = false;
    for index in base..base + found {
        let Some(id) = scratch.work.get(index).copied() else { break };
        let Some(id) = crate::path::scalar(&scratch.message, id) else { continue };
        let absent = scratch.message.kind(id) == Kind::Null || scratch.is_empty_text(id);
        if !absent && holds(scratch, id) {
            result = true;
            break;
        }
    }
    scratch.work.truncate(base);
    Ok(result)
}

fn equal(scratch: &Scratch<'_>, id: NodeId, value: &Json) -> bool {
    let tree = &scratch.message;
    match (tree.kind(id), value) {
        (Kind::Bool(found), Json::Bool(expected)) => found == *expected,
        (Kind::Number, Json::Number(expected)) => {
            let found = Decimal::parse(tree.text(id));
            found.is_ok() && found == Decimal::parse(&expected.to_string())
        }
        (Kind::String, Json::String(expected)) => tree.text(id) == expected,
        // Formats without types (CSV, XML) say `1` and `true` as text.
        (Kind::String, Json::Number(_) | Json::Bool(_)) => {
            Value::json(value).text(tree).is_some_and(|expected| tree.text(id) == expected)
        }
        _ => false,
    }
}
