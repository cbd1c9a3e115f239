"""A daemon that is stopped and goes on, and one whose clock is set."""

import signal
import subprocess
import sys
import threading
from collections import defaultdict
from itertools import cycle
from pathlib import Path

import pytest

from tests.engine.conftest import message
from tests.runtime.durable_node import CLIENTS, ORDERS, Clients


def in_order_once(target):
    """Whether each report of each order has arrived once, after those before it."""
    by_order = defaultdict(list)
    for _, _, order, report in target.arrivals:
        by_order[order].append(int(report.rpartition("-")[2]))
    assert len(by_order) == CLIENTS * ORDERS
    return all(serials == sorted(set(serials)) for serials in by_order.values())


def test_a_daemon_that_stands_still_and_goes_on_loses_and_repeats_nothing_and_keeps_its_folder(start, target):
    node, clients, clock = start(), Clients(), threading.Event()
    try:
        clients.go_on(node.address)
        for _ in range(2):
            clients.more(100)
            node.process.send_signal(signal.SIGSTOP)
            second = start(ready=False)
            assert second.ended() == 75
            # So long it stands still; nothing could tell this test earlier.
            clock.wait(1.0)
            node.process.send_signal(signal.SIGCONT)
        clients.more(100)
    finally:
        node.process.send_signal(signal.SIGCONT)
        clients.end()
    assert target.until(clients.ledger) == set()
    assert in_order_once(target)
    assert node.stop() == 0


DAY = 86_400
#: Seconds that the wall clock is off, one after the other.
JUMPS = (0, 400 * DAY, -3_600, 3_600, -400 * DAY)


@pytest.fixture
def clock(tmp_path):
    """Sets the wall clock of a daemon that begins with `prefix`; skips where none can be set."""
    libraries = sorted(Path("/usr").glob("lib*/**/faketime/libfaketimeMT.so.1"))
    if not libraries:
        pytest.skip("libfaketime is not installed")
    offset = tmp_path / "offset"
    environment = {
        "LD_PRELOAD": libraries[0],
        "FAKETIME_TIMESTAMP_FILE": offset,
        "FAKETIME_NO_CACHE": 1,
        "FAKETIME_DONT_FAKE_MONOTONIC": 1,
    }

    class Clock:
        def __init__(self):
            self.prefix = ["env", *(f"{name}={value}" for name, value in environment.items())]

        def set(self, seconds):
            """Say how far it is off. A daemon never sees half a file."""
            offset.with_suffix(".new").write_text(f"{seconds:+d}\n")
            offset.with_suffix(".new").rename(offset)

    one = Clock()
    one.set(400 * DAY)
    program = "import time; print(time.time())"
    said = subprocess.run(
        [*one.prefix, sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    real = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    if said.returncode or float(said.stdout) - float(real.stdout) < 399 * DAY:
        pytest.skip(f"libfaketime sets no clock here: {said.stderr.strip()[-200:]}")
    return one


def test_a_wall_clock_that_is_set_back_and_forth_loses_and_repeats_nothing(start, target, clock):
    jumps, clients = cycle(JUMPS), Clients()
    try:
        clock.set(next(jumps))
        node = start(prefix=clock.prefix)
        clients.go_on(node.address)
        for _ in JUMPS:
            clients.more(10)
            clock.set(next(jumps))
        clients.more(10)
        node.process.kill()
        node.ended()
        clock.set(-3 * 400 * DAY)
        node = start(prefix=clock.prefix)
        clients.go_on(node.address)
        clients.more(20)
    finally:
        clients.end()
    assert target.until(clients.ledger) == set()
    assert node.post(message(0, order="0-0", id="0-0"))[2]["duplicates"] == 1
    ids, by_order = defaultdict(set), defaultdict(dict)
    for _, key, order, report in target.arrivals:
        ids[report].add(key)
        by_order[order].setdefault(int(report.rpartition("-")[2]))
    assert {len(keys) for keys in ids.values()} == {1}
    assert all(list(serials) == sorted(serials) for serials in by_order.values())
    # What was in flight comes again, from the next life; nothing comes twice within one.
    arrived = [(life, report) for life, _, _, report in target.arrivals]
    assert len(set(arrived)) == len(arrived)
    assert node.stop() == 0
