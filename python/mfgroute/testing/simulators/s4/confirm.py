"""Confirmations of operations: partial, final, automatic final, and their cancellation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

from mfgroute.testing.simulators.s4.goods import Goods, Posted, check_order, unit_of
from mfgroute.testing.simulators.s4.master import ISO, Switches
from mfgroute.testing.simulators.s4.messages import refusal
from mfgroute.testing.simulators.s4.model import CONFIRMATION, CONFIRMED_ITEM, FAILED, HEADER, ITEM
from mfgroute.testing.simulators.s4.store import Row, Unit
from mfgroute.testing.simulators.s4.wire import NO_GUID, ZERO, amount, plain, quantity

__all__ = ["Confirmations", "Confirmed", "find"]

_PLACES = Decimal("0.001")
_AMOUNTS = ("ConfirmationYieldQuantity", "ConfirmationScrapQuantity", "ConfirmationReworkQuantity")
_NOTHING = Posted(None, [], [], [])


class Confirmed(NamedTuple):
    """A confirmation that was saved, and what became of its goods movements."""

    row: Row
    goods: Posted


class Confirmations:
    """Saves and cancels confirmations.

    Args:
        switches: how the system is configured.
        goods: posts their goods movements.
        today: the day, for what comes without a date.
    """

    def __init__(self, switches: Switches, goods: Goods, today: Callable[[], date]) -> None:
        self._switches = switches
        self._goods = goods
        self._today = today

    def create(self, unit: Unit, given: Row, listed: Sequence[Row], *, fail_goods: bool = False) -> Confirmed:
        """Save a confirmation.

        Args:
            unit: to save in.
            given: its properties.
            listed: the goods movements that it lists.
            fail_goods: whether no goods movement can be posted.

        Raises:
            ODataError: it is refused.
        """
        order, operation = _operation(unit, given)
        day = given["PostingDate"] or self._today().isoformat()
        self._goods.check_period(unit, day)
        for name in _AMOUNTS:
            if quantity(given[name]) < 0:
                raise refusal("quantity", name, given[name])
        code = unit_of(given, "ConfirmationUnit") or order["unit"]
        if code != order["unit"]:
            raise refusal("unit", code, order["unit"])
        state = unit.get("operations", operation["confirmation_group"])
        if state is not None and state["finals"] > 0 and not self._switches.final_after_final:
            raise refusal("operation_final", order["number"], operation["number"])
        row = self._put(unit, order, operation, {**given, "PostingDate": day, "ConfirmationUnit": code})
        goods = self._move(unit, order, operation, row, listed, fail_goods=fail_goods)
        _count(unit, row, 1)
        return Confirmed(row, goods)

    def _put(self, unit: Unit, order: Row, operation: Row, given: Row) -> Row:
        group = operation["confirmation_group"]
        number = unit.next_number(f"confirmations/{group}", 1)
        row = {
            **CONFIRMATION.empty(),
            **given,
            "ConfirmationGroup": group,
            "ConfirmationCount": str(number),
            "OrderID": order["number"],
            "Sequence": "0",
            "OrderOperation": operation["number"],
            "Plant": order["site"],
            "Material": order["material"],
            "WorkCenter": given["WorkCenter"] or operation["work_center"][:8],
            "OrderPlannedTotalQty": amount(Decimal(order["quantity"])),
            "ProductionUnit": order["unit"],
            "ConfirmationUnitISOCode": ISO.get(given["ConfirmationUnit"], given["ConfirmationUnit"]),
            "ConfirmationUnitSAPCode": given["ConfirmationUnit"],
            "IsFinalConfirmation": self._final(unit, order, group, given),
            "ConfirmationEntryDate": self._today().isoformat(),
            "EnteredByUser": self._switches.user,
        }
        row["OrderConfirmationRecordType"] = "L40" if row["IsFinalConfirmation"] else "L20"
        return unit.put(CONFIRMATION.table, CONFIRMATION.key(row), row)

    @staticmethod
    def _final(unit: Unit, order: Row, group: str, given: Row) -> bool:
        """``X`` is final, ``1`` when the planned quantity is reached, nothing is partial."""
        kind = given["FinalConfirmationType"].strip()
        if kind not in ("", "X", "1"):
            raise refusal("value", "FinalConfirmationType", kind, "not one of ' ', 'X', '1'")
        if kind != "1":
            return kind == "X" or bool(given["IsFinalConfirmation"])
        state = unit.get("operations", group) or {"yield": ZERO, "scrap": ZERO}
        done = sum((quantity(given[name]) for name in _AMOUNTS[:2]), Decimal(0))
        done += quantity(state["yield"]) + quantity(state["scrap"])
        return done >= Decimal(order["quantity"])

    def _move(
        self, unit: Unit, order: Row, operation: Row, row: Row, listed: Sequence[Row], *, fail_goods: bool
    ) -> Posted:
        """Post what is listed or, when nothing is, what the order says moves by itself."""
        own = not listed and not row["APIConfHasNoGoodsMovements"] and self._switches.backflush
        items = _backflush(order, operation, row) if own else _completed(listed, order)
        if not items:
            return _NOTHING
        if fail_goods:
            failed = Posted(None, [], [], [_unposted(item) for item in items])
            self._keep_failed(unit, row, failed)
            return failed
        header = {**HEADER.empty(), "PostingDate": row["PostingDate"], "DocumentDate": None}
        posted = self._goods.post(
            unit,
            header,
            items,
            origin="backflush" if own else "confirmation",
            how="automatic",
            partly=own or self._switches.failed_movements == "save",
        )
        self._link(unit, row, posted)
        self._keep_failed(unit, row, posted)
        return posted

    @staticmethod
    def _keep_failed(unit: Unit, row: Row, posted: Posted) -> None:
        """Keep movements that could not be posted, to be posted by a person one day."""
        for place, one in enumerate(posted.failed, 1):
            known = {
                **FAILED.empty(),
                "FailedGoodsMovement": str(unit.next_number("failed", 1)),
                "FailedGoodsMovementItem": str(place),
                "ConfirmationGroup": row["ConfirmationGroup"],
                "ConfirmationCount": row["ConfirmationCount"],
                "OrderID": row["OrderID"],
                "Plant": row["Plant"],
                "Material": one["material"],
                "GoodsMovementType": one["movement_type"],
                "QuantityInEntryUnit": one["quantity"],
            }
            unit.put(FAILED.table, FAILED.key(known), known)

    @staticmethod
    def _link(unit: Unit, row: Row, posted: Posted) -> None:
        """Note which items of material documents belong to a confirmation."""
        for item in posted.items:
            known = {
                **CONFIRMED_ITEM.empty(),
                **{name: item[name] for name in CONFIRMED_ITEM.fields if name in item},
                "ConfirmationGroup": row["ConfirmationGroup"],
                "ConfirmationCount": row["ConfirmationCount"],
                "OrderID": row["OrderID"],
            }
            unit.put(CONFIRMED_ITEM.table, CONFIRMED_ITEM.key(known), known)

    def cancel(self, unit: Unit, parameters: dict[str, Any]) -> Confirmed:
        """Cancel a confirmation, its goods movements with it.

        Raises:
            ODataError: there is none, or it is cancelled already.
        """
        group, count = parameters["ConfirmationGroup"], parameters["ConfirmationCount"]
        row = find(unit, group, count)
        if row["IsReversed"] or row["IsReversal"]:
            raise refusal("confirmation_reversed", group, count)
        check_order(unit, row["OrderID"])
        day = parameters.get("PostingDate") or self._today().isoformat()
        self._goods.check_period(unit, day)
        number = unit.next_number(f"confirmations/{row['ConfirmationGroup']}", 1)
        undone = {
            **row,
            "ConfirmationCount": str(number),
            "IsReversal": True,
            "PostingDate": day,
            "ConfirmationText": parameters.get("ConfirmationText") or "",
            "ExternalSystemConfirmation": parameters.get("ExternalSystemConfirmation") or NO_GUID,
            "ConfirmationEntryDate": self._today().isoformat(),
        }
        unit.put(CONFIRMATION.table, CONFIRMATION.key(undone), undone)
        unit.put(CONFIRMATION.table, CONFIRMATION.key(row), {**row, "IsReversed": True})
        goods = self._undo_goods(unit, row, undone, day)
        _count(unit, row, -1)
        return Confirmed(undone, goods)

    def _undo_goods(self, unit: Unit, row: Row, undone: Row, day: str) -> Posted:
        """Reverse the movements of a confirmation that nobody has reversed since."""
        linked = unit.rows(CONFIRMED_ITEM.table, **{name: row[name] for name in CONFIRMATION.keys})
        found = [unit.get(ITEM.table, ITEM.key(item)) for item in linked]
        items = [item for item in found if item is not None and not item["GoodsMovementIsCancelled"]]
        if not items:
            return _NOTHING
        header = unit.get(HEADER.table, HEADER.key(items[0])) or HEADER.empty()
        posted = self._goods.reverse(unit, header, items, day, origin="cancellation")
        self._link(unit, undone, posted)
        return posted


def find(unit: Unit, group: str, count: str) -> Row:
    """A confirmation by its key, with or without leading zeros.

    Raises:
        ODataError: there is none.
    """
    row = unit.get(CONFIRMATION.table, f"{plain(group)}/{plain(count)}")
    if row is None:
        raise refusal("confirmation_unknown", group, count, status=404)
    return row


def _operation(unit: Unit, given: Row) -> tuple[Row, Row]:
    """The order and operation of a confirmation: named, or known by the confirmation group."""
    number, group = given["OrderID"], given["ConfirmationGroup"]
    if not number and group:
        for order in unit.rows("orders"):
            if any(operation["confirmation_group"] == group for operation in order["operations"]):
                number = order["number"]
    order = check_order(unit, number)
    wanted = given["OrderOperation"].zfill(4)
    for operation in order["operations"]:
        named = operation["number"] == wanted or operation["confirmation_group"] == group
        if named and not operation["deleted"]:
            return order, operation
    raise refusal("operation_unknown", number, given["OrderOperation"])


def _count(unit: Unit, row: Row, sign: int) -> None:
    """Add a confirmation to the sums of its operation, or take one away."""
    state = unit.get("operations", row["ConfirmationGroup"]) or {"finals": 0}
    sums: Row = {"finals": state["finals"] + sign * row["IsFinalConfirmation"]}
    for name, key in zip(("yield", "scrap", "rework"), _AMOUNTS, strict=True):
        sums[name] = amount(quantity(state.get(name, ZERO)) + sign * quantity(row[key]))
    unit.put("operations", row["ConfirmationGroup"], sums)


def _completed(listed: Sequence[Row], order: Row) -> list[Row]:
    """Listed movements with the order they belong to."""
    return [
        {**item, "ManufacturingOrder": order["number"], "Plant": item["Plant"] or order["site"]}
        for item in listed
    ]


def _backflush(order: Row, operation: Row, row: Row) -> list[Row]:
    """What moves by itself: components in proportion to yield and scrap, the yield at the last operation."""
    good, scrap = (quantity(row[name]) for name in _AMOUNTS[:2])
    planned = Decimal(order["quantity"])
    items = []
    for component in operation["components"]:
        needed = Decimal(component["quantity"]) * (good + scrap) / planned
        needed = needed.quantize(_PLACES, ROUND_HALF_UP)
        if component["backflush"] and needed > 0:
            what = {"Batch": component["batch"], "EntryUnit": component["unit"]}
            items.append(_own(order, component["material"], "261", needed, **what))
    last = [known["number"] for known in order["operations"] if not known["deleted"]][-1]
    if order["automatic_receipt"] and operation["number"] == last and good > 0:
        items.append(_own(order, order["material"], "101", good, EntryUnit=order["unit"]))
    return items


def _own(order: Row, material: str, kind: str, value: Decimal, **more: str) -> Row:
    return {
        **ITEM.empty(),
        "Material": material,
        "Plant": order["site"],
        "GoodsMovementType": kind,
        "GoodsMovementRefDocType": "F" if kind == "101" else "",
        "ManufacturingOrder": order["number"],
        "QuantityInEntryUnit": amount(value),
        **more,
    }


def _unposted(item: Row) -> dict[str, Any]:
    return {
        "movement_type": item["GoodsMovementType"],
        "material": item["Material"],
        "quantity": item["QuantityInEntryUnit"],
        "origin": "failed",
        "message": "could not be posted",
    }
