"""Many edges in one process, each with keys, a book and the real sink of the link, against a core that is a process."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import time
from random import Random

from durable_node import Node
from link_nodes import CORE, write
from tests.engine.conftest import CONTRACT

from mfgroute.adapter import Context
from mfgroute.adapters.zeromq import ZeroMqSink, ZeroMqSinkConfig
from mfgroute.adapters.zeromq.keys import create_keypair
from mfgroute.errors import Disconnected
from mfgroute.events import Done, Event
from mfgroute.runtime.backoff import Backoff
from mfgroute.runtime.tempo import Tempo
from mfgroute.testing.demo.folder import free_ports

_KIND = "com.example.production.operation.completed.v1"


class Core:
    """A core whose sink writes what it gets to a file.

    Args:
        folder: of its project.
        edges: names of the edges that it knows.
        connects: how many it lets in a second.
    """

    def __init__(self, folder, edges, *, connects):
        self.folder, self._nodes = folder, []
        (self.port,) = free_ports(1)
        _, public = create_keypair(folder / "keys", "core-1")
        self.key = public.read_text().strip()
        known = []
        for edge in edges:
            _, public = create_keypair(folder / "edges" / edge, "edge")
            known.append(
                f'      - {{id: {edge}, key: "{public.read_text().strip()}", sources: ["//DE04/*"]}}'
            )
        main = CORE.format(port=self.port, edge_key="", url="http://127.0.0.1:1/", window=1_000_000)
        head, _, rest = main.partition("    edges:\n")
        sink = "sinks:\n  erp: {adapter: files, path: ./out.jsonl, owner: tests}\nroutes:"
        main = head + "\n".join(
            [
                f"    connects: {connects}",
                "    edges:",
                *known,
                sink,
                rest.partition("routes:")[2].strip("\n"),
                "",
            ]
        )
        write(folder, {"mfgroute.yaml": main, "contracts/production.operation.completed.v1.yaml": CONTRACT})

    def start(self):
        node = Node(self.folder, life=len(self._nodes))
        self._nodes.append(node)
        assert node.ready is not None, node.log
        return node

    def close(self):
        for node in self._nodes:
            if not node.process.stdout.closed:
                node.stop(signal.SIGKILL)

    def arrived(self):
        """What the sink has written: edge and number of each event, in its order."""
        path = self.folder / "out.jsonl"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        reports = (json.loads(line)["data"]["report"] for line in lines)
        return [(edge, int(number)) for edge, _, number in (report.rpartition("/") for report in reports)]


class Edge:
    """An edge with a backlog, as long as it takes.

    Attributes:
        done: how many of its events the core has.
        lives: how many connections it began.
        lost: how often one was lost.
        connected: when the present one was made, in monotonic seconds.
    """

    def __init__(self, core, name, *, port=None, heartbeat_s=5.0, batch=16, seed=0):
        self.name, self.done, self.lives, self.lost, self.connected = name, 0, 0, 0, 0.0
        self._core, self._batch = core, batch
        self._random = Random(seed)
        self._config = ZeroMqSinkConfig(
            connect=f"tcp://127.0.0.1:{port or core.port}",
            core_key=core.key,
            secret_key_file="edge.secret",
            connect_timeout_s=10.0,
            heartbeat_s=heartbeat_s,
        )
        folder = core.folder / "edges" / name
        self._context = Context(
            name="core",
            node=name,
            project_dir=folder,
            data_dir=folder,
            epoch=secrets.randbits(62) + 1,
            durable=frozenset({"business"}),
        )

    def event(self, number):
        data = {
            "site": "DE04",
            "order": self.name,
            "report": f"{self.name}/{number}",
            "quantity": {"good": "1", "unit": "KGM"},
        }
        event = {
            "specversion": "1.0",
            "id": f"{int(self.name.removeprefix('edge-')):08x}-0000-8000-8000-{number:012d}",
            "source": "//DE04/mes",
            "type": _KIND,
            "subject": f"order/DE04/{self.name}",
            "data": data,
        }
        return Event(
            id=event["id"],
            type=_KIND,
            key=event["subject"],
            offset=number,
            json=json.dumps(event).encode(),
            stream="business",
        )

    async def send(self, upto, *, half=None, gate=None):
        """Send events until so many are done, over as many connections as it takes, as a node does.

        At `half` it stays connected and waits for `gate`.
        """
        tempo = Tempo()
        backoff = Backoff(first_s=tempo.backoff_first_s, max_s=tempo.backoff_max_s, random=self._random)
        while self.done < upto:
            sink = ZeroMqSink(self._config, self._context)
            self.lives += 1
            try:
                await sink.open()
                while self.done < upto:
                    if self.done == half:
                        await gate.wait()
                    end = half if half is not None and self.done < half else upto
                    events = [self.event(n) for n in range(self.done, min(end, self.done + self._batch))]
                    for outcome in await sink.write(events):
                        if not isinstance(outcome, Done):
                            break
                        self.done += 1
                        backoff.reset()
                    if (since_s := sink.details["connected_s"]) is not None:
                        self.connected = time.monotonic() - since_s
            except Disconnected:
                self.lost += 1
            finally:
                await sink.close()
            if self.done < upto:
                await asyncio.sleep(backoff.next_s())
