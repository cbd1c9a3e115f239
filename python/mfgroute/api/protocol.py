"""Bounds on a connection before its request is understood."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mfgroute.api.body import HEADERS_BYTES_MAX, HEADERS_MAX
from mfgroute.api.problems import Problem

#: How long the head of a request may take, from the connection or from its first byte on.
HEAD_TIMEOUT_S = 10.0
#: Most bytes before the head of a request is complete.
HEAD_BYTES_MAX = 32 * 1024
_SLOW = f"the head of the request did not arrive within {HEAD_TIMEOUT_S:g} s"


class BoundedProtocol(HttpToolsProtocol):
    """Ends a connection whose request head is too long, too slow, or has too many headers.

    Without this a sender could hold memory and connections without ever sending a request.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_bytes = 0
        self._in_head = True
        self._refused = False
        self._slow: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count bytes of the head before they are read."""
        if self._refused:
            return
        if self._in_head:
            self._head_bytes += len(data)
            if self._slow is None:
                self._expect_head()
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES_MAX:
            self._refuse(431, f"the head of the request is longer than {HEAD_BYTES_MAX} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count headers while they are read; what is too much is not kept."""
        if len(self.headers) <= HEADERS_MAX:
            super().on_header(name, value[: HEADERS_BYTES_MAX + 1])

    def on_headers_complete(self) -> None:
        """The head is there; a body has its own bounds."""
        self._in_head = False
        self._head_bytes = 0
        self._stop_clock()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next byte belongs to the head of the next request."""
        self._in_head = True
        super().on_message_complete()

    def _expect_head(self) -> None:
        self._slow = self.loop.call_later(HEAD_TIMEOUT_S, self._refuse, 408, _SLOW)

    def _stop_clock(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP like any other bad request; uvicorn would answer with a plain text."""
        del msg
        self._refuse(400, "the request is not HTTP/1.1, or two readers could read it differently")

    def _refuse(self, status: int, detail: str) -> None:
        self._refused = True
        self._stop_clock()
        response = Problem(status, detail, headers={"Connection": "close"}).response()
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
        lines += [name + b": " + value for name, value in response.raw_headers]
        self.transport.write(b"\r\n".join([*lines, b"", bytes(response.body)]))
        self.transport.close()
