"""B3 and P12: from an edge to a core over ZeroMQ with CURVE.

* B3: the link alone between two processes, at 1, 16 and 256 events in a frame: sink and source with a receipt
  at once, beside a pass-through of the same bytes and what one would write with ``pyzmq`` and a JSON library.
* P12: two whole nodes, durable on both sides. Once the edge is fed while the core takes (*steady*), once it
  has everything before the core starts (*catch-up*: what follows an outage).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gates
import nodes
import projects
import workload
from gates import Result

from mfgroute._core import Engine, build_info
from mfgroute.adapters.zeromq.keys import create_keypair
from rows import disk
from rows.context import Context

_SIZES = (1, 16, 256)
_KINDS = ("raw", "link", "msgspec", "orjson")
_NODE_EVENTS = 102_400
_RATE_MIN = 300_000
_ENDS_S = 900


def run(context: Context) -> list[Result]:
    """Measure both."""
    events, keys = prepare(context)
    alone = _alone(context, events, keys)
    return [alone, _whole(context, keys, alone)]


def prepare(context: Context) -> tuple[Path, Path]:
    """Canonical events of W1, and the keys of both ends."""
    path, keys = context.work / "link-events.ndjson", context.work / "link-keys"
    shutil.rmtree(keys, ignore_errors=True)
    for name in ("edge", "core"):
        create_keypair(keys, name)
    with closing(Engine(nodes.plan())) as engine:
        nodes.submit(engine, workload.slabs(context.sized(40_960)))
        path.write_bytes(b"".join(event + b"\n" for event in nodes.drain(engine)))
    return path, keys


def _alone(context: Context, events: Path, keys: Path) -> Result:
    found: dict[str, list[dict[str, Any]]] = {}

    def turn(number: int) -> None:
        for size in _SIZES:
            chosen = part(events, size)
            for kind in _KINDS if number % 2 == 0 else reversed(_KINDS):
                found.setdefault(f"{kind}, {size}", []).append(pair(kind, chosen, size, keys))

    moments = disk.rounds(context, turn)
    result = Result("B3", raw={"runs": found, "rounds": moments})
    result.text = [
        f"{'events/frame':>20} {'events/s':>11} {'min':>11} {'max':>11} {'send µs':>9} {'take µs':>9} CPU",
        *(_line(name, runs) for name, runs in found.items()),
        "absent: NATS and FastStream (both need a server), ipc (an edge link is between machines)",
        disk.quietness(moments),
    ]
    speed = {name: [one["per_s"] for one in runs] for name, runs in found.items()}
    result.gates = [
        gates.at_least(
            "B3", "link against pass-through, 256 events a frame", 0.8, speed["link, 256"], speed["raw, 256"]
        ),
        gates.at_least(
            "B3", "link against pyzmq + msgspec, 1 event a frame", 6.0, speed["link, 1"], speed["msgspec, 1"]
        ),
    ]
    return result


def part(events: Path, size: int) -> Path:
    """Fewer events where each is a frame: it takes as long."""
    if size >= 256:
        return events
    lines = events.read_bytes().splitlines(keepends=True)
    path = events.with_name(f"link-events-{size}.ndjson")
    path.write_bytes(b"".join(lines[: max(256, len(lines) // (8 if size == 1 else 2))]))
    return path


def pair(kind: str, events: Path, size: int, keys: Path) -> dict[str, Any]:
    """Two processes, one of which takes what the other one sends."""
    with _child("wire", "take", kind, events, size, "tcp://127.0.0.1:*", keys) as taker:
        endpoint = _heard(taker)
        with _child("wire", "send", kind, events, size, endpoint, keys) as sender:
            sent = json.loads(_heard(sender))
        _expect(taker, "taken")
        _end(taker)
        taken = json.loads(_heard(taker))
    if sent["events"] != taken["events"]:
        raise RuntimeError(f"{kind}: {sent['events']} events sent, {taken['events']} taken")
    return {
        "events": sent["events"],
        "per_s": sent["events"] / sent["ns"] * 1e9,
        "send_cpu_ns": sent["cpu_ns"] / sent["events"],
        "take_cpu_ns": taken["cpu_ns"] / taken["events"],
    }


def _line(name: str, runs: list[dict[str, Any]]) -> str:
    speed = [one["per_s"] for one in runs]
    send, take = (statistics.median(one[f"{end}_cpu_ns"] for one in runs) / 1e3 for end in ("send", "take"))
    return (
        f"{name:>20} {statistics.median(speed):11,.0f} {min(speed):11,.0f} {max(speed):11,.0f} "
        f"{send:9.2f} {take:9.2f}"
    )


def _whole(context: Context, keys: Path, alone: Result) -> Result:
    count = context.sized(_NODE_EVENTS * (10 if context.full else 1))
    found: dict[str, list[dict[str, Any]]] = {"steady": [], "catch-up": []}

    def turn(number: int) -> None:
        for way in found if number % 2 == 0 else reversed(found):
            found[way].append(plant(context, keys, count, fill_first=way == "catch-up"))

    moments = disk.rounds(context, turn)
    result = Result("P12", raw={"runs": found, "rounds": moments, "events": count})
    result.text = [
        f"{f'{count:,} events, both nodes durable':>46} {'events/s':>11} {'min':>9} {'max':>9} edge/core µs"
    ]
    for way, runs in found.items():
        speed = [one["per_s"] for one in runs]
        edge, core = (
            statistics.median(one[f"{end}_cpu_ns"] for one in runs) / 1e3 for end in ("edge", "core")
        )
        result.text.append(
            f"{way:>46} {statistics.median(speed):11,.0f} {min(speed):9,.0f} {max(speed):9,.0f} "
            f"{edge:9.2f} {core:9.2f}"
        )
    result.text.append(disk.quietness(moments))
    speed = [one["per_s"] for one in found["steady"]]
    through = [one["per_s"] for one in alone.raw["runs"]["raw, 256"]]
    middle = statistics.median(speed)
    what, against = (
        "edge to core, CURVE, durable on both sides",
        "the same against pass-through, 256 events a frame",
    )
    wrong = sum(one["wrong"] for runs in found.values() for one in runs)
    whole = gates.value("P12", "every event in the core once, none rejected", "0", f"{wrong}", met=wrong == 0)
    target = f"≥ {_RATE_MIN / 1e3:.0f} k/s"
    if build_info()["debug"]:
        why = "the extension is built without optimization"
        result.gates = [
            gates.missing("P12", what, target, why),
            gates.missing("P12", against, "≥ 0.5 ×", why),
            whole,
        ]
        return result
    rate = f"{middle / 1e3:.0f} k/s"
    result.gates = [
        gates.value("P12", what, target, rate, met=middle >= _RATE_MIN),
        gates.at_least("P12", against, 0.5, speed, through),
        whole,
    ]
    return result


def plant(context: Context, keys: Path, count: int, *, fill_first: bool) -> dict[str, Any]:
    """An edge and a core; how fast events went from one to the other."""
    folder = context.work / "link-plant"
    shutil.rmtree(folder, ignore_errors=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    write(folder, keys, port, count)
    try:
        with contextlib.ExitStack() as stack:
            if not fill_first:
                core = stack.enter_context(_child("linked", "core", folder / "core", count))
                _expect(core, "ready")
            edge = stack.enter_context(_child("linked", "edge", folder / "edge", count))
            _expect(edge, "filled")
            if fill_first:
                core = stack.enter_context(_child("linked", "core", folder / "core", count))
                _expect(core, "ready")
            arrived = json.loads(_heard(core))
            _end(edge)
            sent = json.loads(_heard(edge))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seconds = (arrived["last_ns"] - arrived["first_ns"]) / 1e9
    return {
        "per_s": count / seconds,
        "edge_cpu_ns": sent["cpu_ns"] / count,
        "core_cpu_ns": arrived["cpu_ns"] / count,
        "retries": sent["retries"],
        "wrong": abs(arrived["accepted"] - count) + arrived["rejected"] + arrived["duplicates"],
    }


def write(folder: Path, keys: Path, port: int, count: int) -> None:
    """The projects of both nodes."""
    capacity = f"durability: fsync, capacity: {max(64, count * 1600 >> 20)}MiB, when_full: block"
    public = {name: (keys / f"{name}.public").read_text().strip() for name in ("edge", "core")}
    for name in ("edge", "core"):
        shutil.copytree(keys, folder / name / "keys")
    main = projects.write(folder / "edge", stream=capacity, adapter="bench") / "mfgroute.yaml"
    main.write_text(
        main.read_text()
        .replace("id: bench", "id: edge")
        .replace(
            "{adapter: console}",
            f'{{adapter: zeromq, connect: "tcp://127.0.0.1:{port}", core_key: "{public["core"]}", '
            "secret_key_file: keys/edge.secret, effect: {by: key}, owner: bench, limits: {in_flight: 16}}",
        )
    )
    main = projects.write(folder / "core", stream=capacity) / "mfgroute.yaml"
    source = f"  {workload.SOURCE}: {{adapter: http, mappings: [mes]}}\n"
    main.write_text(
        main.read_text().replace(
            source,
            f'  edges:\n    adapter: zeromq\n    listen: "tcp://127.0.0.1:{port}"\n'
            "    secret_key_file: keys/core.secret\n"
            f'    edges:\n      - {{id: edge, key: "{public["edge"]}", sources: ["*"]}}\n',
        )
    )


@contextlib.contextmanager
def _child(module: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    here = Path(__file__).parents[1]
    path = os.pathsep.join(part for part in (str(here), os.environ.get("PYTHONPATH")) if part)
    command = [sys.executable, "-m", f"rows.{module}", *map(str, arguments)]
    log = Path(str(arguments[-1] if module == "wire" else arguments[1])).parent / f"link-{arguments[0]}.log"
    with log.open("w") as errors:
        child = subprocess.Popen(
            command, cwd=here, env={**os.environ, "PYTHONPATH": path}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
    child.args = [*command, str(log)]
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def _heard(child: subprocess.Popen[str]) -> str:
    """The next line that a process says.

    Raises:
        RuntimeError: it ended without one.
    """
    assert child.stdout is not None
    line = child.stdout.readline().strip()
    if not line:
        command = [str(part) for part in child.args]  # type: ignore[union-attr]
        raise RuntimeError(f"{' '.join(command[2:5])} ended: {Path(command[-1]).read_text()[-500:]}")
    return line


def _end(child: subprocess.Popen[str]) -> None:
    """A process that waits for this may end."""
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def _expect(child: subprocess.Popen[str], word: str) -> None:
    if not (line := _heard(child)).startswith(word):
        raise RuntimeError(f"heard {line!r}, expected {word}")
