"""The disk that durable streams stand on, and the program that measures both: ``micro/src/bin/durable``.

Every durable figure is printed beside the curve of its own run: how long a write and its ``fdatasync`` take
by the size of the write, in a file that was written before.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import host
import race
from peers import HERE

from rows.context import Context

_RUN_S_MAX = 1800
_UNITS = ((1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))


class Program:
    """The built program; every run has a folder of its own, on the disk of the folder for work."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.path = context.shop.cargo(HERE / "micro", "durable", locked=False)

    def run(self, *args: object, keep: bool = False) -> dict[str, Any]:
        """Run it once; ``FOLDER`` among the arguments stands for a new folder, removed afterwards."""
        folder = Path(tempfile.mkdtemp(prefix="durable-", dir=self.context.work))
        try:
            words = [str(folder) if one == "FOLDER" else str(one) for one in args]
            done = subprocess.run(
                [self.path, *words], capture_output=True, text=True, check=False, timeout=_RUN_S_MAX
            )
            if done.returncode != 0:
                raise RuntimeError(f"durable {' '.join(words)}: {done.stderr.strip()}")
            found: dict[str, Any] = json.loads(done.stdout)
            return found
        finally:
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)

    def curve(self) -> dict[str, Any]:
        """The curve of the disk, now."""
        seconds = 0.02 if self.context.quick else 0.4
        return self.run("curve", "FOLDER", seconds)


def size(count: float) -> str:
    """Bytes for people."""
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.0f} {name}"
    return "0 B"


def show(curve: dict[str, Any], title: str = "this disk, write + fdatasync") -> list[str]:
    """The curve as three lines."""
    groups = curve["groups"]
    lines = [f"{title:34} " + " ".join(f"{size(one['bytes']):>9}" for one in groups)]
    for share, name in (("p50", "p50 µs"), ("p99", "p99 µs")):
        lines.append(f"{name:>34} " + " ".join(f"{one['us'][share]:9.0f}" for one in groups))
    return lines


def rounds(context: Context, body: Callable[[int], None]) -> list[dict[str, Any]]:
    """Call `body` with the number of each round; what the machine did besides.

    A noisy round is said to be so, not repeated: a durable figure waits for the disk, and the machine is idle
    meanwhile.
    """
    moments = []
    for number in range(context.rounds):
        before, begin = host.quiet(0.1 if context.quick else 0.5), host.Moment.now()
        body(number)
        now = host.Moment.now()
        steal = now.share("steal", begin)
        moments.append(
            {
                **before,
                "stolen_during": round(steal, 4),
                "idle_during": round(now.share("idle", begin), 4),
                "iowait_during": round(now.share("iowait", begin), 4),
                "noisy": before["idle"] < host.IDLE_MIN or steal > race.STEAL_MAX,
            }
        )
    return moments


def quietness(moments: list[dict[str, Any]]) -> str:
    """One line about what else the machine did."""
    idle = [one["idle"] for one in moments]
    steal = [one["stolen_during"] for one in moments]
    noisy = sum(one["noisy"] for one in moments)
    return (
        f"machine: {statistics.median(idle):.0%} idle before a round ({min(idle):.0%} to {max(idle):.0%}), "
        f"at most {max(steal):.1%} stolen during one; {noisy} of {len(moments)} rounds noisy"
    )
