"""An edge and a core as processes: killed in turn, cut apart, and with copies of their folders.

What was acknowledged by the edge stands in the clients' ledger, what has arrived in the target's.
`MFGROUTE_LINK_KILLS` says how often each end is killed.
"""

import json
import os
import random
import re
import shutil
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import durable_node as durable
import pytest
from durable_node import Clients
from link_nodes import Plant, command, counters, once_and_in_order, status
from tests.engine.conftest import message

from mfgroute.adapters.zeromq.keys import create_keypair

target = durable.target
KILLS = int(os.environ.get("MFGROUTE_LINK_KILLS", "1"))


@pytest.fixture
def plant(tmp_path, target):
    one = Plant(tmp_path, target.url)
    yield one
    one.close()


@contextmanager
def posting(plant):
    """Clients that post to the edge all the time."""
    clients = Clients()
    try:
        clients.go_on(plant.edge.address)
        yield clients
    finally:
        clients.end()


def settled(plant, target, clients):
    """Everything that the edge acknowledged has arrived, once and in order."""
    missing = target.until(clients.ledger, 90)
    assert not missing, "\n".join(
        [json.dumps(status(node)["parts"]) + "\n" + log_of(node) for node in (plant.edge, plant.core)]
    )
    assert once_and_in_order(target) >= set(clients.ledger)


def open_files(node):
    return len(list(Path(f"/proc/{node.process.pid}/fd").iterdir()))


def log_of(node):
    return "".join(node.log)


@pytest.mark.timeout(120 + 40 * KILLS)
def test_nothing_is_lost_or_doubled_when_edge_and_core_are_killed_in_turn(tmp_path, target):
    # The core remembers few ids, so its mark has to do the work.
    plant = Plant(tmp_path, target.url, window=10)
    dice = random.Random(KILLS)
    try:
        plant.start_core()
        plant.start_edge()
        with posting(plant) as clients:
            for _ in range(KILLS):
                clients.more(dice.randrange(20, 120))
                plant.edge.process.kill()
                plant.edge.ended()
                plant.start_edge()
                clients.go_on(plant.edge.address)
                clients.more(dice.randrange(20, 120))
                plant.core.process.kill()
                plant.core.ended()
                clients.more(dice.randrange(1, 50))
                plant.start_core()
            clients.more(20)
        settled(plant, target, clients)
        accepted = status(plant.core)["stats"]["sources"]["edges"]
        assert accepted["rejected"] == 0
        assert "forks" not in counters(plant.core, "edges"), log_of(plant.core)
    finally:
        plant.close()


def test_a_bad_network_delays_and_nothing_else(plant, target):
    plant.start_core()
    plant.start_edge()
    with posting(plant) as clients:
        clients.more(20)
        plant.relay.cut()
        clients.more(30)
        plant.relay.mend()
        for way in ("back", "there"):
            target.until(clients.ledger, 60)
            plant.relay.passes[way] = False
            clients.more(60)
            plant.relay.mend()
        # CURVE makes of every lost, repeated, changed, late or cut byte the end of a connection.
        before = plant.relay.connections
        plant.relay.mangles = 0.05
        clients.more(150)
        target.until(clients.ledger, 5)
        plant.relay.mend()
        clients.more(20)
    settled(plant, target, clients)
    assert plant.relay.connections > before
    source = status(plant.core)["stats"]["sources"]["edges"]
    assert (source["rejected"], source["duplicates"]) == (0, 0)
    assert counters(plant.core, "edges").get("bad_frames", 0) == 0


def test_a_link_that_flaps_leaks_nothing_and_heals(plant, target):
    plant.start_core()
    plant.start_edge()
    with posting(plant) as clients:
        clients.more(10)
        target.until(clients.ledger, 60)
        files = open_files(plant.edge)
        pause = threading.Event()
        for _ in range(25):
            plant.relay.drop()
            pause.wait(0.2)  # The fault itself: a link that comes and goes at this pace.
        clients.more(10)
    settled(plant, target, clients)
    assert open_files(plant.edge) <= files + 8


def test_a_core_that_does_not_run_for_a_while_is_waited_for(plant, target):
    plant.start_core()
    plant.start_edge()
    with posting(plant) as clients:
        clients.more(20)
        plant.core.process.send_signal(signal.SIGSTOP)
        clients.more(200)
        plant.core.process.send_signal(signal.SIGCONT)
        clients.more(10)
    settled(plant, target, clients)
    assert counters(plant.core, "edges").get("beyond_credit", 0) == 0


def test_a_copy_of_an_edge_is_a_fork_and_nothing_of_it_is_merged(plant, target, tmp_path):
    plant.start_core()
    plant.start_edge()
    for number in range(20):
        plant.edge.post(message(number, order="a"))
    target.until([f"r{number}" for number in range(20)])
    assert plant.edge.stop() == 0
    copy = tmp_path / "copy"
    shutil.copytree(plant.edge_folder, copy)
    plant.start_edge()
    plant.edge.post(message(20, order="a"))
    assert target.until(["r20"]) == set()
    other = plant.start_edge(copy)
    other.post(message(900, order="b"))
    plant.core.logged('"what":"forks"')
    other.logged("edge_link_stopped")
    other.logged("a person must look")
    assert "r900" not in target.seen()
    # The stream is in quarantine also for the one that it was copied from, and after restarts of both.
    plant.edge.post(message(21, order="a"))
    plant.edge.logged("edge_link_stopped")
    for node in (plant.core, plant.edge, other):
        node.process.kill()
        node.ended()
    plant.start_core()
    plant.start_edge()
    plant.core.logged('"what":"forks"')
    assert target.seen() == {f"r{number}" for number in range(21)}
    assert counters(plant.core, "edges")["forks"] >= 1
    told = command(plant.core_folder, "link", "status")
    assert told.returncode == 1
    assert "stream business has forked" in told.stdout
    # A person decides which one goes on; the other one is refused for good.
    running = command(plant.edge_folder, "link", "renew", "--yes")
    assert (running.returncode, "is in use" in running.stderr) == (75, True)
    plant.edge.stop(signal.SIGKILL)
    assert command(plant.edge_folder, "link", "renew").returncode == 2
    assert command(plant.edge_folder, "link", "renew", "--yes").returncode == 0
    plant.start_edge()
    assert target.until(["r21"]) == set()
    plant.start_edge(copy).logged("given up came back")
    assert "r900" not in target.seen()
    assert once_and_in_order(target, "r") == {f"r{number}" for number in range(22)}


def test_link_status_says_how_both_ends_stand(plant, target):
    plant.start_core()
    told = command(plant.core_folder, "link", "status")
    assert (told.returncode, "edge edge-1: not heard since" in told.stdout) == (1, True)
    plant.start_edge()
    plant.edge.post(message(1))
    assert target.until(["r1"]) == set()
    told = command(plant.core_folder, "link", "status")
    assert (told.returncode, told.stderr) == (0, "")
    assert re.search(
        r"edge edge-1: heard [0-9.]+ s ago\n +stream business: everything up to block 1, sealed", told.stdout
    )
    told = command(plant.edge_folder, "link", "status")
    assert re.search(r"^sink core to tcp://127\.0\.0\.1:\d+: connected for", told.stdout)
    assert "nothing waits" in told.stdout
    plant.relay.cut()
    plant.edge.post(message(2))
    plant.edge.logged("disconnected")
    told = command(plant.edge_folder, "link", "status")
    assert told.returncode == 1
    assert "1 event waits here" in told.stdout
    told = json.loads(command(plant.edge_folder, "link", "status", "--output", "json").stdout)
    assert told["links"][0]["waiting"]["events"] == 1
    assert not told["links"][0]["well"]


def test_an_edge_that_sends_nothing_comes_back_after_the_core_was_away(plant, target):
    core = plant.start_core()
    plant.start_edge()
    assert command(plant.edge_folder, "link", "status", "--wait", "60").returncode == 0
    core.stop(signal.SIGKILL)
    plant.edge.logged("nothing heard from")
    plant.start_core()
    told = command(plant.edge_folder, "link", "status", "--wait", "60")
    assert (told.returncode, "connected for" in told.stdout) == (0, True)
    assert [part["state"] for part in status(plant.edge)["parts"] if part["name"] == "core"] == ["up"]
    with urlopen(f"{plant.edge.ready['url']}/metrics", timeout=60) as answer:
        assert 'mfgroute_sink_up{sink="core"} 1.0' in answer.read().decode()


def test_a_key_that_is_taken_out_of_the_list_is_refused_at_once_and_a_new_one_is_taken(plant, target):
    plant.start_core()
    plant.start_edge()
    plant.edge.post(message(1))
    assert target.until(["r1"]) == set()
    main = plant.core_folder / "mfgroute.yaml"
    revoked = main.read_text()
    _, other = create_keypair(plant.edge_folder / "keys", "next")
    main.write_text(re.sub("public:[0-9a-f]{64}", other.read_text().strip(), revoked))
    began = time.monotonic()
    plant.core.process.send_signal(signal.SIGHUP)
    plant.core.logged("edge_refused")
    assert time.monotonic() - began < 5.0
    # Nothing is sent, and still the edge knows why it is alone, and says so.
    plant.edge.logged("the core refuses this edge's key")
    told = command(plant.edge_folder, "link", "status")
    assert told.returncode == 1
    assert re.search(
        r"core refuses this edge's key public:[0-9a-f]{16}; its `edges` must have it", told.stdout
    )
    assert "sink core waits for a person" in "\n".join(status(plant.edge)["notes"])
    plant.edge.post(message(2))
    told = command(plant.core_folder, "link", "status")
    assert (told.returncode, "edge edge-1: not heard" in told.stdout) == (1, True)
    old = re.search("public:[0-9a-f]{16}", revoked)[0]
    assert re.search(rf"refused {old}: .* since the start, the last .* ago, from 127\.0\.0\.1", told.stdout)
    assert target.seen() == {"r1"}
    # The edge gets its new key in the same way: what waits goes over under it.
    main = plant.edge_folder / "mfgroute.yaml"
    main.write_text(main.read_text().replace("keys/edge-1.secret", "keys/next.secret"))
    plant.edge.process.send_signal(signal.SIGHUP)
    assert target.until(["r2"]) == set()
    assert once_and_in_order(target, "r") == {"r1", "r2"}
