"""An OPC UA server whose values change as fast as it is told: ``python opcua_plant.py PLANT``.

It prints its endpoint. For each line ``CHANGES RATE`` it makes so many changes, and prints how long that took
in seconds. It is the project's plant for tests, asyncua underneath; one process makes some thousand a second.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import cast

import changes
from asyncua import ua

from mfgroute.testing.plant import INDEX, PlantServer

#: Changes between two looks at the clock, at most: subscriptions are served in between.
_BURST_MAX = 100
_TICK_S = 0.005


class Plant:
    """One server and the number of its next change."""

    def __init__(self, number: int) -> None:
        self._plant = number
        self._server = PlantServer(())
        self._ids = [ua.NodeId.from_string(f"ns={INDEX};s={name}") for name in changes.names(number)]
        self._next = 0

    async def start(self) -> str:
        """Listen, with one value of each machine; where."""
        await self._server.start()
        for name in changes.names(self._plant):
            await self._server.variable(name, 0.0, ua.VariantType.Double)
        for _ in range(changes.MACHINES):
            await self._change()
        return self._server.endpoint

    async def stop(self) -> None:
        """Stop listening."""
        await self._server.stop()

    async def run(self, count: int, rate: float) -> float:
        """Make so many changes, each at its time or as soon as possible; the seconds that took."""
        began = time.perf_counter()
        made = 0
        while made < count:
            due = min(count, int((time.perf_counter() - began) * rate) + 1)
            for _ in range(min(due - made, _BURST_MAX)):
                await self._change()
                made += 1
            await asyncio.sleep(0 if made < due else _TICK_S)
        return time.perf_counter() - began

    async def _change(self) -> None:
        number, self._next = self._next, self._next + 1
        when = cast("ua.DateTime", changes.at(number))
        value = ua.DataValue(
            Value=ua.Variant(changes.fahrenheit(number), ua.VariantType.Double),
            SourceTimestamp=when,
            ServerTimestamp=when,
        )
        assert self._server.server is not None
        await self._server.server.write_attribute_value(self._ids[number % changes.MACHINES], value)


async def _main(number: int) -> None:
    plant = Plant(number)
    print(await plant.start(), flush=True)
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            count, rate = line.split()
            print(await plant.run(int(count), float(rate)), flush=True)
    finally:
        await plant.stop()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
