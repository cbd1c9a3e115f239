//! Expressions at their boundary.

use serde_json::{Value, json};

use super::{Expr, ExprCtx, ExprEnv, ExprFailure, ExprProblem, ExprValue};
use crate::schema::{Schema, SchemaOptions};
use crate::tree::{NONE, Tree};
use crate::value::Decimal;

fn contract() -> Schema {
    let decimal = json!({"type": "string", "format": "decimal"});
    let schema = json!({
        "type": "object",
        "required": ["order", "quantity", "items"],
        "properties": {
            "order": {"type": "string"},
            "severity": {"type": "string"},
            "serials": {"type": "array", "items": {"type": "string"}},
            "count": {"type": "integer"},
            "quantity": {"type": "object", "required": ["good"], "properties": {"good": decimal, "value": decimal}},
            "scrap": {"type": "object", "required": ["value"], "properties": {"value": decimal}},
            "items": {"type": "array", "items": {
                "type": "object", "required": ["quantity"],
                "properties": {"quantity": decimal, "lot": {"type": "string"}}
            }}
        }
    });
    Schema::compile(&schema, &SchemaOptions::default()).unwrap()
}

fn compile(source: &str) -> Result<Expr, ExprProblem> {
    let schema = contract();
    Expr::compile(source, &ExprEnv { schema: Some(&schema), data: true, message: false, event: true })
}

fn eval(expr: &Expr, data: &Value) -> Result<ExprValue, ExprFailure> {
    let mut tree = Tree::new();
    let root = tree.add_serde(NONE, "", data);
    let ctx = ExprCtx { data: Some((&tree, root)), event_type: "t", source: "mes-a", ..ExprCtx::default() };
    expr.eval_value(&ctx)
}

fn data() -> Value {
    json!({
        "order": "4711", "severity": "major", "serials": ["a", "b"], "count": 2,
        "quantity": {"good": "2.0", "value": "0.3"},
        "items": [{"quantity": "0.1", "lot": "L1"}, {"quantity": "0.20", "lot": "L2"}],
        "big": {"a": 1.5, "b": 3}
    })
}

fn holds(source: &str) -> bool {
    let expr = compile(source).unwrap_or_else(|problem| panic!("{source}: {problem:?}"));
    match eval(&expr, &data()).unwrap_or_else(|failure| panic!("{source}: {failure}")) {
        ExprValue::Bool(answer) => answer,
        other => panic!("{source}: {other:?}"),
    }
}

#[test]
fn decimals_are_compared_exactly() {
    for source in [
        "size(data.serials) == data.quantity.good",
        "sum(data.items, quantity) == data.quantity.value",
        "sum(data.items.map(i, i.quantity)) == 0.3",
        "data.quantity.value == 0.30000000000000000000000000000000000000",
        "data.quantity.value != 0.3000000000000000000000000000000000001",
        "data.quantity.value < 0.3000000000000000000000000000000000001",
        "data.quantity.value > -1.5",
        "data.quantity.good == '2'",
        "data.quantity.good >= 2 && 2 >= data.quantity.good",
        "data.quantity.good > data.quantity.value",
        "data.quantity.good in ['1', 2.00]",
        "data.items.all(i, i.quantity < 0.5)",
        "data.items.exists(i, i.quantity == '0.2')",
        "data.items[1].quantity == 0.2",
        "data.items.filter(i, i.quantity > 0.15).all(i, i.lot == 'L2')",
        "data.count == data.quantity.good",
        "(data.count > 1 ? data.quantity.good : data.quantity.value) == 2",
    ] {
        assert!(holds(source), "{source}");
        assert!(compile(source).unwrap().is_native(), "{source}");
    }
}

#[test]
fn arithmetic_on_a_decimal_does_not_compile() {
    for source in [
        "data.quantity.good + data.quantity.value > 1",
        "data.quantity.good * 2 > 1",
        "-data.quantity.good < 0",
        "data.items.all(i, i.quantity % 2 == 0)",
        "data.quantity.good.startsWith('1')",
        "size(data.quantity.good) == 1",
        "data.quantity.good == 'many'",
        "data.quantity.good == data.order",
        "data.quantity.good == null",
        "double(data.quantity.good) > 1.0",
        "data.quantity.good in data.serials",
        "sum(data.items, quantity) + 1 > 2",
        "data.count + 1 > 2 && data.quantity.good > 1",
        "data.count + 1 > 2 && data.items.all(i, i.quantity == '1')",
    ] {
        assert!(compile(source).is_err(), "{source}");
    }
    let problem = compile("1 < 2 && data.quantity.good + 1 > 2").unwrap_err();
    assert!(problem.column > 9 && problem.hint.unwrap().contains("scale"));
}

#[test]
fn an_absent_field_fails_and_is_never_true_or_false() {
    let absent = json!({"order": "1", "quantity": {"good": "1"}, "items": []});
    for source in [
        "data.severity == 'major'",
        "!(data.severity == 'major')",
        "data.severity == 'x' || false",
        "data.scrap.value > 0",
    ] {
        assert!(eval(&compile(source).unwrap(), &absent).is_err(), "{source}");
    }
    for (source, answer) in [
        ("has(data.severity) && data.severity == 'major'", false),
        ("data.severity == 'major' && has(data.severity)", false),
        ("!has(data.severity) || data.severity == 'major'", true),
        ("data.severity == 'major' || true", true),
        ("has(data.severity) ? data.severity == 'x' : true", true),
        ("data.items.all(i, i.lot == 'x')", true),
    ] {
        assert_eq!(eval(&compile(source).unwrap(), &absent), Ok(ExprValue::Bool(answer)), "{source}");
    }
}

#[test]
fn optional_fields_without_a_guard_are_listed() {
    for (source, paths) in [
        ("data.severity == 'x'", vec!["severity"]),
        ("data.order == 'x' && data.quantity.good > 1", vec![]),
        ("has(data.severity) && data.severity == 'x'", vec![]),
        ("data.severity == 'x' && has(data.severity)", vec![]),
        ("has(data.severity) || data.severity == 'x'", vec!["severity"]),
        ("!has(data.severity) || data.severity == 'x'", vec![]),
        ("has(data.severity) ? data.severity == 'x' : data.count > 1", vec!["count"]),
        ("data.scrap.value > 0", vec!["scrap"]),
        ("has(data.scrap) && data.scrap.value > 0", vec![]),
        ("has(data.scrap.value)", vec!["scrap"]),
        ("data.items.all(i, i.lot == 'x')", vec!["items.*.lot"]),
        ("data.items.all(i, has(i.lot) && i.lot == 'x')", vec![]),
        ("sum(data.items, weight) > 1", vec!["items.*.weight"]),
        ("data.count + 1 > 2", vec!["count"]),
    ] {
        assert_eq!(compile(source).unwrap().unguarded_optionals(), paths, "{source}");
    }
}

#[test]
fn what_is_not_native_runs_in_the_interpreter() {
    for source in
        ["data.count + 1 == 3", "data.order + 'x' == '4711x'", "data.serials.map(s, s + 'x')[0] == 'ax'"]
    {
        assert!(holds(source), "{source}");
        assert!(!compile(source).unwrap().is_native());
    }
    let float = compile("data.big.a + 1.0").unwrap();
    assert!(eval(&float, &data()).is_err());
}

#[test]
fn mappings_see_the_message_the_item_and_its_facts() {
    let env = ExprEnv { schema: None, data: false, message: true, event: true };
    let mut tree = Tree::new();
    let root = tree.add_serde(NONE, "", &json!({"id": "7", "n": 1.50, "list": [{"a": "x"}]}));
    let item = tree.child(root, "list").and_then(|list| tree.children(list).next());
    let ctx = ExprCtx {
        message: Some((&tree, root)),
        item: item.map(|item| (&tree, item)),
        source: "mes-a",
        meta: &[("file.line", "3")],
        ..ExprCtx::default()
    };
    let value = |source: &str| Expr::compile(source, &env).unwrap().eval_value(&ctx).unwrap();
    assert_eq!(value("message.id"), ExprValue::String("7".to_owned()));
    assert_eq!(value("message.n"), ExprValue::Decimal(Decimal::parse("1.5").unwrap()));
    assert_eq!(value("item.a"), ExprValue::String("x".to_owned()));
    assert_eq!(value("meta.file.line + '/' + source"), ExprValue::String("3/mes-a".to_owned()));
    assert_eq!(value("meta['file.line']"), ExprValue::String("3".to_owned()));
    assert_eq!(value("has(meta.http.header.x)"), ExprValue::Bool(false));
    assert_eq!(value("size(message.list)"), ExprValue::Int(1));
    assert!(Expr::compile("data.x == 1", &env).unwrap_err().hint.unwrap().contains("message"));
}

#[test]
fn limits_and_mistakes_are_problems_with_a_column() {
    let deep = format!("{}true{}", "!(".repeat(100), ")".repeat(100));
    let long = format!("data.order == '{}'", "x".repeat(5000));
    let loops = "data.items.all(a, data.items.all(b, data.items.all(c, data.items.all(d, true))))";
    for source in
        [deep.as_str(), &long, loops, "data.order ==", "orders.x == 1", "has(1)", "data.order.matches('(')"]
    {
        assert!(compile(source).is_err(), "{source}");
    }
    assert_eq!(compile("true && orders == 1").unwrap_err().column, 9);
}

#[test]
fn an_expression_cannot_run_for_ever() {
    let items: Vec<Value> = (0..1000).map(|at| json!({"quantity": at.to_string()})).collect();
    let data = json!({"order": "1", "quantity": {"good": "1"}, "items": items});
    let expr = compile("data.items.all(a, data.items.all(b, a.quantity >= 0 || b.quantity >= 0))").unwrap();
    assert!(eval(&expr, &data).unwrap_err().message.contains("steps"));
}

fn untyped(source: &str) -> Result<Expr, ExprProblem> {
    Expr::compile(source, &ExprEnv { schema: None, data: true, message: false, event: true })
}

/// What the interpreter says, which checks no types before it runs.
fn interpreted(source: &str, data: &Value) -> Result<ExprValue, ()> {
    let foreign = super::foreign::Foreign::new(source, &super::op::Op::List(Vec::new())).unwrap();
    let mut tree = Tree::new();
    let root = tree.add_serde(NONE, "", data);
    let ctx = ExprCtx { data: Some((&tree, root)), event_type: "t", source: "s", ..ExprCtx::default() };
    foreign.eval(&ctx).map_err(|_| ())
}

/// What both evaluators say about an expression that is native.
fn both(source: &str, data: &Value) -> (Result<ExprValue, ()>, Result<ExprValue, ()>) {
    let native = untyped(source).unwrap_or_else(|problem| panic!("{source}: {problem:?}"));
    assert!(native.is_native(), "{source}");
    (eval(&native, data).map_err(|_| ()), interpreted(source, data))
}

mod differential {
    use proptest::prelude::*;

    use super::*;

    fn atom() -> impl Strategy<Value = String> {
        prop::sample::select(vec![
            "data.a",
            "data.b",
            "data.s",
            "data.t",
            "data.n",
            "data.l",
            "data.o.x",
            "data.o.y",
            "data.missing",
            "1",
            "2",
            "-3",
            "'x'",
            "'xy'",
            "true",
            "false",
            "null",
            "[1, 2]",
            "['x', 'z']",
            "data.l[0]",
            "data.l[5]",
            "data['a']",
        ])
        .prop_map(str::to_owned)
    }

    fn condition() -> impl Strategy<Value = String> {
        let relation = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
        let leaf = prop_oneof![
            (atom(), relation, atom())
                .prop_map(|(left, relation, right)| format!("({left} {relation} {right})")),
            (atom(), atom()).prop_map(|(left, right)| format!("({left} in {right})")),
            prop::sample::select(vec![
                "has(data.a)",
                "has(data.missing)",
                "has(data.o.x)",
                "has(data.o.z)",
                "has(data.missing.x)",
                "data.s.startsWith('x')",
                "data.t.endsWith('y')",
                "data.s.contains(data.t)",
                "data.s.matches('^x+$')",
                "size(data.l) == 2",
                "size(data.s) > 1",
                "data.l.all(i, i > 0)",
                "data.l.exists(i, i == 2)",
                "data.l.exists_one(i, i < 3)",
                "data.l.filter(i, i > 1) == [2]",
                "data.l.map(i, i > 1) == [false, true]",
                "data.l.all(i, i > data.missing)",
                "data.l.exists(i, i == data.missing)",
                "true",
                "false",
            ])
            .prop_map(str::to_owned),
        ];
        // What the types refuse is tested on its own.
        let leaf = leaf.prop_filter("types that meet", |source| untyped(source).is_ok());
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left} && {right})")),
                (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left} || {right})")),
                inner.clone().prop_map(|inner| format!("!({inner})")),
                (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            ]
        })
    }

    fn value() -> impl Strategy<Value = Value> {
        prop::sample::select(vec![
            json!(1),
            json!(2),
            json!(-3),
            json!(2.0),
            json!(1.5),
            json!("x"),
            json!("xy"),
            json!(true),
            json!(null),
            json!([1, 2]),
            json!({"x": 1}),
        ])
    }

    const OPERATORS: &[&str] = &[
        "L == R",
        "L != R",
        "L < R",
        "L >= R",
        "L in R",
        "L && R",
        "!(L)",
        "L ? 1 : 2",
        "L + R",
        "L - R",
        "L % R",
        "-(L)",
        "size(L)",
        "L[R]",
        "(L).contains(R)",
        "matches(L, R)",
        "int(L)",
        "string(L)",
        "bool(L)",
        "double(L)",
        "L.all(x, x == R)",
        "L.all(x, R)",
        "L.filter(x, R)",
        "has(L.x)",
        "L.x",
        "[L, R].exists(x, x)",
        "L in [R]",
        "[L].map(x, x)[0] == R",
        "(true ? L : R) + 1",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn native_and_interpreted_expressions_agree(
            source in condition(), a in value(), b in value(), s in prop::sample::select(vec!["x", "xx", "xy", ""]), x in value(),
        ) {
            let data = json!({"a": a, "b": b, "s": s, "t": "xy", "n": null, "l": [1, 2], "o": {"x": x, "y": "x"}});
            let (native, foreign) = both(&source, &data);
            prop_assert_eq!(native, foreign, "{} over {}", source, data);
        }

        #[test]
        fn what_the_types_refuse_says_the_same_of_every_event(
            left in atom(), right in atom(), at in 0_usize..OPERATORS.len(), a in value(), b in value(),
            c in value(), d in value(),
        ) {
            let source = OPERATORS[at].replace('L', &left).replace('R', &right);
            let Err(problem) = untyped(&source) else { return Ok(()) };
            prop_assert!(problem.hint.is_some() && problem.column >= 1, "{} {:?}", source, problem);
            let data = |a: Value, x: Value| json!({"a": a, "b": x.clone(), "s": "xy", "t": "xy", "n": null, "l": [1, 2], "o": {"x": x, "y": "x"}});
            prop_assert_eq!(interpreted(&source, &data(a, b)), interpreted(&source, &data(c, d)), "{} {:?}", source, problem);
        }
    }
}
