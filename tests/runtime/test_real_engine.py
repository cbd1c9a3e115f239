"""The router with the engine of the extension."""

import asyncio
import json
from collections import defaultdict
from typing import ClassVar

import pytest
from fakes_runtime import NODE, QUICK, FakeSink, FakeSource, until

from mfgroute.events import Intake, Retry
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


class Asking(FakeSink):
    """Keeps what it was told to ask with."""

    unsettled: ClassVar[list] = []

    def __init__(self, config, context):
        super().__init__(config, context)
        self.unsettled.append(context.unsettled)


async def test_a_sink_is_told_what_the_log_has_not_noted(root):
    file = root / "mfgroute.yaml"
    file.write_text(file.read_text().replace("durability: memory", "durability: fsync, when_full: block"))
    Asking.reset()
    Asking.gate = asyncio.Event()
    registry = Registry(sources={"fake": FakeSource}, sinks={"fake": Asking})
    async with Router(root, adapters=registry, tempo=QUICK) as router, asyncio.timeout(20):

        def counts():
            return router.engine.stats()["sinks"]["erp"]

        FakeSource.feed.put_nowait(Intake(messages=[message(number, f"o{number}") for number in range(40)]))
        await until(lambda: len(Asking.written) == 8)
        # What is being written is not answered yet.
        (unsettled,) = Asking.unsettled
        assert (unsettled(), counts()["in_flight"]) == (0, 8)
        # What somebody else has polled may be anything: it is told as not noted.
        with router.engine.poll("erp", events_max=3) as batch:
            assert (len(batch), unsettled()) == (3, 3)
            batch.release()
        Asking.gate.set()
        await until(lambda: counts()["delivered"] == 40)
        assert unsettled() == 0


class AllOrNothing(FakeSink):
    """Takes several events of a key in one write, and refuses every third write as a whole."""

    refuses_single = False
    writes_max = 1
    batch_max = 20
    calls: ClassVar[list] = []
    arrived: ClassVar[dict] = defaultdict(list)

    async def write(self, events):
        self.calls.append(len(events))
        if len(self.calls) % 3 == 0:
            return [Retry(after_s=0.0, reason="busy", waits=True)] * len(events)
        for event in events:
            self.arrived[event.key].append(int(json.loads(event.json)["data"]["id"][1:]))
        return await super().write(events)


@pytest.mark.parametrize("durability", ["memory", "fsync"])
async def test_what_is_refused_as_a_whole_is_not_passed_by_later_events_of_its_keys(root, durability):
    file = root / "mfgroute.yaml"
    streams = f"durability: {durability}, when_full: block"
    file.write_text(file.read_text().replace("durability: memory", streams))
    AllOrNothing.reset()
    AllOrNothing.calls.clear()
    AllOrNothing.arrived.clear()
    registry = Registry(sources={"fake": FakeSource}, sinks={"fake": AllOrNothing})
    async with Router(root, adapters=registry, tempo=QUICK) as router:
        for first in range(0, 400, 10):
            numbers = range(first, first + 10)
            FakeSource.feed.put_nowait(
                Intake(messages=[message(number, f"o{number % 7}") for number in numbers])
            )
        await until(lambda: len(AllOrNothing.written) == 400, 60)
        assert await router.stop() == 0
    assert len(AllOrNothing.calls) > 20
    assert len(AllOrNothing.arrived) == 7
    assert all(numbers == sorted(set(numbers)) for numbers in AllOrNothing.arrived.values())
