"""Polled batches that are written together."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from mfgroute.events import Event


class Group:
    """One or more batches of the engine, used like one; what was given back is no longer in it.

    Args:
        batches: polled one after the other, so that their keys are in order.
    """

    def __init__(self, batches: list[Any]) -> None:
        self._batches = batches
        self._owners: dict[tuple[str, int], Any] = {}
        self._events: dict[tuple[str, int], Event] = {}
        for batch in batches:
            for event in batch.events:
                self._owners[event.stream, event.offset] = batch
                self._events[event.stream, event.offset] = event

    def __enter__(self) -> Self:
        for batch in self._batches:
            batch.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for batch in self._batches:
            batch.__exit__(kind, error, trace)

    def __len__(self) -> int:
        return len(self._events)

    @property
    def events(self) -> list[Event]:
        """Those that are not given back, in order."""
        return list(self._events.values())

    def done_all(self) -> None:
        """All that is left is done."""
        for batch in self._batches:
            batch.done_all()

    def retry_all(self, *, after_s: float | None = None, reason: str = "", judged: bool = False) -> None:
        """All that is left is sent later, what was polled together again together."""
        for batch in self._batches:
            batch.retry_all(after_s=after_s, reason=reason, judged=judged)

    def release(self) -> None:
        """Give back what was not settled, the latest first, so that the order of keys is kept."""
        for batch in reversed(self._batches):
            batch.release()

    def intend(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write requests down, each row with its event first; see the engine's batch."""
        for batch in self._batches:
            own = [row for row in rows if self._owner(row[0]) is batch]
            if own:
                batch.intend(own)

    def retry(
        self, event: Event, *, after_s: float | None = None, reason: str = "", judged: bool = False
    ) -> None:
        """Give one event back, to be sent later."""
        del self._events[event.stream, event.offset]
        self._owner(event).retry(event, after_s=after_s, reason=reason, judged=judged)

    def done(self, event: Event, *, reference: str | None = None) -> None:
        """The target has the event."""
        self._owner(event).done(event, reference=reference)

    def __getattr__(self, name: str) -> Any:
        """Any other way to settle one event: of the batch that it came with."""

        def settle(event: Event, *args: Any, **named: Any) -> Any:
            return getattr(self._owner(event), name)(event, *args, **named)

        return settle

    def _owner(self, event: Event) -> Any:
        return self._owners[event.stream, event.offset]
