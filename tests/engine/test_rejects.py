"""Rejected messages go again: one, all of a cause, in order, and after a restart in the middle."""

import json

import pytest

import mfgroute
from mfgroute import errors

from .conftest import MAIN, MATERIALS, balanced, message

DURABLE = MAIN.replace("durability: memory", "durability: fsync")


def letters(engine, **request):
    return json.loads(engine.dead_letters(json.dumps(request).encode()))


def retry_all(engine, **request):
    """What the answers to all requests of a bulk retry come to."""
    answers = [letters(engine, kind="rejects", verb="retry", **request)]
    while answers[-1]["next"] is not None:
        place = {"from": answers[-1]["next"], "until": answers[-1]["until"]}
        answers.append(letters(engine, kind="rejects", verb="retry", **request, **place))
    return answers


def drain(engine, sink):
    """The reports of everything that a sink gets, in the order of admission."""
    events = []
    while (counts := engine.stats()["sinks"][sink])["queued"] + counts["in_flight"]:
        with engine.poll(sink, wait_s=1.0) as batch:
            events += batch.events
            batch.done_all()
    events.sort(key=lambda event: event.offset)
    return [json.loads(event.json)["data"]["report"] for event in events]


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


def test_a_cause_goes_again_oldest_first_and_only_that_cause(make_engine, write_project):
    engine = make_engine()
    messages = [message(n, order=str(n % 7), mat="NEW") for n in range(1_200)]
    messages[10] = message(10, mat="NEVER")
    messages[20] = message(20, uom="XX")
    messages[30] = b"{bad"
    assert engine.submit("mes-a", messages).rejected == 1_200
    engine.install(mfgroute.load_plan(write_project(materials=MATERIALS + "NEW,KGM\n")))
    answers = retry_all(engine, code="lookup_missing", source="mes-a", who="uid 7", why="NEW is known")
    assert [one["admitted"] for one in answers] == [511, 512, 174]
    assert [one["refused"] for one in answers] == [1, 0, 0]
    assert answers[0]["codes"] == {"lookup_missing": 1}
    assert [one["number"] for one in answers[0]["again"]] == [10]
    assert answers[0]["again"][0]["rejected"][0]["pointer"] == "/mat"
    assert [one["left"] for one in answers] == [None, None, 1]
    assert drain(engine, "erp") == [f"r{n}" for n in range(1_200) if n not in {10, 20, 30}]
    assert [one["number"] for one in letters(engine, kind="rejects", verb="list")] == [10, 20, 30]
    assert balanced(engine.stats())
    done = letters(engine, kind="actions", verb="list")
    assert len(done) == 1_198
    assert {(one["who"], one["what"], one["why"]) for one in done} == {
        ("uid 7", "rejects retry", "NEW is known")
    }
    assert done[10]["on"] == "mes-a 10, rejected again: lookup_missing"
    assert done[11]["on"] == "mes-a 11"


def test_what_is_rejected_again_for_another_cause_says_so_and_keeps_its_place(make_engine, write_project):
    engine = make_engine()
    engine.submit("mes-a", [message(1, mat="NEW", qty="1.2345678"), message(2, mat="NEW", qty="-1")])
    engine.install(mfgroute.load_plan(write_project(materials=MATERIALS + "NEW,KGM\n")))
    [answer] = retry_all(engine, source="mes-a")
    assert (answer["admitted"], answer["codes"], answer["left"]) == (1, {"contract_invalid": 1}, 1)
    before = engine.stats()["sources"]["mes-a"]
    assert (before["received"], before["rejected"], before["accepted"]) == (3, 2, 1)


def test_a_retry_without_room_admits_what_fits_and_stops(make_engine, write_project):
    small = MAIN.replace("capacity: 64MiB", "capacity: 1MiB")
    engine = make_engine(main=small)
    engine.submit("mes-a", [message(n, mat="NEW", text="x" * 20_000) for n in range(100)])
    engine.install(mfgroute.load_plan(write_project(main=small, materials=MATERIALS + "NEW,KGM\n")))
    [answer] = retry_all(engine, code="lookup_missing")
    assert 0 < answer["admitted"] < 100
    assert answer["stopped"] == "stream business is full, held back by sink erp"
    assert answer["left"] == 100 - answer["admitted"]
    with pytest.raises(errors.Full):
        letters(engine, kind="rejects", verb="retry", code="lookup_missing")
    first = drain(engine, "erp")
    assert first == [f"r{n}" for n in range(answer["admitted"])]
    while retry_all(engine, code="lookup_missing")[-1]["left"]:
        first += drain(engine, "erp")
    assert first + drain(engine, "erp") == [f"r{n}" for n in range(100)]


def test_a_bulk_retry_goes_on_after_a_restart_and_nothing_goes_twice(open_engine):
    engine = open_engine()
    engine.submit("mes-a", [message(n, order=str(n % 5), mat="NEW") for n in range(600)])
    engine.close()
    mended = {"materials": MATERIALS + "NEW,KGM\n"}
    engine = open_engine(**mended)
    first = letters(engine, kind="rejects", verb="retry", code="lookup_missing", who="uid 7", why="x")
    assert (first["admitted"], first["next"]) == (512, 512)
    engine.close()
    engine = open_engine(**mended)
    assert len(letters(engine, kind="actions", verb="list")) == 512
    [rest] = retry_all(engine, code="lookup_missing")
    assert (rest["admitted"], rest["accepted"], rest["left"]) == (88, 88, 0)
    assert drain(engine, "erp") == [f"r{n}" for n in range(600)]
    assert letters(engine, kind="rejects", verb="list") == []
