"""Who may connect to the core: the ZAP handler, and the test that it is really asked."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from typing import Any

import zmq
import zmq.asyncio
from zmq.utils import z85
from zmq.utils.monitor import recv_monitor_message

from mfgroute.adapters.zeromq.peers import Roster
from mfgroute.adapters.zeromq.refused import Refused
from mfgroute.errors import Unprotected
from mfgroute.observe.logs import get_logger

__all__ = ["ZAP_DOMAIN", "Guard", "require_refusal", "shown_by", "tune"]

ZAP_DOMAIN = b"mfgroute"
_ENDPOINT = "inproc://zeromq.zap.01"
_WELCOME = b"200"
#: Bytes of a key, and its characters in Z85, which come before the edge's name in the user id of its frames.
_KEY_BYTES, _KEY_CHARS = 32, 40
_HWM = 4096
_TEST_S = 5.0
#: Seconds that somebody stands in line at most: less than a handshake may take (`HANDSHAKE_IVL`).
_LINE_MAX_S = 8.0
#: Bytes that CURVE puts around a frame: command name, nonce, authenticator and flags (ZMTP RFC 25: 33).
_CURVE = 64

_log = get_logger(adapter="zeromq")


def tune(socket: zmq.Socket[Any], *, message_max: int, linger_ms: int) -> None:
    """Set what both ends have in common (docs/design/edge-link.md).

    Args:
        socket: of either end.
        message_max: bytes of the largest frame that is taken.
        linger_ms: how long what was sent may take to leave when the socket is closed.
    """
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.SNDHWM, _HWM)
    socket.setsockopt(zmq.RCVHWM, _HWM)
    # libzmq counts the bytes on the wire and cuts the connection of what is longer.
    socket.setsockopt(zmq.MAXMSGSIZE, message_max + _CURVE)
    socket.setsockopt(zmq.LINGER, linger_ms)
    socket.setsockopt(zmq.HEARTBEAT_IVL, 5_000)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 15_000)
    socket.setsockopt(zmq.HANDSHAKE_IVL, 10_000)


class Guard:
    """Answers libzmq's question whether a client key is known (ZAP 1.0).

    A refusal is counted, by its key as well, and logged at most once a second, with how many were left
    out. When all edges come at once, as many as `rate` are let in each second, and the others wait in line;
    `serve` and `admit` both have to run.

    Args:
        context: of the listener.
        roster: whose key is known.
        counts: where it is counted.
        rate: connections a second that are let in.
        refused: where it is counted by key.
    """

    def __init__(
        self,
        context: zmq.asyncio.Context,
        roster: Roster,
        counts: Counter[str],
        *,
        rate: float = math.inf,
        refused: Refused | None = None,
    ) -> None:
        self._refused_keys = refused or Refused()
        self._pause_s = 1.0 / rate
        self._line: deque[tuple[float, list[bytes]]] = deque()
        self._came = asyncio.Event()
        self._roster = roster
        self._counts = counts
        #: The key (Z85) that each edge has shown last.
        self.shown: dict[str, bytes] = {}
        self._socket = context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._logged_at = -1.0
        self._left_out = 0
        self.quiet = False  # During the self-test refusals are what we want.

    def bind(self) -> None:
        """Be there before the listener is."""
        self._socket.bind(_ENDPOINT)

    async def serve(self) -> None:
        """Answer until cancelled. When this ends, libzmq accepts nobody, since the domain is enforced."""
        while True:
            frames = await self._socket.recv_multipart()
            head, request = frames[:2], frames[2:]
            answer = self._judge(request)
            if answer[2] == _WELCOME:
                self._line.append((time.monotonic(), frames))
                self._came.set()
            else:
                await self._socket.send_multipart(head + answer)

    async def admit(self) -> None:
        """Let in who is known, one after the other, until cancelled."""
        while True:
            while not self._line:
                self._came.clear()
                await self._came.wait()
            came_at, frames = self._line.popleft()
            if time.monotonic() - came_at > _LINE_MAX_S:
                self._counts["put_off"] += 1  # The edge has given up this handshake, and comes again.
                continue
            answer = self._judge(frames[2:])  # Its key may have been taken out since.
            self._counts["connections"] += answer[2] == _WELCOME
            await self._socket.send_multipart(frames[:2] + answer)
            await asyncio.sleep(self._pause_s)

    def close(self) -> None:
        """Stop answering."""
        self._socket.close(0)

    def _judge(self, request: list[bytes]) -> list[bytes]:
        version, request_id, domain, address, _, mechanism, *credentials = [*request, *[b""] * 6][:7]
        key = credentials[0] if len(request) == 7 else b""
        shown = z85.encode(key) if len(key) == _KEY_BYTES else b""
        edge = self._roster.owner(shown)
        if version == b"1.0" and domain == ZAP_DOMAIN and mechanism == b"CURVE" and edge is not None:
            self.shown[edge] = shown
            return [b"1.0", request_id, _WELCOME, b"OK", shown + edge.encode(), b""]
        self._refused(address, mechanism, key)
        return [b"1.0", request_id, b"400", b"unknown key", b"", b""]

    def _refused(self, address: bytes, mechanism: bytes, key: bytes) -> None:
        if self.quiet:
            return
        self._counts["refused_clients"] += 1
        whence = address.decode("ascii", "backslashreplace")
        self._refused_keys.add(key, whence)
        now = time.monotonic()
        if 0 <= now - self._logged_at < 1.0 and self._logged_at >= 0:
            self._left_out += 1
            return
        _log.warning(
            "edge_refused",
            address=whence,
            mechanism=mechanism.decode("ascii", "backslashreplace"),
            key=f"public:{key.hex()}" if len(key) == 32 else "",
            left_out=self._left_out,
        )
        self._logged_at, self._left_out = now, 0


def shown_by(frame: zmq.Frame) -> tuple[bytes, str]:
    """The key (Z85) by which the sender of a frame was let in, and whose it was; empty for a stranger."""
    try:
        user = str(frame.get("User-Id"))
    except zmq.ZMQError:
        return b"", ""
    return user[:_KEY_CHARS].encode(), user[_KEY_CHARS:]


async def require_refusal(endpoint: str, server_key: bytes) -> None:
    """Connect to ourselves with a random key and with none, and require that both are refused.

    Raises:
        Unprotected: one was let in, or nobody answered.
    """
    for mechanism in ("CURVE", "NULL"):
        # Another context: over inproc or a shared handler the test would prove nothing.
        context = zmq.asyncio.Context(io_threads=1)
        socket = context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.HANDSHAKE_IVL, int(_TEST_S * 1000))
        if mechanism == "CURVE":
            socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
            socket.curve_serverkey = server_key
        monitor = socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED
            | zmq.EVENT_HANDSHAKE_FAILED_AUTH
            | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
            | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        )
        try:
            socket.connect(endpoint)
            found = await asyncio.wait_for(recv_monitor_message(monitor), _TEST_S)
        except TimeoutError:
            raise Unprotected(
                f"the self-test of {endpoint} got no answer; the listener stays closed"
            ) from None
        finally:
            socket.disable_monitor()
            context.destroy(linger=0)
        if found["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            raise Unprotected(f"{endpoint} accepts a stranger ({mechanism}); the listener stays closed")
