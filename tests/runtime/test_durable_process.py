"""A node with durable streams as a process: killed, stopped, started twice, and with a disk that fails.

What is acknowledged stands in the client's ledger, what has arrived in the target's; neither is the node's.
"""

import os
import random
import resource
import signal
import subprocess
import threading
from collections import defaultdict
from itertools import groupby, pairwise

import durable_node as durable
import pytest
from durable_node import CLIENTS, ORDERS, TOKEN, Clients, fill, write_project
from tests.engine.conftest import CONTRACT, MAPPING, message

from mfgroute.api.client import Control

mount, project, start, target = durable.mount, durable.project, durable.start, durable.target
#: How often the node is killed; a long run sets more.
KILLS = int(os.environ.get("MFGROUTE_KILLS", "30"))


@pytest.mark.timeout(120 + 15 * KILLS)
def test_whatever_was_acknowledged_arrives_in_order_however_often_the_node_is_killed(
    start, target, record_property
):
    dice = random.Random(os.environ.get("MFGROUTE_SEED", KILLS))
    record_property("kills", KILLS + KILLS // 3)
    clients = Clients()
    try:
        for turn in range(KILLS):
            node = start()
            clients.go_on(node.address)
            clients.more(dice.randrange(1, 150))
            node.process.kill()
            node.ended()
            if turn % 3 == 2:
                young = start(wait=False, ready=False)
                try:
                    young.process.wait(dice.uniform(0.1, 1.5))
                except subprocess.TimeoutExpired:
                    young.process.kill()
                assert young.ended() == -signal.SIGKILL
        node = start()
        clients.go_on(node.address)
        clients.more(10)
    finally:
        clients.end()
    assert target.until(clients.ledger) == set()
    assert clients.levels == {"durable"}
    assert node.stop() == 0
    by_order = defaultdict(list)
    for life, key, order, report in target.arrivals:
        by_order[order].append((life, key, int(report.partition("-")[2])))
    assert len(by_order) == CLIENTS * ORDERS
    for arrivals in by_order.values():
        # An event that comes again does so next, from a later life of the node, and is the same event.
        serials = [serial for _, _, serial in arrivals]
        assert [serial for serial, _ in groupby(serials)] == sorted(set(serials))
        for (life, key, serial), (later, again, next_serial) in pairwise(arrivals):
            assert (key == again) == (serial == next_serial)
            assert serial != next_serial or life < later


def test_answers_name_the_level_that_was_waited_for(start):
    node = start()
    for number, (query, level) in enumerate(
        [("", "durable"), ("?ack=durable", "durable"), ("?ack=sealed", "sealed"), ("?ack=memory", "memory")]
    ):
        status, _, receipt = node.post(message(number), query)
        assert (status, receipt["accepted"], receipt["level"]) == (202, 1, level)
    assert node.post(message(9), "?ack=effect")[0] == 400


def test_sigterm_with_a_backlog_ends_well_and_the_rest_is_delivered_after_the_next_start(start, target):
    target.closed = True
    node = start("--drain", "0.2")
    for number in range(20):
        assert node.post(message(number, order=str(number)))[0] == 202
    assert node.stop() == 0
    assert any('"event":"stopped; the rest is delivered after the next start"' in line for line in node.log)
    assert target.arrivals == []
    target.closed = False
    start()
    assert target.until(f"r{number}" for number in range(20)) == set()


def add_memory_stream(project):
    """A source whose events go to a stream in memory, to the same sink."""
    main = project / "mfgroute.yaml"
    text = main.read_text().replace("sources:\n", "  telemetry: {durability: memory}\nsources:\n")
    text = text.replace(
        "sinks:\n", "  meter: {adapter: http, mappings: [meter], token: " + TOKEN + "}\nsinks:\n"
    )
    main.write_text(text.replace("production.operation.completed/1", '"production.>"'))
    made = {"contracts/production.operation.sampled.v1": CONTRACT, "mappings/meter": MAPPING}
    for name, content in made.items():
        changed = content.replace("operation.completed", "operation.sampled").replace(
            ": business", ": telemetry"
        )
        (project / f"{name}.yaml").write_text(changed)


def test_a_stop_counts_only_what_memory_streams_lose(start, project, target):
    add_memory_stream(project)
    target.closed = True
    node = start("--drain", "0.2")
    for number in range(3):
        assert node.post(message(number, order=str(number)))[2]["level"] == "durable"
    status, _, receipt = node.ask("POST", "/v1/sources/meter", message(9, order="9"))
    assert (status, receipt["level"]) == (202, "memory")
    assert node.stop() == 1
    assert node.error["message"] == "1 event was not delivered; a memory stream loses it"
    node = start("--drain", "0.2")
    assert node.stop() == 0
    target.closed = False
    start()
    assert target.until({"r0", "r1", "r2"}) == set()
    assert "r9" not in target.seen()


def test_a_second_node_on_one_data_folder_ends_with_75_and_the_first_goes_on(start, target):
    node = start()
    second = start(ready=False)
    assert second.ended() == 75
    assert second.error["message"].endswith(f"is in use by process {node.process.pid}")
    assert node.post(message(1))[2]["level"] == "durable"
    assert target.until({"r1"}) == set()


def test_a_full_disk_answers_503_keeps_what_it_acknowledged_and_goes_on_once_there_is_room(
    start, project, target, mount
):
    disk = mount(96)
    write_project(project, target.url, data=disk / "data", capacity="64MiB")
    node = start()
    fill(disk / "ballast")
    acknowledged, text = [], "x" * 200_000
    for number in range(200):
        status, headers, document = node.post(message(number, text=text, order=str(number)))
        if status != 202:
            break
        acknowledged.append(f"r{number}")
    assert (status, headers["Retry-After"]) == (503, "1")
    assert "waits for room on the disk" in document["detail"]
    assert acknowledged
    assert target.until(acknowledged) == set()
    (disk / "ballast").unlink()
    status = until_taken(node, message(1000, order="1000"))
    assert status == 202
    assert target.until({"r1000"}) == set()
    assert node.stop() == 0


def test_on_a_full_disk_events_that_are_refused_wait_for_a_person_and_none_is_lost(
    start, project, target, mount
):
    disk = mount(96)
    write_project(project, target.url, data=disk / "data", capacity="64MiB")
    target.closed, target.says = True, 422
    node = start()
    fill(disk / "ballast")
    acknowledged, text = [], "x" * 200_000
    for number in range(200):
        status, headers, _ = node.post(message(number, text=text, order=str(number)))
        if status != 202:
            break
        acknowledged.append(f"r{number}")
    assert (status, headers["Retry-After"]) == (503, "1")
    # The segments that were there hold most requests and what became of them; the last may find no room, and wait.
    assert until_parked(node, len(acknowledged) * 3 // 4)
    node.process.kill()
    node.ended()
    (disk / "ballast").unlink()
    node = start()
    assert until_parked(node, len(acknowledged))
    target.closed = False
    for one in parked(node, verb="list"):
        parked(node, verb="retry-key", sink="erp", key=one["key"], who="ann")
    assert target.until(acknowledged) == set()
    assert until_taken(node, message(1000, order="1000")) == 202
    assert target.until({"r1000"}) == set()
    assert node.stop() == 0


def parked(node, **request):
    """What a node answers to a question about parked events."""
    with Control(node.data) as control:
        return control.ask("dead_letters", request={"kind": "parked", **request})


def until_parked(node, count):
    """Wait until so many events or more wait for a person, all of them refused."""
    pause = threading.Event()
    for _ in range(600):
        causes = [one["cause"] for one in parked(node, verb="list")]
        if len(causes) >= count:
            return set(causes) == {"refused"}
        pause.wait(0.1)
    return False


def until_taken(node, body):
    """Post a message, and again as long as the answer is to come again."""
    pause = threading.Event()
    for _ in range(60):
        status, headers, _ = node.post(body)
        if status != 503:
            break
        pause.wait(float(headers["Retry-After"]))
    return status


def test_after_a_write_that_failed_the_node_is_not_ready_and_a_start_delivers_what_was_acknowledged(
    start, target
):
    target.closed = True
    node = start("--drain", "0.2")
    assert node.post(message(1))[0] == 202
    assert node.ask("GET", "/readyz")[0] == 200
    # No write of this process may go beyond the head of a segment from now on.
    _, most = resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (4096, most))
    status, _, document = node.post(message(2, order="4712"))
    assert status == 503
    assert "takes nothing more, since a write failed" in document["detail"]
    status, _, document = node.ask("GET", "/readyz")
    assert status == 503
    assert any("since its log failed" in problem for problem in document["problems"])
    assert node.ask("GET", "/livez")[0] == 200
    node.stop()
    target.closed = False
    node = start()
    assert node.ask("GET", "/readyz")[0] == 200
    assert node.post(message(2, order="4712"))[0] == 202
    assert target.until({"r1", "r2"}) == set()
