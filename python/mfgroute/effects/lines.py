"""Changes of effects as the log hands them to followers: JSON, one a line, numbered for each sink."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from typing import Literal, TypeAlias

import msgspec

State: TypeAlias = Literal[
    "planned", "intent", "again", "accepted", "posted", "refused", "in_doubt", "gave_up", "skipped",
    "superseded", "dropped", "booked", "unbooked",
]  # fmt: skip

#: Code of an event that was skipped since its report was taken back before anything of it could arrive.
TAKEN_BACK = "taken_back"

#: Sums that would have to be rounded are an error.
_EXACT = Context(prec=100, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
_GONE = "\N{REPLACEMENT CHARACTER}"


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What is said when a request is written down.

    Attributes:
        object: what is posted to, such as ``order/DE04/4711``.
        amounts: what is added to it, by name.
        sha256: of the request's body, in hexadecimal.
        event: the CloudEvent as JSON; its data are null where they are large.
        report: id of what such an event reports.
        request: its body, where the sink can undo what it posts; `None` where it is too large to be kept.
        reverses: id of the event whose effect it takes back.
    """

    object: str = ""
    amounts: Mapping[str, Decimal] = {}
    sha256: str = ""
    event: msgspec.Raw = msgspec.Raw(b"null")
    report: str | None = None
    request: bytes | None = None
    reverses: str | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one effect.

    Attributes:
        number: of the line at its sink, from 1 on without gaps.
        at_ms: when, in milliseconds since 1970.
        id: of the event.
        state: what the effect became. ``booked`` and ``unbooked`` are no states of it: its event waits, and a
            person says that it is there, or takes that back.
        key: of the request, as the target knows it; empty where none was made.
        attempt: how often the request was sent.
        reference: what the target calls the effect, the document by which a person has booked it, or the
            event that took the place of this one.
        code: of a refusal.
        reason: the target's own message, or the person's.
        who: the person who has booked an event that waits, or takes that back.
        about: only with ``intent`` and, without a request, ``planned``.
    """

    number: int
    at_ms: int
    id: str
    state: State
    key: str | None = None
    attempt: int = 0
    reference: str | None = None
    code: str | None = None
    reason: str | None = None
    who: str | None = None
    about: About | None = None


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What a sink was brought to do by an event.

    Attributes:
        state: of the effect.
        type: of the event.
        key: of the event.
        object: what was posted to.
        reference: what the target calls it, if it gave a name.
        request_key: what the target knows the request by; `None` where none was made.
        request: its body; `None` where it is not kept.
        amounts: what it added to the object.
    """

    state: str
    type: str
    key: str
    object: str
    reference: str | None
    request_key: str | None
    request: bytes | None
    amounts: dict[str, Decimal]


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an event whose report is taken back by another.

    Attributes:
        id: of the event.
        state: of its effect.
        reference: what the target calls it.
        tries: how often it was sent.
        refused: whether the last that was heard of the target is that it refuses it.
        taken_back: whether it ended because of a reversal, before anything of it could arrive.
    """

    id: str
    state: str
    reference: str | None
    tries: int
    refused: bool
    taken_back: bool = False

    def is_absent(self, *, recognised: bool) -> bool:
        """Whether its target certainly did nothing for it: it was never asked to, or refused each time.

        Args:
            recognised: whether an event that the target has done already is recognised when it is sent again,
                so that the last answer speaks for those that were lost.
        """
        if self.taken_back:
            return True
        return not self.tries or (self.refused and (recognised or self.tries == 1))


_decode = msgspec.json.Decoder(Line).decode


def is_booking(line: Line) -> bool:
    """Whether a line says what a person has booked while its event waits, and nothing of the effect."""
    return line.state in ("booked", "unbooked")


def read(lines: bytes) -> list[Line]:
    """Read lines.

    Raises:
        msgspec.DecodeError: one of them is not understood, as if a later version had written it.
    """
    return [_decode(line) for line in lines.splitlines() if line]


def counts(state: str, reference: str | None) -> bool:
    """Whether an effect is there: posted, or booked by a person."""
    return state == "posted" or (state == "skipped" and reference is not None)


def ended_without(state: str, reference: str | None) -> bool:
    """Whether an effect has ended, and nobody says that it is there.

    One that was dropped with its sink may be there: nothing more will be heard of it.
    """
    return state in ("superseded", "dropped") or (state == "skipped" and reference is None)


def clean(value: str | None) -> str | None:
    """A text that every database takes: PostgreSQL has no NUL in texts."""
    return value.replace("\0", _GONE) if value else value


def add(one: Decimal, other: Decimal) -> Decimal:
    """Exact sum.

    Raises:
        Inexact: it has more than 100 digits.
    """
    return _EXACT.add(one, other)


def text(amount: Decimal) -> str:
    """An amount without exponent, trailing zeros and sign of zero."""
    if not amount:
        return "0"
    shown = format(amount, "f")
    return shown.rstrip("0").rstrip(".") if "." in shown else shown
