"""The processes of the demo: started, watched, and ended whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Child", "ChildDied", "Processes"]

#: Asks Linux to end a process when the one that started it dies, then becomes the program.
_TIED = "import ctypes,os,sys; ctypes.CDLL(None).prctl(1, 15); os.execv(sys.argv[1], sys.argv[1:])"
_STOP_S = 5.0
_LOG_LINES = 8


class ChildDied(Exception):  # noqa: N818 - says what happened
    """A process ended that should run.

    Attributes:
        name: of the process.
        code: its exit code.
        log: the file it wrote to.
    """

    def __init__(self, name: str, code: int | None, log: Path) -> None:
        self.name = name
        self.code = code
        self.log = log
        tail = log.read_text("utf-8", "replace").splitlines()[-_LOG_LINES:] if log.exists() else []
        last = "".join(f"\n  {line[:400]}" for line in tail)
        super().__init__(f"{name} ended with exit code {code}, see {log}{last}")


class Child:
    """A running process."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    async def read(self) -> bytes:
        """The next line that it says.

        Raises:
            ChildDied: it says no more.
        """
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        if not line:
            raise ChildDied(self.name, await self.process.wait(), self.log)
        return line

    async def write(self, line: bytes) -> None:
        """Tell it a line.

        Raises:
            ChildDied: it does not listen any more.
        """
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line + b"\n")
            await self.process.stdin.drain()
        except ConnectionError:
            raise ChildDied(self.name, await self.process.wait(), self.log) from None


class Processes:
    """All processes, as a context: leaving ends every one, the last started first.

    Args:
        logs: folder for one log file of each.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: list[Child] = []
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in reversed(self._children):
            await _end(child.process)

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name."""
        return {child.name: child.process.pid for child in self._children}

    async def start(self, name: str, arguments: Sequence[str], *, talks: bool = False) -> Child:
        """Start this Python with `arguments`. What it says on standard error goes to its log.

        It has a session of its own, so that Ctrl-C reaches the demo alone, and sees none of our settings.

        Args:
            name: of the process and its log.
            arguments: after the interpreter.
            talks: standard output is for `Child.read`, not for the log.
        """
        log = self._logs / f"{name}.log"
        environ = {key: value for key, value in os.environ.items() if not key.startswith("MFGROUTE_")}
        with log.open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-ISc",
                _TIED,
                sys.executable,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE if talks else file,
                stderr=file,
                env=environ,
                start_new_session=True,
            )
        child = Child(name, process, log)
        self._children.append(child)
        self._changed.set()
        return child

    async def kill(self, child: Child) -> None:
        """End a process at once, as a crash of its machine does; it is not missed by `watch`."""
        self._children.remove(child)
        self._changed.set()
        with contextlib.suppress(ProcessLookupError):
            child.process.kill()
        await child.process.communicate()

    async def watch(self) -> None:
        """Wait until a process ends.

        Raises:
            ChildDied: one ended, or had ended before.
        """
        while True:
            self._changed.clear()
            waits = {asyncio.ensure_future(child.process.wait()): child for child in self._children}
            changed = asyncio.ensure_future(self._changed.wait())
            try:
                done, _ = await asyncio.wait((*waits, changed), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in (*waits, changed):
                    wait.cancel()
            for dead in (waits[one] for one in done if one in waits):
                if dead in self._children:
                    raise ChildDied(dead.name, dead.process.returncode, dead.log)


async def _end(process: asyncio.subprocess.Process) -> None:
    """SIGTERM, and SIGKILL for one that does not listen."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S):
                await process.communicate()
                return
    await process.wait()
