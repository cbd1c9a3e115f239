"""Taking back what was posted: what a person asks for, and reversals that arrive as events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from mfgroute.adapter import Books, Poster, Request
from mfgroute.effects.lines import Original, Sent, counts, ended_without
from mfgroute.effects.reported import REQUESTED, contract_of
from mfgroute.events import Done, Event, NotYet, Refused, Retry

__all__ = [
    "REQUESTED",
    "Made",
    "Remembered",
    "Undoing",
    "can_undo",
    "is_request",
    "may_take_back",
    "original_of",
    "takes_back",
]

#: Contracts whose `reverses` names a report that is taken back as a whole, and the `direction` that says so.
#: A confirmation with `reverses` is none of them: it stands in the place of another, and is posted anyway.
_TAKES_BACK = {
    "production.confirmation.reversed": None,
    "production.labor.reported": None,
    "logistics.goods.received": "receipt_reversal",
}
_LOOK_AGAIN_S = 5.0
#: How an original stands that has not ended, in words that follow "which".
_OPEN = {
    "refused": "was refused",
    "in_doubt": "is in doubt",
    "gave_up": "was given up after too many tries",
    "accepted": "is accepted and not done yet",
}


class Remembered(Protocol):
    """What is known of effects that have ended, and of those that wait for a person."""

    async def sent(self, sink: str, event_id: str) -> Sent | None:
        """What a sink was brought to do by an event; `None` if nothing is known of it."""

    async def originals(self, sink: str, key: str, report: str) -> Sequence[Original]:
        """The effects of the events of a key that have reported something."""


class Made(msgspec.Struct, frozen=True):
    """What was rendered for an event.

    Attributes:
        outcome: the request, or why there is none.
        reverses: id of the event whose effect it takes back, as far as that is known.
        adds: of a refusal, object and amounts that count where a person books the event by hand.
    """

    outcome: Request | Done | Refused | NotYet | Retry
    reverses: str | None = None
    adds: tuple[str, Mapping[str, Decimal]] | None = None


def is_request(event_type: str) -> bool:
    """Whether an event of this full type is what a person asks for."""
    return contract_of(event_type, (REQUESTED,)) is not None


def can_undo(poster: Any) -> bool:
    """Whether a poster, or its class, is a `Reverser`, and no setting of it is missing for that."""
    return callable(getattr(poster, "reverse", None)) and bool(getattr(poster, "reversible", True))


def original_of(sent: Sent | None) -> Request | Refused:
    """The request that an event was posted by, so that it can be undone.

    Args:
        sent: what is known of it.
    """
    if sent is None:
        return Refused("original_unknown", "nothing is known of the event that is to be reversed")
    if not counts(sent.state, sent.reference):
        return Refused("original_not_posted", f"the event that is to be reversed is {sent.state}, not posted")
    if sent.request is None or sent.request_key is None:
        said = (
            "what was sent is not kept: it is larger than 16 KiB, or was sent before requests were kept; "
            f"reverse {sent.reference or 'it'} in the target"
        )
        return Refused("request_not_kept", said)
    return Request(key=sent.request_key, body=sent.request, object=sent.object, amounts=sent.amounts)


class Undoing:
    """Renders events for one poster, those that take something back by what was posted before.

    Args:
        sink: its name.
        records: what has been posted; `None` where nothing is durable.
    """

    def __init__(self, sink: str, records: Remembered | None) -> None:
        self._sink = sink
        self._records = records

    async def render(self, poster: Poster, event: Event, books: Books) -> Made:
        """The request of an event, or why there is none. Sends nothing.

        Raises:
            MfgrouteError: the records or the target must be asked first, and cannot be now.
        """
        if is_request(event.type):
            data = _data(event)
            if data.get("sink") != self._sink:
                return Made(Done())
            return Made(await self._asked_for(poster, data, books), str(data.get("event")))
        report = None
        if self._records is not None and may_take_back(event.type):
            report = takes_back(event.type, msgspec.json.decode(event.json))
        if self._records is None or report is None:
            outcome = await poster.render(event, books)
            adds = await poster.adds(event, books) if isinstance(outcome, Refused) else None
            return Made(outcome, adds=adds)
        originals = await self._records.originals(self._sink, event.key, report)
        for one in originals:
            if not counts(one.state, one.reference) and not ended_without(one.state, one.reference):
                return Made(_waits(report, one), one.id)
        there = [one for one in originals if counts(one.state, one.reference)]
        newest = next((one.id for one in reversed(there or originals)), None)
        never = bool(originals) and not there
        recognised = poster.effect.by != "none"
        if never and all(one.is_absent(recognised=recognised) for one in originals):
            return Made(_nothing(report), newest)
        outcome = await poster.render(event, books)
        if never and isinstance(outcome, NotYet):
            # The target was asked: what nobody was sure of is not there.
            outcome = _nothing(report)
        return Made(outcome, newest)

    async def _asked_for(self, poster: Poster, data: dict[str, Any], books: Books) -> Request | Refused:
        if self._records is None or not can_undo(poster):
            return Refused("not_reversible", f"the adapter of {self._sink} cannot undo what it posted")
        sent = await self._records.sent(self._sink, str(data.get("event")))
        original = original_of(sent)
        if isinstance(original, Refused):
            return original
        reverser: Any = poster
        reference = sent.reference if sent is not None else None
        made: Request | Refused = reverser.reverse(
            original,
            reference or "",
            posted=await books.posted(original.object),
            reason=str(data.get("reason") or ""),
        )
        return made


def _data(event: Event) -> dict[str, Any]:
    data = msgspec.json.decode(event.json).get("data")
    return data if isinstance(data, dict) else {}


def may_take_back(event_type: str) -> bool:
    """Whether events of this full type may take a report back as a whole; `takes_back` says of one."""
    return contract_of(event_type, _TAKES_BACK) is not None


def takes_back(event_type: str, document: Mapping[str, Any]) -> str | None:
    """The report that an event takes back as a whole; `None` if it takes none back.

    Args:
        event_type: the full one.
        document: the CloudEvent.
    """
    contract, data = contract_of(event_type, _TAKES_BACK), document.get("data")
    if contract is None or not isinstance(data, Mapping):
        return None
    report, direction = data.get("reverses"), _TAKES_BACK[contract]
    if not isinstance(report, str) or (direction is not None and data.get("direction") != direction):
        return None
    return report


def _waits(report: str, one: Original) -> Retry:
    how = _OPEN.get(one.state, "is not sent yet")
    reason = f"waits for the report {report}, which {how} (event {one.id})"
    return Retry(after_s=_LOOK_AGAIN_S, reason=reason, waits=True)


def _nothing(report: str) -> Done:
    return Done(f"nothing to reverse: the report {report[:80]} was never posted")
