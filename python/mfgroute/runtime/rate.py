"""A limit on requests per second."""

from __future__ import annotations

import time
from collections.abc import Callable


class TokenBucket:
    """Lets `rate` requests pass per second, with bursts of a tenth of a second's worth, at least one.

    Args:
        rate: requests per second; `None` lets all pass.
        clock: seconds that only go forward.
    """

    def __init__(self, rate: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._burst = max(1.0, rate / 10) if rate else 1.0
        self._tokens = self._burst
        self._at = clock()

    def delay_s(self) -> float:
        """Seconds until a request may pass; 0 when one may pass now."""
        if self._rate is None:
            return 0.0
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return 0.0 if self._tokens >= 1.0 - 1e-9 else (1.0 - self._tokens) / self._rate

    def take(self) -> None:
        """Count a request that passed."""
        self._tokens -= 1.0
