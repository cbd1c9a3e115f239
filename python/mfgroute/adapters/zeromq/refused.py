"""Who was refused at the core's door: by key, bounded, for people who wonder why an edge does not come."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from mfgroute.adapters.zeromq.keys import fingerprint

__all__ = ["Refused"]

#: Keys that are remembered; anybody can come with a new one each time.
_KEYS_MAX = 16


class Refused:
    """How often each key was refused, those of the last time.

    Args:
        monotonic: seconds that only go forward.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._found: OrderedDict[str, tuple[int, float, str]] = OrderedDict()
        self._forgotten = 0

    def add(self, key: bytes, address: str) -> None:
        """A client was refused.

        Args:
            key: its 32 bytes, or nothing if it showed none.
            address: where it came from.
        """
        name = fingerprint(key) if len(key) == 32 else "no key"
        count, _, _ = self._found.pop(name, (0, 0.0, ""))
        self._found[name] = (count + 1, self._monotonic(), address)
        if len(self._found) > _KEYS_MAX:
            _, (count, _, _) = self._found.popitem(last=False)
            self._forgotten += count

    def details(self) -> dict[str, Any]:
        """As JSON: ``keys``, the one that came last first, and how many refusals are ``forgotten``."""
        now = self._monotonic()
        return {
            "keys": [
                {"key": name, "count": count, "last_s": round(now - at, 3), "address": address}
                for name, (count, at, address) in reversed(self._found.items())
            ],
            "forgotten": self._forgotten,
        }
