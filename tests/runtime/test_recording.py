"""Raw messages of a source, kept within bounds."""

import json
import os
import stat
from datetime import UTC, datetime

import msgspec
import pytest
from fakes_runtime import QUICK, SMALL, FakeSource, intake, message

from mfgroute.config.model import Record
from mfgroute.events import Intake
from mfgroute.observe.metrics import Metrics
from mfgroute.runtime.app import Router
from mfgroute.runtime.recording import NotRecorded, Recording, read
from mfgroute.units import Duration, Size

START = 1_795_500_000.0


class Clock:
    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make(tmp_path, clock):
    def of(*, keep=86_400.0, size=1 << 20):
        bounds = Record(keep=Duration(keep), size=Size(size))
        return Recording(tmp_path / "mes", "mes", bounds, clock=clock)

    return of


def texts(folder):
    return [one.message for _, one in read(folder)]


def held(folder):
    return sum(file.stat().st_size for file in folder.iterdir())


def test_messages_come_back_as_they_were_with_their_attributes(make, tmp_path):
    recording = make()
    given = [b'{"a": 1.50}', "ä\u2028\n".encode(), b"\xff\x00", b""]
    recording.add(given, {"topic": "x"}, [{"n": "0"}, {}, {"topic": "y"}, {}], slab=False)
    found = [one for _, one in read(tmp_path / "mes")]
    assert [one.message for one in found] == given
    assert [one.meta for one in found] == [
        {"topic": "x", "n": "0"},
        {"topic": "x"},
        {"topic": "y"},
        {"topic": "x"},
    ]
    assert {(one.source, one.at, one.slab) for one in found} == {
        ("mes", datetime.fromtimestamp(START, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"), False)
    }
    assert recording.counts.kept == 4
    assert recording.counts.size == held(tmp_path / "mes")


def test_only_the_owner_reads_a_recording(make, tmp_path):
    make().add([b"x"], {}, None, slab=False)
    assert stat.S_IMODE((tmp_path / "mes").stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "mes").iterdir()] == [0o600]


def test_a_file_gets_its_name_when_it_is_whole(make, tmp_path, clock):
    recording = make()
    recording.add([b"x"], {}, None, slab=False)
    assert [file.suffix for file in (tmp_path / "mes").iterdir()] == [".part"]
    clock.now += 3600
    recording.tick()
    assert [file.suffix for file in (tmp_path / "mes").iterdir()] == [".jsonl"]
    recording.add([b"y"], {}, None, slab=False)
    recording.close()
    assert [file.suffix for file in (tmp_path / "mes").iterdir()] == [".jsonl", ".jsonl"]
    assert texts(tmp_path / "mes") == [b"x", b"y"]


@pytest.mark.parametrize("together", [1, 7, 500])
def test_the_oldest_messages_go_when_the_size_is_reached(make, tmp_path, together):
    recording = make(size=20_000)
    sent = [b"%05d" % number + b"x" * 100 for number in range(1000)]
    for start in range(0, len(sent), together):
        recording.add(sent[start : start + together], {}, None, slab=False)
        assert held(tmp_path / "mes") <= 20_000
        assert recording.counts.size == held(tmp_path / "mes")
    kept = texts(tmp_path / "mes")
    assert kept == sent[-len(kept) :]
    assert held(tmp_path / "mes") > 15_000
    assert (recording.counts.kept, recording.counts.lost) == (1000, {})


def test_old_messages_go_although_nothing_new_comes(make, tmp_path, clock):
    recording = make(keep=800.0)
    recording.add([b"x"], {}, None, slab=False)
    clock.now += 799
    recording.tick()
    assert texts(tmp_path / "mes") == [b"x"]
    clock.now += 801
    recording.tick()
    assert list((tmp_path / "mes").iterdir()) == []
    assert recording.counts.size == 0


def test_a_message_that_is_too_big_is_counted_and_the_others_are_kept(make, tmp_path):
    recording = make(size=10_000)
    recording.add([b"a", b"x" * 6000, b"b"], {}, None, slab=False)
    assert texts(tmp_path / "mes") == [b"a", b"b"]
    assert (recording.counts.kept, recording.counts.lost) == (2, {"too_big": 1})


def test_a_folder_that_cannot_be_written_is_counted_and_told_once(make, tmp_path, caplog):
    recording = make()
    (tmp_path / "mes").write_text("in the way")
    recording.add([b"a", b"b"], {}, None, slab=False)
    recording.add([b"c"], {}, None, slab=False)
    assert (recording.counts.kept, recording.counts.lost) == (0, {"failed": 3})
    assert len([one for one in caplog.records if "cannot be recorded" in one.getMessage()]) == 1
    (tmp_path / "mes").unlink()
    recording.add([b"d"], {}, None, slab=False)
    assert texts(tmp_path / "mes") == [b"d"]


def test_a_write_that_ends_in_the_middle_leaves_no_half_line(make, tmp_path, monkeypatch):
    recording = make()
    recording.add([b"a"], {}, None, slab=False)
    real, calls = os.write, []

    def write(handle, data):
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return real(handle, data[:5])

    monkeypatch.setattr(os, "write", write)
    recording.add([b"b"], {}, None, slab=False)
    monkeypatch.undo()
    recording.add([b"c"], {}, None, slab=False)
    assert texts(tmp_path / "mes") == [b"a", b"c"]
    assert recording.counts.lost == {"failed": 1}


def test_what_a_killed_process_left_is_taken_over_without_its_half_line(make, tmp_path, clock):
    first = make()
    first.add([b"a", b"b"], {}, None, slab=False)
    (part,) = (tmp_path / "mes").iterdir()
    with part.open("ab") as file:
        file.write(b'{"at": "2026')
    os.utime(part, (clock.now, clock.now))
    assert texts(tmp_path / "mes") == [b"a", b"b"]
    second = make()
    second.add([b"c"], {}, None, slab=False)
    second.close()
    assert texts(tmp_path / "mes") == [b"a", b"b", b"c"]
    assert len({file.name for file in (tmp_path / "mes").iterdir()}) == 2


@pytest.mark.parametrize(
    "line", ["{}", "nonsense", '{"at": "x", "source": "m"}', '{"at":"x","source":"m","base64":"*"}']
)
def test_a_line_that_is_no_recorded_message_is_told_with_its_place(tmp_path, line):
    file = tmp_path / "own.jsonl"
    good = msgspec.json.encode({"at": "x", "source": "m", "text": "t"}).decode()
    file.write_text(f"{good}\n{line}\n")
    with pytest.raises(NotRecorded, match=r"own\.jsonl:2: this is no recorded message"):
        list(read(file))


@pytest.mark.usefixtures("fake_core")
async def test_a_node_keeps_what_a_source_reads_and_counts_it(project, registry):
    kept = SMALL.replace("plant: {adapter: fake}", "plant: {adapter: fake, record: {keep: 7d, size: 1MiB}}")
    assert kept != SMALL
    async with Router(project(kept), adapters=registry, tempo=QUICK) as node:
        FakeSource.feed.put_nowait(intake("a", meta={"topic": "t"}, metas=[{"n": "1"}]))
        FakeSource.feed.put_nowait(Intake(slab=message("b") + b"\nbad\n"))
        await FakeSource.acked.get()
        await FakeSource.acked.get()
        await node.submit("plant", [message("c")], meta={"by": "hand"})
        folder = node.data_dir / "recorded" / "plant"
        found = [one for _, one in read(folder)]
        text = Metrics(dict, node.pulses).expose().decode()
    assert [(one.message, one.meta, one.slab) for one in found] == [
        (message("a"), {"topic": "t", "n": "1"}, False),
        (message("b") + b"\nbad\n", {}, True),
        (message("c"), {"by": "hand"}, False),
    ]
    assert 'mfgroute_recorded_total{source="plant"} 3.0' in text
    assert f'mfgroute_record_bytes{{source="plant"}} {float(held(folder))}' in text
    assert [file.suffix for file in folder.iterdir()] == [".jsonl"]
    lines = [line for file in folder.iterdir() for line in file.read_text().splitlines()]
    assert [json.loads(line)["source"] for line in lines] == ["plant"] * 3
