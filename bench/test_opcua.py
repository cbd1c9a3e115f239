"""B10 says of routers what they made, what they lost and what they cost."""

import json
from contextlib import closing

import changes
import erp_target
import projects
import pytest
from gates import Result
from peers import Absent, Workshop
from rows import opcua
from rows import opcua_routers as routers

from mfgroute._core import Engine

MEMORY, DURABLE = routers.OWN
PEER = next(iter(routers.PEERS))


def reported(plant, number):
    """A change as the source hands it over."""
    time = changes.at(number).isoformat(timespec="milliseconds")[:-6] + "Z"
    times = {"source_time": time, "server_time": time}
    said = {"quality": "good", "status": "Good", "gap": False, "backfilled": False}
    node = changes.node_ids(plant)[number % changes.MACHINES]
    return json.dumps({"node": node, "value": changes.fahrenheit(number)} | times | said).encode()


def test_what_is_expected_is_what_the_mapping_makes_digit_by_digit(tmp_path):
    folder = routers.write_project(tmp_path / "node", MEMORY, 1, ["opc.tcp://127.0.0.1:1"] * 2, "http://a/b")
    numbers = range(2_000)
    with closing(Engine(projects.load(folder))) as engine:
        assert engine.submit("plant-1", [reported(1, number) for number in numbers]).rejected == 0
        made = []
        while len(made) < len(numbers):
            with engine.poll(routers.SINK, events_max=len(numbers)) as batch:
                assert len(batch) > 0
                made += [json.loads(event.json)["data"] for event in batch.events]
                batch.done_all()
    by_event = {one["event"]: one for one in changes.expected(1, numbers)}
    assert {one["event"]: one for one in made} == by_event
    assert len(made) == len(by_event) == len(numbers)


def event(number, plant=0):
    (data,) = changes.expected(plant, range(number, number + 1))
    return {"id": data["event"], "data": data}


def test_the_target_refuses_one_of_a_hundred_and_counts_what_is_wrong():
    books = erp_target.Books()
    answers = [books.post(json.dumps(event(number)).encode()) for number in range(400)]
    refused = [number for number, answer in enumerate(answers) if answer != 201]
    assert [answers[number] for number in refused] == [500, 503, 500, 503]
    assert json.loads(books.seen()) == {
        "events": 396, "requests": 400, "refused": 4, "again": 0, "out_of_order": 0, "largest": 1,
    }  # fmt: skip
    # What was refused comes late, and once more with what is there already.
    late = [event(number) for number in (refused[0], refused[0], 399)]
    assert books.post(json.dumps(late).encode()) == 201
    assert (books.again, books.out_of_order, books.largest, len(books.taken)) == (2, 1, 3, 397)


@pytest.fixture
def alone(context, monkeypatch):
    """A short run without peers, on a load that lets it end soon."""

    def absent(*_):
        raise Absent("pip was not found")

    monkeypatch.setattr(Workshop, "python", absent)
    return context


@pytest.mark.timeout(300)  # Five processes start; beside a build that takes a while.
def test_a_node_brings_every_change_to_a_target_that_fails(alone, monkeypatch):
    monkeypatch.setattr(opcua, "OWN", (DURABLE,))
    monkeypatch.setattr(opcua, "LOADS", {1: (512, 0, 1_000, 0), 100: (1_024, 0, 8_000, 0)})
    (result,) = opcua.run(alone)
    verdicts = [gate.verdict for gate in result.gates if "against" not in gate.what]
    assert verdicts == ["met"] * 2, result.text
    assert {gate.verdict for gate in result.gates if "against" in gate.what} == {"not measured"}
    for batch in (1, 100):
        raw = result.raw[f"{batch} per request"]
        assert raw["disqualified"] == {}
        (lap,) = raw["laps"][DURABLE]
        assert lap["seen"]["events"] == raw["changes"] + changes.PLANTS * changes.MACHINES
        assert lap["seen"]["refused"] > 0
        assert lap["cpu_us"] > 0
    assert result.raw["absent"].keys() == routers.PEERS.keys()


def lap(cpu_us, *, lost=0, refused=5, **seen):
    counts = {"events": 100, "requests": 105, "refused": refused, "again": 0, "out_of_order": 0, "largest": 1}
    return opcua.Lap(cpu_us, 1000.0, 1.0, counts | seen, lost)


def judged(laps, *, debug=False, wrong=None):
    result, contest = Result("B10", raw={"debug": debug}), opcua.Contest(1, 50, 1000.0, laps, wrong or {})
    opcua.show(result, contest, [{"idle": 1.0, "stolen_during": 0.0, "noisy": False}])
    return [gate.verdict for gate in result.gates][:2], result


def test_a_router_is_judged_by_what_it_costs_and_what_it_lost():
    fast = {MEMORY: [lap(10.0)], DURABLE: [lap(20.0)], PEER: [lap(100.0, out_of_order=3)]}
    assert judged(fast)[0] == ["met", "met"]
    assert judged(fast | {PEER: [lap(99.0)]})[0] == ["not met", "met"]
    assert judged({MEMORY: [lap(10.0)]})[0] == ["not measured", "met"]
    assert judged(fast, wrong={PEER: "/unit is K, expected CEL"})[0] == ["not measured", "met"]
    for wrong in ({"lost": 1}, {"again": 1}, {"out_of_order": 1}, {"refused": 0}):
        assert judged(fast | {DURABLE: [lap(20.0, **wrong)]})[0] == ["met", "not met"]
    verdicts, result = judged({MEMORY: [lap(10.0)]}, wrong={DURABLE: "it ended"})
    assert verdicts[1] == "not met"
    assert "disqualified: it ended" in "\n".join(result.text)


def test_what_is_held_instead_of_ten_times_is_judged_against_the_service():
    def held(memory, durable):
        _, result = judged({MEMORY: [lap(memory)], DURABLE: [lap(durable)], PEER: [lap(100.0)]})
        return [gate.verdict for gate in result.gates][2:]

    assert held(300.0, 1000.0) == ["met", "met"]
    assert held(301.0, 1001.0) == ["not met", "not met"]
    assert judged({PEER: [lap(100.0)]})[1].gates[2].verdict == "not measured"


def test_a_debug_build_is_no_measure_of_speed():
    verdicts, result = judged({MEMORY: [lap(10.0)], PEER: [lap(100.0)]}, debug=True)
    assert verdicts == ["not measured", "met"]
    assert "without optimization" in result.text[-1]
