//! Types of expressions: what is refused, where, and what is not known well enough to be.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panic")]

use serde_json::json;

use super::{Expr, ExprEnv, ExprProblem};
use crate::schema::{Schema, SchemaOptions};

fn contract() -> Schema {
    let decimal = json!({"type": "string", "format": "decimal"});
    let schema = json!({
        "type": "object",
        "required": ["id", "k", "n", "flag", "q", "level", "at", "note", "list", "sub", "any", "either"],
        "properties": {
            "id": {"type": "string"},
            "k": {"type": "integer"},
            "n": {"type": "number"},
            "flag": {"type": "boolean"},
            "q": decimal,
            "level": {"type": "string", "enum": ["minor", "major"]},
            "one": {"const": "only"},
            "at": {"type": "string", "format": "date-time"},
            "note": {"type": ["string", "null"]},
            "either": {"type": ["integer", "string"]},
            "list": {"type": "array", "items": {"type": "integer"}},
            "names": {"type": "array", "items": {"type": "string"}},
            "amounts": {"type": "array", "items": decimal},
            "things": {"type": "array", "items": {
                "type": "object", "required": ["q", "lot"], "properties": {"q": decimal, "lot": {"type": "string"}}
            }},
            "sub": {"$ref": "#/$defs/sub"},
            "any": {},
            "never": {"allOf": [{"type": "string"}, {"type": "integer"}]}
        },
        "$defs": {"sub": {"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}}}}
    });
    Schema::compile(&schema, &SchemaOptions::default()).unwrap()
}

fn condition(source: &str) -> Result<Expr, ExprProblem> {
    let schema = contract();
    Expr::compile_condition(
        source,
        &ExprEnv { schema: Some(&schema), data: true, message: false, event: true },
    )
}

/// The condition, the character that the problem names (`^`), and a word of message or hint.
fn refused(rows: &[(&str, &str)]) {
    for (marked, word) in rows {
        let source = marked.replacen('^', "", 1);
        let problem = condition(&source).err().unwrap_or_else(|| panic!("{source} compiles"));
        let column = marked.chars().position(|c| c == '^').unwrap() + 1;
        assert_eq!(problem.column as usize, column, "{source}: {problem:?}");
        let hint = problem.hint.clone().unwrap_or_else(|| panic!("{source}: {problem:?}"));
        assert!(format!("{} {hint}", problem.message).contains(word), "{source}: {problem:?}");
    }
}

#[test]
fn a_condition_that_is_never_a_bool_is_refused() {
    refused(&[
        ("^data.k", "compare it: data.k > 0"),
        ("^data.q", "a decimal"),
        ("^data.id", "data.id == "),
        ("  ^data.list", "a list"),
        ("^\"x\"", "found a text"),
        ("^1", "an integer"),
        ("^null", "null"),
        ("^[true]", "a list"),
        ("^{'a': true}", "an object"),
        ("^data", "data is an object"),
        ("^type", "a text"),
        ("^size(data.list)", "an integer"),
        ("^data.k + 1", "an integer"),
        ("^data.list.map(x, x > 1)", "a list"),
        ("data.flag && ^data.k", "data.k"),
        ("^data.k || data.flag", "data.k"),
        ("data.flag && (data.flag || ^data.sub.x)", "data.sub.x is an integer"),
        ("!^data.id", "`!` needs a bool"),
        ("^data.k ? true : false", "`?` needs a bool"),
        ("^data.flag ? 1 : 'x'", "an integer or a text"),
        ("data.list.all(x, ^x)", "`all`"),
        ("data.things.exists(t, ^t.lot)", "data.things[].lot is a text"),
        ("size(data.list.filter(x, ^x + 1)) > 0", "`filter`"),
        ("size(data.list.map(x, ^x, x)) > 0", "`map`"),
    ]);
}

#[test]
fn a_comparison_that_never_holds_is_refused() {
    refused(&[
        ("^data.k == \"3\"", "write 3 without quotes"),
        ("^data.k != '3'", "never equal"),
        ("data.flag && ^'3' == data.k", "write 3 without quotes"),
        ("^data.id == 3", "in quotes"),
        ("^data.id == 1.50", "format: decimal"),
        ("^data.flag == 'true'", "write true without quotes"),
        ("^data.flag == 1", "one type"),
        ("^data.k == null", "has()"),
        ("^null != data.id", "has()"),
        ("^data.k == [3]", "a list"),
        ("^data.sub == 'x'", "an object"),
        ("^data.at == 1700000000", "data.at is a text"),
        ("^data.k == data.id", "data.id, a text"),
        ("^data.q == type", "a decimal"),
        ("^data.q == data.list", "a list"),
        ("^size(data.id) == '1'", "without quotes"),
        ("^data.list[0] == 'x'", "data.list[] is an integer"),
        ("data.list.exists(x, ^x == '1')", "without quotes"),
        ("data.things.all(t, ^t.lot == 7)", "data.things[].lot"),
        ("^data.list.filter(x, x > 1)[0] == 'x'", "an integer"),
        ("^data.list.map(x, string(x))[0] == 1", "a text"),
        ("^data.k > 'a'", "no order"),
        ("^data.id >= 3", "no order"),
        ("^data.sub > data.sub", "no order"),
        ("^data.list < data.list", "no order"),
        ("^null < null", "no order"),
        ("^data.note > 1", "a text"),
        ("(^data.flag ? data.k : 1) == 'x'", "an integer"),
        ("^data.level == \"mjor\"", "minor, major"),
        ("^data.level != \"\"", "minor, major"),
        ("^\"MAJOR\" == data.level", "minor, major"),
        ("has(data.one) && ^data.one == 'other'", "only"),
        ("1 == 1 && ^1 == 'x'", "never equal"),
    ]);
}

#[test]
fn a_list_that_never_has_it_is_refused() {
    refused(&[
        ("data.k in [1, ^'3']", "never equal"),
        ("data.id in ['a', ^1]", "never equal"),
        ("data.id in ['a', ^null]", "null"),
        ("data.level in [\"minor\", ^\"mjor\"]", "minor, major"),
        ("^data.id in data.list", "each item is an integer"),
        ("^'x' in data.id", "contains()"),
        ("^1 in data.k", "`in` needs"),
        ("^1 in data.sub", "the name of a field"),
        ("^data.q in data.amounts", "exists"),
        ("^'1' in data.amounts", "exists"),
        ("^data.q in [data.q]", "exists"),
    ]);
}

#[test]
fn a_function_or_operator_of_another_type_is_refused() {
    refused(&[
        ("^data.k.startsWith('1')", "string(data.k)"),
        ("data.id.contains(^1)", "string(…)"),
        ("^data.k.matches('1')", "string(data.k)"),
        ("size(^data.k) > 1", "`size`"),
        ("size(^data.flag) > 1", "a bool"),
        ("^data.id.x == 1", "`.x` needs an object"),
        ("has(^data.k.x)", "`has` needs an object"),
        ("^data.list['x'] == 1", "number from 0"),
        ("^data.sub[0] == 1", "a name"),
        ("^data.k[0] == 1", "`[]`"),
        ("^data.k.all(x, true)", "`all`"),
        ("^data.id + 1 == 'a1'", "string()"),
        ("^data.k + 1.5 > 2", "int() or double()"),
        ("^data.flag + data.flag == 2", "`+` cannot take"),
        ("^data.id - 'x' == 'a'", "must be numbers"),
        ("^data.n % 2.5 == 0.5", "`%`"),
        ("int(^data.flag) == 1", "`int`"),
        ("string(^data.list) == ''", "`string`"),
        ("^nope(data.id)", "known are size"),
        ("^data.at.getFullYear() == 2026", "unknown function getFullYear"),
        ("^data.id.lowerAscii() == 'x'", "unknown function"),
    ]);
    for source in [
        "timestamp(data.at) > timestamp('2026-01-01T00:00:00Z')",
        "size(data.id, data.id) > 1",
        "startsWith(data.id, 'x')",
        "sum(data.k) > 1",
        "data.id.size('x') == 1",
        "{'a': data.q}.a == '1.5'",
        "a.b.C{x: 1} == 1",
        "data.id.orValue('x') == 'x'",
        "data.?id == 'x'",
    ] {
        assert!(condition(source).is_err(), "{source}");
    }
}

#[test]
fn what_may_hold_is_accepted() {
    for source in [
        "data.flag",
        "!data.flag || data.k > 1.5",
        "data.k == 3.0 && data.n == 3 && data.n != 1.5",
        "data.k == data.n && data.q == data.k && data.q >= data.n",
        "data.q == '1.50' && data.q in ['1', 2] && '1.5' != data.q",
        "data.note == null || data.note == 'x'",
        "data.note != 'y'",
        "data.either == 1 || data.either == 'x'",
        "data.any == 1 && data.any == 'x' && data.any.b.c == null && data.any",
        "data.any[0] == 1 && data.any['x'] && size(data.any) > 1 && data.any.all(x, x)",
        "data.unknown == 1 || data.sub.unknown == 'x'",
        "data.never == 1 || data.never == 'x'",
        "data.at > '2026-01-01'",
        "data.flag < true",
        "data.level in ['minor'] || data.level != 'major' || data.level.startsWith('ma')",
        "data.level > 'a' && data.level in data.names",
        "1 in data.list && data.k in data.list && 1.0 in data.list && !(data.id in data.names)",
        "'x' in data.sub && data.id in data.sub && data.id in []",
        "data.sub.all(name, name != 'y')",
        "data.sub['x'] == 1 && data.list[0] == 1 && data.list[data.k] > 0",
        "data.list == [1, 2] && data.sub == data.any",
        "data.list.map(x, x > 1) == [false]",
        "data.list.exists_one(x, x > 1) && data.amounts.exists(a, a == 1.5)",
        "(data.flag ? data.k : data.id) == 'x'",
        "data.k + 1 > 2 && data.k % 2 == 1 && -data.k < 0 && data.n * 1.5 > 1.0 && data.n + 1 > 0",
        "data.id + 'x' == 'ax' && data.list + [1] == [1]",
        "int(data.id) > 1 && double(data.k) + 1.5 > 2 && string(data.k) == data.id && bool(data.id)",
        "size(bytes(data.id)) == 2 && type(data.k) == type(1)",
        "uint(data.k) % 2u == 1u && dyn(data.k) == 'x'",
        "type == 'thing/1' && source.matches('^a') && data.id.matches(data.id)",
        "{'a': data.k}.a == 1 || data.id in {'a': 1}",
        "sum(data.things, q) > 1.5 && sum(data.amounts) == data.q && sum(data.list) > 1",
        "data.things.filter(t, t.q > 1).all(t, t.lot == 'x')",
    ] {
        assert!(condition(source).is_ok(), "{source}: {:?}", condition(source).err());
    }
}

#[test]
fn nothing_is_known_of_a_message() {
    let env = ExprEnv { schema: None, data: false, message: true, event: true };
    for source in
        ["message.n", "message", "item.x && message.y == 1", "message.n == '3' || item > 1", "meta.a == 'x'"]
    {
        assert!(Expr::compile_condition(source, &env).is_ok(), "{source}");
    }
    for source in ["'x'", "size(message.l)", "meta.file.line > 1", "meta['a'] == 1", "1 == '1'", "source"] {
        assert!(Expr::compile_condition(source, &env).is_err(), "{source}");
    }
    // A value need not be a bool.
    assert!(Expr::compile("size(message.l)", &env).is_ok() && Expr::compile("1 + 'x'", &env).is_err());
}
