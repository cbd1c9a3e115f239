"""Comparing schemas: what is called compatible is, and what is called breaking has a document that shows it."""

import copy
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

import mfgroute
from mfgroute import _core
from mfgroute.schemas import compare
from mfgroute.schemas.meaning import All, every
from mfgroute.schemas.plain import plain
from mfgroute.schemas.sample import samples
from mfgroute.testing import check_schema

CONTRACTS = Path(mfgroute.__file__).parent / "packs" / "canonical" / "contracts"


def valid(schema, document):
    return not check_schema(schema, document, formats=True)


def check(first, second, verdict, pointer=None, **given_):
    """Compare, and hold every counterexample to the engine."""
    found = compare(first, second, **given_)
    assert found.verdict == verdict, found.differences
    for one in found.differences:
        if one.proven:
            assert valid(first, one.counterexample)
            assert not valid(second, one.counterexample)
            assert "expected" in one.reason
    if pointer is not None:
        assert pointer in [one.pointer for one in found.differences]
    return found


# Changes of a contract, as people make them.

THING = {
    "type": "object",
    "required": ["id", "kind"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 10, "title": "Id"},
        "kind": {"enum": ["a", "b"]},
        "operation": {"type": "string", "pattern": "^[0-9]{4}$"},
        "amount": {"type": "string", "format": "decimal", "x-decimal": {"min": "0", "digits": 13, "places": 3}},
        "unit": {"type": "string", "x-codes": "rec20"},
        "day": {"type": "string", "format": "date"},
        "count": {"type": "integer", "minimum": 0, "maximum": 99},
        "lots": {"type": "array", "minItems": 1, "maxItems": 5, "items": {"type": "string", "maxLength": 4}},
        "more": {
            "type": "object", "required": ["x"], "additionalProperties": False,
            "properties": {"x": {"type": "boolean"}, "y": {"type": "boolean"}},
        },
    },
    "dependentRequired": {"amount": ["unit"]},
    "if": {"required": ["kind"], "properties": {"kind": {"const": "b"}}},
    "then": {"required": ["count"]},
}  # fmt: skip
GONE = object()

# Pointer, new value, verdict of old within new (backward), verdict of new within old (forward).
CHANGES = [
    ("/properties/id/title", "Another", "compatible", "compatible"),
    ("/properties/id/maxLength", 20, "compatible", "breaking"),
    ("/properties/id/maxLength", 5, "breaking", "compatible"),
    ("/properties/id/minLength", GONE, "compatible", "breaking"),
    ("/properties/id/pattern", "^[A-Z]+$", "breaking", "compatible"),
    ("/properties/id/type", ["string", "integer"], "compatible", "breaking"),
    ("/properties/kind/enum", ["a", "b", "c"], "compatible", "breaking"),
    ("/properties/kind/enum", ["b", "a"], "compatible", "compatible"),
    ("/properties/kind/enum", ["a"], "breaking", "compatible"),
    ("/properties/operation/pattern", "^[0-9]{4,6}$", "compatible", "breaking"),
    ("/properties/operation/pattern", "^\\d{4}$", "compatible", "compatible"),
    ("/properties/operation/pattern", "^[0-9]{3}0$", "breaking", "compatible"),
    ("/properties/operation/maxLength", 4, "compatible", "compatible"),
    ("/properties/amount/x-decimal/places", 4, "compatible", "breaking"),
    ("/properties/amount/x-decimal/digits", 15, "compatible", "breaking"),
    ("/properties/amount/x-decimal/min", "0.00", "compatible", "compatible"),
    ("/properties/amount/x-decimal/min", GONE, "compatible", "breaking"),
    ("/properties/amount/x-decimal/max", "100", "breaking", "compatible"),
    ("/properties/amount/x-decimal", GONE, "compatible", "breaking"),
    ("/properties/amount/format", GONE, "compatible", "compatible"),
    ("/properties/unit/x-codes", "sap_iso", "breaking", "breaking"),
    ("/properties/unit/x-codes", GONE, "compatible", "breaking"),
    ("/properties/day/format", "date-time", "breaking", "breaking"),
    ("/properties/day/maxLength", 10, "compatible", "compatible"),
    ("/properties/count/maximum", 100, "compatible", "breaking"),
    ("/properties/count/exclusiveMinimum", -1, "compatible", "compatible"),
    ("/properties/count/exclusiveMinimum", 0, "breaking", "compatible"),
    ("/properties/count/type", "number", "compatible", "breaking"),
    ("/properties/count/multipleOf", 1, "compatible", "compatible"),
    ("/properties/count/multipleOf", 5, "breaking", "compatible"),
    ("/properties/lots/maxItems", 500, "compatible", "breaking"),
    ("/properties/lots/minItems", 2, "breaking", "compatible"),
    ("/properties/lots/uniqueItems", True, "breaking", "compatible"),
    ("/properties/lots/items/maxLength", 5, "compatible", "breaking"),
    ("/properties/lots/contains", {"const": "x"}, "breaking", "compatible"),
    ("/properties/more/required", ["x", "y"], "breaking", "compatible"),
    ("/properties/more/required", GONE, "compatible", "breaking"),
    ("/properties/more/minProperties", 1, "compatible", "compatible"),
    ("/properties/more/maxProperties", 2, "compatible", "compatible"),
    ("/properties/more/maxProperties", 1, "breaking", "compatible"),
    ("/properties/more/propertyNames", {"maxLength": 1}, "compatible", "compatible"),
    ("/properties/more/propertyNames", {"const": "x"}, "breaking", "compatible"),
    ("/properties/new", {"type": "string"}, "compatible", "breaking"),
    ("/properties/day", GONE, "breaking", "compatible"),
    ("/properties/day", False, "breaking", "compatible"),
    ("/additionalProperties", True, "compatible", "breaking"),
    ("/required", ["id", "kind", "unit"], "breaking", "compatible"),
    ("/required", ["id"], "compatible", "breaking"),
    ("/dependentRequired", GONE, "compatible", "breaking"),
    ("/dependentRequired", {"amount": ["unit", "day"]}, "breaking", "compatible"),
    ("/dependentRequired", {"amount": ["unit", "kind"]}, "compatible", "compatible"),
    ("/then", {"required": ["count", "day"]}, "breaking", "compatible"),
    ("/then", {"required": ["count", "id"]}, "compatible", "compatible"),
    ("/then", GONE, "compatible", "breaking"),
    ("/if/properties/kind/const", "a", "breaking", "breaking"),
    ("/else", {"required": ["day"]}, "breaking", "compatible"),
    ("/anyOf", [{"required": ["id"]}, {"required": ["day"]}], "compatible", "compatible"),
    ("/anyOf", [{"required": ["unit"]}, {"required": ["day"]}], "breaking", "compatible"),
    ("/not", {"required": ["nobody"]}, "compatible", "compatible"),
    ("/not", {"required": ["day"]}, "breaking", "compatible"),
    ("/dependentSchemas", {"day": {"required": ["unit"]}}, "breaking", "compatible"),
    ("/allOf", [{"required": ["id"]}, {"properties": {"id": {"minLength": 1}}}], "compatible", "compatible"),
]  # fmt: skip


def changed(schema, pointer, value):
    made = copy.deepcopy(schema)
    *steps, last = pointer.split("/")[1:]
    at = made
    for step in steps:
        at = at[step]
    if value is GONE:
        del at[last]
    else:
        at[last] = value
    return made


@pytest.mark.parametrize(("pointer", "value", "backward", "forward"), CHANGES)
def test_a_change_of_a_contract_is_judged_in_both_directions(pointer, value, backward, forward):
    new = changed(THING, pointer, value)
    check(THING, new, backward)
    check(new, THING, forward)


@pytest.mark.parametrize(("first", "second", "verdict"), [
    ({"type": "number"}, {"type": "integer"}, "breaking"),
    ({"type": "integer"}, {"type": "number"}, "compatible"),
    ({"type": ["string", "integer"]}, {"anyOf": [{"type": "string"}, {"type": "number"}]}, "compatible"),
    ({"type": ["string", "integer"]}, {"oneOf": [{"type": "string"}, {"type": "number"}]}, "compatible"),
    ({"type": "integer"}, {"oneOf": [{"type": "integer"}, {"type": "number"}]}, "breaking"),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": ["string", "null"]}, "compatible"),
    ({"type": ["boolean", "null"]}, {"enum": [True, False, None]}, "compatible"),
    ({"const": 1}, {"const": True}, "breaking"),
    ({"const": 1}, {"const": 1.0}, "compatible"),
    (False, {"type": "string"}, "compatible"),
    (True, {}, "compatible"),
    ({}, False, "breaking"),
    ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}}, {"type": "string"}, "compatible"),
    ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}}, {"$ref": "#b", "$defs": {"x": {"$anchor": "b", "type": "string", "maxLength": 3}}}, "breaking"),
    ({"allOf": [{"minimum": 5}, {"type": "integer"}]}, {"type": "number", "minimum": 5}, "compatible"),
    ({"type": "object", "patternProperties": {"^x-": {"type": "string"}}, "additionalProperties": False}, {"type": "object", "patternProperties": {"^x-": True}, "additionalProperties": False}, "compatible"),
    ({"type": "object", "patternProperties": {"^x-": True}, "additionalProperties": False}, {"type": "object", "patternProperties": {"^x-": {"type": "string"}}, "additionalProperties": False}, "breaking"),
    ({"type": "object", "patternProperties": {"^x": True}, "additionalProperties": False}, {"type": "object", "patternProperties": {"^x-": True}, "additionalProperties": False}, "undecided"),
    ({"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "integer"}}, {"type": "array", "items": {"type": ["string", "integer"]}}, "compatible"),
    ({"type": "array", "prefixItems": [{"type": "string"}]}, {"type": "array", "prefixItems": [{"type": "string"}], "items": False}, "breaking"),
    ({"type": "array", "maxItems": 1, "prefixItems": [True]}, {"type": "array", "items": False, "prefixItems": [True]}, "compatible"),
    ({"type": "string", "pattern": "^(ab)*$"}, {"type": "string", "pattern": "^(abab)*$"}, "breaking"),
    ({"type": "string", "pattern": "^(abab)*$"}, {"type": "string", "pattern": "^(ab)*$"}, "compatible"),
    ({"type": "string", "pattern": "^a$"}, {"type": "string", "pattern": "a"}, "compatible"),
    ({"type": "string", "pattern": "^\\p{L}$"}, {"type": "string", "pattern": "^\\p{L}?$"}, "undecided"),
    ({"type": "string", "pattern": "^\\p{L}$"}, {"type": "string", "pattern": "^\\p{L}$", "maxLength": 8}, "undecided"),
    ({"type": "string"}, {"type": "string", "maxLength": 10000}, "breaking"),
])  # fmt: skip
def test_schemas_are_compared(first, second, verdict):
    check(first, second, verdict)


@pytest.mark.parametrize("schema", [
    {"$dynamicRef": "#a", "$dynamicAnchor": "a"},
    {"type": "object", "unevaluatedProperties": False},
    {"type": "object", "properties": {"next": {"$ref": "#"}}},
    {"type": "number", "maximum": 0.1234567890123456789},
])  # fmt: skip
def test_what_is_beyond_the_comparison_is_said_and_only_the_same_is_compatible(schema):
    check(schema, schema, "compatible")
    other = {**schema, "minProperties": 1}
    [difference] = check(schema, other, "undecided").differences
    assert difference.reason
    assert not difference.proven


def test_an_example_that_is_refused_decides_also_what_is_beyond_the_comparison():
    first = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    second = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["id"]}
    found = check(first, second, "breaking", "/id", examples=[{}])
    assert found.differences[0].counterexample == {}


def test_a_counterexample_is_made_of_an_example():
    example = {"id": "4711", "kind": "a", "lots": ["L1"], "more": {"x": True}}
    new = changed(THING, "/properties/lots/items/maxLength", 3)
    [difference] = check(THING, new, "breaking", "/lots/*", examples=[example]).differences
    assert {**difference.counterexample, "lots": ["L1"]} == example
    new = changed(THING, "/required", ["id", "kind", "unit"])
    [difference] = check(THING, new, "breaking", "/unit", examples=[example]).differences
    assert difference.counterexample == example


def test_every_place_that_changed_is_named():
    new = changed(changed(THING, "/properties/id/maxLength", 5), "/properties/more/required", ["x", "y"])
    new = changed(changed(new, "/required", ["id", "kind", "unit", "day"]), "/properties/count/maximum", 9)
    found = check(THING, new, "breaking")
    assert {one.pointer for one in found.differences} == {"/count", "/day", "/id", "/more/y", "/unit"}
    assert all(one.proven for one in found.differences)


CANONICAL = {
    path.name: _core.parse_yaml(path.read_bytes(), path.name)[0] for path in sorted(CONTRACTS.glob("*.yaml"))
}


@pytest.mark.parametrize("name", CANONICAL)
def test_a_contract_that_ships_is_judged_when_it_changes(name):
    contract = CANONICAL[name]
    schema, examples = contract["schema"], contract["examples"]
    check(schema, schema, "compatible")
    wider = copy.deepcopy(schema)
    wider["properties"]["remark"] = {"type": "string"}
    check(schema, wider, "compatible", examples=examples)
    check(wider, schema, "breaking", "/remark", examples=examples)
    needs = {**wider, "required": [*schema["required"], "remark"]}
    check(schema, needs, "breaking", "/remark", examples=examples)
    less = {**schema, "required": schema["required"][1:]}
    check(schema, less, "compatible", examples=examples)
    check(less, schema, "breaking", f"/{schema['required'][0]}")


# Random schemas.

TEXTS = st.sampled_from(["", "a", "b", "ab", "aa", "1", "-1", "0.5", "1.25", "99", "KGM", "2026-11-24"])
NAMES = st.sampled_from(["a", "b", "c"])
SMALL = st.integers(0, 3)
NUMBERS = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, -0.5, 1.0, 2.5]))
DECIMALS = st.fixed_dictionaries({}, optional={
    "min": st.sampled_from(["0", "-1", "0.5"]), "max": st.sampled_from(["1", "99", "1.25"]),
    "digits": st.integers(1, 5), "places": SMALL,
})  # fmt: skip
DOCUMENTS = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)
STRING = st.fixed_dictionaries({"type": st.just("string")}, optional={
    "minLength": SMALL, "maxLength": SMALL, "format": st.sampled_from(["date", "decimal"]), "x-decimal": DECIMALS,
    "pattern": st.sampled_from(["^a", "b$", "^[ab]*$", "^(a|ab)?$", "^.{1,2}$", "[^a]", "^-?[0-9]+$"]),
    "x-codes": st.just("rec20"),
})  # fmt: skip
NUMBER = st.fixed_dictionaries({"type": st.sampled_from(["number", "integer"])}, optional={
    "minimum": NUMBERS, "maximum": NUMBERS, "exclusiveMinimum": NUMBERS, "exclusiveMaximum": NUMBERS,
    "multipleOf": st.sampled_from([1, 2, 0.5, 3]), "x-decimal": DECIMALS,
})  # fmt: skip
SIMPLE = st.one_of(
    STRING,
    NUMBER,
    st.booleans(),
    st.fixed_dictionaries({"enum": st.lists(DOCUMENTS, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"const": DOCUMENTS}),
    st.fixed_dictionaries(
        {"type": st.lists(st.sampled_from(["null", "boolean", "string", "integer", "number", "object", "array"]), min_size=1, max_size=3, unique=True)}
    ),
)  # fmt: skip


def nested(inner):
    return st.one_of(
        st.fixed_dictionaries({"type": st.just("object")}, optional={
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "required": st.lists(NAMES, max_size=2, unique=True), "additionalProperties": inner,
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "b|c", "."]), inner, max_size=1),
            "propertyNames": st.sampled_from([{"maxLength": 1}, {"enum": ["a", "b"]}, {"pattern": "^[abo]"}]),
            "minProperties": SMALL, "maxProperties": SMALL,
            "dependentRequired": st.dictionaries(NAMES, st.lists(NAMES, max_size=1, unique=True), max_size=1),
            "dependentSchemas": st.dictionaries(NAMES, inner, max_size=1),
        }),
        st.fixed_dictionaries({"type": st.just("array")}, optional={
            "items": inner, "prefixItems": st.lists(inner, min_size=1, max_size=2), "minItems": SMALL, "maxItems": SMALL,
            "uniqueItems": st.booleans(), "contains": inner,
        }),
        st.fixed_dictionaries({}, optional={
            "anyOf": st.lists(inner, min_size=1, max_size=2), "oneOf": st.lists(inner, min_size=1, max_size=2),
            "allOf": st.lists(inner, min_size=1, max_size=2), "not": inner, "if": inner, "then": inner, "else": inner,
        }),
    )  # fmt: skip


SCHEMAS = st.recursive(SIMPLE, nested, max_leaves=5)
LOOK = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def neighbours(draw):
    """A schema and one that differs from it in one place, or in everything."""
    first = draw(SCHEMAS)
    if draw(st.booleans()) or not isinstance(first, dict):
        return first, draw(SCHEMAS)
    other = draw(SCHEMAS)
    second = copy.deepcopy(first)
    places = [second]
    for place in places:
        places += [one for one in place.values() if isinstance(one, dict)]
    place = draw(st.sampled_from(places))
    if isinstance(other, dict) and place and draw(st.booleans()):
        place.update(other)
    elif place:
        del place[draw(st.sampled_from(sorted(place)))]
    return (first, second) if draw(st.booleans()) else (second, first)


def is_schema(schema):
    try:
        check_schema(schema, None, formats=True)
    except ValueError:
        return False
    return True


@LOOK
@given(pair=neighbours(), documents=st.lists(DOCUMENTS, max_size=8))
def test_no_document_contradicts_a_verdict(pair, documents):
    first, second = pair
    assume(is_schema(first) and is_schema(second))
    note(json.dumps(pair))
    found = compare(first, second, examples=documents[:1])
    for one in found.differences:
        if one.proven:
            assert valid(first, one.counterexample)
            assert not valid(second, one.counterexample)
    assert (found.verdict == "breaking") == any(one.proven for one in found.differences)
    if found.verdict == "compatible":
        documents += samples(every(plain(first)), limit=20) + samples(every(plain(second)), limit=10)
        outside = All([plain(first), {"not": plain(second)}])
        for document in documents + samples(outside, limit=5):
            assert not valid(first, document) or valid(second, document), document


@LOOK
@given(schema=SCHEMAS, other=SCHEMAS)
def test_what_only_relaxes_is_never_breaking_and_the_same_is_compatible(schema, other):
    assume(is_schema(schema) and is_schema(other))
    check(schema, schema, "compatible")
    assert compare(schema, {"anyOf": [other, schema]}).verdict == "compatible"
    assert compare({"allOf": [schema, other]}, schema).verdict == "compatible"
    assert compare(schema, True).verdict == "compatible"


@LOOK
@given(schema=SCHEMAS, document=DOCUMENTS)
def test_a_document_that_is_taken_away_is_found(schema, document):
    assume(is_schema(schema) and valid(schema, document))
    second = {"allOf": [schema, {"not": {"const": document}}]}
    assert compare(schema, second, examples=[document]).verdict == "breaking"
