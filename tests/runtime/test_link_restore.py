"""A core that is put back from a backup while an edge has gone on."""

import signal

import durable_node as durable
import pytest
from link_nodes import Plant, command
from tests.engine.conftest import message

target = durable.target


@pytest.fixture
def plant(tmp_path, target):
    one = Plant(tmp_path, target.url)
    yield one
    one.close()


def post(plant, target, first, last):
    for number in range(first, last):
        plant.edge.post(message(number, order="o"))
    assert target.until([f"r{number}" for number in range(first, last)]) == set()


def test_a_core_put_back_to_a_backup_of_before_is_a_fork_and_nothing_is_skipped(plant, target, tmp_path):
    plant.start_core()
    plant.start_edge()
    post(plant, target, 0, 5)
    saved = tmp_path / "saved"
    made = command(plant.core_folder, "backup", str(saved))
    assert made.returncode == 0, made.stderr
    # The edge lets go of what the core has sealed since, and the backup does not have it.
    post(plant, target, 5, 10)
    assert command(plant.edge_folder, "link", "status", "--wait", "30").returncode == 0
    plant.core.stop(signal.SIGKILL)
    (plant.core_folder / "data").rename(tmp_path / "broken")
    back = command(plant.core_folder, "restore", str(saved))
    assert back.returncode == 0, back.stderr
    plant.start_core()
    plant.edge.post(message(10, order="o"))
    plant.edge.logged("edge_link_stopped")
    plant.edge.logged("was put back")
    assert "r10" not in target.seen()
    # A person has looked: the edge begins anew, and what it still holds comes, once.
    plant.edge.stop(signal.SIGKILL)
    assert command(plant.edge_folder, "link", "renew", "--yes").returncode == 0
    plant.start_edge()
    assert target.until(["r10"]) == set()
