"""A limit on retries: what a target gets again, beside what it gets for the first time."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from random import Random

from mfgroute.runtime.slots import Slots

#: Length of the window in which first tries and retries are compared.
WINDOW_S = 10.0
#: Most event ids that are remembered as sent before; the oldest of more are taken for first tries.
AGAIN_MAX = 100_000
#: A target of which no more than this share of answers is bad has recovered.
_BAD_MAX = 0.01
#: Bounds of the pause of a retry that finds no quota.
_LATER_S = (0.1, 60.0)


class RetryBudget:
    """Lets retries pass as a share of first tries, so that a target in trouble gets little more than usual.

    All is counted in requests; one with several events is a retry if one of them is.

    In any window of ten seconds there are at most `share` times as many retries as first tries, or
    `least` per second where that is more. When a target answers well again, there may be as many retries
    as it gave good answers: their number can double with each window, and falls back with the first bad
    answers.

    Args:
        share: of first tries, 0.1 for a tenth.
        least: retries per second that are always allowed.
        clock: seconds that only go forward.
        random: where jitter comes from.

    Attributes:
        firsts: requests with first tries alone since the start.
        retries: requests with retries since the start.
        held: how often an event found no quota.
    """

    def __init__(
        self, *, share: float, least: float, random: Random, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.firsts = self.retries = self.held = 0
        self._share = share
        self._least = least * WINDOW_S
        self._random = random
        self._slots = Slots(WINDOW_S, clock)
        self._again: OrderedDict[str, None] = OrderedDict()

    def is_retry(self, event_id: str) -> bool:
        """Whether the target has had this event before."""
        return event_id in self._again

    @property
    def remembers(self) -> bool:
        """Whether there is any event that the target has had before."""
        return bool(self._again)

    def room(self) -> int:
        """How many requests with retries may go now."""
        return max(0, int(self._allowed() - self._slots.sum("retries") + 1e-9))

    def sent(self, event_ids: Iterable[str]) -> None:
        """Count a request that is sent now; it is a retry if one of its events is."""
        again = self.remembers and any(self.is_retry(event_id) for event_id in event_ids)
        self._slots.add("retries" if again else "firsts")
        self.retries += again
        self.firsts += not again

    def answered(self, *, good: bool) -> None:
        """Note how the target has answered a request."""
        self._slots.add("good" if good else "bad")

    def forgive(self) -> None:
        """The target is well again: its bad answers count no more."""
        self._slots.forget("bad")

    def settled(self, event_id: str, *, again: bool) -> None:
        """Note whether the target will get an event again."""
        self._again.pop(event_id, None)
        if again:
            self._again[event_id] = None
            if len(self._again) > AGAIN_MAX:
                self._again.popitem(last=False)

    def later_s(self) -> float:
        """Seconds until a retry that finds no quota comes again: the longer, the more of them there are."""
        self.held += 1
        self._slots.add("held")
        wanted = self._slots.sum("held") + self._slots.sum("retries")
        # A target that is well earns its retries quota within moments.
        turn_s = 1.0 if self._well() else WINDOW_S * wanted / max(self._allowed(), 1.0)
        shortest, longest = _LATER_S
        return min(longest, max(shortest, self._random.uniform(0.0, 2.0) * turn_s))

    def _allowed(self) -> float:
        """Retries of one window."""
        allowed = max(self._share * self._slots.sum("firsts"), self._least)
        return max(allowed, self._slots.sum("good")) if self._well() else allowed

    def _well(self) -> bool:
        """Whether the target has answered, and well."""
        good = self._slots.sum("good")
        return good > 0 and self._slots.sum("bad") <= _BAD_MAX * good
