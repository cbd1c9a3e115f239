"""B6 and P9: messages that come at their own times, whether the router is ready or not.

Latency runs from the time at which a message was meant to be sent to the moment at which `poll` handed its
event out, so a stall counts for every message that should have been sent during it. One thread sends what is
due, another polls; neither spins. Both share one interpreter, which is part of what is measured.
"""

from __future__ import annotations

import re
import threading
import time
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import gates
import host
import projects
import stats
import workload
from gates import Result

from mfgroute._core import Engine, Plan
from rows.context import Context, seeded

RATE = 50_000
_TICK_S = 0.0002
_BATCH = 512
_ID = re.compile(rb'"id":"[^"]*')


@dataclass
class Profile:
    """When each message is due, in seconds from the start, ascending; and of which key it is.

    Attributes:
        work_center: of a message by its number; the message's own if none.
        sink_rate: events per second that the sink takes; all at once if none.
        after: latency is of interest from this second on.
        until: and up to this one.
    """

    name: str
    due: array[float]
    work_center: Callable[[int], bytes] | None = None
    sink_rate: float | None = None
    after: float = 0.0
    until: float = float("inf")


def steady(rate: float, seconds: float, start: float = 0.0) -> array[float]:
    """Equal gaps."""
    return array("d", (start + number / rate for number in range(int(rate * seconds))))


def profiles(*, full: bool, quick: bool) -> Iterator[Profile]:
    """The bursts of W6: with `full` as long as they are there, else scaled down."""
    base, burst, tail = (10.0, 60.0, 10.0) if full else (0.2, 0.4, 0.2) if quick else (1.0, 4.0, 1.0)
    shift = steady(5_000, base) + steady(50_000, burst, base) + steady(5_000, tail, base + burst)
    yield Profile("shift change, 5 k/s, then 10 times as much", shift, after=base, until=base + burst)
    peak, rest = (10.0, 20.0) if full else (0.2, 0.2) if quick else (2.0, 2.0)
    posting = steady(2_000, base) + steady(60_000, peak, base) + steady(2_000, rest, base + peak)
    yield Profile(
        "end of day, 2 k/s, then 30 times as much, sink at 40 k/s",
        posting,
        sink_rate=40_000,
        after=base,
        until=base + peak,
    )
    rnd = seeded(6)
    storm = [rnd.random() < 0.9 for _ in range(65_536)]
    yield Profile(
        "machine storm, 20 k/s, 90 % of one work center",
        steady(20_000, burst),
        work_center=lambda number: (
            b"WC-0001" if storm[number % 65_536] else b"WC-%04d" % (number % 9_000 + 1_000)
        ),
    )


def run(context: Context) -> list[Result]:
    """Measure P9 and the bursts."""
    plan = projects.load(projects.write(context.work / "open-loop"))
    seconds = 60.0 if context.full else 0.5 if context.quick else 5.0
    latency = Result("P9")
    found = [
        _measure(plan, Profile("steady", steady(RATE, seconds), after=seconds / 10))
        for _ in range(min(context.rounds, 5))
    ]
    p99 = sorted(one["p99_ms"] for one in found)
    latency.raw = {"rate": RATE, "seconds": seconds, "runs": found}
    latency.text = [_line(f"steady {RATE:,} /s", one) for one in found]
    middle = p99[len(p99) // 2]
    latency.gates = [
        gates.value(
            "P9",
            f"submit to poll at {RATE:,}/s, open loop, p99",
            "≤ 1 ms",
            f"{middle:.2f} ms ({p99[0]:.2f} to {p99[-1]:.2f})",
            met=middle <= 1.0,
        )
    ]
    bursts = Result("B6")
    for profile in profiles(full=context.full, quick=context.quick):
        one = _measure(plan, profile)
        bursts.raw[profile.name] = one
        bursts.text.append(_line(profile.name, one))
        bursts.gates.append(
            gates.value(
                "B6",
                profile.name.partition(",")[0] + ": none lost, order per key kept",
                "0 and 0",
                f"{one['lost']} lost, {one['out_of_order']} out of order",
                met=one["lost"] == 0 and one["out_of_order"] == 0 and one["unaccounted"] == 0,
            )
        )
    return [latency, bursts]


def _line(name: str, one: dict[str, Any]) -> str:
    return (
        f"{name:56} p50 {one['p50_ms']:8.2f}  p99 {one['p99_ms']:8.2f}  p99.9 {one['p99_9_ms']:8.2f}  "
        f"max {one['max_ms']:8.2f} ms; drained after {one['drain_s']:.2f} s; sender late by p99 "
        f"{one['sender_p99_ms']:.2f} ms; RSS {one['rss_max_mib']:.0f} MiB"
    )


def _lines(profile: Profile) -> list[bytes]:
    lines = workload.lines("w1", len(profile.due))
    if profile.work_center is None:
        return lines
    head = b'"workcenter":"'
    changed = []
    for number, line in enumerate(lines):
        start = line.index(head) + len(head)
        changed.append(line[:start] + profile.work_center(number) + line[line.index(b'"', start) :])
    return changed


class _Sender(threading.Thread):
    """Submits what is due; never waits for the router's sake."""

    def __init__(self, engine: Engine, lines: list[bytes], due: array[float], began: float) -> None:
        super().__init__()
        self.engine, self.lines, self.due, self.began = engine, lines, due, began
        self.late = array("d")
        self.accepted = 0
        self.error: Exception | None = None

    def run(self) -> None:
        """Until everything is sent."""
        try:
            self._send()
        except Exception as error:  # noqa: BLE001 - it is raised where the thread is joined
            self.error = error

    def _send(self) -> None:
        sent, count = 0, len(self.lines)
        while sent < count:
            now = time.perf_counter() - self.began
            upto = bisect_right(self.due, now, sent)
            if upto == sent:
                time.sleep(max(_TICK_S, min(0.05, self.due[sent] - now)))
                continue
            upto = min(upto, sent + _BATCH)
            self.late.append(now - self.due[sent])
            receipt = self.engine.submit_lines(workload.SOURCE, b"".join(self.lines[sent:upto]))
            self.accepted += receipt.accepted
            sent = upto


def _measure(plan: Plan, profile: Profile) -> dict[str, Any]:
    lines = _lines(profile)
    count = len(lines)
    with closing(Engine(plan)) as engine:
        first = _first_offset(engine)
        began = time.perf_counter() + 0.05
        sender = _Sender(engine, lines, profile.due, began)
        sender.start()
        handed = array("d", bytes(8 * count))
        last: dict[str, int] = {}
        seen = out_of_order = 0
        rss = host.rss_kib()
        free_at = began
        while seen < count:
            batch = engine.poll(workload.SINK, events_max=_BATCH, wait_s=0.5)
            now = time.perf_counter()
            if len(batch) == 0:
                if not sender.is_alive() and len(engine.poll(workload.SINK)) == 0:
                    break
                continue
            for event in batch.events:
                offset = event.offset
                handed[offset - first] = now
                out_of_order += last.get(event.key, -1) >= offset
                last[event.key] = offset
            seen += len(batch)
            if profile.sink_rate is not None:
                free_at = max(free_at, now) + len(batch) / profile.sink_rate
                time.sleep(max(0.0, free_at - time.perf_counter()))
            batch.done_all()
            rss = max(rss, host.rss_kib()) if seen % (64 * _BATCH) < _BATCH else rss
        ended = time.perf_counter()
        sender.join()
        if sender.error is not None:
            raise sender.error
        unaccounted = engine.stats()["unaccounted"]
    latency = sorted(
        (handed[number] - began - profile.due[number]) * 1e3
        for number in range(count)
        if handed[number] and profile.after <= profile.due[number] < profile.until
    )
    late = sorted(one * 1e3 for one in sender.late)
    shares = {"p50_ms": 0.5, "p99_ms": 0.99, "p99_9_ms": 0.999, "max_ms": 1.0}
    return {
        **{name: stats.quantile(latency, share) for name, share in shares.items()},
        "messages": count,
        "lost": count - seen,
        "out_of_order": out_of_order,
        "unaccounted": unaccounted,
        "drain_s": ended - began - profile.due[-1],
        "sender_p99_ms": stats.quantile(late, 0.99),
        "rss_max_mib": max(rss, host.rss_kib()) / 1024,
    }


def _first_offset(engine: Engine) -> int:
    """The offset of the first event: one that is sent ahead, polled and settled tells it."""
    ahead = _ID.sub(b'"id":"' + b"0" * 26, next(workload.messages(1)))
    receipt = engine.submit_lines(workload.SOURCE, ahead)
    if receipt.accepted != 1:
        raise RuntimeError(f"the event ahead was not accepted: {receipt.rejects}")
    with engine.poll(workload.SINK, wait_s=1.0) as batch:
        (event,) = batch.events
        batch.done_all()
        return event.offset + 1
