//! Finds operations that fail, or never hold, whatever the event says.
//!
//! What is not known for sure (`message`, fields that the contract leaves open) is never refused.

use cel::common::ast::{CallExpr, Expr as Ast, IdedExpr, operators};

use super::super::ExprProblem;
use super::super::op::{Lit, Op, Relation};
use super::kinds::{Kinds, Type};
use super::{Compiler, Typed};
use crate::value::Decimal;

/// Functions of the interpreter: name, whether it is called on its first argument, arguments, result.
const FUNCTIONS: &[(&str, bool, &[Kinds], Kinds)] = &[
    ("size", false, &[SIZED], Kinds::INTEGER),
    ("size", true, &[SIZED], Kinds::INTEGER),
    ("contains", true, &[Kinds::TEXT, Kinds::TEXT], Kinds::BOOL),
    ("startsWith", true, &[Kinds::TEXT, Kinds::TEXT], Kinds::BOOL),
    ("endsWith", true, &[Kinds::TEXT, Kinds::TEXT], Kinds::BOOL),
    ("matches", true, &[Kinds::TEXT, Kinds::TEXT], Kinds::BOOL),
    ("matches", false, &[Kinds::TEXT, Kinds::TEXT], Kinds::BOOL),
    ("bool", false, &[Kinds::BOOL.or(Kinds::TEXT)], Kinds::BOOL),
    ("int", false, &[Kinds::NUMBER.or(Kinds::TEXT)], Kinds::INTEGER),
    // Unsigned integers are a third kind of number there, which is not told apart here.
    ("uint", false, &[Kinds::NUMBER.or(Kinds::TEXT)], Kinds::NUMBER),
    ("double", false, &[Kinds::NUMBER.or(Kinds::TEXT)], Kinds::DECIMAL),
    ("string", false, &[Kinds::BOOL.or(Kinds::NUMBER).or(Kinds::TEXT)], Kinds::TEXT),
    ("bytes", false, &[Kinds::TEXT], Kinds::ANY),
    ("dyn", false, &[Kinds::ANY], Kinds::ANY),
    ("type", false, &[Kinds::ANY], Kinds::ANY),
];
const SIZED: Kinds = Kinds::TEXT.or(Kinds::LIST).or(Kinds::OBJECT);
/// Functions that are read before their arguments are values.
const SPECIAL: &[&str] = &["has", "sum", "all", "exists", "exists_one", "filter", "map"];

impl Compiler<'_> {
    /// The type of a call, or why it can never do what it says.
    pub(super) fn check(
        &self,
        ast: &IdedExpr,
        call: &CallExpr,
        parts: &[Typed],
    ) -> Result<Type, ExprProblem> {
        let name = call.func_name.as_str();
        let mut nodes = call.target.as_deref().into_iter().chain(&call.args).zip(parts);
        if let Some(relation) = super::calls::relation(name)
            && let [left, right] = parts
        {
            self.comparable(ast, relation, left, right)?;
            return Ok(Type::of(Kinds::BOOL));
        }
        match (name, parts) {
            (operators::LOGICAL_NOT | operators::LOGICAL_AND | operators::LOGICAL_OR, _) => {
                for (at, part) in nodes {
                    self.condition(name.trim_matches('_'), at, part)?;
                }
                Ok(Type::of(Kinds::BOOL))
            }
            (operators::CONDITIONAL, [_, then, otherwise]) => {
                if let Some((at, part)) = nodes.next() {
                    self.condition("?", at, part)?;
                }
                let (left, right) = (then.ty, otherwise.ty);
                Ok(Type { kinds: left.kinds.or(right.kinds), items: left.items.or(right.items) })
            }
            (operators::IN, [needle, range]) => {
                self.contains(ast, call, needle, range)?;
                Ok(Type::of(Kinds::BOOL))
            }
            (operators::INDEX, [operand, index]) => self.indexed(ast, operand, index),
            // What is wrong with a decimal has a better message of its own.
            _ if parts.iter().any(|part| part.decimal) => Ok(Type::ANY),
            (operators::NEGATE, [operand]) => {
                self.need("-", ast, operand, Kinds::NUMBER)?;
                Ok(Type::of(operand.ty.kinds.and(Kinds::NUMBER)))
            }
            (
                operators::ADD
                | operators::SUBSTRACT
                | operators::MULTIPLY
                | operators::DIVIDE
                | operators::MODULO,
                [left, right],
            ) => self.arithmetic(ast, name, left, right),
            _ => self.function(ast, call, parts),
        }
    }

    /// Refuses what is never a bool where one is needed.
    pub(super) fn condition(&self, what: &str, at: &IdedExpr, part: &Typed) -> Result<(), ExprProblem> {
        self.need(what, at, part, Kinds::BOOL)
    }

    /// Refuses a whole expression that is never a bool.
    pub(super) fn whole_condition(&self, at: &IdedExpr, part: &Typed) -> Result<(), ExprProblem> {
        if part.ty.kinds.meets(Kinds::BOOL) {
            return Ok(());
        }
        let message = format!("expected a bool, {}", is(part));
        Err(self.problem(at, message, Some(&hint_for(part, Kinds::BOOL))))
    }

    /// Refuses an operand that is never of these kinds.
    pub(super) fn need(
        &self,
        what: &str,
        at: &IdedExpr,
        part: &Typed,
        kinds: Kinds,
    ) -> Result<(), ExprProblem> {
        if part.ty.kinds.meets(kinds) {
            return Ok(());
        }
        let message = format!("`{what}` needs {kinds}, {}", is(part));
        Err(self.problem(at, message, Some(&hint_for(part, kinds))))
    }

    fn comparable(
        &self,
        ast: &IdedExpr,
        relation: Relation,
        left: &Typed,
        right: &Typed,
    ) -> Result<(), ExprProblem> {
        let equality = matches!(relation, Relation::Equal | Relation::Different);
        // A text literal beside a decimal is read as one, or refused with a message of its own.
        let literal = |part: &Typed| matches!(part.op, Op::Lit(_) | Op::List(_));
        if (left.decimal && literal(right)) || (right.decimal && literal(left)) {
            return Ok(());
        }
        let common = left.ty.kinds.widened().and(right.ty.kinds.widened());
        let ordered = Kinds::NUMBER.or(Kinds::TEXT).or(Kinds::BOOL);
        if common.meets(if equality { Kinds::ANY } else { ordered }) {
            return if equality { self.possible(ast, left, right) } else { Ok(()) };
        }
        let outcome = if equality { "they are never equal" } else { "they have no order" };
        let message = format!("{} and is compared with {}, {outcome}", is_one(left), noun(right));
        Err(self.problem(ast, message, Some(&hint_between(left, right))))
    }

    /// Refuses a comparison with a text that the contract does not let the field have.
    fn possible(&self, at: &IdedExpr, left: &Typed, right: &Typed) -> Result<(), ExprProblem> {
        let (field, text) = match (&left.op, &right.op) {
            (_, Op::Lit(Lit::Text(text))) => (left, text),
            (Op::Lit(Lit::Text(text)), _) => (right, text),
            _ => return Ok(()),
        };
        let values = field.info.as_ref().and_then(|info| info.enum_values.as_deref()).unwrap_or_default();
        if field.decimal || values.is_empty() || values.iter().any(|value| **value == **text) {
            return Ok(());
        }
        let message = format!("{} is never {text:?}, expected one of {}", name(field), values.join(", "));
        Err(self.problem(at, message, Some("the contract lists what it may be")))
    }

    fn contains(
        &self,
        ast: &IdedExpr,
        call: &CallExpr,
        needle: &Typed,
        range: &Typed,
    ) -> Result<(), ExprProblem> {
        self.need("in", ast, range, Kinds::LIST.or(Kinds::OBJECT))?;
        if range.ty.kinds.within(Kinds::OBJECT) {
            if needle.ty.kinds.meets(Kinds::TEXT) {
                return Ok(());
            }
            let message = format!("`in` looks for the name of a field, {}", is(needle));
            return Err(self.problem(ast, message, Some("the name of a field is a text")));
        }
        let wanted = needle.ty.kinds.widened();
        let hint = "the items and what is looked for must have one type";
        if let (Op::List(items), Some(Ast::List(list))) = (&range.op, call.args.last().map(|arg| &arg.expr)) {
            for (item, at) in items.iter().zip(&list.elements) {
                let Op::Lit(lit) = item else { continue };
                let kinds = Kinds::of_literal(lit).widened();
                if !needle.decimal && !kinds.meets(wanted) {
                    let message =
                        format!("{} and is looked for beside {kinds}, they are never equal", is_one(needle));
                    return Err(self.problem(at, message, Some(hint)));
                }
                self.possible(at, needle, &Typed::plain(Op::Lit(lit.clone())))?;
            }
            return Ok(());
        }
        if range.ty.kinds.within(Kinds::LIST) && !range.ty.items.widened().meets(wanted) {
            let items = range.ty.items;
            let message =
                format!("{} and is looked for in a list where each item is {items}", is_one(needle));
            let hint = if items == Kinds::DECIMAL { super::calls::EXISTS_HINT } else { hint };
            return Err(self.problem(ast, message, Some(hint)));
        }
        Ok(())
    }

    fn indexed(&self, ast: &IdedExpr, operand: &Typed, index: &Typed) -> Result<Type, ExprProblem> {
        self.need("[]", ast, operand, Kinds::LIST.or(Kinds::OBJECT))?;
        let mut keys = if operand.ty.kinds.meets(Kinds::LIST) { Kinds::NUMBER } else { Kinds::TEXT };
        if operand.ty.kinds.meets(Kinds::OBJECT) {
            keys = keys.or(Kinds::TEXT);
        }
        if !index.ty.kinds.meets(keys) {
            let message = format!("{} and has no item at {}", is_one(operand), noun(index));
            let hint = "an item of a list has a number from 0 on, a field of an object has a name";
            return Err(self.problem(ast, message, Some(hint)));
        }
        Ok(operand.ty.item())
    }

    fn arithmetic(
        &self,
        ast: &IdedExpr,
        name: &str,
        left: &Typed,
        right: &Typed,
    ) -> Result<Type, ExprProblem> {
        let allowed = match name {
            operators::ADD => Kinds::NUMBER.or(Kinds::TEXT).or(Kinds::LIST),
            operators::MODULO => Kinds::INTEGER,
            _ => Kinds::NUMBER,
        };
        let kinds = left.ty.kinds.and(right.ty.kinds).and(allowed);
        if kinds.meets(Kinds::ANY) {
            return Ok(Type { kinds, items: left.ty.items.or(right.ty.items) });
        }
        let sign = name.trim_matches('_');
        let message = format!("`{sign}` cannot take {} and {}", noun(left), noun(right));
        let both = |kinds: Kinds| left.ty.kinds.meets(kinds) && right.ty.kinds.meets(kinds);
        let hint = if both(Kinds::NUMBER) {
            "both must be integers, or both must have places: write 2 or 2.0, int() or double()"
        } else if name == operators::ADD {
            "both must be numbers, texts or lists: string() makes a text"
        } else {
            "both must be numbers"
        };
        Err(self.problem(ast, message, Some(hint)))
    }

    fn function(&self, ast: &IdedExpr, call: &CallExpr, parts: &[Typed]) -> Result<Type, ExprProblem> {
        let (name, on) = (call.func_name.as_str(), call.target.is_some());
        let fits = |function: &&(&str, bool, &[Kinds], Kinds)| {
            (function.0, function.1, function.2.len()) == (name, on, parts.len())
        };
        if let Some((_, _, arguments, result)) = FUNCTIONS.iter().find(fits) {
            for ((part, kinds), at) in
                parts.iter().zip(*arguments).zip(call.target.as_deref().into_iter().chain(&call.args))
            {
                self.need(name, at, part, *kinds)?;
            }
            return Ok(Type::of(*result));
        }
        let mut known: Vec<&str> = FUNCTIONS.iter().map(|function| function.0).collect();
        known.extend(SPECIAL);
        known.dedup();
        if known.contains(&name) {
            let message = format!("{name} is called with other arguments than it takes");
            return Err(self.problem(ast, message, Some(usage(name))));
        }
        let hint = format!("known are {}", known.join(", "));
        Err(self.problem(ast, format!("unknown function {name}"), Some(&hint)))
    }
}

/// The name of a field, or what stands there.
fn name(part: &Typed) -> String {
    match part.path.as_deref() {
        Some(path) => path.iter().fold("data".to_owned(), |text, step| match step.as_str() {
            crate::schema::ITEMS => text + "[]",
            step => format!("{text}.{step}"),
        }),
        None => "it".to_owned(),
    }
}

fn noun(part: &Typed) -> String {
    match part.path {
        Some(_) => format!("{}, {}", name(part), part.ty.kinds),
        None => part.ty.kinds.to_string(),
    }
}

fn is(part: &Typed) -> String {
    match part.path {
        Some(_) => is_one(part),
        None => format!("found {}", part.ty.kinds),
    }
}

fn is_one(part: &Typed) -> String {
    match part.path {
        Some(_) => format!("{} is {}", name(part), part.ty.kinds),
        None => format!("this is {}", part.ty.kinds),
    }
}

fn hint_for(part: &Typed, kinds: Kinds) -> String {
    let found = part.ty.kinds;
    let shown = if part.path.is_some() { name(part) } else { "…".to_owned() };
    if kinds == Kinds::BOOL && found.within(Kinds::NUMBER) {
        format!("compare it: {shown} > 0")
    } else if kinds == Kinds::BOOL && found.within(Kinds::TEXT) {
        format!("compare it: {shown} == \"…\"")
    } else if kinds == Kinds::BOOL {
        "compare it, or ask for a part of it with has()".to_owned()
    } else if kinds == Kinds::TEXT && found.within(Kinds::NUMBER.or(Kinds::BOOL)) {
        format!("make a text of it: string({shown})")
    } else if found.within(Kinds::TEXT) && kinds.meets(Kinds::LIST) {
        "for a part of a text use contains()".to_owned()
    } else {
        format!("expected {kinds}")
    }
}

fn hint_between(left: &Typed, right: &Typed) -> String {
    let text = |part: &Typed| match &part.op {
        Op::Lit(Lit::Text(text)) => Some(text.to_string()),
        _ => None,
    };
    let (one, other) = if left.ty.kinds.within(Kinds::TEXT) { (left, right) } else { (right, left) };
    if left.ty.kinds == Kinds::NULL || right.ty.kinds == Kinds::NULL {
        return "the contract has no null there: ask with has() whether a field is there".to_owned();
    }
    let number = other.ty.kinds.within(Kinds::NUMBER);
    match text(one) {
        Some(text) if number && Decimal::parse(&text).is_ok() => format!("write {text} without quotes"),
        Some(text) if matches!(text.as_str(), "true" | "false") => format!("write {text} without quotes"),
        None if number && one.ty.kinds.within(Kinds::TEXT) => {
            "compare it with a text in quotes, or declare it as `format: decimal` in the contract".to_owned()
        }
        _ => "compare values of one type".to_owned(),
    }
}

fn usage(name: &str) -> &'static str {
    match name {
        "has" => "write has(data.field)",
        "sum" => "write sum(data.list, field)",
        "all" | "exists" | "exists_one" | "filter" | "map" => "write data.list.all(item, condition)",
        "contains" | "startsWith" | "endsWith" | "matches" => "write data.field.startsWith(\"…\")",
        _ => "write it with the value in brackets, as size(data.list)",
    }
}
