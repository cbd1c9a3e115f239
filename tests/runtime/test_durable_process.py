"""A node with durable streams as a process: killed, stopped, started twice, and with a disk that fails.

What is acknowledged stands in the client's ledger, what has arrived in the target's; neither is the node's.
"""

import errno
import os
import random
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import defaultdict
from itertools import groupby, pairwise
from pathlib import Path

import pytest
from durable_node import CLIENTS, ORDERS, TOKEN, Clients, Node, Target, serving, write_project
from tests.engine.conftest import CONTRACT, MAPPING, message

#: How often the node is killed; a long run sets more.
KILLS = int(os.environ.get("MFGROUTE_KILLS", "8"))


@pytest.fixture
def target():
    with serving(Target()) as one:
        yield one


@pytest.fixture
def project(tmp_path, target):
    return write_project(tmp_path / "project", target.url)


@pytest.fixture
def start(project):
    """Starts nodes; they are killed at the end."""
    nodes = []

    def of(*arguments, folder=project, ready=True, **more):
        nodes.append(Node(folder, *arguments, life=len(nodes), **more))
        assert (nodes[-1].ready is not None) == ready, nodes[-1].log
        return nodes[-1]

    yield of
    for node in nodes:
        if not node.process.stdout.closed:
            node.stop(signal.SIGKILL)


@pytest.mark.timeout(120 + 15 * KILLS)
def test_whatever_was_acknowledged_arrives_in_order_however_often_the_node_is_killed(
    start, target, record_property
):
    dice = random.Random(os.environ.get("MFGROUTE_SEED", KILLS))
    record_property("kills", KILLS + KILLS // 3)
    clients = Clients()
    try:
        for turn in range(KILLS):
            node = start()
            clients.go_on(node.address)
            clients.more(dice.randrange(1, 150))
            node.process.kill()
            node.ended()
            if turn % 3 == 2:
                young = start(wait=False, ready=False)
                try:
                    young.process.wait(dice.uniform(0.1, 1.5))
                except subprocess.TimeoutExpired:
                    young.process.kill()
                assert young.ended() == -signal.SIGKILL
        node = start()
        clients.go_on(node.address)
        clients.more(10)
    finally:
        clients.end()
    assert target.until(clients.ledger) == set()
    assert clients.levels == {"durable"}
    assert node.stop() == 0
    by_order = defaultdict(list)
    for life, key, order, report in target.arrivals:
        by_order[order].append((life, key, int(report.partition("-")[2])))
    assert len(by_order) == CLIENTS * ORDERS
    for arrivals in by_order.values():
        # An event that comes again does so next, from a later life of the node, and is the same event.
        serials = [serial for _, _, serial in arrivals]
        assert [serial for serial, _ in groupby(serials)] == sorted(set(serials))
        for (life, key, serial), (later, again, next_serial) in pairwise(arrivals):
            assert (key == again) == (serial == next_serial)
            assert serial != next_serial or life < later


def test_answers_name_the_level_that_was_waited_for(start):
    node = start()
    for number, (query, level) in enumerate(
        [("", "durable"), ("?ack=durable", "durable"), ("?ack=sealed", "sealed"), ("?ack=memory", "memory")]
    ):
        status, _, receipt = node.post(message(number), query)
        assert (status, receipt["accepted"], receipt["level"]) == (202, 1, level)
    assert node.post(message(9), "?ack=effect")[0] == 400


def test_sigterm_with_a_backlog_ends_well_and_the_rest_is_delivered_after_the_next_start(start, target):
    target.closed = True
    node = start("--drain", "0.2")
    for number in range(20):
        assert node.post(message(number, order=str(number)))[0] == 202
    assert node.stop() == 0
    assert any('"event":"stopped; the rest is delivered after the next start"' in line for line in node.log)
    assert target.arrivals == []
    target.closed = False
    start()
    assert target.until(f"r{number}" for number in range(20)) == set()


def add_memory_stream(project):
    """A source whose events go to a stream in memory, to the same sink."""
    main = project / "mfgroute.yaml"
    text = main.read_text().replace("sources:\n", "  telemetry: {durability: memory}\nsources:\n")
    text = text.replace(
        "sinks:\n", "  meter: {adapter: http, mappings: [meter], token: " + TOKEN + "}\nsinks:\n"
    )
    main.write_text(text.replace("production.operation.completed/1", '"production.>"'))
    made = {"contracts/production.operation.sampled.v1": CONTRACT, "mappings/meter": MAPPING}
    for name, content in made.items():
        changed = content.replace("operation.completed", "operation.sampled").replace(
            ": business", ": telemetry"
        )
        (project / f"{name}.yaml").write_text(changed)


def test_a_stop_counts_only_what_memory_streams_lose(start, project, target):
    add_memory_stream(project)
    target.closed = True
    node = start("--drain", "0.2")
    for number in range(3):
        assert node.post(message(number, order=str(number)))[2]["level"] == "durable"
    status, _, receipt = node.ask("POST", "/v1/sources/meter", message(9, order="9"))
    assert (status, receipt["level"]) == (202, "memory")
    assert node.stop() == 1
    assert node.error["message"] == "1 event was not delivered; a memory stream loses it"
    node = start("--drain", "0.2")
    assert node.stop() == 0
    target.closed = False
    start()
    assert target.until({"r0", "r1", "r2"}) == set()
    assert "r9" not in target.seen()


def test_a_second_node_on_one_data_folder_ends_with_75_and_the_first_goes_on(start, target):
    node = start()
    second = start(ready=False)
    assert second.ended() == 75
    assert second.error["message"].endswith(f"is in use by process {node.process.pid}")
    assert node.post(message(1))[2]["level"] == "durable"
    assert target.until({"r1"}) == set()


def everything_in(folder):
    """All files below a folder with what is in them, but for the lock."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "router.lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def used(start, target):
    """A data folder with acknowledged events that were not delivered."""
    target.closed = True
    node = start()
    for number in range(20):
        node.post(message(number, order=str(number)))
    node.process.kill()
    node.ended()
    return node.data


def segment_of(data):
    (segment,) = (data / "streams" / "business").glob("*.log")
    return segment


def test_a_symbolic_link_as_data_folder_is_refused(start, project, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (project / "data").symlink_to(tmp_path / "elsewhere")
    node = start(ready=False)
    assert node.ended() == 74
    assert "data is a symbolic link, expected a folder" in node.error["message"]
    assert everything_in(tmp_path / "elsewhere") == {}


def test_a_damaged_segment_is_refused_with_its_place_and_nothing_is_deleted(start, target):
    data = used(start, target)
    segment = segment_of(data)
    content = bytearray(segment.read_bytes())
    content[4096 + 100] ^= 1
    segment.write_bytes(content)
    before = everything_in(data)
    node = start(ready=False)
    assert node.ended() == 65
    assert (
        f"the log of business does not open: {segment.name} is damaged at byte 4136" in node.error["message"]
    )
    assert "nothing was deleted" in node.error["hint"]
    after = everything_in(data)
    assert {name: after[name] for name in before if name.startswith("streams")} == {
        name: content for name, content in before.items() if name.startswith("streams")
    }


def crc32c(data):
    """CRC-32C (Castagnoli), bit by bit."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def test_a_segment_of_a_later_version_is_refused_and_nothing_is_deleted(start, target):
    data = used(start, target)
    segment = segment_of(data)
    content = bytearray(segment.read_bytes())
    for start_of_block in (0, 2048):
        block = content[start_of_block : start_of_block + 2048]
        block[8] = 2
        block[12:16] = crc32c(block[:12] + block[16:]).to_bytes(4, "little")
        content[start_of_block : start_of_block + 2048] = block
    segment.write_bytes(content)
    node = start(ready=False)
    assert node.ended() == 74
    assert f"{segment.name} has format 2, and this version reads 1" in node.error["message"]
    assert segment.read_bytes() == content


@pytest.fixture
def mount():
    """Mounts file systems of a given size; skips where this user may not."""
    folder = Path(tempfile.mkdtemp(prefix="mfgroute-"))
    mounted = []

    def of(mebibytes):
        options = ["-o", f"size={mebibytes}m,mode=700"]
        command = ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)]
        if not shutil.which("mount") or subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("mounting a small file system needs root")
        mounted.append(folder)
        return folder

    yield of
    for one in mounted:
        subprocess.run(["umount", "-l", str(one)], check=True)
    folder.rmdir()


def fill(ballast):
    """Write until the disk has no room; the node may be writing a spare segment at the same time."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 - any other error is one of this test


def test_a_full_disk_answers_503_keeps_what_it_acknowledged_and_goes_on_once_there_is_room(
    start, project, target, mount
):
    disk = mount(96)
    write_project(project, target.url, data=disk / "data", capacity="64MiB")
    node = start()
    fill(disk / "ballast")
    acknowledged, text = [], "x" * 200_000
    for number in range(200):
        status, headers, document = node.post(message(number, text=text, order=str(number)))
        if status != 202:
            break
        acknowledged.append(f"r{number}")
    assert (status, headers["Retry-After"]) == (503, "1")
    assert "waits for room on the disk" in document["detail"]
    assert acknowledged
    assert target.until(acknowledged) == set()
    (disk / "ballast").unlink()
    status = until_taken(node, message(1000, order="1000"))
    assert status == 202
    assert target.until({"r1000"}) == set()
    assert node.stop() == 0


def until_taken(node, body):
    """Post a message, and again as long as the answer is to come again."""
    pause = threading.Event()
    for _ in range(60):
        status, headers, _ = node.post(body)
        if status != 503:
            break
        pause.wait(float(headers["Retry-After"]))
    return status


def test_after_a_write_that_failed_the_node_is_not_ready_and_a_start_delivers_what_was_acknowledged(
    start, target
):
    target.closed = True
    node = start("--drain", "0.2")
    assert node.post(message(1))[0] == 202
    assert node.ask("GET", "/readyz")[0] == 200
    # No write of this process may go beyond the head of a segment from now on.
    _, most = resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (4096, most))
    status, _, document = node.post(message(2, order="4712"))
    assert status == 503
    assert "takes nothing more, since a write failed" in document["detail"]
    status, _, document = node.ask("GET", "/readyz")
    assert status == 503
    assert any("since its log failed" in problem for problem in document["problems"])
    assert node.ask("GET", "/livez")[0] == 200
    node.stop()
    target.closed = False
    node = start()
    assert node.ask("GET", "/readyz")[0] == 200
    assert node.post(message(2, order="4712"))[0] == 202
    assert target.until({"r1", "r2"}) == set()


@pytest.fixture
def ordinary():
    """What a command begins with so that permissions bind it, also if root starts it."""
    if os.geteuid() != 0:
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root without setpriv may read and write everything")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


def test_a_data_folder_that_may_not_be_written_is_refused(start, project, ordinary):
    (project / "data").mkdir(mode=0o500)
    node = start(ready=False, prefix=ordinary)
    assert node.ended() == 77
    assert node.error["message"].endswith("router.lock`: permission denied")
    assert everything_in(project / "data") == {}


def test_a_data_folder_of_another_user_is_refused(start, project, target, ordinary):
    data = used(start, target)
    if os.geteuid() != 0:
        pytest.skip("giving a folder to another user needs root")
    before = everything_in(data)
    for path in (data, *data.rglob("*")):
        os.chown(path, 65534, 65534)
    node = start(ready=False, prefix=ordinary)
    assert node.ended() == 77
    assert node.error["message"].endswith("router.lock`: permission denied")
    assert everything_in(data) == before


def test_streams_of_another_user_are_refused_and_nothing_is_deleted(start, target, ordinary):
    data = used(start, target)
    if os.geteuid() != 0:
        pytest.skip("giving a folder to another user needs root")
    streams = data / "streams"
    before = everything_in(streams)
    for path in (streams, *streams.rglob("*")):
        os.chown(path, 65534, 65534)
    node = start(ready=False, prefix=ordinary)
    assert node.ended() == 74
    assert "the log of business does not open" in node.error["message"]
    assert "Permission denied" in node.error["message"]
    assert everything_in(streams) == before
