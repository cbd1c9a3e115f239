"""Brings changes of effects from the node's log into its database of effects, and asks it.

The database may be down, slow or behind: lines wait in the log until they were taken. All SQL is done by one
thread of the follower's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from mfgroute.config.load import Project
from mfgroute.effects import lines as changes
from mfgroute.effects import questions
from mfgroute.effects.database import Database
from mfgroute.errors import DatabaseDown, DatabaseUnfit, MfgrouteError
from mfgroute.observe.health import Followed
from mfgroute.observe.logs import get_logger
from mfgroute.runtime.backoff import Backoff
from mfgroute.runtime.taker import Feed, Span, Taker
from mfgroute.runtime.tempo import Tempo
from mfgroute.runtime.together import Together
from mfgroute.runtime.wakes import Wakes, wait

if TYPE_CHECKING:
    from sqlalchemy import Connection

_log = get_logger()
_T = TypeVar("_T")

#: Shortest pause between two transactions that nobody waits for.
_LINGER_S = 0.2


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
        keep_s: how long effects that have ended are kept with their details.
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
        keep_s: float = math.inf,
        tempo: Tempo | None = None,
        random: Random | None = None,
        wakes: Wakes | None = None,
    ) -> None:
        self._tempo = tempo or Tempo()
        self._keep_s = keep_s
        self._forget_at_s = 0.0
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
        #: Every write of a sink asks about its events; those that run beside each other ask together.
        self._posted: dict[str, Together[str | None]] = {}

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

        def call(ids: Sequence[str]) -> dict[str, str | None]:
            waiting = self._taker.waiting(sink, ids, recent)
            with self._database.reading() as connection:
                return questions.was_posted(connection, sink, ids, recent) | waiting

        if recent is not None:
            return await self._call(call, ids)
        if sink not in self._posted:
            self._posted[sink] = Together(lambda ids: self._call(call, ids))
        return await self._posted[sink].about(ids)

    def booked_before(self, sink: str) -> Mapping[str, str]:
        """Documents by which people have booked what waited, by event, in other lives of the folder.

        A log that was restored may be older than its database, and know nothing of them. Whoever has asked
        `was_posted` about an event may ask this; the document of this life comes with the event itself.
        """
        return self._taker.booked_before(sink)

    async def is_denied(self, sink: str, event_id: str) -> bool:
        """Whether an event that comes again was in doubt: a person says that it was not posted; as `sent`."""
        # Lines are taken first, so that the life of the folder is known.
        return await self.ask(
            lambda connection: questions.is_denied(connection, sink, event_id, self._taker.life), [sink]
        )

    async def sent(self, sink: str, event_id: str) -> changes.Sent | None:
        """What a sink was brought to do by an event; `None` if nothing is known of it.

        Raises:
            DatabaseDown: the database cannot be used now.
        """
        return await self.ask(lambda connection: questions.sent(connection, sink, event_id), [sink])

    async def under_way(self, sink: str, thing: str, event_id: str) -> str | None:
        """Another event whose request for an object was written down, and about which nothing is certain.

        Raises:
            DatabaseDown: the database cannot be used now.
        """
        return await self.ask(
            lambda connection: questions.under_way(connection, sink, thing, event_id, self._taker.life),
            [sink],
        )

    async def originals(self, sink: str, key: str, report: str) -> list[changes.Original]:
        """The effects at a sink of the events of a key that have reported something, the oldest first.

        Raises:
            DatabaseDown: the database cannot be used now.
        """
        return await self.ask(lambda connection: questions.originals(connection, sink, key, report), [sink])

    async def taken_back(self, sink: str) -> list[tuple[changes.Original, str]]:
        """Events that a sink was refused, each with one (its id) that takes it back and waits for it.

        Raises:
            DatabaseDown: the database cannot be used now.
        """
        return await self.ask(lambda connection: questions.taken_back(connection, sink), [sink])

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
                    await self._forget()
                except MfgrouteError as error:
                    self._failed(error)
                    await asyncio.sleep(self._backoff.next_s())
                    continue
                self._worked()
                await asyncio.sleep(min(_LINGER_S, pause_s))
                await wait(woken, pause_s)

    async def _forget(self) -> None:
        """Let go of a few effects that ended long ago, now and then."""
        now_s = time.monotonic()
        if now_s < self._forget_at_s or math.isinf(self._keep_s):
            return
        gone = await self._call(self._database.forget, int((time.time() - self._keep_s) * 1000))
        self._forget_at_s = now_s + (0.0 if gone.more else self._tempo.forget_s)

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
        keep_s=project.model.effects.keep,
        tempo=tempo,
        random=random,
        wakes=wakes,
    )
