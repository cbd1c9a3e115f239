"""Reading from the target: what became of a posting, and what there is of an order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from mfgroute.adapter import Held
from mfgroute.adapters.plain import excerpt
from mfgroute.adapters.sap import holds
from mfgroute.adapters.sap.call import Call
from mfgroute.adapters.sap.cancel import CONFIRMATIONS, DOCUMENTS, document_of, name_of
from mfgroute.adapters.sap.config import FailedMovements
from mfgroute.adapters.sap.data import base_types
from mfgroute.adapters.sap.fields import Units, operation_name
from mfgroute.adapters.sap.judge import said
from mfgroute.adapters.sap.odata import entity, filter_of, key_of, results, text_literal
from mfgroute.adapters.sap.session import Session
from mfgroute.adapters.web.answer import Answer
from mfgroute.errors import AdapterError, Disconnected
from mfgroute.events import Absent, Done, InDoubt

__all__ = ["Lookups", "Unreadable"]

_PAGES_MAX = 1_000
_PAGE = 500
_QUANTITIES = (
    ("yield", "ConfirmationYieldQuantity"),
    ("scrap", "ConfirmationScrapQuantity"),
    ("rework", "ConfirmationReworkQuantity"),
)
_ITEMS = "to_ProdnOrdConfMatlDocItm"


class Unreadable(Exception):  # noqa: N818 - says what the answer is
    """The target answered a question with something else than an answer to it."""


class Lookups:
    """Questions to the services."""

    def __init__(self, session: Session, units: Units) -> None:
        self._session = session
        self._units = units

    async def confirmations(self, order: str, operation: str, guids: Sequence[str]) -> list[dict[str, Any]]:
        """Confirmations of an order, as `cancel.Find` says.

        Raises:
            Disconnected: the target cannot be asked, or does not answer the question now.
        """
        parts = [("OrderID", text_literal(order))]
        if operation:
            parts.append(("OrderOperation", text_literal(operation)))
        try:
            rows: list[dict[str, Any]] = []
            for guid in guids or ("",):
                more = [("ExternalSystemConfirmation", f"guid'{guid}'")] if guid else []
                rows += await self._rows(CONFIRMATIONS, "ProdnOrdConf2", [*parts, *more])
        except Unreadable as error:
            raise Disconnected(str(error), sent=False) from error
        return [row for row in rows if row.get("IsReversal") is not True]

    async def ask(self, call: Call) -> Done | Absent | InDoubt:  # noqa: PLR0911 - one for each kind
        """What became of a posting.

        Raises:
            Disconnected: the target cannot be asked now.
        """
        try:
            if call.kind == "confirm":
                return await self._confirmed(call)
            if call.kind == "cancel":
                return await self._cancelled(call)
            if call.kind == "move":
                return await self._moved(call)
            if call.kind == "unmove":
                return await self._unmoved(call)
            restricted, _ = await self.batch(call)
        except Unreadable as error:
            return InDoubt(str(error))
        if restricted is None or restricted != call.restricted:
            return Absent()
        return Done(holds.status_name(call))

    async def batch(self, call: Call) -> tuple[bool | None, str]:
        """Whether a batch is restricted, `None` if it is not there, and its version.

        Raises:
            Unreadable: the answer does not say it.
            Disconnected: the target cannot be asked now.
        """
        answer = await self._get(call.service, "Batch" + key_of(call.key))
        if answer.status == 404:
            return None, ""
        row = entity(answer.body) if answer.status == 200 else None
        restricted = row.get("MatlBatchIsInRstrcdUseStock") if row is not None else None
        if row is None or not isinstance(restricted, bool):
            raise Unreadable(f"the status of a batch cannot be read: {said(answer)}")
        about = row.get("__metadata")
        version = about.get("etag") if isinstance(about, dict) else None
        return restricted, answer.headers.get("ETag") or (version if isinstance(version, str) else "")

    async def moves_of(self, name: str) -> int:
        """How many goods movements stand in a confirmation; raises what `batch` raises."""
        group, _, count = name.partition("/")
        path = (
            "ProdnOrdConf2" + key_of({"ConfirmationGroup": group, "ConfirmationCount": count}) + f"/{_ITEMS}"
        )
        return len(await self._pages(CONFIRMATIONS, path, []))

    async def failed_of(self, name: str, where: FailedMovements) -> int:
        """How many goods movements of a confirmation could not be posted; raises what `batch` raises."""
        group, _, count = name.partition("/")
        rows = await self._rows(where.service, where.path, [("ConfirmationGroup", text_literal(group))])
        return sum(str(row.get("ConfirmationCount", "")).lstrip("0") == count.lstrip("0") for row in rows)

    async def read(self, thing: str) -> Mapping[str, Held]:
        """What there is of an order or a lot; see `Reader.read`."""
        kind, _, rest = thing.partition("/")
        parts = rest.split("/")
        found: dict[str, _Sum] = defaultdict(_Sum)
        try:
            if kind == "order" and len(parts) == 2:
                site, order = parts
                await self._read_confirmations(site, order, found)
                mine = [("ManufacturingOrder", text_literal(order)), ("Plant", text_literal(site))]
                await self._read_items(mine, found)
            elif kind == "lot" and len(parts) in (2, 3):
                names = ("Plant", "Material", "Batch")[-len(parts) :]
                mine = [(name, text_literal(part)) for name, part in zip(names, parts, strict=True)]
                await self._read_items(mine, found, only=("344",))
            else:
                raise AdapterError(f"{excerpt(thing, 100)} is nothing that can be read: orders and lots can")
        except Unreadable as error:
            raise AdapterError(str(error)) from error
        return {name: Held(amount=one.amount, documents=tuple(one.documents)) for name, one in found.items()}

    async def _read_confirmations(self, site: str, order: str, found: dict[str, _Sum]) -> None:
        rows = await self._rows(CONFIRMATIONS, "ProdnOrdConf2", [("OrderID", text_literal(order))])
        for row in rows:
            # A cancelled confirmation and its cancellation are two rows that are nothing together.
            if row.get("IsReversal") is True or row.get("IsReversed") is True:
                continue
            if row.get("Plant") not in (None, "", site):
                continue
            where = operation_name(
                row.get("Sequence"), str(row.get("OrderOperation", "")), row.get("OrderSuboperation")
            )
            unit = self._unit(row, "ConfirmationUnit")
            for name, place in _QUANTITIES:
                value = _decimal(row, place)
                if value:
                    found[f"operation/{where}/{name}/{unit}"].add(value, name_of(row))

    async def _read_items(
        self, parts: list[tuple[str, str]], found: dict[str, _Sum], only: tuple[str, ...] = ()
    ) -> None:
        for row in await self._rows(DOCUMENTS, "A_MaterialDocumentItem", parts):
            kind = str(row.get("GoodsMovementType") or "")
            counts, sign = base_types().get(kind, (kind, 1))
            if only and counts not in only:
                continue
            name = f"movement/{counts}/{row.get('Material')}/{self._unit(row, 'EntryUnit')}"
            found[name].add(sign * _decimal(row, "QuantityInEntryUnit"), document_of(row))

    async def _confirmed(self, call: Call) -> Done | Absent | InDoubt:
        rows = await self._rows(CONFIRMATIONS, "ProdnOrdConf2", _ours(call))
        rows = [row for row in rows if row.get("IsReversal") is not True]
        rows = [row for row in rows if row.get("OrderOperation") in (None, call.operation)]
        if not rows:
            return Absent()
        names = ", ".join(name_of(row) for row in rows[:5])
        if len(rows) > 1:
            return InDoubt(f"{len(rows)} confirmations have our reference {call.reference}: {names}")
        quantities = tuple(_decimal(rows[0], place) for _, place in _QUANTITIES)
        if quantities != call.quantities:
            return InDoubt(f"{names} has our reference {call.reference} and other quantities")
        return Done(names)

    async def _cancelled(self, call: Call) -> Done | Absent | InDoubt:
        rows = await self._rows(CONFIRMATIONS, "ProdnOrdConf2", _ours(call))
        names = [name_of(row) for row in rows if row.get("IsReversal") is True]
        if names:
            return Done(names[0])
        group, _, count = call.undoes.partition("/")
        path = "ProdnOrdConf2" + key_of({"ConfirmationGroup": group, "ConfirmationCount": count})
        answer = await self._get(CONFIRMATIONS, path)
        row = entity(answer.body) if answer.status == 200 else None
        if row is None:
            raise Unreadable(f"the confirmation {call.undoes} cannot be read: {said(answer)}")
        return Done(f"{call.undoes} reversed") if row.get("IsReversed") is True else Absent()

    async def _moved(self, call: Call) -> Done | Absent | InDoubt:
        parts = [("ReferenceDocument", text_literal(call.reference))]
        heads = await self._rows(DOCUMENTS, "A_MaterialDocumentHeader", parts)
        names = []
        for head in heads:
            # A cancellation takes over the reference of what it cancels.
            key = [(name, text_literal(str(head.get(name) or ""))) for name in _DOCUMENT]
            items = await self._rows(DOCUMENTS, "A_MaterialDocumentItem", key)
            if any(not row.get("ReversedMaterialDocument") for row in items):
                names.append(document_of(head))
        if len(names) > 1:
            return InDoubt(
                f"{len(names)} documents have our reference {call.reference}: {', '.join(names[:5])}"
            )
        return Done(names[0]) if names else Absent()

    async def _unmoved(self, call: Call) -> Done | Absent | InDoubt:
        document, _, year = call.undoes.partition("/")
        parts = [
            ("ReversedMaterialDocument", text_literal(document)),
            ("ReversedMaterialDocumentYear", text_literal(year)),
        ]
        rows = await self._rows(DOCUMENTS, "A_MaterialDocumentItem", parts)
        return Done(document_of(rows[0])) if rows else Absent()

    def _unit(self, row: Mapping[str, Any], name: str) -> str:
        return self._units.unit(str(row.get(f"{name}ISOCode") or ""), str(row.get(name) or ""))

    async def _rows(self, service: str, name: str, parts: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
        return await self._pages(service, name, [("$filter", filter_of(parts))])

    async def _pages(self, service: str, path: str, options: list[tuple[str, str]]) -> list[dict[str, Any]]:
        """All rows, page after page."""
        found: list[dict[str, Any]] = []
        for _ in range(_PAGES_MAX):
            page = [("$format", "json"), ("$top", str(_PAGE)), ("$skip", str(len(found)))]
            answer = await self._get(service, path, [*options, *page])
            read = results(answer.body) if answer.status == 200 and not answer.truncated else None
            if read is None:
                raise Unreadable(f"{path} cannot be read: {said(answer)}")
            rows, following = read
            found += rows
            if not rows or (len(rows) < _PAGE and following is None):
                return found
        raise Unreadable(f"{path} has more than {len(found)} rows")

    async def _get(self, service: str, path: str, options: Iterable[tuple[str, str]] = ()) -> Answer:
        try:
            answer = await self._session.get(service, path, options)
        except Disconnected as error:
            # It was a question: nothing was posted, whatever became of it.
            raise Disconnected(str(error), sent=False) from error
        if answer.status >= 500 or answer.status in (401, 408, 423, 425, 429):
            raise Disconnected(f"{path} cannot be read now: {said(answer)}", sent=False)
        return answer


_DOCUMENT: tuple[Literal["MaterialDocument"], Literal["MaterialDocumentYear"]] = (
    "MaterialDocument",
    "MaterialDocumentYear",
)


class _Sum:
    """A sum and the documents it is made of."""

    def __init__(self) -> None:
        self.amount = Decimal(0)
        self.documents: dict[str, None] = {}

    def add(self, value: Decimal, document: str) -> None:
        self.amount += value
        self.documents[document] = None


def _ours(call: Call) -> list[tuple[str, str]]:
    return [
        ("OrderID", text_literal(call.order)),
        ("ExternalSystemConfirmation", f"guid'{call.reference}'"),
    ]


def _decimal(row: Mapping[str, Any], name: str) -> Decimal:
    """A quantity of a row.

    Raises:
        Unreadable: it is no number.
    """
    try:
        value = Decimal(str(row.get(name) or 0))
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise Unreadable(f"{name} is {excerpt(str(row.get(name)), 40)}, expected a number")
    return value
