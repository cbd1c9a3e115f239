//! What a contract's schema says about the fields of a block, looked up when a program is compiled.

use std::sync::Arc;

use super::leaf::Leaf;
use super::op::{Out, OutValue};
use super::shape::{clamp, plain};
use crate::schema::Schema;
use crate::schema::program::{ObjectRules, Sub, SubId, Types};

/// One place of a contract's schema; without a subschema anything goes.
#[derive(Clone)]
pub(super) struct Fields<'c> {
    schema: &'c Arc<Schema>,
    sub: Option<(SubId, &'c Sub)>,
}

type Built<T> = Result<T, String>;

impl<'c> Fields<'c> {
    /// The root of a schema.
    pub(super) fn new(schema: &'c Arc<Schema>) -> Built<Self> {
        let program = schema.program().ok_or("the contract runs in the fallback")?;
        Ok(Self { schema, sub: Some(plain(program, 0)?) })
    }

    fn at(&self, id: Option<SubId>) -> Built<Self> {
        let program = self.schema.program().ok_or("the contract runs in the fallback")?;
        let sub = id.map(|id| plain(program, id)).transpose()?;
        Ok(Self { schema: self.schema, sub })
    }

    /// The rules of an object, once it is sure that they are simple.
    fn object(&self) -> Built<Option<&'c ObjectRules>> {
        let Some((_, sub)) = self.sub else { return Ok(None) };
        if sub.types.0 & Types::OBJECT == 0 || sub.values.is_some() {
            return Err("the contract has no plain object where the mapping makes one".to_owned());
        }
        let Some(rules) = sub.object.as_deref() else { return Ok(None) };
        if !rules.is_plain() || rules.min.is_some() || rules.max.is_some() {
            return Err("the contract counts, names or connects the members of an object".to_owned());
        }
        Ok(Some(rules))
    }

    fn member(&self, name: &str) -> Built<Self> {
        let Some(rules) = self.object()? else { return self.at(None) };
        let property = rules.properties.iter().find(|property| &*property.name == name);
        self.at(property.and_then(|property| property.sub).or(rules.additional))
    }

    /// The place of a field by its dotted name.
    pub(super) fn below(&self, name: &str) -> Built<Self> {
        name.split('.').try_fold(self.clone(), |at, part| at.member(part))
    }

    /// What is asked of the scalar here.
    pub(super) fn leaf(&self, number: u32) -> Built<Leaf> {
        Leaf::new(number, self.schema, self.sub)
    }

    /// The items of the list here, and how many there may be.
    pub(super) fn items(&self) -> Built<(Self, u32, u32)> {
        let Some((_, sub)) = self.sub else { return Ok((self.clone(), 0, u32::MAX)) };
        if sub.types.0 & Types::ARRAY == 0 || sub.values.is_some() {
            return Err("the contract has no list where the mapping makes one".to_owned());
        }
        let Some(rules) = sub.array.as_deref() else { return Ok((self.at(None)?, 0, u32::MAX)) };
        if !rules.is_plain() {
            return Err("the contract has prefixItems, uniqueItems or contains".to_owned());
        }
        Ok((self.at(rules.items)?, rules.min.map_or(0, clamp), rules.max.map_or(u32::MAX, clamp)))
    }

    /// Whether the object at a path must have a member.
    pub(super) fn requires(&self, path: &str, name: &str) -> bool {
        let at = if path.is_empty() { Ok(self.clone()) } else { self.below(path) };
        let rules = at.and_then(|at| at.object()).ok().flatten();
        rules.is_some_and(|rules| rules.required.iter().any(|known| **known == *name))
    }

    /// Refuses objects that lack a member which the contract asks for, whatever the message.
    pub(super) fn check_required(&self, path: &str, outs: &[Out]) -> Built<()> {
        let at = if path.is_empty() { self.clone() } else { self.below(path)? };
        let named = |name: &str| outs.iter().find(|out| out.name() == name);
        for name in at.object()?.iter().flat_map(|rules| &rules.required) {
            if named(name).is_none() {
                return Err(format!("the mapping never makes {name}, which the contract requires"));
            }
        }
        for out in outs {
            if let OutValue::Group(inner) = &out.what {
                let name: String = out.name();
                let below = if path.is_empty() { name } else { format!("{path}.{name}") };
                self.check_required(&below, inner)?;
            }
        }
        Ok(())
    }
}
