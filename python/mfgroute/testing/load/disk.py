"""What the disk does: the time that a write and its ``fdatasync`` take, by size."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from mfgroute.testing.load.quantile import quantile

#: Sizes of writes in bytes: a record alone, up to what a busy node writes together.
SIZES = (448, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20)
_FILE_BYTES = 32 << 20
_RUNS_MIN = 8


@dataclass(frozen=True)
class Group:
    """Writes of one size.

    Attributes:
        bytes: of each.
        runs: how many there were.
        p50_us: half of them took at most so long, in microseconds.
        p99_us: 99 of a hundred did.
    """

    bytes: int
    runs: int
    p50_us: float
    p99_us: float


def curve(folder: Path, seconds: float = 0.3) -> list[Group]:
    """Measure the disk of a folder, for so many seconds each size.

    The file is written to its end first, as the logs do it: on a file that grows, a sync costs more.

    Raises:
        OSError: the folder takes no file, or the disk is full.
    """
    path = folder / "curve"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        for at in range(0, _FILE_BYTES, 1 << 20):
            _write(file, bytes(1 << 20), at)
        os.fsync(file)
        return [_measured(file, size, seconds) for size in SIZES]
    finally:
        os.close(file)
        path.unlink()


def _measured(file: int, size: int, seconds: float) -> Group:
    group, at = b"\x5a" * size, 0
    took: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(took) < _RUNS_MIN:
        began = time.perf_counter_ns()
        _write(file, group, at)
        os.fdatasync(file)
        took.append((time.perf_counter_ns() - began) / 1e3)
        at = (at + size) % (_FILE_BYTES - size)
    took.sort()
    return Group(size, len(took), quantile(took, 0.5), quantile(took, 0.99))


def _write(file: int, data: bytes, at: int) -> None:
    written = 0
    while written < len(data):
        written += os.pwrite(file, data[written:], at + written)
