"""A node with durable streams as a process, a target with a ledger of its own, and a client with another."""

from __future__ import annotations

import errno
import http.client
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.engine.conftest import CONTRACT, MAPPING, MATERIALS, message

#: How many post at the same time, and how many orders each of them has.
CLIENTS = 4
ORDERS = 3

TOKEN = "token-of-the-durable-tests"
MAIN = """\
apiVersion: mfgroute/v1
node: {{id: test, site: DE04, namespace: com.example, data_dir: {data}}}
http: {{listen: "127.0.0.1:0"}}
streams:
  business: {{durability: {durability}, capacity: {capacity}, when_full: block}}
sources:
  mes: {{adapter: http, mappings: [mes-a], token: {token}}}
sinks:
  erp:
    adapter: http
    url: "{url}${{LIFE:-0}}"
    allow_private: true
    effect: {{by: key, header: Idempotency-Key, kept: 24h}}
    retry: {{tries: 1000, delay_max: 100ms}}
    limits: {{in_flight: 4}}
    owner: tests
routes:
  - {{name: to-erp, match: {{type: production.operation.completed/1}}, to: erp}}
"""
HERE = Path(__file__).resolve().parents[2]
SOURCES = os.pathsep.join([str(HERE / "python"), *filter(None, [os.environ.get("PYTHONPATH")])])


def write_project(folder, url, *, data="./data", durability="fsync", capacity="16MiB"):
    """A project with one source, one sink and one stream."""
    main = MAIN.format(url=url, token=TOKEN, data=data, durability=durability, capacity=capacity)
    for name, text in {
        "mfgroute.yaml": main,
        "contracts/production.operation.completed.v1.yaml": CONTRACT,
        "mappings/mes-a.yaml": MAPPING,
        "lookups/materials.csv": MATERIALS,
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


class Node:
    """A node that runs as a process.

    Attributes:
        process: it.
        log: what it has written to standard error so far.
        ready: what it said when it was ready, or `None` if it ended before.
    """

    def __init__(
        self, folder, *arguments, life=0, wait=True, prefix=(), program=("-m", "mfgroute"), env=None
    ):
        self.folder, self.log, self.ready = folder, [], None
        self._heard = threading.Condition()
        self.process = subprocess.Popen(
            [*prefix, sys.executable, *program, "run", "--output", "json", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": SOURCES, "LIFE": str(life), **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._follower = threading.Thread(target=self._follow, daemon=True)
        self._follower.start()
        if wait:
            line = self.process.stdout.readline()
            self.ready = json.loads(line) if line else None

    def _follow(self):
        for line in self.process.stderr:
            with self._heard:
                self.log.append(line)
                self._heard.notify_all()

    def logged(self, text, times=1, seconds=60.0):
        """Wait until so many lines of the log hold `text`."""
        there = lambda: sum(text in line for line in self.log) >= times  # noqa: E731
        with self._heard:
            assert self._heard.wait_for(there, seconds), self.log[-20:]

    @property
    def address(self):
        """Host and port of the listener."""
        parts = urlsplit(self.ready["url"])
        return parts.hostname, parts.port

    @property
    def data(self):
        """Its data folder."""
        return Path(self.ready["data_dir"])

    def ask(self, method, path, body=None):
        """One request; answers status, headers and document."""
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        try:
            return exchange(connection, method, path, body)
        finally:
            connection.close()

    def post(self, body, query=""):
        """Post one message."""
        return self.ask("POST", f"/v1/sources/mes{query}", body)

    def ended(self):
        """Wait until it has ended by itself; answers the exit code."""
        code = self.process.wait(60)
        self._follower.join(10)
        return code

    def stop(self, number=signal.SIGTERM):
        """End it and answer its exit code."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        code = self.ended()
        self.process.stdout.close()
        self.process.stderr.close()
        return code

    @property
    def error(self):
        """The error it ended with."""
        return json.loads(self.log[-1])["error"]


def exchange(connection, method, path, body=None):
    """One request on a connection; answers status, headers and document."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.headers, json.loads(answer.read())


class Clients:
    """Clients that post, each the orders of its own, and post again what was not acknowledged.

    Attributes:
        ledger: the reports that were acknowledged, in order of the answers.
        levels: the levels that answers named.
    """

    def __init__(self):
        self.ledger, self.levels = [], set()
        self._address, self._over = None, False
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def go_on(self, address):
        """A node listens there now."""
        with self._changed:
            self._address = address
            self._changed.notify_all()

    def more(self, count):
        """Wait until so many more are acknowledged."""
        with self._changed:
            goal = len(self.ledger) + count
            assert self._changed.wait_for(lambda: len(self.ledger) >= goal, 60), len(self.ledger)

    def end(self):
        with self._changed:
            self._over = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self, number):
        serial, address = 0, None
        while address := self._next_address(address):
            connection = http.client.HTTPConnection(*address, timeout=60)
            try:
                while not self._over:
                    self._acknowledged(number, serial, connection)
                    serial += 1
            except (OSError, http.client.HTTPException):
                connection.close()

    def _next_address(self, tried):
        """Wait for a node that was not tried; `None` when it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._address != tried)
            return None if self._over else self._address

    def _acknowledged(self, number, serial, connection):
        """Post one message and write down the answer."""
        body = message(0, order=f"{number}-{serial % ORDERS}", id=f"{number}-{serial}")
        status, _, receipt = exchange(connection, "POST", "/v1/sources/mes", body)
        assert status == 202, receipt
        with self._changed:
            self.ledger.append(f"{number}-{serial}")
            self.levels.add(receipt["level"])
            self._changed.notify_all()


class Target:
    """A business system that writes down what it is told.

    Attributes:
        arrivals: of each event the life of the node that sent it, its id, order and report.
        closed: whether it takes nothing and writes nothing down.
        says: the status of its answer then.
    """

    def __init__(self):
        self.arrivals, self.closed, self.says, self.url = [], False, 503, ""
        self._changed = threading.Condition()

    def take(self, life, key, event):
        """Write one event down. Answers whether it was taken."""
        with self._changed:
            if self.closed:
                return False
            data = event["data"]
            self.arrivals.append((life, key, data["order"], data["report"]))
            self._changed.notify_all()
            return True

    def seen(self):
        """The reports that have arrived."""
        with self._changed:
            return {report for _, _, _, report in self.arrivals}

    def until(self, reports, seconds=60.0):
        """Wait until all these reports have arrived; answers what is missing."""
        missing, looked = set(reports), 0

        def arrived():
            # Each arrival once: there may be tens of thousands.
            nonlocal looked
            missing.difference_update(report for *_, report in self.arrivals[looked:])
            looked = len(self.arrivals)
            return not missing

        with self._changed:
            self._changed.wait_for(arrived, seconds)
            return missing


@contextmanager
def serving(target):
    """Serve a target on a port of loopback."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            taken = target.take(int(self.path[1:]), self.headers["Idempotency-Key"], event)
            self.send_response(200 if taken else target.says)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):
            """The node was killed in the middle of a request."""

    server = Server(("127.0.0.1", 0), Handler)
    target.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield target
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def target():
    with serving(Target()) as one:
        yield one


@pytest.fixture
def project(tmp_path, target):
    return write_project(tmp_path / "project", target.url)


@pytest.fixture
def start(project):
    """Starts nodes; they are killed at the end."""
    nodes = []

    def of(*arguments, folder=project, ready=True, **more):
        nodes.append(Node(folder, *arguments, life=len(nodes), **more))
        assert (nodes[-1].ready is not None) == ready, nodes[-1].log
        return nodes[-1]

    yield of
    for node in nodes:
        if not node.process.stdout.closed:
            node.stop(signal.SIGKILL)


def everything_in(folder):
    """All files below a folder with what is in them, but for the lock."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "router.lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def used(start, target):
    """A data folder with acknowledged events that were not delivered."""
    target.closed = True
    node = start()
    for number in range(20):
        node.post(message(number, order=str(number)))
    node.process.kill()
    node.ended()
    return node.data


def segment_of(data):
    (segment,) = (data / "streams" / "business").glob("*.log")
    return segment


@pytest.fixture
def mount():
    """Mounts file systems of a given size; skips where this user may not."""
    folder = Path(tempfile.mkdtemp(prefix="mfgroute-"))
    mounted = []

    def of(mebibytes):
        options = ["-o", f"size={mebibytes}m,mode=700"]
        command = ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)]
        if not shutil.which("mount") or subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("mounting a small file system needs root")
        mounted.append(folder)
        return folder

    yield of
    for one in mounted:
        subprocess.run(["umount", "-l", str(one)], check=True)
    folder.rmdir()


def fill(ballast):
    """Write until the disk has no room; the node may be writing a spare segment at the same time."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 - any other error is one of this test


@pytest.fixture
def ordinary():
    """What a command begins with so that permissions bind it, also if root starts it."""
    if os.geteuid() != 0:
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root without setpriv may read and write everything")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
