"""`on_reject: hold_key`: later messages of a key wait for a rejected one, across retries, skips, edits and restarts."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

import mfgroute
from mfgroute import errors

from .conftest import CONTRACT, MAIN, MAPPING, MATERIALS, balanced, message

HOLD = MAIN.replace("mappings: [mes-a]}", "mappings: [mes-a], on_reject: hold_key}")
DURABLE = HOLD.replace("durability: memory", "durability: fsync")
MENDED = {"materials": MATERIALS + "NEW,KGM\n"}


def letters(engine, **request):
    return json.loads(engine.dead_letters(json.dumps({"who": "uid 7", "why": "x", **request}).encode()))


def rejects(engine):
    return letters(engine, kind="rejects", verb="list")


def codes(engine):
    """Of each rejected message its number, codes and what it waits for."""
    return [(one["number"], [r["code"] for r in one["rejects"]], one["behind"]) for one in rejects(engine)]


def drain(engine, sink="erp"):
    """The reports of everything that a sink gets, in the order of admission."""
    events = []
    while (counts := engine.stats()["sinks"][sink])["queued"] + counts["in_flight"]:
        with engine.poll(sink, wait_s=1.0) as batch:
            events += batch.events
            batch.done_all()
    events.sort(key=lambda event: event.offset)
    return [json.loads(event.json)["data"]["report"] for event in events]


@pytest.fixture
def engine(make_engine):
    """An engine with a rejected report of order 4711, two later ones of it, and one of another order."""
    engine = make_engine(main=HOLD)
    receipt = engine.submit("mes-a", [message(1, mat="NEW"), message(2), message(9, order="4712")])
    assert (receipt.accepted, receipt.rejected) == (1, 2)
    assert engine.submit("mes-a", [message(3)]).rejected == 1
    return engine


@pytest.fixture
def open_engine(write_project, tmp_path):
    """Opens the same data folder again and again with changed files; closes what is still open."""
    engines = []

    def make(**changes):
        plan = mfgroute.load_plan(write_project(**{"main": DURABLE, **changes}))
        engines.append(mfgroute.Engine(plan, data_dir=str(tmp_path / "data")))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


def test_without_it_later_messages_pass(make_engine):
    engine = make_engine()
    assert engine.submit("mes-a", [message(1, mat="NEW"), message(2)]).accepted == 1
    assert rejects(engine)[0]["keys"] == []


def test_later_messages_of_the_key_wait_and_others_go(engine):
    assert drain(engine) == ["r9"]
    assert codes(engine) == [(0, ["lookup_missing"], None), (1, ["key_held"], 0), (2, ["key_held"], 0)]
    assert [one["keys"] for one in rejects(engine)] == [["order/DE04/4711"]] * 3
    [line] = letters(engine, kind="inbox", verb="list")
    assert (line["number"], line["code"], line["behind"]) == (0, "lookup_missing", 2)
    assert balanced(engine.stats())


def test_a_successful_retry_lets_them_go_in_order(engine, write_project):
    assert letters(engine, kind="rejects", verb="retry", number=1)["rejected"][0]["code"] == "key_held"
    assert letters(engine, kind="rejects", verb="retry", number=0)["rejected"][0]["code"] == "lookup_missing"
    assert len(rejects(engine)) == 3
    engine.install(mfgroute.load_plan(write_project(main=HOLD, **MENDED)))
    assert letters(engine, kind="rejects", verb="retry", number=0)["accepted"] == 1
    assert rejects(engine) == []
    assert drain(engine) == ["r9", "r1", "r2", "r3"]
    assert [one["on"] for one in letters(engine, kind="actions", verb="list")] == [
        "mes-a 1, rejected again: key_held", "mes-a 0, rejected again: lookup_missing", "mes-a 0",
    ]  # fmt: skip
    assert balanced(engine.stats())


def test_a_bulk_retry_of_the_cause_lets_them_go(engine, write_project):
    engine.submit("mes-a", [message(4, mat="NEW"), message(5)])
    engine.install(mfgroute.load_plan(write_project(main=HOLD, **MENDED)))
    answer = letters(engine, kind="rejects", verb="retry", code="lookup_missing")
    # The second waits for r2 and r3, which go when the first is in.
    assert (answer["admitted"], answer["codes"], answer["left"]) == (1, {"key_held": 1}, 0)
    assert rejects(engine) == []
    assert drain(engine) == ["r9", "r1", "r2", "r3", "r4", "r5"]


def test_a_skip_lets_them_go(engine):
    letters(engine, kind="rejects", verb="skip", number=0)
    assert rejects(engine) == []
    assert drain(engine) == ["r9", "r2", "r3"]


def test_a_corrected_message_goes_first(engine):
    edited = letters(engine, kind="rejects", verb="edit", number=0, message=message(1).decode())
    assert edited["accepted"] == 1
    assert drain(engine) == ["r9", "r1", "r2", "r3"]


def test_a_correction_that_is_rejected_changes_nothing(engine):
    before = rejects(engine)
    edited = letters(engine, kind="rejects", verb="edit", number=0, message=message(1, qty="-1").decode())
    assert edited["rejected"][0]["code"] == "contract_invalid"
    assert rejects(engine) == before


def test_one_that_waits_and_is_rejected_itself_holds_the_rest(engine, write_project):
    strict = CONTRACT.replace("text: {type: string}", "text: {type: string, maxLength: 3}")
    engine.submit("mes-a", [message(4, text="long enough"), message(5)])
    engine.install(mfgroute.load_plan(write_project(main=HOLD, contract=strict, **MENDED)))
    letters(engine, kind="rejects", verb="retry", number=0)
    assert codes(engine) == [(3, ["contract_invalid"], None), (4, ["key_held"], 3)]
    assert drain(engine) == ["r9", "r1", "r2", "r3"]
    [line] = letters(engine, kind="inbox", verb="list")
    assert (line["number"], line["code"], line["behind"]) == (3, "contract_invalid", 1)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (message(1, mat="NEW"), "lookup_missing"),
        (message(1, uom="XX"), "unit_unknown"),
        (message(1, qty="-1"), "contract_invalid"),
        (message(1, ts="yesterday"), "bad_time"),
        (message(1, severity="none"), "contract_invalid"),
    ],
)
def test_whatever_is_wrong_the_key_is_held_if_it_maps(make_engine, bad, code):
    engine = make_engine(main=HOLD)
    engine.submit("mes-a", [bad, message(2)])
    assert codes(engine) == [(0, [code], None), (1, ["key_held"], 0)]


@pytest.mark.parametrize("bad", [b"{bad", b"[]", message(1, order=None), message(1, order={"no": "4711"})])
def test_what_has_no_key_holds_nothing(make_engine, bad):
    engine = make_engine(main=HOLD)
    receipt = engine.submit("mes-a", [bad, message(2)])
    assert (receipt.rejected, receipt.accepted) == (1, 1)
    assert rejects(engine)[0]["keys"] == []


def test_a_conflict_holds_its_key_and_a_duplicate_never_waits(make_engine):
    engine = make_engine(main=HOLD)
    engine.submit("mes-a", [message(1)])
    receipt = engine.submit("mes-a", [message(1, qty="7"), message(2), message(1)])
    assert (receipt.rejected, receipt.duplicates) == (2, 1)
    assert codes(engine) == [(0, ["conflict"], None), (1, ["key_held"], 0)]


EACH = """\
from: {decode: json}
time: {path: ts}
emit:
  - each: items
    to: production.operation.completed/1
    items: ITEMS
    fields:
      site: {const: DE04}
      order: {path: order}
      report: {path: id}
      quantity.unit: {lookup: {table: materials, key: [{path: mat}], take: unit}}
      quantity.good: {path: qty}
"""


def several(*items):
    rows = [{"order": o, "id": i, "mat": m, "qty": "1"} for o, i, m in items]
    return json.dumps({"ts": "2026-11-24T10:00:00Z", "items": rows}).encode()


def test_a_message_of_several_keys_holds_them_all(make_engine, write_project):
    each = EACH.replace("    items: ITEMS\n", "")
    engine = make_engine(main=HOLD, mapping=each)
    engine.submit(
        "mes-a", [several(("1", "a", "A"), ("2", "b", "NEW")), several(("1", "c", "A"), ("3", "d", "A"))]
    )
    engine.submit("mes-a", [several(("3", "e", "A")), several(("4", "f", "A"))])
    assert codes(engine) == [(0, ["lookup_missing"], None), (1, ["key_held"], 0), (2, ["key_held"], 1)]
    assert drain(engine) == ["f"]
    engine.install(mfgroute.load_plan(write_project(main=HOLD, mapping=each, **MENDED)))
    letters(engine, kind="rejects", verb="retry", number=0)
    assert drain(engine) == ["a", "b", "c", "d", "e"]


def test_of_independent_items_only_those_of_the_key_wait(make_engine, write_project):
    each = EACH.replace("ITEMS", "each")
    engine = make_engine(main=HOLD, mapping=each)
    receipt = engine.submit("mes-a", [several(("1", "a", "NEW"), ("1", "b", "A"), ("2", "c", "A"))])
    assert (receipt.accepted, receipt.rejected) == (1, 2)
    engine.submit("mes-a", [several(("1", "d", "A"), ("3", "e", "A"))])
    assert codes(engine) == [(0, ["lookup_missing", "key_held"], None), (1, ["key_held"], 0)]
    assert drain(engine) == ["c", "e"]
    engine.install(mfgroute.load_plan(write_project(main=HOLD, mapping=each, **MENDED)))
    letters(engine, kind="rejects", verb="retry", number=0)
    assert rejects(engine) == []
    assert drain(engine) == ["a", "b", "d"]
    assert balanced(engine.stats())


def test_of_independent_items_those_that_could_go_still_hold_their_key(make_engine):
    engine = make_engine(main=HOLD, mapping=EACH.replace("ITEMS", "each"))
    engine.submit("mes-a", [several(("1", "a", "NEW")), several(("2", "b", "NEW"))])
    engine.submit("mes-a", [several(("1", "c", "A"), ("2", "d", "A"))])
    letters(engine, kind="rejects", verb="skip", number=1)
    assert letters(engine, kind="rejects", verb="retry", number=2)["rejected"][0]["code"] == "key_held"
    engine.submit("mes-a", [several(("2", "e", "A"))])
    assert codes(engine)[1:] == [(2, ["key_held"], 0), (3, ["key_held"], 2)]
    letters(engine, kind="rejects", verb="skip", number=0)
    assert drain(engine) == ["c", "d", "e"]


def test_the_bound_on_rejects_holds_the_source_back(make_engine):
    small = HOLD.replace("on_reject: hold_key", "on_reject: hold_key, rejects_max: {events: 3}")
    engine = make_engine(main=small)
    engine.submit("mes-a", [message(1, mat="NEW"), message(2), message(3)])
    with pytest.raises(errors.Full, match="source mes-a has as many rejects as it may keep"):
        engine.submit("mes-a", [message(4)])
    assert engine.submit("mes-a", [message(5, order="4712")]).accepted == 1


def test_a_sender_that_is_told_does_not_lose_what_waits(make_engine):
    engine = make_engine(main=HOLD)
    receipt = engine.submit("mes-a", [message(1, mat="NEW"), message(2), b"{bad"], synchronous=True)
    assert [one.code for one in receipt.rejects] == ["lookup_missing", "key_held", "bad_json"]
    assert codes(engine) == [(0, ["lookup_missing"], None), (1, ["key_held"], 0)]
    assert len(letters(engine, kind="rejects", verb="list", answered=True)) == 1
    letters(engine, kind="rejects", verb="skip", number=0)
    assert drain(engine) == ["r2"]


def test_what_finds_no_room_goes_on_when_a_sink_has_taken_something(make_engine):
    small = HOLD.replace("capacity: 64MiB", "capacity: 1MiB")
    engine = make_engine(main=small)
    engine.submit("mes-a", [message(0, mat="NEW")])
    for n in range(1, 60):
        engine.submit("mes-a", [message(n, text="x" * 40_000)])
    letters(engine, kind="rejects", verb="skip", number=0)
    assert 0 < len(rejects(engine)) < 59
    assert drain(engine) == [f"r{n}" for n in range(1, 60)]
    assert rejects(engine) == []


def test_a_source_that_holds_no_keys_any_more_lets_them_go(engine, write_project):
    engine.install(mfgroute.load_plan(write_project()))
    assert codes(engine) == [(0, ["lookup_missing"], None)]
    assert drain(engine) == ["r9", "r2", "r3"]


def test_after_a_restart_they_still_wait_and_then_go_in_order(open_engine):
    engine = open_engine()
    receipt = engine.submit("mes-a", [message(1, mat="NEW"), message(2)])
    assert (receipt.level, receipt.rejected) == ("durable", 2)
    engine.close()
    engine = open_engine()
    assert codes(engine) == [(0, ["lookup_missing"], None), (1, ["key_held"], 0)]
    assert engine.submit("mes-a", [message(3)]).rejected == 1
    engine.close()
    engine = open_engine(**MENDED)
    letters(engine, kind="rejects", verb="retry", number=0)
    assert drain(engine) == ["r1", "r2", "r3"]
    engine.close()
    engine = open_engine(**MENDED)
    assert (rejects(engine), drain(engine)) == ([], [])


CLIENT = """
    import json, os, signal, sys
    import mfgroute
    engine = mfgroute.Engine(mfgroute.load_plan(sys.argv[1]), data_dir=sys.argv[2])
    engine.dead_letters(json.dumps({"kind": "rejects", "verb": "retry", "number": 0}).encode())
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_kill_9_in_the_middle_of_letting_them_go_loses_nothing_and_keeps_the_order(
    write_project, open_engine, tmp_path
):
    engine = open_engine()
    engine.submit("mes-a", [message(1, mat="NEW"), *(message(n) for n in range(2, 400))])
    assert len(rejects(engine)) == 399
    engine.close()
    folder = write_project(main=DURABLE, **MENDED)
    client = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CLIENT), str(folder), str(tmp_path / "data")],
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert client.returncode == -signal.SIGKILL
    engine = open_engine(**MENDED)
    assert engine.submit("mes-a", [message(400)]).accepted == 1
    assert rejects(engine) == []
    assert drain(engine) == [f"r{n}" for n in range(1, 401)]


def test_an_input_schema_that_refuses_a_message_lets_its_key_be_known(make_engine):
    schema = json.dumps({"type": "object", "properties": {"mat": {"type": "string", "maxLength": 1}}})
    engine = make_engine(
        main=HOLD,
        mapping=MAPPING.replace("{decode: json}", "{decode: json, schema: schemas/in.json}"),
        **{"schemas__in.json": schema},
    )
    engine.submit("mes-a", [message(1, mat="NEW"), message(2)])
    assert codes(engine) == [(0, ["input_invalid"], None), (1, ["key_held"], 0)]
