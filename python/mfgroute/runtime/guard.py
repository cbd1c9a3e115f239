"""What protects one target: it decides when a sink may send, and how much."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Literal, TypeGuard

from mfgroute.config.calendar import Calendar, Span
from mfgroute.config.model import Limits, RetrySection
from mfgroute.events import Event, InDoubt, Outcome, Retry
from mfgroute.runtime.breaker import Breaker
from mfgroute.runtime.budget import RetryBudget
from mfgroute.runtime.group import Group
from mfgroute.runtime.posting import Unasked
from mfgroute.runtime.rate import TokenBucket
from mfgroute.runtime.tempo import Tempo
from mfgroute.runtime.withdrawing import TakenBack

#: Who holds a sink back.
Holder = Literal["window", "breaker"]


class Guard:
    """Rate, breaker and retry budget of one sink.

    Args:
        limits: how hard the target may be pressed.
        retry: when events are sent again.
        tempo: the times.
        random: where jitter comes from.
        calendar: maintenance windows of the target.
        paced: whether the target says itself how much it takes; then no breaker and no budget are needed.
        clock: seconds that only go forward.
        wall: seconds since 1970, as the machine's clock says; only maintenance windows follow it.
    """

    def __init__(
        self,
        limits: Limits,
        retry: RetrySection,
        *,
        tempo: Tempo,
        random: Random,
        calendar: Calendar | None = None,
        paced: bool = False,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._paced = paced
        self.breaker = Breaker(
            failures=limits.breaker.failures,
            share=limits.breaker.share / 100,
            first_s=tempo.pause_first_s,
            max_s=tempo.pause_max_s,
            wish_max_s=retry.delay_max,
            random=random,
            clock=clock,
        )
        self.budget = RetryBudget(
            share=limits.retries.share / 100, least=limits.retries.least, random=random, clock=clock
        )
        self._random = random
        self._bucket = TokenBucket(limits.rate, clock)
        self._in_flight = limits.in_flight
        self._wall = wall
        self._calendar = calendar
        self._window: tuple[int, Span | None] = (-1, None)

    def follow(self, calendar: Calendar | None) -> None:
        """Take another calendar from now on."""
        self._calendar = calendar
        self._window = (-1, None)

    def window(self) -> Span | None:
        """The maintenance window that is on."""
        if self._calendar is None:
            return None
        # Windows begin and end with a minute, also after the clock was set.
        now = self._wall()
        minute = int(now // 60)
        if self._window[0] != minute:
            self._window = (minute, self._calendar.at(now))
        return self._window[1]

    @property
    def in_flight(self) -> int:
        """Most requests at the same time: one while the breaker is half open."""
        return self._in_flight if self.breaker.state == "closed" else 1

    def delay_s(self) -> float:
        """Seconds until a request may go; 0 when one may go now."""
        span = self.window()
        if span is not None:
            return max(0.001, span.until - self._wall())
        return self.breaker.delay_s() or self._bucket.delay_s()

    def held(self) -> tuple[Holder, str] | None:
        """Who holds the sink back, and why, for a sentence."""
        span = self.window()
        if span is not None:
            return "window", span.words(self._wall())
        words = self.breaker.words()
        return ("breaker", words) if words else None

    def counts(self) -> dict[str, int]:
        """What was counted since the start, for the metrics."""
        budget = self.budget
        return {
            "breaker_opened": self.breaker.opened,
            "first_tries": budget.firsts,
            "retries": budget.retries,
            "retries_held": budget.held,
        }

    def after_s(self, wish_s: float | None) -> float | None:
        """When an event may come again: not as the next probe of an open breaker, if there are others."""
        if self.breaker.state != "open":
            return wish_s
        return max(wish_s or 0.0, self._random.uniform(1.0, 2.0) * self.breaker.left_s)

    def admit(self, batch: Any) -> Any:
        """What of a polled batch may be sent: all but retries that find no quota, which come later."""
        if self._paced or self.breaker.state == "half_open" or self.budget.room() > 0:
            return batch  # A breaker that probes lets few pass anyway, and must not wait for first tries.
        held, keys = [], set()
        for event in batch.events:
            if event.key in keys or self.budget.is_retry(event.id):
                # What comes after it in the batch must not pass it.
                keys.add(event.key)
                held.append(event)
        if not held:
            return batch
        group = Group([batch])
        for event in held:
            group.retry(event, after_s=self.budget.later_s(), reason="waits: the retry budget is used up")
        return group

    def sent(self, events: Sequence[Event]) -> None:
        """A request with these events is sent now."""
        self._bucket.take()
        self.budget.sent(event.id for event in events)

    def answered(
        self, events: Sequence[Event], outcomes: Sequence[Outcome | TakenBack], *, reached: bool
    ) -> None:
        """A request has ended.

        Args:
            events: that were sent.
            outcomes: what became of each.
            reached: whether the target has seen anything of it; if not, the pauses between connections
                protect it, and nothing is counted.
        """
        if not reached or self._paced:
            return
        told = [one for one in outcomes if not isinstance(one, Unasked | TakenBack)]
        if not told:
            return
        bad = [one for one in told if _failed(one)]
        good = len(bad) < len(told)
        wishes = [one.after_s for one in bad if isinstance(one, Retry) and one.after_s is not None]
        probed = self.breaker.state == "half_open"
        self.breaker.note(
            good=good,
            reason="" if good else bad[0].reason,
            wish_s=None if good else max(wishes, default=None),
        )
        if probed and self.breaker.state == "closed":
            self.budget.forgive()
        self.budget.answered(good=good)
        if not bad and not self.budget.remembers:
            return
        for event, outcome in zip(events, outcomes, strict=False):
            if not isinstance(outcome, Unasked):
                self.budget.settled(event.id, again=isinstance(outcome, Retry) and _failed(outcome))


def _failed(outcome: Outcome | TakenBack) -> TypeGuard[Retry | InDoubt]:
    """Whether an outcome says that the target is not well."""
    return isinstance(outcome, InDoubt) or (isinstance(outcome, Retry) and not outcome.waits)
