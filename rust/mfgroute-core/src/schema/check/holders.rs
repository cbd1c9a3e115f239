//! The rules of arrays and objects.

use super::super::equal;
use super::super::program::{ArrayRules, Contains, ObjectRules};
use super::{Check, Item, Violation};
use crate::tree::{Kind, NodeId};

impl<'r> Check<'r> {
    pub(super) fn array(&mut self, rules: &'r ArrayRules, item: Item<'r>, report: bool) -> bool {
        let count = self.tree.node(item.node).children as usize;
        if let Some(max) = rules.max
            && count > max
        {
            return self.fail(report, item, "maxItems", || format!("at most {max} items"));
        }
        if let Some(min) = rules.min
            && count < min
        {
            return self.fail(report, item, "minItems", || format!("at least {min} items"));
        }
        let mut valid = true;
        if !rules.prefix.is_empty() || rules.items.is_some() {
            let mut prefix = rules.prefix.iter();
            for child in self.tree.children(item.node) {
                let Some(sub) = prefix.next().copied().or(rules.items) else { break };
                valid &= self.sub(sub, self.item(child), report);
                if !valid && !self.more(report) {
                    return false;
                }
            }
        }
        if rules.unique {
            match equal::duplicate(self.tree, item.node, &mut self.steps) {
                Ok(None) => {}
                Ok(Some(node)) => {
                    let twin = self.item(node);
                    valid = self
                        .fail(report, twin, "uniqueItems", || "items that differ from each other".to_owned());
                }
                Err(()) => {
                    self.exhausted = true;
                    return false;
                }
            }
        }
        rules.contains.as_ref().is_none_or(|contains| self.contains(contains, item, report)) && valid
    }

    fn contains(&mut self, rule: &'r Contains, item: Item<'r>, report: bool) -> bool {
        let enough = if rule.max.is_some() { usize::MAX } else { rule.min };
        let mut count = 0;
        for child in self.tree.children(item.node) {
            if count >= enough {
                break;
            }
            count += usize::from(self.sub(rule.sub, self.item(child), false));
        }
        if count < rule.min {
            let keyword = if rule.min == 1 { "contains" } else { "minContains" };
            return self
                .fail(report, item, keyword, || format!("at least {} items of the given kind", rule.min));
        }
        match rule.max {
            Some(max) if count > max => {
                self.fail(report, item, "maxContains", || format!("at most {max} items of the given kind"))
            }
            _ => true,
        }
    }

    pub(super) fn object(&mut self, rules: &'r ObjectRules, item: Item<'r>, report: bool) -> bool {
        let count = self.tree.node(item.node).children as usize;
        if let Some(max) = rules.max
            && count > max
        {
            return self.fail(report, item, "maxProperties", || format!("at most {max} members"));
        }
        if let Some(min) = rules.min
            && count < min
        {
            return self.fail(report, item, "minProperties", || format!("at least {min} members"));
        }
        let mut seen = 0_u64;
        let mut hint = 0;
        let mut valid = true;
        for child in self.tree.children(item.node) {
            valid &= self.member(rules, child, &mut hint, &mut seen, report);
            if !valid && !self.more(report) {
                return false;
            }
        }
        for (at, name) in rules.required.iter().enumerate() {
            let there = if at < 64 { seen >> at & 1 == 1 } else { self.has(item.node, name) };
            if !there {
                valid = self.missing(item, name, "required", report);
                if !self.more(report) {
                    return false;
                }
            }
        }
        self.dependents(rules, item, report) && valid
    }

    fn member(
        &mut self,
        rules: &'r ObjectRules,
        child: NodeId,
        hint: &mut usize,
        seen: &mut u64,
        report: bool,
    ) -> bool {
        let key = self.tree.key(child);
        let value = self.item(child);
        let mut valid = true;
        let mut known = false;
        if let Some(property) = rules.property(key, hint) {
            if let Some(bit) = property.bit {
                *seen |= 1 << bit;
            }
            if let Some(sub) = property.sub {
                known = true;
                valid &= self.sub(sub, value, report);
            }
        }
        for (pattern, sub) in &rules.patterns {
            if (valid || self.more(report)) && pattern.is_match(key) {
                known = true;
                valid &= self.sub(*sub, value, report);
            }
        }
        if let Some(sub) = rules.additional
            && !known
        {
            if self.program.sub(sub).never {
                return self.fail(report, value, "additionalProperties", || {
                    "a member that the schema names".to_owned()
                });
            }
            valid &= self.sub(sub, value, report);
        }
        if let Some(sub) = rules.names
            && (valid || self.more(report))
        {
            valid &= self.sub(sub, Item { node: child, kind: Kind::String, text: key, name: true }, report);
        }
        valid
    }

    fn dependents(&mut self, rules: &'r ObjectRules, item: Item<'r>, report: bool) -> bool {
        let mut valid = true;
        for (name, needs) in &rules.dependent {
            if !self.has(item.node, name) {
                continue;
            }
            for need in needs {
                if !self.has(item.node, need) {
                    valid = self.missing(item, need, "dependentRequired", report);
                    if !self.more(report) {
                        return false;
                    }
                }
            }
        }
        for (name, sub) in &rules.dependent_subs {
            if self.has(item.node, name) {
                valid &= self.sub(*sub, item, report);
                if !valid && !self.more(report) {
                    return false;
                }
            }
        }
        valid
    }

    fn has(&mut self, node: NodeId, name: &str) -> bool {
        self.spend(1 + u64::from(self.tree.node(node).children) / 8) && self.tree.child(node, name).is_some()
    }

    fn missing(&mut self, item: Item<'_>, name: &str, keyword: &'static str, report: bool) -> bool {
        if report && self.out.len() < self.full {
            let expected = format!("a member {name}");
            let member = Some(name.into());
            self.out.push(Violation {
                node: item.node,
                member,
                keyword,
                found: "nothing".to_owned(),
                expected,
            });
        }
        false
    }
}
