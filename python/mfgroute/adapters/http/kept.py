"""Requests as they are kept until their events have ended."""

from __future__ import annotations

import msgspec

__all__ = ["Packed", "packed", "unpacked"]

_VERSION = 1


class Packed(msgspec.Struct, frozen=True, kw_only=True):
    """One request without its secrets and without the target's address.

    Attributes:
        method: of HTTP.
        path: what is put behind the configured address, encoded.
        headers: those that are no secrets.
        type: of the event, in full.
        undoes: whether it takes back what another has posted.
        asked: path under which the target says whether that was done; only of a request that undoes.
        guard: the place of the version in the target's document, and the event's version.
        body: exactly.
    """

    method: str
    path: str
    headers: dict[str, str]
    type: str = ""
    undoes: bool = False
    asked: str | None = None
    guard: tuple[str, str] | None = None
    body: bytes = b""


class _Head(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The first line of a packed request."""

    v: int
    method: str
    path: str
    headers: dict[str, str]
    type: str = ""
    undoes: bool = False
    asked: str | None = None
    guard: tuple[str, str] | None = None


_SAID = ("method", "path", "headers", "type", "undoes", "asked", "guard")
_HEAD = msgspec.json.Decoder(_Head)


def packed(one: Packed) -> bytes:
    """A request as it is kept: one line of JSON that says all but the body, then the body."""
    head = _Head(v=_VERSION, **{name: getattr(one, name) for name in _SAID})
    return msgspec.json.encode(head) + b"\n" + one.body


def unpacked(kept: bytes) -> Packed:
    """A request that was kept.

    Raises:
        ValueError: this version does not know the form.
    """
    line, _, body = kept.partition(b"\n")
    head = _HEAD.decode(line)
    if head.v != _VERSION:
        raise ValueError(f"the request is kept in form {head.v}, known is {_VERSION}")
    return Packed(body=body, **{name: getattr(head, name) for name in _SAID})
