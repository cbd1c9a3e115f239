"""A node with its real engine that posts to an ERP with faults: once in effect, in order, accounted for."""

import asyncio
import json

import pytest
from fakes_runtime import QUICK, FakeSource

from mfgroute.events import Intake
from mfgroute.runtime.app import Router
from mfgroute.testing.simulators import Operation, Order
from mfgroute.testing.simulators.s4 import ROOT, Fault, S4Setup, S4Simulator

ORDERS = 5
REPORTS = 4
PROJECT = """\
apiVersion: mfgroute/v1
packs: [canonical]
node: {id: core-1, site: DE04, namespace: com.example, data_dir: ./data}
streams:
  business: {durability: fsync, capacity: 64MiB}
sources:
  plant: {adapter: fake, mappings: [done]}
sinks:
  sap:
    adapter: sap
    url: URL
    auth: {token: "0123456789abcdef"}
    goods: none
EFFECT    allow_private: true
    timeout_s: 0.4
    again_s: 0.01
    bundle: {size: SIZE}
    limits: {in_flight: 8, timeout: 400ms, retries: {share: 100, least: 1000/s}, breaker: {failures: 100000}}
    retry: {tries: 50, delay_max: 20ms}
    owner: tests
routes:
  - {name: all, match: {type: ">"}, to: sap}
"""
MAPPING = """\
from: {decode: json}
emit:
  - to: production.operation.completed/1
    fields:
      site: {const: DE04}
      order: {path: order}
      operation: {const: "0010"}
      report: {path: report}
      type: {const: partial}
      posting_date: {const: "2026-11-24"}
      goods: {const: none}
      quantity.good: {path: total, number: {}}
      quantity.unit: {const: H87}
      quantity.basis: {const: total}
"""
FAULTS = [
    Fault(kind="cut", when="after", ratio=0.15, seed=1, path="_SRV"),
    Fault(kind="cut", when="before", ratio=0.1, seed=2, path="_SRV"),
    Fault(kind="torn", when="after", ratio=0.1, seed=3, path="_SRV"),
    Fault(kind="error", ratio=0.1, seed=4),
    Fault(kind="too_many", ratio=0.1, seed=5, retry_after="0"),
    Fault(kind="html", ratio=0.1, seed=6),
    Fault(kind="expired", ratio=0.1, seed=7),
    Fault(kind="error_in_200", when="after", ratio=0.1, seed=8),
    Fault(kind="refuse", message="order_locked", ratio=0.1, seed=9),
]


def order(number):
    operations = (Operation(number="0010", work_center="P", text="Press", confirmation_group=f"{number}1"),)
    return Order(
        site="DE04",
        number=number,
        material="F",
        quantity="1000",
        unit="PCE",
        start="20261124060000",
        operations=operations,
    )


@pytest.mark.parametrize(("effect", "size"), [("    effect: {by: key, kept: 12h}\n", 1), ("", 1), ("", 4)])
async def test_running_totals_are_posted_to_the_piece_whatever_fails(project, registry, effect, size):
    numbers = [str(1004000 + n) for n in range(ORDERS)]
    FakeSource.reset()
    async with S4Simulator(setup=S4Setup(orders=[order(number) for number in numbers])) as erp:
        text = (
            PROJECT.replace("URL", erp.url + ROOT.rstrip("/"))
            .replace("EFFECT", effect)
            .replace("SIZE", str(size))
        )
        root = project(text)
        (root / "mappings").mkdir()
        (root / "mappings" / "done.yaml").write_text(MAPPING)
        for fault in FAULTS:
            erp.misbehave(fault)
        messages = [
            json.dumps({"order": number, "report": f"{number}-{n}", "total": 10 * n + 3}).encode()
            for n in range(1, REPORTS + 1)
            for number in numbers
        ]
        async with Router(root, adapters=registry, tempo=QUICK) as router:
            FakeSource.feed.put_nowait(Intake(messages=messages))
            _, receipt = await FakeSource.acked.get()
            assert receipt.accepted == len(messages)
            sap = router.engine.stats()["sinks"]["sap"]
            async with asyncio.timeout(60):
                while sap["delivered"] != len(messages):
                    assert sap["parked_by_cause"] == {}
                    await asyncio.sleep(0.01)
                    sap = router.engine.stats()["sinks"]["sap"]
        totals = erp.ledger.totals()
        assert {number: totals[number]["operations"]["0010"]["yield"] for number in numbers} == dict.fromkeys(
            numbers, f"{10 * REPORTS + 3}.000"
        )
        assert erp.ledger.duplicates == 0
        assert {totals[number]["operations"]["0010"]["confirmations"] for number in numbers} == {REPORTS}
        assert sum(erp.ledger.mischief.values()) > 10
