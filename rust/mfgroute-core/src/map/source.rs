//! Where values come from.

use std::borrow::Cow;

use super::lookup::{SEPARATOR, shown};
use super::scratch::Scratch;
use super::value::{Val, Value};
use super::{Chain, Lookup, Missing, Source, TimeSource};
use crate::path::Path;
use crate::reject::{Code, Reject};
use crate::time::{Instant, TimeError};
use crate::tree::{NONE, NodeId};

impl Chain {
    /// The value after all steps. An absent value passes through nothing.
    pub fn eval<'p>(&'p self, scratch: &mut Scratch<'p>) -> Result<Value<'p>, Reject> {
        let mut value = self.source.fetch(scratch)?;
        for step in &self.steps {
            if value.is_absent() {
                break;
            }
            value = step.apply(value, scratch)?;
        }
        Ok(value)
    }
}

impl Source {
    /// The value before any step.
    pub fn fetch<'p>(&'p self, scratch: &mut Scratch<'p>) -> Result<Value<'p>, Reject> {
        match self {
            Self::Path(paths) => {
                for path in paths {
                    let value = one(path, scratch)?;
                    if !value.is_absent() {
                        return Ok(value);
                    }
                }
                Ok(Value::ABSENT)
            }
            Self::Const(json) => Ok(Value::json(json)),
            Self::Field { up, index } => Ok(scratch.field(*up, *index)),
            Self::Meta(name) => Ok(match scratch.meta(name) {
                Some(text) => Value { val: Val::Text(text.to_owned()), origin: NONE },
                None => Value::ABSENT,
            }),
            Self::Lookup(lookup) => lookup.find(None, scratch),
            Self::Concat(parts) => concat(parts, scratch),
            Self::Join(paths) => join(paths, scratch),
            Self::Time(source) => {
                let Some((instant, origin)) = source.read(scratch)? else { return Ok(Value::ABSENT) };
                let mut text = String::new();
                instant.write_to(&mut text);
                Ok(Value { val: Val::Text(text), origin })
            }
            Self::Date(source) => {
                let value = source.chain.eval(scratch)?;
                if value.is_absent() {
                    return Ok(value);
                }
                let text = value.scalar(&scratch.message, "a date or time")?;
                let mut out = String::new();
                match source.rule.read(&text) {
                    Ok(date) => date.write_to(&mut out),
                    Err(error) => return Err(time_reject(&error, &value, scratch)),
                }
                drop(text);
                Ok(value.with(Val::Text(out)))
            }
            Self::Cel(expr) => scratch.eval_value(expr),
        }
    }
}

/// The one scalar or object at a path; an empty text is absent.
fn one<'p>(path: &Path, scratch: &mut Scratch<'p>) -> Result<Value<'p>, Reject> {
    match scratch.find_scalar(path) {
        Ok(None) => Ok(Value::ABSENT),
        Ok(Some(id)) if scratch.is_empty_text(id) => Ok(Value { val: Val::Absent, origin: id }),
        Ok(Some(id)) => Ok(Value::node(&scratch.message, id)),
        Err(twice) => {
            let found = format!("{} values", twice.count);
            let pointer = scratch.message.pointer(twice.second);
            Err(Reject::new(Code::NotSingle, found, format!("one value at {path}")).at(pointer))
        }
    }
}

fn concat<'p>(parts: &'p [Chain], scratch: &mut Scratch<'p>) -> Result<Value<'p>, Reject> {
    let mut out = String::new();
    let mut origin = NONE;
    for part in parts {
        let value = part.eval(scratch)?;
        if value.is_absent() {
            return Ok(Value::ABSENT);
        }
        out.push_str(&value.scalar(&scratch.message, "a text or number")?);
        if value.origin != NONE {
            origin = value.origin;
        }
    }
    Ok(Value { val: Val::Text(out), origin })
}

fn join<'p>(paths: &'p [Path], scratch: &mut Scratch<'p>) -> Result<Value<'p>, Reject> {
    let mut out = String::new();
    let mut origin = NONE;
    for path in paths {
        let value = one(path, scratch)?;
        if value.is_absent() {
            return Ok(Value::ABSENT);
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&value.scalar(&scratch.message, "a text or number")?);
        origin = value.origin;
    }
    Ok(Value { val: Val::Text(out), origin })
}

impl TimeSource {
    /// The instant and the message value it was read from; `None` when the value is absent.
    pub fn read<'p>(&'p self, scratch: &mut Scratch<'p>) -> Result<Option<(Instant, u32)>, Reject> {
        let value = self.chain.eval(scratch)?;
        if value.is_absent() {
            return Ok(None);
        }
        let text = value.scalar(&scratch.message, "a time")?;
        match self.rule.read(&text) {
            Ok(instant) => Ok(Some((instant, value.origin))),
            Err(error) => Err(time_reject(&error, &value, scratch)),
        }
    }
}

fn time_reject(error: &TimeError, value: &Value<'_>, scratch: &Scratch<'_>) -> Reject {
    let found = value.text(&scratch.message).map_or_else(String::new, Cow::into_owned);
    Reject::new(error.code(), found, error.to_string()).at(value.pointer(&scratch.message))
}

impl Lookup {
    /// The cell for the keys, or for `current` when there are none.
    pub fn find<'p>(
        &'p self,
        current: Option<&Value<'p>>,
        scratch: &mut Scratch<'p>,
    ) -> Result<Value<'p>, Reject> {
        let mut key = String::new();
        let mut origin = NONE;
        if let Some(current) = current.filter(|_| self.keys.is_empty()) {
            key.push_str(&current.scalar(&scratch.message, "a key")?);
            origin = current.origin;
        }
        if !self.keys.is_empty() {
            match key_of(&self.keys, scratch)? {
                Some(found) => (key, origin) = found,
                None => return Ok(Value::ABSENT),
            }
        }
        if let Some(cell) = self.index.get(&key, self.take) {
            let val = if cell.is_empty() { Val::Absent } else { Val::Text(cell.to_owned()) };
            return Ok(Value { val, origin });
        }
        let shown = shown(&key);
        match &self.missing {
            Missing::Keep => Ok(Value { val: Val::Text(shown), origin }),
            Missing::Default(json) => Ok(Value { origin, ..Value::json(json) }),
            Missing::Reject => {
                let expected = format!("a row of table {}", self.index.table);
                let pointer = Value { val: Val::Absent, origin }.pointer(&scratch.message);
                Err(Reject::new(Code::LookupMissing, shown, expected).at(pointer))
            }
        }
    }
}

/// The key that the parts make, and the last message value it was made of; `None` when a part is absent.
pub(super) fn key_of<'p>(
    parts: &'p [Chain],
    scratch: &mut Scratch<'p>,
) -> Result<Option<(String, NodeId)>, Reject> {
    let (mut key, mut origin) = (String::new(), NONE);
    for (index, part) in parts.iter().enumerate() {
        let value = part.eval(scratch)?;
        if value.is_absent() {
            return Ok(None);
        }
        if index > 0 {
            key.push(SEPARATOR);
        }
        key.push_str(&value.scalar(&scratch.message, "a key")?);
        if value.origin != NONE {
            origin = value.origin;
        }
    }
    Ok(Some((key, origin)))
}
