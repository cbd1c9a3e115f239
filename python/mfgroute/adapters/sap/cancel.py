"""Postings that take others back: of a reversal that arrives as an event, or that a person asks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec

from mfgroute.adapter import Request
from mfgroute.adapters.plain import excerpt
from mfgroute.adapters.sap import holds, references
from mfgroute.adapters.sap.call import Call, counted, unpack
from mfgroute.adapters.sap.config import SapSinkConfig
from mfgroute.adapters.sap.data import operations
from mfgroute.adapters.sap.fields import Unfit, Units, number, operation_name
from mfgroute.adapters.sap.odata import date_literal, query, text_literal
from mfgroute.events import Done, NotYet, Refused

__all__ = [
    "CANCEL",
    "CONFIRMATIONS",
    "DOCUMENTS",
    "UNMOVE",
    "Cancels",
    "Find",
    "described",
    "document_of",
    "name_of",
]

CONFIRMATIONS = "API_PROD_ORDER_CONFIRMATION_2_SRV"
DOCUMENTS = "API_MATERIAL_DOCUMENT_SRV"
#: Functions of the services, and what their answers stand under.
CANCEL = "CancelProdnOrdConf"
UNMOVE = "Cancel"
_TEXT_MAX = 40
_PAIRS = (("101", "102"), ("261", "262"), ("311", "312"), ("343", "344"), ("531", "532"), ("551", "552"))
#: The movement type with which SAP cancels each of those that we post.
_TAKEN_BACK_BY = {**dict(_PAIRS), **{back: type_ for type_, back in _PAIRS}}
_QUANTITIES = (
    ("yield", "ConfirmationYieldQuantity"),
    ("scrap", "ConfirmationScrapQuantity"),
    ("rework", "ConfirmationReworkQuantity"),
)

#: Confirmations of an order, of one operation if it is named, and with one of some GUIDs if there are any;
#: reversals left out.
Find: TypeAlias = Callable[[str, str, Sequence[str]], Awaitable[list[dict[str, Any]]]]


def name_of(row: Mapping[str, Any]) -> str:
    """What a confirmation is called: ``group/counter``; empty if the row names none."""
    group, count = str(row.get("ConfirmationGroup") or ""), str(row.get("ConfirmationCount") or "")
    return f"{group}/{count}" if group.strip("0") and count.strip("0") else ""


def document_of(row: Mapping[str, Any]) -> str:
    """What a material document is called: ``number/year``; empty if the row names none."""
    document, year = str(row.get("MaterialDocument") or ""), str(row.get("MaterialDocumentYear") or "")
    return f"{document}/{year}" if document.strip("0") and year.strip("0") else ""


def described(call: Call, undo: Call) -> str:
    """What a request that takes another back does in the target, in a line for a person."""
    if undo.kind == "cancel":
        return f"cancels confirmation {undo.undoes}; SAP takes back the goods movements that it made itself"
    if undo.kind == "unmove":
        types = [f"{_TAKEN_BACK_BY[one]} for {one}" for one in _types(call) if one in _TAKEN_BACK_BY]
        return f"cancels material document {undo.undoes}" + (f": {', '.join(types)}" if types else "")
    return holds.described(undo)


def _types(call: Call) -> list[str]:
    """The movement types of a material document, each once."""
    items = msgspec.json.decode(call.body).get(operations()["move"].items, {}).get("results", [])
    return list(dict.fromkeys(str(one.get("GoodsMovementType")) for one in items))


class Cancels:
    """Makes the requests that undo postings."""

    def __init__(self, config: SapSinkConfig, units: Units) -> None:
        self._config = config
        self._units = units

    async def of_event(
        self, data: Mapping[str, Any], key: str, created: str, day: date, find: Find
    ) -> Request | Done | NotYet:
        """The cancellation that a reversal asks for. The confirmation is looked up by its report.

        Raises:
            Unfit: it is not clear which confirmation is meant.
            Disconnected: the target cannot be asked.
        """
        names = ("site", "order", "report", "reverses")
        site, order, report, taken = (str(data.get(name) or "") for name in names)
        given = str(data.get("operation") or "")
        rows = []
        for row in await find(order, given, _guids(site, order, given, taken) if given else ()):
            operation = str(row.get("OrderOperation") or "")
            if operation == (given or operation) and _guid(row) in _guids(site, order, operation, taken):
                rows.append(row)
        if not rows:
            return NotYet(
                reason=f"no confirmation of the report {excerpt(taken, 80)} is in the target",
                after_s=self._config.again_s,
                within_s=self._config.batch_within,
                code="original_missing",
            )
        if len(rows) > 1:
            found = ", ".join(name_of(row) for row in rows[:5])
            said = f"several confirmations are of the report {excerpt(taken, 80)}: {found}"
            raise Unfit("original_ambiguous", said)
        (row,) = rows
        if row.get("IsReversed") is True:
            return Done(f"{name_of(row)} reversed before")
        operation = str(row.get("OrderOperation") or "")
        apart = _guid(row) == references.guid("scrap", site, order, operation, taken)
        call = self._cancel(
            key,
            created,
            name_of(row),
            day,
            reference=references.guid("reversal", site, order, operation, report),
            text=str(data.get("reason") or ""),
            about=(site, order),
            counts=counted(self._taken_off(row, apart=apart)),
        )
        return call.request()

    def of_request(
        self, request: Request, reference: str, created: str, day: date, reason: str
    ) -> Request | Refused:
        """The request that undoes a posted confirmation or document."""
        call = unpack(request.body)
        key = references.reversal_id(request.key)
        counts = counted({name: -Decimal(value) for name, value in call.counts.items()})
        first = reference.partition(" ")[0]
        if call.kind == "confirm":
            guid = references.guid("reversal", call.site, call.order, call.operation, request.key)
            about = (call.site, call.order)
            made = self._cancel(
                key, created, first, day, reference=guid, text=reason, about=about, counts=counts
            )
        elif call.kind == "move":
            document, _, year = first.partition("/")
            parts = [
                ("MaterialDocumentYear", text_literal(year)),
                ("MaterialDocument", text_literal(document)),
                ("PostingDate", date_literal(day)),
            ]
            made = Call(
                kind="unmove",
                service=DOCUMENTS,
                path=f"{UNMOVE}?{query(parts)}",
                request_id=key,
                created=created,
                site=call.site,
                order=call.order,
                undoes=first,
                thing=call.thing,
                counts=counts,
                posting_date=day.isoformat(),
            )
        else:
            return Refused("not_reversible", f"{first} took a posting back: post that again instead")
        if not all(first.partition("/")):
            return Refused("not_reversible", f"{excerpt(reference, 80)!r} names no document of the target")
        return made.request()

    def _cancel(
        self,
        key: str,
        created: str,
        undoes: str,
        day: date,
        *,
        reference: str,
        text: str,
        about: tuple[str, str],
        counts: dict[str, str],
    ) -> Call:
        group, _, count = undoes.partition("/")
        parts = [
            ("ConfirmationGroup", text_literal(group)),
            ("ConfirmationCount", text_literal(count)),
            ("PostingDate", date_literal(day)),
            ("ExternalSystemConfirmation", f"guid'{reference}'"),
        ]
        if text:
            parts.append(("ConfirmationText", text_literal(text[:_TEXT_MAX])))
        return Call(
            kind="cancel",
            service=CONFIRMATIONS,
            path=f"{CANCEL}?{query(parts)}",
            request_id=key,
            created=created,
            reference=reference,
            site=about[0],
            order=about[1],
            undoes=undoes,
            thing=f"order/{about[0]}/{about[1]}",
            counts=counts,
            posting_date=day.isoformat(),
        )

    def _taken_off(self, row: Mapping[str, Any], *, apart: bool) -> dict[str, Decimal]:
        """What a cancelled confirmation had added, with the sign turned."""
        where = operation_name(
            row.get("Sequence"), str(row.get("OrderOperation", "")), row.get("OrderSuboperation")
        )
        unit = self._units.unit(
            str(row.get("ConfirmationUnitISOCode") or ""), str(row.get("ConfirmationUnit") or "")
        )
        found = {f"operation/{where}/{name}/{unit}": -number(row, place) for name, place in _QUANTITIES}
        if apart:
            found[f".apart/{where}/scrap/{unit}"] = -number(row, "ConfirmationScrapQuantity")
        return found


def _guid(row: Mapping[str, Any]) -> str:
    return str(row.get("ExternalSystemConfirmation") or "").lower()


def _guids(site: str, order: str, operation: str, report: str) -> tuple[str, str]:
    """What the confirmation of a report may carry: of an operation's end, or of scrap alone."""
    confirmed = references.guid("confirmation", site, order, operation, report)
    return confirmed, references.guid("scrap", site, order, operation, report)
