"""Sizes as people write them in an adapter's configuration: ``64MiB``."""

from __future__ import annotations

import re

__all__ = ["SIZE_PATTERN", "size_bytes"]

SIZE_PATTERN = "^[0-9]{1,12}(B|KiB|MiB|GiB)$"

_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def size_bytes(text: str) -> int:
    """The number of bytes that `text` names; `text` matches `SIZE_PATTERN`."""
    number, unit = re.fullmatch(r"([0-9]+)([A-Za-z]+)", text).groups()  # type: ignore[union-attr]
    return int(number) * _UNITS[unit]
