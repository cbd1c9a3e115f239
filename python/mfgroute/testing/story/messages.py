"""The documents of the story: what MES A, MES B and line C write, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from mfgroute.testing.simulators.documents import Component, Operation, Order

__all__ = [
    "CSV_HEADER",
    "ORDERS",
    "Actual",
    "Segment",
    "csv_file",
    "mes_a",
    "mes_a_completion",
    "mes_a_receipt",
    "performance",
]


def _order(site: str, number: str, material: str, quantity: str, unit: str, *operations: Operation) -> Order:
    return Order(
        site=site,
        number=number,
        material=material,
        quantity=quantity,
        unit=unit,
        start="20261124060000",
        operations=operations,
    )


def _operation(
    number: str, work_center: str, text: str, group: str, *components: Component, deleted: bool = False
) -> Operation:
    return Operation(
        number=number,
        work_center=work_center,
        text=text,
        confirmation_group=group,
        deleted=deleted,
        components=components,
    )


#: The orders of the story, as the ERP holds them.
ORDERS: dict[str, Order] = {
    order.number: order
    for order in (
        _order(
            "DE04",
            "1004733",
            "100210",
            "214.000",
            "PCE",
            _operation(
                "0010",
                "PRESS-7",
                "Pressen & Entgraten",
                "0000088301",
                Component(item="0010", material="200-004", quantity="76.800", unit="ROL", backflush=True),
                Component(item="0020", material="RM-555", quantity="12.500", unit="KGM", batch="R26-1002"),
            ),
            _operation("0015", "PRESS-7", "alt", "0000088302", deleted=True),
            _operation("0020", "PRESS-7", "Verpacken", "0000088303"),
        ),
        _order(
            "DE04",
            "1004744",
            "100210",
            "120.000",
            "PCE",
            _operation(
                "0010",
                "PRESS-8",
                "Pressen",
                "0000088311",
                Component(item="0010", material="RM-555", quantity="6.250", unit="KGM"),
            ),
        ),
        _order(
            "DE07",
            "1004711",
            "FG-900",
            "600.000",
            "KGM",
            _operation(
                "0020",
                "EXTR-2",
                "Extrudieren",
                "0000088321",
                Component(item="0010", material="RM-555", quantity="250.000", unit="KGM"),
            ),
            _operation("0030", "PACK-1", "Absacken", "0000088322"),
        ),
        _order(
            "DE11",
            "1004755",
            "FG-950",
            "3000.000",
            "KGM",
            _operation(
                "0010",
                "MIX-4",
                "Mischen",
                "0000088331",
                Component(item="0010", material="RM-700", quantity="3050.000", unit="KGM"),
            ),
        ),
    )
}


def mes_a(event: str, id_: str, at: str, order: str, operation: int, **fields: Any) -> bytes:
    """A message of MES A, times on 24 November 2026 in winter time.

    Args:
        event: kind of message.
        id_: its id at the sender.
        at: local time, ``HH:MM:SS``.
        order: order number without zeros.
        operation: operation as MES A counts it.
        fields: what else it says.
    """
    document: dict[str, Any] = {
        "evt": event,
        "id": id_,
        "ts": f"2026-11-24T{at}+01:00",
        "order": {"no": f"{order:0>12}", "op": operation},
        **fields,
    }
    return msgspec.json.encode(document)


def mes_a_completion(
    id_: str,
    at: str,
    order: str,
    operation: int,
    good: int,
    *,
    state: str,
    bad: int = 0,
    uom: str = "ST",
    wc: str = "PRESS-7",
    lot: str = "L26-112401",
) -> bytes:
    """A confirmation of MES A."""
    quantity = {"good": good, "bad": bad, "uom": uom}
    return mes_a(
        "OP_COMPLETE",
        id_,
        at,
        order,
        operation,
        wc=wc,
        mat="100-210",
        lot=lot,
        state=state,
        qty=quantity,
        user="P-1182",
    )


def mes_a_receipt(id_: str, at: str, order: str, operation: int, good: int, *, sscc: str, lot: str) -> bytes:
    """The last pallet of an order goes to stock."""
    return mes_a(
        "STOCK_IN",
        id_,
        at,
        order,
        operation,
        mat="100-210",
        lot=lot,
        sscc=sscc,
        sloc="0030",
        qty={"good": good, "uom": "ST"},
        last=True,
    )


class Actual(NamedTuple):
    """Material of a segment: use, material, lot, quantity and unit."""

    use: str
    material: str
    lot: str
    quantity: str
    unit: str
    scrap: str = ""


class Segment(NamedTuple):
    """What one operation did: id, operation, equipment, start, end and materials."""

    id: str
    operation: str
    equipment: str
    start: str
    end: str
    materials: Sequence[Actual]


def performance(document: str, order: str, segment: Segment) -> bytes:
    """A B2MML V0701 ``SyncOperationsPerformance`` of plant DE07 about one finished operation."""
    materials = "".join(_actual(number, actual) for number, actual in enumerate(segment.materials, 1))
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<SyncOperationsPerformance xmlns="http://www.mesa.org/xml/B2MML" releaseID="V0701">'
        "<ApplicationArea><Sender><LogicalID>MES-B</LogicalID></Sender>"
        f"<CreationDateTime>{segment.end}</CreationDateTime><BODID>{document}</BODID></ApplicationArea>"
        f"<DataArea><Sync/><OperationsPerformance><ID>{document}</ID>"
        "<HierarchyScope><EquipmentID>DE07</EquipmentID><EquipmentLevel>Site</EquipmentLevel></HierarchyScope>"
        "<OperationsType>Production</OperationsType>"
        f"<OperationsResponse><ID>RSP-{order}</ID><OperationsRequestID>{order:0>12}</OperationsRequestID>"
        "<ResponseState>Running</ResponseState>"
        f"<SegmentResponse><ID>{segment.id}</ID>"
        f"<ActualStartTime>{segment.start}</ActualStartTime><ActualEndTime>{segment.end}</ActualEndTime>"
        f"<ProcessSegmentID>{segment.operation}</ProcessSegmentID><SegmentState>Completed</SegmentState>"
        "<SegmentData><ID>MACHINE</ID><Value><ValueString>146.5</ValueString><DataType>decimal</DataType>"
        "<UnitOfMeasure>MIN</UnitOfMeasure></Value></SegmentData>"
        "<PersonnelActual><ID>1</ID><PersonID>P-2044</PersonID></PersonnelActual>"
        f"<EquipmentActual><ID>1</ID><EquipmentID>{segment.equipment}</EquipmentID></EquipmentActual>"
        f"{materials}</SegmentResponse></OperationsResponse></OperationsPerformance></DataArea>"
        "</SyncOperationsPerformance>\n"
    )
    return text.encode()


def _actual(number: int, actual: Actual) -> str:
    lot = f"<MaterialLotID>{actual.lot}</MaterialLotID>" if actual.lot else ""
    scrap = (
        "<MaterialActualProperty><ID>SCRAP</ID><Value>"
        f"<ValueString>{actual.scrap}</ValueString><DataType>decimal</DataType>"
        f"<UnitOfMeasure>{actual.unit}</UnitOfMeasure></Value></MaterialActualProperty>"
        if actual.scrap
        else ""
    )
    return (
        f"<MaterialActual><ID>{number}</ID><MaterialDefinitionID>{actual.material}</MaterialDefinitionID>{lot}"
        f"<MaterialUse>{actual.use}</MaterialUse>"
        f"<Quantity><QuantityString>{actual.quantity}</QuantityString><DataType>decimal</DataType>"
        f"<UnitOfMeasure>{actual.unit}</UnitOfMeasure></Quantity>{scrap}</MaterialActual>"
    )


CSV_HEADER = (
    "Auftrag;Vorgang;Rückmelde-Nr;Datum;Uhrzeit;Gutmenge;Ausschuss;Einheit;Grund;Arbeitsplatz;"
    "Maschinenzeit (h);Charge;Kennz"
)


def csv_file(*rows: str) -> bytes:
    """A file of line C: header and rows, cp1252, CRLF."""
    return "".join(f"{row}\r\n" for row in (CSV_HEADER, *rows)).encode("cp1252")
