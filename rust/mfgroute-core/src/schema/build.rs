//! Compiles a schema into a [`Program`].

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use serde_json::{Map, Value};

use super::classes::Classes;
use super::format::Format;
use super::index::{BASE, Index, Located};
use super::program::{
    Apply, ArrayRules, Bound, Choice, Contains, DecimalRule, NumberRules, ObjectRules, Program, Property,
    StringRules, Sub, SubId, Types, Values,
};
use super::{ENUM_MAX, SchemaOptions, SchemaProblem, pattern};

/// A keyword with a list of schemas, and what it becomes.
type Wrap = (&'static str, fn(Vec<SubId>) -> Apply);
type Object = Map<String, Value>;

/// The state of one compilation.
pub(crate) struct Builder<'s, 'o> {
    index: Index<'s>,
    options: &'o SchemaOptions<'o>,
    ids: HashMap<*const Value, SubId>,
    queue: Vec<(SubId, Located<'s>, String)>,
    pub(crate) program: Program,
    /// Why the program does not say everything the schema says.
    pub(crate) reasons: Vec<SchemaProblem>,
    pub(crate) problems: Vec<SchemaProblem>,
}

impl<'s, 'o> Builder<'s, 'o> {
    pub(crate) fn new(index: Index<'s>, options: &'o SchemaOptions<'o>) -> Self {
        let (ids, queue, program) = (HashMap::new(), Vec::new(), Program::default());
        Self { index, options, ids, queue, program, reasons: Vec::new(), problems: Vec::new() }
    }

    /// Compiles everything that the root reaches.
    pub(crate) fn run(&mut self, root: &'s Value) {
        let base = self.index.base_or(root, &BASE.into());
        self.id(Located { value: root, base }, String::new());
        while let Some((id, at, pointer)) = self.queue.pop() {
            let sub = match at.value {
                Value::Bool(allowed) => Sub { never: !allowed, ..Sub::default() },
                Value::Object(object) => Reader { builder: self, object, base: at.base, pointer }.sub(),
                _ => Sub::default(),
            };
            if let Some(slot) = self.program.subs.get_mut(id as usize) {
                *slot = sub;
            }
        }
    }

    fn id(&mut self, at: Located<'s>, pointer: String) -> SubId {
        let next = self.program.subs.len() as SubId;
        let id = *self.ids.entry(std::ptr::from_ref(at.value)).or_insert(next);
        if id == next {
            self.program.subs.push(Sub::default());
            self.queue.push((id, at, pointer));
        }
        id
    }
}

/// Reads one schema object.
struct Reader<'s, 'o, 'b> {
    builder: &'b mut Builder<'s, 'o>,
    object: &'s Object,
    base: Rc<str>,
    pointer: String,
}

impl<'s> Reader<'s, '_, '_> {
    fn sub(mut self) -> Sub {
        self.refuse_unknown();
        Sub {
            types: self.types(),
            never: false,
            values: self.values().map(Box::new),
            string: self.string().map(Box::new),
            number: self.number().map(Box::new),
            decimal: self.decimal().map(Box::new),
            array: self.array().map(Box::new),
            object: self.members().map(Box::new),
            apply: self.apply(),
        }
    }

    fn at(&self, keyword: &str) -> String {
        format!("{}/{}", self.pointer, keyword.replace('~', "~0").replace('/', "~1"))
    }

    fn problem(&mut self, keyword: &str, message: impl Into<String>) {
        let problem = SchemaProblem { pointer: self.at(keyword), message: message.into() };
        self.builder.problems.push(problem);
    }

    fn fall_back(&mut self, keyword: &str, reason: impl Into<String>) {
        let reason = SchemaProblem { pointer: self.at(keyword), message: reason.into() };
        self.builder.reasons.push(reason);
    }

    fn refuse_unknown(&mut self) {
        for keyword in
            ["$dynamicRef", "$recursiveRef", "unevaluatedItems", "unevaluatedProperties", "$vocabulary"]
        {
            if self.object.contains_key(keyword) {
                self.fall_back(keyword, format!("{keyword} is not compiled"));
            }
        }
        if let Some(dialect) = self.object.get("$schema").and_then(Value::as_str)
            && dialect.trim_end_matches('#') != super::DIALECT
        {
            self.fall_back("$schema", format!("the dialect {dialect} is not compiled"));
        }
    }

    fn child(&mut self, value: &'s Value, pointer: String) -> SubId {
        // A subschema with its own `$id` changes the base for what is below it.
        let base = self.builder.index.base_or(value, &self.base);
        self.builder.id(Located { value, base }, pointer)
    }

    fn one(&mut self, keyword: &str) -> Option<SubId> {
        let value = self.object.get(keyword)?;
        Some(self.child(value, self.at(keyword)))
    }

    fn list(&mut self, keyword: &str) -> Vec<SubId> {
        let items = self.object.get(keyword).and_then(Value::as_array);
        let pointer = self.at(keyword);
        items
            .into_iter()
            .flatten()
            .enumerate()
            .map(|(at, item)| self.child(item, format!("{pointer}/{at}")))
            .collect()
    }

    fn map(&mut self, keyword: &str) -> Vec<(&'s str, SubId)> {
        let members = self.object.get(keyword).and_then(Value::as_object);
        let pointer = self.at(keyword);
        let name = |key: &str| format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
        members.into_iter().flatten().map(|(key, item)| (key.as_str(), self.child(item, name(key)))).collect()
    }

    /// A count; `1.0` and `1e1` are counts too.
    fn count(&self, keyword: &str) -> Option<usize> {
        let number = self.object.get(keyword)?.as_number()?;
        let decimal = crate::value::Decimal::parse(number.as_str()).ok()?;
        Some(usize::try_from(decimal.coefficient()).unwrap_or(usize::MAX))
    }

    fn bound(&self, keyword: &str) -> Option<Bound> {
        self.object.get(keyword).and_then(Value::as_number).map(|number| Bound::new(number.as_str()))
    }

    fn names(&self, keyword: &str) -> Vec<Box<str>> {
        let items = self.object.get(keyword).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
    }

    fn types(&self) -> Types {
        let bit = |value: &Value| {
            let name = value.as_str().unwrap_or_default();
            Types::NAMES.iter().find(|(known, _)| *known == name).map_or(0, |(_, bit)| *bit)
        };
        match self.object.get("type") {
            Some(Value::Array(items)) => Types(items.iter().map(bit).fold(0, |all, bit| all | bit)).widened(),
            Some(value) => Types(bit(value)).widened(),
            None => Types::ANY,
        }
    }

    fn values(&mut self) -> Option<Values> {
        let constant = self.object.get("const").cloned();
        let items = self.object.get("enum").and_then(Value::as_array);
        if items.is_some_and(|items| items.len() > ENUM_MAX) {
            let count = items.map_or(0, Vec::len);
            self.problem("enum", format!("enum has {count} values, at most {ENUM_MAX} are allowed"));
        }
        let one_of = items.map(|items| {
            let mut choice = Choice { few: Vec::new(), many: HashSet::new(), others: Vec::new() };
            for item in items {
                match item {
                    Value::String(text) if items.len() <= 8 => choice.few.push(text.as_str().into()),
                    Value::String(text) => {
                        choice.many.insert(text.as_str().into());
                    }
                    other => choice.others.push(other.clone()),
                }
            }
            choice
        });
        (constant.is_some() || one_of.is_some()).then_some(Values { one_of, constant })
    }

    fn string(&mut self) -> Option<StringRules> {
        let mut rules = StringRules {
            min: self.count("minLength"),
            max: self.count("maxLength"),
            ..StringRules::default()
        };
        if let Some(text) = self.object.get("pattern").and_then(Value::as_str) {
            text.clone_into(&mut rules.pattern_text);
            rules.pattern = self.pattern("pattern", text);
            rules.classes = rules.pattern.is_some().then(|| Classes::new(text)).flatten();
        }
        let format = self.object.get("format").and_then(Value::as_str);
        rules.format = format.and_then(|name| Format::new(name, self.builder.options.assert_formats));
        if let Some(value) = self.object.get("x-codes") {
            let set = value.as_str().unwrap_or_default();
            match (self.builder.options.code_sets)(set) {
                Some(codes) => rules.codes = Some((set.to_owned(), codes)),
                None => self.problem("x-codes", format!("unknown code set {value}")),
            }
        }
        let empty = rules.min.is_none()
            && rules.max.is_none()
            && rules.pattern.is_none()
            && rules.format.is_none()
            && rules.codes.is_none();
        (!empty).then_some(rules)
    }

    fn pattern(&mut self, keyword: &str, text: &str) -> Option<regex::Regex> {
        match pattern::compile(text) {
            Ok(pattern) => Some(pattern),
            Err(reason) => {
                self.fall_back(keyword, format!("pattern {text:?}: {reason}"));
                None
            }
        }
    }

    fn number(&self) -> Option<NumberRules> {
        const KEYWORDS: [&str; 5] =
            ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
        let [minimum, maximum, above, below, multiple] = KEYWORDS.map(|keyword| self.bound(keyword));
        let any = [&minimum, &maximum, &above, &below, &multiple].iter().any(|bound| bound.is_some());
        any.then_some(NumberRules { minimum, maximum, above, below, multiple })
    }

    fn decimal(&mut self) -> Option<DecimalRule> {
        match DecimalRule::read(self.object.get("x-decimal")?) {
            Ok(rule) => Some(rule),
            Err((below, message)) => {
                self.problem("x-decimal", message);
                if let Some(last) = self.builder.problems.last_mut() {
                    last.pointer.push_str(&below);
                }
                None
            }
        }
    }

    fn array(&mut self) -> Option<ArrayRules> {
        let contains = self.one("contains").map(|sub| Contains {
            sub,
            min: self.count("minContains").unwrap_or(1),
            max: self.count("maxContains"),
        });
        let rules = ArrayRules {
            prefix: self.list("prefixItems"),
            items: self.one("items"),
            min: self.count("minItems"),
            max: self.count("maxItems"),
            unique: self.object.get("uniqueItems") == Some(&Value::Bool(true)),
            contains,
        };
        let empty = rules.prefix.is_empty()
            && rules.items.is_none()
            && rules.min.is_none()
            && rules.max.is_none()
            && !rules.unique
            && rules.contains.is_none();
        (!empty).then_some(rules)
    }

    fn members(&mut self) -> Option<ObjectRules> {
        const KEYWORDS: [&str; 9] = [
            "properties",
            "required",
            "patternProperties",
            "additionalProperties",
            "propertyNames",
            "minProperties",
            "maxProperties",
            "dependentRequired",
            "dependentSchemas",
        ];
        if !KEYWORDS.iter().any(|keyword| self.object.contains_key(*keyword)) {
            return None;
        }
        let mut required = self.names("required");
        let mut seen = HashSet::new();
        required.retain(|name| seen.insert(name.clone()));
        let bit = |name: &str| required.iter().position(|other| &**other == name).filter(|at| *at < 64);
        let named = self.map("properties");
        let mut properties: Vec<Property> = named
            .iter()
            .map(|(name, sub)| Property {
                name: (*name).into(),
                sub: Some(*sub),
                bit: bit(name).map(|at| at as u8),
            })
            .collect();
        for (at, name) in required.iter().enumerate().take(64) {
            if !named.iter().any(|(known, _)| *known == &**name) {
                properties.push(Property { name: name.clone(), sub: None, bit: Some(at as u8) });
            }
        }
        let name_at = |at: &u32| properties.get(*at as usize).map_or("", |property| &*property.name);
        let mut by_name: Vec<u32> = (0..properties.len() as u32).collect();
        by_name.sort_by(|left, right| name_at(left).cmp(name_at(right)));
        let mut patterns = Vec::new();
        for (text, sub) in self.map("patternProperties") {
            if let Some(pattern) = self.pattern("patternProperties", text) {
                patterns.push((pattern, sub));
            }
        }
        let dependent = self.object.get("dependentRequired").and_then(Value::as_object).into_iter().flatten();
        let dependent = dependent
            .map(|(name, needs)| {
                let needs = needs.as_array().into_iter().flatten();
                (name.as_str().into(), needs.filter_map(Value::as_str).map(Into::into).collect())
            })
            .collect();
        let dependent_subs =
            self.map("dependentSchemas").into_iter().map(|(name, sub)| (name.into(), sub)).collect();
        Some(ObjectRules {
            properties,
            by_name,
            required,
            patterns,
            additional: self
                .one("additionalProperties")
                .filter(|_| self.object.get("additionalProperties") != Some(&Value::Bool(true))),
            names: self.one("propertyNames"),
            min: self.count("minProperties"),
            max: self.count("maxProperties"),
            dependent,
            dependent_subs,
        })
    }

    fn apply(&mut self) -> Vec<Apply> {
        let mut apply = Vec::new();
        for keyword in ["$ref", "$dynamicRef"] {
            let Some(reference) = self.object.get(keyword).and_then(Value::as_str) else { continue };
            if let Some(target) = self.builder.index.find(&self.base, reference) {
                let pointer = self.at(keyword);
                apply.push(Apply::Ref(self.builder.id(target, pointer)));
            } else {
                self.fall_back(
                    keyword,
                    format!("{keyword} {reference} is not in this schema or its resources"),
                );
            }
        }
        let wraps: [Wrap; 3] = [("allOf", Apply::All), ("anyOf", Apply::Any), ("oneOf", Apply::One)];
        for (keyword, wrap) in wraps {
            if self.object.contains_key(keyword) {
                apply.push(wrap(self.list(keyword)));
            }
        }
        if let Some(sub) = self.one("not") {
            apply.push(Apply::Not(sub));
        }
        if let Some(condition) = self.one("if") {
            let (then, otherwise) = (self.one("then"), self.one("else"));
            if then.is_some() || otherwise.is_some() {
                apply.push(Apply::If { condition, then, otherwise });
            }
        }
        apply
    }
}
