"""What a person books by hand while its event waits to be sent."""

import json
from decimal import Decimal

import pytest
from test_posting import Books, Target, World, run

from mfgroute.adapter import Effect
from mfgroute.errors import MfgrouteError
from mfgroute.events import Done, Refused, Retry
from mfgroute.runtime import booking
from mfgroute.runtime.inquiry import NotParked
from mfgroute.runtime.posting import Unasked

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


@pytest.mark.parametrize("does", [None, "unreachable", "cut before"])
async def test_it_is_not_sent_and_counts(does):
    world, records = World(), Books()
    posting = world.posting(records)
    if does is not None:
        target = Target(Effect(by="key"), world)
        target.does = does
        assert isinstance(await run(world, target, posting), Retry)
    records.by_hand = {"e1": "4711/1"}
    for sender in (posting, world.posting(records)):
        assert await run(world, Shut(world), sender) == Done("4711/1")
    # What it adds is told when it was to be sent, or now that it is not; told again, it counts once.
    assert (world.lines, world.committed) == (["intent"] if does else ["planned", "intent"], [])
    assert json.loads(world.about)["amounts"] == {"yield": "1"}


async def test_what_cannot_be_made_a_request_was_booked_all_the_same_and_what_can_later_waits():
    for made, outcome in (
        (Refused("unfit", ""), Done("4711/1")),
        (Retry(reason="away"), Retry(reason="away")),
    ):
        world = World()
        found = await run(world, Shut(world, made), world.posting(Books(by_hand={"e1": "4711/1"})))
        assert found == outcome


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


async def test_nothing_is_sent_while_nobody_knows_what_was_booked():
    class Unread(Books):
        async def booked(self, sink, ids):
            raise MfgrouteError("the database is down")

    world = World()
    found = await run(world, Shut(world), world.posting(Unread()))
    assert found == Unasked(reason="the database is down")
    assert world.lines == []


class Log:
    """An engine in whose log one event is that waits for a sink, until it is polled."""

    def __init__(self, state="queued"):
        self.state = state

    def stats(self):
        return {"streams": {"business": {"next_offset": 8}}}

    def find(self, event_id):
        return json.dumps(
            {"events": [{"id": "e1", "sinks": [{"sink": "sap", "state": self.state}]}]}
        ).encode()

    def dead_letters(self, request):
        asked = json.loads(request)
        if asked["verb"] == "read":
            known = [json.dumps({"id": name, "subject": f"key of {name}"}) for name in ("e0", "e1")]
            first = asked["after"].get("business", 6) - 6
            page = known[first : first + asked.get("count", 9)]
            after = {"business": 6 + first + len(page)} if first + len(page) < len(known) else None
            return json.dumps({"events": page, "after": after}).encode()
        assert asked["offsets"] == {"business": [7, 8]}
        return json.dumps({"queued": int(self.state != "delivered")}).encode()


class Written:
    def __init__(self, log, then=None):
        self.log, self.then, self.rows = log, then, {}

    async def book(self, row):
        self.rows[row["sink"], row["id"]] = row["reference"]
        self.log.state = self.then or self.log.state

    async def unbook(self, sink, event_id):
        return self.rows.pop((sink, event_id), None) is not None


async def decided(log, written, **said):
    asked = {"id": "e1", "sink": "sap", "why": "by hand", **said}
    return await booking.decide(
        {"request": asked, "by": "ann"}, REFUSED, engine=log, book=written.book, unbook=written.unbook
    )


async def test_what_is_handed_out_while_it_is_booked_is_not_taken_for_booked():
    for then in ("in_flight", "delivered"):
        written = Written(log := Log(), then)
        with pytest.raises(NotParked, match="is being sent to sap right now: `mfgroute pause sap` first"):
            await decided(log, written, posted="4711/1")
        assert written.rows == {}
    for state in ("in_flight", "delivered"):
        with pytest.raises(NotParked, match="neither in doubt"):
            await decided(Log(state), written, posted="4711/1")


async def test_what_waits_is_booked_and_that_is_taken_back():
    written = Written(log := Log())
    done = await decided(log, written, posted="4711/1")
    assert (done["key"], done["posted_as"], written.rows) == (
        "key of e1",
        "4711/1",
        {("sap", "e1"): "4711/1"},
    )
    assert (await decided(log, written, not_posted=True))["sent_again"] is True
    assert written.rows == {}
    with pytest.raises(NotParked, match="neither in doubt"):
        await decided(log, written, not_posted=True)
