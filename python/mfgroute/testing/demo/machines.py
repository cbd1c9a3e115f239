"""The process of the presses: an OPC UA server whose nodes change when it is told to.

The first line on standard input holds the machines, later ones their changes; each is answered by a line on
standard output. It ends with its input.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from datetime import UTC

import msgspec

from mfgroute.testing.demo.openings import Change, MachinesOpening
from mfgroute.testing.plant import PlantServer


async def _apply(plant: PlantServer, change: Change) -> None:
    machine, _, node = change.node.partition(".")
    await plant[machine].set(node, change.value, at=change.at.astimezone(UTC))


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    opening = msgspec.json.decode(await reader.readline(), type=MachinesOpening)
    async with PlantServer(opening.machines, port=opening.port) as plant:
        gc.enable()
        for change in opening.before:
            await _apply(plant, change)
        print(plant.endpoint, flush=True)  # noqa: T201 - whoever started this reads it
        while line := await reader.readline():
            await _apply(plant, msgspec.json.decode(line, type=Change))
            print("ok", flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    gc.disable()  # The server makes its thousands of standard nodes in half the time.
    asyncio.run(_serve())
