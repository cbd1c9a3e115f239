"""Blocks that wait to be admitted: streams by priority, edges in turn."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import NamedTuple

from mfgroute.adapters.zeromq.frames import Block

__all__ = ["Taken", "Waiting"]

#: How often in a row a stream is preferred while another one waits.
_ROW_MAX = 8


class Taken(NamedTuple):
    """A block and, of each of its events, the CloudEvents source (`None`: it is no JSON object)."""

    block: Block
    sources: tuple[str | None, ...]


class Waiting:
    """Blocks of all edges. What is taken at once is of one stream, so that levels do not mix.

    Args:
        first: streams that go before others, the most urgent first.
    """

    def __init__(self, first: Sequence[str]) -> None:
        self._rank = {stream: rank for rank, stream in enumerate(first)}
        self._streams: dict[str, OrderedDict[str, deque[Taken]]] = {}
        self._row: tuple[str, int] = ("", 0)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, taken: Taken) -> None:
        """A block came."""
        edges = self._streams.setdefault(taken.block.stream, OrderedDict())
        edges.setdefault(taken.block.edge, deque()).append(taken)
        self._count += 1

    def take(self, *, events_max: int, bytes_max: int) -> list[Taken]:
        """Blocks of one stream: at least one, one of each edge in turn, until a limit is reached."""
        edges = self._streams[self._next()]
        found: list[Taken] = []
        events = size = 0
        while edges:
            edge, blocks = next(iter(edges.items()))
            count = len(blocks[0].block.events)
            if found and (events + count > events_max or size > bytes_max):
                break
            taken = blocks.popleft()
            found.append(taken)
            events += count
            size += sum(map(len, taken.block.events))
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

    def _next(self) -> str:
        """The most urgent stream that waits, but for a turn of the others now and then."""
        order = sorted(self._streams, key=lambda stream: (self._rank.get(stream, len(self._rank)), stream))
        before, times = self._row
        stream = order[0]
        if before == stream and times >= _ROW_MAX and len(order) > 1:
            stream = order[1]
        self._row = (stream, times + 1 if before == stream else 1)
        return stream
