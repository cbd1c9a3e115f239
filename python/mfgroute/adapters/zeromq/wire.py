"""Messages of one socket as they come, without a task or a future for each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import zmq

__all__ = ["Wire"]

#: Most messages that are read before others on the event loop have their turn.
_TURN_MAX = 32


class Wire:
    """Reads a socket whenever something is there, and writes to it without ever waiting.

    Args:
        socket: open, and of nobody else; who made it closes it, after `close`.
        take: is given the parts of each message.
        failed: is told, once, why nothing is read any more: the socket failed, or `take` raised.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        take: Callable[[list[zmq.Frame]], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._socket = socket
        self._take = take
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._fd = int(socket.getsockopt(zmq.FD))
        self._open = True
        self._soon: asyncio.Handle | None = None
        self._loop.add_reader(self._fd, self._read)
        self._again()  # What came before is not announced.

    def send(self, parts: Sequence[bytes]) -> bool:
        """Send one message; says whether it could leave at once. If not, it is lost."""
        if not self._open:
            return False
        try:
            self._socket.send_multipart(parts, zmq.DONTWAIT)
        except zmq.ZMQError:
            return False
        finally:
            # libzmq announces what has come once, and sending may have taken note of it.
            if self._soon is None and int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
                self._again()
        return True

    def close(self) -> None:
        """Read no more."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._fd)
            if self._soon is not None:
                self._soon.cancel()

    def _again(self) -> None:
        self._soon = self._loop.call_soon(self._read)

    def _read(self) -> None:
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        try:
            for _ in range(_TURN_MAX):
                if not self._open:
                    return
                self._take(self._socket.recv_multipart(zmq.DONTWAIT, copy=False))
        except zmq.Again:
            return
        except Exception as error:  # noqa: BLE001 - told to the owner, who stops
            self.close()
            self._failed(error)
            return
        if self._open and self._soon is None:
            self._again()
