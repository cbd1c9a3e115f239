"""A dataflow of Bytewax in one worker: slabs from a source in memory through one step for each batch.

The step is the transform of `plain`, once for a batch, which is the cheapest way through Bytewax.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main

from compare import plain
from compare.common import WARM_UP, Route, Routed, report, slabs


def flow(source: list[bytes], route: Route, kept: list[Routed]) -> tuple[Dataflow, list[tuple[int, bytes]]]:
    """A flow, and where its events arrive."""
    arrived: list[tuple[int, bytes]] = []

    def step(batch: list[bytes]) -> list[tuple[int, bytes]]:
        routed = [route(slab) for slab in batch]
        kept.extend(routed)
        return [event for one in routed for event in one.events]

    made = Dataflow("w1")
    lines = op.input("slabs", made, TestingSource(source, batch_size=1))
    op.output("events", op.flat_map_batch("route", lines, step), TestingSink(arrived))
    return made, arrived


def measure(make: Callable[[], Route]) -> None:
    """As `common.drive`, with the flow around the route."""
    chosen = slabs(Path(sys.argv[1]).read_bytes())
    run_main(flow(chosen[:WARM_UP], make(), [])[0])
    kept: list[Routed] = []
    made, arrived = flow(chosen, make(), kept)
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    run_main(made)
    wall, cpu = time.perf_counter_ns() - wall, time.process_time_ns() - cpu
    report(sys.argv[2], arrived, kept, wall, cpu, chosen)


if __name__ == "__main__":
    measure(plain.make)
