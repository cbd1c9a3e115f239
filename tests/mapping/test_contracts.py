"""Contracts: what a key may be, bounds of decimals, codes, formats, defaults, and ids that stay."""

import json
from contextlib import closing

import pytest

from mfgroute import _core

from .conftest import CONTRACT, MAIN, lines, mapping

THING = CONTRACT.replace("TYPE", "thing")
NAME = "contracts/thing.v1.yaml"


def with_field(schema, *, name="f", required=False):
    text = THING + f"    {name}: {schema}\n"
    return text.replace("required: [id]", f"required: [id, {name}]") if required else text


def run(project, schema, value):
    project.write(NAME, with_field(schema))
    [line] = project.run(mapping("f: {path: f}"), {"f": value})
    return "!" + line["reject"]["code"] if "reject" in line else line["data"]["f"]


D = "{type: string, format: decimal, x-decimal: %s}"
BAD = "!contract_invalid"
VALUES = [
    (D % '{min: "0"}', "0", "0"),
    (D % '{min: "0"}', "-0.001", BAD),
    (D % '{max: "9.5"}', "9.5", "9.5"),
    (D % '{max: "9.5"}', "9.50001", BAD),
    (D % '{max: "9.5"}', "10", BAD),
    (D % "{places: 3}", "1.123", "1.123"),
    (D % "{places: 3}", "1.1234", BAD),
    (D % "{digits: 5, places: 3}", "12.345", "12.345"),
    (D % "{digits: 5, places: 3}", "123.4567", BAD),
    (D % "{digits: 13, places: 3}", "1" * 14, BAD),
    (D % "{digits: 38}", "abc", BAD),
    (D % "{digits: 38}", "1e5", {BAD, "100000"}),
    (D % "{digits: 38}", "+1", {BAD, "1"}),
    (D % "{digits: 38}", "", BAD),
    (D % "{digits: 38}", True, BAD),
    ("{type: string, format: date}", "2026-02-28", "2026-02-28"),
    ("{type: string, format: date}", "2026-02-29", BAD),
    ("{type: string, format: date-time}", "2026-02-28T10:00:00Z", "2026-02-28T10:00:00Z"),
    ("{type: string, format: date-time}", "2026-02-28 10:00", BAD),
    ("{type: string, format: time}", "25:00:00Z", BAD),
    ("{type: string, format: email}", "no mail", BAD),
    ("{type: string, format: uuid}", "123", BAD),
    ("{type: string, format: uri}", "not a uri", BAD),
    ("{type: string, format: ipv4}", "1.2.3.256", BAD),
    ("{type: string, x-codes: rec20}", "KGM", "KGM"),
    ("{type: string, x-codes: rec20}", "KG", BAD),
    ("{type: string, x-codes: rec20}", "kgm", BAD),
    ("{type: string, maxLength: 3}", "äöü", "äöü"),
    ("{type: string, maxLength: 3}", "\U0001f600" * 3, "\U0001f600" * 3),
    ("{type: string, maxLength: 3}", "abcd", BAD),
    ('{type: string, pattern: "^[0-9]{4}$"}', "0010", "0010"),
    ('{type: string, pattern: "^[0-9]{4}$"}', "0010\n", BAD),
    ('{type: string, pattern: "^[0-9]{4}$"}', "\u0660\u0660\u0661\u0660", BAD),
    ("{type: integer}", 1.0, 1),
    ("{type: integer, maximum: 5}", 6, BAD),
    ("{type: number, multipleOf: 0.1}", 0.3, 0.3),
    ("{enum: [a, 1, null]}", "a", "a"),
    ("{enum: [a, 1, null]}", "1", BAD),
    ("{type: array, items: {type: string}, uniqueItems: true}", ["a", "a"], {BAD, "!not_single"}),
    ("{type: boolean}", "true", BAD),
]


@pytest.mark.parametrize(("schema", "value", "expected"), VALUES, ids=range(len(VALUES)))
def test_a_value_that_breaks_its_contract_is_refused(project, schema, value, expected):
    found = run(project, schema, value)
    assert found in expected if isinstance(expected, set) else found == expected


@pytest.mark.parametrize(("where", "text"), [
    ("key", "key: {thing: [data.opt]}"),
    ("idempotency", "idempotency: [data.opt]"),
    ("key", "key: {thing: [data.nope]}"),
    ("idempotency", "idempotency: [data.nope]"),
    ("idempotency", "idempotency: []"),
    ("key", "key: {}"),
    ("volatile", "volatile: [data.nope]"),
])  # fmt: skip
def test_a_key_or_identity_must_be_required(project, where, text):
    contract = THING.replace(
        "schema:\n  type: object", "schema:\n  additionalProperties: false\n  type: object"
    )
    contract += "    opt: {type: string}\n"
    lines_ = [line for line in contract.splitlines() if not line.startswith(where + ":")]
    contract = "\n".join([*lines_[:6], text, *lines_[6:]]) + "\n"
    error = project.problems(
        mapping("v: {const: 1}").replace("v: {const: 1}", "n: {const: '1'}"), **{NAME: contract}
    )
    assert any((p.file, p.line) == (NAME, 7) for p in error.problems), str(error)


BROKEN = [
    ("type: thing", "type: Thing Name"), ("type: thing", "type: other"), ("version: 1.0.0", "version: 1"),
    ("version: 1.0.0", "version: 2.0.0"), ("kind: event", "kind: evnt"), ("stream: business", "stream: busines"),
    ("{status: active}", "{status: actve}"), ("{status: active}", "{status: deprecated, since: tomorrow}"),
    ("type: object", "type: objekt"), ("type: object", "type: string"), ("minLength: 1", "minLength: -1"),
    ("format: date}", "format: dat}"), ("x-codes: rec20", "x-codes: rec21"), ("digits: 38", "digits: 0"),
    ("digits: 38", "digits: 39"), ("digits: 38", "digts: 38"), ("digits: 38", 'min: "5", max: "4"'),
    ("digits: 38", "min: five"), ("minLength: 1", 'pattern: "("'), ("minLength: 1", "minLenght: 1"),
    ("minLength: 1", "$ref: nowhere.json"), ("owner: tests", "owner: tests\nownr: x"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), BROKEN)
def test_a_broken_contract_is_refused_at_its_line(project, old, new):
    broken = THING.replace(old, new, 1)
    changed = [
        n for n, (a, b) in enumerate(zip(THING.splitlines(), broken.splitlines(), strict=False), 1) if a != b
    ]
    error = project.problems(mapping("v: {const: 1}"), **{NAME: broken})
    assert any(p.file == NAME and p.line in {changed[0], changed[0] - 1} for p in error.problems), str(error)


PLACES = [
    ("type: thing", "type: Thing Name", "Thing Name", "lowercase"),
    ("type: thing", "type: other", "other", "other.v1.yaml"),
    ("version: 1.0.0", "version: 1.x.0", "1.x.0", None),
    ("version: 1.0.0", "version: 2.0.0", "2.0.0", "thing.v2.yaml"),
    ("kind: event", "kind: evnt", "evnt", "did you mean event?"),
    ("stream: business", "stream: busines", "busines", "did you mean business?"),
    ("idempotency: [data.id]", "idempotency: []", "[]", None),
    ("idempotency: [data.id]", "idempotency: [data.id, data.i]", "data.i]", "did you mean data.id?"),
    ("idempotency: [data.id]", "idempotency: [data.id, data.list]", "data.list]", None),
    ("{thing: [data.id]}", "{thing: []}", "[]", None),
    ("{status: active}", "{status: deprecatd}", "deprecatd", "did you mean deprecated?"),
    ("{status: active}", "{status: active, sunset: 2027-01-01}", "sunset", "status: deprecated"),
    ("{status: active}", "{status: deprecated, since: tomorrow}", "tomorrow", None),
    ("{status: active}", "{status: deprecated, since: 2027-02-29}", "2027-02-29", None),
    ("{status: active}", "{status: deprecated, since: 2027-01-02, sunset: 2027-01-01}", "2027-01-01", None),
    ("{status: active}", "{status: deprecated, successor: thing}", "thing}", None),
    ("{status: active}", "{status: deprecated, successor: thing/1}", "thing/1", None),
    ("required: [id]", "required: [id, nope]\n  additionalProperties: false", "nope", None),
    ("required: [id]", "required: [id, lits]\n  additionalProperties: false", "lits", "did you mean list?"),
    ("minLength: 1", "minLength: 3, maxLength: 2", "2}", None),
    ("minLength: 1", "minimum: 1", "minimum", None),
    ("minLength: 1", "enum: [a, 1]", "1]", None),
    ("minLength: 1", "enum: []", "[]", None),
    ("digits: 38", "digits: 0", "0}", None),
    ("digits: 38", "digits: 2, places: 3", "3}", None),
    ("digits: 38", 'min: "5", max: "4"', '"4"', None),
    ("x-decimal: {digits: 38}", "minimum: 0", "minimum", "x-decimal: {min: …}"),
    ("owner: tests", "owner: tests\nvolatile: [data.id, data.nope]", "data.nope", None),
    ("owner: tests", "owner: tests\nvolatile: [data.lst]", "data.lst", "did you mean list?"),
    ("owner: tests", "owner: tests\nbusiness: {process: p, transaction: data.nope}", "data.nope", None),
    ("owner: tests", "owner: tests\nexamples: [{id: a, unit: KG}]", "KG", None),
]


@pytest.mark.parametrize(("old", "new", "value", "hint"), PLACES, ids=range(len(PLACES)))
def test_a_problem_of_a_contract_is_shown_at_its_value(project, old, new, value, hint):
    broken = THING.replace(old, new, 1)
    wanted = [
        (NAME, n, line.rindex(value) + 1)
        for n, line in enumerate(broken.splitlines(), 1)
        if value in line and line not in THING.splitlines()
    ]
    error = project.problems(mapping("v: {const: 1}"), **{NAME: broken})
    assert [(p.file, p.line, p.column) for p in error.problems] == wanted, str(error)
    assert hint is None or hint in error.problems[0].hint


@pytest.mark.parametrize(("old", "new"), [
    ("{status: active}", "{status: deprecated, since: 2026-01-01, sunset: 2027-01-01, successor: thing/2}"),
    ("owner: tests", "owner: tests\nvolatile: [time, data.date]"),
    ("minLength: 1", "minLength: 2, maxLength: 2"),
    ("digits: 38", 'min: "5", max: "5.0", digits: 3, places: 3'),
    ("required: [id]", "required: [id, date]\n  additionalProperties: false"),
])  # fmt: skip
def test_bounds_that_meet_are_no_contradiction(project, old, new):
    text = mapping("date: {path: a}").replace('const: "1"', "const: ab")
    project.load(text, **{NAME: THING.replace(old, new, 1)})


EXAMPLES = [
    ('given: {a: "1"}, expect: [{to: thing/1, data: {id: "1", v: "1"}}]', True),
    ('given: {a: "1"}, expect: [{to: thing/1, data: {id: "1", v: "2"}}]', False),
    ('given: {a: "1"}, expect: []', False),
    ('given: {a: "1"}, reject: {code: missing, pointer: /a}', False),
    ('given: {a: ["1", "2"]}, reject: {code: not_single, pointer: /a/1}', True),
    ('given: {a: ["1", "2"]}, reject: {code: not_sngle}', False),
]


@pytest.mark.parametrize(("example", "good"), EXAMPLES)
def test_examples_are_run_before_a_plan_is_installed(project, example, good):
    text = mapping("v: {path: a}") + f"examples:\n  - {{name: one, {example}}}\n"
    if good:
        project.load(text)
    else:
        error = project.problems(text)
        assert any((p.file, p.line) == ("mappings/m.yaml", 8) for p in error.problems), str(error)


def submit(project, plan, *messages, source="src"):
    with closing(_core.Engine(plan)) as engine:
        receipt = engine.submit(source, [json.dumps(one).encode() for one in messages])
        return receipt.accepted, receipt.duplicates, [one.code for one in receipt.rejects]


VOLATILE = THING.replace("schema:", "volatile: [data.sent]\nschema:", 1) + "    sent: {type: string}\n"
IDS = mapping("sent: {path: sent}\nv: {path: v}").replace('{const: "1"}', "{path: id}")


@pytest.mark.parametrize(("first", "second", "expected"), [
    ({"id": "1", "v": 1}, {"id": "1", "v": 1}, (1, 1, [])),
    ({"id": "1", "v": 1}, {"v": 1, "id": "1"}, (1, 1, [])),
    ({"id": "1", "v": 1}, {"id": "1", "v": 1, "noise": 2}, (1, 1, [])),
    ({"id": "1", "v": 1}, {"id": "1", "v": 2}, (1, 0, ["conflict"])),
    ({"id": "1", "sent": "a"}, {"id": "1", "sent": "b"}, (1, 1, [])),
    ({"id": "1", "sent": "a", "v": 1}, {"id": "1", "sent": "b", "v": 2}, (1, 0, ["conflict"])),
    ({"id": "1", "v": 1}, {"id": "2", "v": 1}, (2, 0, [])),
])  # fmt: skip
def test_a_resend_is_a_duplicate_and_another_content_a_conflict(project, first, second, expected):
    project.write(NAME, VOLATILE)
    assert submit(project, project.load(IDS), first, second) == expected


def id_of(project, text, message, **files):
    plan = project.load(text, **files)
    [line] = lines(plan, message)
    return line["id"]


def test_the_id_stays_when_the_mapping_or_the_minor_version_changes(project):
    before = id_of(project, IDS, {"id": "1", "v": 1})
    assert id_of(project, IDS.replace("v: {path: v}", "w: {const: z}"), {"id": "1"}) == before
    assert id_of(project, IDS, {"id": "1"}, **{NAME: THING.replace("1.0.0", "1.9.0")}) == before
    assert id_of(project, IDS, {"id": "2", "v": 1}) != before


def test_the_id_depends_on_the_lengths_of_its_parts(project):
    contract = THING.replace("[data.id]\nschema", "[data.id, data.b]\nschema").replace("[id]\n", "[id, b]\n")
    text = mapping("b: {path: b}").replace('{const: "1"}', "{path: id}")
    one = id_of(project, text, {"id": "ab", "b": "c"}, **{NAME: contract + "    b: {type: string}\n"})
    assert one != id_of(project, text, {"id": "a", "b": "bc"})


def test_the_id_is_a_uuid_of_version_8(project):
    one = id_of(project, IDS, {"id": "1"})
    assert one[14] == "8"
    assert one[19] in "89ab"


@pytest.mark.parametrize(("extra", "expected"), [("", (2, 0, [])), ("across_sources: true\n", (1, 1, []))])
def test_the_source_is_part_of_the_identity_unless_said_otherwise(project, extra, expected):
    main = MAIN.replace("sinks:", "  two: {adapter: files, path: ./two/*.jsonl, mappings: [m]}\nsinks:", 1)
    files = {"mfgroute.yaml": main, NAME: THING.replace("schema:", extra + "schema:", 1)}
    plan = project.load(mapping("v: {const: 1}"), **files)
    with closing(_core.Engine(plan)) as engine:
        receipts = [engine.submit(source, [b'{"a":1}']) for source in ("src", "two")]
        found = sum(one.accepted for one in receipts), sum(one.duplicates for one in receipts)
        assert (*found, [r.code for one in receipts for r in one.rejects]) == expected


@pytest.mark.parametrize(("value", "key"), [("a/b", 2), ("1", 1), ("%2F", 1), ("", None)])
def test_a_key_cannot_be_forged_by_its_value(project, value, key):
    [line] = project.run(mapping("v: {const: 1}").replace('{const: "1"}', "{path: id}"), {"id": value})
    if key is None:
        assert line["reject"]["code"] == "contract_invalid"
    else:
        assert line["key"].count("/") == 1, line["key"]


@pytest.mark.parametrize(("schema", "field"), [
    ("{enum: [minor, major]}", "{const: other}"),
    ("{type: string}", "{const: 1.5}"),
    ("{type: string, maxLength: 3}", "{const: abcd}"),
    ("{type: string}", "{list: a}"),
    ("{enum: [minor, major]}", "{path: a, codes: {x: majr}}"),
    ("{enum: [minor, major]}", "{path: a, default: none}"),
])  # fmt: skip
def test_a_field_that_can_never_satisfy_its_contract_is_refused(project, schema, field):
    error = project.problems(mapping(f"f: {field}"), **{NAME: with_field(schema, required=True)})
    assert any((p.file, p.line) == ("mappings/m.yaml", 6) for p in error.problems)


def test_a_mapping_without_a_required_field_is_refused(project):
    error = project.problems(mapping("v: {const: 1}"), **{NAME: with_field("{type: string}", required=True)})
    assert any("f" in p.message and p.file == "mappings/m.yaml" for p in error.problems)


def test_two_mappings_that_want_a_message_are_ambiguous_and_both_are_named(project):
    main = MAIN.replace("[m]", "[m, n]")
    one, two = (
        mapping("v: {const: 1}", head=f"from: {{decode: json}}\nwhen: {{path: {name}, present: true}}")
        for name in "ab"
    )
    plan = project.load(one, **{"mfgroute.yaml": main, "mappings/n.yaml": two})
    out = [json.loads(line) for line in _core.explain(plan, "src", b'{"a": 1, "b": 1}', {}).splitlines()]
    assert [(line["reject"]["code"], line["reject"]["found"]) for line in out] == [
        ("mapping_ambiguous", "m and n")
    ]
    [line] = [json.loads(one) for one in _core.explain(plan, "src", b'{"a": 1}', {}).splitlines()]
    assert line["mapping"].startswith("m@")


def test_a_mistake_in_one_place_hides_none_in_another(project):
    text = THING.replace("version: 1.0.0", "version: 1.0").replace("type: string", "type: strng", 1)
    text = text.replace("idempotency: [data.id]", "idempotency: [data.ident]").replace(
        "kind: event", "kind: evnt"
    )
    text += "volatile: [data.nope]\n"
    problems = project.problems(mapping("f: {path: f}"), **{NAME: text}).problems
    found = [problem.message for problem in problems if problem.file == NAME]
    for word in ("version", "strng", "ident", "evnt", "nope"):
        assert any(word in message for message in found), (word, found)
