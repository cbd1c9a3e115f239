"""What can still be read of a damaged log, as files for people and programs."""

from __future__ import annotations

import base64
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from mfgroute import _core
from mfgroute.runtime.folder import Log


def salvage(log: Log, target: Path, *, raw: bool = False) -> dict[str, Any]:
    """Copy every readable record of a log, in order; nothing of the log is changed.

    Args:
        log: damaged or not.
        target: folder for the files; made if it is missing. Existing files are not overwritten.
        raw: events too as they lie in the log.

    Returns:
        What `_core.log_salvage` says, with ``name`` of the log and ``files``: records by file name.

    Raises:
        LogFailed: the disk of the log refuses.
        OSError: a file cannot be written.
    """
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        out = _Files(target, log.path.name, stack)

        def each(number: int, at_ms: int, record: bytes, event: bytes | None) -> None:
            if event is not None and not raw:
                out.write("events", event + b"\n")
                return
            text = base64.b64encode(record).decode()
            out.write("raw", b'{"record":%d,"at_ms":%d,"bytes":"%s"}\n' % (number, at_ms, text.encode()))

        found = _core.log_salvage(log.path, each)
        out.sync()
    return {"name": log.name, **found, "files": out.counts}


class _Files:
    """Files that are made when something goes into them, readable by their owner only."""

    def __init__(self, folder: Path, name: str, stack: ExitStack) -> None:
        self._folder, self._name, self._stack = folder, name, stack
        self._open: dict[str, BinaryIO] = {}
        self.counts: dict[str, int] = {}

    def write(self, kind: str, line: bytes) -> None:
        """Add a line to the file of its kind."""
        name = f"{self._name}.{kind}.jsonl"
        if name not in self._open:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            handle = os.open(self._folder / name, flags, 0o600)
            self._open[name] = self._stack.enter_context(os.fdopen(handle, "wb"))
            self.counts[name] = 0
        self._open[name].write(line)
        self.counts[name] += 1

    def sync(self) -> None:
        """Make durable what was written."""
        for file in self._open.values():
            file.flush()
            os.fsync(file.fileno())
