"""Somebody in the network who records what an edge says, and says it again."""

import asyncio

import pytest

from mfgroute.events import Done

from .conftest import make_event, until
from .test_zeromq import Plant, take


class Recorder:
    """A relay that keeps what went to the core, connection by connection."""

    def __init__(self, target):
        host, _, port = target.removeprefix("tcp://").rpartition(":")
        self._target, self.heard = (host, int(port)), []

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"tcp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader, writer):
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        heard = bytearray()
        self.heard.append(heard)
        await asyncio.gather(
            self._pump(reader, far_writer, heard), self._pump(far_reader, writer, bytearray())
        )

    async def _pump(self, reader, writer, heard):
        while data := await reader.read(65_536):
            heard += data
            writer.write(data)
        writer.close()

    def close(self):
        self._server.close()


@pytest.mark.parametrize("cut", [1.0, 0.5])
async def test_what_an_edge_said_is_nothing_to_the_core_when_somebody_says_it_again(tmp_path, cut):
    plant = Plant(tmp_path)
    source = await plant.start()
    recorder = Recorder(plant.listen)
    direct, plant.listen = plant.listen, await recorder.start()
    sink = plant.sink()
    await sink.open()
    for number in (1, 2):
        writing = asyncio.create_task(sink.write([make_event(number)]))
        while not (await take(source)).messages:
            pass  # That the first block has become safe is kept.
        assert await writing == [Done()]
    (said,) = recorder.heard
    before = dict(source.counters)
    assert before["blocks"] == 2
    host, _, port = direct.removeprefix("tcp://").rpartition(":")
    for _ in range(3):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(bytes(said[: int(cut * len(said))]))
        writer.write_eof()
        # The handshake is bound to keys of that connection alone: the core ends this one.
        async with asyncio.timeout(15):
            while await reader.read(65_536):
                pass
        writer.close()
    assert not source.waiting
    assert {name: source.counters[name] for name in ("blocks", "repeated_blocks", "connections")} == {
        "blocks": 2,
        "repeated_blocks": 0,
        "connections": before["connections"],
    }
    assert source.counters["bad_frames"] == 0
    # The edge itself is not disturbed.
    writing = asyncio.create_task(sink.write([make_event(3)]))
    await take(source)
    assert await writing == [Done()]
    await until(lambda: source.counters["blocks"] == 3)
    await sink.close()
    recorder.close()
    await source.close()
