"""What the system knows and how it is set: master data and switches."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

import msgspec

from mfgroute.testing.simulators.documents import Order
from mfgroute.testing.simulators.s4.store import Row, Unit
from mfgroute.testing.simulators.s4.wire import amount, plain

__all__ = ["ISO", "S4Setup", "Stock", "Switches", "sap_unit", "take"]

#: Unit codes inside the system and the ISO codes they are sent and received with.
ISO = {
    "PC": "PCE",
    "ST": "PCE",
    "EA": "EA",
    "KG": "KGM",
    "G": "GRM",
    "TO": "TNE",
    "M": "MTR",
    "L": "LTR",
    "H": "HUR",
    "MIN": "MIN",
}
State = Literal["created", "released", "technically_completed", "closed"]


class Stock(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Stock of a material at a place.

    Attributes:
        kind: ``unrestricted``, ``quality`` (in inspection) or ``blocked``.
    """

    plant: str
    storage_location: str
    material: str
    quantity: str
    batch: str = ""
    kind: Literal["unrestricted", "quality", "blocked"] = "unrestricted"


class InspectionLot(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An inspection lot that waits for its usage decision; it holds the stock of its batch."""

    number: str
    plant: str
    storage_location: str
    material: str
    batch: str
    quantity: str


class S4Setup(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Master data. Taking more of it adds to what is there.

    Attributes:
        orders: orders, by default released.
        states: of orders, by number.
        automatic_receipt: orders whose last operation posts the receipt of its yield by itself.
        batches: ``PLANT/MATERIAL/BATCH``.
        stock: set as it is, whatever was there.
        serialized: materials with serial numbers.
        closed_periods: months in which nothing may be posted: ``2026-10``.
        open_periods: months that open again.
        inspection_lots: lots without a usage decision.
    """

    orders: list[Order] = []
    states: dict[str, State] = {}
    automatic_receipt: list[str] = []
    batches: list[str] = []
    stock: list[Stock] = []
    serialized: list[str] = []
    closed_periods: list[str] = []
    open_periods: list[str] = []
    inspection_lots: list[InspectionLot] = []


class Switches(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How the system is configured.

    Attributes:
        repeatability: what ``RequestID`` with ``RepeatabilityCreation`` does: ``accepted``; ``ignored``
            without a word; ``unsupported``, which refuses the request.
        response_kept_s: how long a repeat gets the first answer; after that until `id_kept_s` it is
            outdated, and later the key is forgotten.
        id_kept_s: how long a key is remembered.
        repeat_failures: whether a repeat also gets an answer that was a refusal.
        csrf: whether a modifying request needs a token.
        token_s: how long a token lasts.
        users: passwords by user; empty lets anybody in.
        backflush: who moves the stock when a confirmation lists no goods movements: the system itself.
        failed_movements: what goods movements that are listed and cannot be posted do to their
            confirmation: it is refused, or it is saved without them. Those of a backflush never hinder it.
        final_after_final: whether an operation may be confirmed as final again.
        negative_stock: whether stock may become negative.
        check_batches: whether a batch must exist before it is issued.
        cancel_needs_etag: whether the cancellation of a confirmation needs ``If-Match``.
        full_answers: whether the answer to a new material document holds its items.
        wrap_errors: whether a single message is wrapped in a general one as several are.
        page_max: most entities in one page of an answer; 0 for no limit.
        job_document: whether the place to ask for work that was accepted tells its state in a document.
        work_s: how long a modifying request takes, its orders locked meanwhile.
        lock_status: of the refusal of what another request works on.
        codes: other codes for messages, by our name of the message.
        company_code: that periods are of.
        user: that did what was not logged on for.
    """

    repeatability: Literal["accepted", "ignored", "unsupported"] = "accepted"
    response_kept_s: float = 21_600.0
    id_kept_s: float = 43_200.0
    repeat_failures: bool = False
    csrf: bool = True
    token_s: float = 1_800.0
    users: dict[str, str] = {}
    backflush: bool = True
    failed_movements: Literal["refuse", "save"] = "refuse"
    final_after_final: bool = False
    negative_stock: bool = True
    check_batches: bool = True
    cancel_needs_etag: bool = False
    full_answers: bool = True
    wrap_errors: bool = False
    page_max: int = 0
    job_document: bool = False
    work_s: float = 0.0
    lock_status: int = 400
    codes: dict[str, str] = {}
    company_code: str = "1010"
    user: str = "MFGROUTE"


def sap_unit(code: str) -> str:
    """The internal code of a unit that master data give by its ISO code."""
    return next((sap for sap, iso in ISO.items() if iso == code), code)


def take(unit: Unit, setup: S4Setup) -> None:
    """Put master data into the tables."""
    for order in setup.orders:
        unit.put("orders", plain(order.number), _order(order))
    for number, state in setup.states.items():
        unit.put("orders", number, {**_known(unit, number), "state": state})
    for number in setup.automatic_receipt:
        unit.put("orders", number, {**_known(unit, number), "automatic_receipt": True})
    for name in setup.batches:
        plant, material, batch = name.split("/")
        put_batch(unit, plant, material, batch)
    for stock in setup.stock:
        _put_stock(unit, stock)
    for material in setup.serialized:
        unit.put("serialized", material, {})
    for period in (*setup.closed_periods, *setup.open_periods):
        unit.put("periods", period, {"open": period in setup.open_periods})
    for lot in setup.inspection_lots:
        _put_lot(unit, lot)


def _put_stock(unit: Unit, stock: Stock) -> None:
    key = stock_key(stock.plant, stock.storage_location, stock.material, stock.batch, stock.kind)
    unit.put("stock", key, {"quantity": amount(Decimal(stock.quantity))})
    if stock.batch:
        put_batch(unit, stock.plant, stock.material, stock.batch)


def stock_key(plant: str, place: str, material: str, batch: str, kind: str) -> str:
    """The key of a stock in its table."""
    return f"{plant}/{place}/{material}/{batch}/{kind}"


def put_batch(unit: Unit, plant: str, material: str, batch: str) -> None:
    """Add a batch, unless it exists."""
    key = f"{material}/{plant}/{batch}"
    if unit.get("batches", key) is None:
        row = {"Material": material, "BatchIdentifyingPlant": plant, "Batch": batch, "version": 1}
        unit.put("batches", key, row)


def _put_lot(unit: Unit, lot: InspectionLot) -> None:
    put_batch(unit, lot.plant, lot.material, lot.batch)
    quantity = amount(Decimal(lot.quantity))
    key = stock_key(lot.plant, lot.storage_location, lot.material, lot.batch, "quality")
    unit.put("stock", key, {"quantity": quantity})
    row = {
        "InspectionLot": lot.number,
        "Material": lot.material,
        "Batch": lot.batch,
        "Plant": lot.plant,
        "InspectionLotStorageLocation": lot.storage_location,
        "InspectionLotQuantity": quantity,
    }
    unit.put("lots", lot.number, row)


def _known(unit: Unit, number: str) -> Row:
    order = unit.get("orders", number)
    if order is None:
        raise KeyError(f"order {number}")
    return order


def _order(order: Order) -> Row:
    row: dict[str, Any] = msgspec.to_builtins(order)
    row["number"] = plain(order.number)
    row["unit"] = sap_unit(order.unit)
    row["state"] = "released"
    row["automatic_receipt"] = False
    for operation in row["operations"]:
        operation["confirmation_group"] = plain(operation["confirmation_group"])
        for component in operation["components"]:
            component["unit"] = sap_unit(component["unit"])
    return row
