"""Reversals that arrive as events: what becomes of them depends on what became of their original."""

import asyncio
import json
import re
from types import SimpleNamespace
from typing import ClassVar

import pytest

from mfgroute import project as projects
from mfgroute.adapter import Config, Effect, Request
from mfgroute.adapter import Poster as Poster_
from mfgroute.effects.lines import Original, Sent
from mfgroute.errors import DatabaseDown
from mfgroute.events import Done, Event, InDoubt, NotYet, Outcome, Refused, Retry
from mfgroute.registry import Registry
from mfgroute.runtime.cancelling import Cancelling
from mfgroute.runtime.undoing import Made, Undoing
from mfgroute.testing.simulators.s4 import Fault

from .test_reverse import MAIN, at, done, message  # noqa: F401 - a fixture

REVERSED = "com.example.production.confirmation.reversed.v1"
LOOKED = NotYet(reason="no confirmation", within_s=1.0, code="original_missing")
REQUEST = Request(key="k", body=b"b")


def reversal(type_=REVERSED, **data):
    body = json.dumps({"data": {"reverses": "R-1", **data}}).encode()
    return Event(id="e2", type=type_, key="order/DE04/4711", offset=0, json=body)


class Records:
    """What is known of the original, and of what is to be undone."""

    def __init__(self, *originals, sent=None):
        self.known, self.known_sent = originals, sent

    async def originals(self, sink, key, report):
        assert (sink, key, report) == ("sap", "order/DE04/4711", "R-1")
        return self.known

    async def sent(self, sink, event_id):
        assert (sink, event_id) == ("sap", "e1")
        return self.known_sent


class Poster:
    """Answers what it is told to."""

    effect = Effect(by="lookup")

    def __init__(self, answer=REQUEST):
        self.answer, self.asked = answer, 0

    async def render(self, event, books):
        self.asked += 1
        return self.answer


class NoBooks:
    async def posted(self, thing):
        return {}


class Reverser(Poster):
    def reverse(self, request, reference, *, posted, reason=""):
        return Request(key=f"undo {request.key}", body=f"{reference} {reason}".encode())


def original(state, reference=None, *, refused=False, tries=1, id="e1", **more):  # noqa: A002 - as the attribute
    return Original(id=id, state=state, reference=reference, tries=tries, refused=refused, **more)


async def made(records, poster=None, event_=None):
    return await Undoing("sap", records).render(poster or Poster(), event_ or reversal(), NoBooks())


@pytest.mark.parametrize("state", ["planned", "intent", "accepted", "refused", "gave_up", "in_doubt"])
async def test_it_waits_as_long_as_its_original_may_still_be_posted(state):
    poster = Poster()
    found = await made(Records(original(state, refused=True)), poster)
    assert isinstance(found.outcome, Retry)
    assert (found.outcome.waits, poster.asked, found.reverses) == (True, 0, "e1")
    assert "waits for the report R-1, which " in found.outcome.reason


@pytest.mark.parametrize(
    ("originals", "answer", "outcome", "asked"),
    [
        ([], REQUEST, REQUEST, 1),
        ([original("posted")], REQUEST, REQUEST, 1),
        ([original("skipped", "by hand")], REQUEST, REQUEST, 1),
        ([original("skipped", refused=True)], REQUEST, None, 0),
        # Skipped while nobody knew whether it was posted: the target says.
        ([original("skipped")], REQUEST, REQUEST, 1),
        ([original("skipped")], LOOKED, None, 1),
        # Gone with its sink, and nobody knows whether it was posted.
        ([original("dropped")], REQUEST, REQUEST, 1),
        ([original("dropped")], LOOKED, None, 1),
        ([], LOOKED, LOOKED, 1),
        ([original("posted")], LOOKED, LOOKED, 1),
        # One report in two events: one of them was posted.
        ([original("skipped", refused=True), original("posted", id="e9")], REQUEST, REQUEST, 1),
        ([original("posted", id="e9"), original("skipped", refused=True)], REQUEST, REQUEST, 1),
    ],
)
async def test_it_goes_when_its_original_was_posted_and_ends_with_one_that_never_was(
    originals, answer, outcome, asked
):
    poster = Poster(answer)
    found = await made(Records(*originals), poster)
    assert found.outcome == (outcome or Done("nothing to reverse: the report R-1 was never posted"))
    assert poster.asked == asked
    there = [one.id for one in originals if one.state == "posted"] or [one.id for one in originals]
    assert found.reverses == (there[-1] if there else None)


async def test_only_what_takes_back_a_whole_report_waits_for_one():
    waiting = Records(original("in_doubt"))
    receipt = "com.example.logistics.goods.received.v1"
    for event_, waits in (
        (reversal("com.example.production.labor.reported.v1"), True),
        (reversal(receipt, direction="receipt_reversal"), True),
        (reversal(receipt, direction="receipt"), False),
        (reversal("com.example.production.operation.completed.v1"), False),
        (reversal("com.example.production.confirmation.reversed.v1", reverses=None), False),
        (reversal("com.example.preproduction.confirmation.reversed.v1"), False),
    ):
        found = await made(waiting, event_=event_)
        assert isinstance(found.outcome, Retry) == waits, event_.type
    assert (await made(None)).outcome == REQUEST


SENT = Sent(
    state="posted", type="t", key="k", object="o", reference="49", request_key="k1", request=b"x", amounts={}
)


@pytest.mark.parametrize(
    ("records", "poster", "code"),
    [
        (Records(sent=None), Reverser(), "original_unknown"),
        (Records(sent=SENT), Poster(), "not_reversible"),
        (None, Reverser(), "not_reversible"),
        (Records(sent=SimpleNamespace(state="in_doubt", reference=None)), Reverser(), "original_not_posted"),
        (
            Records(sent=SimpleNamespace(state="posted", reference="49", request=None, request_key="k1")),
            Reverser(),
            "request_not_kept",
        ),
    ],
)
async def test_what_a_person_asked_for_and_cannot_be_done_is_refused_with_a_reason(records, poster, code):
    asked = reversal("com.example.integration.reversal.requested.v1", sink="sap", event="e1", reason="twice")
    found = await made(records, poster, asked)
    assert isinstance(found.outcome, Refused)
    assert (found.outcome.code, bool(found.outcome.reason), found.reverses) == (code, True, "e1")


async def test_what_a_person_asked_for_is_done_by_the_sink_that_is_named_and_no_other():
    asked = reversal("com.example.integration.reversal.requested.v1", sink="sap", event="e1", reason="twice")
    found = await made(Records(sent=SENT), Reverser(), asked)
    assert found.outcome == Request(key="undo k1", body=b"49 twice")
    other = reversal("com.example.integration.reversal.requested.v1", sink="wms", event="e1", reason="twice")
    assert await made(Records(sent=SENT), Reverser(), other) == Made(Done())


PARK_EVENT = MAIN.replace("    owner: erp-team", "    on_refused: park_event\n    owner: erp-team")


async def with_reversal(here, **fault):
    """One report that the ERP does not post, and its reversal."""
    here.erp.misbehave(Fault(path="ProdnOrdConf2", **fault))
    (first,) = await here.submit(message("DONE", 1, good="10", used=[]))
    receipt = await here.router.submit("mes", [message("REVERSED", 2, reverses="R-1")])
    assert receipt.accepted == 1
    return first


def parked(here, *causes):
    """Wait until what is parked has these causes."""

    async def those():
        return [one["cause"] for one in await here.read("parked", "list")] == list(causes)

    return here.until(those)


@pytest.mark.parametrize("text", [MAIN, PARK_EVENT], ids=["park_key", "park_event"])
async def test_what_was_refused_and_taken_back_reaches_the_target_no_more(at, text):  # noqa: F811
    async with at(text) as here:
        first = await with_reversal(here, kind="refuse", message="period_closed", times=1)
        await parked(here)
        await here.settled()
        assert done(here.erp) == []
        (one,) = await here.read("effects", "show", first)
        assert (one["state"], one["reference"]) == ("skipped", None)
        assert "taken back by event" in one["reason"]
        (back,) = await here.read("effects", "show", one["reversed_by"]["id"])
        assert back["reference"] == "nothing to reverse: the report R-1 was never posted"
        assert len(here.erp.ledger.refusals) == 1
        assert (await here.run("inbox")).out.startswith("nothing waits for a person")


async def test_of_what_waits_behind_only_reversals_are_opened(at, monkeypatch):  # noqa: F811
    shown, listed, ask = [], {}, Cancelling._ask

    def spy(self, **request):
        answer = ask(self, **request)
        if request["verb"] == "show":
            shown.append(request["number"])
        elif request["verb"] == "list":
            listed.update({one["number"]: one["type"] for one in answer})
        return answer

    monkeypatch.setattr(Cancelling, "_ask", spy)
    async with at() as here:
        here.erp.misbehave(Fault(path="ProdnOrdConf2", kind="refuse", message="period_closed", times=1))
        await here.submit(message("DONE", 1, good="10", used=[]))
        await parked(here, "refused")
        for one in (message("DONE", 2, good="3", used=[]), message("REVERSED", 3, reverses="R-1")):
            assert (await here.router.submit("mes", [one])).accepted == 1

        async def second_is_posted():
            return done(here.erp) == ["confirmation"]

        await here.until(second_is_posted)
    assert {listed[number].split(".", 2)[2] for number in shown} == {"production.confirmation.reversed.v1"}
    assert any("production.operation.completed" in type_ for type_ in listed.values())


async def test_a_sink_that_cannot_be_looked_through_does_not_keep_others_from_it():
    looked, again = [], asyncio.Event()

    class Looks(Cancelling):
        async def look(self, sink):
            looked.append(sink)
            if sink == "away":
                raise DatabaseDown("the database is away")
            if len(looked) > 2:
                again.set()
            return 0

    sinks = ("away", "sap")
    task = asyncio.create_task(
        Looks(None, None, lambda: sinks, recognises=lambda _: True, look_s=0.001).run()
    )
    await asyncio.wait_for(again.wait(), 30)
    task.cancel()
    assert looked[:4] == ["away", "sap", "away", "sap"]


class Doubtful(Poster_):
    """Does what it is told with the first report, and posts what comes then."""

    Config = Config
    posted: ClassVar[list[str]] = []
    by: ClassVar[Effect]
    first: ClassVar[list[Outcome]]

    def __init__(self, config, context):
        pass

    @property
    def effect(self):
        return self.by

    async def render(self, event, books):
        return Request(key=event.id, body=json.loads(event.json)["data"]["report"].encode())

    async def post(self, requests):
        return [self._post(request.body.decode()) for request in requests]

    def _post(self, report):
        if self.first:
            return self.first.pop()
        self.posted.append(report)
        return Done("49")


ONCE = Effect(by="none", accept="at_most_once")
CASES = {
    "not posted, nobody recognises it": (ONCE, ["--not-posted"], ["R-1", "R-2"]),
    "posted": (ONCE, ["--posted", "4711"], ["R-2"]),
    "not posted": (Effect(by="key"), ["--not-posted"], ["R-1", "R-2"]),
}


@pytest.mark.parametrize("case", CASES)
async def test_behind_an_original_in_doubt_it_waits_until_a_person_has_decided(at, monkeypatch, case):  # noqa: F811
    by, say, posted = CASES[case]
    registry = Registry({}, {"doubtful": Doubtful})
    monkeypatch.setattr(projects, "Registry", lambda: registry)
    for name, value in (("posted", []), ("by", by), ("first", [InDoubt("no answer")])):
        monkeypatch.setattr(Doubtful, name, value, raising=False)
    sink = "sap: {adapter: doubtful, owner: tests}"
    async with at(re.sub(r"(?s)  sap:.*?routes:", f"  {sink}\nroutes:", MAIN), adapters=registry) as here:
        (event,) = await here.submit(message("DONE", 1, good="10", used=[]))
        await here.router.submit("mes", [message("REVERSED", 2, reverses="R-1")])
        await parked(here, "in_doubt", "behind")
        # It may have been posted all the same, so nobody but a person ends it.
        assert await here.router.cancelling.look("sap") == 0
        assert "order/1010/1004711, 1 waiting behind" in (await here.run("inbox")).out
        assert Doubtful.posted == []
        resolve = ["effects", "resolve", event, "--sink", "sap", "--reason", "seen", *say]
        assert (await here.run(*resolve)).code == 0
        await parked(here)
        await here.settled()
        assert Doubtful.posted == posted
        (one,) = await here.read("effects", "show", event)
        assert one["reversed_by"]["state"] == "posted"


UNSURE = Effect(by="none", accept="at_least_once")


@pytest.mark.parametrize("by", [UNSURE, Effect(by="key")], ids=["none", "key"])
async def test_what_was_refused_when_it_was_sent_again_may_have_been_done_before(at, monkeypatch, by):  # noqa: F811
    registry = Registry({}, {"doubtful": Doubtful})
    monkeypatch.setattr(projects, "Registry", lambda: registry)
    first = [Refused("http_409", "there is such a report already"), Retry(reason="no answer", sent=True)]
    for name, value in (("posted", []), ("by", by), ("first", first)):
        monkeypatch.setattr(Doubtful, name, value, raising=False)
    sink = "sap: {adapter: doubtful, owner: tests, retry: {delay_max: 50ms}}"
    async with at(re.sub(r"(?s)  sap:.*?routes:", f"  {sink}\nroutes:", MAIN), adapters=registry) as here:
        (event,) = await here.submit(message("DONE", 1, good="10", used=[]))
        await here.router.submit("mes", [message("REVERSED", 2, reverses="R-1")])
        if by is UNSURE:
            await parked(here, "refused", "behind")
            assert await here.router.cancelling.look("sap") == 0
            (number,) = [
                one["number"] for one in await here.read("parked", "list") if one["cause"] == "refused"
            ]
            skip = ["parked", "skip", number, "--sink", "sap", "--reason", "it is there, says the ERP"]
            assert (await here.run(*skip)).code == 0
        await parked(here)
        await here.settled()
        assert Doubtful.posted == (["R-2"] if by is UNSURE else [])
        (one,) = await here.read("effects", "show", event)
        assert (one["state"], one["attempts"], one["reversed_by"]["state"]) == ("skipped", 2, "posted")


async def test_the_reversal_of_a_large_report_does_not_overtake_it(at, monkeypatch):  # noqa: F811
    registry = Registry({}, {"doubtful": Doubtful})
    monkeypatch.setattr(projects, "Registry", lambda: registry)
    first = [Refused("http_422", "the period is closed")]
    for name, value in (("posted", []), ("by", Effect(by="key")), ("first", first)):
        monkeypatch.setattr(Doubtful, name, value, raising=False)
    sink = "sap: {adapter: doubtful, owner: tests, on_refused: park_event}"
    async with at(re.sub(r"(?s)  sap:.*?routes:", f"  {sink}\nroutes:", MAIN), adapters=registry) as here:
        used = [{"mat": f"RM-{number:037}", "qty": "1"} for number in range(200)]
        (event,) = await here.submit(message("DONE", 1, good="10", used=used))
        (one,) = await here.read("effects", "show", event)
        assert (one["state"], one["event"]["data"]) == ("refused", None)
        await here.router.submit("mes", [message("REVERSED", 2, reverses="R-1")])
        await parked(here)
        await here.settled()
        assert Doubtful.posted == []
        (one,) = await here.read("effects", "show", event)
        assert (one["state"], one["reversed_by"]["state"]) == ("skipped", "posted")


@pytest.mark.parametrize(
    ("tries", "refused", "recognised", "absent"),
    [(0, False, False, True), (1, True, False, True), (2, True, False, False), (2, True, True, True),
     (1, False, True, False)],
)  # fmt: skip
def test_what_is_certainly_not_there(tries, refused, recognised, absent):
    found = original("skipped", tries=tries, refused=refused).is_absent(recognised=recognised)
    assert found == absent


async def test_where_nobody_is_sure_the_target_is_asked():
    poster = Poster()
    poster.effect = UNSURE
    for tries, outcome in ((1, Done("nothing to reverse: the report R-1 was never posted")), (2, REQUEST)):
        known = Records(original("skipped", tries=tries, refused=True))
        assert (await made(known, poster)).outcome == outcome
