"""The router with the engine of the extension."""

import asyncio
import json

import pytest
from fakes_runtime import NODE, QUICK, FakeSink, FakeSource

from mfgroute.events import Intake
from mfgroute.observe.metrics import Metrics
from mfgroute.runtime.app import Router

PROJECT = (
    NODE
    + """\
streams: {business: {durability: memory, capacity: 64MiB}}
sources:
  plant: {adapter: fake, mappings: [done]}
sinks:
  erp: {adapter: fake, limits: {in_flight: 8}}
routes:
  - {name: all, match: {type: ">"}, to: erp}
"""
)
CONTRACT = """\
type: production.done
version: 1.0.0
kind: event
stream: business
owner: tests
lifecycle: {status: active}
key: {order: [data.order]}
idempotency: [data.id]
schema:
  type: object
  required: [id, order]
  additionalProperties: false
  properties:
    id: {type: string, minLength: 1}
    order: {type: string, minLength: 1}
"""
MAPPING = """\
from: {decode: json}
time: {meta: received}
emit:
  - to: production.done/1
    fields:
      id: {path: id}
      order: {path: order}
"""


@pytest.fixture
def root(project):
    folder = project(PROJECT)
    for name, text in (("contracts/production.done.v1.yaml", CONTRACT), ("mappings/done.yaml", MAPPING)):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    FakeSource.reset()
    FakeSink.reset()
    return folder


def message(number, order="4711"):
    return json.dumps({"id": f"m{number}", "order": order}).encode()


async def delivered(router, count):
    async with asyncio.timeout(20):
        while len(FakeSink.written) < count:
            await FakeSink.seen.get()


async def test_events_of_a_key_arrive_in_order_and_everything_is_accounted_for(root, registry):
    async with Router(root, adapters=registry, tempo=QUICK) as router:
        messages = [message(number, f"order-{number % 7}") for number in range(500)]
        FakeSource.feed.put_nowait(Intake(messages=[*messages, b"{bad", messages[0]]))
        _, receipt = await FakeSource.acked.get()
        assert (receipt.accepted, receipt.rejected, receipt.duplicates) == (500, 1, 1)
        await delivered(router, 500)
        stats = router.engine.stats()
        assert stats["unaccounted"] == 0
        text = Metrics(router.engine.stats, router.pulses).expose().decode()
        assert 'mfgroute_rejected_total{code="bad_json",source="plant"} 1.0' in text
        assert await router.stop() == 0


async def test_a_slab_is_taken_whole(root, registry):
    async with Router(root, adapters=registry, tempo=QUICK) as router:
        slab = b"\n".join(message(number, f"o{number}") for number in range(20_000)) + b"\n"
        FakeSource.feed.put_nowait(Intake(slab=slab))
        _, receipt = await FakeSource.acked.get()
        assert receipt.accepted == 20_000
        assert await router.stop(drain_timeout_s=60) == 0
    assert len(FakeSink.written) == 20_000


async def test_a_lone_event_leaves_an_idle_node_within_a_second(root, registry):
    loop = asyncio.get_running_loop()
    async with Router(root, adapters=registry) as router:
        for number in range(200):
            began = loop.time()
            await router.submit("plant", [message(number)])
            await delivered(router, number + 1)
            assert loop.time() - began < 0.4, "found by the timer and not by the wake-up"
