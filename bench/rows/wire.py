"""One end of a link: ``python -m rows.wire send|take KIND EVENTS SIZE ENDPOINT KEYS``; see `rows.link`.

Kinds: ``raw`` passes frames through, ``msgspec`` and ``orjson`` read and write each event on the way, and
``link`` is the edge link itself, sink and source without nodes. All of them are CURVE over one connection,
with the same credit: at most `CREDIT` frames without an answer. A frame holds `SIZE` events.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import orjson
import zmq

from mfgroute.adapter import Context
from mfgroute.adapters.zeromq import EdgePeer, ZeroMqSink, ZeroMqSinkConfig, ZeroMqSource, ZeroMqSourceConfig
from mfgroute.adapters.zeromq.keys import load_secret
from mfgroute.events import Done, Event, Receipt

CREDIT = 64
_WRITES = 16
_EDGE, _CORE = "edge", "core"


def events_of(path: str) -> list[bytes]:
    """The events, one for each line."""
    return Path(path).read_bytes().splitlines()


def _nothing(frame: bytes) -> int:
    del frame
    return 0


def _msgspec(frame: bytes) -> int:
    return sum(len(msgspec.json.encode(event)) for event in msgspec.json.decode(frame))


def _orjson(frame: bytes) -> int:
    return sum(len(orjson.dumps(event)) for event in orjson.loads(frame))


WORK: dict[str, Callable[[bytes], int]] = {"raw": _nothing, "msgspec": _msgspec, "orjson": _orjson}


def send(kind: str, events: list[bytes], size: int, endpoint: str, keys: Path) -> dict[str, Any]:
    """Send all events as frames; the clock runs from the first to the last answer."""
    frames = [b"[" + b",".join(events[at : at + size]) + b"]" for at in range(0, len(events), size)]
    socket = zmq.Context().socket(zmq.DEALER)
    pair = load_secret(keys / f"{_EDGE}.secret")
    socket.curve_publickey, socket.curve_secretkey = pair
    socket.curve_serverkey = load_secret(keys / f"{_CORE}.secret").public
    socket.connect(endpoint)
    socket.send(b"")  # The handshake is not measured.
    socket.recv()
    began, cpu, sent, acked = time.perf_counter_ns(), time.process_time_ns(), 0, 0
    while acked < len(frames):
        while sent < len(frames) and sent - acked < CREDIT:
            socket.send(frames[sent])
            sent += 1
        acked = int.from_bytes(socket.recv(), "big")
    return {
        "ns": time.perf_counter_ns() - began,
        "cpu_ns": time.process_time_ns() - cpu,
        "events": len(events),
    }


def take(kind: str, events: list[bytes], size: int, endpoint: str, keys: Path) -> dict[str, Any]:
    """Take all frames, answer how many there were: what waits is taken before one answer."""
    work, frames = WORK[kind], -(-len(events) // size)
    socket = zmq.Context().socket(zmq.ROUTER)
    socket.curve_publickey, socket.curve_secretkey = load_secret(keys / f"{_CORE}.secret")
    socket.curve_server = True
    socket.bind(endpoint)
    _say(socket.getsockopt_string(zmq.LAST_ENDPOINT))
    route, _ = socket.recv_multipart()
    socket.send_multipart([route, b"ready"])
    cpu, taken = time.process_time_ns(), 0
    while taken < frames:
        _, frame = socket.recv_multipart()
        work(frame)
        taken += 1
        if taken % (CREDIT // 4) == 0 or taken == frames or not socket.getsockopt(zmq.EVENTS) & zmq.POLLIN:
            socket.send_multipart([route, taken.to_bytes(8, "big")])
    found = {"cpu_ns": time.process_time_ns() - cpu, "events": len(events)}
    _say("taken")
    sys.stdin.readline()  # The last answer is on its way.
    return found


async def send_link(events: list[bytes], size: int, endpoint: str, keys: Path) -> dict[str, Any]:
    """The same through the sink, as the runtime calls it: several writes at a time, `size` events each."""
    config = ZeroMqSinkConfig(
        connect=endpoint,
        core_key=(keys / f"{_CORE}.public").read_text().strip(),
        secret_key_file=f"{_EDGE}.secret",
        answer_timeout_s=120.0,
    )
    sink = ZeroMqSink(config, Context(name="core", node=_EDGE, project_dir=keys))
    made = [
        Event(id=str(at), type="bench", key="k", offset=at, json=event, stream="business")
        for at, event in enumerate(events)
    ]
    groups = iter([made[at : at + size] for at in range(0, len(made), size)])
    await sink.open()
    await sink.link.lane("business")

    async def work() -> None:
        for group in groups:
            outcomes = await sink.write(group)
            if not all(isinstance(outcome, Done) for outcome in outcomes):
                raise RuntimeError(f"an event was not acknowledged: {outcomes[0]}")

    began, cpu = time.perf_counter_ns(), time.process_time_ns()
    await asyncio.gather(*(work() for _ in range(_WRITES)))
    found = {
        "ns": time.perf_counter_ns() - began,
        "cpu_ns": time.process_time_ns() - cpu,
        "events": len(made),
    }
    await sink.close()
    return found


async def take_link(events: list[bytes], size: int, endpoint: str, keys: Path) -> dict[str, Any]:
    """The source, with a receipt for each intake at once."""
    del size
    peer = EdgePeer(id=_EDGE, key=(keys / f"{_EDGE}.public").read_text().strip(), sources=("*",))
    config = ZeroMqSourceConfig(
        listen=endpoint, secret_key_file=f"{_CORE}.secret", edges=(peer,), credit_blocks=CREDIT
    )
    source = ZeroMqSource(config, Context(name="edges", project_dir=keys))
    await source.open(None)
    _say(source.endpoint)
    cpu, taken = time.process_time_ns(), 0
    while taken < len(events):
        intake = await source.read()
        taken += len(intake.messages)
        await source.ack(intake, Receipt(accepted=len(intake.messages), level="memory"))
    found = {"cpu_ns": time.process_time_ns() - cpu, "events": taken}
    _say("taken")
    await asyncio.to_thread(sys.stdin.readline)  # The last answers are on their way.
    await source.close()
    return found


def _say(line: str) -> None:
    print(line, flush=True)


def main(verb: str, kind: str, path: str, size: str, endpoint: str, keys: str) -> None:
    """One end."""
    end = (events_of(path), int(size), endpoint, Path(keys))
    if kind == "link":
        found = asyncio.run((send_link if verb == "send" else take_link)(*end))
    else:
        found = (send if verb == "send" else take)(kind, *end)
    _say(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
