"""The node: an engine with its sources and sinks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from pathlib import Path
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

import msgspec

from mfgroute import _core
from mfgroute.adapter import Inbox, Secret
from mfgroute.config.load import Adapters, Project
from mfgroute.errors import Closed, ConfigError, Full, Problem, UnknownName
from mfgroute.events import Receipt
from mfgroute.observe import health
from mfgroute.observe.logs import get_logger
from mfgroute.observe.stats import Stats, deliverable, failed_streams, named, undelivered, waiting
from mfgroute.observe.text import MASK
from mfgroute.project import load_project
from mfgroute.registry import Registry
from mfgroute.runtime import folder
from mfgroute.runtime.epoch import epoch_of
from mfgroute.runtime.ingest import THREAD_BYTES_MIN
from mfgroute.runtime.lock import DataLock
from mfgroute.runtime.parts import Parts, posters, recognises
from mfgroute.runtime.room import look_at_disk
from mfgroute.runtime.tempo import Tempo
from mfgroute.runtime.wakes import Wakes, wait

if TYPE_CHECKING:
    from mfgroute.runtime.cancelling import Cancelling
    from mfgroute.runtime.follower import Follower

_log = get_logger()

#: Most turns of the event loop that a start waits for inboxes.
_OPENING_TURNS = 1000

#: Something that runs as long as the node, such as its HTTP listener.
Service: TypeAlias = type[AbstractAsyncContextManager[Any]]


class Router:
    """A node that runs in this event loop.

    Args:
        project: a folder, a ``mfgroute.yaml``, or a project that is loaded.
        data_dir: instead of the project's ``node.data_dir``.
        adapters: where adapters come from; the installed ones if not given.
        environ: values for ``${VAR}``; the process environment if not given.
        tempo: the times.
        random: where jitter comes from.

    Attributes:
        project: what runs; a reload replaces it.
        engine: streams, sinks and dead letters.
        address: where the HTTP listener listens, once it does.
        draining: whether a stop has begun.
        tempo: the times.
        quarantined: for each log, bytes of torn tails that starts have kept.
        follower: brings effects into their database; `None` while no sink is a poster.
        cancelling: ends events that were taken back before they were posted; `None` as `follower`.
    """

    #: Run beside the sources and sinks; each is called with the router.
    services: ClassVar[Sequence[Service]] = ()

    def __init__(
        self,
        project: str | Path | Project,
        *,
        data_dir: str | Path | None = None,
        adapters: Adapters | None = None,
        environ: Mapping[str, str] | None = None,
        tempo: Tempo | None = None,
        random: Random | None = None,
    ) -> None:
        self.project: Project
        self.engine: Any = None
        self.address: tuple[str, int] | None = None
        self.draining = False
        self.quarantined: dict[str, int] = {}
        self.follower: Follower | None = None
        self.cancelling: Cancelling | None = None
        self._given = project
        self._data_dir = data_dir
        self._adapters = adapters or Registry()
        self._environ = environ
        self.tempo = tempo or Tempo()
        self._random = random or Random()  # noqa: S311 - jitter is no secret
        self._hurried = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._parts: Parts | None = None
        self._wakes: Wakes | None = None
        self._began = time.monotonic()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def data_dir(self) -> Path:
        """Folder of this node's own files."""
        return Path(self._data_dir) if self._data_dir is not None else self.project.data_dir

    @property
    def durable(self) -> bool:
        """Whether a stream of this node survives a crash, so that submits wait for the disk."""
        return any(stream.durability == "fsync" for stream in self.project.model.streams.values())

    @property
    def uptime_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    async def start(self) -> None:
        """Load the project, open the engine and start all parts.

        Raises:
            ConfigError: the project has problems.
            Locked: another process runs on the data folder.
            FolderUnfit: the data folder is a symbolic link, or a later version wrote it.
            DatabaseUnfit: the database of effects is none that this version or node can use.
            CannotListen: the listener's address is taken.
        """
        self._began = time.monotonic()
        self.project = self._given if isinstance(self._given, Project) else await self._load(self._given)
        MASK.add(self.project.secrets)
        if self.durable:
            folder.refuse_unfit(self.data_dir)
        async with AsyncExitStack() as stack:
            lock = DataLock(self.data_dir)
            stack.callback(lock.release)
            make = partial(_core.Engine, self.project.plan, data_dir=str(self.data_dir))
            self.engine = await asyncio.to_thread(make)
            stack.callback(self.engine.close)
            for log in self.engine.opened:
                folder.tell_opened(log)
            if self.durable:
                self.quarantined = await asyncio.to_thread(look_at_disk, self.project, self.data_dir)
            epoch = await asyncio.to_thread(epoch_of, self.data_dir) if self.durable else 0
            self._wakes = Wakes(self.engine.wake_fd())
            stack.callback(self._wakes.close)
            await self._follow_effects(self.project, stack)
            self._parts = Parts(
                self.engine,
                self._wakes,
                self._adapters,
                self.tempo,
                self._random,
                data_dir=self.data_dir,
                epoch=epoch,
            )
            self._parts.records = self.follower
            for service in self.services:
                await stack.enter_async_context(service(self))  # type: ignore[call-arg]
            await self._parts.follow(self.project)
            await self._inboxes_open()
            self._stack = stack.pop_all()
        _log.info("started", node=self.project.model.node.id, sources=len(self._parts.sources))

    async def stop(self, *, drain_timeout_s: float | None = None) -> int:
        """Read no more, deliver what is queued, and close.

        Args:
            drain_timeout_s: how long sinks may go on; the tempo's if not given.

        Returns:
            How many events were not delivered and are lost with this process: what memory streams held,
            parked events and those in doubt among them. Durable streams deliver theirs after the next start.
        """
        if self._parts is None or self._wakes is None:
            return 0
        parts, wakes = self._parts, self._wakes
        timeout_s = self.tempo.drain_timeout_s if drain_timeout_s is None else drain_timeout_s
        until = time.monotonic() + timeout_s
        self.draining = True
        try:
            await parts.stop_sources()
            self.engine.drain()
            await self._drained(wakes, until)
        finally:
            await parts.stop_sinks(0.0 if self._hurried.is_set() else max(0.0, until - time.monotonic()))
            stats = self.engine.stats()
            sinks = named(stats, "sinks").values()
            left = sum(undelivered(one) for one in sinks)
            set_aside = left - sum(waiting(one) for one in sinks)
            lost = self._lost(stats, left) if left else 0
            self._parts = None
            await self._stack.aclose()
        if lost:
            _log.error("stopped before everything was delivered", events=lost, set_aside=set_aside)
        elif left:
            _log.info("stopped; the rest is delivered after the next start", events=left, set_aside=set_aside)
        else:
            _log.info("stopped")
        return lost

    def _lost(self, stats: Stats, left: int) -> int:
        """How many of the events that are left go with this process: those of memory streams."""
        streams = self.project.model.streams
        gone = {name for name, stream in streams.items() if stream.durability == "memory"}
        if len(gone) in {0, len(streams)}:
            return left if gone else 0
        open_there = sum(one["count_open"] for name, one in named(stats, "streams").items() if name in gone)
        parked = msgspec.json.decode(self.engine.dead_letters(b'{"kind": "parked", "verb": "list"}'))
        return int(open_there) + sum(one["stream"] in gone for one in parked)

    def hurry(self) -> None:
        """Cut a drain short: queued events stay undelivered, writes under way are in doubt."""
        self._hurried.set()
        if self._parts is not None:
            self._parts.hurry()
        if self._wakes is not None:
            self._wakes.wake()

    async def reload(self, *, discard: Sequence[str] = ()) -> list[Problem]:
        """Read the project again and follow it; what stayed the same is not touched.

        Args:
            discard: sinks that may go although events wait for them; those events are dropped and counted.

        Returns:
            The warnings of the new project.

        Raises:
            ConfigError: the new project has problems; the old one goes on.
        """
        if isinstance(self._given, Project):
            given: str | Path = self._given.file
        else:
            given = self._given
        async with self._reloading:
            if self._parts is None or self.draining:
                raise Closed("the node is draining")
            try:
                project = await self._load(given)
                _check_fixed(self.project, project)
                self.engine.install(project.plan, discard=list(discard))
            except ConfigError as error:
                _log.error("the new project has problems; the old one goes on", problems=str(error))
                raise
            MASK.add(project.secrets)
            self.project = project
            await self._follow_effects(project, self._stack)
            self._parts.records = self.follower
            await self._parts.follow(project)
            _log.info("reloaded", node=project.model.node.id)
            return project.warnings

    async def submit(
        self,
        source: str,
        messages: Sequence[bytes],
        *,
        meta: Mapping[str, str] | None = None,
        ack: str | None = None,
        wait_s: float = 0.0,
    ) -> Receipt:
        """Hand messages to the engine as if `source` had read them.

        Args:
            source: a name in ``sources``.
            messages: one ``bytes`` each.
            meta: attributes that all messages share.
            ack: the level to wait for; the streams' own if not given.
            wait_s: how long to wait for room.

        Raises:
            Full: there was no room; nothing was admitted.
            Closed: the node is not running or draining.
            UnknownName: no source is called so.
        """
        if self._wakes is None or self._parts is None or self.draining:
            raise Closed("the node does not run, or drains")
        until = time.monotonic() + wait_s
        waits = ack != "memory" and self.durable
        big = waits or sum(map(len, messages)) >= THREAD_BYTES_MIN

        def call() -> Receipt:
            receipt: Receipt = self.engine.submit(source, messages, meta=meta, ack=ack)
            return receipt

        with self._wakes.subscribe() as woken:
            while True:
                woken.clear()
                try:
                    receipt = await asyncio.to_thread(call) if big else call()
                except Full:
                    left_s = until - time.monotonic()
                    if left_s <= 0:
                        raise
                    await wait(woken, min(left_s, self.tempo.poll_s))
                else:
                    part = self._parts.sources.get(source)
                    if part is not None:
                        await part.record(messages, meta)
                    return receipt

    def inbox(self, name: str) -> Inbox | None:
        """The open inbox of source `name`, or `None` while it is not open.

        Raises:
            UnknownName: no source that the listener fills is called so.
        """
        source = self.project.model.sources.get(name)
        if source is None or not issubclass(self._adapters.source(source.section.adapter), Inbox):
            raise UnknownName(f"no inbox is called `{name}`")
        part = self._parts.sources.get(name) if self._parts else None
        current = part.current if part else None
        return current if isinstance(current, Inbox) else None

    @property
    def adapters(self) -> Adapters:
        """Where its adapters come from."""
        return self._adapters

    def pulses(self) -> list[health.Pulse]:
        """What every source and sink says about itself."""
        return self._parts.pulses() if self._parts else []

    def queued(self) -> dict[str, int]:
        """For each sink, how many events wait to be delivered or are being delivered."""
        return {name: waiting(one) for name, one in named(self.engine.stats(), "sinks").items()}

    def followed(self) -> health.Followed | None:
        """How far the database of effects is; `None` while no sink is a poster."""
        return self.follower.followed() if self.follower else None

    def health(self) -> health.Health:
        """Whether everything that has work makes progress."""
        stats = self.engine.stats()
        sinks = named(stats, "sinks")
        return health.check(
            self.pulses(),
            {name: deliverable(one) for name, one in sinks.items()},
            stopped=[name for name, one in sinks.items() if one.get("stopped")],
            failed=failed_streams(stats),
            quarantined=self.quarantined,
            followed=self.followed(),
            draining=self.draining,
        )

    async def _follow_effects(self, project: Project, stack: AsyncExitStack) -> None:
        """Follow the effects of all posters. SQL is not even imported where there is none.

        Without a durable stream nothing is recorded: sums would begin anew with every start.
        """
        sinks = posters(project, self._adapters) if self.durable else []
        if self.follower is not None:
            self.follower.follow(sinks)
        elif sinks:
            from mfgroute.runtime.cancelling import Cancelling  # noqa: PLC0415 - as said
            from mfgroute.runtime.follower import follower_of  # noqa: PLC0415

            follower = follower_of(
                project,
                self.engine,
                self.data_dir,
                tempo=self.tempo,
                random=self._random,
                wakes=self._wakes,
            )
            await follower.start(sinks)
            stack.push_async_callback(follower.stop)
            self.follower = follower
            self.cancelling = Cancelling(
                self.engine,
                follower,
                lambda: posters(self.project, self._adapters),
                recognises=lambda name: recognises(name, self.project, self._adapters),
            )
            stack.callback(asyncio.create_task(self.cancelling.run(), name="taken back").cancel)

    async def _inboxes_open(self) -> None:
        """Let inboxes open, so that whoever was told that the node is ready may post at once.

        They connect to nothing, so a few turns of the loop are enough; a slower one is not waited for.
        """
        sources = self.project.model.sources
        kinds = {name: self._adapters.source(source.section.adapter) for name, source in sources.items()}
        names = [name for name, kind in kinds.items() if issubclass(kind, Inbox)]
        for _ in range(_OPENING_TURNS):
            if all(self.inbox(name) is not None for name in names):
                return
            await asyncio.sleep(0)

    async def _load(self, path: str | Path) -> Project:
        return await asyncio.to_thread(load_project, path, adapters=self._adapters, environ=self._environ)

    async def _drained(self, wakes: Wakes, until: float) -> None:
        """Wait until sinks have delivered everything, but not longer than `until`."""
        with wakes.subscribe() as woken:
            while (left_s := until - time.monotonic()) > 0 and not self._hurried.is_set():
                woken.clear()
                resting = {pulse.name for pulse in self.pulses() if pulse.held_by == "window"}
                sinks = named(self.engine.stats(), "sinks")
                if not any(deliverable(one) for name, one in sinks.items() if name not in resting):
                    return
                await wait(woken, min(left_s, self.tempo.poll_s))


def _plain(value: Any) -> str:
    return value.reveal() if isinstance(value, Secret) else str(value)


def _check_fixed(old: Project, new: Project) -> None:
    """Refuse changes that need a restart."""
    problems = [
        Problem(
            severity="error",
            file=new.file.name,
            line=0,
            column=0,
            message=f"`{what}` cannot change while the node runs",
            hint="restart the node",
        )
        for what in ("node", "http", "effects")
        if msgspec.to_builtins(getattr(old.model, what), enc_hook=_plain)
        != msgspec.to_builtins(getattr(new.model, what), enc_hook=_plain)
    ]
    if problems:
        raise ConfigError(problems)
