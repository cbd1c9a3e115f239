"""A business system as a process: it keeps a journal, and answers badly as often as it is told.

Run as ``business.py PORT JOURNAL SEED RATIO CLOSED``. It has three doors. ``POST /key`` does something once for an
``Idempotency-Key`` and answers its repeats as it did before; ``PUT /upsert/REFERENCE`` replaces what has this reference;
``POST /lookup`` does something each time, and ``GET /lookup?reference=R`` lists what was done. Whatever it did is in the
journal before it answers, so the process can be killed at any time. While the file ``CLOSED`` is there, the reports that
it lists as ``["door", "report"]`` are refused.

What is done to a request depends on the seed, its report and how often that came, not on when it comes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import signal
import sys
import urllib.parse
from collections import Counter, defaultdict
from pathlib import Path

#: How a request meets a fault; `late` is cut off at once, and done a moment later.
FAULTS = ("cut", "done_cut", "late", "busy", "error", "done_error", "hang", "done_hang")
#: How a question meets one.
BLIND = ("cut", "busy", "error")
#: A report is treated well from then on.
FAULTS_MAX = 3
LATE_S = 0.3


class Journal:
    """What was done, one line each, and how often a report came.

    Args:
        path: of the file; what it holds is known again.
    """

    def __init__(self, path: Path) -> None:
        self.effects: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
        self.arrivals: Counter[str] = Counter()
        self.count = 0
        if path.exists():
            for line in path.read_bytes().splitlines():
                self._take(json.loads(line))
        self._file = path.open("ab", buffering=0)

    def _take(self, line: dict[str, str]) -> None:
        if line["is"] == "effect":
            self.effects[line["door"], line["key"]].append(line)
            self.count += 1
        else:
            self.arrivals[line["report"]] += 1

    def write(self, **line: str) -> dict[str, str]:
        """Write one line at once: a killed process leaves it whole or not at all."""
        self._file.write(json.dumps(line).encode() + b"\n")
        self._take(line)
        return line


class Business:
    """The system.

    Args:
        journal: what it did.
        seed: of its faults.
        ratio: of requests that meet one.
        closed: file with the reports that it refuses.
    """

    def __init__(self, journal: Journal, seed: str, ratio: float, closed: Path) -> None:
        self._journal, self._seed, self._ratio, self._closed = journal, seed, ratio, closed
        self._asked: Counter[str] = Counter()
        self._busy: dict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._later: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, path, _ = head[0].split(" ")
                fields = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])
                }
                body = await reader.readexactly(int(fields.get("content-length", "0")))
                answer = await self._answer(method, path, fields, body)
                if answer is None:
                    writer.transport.abort()
                    return
                status, document = answer
                if status == 0:
                    await reader.read()  # It hangs until the other side has had enough.
                    return
                writer.write(_response(status, document))
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, method: str, path: str, fields: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, object]] | None:
        """Status and document; status 0 hangs, `None` cuts the connection."""
        url = urllib.parse.urlsplit(path)
        door, _, reference = url.path.strip("/").partition("/")
        if method == "GET":
            return self._found(door, urllib.parse.parse_qs(url.query)["reference"][0])
        document = json.loads(body)
        key = {"key": fields.get("idempotency-key", ""), "upsert": reference}.get(door, document["reference"])
        place = (door, key)
        report, sha = document["report"], hashlib.sha256(body).hexdigest()
        self._journal.write(**{"is": "arrival"}, door=door, key=key, report=report, sha=sha)
        nth = self._journal.arrivals[report]
        fault = self._fault(FAULTS, f"{report}/{nth}") if nth <= FAULTS_MAX else ""
        if fault == "late":
            task = asyncio.create_task(self._done_later(place, document))
            self._later.add(task)
            task.add_done_callback(self._later.discard)
        if fault in ("cut", "late"):
            return None
        if fault in ("busy", "error", "hang"):
            return _bad(fault)
        async with self._busy[place]:
            effect = self._do(place, document)
        if effect is None:
            return 422, {"code": "CLOSED", "message": "the order is closed"}
        if fault == "done_cut":
            return None
        return _bad(fault.removeprefix("done_")) if fault else (201, {"number": effect["number"]})

    def _fault(self, kinds: tuple[str, ...], name: str) -> str:
        dice = random.Random(f"{self._seed}/{name}")
        return dice.choice(kinds) if dice.random() < self._ratio else ""

    async def _done_later(self, place: tuple[str, str], document: dict[str, str]) -> None:
        async with self._busy[place]:
            await asyncio.sleep(LATE_S)
            self._do(place, document)

    def _do(self, place: tuple[str, str], document: dict[str, str]) -> dict[str, str] | None:
        """Do what a request asks for; `None` if it is refused."""
        door, key = place
        known = self._journal.effects.get(place, [])
        if known and door == "key":
            return known[0]
        if self._closed.exists() and [door, document["report"]] in json.loads(self._closed.read_bytes()):
            return None
        number = known[0]["number"] if known and door == "upsert" else f"{door}-{self._journal.count + 1}"
        taken = {name: document[name] for name in ("report", "order", "quantity")}
        return self._journal.write(**{"is": "effect"}, door=door, key=key, number=number, **taken)

    def _found(self, door: str, reference: str) -> tuple[int, dict[str, object]] | None:
        self._asked[reference] += 1
        nth = self._asked[reference]
        fault = self._fault(BLIND, f"ask/{reference}/{nth}") if nth <= FAULTS_MAX else ""
        if fault:
            return None if fault == "cut" else _bad(fault)
        found = self._journal.effects.get((door, reference), [])
        return 200, {"items": [{"reference": reference, "number": one["number"]} for one in found]}


def _bad(fault: str) -> tuple[int, dict[str, object]]:
    return {"busy": 429, "error": 500, "hang": 0}[fault], {"code": fault}


def _response(status: int, document: dict[str, object]) -> bytes:
    body = json.dumps(document).encode()
    wish = "Retry-After: 0\r\n" if status == 429 else ""
    head = (
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{wish}\r\n"
    )
    return head.encode() + body


async def main() -> None:
    """Serve until killed."""
    port, journal, seed, ratio, closed = sys.argv[1:]
    business = Business(Journal(Path(journal)), seed, float(ratio), Path(closed))
    server = await asyncio.start_server(business.serve, "127.0.0.1", int(port), limit=1 << 20)
    os.write(1, b"ready\n")
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(main())
