"""Sizes, durations and rates as people write them: ``20GiB``, ``14d``, ``250ms``, ``50/s``.

The unit is always written, and there is one spelling for each; a bare number or an unknown unit is an
error, because a wrong unit in a capacity is found only when the disk is full.
"""

from __future__ import annotations

import re
from typing import Any

_SIZE = re.compile(r"([0-9]{1,15})(B|KiB|MiB|GiB|TiB)")
_DURATION = re.compile(r"([0-9]{1,12})(ms|s|m|h|d)")
_RATE = re.compile(r"([0-9]{1,9})/(s|m|h)")

_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

SIZE_PATTERN = f"^{_SIZE.pattern}$"
DURATION_PATTERN = f"^{_DURATION.pattern}$"
RATE_PATTERN = f"^{_RATE.pattern}$"


class Size(int):
    """A number of bytes, written as ``20GiB``."""

    @classmethod
    def parse(cls, text: Any) -> Size:
        """Read a size.

        Raises:
            ValueError: `text` is not a whole number with one of B, KiB, MiB, GiB, TiB.
        """
        found = _SIZE.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise ValueError("expected a size such as `20GiB` (B, KiB, MiB, GiB or TiB)")
        return cls(int(found[1]) * _BYTES[found[2]])


class Duration(float):
    """A number of seconds, written as ``14d``, ``5m`` or ``250ms``."""

    @classmethod
    def parse(cls, text: Any) -> Duration:
        """Read a duration.

        Raises:
            ValueError: `text` is not a whole number with one of ms, s, m, h, d.
        """
        found = _DURATION.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise ValueError("expected a duration such as `5m` (ms, s, m, h or d)")
        return cls(int(found[1]) * _SECONDS[found[2]])


class Rate(float):
    """A number per second, written as ``50/s`` or ``200/m``."""

    @classmethod
    def parse(cls, text: Any) -> Rate:
        """Read a rate.

        Raises:
            ValueError: `text` is not a whole number above zero per s, m or h.
        """
        found = _RATE.fullmatch(text) if isinstance(text, str) else None
        if found is None or int(found[1]) == 0:
            raise ValueError("expected a rate above zero such as `50/s` (per s, m or h)")
        return cls(int(found[1]) / _SECONDS[found[2]])


def parse(kind: type, value: Any) -> Size | Duration | Rate | None:
    """The value of a size, duration or rate; `None` when `kind` is none of these.

    Raises:
        ValueError: `value` does not say such a value.
    """
    return kind.parse(value) if issubclass(kind, Size | Duration | Rate) else None


def written(value: Size | Duration) -> str:
    """A size or duration as it is written in a file, with the largest unit that it is a whole number of."""
    size = isinstance(value, Size)
    units = _BYTES if size else {unit: round(seconds * 1000) for unit, seconds in _SECONDS.items()}
    number = int(value) if size else round(value * 1000)
    unit, factor = next((unit, factor) for unit, factor in reversed(units.items()) if number % factor == 0)
    return f"{number // factor}{unit}"
