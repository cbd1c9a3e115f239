"""Room on the disk: what durable streams may take, and what there is."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import msgspec

from mfgroute.config.load import Project
from mfgroute.observe.logs import get_logger
from mfgroute.runtime.folder import quarantined
from mfgroute.runtime.machine import free_bytes, nearest

_log = get_logger()

#: What the node's own log takes besides: a few segments of 4 MiB.
_NODE_BYTES = 16 << 20
_UNITS = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


class Room(msgspec.Struct, frozen=True):
    """What the durable streams of a project may take.

    Attributes:
        streams: bytes that each takes at most.
        node: bytes of the node's own log.
        reserve: bytes that streams leave to it.
        there: bytes that the disk has for them: what is free, and what their logs hold.
    """

    streams: dict[str, int]
    node: int
    reserve: int
    there: int

    @property
    def needed(self) -> int:
        """Bytes with which no stream ever waits for the disk."""
        return sum(self.streams.values()) + max(self.node, self.reserve)

    @property
    def shortage(self) -> str | None:
        """Why the disk is too small for the capacities, as a sentence; `None` if it is not."""
        if not self.streams or self.needed <= self.there:
            return None
        total, rest = shown(sum(self.streams.values())), shown(max(self.node, self.reserve))
        return (
            f"durable streams may take {total}, and {rest} are left to the node's own log; "
            f"the disk of the data folder has room for {shown(self.there)}"
        )


def room_of(project: Project, data_dir: Path) -> Room:
    """What durable streams may take on the disk of a data folder, which need not be there yet.

    Raises:
        OSError: the disk cannot be asked.
    """
    streams: list[dict[str, Any]] = [one for one in project.plan.summary["streams"] if one["durable"]]
    return Room(
        streams={one["name"]: one["takes"] for one in streams},
        node=_NODE_BYTES,
        reserve=max((one["reserve"] for one in streams), default=0),
        there=free_bytes(nearest(data_dir)) + _held(data_dir),
    )


def _held(data_dir: Path) -> int:
    """Bytes of the logs in a data folder."""
    return sum(
        path.lstat().st_size
        for folder in (data_dir / "node", data_dir / "streams")
        for path in folder.rglob("*")
        if path.is_file()
    )


def shown(size: int) -> str:
    """A number of bytes for people, as ``64 MiB``."""
    for unit, factor in _UNITS:
        if size >= 10 * factor:
            return f"{size // factor} {unit}"
    return f"{size} bytes"


def look_at_disk(project: Project, folder: Path) -> dict[str, int]:
    """Say what is in quarantine in a data folder, and whether the disk is smaller than the capacities.

    Returns:
        Bytes in quarantine of each log that has some; nothing if the folder cannot be read.
    """
    kept: dict[str, int] = {}
    short = None
    with contextlib.suppress(OSError):
        kept = quarantined(folder)
        short = room_of(project, folder).shortage
    for name, size in kept.items():
        _log.warning("writes that were under way at a crash are in quarantine", stream=name, bytes=size)
    if short:
        _log.warning("the disk may become full before streams do", why=short)
    return kept
