"""Messages offered to an engine, in a closed or an open loop, and how long they take."""

from __future__ import annotations

import re
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from mfgroute import _core
from mfgroute.testing.load.project import SINK, SOURCE, messages
from mfgroute.testing.load.quantile import quantile

#: Messages that a sender hands over together.
BATCH = 100
_BATCH_DUE_MAX = 512
_ROOM_S = 30.0
_POLL_S = 0.05
_ID = re.compile(rb'"A-(\d+)"')


@dataclass(frozen=True)
class Latency:
    """Quantiles of durations in microseconds."""

    p50_us: float
    p99_us: float
    p99_9_us: float
    max_us: float

    @classmethod
    def of(cls, seconds: Iterator[float]) -> Latency:
        """Of durations in seconds, at least one."""
        ordered = sorted(one * 1e6 for one in seconds)
        return cls(*(quantile(ordered, share) for share in (0.5, 0.99, 0.999, 1.0)))


@dataclass(frozen=True)
class Found:
    """What one load came to.

    Attributes:
        events: that were accepted.
        seconds: until the last was acknowledged.
        read: that were handed out to the sink and settled, each once.
        ack: until the sender had its receipt; from the time at which a message should have been sent, or in a
            closed loop from the call.
        poll: from the time at which a message should have been sent until the sink had its event; none in a
            closed loop.
    """

    events: int
    seconds: float
    read: int
    ack: Latency
    poll: Latency | None

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.events / self.seconds


def as_fast_as_possible(engine: _core.Engine, events: int, senders: int) -> Found:
    """Closed loop: each sender hands over a batch, waits for its receipt, and goes on."""
    slabs = [b"".join(messages(min(BATCH, events - at), at)) for at in range(0, events, BATCH)]
    took = array("d", bytes(8 * len(slabs)))
    accepted = array("q", bytes(8 * len(slabs)))

    def send(sender: int) -> None:
        for number in range(sender, len(slabs), senders):
            began = time.perf_counter()
            receipt = engine.submit_lines(SOURCE, slabs[number], wait_s=_ROOM_S)
            took[number] = time.perf_counter() - began
            accepted[number] = receipt.accepted

    with _reader(engine) as read:
        began = time.perf_counter()
        _together(send, senders)
        seconds = time.perf_counter() - began
    return Found(sum(accepted), seconds, len(read), Latency.of(iter(took)), None)


def at_a_rate(engine: _core.Engine, events: int, rate: float, senders: int) -> Found:
    """Open loop: each message has its time, and a sender hands over what is due."""
    lines = messages(events, start=events)
    done = array("d", bytes(8 * events))
    accepted = [0] * senders
    began = time.perf_counter()

    def send(sender: int) -> None:
        number = sender
        while number < events:
            now = time.perf_counter() - began
            if number / rate > now:
                time.sleep(number / rate - now)
                continue
            due = range(number, min(events, int(now * rate) + 1), senders)[:_BATCH_DUE_MAX] or range(
                number, number + 1
            )
            receipt = engine.submit_lines(SOURCE, b"".join(lines[one] for one in due), wait_s=_ROOM_S)
            now = time.perf_counter() - began
            for one in due:
                done[one] = now
            accepted[sender] += receipt.accepted
            number = due[-1] + senders

    with _reader(engine) as read:
        _together(send, senders)
    ack = Latency.of(done[number] - number / rate for number in range(events))
    poll = Latency.of(at - began - (number - events) / rate for number, at in read)
    return Found(sum(accepted), max(done), len(read), ack, poll)


def _together(send: Callable[[int], None], senders: int) -> None:
    """Run all senders to their end; the first error of one is raised."""
    with ThreadPoolExecutor(senders) as pool:
        for one in [pool.submit(send, sender) for sender in range(senders)]:
            one.result()


@contextmanager
def _reader(engine: _core.Engine) -> Iterator[list[tuple[int, float]]]:
    """Poll and settle meanwhile, and to the end; numbers of messages with the time at which each came."""
    read: list[tuple[int, float]] = []
    failed: list[Exception] = []
    sent = threading.Event()

    def run() -> None:
        try:
            while True:
                last = sent.is_set()
                with engine.poll(SINK, wait_s=_POLL_S) as batch:
                    now = time.perf_counter()
                    for event in batch:
                        match = _ID.search(event.json)
                        read.append((int(match[1]) if match else -1, now))
                    batch.done_all()
                    counts = engine.stats()["sinks"][SINK] if last and len(batch) == 0 else None
                if counts is not None and counts["queued"] + counts["in_flight"] == 0:
                    return
        except Exception as error:  # noqa: BLE001 - it is raised where the thread is joined
            failed.append(error)

    thread = threading.Thread(target=run, name="bench-reader")
    thread.start()
    try:
        yield read
    finally:
        sent.set()
        thread.join()
    if failed:
        raise failed[0]
