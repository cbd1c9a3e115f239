"""Backups of a data folder, offline and beside a node that goes on, and the way back."""

import json
import threading
from pathlib import Path

from cli_projects import PROJECT, report, until  # isort: skip
import pytest

import mfgroute
from mfgroute.cli import main
from mfgroute.runtime import backup as copies
from mfgroute.runtime.epoch import epoch_of
from mfgroute.runtime.folder import logs, verify
from mfgroute.runtime.lock import DataLock

COUNT = 20
# 1 MiB makes segments of 256 KiB, so that many come and go in a test.
DURABLE = PROJECT.replace("durability: memory, capacity: 16MiB", "durability: fsync, capacity: 1MiB")


def line(number):
    return json.dumps(report(number, order=str(number))).encode()


@pytest.fixture
def run(project, capsys, monkeypatch):
    """Run a command in the project's folder; its code, output and errors."""
    monkeypatch.chdir(project)
    (project / "mfgroute.yaml").write_text(DURABLE)

    def of(*arguments):
        capsys.readouterr()
        code = main([str(one) for one in arguments])
        return code, *capsys.readouterr()

    return of


@pytest.fixture
def open_engine(project):
    """Opens an engine on a folder; closes what is still open."""
    (project / "mfgroute.yaml").write_text(DURABLE)
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
    """A data folder with events, some of them delivered, and a file of an adapter."""
    engine = open_engine()
    engine.submit("mes", [line(number) for number in range(COUNT)])
    with engine.poll("sap", events_max=5, wait_s=1.0) as batch:
        batch.done_all()
    engine.close()
    (project / "data" / "opcua").mkdir()
    (project / "data" / "opcua" / "line.json").write_text("{}")
    return project / "data"


def reports(engine, sink="sap"):
    """What the sink gets until it stays idle."""
    found = []
    while True:
        with engine.poll(sink, wait_s=0.05) as batch:
            if not len(batch):
                return found
            found += [json.loads(event.json)["data"]["report"] for event in batch]
            batch.done_all()


def restored(run, source, folder):
    code, out, err = run("restore", source, "--data-dir", folder)
    assert (code, err) == (0, ""), err
    assert "its logs are whole" in out
    assert run("log", "verify", "--data-dir", folder)[0] == 0
    return folder


def test_a_backup_of_a_stopped_node_is_restored_and_goes_on(run, data, project, open_engine):
    before = epoch_of(data)
    code, out, _ = run("backup", "saved", "--output", "json")
    assert (code, json.loads(out)["running"]) == (0, False)
    manifest = json.loads((project / "saved" / "manifest.json").read_text())
    names = {one["path"] for one in manifest["files"]}
    assert "opcua/line.json" in names
    assert "router.lock" not in names
    assert {name.split("/")[0] for name in names} == {"epoch", "node", "opcua", "streams"}
    folder = restored(run, "saved", project / "again")
    assert epoch_of(folder) not in {before, epoch_of(restored(run, "saved", project / "third"))}
    engine = open_engine(folder)
    assert engine.submit("mes", [line(number) for number in range(COUNT)]).duplicates == COUNT
    assert reports(engine) == [f"A-{number}" for number in range(5, COUNT)]
    assert (folder / "opcua" / "line.json").read_text() == "{}"
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.rglob("*"))


def test_restore_refuses_what_was_changed_is_missing_or_was_added(run, data, project):
    assert run("backup", "saved")[0] == 0
    root = project / "saved" / "data"
    (segment,) = (root / "streams" / "business").glob("*.log")
    whole = segment.read_bytes()

    def refused(word):
        code, _, err = run("restore", "saved", "--data-dir", "again")
        assert (code, word in err, "nothing was restored" in err) == (65, True, True), err
        assert not (project / "again").exists()

    segment.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    refused("SHA-256")
    segment.unlink()
    refused("is missing")
    segment.write_bytes(whole)
    (root / "more").write_text("")
    refused("`more` is not in the manifest")
    (root / "more").unlink()
    (project / "saved" / "manifest.json").rename(project / "saved" / "manifest.old")
    refused("has no manifest.json")


def test_a_manifest_cannot_name_files_elsewhere(run, data, project):
    assert run("backup", "saved")[0] == 0
    (project / "saved" / "outside").write_text("x")
    manifest = project / "saved" / "manifest.json"
    found = json.loads(manifest.read_text())
    found["files"].append({**found["files"][0], "path": "../outside"})
    manifest.write_text(json.dumps(found))
    code, _, err = run("restore", "saved", "--data-dir", "again")
    assert (code, "`../outside` is missing" in err) == (65, True)


def test_a_backup_goes_into_an_empty_folder_outside_of_the_data(run, data, project):
    assert run("backup", "mappings")[0] == 73
    assert run("backup", data / "saved")[0] == 2
    assert run("backup", "saved", "--data-dir", "nowhere")[0] == 74
    assert not (project / "nowhere").exists()
    assert run("backup", "saved")[0] == 0
    code, _, err = run("restore", "saved")
    assert (code, "not empty" in err) == (73, True)
    lock = DataLock(data)
    assert run("restore", "saved")[0] == 75
    # It is held, and nobody answers there.
    assert run("backup", "other")[0] == 75
    lock.release()


def test_there_is_no_backup_of_a_damaged_log(run, data, project):
    (segment,) = (data / "streams" / "business").glob("*.log")
    content = bytearray(segment.read_bytes())
    content[4096 + 100] ^= 1
    segment.write_bytes(content)
    code, _, err = run("backup", "saved")
    assert (code, "the log of business is damaged" in err) == (65, True)
    assert not (project / "saved" / "manifest.json").exists()
    assert segment.read_bytes() == content


def test_a_folder_that_was_restored_in_part_does_not_open(run, data, project, open_engine):
    assert run("backup", "saved")[0] == 0
    folder = restored(run, "saved", project / "again")
    (folder / "node").rename(folder / "node.restoring")
    with pytest.raises(mfgroute.MfgrouteError, match="the node's own log does not know"):
        open_engine(folder)


def fill(engine, start, count):
    """Admits events and delivers all of them."""
    for first in range(start, start + count, 200):
        engine.submit("mes", [line(number) for number in range(first, first + 200)])
        reports(engine)
        reports(engine, "log")


def segments(data):
    return {path.name for path in (data / "streams" / "business").glob("*.log")}


def test_while_segments_are_held_none_goes_away(open_engine, project):
    engine = open_engine()
    fill(engine, 0, 200)
    before = segments(project / "data")
    assert engine.hold(600.0) is False
    fill(engine, 200, 3_000)
    kept = segments(project / "data")
    assert before < kept
    assert engine.hold(600.0) is True
    assert engine.hold(0.0) is True
    assert engine.hold(0.0) is False
    until(lambda: segments(project / "data"), lambda now: not before & now)


def test_backups_beside_an_engine_that_goes_on_lose_nothing(open_engine, project, tmp_path):
    """What was acknowledged before a backup is in it; what was not delivered by then is delivered from it."""
    engine, data = open_engine(), project / "data"
    acknowledged, delivered, ended = [], set(), threading.Event()

    def work():
        number = 0
        while not ended.is_set():
            engine.submit("mes", [line(n) for n in range(number, number + 50)])
            number += 50
            acknowledged.append(number)
            with engine.poll("sap", wait_s=0.0) as batch:
                delivered.update(json.loads(event.json)["data"]["report"] for event in batch)
                batch.done_all()
            reports(engine, "log")

    def held():
        assert engine.hold(600.0)

    worker = threading.Thread(target=work)
    worker.start()
    found = []
    try:
        for turn in range(4):
            until(lambda: len(acknowledged), lambda count, turn=turn: count > 10 * (turn + 1))
            engine.hold(600.0)
            before = acknowledged[-1]
            to = tmp_path / f"saved-{turn}"
            copies.backup(data, to, running=True, still_held=held)
            engine.hold(0.0)
            found.append((to, before, set(delivered)))
    finally:
        ended.set()
        worker.join()
    for to, before, gone in found:
        folder = Path(f"{to}-again")
        folder.mkdir()
        copies.restore(to, folder)
        assert all(verify(log)["damage"] is None for log in logs(folder))
        again = open_engine(folder)
        receipt = again.submit("mes", [line(number) for number in range(before)])
        assert (receipt.duplicates, receipt.accepted) == (before, 0)
        got = reports(again)
        assert len(got) == len(set(got))
        assert {f"A-{number}" for number in range(before)} <= gone | set(got)


def test_a_running_node_is_asked_to_hold_its_segments(mfgroute, start, project):
    (project / "mfgroute.yaml").write_text(DURABLE)
    node = start("--drain", "0.2")
    assert node.post(report(1))["accepted"] == 1
    ended = mfgroute("backup", "saved", "--output", "json")
    assert (ended.code, ended.json["running"]) == (0, True)
    node.logged("segments are held")
    node.logged("segments go")
    assert node.post(report(2))["accepted"] == 1
    assert node.stop() == 0
    assert mfgroute("restore", "saved", "--data-dir", "again").code == 0
    found = mfgroute("log", "verify", "--data-dir", "again", "--output", "json").json["logs"]
    assert [one["next"] for one in found if one["name"] == "business"] == [1]


def test_a_hold_that_was_lost_ends_the_backup(data, tmp_path):
    def lost():
        raise copies.BackupFailed("the node held its segments no longer")

    with pytest.raises(copies.BackupFailed):
        copies.backup(data, tmp_path / "saved", running=True, still_held=lost)
    assert not (tmp_path / "saved" / "manifest.json").exists()
