"""Maintenance windows: what a calendar says, and what a sink does about it."""

import asyncio
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from fakes_runtime import NODE, QUICK, FakeSink, message, settled, until
from virtual import Rig, run

from mfgroute.config import zones
from mfgroute.config.calendar import read
from mfgroute.config.convert import Notes
from mfgroute.errors import ConfigError
from mfgroute.events import Done, Retry
from mfgroute.observe import health
from mfgroute.project import load_project
from mfgroute.registry import Registry

BERLIN = ZoneInfo("Europe/Berlin")
UTC = ZoneInfo("UTC")


def calendar(folder, text, *, today=None):
    """A calendar file and its problems, as ``place: message``."""
    (folder / "calendar.yaml").write_text(text)
    document = {"sinks": {"erp": {"calendar": "calendar.yaml"}}}
    made, problems = read(document, folder, Notes("mfgroute.yaml", {}, frozenset()), today=today)
    return made.get("erp"), [f"{one.line}:{one.column} {one.severity} {one.message}" for one in problems]


def at(text, zone=BERLIN, fold=0):
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


WEEKLY = """\
zone: Europe/Berlin
windows:
  - {weekly: sunday, from: "02:00", to: "06:00"}
  - {weekly: [friday, monday], from: "22:30", to: "00:30", why: backup}
  - {from: "2026-12-24 12:00", to: "2026-12-27 06:00", why: year end}
"""


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ("2026-11-22 01:59", None),
        ("2026-11-22 02:00", "in a maintenance window until 06:00 (calendar.yaml:3)"),
        ("2026-11-22 05:59", "in a maintenance window until 06:00 (calendar.yaml:3)"),
        ("2026-11-22 06:00", None),
        ("2026-11-23 02:00", None),
        ("2026-11-23 22:30", "in a maintenance window until 2026-11-24 00:30 for backup (calendar.yaml:4)"),
        ("2026-11-24 00:29", "in a maintenance window until 00:30 for backup (calendar.yaml:4)"),
        ("2026-11-24 00:30", None),
        ("2026-12-24 11:59", None),
        ("2026-12-26 03:00", "in a maintenance window until 2026-12-27 06:00 for year end (calendar.yaml:5)"),
    ],
)
def test_a_window_is_on_from_its_first_minute_to_its_end(tmp_path, now, words):
    made, problems = calendar(tmp_path, WEEKLY)
    assert problems == []
    span = made.at(at(now))
    assert (span and span.words(at(now))) == words


def test_windows_that_touch_are_one(tmp_path):
    made, _ = calendar(
        tmp_path,
        """\
zone: UTC
windows:
  - {weekly: monday, from: "00:00", to: "24:00"}
  - {weekly: tuesday, from: "00:00", to: "02:00"}
  - {weekly: tuesday, from: "01:00", to: "03:00", zone: Europe/Berlin}
""",
    )
    span = made.at(at("2026-11-23 12:00", UTC))
    assert span.words(at("2026-11-23 12:00", UTC)) == (
        "in a maintenance window until 2026-11-24 02:00 (calendar.yaml:4)"
    )


DAILY = """\
zone: Europe/Berlin
windows:
  - {{weekly: sunday, from: "{}", to: "{}"}}
"""


@pytest.mark.parametrize(
    ("since", "until", "begins", "ends"),
    [
        # 2026-03-29: 02:00 becomes 03:00, so that 02:30 does not come.
        ("02:30", "05:00", at("2026-03-29 01:00", UTC), at("2026-03-29 03:00", UTC)),
        ("01:00", "02:30", at("2026-03-29 00:00", UTC), at("2026-03-29 01:00", UTC)),
        ("01:00", "04:00", at("2026-03-29 00:00", UTC), at("2026-03-29 02:00", UTC)),
        # 2026-10-25: 03:00 becomes 02:00, so that 02:30 comes twice.
        ("02:30", "05:00", at("2026-10-25 00:30", UTC), at("2026-10-25 04:00", UTC)),
        ("01:00", "02:30", at("2026-10-24 23:00", UTC), at("2026-10-25 01:30", UTC)),
    ],
)
def test_a_window_covers_what_it_may_mean_where_the_clocks_change(tmp_path, since, until, begins, ends):
    made, _ = calendar(tmp_path, DAILY.format(since, until))
    assert made.at(begins - 1) is None
    assert made.at(begins).until == ends
    assert made.at(ends - 1).until == ends
    assert made.at(ends) is None


def test_a_window_in_an_hour_that_does_not_come_is_none(tmp_path):
    made, _ = calendar(tmp_path, DAILY.format("02:10", "02:50"))
    change = at("2026-03-29 01:00", UTC)
    assert [made.at(change + seconds) for seconds in range(-7200, 7200, 60)] == [None] * 240
    assert made.at(at("2026-04-05 02:10")) is not None


def test_the_moment_of_a_change_is_found_to_the_second():
    for name, local, moment in [
        ("Europe/Berlin", "2026-03-29 02:30", "2026-03-29T01:00+00:00"),
        ("Australia/Lord_Howe", "2026-10-04 02:15", "2026-10-03T15:30+00:00"),
        ("Pacific/Apia", "2011-12-30 12:00", "2011-12-30T10:00+00:00"),
    ]:
        found = zones.instant(datetime.fromisoformat(local), zones.zone(name), last=False)
        assert found == datetime.fromisoformat(moment).timestamp()
    assert zones.zone("Europe/Nowhere") is zones.zone("../zones") is zones.zone("zones") is None
    assert "Europe/Berlin" in zones.names()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- 1\n", "1:1 error `the file` is a list, expected a map"),
        ("windows: []\n", "1:1 error `the file` has no `zone`"),
        ("zone: Europe/Belrin\nwindows: [{weekly: sunday, from: '1:00', to: '02:00'}]\n", "1:7 error"),
        ("zone: UTC\nwindows: []\n", "2:10 warning the calendar has no windows"),
        ("zone: UTC\nwindows:\n  - {weekly: sunnday, from: '01:00', to: '02:00'}\n", "3:14 error `sunnday`"),
        (
            "zone: UTC\nwindows:\n  - {weekly: [], from: '01:00', to: '02:00'}\n",
            "3:14 error `weekly` is empty",
        ),
        ("zone: UTC\nwindows:\n  - {weekly: sunday, from: '25:00', to: '02:00'}\n", "3:28 error `from`"),
        ("zone: UTC\nwindows:\n  - {weekly: sunday, from: '24:00', to: '02:00'}\n", "3:28 error `from`"),
        (
            "zone: UTC\nwindows:\n  - {weekly: sunday, from: '02:00', to: '02:00'}\n",
            "3:5 error the window begins",
        ),
        (
            "zone: UTC\nwindows:\n  - {from: '2026-02-30 01:00', to: '2026-03-01 02:00'}\n",
            "3:12 error `from`",
        ),
        ("zone: UTC\nwindows:\n  - {from: '01:00', to: '02:00'}\n", "3:12 error `from` is `01:00`"),
        (
            "zone: UTC\nwindows:\n  - {from: '2999-03-02 01:00', to: '2999-03-01 02:00'}\n",
            "3:36 error the window",
        ),
        (
            "zone: UTC\nwindows:\n  - {from: '2026-03-01 01:00', to: '2026-03-01 02:00'}\n",
            "3:5 warning the window is",
        ),
        (
            "zone: UTC\nwindows:\n  - {weekly: sunday, form: '01:00', to: '02:00'}\n",
            "3:22 error unknown key `form`",
        ),
        ("zone: UTC\nzone: UTC\n", "2:1 error"),
    ],
)
def test_a_mistake_in_a_calendar_is_found_at_its_place(tmp_path, text, problem):
    _, problems = calendar(tmp_path, text)
    assert any(one.startswith(problem) for one in problems), problems


SUNDAY = """\
zone: UTC
windows:
  - {weekly: sunday, from: "02:00", to: "06:00"}
"""


def wall(rig_start, moment):
    """A clock of the machine that shows `moment` when the loop's time is `rig_start`."""
    began = at(moment, UTC)
    return lambda: began + asyncio.get_running_loop().time() - rig_start + wall.step_s


wall.step_s = 0.0


@pytest.fixture(autouse=True)
def _no_step():
    wall.step_s = 0.0


def test_a_sink_finishes_what_is_under_way_and_sends_nothing_more_until_the_window_ends(tmp_path):
    made, _ = calendar(tmp_path, SUNDAY)

    async def main():
        async def answer(event):
            await asyncio.sleep(20)
            return Done()

        async with Rig(answer, calendar=made, wall=wall(1000.0, "2026-11-22 01:59:50")) as rig:
            rig.engine.add(*(f"e{number}" for number in range(40)))
            await asyncio.sleep(60)
            assert len(rig.sent) == 4
            assert [how for _, _, how in rig.engine.history] == ["done"] * 4
            said = health.check([rig.pulse], {"erp": 36})
            assert said.ready
            assert said.notes == ["sink erp is in a maintenance window until 06:00 (calendar.yaml:3)"]
            assert rig.pulse.held_by == "window"
            await asyncio.sleep(4 * 3600 - 60)
            assert len(rig.sent) == 4
            await asyncio.sleep(13)
            assert len(rig.sent) == 8
            assert health.check([rig.pulse], {"erp": 36}).ready
            assert rig.pulse.held_by == ""

    run(main)


def test_an_event_that_becomes_due_within_a_window_waits_for_its_end(tmp_path):
    made, _ = calendar(tmp_path, SUNDAY)

    async def main():
        async def answer(event):
            return Done() if len(rig.sent) > 1 else Retry(after_s=30.0, reason="503")

        rig = Rig(answer, calendar=made, wall=wall(1000.0, "2026-11-22 01:59:50"))
        async with rig:
            rig.engine.add("a")
            await asyncio.sleep(4 * 3600 + 8)
            assert len(rig.sent) == 1
            await asyncio.sleep(5)
            assert [how for _, _, how in rig.engine.history] == ["retry", "done"]

    run(main)


def test_a_sink_that_starts_in_a_window_does_not_connect_before_it_ends(tmp_path):
    made, _ = calendar(tmp_path, SUNDAY)

    async def main():
        async def answer(event):
            return Done()

        async with Rig(answer, calendar=made, wall=wall(1000.0, "2026-11-22 03:00:00")) as rig:
            rig.engine.add("a")
            await asyncio.sleep(3 * 3600 - 1)
            assert (rig.pulse.state, rig.sent) == ("starting", [])
            assert health.check([rig.pulse], {"erp": 1}).ready
            await asyncio.sleep(2)
            assert (rig.pulse.state, len(rig.sent)) == ("up", 1)

    run(main)


@pytest.mark.parametrize(("step_s", "sent"), [(-7200, 1), (3 * 3600, 1), (60, 0)])
def test_a_clock_that_is_set_begins_and_ends_windows(tmp_path, step_s, sent):
    made, _ = calendar(tmp_path, SUNDAY)

    async def main():
        async def answer(event):
            return Done()

        async with Rig(answer, calendar=made, wall=wall(1000.0, "2026-11-22 03:30:00")) as rig:
            rig.engine.add("a")
            await asyncio.sleep(10)
            assert rig.sent == []
            wall.step_s = step_s
            await asyncio.sleep(1)
            assert len(rig.sent) == sent
            wall.step_s = 0.0
            rig.engine.add("b")
            await asyncio.sleep(10)
            assert len(rig.sent) == sent, "it is 03:30 again"

    run(main)


def test_another_calendar_is_followed_at_once(tmp_path):
    made, _ = calendar(tmp_path, SUNDAY)
    other, _ = calendar(tmp_path, SUNDAY.replace("sunday", "monday"))

    async def main():
        async def answer(event):
            return Done()

        async with Rig(answer, calendar=made, wall=wall(1000.0, "2026-11-22 03:30:00")) as rig:
            rig.engine.add("a")
            await asyncio.sleep(10)
            rig.deliver.follow(other)
            await asyncio.sleep(1)
            assert len(rig.sent) == 1
            rig.deliver.follow(made)
            rig.engine.add("b")
            await asyncio.sleep(10)
            assert len(rig.sent) == 1
            rig.deliver.follow(None)
            await asyncio.sleep(1)
            assert len(rig.sent) == 2

    run(main)


TWO = (
    NODE
    + """\
streams:
  business: {durability: memory, capacity: 16MiB}
sources:
  plant: {adapter: fake}
sinks:
  erp: {adapter: fake, calendar: calendar.yaml}
  wms: {adapter: fake}
routes:
  - {name: all, match: {type: ">"}, to: [erp, wms]}
"""
)
ALWAYS = """\
zone: UTC
windows:
  - {weekly: [monday, tuesday, wednesday, thursday, friday, saturday, sunday], from: "00:00", to: "24:00"}
"""


@pytest.mark.usefixtures("fake_core")
async def test_only_the_sink_with_the_calendar_pauses_and_a_reload_takes_a_changed_one(router, project):
    folder = project(TWO)
    (folder / "calendar.yaml").write_text(ALWAYS)
    async with router(TWO) as node:
        await node.submit("plant", [message("a")])
        await settled(node, 1)
        assert FakeSink.opened == 1
        pulses = {pulse.name: pulse for pulse in node.pulses()}
        assert (pulses["erp"].held_by, pulses["wms"].held_by) == ("window", "")
        assert pulses["erp"].as_dict()["held"].endswith("(calendar.yaml:3)")
        assert node.queued()["erp"] == 1
        (folder / "calendar.yaml").write_text("zone: UTC\nwindows: []\n")
        (warning,) = await node.reload()
        assert (warning.file, warning.line) == ("calendar.yaml", 2)
        await settled(node, 2)
        assert {pulse.name: pulse for pulse in node.pulses()}["wms"] is pulses["wms"]


@pytest.mark.usefixtures("fake_core")
async def test_a_stop_does_not_wait_for_the_end_of_a_window(router, project):
    (project(TWO) / "calendar.yaml").write_text(ALWAYS)
    async with router(TWO) as node:
        await node.submit("plant", [message("a")])
        await until(lambda: FakeSink.written == ["a"])
        began = asyncio.get_running_loop().time()
        assert await node.stop() == 1
        assert asyncio.get_running_loop().time() - began < QUICK.drain_timeout_s


def test_the_project_is_refused_with_the_line_of_the_calendar(tmp_path):
    folder = tmp_path
    (folder / "mfgroute.yaml").write_text(
        NODE
        + "streams: {business: {durability: memory}}\n"
        + "sinks: {log: {adapter: console, calendar: calendar.yaml}}\n"
    )
    with pytest.raises(ConfigError, match=r"cannot read the calendar `calendar\.yaml`: No such file"):
        load_project(folder, adapters=Registry())
    (folder / "calendar.yaml").write_text(
        "zone: UTC\nwindows:\n  - {weekly: noday, from: '01:00', to: '02:00'}\n"
    )
    with pytest.raises(ConfigError, match="`noday` is no day of the week"):
        load_project(folder, adapters=Registry())
    (folder / "calendar.yaml").write_text(SUNDAY)
    project = load_project(folder, adapters=Registry())
    assert len(project.model.sinks["log"].calendar.windows) == 1
