"""A node with posters, a business system, and clients: processes that are killed, and the ledgers that outlive them."""

from __future__ import annotations

import http.client
import json
import random
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from decimal import Decimal
from pathlib import Path

from mfgroute.api.client import Control
from tests.runtime.durable_node import TOKEN, Node
from tests.torture import traced
from tests.torture.effects_project import (
    ALWAYS,
    DOORS,
    NEVER,
    TIMEOUT_S,
    report,
    write_calendar,
    write_project,
)
from tests.torture.oracle import wrong

HERE = Path(__file__).resolve().parent
#: Events of a message, and how many a client is ahead of the target.
CHUNK, AHEAD = 10, 400


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
        slow: how many times as long as usual what comes late takes.
        closed: pairs of door and report that it refuses until `open`.
        faults: those that each report meets, one after the other; none: any.
    """

    def __init__(self, folder, *, seed, ratio, slow=1, closed=(), faults=()):
        self.journal, self._closed = folder / "journal.jsonl", folder / "closed.json"
        self._closed.write_text(json.dumps([list(one) for one in closed]))
        self._periods = folder / "periods.json"
        self._arguments, self._faults, self._process, self._traced = [seed, ratio, slow], faults, None, False
        self._read, self._lines, self._reports, self._counts = 0, [], set(), Counter()
        self._lock = threading.Lock()
        self.port = free_port()

    def start(self, prefix=()):
        """Start it, again if it was killed; `prefix` is what the command of one that is traced begins with."""
        arguments = [self.port, self.journal, *self._arguments, self._closed, self._periods, *self._faults]
        command = [*prefix, sys.executable, str(HERE / "business.py"), *map(str, arguments)]
        self._process, self._traced = subprocess.Popen(command, stdout=subprocess.PIPE), bool(prefix)
        # One that is traced may die before.
        assert self._process.stdout.readline() == b"ready\n" or self._traced

    @property
    def alive(self):
        """Whether it runs."""
        return self._process.poll() is None

    def kill(self):
        """Kill -9; answers whether it had not died before. Its journal stays."""
        was = traced.kill(self._process, traced=self._traced)
        self._process.stdout.close()
        return was

    def open(self):
        """Refuse nothing more."""
        self._closed.unlink()

    def close_periods(self, *periods):
        """Do nothing in these periods, and in all others again."""
        part = self._periods.with_suffix(".part")
        part.write_text(json.dumps(periods))
        part.replace(self._periods)

    def count(self, kind, *doors):
        """How many lines of a kind its journal has about doors."""
        self.lines()
        return sum(self._counts[kind, door] for door in doors)

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
                    self._counts[line["is"], line["door"]] += 1
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
        ahead: how many of them the target may not have done yet before it sends more.
    """

    def __init__(self, numbers, target):
        self.acknowledged, self.ahead = set(), AHEAD
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
        return self._over or (self._node is not None and ahead < self.ahead)

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
        was = traced.kill(self.process, traced=self.traced)
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
        slow: how many times as long as usual the target may take, and takes.
        closed: pairs of door and report that the target refuses at first.
        behind: how many reports wait behind those.
        faults: of the target that each report meets, one after the other; none: any.
        target: what the command of the target's first life begins with.
        program: what is run as the node.
    """

    def __init__(
        self,
        folder,
        numbers,
        *,
        seed=1,
        ratio=0.0,
        slow=1,
        closed=(),
        behind=0,
        faults=(),
        target=(),
        program=("-m", "mfgroute"),
    ):
        self.folder, self.numbers, self._program = folder, list(numbers), program
        self._stuck, self._timeout_s = len(closed) + behind, TIMEOUT_S * slow
        self.target = Target(folder, seed=seed, ratio=ratio, slow=slow, closed=closed, faults=faults)
        self.target.start(target)
        self.lives, self.node = 0, None
        self.client = Clients(self.numbers, self.target)

    def start(self, prefix=(), **env):
        """The next life of the node. It may die before it is ready."""
        write_project(self.folder / "project", self.target.port, self.lives, self._timeout_s)
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
        goal = min(self.target.done() + count, len(self.numbers) - self._stuck)
        return self.until(lambda: self.target.done() >= goal, seconds)

    def window(self, door, *, on):
        """Begin or end a maintenance window of a door; answers whether it is so, or the node died."""
        write_calendar(self.folder / "project", door, ALWAYS if on else NEVER)
        with suppress(OSError):
            with Control(self.node.data) as control:
                control.ask("reload")
            return self.until(lambda: self._left_alone(door) == on)
        return False

    def _left_alone(self, door):
        """Whether the node says that it sends a door nothing, and nothing is under way."""
        with Control(self.node.data) as control:
            status = control.ask("status")
        (part,) = [one for one in status["parts"] if (one["kind"], one["name"]) == ("sink", door)]
        return "maintenance" in part["held"] and not status["stats"]["sinks"][door]["in_flight"]

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


def at_call(call, number):
    """What a command begins with so that it dies at the how-manyth call of a kind in a thread."""
    return traced.any_file(call, number, "signal=SIGKILL")
