"""From events to requests: nothing is sent here."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from mfgroute import _core, packs
from mfgroute.adapters.sap import references
from mfgroute.adapters.sap.call import unpack
from mfgroute.adapters.sap.render import Renderer
from mfgroute.events import Done, Refused

from .sap_cases import COMPLETED, CONFIRMATION, HELD, MOVED, NOW, Ledger, body, config, event, rendered


def confirmation(**more):
    return CONFIRMATION | more


async def test_a_confirmation_has_the_names_and_forms_of_the_service():
    data = confirmation(
        type="final",
        scrap_reason="material",
        work_center="10-EXT02",
        start="2026-11-23T22:30:00Z",
        end="2026-11-24T00:15:09Z",
        activities=[{"type": "machine", "quantity": "146.5", "unit": "MIN", "done": True}],
        text="third shift",
    )
    request = await rendered(COMPLETED, data, posting_date={"time_zone": "Europe/Berlin"})
    assert body(request) == {
        "OrderID": "1004733",
        "Sequence": "0",
        "OrderOperation": "0010",
        "Plant": "DE04",
        "WorkCenter": "10-EXT02",
        "FinalConfirmationType": "X",
        "IsFinalConfirmation": True,
        "APIConfHasNoGoodsMovements": True,
        "ConfirmationYieldQuantity": "10.000",
        "ConfirmationScrapQuantity": "1.000",
        "ConfirmationReworkQuantity": "0.000",
        "ConfirmationUnitISOCode": "PCE",
        "VarianceReasonCode": "0001",
        "PostingDate": "/Date(1795478400000)/",
        "ConfirmedExecutionStartDate": "/Date(1795392000000)/",
        "ConfirmedExecutionStartTime": "PT23H30M00S",
        "ConfirmedExecutionEndDate": "/Date(1795478400000)/",
        "ConfirmedExecutionEndTime": "PT01H15M09S",
        "ConfirmationText": "third shift",
        "ExternalSystemConfirmation": references.guid("confirmation", "DE04", "1004733", "0010", "A-1002"),
        "OpConfirmedWorkQuantity2": "146.500",
        "WorkQuantityUnit2ISOCode": "MIN",
        "NoFurtherOpWorkQuantity2IsExpd": True,
    }
    assert request.object == "order/DE04/1004733"
    assert request.amounts == {
        "operation/0010/yield/H87": Decimal(10),
        "operation/0010/scrap/H87": Decimal(1),
    }
    assert request.key == "00000000000080008000000000000001"


async def test_the_same_event_makes_the_same_bytes():
    first, second = [await rendered(COMPLETED, CONFIRMATION) for _ in range(2)]
    assert first == second
    assert first.body != (await rendered(COMPLETED, CONFIRMATION, number=2)).body


@pytest.mark.parametrize(
    ("kind", "expected"), [("partial", (None, False)), ("final", ("X", True)), ("auto_final", ("1", None))]
)
async def test_a_confirmation_is_partial_final_or_left_to_the_target(kind, expected):
    made = body(await rendered(COMPLETED, confirmation(type=kind)))
    assert (made.get("FinalConfirmationType"), made.get("IsFinalConfirmation")) == expected


async def test_a_final_confirmation_of_nothing_is_posted():
    request = await rendered(COMPLETED, confirmation(type="final", quantity={"good": "0", "unit": "H87"}))
    assert body(request)["ConfirmationYieldQuantity"] == "0.000"
    assert request.amounts == {}


@pytest.mark.parametrize(
    ("goods", "moves", "flag"), [("none", False, True), ("listed", False, True), ("listed", True, False), ("by_erp", False, False)]
)  # fmt: skip
async def test_who_moves_the_stock_is_said_to_the_target(goods, moves, flag):
    data = confirmation(goods=goods)
    if moves:
        data["movements"] = [
            {"direction": "issue", "material": "RM-1", "batch": "b1", "quantity": "2.5", "unit": "KGM"},
            {
                "direction": "receipt",
                "material": "FG-1",
                "storage_location": "0030",
                "quantity": "10",
                "unit": "H87",
            },
            {"direction": "byproduct", "material": "BY-1", "quantity": "1", "unit": "KGM"},
        ]
    request = await rendered(COMPLETED, data, goods=goods)
    made = body(request)
    assert made["APIConfHasNoGoodsMovements"] is flag
    items = made.get("to_ProdnOrdConfMatlDocItm", {}).get("results", [])
    assert [item["GoodsMovementType"] for item in items] == (["261", "101", "531"] if moves else [])
    if moves:
        assert items[0]["Batch"] == "B1"
        assert items[1]["GoodsMovementRefDocType"] == "F"
        assert request.amounts["movement/261/RM-1/KGM"] == Decimal("2.5")
        assert unpack(request.body).moves == 3


@pytest.mark.parametrize(
    ("sink", "more"),
    [
        ({"goods": "by_erp"}, {"goods": "listed"}),
        ({"goods": "listed"}, {"goods": "by_erp"}),
        ({"goods": "none"}, {"goods": "listed"}),
        ({"goods": "by_erp"}, {"goods": "by_erp", "movements": [{"direction": "issue"}]}),
    ],
)
async def test_stock_is_never_moved_by_two(sink, more):
    refused = await rendered(COMPLETED, confirmation(**more), **sink)
    assert isinstance(refused, Refused)
    assert refused.code == "goods_differ"


async def test_movements_of_their_own_are_posted_only_where_the_target_makes_none():
    refused = await rendered("material.consumed", MOVED, goods="by_erp")
    assert isinstance(refused, Refused)
    assert refused.code == "goods_differ"
    assert "also" in refused.reason
    allowed = await rendered("material.consumed", MOVED, goods="by_erp", also=["material.consumed"])
    assert body(allowed)["GoodsMovementCode"] == "03"


async def test_a_running_total_becomes_what_is_missing():
    books = Ledger()
    posted = []
    for number, (good, scrap) in enumerate([("40", "0"), ("110", "1"), ("110", "1"), ("131", "1")], 1):
        data = confirmation(
            quantity={"good": good, "scrap": scrap, "unit": "H87", "basis": "total"}, report=str(number)
        )
        made = await rendered(COMPLETED, data, books=books, number=number)
        if isinstance(made, Done):
            posted.append(None)
            continue
        books.add(made)
        posted.append((body(made)["ConfirmationYieldQuantity"], body(made)["ConfirmationScrapQuantity"]))
    assert posted == [("40.000", "0.000"), ("70.000", "1.000"), None, ("21.000", "0.000")]


async def test_scrap_that_was_reported_apart_is_not_in_a_running_total():
    books = Ledger()
    scrap = {
        "site": "DE04", "order": "1004733", "operation": "0010", "report": "S-1", "origin": "in_process",
        "posting_date": "2026-11-24", "quantity": {"value": "4", "unit": "H87"},
    }  # fmt: skip
    request = await rendered("production.scrap.reported", scrap, books=books)
    made = body(request)
    assert (made["ConfirmationYieldQuantity"], made["ConfirmationScrapQuantity"]) == ("0.000", "4.000")
    assert made["IsFinalConfirmation"] is False
    assert request.amounts == {"operation/0010/scrap/H87": Decimal(4), ".apart/0010/scrap/H87": Decimal(4)}
    books.add(request)
    total = confirmation(quantity={"good": "10", "scrap": "1", "unit": "H87", "basis": "total"})
    assert (
        body(await rendered(COMPLETED, total, books=books, number=2))["ConfirmationScrapQuantity"] == "1.000"
    )


TOTAL = {"good": "10", "scrap": "1", "unit": "H87", "basis": "total"}
SCRAP = CONFIRMATION | {"origin": "in_process", "quantity": {"value": "4", "unit": "H87"}}
LISTED = {"movements": [{"direction": "issue", "material": "RM", "quantity": "2", "unit": "KGM"}]}


@pytest.mark.parametrize(
    ("kind", "data", "spoilt"),
    [
        (COMPLETED, CONFIRMATION | LISTED, {"scrap_reason": "unknown"}),
        (COMPLETED, CONFIRMATION | {"quantity": TOTAL}, {"work_center": "much too long for it"}),
        ("production.scrap.reported", SCRAP, {"scrap_reason": "unknown"}),
        ("material.consumed", MOVED | {"direction": "issue_reversal"}, {"batch": "much too long"}),
        ("material.finishedgoods.received", MOVED, {"storage_location": "much too long"}),
    ],
)
async def test_what_cannot_be_posted_adds_what_its_request_would_have_added(kind, data, spoilt):
    books = Ledger()
    books.sums["order/DE04/1004733"] = {"operation/0010/yield/H87": Decimal(4)}
    request = await rendered(kind, data, books=books)
    assert isinstance(await rendered(kind, data | spoilt, books=books), Refused)
    renderer = Renderer(config(), lambda: NOW)
    assert await renderer.adds(event(kind, data | spoilt), books) == (request.object, request.amounts)
    unknown = data | {"quantity": {"good": "x", "value": "x"}}
    assert await renderer.adds(event(kind, unknown), books) is None


async def test_a_total_that_goes_back_or_changes_its_unit_is_refused():
    books = Ledger()
    total = {"good": "50", "unit": "H87", "basis": "total"}
    books.add(await rendered(COMPLETED, confirmation(quantity=total), books=books))
    below = await rendered(COMPLETED, confirmation(quantity=total | {"good": "49"}), books=books)
    other = await rendered(COMPLETED, confirmation(quantity=total | {"unit": "KGM"}), books=books)
    assert (below.code, other.code) == ("total_below_posted", "unit_changed")


@pytest.mark.parametrize(
    ("kind", "more", "type_", "code", "amount"),
    [
        ("material.consumed", {}, "261", "03", "movement/261"),
        ("material.consumed", {"direction": "issue_reversal"}, "262", "06", "-movement/261"),
        ("material.byproduct.received", {}, "531", "05", "movement/531"),
        ("material.byproduct.received", {"direction": "receipt_reversal"}, "532", "05", "-movement/531"),
        ("material.finishedgoods.received", {}, "101", "02", "movement/101"),
    ],
)
async def test_movements_of_an_order(kind, more, type_, code, amount):
    request = await rendered(kind, MOVED | more)
    made = body(request)
    (item,) = made["to_MaterialDocumentItem"]["results"]
    assert (item["GoodsMovementType"], made["GoodsMovementCode"]) == (type_, code)
    assert item["ManufacturingOrder"] == "1004711"
    assert item["Batch"] == "R26-0907"
    assert (item["QuantityInEntryUnit"], item["EntryUnitISOCode"]) == ("189.840", "KGM")
    assert made["ReferenceDocument"] == references.reference(event(kind, MOVED).id)
    assert request.object == "order/DE07/1004711"
    sign = -1 if amount.startswith("-") else 1
    assert request.amounts == {f"{amount.removeprefix('-')}/RM-555/KGM": sign * Decimal("189.84")}


async def test_serial_numbers_and_the_kind_of_stock_stand_in_the_item():
    data = MOVED | {
        "quantity": {"value": "2", "unit": "H87"}, "serials": ["SN1", "SN2"], "stock_type": "inspection", "order_item": "2",
    }  # fmt: skip
    (item,) = body(await rendered("material.finishedgoods.received", data))["to_MaterialDocumentItem"][
        "results"
    ]
    assert item["to_SerialNumbers"] == {"results": [{"SerialNumber": "SN1"}, {"SerialNumber": "SN2"}]}
    assert (item["InventoryUsabilityCode"], item["ManufacturingOrderItem"]) == ("X", "0002")


async def test_a_transfer_needs_both_places():
    data = MOVED | {"revision": "1", "from_location": "0010", "to_location": "0020"}
    (item,) = body(await rendered("material.transfer.requested", data))["to_MaterialDocumentItem"]["results"]
    assert (item["GoodsMovementType"], item["StorageLocation"]) == ("311", "0010")
    assert (item["IssuingOrReceivingPlant"], item["IssuingOrReceivingStorageLoc"]) == ("DE07", "0020")
    assert "ManufacturingOrder" not in item
    missing = await rendered("material.transfer.requested", MOVED | {"to_location": "0020"})
    assert missing.code == "location_missing"


async def test_scrap_from_stock_withdraws_stock_and_scrap_in_process_does_not():
    data = MOVED | {"origin": "from_stock", "scrap_reason": "material", "storage_location": "0010"}
    (item,) = body(await rendered("production.scrap.reported", data, cost_center="4711"))[
        "to_MaterialDocumentItem"
    ]["results"]
    assert (item["GoodsMovementType"], item["GoodsMovementReasonCode"], item["CostCenter"]) == (
        "551",
        "0001",
        "4711",
    )


async def test_a_hold_sets_the_status_of_a_batch_or_blocks_a_quantity():
    request = await rendered("quality.hold.placed", HELD)
    assert unpack(request.body).path == (
        "Batch(Material=%27FG-900%27,BatchIdentifyingPlant=%27DE07%27,Batch=%27L261119-01%27)"
    )
    assert body(request) == {"MatlBatchIsInRstrcdUseStock": True}
    assert body(await rendered("quality.hold.released", HELD)) == {"MatlBatchIsInRstrcdUseStock": False}
    some = HELD | {
        "scope": "quantity",
        "storage_location": "0030",
        "quantity": {"value": "40", "unit": "KGM"},
    }
    for kind, type_, sign in (("placed", "344", 1), ("released", "343", -1)):
        request = await rendered(f"quality.hold.{kind}", some)
        (item,) = body(request)["to_MaterialDocumentItem"]["results"]
        assert item["GoodsMovementType"] == type_
        assert request.object == "lot/DE07/FG-900/L261119-01"
        assert request.amounts == {"movement/344/FG-900/KGM": sign * Decimal(40)}


@pytest.mark.parametrize(
    ("rule", "event_day", "today", "expected"),
    [
        ({"rule": "event"}, "2026-10-31", "2026-11-24", "2026-10-31"),
        ({"rule": "today"}, "2026-10-31", "2026-11-24", "2026-11-24"),
        ({"rule": "event_or_first_open_day", "closes_on": 5}, "2026-10-31", "2026-11-04", "2026-10-31"),
        ({"rule": "event_or_first_open_day", "closes_on": 5}, "2026-10-31", "2026-11-05", "2026-11-01"),
        ({"rule": "event_or_first_open_day", "closes_on": 5}, "2026-09-30", "2026-11-04", "2026-11-01"),
        ({"rule": "event_or_first_open_day", "closes_on": 5}, "2025-12-31", "2026-01-04", "2025-12-31"),
        ({"rule": "event_or_first_open_day"}, "2026-11-02", "2026-11-24", "2026-11-02"),
        ({"rule": "event_or_first_open_day"}, "2026-10-31", "2026-11-24", "2026-11-01"),
    ],
)
async def test_the_posting_date_follows_its_rule(rule, event_day, today, expected):
    now = datetime.fromisoformat(today + "T12:00:00").replace(tzinfo=UTC)
    request = await rendered(
        "material.consumed", MOVED | {"posting_date": event_day}, posting_date=rule, now=now
    )
    assert unpack(request.body).posting_date == expected
    day = datetime.fromisoformat(event_day).replace(tzinfo=UTC)
    assert body(request)["DocumentDate"] == f"/Date({int(day.timestamp()) * 1000})/"


async def test_today_is_the_plants_day():
    late = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)
    data = {name: value for name, value in MOVED.items() if name != "posting_date"}
    request = await rendered(
        "material.byproduct.received",
        data,
        posting_date={"rule": "today", "time_zone": "Europe/Berlin"},
        now=late,
    )
    assert unpack(request.body).posting_date == "2026-11-25"
    request = await rendered("material.byproduct.received", data, now=late)
    assert unpack(request.body).posting_date == "2026-11-24"


@pytest.mark.parametrize(
    ("kind", "data", "code"),
    [
        (COMPLETED, confirmation(scrap_reason="dropped"), "reason_unmapped"),
        (
            COMPLETED,
            confirmation(activities=[{"type": "energy", "quantity": "1", "unit": "KWH"}]),
            "activity_unmapped",
        ),
        (COMPLETED, confirmation(quantity={"good": "1.2345", "unit": "KGM"}), "quantity_unfit"),
        (COMPLETED, confirmation(quantity={"good": "1", "unit": "ZZ9"}), "unit_unknown"),
        (COMPLETED, confirmation(site="PLANT"), "too_long"),
        (COMPLETED, confirmation(posting_date="tomorrow"), "value_unfit"),
        ("material.consumed", MOVED | {"batch": "longer-than-ten"}, "too_long"),
        ("material.consumed", MOVED | {"serials": ["x" * 19]}, "too_long"),
        ("production.milestone.reached", {}, "event_unknown"),
        ("production.scrap.reported", {"origin": "elsewhere"}, "event_unknown"),
    ],
)
async def test_what_does_not_fit_is_refused_before_anything_is_sent(kind, data, code):
    refused = await rendered(kind, data)
    assert isinstance(refused, Refused)
    assert refused.code == code
    assert refused.reason


async def test_serial_numbers_do_not_go_with_automatic_movements():
    refused = await rendered(COMPLETED, confirmation(goods="by_erp", serials=["1"]), goods="by_erp")
    assert refused.code == "serials_by_erp"


async def test_a_movement_of_nothing_is_done():
    assert await rendered("material.consumed", MOVED | {"quantity": {"value": "0", "unit": "KGM"}}) == Done()


@pytest.mark.parametrize(("units", "given", "expected"), [
    ("iso", {}, {"ConfirmationUnitISOCode": "PCE"}),
    ("sap", {"H87": "ST"}, {"ConfirmationUnit": "ST"}),
])  # fmt: skip
async def test_units_are_codes_of_one_set(units, given, expected):
    made = body(await rendered(COMPLETED, CONFIRMATION, units=units, unit_codes=given))
    assert {name: value for name, value in made.items() if name.startswith("ConfirmationUnit")} == expected


async def test_every_example_of_a_contract_that_is_posted_is_rendered():
    folder = Path(packs.__path__[0]) / "canonical" / "contracts"
    seen = 0
    for path in sorted(folder.glob("*.yaml")):
        contract = _core.parse_yaml(path.read_bytes(), path.name)[0]
        for number, data in enumerate(contract["examples"], 1):
            goods = data.get("goods", "listed")
            made = await rendered(contract["type"], data, goods=goods, number=number)
            if isinstance(made, Refused):
                assert made.code in ("event_unknown", "location_missing", "too_long"), (
                    contract["type"],
                    made,
                )
                continue
            seen += 1
    assert seen >= 7


def test_references_fit_and_differ():
    ids = [f"00000000-0000-8000-8000-{number:012d}" for number in range(2000)]
    made = {references.reference(one) for one in ids}
    assert len(made) == 2000
    assert all(len(one) == 16 and one == one.upper() and one.isalnum() for one in made)
    assert references.request_id(ids[1]) == "00000000000080008000000000000001"
    assert len(references.request_id("a foreign id")) == 32
    assert references.guid("confirmation", "a", "bc", "0010", "d") != references.guid(
        "confirmation", "ab", "c", "0010", "d"
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"auth": None}, "needs `auth` or `cert_file`"),
        ({"auth": {"user": "a"}}, "belong together"),
        ({"auth": {"user": "a", "password": "b", "token": "c"}}, "needs one of"),
        ({"auth": {"token_url": "https://x/t", "client_id": "a"}}, "belong together"),
        ({"url": "https://u:p@sap.example"}, "holds a user or password"),
        ({"url": "https://sap.example/sap?sap-client=100"}, "holds a query"),
        ({"also": ["material.consumed"]}, "`also`"),
        ({"activities": {"machine": 1, "labor": 1}}, "same number"),
        ({"posting_date": {"time_zone": "Mars/Olympus"}}, "time_zone"),
        ({"goods": "both"}, "Invalid enum value"),
        ({"effect": {"by": "none"}}, "Invalid enum value"),
        ({"effect": {"by": "key"}}, "`by: key` needs `kept`"),
    ],
)
def test_a_configuration_that_leaks_or_posts_twice_is_refused(more, said):
    with pytest.raises(Exception, match=said):
        config(**more)
