"""Takes changes of effects from the node's log into its database of effects."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol, TypeAlias

import msgspec

from mfgroute.effects import lines as changes
from mfgroute.effects import questions
from mfgroute.effects.database import Database
from mfgroute.errors import DatabaseUnfit, UnknownName
from mfgroute.observe.logs import get_logger
from mfgroute.runtime.lives import life_of

_log = get_logger()

#: First and last millisecond since 1970.
Span: TypeAlias = tuple[int, int]

#: Most lines in one transaction.
LINES_MAX = 500
#: Most lines that are counted to say how far behind the database is.
LOOKED_MAX = 1000


class Feed(Protocol):
    """What the follower needs of the engine."""

    def effects(self, sink: str, after: int, count_max: int) -> bytes:
        """Durable lines of a sink behind number `after`, oldest first.

        Raises:
            UnknownName: there is no such sink any more.
        """

    def effects_taken(self, sink: str, upto: int) -> None:
        """Let go of the lines of a sink up to number `upto`.

        Raises:
            ValueError: there has never been such a line.
        """


class Taker:
    """Takes lines of sinks from a feed into a database, in the thread of the caller.

    Args:
        feed: the engine.
        database: where they go.
        folder: the data folder, which keeps its own id.
    """

    def __init__(self, feed: Feed, database: Database, folder: Path) -> None:
        self._feed = feed
        self._database = database
        self._folder = folder
        #: The random id of the data folder, once lines were taken.
        self.life = ""
        self._upto: dict[str, int] = {}
        #: What the lines that were not taken say of events that are there, by sink and event: number, time,
        #: reference. And up to which line they were looked at.
        self._there: dict[str, dict[str, list[tuple[int, int, str | None]]]] = {}
        self._looked: dict[str, int] = {}
        #: What people have booked in other lives of the folder and nobody has said anything of in this one.
        self._before: dict[str, dict[str, str]] = {}

    def drain(self, sink: str) -> int:
        """Take all lines that are there.

        Returns:
            How many were taken.

        Raises:
            DatabaseDown: the database cannot be used now; what was taken is known.
            DatabaseUnfit: a line is not understood.
        """
        count = 0
        with contextlib.suppress(UnknownName):  # A reload has just removed the sink.
            while read := self._read(sink, self._after(sink)):
                self._heed(sink, read)
                upto = self._database.take(sink, self.life, read).number
                self._upto[sink] = upto
                self._forget(sink, upto)
                self._feed.effects_taken(sink, upto)
                count += len(read)
                if len(read) < LINES_MAX:
                    break
        return count

    def waiting(self, sink: str, ids: Iterable[str], recent: Span | None = None) -> dict[str, str | None]:
        """References of events that were posted or booked by hand, as the lines say that were not taken.

        Effects that ended in `recent`, in milliseconds since 1970, do not count.

        Raises:
            DatabaseDown: it is not known what was taken.
            DatabaseUnfit: a line is not understood.
        """
        there = self._look(sink)
        found = {}
        for one in ids:
            for _, at_ms, reference in there.get(one, ()):
                if not (recent and recent[0] <= at_ms <= recent[1]):
                    found[one] = reference
        return found

    def booked_before(self, sink: str) -> Mapping[str, str]:
        """Documents by which people have booked what waited, by event, in other lives of the folder.

        Known once lines of the sink were looked at.
        """
        return self._before.get(sink, {})

    def _heed(self, sink: str, lines: Iterable[changes.Line]) -> None:
        """What is said in this life counts, and no more what was said before."""
        if before := self._before.get(sink):
            for line in filter(changes.is_booking, lines):
                before.pop(line.id, None)

    def _look(self, sink: str) -> dict[str, list[tuple[int, int, str | None]]]:
        """What is there, as the lines say that were not taken; each of them is looked at once."""
        begins = self._after(sink)
        there = self._there.setdefault(sink, {})
        after = max(begins, self._looked.get(sink, 0))
        while read := self._read(sink, after):
            self._heed(sink, read)
            for line in read:
                after = line.number
                if changes.counts(line.state, line.reference):
                    there.setdefault(line.id, []).append((after, line.at_ms, line.reference))
        self._looked[sink] = after
        return there

    def _forget(self, sink: str, upto: int) -> None:
        """Let go of what is in the database."""
        left = {
            name: kept
            for name, some in self._there.get(sink, {}).items()
            if (kept := [one for one in some if one[0] > upto])
        }
        self._there[sink] = left

    def _after(self, sink: str) -> int:
        return self._upto[sink] if sink in self._upto else self._begun(sink)

    def _read(self, sink: str, after: int) -> list[changes.Line]:
        found = self._feed.effects(sink, after, LINES_MAX)
        try:
            return changes.read(found)
        except msgspec.DecodeError as error:
            raise DatabaseUnfit(
                f"a change of an effect of {sink} behind number {after} is not understood: {error}"
            ) from error

    def behind(self, sink: str) -> tuple[int, float]:
        """How many lines wait, at most `LOOKED_MAX`, and the age of the oldest in seconds."""
        found = b""
        with contextlib.suppress(UnknownName):
            found = self._feed.effects(sink, self._upto.get(sink, 0), LOOKED_MAX)
        if not found:
            return 0, 0.0
        first = msgspec.json.decode(found.partition(b"\n")[0])
        return len(found.splitlines()), max(0.0, time.time() - first.get("at_ms", 0) / 1000)

    def _begun(self, sink: str) -> int:
        """Where to go on."""
        if not self.life:
            self.life = life_of(self._folder, self._database.kind)
        number = self._database.taken(sink, self.life).number
        if number:
            try:
                self._feed.effects_taken(sink, number)
            except ValueError:
                # The folder is an older state of itself, put back by other means than `mfgroute restore`.
                _log.warning("the data folder was set back; lines are numbered anew", sink=sink, taken=number)
                self.life = life_of(self._folder, self._database.kind, new=True)
                number = 0
        with self._database.reading() as connection:
            self._before[sink] = questions.booked_before(connection, sink, self.life)
        self._upto[sink] = number
        self._there.pop(sink, None)
        self._looked.pop(sink, None)
        return number
