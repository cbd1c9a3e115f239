"""Orders compared with an ERP that is read by the pack that posts to it."""

import asyncio
import json
import re
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

pytest.importorskip("mfgroute.adapters.sap", reason="the pack `sap` is not in this version")

from mfgroute.api.node import Router
from mfgroute.cli import main
from mfgroute.runtime.tempo import Tempo
from mfgroute.testing.simulators.s4 import ROOT, Fault, S4Setup, S4Simulator, Stock
from tests.testing.s4.client import CONFIRMATIONS, Client, aiohttp, order

PROJECT = """\
apiVersion: mfgroute/v1
packs: [canonical]
node: {id: core-1, site: "1010", namespace: com.example, data_dir: ./data}
http: {listen: "127.0.0.1:0"}
streams:
  business: {durability: fsync, capacity: 32MiB}
sources:
  mes: {adapter: files, path: ./inbox/*.jsonl, mappings: [done, used, received, reversed]}
sinks:
  sap:
    adapter: sap
    url: URL
    auth: {token: "0123456789abcdef"}
    goods: listed
    allow_private: true
    timeout_s: 0.5
    again_s: 0.01
    limits: {timeout: 600ms, retries: {share: 100, least: 1000/s}}
    owner: erp-team
routes:
  - {name: all, match: {type: ">"}, to: sap}
"""
COMMON = """\
from: {decode: json}
when: {path: evt, equals: %s}
time: {path: ts}
common:
  site: {const: "1010"}
  order: {path: order}
  report: {path: id}
  posting_date: {const: "2026-11-24"}
emit:
  - to: %s
    fields:
"""
MAPPINGS = {
    "done": COMMON % ("DONE", "production.operation.completed/1")
    + """\
      operation: {const: "0010"}
      type: {const: partial}
      goods: {const: listed}
      quantity.unit: {const: H87}
      quantity.good: {path: good}
      quantity.scrap: {path: scrap}
      quantity.basis: {path: basis}
      movements:
        list: used
        fields: {direction: {const: issue}, material: {path: mat}, quantity: {path: qty}, unit: {const: KGM}, storage_location: {const: 101A}, batch: {const: L-1}}
""",
    "used": COMMON % ("USED", "material.consumed/1")
    + """\
      material: {const: RM-555}
      batch: {const: L-1}
      storage_location: {const: 101A}
      direction: {path: direction}
      quantity.unit: {const: KGM}
      quantity.value: {path: qty}
""",
    "received": COMMON % ("RECEIVED", "material.finishedgoods.received/1")
    + """\
      material: {const: FG-900}
      storage_location: {const: 101A}
      quantity.unit: {const: H87}
      quantity.value: {path: qty}
""",
    "reversed": COMMON % ("REVERSED", "production.confirmation.reversed/1")
    + """\
      operation: {const: "0010"}
      reverses: {path: reverses}
""",
}
STOCK = Stock(plant="1010", storage_location="101A", material="RM-555", batch="L-1", quantity="500")


def message(kind, number, **more):
    body = {"evt": kind, "id": f"R-{number}", "ts": "2026-11-24T07:00:00Z", "order": "1004711", **more}
    return json.dumps(body).encode()


@asynccontextmanager
async def plant(folder, capsys):
    """An ERP, and a node that posts to it."""
    async with S4Simulator(setup=S4Setup(orders=[order()], stock=[STOCK])) as erp:
        files = {f"mappings/{name}.yaml": text for name, text in MAPPINGS.items()}
        for name, text in {
            "mfgroute.yaml": PROJECT.replace("URL", erp.url + ROOT.rstrip("/")),
            **files,
        }.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        (folder / "inbox").mkdir()

        async def reconcile(*arguments, code):
            capsys.readouterr()
            found = await asyncio.to_thread(main, ["reconcile", *arguments, "--output", "json"])
            out, err = capsys.readouterr()
            assert found == code, out + err
            return json.loads(out)

        erp.switch(negative_stock=False)
        async with Router(folder, tempo=Tempo(poll_s=0.02)) as router:

            async def submit(*messages):
                assert (await router.submit("mes", list(messages))).accepted == len(messages)
                async with asyncio.timeout(30):
                    while any(router.queued().values()):  # noqa: ASYNC110 - the engine tells nobody
                        await asyncio.sleep(0.01)

            yield SimpleNamespace(erp=erp, submit=submit, reconcile=reconcile, router=router)


def sides(found):
    return {row["name"]: row["sinks"]["sap"] for row in found["orders"][0]["rows"]}


async def test_what_the_pack_posts_is_what_it_reads_and_what_plants_reported(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    async with plant(tmp_path, capsys) as at:
        at.erp.misbehave(Fault(kind="cut", when="after", times=2, path="_SRV"))
        await at.submit(
            message("DONE", 1, good="10", scrap="1", used=[{"mat": "RM-555", "qty": "5.25"}]),
            message("DONE", 2, good="7.5", used=[{"mat": "RM-555", "qty": "1"}]),
            message("USED", 3, qty="2.125"),
            message("USED", 4, qty="0.125", direction="issue_reversal"),
            message("RECEIVED", 5, qty="17.5"),
            message("DONE", 6, good="30", scrap="1", basis="total", used=[]),
            message("REVERSED", 7, reverses="R-2"),
        )
        found = await at.reconcile("--order", "1004711", code=0)
        assert {
            name: (side["reported"], side["posted"], side["held"]) for name, side in sides(found).items()
        } == {
            "operation/0010/yield/H87": ("22.5", "22.5", "22.5"),
            "operation/0010/scrap/H87": ("1", "1", "1"),
            "movement/261/RM-555/KGM": ("7.25", "7.25", "7.25"),
            "movement/101/FG-900/H87": ("17.5", "17.5", "17.5"),
        }
        assert at.erp.ledger.duplicates == 0


async def test_what_somebody_did_in_the_erp_is_found_with_its_document(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    async with plant(tmp_path, capsys) as at:
        await at.submit(message("DONE", 1, good="10", used=[]), message("DONE", 2, good="5", used=[]))
        await at.reconcile("--since", "1h", code=0)
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            client = Client(at.erp, http)
            path = "CancelProdnOrdConf?ConfirmationGroup='0010047111'&ConfirmationCount='2'"
            assert (await client.send("POST", CONFIRMATIONS, path)).status == 200
            body = {"OrderID": "1004711", "OrderOperation": "0010", "ConfirmationYieldQuantity": "3", "ConfirmationUnit": "PC",
                    "PostingDate": "2026-11-24T00:00:00", "APIConfHasNoGoodsMovements": True}  # fmt: skip
            assert (await client.send("POST", CONFIRMATIONS, "ProdnOrdConf2", json=body)).status == 201
        side = sides(await at.reconcile("--order", "1004711", code=1))["operation/0010/yield/H87"]
        assert (side["reported"], side["posted"], side["held"], side["difference"]) == (
            "15",
            "15",
            "13",
            "-2",
        )
        assert [(one["report"], one["amount"]) for one in side["missing_documents"]] == [("R-2", "5")]
        assert len(side["unknown_documents"]) == 1


async def test_what_the_erp_refuses_is_named_with_its_message_and_an_erp_that_is_away_is_said(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    async with plant(tmp_path, capsys) as at:
        await at.submit(
            message("USED", 1, qty="1"), message("USED", 2, qty="999"), message("USED", 3, qty="2")
        )
        side = sides(await at.reconcile("--order", "order/1010/1004711", code=1))["movement/261/RM-555/KGM"]
        assert (side["reported"], side["held"], side["difference"]) == ("1002", "1", "-1001")
        assert [(one["report"], one["state"]) for one in side["open"]] == [
            ("R-2", "parked"),
            ("R-3", "waiting behind"),
        ]
        assert side["open"][0]["said"]
        at.erp.misbehave(Fault(kind="cut", when="before", method="GET"))
        found = await at.reconcile("--order", "1004711", code=69)
        assert (sides(found)["movement/261/RM-555/KGM"]["held"], list(found["unread"])) == (None, ["sap"])


async def test_a_running_total_counts_what_was_booked_by_hand_though_it_could_not_be_sent(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    async with plant(tmp_path, capsys) as at:

        async def mfgroute(*arguments, code=0):
            capsys.readouterr()
            found = await asyncio.to_thread(main, [*arguments])
            out, err = capsys.readouterr()
            assert found == code, out + err
            return out + err

        unfit = [{"mat": "RM-555", "qty": "12345678901"}]
        await at.submit(
            message("DONE", 1, good="10", basis="total", used=unfit),
            *(message("DONE", 2 + n, good=str(25 + 15 * n), basis="total", used=[]) for n in range(2)),
        )
        booked = ["--sink", "sap", "--reason", "by hand", "--posted-as"]
        said = await mfgroute("parked", "skip", "1", *booked, "10047111/8", code=2)
        event_id = re.search(r"effects resolve (\S+) --sink sap --posted 10047111/8", said)[1]
        await mfgroute("pause", "sap")
        await mfgroute("parked", "skip", "0", *booked, "10047111/7")
        more = ["--posted", "10047111/8", "--reason", "by hand"]
        await mfgroute("effects", "resolve", event_id, "--sink", "sap", *more)
        await mfgroute("resume", "sap")
        await at.submit()
        assert at.erp.ledger.totals()["1004711"]["operations"]["0010"]["yield"] == "15.000"
        side = sides(await at.reconcile("--order", "1004711", code=1))["operation/0010/yield/H87"]
        assert (side["reported"], side["posted"], side["held"]) == ("40", "40", "15")
