"""A group of processes that may use so much memory, of either version of control groups."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

_ROOT = Path("/sys/fs/cgroup")


class ControlGroup:
    """A group of its own with a limit; skips where none can be made. Use it as a context manager.

    Attributes:
        prefix: of a command that begins in it.
    """

    def __init__(self, limit):
        second = (_ROOT / "cgroup.controllers").exists()
        self._folder = (_ROOT if second else _ROOT / "memory") / f"mfgroute-{uuid4().hex[:8]}"
        self._limits = ["memory.max"] if second else ["memory.limit_in_bytes"]
        self._kills = self._folder / ("memory.events" if second else "memory.oom_control")
        try:
            if second:
                (_ROOT / "cgroup.subtree_control").write_text("+memory")
            self._folder.mkdir()
            self.limit(limit)
        except OSError as error:
            pytest.skip(f"no control group with a limit of memory can be made here: {error}")
        join = f'echo $$ > {self._folder}/cgroup.procs && exec "$@"'
        self.prefix = ["sh", "-c", join, "sh"]

    def limit(self, count):
        """Allow so many bytes, and no swap besides where that is counted."""
        for name in self._limits:
            (self._folder / name).write_text(str(count))

    @property
    def killed(self):
        """How many processes of it were killed for their memory."""
        lines = dict(line.split() for line in self._kills.read_text().splitlines())
        return int(lines["oom_kill"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # It goes when the last process of it has gone.
        with suppress(OSError):
            self._folder.rmdir()
