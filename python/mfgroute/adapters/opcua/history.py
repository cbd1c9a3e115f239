"""What another node was worth at a source time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from mfgroute.adapters.opcua.change import Scalar

#: Changes kept of one context node; older ones are forgotten first.
KEPT_MAX = 256


class History:
    """The recent values of one node. ``None`` is a value that is not known, such as one of bad quality."""

    __slots__ = ("_times", "_values")

    def __init__(self) -> None:
        self._times: list[int] = []
        self._values: list[str | None] = []

    def put(self, time_us: int, value: str | None) -> None:
        """Remember that the node had `value` from then on. Late ones find their place."""
        place = bisect_right(self._times, time_us)
        self._times.insert(place, time_us)
        self._values.insert(place, value)
        if len(self._times) > KEPT_MAX:
            del self._times[0], self._values[0]

    def set_back(self) -> None:
        """Forget the times: the newest value is that of any time."""
        self._values = self._values[-1:]
        self._times = [-(2**62)] * len(self._values)

    def newer(self, time_us: int) -> bool:
        """Whether a change after `time_us` is known already."""
        return bool(self._times) and self._times[-1] > time_us

    def at(self, time_us: int) -> str | None:
        """Value at a time, changes of that very time included."""
        place = bisect_right(self._times, time_us)
        return self._values[place - 1] if place else None

    def before(self, time_us: int) -> str | None:
        """Value just before a time."""
        place = bisect_left(self._times, time_us)
        return self._values[place - 1] if place else None

    def last_known(self, from_us: int, to_us: int) -> str | None:
        """Newest known value of [from, to), or else the one at `from`."""
        place = bisect_left(self._times, to_us)
        while place > 0:
            value = self._values[place - 1]
            if value is not None or self._times[place - 1] <= from_us:
                return value
            place -= 1
        return None


def text(value: Scalar) -> str | None:
    """A context value as text, because it is a name and not a quantity. Empty text is kept."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
