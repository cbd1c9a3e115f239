"""Runs ``console`` blocks: real commands in a folder, their output compared with the page."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

MFGROUTE = f"{shlex.quote(sys.executable)} -c 'import sys; from mfgroute.cli import main; sys.exit(main())'"
#: Ports that the pages name, each replaced by a free one.
PORTS = ("8080", "9001", "9002")
_TIMEOUT_S = 60.0
_START_S = 20.0
#: The demo tells its story first.
_DEMO_S = 180.0


class Shell:
    """A terminal in the folder of one page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cwd = folder
        self._ports = {port: str(_free_port()) for port in PORTS}
        self._background: list[subprocess.Popen[bytes]] = []

    def real(self, text: str) -> str:
        """A text of a page with ports that are free here."""
        for shown, port in self._ports.items():
            text = re.sub(rf"\b{shown}\b", port, text)
        return text

    def run(self, text: str, exit_code: int) -> None:
        """Run the commands of a block; the last one ends with `exit_code`.

        Raises:
            AssertionError: a command ended otherwise, or printed something else.
        """
        for number, (command, expected, last) in enumerate(_commands(text)):
            code, output = self._one(command)
            wanted = exit_code if last else 0
            assert code == wanted, f"`{command}` (number {number}) ended with {code}\n{output}"
            for line in expected:
                pattern = ".*".join(re.escape(part.strip()) for part in re.split("…|[.]{3}", self.real(line)))
                pattern = re.sub(r"(\\ )+", r"\\s+", pattern)
                assert re.search(pattern, output), f"`{command}` did not print {line!r}, but\n{output}"

    def close(self) -> None:
        """End what was started in the background."""
        for process in reversed(self._background):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._background:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _one(self, command: str) -> tuple[int, str]:
        if command.startswith("cd "):
            self.cwd = (self.cwd / command[3:].strip()).resolve()
            return 0, ""
        self._follow_ports()
        real = re.sub(
            r"(^|\| |until |[A-Z_]+=\S+ )mfgroute\b", lambda found: found[1] + MFGROUTE, self.real(command)
        )
        real = re.sub(r"(^|\| )python\b", lambda found: found[1] + shlex.quote(sys.executable), real)
        if real.endswith("&"):
            self._start(real.removesuffix("&"), command)
            return 0, ""
        done = subprocess.run(
            ["bash", "-c", real],
            cwd=self.cwd,
            env=_environment(),
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        return done.returncode, (done.stdout + done.stderr).decode()

    def _start(self, command: str, shown: str) -> None:
        with (self.folder / f"background-{len(self._background)}.log").open("wb") as log:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.cwd,
                env=_environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._background.append(process)
        if "mfgroute demo" in shown:
            self._read_until(process, Path(log.name), "The nodes go on running")
            return
        port = next((port for shown, port in self._ports.items() if port in command), self._ports["8080"])
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            assert process.poll() is None, Path(log.name).read_text()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(port)), 0.2):
                return
            time.sleep(0.05)
        raise AssertionError(f"`{command}` does not listen\n{Path(log.name).read_text()}")

    @staticmethod
    def _read_until(process: subprocess.Popen[bytes], log: Path, text: str) -> None:
        """Wait until a process that listens on ports of its own says that it is ready."""
        end = time.monotonic() + _DEMO_S
        while text not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)

    def _follow_ports(self) -> None:
        """Give the project free ports; `init` and the pages write the shown ones."""
        for path in self.folder.rglob("mfgroute.yaml"):
            text = path.read_text()
            if (real := self.real(text)) != text:
                path.write_text(real)


def _commands(text: str) -> Iterator[tuple[str, list[str], bool]]:
    """Each command, the lines that follow it, and whether it is the last. A backslash continues a line."""
    found: list[tuple[str, list[str]]] = []
    open_line = False
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:].removesuffix("\\"), []))
            open_line = line.endswith("\\")
        elif open_line:
            command, output = found[-1]
            found[-1] = (command + line.strip().removesuffix("\\"), output)
            open_line = line.endswith("\\")
        elif line.strip():
            found[-1][1].append(line)
    for index, (command, output) in enumerate(found):
        yield command, output, index == len(found) - 1


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "NO_COLOR": "1",
        "COLUMNS": "200",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "MFGROUTE_DEMO_PACE_S": "0",  # Nobody reads along.
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
