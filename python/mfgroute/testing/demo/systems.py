"""The process of the business systems: ERP, WMS, QMS, MES, CMMS and portal, each a web server.

The ERP answers as the services of SAP S/4HANA do, the others take events as they are.

The first line on standard input holds their master data, the answer on standard output their addresses. It
ends with its input.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Any

import msgspec

from mfgroute.testing.demo.openings import Fault, SystemsOpening
from mfgroute.testing.simulators import SIMULATORS, Effect, Ledger, S4Simulator, Simulator
from mfgroute.testing.simulators.s4.faults import Fault as S4Fault
from mfgroute.testing.simulators.s4.faults import Kind
from mfgroute.testing.story import SYSTEMS


class _PostsTwice(Ledger):
    """Does its first work twice, as a system without idempotency would after a lost answer."""

    def post(self, **given: Any) -> Effect:
        """Record an effect, the first one with a twin."""
        effect = super().post(**given)
        if len(self.effects) == 1:
            super().post(**{**given, "idempotency_key": f"{given['idempotency_key']}/again"})
        return effect


class _Forgets(Ledger):
    """Confirms its first work and does not do it."""

    def post(self, **given: Any) -> Effect:
        """Record an effect, unless it is the first one."""
        effect = super().post(**given)
        if effect.document == self._first:
            self.effects.clear()
        return effect

    @property
    def _first(self) -> str:
        return min(known.effect.document for known in self._known.values())


_FAULTY: dict[Fault, type[Ledger]] = {"posts-twice": _PostsTwice, "forgets": _Forgets}
_FAULTY_ERP: dict[Fault, Kind] = {"posts-twice": "twice", "forgets": "lie"}


def _erp(opening: SystemsOpening) -> S4Simulator:
    simulator = S4Simulator()
    simulator.setup(opening.setup["erp"])
    if "erp" in opening.faults:
        # Of an order that nothing else delays, so that its first confirmation is hit.
        simulator.misbehave(S4Fault(kind=_FAULTY_ERP[opening.faults["erp"]], times=1, name="1004733"))
    return simulator


def _simulator(name: str, opening: SystemsOpening) -> Simulator | S4Simulator:
    if name == "erp":
        return _erp(opening)
    kind = SIMULATORS[name]
    simulator = kind()
    fault = opening.faults.get(name)
    if fault is not None:
        simulator.ledger = _FAULTY[fault](name, upsert=kind.upsert, first_document=kind.first_document)
    simulator.setup(opening.setup.get(name, {}))
    return simulator


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    opening = msgspec.json.decode(await reader.readline(), type=SystemsOpening)
    async with contextlib.AsyncExitStack() as running:
        urls = {}
        for name in SYSTEMS:
            urls[name] = (await running.enter_async_context(_simulator(name, opening))).url
        print(msgspec.json.encode(urls).decode(), flush=True)  # noqa: T201 - whoever started this reads it
        await reader.read()


if __name__ == "__main__":
    asyncio.run(_serve())
