"""Runs a ``yaml example`` block: a message, a mapping, and what comes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import mfgroute
from mfgroute import _core
from mfgroute.errors import ConfigError

from .projects import write_project

KEYS = {"given", "meta", "from", "when", "time", "common", "fields", "emit", "makes", "rejects", "refused"}
_SOURCES = {"plant": {"adapter": "files", "path": "./in/*", "mappings": ["case"]}}


def mapping_of(block: dict[str, Any]) -> dict[str, Any]:
    """The mapping file that a block is a short form of."""
    entries = block.get("emit") or [{"fields": block["fields"]}]
    common = block.get("common", {})
    made = {
        "from": block.get("from", {"decode": "json"}),
        "emit": [
            {"to": "doc.example/1", **entry, "fields": {"doc": {"const": "-"}, **entry["fields"]}}
            for entry in entries
        ],
    }
    return {**made, **{key: block[key] for key in ("when", "time") if key in block}, "common": common}


def outcomes(folder: Path, block: dict[str, Any]) -> list[dict[str, Any]]:
    """What becomes of the message, as the product says it.

    Raises:
        ConfigError: the mapping does not compile.
    """
    files = {"mappings/case.yaml": json.dumps(mapping_of(block), ensure_ascii=False)}
    write_project(folder, files, {"sources": _SOURCES})
    plan = mfgroute.load_plan(folder)
    given = block["given"]
    text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    meta = {name: str(value) for name, value in block.get("meta", {}).items()}
    lines = _core.run_mapping(plan, "case", text.encode(), meta).splitlines()
    return [json.loads(line) for line in lines]


def check(folder: Path, block: dict[str, Any]) -> None:
    """Run a block and compare.

    Raises:
        AssertionError: something else came of it.
    """
    unknown = set(block) - KEYS
    assert not unknown, f"unknown keys {unknown}"
    if "refused" in block:
        with pytest.raises(ConfigError) as error:
            outcomes(folder, block)
        assert block["refused"] in str(error.value)
        return
    made = outcomes(folder, block)
    if "rejects" in block:
        rejects = [one["reject"] for one in made if "reject" in one]
        wanted = block["rejects"]
        wanted = wanted if isinstance(wanted, list) else [wanted]
        shown = [{key: one.get(key) for key in want} for one, want in zip(rejects, wanted, strict=False)]
        assert shown == wanted, made
        assert len(rejects) == len(wanted), made
    if "makes" in block:
        events = [_data(one) for one in made if "data" in one]
        wanted = block["makes"]
        assert events == (wanted if isinstance(wanted, list) else [wanted]), made


def _data(outcome: dict[str, Any]) -> dict[str, Any]:
    """`data` without the field that only the contract of the examples needs."""
    data: dict[str, Any] = outcome["data"]
    if data.get("doc") == "-":
        del data["doc"]
    if outcome.get("time"):
        data["time"] = outcome["time"]
    return data
