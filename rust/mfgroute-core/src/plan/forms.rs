//! Compiling the forms that values have: zones, fractions, roundings, numbers and rules of texts.

use crate::plan::read::File;
use crate::text::{TextRule, TextRules};
use crate::time::{Ambiguous, Nonexistent, ZoneRule};
use crate::value::number::Sign;
use crate::value::{NumberFormat, Rational, Round, RoundMode};
use crate::yaml::{Node, Value};

/// The zone rule of a time; the outer `None` means an error that was noted.
pub fn zone(node: &Node, for_date: bool, file: &mut File<'_>) -> Option<Option<ZoneRule>> {
    let Some(name) = file.text(node, "zone") else { return Some(None) };
    let mut choice = |key: &str, names: &str, known: &[&str]| -> Option<String> {
        let text = file.text(node, key)?;
        if !known.contains(&text) {
            file.error(node.place, format!("{key} is {text}, expected {names}"));
        }
        Some(text.to_owned())
    };
    let ambiguous = choice("ambiguous", "earlier, later or reject", &["earlier", "later", "reject"]);
    let nonexistent = choice("nonexistent", "shift or reject", &["shift", "reject"]);
    let rule = if for_date && ambiguous.is_none() && nonexistent.is_none() {
        ZoneRule::for_dates(name)
    } else {
        ZoneRule::new(
            name,
            ambiguous.as_deref().and_then(Ambiguous::by_name),
            nonexistent.as_deref().and_then(Nonexistent::by_name),
        )
    };
    match rule {
        Ok(rule) => Some(Some(rule)),
        Err(error) => {
            file.error(node.get("zone").map_or(node.place, |zone| zone.place), error.to_string());
            None
        }
    }
}

/// A number or a fraction like `1/1000`.
pub fn fraction(node: &Node, file: &mut File<'_>) -> Option<Rational> {
    let text = match &node.value {
        Value::Number(text) | Value::Text(text) => text.as_str(),
        _ => "",
    };
    let factor = Rational::parse(text).ok();
    if factor.is_none() {
        file.error(node.place, "scale is not a number or fraction like 1/1000");
    }
    factor
}

/// The rounding that `round` declares.
pub fn round(node: &Node, file: &mut File<'_>) -> Option<Round> {
    if !file.keys(node, "round", &["places", "mode"]) {
        return None;
    }
    let places = file.number(node, "places");
    let mode = file.required_text(node, "round", "mode").and_then(RoundMode::by_name);
    match (places, mode) {
        (Some(places), Some(mode)) if places <= 38 => Some(Round { places, mode }),
        _ => {
            let found = node.to_serde();
            let expected = "{places: 0 to 38, mode: half_even | half_up | down | up}";
            file.error(node.place, format!("round is {found}, expected {expected}"));
            None
        }
    }
}

/// How numbers are written in texts.
pub fn number_format(node: &Node, file: &mut File<'_>) -> Option<NumberFormat> {
    if !file.keys(node, "number", &["decimal", "group", "sign"]) {
        return None;
    }
    let mut one = |key: &str| {
        let mut chars = file.text(node, key)?.chars();
        match (chars.next(), chars.next()) {
            (Some(only), None) => Some(only),
            _ => {
                file.error(node.place, format!("{key} is not one character"));
                None
            }
        }
    };
    let (decimal, group) = (one("decimal").unwrap_or('.'), one("group"));
    let sign = match file.text(node, "sign") {
        None => Sign::by_name("leading"),
        Some(name) => Sign::by_name(name),
    };
    let Some(sign) = sign else {
        file.error(node.place, "sign is none of leading, trailing and either");
        return None;
    };
    NumberFormat::new(decimal, group, sign).map_err(|error| file.error(node.place, error.to_string())).ok()
}

/// The rules that `text` declares, one or a list of them.
pub fn text_rules(node: &Node, file: &mut File<'_>) -> Option<TextRules> {
    let rules: Vec<TextRule> = match &node.value {
        Value::List(items) => items.iter().filter_map(|item| text_rule(item, file)).collect(),
        _ => text_rule(node, file).into_iter().collect(),
    };
    match TextRules::compile(&rules) {
        Ok(rules) => Some(rules),
        Err((index, error)) => {
            let place = node.items().get(index).map_or(node.place, |item| item.place);
            file.error(place, error.to_string());
            None
        }
    }
}

fn text_rule(node: &Node, file: &mut File<'_>) -> Option<TextRule> {
    const KNOWN: &str = "strip, strip_zeros, pad_left, upper, lower, split, slice, replace, regex";
    if let Value::Text(name) = &node.value {
        return match name.as_str() {
            "strip" => Some(TextRule::Strip),
            "upper" => Some(TextRule::Upper),
            "lower" => Some(TextRule::Lower),
            _ => {
                file.error(node.place, format!("{name} is not a text rule, known are {KNOWN}"));
                None
            }
        };
    }
    let [(key, value)] = node.entries() else {
        file.error(node.place, format!("a text rule has not exactly one name, known are {KNOWN}"));
        return None;
    };
    match key.text.as_str() {
        "strip_zeros" => match file.as_text(value, "strip_zeros")? {
            "left" => Some(TextRule::StripZerosLeft),
            other => {
                file.error(value.place, format!("strip_zeros is {other}, expected left"));
                None
            }
        },
        "pad_left" => {
            file.keys(value, "pad_left", &["with", "to"]);
            let with = file.required_text(value, "pad_left", "with")?;
            if value.get("to").is_none() {
                file.error(value.place, "pad_left has no to, expected the length");
            }
            let to = file.number(value, "to")?;
            let mut chars = with.chars();
            match (chars.next(), chars.next()) {
                (Some(with), None) => Some(TextRule::PadLeft { with, to }),
                _ => {
                    file.error(value.place, "pad_left.with is not one character");
                    None
                }
            }
        }
        "split" => {
            file.keys(value, "split", &["by", "part"]);
            let by = file.required_text(value, "split", "by")?.to_owned();
            let part = match value.get("part").map(|part| &part.value) {
                Some(Value::Number(text)) => text.parse().ok(),
                _ => None,
            };
            if part.is_none() {
                file.error(value.place, "split.part is not a whole number");
            }
            Some(TextRule::Split { by, part: part? })
        }
        "slice" => {
            file.keys(value, "slice", &["from", "to"]);
            let from = if value.get("from").is_some() { file.number(value, "from")? } else { 0 };
            Some(TextRule::Slice { from, to: file.number(value, "to") })
        }
        "replace" => {
            file.keys(value, "replace", &["old", "new"]);
            let old = file.required_text(value, "replace", "old")?.to_owned();
            Some(TextRule::Replace { old, new: file.required_text(value, "replace", "new")?.to_owned() })
        }
        "regex" => Some(TextRule::Regex { pattern: file.as_text(value, "regex")?.to_owned() }),
        "strip" | "upper" | "lower" => {
            file.error(key.place, format!("{} takes nothing, write it without a colon", key.text));
            None
        }
        _ => {
            file.error(key.place, format!("{} is not a text rule, known are {KNOWN}", key.text));
            None
        }
    }
}
