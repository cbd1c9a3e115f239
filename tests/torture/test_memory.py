"""A node whose memory has a limit that the kernel enforces."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.conftest import message
from tests.runtime.durable_node import Clients, write_project
from tests.torture.control_group import ControlGroup

MIB = 1 << 20
#: What a node needs without events, and the records of a stream that it keeps in memory.
AT_REST, TAIL = 110 * MIB, 64 * MIB
#: Takes memory and never lets go of it, until there is no more.
HOG = "held = []\nwhile True: held.append(bytearray(1 << 20))"


@pytest.fixture
def group():
    with ControlGroup(AT_REST + TAIL + 32 * MIB) as one:
        yield one


@pytest.mark.timeout(400)
def test_a_load_that_is_larger_than_the_memory_is_held_back_and_kills_nothing(group, start, project, target):
    write_project(project, target.url, capacity="240MiB")
    target.closed = True
    node = start(prefix=group.prefix)
    acknowledged, text = [], "x" * 200_000
    for number in range(5_000):
        status, headers, _ = node.post(message(number, text=text, order=str(number)))
        if status != 202:
            break
        acknowledged.append(f"r{number}")
    assert (status, headers["Retry-After"]) == (503, "1")
    assert len(acknowledged) * len(text) > AT_REST + TAIL + 32 * MIB, len(acknowledged)
    target.closed = False
    assert target.until(acknowledged) == set()
    assert node.stop() == 0
    assert group.killed == 0


def test_a_node_that_is_killed_for_its_memory_loses_and_reorders_nothing(group, start, target):
    node, clients = start(prefix=group.prefix), Clients()
    try:
        clients.go_on(node.address)
        clients.more(100)
        # Of those in the group the kernel takes the one that is to go first, whoever asked for memory.
        Path(f"/proc/{node.process.pid}/oom_score_adj").write_text("1000", encoding="ascii")
        hog = subprocess.Popen([*group.prefix, sys.executable, "-c", HOG])
        try:
            assert node.ended() == -signal.SIGKILL
            assert group.killed >= 1
        finally:
            hog.kill()
            hog.wait()
        node = start()
        clients.go_on(node.address)
        clients.more(20)
    finally:
        clients.end()
    assert target.until(clients.ledger) == set()
    by_order = {}
    for _, _, order, report in target.arrivals:
        by_order.setdefault(order, {}).setdefault(int(report.rpartition("-")[2]))
    assert all(list(serials) == sorted(serials) for serials in by_order.values())
    assert node.stop() == 0
