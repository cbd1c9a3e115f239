"""Units: code sets, dimensions, offsets, and what may not terminate."""

import pytest

from .conftest import mapping

R6 = "round: {places: 9, mode: half_even}"
R3 = "round: {places: 3, mode: half_even}"


def unit(source, target, extra=""):
    return f"n: {{path: q, unit: {{from: {source}, to: {target}}}{extra}}}"


CASES = [
    (unit("{path: u, set: sap}", "{const: KGM}", ", " + R6), {"q": "850", "u": "G"}, "0.85"),
    (unit("{path: u, set: sap}", "{const: KGM}", ", " + R6), {"q": "1", "u": "KG"}, "1"),
    (unit("{path: u, set: sap}", "{const: KGM}", ", " + R6), {"q": "1.5", "u": "TO"}, "1500"),
    (unit("{path: u, set: rec20}", "{const: KGM}", ", " + R6), {"q": "1", "u": "LBR"}, "0.45359237"),
    (unit("{path: u}", "{const: KGM}", ", " + R6), {"q": "1", "u": "GRM"}, "0.001"),
    (unit("{path: u, set: rec20}", "{const: GRM}", ", " + R6), {"q": "1.5", "u": "KGM"}, "1500"),
    (unit("{path: u, set: ucum}", "{const: CEL}", ", " + R3), {"q": "68", "u": "[degF]"}, "20"),
    (unit("{path: u, set: ucum}", "{const: CEL}", ", " + R3), {"q": "-40", "u": "[degF]"}, "-40"),
    (unit("{path: u, set: ucum}", "{const: CEL}", ", " + R3), {"q": "0", "u": "K"}, "-273.15"),
    (unit("{path: u, set: rec20}", "{const: KEL}", ", " + R3), {"q": "20", "u": "CEL"}, "293.15"),
    (unit("{path: u, set: rec20}", "{const: HUR}", ", " + R3), {"q": "90", "u": "MIN"}, "1.5"),
    (unit("{path: u, set: rec20}", "{const: HUR}", ", " + R3), {"q": "1", "u": "SEC"}, "0"),
    (unit("{path: u, set: rec20}", "{const: KGM}", ", " + R3), {"q": "1", "u": "MTR"}, "!unit_incompatible"),
    (unit("{path: u, set: rec20}", "{const: KGM}", ", " + R3), {"q": "1", "u": "H87"}, "!unit_incompatible"),
    (unit("{path: u, set: rec20}", "{const: KGM}", ", " + R3), {"q": "1", "u": "KG"}, "!unit_unknown"),
    (unit("{path: u, set: sap}", "{const: KGM}", ", " + R3), {"q": "1", "u": "kg"}, "!unit_unknown"),
    (unit("{path: u, set: sap}", "{const: KGM}", ", " + R3), {"q": "1", "u": ""}, "!unit_unknown"),
    (unit("{path: u, set: ucum}", "{const: BAR}", ", " + R3), {"q": "14.5", "u": "[psi]"}, "1"),
    (unit("{const: GRM}", "{const: KGM}"), {"q": "1"}, "0.001"),
    (unit("{const: GRM}", "{path: u}", ", " + R3), {"q": "1", "u": "KGM"}, "0.001"),
    (unit("{path: u, codes: {g: GRM}}", "{const: KGM}", ", " + R6), {"q": "5", "u": "g"}, "0.005"),
    (unit("{path: u, set: rec20}", "{const: KGM}", ", " + R3), {"q": "x", "u": "KGM"}, "!bad_number"),
    (unit("{path: u, set: rec20}", "{const: KGM}", ", " + R3), {"u": "KGM"}, None),
    (unit("{path: u, set: rec20}", "{const: KGM}", f', default: "7", {R3}'), {"u": "KGM"}, "7"),
    (unit("{path: u, set: rec20}", "{const: KGM}", f', default: "7", {R3}'), {}, "7"),
]


def check(found, expected):
    if isinstance(expected, str) and expected.startswith("!"):
        assert found.get("code") == expected[1:], found
    else:
        assert "code" not in found, found
        assert found.get("n") == expected, found


@pytest.mark.parametrize(("field", "message", "expected"), CASES, ids=range(len(CASES)))
def test_a_quantity_is_converted_within_its_dimension_only(one, field, message, expected):
    check(one(field, message), expected)


def test_a_quantity_without_its_unit_is_never_taken_as_converted(one):
    found = one(unit("{path: u, set: rec20}", "{const: KGM}", ", " + R3), {"q": "5"})
    assert found.get("code") in {"missing", "unit_unknown"}, found


def test_the_target_may_be_another_field_in_any_order(one):
    target = "{field: unit}"
    fields = unit("{path: u, set: sap}", target, ", " + R3) + "\nunit: {path: t}"
    check(one(fields, {"q": "850", "u": "G", "t": "KGM"}), "0.85")
    fields = "unit: {path: t}\n" + unit("{path: u, set: sap}", target, ", " + R3)
    check(one(fields, {"q": "850", "u": "G", "t": "KGM"}), "0.85")
    assert one(fields, {"q": "850", "u": "G", "t": "MTR"})["code"] == "unit_incompatible"


def test_a_target_by_codes_depends_on_the_unit_that_was_sent(one):
    field = unit("{path: u, set: ucum}", '{codes: {"[degF]": CEL, "[psi]": BAR}}', ", " + R3)
    check(one(field, {"q": "212", "u": "[degF]"}), "100")
    check(one(field, {"q": "14.5", "u": "[psi]"}), "1")
    found = one(field, {"q": "1", "u": "m"})
    assert found.get("code") == "code_unknown", found


CODE_SETS = [
    ("{from: sap, to: rec20}", "KG", "KGM"),
    ("{from: sap, to: rec20}", "ST", "H87"),
    ("{from: rec20, to: sap}", "KGM", "KG"),
    ("{from: ucum, to: rec20}", "kg", "KGM"),
    ("{from: sap, to: rec20}", "zzz", "!unit_unknown"),
]


@pytest.mark.parametrize(("sets", "code", "expected"), CODE_SETS)
def test_a_code_is_translated_between_sets(one, sets, code, expected):
    found = one(f"v: {{path: u, code_set: {sets}}}", {"u": code})
    if expected.startswith("!"):
        assert found.get("code") == expected[1:], found
    else:
        assert found.get("v") == expected, found


REFUSED = [
    (unit("{path: u, set: rec20}", "{const: HUR}"), "round"),
    (unit("{path: u, set: ucum}", "{const: CEL}"), "round"),
    (unit("{path: u, set: rec21}", "{const: KGM}"), "rec21"),
    (unit("{path: u}", "{const: KG}"), "KG"),
    (unit("{path: u}", "{field: nope}", ", " + R3), "nope"),
    (unit("{path: u}", "{}"), "source"),
    ("n: {path: q, unit: {from: {path: u}}}", "to"),
    ("n: {path: q, unit: {to: {const: KGM}}}", "from"),
    (unit("{const: MTR}", "{const: KGM}", ", " + R3), "MTR"),
    ("v: {path: u, code_set: {from: sapp, to: rec20}}", "sapp"),
    ("n: {path: q, number: {}, round: {places: 3, mode: bankers}}", "half_even"),
    ("n: {path: q, number: {}, round: {places: -1, mode: half_even}}", "places"),
    ("n: {path: q, number: {}, round: {places: 3}}", "mode"),
]


@pytest.mark.parametrize(("field", "word"), REFUSED)
def test_a_conversion_that_cannot_be_right_is_refused_before_it_runs(project, field, word):
    error = project.problems(mapping(field))
    found = [problem for problem in error.problems if (problem.file, problem.line) == ("mappings/m.yaml", 6)]
    assert any(word in f"{problem.message} {problem.hint}" for problem in found), str(error)


def test_two_fields_that_need_each_other_are_refused(project):
    error = project.problems(mapping("v: {field: w}\nw: {field: v}"))
    assert any(problem.line in {6, 7} for problem in error.problems), str(error)
