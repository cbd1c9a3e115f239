"""P14: what a node that does nothing needs, and how soon the command line answers."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import gates
import host
from gates import Result

from rows.context import Context

_READY_S_MAX = 30.0
_SETTLE_S = 2.0
_RSS_MB_MAX = 80
_HELP_MS_MAX = 150


def command() -> list[str]:
    """The program as a user calls it; as a module where it is not installed."""
    beside = Path(sys.executable).with_name("mfgroute")
    found = str(beside) if beside.exists() else shutil.which("mfgroute")
    return [found] if found else [sys.executable, "-m", "mfgroute"]


def run(context: Context) -> list[Result]:
    """Measure both."""
    result = Result("P14", raw={"command": command()})
    times = []
    for _ in range(context.rounds + 1):
        began = time.perf_counter()
        subprocess.run([*command(), "--help"], stdout=subprocess.DEVNULL, check=True)
        times.append((time.perf_counter() - began) * 1e3)
    times = times[1:]
    idle = [_idle_mib(context, number) for number in range(min(3, context.rounds))]
    middle, rss = statistics.median(times), statistics.median(idle) * 1.048576
    result.raw |= {"help_ms": times, "idle_rss_mib": idle}
    result.gates = [
        gates.value(
            "P14",
            "idle node of the template of `init`, RSS",
            "≤ 80 MB",
            f"{rss:.0f} MB",
            met=rss <= _RSS_MB_MAX,
        ),
        gates.value(
            "P14",
            "`mfgroute --help`",
            "≤ 150 ms",
            f"{middle:.0f} ms ({min(times):.0f} to {max(times):.0f})",
            met=middle <= _HELP_MS_MAX,
        ),
    ]
    return [result]


def _idle_mib(context: Context, number: int) -> float:
    """Start a node, wait until it is ready and a moment longer, and read what it holds."""
    folder = context.work / f"idle-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([*command(), "init", str(folder)], stdout=subprocess.DEVNULL, check=True)
    settings = folder / "mfgroute.yaml"
    settings.write_text(settings.read_text().replace("listen: 127.0.0.1:8080", "listen: 127.0.0.1:0"))
    log = folder / "log.jsonl"
    with log.open("wb") as errors:
        node = subprocess.Popen(
            [*command(), "run", "-c", str(folder)],
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        _ready(node, log)
        time.sleep(_SETTLE_S)
        return host.rss_kib(node.pid) / 1024
    finally:
        node.terminate()
        node.wait(timeout=60)


def _ready(node: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the node says that it started."""
    until = time.monotonic() + _READY_S_MAX
    while time.monotonic() < until:
        said = log.read_text()
        if node.poll() is not None:
            raise RuntimeError(f"the node ended with {node.returncode}: {said[-500:]}")
        if any(json.loads(line)["event"] == "started" for line in said.splitlines() if line.startswith("{")):
            return
        time.sleep(0.05)
    raise RuntimeError(f"the node was not ready after {_READY_S_MAX:.0f} s: {log.read_text()[-500:]}")
