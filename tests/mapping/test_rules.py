"""Rules of contracts: what must hold between fields, and what a reject says when it does not."""

import json
from contextlib import closing

import pytest

from mfgroute import _core

from .conftest import MAIN, mapping

NAME = "contracts/thing.v1.yaml"
CONTRACT = """\
type: thing
version: 1.0.0
key: {thing: [data.id]}
idempotency: [data.id]
rules:
  - code: scrap_exceeds_total
    check: "!has(data.quantity.scrap) || data.quantity.scrap <= data.quantity.total"
    message: the scrap is no more than the total
  - {code: one_serial_each, check: "!has(data.serials) || size(data.serials) in [0, data.count]", message: one serial number for each piece}
  - {code: sum_is_total, check: "!has(data.parts) || size(data.parts) == 0 || sum(data.parts, n) == data.quantity.total", message: the parts make the total}
schema:
  type: object
  required: [id, quantity, count]
  additionalProperties: false
  properties:
    id: {type: string, minLength: 1}
    count: {type: integer}
    quantity:
      type: object
      required: [total]
      additionalProperties: false
      properties:
        total: {type: string, format: decimal}
        scrap: {type: string, format: decimal}
    serials: {type: array, items: {type: string}}
    parts:
      type: array
      items: {type: object, required: [n], additionalProperties: false, properties: {n: {type: string, format: decimal}}}
examples:
  - {id: a, count: 1, quantity: {total: "1.50", scrap: "1.5"}, serials: [s], parts: [{n: "1"}, {n: "0.5"}]}
"""
FIELDS = """\
count: {path: c}
quantity.total: {path: t}
quantity.scrap: {path: s}
serials: {list: sn}
parts: {list: p, fields: {n: {path: n}}}
"""
LONG = "9" * 37


def run(project, **message):
    project.write(NAME, CONTRACT)
    [line] = project.run(mapping(FIELDS), {"c": 1, "t": "2", **message})
    return line


@pytest.mark.parametrize("message", [
    {}, {"s": "2"}, {"s": "2.000", "t": "2"}, {"s": f"{LONG}.1", "t": f"{LONG}.2"}, {"s": "9", "t": "10"},
    {"sn": ["x"]}, {"sn": ["x", "y"], "c": 2}, {"p": [{"n": "0.1"}, {"n": "0.2"}], "t": "0.3"},
])  # fmt: skip
def test_an_event_that_meets_the_rules_is_made(project, message):
    assert run(project, **message)["to"] == "thing/1"


TOTAL = "scrap_exceeds_total: the scrap is no more than the total"
# A message, and where the reject points, its field, what was found and what was expected.
BROKEN = [
    ({"s": "2.1"}, ("/s", "quantity.scrap", 'quantity.scrap is "2.1", quantity.total is "2"', TOTAL)),
    # As floats these two are equal.
    ({"s": f"{LONG}.2", "t": f"{LONG}.1"},
     ("/s", "quantity.scrap", f'quantity.scrap is "{LONG}.2", quantity.total is "{LONG}.1"', TOTAL)),
    ({"sn": ["x", "y"]},
     ("", "serials", "serials is a list of 2, count is 1", "one_serial_each: one serial number for each piece")),
    ({"p": [{"n": "1"}] * 7},
     ("/p/0/n", "parts[].n", 'parts[].n is "1", "1", "1", "1", "1" and 2 more, quantity.total is "2"',
      "sum_is_total: the parts make the total")),
]  # fmt: skip


@pytest.mark.parametrize(("message", "told"), BROKEN)
def test_a_broken_rule_is_a_reject_with_its_code_its_fields_and_their_values(project, message, told):
    reject = run(project, **message)["reject"]
    assert (reject["code"], reject["item"]) == ("contract_rule", 0)
    assert tuple(reject[name] for name in ("pointer", "field", "found", "expected")) == told


def test_a_rule_without_an_answer_is_broken(project):
    # The sum has more than 38 digits.
    reject = run(project, p=[{"n": "9" * 38}, {"n": "9" * 38}])["reject"]
    assert (reject["code"], reject["expected"]) == ("contract_rule", "sum_is_total: the parts make the total")
    assert reject["found"].startswith("no answer, because ")
    assert "38 digits" in reject["found"]


def test_the_schema_comes_first(project):
    assert run(project, t="x", s="1")["reject"]["code"] == "contract_invalid"


def test_a_canonical_event_meets_the_same_rules(project):
    project.write("mfgroute.yaml", MAIN.replace(", mappings: [m]", ""))
    plan = project.load(**{NAME: CONTRACT})

    def event(**quantity):
        data = {"id": "a", "count": 1, "quantity": quantity}
        envelope = {"specversion": "1.0", "id": "1", "source": "//x/y", "type": "com.example.thing.v1"}
        raw = json.dumps({**envelope, "data": data}).encode()
        return json.loads(_core.explain(plan, "src", raw, {}))

    assert event(total="1")["to"] == "thing/1"
    reject = event(total="1", scrap="1.01")["reject"]
    assert (reject["code"], reject["pointer"]) == ("contract_rule", "/data/quantity/scrap")
    assert reject["found"] == 'quantity.scrap is "1.01", quantity.total is "1"'


CHECK = '"!has(data.quantity.scrap) || data.quantity.scrap <= data.quantity.total"'
WRONG = [
    ("code: scrap_exceeds_total", "code: Scrap-Exceeds", "Scrap-Exceeds", "lowercase letters"),
    ("code: scrap_exceeds_total", "code: one_serial_each", "one_serial_each, check", None),
    ("code: scrap_exceeds_total", "cod: scrap_exceeds_total", "cod:", "did you mean code?"),
    ("message: the scrap is no more than the total", 'message: ""', '""', None),
    (CHECK, '"data.quantity.total"', '"data.quantity.total"', "compare it"),
    (CHECK, "'data.quantity.total > \"x\"'", "'data", None),
    (CHECK, '"data.quantity.scrap <= data.quantity.total"', '"data', "write !has(data.quantity.scrap) || …"),
    (CHECK, '"data.quantity.totl > 0"', '"data', "did you mean quantity.total?"),
    (CHECK, '"data.quantity.total - data.quantity.total == 0"', '"data', None),
    (CHECK, "\"source == 'x'\"", '"source', "known variables are data"),
    (CHECK, '"1 == 1"', '"1 ==', "name one"),
    (CHECK, '"data.quantity.total >"', '"data', None),
    (CHECK, "5", "5", 'quote it: "5"'),
    ('scrap: "1.5"}', 'scrap: "1.6"}', '"1.6"', None),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "value", "hint"), WRONG, ids=range(len(WRONG)))
def test_a_rule_or_example_that_is_wrong_is_shown_at_its_value(project, old, new, value, hint):
    assert old in CONTRACT
    broken = CONTRACT.replace(old, new, 1)
    wanted = [(n, line.index(value) + 1) for n, line in enumerate(broken.splitlines(), 1)
              if value in line and line not in CONTRACT.splitlines()]  # fmt: skip
    if not wanted:  # The second of two rules with one code.
        wanted = [(9, CONTRACT.splitlines()[8].index("one_serial_each") + 1)]
    error = project.problems(mapping(FIELDS), **{NAME: broken})
    assert wanted[0] in [(p.line, p.column) for p in error.problems], str(error)
    assert all(p.file in {NAME, "mappings/m.yaml"} for p in error.problems), str(error)
    [told] = [p for p in error.problems if (p.file, p.line, p.column) == (NAME, *wanted[0])]
    assert hint is None or hint in told.hint, str(error)


@pytest.mark.parametrize("text", ["rules: data.x", "rules: {code: a}"])
def test_rules_are_a_list(project, text):
    error = project.problems(mapping(FIELDS), **{NAME: CONTRACT.replace("rules:\n", f"{text}\nrulez:\n")})
    assert any("expected a list" in p.message for p in error.problems), str(error)


ONE_BY_ONE = "\n".join(
    line for line in CONTRACT.splitlines() if "code: one_" not in line and "code: sum_" not in line
)


@pytest.mark.parametrize(("contract", "on_trees"), [
    (ONE_BY_ONE + "\n", None),
    (CONTRACT, "rule sum_is_total looks at more than single fields"),
])  # fmt: skip
def test_rules_over_single_fields_leave_a_mapping_flat(project, contract, on_trees):
    plan = project.load(mapping(FIELDS), **{NAME: contract})
    [one] = plan.summary["mappings"]
    assert (one["flat"], one["on_trees"]) == (on_trees is None, on_trees)
    [found] = [c for c in plan.summary["contracts"] if c["type"] == "thing"]
    assert found["rules"] == (1 if on_trees is None else 3)


@pytest.mark.parametrize("contract", [CONTRACT, ONE_BY_ONE + "\n"])
def test_a_broken_rule_leaves_the_messages_beside_it_alone(project, contract):
    plan = project.load(mapping(FIELDS), **{NAME: contract})
    raw = [json.dumps(m).encode() for m in ({"c": 1, "t": "2", "s": "3"}, {"c": 1, "t": "2"})]
    with closing(_core.Engine(plan)) as engine:
        receipt = engine.submit("src", raw)
    assert (receipt.accepted, receipt.rejected) == (1, 1)
    assert [(one.message, one.code) for one in receipt.rejects] == [(0, "contract_rule")]
