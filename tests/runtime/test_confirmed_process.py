"""Confirmations of a node that is killed: each effect of the target has one, in the order of its key."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from collections import defaultdict
from pathlib import Path
from urllib.parse import quote

import pytest
from durable_node import SOURCES, TOKEN, Node

import mfgroute

#: How often the node is killed; a long run sets more.
KILLS = int(os.environ.get("MFGROUTE_KILLS", "3"))
ORDERS = [f"10000{number}" for number in range(4)]
UNKNOWN = "1999999"
TEMPLATE = Path(mfgroute.__file__).parent / "packs" / "templates" / "confirmation-to-sap"
MAIN = """\
apiVersion: mfgroute/v1
packs: [canonical, effects]
node: {{id: test, site: DE04, namespace: com.example, data_dir: ./data}}
http: {{listen: "127.0.0.1:0"}}
streams:
  business: {{durability: fsync, capacity: 16MiB, when_full: block}}
sources:
  mes: {{adapter: http, mappings: [mes-completion], token: {token}}}
  confirmations: {{adapter: effects, poll_s: 0.02, batch_max: 7, mappings: [effect-posted, effect-refused]}}
sinks:
  sap: {poster}
  portal: {poster}
  log: {{adapter: files, path: ./confirmed.jsonl, owner: tests}}
routes:
  - {{name: to-sap, match: {{type: production.operation.completed/1}}, to: sap}}
  - {{name: confirmed, match: {{type: "integration.effect.>"}}, to: [log, portal]}}
"""
POSTER = (
    '{{adapter: http, url: "{url}/events", allow_private: true, effect: {{by: key, kept: 24h}}, reference: /document, '
    "retry: {{tries: 1000, delay_max: 100ms}}, limits: {{in_flight: 4}}, owner: tests}}"
)


@pytest.fixture
def erp(tmp_path):
    """The URL of a simulated ERP that knows the orders; it lives longer than any node."""
    operation = {"number": "0010", "work_center": "PRESS-7", "text": "", "confirmation_group": "1"}
    order = {
        "site": "DE04",
        "material": "100210",
        "quantity": "100000",
        "unit": "PCE",
        "start": "20261124060000",
        "operations": [operation],
    }
    setup, ready = tmp_path / "setup.json", tmp_path / "ready.json"
    setup.write_text(json.dumps({"orders": [{**order, "number": number} for number in ORDERS]}))
    command = [
        sys.executable,
        "-m",
        "mfgroute.testing.simulators",
        "erp",
        "--setup",
        setup,
        "--ready-file",
        ready,
    ]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": SOURCES})
    until(ready.exists)
    yield json.loads(ready.read_text())["url"]
    process.terminate()
    process.wait(20)


@pytest.fixture
def start(tmp_path, erp):
    """Starts nodes of one project; they are killed at the end."""
    folder, nodes = tmp_path / "project", []
    shutil.copytree(TEMPLATE, folder)
    shutil.rmtree(folder / "tests")
    (folder / "mfgroute.yaml").write_text(MAIN.format(poster=POSTER.format(url=erp), token=TOKEN))

    def of(**more):
        nodes.append(Node(folder, **more))
        assert nodes[-1].ready is not None, nodes[-1].log
        return nodes[-1]

    yield of
    for node in nodes:
        if not node.process.stdout.closed:
            node.stop(signal.SIGKILL)


def until(true, seconds=60.0):
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if true():
            return
        pause.wait(0.02)
    raise AssertionError("it never came true")


def completion(number, order):
    body = {"evt": "OP_COMPLETE", "id": f"R-{number}", "ts": "2026-11-24T07:10:00+01:00", "order": {"no": order, "op": 10},
            "wc": "PRESS-7", "state": "PART", "qty": {"good": 1, "bad": 0, "uom": "ST"}}  # fmt: skip
    return json.dumps(body).encode()


def confirmed(folder):
    """The confirmations, each once; a node that is killed may have written its last ones again."""
    path, found = folder / "confirmed.jsonl", {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # Torn by a kill, and written again below.
        assert found.setdefault(event["id"], event) == event
    return list(found.values())


def ledger(erp):
    with urllib.request.urlopen(f"{erp}/ledger", timeout=20) as answer:
        return json.loads(answer.read())


@pytest.mark.timeout(180 + 15 * KILLS)
def test_each_effect_is_confirmed_once_and_in_order_however_often_the_node_is_killed(
    start, erp, record_property
):
    dice = random.Random(os.environ.get("MFGROUTE_SEED", KILLS))
    record_property("kills", KILLS)
    number = 0

    def more(node, count):
        nonlocal number
        for _ in range(count):
            assert node.post(completion(number, ORDERS[number % len(ORDERS)]))[0] == 202
            number += 1

    for _ in range(KILLS):
        node = start()
        more(node, dice.randrange(5, 25))
        with pytest.raises(subprocess.TimeoutExpired):
            node.process.wait(dice.uniform(0, 0.4))
        node.process.kill()
        assert node.ended() == -signal.SIGKILL
    node = start()
    assert node.post(completion("unknown", UNKNOWN))[0] == 202
    more(node, 5)
    until(lambda: len(confirmed(node.folder)) >= number + 1)
    assert node.stop() == 0

    found = confirmed(node.folder)
    (refused,) = [one for one in found if one["type"].endswith("integration.effect.refused.v1")]
    assert refused["data"]["key"] == f"order/DE04/{UNKNOWN}"
    assert refused["data"]["code"] == "http_422"
    assert f"order {UNKNOWN} does not exist" in refused["data"]["reason"]
    posted = [one for one in found if one["type"].endswith("integration.effect.posted.v1")]
    assert (len(posted), len(found)) == (number, number + 1)
    assert {one["data"]["sink"] for one in found} == {"sap"}
    assert {one["data"]["by_hand"] for one in posted} == {False}

    wanted, got = defaultdict(list), defaultdict(list)
    for effect in ledger(erp)["effects"]:
        wanted[effect["key"]].append((effect["idempotency_key"], effect["document"]))
    for one in posted:
        assert one["subject"] == "effect/" + quote(one["data"]["key"], safe="")
        got[one["data"]["key"]].append((one["data"]["event"], one["data"]["reference"]))
    assert len(wanted) == len(ORDERS)
    assert got == wanted
    assert of_confirmations(node.folder) > 0


def of_confirmations(folder):
    """How many confirmations the portal was asked to take; it refused them, which nobody confirms."""
    database = sqlite3.connect(folder / "data" / "effects.db")
    query = "SELECT count(*) FROM effects WHERE sink = 'portal' AND type LIKE '%integration.effect.%' AND state = 'refused'"
    (count,) = database.execute(query).fetchone()
    database.close()
    return count
