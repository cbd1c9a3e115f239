"""What `check` finds in a project before any message: each mistake at its place, with a hint."""

import json
import os
import subprocess
import sys

import pytest

import mfgroute

from .conftest import CONTRACT, MAIN, mapping

M, NAME, TABLE, FILE = "mappings/m.yaml", "contracts/thing.v1.yaml", "lookups/t.csv", "mfgroute.yaml"
THING = CONTRACT.replace("TYPE", "thing")
ROUND = "round: {places: 3, mode: half_even}"
TWO = MAIN.replace("[m]", "[m, n]")


def closed(*fields, required="id"):
    """The contract, closed, with more fields; its lines 10 and 11 say what is required and that it is closed."""
    text = THING.replace("required: [id]", f"required: [{required}]\n  additionalProperties: false")
    return text + "".join(f"    {field}\n" for field in fields)


def when(condition, head="from: {decode: json}"):
    return mapping("v: {path: a}", head=f"{head}\nwhen: {condition}")


@pytest.fixture
def found(project):
    """What is found in a project, in the order of places: severity, file, line, column, message, hint."""
    (project.root / "contracts/other.v1.yaml").unlink()

    def of(text=None, **files):
        try:
            problems = project.load(text or mapping("v: {path: a}"), **files).problems
        except mfgroute.ConfigError as error:
            problems = [
                {
                    name: getattr(one, name)
                    for name in ("severity", "file", "line", "column", "message", "hint")
                }
                for one in error.problems
            ]
        return [
            tuple(one[key] for key in ("severity", "file", "line", "column", "message", "hint"))
            for one in problems
        ]

    return of


def place_of(text, line, words):
    """The column at which words begin in a line, counted from 1."""
    return text.splitlines()[line - 1].index(words) + 1


# Ambiguous mappings. Line 6 of the main file lists them.
ALWAYS = [
    (mapping("v: {path: a}"), mapping("v: {path: b}"), "n"),
    (mapping("v: {path: a}"), when("{path: e, equals: X}"), "n"),
    (when("{path: e, equals: X}"), mapping("v: {path: a}"), "m"),
    (when("{path: e, equals: X}"), when("{path: $.e, in: [X, Y]}"), "m"),
    (when("{path: e, in: [X, Y]}"), when("{all: [{path: e, equals: Y}, {path: f, present: true}]}"), "n"),
    (when("{path: e, prefix: AB}"), when("{path: e, prefix: A}"), "m"),
    (when("{path: e, present: true}"), when("{path: e, equals: X}"), "n"),
    (when("{any: [{path: e, equals: X}, {path: f, equals: Y}]}"), when("{path: f, equals: Y}"), "n"),
    (
        when("{path: e, equals: X}", "from: {decode: xml, root: [A, B]}"),
        when("{path: e, equals: X}", "from: {decode: xml, root: [B]}"),
        "n",
    ),
]


@pytest.mark.parametrize(("one", "two", "never"), ALWAYS, ids=range(len(ALWAYS)))
def test_a_mapping_that_another_one_always_collides_with_is_refused(found, one, two, never):
    [(severity, file, line, column, message, hint)] = found(one, **{FILE: TWO, "mappings/n.yaml": two})
    assert (severity, file, line) == ("error", FILE, 6)
    assert column == place_of(TWO, 6, f"{never}]" if never == "n" else "m, n")
    assert f"the mapping {never} can take no message of source src" in message
    assert "when" in hint


def test_a_mapping_that_is_named_twice_is_refused(found):
    [(severity, file, line, column, message, hint)] = found(**{FILE: MAIN.replace("[m]", "[m, m]")})
    assert (severity, file, line, message, hint) == (
        "error", FILE, 6, "the mapping m is there twice", "name it once",
    )  # fmt: skip
    assert column == place_of(MAIN, 6, "m]") + 3


SOMETIMES = [
    (when("{path: e, equals: X}"), when("{path: f, equals: X}")),
    (when("{path: e, in: [X, Y]}"), when("{path: e, in: [Y, Z]}")),
    (when("{path: e, equals: 1}"), when("{path: e, in: [1.0, 2]}")),
    (when("{path: e, prefix: A}"), when("{path: e, in: [AB, CD]}")),
    (when("{path: e.a, present: true}"), when("{path: e.b, present: true}")),
]


@pytest.mark.parametrize(("one", "two"), SOMETIMES, ids=range(len(SOMETIMES)))
def test_mappings_that_may_want_the_same_message_are_a_warning(found, one, two):
    [(severity, file, line, column, message, hint)] = found(one, **{FILE: TWO, "mappings/n.yaml": two})
    assert (severity, file, line, column) == ("warning", FILE, 6, place_of(TWO, 6, "n]"))
    assert message == "a message of source src may be wanted by the mappings m and n"
    assert "mapping_ambiguous" in hint


APART = [
    (when("{path: e, equals: X}"), when("{path: e, equals: Y}")),
    (when("{path: e, equals: X}"), when("{all: [{path: f, present: true}, {path: e, equals: Y}]}")),
    (when("{path: e, present: true}"), when("{path: e, present: false}")),
    (when("{path: e, prefix: A}"), when("{path: e, in: [BA, C]}")),
    # Not known: nothing is said.
    (when("{path: e, equals: X}"), when("{not: {path: e, equals: X}}")),
    (when("{cel: message.e == 'X'}"), when("{cel: message.e == 'Y'}")),
    (when("{path: e.a, present: true}"), when("{path: e, present: false}")),
    (
        mapping("v: {path: a}", head="from: {decode: xml, root: [A]}"),
        mapping("v: {path: a}", head="from: {decode: xml, root: [B]}"),
    ),
    # `empty` makes X absent for the one and not for the other.
    (
        when("{path: e, equals: X}"),
        when("{path: e, equals: X}", "from: {decode: json, empty: [X]}"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("one", "two"), APART[:-1], ids=range(len(APART) - 1))
def test_mappings_that_differ_in_one_place_are_not_ambiguous(found, one, two):
    assert found(one, **{FILE: TWO, "mappings/n.yaml": two}) == []


def test_what_is_a_value_for_one_mapping_only_makes_no_certain_collision(found):
    one, two = APART[-1]
    [(severity, *_)] = found(one, **{FILE: TWO, "mappings/n.yaml": two})
    assert severity == "warning"


def test_a_mapping_that_no_source_uses_is_a_warning_at_its_start(found):
    [(severity, file, line, column, message, hint)] = found(**{"mappings/n.yaml": mapping("v: {path: b}")})
    assert (severity, file, line, column) == ("warning", "mappings/n.yaml", 1, 1)
    assert message == "no source uses the mapping n"
    assert "mappings" in hint


@pytest.mark.parametrize("field", ["v: {path: a, lookup: t}", "v: {path: a}"], ids=["used", "unused"])
def test_a_key_that_is_there_twice_in_a_table_is_refused_at_its_row(found, field):
    [(severity, file, line, column, message, hint)] = found(mapping(field), **{TABLE: "k,v\na,1\nb,1\na,2\n"})
    assert (severity, file, line, column) == ("error", TABLE, 4, 1)
    assert message == "the key a is there twice, first in line 2"
    assert hint


def test_rows_of_an_unused_table_that_more_keys_tell_apart_are_no_mistake(found):
    assert found(**{TABLE: "k,l,v\na,1,x\na,2,y\n"}) == []


def unit(source, target="{const: KGM}"):
    return f"n: {{path: q, unit: {{from: {source}, to: {target}}}, {ROUND}}}"


UNITS = [
    ("{const: LTR}", "{const: LTR}", "LTR is a unit of volume, KGM of mass", "factor"),
    ("{path: u, codes: {l: LTR, kg: KGM}}", "LTR,", "LTR is a unit of volume, KGM of mass, and there is no factor", "factor"),
    ("{path: u, codes: {x: KGX}}", "KGX", "KGX is not a unit of code set rec20", "codes"),
    ("{path: u, codes: {x: KG}}", "KG}", "KG is not a unit of code set rec20", "set: sap"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "at", "told", "advice"), UNITS, ids=range(len(UNITS)))
def test_a_unit_without_a_factor_is_refused_at_its_place(found, source, at, told, advice):
    text = mapping(unit(source))
    [(severity, file, line, column, message, hint)] = found(text)
    assert (severity, file, line, column, message) == ("error", M, 6, place_of(text, 6, at), told)
    assert advice in hint


def test_a_table_that_serves_several_fields_may_have_units_that_do_not_suit_one(found):
    table = "k,v\na,KGM\nb,LTR\nc,MTR\n"
    assert found(mapping(unit("{path: u, lookup: t}")), **{TABLE: table}) == []


def test_a_table_of_units_without_a_factor_is_a_warning_at_its_first_row(found):
    table = "k,v\nb,LTR\nc,MTR\n"
    [(severity, file, line, column, message, hint)] = found(
        mapping(unit("{path: u, lookup: t}")), **{TABLE: table}
    )
    assert (severity, file, line, column) == ("warning", TABLE, 2, 1)
    assert message.startswith(
        "LTR is a unit of volume, KGM of mass, and there is no factor; nor is there one for 1"
    )
    assert "factor" in hint


OBJECT = "{type: object, required: [a, b], properties: {a: {}, b: {}}}"
LIST = f"w: {{type: array, items: {OBJECT}}}"
# Field, contract, what no field makes, and where that is told.
MISSING = [
    ("v: {path: a}", closed("v: {}", "q: {type: string}", required="id, q"), "q", (3, "thing/1")),
    ("w.a: {path: a}", closed(f"w: {OBJECT}", required="id, w"), "w.b", (6, "w.a")),
    ("w.a: {path: a}", closed(f"w: {OBJECT}"), "w.b", (6, "w.a")),
    ("w: {list: x, fields: {a: {path: a}}}", closed(LIST), "w[].b", (6, "{a:")),
]


@pytest.mark.parametrize(("field", "contract", "missing", "where"), MISSING, ids=range(len(MISSING)))
def test_a_required_field_that_no_field_makes_is_refused(found, field, contract, missing, where):
    text = mapping(field)
    [(severity, file, line, column, message, hint)] = found(text, **{NAME: contract})
    assert (severity, file, line, column) == ("error", M, where[0], place_of(text, *where))
    assert f"requires {missing}, which no field makes" in message
    assert hint == f"add it to `fields`, for example {missing.removeprefix('w[].')}: {{path: …}}"


@pytest.mark.parametrize("fields", [
    "w.a: {path: a}\nw.b: {path: b}", "w: {path: a}", "w: {list: x, fields: {a: {path: a}, b: {path: b}}}",
])  # fmt: skip
def test_a_required_field_may_be_made_with_its_object(found, fields):
    schema = LIST if "list" in fields else f"w: {OBJECT}"
    assert found(mapping(fields), **{NAME: closed(schema, required="id, w")}) == []


SEVERITY = "{enum: [minor, major]}"
# Field, schema, where it is told, what is said to be expected, a word of the hint.
NEVER = [
    ("{const: abcd}", "{type: string, maxLength: 3}", "abcd", "at most 3 characters", "mend the value"),
    ("{const: majr}", SEVERITY, "majr", "one of", "did you mean major?"),
    ("{path: a, codes: {x: major, y: majr}}", SEVERITY, "majr", "one of", "did you mean major?"),
    ("{path: a, codes: {x: small}}", "{const: minor}", "small", '"minor"', "mend the value"),
    ("{path: a, default: none}", SEVERITY, "none", "one of", "mend the value"),
    ("{path: a, text: [strip, upper]}", SEVERITY, "[strip", "one of minor, major", "make what"),
    ("{path: a, number: {}}", SEVERITY, "{}", "one of minor, major", "make what"),
    ("{path: a, number: {}}", "{type: boolean}", "{}", "boolean", "make what"),
    ("{path: a, number: {}}", "{type: string, format: date}", "{}", "format date", "make what"),
    ("{date: {path: a, zone: UTC}}", "{type: string, format: date-time}", "{path", "format date-time", "make what"),
    ("{date: {path: a, zone: UTC}}", "{type: string, format: decimal}", "{path", "format decimal", "make what"),
    ("{date: {path: a, zone: UTC}}", "{type: integer}", "{path", "integer", "make what"),
    ("{time: {path: a}}", "{type: string, format: date}", "{path", "format date", "make what"),
    ("{list: a}", "{type: string}", "a}", "string", "path"),
    ("{path: a, lookup: t}", SEVERITY, "t}", "one of", "lookups/t.csv"),
    ("{path: a, lookup: {table: t, take: v}}", "{const: minor}", "{table", '"minor"', "lookups/t.csv"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "schema", "at", "expected", "advice"), NEVER, ids=range(len(NEVER)))
def test_a_field_that_its_contract_never_accepts_is_refused(  # noqa: PLR0917 - a row of the table
    found, field, schema, at, expected, advice
):
    text = mapping(f"vv: {field}")
    files = {NAME: closed(f"vv: {schema}"), TABLE: "k,v\na,1\nb,2\n"}
    [(severity, file, line, column, message, hint)] = found(text, **files)
    assert (severity, file, line, column) == ("error", M, 6, place_of(text, 6, at)), message
    assert "the contract never accepts" in message
    assert expected in message
    assert advice in hint


POSSIBLE = [
    ("{path: a, text: [upper]}", "{enum: [minor, MAJOR]}"),
    ("{path: a, text: [upper, strip]}", SEVERITY),
    ("{path: a, number: {}}", '{enum: [minor, "5"]}'),
    ("{path: a, number: {}}", "{type: number}"),
    ("{date: {path: a, zone: UTC}}", "{type: string, format: date}"),
    ("{date: {path: a, zone: UTC}}", "{type: string, format: hostname}"),
    ("{time: {path: a}}", "{type: string, format: date-time}"),
    ("{path: a, lookup: {table: t, missing: keep}}", SEVERITY),
    ("{path: a, lookup: t, default: minor}", SEVERITY),
]


@pytest.mark.parametrize(("field", "schema"), POSSIBLE, ids=range(len(POSSIBLE)))
def test_a_field_that_its_contract_may_accept_is_no_error(found, field, schema):
    problems = found(mapping(f"vv: {field}"), **{NAME: closed(f"vv: {schema}"), TABLE: "k,v\na,1\nb,2\n"})
    assert [one for one in problems if one[0] == "error"] == []


@pytest.mark.parametrize(("field", "advice"), [
    ("datum", "did you mean date?"), ("nobody_knows", "which has id, date, at"), ("x", "which has id, date, at"),
])  # fmt: skip
def test_a_field_that_no_property_allows_is_refused_at_its_name(found, field, advice):
    text = mapping(f"{field}: {{path: a}}")
    [(severity, file, line, column, message, hint)] = found(text, **{NAME: closed()})
    assert (severity, file, line, column) == ("error", M, 6, place_of(text, 6, field))
    assert message == f"the contract has no field {field}"
    assert advice in hint


@pytest.mark.parametrize(("old", "new", "line"), [
    ("key: {thing: [data.id]}", "key: {thing: [data.date]}", 7),
    ("idempotency: [data.id]", "idempotency: [data.date]", 8),
])  # fmt: skip
def test_a_key_or_identity_field_that_is_not_required_is_refused(found, old, new, line):
    contract = THING.replace(old, new)
    problems = [one for one in found(**{NAME: contract}) if one[1] == NAME]
    [(severity, _, where, column, message, hint)] = problems
    assert (severity, where, column) == ("error", line, place_of(contract, line, "data.date"))
    assert message.endswith("field date is not required by the schema")
    assert "`required`" in hint


def test_the_command_says_place_and_hint_for_people_and_for_programs(project):
    project.write("mappings/m.yaml", mapping("datum: {path: a}")).write(NAME, closed())
    command = [sys.executable, "-m", "mfgroute", "check", "-c", str(project.root)]
    told = subprocess.run(command, capture_output=True, check=False, env=dict(os.environ), text=True)
    assert told.returncode == 78
    assert f"{M}:6:7: the contract has no field datum\n  hint: did you mean date?" in told.stderr
    told = subprocess.run(
        [*command, "--output", "json"], capture_output=True, check=False, env=dict(os.environ), text=True
    )
    [problem] = json.loads(told.stdout)["problems"]
    assert (problem["file"], problem["line"], problem["column"], problem["hint"]) == (
        M, 6, 7, "did you mean date?",
    )  # fmt: skip
