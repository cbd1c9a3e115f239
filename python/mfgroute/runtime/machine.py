"""What a node needs of its machine: the disk under its data folder, how many files it may open, the clock."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

#: Written and synced by one step of the probe: a group of a few events.
_PROBE_BYTES = 4096


class Syncs(NamedTuple):
    """How long small synced writes take.

    Attributes:
        writes: how many were made.
        p50_ms: half of them took at most so long, in milliseconds.
        p99_ms: of a hundred, all but the slowest.
    """

    writes: int
    p50_ms: float
    p99_ms: float


class Mount(msgspec.Struct, frozen=True):
    """A mounted file system.

    Attributes:
        kind: such as ``ext4``.
        place: where it is mounted.
    """

    kind: str
    place: str


def nearest(path: Path) -> Path:
    """The folder, or the first one above it that is there."""
    found = Path(path).resolve()
    while not found.is_dir() and found != found.parent:
        found = found.parent
    return found


def sync_times(folder: Path, writes: int) -> Syncs:
    """Measure `writes` appends of 4 KiB, each followed by ``fdatasync``, in a file that nobody sees.

    Raises:
        OSError: the folder cannot be written.
    """
    block, spent = os.urandom(_PROBE_BYTES), []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        # As a segment of a log: room is there before, so that a sync has no file length to write.
        file.write(bytes(_PROBE_BYTES * writes))
        os.fsync(file.fileno())
        for number in range(writes):
            began = time.perf_counter()
            os.pwrite(file.fileno(), block, number * _PROBE_BYTES)
            os.fdatasync(file.fileno())
            spent.append(1000 * (time.perf_counter() - began))
    spent.sort()
    return Syncs(writes, spent[(writes - 1) // 2], spent[min(writes - 1, writes * 99 // 100)])


def mount_of(folder: Path) -> Mount | None:
    """The file system of a folder; `None` where the system does not say it.

    See proc_pid_mountinfo(5) of the Linux manual.
    """
    try:
        text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        real = folder.resolve()
    except OSError:
        return None
    found: Mount | None = None
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        place = _unescaped(before.split(" ")[4])
        # A later mount at the same place hides the one before.
        if real.is_relative_to(place) and (found is None or len(place) >= len(found.place)):
            found = Mount(after.split(" ")[0], place)
    return found


def _unescaped(text: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text


def free_bytes(folder: Path) -> int:
    """Bytes that this user may still write.

    Raises:
        OSError: the folder cannot be asked.
    """
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def files_max() -> int:
    """How many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft
