"""A business system that takes CloudEvents over HTTP and fails now and then: ``python erp_target.py``.

It prints its port. ``POST /events`` takes one event, or an array of them, and keeps what it has not got yet;
of a hundred requests one is refused, with 500 or 503 in turns, and nothing of it is taken. ``GET /seen`` is
what was counted, ``GET /taken`` the data of all events, one on each line, and ``POST /forget`` begins anew.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import httptools
import msgspec
import uvloop

FAILS_EVERY = 100
#: Which one of them: early, so that a short run has errors, too.
_FAILS_AT = 3
_CODES = itertools.cycle((500, 503))


class _Identity(msgspec.Struct):
    event: str
    machine: str
    at: str


class _Event(msgspec.Struct):
    id: str
    data: msgspec.Raw


_ONE = msgspec.json.Decoder(_Event)
_MANY = msgspec.json.Decoder(list[_Event])
_DATA = msgspec.json.Decoder(_Identity)


@dataclass
class Books:
    """What the system got.

    Attributes:
        requests: with events.
        refused: of them, by 500 or 503.
        again: events that it had already.
        out_of_order: events of a machine that are older than one before.
        largest: most events of one request.
    """

    requests: int = 0
    refused: int = 0
    again: int = 0
    out_of_order: int = 0
    largest: int = 0
    taken: dict[str, bytes] = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)

    def post(self, body: bytes) -> int:
        """Take the events of one request; the status of the answer."""
        self.requests += 1
        if self.requests % FAILS_EVERY == _FAILS_AT:
            self.refused += 1
            return next(_CODES)
        events = _MANY.decode(body) if body.startswith(b"[") else [_ONE.decode(body)]
        self.largest = max(self.largest, len(events))
        for event in events:
            self._take(bytes(event.data))
        return 201

    def _take(self, data: bytes) -> None:
        one = _DATA.decode(data)
        if one.event in self.taken:
            self.again += 1
            return
        self.taken[one.event] = data
        self.out_of_order += self.newest.get(one.machine, "") >= one.at
        self.newest[one.machine] = max(one.at, self.newest.get(one.machine, ""))

    def seen(self) -> bytes:
        """The counts."""
        return msgspec.json.encode(
            {
                "events": len(self.taken),
                **{
                    name: getattr(self, name)
                    for name in ("requests", "refused", "again", "out_of_order", "largest")
                },
            }
        )


class Connection(asyncio.Protocol):
    """One connection; requests one after the other."""

    books = Books()

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._url = b""
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Remember which."""
        self._url = url

    def on_body(self, body: bytes) -> None:
        """Gather the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Answer."""
        body, self._body = b"".join(self._body), []
        status, said = self._answer(body)
        assert self._transport is not None
        self._transport.write(b"HTTP/1.1 %d .\r\nContent-Length: %d\r\n\r\n%s" % (status, len(said), said))
        if not self._parser.should_keep_alive():
            self._transport.close()

    def _answer(self, body: bytes) -> tuple[int, bytes]:
        books = Connection.books
        if self._url == b"/events":
            try:
                return books.post(body), b""
            except msgspec.MsgspecError as error:
                return 422, str(error).encode()
        answers: dict[bytes, Callable[[], bytes]] = {
            b"/seen": books.seen,
            b"/taken": lambda: b"\n".join(books.taken.values()),
            b"/forget": _forget,
        }
        found = answers.get(self._url)
        return (404, b"") if found is None else (200, found())


def _forget() -> bytes:
    Connection.books = Books()
    return b""


async def _main() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_main())
