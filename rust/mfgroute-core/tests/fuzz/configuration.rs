//! What people write: YAML, paths, expressions, schemas.

use std::sync::LazyLock;

use mfgroute_core::decode::Limits;
use mfgroute_core::decode::json::JsonDecoder;
use mfgroute_core::expr::{Expr, ExprCtx, ExprEnv, ExprProblem};
use mfgroute_core::path::{Path, Scopes};
use mfgroute_core::problem::Problems;
use mfgroute_core::schema::{Schema, SchemaOptions};
use mfgroute_core::tree::Tree;
use mfgroute_core::yaml;
use serde_json::{Value, json};

use crate::drive::Print;
use crate::print;

/// A file that cannot be read says why; every value and every problem has a place in the text; and what was read is
/// read again from JSON.
pub(crate) fn yaml(bytes: &[u8]) -> Print {
    let read = |bytes: &[u8]| {
        let mut variables = |name: &str| (!name.is_empty()).then(|| format!("<{name}>"));
        let mut problems = Problems::default();
        let node = yaml::parse(bytes, "f.yaml", Some(&mut variables), &mut problems);
        (node, problems.0)
    };
    let (node, problems) = read(bytes);
    let text = String::from_utf8_lossy(bytes);
    let lines = text.split(['\n', '\r']).count() as u32;
    for problem in &problems {
        let place = problem.place;
        assert!((1..=lines + 1).contains(&place.line) && place.column >= 1, "{problem:?} in {lines} lines");
    }
    let Some(node) = node else {
        assert!(!problems.is_empty(), "nothing was read, and nobody says why");
        return print("unread", problems.len());
    };
    let value = node.to_serde();
    let (places, replaced) = node.places();
    for (pointer, place) in &places {
        assert!(
            (1..=lines + 1).contains(&place.line) && place.column >= 1,
            "{pointer} {place:?} in {lines} lines"
        );
    }
    for pointer in replaced.iter().chain(places.keys().filter(|pointer| !pointer.contains("#key"))) {
        assert!(value.pointer(pointer).is_some(), "{pointer} in {value}");
    }
    if problems.is_empty() && replaced.is_empty() && !text.contains("${") {
        let written = value.to_string();
        let (again, problems) = read(written.as_bytes());
        assert_eq!(again.map(|node| node.to_serde()), Some(value), "{written} {problems:?}");
    }
    print(&format!("{}", problems.len()), places.len())
}

fn tree(value: &Value) -> Tree {
    let mut tree = Tree::new();
    JsonDecoder::new(Limits::default()).decode(value.to_string().as_bytes(), &mut tree).unwrap();
    tree
}

static SAMPLES: LazyLock<Vec<Tree>> = LazyLock::new(|| {
    let full = json!({
        "a": {"b": [{"c": 1, "d": "x"}, {"c": 2.5, "d": "y"}, null], "@k": "v", "#text": "t"}, "b": [1, 2, [3]], "c": "x",
        "id": "4711", "n": "1.50", "qty": {"good": "12.5", "unit": "KGM"}, "ok": true, "": {"": 0}, "list": ["p", "q"], "ä.ö": 1,
    });
    [full, json!({}), json!([[1], {"a": "1"}]), json!(null), json!("x"), json!(17)].iter().map(tree).collect()
});

/// A path that is read prints as a path that is read the same; finding it in a tree gives nodes of that tree.
pub(crate) fn path(bytes: &[u8]) -> Print {
    let Ok(text) = std::str::from_utf8(bytes) else { return print("bytes", 0) };
    match Path::parse(text) {
        Err(error) => {
            assert!((1..=text.chars().count() + 1).contains(&error.column), "{error}");
            print("refused", error.column)
        }
        Ok(path) => {
            let printed = path.to_string();
            if printed.len() <= 1024 {
                assert_eq!(Path::parse(&printed).as_ref(), Ok(&path), "{printed}");
            }
            let mut count = 0;
            for tree in SAMPLES.iter() {
                let (mut found, mut many) = (Vec::new(), Vec::new());
                path.find(tree, &Scopes::root(0), &mut found);
                path.find_many(tree, &Scopes::root(0), &mut many);
                assert!(found.iter().chain(&many).all(|&node| (node as usize) < tree.len()));
                count += found.len();
            }
            print("ok", count * 8 + usize::from(path.names_many()))
        }
    }
}

static CONTRACT: LazyLock<Schema> = LazyLock::new(|| {
    let decimal = json!({"type": "string", "format": "decimal"});
    let schema = json!({
        "type": "object", "required": ["id", "qty"],
        "properties": {
            "id": {"type": "string"}, "n": decimal, "ok": {"type": "boolean"}, "list": {"type": "array", "items": {"type": "string"}},
            "qty": {"type": "object", "required": ["good"], "properties": {"good": decimal, "unit": {"type": "string"}}},
        },
    });
    Schema::compile(&schema, &SchemaOptions::default()).unwrap()
});

/// An expression compiles or is refused at a column of it; what compiles has one answer for a tree, whoever asks.
pub(crate) fn expression(bytes: &[u8]) -> Print {
    let Ok(text) = std::str::from_utf8(bytes) else { return print("bytes", 0) };
    let mut seen = Print(0);
    let route = ExprEnv { schema: Some(&CONTRACT), data: true, event: true, message: false };
    let mapping = ExprEnv { schema: None, data: false, event: true, message: true };
    for env in [route, mapping] {
        let found = Expr::compile(text, &env);
        let condition = Expr::compile_condition(text, &env);
        let what = match (&found, &condition) {
            (Err(problem), _) => {
                refused(problem, text);
                assert!(condition.is_err(), "a condition that is no expression");
                "refused"
            }
            (Ok(expression), condition) => {
                if let Err(problem) = condition {
                    refused(problem, text);
                }
                for tree in SAMPLES.iter() {
                    let root = Some((tree, 0));
                    let meta = [("file.name", "a.csv"), ("file.line", "3")];
                    let mut ctx =
                        ExprCtx { event_type: "shop.cut/1", source: "s", meta: &meta, ..ExprCtx::default() };
                    if env.data {
                        ctx.data = root;
                    } else {
                        (ctx.message, ctx.item) = (root, root);
                    }
                    let value = expression.eval_value(&ctx);
                    assert_eq!(value, expression.eval_value(&ctx));
                    let answer = expression.eval_bool(&ctx);
                    let same = match (&value, &answer) {
                        (Ok(mfgroute_core::expr::ExprValue::Bool(value)), Ok(answer)) => value == answer,
                        (_, Ok(_)) => false,
                        (_, Err(_)) => true,
                    };
                    assert!(same, "{value:?} {answer:?}");
                }
                if expression.is_native() { "native" } else { "foreign" }
            }
        };
        seen.0 = seen.0.rotate_left(9) ^ print(what, text.len()).0;
    }
    seen
}

fn refused(problem: &ExprProblem, text: &str) {
    assert!((1..=text.chars().count() + 1).contains(&(problem.column as usize)), "{problem:?} in {text:?}");
    assert!(!problem.message.is_empty());
}

/// Whatever a schema is, it compiles or says where it is wrong; a value is valid or not however many reasons are
/// asked for.
pub(crate) fn schema(bytes: &[u8]) -> Print {
    let Ok(document) = serde_json::from_slice::<Value>(bytes) else { return print("no JSON", 0) };
    match Schema::compile(&document, &SchemaOptions::default()) {
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in &problems {
                // Behind a reference it goes on in what that names.
                let here = problem.pointer.split("/$ref/").next().unwrap_or_default();
                let known = document.pointer(here).is_some();
                assert!(known && !problem.message.is_empty(), "{problem:?}");
            }
            print("refused", problems.len())
        }
        Ok(schema) => {
            let verdicts: String =
                SAMPLES.iter().map(|tree| if verdict(&schema, tree) { '1' } else { '0' }).collect();
            print(&verdicts, usize::from(schema.runs_compiled()))
        }
    }
}

/// Whether a tree is valid, asked twice; every violation is at a value of the tree.
fn verdict(schema: &Schema, tree: &Tree) -> bool {
    let (mut one, mut many) = (Vec::new(), Vec::new());
    let valid = schema.validate(tree, 0, 1, &mut one);
    assert_eq!(valid, schema.validate(tree, 0, 50, &mut many));
    assert_eq!(valid, many.is_empty());
    assert!(one.len() == many.len().min(1), "{one:?} {many:?}");
    for violation in &many {
        assert!((violation.node as usize) < tree.len());
        assert!(violation.member.is_some() || violation.pointer(tree) == tree.pointer(violation.node));
    }
    valid
}

static BOTH: LazyLock<[Schema; 2]> = LazyLock::new(|| {
    let text = json!({"type": "string", "minLength": 1, "maxLength": 5, "pattern": "^[a-zé]"});
    let mut schema = json!({
        "type": ["object", "array"], "required": ["a"], "maxProperties": 6,
        "properties": {
            "a": text, "b": {"type": "integer", "minimum": -3, "exclusiveMaximum": 1e3}, "c": {"enum": [1, "1", null, [1.0], {"x": 0.10}]},
            "d": {"type": "number", "multipleOf": 0.25}, "e": {"type": "array", "items": text, "minItems": 1, "uniqueItems": true},
            "f": {"const": 1.0}, "g": {"anyOf": [{"type": "boolean"}, {"$ref": "#/properties/b"}]}, "h": {"$ref": "#"},
        },
        "patternProperties": {"^x": {"type": "null"}}, "additionalProperties": {"not": {"type": "string"}},
    });
    let compiled = Schema::compile(&schema, &SchemaOptions::default()).unwrap();
    // Says nothing, and is left to the general validator.
    schema["unevaluatedProperties"] = json!(true);
    let general = Schema::compile(&schema, &SchemaOptions::default()).unwrap();
    assert!(compiled.runs_compiled() && !general.runs_compiled());
    [compiled, general]
});

/// The compiled validator and the general one agree about any message.
pub(crate) fn payload(bytes: &[u8]) -> Print {
    let mut tree = Tree::new();
    if let Err(reject) = JsonDecoder::new(Limits::default()).decode(bytes, &mut tree) {
        return print(reject.code.as_str(), 0);
    }
    let [compiled, general] = &*BOTH;
    let valid = verdict(compiled, &tree);
    assert_eq!(valid, verdict(general, &tree), "{}", tree.json(0));
    let mut found = Vec::new();
    compiled.validate(&tree, 0, 50, &mut found);
    print(&found.iter().map(|one| one.keyword).collect::<Vec<_>>().join(" "), tree.len())
}
