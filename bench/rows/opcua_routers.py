"""Who takes part in B10, and how each is started; all of them print ``ready`` when they are connected."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import changes
from child import Child

from rows.opcua_node import ADAPTER, BATCH_MAX

OWN = MEMORY, DURABLE = ("mfgroute, in memory", "mfgroute, durable")
PEERS = {f"asyncua + pydantic + {client}": client for client in ("aiohttp", "httpx")}
#: What the peers are made of.
PACKAGES = ("asyncua", "pydantic", "aiohttp", "httpx")
SINK = "erp"
#: Requests at the same time; an array goes alone, as the next may hold events of the same keys.
WRITERS = {1: 16, BATCH_MAX: 1}
INTERVAL_MS = 100
SERVER_QUEUE = 10_000
#: How long a server may be silent. A router whose turn comes late on a busy machine is slow, not cut off: a
#: server without a history cannot say again what changed meanwhile.
SILENCE_S = 60


def write_project(folder: Path, name: str, batch: int, endpoints: Sequence[str], url: str) -> Path:
    """Write the project of a node.

    Args:
        folder: the project folder; what is there goes.
        name: one of `OWN`.
        batch: events of a request.
        endpoints: of the servers.
        url: of the target.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(changes.PROJECT, folder)
    durability = "fsync" if name == OWN[1] else "memory"
    by_key = "adapter: http, allow_private: true, effect: {by: key}"
    sink = by_key if batch == 1 else f"adapter: {ADAPTER}, batch: {{events: {batch}}}"
    sources = [
        f"  plant-{plant}: {{adapter: opcua, endpoint: '{endpoint}', insecure: true, mappings: [change], "
        f"interval_ms: {INTERVAL_MS}, server_queue: {SERVER_QUEUE}, queue_max: 1000000, "
        f"timeout_s: {SILENCE_S}, alive_s: {SILENCE_S}, "
        f"nodes: {json.dumps(changes.node_ids(plant))}}}\n"
        for plant, endpoint in enumerate(endpoints)
    ]
    (folder / "mfgroute.yaml").write_text(
        "apiVersion: mfgroute/v1\n"
        "node: {id: bench, site: DE04, namespace: com.example, data_dir: ./data}\n"
        "http: {listen: 127.0.0.1:0}\n"
        f"streams:\n  business: {{durability: {durability}, capacity: 1GiB, when_full: block}}\n"
        f"sources:\n{''.join(sources)}"
        f"sinks:\n  {SINK}: {{{sink}, url: '{url}', limits: {{in_flight: {WRITERS[batch]}}}}}\n"
        f"routes:\n  - {{name: all, match: {{type: '>'}}, to: {SINK}}}\n"
    )
    return folder


def own(work: Path, endpoints: Sequence[str], url: str, name: str, batch: int) -> Child:
    """Start a node."""
    folder = write_project(work / "node", name, batch, endpoints, url)
    return Child([sys.executable, "-m", "rows.opcua_node", str(folder)], folder.with_suffix(".log"))


def peer(python: str, work: Path, endpoints: Sequence[str], url: str, name: str, batch: int) -> Child:
    """Start a typical service, with the interpreter of the peers."""
    plants = [
        {"endpoint": endpoint, "nodes": changes.node_ids(plant)} for plant, endpoint in enumerate(endpoints)
    ]
    settings = work / "service.json"
    settings.write_text(
        json.dumps(
            {
                "url": url,
                "batch": batch,
                "writers": WRITERS[batch],
                "interval_ms": INTERVAL_MS,
                "server_queue": SERVER_QUEUE,
                "silence_s": SILENCE_S,
                "plants": plants,
            }
        )
    )
    command = [python, "-m", "compare.opcua_service", PEERS[name], str(settings)]
    return Child(command, settings.with_suffix(".log"))
