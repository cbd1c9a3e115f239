"""What a source remembers with each intake: its detectors, and the last value of each node."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TypeAlias

import msgspec

#: Source time in microseconds and checksum of a value, see `values.mark`.
Mark: TypeAlias = tuple[int, int]

#: Nodes whose last value is remembered; a position is written with every intake.
SEEN_MAX = 1_000
_VERSION = 2
#: No detectors.
NOTHING = msgspec.Raw(b"null")


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """A position.

    Attributes:
        v: version of the form.
        endpoint: of which server.
        started: when the server began, in microseconds; `None` if it does not say.
        seen: of each node the mark of the value that was read last.
        others: whether values of other nodes were read, too: beyond `SEEN_MAX`, or without a source time.
        detection: snapshot of the detectors, or `NOTHING`.
    """

    v: int = _VERSION
    endpoint: str = ""
    started: int | None = None
    seen: dict[str, Mark] = {}
    others: bool = False
    detection: msgspec.Raw = NOTHING

    def restarted(self, started: int | None) -> bool:
        """Whether the server began anew since."""
        return self.started is not None and started is not None and self.started != started


def write(
    endpoint: str,
    started: int | None,
    seen: Mapping[str, Mark],
    detection: bytes | None,
    *,
    others: bool = False,
) -> bytes:
    """A position."""
    memory = Memory(
        endpoint=endpoint,
        started=started,
        seen=dict(islice(seen.items(), SEEN_MAX)),
        others=others or len(seen) > SEEN_MAX,
        detection=NOTHING if detection is None else msgspec.Raw(detection),
    )
    return msgspec.json.encode(memory)


def read(position: bytes | None, endpoint: str) -> Memory:
    """What a position says; nothing of another server, and nothing if it cannot be read."""
    if position is None:
        return Memory()
    try:
        memory = msgspec.json.decode(position, type=Memory)
    except msgspec.DecodeError:
        return Memory(detection=msgspec.Raw(position))
    if memory.v == _VERSION and memory.endpoint == endpoint:
        return memory
    # Of before, a position was the snapshot of the detectors alone.
    detection = memory.detection if memory.v == _VERSION else msgspec.Raw(position)
    return Memory(endpoint=endpoint, detection=detection)
