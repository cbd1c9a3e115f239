"""What a core says of its edges: when each was heard, how safe its events are, and who was refused."""

import asyncio

import pytest

from mfgroute.adapter import Context
from mfgroute.adapters.zeromq import ZeroMqSource
from mfgroute.adapters.zeromq.frames import decode
from mfgroute.adapters.zeromq.lane import EdgeLane, LinkError
from mfgroute.adapters.zeromq.refused import Refused
from mfgroute.events import Done
from mfgroute.observe import health
from mfgroute.observe.metrics import Metrics

from . import link_plant
from .conftest import make_event, until
from .link_plant import Plant, take
from .test_edge_link import core, give, greet, lane

plant, sink = link_plant.plant, link_plant.sink


def silent_s(source):
    """What a scrape says of the only edge."""
    pulse = health.Pulse("source", "edges", "zeromq")
    pulse.count_with(lambda: source.counters, lambda: source.details)
    text = Metrics(lambda: {"sources": {}, "sinks": {}, "streams": {}}, lambda: [pulse]).expose().decode()
    (line,) = [line for line in text.splitlines() if line.startswith("mfgroute_edge_silent_seconds{")]
    assert line.startswith('mfgroute_edge_silent_seconds{edge="edge-1",source="edges"}')
    return float(line.split()[1])


async def test_how_long_an_edge_is_silent_is_counted_from_what_was_heard_last_or_from_the_start(plant):
    source = plant.source
    before = silent_s(source)
    (edge,) = source.details["edges"]
    assert (edge["heard_s"], edge["silent_s"] >= before) == (None, True)
    called = asyncio.get_running_loop().time()
    sink = plant.sink(heartbeat_s=60)
    await sink.open()
    await sink.close()
    (edge,) = source.details["edges"]
    assert edge["heard_s"] == edge["silent_s"] <= asyncio.get_running_loop().time() - called
    assert silent_s(source) >= edge["silent_s"]


async def test_a_core_says_after_a_restart_how_safe_the_only_block_of_an_edge_is(plant, sink):
    writing = asyncio.create_task(sink.write([make_event(1)]))
    intake = await take(plant.source, level="sealed")
    assert await writing == [Done()]
    # At that time nobody knew that it is safe, so what is kept with it cannot say so.
    kept = await asyncio.wait_for(plant.source.read(), 5)
    assert (len(kept.messages), kept.position == intake.position) == (0, False)
    await plant.source.close()
    plant.source = ZeroMqSource(plant.config, Context(name="edges", project_dir=plant.folder))
    await plant.source.open(kept.position)
    assert [lane["level"] for lane in plant.source.details["edges"][0]["lanes"]] == ["sealed"]
    await take(plant.source, level="sealed")
    (lane,) = plant.source.details["edges"][0]["lanes"]
    assert (lane["level"], lane["blocks"]) == ("sealed", 1)


def test_refused_keys_are_counted_each_and_only_so_many_are_remembered():
    now = 10.0
    refused = Refused(monotonic=lambda: now)
    refused.add(b"", "10.0.0.1")
    for number in range(20):
        refused.add(bytes([number]) * 32, "10.0.0.2")
    now += 5
    refused.add(b"\x0a" * 32, "10.0.0.3")
    told = refused.details()
    assert told["keys"][:2] == [
        {"key": "public:0a0a0a0a0a0a0a0a", "count": 2, "last_s": 0.0, "address": "10.0.0.3"},
        {"key": "public:1313131313131313", "count": 1, "last_s": 5.0, "address": "10.0.0.2"},
    ]
    assert (len(told["keys"]), told["forgotten"]) == (16, 5)
    assert sum(one["count"] for one in told["keys"]) + told["forgotten"] == 22


async def test_while_a_key_changes_both_are_taken_for_the_same_edge_and_it_is_said_which_one_it_uses(
    tmp_path,
):
    plant = Plant(tmp_path)
    plant.next_key = "other"
    source = await plant.start()
    arrived = []
    try:
        for number, (key, name) in enumerate((("edge", "key"), ("other", "next_key")), 1):
            sink = plant.sink(key=key)
            await sink.open()
            assert source.details["edges"][0]["key"] == name
            writing = asyncio.create_task(sink.write([make_event(number)]))
            while not (intake := await take(source)).messages:
                pass  # That the first block has become safe is kept.
            arrived += intake.meta.items()
            assert await writing == [Done()]
            await sink.close()
        assert arrived == [("edge.id", "edge-1")] * 2
        assert source.counters["refused_clients"] == 0
    finally:
        await source.close()


async def test_an_edge_that_sends_nothing_finds_out_that_the_core_is_gone(plant, sink):
    assert sink.lost is None
    await plant.source.close()
    await until(lambda: sink.lost is not None)
    assert "nothing heard" in str(sink.lost)
    assert sink.details["why"] == str(sink.lost)


@pytest.mark.parametrize("level", ["memory", "durable"])
async def test_that_a_lane_has_become_safe_is_kept_once(plant, sink, level):
    for number in range(1, 4):
        writing = asyncio.create_task(sink.write([make_event(number)]))
        assert len((await take(plant.source, level=level)).messages) == 1
        assert await writing == [Done()]
        if number == 1 and level != "memory":
            assert len((await take(plant.source)).messages) == 0
    assert not plant.source.core.changed


def test_streams_that_are_called_otherwise_leave_room_for_their_new_names():
    old, b = [EdgeLane("e", f"s{n}", 7, session=1 << 32) for n in range(4)], core()
    for one in old:
        greet(one, b)
    b = core(position=b.position())
    for n in range(4):
        one = EdgeLane("e", f"t{n}", 7, session=2 << 32)
        greet(one, b)
        assert one.welcomed
    with pytest.raises(LinkError, match="more than 4 streams"):
        greet(EdgeLane("e", "t4", 7, session=2 << 32), b)


def test_an_edge_that_may_not_connect_any_more_has_no_share_and_goes_on_when_it_comes_back():
    a, b = lane(), core(credit_bytes=1000, credit_total=1000)
    greet(a, b)
    b.note(give(a, b, b"1").block)
    a.receive(decode(b.acknowledge("e", "s", 7, 1, "sealed")))
    b = core(position=b.position(), credit_bytes=1000, credit_total=1000, edges={"f"})
    assert (b.lanes, dict(b.gone)) == ([], {"e": 1})
    other = EdgeLane("f", "s", 9, session=1 << 32)
    greet(other, b)
    assert other._bytes_max == 1000
    b.note(give(other, b, b"1").block)
    b = core(position=b.position(), edges={"e", "f"})
    greet(a, b)
    assert give(a, b, b"2").block.number == 2
    assert b.counts["forks"] == 0
