"""The tasks of a node: one per source, one per sink; made, replaced and stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

from mfgroute.adapter import Context, Poster
from mfgroute.config.load import Adapters, Project
from mfgroute.config.model import Sink, Source
from mfgroute.observe.health import Pulse
from mfgroute.observe.logs import get_logger
from mfgroute.runtime.deliver import Deliver
from mfgroute.runtime.ingest import Ingest
from mfgroute.runtime.posting import Records
from mfgroute.runtime.recording import FOLDER, Recording
from mfgroute.runtime.tempo import Tempo
from mfgroute.runtime.wakes import Wakes

_log = get_logger()


def posters(project: Project, adapters: Adapters) -> list[str]:
    """Names of the sinks of a project whose effects are recorded."""
    sinks = project.model.sinks.items()
    return [name for name, sink in sinks if issubclass(adapters.sink(sink.section.adapter), Poster)]


def recognises(name: str, project: Project, adapters: Adapters) -> bool:
    """Whether an event that the target of a poster has done is recognised when it is sent again.

    Args:
        name: of the sink; for one that is gone nobody vouches.
        project: that runs.
        adapters: where its adapter comes from.
    """
    sink = project.model.sinks.get(name)
    if sink is None:
        return False
    # Nothing is sent by it, so it is not opened.
    poster: Any = adapters.sink(sink.section.adapter)(sink.config, context_of(name, project))
    return bool(poster.effect.by != "none")


class Parts:
    """All sources and sinks of one node.

    Attributes:
        sources: running ones by name.
        sinks: running ones by name.
        records: what posters have posted; `None` where nothing is durable.
    """

    def __init__(
        self,
        engine: Any,
        wakes: Wakes,
        adapters: Adapters,
        tempo: Tempo,
        random: Random,
        *,
        data_dir: Path | None = None,
        epoch: int = 0,
    ) -> None:
        self.sources: dict[str, Ingest] = {}
        self.sinks: dict[str, Deliver] = {}
        self.records: Records | None = None
        self._engine = engine
        self._wakes = wakes
        self._adapters = adapters
        self._tempo = tempo
        self._random = random
        self._sent: dict[str, dict[str, float]] = {}
        self._data_dir = data_dir
        self._epoch = epoch
        self._tasks: dict[Ingest | Deliver, asyncio.Task[None]] = {}
        self._configs: dict[Ingest | Deliver, Source | Sink] = {}

    def pulses(self) -> list[Pulse]:
        """What every part says about itself."""
        return [part.pulse for group in (self.sources, self.sinks) for part in group.values()]

    async def follow(self, project: Project) -> None:
        """Start what is new, stop what is gone, replace what changed. What stayed the same is not touched."""
        model = project.model
        old_sources = [
            part
            for name, part in self.sources.items()
            if self._changed(part, wanted := model.sources.get(name)) and not self._goes_on(part, wanted)
        ]
        old_sinks = [part for name, part in self.sinks.items() if self._changed(part, model.sinks.get(name))]
        await self._stop(old_sources)
        await self._stop(old_sinks)
        self.sources = {name: part for name, part in self.sources.items() if part in self._tasks}
        self.sinks = {name: part for name, part in self.sinks.items() if part in self._tasks}
        for name, sink in model.sinks.items():
            if name in self.sinks:
                self.sinks[name].follow(sink.calendar)
            else:
                self.sinks[name] = self._sink(name, sink, project)
        for name, source in model.sources.items():
            if name not in self.sources:
                self.sources[name] = self._source(name, source, project)

    async def stop_sources(self) -> None:
        """Read no more; what was read is submitted and acknowledged."""
        await self._stop(self.sources.values())

    async def stop_sinks(self, timeout_s: float) -> None:
        """Write no more; writes under way have `timeout_s` to end, then they are in doubt."""
        await self._stop(self.sinks.values(), timeout_s)

    def hurry(self) -> None:
        """Cancel everything that runs; writes under way are in doubt."""
        for task in self._tasks.values():
            task.cancel()

    async def _stop(self, parts: Iterable[Ingest | Deliver], timeout_s: float | None = None) -> None:
        """Stop parts; those that are not done after `timeout_s` are cancelled, and then left behind.

        Without a limit of its own a stop waits as long as a write may take.
        """
        stopped = list(parts)
        for part in stopped:
            part.stop()
        tasks = [self._tasks[part] for part in stopped if part in self._tasks]
        if tasks:
            limit_s = self._tempo.stop_timeout_s if timeout_s is None else timeout_s
            await self._end(tasks, limit_s)
        for part in stopped:
            self._tasks.pop(part, None)

    async def _end(self, tasks: list[asyncio.Task[None]], limit_s: float) -> None:
        _, late = await asyncio.wait(tasks, timeout=limit_s)
        for task in late:
            task.cancel()
        if late:
            _, stuck = await asyncio.wait(late, timeout=self._tempo.close_timeout_s + 1)
            for task in stuck:
                _log.error("a part does not stop and is left behind", part=task.get_name())

    def _changed(self, part: Ingest | Deliver, wanted: Source | Sink | None) -> bool:
        return wanted is None or self._configs[part].raw != wanted.raw

    def _goes_on(self, part: Ingest, wanted: Source | None) -> bool:
        """Whether a source of which only the adapter is set otherwise goes on over its open connection."""
        if wanted is None or self._configs[part].section != wanted.section or not part.follow(wanted.config):
            return False
        self._configs[part] = wanted
        return True

    def _source(self, name: str, source: Source, project: Project) -> Ingest:
        part = Ingest(
            name,
            kind=self._adapters.source(source.section.adapter),
            config=source.config,
            context=self._context(name, project),
            engine=self._engine,
            wakes=self._wakes,
            pulse=Pulse("source", name, source.section.adapter),
            tempo=self._tempo,
            random=self._random,
            recording=self._recording(name, source, project),
            durable=any(stream.durability == "fsync" for stream in project.model.streams.values()),
        )
        self._run(part, source)
        return part

    def _recording(self, name: str, source: Source, project: Project) -> Recording | None:
        bounds = source.section.record
        folder = (self._data_dir or project.data_dir) / FOLDER / name
        return None if bounds is None else Recording(folder, name, bounds)

    def _sink(self, name: str, sink: Sink, project: Project) -> Deliver:
        part = Deliver(
            name,
            kind=self._adapters.sink(sink.section.adapter),
            config=sink.config,
            context=self._context(name, project),
            section=sink.section,
            calendar=sink.calendar,
            sent=self._sent.setdefault(name, {}),
            records=self.records,
            engine=self._engine,
            wakes=self._wakes,
            pulse=Pulse("sink", name, sink.section.adapter),
            tempo=self._tempo,
            random=self._random,
        )
        self._run(part, sink)
        return part

    def _context(self, name: str, project: Project) -> Context:
        return context_of(name, project, data_dir=self._data_dir, epoch=self._epoch)

    def _run(self, part: Ingest | Deliver, config: Source | Sink) -> None:
        task = part.start()
        self._tasks[part] = task
        self._configs[part] = config

        def ended(task: asyncio.Task[None]) -> None:
            if task.cancelled() or task.exception() is None:
                return
            # The supervisor catches everything, so this is a mistake of ours. The other parts go on.
            part.pulse.enter("down", f"its task died: {task.exception()!r}")
            _log.error("a task died", part=task.get_name(), exc_info=task.exception())

        task.add_done_callback(ended)


def context_of(name: str, project: Project, *, data_dir: Path | None = None, epoch: int = 0) -> Context:
    """What an adapter of a project is told about its place."""
    node = project.model.node
    durable = (name for name, one in project.model.streams.items() if one.durability == "fsync")
    return Context(
        name=name,
        node=node.id,
        site=node.site,
        project_dir=project.root,
        data_dir=data_dir or project.data_dir,
        epoch=epoch,
        durable=frozenset(durable),
    )
