"""The edge link over real sockets on the loopback, with CURVE."""

import asyncio
import json
import os
import stat

import msgspec
import pytest
import zmq
import zmq.asyncio

from mfgroute.adapters.zeromq import ZeroMqSourceConfig
from mfgroute.adapters.zeromq import guard as guard_module
from mfgroute.adapters.zeromq import keys as key_module
from mfgroute.errors import AdapterError, Disconnected, Quarantined
from mfgroute.events import Done, Receipt, Retry

from . import link_plant
from .conftest import make_event, until
from .link_plant import Plant, take

plant, sink = link_plant.plant, link_plant.sink


def logged(caplog):
    """The lines of our log, read back."""
    return [json.loads(record.getMessage()) for record in caplog.records if record.name == "mfgroute"]


async def test_events_arrive_as_they_are_and_are_done_when_the_core_has_its_receipt(plant, sink):
    events = [make_event(n) for n in range(1, 51)]
    writing = asyncio.create_task(sink.write(events))
    intake = await asyncio.wait_for(plant.source.read(), 5)
    assert list(intake.messages) == [event.json for event in events]
    assert intake.meta == {"edge.id": "edge-1"}
    assert not writing.done(), "nothing is done before the receipt"
    await plant.source.ack(intake, Receipt(accepted=50, level="durable"))
    assert await writing == [Done()] * 50
    assert sink.link._lanes["business"].acked.level == "durable"


async def test_writes_at_the_same_time_and_several_streams_keep_their_places(plant, sink):
    async def core():
        while True:
            await take(plant.source)

    task = asyncio.create_task(core())
    batches = [
        [make_event(10 * b + n, stream="telemetry" if n % 2 else "business") for n in range(6)]
        for b in range(9)
    ]
    assert await asyncio.gather(*(sink.write(batch) for batch in batches)) == [[Done()] * 6] * 9
    task.cancel()


async def test_everything_that_waits_comes_in_one_intake(plant, sink):
    writes = [asyncio.create_task(sink.write([make_event(n)])) for n in range(1, 11)]
    await until(lambda: len(plant.source.waiting) == 10)
    assert len((await take(plant.source)).messages) == 10
    assert await asyncio.gather(*writes) == [[Done()]] * 10


async def test_a_restarted_core_gets_again_what_it_had_not_acknowledged(plant, sink):
    writing = asyncio.create_task(sink.write([make_event(1)]))
    first = await asyncio.wait_for(plant.source.read(), 5)
    await plant.source.close()
    await plant.start()
    second = await take(plant.source)
    assert second.messages == first.messages
    assert await writing == [Done()]


async def test_a_core_that_dies_makes_retries_and_then_a_lost_connection(plant):
    sink = plant.sink(heartbeat_s=0.05)
    await sink.open()
    writing = asyncio.create_task(sink.write([make_event(1)]))
    await asyncio.wait_for(plant.source.read(), 5)
    await plant.source.close()
    (outcome,) = await asyncio.wait_for(writing, 5)
    assert isinstance(outcome, Retry)
    with pytest.raises(Disconnected) as failure:
        await sink.write([make_event(1)])
    assert failure.value.sent is False
    await sink.close()
    await sink.close()


async def test_an_open_to_nobody_is_a_lost_connection(plant):
    await plant.source.close()
    sink = plant.sink(connect_timeout_s=0.2)
    with pytest.raises(Disconnected, match="no answer") as failure:
        await sink.open()
    assert failure.value.sent is False
    await sink.close()
    await sink.close()


async def test_an_event_of_a_foreign_source_becomes_a_reject_that_says_so(plant, sink):
    good, bad = make_event(1), make_event(2)
    bad = type(bad)(
        id=bad.id, type=bad.type, key=bad.key, offset=2, json=bad.json.replace(b"//DE04", b"//US01")
    )
    writing = asyncio.create_task(sink.write([good, bad]))
    intake = await take(plant.source)
    assert intake.messages[0] == good.json
    assert intake.messages[1].startswith(b"edge edge-1 may not send events of source //US01/mes-a\n")
    assert intake.messages[1].endswith(bad.json)
    assert await writing == [Done(), Done()]
    assert plant.source.counters["foreign_sources"] == 1


async def test_an_unknown_client_key_is_refused_counted_and_logged(plant, caplog):
    key = plant.public("other")[:23]
    with caplog.at_level("DEBUG", logger="mfgroute"):
        sink = plant.sink(key="other", connect_timeout_s=60)
        with pytest.raises(Quarantined, match=f"the core refuses this edge's key {key}"):
            await asyncio.wait_for(sink.open(), 10)
        assert "refuses this edge's key" in sink.details["why"]
        await sink.close()
    (one,) = plant.source.details["refused"]["keys"]
    assert (one["key"], one["count"], one["address"]) == (key, 1, "127.0.0.1")
    assert plant.source.counters["refused_clients"] >= 1
    assert plant.source.counters["blocks"] == 0
    (line, *_) = [entry for entry in logged(caplog) if entry["event"] == "edge_refused"]
    assert line["key"] == plant.public("other")
    assert line["mechanism"] == "CURVE"


async def test_a_wrong_core_key_gets_nothing(plant):
    sink = plant.sink(core_key=plant.public("other"), connect_timeout_s=0.5)
    with pytest.raises(Disconnected):
        await sink.open()
    await sink.close()
    assert plant.source.counters["blocks"] == 0
    assert not plant.source.waiting


@pytest.mark.parametrize("mechanism", ["NULL", "PLAIN"])
async def test_a_client_without_curve_gets_no_byte_through(plant, mechanism):
    context = zmq.asyncio.Context()
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    if mechanism == "PLAIN":
        socket.plain_username, socket.plain_password = b"edge-1", b"x"
    monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
    socket.connect(plant.listen)
    await socket.send(b"MFEL")
    found = await asyncio.wait_for(guard_module.recv_monitor_message(monitor), 5)
    assert found["event"] == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    socket.disable_monitor()
    context.destroy(linger=0)
    assert plant.source.counters["bad_frames"] == 0
    assert not plant.source.waiting


async def test_raw_bytes_harm_nobody(plant, sink):
    host, port = plant.listen.removeprefix("tcp://").split(":")
    for data in (
        b"",
        b"\x00" * 10,
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" + b"\x00" * 8 + b"\x7f\x03\x00CURVE",
        b"\xff" * 5000,
    ):
        _, writer = await asyncio.open_connection(host, port)
        writer.write(data)
        writer.close()
    writing = asyncio.create_task(sink.write([make_event(1)]))
    await take(plant.source)
    assert await writing == [Done()]


async def test_a_core_that_would_let_strangers_in_does_not_start(tmp_path, monkeypatch):
    def anybody(self, request):
        return [b"1.0", request[1], b"200", b"OK", b"anybody", b""]

    monkeypatch.setattr(guard_module.Guard, "_judge", anybody)
    plant = Plant(tmp_path)
    with pytest.raises(AdapterError, match="accepts a stranger"):
        await plant.start()
    await plant.source.close()
    await plant.source.close()


async def test_a_guard_that_dies_closes_the_listener(plant, sink):
    def broken(self, request):
        raise RuntimeError("broken")

    reading = asyncio.create_task(plant.source.read())
    plant.source._guard._judge = broken.__get__(plant.source._guard)
    stranger = plant.sink(key="other", connect_timeout_s=0.3)
    with pytest.raises(Disconnected):
        await stranger.open()
    await stranger.close()
    with pytest.raises(AdapterError, match="link failed"):
        await asyncio.wait_for(reading, 5)
    assert plant.source._socket is None


async def test_an_address_in_use_is_a_lost_connection(plant, tmp_path):
    other = Plant.__new__(Plant)
    other.__dict__ = plant.__dict__ | {"source": None}
    with pytest.raises(Disconnected, match="cannot listen"):
        await other.start()
    await other.source.close()


def test_keys_are_made_once_and_only_for_us(tmp_path):
    secret, public = key_module.create_keypair(tmp_path / "keys", "edge-1")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    pair = key_module.load_secret(secret)
    assert key_module.parse_public(public.read_text()) == pair.public
    assert secret.read_text().strip().removeprefix("secret:") not in repr(pair)
    with pytest.raises(FileExistsError):
        key_module.create_keypair(tmp_path / "keys", "edge-1")
    with pytest.raises(ValueError, match="key name"):
        key_module.create_keypair(tmp_path, "../x")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_secret_key_that_others_can_use_is_refused(tmp_path, mode):
    secret, _ = key_module.create_keypair(tmp_path, "k")
    secret.chmod(mode)
    with pytest.raises(AdapterError, match=f"{mode:04o}"):
        key_module.load_secret(secret)


def test_a_file_that_is_no_secret_key_is_refused(tmp_path):
    _, public = key_module.create_keypair(tmp_path, "k")
    public.chmod(0o600)
    with pytest.raises(AdapterError, match="no secret key"):
        key_module.load_secret(public)
    with pytest.raises(AdapterError, match="cannot read"):
        key_module.load_secret(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(AdapterError, match="regular"):
        key_module.load_secret(tmp_path / "pipe")


def test_two_edges_may_not_share_a_key_or_a_name():
    key = "public:" + "0" * 64
    edge = {"id": "a", "key": key, "sources": ["*"]}
    raw = {"listen": "tcp://127.0.0.1:1", "secret_key_file": "x", "edges": [edge, edge | {"id": "b"}]}
    with pytest.raises(msgspec.ValidationError, match="same key"):
        msgspec.convert(raw, ZeroMqSourceConfig)
    other = edge | {"id": "b", "key": "public:" + "1" * 64, "next_key": key}
    with pytest.raises(msgspec.ValidationError, match="same key"):
        msgspec.convert(raw | {"edges": [edge, other]}, ZeroMqSourceConfig)
    with pytest.raises(msgspec.ValidationError, match="same key"):
        msgspec.convert(raw | {"edges": [edge | {"next_key": key}]}, ZeroMqSourceConfig)


async def test_without_a_guard_and_its_enforcement_strangers_would_get_in_and_so_it_does_not_start(
    tmp_path, monkeypatch
):
    async def nobody(self):
        await asyncio.Event().wait()

    monkeypatch.setattr(guard_module.Guard, "bind", lambda self: None)
    monkeypatch.setattr(guard_module.Guard, "serve", nobody)
    monkeypatch.setattr(zmq, "ZAP_ENFORCE_DOMAIN", zmq.LINGER)  # The option is not set.
    plant = Plant(tmp_path)
    with pytest.raises(AdapterError, match="accepts a stranger"):
        await plant.start()
    await plant.source.close()


async def test_with_enforcement_a_missing_guard_lets_nobody_in(tmp_path, monkeypatch):
    async def nobody(self):
        await asyncio.Event().wait()

    monkeypatch.setattr(guard_module.Guard, "bind", lambda self: None)
    monkeypatch.setattr(guard_module.Guard, "serve", nobody)
    plant = Plant(tmp_path)
    await plant.start()
    sink = plant.sink(connect_timeout_s=0.3)
    with pytest.raises(Disconnected):
        await sink.open()
    await sink.close()
    await plant.source.close()


async def test_a_forked_lane_ends_the_sink_and_is_logged(plant, sink, caplog):
    writing = asyncio.create_task(sink.write([make_event(1)]))
    await take(plant.source)
    await writing
    lane = sink.link._lanes["business"]
    lane.acked = lane.acked._replace(number=5, level="sealed")  # As if the core had been put back since.
    sink.link._send(lane.hello())
    with caplog.at_level("DEBUG", logger="mfgroute"):
        await until(lambda: sink.link.failure is not None)
    assert any(
        entry["event"] == "edge_link_stopped" and entry["level"] == "error" for entry in logged(caplog)
    )
    with pytest.raises(Disconnected, match="put back") as failure:
        await sink.write([make_event(2)])
    assert failure.value.sent is False
