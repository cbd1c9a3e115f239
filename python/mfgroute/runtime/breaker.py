"""A circuit breaker: a target that answers badly or not at all is left alone for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from typing import Literal

from mfgroute.runtime.slots import Slots

#: Length of the window in which answers are compared.
WINDOW_S = 30.0
#: Good answers one after the other that close it.
PROBES = 3

State = Literal["closed", "open", "half_open"]


class Breaker:
    """Opens when too many requests of the last thirty seconds failed, and probes with one at a time.

    While it is open nothing is sent. After a pause it is half open: one request at a time, until three in
    a row went well. A failure opens it again, for twice as long.

    Args:
        failures: failed requests that open it at least.
        share: failed requests of all that open it at least, 0.5 for half.
        first_s: the first pause in seconds.
        max_s: the longest pause that it takes by itself.
        wish_max_s: the longest pause that a target may wish for.
        random: where jitter comes from.
        clock: seconds that only go forward.

    Attributes:
        state: what it is.
        opened: how often it opened since the start.
    """

    def __init__(
        self,
        *,
        failures: int,
        share: float,
        first_s: float,
        max_s: float,
        wish_max_s: float,
        random: Random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state: State = "closed"
        self.opened = 0
        self._failures = failures
        self._share = share
        self._first_s = first_s
        self._max_s = max_s
        self._wish_max_s = wish_max_s
        self._random = random
        self._clock = clock
        self._slots = Slots(WINDOW_S, clock)
        self._until = 0.0
        self._pauses = 0
        self._good = 0
        self._why = ""
        self._last = ""

    def delay_s(self) -> float:
        """Seconds until a request may pass; 0 when one may pass now."""
        if self.state != "open":
            return 0.0
        if self.left_s > 0:
            return self.left_s
        self.state, self._good = "half_open", 0
        return 0.0

    def note(self, *, good: bool, reason: str = "", wish_s: float | None = None) -> None:
        """Note how a request ended.

        Args:
            good: the target gave an answer that says something about the events, be it a refusal.
            reason: what went wrong.
            wish_s: how long the target wishes to be left alone.
        """
        if self.state == "open":
            return
        if not good:
            self._last = reason
        if self.state == "half_open":
            self._probed(good=good, wish_s=wish_s)
            return
        self._slots.add("good" if good else "bad")
        bad = self._slots.sum("bad")
        every = bad + self._slots.sum("good")
        if not good and bad >= self._failures and bad >= self._share * every:
            self._why = f"{bad} of {every} requests failed within {WINDOW_S:g} s"
            self._open(wish_s)

    @property
    def left_s(self) -> float:
        """Seconds until an open breaker lets a probe pass."""
        return max(0.0, self._until - self._clock())

    @property
    def pause_s(self) -> float:
        """The pause that comes next, before jitter."""
        return min(self._max_s, self._first_s * (1 << min(self._pauses, 32)))

    def words(self) -> str:
        """Why nothing or little is sent, for a sentence; empty when it is closed."""
        last = f", the last: {self._last}" if self._last else ""
        if self.state == "open":
            return f"its breaker is open: {self._why}{last}; tried again in {self.left_s:.0f} s"
        if self.state == "half_open":
            return f"its breaker is half open: {self._good} of {PROBES} probes went well; {self._why}{last}"
        return ""

    def _probed(self, *, good: bool, wish_s: float | None) -> None:
        if not good:
            self._open(wish_s)
            return
        self._good += 1
        if self._good >= PROBES:
            self.state, self._pauses = "closed", 0
            self._slots.clear()

    def _open(self, wish_s: float | None) -> None:
        # From half the pause on: the first probe must not come at once.
        pause_s = self._random.uniform(0.5, 1.0) * self.pause_s
        self._until = self._clock() + max(pause_s, min(wish_s or 0.0, self._wish_max_s))
        self._pauses += 1
        self.opened += 1
        self.state = "open"
