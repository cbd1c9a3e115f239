"""The sender of a poster: what it does with answers. `test_posting_histories` tells all histories of an event."""

import asyncio
import json
from decimal import Decimal

import pytest

from mfgroute.adapter import Effect, Poster, Request
from mfgroute.errors import Disconnected, LogFailed, MfgrouteError, NobodyFollows, RequestUnfit
from mfgroute.events import Absent, Accepted, Begun, Done, Event, InDoubt, NotYet, Refused, Retry
from mfgroute.runtime.posting import Posting, Unasked

TIMEOUT_S = 30.0
LOCKED = NotYet(reason="locked", after_s=5.0, within_s=3600.0, code="locked")
#: How long work that was accepted goes on.
JOB_S = 40.0


class Crash(BaseException):
    """The node dies here."""


class Target(Poster):
    """A target with one script: what it does with the next call."""

    def __init__(self, effect, world):
        self._effect, self.world, self.does = effect, world, "ok"

    @property
    def effect(self):
        return self._effect

    async def render(self, event, books):
        return Request(
            key=f"key of {event.id}", body=b"POST /", object="order/1", amounts={"yield": Decimal(1)}
        )

    async def post(self, requests):  # noqa: C901, PLR0912 - one for each thing it can do
        assert len(requests) == 1
        assert self.world.begun is not None
        assert self.world.begun.body == requests[0].body == b"POST /"
        self.world.sends += 1
        assert self.world.begun.attempts >= self.world.sends, "each attempt is written down before it is sent"
        assert self.world.begun.last_s == self.world.now
        match self.does:
            case "unreachable":
                raise Disconnected("refused", sent=False)
            case "busy":
                return [Retry(reason="busy")]
            case "refuse":
                return [Refused("M7/021", "deficit")]
            case "crash before":
                raise Crash
            case "cut before":
                raise Disconnected("reset", sent=True)
            case "cut, late":
                self.world.later(TIMEOUT_S, requests[0].key)
                raise Disconnected("reset", sent=True)
            case "crash, late":
                self.world.later(TIMEOUT_S, requests[0].key)
                raise Crash
            case "hang":
                self.world.later(TIMEOUT_S, requests[0].key)
                self.world.pass_time(TIMEOUT_S, self._effect)
                raise TimeoutError
            case "accept, works" if requests[0].key not in self.world.known(self._effect):
                self.world.later(JOB_S, requests[0].key)
                return [Accepted(reference="job 9", after_s=1.0)]
            case "accept, locked" if requests[0].key not in self.world.known(self._effect):
                return [Accepted(reference="job 8", after_s=1.0)]
        self.world.commit(requests[0].key, self._effect)
        match self.does:
            case "cut after":
                raise Disconnected("reset", sent=True)
            case "crash after":
                raise Crash
            case "accept":
                return [Accepted(reference="job 7", after_s=1.0)]
        return [Done("4900000001")]

    async def ask(self, request):
        if self.does in ("unreachable", "busy"):
            raise Disconnected("refused", sent=False)
        if self.does.startswith("crash"):
            raise Crash
        return Done("4900000001") if request.key in self.world.committed else Absent()

    async def follow(self, request, reference):
        answer = await self.ask(request)
        if reference == "job 8":
            # It is over, whatever became of a later attempt.
            return Retry(judged=True, sent=True) if self.does == "cut before" else LOCKED
        if reference == "job 9":
            return answer if isinstance(answer, Done) else Accepted(reference="job 9", after_s=1.0)
        assert reference == "job 7"
        return answer if isinstance(answer, Done) else Refused("job failed", "")


class World:
    """What survives the node, and the time."""

    def __init__(self):
        self.begun, self.committed, self.now = None, [], 1_000_000.0
        self.lines, self.told, self.sends = [], {"data": 1}, 0
        #: What the target does later, and when; when it has done each thing.
        self.works, self.done_at = [], {}
        #: By which document a person has booked the event, as the log says.
        self.booked = None

    def known(self, effect):
        """What a target recognises."""
        if effect.by not in ("key", "upsert"):
            return []
        kept = float("inf") if effect.kept is None else effect.kept
        return [key for key in self.committed if self.now - self.done_at[key] < kept]

    def commit(self, key, effect):
        if key not in self.known(effect):
            self.committed.append(key)
            self.done_at[key] = self.now

    def later(self, after_s, key):
        """The target is at work on a request, and nothing says so."""
        self.works.append((self.now + after_s, key))

    def pass_time(self, seconds, effect):
        end = self.now + seconds
        for at, key in sorted(self.works):
            if at <= end:
                self.now = max(self.now, at)
                self.commit(key, effect)
        self.works, self.now = [one for one in self.works if one[0] > end], end

    def intend(self, entries):
        for _, key, body, about in entries:
            begun = self.begun
            if begun is not None and begun.attempts:
                attempts = begun.attempts + 1
                self.begun = Begun(
                    key=begun.key,
                    body=begun.body,
                    attempts=attempts,
                    first_s=begun.first_s,
                    last_s=self.now,
                    accepted=begun.accepted,
                )
                self.lines.append("again")
                continue
            self.begun = Begun(
                key=key, body=body, attempts=1 if key else 0, first_s=self.now, last_s=self.now
            )
            self.lines.append("intent" if key else "planned")
            assert json.loads(about)["event"] == self.told
            self.about = about

    def accepted(self, event, reference):
        begun = self.begun
        self.begun = Begun(
            key=begun.key,
            body=begun.body,
            attempts=begun.attempts,
            first_s=begun.first_s,
            last_s=self.now if begun.accepted is None else begun.last_s,
            accepted=reference,
        )
        self.lines.append("accepted")

    def event(self):
        return Event(
            id="e1", type="t", key="k", offset=0, json=b'{"data":1}', begun=self.begun, booked=self.booked
        )

    def posting(self, records=None):
        return Posting(
            "sap", records=records, timeout_s=TIMEOUT_S, wall=lambda: self.now, clock=lambda: self.now
        )


CLASSES = {
    "key": Effect(by="key"),
    "upsert": Effect(by="upsert"),
    "lookup": Effect(by="lookup"),
    "at most once": Effect(by="none", accept="at_most_once"),
    "at least once": Effect(by="none", accept="at_least_once"),
}


class Books:
    def __init__(self, known=None, error=None, at_s=0.0, by_hand=None):
        self.known, self.error, self.at_ms = known or {}, error, at_s * 1e3
        self.by_hand = by_hand or {}

    def books(self, sink):
        return self

    async def was_posted(self, sink, ids, recent=None):
        if self.error is not None:
            raise self.error
        if recent is not None and recent[0] <= self.at_ms <= recent[1]:
            return {}
        return {one: self.known[one] for one in ids if one in self.known}

    def booked_before(self, sink):
        return self.by_hand


async def run(world, target, posting=None):
    return (await (posting or world.posting()).run(target, world, [world.event()]))[0]


async def test_what_was_posted_before_the_log_begins_is_not_sent_again():
    world = World()
    target = Target(CLASSES["key"], world)
    assert await run(world, target, world.posting(Books({"e1": "4711"}))) == Done("4711")
    assert (world.committed, world.lines) == ([], [])


@pytest.mark.parametrize(
    ("effect", "ago_s", "sent"),
    [
        (Effect(by="key"), 1e6, 1),
        (Effect(by="upsert"), 1e6, 1),
        (Effect(by="key", kept=3600.0), 3600.0 - TIMEOUT_S, 1),
        (Effect(by="key", kept=3600.0), 3601.0 - TIMEOUT_S, 0),
        (Effect(by="key", kept=3600.0), -61.0, 0),
        (Effect(by="lookup"), 1.0, 0),
        (Effect(by="none", accept="at_least_once"), 1.0, 0),
    ],
)
async def test_what_somebody_replays_is_sent_to_a_target_that_recognises_it(effect, ago_s, sent):
    world = World()
    event = Event(id="e1", type="t", key="k", offset=0, json=b'{"data":1}', replayed=True)
    posting = world.posting(Books({"e1": "4711"}, at_s=world.now - ago_s))
    (outcome,) = await posting.run(Target(effect, world), world, [event])
    assert outcome == Done("4900000001" if sent else "4711")
    assert len(world.committed) == sent


async def test_a_request_that_a_restored_log_has_open_is_not_sent_when_it_was_posted():
    world = World()
    target = Target(CLASSES["key"], world)
    target.does = "cut after"
    await run(world, target)
    target.does = "ok"
    assert await run(world, target, world.posting(Books({"e1": "4711"}))) == Done("4711")
    assert world.committed == ["key of e1"]


async def test_the_records_of_a_large_event_are_without_its_data():
    world = World()
    world.told = {"id": "e1", "type": "t", "data": None}
    body = json.dumps({"id": "e1", "type": "t", "data": {"text": "x" * 20_000}}).encode()
    event = Event(id="e1", type="t", key="k", offset=0, json=body)
    assert await world.posting().run(Target(CLASSES["upsert"], world), world, [event]) == [Done("4900000001")]
    assert world.lines == ["intent"]


async def test_nothing_is_sent_while_nobody_knows_what_was_posted():
    world = World()
    down = world.posting(Books(error=MfgrouteError("the database is down")))
    assert await run(world, Target(CLASSES["key"], world), down) == Unasked(reason="the database is down")
    assert world.lines == []


@pytest.mark.parametrize("error", [LogFailed("the disk failed"), NobodyFollows("nobody has read it")])
async def test_nothing_is_sent_that_cannot_be_written_down(error):
    world = World()

    def intend(entries):
        raise error

    world.intend = intend
    assert await run(world, Target(CLASSES["key"], world)) == Unasked(reason=str(error))
    assert world.committed == []


async def test_a_request_that_does_not_fit_refuses_its_event_alone():
    world, kept = World(), World.intend

    def intend(entries):
        if any(body for _, _, body, _ in entries):
            raise RequestUnfit("too large")
        kept(world, entries)

    world.intend = intend
    assert await run(world, Target(CLASSES["key"], world)) == Refused("request_unfit", "too large")
    assert (world.committed, world.lines) == ([], ["planned"])


async def test_not_yet_is_tried_again_until_its_time_is_up():
    class Waiting(Target):
        async def post(self, requests):
            return [NotYet(reason="the batch is not there", after_s=5.0, within_s=60.0)]

    world = World()
    posting, target = world.posting(), Waiting(CLASSES["lookup"], world)
    for _ in range(3):
        assert await run(world, target, posting) == Retry(
            after_s=5.0, reason="the batch is not there", waits=True
        )
        world.now += 25.0
    assert await run(world, target, posting) == Refused("not_yet", "the batch is not there (for 60 s)")
    assert world.lines == ["intent", "again", "again", "again"]


async def test_a_target_that_may_have_forgotten_the_key_is_not_sent_it_again():
    world = World()
    target = Target(Effect(by="key", kept=3600.0), world)
    target.does = "cut after"
    assert await run(world, target) == Retry(reason="reset", sent=True)
    world.now += 3600.0 - TIMEOUT_S
    target.does = "cut before"
    assert isinstance(await run(world, target), Retry)
    world.now += 1.0
    assert "the target knows a key for 3600 s" in (await run(world, target)).reason
    world.now -= 7200.0
    assert "the clock was set back" in (await run(world, target)).reason
    assert world.committed == ["key of e1"]


async def test_a_poster_that_cannot_render_refuses_and_one_that_must_wait_waits():
    class Broken(Target):
        async def render(self, event, books):
            await books.posted("order/1")
            raise ZeroDivisionError("no quantity")

    world = World()
    waiting = await run(world, Broken(CLASSES["key"], world))
    assert isinstance(waiting, Retry)
    assert "not recorded" in waiting.reason

    class Open(Books):
        async def posted(self, thing):
            return {}

    refused = await run(world, Broken(CLASSES["key"], world), world.posting(Open()))
    assert refused == Refused("not_rendered", "ZeroDivisionError: no quantity")
    assert world.lines == ["planned"]


async def test_a_poster_that_breaks_its_contract_is_in_doubt_or_tried_again():
    class Short(Target):
        async def post(self, requests):
            return []

    for name, kind in [("key", Retry), ("lookup", Retry), ("at most once", InDoubt)]:
        world = World()
        assert isinstance(await run(world, Short(CLASSES[name], world)), kind)

    class Odd(Target):
        async def post(self, requests):
            return ["yes"]

    world = World()
    assert await run(world, Odd(CLASSES["key"], world)) == InDoubt("unknown outcome str")


async def test_events_of_a_batch_are_judged_one_by_one():
    class Many(Target):
        async def post(self, requests):
            assert [one.key for one in requests] == ["key of a", "key of c"]
            return [Done("1"), Refused("no", "")]

        async def render(self, event, books):
            return Refused("bad", "") if event.id == "b" else await super().render(event, books)

    class Rows(World):
        def intend(self, entries):
            self.lines.append([event.id for event, *_ in entries])

    world = Rows()
    events = [Event(id=one, type="t", key=one, offset=0, json=b"{}") for one in "abc"]
    outcomes = await world.posting().run(Many(CLASSES["key"], world), world, events)
    assert outcomes == [Done("1"), Refused("bad", ""), Refused("no", "")]
    assert world.lines == [["b"], ["a", "c"]]


async def test_a_call_that_hangs_ends(monkeypatch):
    class Hanging(Target):
        async def post(self, requests):
            await asyncio.Event().wait()

    world = World()
    posting = Posting("sap", records=None, timeout_s=0.02)
    target = Hanging(CLASSES["lookup"], world)
    assert await run(world, target, posting) == Retry(reason="no answer within 0.02 s", sent=True)
