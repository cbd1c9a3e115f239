"""Rules of time zones, from the package that comes with the program; the machine's own are not read."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

_NAME = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo | None:
    """The zone of an IANA name such as ``Europe/Berlin``, or `None` if there is none."""
    if not _NAME.fullmatch(name):
        return None
    file = resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
    if not file.is_file():
        return None
    try:
        with file.open("rb") as rules:
            return ZoneInfo.from_file(rules, key=name)
    except ValueError:
        return None  # A list or a text of the package.


def names() -> list[str]:
    """All names that `zone` knows."""
    return resources.files("tzdata").joinpath("zones").read_text("ascii").split()


def instant(local: datetime, zone: ZoneInfo, *, last: bool) -> float:
    """Seconds since 1970 of a local time.

    Args:
        local: without a zone.
        zone: the zone.
        last: of an hour that comes twice, the second time; else the first. A time that does not come is
            the moment at which the clocks change.
    """
    early, late = (local.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    if early <= late:
        return late if last else early
    # In a gap the two meanings lie on both sides of the change, in reverse order.
    below, above = int(late), int(early)
    after = _offset_s(above, zone)
    while above - below > 1:
        middle = (below + above) // 2
        if _offset_s(middle, zone) == after:
            above = middle
        else:
            below = middle
    return float(above)


def _offset_s(at: int, zone: ZoneInfo) -> float:
    offset = datetime.fromtimestamp(at, zone).utcoffset()
    assert offset is not None
    return offset.total_seconds()
