"""The ERP simulator as a process, and the project of a node with two sinks that post confirmations to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import closing, suppress
from http.client import HTTPException

from mfgroute.testing.simulators.s4 import ROOT
from tests.runtime.durable_node import SOURCES, TOKEN
from tests.torture import traced
from tests.torture.effects import free_port
from tests.torture.effects_project import NEVER, write_calendar

#: Half of the orders are posted by each sink, of which each posts another operation.
ORDERS, SINKS = 16, {"keyed": "0010", "looked": "0020"}
#: A month that closes, and one that does not.
CLOSES, STAYS = "2026-10", "2026-11"
MAIN = """\
apiVersion: mfgroute/v1
packs: [canonical]
node: {id: test, site: DE04, namespace: com.example, data_dir: ./data}
http: {listen: "127.0.0.1:0"}
streams:
  business: {durability: fsync, capacity: 64MiB, when_full: block}
sources:
  mes: {adapter: http, mappings: [done], token: TOKEN}
sinks:
"""
SINK = """\
  {sink}:
    adapter: sap
    url: "http://127.0.0.1:{port}{root}"
    auth: {{token: "0123456789abcdef"}}
    goods: none
    effect: {{by: {by}}}
    allow_private: true
    calendar: calendars/{sink}.yaml
    timeout_s: 1
    again_s: 0.05
    limits: {{in_flight: 8, timeout: 1500ms, breaker: {{failures: 100000, share: 100}}, retries: {{share: 100, least: 1000/s}}}}
    retry: {{tries: 1000, delay_max: 100ms}}
    owner: tests
"""
ROUTE = """\
  - {{name: to-{sink}, match: {{type: production.operation.completed/1}}, where: 'data.operation == "{operation}"', to: {sink}}}
"""
MAPPING = """\
from: {decode: json}
emit:
  - to: production.operation.completed/1
    fields:
      site: {const: DE04}
      order: {path: order}
      operation: {path: operation}
      report: {path: report}
      type: {const: partial}
      posting_date: {path: day}
      goods: {const: none}
      quantity.good: {path: quantity, number: {}}
      quantity.unit: {const: H87}
"""
#: What goes wrong, at each try of a request anew. An answer that trickles needs minutes.
FAULTS = (
    {"kind": "cut", "when": "before", "ratio": 0.04},
    {"kind": "cut", "when": "after", "ratio": 0.08},
    {"kind": "torn", "when": "after", "ratio": 0.03},
    {"kind": "error", "when": "after", "ratio": 0.03},
    {"kind": "error", "ratio": 0.03},
    {"kind": "too_many", "ratio": 0.05, "retry_after": "0"},
    {"kind": "hang", "when": "after", "ratio": 0.01, "after_s": 4},
    {"kind": "trickle", "when": "before", "ratio": 0.01},
    {"kind": "trickle", "when": "after", "ratio": 0.03, "after_s": 0.02},
    {"kind": "html", "ratio": 0.03},
    {"kind": "error_in_200", "when": "before", "ratio": 0.03},
    {"kind": "error_in_200", "when": "after", "ratio": 0.03},
    {"kind": "other", "ratio": 0.03},
    {"kind": "expired", "ratio": 0.03},
    {"kind": "accepted", "ratio": 0.03},
    {"kind": "refuse", "message": "order_locked", "ratio": 0.03},
    {"kind": "error", "method": "GET", "ratio": 0.05, "path": "API_PROD"},
)


def order(at):
    """The order of a report."""
    return str(1004700 + at % ORDERS)


def operation(at):
    """The operation that it confirms, which says who posts it."""
    return list(SINKS.values())[at % ORDERS * 2 // ORDERS]


def report(at, day):
    """What a plant says; its quantity is one that no other report has."""
    said = {"order": order(at), "operation": operation(at), "report": f"r{at}"}
    return {**said, "quantity": at + 1, "day": day}


def write_project(folder, port):
    """The project of the node."""
    main = MAIN.replace("TOKEN", TOKEN)
    for sink in SINKS:
        by = {"keyed": "key, kept: 12h", "looked": "lookup"}[sink]
        main += SINK.format(sink=sink, port=port, root=ROOT.rstrip("/"), by=by)
        write_calendar(folder, sink, NEVER)
    main += "routes:\n" + "".join(ROUTE.format(sink=sink, operation=of) for sink, of in SINKS.items())
    (folder / "mappings").mkdir()
    (folder / "mappings" / "done.yaml").write_text(MAPPING)
    (folder / "mfgroute.yaml").write_text(main)
    return folder


def until(there, seconds=60.0):
    """Wait until something is there; answers whether it is."""
    pause, end = threading.Event(), time.monotonic() + seconds
    while not there():
        if time.monotonic() > end:
            return False
        pause.wait(0.05)
    return True


class Erp:
    """The simulator as a process; its journal outlives it.

    Attributes:
        faults: that each life of it has.
    """

    faults = FAULTS

    def __init__(self, folder):
        self.folder, self.port, self.process, self._traced = folder, free_port(), None, False
        self._read, self._effects = 0, []
        names = [
            {"number": of, "work_center": "P7", "text": "press", "confirmation_group": ""}
            for of in SINKS.values()
        ]
        orders = [
            {"site": "DE04", "number": order(at), "material": "FG", "quantity": "1000000000", "unit": "PCE",
             "start": "20261124060000",
             "operations": [{**one, "confirmation_group": f"{order(at)}{one['number'][2]}"} for one in names]}
            for at in range(ORDERS)
        ]  # fmt: skip
        (folder / "setup.json").write_text(json.dumps({"orders": orders}))

    def start(self, prefix=()):
        """Start it, again if it was killed."""
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
            [str(part) for part in (*prefix, *command)], env={**os.environ, "PYTHONPATH": SOURCES}
        )
        self._traced = bool(prefix)
        assert until(lambda: ready.exists() or not self.alive)
        # One that is traced may die while it is told how to behave.
        with suppress(*(OSError, HTTPException, ValueError) if self._traced else ()):
            for number, fault in enumerate(self.faults):
                self.ask("/misbehave", {**fault, "seed": number})

    @property
    def alive(self):
        """Whether it runs."""
        return self.process.poll() is None

    def kill(self):
        """Kill -9; answers whether it had not died before. Its journal stays."""
        return traced.kill(self.process, traced=self._traced)

    def ask(self, path, document=None):
        """Ask it, or tell it something."""
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body)
        with closing(urllib.request.urlopen(request, timeout=30)) as answer:
            return json.load(answer)

    def effects(self):
        """What it has done so far, by its journal, which outlives it."""
        journal = self.folder / "s4"
        if journal.exists():
            with journal.open("rb") as file:
                file.seek(self._read)
                found = file.read()
            # A last line that is not whole was never committed; the next life takes it away.
            whole = found[: found.rfind(b"\n") + 1]
            self._read += len(whole)
            for line in whole.splitlines():
                self._effects += [row for table, _, row in json.loads(line) if table == "effects"]
        return self._effects
