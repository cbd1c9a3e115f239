"""The frames of the edge link, as docs/design/edge-link.md describes them. No input or output here."""

from __future__ import annotations

import struct
from typing import Any, TypeAlias

import msgspec

from mfgroute._core import Block, link_checksum

__all__ = [
    "EMPTY_HASH",
    "ERROR_CREDIT",
    "ERROR_FORK",
    "ERROR_LANES",
    "ERROR_NOT_YOU",
    "ERROR_NO_HELLO",
    "ERROR_OTHER_LIFE",
    "ERROR_REVOKED",
    "ERROR_VERSION",
    "EVENTS_MAX",
    "EVENT_HEAD",
    "HORIZON",
    "LANES_MAX",
    "LEVELS",
    "Ack",
    "BadFrame",
    "Block",
    "Clock",
    "Error",
    "Frame",
    "Hello",
    "OtherVersion",
    "Ping",
    "Pong",
    "Welcome",
    "block_size",
    "decode",
    "encode",
]

MAGIC = b"MFEL"
VERSION = 3
EVENTS_MAX = 1024
EMPTY_HASH = bytes(16)
#: Bytes that a block spends on each event besides the event itself.
EVENT_HEAD = 8
#: The engine of an edge hands out no event so far behind the newest one. A power of two above its bound.
HORIZON = 131_072
#: Most streams of one edge.
LANES_MAX = 4
LEVELS = ("memory", "durable", "sealed")

ERROR_VERSION, ERROR_FORK, ERROR_NO_HELLO, ERROR_NOT_YOU, ERROR_CREDIT, ERROR_LANES = range(1, 7)
ERROR_OTHER_LIFE, ERROR_REVOKED = 7, 8

_HEAD = struct.Struct(">4sBBHQ")
_HELLO = struct.Struct(">QQ16sBQ16sQ16s")
_WELCOME = struct.Struct(">QQ16sQII")
_ACK = struct.Struct(">QQ16sBQI")
_NONCE = struct.Struct(">Q")
_CLOCK = struct.Struct(">Qq")
_ERROR = struct.Struct(">BH")
_CRC = struct.Struct(">I")


class BadFrame(ValueError):  # noqa: N818 - says what the frame is
    """The bytes are no frame."""


class OtherVersion(BadFrame):
    """The frame has a version that is not ours."""


class _Base(msgspec.Struct, frozen=True, kw_only=True):
    stream: str
    epoch: int


class Hello(_Base, frozen=True, kw_only=True):
    """An edge says where its lane stands. A hash of zeros is one that it does not know.

    `settled` is the block up to which the edge has durably taken note, with what was acknowledged at `level`;
    `session` is the life of its sink.
    """

    edge: str
    session: int = 0
    settled: int = 0
    settled_hash: bytes = EMPTY_HASH
    level: str = "memory"
    acked: int = 0
    acked_hash: bytes = EMPTY_HASH
    last: int = 0
    last_hash: bytes = EMPTY_HASH


class Welcome(_Base, frozen=True, kw_only=True):
    """The core says which block it expects, behind the one with hash `before`, and grants credit."""

    session: int
    expected: int
    before: bytes = EMPTY_HASH
    limit: int
    bytes_max: int
    block_max: int


class Ack(_Base, frozen=True, kw_only=True):
    """All blocks up to `acked` are in the core at `level` or better."""

    session: int
    acked: int
    hash: bytes
    level: str
    limit: int
    bytes_max: int


class Error(_Base, frozen=True, kw_only=True):
    """The core refuses."""

    code: int
    text: str


class Ping(msgspec.Struct, frozen=True):
    """Are you there?"""

    nonce: int


class Pong(msgspec.Struct, frozen=True):
    """I am."""

    nonce: int


class Clock(msgspec.Struct, frozen=True):
    """What an edge's wall clock says, in microseconds since 1970; the answer to a ping of the core."""

    nonce: int
    time: int


_Short: TypeAlias = Hello | Welcome | Ack | Error | Ping | Pong | Clock
Frame: TypeAlias = _Short | Block

_KINDS: dict[type, int] = {Hello: 1, Welcome: 2, Ack: 4, Ping: 5, Pong: 6, Error: 7, Clock: 8}
_BLOCK = 3
#: Bytes of what a block says of itself behind its names.
_BLOCK_NUMBERS = 60
#: Of no stream.
_BARE = (5, 6, 8)


def encode(frame: Frame) -> bytes:
    """The bytes of `frame`."""
    if isinstance(frame, Block):
        return frame.frame
    stream, epoch = ("", 0) if isinstance(frame, Ping | Pong | Clock) else (frame.stream, frame.epoch)
    head = _HEAD.pack(MAGIC, VERSION, _KINDS[type(frame)], 0, epoch)
    data = b"".join((head, _name(stream), _body(frame)))
    return data + _CRC.pack(link_checksum(data))


def decode(data: bytes) -> Frame:
    """The frame that `data` is.

    Raises:
        OtherVersion: it is a frame of another version.
        BadFrame: it is not a frame, or not a whole one.
    """
    if len(data) < _HEAD.size + 1 + _CRC.size or data[:4] != MAGIC:
        raise BadFrame("no frame of the edge link")
    if data[4] != VERSION:
        raise OtherVersion(f"version {data[4]}, expected {VERSION}")
    if data[5] == _BLOCK:
        try:
            return Block.read(data)
        except ValueError as error:
            raise BadFrame(str(error)) from None
    content = data[: -_CRC.size]
    if link_checksum(content) != _CRC.unpack_from(data, len(content))[0]:
        raise BadFrame("wrong checksum")
    _, _, kind, reserved, epoch = _HEAD.unpack_from(data)
    reader = _Reader(content[_HEAD.size :])
    stream = reader.name()
    if reserved or (kind in _BARE) != (not stream):
        raise BadFrame("malformed head")
    frame = _parse(reader, kind, stream, epoch)
    reader.end()
    return frame


def block_size(stream: str, edge: str, sizes: list[int]) -> int:
    """Bytes of a block's frame whose events have these sizes."""
    names = len(stream.encode()) + len(edge.encode()) + 2
    return _HEAD.size + names + _BLOCK_NUMBERS + _CRC.size + sum(sizes) + EVENT_HEAD * len(sizes)


def _name(text: str) -> bytes:
    data = text.encode()
    if len(data) > 255:
        raise ValueError(f"a name has {len(data)} bytes, at most 255 are allowed")
    return bytes((len(data),)) + data


def _body(frame: _Short) -> bytes:
    match frame:
        case Hello():
            level = LEVELS.index(frame.level) + 1
            settled = (frame.session, frame.settled, frame.settled_hash, level)
            marks = _HELLO.pack(*settled, frame.acked, frame.acked_hash, frame.last, frame.last_hash)
            return _name(frame.edge) + marks
        case Welcome():
            credit = (frame.limit, frame.bytes_max, frame.block_max)
            return _WELCOME.pack(frame.session, frame.expected, frame.before, *credit)
        case Ack():
            level = LEVELS.index(frame.level) + 1
            return _ACK.pack(frame.session, frame.acked, frame.hash, level, frame.limit, frame.bytes_max)
        case Ping() | Pong():
            return _NONCE.pack(frame.nonce)
        case Clock():
            return _CLOCK.pack(frame.nonce, frame.time)
        case Error():
            text = frame.text.encode()[:1000]
            return _ERROR.pack(frame.code, len(text)) + text


class _Reader:
    """Takes a body apart and never reads beyond it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            raise BadFrame("ends early")
        self._at += size
        return self._data[self._at - size : self._at]

    def numbers(self, layout: struct.Struct) -> tuple[Any, ...]:
        return layout.unpack(self.take(layout.size))

    def name(self) -> str:
        return self.text(self.take(1)[0])

    def text(self, size: int) -> str:
        try:
            return self.take(size).decode()
        except UnicodeDecodeError as error:
            raise BadFrame("a name is not UTF-8") from error

    def end(self) -> None:
        if self._at != len(self._data):
            raise BadFrame("goes on after its end")


def _parse(reader: _Reader, kind: int, stream: str, epoch: int) -> Frame:  # noqa: PLR0911 - one per kind
    match kind:
        case 1:
            edge = reader.name()
            session, settled, settled_hash, level, acked, acked_hash, last, last_hash = reader.numbers(_HELLO)
            return Hello(
                stream=stream, epoch=epoch, edge=edge, session=session,
                settled=settled, settled_hash=settled_hash, level=_level(level),
                acked=acked, acked_hash=acked_hash, last=last, last_hash=last_hash,
            )  # fmt: skip
        case 2:
            session, expected, before, limit, bytes_max, block_max = reader.numbers(_WELCOME)
            return Welcome(
                stream=stream, epoch=epoch, session=session,
                expected=expected, before=before, limit=limit, bytes_max=bytes_max, block_max=block_max,
            )  # fmt: skip
        case 4:
            session, acked, digest, level, limit, bytes_max = reader.numbers(_ACK)
            return Ack(
                stream=stream, epoch=epoch, session=session,
                acked=acked, hash=digest, level=_level(level), limit=limit, bytes_max=bytes_max,
            )  # fmt: skip
        case 5:
            return Ping(*reader.numbers(_NONCE))
        case 6:
            return Pong(*reader.numbers(_NONCE))
        case 7:
            code, size = reader.numbers(_ERROR)
            return Error(stream=stream, epoch=epoch, code=code, text=reader.text(size))
        case 8:
            return Clock(*reader.numbers(_CLOCK))
    raise BadFrame(f"unknown kind {kind}")


def _level(code: int) -> str:
    if not 1 <= code <= len(LEVELS):
        raise BadFrame("unknown level")
    return LEVELS[code - 1]
