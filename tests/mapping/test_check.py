"""A broken project: every mistake at once, each at its place, with what was meant."""

import pytest

import mfgroute
from mfgroute import _core

from .conftest import BASE, CONTRACT, MAIN, lines, mapping

GOOD = mapping("v: {path: a}")

# One mapping, one mistake a line. The line counts from 1; the words are in the message or the hint.
BROKEN = f"""\
from: {{decode: json}}
time: {{path: ts, zone: Europe/Berlin}}
emit:
  - to: thing/1
    fields:
      {BASE}
      a: {{pth: a}}
      b: {{path: "a..b"}}
      c: {{lookup: {{table: tabel, key: [{{path: a}}]}}}}
      d: {{path: a, number: {{decimal: ",,"}}}}
      e: {{path: a, round: {{places: 3}}}}
      f: {{path: u, unit: {{from: {{path: u}}, to: {{const: KGMM}}}}, round: {{places: 3, mode: half_even}}}}
      g: {{cel: "message.a +"}}
      h: {{path: a, text: [uper]}}
      i: {{meta: souce.name}}
      j: {{date: {{path: t, zone: Europe/Berln}}}}
      k: {{field: nope}}
      l: {{path: a, unit: {{from: {{path: u}}, to: {{const: KGM}}}}}}
      m: {{path: a, code_set: {{from: sapp, to: rec20}}}}
      n: {{const: 1, path: a}}
      o: {{list: a, feilds: {{x: {{path: x}}}}}}
      p: {{path: a, sign: plus}}
  - to: thng/1
    fields: {{{BASE}}}
  - to: other/1
    when: {{path: a, equal: x}}
    fields: {{{BASE}}}
  - to: other/1
    fields: {{v: {{const: 1}}}}
  - to: other/1
    each: ""
    fields: {{{BASE}}}
"""
WANTED = [
    (2, ["ambiguous"]), (7, ["pth"]), (8, []), (9, ["tabel", "table"]), (10, ["decimal"]), (11, ["mode"]),
    (12, ["KGMM"]), (13, []), (14, ["uper", "upper"]), (15, ["souce.name"]), (16, ["Berln"]), (17, ["nope"]),
    (18, ["round"]), (19, ["sapp"]), (20, ["const", "path"]), (21, ["feilds"]), (22, ["plus", "sign"]),
    (23, ["thng", "thing/1"]), (26, ["equal"]), (28, ["id"]), (31, []),
]  # fmt: skip


@pytest.fixture
def broken(project):
    tables = {"lookups/table.csv": "k,v\na,1\n"}
    main = MAIN.replace("to: log}", "to: lgo}").replace("site: DE04,", "site: DE04, sit: x,")
    contract = CONTRACT.replace("TYPE", "third").replace("kind: event", "kind: event\nkynd: event")
    return project.problems(BROKEN, **{"mfgroute.yaml": main, "contracts/third.v1.yaml": contract, **tables})


@pytest.mark.parametrize(("line", "words"), WANTED, ids=range(len(WANTED)))
def test_every_mistake_of_a_mapping_is_reported_at_once_with_its_line(broken, line, words):
    found = [p for p in broken.problems if (p.file, p.line) == ("mappings/m.yaml", line)]
    assert found, str(broken)
    text = " ".join(f"{p.message} {p.hint}" for p in found)
    assert any(word in text for word in words) or not words, text


def test_mistakes_of_all_files_are_reported_together(broken):
    files = {p.file for p in broken.problems}
    assert files >= {"mfgroute.yaml", "contracts/third.v1.yaml", "mappings/m.yaml"}, str(broken)


def test_problems_are_in_the_order_of_files_and_lines(broken):
    places = [(p.file, p.line, p.column) for p in broken.problems]
    assert places == sorted(places)


def test_every_problem_is_one_lowercase_sentence_with_a_place(broken):
    for problem in broken.problems:
        assert problem.line > 0, problem
        assert problem.column > 0, problem
        assert not problem.message.endswith("."), problem
        assert "\n" not in problem.message
        assert problem.severity in {"error", "warning"}
        assert "Err(" not in problem.message
        assert "Some(" not in problem.message


EXACT = [
    ("v: {path: a, text: [uper]}", (6, 20)),
    ("v: {pth: a}", (6, 11)),
    ("v: {path: a, lookup: tabel}", (6, 28)),
    ("v: {field: nope}", (6, 18)),
]


@pytest.mark.parametrize(("field", "place"), EXACT)
def test_the_column_is_the_column_of_the_value(project, field, place):
    error = project.problems(mapping(field))
    near = [(p.line, p.column) for p in error.problems if p.file == "mappings/m.yaml"]
    line, column = place
    assert any(found == line and abs(where - column) <= 10 for found, where in near), str(error)


YAML = [
    ("v: &x {path: a}", "anchor"),
    ("v: [&x 1, *x]", "anchor"),
    ("v: !!str {path: a}", "tag"),
    ("v: !ruby/object {path: a}", "tag"),
    ("<<: {v: {path: a}}", "merge"),
    ("v: {path: a}\nv: {path: b}", "v"),
    ("v: {path: a, path: b}", "path"),
    ("v: {path: a", ""),
    ("v: {path: 'a}", ""),
    ("v: {const: 007}", "007"),
    ("v:\t{path: a}x", ""),
    ("? {a: b}\n: {path: a}", ""),
]


@pytest.mark.parametrize(("field", "word"), YAML)
def test_yaml_that_surprises_is_refused(project, field, word):
    error = project.problems(mapping(field))
    assert any(p.file == "mappings/m.yaml" and p.line in {6, 7, 8} for p in error.problems), str(error)
    assert any(word in f"{p.message} {p.hint}" for p in error.problems), str(error)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2026-01-01", "2026-01-01"),
        ("~", None),
        ("1.50", 1.5),
    ],
)
def test_plain_scalars_are_of_the_core_schema(text, value):
    document, _, _ = _core.parse_yaml(f"v: {text}\n".encode(), "x.yaml")
    assert document["v"] == value


@pytest.mark.parametrize(
    "text", [b"", b"\xff", b"a: 1\n---\nb: 2\n", b"a: 1\n\tb: 2\n", b"- 1\n", b"a: " + b"[" * 5000]
)
def test_a_file_that_is_no_mapping_document_is_a_problem_and_no_crash(project, text):
    error = project.problems(text)
    assert any(p.file == "mappings/m.yaml" for p in error.problems), str(error)


MAINS = [
    ("apiVersion: mfgroute/v1", "apiVersion: mfgroute/v2", 1, "mfgroute/v1"),
    ("durability: memory", "durability: memroy", 4, "memory"),
    ("capacity: 64MiB", "capacity: 64", 4, "capacity"),
    ("capacity: 64MiB", "capacity: many", 4, "capacity"),
    ("when_full: block", "when_full: drop", 4, "when_full"),
    ("mappings: [m]", "mappings: [n]", 6, "n"),
    ("mappings: [m]", "mapings: [m]", 6, "did you mean `mappings`"),
    ("adapter: files", "adapter: fiels", 6, "files"),
    ("adapter: console", "adapter: consol", 8, "console"),
    ("to: log", "to: lgo", 10, "log"),
    ("namespace: com.example", "namespace: com example", 2, "namespace"),
    ("id: test", "id: te/st", 2, "id"),
    ("routes:", "rotues:", 9, "routes"),
    ("owner: tests}", "owner: tests, effect: {by: magic}}", 8, "magic"),
    ("durability: memory", "durability: memory, partitions: 0", 4, "partitions"),
]


@pytest.mark.parametrize(("old", "new", "line", "word"), MAINS)
def test_a_mistake_in_the_main_file_is_refused_at_its_line(project, old, new, line, word):
    error = project.problems(GOOD, **{"mfgroute.yaml": MAIN.replace(old, new, 1)})
    found = [p for p in error.problems if (p.file, p.line) == ("mfgroute.yaml", line)]
    assert any(word in f"{p.message} {p.hint}" for p in found), str(error)


DATE_ONLY = GOOD.replace("emit:", "time: {path: d, format: '%Y-%m-%d', zone: UTC}\nemit:")
WARNINGS = [
    (MAIN.replace(", owner: tests", ""), GOOD, "owner"),
    (MAIN.replace('match: {type: ">"}', "match: {type: thing/1}"), GOOD.replace("thing/1", "other/1"), "other/1"),
    (MAIN, DATE_ONLY, "date"),
    (MAIN.replace("durability: memory", "durability: memory, partitions: 8", 1), GOOD, "partitions"),
]  # fmt: skip


@pytest.mark.parametrize(("main", "text", "word"), WARNINGS, ids=range(len(WARNINGS)))
def test_what_is_doubtful_is_a_warning_and_installs(project, main, text, word):
    plan = project.load(text, **{"mfgroute.yaml": main})
    assert any(word in str(problem) for problem in plan.problems), plan.problems
    assert all(problem["severity"] == "warning" for problem in plan.problems)


def test_a_good_project_has_no_warning(project):
    (project.root / "contracts/other.v1.yaml").unlink()
    assert [p["message"] for p in project.load(GOOD).problems] == []


def test_a_unit_of_a_lookup_without_a_factor_is_a_warning(project):
    fields = (
        "unit: {lookup: {table: base, key: [{path: m}]}}\n"
        "n: {path: q, unit: {from: {path: u, lookup: mes}, to: {field: unit}, "
        "factor: {table: factors, key: [{path: m}, {path: u}], num: a, den: b}}, round: {places: 3, mode: half_even}}"
    )
    tables = {
        "lookups/base.csv": "m,unit\nA,KGM\nB,H87\n",
        "lookups/mes.csv": "k,v\nKG,KGM\nXX,NOPE\n",
        "lookups/factors.csv": "m,u,a,b\nA,KAR,24,1\n",
    }
    try:
        plan = project.load(mapping(fields), **tables)
    except mfgroute.ConfigError as error:
        assert "NOPE" in str(error)
        return
    assert plan.problems


RULE = "text: [strip, upper]\n"


def test_a_shared_rule_is_used_by_name(project):
    files = {"rules/clean.yaml": RULE}
    text = mapping("v: {path: a, use: clean}")
    try:
        plan = project.load(text, **files)
    except mfgroute.ConfigError as error:
        assert "not available in this version" in str(error)
        return
    assert lines(plan, {"a": " x "})[0]["data"]["v"] == "X"


def test_a_misspelt_shared_rule_has_a_hint(project):
    error = project.problems(mapping("v: {path: a, use: claen}"), **{"rules/clean.yaml": RULE})
    assert "clean" in str(error)


def test_a_durability_that_is_not_built_yet_says_so(project):
    main = MAIN.replace("durability: memory", "durability: fsync")
    try:
        project.load(GOOD, **{"mfgroute.yaml": main})
    except mfgroute.ConfigError as error:
        assert [(p.file, p.line) for p in error.problems] == [("mfgroute.yaml", 4)]
        assert "not available in this version" in str(error)


def test_unknown_keys_are_refused_at_every_level(project):
    for old, new in [
        ("emit:", "emitt: 1\nemit:"),
        ("    fields:", "    feilds: 1\n    fields:"),
        ("decode: json", "decode: json, x: 1"),
    ]:
        error = project.problems(GOOD.replace(old, new, 1))
        assert any("unknown" in p.message for p in error.problems), str(error)


@pytest.mark.parametrize("decode", ["jsn", "x12", "edifact", "idoc", "sparkplug"])
def test_a_decoder_that_is_not_built_yet_says_so(project, decode):
    error = project.problems(GOOD.replace("json", decode))
    assert any((p.file, p.line) == ("mappings/m.yaml", 1) for p in error.problems)
    if decode != "jsn":
        assert "not available in this version" in str(error)


@pytest.mark.parametrize("fields", ["v.a: {const: 1}\nv: {const: 2}", "v: {const: 2}\nv.a: {const: 1}"])
def test_two_fields_for_one_place_are_refused(project, fields):
    error = project.problems(mapping(fields))
    assert any(p.line in {6, 7} for p in error.problems)
