//! From CEL source to operations, with the types of decimals checked.

mod calls;
mod kinds;
mod types;

use cel::common::ast::{EntryExpr, Expr as Ast, IdedExpr, LiteralValue, MapExpr, SourceInfo};
use cel::{Env, ParseErrors};

use super::op::{Lit, Op, Root};
use super::{DEPTH_MAX, ExprEnv, ExprProblem, SOURCE_BYTES_MAX};
use crate::schema::{ITEMS, PropertyInfo};
use crate::value::Decimal;
use kinds::{Kinds, Type};

/// The result of a compilation.
pub(crate) struct Compiled {
    pub(crate) op: Op,
    /// Whether a part of it needs the `cel` crate.
    pub(crate) foreign: bool,
}

/// Compiles an expression, one that may be true or false if it is a `condition`.
pub(crate) fn compile(source: &str, env: &ExprEnv<'_>, condition: bool) -> Result<Compiled, ExprProblem> {
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
    if condition {
        compiler.whole_condition(&ast, &typed)?;
    }
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
    ty: Type,
}

impl Typed {
    fn plain(op: Op) -> Self {
        let kinds = if let Op::Lit(lit) = &op { Kinds::of_literal(lit) } else { Kinds::ANY };
        Self::of(op, Type::of(kinds))
    }

    fn of(op: Op, ty: Type) -> Self {
        Self { op, path: None, info: None, decimal: false, ty }
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
    /// Variables of the loops, outermost first, with the path of their items and what these are.
    locals: Vec<(String, Option<Vec<String>>, Type)>,
    foreign: bool,
}

const ARITHMETIC_HINT: &str =
    "use `scale` or `unit` in the mapping; rules may compare decimals and use sum(list, field)";

impl Compiler<'_> {
    fn problem(&self, at: &IdedExpr, message: impl Into<String>, hint: Option<&str>) -> ExprProblem {
        ExprProblem { column: self.column(at), message: message.into(), hint: hint.map(str::to_owned) }
    }

    /// Where a reader finds the expression: at its first character, not at its operator.
    fn column(&self, at: &IdedExpr) -> u32 {
        let own = self.info.offset_for(at.id).map_or(1, |(start, _)| start + 1);
        match &at.expr {
            Ast::Select(select) => self.column(&select.operand),
            Ast::Call(call) => match (call.target.as_deref(), call.args.first()) {
                (Some(target), _) => self.column(target),
                (None, Some(left)) if call.func_name.starts_with(['_', '@']) => self.column(left),
                // The parser says where the bracket of a call is.
                (None, _) if call.func_name.starts_with(char::is_alphabetic) => {
                    own.saturating_sub(u32::try_from(call.func_name.chars().count()).unwrap_or(0)).max(1)
                }
                _ => own,
            },
            _ => own,
        }
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
                    self.root(ast, Root::Meta)?;
                    return Ok(Typed::of(Op::Meta(name.into()), Type::of(Kinds::TEXT)));
                }
                let operand = self.expr(&select.operand, depth + 1)?;
                self.need(&format!(".{}", select.field), &select.operand, &operand, Kinds::OBJECT)?;
                Ok(self.field(operand, &select.field))
            }
            Ast::List(list) => {
                let items = list.elements.iter().map(|item| self.expr(item, depth + 1));
                let items = items.collect::<Result<Vec<_>, _>>()?;
                let decimal = items.iter().any(|item| item.decimal);
                let kinds = items.iter().map(|item| item.ty.kinds).reduce(Kinds::or);
                let op = Op::List(items.into_iter().map(|item| item.op).collect());
                Ok(Typed { decimal, ..Typed::of(op, Type::list(kinds.unwrap_or(Kinds::ANY))) })
            }
            Ast::Call(call) => self.call(ast, call, depth + 1),
            Ast::Map(map) => self.map(ast, map, depth + 1),
            _ => Err(self.problem(ast, "messages of CEL are not supported", Some("write a map: {\"a\": 1}"))),
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
            LiteralValue::UInt(value) => {
                let op = Op::Lit(number_lit(&value.inner().to_string()));
                return Ok(Typed::of(op, Type::of(Kinds::NUMBER)));
            }
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
            Root::Meta => (self.env.message && self.env.event, "meta"),
            Root::Type => (self.env.event, "type"),
            Root::Source => (self.env.event, "source"),
        };
        if !there {
            return Err(self.problem(ast, format!("{name} does not exist here"), Some(&self.known())));
        }
        let path = (root == Root::Data).then(Vec::new);
        let kinds = match root {
            Root::Data => Kinds::OBJECT,
            Root::Type | Root::Source => Kinds::TEXT,
            _ => Kinds::ANY,
        };
        Ok(Typed { path, ..Typed::of(Op::Root(root), Type::of(kinds)) })
    }

    fn known(&self) -> String {
        let mut names = if self.env.event { vec!["type", "source"] } else { Vec::new() };
        if self.env.data {
            names.push("data");
        }
        if self.env.message {
            names.extend(["message", "item"]);
            names.extend(self.env.event.then_some("meta"));
        }
        format!("known variables are {}", names.join(", "))
    }

    fn ident(&self, ast: &IdedExpr, name: &str) -> Result<Typed, ExprProblem> {
        if let Some(at) = self.locals.iter().rposition(|(local, ..)| local == name) {
            let (path, ty) = match self.locals.get(at) {
                Some((_, path, ty)) => (path.clone(), *ty),
                None => (None, Type::ANY),
            };
            return Ok(self.at_path(Op::Local(at), path, ty));
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

    /// What stands at a path of the data; `ty` is what is known of it where the contract says nothing.
    fn at_path(&self, op: Op, path: Option<Vec<String>>, ty: Type) -> Typed {
        let mut steps: Vec<&str> = path.iter().flatten().map(String::as_str).collect();
        let schema = self.env.schema.filter(|_| path.is_some());
        let info = schema.and_then(|schema| schema.property(&steps));
        let decimal = info.as_ref().is_some_and(|info| info.format_decimal);
        let ty = info.as_ref().map_or(ty, |info| {
            steps.push(ITEMS);
            let items = schema.filter(|_| info.items).and_then(|schema| schema.property(&steps));
            let items = items.as_ref().map_or(Kinds::ANY, Kinds::of_property);
            Type { kinds: Kinds::of_property(info), items }
        });
        Typed { op, path, info, decimal, ty }
    }

    fn field(&self, operand: Typed, name: &str) -> Typed {
        let path = operand.path.map(|mut path| {
            path.push(name.to_owned());
            path
        });
        self.at_path(Op::Field(Box::new(operand.op), name.into()), path, Type::ANY)
    }

    fn map(&mut self, ast: &IdedExpr, map: &MapExpr, depth: usize) -> Result<Typed, ExprProblem> {
        let mut parts = Vec::new();
        for entry in &map.entries {
            if let EntryExpr::MapEntry(entry) = &entry.expr {
                parts.push(self.expr(&entry.key, depth)?);
                parts.push(self.expr(&entry.value, depth)?);
            }
        }
        let typed = self.foreign(ast, parts)?;
        Ok(Typed { ty: Type::of(Kinds::OBJECT), ..typed })
    }

    /// What only the `cel` crate evaluates; its parts must not be decimals.
    fn foreign(&mut self, ast: &IdedExpr, parts: Vec<Typed>) -> Result<Typed, ExprProblem> {
        if parts.iter().any(|part| part.decimal) {
            return Err(self.problem(ast, "a decimal can only be compared", Some(ARITHMETIC_HINT)));
        }
        self.foreign = true;
        Ok(Typed::plain(Op::Foreign(parts.into_iter().map(|part| part.op).collect())))
    }
}

fn number_lit(text: &str) -> Lit {
    Decimal::parse(text).map_or_else(|_| Lit::Number(text.into()), Lit::Decimal)
}

/// `meta.file.line` names the fact `file.line`.
fn meta_name(ast: &IdedExpr) -> Option<String> {
    let Ast::Select(select) = &ast.expr else { return None };
    match &select.operand.expr {
        Ast::Ident(root) if root == "meta" => Some(select.field.clone()),
        _ => Some(format!("{}.{}", meta_name(&select.operand)?, select.field)),
    }
}
