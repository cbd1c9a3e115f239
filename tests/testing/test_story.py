"""The story is consistent in itself: bytes, orders, counts and effects."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal

import pytest

from mfgroute.adapters.sap.references import guid
from mfgroute.testing.simulators import SIMULATORS, S4Simulator
from mfgroute.testing.simulators.s4 import Fault
from mfgroute.testing.story import SYSTEMS, Drop, Misbehave, Post, Reopen, Signals, story
from mfgroute.testing.story.messages import ORDERS
from mfgroute.testing.story.postings import amounts, told


def test_every_call_gives_the_same_bytes():
    assert story() == story()


def test_the_numbers_of_the_story():
    told = story()
    assert told.totals == {
        "received": 79,
        "accepted": 53,
        "rejected": 4,
        "duplicates": 15,
        "filtered": 7,
        "dropped": 0,
        "delivered": 49,
    }
    assert told.link == 32
    assert {name: outcome.accepted for name, outcome in told.sources.items()} == {
        "erp-orders": 16,
        "mes-a": 18,
        "mes-b": 6,
        "line-c": 3,
        "press-7": 2,
        "press-8": 1,
        "press-9": 2,
        "qms": 5,
    }


def test_every_system_is_simulated_and_has_an_effect():
    assert set(story().effects) == set(SYSTEMS) == set(SIMULATORS)
    assert all(story().effects[system] for system in SYSTEMS)


def test_a_message_that_is_sent_again_has_the_same_bytes_and_only_duplicates():
    seen = Counter()
    for step in story().steps:
        if isinstance(step, Post):
            again = seen[step.source, step.body] > 0
            assert (step.outcome.duplicates > 0) == again, step.says
            assert not (again and step.outcome.accepted), step.says
            seen[step.source, step.body] += 1


def test_the_story_has_every_trouble_the_demo_promises():
    told = story()
    rejects = [code for outcome in told.sources.values() for code in outcome.rejects]
    assert sorted(rejects) == ["bad_number", "bad_xml", "lookup_missing", "lookup_missing"]
    assert {step.kind for step in told.steps if isinstance(step, Misbehave)} == {
        "too_many",
        "error",
        "expired",
        "refuse",
        "slow",
        "cut",
    }
    assert [(step.system, step.code) for step in told.steps if isinstance(step, Reopen)] == [
        ("erp", "period_closed")
    ]
    finals = [json.loads(step.body) for step in told.steps if isinstance(step, Post) and b"DONE" in step.body]
    assert 0 in [message["qty"]["good"] for message in finals]


def test_machines_count_an_operation_that_the_mes_confirms_too():
    told = story()
    counted = {signal.value for step in told.steps if isinstance(step, Signals) for signal in step.before}
    confirmed = {
        json.loads(step.body)["order"]["no"].lstrip("0")
        for step in told.steps
        if isinstance(step, Post) and step.source == "mes-a" and b"OP_COMPLETE" in step.body
    }
    assert confirmed <= counted


def test_signals_of_a_machine_are_in_the_order_of_time():
    for step in story().steps:
        if isinstance(step, Signals):
            times = [signal.at_s for signal in step.changes]
            assert times == sorted(times)
            assert times[0] > 0
            assert times[-1] < 3600


def test_files_are_cp1252_and_orders_are_known_to_the_erp():
    told = story()
    erp = S4Simulator()
    erp.setup(json.loads(json.dumps(told.setup["erp"])))
    with erp.store.unit() as unit:
        assert all(unit.get("orders", number) is not None for number in ORDERS)
    for step in told.steps:
        if isinstance(step, Drop):
            with pytest.raises(UnicodeDecodeError):
                step.body.decode()
            rows = step.body.decode("cp1252").split("\r\n")[1:-1]
            assert {row.split(";")[0] for row in rows} <= set(ORDERS)


def test_the_erp_understands_each_of_its_faults():
    for step in story().steps:
        if isinstance(step, Misbehave) and step.system == "erp":
            given = {"kind": step.kind, "times": step.times, "after_s": step.after_s, **step.more}
            assert Fault(**given).kind == step.kind


def confirmed(external, **more):
    return {
        "what": "confirmation", "document": "88301/1", "order": "1004733", "operation": "0010", "final": False,
        "external": external, "amounts": {"yield": "100.000", "scrap": "2.000", "rework": "0.000", "unit": "PC"},
        "movements": [], "movements_failed": [],
    } | more  # fmt: skip


def moved(kind, quantity, **more):
    return {
        "movement_type": kind, "order": "1004733", "material": "RM-555", "batch": "R26-1002", "quantity": quantity,
        "unit": "KG", "origin": "document",
    } | more  # fmt: skip


def ledger(*effects, **more):
    return {"effects": list(effects), "refusals": [], "repeats": {}, "duplicates": 0} | more


def words(*effects):
    return [(one["what"], one["key"], one["detail"]) for one in told(ledger(*effects))["effects"]]


def test_a_confirmation_is_named_by_the_report_that_its_guid_is_made_of():
    order = "order/DE04/1004733"
    report = guid("confirmation", "DE04", "1004733", "0010", "A-1002")
    scrap = guid("scrap", "DE04", "1004733", "0010", "A-1003")
    assert words(confirmed(report), confirmed(scrap, final=True), confirmed(None), confirmed("0815")) == [
        ("confirmation", order, "A-1002, 0010, 100 PC, 2 scrap"),
        ("scrap_confirmation", order, "A-1003, 0010, 100 PC, 2 scrap, final"),
        ("confirmation", order, "no reference, 0010, 100 PC, 2 scrap"),
        ("confirmation", order, "0815, 0010, 100 PC, 2 scrap"),
    ]
    failed = confirmed(report, movements_failed=[moved("261", "1")], order="4711")
    assert words(failed) == [
        ("confirmation", "order/?/4711", "A-1002, 0010, 100 PC, 2 scrap, 1 goods movements failed")
    ]


def test_documents_and_batches_are_named_by_what_they_move_and_hold():
    issue = {
        "what": "material_document",
        "document": "49/2026",
        "order": "1004733",
        "header_text": "A-1005/r26-1002",
    }
    mixed = [moved("261", "7.910"), moved("531", "1.000", batch="")]
    lot = {"what": "batch_restricted", "document": "FG-900/DE07/L26-111901"}
    assert words(issue | {"movements": mixed[:1]}, issue | {"movements": mixed}, lot) == [
        ("goods_issue", "order/DE04/1004733", "A-1005/r26-1002, 7.91 KG RM-555 of R26-1002"),
        (
            "material_document",
            "order/DE04/1004733",
            "A-1005/r26-1002, 7.91 KG RM-555 of R26-1002, 1 KG RM-555",
        ),
        ("lot_restricted", "lot/DE07/L26-111901", "FG-900"),
    ]


def test_amounts_are_sums_of_what_stands_and_say_who_moved_it():
    first = confirmed(None, movements=[moved("261", "5.500", origin="backflush"), moved("261", "1.000")])
    undone = confirmed(None, what="confirmation_reversal", amounts={**first["amounts"], "yield": "40.000"})
    assert amounts(ledger(first, undone)) == {
        "order/DE04/1004733": {
            "operation/0010/yield": 60,
            "movement/261/RM-555/backflush": Decimal("5.5"),
            "movement/261/RM-555/document": 1,
        }
    }


def test_an_expired_token_is_no_refusal():
    expired, locked = ({"path": "x", "code": code, "message": "m"} for code in ("", "CO/469"))
    found = told(ledger(refusals=[expired, locked], repeats={"a": 2, "b": 1}, duplicates=3))
    assert [one["code"] for one in found["refusals"]] == ["CO/469"]
    assert (found["duplicates"], found["posted_twice"]) == (3, 3)
