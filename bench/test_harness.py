"""What the harness says about numbers and outputs is right."""

import json
import sys

import gates
import pytest
import race
import same
import stats
import workload
from peers import Absent, Contender, Field, Workshop
from rows import disk, hand_over, link, overload_disk, restart
from rows import durable as durable_row

EVENT = {
    "event": "E1",
    "lot": "L1",
    "quantity": {"good": "1.5", "scrap": "0", "unit": "KGM"},
    "readings": [{"name": "temp", "value": "116.055556", "unit": "CEL"}],
}


def output(*events, partition="-", **counts):
    counts = {"messages": len(events), "accepted": len(events), "rejected": 0, "duplicates": 0} | counts
    return same.read(counts, [f"{partition}\t{json.dumps(event)}".encode() for event in events])


def changed(**members):
    return EVENT | members


def test_a_ratio_is_that_of_the_medians_and_its_interval_holds_it():
    found = stats.ratio([9.0, 10.0, 11.0], [4.0, 5.0, 100.0])
    assert found.value == 2.0
    assert 0.09 <= found.low <= 2.0 <= found.high <= 2.75
    assert found == stats.ratio([9.0, 10.0, 11.0], [4.0, 5.0, 100.0])


def test_numbers_without_spread_have_an_interval_without_width():
    assert stats.ratio([6.0] * 5, [2.0] * 5) == (3.0, 3.0, 3.0)


@pytest.mark.parametrize(("numerator", "denominator"), [([], [1.0]), ([1.0], []), ([1.0], [0.0])])
def test_no_ratio_is_made_of_nothing(numerator, denominator):
    with pytest.raises(ValueError, match=r"ratio needs|denominator is"):
        stats.ratio(numerator, denominator)


def test_quantiles_are_values_that_were_measured():
    values = [float(number) for number in range(1, 101)]
    assert [stats.quantile(values, share) for share in (0.5, 0.99, 0.999, 1.0)] == [50.0, 99.0, 100.0, 100.0]
    assert stats.quantile([7.0], 0.5) == 7.0


def test_a_slope_is_found_with_its_interval():
    assert stats.slope([(0, 1), (1, 3), (2, 5)]) == (2.0, 2.0, 2.0)
    found, low, high = stats.slope([(0, 0), (1, 1), (2, 0), (3, 1)])
    assert low < 0 < found < high


def test_the_order_of_outputs_and_the_form_of_numbers_do_not_matter():
    other = EVENT | {"event": "E2"}
    floats = EVENT | {
        "quantity": {"good": 1.5, "scrap": 0, "unit": "KGM"},
        "readings": [{"name": "temp", "value": 116.0555564, "unit": "CEL"}],
    }
    reference = output(EVENT, other)
    assert same.differences(reference, output(other, floats, partition="3")) == []
    assert same.checksum(reference.events) == same.checksum(output(other, EVENT).events)
    assert same.checksum(reference.events) != same.checksum(output(EVENT).events)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (
            changed(quantity={"good": 1.500002, "scrap": 0, "unit": "KGM"}),
            "quantity/good is 1.500002, expected 1.5",
        ),
        (changed(quantity={"good": "1.5 kg", "scrap": 0, "unit": "KGM"}), "quantity/good is 1.5 kg"),
        (changed(lot="L2"), "/lot is L2, expected L1"),
        (changed(lot=1), "/lot is 1, expected L1"),
        (changed(readings=[]), "/readings is [], expected"),
        (changed(more=1), "/more is 1, expected None"),
        (changed(event="E9"), "event E1 is missing"),
    ],
)
def test_another_output_is_another_work(event, said):
    found = same.differences(output(EVENT), output(event))
    assert any(said in one for one in found), found


def test_other_counts_and_repeated_events_are_another_work():
    reference = output(EVENT)
    assert same.differences(reference, output(EVENT, accepted=2))[0] == "accepted: 2, expected 1"
    assert "event E1 came twice" in same.differences(reference, output(EVENT, EVENT))


def test_other_partitions_are_another_work_where_both_have_some():
    seven = output(EVENT, partition="7")
    assert same.differences(seven, output(EVENT, partition="8")) == ["partitions: [('8', 1)]"]
    assert same.differences(seven, output(EVENT)) == []


def test_a_target_is_met_or_not_by_the_median_and_silent_without_numbers():
    assert gates.at_least("P", "", 2, [4.0, 4.0], [2.0, 2.0]).verdict == "met"
    assert gates.at_least("P", "", 2, [3.9, 3.9], [2.0, 2.0]).verdict == "not met"
    assert gates.at_most("P", "", 2, [4.1, 4.1], [2.0, 2.0]).verdict == "not met"
    assert gates.at_least("P", "", 2, [], [2.0]).verdict == "not measured"


def contender(folder, name, text, **counts):
    """A program that writes given outputs and counts."""
    counts = {
        "messages": 1,
        "accepted": 1,
        "rejected": 0,
        "duplicates": 0,
        "wall_ns": 5,
        "cpu_ns": 4,
    } | counts
    program = folder / name
    body = f"{text}\n" if text else ""
    program.write_text(
        f"#!/bin/sh\n[ \"$2\" = - ] || cat > \"$2\" <<'END'\n{body}END\necho '{json.dumps(counts)}'\n"
    )
    program.chmod(0o700)
    return Contender(name, (str(program),), variants=("w1",))


@pytest.fixture
def line():
    """What W1 makes of its first message."""
    return f"-\t{json.dumps(workload.expected()[0])}"


def test_who_does_other_work_is_disqualified_and_the_difference_is_shown(tmp_path, line):
    entered = Field(
        [
            contender(tmp_path, "right", line),
            contender(tmp_path, "also", line),
            contender(tmp_path, "other", line.replace("L240310-06", "L0")),
            contender(tmp_path, "none", "", accepted=0, rejected=1),
            Contender("broken", ("false",), variants=("w1",)),
        ]
    )
    wrong = race.check(race.Track(tmp_path), entered, ["w1"], 1)
    assert wrong.keys() == {"other", "none", "broken"}
    assert "/lot is L0, expected L240310-06" in wrong["other"]
    assert "accepted: 0, expected 1" in wrong["none"]
    table = race.race(
        race.Track(tmp_path), entered, "w1", rounds=2, messages=1, repeat_noisy=False, wrong=wrong
    )
    assert {name: table.cpu(name) for name in table.laps} == {"right": [4.0, 4.0], "also": [4.0, 4.0]}
    assert table.disqualified.keys() == wrong.keys()


def test_nothing_is_compared_with_an_engine_that_is_wrong(tmp_path, line):
    entered = Field([contender(tmp_path, "first", line, rejected=1), contender(tmp_path, "also", line)])
    with pytest.raises(race.Failed, match="first, w1: counted"):
        race.check(race.Track(tmp_path), entered, ["w1"], 1)


def test_who_counts_wrong_while_it_is_measured_is_disqualified(tmp_path, line):
    entered = Field([contender(tmp_path, "first", line), contender(tmp_path, "less", line, accepted=0)])
    table = race.race(race.Track(tmp_path), entered, "w1", rounds=1, messages=1, repeat_noisy=False, wrong={})
    assert table.laps.keys() == {"first"}
    assert "'accepted': 0" in table.disqualified["less"]


def test_mixed_messages_are_what_they_say():
    made = list(workload.mixed(2_000))
    kinds = [kind for _, kind in made]
    assert set(workload.INVALID) < set(kinds)
    assert 0.93 < kinds.count("valid") / len(kinds) < 0.97
    lines = [line for line, kind in made if kind == "valid"]
    assert len(set(lines)) == len(lines)
    assert all(line in lines for line, kind in made if kind == "duplicate")
    assert any(b"\\u00" in line for line in lines)
    assert any("ß".encode() in line for line in lines)


@pytest.fixture
def durable(context, monkeypatch):
    """A program in place of that of the Rust side, and how often each of its verbs was called."""
    program = context.work / "durable"
    program.write_text(_DURABLE)
    program.chmod(0o700)
    monkeypatch.setattr(Workshop, "cargo", lambda *_, **__: str(program))
    return context


#: Answers as the program does: the engine 100 times as slow as raw, but for P7.
_DURABLE = f"""#!{sys.executable}
import json, os, sys
verb, folder, *rest = sys.argv[1:]
names = ("p50", "p99", "p99_9", "max")
quantiles = lambda middle: {{name: number * middle for number, name in enumerate(names, 1)}}
if verb == "curve":
    assert os.listdir(folder) == []
    sizes = [448, 4096, 16384, 65536, 262144, 1048576, 4194304]
    print(json.dumps({{"groups": [{{"bytes": size, "us": quantiles(size / 100)}} for size in sizes]}}))
elif verb == "wake":
    print(json.dumps({{"wake_us": quantiles(5.0)}}))
else:
    events = 1_000_000 if verb == "raw" else 10_000
    found = {{"events": events, "seconds": 1.0, "events_per_s": float(events), "ack_us": quantiles(700.0),
             "late_us": quantiles(1.0), "cpu_us_per_event": 1.0, "groups": 10, "bytes_per_group": 4480.0}}
    if verb == "engine":
        found |= {{"record_bytes": 448.0, "unaccounted": 0, "accepted": events, "read": events,
                  "poll_us": quantiles(12.0 if "memory" in rest else 100.0)}}
    print(json.dumps(found))
"""


def verdicts(results):
    return [(gate.id, gate.verdict) for one in results for gate in one.gates]


def test_durable_targets_are_judged_by_what_the_program_says(durable):
    results = durable_row.run(durable)
    assert verdicts(results) == [
        ("P6", "not met"), ("P6", "not met"), ("P6", "not met"), ("P7", "met"),
        ("B4", "not met"), ("B4", "met"), ("B4", "met"),
    ]  # fmt: skip
    text = "\n".join(line for one in results for line in one.text)
    # The curve of the disk and what the machine did besides stand beside every durable figure.
    for one in (results[0], results[2]):
        assert any(line.startswith("this disk") for line in one.text)
        assert any(line.startswith("machine: ") for line in one.text)
    assert "as many as it takes" in text
    assert list(durable.work.glob("durable-*")) == []


def test_an_event_that_was_not_read_is_a_target_missed(durable):
    program = durable.work / "durable"
    program.write_text(program.read_text().replace('"read": events,', '"read": events - 1,'))
    assert verdicts(durable_row.run(durable))[-1] == ("B4", "not met")


def test_the_way_to_a_reader_is_judged_by_its_floor(durable):
    (result,) = hand_over.run(durable)
    # Memory: 12 µs on a wake of 5 µs. Durable: 100 µs on two wakes and a sync of 40.96 µs.
    assert verdicts([result]) == [("B8", "met"), ("B8", "met"), ("B8", "met")]
    assert result.raw["floor_us"] == {"memory": 5.0, "durable": pytest.approx(50.96)}


def test_a_program_that_fails_says_why(durable):
    (durable.work / "durable").write_text("#!/bin/sh\necho 'error: no room' >&2\nexit 1\n")
    with pytest.raises(RuntimeError, match=r"durable curve .*: error: no room"):
        disk.Program(durable).curve()


@pytest.fixture
def alone(context, monkeypatch):
    """A run without a program of the Rust side."""

    def absent(*_, **__):
        raise Absent("cargo was not found in PATH")

    monkeypatch.setattr(Workshop, "cargo", absent)
    return context


def test_without_the_program_nothing_is_said_about_durable_targets(alone):
    found = verdicts([*durable_row.run(alone), *hand_over.run(alone)])
    assert {id_ for id_, _ in found} == {"P6", "P7", "B4", "B8"}
    assert {verdict for _, verdict in found} == {"not measured"}


def test_a_sink_that_stops_costs_a_durable_stream_no_event(alone):
    stopped, eight = overload_disk.run(alone)
    assert "was not measured: cargo" in stopped.text[-1] + eight.text[-1]
    # However long it took: everything is counted, the stream was full, the dead sink got all of it in order.
    assert verdicts([stopped])[1] == ("P11", "met"), stopped.gates
    assert verdicts([eight])[1] == ("B7", "met"), eight.gates
    assert stopped.raw["full"] > 0
    assert not (alone.work / "stopped-disk" / "data").exists()


def test_two_nodes_and_their_link_are_measured_and_lose_nothing(alone):
    events, keys = link.prepare(alone)
    found = {kind: link.pair(kind, link.part(events, 16), 16, keys) for kind in ("raw", "link")}
    assert {one["events"] for one in found.values()} == {1024}
    assert min(one["per_s"] for one in found.values()) > 0
    assert link.plant(alone, keys, 512, fill_first=True)["wrong"] == 0
    assert not (alone.work / "link-plant").exists()


def test_a_restart_finds_what_was_written(alone, monkeypatch):
    monkeypatch.setattr(restart, "_GIB", 64 << 20)
    (result,) = restart.run(alone)
    assert result.raw["filled"]["bytes"] >= 1 << 20
    assert [one["pages_dropped"] > 2 for one in result.raw["starts"]] == [True]
    assert [id_ for id_, _ in verdicts([result])] == ["P13", "D11"]
    assert not (alone.work / "restart" / "data").exists()
