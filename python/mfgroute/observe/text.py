"""Text that is safe to show: no control characters, no secrets, bounded length."""

from __future__ import annotations

import re
from collections.abc import Iterable

VALUE_BYTES_MAX = 1024
_MASK = "********"
#: Control characters of both sets, line and paragraph separators, and marks that reverse the reading order.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SECRET_MIN = 4


class Mask:
    """Secrets that no output repeats. Values are added when a project is loaded and never removed."""

    def __init__(self) -> None:
        self._pattern: re.Pattern[str] | None = None
        self._known: set[str] = set()

    def add(self, secrets: Iterable[str]) -> None:
        """Mask these texts from now on; those shorter than four characters are left alone."""
        self._known.update(one for one in secrets if len(one) >= _SECRET_MIN)
        longest_first = sorted(self._known, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def apply(self, text: str) -> str:
        """`text` with stars for every secret."""
        return self._pattern.sub(_MASK, text) if self._pattern else text


#: The secrets of this process.
MASK = Mask()


def safe(text: str, limit_bytes: int = VALUE_BYTES_MAX) -> str:
    r"""`text` without secrets, with control characters as ``\u001b``, and cut to `limit_bytes` of UTF-8."""
    shown = _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", MASK.apply(text[: 4 * limit_bytes]))
    encoded = shown.encode()
    if len(encoded) <= limit_bytes and len(text) <= 4 * limit_bytes:
        return shown
    kept = encoded[:limit_bytes].decode(errors="ignore")
    return f"{kept}… ({len(text)} characters)"
