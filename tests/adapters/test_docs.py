"""The pages of the adapters say what the code does."""

from pathlib import Path

import pytest

from mfgroute.adapters import console, effects, files, http, sap, zeromq
from mfgroute.registry import Registry
from mfgroute.testing.conformance import _description, _fields

from . import test_conformance

DOCS = Path(__file__).parents[2] / "docs" / "adapters"
CONFIGS = [
    ("console", console.ConsoleSinkConfig),
    ("effects", effects.EffectsSourceConfig),
    ("files", files.FilesSourceConfig),
    ("files", files.FilesSinkConfig),
    ("http", http.HttpSourceConfig),
    ("http", http.HttpSinkConfig),
    ("sap", sap.SapSinkConfig),
    ("zeromq", zeromq.ZeroMqSourceConfig),
    ("zeromq", zeromq.ZeroMqSinkConfig),
]


@pytest.mark.parametrize(("page", "config"), CONFIGS)
def test_every_setting_stands_on_the_page_with_its_description(page, config):
    text = (DOCS / f"{page}.md").read_text()
    missing = [
        path
        for path, field in _fields(config)
        if f"| `{path}` |" not in text or _description(field) not in text
    ]
    assert missing == []


def test_the_public_suite_runs_over_every_adapter():
    registry = Registry()
    kinds = {registry.source(name) for name in registry.source_names()}
    kinds |= {registry.sink(name) for name in registry.sink_names()}
    tested = {one.adapter for one in vars(test_conformance).values() if hasattr(one, "adapter")}
    assert {kind for kind in kinds if kind.__module__.startswith("mfgroute.")} <= tested


@pytest.mark.parametrize("name", ["console", "effects", "files", "http", "sap", "zeromq"])
def test_every_adapter_explains_its_inside_and_what_happens_on_faults(name):
    assert (Path(console.__file__).parents[1] / name / "README.md").exists()
    assert "on faults" in (DOCS / f"{name}.md").read_text().lower()
