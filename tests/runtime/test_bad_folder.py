"""Data folders that no node may use, and what a start says of those that it can: a node as a process."""

import http.client
import os

import durable_node as durable
import pytest
from durable_node import everything_in, segment_of, used, write_project
from link_nodes import command
from tests.engine.conftest import message

from mfgroute import _core

mount, ordinary, project = durable.mount, durable.ordinary, durable.project
start, target = durable.start, durable.target


def test_a_symbolic_link_as_data_folder_is_refused(start, project, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (project / "data").symlink_to(tmp_path / "elsewhere")
    node = start(ready=False)
    assert node.ended() == 78
    assert node.error["message"] == "data folder `data` is a symbolic link, expected a folder"
    assert "node.data_dir" in node.error["hint"]
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_symbolic_link_in_place_of_a_log_is_refused(start, target, tmp_path):
    data = used(start, target)
    away = (data / "streams" / "business").rename(tmp_path / "away")
    (data / "streams" / "business").symlink_to(away)
    before = everything_in(away)
    node = start(ready=False)
    assert node.ended() == 78
    assert "streams/business is a symbolic link, expected a folder" in node.error["message"]
    assert everything_in(away) == before


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


def test_a_segment_of_a_later_version_is_refused_and_nothing_is_deleted(start, target, project):
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
    assert node.ended() == 78
    assert f"{segment.name} has format 2, and this version reads 1" in node.error["message"]
    assert "run the version that wrote it" in node.error["hint"]
    verified = command(project, "log", "verify")
    assert verified.returncode == 78
    assert f"business: cannot be read: {segment.name} has format 2" in verified.stdout
    assert segment.read_bytes() == content


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
    assert node.ended() == 77
    assert "the log of business does not open" in node.error["message"]
    assert "Permission denied" in node.error["message"]
    assert everything_in(streams) == before


@pytest.mark.parametrize("part", ["node", "streams/business"])
def test_a_log_that_may_not_be_written_is_refused(start, target, ordinary, part):
    data = used(start, target)
    (data / part).chmod(0o500)
    before = segments_in(data)
    node = start(ready=False, prefix=ordinary)
    assert node.ended() == 77
    assert "Permission denied" in node.error["message"]
    assert "data folder" in node.error["hint"]
    (data / part).chmod(0o700)
    assert segments_in(data) == before


def segments_in(data):
    """All segments of a data folder with their bytes, but for those of the node's own log, which is opened first."""
    return {path: path.read_bytes() for path in (data / "streams").rglob("*.log")}


def test_what_was_cut_at_a_start_is_kept_and_shown(start, target):
    data = used(start, target)
    segment = segment_of(data)
    content = bytearray(segment.read_bytes())
    [end] = [one["used"] for one in _core.log_stat(segment.parent) if one["name"] == segment.name]
    # A frame of which only a part has reached the disk.
    content[end : end + 15] = b"written in part"
    segment.write_bytes(content)
    node = start()
    assert any('"event":"a log had a torn tail' in line for line in node.log)
    node.stop()
    node = start()
    [kept] = (data / "streams" / "business" / "quarantine").iterdir()
    size = kept.stat().st_size
    assert any(f'"stream":"business","bytes":{size}' in line for line in node.log), node.log
    status, _, document = node.ask("GET", "/readyz")
    assert (status, document["problems"]) == (200, [])
    [note] = document["notes"]
    assert f"the log of business has {size} bytes in quarantine" in note
    connection = http.client.HTTPConnection(*node.address, timeout=60)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    assert f'mfgroute_log_quarantined_bytes{{stream="business"}} {size}.0' in text


def test_a_disk_that_is_smaller_than_the_capacities_is_said_at_the_start(start, project, target, mount):
    disk = mount(96)
    write_project(project, target.url, data=disk / "data", capacity="64MiB")
    node = start()
    assert any('"event":"the disk may become full before streams do"' in line for line in node.log)
    assert node.post(message(1))[0] == 202


def test_one_damaged_copy_of_a_head_is_said_and_does_not_stand_in_the_way(start, target):
    data = used(start, target)
    segment = segment_of(data)
    content = bytearray(segment.read_bytes())
    content[20] ^= 1
    segment.write_bytes(content)
    target.closed = False
    node = start()
    told = [line for line in node.log if "one copy of the head of a segment is damaged" in line]
    assert [segment.name in line for line in told] == [True]
    assert target.until(f"r{number}" for number in range(20)) == set()
    assert node.stop() == 0
