"""The edge's side of the link as a state machine, without input, output or clock."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mfgroute.adapters.zeromq.frames import (
    EMPTY_HASH,
    ERROR_FORK,
    ERROR_NO_HELLO,
    HORIZON,
    LEVELS,
    Ack,
    Block,
    Error,
    Hello,
    Welcome,
    block_size,
    encode,
)

__all__ = ["EdgeLane", "LaneLost", "LinkError", "Point"]


class LinkError(Exception):
    """The link cannot go on, and sending again will not mend it.

    Attributes:
        code: one of the error codes of the format.
    """

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        super().__init__(text)


class LaneLost(Exception):  # noqa: N818 - says what happened
    """The core does not have what an earlier life sent: begin anew with what the log still holds."""


class Point(NamedTuple):
    """A place in a lane: a block that was acknowledged, and all before it.

    Attributes:
        number: of the block; 0 before the first.
        hash: of its frame.
        level: at which it was acknowledged.
    """

    number: int = 0
    hash: bytes = EMPTY_HASH
    level: str = LEVELS[0]


class EdgeLane:
    """The edge's side of one stream in one life of its sink.

    Args:
        edge: name of the edge.
        stream: name of the stream.
        epoch: of the edge's data folder, or of this life if the stream is in memory.
        session: of this life.
        settled: what the edge had durably taken note of.
    """

    def __init__(
        self, edge: str, stream: str, epoch: int, *, session: int = 1, settled: Point | None = None
    ) -> None:
        self.edge = edge
        self.stream = stream
        self.epoch = epoch
        self.session = session
        self.settled = settled or Point()
        self.acked = self.settled
        self.block_max = 0
        self._base = self.settled.number
        self._last = self.settled.number
        self._last_hash = self.settled.hash
        self._limit = 0
        self._bytes_max = 0
        self._unacked: OrderedDict[int, tuple[bytes, bytes]] = OrderedDict()
        self._unacked_bytes = 0
        #: In which block an event is of which the log does not know that it is done, by offset.
        self._places: dict[int, int] = {}
        #: Of each block how many such events it has, and the highest offset.
        self._open: dict[int, tuple[int, int]] = {}
        #: Of each block that has none the number of the last answer to the log.
        self._answered: dict[int, int] = {}
        self._points: dict[int, Point] = {}
        self._high = -1
        self._quiet_since: float | None = None
        self._hello_due = False

    @property
    def welcomed(self) -> bool:
        """Whether the core has answered; no block may be made before."""
        return self.block_max > 0

    @property
    def flying(self) -> int:
        """Bytes of the frames that are sent and not acknowledged."""
        return self._unacked_bytes

    def hello(self) -> bytes:
        """The frame that says where we stand."""
        self._hello_due = False
        number, known, level = self.settled
        return encode(
            Hello(
                stream=self.stream, epoch=self.epoch, edge=self.edge, session=self.session,
                settled=number, settled_hash=known, level=max(level, self.acked.level, key=LEVELS.index),
                acked=self.acked.number, acked_hash=self.acked.hash,
                last=self._last, last_hash=self._last_hash,
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
            stream=self.stream, epoch=self.epoch, edge=self.edge, session=self.session,
            settled=self.settled.number,
            number=number, before=self._last_hash, offsets=offsets, events=events,
        )  # fmt: skip
        frame = block.frame
        self._last, self._last_hash = number, block.hash
        self._places.update(dict.fromkeys(offsets, number))
        self._open[number] = (len(offsets), max(offsets))
        self._high = max(self._high, *offsets)
        self._unacked[number] = (frame, self._last_hash)
        self._unacked_bytes += len(frame)
        return number, frame

    def receive(self, frame: Welcome | Ack | Error) -> list[bytes]:
        """Take a frame of the core for this stream; returns frames to send. Then look at `acked`.

        Raises:
            LinkError: a fork, or the core refuses us.
            LaneLost: the core lost what was not acknowledged of an earlier life.
        """
        if frame.epoch != self.epoch:
            return []  # Said to an earlier life of this sink.
        if not isinstance(frame, Error) and frame.session != self.session:
            return []  # As above; or to another node that speaks as this edge.
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

    def where(self, offset: int) -> int | None:
        """The block in which this life has sent an event that the log still holds for not done."""
        return self._places.get(offset)

    def answered(self, offsets: Iterable[int], answer: int) -> None:
        """The log is told now that these events are done; `answer` counts what it is told."""
        numbers = Counter(self._places.pop(offset, 0) for offset in offsets)
        del numbers[0]
        for number, count in numbers.items():
            left, high = self._open.pop(number)
            if left > count:
                self._open[number] = (left - count, high)
            else:
                self._answered[number] = answer

    def checkpoint(self, noted: int) -> Point | None:
        """How far everything is acknowledged and durably noted by the log, if that is news.

        It is to be made durable, and then the core may forget. If it forgot something that the log does not
        know, a crash would make the log hand it out again and the core take it for new.

        Args:
            noted: the last `answer` that is durable in the log.
        """
        news = None
        number = max(self.settled.number, self._base) + 1
        while number in self._points and self._is_noted(number, noted):
            news = self._points[number]
            number += 1
        return news

    def _is_noted(self, number: int, noted: int) -> bool:
        if number in self._open:
            # Somebody has set it aside. The core does not watch for it any more either.
            return self._high - self._open[number][1] > HORIZON
        return self._answered[number] <= noted

    def settle(self, point: Point) -> None:
        """A point of `checkpoint` is durable; the core may forget what it remembers up to there."""
        for number in range(max(self.settled.number, self._base) + 1, point.number + 1):
            self._points.pop(number, None)
            self._answered.pop(number, None)
        self.settled = max(self.settled, point)

    def _on_welcome(self, welcome: Welcome) -> list[bytes]:
        expected = welcome.expected
        if not self.welcomed:
            if expected <= self.settled.number:
                self._hello_due = True
                return []
            # What the core has beyond that came from an earlier life; it recognises the events.
            self._base = self._last = expected - 1
            self._last_hash = welcome.before
        elif expected > self._last + 1:
            text = f"the core expects block {expected}, we made {self._last}: another node speaks as us"
            raise LinkError(ERROR_FORK, text)
        self._grant(welcome.limit, welcome.bytes_max)
        self.block_max = welcome.block_max
        if expected <= self.acked.number:
            self._hello_due = True
            return []
        if expected <= self._base:
            raise LaneLost(f"the core has no block {expected} of an earlier life")
        before = self._unacked.get(expected - 1)
        if before is not None and welcome.before not in (EMPTY_HASH, before[1]):
            raise LaneLost(f"the core has another block {expected - 1}")
        return [frame for number, (frame, _) in self._unacked.items() if number >= expected]

    def _on_ack(self, ack: Ack) -> None:
        if not self.welcomed:
            return
        if ack.acked > self._last:
            text = f"the core acknowledges block {ack.acked}, we made {self._last}: another node speaks as us"
            raise LinkError(ERROR_FORK, text)
        self._grant(ack.limit, ack.bytes_max)
        first = max(self.acked.number, self._base) + 1
        if ack.acked < first:
            return
        _, known = self._unacked[ack.acked]
        if ack.hash != known:
            raise LaneLost(f"the core has another block {ack.acked}")
        for number in range(first, ack.acked + 1):
            frame, digest = self._unacked.pop(number)
            self._unacked_bytes -= len(frame)
            self._points[number] = Point(number, digest, ack.level)
        self.acked = Point(ack.acked, known, ack.level)
        self._quiet_since = None

    def _grant(self, limit: int, bytes_max: int) -> None:
        self._limit, self._bytes_max = limit, bytes_max
