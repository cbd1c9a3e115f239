"""The ledger of the ERP in the words of the story, and its sums.

The ERP knows confirmations, material documents and batches; reports stand in them only as our reference, the
GUID of a confirmation or the header text of a document.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Literal

from mfgroute.adapters.sap.references import guid
from mfgroute.testing.story.expected import EXPECTED
from mfgroute.testing.story.messages import ORDERS

__all__ = ["amounts", "told"]

_MOVES = {"101": "goods_receipt", "261": "goods_issue", "531": "byproduct_receipt"}
_LOTS = {"batch_restricted": "lot_restricted", "batch_unrestricted": "lot_released"}
_CONFIRMED: dict[str, Literal["confirmation", "scrap"]] = {
    "confirmation": "confirmation",
    "scrap_confirmation": "scrap",
}
#: What the ERP answers when a token has expired. It asks for another, and refuses nothing.
_NO_CODE = ""


def told(ledger: Mapping[str, Any]) -> dict[str, Any]:
    """The ledger with effects, counts and refusals as other systems have them.

    Args:
        ledger: as ``GET /ledger`` of the ERP shows it; all of it is kept.

    Returns:
        With ``what``, ``key`` and ``detail`` in each effect, as `Expected` has them; ``duplicates`` are
        requests that asked for what was done already, and ``posted_twice`` what was done again all the same.
    """
    reports = dict(_reports())
    effects = [{**effect, **_words(effect, reports)} for effect in ledger["effects"]]
    refusals = [{**one, "key": one["path"]} for one in ledger["refusals"] if one["code"] != _NO_CODE]
    return {
        **ledger,
        "counts": dict(sorted(Counter(effect["what"] for effect in effects).items())),
        "duplicates": sum(ledger["repeats"].values()),
        "posted_twice": ledger["duplicates"],
        "refusals": refusals,
        "effects": effects,
    }


def amounts(ledger: Mapping[str, Any]) -> dict[str, dict[str, Decimal]]:
    """What was confirmed and moved in all, by order.

    Args:
        ledger: as the ERP shows it, or as `told`.

    Returns:
        ``operation/0010/yield`` (or ``scrap``, ``rework``) and ``movement/261/RM-555/document``, where the
        last part says by whom it was moved; nothing that is zero.
    """
    sums: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for effect in ledger["effects"]:
        if "amounts" in effect:
            sign = -1 if effect["what"] == "confirmation_reversal" else 1
            for name in ("yield", "scrap", "rework"):
                place = f"operation/{effect['operation']}/{name}"
                sums[_order(effect["order"])][place] += sign * Decimal(effect["amounts"][name])
        for one in effect.get("movements", ()):
            place = f"movement/{one['movement_type']}/{one['material']}/{one['origin']}"
            sums[_order(one["order"])][place] += Decimal(one["quantity"])
    return {order: {name: value for name, value in names.items() if value} for order, names in sums.items()}


def _reports() -> Iterator[tuple[str, tuple[str, str]]]:
    """Of each confirmation of the story its GUID, and what it is of which report."""
    for effect in EXPECTED:
        if effect.system == "erp" and effect.what in _CONFIRMED:
            _, site, order = effect.key.split("/")
            report, operation, *_ = effect.detail.split(", ")
            yield (
                guid(_CONFIRMED[effect.what], site, order, operation, report),
                (effect.what, report),
            )


def _words(effect: Mapping[str, Any], reports: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    what: str = effect["what"]
    if what in _LOTS:
        material, site, batch = effect["document"].split("/")
        return {"what": _LOTS[what], "key": f"lot/{site}/{batch}", "detail": material}
    if "amounts" in effect:
        known = reports.get(effect["external"] or "") if what == "confirmation" else None
        kind, report = known or (what, effect["external"] or "no reference")
        return {"what": kind, "key": _order(effect["order"]), "detail": _confirmed(effect, report)}
    moves = effect["movements"]
    kinds = {one["movement_type"] for one in moves}
    kind = _MOVES.get(kinds.pop(), what) if what == "material_document" and len(kinds) == 1 else what
    details = [effect.get("header_text") or "no reference", *map(_moved, moves)]
    return {"what": kind, "key": _order(effect.get("order")), "detail": ", ".join(details)}


def _confirmed(effect: Mapping[str, Any], report: str) -> str:
    done = effect["amounts"]
    scrap, rework = _plain(done["scrap"]), _plain(done["rework"])
    parts = [
        report,
        effect["operation"],
        f"{_plain(done['yield'])} {done['unit']}",
        f"{scrap} scrap" if scrap != "0" else "",
        f"{rework} rework" if rework != "0" else "",
        "final" if effect["final"] else "",
        f"{len(effect['movements_failed'])} goods movements failed" if effect["movements_failed"] else "",
    ]
    return ", ".join(part for part in parts if part)


def _moved(one: Mapping[str, Any]) -> str:
    batch = f" of {one['batch']}" if one["batch"] else ""
    return f"{_plain(one['quantity'])} {one['unit']} {one['material']}{batch}"


def _order(number: str | None) -> str:
    order = ORDERS.get(number or "")
    return f"order/{order.site}/{number}" if order is not None else f"order/?/{number}"


def _plain(quantity: str) -> str:
    return f"{Decimal(quantity).normalize():f}"
