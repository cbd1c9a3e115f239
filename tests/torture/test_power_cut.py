"""The power fails: what was not synced is gone, or some of it is, and the node dies with it."""

import os
import random
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from functools import cache
from json import dumps
from pathlib import Path

import pytest

from tests.torture.conftest import run
from tests.torture.ledgers import REPORTS, Story, write_project

#: How often the power is cut in a test; a long run sets more.
CUTS = int(os.environ.get("MFGROUTE_POWER_CUTS", "9"))
pytestmark = pytest.mark.timeout(120 + 30 * CUTS)
#: About as many calls as a whole story has, and twice as many as a start.
CALLS = 200
PROGRAM = Path(__file__).with_name("volatile_fs.py")


@contextmanager
def mounted(store, place, **faults):
    """Mount the file system; answers its process. At the end it is gone, with everything that was not synced."""
    store.mkdir(exist_ok=True)
    place.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, PROGRAM, store, place, dumps(faults)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        if process.stdout.readline() != "ready\n":
            raise OSError(process.communicate(timeout=20)[1].strip() or "nothing was mounted")
        yield process
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()
        process.stderr.close()
        run(*unmount(place))


def unmount(place):
    """The command that takes a mount away, even one whose process is dead."""
    return ["umount", "-l", place] if os.geteuid() == 0 else ["fusermount3", "-uz", place]


@cache
def why_not(folder):
    """Why nothing can be mounted here, or `None`."""
    try:
        with mounted(folder / "store", folder / "mount"):
            return None
    except OSError as error:
        return str(error).splitlines()[-1]


@pytest.fixture
def disk(tmp_path, tmp_path_factory):
    """Mounts one disk again and again, each time with other faults."""
    if reason := why_not(tmp_path_factory.getbasetemp()):
        pytest.skip(f"no file system of ours can be mounted: {reason}")
    return lambda **faults: mounted(tmp_path / "store", tmp_path / "mount", **faults)


@pytest.fixture
def story(tmp_path):
    """A new story on an empty disk."""

    def of():
        shutil.rmtree(tmp_path / "store", ignore_errors=True)
        return Story(write_project(tmp_path / "project"), tmp_path / "mount" / "data")

    return of


def test_the_disk_forgets_what_was_not_synced_and_nothing_else(disk, tmp_path):
    place = tmp_path / "mount"

    def write(name, *, sync):
        with (place / name).open("wb") as file:
            file.write(b"a" * 1500)
            file.flush()
            if sync:
                os.fsync(file.fileno())

    with disk():
        write("whole", sync=True)
        write("hollow", sync=False)
        folder = os.open(place, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        write("nameless", sync=True)
        assert sorted(path.name for path in place.iterdir()) == ["hollow", "nameless", "whole"]
    with disk():
        assert {path.name: path.read_bytes() for path in place.iterdir()} == {
            "hollow": b"",
            "whole": b"a" * 1500,
        }


def test_a_cut_may_leave_some_sectors(disk, tmp_path):
    place, found = tmp_path / "mount", set()
    for seed in range(6):
        with disk(cut_at=4, keep=seed) as process:
            file = os.open(place / f"file{seed}", os.O_WRONLY | os.O_CREAT)
            folder = os.open(place, os.O_RDONLY)
            os.fsync(folder)
            os.write(file, b"a" * 1500)
            with pytest.raises(OSError, match=r"."):
                os.fsync(file)
            process.wait(20)
            for held in (file, folder):
                with suppress(OSError):
                    os.close(held)
        with disk():
            found.add((place / f"file{seed}").read_bytes())
    assert len(found) > 1
    assert all(set(content) <= {0, ord("a")} and len(content) <= 1500 for content in found)


def cuts(one, disk, dice, count):
    """Cut the power so often, each time in another life; answers how often it was."""
    done = 0
    for number in range(count):
        faults = {"cut_at": dice.randint(1, CALLS if number == 0 else CALLS // 2)}
        if dice.random() < 0.5:
            faults["keep"] = dice.randrange(1 << 32)
        with disk(**faults) as process:
            one.live(ends_with=process)
            done += process.poll() is not None
    return done


def test_a_power_cut_at_any_time_loses_nothing_that_was_acknowledged(story, disk, record_property):
    seed = int(os.environ.get("MFGROUTE_SEED", "20260101"))
    done, wrong, turn, acknowledged = 0, [], 0, 0
    while done < CUTS:
        one = story()
        done += cuts(one, disk, random.Random(f"{seed}-{turn}"), 3)
        acknowledged += len(one.acknowledged)
        with disk():
            wrong += [f"seed {seed}, turn {turn}: {words}" for words in one.end()]
        turn += 1
    record_property("power_cuts", done)
    assert wrong == []
    # Not all of them were cut before anything was acknowledged.
    assert acknowledged > done


@pytest.mark.parametrize("ever", [0, 1])
def test_what_is_shown_after_a_failed_sync_and_a_start_outlives_a_power_cut(
    story, disk, ever, record_property
):
    """Between the two the kernel shows bytes that the disk does not have."""
    turns, failed, wrong = max(1, CUTS // 4), 0, []
    for turn in range(turns):
        one = story()
        with disk(eio_at=3 + 7 * turn % 30, eio_on=ever):
            life = one.live()
            failed += bool(life.said("failed"))
            seen = len(one.acknowledged)
            if not ever:
                # The same machine, another process; it opens what the kernel shows.
                one.live(last=REPORTS - 2)
        with disk():
            wrong += [f"sync {3 + 7 * turn % 30}, {seen} acknowledged: {words}" for words in one.end()]
    record_property("power_cuts", turns)
    assert wrong == []
    assert failed == turns


def test_short_writes_are_completed(story, disk):
    one = story()
    with disk(short=1):
        assert len(one.live().said("ack")) == REPORTS
    with disk():
        assert one.end() == []
