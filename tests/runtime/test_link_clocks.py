"""Times of an edge whose clock is off, through a plant of processes."""

from datetime import UTC, datetime

import pytest
from durable_node import Target, serving
from link_nodes import Plant, command, once_and_in_order, status
from tests.engine.conftest import message
from wall_clock import DAY, WallClock

from mfgroute.api.client import Control


class Keeper(Target):
    """Keeps whole events, too."""

    def __init__(self):
        super().__init__()
        self.events = []

    def take(self, life, key, event):
        self.events.append(event)
        return super().take(life, key, event)


@pytest.fixture
def target():
    with serving(Keeper()) as one:
        yield one


@pytest.fixture
def plant(tmp_path, target):
    one = Plant(tmp_path, target.url)
    yield one
    one.close()


def days_from_now(moment):
    return round((datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds() / DAY)


@pytest.mark.parametrize("days", [1, -1])
def test_an_edge_a_day_off_delivers_once_and_in_order_and_all_three_times_are_kept(
    plant, target, tmp_path, days
):
    clock = WallClock(tmp_path)
    plant.start_core()
    clock.set(days * DAY)
    plant.start_edge(prefix=clock.prefix)
    for serial in range(10):
        plant.edge.post(message(serial, order="o", ts="2026-03-01T06:00:00Z"))
    # Its clock is set right, and then wrong the other way, while it works.
    for serial, other in ((10, 0), (11, -days)):
        clock.set(other * DAY)
        plant.edge.post(message(serial, order="o", ts="2026-03-01T06:00:00Z"))
    reports = [f"r{serial}" for serial in range(12)]
    assert target.until(reports) == set()
    assert once_and_in_order(target, "r") == set(reports)
    # The machine's time, the edge's and the core's.
    assert {event["time"] for event in target.events} == {"2026-03-01T06:00:00Z"}
    recorded = [days_from_now(event["recordedtime"]) for event in target.events]
    assert recorded == [*[days] * 10, 0, -days]
    with Control(plant.core.data) as control:
        known = control.ask("find", query="order/DE04/o")["events"]
    assert [days_from_now(event["admitted"]) for event in known] == [0] * 12
    assert {event["time"] for event in known} == {"2026-03-01T06:00:00Z"}
    # Nothing else is different: the core is ready, and nothing is counted but what is said.
    counted = status(plant.core)["stats"]["sources"]["edges"]
    assert (counted["rejected"], counted["duplicates"]) == (0, 0)
    assert plant.core.ask("GET", "/readyz")[0] == 200


def test_a_clock_that_is_off_is_said_in_status_and_log_and_is_no_failure(plant, tmp_path):
    clock = WallClock(tmp_path)
    plant.start_core()
    clock.set(DAY)
    plant.start_edge(prefix=clock.prefix)
    plant.core.logged('"event":"edge_clock_off"')
    (source,) = (part for part in status(plant.core)["parts"] if part["name"] == "edges")
    assert source["details"]["edges"][0]["clock"]["ahead_s"] == pytest.approx(DAY, abs=2.0)
    words = "its clock is 1 day ahead of ours, and so are the times that it gives its events"
    told = command(plant.core_folder, "link", "status")
    assert (told.returncode, words in told.stdout) == (0, True), told.stdout
    assert status(plant.core)["notes"] == [f"edge edge-1: {words}"]
    assert status(plant.core)["ready"]
    assert sum("edge_clock" in line for line in plant.core.log) == 1
