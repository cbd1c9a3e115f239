"""Answers in XML, which whoever does not ask for JSON gets: Atom entries and feeds, and errors."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape, quoteattr

import msgspec

from mfgroute.testing.simulators.s4.protocol import Answer, Call

__all__ = ["formatted"]

_HEAD = '<?xml version="1.0" encoding="utf-8"?>'
_NAMES = (
    'xmlns="http://www.w3.org/2005/Atom" '
    'xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" '
    'xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices"'
)


def formatted(call: Call, answer: Answer) -> Answer:
    """An answer as its request asked for it: in JSON if it said so, else in XML."""
    asked = call.query.get("$format") == "json" or "application/json" in call.headers.get("accept", "")
    if asked or "json" not in answer.headers.get("Content-Type", ""):
        return answer
    document = msgspec.json.decode(answer.body)
    error = "error" in document
    text = _error(document["error"]) if error else _data(document["d"])
    headers = {
        **answer.headers,
        "Content-Type": f"application/{'xml' if error else 'atom+xml'};charset=utf-8",
    }
    return Answer(status=answer.status, headers=headers, body=(_HEAD + text).encode())


def _data(document: dict[str, Any]) -> str:
    if "__metadata" in document:
        return _entry(document, f" {_NAMES}")
    if "results" in document:
        return f"<feed {_NAMES}>{''.join(_entry(one) for one in document['results'])}</feed>"
    return f"<m:properties {_NAMES}>{_properties(document)}</m:properties>"


def _entry(document: dict[str, Any], names: str = "") -> str:
    about = document["__metadata"]
    version = f" m:etag={quoteattr(about['etag'])}" if "etag" in about else ""
    links = "".join(
        f"<link rel={quoteattr(name)}><m:inline><feed>{''.join(_entry(one) for one in value['results'])}"
        "</feed></m:inline></link>"
        for name, value in document.items()
        if isinstance(value, dict) and "results" in value
    )
    return (
        f"<entry{names}{version}><id>{escape(about['id'])}</id><category term={quoteattr(about['type'])}/>"
        f'{links}<content type="application/xml">'
        f"<m:properties>{_properties(document)}</m:properties></content></entry>"
    )


def _properties(document: dict[str, Any]) -> str:
    return "".join(
        f'<d:{name} m:null="true"/>' if value is None else f"<d:{name}>{escape(_plain(value))}</d:{name}>"
        for name, value in document.items()
        if not isinstance(value, dict | list)
    )


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _error(error: dict[str, Any]) -> str:
    details = "".join(
        f"<errordetail><code>{escape(one['code'])}</code><message>{escape(one['message'])}</message></errordetail>"
        for one in error["innererror"]["errordetails"]
    )
    return (
        '<error xmlns="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">'
        f"<code>{escape(error['code'])}</code>"
        f'<message xml:lang="en">{escape(error["message"]["value"])}</message>'
        f"<innererror><errordetails>{details}</errordetails></innererror></error>"
    )
