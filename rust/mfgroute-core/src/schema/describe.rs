//! Questions that the plan checker asks a schema: which fields it knows, requires and types.

use serde_json::Value;

use super::check::Check;
use super::program::{Apply, SubId, Types};
use super::{STEPS_MAX, Schema};
use crate::tree::{NONE, Tree};

/// What a schema says about one field, `$ref` and `allOf` followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertyInfo {
    /// Names of the JSON types it may have.
    pub types: Vec<&'static str>,
    /// Whether it and every object on the way to it are required.
    pub required: bool,
    /// Whether it is a decimal (`format: decimal`).
    pub format_decimal: bool,
    /// The format of its texts.
    pub format: Option<String>,
    /// The texts it may have, if `enum` or `const` lists them; other values are left out.
    pub enum_values: Option<Vec<String>>,
    /// Whether it is a list whose items the schema describes.
    pub items: bool,
    /// The code set of `x-codes`.
    pub codes: Option<String>,
}

/// The step of a path that means "each item".
pub const ITEMS: &str = "*";

impl Schema {
    /// What the schema says about a field; `*` steps into the items of a list. `None` when the
    /// schema does not describe it.
    #[must_use]
    pub fn property(&self, path: &[&str]) -> Option<PropertyInfo> {
        let (subs, required) = self.certain(path)?;
        Some(self.info(&self.closure(&subs, false), required))
    }

    /// What the schema expects of a field, if it accepts no object that has this value there; `None` if it
    /// may, if it does not describe the field, or if finding out is too much work. A schema that runs in the
    /// `jsonschema` crate is asked for the type only: its program does not say everything.
    #[must_use]
    pub fn refuses(&self, path: &[&str], value: &Value) -> Option<String> {
        let (subs, _) = self.certain(path)?;
        if !self.runs_compiled() {
            let types = self
                .closure(&subs, false)
                .iter()
                .fold(Types::ANY, |all, id| Types(all.0 & self.program.sub(*id).types.0));
            let kind = match value {
                Value::Null => Types::NULL,
                Value::Bool(_) => Types::BOOL,
                Value::Number(_) => Types::NUMBER | Types::INTEGER,
                Value::String(_) => Types::STRING,
                Value::Array(_) => Types::ARRAY,
                Value::Object(_) => Types::OBJECT,
            };
            return (!types.has(kind)).then(|| format!("type {}", types.names().join(" or ")));
        }
        let mut tree = Tree::new();
        let root = tree.add_serde(NONE, "", value);
        let mut found = Vec::new();
        for sub in subs {
            let mut check = Check::new(&tree, &self.program, &mut found, 1, STEPS_MAX);
            check.run_sub(sub, root);
            if check.exhausted {
                return None;
            }
        }
        found.into_iter().next().map(|violation| violation.expected)
    }

    /// Whether the schema names this field, in `properties`, by a pattern or by a schema for all others,
    /// on some way through its alternatives.
    #[must_use]
    pub fn knows_field(&self, field: &str) -> bool {
        let mut level: Vec<SubId> = vec![0];
        for step in field.split('.') {
            level = self.closure(&level, true).iter().filter_map(|id| self.child(*id, step)).collect();
        }
        level.iter().any(|id| !self.program.sub(*id).never)
    }

    /// The subschemas that a field meets for sure, and whether it is required on the whole way.
    fn certain(&self, path: &[&str]) -> Option<(Vec<SubId>, bool)> {
        let mut subs: Vec<SubId> = vec![0];
        let mut required = true;
        for step in path {
            let level = self.closure(&subs, false);
            required &= *step != ITEMS && level.iter().any(|id| self.requires(*id, step));
            subs = level.iter().filter_map(|id| self.child(*id, step)).collect();
            if subs.is_empty() || subs.iter().any(|id| self.program.sub(*id).never) {
                return None;
            }
        }
        Some((subs, required))
    }

    /// Whether the schema can accept an object with this field (`quantity.good`, `readings.*.unit`).
    #[must_use]
    pub fn allows_field(&self, field: &str) -> bool {
        let mut level = vec![0];
        for step in field.split('.') {
            let all = self.closure(&level, false);
            if all.iter().any(|id| self.forbids(*id, step)) {
                return false;
            }
            level = self.closure(&level, true).iter().filter_map(|id| self.child(*id, step)).collect();
        }
        !self.closure(&level, false).iter().any(|id| self.program.sub(*id).never)
    }

    /// Whether an object at `parent` must have the member `name`; whether `parent` is there does not count.
    #[must_use]
    pub fn requires_member(&self, parent: &[&str], name: &str) -> bool {
        self.below(parent).iter().any(|id| self.requires(*id, name))
    }

    /// Names of the members that an object at `path` must have; whether it is there does not count.
    #[must_use]
    pub fn required_members(&self, path: &[&str]) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let level = self.below(path);
        let objects = level.iter().filter_map(|id| self.program.sub(*id).object.as_deref());
        for name in objects.flat_map(|object| &object.required) {
            if names.iter().all(|known| **known != **name) {
                names.push((**name).to_owned());
            }
        }
        names
    }

    /// The subschemas that the value at a path meets for sure.
    fn below(&self, path: &[&str]) -> Vec<SubId> {
        let mut level = self.closure(&[0], false);
        for step in path {
            let below: Vec<SubId> = level.iter().filter_map(|id| self.child(*id, step)).collect();
            level = self.closure(&below, false);
        }
        level
    }

    /// Paths of all members that must be there, below required objects only.
    #[must_use]
    pub fn required_fields(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.required_below(&[0], "", 0, &mut out);
        out
    }

    /// Paths of all members that `properties` names, items of lists as `*`, to the given depth.
    #[must_use]
    pub fn fields(&self, depth_max: usize) -> Vec<String> {
        let mut out = Vec::new();
        self.fields_below(&[0], "", depth_max.min(16), &mut out);
        out
    }

    fn fields_below(&self, start: &[SubId], prefix: &str, depth: usize, out: &mut Vec<String>) {
        if depth == 0 || out.len() >= 10_000 {
            return;
        }
        let level = self.closure(start, true);
        let mut names: Vec<&str> = Vec::new();
        for id in &level {
            let sub = self.program.sub(*id);
            let properties = sub.object.iter().flat_map(|object| &object.properties);
            names
                .extend(properties.filter(|property| property.sub.is_some()).map(|property| &*property.name));
            if sub.array.as_ref().is_some_and(|array| array.items.is_some()) {
                names.push(ITEMS);
            }
        }
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(*name));
        for name in names {
            let path = join(prefix, name);
            let below: Vec<SubId> = level.iter().filter_map(|id| self.child(*id, name)).collect();
            out.push(path.clone());
            self.fields_below(&below, &path, depth - 1, out);
        }
    }

    fn required_below(&self, start: &[SubId], prefix: &str, depth: usize, out: &mut Vec<String>) {
        if depth >= 16 || out.len() >= 10_000 {
            return;
        }
        let level = self.closure(start, false);
        let objects = level.iter().filter_map(|id| self.program.sub(*id).object.as_deref());
        let mut names: Vec<&str> = Vec::new();
        for name in objects.flat_map(|object| &object.required) {
            if !names.contains(&&**name) {
                names.push(name);
            }
        }
        for name in names {
            let path = join(prefix, name);
            let below: Vec<SubId> = level.iter().filter_map(|id| self.child(*id, name)).collect();
            out.push(path.clone());
            self.required_below(&below, &path, depth + 1, out);
        }
    }

    /// The subschemas that meet the same value for sure; with `alternatives` also those that may.
    fn closure(&self, start: &[SubId], alternatives: bool) -> Vec<SubId> {
        let mut all: Vec<SubId> = Vec::new();
        let mut stack: Vec<SubId> = start.to_vec();
        while let Some(id) = stack.pop() {
            if all.contains(&id) {
                continue;
            }
            all.push(id);
            for apply in &self.program.sub(id).apply {
                match apply {
                    Apply::Ref(sub) => stack.push(*sub),
                    Apply::All(subs) => stack.extend(subs),
                    Apply::Any(subs) | Apply::One(subs) if alternatives || subs.len() == 1 => {
                        stack.extend(subs);
                    }
                    Apply::If { then, otherwise, .. } if alternatives => {
                        stack.extend(then.iter().chain(otherwise));
                    }
                    _ => {}
                }
            }
        }
        all
    }

    fn child(&self, id: SubId, step: &str) -> Option<SubId> {
        let sub = self.program.sub(id);
        if step == ITEMS {
            return sub.array.as_ref().and_then(|array| array.items);
        }
        let object = sub.object.as_ref()?;
        let named = object.property(step, &mut 0).and_then(|property| property.sub);
        let pattern =
            || object.patterns.iter().find(|(pattern, _)| pattern.is_match(step)).map(|(_, sub)| *sub);
        named.or_else(pattern).or(object.additional)
    }

    fn requires(&self, id: SubId, name: &str) -> bool {
        self.program
            .sub(id)
            .object
            .as_ref()
            .is_some_and(|object| object.required.iter().any(|need| &**need == name))
    }

    /// Whether a subschema refuses a member or an item of this name.
    fn forbids(&self, id: SubId, step: &str) -> bool {
        let sub = self.program.sub(id);
        if sub.never {
            return true;
        }
        let holder = if step == ITEMS { Types::ARRAY } else { Types::OBJECT };
        if !sub.types.has(holder) {
            return true;
        }
        self.child(id, step).is_some_and(|child| self.program.sub(child).never)
    }

    fn info(&self, level: &[SubId], required: bool) -> PropertyInfo {
        let subs = || level.iter().map(|id| self.program.sub(*id));
        let types = subs().fold(Types::ANY, |all, sub| Types(all.0 & sub.types.0));
        let strings = || subs().filter_map(|sub| sub.string.as_deref());
        let values = subs().filter_map(|sub| sub.values.as_deref()).find_map(|values| {
            let constant = values.constant.as_ref().and_then(|value| value.as_str());
            let listed = || values.one_of.as_ref().map(|choice| choice.texts().map(str::to_owned).collect());
            constant.map(|text| vec![text.to_owned()]).or_else(listed)
        });
        let decimal = |rules: &super::program::StringRules| {
            rules.format.as_ref().is_some_and(|format| format.name() == "decimal")
        };
        PropertyInfo {
            types: types.names(),
            required,
            format_decimal: strings().any(decimal),
            format: strings().find_map(|rules| rules.format.as_ref().map(|format| format.name().to_owned())),
            enum_values: values,
            items: subs().any(|sub| sub.array.as_ref().is_some_and(|array| array.items.is_some())),
            codes: strings().find_map(|rules| rules.codes.as_ref().map(|(set, _)| set.clone())),
        }
    }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}
