"""Blocks that wait to be admitted: streams by priority, edges in turn."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet

from mfgroute.adapters.zeromq.frames import Block

__all__ = ["Waiting"]

#: How often in a row a stream is preferred while another one waits.
_ROW_MAX = 8


class Waiting:
    """Blocks of all edges. What is taken at once is of one stream, so that levels do not mix.

    Args:
        first: streams that go before others, the most urgent first.
    """

    def __init__(self, first: Sequence[str]) -> None:
        self._rank = {stream: rank for rank, stream in enumerate(first)}
        self._streams: dict[str, OrderedDict[str, deque[Block]]] = {}
        self._row: tuple[str, int] = ("", 0)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, block: Block) -> None:
        """A block came."""
        edges = self._streams.setdefault(block.stream, OrderedDict())
        edges.setdefault(block.edge, deque()).append(block)
        self._count += 1

    def put_back(self, taken: Sequence[Block]) -> None:
        """What was taken is not admitted yet: it comes before what came later."""
        for one in reversed(taken):
            edges = self._streams.setdefault(one.stream, OrderedDict())
            edges.setdefault(one.edge, deque()).appendleft(one)
            edges.move_to_end(one.edge, last=False)
            self._count += 1

    def streams(self) -> AbstractSet[str]:
        """The streams of which something waits."""
        return self._streams.keys()

    def take(
        self,
        *,
        events_max: int,
        bytes_max: int,
        without: Collection[str] = (),
        less: Mapping[str, int] | None = None,
    ) -> list[Block]:
        """Blocks of one stream: at least one, one of each edge in turn, until a limit is reached.

        Of the streams `without` nothing is taken; something of another one waits. Of those in `less` no more
        bytes are taken than it says.
        """
        stream = self._next(without)
        edges = self._streams[stream]
        whole_max = (less or {}).get(stream)
        found: list[Block] = []
        events = size = 0
        while edges:
            edge, blocks = next(iter(edges.items()))
            count = len(blocks[0])
            if found and (events + count > events_max or size > bytes_max):
                break
            if found and whole_max is not None and size + blocks[0].size > whole_max:
                break
            taken = blocks.popleft()
            found.append(taken)
            events += count
            size += taken.size
            # Its next turn is after those of all others that wait.
            edges.pop(edge)
            if blocks:
                edges[edge] = blocks
        self._count -= len(found)
        self._streams = {stream: edges for stream, edges in self._streams.items() if edges}
        return found

    def drop(self, edge: str) -> int:
        """Forget what waits of an edge; returns how many blocks."""
        before = self._count
        for edges in self._streams.values():
            self._count -= len(edges.pop(edge, ()))
        self._streams = {stream: edges for stream, edges in self._streams.items() if edges}
        return before - self._count

    def _next(self, without: Collection[str]) -> str:
        """The most urgent stream that waits, but for a turn of the others now and then."""
        found = [stream for stream in self._streams if stream not in without]
        order = sorted(found, key=lambda stream: (self._rank.get(stream, len(self._rank)), stream))
        before, times = self._row
        stream = order[0]
        if before == stream and times >= _ROW_MAX and len(order) > 1:
            stream = order[1]
        self._row = (stream, times + 1 if before == stream else 1)
        return stream
