"""Programs that a benchmark starts, speaks to by lines, and ends."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

HERE = Path(__file__).parent
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_END_S_MAX = 60.0


class Child:
    """A process of its own, with the modules of the benchmarks in its path.

    Args:
        command: its words.
        log: file that gets what it says to standard error.

    Raises:
        RuntimeError: from all calls, with the end of the log, when the process has ended by itself.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        path = os.pathsep.join(part for part in (str(HERE), os.environ.get("PYTHONPATH")) if part)
        self._log, self._name = log, " ".join(command[:4])
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def line(self, seconds: float) -> str:
        """The next line of its standard output."""
        try:
            found = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise RuntimeError(f"{self._name} said nothing for {seconds:g} s: {self.said()}") from None
        if found is None:
            raise RuntimeError(f"{self._name} ended: {self.said()}")
        return found

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def cpu_s(self) -> float:
        """Processor time of all its threads, of the kernel's work for it, too; in ticks of the kernel."""
        if self._process.poll() is not None:
            raise RuntimeError(f"{self._name} ended with {self._process.returncode}: {self.said()}")
        text = Path(f"/proc/{self._process.pid}/stat").read_text()
        # The name may have blanks and brackets; behind it, user and system time are 12th and 13th.
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def said(self) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-800:].strip() or "it said nothing"

    def end(self) -> int:
        """Ask it to end, and see that it does; its status."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.terminate()
        try:
            status = self._process.wait(_END_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return status
