"""Reloads of a node with durable streams: again and again under load, and by a file that changes."""

import http.client
import itertools
import os
import signal
import threading
from collections import defaultdict

import durable_node as durable
import pytest
from durable_node import exchange
from tests.engine.conftest import MATERIALS, message

from mfgroute.api.client import Control
from mfgroute.errors import ConfigError

#: How often the node is reloaded under load; a long run sets more.
RELOADS = int(os.environ.get("MFGROUTE_RELOADS", "50"))
CLIENTS = 3
ORDERS = 4

project, start, target = durable.project, durable.start, durable.target


class Load:
    """Clients that post without a pause, each the orders of its own, and post again what is refused for now.

    Attributes:
        ledger: the reports that were acknowledged, in order of the answers.
        refused: how many answers said to come again.
    """

    def __init__(self, address):
        self.ledger, self.refused, self._address, self._over = [], 0, address, threading.Event()
        self._lock = threading.Lock()
        self._failed = []
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def end(self):
        """Post no more; what a client met that it should not have is raised."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        assert self._failed == []

    def _run(self, number):
        connection = http.client.HTTPConnection(*self._address, timeout=60)
        try:
            for serial in itertools.count():
                if not self._taken(connection, number, serial):
                    return
        except (OSError, http.client.HTTPException, AssertionError) as error:
            self._failed.append(error)
        finally:
            connection.close()

    def _taken(self, connection, number, serial):
        """Post one message until it is taken; `False` when that is over."""
        body = message(0, order=f"{number}-{serial % ORDERS}", id=f"{number}-{serial}")
        while not self._over.is_set():
            status, headers, receipt = exchange(connection, "POST", "/v1/sources/mes", body)
            if status == 202:
                assert receipt["level"] == "durable"
                assert receipt["accepted"] + receipt["duplicates"] == 1
                with self._lock:
                    self.ledger.append(f"{number}-{serial}")
                return True
            # A source that is replaced is closed for a moment, and says so.
            assert (status, "Retry-After" in headers) == (503, True), receipt
            with self._lock:
                self.refused += 1
        return False


def variants(project):
    """Endless changes of the project: of a sink, of a source, of a table, of streams, and back."""
    file, table = project / "mfgroute.yaml", project / "lookups" / "materials.csv"
    text = file.read_text()
    changed = [
        text.replace("in_flight: 4", "in_flight: 2"),
        text.replace("mappings: [mes-a],", "mappings: [mes-a], rejects_max: {events: 500},"),
        text.replace("tries: 1000", "tries: 999"),
        text.replace("streams:\n", "streams:\n  spare: {durability: fsync, capacity: 16MiB}\n"),
        text,
    ]
    assert len(set(changed)) == len(changed)
    for number in itertools.count():
        file.write_text(changed[number % len(changed)])
        table.write_text(f"{MATERIALS}C{number},H87\n")
        yield number


@pytest.mark.timeout(120 + 3 * RELOADS)
def test_reloads_under_load_lose_nothing_repeat_nothing_and_keep_the_order_of_each_key(
    start, target, project
):
    node = start()
    load = Load(node.address)
    try:
        with Control(node.data, timeout_s=60.0) as control:
            for number in itertools.islice(variants(project), RELOADS):
                if number % 2:
                    control.ask("reload")
                else:
                    node.process.send_signal(signal.SIGHUP)
                node.logged('"event":"reloaded"', number + 1)
    finally:
        load.end()
    assert len(load.ledger) > RELOADS
    assert target.until(load.ledger) == set()
    assert node.stop() == 0
    by_order = defaultdict(list)
    for _, _, order, report in target.arrivals:
        by_order[order].append(int(report.partition("-")[2]))
    assert len(by_order) == CLIENTS * ORDERS
    for serials in by_order.values():
        # Each once, and in the order in which it was posted.
        assert serials == sorted(set(serials))
    assert len(target.arrivals) == len(target.seen())


def test_a_bad_reload_by_the_socket_is_refused_with_its_problems_and_the_old_plan_goes_on(
    start, target, project
):
    node = start()
    file = project / "mfgroute.yaml"
    file.write_text(file.read_text().replace("routes:", "rotues:"))
    with Control(node.data) as control, pytest.raises(ConfigError, match="unknown key `rotues`"):
        control.ask("reload")
    assert node.post(message(1))[0] == 202
    assert target.until({"r1"}) == set()


def test_a_watched_project_follows_its_files_and_keeps_its_plan_over_a_bad_one(start, target, project):
    node = start("--watch")
    node.logged('"event":"watching"')
    file = project / "mfgroute.yaml"
    good = file.read_text()
    file.write_text(good.replace("routes:", "rotues:"))
    node.logged("the new project has problems; the old one goes on")
    assert any("unknown key `rotues`" in line for line in node.log)
    assert node.post(message(1))[0] == 202
    # Several files at once, as an editor or a checkout leaves them, are one change.
    (project / "lookups" / "materials.csv").write_text(f"{MATERIALS}Z,KGM\n")
    (project / "data" / "note.yaml").write_text("of the node itself: no reason to reload")
    file.write_text(good.replace("in_flight: 4", "in_flight: 2"))
    node.logged('"event":"reloaded"')
    assert node.post(message(2, mat="Z", order="4712"))[0] == 202
    assert target.until({"r1", "r2"}) == set()
    assert sum('"event":"reloaded"' in line for line in node.log) == 1
