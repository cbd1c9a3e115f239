"""Processor time of one posted event: of a bare request of aiohttp, and of a node in memory and durable.

    python bench/post_cost.py [EVENTS]

The target answers at once and is a process of its own; only the client's side is counted. What the extension
was built with is printed: times of one without optimization are of use beside each other only.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
from aiohttp import web

from mfgroute import _core
from mfgroute.api.node import Router

WRITERS = 16
#: A batch of messages of one submission.
BATCH = 100
PROJECT = """\
apiVersion: mfgroute/v1
packs: [canonical]
node: {id: bench, site: DE04, namespace: com.example, data_dir: ./data}
streams: {business: {durability: %s, capacity: 64MiB}}
sources:
  mes: {adapter: files, path: ./inbox/*.jsonl, mappings: [used]}
sinks:
  erp:
    adapter: http
    url: "%s"
    allow_private: true
    owner: bench
    effect: {by: key}
    limits: {in_flight: 16}
    requests:
      - method: POST
        path: ""
        body: {reference: "{key}", order: "{data.order}", quantity: "{data.quantity.value|number}"}
routes: [{name: all, match: {type: ">"}, to: erp}]
"""
MAPPING = """\
from: {decode: json}
emit:
  - to: material.consumed/1
    fields:
      site: {const: DE04}
      order: {path: order}
      report: {path: report}
      material: {const: RM-1}
      posting_date: {const: "2026-11-24"}
      quantity.value: {path: quantity, number: {}}
      quantity.unit: {const: H87}
"""


async def answer(request: web.Request) -> web.Response:
    """Take everything."""
    await request.read()
    return web.json_response({"number": "1"})


def serve() -> None:
    """Be the target; say the port in a line."""

    async def listen() -> None:
        app = web.Application()
        app.router.add_post("/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(listen())


async def bare(url: str, count: int) -> float:
    """Microseconds of a request alone."""
    body = json.dumps({"reference": "k" * 36, "order": "1004711", "quantity": 1}).encode()
    left = iter(range(count))

    async def writer(session: aiohttp.ClientSession) -> None:
        for _ in left:
            async with session.post(url, data=body, headers={"Idempotency-Key": "k" * 36}) as got:
                await got.read()

    async with aiohttp.ClientSession() as session:
        before = time.process_time()
        await asyncio.gather(*(writer(session) for _ in range(WRITERS)))
        return (time.process_time() - before) / count * 1e6


async def node(url: str, count: int, durability: str) -> float:
    """Microseconds of an event of a node, from its message until its records are written."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, text in (("mfgroute.yaml", PROJECT % (durability, url)), ("mappings/used.yaml", MAPPING)):
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)
        (folder / "inbox").mkdir()
        said = [{"order": str(at % 100), "report": f"r{at}", "quantity": at + 1} for at in range(count)]
        messages = [json.dumps(one).encode() for one in said]
        async with Router(folder) as router:
            before = time.process_time()
            for first in range(0, count, BATCH):
                receipt = await router.submit("mes", messages[first : first + BATCH])
                assert receipt.accepted == len(messages[first : first + BATCH]), receipt.rejects
            while any(router.queued().values()) or _behind(router):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.2)
            return (time.process_time() - before) / count * 1e6


def _behind(router: Router) -> bool:
    followed = router.followed()
    return followed is not None and any(followed.behind.values())


def main() -> None:
    """Measure, and print a line for each."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    target = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True)
    try:
        assert target.stdout is not None
        url = f"http://127.0.0.1:{target.stdout.readline().strip()}/events"
        print(f"load average {os.getloadavg()[0]:.1f}, debug build: {_core.build_info()['debug']}")
        print(f"aiohttp alone  {asyncio.run(bare(url, count)):7.0f} us")
        for name, durability in (("in memory", "memory"), ("durable", "fsync")):
            print(f"node {name:9} {asyncio.run(node(url, count, durability)):7.0f} us", flush=True)
    finally:
        target.kill()
        target.wait()


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else main()
