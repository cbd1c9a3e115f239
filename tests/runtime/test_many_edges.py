"""Many edges at one core: back after a restart without a stampede, and none at the cost of another.

`MFGROUTE_EDGES` says how many; 20 if not given.
"""

import asyncio
import os
import time
from collections import defaultdict

import pytest
from link_nodes import Relay, counters, status
from many_edges import Core, Edge

from mfgroute.adapters.zeromq.frames import Block
from mfgroute.adapters.zeromq.waiting import Waiting

EDGES = int(os.environ.get("MFGROUTE_EDGES", "20"))
NAMES = [f"edge-{number}" for number in range(EDGES)]
#: Connections that the core lets in a second: all edges are back after four.
RATE = max(1, EDGES // 4)
#: Events of an edge before the core dies, and after.
HALF, ALL = 20, 50


@pytest.fixture
def core(tmp_path):
    one = Core(tmp_path, NAMES, connects=f"{RATE}/s")
    yield one
    one.close()


async def until(condition, seconds=60):
    """Wait for something that is seen only by looking; not a pause, a deadline."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)


def by_edge(core):
    """Numbers that have arrived from each edge, at their first arrival: the file may get some again."""
    found = defaultdict(dict)
    for edge, number in core.arrived():
        found[edge].setdefault(number)
    return {edge: list(numbers) for edge, numbers in found.items()}


async def watch(node, seen):
    """Note whether the core is well."""
    while True:
        ready, _, document = await asyncio.to_thread(node.ask, "GET", "/readyz")
        seen.append((ready, document))
        await asyncio.sleep(0.1)


@pytest.mark.timeout(120 + EDGES)
async def test_all_edges_are_back_after_the_core_was_killed_one_after_the_other(core, record_property):
    first = await asyncio.to_thread(core.start)
    gate = asyncio.Event()
    edges = [Edge(core, name, seed=number) for number, name in enumerate(NAMES)]
    sending = [asyncio.create_task(edge.send(ALL, half=HALF, gate=gate)) for edge in edges]
    await until(lambda: all(edge.done == HALF for edge in edges), 60 + EDGES / 5)
    # All are connected when the core dies, so all come back at once.
    first.process.kill()
    await asyncio.to_thread(first.ended)
    gate.set()
    node = await asyncio.to_thread(core.start)
    seen = []
    watching = asyncio.create_task(watch(node, seen))
    try:
        async with asyncio.timeout(60 + EDGES / 5):
            await asyncio.gather(*sending)
    finally:
        watching.cancel()
    record_property("edges", EDGES)
    assert all(ready == 200 for ready, _ in seen), seen
    # More than a second's connections take a second, but for how long this machine takes to notice.
    times = sorted(edge.connected for edge in edges)
    assert all(late - early > 0.7 for early, late in zip(times, times[RATE + 1 :], strict=False)), times
    await until(lambda: {len(numbers) for numbers in by_edge(core).values()} == {ALL})
    assert by_edge(core) == {name: list(range(ALL)) for name in NAMES}
    source = status(node)["stats"]["sources"]["edges"]
    assert (source["rejected"], source["duplicates"]) == (0, 0)
    assert counters(node, "edges").get("forks", 0) == 0


async def test_an_edge_that_floods_and_one_that_hears_nothing_hold_nobody_back(core):
    node = await asyncio.to_thread(core.start)
    relay = Relay(core.port)
    relay.passes["back"] = False
    flood, deaf, *others = NAMES[:12]
    flooding = Edge(core, flood, batch=256)
    # What the core says to this one goes nowhere, and its connection stays.
    hearing = Edge(core, deaf, port=relay.port)
    beside = [asyncio.create_task(flooding.send(1_000_000)), asyncio.create_task(hearing.send(10))]
    await until(lambda: flooding.done >= 1_000)
    edges = [Edge(core, name) for name in others]
    began, before = time.monotonic(), flooding.done
    try:
        async with asyncio.timeout(60):
            await asyncio.gather(*(edge.send(100) for edge in edges))
        took_s = time.monotonic() - began
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        relay.close()
    assert hearing.done == 0
    assert {edge.lost for edge in edges} == {0}
    # The flood goes on meanwhile, and gives way.
    assert flooding.done > before, took_s
    assert status(node)["ready"]
    found = by_edge(core)
    assert {len(found[name]) for name in others} == {100}


def test_of_all_edges_that_wait_one_block_each_is_taken_before_a_second_of_any():
    waiting = Waiting(("business",))

    def block(edge, number):
        events = (b"{}",) * 10
        return Block(
            stream="business", epoch=1, edge=edge, session=1, settled=0, number=number,
            offsets=tuple(range(10)), events=events,
        )  # fmt: skip

    for number in range(1, 101):
        waiting.put(block("flood", number))
    for other in range(19):
        waiting.put(block(f"other-{other}", 1))
    first = waiting.take(events_max=150, bytes_max=1 << 20)
    second = waiting.take(events_max=150, bytes_max=1 << 20)
    turns = [taken.edge for taken in first + second]
    assert sorted(turns[:20]) == sorted(["flood", *(f"other-{other}" for other in range(19))])
    assert set(turns[20:]) == {"flood"}
