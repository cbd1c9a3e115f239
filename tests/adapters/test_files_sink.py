import asyncio
import errno
import json
import os
import re
import threading

import msgspec
import pytest

from mfgroute.adapters.files import FilesSink, FilesSinkConfig
from mfgroute.adapters.files import lines as module
from mfgroute.errors import Disconnected
from mfgroute.events import Done, InDoubt, Retry
from mfgroute.units import Size

from .conftest import HOSTILE, make_event


async def write(context, *events, **more):
    sink = FilesSink(FilesSinkConfig(**({"path": "./out/{type}.jsonl"} | more)), context)
    await sink.open()
    try:
        return await sink.write(events)
    finally:
        await sink.close()


async def test_each_event_is_one_line_in_the_file_of_its_type(context, tmp_path):
    events = [make_event(1, kind="a.v1"), make_event(2, kind="b.v1"), make_event(3, kind="a.v1")]
    assert await write(context, *events) == [Done()] * 3
    lines = (tmp_path / "out" / "a.v1.jsonl").read_bytes().splitlines()
    assert lines == [events[0].json, events[2].json]
    assert (tmp_path / "out" / "b.v1.jsonl").read_bytes() == events[1].json + b"\n"


@pytest.mark.parametrize("text", HOSTILE)
async def test_no_value_leaves_the_folder_or_hides(context, tmp_path, text):
    assert await write(context, make_event(kind=text)) == [Done()]
    (found,) = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert found.parent == tmp_path / "out"
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}", found.name)


async def test_the_date_and_stream_and_node_can_stand_in_the_path(context, tmp_path):
    await write(context, make_event(), path="out/{node}/{stream}/{date}.jsonl")
    (found,) = (tmp_path / "out" / "node-1" / "business").iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d\.jsonl", found.name)


async def test_a_torn_last_line_is_ended_and_kept(context, tmp_path):
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / "x.jsonl"
    path.write_bytes(b'{"whole":1}\n{"torn":')
    await write(context, make_event(), path="out/x.jsonl")
    lines = path.read_bytes().split(b"\n")
    assert lines[:2] == [b'{"whole":1}', b'{"torn":']
    assert json.loads(lines[2])["data"] == {"n": 1}


async def test_pretty_json_becomes_one_line(context, tmp_path):
    await write(context, make_event(data=b'{\r\n"a": 1}'), path="out/x.jsonl")
    assert (tmp_path / "out" / "x.jsonl").read_bytes().count(b"\n") == 1


async def test_concurrent_writes_do_not_mix_lines(context, tmp_path):
    sink = FilesSink(FilesSinkConfig(path="x.jsonl"), context)
    await sink.open()
    batches = [[make_event(100 * b + n, data=b'"%s"' % (b"x" * 5000)) for n in range(50)] for b in range(8)]
    assert all(o == [Done()] * 50 for o in await asyncio.gather(*(sink.write(b) for b in batches)))
    await sink.close()
    assert len([json.loads(line) for line in (tmp_path / "x.jsonl").read_bytes().splitlines()]) == 400


async def test_a_full_disk_is_a_retry_and_leaves_no_half_line(context, tmp_path, monkeypatch):
    real = os.write

    def full(handle, data):
        if len(data) < 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, bytes(data)[: len(data) - 5])

    await write(context, make_event(1), path="x.jsonl")
    monkeypatch.setattr(module.os, "write", full)
    with pytest.raises(Disconnected, match="No space left") as failure:
        await write(context, make_event(2), path="x.jsonl")
    assert failure.value.sent is False
    assert (tmp_path / "x.jsonl").read_bytes() == make_event(1).json + b"\n"


async def test_what_cannot_be_undone_is_in_doubt(context, monkeypatch):
    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(module.os, "write", broken)
    monkeypatch.setattr(module.os, "truncate", broken)
    (outcome,) = await write(context, make_event(), path="x.jsonl")
    assert isinstance(outcome, InDoubt)


async def test_a_failed_sync_is_in_doubt(context, monkeypatch):
    def broken(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(module.os, "fdatasync", broken)
    (outcome,) = await write(context, make_event(), path="x.jsonl", sync=True)
    assert isinstance(outcome, InDoubt)


async def test_one_bad_file_does_not_cost_the_others(context, tmp_path):
    (tmp_path / "out" / "b.jsonl").mkdir(parents=True)
    outcomes = await write(context, make_event(1, kind="a"), make_event(2, kind="b"))
    assert outcomes[0] == Done()
    assert isinstance(outcomes[1], Retry)


async def test_a_symlink_is_not_written_through(context, tmp_path):
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "x.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Disconnected):
        await write(context, make_event(), path="x.jsonl")
    assert (tmp_path / "elsewhere").read_text() == ""


async def test_a_second_writer_of_the_same_file_is_refused(context):
    first = FilesSink(FilesSinkConfig(path="x.jsonl"), context)
    await first.open()
    await first.write([make_event(1)])
    with pytest.raises(Disconnected):
        await write(context, make_event(2), path="x.jsonl")
    await first.close()
    assert await write(context, make_event(2), path="x.jsonl") == [Done()]


async def test_a_file_that_grew_too_large_is_kept_under_another_name(context, tmp_path):
    for n in range(6):
        await write(context, make_event(n), path="x.jsonl", rotate_size=Size(300))
    files = list(tmp_path.glob("x*.jsonl"))
    assert len(files) == 3
    assert sum(p.read_bytes().count(b"\n") for p in files) == 6


async def test_a_file_moved_away_by_logrotate_is_made_anew(context, tmp_path):
    sink = FilesSink(FilesSinkConfig(path="x.jsonl"), context)
    await sink.open()
    await sink.write([make_event(1)])
    (tmp_path / "x.jsonl").rename(tmp_path / "x.1")
    await sink.write([make_event(2)])
    await sink.close()
    assert (tmp_path / "x.jsonl").read_bytes() == make_event(2).json + b"\n"


async def test_a_folder_that_cannot_be_made_is_a_lost_connection(context, tmp_path):
    (tmp_path / "out").write_text("a file")
    sink = FilesSink(FilesSinkConfig(path="out/deep/x.jsonl"), context)
    with pytest.raises(Disconnected) as failure:
        await sink.open()
    assert failure.value.sent is False
    await sink.close()


def test_an_unknown_placeholder_is_refused():
    with pytest.raises(msgspec.ValidationError, match="typ"):
        msgspec.convert({"path": "out/{typ}.jsonl"}, FilesSinkConfig)


async def test_a_folder_that_hangs_holds_one_thread_and_none_of_others(context, monkeypatch):
    hangs = threading.Event()
    real = module.LineFiles.append

    def append(self, path, data):
        assert hangs.wait(30)
        return real(self, path, data)

    monkeypatch.setattr(module.LineFiles, "append", append)
    before = threading.active_count()
    sink = FilesSink(FilesSinkConfig(path="./out/{type}.jsonl"), context)
    await sink.open()
    for number in range(40):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sink.write([make_event(number)]), 0.001)
    assert threading.active_count() <= before + 1
    assert await asyncio.wait_for(asyncio.to_thread(int), 5) == 0
    hangs.set()
    assert await sink.write([make_event(41)]) == [Done()]
    await sink.close()
    # What was given up before its turn is not written, so that nothing passes what is sent again.
    (lines,) = (context.project_dir / "out").iterdir()
    assert lines.read_bytes().count(b"\n") == 2
