"""Pauses between attempts: full jitter under a growing cap."""

from __future__ import annotations

from random import Random

_FLOOR_S = 0.01


class Backoff:
    """The pauses of one connection. Deterministic for a seeded `random`.

    Args:
        first_s: cap of the first pause.
        max_s: cap of any pause.
        random: where jitter comes from.
    """

    def __init__(self, *, first_s: float, max_s: float, random: Random) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self._random = random
        self._tries = 0

    def next_s(self) -> float:
        """Seconds to wait before the next attempt; between 0 and a cap that doubles, but at least 10 ms."""
        cap_s = min(self._max_s, self._first_s * 2 ** min(self._tries, 32))
        self._tries += 1
        return max(min(_FLOOR_S, self._max_s), self._random.uniform(0.0, cap_s))

    def reset(self) -> None:
        """An attempt went well."""
        self._tries = 0
