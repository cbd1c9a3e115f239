"""The data folder of a node that does not run, opened as its next start would open it.

Logs are opened and the project is installed, as at a start: a torn tail is kept in ``quarantine``, the last
segment of each log is written anew, and the life of each log is one more. Nothing is delivered, no source is
read, and what is asked is recorded before it is answered.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from mfgroute import _core
from mfgroute.config.load import Project
from mfgroute.errors import DatabaseDown, DatabaseUnfit, MfgrouteError
from mfgroute.registry import Registry
from mfgroute.runtime import booking, folder, inquiry, requests, reversal
from mfgroute.runtime.lock import DataLock
from mfgroute.runtime.parts import posters
from mfgroute.runtime.reconcile import reconcile


class NothingKept(MfgrouteError):  # noqa: N818 - as `Closed`
    """No node has kept anything in this data folder."""


class OtherOwner(MfgrouteError):  # noqa: N818 - as `Closed`
    """The data folder belongs to another user, who could not read the files that we would make."""


def check(data_dir: Path) -> None:
    """Refuse a folder that a node never wrote to, or that belongs to another user.

    Raises:
        FolderUnfit: it is a symbolic link or no folder.
        NothingKept: there is no log.
        OtherOwner: it belongs to another user.
    """
    folder.refuse_unfit(data_dir)
    try:
        owner = (data_dir / "node").stat().st_uid
    except (FileNotFoundError, NotADirectoryError):
        raise NothingKept(f"`{data_dir}` holds no logs") from None
    if owner != os.geteuid():
        raise OtherOwner(
            f"data folder `{data_dir}` belongs to user {owner}, and this is user {os.geteuid()}: "
            "the node could not read what this command writes"
        )


class Offline:
    """Answers requests as a node on this data folder would; use it as a context manager.

    Args:
        project: what the node will run.
        data_dir: its data folder; see `check`.

    Attributes:
        opened: what opening the logs has found; see ``Engine.opened``.

    Raises:
        Locked: a process holds the folder.
        LogDamaged: a log is damaged.
        LogFailed: the disk refuses.
    """

    def __init__(self, project: Project, data_dir: Path) -> None:
        self._project = project
        self._folder = data_dir
        self._posters = posters(project, Registry())
        self._lock = DataLock(data_dir)
        try:
            self._engine: Any = _core.Engine(project.plan, data_dir=str(data_dir))
        except BaseException:
            self._lock.release()
            raise
        self.opened: list[dict[str, Any]] = self._engine.opened
        self._verbs: dict[str, Callable[[dict[str, Any]], Any]] = {
            "find": self._find,
            "effects": self._effects,
            "reconcile": self._reconcile,
            "inbox": lambda _: requests.inbox(self._engine),
            "dead_letters": self._dead_letters,
            "replay": lambda request: requests.replay(self._engine, request, project.model.sinks),
            "pause": lambda request: self._turn(request, paused=True),
            "resume": lambda request: self._turn(request, paused=False),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._engine.close()
        finally:
            self._lock.release()

    def ask(self, verb: str, **arguments: Any) -> Any:
        """Answer a request of the control socket.

        Raises:
            MfgrouteError: it is refused.
            LogFailed: the disk refuses: whether it was done is seen after a start.
        """
        by = f"uid {os.getuid()}"
        result = self._verbs[verb]({**arguments, "verb": verb, "by": by})
        return orjson.loads(result if isinstance(result, bytes) else orjson.dumps(result))

    def _find(self, request: dict[str, Any]) -> Any:
        found = orjson.loads(requests.find(self._engine, request))
        if not self._posters:
            return found
        try:
            rows = self._query(inquiry.rows(found["query"], [event["id"] for event in found["events"]]))
        except (DatabaseDown, DatabaseUnfit) as error:
            return {**found, "note": str(error)}
        return inquiry.joined(self._engine, found, rows)

    def _effects(self, request: dict[str, Any]) -> Any:
        if inquiry.resolves(request):
            return self._resolve(request)
        if reversal.asks_for(request):
            return self._reverse(request)
        if not self._posters:
            return inquiry.nothing(request)
        return self._query(inquiry.question(request))

    def _resolve(self, request: dict[str, Any]) -> Any:
        try:
            return inquiry.resolve(self._engine, request, durable=True)
        except inquiry.NotParked as refused:
            if request["request"]["sink"] not in self._posters:
                raise
            from mfgroute.effects import questions  # noqa: PLC0415 - only where there are effects

            sink = request["request"]["sink"]
            before = self._query(lambda connection: questions.booked_before(connection, sink))
            return booking.decide(request, refused, engine=self._engine, before=before)

    def _reverse(self, request: dict[str, Any]) -> Any:
        """Plan a reversal; one that is asked for is admitted now and posted when a node starts."""

        async def ask(question: inquiry.Question) -> Any:
            return self._query(question)

        async def submit(source: str, message: bytes) -> Any:
            return self._engine.submit(source, [message], ack="durable")

        answer = reversal.reverse(
            request,
            engine=self._engine,
            project=self._project,
            adapters=Registry(),
            ask=ask if self._posters else None,
            submit=submit,
        )
        return asyncio.run(answer)

    def _reconcile(self, request: dict[str, Any]) -> Any:
        async def ask(question: inquiry.Question) -> Any:
            return self._query(question)

        answer = reconcile(
            request,
            engine=self._engine,
            project=self._project,
            adapters=Registry(),
            ask=ask if self._posters else None,
        )
        return asyncio.run(answer)

    def _query(self, question: inquiry.Question) -> Any:
        """Bring the database of effects to where the log is, and ask it."""
        from mfgroute.effects.database import Database  # noqa: PLC0415 - only where there are effects
        from mfgroute.runtime.taker import Taker  # noqa: PLC0415

        model = self._project.model
        url = model.effects.url.reveal() if model.effects.url else None
        database = Database(self._folder, url=url, node=model.node.id)
        try:
            taker = Taker(self._engine, database, self._folder)
            for sink in self._posters:
                taker.drain(sink)
            with database.reading() as connection:
                return question(connection)
        finally:
            database.close()

    def _dead_letters(self, request: dict[str, Any]) -> bytes:
        # What is submitted to a stream in memory would be gone with this process.
        asked = {**request.get("request", {}), "durable": True}
        return requests.dead_letters(self._engine, {**request, "request": asked})

    def _turn(self, request: dict[str, Any], *, paused: bool) -> Any:
        return requests.turn(self._engine, request, self._project.model.sinks, paused=paused)


#: What can be asked of a data folder without its node.
VERBS = frozenset({"find", "effects", "reconcile", "inbox", "dead_letters", "replay", "pause", "resume"})
