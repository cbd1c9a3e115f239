"""Fuller batches: wait a little for more events before a request is sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from mfgroute.config.model import BatchSection
from mfgroute.runtime.group import Group
from mfgroute.runtime.wakes import wait

#: Nothing is polled for more often than so, in seconds.
_DUE_S = 0.001


class Linger:
    """Polls the events of one request.

    Args:
        engine: where events come from.
        sink: its name.
        section: how full a batch is to be, and how long to wait for it.
        batch_max: most events that the adapter takes.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        engine: Any,
        sink: str,
        section: BatchSection,
        *,
        batch_max: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._sink = sink
        self._events_max = min(batch_max, section.events or batch_max)
        self._bytes_max = section.bytes
        self._linger_s = section.linger
        self._clock = clock

    async def poll(self, woken: asyncio.Event, ended: Callable[[], bool]) -> Any:
        """Events for one request, or an empty batch if there are none.

        When some are there, but fewer than a full batch, it waits for more: `linger` at most, and not when
        `ended` says so after a wake-up.

        Args:
            woken: set when there may be more.
            ended: whether to wait no longer.
        """
        first = self._poll(self._events_max, self._bytes_max)
        left = self._events_max - len(first)
        if not len(first) or not left or not self._linger_s:
            return first
        batches, size = [first], _bytes(first)
        until = self._clock() + self._linger_s
        while left > 0 and size < self._bytes_max and not ended():
            woken.clear()
            more = self._poll(left, self._bytes_max - size)
            size += _bytes(more)
            if size > self._bytes_max:
                # The first event of a poll comes whatever its size.
                more.release()
                break
            if len(more):
                batches.append(more)
                left -= len(more)
                continue
            rest_s = until - self._clock()
            if rest_s <= 0:
                break
            due_s = self._engine.next_due_s(self._sink)
            await wait(woken, rest_s if due_s is None else min(rest_s, due_s + _DUE_S))
        return first if len(batches) == 1 else Group(batches)

    def _poll(self, events_max: int, bytes_max: int) -> Any:
        return self._engine.poll(self._sink, events_max=events_max, bytes_max=bytes_max, wait_s=0.0)


def _bytes(batch: Any) -> int:
    return sum(len(event.json) for event in batch.events)
