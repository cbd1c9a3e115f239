"""Booking by hand what still waits to be sent, as in an outage: when its turn comes, nothing is sent.

An event that is parked or in doubt is set aside in the log at once (`mfgroute.runtime.inquiry`). One that
waits cannot be: so what a person says is written down in the log beside it, and it is handed out with that to
its sender, who says what it adds and ends it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson

from mfgroute.runtime.inquiry import NotParked
from mfgroute.runtime.waiting import waits

__all__ = ["decide"]

Document = dict[str, Any]


def decide(request: Document, refused: NotParked, *, engine: Any, before: Collection[str] = ()) -> Document:
    """Say of an event that waits that it was posted, or take that back. Blocks.

    Args:
        request: to ``effects``, with a ``request`` that `inquiry.resolve` has looked at.
        refused: why it could not be decided there.
        engine: of the node.
        before: events that were booked in other lives of the folder; see `Follower.booked_before`.

    Returns:
        As `inquiry.resolve`.

    Raises:
        NotParked: the event does not wait there, or is being sent, or nobody has said that it was posted.
        MfgrouteError: the engine refuses.
        LogFailed: the disk refuses: whether it was done is seen after a start.
    """
    asked = request["request"]
    event_id, sink, document = asked["id"], asked["sink"], asked.get("posted")
    this = {"kind": "effects", "sink": sink, "id": event_id, "who": request["by"], "why": asked["why"]}
    key = waits(engine, sink, event_id)
    if key is None:
        raise refused
    done = {"id": event_id, "sink": sink, "key": key, "was": "queued", "sent_again": not document}
    if not document:
        if _ask(engine, verb="booked", **this)["document"] is None and event_id not in before:
            raise refused
        _ask(engine, verb="book", **this)
        return done | {"posted_as": None}
    _ask(engine, verb="book", document=document, **this)
    if _ended_otherwise(engine, sink, event_id, document):
        # It was handed out, and ended, after it was looked for and before it was booked.
        _ask(engine, verb="book", **this)
        raise NotParked(f"event {event_id} has just been sent to {sink}: `mfgroute effects show {event_id}`")
    return done | {"posted_as": document}


def _ended_otherwise(engine: Any, sink: str, event_id: str, document: str) -> bool:
    """Whether an event has ended at a sink, and not as what a person has booked."""
    return any(
        (event["id"], at["sink"]) == (event_id, sink)
        and at["state"] not in ("queued", "in_flight", "parked")
        and at.get("reference") != document
        for event in orjson.loads(engine.find(event_id))["events"]
        for at in event["sinks"]
    )


def _ask(engine: Any, **request: Any) -> Any:
    return orjson.loads(engine.dead_letters(orjson.dumps(request)))
