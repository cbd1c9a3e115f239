import asyncio
import json
import os

import msgspec
import pytest

from mfgroute.adapter import Context
from mfgroute.adapters.files import FilesSource, FilesSourceConfig
from mfgroute.adapters.files import inbox as inbox_module
from mfgroute.adapters.files import source as module
from mfgroute.errors import AdapterError, Disconnected
from mfgroute.events import Receipt, Reject
from mfgroute.units import Size

from .conftest import HOSTILE


def config(**more):
    return FilesSourceConfig(
        **({"path": "inbox/*", "ready": "rename", "poll_s": 0.02, "watch": "poll"} | more)
    )


@pytest.fixture
def inbox(tmp_path):
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


class open_source:  # noqa: N801 - reads like a function
    def __init__(self, context, **more):
        self.source = FilesSource(config(**more), context)

    async def __aenter__(self):
        await self.source.open(None)
        return self.source

    async def __aexit__(self, *_):
        await self.source.close()


async def read(source, timeout_s=5.0):
    return await asyncio.wait_for(source.read(), timeout_s)


async def nothing_more(source, look_s=0.1):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(source.read(), look_s)


def names(folder):
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


async def test_a_file_of_lines_is_one_slab_and_goes_to_done(inbox, context):
    (inbox / "a.csv").write_bytes(b"x;y\n1;2\n")
    async with open_source(context) as source:
        intake = await read(source)
        assert intake.slab == b"x;y\n1;2\n"
        assert intake.meta["file.name"] == "a.csv"
        assert intake.meta["file.path"] == str(inbox / "a.csv")
        assert intake.meta["file.mtime"].endswith("Z")
        assert names(inbox / "done") == []
        await source.ack(intake, Receipt(accepted=1, rejected=3))
        assert names(inbox / "done") == ["a.csv"]
        assert names(inbox) == [".work", "done"]


async def test_bad_rows_do_not_fail_the_file(inbox, context):
    (inbox / "a.csv").write_bytes(b"1\n2\n")
    async with open_source(context) as source:
        intake = await read(source)
        await source.ack(intake, Receipt(rejected=2, rejects=[Reject(0, "contract_invalid")]))
    assert names(inbox / "done") == ["a.csv"]
    assert names(inbox / "failed") == []


async def test_a_file_that_cannot_be_taken_apart_is_kept_with_the_reason(inbox, context):
    (inbox / "a.csv").write_bytes(b"\xff\xfe")
    async with open_source(context) as source:
        intake = await read(source)
        reject = Reject(0, "encoding", found="byte 0xff", expected="utf-8")
        await source.ack(intake, Receipt(rejected=1, rejects=[reject], unsplittable=True))
    assert names(inbox / "failed") == ["a.csv", "a.csv.reason.json"]
    reason = json.loads((inbox / "failed" / "a.csv.reason.json").read_text())
    assert reason["code"] == "encoding"
    assert "0xff" in reason["reason"]


async def test_documents_are_whole_messages_and_many_come_at_once(inbox, context):
    for n in range(5):
        (inbox / f"{n}.xml").write_bytes(b"<a>%d</a>" % n)
        os.utime(inbox / f"{n}.xml", (1000 + n, 1000 + n))
    async with open_source(context) as source:
        intake = await read(source)
        assert intake.slab is None
        assert list(intake.messages) == [b"<a>%d</a>" % n for n in range(5)]
        assert [m["file.name"] for m in intake.metas] == [f"{n}.xml" for n in range(5)]
        await source.ack(intake, Receipt(accepted=5))
    assert names(inbox / "done") == [f"{n}.xml" for n in range(5)]


async def test_the_oldest_file_comes_first(inbox, context):
    for name, age in (("a.csv", 30), ("b.csv", 10), ("c.csv", 20)):
        (inbox / name).write_text(name)
        os.utime(inbox / name, (age, age))
    async with open_source(context) as source:
        order = [(await read(source)).meta["file.name"] for _ in range(3)]
    assert order == ["b.csv", "c.csv", "a.csv"]


@pytest.mark.parametrize(("split", "slab"), [("lines", True), ("whole", False)])
async def test_split_can_be_said(inbox, context, split, slab):
    (inbox / "a.weird").write_text("1\n")
    async with open_source(context, split=split) as source:
        assert ((await read(source)).slab is not None) is slab


async def test_an_empty_file_is_done_without_an_intake(inbox, context):
    (inbox / "a.csv").touch()
    async with open_source(context) as source:
        await nothing_more(source)
    assert names(inbox / "done") == ["a.csv"]


async def test_a_half_written_file_is_left_alone_until_it_rests(inbox, context, monkeypatch):
    clock = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: clock)
    path = inbox / "a.csv"
    path.write_text("1\n")
    source = FilesSource(config(ready="stable", settle_s=2.0), context)
    await source.open(None)
    await source._look()
    clock += 1.9
    await source._look()
    with path.open("a") as file:
        file.write("2\n")
    await source._look()
    clock += 1.9
    await source._look()
    assert path.exists(), "it changed 1.9 s ago"
    clock += 0.2
    await source._look()
    assert (await read(source)).slab == b"1\n2\n"
    await source.close()


async def test_a_file_that_is_written_after_it_was_claimed_is_read_again(inbox, context):
    path = inbox / "a.csv"
    with path.open("wb", buffering=0) as writer:
        writer.write(b"1\n")
        async with open_source(context, settle_s=0.02) as source:
            intake = await read(source)
            writer.write(b"2\n")
            await source.ack(intake, Receipt(accepted=1))
            assert names(inbox / "done") == []
            intake = await read(source)
            assert intake.slab == b"1\n2\n"
            await source.ack(intake, Receipt(accepted=1, duplicates=1))
    assert names(inbox / "done") == ["a.csv"]


async def test_a_file_that_grows_while_it_is_read_is_read_again(inbox, context, monkeypatch):
    (inbox / "a.csv").write_bytes(b"1\n")
    real, grown = os.fstat, []

    def fstat(handle):
        found = real(handle)
        work = list((inbox / ".work").rglob("a.csv"))
        if work and not grown:
            grown.append(1)
            with work[0].open("ab") as writer:
                writer.write(b"2\n")
        return found

    async with open_source(context, settle_s=0.02) as source:
        monkeypatch.setattr(inbox_module.os, "fstat", fstat)
        loads = []
        load = source._inbox.load
        monkeypatch.setattr(source._inbox, "load", lambda *a: loads.append(load(*a)) or loads[-1])
        assert (await read(source)).slab == b"1\n2\n"
        assert loads[0] is None


async def test_unfinished_names_wait_for_their_rename(inbox, context):
    for suffix in (".tmp", ".part", "~"):
        (inbox / f"a.csv{suffix}").write_text("1\n")
    async with open_source(context) as source:
        await nothing_more(source)
        (inbox / "a.csv.tmp").rename(inbox / "a.csv")
        assert (await read(source)).meta["file.name"] == "a.csv"


async def test_the_operating_system_wakes_the_source_long_before_it_polls(inbox, context):
    async with open_source(context, watch="auto", poll_s=3600.0) as source:
        reading = asyncio.create_task(source.read())
        n = 0
        while not reading.done() and n < 500:  # The watch needs a moment to stand; a later file is seen.
            (inbox / f"{n}.csv").write_text("1\n")
            n += 1
            await asyncio.wait([reading], timeout=0.05)
        assert (await read_done(reading)).slab == b"1\n"


async def read_done(task):
    return await asyncio.wait_for(task, 5)


async def test_two_nodes_take_each_file_once(inbox, tmp_path):
    count = 60
    for n in range(count):
        (inbox / f"{n}.csv").write_text(f"{n}\n")
    seen = []

    async def node(name):
        context = Context(name="drops", node=name, project_dir=tmp_path)
        async with open_source(context) as source:
            while len(seen) < count:
                try:
                    intake = await asyncio.wait_for(source.read(), 0.3)
                except TimeoutError:
                    return
                seen.append(intake.slab)
                await source.ack(intake, Receipt(accepted=1))

    await asyncio.gather(node("a"), node("b"))
    assert sorted(seen) == sorted(b"%d\n" % n for n in range(count))
    assert len(names(inbox / "done")) == count


async def test_a_name_that_comes_twice_is_kept_twice(inbox, context):
    async with open_source(context) as source:
        for text in ("1\n", "2\n", "3\n"):
            (inbox / "a.csv").write_text(text)
            await source.ack(await read(source), Receipt(accepted=1))
    done = names(inbox / "done")
    assert len(done) == 3
    assert {(inbox / "done" / n).read_text() for n in done} == {"1\n", "2\n", "3\n"}


async def test_two_files_of_one_name_in_flight_do_not_replace_each_other(inbox, context):
    async with open_source(context) as source:
        (inbox / "a.csv").write_text("1\n")
        first = await read(source)
        (inbox / "a.csv").write_text("2\n")
        second = await read(source)
        await source.ack(second, Receipt(accepted=1))
        await source.ack(first, Receipt(accepted=1))
    assert len(names(inbox / "done")) == 2


async def test_what_was_not_acknowledged_is_taken_again_after_a_restart(inbox, context):
    (inbox / "a.csv").write_text("1\n")
    async with open_source(context) as source:
        await read(source)
    assert not (inbox / "a.csv").exists()
    async with open_source(context) as source:
        intake = await read(source)
        assert intake.slab == b"1\n"
        await source.ack(intake, Receipt(duplicates=1))
    assert names(inbox / "done") == ["a.csv"]


async def test_a_second_process_of_the_same_name_is_refused(inbox, context):
    async with open_source(context):
        other = FilesSource(config(), context)
        with pytest.raises(AdapterError, match="in use by another process"):
            await other.open(None)
        await other.close()


async def test_a_huge_file_fails_with_a_reason_and_is_never_read(inbox, context):
    with (inbox / "a.csv").open("wb") as file:
        file.truncate(3 << 30)
    (inbox / "b.csv").write_text("1\n")
    async with open_source(context, size_max=Size(1 << 20)) as source:
        assert (await read(source)).meta["file.name"] == "b.csv"
    reason = json.loads((inbox / "failed" / "a.csv.reason.json").read_text())
    assert reason["code"] == "file_too_large"
    assert "1048576" in reason["reason"]


async def test_symlinks_and_pipes_are_never_opened(inbox, context, tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("secret\n")
    (inbox / "link.csv").symlink_to(secret)
    os.mkfifo(inbox / "pipe.csv")
    (inbox / "folder.csv").mkdir()
    async with open_source(context) as source:
        await nothing_more(source)
    assert names(inbox) == [".work", "folder.csv", "link.csv", "pipe.csv"]


async def test_a_symlink_in_the_work_folder_fails_without_being_followed(inbox, context, tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("secret\n")
    claim = inbox / ".work" / "node-1.it" / "00000000000000000001-aa"
    claim.mkdir(parents=True)
    (claim / "a.csv").symlink_to(secret)
    async with open_source(context) as source:
        await nothing_more(source)
    assert "a.csv" in names(inbox / "failed")
    assert secret.read_text() == "secret\n"


async def test_hostile_names_come_through(inbox, context):
    made = 0
    for n, text in enumerate(HOSTILE):
        name = f"{n}" + text.replace("/", "_").replace("\x00", "")[:60]
        (inbox / (name + ".csv")).write_text("1\n")
        made += 1
    (inbox / os.fsdecode(b"\xff\xfe.csv")).write_text("1\n")
    made += 1
    async with open_source(context) as source:
        for _ in range(made):
            intake = await read(source)
            intake.meta["file.name"].encode()
            await source.ack(intake, Receipt(accepted=1))
    assert len(names(inbox / "done")) == made


async def test_done_files_can_be_deleted(inbox, context):
    (inbox / "a.csv").write_text("1\n")
    async with open_source(context, done="delete") as source:
        await source.ack(await read(source), Receipt(accepted=1))
    assert names(inbox) == [".work"]
    assert names(inbox / ".work" / "node-1.it") == [".lock"]


async def test_a_missing_folder_is_a_lost_connection_and_is_not_made(context, tmp_path):
    source = FilesSource(config(), context)
    with pytest.raises(Disconnected, match="inbox"):
        await source.open(None)
    await source.close()
    await source.close()
    assert not (tmp_path / "inbox").exists()


async def test_a_folder_that_goes_away_ends_the_connection(inbox, context):
    async with open_source(context) as source:
        reading = asyncio.create_task(source.read())
        await asyncio.sleep(0)
        inbox.rename(inbox.with_name("elsewhere"))
        with pytest.raises(Disconnected, match="lost"):
            await read_done(reading)


def test_a_pattern_in_a_folder_is_refused():
    with pytest.raises(msgspec.ValidationError, match="last part"):
        msgspec.convert({"path": "in*/a.csv"}, FilesSourceConfig)
