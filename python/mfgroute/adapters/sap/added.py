"""What an event adds to its order: quantities of an operation, and movements. The names stand in `render`."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from mfgroute.adapter import Books
from mfgroute.adapters.sap import data as tables
from mfgroute.adapters.sap.fields import Unfit, number, operation_name, text

__all__ = ["Confirmed", "confirmed", "moved", "moved_alone"]

_ZERO = Decimal(0)


class Confirmed(NamedTuple):
    """The quantities of a confirmation.

    Attributes:
        thing: the order, as `Request.object`.
        where: the operation, as in the names of amounts.
        unit: of the quantities.
        amounts: ``yield``, ``scrap`` and ``rework``, running totals turned into increments.
        counts: the same by the names that amounts have.
    """

    thing: str
    where: str
    unit: str
    amounts: dict[str, Decimal]
    counts: dict[str, Decimal]


async def confirmed(data: Mapping[str, Any], books: Books, *, apart: bool) -> Confirmed:
    """The quantities that a confirmation reports.

    Args:
        data: of the event.
        books: of the sink.
        apart: whether it is scrap that was reported by an event of its own.

    Raises:
        Unfit: a quantity is none, or a running total does not fit what was posted.
    """
    site, order = text(data, "site"), text(data, "order")
    thing = f"order/{site}/{order}"
    where = operation_name(data.get("sequence"), text(data, "operation"), data.get("suboperation"))
    amounts, unit = _quantities(data, apart=apart)
    if data.get("quantity", {}).get("basis") == "total":
        amounts = _increments(amounts, where, unit, await books.posted(thing))
    counts = {f"operation/{where}/{name}/{unit}": value for name, value in amounts.items()}
    if apart:
        counts[f".apart/{where}/scrap/{unit}"] = amounts["scrap"]
    return Confirmed(thing, where, unit, amounts, counts)


def moved(data: Mapping[str, Any]) -> dict[str, Decimal]:
    """The amounts of the movements that a confirmation lists.

    Raises:
        Unfit: a movement has no direction that is known, or no quantity.
    """
    found: dict[str, Decimal] = {}
    for one in data.get("movements") or []:
        move = tables.move_of("confirmation", one.get("direction"))
        if move is None:
            raise Unfit("direction_unknown", f"a movement has the direction {one.get('direction')!r}")
        name = f"movement/{move.counts}/{one.get('material')}/{one.get('unit')}"
        found[name] = found.get(name, _ZERO) + move.sign * number(one, "quantity")
    return found


def moved_alone(name: str, data: Mapping[str, Any]) -> tuple[str, dict[str, Decimal]]:
    """What a movement of its own is posted to, and its amount.

    Args:
        name: of the contract.
        data: of the event.

    Raises:
        Unfit: it has no direction that is known, or no quantity.
    """
    move = tables.move_of(name, data.get("direction"))
    if move is None:
        raise Unfit("direction_unknown", f"{name} has no direction {data.get('direction')!r}")
    said = data.get("quantity") or {}
    order = str(data.get("order") or "") if move.order else ""
    amount = f"movement/{move.counts}/{data.get('material')}/{said.get('unit', '')}"
    return _thing_of(name, data, order), {amount: move.sign * number(said, "value")}


def _thing_of(name: str, data: Mapping[str, Any], order: str) -> str:
    if name.startswith("quality."):
        return f"lot/{data.get('site')}/{data.get('material')}/{str(data.get('batch')).upper()}"
    if order:
        return f"order/{data.get('site')}/{order}"
    return f"stock/{data.get('site')}/{data.get('material')}"


def _quantities(data: Mapping[str, Any], *, apart: bool) -> tuple[dict[str, Decimal], str]:
    quantity = data.get("quantity") or {}
    unit = str(quantity.get("unit", ""))
    if apart:
        return {"yield": _ZERO, "scrap": number(quantity, "value"), "rework": _ZERO}, unit
    return {
        "yield": number(quantity, "good"),
        "scrap": number(quantity, "scrap"),
        "rework": number(quantity, "rework"),
    }, unit


def _increments(
    totals: Mapping[str, Decimal], where: str, unit: str, posted: Mapping[str, Decimal]
) -> dict[str, Decimal]:
    """What is missing of running totals."""
    made: dict[str, Decimal] = {}
    for name, total in totals.items():
        before = posted.get(f"operation/{where}/{name}/{unit}", _ZERO)
        if name == "scrap":
            before -= posted.get(f".apart/{where}/scrap/{unit}", _ZERO)
        other = [
            one.rpartition("/")[2]
            for one, value in posted.items()
            if one.startswith(f"operation/{where}/{name}/") and value and not one.endswith(f"/{unit}")
        ]
        if other:
            raise Unfit(
                "unit_changed", f"totals of operation {where} are in {unit}, and {other[0]} was posted before"
            )
        if total < before:
            said = (
                f"the total {name} of operation {where} is {total} {unit}, and {before} were posted already"
            )
            raise Unfit("total_below_posted", said)
        made[name] = total - before
    return made
