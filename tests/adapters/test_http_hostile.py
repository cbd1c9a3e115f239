"""Targets that cut, hang, trickle, never end or send bombs: each is given up within its bounds."""

import asyncio
import gzip
import json
import resource
import zlib

import pytest
from aiohttp import web

from mfgroute.adapter import Request
from mfgroute.errors import Disconnected
from mfgroute.events import Absent, InDoubt, Refused, Retry

from .conftest import make_event
from .http_target import BY_LOOKUP, NONE, NoBooks, one, opened, raw_server

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 2", HEAD[:-2], HEAD, HEAD + b"x" * 99])
async def test_a_cut_after_sending_is_a_retry_by_key_and_else_in_doubt(context, sent):
    async def cut(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        await writer.drain()

    server, url = await raw_server(cut)
    async with server:
        assert isinstance(await one(context, url), Retry)
        assert isinstance(await one(context, url, effect={"by": "upsert"}), Retry)
        assert isinstance(await one(context, url, effect=NONE), InDoubt)
        assert isinstance(await one(context, url, **BY_LOOKUP), InDoubt)


@pytest.mark.parametrize("trickle", [False, True])
async def test_a_target_that_never_finishes_is_given_up(context, trickle):
    gone = asyncio.Event()

    async def hang(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        if trickle:
            writer.write(HEAD)
        while trickle and not gone.is_set():
            writer.write(b"x")
            try:
                await asyncio.wait_for(gone.wait(), 0.02)
            except TimeoutError:
                continue
        await gone.wait()

    server, url = await raw_server(hang)
    async with server:
        assert isinstance(await one(context, url, timeout_s=0.2, effect=NONE), InDoubt)
        assert isinstance(await one(context, url, timeout_s=0.2), Retry)
        gone.set()


async def test_an_endless_answer_is_not_read_to_its_end(context):
    written = 0

    async def endless(reader, writer):
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 422 No\r\nContent-Length: 1073741824\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
                written += 65536
        except ConnectionError:
            return

    server, url = await raw_server(endless)
    async with server:
        outcome = await one(context, url)
    assert isinstance(outcome, Refused)
    assert len(outcome.reason) <= 500
    assert written < 64 << 20


async def test_a_gzip_bomb_is_not_unpacked(context, erp):
    erp.answer = lambda _: web.Response(status=422, body=bomb(200), headers={"Content-Encoding": "gzip"})
    outcome = await one(context, erp.url)
    assert isinstance(outcome, Refused)
    assert erp.seen[0][1]["Accept-Encoding"] == "identity"


async def test_a_compressed_answer_is_understood(context, erp):
    body = gzip.compress(json.dumps({"detail": "no such order"}).encode())
    erp.answer = lambda _: web.Response(status=422, body=body, headers={"Content-Encoding": "gzip"})
    assert await one(context, erp.url) == Refused("http_422", "no such order")


async def endless(writer, first, again):
    """Write until the peer is gone; how much it took."""
    written = 0
    try:
        writer.write(first)
        while True:
            writer.write(again)
            await writer.drain()
            written += len(again)
    except ConnectionError:
        return written


ENDLESS = {
    "a body without a length": (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
    "chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"10000\r\n" + b"x" * 65536 + b"\r\n",
    ),
    "a header": (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 1000),
    "interim answers": (b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 1000),
    "a chunk extension": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 65536),
    "trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n" * 1000),
}


# What is thrown away as it comes is bounded by the time for an answer, the rest by its size.
BY_TIME = {"interim answers", "a chunk extension"}


@pytest.mark.parametrize("what", ENDLESS)
async def test_nothing_endless_is_read_for_long_or_taken_for_done(context, what):
    taken = asyncio.get_running_loop().create_future()

    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        taken.set_result(await endless(writer, *ENDLESS[what]))

    more = {"success": {"pointer": "/ok", "equals": True}, "timeout_s": 0.5, "response_max": "64KiB"}
    server, url = await raw_server(talk)
    async with server, asyncio.timeout(5):
        assert isinstance(await one(context, url, effect=NONE, **more), InDoubt)
        assert await taken < 64 << 20 or what in BY_TIME


NONSENSE = [
    b"SSH-2.0-OpenSSH_9.9\r\n",
    b"HTTP/1.1 999999 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\nxx",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"\x00" * 100,
]


@pytest.mark.parametrize("said", NONSENSE)
async def test_nonsense_is_a_lost_answer(context, said):
    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()

    more = {"success": {"pointer": "/ok", "equals": True}}
    server, url = await raw_server(talk)
    async with server:
        assert isinstance(await one(context, url, effect=NONE, **more), InDoubt)
        assert isinstance(await one(context, url, **more), Retry)


async def test_a_target_that_hangs_before_tls_stands_was_sent_nothing(context):
    gone = asyncio.Event()

    async def hang(reader, writer):
        await gone.wait()

    server, url = await raw_server(hang)
    async with server:
        with pytest.raises(Disconnected) as failure:
            await one(context, url.replace("http:", "https:"), effect=NONE, connect_timeout_s=0.2)
        gone.set()
    assert failure.value.sent is False


@pytest.mark.parametrize("times", [1, 3])
async def test_a_hanging_target_that_is_asked_is_asked_again_and_holds_nobody_else(context, times):
    """What hangs is one request; others to the same target go on."""
    gone, count = asyncio.Event(), 0

    async def talk(reader, writer):
        nonlocal count
        await reader.readuntil(b"\r\n\r\n")
        count += 1
        if count <= times:
            await gone.wait()
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    server, url = await raw_server(talk)
    async with server, opened(context, url, timeout_s=0.2, **BY_LOOKUP) as sink:
        asked = [asyncio.create_task(sink.ask(Request(key=f"k{n}", body=b""))) for n in range(times + 1)]
        said = await asyncio.gather(*asked)
        gone.set()
    assert sum(isinstance(one, Retry) for one in said) == times
    assert sum(one == Absent() for one in said) == 1


@pytest.mark.parametrize("where", ["http://169.254.169.254/x", "file:///etc/passwd", "/x", "//localhost:1/"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_of_any_kind_is_followed_by_any_request(context, erp, where, status):
    erp.answer = lambda _: web.Response(status=status, headers={"Location": where})
    more = {"follow": {"done": {"pointer": "/x"}, "refused": {"pointer": "/y"}}}
    async with opened(context, erp.url, **BY_LOOKUP, **more) as sink:
        request = await sink.render(make_event(), NoBooks())
        outcomes = [
            *await sink.post([request]),
            await sink.ask(request),
            await sink.follow(request, "/jobs/1"),
        ]
    assert len(erp.seen) == 3
    assert all(isinstance(one, InDoubt | Refused) for one in outcomes), outcomes


def bomb(mebibytes):
    """Zeros as gzip: one block of a MiB that needs nothing before it, again and again."""
    machine = zlib.compressobj(9, wbits=-15)
    block = machine.compress(bytes(1 << 20)) + machine.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + block * mebibytes


async def test_a_gibibyte_in_a_mebibyte_is_not_kept_in_memory(context, erp):
    body = bomb(1024)
    assert len(body) < 2 << 20
    erp.answer = lambda _: web.Response(status=422, body=body, headers={"Content-Encoding": "gzip"})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert isinstance(await one(context, erp.url, response_max="4MiB"), Refused)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10, "KiB on Linux"
