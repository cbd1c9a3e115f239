"""How far the wall clocks of edges are from that of the core. It is told to people and decides nothing."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from mfgroute.adapters.zeromq.frames import Clock, Ping
from mfgroute.observe.logs import get_logger

__all__ = ["Clocks", "Difference"]

#: Seconds between two questions to an edge; an answer that took longer says too little.
_EVERY_S = 10.0
#: A clock is right again when it is within this share of the bound, so that one at the bound does not flap.
_RIGHT = 0.9

_log = get_logger(adapter="zeromq")


class Difference(NamedTuple):
    """What was measured last.

    Attributes:
        ahead_s: seconds that the edge's clock is before ours; negative if it is behind.
        error_s: the truth is at most so far from that: half of the round trip.
        off: whether it is certainly further off than allowed.
        at: when it was measured, in monotonic seconds.
    """

    ahead_s: float
    error_s: float
    off: bool
    at: float

    def words(self) -> str:
        """What is said of an edge's clock that is off."""
        off = f"{_span(abs(self.ahead_s))} {'ahead of' if self.ahead_s > 0 else 'behind'} ours"
        return f"its clock is {off}, and so are the times that it gives its events"


class Clocks:
    """Asks each edge for its time at a heartbeat and keeps what it answers.

    Args:
        off_max_s: seconds beyond which a clock is called off.
        monotonic: seconds that only go forward.
        wall: our own clock, in seconds since 1970.
    """

    def __init__(
        self,
        off_max_s: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._off_max_s = off_max_s
        self._monotonic = monotonic
        self._wall = wall
        self._asked: dict[str, tuple[int, float]] = {}
        self._answered: set[str] = set()
        self._found: dict[str, Difference] = {}

    def ask(self, edge: str) -> Ping | None:
        """What to ask an edge that was just heard; `None` if it was asked a moment ago."""
        now = self._monotonic()
        before = self._asked.get(edge)
        if before is not None and now - before[1] < _EVERY_S:
            return None
        ping = Ping(secrets.randbits(64))
        self._asked[edge] = (ping.nonce, now)
        self._answered.discard(edge)
        return ping

    def take(self, edge: str, answer: Clock) -> None:
        """An edge has answered. What is no answer to the last question, or came too late, is left aside."""
        now = self._monotonic()
        nonce, asked = self._asked.get(edge, (None, 0.0))
        if answer.nonce != nonce or edge in self._answered or now - asked > _EVERY_S:
            return
        self._answered.add(edge)
        error_s = (now - asked) / 2
        ahead_s = answer.time / 1e6 - (self._wall() - error_s)
        before = edge in self._found and self._found[edge].off
        # While the line is too slow to tell, what was known stands.
        bound_s, error = (_RIGHT * self._off_max_s, error_s) if before else (self._off_max_s, -error_s)
        off = abs(ahead_s) + error > bound_s
        self._found[edge] = Difference(ahead_s, error_s, off, now)
        if off != before:
            say, what = (_log.warning, "edge_clock_off") if off else (_log.info, "edge_clock_right")
            say(what, edge=edge, ahead_s=round(ahead_s, 3), error_s=round(error_s, 3))

    def notes(self, edges: Iterable[str]) -> list[str]:
        """A sentence for each of these edges whose clock is off."""
        found = ((edge, self._found.get(edge)) for edge in edges)
        return [f"edge {edge}: {clock.words()}" for edge, clock in found if clock is not None and clock.off]

    def details(self, edge: str) -> dict[str, Any] | None:
        """What was measured of an edge, as JSON; `None` if it has never answered."""
        found = self._found.get(edge)
        if found is None:
            return None
        return {
            "ahead_s": round(found.ahead_s, 6),
            "error_s": round(found.error_s, 6),
            "off": found.off,
            "measured_s": round(self._monotonic() - found.at, 3),
            "words": found.words(),
        }


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= 0.99 * size:  # What is measured of a whole day may be a little less.
            count = round(seconds / size)
            return f"{count} {unit}" + ("s" if count != 1 else "")
    return f"{seconds * 1000:.0f} ms"
