"""B7 and P11 on the disk: what a sink that stops costs when its events wait in a durable stream.

* P11: the only sink stops while messages are offered, more than the stream may hold. The resident memory of a
  process of its own stays within the budget (the records that a stream keeps in memory, and the ids) and
  64 MiB, every event that was accepted is stored and queued, and every refused call has raised `Full`.
* B7: one of eight sinks stops. The others take as much as when all eight do. The backlog is more than the
  stream keeps in memory, so what catches up afterwards comes from segments: all of it, in order.
"""

from __future__ import annotations

import json
import os
import shutil
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
import workload
from gates import Result
from peers import Absent

from mfgroute._core import Engine
from mfgroute.errors import Full
from rows import disk
from rows.context import Context
from rows.overload import BUDGET_MIB, OVER_MIB
from rows.renamed import Slab

_RECORD = 760
_SEGMENT_S_MAX = 30.0
_DEAD = "s0"
_SINKS = [f"s{number}" for number in range(8)]


def run(context: Context) -> list[Result]:
    """Measure both; the curve of the disk stands beside them."""
    try:
        curve = disk.Program(context).curve()
        shown = disk.show(curve)
    except Absent as reason:
        curve, shown = {}, [f"the curve of the disk was not measured: {reason}"]
    results = [stopped(context), one_of_eight(context)]
    for result in results:
        result.raw["disk"] = curve
        result.text += shown
    return results


def stopped(context: Context) -> Result:
    """P11."""
    offered = context.sized(10_000_000 if context.full else 1_000_000)
    # Nine tenths of what is offered fit.
    capacity = max(16, offered * _RECORD * 9 // 10 >> 20)
    folder = context.work / "stopped-disk"
    shutil.rmtree(folder, ignore_errors=True)
    projects.write(folder, stream=f"durability: fsync, capacity: {capacity}MiB, when_full: block")
    try:
        found = _child(folder, offered)
    finally:
        shutil.rmtree(folder / "data", ignore_errors=True)
    limit = BUDGET_MIB + OVER_MIB
    result = Result("P11 disk", raw=found | {"capacity_mib": capacity, "offered": offered})
    result.text += [
        "sink stopped: RSS {rss_before_mib:.0f} MiB before, at most {rss_max_mib:.0f}".format(**found),
        "{accepted:,} accepted, {queued:,} queued, {refused:,} refused by Full, {unaccounted} lost".format(
            **found
        ),
    ]
    counted = (
        found["unaccounted"] == 0
        and found["accepted"] + found["refused"] == offered
        and found["queued"] == found["accepted"] == found["stored"]
        and found["full"] > 0
    )
    result.gates = [
        gates.value(
            "P11",
            f"sink stopped, durable, {offered:,} events offered: RSS",
            f"≤ {limit} MiB",
            f"{found['rss_max_mib']:.0f} MiB",
            met=found["rss_max_mib"] <= limit,
        ),
        gates.value(
            "P11",
            "the same: all accepted are stored, Full for all others",
            "0 uncounted",
            f"{found['accepted']:,} and {found['refused']:,} of {offered:,}",
            met=counted,
        ),
    ]
    return result


def _child(folder: Path, offered: int) -> dict[str, Any]:
    here = Path(__file__).parents[1]
    path = os.pathsep.join(part for part in (str(here), os.environ.get("PYTHONPATH")) if part)
    command = [sys.executable, "-m", "rows.overload_disk", str(folder), str(offered)]
    done = subprocess.run(
        command, cwd=here, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"overload_disk: {done.stderr[-500:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def offer(folder: Path, offered: int) -> dict[str, Any]:
    """Offer events to a durable stream whose sink does not poll; every event is new."""
    slab, full = Slab(), 0
    accepted = refused = 0
    rss_before = host.rss_kib() / 1024
    points: list[tuple[float, float]] = []
    with closing(Engine(projects.load(folder), data_dir=str(folder / "data"))) as engine:
        while slab.number < offered:
            count = min(slab.size, offered - slab.number)
            took = _submit(engine, slab.next(count))
            accepted += took
            refused += count - took
            full += took < count
            if slab.number % (slab.size * 64) == 0:
                points.append((slab.number, host.rss_kib() / 1024))
        said = engine.stats()
    sink, stream = said["sinks"][workload.SINK], said["streams"]["business"]
    return {
        "accepted": accepted,
        "refused": refused,
        "full": full,
        "stored": stream["count"],
        **{name: sink[name] for name in ("matched", "queued", "dropped", "delivered")},
        "unaccounted": said["unaccounted"],
        "rss_before_mib": rss_before,
        "rss_max_mib": host.rss_kib(field="VmHWM") / 1024,
        "rss_mib": points[:: max(1, len(points) // 200)],
    }


def _submit(engine: Engine, part: bytes) -> int:
    """How many events of a slab were accepted: all, or none because of `Full`."""
    try:
        return engine.submit_lines(workload.SOURCE, part).accepted
    except Full as error:
        if error.held_by is not None:
            return 0
    # The stream may hold more; its next segment is not ready yet.
    return engine.submit_lines(workload.SOURCE, part, wait_s=_SEGMENT_S_MAX).accepted


def one_of_eight(context: Context) -> Result:
    """B7."""
    messages = context.sized(512_000 if context.full else 204_800)
    capacity = max(64, 4 * messages * _RECORD >> 20)
    folder = context.work / "eight-disk"
    shutil.rmtree(folder, ignore_errors=True)
    stream = f"durability: fsync, capacity: {capacity}MiB, when_full: block"
    plan = projects.load(projects.write(folder, sinks=_SINKS, stream=stream))
    numbers: dict[str, list[float]] = {"all take": [], "one is dead": []}
    caught: list[dict[str, Any]] = []

    def case(name: str, dead: str | None) -> Callable[[], None]:
        def measure() -> None:
            shutil.rmtree(folder / "data", ignore_errors=True)
            with closing(Engine(plan, data_dir=str(folder / "data"))) as engine:
                numbers[name].append(_healthy(engine, messages, dead))
                if dead is not None:
                    caught.append(_catch_up(engine, dead, messages))
                if engine.stats()["unaccounted"]:
                    raise RuntimeError(f"{engine.stats()['unaccounted']} events are unaccounted")

        return measure

    cases = [case("all take", None), case("one is dead", _DEAD)]

    def turn(number: int) -> None:
        for measure in cases if number % 2 == 0 else reversed(cases):
            measure()

    try:
        moments = disk.rounds(context, turn)
    finally:
        shutil.rmtree(folder / "data", ignore_errors=True)
    raw = {"events_per_s": numbers, "caught_up": caught, "messages": messages, "rounds": moments}
    return _judge(raw)


def _judge(raw: dict[str, Any]) -> Result:
    numbers, caught = raw["events_per_s"], raw["caught_up"]
    missing, out_of_order = (sum(one[name] for one in caught) for name in ("missing", "out_of_order"))
    rate = statistics.median(one["events_per_s"] for one in caught)
    result = Result("B7 disk", raw=raw)
    result.text = [
        f"{name:12} the seven others take {statistics.median(found):12,.0f} events/s "
        f"({min(found):,.0f} to {max(found):,.0f})"
        for name, found in numbers.items()
    ]
    result.text += [
        f"the dead one comes back to {raw['messages']:,} events and takes {rate:,.0f}/s, from segments",
        disk.quietness(raw["rounds"]),
    ]
    result.gates = [
        gates.at_least(
            "B7",
            "durable: seven healthy sinks beside a dead one",
            0.95,
            numbers["one is dead"],
            numbers["all take"],
        ),
        gates.value(
            "B7",
            "durable: the dead sink catches up, all of it, in order",
            "0 and 0",
            f"{missing} missing, {out_of_order} out of order",
            met=missing + out_of_order == 0,
        ),
    ]
    return result


def _healthy(engine: Engine, messages: int, dead: str | None) -> float:
    """Events of the healthy sinks per second of wall time, from the first submit until they have all of them.

    Where all take, the one that is dead elsewhere is served as well, but its time and events are not counted.
    """
    slab, took, apart = Slab(), dict.fromkeys(_SINKS, 0), 0.0
    healthy = [sink for sink in _SINKS if sink != _DEAD]
    began = time.perf_counter()
    while slab.number < messages or any(took[sink] < messages for sink in healthy):
        if slab.number < messages:
            engine.submit_lines(workload.SOURCE, slab.next(messages - slab.number), wait_s=30.0)
        for sink in healthy:
            took[sink] += _take(engine, sink)
        if dead is None:
            start = time.perf_counter()
            took[_DEAD] += _take(engine, _DEAD)
            apart += time.perf_counter() - start
    spent = time.perf_counter() - began - apart
    return sum(took[sink] for sink in healthy) / spent


def _take(engine: Engine, sink: str) -> int:
    with engine.poll(sink, events_max=512) as batch:
        batch.done_all()
        return len(batch)


def _catch_up(engine: Engine, sink: str, messages: int) -> dict[str, Any]:
    """Take everything that waited for a sink; what is missing and what came out of order."""
    last: dict[str, int] = {}
    seen = out_of_order = 0
    began = time.perf_counter()
    while seen < messages:
        with engine.poll(sink, events_max=512, wait_s=5.0) as batch:
            if len(batch) == 0:
                break
            for event in batch.events:
                out_of_order += last.get(event.key, -1) >= event.offset
                last[event.key] = event.offset
            seen += len(batch)
            batch.done_all()
    spent = time.perf_counter() - began
    return {"missing": messages - seen, "out_of_order": out_of_order, "events_per_s": seen / spent}


if __name__ == "__main__":
    print(json.dumps(offer(Path(sys.argv[1]), int(sys.argv[2]))))
