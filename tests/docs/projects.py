"""Projects around the parts of one that the documentation shows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mfgroute
from mfgroute import _core

PACKS = Path(mfgroute.__file__).parent / "packs"
#: A contract that takes any field, for examples of the mapping language.
EXAMPLE_CONTRACT = """\
type: doc.example
version: 1.0.0
key: {document: [data.doc]}
idempotency: [data.doc]
schema:
  type: object
  required: [doc]
  properties:
    doc: {type: string}
    count: {type: integer}
"""
LOOKUPS = {
    "work-centers": "site,code,erp_id\nDE04,PRESS-7,20-PRS07\nDE04,PRESS-9,\n",
    "plant-of": "line,site\nL1,DE04\n",
    "material-units": "material,unit,umrez,umren\n100210,KAR,144,1\n4000123,KAR,5,3\n",
    "shifts": "code,name\nF,early\n",
}
MAIN = {
    "apiVersion": "mfgroute/v1",
    "node": {"id": "docs-1", "site": "DE04", "namespace": "com.example"},
    "streams": {name: {"durability": "memory", "capacity": "16MiB"} for name in ("business", "telemetry")},
}
STUB = """\
from: {decode: json}
emit:
  - to: doc.example/1
    fields: {doc: {path: id}}
"""


def parse(text: str, name: str = "block") -> Any:
    """A YAML text, read as the product reads it."""
    return _core.parse_yaml(text.encode(), name)[0]


def write_project(folder: Path, files: dict[str, str], main: dict[str, Any] | None = None) -> None:
    """A project of the given files, with the contract and tables of the examples."""
    given = {
        "contracts/doc.example.v1.yaml": EXAMPLE_CONTRACT,
        "rules/order-number.yaml": "text: [strip, {strip_zeros: left}]\n",
        **{f"lookups/{name}.csv": text for name, text in LOOKUPS.items()},
        **files,
    }
    if main is not None:
        given["mfgroute.yaml"] = json.dumps({**MAIN, **main})
    for name, text in given.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def fragment(folder: Path, document: dict[str, Any]) -> None:
    """A project around a part of ``mfgroute.yaml``: mappings, sinks and sources it names are filled in."""
    main = {"packs": ["canonical"], **document}
    sources = main.get("sources", {})
    names = {name for source in sources.values() for name in source.get("mappings", [])}
    sinks = dict(main.get("sinks", {}))
    for route in main.get("routes", []):
        for name in [route["to"]] if isinstance(route["to"], str) else route["to"]:
            sinks.setdefault(name, {"adapter": "console", "owner": "docs"})
    main = {**main, "sinks": sinks}
    write_project(folder, {f"mappings/{name}.yaml": STUB for name in names}, main)


def copy_pack(name: str, folder: Path) -> None:
    """A template or pack, as a folder of its own."""
    shutil.copytree(PACKS / name, folder, dirs_exist_ok=True)
