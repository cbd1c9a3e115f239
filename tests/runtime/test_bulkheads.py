"""Real targets over HTTP that hang, are slow, say when to come again, or fail; and a real engine."""

import asyncio
from collections import Counter
from email.utils import formatdate
from time import time

import pytest
from aiohttp import web
from fakes_runtime import NODE, QUICK, FakeSource, until
from msgspec.structs import replace
from test_real_engine import CONTRACT, MAPPING, message

from mfgroute.adapters.http import HttpSink
from mfgroute.observe import health
from mfgroute.observe.metrics import Metrics
from mfgroute.registry import Registry
from mfgroute.runtime.app import Router

PROJECT = (
    NODE
    + """\
streams: {business: {durability: memory, capacity: 64MiB}}
sources:
  plant: {adapter: fake, mappings: [done]}
sinks:
  erp:
    adapter: http
    url: URL/erp
    allow_private: true
    effect: {by: key}
    limits: {in_flight: 4}
    retry: {delay_max: 1s}
  wms:
    adapter: http
    url: URL/wms
    allow_private: true
    effect: {by: key}
    limits: {in_flight: 4}
    retry: {delay_max: 1s}
routes:
  - {name: all, match: {type: ">"}, to: [erp, wms]}
"""
)


class Targets:
    """Two targets behind one address.

    Attributes:
        seen: requests by path.
        most: most requests of a path at the same time.
        answers: what a path answers; it is called with the number of the request.
        gate: what a hanging answer waits for.
    """

    def __init__(self):
        self.seen, self.most, self._now = Counter(), Counter(), Counter()
        self.answers, self.gate = {}, asyncio.Event()

    async def handle(self, request):
        path = request.path
        await request.read()
        self.seen[path] += 1
        self._now[path] += 1
        self.most[path] = max(self.most[path], self._now[path])
        try:
            answer = self.answers.get(path)
            if answer is None:
                return web.Response(status=201)
            return await answer(self.seen[path])
        finally:
            self._now[path] -= 1


@pytest.fixture
async def targets():
    made = Targets()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    made.gate.set()
    await runner.cleanup()


@pytest.fixture
def node(project, targets):
    folder = project(PROJECT.replace("URL", targets.url))
    for name, text in (("contracts/production.done.v1.yaml", CONTRACT), ("mappings/done.yaml", MAPPING)):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    FakeSource.reset()
    registry = Registry({"fake": FakeSource}, {"http": HttpSink})
    tempo = replace(QUICK, pause_first_s=0.2, pause_max_s=0.4)
    return Router(folder, adapters=registry, tempo=tempo)


async def submit(router, count):
    await router.submit("plant", [message(number, f"order-{number}") for number in range(count)])


async def test_a_target_of_which_half_the_requests_hang_holds_its_own_places_and_no_others(
    node, targets, monkeypatch
):
    monkeypatch.setattr(health, "STUCK_S", 0.2)

    async def half(number):
        if number % 2:
            await targets.gate.wait()
        return web.Response(status=201)

    targets.answers["/erp"] = half
    async with node:
        await submit(node, 200)
        await until(lambda: targets.seen["/wms"] == 200)
        await until(lambda: targets.seen["/erp"] == 7)
        assert targets.most["/erp"] == 4
        await until(lambda: not node.health().ready)
        (problem,) = node.health().problems
        assert problem.startswith("sink erp has work and made no progress")
        targets.gate.set()
        await until(lambda: targets.seen["/erp"] == 200)
        await until(lambda: node.health().ready)


@pytest.mark.parametrize(
    ("value", "least_s", "most_s"),
    [
        ("0", 0.0, 2.0),
        ("1", 0.5, 2.0),
        ("3600", 3590.0, 3600.0),
        ("999999999", 3590.0, 3600.0),
        ("soon", 0.0, 2.0),
        ("date", 90.0, 101.0),
    ],
)
async def test_an_event_waits_as_long_as_its_target_says_but_no_longer_than_an_hour(
    node, targets, value, least_s, most_s
):
    async def busy(number):
        said = formatdate(time() + 100, usegmt=True) if value == "date" else value
        return web.Response(status=429 if number == 1 else 201, headers={"Retry-After": said})

    targets.answers["/erp"] = busy
    async with node:
        await submit(node, 1)
        await until(lambda: targets.seen["/wms"] == 1)
        if least_s == 0.0:
            await until(lambda: targets.seen["/erp"] == 2)
            return
        await until(lambda: node.engine.next_due_s("erp") is not None)
        assert least_s <= node.engine.next_due_s("erp") <= most_s
        await node.stop(drain_timeout_s=0.0)
        assert targets.seen["/erp"] == 1


async def test_a_target_that_fails_is_left_alone_and_said_to_be_and_gets_all_when_it_is_well(node, targets):
    ill = True

    async def fail(number):
        return web.Response(status=500 if ill else 201, text="out of memory")

    targets.answers["/erp"] = fail
    async with node:
        await submit(node, 60)
        await until(lambda: any("breaker is open" in one for one in node.health().problems))
        assert 10 <= targets.seen["/erp"] <= 16
        (problem,) = node.health().problems
        assert "10 of 10 requests failed within 30 s, the last: http_500: out of memory" in problem
        shown = Metrics(node.engine.stats, node.pulses).expose().decode()
        assert 'mfgroute_sink_held{by="breaker",sink="erp"} 1.0' in shown
        assert 'mfgroute_sink_held{by="breaker",sink="wms"} 0.0' in shown
        assert 'mfgroute_sink_breaker_opened_total{sink="erp"} 1.0' in shown
        await until(lambda: targets.seen["/wms"] == 60)
        ill = False
        await until(lambda: node.queued()["erp"] == 0)
        assert node.health().ready
        assert node.health().notes == []
