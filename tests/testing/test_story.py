"""The story is consistent in itself: bytes, orders, counts and effects."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from mfgroute.testing.simulators import SIMULATORS, ErpSimulator
from mfgroute.testing.story import SYSTEMS, Drop, Misbehave, Post, Signals, story
from mfgroute.testing.story.messages import ORDERS


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
        "slow",
        "cut",
    }
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
    erp = ErpSimulator()
    erp.setup(json.loads(json.dumps(told.setup["erp"])))
    assert {number for _, number in erp.orders} == set(ORDERS)
    for step in told.steps:
        if isinstance(step, Drop):
            with pytest.raises(UnicodeDecodeError):
                step.body.decode()
            rows = step.body.decode("cp1252").split("\r\n")[1:-1]
            assert {row.split(";")[0] for row in rows} <= set(ORDERS)
