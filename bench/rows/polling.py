"""P10: what the side of `poll` carries."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import closing

import gates
import nodes
import projects
import workload
from gates import Result

from mfgroute._core import Engine
from rows.context import Context, in_turns

MESSAGES = 99_840
_OBJECTS_MIN = 300_000
_WHAT = "one Python object and its CloudEvent as bytes per event"


def run(context: Context) -> list[Result]:
    """Measure batches of several sizes, each polled and settled."""
    messages = context.sized(MESSAGES)
    slabs = projects.slabs(workload.lines("w1", messages))
    plan = projects.load(projects.write(context.work / "polling"))

    def case(events_max: int) -> Callable[[], float]:
        def measure() -> float:
            with closing(Engine(plan)) as engine:
                nodes.submit(engine, slabs)
                began = time.process_time_ns()
                polled = sum(1 for _ in nodes.drain(engine, events_max=events_max))
                spent = time.process_time_ns() - began
            if polled != messages:
                raise RuntimeError(f"{polled} events were polled of {messages}")
            return messages / spent * 1e9

        return measure

    numbers = in_turns(context.rounds, {f"batches of {size}": case(size) for size in (1, 16, 64, 512)})
    result = Result("P10", raw={"events_per_s_of_cpu": numbers, "messages": messages})
    result.text = [f"{'poll, per second of CPU':28} {'events/s':>11} {'min':>11} {'max':>11}"]
    result.text += [
        f"{name:28} {statistics.median(found):11,.0f} {min(found):11,.0f} {max(found):11,.0f}"
        for name, found in numbers.items()
    ]
    best = numbers["batches of 512"]
    middle = statistics.median(best)
    result.gates = [
        gates.missing(
            "P10", "batches of bytes", "≥ 1 M/s", "the engine hands out events one by one, never as one slab"
        ),
        gates.value(
            "P10",
            _WHAT,
            "≥ 300 k/s",
            f"{middle / 1e3:.0f} k/s ({min(best) / 1e3:.0f} to {max(best) / 1e3:.0f})",
            met=middle >= _OBJECTS_MIN,
        ),
    ]
    return [result]
