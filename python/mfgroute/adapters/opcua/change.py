"""What a detector sees of a server: changes of values, with microseconds since 1970 as time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

import msgspec

Quality: TypeAlias = Literal["good", "uncertain", "bad"]
Scalar: TypeAlias = bool | int | float | str | None

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS_US = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_DURATION = re.compile(r"([1-9][0-9]{0,8})(ms|s|m|h|d)")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One reported value of one node.

    Attributes:
        node: the node id as it is configured.
        value: as the server reported it; a detector takes numbers, booleans and text.
        source_time_us: when the value changed, by the clock of its source; never absent: a server that
            gives none is given its own time.
        server_time_us: when the server saw it.
        quality: severity of the status code.
        gap: changes of this node are missing immediately before this one.
    """

    node: str
    value: Scalar
    source_time_us: int
    server_time_us: int | None = None
    quality: Quality = "good"
    gap: bool = False


def micros(time: datetime) -> int:
    """Microseconds since 1970. A time without a zone is UTC, as OPC UA has it."""
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return (time - EPOCH) // timedelta(microseconds=1)


def rfc3339(time_us: int) -> str:
    """Text of a time in UTC, with milliseconds, and with microseconds where there are any."""
    time = EPOCH + timedelta(microseconds=time_us)
    return time.isoformat(timespec="microseconds" if time_us % 1000 else "milliseconds")[:-6] + "Z"


def duration_us(text: str) -> int:
    """Microseconds of a duration such as ``15m``: one whole number and one of ms, s, m, h, d.

    Raises:
        ValueError: for anything else; zero is no duration.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{text!r} is no duration: expected a whole number above zero and a unit, such as 15m or 90s"
        )
    return int(found[1]) * _UNITS_US[found[2]]
