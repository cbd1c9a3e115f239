"""B10: changes of OPC UA servers become events that an ERP takes over HTTP.

Servers, router and target are processes of their own; what is measured is the processor time of the router
alone. It runs from the moment at which everybody is connected and the first values are through, to the moment
at which the target has every event and the router is at rest. The target refuses one of a hundred requests.
"""

from __future__ import annotations

import functools
import http.client
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import changes
import gates
import same
from child import Child
from gates import Result
from peers import Absent

from mfgroute._core import build_info
from rows import disk
from rows import opcua_routers as routers
from rows.context import Context
from rows.opcua_node import BATCH_MAX
from rows.opcua_routers import DURABLE, MEMORY, OWN, PEERS

#: Events of a request: changes of one run (and with `--full`), their rate in a second (and with `--full`).
LOADS = {1: (10_240, 120_000, 1_000, 2_000), BATCH_MAX: (51_200, 1_200_000, 8_000, 20_000)}
CHECKED = 2_048
_READY_S_MAX = 60.0
_STALL_S_MAX = 60.0
_LOOK_S = 0.25
_REST_SHARE = 0.1
_REST_S_MAX = 15.0


@dataclass
class Plants:
    """The servers, and the number of the next change, which is the same at all of them."""

    servers: list[Child]
    endpoints: list[str]
    next: int = changes.MACHINES

    def numbers(self, count: int) -> range:
        """The changes that somebody gets who subscribes now, if each plant makes `count` more."""
        return range(self.next - changes.MACHINES, self.next + count)

    def run(self, count: int, rate: float) -> float:
        """Let each plant make `count` changes; how many all of them made in a second."""
        for server in self.servers:
            server.say(f"{count} {rate}")
        self.next += count
        seconds = max(float(server.line(count / rate + _STALL_S_MAX)) for server in self.servers)
        return count * len(self.servers) / seconds


@dataclass
class Lap:
    """One router, one run."""

    cpu_us: float
    rate: float
    seconds: float
    seen: dict[str, int]
    lost: int


@dataclass
class Contest:
    """Everybody on one load.

    Attributes:
        batch: events of a request.
        laps: by router.
        wrong: who did not do the same work, and why.
    """

    batch: int
    changes: int
    rate: float
    laps: dict[str, list[Lap]] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)


Start = Callable[[str, int], Child]


class Bench:
    """The servers and the target, which serve every router in turn."""

    def __init__(self, plants: Plants, port: int) -> None:
        self._port = port
        self.plants = plants
        self.url = f"http://127.0.0.1:{port}/events"

    def ask(self, path: str) -> bytes:
        """An answer of the target."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()

    def seen(self) -> dict[str, int]:
        """What the target counted."""
        found: dict[str, int] = json.loads(self.ask("/seen"))
        return found

    def lap(
        self, start: Callable[[], Child], count: int, rate: float, *, compare: bool
    ) -> tuple[Lap, list[str]]:
        """Run one router over `count` changes of each plant; in what it did not do the expected work.

        Only where outputs are to be compared, each event is looked at: a long run has too many of them.
        """
        self.ask("/forget")
        plants = len(self.plants.servers)
        numbers = self.plants.numbers(count)
        with start() as router:
            if (said := router.line(_READY_S_MAX)) != "ready":
                raise RuntimeError(f"the router said {said!r}, expected ready")
            self._arrive(router, changes.MACHINES * plants)
            before = _rest(router)
            began = time.perf_counter()
            reached = self.plants.run(count, rate / plants)
            lost = len(numbers) * plants - self._arrive(router, len(numbers) * plants)
            seconds = time.perf_counter() - began
            spent = _rest(router) - before
        seen = self.seen()
        differing = self._differences(numbers, seen) if compare else []
        if lost:
            differing.append(f"{lost} events lost; it said: {router.said()}")
        return Lap(spent * 1e6 / (count * plants), reached, seconds, seen, lost), differing

    def _arrive(self, router: Child, wanted: int) -> int:
        """Wait until the target has so many events, or nothing has come for long; how many it has."""
        last, since = 0, time.monotonic()
        while (found := self.seen()["events"]) < wanted:
            router.cpu_s()  # Raises, if it has ended.
            if found > last:
                last, since = found, time.monotonic()
            elif time.monotonic() - since > _STALL_S_MAX:
                break
            time.sleep(_LOOK_S / 5)
        return found

    def _differences(self, numbers: range, seen: Mapping[str, int]) -> list[str]:
        lines = self.ask("/taken").split(b"\n")
        wanted = [
            json.dumps(event).encode()
            for plant in range(len(self.plants.servers))
            for event in changes.expected(plant, numbers)
        ]
        counts = {"messages": len(wanted), "rejected": 0}
        reference = same.read(
            counts | {"accepted": len(wanted), "duplicates": 0}, (b"-\t" + one for one in wanted)
        )
        found = same.read(
            counts | {"accepted": seen["events"], "duplicates": seen["again"]},
            (b"-\t" + line for line in lines if line),
        )
        return same.differences(reference, found)


def _rest(router: Child) -> float:
    """Wait until a router does nothing but wait; its processor time."""
    until = time.monotonic() + _REST_S_MAX
    last = router.cpu_s()
    while True:
        time.sleep(_LOOK_S)
        now = router.cpu_s()
        if now - last < _LOOK_S * _REST_SHARE or time.monotonic() > until:
            return now
        last = now


@contextmanager
def bench(context: Context) -> Iterator[Bench]:
    """Start servers and target; end them afterwards."""
    here = Path(__file__).parents[1]
    work = context.work / "opcua"
    work.mkdir(exist_ok=True)
    with ExitStack() as stack:
        servers = [
            stack.enter_context(
                Child([sys.executable, str(here / "opcua_plant.py"), str(plant)], work / f"plant-{plant}.log")
            )
            for plant in range(changes.PLANTS)
        ]
        target = stack.enter_context(
            Child([sys.executable, str(here / "erp_target.py")], work / "target.log")
        )
        endpoints = [server.line(_READY_S_MAX) for server in servers]
        yield Bench(Plants(servers, endpoints), int(target.line(_READY_S_MAX)))


def run(context: Context) -> list[Result]:
    """Check that everybody does the same, then measure in turns."""
    result = Result("B10", raw={"debug": build_info()["debug"], "plants": changes.PLANTS})
    with bench(context) as one:
        work, endpoints = context.work / "opcua", one.plants.endpoints
        starts: dict[str, Start] = dict.fromkeys(
            OWN, functools.partial(routers.own, work, endpoints, one.url)
        )
        try:
            python = context.shop.python(*routers.PACKAGES)
            starts |= dict.fromkeys(PEERS, functools.partial(routers.peer, python, work, endpoints, one.url))
        except Absent as reason:
            result.raw["absent"] = {name: str(reason) for name in PEERS}
            result.text.append(f"absent: {', '.join(PEERS)}: {reason}")
        for batch, (short, full, slow, fast) in LOADS.items():
            count, rate = (full, fast) if context.full else (context.sized(short), slow)
            contest = Contest(batch, count // changes.PLANTS, rate)
            moments = _contest(context, one, contest, starts)
            show(result, contest, moments)
    return [result]


def _contest(
    context: Context, one: Bench, contest: Contest, starts: Mapping[str, Start]
) -> list[dict[str, Any]]:
    def turn(number: int) -> None:
        for name in list(starts) if number % 2 == 0 else list(starts)[::-1]:
            if name not in contest.wrong:
                _lap(one, contest, name, starts[name], measured=True, compare=context.quick)

    if not context.quick:
        for name in starts:
            _lap(one, contest, name, starts[name], measured=False, compare=True)
        right = len(starts) - len(contest.wrong)
        print(f"same work, {contest.batch} per request: {right} of {len(starts)} routers", flush=True)
    return disk.rounds(context, turn)


def _lap(one: Bench, contest: Contest, name: str, start: Start, *, measured: bool, compare: bool) -> None:
    """Run one router; who does not do the expected work is disqualified."""
    count = contest.changes if measured else CHECKED // changes.PLANTS
    try:
        found, differing = one.lap(lambda: start(name, contest.batch), count, contest.rate, compare=compare)
    except RuntimeError as error:
        differing = [str(error)]
    else:
        if measured:
            contest.laps.setdefault(name, []).append(found)
    if differing:
        contest.wrong[name] = "; ".join(differing)
        print(f"disqualified: {name}: {contest.wrong[name]}", flush=True)


def show(result: Result, contest: Contest, moments: list[dict[str, Any]]) -> None:
    """Add tables and gates of one load."""
    batch = f"{contest.batch} per request"
    result.raw[batch] = {
        "laps": {name: [vars(lap) for lap in laps] for name, laps in contest.laps.items()},
        "disqualified": contest.wrong,
        "changes": contest.changes * changes.PLANTS,
        "rate_asked": contest.rate,
        "rounds": moments,
    }
    titles = ("us/change", "min", "max", "changes/s", "seconds", "events/req", "refused", "lost", "again")
    head = " ".join(f"{title:>10}" for title in titles)
    result.text.append(f"{f'{batch}, {contest.rate:,.0f}/s asked':32} {head} out of order")
    for name, laps in contest.laps.items():
        cpu = [lap.cpu_us for lap in laps]
        sums = {key: sum(lap.seen[key] for lap in laps) for key in laps[0].seen}
        columns = (
            f"{statistics.median(cpu):.1f}",
            f"{min(cpu):.1f}",
            f"{max(cpu):.1f}",
            f"{statistics.median(lap.rate for lap in laps):,.0f}",
            f"{statistics.median(lap.seconds for lap in laps):.1f}",
            f"{sums['events'] / max(1, sums['requests'] - sums['refused']):.1f}",
            f"{sums['refused']:,}",
            f"{sum(lap.lost for lap in laps)}",
            f"{sums['again']}",
        )
        shown = " ".join(f"{column:>10}" for column in columns)
        result.text.append(f"{name:32} {shown} {sums['out_of_order']:12}")
    result.text += [f"{name:32} disqualified: {why}" for name, why in contest.wrong.items()]
    result.text.append(disk.quietness(moments))
    if result.raw["debug"]:
        result.text.append("the extension is built without optimization: its time says nothing")
    result.gates += [_faster(contest, batch, debug=result.raw["debug"]), _kept(contest, batch)]
    if not result.raw["debug"]:
        result.gates += _held(contest, batch)


def _faster(contest: Contest, batch: str, *, debug: bool) -> gates.Gate:
    what = f"{batch}: CPU of the typical service against ours"
    if debug:
        return gates.missing("B10", what, "≥ 10 ×", "the extension is built without optimization")
    cpu = {
        name: [lap.cpu_us for lap in laps] for name, laps in contest.laps.items() if name not in contest.wrong
    }
    best = min((cpu[name] for name in PEERS if cpu.get(name)), key=statistics.median, default=[])
    return gates.at_least("B10", what, 10, best, cpu.get(OWN[0], []))


def _held(contest: Contest, batch: str) -> list[gates.Gate]:
    """What is held in the place of ten times; see decision 0025."""
    cpu = {
        name: [lap.cpu_us for lap in laps] for name, laps in contest.laps.items() if name not in contest.wrong
    }
    bounds = [(DURABLE, name, 1) for name in PEERS]
    if contest.batch == 1:
        client = next(name for name, package in PEERS.items() if package == "aiohttp")
        bounds = [(MEMORY, client, 3), (DURABLE, client, 10)]
    return [
        gates.at_most(
            "B10",
            f"{batch}: CPU of {own.removeprefix('mfgroute, ')} node against service with {PEERS[peer]}",
            bound,
            cpu.get(own, []),
            cpu.get(peer, []),
        )
        for own, peer, bound in bounds
    ]


def _kept(contest: Contest, batch: str) -> gates.Gate:
    laps = [lap for name in OWN for lap in contest.laps.get(name, [])]
    refused, lost = sum(lap.seen["refused"] for lap in laps), sum(lap.lost for lap in laps)
    again = sum(lap.seen["again"] for lap in laps)
    disordered = sum(lap.seen["out_of_order"] for lap in laps)
    without = sum(lap.seen["refused"] == 0 for lap in laps)
    wrong = [contest.wrong[name] for name in OWN if name in contest.wrong]
    return gates.value(
        "B10",
        f"{batch}: none lost, doubled or overtaken by errors",
        "0, 0 and 0",
        wrong[0] if wrong else f"{lost}, {again} and {disordered} with {refused:,} errors",
        met=bool(laps) and not wrong and without == 0 and lost + again + disordered == 0,
    )
