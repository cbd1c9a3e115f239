"""Replays of a running node: what was delivered goes out again, whole, in order, and only where it was told to.

The target's ledger says what has arrived; each node that sends tells it which life it is in.
"""

import json
import re
import signal
import subprocess
import sys
from collections import Counter, defaultdict

import pytest
from durable_node import SOURCES, Node, Target, serving, write_project
from tests.engine.conftest import message

ORDERS, REPORTS = 3, 4
ALL = ORDERS * REPORTS


@pytest.fixture
def target():
    with serving(Target()) as one:
        yield one


@pytest.fixture
def project(tmp_path, target):
    folder = write_project(tmp_path / "project", target.url)
    main = folder / "mfgroute.yaml"
    text = main.read_text()
    more = (
        "  archive: {adapter: files, path: ./out/archive.jsonl, owner: tests}\n"
        f'  blind: {{adapter: http, url: "{target.url}9", allow_private: true, owner: tests, '
        "effect: {by: none, accept: at_most_once}}\n"
    )
    main.write_text(text.replace("routes:\n", more + "routes:\n"))
    return folder


@pytest.fixture
def start(project):
    nodes = []

    def of():
        nodes.append(Node(project, life=len(nodes)))
        assert nodes[-1].ready is not None, nodes[-1].log
        return nodes[-1]

    yield of
    for node in nodes:
        if not node.process.stdout.closed:
            node.stop(signal.SIGKILL)


@pytest.fixture
def delivered(start, target):
    """A node that has delivered everything it was given."""
    node = start()
    wanted = [(order, report) for report in range(REPORTS) for order in range(ORDERS)]
    for order, report in wanted:
        status, _, _ = node.post(message(0, order=str(4700 + order), id=f"{order}-{report}"), "?ack=durable")
        assert status == 202
    assert not target.until({f"{order}-{report}" for order, report in wanted})
    return node


def replay(project, *arguments, code=0):
    """Runs the command; answers its document."""
    done = subprocess.run(
        [sys.executable, "-m", "mfgroute", "replay", "--output", "json", *arguments],
        cwd=project,
        check=False,
        env={"PYTHONPATH": SOURCES, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout or done.stderr)


def settled(project):
    """Waits until no replay is under way."""
    while found := replay(project, "--status"):
        assert found[0]["left"] + found[0]["delivered"] <= ALL


def by_order(arrivals):
    orders = defaultdict(list)
    for _, _, order, report in arrivals:
        orders[order].append(report)
    return dict(orders)


def test_a_dry_run_says_how_many_where_to_and_what_the_target_has_seen(delivered, project, target):
    before = list(target.arrivals)
    found = replay(project, "--sink", "erp", "--effects", "--dry-run")
    assert (found["events"], found["sent"], found["seen"]) == (ALL, ALL, ALL)
    assert (found["first"]["offset"], found["last"]["offset"]) == (0, ALL - 1)
    found = replay(project, "--sink", "erp", "--to", "archive", "--dry-run")
    assert (found["sent"], found["seen"]) == (ALL, 0)
    found = replay(project, "--sink", "erp", "--dry-run")
    assert found["file"] == f"replay-erp-0-{ALL - 1}.jsonl"
    assert target.arrivals == before
    assert not list(project.glob("*.jsonl"))


def test_with_effects_the_same_ids_arrive_again_in_order_per_order(delivered, project, target):
    first = list(target.arrivals)
    answer = replay(project, "--sink", "erp", "--effects", "--reason", "restored")
    assert (answer["started"], answer["sent"]) == (True, ALL)
    settled(project)
    again = target.arrivals[len(first) :]
    assert Counter(key for _, key, _, _ in again) == Counter(key for _, key, _, _ in first)
    assert by_order(again) == by_order(first)


def test_without_a_place_everything_is_written_to_the_file_that_the_dry_run_named(delivered, project, target):
    before = list(target.arrivals)
    named = replay(project, "--sink", "erp", "--dry-run")["file"]
    assert replay(project, "--sink", "erp")["events"] == ALL
    events = [json.loads(line) for line in (project / named).read_text().splitlines()]
    assert [event["id"] for event in events] == [
        key for _, key, _, _ in sorted(before, key=lambda one: one[3][2:] + one[3][0])
    ]
    refused = replay(project, "--sink", "erp", code=74)
    assert "exists already" in refused["error"]["message"]
    assert target.arrivals == before


def test_another_sink_gets_the_past_of_one_order_from_an_offset_on(delivered, project, target):
    before = list(target.arrivals)
    replay(
        project, "--sink", "erp", "--to", "archive", "--key", "order/DE04/4701",
        "--from", "business@3", "--until", "business@9", "--reason", "new archive",
    )  # fmt: skip
    settled(project)
    lines = (project / "out/archive.jsonl").read_text().splitlines()
    assert [json.loads(line)["data"]["report"] for line in lines] == ["1-1", "1-2"]
    assert target.arrivals == before


def test_a_replay_goes_on_after_a_kill_and_nothing_is_left_out(delivered, project, target, start):
    first = len(target.arrivals)
    replay(project, "--sink", "erp", "--effects", "--rate", "4/s", "--reason", "restored")
    with target._changed:
        assert target._changed.wait_for(lambda: len(target.arrivals) >= first + 2, 60)
    delivered.stop(signal.SIGKILL)
    start()
    settled(project)
    again = target.arrivals[first:]
    assert {key for _, key, _, _ in again} == {key for _, key, _, _ in target.arrivals[:first]}
    assert {life for life, _, _, _ in again} == {0, 1}
    # Only what was in flight when the node died came once more.
    assert len(again) <= ALL + ORDERS
    for reports in by_order(again).values():
        assert sorted(set(reports)) == list(dict.fromkeys(reports))


def test_while_one_is_under_way_another_is_refused_and_it_can_be_stopped(delivered, project):
    replay(project, "--sink", "erp", "--effects", "--rate", "1/h", "--reason", "one")
    refused = replay(project, "--sink", "erp", "--effects", "--reason", "two", code=1)
    assert "a replay is under way" in refused["error"]["message"]
    assert replay(project, "--status")[0]["about"] == {"sink": "erp"}
    assert replay(project, "--stop", "erp", "--reason", "enough")["left"] >= ALL - 1
    assert replay(project, "--status") == []


def test_a_target_that_cannot_recognise_an_event_does_not_get_it_twice(delivered, project, target):
    answer = replay(project, "--sink", "erp", "--to", "blind", "--reason", "new")
    assert (answer["sent"], answer["seen"]) == (ALL, 0)
    settled(project)
    assert sum(life == 9 for life, _, _, _ in target.arrivals) == ALL
    refused = replay(project, "--sink", "erp", "--to", "blind", "--reason", "again", code=1)
    assert re.search(
        f"has delivered {ALL} of these events and cannot recognise them", refused["error"]["message"]
    )
    assert sum(life == 9 for life, _, _, _ in target.arrivals) == ALL


def test_a_filter_chooses_and_a_wrong_one_says_what_is_wrong(delivered, project):
    one = replay(project, "--sink", "erp", "--filter", 'data.order == "4702"', "--dry-run")
    assert one["events"] == REPORTS
    wrong = replay(project, "--sink", "erp", "--filter", 'data.ordr == "4702"', "--dry-run", code=1)
    assert "has no field ordr" in wrong["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "`--sink` is missing"),
        (["--sink", "erp", "--effects", "--to", "archive"], "exclude each other"),
        (["--sink", "erp", "--to", "erp"], "is the sink itself"),
        (["--sink", "erp", "--from", "yesterday"], "no moment and no offset"),
        (["--sink", "erp", "--from", "2026-11-21T06:00:00"], "without a zone"),
        (["--sink", "erp", "--from", "business@x"], "is no offset"),
        (["--sink", "erp", "--from", "a@1", "--until", "b@2"], "two streams"),
        (["--sink", "erp", "--rate", "fast"], "--rate fast"),
        (["--sink", "erp", "--effects"], "needs `--reason`"),
        (["--stop", "erp"], "needs `--reason`"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_before_a_node_is_asked(project, arguments, said):
    assert said in replay(project, *arguments, code=2)["error"]["message"]


def test_an_unknown_sink_or_stream_is_named(delivered, project):
    assert "no sink srp" in replay(project, "--sink", "srp", "--dry-run", code=2)["error"]["message"]
    found = replay(project, "--sink", "erp", "--from", "busines@1", "--dry-run", code=2)
    assert "no stream busines" in found["error"]["message"]
