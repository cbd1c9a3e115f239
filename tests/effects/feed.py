"""Lines of effects as an engine hands them out: numbered, kept until they are taken."""

from __future__ import annotations

import json
import threading


class Feed:
    """The lines of some sinks.

    Attributes:
        asked: how often lines were asked for.
    """

    def __init__(self):
        self._lines: dict[str, list[dict]] = {}
        self._taken: dict[str, int] = {}
        self._lock = threading.Lock()
        self.asked = 0

    def say(self, sink, event, state, *, at_ms=1_795_000_000_000, **more):
        """One more change; answers its number."""
        with self._lock:
            lines = self._lines.setdefault(sink, [])
            number = lines[-1]["number"] + 1 if lines else 1
            lines.append(
                {"number": number, "at_ms": at_ms + number, "id": event, "state": state, "key": None, "attempt": 0,
                 "reference": None, "code": None, "reason": None, **more}
            )  # fmt: skip
            return number

    def intend(self, sink, event, thing="order/DE04/4711", amounts=None, at_ms=1_795_000_000_000, **data):
        """A request is written down."""
        document = {
            "specversion": "1.0", "id": event, "type": "com.example.production.operation.completed.v1",
            "subject": thing, "data": {"report": f"R-{event}", **data},
        }  # fmt: skip
        about = {"object": thing, "amounts": amounts or {}, "sha256": "ab" * 32, "event": document}
        return self.say(sink, event, "intent", key=f"key-{event}", attempt=1, about=about, at_ms=at_ms)

    def post(self, sink, event, reference="4900000001", at_ms=1_795_000_000_000, **more):
        """A request is written down and posted."""
        self.intend(sink, event, at_ms=at_ms, **more)
        return self.say(
            sink, event, "posted", key=f"key-{event}", attempt=1, reference=reference, at_ms=at_ms
        )

    def effects(self, sink, after, count_max):
        """As the engine's."""
        with self._lock:
            self.asked += 1
            taken = self._taken.get(sink, 0)
            lines = [one for one in self._lines.get(sink, []) if one["number"] > max(after, taken)]
            return b"".join(json.dumps(one).encode() + b"\n" for one in lines[:count_max])

    def effects_taken(self, sink, upto):
        """As the engine's."""
        with self._lock:
            lines = self._lines.get(sink, [])
            if upto > (lines[-1]["number"] if lines else 0):
                raise ValueError(f"sink {sink} has no line {upto}")
            self._taken[sink] = max(upto, self._taken.get(sink, 0))

    def forget(self, sink, behind):
        """Be what it was when line `behind` was the newest, with everything before it taken."""
        with self._lock:
            self._lines[sink] = [one for one in self._lines[sink] if one["number"] <= behind]
            self._taken[sink] = behind

    def left(self, sink):
        """Numbers of lines that nobody has taken."""
        return [json.loads(line)["number"] for line in self.effects(sink, 0, 10**6).splitlines()]
