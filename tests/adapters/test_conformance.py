"""The public suite over every adapter of this package."""

import asyncio
import socket

import pytest
from aiohttp import web

from mfgroute.adapters.console import ConsoleSink
from mfgroute.adapters.effects import EffectsSource
from mfgroute.adapters.files import FilesSink, FilesSource
from mfgroute.adapters.http import HttpSink, HttpSource
from mfgroute.adapters.opcua import OpcUaSource
from mfgroute.adapters.sap import SapSink
from mfgroute.adapters.sap.references import request_id
from mfgroute.adapters.zeromq import ZeroMqSink, ZeroMqSource
from mfgroute.adapters.zeromq.keys import create_keypair
from mfgroute.effects.database import Database
from mfgroute.effects.lines import Line
from mfgroute.events import InDoubt, Intake, Receipt, Refused, Retry
from mfgroute.testing import conformance
from mfgroute.testing.conformance import SinkConformance, SourceConformance, event
from mfgroute.testing.fakes import FakeSink, FakeSource, chaos_proxy
from mfgroute.testing.plant import PlantServer
from mfgroute.testing.simulators.s4 import ROOT, Fault, S4Simulator

from . import sap_cases
from .http_target import BY_LOOKUP, posted
from .sap_plant import SETUP
from .test_zeromq import Plant


@pytest.fixture
def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


class TestConsoleSink(SinkConformance):
    adapter = ConsoleSink

    def settings(self):
        return {}


class TestFilesSink(SinkConformance):
    adapter = FilesSink

    def settings(self):
        return {"path": "out/{type}.jsonl"}

    def dead_settings(self):
        (self._folder / "file").write_text("")
        return {"path": "file/x.jsonl"}


class TestFilesSource(SourceConformance):
    adapter = FilesSource
    redelivers = True

    def settings(self):
        (self._folder / "inbox").mkdir(exist_ok=True)
        return {"path": "inbox/*", "ready": "rename", "poll_s": 0.02}

    def dead_settings(self):
        return {"path": "missing/*"}

    async def supply(self, source, count):
        for n in range(count):
            (self._folder / "inbox" / f"{n}.xml").write_bytes(b"<n>%d</n>" % n)


class TestHttpSource(SourceConformance):
    adapter = HttpSource

    def settings(self):
        return {"token": "sixteen-characters-or-more"}

    async def supply(self, source, count):
        self.offers = [asyncio.create_task(source.offer(Intake(messages=[b"%d" % n]))) for n in range(count)]
        if count <= 256:
            return
        # What the full queue refuses is offered again by its sender.
        waiting = self.offers[:]
        while waiting:
            await asyncio.wait(waiting)
            again = [n for n, offer in enumerate(self.offers) if offer.exception() is not None]
            waiting = []
            for n in again:
                self.offers[n] = asyncio.create_task(source.offer(Intake(messages=[b"%d" % n])))
                waiting.append(self.offers[n])


class TestHttpSink(SinkConformance):
    adapter = HttpSink
    proxy = None

    @pytest.fixture(autouse=True)
    async def _peer(self, erp, closed_port):
        self.erp, self.closed_port = erp, closed_port
        port = int(erp.url.split(":")[2].split("/")[0])
        async with chaos_proxy("127.0.0.1", port) as self.proxy:
            yield

    def settings(self):
        url = f"http://127.0.0.1:{self.proxy.port}/x"
        return {"url": url, "allow_private": True, "effect": {"by": "key"}, "timeout_s": 3.0}

    def dead_settings(self):
        return self.settings() | {"url": f"http://127.0.0.1:{self.closed_port}/x"}

    async def refuse(self, refused):
        self.erp.answer = lambda r: web.Response(
            status=422 if r.headers["Idempotency-Key"] == refused.id else 200
        )

    async def cut(self):
        self.proxy.half_close_after = 15

    def cut_settings(self):
        for by, allowed in (("key", Retry), ("upsert", Retry), ("none", InDoubt)):
            accept = {"accept": "at_most_once"} if by == "none" else {}
            yield self.settings() | {"effect": {"by": by} | accept}, (allowed,)
        yield self.settings() | BY_LOOKUP, (InDoubt,)
        yield self.settings() | {"effect": {"by": "none", "accept": "at_least_once"}}, (Retry,)

    async def test_a_cut_anywhere_is_never_done(self):
        for size in (1, 100, 300):
            self.proxy.cut_after = size
            for settings, allowed in self.cut_settings():
                sink = await self.opened(settings)
                (outcome,) = await posted(sink, event())
                assert isinstance(outcome, allowed)
                await sink.close()


class TestSapSink(SinkConformance):
    adapter = SapSink

    @pytest.fixture(autouse=True)
    async def _peer(self, closed_port, monkeypatch):
        self.closed_port = closed_port
        monkeypatch.setattr(conformance, "event", self.confirmation)
        async with S4Simulator(setup=SETUP) as self.erp:
            yield

    @staticmethod
    def confirmation(number=1):
        data = sap_cases.CONFIRMATION | {"report": str(number)}
        return sap_cases.event(sap_cases.COMPLETED, data, number)

    def settings(self):
        return {
            "url": self.erp.url + ROOT,
            "auth": {"user": "MFG", "password": "secret"},
            "goods": "listed",
            "effect": {"by": "key", "kept": "12h"},
            "allow_private": True,
        }

    def make(self, settings=None):
        adapter = super().make(settings)
        adapter._renderer._now = lambda: sap_cases.NOW
        return adapter

    def dead_settings(self):
        return self.settings() | {"url": f"http://127.0.0.1:{self.closed_port}{ROOT}"}

    async def refuse(self, refused):
        self.erp.misbehave(Fault(kind="refuse", message="deficit", name=request_id(refused.id)))

    async def cut(self):
        self.erp.misbehave(Fault(kind="cut", when="after"))

    def cut_settings(self):
        for by in ("key", "lookup"):
            yield self.settings() | {"effect": {"by": by, "kept": "12h"}}, (Retry,)


class TestZeroMqSink(SinkConformance):
    adapter = ZeroMqSink

    @pytest.fixture(autouse=True)
    async def _peer(self, tmp_path, closed_port):
        self.closed_port = closed_port
        self.plant = Plant(tmp_path)
        source = await self.plant.start()
        self.level = "durable"
        host, port = self.plant.listen.removeprefix("tcp://").split(":")

        async def core():
            while True:
                intake = await source.read()
                await source.ack(intake, Receipt(accepted=1, level=self.level))

        task = asyncio.create_task(core())
        async with chaos_proxy(host, int(port)) as self.proxy:
            yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await source.close()

    def settings(self):
        return {
            "connect": f"tcp://127.0.0.1:{self.proxy.port}",
            "core_key": self.plant.public("core"),
            "secret_key_file": "edge.secret",
            "edge_id": "edge-1",
            "heartbeat_s": 0.1,
            "connect_timeout_s": 5.0,
        }

    def dead_settings(self):
        return self.settings() | {"connect": f"tcp://127.0.0.1:{self.closed_port}", "connect_timeout_s": 0.3}

    async def test_a_stalled_wire_makes_retries_and_never_done(self):
        sink = await self.opened()
        assert _is_done((await sink.write([event(1)]))[0])
        self.proxy.stalled = True
        (outcome,) = await asyncio.wait_for(sink.write([event(2)]), 5)
        assert isinstance(outcome, Retry)
        await sink.close()

    async def test_a_wire_that_is_cut_again_and_again_loses_nothing(self):
        sink = await self.opened()

        async def cutter():
            while True:
                await asyncio.sleep(0.03)
                self.proxy.drop()

        cutting = asyncio.create_task(cutter())
        writes = [asyncio.create_task(sink.write([event(n)])) for n in range(1, 61)]
        await asyncio.sleep(0.3)
        cutting.cancel()
        _, waiting = await asyncio.wait(writes, timeout=10)
        assert not waiting
        undone = [n for n, w in enumerate(writes, 1) if not _is_done(w.result()[0])]
        await sink.close()
        sink = await self.opened()
        for n in undone:
            assert _is_done((await sink.write([event(n)]))[0])
        await sink.close()
        assert self.proxy.connections > 2


def _is_done(outcome):
    return type(outcome).__name__ == "Done"


class TestZeroMqSource(SourceConformance):
    adapter = ZeroMqSource

    @pytest.fixture(autouse=True)
    async def _keys(self, tmp_path):
        for name in ("core", "edge"):
            create_keypair(tmp_path, name)
        self.sinks = []
        yield
        for sink in self.sinks:
            await sink.close()

    def settings(self):
        key = (self._folder / "edge.public").read_text().strip()
        edges = [{"id": "edge-1", "key": key, "sources": ["*"]}]
        return {
            "listen": "tcp://127.0.0.1:*",
            "secret_key_file": "core.secret",
            "edges": edges,
            "credit_blocks": 4,
        }

    def dead_settings(self):
        self.taken = socket.create_server(("127.0.0.1", 0))
        return self.settings() | {"listen": f"tcp://127.0.0.1:{self.taken.getsockname()[1]}"}

    async def supply(self, source, count):
        plant = Plant.__new__(Plant)
        plant.folder, plant.listen = self._folder, source.endpoint
        sink = plant.sink()
        await sink.open()
        self.sinks.append(sink)
        self.writes = [asyncio.create_task(sink.write([event(n)])) for n in range(count)]

    async def test_a_dead_peer_is_a_lost_connection_and_close_is_safe(self):
        await super().test_a_dead_peer_is_a_lost_connection_and_close_is_safe()
        self.taken.close()


class TestEffectsSource(SourceConformance):
    adapter = EffectsSource
    redelivers = True

    @pytest.fixture(autouse=True)
    def _peer(self, tmp_path):
        self.database = Database(tmp_path / "data", node="node")
        self.database.open()
        yield
        self.database.close()

    def settings(self):
        return {"poll_s": 0.01}

    def dead_settings(self):
        return {"url": "postgresql://nobody@127.0.0.1:1/effects"}

    async def supply(self, source, count):
        done = [
            Line(number=n, at_ms=n, id=f"e{n}", state="posted", reference=f"49-{n}")
            for n in range(1, count + 1)
        ]
        await asyncio.to_thread(self.database.take, "erp", "a" * 32, done)


class TestOpcUaSource(SourceConformance):
    adapter = OpcUaSource

    @pytest.fixture(autouse=True)
    async def _peer(self, closed_port):
        self.closed_port = closed_port
        async with PlantServer() as self.plant:
            yield

    def settings(self):
        return {
            "endpoint": self.plant.endpoint,
            "insecure": True,
            "nodes": ["ns=2;s=P7.Good"],
            "interval_ms": 20,
            "server_queue": 1000,
        }

    def dead_settings(self):
        return self.settings() | {"endpoint": f"opc.tcp://127.0.0.1:{self.closed_port}"}

    async def opened(self):
        source = await super().opened()
        async with asyncio.timeout(5):
            await source.read()  # A server says the present value first.
        return source

    async def supply(self, source, count):
        await self.plant["P7"].produce(count)

    def test_secrets_are_never_printed(self):
        given = self.settings() | {"user": "reader"}  # A password needs a user.
        self.settings = lambda: dict(given)
        super().test_secrets_are_never_printed()


class TestFakeSource(SourceConformance):
    adapter = FakeSource

    def settings(self):
        return {}

    async def supply(self, source, count):
        await source.put(*(b"%d" % n for n in range(count)))


class TestFakeSink(SinkConformance):
    adapter = FakeSink

    def settings(self):
        return {}

    async def opened(self, settings=None):
        sink = await super().opened(settings)
        sink.answer = lambda e: self.answers.get(e.id) or sink.__class__().answer(e)
        return sink

    answers = {}  # noqa: RUF012

    async def refuse(self, refused):
        self.answers = {refused.id: Refused("no")}


async def test_a_fake_source_fails_only_after_what_came_before():
    source = FakeSource()
    await source.put(b"1")
    await source.fail(ConnectionError("gone"))
    assert (await source.read()).messages == [b"1"]
    with pytest.raises(ConnectionError):
        await source.read()
