"""A business system as a process: it keeps a journal, and answers badly as often as it is told.

Run as ``business.py PORT JOURNAL SEED RATIO SLOW CLOSED PERIODS [FAULT...]``. It has three doors. ``POST /key`` does something once for an
``Idempotency-Key`` and answers its repeats as it did before; ``PUT /upsert/REFERENCE`` replaces what has this reference;
``POST /lookup`` does something each time, and ``GET /lookup?reference=R`` lists what was done. Whatever it did is in the
journal before it answers, so the process can be killed at any time. While the file ``CLOSED`` is there, the reports that
it lists as ``["door", "report"]`` are refused; nothing is done in the periods that the file ``PERIODS`` lists.

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
import time
import urllib.parse
from collections import Counter, defaultdict
from pathlib import Path

#: How a request meets a fault. `late` is cut off at once, and done a moment later; `trickle` gets its headers at once
#: and then bytes without an end; `lie` gets a 200 with an error in it, `promise` a 202 for something that is never done.
FAULTS = (
    *("cut", "done_cut", "late", "busy", "error", "done_error", "hang", "done_hang"),
    *("trickle", "done_trickle", "lie", "done_lie", "promise"),
)
#: How a question meets one; `others` answers with documents that nobody asked for besides.
BLIND = ("cut", "busy", "error", "cut", "busy", "error", "hang", "trickle", "others")
#: A report is treated well from then on, and so are questions about it.
FAULTS_MAX, BLIND_MAX = 3, 2
LATE_S, TRICKLE_S = 1.0, 0.05
#: What comes this late is not done any more: nobody waits for it, so it would be done while it is asked about.
TOO_LATE_S = 1.4
#: Status of an answer that never comes, and of one that never ends.
HANGS, TRICKLES = 0, -1


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
        elif line["is"] == "arrival":
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
        periods: file with the periods that are closed.
        slow: how many times as long as usual what comes late takes.
        faults: those that each report meets, one after the other; none: any.
    """

    def __init__(
        self,
        journal: Journal,
        seed: str,
        ratio: float,
        closed: Path,
        periods: Path,
        *,
        slow: float = 1.0,
        faults: tuple[str, ...] = (),
    ) -> None:
        self._journal, self._seed, self._ratio, self._faults = journal, seed, ratio, faults
        self._slow = slow
        self._closed, self._periods = closed, periods
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
                if status == TRICKLES:
                    await _trickle(writer)
                if status in (HANGS, TRICKLES):
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
        """Status and document; `None` cuts the connection."""
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
        if self._faults:
            fault = self._faults[nth - 1] if nth <= len(self._faults) else ""
        else:
            fault = self._fault(FAULTS, f"{report}/{nth}") if nth <= FAULTS_MAX else ""
        if fault == "late":
            task = asyncio.create_task(self._done_later(place, document))
            self._later.add(task)
            task.add_done_callback(self._later.discard)
        if fault in ("cut", "late"):
            return None
        if fault in BAD:
            return BAD[fault]
        async with self._busy[place]:
            effect = self._do(place, document)
        if isinstance(effect, str):
            return 422, {"code": effect, "message": "not posted"}
        if fault == "done_cut":
            return None
        done = {"status": "posted", "number": effect["number"]}
        return BAD[fault.removeprefix("done_")] if fault else (201, done)

    def _fault(self, kinds: tuple[str, ...], name: str) -> str:
        dice = random.Random(f"{self._seed}/{name}")
        return dice.choice(kinds) if dice.random() < self._ratio else ""

    async def _done_later(self, place: tuple[str, str], document: dict[str, str]) -> None:
        began = time.monotonic()
        async with self._busy[place]:
            await asyncio.sleep(LATE_S * self._slow)
            if time.monotonic() - began < TOO_LATE_S * self._slow:
                self._do(place, document)

    def _do(self, place: tuple[str, str], document: dict[str, str]) -> dict[str, str] | str:
        """Do what a request asks for; a code if it is refused."""
        door, key = place
        known = self._journal.effects.get(place, [])
        if known and door == "key":
            return known[0]
        if document["period"] in _listed(self._periods):
            self._journal.write(**{"is": "period_closed"}, door=door, report=document["report"])
            return "PERIOD_CLOSED"
        if [door, document["report"]] in _listed(self._closed):
            return "CLOSED"
        number = known[0]["number"] if known and door == "upsert" else f"{door}-{self._journal.count + 1}"
        taken = {name: document[name] for name in ("report", "order", "quantity")}
        return self._journal.write(**{"is": "effect"}, door=door, key=key, number=number, **taken)

    def _found(self, door: str, reference: str) -> tuple[int, dict[str, object]] | None:
        self._asked[reference] += 1
        nth = self._asked[reference]
        fault = self._fault(BLIND, f"ask/{reference}/{nth}") if nth <= BLIND_MAX else ""
        if fault == "cut" or fault in BAD:
            return BAD.get(fault)
        found = self._journal.effects.get((door, reference), [])
        items = [{"reference": reference, "number": one["number"]} for one in found]
        if fault == "others" and items:
            items = [{"reference": f"{reference}-0", "number": "0"}, *items, {"reference": "", "number": "1"}]
        return 200, {"items": items}


#: What a fault answers.
BAD: dict[str, tuple[int, dict[str, object]]] = {
    "busy": (429, {"code": "busy"}),
    "error": (500, {"code": "error"}),
    "hang": (HANGS, {}),
    "trickle": (TRICKLES, {}),
    "lie": (200, {"error": {"code": "NOT_POSTED", "message": "not posted"}}),
    "promise": (202, {"status": "accepted", "number": "promised"}),
}


def _listed(file: Path) -> list[object]:
    """What stands in a file that may be taken away meanwhile."""
    try:
        return list(json.loads(file.read_bytes()))
    except FileNotFoundError:
        return []


async def _trickle(writer: asyncio.StreamWriter) -> None:
    """Send headers at once and then spaces, one at a time, until the other side has had enough."""
    writer.write(b"HTTP/1.1 201 X\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{")
    while not writer.transport.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(TRICKLE_S)


def _response(status: int, document: dict[str, object]) -> bytes:
    body = json.dumps(document).encode()
    wish = "Retry-After: 0\r\n" if status == 429 else ""
    head = (
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{wish}\r\n"
    )
    return head.encode() + body


async def main() -> None:
    """Serve until killed."""
    port, journal, seed, ratio, slow, closed, periods, *faults = sys.argv[1:]
    files = (Path(closed), Path(periods))
    business = Business(
        Journal(Path(journal)), seed, float(ratio), *files, slow=float(slow), faults=tuple(faults)
    )
    server = await asyncio.start_server(business.serve, "127.0.0.1", int(port), limit=1 << 20)
    os.write(1, b"ready\n")
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(main())
