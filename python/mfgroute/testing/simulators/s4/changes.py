"""Changing: what POST, PATCH and function imports do, each within a unit of work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from mfgroute.testing.simulators.s4.confirm import Confirmations, Confirmed
from mfgroute.testing.simulators.s4.goods import Goods, Posted
from mfgroute.testing.simulators.s4.ledger import Books, digest
from mfgroute.testing.simulators.s4.master import Switches, stock_key
from mfgroute.testing.simulators.s4.messages import ODataError, refusal
from mfgroute.testing.simulators.s4.model import (
    BATCH,
    CONFIRMATION,
    CONFIRMED_ITEM,
    DECISION,
    HEADER,
    ITEM,
    LOT,
    SERIAL,
    SERVICES,
    Entity,
)
from mfgroute.testing.simulators.s4.protocol import (
    Answer,
    Call,
    entity_json,
    etag,
    json_answer,
    parse_body,
    parse_entity,
    uri,
)
from mfgroute.testing.simulators.s4.query import key_of, segments
from mfgroute.testing.simulators.s4.store import Row, Tables, Unit
from mfgroute.testing.simulators.s4.wire import NO_GUID, amount, literal, plain, quantity

__all__ = ["Changes", "names"]

_ORDER = ("OrderID", "ManufacturingOrder")
_NAMES = ("Batch", "ExternalSystemConfirmation", "ReferenceDocument", "InspectionLot", *_ORDER)


class Changes:
    """Does what a request asks for.

    Args:
        switches: how the system is configured.
        now: the time.
    """

    def __init__(self, switches: Switches, now: Callable[[], datetime]) -> None:
        self._switches = switches
        self._now = now
        self._goods = Goods(switches, lambda: now().date())
        self._confirmations = Confirmations(switches, self._goods, lambda: now().date())

    def run(self, unit: Unit, base: str, call: Call, *, fail_goods: bool = False) -> Answer:
        """Do it.

        Args:
            unit: to do it in.
            base: address of the system.
            call: the request.
            fail_goods: whether no goods movement of a confirmation can be posted.

        Raises:
            ODataError: it is refused.
        """
        (first, *rest) = segments(call.path)
        service = SERVICES[call.service]
        if rest or (first.name not in service.entities and first.name not in service.functions):
            raise refusal("resource_unknown", call.path)
        if first.name in service.functions:
            return self._function(unit, base, call, first.name)
        entity = service.entities[first.name]
        if first.key is not None:
            return self._patch(unit, call, entity, first.key)
        if call.method != "POST":
            raise refusal("method", call.method, first.name)
        if "json" not in call.headers.get("content-type", ""):
            raise refusal("syntax", "the content type is not JSON", status=415)
        document = parse_body(call.body)
        if entity is CONFIRMATION:
            return self._confirm(unit, base, call, document, fail_goods=fail_goods)
        if entity is HEADER:
            return self._post_document(unit, base, call, document)
        if entity is DECISION:
            return self._decide(unit, base, call, document)
        raise refusal("method", call.method, first.name)

    def _confirm(
        self, unit: Unit, base: str, call: Call, document: dict[str, Any], *, fail_goods: bool
    ) -> Answer:
        nested = "to_ProdnOrdConfMatlDocItm"
        given, children = parse_entity(CONFIRMATION, document, (nested, "to_ProdnOrderConfBatchCharc"))
        listed = [{**ITEM.empty(), **parse_entity(CONFIRMED_ITEM, one)[0]} for one in children[nested]]
        confirmed = self._confirmations.create(unit, given, listed, fail_goods=fail_goods)
        self._note_confirmation(unit, call, confirmed, "confirmation")
        return self._created(base, call, CONFIRMATION, confirmed.row)

    def _note_confirmation(self, unit: Unit, call: Call, confirmed: Confirmed, what: str) -> None:
        row = confirmed.row
        self._note(
            unit,
            call,
            confirmed.goods,
            what=what,
            document=f"{row['ConfirmationGroup']}/{row['ConfirmationCount']}",
            order=row["OrderID"],
            operation=row["OrderOperation"],
            external=None
            if row["ExternalSystemConfirmation"] == NO_GUID
            else row["ExternalSystemConfirmation"],
            final=row["IsFinalConfirmation"],
            posting_date=row["PostingDate"],
            amounts={
                "yield": row["ConfirmationYieldQuantity"],
                "scrap": row["ConfirmationScrapQuantity"],
                "rework": row["ConfirmationReworkQuantity"],
                "unit": row["ConfirmationUnit"],
            },
        )

    def _note(self, unit: Unit, call: Call, goods: Posted | None, **effect: Any) -> None:
        """Write an effect into the ledger, with what every effect has."""
        movements = goods.movements if goods is not None else []
        effect.setdefault("order", next((one["order"] for one in movements if one["order"]), None))
        Books.note(
            unit,
            {
                **effect,
                "movements": movements,
                "movements_failed": goods.failed if goods is not None else [],
                "request_id": call.headers.get("requestid"),
                "body_sha256": digest(call.body),
                "at": self._now().isoformat(timespec="milliseconds"),
            },
        )

    def _post_document(self, unit: Unit, base: str, call: Call, document: dict[str, Any]) -> Answer:
        header, children = parse_entity(HEADER, document, ("to_MaterialDocumentItem",))
        items = [_item(one) for one in children["to_MaterialDocumentItem"]]
        if not items:
            raise refusal("movement_missing", "TO_MATERIALDOCUMENTITEM", "")
        posted = self._goods.post(unit, header, items, origin="document")
        self._note_document(unit, call, posted, "material_document")
        return self._posted(base, call, posted)

    def _note_document(self, unit: Unit, call: Call, posted: Posted, what: str, **more: Any) -> None:
        head = posted.header or {}
        self._note(
            unit,
            call,
            posted,
            what=what,
            document=f"{head['MaterialDocument']}/{head['MaterialDocumentYear']}",
            reference_document=head["ReferenceDocument"] or None,
            header_text=head["MaterialDocumentHeaderText"],
            posting_date=head["PostingDate"],
            **more,
        )

    def _posted(self, base: str, call: Call, posted: Posted, entity: Entity = HEADER) -> Answer:
        row = posted.items[0] if entity is ITEM else posted.header or {}
        items = [entity_json(base, call.service, ITEM, item) for item in posted.items]
        expanded = {"to_MaterialDocumentItem": items if self._switches.full_answers else []}
        return self._created(base, call, entity, row, expanded if entity is HEADER else None)

    @staticmethod
    def _created(
        base: str, call: Call, entity: Entity, row: Row, expanded: dict[str, list[Any]] | None = None
    ) -> Answer:
        where = uri(base, call.service, entity, row)
        version = etag(entity, row)
        headers = {"Location": where, **({"ETag": version} if version is not None else {})}
        status = 200 if segments(call.path)[0].name in SERVICES[call.service].functions else 201
        document = {"d": entity_json(base, call.service, entity, row, expanded=expanded)}
        return json_answer(status, document, **headers)

    def _function(self, unit: Unit, base: str, call: Call, name: str) -> Answer:
        if call.method != "POST":
            raise refusal("method", call.method, name)
        given = _parameters(call, name)
        if name == "CancelProdnOrdConf":
            return self._cancel_confirmation(unit, base, call, given)
        key = {part: given[part] for part in HEADER.keys}
        header = unit.get(HEADER.table, HEADER.key(key))
        if header is None:
            raise refusal(
                "document_unknown", key["MaterialDocument"], key["MaterialDocumentYear"], status=404
            )
        items = unit.rows(ITEM.table, **{part: header[part] for part in HEADER.keys})
        if name == "CancelItem":
            items = [
                row for row in items if row["MaterialDocumentItem"] == plain(given["MaterialDocumentItem"])
            ]
            if not items:
                raise refusal("not_found", call.path)
        posted = self._goods.reverse(unit, header, items, given.get("PostingDate"), origin="cancellation")
        reverses = f"{key['MaterialDocument']}/{key['MaterialDocumentYear']}"
        self._note_document(unit, call, posted, "material_document_reversal", reverses=reverses)
        return self._posted(base, call, posted, ITEM if name == "CancelItem" else HEADER)

    def _cancel_confirmation(self, unit: Unit, base: str, call: Call, given: dict[str, Any]) -> Answer:
        key = f"{plain(given['ConfirmationGroup'])}/{plain(given['ConfirmationCount'])}"
        row = unit.get(CONFIRMATION.table, key)
        if row is not None:
            self._check_version(call, CONFIRMATION, row, needed=self._switches.cancel_needs_etag)
        undone = self._confirmations.cancel(unit, given)
        self._note_confirmation(unit, call, undone, "confirmation_reversal")
        return self._created(base, call, CONFIRMATION, undone.row)

    @staticmethod
    def _check_version(call: Call, entity: Entity, row: Row, *, needed: bool) -> None:
        wanted = call.headers.get("if-match")
        if wanted is None and needed:
            raise refusal("etag_missing")
        if wanted not in (None, "*", etag(entity, row)):
            raise refusal("etag_wrong")

    def _patch(self, unit: Unit, call: Call, entity: Entity, text: str) -> Answer:
        """Change a batch: the one thing here that is changed in place."""
        if entity is not BATCH or call.method not in ("PATCH", "MERGE", "PUT"):
            raise refusal("method", call.method, entity.path)
        key = key_of(entity, text)
        row = unit.get(BATCH.table, key)
        if row is None:
            raise refusal("not_found", call.path)
        self._check_version(call, BATCH, row, needed=True)
        given, _ = parse_entity(BATCH, parse_body(call.body), whole=False)
        if any(given.get(name, row[name]) != row[name] for name in BATCH.keys):
            raise refusal("value", "Batch", given.get("Batch"), "a key cannot change")
        changed = {**row, **given, "version": row["version"] + 1}
        unit.put(BATCH.table, key, changed)
        restricted = changed["MatlBatchIsInRstrcdUseStock"]
        self._note(
            unit,
            call,
            None,
            what="batch_restricted" if restricted else "batch_unrestricted",
            document=key,
            batch=row["Batch"],
        )
        return Answer(status=204, headers={"ETag": f'W/"{changed["version"]}"', "DataServiceVersion": "2.0"})

    def _decide(self, unit: Unit, base: str, call: Call, document: dict[str, Any]) -> Answer:
        """Make a usage decision: accepted stock becomes free, rejected stock is blocked."""
        given, _ = parse_entity(DECISION, document)
        lot = unit.get(LOT.table, given["InspectionLot"])
        if lot is None:
            raise refusal("lot_unknown", given["InspectionLot"])
        if lot["InspectionLotHasUsageDecision"]:
            raise refusal("lot_decided", given["InspectionLot"])
        accepted = given["InspLotUsageDecisionValuation"] in ("", "A", "1")
        place = (lot["Plant"], lot["InspectionLotStorageLocation"], lot["Material"], lot["Batch"])
        for kind, sign in (("quality", -1), ("unrestricted" if accepted else "blocked", 1)):
            key = stock_key(*place, kind)
            before = unit.get("stock", key) or {"quantity": "0"}
            value = quantity(before["quantity"]) + sign * quantity(lot["InspectionLotQuantity"])
            unit.put("stock", key, {"quantity": amount(value)})
        unit.put(LOT.table, LOT.key(lot), {**lot, "InspectionLotHasUsageDecision": True})
        unit.put(DECISION.table, DECISION.key(given), given)
        what = "usage_decision_accepted" if accepted else "usage_decision_rejected"
        self._note(unit, call, None, what=what, document=lot["InspectionLot"], batch=lot["Batch"])
        return self._created(base, call, DECISION, given)


def _item(document: dict[str, Any]) -> Row:
    item, children = parse_entity(ITEM, document, ("to_SerialNumbers",))
    serials = [parse_entity(SERIAL, one)[0] for one in children["to_SerialNumbers"]]
    return {**item, "serials": serials}


def _parameters(call: Call, name: str) -> dict[str, Any]:
    """Parameters of a function import, which stand in the query."""
    wanted = SERVICES[call.service].functions[name].parameters
    given: dict[str, Any] = {}
    for parameter, value in call.query.items():
        if parameter.startswith(("$", "sap-")):
            continue
        if parameter not in wanted:
            raise refusal("property", parameter)
        try:
            given[parameter] = literal(value)
        except ValueError as error:
            raise refusal("value", parameter, value, error) from None
    for parameter, needed in wanted.items():
        if needed and not isinstance(given.get(parameter), str):
            raise refusal("value", parameter, given.get(parameter), "missing or not a text")
    return given


def names(tables: Tables, call: Call) -> tuple[frozenset[str], frozenset[str]]:
    """What a request is about: all names in it, and the orders that it locks.

    Args:
        tables: for what is known by a number only.
        call: the request.
    """
    found: set[str] = set()
    orders: set[str] = set()
    if call.body:
        try:
            for name, value in _leaves(parse_body(call.body)):
                (orders if name in _ORDER else found).add(plain(value) if name in _ORDER else value)
        except ODataError:
            return frozenset(), frozenset()
    query = {name: value.strip("'") for name, value in call.query.items() if "'" in value}
    if "ConfirmationGroup" in query:
        key = f"{plain(query['ConfirmationGroup'])}/{plain(query.get('ConfirmationCount', ''))}"
        row = tables.get(CONFIRMATION.table, key)
        orders.update([row["OrderID"]] if row is not None else ())
    if "MaterialDocument" in query:
        found.add(query["MaterialDocument"])
        orders.update(
            item["ManufacturingOrder"]
            for item in tables.rows(ITEM.table, {"MaterialDocument": query["MaterialDocument"]})
        )
    if call.path.startswith("Batch("):
        found.update(part.strip("'") for part in call.path[6:-1].replace("=", ",").split(","))
    found.update(value for value in (call.headers.get("requestid"),) if value)
    orders.discard("")
    return frozenset(found | orders), frozenset(orders)


def _leaves(document: Any) -> Iterator[tuple[str, str]]:
    for name, value in document.items() if isinstance(document, dict) else ():
        if isinstance(value, str) and name in _NAMES and value:
            yield name, value
        elif isinstance(value, dict):
            yield from _leaves(value)
        elif isinstance(value, list):
            for one in value:
                yield from _leaves(one)
