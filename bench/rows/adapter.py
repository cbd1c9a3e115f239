"""B9: what Python around the engine costs.

From slabs that are there already to a source adapter in a running node that hands over single messages. In
the last cases another thread holds the interpreter all the time. The peer is a bare asyncio loop with the
transform of `compare.plain`: what one would write without a router.
"""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import gates
import nodes
import projects
import workload
from compare import plain
from gates import Result

from mfgroute import Router
from mfgroute._core import Engine, Plan
from mfgroute.adapter import Config, Sink, Source
from mfgroute.adapter import Context as Place
from mfgroute.events import Done, Event, Intake, Outcome, Receipt
from mfgroute.registry import Registry
from rows.context import Context, in_turns

MESSAGES = 20_480
_ADAPTER = "bench"


class Given(Config):
    """Nothing to set."""


class Feed(Source):
    """Hands over what the benchmark has prepared, then waits for ever."""

    Config = Given
    intakes: Iterator[Intake] = iter(())
    accepted = 0
    wanted = 0
    began = 0
    ended: asyncio.Event

    def __init__(self, config: Given, context: Place) -> None:
        """Nothing to connect."""

    async def read(self) -> Intake:
        """The next intake; the clock runs from the first."""
        Feed.began = Feed.began or time.perf_counter_ns()
        for intake in Feed.intakes:
            return intake
        await asyncio.Event().wait()
        raise AssertionError("an event that nobody sets was set")

    async def ack(self, intake: Intake, receipt: Receipt) -> None:
        """Count, and say when everything is in."""
        Feed.accepted += receipt.accepted
        if Feed.accepted >= Feed.wanted:
            Feed.ended.set()


class Hole(Sink):
    """Takes everything."""

    Config = Given
    batch_max = 500

    def __init__(self, config: Given, context: Place) -> None:
        """Nothing to connect."""

    async def write(self, events: list[Event]) -> list[Outcome]:  # type: ignore[override]
        """Done."""
        return [Done()] * len(events)


def run(context: Context) -> list[Result]:
    """Measure the ways in."""
    count = context.sized(MESSAGES)
    lines = workload.lines("w1", count)
    slabs = projects.slabs(lines)
    groups = [lines[start : start + workload.SLAB] for start in range(0, count, workload.SLAB)]
    plan = projects.load(projects.write(context.work / "adapter"))
    folder = projects.write(context.work / "adapter-node", adapter=_ADAPTER)

    def slab_in(engine: Engine) -> int:
        return nodes.submit(engine, slabs)

    def list_in(engine: Engine) -> int:
        return sum(engine.submit(workload.SOURCE, group).accepted for group in groups)

    def one_in(engine: Engine) -> int:
        return sum(engine.submit(workload.SOURCE, [line]).accepted for line in lines)

    def node(intakes: Callable[[], Iterator[Intake]]) -> Callable[[], float]:
        return lambda: asyncio.run(_node(folder, intakes(), count))

    cases: dict[str, Callable[[], float]] = {
        "slabs of 512": _engine(plan, count, slab_in),
        "lists of 512": _engine(plan, count, list_in),
        "one message per call": _engine(plan, count, one_in),
        "adapter, slabs of 512": node(lambda: (Intake(slab=slab) for slab in slabs)),
        "adapter, lists of 512": node(lambda: (Intake(messages=group) for group in groups)),
        "adapter, one message": node(lambda: (Intake(messages=[line]) for line in lines)),
        "asyncio loop, plain Python": lambda: asyncio.run(_loop(lines)),
        "slabs of 512, interpreter held": _held(_engine(plan, count, slab_in)),
        "one message, interpreter held": _held(_engine(plan, count, one_in)),
    }
    numbers = in_turns(context.rounds, cases)
    result = Result("B9", raw={"wall_ns_per_message": numbers, "messages": count})
    result.text = [f"{'way in':32} {'wall ns/msg':>11} {'min':>8} {'max':>8} {'messages/s':>11}"]
    result.text += [
        f"{name:32} {statistics.median(found):11.0f} {min(found):8.0f} {max(found):8.0f} "
        f"{1e9 / statistics.median(found):11,.0f}"
        for name, found in numbers.items()
    ]
    base = numbers["slabs of 512"]
    result.gates = [
        gates.at_least("B9", "lists of 512 against slabs of 512", 0.8, base, numbers["lists of 512"]),
        gates.at_least(
            "B9",
            "source adapter with slabs, whole node, against slabs",
            0.8,
            base,
            numbers["adapter, slabs of 512"],
        ),
    ]
    return [result]


def _engine(plan: Plan, count: int, work: Callable[[Engine], int]) -> Callable[[], float]:
    def measure() -> float:
        with closing(Engine(plan)) as engine:
            began = time.perf_counter_ns()
            accepted = work(engine)
            spent = time.perf_counter_ns() - began
        if accepted != count:
            raise RuntimeError(f"{accepted} accepted of {count}")
        return spent / count

    return measure


async def _node(folder: object, intakes: Iterator[Intake], count: int) -> float:
    Feed.intakes, Feed.ended = intakes, asyncio.Event()
    Feed.accepted, Feed.wanted, Feed.began = 0, count, 0
    adapters = Registry(sources={_ADAPTER: Feed}, sinks={"console": Hole})
    router = Router(folder, adapters=adapters)  # type: ignore[arg-type]
    async with router:
        await asyncio.wait_for(Feed.ended.wait(), 120)
        spent = time.perf_counter_ns() - Feed.began
    return spent / count


async def _loop(lines: list[bytes]) -> float:
    count = len(lines)
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(1000)
    route = plain.make()

    async def consume() -> int:
        took = 0
        while (line := await queue.get()) is not None:
            took += len(route(line).events)
        return took

    began = time.perf_counter_ns()
    consumer = asyncio.create_task(consume())
    for line in lines:
        await queue.put(line)
    await queue.put(None)
    took = await consumer
    spent = time.perf_counter_ns() - began
    if took != count:
        raise RuntimeError(f"{took} routed of {count}")
    return spent / count


@contextmanager
def _busy() -> Iterator[None]:
    """A thread that computes until the end."""
    stop = threading.Event()

    def spin() -> None:
        number = 0
        while not stop.is_set():
            number = (number * 31 + 7) % 1_000_003

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _held(case: Callable[[], float]) -> Callable[[], float]:
    def measure() -> float:
        with _busy():
            return case()

    return measure
