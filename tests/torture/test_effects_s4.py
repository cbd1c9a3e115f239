"""Confirmations to the ERP simulator by the adapter `sap`, one sink by key and one by lookup; all of it is killed."""

import json
import os
import sqlite3
from collections import defaultdict
from contextlib import closing
from decimal import Decimal

import pytest

from mfgroute.api.client import Control
from tests.torture import traced
from tests.torture.effects import Killable, at_call
from tests.torture.effects_project import ALWAYS, NEVER, write_calendar
from tests.torture.s4_project import (
    CLOSES,
    FAULTS,
    ORDERS,
    SINKS,
    STAYS,
    Erp,
    operation,
    order,
    report,
    until,
    write_project,
)

ASKED = int(os.environ.get("MFGROUTE_EFFECTS", "2000"))
#: As many as of other effects; in longer runs a tenth of them.
COUNT = max(min(ASKED, 2000), ASKED // 10, 10 * ORDERS)
#: How often node and ERP are killed.
KILLS = max(2, COUNT // 500)
#: The last reports of this month that are posted while it is open; and those that come when it is closed, each at the
#: head of an order.
OPEN, BAD = COUNT // 4, range(COUNT - 3 * ORDERS, COUNT - 3 * ORDERS + 2 * 7, 2)
PATIENCE_S = 60 + COUNT / 2

pytestmark = pytest.mark.timeout(300 + COUNT + 14_400 * bool(os.environ.get("MFGROUTE_SYSCALLS")))


class Scene:
    """A node and the ERP that it posts to."""

    def __init__(self, folder):
        self.erp, self.folder = Erp(folder), folder / "project"
        self.folder.mkdir()
        write_project(self.folder, self.erp.port)
        self.erp.start()
        self.live()

    def live(self, prefix=()):
        """Start a life of the node, which may be traced."""
        self.node = Killable(self.folder, prefix=prefix)
        self.node.traced = bool(prefix)

    def end(self):
        """Kill what runs."""
        if self.node.alive:
            self.node.kill()
        self.erp.kill()

    def send(self, numbers):
        """Send reports, fifty at a time."""
        for first in range(numbers.start, numbers.stop, 50):
            chunk = range(first, min(numbers.stop, first + 50))
            days = [f"{CLOSES if at < OPEN or at in BAD else STAYS}-24" for at in chunk]
            body = b"\n".join(
                json.dumps(report(at, day)).encode() for at, day in zip(chunk, days, strict=True)
            )
            receipt = self.node.send(body)
            assert (receipt["level"], receipt["rejected"]) == ("durable", 0)

    def done(self, count):
        """Wait until so many are posted."""
        assert until(lambda: len(self.erp.effects()) >= count, PATIENCE_S), self.node.log[-9:]

    def status(self):
        """What the node says of itself."""
        with Control(self.node.data) as control:
            return control.ask("status")

    def settled(self):
        """Wait until nothing is on its way; answers what is parked."""

        def idle():
            sinks = self.status()["stats"]["sinks"]
            return not any(sinks[sink]["queued"] + sinks[sink]["in_flight"] for sink in SINKS)

        assert until(idle, PATIENCE_S), self.node.log[-9:]
        letters = self.node.letters(verb="list")
        shown = [
            self.node.letters(verb="show", sink=one["sink"], number=one["number"])["event"]["data"]["report"]
            for one in letters
        ]
        return sorted(zip((one["cause"] for one in letters), shown, strict=True))

    def through_a_window(self, sink):
        """A maintenance window of a sink begins, the node is killed in it, and it ends."""
        other, of = next((name, of) for name, of in SINKS.items() if name != sink)
        write_calendar(self.folder, sink, ALWAYS)
        with Control(self.node.data) as control:
            control.ask("reload")

        def alone():
            status = self.status()
            (part,) = [one for one in status["parts"] if (one["kind"], one["name"]) == ("sink", sink)]
            return "maintenance" in part["held"] and not status["stats"]["sinks"][sink]["in_flight"]

        def posted(by):
            return sum(one["operation"] == by for one in self.erp.effects())

        assert until(alone)
        before, others = posted(SINKS[sink]), posted(of)
        self.node.kill()
        self.node = Killable(self.folder)
        assert until(lambda: posted(of) >= others + 5), f"{other} does not go on"
        assert posted(SINKS[sink]) == before
        write_calendar(self.folder, sink, NEVER)
        with Control(self.node.data) as control:
            control.ask("reload")


@pytest.fixture
def scene(tmp_path):
    one = Scene(tmp_path)
    yield one
    one.end()


def wrong(ledger, count):
    """What does not hold between reports and the ERP's ledger."""
    posted, found = defaultdict(list), []
    for effect in ledger["effects"]:
        posted[effect["order"], effect["operation"]].append(Decimal(effect["amounts"]["yield"]))
    meant = defaultdict(list)
    for at in range(count):
        meant[order(at), operation(at)].append(Decimal(at + 1))
    for place in sorted(posted | meant):
        # Each report has a quantity of its own, and the next one of its order a greater one.
        if posted[place] != meant[place]:
            found.append(f"{place}: {posted[place]} instead of {meant[place]}")
        if Decimal(ledger["totals"][place[0]]["operations"][place[1]]["yield"]) != sum(meant[place]):
            found.append(f"{place}: other totals")
    return found + [f"{ledger['duplicates']} double"] * (ledger["duplicates"] > 0)


def recorded(data):
    """State and reference of each effect that the node knows, by the quantity, which is the report's own."""
    with closing(sqlite3.connect(data / "effects.db")) as database:
        rows = database.execute("select state, reference, event from effects").fetchall()
    return {
        Decimal(json.loads(event)["data"]["quantity"]["good"]): (state, reference)
        for state, reference, event in rows
    }


def test_every_confirmation_is_posted_once_whatever_dies(scene, record_property):
    scene.send(range(BAD.start))
    for turn in range(KILLS):
        scene.done((BAD.start - 4 * ORDERS) * (turn + 1) // (KILLS + 1))
        if turn < len(SINKS):
            scene.through_a_window(list(SINKS)[turn])
        scene.erp.kill()
        scene.node.kill()
        scene.erp.start()
        scene.node = Killable(scene.folder)
    scene.done(BAD.start)
    scene.erp.ask("/setup", {"closed_periods": [CLOSES]})
    scene.send(range(BAD.start, COUNT))
    behind = [
        at for at in range(BAD.start, COUNT) if any(at > bad and order(at) == order(bad) for bad in BAD)
    ]
    parked = [("refused", f"r{at}") for at in BAD] + [("behind", f"r{at}") for at in behind]
    assert scene.settled() == sorted(parked)
    scene.erp.ask("/setup", {"open_periods": [CLOSES]})
    for sink, key in sorted({(one["sink"], one["key"]) for one in scene.node.letters(verb="list")}):
        scene.node.letters(verb="retry-key", sink=sink, key=key, who="ann")
    assert scene.settled() == []
    ledger = scene.erp.ask("/ledger")
    counted = {"kills": 2 * KILLS + len(SINKS), "effects": COUNT, "windows": len(SINKS), "periods": 1}
    for name, count in counted.items():
        record_property(name, count)
    assert wrong(ledger, COUNT) == []
    documents = {Decimal(one["amounts"]["yield"]): ("posted", one["document"]) for one in ledger["effects"]}
    # The records follow the log.
    assert until(lambda: recorded(scene.node.data) == documents, PATIENCE_S)


def test_an_erp_killed_at_each_of_its_system_calls_has_each_confirmation_once(
    scene, tmp_path, record_property
):
    traced.need()
    out, each = tmp_path / "calls", ORDERS
    scene.erp.kill()
    scene.erp.faults = ({"kind": "trickle", "when": "after", "ratio": 0.2, "after_s": 0.01}, *FAULTS)
    scene.erp.start(traced.every(out))
    ready = out.stat().st_mtime
    scene.send(range(each))
    scene.done(each)
    assert scene.settled() == []
    scene.erp.kill()
    found = traced.numbers(out, ready)
    # It writes down what it commits, and then answers; some answers byte by byte.
    calls = ("write", "sendto", "recvfrom")
    assert set(calls) <= {call for call, _ in found}
    chosen, met = traced.chosen(found, 6, *calls), 0
    count = each * (len(chosen) + 1)
    scene.send(range(each, count))
    for point in chosen:
        goal = min(len(scene.erp.effects()) + each, count)
        scene.erp.start(at_call(*point))
        assert until(lambda goal=goal: not scene.erp.alive or len(scene.erp.effects()) >= goal, PATIENCE_S)
        met += not scene.erp.kill()
    scene.erp.start()
    assert scene.settled() == []
    record_property("kills", met)
    assert wrong(scene.erp.ask("/ledger"), count) == []
    assert met >= len(chosen) // 2


def test_a_sender_killed_at_each_of_its_system_calls_has_each_confirmation_once(
    scene, tmp_path, record_property
):
    traced.need()
    out, each = tmp_path / "calls", ORDERS
    scene.node.kill()
    scene.live(traced.every(out))
    ready = out.stat().st_mtime
    scene.send(range(each))
    scene.done(each)
    assert scene.settled() == []
    scene.node.kill()
    found = traced.numbers(out, ready)
    # Its log and its sockets: tokens, questions, and what it posts.
    calls = ("pwrite64", "fdatasync", "connect", "write", "read")
    assert set(calls) <= {call for call, _ in found}
    chosen, met = traced.chosen(found, len(calls), *calls), 0
    # A life may do with fewer calls than the first one did; with twice as many reports it comes to its call.
    count = each * (2 * len(chosen) + 1)
    scene.erp.kill()
    scene.live()
    scene.send(range(each, count))
    scene.node.kill()
    scene.erp.start()
    for point in chosen:
        goal = min(len(scene.erp.effects()) + 2 * each, count)
        scene.live(at_call(*point))
        until(lambda goal=goal: not scene.node.alive or len(scene.erp.effects()) >= goal, PATIENCE_S)
        met += not scene.node.kill()
    scene.live()
    assert scene.settled() == []
    record_property("kills", met)
    assert wrong(scene.erp.ask("/ledger"), count) == []
    assert met >= len(chosen) // 2
