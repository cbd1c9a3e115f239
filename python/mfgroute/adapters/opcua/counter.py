"""Count pieces: differences of a counter over windows of source time.

A fall of the value is a **rollover** if it starts within `rollover_margin` of the top of the range and
ends within it of the bottom; any other fall is a **reset**. A reset keeps what was counted before it. What
was counted since is the new value (`to_zero`, or the value is 0), or is not known (`to_lower` and above
0: the message is marked and the new value only becomes the start of what follows). A reset while a key
of `on_change_of` is not known, or with `never`, makes the count of the window unknown: `delta` is null.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from mfgroute.adapters.opcua.change import Change, Scalar, duration_us, rfc3339
from mfgroute.adapters.opcua.history import History, text
from mfgroute.adapters.opcua.ordered import Ordered
from mfgroute.adapters.opcua.rules import CounterRule, DetectRule, StateRule

#: Empty windows reported one by one with `zero`; a longer silence is one window.
EMPTY_MAX = 1_000


class Window(Struct):
    """What was counted after `from_us`."""

    from_us: int
    first: int
    last: int
    delta: int = 0
    rollovers: int = 0
    resets: int = 0
    last_us: int | None = None
    uncertain: bool = False
    gap: bool = False
    unknown: bool = False
    mixed: bool = False

    def join(self, later: Window) -> Window:
        """Both as one window."""
        return Window(
            from_us=self.from_us,
            first=self.first,
            last=later.last,
            delta=self.delta + later.delta,
            rollovers=self.rollovers + later.rollovers,
            resets=self.resets + later.resets,
            last_us=self.last_us if later.last_us is None else later.last_us,
            uncertain=self.uncertain or later.uncertain,
            gap=self.gap or later.gap,
            unknown=self.unknown or later.unknown,
            mixed=self.mixed or later.mixed,
        )


class CounterDetector(Ordered):
    """Make messages of what a counter counted."""

    def __init__(self, rule: DetectRule, stop: StateRule | None) -> None:
        assert rule.counter is not None
        self._counter: CounterRule = rule.counter
        self._stop = stop
        # Of one source time: first the pieces, then whose they were, then that the machine stopped.
        ranks = {stop.node: 2} if stop is not None else {}
        ranks |= dict.fromkeys(rule.context.values(), 1)
        ranks[rule.counter.node] = 0
        super().__init__(rule, ranks)
        self._every_us = duration_us(rule.emit.every) if rule.emit.every else None
        self._stop_us = duration_us(stop.for_) if stop is not None else 0
        self._histories = {name: History() for name in rule.context}
        self._known: dict[str, str] = {}
        self._window: Window | None = None
        #: The window up to a stop that has not lasted long enough yet.
        self._head: tuple[Window, int, dict[str, str | None]] | None = None
        self._stopped = False
        #: Values are missing between the last one and the next.
        self._blind = False
        self._key_changed = False
        self._reconnected = False

    # Ordered

    def apply(self, change: Change) -> None:
        """Take a change in each role its node has."""
        usable = change.quality == "good" or (
            change.quality == "uncertain" and self.rule.quality.uncertain == "use_and_mark"
        )
        if change.node == self._counter.node:
            self._count_value(change, usable=usable)
        for name, node in self.rule.context.items():
            if node == change.node:
                self._note_context(name, change.source_time_us, text(change.value) if usable else None)
        if self._stop is not None and change.node == self._stop.node and usable:
            self._note_stop(change.source_time_us, stopped=change.value == self._stop.equals)

    def deadline_us(self) -> int | None:
        """The end of the window by the clock, or when a stop has lasted long enough."""
        ends = []
        if self._every_us is not None and self._window is not None:
            ends.append((self._window.from_us // self._every_us + 1) * self._every_us)
        if self._head is not None:
            ends.append(self._head[1] + self._stop_us)
        return min(ends) if ends else None

    def expire(self, deadline_us: int, until_us: int) -> None:
        """Close the window by the clock, or believe the stop."""
        if self._head is not None and deadline_us == self._head[1] + self._stop_us:
            self._believe_stop()
            return
        assert self._every_us is not None
        self._forget_stop()
        self._close(deadline_us)
        assert self._window is not None
        last_us = (until_us - 1) // self._every_us * self._every_us
        if not self.rule.emit.zero or (last_us - deadline_us) // self._every_us > EMPTY_MAX:
            self._window.from_us = max(deadline_us, last_us)

    def flush(self) -> None:
        """Close the window where it is, with a gap, if anything was counted in it."""
        self._forget_stop()
        window = self._window
        if window is not None and (window.delta or window.resets):
            window.gap = True
            self._close(max(self.seen_us, window.from_us))

    def snapshot(self) -> dict[str, Any] | None:
        """The end of the last message, the value there and the keys."""
        window = self._head[0] if self._head is not None else self._window
        if window is None:
            return None
        return {"to": window.from_us, "raw": window.first, "keys": self._known}

    def restore(self, memory: dict[str, Any] | None) -> None:
        """Go on from the last message, or begin anew, with a gap."""
        self._reconnected = True
        if memory is None or self.rule.suppress_first_after_reconnect:
            return
        self._known = {name: key for name, key in memory["keys"].items() if name in self._histories}
        for name, key in self._known.items():
            self._histories[name].put(memory["to"], key)
        raw = memory["raw"]
        self._window = Window(from_us=memory["to"], first=raw, last=raw, gap=True, uncertain=True)
        self._blind = True

    def set_back(self, time_us: int) -> None:
        """Say what was counted, and begin anew with a gap."""
        self.drain()
        self.flush()
        for history in self._histories.values():
            history.set_back()
        self.seen_us = time_us
        self.missed()
        if self._window is not None:
            self._window.from_us = time_us
            self._window.last_us = None

    def missed(self) -> None:
        """The next value comes after a gap."""
        self._blind = True
        if self._window is not None:
            self._window.gap = self._window.uncertain = True

    # The counter

    def _count_value(self, change: Change, *, usable: bool) -> None:
        window = self._window
        value = self._number(change.value) if usable else None
        if window is None:
            if value is not None:
                self._open(change, value)
            return
        if window.last_us is not None and change.source_time_us < window.last_us:
            return  # A counter says all there is to say in its newest value.
        if change.gap or value is None:
            window.gap = window.uncertain = True
            self._blind = True
        if value is None:
            return
        window.uncertain |= change.quality == "uncertain"
        window.mixed |= self._blind and self._key_changed
        self._add(window, value, change.source_time_us)
        window.last = value
        window.last_us = change.source_time_us
        self._blind = self._key_changed = False
        if window.mixed:
            window.gap = window.uncertain = True
            self._forget_stop()
            self._close(max(change.source_time_us, window.from_us))

    def _open(self, change: Change, value: int) -> None:
        from_us = max(change.source_time_us, change.server_time_us or change.source_time_us)
        self._window = Window(
            from_us=from_us,
            first=value,
            last=value,
            uncertain=change.quality == "uncertain",
            gap=self._reconnected or change.gap,
        )
        self._blind = self._key_changed = False

    def _add(self, window: Window, value: int, time_us: int) -> None:
        low, high = self._counter.bounds()
        if value >= window.last:
            window.delta += value - window.last
            return
        margin = int((high - low + 1) * self._counter.rollover_margin)
        if self._counter.rollover and window.last > high - margin and value < low + margin:
            window.delta += value - window.last + (high - low + 1)
            window.rollovers += 1
            return
        window.resets += 1
        keys = [self._histories[name].at(time_us) for name in self.rule.emit.on_change_of]
        if self._counter.reset == "never" or None in keys:
            window.unknown = True
        elif value == 0 or self._counter.reset == "to_zero":
            window.delta += value
        else:
            window.gap = window.uncertain = True

    def _number(self, value: Scalar) -> int | None:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            return None
        low, high = self._counter.bounds()
        return value if low <= value <= high else None

    # The context

    def _note_context(self, name: str, time_us: int, value: str | None) -> None:
        history = self._histories[name]
        if name in self.rule.emit.on_change_of and value is not None and not history.newer(time_us):
            known = self._known.get(name)
            window = self._window
            counted = window is not None and window.delta > 0
            if value != known and (known is not None or counted):
                self._change_key(time_us)
            self._known[name] = value
        history.put(time_us, value)

    def _change_key(self, time_us: int) -> None:
        window = self._window
        if window is None:
            return
        self._forget_stop()
        window = self._window
        assert window is not None
        if time_us <= window.from_us:
            if window.last_us is None:
                self._key_changed = True
            return
        if window.last_us is not None and window.last_us > time_us:
            # Too late to tell whose pieces these are.
            window.mixed = window.gap = window.uncertain = True
            self._close(max(self.seen_us, window.last_us))
            return
        self._close(time_us)
        self._key_changed = True

    def _context_at(self, time_us: int, *, mixed: bool) -> dict[str, str | None]:
        values = {name: history.before(time_us) or None for name, history in self._histories.items()}
        if mixed:
            values |= dict.fromkeys(self.rule.emit.on_change_of)
        return values

    # The stop

    def _note_stop(self, time_us: int, *, stopped: bool) -> None:
        if stopped == self._stopped:
            return
        self._stopped = stopped
        if not stopped:
            if self._head is not None and time_us - self._head[1] >= self._stop_us:
                self._believe_stop()
            self._forget_stop()
            return
        window = self._window
        if window is None or time_us <= window.from_us or (window.last_us or time_us) > time_us:
            return
        self._head = (window, time_us, self._context_at(time_us, mixed=window.mixed))
        self._window = self._following(window, time_us)

    def _believe_stop(self) -> None:
        assert self._head is not None
        self._report(*self._head)
        self._head = None

    def _forget_stop(self) -> None:
        if self._head is not None and self._window is not None:
            self._window = self._head[0].join(self._window)
        self._head = None

    # The messages

    def _close(self, to_us: int) -> None:
        assert self._window is not None
        window = self._window
        self._report(window, to_us, self._context_at(to_us, mixed=window.mixed))
        self._window = self._following(window, to_us)

    def _following(self, window: Window, from_us: int) -> Window:
        blind = self._blind
        return Window(
            from_us=from_us,
            first=window.last,
            last=window.last,
            gap=blind,
            uncertain=blind,
            mixed=blind and window.mixed,
        )

    def _report(self, window: Window, to_us: int, context: dict[str, str | None]) -> None:
        if not (window.delta or window.resets or window.gap or window.unknown or self.rule.emit.zero):
            return
        doubtful = window.uncertain or window.unknown
        self.messages.append(
            {
                "detect": self.rule.name,
                "node": self._counter.node,
                "from": rfc3339(window.from_us),
                "to": rfc3339(to_us),
                "raw": {"first": window.first, "last": window.last},
                "delta": None if window.unknown else window.delta,
                "rollovers": window.rollovers,
                "resets": window.resets,
                "quality": "uncertain" if doubtful else "good",
                "gap": window.gap or window.unknown,
                "context": context,
            }
        )
