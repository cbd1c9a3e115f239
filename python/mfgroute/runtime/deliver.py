"""One task per sink: poll, write, settle."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import msgspec

from mfgroute.adapter import Config, Context, Poster, Sink
from mfgroute.config.calendar import Calendar
from mfgroute.config.model import BatchSection, SinkSection
from mfgroute.errors import Closed, Disconnected, UnknownName
from mfgroute.events import Done, InDoubt, Outcome, Refused, Retry
from mfgroute.observe.health import Pulse
from mfgroute.observe.logs import get_logger
from mfgroute.runtime.guard import Guard
from mfgroute.runtime.linger import Linger
from mfgroute.runtime.memory import KeyMemory
from mfgroute.runtime.posting import Posting, Records
from mfgroute.runtime.supervise import Supervisor, close_quietly
from mfgroute.runtime.tempo import Tempo
from mfgroute.runtime.wakes import Wakes, wait
from mfgroute.runtime.withdrawing import TakenBack

_log = get_logger()
_REASON_MAX = 4096
_CODE_MAX = 64


class Deliver:
    """Hands the events of one sink to its adapter.

    Args:
        name: of the sink.
        kind: its adapter.
        config: the adapter's configuration.
        context: what the adapter is told.
        section: how hard the target may be pressed, and how one event has one effect there.
        calendar: when nothing is sent to it.
        sent: when events that may have arrived were sent first, by id; kept over a reload.
        records: what posters have posted; `None` where nothing is durable.
        engine: where events come from.
        wakes: wake-ups of the engine.
        pulse: what this task says about itself.
        tempo: the times.
        random: where jitter comes from.
        clock: seconds that only go forward.
        wall: seconds since 1970, for maintenance windows.
    """

    def __init__(
        self,
        name: str,
        *,
        kind: type[Sink],
        config: Config,
        context: Context,
        section: SinkSection,
        calendar: Calendar | None = None,
        sent: dict[str, float],
        records: Records | None = None,
        engine: Any,
        wakes: Wakes,
        pulse: Pulse,
        tempo: Tempo,
        random: Random,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.pulse = pulse
        self._name = name
        self._writes_max = kind.writes_max
        told = msgspec.structs.replace(context, unsettled=self._unsettled)
        self._make: Callable[[], Sink] = lambda: kind(config, told)
        self._in_hand = 0
        self._limits = limits = section.limits
        effect = section.effect
        self._repeatable = effect is not None and effect.repeatable
        kept_s = None if effect is None else effect.kept
        self._memory = KeyMemory(kept_s, margin_s=limits.timeout, sent=sent, clock=clock)
        self._posting = Posting(name, records=records, timeout_s=limits.timeout, wall=wall, clock=clock)
        self._guard = Guard(
            limits,
            section.retry,
            calendar=calendar,
            paced=kind.paced,
            tempo=tempo,
            random=random,
            clock=clock,
            wall=wall,
        )
        pulse.guard = self._guard
        self._clock = clock
        self._linger = Linger(
            engine, name, section.batch or BatchSection(), batch_max=kind.batch_max, clock=clock
        )
        self._engine = engine
        self._wakes = wakes
        self._tempo = tempo
        self._supervisor = Supervisor(pulse, tempo, random)
        self._writes: set[asyncio.Task[None]] = set()
        self._lost: Exception | None = None

    def start(self) -> asyncio.Task[None]:
        """Start the task."""
        return asyncio.create_task(self._supervisor.run(self._connection), name=f"sink {self._name}")

    def follow(self, calendar: Calendar | None) -> None:
        """Take another calendar; what is under way is not touched."""
        self._guard.follow(calendar)
        self._wakes.wake()

    def stop(self) -> None:
        """Poll no more. Writes under way are finished."""
        self._supervisor.stopping.set()
        self._wakes.wake()

    async def _connection(self) -> None:
        """The life of one connection."""
        await self._maintained()
        if self._supervisor.stopping.is_set():
            return
        sink = self._make()
        self._lost = None
        self.pulse.count_with(lambda: sink.counters, lambda: sink.details)
        try:
            self.pulse.enter("starting", self.pulse.detail)
            await self._open(sink)
            self.pulse.enter("up", proven=sink.watches)
            with self._wakes.subscribe() as woken:
                await self._pump(sink, woken)
        except asyncio.CancelledError:
            for task in self._writes:
                task.cancel()
            raise
        finally:
            await self._finish_writes()
            await close_quietly(sink, self.pulse, self._tempo.close_timeout_s)
            self.pulse.count_with(None)
        if self._lost is not None:
            raise self._lost

    async def _maintained(self) -> None:
        """Wait until no maintenance window is on: its target is not even connected to."""
        while self._guard.window() is not None:
            self.pulse.rest()
            if await wait(self._supervisor.stopping, self._tempo.poll_s):
                return

    async def _open(self, sink: Sink) -> None:
        """Open the sink, unless a stop comes first."""
        opening = asyncio.ensure_future(sink.open())
        stopping = asyncio.ensure_future(self._supervisor.stopping.wait())
        try:
            await asyncio.wait(
                (opening, stopping), timeout=self._tempo.open_timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            if opening.done():
                opening.result()
                return
            raise Disconnected(f"did not open within {self._tempo.open_timeout_s:g} s", sent=False)
        finally:
            for task in (opening, stopping):
                task.cancel()
            await asyncio.gather(opening, stopping, return_exceptions=True)

    async def _pump(self, sink: Sink, woken: asyncio.Event) -> None:
        """Keep up to `in_flight` writes going until the connection is lost or a stop comes."""
        while self._lost is None and not self._supervisor.stopping.is_set():
            woken.clear()
            if sink.lost is not None:
                self._lost = sink.lost
                return
            delay_s = self._guard.delay_s()
            if len(self._writes) >= min(self._guard.in_flight, self._writes_max):
                await asyncio.wait(self._writes, return_when=asyncio.FIRST_COMPLETED)
                continue
            if delay_s > 0:
                if self._guard.window() is not None:
                    self.pulse.rest()
                await wait(self._supervisor.stopping, min(delay_s, self._tempo.poll_s))
                continue
            try:
                batch = await self._linger.poll(woken, self._hastens)
            except (Closed, UnknownName):
                # The engine ends, or a reload has removed this sink.
                self._supervisor.stopping.set()
                return
            if self._guard.delay_s() > 0:
                # A window began, or the breaker opened, while more events were waited for.
                batch.release()
            elif len(batch):
                batch = self._guard.admit(batch)
                if len(batch):
                    self._guard.sent(batch.events)
                    self._start_write(sink, batch, woken)
            else:
                self.pulse.idle()
                due_s = self._engine.next_due_s(self._name)
                await wait(woken, self._tempo.poll_s if due_s is None else min(due_s, self._tempo.poll_s))

    def _hastens(self) -> bool:
        """Whether no fuller batch is waited for."""
        held = self._supervisor.stopping.is_set() or self._lost is not None
        return held or self._guard.delay_s() > 0

    def _start_write(self, sink: Sink, batch: Any, woken: asyncio.Event) -> None:
        self.pulse.begin()
        task = asyncio.create_task(self._write(sink, batch), name=f"sink {self._name}: a write")
        self._writes.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._writes.discard(task)
            woken.set()
            if not task.cancelled() and (error := task.exception()) is not None:
                self._lost = error if isinstance(error, Exception) else RuntimeError(repr(error))

        task.add_done_callback(ended)

    def _unsettled(self) -> int:
        """See `Context`. What was polled and is not being written yet counts as well."""
        found = self._engine.stats()["sinks"].get(self._name)
        return sys.maxsize if found is None else max(0, found["in_flight"] - self._in_hand)

    async def _write(self, sink: Sink, batch: Any) -> None:
        """Write one group and settle it, whatever happens."""
        held = len(batch)
        self._in_hand += held
        try:
            await self._write_group(sink, batch)
        finally:
            self._in_hand -= held

    async def _write_group(self, sink: Sink, batch: Any) -> None:
        began = self._clock()
        with batch:
            events = batch.events
            if isinstance(sink, Poster):
                outcomes: Sequence[Outcome | TakenBack] = await self._posting.run(sink, batch, events)
                self._lost, self._posting.lost = self._lost or self._posting.lost, None
            else:
                outcomes = await self._sent_or_held(sink, events)
            self._guard.answered(events, outcomes, reached=not _unreached(self._lost))
            self.pulse.seconds.observe(self._clock() - began)
            retries = [outcome for outcome in outcomes if isinstance(outcome, Retry)]
            if len(retries) == len(outcomes):
                self.pulse.give_back(retries[0].reason)
            else:
                self.pulse.progress()
            if any(isinstance(outcome, Done | Refused) for outcome in outcomes):
                self._supervisor.prosper()
            self._settle(batch, events, outcomes)

    async def _sent_or_held(self, sink: Sink, events: list[Any]) -> list[Outcome]:
        """Send the events, but none that the target may take for a new one."""
        if self._memory.is_empty:
            began = self._memory.now()
            said = await self._outcomes(sink, events)
            if any(isinstance(outcome, Retry) and outcome.sent for outcome in said):
                self._note(events, said, began)
            return said
        held: dict[str, Outcome] = {
            event.id: InDoubt(reason)
            for event in events
            if (reason := self._memory.forgotten(event.id)) is not None
        }
        fresh = [event for event in events if event.id not in held]
        began = self._memory.now()
        said = await self._outcomes(sink, fresh) if fresh else []
        self._note(fresh, said, began)
        for event_id in held:
            self._memory.forget(event_id)
        answers = iter(said)
        return [held.get(event.id) or next(answers) for event in events]

    def _note(self, events: list[Any], outcomes: list[Outcome], began: float) -> None:
        """Remember what may have arrived, and forget what is settled."""
        for event, outcome in zip(events, outcomes, strict=True):
            if not isinstance(outcome, Retry):
                self._memory.forget(event.id)
            elif outcome.sent:
                self._memory.note(event.id, began)

    async def _outcomes(self, sink: Sink, events: list[Any]) -> list[Outcome]:
        """What became of each event; every failure of the adapter is one of the four outcomes."""
        try:
            async with asyncio.timeout(self._limits.timeout):
                outcomes = await sink.write(events)
        except Disconnected as error:
            self._lost = error
            outcome = self._unknown(str(error)) if error.sent else Retry(reason=str(error))
            return [outcome] * len(events)
        except TimeoutError:
            return [self._unknown(f"no answer within {self._limits.timeout:g} s")] * len(events)
        except asyncio.CancelledError:
            return [self._unknown("stopped while writing")] * len(events)
        except Exception as error:  # noqa: BLE001 - a fault of this sink alone
            self._lost = error
            return [InDoubt(f"{type(error).__name__}: {error}")] * len(events)
        if len(outcomes) != len(events):
            message = f"{len(outcomes)} outcomes for {len(events)} events"
            _log.error("the adapter broke its contract", sink=self._name, reason=message)
            return [InDoubt(message)] * len(events)
        return outcomes

    def _unknown(self, reason: str) -> Outcome:
        """Sent, and no answer: an outage must not set aside what the target can be sent again."""
        return Retry(reason=reason, sent=True) if self._repeatable else InDoubt(reason)

    def _settle(self, batch: Any, events: list[Any], outcomes: Sequence[Outcome | TakenBack]) -> None:
        if all(isinstance(outcome, Done) and outcome.reference is None for outcome in outcomes):
            batch.done_all()
            return
        first = outcomes[0]
        if type(first) is Retry and all(outcome == first for outcome in outcomes):
            # One request failed. It is one request again, and not as many as it had events.
            after_s, reason = self._clamped_s(first.after_s), first.reason[:_REASON_MAX]
            batch.retry_all(after_s=after_s, reason=reason, judged=first.judged)
            return
        for event, outcome in zip(events, outcomes, strict=True):
            match outcome:
                case Done(reference):
                    batch.done(event, reference=reference)
                case Refused(code, reason):
                    batch.refused(event, code, reason[:_REASON_MAX])
                case Retry(after_s=after_s, reason=reason, judged=judged):
                    batch.retry(
                        event, after_s=self._clamped_s(after_s), reason=reason[:_REASON_MAX], judged=judged
                    )
                case TakenBack(reason):
                    batch.taken_back(event, reason[:_REASON_MAX])
                case InDoubt(reason, code):
                    batch.in_doubt(event, reason[:_REASON_MAX], code=code[:_CODE_MAX])
                case _:
                    _log.error(
                        "the adapter broke its contract", sink=self._name, reason=f"outcome {outcome!r}"
                    )
                    batch.in_doubt(event, f"unknown outcome {type(outcome).__name__}")

    def _clamped_s(self, after_s: float | None) -> float | None:
        """A target's wish, between 0 and `retry_max_s`; none when it makes no sense."""
        known = None if after_s is None or math.isnan(after_s) else max(0.0, after_s)
        wish_s = self._guard.after_s(known)
        return None if wish_s is None else min(wish_s, self._tempo.retry_max_s)

    async def _finish_writes(self) -> None:
        """Wait for writes under way; each has its own timeout."""
        while self._writes:
            await asyncio.wait(self._writes)


def _unreached(lost: Exception | None) -> bool:
    """Whether a connection was lost before anything was sent on it."""
    return isinstance(lost, Disconnected) and not lost.sent
