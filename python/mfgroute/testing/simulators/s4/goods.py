"""Goods movements: what a material document does to the stock, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from mfgroute.testing.simulators.s4.master import ISO, Switches, put_batch, stock_key
from mfgroute.testing.simulators.s4.messages import Detail, ODataError, refusal
from mfgroute.testing.simulators.s4.model import HEADER, ITEM, SERIAL
from mfgroute.testing.simulators.s4.store import Row, Unit
from mfgroute.testing.simulators.s4.wire import amount, quantity

__all__ = ["MOVEMENTS", "Goods", "Movement", "Posted", "unit_of"]

How = Literal["entered", "automatic", "reversal"]
_FIRST_DOCUMENT = 4_900_000_001


class Movement(NamedTuple):
    """A movement type.

    Attributes:
        code: the goods movement code it is entered with; ``06`` takes any.
        reversal: type that undoes it.
        effect: what it does to the stock: (kind, sign, whether at the receiving place).
        order: whether it is posted for an order.
    """

    code: str
    reversal: str
    effect: tuple[tuple[str, int, bool], ...]
    order: bool = False


_IN = (("unrestricted", 1, False),)
_OUT = (("unrestricted", -1, False),)
_MOVE = (("unrestricted", -1, False), ("unrestricted", 1, True))
_BACK = (("unrestricted", 1, False), ("unrestricted", -1, True))
_BLOCK = (("unrestricted", -1, False), ("blocked", 1, False))
_FREE = (("unrestricted", 1, False), ("blocked", -1, False))

MOVEMENTS = {
    "101": Movement("02", "102", _IN, order=True),
    "102": Movement("02", "101", _OUT, order=True),
    "201": Movement("03", "202", _OUT),
    "202": Movement("03", "201", _IN),
    "261": Movement("03", "262", _OUT, order=True),
    "262": Movement("03", "261", _IN, order=True),
    "311": Movement("04", "312", _MOVE),
    "312": Movement("04", "311", _BACK),
    "321": Movement("04", "322", (("quality", -1, False), ("unrestricted", 1, False))),
    "322": Movement("04", "321", (("quality", 1, False), ("unrestricted", -1, False))),
    "343": Movement("04", "344", _FREE),
    "344": Movement("04", "343", _BLOCK),
    "501": Movement("05", "502", _IN),
    "502": Movement("05", "501", _OUT),
    "531": Movement("05", "532", _IN, order=True),
    "532": Movement("05", "531", _OUT, order=True),
    "551": Movement("03", "552", _OUT),
    "552": Movement("03", "551", _IN),
}
#: Types that may also be entered with the code of a receipt for an order.
_ALSO_02 = ("531", "532")


class Posted(NamedTuple):
    """What became of a material document.

    Attributes:
        header: the document, or `None` when no item could be posted.
        items: its items.
        movements: the same as the ledger shows them.
        failed: items that could not be posted, with the message.
    """

    header: Row | None
    items: list[Row]
    movements: list[dict[str, Any]]
    failed: list[dict[str, Any]]


def unit_of(row: Row, name: str) -> str:
    """The internal code of a unit that may be given in three properties."""
    iso = row.get(f"{name}ISOCode")
    given: str = row.get(f"{name}SAPCode") or row.get(name) or ""
    if not given and iso:
        return next((sap for sap, code in ISO.items() if code == iso), iso)
    return given


class Goods:
    """Posts material documents.

    Args:
        switches: how the system is configured.
        today: the day, for what comes without a date.
    """

    def __init__(self, switches: Switches, today: Callable[[], date]) -> None:
        self._switches = switches
        self._today = today

    def check_period(self, unit: Unit, day: str) -> None:
        """Refuse a closed period; open ones are said to be this month and, unless closed, the one before."""
        if _closed(unit, day):
            today = self._today()
            before = today.replace(day=1) - timedelta(days=1)
            first = today if _closed(unit, before.isoformat()) else before
            raise refusal("period", f"{today:%Y/%m}", f"{first:%Y/%m}", self._switches.company_code)

    def post(
        self,
        unit: Unit,
        header: Row,
        items: Sequence[Row],
        *,
        origin: str,
        how: How = "entered",
        partly: bool = False,
    ) -> Posted:
        """Post a document.

        Args:
            unit: to post in.
            header: of the document, without a number.
            items: with ``serials`` where they have any.
            origin: what the ledger says it comes from: ``document``, ``confirmation`` or ``backflush``.
            how: what is checked: ``automatic`` movements have no goods movement code and no serial numbers,
                ``reversal`` takes over what the reversed document says.
            partly: whether items that cannot be posted are left out.

        Raises:
            ODataError: with one detail for each item that cannot be posted.
        """
        day = header["PostingDate"] or self._today().isoformat()
        self.check_period(unit, day)
        code = header["GoodsMovementCode"] if how == "entered" else ""
        good, failed = [], []
        for item in items:
            mark = unit.mark()
            try:
                self._check(unit, item, code, how)
                self._apply(unit, item)
                good.append(item)
            except ODataError as error:
                unit.roll_back(mark)
                failed.append((item, error))
        left_out = [_left_out(item, error, origin) for item, error in failed]
        if failed and not partly:
            raise self._wrapped([error for _, error in failed])
        if not good:
            return Posted(None, [], [], left_out)
        head = self._put_header(unit, header, day)
        rows = [self._put_item(unit, head, item, place) for place, item in enumerate(good, 1)]
        return Posted(head, rows, [_moved(row, origin) for row in rows], left_out)

    def _put_header(self, unit: Unit, header: Row, day: str) -> Row:
        head = {
            **HEADER.empty(),
            **header,
            "MaterialDocument": str(unit.next_number("documents", _FIRST_DOCUMENT)),
            "MaterialDocumentYear": day[:4],
            "PostingDate": day,
            "DocumentDate": header["DocumentDate"] or day,
            "CreationDate": self._today().isoformat(),
            "CreatedByUser": self._switches.user,
        }
        return unit.put(HEADER.table, HEADER.key(head), head)

    def _wrapped(self, failed: list[ODataError]) -> ODataError:
        if len(failed) == 1 and not self._switches.wrap_errors:
            return failed[0]
        details = [detail for error in failed for detail in error.details]
        general = refusal("movements_failed")
        status = max(error.status for error in failed)
        return ODataError(
            general.name, general.text, status=status, details=(*details, Detail(general.name, general.text))
        )

    def _put_item(self, unit: Unit, head: Row, item: Row, place: int) -> Row:
        row = {
            **ITEM.empty(),
            **{name: value for name, value in item.items() if name in ITEM.fields},
            "MaterialDocument": head["MaterialDocument"],
            "MaterialDocumentYear": head["MaterialDocumentYear"],
            "MaterialDocumentItem": str(place),
            "ManufacturingOrder": item["ManufacturingOrder"],
            **_units(unit_of(item, "EntryUnit")),
            "QuantityInBaseUnit": item["QuantityInEntryUnit"],
            "DebitCreditCode": "S" if MOVEMENTS[item["GoodsMovementType"]].effect[0][1] > 0 else "H",
        }
        unit.put(ITEM.table, ITEM.key(row), row)
        for serial in item.get("serials", ()):
            known = {**SERIAL.empty(), **serial, "Material": row["Material"]}
            known |= {name: row[name] for name in ITEM.keys}
            unit.put(SERIAL.table, SERIAL.key(known), known)
        return row

    def _check(self, unit: Unit, item: Row, code: str, how: How) -> None:
        kind = item["GoodsMovementType"]
        movement = MOVEMENTS.get(kind)
        codes = (movement.code, "06", *(("02",) if kind in _ALSO_02 else ())) if movement else ()
        if movement is None or (how == "entered" and code not in codes):
            raise refusal("movement_type", kind, code)
        for name in ("Material", "Plant"):
            if not item[name]:
                raise refusal("movement_missing", name.upper(), kind)
        if quantity(item["QuantityInEntryUnit"]) <= 0:
            raise refusal("movement_quantity", item["QuantityInEntryUnit"], item["Material"])
        if not unit_of(item, "EntryUnit"):
            raise refusal("movement_missing", "ENTRYUNIT", kind)
        if any(receiving for _, _, receiving in movement.effect) and not item["IssuingOrReceivingStorageLoc"]:
            raise refusal("movement_missing", "ISSUINGORRECEIVINGSTORAGELOC", kind)
        self._check_order(unit, item, movement, how)
        self._check_serials(unit, item, how)
        self._check_batch(unit, item, movement)
        if kind == "321" and self._in_inspection(unit, item):
            raise refusal("inspection_stock", item["Material"])

    def _check_order(self, unit: Unit, item: Row, movement: Movement, how: How) -> None:
        number = item["ManufacturingOrder"]
        kind = item["GoodsMovementType"]
        if not number:
            if movement.order:
                raise refusal("movement_missing", "MANUFACTURINGORDER", kind)
            return
        if not movement.order:
            raise refusal("movement_field", "MANUFACTURINGORDER", kind)
        if kind in ("101", "102") and how == "entered" and item["GoodsMovementRefDocType"] != "F":
            raise refusal("movement_field", "MANUFACTURINGORDER", kind)
        check_order(unit, number)

    @staticmethod
    def _check_serials(unit: Unit, item: Row, how: How) -> None:
        if how == "reversal" or unit.get("serialized", item["Material"]) is None:
            return
        if how == "automatic":
            raise refusal("serial_automatic", item["Material"])
        given = len(item.get("serials", ()))
        if given != quantity(item["QuantityInEntryUnit"]):
            raise refusal("serial_count", item["Material"], item["QuantityInEntryUnit"], given)

    def _check_batch(self, unit: Unit, item: Row, movement: Movement) -> None:
        batch = item["Batch"]
        if not batch:
            return
        if batch != batch.upper():
            raise refusal("batch_name", batch)
        known = unit.get("batches", f"{item['Material']}/{item['Plant']}/{batch}")
        if known is not None:
            if known["MatlBatchIsInRstrcdUseStock"] and movement.effect[0][:2] == ("unrestricted", -1):
                self._deficit(item, Decimal(0))
            return
        if movement.effect != _IN and self._switches.check_batches:
            raise refusal("batch_unknown", batch, item["Material"])
        put_batch(unit, item["Plant"], item["Material"], batch)

    @staticmethod
    def _in_inspection(unit: Unit, item: Row) -> bool:
        lots = unit.rows("lots", Material=item["Material"], Batch=item["Batch"])
        return not all(lot["InspectionLotHasUsageDecision"] for lot in lots)

    def _apply(self, unit: Unit, item: Row) -> None:
        """Change the stock.

        Raises:
            ODataError: there is not enough.
        """
        for kind, sign, receiving in MOVEMENTS[item["GoodsMovementType"]].effect:
            place = item["IssuingOrReceivingStorageLoc"] if receiving else item["StorageLocation"]
            key = stock_key(item["Plant"], place, item["Material"], item["Batch"], kind)
            row = unit.get("stock", key)
            before = quantity(row["quantity"]) if row is not None else Decimal(0)
            after = before + sign * quantity(item["QuantityInEntryUnit"])
            if sign < 0 and after < 0 and not self._switches.negative_stock:
                self._deficit(item, before)
            unit.put("stock", key, {"quantity": amount(after)})

    @staticmethod
    def _deficit(item: Row, there: Decimal) -> None:
        place = f"{item['Material']} {item['Plant']} {item['StorageLocation']} {item['Batch']}".rstrip()
        missing = quantity(item["QuantityInEntryUnit"]) - there
        raise refusal("deficit", amount(missing), unit_of(item, "EntryUnit"), place)

    def reverse(
        self, unit: Unit, header: Row, items: Sequence[Row], day: str | None, *, origin: str
    ) -> Posted:
        """Post the document that undoes items of one.

        Raises:
            ODataError: one of them is undone already, or the stock does not allow it.
        """
        for item in items:
            if item["GoodsMovementIsCancelled"]:
                raise refusal("document_reversed", item["MaterialDocument"])
        undone = [
            {
                **item,
                "GoodsMovementType": MOVEMENTS[item["GoodsMovementType"]].reversal,
                "ReversedMaterialDocument": item["MaterialDocument"],
                "ReversedMaterialDocumentYear": item["MaterialDocumentYear"],
                "ReversedMaterialDocumentItem": item["MaterialDocumentItem"],
                "MaterialDocumentPostingType": "1",
                "serials": unit.rows(SERIAL.table, **{name: item[name] for name in ITEM.keys}),
            }
            for item in items
        ]
        head = {**header, "PostingDate": day, "DocumentDate": None}
        posted = self.post(unit, head, undone, origin=origin, how="reversal")
        for item in items:
            unit.put(ITEM.table, ITEM.key(item), {**item, "GoodsMovementIsCancelled": True})
        return posted


def _closed(unit: Unit, day: str) -> bool:
    period = unit.get("periods", day[:7])
    return period is not None and not period["open"]


def check_order(unit: Unit, number: str) -> Row:
    """The order that something is posted for.

    Raises:
        ODataError: it does not exist, or its state forbids it.
    """
    order = unit.get("orders", number)
    if order is None:
        raise refusal("order_unknown", number)
    status = {"created": "CRTD", "technically_completed": "TECO", "closed": "CLSD"}.get(order["state"])
    if status is not None:
        raise refusal("order_status", status, number)
    return order


def _units(code: str) -> dict[str, str]:
    """A unit in the properties of an item, by each of its codes."""
    iso = ISO.get(code, code)
    return {
        f"{name}{suffix}": value
        for name in ("EntryUnit", "MaterialBaseUnit")
        for suffix, value in (("", code), ("SAPCode", code), ("ISOCode", iso))
    }


def _left_out(item: Row, error: ODataError, origin: str) -> dict[str, Any]:
    """A movement that was not posted, as the ledger shows it."""
    return {
        "movement_type": item["GoodsMovementType"],
        "material": item["Material"],
        "quantity": item["QuantityInEntryUnit"],
        "origin": origin,
        "message": error.text,
    }


def _moved(row: Row, origin: str) -> dict[str, Any]:
    """A movement as the ledger shows it."""
    return {
        "document": row["MaterialDocument"],
        "year": row["MaterialDocumentYear"],
        "item": row["MaterialDocumentItem"],
        "movement_type": row["GoodsMovementType"],
        "order": row["ManufacturingOrder"],
        "material": row["Material"],
        "plant": row["Plant"],
        "storage_location": row["StorageLocation"],
        "batch": row["Batch"],
        "quantity": row["QuantityInEntryUnit"],
        "unit": row["EntryUnit"],
        "origin": origin,
    }
