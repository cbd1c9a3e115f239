"""Two nonconformances hold one lot in the ERP: what the node has posted says when the lot is free."""

import json

import pytest

from mfgroute.testing.simulators.s4 import Fault
from tests.effects import test_reverse
from tests.effects.test_s4 import MAPPINGS, STOCK

FIELDS = """\
from: {decode: json}
when: {path: evt, equals: %s}
time: {path: ts}
emit:
  - to: quality.hold.%s/1
    fields:
      site: {const: "1010"}
      material: {const: RM-555}
      batch: {const: L-1}
      scope: {const: batch}
      reason: {path: nc}
      report: {path: id}
"""
LOT = "lot/1010/L-1"


def said(kind, number, reason):
    body = {"evt": kind, "id": f"H-{number}", "nc": reason, "ts": "2026-11-24T07:00:00Z"}
    return json.dumps(body).encode()


@pytest.fixture
def at(tmp_path, monkeypatch, capsys):
    """A node that posts holds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(MAPPINGS, "placed", FIELDS % ("HOLD", "placed"))
    monkeypatch.setitem(MAPPINGS, "released", FIELDS % ("FREE", "released"))
    text = test_reverse.MAIN.replace("received, reversed]", "received, reversed, placed, released]")
    text = text.replace("goods: listed", "goods: listed\n    batch_level: plant")
    return lambda: test_reverse.plant(tmp_path, capsys, text)


async def test_a_lot_with_two_holds_is_freed_by_the_second_release_or_reversal(at):
    async with at() as here:

        async def submit(*messages):
            assert (await here.router.submit("mes", list(messages))).accepted == len(messages)
            await here.settled()
            shown = await here.read("effects", "list", "--sink", "sap")
            return {one["id"]: one["reference"] for one in shown["effects"] if one["key"] == LOT}

        def changes():
            return [one["what"] for one in here.erp.ledger.effects()]

        first = await submit(said("HOLD", 1, "NC-1"))
        two = await submit(said("HOLD", 2, "NC-2"))
        (second,) = two.keys() - first.keys()
        assert set(two.values()) == {f"RM-555/{STOCK.batch} restricted"}
        assert changes() == ["batch_restricted"]

        three = await submit(said("FREE", 3, "NC-1"))
        assert max(three.values()) == f"RM-555/{STOCK.batch} stays restricted: held for NC-2"
        assert changes() == ["batch_restricted"]

        await submit(said("HOLD", 4, "NC-3"))
        plan = await here.read("effects", "reverse", second, "--reason", "the wrong lot", "--yes")
        assert plan["does"].endswith("which stays restricted: held for NC-3"), plan
        assert plan["amounts"] == {".hold/NC-2": "-1"}
        await here.settled()
        assert changes() == ["batch_restricted"]

        await submit(said("FREE", 5, "NC-3"))
        assert changes() == ["batch_restricted", "batch_unrestricted"]


def changes(here):
    return [one["what"] for one in here.erp.ledger.effects()]


async def placed(here, *messages):
    """The events of messages, newest last."""
    assert (await here.router.submit("mes", list(messages))).accepted == len(messages)
    found = await here.read("trace", LOT)
    return [one["id"] for one in found["events"] if one["type"].endswith(".placed.v1")]


def attempts(here, event):
    """Wait until an event was sent so often."""

    async def tried():
        shown = await here.run("effects", "show", event, "--output", "json")
        return sum(one["attempts"] for one in json.loads(shown.out))

    return here.until(tried)


async def test_a_hold_that_comes_while_another_is_taken_off_holds_the_lot(at):
    async with at() as here:
        (first,) = await placed(here, said("HOLD", 1, "NC-1"))
        await here.settled()
        here.erp.misbehave(Fault(path="Batch", kind="cut", when="before", times=1))
        plan = await here.read("effects", "reverse", first, "--reason", "the wrong lot", "--yes")
        await attempts(here, plan["reversal"])
        # Its request frees the lot, and is sent again.
        await placed(here, said("HOLD", 2, "NC-2"))
        await here.settled()
        assert changes(here) == ["batch_restricted", "batch_unrestricted", "batch_restricted"]


async def test_a_hold_is_not_taken_off_before_it_is_known_what_became_of_another(at):
    async with at() as here:
        (first,) = await placed(here, said("HOLD", 1, "NC-1"))
        await here.settled()
        here.erp.misbehave(Fault(path="Batch", method="*", kind="cut", when="before"))
        _, second = await placed(here, said("HOLD", 2, "NC-2"))
        await attempts(here, second)
        plan = await here.read("effects", "reverse", first, "--reason", "the wrong lot", "--yes")

        async def looked_at():
            return (await here.run("effects", "show", plan["reversal"])).code == 0

        await here.until(looked_at)
        (back,) = await here.read("effects", "show", plan["reversal"])
        assert (back["state"], back["attempts"]) == ("planned", 0)
        here.erp.behave()
        await here.settled()
        (back,) = await here.read("effects", "show", plan["reversal"])
        assert back["reference"] == f"RM-555/{STOCK.batch} stays restricted: held for NC-2"
        assert changes(here) == ["batch_restricted"]
