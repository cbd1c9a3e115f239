"""What a target has accepted and never tells the outcome of: it ends, and nobody sends it again."""

from itertools import count, repeat

import pytest
from test_posting import CLASSES, Target, World, run

from mfgroute.errors import Disconnected
from mfgroute.events import Absent, Accepted, Done, InDoubt, NotYet, Refused, Retry


class Slow(Target):
    """A target that takes everything and never says what became of it."""

    def __init__(self, effect, world, *, within_s, references):
        super().__init__(effect, world)
        self.within_s, self.references, self.asked = within_s, references, 0
        self.looked, self.found = 0, Absent()

    async def post(self, requests):
        self.world.commit(requests[0].key, self.effect)
        return [Accepted(reference=next(self.references), after_s=60.0, within_s=self.within_s)]

    async def ask(self, request):
        self.looked += 1
        return self.found

    async def follow(self, request, reference):
        self.asked += 1
        return Accepted(reference=next(self.references), after_s=60.0, within_s=self.within_s)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("references", [repeat("job 7"), map("job {}".format, count(1))], ids=["one", "new"])
async def test_what_stays_accepted_is_in_doubt_after_its_time_also_over_restarts(name, references):
    world = World()
    target = Slow(CLASSES[name], world, within_s=3_600.0, references=references)
    posting, began = world.posting(), world.now
    while isinstance(outcome := await run(world, target, posting), Retry):
        assert (outcome.waits, outcome.after_s) == (True, 60.0)
        # The connection is lost and the node dies now and then; the log says since when it waits.
        world.now += 60.0
        if target.asked % 7 == 0:
            posting = world.posting()
    assert isinstance(outcome, InDoubt)
    assert outcome.code == "outcome_missing"
    assert "accepted as job " in outcome.reason
    assert "3660 s ago" in outcome.reason
    assert world.now - began == 3_660.0
    assert len(world.committed) == 1, "it is asked about, and not sent again"
    assert target.looked == (name == "lookup")


@pytest.mark.parametrize("found", [Done("4711"), Refused("M7/021", "deficit")])
async def test_who_can_be_asked_is_asked_once_before_a_person_is(found):
    world = World()
    target = Slow(CLASSES["lookup"], world, within_s=3_600.0, references=repeat("job 7"))
    target.found = found
    posting = world.posting()
    while isinstance(outcome := await run(world, target, posting), Retry):
        world.now += 60.0
    assert (outcome, target.looked) == (found, 1)


async def test_what_cannot_be_asked_about_now_is_no_matter_for_a_person_yet():
    class Away(Slow):
        async def ask(self, request):
            raise Disconnected("refused", sent=False)

    world = World()
    target = Away(CLASSES["lookup"], world, within_s=3_600.0, references=repeat("job 7"))
    posting = world.posting()
    await run(world, target, posting)
    world.now += 3_660.0
    assert await run(world, target, posting) == Retry(reason="refused")
    assert isinstance(posting.lost, Disconnected)


async def test_an_outage_is_no_reason_to_doubt_what_was_accepted():
    world = World()
    target = Slow(CLASSES["key"], world, within_s=3_600.0, references=repeat("job 7"))
    assert isinstance(await run(world, target), Retry)
    world.now += 86_400.0
    away = Target(CLASSES["key"], world)
    away.does = "unreachable"
    assert isinstance(await run(world, away), Retry)
    away.does = "ok"
    assert await run(world, away) == Done("4900000001")


async def test_a_clock_that_is_set_back_doubts_nothing():
    world = World()
    target = Slow(CLASSES["key"], world, within_s=3_600.0, references=repeat("job 7"))
    assert isinstance(await run(world, target), Retry)
    world.now -= 86_400.0
    assert isinstance(await run(world, target), Retry)


class Locked(Target):
    """A target that takes the first request and then finds the order locked; that work is over."""

    def __init__(self, effect, world, over):
        super().__init__(effect, world)
        self.over, self.calls = over, []

    async def post(self, requests):
        self.calls.append("post")
        if self.calls.count("post") == 1:
            return [Accepted(reference="job 7", after_s=5.0)]
        return await super().post(requests)

    async def ask(self, request):
        self.calls.append("ask")
        return await super().ask(request)

    async def follow(self, request, reference):
        self.calls.append(f"follow {reference}")
        return self.over


LOCK = NotYet(reason="CO/469", after_s=5.0, within_s=3_600.0, code="locked")
ABSENT = Retry(reason="its answer says nothing", judged=True, sent=True)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("over", [LOCK, ABSENT], ids=["lock", "absent"])
@pytest.mark.parametrize("restarts", [False, True])
async def test_accepted_work_that_is_over_without_effect_is_sent_again(name, over, restarts):
    world = World()
    target = Locked(CLASSES[name], world, over)
    posting, twice = world.posting(), restarts and name == "at most once"
    while isinstance(outcome := await run(world, target, posting), Retry):
        world.now += 60.0
        if restarts and target.calls == ["post", "follow job 7"]:
            restarts, posting = False, world.posting()
    if name == "at most once" and over is ABSENT:
        # That the request had no effect is what the target says of that work, not of the request.
        assert (outcome, target.calls.count("post")) == (
            InDoubt("sent 1 times, and the outcome is unknown"),
            1,
        )
        return
    assert outcome == Done("4900000001")
    # Without a key and unasked it is sent again only when the target says again that nothing was done.
    followed = ["follow job 7"] * (2 if twice else 1)
    assert target.calls == ["post", *followed, *(["ask"] if name == "lookup" else []), "post"]
    assert world.committed == ["key of e1"]
    assert world.lines == ["intent", "accepted", "accepted", "again"]
    assert world.begun.accepted == "", "a restart asks nobody for work that is over"


async def test_what_waits_for_a_lock_is_refused_after_its_time():
    world = World()

    class Always(Locked):
        async def post(self, requests):
            self.calls.append("post")
            return [Accepted(reference="job 7", after_s=5.0)]

    target, posting, began = Always(CLASSES["key"], world, LOCK), world.posting(), world.now
    while isinstance(outcome := await run(world, target, posting), Retry):
        world.now += 60.0
    assert outcome == Refused("locked", "CO/469 (for 3600 s)")
    assert world.now - began == 3_660.0
    assert target.calls.count("post") == 31


@pytest.mark.parametrize("name", ["key", "at most once"])
async def test_the_time_of_accepted_work_begins_anew_when_it_is_sent_again(name):
    class Slower(Locked):
        async def post(self, requests):
            self.calls.append("post")
            return [Accepted(reference=f"job {6 + self.calls.count('post')}", within_s=600.0)]

        async def follow(self, request, reference):
            return LOCK if reference == "job 7" else Accepted(reference=reference, within_s=600.0)

    world = World()
    target, posting = Slower(CLASSES[name], world, LOCK), world.posting()
    for wait_s in (0.0, 590.0, 20.0, 590.0):
        world.now += wait_s
        assert isinstance(await run(world, target, posting), Retry)
    assert target.calls == ["post", "post"]
    world.now += 20.0
    assert (await run(world, target, posting)).code == "outcome_missing"
