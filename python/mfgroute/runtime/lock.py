"""One process per data folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from mfgroute.errors import Locked

_NAME = "router.lock"


def holder(data_dir: Path) -> str | None:
    """Who holds a data folder, as ``process 4711``; `None` if nobody does. Nothing is made or written.

    Raises:
        OSError: the lock cannot be read.
    """
    try:
        handle = os.open(data_dir / _NAME, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _who(handle)
    finally:
        os.close(handle)
    return None


def _who(handle: int) -> str:
    number = os.pread(handle, 32, 0).decode(errors="replace").strip()
    return f"process {number}" if number.isdigit() else "another process"


class DataLock:
    """Holds a data folder for this process until `release`.

    Raises:
        Locked: another process holds it.
        OSError: the folder cannot be made or written.
    """

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(data_dir / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = _who(self._fd)
            os.close(self._fd)
            raise Locked(f"data folder `{data_dir}` is in use by {who}") from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another process have it."""
        os.close(self._fd)
