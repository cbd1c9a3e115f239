"""The simulated systems, each as a real server on loopback."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import asynccontextmanager

import aiohttp
import aiohttp.web
import msgspec
import pytest

from mfgroute.testing.simulators import (
    SIMULATORS,
    CmmsSimulator,
    Component,
    ErpSetup,
    ErpSimulator,
    Ledger,
    MesSimulator,
    Operation,
    Order,
    PortalSimulator,
    QmsSimulator,
    WmsSimulator,
    loipro,
)

ORDER = Order(
    site="DE04",
    number="1004733",
    material="100210",
    quantity="2304.000",
    unit="PCE",
    start="20261124060000",
    operations=(
        Operation(
            number="0010",
            work_center="PRESS-7",
            text="Pressen & Entgraten",
            confirmation_group="0000088301",
            components=(Component(item="0010", material="RM-555", quantity="12.5", unit="KGM"),),
        ),
        Operation(
            number="0015", work_center="PRESS-7", text="alt", confirmation_group="0000088302", deleted=True
        ),
    ),
)
CONFIRMATION = {
    "site": "DE04",
    "order": "1004733",
    "operation": "0010",
    "report": "A-1",
    "type": "partial",
    "posting_date": "2026-11-24",
    "goods": "none",
    "quantity": {"good": "60", "scrap": "1", "unit": "H87"},
}
HOLD = {
    "site": "DE07",
    "material": "FG-900",
    "batch": "L-1",
    "scope": "batch",
    "reason": "NC-1",
    "report": "NC-1/L-1",
}


def event(type_, data, *, id_="e-1"):
    subject = f"order/{data.get('site')}/{data.get('order')}"
    return {
        "specversion": "1.0",
        "id": id_,
        "source": "//DE04/mes-a",
        "type": f"com.example.{type_}.v1",
        "subject": subject,
        "data": data,
    }


def confirmation(*, id_="e-1", **changes):
    return event("production.operation.completed", {**CONFIRMATION, **changes}, id_=id_)


async def post(simulator, document, *, path="/events", key=None):
    headers = {"Idempotency-Key": key or document["id"]}
    async with (
        aiohttp.ClientSession() as client,
        client.post(simulator.url + path, json=document, headers=headers) as answer,
    ):
        return answer.status, await answer.json(), answer.headers


@asynccontextmanager
async def erp(**options):
    setup = ErpSetup(orders=[ORDER], lots=["DE07/L-1"], closed_periods=["2026-10"])
    async with ErpSimulator(setup=setup, **options) as simulator:
        yield simulator


async def test_a_confirmation_is_posted_once_however_often_it_is_sent():
    async with erp() as simulator:
        first = await post(simulator, confirmation())
        again = await post(simulator, confirmation())
        assert (first[0], again[0]) == (201, 200)
        assert first[1] == again[1]
        assert again[2]["Idempotency-Replayed"] == "true"
        assert simulator.ledger.counts() == {"confirmation": 1}
        assert simulator.ledger.duplicates == 1


async def test_equal_requests_at_the_same_time_have_one_effect():
    async with erp() as simulator:
        answers = await asyncio.gather(*(post(simulator, confirmation()) for _ in range(20)))
        assert sorted(status for status, _, _ in answers) == [200] * 19 + [201]
        assert len(simulator.ledger.effects) == 1


async def test_a_key_that_comes_again_with_another_body_is_refused():
    async with erp() as simulator:
        await post(simulator, confirmation())
        status, answer, _ = await post(simulator, confirmation(text="changed"))
        assert (status, answer["code"]) == (422, "key_reused")
        assert len(simulator.ledger.effects) == 1


def test_a_key_is_forgotten_after_its_retention():
    now = [0.0]
    ledger = Ledger("erp", kept_s=10, clock=lambda: now[0])
    ledger.post(what="x", key="k", idempotency_key="i", body=b"1", data={}, details={})
    now[0] = 9.0
    assert ledger.find("i", b"1") is not None
    now[0] = 11.0
    assert ledger.find("i", b"1") is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"order": "9999999"}, "order_unknown"),
        ({"operation": "0015"}, "operation_unknown"),
        ({"posting_date": "2026-10-31"}, "period_closed"),
        ({"posting_date": "soon"}, "date_invalid"),
        ({"quantity": {"good": "-1", "unit": "H87"}}, "quantity_negative"),
        ({"quantity": {"good": "1", "unit": "KGM"}}, "unit_wrong"),
        ({"quantity": {"good": "many", "unit": "H87"}}, "value_invalid"),
        ({"quantity": {}}, "field_missing"),
    ],
)
async def test_the_erp_refuses_what_a_real_one_refuses(changes, code):
    async with erp() as simulator:
        status, answer, _ = await post(simulator, confirmation(**changes))
        assert (status, answer["code"]) == (422, code)
        assert simulator.ledger.effects == []
        assert simulator.ledger.refusals[0]["code"] == code


async def test_running_totals_become_increments_and_a_straggler_adds_nothing():
    async with erp() as simulator:
        for number, good in enumerate(("60", "110", "85")):
            quantity = {"good": good, "scrap": "1", "unit": "H87", "basis": "total"}
            await post(simulator, confirmation(id_=f"e-{number}", quantity=quantity, report=f"r{number}"))
        yields = [effect.details["yield"] for effect in simulator.ledger.effects]
        assert yields == ["60", "50", "0"]


async def test_too_many_requests_say_when_to_come_back_and_do_nothing():
    async with erp() as simulator:
        simulator.misbehave("too_many", times=1, after_s=2)
        status, _, headers = await post(simulator, confirmation())
        assert (status, headers["Retry-After"]) == (429, "2")
        assert simulator.ledger.effects == []
        assert (await post(simulator, confirmation()))[0] == 201


async def test_an_error_does_nothing_and_passes():
    async with erp() as simulator:
        simulator.misbehave("error", times=2)
        assert [(await post(simulator, confirmation()))[0] for _ in range(3)] == [500, 500, 201]
        assert simulator.ledger.snapshot()["misbehaved"] == {"error": 2}


async def test_a_cut_connection_hides_an_effect_that_a_second_request_finds():
    async with erp() as simulator:
        simulator.misbehave("cut", times=1)
        with pytest.raises(aiohttp.ClientError):
            await post(simulator, confirmation())
        assert (await post(simulator, confirmation()))[0] == 200
        assert simulator.ledger.counts() == {"confirmation": 1}


async def test_a_slow_answer_comes_late():
    async with erp() as simulator:
        simulator.misbehave("slow", times=1, after_s=0.1)
        loop = asyncio.get_running_loop()
        before = loop.time()
        await post(simulator, confirmation())
        assert loop.time() - before >= 0.1


async def test_a_named_object_is_refused_and_the_others_are_not():
    async with erp() as simulator:
        simulator.misbehave("refuse", name="A-1")
        assert (await post(simulator, confirmation()))[0] == 422
        assert (await post(simulator, confirmation(id_="e-2", report="A-2")))[0] == 201
        simulator.behave()
        assert (await post(simulator, confirmation()))[0] == 201


async def test_misbehaviour_and_setup_can_be_told_over_http():
    async with ErpSimulator() as simulator, aiohttp.ClientSession() as client:
        assert (await post(simulator, confirmation()))[0] == 422
        order = {"orders": [msgspec.to_builtins(ORDER)]}
        async with client.post(simulator.url + "/setup", json=order) as answer:
            assert answer.status == 200
        async with client.post(simulator.url + "/misbehave", json={"kind": "error", "times": 1}) as answer:
            assert answer.status == 200
        async with client.post(simulator.url + "/misbehave", json={"kind": "sulk"}) as answer:
            assert answer.status == 400
        assert [(await post(simulator, confirmation()))[0] for _ in range(2)] == [500, 201]
        async with client.get(simulator.url + "/ledger") as answer:
            shown = await answer.json()
        assert shown["counts"] == {"confirmation": 1}
        assert shown["effects"][0]["document"] == "4900000001"


async def test_a_hold_and_its_release_undo_each_other_in_erp_and_wms():
    async with erp() as simulator, WmsSimulator() as wms:
        release = event("quality.hold.released", {**HOLD, "report": "NC-1/L-1/release"}, id_="h-2")
        assert (await post(simulator, release))[0] == 422
        for system in (simulator, wms):
            await post(system, event("quality.hold.placed", HOLD, id_="h-1"))
        assert simulator.lots["DE07", "L-1"] == "restricted"
        assert wms.blocked == {("DE07", "L-1")}
        for system in (simulator, wms):
            assert (await post(system, {**release, "id": "h-3"}))[0] == 201
        assert simulator.lots["DE07", "L-1"] == "unrestricted"
        assert wms.blocked == set()
        unknown = event("quality.hold.placed", {**HOLD, "batch": "L-2"}, id_="h-4")
        assert (await post(simulator, unknown))[1]["code"] == "batch_unknown"


async def test_the_wms_replaces_a_receipt_that_comes_again_with_another_body():
    receipt = {"site": "DE04", "order": "1004733", "report": "R-1", "quantity": {"value": "5", "unit": "H87"}}
    async with WmsSimulator() as wms:
        await post(wms, event("material.finishedgoods.received", receipt), path="/receipts")
        changed = {**receipt, "quantity": {"value": "6", "unit": "H87"}}
        status, _, _ = await post(wms, event("material.finishedgoods.received", changed), path="/receipts")
        assert status == 200
        [effect] = wms.ledger.effects
        assert (effect.body["quantity"]["value"], effect.replaced, wms.ledger.duplicates) == ("6", 1, 0)


async def test_an_event_at_the_wrong_door_is_refused():
    async with erp() as simulator:
        assert (await post(simulator, confirmation(), path="/lot-status"))[1]["code"] == "wrong_type"
        async with (
            aiohttp.ClientSession() as client,
            client.post(simulator.url + "/events", data=b"{") as answer,
        ):
            assert answer.status == 400


async def test_the_qms_takes_serious_nonconformances_only():
    async with QmsSimulator() as qms:
        for number, severity in enumerate(("minor", "major")):
            data = {"site": "DE04", "nonconformance": f"NC-{number}", "severity": severity}
            await post(qms, event("quality.nonconformance.detected", data, id_=f"n-{number}"))
        assert qms.ledger.counts() == {"nonconformance": 1}
        assert [refusal["code"] for refusal in qms.ledger.refusals] == ["not_serious"]


async def test_the_mes_keeps_the_latest_routing():
    steps = [{"step": "0010", "station": "PRESS-7"}]
    async with MesSimulator() as mes:
        for revision in ("10", "9"):
            data = {"site": "DE04", "order": "1", "revision": revision, "steps": steps}
            await post(mes, event("production.routing.issued", data, id_=revision))
        assert mes.routings == {("DE04", "1"): "10"}


async def test_cmms_and_portal_note_what_they_are_told():
    downtime = {
        "site": "DE04",
        "equipment": "press-7",
        "start": "2026-11-24T10:00:00Z",
        "end": "2026-11-24T10:31:30Z",
    }
    async with CmmsSimulator() as cmms, PortalSimulator() as portal:
        _, answer, _ = await post(cmms, event("equipment.downtime.classified", downtime))
        assert answer["minutes"] == 31.5
        milestone = {"site": "DE04", "order": "1", "milestone": "released", "report": "1"}
        assert (await post(portal, event("production.milestone.reached", milestone)))[0] == 201


async def test_the_erp_releases_an_order_and_the_qms_raises_a_nonconformance():
    received = []

    async def inbox(request):
        received.append((request.headers.get("Authorization"), await request.read()))
        return aiohttp.web.Response(status=202)

    app = aiohttp.web.Application()
    app.router.add_post("/inbox", inbox)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/inbox"
    try:
        erp_, qms = ErpSimulator(), QmsSimulator()
        sent = await erp_.release(ORDER, url, token="t", created="20261123054412")
        webhook = await qms.raise_nonconformance(
            url, number="NC-1", at_ms=1, site="DE07", material="FG-900", lots=["L-1", "L-2"]
        )
    finally:
        await runner.cleanup()
    assert received == [("Bearer t", sent), (None, webhook)]
    assert ("DE04", "1004733") in erp_.orders
    assert json.loads(webhook)["lots"] == "L-1, L-2"


def test_an_order_becomes_an_idoc():
    text = loipro(ORDER, docnum=4402117, created="20261123054412").decode()
    assert "<AUFNR>000001004733</AUFNR>" in text
    assert "<MATNR>000000000000100210</MATNR>" in text
    assert "<LTXA1>Pressen &amp; Entgraten</LTXA1>" in text
    assert text.count("<STAT>I0013</STAT>") == 1


@pytest.mark.parametrize("system", sorted(SIMULATORS))
async def test_it_runs_as_a_process(system, tmp_path):
    ready = tmp_path / "ready.json"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mfgroute.testing.simulators", system, "--ready-file", str(ready)
    )
    try:
        async with asyncio.timeout(20):
            while not ready.exists():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        url = json.loads(ready.read_text())["url"]
        async with aiohttp.ClientSession() as client, client.get(f"{url}/ledger") as answer:
            assert (await answer.json())["system"] == system
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
