"""Reports whose reversal waits behind them, as while the ERP is away: neither is posted any more."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mfgroute.api.node import Router
from mfgroute.events import Event
from mfgroute.observe.stats import named
from mfgroute.runtime.tempo import Tempo
from mfgroute.runtime.withdrawing import TakenBack, Withdrawing
from mfgroute.testing.simulators.s4 import Fault

from .test_reversal_events import REVERSED, Records, original
from .test_reverse import at, done, message  # noqa: F401 - a fixture


async def both(here, *, tries=0):
    """A report, and its reversal once it was tried so often; the id of the report's event."""
    assert (await here.router.submit("mes", [message("DONE", 1, good="10", used=[])])).accepted == 1
    found = await here.read("trace", "order/1010/1004711")
    (event,) = [one["id"] for one in found["events"]]

    async def tried():
        shown = await here.run("effects", "show", event, "--output", "json")
        return sum(one["attempts"] for one in json.loads(shown.out)) >= tries

    await here.until(tried)
    assert (await here.router.submit("mes", [message("REVERSED", 2, reverses="R-1")])).accepted == 1
    return event


async def neither_was_posted(here, event):
    """The ERP has heard of neither, and the node says why."""
    assert done(here.erp) == []
    assert here.erp.ledger.refusals == []
    (one,) = await here.read("effects", "show", event)
    assert (one["state"], one["code"], one["reference"]) == ("skipped", "taken_back", None)
    (back,) = await here.read("effects", "show", one["reason"].split()[7])
    assert back["reference"] == "nothing to reverse: the report R-1 was never posted"
    assert (await here.run("inbox")).out.startswith("nothing waits for a person")
    return one


async def test_what_waits_with_its_reversal_behind_it_is_not_posted_any_more(at):  # noqa: F811
    async with at() as here:
        assert (await here.run("pause", "sap", "--reason", "closing")).code == 0
        event = await both(here)
        assert (await here.run("resume", "sap")).code == 0
        await here.settled()
        one = await neither_was_posted(here, event)
        assert (one["attempts"], one["request_key"]) == (0, None)
        shown = (await here.run("effects", "show", event)).out
        assert "skipped taken_back" in shown
        counts = named(here.router.engine.stats(), "sinks")["sap"]
        assert (counts["taken_back"], counts["skipped"], counts["delivered"]) == (1, 1, 1)
        # The next report of the order is posted as ever.
        await here.submit(message("DONE", 3, good="3", used=[]))
        assert done(here.erp) == ["confirmation"]


async def test_what_never_reached_a_target_that_was_away_is_not_posted_any_more(at):  # noqa: F811
    async with at() as here:
        port = urlsplit(here.erp.url).port
        await here.erp.stop()
        event = await both(here, tries=2)
        await here.erp.start(port=port)
        await here.settled()
        one = await neither_was_posted(here, event)
        assert one["request_key"]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_what_may_have_arrived_is_posted_and_then_taken_back(at, when):  # noqa: F811
    async with at() as here:
        here.erp.misbehave(Fault(path="ProdnOrdConf2", kind="cut", when=when, times=2))
        event = await both(here, tries=1)
        await here.settled()
        assert done(here.erp) == ["confirmation", "confirmation_reversal"]
        assert here.erp.ledger.duplicates == 0
        (one,) = await here.read("effects", "show", event)
        assert (one["state"], one["reversed_by"]["state"]) == ("posted", "posted")


async def test_a_restart_between_a_report_and_its_reversal_posts_neither(at):  # noqa: F811
    async with at() as here:
        assert (await here.run("pause", "sap", "--reason", "closing")).code == 0
        event = await both(here)
        await here.router.stop()
        assert (await here.run("resume", "sap")).code == 0
        async with Router(Path.cwd(), tempo=Tempo(poll_s=0.02)) as router:

            async def idle():
                return not any(router.queued().values())

            await here.until(idle)
            await neither_was_posted(here, event)


class Batch:
    """Has events behind one, of a sink that must be asked patiently at first."""

    def __init__(self, *behind):
        self.waits, self.asked, self.patient = behind, [], False

    def behind(self, event, contracts, text, *, patient=True):
        self.asked.append((contracts, text))
        self.patient |= patient
        return list(self.waits) if self.patient else None


def waiting(type_=REVERSED, **data):
    document = {"id": "e2", "type": type_, "data": {"reverses": "R-1", **data}}
    return json.dumps(document).encode()


def reported(type_="com.example.production.operation.completed.v1", *, replayed=False, **data):
    body = json.dumps({"data": {"report": "R-1", **data}}).encode()
    key = "order/DE04/4711"
    return Event(id="e1", type=type_, key=key, offset=0, json=body, replayed=replayed)


LABOR, RECEIPT, SCRAP = (
    f"com.example.{name}.v1"
    for name in ("production.labor.reported", "logistics.goods.received", "production.scrap.reported")
)
BACK = "its report was taken back by event e2 before it was posted"


@pytest.mark.parametrize(
    ("event", "behind", "known", "taken"),
    [
        (reported(), waiting(), [], True),
        (reported(), waiting(), [original("planned", tries=0)], True),
        # An earlier life of the node may have sent it.
        (reported(), waiting(), [original("intent", tries=1)], False),
        # Another event has the same report, and is there.
        (reported(), waiting(), [original("posted", id="e9")], False),
        (reported(), waiting(reverses="R-10"), [], False),
        (reported(replayed=True), waiting(), [], False),
        (reported(SCRAP, origin="in_process"), waiting(), [], True),
        (reported(SCRAP, origin="from_stock"), waiting(), [], False),
        (reported(LABOR), waiting(LABOR), [], True),
        (reported(LABOR, reverses="R-0"), waiting(LABOR), [], False),
        (reported(RECEIPT), waiting(RECEIPT, direction="receipt_reversal"), [], True),
        (reported(RECEIPT), waiting(RECEIPT, direction="receipt"), [], False),
        (reported("com.example.material.consumed.v1"), waiting(), [], False),
    ],
)
async def test_only_what_is_certainly_not_there_and_taken_back_as_a_whole_ends(event, behind, known, taken):
    batch = Batch(behind)
    found = await Withdrawing("sap", Records(*known)).look(batch, event)
    assert found == (TakenBack(BACK) if taken else None)
    # Without records nobody would know of it afterwards.
    assert await Withdrawing("sap", None).look(batch, event) is None


async def test_without_anything_behind_it_no_record_is_asked():
    batch = Batch()
    assert await Withdrawing("sap", Remembering()).look(batch, reported()) is None
    assert batch.asked == [(["production.confirmation.reversed"], "R-1")] * 2


class Remembering:
    """Must not be asked."""


def test_what_was_taken_back_is_absent_however_often_it_was_tried():
    assert original("skipped", tries=3, taken_back=True).is_absent(recognised=False)
