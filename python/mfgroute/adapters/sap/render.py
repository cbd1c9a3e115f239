"""From an event to a posting. No output here; only a reversal looks something up.

The objects and amounts that are kept with a posting:

* ``order/<plant>/<order>`` for all that belongs to an order, ``lot/<plant>/<material>/<lot>`` for holds
  (without the plant where plants share the status of a lot), ``stock/<plant>/<material>`` for others.
* ``operation/<operation>/yield|scrap|rework/<unit>`` and ``movement/<type>/<material>/<unit>``; a reversal
  takes off under the name of what it reverses. ``.apart/<operation>/scrap/<unit>`` is scrap that was reported
  by events of its own, which running totals do not contain. ``.hold/<reason>`` is a hold that stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from mfgroute.adapter import Books, Request
from mfgroute.adapters.plain import excerpt
from mfgroute.adapters.sap import data as tables
from mfgroute.adapters.sap import holds, references
from mfgroute.adapters.sap.added import confirmed, moved, moved_alone
from mfgroute.adapters.sap.call import Call, compact, counted, unpack
from mfgroute.adapters.sap.cancel import Cancels, Find
from mfgroute.adapters.sap.config import SapSinkConfig
from mfgroute.adapters.sap.dates import Calendar, moment
from mfgroute.adapters.sap.fields import Unfit, Units, number, properties, text
from mfgroute.events import Done, Event, NotYet, Refused

__all__ = ["Renderer"]

_ZERO = Decimal(0)
_FINAL: dict[str, tuple[str, bool | None]] = {
    "partial": ("", False),
    "final": ("X", True),
    "auto_final": ("1", None),
}
_USABILITY = {"unrestricted": "", "inspection": "X", "blocked": "S"}
_OF_ORDERS = ("material.consumed", "material.byproduct.received", "material.finishedgoods.received")


class Envelope(msgspec.Struct):
    """What is read of a CloudEvent."""

    id: str
    type: str
    data: dict[str, Any]
    time: str | None = None


_DECODER = msgspec.json.Decoder(Envelope, float_hook=str)


class Renderer:
    """Makes requests of events.

    Args:
        config: of the sink.
        now: the time.
    """

    def __init__(self, config: SapSinkConfig, now: Callable[[], datetime]) -> None:
        self._config = config
        self._now = now
        self._calendar = Calendar(config.posting_date, now)
        self.units = Units(config.units, config.unit_codes)
        self._cancels = Cancels(config, self.units)

    async def render(  # noqa: PLR0911 - one for each operation
        self, event: Event, books: Books, find: Find
    ) -> Request | Done | Refused | NotYet:
        """The request of an event."""
        kind = tables.event_kind(event.type)
        try:
            envelope = _DECODER.decode(event.json)
        except msgspec.DecodeError as error:
            return Refused("event_unreadable", str(error))
        operation = tables.operation_of(kind, envelope.data)
        if not operation:
            return Refused(
                "event_unknown", f"this sink posts no events of the type {excerpt(event.type, 100)}"
            )
        try:
            if operation == "confirm":
                return await self._confirm(kind, envelope, books)
            if operation == "cancel":
                day = self._calendar.posting_date(self._calendar.day_of(envelope.data, envelope.time))
                key = references.request_id(envelope.id)
                return await self._cancels.of_event(envelope.data, key, self.created, day, find)
            if operation == "restrict":
                return await self._hold(kind, envelope, books)
            return self._move(kind, envelope)
        except Unfit as unfit:
            return Refused(unfit.code, str(unfit))

    async def adds(self, event: Event, books: Books) -> tuple[str, Mapping[str, Decimal]] | None:
        """What an event adds to its object, where a person books it by hand; `None` if that is not known."""
        kind = tables.event_kind(event.type)
        try:
            data = _DECODER.decode(event.json).data
            operation = tables.operation_of(kind, data)
            if operation == "confirm":
                apart = kind.startswith("production.scrap.reported")
                found = await confirmed(data, books, apart=apart)
                counts = found.counts | moved(data)
                return found.thing, {name: value for name, value in counts.items() if value}
            return moved_alone(kind.partition("/")[0], data) if operation == "move" else None
        except (msgspec.DecodeError, Unfit):
            return None

    @property
    def created(self) -> str:
        """Now, as ``RepeatabilityCreation`` says it."""
        return self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def reverse(
        self, request: Request, reference: str, reason: str, posted: Mapping[str, Decimal]
    ) -> Request | Refused:
        """The request that takes a posted one back, today."""
        call = unpack(request.body)
        if call.kind == "restrict":
            key = references.reversal_id(request.key)
            return holds.taken_back(call, posted, key=key, created=self.created).request()
        return self._cancels.of_request(request, reference, self.created, self._calendar.today, reason)

    async def _confirm(self, kind: str, envelope: Envelope, books: Books) -> Request | Done:
        data = envelope.data
        apart = kind.startswith("production.scrap.reported")
        site, order, report = (text(data, name) for name in ("site", "order", "report"))
        no_goods = self._goods(data, apart=apart)
        thing, _, unit, amounts, counts = await confirmed(data, books, apart=apart)
        total = data.get("quantity", {}).get("basis") == "total"
        items = self._items(data)
        activities = self._activities(data)
        final_type, is_final = ("", False) if apart else _FINAL[str(data.get("type"))]
        if total and not any(amounts.values()) and not (is_final or items or activities):
            return Done()
        operation = text(data, "operation")
        guid = references.guid("scrap" if apart else "confirmation", site, order, operation, report)
        day = self._calendar.posting_date(self._calendar.day_of(data, envelope.time))
        own = {
            **amounts,
            "unit": unit,
            "final_type": final_type,
            "is_final": is_final,
            "no_goods": no_goods,
            "reason": self._reason(data),
            "posting_date": day,
            "guid": guid,
            **self._times(data),
        }
        table = tables.operations()["confirm"]
        body = properties(table.fields, data, own, self.units)
        for place, activity in activities.items():
            body |= properties(table.activity, data, activity, self.units, number=place)
        if items:
            body[table.items] = {"results": items}
        call = Call(
            kind="confirm",
            service=table.service,
            path=table.entity,
            body=compact(body),
            request_id=references.request_id(envelope.id),
            created=self.created,
            reference=guid,
            site=site,
            order=order,
            operation=operation,
            amounts=(str(amounts["yield"]), str(amounts["scrap"]), str(amounts["rework"])),
            moves=len(items),
            thing=thing,
            counts=counted(counts | moved(data)),
            posting_date=day.isoformat(),
        )
        return call.request()

    def _goods(self, data: Mapping[str, Any], *, apart: bool) -> bool:
        """Whether the confirmation says that it moves no stock."""
        goods = self._config.goods
        listed = bool(data.get("movements"))
        said = goods if apart else data.get("goods", goods)
        if said != goods:
            raise Unfit("goods_differ", f"the event says `goods: {said}`, the sink posts `goods: {goods}`")
        if listed and goods != "listed":
            raise Unfit("goods_differ", f"the event lists movements, and the sink posts `goods: {goods}`")
        if data.get("serials") and goods == "by_erp":
            raise Unfit(
                "serials_by_erp", "the target makes no automatic movements of pieces with serial numbers"
            )
        return goods != "by_erp" and not listed

    def _items(self, data: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The movements that a confirmation lists."""
        items: list[dict[str, Any]] = []
        table = tables.operations()["confirm"]
        for one in data.get("movements") or []:
            move = tables.move_of("confirmation", one.get("direction"))
            if move is None:
                raise Unfit("direction_unknown", f"a movement has the direction {one.get('direction')!r}")
            own = {
                "material": one.get("material"),
                "storage_location": one.get("storage_location"),
                "batch": one.get("batch"),
                "movement_type": move.type,
                "ref_type": move.ref,
                "unit": one.get("unit"),
                "quantity": number(one, "quantity"),
            }
            items.append(properties(table.item, data, own, self.units))
        return items

    def _activities(self, data: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
        """The activities by their number at the work center."""
        found: dict[int, dict[str, Any]] = {}
        for one in data.get("activities") or []:
            place = self._config.activities.get(one.get("type"))
            if place is None:
                raise Unfit("activity_unmapped", f"`activities` has no number for {one.get('type')!r}")
            if place in found:
                raise Unfit("activity_twice", f"the activity {one.get('type')!r} is reported twice")
            done = one.get("done") or None
            found[place] = {"quantity": number(one, "quantity"), "unit": one.get("unit"), "done": done}
        return found

    def _times(self, data: Mapping[str, Any]) -> dict[str, Any]:
        own: dict[str, Any] = {}
        for name in ("start", "end"):
            when = moment(data.get(name))
            if when is not None:
                local = when.astimezone(self._calendar.zone)
                own |= {f"{name}_date": local.date(), f"{name}_time": local.time()}
        return own

    def _reason(self, data: Mapping[str, Any]) -> str | None:
        said = data.get("scrap_reason")
        if said is None:
            return None
        found = self._config.reasons.get(str(said))
        if found is None:
            raise Unfit("reason_unmapped", f"`reasons` has no code for {excerpt(str(said), 60)!r}")
        return found

    def _move(self, kind: str, envelope: Envelope) -> Request | Done:
        data, config = envelope.data, self._config
        name = kind.partition("/")[0]
        move = tables.move_of(name, data.get("direction"))
        if move is None:
            raise Unfit("direction_unknown", f"{name} has no direction {data.get('direction')!r}")
        if name in _OF_ORDERS and config.goods != "listed" and name not in config.also:
            said = f"`goods: {config.goods}`: this sink posts {name} only if it stands in `also`"
            raise Unfit("goods_differ", said)
        site, material = text(data, "site"), text(data, "material")
        quantity = number(data.get("quantity") or {}, "value")
        unit = str((data.get("quantity") or {}).get("unit", ""))
        if quantity == 0:
            return Done()
        event_day = self._calendar.day_of(data, envelope.time)
        reference = references.reference(envelope.id)
        own: dict[str, Any] = {
            "movement_code": move.code,
            "posting_date": self._calendar.posting_date(event_day),
            "document_date": event_day,
            "reference": reference,
            "material": material,
            "storage_location": data.get("storage_location"),
            "batch": data.get("batch"),
            "movement_type": move.type,
            "ref_type": move.ref,
            "posting_type": move.posting,
            "usability": _USABILITY.get(str(data.get("stock_type")), ""),
            "order": data.get("order") if move.order else None,
            "order_item": str(data["order_item"]).zfill(4) if data.get("order_item") else None,
            "unit": unit,
            "quantity": quantity,
        }
        if move.type == "311":
            own |= _transfer(data)
        if move.type == "551":
            own |= {"reason": self._reason(data), "cost_center": config.cost_center}
        table = tables.operations()["move"]
        item = properties(table.item, data, own, self.units)
        serials = data.get("serials")
        if serials:
            rows = [properties(table.serial, data, {"serial": one}, self.units) for one in serials]
            item[table.serials] = {"results": rows}
        body = properties(table.fields, data, own, self.units) | {table.items: {"results": [item]}}
        thing, counts = moved_alone(name, data)
        call = Call(
            kind="move",
            service=table.service,
            path=table.entity,
            body=compact(body),
            request_id=references.request_id(envelope.id),
            created=self.created,
            reference=reference,
            site=site,
            order=str(own["order"] or ""),
            thing=thing,
            counts=counted(counts),
            posting_date=own["posting_date"].isoformat(),
        )
        return call.request()

    async def _hold(self, kind: str, envelope: Envelope, books: Books) -> Request:
        data, by_plant = envelope.data, self._config.batch_level == "plant"
        key = references.request_id(envelope.id)
        if kind.startswith("quality.hold.placed"):
            return holds.to_place(data, by_plant=by_plant, key=key, created=self.created).request()
        posted = await books.posted(holds.thing_of(data, by_plant=by_plant))
        return holds.to_release(data, posted, by_plant=by_plant, key=key, created=self.created).request()


def _transfer(data: Mapping[str, Any]) -> dict[str, Any]:
    if not data.get("from_location") or not data.get("to_location"):
        raise Unfit(
            "location_missing", "a transfer is posted only where `from_location` and `to_location` are known"
        )
    return {
        "storage_location": data["from_location"],
        "other_material": data.get("material"),
        "other_batch": data.get("batch"),
        "other_plant": data.get("site"),
        "other_location": data["to_location"],
    }
