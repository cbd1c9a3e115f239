"""Notice a state that lasts: a downtime, and not each of its micro-stops."""

from __future__ import annotations

from typing import Any

from mfgroute.adapters.opcua.change import Change, duration_us, rfc3339
from mfgroute.adapters.opcua.history import History, text
from mfgroute.adapters.opcua.ordered import Ordered
from mfgroute.adapters.opcua.rules import DetectRule, StateRule


class StateDetector(Ordered):
    """Make a message when a state has lasted long enough, and one when it ends."""

    def __init__(self, rule: DetectRule) -> None:
        assert rule.state is not None
        self._state: StateRule = rule.state
        # Of one source time: the context first, so that a cause given with the stop belongs to it.
        super().__init__(rule, dict.fromkeys(rule.context.values(), 0) | {rule.state.node: 1})
        self._for_us = duration_us(rule.state.for_)
        self._histories = {name: History() for name in rule.context}
        self._since_us: int | None = None
        self._started = False
        self._gap = False
        self._uncertain = False
        self._resumed = False
        self._changed_us: int | None = None

    def apply(self, change: Change) -> None:
        """Take a change in each role its node has."""
        usable = change.quality == "good" or (
            change.quality == "uncertain" and self.rule.quality.uncertain == "use_and_mark"
        )
        for name, node in self.rule.context.items():
            if node == change.node:
                self._histories[name].put(change.source_time_us, text(change.value) if usable else None)
        if change.node == self._state.node:
            self._note(change, usable=usable)

    def _note(self, change: Change, *, usable: bool) -> None:
        if change.gap or not usable:
            self._gap = self._uncertain = True
        if not usable or (self._changed_us is not None and change.source_time_us < self._changed_us):
            return  # A change that comes after a newer one of the same node says nothing.
        self._changed_us = change.source_time_us
        self._uncertain |= change.quality == "uncertain"
        resumed, self._resumed = self._resumed, False
        if change.value == self._state.equals:
            if self._since_us is None:
                self._since_us = change.source_time_us
            elif resumed and change.source_time_us > self._since_us:
                self._gap = self._uncertain = True  # It may have ended in between.
            return
        if self._since_us is not None:
            self._end(change.source_time_us)
        self._since_us = None
        self._started = self._gap = self._uncertain = False

    def _end(self, to_us: int) -> None:
        assert self._since_us is not None
        if to_us - self._since_us < self._for_us and not self._started:
            return
        if not self._started:
            self.expire(self._since_us + self._for_us, to_us)
        if "end" in self.rule.emit.on:
            self._report("end", to_us, to_us)

    def deadline_us(self) -> int | None:
        """When the state has lasted long enough."""
        if self._since_us is None or self._started or self._resumed:
            return None
        return self._since_us + self._for_us

    def expire(self, deadline_us: int, until_us: int) -> None:
        """The state has lasted long enough."""
        del until_us
        self._started = True
        if "start" in self.rule.emit.on:
            self._report("start", None, deadline_us + 1)

    def flush(self) -> None:
        """Nothing ends because a connection does; it goes on from the snapshot."""

    def set_back(self, time_us: int) -> None:
        """A state that lasts began no later than now; how long it lasts is not sure any more."""
        self.drain()
        for history in self._histories.values():
            history.set_back()
        self.seen_us = time_us
        self._changed_us = None
        if self._since_us is not None:
            self._since_us = min(self._since_us, time_us)
        self.missed()

    def missed(self) -> None:
        """The state may have changed and come back."""
        self._gap = self._uncertain = True

    def snapshot(self) -> dict[str, Any] | None:
        """The state that lasts."""
        if self._since_us is None:
            return None
        return {"since": self._since_us, "started": self._started}

    def restore(self, memory: dict[str, Any] | None) -> None:
        """A state that lasted goes on, with a gap, until its node says otherwise."""
        if memory is None:
            return
        self._since_us = memory["since"]
        self._started = memory["started"]
        self._gap = self._uncertain = self._resumed = True

    def _report(self, phase: str, to_us: int | None, context_until_us: int) -> None:
        assert self._since_us is not None
        since = self._since_us
        context = {
            name: history.last_known(since, context_until_us) or None
            for name, history in self._histories.items()
        }
        self.messages.append(
            {
                "detect": self.rule.name,
                "node": self._state.node,
                "phase": phase,
                "from": rfc3339(since),
                "to": None if to_us is None else rfc3339(to_us),
                "quality": "uncertain" if self._uncertain else "good",
                "gap": self._gap,
                "context": context,
            }
        )
