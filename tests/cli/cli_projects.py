"""Projects on disk, the command as a process, and a target that refuses on request."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web

TOKEN = "token-of-the-cli-tests"
PROJECT = """\
apiVersion: mfgroute/v1
packs: [canonical]
node: {id: core-1, site: DE04, namespace: com.example, data_dir: ./data}
http: {listen: "127.0.0.1:0"}
streams:
  business: {durability: memory, capacity: 16MiB, when_full: block}
sources:
  mes: {adapter: http, mappings: [done], token: "${MES_TOKEN}"}
  drops: {adapter: files, path: "./inbox/*.jsonl", mappings: [dropped]}
sinks:
  sap:
    adapter: http
    url: "${SAP_URL:-http://127.0.0.1:9}"
    allow_private: true
    effect: {by: key, header: Idempotency-Key, kept: 24h}
    owner: erp-team
  log: {adapter: files, path: "./out/{type}.jsonl", owner: plant-it}
routes:
  - {name: to-sap, match: {type: production.operation.completed/1}, to: sap}
  - {name: to-log, match: {type: ">"}, to: log}
"""
MAPPING = """\
from: {decode: json}
when: {path: evt, equals: DONE}
time: {path: ts}
emit:
  - to: production.operation.completed/1
    fields:
      site: {const: DE04}
      order: {path: order}
      operation: {const: "0010"}
      report: {path: id}
      type: {const: final}
      posting_date: {date: {path: ts, zone: Europe/Berlin}}
      goods: {const: by_erp}
      work_center: {lookup: {table: centers, key: [{path: wc}], take: erp, missing: reject}}
      quantity.unit: {const: H87}
      quantity.good: {path: good, number: {}}
      quantity.scrap: {const: "0"}
"""
TESTS = """\
tests:
  # A comment that stays.
  - name: a report becomes a confirmation
    mapping: done
    given: {evt: DONE, id: A-1, ts: "2026-11-24T07:10:00+01:00", order: "4711", wc: P1, good: 5}
    expect:
      - to: production.operation.completed/1
        data:
          {site: DE04, order: "4711", operation: "0010", report: A-1, type: final, posting_date: "2026-11-24",
           goods: by_erp, work_center: 20-P1, quantity: {unit: H87, good: "5", scrap: "0"}}
    routes: [sap, log]

  - name: an unknown press is refused
    mapping: done
    given: {evt: DONE, id: A-2, ts: "2026-11-24T07:10:00+01:00", order: "4711", wc: P9, good: 5}
    reject: {code: lookup_missing, pointer: /wc}
"""


def report(number, *, order="4711", center="P1", **more):
    message = {"evt": "DONE", "id": f"A-{number}", "ts": "2026-11-24T07:10:00+01:00", "order": order}
    return {**message, "wc": center, "good": 5, **more}


def write_project(folder, text=PROJECT):
    for name, content in {
        "mfgroute.yaml": text,
        "mappings/done.yaml": MAPPING,
        "mappings/dropped.yaml": MAPPING,
        "lookups/centers.csv": "wc,erp\nP1,20-P1\n",
        "tests/done.yaml": TESTS,
    }.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (folder / "inbox").mkdir(exist_ok=True)
    return folder


@pytest.fixture
def project(tmp_path):
    """A small project."""
    return write_project(tmp_path / "project")


@pytest.fixture(autouse=True)
def environ(monkeypatch):
    """No setting of the person who runs the tests reaches them."""
    for name in ("MFGROUTE_CONFIG", "MFGROUTE_DATA_DIR", "SAP_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MES_TOKEN", TOKEN)
    source = Path(__file__).resolve().parents[2] / "python"
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join(filter(None, [str(source), os.environ.get("PYTHONPATH")]))
    )


class Ended:
    """How a command ended."""

    def __init__(self, process):
        self.code = process.returncode
        self.out = process.stdout if isinstance(process.stdout, str) else process.stdout.decode()
        self.err = process.stderr if isinstance(process.stderr, str) else process.stderr.decode()

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def error(self):
        return json.loads(self.err)["error"]


def command(*arguments, folder, stdin=None, env=None):
    """Run the command as a process."""
    return Ended(
        subprocess.run(
            [sys.executable, "-m", "mfgroute", *map(str, arguments)],
            cwd=folder,
            env={**os.environ, **(env or {})},
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )
    )


@pytest.fixture
def mfgroute(project):
    """Run the command in the project's folder."""

    def run(*arguments, stdin=None, folder=project, **env):
        return command(*arguments, folder=folder, stdin=stdin, env=env)

    return run


class Node:
    """A node that runs as a process."""

    def __init__(self, folder, *arguments, env=None):
        self.folder = folder
        self.log = []
        self._read = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mfgroute", "run", "--output", "json", *arguments],
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        line = self.process.stdout.readline()
        assert line, f"the node did not start: {self.stop()}\n{self.log}"
        self.ready = json.loads(line)

    def _follow(self):
        for line in self.process.stderr:
            with self._read:
                self.log.append(line)
                self._read.notify_all()

    def logged(self, text):
        """Wait until a line of the log holds `text`."""
        with self._read:
            assert self._read.wait_for(lambda: any(text in line for line in self.log), 20), self.log

    def post(self, *messages, source="mes", token=TOKEN):
        """Post messages and return the answer."""
        body = "\n".join(json.dumps(message) for message in messages).encode()
        headers = {"Content-Type": "application/x-ndjson", "Authorization": f"Bearer {token}"}
        url = f"{self.ready['url']}/v1/sources/{source}"
        request = urllib.request.Request(url, data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return json.load(error)

    def stop(self, number=signal.SIGTERM):
        """End the node and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(40)
        self._thread.join(10)
        self.process.stdout.close()
        self.process.stderr.close()
        return code


@pytest.fixture
def start(project):
    """Start nodes; they are killed at the end."""
    nodes = []

    def of(*arguments, folder=project, **env):
        nodes.append(Node(folder, *arguments, env=env))
        return nodes[-1]

    yield of
    for node in nodes:
        if node.process.poll() is None:
            node.stop(signal.SIGKILL)


def until(question, wanted, seconds=20.0):
    """Ask until the answer is as wanted; each question is a round trip to the node."""
    event = threading.Event()
    for _ in range(int(seconds / 0.05)):
        answer = question()
        if wanted(answer):
            return answer
        event.wait(0.05)
    raise AssertionError(answer)


class Target:
    """A business system that refuses on request."""

    def __init__(self):
        self.refusing = None
        self.taken = []
        self.url = ""

    async def handle(self, request):
        body = await request.json()
        if self.refusing is not None:
            return web.Response(status=self.refusing, text="order 4711 is \x1b[31mlocked\u202e by USER1")
        self.taken.append(body["data"]["report"])
        return web.json_response({}, headers={"Location": f"/documents/49{len(self.taken):08d}"})


@contextmanager
def serving(target):
    """Serve a target from a thread."""
    loop = asyncio.new_event_loop()
    app = web.Application()
    app.router.add_post("/confirmations", target.handle)
    runner = web.AppRunner(app)

    async def begin():
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        target.url = f"http://127.0.0.1:{runner.addresses[0][1]}/confirmations"

    loop.run_until_complete(begin())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield target
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture
def target():
    """A target that listens."""
    with serving(Target()) as one:
        yield one


def start_simulator(system, folder, setup):
    """A simulated system as a process, and its address."""
    ready = folder / f"{system}.ready.json"
    extra = ["--setup", str(setup)] if setup is not None else []
    process = subprocess.Popen(
        [sys.executable, "-m", "mfgroute.testing.simulators", system, "--ready-file", str(ready), *extra],
        env=os.environ,
    )
    try:
        until(ready.exists, bool)
    except BaseException:
        process.kill()
        process.wait(10)
        raise
    return process, json.loads(ready.read_text())["url"]


def ledger(url):
    with urllib.request.urlopen(f"{url}/ledger", timeout=10) as answer:
        return json.load(answer)
