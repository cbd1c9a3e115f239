"""Booking by hand what still waits to be sent, as in an outage: when its turn comes, nothing is sent.

An event that is parked or in doubt is set aside in the log at once (`mfgroute.runtime.inquiry`). One that
waits cannot be: so what a person says stands in the database of effects, which the sender asks before it
sends anything, and goes into the log when the event has its turn.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from mfgroute.runtime.inquiry import NotParked
from mfgroute.runtime.waiting import waits

__all__ = ["decide"]

Document = dict[str, Any]


async def decide(
    request: Document,
    refused: NotParked,
    *,
    engine: Any,
    book: Callable[[Document], Awaitable[None]],
    unbook: Callable[[str, str], Awaitable[bool]],
) -> Document:
    """Say of an event that waits that it was posted, or take that back.

    Args:
        request: to ``effects``, with a ``request`` that `inquiry.resolve` has looked at.
        refused: why it could not be decided there.
        engine: of the node.
        book: writes a booking down, a row of `mfgroute.effects.tables.BOOKED`; from then on nothing is sent.
        unbook: takes one back; whether there was one.

    Returns:
        As `inquiry.resolve`.

    Raises:
        NotParked: the event does not wait there, or is being sent.
        DatabaseDown: the database of effects cannot be used now.
    """
    asked = request["request"]
    event_id, sink, document = asked["id"], asked["sink"], asked.get("posted")
    key = await asyncio.to_thread(waits, engine, sink, event_id)
    if key is None:
        raise refused
    done = {"id": event_id, "sink": sink, "key": key, "was": "queued", "sent_again": not document}
    if not document:
        if not await unbook(sink, event_id):
            raise refused
        return done | {"posted_as": None}
    row = {"sink": sink, "id": event_id, "reference": document, "who": request["by"], "why": asked["why"]}
    await book({**row, "at_ms": int(time.time() * 1000)})
    # What was handed out before that is being sent, or was.
    if await asyncio.to_thread(waits, engine, sink, event_id) is None:
        await unbook(sink, event_id)
        raise NotParked(f"event {event_id} is being sent to {sink} right now: `mfgroute pause {sink}` first")
    return done | {"posted_as": document}
