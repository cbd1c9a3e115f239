"""What events say was made and moved, by the names that amounts of an order have.

* ``operation/<operation>/yield|scrap|rework/<unit>``: confirmed at an operation
* ``movement/<type>/<material>/<unit>``: moved for the order; 101 receipt, 261 issue, 531 by-product. A
  reversal takes off under the name of what it reverses.

It is counted here from the events alone, apart from what a sink makes of them, so that a sink that posts
something else is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from mfgroute.effects.lines import add

_ZERO = Decimal()
_COMPLETED = "production.operation.completed"
_SCRAP = "production.scrap.reported"
_REVERSED = "production.confirmation.reversed"
#: What a person asks for; it takes back what one sink has posted.
REQUESTED = "integration.reversal.requested"
#: Movement type and sign of a movement event, by its direction; the first is meant where none is said.
_MOVED: dict[str, dict[str, tuple[str, int]]] = {
    "material.consumed": {"issue": ("261", 1), "issue_reversal": ("261", -1)},
    "material.byproduct.received": {"receipt": ("531", 1), "receipt_reversal": ("531", -1)},
    "material.finishedgoods.received": {"receipt": ("101", 1)},
}
#: The same of movements that stand in a confirmation.
_LISTED = {
    "issue": ("261", 1),
    "issue_reversal": ("261", -1),
    "receipt": ("101", 1),
    "receipt_reversal": ("101", -1),
    "byproduct": ("531", 1),
    "byproduct_reversal": ("531", -1),
}
#: Contracts of the events that are counted here.
COUNTED = (_COMPLETED, _SCRAP, _REVERSED, REQUESTED, *_MOVED)


class Part(msgspec.Struct, frozen=True):
    """What one place of an event adds to an amount of its order.

    Attributes:
        name: of the amount.
        amount: what is added; negative for a reversal.
        pointer: the place in the event's data.
    """

    name: str
    amount: Decimal
    pointer: str


class Tally:
    """Amounts of one order, event by event in the order of their admission.

    Args:
        sink: whose reversals that people asked for are counted; without one none is.

    Attributes:
        sums: by name.
        unknown: reports that a reversal takes back and no event said.
    """

    def __init__(self, sink: str | None = None) -> None:
        self.sums: dict[str, Decimal] = {}
        self.unknown: list[str] = []
        self._sink = sink
        self._running: dict[str, Decimal] = {}
        #: What can be taken back: the events that said a report, with their operations.
        self._reports: dict[str, dict[str, str]] = {}
        self._events: dict[str, list[Part]] = {}
        self._apart: set[str] = set()

    def count(self, event: Mapping[str, Any]) -> list[Part]:
        """Count an event, and say what it adds.

        A running total adds what it is above the reports before it; scrap that was reported apart is in none.

        Raises:
            ValueError: a quantity is no decimal.
        """
        data = event.get("data")
        contract = contract_of(str(event.get("type", "")), COUNTED)
        if not isinstance(data, Mapping) or contract is None:
            return []
        if contract == _REVERSED:
            return self._reverse(data)
        if contract == REQUESTED:
            mine = data.get("sink") == self._sink
            return self._take_back(str(data.get("event")), "/event") if mine else []
        parts = _moved(contract, data) if contract in _MOVED else self._confirmed(contract, data)
        for part in parts:
            self._add(part)
        event_id = str(event.get("id"))
        self._events[event_id] = parts
        if contract == _COMPLETED or (contract == _SCRAP and data.get("origin") == "in_process"):
            # A report id is one of its operation.
            self._reports.setdefault(str(data.get("report")), {})[event_id] = str(data.get("operation"))
        if contract == _SCRAP:
            self._apart.add(event_id)
        return parts

    def _confirmed(self, contract: str, data: Mapping[str, Any]) -> list[Part]:
        quantity = data.get("quantity") or {}
        where, unit = _operation(data), quantity.get("unit")
        if contract == _SCRAP:
            if data.get("origin") != "in_process":
                return []  # It takes from stock, which is no matter of the order.
            name = f"operation/{where}/scrap/{unit}"
            return _kept([Part(name, _decimal(quantity, "value"), "/quantity/value")])
        parts = []
        for kind, field in (("yield", "good"), ("scrap", "scrap"), ("rework", "rework")):
            name, value = f"operation/{where}/{kind}/{unit}", _decimal(quantity, field)
            before = self._running.get(name, _ZERO)
            if quantity.get("basis") == "total":
                value = add(value, before.copy_negate())
            self._running[name] = add(before, value)
            parts.append(Part(name, value, f"/quantity/{field}"))
        for index, one in enumerate(data.get("movements") or []):
            kind, sign = _LISTED[one["direction"]]
            amount = _signed(_decimal(one, "quantity"), sign)
            name = f"movement/{kind}/{one.get('material')}/{one.get('unit')}"
            parts.append(Part(name, amount, f"/movements/{index}/quantity"))
        return _kept(parts)

    def _reverse(self, data: Mapping[str, Any]) -> list[Part]:
        report, operation = str(data.get("reverses")), data.get("operation")
        known = self._reports.get(report, {})
        event_id = next((one for one in reversed(known) if operation in (None, known[one])), None)
        if event_id is None:
            self.unknown.append(report)
            return []
        del known[event_id]
        return self._take_back(event_id, "/reverses")

    def _take_back(self, event_id: str, pointer: str) -> list[Part]:
        """Take off what an event has added, unless that was done before."""
        taken = self._events.pop(event_id, [])
        parts = [Part(part.name, part.amount.copy_negate(), pointer) for part in taken]
        for part in parts:
            self._add(part)
            if part.name in self._running and event_id not in self._apart:
                self._running[part.name] = add(self._running[part.name], part.amount)
        return parts

    def _add(self, part: Part) -> None:
        self.sums[part.name] = add(self.sums.get(part.name, _ZERO), part.amount)


def contract_of(full_type: str, contracts: Iterable[str]) -> str | None:
    """The contract of a type such as ``com.example.material.consumed.v1``, if it is one of these."""
    bare = full_type.rpartition(".v")[0]
    return next((name for name in contracts if bare == name or bare.endswith(f".{name}")), None)


def moves_itself(event: Mapping[str, Any]) -> bool:
    """Whether an event leaves the movements to the target (backflush, automatic receipt)."""
    data = event.get("data")
    return isinstance(data, Mapping) and data.get("goods") == "by_erp"


def _moved(contract: str, data: Mapping[str, Any]) -> list[Part]:
    directions = _MOVED[contract]
    kind, sign = directions[data.get("direction") or next(iter(directions))]
    quantity = data.get("quantity") or {}
    name = f"movement/{kind}/{data.get('material')}/{quantity.get('unit')}"
    return _kept([Part(name, _signed(_decimal(quantity, "value"), sign), "/quantity/value")])


def _operation(data: Mapping[str, Any]) -> str:
    """``0020``, ``1-0020`` of another sequence than the standard one, ``0020.0010`` of a suboperation."""
    sequence, sub = data.get("sequence"), data.get("suboperation")
    before = f"{sequence}-" if sequence and str(sequence).strip("0") else ""
    return f"{before}{data.get('operation')}" + (f".{sub}" if sub else "")


def _signed(amount: Decimal, sign: int) -> Decimal:
    return amount if sign > 0 else amount.copy_negate()


def _kept(parts: list[Part]) -> list[Part]:
    return [part for part in parts if part.amount]


def _decimal(data: Mapping[str, Any], field: str) -> Decimal:
    """A quantity; 0 where there is none."""
    value = data.get(field)
    try:
        found = Decimal(0 if value is None else str(value))
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite():
        raise ValueError(f"`{field}` is {value!r}, expected a decimal")
    return found
