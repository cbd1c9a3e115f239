"""Health: whether sources and sinks make progress, which is more than being up."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Protocol

import msgspec

STUCK_S = 5.0

State = Literal["starting", "up", "disconnected", "down", "stopped"]

#: Upper bounds of the buckets of `Buckets`, in seconds.
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class RecordCounts(msgspec.Struct):
    """What the recording of a source did since the start.

    Attributes:
        kept: messages written; the lines of one file count as one.
        lost: messages not written, by cause: ``too_big`` or ``failed``.
        size: bytes in its folder now.
    """

    kept: int = 0
    lost: dict[str, int] = {}
    size: int = 0


class Buckets:
    """A histogram of durations in seconds."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def __add__(self, other: Buckets) -> Buckets:
        """Both together."""
        both = Buckets()
        both.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        both.sum_s = self.sum_s + other.sum_s
        return both

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds


class Guarded(Protocol):
    """What holds a sink back to protect its target."""

    def held(self) -> tuple[Literal["window", "breaker"], str] | None:
        """What holds it back now, and why, for a sentence."""

    def counts(self) -> Mapping[str, int]:
        """How often since the start: ``breaker_opened``, ``first_tries``, ``retries``, ``retries_held``."""


class Pulse:
    """What one source or sink task says about itself. Written by its task, read by health and metrics.

    Attributes:
        kind: ``source`` or ``sink``.
        name: as in ``mfgroute.yaml``.
        adapter: name of its adapter.
        state: ``down`` means that the breaker is open or the task died.
        detail: why it is not up; empty when it is.
        faults: unexpected errors since the start.
        reconnects: lost connections since the start.
        seconds: durations of submits of a source, of writes of a sink.
        record: what is kept of raw messages, for sources that keep them.
        guard: what protects the target of a sink.
        quarantine: why its peer waits for the approval of a person; empty when it does not.
    """

    def __init__(
        self,
        kind: Literal["source", "sink"],
        name: str,
        adapter: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.kind = kind
        self.name = name
        self.adapter = adapter
        self.state: State = "starting"
        self.detail = ""
        self.quarantine = ""
        self.faults = 0
        self.reconnects = 0
        self.seconds = Buckets()
        self._counted: Counter[str] = Counter()
        self._counting: Callable[[], Mapping[str, int]] | None = None
        self._describing: Callable[[], Mapping[str, Any]] | None = None
        self.record: RecordCounts | None = None
        self.guard: Guarded | None = None
        self._clock = clock
        self._since = clock()
        self._not_up_since: float | None = self._since
        self._waiting_since: float | None = None
        self._failing_since: float | None = None
        self._failing = ""
        self._cut = False
        self._working = 0

    def count_with(
        self,
        counters: Callable[[], Mapping[str, int]] | None,
        details: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        """From now on `counters` says what the adapter counts; what the one before it said is added up.

        `details` says how its connection stands.
        """
        self._describing = details
        if self._counting is not None:
            self._counted.update(self._counting())
        self._counting = counters

    def counters(self) -> Counter[str]:
        """What the adapter has counted since the start, over all its connections."""
        total = self._counted.copy()
        total.update({} if self._counting is None else self._counting())
        return total

    def details(self) -> Mapping[str, Any]:
        """How its connection stands; empty if there is none."""
        return {} if self._describing is None else self._describing()

    def enter(self, state: State, detail: str = "", *, proven: bool = False) -> None:
        """Change the state.

        A sink that loses its connection in use has not mended that by opening a new one: some targets are
        reached only by the first write. What was lost is forgotten with the next `progress`, or with a
        connection over which the target was heard (`proven`).
        """
        if self.kind == "sink" and self.state == "up" and state in ("disconnected", "down"):
            self._cut = True
            self._fail(detail)
        if state != self.state:
            self._since = self._clock()
        if state == "up":
            self._not_up_since, self.quarantine = None, ""
            self._cut = self._cut and not proven
        elif self._not_up_since is None:
            self._not_up_since = self._clock()
        self.state = state
        self.detail = detail

    def begin(self) -> None:
        """Some work was taken; from now on progress is expected."""
        self._working += 1
        if self._waiting_since is None:
            self._waiting_since = self._clock()

    def progress(self) -> None:
        """Something was finished: an intake acknowledged, a delivery settled."""
        self._failing_since, self._failing, self._cut = None, "", False
        self._working = max(0, self._working - 1)
        self._waiting_since = self._clock() if self._working else None

    def give_back(self, reason: str = "") -> None:
        """Work was returned unfinished; it still waits, so no progress is seen."""
        self._working = max(0, self._working - 1)
        self._fail(reason)

    def _fail(self, reason: str) -> None:
        if self._failing_since is None:
            self._failing_since = self._clock()
        self._failing = reason or self._failing

    @property
    def reached(self) -> bool:
        """Whether it is connected, as far as anybody knows."""
        return self.state == "up" and not self._cut

    def idle(self) -> None:
        """There is nothing to do."""
        if not self._working:
            self._waiting_since = None

    def rest(self) -> None:
        """Nothing is expected for now: the time without progress begins anew."""
        self._failing_since, self._failing = None, ""
        self._waiting_since = self._clock() if self._working else None
        if self._not_up_since is not None:
            self._not_up_since = self._clock()

    def stuck_s(self) -> float:
        """Seconds without progress while there is work; 0 when there is none."""
        return 0.0 if self._waiting_since is None else self._clock() - self._waiting_since

    def trouble(self, queued: int = 0) -> str | None:
        """Why this part is not healthy, or `None`.

        Args:
            queued: events that wait for this sink in the engine.
        """
        held_by, words = self._held()
        if held_by == "window":
            return None
        if self.state == "down":
            return f"{self.kind} {self.name} is down: {self.detail}"
        if held_by == "breaker" and (queued or self._working):
            return f"{self.kind} {self.name} has work, and {words}"
        stuck_s = self.stuck_s()
        if queued:
            for since in (self._not_up_since, self._failing_since):
                stuck_s = stuck_s if since is None else max(stuck_s, self._clock() - since)
        if stuck_s > STUCK_S and self.state != "stopped":
            detail = self.detail or self._failing
            why = f" ({detail})" if detail else ""
            return f"{self.kind} {self.name} has work and made no progress for {stuck_s:.0f} s{why}"
        return None

    def _held(self) -> tuple[str, str]:
        """What holds it back, and why; empty if nothing does."""
        return (self.guard and self.guard.held()) or ("", "")

    @property
    def held_by(self) -> str:
        """What holds it back to protect its target: ``window``, ``breaker`` or nothing."""
        return self._held()[0]

    def note(self) -> str | None:
        """Why nothing is sent, for a person who wonders; `None` if nothing holds it back."""
        held_by, words = self._held()
        if not held_by:
            return None
        return (
            f"{self.kind} {self.name} is {words}"
            if held_by == "window"
            else f"{self.kind} {self.name}: {words}"
        )

    def as_dict(self) -> dict[str, Any]:
        """For the control socket."""
        return {
            "kind": self.kind,
            "name": self.name,
            "adapter": self.adapter,
            "state": self.state,
            "detail": self.detail,
            "for_s": round(self._clock() - self._since, 3),
            "stuck_s": round(self.stuck_s(), 3),
            "held": self._held()[1],
            "faults": self.faults,
            "reconnects": self.reconnects,
            "counters": dict(self.counters()),
            "details": dict(self.details()),
        }


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """How far the database of effects is behind the log.

    Attributes:
        behind: for each sink, changes that wait for it; counting stops at 1000.
        behind_s: for each sink, age of the oldest of them in seconds.
        missing: for each sink, changes that never came to it; only those with some.
        failures: how often it could not be used since the start.
        failing_s: for how long it cannot be used now; 0 if it can.
        why: what it said then.
    """

    behind: Mapping[str, int]
    behind_s: Mapping[str, float]
    missing: Mapping[str, int]
    failures: int
    failing_s: float
    why: str


class Health(msgspec.Struct, frozen=True):
    """Whether the node is ready.

    Attributes:
        ready: everything that has work makes progress.
        problems: why not, one sentence each.
        notes: what does not stand in the way and somebody should know, one sentence each.
    """

    ready: bool
    problems: list[str]
    notes: list[str] = []


def check(
    pulses: Iterable[Pulse],
    queued: Mapping[str, int],
    *,
    stopped: Iterable[str] = (),
    failed: Mapping[str, str] | None = None,
    quarantined: Mapping[str, int] | None = None,
    followed: Followed | None = None,
    draining: bool = False,
) -> Health:
    """Ask every part.

    Args:
        pulses: the parts.
        queued: events that wait for each sink and could be delivered.
        stopped: sinks that stopped because too much of theirs is parked.
        failed: streams whose log has failed, with what the disk said.
        quarantined: for each log, bytes of torn tails that starts have kept.
        followed: how far the database of effects is, where there is one.
        draining: whether the node is about to stop.
    """
    problems, notes, waiting, told = [], [], [], []
    for pulse in pulses:
        told += pulse.details().get("notes", ())
        if pulse.quarantine:
            waiting.append(f"{pulse.kind} {pulse.name} waits for a person: {pulse.quarantine}")
        trouble = pulse.trouble(queued.get(pulse.name, 0) if pulse.kind == "sink" else 0)
        note = pulse.note()
        if trouble is not None:
            problems.append(trouble)
        elif note is not None:
            notes.append(note)
    problems.extend(f"sink {name} is stopped: its parked_max is reached" for name in stopped)
    for name, why in (failed or {}).items():
        problems.append(f"stream {name} takes nothing, since its log failed: {why}; restart the node")
    if followed is not None and followed.failing_s > STUCK_S:
        problems.append(f"effects are not in their database since {followed.failing_s:.0f} s: {followed.why}")
    if draining:
        problems.append("the node is draining")
    notes += [
        f"the log of {name} has {size} bytes in quarantine: writes that were under way at a crash"
        for name, size in (quarantined or {}).items()
    ]
    notes += [
        f"the effects database lacks {count} changes of sink {name}: what they said is in no answer of it"
        for name, count in (followed.missing if followed else {}).items()
    ]
    return Health(ready=not problems, problems=problems, notes=[*waiting, *notes, *told])
