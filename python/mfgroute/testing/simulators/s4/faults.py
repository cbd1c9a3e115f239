"""Scripted misbehaviour: what goes wrong, for which requests, how often."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Literal

import msgspec

__all__ = ["Fault", "Faults", "Kind", "Subject"]

Kind = Literal[
    "too_many",
    "error",
    "slow",
    "cut",
    "refuse",
    "hang",
    "trickle",
    "endless",
    "torn",
    "bomb",
    "redirect",
    "html",
    "error_in_200",
    "other",
    "expired",
    "lie",
    "twice",
    "accepted",
    "movements_fail",
]
#: Those that act where the work is done, on each change by itself; the others act on the connection.
_INSIDE = ("slow", "refuse", "lie", "twice", "accepted", "movements_fail")


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How the system shall misbehave.

    Attributes:
        kind: ``too_many`` answers 429 with ``Retry-After``; ``error`` answers 500 or `status`; ``slow``
            works for `after_s` with the order locked; ``cut`` drops the connection; ``refuse`` refuses with
            `message`; ``hang`` does not answer for `after_s`; ``trickle`` sends its answer one byte each
            `after_s`; ``endless`` sends a body that never ends; ``torn`` cuts in the middle of the answer;
            ``bomb`` sends `size` zeros, packed; ``redirect`` points to `location`; ``html`` answers 200 with
            a logon page; ``error_in_200`` answers 200 with an error; ``other`` does the work and names
            somebody else's document and reference; ``expired`` forgets every token; ``lie`` answers as if it
            had done what it has not; ``twice`` does it twice; ``accepted`` answers 202 and does it later;
            ``movements_fail`` saves a confirmation without its goods movements.
        when: of a connection: ``before`` anything was done or ``after`` it was committed.
        times: for how many requests; without it, until told otherwise.
        skip: how many that it would hit are let through first.
        ratio: share of the requests it hits; which ones depends on `seed` and on what they say, not on when
            they come.
        seed: of the choice.
        name: only requests about this order, batch or reference.
        path: only requests whose path contains this.
        method: only this method, ``*`` for any; without it, every one that changes something.
        status: of the answer.
        retry_after: value of the header, whatever it says; empty leaves it out.
        after_s: how long.
        message: name or code of the message that it refuses with.
        text: of the message, when it has none of its own.
        location: where a redirect leads.
        size: bytes of a bomb.
        polls: how often what is accepted is asked for before it happens.
    """

    kind: Kind
    when: Literal["before", "after"] = "before"
    times: int | None = None
    skip: int = 0
    ratio: float = 1.0
    seed: int = 1
    name: str | None = None
    path: str | None = None
    method: str | None = None
    status: int | None = None
    retry_after: str = "1"
    after_s: float = 0.2
    message: str = "order_locked"
    text: str = ""
    location: str = "http://169.254.169.254/latest/meta-data/"
    size: int = 1 << 30
    polls: int = 1


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What a request is about.

    Attributes:
        method: of the request.
        path: of the request.
        names: orders, batches and references in it.
        identity: what it says, the same for each attempt.
    """

    method: str
    path: str
    names: frozenset[str]
    identity: str


class _Script:
    """A fault and whom it has seen."""

    def __init__(self, fault: Fault, number: int) -> None:
        self.fault = fault
        self._number = number
        self._skip = fault.skip
        self._left = fault.times
        self._seen: Counter[str] = Counter()

    def hits(self, subject: Subject) -> bool:
        if self._left == 0 or not self._meant(subject) or not self._chosen(subject):
            return False
        if self._skip > 0:
            self._skip -= 1
            return False
        if self._left is not None:
            self._left -= 1
        return True

    def _meant(self, subject: Subject) -> bool:
        fault = self.fault
        method = (
            subject.method not in ("GET", "HEAD")
            if fault.method is None
            else fault.method
            in (
                "*",
                subject.method,
            )
        )
        return (
            method
            and (fault.name is None or fault.name in subject.names)
            and (fault.path is None or fault.path in subject.path)
        )

    def _chosen(self, subject: Subject) -> bool:
        """Throw the dice for this attempt: the same for the same seed, content and attempt."""
        if self.fault.ratio >= 1.0:
            return True
        self._seen[subject.identity] += 1
        attempt = f"{self.fault.seed}/{self._number}/{subject.identity}/{self._seen[subject.identity]}"
        thrown = int.from_bytes(hashlib.sha256(attempt.encode()).digest()[:8], "big")
        return thrown < self.fault.ratio * 2**64


class Faults:
    """The faults that were scripted, first come first."""

    def __init__(self) -> None:
        self._scripts: list[_Script] = []
        self._numbers = 0

    def add(self, fault: Fault) -> None:
        """Script one."""
        self._scripts.append(_Script(fault, self._numbers))
        self._numbers += 1

    def clear(self) -> None:
        """Behave."""
        self._scripts.clear()

    def on_connection(self, subject: Subject) -> Fault | None:
        """The fault of a connection that hits a request."""
        return self._first(subject, (script for script in self._scripts if script.fault.kind not in _INSIDE))

    def on_change(self, subject: Subject) -> Fault | None:
        """The fault that hits a change."""
        return self._first(subject, (script for script in self._scripts if script.fault.kind in _INSIDE))

    @staticmethod
    def _first(subject: Subject, scripts: Iterable[_Script]) -> Fault | None:
        return next((script.fault for script in scripts if script.hits(subject)), None)
