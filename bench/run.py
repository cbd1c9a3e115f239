"""Measure W1 with the engine and its peer in turns, print a table, keep the numbers: ``make bench``."""

from __future__ import annotations

import argparse
import datetime as dt
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import nodes
import peer
import workload

from mfgroute._core import Engine, Plan

RESULTS = Path(__file__).parent / "results"
METHOD = (
    "one process, one thread; each round runs every case once, in turns; a fresh engine and a fresh peer per "
    "round; process CPU time per message, median of rounds; the first round is not counted"
)


def cases(plan: Plan, slabs: list[bytes]) -> dict[str, Callable[[], tuple[float, int]]]:
    """What is measured: each case gives its seconds and how many events it saw."""

    def timed(work: Callable[[], int]) -> tuple[float, int]:
        started = time.process_time()
        seen = work()
        return time.process_time() - started, seen

    def submit() -> tuple[float, int]:
        with closing(Engine(plan)) as engine:
            return timed(lambda: nodes.submit(engine, slabs))

    def poll() -> tuple[float, int]:
        with closing(Engine(plan)) as engine:
            nodes.submit(engine, slabs)
            return timed(lambda: sum(1 for _ in nodes.drain(engine)))

    def plain_python() -> tuple[float, int]:
        route = peer.make()
        return timed(lambda: sum(len(route(slab)) for slab in slabs))

    return {"submit_lines": submit, "poll": poll, "msgspec peer": plain_python}


def measure(rounds: int, count: int) -> dict[str, list[float]]:
    """Nanoseconds per message of every round but the first."""
    plan = nodes.plan()
    nodes.check_engine(plan)
    nodes.check_peer()
    slabs = workload.slabs(count)
    chosen = cases(plan, slabs)
    numbers: dict[str, list[float]] = {name: [] for name in chosen}
    for number in range(rounds + 1):
        for name, case in chosen.items():
            gc.collect()
            seconds, seen = case()
            if seen != count:
                sys.exit(f"{name}: {seen} events of {count} messages")
            if number > 0:
                numbers[name].append(seconds / count * 1e9)
    return numbers


def commit() -> str:
    """The short name of the commit; with a suffix when files differ from it."""
    command = ["git", "describe", "--always", "--dirty=-changed", "--abbrev=10"]
    done = subprocess.run(command, cwd=RESULTS.parent, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "no-commit"


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--messages", type=int, default=100_000 // workload.SLAB * workload.SLAB)
    options = parser.parse_args()
    load_before = os.getloadavg()
    numbers = measure(options.rounds, options.messages)
    base = statistics.median(numbers["msgspec peer"])
    print(f"{'W1':14} {'ns/message':>11} {'min':>8} {'max':>8} {'messages/s':>11} {'x peer':>7}")
    for name, values in numbers.items():
        middle = statistics.median(values)
        print(
            f"{name:14} {middle:11.0f} {min(values):8.0f} {max(values):8.0f} {1e9 / middle:11.0f} "
            f"{base / middle:7.2f}"
        )
    result = {
        "commit": commit(),
        "at": f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}",
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "load_average": {"before": load_before, "after": os.getloadavg()},
        "method": METHOD,
        "messages": options.messages,
        "slab": workload.SLAB,
        "ns_per_message": numbers,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{result['commit']}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"kept in {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    main()
