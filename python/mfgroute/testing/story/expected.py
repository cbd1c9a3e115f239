"""Every effect that the story must have: one line for each, exactly once."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["AMOUNTS", "EXPECTED", "Expected", "describe"]


class Expected(msgspec.Struct, frozen=True, order=True):
    """One effect.

    Attributes:
        system: which system has it.
        what: kind of effect, such as ``confirmation``.
        key: business object, such as ``order/DE04/1004733``.
        detail: what tells it from others of its kind, see `describe`.
    """

    system: str
    what: str
    key: str
    detail: str

    @property
    def said(self) -> str:
        """All of it in one line."""
        return f"{self.system} {self.what} {self.key} ({self.detail})"


def describe(effect: dict[str, Any]) -> str:
    """What tells an effect of a ledger from others of its kind: report, quantities, what else matters."""
    if "detail" in effect:
        return str(effect["detail"])
    body, details = effect["body"], effect["details"]
    quantity = body.get("quantity", {})
    amount = quantity.get("good", quantity.get("value"))
    scrap = quantity.get("scrap", "0")
    parts = [
        body.get("report")
        or body.get("nonconformance")
        or body.get("cause")
        or f"rev {body.get('revision')}",
        f"{amount} {quantity['unit']}" if amount is not None else "",
        f"{scrap} scrap" if scrap != "0" else "",
        body.get("type", ""),
        details.get("milestone", ""),
        f"to {details['to']}" if details.get("to") else "",
        f"{details['minutes']:g} min" if "minutes" in details else "",
        _count(details["steps"], "step") if "steps" in details else "",
        details.get("severity", ""),
    ]
    return ", ".join(part for part in parts if part)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


_A, _A2, _B, _C = "order/DE04/1004733", "order/DE04/1004744", "order/DE07/1004711", "order/DE11/1004755"
_LOT_1, _LOT_2 = "lot/DE07/L26-111901", "lot/DE07/L26-111902"

_ERP = (
    ("confirmation", _A, "A-1002, 0010, 100 PC, 2 scrap"),
    ("scrap_confirmation", _A, "A-1003, 0010, 0 PC, 4 scrap"),
    ("scrap_confirmation", _A, "A-1004, 0010, 0 PC, 1 scrap"),
    ("goods_issue", _A, "A-1005/r26-1002, 7.91 KG RM-555 of R26-1002"),
    ("goods_issue", _A, "A-1005/r26-1003, 4.588 KG RM-555 of R26-1003"),
    ("confirmation", _A, "A-1006, 0010, 120 PC, final"),
    ("confirmation", _A, "A-1007, 0020, 214 PC"),
    ("confirmation", _A, "A-1008, 0020, 0 PC, final"),
    ("goods_receipt", _A, "A-1010, 214 PC 100-210 of L26-112401"),
    ("confirmation", _A2, "A-1103, 0010, 120 PC, final"),
    ("goods_receipt", _A2, "A-1110, 120 PC 100-210 of L26-112407"),
    ("confirmation", _B, "88121, 0020, 198.5 KG, 1.5 scrap, final"),
    ("goods_issue", _B, "88121/2, 189.84 KG RM-555 of R26-0907"),
    ("goods_issue", _B, "88121/3, 10.481 KG RM-555 of R26-0911"),
    ("byproduct_receipt", _B, "88121/4, 0.85 KG FG-900"),
    ("confirmation", _B, "88122, 0030, 198.3 KG, final"),
    ("goods_issue", _B, "88122/2, 0.5 KG RM-555 of R26-0911"),
    ("confirmation", _C, "0000088231, 0010, 1234.5 KG, 12.25 scrap"),
    ("confirmation", _C, "0000088232, 0010, 234.5 KG"),
    ("confirmation", _C, "0000088234, 0010, 1500 KG, final"),
    ("lot_restricted", _LOT_1, "FG-900"),
    ("lot_restricted", _LOT_2, "FG-900"),
    ("lot_released", _LOT_1, "FG-900"),
    ("lot_released", _LOT_2, "FG-900"),
)
_WMS = (
    ("staging", _A, "1004733/0010/0020, 12.5 KGM, to 20-PRS07"),
    ("staging", _A2, "1004744/0010/0010, 6.25 KGM, to 20-PRS08"),
    ("staging", _B, "1004711/0020/0010, 250 KGM, to 10-EXT02"),
    ("staging", _C, "1004755/0010/0010, 3050 KGM, to 30-MIX04"),
    ("receipt", _A, "A-1010, 214 H87"),
    ("receipt", _A2, "A-1110, 120 H87"),
    ("shipment_blocked", _LOT_1, "NC-2026-0815/L26-111901"),
    ("shipment_blocked", _LOT_2, "NC-2026-0815/L26-111902"),
    ("shipment_unblocked", _LOT_1, "NC-2026-0815/L26-111901/release"),
    ("shipment_unblocked", _LOT_2, "NC-2026-0815/L26-111902/release"),
)
_QMS = (
    ("inspection", "lot/DE04/L26-112401", "A-1003"),
    ("nonconformance", "nonconformance/DE04/D-502", "D-502, major"),
)
_MES = (
    ("routing", _A, "rev 4402117, 214 H87, 2 steps"),
    ("routing", _A2, "rev 4402118, 120 H87, 1 step"),
    ("routing", _B, "rev 4402119, 600 KGM, 2 steps"),
    ("routing", _C, "rev 4402120, 3000 KGM, 1 step"),
)
_CMMS = (
    ("work_order", "equipment/DE04/press-7", "tool_change, 20 min"),
    ("work_order", "equipment/DE04/press-9", "no_material, 10 min"),
)
_PORTAL = (
    ("milestone", _A, "4402117, 214 H87, released"),
    ("milestone", _A2, "4402118, 120 H87, released"),
    ("milestone", _B, "4402119, 600 KGM, released"),
    ("milestone", _C, "4402120, 3000 KGM, released"),
    ("milestone", _A, "A-1001, in_production"),
    ("milestone", _A, "A-1010, finished"),
    ("milestone", _A2, "A-1110, finished"),
)

EXPECTED: tuple[Expected, ...] = tuple(
    Expected(system, *row)
    for system, rows in (
        ("erp", _ERP),
        ("wms", _WMS),
        ("qms", _QMS),
        ("mes", _MES),
        ("cmms", _CMMS),
        ("portal", _PORTAL),
    )
    for row in rows
)

#: What the ERP has confirmed and moved for each order in the end, see `postings.amounts`. It moves 200-004 by
#: itself, 76.8 rolls for 214 pieces, good or bad, rounded at each confirmation.
AMOUNTS: dict[str, dict[str, str]] = {
    _A: {
        "operation/0010/yield": "220",
        "operation/0010/scrap": "7",
        "operation/0020/yield": "214",
        "movement/261/200-004/backflush": "81.466",
        "movement/261/RM-555/document": "12.498",
        "movement/101/100-210/document": "214",
    },
    _A2: {"operation/0010/yield": "120", "movement/101/100-210/document": "120"},
    _B: {
        "operation/0020/yield": "198.5",
        "operation/0020/scrap": "1.5",
        "operation/0030/yield": "198.3",
        "movement/261/RM-555/document": "200.821",
        "movement/531/FG-900/document": "0.85",
    },
    _C: {"operation/0010/yield": "2969", "operation/0010/scrap": "12.25"},
}
