"""Released contracts stay as they are, in a project, in a pack, and for twelve plants that share one."""

import json
import shutil

import pytest
from cli_projects import command
from pack_projects import CANONICAL, NAME, origin, problems, write

from mfgroute.config import documents, lock, packs
from mfgroute.errors import ConfigError
from mfgroute.project import load_project
from mfgroute.registry import Registry
from mfgroute.testing import run_mapping


def test_check_refuses_a_released_contract_that_is_not_as_it_was(mfgroute, project):
    text = (CANONICAL / NAME).read_text(encoding="utf-8").replace("1.0.0", "1.1.0", 1)
    write(project, {NAME: text})
    assert mfgroute("contract", "check", "--pin").code == 0
    assert mfgroute("check", "-q").code == 0
    write(project, {NAME: text.replace("maxLength: 12", "maxLength: 13", 1)})
    assert text.replace("maxLength: 12", "maxLength: 13", 1) != text
    found = mfgroute("check")
    line = next(number for number, one in enumerate(text.splitlines(), 1) if one.startswith("version:"))
    assert found.code == 78
    assert f"{NAME}:{line}:10: version 1.1.0 of production.operation.completed/1 was released" in found.err
    assert "hint: raise `version`" in found.err
    # A node does not start on it either, and a version of its own mends it.
    with pytest.raises(ConfigError, match="was released and is not the same any more"):
        load_project(project)
    write(project, {NAME: text.replace("maxLength: 12", "maxLength: 13", 1).replace("1.1.0", "1.2.0", 1)})
    assert mfgroute("check", "-q").code == 0


def test_a_lock_with_a_broken_line_is_refused(mfgroute, project):
    write(project, {lock.FILE: "# released\n<<<<<<< ours\n"})
    found = mfgroute("check")
    assert found.code == 78
    assert f"{lock.FILE}:2:1: the line is no released version" in found.err


def test_an_override_of_a_released_version_needs_a_version_of_its_own(mfgroute, project):
    text = (CANONICAL / NAME).read_text(encoding="utf-8")
    changed = text.replace("maxLength: 12", "maxLength: 13", 1)
    write(project, {NAME: changed})
    found = mfgroute("check")
    assert found.code == 78
    assert "version 1.0.0 of production.operation.completed/1 was released by canonical" in found.err
    assert "give what takes its place a version of its own" in found.err
    write(project, {NAME: changed.replace("1.0.0", "1.0.1", 1)})
    found = mfgroute("check")
    assert found.code == 0
    assert (
        f"note: {NAME} takes the place of the contract production.operation.completed.v1 of pack canonical"
        in found.out
    )


def test_the_canonical_pack_is_as_it_was_released(tmp_path):
    found = documents.read(documents.Folder(CANONICAL), Registry())
    pins = lock.read(found)
    assert (pins.unpinned, pins.problems) == ([], [])
    assert len(pins.pinned) == len(found.contracts) == len(list((CANONICAL / "contracts").glob("*.yaml")))
    # The lock is what the command writes.
    copy = tmp_path / "canonical"
    shutil.copytree(CANONICAL, copy, ignore=shutil.ignore_patterns("registry.lock"))
    assert command("contract", "check", "--pin", "-c", copy, folder=tmp_path).code == 0
    assert (copy / lock.FILE).read_bytes() == (CANONICAL / lock.FILE).read_bytes()


def test_a_pack_is_pinned_and_checked_by_itself(tmp_path):
    pack = write(tmp_path / "pack", {NAME: (CANONICAL / NAME).read_text(encoding="utf-8")})
    assert command("contract", "check", "--pin", "-c", pack, folder=tmp_path).code == 0
    path = pack / NAME
    path.write_text(path.read_text().replace("maxLength: 12", "maxLength: 13", 1))
    found = command("contract", "check", "-c", pack, folder=tmp_path)
    assert found.code == 1
    assert "was released and is not the same any more" in found.err


# Twelve plants.

MAIN = """\
apiVersion: mfgroute/v1
packs: [../../shared]
node: {{id: edge-{number}, site: P{number:02}, namespace: com.example}}
owner: plant-{number}
streams:
  business: {{durability: memory, capacity: 16MiB, when_full: block}}
sources:
  mes: {{adapter: files, path: ./in/*.jsonl, mappings: [reports]}}
sinks:
  erp: {{adapter: console, owner: erp-team}}
routes:
  - {{name: all, match: {{type: plant.report/1}}, to: erp}}
"""
CONTRACT = """\
type: plant.report
version: 1.0.0
kind: event
owner: group-it
lifecycle: {status: active}
key: {order: [data.site, data.order]}
idempotency: [data.site, data.id]
schema:
  type: object
  required: [site, order, id, good]
  additionalProperties: false
  properties:
    site: {type: string, minLength: 1}
    order: {type: string, minLength: 1}
    id: {type: string, minLength: 1}
    good: {type: string, format: decimal, x-decimal: {digits: 13, places: 3}}
    reason: {type: string}
"""
MAPPING = """\
from: {{decode: json}}
emit:
  - to: plant.report/1
    fields:
      site: {{const: P{number:02}}}
      order: {{path: "{prefix}order"}}
      id: {{path: "{prefix}id"}}
      good: {{path: "{prefix}good", number: {{decimal: "{mark}"}}}}
      reason: {{path: "{prefix}why", lookup: reasons}}
"""
PLANTS = range(1, 13)


@pytest.fixture
def plants(tmp_path):
    """Twelve projects; each has a mapping for its own MES, and the third a table of its own."""
    write(tmp_path / "shared", {
        "pack.yaml": "owner: group-it\n",
        "contracts/plant.report.v1.yaml": CONTRACT,
        "lookups/reasons.csv": "code,reason\n1,jam\n2,material\n",
    })  # fmt: skip
    made = []
    for number in PLANTS:
        prefix, mark = f"v{number}.", "," if number % 2 else "."
        made.append(write(tmp_path / "plants" / f"p{number:02}", {
            "mfgroute.yaml": MAIN.format(number=number),
            "mappings/reports.yaml": MAPPING.format(number=number, prefix=prefix, mark=mark),
        }))  # fmt: skip
    write(made[2], {"lookups/reasons.csv": "code,reason\n1,third\n"})
    return made


def test_twelve_plants_share_one_contract_with_their_own_mappings(plants):
    versions = set()
    for number, plant in zip(PLANTS, plants, strict=True):
        project = load_project(plant)
        assert project.warnings == []
        given = {"order": "4711", "id": "A", "good": "5,5" if number % 2 else "5.5", "why": "1"}
        [event] = run_mapping(project, "reports", json.dumps({f"v{number}": given}).encode())
        assert event.type == "com.example.plant.report.v1"
        assert event.key == f"order/P{number:02}/4711"
        assert json.loads(event.json)["data"] == {
            "site": f"P{number:02}", "order": "4711", "id": "A", "good": "5.5",
            "reason": "third" if number == 3 else "jam",
        }  # fmt: skip
        [contract] = project.plan.summary["contracts"]
        versions.add((contract["type"], contract["version"]))
    assert versions == {("plant.report", "1.0.0")}


def test_each_of_twelve_plants_says_what_is_shared_and_what_is_its_own(plants):
    for number, plant in zip(PLANTS, plants, strict=True):
        project = load_project(plant)
        found = {one.file: one for one in packs.parts(project.root, project.packs)}
        assert found["../../shared/contracts/plant.report.v1.yaml"].pack == "../../shared"
        assert found["mappings/reports.yaml"].pack is None
        own = found.get("lookups/reasons.csv")
        assert (own.overrides if own else None) == (["../../shared"] if number == 3 else None)
    told = origin(plants[2])
    assert [
        (one["owner"], one["file"]) for kind in ("contracts", "mappings", "lookups") for one in told[kind]
    ] == [
        ("group-it", "../../shared/contracts/plant.report.v1.yaml"),
        ("plant-3", "mappings/reports.yaml"),
        ("plant-3", "lookups/reasons.csv"),
    ]


def test_a_change_of_the_shared_contract_after_its_release_stops_all_twelve_plants(plants):
    shared = plants[0].parents[1] / "shared"
    assert command("contract", "check", "--pin", "-c", shared, folder=shared).code == 0
    path = shared / "contracts/plant.report.v1.yaml"
    for plant in plants:
        assert load_project(plant).warnings == []
    path.write_text(CONTRACT.replace("digits: 13", "digits: 12"))
    for plant in plants:
        [one] = problems(plant)
        assert (one.file, one.line) == ("../../shared/contracts/plant.report.v1.yaml", 2)
        assert "was released and is not the same any more" in one.message
    path.write_text(CONTRACT.replace("digits: 13", "digits: 14").replace("1.0.0", "1.1.0"))
    for plant in plants:
        [contract] = load_project(plant).plan.summary["contracts"]
        assert contract["version"] == "1.1.0"
