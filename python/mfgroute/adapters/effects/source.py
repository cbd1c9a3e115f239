"""Read what became of effects, in the order in which the node learned it, as messages."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from mfgroute.adapter import Config, Context, Secret, Source
from mfgroute.adapters.worker import Worker
from mfgroute.effects.files import FILE_NAME
from mfgroute.errors import DatabaseDown, Disconnected
from mfgroute.events import Intake
from mfgroute.observe.logs import get_logger

if TYPE_CHECKING:
    from mfgroute.adapters.effects.changes import Changes

__all__ = ["EffectsSource", "EffectsSourceConfig"]

_log = get_logger(adapter="effects")


class EffectsSourceConfig(Config):
    """Which effects are confirmed, and where their database is."""

    sink_names = frozenset({"sinks"})

    sinks: Annotated[
        tuple[str, ...],
        Meta(description="Only effects of these sinks; without it those of all posters of the node"),
    ] = ()
    url: Annotated[
        Secret | None,
        Meta(
            description="PostgreSQL database of the effects, as in `effects.url` of the node; "
            "without it SQLite in the data folder"
        ),
    ] = None
    poll_s: Annotated[
        float, Meta(ge=0.01, le=3600.0, description="Seconds between two looks for new changes")
    ] = 1.0
    batch_max: Annotated[int, Meta(ge=1, le=10_000, description="Most changes read at once")] = 500


class EffectsSource(Source):
    """Read the table of changes behind a position.

    The database is only read. A change that was read and not acknowledged is read again; a position that the
    database does not know, as after either of them was restored, begins anew, and dedup absorbs what had been
    admitted.
    """

    Config = EffectsSourceConfig

    def __init__(self, config: EffectsSourceConfig, context: Context) -> None:
        self._config = config
        self._file = context.data_dir / FILE_NAME
        self._worker = Worker(f"effects {context.name}")
        self._changes: Changes | None = None
        self._opened = False
        self._counts = {"begun_anew": 0, "own": 0}

    async def open(self, resume: bytes | None) -> None:
        """Find the place to go on.

        Raises:
            Disconnected: the database is not there yet, or cannot be used now.
            DatabaseUnfit: a later version wrote it, or the URL cannot be used.
        """
        self._opened = True
        try:
            known = await self._worker.call(self._begin, resume)
        except DatabaseDown as error:
            raise Disconnected(str(error), sent=False) from error
        if not known:
            self._counts["begun_anew"] += 1
            _log.warning(
                "the position is not known to the effects database; all effects are read again",
                position=resume,
            )

    async def read(self) -> Intake:
        """Wait for changes.

        Raises:
            Disconnected: the database cannot be used now.
        """
        assert self._changes is not None
        while True:
            try:
                found = await self._worker.call(self._changes.next, self._config.batch_max)
            except DatabaseDown as error:
                raise Disconnected(str(error)) from error
            self._counts["own"] += found.own
            if found.messages:
                return Intake(messages=found.messages, position=found.position)
            if not found.more:
                await asyncio.sleep(self._config.poll_s)

    @property
    def counters(self) -> Mapping[str, int]:
        """Positions that were not known, and effects of confirmations, which are not confirmed."""
        return self._counts

    async def close(self) -> None:
        """Let go of the database."""
        if self._opened:
            self._opened = False
            await self._worker.call(self._end)
            self._worker.end()

    def _begin(self, resume: bytes | None) -> bool:
        # SQL is imported only where it is used.
        from mfgroute.adapters.effects.changes import Changes  # noqa: PLC0415

        url = self._config.url
        self._changes = Changes(self._file, url=url.reveal() if url else None, sinks=self._config.sinks)
        return self._changes.begin(resume)

    def _end(self) -> None:
        """Behind whatever the thread was doing when the source was closed."""
        if self._changes is not None:
            self._changes.close()
