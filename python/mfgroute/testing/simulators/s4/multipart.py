"""``$batch``: a request of parts, some of them changesets, and its answer."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from mfgroute.testing.simulators.s4.messages import refusal
from mfgroute.testing.simulators.s4.protocol import ROOT, Answer, Call

__all__ = ["Part", "parse_batch", "write_batch"]


class Part(NamedTuple):
    """A part of a batch.

    Attributes:
        calls: its requests, one when it is no changeset.
        changeset: whether it is one.
    """

    calls: list[Call]
    changeset: bool


def parse_batch(call: Call) -> list[Part]:
    """The parts of a batch.

    Raises:
        ODataError: it is none.
    """
    parts = []
    for headers, body in _split(call.headers.get("content-type", ""), call.body):
        kind = headers.get("content-type", "")
        if kind.startswith("multipart/mixed"):
            inner = [_call(call.service, *one) for one in _split(kind, body)]
            if any(one.method == "GET" for one in inner):
                raise refusal("syntax", "a changeset holds no GET")
            parts.append(Part(inner, changeset=True))
        else:
            one = _call(call.service, headers, body)
            if one.method != "GET":
                raise refusal("syntax", f"{one.method} outside of a changeset")
            parts.append(Part([one], changeset=False))
    return parts


def _split(kind: str, body: bytes) -> list[tuple[dict[str, str], bytes]]:
    """Headers and bodies of the parts of a multipart body."""
    boundary = next(
        (
            value.strip().strip('"')
            for name, _, value in (part.partition("=") for part in kind.split(";")[1:])
            if name.strip().lower() == "boundary"
        ),
        "",
    )
    if not kind.startswith("multipart/mixed") or not boundary:
        raise refusal("syntax", "not multipart/mixed with a boundary")
    mark = b"--" + boundary.encode()
    before, *chunks = (b"\r\n" + body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")).split(b"\r\n" + mark)
    if not chunks or not chunks[-1].startswith(b"--") or before.strip():
        raise refusal("syntax", "the batch does not end with its boundary")
    return [_headers(chunk.removeprefix(b"\r\n")) for chunk in chunks[:-1]]


def _headers(text: bytes) -> tuple[dict[str, str], bytes]:
    if text.startswith(b"\r\n"):
        return {}, text[2:]
    head, _, body = text.partition(b"\r\n\r\n")
    headers = {}
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers, body


def _call(service: str, outer: dict[str, str], content: bytes) -> Call:
    """The request of a part: a request line, headers, a body."""
    if not outer.get("content-type", "").startswith("application/http"):
        raise refusal("syntax", "a part is not application/http")
    line, _, rest = content.partition(b"\r\n")
    words = line.decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/"):
        raise refusal("syntax", "a part has no request line")
    headers, body = _headers(rest)
    if "content-length" in headers and headers["content-length"].isdigit():
        body = body[: int(headers["content-length"])]
    target = urlsplit(words[1])
    path = unquote(target.path)
    if path.startswith(ROOT):
        service, _, path = path.removeprefix(ROOT).partition("/")
    content_id = outer.get("content-id") or headers.get("content-id")
    named = {**headers, **({"content-id": content_id} if content_id else {})}
    return Call(
        method=headers.get("x-http-method", words[0]).upper(),
        service=service,
        path=path.strip("/"),
        query=dict(parse_qsl(target.query, keep_blank_values=True)),
        headers=named,
        body=body,
    )


def write_batch(parts: Sequence[tuple[Part, list[Answer]]]) -> Answer:
    """The answer to a batch: a changeset that failed has one answer, which is no changeset."""
    boundary = secrets.token_hex(16).upper()
    content = bytearray()
    for part, answers in parts:
        content += f"--{boundary}\r\n".encode()
        if part.changeset and answers[0].status < 400:
            inner = secrets.token_hex(16).upper()
            block = bytearray()
            for call, answer in zip(part.calls, answers, strict=True):
                block += f"--{inner}\r\n".encode() + _response(answer, call.headers.get("content-id"))
            block += f"--{inner}--\r\n".encode()
            content += (
                f"Content-Type: multipart/mixed; boundary={inner}\r\nContent-Length: {len(block)}\r\n\r\n"
            ).encode() + block
        else:
            content += _response(answers[0], None)
        content += b"\r\n"
    content += f"--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/mixed; boundary={boundary}", "DataServiceVersion": "2.0"}
    return Answer(status=202, headers=headers, body=bytes(content))


def _response(answer: Answer, content_id: str | None) -> bytes:
    head = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
    head += f"Content-Length: {len(answer.body)}\r\n\r\n"
    inner = head.encode("latin-1") + answer.body + b"\r\n"
    named = f"content-id: {content_id}\r\n" if content_id else ""
    return (
        "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
        f"Content-Length: {len(inner) - 2}\r\n{named}\r\n"
    ).encode() + inner
