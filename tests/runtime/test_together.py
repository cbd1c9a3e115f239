"""Questions of several callers, asked as one."""

import asyncio

import pytest

from mfgroute.errors import DatabaseDown
from mfgroute.runtime.together import Together


class Known:
    """Answers when it is let, and remembers what it was asked."""

    def __init__(self):
        self.asked, self.gate, self.error = [], asyncio.Event(), None

    async def ask(self, ids):
        self.asked.append(list(ids))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return {one: one.upper() for one in ids if one != "unknown"}


async def turns():
    """Let everybody go as far as they can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_is_wanted_meanwhile_is_asked_together_and_everybody_gets_their_own():
    known = Known()
    together = Together(known.ask)
    first = asyncio.create_task(together.about(["a"]))
    await turns()
    rest = [asyncio.create_task(together.about(ids)) for ids in (["b", "unknown"], ["c"], ["b", "a"])]
    await turns()
    assert known.asked == [["a"]]
    known.gate.set()
    assert await first == {"a": "A"}
    assert await asyncio.gather(*rest) == [{"b": "B"}, {"c": "C"}, {"b": "B", "a": "A"}]
    assert known.asked == [["a"], ["b", "unknown", "c", "a"]]
    assert await together.about(["d"]) == {"d": "D"}


async def test_a_question_that_fails_is_told_to_all_who_asked_it_and_the_next_is_asked():
    known = Known()
    together = Together(known.ask)
    known.error = DatabaseDown("away")
    callers = [asyncio.create_task(together.about([one])) for one in "ab"]
    await turns()
    known.gate.set()
    for caller in callers:
        with pytest.raises(DatabaseDown, match="away"):
            await caller
    known.error = None
    assert await together.about(["a"]) == {"a": "A"}


async def test_a_caller_that_no_longer_waits_takes_nothing_from_the_others():
    known = Known()
    together = Together(known.ask)
    gone, stays = (asyncio.create_task(together.about([one])) for one in "ab")
    await turns()
    gone.cancel()
    await turns()
    known.gate.set()
    assert await stays == {"b": "B"}
    assert gone.cancelled()
