//! Operators, functions and loops.

use cel::common::ast::{CallExpr, Expr as Ast, IdedExpr, LiteralValue, operators};

use super::super::op::{Lit, Loop, Op, Relation, Root, TextTest};
use super::super::{ExprProblem, MACRO_DEPTH_MAX};
use super::kinds::{Kinds, Type};
use super::{ARITHMETIC_HINT, Compiler, Typed, meta_name};
use crate::schema::{ITEMS, pattern};
use crate::value::Decimal;

pub(super) const EXISTS_HINT: &str = "use data.list.exists(item, item == …)";

impl Compiler<'_> {
    pub(super) fn call(
        &mut self,
        ast: &IdedExpr,
        call: &CallExpr,
        depth: usize,
    ) -> Result<Typed, ExprProblem> {
        if let Some(typed) = self.special(ast, call, depth)? {
            return Ok(typed);
        }
        let mut parts = Vec::with_capacity(call.args.len() + 1);
        for part in call.target.as_deref().into_iter().chain(&call.args) {
            parts.push(self.expr(part, depth)?);
        }
        let ty = self.check(ast, call, &parts)?;
        let typed = self.operation(ast, call, parts, ty)?;
        // What the contract says of a field is more than what is known of its list.
        let known = typed.info.is_some();
        Ok(if known { typed } else { Typed { ty, ..typed } })
    }

    fn operation(
        &mut self,
        ast: &IdedExpr,
        call: &CallExpr,
        parts: Vec<Typed>,
        ty: Type,
    ) -> Result<Typed, ExprProblem> {
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
            return Ok(self.index(parts, ty));
        }
        if parts.iter().any(|part| part.decimal && !matches!(part.op, Op::List(_))) {
            let what = if arithmetic {
                "arithmetic on a decimal".to_owned()
            } else {
                format!("{name} of a decimal")
            };
            return Err(self.problem(ast, format!("{what} is not possible"), Some(ARITHMETIC_HINT)));
        }
        self.plain_call(ast, call, parts)
    }

    /// Calls that give no decimal and take none.
    fn plain_call(
        &mut self,
        ast: &IdedExpr,
        call: &CallExpr,
        parts: Vec<Typed>,
    ) -> Result<Typed, ExprProblem> {
        let name = call.func_name.as_str();
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
                self.need("matches", ast, &text, Kinds::TEXT)?;
                Ok(Some(Typed::of(Op::Matches(Box::new(text.op), pattern), Type::of(Kinds::BOOL))))
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
            ) if root == "meta" && self.locals.iter().all(|(local, ..)| local != "meta") => {
                self.root(ast, Root::Meta)?;
                Ok(Some(Typed::of(Op::Meta(key.inner().into()), Type::of(Kinds::TEXT))))
            }
            _ => Ok(None),
        }
    }

    fn has(&mut self, arg: &IdedExpr, depth: usize) -> Result<Typed, ExprProblem> {
        if let Some(name) = meta_name(arg) {
            self.root(arg, Root::Meta)?;
            return Ok(Typed::of(Op::HasMeta(name.into()), Type::of(Kinds::BOOL)));
        }
        let Ast::Select(select) = &arg.expr else {
            return Err(self.problem(arg, "has() needs a field", Some("write has(data.field)")));
        };
        let operand = self.expr(&select.operand, depth)?;
        self.need("has", &select.operand, &operand, Kinds::OBJECT)?;
        let op = Op::Has(Box::new(operand.op), select.field.as_str().into());
        Ok(Typed::of(op, Type::of(Kinds::BOOL)))
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
        self.need("sum", ast, &list, Kinds::LIST)?;
        let op = Op::Sum(Box::new(list.op), steps);
        Ok(Typed { decimal: true, ..Typed::of(op, Type::of(Kinds::DECIMAL)) })
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
        let typed = self.expr(range, depth)?;
        self.need(name, range, &typed, Kinds::LIST.or(Kinds::OBJECT))?;
        let range = typed;
        // A loop over an object is one over the names of its fields.
        let names = range.ty.kinds.within(Kinds::OBJECT);
        let item = if names { Type::of(Kinds::TEXT) } else { range.ty.item() };
        let path = range.path.clone().filter(|_| !names).map(|mut path| {
            path.push(ITEMS.to_owned());
            path
        });
        self.locals.push((variable.clone(), path, item));
        let parts = rest.iter().map(|part| self.expr(part, depth)).collect::<Result<Vec<_>, _>>();
        self.locals.pop();
        let mut parts = parts?;
        // All but the body of `map` are conditions.
        let conditions = if name == "map" { rest.len() - 1 } else { rest.len() };
        for (at, part) in rest.iter().zip(&parts).take(conditions) {
            self.condition(name, at, part)?;
        }
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
        let ty = match kind {
            Loop::Map => Type::list(body.ty.kinds),
            Loop::Filter => Type::list(item.kinds),
            _ => Type::of(Kinds::BOOL),
        };
        let op = Op::Loop { kind, range: Box::new(range.op), condition, body: Box::new(body.op) };
        Ok(Typed { path, decimal, ..Typed::of(op, ty) })
    }

    fn index(&self, parts: Vec<Typed>, ty: Type) -> Typed {
        let mut parts = parts.into_iter();
        let (Some(operand), Some(index)) = (parts.next(), parts.next()) else {
            return Typed::plain(Op::Lit(Lit::Null));
        };
        if let Op::Lit(Lit::Text(name)) = &index.op {
            return self.field(operand, name);
        }
        let inner = operand.decimal;
        let path = operand.path.map(|mut path| {
            path.push(ITEMS.to_owned());
            path
        });
        let mut typed = self.at_path(Op::Index(Box::new(operand.op), Box::new(index.op)), path, ty);
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
        let items_are_decimals = right.path.as_ref().is_some_and(|path| {
            let steps = path.iter().map(String::as_str).chain([ITEMS]).collect::<Vec<_>>();
            self.env.schema.and_then(|schema| schema.property(&steps)).is_some_and(|info| info.format_decimal)
        });
        if !left.decimal && !right.decimal && !items_are_decimals {
            return Ok(Typed::plain(Op::In(Box::new(left.op), Box::new(right.op))));
        }
        let items = match right.op {
            Op::List(items) if items.iter().all(|item| matches!(item, Op::Lit(_))) => items,
            _ => {
                let message = "a decimal is looked for in something that is not a list of literals";
                return Err(self.problem(ast, message, Some(EXISTS_HINT)));
            }
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

pub(super) fn relation(name: &str) -> Option<Relation> {
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
