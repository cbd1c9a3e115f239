"""What ships as data compiles: contracts, mappings, the demo's projects and the templates of ``init``."""

from __future__ import annotations

from pathlib import Path

import pytest

import mfgroute

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
