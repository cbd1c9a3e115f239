"""The wall clock of a process, set by libfaketime."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DAY = 86_400
_PROGRAM = "import time; print(time.time())"


class WallClock:
    """Sets the wall clock of a process that begins with `prefix`; skips where none can be set.

    Args:
        folder: where it is written how far the clock is off.
    """

    def __init__(self, folder):
        libraries = sorted(Path("/usr").glob("lib*/**/faketime/libfaketimeMT.so.1"))
        if not libraries:
            pytest.skip("libfaketime is not installed")
        self._offset = folder / "offset"
        environment = {
            "LD_PRELOAD": libraries[0],
            "FAKETIME_TIMESTAMP_FILE": self._offset,
            "FAKETIME_NO_CACHE": 1,
            "FAKETIME_DONT_FAKE_MONOTONIC": 1,
            # Else waits on the monotonic clock end at once, and the threads of a process wake each other all the time.
            "FAKETIME_FORCE_MONOTONIC_FIX": 0,
        }
        self.prefix = ["env", *(f"{name}={value}" for name, value in environment.items())]
        self.set(400 * DAY)
        said = _said(*self.prefix)
        real = _said()
        if said.returncode or float(said.stdout) - float(real.stdout) < 399 * DAY:
            pytest.skip(f"libfaketime sets no clock here: {said.stderr.strip()[-200:]}")

    def set(self, seconds):
        """Say how far it is off. A process never sees half a file."""
        new = self._offset.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.rename(self._offset)


def _said(*prefix):
    return subprocess.run(
        [*prefix, sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=False
    )
