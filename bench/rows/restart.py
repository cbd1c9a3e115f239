"""P13 and D11: a node that starts on a log of 1 GiB, nothing of it delivered.

The log is made by one process and opened by others, each of them new; before each, the pages of the data
folder are dropped from memory, as after a restart of the machine. Time runs from the start of the process.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
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
from rows import disk
from rows.context import Context
from rows.renamed import Slab

_GIB = 1 << 30
_FIRST_S_MAX = 3.0
_START_S, _START_S_PER_GIB = 2.0, 1.0


def run(context: Context) -> list[Result]:
    """Fill once, start as often as there are rounds."""
    size = _GIB // (64 if context.quick else 1)
    folder = context.work / "restart"
    shutil.rmtree(folder, ignore_errors=True)
    projects.write(
        folder, stream=f"durability: fsync, capacity: {max(64, 2 * size >> 20)}MiB, when_full: block"
    )
    try:
        filled = child("fill", folder, size)
        starts: list[dict[str, Any]] = []

        def turn(_: int) -> None:
            dropped = drop_pages(folder / "data")
            starts.append(child("start", folder, filled["events"]) | {"pages_dropped": dropped})

        moments = disk.rounds(context, turn)
    finally:
        shutil.rmtree(folder / "data", ignore_errors=True)
    try:
        curve = disk.Program(context).curve()
        shown = disk.show(curve)
    except Absent as reason:
        curve, shown = {}, [f"the curve of the disk was not measured: {reason}"]
    raw = {"filled": filled, "starts": starts, "rounds": moments, "disk": curve}
    return [_judge(raw, size, [*shown, disk.quietness(moments)])]


def _judge(raw: dict[str, Any], size: int, text: list[str]) -> Result:
    filled, starts = raw["filled"], raw["starts"]
    gib = filled["bytes"] / _GIB

    def spread(name: str) -> tuple[float, str]:
        values = [one[name] for one in starts]
        middle = statistics.median(values)
        return middle, f"{middle:.2f} s ({min(values):.2f} to {max(values):.2f})"

    first, first_text = spread("first_s")
    opened, opened_text = spread("open_s")
    bound = _START_S + _START_S_PER_GIB * gib
    cpu, _ = spread("open_cpu_s")
    rss = max(one["rss_max_mib"] for one in starts)
    result = Result("P13", raw=raw)
    result.text = [
        f"{filled['events']:,} events, {gib:.2f} GiB of records, filled in {filled['seconds']:.1f} s",
        f"open {opened_text}, {cpu:.2f} s of it CPU; first event after {first_text} of the process",
        f"at most {rss:.0f} MiB RSS",
        *text,
    ]
    log = f"restart with {gib:.2f} GiB of log"
    result.gates = [
        gates.value("P13", f"{log}: first delivery", "≤ 3 s", first_text, met=first <= _FIRST_S_MAX),
        gates.value("D11", f"{log}: opening it", f"≤ {bound:.1f} s", opened_text, met=opened <= bound),
    ]
    if size < _GIB:
        result.text.append("a log this small says nothing about the target")
    return result


def drop_pages(folder: Path) -> int:
    """Ask the kernel to forget what it holds of the files of a folder; how many files."""
    count = 0
    for path in folder.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            try:
                os.fsync(file)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(file)
            count += 1
    return count


def child(verb: str, folder: Path, number: int) -> dict[str, Any]:
    """Run this module as a process of its own; it is given the time at which it was started."""
    here = Path(__file__).parents[1]
    path = os.pathsep.join(part for part in (str(here), os.environ.get("PYTHONPATH")) if part)
    command = [sys.executable, "-m", "rows.restart", verb, str(folder), str(number), str(time.monotonic())]
    done = subprocess.run(
        command, cwd=here, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"restart: {done.stderr[-500:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def fill(folder: Path, size: int) -> dict[str, Any]:
    """Write events until their records have `size` bytes."""
    slab, events, began = Slab(), 0, time.monotonic()
    with closing(Engine(projects.load(folder), data_dir=str(folder / "data"))) as engine:
        while True:
            for _ in range(64):
                events += engine.submit_lines(workload.SOURCE, slab.next(), wait_s=30.0).accepted
            used = engine.stats()["streams"]["business"]["bytes"]
            if used >= size:
                break
    return {"events": events, "bytes": used, "seconds": time.monotonic() - began}


def start(folder: Path, events: int, began: float) -> dict[str, Any]:
    """Open and poll once; ``began`` is when this process was started."""
    plan = projects.load(folder)
    opening, cpu = time.monotonic(), time.process_time()
    with closing(Engine(plan, data_dir=str(folder / "data"))) as engine:
        opened, cpu = time.monotonic(), time.process_time() - cpu
        with engine.poll(workload.SINK, events_max=1, wait_s=30.0) as batch:
            first = time.monotonic()
            got = len(batch)
        sink = engine.stats()["sinks"][workload.SINK]
    if got != 1 or sink["queued"] + sink["in_flight"] != events:
        raise RuntimeError(f"{got} events polled and {sink['queued']} queued, expected 1 of {events}")
    return {
        "open_s": opened - opening,
        "open_cpu_s": cpu,
        "first_s": first - began,
        "rss_max_mib": host.rss_kib(field="VmHWM") / 1024,
        "rss_mib": host.rss_kib() / 1024,
    }


if __name__ == "__main__":
    _verb, _folder, _number, _began = sys.argv[1:]
    _at = Path(_folder)
    print(json.dumps(fill(_at, int(_number)) if _verb == "fill" else start(_at, int(_number), float(_began))))
