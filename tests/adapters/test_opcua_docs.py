"""The page about the source says what is true."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from mfgroute._core import parse_yaml
from mfgroute.adapter import dec_hook
from mfgroute.adapters.opcua import OpcUaConfig
from mfgroute.adapters.opcua.config import Security, Trust
from mfgroute.adapters.opcua.rules import CounterRule, DetectRule, EmitRule, QualityRule, StateRule
from mfgroute.adapters.opcua.source import COUNTERS

PAGE = (Path(__file__).parents[2] / "docs" / "adapters" / "opcua.md").read_text()


def test_the_example_is_a_valid_configuration():
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    document, _, _ = parse_yaml(block.encode(), "opcua.md")
    given = document["sources"]["press-7"]
    assert given.pop("adapter") == "opcua"
    del given["mappings"]
    assert msgspec.convert(given, OpcUaConfig, dec_hook=dec_hook).detect[1].emit.on == ("start", "end")


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [
        (OpcUaConfig, ""),
        (Security, "security."),
        (Trust, "security.trust."),
        (DetectRule, ""),
        (CounterRule, "counter."),
        (StateRule, "state."),
        (EmitRule, "emit."),
        (QualityRule, "quality."),
    ],
)
def test_every_setting_is_explained(kind, prefix):
    groups = {"counter", "state", "emit", "quality", "trust"}
    names = [prefix + name for name in kind.__struct_encode_fields__ if name not in groups]
    assert [name for name in names if f"`{name}`" not in PAGE] == []


def test_every_counter_and_every_reason_of_a_gap_is_explained():
    reasons = {name.removeprefix("gaps_") for name in COUNTERS if name.startswith("gaps_")}
    assert [name for name in (*COUNTERS, "late", *reasons) if f"`{name}`" not in PAGE] == []
