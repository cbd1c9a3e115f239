"""The edge's socket and lanes: frames out, acknowledgements in, heartbeats between."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any

import zmq
import zmq.asyncio
from zmq.utils import z85
from zmq.utils.monitor import recv_monitor_message

from mfgroute.adapters.plain import excerpt
from mfgroute.adapters.zeromq.book import Book
from mfgroute.adapters.zeromq.frames import (
    ERROR_OTHER_LIFE,
    ERROR_REVOKED,
    ERROR_VERSION,
    Ack,
    BadFrame,
    Clock,
    Error,
    Ping,
    Welcome,
    decode,
    encode,
)
from mfgroute.adapters.zeromq.guard import tune
from mfgroute.adapters.zeromq.keys import KeyPair, fingerprint
from mfgroute.adapters.zeromq.lane import EdgeLane, LaneLost, LinkError, Point
from mfgroute.adapters.zeromq.rate import Rate
from mfgroute.adapters.zeromq.wire import Wire
from mfgroute.errors import AdapterError, Disconnected, MfgrouteError, Quarantined
from mfgroute.observe.logs import get_logger

__all__ = ["EdgeConnection"]

_log = get_logger(adapter="zeromq")

_MESSAGE_MAX = 65_536
#: First and longest pause before the core is called again, in seconds; less with quick heartbeats.
_FIRST_S, _LONGEST_S = 1.0, 5.0
#: How often, in seconds and in blocks, it is made durable how far a lane is acknowledged and noted.
_KEEP_S, _KEEP_BLOCKS = 0.25, 16
_HANDSHAKES: dict[int, str] = {
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "the core refuses this edge's key",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "the core does not speak CURVE as we do",
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "the handshake failed; the core's key may be another one",
}


_EVENTS = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | sum(_HANDSHAKES)


class EdgeConnection:
    """One DEALER socket to one core.

    ZeroMQ reconnects by itself; lanes then say hello again and repeat what is not acknowledged. After three
    heartbeats without a word from the core it is given up: `failure` is set and every answer is `False`.

    Args:
        endpoint: of the core.
        edge: our name there.
        heartbeat_s: seconds between heartbeats.
        epoch: of the data folder.
        durable: the durable streams. Others have an epoch of their own in each life.
        wall: what our clock says, in seconds since 1970; the core is told it and nothing depends on it.
    """

    def __init__(
        self,
        endpoint: str,
        edge: str,
        *,
        heartbeat_s: float,
        epoch: int = 0,
        durable: Collection[str] = (),
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.wall = wall
        self.failure: MfgrouteError | None = None
        self.counts: Counter[str] = Counter()
        self._endpoint = endpoint
        self._edge = edge
        self._heartbeat_s = heartbeat_s
        self._epoch = epoch
        self._book: Book | None = None
        self._outlived = False
        self._durable = durable
        self._session = 0
        self._acked_many = asyncio.Event()
        self._rate = Rate()
        self._since: float | None = None
        self._zmq: zmq.asyncio.Context | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._wire: Wire | None = None
        self._lanes: dict[str, EdgeLane] = {}
        self._answers: dict[tuple[str, int], asyncio.Future[bool]] = {}
        self._counts: dict[tuple[str, int], int] = {}
        self._released: dict[str, int] = {}
        self._waiting: Counter[str] = Counter()
        self._moved = asyncio.Event()
        self._heard = asyncio.Event()
        self._heard_at = 0.0
        self._handshake = "no answer"
        self._key = ""
        self._tasks: list[asyncio.Task[None]] = []
        self._keeper: asyncio.Task[None] | None = None
        self._noted: Callable[[], int] = lambda: sys.maxsize

    async def open(
        self,
        keys: KeyPair,
        core_key: bytes,
        *,
        timeout_s: float,
        book: Book | None = None,
        noted: Callable[[], int] | None = None,
    ) -> None:
        """Connect and wait until the core answers a ping.

        Args:
            keys: our own.
            core_key: the public one of the core.
            timeout_s: how long to wait.
            book: how far each durable stream is acknowledged; `None` if no stream is durable.
            noted: the last answer that is durable in the log, as `EdgeLane.answered` counts them; without it
                each is at once.

        Raises:
            Disconnected: it does not, the keys do not fit, or the disk refuses.
            Quarantined: the core refuses our key.
        """
        self._book, self._noted = book, noted or self._noted
        if book is not None:
            try:
                self._session = await asyncio.to_thread(book.begin)
            except OSError as error:
                raise Disconnected(f"cannot begin a session: {error}", sent=False) from error
        self._zmq = zmq.asyncio.Context()
        socket = self._socket = zmq.Socket(self._zmq, zmq.DEALER)
        tune(socket, message_max=_MESSAGE_MAX, linger_ms=0)
        socket.curve_publickey, socket.curve_secretkey = keys
        self._key = fingerprint(z85.decode(keys.public))
        socket.curve_serverkey = core_key
        # Edges that lose the core at the same moment are not to come back at the same moment. libzmq doubles
        # the first pause up to the longest, and adds to each a random time that is shorter than the first.
        socket.setsockopt(zmq.RECONNECT_IVL, _jitter_ms(min(_FIRST_S, self._heartbeat_s / 3)))
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, _jitter_ms(min(_LONGEST_S, self._heartbeat_s)))
        monitor: Any = socket.get_monitor_socket(_EVENTS)  # Of the context's kind.
        try:
            socket.connect(self._endpoint)
        except zmq.ZMQError as error:
            raise Disconnected(f"cannot connect to {self._endpoint}: {error}", sent=False) from error
        self._wire = Wire(socket, self._heard_of, self._broken)
        self._start(self._watch(monitor))
        try:
            await asyncio.wait_for(self._heard.wait(), timeout_s)
        except TimeoutError:
            raise Disconnected(f"cannot reach {self._endpoint}: {self._handshake}", sent=False) from None
        if self.failure is not None:
            raise self.failure
        self._start(self._beat())
        self._keeper = asyncio.create_task(self._keep())

    async def lane(self, stream: str) -> EdgeLane:
        """The lane of a stream, once the core has welcomed it."""
        lane = self._lanes.get(stream)
        if lane is None:
            lane = self._lanes[stream] = self._begin(stream)
            self._send(lane.hello())
        await self._until(stream, lambda: lane.welcomed)
        return lane

    async def post(
        self, lane: EdgeLane, offsets: Sequence[int], events: Sequence[bytes]
    ) -> asyncio.Future[bool]:
        """Wait for credit and send a block. The answer is whether the core has acknowledged it."""
        size = lane.size(events)
        await self._until(lane.stream, lambda: lane.room(size))
        number, frame = lane.add(offsets, events)
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._answers[lane.stream, number] = answer
        self._counts[lane.stream, number] = len(events)
        self.counts["blocks"] += 1
        self._send(frame)
        return answer

    def answer(self, lane: EdgeLane, number: int) -> asyncio.Future[bool]:
        """The answer for a block that was posted before."""
        if number > lane.acked.number:
            return self._answers[lane.stream, number]
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        answer.set_result(True)
        return answer

    def answered(self, stream: str, offsets: Sequence[int], answer: int) -> None:
        """The log is told now that these events are done; see `EdgeLane.answered`."""
        lane = self._lanes[stream]
        lane.answered(offsets, answer)
        if lane.acked.number - lane.settled.number >= _KEEP_BLOCKS:
            self._acked_many.set()

    def details(self) -> dict[str, Any]:
        """How the link stands: since when it is connected, how fast it is, and each lane."""
        now = time.monotonic()
        return {
            "endpoint": self._endpoint,
            "edge": self._edge,
            "connected_s": None if self._since is None else round(now - self._since, 3),
            "heard_s": round(now - self._heard_at, 3) if self._heard_at else None,
            "why": "" if self._since is not None else str(self.failure or self._handshake),
            "events_per_s": round(self._rate.per_s(now), 1),
            "lanes": [
                {
                    "stream": lane.stream,
                    "acked": lane.acked.number,
                    "level": lane.acked.level,
                    "bytes_sent": lane.flying,
                }
                for lane in self._lanes.values()
            ],
        }

    async def close(self) -> None:
        """Leave at once; what is not acknowledged is sent again by the next connection."""
        self._fail(Disconnected("the connection is closed", sent=False))
        self._acked_many.set()
        if self._keeper is not None:
            # Not cancelled: what it writes must not come after what the next connection reads.
            await asyncio.wait((self._keeper,))
            self._keeper = None
        if self._outlived and self._book is not None:
            with contextlib.suppress(OSError):  # The next connection says what is wrong with the disk.
                await asyncio.to_thread(self._book.leap)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._wire is not None:
            self._wire.close()
            self._wire = None
        if self._socket is not None:
            self._socket.disable_monitor()
            self._socket.close(0)
            self._socket = None
        if self._zmq is not None:
            self._zmq.destroy(linger=0)
            self._zmq = None

    def _begin(self, stream: str) -> EdgeLane:
        if stream not in self._durable or self._book is None:
            # What is not on the disk is numbered anew in each life.
            return EdgeLane(self._edge, stream, secrets.randbits(63) + 1, session=secrets.randbits(63) + 1)
        settled = self._book.points.get(stream)
        return EdgeLane(self._edge, stream, self._epoch, session=self._session, settled=settled)

    async def _keep(self) -> None:
        """Let the core forget what the log has durably noted; of durable streams the book says it first."""
        while self.failure is None:
            self._acked_many.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._acked_many.wait(), _KEEP_S)
            lanes = [lane for lane in self._lanes.values() if lane.acked.number > lane.settled.number]
            if not lanes:
                continue
            noted = self._noted()
            points: dict[str, Point] = {}
            for lane in lanes:
                durable = lane.stream in self._durable
                if (point := lane.checkpoint(noted if durable else sys.maxsize)) is None:
                    continue
                if durable and self._book is not None:
                    points[lane.stream] = point
                else:
                    lane.settle(point)  # Its events do not outlive this process.
            if points and self._book is not None and await self._written(self._book, points):
                for stream, point in points.items():
                    self._lanes[stream].settle(point)

    async def _written(self, book: Book, points: dict[str, Point]) -> bool:
        try:
            await asyncio.to_thread(book.write, points)
        except OSError as error:
            # The core goes on remembering; nothing is lost by that.
            self.counts["unkept"] += 1
            _log.warning("edge_link_cannot_note", reason=str(error))
            return False
        return True

    async def _until(self, stream: str, condition: Callable[[], bool]) -> None:
        self._waiting[stream] += 1
        try:
            while self.failure is None and not condition():
                await self._moved.wait()
        finally:
            self._waiting[stream] -= 1
        if self.failure is not None:
            raise self.failure

    def _notify(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    def _heard_of(self, frames: list[zmq.Frame]) -> None:
        self._heard_at = time.monotonic()
        self._heard.set()
        try:
            frame = decode(b"".join(part.bytes for part in frames))
        except BadFrame:
            self.counts["bad_frames"] += 1
            return
        if isinstance(frame, Error) and frame.code == ERROR_VERSION:
            self._fail(AdapterError(f"{self._endpoint} speaks another version: {excerpt(frame.text)}"))
        elif isinstance(frame, Error) and frame.code == ERROR_REVOKED:
            self._refused()
        elif isinstance(frame, Ping):
            self._send(encode(Clock(frame.nonce, int(self.wall() * 1e6))))
        elif isinstance(frame, Welcome | Ack | Error) and frame.stream in self._lanes:
            self._take(self._lanes[frame.stream], frame)

    def _take(self, lane: EdgeLane, frame: Welcome | Ack | Error) -> None:
        try:
            replies = lane.receive(frame)
        except LaneLost as lost:
            self._fail(Disconnected(f"stream {lane.stream} begins anew: {lost}", sent=False))
            return
        except LinkError as error:
            text = excerpt(str(error))
            if error.code == ERROR_OTHER_LIFE:
                self._outlived = lane.stream in self._durable
                self._fail(Disconnected(f"stream {lane.stream} to {self._endpoint}: {text}", sent=False))
                return
            _log.error("edge_link_stopped", stream=lane.stream, code=error.code, reason=text)
            self._fail(AdapterError(f"stream {lane.stream} to {self._endpoint} stopped: {text}"))
            return
        for reply in replies:
            self.counts["repeated"] += 1
            self._send(reply)
        acked = lane.acked.number
        released = self._released.setdefault(lane.stream, lane.settled.number)
        for number in range(released + 1, acked + 1):
            self._rate.add(time.monotonic(), self._counts.pop((lane.stream, number), 0))
            answer = self._answers.pop((lane.stream, number), None)
            if answer is not None and not answer.done():
                answer.set_result(True)
        self._released[lane.stream] = max(acked, released)
        self._notify()

    async def _watch(self, monitor: zmq.asyncio.Socket) -> None:
        while True:
            found = await recv_monitor_message(monitor)
            if found["event"] == zmq.EVENT_DISCONNECTED:
                self._since = None
            elif found["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._since, self._handshake = time.monotonic(), "no answer"
                self._send(encode(Ping(secrets.randbits(64))))
                for lane in self._lanes.values():
                    self._send(lane.hello())
            else:
                self._handshake = _HANDSHAKES.get(found["event"], "the handshake failed")
                self.counts["failed_handshakes"] += 1
                if found["event"] == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                    self._refused()

    def _refused(self) -> None:
        """The core knows us no more, or not yet. After a handshake like this libzmq does not call again."""
        self._handshake = _HANDSHAKES[zmq.EVENT_HANDSHAKE_FAILED_AUTH]
        self._since = None
        text = f"{self._endpoint}: {self._handshake} {self._key}; its `edges` must have it"
        self._fail(Quarantined(text, sent=False))

    async def _beat(self) -> None:
        while self.failure is None:
            before = time.monotonic()
            await asyncio.sleep(self._heartbeat_s)
            now = time.monotonic()
            # While we stood still ourselves nothing was read, whatever the core said.
            self._heard_at += now - before - self._heartbeat_s
            if now - self._heard_at > 3 * self._heartbeat_s:
                self._fail(Disconnected(f"nothing heard from {self._endpoint}", sent=False))
                return
            self._send(encode(Ping(secrets.randbits(64))))
            for lane in self._lanes.values():
                wanting = self._waiting[lane.stream] > 0
                for frame in lane.tick(now, quiet_max_s=0.6 * self._heartbeat_s, wanting=wanting):
                    self._send(frame)

    def _send(self, frame: bytes) -> None:
        # Never waits: what cannot leave now is lost here and repeated after the next hello.
        if self._wire is not None and not self._wire.send((frame,)):
            self.counts["unsent"] += 1

    def _fail(self, failure: MfgrouteError) -> None:
        if self.failure is None:
            self.failure = failure
            self._heard.set()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_result(False)
        self._answers.clear()
        self._notify()

    def _start(self, *jobs: Coroutine[Any, Any, None]) -> None:
        for job in jobs:
            task = asyncio.create_task(job)
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken(error)

    def _broken(self, error: BaseException) -> None:
        self._fail(Disconnected(f"the link failed: {error}", sent=False))


def _jitter_ms(seconds: float) -> int:
    """Milliseconds between half of these seconds and all."""
    whole = max(2, round(seconds * 1000))
    return whole // 2 + secrets.randbelow(whole // 2 + 1)
