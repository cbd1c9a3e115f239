"""Confirmations to the ERP simulator behind its OData services, which is asked what became of them; both are killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import defaultdict
from contextlib import closing
from decimal import Decimal

import pytest

from mfgroute.api.client import Control
from mfgroute.testing.simulators.s4 import ROOT
from tests.runtime.durable_node import SOURCES, TOKEN
from tests.torture import effects
from tests.torture.effects import Killable, free_port

COUNT, ORDERS = int(os.environ.get("MFGROUTE_EFFECTS", "2000")) // 10, 8
#: How often node and ERP are killed.
KILLS = max(2, COUNT // 200)
SINK = """\
  erp:
    adapter: http
    url: "http://127.0.0.1:{port}{root}API_PROD_ORDER_CONFIRMATION_2_SRV/ProdnOrdConf2"
    allow_private: true
    headers: {{Accept: application/json}}
    retry: {{tries: 1000, delay_max: 100ms}}
    limits: {{in_flight: 8, timeout: 2s, breaker: {{failures: 100000, share: 100}}, retries: {{share: 100, least: 1000/s}}}}
    owner: tests
    effect: {{by: lookup}}
    ask:
      path: "?$filter=ExternalSystemConfirmation%20eq%20guid'{{key}}'"
      list: /d/results
      match: /ExternalSystemConfirmation
      reference: /ConfirmationCount
    reference: /d/ConfirmationCount
    requests:
      - body: {{OrderID: "{{data.order}}", OrderOperation: "0010", ConfirmationYieldQuantity: "{{data.quantity.good}}", ExternalSystemConfirmation: "{{key}}"}}
        amounts: {{yield: "{{data.quantity.good}}"}}
routes:
  - {{name: to-erp, match: {{type: production.operation.completed/1}}, to: erp}}
"""
FAULTS = (
    {"kind": "cut", "when": "before", "ratio": 0.04, "seed": 1},
    {"kind": "cut", "when": "after", "ratio": 0.08, "seed": 2},
    {"kind": "error", "when": "after", "ratio": 0.05, "seed": 3},
    {"kind": "too_many", "ratio": 0.05, "seed": 4, "retry_after": "0"},
    {"kind": "hang", "when": "after", "ratio": 0.02, "seed": 5, "after_s": 3, "times": 6},
)


def number(order):
    return str(1004700 + order)


def report(at):
    body = {"id": f"r{at}", "ts": "2026-11-24T10:00:00Z", "order": number(at % ORDERS)}
    return {**body, "mat": "A", "qty": f"{1 + at % 7}", "uom": "KG"}


class Erp:
    """The simulator as a process; its journal outlives it."""

    def __init__(self, folder):
        self.folder, self.port, self.process = folder, free_port(), None
        operations = [{"number": "0010", "work_center": "P7", "text": "press", "confirmation_group": "0"}]
        orders = [
            {"site": "1010", "number": number(order), "material": "FG", "quantity": "1000000", "unit": "PCE",
             "start": "20261124060000",
             "operations": [{**operations[0], "confirmation_group": f"00{number(order)}1"}]}
            for order in range(ORDERS)
        ]  # fmt: skip
        (folder / "setup.json").write_text(json.dumps({"orders": orders, "switches": {"csrf": False}}))

    def start(self):
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        files = [
            "--ready-file",
            ready,
            "--setup",
            self.folder / "setup.json",
            "--journal",
            self.folder / "s4",
        ]
        command = [sys.executable, "-m", "mfgroute.testing.simulators", "s4", "--port", self.port, *files]
        self.process = subprocess.Popen(
            [str(part) for part in command], env={**os.environ, "PYTHONPATH": SOURCES}
        )
        assert until(ready.exists)
        for fault in FAULTS:
            self.ask("/misbehave", fault)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def ask(self, path, document=None):
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body)
        with closing(urllib.request.urlopen(request, timeout=30)) as answer:
            return json.load(answer)


def until(there, seconds=60.0 + COUNT):
    pause, end = threading.Event(), time.monotonic() + seconds
    while not there():
        if time.monotonic() > end:
            return False
        pause.wait(0.05)
    return True


def idle(node):
    with Control(node.data) as control:
        sink = control.ask("status")["stats"]["sinks"]["erp"]
    return not sink["queued"] + sink["in_flight"]


@pytest.mark.timeout(300 + COUNT)
def test_every_confirmation_is_posted_once_whatever_dies(tmp_path, record_property):
    erp = Erp(tmp_path)
    main = effects.MAIN.replace("TOKEN", TOKEN) + SINK.format(port=erp.port, root=ROOT)
    folder = effects.write_files(tmp_path / "project", main)
    erp.start()
    node = Killable(folder)
    try:
        for first in range(0, COUNT, 50):
            body = b"\n".join(json.dumps(report(at)).encode() for at in range(first, min(COUNT, first + 50)))
            receipt = node.send(body)
            assert (receipt["level"], receipt["rejected"]) == ("durable", 0)
        for turn in range(KILLS):
            goal = COUNT * (turn + 1) // (KILLS + 2)
            assert until(lambda goal=goal: len(erp.ask("/ledger")["effects"]) >= goal), node.log[-9:]
            erp.kill()
            node.kill()
            erp.start()
            node = Killable(folder)
        assert until(lambda: idle(node)), node.log[-9:]
        ledger = erp.ask("/ledger")
        assert node.letters(verb="list") == []
    finally:
        if node.alive:
            node.kill()
        erp.kill()
    record_property("kills", 2 * KILLS)
    record_property("effects", COUNT)
    posted, sums = defaultdict(list), defaultdict(Decimal)
    for effect in ledger["effects"]:
        posted[effect["order"]].append(effect["external"])
    for at in range(COUNT):
        sums[report(at)["order"]] += Decimal(report(at)["qty"])
    # Every confirmation has a reference of its own, and none is there twice.
    assert sum(map(len, posted.values())) == len({one for of in posted.values() for one in of}) == COUNT
    assert ledger["duplicates"] == 0
    totals = {order: Decimal(one["operations"]["0010"]["yield"]) for order, one in ledger["totals"].items()}
    assert totals == sums
    assert {"cut", "error", "too_many"} <= set(ledger["misbehaved"])
