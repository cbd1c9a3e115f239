//! Conditions over the `data` of a contract: `where` of routes, `check` of rules.

use crate::expr::{Expr, ExprEnv};
use crate::plan::read::{File, nearest};
use crate::schema::Schema;
use crate::yaml::Node;

/// The events that a condition asks.
#[derive(Clone, Copy, Debug)]
pub struct Of<'c> {
    /// Name of their contract: `quality.hold/1`.
    pub label: &'c str,
    /// Its schema: it says which paths are decimals and which may be absent.
    pub schema: &'c Schema,
    /// Whether type and source of the event may be asked, too.
    pub event: bool,
}

/// Compiles the condition `text`, written at `node`; `None` when it cannot be. A field that the contract does
/// not have, or one that may be absent and is used without `has()`, is noted as well. `wrong` begins the
/// sentence about a mistake in the text.
pub fn compile(node: &Node, text: &str, wrong: &str, of: &Of<'_>, file: &mut File<'_>) -> Option<Expr> {
    let env = ExprEnv { schema: Some(of.schema), data: true, message: false, event: of.event };
    let expr = match Expr::compile_condition(text, &env) {
        Ok(expr) => expr,
        Err(problem) => {
            let message = format!("{wrong} at character {}: {}", problem.column, problem.message);
            match problem.hint {
                Some(hint) => file.error_hint(node.place, message, hint),
                None => file.error(node.place, message),
            }
            return None;
        }
    };
    if let Some(path) = expr.paths().iter().find(|path| !of.schema.allows_field(path)) {
        let fields = of.schema.fields(4);
        let known: Vec<&str> = fields.iter().map(String::as_str).collect();
        let message = format!("the contract {} has no field {path}", of.label);
        match nearest(path, &known) {
            Some(close) => file.error_hint(node.place, message, format!("did you mean {close}?")),
            None => file.error(node.place, message),
        }
    } else if let Some(path) = expr.unguarded_optionals().first() {
        let message = format!("the field {path} of {} is optional and not guarded", of.label);
        // A route leaves out what has no such field; a rule of the contract has nothing to say of it.
        let hint = if of.event {
            format!("write has(data.{path}) && …")
        } else {
            format!("write !has(data.{path}) || …")
        };
        file.error_hint(node.place, message, hint);
    }
    Some(expr)
}
