import asyncio
import io
import json
import os
import socket
import stat
from random import Random

import aiohttp
import pytest
from fakes_runtime import NODE, QUICK, FakeSink, message

from mfgroute._core import Receipt, Reject
from mfgroute.api import protocol
from mfgroute.api.body import SINGLE_BYTES_MAX
from mfgroute.api.client import Control, NotRunning, Refused
from mfgroute.api.node import Router
from mfgroute.errors import CannotListen, ConfigError, Full, UnknownName

pytestmark = pytest.mark.usefixtures("fake_core")

PROJECT = (
    NODE
    + """\
http: {listen: "127.0.0.1:0"}
streams: {business: {durability: memory}}
sources:
  mes: {adapter: box, token: canary-token-4711}
  open: {adapter: box}
  plant: {adapter: fake}
sinks:
  erp: {adapter: fake}
"""
)
TOKEN = {"Authorization": "Bearer canary-token-4711"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def node(project, registry):
    async with Router(project(PROJECT), adapters=registry, tempo=QUICK, random=Random(1)) as router:
        async with asyncio.timeout(5):
            while any(pulse.state != "up" for pulse in router.pulses()):  # noqa: ASYNC110 - as in test_router
                await asyncio.sleep(0)
        yield router


@pytest.fixture
async def http(node):
    async with aiohttp.ClientSession(f"http://127.0.0.1:{node.address[1]}") as session:
        yield session


async def post(http, name="open", body=None, headers=JSON, **more):
    async with http.post(
        f"/v1/sources/{name}", data=message("a") if body is None else body, headers=headers, **more
    ) as answer:
        return answer.status, await answer.json(content_type=None), answer.headers


async def test_a_message_is_taken_with_202_and_the_receipt(node, http):
    status, receipt, headers = await post(http)
    assert status == 202
    assert receipt == {
        "accepted": 1,
        "rejected": 0,
        "duplicates": 0,
        "filtered": 0,
        "dropped": 0,
        "level": "memory",
    }
    assert headers["Cache-Control"] == "no-store"
    assert "Server" not in headers
    assert await FakeSink.seen.get() == ["a"]


async def test_headers_become_attributes_but_those_that_prove_the_sender_do_not(node, http):
    headers = {**JSON, **TOKEN, "X-Line": "7", "Cookie": "canary=1"}
    assert (await post(http, "mes", headers=headers))[0] == 202
    meta = node.engine.submits[-1][2]
    assert meta["http.header.x-line"] == "7"
    assert meta["http.header.content-type"] == "application/json"
    assert "canary" not in str(meta)


@pytest.mark.parametrize("ack", ["memory"])
async def test_the_level_asked_for_reaches_the_engine(node, http, ack):
    assert (await post(http, params={"ack": ack}))[0] == 202
    assert node.engine.submits[-1][3] == ack


@pytest.mark.parametrize(
    ("kind", "body", "accepted"),
    [
        ("application/x-ndjson", b"\n".join(message(f"l{n}") for n in range(7)), 7),
        ("application/cloudevents-batch+json", b'[{"id": "1", "n": 1.10}, {"id": "2"}]', 2),
        ("application/cloudevents+json; charset=UTF-8", message("c"), 1),
        ("application/json; charset=utf-8", message("d"), 1),
    ],
)
async def test_each_media_type_is_taken(node, http, kind, body, accepted):
    status, receipt, _ = await post(http, body=body, headers={"Content-Type": kind})
    assert (status, receipt["accepted"]) == (202, accepted)
    if "batch" in kind:
        assert node.engine.submits[-1][1] == [b'{"id": "1", "n": 1.10}', b'{"id": "2"}']


CHUNKS = SINGLE_BYTES_MAX // 65536 + 2


async def endless():
    for _ in range(CHUNKS):
        yield b"x" * 65536


@pytest.mark.parametrize(
    ("arguments", "status", "detail"),
    [
        ({"name": "nobody"}, 404, "no source that takes HTTP is called nobody"),
        ({"name": "plant"}, 404, "no source that takes HTTP is called plant"),
        ({"name": "mes"}, 401, "the source needs a bearer token"),
        (
            {"name": "mes", "headers": {**JSON, "Authorization": "Bearer x"}},
            403,
            "this token does not open the source",
        ),
        ({"params": {"ack": "soon"}}, 400, "`ack` is soon, expected one of memory, durable, sealed"),
        (
            {"params": {"ack": "durable"}},
            400,
            "`ack` is durable, and this node keeps its streams in memory only",
        ),
        ({"headers": {"Content-Type": "text/plain"}}, 415, "content type is text/plain, expected one of"),
        ({"headers": {**JSON, "Content-Encoding": "gzip"}}, 415, "content encoding is gzip, expected none"),
        (
            {"headers": {"Content-Type": "application/json; charset=latin-1"}},
            415,
            "charset is latin-1, expected utf-8",
        ),
        ({"body": b""}, 400, "the body is empty"),
        ({"body": b"nonsense"}, 400, "the body is malformed"),
        ({"body": io.BytesIO(b"x" * (SINGLE_BYTES_MAX + 1))}, 413, "the body has more than 1048576 bytes"),
        (
            {"body": b"{}", "headers": {"Content-Type": "application/cloudevents-batch+json"}},
            400,
            "not a JSON array",
        ),
        (
            {"body": b"[]", "headers": {"Content-Type": "application/cloudevents-batch+json"}},
            400,
            "the batch has no events",
        ),
        (
            {"body": b"a\nb\n", "headers": {"Content-Type": "application/x-ndjson"}},
            422,
            "every message was rejected",
        ),
        ({"headers": {**JSON, "X-Long": "x" * 17000}}, 431, "headers of"),
        ({"params": {"ack": "x" * 9000}}, 414, "the address is longer than 8192 bytes"),
    ],
)
async def test_what_is_not_taken_is_a_problem_that_says_why(node, http, arguments, status, detail):
    found, problem, headers = await post(http, **arguments)
    assert (found, problem["status"]) == (status, status)
    assert detail in problem["detail"]
    assert headers["Content-Type"] == "application/problem+json"
    assert "canary" not in json.dumps(problem)


async def test_a_body_without_end_is_cut_off_while_it_streams(node, http):
    status, _, _ = await post(http, body=endless())
    assert status == 413
    assert node.engine.submits == []


async def test_rejects_are_listed_with_their_places(node, http, monkeypatch):
    rejects = [
        Reject(
            0, "contract_invalid", item=2, pointer="/qty", field="quantity.good", found="-1", expected=">= 0"
        )
    ]
    monkeypatch.setattr(node.engine, "submit", lambda *_, **__: Receipt(rejected=1, rejects=rejects))
    status, problem, _ = await post(http)
    assert status == 422
    assert problem["errors"] == [
        {
            "message": 0,
            "item": 2,
            "code": "contract_invalid",
            "pointer": "/qty",
            "field": "quantity.good",
            "found": "-1",
            "expected": ">= 0",
        }
    ]
    monkeypatch.setattr(
        node.engine, "submit", lambda *_, **__: Receipt(accepted=1, rejected=1, rejects=rejects)
    )
    status, receipt, _ = await post(http)
    assert (status, receipt["errors"][0]["code"]) == (202, "contract_invalid")


async def test_the_same_identity_with_another_content_is_a_conflict(node, http, monkeypatch):
    rejects = [Reject(0, "conflict", found="", expected="")]
    monkeypatch.setattr(node.engine, "submit", lambda *_, **__: Receipt(rejected=1, rejects=rejects))
    assert (await post(http))[0] == 409


async def test_without_room_the_sender_is_told_when_to_come_again(node, http):
    node.engine.capacity = 0
    status, problem, headers = await post(http)
    assert (status, headers["Retry-After"]) == (503, "1")
    assert "stream business is full" in problem["detail"]


async def test_a_source_that_is_full_is_told_so_by_429(node, http, monkeypatch):
    def full(*_, **__):
        raise Full("source open holds 100 rejects", what="source open")

    monkeypatch.setattr(node.engine, "submit", full)
    status, _, headers = await post(http)
    assert (status, headers["Retry-After"]) == (429, "1")


async def test_while_a_node_drains_it_takes_nothing_and_is_not_ready(node, http):
    node.draining = True
    assert (await post(http))[0] == 503
    async with http.get("/readyz") as answer:
        assert answer.status == 503
    async with http.get("/livez") as answer:
        assert answer.status == 200
    node.draining = False


async def raw(node, text):
    reader, writer = await asyncio.open_connection(*node.address)
    writer.write(text)
    answer = await reader.readuntil(b"\r\n")
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez HTTP/1.1\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n",
        b"POST /v1/sources/open HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"POST /v1/sources/open HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n",
        b"POST /v1/sources/open HTTP/1.1\r\nHost: a\r\nContent-Length: -2\r\n",
        b"GET / nonsense\r\n",
    ],
)
async def test_a_request_that_two_readers_could_understand_differently_is_refused(node, head):
    assert b" 400 " in await raw(node, head + b"\r\n")


async def test_a_body_without_a_length_is_refused(node):
    head = b"POST /v1/sources/open HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\r\n"
    assert b" 411 " in await raw(node, head)


async def test_a_head_without_end_is_cut_off(node):
    reader, writer = await asyncio.open_connection(*node.address)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"x" * 70_000)
    assert b" 431 " in await reader.readuntil(b"\r\n")
    writer.close()
    assert b" 431 " in await raw(node, b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"X: x\r\n" * 20_000)


async def test_a_head_that_comes_too_slowly_is_cut_off(node, monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", 0.05)
    assert b" 408 " in await raw(node, b"GET /livez HT")


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET /livez HTTP/9.9\r\nHost: a\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"x" * 17_000 + b"\r\n\r\n", 431),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"x" * 70_000, 431),
    ],
)
async def test_what_is_no_request_is_answered_like_any_other_problem_and_ends_the_connection(
    node, text, status
):
    reader, writer = await asyncio.open_connection(*node.address)
    writer.write(text)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    lines = [line.lower() for line in head.split(b"\r\n")]
    assert lines[0].startswith(b"http/1.1 %d " % status)
    assert b"content-type: application/problem+json" in lines
    assert b"connection: close" in lines
    assert f"content-length: {len(body)}".encode() in lines
    problem = json.loads(body)
    assert (problem["status"], bool(problem["detail"])) == (status, True)


async def test_a_connection_serves_one_request_after_the_other(node):
    reader, writer = await asyncio.open_connection(*node.address)
    for _ in range(3):
        writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b" 200 " in await reader.readuntil(b"\r\n")
        await reader.readuntil(b'"alive"}')
    writer.close()


async def test_health_metrics_and_description_are_served(node, http):
    async with http.get("/livez") as answer:
        assert answer.status == 200
    async with http.get("/readyz") as answer:
        assert (answer.status, (await answer.json())["status"]) == (200, "ready")
    async with http.get("/metrics") as answer:
        assert 'mfgroute_source_up{source="open"} 1.0' in await answer.text()
    async with http.get("/openapi.json") as answer:
        assert "/v1/sources/{name}" in (await answer.json())["paths"]
    async with http.get("/nowhere") as answer:
        assert (answer.status, (await answer.json(content_type=None))["status"]) == (404, 404)


async def test_readiness_turns_red_when_a_part_is_down(node, http):
    node.pulses()[0].enter("down", "KeyError")
    async with http.get("/readyz") as answer:
        assert answer.status == 503
        assert "is down" in (await answer.json())["problems"][0]


async def test_a_failure_of_ours_is_500_without_its_inside(node, http, monkeypatch):
    monkeypatch.setattr(node, "health", lambda: {}["canary"])
    async with http.get("/readyz") as answer:
        assert answer.status == 500
        assert "canary" not in await answer.text()


async def test_a_port_in_use_says_so(project, registry):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        router = Router(project(PROJECT.replace("127.0.0.1:0", f"127.0.0.1:{port}")), adapters=registry)
        with pytest.raises(CannotListen, match=f"cannot listen on 127.0.0.1:{port}: the address is in use"):
            await router.start()


async def ask(node, verb, **arguments):
    def talk():
        with Control(node.data_dir, timeout_s=5) as control:
            return control.ask(verb, **arguments)

    return await asyncio.to_thread(talk)


async def test_the_control_socket_is_for_its_owner_only(node):
    mode = (node.data_dir / "control.sock").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


async def test_the_control_socket_says_how_it_goes(node):
    status = await ask(node, "status")
    assert status["node"] == "core-1"
    assert status["pid"] == os.getpid()
    assert {part["name"] for part in status["parts"]} == {"mes", "open", "plant", "erp"}
    assert status["ready"]
    assert (await ask(node, "health"))["ready"]
    assert "sinks" in await ask(node, "stats")


async def test_commands_reach_the_engine(node):
    assert await ask(node, "pause", sink="erp") == {"sink": "erp", "paused": True}
    assert node.engine.paused == {"erp"}
    await ask(node, "resume", sink="erp")
    assert node.engine.paused == set()
    assert await ask(node, "find", query="order/DE04/4711") == {"query": "order/DE04/4711"}
    found = await ask(node, "dead_letters", request={"kind": "parked", "verb": "list", "who": "forged"})
    assert found == {"asked": {"kind": "parked", "verb": "list", "who": f"uid {os.getuid()}"}}
    inbox = await ask(node, "inbox")
    assert inbox["waiting"]["asked"]["kind"] == "inbox"
    receipt = await ask(node, "submit", source="plant", messages=[message("z").decode()])
    assert receipt["accepted"] == 1


async def test_a_command_that_cannot_be_done_is_refused_with_its_reason(node):
    with pytest.raises(UnknownName, match="no sink is called `nope`"):
        await ask(node, "pause", sink="nope")
    with pytest.raises(Refused, match="needs `query`"):
        await ask(node, "find")
    with pytest.raises(Refused, match="no such verb"):
        await ask(node, "dance")
    with pytest.raises(Refused, match="`dead_letters` needs a `request`"):
        await ask(node, "dead_letters")


async def test_a_reload_by_command_reports_every_problem(node, project):
    [warning] = (await ask(node, "reload"))["warnings"]
    assert "`sources.open` has no `token`" in warning["message"]
    await ask(node, "reload", discard=["wms"])
    assert node.engine.discarded == ["wms"]
    with pytest.raises(Refused, match="`discard` is a list of sinks"):
        await ask(node, "reload", discard="wms")
    project(PROJECT + "stream: 1\n")
    with pytest.raises(ConfigError, match="unknown key `stream`"):
        await ask(node, "reload")


async def test_a_data_folder_with_a_long_name_has_a_control_socket_too(project, registry, tmp_path):
    folder = tmp_path / ("x" * 100)
    router = Router(project(PROJECT), data_dir=folder, adapters=registry, tempo=QUICK)
    async with router:
        assert (await ask(router, "status"))["node"] == "core-1"
    assert not (folder / "control.sock").exists()
    with pytest.raises(NotRunning):
        Control(folder)
