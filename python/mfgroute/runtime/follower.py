"""Brings changes of effects from the node's log into its database of effects, and asks it.

The database may be down, slow or behind: lines wait in the log until they were taken. All SQL is done by one
thread of the follower's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import msgspec

from mfgroute.config.load import Project
from mfgroute.effects import lines as changes
from mfgroute.effects import questions
from mfgroute.effects.database import Database
from mfgroute.effects.files import LIFE_FILE
from mfgroute.errors import DatabaseDown, DatabaseUnfit, MfgrouteError, UnknownName
from mfgroute.observe.health import Followed
from mfgroute.observe.logs import get_logger
from mfgroute.runtime.backoff import Backoff
from mfgroute.runtime.tempo import Tempo
from mfgroute.runtime.wakes import Wakes, wait

if TYPE_CHECKING:
    from sqlalchemy import Connection

_log = get_logger()
_T = TypeVar("_T")
Span: TypeAlias = tuple[int, int]

#: Most lines in one transaction.
LINES_MAX = 500
#: Most lines that are counted to say how far behind the database is.
LOOKED_MAX = 1000
#: Shortest pause between two transactions that nobody waits for.
_LINGER_S = 0.05


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
        self._life = ""
        self._upto: dict[str, int] = {}

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
                upto = self._database.take(sink, self._life, read).number
                self._upto[sink] = upto
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
        after, wanted, ended = self._after(sink), set(ids), {}
        while read := self._read(sink, after):
            for line in read:
                after = line.number
                if line.id not in wanted or (recent and recent[0] <= line.at_ms <= recent[1]):
                    continue
                if changes.counts(line.state, line.reference):
                    ended[line.id] = line.reference
        return ended

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
        if not self._life:
            self._life = _life(self._folder, self._database.kind)
        number = self._database.taken(sink, self._life).number
        if number:
            try:
                self._feed.effects_taken(sink, number)
            except ValueError:
                # The folder is an older state of itself, put back by other means than `mfgroute restore`.
                _log.warning("the data folder was set back; lines are numbered anew", sink=sink, taken=number)
                self._life = _life(self._folder, self._database.kind, new=True)
                number = 0
        self._upto[sink] = number
        return number


class Books:
    """What one sink has posted; see `mfgroute.adapter.Books`."""

    def __init__(self, follower: Follower, sink: str) -> None:
        self._follower = follower
        self._sink = sink

    async def posted(self, thing: str) -> Mapping[str, Decimal]:
        """Sums of the amounts of all requests that were posted to an object, by name.

        Raises:
            DatabaseDown: the database cannot be used now.
        """
        return await self._follower.ask(
            lambda connection: questions.posted(connection, self._sink, thing), [self._sink]
        )


class Follower:
    """Follows the effects of sinks as long as the node runs.

    Args:
        feed: the engine.
        folder: the node's data folder.
        url: of a PostgreSQL database, instead of SQLite in the folder.
        node: id of the node.
        tempo: the times.
        random: where jitter comes from.
        wakes: wake-ups of the engine; without them it looks every `tempo.poll_s`.

    Raises:
        DatabaseUnfit: the URL cannot be used.
    """

    def __init__(
        self,
        feed: Feed,
        *,
        folder: Path,
        url: str | None = None,
        node: str,
        tempo: Tempo | None = None,
        random: Random | None = None,
        wakes: Wakes | None = None,
    ) -> None:
        self._tempo = tempo or Tempo()
        self._database = Database(folder, url=url, node=node)
        self._taker = Taker(feed, self._database, folder)
        self._wakes = wakes
        self._sinks: list[str] = []
        self._woken = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="effects")
        self._task: asyncio.Task[None] | None = None
        self._backoff = Backoff(
            first_s=self._tempo.backoff_first_s,
            max_s=self._tempo.backoff_max_s,
            random=random or Random(),  # noqa: S311 - jitter is no secret
        )
        self._failures = 0
        self._failing_since: float | None = None
        self._why = ""
        self._missing: dict[str, int] | None = None

    async def start(self, sinks: Iterable[str]) -> None:
        """Open the database and follow. One that is down is tried again.

        Raises:
            SchemaNewer: a later version wrote the database, or it belongs to another node.
        """
        self._sinks = list(sinks)
        try:
            await self._call(self._database.open)
        except DatabaseUnfit:
            await self._close()
            raise
        except DatabaseDown as error:
            self._failed(error)
        self._task = asyncio.create_task(self._run(), name="effects")

    def follow(self, sinks: Iterable[str]) -> None:
        """Follow other sinks from now on."""
        self._sinks = list(sinks)
        self.wake()

    def wake(self) -> None:
        """Look at once."""
        self._woken.set()

    async def stop(self) -> None:
        """Take what is left, if the database lets us, and close it."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        with contextlib.suppress(MfgrouteError):
            await self._call(self._drain, self._sinks)
        await self._close()

    def books(self, sink: str) -> Books:
        """What a sink has posted, for its poster."""
        return Books(self, sink)

    async def was_posted(
        self, sink: str, ids: Sequence[str], recent: Span | None = None
    ) -> dict[str, str | None]:
        """The events among `ids` that were posted or booked by hand at a sink before, with their references.

        What the database has not taken is looked for in the log: an answer waits for no transaction, and a
        database that can be read but takes nothing, as on a full disk, does not stop the sink.

        Args:
            sink: name of the sink.
            ids: of events.
            recent: effects that ended between these times, in milliseconds since 1970, do not count.

        Raises:
            DatabaseDown: the database cannot be read now.
            DatabaseUnfit: it is none that this version or node can use.
        """

        def call() -> dict[str, str | None]:
            waiting = self._taker.waiting(sink, ids, recent)
            with self._database.reading() as connection:
                return questions.was_posted(connection, sink, ids, recent) | waiting

        return await self._call(call)

    async def ask(self, question: Callable[[Connection], _T], sinks: Sequence[str] | None = None) -> _T:
        """Take all lines of some sinks, or of all, then ask.

        Args:
            question: gets a connection, in the follower's thread.
            sinks: whose lines the answer depends on.

        Raises:
            DatabaseDown: the database cannot be used now.
            DatabaseUnfit: it is none that this version or node can use.
        """

        def call() -> _T:
            self._drain(self._sinks if sinks is None else sinks)
            with self._database.reading() as connection:
                return question(connection)

        return await self._call(call)

    def followed(self) -> Followed:
        """How far the database is, for health and metrics."""
        failing_s = 0.0 if self._failing_since is None else time.monotonic() - self._failing_since
        behind = {sink: self._taker.behind(sink) for sink in list(self._sinks)}
        return Followed(
            behind={sink: count for sink, (count, _) in behind.items()},
            behind_s={sink: age_s for sink, (_, age_s) in behind.items()},
            missing=dict(self._missing or {}),
            failures=self._failures,
            failing_s=failing_s,
            why=self._why if failing_s else "",
        )

    async def _run(self) -> None:
        """Drain again and again."""
        with self._wakes.subscribe() if self._wakes else contextlib.nullcontext(self._woken) as woken:
            self._woken = woken
            while True:
                woken.clear()
                pause_s = self._tempo.poll_s
                try:
                    if await self._call(self._drain, list(self._sinks)) or self._missing is None:
                        self._missing = await self.ask(questions.missing, [])
                except MfgrouteError as error:
                    self._failed(error)
                    await asyncio.sleep(self._backoff.next_s())
                    continue
                self._worked()
                await asyncio.sleep(min(_LINGER_S, pause_s))
                await wait(woken, pause_s)

    def _drain(self, sinks: Iterable[str]) -> int:
        return sum(self._taker.drain(sink) for sink in sinks)

    def _failed(self, error: MfgrouteError) -> None:
        self._failures += 1
        if self._failing_since is None:
            self._failing_since = time.monotonic()
        if str(error) != self._why:
            self._why = str(error)
            _log.error("effects are not written to their database; they wait in the log", why=self._why)

    def _worked(self) -> None:
        self._backoff.reset()
        if self._failing_since is not None:
            _log.info("effects are written to their database again")
        self._failing_since, self._why = None, ""

    async def _call(self, call: Callable[..., _T], *arguments: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    async def _close(self) -> None:
        await self._call(self._database.close)
        await asyncio.to_thread(self._thread.shutdown)


def follower_of(
    project: Project, feed: Feed, folder: Path, *, tempo: Tempo, random: Random, wakes: Wakes | None
) -> Follower:
    """Make a follower as a project wants it; raises as `Follower`."""
    url = project.model.effects.url
    return Follower(
        feed,
        folder=folder,
        url=url.reveal() if url else None,
        node=project.model.node.id,
        tempo=tempo,
        random=random,
        wakes=wakes,
    )


def _life(folder: Path, kind: str, *, new: bool = False) -> str:
    """The random id of a data folder, made if there is none. Behind it stands the kind of its database.

    Raises:
        DatabaseDown: it cannot be read or written.
    """
    file = folder / LIFE_FILE
    try:
        life = ""
        with contextlib.suppress(FileNotFoundError):
            life, _, before = file.read_text(encoding="ascii").strip().partition(" ")
            if life and before == kind and not new:
                return life
        if new or not life:
            life = secrets.token_hex(16)
        part = file.with_name(f".{LIFE_FILE}.part")
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as out:
            out.write(f"{life} {kind}\n")
            out.flush()
            os.fsync(out.fileno())
        part.replace(file)
        above = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(above)
        finally:
            os.close(above)
    except (OSError, UnicodeDecodeError) as error:
        raise DatabaseDown(f"`{file}` cannot be used: {error}") from error
    return life
