"""Changes of effects as the log hands them to followers: JSON, one a line, numbered for each sink."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from typing import Literal, TypeAlias

import msgspec

State: TypeAlias = Literal[
    "planned", "intent", "again", "accepted", "posted", "refused", "in_doubt", "gave_up", "skipped",
    "superseded", "dropped",
]  # fmt: skip

#: Sums that would have to be rounded are an error.
_EXACT = Context(prec=100, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What is said when a request is written down.

    Attributes:
        object: what is posted to, such as ``order/DE04/4711``.
        amounts: what is added to it, by name.
        sha256: of the request's body, in hexadecimal.
        event: the CloudEvent as JSON.
    """

    object: str = ""
    amounts: Mapping[str, Decimal] = {}
    sha256: str = ""
    event: msgspec.Raw = msgspec.Raw(b"null")


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one effect.

    Attributes:
        number: of the line at its sink, from 1 on without gaps.
        at_ms: when, in milliseconds since 1970.
        id: of the event.
        state: what the effect became.
        key: of the request, as the target knows it; empty where none was made.
        attempt: how often the request was sent.
        reference: what the target calls the effect, the document by which a person has booked it, or the
            event that took the place of this one.
        code: of a refusal.
        reason: the target's own message, or the person's.
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
    about: About | None = None


_decode = msgspec.json.Decoder(Line).decode


def read(lines: bytes) -> list[Line]:
    """Read lines.

    Raises:
        msgspec.DecodeError: one of them is not understood, as if a later version had written it.
    """
    return [_decode(line) for line in lines.splitlines() if line]


def counts(state: str, reference: str | None) -> bool:
    """Whether an effect is there: posted, or booked by a person."""
    return state == "posted" or (state == "skipped" and reference is not None)


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
