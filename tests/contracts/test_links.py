"""What hangs on a contract, and the catalogue that says it."""

import re

import pytest

from mfgroute.cli import main
from mfgroute.config import documents
from mfgroute.contracts import catalogue
from mfgroute.contracts.links import links, matches
from mfgroute.errors import ConfigError
from mfgroute.registry import Registry

MAIN = """\
apiVersion: mfgroute/v1
packs: [./shared/plant]
node: {id: core-1, site: DE04, namespace: com.example}
streams:
  business: {durability: memory, capacity: 64MiB, when_full: block}
sources:
  mes: {adapter: files, path: ./in/*.jsonl, mappings: [done, shared-done]}
  edges: {adapter: http, token: x}
sinks:
  sap: {adapter: console, owner: erp_team}
  log: {adapter: console}
routes:
  - {name: big, match: {type: plant.thing/1, source: mes}, where: 'data.id == "a|b"', to: sap}
  - {name: levels, match: {type: [plant.*, other.>]}, to: [sap, log]}
  - {name: nobody, match: {type: plant.thing/1, source: elsewhere}, to: log}
"""
CONTRACT = """\
type: plant.TYPE
version: 1.4.0
kind: event
stream: business
owner: tests
lifecycle: LIFECYCLE
key: {thing: [data.id]}
idempotency: [data.id]
across_sources: true
schema:
  description: A *thing* of a plant
  type: object
  required: [id]
  properties:
    id: {type: string, minLength: 1}
"""
MAPPING = """\
from: {decode: json}
emit:
  - to: plant.thing/1
    fields:
      id: {lookup: {table: ids, key: [{path: a}, {path: b, lookup: inner}]}}
      n: {use: shared}
  - to: plant.part/1
    fields: {id: {path: id}}
"""
TESTS = """\
tests:
  - {name: by mapping, mapping: done, given: {}, expect: []}
  - {name: by source, source: mes, given: {}, expect: []}
  - {name: by expectation, mapping: none, given: {}, expect: [{to: plant.thing/1, data: {}}]}
  - {name: of others, mapping: none, given: {}, expect: []}
"""


@pytest.fixture
def project(tmp_path):
    thing = CONTRACT.replace("TYPE", "thing").replace(
        "LIFECYCLE",
        '{status: deprecated, since: "2026-01-01", sunset: "2026-06-30", successor: plant.thing/2}',
    )
    for name, text in {
        "mfgroute.yaml": MAIN,
        "contracts/plant.thing.v1.yaml": thing,
        "contracts/plant.part.v1.yaml": CONTRACT.replace("TYPE", "part").replace(
            "LIFECYCLE", "{status: active}"
        ),
        "mappings/done.yaml": MAPPING,
        "rules/shared.yaml": "{path: n, lookup: ruled}\n",
        "shared/plant/mappings/shared-done.yaml": MAPPING.replace("plant.part/1", "plant.lone/1"),
        "shared/plant/mappings/unused.yaml": MAPPING,
        "shared/plant/contracts/plant.thing.v1.yaml": thing.replace("owner: tests", "owner: hidden"),
        "shared/plant/contracts/plant.lone.v1.yaml": CONTRACT.replace("TYPE", "lone").replace(
            "LIFECYCLE", "{}"
        ),
        "tests/done.yaml": TESTS,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def read(folder):
    return documents.read(documents.Folder(folder), Registry())


def test_a_contract_of_the_project_takes_the_place_of_a_packs(project):
    found = read(project).contracts
    assert {label: (one.owner, one.document.file) for label, one in found.items()} == {
        "plant.lone/1": ("tests", "shared/plant/contracts/plant.lone.v1.yaml"),
        "plant.part/1": ("tests", "contracts/plant.part.v1.yaml"),
        "plant.thing/1": ("tests", "contracts/plant.thing.v1.yaml"),
    }


def test_everything_that_hangs_on_a_contract_is_found(project):
    found = links(read(project), "plant.thing/1")
    assert [(one.source, one.mapping) for one in found.producers] == [
        ("mes", "done"), ("mes", "shared-done"), ("edges", None),
    ]  # fmt: skip
    assert found.mappings == ["done", "shared-done"]
    assert [one.name for one in found.routes] == ["big", "levels", "nobody"]
    assert found.routes[0].where == 'data.id == "a|b"'
    assert found.lookups == ["ids", "inner", "ruled"]
    assert found.tests == [f"tests/done.yaml: by {one}" for one in ("mapping", "source", "expectation")]


def test_a_mapping_of_a_pack_that_no_source_uses_is_left_out(project):
    assert sorted(read(project).mappings) == ["done", "shared-done"]


@pytest.mark.parametrize(("pattern", "label", "expected"), [
    (">", "a.b/1", True), ("a.>", "a.b.c/1", True), ("a.>", "a/1", False), ("a.*", "a.b/1", True),
    ("a.*", "a.b.c/1", False), ("a.b", "a.b/7", True), ("a.b/2", "a.b/1", False), ("a.>/2", "a.b/2", True),
    ("*.b", "a.b/1", True), ("b", "a.b/1", False),
])  # fmt: skip
def test_a_pattern_matches_as_the_router_does(pattern, label, expected):
    assert matches(pattern, label) is expected


def test_a_file_that_is_no_yaml_is_named(project):
    (project / "mappings/done.yaml").write_text("a: [")
    (project / "tests/list.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError) as info:
        read(project)
    assert {one.file for one in info.value.problems} == {"mappings/done.yaml", "tests/list.yaml"}


def section(lines, label):
    start = lines.index(f"## {label}")
    rest = [number for number, line in enumerate(lines) if line.startswith("## ") and number > start]
    return lines[start : rest[0] if rest else None]


def test_the_catalogue_says_owner_version_lifecycle_producers_and_consumers(project):
    lines = catalogue.page(read(project))
    assert lines[0] == "# Contracts of core-1"
    [row] = [line for line in lines if line.startswith("| [plant.thing/1]")]
    assert row == (
        "| [plant.thing/1](#plantthing1) | 1.4.0 | event | tests | "
        "deprecated since 2026-01-01, sunset 2026-06-30, use plant.thing/2 | `mes`, `edges` (any) | `sap`, `log` |"
    )
    thing = section(lines, "plant.thing/1")
    assert "A \\*thing\\* of a plant." in thing
    assert "* source `mes`, mapping `done`" in thing
    assert "* source `edges`, canonical events" in thing
    assert '* route `big` to `sap` (erp\\_team), of `mes`, where `data.id == "a|b"`' in thing
    assert "* route `levels` to `sap` (erp\\_team), `log` (no owner)" in thing
    assert "Key `thing` of `id`. Identity: `id`, across sources." in thing
    assert "Lookups: `ids`, `inner`, `ruled`." in thing
    assert "Tests: 3." in thing


def test_what_nobody_makes_is_said(project):
    (project / "mfgroute.yaml").write_text(MAIN.replace("  edges: {adapter: http, token: x}\n", ""))
    lines = catalogue.page(read(project))
    (project / "mappings/done.yaml").write_text(MAPPING.replace("plant.part/1", "plant.thing/1"))
    assert "* nobody" not in section(lines, "plant.part/1")
    assert "* nobody" in section(catalogue.page(read(project)), "plant.part/1")


def test_every_row_of_the_table_has_as_many_cells_and_a_section(project):
    lines = catalogue.page(read(project))
    rows = [line for line in lines if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {8}
    assert len([line for line in lines if line.startswith("## ")]) == len(rows) - 2 == 3


def test_the_command_prints_or_writes_the_page(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["init", "--template", "csv-drop", "plant"]) == 0
    monkeypatch.chdir(tmp_path / "plant")
    capsys.readouterr()
    assert main(["contract", "catalogue"]) == 0
    printed = capsys.readouterr().out
    assert "* source `line-3`, mapping `line-3`" in printed
    assert main(["contract", "catalogue", "--to", "contracts.md"]) == 0
    assert capsys.readouterr().out == "43 contracts written to contracts.md\n"
    assert (tmp_path / "plant/contracts.md").read_text() == printed


@pytest.mark.parametrize(("pattern", "label", "expected"), [
    ("a.b", "a.b/2", True), ("a.b", "a.b/1", False), ("a.*", "a.b/1", True), ("a.b/1", "a.b/1", True),
])  # fmt: skip
def test_a_type_without_version_asks_for_the_newest_that_is_known(pattern, label, expected):
    assert matches(pattern, label, ["a.b/1", "a.b/2", "a.c/10"]) is expected


def test_a_conversion_hangs_on_the_version_that_it_reads_and_brings_its_routes(project):
    thing = (project / "contracts/plant.thing.v1.yaml").read_text()
    (project / "contracts/plant.thing.v2.yaml").write_text(thing.replace("version: 1", "version: 2"))
    up = "from: {contract: plant.thing/1}\nemit:\n  - {to: plant.thing/2, fields: {id: {path: id, lookup: ids}}}\n"
    # One of a pack is there although no source names it.
    (project / "shared/plant/mappings/up.yaml").write_text(up)
    newest = MAIN.replace("type: plant.thing/1, source: mes", "type: plant.thing, source: mes")
    (project / "mfgroute.yaml").write_text(newest)
    found = links(read(project), "plant.thing/1")
    assert found.conversions == ["up"]
    assert [(one.name, one.form) for one in found.routes] == [
        ("big", "plant.thing/2"), ("levels", "plant.thing/1"), ("nobody", "plant.thing/1"),
    ]  # fmt: skip
    after = links(read(project), "plant.thing/2")
    assert (after.conversions, after.mappings) == ([], ["up"])
    assert [(one.name, one.form) for one in after.routes] == [
        ("big", "plant.thing/2"), ("levels", "plant.thing/2"),
    ]  # fmt: skip
