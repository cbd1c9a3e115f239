"""The line between edge and core: a TCP relay that can be cut."""

from __future__ import annotations

import asyncio
import contextlib

__all__ = ["Wan"]

_PIECE = 65_536


class Wan:
    """Passes bytes on between the edge and the port where the core listens.

    Attributes:
        cut_off: whether it is cut: no connection lives or begins.
    """

    def __init__(self, core_port: int) -> None:
        self.cut_off = False
        self._core_port = core_port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def open(self, port: int) -> None:
        """Listen on a port of loopback."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)

    def cut(self) -> None:
        """End all connections, and every new one."""
        self.cut_off = True
        for writer in self._open:
            writer.transport.abort()

    def mend(self) -> None:
        """Pass on again."""
        self.cut_off = False

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
        self.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.cut_off:
            writer.transport.abort()
            return
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", self._core_port)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, far}
        ways = [asyncio.create_task(_pass(reader, far)), asyncio.create_task(_pass(far_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for one in (writer, far):
                self._open.discard(one)
                one.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_PIECE):
            writer.write(data)
            await writer.drain()
