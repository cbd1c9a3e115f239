"""A reversal that a person asks of a node that is killed: posted once, whenever that happens."""

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from durable_node import SOURCES, TOKEN, Node
from tests.effects.test_reverse import ROUTE, SOURCE
from tests.effects.test_s4 import MAPPINGS

from mfgroute.cli import main

MAIN = f"""\
apiVersion: mfgroute/v1
packs: [canonical, effects]
node: {{id: core-1, site: "1010", namespace: com.example, data_dir: ./data}}
http: {{listen: "127.0.0.1:0"}}
streams:
  business: {{durability: fsync, capacity: 32MiB}}
sources:
  mes: {{adapter: http, mappings: [done], token: {TOKEN}}}
{SOURCE}sinks:
  sap:
    adapter: sap
    url: URL/sap/opu/odata/sap
    auth: {{token: "0123456789abcdef"}}
    goods: listed
    EFFECT
    allow_private: true
    timeout_s: 0.5
    limits: {{timeout: 600ms, retries: {{share: 100, least: 1000/s}}}}
    retry: {{tries: 50, delay_max: 20ms}}
    owner: tests
routes:
  - {{name: confirmations, match: {{type: production.operation.completed/1}}, to: sap}}
{ROUTE}"""
OPERATION = {"number": "0010", "work_center": "PRS-7", "text": "Press", "confirmation_group": "77"}
SETUP = {
    "orders": [
        {
            "site": "1010", "number": "1004711", "material": "FG-900", "quantity": "1000", "unit": "PCE",
            "start": "20261124060000", "operations": [OPERATION],
        }
    ],
    "stock": [{"plant": "1010", "storage_location": "101A", "material": "RM-555", "batch": "L-1", "quantity": "500"}],
}  # fmt: skip
#: What the ERP does with the reversal when the node is killed: it has answered, or has posted and does not
#: answer, or has not got it.
FAULTS = {
    "answers": None,
    "has posted": {"kind": "hang", "when": "after", "path": "Cancel", "after_s": 30, "times": 1},
    "has not posted": {"kind": "hang", "when": "before", "path": "Cancel", "after_s": 30, "times": 1},
}


@pytest.fixture
def erp(tmp_path):
    """A simulated ERP that lives longer than any node."""
    setup, ready = tmp_path / "setup.json", tmp_path / "ready.json"
    setup.write_text(json.dumps(SETUP))
    command = ["-m", "mfgroute.testing.simulators", "s4", "--setup", setup, "--ready-file", ready]
    process = subprocess.Popen([sys.executable, *command], env={**os.environ, "PYTHONPATH": SOURCES})
    until(ready.exists)
    url = json.loads(ready.read_text())["url"]

    def ask(path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(url + path, data), timeout=20) as answer:
            return json.loads(answer.read())

    yield SimpleNamespace(
        url=url, ledger=lambda: ask("/ledger"), misbehave=lambda one: ask("/misbehave", one)
    )
    process.terminate()
    process.wait(20)


def until(question):
    pause = threading.Event()
    for _ in range(1_000):
        if found := question():
            return found
        pause.wait(0.04)
    raise AssertionError("it never came true")


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Commands as a person gives them in the project's folder, in this process."""
    folder = tmp_path / "project"
    (folder / "mappings").mkdir(parents=True)
    (folder / "mappings" / "done.yaml").write_text(MAPPINGS["done"])
    monkeypatch.chdir(folder)

    def of(*arguments):
        capsys.readouterr()
        code = main([*arguments, "--output", "json"])
        out, err = capsys.readouterr()
        assert code == 0, out + err
        return json.loads(out)

    return of


@pytest.mark.parametrize(
    ("effect", "faults"),
    [("effect: {by: key, kept: 12h}", ["answers", "has posted"]), ("", ["has posted", "has not posted"])],
    ids=["key", "lookup"],
)
def test_a_reversal_is_posted_once_whenever_the_node_is_killed(erp, command, effect, faults):
    folder = Path.cwd()
    (folder / "mfgroute.yaml").write_text(MAIN.replace("URL", erp.url).replace("EFFECT", effect))
    node, played = Node(folder), 0
    try:
        for number, fault in enumerate(faults):
            event = confirmed(node, command, number)
            ask = ["effects", "reverse", event, "--reason", "counted twice", "--yes"]
            if FAULTS[fault] is not None:
                erp.misbehave(FAULTS[fault])
                played += 1
            first = command(*ask)
            assert first["sent"], first
            until(lambda goal=played: erp.ledger()["misbehaved"].get("hang", 0) == goal)
            node.stop(signal.SIGKILL)
            # What was asked for is in the log, also of a node that is dead.
            second = command(*ask)
            assert (second["reversal"], second["sent"]) == (first["reversal"], False), second
            node = Node(folder)
            until(lambda ask=ask: command(*ask)["before"]["state"] == "posted")
    finally:
        node.stop(signal.SIGKILL)
    ledger = erp.ledger()
    assert ledger["counts"] == {"confirmation": len(faults), "confirmation_reversal": len(faults)}
    assert ledger["duplicates"] == 0
    totals = ledger["totals"]["1004711"]
    assert (
        totals["operations"]["0010"] | {"yield": "0.000", "confirmations": 0} == totals["operations"]["0010"]
    )
    moved = f"{2 * len(faults)}.000"
    assert totals["materials"]["RM-555"]["types"] == {"261": moved, "262": moved}


def confirmed(node, command, number):
    """Post a confirmation; answers its event."""
    body = {
        "evt": "DONE",
        "id": f"R-{number}",
        "ts": "2026-11-24T07:00:00Z",
        "order": "1004711",
        "good": "10",
    }
    used = [{"mat": "RM-555", "qty": "2"}]
    assert node.post(json.dumps(body | {"used": used}).encode())[0] == 202

    def posted():
        found = command("effects", "list", "--state", "posted")["effects"]
        new = [one["id"] for one in found if not one["reversed_by"] and not one["reverses"]]
        return new[0] if new else None

    return until(posted)
