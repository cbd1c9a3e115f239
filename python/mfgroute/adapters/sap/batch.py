"""``$batch``: several requests in one, and the answers to each.

Source: odata.org, OData 2.0, Batch Processing: a batch holds changesets, each of which is done as a whole;
the answer to one that failed is one part, the answers to one that succeeded are a part for each request.
"""

from __future__ import annotations

from collections.abc import Sequence
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import NamedTuple

from mfgroute.adapters.web.answer import Answer

__all__ = ["Part", "built", "parsed"]

_LINE = "\r\n"


class Part(NamedTuple):
    """A request in a batch."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def built(changesets: Sequence[Sequence[Part]], boundary: str) -> tuple[str, bytes]:
    """The content type and the body of a batch."""
    made = bytearray()
    number = 0
    for place, changeset in enumerate(changesets, 1):
        inner = f"changeset_{place}_{boundary}"
        made += (
            f"--batch_{boundary}{_LINE}Content-Type: multipart/mixed; boundary={inner}{_LINE}{_LINE}".encode()
        )
        for part in changeset:
            number += 1
            head = [
                f"--{inner}",
                "Content-Type: application/http",
                "Content-Transfer-Encoding: binary",
                f"Content-ID: {number}",
                "",
                f"{part.method} {part.path} HTTP/1.1",
                *(f"{name}: {value}" for name, value in part.headers.items()),
                f"Content-Length: {len(part.body)}",
                "",
                "",
            ]
            made += _LINE.join(head).encode() + part.body + _LINE.encode()
        made += f"--{inner}--{_LINE}".encode()
    made += f"--batch_{boundary}--{_LINE}".encode()
    return f"multipart/mixed; boundary=batch_{boundary}", bytes(made)


def parsed(answer: Answer, sizes: Sequence[int]) -> list[list[Answer]] | None:
    """The answers to the requests of each changeset; one answer to a changeset that failed as a whole.

    Args:
        answer: to the batch.
        sizes: how many requests each changeset had.

    Returns:
        `None` if it is not the answer to such a batch.
    """
    kind = answer.headers.get("Content-Type", "")
    if answer.truncated or not kind.lower().startswith("multipart/mixed"):
        return None
    head = f"Content-Type: {kind}{_LINE}{_LINE}".encode()
    outer = BytesParser(policy=HTTP).parsebytes(head + answer.body)
    found: list[list[Answer]] = []
    for part in _parts(outer):
        inner = _parts(part) if part.is_multipart() else [part]
        answers = [_answer(one) for one in inner]
        if any(one is None for one in answers):
            return None
        found.append([one for one in answers if one is not None])
    if len(found) != len(sizes):
        return None
    for answers_of, size in zip(found, sizes, strict=True):
        failed = len(answers_of) == 1 and answers_of[0].status >= 400
        if len(answers_of) != size and not failed:
            return None
    return found


def _parts(message: Message) -> list[Message]:
    payload = message.get_payload()
    return [part for part in payload if isinstance(part, Message)] if isinstance(payload, list) else []


def _answer(part: Message) -> Answer | None:
    raw = part.get_payload(decode=True)
    if not isinstance(raw, bytes) or not raw.startswith(b"HTTP/"):
        return None
    line, _, rest = raw.partition(b"\r\n" if b"\r\n" in raw else b"\n")
    words = line.split(None, 2)
    if len(words) < 2 or not words[1].isdigit():
        return None
    inner = BytesParser(policy=HTTP).parsebytes(rest)
    body = inner.get_payload(decode=True)
    headers = _Headers({name.lower(): str(value) for name, value in inner.items()})
    return Answer(status=int(words[1]), headers=headers, body=body if isinstance(body, bytes) else b"")


class _Headers(dict[str, str]):
    """Headers by name, in whatever letters."""

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        """The value of a header."""
        return super().get(name.lower(), default)
