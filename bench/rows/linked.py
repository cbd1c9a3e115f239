"""An edge or a core as a process for P12: ``python -m rows.linked edge|core FOLDER COUNT``; see `rows.link`.

Both are whole nodes with durable streams. The edge is fed with slabs of W1 as a source would, maps them, and
hands them over; the core checks them again, and hands them to a sink that takes everything.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import projects
import workload

from mfgroute import Router
from mfgroute.adapters.zeromq import ZeroMqSink, ZeroMqSource
from mfgroute.events import Done, Event, Intake, Outcome
from mfgroute.registry import Registry
from rows.adapter import Feed, Hole

_PATIENCE_S = 900.0


class Counting(Hole):
    """Counts what arrives, and when."""

    batch_max = 1024
    wanted = 0
    taken = 0
    first_ns = 0
    last_ns = 0
    ended: asyncio.Event

    async def write(self, events: list[Event]) -> list[Outcome]:  # type: ignore[override]
        """Done."""
        kind = type(self)
        kind.last_ns = time.monotonic_ns()
        kind.first_ns = kind.first_ns or kind.last_ns
        kind.taken += len(events)
        if kind.taken >= kind.wanted:
            kind.ended.set()
        return [Done()] * len(events)


async def edge(folder: Path, count: int) -> dict[str, Any]:
    """Take everything in, say so, and end when the core has it."""
    lines = workload.lines("w1", count)
    Feed.intakes = (Intake(slab=slab) for slab in projects.slabs(lines))
    Feed.ended, Feed.wanted = asyncio.Event(), count
    router = Router(folder, adapters=Registry(sources={"bench": Feed}, sinks={"zeromq": ZeroMqSink}))
    cpu = time.process_time_ns()
    async with router, asyncio.timeout(_PATIENCE_S):
        await Feed.ended.wait()
        filled_ns = time.monotonic_ns()
        _say(f"filled {filled_ns}")
        stopping = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        await stopping
        stats = router.engine.stats()["sinks"][workload.SINK]
    return {
        "fed_ns": Feed.began,
        "cpu_ns": time.process_time_ns() - cpu,
        "delivered": stats["delivered"],
        "retries": stats["retries"],
    }


async def core(folder: Path, count: int) -> dict[str, Any]:
    """Wait until everything has arrived."""
    Counting.ended, Counting.wanted = asyncio.Event(), count
    router = Router(folder, adapters=Registry(sources={"zeromq": ZeroMqSource}, sinks={"console": Counting}))
    cpu = time.process_time_ns()
    async with router, asyncio.timeout(_PATIENCE_S):
        _say("ready")
        await Counting.ended.wait()
        stats = router.engine.stats()["sources"]["edges"]
    return {
        "first_ns": Counting.first_ns,
        "last_ns": Counting.last_ns,
        "taken": Counting.taken,
        "cpu_ns": time.process_time_ns() - cpu,
        "accepted": stats["accepted"],
        "duplicates": stats["duplicates"],
        "rejected": stats["rejected"],
    }


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    _verb, _folder, _count = sys.argv[1:]
    _say(json.dumps(asyncio.run((edge if _verb == "edge" else core)(Path(_folder), int(_count)))))
