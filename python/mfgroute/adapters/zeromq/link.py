"""The two state machines of the edge link, without input, output or clock (docs/design/edge-link.md)."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from typing import NamedTuple

from mfgroute.adapters.zeromq.frames import (
    EMPTY_HASH,
    ERROR_CREDIT,
    ERROR_FORK,
    ERROR_LANES,
    ERROR_NO_HELLO,
    ERROR_NOT_YOU,
    ERROR_VERSION,
    LEVELS,
    Ack,
    BadFrame,
    Block,
    Error,
    Hello,
    OtherVersion,
    Ping,
    Pong,
    Welcome,
    block_size,
    decode,
    encode,
    frame_hash,
)

__all__ = ["CoreLink", "EdgeLane", "LinkError", "Received"]

_HASHES_MAX = 1024
_RETIRED_MAX = 16
_LANES_MAX = 4


class LinkError(Exception):
    """The link cannot go on, and sending again will not mend it.

    Attributes:
        code: one of the error codes of the format.
    """

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        super().__init__(text)


class EdgeLane:
    """The edge's side of one stream under one epoch."""

    def __init__(self, edge: str, stream: str, epoch: int) -> None:
        self.edge = edge
        self.stream = stream
        self.epoch = epoch
        self.acked = 0
        self.level = LEVELS[0]
        self.block_max = 0
        self._acked_hash = EMPTY_HASH
        self._last = 0
        self._last_hash = EMPTY_HASH
        self._limit = 0
        self._bytes_max = 0
        self._unacked: OrderedDict[int, bytes] = OrderedDict()
        self._unacked_bytes = 0
        self._quiet_since: float | None = None
        self._hello_due = False

    @property
    def welcomed(self) -> bool:
        """Whether the core has answered; no block may be made before."""
        return self.block_max > 0

    def hello(self) -> bytes:
        """The frame that says where we stand."""
        self._hello_due = False
        return encode(
            Hello(
                stream=self.stream, epoch=self.epoch, edge=self.edge,
                acked=self.acked, acked_hash=self._acked_hash, last=self._last, last_hash=self._last_hash,
            )
        )  # fmt: skip

    def size(self, events: Sequence[bytes]) -> int:
        """Bytes that these events take as one block."""
        return block_size(self.stream, self.edge, [len(event) for event in events])

    def room(self, size: int) -> bool:
        """Whether there is credit for a block of `size` bytes."""
        if not self.welcomed or self._last >= self._limit:
            return False
        return not self._unacked or self._unacked_bytes + size <= self._bytes_max

    def add(self, offsets: Sequence[int], events: Sequence[bytes]) -> tuple[int, bytes]:
        """Make the next block; there is `room` for it. Returns its number and the frame to send."""
        assert self._last < self._limit, "no credit"
        number = self._last + 1
        block = Block(
            stream=self.stream, epoch=self.epoch, edge=self.edge,
            number=number, offsets=tuple(offsets), events=tuple(events),
        )  # fmt: skip
        frame = encode(block)
        self._last, self._last_hash = number, frame_hash(frame)
        self._unacked[number] = frame
        self._unacked_bytes += len(frame)
        return number, frame

    def receive(self, frame: Welcome | Ack | Error) -> list[bytes]:
        """Take a frame of the core for this stream; returns frames to send. Then look at `acked`.

        Raises:
            LinkError: a fork, or the core refuses us.
        """
        if frame.epoch != self.epoch:
            return []  # Said to an earlier life of this sink.
        match frame:
            case Welcome():
                return self._on_welcome(frame)
            case Ack():
                self._on_ack(frame)
                return []
            case Error(code=code) if code == ERROR_NO_HELLO:
                return [self.hello()]
            case Error():
                raise LinkError(frame.code, frame.text)

    def tick(self, now: float, *, quiet_max_s: float, wanting: bool) -> list[bytes]:
        """Say hello again if something waits and nothing moved for `quiet_max_s`. `now` is monotonic."""
        if not (self._unacked or wanting):
            self._quiet_since = None
            return []
        if self._quiet_since is None:
            self._quiet_since = now
        if not self._hello_due and now - self._quiet_since < quiet_max_s:
            return []
        self._quiet_since = now
        return [self.hello()]

    def _on_welcome(self, welcome: Welcome) -> list[bytes]:
        if welcome.expected > self._last + 1:
            text = f"the core expects block {welcome.expected}, we made {self._last}: this edge was put back"
            raise LinkError(ERROR_FORK, text)
        self._grant(welcome.limit, welcome.bytes_max)
        self.block_max = welcome.block_max
        if welcome.expected <= self.acked:
            self._hello_due = True
            return []
        return [frame for number, frame in self._unacked.items() if number >= welcome.expected]

    def _on_ack(self, ack: Ack) -> None:
        if ack.acked > self._last:
            text = f"the core acknowledges block {ack.acked}, we made {self._last}: this edge was put back"
            raise LinkError(ERROR_FORK, text)
        self._grant(ack.limit, ack.bytes_max)
        if ack.acked > self.acked:
            self._acked_hash = frame_hash(self._unacked[ack.acked])
            for number in range(self.acked + 1, ack.acked + 1):
                self._unacked_bytes -= len(self._unacked.pop(number))
            self.acked, self.level = ack.acked, ack.level
            self._quiet_since = None

    def _grant(self, limit: int, bytes_max: int) -> None:
        self._limit, self._bytes_max = limit, bytes_max


class Received(NamedTuple):
    """What a frame means to the core.

    Attributes:
        replies: frames for the sender.
        block: the next block of its lane, to be admitted and then acknowledged.
    """

    replies: list[bytes]
    block: Block | None = None


class _CoreLane:
    """The core's side of one stream of one edge."""

    def __init__(self, epoch: int, acked: int) -> None:
        self.epoch = epoch
        self.expected = acked + 1
        self.acked = acked
        self.taken = False  # Whether a block was taken in this life of the core.
        self.forked = False
        self.hashes: OrderedDict[int, bytes] = OrderedDict()
        self.pending: dict[int, int] = {}
        self.done: dict[int, str] = {}
        self.gap_told = 0
        self.retired: deque[int] = deque(maxlen=_RETIRED_MAX)


class CoreLink:
    """The core's side for all edges. `counts` says what happened: nothing is silent."""

    def __init__(self, *, credit_blocks: int, credit_bytes: int, block_max: int) -> None:
        self._credit_blocks = credit_blocks
        self._credit_bytes = credit_bytes
        self._block_max = block_max
        self._lanes: dict[tuple[str, str], _CoreLane] = {}
        self.counts: Counter[str] = Counter()

    def receive(self, edge: str, data: bytes) -> Received:  # noqa: PLR0911 - one per kind
        """Take a frame from the edge whose key was shown. Anything may come; nothing is raised."""
        try:
            frame = decode(data)
        except OtherVersion as error:
            self.counts["other_version"] += 1
            return Received([encode(Error(stream="?", epoch=0, code=ERROR_VERSION, text=str(error)))])
        except BadFrame:
            self.counts["bad_frames"] += 1
            return Received([])
        match frame:
            case Ping():
                return Received([encode(Pong(frame.nonce))])
            case Hello() | Block() if frame.edge != edge:
                text = f"the key belongs to {edge}, the frame to {frame.edge}"
                return self._refuse(frame, ERROR_NOT_YOU, text)
            case Hello():
                return self._on_hello(frame)
            case Block():
                return self._on_block(frame, data)
        self.counts["bad_frames"] += 1
        return Received([])

    def acknowledge(self, edge: str, stream: str, epoch: int, number: int, level: str) -> bytes | None:
        """A block has its receipt at `level`; returns an acknowledgement to send when the mark moves."""
        lane = self._lanes.get((edge, stream))
        if lane is None or lane.epoch != epoch or number not in lane.pending:
            return None  # The edge started anew meanwhile and will send again.
        del lane.pending[number]
        lane.done[number] = level
        lowest = len(LEVELS) - 1
        before = lane.acked
        while lane.acked + 1 in lane.done:
            lane.acked += 1
            lowest = min(lowest, LEVELS.index(lane.done.pop(lane.acked)))
        return self._ack(stream, lane, LEVELS[lowest]) if lane.acked > before else None

    def _on_hello(self, hello: Hello) -> Received:
        name = (hello.edge, hello.stream)
        lane = self._lanes.get(name)
        if lane is None:
            if sum(edge == hello.edge for edge, _ in self._lanes) >= _LANES_MAX:
                return self._refuse(hello, ERROR_LANES, f"more than {_LANES_MAX} streams")
            lane = self._lanes[name] = _CoreLane(hello.epoch, hello.acked)
        elif lane.epoch != hello.epoch:
            if hello.epoch in lane.retired:
                return self._refuse(hello, ERROR_FORK, "an epoch that was given up came back")
            self.counts["epochs"] += 1
            retired = lane.retired
            retired.append(lane.epoch)
            lane = self._lanes[name] = _CoreLane(hello.epoch, hello.acked)
            lane.retired = retired
        else:
            self._compare(lane, hello)
        if lane.forked:
            return self._refuse(hello, ERROR_FORK, "the lane has forked; restart the edge after a look")
        replies = [self._welcome(hello.stream, lane)]
        if lane.acked > hello.acked:
            replies.append(self._ack(hello.stream, lane, LEVELS[0]))
        return Received(replies)

    def _compare(self, lane: _CoreLane, hello: Hello) -> None:
        for number, mine in ((hello.acked, hello.acked_hash), (hello.last, hello.last_hash)):
            if lane.hashes.get(number, mine) != mine:
                lane.forked = True
        if hello.acked >= lane.expected:
            if lane.taken:
                lane.forked = True  # We are the ones who were put back.
            else:
                lane.expected, lane.acked = hello.acked + 1, hello.acked

    def _on_block(self, block: Block, data: bytes) -> Received:  # noqa: PLR0911 - one per rule
        lane = self._lanes.get((block.edge, block.stream))
        if lane is None or lane.epoch != block.epoch:
            return self._refuse(block, ERROR_NO_HELLO, "no hello for this epoch")
        if block.number < lane.expected and lane.hashes.get(block.number, b"") not in (b"", frame_hash(data)):
            lane.forked = True
        if lane.forked:
            return self._refuse(block, ERROR_FORK, f"block {block.number} is not the one we know")
        if block.number < lane.expected:
            self.counts["repeated_blocks"] += 1
            return Received([self._ack(block.stream, lane, LEVELS[0])])
        if block.number > lane.expected:
            self.counts["gaps"] += 1
            if lane.gap_told == lane.expected:
                return Received([])
            lane.gap_told = lane.expected
            return Received([self._welcome(block.stream, lane)])
        held = sum(lane.pending.values())
        beyond = bool(held) and held + len(data) > self._credit_bytes
        if len(data) > self._block_max:
            return self._refuse(
                block, ERROR_CREDIT, f"a block of {len(data)} bytes, at most {self._block_max}"
            )
        if block.number > lane.acked + self._credit_blocks or beyond:
            # An honest edge does this when we restarted and grant less than before; it says hello later.
            self.counts["beyond_credit"] += 1
            return Received([])
        lane.taken = True
        lane.expected += 1
        lane.pending[block.number] = len(data)
        lane.hashes[block.number] = frame_hash(data)
        if len(lane.hashes) > _HASHES_MAX:
            lane.hashes.popitem(last=False)
        self.counts["blocks"] += 1
        return Received([], block)

    def _welcome(self, stream: str, lane: _CoreLane) -> bytes:
        return encode(
            Welcome(
                stream=stream, epoch=lane.epoch, expected=lane.expected,
                limit=lane.acked + self._credit_blocks,
                bytes_max=self._credit_bytes, block_max=self._block_max,
            )
        )  # fmt: skip

    def _ack(self, stream: str, lane: _CoreLane, level: str) -> bytes:
        return encode(
            Ack(
                stream=stream, epoch=lane.epoch, acked=lane.acked, level=level,
                limit=lane.acked + self._credit_blocks, bytes_max=self._credit_bytes,
            )
        )  # fmt: skip

    def _refuse(self, frame: Hello | Block, code: int, text: str) -> Received:
        self.counts[_COUNTED[code]] += 1
        return Received([encode(Error(stream=frame.stream, epoch=frame.epoch, code=code, text=text))])


_COUNTED = {
    ERROR_FORK: "forks",
    ERROR_NO_HELLO: "without_hello",
    ERROR_NOT_YOU: "wrong_edge",
    ERROR_CREDIT: "too_large",
    ERROR_LANES: "too_many_lanes",
}
