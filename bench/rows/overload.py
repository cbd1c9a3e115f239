"""B7 and P11: sinks that stop while messages go on coming.

* P11: the only sink stops, 10 million events are offered to a stream of 64 MiB that drops the oldest. The
  resident memory of a process of its own stays within the budget and 64 MiB, and every event is counted.
* B7: one of eight sinks stops, the others take what is handed to them. They take as much as when all eight
  do, and the memory does not grow.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import gates
import host
import projects
import stats
import workload
from gates import Result

from mfgroute._core import Engine, Plan
from rows.context import Context, in_turns

CAPACITY_MIB = 64
#: What a node with default settings may keep in memory: records of its stream, and a million ids of 56 bytes.
BUDGET_MIB = CAPACITY_MIB + (56_000_000 >> 20)
#: What interpreter, libraries and everything else have to fit into.
OVER_MIB = 64
_STREAM = f"durability: memory, capacity: {CAPACITY_MIB}MiB, when_full: drop_oldest"
_SLAB = 512
_DEAD = "s0"


def run(context: Context) -> list[Result]:
    """Measure both."""
    return [_stopped(context), _one_of_eight(context)]


def _stopped(context: Context) -> Result:
    offered = context.sized(10_000_000 if context.full else 1_000_000)
    folder = projects.write(context.work / "stopped", stream=_STREAM)
    found = _child(folder, offered)
    limit = BUDGET_MIB + OVER_MIB
    result = Result(
        "P11", raw=found | {"capacity_mib": CAPACITY_MIB, "budget_mib": BUDGET_MIB, "offered": offered}
    )
    result.text.append(
        f"sink stopped, {offered:,} events offered: RSS {found['rss_before_mib']:.0f} MiB before, at most "
        f"{found['rss_max_mib']:.0f} MiB; {found['accepted']:,} accepted, {found['queued']:,} queued, "
        f"{found['dropped']:,} dropped, {found['unaccounted']} unaccounted"
    )
    counted = (
        found["unaccounted"] == 0
        and found["accepted"] == offered
        and found["matched"] == found["queued"] + found["dropped"]
    )
    result.gates = [
        gates.value(
            "P11",
            f"sink stopped, {offered:,} events offered: RSS of the process",
            f"≤ {limit} MiB",
            f"{found['rss_max_mib']:.0f} MiB",
            met=found["rss_max_mib"] <= limit,
        ),
        gates.value(
            "P11",
            "the same: nothing uncounted",
            "0",
            f"{found['unaccounted']} unaccounted, {found['accepted']:,} accepted",
            met=counted,
        ),
    ]
    return result


def _child(folder: Path, offered: int) -> dict[str, Any]:
    here = Path(__file__).parents[1]
    path = os.pathsep.join(part for part in (str(here), os.environ.get("PYTHONPATH")) if part)
    command = [sys.executable, "-m", "rows.overload", str(folder), str(offered)]
    done = subprocess.run(
        command, cwd=here, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"overload: {done.stderr[-500:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def offer(plan: Plan, offered: int) -> dict[str, Any]:
    """Offer events to a stream whose sink does not poll; every event is new."""
    slab = b"".join(workload.lines("w1", _SLAB))
    starts = [at + len(b'"id":"') for at in _places(slab, b'"id":"')]
    changing = bytearray(slab)
    rss_before = host.rss_kib() / 1024
    accepted = number = 0
    points: list[tuple[float, float]] = []
    with closing(Engine(plan)) as engine:
        while number < offered:
            for start in starts[: offered - number]:
                changing[start : start + 26] = b"%026d" % number
                number += 1
            part = bytes(changing)
            if number % _SLAB:
                part = b"\n".join(part.split(b"\n")[: number % _SLAB])
            accepted += engine.submit_lines(workload.SOURCE, part).accepted
            if number % (_SLAB * 64) == 0:
                points.append((number, host.rss_kib() / 1024))
        said = engine.stats()
    sink = said["sinks"][workload.SINK]
    return {
        "accepted": accepted,
        **{name: sink[name] for name in ("matched", "queued", "dropped", "delivered")},
        "unaccounted": said["unaccounted"],
        "rss_before_mib": rss_before,
        "rss_max_mib": host.rss_kib(field="VmHWM") / 1024,
        "rss_mib": points[:: max(1, len(points) // 200)],
    }


def _places(text: bytes, wanted: bytes) -> list[int]:
    found, at = [], text.find(wanted)
    while at >= 0:
        found.append(at)
        at = text.find(wanted, at + 1)
    return found


def _one_of_eight(context: Context) -> Result:
    sinks = [f"s{number}" for number in range(8)]
    plan = projects.load(projects.write(context.work / "eight", sinks=sinks, stream=_STREAM))
    messages = context.sized(512_000 if context.full else 51_200)
    slabs = projects.slabs(workload.lines("w1", messages))
    points: list[tuple[float, float]] = []

    def case(dead: str | None) -> Callable[[], float]:
        healthy = [sink for sink in sinks if sink != _DEAD]

        def measure() -> float:
            took = 0
            with closing(Engine(plan)) as engine:
                began = time.process_time_ns()
                for slab in slabs:
                    engine.submit_lines(workload.SOURCE, slab)
                    for sink in sinks:
                        if sink != dead:
                            took += (sink != _DEAD) * _take(engine, sink)
                spent = time.process_time_ns() - began
                said = engine.stats()
            lost = sum(said["sinks"][sink]["dropped"] for sink in healthy)
            if took != messages * len(healthy) or lost or said["unaccounted"]:
                raise RuntimeError(
                    f"healthy sinks took {took}, lost {lost}, unaccounted {said['unaccounted']}"
                )
            points.append((len(points), host.rss_kib() / 1024))
            return took / spent * 1e9

        return measure

    # The dead sink is not polled in the second case, which saves its work: so it is polled but not counted in
    # the first, and the healthy ones must not be slower for its backlog.
    numbers = in_turns(context.rounds, {"all take": case(None), "one is dead": case(_DEAD)})
    alone, beside = numbers["all take"], numbers["one is dead"]
    result = Result("B7", raw={"events_per_s_of_cpu": numbers, "rss_mib": points, "messages": messages})
    result.text = [
        f"{name:12} the seven others take {statistics.median(found):12,.0f} events/s of CPU "
        f"({min(found):,.0f} to {max(found):,.0f})"
        for name, found in numbers.items()
    ]
    result.gates = [gates.at_least("B7", "seven healthy sinks beside a dead one", 0.95, beside, alone)]
    settled = points[len(points) // 2 :]
    if len(settled) >= 3:
        found, low, high = stats.slope(settled)
        result.gates.append(
            gates.value(
                "B7",
                "memory over the rounds, slope of a line (95 %)",
                "0 within",
                f"{found:.2f} MiB/round ({low:.2f} to {high:.2f})",
                met=low <= 0.0,
            )
        )
    else:
        result.gates.append(gates.missing("B7", "memory over the rounds", "0 within", "too few rounds"))
    return result


def _take(engine: Engine, sink: str) -> int:
    took = 0
    while True:
        with engine.poll(sink, events_max=512) as batch:
            if len(batch) == 0:
                return took
            took += len(batch)
            batch.done_all()


if __name__ == "__main__":
    print(json.dumps(offer(projects.load(Path(sys.argv[1])), int(sys.argv[2]))))
