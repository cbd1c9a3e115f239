"""B2: decode and validate alone, three classes of schema at three sizes, against validators for Python."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from pathlib import Path
from typing import Any

import gates
import validation_data
from gates import Result
from peers import HERE, Absent

from rows.context import Context

VALIDATORS = ("jsonschema-rs", "fastjsonschema", "pydantic", "msgspec")
_PACKAGES = ("jsonschema-rs", "fastjsonschema", "pydantic")
_COUNT = 2_000
_CONTRACT = """\
type: production.sample
version: 1.0.0
kind: event
stream: business
owner: bench
lifecycle: {status: active}
key: {id: data.id}
idempotency: [data.id]
schema:
  type: object
  required: [id]
  additionalProperties: false
  properties: {id: {type: string}}
"""
_MAPPING = """\
from: {decode: json, schema: schemas/mes.json}
emit:
  - to: production.sample/1
    fields: {id: {path: id}}
"""


def run(context: Context) -> list[Result]:
    """Measure every class at every size."""
    result = Result("B2")
    try:
        own = context.shop.cargo(HERE / "micro", "validate", locked=False)
    except Absent as reason:
        result.gates = [gates.missing("B2", "validation alone", "", str(reason))]
        return [result]
    try:
        python = context.shop.python(*_PACKAGES)
    except Absent as reason:
        python = ""
        result.text.append(f"validators for Python are absent: {reason}")
    head = f"{'CPU ns/msg':14} {'bytes':>6} {'scan':>7} {'tree':>7} " + " ".join(
        f"{name:>15}" for name in VALIDATORS
    )
    result.text.append(head)
    for kind in validation_data.CLASSES:
        folder = _project(context.work / f"validate-{kind}", kind)
        for size in validation_data.SIZES:
            numbers = _measure(context, own, python, folder, kind, size)
            result.raw[f"{kind} {size}"] = numbers
            result.text.append(_line(kind, numbers))
            result.gates += _gate(kind, size, numbers)
    return [result]


def _project(folder: Path, kind: str) -> Path:
    for name in ("contracts", "mappings", "schemas"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "contracts" / "production.sample.v1.yaml").write_text(_CONTRACT)
    (folder / "mappings" / "mes.yaml").write_text(_MAPPING)
    (folder / "schemas" / "mes.json").write_text(json.dumps(validation_data.SCHEMAS[kind]))
    return folder


def _measure(context: Context, own: str, python: str, folder: Path, kind: str, size: int) -> dict[str, Any]:
    """Nanoseconds per message of everybody, in turns; who finds another number of valid messages is out."""
    messages, valid = validation_data.messages(kind, size, _COUNT)
    events = folder / f"{size}.ndjson"
    events.write_bytes(b"\n".join(messages) + b"\n")
    numbers: dict[str, Any] = {"bytes": sum(map(len, messages)) / len(messages), "ns": {}, "out": {}}
    names = list(VALIDATORS) if python else []
    for turn in range(context.rounds):
        for name in ["own", *names] if turn % 2 == 0 else [*names, "own"]:
            if name == "own":
                _own(own, folder, events, valid, numbers)
            else:
                _python(python, name, kind, folder, events, valid, numbers)
    return numbers


def _own(program: str, folder: Path, events: Path, valid: int, numbers: dict[str, Any]) -> None:
    done = subprocess.run(
        [program, str(folder), str(events), "5"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"validate: {done.stderr.strip()}")
    found = json.loads(done.stdout)
    for way in ("scan", "tree"):
        if why := found[way].get("absent"):
            numbers["out"][way] = why
        elif found[way]["valid"] != valid:
            numbers["out"][way] = f"{found[way]['valid']} valid, expected {valid}"
        else:
            numbers["ns"].setdefault(way, []).append(statistics.median(found[way]["ns"]))


def _python(
    python: str, name: str, kind: str, folder: Path, events: Path, valid: int, numbers: dict[str, Any]
) -> None:
    command = [
        python,
        "-m",
        "compare.validators",
        name,
        kind,
        str(events),
        str(folder / "schemas" / "mes.json"),
    ]
    env = {**os.environ, "PYTHONPATH": str(HERE)}
    done = subprocess.run(command, cwd=HERE, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        numbers["out"][name] = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return
    found = json.loads(done.stdout)
    if found["valid"] != valid:
        numbers["out"][name] = f"{found['valid']} valid, expected {valid}"
        return
    numbers["ns"].setdefault(name, []).append(found["cpu_ns"] / found["messages"])


def _line(kind: str, numbers: dict[str, Any]) -> str:
    def cell(name: str, width: int) -> str:
        found = numbers["ns"].get(name)
        return f"{statistics.median(found):{width}.0f}" if found else f"{'-':>{width}}"

    cells = [cell("scan", 7), cell("tree", 7), *(cell(name, 15) for name in VALIDATORS)]
    why = "; ".join(f"{name}: {reason}" for name, reason in numbers["out"].items())
    return f"{kind:14} {numbers['bytes']:6.0f} {' '.join(cells)}  {why}"


def _gate(kind: str, size: int, numbers: dict[str, Any]) -> list[gates.Gate]:
    """The one figure that the suite names: at most 180 ns for the nested message of 436 bytes."""
    if (kind, size) != ("nested", 436):
        return []
    found = numbers["ns"].get("scan")
    what = "validation alone, nested, 436 bytes"
    if not found:
        return [gates.missing("B2", what, "≤ 180 ns", numbers["out"].get("scan", "no scan"))]
    middle = statistics.median(found)
    text = f"{middle:.0f} ns ({min(found):.0f} to {max(found):.0f})"
    return [gates.value("B2", what, "≤ 180 ns", text, met=middle <= 180)]
