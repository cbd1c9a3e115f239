//! From CEL source to operations, with the types of decimals checked.

use cel::common::ast::{CallExpr, Expr as Ast, IdedExpr, LiteralValue, SourceInfo, operators};
use cel::{Env, ParseErrors};

use super::op::{Lit, Loop, Op, Relation, Root, TextTest};
use super::{DEPTH_MAX, ExprEnv, ExprProblem, MACRO_DEPTH_MAX, SOURCE_BYTES_MAX};
use crate::schema::{PropertyInfo, pattern};
use crate::value::Decimal;

/// The result of a compilation.
pub(crate) struct Compiled {
    pub(crate) op: Op,
    /// Whether a part of it needs the `cel` crate.
    pub(crate) foreign: bool,
}

/// Compiles an expression.
pub(crate) fn compile(source: &str, env: &ExprEnv<'_>) -> Result<Compiled, ExprProblem> {
    if source.len() > SOURCE_BYTES_MAX {
        let message =
            format!("the expression has {} bytes, at most {SOURCE_BYTES_MAX} are allowed", source.len());
        return Err(ExprProblem { column: 1, message, hint: None });
    }
    // Without macros: `has` and the loops are read here, where their paths are known.
    let parsed = Env::default().parser().parse_with_source_info(source);
    let (ast, info) = parsed.map_err(|errors| syntax(&errors))?;
    let mut compiler = Compiler { env, info, source, locals: Vec::new(), foreign: false };
    let typed = compiler.expr(&ast, 0)?;
    Ok(Compiled { op: typed.op, foreign: compiler.foreign })
}

fn syntax(errors: &ParseErrors) -> ExprProblem {
    let first = errors.errors.first();
    let column = first.map_or(1, |error| u32::try_from(error.pos.1).unwrap_or(1).max(1));
    let message = first.map_or_else(
        || "the expression is not CEL".to_owned(),
        |error| format!("the expression is not CEL: {}", crate::reject::shorten(&error.msg)),
    );
    ExprProblem { column, message, hint: None }
}

/// An operation and what is known of its value.
struct Typed {
    op: Op,
    /// Path in `data`, if it is one.
    path: Option<Vec<String>>,
    info: Option<PropertyInfo>,
    decimal: bool,
}

impl Typed {
    fn plain(op: Op) -> Self {
        Self { op, path: None, info: None, decimal: false }
    }

    /// Whether it is certainly not a number.
    fn no_number(&self) -> bool {
        match &self.op {
            Op::Lit(Lit::Null | Lit::Bool(_)) => true,
            _ => {
                !self.decimal
                    && self.info.as_ref().is_some_and(|info| {
                        !info.types.iter().any(|name| matches!(*name, "number" | "integer"))
                    })
            }
        }
    }
}

struct Compiler<'e> {
    env: &'e ExprEnv<'e>,
    info: SourceInfo,
    source: &'e str,
    /// Variables of the loops, outermost first, with the path of their items.
    locals: Vec<(String, Option<Vec<String>>)>,
    foreign: bool,
}

const ARITHMETIC_HINT: &str =
    "use `scale` or `unit` in the mapping; rules may compare decimals and use sum(list, field)";

impl Compiler<'_> {
    fn problem(&self, at: &IdedExpr, message: impl Into<String>, hint: Option<&str>) -> ExprProblem {
        let column = self.info.offset_for(at.id).map_or(1, |(start, _)| start + 1);
        ExprProblem { column, message: message.into(), hint: hint.map(str::to_owned) }
    }

    fn expr(&mut self, ast: &IdedExpr, depth: usize) -> Result<Typed, ExprProblem> {
        if depth > DEPTH_MAX {
            return Err(self.problem(
                ast,
                format!("the expression is nested more than {DEPTH_MAX} deep"),
                None,
            ));
        }
        match &ast.expr {
            Ast::Literal(value) => self.literal(ast, value, false),
            Ast::Ident(name) => self.ident(ast, name),
            Ast::Select(select) => {
                if let Some(name) = meta_name(ast) {
                    return self.root(ast, Root::Meta).map(|_| Typed::plain(Op::Meta(name.into())));
                }
                let operand = self.expr(&select.operand, depth + 1)?;
                Ok(self.field(operand, &select.field))
            }
            Ast::List(list) => {
                let items = list.elements.iter().map(|item| self.expr(item, depth + 1));
                let items = items.collect::<Result<Vec<_>, _>>()?;
                let decimal = items.iter().any(|item| item.decimal);
                let op = Op::List(items.into_iter().map(|item| item.op).collect());
                Ok(Typed { decimal, ..Typed::plain(op) })
            }
            Ast::Call(call) => self.call(ast, call, depth + 1),
            _ => self.foreign(ast, Vec::new()),
        }
    }

    fn literal(&self, ast: &IdedExpr, value: &LiteralValue, negate: bool) -> Result<Typed, ExprProblem> {
        let lit = match value {
            LiteralValue::Null => Lit::Null,
            LiteralValue::Boolean(value) => Lit::Bool(*value.inner()),
            LiteralValue::String(value) => Lit::Text(value.inner().into()),
            LiteralValue::Int(value) => {
                let value = *value.inner();
                Lit::Int(if negate { value.checked_neg().unwrap_or(i64::MAX) } else { value })
            }
            LiteralValue::UInt(value) => number_lit(&value.inner().to_string()),
            LiteralValue::Double(value) => {
                let Some(text) = self.number_text(ast, *value.inner()) else {
                    return Err(self.problem(
                        ast,
                        "the number cannot be read exactly",
                        Some("write it as text"),
                    ));
                };
                number_lit(&if negate { format!("-{text}") } else { text })
            }
            LiteralValue::Bytes(_) => return Err(self.problem(ast, "bytes are not supported", None)),
        };
        Ok(Typed::plain(Op::Lit(lit)))
    }

    /// The digits of a literal as the source has them; a float would have lost some.
    fn number_text(&self, ast: &IdedExpr, value: f64) -> Option<String> {
        let (start, _) = self.info.offset_for(ast.id)?;
        let rest: String = self.source.chars().skip(start as usize).collect();
        // The place may be that of the digits or that of the sign before them.
        let digits = rest.trim_start_matches('-').trim_start();
        let mut exponent = false;
        let end = digits.bytes().take_while(|byte| {
            let part = byte.is_ascii_digit()
                || matches!(byte, b'.' | b'e' | b'E')
                || (exponent && matches!(byte, b'+' | b'-'));
            exponent = matches!(byte, b'e' | b'E');
            part
        });
        let mut text = digits.get(..end.count())?.to_owned();
        if text.starts_with('.') {
            text.insert(0, '0');
        }
        if value.is_sign_negative() {
            text.insert(0, '-');
        }
        let same = text.parse::<f64>().is_ok_and(|read| read.to_bits() == value.to_bits());
        same.then_some(text)
    }

    fn root(&self, ast: &IdedExpr, root: Root) -> Result<Typed, ExprProblem> {
        let (there, name) = match root {
            Root::Data => (self.env.data, "data"),
            Root::Message => (self.env.message, "message"),
            Root::Item => (self.env.message, "item"),
            Root::Meta => (self.env.message, "meta"),
            Root::Type | Root::Source => (true, ""),
        };
        if !there {
            return Err(self.problem(ast, format!("{name} does not exist here"), Some(&self.known())));
        }
        let path = (root == Root::Data).then(Vec::new);
        Ok(Typed { path, ..Typed::plain(Op::Root(root)) })
    }

    fn known(&self) -> String {
        let mut names = vec!["type", "source"];
        if self.env.data {
            names.push("data");
        }
        if self.env.message {
            names.extend(["message", "item", "meta"]);
        }
        format!("known variables are {}", names.join(", "))
    }

    fn ident(&self, ast: &IdedExpr, name: &str) -> Result<Typed, ExprProblem> {
        if let Some(at) = self.locals.iter().rposition(|(local, _)| local == name) {
            let path = self.locals.get(at).and_then(|(_, path)| path.clone());
            return Ok(self.at_path(Op::Local(at), path));
        }
        match name {
            "data" => self.root(ast, Root::Data),
            "message" => self.root(ast, Root::Message),
            "item" => self.root(ast, Root::Item),
            "type" => self.root(ast, Root::Type),
            "source" => self.root(ast, Root::Source),
            "meta" => {
                Err(self.problem(ast, "meta has no value of its own", Some("name a fact: meta.source.name")))
            }
            _ => Err(self.problem(ast, format!("unknown variable {name}"), Some(&self.known()))),
        }
    }

    fn at_path(&self, op: Op, path: Option<Vec<String>>) -> Typed {
        let steps: Option<Vec<&str>> = path.as_ref().map(|path| path.iter().map(String::as_str).collect());
        let info = steps.and_then(|steps| self.env.schema?.property(&steps));
        let decimal = info.as_ref().is_some_and(|info| info.format_decimal);
        Typed { op, path, info, decimal }
    }

    fn field(&self, operand: Typed, name: &str) -> Typed {
        let path = operand.path.map(|mut path| {
            path.push(name.to_owned());
            path
        });
        self.at_path(Op::Field(Box::new(operand.op), name.into()), path)
    }

    /// What only the `cel` crate evaluates; its parts must not be decimals.
    fn foreign(&mut self, ast: &IdedExpr, parts: Vec<Typed>) -> Result<Typed, ExprProblem> {
        if parts.iter().any(|part| part.decimal) {
            return Err(self.problem(ast, "a decimal can only be compared", Some(ARITHMETIC_HINT)));
        }
        self.foreign = true;
        Ok(Typed::plain(Op::Foreign(parts.into_iter().map(|part| part.op).collect())))
    }

    fn call(&mut self, ast: &IdedExpr, call: &CallExpr, depth: usize) -> Result<Typed, ExprProblem> {
        if let Some(typed) = self.special(ast, call, depth)? {
            return Ok(typed);
        }
        let mut parts = Vec::with_capacity(call.args.len() + 1);
        for part in call.target.as_deref().into_iter().chain(&call.args) {
            parts.push(self.expr(part, depth)?);
        }
        let name = call.func_name.as_str();
        if let Some(relation) = relation(name)
            && parts.len() == 2
        {
            return self.compare(ast, relation, parts);
        }
        let arithmetic = matches!(
            name,
            operators::ADD
                | operators::SUBSTRACT
                | operators::MULTIPLY
                | operators::DIVIDE
                | operators::MODULO
                | operators::NEGATE
        );
        if name == operators::IN && parts.len() == 2 {
            return self.contained(ast, parts);
        }
        if name == operators::CONDITIONAL && parts.len() == 3 {
            let decimal = parts.iter().skip(1).any(|part| part.decimal);
            let [condition, then, otherwise] = ops(parts);
            let op = Op::If(condition, then, otherwise);
            return Ok(Typed { decimal, ..Typed::plain(op) });
        }
        if name == operators::INDEX && parts.len() == 2 {
            return Ok(self.index(parts));
        }
        if parts.iter().any(|part| part.decimal && !matches!(part.op, Op::List(_))) {
            let what = if arithmetic {
                "arithmetic on a decimal".to_owned()
            } else {
                format!("{name} of a decimal")
            };
            return Err(self.problem(ast, format!("{what} is not possible"), Some(ARITHMETIC_HINT)));
        }
        let op = match (name, parts.len()) {
            (operators::LOGICAL_NOT, 1) => {
                let [operand] = ops(parts);
                Op::Not(operand)
            }
            (operators::LOGICAL_AND | operators::LOGICAL_OR, 2) => {
                let [left, right] = ops(parts);
                if name == operators::LOGICAL_AND { Op::And(left, right) } else { Op::Or(left, right) }
            }
            ("size", 1) => {
                let [operand] = ops(parts);
                Op::Size(operand)
            }
            ("startsWith" | "endsWith" | "contains", 2) if call.target.is_some() => {
                let [left, right] = ops(parts);
                let test = match name {
                    "startsWith" => TextTest::StartsWith,
                    "endsWith" => TextTest::EndsWith,
                    _ => TextTest::Contains,
                };
                Op::Text(test, left, right)
            }
            _ => return self.foreign(ast, parts),
        };
        Ok(Typed::plain(op))
    }

    /// Calls whose arguments are not all values.
    fn special(
        &mut self,
        ast: &IdedExpr,
        call: &CallExpr,
        depth: usize,
    ) -> Result<Option<Typed>, ExprProblem> {
        let (name, target, args) = (call.func_name.as_str(), call.target.as_deref(), call.args.as_slice());
        match (name, target, args) {
            ("has", None, [arg]) => self.has(arg, depth).map(Some),
            ("sum", None, [list]) => self.sum(ast, list, None, depth).map(Some),
            ("sum", None, [list, field]) => self.sum(ast, list, Some(field), depth).map(Some),
            (operators::NEGATE, None, [IdedExpr { expr: Ast::Literal(value), .. }]) => match args {
                [arg] => self.literal(arg, value, true).map(Some),
                _ => Ok(None),
            },
            ("matches", Some(text), [IdedExpr { expr: Ast::Literal(LiteralValue::String(source)), .. }])
            | ("matches", None, [text, IdedExpr { expr: Ast::Literal(LiteralValue::String(source)), .. }]) => {
                let text = self.expr(text, depth)?;
                if text.decimal {
                    return Err(self.problem(
                        ast,
                        "matches of a decimal is not possible",
                        Some(ARITHMETIC_HINT),
                    ));
                }
                let pattern = pattern::build(source.inner())
                    .map_err(|reason| self.problem(ast, format!("bad pattern: {reason}"), None))?;
                Ok(Some(Typed::plain(Op::Matches(Box::new(text.op), pattern))))
            }
            ("all" | "exists" | "exists_one" | "filter" | "map", Some(range), [variable, rest @ ..])
                if matches!(rest.len(), 1) || (name == "map" && rest.len() == 2) =>
            {
                self.repeat(ast, name, range, variable, rest, depth).map(Some)
            }
            (
                operators::INDEX,
                None,
                [
                    IdedExpr { expr: Ast::Ident(root), .. },
                    IdedExpr { expr: Ast::Literal(LiteralValue::String(key)), .. },
                ],
            ) if root == "meta" && self.locals.iter().all(|(local, _)| local != "meta") => {
                self.root(ast, Root::Meta)?;
                Ok(Some(Typed::plain(Op::Meta(key.inner().into()))))
            }
            _ => Ok(None),
        }
    }

    fn has(&mut self, arg: &IdedExpr, depth: usize) -> Result<Typed, ExprProblem> {
        if let Some(name) = meta_name(arg) {
            self.root(arg, Root::Meta)?;
            return Ok(Typed::plain(Op::HasMeta(name.into())));
        }
        let Ast::Select(select) = &arg.expr else {
            return Err(self.problem(arg, "has() needs a field", Some("write has(data.field)")));
        };
        let operand = self.expr(&select.operand, depth)?;
        Ok(Typed::plain(Op::Has(Box::new(operand.op), select.field.as_str().into())))
    }

    fn sum(
        &mut self,
        ast: &IdedExpr,
        list: &IdedExpr,
        field: Option<&IdedExpr>,
        depth: usize,
    ) -> Result<Typed, ExprProblem> {
        let mut steps = Vec::new();
        let mut at = field;
        while let Some(part) = at {
            match &part.expr {
                Ast::Ident(name) => {
                    steps.push(name.as_str().into());
                    at = None;
                }
                Ast::Select(select) => {
                    steps.push(select.field.as_str().into());
                    at = Some(&select.operand);
                }
                _ => {
                    return Err(self.problem(
                        part,
                        "the second argument of sum is a field of its items",
                        None,
                    ));
                }
            }
        }
        steps.reverse();
        let list = self.expr(list, depth)?;
        if matches!(list.op, Op::Foreign(_)) {
            return Err(self.problem(ast, "sum needs a list of the data", None));
        }
        Ok(Typed { decimal: true, ..Typed::plain(Op::Sum(Box::new(list.op), steps)) })
    }

    fn repeat(
        &mut self,
        ast: &IdedExpr,
        name: &str,
        range: &IdedExpr,
        variable: &IdedExpr,
        rest: &[IdedExpr],
        depth: usize,
    ) -> Result<Typed, ExprProblem> {
        let Ast::Ident(variable) = &variable.expr else {
            return Err(self.problem(ast, format!("{name} needs a variable"), None));
        };
        if self.locals.len() >= MACRO_DEPTH_MAX {
            return Err(self.problem(
                ast,
                format!("loops are nested more than {MACRO_DEPTH_MAX} deep"),
                None,
            ));
        }
        let range = self.expr(range, depth)?;
        let path = range.path.clone().map(|mut path| {
            path.push(crate::schema::ITEMS.to_owned());
            path
        });
        self.locals.push((variable.clone(), path));
        let parts = rest.iter().map(|part| self.expr(part, depth)).collect::<Result<Vec<_>, _>>();
        self.locals.pop();
        let mut parts = parts?;
        let kind = match name {
            "all" => Loop::All,
            "exists" => Loop::Exists,
            "exists_one" => Loop::ExistsOne,
            "filter" => Loop::Filter,
            _ => Loop::Map,
        };
        let Some(body) = parts.pop() else {
            return Err(self.problem(ast, format!("{name} needs a body"), None));
        };
        let condition = parts.pop().map(|part| Box::new(part.op));
        let decimal = if kind == Loop::Map { body.decimal } else { kind == Loop::Filter && range.decimal };
        let path = if kind == Loop::Filter { range.path } else { None };
        let op = Op::Loop { kind, range: Box::new(range.op), condition, body: Box::new(body.op) };
        Ok(Typed { decimal, path, ..Typed::plain(op) })
    }

    fn index(&self, parts: Vec<Typed>) -> Typed {
        let mut parts = parts.into_iter();
        let (Some(operand), Some(index)) = (parts.next(), parts.next()) else {
            return Typed::plain(Op::Lit(Lit::Null));
        };
        if let Op::Lit(Lit::Text(name)) = &index.op {
            return self.field(operand, name);
        }
        let inner = operand.decimal;
        let path = operand.path.map(|mut path| {
            path.push(crate::schema::ITEMS.to_owned());
            path
        });
        let mut typed = self.at_path(Op::Index(Box::new(operand.op), Box::new(index.op)), path);
        typed.decimal |= inner;
        typed
    }

    fn compare(
        &mut self,
        ast: &IdedExpr,
        relation: Relation,
        parts: Vec<Typed>,
    ) -> Result<Typed, ExprProblem> {
        let exact = parts.iter().any(|part| part.decimal);
        let mut sides = Vec::with_capacity(2);
        for part in parts {
            sides.push(if exact { self.exact(ast, part)? } else { part.op });
        }
        let (Some(right), Some(left)) = (sides.pop(), sides.pop()) else {
            return Err(self.problem(ast, "a comparison needs two sides", None));
        };
        let op = Op::Compare { relation, left: Box::new(left), right: Box::new(right), exact };
        Ok(Typed::plain(op))
    }

    /// One side of a comparison with a decimal.
    fn exact(&self, ast: &IdedExpr, part: Typed) -> Result<Op, ExprProblem> {
        if let Op::Lit(Lit::Text(text)) = &part.op {
            return match Decimal::parse(text) {
                Ok(value) => Ok(Op::Lit(Lit::Decimal(value))),
                Err(_) => Err(self.problem(
                    ast,
                    format!("a decimal is compared with {text:?}, which is no decimal"),
                    None,
                )),
            };
        }
        if part.no_number() || matches!(part.op, Op::List(_)) {
            let hint = "compare it with a decimal path, a number or a decimal text";
            return Err(self.problem(
                ast,
                "a decimal is compared with something that is not a number",
                Some(hint),
            ));
        }
        Ok(if part.decimal { Op::AsDecimal(Box::new(part.op)) } else { part.op })
    }

    fn contained(&mut self, ast: &IdedExpr, parts: Vec<Typed>) -> Result<Typed, ExprProblem> {
        let mut parts = parts.into_iter();
        let (Some(left), Some(right)) = (parts.next(), parts.next()) else {
            return Err(self.problem(ast, "`in` needs two sides", None));
        };
        if !left.decimal && !right.decimal {
            return Ok(Typed::plain(Op::In(Box::new(left.op), Box::new(right.op))));
        }
        let Op::List(items) = right.op else {
            return Err(self.problem(
                ast,
                "a decimal is looked for in something that is not a list of literals",
                Some(ARITHMETIC_HINT),
            ));
        };
        let items: Result<Vec<Op>, _> =
            items.into_iter().map(|item| self.exact(ast, Typed::plain(item))).collect();
        let left = self.exact(ast, left)?;
        Ok(Typed::plain(Op::In(Box::new(left), Box::new(Op::List(items?)))))
    }
}

/// The operations of exactly `N` parts.
fn ops<const N: usize>(parts: Vec<Typed>) -> [Box<Op>; N] {
    let mut parts = parts.into_iter();
    std::array::from_fn(|_| Box::new(parts.next().map_or(Op::Lit(Lit::Null), |part| part.op)))
}

fn number_lit(text: &str) -> Lit {
    Decimal::parse(text).map_or_else(|_| Lit::Number(text.into()), Lit::Decimal)
}

fn relation(name: &str) -> Option<Relation> {
    Some(match name {
        operators::EQUALS => Relation::Equal,
        operators::NOT_EQUALS => Relation::Different,
        operators::LESS => Relation::Less,
        operators::LESS_EQUALS => Relation::LessOrEqual,
        operators::GREATER => Relation::Greater,
        operators::GREATER_EQUALS => Relation::GreaterOrEqual,
        _ => return None,
    })
}

/// `meta.file.line` names the fact `file.line`.
fn meta_name(ast: &IdedExpr) -> Option<String> {
    let Ast::Select(select) = &ast.expr else { return None };
    match &select.operand.expr {
        Ast::Ident(root) if root == "meta" => Some(select.field.clone()),
        _ => Some(format!("{}.{}", meta_name(&select.operand)?, select.field)),
    }
}
