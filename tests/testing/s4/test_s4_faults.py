"""How the ERP behind OData misbehaves when it is told to."""

import asyncio
import zlib

import aiohttp
import pytest

from mfgroute.testing.simulators.s4 import Fault

from .client import CONFIRMATIONS, confirmation, document, item, once, order, system


def lost(error):
    return isinstance(error, aiohttp.ClientError | TimeoutError)


async def asked(client, **more):
    """What came of a confirmation, or that nothing came."""
    try:
        async with asyncio.timeout(0.5):
            return await client.confirm(**more)
    except (aiohttp.ClientError, TimeoutError) as error:
        return error


@pytest.mark.parametrize("retry_after", ["0", "3600", "Tue, 24 Nov 2026 07:00:00 GMT", "soon", ""])
async def test_too_many_requests_say_when_to_come_back(retry_after):
    async with system() as (erp, client):
        await client.fetch()
        erp.misbehave(Fault(kind="too_many", times=1, retry_after=retry_after))
        got = await client.confirm()
        assert (got.status, got.headers.get("Retry-After", "")) == (429, retry_after)
        assert erp.ledger.effects() == []
        assert (await client.confirm()).status == 201


@pytest.mark.parametrize(("when", "effects"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize(
    "kind", ["error", "cut", "hang", "torn", "trickle", "endless", "html", "error_in_200"]
)
async def test_a_connection_goes_wrong_before_or_after_the_commit(kind, when, effects):
    async with system() as (erp, client):
        await client.fetch()
        headers = once()
        await client.control("/misbehave", {"kind": kind, "when": when, "times": 1, "after_s": 60.0})
        got = await asked(client, headers=headers)
        if kind in ("cut", "hang", "torn", "trickle", "endless"):
            assert lost(got)
        elif kind == "error":
            assert (got.status, got.code) == (500, "/IWBEP/CM_MGW_RT/022")
        elif kind == "error_in_200":
            assert (got.status, "error" in got.json) == (200, True)
        else:
            assert (got.status, got.headers["Content-Type"]) == (200, "text/html")
        assert len(erp.ledger.effects()) == effects
        assert erp.ledger.mischief == {kind: 1}
        again = await client.confirm(headers=headers)
        assert (again.status, again.d["ConfirmationCount"]) == (201, "1")
        assert len(erp.ledger.effects()) == 1


async def test_a_storm_of_errors_passes_or_is_told_to():
    async with system() as (erp, client):
        await client.fetch()
        erp.misbehave(Fault(kind="error", status=503))
        assert {(await client.confirm()).status for _ in range(5)} == {503}
        await client.control("/behave", {})
        assert (await client.confirm()).status == 201


async def test_a_trickle_sends_a_byte_at_a_time():
    async with system() as (erp, client):
        await client.fetch()
        erp.misbehave(Fault(kind="trickle", when="after", after_s=0.0))
        got = await client.confirm()
        assert (got.status, got.d["ConfirmationCount"]) == (201, "1")


async def test_a_bomb_is_small_until_it_is_unpacked():
    async with system() as (erp, _), aiohttp.ClientSession(auto_decompress=False) as http:
        erp.misbehave(Fault(kind="bomb", method="GET", size=1 << 24))
        async with http.get(f"{erp.url}/sap/opu/odata/sap/{CONFIRMATIONS}/ProdnOrdConf2") as answer:
            packed = await answer.read()
        assert len(packed) < 1 << 16
        assert len(zlib.decompress(packed, wbits=31)) == 1 << 24


async def test_a_redirect_leads_where_it_is_told():
    async with system() as (erp, client):
        await client.fetch()
        erp.misbehave(Fault(kind="redirect", status=302, location="file:///etc/passwd"))
        got = await client.confirm()
        assert (got.status, got.headers["Location"]) == (302, "file:///etc/passwd")
        assert erp.ledger.effects() == []


async def test_tokens_expire_when_told_to():
    async with system() as (erp, client):
        await client.fetch()
        erp.misbehave(Fault(kind="expired", times=1))
        assert (await client.confirm()).status == 403
        await client.fetch()
        assert (await client.confirm()).status == 201


async def test_a_lie_names_a_document_that_does_not_exist():
    async with system() as (erp, client):
        headers = once()
        erp.misbehave(Fault(kind="lie", times=1))
        got = await client.confirm(headers=headers)
        assert (got.status, got.d["ConfirmationCount"]) == (201, "1")
        assert got.headers["RepeatabilityResult"] == "accepted"
        assert erp.ledger.effects() == []
        assert (await client.read(CONFIRMATIONS, "ProdnOrdConf2")).results == []
        assert (await client.confirm(headers=headers)).d["ConfirmationCount"] == "1"
        assert len(erp.ledger.effects()) == 1


async def test_what_is_done_twice_is_answered_once_and_counted_as_a_duplicate():
    async with system() as (erp, client):
        erp.misbehave(Fault(kind="twice", times=1))
        got = await client.confirm(headers=once())
        assert (got.status, got.d["ConfirmationCount"]) == (201, "1")
        assert [one["document"].partition("/")[2] for one in erp.ledger.effects()] == ["1", "2"]
        assert erp.ledger.duplicates > 0
        assert (await client.confirm(headers=once())).d["ConfirmationCount"] == "3"


@pytest.mark.parametrize(
    ("fault", "status", "code", "said"),
    [
        ({}, 400, "CO/469", "Order 1004711 is already being processed by OTHERUSER"),
        ({"status": 423}, 423, "CO/469", "is already being processed by"),
        ({"message": "period"}, 400, "M7/053", "Posting only possible in periods"),
        ({"message": "XX/123", "text": "No.", "status": 409}, 409, "XX/123", "No."),
    ],
)
async def test_a_refusal_is_scripted_for_one_order(fault, status, code, said):
    async with system(orders=[order(), order("1004712")]) as (erp, client):
        erp.misbehave(Fault(kind="refuse", name="1004711", **fault))
        got = await client.confirm()
        assert (got.status, got.code) == (status, code)
        assert said in got.said
        assert (await client.confirm(OrderID="1004712")).status == 201


async def test_a_confirmation_whose_movements_fail_is_saved():
    async with system() as (erp, client):
        erp.misbehave(Fault(kind="movements_fail", times=1))
        got = await client.confirm()
        path = f"ProdnOrdConf2(ConfirmationGroup='{got.d['ConfirmationGroup']}',ConfirmationCount='1')"
        row = await client.read(CONFIRMATIONS, path, expand="to_ProdnOrdConfMatlDocItm")
        assert row.d["to_ProdnOrdConfMatlDocItm"]["results"] == []
        [effect] = erp.ledger.effects()
        assert [one["material"] for one in effect["movements_failed"]] == ["RM-555"]


@pytest.mark.parametrize(("yields", "status"), [("10", 201), ("-1", 400)])
async def test_what_is_accepted_happens_later(yields, status):
    async with system() as (erp, client):
        erp.misbehave(Fault(kind="accepted", times=1, polls=2))
        headers = once()
        got = await client.confirm(headers=headers, ConfirmationYieldQuantity=yields)
        assert (got.status, got.headers["RepeatabilityResult"]) == (202, "accepted")
        assert (await client.confirm(headers=headers, ConfirmationYieldQuantity=yields)).text == got.text
        seen = []
        for _ in range(4):
            async with client.http.get(got.headers["Location"]) as answer:
                seen.append((answer.status, await answer.json()))
        assert [one[0] for one in seen] == [202, 202, status, status]
        assert seen[2] == seen[3]
        assert ("error" in seen[-1][1]) is (status == 400)
        assert len(erp.ledger.effects()) == (status == 201)


@pytest.mark.parametrize(("yields", "status"), [("10", "posted"), ("-1", "refused")])
async def test_what_is_accepted_may_be_told_in_a_document(yields, status):
    async with system(job_document=True) as (erp, client):
        erp.misbehave(Fault(kind="accepted", times=1, polls=1))
        got = await client.confirm(ConfirmationYieldQuantity=yields)
        where = got.headers["Location"].removeprefix(erp.url)
        seen = [(await client.control(where))["d"] for _ in range(2)]
        assert [one["Status"] for one in seen] == ["running", status]
        assert ("error" in seen[-1]["Result"]) is (status == "refused")


async def test_a_fault_waits_for_its_turn_and_its_path():
    async with system() as (erp, client):
        await client.fetch()
        erp.misbehave(Fault(kind="error", skip=1, times=1, path="ProdnOrdConf2"))
        assert [(await client.confirm()).status for _ in range(3)] == [201, 500, 201]
        erp.misbehave(Fault(kind="error", times=1, method="GET", path="ProdnOrdConf2"))
        assert (await client.confirm()).status == 201
        assert [(await client.read(CONFIRMATIONS, "ProdnOrdConf2")).status for _ in range(2)] == [500, 200]


async def test_chance_depends_on_the_seed_and_on_what_a_request_says():
    async def hit(seed, keys):
        async with system() as (erp, client):
            await client.fetch()
            erp.misbehave(Fault(kind="error", ratio=0.4, seed=seed))
            found = {}
            for key in keys:
                found[key] = [(await client.confirm(headers=once(key))).status for _ in range(2)]
            return found

    keys = [f"{number:032X}" for number in range(20)]
    first = await hit(7, keys)
    assert await hit(7, keys[::-1]) == first
    assert await hit(8, keys) != first
    assert {status for two in first.values() for status in two} == {201, 500}


async def test_a_fault_that_nobody_knows_is_refused():
    async with system() as (erp, client):
        for wrong in ({"kind": "sulk"}, {"kind": "cut", "often": 1}):
            async with client.http.post(f"{erp.url}/misbehave", json=wrong) as answer:
                assert answer.status == 400
        for path, wrong in (
            ("/switches", {"fuel": 1}),
            ("/setup", {"states": {"99": "created"}}),
            ("/setup", {"batches": ["x"]}),
        ):
            async with client.http.post(erp.url + path, json=wrong) as answer:
                assert answer.status == 400


async def test_the_ledger_is_read_on_from_a_number():
    async with system() as (erp, client):
        for _ in range(3):
            await client.confirm()
        ledger = await client.control("/ledger?after=1")
        assert [effect["number"] for effect in ledger["effects"]] == [2, 3]
        assert ledger["counts"] == {"confirmation": 3}
        async with client.http.get(f"{erp.url}/ledger?after=x") as answer:
            assert answer.status == 400


async def test_it_stops_while_requests_hang():
    async with system() as (erp, client):
        await client.fetch()
        erp.misbehave(Fault(kind="hang", after_s=3600))
        waiting = asyncio.ensure_future(client.confirm(json=confirmation()))
        while not erp.ledger.mischief:  # noqa: ASYNC110
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await erp.stop()
        with pytest.raises(aiohttp.ClientError):
            await waiting


async def test_slow_work_locks_its_order_and_no_other():
    async with system(orders=[order(), order("1004712")]) as (erp, client):
        await client.fetch()
        fault = {"kind": "slow", "after_s": 0.3, "times": 1, "name": "1004711"}
        await client.control("/misbehave", fault)
        got = await asyncio.gather(client.confirm(), client.confirm(), client.confirm(OrderID="1004712"))
        assert sorted(one.status for one in got) == [201, 201, 400]
        assert {one.code for one in got if one.status == 400} == {"CO/469"}
        assert erp.ledger.mischief == {"slow": 1}
        assert (await client.confirm()).status == 201


async def test_an_operation_is_final_once_unless_the_switch_says_otherwise():
    async with system() as (erp, client):
        final = {"FinalConfirmationType": "X", "APIConfHasNoGoodsMovements": True}
        assert (await client.confirm(**final)).status == 201
        assert (await client.confirm(**final)).code == "RU/117"
        await client.control("/switches", {"final_after_final": True})
        assert (await client.confirm(**final)).status == 201
        assert erp.ledger.counts() == {"confirmation": 2}


async def test_a_batch_must_exist_before_it_is_issued_unless_the_switch_says_otherwise():
    async with system(negative_stock=True) as (erp, client):
        issued = document("03", item(ManufacturingOrder="1004711", Batch="L-7"))
        assert (await client.document(issued)).code == "M7/042"
        await client.control("/switches", {"check_batches": False})
        assert (await client.document(issued)).status == 201
        assert erp.ledger.counts() == {"material_document": 1}
