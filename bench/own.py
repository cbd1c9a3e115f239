"""The engine as a contender on W1: ``python own.py EVENTS OUT [THREADS]``; see `compare.common`."""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import nodes
from compare.common import WARM_UP, slabs

from mfgroute._core import Engine


def offer(engine: Engine, chosen: list[bytes], threads: int) -> tuple[int, int, int]:
    """Submit slabs from one or several threads: accepted, rejected, duplicates."""
    found: list[tuple[int, int, int]] = []

    def work(part: list[bytes]) -> None:
        receipts = [engine.submit_lines(nodes.workload.SOURCE, slab) for slab in part]
        found.append(
            (
                sum(receipt.accepted for receipt in receipts),
                sum(receipt.rejected for receipt in receipts),
                sum(receipt.duplicates for receipt in receipts),
            )
        )

    if threads == 1:
        work(chosen)
    else:
        started = [threading.Thread(target=work, args=(chosen[one::threads],)) for one in range(threads)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
    accepted, rejected, duplicates = (sum(column) for column in zip(*found, strict=True))
    return accepted, rejected, duplicates


def main() -> None:
    """Measure once."""
    events, out = sys.argv[1:3]
    threads = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    plan = nodes.plan()
    chosen = slabs(Path(events).read_bytes())
    with closing(Engine(plan)) as warm:
        offer(warm, chosen[:WARM_UP], 1)
    with closing(Engine(plan)) as engine:
        gc.collect()
        wall, cpu = time.perf_counter_ns(), time.process_time_ns()
        accepted, rejected, duplicates = offer(engine, chosen, threads)
        wall, cpu = time.perf_counter_ns() - wall, time.process_time_ns() - cpu
        if out != "-":
            with Path(out).open("w") as file:
                file.writelines(
                    f"-\t{json.dumps(json.loads(event)['data'])}\n" for event in nodes.drain(engine)
                )
    counts = {
        "messages": sum(slab.count(b"\n") for slab in chosen),
        "accepted": accepted,
        "rejected": rejected,
        "duplicates": duplicates,
        "wall_ns": wall,
        "cpu_ns": cpu,
    }
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
