"""A node with posters, a business system, and clients: processes that are killed, and the ledgers that outlive them."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from contextlib import closing, suppress
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from mfgroute.api.client import Control
from tests.engine.conftest import CONTRACT, MAPPING, MATERIALS
from tests.runtime.durable_node import TOKEN, Node
from tests.torture import traced

HERE = Path(__file__).resolve().parent
DOORS = ("key", "lookup", "upsert")
#: How long the target may be at work on a request, and a node waits for an answer.
TIMEOUT_S = 2
ORDERS = 8
#: Events of a message, and how many a client is ahead of the target.
CHUNK, AHEAD = 10, 100
MAIN = """\
apiVersion: mfgroute/v1
node: {id: test, site: DE04, namespace: com.example, data_dir: ./data}
http: {listen: "127.0.0.1:0"}
streams:
  business: {durability: fsync, capacity: 64MiB, when_full: block}
sources:
  mes: {adapter: http, mappings: [mes-a], token: TOKEN}
sinks:
"""
SINK = """\
  {door}:
    adapter: http
    url: "http://127.0.0.1:{port}/{door}"
    allow_private: true
    retry: {{tries: 1000, delay_max: 100ms}}
    limits: {{in_flight: 8, timeout: {timeout}s, breaker: {{failures: 100000, share: 100}}, retries: {{share: 100, least: 1000/s}}}}
    owner: tests
    reference: /number
    effect: {{by: {door}}}
    requests:
      - method: {method}
        path: "{path}"
        body: {{reference: "{{key}}", order: "{{data.order}}", report: "{{data.report}}", quantity: "{{data.quantity.good}}", made: "{life}"}}
        amounts: {{yield: "{{data.quantity.good}}"}}
"""
ASK = '    ask: {path: "?reference={key}", list: /items, match: /reference, reference: /number}\n'
ROUTE = """  - {{name: to-{door}, match: {{type: production.operation.completed/1}}, where: 'has(data.text) && data.text == "{door}"', to: {door}}}\n"""


def write_project(folder, port, life):
    """The project; what requests look like is another thing in each life of the node, as after a change of them."""
    main = MAIN.replace("TOKEN", TOKEN)
    for door in DOORS:
        method, path = ("PUT", "/{key}") if door == "upsert" else ("POST", "")
        main += SINK.format(
            door=door, port=port, life=life, method=method, path=path, timeout=TIMEOUT_S
        ) + ASK * (door == "lookup")
    main += "routes:\n" + "".join(ROUTE.format(door=door) for door in DOORS)
    return write_files(folder, main)


def write_files(folder, main):
    """A project of this main file."""
    for name, text in {
        "mfgroute.yaml": main,
        "contracts/production.operation.completed.v1.yaml": CONTRACT,
        "mappings/mes-a.yaml": MAPPING,
        "lookups/materials.csv": MATERIALS,
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def report(number):
    """A report: door, order and quantity follow from its number."""
    door, order = DOORS[number % len(DOORS)], number // len(DOORS) % ORDERS
    quantity = f"{1 + number % 17}.{number % 1000:03}"
    body = {"id": f"r{number}", "ts": "2026-11-24T10:00:00Z", "order": f"{door[0].upper()}{order}"}
    return {**body, "mat": "A", "qty": quantity, "uom": "KG", "text": door}


def free_port():
    """One below those that systems give out, so that nobody takes it while its owner is dead."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Target:
    """The business system as a process.

    Args:
        folder: for its journal.
        seed: of its faults.
        ratio: of requests that meet one.
        closed: pairs of door and report that it refuses until `open`.
    """

    def __init__(self, folder, *, seed, ratio, closed=()):
        self.journal, self._closed = folder / "journal.jsonl", folder / "closed.json"
        self._closed.write_text(json.dumps([list(one) for one in closed]))
        self._arguments, self._process, self.lives = [seed, ratio], None, 0
        self._read, self._lines, self._reports, self._lock = 0, [], set(), threading.Lock()
        self.port = free_port()

    def start(self):
        """Start it, again if it was killed."""
        arguments = [self.port, self.journal, *self._arguments, self._closed]
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "business.py"), *map(str, arguments)], stdout=subprocess.PIPE
        )
        assert self._process.stdout.readline() == b"ready\n"
        self.lives += 1

    def kill(self):
        """End it as a machine ends that loses power, but for its journal."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def open(self):
        """Refuse nothing more."""
        self._closed.unlink()

    def lines(self):
        """Its journal so far. It grows; nobody else changes it."""
        with self._lock:
            if self.journal.exists():
                with self.journal.open("rb") as file:
                    file.seek(self._read)
                    found = file.read()
                whole = found[: found.rfind(b"\n") + 1]
                self._read += len(whole)
                for line in map(json.loads, whole.splitlines()):
                    self._lines.append(line)
                    if line["is"] == "effect":
                        self._reports.add(line["report"])
        return self._lines

    def done(self):
        """For how many reports it has done something."""
        self.lines()
        return len(self._reports)

    def effects(self):
        """What it did, in that order."""
        return [line for line in self.lines() if line["is"] == "effect"]


class Clients:
    """A client that sends reports, and again what was not acknowledged.

    Attributes:
        acknowledged: numbers of reports.
    """

    def __init__(self, numbers, target):
        self.acknowledged = set()
        self._left = [list(numbers[at : at + CHUNK]) for at in range(0, len(numbers), CHUNK)]
        self._target, self._node = target, None
        self._changed, self._over = threading.Condition(), False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def go_on(self, node):
        """A node listens there now."""
        with self._changed:
            self._node = node
            self._changed.notify_all()

    def end(self):
        """Send nothing more."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._thread.join()

    def all_taken(self, seconds):
        """Wait until all are acknowledged."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._left, seconds), f"{len(self._left)} chunks left"

    def _ready(self):
        ahead = len(self.acknowledged) - self._target.done()
        return self._over or (self._node is not None and ahead < AHEAD)

    def _run(self):
        while self._left:
            with self._changed:
                while not self._ready():
                    self._changed.wait(0.02)
                if self._over:
                    return
                node, chunk = self._node, self._left[0]
            if self._taken(node, chunk):
                with self._changed:
                    self.acknowledged |= set(chunk)
                    self._left.pop(0)
                    self._changed.notify_all()
            else:
                with self._changed:
                    self._node = None if self._node is node else self._node

    @staticmethod
    def _taken(node, chunk):
        body = b"\n".join(json.dumps(report(number)).encode() for number in chunk)
        with suppress(OSError, ValueError, AssertionError):
            document = node.send(body)
            assert document["level"] == "durable"
            assert document["accepted"] + document["duplicates"] == len(chunk)
            return True
        return False


class Killable(Node):
    """A node that can be traced: what is killed is the node, whoever started it.

    Attributes:
        traced: whether a tracer has started it.
    """

    traced = False

    def send(self, body):
        """Post messages, one a line; answers the receipt."""
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        try:
            headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/x-ndjson"}
            connection.request("POST", "/v1/sources/mes", body, headers)
            answer = connection.getresponse()
            document = json.loads(answer.read())
            assert answer.status == 202, document
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        else:
            return document
        finally:
            connection.close()

    @property
    def alive(self):
        """Whether it runs."""
        return self.process.poll() is None

    def kill(self):
        """Kill -9; answers whether it had not died before."""
        was = self.alive
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        with suppress(FileNotFoundError, ProcessLookupError):
            for child in children.read_text().split():
                os.kill(int(child), signal.SIGKILL)
        with suppress(ProcessLookupError):
            if not self.traced:
                self.process.kill()
        self.ended()
        self.process.stdout.close()
        self.process.stderr.close()
        return was

    def letters(self, **request):
        """Ask about what is parked."""
        with Control(self.data) as control:
            return control.ask("dead_letters", request={"kind": "parked", **request})


class Story:
    """The lives of a node, a target and a client.

    Args:
        folder: for all of it.
        numbers: of the reports.
        seed: of the target's faults.
        ratio: of requests that meet one.
        closed: pairs of door and report that the target refuses at first.
        program: what is run as the node.
    """

    def __init__(self, folder, numbers, *, seed=1, ratio=0.0, closed=(), program=("-m", "mfgroute")):
        self.folder, self.numbers, self.closed, self._program = folder, list(numbers), closed, program
        self.target = Target(folder, seed=seed, ratio=ratio, closed=closed)
        self.target.start()
        self.lives, self.node = 0, None
        self.client = Clients(self.numbers, self.target)

    def start(self, prefix=(), **env):
        """The next life of the node. It may die before it is ready."""
        write_project(self.folder / "project", self.target.port, self.lives)
        node = Killable(
            self.folder / "project", life=self.lives, prefix=prefix, program=self._program, env=env
        )
        node.traced = bool(prefix)
        self.lives += 1
        self.node = node
        if node.ready is not None:
            self.client.go_on(node)
        return node

    def end(self):
        """Kill whatever runs."""
        self.client.end()
        if self.node is not None and not self.node.process.stdout.closed:
            self.node.kill()
        self.target.kill()

    def until(self, there, seconds=60.0):
        """Wait until something is there, or the node is dead; answers whether it is."""
        pause, end = threading.Event(), time.monotonic() + seconds
        while time.monotonic() < end:
            if there():
                return True
            if not self.node.alive:
                return there()
            pause.wait(0.05)
        return False

    def progress(self, count, seconds=60.0):
        """Wait until the target has done so many more reports."""
        goal = min(self.target.done() + count, len(self.numbers) - len(self.closed))
        return self.until(lambda: self.target.done() >= goal, seconds)

    def settled(self, seconds=120.0):
        """Wait until nothing is on its way; answers what is parked, as pairs of cause, door and report."""
        self.client.all_taken(seconds)
        assert self.until(self._idle, seconds), self.node.log[-20:]
        return sorted((one["cause"], one["sink"], self._shown(one)) for one in self.node.letters(verb="list"))

    def _idle(self):
        with Control(self.node.data) as control:
            sinks = control.ask("status")["stats"]["sinks"]
        return not any(sinks[door]["queued"] + sinks[door]["in_flight"] for door in DOORS)

    def _shown(self, letter):
        one = self.node.letters(verb="show", sink=letter["sink"], number=letter["number"])
        return one["event"]["data"]["report"]

    def retry_keys(self):
        """Let the target take all, and what is parked be sent again, key by key."""
        self.target.open()
        for sink, key in sorted({(one["sink"], one["key"]) for one in self.node.letters(verb="list")}):
            self.node.letters(verb="retry-key", sink=sink, key=key, who="ann")

    def recorded(self):
        """What the node's own database says of effects: by report, state, reference and amounts."""
        with closing(sqlite3.connect(self.folder / "project" / "data" / "effects.db")) as database:
            rows = database.execute("select state, reference, amounts, event from effects").fetchall()
        return {
            json.loads(event)["data"]["report"]: (state, reference, Decimal(json.loads(amounts)["yield"]))
            for state, reference, amounts, event in rows
        }

    def wrong(self):
        """What does not hold between what was acknowledged and what the target did."""
        return wrong(self.client.acknowledged, self.target.lines())


def wrong(acknowledged, lines):
    """What does not hold between reports that were acknowledged and a target's journal."""
    effects = [line for line in lines if line["is"] == "effect"]
    found = []
    done, numbers = Counter(), defaultdict(set)
    for line in effects:
        numbers[line["report"]].add(line["number"])
        done[line["report"]] += line["door"] != "upsert"
    # What replaces itself has one number however often it came.
    done |= Counter({name: len(these) for name, these in numbers.items()})
    expected = {f"r{number}": report(number) for number in acknowledged}
    if lost := sorted(set(expected) - set(done)):
        found.append(f"lost: {lost[:20]} ({len(lost)})")
    if double := sorted(name for name, count in done.items() if count > 1):
        found.append(f"double: {double[:20]} ({len(double)})")
    if invented := sorted(set(done) - set(expected)):
        found.append(f"never acknowledged: {invented[:20]}")
    return found + _order(effects) + _bytes(lines) + _sums(effects, expected)


def _order(effects):
    """Reports of an order are done in the order in which they were sent."""
    first = defaultdict(dict)
    for line in effects:
        first[line["order"]].setdefault(int(line["report"][1:]), None)
    return [
        f"order {order}: r{late} after r{early}"
        for order, numbers in first.items()
        for early, late in pairwise(numbers)
        if early > late
    ]


def _bytes(lines):
    """A request comes again as it was."""
    bodies = defaultdict(set)
    for line in lines:
        if line["is"] == "arrival":
            bodies[line["door"], line["key"]].add(line["sha"])
    return [f"other bytes: {door} {key}" for (door, key), of in bodies.items() if len(of) > 1]


def _sums(effects, expected):
    """What the target holds, to the piece."""
    held, meant = defaultdict(Decimal), defaultdict(Decimal)
    shown = {line["number"]: line for line in effects}
    for line in shown.values():
        held[line["order"]] += Decimal(line["quantity"])
    for one in expected.values():
        meant[one["order"]] += Decimal(one["qty"])
    return [
        f"order {order}: {held[order]} instead of {meant[order]}"
        for order in sorted(held | meant)
        if held[order] != meant[order]
    ]


def at_call(call, number):
    """What a command begins with so that it dies at the how-manyth call of a kind in a thread."""
    return traced.any_file(call, number, "signal=SIGKILL")
