"""Changes in the order of their source times, although they arrive in another."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from typing import Any

from mfgroute.adapters.opcua.change import Change
from mfgroute.adapters.opcua.rules import DetectRule

#: Changes held back at once by one detector; more than that are taken early.
HELD_MAX = 10_000


class Ordered(ABC):
    """A detector: changes go in as they arrive and are applied by source time.

    A change is held for `settle_ms` after its arrival. Changes of the same source time are applied by the
    rank of their node, then as they arrived. What arrives later than that is applied late: `seen_us` is
    past its source time, and each detector says what it does then.
    """

    def __init__(self, rule: DetectRule, ranks: Mapping[str, int]) -> None:
        self.rule = rule
        self.late = 0
        self.messages: list[dict[str, Any]] = []
        self.seen_us = -(2**62)
        self._ranks = ranks
        self._settle_us = rule.settle_ms * 1000
        self._held: list[tuple[int, int, int, Change]] = []
        self._arrivals: deque[tuple[int, int]] = deque()
        self._count = 0

    @property
    def settle_us(self) -> int:
        """How long changes are held."""
        return self._settle_us

    @abstractmethod
    def apply(self, change: Change) -> None:
        """Take one change. All deadlines before its source time have passed."""

    @abstractmethod
    def deadline_us(self) -> int | None:
        """Source time after which something happens by itself."""

    @abstractmethod
    def expire(self, deadline_us: int, until_us: int) -> None:
        """Do what happens after `deadline_us`; later ones before `until_us` may be done at once."""

    @abstractmethod
    def flush(self) -> None:
        """Say what is known because the connection is lost."""

    @abstractmethod
    def snapshot(self) -> dict[str, Any] | None:
        """What must be remembered over a lost connection."""

    @abstractmethod
    def restore(self, memory: dict[str, Any] | None) -> None:
        """Go on after a lost connection."""

    @abstractmethod
    def missed(self) -> None:
        """Changes of unknown nodes are missing."""

    @abstractmethod
    def set_back(self, time_us: int) -> None:
        """Go on at `time_us`, although later times were seen: a clock was set back."""

    def offer(self, change: Change, now_us: int) -> None:
        """Hold a change that arrived at monotonic time `now_us`."""
        rank = self._ranks.get(change.node)
        if rank is None:
            return
        self._count += 1
        heapq.heappush(self._held, (change.source_time_us, rank, self._count, change))
        self._arrivals.append((now_us + self._settle_us, change.source_time_us))
        if len(self._held) > HELD_MAX:
            self._take(self._held[0][0])

    def run(self, now_us: int, source_now_us: int) -> None:
        """Apply what has settled, then let the deadlines pass that no held change precedes."""
        horizon: int | None = None
        while self._arrivals and self._arrivals[0][0] <= now_us:
            time_us = self._arrivals.popleft()[1]
            horizon = time_us if horizon is None else max(horizon, time_us)
        if horizon is not None:
            self._take(horizon)
        limit = source_now_us - self._settle_us
        if self._held:
            limit = min(limit, self._held[0][0])
        self._pass(limit)

    def drain(self) -> None:
        """Apply everything that is held."""
        self._arrivals.clear()
        if self._held:
            self._take(max(entry[0] for entry in self._held))

    def wait_us(self, now_us: int, source_now_us: int) -> int | None:
        """Until `run` has something to do, if nothing else arrives."""
        waits = [self._arrivals[0][0] - now_us] if self._arrivals else []
        deadline = self.deadline_us()
        if deadline is not None:
            waits.append(deadline + self._settle_us + 1 - source_now_us)
        return max(0, min(waits)) if waits else None

    def _take(self, horizon_us: int) -> None:
        while self._held and self._held[0][0] <= horizon_us:
            change = heapq.heappop(self._held)[3]
            if change.source_time_us < self.seen_us:
                self.late += 1
            self._pass(change.source_time_us)
            self.apply(change)
            self.seen_us = max(self.seen_us, change.source_time_us)

    def _pass(self, until_us: int) -> None:
        while (deadline := self.deadline_us()) is not None and deadline < until_us:
            self.expire(deadline, until_us)
            self.seen_us = max(self.seen_us, deadline)
