"""Expressions: exact decimals, types, guards, and failures at run time."""

import pytest

from mfgroute import _core

from .conftest import CONTRACT, MAIN, lines, mapping

RICH = (
    CONTRACT.replace("TYPE", "thing").replace("required: [id]", "required: [id, q, k]")
    + """\
    q: {type: string, format: decimal, x-decimal: {digits: 30, places: 10}}
    k: {type: integer}
    opt: {type: string}
    level: {enum: [minor, major]}
    sub: {type: object, properties: {x: {type: string}, d: {type: string, format: decimal}}}
"""
)
FIELDS = """\
q: {path: q, number: {}}
k: {path: k}
opt: {path: opt}
level: {path: level}
sub.x: {path: x}
"""
MESSAGE = {"q": "1.5", "k": 3}


def routed(project, where, message, *, fields=FIELDS):
    project.write("contracts/thing.v1.yaml", RICH)
    quoted = where.replace("'", "''")
    main = MAIN.replace('{type: ">"}, to: log', f"{{type: thing/1}}, where: '{quoted}', to: log")
    plan = project.load(mapping(fields), **{"mfgroute.yaml": main})
    [line] = lines(plan, {**MESSAGE, **message})
    return line["sinks"] if "sinks" in line else line


WHERE = [
    ("data.q > 1.5", {"q": "1.5"}, False),
    ("data.q >= 1.5", {"q": "1.50"}, True),
    ("data.q == 1.50", {"q": "1.5"}, True),
    ("data.q > 9", {"q": "10"}, True),
    ("data.q < 9", {"q": "10"}, False),
    ("data.q == 0.1", {"q": "0.1"}, True),
    ("data.q > 0.1", {"q": "0.1000000001"}, True),
    ("data.q != 0.3", {"q": "0.3"}, False),
    ("data.q == 9007199254740993", {"q": "9007199254740992"}, False),
    ("data.q > 9007199254740992", {"q": "9007199254740993"}, True),
    ("data.q < -1", {"q": "-1.0001"}, True),
    ("data.q == -0.0", {"q": "0"}, True),
    ("data.q > 0 && data.k == 3", {"q": "1"}, True),
    ("!(data.q > 0)", {"q": "1"}, False),
    ("data.q > 0 ? data.k == 3 : false", {"q": "1"}, True),
    ("data.k in [1, 3]", {}, True),
    ('has(data.level) && data.level in ["major"]', {"level": "major"}, True),
    ('has(data.level) && data.level in ["major"]', {"level": "minor"}, False),
    ('has(data.level) && data.level in ["major"]', {}, False),
    ('!has(data.opt) || data.opt == "x"', {}, True),
    ('has(data.sub) && has(data.sub.x) && data.sub.x.startsWith("a")', {"x": "abc"}, True),
    ('type == "thing/1" || type.contains("thing")', {}, True),
    ('source == "src" || source.endsWith("/src")', {}, True),
    ("size(data.id) == 1", {}, True),
    ("data.k > 2", {}, True),
    ("data.k % 2 == 1", {}, True),
]


@pytest.mark.parametrize(("where", "message", "expected"), WHERE)
def test_a_route_chooses_by_an_exact_expression(project, where, message, expected):
    assert routed(project, where, message) == (["log"] if expected else [])


REFUSED = [
    ("data.q + 1 > 2", "arithmetic"),
    ("data.q * data.q > 2", "arithmetic"),
    ("-data.q > 2", "arithmetic"),
    ("data.q == data.id", ""),
    ('data.q == "abc"', "abc"),
    ('data.level == "major"', "has("),
    ('data.opt == "x"', "has("),
    ('has(data.sub) && data.sub.x == "x"', "has("),
    ('has(data.level) || data.level == "major"', "has("),
    ('data.k == "3"', ""),
    ("data.k", "bool"),
    ('"x"', "bool"),
    ("data.q >", ""),
    ("data.q > 1 data", ""),
    ("nope(data.q)", "nope"),
    ("foo.q > 1", "foo"),
    ("", ""),
    ("data.id.matches('(')", ""),
    ("data.q in [1.0", ""),
]


@pytest.mark.parametrize(("where", "word"), REFUSED)
def test_an_expression_that_may_fail_or_lie_is_refused_with_its_place(project, where, word):
    import mfgroute

    with pytest.raises(mfgroute.ConfigError) as info:
        routed(project, where, {})
    found = [p for p in info.value.problems if (p.file, p.line) == ("mfgroute.yaml", 10)]
    assert any(word in f"{p.message} {p.hint}" for p in found), str(info.value)


NAMED = [
    (
        'data.k == "3"',
        "the condition is wrong for thing/1 at character 1: data.k is an integer",
        "without quotes",
    ),
    ("data.q > 0 && data.k", "at character 15: `&&` needs a bool, data.k is an integer", "data.k > 0"),
    ('has(data.level) && data.level == "mjor"', "at character 20: data.level is never", "contract"),
    ('data.k in [1, "2"]', "at character 15: ", "one type"),
    ('data.id.lowerAscii() == "x"', "at character 1: unknown function lowerAscii", "startsWith"),
]


@pytest.mark.parametrize(("where", "message", "hint"), NAMED)
def test_a_wrong_type_is_named_with_its_place_and_a_hint(project, where, message, hint):
    import mfgroute

    with pytest.raises(mfgroute.ConfigError) as info:
        routed(project, where, {})
    [problem] = info.value.problems
    assert (problem.file, problem.line) == ("mfgroute.yaml", 10)
    assert message in problem.message
    assert hint in problem.hint


def test_a_condition_holds_for_each_contract_that_its_route_may_take(project):
    text = RICH.replace("type: thing", "type: other").replace("k: {type: integer}", "k: {type: string}")
    main = MAIN.replace('{type: ">"}, to: log', "{type: \">\"}, where: 'data.k == 3', to: log")
    files = {"mfgroute.yaml": main, "contracts/thing.v1.yaml": RICH, "contracts/other.v1.yaml": text}
    [problem] = project.problems(mapping("q: {const: '1'}\nk: {const: 1}"), **files).problems
    assert "other/1" in problem.message
    assert "data.k is a text" in problem.message


WRONG_WHEN = [
    '"x"',
    "size(message.l)",
    'meta["file.name"] > 1',
    "message.n && 1",
    "nope(message.n)",
    '1 == "1"',
]


@pytest.mark.parametrize("text", WRONG_WHEN)
def test_a_condition_of_a_mapping_that_can_never_hold_is_refused(project, text):
    error = project.problems(mapping("v: {const: 1}", entry=f"when: {{cel: '{text}'}}"))
    [problem] = error.problems
    assert (problem.file, problem.line) == ("mappings/m.yaml", 4), str(error)
    assert problem.hint
    error = project.problems(mapping("list: {list: l, when: {all: [{cel: '1'}]}}"))
    assert any(problem.line == 6 for problem in error.problems), str(error)


def test_arithmetic_on_a_decimal_has_a_hint(project):
    import mfgroute

    with pytest.raises(mfgroute.ConfigError) as info:
        routed(project, "data.q + 1 > 2", {})
    assert info.value.problems[0].hint


WHEN = [
    ('message.t == "a"', {"t": "a"}, "1"),
    ('message.t == "a"', {"t": "b"}, "-"),
    ('message.t == "a"', {}, "!expression_failed"),
    ('has(message.t) && message.t == "a"', {}, "-"),
    ("message.n > 1", {"n": "x"}, "!expression_failed"),
    ("message.n > 1", {"n": 2}, "1"),
    ("message.n / 0 > 1", {"n": 2}, "!expression_failed"),
    ("message.l[3] == 1", {"l": [1]}, "!expression_failed"),
    ("message.l.exists(x, x == 2)", {"l": [1, 2]}, "1"),
    ("item.n > 1", {"n": 2}, "1"),
    ("9223372036854775807 + message.n > 0", {"n": 1}, "!expression_failed"),
    ("message.n", {"n": 2}, "!expression_failed"),
]


def outcome(line):
    if "reject" in line:
        return "!" + line["reject"]["code"]
    return "-" if "filtered" in line else line["data"]["id"]


@pytest.mark.parametrize(("text", "message", "expected"), WHEN)
def test_an_entry_is_chosen_by_an_expression(project, text, message, expected):
    entry = f"when: {{cel: '{text}'}}"
    [line] = project.run(mapping("v: {const: 1}", entry=entry), message)
    if expected == "-":
        assert "filtered" in line or line["reject"]["code"] == "no_output"
    else:
        assert outcome(line) == expected


FIELD = [
    ("message.a + message.b", {"a": "x", "b": "y"}, "xy"),
    ('message.n > 1 ? "big" : "small"', {"n": 2}, "big"),
    ("has(message.zz)", {}, False),
]


COMPUTED = [("message.n + 1", {"n": 1}, 2), ("size(message.l)", {"l": [1, 2]}, 2)]


@pytest.mark.parametrize(("text", "message", "expected"), COMPUTED)
def test_a_computed_number_has_the_type_of_the_contract(project, text, message, expected):
    project.write("contracts/thing.v1.yaml", RICH)
    fields = f"q: {{const: '1'}}\nk: {{cel: '{text}'}}"
    assert project.run(mapping(fields), message)[0]["data"]["k"] == expected


CLOSED = RICH.replace("  properties:\n    id", "  additionalProperties: false\n  properties:\n    id", 1)


@pytest.mark.parametrize("where", ['data.leve == "major"', 'has(data.leve) && data.leve == "major"'])
def test_a_field_that_the_contract_cannot_have_is_a_typo_and_not_optional(project, where):
    main = MAIN.replace('{type: ">"}, to: log', f"{{type: thing/1}}, where: '{where}', to: log")
    files = {"mfgroute.yaml": main, "contracts/thing.v1.yaml": CLOSED}
    error = project.problems(mapping("q: {const: '1'}\nk: {const: 1}"), **files)
    assert any("level" in f"{p.message} {p.hint}" for p in error.problems), str(error)


@pytest.mark.parametrize(("text", "message", "expected"), FIELD)
def test_a_field_is_made_by_an_expression(one, text, message, expected):
    assert one(f"v: {{cel: '{text}'}}", message).get("v") == expected


CONDITIONS = [
    ("{path: t, equals: a}", {"t": "a"}, True),
    ("{path: t, equals: a}", {"t": "A"}, False),
    ("{path: t, equals: 1}", {"t": 1}, True),
    ("{path: t, equals: true}", {"t": True}, True),
    ("{path: t, in: [a, b]}", {"t": "b"}, True),
    ("{path: t, in: [a, b]}", {}, False),
    ("{path: t, present: true}", {"t": ""}, True),
    ("{path: t, present: true}", {}, False),
    ("{path: t, present: false}", {}, True),
    ("{path: t, prefix: ab}", {"t": "abc"}, True),
    ("{path: t, prefix: ab}", {"t": "cab"}, False),
    ("{not: {path: t, equals: a}}", {}, True),
    ("{all: [{path: t, equals: a}, {not: {path: u, present: true}}]}", {"t": "a"}, True),
    ("{any: [{path: t, equals: a}, {path: u, equals: a}]}", {"u": "a"}, True),
    ("{path: 't[*]', equals: a}", {"t": ["b", "a"]}, True),
    ("{not: {path: 't[*]', in: [a, c]}}", {"t": ["b", "a"]}, False),
]


@pytest.mark.parametrize(("when", "message", "expected"), CONDITIONS)
def test_a_plain_condition_needs_no_expression(project, when, message, expected):
    [line] = project.run(mapping("v: {const: 1}", entry=f"when: {when}"), message)
    assert ("data" in line) == expected, line


@pytest.mark.parametrize("when", ["{path: t}", "{equals: a}", "{path: t, equal: a}", "{not: []}", "[]"])
def test_a_condition_that_says_nothing_is_refused(project, when):
    error = project.problems(mapping("v: {const: 1}", entry=f"when: {when}"))
    assert any((p.file, p.line) == ("mappings/m.yaml", 4) for p in error.problems), str(error)


def test_every_reject_code_has_a_meaning():
    codes = _core.reject_codes()
    assert len({code for code, _ in codes}) == len(codes)
    assert all(meaning.endswith(".") for _, meaning in codes)
