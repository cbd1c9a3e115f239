"""The source against real servers in the same process."""

from __future__ import annotations

import asyncio
import logging
import math
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from asyncua import ua

from mfgroute.adapter import Context, dec_hook
from mfgroute.adapters.opcua import OpcUaConfig, OpcUaSource
from mfgroute.adapters.opcua.subscription import Feed, _distance
from mfgroute.adapters.opcua.values import DEPTH_MAX, Plain, document, shortest_single
from mfgroute.errors import Disconnected
from mfgroute.testing.plant import PlantServer, free_port

LIMIT_S = 15
GAP = {"name": "gap", "state": {"node": "i=1", "equals": True, "for": "1s"}}


def configured(endpoint: str, **settings) -> OpcUaConfig:
    given = {
        "endpoint": endpoint,
        "interval_ms": 20,
        "alive_s": 0.3,
        "timeout_s": 2,
        "gaps": "count",
    } | settings
    if "security" not in given:
        given["insecure"] = True
    return msgspec.convert(given, OpcUaConfig, dec_hook=dec_hook)


@asynccontextmanager
async def watching(endpoint: str, tmp_path: Path, *, resume: bytes | None = None, **settings):
    source = OpcUaSource(
        configured(endpoint, **settings),
        Context(name="press-7", project_dir=tmp_path, data_dir=tmp_path / "data"),
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            await source.open(resume)
        yield source
    finally:
        await source.close()


async def read_until(source: OpcUaSource, enough) -> list[dict]:
    """Messages until `enough` of them says so."""
    found: list[dict] = []
    async with asyncio.timeout(LIMIT_S):
        while not enough(found):
            intake = await source.read()
            assert len(intake.metas) == len(intake.messages)
            found += [msgspec.json.decode(message) for message in intake.messages]
    return found


async def read_to_the_end(source: OpcUaSource) -> tuple[list[dict], Disconnected]:
    """Messages until the connection is lost, and how it was."""
    found: list[dict] = []
    async with asyncio.timeout(LIMIT_S):
        while True:
            try:
                intake = await source.read()
            except Disconnected as error:
                return found, error
            found += [msgspec.json.decode(message) for message in intake.messages]


def good(machine: str = "P7") -> str:
    return f"ns=2;s={machine}.Good"


async def test_every_change_is_a_message_with_its_times_and_quality(tmp_path):
    async with PlantServer() as plant, watching(plant.endpoint, tmp_path, nodes=[good()]) as source:
        await read_until(source, lambda found: len(found) == 1)
        moment = datetime(2026, 11, 24, 9, 45, 0, 250_000, tzinfo=UTC)
        await plant["P7"].set("Good", 7, at=moment)
        await plant["P7"].set("Good", 8, at=moment, status=ua.StatusCodes.UncertainLastUsableValue)
        await plant["P7"].set("Good", 9, at=moment, status=ua.StatusCodes.BadSensorFailure)
        found = await read_until(source, lambda found: len(found) == 3)
    assert [(m["value"], m["quality"], m["status"]) for m in found] == [
        (7, "good", "Good"),
        (8, "uncertain", "UncertainLastUsableValue"),
        (None, "bad", "BadSensorFailure"),
    ]
    assert {m["source_time"] for m in found} == {"2026-11-24T09:45:00.250Z"}
    assert all(m["server_time"].endswith("Z") and m["node"] == good() and m["gap"] is False for m in found)


async def test_several_changes_are_one_intake_with_what_they_share(tmp_path):
    async with (
        PlantServer() as plant,
        watching(plant.endpoint, tmp_path, nodes=[good()], interval_ms=200) as source,
    ):
        await read_until(source, lambda found: found)
        await plant["P7"].produce(20)
        async with asyncio.timeout(LIMIT_S):
            intake = await source.read()
    assert [msgspec.json.decode(m)["value"] for m in intake.messages] == list(range(1, 21))
    assert intake.meta == {"opcua.endpoint": plant.endpoint, "opcua.application_uri": plant.application_uri}
    assert intake.metas[0] == {"opcua.node": good()}


async def test_an_intake_holds_no_more_than_its_limit(tmp_path):
    async with PlantServer() as plant:  # noqa: SIM117 - too long for one line
        async with watching(plant.endpoint, tmp_path, nodes=[good()], batch_max=7, interval_ms=200) as source:
            await read_until(source, lambda found: found)
            await plant["P7"].produce(20)
            async with asyncio.timeout(LIMIT_S):
                sizes = [len((await source.read()).messages) for _ in range(3)]
    assert sizes == [7, 7, 6]


async def test_a_core_that_falls_behind_loses_the_connection_and_not_a_change(tmp_path):
    async with (
        PlantServer() as plant,
        watching(plant.endpoint, tmp_path, nodes=[good()], queue_max=5, server_queue=1000) as source,
    ):
        await read_until(source, lambda found: found)
        await plant["P7"].produce(100)
        found, error = await read_to_the_end(source)
    values = [m["value"] for m in found]
    assert values == list(range(1, len(values) + 1))
    assert len(values) < 100
    assert "queue_max" in str(error)


async def test_a_refused_connection_is_disconnected(tmp_path):
    with pytest.raises(Disconnected, match="cannot connect"):
        async with watching(f"opc.tcp://127.0.0.1:{free_port()}", tmp_path, nodes=[good()]):
            pass


async def test_a_node_the_server_lacks_is_disconnected_and_named(tmp_path):
    async with PlantServer() as plant:
        with pytest.raises(Disconnected, match=r"ns=2;s=P8.Good \(BadNodeIdUnknown\)"):
            async with watching(plant.endpoint, tmp_path, nodes=[good("P8")]):
                pass


class Wire:
    """A relay between source and server that can fall silent."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.silent = False
        self._tasks: set[asyncio.Task] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.endpoint = f"opc.tcp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *error):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()

    async def _accept(self, reader, writer):
        there_reader, there = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, there]
        for one, other in ((reader, there), (there_reader, writer)):
            self._tasks.add(asyncio.create_task(self._pass(one, other)))

    async def _pass(self, reader, writer):
        while data := await reader.read(65536):
            if not self.silent:
                writer.write(data)
        writer.close()


async def test_a_dead_peer_is_noticed_within_seconds(tmp_path):
    async with PlantServer() as plant, Wire(plant.port) as wire:  # noqa: SIM117 - too long for one line
        async with watching(wire.endpoint, tmp_path, nodes=[good()]) as source:
            await read_until(source, lambda found: found)
            wire.silent = True
            async with asyncio.timeout(5):
                _, error = await read_to_the_end(source)
    assert "lost" in str(error)


async def test_a_peer_that_accepts_and_never_answers_is_disconnected(tmp_path):
    async with PlantServer() as plant, Wire(plant.port) as wire:
        wire.silent = True
        with pytest.raises(Disconnected):
            async with watching(wire.endpoint, tmp_path, nodes=[good()], timeout_s=0.5):
                pass


async def test_a_peer_that_announces_a_huge_message_is_cut_off(tmp_path):
    async def boast(reader, writer):
        await reader.read(1000)
        writer.write(b"ACKF" + (2**31).to_bytes(4, "little"))
        try:
            while True:
                writer.write(bytes(65536))
                await writer.drain()
                sent.append(65536)
        except ConnectionError:
            gone.set()

    sent, gone = [], asyncio.Event()
    server = await asyncio.start_server(boast, "127.0.0.1", 0)
    endpoint = f"opc.tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(Disconnected):
        async with watching(endpoint, tmp_path, nodes=[good()]):
            pass
    async with asyncio.timeout(LIMIT_S):
        await gone.wait()
    server.close()
    assert sum(sent) < 16 * 2**20


async def test_after_a_restart_of_the_server_a_new_source_goes_on(tmp_path):
    async with PlantServer() as plant:
        async with watching(plant.endpoint, tmp_path, nodes=[good()]) as source:
            await plant["P7"].produce(3)
            await read_until(source, lambda found: found and found[-1]["value"] == 3)
            await plant.stop()
            await read_to_the_end(source)
        await plant.start()
        async with watching(plant.endpoint, tmp_path, nodes=[good()]) as source:
            await plant["P7"].produce(1)
            found = await read_until(source, lambda found: found and found[-1]["value"] == 4)
    assert found


async def test_values_the_server_discarded_are_a_gap_and_counted(tmp_path, caplog):
    async with PlantServer() as plant, watching(plant.endpoint, tmp_path, nodes=[good()]) as source:
        await read_until(source, lambda found: found)
        await plant["P7"].set("Good", 9, status=0x0480)
        await plant["P7"].set("Good", 10)
        found = await read_until(source, lambda found: len(found) == 2)
    assert [(m["value"], m["gap"], m["quality"], m["status"]) for m in found] == [
        (9, True, "good", "Good"),
        (10, False, "good", "Good"),
    ]
    assert source.counters["gaps"] == 1
    assert [r.levelname for r in caplog.records if "changes are lost" in r.message] == ["ERROR"]


def subscriptions(plant: PlantServer):
    return list(plant.server.iserver.subscription_service.subscriptions.values())


async def test_a_lost_notification_is_asked_for_again_and_keeps_its_place(tmp_path):
    async with PlantServer() as plant, watching(plant.endpoint, tmp_path, nodes=[good()]) as source:
        await read_until(source, lambda found: found)
        lose_answers(source._feed, 1)
        await plant["P7"].produce(1)
        await until(lambda: not source._feed.losing)
        await plant["P7"].produce(1)
        found = await read_until(source, lambda found: len(found) == 2)
    assert [(m["value"], m["gap"]) for m in found] == [(1, False), (2, False)]
    assert {name: count for name, count in source.counters.items() if count} == {"republished": 1}


async def test_a_notification_that_stays_lost_is_a_gap_and_counted(tmp_path):
    async with PlantServer() as plant, watching(plant.endpoint, tmp_path, nodes=[good()]) as source:
        await read_until(source, lambda found: found)
        lose_answers(source._feed, 1)
        await plant["P7"].produce(1)
        await until(lambda: not source._feed.losing)
        for subscription in subscriptions(plant):
            subscription._not_acknowledged_results.clear()
        await plant["P7"].produce(1)
        found = await read_until(source, lambda found: found)
    assert [(m["value"], m["gap"]) for m in found] == [(2, True)]
    assert source.counters["gaps"] == 1


def lose_answers(feed: Feed, count: int) -> None:
    """Swallow the next answers that carry changes, and the sequence number with them."""
    session = feed._session
    feed.losing = count
    (number,) = session._subscription_callbacks

    async def lossy(result):
        if feed.losing and result.NotificationMessage.NotificationData:
            feed.losing -= 1
            # It was never received, so it is not acknowledged either.
            result.NotificationMessage.NotificationData = []
            return
        if not feed.losing:
            await feed.on_publish(result)

    session._subscription_callbacks[number] = lossy


async def until(true) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_subscription_that_the_server_ends_is_disconnected(tmp_path):
    async with PlantServer() as plant, watching(plant.endpoint, tmp_path, nodes=[good()]) as source:
        await read_until(source, lambda found: found)
        for subscription in subscriptions(plant):
            await subscription.enqueue_statuschange(ua.StatusCode(ua.StatusCodes.BadTimeout))
        await plant["P7"].produce(1)
        _, error = await read_to_the_end(source)
    assert "the subscription ended: BadTimeout" in str(error)


async def test_a_server_that_forgets_the_subscription_is_disconnected(tmp_path):
    async with PlantServer() as plant:  # noqa: SIM117 - too long for one line
        async with watching(plant.endpoint, tmp_path, nodes=[good()], timeout_s=0.5, alive_s=0.2) as source:
            await read_until(source, lambda found: found)
            for subscription in subscriptions(plant):
                await subscription.stop()
            _, error = await read_to_the_end(source)
    assert "says nothing" in str(error)


async def test_a_detector_says_what_an_order_made(tmp_path):
    rule = {
        "name": "parts",
        "counter": {"node": good(), "type": "uint16"},
        "context": {"order": "ns=2;s=P7.Order"},
        "emit": {"on_change_of": ["order"]},
        "settle_ms": 50,
    }
    async with PlantServer() as plant:
        await plant["P7"].change_order("4711")
        async with watching(plant.endpoint, tmp_path, detect=[rule]) as source:
            await until(lambda: len(source._feed._waiting) == 2)
            await plant["P7"].produce(5)
            await plant["P7"].change_order("4712")
            (first,) = await read_until(source, lambda found: found)
            await plant["P7"].produce(2)
            await until(lambda: len(source._feed._waiting) == 2)
            await plant.stop()
            (last,), _ = await read_to_the_end(source)
    assert (first["delta"], first["context"], first["gap"]) == (5, {"order": "4711"}, False)
    assert (last["delta"], last["context"], last["gap"]) == (2, {"order": "4712"}, True)


async def test_pieces_made_while_disconnected_are_counted_after_it(tmp_path):
    rule = {
        "name": "parts",
        "counter": {"node": good(), "type": "uint16"},
        "emit": {"every": "1s"},
        "settle_ms": 50,
    }
    async with PlantServer() as plant:
        async with watching(plant.endpoint, tmp_path, detect=[rule]) as source:
            await until(lambda: source._feed._waiting)
            await plant["P7"].produce(3)
            async with asyncio.timeout(LIMIT_S):
                intake = await source.read()
        await plant["P7"].produce(4)
        async with watching(plant.endpoint, tmp_path, detect=[rule], resume=intake.position) as source:
            found = await read_until(source, lambda found: found)
    assert msgspec.json.decode(intake.messages[0])["delta"] == 3
    assert (sum(m["delta"] for m in found), found[0]["gap"]) == (4, True)


async def test_a_value_of_any_type_is_json(tmp_path):
    async with PlantServer() as plant:
        node = await plant.variable("Any", 2**63 - 1, ua.VariantType.Int64)
        async with watching(plant.endpoint, tmp_path, nodes=["ns=2;s=Any"]) as source:
            (message,) = await read_until(source, lambda found: found)
            assert message["value"] == 2**63 - 1
            assert await node.read_value() == 2**63 - 1


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        (ua.Variant(True, ua.VariantType.Boolean), True),
        (ua.Variant(2**64 - 1, ua.VariantType.UInt64), 2**64 - 1),
        (ua.Variant(-(2**63), ua.VariantType.Int64), -(2**63)),
        (ua.Variant(0.1, ua.VariantType.Double), 0.1),
        (ua.Variant(0.10000000149011612, ua.VariantType.Float), 0.1),
        (ua.Variant([1.5, 0.10000000149011612], ua.VariantType.Float), [1.5, 0.1]),
        (ua.Variant(b"\x00\xff", ua.VariantType.ByteString), "AP8="),
        (
            ua.Variant(datetime(2026, 11, 24, 9, 45, tzinfo=UTC), ua.VariantType.DateTime),
            "2026-11-24T09:45:00.000Z",
        ),
        (ua.Variant(UUID(int=1), ua.VariantType.Guid), "00000000-0000-0000-0000-000000000001"),
        (ua.Variant([[1, 2], [3, 4]], ua.VariantType.Int32), [[1, 2], [3, 4]]),
        (ua.Variant(ua.LocalizedText("läuft"), ua.VariantType.LocalizedText), "läuft"),
        (ua.Variant(ua.QualifiedName("A", 2), ua.VariantType.QualifiedName), "2:A"),
        (ua.Variant(ua.NodeId("P7", 2), ua.VariantType.NodeId), "ns=2;s=P7"),
        (ua.Variant(ua.StatusCode(ua.StatusCodes.BadTimeout), ua.VariantType.StatusCode), "BadTimeout"),
        (ua.Variant(ua.Range(Low=0.0, High=9.5), ua.VariantType.ExtensionObject), {"Low": 0.0, "High": 9.5}),
        (ua.Variant(None, ua.VariantType.Null), None),
    ],
    ids=lambda given: given.VariantType.name if isinstance(given, ua.Variant) else "",
)
def test_a_variant_is_encoded_exactly(variant, expected):
    message = document("i=1", ua.DataValue(variant), gap=False)
    assert msgspec.json.decode(msgspec.json.encode(message))["value"] == expected
    assert message["quality"] == "good"


@pytest.mark.parametrize(
    ("value", "text"), [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")]
)
def test_a_number_that_is_none_is_text_and_uncertain(value, text):
    message = document("i=1", ua.DataValue(ua.Variant(value, ua.VariantType.Double)), gap=False)
    assert (message["value"], message["quality"]) == (text, "uncertain")


def test_a_structure_nobody_knows_is_kept_as_bytes():
    unknown = ua.ExtensionObject(ua.NodeId(4711, 2), b"\x01")
    assert Plain().of(unknown) == {"type_id": "ns=2;i=4711", "body": "AQ=="}


def test_a_value_that_is_nested_too_deep_is_cut_off_and_marked():
    value: object = 1
    for _ in range(10_000):
        value = [value]
    plain = Plain()
    assert str(plain.of(value)).count("[") == DEPTH_MAX
    assert plain.exact is False
    assert Plain().of(Decimal("1.10")) == "1.10"


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 3.4028234663852886e38, 1e-45, 16777217.0])
def test_the_shortest_text_of_a_small_float_is_the_same_float(value):
    import struct

    single = struct.unpack("<f", struct.pack("<f", value))[0]
    assert struct.pack("<f", shortest_single(single)) == struct.pack("<f", single)


@pytest.mark.parametrize(
    ("expected", "sequence", "ahead"),
    [(1, 1, 0), (1, 3, 2), (3, 2, -1), (2**32 - 1, 1, 1), (1, 2**32 - 1, -1), (2**32 - 1, 2**32 - 1, 0)],
)
def test_sequence_numbers_start_again_at_one(expected, sequence, ahead):
    assert _distance(expected, sequence) == ahead


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"nodes": ["i=1"]}, "no security"),
        ({"insecure": True}, "nothing to watch"),
        ({"nodes": ["i=1"], "insecure": True, "password": "x"}, "password without a user"),
        ({"nodes": ["P7"], "insecure": True}, "matching regex"),
        ({"nodes": ["i=1", "i=2"], "insecure": True, "queue_max": 1}, "do not fit"),
        ({"nodes": ["i=1"], "insecure": True, "interval": 3}, "interval"),
        ({"detect": [GAP], "insecure": True, "gaps": "message"}, "called gap"),
    ],
)
def test_a_wrong_configuration_is_refused_with_a_reason(settings, text):
    with pytest.raises(msgspec.ValidationError, match=text):
        msgspec.convert({"endpoint": "opc.tcp://h:4840"} | settings, OpcUaConfig, dec_hook=dec_hook)


def test_its_configuration_explains_itself():
    definitions = msgspec.json.schema(OpcUaConfig, schema_hook=lambda kind: {"type": "string"})["$defs"]
    mute = [
        f"{name}.{key}"
        for name, definition in definitions.items()
        for key, field in definition.get("properties", {}).items()
        if "description" not in field
    ]
    assert mute == []


async def test_an_insecure_connection_says_so_loudly(tmp_path, caplog):
    async with PlantServer() as plant, watching(plant.endpoint, tmp_path, nodes=[good()]):
        pass
    assert any(r.levelno == logging.WARNING and "INSECURE" in r.getMessage() for r in caplog.records)
    assert not [r for r in caplog.records if r.name.startswith("asyncua")]


def test_asyncua_is_not_imported_until_it_is_needed():
    import subprocess
    import sys

    code = "import sys, mfgroute.adapters.opcua; assert 'asyncua' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
