"""Targets that cut, hang, trickle, never end or send bombs: each is given up within its bounds."""

import asyncio
import gzip
import json

import pytest
from aiohttp import web

from mfgroute.events import InDoubt, Refused, Retry

from .http_target import BY_LOOKUP, NONE, one, raw_server

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
    bomb = gzip.compress(bytes(200 << 20))
    erp.answer = lambda _: web.Response(status=422, body=bomb, headers={"Content-Encoding": "gzip"})
    outcome = await one(context, erp.url)
    assert isinstance(outcome, Refused)
    assert erp.seen[0][1]["Accept-Encoding"] == "identity"


async def test_a_compressed_answer_is_understood(context, erp):
    body = gzip.compress(json.dumps({"detail": "no such order"}).encode())
    erp.answer = lambda _: web.Response(status=422, body=body, headers={"Content-Encoding": "gzip"})
    assert await one(context, erp.url) == Refused("http_422", "no such order")
