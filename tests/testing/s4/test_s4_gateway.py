"""What stands before the services: tokens, repeated requests, formats, logon."""

import asyncio
import json
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree as ET

import aiohttp
import msgspec
import pytest
from yarl import URL

from mfgroute.testing.simulators.s4 import MESSAGES, Fault, S4Simulator, Switches

from .client import CONFIRMATIONS, DOCUMENTS, Client, confirmation, once, order, system


async def test_a_change_needs_a_token_of_its_session():
    now = [0.0]
    async with system(clock=lambda: now[0], token_s=60) as (erp, client):
        bare = await client.send("POST", CONFIRMATIONS, "ProdnOrdConf2", json=confirmation(), token=False)
        assert (bare.status, bare.headers["x-csrf-token"], bare.text) == (
            403,
            "Required",
            "CSRF token validation failed",
        )
        assert (await client.confirm()).status == 201
        first = client.token
        await client.fetch()
        assert client.token == first
        async with aiohttp.ClientSession() as other:
            stranger = Client(erp, other)
            stranger.token = first
            assert (await stranger.confirm()).status == 403
        now[0] = 61.0
        assert (await client.confirm()).status == 403
        await client.fetch()
        assert client.token != first
        assert (await client.confirm()).status == 201
        await client.control("/expire", {})
        assert (await client.confirm()).status == 403
        assert len(erp.ledger.effects()) == 2


async def test_a_repeat_gets_the_first_answer_until_it_is_forgotten():
    at = [datetime(2026, 11, 24, 8, tzinfo=UTC)]
    async with system(now=lambda: at[0], response_kept_s=60, id_kept_s=120) as (erp, client):
        headers = once()
        first = await client.confirm(headers=headers)
        assert first.headers["RepeatabilityResult"] == "accepted"
        again = await client.confirm(headers=headers)
        assert (again.status, again.text) == (201, first.text)
        assert again.headers["RepeatabilityResult"] == "accepted"
        at[0] += timedelta(seconds=61)
        outdated = await client.confirm(headers=headers)
        assert (outdated.status, outdated.code) == (400, "/IWBEP/CM_COS/005")
        assert len(erp.ledger.effects()) == 1
        at[0] += timedelta(seconds=61)
        assert (await client.confirm(headers=headers)).d["ConfirmationCount"] == "2"
        assert erp.ledger.duplicates == 1


async def test_a_system_may_ignore_repeats_or_refuse_them():
    async with system(repeatability="ignored") as (erp, client):
        headers = once()
        for _ in range(2):
            got = await client.confirm(headers=headers)
            assert "RepeatabilityResult" not in got.headers
        assert erp.ledger.references()[headers["RequestID"]] == 2
        await client.control("/switches", {"repeatability": "unsupported"})
        got = await client.confirm(headers=headers)
        assert (got.status, got.headers["RepeatabilityResult"]) == (501, "unsupported")
        assert (await client.confirm()).status == 201


@pytest.mark.parametrize("kept", [False, True])
async def test_whether_a_refusal_is_repeated_too_is_a_switch(kept):
    async with system(repeat_failures=kept, setup={"states": {"1004711": "created"}}) as (_, client):
        headers = once()
        assert (await client.confirm(headers=headers)).status == 400
        await client.control("/setup", {"states": {"1004711": "released"}})
        assert (await client.confirm(headers=headers)).status == (400 if kept else 201)
        assert (await client.confirm(headers=once())).status == 201


async def test_a_key_with_another_body_gets_the_old_answer_and_is_noted():
    async with system() as (erp, client):
        headers = once()
        await client.confirm(headers=headers)
        got = await client.confirm(headers=headers, ConfirmationYieldQuantity="11")
        assert got.d["ConfirmationYieldQuantity"] == "10.000"
        assert erp.ledger.keys_reused == [headers["RequestID"]]
        assert (await client.confirm(headers=once("not-32-digits"))).status == 400


async def test_a_user_has_to_log_on_where_there_are_any():
    async with system(users={"MES": "p:w"}) as (_, client):
        assert (await client.read(CONFIRMATIONS, "ProdnOrdConf2")).status == 401
        good = aiohttp.encode_basic_auth("MES", "p:w")
        for authorization, status in ((good, 200), ("Basic !", 401), ("Bearer x", 401)):
            got = await client.send(
                "GET", CONFIRMATIONS, "ProdnOrdConf2", headers={"Authorization": authorization}
            )
            assert got.status == status


@pytest.mark.parametrize(
    ("method", "service", "path", "status", "code"),
    [
        ("GET", "API_NOTHING_SRV", "Set", 403, "/IWFND/MED/170"),
        ("GET", CONFIRMATIONS, "Nothing", 404, "/IWFND/CM_MGW_RT/004"),
        ("GET", CONFIRMATIONS, "ProdnOrdConf2('1')", 404, "/IWFND/CM_MGW_RT/004"),
        (
            "GET",
            CONFIRMATIONS,
            "ProdnOrdConf2(ConfirmationGroup='1',ConfirmationCount='1')",
            404,
            "/IWBEP/CM_MGW_RT/020",
        ),
        ("GET", CONFIRMATIONS, "ProdnOrdConf2?$filter=OrderID eq", 400, "/IWBEP/CM_MGW_RT/019"),
        ("GET", CONFIRMATIONS, "ProdnOrdConf2?$filter=OrderID gt 5", 400, "/IWBEP/CM_MGW_RT/019"),
        ("GET", CONFIRMATIONS, "ProdnOrdConf2?$filter=IsReversed eq 'X'", 400, "/IWBEP/CM_MGW_RT/019"),
        ("GET", CONFIRMATIONS, "ProdnOrdConf2?$filter=Order eq '1'", 400, "/IWFND/CM_MGW_RT/021"),
        ("GET", CONFIRMATIONS, "ProdnOrdConf2?$apply=x", 400, "/IWBEP/CM_MGW_RT/019"),
        ("PUT", DOCUMENTS, "A_MaterialDocumentHeader", 405, "/IWFND/CM_CONSUMER/003"),
        ("POST", DOCUMENTS, "A_MaterialDocumentItem", 405, "/IWFND/CM_CONSUMER/003"),
        ("POST", DOCUMENTS, "Cancel?MaterialDocument='1'", 400, "/IWFND/CM_MGW_RT/022"),
    ],
)
async def test_what_is_not_there_is_said(method, service, path, status, code):
    async with system() as (_, client):
        await client.fetch()
        got = await client.send(method, service, path, json=None if method == "GET" else {})
        assert (got.status, got.code) == (status, code)


@pytest.mark.parametrize(
    ("options", "yields"),
    [
        (
            {"filter": "ConfirmationYieldQuantity gt 2 and ConfirmationYieldQuantity le 4M"},
            ["3.000", "4.000"],
        ),
        ({"filter": "not (ConfirmationYieldQuantity lt 4)"}, ["4.000", "5.000"]),
        (
            {"filter": "startswith(ConfirmationText,'it''s 1') or substringof('5',ConfirmationText)"},
            ["1.000", "5.000"],
        ),
        ({"filter": "PostingDate ge datetime'2026-11-25T00:00:00'"}, []),
        ({"filter": "ConfirmationCount eq '00000002'"}, ["2.000"]),
        ({"filter": "OrderID eq '9' or ConfirmationCount eq '2'"}, ["2.000"]),
        ({"filter": "not (OrderID eq '9') and ConfirmationCount eq '3'"}, ["3.000"]),
        ({"filter": "OrderID eq '1004711' and OrderID eq '9'"}, []),
        ({"filter": "PostingDate ne null and IsReversed eq false and ConfirmationCount eq '1'"}, ["1.000"]),
        ({"orderby": "ConfirmationYieldQuantity desc", "top": "2"}, ["5.000", "4.000"]),
        ({"orderby": "ConfirmationCount", "skip": "3"}, ["4.000", "5.000"]),
    ],
)
async def test_queries_choose_rows(options, yields):
    async with system() as (_, client):
        for number in range(1, 6):
            await client.confirm(ConfirmationYieldQuantity=str(number), ConfirmationText=f"it's {number}")
        got = await client.read(CONFIRMATIONS, "ProdnOrdConf2", **options)
        assert [row["ConfirmationYieldQuantity"] for row in got.results] == yields


@pytest.mark.parametrize(
    ("options", "wanted"),
    [({}, "12345"), ({"skip": "1"}, "2345"), ({"top": "3"}, "123"), ({"skip": "1", "top": "3"}, "234")],
)
async def test_a_long_answer_comes_in_pages(options, wanted):
    async with system(page_max=2) as (_, client):
        for _ in range(5):
            await client.confirm()
        got = await client.read(
            CONFIRMATIONS, "ProdnOrdConf2", filter="OrderID eq '1004711'", inlinecount="allpages", **options
        )
        counts = [row["ConfirmationCount"] for row in got.results]
        assert (got.d["__count"], len(counts)) == ("5", 2)
        while "__next" in got.d:
            where = URL(got.d["__next"], encoded=True)
            async with client.http.get(where, headers={"Accept": "application/json"}) as answer:
                got = got._replace(json=await answer.json())
            counts += [row["ConfirmationCount"] for row in got.results]
        assert "".join(counts) == wanted
        assert (await client.read(CONFIRMATIONS, "ProdnOrdConf2/$count")).text == "5"


async def test_whoever_does_not_ask_for_json_gets_xml():
    names = {"d": "http://schemas.microsoft.com/ado/2007/08/dataservices"}
    async with system() as (_, client):
        plain = {"Accept": "*/*"}
        got = await client.confirm(headers=plain, ConfirmationText="a < b", FinalConfirmationType="X")
        assert (got.status, got.headers["Content-Type"]) == (201, "application/atom+xml;charset=utf-8")
        entry = ET.fromstring(got.text)
        assert entry.find(".//d:ConfirmationText", names).text == "a < b"
        assert entry.find(".//d:IsFinalConfirmation", names).text == "true"
        got = await client.confirm(headers=plain)
        error = ET.fromstring(got.text)
        assert [one.text for one in error.iter() if one.tag.endswith("}code")] == ["RU/117", "RU/117"]
        path = "ProdnOrdConf2?$expand=to_ProdnOrdConfMatlDocItm"
        feed = ET.fromstring((await client.send("GET", CONFIRMATIONS, path, headers=plain)).text)
        assert [one.text for one in feed.iterfind(".//d:Material", names)] == ["RM-555", "FG-900"]
        got = await client.send("GET", CONFIRMATIONS, "ProdnOrdConf2?$format=json", headers=plain)
        assert got.results[0]["ConfirmationText"] == "a < b"


async def test_a_cancellation_may_need_the_version_of_what_it_cancels():
    path = "CancelProdnOrdConf?ConfirmationGroup='10047111'&ConfirmationCount='1'"
    async with system(cancel_needs_etag=True) as (_, client):
        version = (await client.confirm()).headers["ETag"]
        for headers, status in (({}, 428), ({"If-Match": 'W/"7"'}, 412), ({"If-Match": version}, 200)):
            assert (await client.send("POST", CONFIRMATIONS, path, headers=headers)).status == status
        assert (await client.send("POST", CONFIRMATIONS, path, headers={"If-Match": version})).status == 412


async def test_a_system_that_was_stopped_goes_on_with_its_journal(tmp_path):
    journal = tmp_path / "journal"
    async with system(journal=journal) as (erp, client):
        await client.confirm()
        await erp.stop()
        await erp.start()
        await client.fetch()
        await client.confirm()
    assert [effect["number"] for effect in S4Simulator(journal=journal).ledger.effects()] == [1, 2]


STOCK = {"plant": "1010", "storage_location": "", "material": "RM-555", "quantity": "14"}


async def test_what_was_done_survives_a_kill(tmp_path):
    setup = tmp_path / "setup.json"
    setup.write_bytes(msgspec.json.encode({"orders": [order()], "stock": [STOCK], "switches": {"user": "K"}}))
    journal, ready = tmp_path / "journal", tmp_path / "ready.json"
    command = [sys.executable, "-m", "mfgroute.testing.simulators", "s4"]
    command += ["--journal", str(journal), "--setup", str(setup), "--ready-file", str(ready)]

    async def start():
        ready.unlink(missing_ok=True)
        process = await asyncio.create_subprocess_exec(*command)
        async with asyncio.timeout(20):
            while not ready.exists():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return process, type("System", (), {"url": json.loads(ready.read_text())["url"]})

    headers = once()
    process, address = await start()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        client = Client(address, http)
        first = await client.confirm(headers=headers)
        process.kill()
        await process.wait()
        with journal.open("ab") as file:
            file.write(b'[["confirmations","half')
        process, client.system = await start()
        assert (await client.confirm(headers=headers)).status == 403
        await client.fetch()
        again = await client.confirm(headers=headers)
        assert (again.status, again.text) == (201, first.text)
        assert (await client.confirm()).d["ConfirmationCount"] == "2"
        ledger = await client.control("/ledger")
        assert [effect["document"] for effect in ledger["effects"]] == ["10047111/1", "10047111/2"]
        # Master data is not taken anew, but switches are: the second issue finds what the first has left.
        await client.control("/switches", {"negative_stock": False})
        assert (await client.confirm()).d["EnteredByUser"] == "K"
        failed = (await client.control("/ledger"))["effects"][-1]["movements_failed"]
        assert [one["message"] for one in failed] == ["Deficit of SL Unrestricted-use 1.000 KG : RM-555 1010"]
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


def test_the_page_lists_every_message_and_whether_it_was_seen():
    page = (Path(__file__).parents[3] / "docs/howto/use-the-simulators.md").read_text()
    for name, message in MESSAGES.items():
        code = f"`{message.code}`" if message.code else ""
        seen = "yes" if message.seen else ""
        assert f"| `{name}` | {code} | {message.status} | {message.text} | {seen} |" in page


def test_the_page_names_every_switch_and_fault():
    page = (Path(__file__).parents[3] / "docs/howto/use-the-simulators.md").read_text()
    # Two say who is behind what is read: they change nothing that a client does.
    switches = set(Switches.__struct_fields__) - {"company_code", "user"}
    faults = get_args(next(field.type for field in msgspec.structs.fields(Fault) if field.name == "kind"))
    assert sorted(name for name in (*switches, *faults) if f"`{name}`" not in page) == []
