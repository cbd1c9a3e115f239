"""An ERP with a plain REST interface: orders, confirmations, goods movements and lot status.

It takes CloudEvents as they are, for sinks of the adapter `http`. Sinks that post to SAP have `s4`.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, ClassVar

import aiohttp
import msgspec

from mfgroute.testing.simulators.documents import Order, loipro
from mfgroute.testing.simulators.ledger import Refusal
from mfgroute.testing.simulators.server import CloudEvent, Made, Simulator

__all__ = ["ErpSetup", "ErpSimulator"]

_MOVEMENTS = {
    "material.consumed": {"issue": ("goods_issue", "261"), "issue_reversal": ("goods_issue_reversal", "262")},
    "material.byproduct.received": {
        "receipt": ("byproduct_receipt", "531"),
        "receipt_reversal": ("byproduct_reversal", "532"),
    },
    "material.finishedgoods.received": {"receipt": ("goods_receipt", "101")},
}
#: ISO codes of orders to the Rec 20 codes that confirmations carry.
_UNITS = {"PCE": "H87", "KGM": "KGM", "MTR": "MTR"}


class ErpSetup(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Master data.

    Attributes:
        orders: orders that may be confirmed.
        lots: batches in stock, by plant: ``DE07/L26-1119-01``.
        closed_periods: months in which nothing may be posted: ``2026-10``.
    """

    orders: list[Order] = []
    lots: list[str] = []
    closed_periods: list[str] = []


class ErpSimulator(Simulator):
    """A plain REST ERP that refuses what a real one refuses.

    It knows its orders and their operations, posts nothing into a closed period, restricts only batches
    that exist, and turns running totals into increments.
    """

    system: ClassVar[str] = "erp"
    accepts: ClassVar[dict[str, tuple[str, ...]]] = {
        "/confirmations": (
            "production.operation.completed",
            "production.scrap.reported",
            "production.confirmation.reversed",
        ),
        "/goods-movements": tuple(_MOVEMENTS),
        "/lot-status": ("quality.hold.placed", "quality.hold.released"),
    }

    def __init__(self, *, kept_s: float = 86_400.0, seed: int = 1, setup: ErpSetup | None = None) -> None:
        super().__init__(kept_s=kept_s, seed=seed)
        self.orders: dict[tuple[str, str], Order] = {}
        self.lots: dict[tuple[str, str], str] = {}
        self.closed_periods: set[str] = set()
        self._posted: dict[tuple[str, str, str], tuple[Decimal, Decimal]] = {}
        self._reports: dict[tuple[str, str, str], str] = {}
        self._idoc = 4_402_116
        self._take(setup or ErpSetup())

    def setup(self, document: dict[str, Any]) -> None:
        """Take over orders, lots and closed periods."""
        self._take(msgspec.convert(document, ErpSetup))

    def _take(self, setup: ErpSetup) -> None:
        for order in setup.orders:
            self.orders[order.site, order.number] = order
        for name in setup.lots:
            site, _, batch = name.partition("/")
            self.lots[site, batch] = "unrestricted"
        self.closed_periods.update(setup.closed_periods)

    async def release(self, order: Order, inbox: str, *, token: str = "", created: str) -> bytes:
        """Release an order: keep it, and send its IDoc to an inbox.

        Args:
            order: the order.
            inbox: URL to post to.
            token: bearer token of the inbox, if it has one.
            created: local time of the IDoc, ``YYYYMMDDHHMMSS``.

        Returns:
            The IDoc as it was sent, so that a test can send it again.
        """
        self.orders[order.site, order.number] = order
        self._idoc += 1
        document = loipro(order, docnum=self._idoc, created=created)
        headers = {"Content-Type": "application/xml"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        async with (
            aiohttp.ClientSession() as client,
            client.post(inbox, data=document, headers=headers) as answer,
        ):
            answer.raise_for_status()
        return document

    def make(self, name: str, event: CloudEvent) -> Made:
        """Post an event as confirmation, goods movement or change of a lot's status."""
        data = event.data
        if name.startswith("quality.hold."):
            return self._change_lot(name, data)
        order = self._order(data)
        self._check_period(data)
        if name == "production.confirmation.reversed":
            return self._reverse(data)
        if name in _MOVEMENTS:
            return self._move(name, data)
        self._check_operation(order, data)
        if name == "production.scrap.reported":
            kind = ("scrap_confirmation", "") if data["origin"] == "in_process" else ("scrap_issue", "551")
            return Made(kind[0], {"movement_type": kind[1]} if kind[1] else {})
        return self._confirm(order, data)

    def _order(self, data: dict[str, Any]) -> Order:
        order = self.orders.get((data["site"], data["order"]))
        if order is None:
            raise Refusal("order_unknown", f"order {data['order']} does not exist in plant {data['site']}")
        return order

    def _check_period(self, data: dict[str, Any]) -> None:
        posting_date = data.get("posting_date")
        if posting_date is None:
            return
        try:
            date.fromisoformat(posting_date)
        except ValueError:
            raise Refusal("date_invalid", f"posting date {posting_date} is not a date") from None
        if posting_date[:7] in self.closed_periods:
            raise Refusal("period_closed", f"posting period {posting_date[:7]} is closed")

    def _check_operation(self, order: Order, data: dict[str, Any]) -> None:
        known = {operation.number for operation in order.operations if not operation.deleted}
        if data["operation"] not in known:
            raise Refusal("operation_unknown", f"order {order.number} has no operation {data['operation']}")

    def _confirm(self, order: Order, data: dict[str, Any]) -> Made:
        quantity = data["quantity"]
        good, scrap = Decimal(quantity["good"]), Decimal(quantity.get("scrap", "0"))
        if good < 0 or scrap < 0:
            raise Refusal("quantity_negative", "a quantity is negative")
        if quantity["unit"] != _UNITS.get(order.unit, order.unit):
            raise Refusal(
                "unit_wrong", f"order {order.number} is kept in {order.unit}, not {quantity['unit']}"
            )
        operation = (order.site, order.number, data["operation"])
        before = self._posted.get(operation, (Decimal(0), Decimal(0)))
        if quantity.get("basis") == "total":
            good, scrap = max(good - before[0], Decimal(0)), max(scrap - before[1], Decimal(0))
        self._posted[operation] = (before[0] + good, before[1] + scrap)
        self._reports[order.site, order.number, data["report"]] = "posted"
        return Made(
            "confirmation",
            {
                "final": data["type"] != "partial",
                "yield": f"{good.normalize():f}",
                "scrap": f"{scrap.normalize():f}",
            },
        )

    def _reverse(self, data: dict[str, Any]) -> Made:
        report = (data["site"], data["order"], data["reverses"])
        if self._reports.get(report) != "posted":
            raise Refusal("report_unknown", f"there is no confirmation {data['reverses']} to reverse")
        self._reports[report] = "reversed"
        return Made("confirmation_reversal")

    def _move(self, name: str, data: dict[str, Any]) -> Made:
        kinds = _MOVEMENTS[name]
        what, movement_type = kinds[data.get("direction") or next(iter(kinds))]
        if Decimal(data["quantity"]["value"]) <= 0:
            raise Refusal("quantity_zero", "a goods movement needs a quantity")
        if name != "material.consumed" and "batch" in data:
            self.lots.setdefault((data["site"], data["batch"]), "unrestricted")
        return Made(what, {"movement_type": movement_type})

    def _change_lot(self, name: str, data: dict[str, Any]) -> Made:
        lot = (data["site"], data["batch"])
        if lot not in self.lots:
            raise Refusal("batch_unknown", f"batch {data['batch']} does not exist in plant {data['site']}")
        if name == "quality.hold.placed":
            self.lots[lot] = "restricted"
            return Made("lot_restricted")
        if self.lots[lot] != "restricted":
            raise Refusal("batch_free", f"batch {data['batch']} is not restricted")
        self.lots[lot] = "unrestricted"
        return Made("lot_released")
