"""A warehouse system: staging, receipts and shipment blocks."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from mfgroute.testing.simulators.ledger import Refusal
from mfgroute.testing.simulators.server import CloudEvent, Made, Simulator

__all__ = ["WmsSimulator"]


class WmsSimulator(Simulator):
    """A WMS that inserts or replaces by the event's id and ships nothing that is blocked."""

    system: ClassVar[str] = "wms"
    upsert: ClassVar[bool] = True
    first_document: ClassVar[int] = 80_000_001
    accepts: ClassVar[dict[str, tuple[str, ...]]] = {
        "/staging": ("material.transfer.requested",),
        "/receipts": ("material.finishedgoods.received",),
        "/shipment-blocks": ("quality.hold.placed", "quality.hold.released"),
    }

    resources: ClassVar[dict[str, str]] = {"receipts": "receipt"}

    def __init__(self, *, kept_s: float = 86_400.0, seed: int = 1) -> None:
        super().__init__(kept_s=kept_s, seed=seed)
        self.blocked: set[tuple[str, str]] = set()

    def make(self, name: str, event: CloudEvent) -> Made:
        """Open a transfer, receive goods, or block or unblock a lot."""
        data = event.data
        if name.startswith("quality.hold."):
            lot = (data["site"], data["batch"])
            if name == "quality.hold.placed":
                self.blocked.add(lot)
                return Made("shipment_blocked")
            if lot not in self.blocked:
                raise Refusal("not_blocked", f"lot {data['batch']} is not blocked")
            self.blocked.discard(lot)
            return Made("shipment_unblocked")
        if Decimal(data["quantity"]["value"]) <= 0:
            raise Refusal("quantity_zero", "a quantity must be positive")
        if name == "material.transfer.requested":
            return Made("staging", {"to": data.get("to_location", "")})
        return Made("receipt", {"shippable": (data["site"], data.get("batch", "")) not in self.blocked})

    def make_plain(self, resource: str, document: dict[str, Any]) -> dict[str, Any]:
        """Receive goods that a document of the REST door reports."""
        del resource
        quantity = document.get("quantity")
        if not isinstance(quantity, str | int | float) or isinstance(quantity, bool):
            raise Refusal("quantity_missing", "a receipt has a quantity")
        if Decimal(str(quantity)) <= 0:
            raise Refusal("quantity_zero", "a quantity must be positive")
        return {"shippable": (document.get("site", ""), document.get("lot", "")) not in self.blocked}
