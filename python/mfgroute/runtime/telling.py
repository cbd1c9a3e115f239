"""What the followers of effects are told when a request is written down: `mfgroute.effects.lines.About`."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from mfgroute.adapter import Request
from mfgroute.events import Event

__all__ = ["of_event", "of_request"]

_ENCODER = msgspec.json.Encoder(decimal_format="string")


class _Reporting(msgspec.Struct):
    report: str | None = None


_REPORTING = msgspec.json.Decoder(_Reporting)
_ATTRIBUTES = msgspec.json.Decoder(dict[str, msgspec.Raw])
#: Bytes of an event that is told to its records whole. All lines that were not taken yet are in each
#: checkpoint of the node's own log, also while a full disk lets nobody take them.
_EVENT_MAX = 16 << 10
#: Characters of the id of a report that is told apart.
_REPORT_MAX = 1 << 10
#: Bytes of the body of a request that can be undone.
_BODY_MAX = 16 << 10


def of_event(
    event: Event, *, reverses: str | None = None, adds: tuple[str, Mapping[str, Decimal]] | None = None
) -> bytes:
    """What followers are told about an event for which nothing is sent, as JSON.

    Args:
        event: that was looked at.
        reverses: id of the event whose effect it takes back.
        adds: object and amounts that count where a person books it by hand.
    """
    return _ENCODER.encode((_adding(*adds) if adds else {}) | _told(event) | _reversing(reverses))


def of_request(event: Event, request: Request, *, reverses: str | None, kept: bool) -> bytes:
    """What followers are told about a request, as JSON.

    Args:
        event: that it is sent for.
        request: that is sent.
        reverses: id of the event whose effect it takes back.
        kept: whether its body is told as well, to be undone one day.
    """
    body = {"request": request.body} if kept and len(request.body) <= _BODY_MAX else {}
    return _ENCODER.encode(
        _adding(request.object, request.amounts)
        | {"sha256": hashlib.sha256(request.body).hexdigest()}
        | _told(event)
        | body
        | _reversing(reverses)
    )


def _adding(thing: str, amounts: Mapping[str, Decimal]) -> dict[str, Any]:
    return {
        "object": thing,
        "amounts": {name: format(amount, "f") for name, amount in amounts.items()},
    }


def _told(event: Event) -> dict[str, Any]:
    """The event for its records, without its data where these are large: records are no second log.

    What it reports is said apart then, since an event that takes it back names it by that.
    """
    if len(event.json) <= _EVENT_MAX:
        return {"event": msgspec.Raw(event.json)}
    attributes = _ATTRIBUTES.decode(event.json)
    told: dict[str, Any] = {"event": attributes | {"data": msgspec.Raw(b"null")}}
    with contextlib.suppress(msgspec.ValidationError):
        report = _REPORTING.decode(attributes.get("data", b"{}")).report
        if report is not None and len(report) <= _REPORT_MAX:
            told["report"] = report
    return told


def _reversing(reverses: str | None) -> dict[str, str]:
    return {} if reverses is None else {"reverses": reverses}
