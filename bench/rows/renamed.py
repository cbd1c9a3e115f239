"""As many messages of W1 as one likes: those of one slab again and again, each time with new ids."""

from __future__ import annotations

import workload

_ID = b'"id":"'
_ID_LENGTH = 26


class Slab:
    """A slab of which every call makes the next messages.

    Args:
        size: messages in it.
        start: number of the first message; its id has as many digits as an id of W1 has characters.
    """

    def __init__(self, size: int = workload.SLAB, start: int = 0) -> None:
        self.size, self.number = size, start
        self._bytes = bytearray(b"".join(workload.lines("w1", size)))
        self._places = []
        at = self._bytes.find(_ID)
        while at >= 0:
            self._places.append(at + len(_ID))
            at = self._bytes.find(_ID, at + 1)
        if len(self._places) != size:
            raise ValueError(f"{len(self._places)} ids in {size} messages of the workload")

    def next(self, count: int | None = None) -> bytes:
        """The next messages, a whole slab or so many of them."""
        count = self.size if count is None else min(count, self.size)
        for place in self._places[:count]:
            self._bytes[place : place + _ID_LENGTH] = b"%026d" % self.number
            self.number += 1
        whole = bytes(self._bytes)
        return whole if count == self.size else b"".join(whole.splitlines(keepends=True)[:count])
