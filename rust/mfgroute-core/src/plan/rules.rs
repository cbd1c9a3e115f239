//! The `rules` of a contract.

use crate::contract::rule::Rule;
use crate::plan::condition::{self, Of};
use crate::plan::contract::place_of;
use crate::plan::read::File;
use crate::schema::Schema;
use crate::yaml::{Node, Value};

/// Compiles the rules of the contract `label` and notes what is wrong with them.
pub fn read(contract: &Node, label: &str, schema: &Schema, file: &mut File<'_>) -> Vec<Rule> {
    let Some(list) = contract.get("rules") else { return Vec::new() };
    if !matches!(list.value, Value::List(_)) {
        file.error(list.place, format!("rules is {}, expected a list", list.kind()));
        return Vec::new();
    }
    let mut rules: Vec<Rule> = Vec::new();
    for node in list.items() {
        let Some(rule) = rule(node, &Of { label, schema, event: false }, file) else { continue };
        if rules.iter().any(|known| known.code == rule.code) {
            file.error(place_of(node, "/code"), format!("there are two rules {}", rule.code));
        }
        rules.push(rule);
    }
    rules
}

fn rule(node: &Node, of: &Of<'_>, file: &mut File<'_>) -> Option<Rule> {
    let errors = file.errors();
    file.keys(node, "a rule", &["code", "check", "message"]);
    if file.errors() > errors {
        return None;
    }
    let code = file.required_text(node, "the rule", "code");
    let message = file.required_text(node, "the rule", "message");
    let check = file.required_text(node, "the rule", "check");
    let (code, message, check, at) = (code?, message?, check?, node.get("check")?);
    if !is_code(code) {
        let found = format!("code is {code:?}, expected a word like scrap_exceeds_total");
        file.error_hint(place_of(node, "/code"), found, "use lowercase letters, digits and `_`");
    }
    if message.trim().is_empty() {
        file.error(place_of(node, "/message"), "message is empty, expected what must hold, in words");
    }
    let check = condition::compile(at, check, "the rule is wrong", of, file)?;
    let rule = Rule::new(code.to_owned(), message.to_owned(), check);
    if !rule.has_fields() {
        file.error_hint(at.place, "the rule looks at no field", "name one: data.quantity.good");
    }
    (file.errors() == errors).then_some(rule)
}

fn is_code(code: &str) -> bool {
    code.starts_with(|c: char| c.is_ascii_lowercase())
        && code.len() <= 60
        && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
