"""What adapters see: intakes, events, outcomes and receipts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from mfgroute._core import Begun, Event, Receipt, Reject

__all__ = [
    "Absent",
    "Accepted",
    "Begun",
    "Done",
    "Event",
    "InDoubt",
    "Intake",
    "NotYet",
    "Outcome",
    "Receipt",
    "Refused",
    "Reject",
    "Retry",
]


class Intake(msgspec.Struct, frozen=True, kw_only=True):
    """What a source read at once: either separate messages or one slab of lines.

    Attributes:
        messages: one ``bytes`` per message.
        slab: newline-delimited JSON or CSV rows (with the header row first, if the mapping says so);
            then ``messages`` is empty.
        meta: attributes that all messages share, such as ``file.name`` or ``topic``. A mapping can read those
            of an added adapter if they start with a word of its own and a dot: ``mqtt.qos``.
        metas: attributes of each message, over ``meta``; as many as ``messages``.
        position: where to resume after a restart, once this intake is acknowledged.
        token: the adapter's own, handed back with the intake.
        ack: the level that the sender asked for; the streams' own if `None`.
    """

    messages: Sequence[bytes] = ()
    slab: bytes | None = None
    meta: Mapping[str, str] = msgspec.field(default_factory=dict)
    metas: Sequence[Mapping[str, str]] | None = None
    position: bytes | None = None
    token: object = None
    ack: str | None = None


class Done(msgspec.Struct, frozen=True):
    """The target has the event.

    Attributes:
        reference: what the target calls the effect, such as a document number.
    """

    reference: str | None = None


class Refused(msgspec.Struct, frozen=True):
    """The target judged the event and refused it for good.

    Attributes:
        code: stable and short, such as ``http_422``.
        reason: the target's own message.
    """

    code: str
    reason: str = ""


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """Try again: the event had no effect, or the target recognises it when it comes again.

    Attributes:
        after_s: the target's wish in seconds, such as ``Retry-After``.
        reason: what happened.
        judged: whether the target judged this very event (a 5xx on it) and was not merely absent or
            busy; only judged tries are counted.
        sent: whether the event may have arrived. Only for a target that may be sent it again; where it
            forgets keys (`effect.kept`), the event is in doubt after that time.
        waits: whether the target is well, and the event waits for something else: a lock, an outcome that
            comes later. Then it is no failure of the target.
    """

    after_s: float | None = None
    reason: str = ""
    judged: bool = False
    sent: bool = False
    waits: bool = False


class InDoubt(msgspec.Struct, frozen=True):
    """The event was sent and the outcome is unknown.

    Attributes:
        reason: what happened.
        code: stable and short, where there is one for this.
    """

    reason: str = ""
    code: str = ""


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The target has taken the request and says later what became of it, as with HTTP 202 and batch jobs.

    Attributes:
        reference: what the target is asked by.
        after_s: when to ask, in seconds.
        within_s: how long after it was accepted this goes on, in seconds; then the event is in doubt.
    """

    reference: str
    after_s: float | None = None
    within_s: float = 86_400.0


class NotYet(msgspec.Struct, frozen=True, kw_only=True):
    """Certainly not done, because something else must happen first: a lock, a batch that is not there yet.

    Attributes:
        reason: the target's own message.
        after_s: when to try again, in seconds.
        within_s: how long after the first try this goes on, in seconds; then the event is refused.
        code: what it is refused with then.
    """

    reason: str
    after_s: float | None = None
    within_s: float
    code: str = "not_yet"


class Absent(msgspec.Struct, frozen=True):
    """The target was asked and has no effect of this request."""


Outcome: TypeAlias = Done | Refused | Retry | InDoubt
