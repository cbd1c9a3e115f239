"""Projects made from that of W1: with more routes, more contracts, more sinks, less room."""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from pathlib import Path

import workload

from mfgroute import load_plan
from mfgroute._core import Plan

TYPE = "production.operation.completed"
_MESSAGE_TYPE = "mes.operation.completed.v2"


def write(
    folder: Path,
    *,
    types: int = 1,
    routes: Sequence[str] | None = None,
    sinks: Sequence[str] = (workload.SINK,),
    stream: str = "durability: memory, capacity: 1GiB, when_full: drop_oldest",
    adapter: str = "http",
) -> Path:
    """Write a project of W1 into a folder.

    Args:
        folder: the project folder.
        types: how many contracts, each with a mapping of its own; the first has the names of W1.
        routes: one YAML object for each; one route for everything to each sink if not given.
        sinks: their names.
        stream: settings of the stream.
        adapter: of the source.
    """
    for name in ("contracts", "mappings", "schemas"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    schema = (workload.PROJECT / "schemas" / "mes.json").read_text()
    contract = (workload.PROJECT / "contracts" / f"{TYPE}.v1.yaml").read_text()
    mapping = (workload.PROJECT / "mappings" / "mes.yaml").read_text()
    names = [f"{_MESSAGE_TYPE}{suffix(number)}" for number in range(types)]
    started = '"mes.operation.completed.v2","mes.operation.started.v2"'
    enum = started if types == 1 else ",".join(f'"{name}"' for name in names)
    (folder / "schemas" / "mes.json").write_text(schema.replace(started, enum))
    for number in range(types):
        tail = suffix(number)
        (folder / "contracts" / f"{TYPE}{tail}.v1.yaml").write_text(
            contract.replace(f"type: {TYPE}\n", f"type: {TYPE}{tail}\n")
        )
        (folder / "mappings" / f"mes{tail}.yaml").write_text(
            mapping.replace(f"equals: {_MESSAGE_TYPE}", f"equals: {_MESSAGE_TYPE}{tail}").replace(
                f"to: {TYPE}/1", f"to: {TYPE}{tail}/1"
            )
        )
    chosen = routes or [f'{{name: all-{sink}, match: {{type: ">"}}, to: {sink}}}' for sink in sinks]
    mappings = ", ".join(f"mes{suffix(number)}" for number in range(types))
    (folder / "mfgroute.yaml").write_text(
        "apiVersion: mfgroute/v1\n"
        "node: {id: bench, site: DE04, namespace: com.example, data_dir: ./data}\n"
        f"streams:\n  business: {{{stream}}}\n"
        f"sources:\n  {workload.SOURCE}: {{adapter: {adapter}, mappings: [{mappings}]}}\n"
        "sinks:\n"
        + "".join(f"  {sink}: {{adapter: console}}\n" for sink in sinks)
        + "routes:\n"
        + "".join(f"  - {route}\n" for route in chosen)
    )
    return folder


def load(folder: Path) -> Plan:
    """Compile a project; its warnings are not the benchmark's concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_plan(folder)


def suffix(number: int) -> str:
    """Behind the names of the contract and mapping with a number; the first has none."""
    return "" if number == 0 else f".t{number}"


def of_types(lines: list[bytes], types: int, rnd: random.Random) -> list[bytes]:
    """Messages of many types: the n-th most frequent type has a share of about 1/n."""
    weights = [1 / (number + 1) for number in range(types)]
    chosen = rnd.choices(range(types), weights, k=len(lines))
    old = f'"type":"{_MESSAGE_TYPE}"'.encode()
    return [
        line.replace(old, f'"type":"{_MESSAGE_TYPE}{suffix(number)}"'.encode())
        for line, number in zip(lines, chosen, strict=True)
    ]


def slabs(lines: list[bytes], size: int = workload.SLAB) -> list[bytes]:
    """Lines joined to slabs."""
    return [b"".join(lines[start : start + size]) for start in range(0, len(lines), size)]
