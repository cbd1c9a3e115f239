"""A node that dies, or is told of an error, at single system calls of a life; then it starts again.

The story of each life is the same: events that fill, seal and free segments, a reject, a parked event that others of its
key wait behind, a pause, settlements. The first run of it is written down, and each call that changes the data folder or
makes it durable is a point at which a fault is put in.
"""

import os
import shutil
import signal

import pytest

from tests.torture import traced
from tests.torture.ledgers import REPORTS, Story, write_project


def points_wanted(few):
    """How many points a test visits; `MFGROUTE_SYSCALLS=all` visits each."""
    chosen = os.environ.get("MFGROUTE_SYSCALLS", "")
    return None if chosen == "all" else int(chosen or few)


pytestmark = pytest.mark.timeout(7_200 if os.environ.get("MFGROUTE_SYSCALLS") else 120)
KILL = "signal=SIGKILL"


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """Tells new stories in one place, where names are the same each time."""
    traced.need()
    place = tmp_path_factory.mktemp("calls")
    project = write_project(place / "project")

    def of(data=None):
        shutil.rmtree(place / "data", ignore_errors=True)
        if data is not None:
            shutil.copytree(data, place / "data")
        return Story(project, place / "data")

    return of


def recorded(one, out, **more):
    """The points of the next life of a story."""
    life = one.live(prefix=traced.recording(out), **more)
    assert life.code == 0, life.errors
    found = traced.points(out, one.data)
    assert {"fdatasync", "fsync", "pwrite64"} <= {point.call for point in found}
    return found


@pytest.fixture(scope="module")
def found(story, tmp_path_factory):
    """The points of a first life, in which nothing went wrong."""
    one = story()
    points = recorded(one, tmp_path_factory.mktemp("record") / "calls")
    assert len(one.acknowledged) == REPORTS
    assert one.end() == []
    return points


def killed(life):
    """Whether the fault was met; some lives do without one call or the other."""
    assert life.code in (0, -signal.SIGKILL), life.errors
    return life.code == -signal.SIGKILL


def test_a_story_without_faults_uses_every_kind_of_call(found):
    called = {point.call.removesuffix("at") for point in found}
    assert {"open", "pwrite64", "fdatasync", "fsync", "rename", "mkdir"} <= called
    # A segment leaves its log: it goes, or is to be written anew.
    assert any(point.call.startswith(("unlink", "rename")) and point.path.endswith(".log") for point in found)


def test_killed_at_system_calls_nothing_is_lost(story, found, record_property):
    chosen, met, wrong = traced.spread(found, points_wanted(12)), 0, []
    for point in chosen:
        one = story()
        met += killed(one.live(prefix=point.prefix(KILL)))
        wrong += [f"{point}: {words}" for words in one.end()]
    record_property("kills", met)
    assert wrong == []
    assert met >= len(chosen) * 0.8


def test_killed_again_and_again_while_it_starts_nothing_is_lost(story, tmp_path, record_property):
    first = story()
    first.live(last=12, prefix=traced.any_file("fdatasync", 40, KILL))
    kept = shutil.copytree(first.data, tmp_path / "kept")

    def old():
        one = story(kept)
        one.lives = list(first.lives)
        return one

    one = old()
    found = recorded(one, tmp_path / "calls", last=len(one.acknowledged))
    chosen, met, wrong = traced.spread(found, points_wanted(3)), 0, []
    for number, point in enumerate(chosen):
        one = old()
        met += killed(one.live(prefix=point.prefix(KILL)))
        met += killed(one.live(prefix=traced.any_file("fdatasync", 1 + number % 7, KILL)))
        met += killed(one.live(prefix=traced.any_file("fsync", 1 + number % 5, KILL)))
        wrong += [f"{point}: {words}" for words in one.end()]
    record_property("kills", met)
    assert wrong == []
    assert met >= len(chosen) * 2


def of_a_log(found, *calls):
    """Points on segments in use: not on those that are prepared."""
    return [point for point in found if point.call in calls and point.path.endswith(".log")]


def test_after_a_sync_that_failed_nothing_is_acknowledged_until_a_start(
    story, found, tmp_path, record_property
):
    chosen, wrong = traced.spread(of_a_log(found, "fdatasync"), points_wanted(3)), []
    for point in chosen:
        one = story()
        life = one.live(prefix=point.prefix("error=EIO", tmp_path / "faults"))
        assert life.code == 0, life.errors
        for at in traced.injected(tmp_path / "faults")[:1]:
            after = [line["ack"] for line in life.said("ack") if line["sent"] > at]
            wrong += [f"{point}: {after} acknowledged after the fault"] if after else []
        wrong += [f"{point}: {words}" for words in one.end()]
    record_property("faults", len(chosen))
    assert wrong == []


@pytest.mark.parametrize("fault", ["EIO", "ENOSPC"])
def test_any_call_that_fails_loses_nothing(story, found, record_property, fault):
    chosen, wrong = traced.spread(found, points_wanted(3)), []
    for point in chosen:
        one = story()
        life = one.live(prefix=point.prefix(f"error={fault}"))
        wrong += [f"{point}: the life ended with {life.code}"] if life.code < 0 else []
        wrong += [f"{point}: {words}" for words in one.end()]
    record_property("faults", len(chosen))
    assert wrong == []


def test_writes_that_are_interrupted_are_done_again(story, tmp_path, record_property):
    one = story()
    life = one.live(prefix=traced.any_file("pwrite64", "1+2", "error=EINTR", tmp_path / "faults"))
    faults = traced.injected(tmp_path / "faults")
    record_property("faults", len(faults))
    assert len(faults) > REPORTS
    assert len(life.said("ack")) == REPORTS, life.said("failed")
    assert one.end() == []


def test_while_a_sync_takes_two_seconds_nothing_is_acknowledged(story, found, tmp_path):
    # The third of the stream's first segment: reports are sent one after the other, so a report waits for it. Nobody
    # waits for the node's own log.
    (point, *_) = [
        point for point in of_a_log(found, "fdatasync") if "/node/" not in point.path and point.number == 3
    ]
    one = story()
    life = one.live(prefix=point.prefix("delay_exit=2000000", tmp_path / "faults"))
    (at,) = traced.injected(tmp_path / "faults")
    # What was synced before may still be on its way to the client.
    early = [line for line in life.said("ack") if line["sent"] > at and line["answered"] < at + 1.9]
    assert early == []
    assert len(life.said("ack")) == REPORTS
    assert max(line["answered"] - line["sent"] for line in life.said("ack")) > 1
    assert one.end() == []
