"""The body of a delivery to an inbox: which types there are, and reading no more than is allowed."""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec
from starlette.requests import ClientDisconnect, Request

from mfgroute.api.problems import Problem
from mfgroute.events import Intake

SINGLE_BYTES_MAX = 1 << 20
BATCH_BYTES_MAX = 64 << 20
BODY_TIMEOUT_S = 30.0
HEADERS_BYTES_MAX = 16 * 1024
HEADERS_MAX = 100

Form = Literal["message", "lines", "batch"]

#: Media types and what they hold.
FORMS: dict[str, Form] = {
    "application/json": "message",
    "application/cloudevents+json": "message",
    "application/xml": "message",
    "text/xml": "message",
    "application/x-ndjson": "lines",
    "text/csv": "lines",
    "application/cloudevents-batch+json": "batch",
}

_SECRET_HEADERS = {"authorization", "cookie", "proxy-authorization", "set-cookie"}
_BATCH = msgspec.json.Decoder(list[msgspec.Raw])


def form_of(request: Request) -> Form:
    """What the body holds, by its media type.

    Raises:
        Problem: 415, the type is not known, or the body is packed.
    """
    given = request.headers.get("content-type", "")
    media_type, _, parameters = given.partition(";")
    form = FORMS.get(media_type.strip().lower())
    accepted = {"Accept-Post": ", ".join(FORMS)}
    if form is None:
        shown = media_type.strip()[:100] or "missing"
        raise Problem(415, f"content type is {shown}, expected one of {', '.join(FORMS)}", headers=accepted)
    charset = _parameter(parameters, "charset")
    if charset is not None and "json" in media_type and charset != "utf-8":
        raise Problem(415, f"charset is {charset[:40]}, expected utf-8", headers=accepted)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise Problem(
            415,
            f"content encoding is {encoding[:40]}, expected none",
            headers={"Accept-Encoding": "identity"},
        )
    return form


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body, read no further than `limit` bytes.

    Raises:
        Problem: 400 empty, 408 too slow, 411 no length, 413 too large.
    """
    length = request.headers.get("content-length")
    chunked = "transfer-encoding" in request.headers
    if length is None and not chunked:
        raise Problem(411, "the request has neither a content length nor chunks")
    if length is not None and int(length) > limit:
        raise _too_large(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for piece in request.stream():
                if len(body) + len(piece) > limit:
                    raise _too_large(limit)
                body += piece
    except TimeoutError as error:
        raise Problem(408, f"the body did not arrive within {BODY_TIMEOUT_S:g} s") from error
    except ClientDisconnect as error:
        raise Problem(400, "the connection ended before the body") from error
    if not body:
        raise Problem(400, "the body is empty, expected a message")
    return bytes(body)


def intake_of(form: Form, body: bytes, request: Request, ack: str | None) -> Intake:
    """The intake of a body.

    Raises:
        Problem: 400, a batch is not a JSON array.
    """
    meta = header_meta(request)
    if form == "message":
        return Intake(messages=(body,), meta=meta, ack=ack)
    if form == "lines":
        return Intake(slab=body, meta=meta, ack=ack)
    try:
        events = [bytes(one) for one in _BATCH.decode(body)]
    except (msgspec.DecodeError, RecursionError) as error:
        raise Problem(400, f"the batch is not a JSON array of events: {str(error)[:200]}") from error
    if not events:
        raise Problem(400, "the batch has no events")
    return Intake(messages=events, meta=meta, ack=ack)


def header_meta(request: Request) -> dict[str, str]:
    """Request headers as attributes ``http.header.x``, without those that prove who sends."""
    headers = request.headers.items()
    return {f"http.header.{name}": value for name, value in headers if name not in _SECRET_HEADERS}


def _parameter(parameters: str, name: str) -> str | None:
    for one in parameters.split(";"):
        key, _, value = one.partition("=")
        if key.strip().lower() == name:
            return value.strip().strip('"').lower()
    return None


def _too_large(limit: int) -> Problem:
    # The rest of the body is not read, so the connection cannot be used again.
    return Problem(413, f"the body has more than {limit} bytes", headers={"Connection": "close"})
