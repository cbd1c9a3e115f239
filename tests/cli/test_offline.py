"""Commands on the data folder of a node that was stopped, killed, or that hangs."""

import base64
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

from cli_projects import PROJECT, report, until, write_project  # isort: skip
import pytest

from mfgroute.api import client
from mfgroute.cli import main
from mfgroute.runtime.lock import DataLock, holder

SAMPLED = """\
type: plant.press.sampled
version: 1.0.0
owner: tests
stream: telemetry
key: {press: [data.press]}
idempotency: [data.number]
schema:
  type: object
  required: [press, number]
  additionalProperties: false
  properties: {press: {type: string, minLength: 1}, number: {type: string, minLength: 1}}
"""
SAMPLES = """\
from: {decode: json}
when: {path: evt, equals: SAMPLE}
emit:
  - to: plant.press.sampled/1
    fields:
      press: {lookup: {table: centers, key: [{path: wc}], take: erp, missing: reject}}
      number: {path: id}
"""


def read(mfgroute, *arguments):
    """What a command prints for programs."""
    ended = mfgroute(*arguments, "--output", "json")
    assert ended.code == 0, ended.err
    return ended.json


@pytest.fixture
def project(tmp_path):
    """The project of the other tests, with durable streams."""
    text = PROJECT.replace("durability: memory, capacity: 16MiB", "durability: fsync, capacity: 64MiB")
    return write_project(tmp_path / "project", text)


class Ended:
    def __init__(self, code, captured):
        self.code, self.out, self.err = code, captured.out, captured.err

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def mfgroute(project, capsys, monkeypatch):
    """Run a command in the project's folder, in this process."""
    monkeypatch.chdir(project)

    def run(*arguments):
        capsys.readouterr()
        code = main([str(one) for one in arguments])
        return Ended(code, capsys.readouterr())

    return run


def refused(start, mfgroute, target, *, count=3):
    """A node whose target refuses: the first event is parked, the others wait behind it."""
    target.refusing = 422
    node = start("--drain", "0", SAP_URL=target.url)
    node.post(*(report(number) for number in range(1, count + 1)))
    until(lambda: read(mfgroute, "parked", "list"), lambda found: len(found) == count)
    return node


def rejected(start, project, mfgroute, target, *messages):
    """A node that has read a file of messages that it refuses."""
    node = start("--drain", "0", SAP_URL=target.url)
    part = project / "a.part"
    part.write_text("".join(json.dumps(one) + "\n" for one in messages))
    part.rename(project / "inbox" / "a.jsonl")
    until(lambda: read(mfgroute, "rejects", "list"), lambda found: len(found) == len(messages))
    return node


def settled(found):
    """Parked events by their numbers, without the moment at which that was settled or recorded."""
    return sorted(
        ({name: value for name, value in one.items() if name != "since"} for one in found),
        key=lambda one: one["number"],
    )


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_what_is_decided_without_a_node_holds_when_it_runs_again(mfgroute, start, target, end):
    node = refused(start, mfgroute, target)
    running = sorted(read(mfgroute, "parked", "list"), key=lambda one: one["number"])
    node.stop(end)
    assert settled(read(mfgroute, "parked", "list")) == settled(running)
    listed = mfgroute("parked", "list")
    assert (listed.code, listed.out.count("order/DE04/4711")) == (0, 3)
    assert "no node runs on `data`; this is what it has kept\n" in listed.err.replace("./", "")
    inbox = mfgroute("inbox")
    assert (inbox.code, "order/DE04/4711, 2 waiting behind" in inbox.out) == (0, True)
    assert read(mfgroute, "parked", "show", running[0]["number"])["event"]["data"]["report"] == "A-1"
    lines = mfgroute("parked", "export").out.splitlines()
    assert {json.loads(line)["event"]["data"]["report"] for line in lines} == {"A-1", "A-2", "A-3"}

    out_of_order = mfgroute("parked", "retry", running[1]["number"])
    assert (out_of_order.code, "comes first" in out_of_order.err) == (1, True)
    skipped = mfgroute(
        "parked", "skip", running[0]["number"], "--reason", "booked", "--posted-as", "4900012345"
    )
    assert (skipped.code, "is skipped" in skipped.out) == (0, True)
    assert "this is recorded, and done when one starts" in skipped.err
    assert read(mfgroute, "parked", "list") == []

    target.refusing = None
    start(SAP_URL=target.url)
    until(lambda: list(target.taken), lambda taken: len(taken) == 2)
    assert target.taken == ["A-2", "A-3"]


def test_a_key_that_is_retried_without_a_node_is_sent_in_order_by_the_next_one(mfgroute, start, target):
    refused(start, mfgroute, target).stop()
    again = mfgroute("parked", "retry-key", "order/DE04/4711")
    assert (again.code, again.out) == (0, "3 events of order/DE04/4711 go to sap again, in order\n")
    assert target.taken == []
    target.refusing = None
    start(SAP_URL=target.url)
    until(lambda: list(target.taken), lambda taken: len(taken) == 3)
    assert target.taken == ["A-1", "A-2", "A-3"]


def test_what_people_did_without_a_node_is_recorded_with_who_and_why(mfgroute, start, target, project):
    node = refused(start, mfgroute, target)
    node.stop()
    number = read(mfgroute, "parked", "list")[0]["number"]
    assert mfgroute("parked", "skip", number, "--reason", "cancelled at six").code == 0
    ended = mfgroute("log", "salvage", "--to", "saved", "--all", "--raw", "--output", "json")
    assert ended.code == 0
    lines = (project / "saved" / "node.raw.jsonl").read_text().splitlines()
    [act] = [text for text in map(decoded, lines) if b"parked skip" in text]
    assert b"cancelled at six" in act
    assert f"uid {os.getuid()}".encode() in act


def decoded(line):
    return base64.b64decode(json.loads(line)["bytes"])


def test_looking_changes_nothing_but_what_opening_needs(mfgroute, start, target):
    refused(start, mfgroute, target).stop()
    before = read(mfgroute, "log", "stat")["logs"]
    parked = read(mfgroute, "parked", "list")
    for looks in (
        ("inbox",),
        ("rejects", "list"),
        ("rejects", "export"),
        ("trace", "A-1"),
        ("parked", "list"),
    ):
        assert mfgroute(*looks).code == 0
    after = read(mfgroute, "log", "stat")["logs"]
    assert [one["life"] for one in after] == [one["life"] + 6 for one in before]
    assert [one["next"] for one in after] == [one["next"] for one in before]
    assert read(mfgroute, "parked", "list") == parked


def test_rejects_are_mended_retried_edited_and_skipped_without_a_node(mfgroute, start, target, project):
    messages = [report(number, center=f"P{number + 1}") for number in range(1, 5)]
    rejected(start, project, mfgroute, target, *messages).stop()
    first, second, third, fourth = [one["number"] for one in read(mfgroute, "rejects", "list")]
    again = mfgroute("rejects", "retry", first)
    assert (again.code, "is rejected again and stays" in again.out) == (65, True)
    with (project / "lookups" / "centers.csv").open("a") as file:
        file.write("P2,20-P2\n")
    assert f"message {first} of drops: 1 accepted" in mfgroute("rejects", "retry", first).out
    corrected = project / "corrected.json"
    corrected.write_text(json.dumps(report(2)))
    edited = mfgroute("rejects", "edit", second, "--message", corrected)
    assert (edited.code, edited.out) == (0, f"message {second} of drops: 1 accepted\n")
    assert mfgroute("rejects", "skip", third, "--reason", "a test").code == 0
    assert [one["number"] for one in read(mfgroute, "rejects", "list")] == [fourth]
    assert target.taken == []
    start(SAP_URL=target.url)
    until(lambda: sorted(target.taken), lambda taken: taken == ["A-1", "A-2"])
    assert [one["number"] for one in read(mfgroute, "rejects", "list")] == [fourth]


def test_nothing_is_submitted_to_a_stream_that_ends_with_the_command(mfgroute, start, target, project):
    main = project / "mfgroute.yaml"
    text = main.read_text().replace("sources:\n", "  telemetry: {durability: memory}\nsources:\n", 1)
    main.write_text(text.replace("mappings: [dropped]", "mappings: [dropped, samples]"))
    (project / "contracts").mkdir()
    (project / "contracts" / "plant.press.sampled.v1.yaml").write_text(SAMPLED)
    (project / "mappings" / "samples.yaml").write_text(SAMPLES)
    sample = {"evt": "SAMPLE", "id": "S-1", "wc": "P2"}
    rejected(start, project, mfgroute, target, sample, report(1, center="P2")).stop(signal.SIGKILL)
    with (project / "lookups" / "centers.csv").open("a") as file:
        file.write("P2,20-P2\n")
    first, second = [one["number"] for one in read(mfgroute, "rejects", "list")]
    ended = mfgroute("rejects", "retry", first)
    assert ended.code == 1
    assert "gives events of stream telemetry, which is in memory" in ended.err
    assert mfgroute("rejects", "retry", second).code == 0
    assert [one["number"] for one in read(mfgroute, "rejects", "list")] == [first]
    start(SAP_URL=target.url)
    assert mfgroute("rejects", "retry", first).code == 0


def test_a_sink_is_paused_and_resumed_without_a_node(mfgroute, start, target):
    start(SAP_URL=target.url).stop()
    assert mfgroute("pause", "sap", "--reason", "closed period").code == 0
    assert read(mfgroute, "inbox")["paused"] == [{"sink": "sap", "waiting": 0}]
    unknown = mfgroute("pause", "spa")
    assert (unknown.code, unknown.err.splitlines()[-1]) == (2, "error: no sink is called `spa`")
    node = start(SAP_URL=target.url)
    node.post(report(1))
    until(lambda: mfgroute("trace", "A-1").out, lambda out: "log: delivered" in out)
    assert target.taken == []
    assert mfgroute("resume", "sap").code == 0
    until(lambda: list(target.taken), bool)


def test_a_node_that_holds_the_folder_and_does_not_answer_is_said_with_75(project, capsys, monkeypatch):
    monkeypatch.chdir(project)
    data = project / "data"
    lock = DataLock(data)
    (data / "node").mkdir()
    wanted = f"in use by process {os.getpid()}, which does not answer on its control socket"
    for arguments in (["parked", "list"], ["rejects", "list"], ["inbox"]):
        assert main(arguments) == 75
        assert wanted in capsys.readouterr().err
    # One that takes the connection and says nothing, as a process that was stopped does.
    monkeypatch.setattr(client.Control.__init__, "__kwdefaults__", {"timeout_s": 0.05})
    with socket.socket(socket.AF_UNIX) as silent:
        monkeypatch.chdir(data)
        silent.bind("control.sock")
        monkeypatch.chdir(project)
        silent.listen()
        assert main(["inbox"]) == 75
        assert wanted in capsys.readouterr().err
    lock.release()
    assert holder(data) is None


def test_a_folder_in_which_nothing_is_kept_is_not_made_and_said_in_a_sentence(mfgroute, project):
    ended = mfgroute("parked", "list")
    assert (ended.code, "and nothing is kept there yet" in ended.err) == (69, True)
    main = project / "mfgroute.yaml"
    main.write_text(main.read_text().replace("durability: fsync", "durability: memory"))
    ended = mfgroute("inbox")
    assert (ended.code, "its streams are in memory: nothing is kept without a node" in ended.err) == (
        69,
        True,
    )
    assert not (project / "data").exists()


def test_damage_is_said_as_at_a_start(mfgroute, start, target, project):
    refused(start, mfgroute, target).stop()
    (segment,) = (project / "data" / "streams" / "business").glob("*.log")
    found = bytearray(segment.read_bytes())
    found[4096 + 100] ^= 1
    segment.write_bytes(found)
    ended = mfgroute("parked", "list")
    assert (ended.code, f"{segment.name} is damaged at byte" in ended.err) == (65, True)
    assert segment.read_bytes() == found


def test_a_folder_of_another_user_is_left_alone(mfgroute, start, target, project):
    refused(start, mfgroute, target).stop()
    if os.geteuid() != 0:
        pytest.skip("giving a folder to another user needs root")
    subprocess.run(["chown", "-R", "65534", str(project / "data")], check=True)
    before = {path: path.stat().st_mtime_ns for path in (project / "data").rglob("*")}
    ended = mfgroute("parked", "list")
    assert (ended.code, "belongs to user 65534, and this is user 0" in ended.err) == (77, True)
    assert {path: path.stat().st_mtime_ns for path in (project / "data").rglob("*")} == before


def test_a_process_that_was_stopped_is_no_node_that_ended(mfgroute, start, target):
    node = refused(start, mfgroute, target)
    there = Path(node.ready["data_dir"]) / "control.sock"
    away = there.rename(there.with_suffix(".away"))
    ended = mfgroute("parked", "list")
    assert (ended.code, f"in use by process {node.process.pid}, which does not answer" in ended.err) == (
        75,
        True,
    )
    away.rename(there)
    assert mfgroute("parked", "list").code == 0
