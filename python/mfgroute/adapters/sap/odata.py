"""Forms of OData V2 on the wire: literals, dates, answers and errors. No input or output here.

Sources: the OData 2.0 specification (odata.org: JSON Format, URI Conventions), public samples of services.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import quote

from mfgroute.adapters.plain import excerpt
from mfgroute.adapters.web.answer import MISSING, decoded

__all__ = [
    "Message",
    "date_json",
    "date_literal",
    "entity",
    "filter_of",
    "key_of",
    "messages",
    "quantity",
    "query",
    "results",
    "text_literal",
    "time_json",
]

_TICKS = re.compile(r"/Date\((-?\d+)(?:[+-]\d+)?\)/")
_DETAILS_MAX = 50


class Message(NamedTuple):
    """One message of the target: class and number, and its text in the logon language."""

    code: str
    text: str


def date_json(value: date) -> str:
    """A date as it stands in JSON: ``/Date(milliseconds since 1970 in UTC)/``."""
    midnight = datetime.combine(value, time(), UTC)
    return f"/Date({int(midnight.timestamp()) * 1000})/"


def date_literal(value: date) -> str:
    """A date as it stands in a URL."""
    return f"datetime'{value.isoformat()}T00:00:00'"


def time_json(value: time) -> str:
    """A time of day as it stands in JSON: ``PT10H17M53S``."""
    return f"PT{value.hour:02}H{value.minute:02}M{value.second:02}S"


def quantity(value: Decimal) -> str:
    """A quantity as text with the three decimals that the target has.

    Raises:
        ValueError: it has more, or more than ten digits before the point.
    """
    kept = value.quantize(Decimal("0.001"))
    if kept != value or abs(value) >= Decimal(10) ** 10:
        raise ValueError(f"{value} has more than 10 digits or 3 decimals")
    return f"{abs(kept) if kept == 0 else kept:f}"


def text_literal(value: str) -> str:
    """A text as it stands in a URL or filter, quotes doubled."""
    return "'" + value.replace("'", "''") + "'"


def key_of(parts: Mapping[str, str]) -> str:
    """The key of an entity in a path: ``(Material='A',Batch='B')``, escaped."""
    return (
        "(" + ",".join(f"{name}={quote(text_literal(value), safe='')}" for name, value in parts.items()) + ")"
    )


def filter_of(parts: Iterable[tuple[str, str]]) -> str:
    """A filter of names and literals, all of which must be equal."""
    return " and ".join(f"{name} eq {literal}" for name, literal in parts)


def query(parts: Iterable[tuple[str, str]]) -> str:
    """Query options, escaped; empty if there are none."""
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in parts)


def entity(body: bytes, *names: str) -> dict[str, Any] | None:
    """The entity of an answer: what `d` holds, or what stands in it under one of `names` (a function's)."""
    document = decoded(body)
    found = document.get("d") if isinstance(document, dict) else None
    for name in names:
        if isinstance(found, dict) and isinstance(found.get(name), dict):
            found = found[name]
    if isinstance(found, dict) and isinstance(found.get("results"), list) and len(found["results"]) == 1:
        found = found["results"][0]
    return found if isinstance(found, dict) else None


def results(body: bytes) -> tuple[list[dict[str, Any]], str | None] | None:
    """The entities of an answer and the address of its next page; `None` if it is no answer to a query."""
    document = decoded(body)
    found = document.get("d") if isinstance(document, dict) else None
    if not isinstance(found, dict) or not isinstance(found.get("results"), list):
        return None
    rows = [row for row in found["results"] if isinstance(row, dict)]
    following = found.get("__next")
    return rows, following if isinstance(following, str) else None


def messages(body: bytes) -> list[Message]:
    """The messages of an error, outermost first; none if the body is no error."""
    document = decoded(body)
    error = document.get("error", MISSING) if isinstance(document, dict) else MISSING
    if not isinstance(error, dict):
        return []
    found = [Message(str(error.get("code", "")), _text(error.get("message")))]
    inner = error.get("innererror")
    details = inner.get("errordetails") if isinstance(inner, dict) else None
    return found + list(_details(details if isinstance(details, list) else []))


def _details(details: list[Any]) -> Iterator[Message]:
    for one in details[:_DETAILS_MAX]:
        if isinstance(one, dict) and one.get("severity", "error") in ("error", "abort"):
            yield Message(str(one.get("code", "")), _text(one.get("message")))


def _text(message: Any) -> str:
    if isinstance(message, dict):
        message = message.get("value", "")
    return excerpt(message) if isinstance(message, str) else ""
