"""What becomes of events whose answer is lost, and what a node says while its sink reaches nobody."""

import asyncio

import pytest
from fakes_runtime import SMALL, FakeSink, message, settled, until

from mfgroute.errors import Disconnected
from mfgroute.observe import health
from mfgroute.runtime.memory import KeyMemory

pytestmark = pytest.mark.usefixtures("fake_core")

EFFECTS = [
    ("{by: key}", ["retry", "done"]),
    ("{by: upsert}", ["retry", "done"]),
    ("{by: none, accept: at_least_once}", ["retry", "done"]),
    ("{by: none, accept: at_most_once}", ["in_doubt"]),
]


@pytest.mark.parametrize(("effect", "how"), EFFECTS)
async def test_a_write_that_hangs_is_sent_again_where_the_effect_allows_it(router, effect, how):
    FakeSink.gate = asyncio.Event()
    text = SMALL.replace("limits: {in_flight: 4}", f"effect: {effect}, limits: {{timeout: 20ms}}")
    async with router(text) as node:
        await node.submit("plant", [message("a")])
        assert (await settled(node, 1))[0][1:] == (how[0], "no answer within 0.02 s")
        FakeSink.gate.set()
        assert [one for _, one, _ in await settled(node, len(how))][: len(how)] == how


@pytest.mark.parametrize(("effect", "how"), EFFECTS)
async def test_a_lost_connection_is_sent_again_where_the_effect_allows_it(router, effect, how):
    async with router(SMALL.replace("limits:", f"effect: {effect}, limits:")) as node:
        FakeSink.answers.append(Disconnected("reset", sent=True))
        await node.submit("plant", [message("a")])
        assert [one for _, one, _ in await settled(node, len(how))] == how


async def test_what_may_have_arrived_is_not_sent_again_when_the_target_forgets(router):
    text = SMALL.replace("limits:", "effect: {by: key, kept: 1h}, limits:")
    async with router(text.replace("in_flight: 4", "timeout: 60m")) as node:
        FakeSink.answers.append(Disconnected("reset", sent=True))
        await node.submit("plant", [message("a"), message("b")])
        said = {name: (how, why) for name, how, why in await settled(node, 3)}
        assert said["b"] == ("done", None)
        how, why = said["a"]
        assert (how, why) == (
            "in_doubt",
            "sent first 0 s ago without an answer; the target knows a key for 3600 s",
        )
        assert FakeSink.written.count("a") == 1


def test_a_target_is_sent_an_event_again_only_while_it_knows_it():
    now, sent = [0.0], {}

    def memory(kept_s):
        return KeyMemory(kept_s, margin_s=30.0, sent=sent, clock=lambda: now[0])

    assert memory(3600.0).forgotten("a") is None
    memory(3600.0).note("a", 0.0)
    now[0] = 3570.0
    memory(3600.0).note("a", now[0])
    assert memory(3600.0).forgotten("a") is None
    now[0] = 3571.0
    assert "3571 s ago" in memory(3600.0).forgotten("a")
    assert memory(None).forgotten("a") is None
    memory(3600.0).forget("a")
    assert memory(3600.0).forgotten("a") is None


async def test_a_node_whose_sink_reaches_nobody_is_not_ready_until_it_does(router, monkeypatch):
    monkeypatch.setattr(health, "STUCK_S", 0.02)
    async with router() as node:
        assert node.health().ready
        FakeSink.answers.extend(Disconnected("refused", sent=False) for _ in range(2000))
        await node.submit("plant", [message("a")])
        # At first nobody may have been asked yet.
        await until(lambda: any("(refused)" in problem for problem in node.health().problems))
        assert not node.health().ready
        (problem,) = node.health().problems
        assert problem.startswith("sink erp has work and made no progress")
        FakeSink.answers.clear()
        await until(lambda: node.health().ready)
        assert FakeSink.written[-1] == "a"
