"""What waits for a sink, also of what was admitted before the start of the node."""

from __future__ import annotations

from typing import Any

import orjson

__all__ = ["waiting", "waits"]

Document = dict[str, Any]


def waits(engine: Any, sink: str, event_id: str) -> str | None:
    """The key of an event that waits for a sink and is not in flight; `None` if it does not. Blocks."""
    place = _place(engine, sink, event_id)
    if place is None:
        return None
    key, offsets = place
    counts = _replay(engine, "preview", sink, offsets=offsets)
    in_flight = any(
        (event["id"], at["sink"], at["state"]) == (event_id, sink, "in_flight")
        for event in orjson.loads(engine.find(event_id))["events"]
        for at in event["sinks"]
    )
    return key if counts["queued"] and not in_flight else None


def waiting(engine: Any, sink: str, key: str) -> list[Document]:
    """The events of a key that wait for a sink, in flight or not, as CloudEvents. Blocks.

    The engine finds by key what was admitted since its start; before that, only what became of it.
    """
    if not _replay(engine, "preview", sink, key=key)["queued"]:
        return []
    found: list[Document] = []
    after: dict[str, int] | None = {}
    while after is not None:
        page = _replay(engine, "read", sink, key=key, after=after, count=1)
        offsets = _range(engine, after, page["after"])
        if page["events"] and _replay(engine, "preview", sink, key=key, offsets=offsets)["queued"]:
            found += map(orjson.loads, page["events"])
        after = page["after"]
    return found


def _place(engine: Any, sink: str, event_id: str) -> tuple[str, dict[str, tuple[int, int]]] | None:
    """The key of an event that is in the log, and a range of each stream in which it is the only one.

    Only what was read since the start is at hand by its id, so the log is read.
    """
    after: dict[str, int] = {}
    while True:
        page = _replay(engine, "read", sink, after=after)
        events = [orjson.loads(one) for one in page["events"]]
        index = next((index for index, one in enumerate(events) if one["id"] == event_id), None)
        if index is not None:
            first = _replay(engine, "read", sink, after=after, count=index)["after"] if index else after
            behind = _replay(engine, "read", sink, after=first, count=1)["after"]
            return str(events[index].get("subject", "")), _range(engine, first, behind)
        after = page["after"]
        if after is None:
            return None


def _range(engine: Any, first: dict[str, int], behind: dict[str, int] | None) -> dict[str, tuple[int, int]]:
    """The part of each stream from one place of reading to another, or to the end."""
    ends = {name: stream["next_offset"] for name, stream in engine.stats()["streams"].items()}
    return {name: (first.get(name, 0), (behind or {}).get(name, end)) for name, end in ends.items()}


def _replay(engine: Any, verb: str, sink: str, **more: Any) -> Document:
    request = {"kind": "replay", "verb": verb, "sink": sink, "who": "", **more}
    found: Document = orjson.loads(engine.dead_letters(orjson.dumps(request)))
    return found
