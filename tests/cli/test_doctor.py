"""`doctor` on whole and broken machines; in this process, but for the node."""

import json
import os
import resource
import shutil
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cli_projects import PROJECT, report, write_project  # isort: skip
import pytest

import mfgroute
from mfgroute import _core
from mfgroute.cli import doctor, main
from mfgroute.runtime import machine, room
from mfgroute.runtime.lock import DataLock

DURABLE = PROJECT.replace("durability: memory, capacity: 16MiB", "durability: fsync, capacity: 64MiB")


@pytest.fixture
def project(tmp_path):
    return write_project(tmp_path / "project", DURABLE)


@pytest.fixture
def run(project, capsys, monkeypatch):
    """Run doctor in the project's folder: its exit code, and what it found by check."""
    monkeypatch.chdir(project)

    def of(*arguments):
        capsys.readouterr()
        code = main(["doctor", "--output", "json", *map(str, arguments)])
        document = json.loads(capsys.readouterr().out)
        assert document["ok"] == (code == 0)
        found = {}
        for one in document["findings"]:
            found.setdefault(one["check"], []).append(one)
        return code, found

    return of


@pytest.fixture
def data(project):
    """A data folder with three events."""
    engine = mfgroute.Engine(mfgroute.load_plan(project), data_dir=str(project / "data"))
    for number in range(3):
        engine.submit("mes", [json.dumps(report(number)).encode()])
    engine.close()
    return project / "data"


def everything(folder):
    return {path: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in folder.rglob("*")}


def test_a_whole_machine_is_said_in_lines_and_nothing_is_changed(run, project, data, capsys):
    before = everything(project)
    code, found = run()
    assert code == 0
    assert {one["state"] for all_ in found.values() for one in all_} <= {"ok", "warning"}
    assert set(found) == {
        "python", "extension", "project", "open files", "data folder", "file system", "room", "fdatasync",
        "lock", "ports", "log", "clock",
    }  # fmt: skip
    assert [one["message"] for one in found["log"]][1] == "business is whole, with 3 records"
    probe = found["fdatasync"][0]["data"]
    assert probe["writes"] == doctor.PROBES
    assert 0 < probe["p50_ms"] <= probe["p99_ms"]
    assert everything(project) == before
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "ok       lock         nobody has the data folder: no node runs\n" in out
    assert out.splitlines()[-1].startswith("0 wrong, ")


def test_the_level_of_instructions_is_the_machines(run):
    info = _core.build_info()
    assert info["version"] == _core.__version__
    assert info["text"] in {"sse2", "bytes"}
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    flags = next((line for line in cpus if line.startswith("flags")), "")
    if flags:
        assert (info["checksum"] == "sse4.2") == (" sse4_2 " in flags)
    assert info["text"] in run()[1]["extension"][0]["message"]


def test_an_extension_of_another_version_is_wrong(run, monkeypatch):
    monkeypatch.setattr(doctor, "version", lambda _: "9.9.9")
    code, found = run()
    assert (code, found["extension"][0]["hint"]) == (1, "install mfgroute anew")


def test_a_folder_that_is_not_there_is_not_made(run, project):
    code, found = run()
    assert (code, found["data folder"][0]["message"]) == (
        0,
        "data is not there yet; the first start makes it",
    )
    assert not (project / "data").exists()


def test_problems_of_the_project_are_those_of_check_and_the_rest_is_looked_at(run, project):
    file = project / "mfgroute.yaml"
    file.write_text(file.read_text().replace("to: sap}", "to: spa}"))
    code, found = run()
    assert code == 1
    assert "no sink is called `spa`" in found["project"][0]["message"]
    assert found["project"][0]["message"].startswith("mfgroute.yaml:19:73: ")
    assert found["lock"][0]["state"] == "ok"
    file.unlink()
    code, found = run()
    assert (code, set(found)) == (1, {"python", "extension", "project", "open files"})


def test_a_symbolic_link_a_file_and_open_permissions_are_named(run, project, tmp_path):
    data = project / "data"
    data.symlink_to(tmp_path)
    code, found = run()
    assert (code, "is a symbolic link to" in found["data folder"][0]["message"]) == (1, True)
    data.unlink()
    data.write_text("")
    code, found = run()
    assert (code, found["data folder"][0]["message"]) == (1, "data is no folder")
    data.unlink()
    data.mkdir(mode=0o755)
    data.chmod(0o755)
    code, found = run()
    assert (code, found["data folder"][0]["state"], found["data folder"][0]["hint"]) == (
        0,
        "warning",
        "chmod 700 data",
    )


def test_a_folder_of_another_user_is_named(run, project, data):
    if os.geteuid() != 0:
        pytest.skip("giving a folder to another user needs root")
    os.chown(data, 65534, 65534)
    _, found = run()
    assert found["data folder"][0]["state"] == "warning"
    assert "belongs to user 65534, and this is user 0" in found["data folder"][0]["message"]


@pytest.mark.parametrize(
    ("kind", "state"),
    [("ext4", "ok"), ("xfs", "ok"), ("tmpfs", "wrong"), ("overlay", "warning"), ("nfs4", "warning")],
)
def test_file_systems_are_judged_by_their_kind(run, monkeypatch, kind, state):
    monkeypatch.setattr(machine, "mount_of", lambda _: machine.Mount(kind, "/srv"))
    code, found = run()
    assert (found["file system"][0]["state"], code) == (state, state == "wrong")


def test_a_file_system_in_memory_is_found_by_the_system_itself(run):
    mount = machine.mount_of(machine.nearest("/dev/shm/mfgroute-none"))
    if mount is None or mount.kind != "tmpfs":
        pytest.skip("there is no file system in memory at /dev/shm")
    code, found = run("--data-dir", "/dev/shm/mfgroute-none")
    assert (code, found["file system"][0]["message"]) == (1, f"tmpfs at {mount.place} is in memory")


def test_room_is_compared_with_what_streams_take_and_leave(run, monkeypatch):
    # 64 MiB in segments of 4 MiB: those of the capacity, one that is written, one that is ready.
    monkeypatch.setattr(room, "free_bytes", lambda _: (72 << 20) + (64 << 20))
    monkeypatch.setattr(machine, "free_bytes", lambda _: (72 << 20) + (64 << 20))
    assert run()[1]["room"][0]["state"] == "ok"
    monkeypatch.setattr(room, "free_bytes", lambda _: (72 << 20) + (64 << 20) - 1)
    code, found = run()
    assert (code, found["room"][0]["state"]) == (0, "warning")
    assert "durable streams may take 72 MiB, and 64 MiB are left" in found["room"][0]["message"]
    monkeypatch.setattr(machine, "free_bytes", lambda _: (64 << 20) - 1)
    code, found = run()
    assert (code, "nothing is taken" in found["room"][0]["message"]) == (1, True)


def test_a_slow_disk_is_a_warning_and_one_that_refuses_is_wrong(run, monkeypatch):
    monkeypatch.setattr(machine, "sync_times", lambda *_: machine.Syncs(50, 4.0, 250.0))
    code, found = run()
    assert (code, found["fdatasync"][0]["state"]) == (0, "warning")

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(machine, "sync_times", refuse)
    code, found = run()
    assert (code, "Read-only file system" in found["fdatasync"][0]["message"]) == (1, True)


def test_the_clock_is_compared_with_what_is_plausible_and_with_the_newest_record(data):
    newest = doctor.newest_ms(data)
    at = datetime.fromtimestamp(newest / 1000, UTC)
    assert abs((datetime.now(UTC) - at).total_seconds()) < 600
    states = {
        at: "ok",
        at - timedelta(seconds=59): "ok",
        at - timedelta(seconds=61): "wrong",
        at + timedelta(days=400): "ok",
        datetime(1970, 1, 1, tzinfo=UTC): "wrong",
        datetime(2170, 1, 1, tzinfo=UTC): "wrong",
    }
    for now, state in states.items():
        [found] = doctor.clock(newest, now=now)
        assert found.state == state, now
    [found] = doctor.clock(0, now=at)
    assert found.state == "ok"


@pytest.mark.parametrize(("most", "state"), [(65536, "ok"), (512, "warning"), (100, "wrong")])
def test_too_few_open_files_are_named(run, most, state, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (most, most))
    assert run()[1]["open files"][0]["state"] == state


def test_a_port_that_is_taken_is_wrong(run, project):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        file = project / "mfgroute.yaml"
        file.write_text(file.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
        code, found = run()
        assert (code, found["ports"][0]["state"], str(port) in found["ports"][0]["message"]) == (
            1,
            "wrong",
            True,
        )
    assert run()[1]["ports"][0]["message"] == f"127.0.0.1:{port} is free"


def test_a_node_that_runs_is_asked_and_one_that_hangs_is_named(run, project, start, target):
    node = start(SAP_URL=target.url)
    code, found = run()
    assert (code, found["node"][0]["state"]) == (0, "ok")
    assert f"process {node.process.pid} has the data folder: a node runs" in found["lock"][0]["message"]
    assert not {"log", "ports"} & set(found)
    node.stop()
    lock = DataLock(project / "data")
    code, found = run()
    lock.release()
    assert (code, "does not answer" in found["lock"][0]["message"]) == (1, True)


def test_damage_and_a_missing_folder_of_a_stream_are_wrong(run, data):
    (segment,) = (data / "streams" / "business").glob("*.log")
    content = bytearray(segment.read_bytes())
    content[4096 + 100] ^= 1
    segment.write_bytes(content)
    code, found = run()
    assert (code, f"{segment.name} is damaged at byte" in found["log"][1]["message"]) == (1, True)
    shutil.rmtree(data / "streams" / "business")
    code, found = run()
    assert (code, "its folder is missing" in found["log"][1]["message"]) == (1, True)
    assert not (data / "streams" / "business").exists()
