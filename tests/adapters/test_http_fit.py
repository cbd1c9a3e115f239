"""Which paths a schema can have: what cannot be told counts as possible."""

import pytest

from mfgroute.adapters.http.fit import misfits
from mfgroute.adapters.http.request import RequestTemplate

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "order": {"type": "string"},
        "quantity": {"type": ["object", "null"], "additionalProperties": False, "properties": {"value": {}}},
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"no": {"type": "string"}},
            },
        },
        "open": {"type": "object"},
        "any": {"oneOf": [{"type": "string"}]},
        "names": {"type": "object", "additionalProperties": False, "patternProperties": {"^x": {}}},
    },
}


@pytest.mark.parametrize(
    ("path", "fits"),
    [
        ("data.order", True),
        ("data", True),
        ("id", True),
        ("data.quantity.value", True),
        ("data.quantity.value.more", True),
        ("data.items[3].no", True),
        ("data.items", True),
        ("data.open.more", True),
        ("data.any.more", True),
        ("data.names.x1", True),
        ("data.nothing", False),
        ("data.nothing?", False),
        ("data.order.more", False),
        ("data.order[0]", False),
        ("data.quantity.unit", False),
        ("data.items.no", False),
        ("data.items[0].number", False),
    ],
)
def test_a_path_fits_a_schema_or_not(path, fits):
    request = RequestTemplate(type="a.b/1", body={"x": ["-", "{" + path + "}"]})
    found = list(misfits(request, {"a.b/1": SCHEMA, "a.b/2": {}}))
    assert [pointer for pointer, _ in found] == ([] if fits else ["/body/x/1"])


def test_a_type_without_a_version_may_be_of_any_of_its_contracts():
    request = RequestTemplate(type="a.b", path="/{data.nothing}")
    assert list(misfits(request, {"a.b/1": SCHEMA})) != []
    assert list(misfits(request, {"a.b/1": SCHEMA, "a.b/2": {}})) == []
    assert [pointer for pointer, _ in misfits(request, {"a.bc/1": {}})] == ["/type"]
    assert list(misfits(RequestTemplate(path="/{data.nothing}"), {"a.b/1": SCHEMA})) == []
