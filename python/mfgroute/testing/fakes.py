"""A source and a sink in memory, and a TCP proxy that misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from msgspec import Meta

from mfgroute.adapter import Config, Context, Sink, Source
from mfgroute.errors import Disconnected
from mfgroute.events import Done, Event, Intake, Outcome, Receipt

__all__ = ["ChaosProxy", "FakeConfig", "FakeSink", "FakeSource", "chaos_proxy"]


class FakeConfig(Config):
    """What a fake can be told."""

    intake_max: Annotated[int, Meta(ge=1, description="Most messages that `read` returns at once")] = 100
    queue_max: Annotated[int, Meta(ge=1, description="Most messages that wait; `put` waits beyond it")] = 1000


class FakeSource(Source):
    """Hands on what a test puts in.

    Attributes:
        acked: every acknowledged intake with its receipt, in order.
        positions: what `open` was told to resume after.
    """

    Config = FakeConfig

    def __init__(self, config: FakeConfig | None = None, context: Context | None = None) -> None:
        self._config = config or FakeConfig()
        self.context = context
        self._waiting: asyncio.Queue[bytes | Exception] = asyncio.Queue(self._config.queue_max)
        self.acked: list[tuple[Intake, Receipt]] = []
        self.positions: list[bytes | None] = []
        self.closed = 0
        self.reachable = True
        self._failure: Exception | None = None
        self._read = 0

    async def put(self, *messages: bytes) -> None:
        """Make messages wait; waits itself while the queue is full."""
        for message in messages:
            await self._waiting.put(message)

    async def fail(self, error: Exception) -> None:
        """Let a `read` raise `error` once everything before it was read."""
        await self._waiting.put(error)

    async def open(self, resume: bytes | None) -> None:
        """Connect, if `reachable`."""
        self.positions.append(resume)
        if not self.reachable:
            raise Disconnected("the fake source is not reachable", sent=False)

    async def read(self) -> Intake:
        """All messages that wait, up to `intake_max`; the position is the number of messages so far."""
        failure, self._failure = self._failure, None
        first = failure if failure is not None else await self._waiting.get()
        if isinstance(first, Exception):
            raise first
        messages = [first]
        while len(messages) < self._config.intake_max and not self._waiting.empty():
            following = self._waiting.get_nowait()
            if isinstance(following, Exception):
                self._failure = following  # For the next read: this one has something.
                break
            messages.append(following)
        self._read += len(messages)
        return Intake(messages=messages, position=str(self._read).encode())

    async def ack(self, intake: Intake, receipt: Receipt) -> None:
        """Remember the receipt."""
        self.acked.append((intake, receipt))

    async def close(self) -> None:
        """Count how often it was closed."""
        self.closed += 1


class FakeSink(Sink):
    """Remembers what it was sent and answers what a test tells it.

    Attributes:
        answer: called with each event; returns its outcome or raises.
        written: every event of every `write`, in order.
        gate: writes wait while it is cleared.
    """

    Config = FakeConfig
    batch_max = 100

    def __init__(self, config: FakeConfig | None = None, context: Context | None = None) -> None:
        self._config = config or FakeConfig()
        self.context = context
        self.written: list[Event] = []
        self.answer: Callable[[Event], Outcome] = lambda _: Done()
        self.gate = asyncio.Event()
        self.gate.set()
        self.reachable = True
        self.closed = 0
        self.writing = 0
        self.writing_max = 0

    async def open(self) -> None:
        """Connect, if `reachable`."""
        if not self.reachable:
            raise Disconnected("the fake sink is not reachable", sent=False)

    async def write(self, events: Sequence[Event]) -> list[Outcome]:
        """Answer each event."""
        self.writing += 1
        self.writing_max = max(self.writing_max, self.writing)
        try:
            await self.gate.wait()
            self.written.extend(events)
            return [self.answer(event) for event in events]
        finally:
            self.writing -= 1

    async def close(self) -> None:
        """Count how often it was closed."""
        self.closed += 1


class ChaosProxy:
    """Stands between a client and a server and does to the bytes what networks do.

    Attributes:
        port: where clients connect, on 127.0.0.1.
        delay_s: how long each piece waits, in seconds.
        cut_after: connections are reset after so many bytes in both directions together; `None`: never.
        half_close_after: towards the client the stream ends after so many bytes of the server, and what the
            client sends still arrives; `None`: never.
        stalled: pieces wait while it is set.
        connections: how many were made.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._flows: set[asyncio.Task[Any]] = set()
        self._open = asyncio.Event()
        self._open.set()
        self.port = 0
        self.delay_s = 0.0
        self.cut_after: int | None = None
        self.half_close_after: int | None = None
        self.connections = 0

    @property
    def stalled(self) -> bool:
        """Whether pieces wait."""
        return not self._open.is_set()

    @stalled.setter
    def stalled(self, value: bool) -> None:
        if value:
            self._open.clear()
        else:
            self._open.set()

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def drop(self) -> None:
        """Reset every connection that is open."""
        for flow in self._flows:
            flow.cancel()

    async def stop(self) -> None:
        """Listen no more and reset what is open. `start` listens on the same port again."""
        if self._server is not None:
            self._server.close()
            self._server = None
        flows = list(self._flows)
        self.drop()
        await asyncio.gather(*flows, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None, "called by a server"
        self._flows.add(task)
        writers = [writer]
        try:
            there_reader, there_writer = await asyncio.open_connection(*self._target)
            writers.append(there_writer)
            passed = _Passed()
            ways = (
                self._pass(reader, there_writer, passed, half_close=None),
                self._pass(there_reader, writer, passed, half_close=self.half_close_after),
            )
            async with asyncio.TaskGroup() as group:
                for way in ways:
                    group.create_task(way)
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            pass  # A reset is what was asked for.
        finally:
            self._flows.discard(task)
            for each in writers:
                each.transport.abort()

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        passed: _Passed,
        *,
        half_close: int | None,
    ) -> None:
        own = 0
        while data := await reader.read(65_536):
            await self._open.wait()
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            if self.cut_after is not None:
                data = data[: max(self.cut_after - passed.size, 0)]
            if half_close is not None:
                data = data[: max(half_close - own, 0)]
            writer.write(data)
            await writer.drain()
            passed.size += len(data)
            own += len(data)
            if self.cut_after is not None and passed.size >= self.cut_after:
                raise ConnectionResetError("cut")
            if half_close is not None and own >= half_close:
                break
        if writer.can_write_eof():
            writer.write_eof()


class _Passed:
    """Bytes that one connection has passed in both directions."""

    def __init__(self) -> None:
        self.size = 0


@asynccontextmanager
async def chaos_proxy(host: str, port: int) -> AsyncIterator[ChaosProxy]:
    """A started `ChaosProxy` before a server; use it in a fixture."""
    proxy = ChaosProxy(host, port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
