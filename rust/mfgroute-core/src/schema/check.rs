//! Runs a compiled schema over a tree.

mod holders;

use super::program::{Apply, NumberRules, Program, StringRules, Sub, SubId, Types};
use super::{Violation, equal, format, number};
use crate::tree::{Kind, NodeId, Tree};
use crate::value::Decimal;

/// Deepest nesting of subschemas during one validation.
const DEPTH_MAX: u32 = 512;

/// What is checked: a value of the tree, or the name of a member as a string.
#[derive(Clone, Copy)]
struct Item<'t> {
    node: NodeId,
    kind: Kind,
    text: &'t str,
    name: bool,
}

/// One validation.
pub(crate) struct Check<'r> {
    pub(crate) tree: &'r Tree,
    pub(crate) program: &'r Program,
    pub(crate) out: &'r mut Vec<Violation>,
    /// How many violations `out` may hold.
    pub(crate) full: usize,
    /// Work that is left.
    pub(crate) steps: u64,
    pub(crate) exhausted: bool,
    depth: u32,
}

impl<'r> Check<'r> {
    pub(crate) fn new(
        tree: &'r Tree,
        program: &'r Program,
        out: &'r mut Vec<Violation>,
        max: usize,
        steps: u64,
    ) -> Self {
        let full = out.len() + max;
        Self { tree, program, out, full, steps, exhausted: false, depth: 0 }
    }

    /// Checks a value against the first subschema.
    pub(crate) fn run(&mut self, node: NodeId) -> bool {
        self.run_sub(0, node)
    }

    /// Checks a value against one subschema.
    pub(crate) fn run_sub(&mut self, sub: SubId, node: NodeId) -> bool {
        let item = self.item(node);
        self.sub(sub, item, true) && !self.exhausted
    }

    fn item(&self, node: NodeId) -> Item<'r> {
        Item { node, kind: self.tree.kind(node), text: self.tree.text(node), name: false }
    }

    /// Takes work; false when nothing is left.
    fn spend(&mut self, steps: u64) -> bool {
        match self.steps.checked_sub(steps) {
            Some(left) => self.steps = left,
            None => self.exhausted = true,
        }
        !self.exhausted
    }

    fn fail(
        &mut self,
        report: bool,
        item: Item<'_>,
        keyword: &'static str,
        expected: impl FnOnce() -> String,
    ) -> bool {
        if report && self.out.len() < self.full {
            let found =
                if item.name { format!("the name {:?}", item.text) } else { found(self.tree, item.node) };
            let expected = expected();
            self.out.push(Violation { node: item.node, member: None, keyword, found, expected });
        }
        false
    }

    /// Whether checking goes on after a failure.
    fn more(&self, report: bool) -> bool {
        report && self.out.len() < self.full && !self.exhausted
    }

    fn sub(&mut self, id: SubId, item: Item<'r>, report: bool) -> bool {
        if self.depth >= DEPTH_MAX || !self.spend(1) {
            self.exhausted = true;
            return false;
        }
        self.depth += 1;
        let valid = self.checks(self.program.sub(id), item, report);
        self.depth -= 1;
        valid
    }

    fn checks(&mut self, sub: &'r Sub, item: Item<'r>, report: bool) -> bool {
        if sub.never {
            return self.fail(report, item, "false", || "nothing is allowed here".to_owned());
        }
        if sub.types != Types::ANY && !has_type(sub.types, item) {
            return self.fail(report, item, "type", || format!("type {}", sub.types.names().join(" or ")));
        }
        let mut valid = sub.values.is_none() || self.values(sub, item, report);
        if !valid && !self.more(report) {
            return false;
        }
        valid &= match item.kind {
            Kind::String => sub.string.as_deref().is_none_or(|rules| self.string(rules, item, report)),
            Kind::Number => sub.number.as_deref().is_none_or(|rules| self.number(rules, item, report)),
            Kind::Array => sub.array.as_deref().is_none_or(|rules| self.array(rules, item, report)),
            Kind::Object => sub.object.as_deref().is_none_or(|rules| self.object(rules, item, report)),
            Kind::Null | Kind::Bool(_) => true,
        };
        if sub.decimal.is_some() && (valid || self.more(report)) {
            valid &= self.decimal(sub, item, report);
        }
        for apply in &sub.apply {
            if !valid && !self.more(report) {
                return false;
            }
            valid &= self.apply(apply, item, report);
        }
        valid
    }

    fn values(&mut self, sub: &'r Sub, item: Item<'r>, report: bool) -> bool {
        let Some(values) = sub.values.as_deref() else { return true };
        let (tree, node) = (self.tree, item.node);
        let equals = |value: &serde_json::Value| {
            if item.name { value.as_str() == Some(item.text) } else { equal::equals_value(tree, node, value) }
        };
        if let Some(constant) = &values.constant
            && !equals(constant)
        {
            return self.fail(report, item, "const", || constant.to_string());
        }
        let Some(choice) = &values.one_of else { return true };
        let chosen = match item.kind {
            Kind::String => choice.has_text(item.text),
            _ => self.spend(choice.others.len() as u64) && choice.others.iter().any(equals),
        };
        chosen
            || self.fail(report, item, "enum", || {
                let texts = choice.texts().map(|text| format!("{text:?}"));
                let all: Vec<String> =
                    texts.chain(choice.others.iter().map(ToString::to_string)).take(8).collect();
                let rest = choice.few.len() + choice.many.len() + choice.others.len() - all.len();
                let more = if rest > 0 { format!(" or {rest} others") } else { String::new() };
                format!("one of {}{more}", all.join(", "))
            })
    }

    fn string(&mut self, rules: &'r StringRules, item: Item<'r>, report: bool) -> bool {
        rules
            .broken(item.text)
            .is_none_or(|keyword| self.fail(report, item, keyword, || rules.expected(keyword)))
    }

    fn decimal(&mut self, sub: &'r Sub, item: Item<'r>, report: bool) -> bool {
        let Some(rule) = sub.decimal.as_deref() else { return true };
        let value = match item.kind {
            Kind::String => format::decimal(item.text),
            Kind::Number => Decimal::parse(item.text),
            _ => return true,
        };
        let expected = match value {
            Ok(value) => rule.broken(value),
            Err(_) => Some("a decimal of at most 38 digits".to_owned()),
        };
        expected.is_none_or(|expected| self.fail(report, item, "x-decimal", || expected))
    }

    fn number(&mut self, rules: &'r NumberRules, item: Item<'r>, report: bool) -> bool {
        rules.broken(item.text).is_none_or(|(keyword, words, bound)| {
            self.fail(report, item, keyword, || format!("{words} {bound}"))
        })
    }

    fn apply(&mut self, apply: &'r Apply, item: Item<'r>, report: bool) -> bool {
        match apply {
            Apply::Ref(sub) => self.sub(*sub, item, report),
            Apply::All(subs) => {
                let mut valid = true;
                for sub in subs {
                    valid &= self.sub(*sub, item, report);
                    if !valid && !self.more(report) {
                        break;
                    }
                }
                valid
            }
            Apply::Any(subs) => {
                subs.iter().any(|sub| self.sub(*sub, item, false))
                    || self.fail(report, item, "anyOf", || {
                        format!("a value that one of {} schemas accepts", subs.len())
                    })
            }
            Apply::One(subs) => {
                let hits = subs.iter().filter(|sub| self.sub(**sub, item, false)).take(2).count();
                let expected = || format!("a value that exactly one of {} schemas accepts", subs.len());
                hits == 1 || self.fail(report, item, "oneOf", expected)
            }
            Apply::Not(sub) => {
                !self.sub(*sub, item, false)
                    || self.fail(report, item, "not", || {
                        "a value that the schema under `not` refuses".to_owned()
                    })
            }
            Apply::If { condition, then, otherwise } => {
                let branch = if self.sub(*condition, item, false) { then } else { otherwise };
                branch.is_none_or(|sub| self.sub(sub, item, report))
            }
        }
    }
}

fn has_type(types: Types, item: Item<'_>) -> bool {
    match item.kind {
        Kind::Null => types.has(Types::NULL),
        Kind::Bool(_) => types.has(Types::BOOL),
        Kind::String => types.has(Types::STRING),
        Kind::Array => types.has(Types::ARRAY),
        Kind::Object => types.has(Types::OBJECT),
        Kind::Number => {
            types.has(Types::NUMBER) || (types.has(Types::INTEGER) && number::is_integer(item.text))
        }
    }
}

/// A short form of what is there.
pub(crate) fn found(tree: &Tree, node: NodeId) -> String {
    match tree.kind(node) {
        Kind::Array => format!("an array of {} items", tree.node(node).children),
        Kind::Object => format!("an object of {} members", tree.node(node).children),
        _ => crate::reject::shorten(&tree.json(node)),
    }
}
