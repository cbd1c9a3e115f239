"""What ships as data compiles: contracts, mappings, the demo's projects and the templates of ``init``."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest

import mfgroute
from mfgroute import _core
from mfgroute.testing import check_schema

PACKS = Path(mfgroute.__file__).parent / "packs"
TEMPLATES = sorted((PACKS / "templates").iterdir())
NO_KEY = "public:" + "0" * 64


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_compiles(template):
    assert mfgroute.load_plan(template).summary


@pytest.mark.parametrize("node", ["edge", "core"])
def test_a_node_of_the_demo_compiles(node, monkeypatch):
    monkeypatch.setenv("MFGROUTE_CORE_PUBLIC", NO_KEY)
    monkeypatch.setenv("MFGROUTE_EDGE_PUBLIC", NO_KEY)
    assert mfgroute.load_plan(PACKS / "demo" / node).summary


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_has_one_failing_test_that_says_what_to_do(template):
    [tests] = (template / "tests").glob("*.yaml")
    text = tests.read_text()
    assert text.count("- name:") == 2
    assert text.count("# TODO: this test fails, on purpose.") == 1
    assert "run `mfgroute test` again" in text.replace("\n  # ", " ")


# The catalogue.

CATALOGUE = [
    "data.gap.detected",
    "equipment.capacity.restored",
    "equipment.cleaning.completed",
    "equipment.cycle.counted",
    "equipment.downtime.classified",
    "finance.invoice.posted",
    "integration.effect.posted",
    "integration.effect.refused",
    "integration.reversal.requested",
    "logistics.asn.received",
    "logistics.goods.received",
    "logistics.shipment.confirmed",
    "logistics.shipment.dispatched",
    "maintenance.alert.raised",
    "maintenance.spareparts.demanded",
    "maintenance.workorder.requested",
    "masterdata.lot.changed",
    "masterdata.material.changed",
    "material.byproduct.received",
    "material.consumed",
    "material.finishedgoods.received",
    "material.pick.confirmed",
    "material.replenishment.requested",
    "material.staging.requested",
    "material.transfer.requested",
    "production.confirmation.reversed",
    "production.labor.reported",
    "production.milestone.reached",
    "production.operation.completed",
    "production.operation.started",
    "production.order.changed",
    "production.order.released",
    "production.routing.issued",
    "production.scrap.reported",
    "quality.deviation.approved",
    "quality.deviation.detected",
    "quality.hold.placed",
    "quality.hold.released",
    "quality.inspection.failed",
    "quality.inspection.requested",
    "quality.nonconformance.detected",
    "traceability.serial.assigned",
    "traceability.transformation.recorded",
]
CONTRACTS = {
    path.name.removesuffix(".v1.yaml"): _core.parse_yaml(path.read_bytes(), path.name)[0]
    for path in sorted((PACKS / "canonical" / "contracts").glob("*.v1.yaml"))
}
every_contract = pytest.mark.parametrize("name", CATALOGUE)


def verdict(name, data):
    """Pointers of what the contract refuses in a document."""
    return [one.pointer for one in check_schema(CONTRACTS[name]["schema"], data, formats=True)]


def schemas(schema, pointer=""):
    """Every schema of a value, at any depth, with where it stands."""
    yield pointer, schema
    for name, one in schema.get("properties", {}).items():
        yield from schemas(one, f"{pointer}/{name}")
    if isinstance(schema.get("items"), dict):
        yield from schemas(schema["items"], f"{pointer}/*")


def values(data, pointer=""):
    """Every value of a document with its pointer."""
    yield pointer, data
    children = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, child in children:
        yield from values(child, f"{pointer}/{key}")


def changed(data, pointer, value):
    """A document with another value at a pointer; without it when the value is `None`."""
    made = copy.deepcopy(data)
    *steps, last = pointer.split("/")[1:]
    at = made
    for step in steps:
        at = at[int(step) if isinstance(at, list) else step]
    last = int(last) if isinstance(at, list) else last
    if value is None:
        del at[last]
    else:
        at[last] = value
    return made


def kind(name, pointer):
    """The schema of the value at a pointer, or nothing where the schema is not plain."""
    wanted = re.sub(r"/\d+(?=/|$)", "/*", pointer)
    return next((one for place, one in schemas(CONTRACTS[name]["schema"]) if place == wanted), {})


def test_the_catalogue_is_complete():
    assert sorted(CONTRACTS) == CATALOGUE
    assert {f"{one['type']}.v{one['version'][0]}" for one in CONTRACTS.values()} == {
        f"{name}.v1" for name in CATALOGUE
    }


@every_contract
def test_a_contract_says_whose_it_is_and_what_each_field_means(name):
    contract = CONTRACTS[name]
    assert contract["owner"]
    assert contract["lifecycle"] == {"status": "active"}
    assert set(contract["business"]) == {"process", "transaction", "step"}
    for pointer, schema in schemas(contract["schema"]):
        if schema.get("type") == "object":
            assert schema.get("additionalProperties") is False, pointer
        if not pointer.endswith("/*"):
            assert schema.get("title"), pointer
            described = schema.get("description", "")
            assert described, pointer
            # A comma that ends a text of a flow map makes a member of what follows it.
            assert None not in schema.values(), pointer
        if schema.get("type") == "array":
            assert "maxItems" in schema, pointer


@every_contract
def test_key_and_identity_are_texts_that_are_always_there_and_never_empty(name):
    contract = CONTRACTS[name]
    [fields] = contract["key"].values()
    for field in {*fields, *contract["idempotency"]}:
        member = field.removeprefix("data.")
        schema = contract["schema"]["properties"][member]
        assert member in contract["schema"]["required"]
        assert "enum" in schema or (
            schema["type"] == "string" and {"minLength", "pattern", "format"} & {*schema}
        )


@every_contract
def test_the_examples_of_a_contract_are_valid_and_show_its_required_fields(name):
    examples = CONTRACTS[name]["examples"]
    assert examples
    for example in examples:
        assert verdict(name, example) == []


def bad_values(schema, value):
    """Values that a schema refuses in the place of one that it accepts."""
    yield [[]]
    if "enum" in schema or "x-codes" in schema:
        yield "nobody_knows_this"
    if "minLength" in schema:
        yield ""
    if "maxLength" in schema:
        yield "x" * (schema["maxLength"] + 1)
    # A float of the sender, an exponent, more digits than the ERP has; a time without a zone.
    yield from {
        "decimal": lambda: (float(value), f"{value}e1", "1" * 40, ""),
        "date-time": lambda: (value.rstrip("Z"), value[:10], "2026-02-30T00:00:00Z"),
        "date": lambda: ("2026-02-30", "20261124", "24.11.2026"),
    }.get(schema.get("format"), tuple)()
    if "min" in schema.get("x-decimal", {}):
        yield "-1"


def breaks(name, example):
    """An example, broken in one place after the other: the place and the value; `None` takes it away."""
    for pointer, value in values(example):
        schema = kind(name, pointer)
        if isinstance(value, dict):
            yield f"{pointer}/nobody_knows_this", "x"
            yield from ((f"{pointer}/{member}", None) for member in schema.get("required", []))
        if pointer:
            yield from ((pointer, bad) for bad in bad_values(schema, value))


@every_contract
def test_a_document_that_breaks_its_contract_in_one_place_is_refused(name):
    for example in CONTRACTS[name]["examples"]:
        broken = list(breaks(name, example))
        assert len(broken) > 10
        for pointer, value in broken:
            assert verdict(name, changed(example, pointer, value)), (pointer, value)


# What must hold between fields: a change of the contract's first example and where it is refused.
BETWEEN = [
    ("equipment.cleaning.completed", {"result": "failed"}, "/reason"),
    ("equipment.cleaning.completed", {"result": "failed", "reason": "too hot"}, "/clean_until"),
    ("equipment.cleaning.completed", {"reason": "too hot"}, "/reason"),
    ("equipment.capacity.restored", {"available": "100.01"}, "/available"),
    ("finance.invoice.posted", {"kind": "cancellation"}, "/cancels"),
    ("finance.invoice.posted", {"cancels": "1"}, "/cancels"),
    ("finance.invoice.posted", {"currency": "eur"}, "/currency"),
    ("logistics.asn.received", {"items": []}, "/items"),
    ("logistics.asn.received", {"items": [{"item": "1", "purchase_order": "1", "quantity": "1", "unit": "KGM"}]}, "/items/0"),
    ("logistics.goods.received", {"items": []}, "/items"),
    ("logistics.goods.received", {"direction": "return"}, "/reason"),
    ("logistics.shipment.confirmed", {"items": []}, "/items"),
    ("logistics.shipment.dispatched", {"deliveries": []}, "/deliveries"),
    ("logistics.shipment.dispatched", {"incoterms": "EX WORKS"}, "/incoterms"),
    ("maintenance.alert.raised", {"probability": "1.1"}, "/probability"),
    ("maintenance.alert.raised", {"failure": "Bearing wear"}, "/failure"),
    ("maintenance.workorder.requested", {"malfunction_start": None}, "/malfunction_start"),
    ("material.pick.confirmed", {"short_reason": "empty_bin"}, "/short"),
    ("material.replenishment.requested", {"card": None}, "/card"),
    ("production.labor.reported", {"time": {"value": "4.25", "unit": "KGM"}}, "/time/unit"),
    ("production.labor.reported", {"people": 0}, "/people"),
    ("quality.deviation.approved", {"disposition": "use_with_conditions"}, "/conditions"),
    ("quality.deviation.detected", {"value": None}, "/value"),
    ("quality.deviation.detected", {"category": "equipment"}, "/parameter"),
    ("quality.inspection.failed", {"findings": [{"characteristic": "ph", "value": "7"}]}, "/findings/0/unit"),
    ("traceability.serial.assigned", {"serials": []}, "/serials"),
    ("traceability.serial.assigned", {"serials": [{"serial": "1"}, {"serial": "1"}]}, "/serials/1"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "pointer"), BETWEEN)
def test_fields_that_contradict_each_other_are_refused(name, change, pointer):
    data = {**CONTRACTS[name]["examples"][0], **change}
    found = verdict(name, {member: value for member, value in data.items() if value is not None})
    assert pointer in found


def test_what_is_ordered_together_has_the_same_key():
    """The key of an event is a text: events of one thing must make it of the same fields."""
    by_name = {}
    for contract in CONTRACTS.values():
        [(name, fields)] = contract["key"].items()
        by_name.setdefault(name, set()).add(tuple(fields))
    assert {name: fields for name, fields in by_name.items() if len(fields) > 1} == {}
