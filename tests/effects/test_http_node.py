"""A node that posts over HTTP: what a target that forgets keys, or leads elsewhere, leaves behind for people to find."""

import asyncio
import json
import time
from contextlib import asynccontextmanager
from random import Random

import pytest
from aiohttp import web

from mfgroute.api.node import Router
from mfgroute.runtime.deliver import Deliver
from mfgroute.runtime.tempo import Tempo
from tests.effects.test_node import DONE, PROJECT, done, read, settled
from tests.effects.test_node import run as run  # noqa: PLC0414 - a fixture of that file

HOUR_S = 3600.0
SINKS = """\
sinks:
  sap:
    adapter: http
    url: URL
    allow_private: true
    effect: {by: key, kept: 24h}
    limits: {retries: {share: 100, least: 1000/s}}
    owner: tests
"""


class Server:
    """A target, up or down, at one address."""

    def __init__(self):
        self.seen, self.port, self.answer = [], 0, lambda _: web.Response(status=201)

    async def _handle(self, request):
        self.seen.append((request.headers.get("Idempotency-Key"), await request.read()))
        return self.answer(request)

    @asynccontextmanager
    async def up(self):
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        self.port = runner.addresses[0][1]
        try:
            yield f"http://127.0.0.1:{self.port}/confirmations"
        finally:
            await runner.cleanup()


def cut(request):
    """Take it, and close the connection without an answer."""
    request.transport.abort()
    return web.Response()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inbox").mkdir()
    return tmp_path


async def until(true):
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


def write(folder, url):
    before, _, rest = PROJECT.partition("sinks:\n")
    routes = rest[rest.index("routes:") :].splitlines()
    text = before.replace("mappings: [done, received]", "mappings: [done]")
    text += SINKS.replace("URL", url) + "\n".join(routes[:2]) + "\n"
    (folder / "mfgroute.yaml").write_text(text)
    (folder / "mappings").mkdir(exist_ok=True)
    (folder / "mappings" / "done.yaml").write_text(DONE)


@pytest.fixture
def node(folder, monkeypatch):
    """Makes a node whose clock is so many seconds ahead of the log's first records."""

    def make(ahead_s=0.0):
        monkeypatch.setitem(Deliver.__init__.__kwdefaults__, "wall", lambda: time.time() + ahead_s)
        return Router(folder, tempo=Tempo(poll_s=0.02, drain_timeout_s=0.1), random=Random(1))

    return make


@pytest.mark.parametrize(("away_s", "sent"), [(23 * HOUR_S, 2), (25 * HOUR_S, 1)])
async def test_what_was_sent_before_an_outage_is_sent_again_only_while_its_key_is_known(
    folder, node, run, away_s, sent
):
    target = Server()
    target.answer = cut
    async with target.up() as url:
        write(folder, url)
        async with node() as router:
            await router.submit("mes", [done(1)])
            await until(lambda: target.seen)
    # The target is down, and so is the node. When they are back, the target has forgotten the key, or not.
    target.answer = lambda _: web.Response(status=201, headers={"Location": "/confirmations/49-1"})
    before = len(target.seen)
    async with target.up(), node(away_s) as router:
        await settled(router)
        found = (await read(run, "effects", "list", "--sink", "sap"))["effects"]
        later = target.seen[before:]
        if sent == 1:
            assert later == []
            assert [one["state"] for one in found] == ["in_doubt"]
            assert "the target knows a key for 86400 s" in found[0]["reason"]
            parked = await read(run, "parked", "list")
            assert "in_doubt" in json.dumps(parked)
        else:
            assert later == [target.seen[0]], "the same key and bytes"
            assert [one["state"] for one in found] == ["posted"]


@pytest.mark.parametrize(
    "place", ["http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "ELSEWHERE", "/x"]
)
async def test_a_redirect_is_on_record_with_where_it_led_and_nobody_went_there(folder, node, run, place):
    target, elsewhere = Server(), Server()
    async with target.up() as url, elsewhere.up() as other:
        where = other if place == "ELSEWHERE" else place
        target.answer = lambda _: web.Response(status=307, headers={"Location": where})
        write(folder, url)
        async with node() as router:
            await router.submit("mes", [done(1)])
            await settled(router)
        async with node() as router:
            await settled(router)
            (one,) = (await read(run, "effects", "list", "--sink", "sap"))["effects"]
            assert (one["state"], one["code"]) == ("refused", "http_307")
            assert where in one["reason"]
            (shown,) = await read(run, "effects", "show", one["id"])
            assert [line["state"] for line in shown["history"]] == ["intent", "refused"]
            assert "http_307" in json.dumps(await read(run, "parked", "list"))
    assert (len(target.seen), elsewhere.seen) == (1, [])
