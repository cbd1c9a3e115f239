"""One task per source: open, read, submit, acknowledge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any

from mfgroute._core import Blocks
from mfgroute.adapter import Config, Context, Source
from mfgroute.errors import AdapterError, Closed, Disconnected, Full, LogFailed, TooLarge
from mfgroute.events import Intake, Receipt
from mfgroute.observe.health import Pulse
from mfgroute.runtime.recording import Recording
from mfgroute.runtime.supervise import Supervisor, close_quietly
from mfgroute.runtime.tempo import Tempo
from mfgroute.runtime.wakes import Wakes, wait

#: From this size on the engine works in a thread, so that the loop stays responsive.
THREAD_BYTES_MIN = 128 * 1024
#: Most rejects that one receipt of a slab lists; all are counted.
REJECTS_MAX = 1000
_LEVELS = ("memory", "durable", "sealed", "effect")


class Ingest:
    """Brings in what one source reads.

    Args:
        name: of the source.
        kind: its adapter.
        config: the adapter's configuration.
        context: what the adapter is told.
        engine: where messages go.
        wakes: wake-ups of the engine.
        pulse: what this task says about itself.
        tempo: the times.
        random: where jitter comes from.
        recording: where raw messages are kept, if they are.
        durable: whether submits wait for the disk, and so belong into a thread.
    """

    def __init__(
        self,
        name: str,
        *,
        kind: type[Source],
        config: Config,
        context: Context,
        engine: Any,
        wakes: Wakes,
        pulse: Pulse,
        tempo: Tempo,
        random: Random,
        recording: Recording | None = None,
        durable: bool = False,
    ) -> None:
        self.pulse = pulse
        self.recording = recording
        pulse.record = None if recording is None else recording.counts
        self.current: Source | None = None
        self._name = name
        self._make: Callable[[Config], Source] = lambda config: kind(config, context)
        self._config = config
        self._engine = engine
        self._wakes = wakes
        self._tempo = tempo
        self._supervisor = Supervisor(pulse, tempo, random)
        self._durable = durable
        self._resume: bytes | None = engine.position(name) if durable else None
        self._task: asyncio.Task[None] | None = None
        self._interruptible = False

    def start(self) -> asyncio.Task[None]:
        """Start the task."""
        self._task = asyncio.create_task(self._run(), name=f"source {self._name}")
        return self._task

    def follow(self, config: Config) -> bool:
        """Go on with a changed configuration of the adapter, if the open connection can."""
        if self.current is None or not self.current.follow(config):
            return False
        self._config = config
        return True

    def stop(self) -> None:
        """Read no more. A submit or acknowledgement under way is finished."""
        self._supervisor.stopping.set()
        if self._task is not None and self._interruptible:
            self._task.cancel()

    async def record(
        self,
        messages: Sequence[bytes],
        meta: Mapping[str, str] | None,
        metas: Sequence[Mapping[str, str]] | None = None,
        *,
        slab: bool = False,
    ) -> None:
        """Keep raw messages that the engine has judged, if this source keeps them."""
        if self.recording is None:
            return
        call = partial(self.recording.add, messages, meta or {}, metas, slab=slab)
        if sum(map(len, messages)) >= THREAD_BYTES_MIN:
            await asyncio.to_thread(call)
        else:
            call()

    async def _run(self) -> None:
        """The life of this source."""
        house = None if self.recording is None else asyncio.create_task(self._keep_house(self.recording))
        try:
            await self._supervisor.run(self._connection)
        finally:
            if self.recording is not None and house is not None:
                house.cancel()
                self.recording.close()

    async def _keep_house(self, recording: Recording) -> None:
        """Drop what is too old, also when nothing arrives."""
        while True:
            await asyncio.sleep(recording.tick_s)
            await asyncio.to_thread(recording.tick)

    async def _connection(self) -> None:
        """The life of one connection."""
        source = self._make(self._config)
        self.pulse.count_with(lambda: source.counters, lambda: source.details)
        try:
            self.pulse.enter("starting")
            await self._open(source)
            self.current = source
            self.pulse.enter("up")
            while not self._supervisor.stopping.is_set():
                intake = await self._interrupt(source.read())
                self.pulse.begin()
                try:
                    await self._take(source, intake)
                except BaseException:
                    self.pulse.give_back()
                    raise
                self.pulse.progress()
                self._supervisor.prosper()
        except asyncio.CancelledError:
            if not self._supervisor.stopping.is_set():
                raise
        finally:
            self.current = None
            self.pulse.idle()
            await close_quietly(source, self.pulse, self._tempo.close_timeout_s)
            self.pulse.count_with(None)

    async def _open(self, source: Source) -> None:
        try:
            async with asyncio.timeout(self._tempo.open_timeout_s):
                await self._interrupt(source.open(self._resume))
        except TimeoutError as error:
            raise Disconnected(f"did not open within {self._tempo.open_timeout_s:g} s") from error

    async def _interrupt(self, waiting: Any) -> Any:
        """Wait for something that a stop may cut short."""
        self._interruptible = True
        try:
            return await waiting
        finally:
            self._interruptible = False

    async def _take(self, source: Source, intake: Intake) -> None:
        """Submit one intake and tell the source."""
        try:
            # What has no messages is the same to every stream.
            patient = not (source.sorted_by_stream and intake.messages)
            receipt = await self._submit(intake, synchronous=source.synchronous, patient=patient)
        except (Full, TooLarge) as full:
            await _give_back(source, intake, full)
            return
        except LogFailed as failed:
            if not source.synchronous:
                raise Disconnected(str(failed)) from failed
            await source.refuse(intake, Full(str(failed), what="node"))
            return
        except Closed as closed:
            if not source.synchronous:
                raise Disconnected("the engine is closed") from closed
            await source.refuse(intake, Full(str(closed), what="node"))
            return
        if intake.slab:
            await self.record([intake.slab], intake.meta, slab=True)
        elif intake.messages:
            await self.record(intake.messages, intake.meta, intake.metas)
        await source.ack(intake, receipt)
        if intake.position is not None:
            self._resume = intake.position

    async def _submit(self, intake: Intake, *, synchronous: bool, patient: bool = True) -> Receipt:
        """Submit all pieces of an intake, waiting for room.

        Raises:
            Full: there was no room for `room_timeout_s`, only for a synchronous source; or there is none, if
                not `patient`.
        """
        keeps = self._durable and intake.position is not None
        if not intake.messages and not intake.slab and not keeps:
            return Receipt()
        common: dict[str, Any] = {"meta": intake.meta or None, "ack": intake.ack, "synchronous": synchronous}
        if keeps:
            common["position"] = intake.position
        if intake.slab is None:
            messages, metas = intake.messages, intake.metas
            if metas is not None and len(metas) != len(messages):
                raise AdapterError(f"{len(messages)} messages with {len(metas)} metas")
            if isinstance(messages, Blocks):
                size, metas = messages.size, None  # It says itself whose they are.
            else:
                messages = list(messages)
                size, metas = sum(map(len, messages)), None if metas is None else list(metas)
            call = partial(self._engine.submit, self._name, messages, metas=metas, **common)
            return await self._when_room(call, size, synchronous, patient=patient)
        slab = intake.slab
        whole = Whole()
        while True:
            resume = whole.resume
            call = partial(self._engine.submit_lines, self._name, slab, resume=resume, **common)
            piece = await self._when_room(
                call,
                len(slab) - (resume[0] if resume else 0),
                synchronous,
            )
            whole.add(piece)
            if whole.resume is None:
                return whole.receipt()

    async def _when_room(
        self,
        call: Callable[[], Receipt],
        size: int,
        synchronous: bool,  # noqa: FBT001
        *,
        patient: bool = True,
    ) -> Receipt:
        """Call the engine, again after each wake-up while it is full."""
        deadline_s = asyncio.get_running_loop().time() + self._tempo.room_timeout_s
        with self._wakes.subscribe() as woken:
            while True:
                woken.clear()
                began = time.monotonic()
                try:
                    apart = self._durable or size >= THREAD_BYTES_MIN
                    receipt = await asyncio.to_thread(call) if apart else call()
                except Full as full:
                    self.pulse.detail = str(full)
                    left_s = deadline_s - asyncio.get_running_loop().time()
                    if not patient or (synchronous and left_s <= 0):
                        raise
                    pause_s = min(self._tempo.poll_s, left_s) if synchronous else self._tempo.poll_s
                    await self._interrupt(wait(woken, pause_s))
                else:
                    self.pulse.seconds.observe(time.monotonic() - began)
                    return receipt
                finally:
                    if self.pulse.state == "up":
                        self.pulse.detail = ""


async def _give_back(source: Source, intake: Intake, full: Full | TooLarge) -> None:
    """Tell a source that nothing of an intake was admitted, if it is one that can do something about that."""
    if isinstance(full, TooLarge) and not source.sorted_by_stream:
        raise full
    await source.refuse(intake, full)


class Whole:
    """The receipt of a slab that was submitted in pieces."""

    def __init__(self) -> None:
        self.resume: tuple[int, int] | None = None
        self._counts: dict[str, Any] = dict.fromkeys(
            ("accepted", "rejected", "duplicates", "filtered", "dropped"), 0
        )
        self._rejects: list[Any] = []
        self._level: str | None = None
        self._unsplittable = False
        self._last: Receipt | None = None
        self._pieces = 0

    def add(self, piece: Receipt) -> None:
        """Add the next piece.

        Raises:
            AdapterError: it did not go on, which would never end.
        """
        if piece.resume is not None and piece.resume == self.resume:
            raise AdapterError(f"a slab made no progress at byte {piece.resume[0]}")
        self.resume = piece.resume
        for name in self._counts:
            self._counts[name] += getattr(piece, name)
        self._rejects.extend(piece.rejects[: REJECTS_MAX - len(self._rejects)])
        levels = [piece.level] if self._level is None else [piece.level, self._level]
        self._level = min(levels, key=_LEVELS.index)
        self._unsplittable = self._unsplittable or piece.unsplittable
        self._last = piece
        self._pieces += 1

    def receipt(self) -> Receipt:
        """What became of the whole slab."""
        assert self._last is not None
        if self._pieces == 1:
            return self._last
        return Receipt(
            **self._counts,
            level=self._level or "memory",
            rejects=self._rejects,
            unsplittable=self._unsplittable,
        )
