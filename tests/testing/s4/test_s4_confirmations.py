"""Confirmations at the ERP behind OData: what they do, what is refused, what stands in the ledger."""

import asyncio
import uuid
from decimal import Decimal

import pytest

from .client import CONFIRMATIONS, DOCUMENTS, confirmation, item, once, order, system

GUID = "0f7c3a52-0000-4000-8000-00000000000a"


async def test_a_confirmation_is_saved_and_found_by_its_reference():
    async with system() as (erp, client):
        got = await client.confirm(ExternalSystemConfirmation=GUID.upper(), ConfirmationText="A-7")
        assert (got.status, got.d["ConfirmationGroup"], got.d["ConfirmationCount"]) == (201, "10047111", "1")
        assert got.headers["Location"] == got.d["__metadata"]["uri"]
        assert (got.d["PostingDate"], got.d["ConfirmationYieldQuantity"]) == (
            "/Date(1795478400000)/",
            "10.000",
        )
        found = await client.read(
            CONFIRMATIONS,
            "ProdnOrdConf2",
            filter=f"ExternalSystemConfirmation eq guid'{GUID}' and OrderID eq '000001004711'",
            select="ConfirmationGroup,ConfirmationCount,ConfirmationText",
        )
        [row] = found.results
        assert row.pop("__metadata")["type"] == f"{CONFIRMATIONS}.ProdnOrdConf2Type"
        assert row == {"ConfirmationGroup": "10047111", "ConfirmationCount": "1", "ConfirmationText": "A-7"}
        [effect] = erp.ledger.effects()
        assert (effect["document"], effect["external"], effect["posting_date"]) == (
            "10047111/1",
            GUID,
            "2026-11-24",
        )


async def test_sums_per_operation_count_what_stands():
    async with system() as (erp, client):
        for good, scrap in (("10", "1"), ("2.5", "0.125"), ("0", "3")):
            await client.confirm(ConfirmationYieldQuantity=good, ConfirmationScrapQuantity=scrap)
        await client.confirm(OrderOperation="0020", ConfirmationYieldQuantity="7")
        cancelled = await client.send(
            "POST",
            CONFIRMATIONS,
            "CancelProdnOrdConf?ConfirmationGroup='10047111'&ConfirmationCount='2'"
            "&PostingDate=datetime'2026-11-25T00:00:00'",
        )
        assert (cancelled.status, cancelled.d["IsReversal"], cancelled.d["ConfirmationCount"]) == (
            200,
            True,
            "4",
        )
        operations = erp.ledger.totals()["1004711"]["operations"]
        assert operations["0010"] == {
            "yield": "10.000",
            "scrap": "4.000",
            "rework": "0.000",
            "confirmations": 2,
            "final": 0,
        }
        assert operations["0020"]["yield"] == "7.000"
        standing = await client.read(
            CONFIRMATIONS,
            "ProdnOrdConf2",
            filter="OrderID eq '1004711' and OrderOperation eq '0010' and IsReversed eq false and IsReversal eq false",
        )
        assert sum(Decimal(row["ConfirmationScrapQuantity"]) for row in standing.results) == Decimal("4.000")
        rows = (await client.read(CONFIRMATIONS, "ProdnOrdConf2", filter="OrderID eq '1004711'")).results
        counts = [row["ConfirmationCount"] for row in rows if row["OrderOperation"] == "0010"]
        assert counts == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("kind", "good", "final"), [("", "100", False), ("X", "1", True), ("1", "99", False), ("1", "100", True)]
)
async def test_partial_final_and_automatic_final(kind, good, final):
    async with system() as (_, client):
        got = await client.confirm(FinalConfirmationType=kind, ConfirmationYieldQuantity=good)
        assert got.d["IsFinalConfirmation"] is final
        assert got.d["OrderConfirmationRecordType"] == ("L40" if final else "L20")
        again = await client.confirm()
        assert (again.status, again.json.get("error", {}).get("code")) == (
            (400, "RU/117") if final else (201, None)
        )


async def test_an_operation_is_open_again_when_its_final_confirmation_is_cancelled():
    async with system() as (_, client):
        await client.confirm(FinalConfirmationType="X", ConfirmationYieldQuantity="0")
        assert (await client.confirm()).status == 400
        path = "CancelProdnOrdConf?ConfirmationGroup='10047111'&ConfirmationCount='1'"
        assert (await client.send("POST", CONFIRMATIONS, path)).status == 200
        assert (await client.send("POST", CONFIRMATIONS, path)).code == "RU/022"
        assert (await client.confirm()).status == 201


@pytest.mark.parametrize(
    ("changes", "status", "code", "said"),
    [
        ({"OrderID": "9999"}, 400, "RU/012", "Order 9999 not found"),
        ({"OrderID": "1004712"}, 400, "BS/013", "System status CRTD is active (ORD 1004712)"),
        ({"OrderID": "1004713"}, 400, "BS/013", "System status TECO is active (ORD 1004713)"),
        ({"OrderOperation": "0030"}, 400, "RU/021", "Operation 0030 of order 1004711 not found"),
        ({"PostingDate": "2026-10-31T00:00:00"}, 400, "M7/053", "Posting only possible in periods 20"),
        ({"ConfirmationYieldQuantity": "-1"}, 400, "RU/111", "Quantity -1.000"),
        ({"ConfirmationYieldQuantity": "1.0001"}, 400, "/IWFND/CM_MGW_RT/022", "more than 3 decimals"),
        ({"ConfirmationYieldQuantity": 1}, 400, "/IWFND/CM_MGW_RT/022", "a decimal is a text"),
        ({"ConfirmationUnit": "KG"}, 400, "RU/125", "Unit KG"),
        ({"ConfirmationText": "x" * 41}, 400, "/IWFND/CM_MGW_RT/022", "longer than 40"),
        ({"ExternalSystemConfirmation": "a" * 32}, 400, "/IWFND/CM_MGW_RT/022", "not a GUID"),
        ({"FinalConfirmationType": "Y"}, 400, "/IWFND/CM_MGW_RT/022", "FinalConfirmationType"),
        ({"Yield": "1"}, 400, "/IWFND/CM_MGW_RT/021", "Property 'Yield' is invalid"),
    ],
)
async def test_a_confirmation_is_refused_as_a_real_system_would(changes, status, code, said):
    setup = {
        "states": {"1004712": "created", "1004713": "technically_completed"},
        "closed_periods": ["2026-10"],
    }
    orders = [order(), order("1004712"), order("1004713")]
    async with system(orders=orders, setup=setup) as (erp, client):
        got = await client.confirm(**changes)
        assert (got.status, got.code) == (status, code)
        assert said in got.said
        details = got.json["error"]["innererror"]["errordetails"]
        assert [(one["code"], one["severity"]) for one in details] == [(code, "error")]
        assert erp.ledger.effects() == []
        assert [(one["code"], one["status"]) for one in erp.ledger.refusals] == [(code, status)]


async def test_units_by_their_iso_code_and_an_operation_by_its_group():
    async with system() as (erp, client):
        body = {
            "ConfirmationGroup": "0010047111",
            "ConfirmationUnitISOCode": "PCE",
            "ConfirmationYieldQuantity": "3",
        }
        got = await client.confirm(json={"d": body})
        assert (got.status, got.d["OrderID"], got.d["OrderOperation"], got.d["ConfirmationUnit"]) == (
            201,
            "1004711",
            "0010",
            "PC",
        )
        assert erp.ledger.effects()[0]["amounts"]["yield"] == "3.000"


async def test_the_system_moves_by_itself_what_no_confirmation_lists():
    async with system(setup={"automatic_receipt": ["1004711"]}) as (erp, client):
        await client.confirm(ConfirmationYieldQuantity="10", ConfirmationScrapQuantity="2")
        await client.confirm(OrderOperation="0020", ConfirmationYieldQuantity="10")
        materials = erp.ledger.totals()["1004711"]["materials"]
        assert materials == {
            "RM-555": {"types": {"261": "6.000"}, "by": {"backflush": "6.000"}},
            "FG-900": {"types": {"101": "10.000"}, "by": {"backflush": "10.000"}},
        }


async def test_a_component_that_moves_twice_shows_in_the_ledger():
    async with system() as (erp, client):
        await client.confirm()
        body = {
            "GoodsMovementCode": "03",
            "to_MaterialDocumentItem": [item(quantity="5", ManufacturingOrder="1004711")],
        }
        assert (await client.document(body)).status == 201
        moved = erp.ledger.totals()["1004711"]["materials"]["RM-555"]
        assert moved == {"types": {"261": "10.000"}, "by": {"backflush": "5.000", "document": "5.000"}}


@pytest.mark.parametrize("how", ["flag", "switch"])
async def test_a_confirmation_may_move_nothing(how):
    async with system(backflush=how == "flag") as (erp, client):
        await client.confirm(APIConfHasNoGoodsMovements=how == "flag")
        assert erp.ledger.totals()["1004711"]["materials"] == {}


async def test_listed_movements_replace_the_systems_own_and_go_with_the_confirmation():
    listed = [
        item(quantity="4.5", OrderID="1004711"),
        item("531", "SCRAP-1", "0.25"),
        item("101", "FG-900", "10", EntryUnit="PC"),
    ]
    async with system() as (erp, client):
        got = await client.confirm(to_ProdnOrdConfMatlDocItm={"results": listed})
        assert got.status == 201
        path = "ProdnOrdConf2(ConfirmationGroup='10047111',ConfirmationCount='1')/to_ProdnOrdConfMatlDocItm"
        rows = (await client.read(CONFIRMATIONS, path)).results
        assert [(row["GoodsMovementType"], row["QuantityInEntryUnit"]) for row in rows] == [
            ("261", "4.500"),
            ("531", "0.250"),
            ("101", "10.000"),
        ]
        assert {row["MaterialDocument"] for row in rows} == {"4900000001"}
        path = "CancelProdnOrdConf?ConfirmationGroup='10047111'&ConfirmationCount='1'"
        await client.send("POST", CONFIRMATIONS, path)
        types = {name: one["types"] for name, one in erp.ledger.totals()["1004711"]["materials"].items()}
        assert types == {
            "RM-555": {"261": "4.500", "262": "4.500"},
            "SCRAP-1": {"531": "0.250", "532": "0.250"},
            "FG-900": {"101": "10.000", "102": "10.000"},
        }
        # A document that was reversed with its confirmation cannot be reversed again.
        path = "Cancel?MaterialDocumentYear='2026'&MaterialDocument='4900000001'"
        assert (await client.send("POST", DOCUMENTS, path)).code == "M7/070"


async def test_a_confirmation_is_refused_or_saved_without_movements_that_cannot_be_posted():
    body = confirmation(
        to_ProdnOrdConfMatlDocItm=[item(Batch="NOT-YET"), item("531", "SCRAP-1", "1")],
        ExternalSystemConfirmation=GUID,
    )
    async with system() as (erp, client):
        refused = await client.confirm(json=body)
        assert (refused.status, refused.code) == (400, "M7/042")
        assert erp.ledger.effects() == []
        await client.control("/switches", {"failed_movements": "save"})
        saved = await client.confirm(json=body)
        assert saved.status == 201
        [effect] = erp.ledger.effects()
        assert [one["movement_type"] for one in effect["movements"]] == ["531"]
        assert [(one["material"], one["message"]) for one in effect["movements_failed"]] == [
            ("RM-555", "Batch NOT-YET of material RM-555 does not exist")
        ]


async def test_a_backflush_that_fails_does_not_hinder_the_confirmation():
    stock = [{"plant": "1010", "storage_location": "", "material": "RM-555", "quantity": "4.999"}]
    async with system(setup={"stock": stock}, negative_stock=False) as (erp, client):
        assert (await client.confirm()).status == 201
        [effect] = erp.ledger.effects()
        assert effect["movements"] == []
        assert effect["movements_failed"][0]["message"].startswith("Deficit of SL Unrestricted-use 0.001 KG")


async def test_confirmations_of_one_order_lock_each_other_out_and_others_do_not():
    async with system(orders=[order(), order("1004712")], work_s=0.2) as (erp, client):
        await client.fetch()
        got = await asyncio.gather(client.confirm(), client.confirm(), client.confirm(OrderID="1004712"))
        assert sorted(one.status for one in got) == [201, 201, 400]
        [busy] = [one for one in got if one.status == 400]
        assert (busy.code, busy.said) == ("CO/469", "Order 1004711 is already being processed by MFGROUTE")
        assert len(erp.ledger.effects()) == 2
        await client.control("/switches", {"lock_status": 423})
        got = await asyncio.gather(client.confirm(), client.confirm())
        assert sorted(one.status for one in got) == [201, 423]


async def test_equal_requests_at_once_have_one_effect():
    async with system() as (erp, client):
        await client.fetch()
        headers = once()
        got = await asyncio.gather(*(client.confirm(headers=headers) for _ in range(20)))
        assert {one.status for one in got} == {201}
        assert {one.d["ConfirmationCount"] for one in got} == {"1"}
        assert erp.ledger.repeats == {headers["RequestID"]: 19}
        assert len(erp.ledger.effects()) == 1


async def test_a_reference_that_is_posted_twice_is_counted():
    async with system() as (erp, client):
        await client.confirm(ExternalSystemConfirmation=GUID)
        await client.confirm(ExternalSystemConfirmation=GUID)
        await client.confirm(ExternalSystemConfirmation=str(uuid.uuid4()))
        assert erp.ledger.references()[GUID] == 2
        assert erp.ledger.duplicates == 1
