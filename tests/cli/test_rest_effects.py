"""A node that is killed while it posts to a system with a REST interface: every event has one effect, in order."""

import json
import signal
import urllib.request
from collections import Counter, defaultdict

import pytest
from cli_projects import ledger, report, start_simulator, until, write_project

COUNT, ORDERS = 36, 9
MAIN = """\
apiVersion: mfgroute/v1
packs: [canonical]
node: {id: core-1, site: DE04, namespace: com.example, data_dir: ./data}
http: {listen: "127.0.0.1:0"}
streams:
  business: {durability: fsync}
sources:
  mes: {adapter: http, mappings: [done], token: "${MES_TOKEN}"}
sinks:
  wms:
    adapter: http
    url: "${WMS_URL}/api"
    allow_private: true
    retry: {tries: 1000, delay_max: 50ms}
    limits: {timeout: 2s}
    owner: warehouse-it
SINK
routes:
  - {name: to-wms, match: {type: ">"}, to: wms}
"""
BODY = "{reference: '{key}', order: '{data.order}', report: '{data.report}', quantity: '{data.quantity.good|number}'}"
SINKS = {
    "lookup": f"""\
    effect: {{by: lookup}}
    requests:
      - type: production.operation.completed/1
        path: /receipts
        body: {BODY}
    ask: {{path: "/receipts?reference={{key}}", list: /items, match: /reference, reference: /number}}
    reference: /number
""",
    "upsert": f"""\
    effect: {{by: upsert}}
    requests:
      - method: PUT
        path: /receipts/{{key}}
        body: {BODY}
    reference: /number
""",
    "jobs": f"""\
    effect: {{by: lookup}}
    requests:
      - path: /receipts
        headers: {{Prefer: respond-async}}
        body: {BODY}
    ask: {{path: "/receipts?reference={{key}}", list: /items, match: /reference, reference: /number}}
    follow:
      done: {{pointer: /state, equals: done}}
      refused: {{pointer: /state, equals: failed}}
      reference: /number
      every: 20ms
""",
}


def misbehave(url, **wish):
    request = urllib.request.Request(f"{url}/misbehave", data=json.dumps(wish).encode())
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200


@pytest.mark.timeout(240)
@pytest.mark.parametrize("how", ["lookup", "upsert"])
def test_every_event_has_one_effect_however_often_the_node_is_killed(tmp_path, start, mfgroute, how):
    folder = write_project(tmp_path / how, MAIN.replace("SINK", SINKS[how].rstrip("\n")))
    process, url = start_simulator("wms", tmp_path, None)
    try:
        for kind in ("cut", "late_error"):
            misbehave(url, kind=kind, times=4, ratio=0.3)
        misbehave(url, kind="slow", after_s=0.05)
        node = start(folder=folder, WMS_URL=url)
        messages = [report(n, order=f"47{n % ORDERS:02}", good=n + 1) for n in range(COUNT)]
        assert node.post(*messages)["accepted"] == COUNT
        for done in (COUNT // 4, COUNT // 2, 3 * COUNT // 4):
            until(lambda: ledger(url)["requests"], lambda count, done=done: count >= done)
            node.stop(signal.SIGKILL)
            node = start(folder=folder, WMS_URL=url)
        shown = until(lambda: effects(mfgroute, folder, url), lambda rows: len(rows) == COUNT, 60)
        seen = ledger(url)
        assert node.stop() == 0
    finally:
        process.terminate()
        process.wait(20)
    posted = Counter(effect["body"]["report"] for effect in seen["effects"])
    assert posted == Counter(message["id"] for message in messages)
    assert {row["reference"] for row in shown} == {effect["document"] for effect in seen["effects"]}
    assert set(seen["misbehaved"]) == {"cut", "late_error", "slow"}
    orders = defaultdict(list)
    for effect in seen["effects"]:
        orders[effect["body"]["order"]].append(effect["body"]["quantity"])
    assert all(quantities == sorted(quantities) for quantities in orders.values()), "in order per key"


def effects(mfgroute, folder, url):
    ended = mfgroute("effects", "list", "--state", "posted", "--output", "json", folder=folder, WMS_URL=url)
    assert ended.code == 0, ended.err
    return ended.json["effects"]


def test_a_job_is_followed_over_a_kill_and_posted_once(tmp_path, start, mfgroute):
    folder = write_project(tmp_path / "jobs", MAIN.replace("SINK", SINKS["jobs"].rstrip("\n")))
    process, url = start_simulator("wms", tmp_path, None)
    try:
        node = start(folder=folder, WMS_URL=url)
        misbehave(url, kind="blind")  # No job can be asked for yet.
        assert node.post(report(1), report(2))["accepted"] == 2
        until(lambda: ledger(url)["misbehaved"].get("blind", 0), lambda count: count >= 2)
        node.stop(signal.SIGKILL)
        urllib.request.urlopen(urllib.request.Request(f"{url}/behave", data=b""), timeout=20).close()
        node = start(folder=folder, WMS_URL=url)
        shown = until(lambda: effects(mfgroute, folder, url), lambda rows: len(rows) == 2)
        seen = ledger(url)
        assert node.stop() == 0
    finally:
        process.terminate()
        process.wait(20)
    assert [effect["body"]["report"] for effect in seen["effects"]] == ["A-1", "A-2"]
    assert {row["reference"] for row in shown} == {effect["document"] for effect in seen["effects"]}
