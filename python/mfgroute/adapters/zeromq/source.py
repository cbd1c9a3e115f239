"""The core's side of the link: blocks of canonical events from edge nodes."""

from __future__ import annotations

import asyncio
import fnmatch
import re
from collections import Counter, deque
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import zmq
import zmq.asyncio
from msgspec import Meta

from mfgroute.adapter import Config, Context, Source
from mfgroute.adapters.plain import excerpt
from mfgroute.adapters.zeromq.frames import Block
from mfgroute.adapters.zeromq.guard import ZAP_DOMAIN, Guard, require_refusal, tune
from mfgroute.adapters.zeromq.keys import PUBLIC_PATTERN, KeyPair, load_secret, parse_public
from mfgroute.adapters.zeromq.link import CoreLink
from mfgroute.errors import AdapterError, Disconnected, MfgrouteError
from mfgroute.events import Intake, Receipt
from mfgroute.observe.logs import get_logger
from mfgroute.units import Size

__all__ = ["EdgePeer", "ZeroMqSource", "ZeroMqSourceConfig"]

_LINGER_MS = 500
_INTAKE_EVENTS_MAX = 2048
_INTAKE_BYTES_MAX = 4 << 20
_ALARMS = (
    "forks",
    "wrong_edge",
    "beyond_credit",
    "too_large",
    "other_version",
    "too_many_lanes",
    "bad_frames",
    "gaps",
)

_log = get_logger(adapter="zeromq")


class EdgePeer(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An edge node that may connect."""

    id: Annotated[str, Meta(min_length=1, max_length=100, description="Name of the edge node")]
    key: Annotated[
        str, Meta(pattern=PUBLIC_PATTERN, description="Its public key: `public:` and 64 hex digits")
    ]
    sources: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1,
            description="CloudEvents sources it may send, such as `//DE04/*`; others are rejects",
        ),
    ]


class ZeroMqSourceConfig(Config):
    """Where edge nodes connect, and which."""

    listen: Annotated[
        str,
        Meta(
            pattern=r"^tcp://\S+:([0-9]+|\*)$",
            description="Address to listen on, such as `tcp://0.0.0.0:7447`",
        ),
    ]
    secret_key_file: Annotated[
        str,
        Meta(min_length=1, description="File of the core's secret key, mode 0600, relative to the project"),
    ]
    edges: Annotated[tuple[EdgePeer, ...], Meta(min_length=1, description="The edge nodes that may connect")]
    credit_blocks: Annotated[
        int, Meta(ge=1, le=512, description="Blocks one stream of an edge may have sent without an answer")
    ] = 64
    credit_size: Annotated[
        Size, Meta(description="Bytes one stream of an edge may have sent without an answer")
    ] = Size(16 << 20)
    block_max: Annotated[Size, Meta(description="Largest frame that is taken; at most 64MiB")] = Size(1 << 20)

    def __post_init__(self) -> None:
        """Refuse a list in which a key or a name would be ambiguous."""
        for what, values in (
            ("id", [edge.id for edge in self.edges]),
            ("key", [edge.key for edge in self.edges]),
        ):
            if len(set(values)) != len(values):
                raise ValueError(f"two of `edges` have the same {what}")
        if not 4096 <= self.block_max <= 64 << 20:
            raise ValueError("`block_max` is not between 4KiB and 64MiB")


class _Token(NamedTuple):
    """Which blocks an intake holds."""

    edge: str
    blocks: tuple[tuple[str, int, int], ...]


class _Named(msgspec.Struct):
    source: str = ""


_NAMED = msgspec.json.Decoder(_Named)


class ZeroMqSource(Source):
    """Take blocks from edge nodes.

    A block is acknowledged with its receipt and not before. When ingest is slow no credit is given back, so
    an edge never has more in flight than `credit_blocks` per stream.
    """

    Config = ZeroMqSourceConfig

    def __init__(self, config: ZeroMqSourceConfig, context: Context) -> None:
        self._config = config
        self._key_path: Path = context.project_dir / config.secret_key_file
        self._block_max = config.block_max
        self.core = CoreLink(
            credit_blocks=config.credit_blocks,
            credit_bytes=config.credit_size,
            block_max=self._block_max,
        )
        self._allowed = {
            edge.id: re.compile("|".join(fnmatch.translate(source) for source in edge.sources))
            for edge in config.edges
        }
        self._zmq: zmq.asyncio.Context | None = None
        self._guard: Guard | None = None
        self._socket: zmq.asyncio.Socket | None = None
        self._routes: dict[tuple[str, str], bytes] = {}
        self._blocks: deque[Block] = deque()
        self._arrived = asyncio.Event()
        self._failure: MfgrouteError | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.endpoint = ""

    @property
    def counters(self) -> Counter[str]:
        """What happened so far: blocks, repeated_blocks, gaps, forks, refused_clients and more."""
        return self.core.counts

    async def open(self, resume: bytes | None) -> None:
        """Listen, and prove that strangers are refused before anything is read.

        Raises:
            AdapterError: a key is unusable, or the self-test failed.
            Disconnected: the address is in use.
        """
        del resume  # The edges know what they have not sent.
        keys = load_secret(self._key_path)
        self._zmq = zmq.asyncio.Context()
        edges = {parse_public(edge.key): edge.id for edge in self._config.edges}
        guard = self._guard = Guard(self._zmq, edges, self.counters)
        guard.quiet = True
        guard.bind()
        self._start(guard.serve())
        socket = self._socket = self._listener(keys)
        try:
            socket.bind(self._config.listen)
        except zmq.ZMQError as error:
            raise Disconnected(f"cannot listen on {self._config.listen}: {error}", sent=False) from error
        self.endpoint = socket.getsockopt_string(zmq.LAST_ENDPOINT)
        here = self.endpoint.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
        await require_refusal(here, keys.public)
        guard.quiet = False
        self._start(self._listen(socket))
        _log.info("edge_link_listens", endpoint=self.endpoint, edges=len(edges))

    async def read(self) -> Intake:
        """Wait for blocks; return those of one edge that are waiting, up to a limit.

        Raises:
            AdapterError: the listener had to be closed.
        """
        while not self._blocks:
            if self._failure is not None:
                raise self._failure
            self._arrived.clear()
            await self._arrived.wait()
        edge = self._blocks[0].edge
        events: list[bytes] = []
        names: list[tuple[str, int, int]] = []
        size = 0
        while self._blocks and self._blocks[0].edge == edge:
            block = self._blocks[0]
            if names and (len(events) + len(block.events) > _INTAKE_EVENTS_MAX or size > _INTAKE_BYTES_MAX):
                break
            self._blocks.popleft()
            events.extend(self._checked(edge, event) for event in block.events)
            size += sum(map(len, block.events))
            names.append((block.stream, block.epoch, block.number))
        return Intake(messages=events, meta={"edge.id": edge}, token=_Token(edge, tuple(names)))

    async def ack(self, intake: Intake, receipt: Receipt) -> None:
        """Acknowledge the intake's blocks to the edge, at the level of the receipt."""
        assert isinstance(intake.token, _Token), "an intake of another source"
        edge, blocks = intake.token
        replies: dict[str, bytes] = {}
        for stream, epoch, number in blocks:
            reply = self.core.acknowledge(edge, stream, epoch, number, receipt.level)
            if reply is not None:
                replies[stream] = reply  # Cumulative: the last one says it all.
        for stream, reply in replies.items():
            self._send(self._routes[edge, stream], reply)

    async def close(self) -> None:
        """Stop listening; acknowledgements that were given get half a second to leave."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._socket is not None:
            self._socket.close(_LINGER_MS)
            self._socket = None
        if self._guard is not None:
            self._guard.close()
            self._guard = None
        context, self._zmq = self._zmq, None
        if context is not None:
            # Waits for what lingers, so not on the event loop.
            await asyncio.to_thread(context.term)

    def _listener(self, keys: KeyPair) -> zmq.asyncio.Socket:
        assert self._zmq is not None, "called by open"
        socket = self._zmq.socket(zmq.ROUTER)
        tune(socket, message_max=self._block_max, linger_ms=_LINGER_MS)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
        # Without this libzmq accepts every key when no handler answers.
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        socket.curve_publickey, socket.curve_secretkey = keys
        socket.curve_server = True
        return socket

    async def _listen(self, socket: zmq.asyncio.Socket) -> None:
        while True:
            frames = await socket.recv_multipart(copy=False)
            edge = _user(frames[-1])
            if len(frames) != 2 or edge not in self._allowed:
                self.counters["bad_frames"] += 1
                continue
            before = {name: self.counters[name] for name in _ALARMS}
            route = frames[0].bytes
            replies, block = self.core.receive(edge, frames[1].bytes)
            self._alarm(edge, before)
            if block is not None:
                self._routes[edge, block.stream] = route
                self._blocks.append(block)
                self._arrived.set()
            for reply in replies:
                self._send(route, reply)

    def _checked(self, edge: str, event: bytes) -> bytes:
        """The event, or something that the engine will reject and keep, if the edge may not send it."""
        try:
            source = _NAMED.decode(event).source
        except msgspec.MsgspecError:
            return event  # The engine says better what is wrong with it.
        if self._allowed[edge].match(source):
            return event
        self.counters["foreign_sources"] += 1
        return f"edge {excerpt(edge)} may not send events of source {excerpt(source)}\n".encode() + event

    def _alarm(self, edge: str, before: dict[str, int]) -> None:
        for name, count in before.items():
            now = self.counters[name]
            # The first one and then each power of two: an attacker cannot fill the disk.
            if now > count and now & (now - 1) == 0:
                level = _log.error if name == "forks" else _log.warning
                level("edge_link_alarm", what=name, edge=edge, total=now)

    def _send(self, route: bytes, frame: bytes) -> None:
        if self._socket is None:
            return
        # Never waits: an answer that cannot leave now is asked for again by the next hello.
        sent = asyncio.ensure_future(self._socket.send_multipart([route, frame], zmq.DONTWAIT))
        sent.add_done_callback(self._sent)

    def _sent(self, result: asyncio.Future[Any]) -> None:
        if not result.cancelled() and result.exception() is not None:
            self.counters["unsent_answers"] += 1

    def _start(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(job)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Fail closed: without the guard or the reader nobody is listened to."""
        if task.cancelled() or self._failure is not None:
            return
        self._failure = AdapterError(f"the edge link failed: {task.exception()}")
        _log.error("edge_link_failed", reason=str(task.exception()))
        if self._socket is not None:
            self._socket.close(0)
            self._socket = None
        self._arrived.set()


def _user(frame: zmq.Frame) -> str:
    try:
        return str(frame.get("User-Id"))
    except zmq.ZMQError:
        return ""
