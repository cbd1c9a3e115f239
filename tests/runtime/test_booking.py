"""What a person books by hand while its event waits to be sent."""

import json
from decimal import Decimal

import pytest
from test_posting import Books, Target, World, run

from mfgroute.adapter import Effect
from mfgroute.events import Done, Refused, Retry
from mfgroute.runtime import booking
from mfgroute.runtime.inquiry import NotParked

REFUSED = NotParked("event e1 is neither in doubt nor parked at sap")


class Shut(Target):
    """Renders what it is told to, and must not be sent anything."""

    def __init__(self, world, made=None):
        super().__init__(Effect(by="key"), world)
        self.made = made

    async def render(self, event, books):
        return self.made or await super().render(event, books)

    async def post(self, requests):
        raise AssertionError("it was booked by hand")


@pytest.fixture(params=["log", "before"])
def booked(request):
    """Books the event of a world: in the log, or as a life of the folder said that the log knows nothing of."""

    def book(world):
        if request.param == "log":
            world.booked = "4711/1"
            return Books(by_hand={"e1": "49-old"})
        return Books(by_hand={"e1": "4711/1"})

    return book


@pytest.mark.parametrize("does", [None, "unreachable", "cut before"])
async def test_it_is_not_sent_and_counts(booked, does):
    world = World()
    if does is not None:
        target = Target(Effect(by="key"), world)
        target.does = does
        assert isinstance(await run(world, target, world.posting(Books())), Retry)
    records = booked(world)
    for sender in (world.posting(records), world.posting(records)):
        assert await run(world, Shut(world), sender) == Done("4711/1")
    # What it adds is told when it was to be sent, or now that it is not; told again, it counts once.
    assert (world.lines, world.committed) == (["intent"] if does else ["planned", "intent"], [])
    assert json.loads(world.about)["amounts"] == {"yield": "1"}


async def test_what_cannot_be_made_a_request_was_booked_all_the_same_and_what_can_later_waits(booked):
    for made, outcome in (
        (Refused("unfit", ""), Done("4711/1")),
        (Retry(reason="away"), Retry(reason="away")),
    ):
        world = World()
        assert await run(world, Shut(world, made), world.posting(booked(world))) == outcome


async def test_what_the_log_says_needs_no_database():
    world = World()
    world.booked = "4711/1"
    assert await run(world, Shut(world), world.posting()) == Done("4711/1")


class Knows(Shut):
    """Refuses, and says what the event adds all the same."""

    async def adds(self, event, books):
        return "order/1", {"yield": Decimal("2.50")}


@pytest.mark.parametrize("by_hand", [{}, {"e1": "4711/1"}], ids=["refused", "booked"])
async def test_what_is_refused_before_it_is_sent_says_what_it_adds_if_it_is_booked(by_hand):
    world = World()
    outcome = await run(world, Knows(world, Refused("unfit", "")), world.posting(Books(by_hand=by_hand)))
    assert outcome == (Done("4711/1") if by_hand else Refused("unfit", ""))
    told = json.loads(world.about)
    assert (world.lines, told["object"], told["amounts"]) == (["planned"], "order/1", {"yield": "2.50"})


class Log:
    """An engine in whose log one event is that waits for a sink."""

    def __init__(self, state="queued", ends=None):
        self.state, self.document, self.ends, self.who = state, None, ends, []

    def stats(self):
        return {"streams": {"business": {"next_offset": 8}}}

    def find(self, event_id):
        at = {"sink": "sap", "state": self.state}
        if self.state == "delivered":
            at["reference"] = self.ends
        return json.dumps({"events": [{"id": "e1", "sinks": [at]}]}).encode()

    def dead_letters(self, request):
        asked = json.loads(request)
        match asked["verb"]:
            case "read":
                known = [json.dumps({"id": name, "subject": f"key of {name}"}) for name in ("e0", "e1")]
                first = asked["after"].get("business", 6) - 6
                page = known[first : first + asked.get("count", 9)]
                after = {"business": 6 + first + len(page)} if first + len(page) < len(known) else None
                return json.dumps({"events": page, "after": after}).encode()
            case "preview":
                assert asked["offsets"] == {"business": [7, 8]}
                return json.dumps({"queued": int(self.state != "delivered")}).encode()
            case "book":
                assert (asked["sink"], asked["id"], asked["why"]) == ("sap", "e1", "by hand")
                self.who.append(asked["who"])
                self.document = asked.get("document")
                # It may have been handed out, and ended, right before.
                self.state = "delivered" if self.ends else self.state
            case verb:
                assert verb == "booked"
        return json.dumps({"document": self.document}).encode()


def decided(log, before=(), **said):
    asked = {"id": "e1", "sink": "sap", "why": "by hand", **said}
    return booking.decide({"request": asked, "by": "ann"}, REFUSED, engine=log, before=before)


def test_what_ended_while_it_was_booked_is_not_taken_for_booked():
    log = Log(ends="49-7")
    with pytest.raises(NotParked, match="has just been sent to sap: `mfgroute effects show e1`"):
        decided(log, posted="4711/1")
    assert log.document is None
    # It was handed out after that, with the document.
    assert decided(Log(ends="4711/1"), posted="4711/1")["posted_as"] == "4711/1"
    for state in ("in_flight", "delivered"):
        with pytest.raises(NotParked, match="neither in doubt"):
            decided(Log(state), posted="4711/1")


def test_what_waits_is_booked_and_that_is_taken_back():
    log = Log()
    done = decided(log, posted="4711/1")
    assert (done["key"], done["posted_as"], log.document) == ("key of e1", "4711/1", "4711/1")
    assert decided(log, not_posted=True)["sent_again"] is True
    assert (log.document, log.who) == (None, ["ann", "ann"])
    with pytest.raises(NotParked, match="neither in doubt"):
        decided(log, not_posted=True)
    # Of another life of the folder it is not known to the log.
    assert decided(log, {"e1"}, not_posted=True)["sent_again"] is True
