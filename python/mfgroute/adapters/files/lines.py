"""Files of lines that are appended to: whole lines, or nothing, or an honest exception."""

from __future__ import annotations

import fcntl
import os
import stat
from collections import OrderedDict
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["LineFiles", "NotWritten", "PartlyWritten"]

_OPEN_MAX = 64


class NotWritten(OSError):  # noqa: N818 - says what happened
    """The disk refused, and the file is as it was."""


class PartlyWritten(OSError):  # noqa: N818 - says what happened
    """The disk failed, and what the file holds is not known."""


class LineFiles:
    """Open files by path, the least recently used closed first. Blocks; not thread-safe.

    Each open file is locked, so that two writers cannot mix their lines.
    """

    def __init__(self, *, sync: bool, rotate_bytes: int | None) -> None:
        self._sync = sync
        self._rotate_bytes = rotate_bytes
        self._open: OrderedDict[Path, int] = OrderedDict()

    def append(self, path: Path, data: bytes) -> None:
        """Write `data`, which ends with a line break.

        Raises:
            NotWritten: nothing of it is in the file.
            PartlyWritten: some of it may be.
        """
        try:
            handle = self._handle(path)
            size = os.fstat(handle).st_size
            if self._rotate_bytes is not None and size and size + len(data) > self._rotate_bytes:
                self._rotate(path)
                handle = self._handle(path)
                size = 0
        except OSError as error:
            raise NotWritten(f"cannot open {path}: {error}") from error
        try:
            _write_all(handle, data)
        except OSError as error:
            self._drop(path)
            self._undo(path, size, error)
        if self._sync:
            try:
                os.fdatasync(handle)
            except OSError as error:
                # After a failed sync the page cache shows bytes that the disk may not have.
                self._drop(path)
                raise PartlyWritten(f"cannot sync {path}: {error}") from error

    def close(self) -> None:
        """Close all files."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _handle(self, path: Path) -> int:
        if path in self._open:
            handle = self._open[path]
            self._open.move_to_end(path)
            if _same_file(handle, path):
                return handle
            self._drop(path)  # Moved away by somebody, logrotate for instance.
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        handle = os.open(path, flags, 0o640)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError(f"{path} is not a regular file")
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _end_line(handle)
        except OSError:
            os.close(handle)
            raise
        self._open[path] = handle
        if len(self._open) > _OPEN_MAX:
            os.close(self._open.popitem(last=False)[1])
        return handle

    def _rotate(self, path: Path) -> None:
        self._drop(path)
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        path.rename(path.with_name(f"{path.stem}.{now}{path.suffix}"))

    def _drop(self, path: Path) -> None:
        handle = self._open.pop(path, None)
        if handle is not None:
            os.close(handle)

    @staticmethod
    def _undo(path: Path, size: int, error: OSError) -> None:
        try:
            os.truncate(path, size)
        except OSError:
            raise PartlyWritten(f"cannot write to {path}: {error}") from error
        raise NotWritten(f"cannot write to {path}: {error}") from error


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _end_line(handle: int) -> None:
    """A crash may have torn the last line: end it, so that the next one is whole."""
    size = os.fstat(handle).st_size
    if size and os.pread(handle, 1, size - 1) != b"\n":
        os.write(handle, b"\n")


def _same_file(handle: int, path: Path) -> bool:
    try:
        found = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    mine = os.fstat(handle)
    return (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino)
