"""B8: from the time at which a message should have been sent until a reader has its event; nobody lingers.

In memory that is one hop between threads, durable two and a sync. The floor is measured in the same run: half
of there and back between two threads that wait for each other, and the curve of the disk.
"""

from __future__ import annotations

import statistics
from typing import Any

import gates
import workload
from gates import Result
from peers import Absent

from rows import disk
from rows.context import Context

RATES = (1_000, 10_000, 50_000, 200_000)
_ASKED = 50_000
_CAPACITY = "512MiB"
_EVENTS = 20_480
#: Of the disk: the smallest write that a group comes to at these rates.
_SYNC_BYTES = 4 << 10
_HEAD = (*(f"{one:>9}" for one in ("p50 µs", "p99", "p99.9", "max")), f"{'x floor':>8}", "late p99")


def run(context: Context) -> list[Result]:
    """Measure both levels at every rate."""
    try:
        program = disk.Program(context)
    except Absent as reason:
        return [Result("B8", gates=[gates.missing("B8", "submit to poll", "≤ 3 × floor", str(reason))])]
    seconds = 0.3 if context.quick else 60.0 if context.full else 2.0
    node = [workload.PROJECT, context.track.events("w1", context.sized(_EVENTS)), _CAPACITY, "reader"]
    found: dict[str, list[dict[str, Any]]] = {}
    wakes: list[dict[str, Any]] = []

    def turn(number: int) -> None:
        wakes.append(program.run("wake", min(0.5, seconds)))
        for rate in RATES[:3] if context.quick else RATES:
            for level in ("memory", "durable") if number % 2 == 0 else ("durable", "memory"):
                extra = ["memory"] if level == "memory" else []
                one = program.run("engine", "FOLDER", 1, f"@{rate}", seconds, *node, *extra)
                found.setdefault(f"{level} {rate}", []).append(one)

    moments = disk.rounds(context, turn)
    curve = program.curve()
    wake = statistics.median(one["wake_us"]["p50"] for one in wakes)
    sync = next(one["us"]["p50"] for one in curve["groups"] if one["bytes"] == _SYNC_BYTES)
    floors = {"memory": wake, "durable": 2 * wake + sync}
    result = Result(
        "B8", raw={"runs": found, "wake": wakes, "floor_us": floors, "rounds": moments, "disk": curve}
    )
    result.text = [
        f"{'level, offered/s':>20} {' '.join(_HEAD)}",
        *(_line(name, runs, floors) for name, runs in found.items()),
        f"floor: one wake {wake:.1f} µs; durable, two wakes and a sync of 4 KiB, {floors['durable']:.0f} µs",
        *disk.show(curve),
        disk.quietness(moments),
    ]
    memory, durable = (
        [one["poll_us"] for one in found[f"{level} {_ASKED}"]] for level in ("memory", "durable")
    )
    last = statistics.median(one["p99_9"] for one in memory)
    result.gates = [
        _floor_gate("memory", memory, floors),
        _floor_gate("durable", durable, floors),
        gates.value(
            "B8",
            f"submit to poll in memory at {_ASKED:,}/s, p99.9",
            "≤ 5 ms",
            f"{last / 1e3:.2f} ms",
            met=last <= 5e3,
        ),
    ]
    return [result]


def _line(name: str, runs: list[dict[str, Any]], floors: dict[str, float]) -> str:
    def middle(share: str) -> float:
        return statistics.median(one["poll_us"][share] or 0.0 for one in runs)

    level, _, rate = name.partition(" ")
    late = statistics.median(one["late_us"]["p99"] or 0.0 for one in runs)
    shares = " ".join(f"{middle(share):9,.0f}" for share in ("p50", "p99", "p99_9", "max"))
    return f"{level:>8} {int(rate):11,} {shares} {middle('p50') / floors[level]:8.1f} {late:8,.0f}"


def _floor_gate(level: str, polls: list[dict[str, Any]], floors: dict[str, float]) -> gates.Gate:
    middle = statistics.median(one["p50"] for one in polls)
    return gates.value(
        "B8",
        f"submit to poll, {level}, at {_ASKED:,}/s, p50",
        f"≤ 3 × {floors[level]:.0f} µs",
        f"{middle:.0f} µs",
        met=middle <= 3 * floors[level],
    )
