"""The pages of the adapters say what the code does."""

from pathlib import Path

import pytest

from mfgroute.adapters import console, files, http, zeromq
from mfgroute.testing.conformance import _description, _fields

DOCS = Path(__file__).parents[2] / "docs" / "adapters"
CONFIGS = [
    ("console", console.ConsoleSinkConfig),
    ("files", files.FilesSourceConfig),
    ("files", files.FilesSinkConfig),
    ("http", http.HttpSourceConfig),
    ("http", http.HttpSinkConfig),
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


@pytest.mark.parametrize("name", ["console", "files", "http", "zeromq"])
def test_every_adapter_explains_its_inside_and_what_happens_on_faults(name):
    assert (Path(console.__file__).parents[1] / name / "README.md").exists()
    assert "on faults" in (DOCS / f"{name}.md").read_text().lower()
