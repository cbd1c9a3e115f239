"""A parked event is edited: another event takes its place at that sink, and only there."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

import mfgroute
from mfgroute import errors

from .conftest import CONTRACT, MAIN, balanced, message

TWO_SINKS = MAIN.replace("url: ", "on_refused: park_key, url: ").replace(
    "log: {adapter: console, owner: tests}",
    "wms: {adapter: http, url: 'http://127.0.0.1:9/y', allow_private: true, effect: {by: upsert}, owner: tests}",
)
TWO_SINKS = TWO_SINKS[: TWO_SINKS.index("routes:")] + (
    "routes:\n  - {name: to-both, match: {type: production.operation.completed/1}, to: [erp, wms]}\n"
)
RULE = """\
rules:
  - {code: text_needed, message: a major report says what happened, check: 'has(data.severity) && data.severity == "major" ? has(data.text) : true'}
"""


def letters(engine, **request):
    return json.loads(engine.dead_letters(json.dumps(request).encode()))


def edit(engine, number, sink="erp", why="wrong unit", **change):
    return letters(
        engine, kind="parked", verb="edit", number=number, sink=sink, who="uid 7", why=why, **change
    )


def parked(engine, sink="erp"):
    return letters(engine, kind="parked", verb="list", sink=sink)


def refuse_all(engine, sink="erp"):
    """Refuse what the sink gets, until it gets nothing more."""
    while True:
        with engine.poll(sink) as batch:
            if len(batch) == 0:
                return
            for event in batch:
                batch.refused(event, "M7", "closed")


def drain(engine, sink="erp"):
    """The CloudEvents of everything that a sink gets, in its order, each done."""
    found = []
    while (counts := engine.stats()["sinks"][sink])["queued"] + counts["in_flight"]:
        with engine.poll(sink, wait_s=1.0) as batch:
            found += [json.loads(event.json) for event in batch]
            batch.done_all()
    return found


@pytest.fixture
def engine(make_engine):
    """An engine with three reports of one order, of which the first was refused by both sinks."""
    engine = make_engine(main=TWO_SINKS)
    assert engine.submit("mes-a", [message(n) for n in (1, 2, 3)]).accepted == 3
    refuse_all(engine)
    refuse_all(engine, "wms")
    return engine


def test_the_new_event_stands_in_the_place_of_the_old_one_at_that_sink_only(engine):
    first = parked(engine)[0]
    answer = edit(engine, first["number"], set=[["/quantity/good", "2.50"], ["/text", "corrected"]])
    assert answer["rejected"] == []
    assert (answer["original"], answer["revision"], answer["supersedes"]) == (first["id"], 1, first["id"])
    assert answer["id"] != first["id"]
    assert answer["id"][14] == "8", "a UUID of version 8"
    got = drain(engine)
    assert [one["data"]["report"] for one in got] == ["r1", "r2", "r3"]
    assert got[0]["id"] == answer["id"]
    assert got[0]["causationid"] == first["id"]
    assert got[0]["mfgrevision"] == 1
    assert got[0]["mfgmapping"].startswith("mes-a@")
    assert got[0]["data"]["quantity"] == {"unit": "KGM", "good": "2.50"}
    assert got[0]["data"]["text"] == "corrected"
    assert got[0]["subject"] == got[1]["subject"]
    assert "causationid" not in got[1]
    counts = engine.stats()["sinks"]["erp"]
    assert (counts["matched"], counts["delivered"], counts["skipped"], counts["superseded"]) == (4, 3, 1, 1)
    assert balanced(engine.stats())
    other = parked(engine, "wms")[0]
    assert other["id"] == first["id"]
    letters(engine, kind="parked", verb="retry-key", sink="wms", key=other["key"], who="uid 7")
    assert drain(engine, "wms")[0]["id"] == first["id"]
    assert letters(engine, kind="actions", verb="list")[0] == {
        "at": letters(engine, kind="actions", verb="list")[0]["at"],
        "who": "uid 7", "what": "parked edit", "on": f"erp {first['number']}", "why": "wrong unit",
    }  # fmt: skip


def test_a_trace_shows_both_events_and_what_became_of_each(engine):
    first = parked(engine)[0]
    new = edit(engine, first["number"], set=[["/text", "x"]])["id"]
    events = json.loads(engine.find("order/DE04/4711"))["events"]
    assert [one["id"] for one in events[:2]] == [first["id"], new]
    at = {one["sink"]: one for one in events[0]["sinks"]}
    assert (at["erp"]["state"], at["erp"]["by"], at["wms"]["state"]) == ("superseded", new, "parked")
    assert [(one["sink"], one["state"]) for one in events[1]["sinks"]] == [("erp", "queued")]
    assert events[1]["data"]["text"] == "x"
    drain(engine)
    assert json.loads(engine.find(new))["events"][0]["sinks"][0]["state"] == "delivered"


def test_an_event_behind_another_is_edited_and_waits_on(engine):
    first, second, _ = parked(engine)
    edit(engine, second["number"], set=[["/text", "second"]])
    assert drain(engine) == []
    letters(engine, kind="parked", verb="retry", sink="erp", number=first["number"], who="uid 7")
    got = drain(engine)
    assert [one["data"]["report"] for one in got] == ["r1", "r2", "r3"]
    assert [one["data"].get("text") for one in got] == [None, "second", None]


def test_a_second_edit_counts_on_and_two_sinks_never_make_one_id(engine):
    number, original = parked(engine)[0]["number"], parked(engine)[0]["id"]
    first = edit(engine, number, set=[["/text", "a"]])
    refuse_all(engine)
    assert parked(engine)[0]["id"] == first["id"]
    second = edit(engine, number, set=[["/text", "b"]])
    assert (second["original"], second["revision"]) == (original, 2)
    assert second["supersedes"] == first["id"]
    elsewhere = edit(engine, number, sink="wms", set=[["/text", "a"]])
    assert len({original, first["id"], second["id"], elsewhere["id"]}) == 4
    got = drain(engine)[0]
    assert (got["id"], got["causationid"], got["mfgrevision"]) == (second["id"], original, 2)
    assert engine.stats()["sinks"]["erp"]["superseded"] == 2
    assert balanced(engine.stats())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"set": [["/order", "4712"]]}, ("key_changed", "/order", "4712", "4711, as it is part of the key")),
        ({"set": [["/quantity/good", "1.2345"]]}, ("contract_invalid", "/quantity/good", '"1.2345"', None)),
        ({"set": [["/quantity/unit", "KILO"]]}, ("contract_invalid", "/quantity/unit", '"KILO"', None)),
        ({"set": [["/unknown", "x"]]}, ("contract_invalid", "/unknown", None, None)),
        ({"set": [["/none/below", "x"]]}, ("missing", "/none/below", "nothing", None)),
        ({"set": [["/severity", "major"]]}, ("contract_rule", None, None, None)),
        ({"data": "{bad"}, ("bad_json", "", None, None)),
        ({"data": "[1]"}, ("contract_invalid", "", None, None)),
        ({"data": '{"site": "DE04", "order": "4711"}'}, ("contract_invalid", None, None, None)),
    ],
)
def test_what_the_contract_does_not_allow_changes_nothing(make_engine, change, expected):
    engine = make_engine(contract=CONTRACT + RULE)
    engine.submit("mes-a", [message(1)])
    refuse_all(engine)
    [before] = parked(engine)
    stats = engine.stats()
    answer = edit(engine, before["number"], **change)
    [reject] = answer["rejected"]
    found = (reject["code"], reject["pointer"], reject["found"], reject["expected"])
    for is_, wanted in zip(found, expected, strict=True):
        assert wanted is None or is_ == wanted, found
    assert reject["expected"]
    assert parked(engine) == [before]
    assert engine.stats() == stats


def test_what_may_have_arrived_is_not_edited(make_engine):
    engine = make_engine()
    engine.submit("mes-a", [message(1)])
    with engine.poll("erp") as batch:
        batch.in_doubt(batch.events[0], "cut off")
    [event] = parked(engine)
    with pytest.raises(errors.MfgrouteError, match="its outcome is unknown: look into the target"):
        edit(engine, event["number"], set=[["/text", "x"]])
    assert parked(engine) == [event]


def test_an_edit_needs_a_reason_one_kind_of_change_and_an_event(engine):
    number = parked(engine)[0]["number"]
    with pytest.raises(errors.MfgrouteError, match="a reason is needed"):
        edit(engine, number, why=" ", set=[["/text", "x"]])
    for change in ({}, {"data": "{}", "set": [["/text", "x"]]}):
        with pytest.raises(errors.MfgrouteError, match="an edit needs either data"):
            edit(engine, number, **change)
    with pytest.raises(errors.MfgrouteError, match="set is a list of pairs of texts"):
        edit(engine, number, set=[["/text"]])
    with pytest.raises(errors.MfgrouteError, match="sink erp has no parked event 999"):
        edit(engine, 999, set=[["/text", "x"]])


DURABLE = MAIN.replace("durability: memory", "durability: fsync")


@pytest.fixture
def open_engine(write_project, tmp_path):
    """Opens the same data folder again and again; closes what is still open."""
    engines = []

    def make():
        plan = mfgroute.load_plan(write_project(main=DURABLE))
        engines.append(mfgroute.Engine(plan, data_dir=str(tmp_path / "data")))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


def test_an_edit_is_there_after_a_restart(open_engine):
    engine = open_engine()
    engine.submit("mes-a", [message(n) for n in (1, 2)])
    while len(before := parked(engine)) < 2:
        with engine.poll("erp", wait_s=1.0) as batch:
            for event in batch:
                batch.refused(event, "M7", "closed")
    answer = edit(engine, before[0]["number"], set=[["/text", "new"]])
    engine.close()
    engine = open_engine()
    events = json.loads(engine.find("order/DE04/4711"))["events"]
    at = next(one for one in events if one["id"] == before[0]["id"])["sinks"][0]
    assert (at["state"], at["by"]) == ("superseded", answer["id"])
    got = drain(engine)
    assert [(one["id"], one["data"]["report"]) for one in got] == [
        (answer["id"], "r1"), (before[1]["id"], "r2"),
    ]  # fmt: skip
    assert letters(engine, kind="actions", verb="list")[-1]["what"] == "parked edit"
    engine.close()
    assert drain(open_engine()) == []


CLIENT = """
    import json, os, signal, sys
    import mfgroute
    from tests.engine.conftest import message
    engine = mfgroute.Engine(mfgroute.load_plan(sys.argv[1]), data_dir=sys.argv[2])
    ask = lambda **request: json.loads(engine.dead_letters(json.dumps(request).encode()))
    engine.submit("mes-a", [message(n, order=str(n // 2)) for n in range(40)])
    while len(parked := ask(kind="parked", verb="list")) < 40:
        with engine.poll("erp", wait_s=1.0) as batch:
            for event in batch:
                batch.refused(event, "M7", "closed")
    for turn, event in enumerate(event for event in parked if event["cause"] == "refused"):
        change = {"set": [["/text", "new"]]}
        answer = ask(kind="parked", verb="edit", sink="erp", number=event["number"], why="x", **change)
        print(event["id"], answer["id"], flush=True)
        if turn == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("turn", [0, 7, 19])
def test_kill_9_right_after_an_edit_keeps_it_and_its_order(write_project, open_engine, tmp_path, turn):
    folder = write_project(main=DURABLE)
    client = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CLIENT), str(folder), str(tmp_path / "data"), str(turn)],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert client.returncode == -signal.SIGKILL
    edited = dict(line.split() for line in client.stdout.splitlines())
    assert len(edited) == turn + 1
    engine = open_engine()
    got = drain(engine)
    assert {one["id"] for one in got} >= set(edited.values())
    assert not {one["id"] for one in got} & set(edited)
    orders = [one["data"]["order"] for one in got]
    assert all(orders.count(order) == 2 for order in orders), "those behind went as well, once"
    for order in set(orders):
        reports = [int(one["data"]["report"][1:]) for one in got if one["data"]["order"] == order]
        assert reports == sorted(reports)
    assert len(parked(engine)) == 40 - 2 * (turn + 1)
