"""What a sink over HTTP has posted is taken back once, where its settings say how."""

import re

import pytest

from mfgroute.testing.simulators import WmsSimulator
from tests.effects import test_reverse
from tests.effects.test_s4 import message

SINK = """\
  wms:
    adapter: http
    url: WMS/api
    allow_private: true
    owner: tests
    effect: {by: lookup}
    limits: {timeout: 1s, retries: {share: 100, least: 1000/s}}
    requests:
      - type: material.finishedgoods.received/1
        path: /receipts
        body: {reference: "{key}", order: "{data.order}", article: "{data.material}", quantity: "{data.quantity.value|number}", unit: "{data.quantity.unit}"}
        amounts: {movement/101/FG-900/H87: "{data.quantity.value}"}
        reversal:
          path: /receipts/{original.reference}/cancellation
          body: {reference: "{key}", reason: "{reason?}"}
      - {path: /receipts, body: {reference: "{key}", quantity: 1}}
    ask: {path: "/receipts?reference={key}", list: /items, match: /reference, reference: /number}
    reference: /number
    read: {path: "/receipts?order={order}", list: /items, amount: /quantity, name: "movement/101/{/article}/{/unit}", document: /number}
"""
DECLARED = re.compile(r"        reversal:\n(          .*\n)+")


@pytest.fixture
async def wms():
    async with WmsSimulator() as simulator:
        yield simulator


@pytest.fixture
def at(tmp_path, monkeypatch, capsys, wms):
    monkeypatch.chdir(tmp_path)

    def running(sink=SINK):
        text = re.sub(r"(?s)  sap:.*?routes:", lambda _: sink + "routes:", test_reverse.MAIN)
        return test_reverse.plant(
            tmp_path, capsys, text.replace("to: sap", "to: wms").replace("WMS", wms.url)
        )

    return running


async def test_a_receipt_is_cancelled_once_though_the_answer_is_lost(at, wms):
    async with at() as here:
        (event,) = await here.submit(message("RECEIVED", 1, qty="17.5"))
        number = wms.ledger.effects[0].document
        ask = ["effects", "reverse", event, "--reason", "counted twice"]
        plan = await here.read(*ask, "--dry-run")
        assert plan["does"] == f"sends POST /receipts/{number}/cancellation"
        assert plan["amounts"] == {"movement/101/FG-900/H87": "-17.5"}
        assert wms.ledger.counts() == {"receipt": 1}

        wms.misbehave("cut", times=1)
        asked = await here.run(*ask, "--yes")
        assert (asked.code, plan["reversal"] in asked.out) == (0, True), asked
        await here.settled()
        assert wms.ledger.counts() == {"receipt": 1, "receipt_cancelled": 1}
        cancelled = wms.ledger.effects[-1]
        assert cancelled.body["reason"] == "counted twice"
        again = await here.run("effects", "reverse", event, "--reason", "did it work?", "--yes")
        assert (again.code, f"posted as {cancelled.document}" in again.out) == (0, True), again
        shown = (await here.read("effects", "show", event))[0]
        assert shown["reversed_by"]["id"] == plan["reversal"]
        compared = await here.run("reconcile", "--order", "1004711")
        assert (compared.code, "no difference" in compared.out) == (0, True), compared
        refused = await here.run("effects", "reverse", plan["reversal"], "--reason", "no", "--yes")
        assert (refused.code, "took a posting back" in refused.err) == (1, True), refused


@pytest.mark.parametrize(
    ("sink", "kind", "said"),
    [
        (DECLARED.sub("", SINK), "RECEIVED", "no setting of wms says how the adapter http takes back what it posted"),
        (SINK, "USED", "no `reversal` is declared for com.example.material.consumed.v1"),
    ],
)  # fmt: skip
async def test_without_a_declared_reversal_the_command_says_what_is_missing(at, wms, sink, kind, said):
    async with at(sink) as here:
        (event,) = await here.submit(message(kind, 1, qty="1"))
        number = wms.ledger.effects[0].document
        refused = await here.run("effects", "reverse", event, "--reason", "counted twice", "--yes")
        assert (refused.code, said in refused.err, f"reverse {number} in the target" in refused.err) == (
            1,
            True,
            True,
        ), refused
        assert wms.ledger.counts() == {"receipt": 1}


REPORTED = """\
      - type: production.operation.completed/1
        path: /receipts
        body: {reference: "{key}", order: "{data.order}", quantity: "{data.quantity.good|number}"}
        reversal: {path: "/receipts/{original.reference}/cancellation", body: {reference: "{key}"}}
"""


async def test_what_waits_with_its_reversal_behind_it_is_not_sent_any_more(at, wms):
    sink = SINK.replace("    requests:\n", f"    requests:\n{REPORTED}")
    async with at(sink) as here:
        assert (await here.run("pause", "wms", "--reason", "closing")).code == 0
        messages = [
            message("DONE", 1, good="10", used=[]),
            message("DONE", 2, good="3", used=[]),
            message("REVERSED", 3, reverses="R-1"),
        ]
        assert (await here.router.submit("mes", messages)).accepted == 3
        assert (await here.run("resume", "wms")).code == 0
        await here.settled()
        assert [one.body["quantity"] for one in wms.ledger.effects] == [3]
        listed = await here.read("effects", "list", "--sink", "wms")
        states = sorted((one["state"], one["code"] or one["reference"]) for one in listed["effects"])
        assert states == [
            ("posted", wms.ledger.effects[0].document),
            ("posted", "nothing to reverse: the report R-1 was never posted"),
            ("skipped", "taken_back"),
        ]
