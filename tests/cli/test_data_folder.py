"""Looking into the data folder of a durable node, a backup of it, and the way back; in this process."""

import base64
import json
import shutil

from cli_projects import PROJECT, report  # isort: skip
import pytest

import mfgroute
from mfgroute import _core, errors
from mfgroute.cli import main
from mfgroute.runtime.lock import DataLock

COUNT = 20


class Ended:
    def __init__(self, code, captured):
        self.code, self.out, self.err = code, captured.out, captured.err

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def run(project, capsys, monkeypatch):
    """Run a command in the project's folder."""
    monkeypatch.chdir(project)

    def of(*arguments):
        capsys.readouterr()
        code = main([str(one) for one in arguments])
        return Ended(code, capsys.readouterr())

    return of


@pytest.fixture
def open_engine(project):
    """Opens the engine of the project's data folder; closes what is still open."""
    engines = []

    def make(folder=project / "data"):
        engine = mfgroute.Engine(mfgroute.load_plan(project), data_dir=str(folder))
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.close()


@pytest.fixture
def data(project, open_engine):
    """A data folder with events, each in a frame of its own."""
    file = project / "mfgroute.yaml"
    file.write_text(PROJECT.replace("durability: memory", "durability: fsync"))
    engine = open_engine()
    for number in range(COUNT):
        engine.submit("mes", [json.dumps(report(number)).encode()])
    engine.close()
    return project / "data"


def content(folder):
    """Every file of a folder with its bytes, but for the lock."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "router.lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def damage(data, word=b"A-7"):
    """Damages the record that has `word` in its data."""
    (segment,) = (data / "streams" / "business").glob("*.log")
    found = bytearray(segment.read_bytes())
    found[found.rindex(b'"report":"' + word + b'"') + 12] ^= 1
    segment.write_bytes(found)
    return segment


# verify and stat


def test_a_whole_folder_is_whole_and_nothing_is_changed(run, data):
    before = content(data)
    ended = run("log", "verify")
    assert ended.code == 0
    assert "business: whole, records 0 to 19\n" in ended.out
    assert ended.out.startswith("_node: whole, records 0 to ")
    found = run("log", "verify", "--data-dir", data, "--output", "json").json
    assert found["whole"] is True
    assert [one["name"] for one in found["logs"]] == ["_node", "business"]
    assert found["logs"][1]["next"] == COUNT
    assert run("log", "stat").code == 0
    assert content(data) == before


def test_damage_is_named_with_file_place_and_records(run, data):
    segment = damage(data)
    before = content(data)
    ended = run("log", "verify")
    assert ended.code == 65
    assert f"business: {segment.name} is damaged at byte " in ended.out
    assert ": records 7 to 7 cannot be read\n" in ended.out
    assert "`mfgroute log salvage`" in ended.err
    found = run("log", "verify", "--output", "json")
    assert (found.code, found.json["whole"]) == (65, False)
    place = found.json["logs"][1]["damage"]
    assert (place["segment"], place["first"], place["next"]) == (segment.name, 7, 8)
    assert 4096 < place["offset"] < segment.stat().st_size
    assert run("log", "stat", "--output", "json").json["logs"][1]["state"] == "damaged"
    assert content(data) == before


def test_a_disk_that_refuses_is_told_from_damage(run, data, monkeypatch):
    def refuse(folder):
        raise errors.LogFailed(f"{folder}: Input/output error")

    damage(data)
    monkeypatch.setattr(_core, "log_verify", refuse)
    ended = run("log", "verify")
    assert (ended.code, "business: cannot be read: " in ended.out) == (74, True)
    assert run("log", "verify", "--output", "json").json["logs"][1]["error"].endswith("Input/output error")


def test_damage_that_only_one_reading_finds_is_a_write_under_way(run, data, monkeypatch):
    real, asked = _core.log_verify, []

    def first_bad(folder):
        asked.append(folder)
        found = real(folder)
        bad = {"segment": "x", "offset": len(asked), "first": 0, "next": None, "why": "x is damaged"}
        return {**found, "damage": bad} if len(asked) < 3 else found

    monkeypatch.setattr(_core, "log_verify", first_bad)
    assert run("log", "verify").code == 0
    assert len(asked) == 4


def test_verify_and_stat_run_beside_an_engine(run, data, open_engine):
    engine = open_engine()
    lock = DataLock(data)
    assert engine.submit("mes", [json.dumps(report(COUNT)).encode()]).accepted == 1
    found = run("log", "verify", "--output", "json")
    assert (found.code, found.json["logs"][1]["next"]) == (0, COUNT + 1)
    assert run("log", "stat", "--output", "json").json["logs"][1]["records"] == COUNT + 1
    lock.release()


def test_stat_counts_segments_records_bytes_and_lives(run, data, open_engine):
    open_engine().close()
    log = run("log", "stat", "--output", "json").json["logs"][1]
    (segment,) = (data / "streams" / "business").glob("*.log")
    assert {name: log[name] for name in ("first", "next", "records", "life", "state")} == {
        "first": 0, "next": COUNT, "records": COUNT, "life": 2, "state": "whole",
    }  # fmt: skip
    assert log["bytes"] == segment.stat().st_size
    assert [one["name"] for one in log["segments"]] == [segment.name]
    header, own, business = run("log", "stat").out.splitlines()
    assert header.split() == ["log", "segments", "first", "next", "records", "bytes", "life", "state"]
    assert own.split()[0] == "_node"
    assert business.split()[:5] == ["business", "1", "0", "20", "20"]


def test_one_damaged_copy_of_a_head_is_named_and_the_log_is_whole(run, data):
    (segment,) = (data / "streams" / "business").glob("*.log")
    content = bytearray(segment.read_bytes())
    content[2048 + 20] ^= 1
    segment.write_bytes(content)
    ended = run("log", "verify")
    assert ended.code == 0
    assert (
        f"business: whole, records 0 to 19; one of the two heads of {segment.name} is damaged\n" in ended.out
    )
    assert run("log", "stat", "--output", "json").json["logs"][1]["segments"][0]["state"] == "half_head"
    assert "19" in run("log", "stat").out
    salvaged = run("log", "salvage", "--to", "saved", "--all")
    assert (salvaged.code, "20 records read" in salvaged.out) == (0, True)


def test_a_stream_whose_folder_is_missing_is_named(run, data):
    shutil.rmtree(data / "streams" / "business")
    ended = run("log", "verify")
    assert ended.code == 65
    assert "business: its folder is missing, and the node's own log knows this stream\n" in ended.out
    found = run("log", "verify", "--output", "json").json
    assert [(one["name"], one["damage"] is None) for one in found["logs"]] == [
        ("_node", True),
        ("business", False),
    ]
    assert not (data / "streams" / "business").exists()


def test_a_folder_without_logs_is_no_success(run, project):
    missing = run("log", "verify", "--data-dir", project / "nowhere")
    assert (missing.code, "nowhere" in missing.err) == (74, True)
    assert not (project / "nowhere").exists()
    (project / "data").mkdir()
    for verb in ("verify", "stat"):
        ended = run("log", verb)
        assert (ended.code, "holds no logs" in ended.err) == (74, True)


def test_a_log_folder_is_never_made_and_never_written_by_looking(tmp_path):
    for look in (_core.log_verify, _core.log_stat, lambda folder: _core.log_salvage(folder, print)):
        with pytest.raises(errors.LogFailed, match=r"missing: .*No such file"):
            look(tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []


# salvage


def test_salvage_copies_every_other_event_and_names_what_is_lost(run, data, project):
    damage(data)
    before = content(data)
    ended = run("log", "salvage", "--to", "saved")
    assert ended.code == 0
    assert "business: 19 records read: 19 in business.events.jsonl\n" in ended.out
    assert "records 7 to 7 cannot be read" in ended.out
    file = project / "saved" / "business.events.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    events = [json.loads(line) for line in file.read_text().splitlines()]
    assert [one["data"]["report"] for one in events] == [f"A-{n}" for n in range(COUNT) if n != 7]
    assert {one["type"] for one in events} == {"com.example.production.operation.completed.v1"}
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert content(data) == before


def test_salvage_takes_whole_logs_and_raw_records_when_asked(run, data, project):
    assert "no log is damaged" in run("log", "salvage", "--to", "none").out
    found = run("log", "salvage", "--to", "all", "--all", "--raw", "--output", "json").json["logs"]
    assert [one["name"] for one in found] == ["_node", "business"]
    assert found[1]["files"] == {"business.raw.jsonl": COUNT}
    assert [one["damaged"] for one in found] == [[], []]
    lines = (project / "all" / "business.raw.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [one["record"] for one in records] == list(range(COUNT))
    assert b'"report":"A-3"' in base64.b64decode(records[3]["bytes"])
    assert records[0]["at_ms"] > 1_600_000_000_000


def test_salvage_refuses_the_data_folder_a_full_folder_and_a_running_node(run, data, project):
    damage(data)
    for target in (data / "saved", data):
        ended = run("log", "salvage", "--to", target)
        assert (ended.code, "is in the data folder" in ended.err) == (2, True)
    assert run("log", "salvage", "--to", project / "mappings").code == 73
    lock = DataLock(data)
    assert run("log", "salvage", "--to", "saved").code == 75
    lock.release()
    assert not (project / "saved").exists()


def test_what_the_callback_of_salvage_raises_is_raised(data):
    def full(*_):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        _core.log_salvage(data / "streams" / "business", full)
