"""The engine's snapshot, read by name."""

from __future__ import annotations

from typing import Any

Stats = dict[str, Any]


def named(stats: Stats, section: str) -> dict[str, Stats]:
    """The installed sources, sinks or streams of a snapshot by their names."""
    found = stats.get(section, [])
    if isinstance(found, dict):
        return found
    return {one["name"]: one for one in found if one.get("present", True)}


def waiting(sink: Stats) -> int:
    """Events that are not delivered and that no person has to decide about."""
    return int(sink.get("queued", 0)) + int(sink.get("in_flight", 0))


def undelivered(sink: Stats) -> int:
    """Events that are not delivered, also those that a person has to decide about."""
    return waiting(sink) + int(sink.get("parked", 0)) + int(sink.get("in_doubt", 0))


def deliverable(sink: Stats) -> int:
    """Events that would be delivered if the sink could: none while it is paused or stopped."""
    return 0 if sink.get("paused") or sink.get("stopped") else waiting(sink)


def failed_streams(stats: Stats) -> dict[str, str]:
    """Streams whose log has failed, the node's own (``_node``) among them, with what the disk said."""
    failed = {name: one["failed"] for name, one in named(stats, "streams").items() if one.get("failed")}
    return failed | ({"_node": stats["failed"]} if stats.get("failed") else {})
