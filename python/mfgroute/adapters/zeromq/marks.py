"""What the core keeps of each lane over its own restarts and those of the edge."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from mfgroute.adapters.zeromq.frames import EMPTY_HASH, HORIZON, LEVELS, Block
from mfgroute.errors import AdapterError

__all__ = ["CoreLane", "Known", "known", "load", "runs", "save", "shorts"]

_FORMAT = 2
_HASHES_MAX = 1024
_RETIRED_MAX = 16


class Known(msgspec.Struct, frozen=True, array_like=True):
    """A block that was taken.

    Attributes:
        hash: of its frame.
        runs: its offsets, as first and count of each run, in the order of the block.
        marks: two bytes for each event, by which it is recognised.
    """

    hash: bytes
    runs: list[int]
    marks: bytes


class _Saved(msgspec.Struct, array_like=True):
    """A lane as it is stored."""

    edge: str
    stream: str
    epoch: int
    session: int
    number: int
    hash: bytes
    told: int
    level: str
    forked: bool
    retired: list[int]
    recent: list[tuple[int, Known]]
    old_runs: list[int]
    old_marks: bytes


class CoreLane:
    """The core's side of one stream of one edge.

    Attributes:
        epoch: under which its blocks are numbered.
        session: the life of the edge's sink that speaks now; 0 while nobody has spoken.
        expected: number of the next block.
        acked: all blocks up to here have their receipts.
        told: the edge will not ask about blocks up to here again.
        forked: it takes nothing until its edge begins a new epoch.
        fleeting: blocks up to here came before a restart, in a stream that is acknowledged in memory.
        old: of each event that came from earlier sessions and may come again, by offset, its mark and the
            number of its block; 0 if the block is durable.
    """

    def __init__(self, edge: str, stream: str, epoch: int, acked: int) -> None:
        self.edge = edge
        self.stream = stream
        self.epoch = epoch
        self.session = 0
        self.expected = acked + 1
        self.acked = acked
        self.told = acked
        self.level = LEVELS[0]
        self.forked = False
        self.fleeting = 0
        self.hashes: OrderedDict[int, bytes] = OrderedDict()
        self.pending: dict[int, int] = {}
        self.done: dict[int, str] = {}
        self.gap_told = 0
        self.retired: deque[int] = deque(maxlen=_RETIRED_MAX)
        self.old: dict[int, tuple[int, int]] = {}
        self._recent: OrderedDict[int, Known] = OrderedDict()
        self._high = -1
        self._old_high = -1

    def adopt(self, session: int) -> None:
        """Another life of the edge's sink speaks; what came from those before may come again."""
        self.session = session
        for number, known in self._recent.items():
            # What came twice is durable with the block that it came in first.
            self.old = _remembered(known.runs, known.marks, number) | self.old
        self._old_high = max(self.old, default=-1)

    def take(self, number: int, known: Known) -> None:
        """The next block came."""
        self.expected = number + 1
        self._recent[number] = known
        self.hashes[number] = known.hash
        if len(self.hashes) > _HASHES_MAX:
            self.hashes.popitem(last=False)
        starts, counts = known.runs[::2], known.runs[1::2]
        self._high = max(
            self._high, *(start + count - 1 for start, count in zip(starts, counts, strict=True))
        )
        if self.old and self._high - self._old_high > HORIZON:
            self.old.clear()

    def hear(self, settled: int) -> None:
        """The edge has durably taken note of the acknowledgement of block `settled`."""
        self.told = max(self.told, settled)
        while self._recent and next(iter(self._recent)) <= self.told:
            self._recent.popitem(last=False)

    def saved(self, number: int) -> bytes:
        """What to keep when everything up to block `number` is."""
        old = sorted(offset for offset, (_, block) in self.old.items() if block <= number)
        marks = _bytes(self.old[offset][0] for offset in old)
        recent = [(one, known) for one, known in self._recent.items() if one <= number]
        return _ENCODER.encode(
            _Saved(
                self.edge, self.stream, self.epoch, self.session,
                number, self.hashes.get(number, EMPTY_HASH),
                min(self.told, number), self.level, self.forked,
                list(self.retired), recent, runs(old), marks,
            )
        )  # fmt: skip

    def came(self, block: Block) -> list[tuple[int, int] | None]:
        """Of each event what is remembered of its place; nothing if none can have come before."""
        offsets = block.offsets
        if not self.old or min(offsets) > self._old_high:
            return []
        return [self.old.get(offset) for offset in offsets]

    @classmethod
    def restored(cls, saved: _Saved) -> CoreLane:
        """The lane that was saved. Its blocks beyond `told` are acknowledged once they are sealed again."""
        lane = cls(saved.edge, saved.stream, saved.epoch, saved.told)
        lane.level, lane.forked = saved.level, saved.forked
        lane.retired.extend(saved.retired)
        lane.session = saved.session
        lane.old.update(_remembered(saved.old_runs, saved.old_marks, 0))
        lane._old_high = max(lane.old, default=-1)
        for number, known in saved.recent:
            lane.take(number, known)
        lane.expected = saved.number + 1
        if saved.hash != EMPTY_HASH:
            lane.hashes[saved.number] = saved.hash
        if saved.level == LEVELS[0]:
            # Or it was not acknowledged yet; then this says less than what is true.
            lane.fleeting = saved.number
        for number in range(lane.acked + 1, lane.expected):
            lane.pending[number] = 0
        return lane


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(tuple[int, list[_Saved]])


def save(lanes: Iterable[bytes]) -> bytes:
    """The position of a source with these lanes."""
    return _ENCODER.encode((_FORMAT, [msgspec.Raw(lane) for lane in lanes]))


def load(position: bytes) -> list[CoreLane]:
    """The lanes of a position.

    Raises:
        AdapterError: it is none of ours.
    """
    try:
        version, saved = _DECODER.decode(position)
    except msgspec.DecodeError as error:
        raise AdapterError(f"the marks of the edges cannot be read: {error}") from None
    if version != _FORMAT:
        raise AdapterError(f"the marks of the edges have format {version}, this version reads {_FORMAT}")
    return [CoreLane.restored(one) for one in saved]


def known(block: Block) -> Known:
    """A block as it is remembered."""
    return Known(block.hash, block.runs, block.marks)


def runs(offsets: Iterable[int]) -> list[int]:
    """First and count of each run of consecutive numbers, in their order."""
    found: list[int] = []
    for offset in offsets:
        if found and offset == found[-2] + found[-1]:
            found[-1] += 1
        else:
            found += (offset, 1)
    return found


def _remembered(pairs: Sequence[int], marks: bytes, number: int) -> dict[int, tuple[int, int]]:
    return {offset: (mark, number) for offset, mark in zip(_spread(pairs), shorts(marks), strict=True)}


def _spread(pairs: Sequence[int]) -> Iterator[int]:
    for start, count in zip(pairs[::2], pairs[1::2], strict=True):
        yield from range(start, start + count)


def _bytes(marks: Iterable[Any]) -> bytes:
    return b"".join(mark.to_bytes(2, "big") for mark in marks)


def shorts(data: bytes) -> Iterator[int]:
    """The marks of a block, as numbers."""
    for at in range(0, len(data), 2):
        yield data[at] << 8 | data[at + 1]
