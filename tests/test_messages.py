"""Golden cases: messages of plants and the events they become. A folder is a case, this is only the runner.

``case.yaml`` names the message file (`split: lines` makes each line one), the mapping of a pack if there is
no ``map.yaml`` beside it, and the attributes. ``expect.jsonl`` lists events (`to`, `time`, `data`), rejects
(`code`, `at`), and what is `filtered` or a `duplicate`.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import mfgroute
from mfgroute import _core as core

TESTS = Path(__file__).parent
GOLDEN = TESTS / "golden"
PACKS = Path(mfgroute.__file__).parent / "packs"
SHARED = Path(os.environ.get("MFGROUTE_SHARED", TESTS.parent.parent / "shared"))
CASES = sorted(path.parent for path in GOLDEN.glob("*/*/case.yaml"))

PROJECT = """\
apiVersion: mfgroute/v1
node: {id: golden, site: DE09, namespace: com.example, data_dir: ./data}
http: {listen: 127.0.0.1:8080}
streams:
  business: {durability: memory, capacity: 64MiB, when_full: block}
sources:
  plant: {adapter: http, mappings: [MAPPING], token: only-for-these-tests}
sinks:
  out: {adapter: console}
routes:
  - {name: all, match: {type: ">"}, to: out}
"""


def make_project(folder, mapping, *, case=None):
    """A project with the canonical contracts, one mapping, and the tables of the case or the pack."""
    shutil.copytree(PACKS / "canonical" / "contracts", folder / "contracts")
    (folder / "mappings").mkdir()
    own = case / "map.yaml" if case else None
    tables = PACKS / "b2mml" / "lookups"
    if own is not None and own.exists():
        mapping, tables = "case", case.parent / "lookups"
        shutil.copy(own, folder / "mappings" / "case.yaml")
    else:
        shutil.copy(PACKS / "b2mml" / "mappings" / f"{mapping}.yaml", folder / "mappings")
    shutil.copytree(tables, folder / "lookups")
    (folder / "mfgroute.yaml").write_text(PROJECT.replace("MAPPING", mapping))
    return mfgroute.load_plan(folder)


def run(plan, messages, meta, *, lines=False):
    """What becomes of messages: events and rejects in order, and how many were filtered or duplicates."""
    events, rejects, filtered, duplicates = [], [], 0, 0
    with closing(core.Engine(plan)) as engine:
        for message in messages:
            if lines:
                receipt = engine.submit_lines("plant", message, meta=meta)
            else:
                receipt = engine.submit("plant", [message], meta=meta)
            filtered += receipt.filtered
            duplicates += receipt.duplicates
            rejects += [{"code": reject.code, "at": reject.field} for reject in receipt.rejects]
            with engine.poll("out", events_max=100) as batch:
                events += [json.loads(event.json) for event in batch]
                batch.done_all()
        while True:  # At most one event of a key is handed out at once.
            with engine.poll("out", events_max=100) as batch:
                if len(batch) == 0:
                    break
                events += [json.loads(event.json) for event in batch]
                batch.done_all()
    return events, rejects, filtered, duplicates


def short(event):
    """An event as golden files write it."""
    name, _, major = event["type"].removeprefix("com.example.").rpartition(".v")
    return {"to": f"{name}/{major}", "time": event["time"], "data": event["data"]}


def by_content(events):
    """Events of different keys may overtake each other."""
    return sorted(events, key=lambda event: (event["to"], json.dumps(event["data"], sort_keys=True)))


def assert_order_of_keys(events, expected):
    """Events of one key are in the order of the expectation."""
    for subject in {event["subject"] for event in events}:
        positions = [expected.index(short(event)) for event in events if event["subject"] == subject]
        assert positions == sorted(positions), subject


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.name}")
def test_golden(case, tmp_path):
    spec, _, _ = core.parse_yaml((case / "case.yaml").read_bytes(), "case.yaml")
    expected = [json.loads(line) for line in (case / "expect.jsonl").read_text().splitlines()]
    plan = make_project(tmp_path / "project", spec.get("mapping", "case"), case=case)
    content = (case / spec["messages"]).read_bytes()
    messages = content.splitlines() if spec["split"] == "lines" else [content]
    events, rejects, filtered, duplicates = run(
        plan, messages, spec.get("meta", {}), lines=spec["messages"].endswith(".csv")
    )
    events_expected = [line for line in expected if "to" in line]
    assert by_content(map(short, events)) == by_content(events_expected)
    assert_order_of_keys(events, events_expected)
    wanted = [
        {**line["reject"], "at": line["reject"]["at"].lstrip("/")} for line in expected if "reject" in line
    ]
    assert rejects == wanted
    assert filtered == sum("filtered" in line for line in expected)
    assert duplicates == sum("duplicate" in line for line in expected)


# The public files of MESA, where they are. Expectations are read from them: nothing of them is kept here.

needs_public_files = pytest.mark.skipif(
    not (SHARED / "data" / "b2mml").is_dir(),
    reason=f"no public B2MML files in {SHARED / 'data' / 'b2mml'}; set MFGROUTE_SHARED",
)


def read_public(pattern):
    [path] = (SHARED / "data" / "b2mml").glob(pattern)
    content = path.read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    root = ET.fromstring(content)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return content, root


@needs_public_files
def test_the_public_schedule_becomes_a_released_order(tmp_path):
    content, root = read_public("PRO-*.xml")
    plan = make_project(tmp_path / "project", "b2mml-v0401-schedule")
    events, rejects, _, _ = run(plan, [content], {"source.site": "DE09"})
    assert rejects == []
    [data] = [event["data"] for event in events]
    assert data["order"] == root.findtext(".//ProductionRequest/ID")
    segments = list(root.iter("SegmentRequirement"))
    assert len(data["operations"]) == len(segments)
    for operation, segment in zip(data["operations"], segments, strict=True):
        assert operation["operation"] == (segment.findtext("ID") or segment.findtext("ProcessSegmentID"))
        needs = segment.findall("MaterialRequirement")
        consumed = [need for need in needs if need.findtext("MaterialUse") == "Consumed"]
        assert [part["material"] for part in operation["components"]] == [
            need.findtext("MaterialDefinitionID") for need in consumed
        ]
        assert [float(part["quantity"]) for part in operation["components"]] == [
            float(need.findtext("Quantity/QuantityString")) for need in consumed
        ]
        filled = [need for need in needs if need.find("MaterialUse") is None]
        assert [part["batch"] for part in operation["allocations"]] == [
            need.findtext("MaterialLotID") for need in filled
        ]


@needs_public_files
def test_the_public_material_and_lot_become_master_data(tmp_path):
    material, root = read_public("MAT-*.xml")
    plan = make_project(tmp_path / "material", "b2mml-v0401-material")
    events, rejects, _, _ = run(plan, [material], {"source.site": "DE09"})
    assert rejects == []
    [data] = [event["data"] for event in events]
    assert data["material"] == root.findtext(".//MaterialDefinition/ID")
    assert data["base_unit"] == "KGM"
    assert [len(one["values"]) for one in data["properties"]] == [
        len(one.findall("Value")) for one in root.iter("MaterialDefinitionProperty")
    ]

    lot, root = read_public("LOT-*.xml")
    plan = make_project(tmp_path / "lot", "b2mml-v0401-lot")
    events, rejects, _, _ = run(plan, [lot], {"source.site": "DE09"})
    assert rejects == []
    [data] = [event["data"] for event in events]
    assert data["batch"] == root.findtext(".//MaterialLot/ID")
    assert data["material"] == root.findtext(".//MaterialInformation/ID")
    assert root.findtext(".//MaterialLotProperty/Value/ValueString").startswith(data["expires"])
