"""The list of edges changes while they are connected: only those that it concerns notice."""

import asyncio

import msgspec
import pytest

from mfgroute.adapter import Context
from mfgroute.adapters.zeromq import EdgePeer, ZeroMqSink, ZeroMqSinkConfig
from mfgroute.adapters.zeromq.keys import create_keypair
from mfgroute.errors import Quarantined
from mfgroute.events import Done

from .conftest import make_event, until
from .link_plant import Plant, take


class Two(Plant):
    """A core and two edges."""

    def __init__(self, folder):
        super().__init__(folder)
        create_keypair(folder, "edge-2")
        self.listed = (self.of("edge-1", "edge"), self.of("edge-2", "edge-2"))

    def of(self, edge, key, **more):
        return EdgePeer(id=edge, key=self.public(key), sources=("//DE04/*",), **more)

    def peers(self):
        return self.listed

    def follow(self, *edges, **more):
        """Give the open source another list; answers whether it goes on with it."""
        return self.source.follow(msgspec.structs.replace(self.config, edges=edges, **more))

    def second(self, key="edge-2"):
        config = ZeroMqSinkConfig(
            connect=self.listen,
            core_key=self.public("core"),
            secret_key_file=f"{key}.secret",
            connect_timeout_s=5.0,
            answer_timeout_s=5.0,
            heartbeat_s=1.0,
        )
        return ZeroMqSink(config, Context(name="core", node="edge-2", project_dir=self.folder))


@pytest.fixture
async def plant(tmp_path):
    plant = Two(tmp_path)
    await plant.start()
    yield plant
    await plant.source.close()


@pytest.fixture
async def both(plant):
    """Both edges, each of which has sent an event."""
    sinks = [plant.sink(heartbeat_s=1.0), plant.second()]
    for sink in sinks:
        await sink.open()
        await delivered(plant, sink, 1)
    yield sinks
    for sink in sinks:
        await sink.close()


async def delivered(plant, sink, number):
    """Send an event and wait until the core has it; answers who it was from."""
    writing = asyncio.create_task(sink.write([make_event(number)]))
    intake = await taken(plant)
    assert await writing == [Done()], sink.lost
    return intake.meta["edge.id"]


async def taken(plant):
    """The next intake with an event; in between there may be one that only keeps how edges stand."""
    while not (intake := await take(plant.source)).messages:
        pass
    return intake


def life(plant, edge):
    """By what a new connection, or another life of an edge, would be noticed in the core."""
    (lane,) = (lane for lane in plant.source.core.lanes if lane.edge == edge)
    return lane.session, lane.epoch


async def test_an_edge_that_is_taken_out_is_heard_no_more_and_the_other_one_notices_nothing(plant, both):
    first, second = both
    before, connections = life(plant, "edge-1"), plant.source.counters["connections"]
    assert plant.follow(plant.of("edge-1", "edge"))
    # Nothing is sent, and still it knows at the next heartbeat.
    await until(lambda: second.lost is not None)
    assert isinstance(second.lost, Quarantined)
    assert plant.public("edge-2")[:23] in str(second.lost)
    with pytest.raises(Quarantined, match="the core refuses this edge's key"):
        await second.write([make_event(2)])
    again = plant.second()
    with pytest.raises(Quarantined):
        await again.open()
    await again.close()
    assert await delivered(plant, first, 2) == "edge-1"
    assert (life(plant, "edge-1"), first.lost) == (before, None)
    assert plant.source.counters["connections"] == connections, "the other edge did not connect again"
    assert [(edge["id"], edge["heard_s"] is None) for edge in plant.source.details["edges"]] == [
        ("edge-1", False)
    ]
    assert plant.follow(*plant.listed)
    assert plant.source.details["edges"][1]["heard_s"] is None, "it is to be heard again first"


async def test_what_a_revoked_edge_says_over_its_open_connection_is_nothing(plant, both):
    _, second = both
    assert plant.follow(plant.of("edge-1", "edge"))
    second.link._refused = lambda: None  # An edge that does not do as it is told.
    blocks = plant.source.counters["blocks"]
    writing = asyncio.create_task(second.write([make_event(2)]))
    await until(lambda: plant.source.counters["revoked"] >= 2)
    assert (plant.source.counters["blocks"], len(plant.source.waiting)) == (blocks, 0)
    writing.cancel()


async def test_what_came_before_an_edge_was_taken_out_is_taken(plant, both):
    _, second = both
    writing = asyncio.create_task(second.write([make_event(2)]))
    await until(lambda: len(plant.source.waiting) == 1)
    assert plant.follow(plant.of("edge-1", "edge"))
    intake = await taken(plant)
    assert intake.messages[0] == make_event(2).json
    writing.cancel()
    # When it may come again it goes on behind what was taken.
    assert plant.follow(*plant.listed)
    await second.close()
    again = plant.second()
    await again.open()
    assert await delivered(plant, again, 3) == "edge-2"
    await again.close()


async def test_a_key_changes_under_the_connection_of_one_edge_alone(plant, both):
    first, _ = both
    before, connections = life(plant, "edge-1"), plant.source.counters["connections"]
    next_key = plant.public("other")
    assert plant.follow(plant.of("edge-1", "edge"), plant.of("edge-2", "edge-2", next_key=next_key))
    changed = plant.second("other")
    await changed.open()
    assert await delivered(plant, changed, 2) == "edge-2"
    assert plant.follow(plant.of("edge-1", "edge"), plant.of("edge-2", "other"))
    # The connection under the old key is over, that under the new one goes on.
    await until(lambda: both[1].lost is not None)
    assert await delivered(plant, changed, 3) == "edge-2"
    assert changed.lost is None
    await changed.close()
    assert await delivered(plant, first, 4) == "edge-1"
    assert life(plant, "edge-1") == before
    assert plant.source.counters["connections"] == connections + 1


async def test_an_edge_that_is_new_in_the_list_connects_and_sources_change_at_once(plant):
    assert plant.follow(plant.of("edge-1", "edge"))
    assert plant.follow(*plant.listed)
    sink = plant.second()
    await sink.open()
    assert await delivered(plant, sink, 1) == "edge-2"
    other = EdgePeer(id="edge-2", key=plant.public("edge-2"), sources=("//US01/*",))
    assert plant.follow(plant.of("edge-1", "edge"), other)
    writing = asyncio.create_task(sink.write([make_event(2)]))
    intake = await taken(plant)
    assert intake.messages[0].startswith(b"edge edge-2 may not send events of source //DE04/")
    assert await writing == [Done()]
    await sink.close()


@pytest.mark.parametrize("more", [{"listen": "tcp://127.0.0.1:1"}, {"credit_blocks": 2}])
async def test_anything_else_needs_a_new_connection_and_changes_nothing(plant, both, more):
    first, second = both
    assert not plant.follow(plant.of("edge-1", "edge"), **more)
    assert await delivered(plant, second, 2) == "edge-2"
    assert await delivered(plant, first, 2) == "edge-1"
