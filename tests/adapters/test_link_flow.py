"""How much is on its way over the edge link: credit, blocks, and streams that do not move."""

import asyncio
import json

from mfgroute.adapters.zeromq import ZeroMqSink
from mfgroute.adapters.zeromq.frames import EVENTS_MAX, Block
from mfgroute.adapters.zeromq.marks import load
from mfgroute.adapters.zeromq.waiting import Waiting
from mfgroute.errors import Full, TooLarge
from mfgroute.events import Done, Receipt, Refused, Retry
from mfgroute.units import Size

from . import link_plant
from .conftest import make_event, until
from .link_plant import Plant, take

plant, sink = link_plant.plant, link_plant.sink


async def test_a_core_that_is_slow_stops_the_edge_and_loses_nothing(tmp_path):
    plant = Plant(tmp_path, credit_blocks=3)
    source = await plant.start()
    sink = plant.sink()
    await sink.open()
    writes = [asyncio.create_task(sink.write([make_event(n)])) for n in range(1, 31)]
    await until(lambda: len(source.waiting) == 3)
    assert sink.counters["blocks"] == 3
    got = []
    while len(got) < 30:
        got += [json.loads(m)["id"] for m in (await take(source)).messages]
    assert await asyncio.gather(*writes) == [[Done()]] * 30
    assert got == [make_event(n).id for n in range(1, 31)]
    assert source.counters["beyond_credit"] == 0
    await sink.close()
    await source.close()


async def test_without_credit_an_event_is_a_retry_and_was_not_sent(tmp_path):
    plant = Plant(tmp_path, credit_blocks=1)
    source = await plant.start()
    sink = plant.sink(answer_timeout_s=0.3)
    await sink.open()
    first, second = await asyncio.gather(sink.write([make_event(1)]), sink.write([make_event(2)]))
    assert isinstance(first[0], Retry)
    assert isinstance(second[0], Retry)
    assert sink.counters["blocks"] == 1
    # The retry of what is on its way is not sent twice.
    again = asyncio.create_task(sink.write([make_event(1)]))
    await asyncio.sleep(0)
    await take(source)
    assert await again == [Done()]
    assert sink.counters["blocks"] == 1
    await sink.close()
    await source.close()


async def test_a_stream_that_does_not_move_holds_others_back_once(plant, sink, monkeypatch):
    monkeypatch.setattr("mfgroute.adapters.zeromq.sink._PATIENCE_S", 0.1)
    shift = [make_event(1, stream="telemetry"), make_event(2)]

    async def core():
        # Business has its receipts, telemetry has none.
        while True:
            intake = await plant.source.read()
            if intake.token.blocks[0][1] == "business":
                await plant.source.ack(intake, Receipt(accepted=len(intake.messages), level="durable"))

    task = asyncio.create_task(core())
    first, second = await sink.write(shift)
    assert (isinstance(first, Retry), second) == (True, Done())
    monkeypatch.setattr("mfgroute.adapters.zeromq.sink._PATIENCE_S", 60)
    for number in range(3, 6):
        telemetry, business = await sink.write([shift[0], make_event(number)])
        assert (telemetry.sent, business) == (True, Done())
    task.cancel()


def test_two_writes_are_never_on_their_way_to_the_core():
    # Whichever got credit first would be first there, and both may hold events of one key.
    assert (ZeroMqSink.writes_max, ZeroMqSink.refuses_single) == (1, False)


async def test_a_stream_without_room_is_left_aside_and_comes_again_before_what_came_later(plant, sink):
    async def read():
        return await asyncio.wait_for(plant.source.read(), 5)

    source, full = plant.source, Full("stream telemetry is full", what="telemetry")
    writing = asyncio.create_task(sink.write([make_event(1, stream="telemetry"), make_event(2)]))
    await until(lambda: len(source.waiting) == 2)
    business = await read()
    await source.ack(business, Receipt(accepted=1, level="sealed"))
    first = await read()
    await source.refuse(first, full)
    # Left aside is not admitted: a core that starts with this position asks for it again.
    lanes = {lane.stream: lane.expected for lane in load(source.core.position())}
    assert lanes == {"business": 2, "telemetry": 1}
    assert source.details["notes"] == ["blocks of edges wait: stream telemetry is full"]
    more = asyncio.create_task(plant.source.read())
    for _ in range(3):
        # Nothing else is there, so it comes again by itself.
        again = await asyncio.wait_for(more, 5)
        assert (again.messages, again.token) == (first.messages, first.token)
        await source.refuse(again, full)
        more = asyncio.create_task(plant.source.read())
    await source.ack(await asyncio.wait_for(more, 5), Receipt(accepted=1, level="memory"))
    assert source.details["notes"] == []
    assert await writing == [Done(), Done()]


def test_what_is_put_back_comes_in_its_old_order_and_others_go_on_without_it():
    def block(stream, edge, number):
        return Block(
            stream=stream, epoch=1, edge=edge, session=1, settled=0, number=number,
            offsets=(number,), events=(b"{}",),
        )  # fmt: skip

    waiting = Waiting(("business",))
    for number in (1, 2):
        for edge in ("a", "b"):
            waiting.put(block("business", edge, number))
    waiting.put(block("telemetry", "a", 1))
    taken = waiting.take(events_max=3, bytes_max=1 << 20)
    waiting.put_back(taken)
    (other,) = waiting.take(events_max=9, bytes_max=1 << 20, without={"business"})
    assert (other.stream, len(waiting), waiting.streams()) == ("telemetry", 4, {"business"})
    found = [(one.edge, one.number) for one in waiting.take(events_max=9, bytes_max=1 << 20)]
    assert [number for edge, number in found if edge == "a"] == [1, 2]
    assert [number for edge, number in found if edge == "b"] == [1, 2]
    assert len(waiting) == 0


async def test_an_event_larger_than_a_block_is_refused_and_the_others_are_done(tmp_path):
    plant = Plant(tmp_path, block_max=Size(4096))
    source = await plant.start()
    sink = plant.sink()
    await sink.open()
    big = make_event(2, data=b'"' + b"x" * 5000 + b'"')
    half = [make_event(n, data=b'"' + b"x" * 1800 + b'"') for n in (3, 4, 5)]
    writing = asyncio.create_task(sink.write([make_event(1), big, *half]))
    got = []
    while len(got) < 4:
        got += (await take(source)).messages
    outcomes = await writing
    assert outcomes[0] == Done()
    assert isinstance(outcomes[1], Refused)
    assert outcomes[2:] == [Done()] * 3
    await sink.close()
    await source.close()


async def test_a_block_of_exactly_the_largest_size_arrives(tmp_path):
    plant = Plant(tmp_path, block_max=Size(4096))
    source = await plant.start()
    sink = plant.sink()
    await sink.open()
    lane = await sink.link.lane("business")
    room = 4096 - lane.size([make_event(1, data=b'""').json])
    writing = asyncio.create_task(sink.write([make_event(1, data=b'"' + b"x" * room + b'"')]))
    assert len((await take(source)).messages) == 1
    assert await writing == [Done()]
    await sink.close()
    await source.close()


async def test_a_full_batch_of_small_events_is_more_than_one_block(plant, sink):
    events = [make_event(n) for n in range(1, ZeroMqSink.batch_max + 1)]
    assert len(events) > EVENTS_MAX
    writing = asyncio.create_task(sink.write(events))
    got = []
    while len(got) < len(events):
        got += (await take(plant.source)).messages
    assert got == [event.json for event in events]
    assert await writing == [Done()] * len(events)


async def test_an_acknowledgement_that_comes_after_the_write_has_ended_is_not_lost(tmp_path):
    plant = Plant(tmp_path)
    source = await plant.start()
    sink = plant.sink(answer_timeout_s=0.3)
    await sink.open()
    (first,) = await sink.write([make_event(1)])
    assert isinstance(first, Retry)
    await take(source)
    await until(lambda: sink.link._lanes["business"].acked.number == 1)
    # The core would take it for a new event: it watches only for those of earlier sessions.
    assert await sink.write([make_event(1)]) == [Done()]
    assert sink.counters["blocks"] == 1
    await sink.close()
    await source.close()


async def test_what_is_acknowledged_in_memory_is_forgotten_by_the_core_too(plant, sink):
    for number in range(1, 41):
        writing = asyncio.create_task(sink.write([make_event(number)]))
        await take(plant.source, level="memory")
        assert await writing == [Done()]
    await until(lambda: sink.link._lanes["business"].settled.number >= 39)
    writing = asyncio.create_task(sink.write([make_event(41)]))
    await take(plant.source)
    await writing
    assert len(plant.source.core.position()) < 250


async def test_events_of_a_key_keep_their_order_whatever_their_streams(plant, sink):
    batch = [
        make_event(1, stream="commands", key="order/K"),
        make_event(2, key="order/K"),
        make_event(3, stream="commands", key="order/K"),
        make_event(4, key="order/L"),
    ]

    async def core():
        while True:
            await take(plant.source)

    task = asyncio.create_task(core())
    first, second, third, other = await sink.write(batch)
    # What comes later in another stream could be admitted first; it comes again at once.
    assert (first, other) == (Done(), Done())
    assert [(held.waits, held.sent, held.after_s) for held in (second, third)] == [(True, False, 0.0)] * 2
    assert await sink.write([batch[1]]) == [Done()]
    task.cancel()


async def test_a_stream_that_can_never_take_an_intake_gets_half_of_it_until_it_fits(plant, sink):
    source, large = plant.source, TooLarge("the events are larger than the capacity of stream business")
    writes = [asyncio.create_task(sink.write([make_event(n)])) for n in range(1, 9)]
    await until(lambda: len(source.waiting) == 8)
    counts = []
    for _ in range(3):
        intake = await asyncio.wait_for(source.read(), 5)
        counts.append(len(intake.messages))
        await source.refuse(intake, large)
    assert counts == [8, 4, 2]
    # One block cannot be cut: it waits, and is told of.
    intake = await asyncio.wait_for(source.read(), 5)
    assert len(intake.messages) == 1
    await source.refuse(intake, large)
    assert source.details["notes"] == [f"blocks of edges wait: {large}"]
    taken = [message for _ in range(8) for message in (await take(source)).messages]
    assert taken == [make_event(n).json for n in range(1, 9)]
    assert await asyncio.gather(*writes) == [[Done()]] * 8
