"""What a mapping or a table says by itself is compared with the contract and the code sets before any message."""

import pytest

from .conftest import CONTRACT, mapping

NAME = "contracts/thing.v1.yaml"
M = "mappings/m.yaml"


def with_field(schema):
    return {NAME: CONTRACT.replace("TYPE", "thing") + f"    f: {schema}\n"}


# schema, field, and where the value stands in line 6
NEVER = [
    ("{type: string, maxLength: 3}", "{const: abcd}", "abcd"),
    ("{type: string, minLength: 3}", "{const: ab}", "ab}"),
    ('{type: string, pattern: "^[0-9]{4}$"}', '{const: "010"}', '"010"'),
    ("{type: number, minimum: 5}", "{const: 4.5}", "4.5"),
    ("{type: number, exclusiveMaximum: 5}", "{const: 5}", "5}"),
    ("{type: integer}", "{const: 1.5}", "1.5"),
    ("{type: number, multipleOf: 0.1}", "{const: 0.15}", "0.15"),
    ("{type: string, format: date}", "{const: 2026-02-30}", "2026"),
    ('{type: string, format: decimal, x-decimal: {max: "9"}}', '{const: "10"}', '"10"'),
    ("{type: string, x-codes: rec20}", "{const: KG}", "KG"),
    ("{const: a}", "{const: b}", "b}"),
    ("{allOf: [{type: string}, {maxLength: 1}]}", "{const: ab}", "ab"),
    ("{type: object, required: [a]}", "{const: {b: 1}}", "{b"),
    ("{type: array, items: {type: string}}", "{const: [1]}", "[1]"),
    ("{type: string, maxLength: 3}", "{path: a, default: abcd}", "abcd"),
    ("{type: string, maxLength: 3}", "{path: a, codes: {x: abc, y: abcd}}", "abcd"),
    ("{type: array, items: {enum: [b]}}", "{list: a, codes: {x: b, y: c}}", "c}}"),
    (
        "{type: string, maxLength: 1}",
        "{lookup: {table: t, key: [{path: a}], missing: {default: xy}}}",
        "xy",
    ),
    ("{type: integer}", "{concat: [{path: a}, {path: b}]}", "[{path: a}"),
    ("{type: boolean}", "{path: a, number: {}}", "{}}"),
    ("{type: integer}", "{path: a, text: [strip]}", "[strip"),
]


@pytest.mark.parametrize(("schema", "field", "value"), NEVER, ids=range(len(NEVER)))
def test_a_value_that_the_contract_never_accepts_is_refused_at_its_place(project, schema, field, value):
    project.write("lookups/t.csv", "k,v\nx,y\n")
    text = mapping(f"f: {field}")
    error = project.problems(text, **with_field(schema))
    column = text.splitlines()[5].rindex(value) + 1
    assert [(p.file, p.line, p.column) for p in error.problems] == [(M, 6, column)], str(error)
    assert "the contract never accepts" in error.problems[0].message


POSSIBLE = [
    ("{type: string, maxLength: 3}", "{const: äöü}"),
    ("{type: string, format: decimal}", "{const: 1.5, number: {}}"),
    ("{type: number}", "{path: a, number: {}, default: 0}"),
    ("{anyOf: [{type: string}, {type: number}]}", "{const: 1}"),
    ("{type: array, items: {enum: [b]}}", "{list: a, codes: {x: b}}"),
    ("{type: string, enum: [x]}", "{path: a, codes: {a: x, b: null}}"),
    ("{type: string, maxLength: 1}", "{path: a, codes: {ab: cde}, lookup: t}"),
    ("{type: [string, 'null'], maxLength: 3}", "{path: a}"),
    ("{unevaluatedProperties: false, type: object}", "{const: {}}"),
]


@pytest.mark.parametrize(("schema", "field"), POSSIBLE, ids=range(len(POSSIBLE)))
def test_a_value_that_the_contract_may_accept_installs(project, schema, field):
    project.write("lookups/t.csv", "k,v\ncde,y\n")
    (project.root / "contracts/other.v1.yaml").unlink()
    plan = project.load(mapping(f"f: {field}"), **with_field(schema))
    assert plan.problems == []


def test_a_cell_that_the_contract_never_accepts_is_a_warning_at_its_row(project):
    table = "k,v\na,KGM\nb,KG\nc,\nd,ST\n"
    plan = project.load(mapping("unit: {path: u, lookup: t}"), **{"lookups/t.csv": table})
    [found] = [p for p in plan.problems if p["file"] == "lookups/t.csv"]
    assert (found["line"], found["severity"]) == (3, "warning")
    assert '"KG", nor 1 others' in found["message"]


R3 = "round: {places: 3, mode: half_even}"


def unit(source, target="{const: KGM}", extra=""):
    return f"n: {{path: q, unit: {{from: {source}, to: {target}{extra}}}, {R3}}}"


UNKNOWN = [
    (unit("{path: u, codes: {kg: KGM, g: GR}}"), (6, "GR}"), ""),
    (unit("{path: u, codes: {kg: KG}}"), (6, "KG}"), "code set sap"),
    (unit("{path: u, codes: {kg: 1}}"), (6, "1}"), ""),
    (unit("{path: u, set: ucum}", "{codes: {g: KGMM}}"), (6, "KGMM"), ""),
    (unit("{path: u, code_set: {from: sap, to: ucum}}"), (6, "ucum"), "set: ucum"),
    (unit("{path: u}", "{field: x}") + "\nx: {path: u, codes: {g: KGMM}}", (7, "KGMM"), ""),
    (unit("{path: u}", "{field: x}") + "\nx: {const: KGMM}", (7, "KGMM"), ""),
]


@pytest.mark.parametrize(("fields", "place", "hint"), UNKNOWN, ids=range(len(UNKNOWN)))
def test_a_code_that_names_no_unit_is_refused_at_its_place(project, fields, place, hint):
    text = mapping(fields)
    error = project.problems(text)
    line, value = place
    column = text.splitlines()[line - 1].rindex(value) + 1
    assert [(p.file, p.line, p.column) for p in error.problems] == [(M, line, column)], str(error)
    assert hint in (error.problems[0].hint or "")


def warnings(project, fields, **tables):
    (project.root / "contracts/other.v1.yaml").unlink()
    files = {f"lookups/{name}.csv": text for name, text in tables.items()}
    return [(p["file"], p["line"], p["message"]) for p in project.load(mapping(fields), **files).problems]


def test_a_cell_that_names_no_unit_is_one_warning_at_its_row(project):
    fields = (
        unit("{path: u, lookup: t}")
        + "\nm: {path: r, unit: {from: {path: u, lookup: t}, to: {const: KGM}}, "
        + R3
        + "}"
    )
    found = warnings(project, fields, t="k,v\na,KGM\nb,KG\nc,ST\n")
    message = "KG is not a unit of code set rec20, nor are 1 others"
    assert found == [("lookups/t.csv", 3, message)]


BASE = "unit: {lookup: {table: base, key: [{path: m}]}}\n"
FACTOR = ", factor: {table: factors, key: [{path: $.m}, {path: u}], num: a, den: b}"
FACTORS = "m,u,a,b\nA,KAR,24,1\n"


@pytest.mark.parametrize(("source", "factor", "base", "first"), [
    ("{path: u, set: sap}", FACTOR, "m,unit\nA,H87\n", None),
    ("{path: u, set: sap}", FACTOR, "m,unit\nA,H87\nB,KGM\n", None),
    ("{path: u, set: sap}", FACTOR, "m,unit\nB,H87\nC,XCT\n", "2 of the units that table base gives, the first is H87 in line 2"),
    ("{path: u, set: sap}", "", "m,unit\nB,H87\n", None),
    ("{path: u, codes: {kg: KGM, l: LTR}}", "", "m,unit\nA,KGM\nB,LTR\nC,MTR\n", "the first is MTR in line 4"),
    ("{const: KGM}", "", "m,unit\nA,GRM\nB,H87\n", "the first is H87 in line 3"),
])  # fmt: skip
def test_a_unit_of_a_table_that_no_factor_leads_to_is_a_warning(project, source, factor, base, first):
    found = warnings(project, BASE + unit(source, "{field: unit}", factor), base=base, factors=FACTORS)
    assert [(file, line) for file, line, _ in found] == ([(M, 7)] if first else []), found
    assert not first or found[0][2].endswith(first), found


@pytest.mark.parametrize("field", [
    "v: {concat: [{path: a, default: x}, {path: b}]}",
    unit("{path: u, default: KGM}"),
    "v: {lookup: {table: t, key: [{path: a, default: x}]}}",
    "list: {list: a, default: []}",
])  # fmt: skip
def test_a_default_that_would_never_be_used_is_refused(project, field):
    project.write("lookups/t.csv", "k,v\nx,y\n")
    text = mapping(field)
    error = project.problems(text)
    assert [(p.file, p.line) for p in error.problems] == [(M, 6)], str(error)
    assert "default" in error.problems[0].message


def test_a_default_of_a_shared_rule_is_used(project):
    rule = {"rules/clean.yaml": "text: [strip]\ndefault: none\n"}
    [line] = project.run(mapping("v: {path: a, use: clean}"), {}, files=rule)
    assert line["data"]["v"] == "none"


def test_a_mistake_in_a_shared_rule_is_shown_where_the_rule_is_used(project):
    rule = {"rules/clean.yaml": "\n\ntext: [strap]\n"}
    text = mapping("v: {path: a, use: clean}")
    error = project.problems(text, **rule)
    column = text.splitlines()[5].index("clean") + 1
    assert [(p.file, p.line, p.column) for p in error.problems] == [(M, 6, column)], str(error)


def test_a_mapping_with_a_warning_is_installed(project):
    contract = CONTRACT.replace("TYPE", "thing").replace("[data.id]\nschema", "[data.sent]\nschema")
    contract = contract.replace("required: [id]", "required: [id, sent]") + "    sent: {type: string}\n"
    plan = project.load(mapping("sent: {path: sent_at}"), **{NAME: contract})
    assert any("send time" in p["message"] for p in plan.problems), plan.problems


META = ["souce.name", "file.nme", "recieved", "http.header.X-Plant", "filename"]


@pytest.mark.parametrize("name", META)
def test_a_misspelt_attribute_is_refused_in_fields_and_examples(project, name):
    text = (
        mapping(f"v: {{meta: {name}}}") + f"examples:\n  - {{name: one, given: {{}}, meta: {{{name}: x}}}}\n"
    )
    error = project.problems(text)
    assert [(p.file, p.line) for p in error.problems] == [(M, 6)], str(error)
    error = project.problems(text.replace(f"meta: {name}", "meta: file.name"))
    assert [(p.file, p.line) for p in error.problems] == [(M, 8)], str(error)
    assert error.problems[0].hint


ATTRIBUTES = [
    "source.name", "source.site", "received", "xml.root", "topic", "file.name", "file.path", "file.mtime",
    "file.line", "http.header.x-plant", "opcua.endpoint", "opcua.application_uri", "opcua.node", "edge.id",
    "mqtt.qos",
]  # fmt: skip


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_an_attribute_that_messages_have_is_taken(project, name):
    project.load(mapping(f"v: {{meta: {name}}}"))
