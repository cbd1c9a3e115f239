"""The core's side of the link: blocks of canonical events from edge nodes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import zmq
import zmq.asyncio

from mfgroute._core import Blocks
from mfgroute.adapter import Context, Source
from mfgroute.adapters.plain import excerpt
from mfgroute.adapters.zeromq.clocks import Clocks
from mfgroute.adapters.zeromq.core import CoreLink
from mfgroute.adapters.zeromq.frames import Block
from mfgroute.adapters.zeromq.guard import ZAP_DOMAIN, Guard, require_refusal, shown_by, tune
from mfgroute.adapters.zeromq.keys import KeyPair, load_secret, parse_public
from mfgroute.adapters.zeromq.peers import EdgePeer, Roster, ZeroMqSourceConfig
from mfgroute.adapters.zeromq.refused import Refused
from mfgroute.adapters.zeromq.waiting import Waiting
from mfgroute.adapters.zeromq.wire import Wire
from mfgroute.errors import AdapterError, Disconnected, Full, MfgrouteError, TooLarge
from mfgroute.events import Intake, Receipt
from mfgroute.observe.logs import get_logger

__all__ = ["EdgePeer", "ZeroMqSource", "ZeroMqSourceConfig"]

_LINGER_MS = 500
_INTAKE_EVENTS_MAX = 8192
_INTAKE_BYTES_MAX = 4 << 20
#: First and longest time, in seconds, for which a stream without room is left aside.
_ASIDE_S, _ASIDE_MAX_S = 0.05, 1.0
_CONNECTIONS_MAX = 8
_ALARMS = (
    "forks",
    "other_lives",
    "wrong_edge",
    "beyond_credit",
    "too_large",
    "other_version",
    "too_many_lanes",
    "bad_frames",
    "gaps",
)

_log = get_logger(adapter="zeromq")


class _Token(NamedTuple):
    """Which blocks an intake holds: edge, stream, epoch and number of each."""

    blocks: tuple[tuple[str, str, int, int], ...]


class _Aside(NamedTuple):
    """A stream for which there is no room: until when it is left aside, for how long, and why."""

    until: float
    for_s: float
    why: str


class ZeroMqSource(Source):
    """Take blocks from edge nodes.

    A block is acknowledged with its receipt and not before: once it is sealed, where its stream is durable.
    How far each edge has come is the position of the source, so it is in the log with the events. When ingest
    is slow no credit is given back, so an edge never has more in flight than `credit_blocks` per stream.
    """

    Config = ZeroMqSourceConfig
    sorted_by_stream = True

    def __init__(self, config: ZeroMqSourceConfig, context: Context) -> None:
        self._config = config
        self._key_path: Path = context.project_dir / config.secret_key_file
        self._block_max = config.block_max
        self._ack = "sealed" if context.durable else None
        self.clocks = Clocks(config.clock_off_max)
        self._roster = Roster(config.edges)
        self.core = self._link(None)
        self._zmq: zmq.asyncio.Context | None = None
        self._guard: Guard | None = None
        self._refused = Refused()
        self._socket: zmq.Socket[bytes] | None = None
        self._wire: Wire | None = None
        self._routes: dict[tuple[str, str], bytes] = {}
        self._opening: tuple[tuple[str, str, int, int], ...] = ()
        self.waiting = Waiting(config.first)
        self._taken: list[Block] = []
        self._aside: dict[str, _Aside] = {}
        #: The newest connections of each edge; of an older one a frame may still come.
        self._connections: dict[str, deque[bytes]] = {}
        #: Bytes that a stream takes at once, where that is less than an intake may have.
        self._less: dict[str, int] = {}
        self._heard: dict[str, float] = {}
        self._since = time.monotonic()
        #: Since when an edge is to be heard by another key.
        self._unheard: dict[str, float] = {}
        self._arrived = asyncio.Event()
        self._failure: MfgrouteError | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.endpoint = ""

    @property
    def counters(self) -> Counter[str]:
        """What happened so far: blocks, repeated_blocks, gaps, forks, refused_clients and more."""
        return self.core.counts

    @property
    def details(self) -> dict[str, Any]:
        """Where it listens, and of each edge when it was heard last, its clock, and how its lanes stand."""
        now = time.monotonic()
        lanes: dict[str, list[dict[str, Any]]] = {edge: [] for edge in self._roster.peers}
        for lane in self.core.lanes:
            stands = {"stream": lane.stream, "blocks": lane.acked, "level": lane.level, "forked": lane.forked}
            lanes[lane.edge].append(stands)
        heard = self._heard
        return {
            "endpoint": self.endpoint,
            "waiting": len(self.waiting),
            "refused": self._refused.details(),
            "notes": [
                *self.clocks.notes(self._roster.peers),
                *(f"blocks of edges wait: {aside.why}" for _, aside in sorted(self._aside.items())),
            ],
            "edges": [
                {
                    "id": edge,
                    "heard_s": round(now - heard[edge], 3) if edge in heard else None,
                    "silent_s": round(now - heard.get(edge, self._unheard.get(edge, self._since)), 3),
                    "key": self._key(edge),
                    "clock": self.clocks.details(edge),
                    "lanes": found,
                }
                for edge, found in lanes.items()
            ],
        }

    def _key(self, edge: str) -> str | None:
        """Which key an edge has shown last, where two are accepted."""
        shown = None if self._guard is None else self._guard.shown.get(edge)
        peer = self._roster.peers[edge]
        if shown is None or peer.next_key is None:
            return None
        return "next_key" if shown == parse_public(peer.next_key) else "key"

    async def open(self, resume: bytes | None) -> None:
        """Listen, and prove that strangers are refused before anything is read.

        Raises:
            AdapterError: a key is unusable, or the marks of the edges are unreadable.
            Unprotected: a stranger was let in, or nobody refused him.
            Disconnected: the address is in use.
        """
        self.core = self._link(resume)
        self._opening = tuple(self.core.unsealed())
        for edge, lanes_gone in self.core.gone.items():
            _log.info("edge_set_aside", edge=edge, streams=lanes_gone, why="it is not among `edges` any more")
        keys = load_secret(self._key_path)
        self._zmq = zmq.asyncio.Context()
        guard = self._guard = Guard(
            self._zmq, self._roster, self.counters, rate=self._config.connects, refused=self._refused
        )
        guard.quiet = True
        guard.bind()
        self._start(guard.serve())
        self._start(guard.admit())
        socket = self._socket = self._listener(keys)
        try:
            socket.bind(self._config.listen)
        except zmq.ZMQError as error:
            raise Disconnected(f"cannot listen on {self._config.listen}: {error}", sent=False) from error
        self.endpoint = socket.getsockopt_string(zmq.LAST_ENDPOINT)
        here = self.endpoint.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
        await require_refusal(here, keys.public)
        guard.quiet = False
        self._since = time.monotonic()
        self._wire = Wire(socket, self._take, self._failed)
        _log.info("edge_link_listens", endpoint=self.endpoint, edges=len(self._roster.peers))

    def follow(self, config: ZeroMqSourceConfig) -> bool:
        """Take other `edges`, keys of theirs, or sources that they may send; nothing else.

        Edges that stay as they are notice nothing. One whose key is not known any more is heard no more: it
        is told so at its next frame, and refused when it connects again.
        """
        same = msgspec.structs.replace(config, edges=self._config.edges) == self._config
        if self._failure is not None or not same:
            return False
        before = self._roster.peers
        self._config = config
        self._roster.follow(config.edges)
        self.core.follow(self._roster.peers)
        changed = [edge.id for edge in config.edges if before.get(edge.id, edge) != edge]
        shown = {} if self._guard is None else self._guard.shown
        for edge in [edge for edge, key in shown.items() if self._roster.owner(key) != edge]:
            # Whoever was heard by that key has yet to be heard by another one.
            del shown[edge]
            self._heard.pop(edge, None)
            self._unheard[edge] = time.monotonic()
        _log.info(
            "edges_changed",
            added=sorted(self._roster.peers.keys() - before.keys()),
            removed=sorted(before.keys() - self._roster.peers.keys()),
            changed=changed,
        )
        return True

    async def read(self) -> Intake:
        """Wait for blocks; return those of one stream that are waiting, of all edges in turn, up to a limit.

        The first intake, and one after a fork, may hold no message but only what is to be kept of the edges.

        Raises:
            AdapterError: the listener had to be closed.
        """
        if self._opening:
            opening, self._opening = self._opening, ()
            return Intake(position=self.core.position(), token=_Token(opening), ack=self._ack)
        while (
            not (ready := self.waiting.streams() - (aside := self._without_room())) and not self.core.changed
        ):
            if self._failure is not None:
                raise self._failure
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._aside_s()):
                    await self._arrived.wait()
        taken: list[Block] = []
        if ready:
            taken = self.waiting.take(
                events_max=_INTAKE_EVENTS_MAX,
                bytes_max=_INTAKE_BYTES_MAX,
                without=aside,
                less=self._less,
            )
        self._taken = taken
        metas: list[dict[str, str]] = []
        for block in taken:
            self.core.note(block)
            metas.extend([{"edge.id": block.edge}] * len(block))
        names = tuple((block.edge, block.stream, block.epoch, block.number) for block in taken)
        one = len({name[0] for name in names}) == 1
        return Intake(
            messages=Blocks([self._checked(block) for block in taken]),
            meta={"edge.id": names[0][0]} if one else {},
            metas=None if one else metas,
            position=self.core.position(),
            token=_Token(names),
            ack=self._ack,
        )

    async def ack(self, intake: Intake, receipt: Receipt) -> None:
        """Acknowledge the intake's blocks to their edges, at the level of the receipt."""
        assert isinstance(intake.token, _Token), "an intake of another source"
        replies: dict[tuple[str, str], bytes] = {}
        for edge, stream, epoch, number in intake.token.blocks:
            self._aside.pop(stream, None)
            reply = self.core.acknowledge(edge, stream, epoch, number, receipt.level)
            if reply is not None:
                replies[edge, stream] = reply  # Cumulative: the last one says it all.
        for name, reply in replies.items():
            if name in self._routes:
                self._send(self._routes[name], reply)

    async def refuse(self, intake: Intake, full: Full | TooLarge) -> None:
        """Leave a stream aside for which there is no room, and go on with the others.

        A stream that can never take so much at once gets half of it from now on. If that was one block, it
        waits until the stream is made larger; the notes say so.
        """
        assert isinstance(intake.token, _Token), "an intake of another source"
        stream = intake.token.blocks[0][1]
        taken, self._taken = self._taken, []
        self.core.take_back(taken)
        self.waiting.put_back(taken)
        if isinstance(full, TooLarge) and len(taken) > 1:
            self._less[stream] = sum(block.size for block in taken) // 2
            _log.info("intake_cut", stream=stream, bytes_max=self._less[stream], reason=str(full))
            return
        before = self._aside.get(stream)
        for_s = _ASIDE_S if before is None else min(2 * before.for_s, _ASIDE_MAX_S)
        self._aside[stream] = _Aside(time.monotonic() + for_s, for_s, str(full))

    def _without_room(self) -> set[str]:
        """The streams that are left aside now."""
        now = time.monotonic()
        return {stream for stream, aside in self._aside.items() if aside.until > now}

    def _aside_s(self) -> float | None:
        """How long until a stream that is left aside has its next turn; `None` if there is none."""
        ends = [aside.until for stream, aside in self._aside.items() if stream in self.waiting.streams()]
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    async def close(self) -> None:
        """Stop listening; acknowledgements that were given get half a second to leave."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._hang_up(_LINGER_MS)
        if self._guard is not None:
            self._guard.close()
            self._guard = None
        context, self._zmq = self._zmq, None
        if context is not None:
            # Waits for what lingers, so not on the event loop.
            await asyncio.to_thread(context.term)

    def _link(self, position: bytes | None) -> CoreLink:
        config = self._config
        return CoreLink(
            credit_blocks=config.credit_blocks,
            credit_bytes=config.credit_size,
            credit_total=config.credit_total,
            block_max=self._block_max,
            position=position,
            clocks=self.clocks,
            edges=self._roster.peers,
        )

    def _listener(self, keys: KeyPair) -> zmq.Socket[bytes]:
        assert self._zmq is not None, "called by open"
        socket: zmq.Socket[bytes] = zmq.Socket(self._zmq, zmq.ROUTER)
        tune(socket, message_max=self._block_max, linger_ms=_LINGER_MS)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
        # Without this libzmq accepts every key when no handler answers.
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        socket.curve_publickey, socket.curve_secretkey = keys
        socket.curve_server = True
        return socket

    def _take(self, frames: list[zmq.Frame]) -> None:
        key, edge = shown_by(frames[-1])
        if len(frames) != 2 or not edge:
            self.counters["bad_frames"] += 1
            return
        if self._roster.owner(key) != edge:
            # libzmq cannot end one connection. Nothing that comes over it counts; an edge hangs up itself.
            before = {"revoked": self.counters["revoked"]}
            self._send(frames[0].bytes, self.core.revoked())
            self._alarm(edge, before)
            return
        self._heard[edge] = time.monotonic()
        route = frames[0].bytes
        if route not in (known := self._connections.setdefault(edge, deque(maxlen=_CONNECTIONS_MAX))):
            known.append(route)
            self.core.connected(edge)
        before = {name: self.counters[name] for name in _ALARMS}
        replies, block = self.core.receive(edge, frames[1].bytes)
        self._alarm(edge, before)
        if block is not None:
            self._routes[edge, block.stream] = route
            self.waiting.put(block)
        if block is not None or self.core.changed:
            self._arrived.set()
        for reply in replies:
            self._send(route, reply)

    def _checked(self, block: Block) -> Block:
        """The block; what its edge may not send becomes something that the engine will reject and keep."""
        # Of what is no JSON object the engine says better what is wrong with it.
        allowed, edge = self._roster.may_send, block.edge
        foreign = [one for one in block.sources if one is not None and not allowed(edge, one)]
        if not foreign:
            return block
        who = excerpt(block.edge)
        said = {one: f"edge {who} may not send events of source {excerpt(one)}\n".encode() for one in foreign}
        block, count = block.spoiled(said)
        self.counters["foreign_sources"] += count
        return block

    def _alarm(self, edge: str, before: dict[str, int]) -> None:
        for name, count in before.items():
            now = self.counters[name]
            # The first one and then each power of two: an attacker cannot fill the disk.
            if now > count and now & (now - 1) == 0:
                level = _log.error if name == "forks" else _log.warning
                level("edge_link_alarm", what=name, edge=edge, total=now)

    def _send(self, route: bytes, frame: bytes) -> None:
        # Never waits: an answer that cannot leave now is asked for again by the next hello.
        if self._wire is not None and not self._wire.send((route, frame)):
            self.counters["unsent_answers"] += 1

    def _start(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(job)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self._failed(task.exception())

    def _failed(self, error: BaseException | None) -> None:
        """Fail closed: without the guard or the reader nobody is listened to."""
        if self._failure is not None:
            return
        self._failure = AdapterError(f"the edge link failed: {error}")
        _log.error("edge_link_failed", reason=str(error))
        self._hang_up(0)
        self._arrived.set()

    def _hang_up(self, linger_ms: int) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None
        if self._socket is not None:
            self._socket.close(linger_ms)
            self._socket = None
