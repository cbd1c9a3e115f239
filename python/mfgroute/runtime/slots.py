"""Counters over the last seconds."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

_SLOTS = 20


class Slots:
    """Counts by name over a window that slides in twenty steps, and is never shorter than asked for.

    Args:
        window_s: its length in seconds.
        clock: seconds that only go forward.
    """

    def __init__(self, window_s: float, clock: Callable[[], float]) -> None:
        self._step_s = window_s / _SLOTS
        self._clock = clock
        self._slots: deque[tuple[int, Counter[str]]] = deque()
        self._sums: Counter[str] = Counter()

    def add(self, name: str, count: int = 1) -> None:
        """Count something now."""
        now = self._slide()
        if not self._slots or self._slots[-1][0] != now:
            self._slots.append((now, Counter()))
        self._slots[-1][1][name] += count
        self._sums[name] += count

    def sum(self, name: str) -> int:
        """What was counted within the window."""
        self._slide()
        return self._sums[name]

    def forget(self, name: str) -> None:
        """Forget what was counted under one name."""
        for _, counts in self._slots:
            counts.pop(name, None)
        self._sums.pop(name, None)

    def clear(self) -> None:
        """Forget everything."""
        self._slots.clear()
        self._sums.clear()

    def _slide(self) -> int:
        now = int(self._clock() / self._step_s)
        while self._slots and self._slots[0][0] < now - _SLOTS:
            self._sums.subtract(self._slots.popleft()[1])
        return now
