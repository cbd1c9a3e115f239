"""Reports that are taken back before anything of them has arrived: the target hears of neither.

An event waits for its target as long as that is away, and with it another one that takes its report back.
As long as no request for an event can have arrived, what waits behind it is looked through. If its report is
taken back there, it ends, and its reversal finds nothing to reverse when its turn comes
(`mfgroute.runtime.undoing`). What was refused is ended by `mfgroute.runtime.cancelling`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from mfgroute.effects.reported import contract_of
from mfgroute.errors import MfgrouteError
from mfgroute.events import Event
from mfgroute.runtime.records import Unasked
from mfgroute.runtime.undoing import Remembered, takes_back

__all__ = ["TakenBack", "Withdrawing"]

#: By what contract events of some contracts are taken back.
_BY = {
    "production.operation.completed": "production.confirmation.reversed",
    "production.scrap.reported": "production.confirmation.reversed",
    "production.labor.reported": "production.labor.reported",
    "logistics.goods.received": "logistics.goods.received",
}


#: Events of this contract may be running totals.
_TOTALS = "production.operation.completed"


class TakenBack(msgspec.Struct, frozen=True):
    """Nothing that was sent for an event has arrived, and nothing is sent any more.

    Attributes:
        reason: by which event, as a sentence.
    """

    reason: str


class Withdrawing:
    """Looks for what takes events back that wait for one sink.

    Args:
        sink: its name.
        records: what has been posted; `None` where nothing is durable.
    """

    def __init__(self, sink: str, records: Remembered | None) -> None:
        self._sink = sink
        self._records = records

    async def look_through(
        self, batch: Any, events: Iterable[Event], misses: Mapping[str, int]
    ) -> list[tuple[Event, TakenBack | Unasked]]:
        """Those of some events that are taken back, and those of which that cannot be said now.

        Args:
            batch: what they were handed out in.
            events: any.
            misses: by event, how many of its tries did not reach the target.
        """
        found: list[tuple[Event, TakenBack | Unasked]] = []
        for event in events:
            if event.begun is not None and event.begun.attempts > misses.get(event.id, 0):
                continue  # It may have arrived.
            try:
                one: TakenBack | Unasked | None = await self.look(batch, event)
            except MfgrouteError as error:
                one = Unasked(reason=str(error))
            if one is not None:
                found.append((event, one))
        return found

    async def look(self, batch: Any, event: Event) -> TakenBack | None:
        """Whether an event of which nothing was sent is taken back by one that waits behind it.

        Args:
            batch: what it was handed out in.
            event: of which the target has certainly heard nothing in this life of the node.

        Raises:
            MfgrouteError: the records must be asked, and cannot be now.
        """
        contract = contract_of(event.type, _BY)
        if self._records is None or contract is None or event.replayed:
            # Who has something replayed wants it to be there.
            return None
        document = msgspec.json.decode(event.json)
        data = document.get("data")
        report = data.get("report") if isinstance(data, dict) else None
        if not isinstance(report, str) or data.get("origin") == "from_stock":
            # Scrap from stock is a document of its own, which no reversal of a confirmation touches.
            return None
        if takes_back(event.type, document) is not None:
            return None
        by = await self._waiting(batch, event, _BY[contract], report)
        if by is None or await self._counted(batch, event):
            return None
        originals = await self._records.originals(self._sink, event.key, report)
        tries = 0 if event.begun is None else event.begun.attempts
        if any(one.tries > tries or one.id != event.id for one in originals):
            # It was sent in another life of the node, or others have this report: these may be there.
            return None
        return TakenBack(f"its report was taken back by event {by} before it was posted")

    async def _waiting(self, batch: Any, event: Event, contract: str, report: str) -> str | None:
        """Id of the first event that takes a report back and waits behind another."""
        for one in await _behind(batch, event, contract, report):
            if takes_back(one["type"], one) == report:
                return str(one["id"])
        return None

    async def _counted(self, batch: Any, event: Event) -> bool:
        """Whether a running total waits behind an event.

        What a plant has counted until then has the report in it: the increment would come out too large.
        """
        totals = await _behind(batch, event, _TOTALS, "total")
        return any((one["data"].get("quantity") or {}).get("basis") == "total" for one in totals)


async def _behind(batch: Any, event: Event, contract: str, text: str) -> list[Any]:
    """Events of a contract that have a text in their data, and wait behind an event."""
    found = batch.behind(event, [contract], text, patient=False)
    if found is None:
        # After a start, or when much has come: not in the loop.
        found = await asyncio.to_thread(batch.behind, event, [contract], text)
    return [msgspec.json.decode(one) for one in found]
