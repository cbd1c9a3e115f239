"""What all edges together may have sent without an answer, and events that are meant to harm the reader."""

import asyncio
import random

import pytest

from mfgroute.adapters.zeromq.core import CoreLink
from mfgroute.adapters.zeromq.frames import Welcome, decode
from mfgroute.adapters.zeromq.lane import EdgeLane
from mfgroute.events import Done
from mfgroute.units import Size

from . import link_plant
from .conftest import make_event
from .link_plant import Plant, take

plant, sink = link_plant.plant, link_plant.sink
#: Bytes of an event; a block of one is little more.
EVENT, TOTAL, EDGES = 1_000, 128 << 10, 30


class Edge:
    """An edge whose backlog is never empty.

    Args:
        core: the core's side.
        number: of the edge.
        honest: whether it heeds what it is granted.
    """

    def __init__(self, core, number, *, honest=True):
        self.name, self.core, self.honest = f"edge-{number}", core, honest
        self.lane = EdgeLane(self.name, "business", number + 1)
        self.got, self.made = [], 0
        self.hello()

    def hello(self):
        self.hear(self.core.receive(self.name, self.lane.hello()).replies)

    def hear(self, replies):
        for reply in replies:
            for frame in self.lane.receive(decode(reply)):
                self.give(frame)

    def give(self, frame):
        received = self.core.receive(self.name, frame)
        if received.block is not None:
            self.got.extend(received.block.offsets)
        self.hear(received.replies)

    def send(self):
        """As much as it is granted; or what it likes."""
        while self.lane.room(EVENT + 200) if self.honest else self.lane.flying < 40 * EVENT:
            if not self.honest:
                self.lane._limit = self.lane._bytes_max = 1 << 40
            self.made += 1
            self.give(self.lane.add([self.made], [b"x" * EVENT])[1])


def held(core):
    return sum(sum(lane.pending.values()) for lane in core.lanes)


def settle(core, edges):
    """What waits has its receipts; then everybody says hello, as an edge does whose blocks nobody answers."""
    for edge in edges:
        (lane,) = [lane for lane in core.lanes if lane.edge == edge.name]
        for number in list(lane.pending):
            reply = core.acknowledge(edge.name, "business", lane.epoch, number, "sealed")
            edge.hear([] if reply is None else [reply])
    for edge in edges:
        edge.hello()


def test_all_edges_together_have_no_more_on_their_way_than_the_total_and_each_gets_its_turn():
    core = CoreLink(credit_blocks=512, credit_bytes=1 << 20, block_max=1 << 20, credit_total=TOTAL)
    dice, edges = random.Random(6), []
    # Nothing is admitted while they come, so those that came first have used what they were granted then.
    for number in range(EDGES):
        edges.append(Edge(core, number, honest=number % 3 > 0))
        edges[-1].send()
    blocks = max(size for lane in core.lanes for size in lane.pending.values())
    # One block of each is taken in any case.
    assert TOTAL <= held(core) <= TOTAL + EDGES * blocks
    assert all(edge.got for edge in edges)
    begun = []
    for turn in range(15):
        settle(core, edges)
        for edge in dice.sample(edges, EDGES):
            edge.send()
        if turn == 4:
            begun = [len(edge.got) for edge in edges]
        assert turn < 4 or held(core) <= TOTAL
    got = [len(edge.got) - before for edge, before in zip(edges, begun, strict=True)]
    assert min(got) >= 10 * (TOTAL // EDGES // blocks)
    assert core.counts["beyond_credit"] > 0
    for edge in edges:
        edge.honest = True
    while any(edge.lane.acked.number < edge.made for edge in edges):
        settle(core, edges)
    assert held(core) == core._held == 0
    assert [edge.got for edge in edges] == [list(range(1, edge.made + 1)) for edge in edges]


def test_what_a_lane_is_granted_shrinks_with_each_that_comes_and_is_never_more_than_its_own_bound():
    core = CoreLink(credit_blocks=512, credit_bytes=TOTAL // 2, block_max=1 << 20, credit_total=TOTAL)
    edges = [Edge(core, number) for number in range(4)]
    for edge in edges:
        edge.hello()
    assert [edge.lane._bytes_max for edge in edges] == [TOTAL // 4] * 4
    alone = CoreLink(credit_blocks=512, credit_bytes=1 << 40, block_max=1 << 20, credit_total=1 << 41)
    assert Edge(alone, 1).lane._bytes_max == (1 << 32) - 1


@pytest.mark.parametrize("way", ["epoch", "life"])
def test_what_a_lane_that_begins_anew_had_on_its_way_counts_no_more(way):
    core = CoreLink(credit_blocks=512, credit_bytes=TOTAL, block_max=1 << 20, credit_total=TOTAL)
    edge = Edge(core, 1)
    edge.send()
    assert core._held == held(core) > TOTAL // 2
    other = EdgeLane(
        "edge-1", "business", 9 if way == "epoch" else 2, session=(9 if way == "life" else 1) << 32
    )
    core.receive("edge-1", other.hello())
    assert core._held == held(core) == (0 if way == "epoch" else core._held)


async def test_an_edge_with_a_backlog_above_the_total_delivers_it_all(tmp_path):
    plant = Plant(tmp_path, credit_total=Size(8192))
    source = await plant.start()
    sink = plant.sink()
    await sink.open()
    events = [make_event(n, data=b'"' + b"x" * 3000 + b'"') for n in range(1, 21)]
    writing = [asyncio.create_task(sink.write([event])) for event in events]
    got = []
    while len(got) < len(events):
        assert held(source.core) <= 8192
        got += (await take(source)).messages
    assert got == [event.json for event in events]
    assert await asyncio.gather(*writing) == [[Done()]] * len(events)
    await sink.close()
    await source.close()


async def test_an_event_nested_too_deep_to_be_read_is_left_to_the_engine(plant, sink):
    bad = make_event(1, data=b"[" * 100_000 + b"]" * 100_000)
    writing = asyncio.create_task(sink.write([bad, make_event(2)]))
    got = []
    while len(got) < 2:
        got += (await take(plant.source)).messages
    assert got == [bad.json, make_event(2).json]
    assert await writing == [Done(), Done()]


def named(stream):
    return EdgeLane("edge-1", stream, 7)


def test_streams_that_are_called_otherwise_count_no_more_once_their_edge_has_connected_again():
    core = CoreLink(credit_blocks=512, credit_bytes=TOTAL, block_max=1 << 20, credit_total=TOTAL)
    other = Edge(core, 2)
    for stream in ("a", "b", "c", "d"):
        core.receive("edge-1", named(stream).hello())
    other.hello()
    assert other.lane._bytes_max == TOTAL // 5
    fifth = decode(core.receive("edge-1", named("e").hello()).replies[0])
    assert fifth.text == "more than 4 streams"
    core.connected("edge-1")
    for stream in ("e", "f"):
        assert isinstance(decode(core.receive("edge-1", named(stream).hello()).replies[0]), Welcome)
    other.hello()
    assert other.lane._bytes_max == TOTAL // 3
    # One that has only been silent for a while counts again, and its mark was there all the time.
    core.receive("edge-1", named("a").hello())
    other.hello()
    assert other.lane._bytes_max == TOTAL // 4
    assert len(core.lanes) == 7


async def test_a_core_sees_a_new_connection_of_an_edge_and_lets_it_have_four_other_streams(plant):
    for turn in range(2):
        sink = plant.sink(heartbeat_s=1.0)
        await sink.open()
        for number in range(4):
            event = make_event(4 * turn + number + 1, stream=f"s{turn}{number}")
            writing = asyncio.create_task(sink.write([event]))
            while not (await take(plant.source)).messages:
                pass
            assert await writing == [Done()], sink.lost
        await sink.close()
    assert plant.source.counters["too_many_lanes"] == 0
