"""The reference pages say what the code says, and nothing is missing."""

from __future__ import annotations

import importlib.util
import runpy
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("mfgroute._core", reason="the extension is not built")

from mfgroute import _core
from mfgroute.config import model
from mfgroute.observe.metrics import Metrics
from mfgroute.registry import Registry
from mfgroute.testing.conformance import _fields

DOCS = Path(__file__).parents[2] / "docs"
GENERATE = runpy.run_path(str(DOCS / "generate.py"))
PAGES = GENERATE["pages"]()
SECTIONS = (model.Node, model.Http, model.Stream, model.SourceSection, model.SinkSection, model.Route)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_is_what_the_code_says(name):
    path = DOCS / "reference" / name
    assert path.exists(), "run: python docs/generate.py"
    assert path.read_text() == PAGES[name], "run: python docs/generate.py"


def test_the_reliability_page_is_what_the_catalogue_and_the_records_say():
    page = GENERATE["reliability"]
    assert page.PAGE.read_text() == page.page(), "run: python docs/generate.py"


def test_no_page_is_left_over():
    assert {path.name for path in (DOCS / "reference").glob("*.md")} - {"index.md"} <= {*PAGES, "commands.md"}


def test_every_setting_is_there():
    page = PAGES["settings.md"]
    names = [field.encode_name for section in SECTIONS for field in msgspec.structs.fields(section)]
    assert [name for name in names if f"{name}`" not in page] == []


def test_every_adapter_and_its_settings_are_there():
    page, registry = PAGES["adapters.md"], Registry()
    for what, names, get in (
        ("source", registry.source_names(), registry.source),
        ("sink", registry.sink_names(), registry.sink),
    ):
        for name in names:
            kind = get(name)
            if not kind.__module__.startswith("mfgroute."):
                continue
            _, _, section = page.partition(f"## {what} `{name}`")
            section = section.partition("\n## ")[0]
            missing = [
                path for path, _ in _fields(kind.Config) if f"{path.rpartition('.')[2]}`" not in section
            ]
            assert missing == [], f"{what} {name}"


def test_every_reject_code_is_there():
    assert [code for code, _ in _core.reject_codes() if f"| `{code}` |" not in PAGES["rejects.md"]] == []


def test_every_metric_is_there():
    names = [family.name for family in Metrics(dict, list).collect()]
    assert [name for name in names if f"| `{name}" not in PAGES["metrics.md"]] == []


def test_every_unit_is_there():
    assert [unit for unit, _, _ in _core.units()["units"] if f"| `{unit}` |" not in PAGES["units.md"]] == []


def test_every_setting_of_an_adapter_has_a_description():
    for name in ("settings.md", "adapters.md"):
        bare = [line for line in PAGES[name].splitlines() if line.startswith("| `") and line.endswith("|  |")]
        assert bare == []


@pytest.mark.skipif(importlib.util.find_spec("mfgroute.cli") is None, reason="the command is not there")
def test_every_command_has_an_entry():
    assert "## mfgroute run" in PAGES["commands.md"]
