"""Commands against a node that runs as a process."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys

from cli_projects import report, until  # isort: skip
import pytest


def parked(mfgroute):
    return mfgroute("parked", "list", "--output", "json").json


def test_an_event_is_delivered_and_traced_by_key_report_id_and_document(mfgroute, start, target):
    node = start(SAP_URL=target.url)
    assert node.ready["url"].startswith("http://127.0.0.1:")
    assert node.ready["node"] == "core-1"
    assert node.post(report(1))["accepted"] == 1
    wanted = lambda ended: ended.code == 0 and ended.out.count(": delivered") == 2  # noqa: E731
    ended = until(lambda: mfgroute("trace", "order/DE04/4711"), wanted)
    assert "com.example.production.operation.completed.v1  order/DE04/4711" in ended.out
    assert "sap: delivered as " in ended.out
    [event] = mfgroute("trace", "order/DE04/4711", "--output", "json").json["events"]
    [reference] = [one["reference"] for one in event["sinks"] if one["sink"] == "sap"]
    for query in ("A-1", event["id"], reference):
        [found] = mfgroute("trace", query, "--output", "json").json["events"]
        assert found["id"] == event["id"]
    nothing = mfgroute("trace", "order/DE04/9999")
    assert (nothing.code, nothing.out) == (1, "")
    assert "nothing is known of `order/DE04/9999`" in nothing.err
    assert node.stop() == 0


def test_a_refused_event_parks_its_key_and_goes_on_in_order_after_retry_key(mfgroute, start, target):
    target.refusing = 422
    node = start(SAP_URL=target.url)
    node.post(report(1), report(2), report(3))
    found = until(lambda: parked(mfgroute), lambda all_: len(all_) == 3)
    assert [one["cause"] for one in found] == ["refused", "behind", "behind"]
    listed = mfgroute("parked", "list")
    assert "waiting behind" in listed.out
    assert "refused" in listed.out
    inbox = mfgroute("inbox")
    assert "order/DE04/4711, 2 waiting behind" in inbox.out
    assert f"mfgroute parked show {found[0]['number']} --sink sap" in inbox.out
    shown = mfgroute("parked", "show", found[0]["number"])
    assert '"report": "A-1"' in shown.out
    for ended in (listed, inbox, shown, mfgroute("trace", "A-1"), mfgroute("inbox", "--output", "json")):
        assert "locked" in ended.out
        assert "\x1b" not in ended.out
        assert "\u202e" not in ended.out
    out_of_order = mfgroute("parked", "retry", found[1]["number"])
    assert out_of_order.code == 1
    target.refusing = None
    ended = mfgroute("parked", "retry-key", "order/DE04/4711")
    assert (ended.code, ended.out) == (0, "3 events of order/DE04/4711 go to sap again, in order\n")
    until(lambda: list(target.taken), lambda taken: len(taken) == 3)
    assert target.taken == ["A-1", "A-2", "A-3"]
    until(lambda: mfgroute("inbox").out, lambda out: out == "nothing waits for a person\n")


def test_a_stop_that_loses_parked_events_says_so(mfgroute, start, target):
    target.refusing = 422
    node = start(SAP_URL=target.url)
    node.post(report(1), report(2))
    until(lambda: parked(mfgroute), lambda all_: len(all_) == 2)
    assert node.stop() == 1
    assert any("2 events were not delivered; a memory stream loses them" in line for line in node.log)
    assert any('"set_aside":2' in line for line in node.log)


def test_a_skip_needs_a_reason_says_what_it_means_and_lets_the_key_go_on(mfgroute, start, target):
    target.refusing = 422
    node = start(SAP_URL=target.url)
    node.post(report(1), report(2))
    [first, _] = until(lambda: parked(mfgroute), lambda all_: len(all_) == 2)
    assert mfgroute("parked", "skip", first["number"]).code == 2
    empty = mfgroute("parked", "skip", first["number"], "--reason", " ")
    assert (empty.code, "the reason is empty" in empty.err) == (2, True)
    target.refusing = None
    done = mfgroute(
        "parked", "skip", first["number"], "--reason", "booked at six", "--posted-as", "4900012345"
    )
    assert done.code == 0
    assert "counts as posted by hand as 4900012345; later events of the key go on" in done.out
    assert "posted by hand as 4900012345" in mfgroute("trace", "A-1").out
    until(lambda: (mfgroute("parked", "retry-key", "order/DE04/4711"), list(target.taken))[1], bool)
    assert target.taken == ["A-2"]


def test_a_parked_event_is_edited_and_another_goes_in_its_place(mfgroute, start, target, project):
    target.refusing = 422
    node = start(SAP_URL=target.url)
    node.post(report(1), report(2))
    [first, second] = until(lambda: parked(mfgroute), lambda all_: len(all_) == 2)
    number = first["number"]
    assert mfgroute("parked", "edit", number, "--set", "/x=1").code == 2
    neither = mfgroute("parked", "edit", number, "--reason", "x")
    assert (neither.code, neither.err) == (2, "error: give either --file or --set\n")
    bad = mfgroute("parked", "edit", number, "--reason", "x", "--set", "work_center=1")
    assert (bad.code, "`--set work_center=1` is not POINTER=VALUE" in bad.err) == (2, True)
    key = mfgroute("parked", "edit", number, "--reason", "x", "--set", "/order=4712")
    assert key.code == 65
    assert key.out == (
        f"event {number} stays as it is:\n"
        "  key_changed at /order (for order): found 4712, expected 4711, as it is part of the key\n"
    )
    data = {**mfgroute("parked", "show", number, "--output", "json").json["event"]["data"], "type": "nearly"}
    file = project / "new.json"
    file.write_text(json.dumps(data))
    wrong = mfgroute("parked", "edit", number, "--reason", "x", "--file", file, "--output", "json")
    assert (wrong.code, wrong.json["rejected"][0]["pointer"]) == (65, "/type")
    target.refusing = None
    file.write_text(json.dumps({**data, "type": "partial"}))
    done = mfgroute("parked", "edit", number, "--reason", "more to come", "--file", file, "--output", "json")
    assert (done.code, done.json["supersedes"], done.json["revision"]) == (0, first["id"], 1)
    until(lambda: list(target.taken), lambda taken: taken == ["A-1", "A-2"])
    trace = mfgroute("trace", "order/DE04/4711").out
    assert f"sap: superseded by {done.json['id']}" in trace
    assert parked(mfgroute) == []
    assert second["id"] in trace


def test_parked_events_are_exported_to_a_file_that_only_its_owner_may_read(mfgroute, start, target, project):
    target.refusing = 422
    node = start(SAP_URL=target.url)
    node.post(report(1))
    until(lambda: parked(mfgroute), bool)
    assert mfgroute("parked", "export", "--to", "parked.jsonl").code == 0
    file = project / "parked.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    [line] = map(json.loads, file.read_text().splitlines())
    assert line["event"]["data"]["report"] == "A-1"
    assert json.loads(mfgroute("parked", "export").out) == line
    assert mfgroute("parked", "export", "--to", "parked.jsonl").code == 73


def test_a_paused_sink_holds_its_events_and_others_go_on(mfgroute, start, target, project):
    node = start(SAP_URL=target.url)
    assert mfgroute("pause", "sap", "--reason", "closed period").out == "sap is paused; its events wait\n"
    node.post(report(1))
    trace = until(lambda: mfgroute("trace", "A-1").out, lambda out: "log: delivered" in out)
    assert "sap: waiting to be sent" in trace
    assert target.taken == []
    assert mfgroute("resume", "sap", "--output", "json").json == {"sink": "sap", "paused": False}
    until(lambda: target.taken, bool)
    unknown = mfgroute("pause", "spa")
    assert (unknown.code, unknown.err) == (2, "error: no sink is called `spa`\n")


def test_rejects_are_mended_by_a_lookup_a_reload_and_a_retry(mfgroute, start, target, project):
    node = start(SAP_URL=target.url)
    messages = [report(1, center="P2"), report(2, center="P3"), report(3, center="P4")]
    part = project / "a.part"
    part.write_text("".join(json.dumps(one) + "\n" for one in messages))
    part.rename(project / "inbox" / "a.jsonl")
    listed = until(
        lambda: mfgroute("rejects", "list", "--output", "json").json, lambda found: len(found) == 3
    )
    assert {one["rejects"][0]["code"] for one in listed} == {"lookup_missing"}
    first, second, third = [one["number"] for one in listed]
    shown = mfgroute("rejects", "show", first)
    assert "lookup_missing at /wc" in shown.out
    assert '"id": "A-1"' in shown.out
    inbox = mfgroute("inbox").out
    assert "drops: rejected, lookup_missing (3)" in inbox
    assert f"mfgroute rejects show {first}" in inbox
    again = mfgroute("rejects", "retry", first)
    assert (again.code, "is rejected again and stays" in again.out) == (65, True)

    with (project / "lookups" / "centers.csv").open("a") as file:
        file.write("P2,20-P2\n")
    node.process.send_signal(signal.SIGHUP)
    node.logged('"reloaded"')
    bulk = mfgroute(
        "rejects", "retry", "--code", "lookup_missing", "--source", "drops", "--reason", "P2 is in"
    )
    assert bulk.code == 65
    assert bulk.out.startswith(
        "1 message admitted: 1 accepted\n"
        "2 messages rejected again: lookup_missing 2\n"
        f"message {second} of drops is rejected again and stays:\n"
    )
    assert bulk.out.endswith("2 messages still rejected\n")
    bulk = mfgroute("rejects", "retry", "--code", "lookup_missing", "--output", "json")
    assert bulk.code == 65
    answer = bulk.json
    assert [one["number"] for one in answer.pop("again")] == [second, third]
    assert answer == {
        "admitted": 0, "accepted": 0, "duplicates": 0, "filtered": 0, "refused": 2,
        "codes": {"lookup_missing": 2}, "still_rejected": 2, "stopped": None,
    }  # fmt: skip
    none = mfgroute("rejects", "retry", "--code", "bad_json")
    assert (none.code, none.out) == (0, "no rejected message matches\n")

    corrected = project / "corrected.json"
    corrected.write_text(json.dumps(report(2)))
    edited = mfgroute("rejects", "edit", second, "--message", corrected)
    assert (edited.code, edited.out) == (0, f"message {second} of drops: 1 accepted\n")
    until(lambda: sorted(target.taken), lambda taken: taken == ["A-1", "A-2"])
    assert mfgroute("rejects", "retry").code == 2
    assert mfgroute("rejects", "skip", third, "--reason", "a test").code == 0
    assert mfgroute("rejects", "list").out == "no rejected message waits\n"
    assert mfgroute("rejects", "show", 999).code == 1


def test_a_reject_can_be_edited_in_an_editor(mfgroute, start, project, target):
    start(SAP_URL=target.url)
    part = project / "a.part"
    part.write_text(json.dumps(report(1, center="P2")) + "\n")
    part.rename(project / "inbox" / "a.jsonl")
    [one] = until(lambda: mfgroute("rejects", "list", "--output", "json").json, bool)
    unchanged = mfgroute("rejects", "edit", one["number"], EDITOR="true")
    assert (unchanged.code, "was not changed" in unchanged.err) == (1, True)
    edited = mfgroute("rejects", "edit", one["number"], EDITOR="sed -i s/P2/P1/")
    assert (edited.code, "1 accepted" in edited.out) == (0, True)


def test_a_sender_that_was_told_is_kept_apart(mfgroute, start, target):
    node = start(SAP_URL=target.url)
    answer = node.post(report(1, center="P2"))
    assert answer["errors"][0]["code"] == "lookup_missing"
    assert mfgroute("rejects", "list").out == "no rejected message waits\n"
    assert "lookup_missing at /wc" in mfgroute("rejects", "list", "--answered").out


def test_a_bad_reload_keeps_the_old_plan_and_says_so(start, project, target):
    node = start(SAP_URL=target.url)
    file = project / "mfgroute.yaml"
    file.write_text(file.read_text().replace("routes:", "rotues:"))
    node.process.send_signal(signal.SIGHUP)
    node.logged("the old one goes on")
    assert node.post(report(1))["accepted"] == 1


def test_what_a_stop_leaves_undelivered_is_an_error_with_its_number(mfgroute, start, target):
    node = start("--drain", "0.2", SAP_URL=target.url)
    mfgroute("pause", "sap")
    node.post(report(1))
    inbox = mfgroute("inbox").out
    assert "sink sap is paused; 1 event waiting\n          mfgroute resume sap\n" in inbox
    assert json.loads(mfgroute("inbox", "--output", "json").out)["paused"] == [{"sink": "sap", "waiting": 1}]
    assert node.stop() == 1
    assert any("1 event was not delivered; a memory stream loses it" in line for line in node.log)


def test_ctrl_c_drains_and_leaves_no_socket(start, project, target):
    node = start(SAP_URL=target.url)
    node.post(report(1))
    assert node.stop(signal.SIGINT) == 0
    assert target.taken == ["A-1"]
    assert not (project / "data" / "control.sock").exists()


def test_a_second_node_on_one_data_folder_is_told_to_try_again(mfgroute, start, target):
    node = start(SAP_URL=target.url)
    second = mfgroute("run")
    assert second.code == 75
    assert f"is in use by process {node.process.pid}" in second.err
    assert "hint: " in second.err
    assert mfgroute("run", "--output", "json").error["exit_code"] == 75


def test_a_port_in_use_is_said_in_a_sentence(mfgroute, project):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        file = project / "mfgroute.yaml"
        file.write_text(file.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
        ended = mfgroute("run")
    assert ended.code == 69
    error = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    assert len(error) == 1
    assert str(port) in error[0]
    assert "Traceback" not in ended.err


def test_the_data_folder_can_be_named_by_the_environment(mfgroute, start, target, tmp_path):
    folder = str(tmp_path / "elsewhere")
    node = start(SAP_URL=target.url, MFGROUTE_DATA_DIR=folder)
    assert node.ready["data_dir"] == folder
    assert mfgroute("inbox").code == 69
    assert mfgroute("inbox", MFGROUTE_DATA_DIR=folder).code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("inbox",),
        ("trace", "x"),
        ("parked", "list"),
        ("rejects", "list"),
        ("pause", "sap"),
        ("resume", "sap"),
    ],
)
def test_without_a_node_a_command_says_how_to_start_one(mfgroute, arguments):
    ended = mfgroute(*arguments)
    assert ended.code == 69
    assert "no node runs on" in ended.err
    assert ended.err.splitlines()[-1] == "hint: start one with `mfgroute run`"
    assert mfgroute(*arguments, "--output", "json").error["kind"] == "NotRunning"


def test_an_operator_needs_none_of_the_secrets(mfgroute, start, target, monkeypatch):
    start(SAP_URL=target.url)
    monkeypatch.delenv("MES_TOKEN")
    assert mfgroute("inbox").code == 0


def test_a_reader_that_goes_away_ends_the_command_quietly(project):
    process = subprocess.Popen(
        [sys.executable, "-m", "mfgroute", "config", "schema"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ,
    )
    process.stdout.close()
    assert process.wait(60) == 141
    assert process.stderr.read() == b""
    process.stderr.close()
