"""What a sender knows of effects besides the log, and what it says where nothing was sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from mfgroute.adapter import Books, Effect
from mfgroute.errors import MfgrouteError
from mfgroute.events import Begun, InDoubt, Retry
from mfgroute.runtime.undoing import Remembered

__all__ = ["NoBooks", "Records", "Unasked", "forgotten", "recognised"]

#: A clock that is set back by less than this is taken for one that was merely adjusted.
SET_BACK_S = 60.0


class Records(Remembered, Protocol):
    """What is known of effects that have ended, beyond what the log still holds."""

    def books(self, sink: str) -> Books:
        """What a sink has posted."""

    async def was_posted(
        self, sink: str, ids: Sequence[str], recent: tuple[int, int] | None = None
    ) -> Mapping[str, str | None]:
        """The references of those events that were posted at a sink before.

        Those whose effect ended in `recent`, in milliseconds since 1970, do not count.
        """

    def booked_before(self, sink: str) -> Mapping[str, str]:
        """Documents by which people have booked what waited, by event, in other lives of the folder."""

    async def under_way(self, sink: str, thing: str, event_id: str) -> str | None:
        """Another event whose request for an object was written down, and about which nothing is certain."""

    async def is_denied(self, sink: str, event_id: str) -> bool:
        """Whether an event that comes again was in doubt, so that a person says that it was not posted."""


class Unasked(Retry, frozen=True, kw_only=True):
    """Nothing was sent, and the target was asked nothing: this says nothing about it."""


class NoBooks:
    """Books of a node that records nothing."""

    async def posted(self, thing: str) -> Mapping[str, Any]:
        """Raise: a sum of nothing would be posted a second time after a restart."""
        raise MfgrouteError(f"what was posted to {thing} is not recorded: no stream of this node is durable")


def recognised(effect: Effect, now_s: float, timeout_s: float) -> tuple[int, int] | None:
    """When an effect must have ended for its target to recognise the event now; `None` if it always does.

    In milliseconds since 1970. What seems to be of the future was posted before the clock was set back.

    Args:
        effect: of the target.
        now_s: seconds since 1970.
        timeout_s: how long a request may be under way.
    """
    if effect.by not in ("key", "upsert"):
        return 0, 0
    if effect.by == "upsert" or effect.kept is None:
        return None
    return int((now_s - effect.kept + timeout_s) * 1e3), int((now_s + SET_BACK_S) * 1e3)


def forgotten(begun: Begun, kept_s: float, now_s: float, timeout_s: float) -> InDoubt | None:
    """In doubt, if the target may have forgotten the key of a request.

    Args:
        begun: how far the event has come.
        kept_s: how long the target knows a key, in seconds.
        now_s: seconds since 1970.
        timeout_s: how long a request may be under way.
    """
    age_s = now_s - begun.first_s
    if age_s < -SET_BACK_S:
        return InDoubt("the clock was set back: nobody knows whether the target still knows the key")
    if max(age_s, 0.0) + timeout_s <= kept_s:
        return None
    return InDoubt(f"sent first {age_s:.0f} s ago without an answer; the target knows a key for {kept_s:g} s")
