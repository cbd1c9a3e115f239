"""Turn changes of values into business messages. No input or output, no clock of its own.

Times are source times. `Detection` only needs the monotonic clock to know how long it has waited: it
estimates the present of the source from the newest server time and what has passed since.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from mfgroute.adapters.opcua.change import Change
from mfgroute.adapters.opcua.counter import CounterDetector
from mfgroute.adapters.opcua.ordered import Ordered
from mfgroute.adapters.opcua.rules import DetectRule, stop_of
from mfgroute.adapters.opcua.state import StateDetector

#: A source time this far from the server's is not believed.
SKEW_US_MAX = 3_600_000_000

#: Times of one node come in order; one this much older means that its clock was set back.
SET_BACK_US = 60_000_000

_VERSION = 1


class Detection:
    """All detectors of one source."""

    def __init__(self, rules: Sequence[DetectRule]) -> None:
        rules = tuple(rules)
        self._detectors: list[Ordered] = [
            CounterDetector(rule, stop_of(rule, rules)) if rule.counter is not None else StateDetector(rule)
            for rule in rules
        ]
        #: Source time minus monotonic time.
        self._offset_us: int | None = None
        self._newest_us: dict[str, int] = {}

    @property
    def late(self) -> int:
        """Changes that came after `settle_ms`."""
        return sum(detector.late for detector in self._detectors)

    def offer(self, change: Change, now_s: float) -> None:
        """Take a change that arrived at monotonic time `now_s`."""
        server_us = change.server_time_us
        if server_us is not None and change.source_time_us - server_us > SKEW_US_MAX:
            quality = "uncertain" if change.quality == "good" else change.quality
            change = msgspec.structs.replace(change, source_time_us=server_us, quality=quality)
        newest_us = self._newest_us.get(change.node, change.source_time_us)
        if change.source_time_us + SET_BACK_US < newest_us:
            self._set_back(change.source_time_us)
        self._newest_us[change.node] = change.source_time_us
        self.clock(change.source_time_us if server_us is None else server_us, now_s)
        for detector in self._detectors:
            detector.offer(change, _us(now_s))

    def clock(self, server_time_us: int, now_s: float) -> None:
        """Learn what time it is at the server."""
        offset = server_time_us - _us(now_s)
        if self._offset_us is None or offset > self._offset_us or self._offset_us - offset > SKEW_US_MAX:
            self._offset_us = offset

    def _set_back(self, time_us: int) -> None:
        self._offset_us = None
        self._newest_us.clear()
        for detector in self._detectors:
            detector.set_back(time_us)

    def missed(self) -> None:
        """Changes of unknown nodes are missing."""
        for detector in self._detectors:
            detector.missed()

    def tick(self, now_s: float) -> list[dict[str, Any]]:
        """What is to be said by now, in the order of the detectors and of time."""
        if self._offset_us is not None:
            for detector in self._detectors:
                detector.run(_us(now_s), _us(now_s) + self._offset_us)
        return self._messages()

    def flush(self) -> list[dict[str, Any]]:
        """What is known when the connection is lost."""
        for detector in self._detectors:
            detector.drain()
            detector.flush()
        return self._messages()

    def wait_s(self, now_s: float) -> float | None:
        """Seconds until `tick` has something to do, if nothing else arrives."""
        if self._offset_us is None:
            return None
        now_us = _us(now_s)
        waits = [detector.wait_us(now_us, now_us + self._offset_us) for detector in self._detectors]
        known = [wait for wait in waits if wait is not None]
        return min(known) / 1e6 if known else None

    def snapshot(self) -> bytes:
        """What to remember over a lost connection or a restart."""
        memory = {detector.rule.name: detector.snapshot() for detector in self._detectors}
        return msgspec.json.encode({"v": _VERSION, "detect": memory})

    def restore(self, snapshot: bytes) -> None:
        """Go on after a lost connection or a restart. What does not fit the rules is left out."""
        try:
            memory = msgspec.json.decode(snapshot)
        except msgspec.DecodeError:
            memory = None
        if not isinstance(memory, dict) or memory.get("v") != _VERSION:
            memory = {"detect": {}}
        for detector in self._detectors:
            detector.restore(memory["detect"].get(detector.rule.name))

    def _messages(self) -> list[dict[str, Any]]:
        said: list[dict[str, Any]] = []
        for detector in self._detectors:
            said += detector.messages
            detector.messages.clear()
        return said


def _us(seconds: float) -> int:
    return round(seconds * 1e6)
