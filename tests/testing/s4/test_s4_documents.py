"""Material documents, batches and inspection lots at the ERP behind OData."""

import pytest

from .client import BATCHES, DOCUMENTS, LOTS, document, item, order, system

ORDER = {"ManufacturingOrder": "000001004711"}
RECEIPT = {**ORDER, "GoodsMovementRefDocType": "F", "EntryUnit": "PC"}
STOCK = {
    "stock": [
        {"plant": "1010", "storage_location": "101A", "material": "RM-555", "quantity": "100"},
        {"plant": "1010", "storage_location": "101A", "material": "RM-555", "batch": "L-1", "quantity": "10"},
    ]
}


def stock(erp, material="RM-555", batch="", place="101A", kind="unrestricted"):
    row = erp.store.tables.get("stock", f"1010/{place}/{material}/{batch}/{kind}")
    return row and row["quantity"]


async def test_a_document_is_posted_and_found_by_its_reference():
    async with system(setup=STOCK) as (erp, client):
        body = document(
            "03", item(**ORDER), item(quantity="1.5", Batch="L-1", **ORDER), ReferenceDocument="M7Q2X"
        )
        got = await client.document(body)
        assert (got.status, got.d["MaterialDocument"], got.d["MaterialDocumentYear"]) == (
            201,
            "4900000001",
            "2026",
        )
        assert [one["MaterialDocumentItem"] for one in got.d["to_MaterialDocumentItem"]["results"]] == [
            "1",
            "2",
        ]
        found = await client.read(
            DOCUMENTS,
            "A_MaterialDocumentHeader",
            filter="ReferenceDocument eq 'M7Q2X'",
            expand="to_MaterialDocumentItem",
        )
        [row] = found.results
        assert [one["Batch"] for one in row["to_MaterialDocumentItem"]["results"]] == ["", "L-1"]
        moved = await client.read(
            DOCUMENTS,
            "A_MaterialDocumentItem",
            filter="ManufacturingOrder eq '1004711' and Material eq 'RM-555' and GoodsMovementIsCancelled eq false",
            select="GoodsMovementType,QuantityInEntryUnit",
        )
        assert [one["QuantityInEntryUnit"] for one in moved.results] == ["5.000", "1.500"]
        assert (stock(erp), stock(erp, batch="L-1")) == ("95.000", "8.500")
        [effect] = erp.ledger.effects()
        assert (effect["document"], effect["reference_document"], effect["order"]) == (
            "4900000001/2026",
            "M7Q2X",
            "1004711",
        )


@pytest.mark.parametrize(
    ("code", "kind", "more", "net"),
    [
        ("02", "101", {**RECEIPT, "Material": "FG-900"}, {"FG-900": "5.000"}),
        ("02", "102", {**RECEIPT, "Material": "FG-900"}, {"FG-900": "-5.000"}),
        ("03", "261", ORDER, {"RM-555": "95.000"}),
        ("06", "262", {**ORDER, "MaterialDocumentPostingType": "1"}, {"RM-555": "105.000"}),
        ("05", "531", {**ORDER, "Material": "SC-1"}, {"SC-1": "5.000"}),
        ("02", "531", {**ORDER, "Material": "SC-1"}, {"SC-1": "5.000"}),
        ("06", "532", {**ORDER, "Material": "SC-1"}, {"SC-1": "-5.000"}),
        ("03", "551", {"GoodsMovementReasonCode": "0001"}, {"RM-555": "95.000"}),
        ("04", "311", {"IssuingOrReceivingStorageLoc": "101B"}, {"RM-555": "95.000", "RM-555@101B": "5.000"}),
        ("04", "344", {}, {"RM-555": "95.000", "RM-555#blocked": "5.000"}),
    ],
)
async def test_movement_types_change_the_stock_and_their_reversal_changes_it_back(code, kind, more, net):
    def seen():
        found = {}
        for name in net:
            material, _, place = name.partition("#")[0].partition("@")
            found[name] = stock(
                erp, material, place=place or "101A", kind=name.partition("#")[2] or "unrestricted"
            )
        return found

    async with system(setup=STOCK) as (erp, client):
        assert (await client.document(document(code, item(kind, **more)))).status == 201
        assert seen() == net
        path = "Cancel?MaterialDocumentYear='2026'&MaterialDocument='4900000001'&PostingDate=datetime'2026-11-25T00:00'"
        got = await client.send("POST", DOCUMENTS, path)
        assert (got.status, got.d["MaterialDocument"], got.d["PostingDate"]) == (
            200,
            "4900000002",
            "/Date(1795564800000)/",
        )
        before = {"RM-555": "100.000"}
        assert seen() == {name: before.get(name, "0.000") for name in net}
        assert (await client.send("POST", DOCUMENTS, path)).code == "M7/070"
        rows = (await client.read(DOCUMENTS, "A_MaterialDocumentItem")).results
        assert [row["GoodsMovementIsCancelled"] for row in rows] == [True, False]
        assert rows[1]["ReversedMaterialDocument"] == "4900000001"
        assert erp.ledger.counts() == {"material_document": 1, "material_document_reversal": 1}


async def test_one_item_of_a_document_can_be_cancelled():
    async with system(setup=STOCK) as (erp, client):
        await client.document(document("03", item(quantity="1", **ORDER), item(quantity="2", **ORDER)))
        path = (
            "CancelItem?MaterialDocumentYear='2026'&MaterialDocument='4900000001'&MaterialDocumentItem='0002'"
        )
        got = await client.send("POST", DOCUMENTS, path)
        assert (got.status, got.d["GoodsMovementType"], got.d["ReversedMaterialDocumentItem"]) == (
            200,
            "262",
            "2",
        )
        assert stock(erp) == "99.000"
        assert (await client.send("POST", DOCUMENTS, path.replace("0002", "3"))).status == 404


@pytest.mark.parametrize(
    ("code", "changes", "want", "said"),
    [
        (
            "03",
            {"kind": "101", **RECEIPT},
            "M7/001",
            "Movement type 101 is not allowed with goods movement code 03",
        ),
        ("03", {"kind": "999"}, "M7/001", "999"),
        (
            "02",
            {"kind": "101", **ORDER},
            "MM_IM_ODATA_API_MDOC/011",
            "Property MANUFACTURINGORDER is not supported",
        ),
        (
            "03",
            {"kind": "551", **ORDER},
            "MM_IM_ODATA_API_MDOC/011",
            "Property MANUFACTURINGORDER is not supported",
        ),
        ("03", {}, "MM_IM_ODATA_API_MDOC/012", "MANUFACTURINGORDER"),
        ("04", {"kind": "311"}, "MM_IM_ODATA_API_MDOC/012", "ISSUINGORRECEIVINGSTORAGELOC"),
        ("03", {**ORDER, "EntryUnit": ""}, "MM_IM_ODATA_API_MDOC/012", "ENTRYUNIT"),
        ("03", {**ORDER, "quantity": "0"}, "M7/022", "Quantity 0.000"),
        ("03", {"ManufacturingOrder": "77"}, "RU/012", "Order 77 not found"),
        ("03", {**ORDER, "Batch": "L-2"}, "M7/042", "Batch L-2 of material RM-555 does not exist"),
        ("02", {"kind": "101", **RECEIPT, "Batch": "l-9"}, "M7/018", "l-9"),
        (
            "03",
            {**ORDER, "quantity": "101"},
            "M7/021",
            "Deficit of SL Unrestricted-use 1.000 KG : RM-555 1010 101A",
        ),
        ("03", {**ORDER, "Batch": "TOO-LONG-NAME"}, "/IWFND/CM_MGW_RT/022", "longer than 10"),
    ],
)
async def test_a_document_is_refused_as_a_real_system_would(code, changes, want, said):
    async with system(setup=STOCK, negative_stock=False) as (erp, client):
        got = await client.document(document(code, item(**changes)))
        assert (got.status, got.code) == (400, want)
        assert said in got.said
        assert erp.ledger.effects() == []
        assert stock(erp) == "100.000"


async def test_a_document_is_posted_whole_or_not_at_all_with_all_its_errors():
    async with system(setup=STOCK, negative_stock=False) as (erp, client):
        got = await client.document(
            document("03", item(**ORDER), item(Batch="L-2", **ORDER), item(quantity="96", **ORDER))
        )
        assert (got.status, got.code) == (400, "MM_IM_ODATA_API_MDOC/014")
        details = [one["code"] for one in got.json["error"]["innererror"]["errordetails"]]
        assert details == ["M7/042", "M7/021", "MM_IM_ODATA_API_MDOC/014"]
        assert stock(erp) == "100.000"
        await client.control("/switches", {"wrap_errors": True})
        got = await client.document(document("03", item(Batch="L-2", **ORDER)))
        assert got.code == "MM_IM_ODATA_API_MDOC/014"
        assert got.json["error"]["innererror"]["errordetails"][0]["code"] == "M7/042"
        numbers = await client.document(document("03", item(**ORDER)))
        assert numbers.d["MaterialDocument"] == "4900000001"


async def test_references_longer_than_their_fields_are_refused_and_codes_can_be_others():
    async with system() as (_, client):
        for field, value in (("ReferenceDocument", "x" * 17), ("MaterialDocumentHeaderText", "x" * 26)):
            got = await client.document(document("03", item(**ORDER), **{field: value}))
            assert (got.status, field in got.said) == (400, True)
        await client.control("/switches", {"codes": {"movement_type": "M7/120"}})
        assert (await client.document(document("01", item(**ORDER)))).code == "M7/120"


async def test_the_answer_to_a_document_may_hold_no_items():
    async with system(full_answers=False) as (_, client):
        got = await client.document(document("03", item(**ORDER)))
        assert got.d["to_MaterialDocumentItem"] == {"results": []}
        path = "A_MaterialDocumentHeader(MaterialDocumentYear='2026',MaterialDocument='4900000001')"
        rows = (await client.read(DOCUMENTS, f"{path}/to_MaterialDocumentItem")).results
        assert len(rows) == 1


async def test_serial_numbers_go_with_their_item():
    setup = {"serialized": ["FG-900"]}
    serials = {"to_SerialNumbers": {"results": [{"SerialNumber": "S-1"}, {"SerialNumber": "S-2"}]}}
    async with system(setup=setup) as (erp, client):
        short = item("101", "FG-900", "3", **{**RECEIPT, **serials})
        got = await client.document(document("02", short))
        assert (got.status, got.said) == (
            400,
            "Material FG-900: 3.000 serial numbers are needed, 2 were given",
        )
        got = await client.document(document("02", {**short, "QuantityInEntryUnit": "2"}))
        assert got.status == 201
        rows = await client.read(
            DOCUMENTS,
            "A_MaterialDocumentHeader",
            expand="to_MaterialDocumentItem/to_SerialNumbers",
        )
        [one] = rows.results[0]["to_MaterialDocumentItem"]["results"]
        assert [serial["SerialNumber"] for serial in one["to_SerialNumbers"]["results"]] == ["S-1", "S-2"]
        listed = await client.confirm(to_ProdnOrdConfMatlDocItm=[item("101", "FG-900", "1", EntryUnit="PC")])
        assert listed.code == "IO/230"
        path = "Cancel?MaterialDocumentYear='2026'&MaterialDocument='4900000001'"
        assert (await client.send("POST", DOCUMENTS, path)).status == 200
        assert erp.ledger.counts() == {"material_document": 1, "material_document_reversal": 1}


async def test_a_batch_is_restricted_by_who_knows_its_version():
    path = "Batch(Material='RM-555',BatchIdentifyingPlant='1010',Batch='L-1')"
    hold = {"d": {"MatlBatchIsInRstrcdUseStock": True}}
    async with system(setup=STOCK) as (erp, client):
        assert (await client.send("PATCH", BATCHES, path, json=hold)).status == 428
        got = await client.read(BATCHES, path)
        assert (got.headers["ETag"], got.d["MatlBatchIsInRstrcdUseStock"]) == ('W/"1"', False)
        for wanted, status in (('W/"9"', 412), ('W/"1"', 204), ('W/"1"', 412)):
            answer = await client.send("PATCH", BATCHES, path, json=hold, headers={"If-Match": wanted})
            assert answer.status == status
        issue = document("03", item(quantity="1", Batch="L-1", **ORDER))
        assert (await client.document(issue)).code == "M7/021"
        free = {"MatlBatchIsInRstrcdUseStock": False}
        merge = {"If-Match": 'W/"2"', "X-HTTP-Method": "MERGE"}
        assert (await client.send("POST", BATCHES, path, json=free, headers=merge)).status == 204
        assert (await client.document(issue)).status == 201
        assert erp.ledger.counts() == {"batch_restricted": 1, "batch_unrestricted": 1, "material_document": 1}
        nothing = path.replace("L-1", "L-3")
        assert (
            await client.send("PATCH", BATCHES, nothing, json=hold, headers={"If-Match": "*"})
        ).status == 404


async def test_a_receipt_makes_its_batch():
    async with system() as (_, client):
        await client.document(document("02", item("101", "FG-900", "5", Batch="F-1", **RECEIPT)))
        got = await client.read(BATCHES, "Batch(Material='FG-900',BatchIdentifyingPlant='1010',Batch='F-1')")
        assert got.status == 200


@pytest.mark.parametrize(("valuation", "kind"), [("A", "unrestricted"), ("R", "blocked")])
async def test_inspection_stock_leaves_by_usage_decision_only(valuation, kind):
    lot = {
        "number": "010000000001",
        "plant": "1010",
        "storage_location": "101A",
        "material": "FG-900",
        "batch": "F-1",
        "quantity": "7",
    }
    async with system(orders=[order()], setup={"inspection_lots": [lot]}) as (erp, client):
        move = document("04", item("321", "FG-900", "7", Batch="F-1", EntryUnit="PC"))
        assert (await client.document(move)).code == "M7/106"
        decision = {"InspectionLot": "010000000001", "InspLotUsageDecisionValuation": valuation}
        got = await client.send("POST", LOTS, "A_InspLotUsageDecision", json=decision)
        assert got.status == 201
        assert stock(erp, "FG-900", "F-1", kind=kind) == "7.000"
        assert stock(erp, "FG-900", "F-1", kind="quality") == "0.000"
        again = await client.send("POST", LOTS, "A_InspLotUsageDecision", json=decision)
        assert again.code == "QV/223"
        got = await client.read(LOTS, "A_InspectionLot('010000000001')")
        assert got.d["InspectionLotHasUsageDecision"] is True


async def test_the_reversal_of_a_document_is_no_second_posting_under_its_reference():
    async with system(setup=STOCK) as (erp, client):
        body = document("03", item(**ORDER), ReferenceDocument="M7Q2X")
        assert (await client.document(body)).status == 201
        path = "Cancel?MaterialDocument='4900000001'&MaterialDocumentYear='2026'"
        assert (await client.send("POST", DOCUMENTS, path)).status == 200
        assert erp.ledger.counts() == {"material_document": 1, "material_document_reversal": 1}
        assert erp.ledger.duplicates == 0
        assert (await client.document(body)).status == 201
        assert erp.ledger.duplicates == 1
