"""What a server's historian knows of the time of a gap. Imports asyncua: only for `subscription`.

A history is believed only if it is whole: it begins with the last value that was seen before the gap and
ends with the first one after it. Anything less leaves the gap what it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from asyncua import ua
from asyncua.client.ua_session import UaSession
from asyncua.ua.attribute_ids import AttributeIds

from mfgroute.adapters.opcua.change import EPOCH, micros
from mfgroute.adapters.opcua.values import Mark, mark

#: Historians store a moment after they report.
AGAIN_S = 0.05
_PAGES_MAX = 100
_READ_MAX = 500
_HISTORY_READ = 1 << ua.AccessLevel.HistoryRead.value
#: The end of the time that is asked for is not in it, and times are kept to the microsecond.
_BEYOND = timedelta(milliseconds=1)


class Historian:
    """Asks one server for the past of the nodes whose past it offers."""

    def __init__(self, session: UaSession, wait_s: float) -> None:
        """Keep the session; `wait_s` is how long a historian may lag behind."""
        self._session = session
        self._wait_s = wait_s
        self._offered: set[str] = set()

    async def learn(self, nodes: Sequence[str]) -> None:
        """Ask which nodes have a history that we may read. A server that does not say has none."""
        for start in range(0, len(nodes), _READ_MAX):
            some = nodes[start : start + _READ_MAX]
            params = ua.ReadParameters()
            for node in some:
                wanted = ua.ReadValueId()
                wanted.NodeId = ua.NodeId.from_string(node)
                wanted.AttributeId = AttributeIds.UserAccessLevel
                params.NodesToRead.append(wanted)
            for node, found in zip(some, await self._session.read(params), strict=True):
                level = found.Value.Value if found.Value is not None else None
                if isinstance(level, int) and level & _HISTORY_READ:
                    self._offered.add(node)

    def offers(self, node: str) -> bool:
        """Whether a node has a history."""
        return node in self._offered

    async def between(
        self, node: str, before: Mark, after: ua.DataValue, most: int
    ) -> list[ua.DataValue] | None:
        """The values between two that are known, or `None` if nobody knows all of them.

        Args:
            node: whose values.
            before: the last value before the gap.
            after: the first value after it.
            most: more values than that are not taken.
        """
        start = EPOCH + timedelta(microseconds=before[0])
        if after.SourceTimestamp is None or micros(after.SourceTimestamp) < before[0]:
            return None
        end = time.monotonic() + self._wait_s
        while True:
            found = await self._read(node, start, after.SourceTimestamp + _BEYOND, most)
            if found is None:
                return None
            marks = [mark(one) for one in found]
            if before not in marks:
                return None
            first = len(marks) - marks[::-1].index(before)
            last = mark(after)
            if last in marks[first:]:
                return found[first : first + marks[first:].index(last)]
            if time.monotonic() >= end:
                return None
            await asyncio.sleep(AGAIN_S)

    async def _read(self, node: str, start: datetime, end: datetime, most: int) -> list[ua.DataValue] | None:
        """All raw values of a time, or `None` if the server does not give all of them."""
        details = ua.ReadRawModifiedDetails()
        details.IsReadModified = False
        details.StartTime, details.EndTime = start, end
        details.NumValuesPerNode = ua.Counter(0)
        details.ReturnBounds = False
        found: list[ua.DataValue] = []
        point: bytes | None = None
        for _ in range(_PAGES_MAX):
            wanted = ua.HistoryReadValueId()
            wanted.NodeId = ua.NodeId.from_string(node)
            wanted.ContinuationPoint = point
            params = ua.HistoryReadParameters()
            params.HistoryReadDetails = details
            params.TimestampsToReturn = ua.TimestampsToReturn.Both
            params.ReleaseContinuationPoints = False
            params.NodesToRead.append(wanted)
            (answer,) = await self._session.history_read(params)
            if not answer.StatusCode.is_good() or not isinstance(answer.HistoryData, ua.HistoryData):
                return None
            found += answer.HistoryData.DataValues or []
            if len(found) > most + 2:
                return None
            if answer.ContinuationPoint is None:
                return found
            if answer.ContinuationPoint == point:
                return None
            point = answer.ContinuationPoint
        return None
