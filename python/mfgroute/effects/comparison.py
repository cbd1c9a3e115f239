"""One order: what plants reported, what each sink was brought to do, and what the targets say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from mfgroute.adapter import Held
from mfgroute.effects.lines import add, text
from mfgroute.effects.reported import REQUESTED, Part, Tally, contract_of, moves_itself

_ZERO = Decimal()

Document = dict[str, Any]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where an event stands at a sink.

    Attributes:
        state: as `trace` names it.
        posted: whether the effect is there, as far as is known here.
        reference: its document.
        said: code and message of the target, or the reason of a person.
    """

    state: str
    posted: bool
    reference: str | None = None
    said: str = ""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An event of an order.

    Attributes:
        event: the CloudEvent.
        sinks: where it stands, by sink; only those that it goes to.
    """

    event: Mapping[str, Any]
    sinks: Mapping[str, Standing]


class _At:
    """One sink's side of the comparison."""

    def __init__(self, sink: str, seen: Sequence[Seen], held: Mapping[str, Held] | None) -> None:
        wanted, posted = Tally(sink), Tally(sink)
        self.parts: dict[str, list[Part]] = {}
        self.events = [one for one in seen if sink in one.sinks]
        for one in self.events:
            standing = one.sinks[sink]
            if standing.state == "superseded":
                continue  # Another event stands in its place.
            self.parts[str(one.event["id"])] = wanted.count(one.event)
            if standing.posted:
                posted.count(one.event)
        self.sink = sink
        self.wanted, self.posted, self.unknown = wanted.sums, posted.sums, wanted.unknown
        self.held = None if held is None else {name: one for name, one in held.items() if name[:1] != "."}
        self.moves_itself = any(moves_itself(one.event) for one in self.events)

    @property
    def names(self) -> set[str]:
        names = {name for sums in (self.wanted, self.posted) for name, amount in sums.items() if amount}
        return names | {name for name, one in (self.held or {}).items() if one.amount}

    def side(self, name: str) -> Document:
        """The numbers of one amount, and how far they differ."""
        wanted, posted = self.wanted.get(name, _ZERO), self.posted.get(name, _ZERO)
        held = None if self.held is None else self.held.get(name, Held(amount=_ZERO))
        there = posted if held is None else held.amount
        own = self.moves_itself and name.startswith("movement/") and name not in self.wanted
        difference = _ZERO if own else add(there, wanted.copy_negate())
        # What is still to be sent is there already: booked by hand, or by a request without an answer.
        twice = not own and held is not None and held.amount != posted
        side: Document = {
            "reported": text(wanted),
            "posted": text(posted),
            "held": None if held is None else text(held.amount),
            "difference": text(difference) if difference or twice else None,
            "by_target": own,
        }
        if difference or twice:
            side["open"] = [self._open(one, name) for one in self.events if self._is_open(one, name)]
            if held is not None and held.amount != posted:
                side |= self._documents(name, held)
        return side

    def _is_open(self, one: Seen, name: str) -> bool:
        return not one.sinks[self.sink].posted and self._amount(one, name) != _ZERO

    def _amount(self, one: Seen, name: str) -> Decimal:
        amount = _ZERO
        for part in self.parts.get(str(one.event["id"]), []):
            amount = add(amount, part.amount) if part.name == name else amount
        return amount

    def _open(self, one: Seen, name: str) -> Document:
        standing = one.sinks[self.sink]
        parts = self.parts[str(one.event["id"])]
        return {
            "id": one.event["id"],
            "report": _report(one),
            "amount": text(self._amount(one, name)),
            "pointers": [part.pointer for part in parts if part.name == name],
            "state": standing.state,
            "said": standing.said,
        }

    def _documents(self, name: str, held: Held) -> Document:
        """Documents of the target that no answer named, and events whose document it does not count."""
        references = [one.sinks[self.sink].reference for one in self.events]
        known = "\n".join(one for one in references if one)
        strange = [document for document in held.documents if not _names(known, document)]
        missing = [
            {
                "id": one.event["id"],
                "report": _report(one),
                "amount": text(self._amount(one, name)),
                "document": reference,
            }
            for one, reference in zip(self.events, references, strict=True)
            if reference
            and self._amount(one, name)
            and not any(_names(reference, document) for document in held.documents)
        ]
        return {"unknown_documents": strange, "missing_documents": missing}


def compare(order: str, seen: Sequence[Seen], held: Mapping[str, Mapping[str, Held]]) -> Document:
    """Compare one order.

    Args:
        order: its key.
        seen: its events, in the order of admission.
        held: what targets say, for the sinks whose target could be asked.

    Returns:
        ``order``; ``rows``, one for each amount, with ``name``, ``reported`` and, for each sink in ``sinks``,
        ``reported`` to it, ``posted``, ``held``, ``difference`` (of what is there from what was reported;
        `None` without one; 0 where that agrees, and not with what was posted) and what is behind it;
        ``differences``; ``notes``.

    Raises:
        ValueError: a quantity of an event is no decimal.
    """
    whole = Tally()
    for some in seen:
        if not all(standing.state == "superseded" for standing in some.sinks.values()):
            whole.count(some.event)
    names = sorted({sink for one in seen for sink in one.sinks} | set(held))
    sides = [_At(sink, seen, held.get(sink)) for sink in names]
    rows: list[Document] = []
    for name in sorted({name for side in sides for name in side.names}):
        there = {side.sink: side.side(name) for side in sides if name in side.names}
        rows.append({"name": name, "reported": text(whole.sums.get(name, _ZERO)), "sinks": there})
    differences = sum(side["difference"] is not None for row in rows for side in row["sinks"].values())
    notes = [f"a reversal takes back the report `{one}`, which is not known here" for one in whole.unknown]
    notes += [note for one in seen if (note := _requested(one)) is not None]
    return {"order": order, "rows": rows, "differences": differences, "notes": notes}


def _requested(one: Seen) -> str | None:
    """What is said of a reversal that a person asked for: it is no matter of what plants reported."""
    data = one.event.get("data")
    if not isinstance(data, Mapping) or contract_of(str(one.event.get("type", "")), (REQUESTED,)) is None:
        return None
    what = data.get("reference") or data.get("event")
    return f"{data.get('sink')}: {data.get('by')} had {what} reversed: {data.get('reason')}"


def _report(one: Seen) -> str | None:
    data = one.event.get("data")
    return data.get("report") if isinstance(data, Mapping) else None


def _names(reference: str, document: str) -> bool:
    return re.search(rf"(?<![\w/]){re.escape(document)}(?![\w/])", reference) is not None
