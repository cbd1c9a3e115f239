"""How long a target knows what it was sent."""

from __future__ import annotations

import time
from collections.abc import Callable


class KeyMemory:
    """When each event that may have arrived was sent first.

    A target that honours an idempotency key forgets it after a while; the same event sent again after that
    is a second effect.

    Args:
        kept_s: how long the target remembers a key; `None` when nobody said so.
        margin_s: how long before that time is up an event is not sent any more.
        sent: when events were sent first, by id; outlives this object in a reload.
        clock: seconds, never set back.
    """

    def __init__(
        self,
        kept_s: float | None,
        *,
        margin_s: float,
        sent: dict[str, float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kept_s = kept_s
        self._margin_s = margin_s
        self._sent = sent
        self._clock = clock

    @property
    def is_empty(self) -> bool:
        """Whether there is no event that may have arrived."""
        return not self._sent

    def forgotten(self, event_id: str) -> str | None:
        """Why the event must not be sent again, or `None`."""
        first = self._sent.get(event_id)
        if first is None or self._kept_s is None or self._clock() - first + self._margin_s <= self._kept_s:
            return None
        ago = f"sent first {self._clock() - first:.0f} s ago without an answer"
        return f"{ago}; the target knows a key for {self._kept_s:g} s"

    def now(self) -> float:
        """The time to give to `note`."""
        return self._clock()

    def note(self, event_id: str, began: float) -> None:
        """The event was sent at `began` and may have arrived."""
        self._sent.setdefault(event_id, began)

    def forget(self, event_id: str) -> None:
        """The event is settled."""
        self._sent.pop(event_id, None)
