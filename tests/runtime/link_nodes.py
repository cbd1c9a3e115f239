"""An edge and a core as processes, and a relay between them that does what networks do."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress

from durable_node import SOURCES, TOKEN, Node
from tests.engine.conftest import CONTRACT, MAPPING, MATERIALS

from mfgroute.adapters.zeromq.keys import create_keypair
from mfgroute.api.client import Control
from mfgroute.testing.demo.folder import free_ports

EDGE = """\
apiVersion: mfgroute/v1
node: {{id: edge-1, site: DE04, namespace: com.example, data_dir: ./data}}
http: {{listen: "127.0.0.1:0"}}
streams:
  business: {{durability: fsync, capacity: {capacity}, when_full: block}}
sources:
  mes: {{adapter: http, mappings: [mes-a], token: {token}}}
sinks:
  core:
    adapter: zeromq
    connect: "tcp://127.0.0.1:{port}"
    core_key: "{core_key}"
    secret_key_file: keys/edge-1.secret
    heartbeat_s: 0.3
    connect_timeout_s: 5
    answer_timeout_s: 3
    effect: {{by: key}}
    owner: tests
routes:
  - {{name: to-core, match: {{type: production.operation.completed/1}}, to: core}}
"""
CORE = """\
apiVersion: mfgroute/v1
node: {{id: core-1, site: DE04, namespace: com.example, data_dir: ./data, dedup_window: {window}}}
http: {{listen: "127.0.0.1:0"}}
streams:
  business: {{durability: fsync, capacity: 16MiB, when_full: block}}
sources:
  edges:
    adapter: zeromq
    listen: "tcp://127.0.0.1:{port}"
    secret_key_file: keys/core-1.secret
    edges:
      - {{id: edge-1, key: "{edge_key}", sources: ["//DE04/*"]}}
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


def write(folder, files):
    """Write the files of a project."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


class Plant:
    """The projects of an edge and a core, the relay between them, and their processes.

    Args:
        folder: where everything lies.
        url: of the target.
        window: how many event ids the core remembers.
        capacity: of the edge's stream.
    """

    def __init__(self, folder, url, *, window=1_000_000, capacity="16MiB"):
        self.edge_folder, self.core_folder = folder / "edge", folder / "core"
        (port,) = free_ports(1)
        self.relay = Relay(port)
        _, edge_key = create_keypair(self.edge_folder / "keys", "edge-1")
        _, core_key = create_keypair(self.core_folder / "keys", "core-1")
        main = EDGE.format(
            token=TOKEN, port=self.relay.port, core_key=core_key.read_text().strip(), capacity=capacity
        )
        contract = {"contracts/production.operation.completed.v1.yaml": CONTRACT}
        mapping = {"mappings/mes-a.yaml": MAPPING, "lookups/materials.csv": MATERIALS}
        write(self.edge_folder, {"mfgroute.yaml": main, **contract, **mapping})
        main = CORE.format(port=port, edge_key=edge_key.read_text().strip(), url=url, window=window)
        write(self.core_folder, {"mfgroute.yaml": main, **contract})
        self.nodes = []
        self.edge = self.core = None

    def start_core(self):
        self.core = self._start(self.core_folder)
        return self.core

    def start_edge(self, folder=None, **more):
        edge = self._start(folder or self.edge_folder, **more)
        if folder is None:
            self.edge = edge
        return edge

    def _start(self, folder, **more):
        node = Node(folder, life=len(self.nodes), **more)
        self.nodes.append(node)
        assert node.ready is not None, node.log
        return node

    def close(self):
        self.relay.close()
        for node in self.nodes:
            if not node.process.stdout.closed:
                node.stop(signal.SIGKILL)


def status(node):
    """What a node says of itself."""
    with Control(node.data) as control:
        return control.ask("status")


def command(folder, *arguments):
    """A command in a project."""
    return subprocess.run(
        [sys.executable, "-m", "mfgroute", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": SOURCES},
        capture_output=True,
        text=True,
        check=False,
    )


def counters(node, name):
    """What the adapter of a source or sink has counted."""
    (part,) = (part for part in status(node)["parts"] if part["name"] == name)
    return part["counters"]


class Relay:
    """A TCP relay. Above it is CURVE, so a byte that is lost, repeated or changed ends the connection.

    Attributes:
        port: where to connect.
        passes: whether bytes come through, by direction; else they are swallowed and connections stay.
        rate: bytes a second that go there; as many as come if `None`.
        mangles: how likely a piece is lost, repeated, changed, held back behind the next one, or cut.
        connections: how many were made.
    """

    def __init__(self, target):
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.passes = {"there": True, "back": True}
        self.rate, self._tick = None, threading.Event()
        self.mangles, self.dice = 0.0, random.Random(7)
        self.refuses = False
        self.connections = 0
        self._open = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        """End all connections and let none begin."""
        self.refuses = True
        self.drop()

    def mend(self):
        """Let everything through."""
        self.refuses, self.mangles = False, 0.0
        self.passes = {"there": True, "back": True}

    def drop(self):
        """End all connections."""
        for one in list(self._open):
            _end(one)

    def close(self):
        self.cut()
        _end(self._server)

    def _accept(self):
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                if self.refuses:
                    _end(near)
                    continue
                try:
                    far = socket.create_connection(("127.0.0.1", self._target), 5)
                except OSError:
                    _end(near)
                    continue
                self.connections += 1
                self._open |= {near, far}
                for pair in ((near, far, "there"), (far, near, "back")):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, read, send, way):
        held = b""
        with suppress(OSError):
            while data := read.recv(16384):
                if not self.passes[way]:
                    continue
                if self.rate and way == "there":
                    self._tick.wait(len(data) / self.rate)  # What a slow line does.
                if self.mangles and self.dice.random() < self.mangles:
                    data, held = self._mangled(data, held)
                send.sendall(data)
        for one in (read, send):
            self._open.discard(one)
            _end(one)

    def _mangled(self, data, held):
        match self.dice.randrange(5):
            case 0:
                return b"", held
            case 1:
                return data + data, held
            case 2:
                at = self.dice.randrange(len(data))
                return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], held
            case 3:
                return held, data
        return data[: self.dice.randrange(len(data))], held


def until(true, seconds=60.0):
    """Look again and again whether it has come true."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if true():
            return
        pause.wait(0.05)
    raise AssertionError("it never came true")


def _end(one):
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        one.close()


def once_and_in_order(target, mark="-"):
    """Every report once (the target knows a repetition by its key), and those of an order in order."""
    keys, serials = {}, {}
    for _, key, order, report in target.arrivals:
        assert keys.setdefault(report, key) == key, "one report became two events"
        told = serials.setdefault(order, [])
        serial = int(report.partition(mark)[2])
        if serial not in told:
            told.append(serial)
    assert len(set(keys.values())) == len(keys)
    for order, told in serials.items():
        assert told == sorted(told), order
    return set(keys)
