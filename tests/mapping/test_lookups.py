"""Lookup tables: keys of several columns, nested keys, what is missing, and factors of materials."""

import pytest

from .conftest import lines, mapping

TABLES = {
    "lookups/wc.csv": "site,code,erp,name\nDE04,P7,20-P7,Press\nDE04,P8,20-P8,\nDE07,P7,30-P7,Other\n",
    "lookups/alias.csv": "old,new\n007,P7\n8,P8\n",
    "lookups/one.csv": 'k,v\na,1\nb,\n,empty\n"q,""x",quoted\nÄ,umlaut\n 5 ,spaced\n05,zero\n',
    "lookups/units.csv": "mes,rec20\nKG,KGM\nST,H87\nL,LTR\n",
    "lookups/factors.csv": "material,unit,umrez,umren\nA,KAR,24,1\nA,ST,3,7\nR,L,791,1000\nZ,L,1,0\nN,L,x,1\nD,L,0.5,2\n",
}  # fmt: skip


def run(one, fields, message, **more):
    return one(fields, message, files=TABLES, **more)


CASES = [
    ("v: {lookup: {table: one, key: [{path: k}]}}", {"k": "a"}, "1"),
    ("v: {lookup: {table: one, key: [{path: k}], take: v}}", {"k": "a"}, "1"),
    ("v: {lookup: {table: one, key: [{path: k}]}}", {"k": 'q,"x'}, "quoted"),
    ("v: {lookup: {table: one, key: [{path: k}]}}", {"k": "Ä"}, "umlaut"),
    ("v: {lookup: {table: one, key: [{path: k}]}}", {"k": "05"}, "zero"),
    ("v: {lookup: {table: one, key: [{path: k}]}}", {"k": "A"}, "!lookup_missing"),
    ("v: {lookup: {table: one, key: [{path: k}]}}", {"k": "5"}, "!lookup_missing"),
    ("v: {lookup: {table: one, key: [{path: k}], missing: reject}}", {"k": "zz"}, "!lookup_missing"),
    ("v: {lookup: {table: one, key: [{path: k}], missing: keep}}", {"k": "zz"}, "zz"),
    ("v: {lookup: {table: one, key: [{path: k}], missing: {default: d}}}", {"k": "zz"}, "d"),
    ("v: {lookup: {table: one, key: [{path: k}], missing: {default: d}}}", {"k": "a"}, "1"),
    ("v: {lookup: {table: wc, key: [{const: DE04}, {path: k}], take: erp}}", {"k": "P7"}, "20-P7"),
    ("v: {lookup: {table: wc, key: [{const: DE07}, {path: k}], take: erp}}", {"k": "P7"}, "30-P7"),
    ("v: {lookup: {table: wc, key: [{const: DE07}, {path: k}], take: erp}}", {"k": "P8"}, "!lookup_missing"),
    ("v: {lookup: {table: wc, key: [{const: DE04}, {path: k}], take: name}}", {"k": "P7"}, "Press"),
    ("v: {path: k, lookup: alias}", {"k": "007"}, "P7"),
    ("v: {path: k, lookup: alias}", {"k": "7"}, "!lookup_missing"),
    ("v: {path: k, lookup: {table: alias, missing: keep}}", {"k": "7"}, "7"),
    ("v: {path: k, lookup: {table: alias, missing: {default: none}}}", {"k": "7"}, "none"),
    ("v: {path: k, lookup: {table: alias, take: new}}", {"k": "8"}, "P8"),
    ("v: {path: k, lookup: alias}", {"k": 8}, "P8"),
    ("v: {path: k, text: [strip], lookup: alias}", {"k": " 8 "}, "P8"),
    ("v: {path: k, lookup: alias}", {}, None),
    ("v: {path: k, default: x, lookup: alias}", {}, "x"),
    (
        "v: {lookup: {table: wc, key: [{const: DE04}, {lookup: {table: alias, key: [{path: k}]}}], take: erp}}",
        {"k": "007"},
        "20-P7",
    ),
    (
        "v: {lookup: {table: wc, key: [{const: DE04}, {path: k, lookup: alias}], take: erp}}",
        {"k": "8"},
        "20-P8",
    ),
    (
        "v: {lookup: {table: wc, key: [{const: DE04}, {lookup: {table: alias, key: [{path: k}]}}], take: erp}}",
        {"k": "?"},
        "!lookup_missing",
    ),
    ("v: {lookup: {table: wc, key: [{meta: source.site}, {path: k}], take: erp}}", {"k": "P7"}, "20-P7"),
]


@pytest.mark.parametrize(("field", "message", "expected"), CASES, ids=range(len(CASES)))
def test_a_lookup_finds_what_its_table_says(one, field, message, expected):
    found = run(one, field, message, meta={"source.site": "DE04"})
    if isinstance(expected, str) and expected.startswith("!"):
        assert found.get("code") == expected[1:], found
    else:
        assert "code" not in found, found
        assert found.get("v") == expected


def test_a_missing_row_names_the_key_and_the_table(one):
    reject = run(one, "v: {lookup: {table: one, key: [{path: k}]}}", {"k": "zz"})
    assert reject["pointer"] == "/k"
    assert reject["field"] == "v"
    assert "zz" in reject["found"]
    assert "one" in reject["expected"]


FACTOR = "factor: {table: factors, key: [{path: m}, {path: u}], num: umrez, den: umren}"


def factor(unit, *, rounded="{places: 3, mode: half_even}"):
    return f"n: {{path: q, unit: {{from: {{path: u, set: sap}}, to: {{const: {unit}}}, {FACTOR}}}, round: {rounded}}}"


FACTORS = [
    ("H87", {"m": "A", "u": "KAR", "q": "2"}, "48"),
    ("KGM", {"m": "R", "u": "L", "q": "240.0"}, "189.84"),
    ("KGM", {"m": "R", "u": "L", "q": "13.25"}, "10.481"),
    ("KGM", {"m": "D", "u": "L", "q": "1"}, "0.25"),
    ("KGM", {"m": "A", "u": "ST", "q": "1"}, "0.429"),
    ("KGM", {"m": "X", "u": "KG", "q": "1.5"}, "1.5"),
    ("KGM", {"m": "X", "u": "G", "q": "850"}, "0.85"),
    ("KGM", {"m": "X", "u": "L", "q": "1"}, "!unit_incompatible"),
    ("KGM", {"m": "X", "u": "nope", "q": "1"}, "!unit_unknown"),
]


@pytest.mark.parametrize(("unit", "message", "expected"), FACTORS)
def test_the_factor_of_the_material_comes_first_and_then_the_dimension(one, unit, message, expected):
    found = run(one, factor(unit), message)
    if expected.startswith("!"):
        assert found.get("code") == expected[1:], found
    else:
        assert found.get("n") == expected, found


@pytest.mark.parametrize("material", ["Z", "N"])
def test_a_factor_that_is_no_number_or_divides_by_zero_is_never_used(project, material):
    """Either `check` refuses the table with its line, or the message is a reject; never an event."""
    import mfgroute

    try:
        plan = project.load(mapping(factor("KGM")), **TABLES)
    except mfgroute.ConfigError as error:
        assert any("factors.csv" in problem.file for problem in error.problems), str(error)
        return
    [line] = lines(plan, {"m": material, "u": "L", "q": "1"})
    assert "reject" in line


BROKEN = [
    ("lookups/one.csv", "k,v\na,1\na,2\n", 3),
    ("lookups/one.csv", "k,v\na,1\nb\n", 3),
    ("lookups/one.csv", "k,v\na,1\nb,2,3\n", 3),
    ("lookups/one.csv", "k,k\na,1\n", 1),
    ("lookups/one.csv", "", 1),
    ("lookups/one.csv", 'k,v\na,"1\n', 2),
    ("lookups/one.csv", b"k,v\na,\xff\n", 2),
]


@pytest.mark.parametrize(("name", "text", "line"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_table_is_refused_at_its_line(project, name, text, line):
    files = {**TABLES, name: text}
    error = project.problems(mapping("v: {lookup: {table: one, key: [{path: k}]}}"), **files)
    assert any((problem.file, problem.line) == (name, line) for problem in error.problems), str(error)


def test_a_table_may_have_a_bom_and_crlf(one):
    tables = {"lookups/one.csv": b"\xef\xbb\xbfk,v\r\na,1\r\n"}
    found = one("v: {lookup: {table: one, key: [{path: k}], take: v}}", {"k": "a"}, files=tables)
    assert found.get("v") == "1"


def test_the_same_values_in_two_columns_are_not_the_same_key(project):
    tables = {"lookups/two.csv": "a,b,v\nx,yz,1\nxy,z,2\n"}
    plan = project.load(mapping("v: {lookup: {table: two, key: [{path: a}, {path: b}]}}"), **tables)
    assert lines(plan, {"a": "x", "b": "yz"})[0]["data"]["v"] == "1"
    assert lines(plan, {"a": "xy", "b": "z"})[0]["data"]["v"] == "2"


CONFIG = [
    ("v: {lookup: {table: one, key: [{path: k}], take: nope}}", "nope"),
    ("v: {lookup: {table: oen, key: [{path: k}]}}", "oen"),
    ("v: {lookup: {table: wc, key: [{path: k}]}}", "take"),
    ("v: {lookup: {table: one, key: [{path: k}, {path: l}]}}", "one"),
    ("v: {lookup: {table: one, key: [{path: k}], missing: drop}}", "missing"),
    ("v: {lookup: {table: one, key: []}}", "key"),
    ("v: {lookup: {table: one}}", "key"),
    ("v: {path: k, lookup: nope}", "nope"),
]


@pytest.mark.parametrize(("field", "word"), CONFIG)
def test_a_wrong_lookup_is_refused_with_its_place(project, field, word):
    error = project.problems(mapping(field), **TABLES)
    found = [problem for problem in error.problems if problem.file == "mappings/m.yaml" and problem.line == 6]
    assert any(word in f"{problem.message} {problem.hint}" for problem in found), str(error)
