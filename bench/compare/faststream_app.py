"""FastStream with its broker in memory: no server and no network, which flatters it.

Each message is published to a subject; the subscriber runs the transform of `plain` and publishes the event
with its partition in a header, and a second subscriber takes it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from faststream.nats import NatsBroker, NatsMessage, TestNatsBroker

from compare import plain
from compare.common import Routed, report, slabs

WARM_UP = 500


async def measure() -> None:
    """As `common.drive`, with the broker around the route."""
    chosen = slabs(Path(sys.argv[1]).read_bytes())
    lines = [line for slab in chosen for line in slab.splitlines(keepends=True)]
    kept: list[Routed] = []
    arrived: list[tuple[int, bytes]] = []
    route = plain.make()
    broker = NatsBroker(logger=None)

    async def raw(message: NatsMessage) -> bytes:
        return message.body

    @broker.subscriber("mes", decoder=raw)
    async def take(body: bytes) -> None:
        routed = route(body)
        kept.append(Routed([], routed.rejected, routed.duplicates))
        for partition, event in routed.events:
            await broker.publish(event, "events", headers={"partition": str(partition)})

    @broker.subscriber("events", decoder=raw)
    async def arrive(message: NatsMessage) -> None:
        arrived.append((int(message.headers["partition"]), message.body))

    async with TestNatsBroker(broker):
        for line in lines[:WARM_UP]:
            await broker.publish(line, "mes")
        route = plain.make()
        kept.clear()
        arrived.clear()
        wall, cpu = time.perf_counter_ns(), time.process_time_ns()
        for line in lines:
            await broker.publish(line, "mes")
        wall, cpu = time.perf_counter_ns() - wall, time.process_time_ns() - cpu
    report(sys.argv[2], arrived, kept, wall, cpu, chosen)


if __name__ == "__main__":
    asyncio.run(measure())
