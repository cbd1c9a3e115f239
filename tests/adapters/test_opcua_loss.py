"""What is missing is filled from the server's history, or said: real servers that drop, overflow and restart."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta

import msgspec
import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.server.history import HistoryDict

from mfgroute.adapters.opcua import positions
from mfgroute.errors import Disconnected
from mfgroute.testing.plant import PlantServer

from .test_opcua import LIMIT_S, lose_answers, read_until, subscriptions, until, watching

pytestmark = pytest.mark.asyncio(loop_scope="module")
#: P7 has no history, P8 has one, P9 keeps the last two values only.
MACHINES = ("P7", "P8", "P9")


class Late(HistoryDict):
    """A historian that knows the newest value only when it is asked a second time."""

    def __init__(self) -> None:
        super().__init__()
        self.late = 0

    async def read_node_history(self, node_id, start, end, nb_values):
        found, point = await super().read_node_history(node_id, start, end, nb_values)
        if self.late:
            self.late -= 1
            return found[:-1], point
        return found, point


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plant():
    async with PlantServer(MACHINES) as made:
        made.history = Late()
        made.server.iserver.history_manager.set_storage(made.history)
        await made.server.historize_node_data_change(made["P8"].nodes["Good"], timedelta(days=1))
        await made.server.historize_node_data_change(made["P9"].nodes["Good"], timedelta(days=1), 2)
        yield made


def node(machine: str) -> str:
    return f"ns=2;s={machine}.Good"


async def next_value(plant: PlantServer, machine: str) -> int:
    """One piece more; the counter goes on through the tests of this file."""
    await plant[machine].produce(1)
    return plant[machine].value("Good")


async def took(source, value: int) -> tuple[list[dict], bytes]:
    """Messages up to a value, and the position that came with it."""
    found: list[dict] = []
    async with asyncio.timeout(LIMIT_S):
        while True:
            intake = await source.read()
            found += [msgspec.json.decode(message) for message in intake.messages]
            if any(one.get("value") == value for one in found):
                return found, intake.position


def values(found: list[dict]) -> list:
    return [one["value"] for one in found if "value" in one]


def gaps(found: list[dict]) -> list[tuple]:
    return [(one["reason"], one["from"], one["to"]) for one in found if one.get("detect") == "gap"]


def counted(source) -> dict[str, int]:
    counts = {name: count for name, count in source.counters.items() if count}
    assert counts.get("gaps", 0) == sum(n for name, n in counts.items() if name.startswith("gaps_"))
    return counts


def obey(plant: PlantServer) -> None:
    """Let the server say that it discarded values, as the standard wants; asyncua's forgets to."""
    for subscription in subscriptions(plant):
        original = subscription._enqueue_event

        async def enqueue(mid, event, size, queue, original=original):
            before = len(queue.get(mid, ()))
            await original(mid, event, size, queue)
            if size and before >= size:
                first = queue[mid][0]
                status = ua.StatusCode(ua.UInt32(first.Value.StatusCode.value | 0x0480))
                first.Value = dataclasses.replace(first.Value, StatusCode=status)

        subscription._enqueue_event = enqueue


async def away(plant: PlantServer, tmp_path, machine: str, pieces: int, **settings):
    """Messages, counters and the values that were made, of a source that was away meanwhile."""
    async with watching(plant.endpoint, tmp_path, nodes=[node(machine)]) as source:
        found, position = await took(source, await next_value(plant, machine))
    last = found[-1]
    made = [await next_value(plant, machine) for _ in range(pieces)]
    async with watching(
        plant.endpoint, tmp_path, nodes=[node(machine)], resume=position, gaps="message", **settings
    ) as source:
        made.append(await next_value(plant, machine))
        found, _ = await took(source, made[-1])
        return found, counted(source), made, last


async def test_what_was_missed_while_away_comes_from_the_history_once_and_in_order(plant, tmp_path):
    found, counts, made, _ = await away(plant, tmp_path, "P8", 5)
    assert values(found) == made
    assert [one["backfilled"] for one in found] == [True] * 4 + [False] * 2
    assert not any(one["gap"] for one in found)
    assert counts == {"backfilled": 4}


async def test_without_a_history_the_gap_is_said_and_counted(plant, tmp_path):
    found, counts, made, last = await away(plant, tmp_path, "P7", 5)
    assert values(found) == made[-2:]
    assert [one["gap"] for one in found if "value" in one] == [True, False]
    assert gaps(found) == [("disconnected", last["source_time"], found[1]["source_time"])]
    assert found[0].get("detect") == "gap", "the gap comes before the value that follows it"
    assert counts == {"gaps": 1, "gaps_disconnected": 1}


@pytest.mark.parametrize(("machine", "settings"), [("P9", {}), ("P8", {"backfill": False})])
async def test_a_history_that_is_not_whole_or_not_wanted_leaves_the_gap(plant, tmp_path, machine, settings):
    found, counts, made, _ = await away(plant, tmp_path, machine, 5, **settings)
    assert values(found) == made[-2:]
    assert len(gaps(found)) == 1
    assert counts.pop("history_failed", 0) == (not settings)
    assert counts == {"gaps": 1, "gaps_disconnected": 1}


async def test_a_historian_that_is_late_is_asked_again(plant, tmp_path):
    plant.history.late = 1
    found, counts, made, _ = await away(plant, tmp_path, "P8", 3)
    assert plant.history.late == 0
    assert (values(found), counts) == (made, {"backfilled": 2})


async def test_a_history_too_long_for_the_queue_leaves_the_gap(plant, tmp_path):
    found, counts, made, _ = await away(plant, tmp_path, "P8", 12, queue_max=5)
    assert values(found) == made[-2:]
    assert counts == {"gaps": 1, "gaps_disconnected": 1, "history_failed": 1}


async def test_the_first_value_after_a_reconnect_is_no_message_if_nothing_changed(plant, tmp_path):
    async with watching(plant.endpoint, tmp_path, nodes=[node("P7")]) as source:
        _, position = await took(source, await next_value(plant, "P7"))
    async with watching(plant.endpoint, tmp_path, nodes=[node("P7")], resume=position) as source:
        await until(lambda: source._feed._waiting)
        made = await next_value(plant, "P7")
        found, _ = await took(source, made)
        assert (values(found), found[0]["gap"]) == ([made], False)
        assert counted(source) == {"resent": 1}


async def test_a_gap_is_said_also_of_a_node_of_which_nobody_knows_the_last_value(
    plant, tmp_path, monkeypatch
):
    both = [node("P7"), node("P9")]
    monkeypatch.setattr(positions, "SEEN_MAX", 1)
    async with watching(plant.endpoint, tmp_path, nodes=both) as source:
        await took(source, await next_value(plant, "P7"))
        _, position = await took(source, await next_value(plant, "P9"))
    forgotten = next(iter(set(both) - positions.read(position, plant.endpoint).seen.keys()))
    for machine in ("P7", "P9"):
        await next_value(plant, machine)
    async with watching(
        plant.endpoint, tmp_path, nodes=both, resume=position, gaps="message", backfill=False
    ) as source:
        found = await read_until(source, lambda found: len(values(found)) == 2)
        assert {one["node"]: one["gap"] for one in found if "value" in one} == dict.fromkeys(both, True)
        said = {one["node"]: one for one in found if one.get("detect") == "gap"}
        assert (said[forgotten]["reason"], said[forgotten]["from"]) == ("disconnected", None)
        assert counted(source) == {"gaps": 2, "gaps_disconnected": 2}


async def test_a_value_without_a_source_time_is_not_taken_for_the_last_one(plant, tmp_path, monkeypatch):
    # A server that gives no source time, as the standard allows.
    monkeypatch.setattr("mfgroute.adapters.opcua.subscription.mark", lambda data: None)
    async with watching(plant.endpoint, tmp_path, nodes=[node("P7")]) as source:
        _, position = await took(source, await next_value(plant, "P7"))
    async with watching(plant.endpoint, tmp_path, nodes=[node("P7")], resume=position) as source:
        found = await read_until(source, lambda found: found)
        assert (len(found), found[0]["gap"]) == (1, True)


async def test_a_value_that_was_set_again_is_no_repetition(plant, tmp_path):
    async with watching(plant.endpoint, tmp_path, nodes=[node("P7")]) as source:
        value = await next_value(plant, "P7")
        _, position = await took(source, value)
    await plant["P7"].set("Good", value + 1)
    await plant["P7"].set("Good", value)
    async with watching(plant.endpoint, tmp_path, nodes=[node("P7")], resume=position) as source:
        found, _ = await took(source, value)
        assert (values(found), found[0]["gap"]) == ([value], True)


async def test_an_overflow_is_filled_or_said(plant, tmp_path):
    both = [node("P7"), node("P8")]
    async with watching(
        plant.endpoint, tmp_path, nodes=both, server_queue=2, interval_ms=300, gaps="message"
    ) as source:
        await read_until(source, lambda found: len(found) == 2)
        obey(plant)
        made: dict[str, list[int]] = {"P7": [], "P8": []}
        for _ in range(6):
            for machine, values_made in made.items():
                values_made.append(await next_value(plant, machine))
        found: list[dict] = []
        async with asyncio.timeout(LIMIT_S):
            while [one.get("value") for one in found].count(made["P8"][-1]) < 1:
                found += [msgspec.json.decode(one) for one in (await source.read()).messages]
        mine = [one for one in found if one["node"] == node("P8")]
        assert values(mine) == made["P8"]
        assert not any(one["gap"] for one in mine)
        theirs = [one for one in found if one["node"] == node("P7")]
        assert values(theirs) == made["P7"][-2:]
        assert [one[0] for one in gaps(theirs)] == ["overflow"]
        assert counted(source) == {"gaps": 1, "gaps_overflow": 1, "backfilled": 4}


async def test_an_answer_that_stays_lost_is_filled_or_said(plant, tmp_path):
    both = [node("P7"), node("P8")]
    async with watching(plant.endpoint, tmp_path, nodes=both, gaps="message") as source:
        await read_until(source, lambda found: len(found) == 2)
        made = []
        for machine in ("P7", "P8"):
            lose_answers(source._feed, 1)
            made.append(await next_value(plant, machine))
            await until(lambda: not source._feed.losing)
        for subscription in subscriptions(plant):
            subscription._not_acknowledged_results.clear()
        made += [await next_value(plant, machine) for machine in ("P7", "P8")]
        found = await read_until(source, lambda found: len(values(found)) == 3)
        mine = [one for one in found if one["node"] == node("P8")]
        assert values(mine) == made[1::2]
        assert [one[0] for one in gaps(found)] == ["lost"]
        assert counted(source) == {"gaps": 1, "gaps_lost": 1, "lost": 2, "backfilled": 1}


async def test_a_server_that_began_anew_is_another_reason(tmp_path):
    async with PlantServer() as plant:
        async with watching(plant.endpoint, tmp_path, nodes=[node("P7")]) as source:
            _, position = await took(source, await next_value(plant, "P7"))
            await plant.stop()
            with pytest.raises(Disconnected):
                await read_until(source, lambda found: False)
        await plant.start()
        async with watching(
            plant.endpoint, tmp_path, nodes=[node("P7")], resume=position, gaps="message"
        ) as source:
            found, _ = await took(source, await next_value(plant, "P7"))
            assert [one[0] for one in gaps(found)] == ["restarted"]
            assert counted(source) == {"gaps": 1, "gaps_restarted": 1}


async def test_detectors_count_what_the_history_has(plant, tmp_path):
    rule = {
        "name": "parts",
        "counter": {"node": node("P8"), "type": "uint16", "reset": "to_zero"},
        "emit": {"every": "1s"},
        "settle_ms": 50,
    }
    await plant["P8"].reset()
    async with watching(plant.endpoint, tmp_path, detect=[rule]) as source:
        await until(lambda: source._feed._waiting)
        await plant["P8"].produce(3)
        async with asyncio.timeout(LIMIT_S):
            intake = await source.read()
    # Unseen without a history: pieces before the reset.
    await plant["P8"].produce(4)
    await plant["P8"].reset()
    await plant["P8"].produce(2)
    async with watching(plant.endpoint, tmp_path, detect=[rule], resume=intake.position) as source:
        found = await read_until(source, lambda found: found)
    assert msgspec.json.decode(intake.messages[0])["delta"] == 3
    assert (sum(one["delta"] for one in found), sum(one["resets"] for one in found)) == (6, 1)


# Positions


async def test_a_position_of_another_server_or_of_before_says_nothing_of_values():
    written = positions.write("opc.tcp://a", 7, {"i=1": (5, 6)}, b'{"v":1,"detect":{}}')
    memory = positions.read(written, "opc.tcp://a")
    assert (memory.seen, memory.started) == ({"i=1": (5, 6)}, 7)
    assert bytes(memory.detection) == b'{"v":1,"detect":{}}'
    other = positions.read(written, "opc.tcp://b")
    assert (other.seen, bytes(other.detection)) == ({}, b'{"v":1,"detect":{}}')
    before = positions.read(b'{"v":1,"detect":{"parts":null}}', "opc.tcp://a")
    assert (before.seen, bytes(before.detection)) == ({}, b'{"v":1,"detect":{"parts":null}}')
    assert positions.read(None, "opc.tcp://a").detection == positions.NOTHING
    assert positions.read(b"\xff", "opc.tcp://a").seen == {}


@pytest.mark.parametrize(
    ("then", "now", "restarted"), [(1, 2, True), (1, 1, False), (None, 2, False), (1, None, False)]
)
async def test_a_server_that_does_not_say_when_it_began_did_not_begin_anew(then, now, restarted):
    memory = positions.read(positions.write("opc.tcp://a", then, {}, None), "opc.tcp://a")
    assert memory.restarted(now) is restarted


async def test_a_position_stays_small():
    many = {f"i={number}": (number, number) for number in range(positions.SEEN_MAX + 7)}
    memory = positions.read(positions.write("e", None, many, None), "e")
    assert (len(memory.seen), memory.others) == (positions.SEEN_MAX, True)


async def test_a_server_that_queues_one_change_is_said_and_counted_and_what_it_loses_has_no_sign(tmp_path):
    async with PlantServer() as plant:
        plant.server.iserver.max_monitored_item_queue_size = 1
        async with watching(plant.endpoint, tmp_path, nodes=[node("P7")], interval_ms=300) as source:
            await read_until(source, len)
            made = [await next_value(plant, "P7") for _ in range(4)]
            found, _ = await took(source, made[-1])
            assert (len(values(found)) < 4, any(one["gap"] for one in found)) == (True, False)
            assert counted(source) == {"unqueued": 1}
            assert source.details["unqueued"] == [node("P7")]
            (note,) = source.details["notes"]
            assert note.startswith(
                f"of 1 of 1 nodes {plant.endpoint} holds one change between two publishings"
            )
            assert note.endswith(f": {node('P7')}")


async def test_of_a_server_that_queues_as_it_is_asked_nothing_is_said(plant, tmp_path):
    async with watching(plant.endpoint, tmp_path, nodes=[node("P7")]) as source:
        assert source.details == {"nodes": 1, "unqueued": [], "notes": []}
        assert source.counters["unqueued"] == 0
