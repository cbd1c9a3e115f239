"""A daemon on real file systems that run out, turn read-only or stop, and in a machine that has no more files for it."""

import errno
import fcntl
import http.client
import os
import resource
import shutil
import struct
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from tests.engine.conftest import message
from tests.runtime.durable_node import exchange, write_project
from tests.torture.conftest import run
from tests.torture.s4_project import until

#: How often an ext4 is stopped; a long run sets more.
STOPS = min(20, max(1, int(os.environ.get("MFGROUTE_POWER_CUTS", "9")) // 9))
#: The ioctl that stops an ext4 at once, and its argument: what is in the journal's memory is lost as well.
SHUTDOWN, NO_FLUSH = 0x8004587D, 2


def until_refused(node, first, text, most=200):
    """Post until an answer is not 202; answers the reports that were acknowledged, and that answer."""
    acknowledged = []
    for number in range(first, first + most):
        status, headers, document = node.post(message(number, text=text, order=str(number)))
        if status != 202:
            return acknowledged, (status, headers, document)
        assert document["level"] == "durable"
        acknowledged.append(f"r{number}")
    raise AssertionError(f"{most} messages were taken")


def until_taken(node, body):
    """Post a message, and again as long as the answer is to come again."""
    pause = threading.Event()
    for _ in range(30):
        status, headers, document = node.post(body)
        if status != 503:
            break
        pause.wait(float(headers["Retry-After"]))
    assert status == 202, document


def use_up_inodes(folder):
    """Make files until there can be no more."""
    folder.mkdir()
    for number in range(100_000):
        try:
            (folder / str(number)).touch()
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 - any other error is one of this test
            return
    raise AssertionError("inodes never end")


def test_without_inodes_it_answers_503_keeps_what_it_acknowledged_and_goes_on_by_itself(
    start, project, target, loop
):
    loop.make(256, "-N", "64")
    loop.mount()
    write_project(project, target.url, data=loop.place / "data", capacity="64MiB")
    node = start()
    assert node.post(message(0))[0] == 202
    use_up_inodes(loop.place / "ballast")
    acknowledged, (status, headers, document) = until_refused(node, 1, "x" * 200_000)
    assert (status, headers["Retry-After"]) == (503, "1")
    assert "waits for room on the disk" in document["detail"]
    assert target.until(["r0", *acknowledged]) == set()
    shutil.rmtree(loop.place / "ballast")
    until_taken(node, message(1000, order="1000"))
    assert target.until(["r1000"]) == set()
    assert node.stop() == 0


def test_on_a_file_system_that_turns_read_only_nothing_is_acknowledged_until_it_is_repaired(
    start, project, target, loop
):
    loop.make(256)
    loop.mount()
    write_project(project, target.url, data=loop.place / "data")
    switch = Path(f"/sys/fs/ext4/{loop.device}/trigger_fs_error")
    if not os.access(switch, os.W_OK):
        pytest.skip("this kernel has no switch that makes an ext4 read-only while it is written")
    target.closed = True
    node = start("--drain", "0.2")
    acknowledged = [
        f"r{number}" for number in range(20) if node.post(message(number, order=str(number)))[0] == 202
    ]
    assert len(acknowledged) == 20
    switch.write_text("a test")
    refused_until_restart(node)
    node.stop()
    loop.unmount()
    assert run("fsck.ext4", "-p", "-f", loop.image) in (None, "fsck.ext4: 1")
    loop.mount()
    target.closed = False
    node = start()
    assert node.post(message(50, order="50"))[0] == 202
    assert target.until([*acknowledged, "r50"]) == set()
    assert node.stop() == 0


def refused_until_restart(node):
    """A write has failed: nothing is acknowledged, and health says so."""
    for number in range(100_000, 100_003):
        status, _, document = node.post(message(number, order=str(number)))
        assert status == 503
        assert "takes nothing more, since a write failed" in document["detail"]
    status, _, document = node.ask("GET", "/readyz")
    assert status == 503
    assert any("since its log failed" in problem for problem in document["problems"])
    assert node.ask("GET", "/livez")[0] == 200


@pytest.mark.parametrize("turn", range(1, 1 + STOPS))
def test_an_ext4_that_stops_at_once_has_everything_that_was_acknowledged(start, project, target, loop, turn):
    """As a power cut: what is in memory and in the journal's memory is gone."""
    loop.make(256)
    loop.mount()
    write_project(project, target.url, data=loop.place / "data")
    target.closed = True
    node = start("--drain", "0.2")
    reports = range(1 + 13 * turn)
    acknowledged = [
        f"r{number}"
        for number in reports
        if node.post(message(number, text="x" * 50_000, order=str(number)))[0] == 202
    ]
    assert len(acknowledged) == len(reports)
    folder = os.open(loop.place, os.O_RDONLY)
    try:
        fcntl.ioctl(folder, SHUTDOWN, struct.pack("I", NO_FLUSH))
    except OSError as error:
        pytest.skip(f"this kernel stops no ext4: {error}")
    finally:
        os.close(folder)
    refused_until_restart(node)
    node.process.kill()
    node.ended()
    loop.unmount()
    loop.mount()
    target.closed = False
    node = start()
    assert target.until(acknowledged) == set()
    assert node.stop() == 0


def test_with_64_files_new_connections_wait_and_nothing_acknowledged_is_lost(start, target):
    node = start()
    _, most = resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, (64, most))
    held = http.client.HTTPConnection(*node.address, timeout=60)
    exchange(held, "GET", "/livez")
    idle = [http.client.HTTPConnection(*node.address, timeout=60) for _ in range(80)]
    for connection in idle:
        connection.connect()
    acknowledged = []
    # Enough to fill segments, for which files are opened.
    for number in range(20):
        body = message(number, text="x" * 200_000, order=str(number))
        status, _, document = exchange(held, "POST", "/v1/sources/mes", body)
        assert status in {202, 503}, document
        acknowledged += [f"r{number}"] if status == 202 else []
    assert acknowledged
    assert len(list(Path(f"/proc/{node.process.pid}/fd").iterdir())) > 60
    for connection in [*idle, held]:
        connection.close()

    def answers():
        # Until it has seen that the others are closed it may close a new one at once.
        with suppress(ConnectionError):
            return node.ask("GET", "/livez")[0] == 200

    assert until(answers)
    node.process.kill()
    node.ended()
    node = start()
    assert target.until(acknowledged) == set()
    assert node.post(message(1000, order="1000"))[0] == 202
    assert target.until(["r1000"]) == set()


def test_a_second_node_through_a_bind_mount_ends_with_75_and_the_first_goes_on(
    start, project, target, tmp_path
):
    node = start()
    place = tmp_path / "elsewhere"
    place.mkdir()
    if reason := run("mount", "--bind", node.data, place):
        pytest.skip(f"no folder can be mounted in another place: {reason}")
    try:
        other = write_project(tmp_path / "other", target.url, data=place)
        second = start(folder=other, ready=False)
        assert second.ended() == 75
        assert second.error["message"].endswith(f"is in use by process {node.process.pid}")
        assert node.post(message(1))[2]["level"] == "durable"
        assert target.until({"r1"}) == set()
    finally:
        subprocess.run(["umount", "-l", place], check=True)
