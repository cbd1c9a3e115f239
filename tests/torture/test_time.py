"""A daemon that is stopped and goes on, and one whose clock is set."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from itertools import cycle

import pytest

from tests.engine.conftest import message
from tests.runtime.durable_node import CLIENTS, ORDERS, SOURCES, Clients
from tests.runtime.wall_clock import DAY, WallClock


@pytest.fixture
def clock(tmp_path):
    return WallClock(tmp_path)


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


def test_a_machine_that_stands_still_and_wakes_hours_later_loses_and_repeats_nothing(start, target, clock):
    # As a virtual machine that is paused: for the node no time passes, and its wall clock jumps.
    clock.set(0)
    node, clients = start(prefix=clock.prefix), Clients()
    try:
        clients.go_on(node.address)
        for hours in (1, 6, 12):
            clients.more(50)
            node.process.send_signal(signal.SIGSTOP)
            clock.set(hours * 3_600)
            node.process.send_signal(signal.SIGCONT)
        clients.more(50)
    finally:
        node.process.send_signal(signal.SIGCONT)
        clients.end()
    assert target.until(clients.ledger) == set()
    assert in_order_once(target)
    assert node.stop() == 0


#: Seconds that the wall clock is off, one after the other.
JUMPS = (0, 400 * DAY, -3_600, 3_600, -400 * DAY)


def mfgroute(project, *command):
    """Give a command to the node of a project; answers the rows that it shows."""
    done = subprocess.run(
        [sys.executable, "-m", "mfgroute", *command, "--output", "json"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": SOURCES},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def look_into(target, project, event):
    """What a person does with an event in doubt: look into the target, and say what is there."""
    there = any(key == event for _, key, _, _ in target.arrivals)
    said = ["--posted", "seen"] if there else ["--not-posted"]
    mfgroute(project, "effects", "resolve", event, "--sink", "erp", "--reason", "looked", *said)


def test_a_wall_clock_that_is_set_back_and_forth_loses_and_repeats_nothing(start, target, clock, project):
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
    # Nobody knows how old the keys of the last life are now. What had no answer then is in doubt, and its order waits.
    deadline, resolved = time.monotonic() + 60, set()
    while target.until(clients.ledger, 1.0) and time.monotonic() < deadline:
        parked = mfgroute(project, "parked", "list")
        assert {row["cause"] for row in parked} <= {"in_doubt", "behind"}
        doubts = {row["id"]: row["reason"] for row in parked if row["cause"] == "in_doubt"}
        assert all("the clock was set back" in reason for reason in doubts.values())
        for event in doubts.keys() - resolved:
            look_into(target, project, event)
        resolved |= doubts.keys()
    assert target.until(clients.ledger) == set()
    assert node.post(message(0, order="0-0", id="0-0"))[2]["duplicates"] == 1
    ids, by_order = defaultdict(set), defaultdict(dict)
    for _, key, order, report in target.arrivals:
        ids[report].add(key)
        by_order[order].setdefault(int(report.rpartition("-")[2]))
    assert {len(keys) for keys in ids.values()} == {1}
    assert all(list(serials) == sorted(serials) for serials in by_order.values())
    assert len(ids) == len(target.arrivals)
    assert node.stop() == 0
