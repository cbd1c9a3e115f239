"""A core of the edge link over real sockets on the loopback, and what an edge needs to reach it."""

import asyncio

import pytest

from mfgroute.adapter import Context
from mfgroute.adapters.zeromq import EdgePeer, ZeroMqSink, ZeroMqSinkConfig, ZeroMqSource, ZeroMqSourceConfig
from mfgroute.adapters.zeromq import keys as key_module
from mfgroute.events import Receipt


class Plant:
    """A core and what an edge needs to reach it."""

    def __init__(self, folder, **more):
        self.folder = folder
        for name in ("core", "edge", "other"):
            key_module.create_keypair(folder, name)
        self.next_key = None
        self.more = more
        self.listen = "tcp://127.0.0.1:*"
        self.config = self.source = None

    def public(self, name):
        return (self.folder / f"{name}.public").read_text().strip()

    def peer(self):
        next_key = None if self.next_key is None else self.public(self.next_key)
        return EdgePeer(id="edge-1", key=self.public("edge"), next_key=next_key, sources=("//DE04/*",))

    def peers(self):
        return (self.peer(),)

    async def start(self):
        self.config = ZeroMqSourceConfig(
            listen=self.listen,
            secret_key_file="core.secret",
            edges=self.peers(),
            **self.more,
        )
        self.source = ZeroMqSource(self.config, Context(name="edges", project_dir=self.folder))
        await self.source.open(None)
        self.listen = self.source.endpoint
        return self.source

    def sink(self, *, key="edge", core_key=None, **more):
        settings = {"connect_timeout_s": 5.0, "answer_timeout_s": 5.0, "heartbeat_s": 0.2} | more
        config = ZeroMqSinkConfig(
            connect=self.listen,
            core_key=core_key or self.public("core"),
            secret_key_file=f"{key}.secret",
            **settings,
        )
        return ZeroMqSink(config, Context(name="core", node="edge-1", project_dir=self.folder))


@pytest.fixture
async def plant(tmp_path):
    plant = Plant(tmp_path)
    await plant.start()
    yield plant
    await plant.source.close()


@pytest.fixture
async def sink(plant):
    sink = plant.sink()
    await sink.open()
    yield sink
    await sink.close()


async def take(source, level="durable", accepted=None):
    intake = await asyncio.wait_for(source.read(), 5)
    await source.ack(intake, Receipt(accepted=len(intake.messages), level=level))
    return intake
