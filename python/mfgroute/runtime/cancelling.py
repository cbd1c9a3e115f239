"""Reports that are taken back before they were posted: the target hears of neither.

An event that its target has refused waits for a person. If another event takes its report back, there is
nothing left to decide: the first is skipped, and the second finds nothing to reverse
(`mfgroute.runtime.undoing`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from mfgroute.effects.lines import Original
from mfgroute.errors import MfgrouteError
from mfgroute.observe.logs import get_logger
from mfgroute.observe.stats import named
from mfgroute.runtime.follower import Follower
from mfgroute.runtime.undoing import may_take_back, takes_back

__all__ = ["Cancelling"]

_log = get_logger()
_LOOK_S = 1.0
_WHO = "mfgroute"


class Cancelling:
    """Looks for refused events whose report was taken back, as long as the node runs.

    Args:
        engine: of the node.
        records: what became of effects.
        sinks: names of those whose effects are recorded, now.
        recognises: whether an event that the target of a sink has done is recognised when it is sent again.
        look_s: seconds between two looks.
    """

    def __init__(
        self,
        engine: Any,
        records: Follower,
        sinks: Callable[[], Iterable[str]],
        *,
        recognises: Callable[[str], bool],
        look_s: float = _LOOK_S,
    ) -> None:
        self._engine = engine
        self._records = records
        self._sinks = sinks
        self._recognises = recognises
        self._look_s = look_s
        #: How many had ever been parked at each sink, by cause, when it was looked through last.
        self._seen: dict[str, Mapping[str, int]] = {}
        self._told: dict[str, str] = {}

    async def run(self) -> None:
        """Look again and again."""
        while True:
            for sink in self._sinks():
                try:
                    await self.look(sink)
                    self._told.pop(sink, None)
                except MfgrouteError as error:
                    # Most likely the database is away. What is parked is parked meanwhile.
                    self._tell(sink, str(error))
            await asyncio.sleep(self._look_s)

    async def look(self, sink: str) -> int:
        """Skip at a sink what was refused and taken back.

        Returns:
            How many were skipped.

        Raises:
            DatabaseDown: it is not known what became of effects.
        """
        at = named(self._engine.stats(), "sinks").get(sink, {})
        if not at.get("parked"):
            return 0
        # What waits behind an original is parked; what passes it is not, and has looked for it already.
        pairs = await self._records.taken_back(sink)
        if at["parked_by_cause"] != self._seen.get(sink):
            pairs += await self._behind(sink)
            self._seen[sink] = at["parked_by_cause"]
        skipped = 0
        for original, by in pairs:
            # Where a lost answer may stand behind the refusal, a person decides.
            recognised = original.tries > 1 and self._recognises(sink)
            if original.is_absent(recognised=recognised):
                skipped += await asyncio.to_thread(self._skip, sink, original.id, by)
        return skipped

    async def _behind(self, sink: str) -> list[tuple[Original, str]]:
        """Events that were refused, each with one (its id) that takes it back and waits behind it."""
        found = []
        for one in await asyncio.to_thread(self._ask, verb="list", sink=sink):
            if one["cause"] != "behind" or not may_take_back(one.get("type") or ""):
                continue
            shown = await asyncio.to_thread(self._ask, verb="show", sink=sink, number=one["number"])
            report = takes_back(one["type"], shown.get("event") or {})
            if report is None:
                continue
            originals = await self._records.originals(sink, one["key"], report)
            if len(originals) == 1 and originals[0].state == "refused":
                found.append((originals[0], one["id"]))
        return found

    def _tell(self, sink: str, reason: str) -> None:
        """Say once why a sink cannot be looked through."""
        if reason != self._told.get(sink):
            self._told[sink] = reason
            _log.warning("reports that were taken back cannot be looked for", sink=sink, reason=reason)

    def _skip(self, sink: str, original: str, by: str) -> bool:
        """Skip an event unless somebody else has just decided about it."""
        parked = self._ask(verb="list", sink=sink)
        number = next(
            (one["number"] for one in parked if (one.get("id"), one["cause"]) == (original, "refused")), None
        )
        if number is None:
            return False
        why = f"its report was taken back by event {by} before it was posted"
        try:
            self._ask(verb="skip", sink=sink, number=number, why=why, who=_WHO)
        except MfgrouteError as error:
            _log.warning("an event that was taken back stays", sink=sink, id=original, reason=str(error))
            return False
        _log.info("skipped", sink=sink, id=original, why=why)
        return True

    def _ask(self, **request: Any) -> Any:
        return orjson.loads(self._engine.dead_letters(orjson.dumps({"kind": "parked", **request})))
