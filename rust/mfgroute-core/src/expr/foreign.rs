//! Expressions outside of the native subset, evaluated by the `cel` crate.

use std::collections::HashMap;

use cel::objects::Key;
use cel::{Context, Program, Value};

use super::{ExprCtx, ExprFailure, ExprProblem, ExprValue, op};
use crate::tree::{Kind, NodeId, Tree};
use crate::value::Decimal;

/// A program of the `cel` crate.
#[derive(Debug)]
pub(crate) struct Foreign {
    program: Program,
}

impl Foreign {
    pub(crate) fn new(source: &str, op: &op::Op) -> Result<Self, ExprProblem> {
        if uses_decimals(op) {
            let message =
                "decimals cannot be compared beside parts that only the interpreter runs".to_owned();
            let hint = "leave arithmetic and text building out of the condition, or make two rules of it";
            return Err(ExprProblem { column: 1, message, hint: Some(hint.to_owned()) });
        }
        let program = Program::compile(source).map_err(|errors| ExprProblem {
            column: errors.errors.first().map_or(1, |error| u32::try_from(error.pos.1).unwrap_or(1).max(1)),
            message: format!("the expression is not CEL: {}", crate::reject::shorten(&errors.to_string())),
            hint: None,
        })?;
        Ok(Self { program })
    }

    pub(crate) fn eval(&self, ctx: &ExprCtx<'_>) -> Result<ExprValue, ExprFailure> {
        let mut context = Context::default();
        let references = self.program.references();
        for (name, tree) in [("data", ctx.data), ("message", ctx.message), ("item", ctx.item)] {
            if let Some((tree, node)) = tree
                && references.has_variable(name)
            {
                context.add_variable_from_value(name, convert(tree, node)?);
            }
        }
        context.add_variable_from_value("type", ctx.event_type.to_owned());
        context.add_variable_from_value("source", ctx.source.to_owned());
        if references.has_variable("meta") {
            context.add_variable_from_value("meta", facts(ctx.meta));
        }
        let answer = self.program.execute(&context);
        export(&answer.map_err(|error| ExprFailure::new(crate::reject::shorten(&error.to_string())))?)
    }
}

/// The interpreter has no exact numbers: what does not fit is a failure, not another number.
pub(crate) fn convert(tree: &Tree, node: NodeId) -> Result<Value, ExprFailure> {
    Ok(match tree.kind(node) {
        Kind::Null => Value::Null,
        Kind::Bool(value) => Value::Bool(value),
        Kind::String => Value::String(tree.text(node).to_owned().into()),
        Kind::Number => {
            let text = tree.text(node);
            match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(value), _) => Value::Int(value),
                (_, Ok(value)) if value.is_finite() => Value::Float(value),
                _ => return Err(ExprFailure::new("a number does not fit into the interpreter")),
            }
        }
        Kind::Array => {
            let items = tree.children(node).map(|child| convert(tree, child));
            Value::List(items.collect::<Result<Vec<_>, _>>()?.into())
        }
        Kind::Object => {
            let pair = |child| Ok((tree.key(child).to_owned(), convert(tree, child)?));
            tree.children(node).map(pair).collect::<Result<HashMap<String, Value>, _>>()?.into()
        }
    })
}

/// Facts by their full name and as nested maps: `meta["file.line"]` and `meta.file.line`.
fn facts(meta: &[(&str, &str)]) -> Value {
    let mut map: HashMap<String, Value> = HashMap::new();
    let mut below: HashMap<&str, Vec<(&str, &str)>> = HashMap::new();
    for (name, text) in meta {
        map.insert((*name).to_owned(), Value::String((*text).to_owned().into()));
        if let Some((first, rest)) = name.split_once('.') {
            below.entry(first).or_default().push((rest, text));
        }
    }
    for (first, rest) in below {
        map.entry(first.to_owned()).or_insert_with(|| facts(&rest));
    }
    map.into()
}

fn export(value: &Value) -> Result<ExprValue, ExprFailure> {
    Ok(match value {
        Value::Null => ExprValue::Null,
        Value::Bool(value) => ExprValue::Bool(*value),
        Value::Int(value) => ExprValue::Int(*value),
        Value::UInt(value) => match Decimal::new(i128::from(*value), 0) {
            Ok(value) => ExprValue::Decimal(value),
            Err(_) => return Err(ExprFailure::new("a number has more than 38 digits")),
        },
        Value::String(text) => ExprValue::String(text.as_ref().clone()),
        Value::List(items) => ExprValue::List(items.iter().map(export).collect::<Result<_, _>>()?),
        Value::Map(map) => {
            let mut pairs = Vec::new();
            for (key, value) in map.map.iter() {
                let Key::String(key) = key else {
                    return Err(ExprFailure::new("a key of a map is not text"));
                };
                pairs.push((key.as_ref().clone(), export(value)?));
            }
            pairs.sort_by(|left: &(String, ExprValue), right| left.0.cmp(&right.0));
            ExprValue::Map(pairs)
        }
        Value::Float(_) => {
            return Err(ExprFailure::new("the result is a floating-point number, which is not exact"));
        }
        _ => return Err(ExprFailure::new("the result is not a JSON value")),
    })
}

/// Whether a part needs exact decimals, which the interpreter does not have.
fn uses_decimals(op: &op::Op) -> bool {
    use op::Op;
    match op {
        Op::Sum(..) | Op::AsDecimal(_) | Op::Compare { exact: true, .. } => true,
        Op::Lit(_) | Op::Root(_) | Op::Local(_) | Op::Meta(_) | Op::HasMeta(_) => false,
        Op::Field(operand, _)
        | Op::Has(operand, _)
        | Op::Not(operand)
        | Op::Size(operand)
        | Op::Matches(operand, _) => uses_decimals(operand),
        Op::Index(left, right)
        | Op::And(left, right)
        | Op::Or(left, right)
        | Op::In(left, right)
        | Op::Text(_, left, right)
        | Op::Compare { left, right, .. } => uses_decimals(left) || uses_decimals(right),
        Op::If(condition, then, otherwise) => {
            [condition, then, otherwise].into_iter().any(|part| uses_decimals(part))
        }
        Op::Loop { range, condition, body, .. } => {
            uses_decimals(range) || condition.as_deref().is_some_and(uses_decimals) || uses_decimals(body)
        }
        Op::List(items) | Op::Foreign(items) => items.iter().any(uses_decimals),
    }
}
