"""The chapters of the story, in the order they are played."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from mfgroute.adapters.sap.references import guid
from mfgroute.testing.simulators.documents import loipro, nc_webhook
from mfgroute.testing.story.messages import (
    ORDERS,
    Actual,
    Segment,
    csv_file,
    mes_a,
    mes_a_completion,
    mes_a_receipt,
    performance,
)
from mfgroute.testing.story.model import Drop, Misbehave, Outcome, Post, Reopen, Signal, Signals, Step

__all__ = ["closing", "evening", "hold", "line_c", "morning", "orders", "plant_b", "presses", "trouble"]


def _mes_a(body: bytes, says: str, **outcome: Any) -> Post:
    return Post(
        source="mes-a",
        node="edge",
        content_type="application/json",
        body=body,
        says=says,
        outcome=Outcome(**outcome),
    )


def _mes_b(body: bytes, says: str, **outcome: Any) -> Post:
    return Post(
        source="mes-b",
        node="edge",
        content_type="application/xml",
        body=body,
        says=says,
        outcome=Outcome(**outcome),
    )


def orders() -> Sequence[Step]:
    """The ERP releases four orders and sends one IDoc twice."""
    documents = [
        loipro(order, docnum=4_402_117 + number, created="20261123054412")
        for number, order in enumerate(ORDERS.values())
    ]
    posts = [
        Post(
            source="erp-orders",
            node="core",
            content_type="application/xml",
            body=document,
            says=f"ERP releases order {order.number} for plant {order.site}",
            # Order, routing, milestone and staging of a component; a backflushed one is ignored.
            outcome=Outcome(accepted=4, filtered=int(order.number == "1004733")),
        )
        for order, document in zip(ORDERS.values(), documents, strict=True)
    ]
    again = msgspec.structs.replace(
        posts[0],
        says="ERP sends the IDoc of order 1004733 again",
        outcome=Outcome(duplicates=4, filtered=1),
    )
    return [*posts, again]


def morning() -> Sequence[Step]:
    """MES A works on order 1004733."""
    first = mes_a_completion("A-1002", "07:10:00", "1004733", 10, 100, state="PART", bad=2)
    scrap = {"wc": "PRESS-7", "mat": "100-210"}
    used = [
        {"mat": "RM-555", "lot": "r26-1002", "qty": 10, "uom": "L"},
        {"mat": "RM-555", "lot": "r26-1003", "qty": 5.8, "uom": "L"},
    ]
    return [
        _mes_a(
            mes_a("OP_START", "A-1001", "06:04:00", "1004733", 10, wc="PRESS-7", user="P-1182", first=True),
            "MES A starts operation 0010 of order 1004733",
            accepted=2,
        ),
        _mes_a(first, "MES A confirms 100 pieces, 2 scrap", accepted=1),
        _mes_a(first, "MES A sends the same confirmation again", duplicates=1),
        _mes_a(
            mes_a(
                "SCRAP",
                "A-1003",
                "07:20:00",
                "1004733",
                10,
                **scrap,
                lot="L26-112401",
                reason="M3",
                qty={"bad": 4, "uom": "ST"},
            ),
            "MES A reports 4 pieces of bad material: lot L26-112401 must be inspected",
            accepted=2,
        ),
        _mes_a(
            mes_a(
                "SCRAP",
                "A-1004",
                "07:25:00",
                "1004733",
                10,
                **scrap,
                lot="L26-112402",
                reason="M1",
                qty={"bad": 1, "uom": "ST"},
            ),
            "MES A reports a piece that the machine spoiled: no inspection",
            accepted=1,
        ),
        _mes_a(
            mes_a("CONSUME", "A-1005", "07:30:00", "1004733", 10, used=used),
            "MES A reports two component lots in litres; the ERP gets kilograms",
            accepted=2,
        ),
    ]


def plant_b() -> Sequence[Step]:
    """MES B confirms two operations in B2MML, the first in a closed period, and sends one broken file."""
    extruder = performance(
        "PERF-20261031-0457",
        "1004711",
        Segment(
            "88121",
            "20",
            "EXTR-2",
            "2026-10-31T14:02:00+01:00",
            "2026-10-31T21:41:00+01:00",
            [
                Actual("Produced", "FG-900", "L26-103102", "198.500", "KG", scrap="1.500"),
                Actual("Consumed", "RM-555", "R26-0907", "240.0", "L"),
                Actual("Material Consumed", "RM-555", "R26-0911", "13.25", "L"),
                Actual("By-product Produced", "FG-900", "", "850", "G"),
                Actual("Retained Sample", "FG-900", "L26-103102", "0.200", "KG"),
            ],
        ),
    )
    bagging = performance(
        "PERF-20261102-0003",
        "1004711",
        Segment(
            "88122",
            "30",
            "PACK-1",
            "2026-11-02T06:10:00+01:00",
            "2026-11-02T07:20:00+01:00",
            [
                Actual("Produced", "FG-900", "L26-103102", "198.300", "KG"),
                Actual("Consumed", "RM-555", "R26-0911", "0.5", "KG"),
            ],
        ),
    )
    return [
        _mes_b(
            extruder,
            "MES B finishes operation 0020 in B2MML, in a month that the ERP has closed",
            accepted=4,
            filtered=2,
        ),
        _mes_b(extruder, "MES B sends the document again", duplicates=4, filtered=2),
        _mes_b(extruder[: len(extruder) // 2], "MES B sends half a document", rejects=("bad_xml",)),
        _mes_b(bagging, "MES B finishes operation 0030", accepted=2, filtered=1),
    ]


def trouble() -> Sequence[Step]:
    """Two bad messages of MES A, and an ERP that is busy, broken, locked, slow and cut off."""
    return [
        _mes_a(
            mes_a_completion("A-1101", "08:00:00", "1004744", 10, 7, state="PART", uom="XX", wc="PRESS-8"),
            "MES A sends a unit that nobody knows",
            rejects=("lookup_missing",),
        ),
        _mes_a(
            mes_a_completion("A-1102", "08:05:00", "1004744", 10, 7, state="PART", wc="PRESS-99"),
            "MES A sends a work center that nobody knows",
            rejects=("lookup_missing",),
        ),
        Misbehave(system="erp", kind="too_many", times=2, says="the ERP answers 429"),
        Misbehave(system="erp", kind="error", times=2, says="the ERP answers 500"),
        Misbehave(
            system="erp",
            kind="expired",
            times=1,
            says="the ERP forgets its CSRF tokens",
            more={"name": "1004733"},
        ),
        Misbehave(
            system="erp",
            kind="refuse",
            times=2,
            says="order 1004744 is open on a screen of the ERP: CO/469",
            more={
                "name": "1004744",
                "message": "order_locked",
                "text": "Order 1004744 is already being processed by OTHERUSER",
            },
        ),
        Misbehave(system="erp", kind="slow", times=1, after_s=1.0, says="the ERP is slow"),
        Misbehave(
            system="erp",
            kind="cut",
            times=2,
            says="the ERP posts and drops the connection",
            # Of the next report, by its reference: what is cut was posted, and nothing else happens to it.
            more={"when": "after", "name": guid("confirmation", "DE04", "1004733", "0010", "A-1006")},
        ),
        Misbehave(system="wms", kind="too_many", times=1, after_s=1.0, says="the WMS answers 429"),
        _mes_a(
            mes_a_completion("A-1006", "09:00:00", "1004733", 10, 5, state="DONE", uom="KAR"),
            "MES A finishes operation 0010 with 5 cartons; the ERP gets 120 pieces",
            accepted=1,
        ),
        _mes_a(
            mes_a_completion("A-1007", "09:30:00", "1004733", 20, 214, state="PART"),
            "MES A confirms operation 0020",
            accepted=1,
        ),
        _mes_a(
            mes_a_completion("A-1008", "09:40:00", "1004733", 20, 0, state="DONE"),
            "MES A finishes operation 0020 with a quantity of zero",
            accepted=1,
        ),
        _mes_a(
            mes_a_completion(
                "A-1103", "10:00:00", "1004744", 10, 120, state="DONE", wc="PRESS-8", lot="L26-112407"
            ),
            "MES A finishes order 1004744",
            accepted=1,
        ),
    ]


def line_c() -> Sequence[Step]:
    """Line C drops two files; one row is English, one is exported twice."""
    first = (
        '1004755;10;0000088231;24.11.2026;07:55:00;1.234,50;12,25;kg;M3;"Mischer 4; Nord";1,75;L26-112431;T'
    )
    second = '1004755;10;0000088232;24.11.2026;08:30:00;234,5;;kg;;"Mischer 4; Nord";0,5;L26-112432;T'
    english = '1004755;10;0000088233;24.11.2026;09:10:00;1,234.50;0;kg;;"Mischer 4; Nord";0,5;L26-112433;T'
    final = '1004755;10;0000088234;24.11.2026;11:45:00;1.500;0;kg;;"Mischer 4; Nord";2,25;L26-112434;E'
    return [
        Drop(
            source="line-c",
            name="BDE_20261124_1.csv",
            body=csv_file(first, second, english),
            says="line C drops three rows; one has an English number",
            outcome=Outcome(accepted=2, rejects=("bad_number",)),
        ),
        Drop(
            source="line-c",
            name="BDE_20261124_2.csv",
            body=csv_file(second, final),
            says="line C exports a row again, with the final one",
            outcome=Outcome(accepted=1, duplicates=1),
        ),
    ]


def _machine(number: int, order: str, good: int) -> tuple[Signal, ...]:
    values: dict[str, bool | int | str] = {
        "Order": order,
        "Tool": f"T-1{number}",
        "Run": True,
        "StopCode": 0,
        "Good": good,
    }
    return tuple(Signal(node=f"P{number}.{name}", value=value, at_s=0.0) for name, value in values.items())


def presses() -> Sequence[Step]:
    """Three presses: a rollover, a reset, two downtimes and a micro-stop."""

    def changes(number: int, *values: tuple[str, bool | int | str, float]) -> tuple[Signal, ...]:
        return tuple(Signal(node=f"P{number}.{name}", value=value, at_s=at_s) for name, value, at_s in values)

    return [
        Signals(
            source="press-7",
            before=_machine(7, "1004733", 65_500),
            changes=changes(
                7,
                ("Good", 65_530, 300),
                ("StopCode", 17, 600),
                ("Run", False, 600),
                ("Run", True, 1_800),
                ("Good", 24, 2_100),
                ("Order", "1004744", 2_400),
            ),
            says="press 7 counts 60 pieces over a rollover and stands for 20 minutes (tool change)",
            outcome=Outcome(accepted=2),
        ),
        Signals(
            source="press-8",
            before=_machine(8, "1004744", 100),
            changes=changes(
                8,
                ("Good", 160, 300),
                ("Run", False, 600),
                ("Run", True, 660),
                ("Order", "1004799", 900),
                ("Good", 0, 901),
            ),
            says="press 8 counts 60 pieces, stops for a minute, and starts its next order at zero",
            outcome=Outcome(accepted=1),
        ),
        Signals(
            source="press-9",
            before=_machine(9, "1004801", 10),
            changes=changes(
                9,
                ("Good", 40, 300),
                ("StopCode", 21, 900),
                ("Run", False, 900),
                ("Run", True, 1_500),
                ("Order", "1004802", 1_800),
            ),
            says="press 9 counts 30 pieces and stands for 10 minutes (no material)",
            outcome=Outcome(accepted=2),
        ),
    ]


def hold() -> Sequence[Step]:
    """The QMS raises a nonconformance twice and closes it; the shop floor reports two findings."""
    lots = ["L26-111901", "L26-111902"]

    def webhook(event: str, at_ms: int) -> bytes:
        return nc_webhook(
            event,
            number="NC-2026-0815",
            at_ms=at_ms,
            site="DE07",
            material="FG-900",
            lots=lots,
            text="Fremdkörper",
        )

    def post(body: bytes, says: str, **outcome: Any) -> Post:
        return Post(
            source="qms",
            node="core",
            content_type="application/json",
            body=body,
            says=says,
            outcome=Outcome(**outcome),
        )

    finding = {"mat": "100-210", "code": "D-12", "text": "Grat", "lots": ["L26-112401"]}
    raised = webhook("nc.raised", 1_795_516_805_123)
    return [
        post(raised, "QMS raises NC-2026-0815: two lots are held in ERP and WMS", accepted=3),
        post(raised, "QMS sends the webhook again", duplicates=3),
        _mes_a(
            mes_a("DEFECT", "D-501", "10:20:00", "1004733", 10, sev=1, **finding),
            "MES A reports a minor finding: it stays on the shop floor",
            accepted=1,
        ),
        _mes_a(
            mes_a("DEFECT", "D-502", "10:25:00", "1004733", 10, sev=2, **finding),
            "MES A reports a major finding: the QMS gets it",
            accepted=1,
        ),
        post(
            webhook("nc.closed", 1_795_524_005_000), "QMS closes NC-2026-0815: both lots are free", accepted=2
        ),
    ]


def evening() -> Sequence[Step]:
    """Pallets go to stock."""
    pallet = mes_a_receipt(
        "A-1010", "11:00:00", "1004733", 20, 214, sscc="340123450000000017", lot="L26-112401"
    )
    return [
        _mes_a(pallet, "MES A brings order 1004733 to stock", accepted=2),
        _mes_a(pallet, "MES A sends the receipt again", duplicates=2),
        _mes_a(
            mes_a_receipt(
                "A-1110", "11:30:00", "1004744", 10, 120, sscc="340123450000000024", lot="L26-112407"
            ),
            "MES A brings order 1004744 to stock",
            accepted=2,
        ),
    ]


def closing() -> Sequence[Step]:
    """A person looks at what waits."""
    return [
        Reopen(
            system="erp",
            key="order/DE07/1004711",
            code="period_closed",
            setup={"open_periods": ["2026-10"]},
            says="accounting opens October again, and somebody retries what waits",
        )
    ]
