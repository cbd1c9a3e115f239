"""How a contender in Python is driven: ``python CONTENDER.py EVENTS OUT [SCHEMA]``.

Every contender is a process of its own that runs once: a warm-up on a few slabs with a memory of its own,
then all messages with a fresh one. It prints counts and times as one line of JSON. OUT gets a line per output
after the clock has stopped: partition, tab and event; ``-`` for none.
"""

from __future__ import annotations

import gc
import json
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

SLAB = 512
WARM_UP = 4
KG_PER_LB = 0.45359237
BAR_PER_PSI = 0.06894757293168361
UNITS = {"EA": "C62", "KG": "KGM", "LB": "KGM", "M": "MTR"}


class Routed(NamedTuple):
    """What became of some messages: partition and event of each new one, and how many were none."""

    events: list[tuple[int, bytes]]
    rejected: int = 0
    duplicates: int = 0


Route = Callable[[bytes], Routed]


def partition(work_center: str) -> int:
    """Where an event goes."""
    return zlib.crc32(work_center.encode()) & 15


def canonical(data: dict[str, Any], message_id: str, source: str) -> dict[str, Any]:
    """The event of a message that is valid, with dicts and binary floats."""
    quantity = data["qty"]
    factor = KG_PER_LB if quantity["uom"] == "LB" else 1.0
    parts = source.split("/")
    readings = []
    for one in data["params"]:
        if one["u"] == "degF":
            value, unit = (one["v"] - 32) / 1.8, "CEL"
        else:
            value, unit = one["v"] * BAR_PER_PSI, "BAR"
        readings.append({"name": one["n"], "value": round(value, 6), "unit": unit})
    return {
        "event": message_id,
        "plant": parts[2],
        "line": parts[4],
        "order": data["order"].lstrip("0"),
        "operation": data["operation"],
        "work_center": data["workcenter"],
        "material": data["material"],
        "lot": data["lot"],
        "quantity": {
            "good": round(quantity["good"] * factor, 6),
            "scrap": round(quantity["scrap"] * factor, 6),
            "unit": UNITS[quantity["uom"]],
        },
        "duration_min": round(data["duration_s"] / 60, 6),
        "readings": readings,
    }


def slabs(text: bytes) -> list[bytes]:
    """The lines of a file, 512 at a time."""
    lines = text.splitlines(keepends=True)
    return [b"".join(lines[start : start + SLAB]) for start in range(0, len(lines), SLAB)]


def drive(make: Callable[[], Route]) -> None:
    """Measure one contender as the command line says."""
    events, out = sys.argv[1:3]
    chosen = slabs(Path(events).read_bytes())
    warm = make()
    for slab in chosen[:WARM_UP]:
        warm(slab)
    route = make()
    gc.collect()
    kept: list[Routed] = []
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    for slab in chosen:
        kept.append(route(slab))  # noqa: PERF401 - the measured loop is as plain for every contender
    wall, cpu = time.perf_counter_ns() - wall, time.process_time_ns() - cpu
    report(out, [one for routed in kept for one in routed.events], kept, wall, cpu, chosen)


def report(
    out: str, events: list[tuple[int, bytes]], kept: list[Routed], wall: int, cpu: int, chosen: list[bytes]
) -> None:
    """Say what was counted, and write the outputs if they are wanted."""
    if out != "-":
        with Path(out).open("wb") as file:
            file.writelines(b"%d\t%s\n" % one for one in events)
    counts = {
        "messages": sum(slab.count(b"\n") for slab in chosen),
        "accepted": len(events),
        "rejected": sum(routed.rejected for routed in kept),
        "duplicates": sum(routed.duplicates for routed in kept),
        "wall_ns": wall,
        "cpu_ns": cpu,
    }
    print(json.dumps(counts))
