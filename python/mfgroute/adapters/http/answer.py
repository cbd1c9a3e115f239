"""What a target's answer means: the default table, where no pack knows better. No input or output here."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from mfgroute.adapters.http.config import HttpSinkConfig
from mfgroute.adapters.plain import excerpt
from mfgroute.events import Done, InDoubt, Outcome, Refused, Retry

__all__ = ["Answer", "lost", "outcome_of", "retry_after_s", "unpacked"]

_RETRY_AFTER_MAX_S = 3600.0
_MISSING = object()
# Document numbers stay as they were written: no float touches them.
_JSON = msgspec.json.Decoder(float_hook=str)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A complete answer.

    Attributes:
        status: the HTTP status.
        headers: case-insensitive.
        body: unpacked, at most the configured size.
        truncated: whether the target sent more than that.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    truncated: bool = False


def outcome_of(answer: Answer, config: HttpSinkConfig) -> Outcome:
    """Judge an answer by its status and, for 2xx, by the success contract."""
    status = answer.status
    if status >= 500 and status != 503:
        said = _said(answer)
        return Retry(reason=said, judged=True, sent=True) if config.repeatable else InDoubt(said)
    if status >= 400:
        return _declined(answer, config)
    if status >= 300:
        return _redirected(answer, config)
    if 200 <= status < 300:
        return _succeeded(answer, config)
    return InDoubt(f"answered with the status {status}")


def lost(reason: str, config: HttpSinkConfig) -> Outcome:
    """What it means that the request may have arrived and the answer did not.

    The same key with the same bytes may be sent again: the target knows it.
    """
    return Retry(reason=reason, sent=True) if config.repeatable else InDoubt(reason)


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


def _declined(answer: Answer, config: HttpSinkConfig) -> Outcome:
    status = answer.status
    after_s = retry_after_s(answer.headers.get("Retry-After"))
    if status in (408, 423, 425, 429, 503):
        return Retry(after_s=after_s, reason=_said(answer))
    if status == 409 and config.conflict == "done":
        return Done(_reference(answer, config))
    if status == 409 and config.conflict == "retry":
        return Retry(after_s=after_s, reason=_said(answer), judged=True)
    return Refused(f"http_{status}", message_of(answer.body))


def _redirected(answer: Answer, config: HttpSinkConfig) -> Outcome:
    where = excerpt(answer.headers.get("Location", ""), 200)
    if answer.status == 303:
        # "Your request was done, look there": whether it was is not known without following.
        return lost(f"answered 303 to {where}, not followed", config)
    return Refused(f"http_{answer.status}", f"redirect to {where} not followed")


def _succeeded(answer: Answer, config: HttpSinkConfig) -> Outcome:
    contract = config.success
    if contract is None:
        return Done(_reference(answer, config))
    document = None if answer.truncated else _decoded(answer.body)
    found = _at(document, contract.pointer)
    if found is _MISSING:
        said = excerpt(answer.body, 200)
        return lost(f"answered {answer.status} without {contract.pointer}: {said}", config)
    if found != contract.equals or isinstance(found, bool) != isinstance(contract.equals, bool):
        return Refused("success_not_met", message_of(answer.body))
    return Done(_reference(answer, config))


def _reference(answer: Answer, config: HttpSinkConfig) -> str | None:
    if config.reference is None:
        found: Any = answer.headers.get("Location")
    else:
        found = _at(None if answer.truncated else _decoded(answer.body), config.reference)
    if isinstance(found, str) or (isinstance(found, int) and not isinstance(found, bool)):
        return excerpt(str(found), 256) or None
    return None


def _said(answer: Answer) -> str:
    return f"http_{answer.status}: {message_of(answer.body)}"


def _decoded(body: bytes) -> Any:
    try:
        return _JSON.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return _MISSING


def _at(document: Any, pointer: str) -> Any:
    """The value at an RFC 6901 pointer, or `_MISSING`."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict) and name in document:
            document = document[name]
        elif isinstance(document, list) and name.isascii() and name.isdigit() and int(name) < len(document):
            document = document[int(name)]
        else:
            return _MISSING
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
