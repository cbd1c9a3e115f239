"""A small project, and an engine over it."""

import json

import pytest

import mfgroute

CONTRACT = """\
type: production.operation.completed
version: 1.0.0
kind: event
stream: business
owner: tests
lifecycle: {status: active}
key: {order: [data.site, data.order]}
idempotency: [data.report]
volatile: [data.sent]
business: {process: order-to-production, transaction: data.order, step: operation-completed}
schema:
  type: object
  required: [site, order, report, quantity]
  additionalProperties: false
  properties:
    site: {type: string, minLength: 1}
    order: {type: string, minLength: 1, maxLength: 12}
    report: {type: string, minLength: 1}
    sent: {type: string}
    text: {type: string}
    severity: {enum: [minor, major]}
    quantity:
      type: object
      required: [good, unit]
      additionalProperties: false
      properties:
        good: {type: string, format: decimal, x-decimal: {min: "0", digits: 13, places: 3}}
        unit: {type: string, x-codes: rec20}
"""

MAPPING = """\
from: {decode: json}
time: {path: ts}
emit:
  - to: production.operation.completed/1
    fields:
      site: {const: DE04}
      order: {path: order, text: [{strip_zeros: left}]}
      report: {path: id}
      sent: {path: sent}
      text: {path: text}
      severity: {path: severity}
      quantity.unit: {lookup: {table: materials, key: [{path: mat}], take: unit}}
      quantity.good: {path: qty, unit: {from: {path: uom, set: sap}, to: {field: quantity.unit}}, round: {places: 3, mode: half_even}}
"""

MATERIALS = "material,unit\nA,KGM\nB,H87\n"

MAIN = """\
apiVersion: mfgroute/v1
node: {id: test, site: DE04, namespace: com.example}
streams:
  business: {durability: memory, capacity: 64MiB, when_full: block}
sources:
  mes-a: {adapter: files, path: ./in/*.jsonl, mappings: [mes-a]}
sinks:
  erp: {adapter: http, url: "http://127.0.0.1:9/x", allow_private: true, effect: {by: key, header: Idempotency-Key, kept: 24h}, owner: tests}
  log: {adapter: console, owner: tests}
routes:
  - {name: to-erp, match: {type: production.operation.completed/1, source: mes-a}, to: erp}
  - {name: major-to-log, match: {type: "production.>"}, where: 'has(data.severity) && data.severity == "major"', to: log}
"""


@pytest.fixture
def write_project(tmp_path):
    """Write a project; keyword arguments replace the text of the main file or add files."""

    def write(*, main=MAIN, contract=CONTRACT, mapping=MAPPING, materials=MATERIALS, **files):
        for name, text in {
            "mfgroute.yaml": main,
            "contracts/production.operation.completed.v1.yaml": contract,
            "mappings/mes-a.yaml": mapping,
            "lookups/materials.csv": materials,
            **{name.replace("__", "/"): text for name, text in files.items()},
        }.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


@pytest.fixture
def make_engine(write_project):
    """Make an engine over a project; closed at the end."""
    engines = []

    def make(**changes):
        engine = mfgroute.Engine(mfgroute.load_plan(write_project(**changes)))
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.close()


def message(number, *, order="4711", qty="1", **fields):
    """A message of MES A."""
    body = {
        "id": f"r{number}",
        "ts": "2026-11-24T10:00:00Z",
        "order": order,
        "mat": "A",
        "qty": qty,
        "uom": "KG",
    }
    return json.dumps({**body, **fields}).encode()


def balanced(stats):
    """Whether both equations hold, computed from the parts."""
    for source in stats["sources"].values():
        parts = ("accepted", "rejected", "duplicates", "filtered", "dropped")
        assert source["received"] == sum(source[part] for part in parts), source
    for sink in stats["sinks"].values():
        parts = ("delivered", "queued", "in_flight", "parked", "in_doubt", "skipped", "dropped")
        assert sink["matched"] == sum(sink[part] for part in parts), sink
    return stats["unaccounted"] == 0
