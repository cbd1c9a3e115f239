"""The core's side of the link as a state machine, without input, output or clock."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from mfgroute.adapters.zeromq.clocks import Clocks
from mfgroute.adapters.zeromq.frames import (
    EMPTY_HASH,
    ERROR_CREDIT,
    ERROR_FORK,
    ERROR_LANES,
    ERROR_NO_HELLO,
    ERROR_NOT_YOU,
    ERROR_OTHER_LIFE,
    ERROR_REVOKED,
    ERROR_VERSION,
    LANES_MAX,
    LEVELS,
    Ack,
    BadFrame,
    Block,
    Clock,
    Error,
    Hello,
    OtherVersion,
    Ping,
    Pong,
    Welcome,
    decode,
    encode,
)
from mfgroute.adapters.zeromq.marks import CoreLane, known, load, save, shorts

__all__ = ["CoreLink", "Received"]

#: The format has 32 bits for a credit in bytes.
_BYTES_MAX = (1 << 32) - 1


class Received(NamedTuple):
    """What a frame means to the core.

    Attributes:
        replies: frames for the sender.
        block: the next block of its lane, to be admitted and then acknowledged; without the events that came
            before from an earlier life of the edge, and so perhaps without any.
    """

    replies: list[bytes]
    block: Block | None = None


class CoreLink:
    """The core's side for all edges. `counts` says what happened: nothing is silent.

    Args:
        credit_blocks: blocks that a lane may have sent without an answer.
        credit_bytes: bytes of those.
        credit_total: bytes that all lanes together may have sent without an answer: each has an equal share.
        block_max: bytes of the largest frame.
        position: what `position` gave when everything that was handed on then became durable.
        clocks: measures how far clocks of edges are off, if anybody wants to know.
        edges: those that may connect, all if not given. The marks of others are kept and have no share.
    """

    def __init__(
        self,
        *,
        credit_blocks: int,
        credit_bytes: int,
        block_max: int,
        credit_total: int = sys.maxsize,
        position: bytes | None = None,
        clocks: Clocks | None = None,
        edges: Collection[str] | None = None,
    ) -> None:
        self._clocks = clocks
        self._credit_blocks = credit_blocks
        self._credit_bytes = credit_bytes
        self._credit_total = credit_total
        #: Bytes of all lanes that wait for a receipt.
        self._held = 0
        self._block_max = block_max
        self._lanes: dict[tuple[str, str], CoreLane] = {}
        self._saved: dict[tuple[str, str], bytes] = {}
        self._noted: dict[tuple[str, str], int] = {}
        #: Lanes of which `_saved` does not say what was noted last.
        self._stale: set[tuple[str, str]] = set()
        self.counts: Counter[str] = Counter()
        #: Whether something happened that must be kept although no block came.
        self.changed = False
        for lane in [] if position is None else load(position):
            self._lanes[lane.edge, lane.stream] = lane
            self._noted[lane.edge, lane.stream] = lane.expected - 1
            self._save(lane)
        #: Lanes that were spoken for over the newest connection of their edge.
        self._spoken: set[tuple[str, str]] = set()
        #: Of edges that have connected since this core listens those that were not: a stream that is called
        #: otherwise now, or of which nothing came yet. They have been granted nothing.
        self._unspoken: set[tuple[str, str]] = set()
        #: Edges that may not connect any more, and how many lanes they had.
        self.gone: Counter[str] = Counter()
        self._gone_lanes = 0
        if edges is not None:
            self.follow(edges)

    def follow(self, edges: Collection[str]) -> None:
        """These edges may connect from now on. The marks of others are kept and have no share."""
        self.gone = Counter(edge for edge, _ in self._lanes if edge not in edges)
        self._gone_lanes = self.gone.total()
        self._unspoken = {name for name in self._unspoken if name[0] not in self.gone}

    def connected(self, edge: str) -> None:
        """An edge speaks over a new connection, and says hello for each of its streams first."""
        mine = {name for name in self._lanes if name[0] == edge}
        self._spoken -= mine
        self._unspoken |= mine

    def revoked(self) -> bytes:
        """The answer to a frame over a connection whose key is not known any more; the frame is nothing."""
        self.counts["revoked"] += 1
        return encode(Error(stream="?", epoch=0, code=ERROR_REVOKED, text="the key is not known any more"))

    @property
    def lanes(self) -> list[CoreLane]:
        """All lanes of edges that may connect."""
        return [lane for lane in self._lanes.values() if lane.edge not in self.gone]

    def unsealed(self) -> list[tuple[str, str, int, int]]:
        """Edge, stream, epoch and number of the blocks that wait for a receipt."""
        return [
            (edge, stream, lane.epoch, number)
            for (edge, stream), lane in self._lanes.items()
            for number in lane.pending
        ]

    def note(self, block: Block) -> None:
        """A block is about to be made durable, and all of its lane before it."""
        name = (block.edge, block.stream)
        lane = self._lanes.get(name)
        if lane is not None and lane.epoch == block.epoch:
            self._noted[name] = block.number
            self._stale.add(name)

    def take_back(self, blocks: Sequence[Block]) -> None:
        """These blocks were noted last and are not made durable: there was no room for them."""
        for block in reversed(blocks):
            name = (block.edge, block.stream)
            lane = self._lanes.get(name)
            if lane is not None and lane.epoch == block.epoch:
                self._noted[name] = block.number - 1
                self._stale.add(name)

    def position(self) -> bytes:
        """What to keep with the blocks that were noted."""
        stale = self._lanes.keys() if self.changed else self._stale
        for name in list(stale):
            self._save(self._lanes[name])
        self.changed = False
        return save(self._saved.values())

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
                asked = None if self._clocks is None else self._clocks.ask(edge)
                return Received([encode(one) for one in (Pong(frame.nonce), asked) if one is not None])
            case Clock():
                if self._clocks is not None:
                    self._clocks.take(edge, frame)
                return Received([])
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
        self._held -= lane.pending.pop(number)
        # With a mark comes a receipt for the mark, whatever became of events in memory.
        lane.done[number] = LEVELS[0] if number <= lane.fleeting else level
        lowest = len(LEVELS) - 1
        before = lane.acked
        while lane.acked + 1 in lane.done:
            lane.acked += 1
            lowest = min(lowest, LEVELS.index(lane.done.pop(lane.acked)))
        if lane.acked == before:
            return None
        if lane.level == LEVELS[0] != LEVELS[lowest]:
            # What was kept with the blocks was written before it was known that they are safe.
            self.changed = True
        lane.level = LEVELS[lowest]
        return self._ack(stream, lane)

    def _on_hello(self, hello: Hello) -> Received:
        lane = self._lanes.get((hello.edge, hello.stream))
        if lane is None or lane.epoch != hello.epoch:
            refused = self._begin(hello, lane)
        else:
            refused = self._compare(lane, hello)
        if refused is not None:
            return self._refuse(hello, *refused)
        lane = self._lanes[hello.edge, hello.stream]
        lane.hear(hello.settled)
        self._spoken.add((hello.edge, hello.stream))
        self._unspoken.discard((hello.edge, hello.stream))
        replies = [self._welcome(hello.stream, lane)]
        if lane.acked > hello.acked:
            replies.append(self._ack(hello.stream, lane))
        return Received(replies)

    def _begin(self, hello: Hello, before: CoreLane | None) -> tuple[int, str] | None:
        """Begin a lane that is new, or whose edge began a new epoch; or say why not."""
        if before is not None and hello.epoch in before.retired:
            return ERROR_FORK, "an epoch that was given up came back"
        if before is None and sum(edge == hello.edge for edge, _ in self._spoken) >= LANES_MAX:
            return ERROR_LANES, f"more than {LANES_MAX} streams"
        if hello.settled and hello.level != LEVELS[0]:
            return ERROR_FORK, (
                f"this core has nothing of {hello.settled} blocks that were acknowledged to this edge: "
                "it was put back, or is another one"
            )
        if before is not None:
            self._held -= sum(before.pending.values())
        name = (hello.edge, hello.stream)
        lane = self._lanes[name] = CoreLane(hello.edge, hello.stream, hello.epoch, hello.settled)
        if before is not None:
            self.counts["epochs"] += 1
            lane.retired.extend([*before.retired, before.epoch])
            self.changed = True
        lane.session = hello.session
        self._noted[name] = lane.expected - 1
        self._save(lane)
        return None

    def _compare(self, lane: CoreLane, hello: Hello) -> tuple[int, str] | None:
        """Find a fork in what both sides say of the same blocks; else listen to this session."""
        fresh = lane.session != hello.session
        if _life(hello.session) < _life(lane.session):
            return ERROR_OTHER_LIFE, "another life of this edge speaks since"
        points = (
            (hello.settled, hello.settled_hash),
            (hello.acked, hello.acked_hash),
            (hello.last, hello.last_hash),
        )
        other = any(mine not in (EMPTY_HASH, lane.hashes.get(number, mine)) for number, mine in points)
        # Of a session that goes on an older hello may come late, over a connection that has ended.
        if other or (fresh and (hello.settled < lane.told or _life(hello.session) == _life(lane.session))):
            self._fork(lane)
        if lane.forked:
            return ERROR_FORK, "this edge or its copy was put back to an older state; a person must look"
        lost = self._lost(lane, hello)
        if lost is None and fresh:
            lane.adopt(hello.session)
        return lost

    def _lost(self, lane: CoreLane, hello: Hello) -> tuple[int, str] | None:
        """Go on behind what a stream in memory has lost; of anything else that we lost we are the fork."""
        number = max(hello.settled, hello.acked)
        if number < lane.expected:
            return None
        if hello.level != LEVELS[0]:
            return ERROR_FORK, (
                f"this core has {lane.expected - 1} blocks, {number} were acknowledged: it was put back"
            )
        lane.expected, lane.acked = number + 1, number
        self._held -= sum(lane.pending.values())
        lane.pending.clear()
        lane.done.clear()
        return None

    def _on_block(self, block: Block, data: bytes) -> Received:  # noqa: PLR0911 - one per rule
        lane = self._lanes.get((block.edge, block.stream))
        if lane is None or lane.epoch != block.epoch:
            return self._refuse(block, ERROR_NO_HELLO, "no hello for this epoch")
        if lane.session != block.session:
            if _life(block.session) < _life(lane.session):
                return self._refuse(block, ERROR_OTHER_LIFE, "another life of this edge speaks since")
            return self._refuse(block, ERROR_NO_HELLO, "no hello of this session")
        digest = block.hash
        before = lane.hashes.get(block.number - 1, block.before)
        if lane.hashes.get(block.number, digest) != digest or EMPTY_HASH != block.before != before:
            self._fork(lane)
        if lane.forked:
            return self._refuse(block, ERROR_FORK, f"block {block.number} is not the one we know")
        if block.number != lane.expected:
            return self._out_of_turn(lane, block)
        if len(data) > self._block_max:
            text = f"a block of {len(data)} bytes, at most {self._block_max}"
            return self._refuse(block, ERROR_CREDIT, text)
        held = sum(lane.pending.values())
        full = held + len(data) > self._share() or self._held + len(data) > self._credit_total
        beyond = held > 0 and full
        if block.number > lane.acked + self._credit_blocks or beyond:
            # An honest edge does this when it does not know yet that we grant less; it says hello later.
            self.counts["beyond_credit"] += 1
            return Received([])
        return self._take(lane, block, len(data))

    def _out_of_turn(self, lane: CoreLane, block: Block) -> Received:
        """A block that came before, or one behind a gap."""
        if block.number < lane.expected:
            self.counts["repeated_blocks"] += 1
            return Received([self._ack(block.stream, lane)])
        self.counts["gaps"] += 1
        if lane.gap_told == lane.expected:
            return Received([])
        lane.gap_told = lane.expected
        return Received([self._welcome(block.stream, lane)])

    def _take(self, lane: CoreLane, block: Block, size: int) -> Received:
        """The block that is next: hand on what was not handed on before."""
        remembered = known(block)
        if before := lane.came(block):
            marks = list(shorts(remembered.marks))
            if any(one and one[0] != mark for one, mark in zip(before, marks, strict=True)):
                self._fork(lane)
                text = "an event has the place of another one that came before: this edge was put back"
                return self._refuse(block, ERROR_FORK, text)
            if repeated := [place for place, one in enumerate(before) if one is not None]:
                self.counts["repeated_events"] += len(repeated)
                block = block.without(repeated)
        lane.hear(block.settled)
        lane.take(block.number, remembered)
        lane.pending[block.number] = size
        self._held += size
        self.counts["blocks"] += 1
        return Received([], block)

    def _share(self) -> int:
        """Bytes that one lane may have sent without an answer.

        The same for each, of edges that are silent too: what was granted stands until it is used, so the
        shares must fit together at any time. One block is always allowed, so nobody ever has no share.
        """
        lanes = len(self._lanes) - self._gone_lanes - len(self._unspoken)
        return min(self._credit_bytes, self._credit_total // max(1, lanes), _BYTES_MAX)

    def _fork(self, lane: CoreLane) -> None:
        if not lane.forked:
            lane.forked = self.changed = True

    def _save(self, lane: CoreLane) -> None:
        name = (lane.edge, lane.stream)
        self._saved[name] = lane.saved(self._noted[name])
        self._stale.discard(name)

    def _welcome(self, stream: str, lane: CoreLane) -> bytes:
        return encode(
            Welcome(
                stream=stream, epoch=lane.epoch, session=lane.session,
                expected=lane.expected, before=lane.hashes.get(lane.expected - 1, EMPTY_HASH),
                limit=lane.acked + self._credit_blocks,
                bytes_max=self._share(), block_max=self._block_max,
            )
        )  # fmt: skip

    def _ack(self, stream: str, lane: CoreLane) -> bytes:
        return encode(
            Ack(
                stream=stream, epoch=lane.epoch, session=lane.session,
                acked=lane.acked, hash=lane.hashes.get(lane.acked, EMPTY_HASH), level=lane.level,
                limit=lane.acked + self._credit_blocks, bytes_max=self._share(),
            )
        )  # fmt: skip

    def _refuse(self, frame: Hello | Block, code: int, text: str) -> Received:
        self.counts[_COUNTED[code]] += 1
        return Received([encode(Error(stream=frame.stream, epoch=frame.epoch, code=code, text=text))])


def _life(session: int) -> int:
    """The count in a session: a folder never begins two with the same one, but copies of it do."""
    return session >> 32


_COUNTED = {
    ERROR_FORK: "forks",
    ERROR_NO_HELLO: "without_hello",
    ERROR_NOT_YOU: "wrong_edge",
    ERROR_CREDIT: "too_large",
    ERROR_LANES: "too_many_lanes",
    ERROR_OTHER_LIFE: "other_lives",
}
