"""A target that answers as it is told, and what a sink makes of it."""

import asyncio
import socket
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web
from aiohttp.abc import AbstractResolver

from mfgroute.adapter import Request, dec_hook
from mfgroute.adapters.http import HttpSink, HttpSinkConfig

from .conftest import make_event

BY_KEY = {"by": "key"}
BY_LOOKUP = {"effect": {"by": "lookup"}, "ask": {"path": "/of/{key}"}}
NONE = {"by": "none", "accept": "at_most_once"}


class Erp:
    """A target that answers as it is told and remembers what it was sent."""

    def __init__(self):
        self.seen = []
        self.answer = lambda request: web.Response(status=201, headers={"Location": "/confirmations/1"})

    async def handle(self, request):
        self.seen.append((request.method, dict(request.headers), await request.read()))
        answer = self.answer(request)
        return await answer if asyncio.iscoroutine(answer) else answer


@asynccontextmanager
async def serving():
    target = Erp()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", target.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    target.root = f"http://127.0.0.1:{runner.addresses[0][1]}"
    target.url = f"{target.root}/confirmations"
    try:
        yield target
    finally:
        await runner.cleanup()


class NoBooks:
    async def posted(self, thing):
        raise AssertionError("a request of this adapter depends on nothing else")


def made(context, url, **more):
    """A sink; not yet open."""
    settings = {"url": url, "effect": BY_KEY, "allow_private": True} | more
    return HttpSink(msgspec.convert(settings, HttpSinkConfig, dec_hook=dec_hook), context)


async def posted(sink, *events):
    """Render each event and post it, as the runtime does."""
    outcomes = []
    for event in events:
        rendered = await sink.render(event, NoBooks())
        outcomes += await sink.post([rendered]) if isinstance(rendered, Request) else [rendered]
    return outcomes


@asynccontextmanager
async def opened(context, url, **more):
    sink = made(context, url, **more)
    try:
        await sink.open()
        yield sink
    finally:
        await sink.close()


async def write(context, url, *events, **more):
    async with opened(context, url, **more) as sink:
        return await posted(sink, *(events or [make_event()]))


async def one(context, url, **more):
    (outcome,) = await write(context, url, **more)
    return outcome


async def raw_server(behave):
    async def handle(reader, writer):
        try:
            await behave(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"


class Dns(AbstractResolver):
    """Gives the answers it is told to, one after the other."""

    def __init__(self, *answers):
        self.answers = list(answers)

    async def resolve(self, host, port=0, family=socket.AF_INET):
        address = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if address is None:
            raise OSError("no such name")
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                "proto": 0,
                "flags": 0,
            }
        ]

    async def close(self):
        pass


def named(context, dns, **more):
    return HttpSink(HttpSinkConfig(url="http://erp.example:8/x", **more), context, resolver=dns)
