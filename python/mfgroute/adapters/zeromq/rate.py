"""How many events a second, over the last minute."""

from __future__ import annotations

from collections import deque

__all__ = ["Rate"]

_SPAN_S = 60.0


class Rate:
    """Counts by second. Times are monotonic."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, int]] = deque()
        self._first: float | None = None

    def add(self, now: float, count: int) -> None:
        """So many more."""
        if self._first is None:
            self._first = now
        second = int(now)
        if self._seconds and self._seconds[-1][0] == second:
            count += self._seconds.pop()[1]
        self._seconds.append((second, count))
        self._forget(now)

    def per_s(self, now: float) -> float:
        """The mean of the last minute, or of the time since the first one."""
        self._forget(now)
        if self._first is None or not self._seconds:
            return 0.0
        return sum(count for _, count in self._seconds) / min(_SPAN_S, max(1.0, now - self._first))

    def _forget(self, now: float) -> None:
        while self._seconds and self._seconds[0][0] < now - _SPAN_S:
            self._seconds.popleft()
