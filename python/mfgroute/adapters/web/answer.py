"""An HTTP answer within limits: unpacking, `Retry-After`, the target's own words. No input or output here."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from mfgroute.adapters.plain import excerpt

__all__ = ["MISSING", "Answer", "at", "decoded", "message_of", "retry_after_s", "unpacked"]

_RETRY_AFTER_MAX_S = 3600.0
#: What `at` gives where there is nothing, and `decoded` for what is no JSON.
MISSING = object()
# Document numbers stay as they were written: no float touches them.
_JSON = msgspec.json.Decoder(float_hook=str)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A complete answer.

    Attributes:
        status: the HTTP status.
        headers: case-insensitive.
        cookies: those that it sets, by name.
        body: unpacked, at most the configured size.
        truncated: whether the target sent more than that.
    """

    status: int
    headers: Mapping[str, str]
    cookies: Mapping[str, str] = {}
    body: bytes = b""
    truncated: bool = False


def message_of(body: bytes) -> str:
    """The target's own words: the message of a known error format, else the start of the body."""
    try:
        document = _JSON.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return excerpt(body)
    found = _words(document)
    return excerpt(found if found is not None else body)


def retry_after_s(value: str | None) -> float | None:
    """Seconds of a ``Retry-After`` header, at most an hour; `None` for nothing or nonsense."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        # The length comes first: ten thousand digits are a target's mistake, not our work.
        return min(float(value), _RETRY_AFTER_MAX_S) if len(value) <= 10 else _RETRY_AFTER_MAX_S
    try:
        seconds = parsedate_to_datetime(value[:64]).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return min(max(seconds, 0.0), _RETRY_AFTER_MAX_S)


def unpacked(body: bytes, encoding: str, size_max: int) -> tuple[bytes, bool]:
    """Unpack an answer that is compressed though we asked for none; never more than `size_max` bytes.

    Returns:
        The body, and whether it was cut.

    Raises:
        ValueError: it is not what the header says, or in an encoding we do not know.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body[:size_max], len(body) > size_max
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise ValueError(f"unknown content encoding {excerpt(encoding, 40)}")
    try:
        machine = zlib.decompressobj(wbits=47)
        plain = machine.decompress(body, size_max + 1)
    except zlib.error as error:
        raise ValueError(f"the body is not {encoding}") from error
    if len(plain) <= size_max and not machine.eof:
        raise ValueError(f"the {encoding} body ends early")
    return plain[:size_max], len(plain) > size_max


def decoded(body: bytes) -> Any:
    """The JSON of a body, numbers with a point as text; `MISSING` if it is none."""
    try:
        return _JSON.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return MISSING


def at(document: Any, pointer: str) -> Any:
    """The value at an RFC 6901 pointer, or `MISSING`."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict) and name in document:
            document = document[name]
        elif isinstance(document, list) and name.isascii() and name.isdigit() and int(name) < len(document):
            document = document[int(name)]
        else:
            return MISSING
    return document


def _words(document: Any) -> str | None:
    """RFC 9457 ``detail``/``title``, OData ``error.message[.value]``, or a plain ``message``."""
    if not isinstance(document, dict):
        return None
    for name in ("detail", "message", "error", "title", "value"):
        found = document.get(name)
        if isinstance(found, str) and found:
            return found
        if isinstance(found, dict):
            inner = _words(found)
            if inner is not None:
                return inner
    return None
