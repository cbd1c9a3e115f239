"""Two nonconformances hold one lot in the ERP: what the node has posted says when the lot is free."""

import json

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


async def test_a_lot_with_two_holds_is_freed_by_the_second_release_or_reversal(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(MAPPINGS, "placed", FIELDS % ("HOLD", "placed"))
    monkeypatch.setitem(MAPPINGS, "released", FIELDS % ("FREE", "released"))
    text = test_reverse.MAIN.replace("received, reversed]", "received, reversed, placed, released]")
    text = text.replace("goods: listed", "goods: listed\n    batch_level: plant")
    async with test_reverse.plant(tmp_path, capsys, text) as here:

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
