"""What a target in trouble is sent. In virtual time: an hour takes a second."""

import asyncio
import os
from random import Random

import pytest
from virtual import Rig, VirtualBatch, run

from mfgroute._core import Event
from mfgroute.config.model import BreakerSection, Limits, RetriesSection, RetrySection
from mfgroute.errors import Disconnected
from mfgroute.events import Done, InDoubt, Refused, Retry
from mfgroute.observe import health
from mfgroute.runtime.breaker import PROBES, Breaker
from mfgroute.runtime.budget import AGAIN_MAX, RetryBudget
from mfgroute.runtime.guard import Guard
from mfgroute.runtime.posting import Unasked
from mfgroute.runtime.tempo import Tempo
from mfgroute.units import Rate

#: Events per second on a usual day.
USUAL = 10
#: Seconds of a storm in which some requests fail; a long run sets more.
STORM_S = int(os.environ.get("MFGROUTE_STORM_S", "120"))
#: As long as an event may wait for its next try by itself.
DELAY_MAX_S = 300


class Storm:
    """A target that answers `share` of its requests with a 500 while it storms, 50 ms after each."""

    def __init__(self, share):
        self.on, self._share, self._random = False, share, Random(7)

    async def __call__(self, event):
        await asyncio.sleep(0.05)
        if self.on and self._random.random() < self._share:
            return Retry(reason="500 out of memory", judged=True, sent=True)
        return Done()


async def weather(rig, storm, storm_s):
    """A usual minute, a storm, a minute after it, and the last retries; says when it began and ended."""
    feeding = asyncio.create_task(rig.feed(USUAL, 60 + storm_s + 60))
    await asyncio.sleep(60)
    storm.on, began = True, rig.now()
    await asyncio.sleep(storm_s)
    storm.on, ended = False, rig.now()
    await feeding
    await asyncio.sleep(DELAY_MAX_S)
    return began, ended


def done(rig):
    return [event for _, event, how in rig.engine.history if how == "done"]


def test_a_request_that_failed_is_one_request_again_with_all_its_events():
    """Else each of its keys needs a quota of its own for its retry, and waits for it."""

    async def main():
        down = True

        async def answer(event):
            return Retry(reason="503", judged=True, sent=True) if down else Done()

        async with Rig(answer, batch_max=50) as rig:
            rig.engine.add(*(f"e{number}" for number in range(50)))
            await asyncio.sleep(0.01)
            down = False
            await asyncio.sleep(60)
            assert [len(events) for _, events in rig.sent] == [50, 50]
            assert rig.sent[1][0] - rig.sent[0][0] < 1

    run(main)


def test_ten_minutes_of_500_get_less_than_usual_and_are_over_within_a_minute():
    async def main():
        storm = Storm(1.0)
        async with Rig(storm) as rig:
            began, ended = await weather(rig, storm, 600)
            assert rig.most_in(10, began, ended) <= 1.1 * USUAL * 10 + 1
            assert rig.most_in(60, began + 60, ended) <= 10, "the breaker lets probes pass alone"
            first = next(at for at, _, how in rig.engine.history if how == "done" and at > ended)
            assert first - ended < 30
            assert all(how == "done" for at, _, how in rig.engine.history if at > ended + 60)
            assert sorted(done(rig)) == sorted(set(done(rig)))
            assert len(done(rig)) == USUAL * 720
            assert rig.pulse.note() is None

    run(main)


@pytest.mark.parametrize("share", [0.2, 0.4])
def test_a_target_that_fails_at_times_gets_a_tenth_more_at_most_and_recovers(share):
    async def main():
        storm = Storm(share)
        async with Rig(storm) as rig:
            began, ended = await weather(rig, storm, STORM_S)
            every, seen, again = rig.sent, set(), []
            for at, (event,) in every:
                if event in seen:
                    again.append((at, [event]))
                else:
                    assert at - float(event.split("-")[0]) < 1.0, "a retry displaced a first try"
                seen.add(event)
            assert rig.most_in(10, began, ended) <= 1.1 * USUAL * 10 + 1
            rig.sent = again
            assert 5 <= rig.most_in(10, began + 20, ended) <= 0.1 * USUAL * 10 + 1
            assert all(how == "done" for at, _, how in rig.engine.history if at > ended + 60)
            assert rig.engine.left == 0
            assert rig.deliver.pulse.guard.counts()["retries"] == len(again)

    run(main)


@pytest.mark.parametrize("share", [0.4, 1.0])
def test_without_a_budget_and_a_breaker_the_same_storm_gets_more_than_usual(share):
    async def main():
        storm = Storm(share)
        limits = Limits(
            breaker=BreakerSection(failures=100_000), retries=RetriesSection(least=Rate(1_000_000.0))
        )
        async with Rig(storm, limits=limits) as rig:
            began, ended = await weather(rig, storm, 30)
            assert rig.most_in(10, began, ended) > 1.2 * USUAL * 10

    run(main)


def test_what_one_sink_holds_back_is_said_and_counted():
    async def main():
        storm = Storm(1.0)
        storm.on = True
        async with Rig(storm) as rig:
            rig.engine.add(*(f"e{number}" for number in range(100)))
            await asyncio.sleep(5)
            (problem,) = health.check([rig.pulse], {"erp": 80}).problems
            assert problem.startswith("sink erp has work, and its breaker is open: 10 of 10 requests failed")
            assert "the last: 500 out of memory; tried again in " in problem
            assert health.check([rig.pulse], {"erp": 0}).notes[0].startswith("sink erp: its breaker is open")
            assert rig.pulse.as_dict()["held"].startswith("its breaker is open")
            assert rig.pulse.guard.counts()["breaker_opened"] >= 1
            storm.on = False
            await asyncio.sleep(120)
            assert len(done(rig)) == 100
            assert health.check([rig.pulse], {"erp": 0}).notes == []

    run(main)


def test_a_target_that_says_when_is_left_alone_until_then_but_not_longer_than_a_retry_may_wait():
    async def main():
        wishes = {"after_s": 60.0}

        async def answer(event):
            return Retry(reason="429 slow down", **wishes)

        async with Rig(answer) as rig:
            rig.engine.add(*(f"e{number}" for number in range(100)))
            await asyncio.sleep(1)
            sent = len(rig.sent)
            # Those that were under way when the tenth failed end as well.
            assert 10 <= sent <= 14
            await asyncio.sleep(57)
            assert len(rig.sent) == sent
            await asyncio.sleep(5)
            assert len(rig.sent) == sent + 1
            wishes["after_s"] = 1e9
            await asyncio.sleep(70)
            at = rig.sent[-1][0]
            await asyncio.sleep(DELAY_MAX_S + 10)
            assert rig.sent[-1][0] - at == pytest.approx(DELAY_MAX_S, abs=1)

    run(main)


def test_refusals_and_one_bad_event_leave_the_breaker_closed():
    async def main():
        async def answer(event):
            if event.id == "poison":
                return Retry(reason="500 it always crashes on this", judged=True)
            return Refused("http_422", "no such order") if event.id.startswith("bad") else Done()

        async with Rig(answer) as rig:
            rig.engine.add("poison", *(f"bad-{number}" for number in range(50)))
            feeding = asyncio.create_task(rig.feed(1, 60))
            await feeding
            assert rig.pulse.guard.counts()["breaker_opened"] == 0
            assert len(done(rig)) == 60

    run(main)


def test_one_bad_event_alone_does_not_keep_others_from_being_the_probe():
    async def main():
        async def answer(event):
            return Done() if event.id != "poison" else Retry(reason="500", judged=True, after_s=0.5)

        limits = Limits(breaker=BreakerSection(failures=3, share=50))
        async with Rig(answer, limits=limits) as rig:
            rig.engine.add("poison")
            await asyncio.sleep(120)
            assert rig.pulse.guard.counts()["breaker_opened"] >= 2
            rig.engine.add("a", "b", "c")
            await asyncio.sleep(40)
            assert done(rig) == ["a", "b", "c"]

    run(main)


def test_a_connection_that_is_not_made_is_none_of_the_breakers_business():
    async def main():
        async def answer(event):
            if rig.now() < 1600:
                raise Disconnected("refused", sent=False)
            return Done()

        rig = Rig(answer)
        async with rig:
            rig.engine.add("a", "b")
            await asyncio.sleep(600 + DELAY_MAX_S + 60)
            counts = rig.pulse.guard.counts()
            assert counts["breaker_opened"] == counts["retries"] == 0
            assert sorted(done(rig)) == ["a", "b"]

    run(main)


def test_a_target_that_is_away_for_a_day_is_called_at_times_and_then_gets_all():
    async def main():
        day_s = 24 * 3600

        async def answer(event):
            if rig.now() < 1000 + day_s:
                raise Disconnected("refused", sent=False)
            return Done()

        rig = Rig(answer, limits=Limits(in_flight=1))
        async with rig:
            rig.engine.add(*(f"e{number}" for number in range(1000)))
            await asyncio.sleep(day_s)
            # A pause is 15 s on average, and each connection is tried with one event.
            assert 2000 < len(rig.sent) < 2 * day_s / 15
            assert rig.pulse.guard.counts()["breaker_opened"] == 0
            await asyncio.sleep(DELAY_MAX_S + 60)
            assert sorted(done(rig)) == sorted(f"e{number}" for number in range(1000))

    run(main)


class Clock:
    def __init__(self):
        self.at = 0.0

    def __call__(self):
        return self.at


def breaker(clock, **other):
    given = {"failures": 4, "share": 0.5, "first_s": 1.0, "max_s": 15.0, "wish_max_s": 300.0} | other
    return Breaker(**given, random=Random(3), clock=clock)


def test_a_breaker_opens_at_a_number_and_a_share_and_forgets_after_half_a_minute():
    clock = Clock()
    one = breaker(clock)
    for _ in range(10):
        one.note(good=True)
    for _ in range(9):
        one.note(good=False, reason="x")
    assert one.state == "closed"
    one.note(good=False, reason="x")
    assert one.state == "open"
    two = breaker(clock)
    for _ in range(20):
        two.note(good=False, reason="x")
        clock.at += 11
    assert two.state == "closed"


def test_the_pauses_of_a_breaker_double_up_to_a_bound_and_begin_anew_after_good_probes():
    clock = Clock()
    one = breaker(clock, failures=1)
    pauses = []
    one.note(good=False, reason="x")
    for _ in range(8):
        pauses.append(one.delay_s())
        clock.at += pauses[-1]
        assert one.delay_s() == 0.0
        assert "half open: 0 of 3" in one.words()
        one.note(good=False, reason="x")
    for number, pause_s in enumerate(pauses):
        cap_s = min(15.0, 2.0**number)
        assert cap_s / 2 <= pause_s <= cap_s
    clock.at += one.delay_s()
    one.delay_s()
    for _ in range(PROBES):
        assert one.state == "half_open"
        one.note(good=True)
    assert (one.state, one.words()) == ("closed", "")
    one.note(good=False, reason="x")
    assert one.delay_s() <= 1.0


def test_a_budget_counts_retries_against_first_tries_of_the_same_ten_seconds():
    clock = Clock()
    budget = RetryBudget(share=0.1, least=0.0, random=Random(1), clock=clock)
    assert budget.room() == 0
    for number in range(100):
        budget.sent([f"e{number}"])
        budget.answered(good=False)
        budget.settled(f"e{number}", again=True)
    assert budget.room() == 10
    for number in range(10):
        budget.sent(["new", f"e{number}"])
    assert (budget.room(), budget.firsts, budget.retries) == (0, 100, 10)
    clock.at += 11
    assert budget.room() == 0
    budget.answered(good=False)
    for number in range(10, 20):
        budget.answered(good=True)
        budget.settled(f"e{number}", again=False)
    assert budget.room() == 0, "one bad answer of ten"
    clock.at += 11
    for _ in range(50):
        budget.answered(good=True)
    assert budget.room() == 50, "a target that answers well gets as many retries as good answers"
    assert not budget.is_retry("e10")
    assert budget.is_retry("e99")


def test_a_budget_remembers_a_bounded_number_of_events():
    budget = RetryBudget(share=0.1, least=1.0, random=Random(1), clock=Clock())
    for number in range(AGAIN_MAX + 5):
        budget.settled(f"e{number}", again=True)
    assert not budget.is_retry("e4")
    assert budget.is_retry("e5")


def test_a_batch_without_quota_loses_its_retries_and_what_follows_them_of_their_keys():
    guard = Guard(
        Limits(retries=RetriesSection(share=0, least=Rate(1e-9))),
        RetrySection(),
        tempo=Tempo(),
        random=Random(1),
        clock=Clock(),
    )
    events = [
        Event(id=name, type="t.v1", key=name[0], offset=number, json=b"{}")
        for number, name in enumerate(["a1", "b1", "a2", "c1"], 1)
    ]
    guard.answered(events[:1], [Retry(reason="500", judged=True)], reached=True)

    class Engine:
        settled = staticmethod(lambda event, how, after_s: given_back.append((event.id, how, after_s > 0)))

    given_back = []
    left = guard.admit(VirtualBatch(Engine, events))
    assert [event.id for event in left.events] == ["b1", "c1"]
    assert given_back == [("a1", "retry", True), ("a2", "retry", True)]
    with left:
        left.done_all()
    assert [one[:2] for one in given_back[2:]] == [("b1", "done"), ("c1", "done")]


def test_what_was_not_asked_says_nothing_about_the_target():
    guard = Guard(
        Limits(breaker=BreakerSection(failures=2)),
        RetrySection(),
        tempo=Tempo(),
        random=Random(1),
        clock=Clock(),
    )
    event = Event(id="a", type="t.v1", key="a", offset=1, json=b"{}")

    def answer(outcome):
        guard.answered([event], [outcome], reached=True)

    for _ in range(100):
        answer(Unasked(reason="waiting until the target is asked"))
    answer(Retry(reason="no answer", sent=True))
    assert guard.breaker.state == "closed"
    answer(Unasked(reason="the log has failed"))
    assert guard.budget.is_retry("a"), "its next try is still a retry"
    answer(Retry(reason="no answer", sent=True))
    assert guard.breaker.state == "open"


def test_an_event_that_waits_for_something_else_is_no_failure_of_its_target():
    async def main():
        async def answer(event):
            locked = len(rig.sent) < 100
            return Retry(after_s=1.0, reason="423 locked", waits=True) if locked else Done()

        async with Rig(answer) as rig:
            rig.engine.add(*(f"e{number}" for number in range(20)))
            await asyncio.sleep(60)
            assert rig.pulse.guard.counts() == {
                "breaker_opened": 0,
                "first_tries": len(rig.sent),
                "retries": 0,
                "retries_held": 0,
            }
            assert len(done(rig)) == 20

    run(main)


def test_an_outcome_that_is_unknown_counts_as_a_failure():
    async def main():
        async def answer(event):
            return InDoubt("no answer")

        async with Rig(answer) as rig:
            rig.engine.add(*(f"e{number}" for number in range(40)))
            await asyncio.sleep(0.4)
            assert 10 <= len(rig.sent) <= 14
            assert rig.pulse.held_by == "breaker"

    run(main)
