"""Driving a poster: what is sent for an event is durable first, and an unknown outcome is never guessed."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from mfgroute.adapter import Effect, Poster, Request
from mfgroute.errors import Disconnected, LogFailed, MfgrouteError, NobodyFollows, RequestUnfit
from mfgroute.events import Absent, Accepted, Begun, Done, Event, InDoubt, NotYet, Outcome, Refused, Retry
from mfgroute.observe.logs import get_logger
from mfgroute.runtime.records import NoBooks, Records, Unasked, forgotten, recognised
from mfgroute.runtime.telling import of_event, of_request
from mfgroute.runtime.undoing import Made, Undoing, can_undo
from mfgroute.runtime.withdrawing import TakenBack, Withdrawing

__all__ = ["OUTCOME_MISSING", "Posting", "Records", "Unasked"]

_log = get_logger()
_Said = dict[str, Outcome | TakenBack]
_ACCEPTED_AFTER_S = 5.0
_OBJECT_AFTER_S = 0.5
#: Code of an event in doubt that its target accepted, and whose outcome it never told.
OUTCOME_MISSING = "outcome_missing"


class Posting:
    """The sender of one poster.

    Args:
        sink: its name.
        records: what has been posted; `None` where nothing is durable.
        timeout_s: longest wait for one call of the poster. A target may still be at work on a request for
            so long after it was sent, so it is not asked about it before.
        wall: seconds since 1970.
        clock: seconds, never set back.
    """

    def __init__(
        self,
        sink: str,
        *,
        records: Records | None,
        timeout_s: float,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sink = sink
        self._records = records
        self._undoing = Undoing(sink, records)
        self._withdrawing = Withdrawing(sink, records)
        self._timeout_s = timeout_s
        self._wall = wall
        self._clock = clock
        #: When each event that may have arrived was sent last; what is not in here was sent before we began.
        self._sent: dict[str, float] = {}
        #: Those of which certainly nothing has arrived, by no attempt, or nothing that counts any more.
        self._unsent: set[str] = set()
        #: How many tries of each event did not reach the target.
        self._misses: Counter[str] = Counter()
        #: Those whose accepted work is over without an effect. In the log it stands as an empty reference, at
        #: the latest when they are sent again.
        self._over: set[str] = set()
        self._began = clock()
        #: One at a time of those that are alone at their object is looked at and written down.
        self._objects = asyncio.Lock()
        #: Why the connection is lost.
        self.lost: Exception | None = None

    async def run(self, poster: Poster, batch: Any, events: Sequence[Event]) -> list[Outcome | TakenBack]:
        """Render, write down and post; say what became of each event, in order.

        Args:
            poster: who renders and sends.
            batch: what the events were handed out in.
            events: at most one of a key.
        """
        said: _Said = {}
        try:
            requests = await self._requests(poster, batch, events, said)
        except (LogFailed, NobodyFollows) as error:
            return [said.get(event.id) or Unasked(reason=str(error)) for event in events]
        if requests:
            said |= await self._posted(poster, batch, requests)
        for event_id, outcome in said.items():
            if not isinstance(outcome, Retry):
                self._sent.pop(event_id, None)
                self._unsent.discard(event_id)
                self._over.discard(event_id)
                self._misses.pop(event_id, None)
        return [said[event.id] for event in events]

    async def _requests(
        self, poster: Poster, batch: Any, events: Sequence[Event], said: _Said
    ) -> list[tuple[Event, Request]]:
        """What is to be sent now, written down; what is not is `said`."""
        await self._look_up(poster.effect, events, said)
        await self._booked(poster, batch, [event for event in events if event.id not in said], said)
        await self._withdraw(batch, [event for event in events if event.id not in said], said)
        fresh: list[Event] = []
        again: list[tuple[Event, Request]] = []
        for event in events:
            if event.id in said:
                continue
            if event.begun is None or not _tries(event):
                fresh.append(event)
                continue
            request = Request(key=event.begun.key, body=event.begun.body)
            outcome = await self._asked(poster, batch, event, event.begun, request)
            if isinstance(outcome, InDoubt):
                outcome = await self._unless_denied(event, outcome)
                if outcome is None:
                    self._unsent.add(event.id)
            if outcome is None:
                again.append((event, request))
            else:
                said[event.id] = outcome
        rendered = await self._rendered(poster, batch, fresh, said)
        for event, _ in again:
            if event.begun is not None and event.begun.accepted:
                # What was accepted before is over: from now on the outcome is that of this attempt.
                batch.accepted(event, "")
        await self._intend(batch, [(event, request, b"") for event, request in again])
        return again + rendered

    async def _withdraw(self, batch: Any, waiting: Sequence[Event], said: _Said) -> None:
        for event, found in await self._withdrawing.look_through(batch, waiting, self._misses):
            # Without its record the reversal would not know that nothing is to be reversed.
            if not isinstance(found, TakenBack) or await self._begin(batch, event, of_event(event)):
                said[event.id] = found

    async def _rendered(
        self, poster: Poster, batch: Any, events: list[Event], said: _Said
    ) -> list[tuple[Event, Request]]:
        """Requests of events that have none, written down."""
        made: list[tuple[Event, Request, bytes]] = []
        alone: list[tuple[Event, Request]] = []
        for event in events:
            one = await self._render(poster, event)
            if isinstance(one.outcome, Request) and one.outcome.alone:
                alone += await self._alone(poster, batch, event, one.outcome.object, said)
            elif isinstance(one.outcome, Request):
                made.append((event, one.outcome, self._about(poster, event, one.outcome, one.reverses)))
            else:
                await self._plan(batch, event, one)
                said[event.id] = self._judged(event, one.outcome)
        try:
            await self._intend(batch, made)
        except RequestUnfit:
            made = [entry for entry in made if await self._fits(batch, entry, said)]
        return alone + [(event, request) for event, request, _ in made]

    async def _alone(
        self, poster: Poster, batch: Any, event: Event, thing: str, said: _Said
    ) -> list[tuple[Event, Request]]:
        """Make the request of an event, and write it down, unless another one for its object is under way."""
        async with self._objects:
            try:
                other = self._records and await self._records.under_way(self._sink, thing, event.id)
            except MfgrouteError as error:
                said[event.id] = Unasked(reason=str(error))
                return []
            # What was under way a moment ago may be in the books by now.
            one = await self._render(poster, event)
            if other:
                reason = f"waits for event {other}, which is being posted to {thing}"
                one = Made(Retry(after_s=_OBJECT_AFTER_S, reason=reason, waits=True), one.reverses)
            if not isinstance(one.outcome, Request):
                await self._plan(batch, event, one)
                said[event.id] = self._judged(event, one.outcome)
                return []
            about = self._about(poster, event, one.outcome, one.reverses)
            return [(event, one.outcome)] * await self._fits(batch, (event, one.outcome, about), said)

    @staticmethod
    def _about(poster: Poster, event: Event, request: Request, reverses: str | None) -> bytes:
        return of_request(event, request, reverses=reverses, kept=can_undo(poster))

    async def _fits(self, batch: Any, entry: tuple[Event, Request, bytes], said: _Said) -> bool:
        """Write one request down; where it cannot be, its event is refused."""
        event = entry[0]
        try:
            await self._intend(batch, [entry])
        except RequestUnfit as error:
            refused = Refused("request_unfit", str(error))
            await self._plan(batch, event, Made(refused, adds=(entry[1].object, entry[1].amounts)))
            said[event.id] = refused
            return False
        return True

    async def _look_up(self, effect: Effect, events: Sequence[Event], said: _Said) -> None:
        """Find out which events were posted before, as far as this sender does not know of them itself.

        The log has forgotten what is long over, and a log that was restored may be older than the records.
        What somebody replays is sent to a target that recognises it: perhaps that was restored itself.
        """
        unknown = [one for one in events if one.id not in self._sent and one.id not in self._unsent]
        if self._records is None or not unknown:
            return
        known: dict[str, str | None] = {}
        try:
            if ids := [one.id for one in unknown if not one.replayed]:
                known |= await self._records.was_posted(self._sink, ids)
            replayed = [one.id for one in unknown if one.replayed]
            if replayed and (recent := recognised(effect, self._wall(), self._timeout_s)) is not None:
                known |= await self._records.was_posted(self._sink, replayed, recent)
        except MfgrouteError as error:
            said |= {one.id: Unasked(reason=str(error)) for one in unknown}
            return
        said |= {event_id: Done(reference) for event_id, reference in known.items()}

    async def _booked(self, poster: Poster, batch: Any, events: Sequence[Event], said: _Said) -> None:
        """End events that a person has booked by hand meanwhile: what they add is told, nothing is sent."""
        before = {} if self._records is None else self._records.booked_before(self._sink)
        for event in events:
            document = event.booked or before.get(event.id)
            if document is None:
                continue
            said[event.id] = Done(document)
            if event.begun is not None and event.begun.attempts:
                continue  # It was told when the request was written down.
            one = await self._render(poster, event)
            if isinstance(one.outcome, Retry):
                said[event.id] = one.outcome
            elif isinstance(one.outcome, Request):
                about = self._about(poster, event, one.outcome, one.reverses)
                if event.begun is None:
                    await self._begin(batch, event, about)
                else:
                    await self._intend(batch, [(event, one.outcome, about)])
            else:
                await self._plan(batch, event, one)

    async def _render(self, poster: Poster, event: Event) -> Made:
        books = NoBooks() if self._records is None else self._records.books(self._sink)
        try:
            return await self._undoing.render(poster, event, books)
        except MfgrouteError as error:
            # Books that cannot be read, or a target that must be asked first and is away.
            return Made(Retry(reason=str(error)))
        except Exception as error:  # noqa: BLE001 - nothing was sent; the event is at fault, or the poster
            _log.error("a request cannot be made", sink=self._sink, event_id=event.id, reason=repr(error))
            return Made(Refused("not_rendered", f"{type(error).__name__}: {error}"))

    async def _plan(self, batch: Any, event: Event, made: Made) -> None:
        """Write down that an event was looked at for which nothing is sent, so that its records begin."""
        await self._begin(batch, event, of_event(event, reverses=made.reverses, adds=made.adds))

    async def _begin(self, batch: Any, event: Event, about: bytes) -> bool:
        """Begin the records of an event without a request, unless it has some; say whether it has."""
        if event.begun is None:
            try:
                await asyncio.to_thread(batch.intend, [(event, "", b"", about)])
            except RequestUnfit as error:
                _log.warning("an event has no record", sink=self._sink, event_id=event.id, reason=str(error))
                return False
        return True

    async def _intend(self, batch: Any, entries: Iterable[tuple[Event, Request, bytes]]) -> None:
        rows = [(event, request.key, request.body, about) for event, request, about in entries]
        if rows:
            await asyncio.to_thread(batch.intend, rows)

    async def _asked(
        self, poster: Poster, batch: Any, event: Event, begun: Begun, request: Request
    ) -> Outcome | None:
        """What has become of a request that was written down before; `None` if it is to be sent (again)."""
        if begun.accepted and event.id not in self._over:
            return await self._followed(poster, batch, event, begun.accepted, request)
        if event.id in self._unsent:
            return None
        effect = poster.effect
        if effect.by == "lookup":
            return await self._looked_up(poster, event, request)
        if effect.by == "none" and effect.accept == "at_most_once":
            return InDoubt(f"sent {begun.attempts} times, and the outcome is unknown")
        if effect.by == "key" and effect.kept is not None:
            return forgotten(begun, effect.kept, self._wall(), self._timeout_s)
        return None

    async def _followed(
        self, poster: Poster, batch: Any, event: Event, reference: str, request: Request
    ) -> Outcome:
        """What the target says of a request that it accepted.

        If it says that the work is over and is to be done again, nobody asks for that work any more.
        """

        async def follow() -> tuple[Any]:
            return (await poster.follow(request, reference),)

        told = await self._call(follow, None)
        if not isinstance(told, tuple):
            # No answer: it stands as accepted.
            return cast("Retry", told)
        outcome = self._settled(batch, event, told[0], asked=True)
        if isinstance(told[0], NotYet | Retry) and isinstance(outcome, Retry):
            self._end_work(poster.effect, batch, event, sent=outcome.sent)
        if isinstance(told[0], Accepted) and isinstance(outcome, InDoubt) and poster.effect.by == "lookup":
            # It can be asked before a person is. What is not there may still come: it is not sent again.
            found = await self._looked_up(poster, event, request)
            return outcome if found is None or isinstance(found, InDoubt) else found
        return outcome

    def _end_work(self, effect: Effect, batch: Any, event: Event, *, sent: bool) -> None:
        """Accepted work is over without an effect: what comes next is up to the class."""
        self._over.add(event.id)
        if effect.repeatable or effect.by == "lookup":
            # Else only the target can say after a restart that nothing was done.
            batch.accepted(event, "")
        if not sent and effect.by != "lookup" and (effect.by != "key" or _tries(event) == 1):
            self._unsent.add(event.id)

    async def _unless_denied(self, event: Event, doubt: InDoubt) -> Outcome | None:
        """The doubt, or `None` where a person has ended it: the event was not posted, and is sent again.

        If no answer comes this time either, it is in doubt anew: its records say that it was sent again.
        """
        try:
            denied = self._records is not None and await self._records.is_denied(self._sink, event.id)
        except MfgrouteError as error:
            return Unasked(reason=str(error))
        return None if denied else doubt

    async def _looked_up(self, poster: Poster, event: Event, request: Request) -> Outcome | None:
        rest_s = self._timeout_s - (self._clock() - self._sent.get(event.id, self._began))
        if rest_s > 0:
            return Unasked(after_s=rest_s, reason="waiting until the target is asked what became of it")
        answer = await self._call(lambda: poster.ask(request), None)
        match answer:
            case Absent():
                return None
            case Done() | Refused() | InDoubt() | Retry():
                return answer
            case _:
                return InDoubt(f"the adapter answered {type(answer).__name__}")

    async def _posted(
        self, poster: Poster, batch: Any, requests: list[tuple[Event, Request]]
    ) -> dict[str, Outcome]:
        began = self._clock()
        effect, arrived = poster.effect, set()
        for event, _ in requests:
            if effect.by == "key" and _tries(event) and event.id not in self._unsent:
                # That this attempt does not arrive says nothing about those before it.
                arrived.add(event.id)
            self._unsent.discard(event.id)
            self._over.discard(event.id)
            self._sent[event.id] = began
        answers = await self._call(lambda: poster.post([request for _, request in requests]), poster)
        if not isinstance(answers, list):
            answers = [answers] * len(requests)
        elif len(answers) != len(requests):
            message = f"{len(answers)} outcomes for {len(requests)} requests"
            _log.error("the adapter broke its contract", sink=self._sink, reason=message)
            answers = [self._unknown(poster, message)] * len(requests)
        said: dict[str, Outcome] = {}
        for (event, _), answer in zip(requests, answers, strict=True):
            outcome = self._settled(batch, event, answer)
            if isinstance(outcome, InDoubt) and poster.effect.by == "lookup":
                # It can be asked before a person is.
                outcome = Retry(reason=outcome.reason, sent=True)
            if isinstance(outcome, Retry) and not outcome.sent and event.id not in arrived:
                self._unsent.add(event.id)
                self._misses[event.id] += isinstance(outcome, Unasked)
            said[event.id] = outcome
        return said

    async def _call(self, call: Callable[[], Any], poster: Poster | None) -> Any:
        """The answer of the adapter; each of its failures is an outcome.

        Args:
            call: what is awaited.
            poster: whose request is sent; `None` if it is only asked, which may be done again.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await call()
        except Disconnected as error:
            self.lost = error
            reason, sent = str(error), error.sent
        except TimeoutError:
            reason, sent = f"no answer within {self._timeout_s:g} s", True
        except Exception as error:  # noqa: BLE001 - a fault of this sink alone
            self.lost = error
            reason, sent = f"{type(error).__name__}: {error}", True
        if poster is None:
            return Retry(reason=reason)
        if not sent:
            return Unasked(reason=reason)
        return self._unknown(poster, reason)

    def _unknown(self, poster: Poster, reason: str) -> Outcome:
        """Sent, and no answer."""
        effect = poster.effect
        if effect.repeatable or effect.by == "lookup":
            return Retry(reason=reason, sent=True)
        return InDoubt(reason)

    def _settled(self, batch: Any, event: Event, answer: Any, *, asked: bool = False) -> Outcome:
        """An answer as one of the four outcomes; `asked` if it is one about what was accepted before."""
        match answer:
            case Accepted():
                return self._accepted(batch, event, answer, asked=asked)
            case NotYet() | Done() | Refused() | Retry() | InDoubt():
                return self._judged(event, answer)
        _log.error("the adapter broke its contract", sink=self._sink, reason=f"outcome {answer!r}")
        return InDoubt(f"unknown outcome {type(answer).__name__}")

    def _accepted(self, batch: Any, event: Event, answer: Accepted, *, asked: bool) -> Outcome:
        """Wait for the outcome, as long as the adapter says; the log knows since when, whatever restarts."""
        reference, begun = answer.reference, event.begun
        before = begun.accepted if asked and begun is not None else None
        if begun is not None and before is not None:
            age_s = self._wall() - begun.last_s
            if age_s > answer.within_s:
                reason = (
                    f"accepted as {reference} {age_s:.0f} s ago, and no outcome within {answer.within_s:g} s"
                )
                return InDoubt(reason, OUTCOME_MISSING)
        if before != reference:
            batch.accepted(event, reference)
        wait_s = _ACCEPTED_AFTER_S if answer.after_s is None else answer.after_s
        return Retry(after_s=wait_s, reason=f"accepted as {reference}", sent=True, waits=True)

    def _judged(self, event: Event, answer: Outcome | NotYet) -> Outcome:
        if not isinstance(answer, NotYet):
            return answer
        first_s = self._wall() if event.begun is None else event.begun.first_s
        if self._wall() - first_s > answer.within_s:
            return Refused(answer.code, f"{answer.reason} (for {answer.within_s:g} s)")
        return Retry(after_s=answer.after_s, reason=answer.reason, waits=True)


def _tries(event: Event) -> int:
    """How often a request was written down to be sent, as the log says."""
    return 0 if event.begun is None else event.begun.attempts
