"""What the machine was, and what else it did."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
IDLE_MIN = 0.96
_TICKS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


@dataclass
class Moment:
    """Ticks of all processors since the machine started."""

    ticks: dict[str, int]

    @classmethod
    def now(cls) -> Moment:
        """Read ``/proc/stat``."""
        words = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
        return cls({name: int(word) for name, word in zip(_TICKS, words, strict=False)})

    def share(self, name: str, since: Moment) -> float:
        """Which part of the time since an earlier moment was `name`."""
        spent = {one: self.ticks[one] - since.ticks[one] for one in self.ticks}
        return spent[name] / max(1, sum(spent.values()))


def quiet(seconds: float = 1.0) -> dict[str, Any]:
    """How idle the machine is while nothing is measured."""
    before = Moment.now()
    time.sleep(seconds)
    after = Moment.now()
    idle = after.share("idle", before) + after.share("iowait", before)
    return {
        "idle": round(idle, 4),
        "steal": round(after.share("steal", before), 4),
        "load_average": os.getloadavg(),
    }


def commit() -> str:
    """The short name of the commit; with a suffix when files differ from it."""
    command = ["git", "describe", "--always", "--dirty=-changed", "--abbrev=10"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "no-commit"


def facts() -> dict[str, Any]:
    """The machine and the versions of what is measured."""
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "python": platform.python_version(),
        "rustc": _first_line(["rustc", "--version"]),
        "go": _first_line(["go", "version"]),
        "mfgroute": _version("mfgroute"),
    }


def rss_kib(pid: int | str = "self", field: str = "VmRSS") -> int:
    """Resident memory of a process; ``VmHWM`` for the most it ever had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise ValueError(f"/proc/{pid}/status has no {field}")


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "absent"
    return (done.stdout or done.stderr).strip().partition("\n")[0] or "absent"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "from the source tree"
