"""The other end of the control socket, for commands. Imports little, so that commands start fast."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from mfgroute.errors import ConfigError, MfgrouteError, Problem, UnknownName

_SOCKET_NAME = "control.sock"
_ADDRESS_MAX = 100


class NotRunning(MfgrouteError):  # noqa: N818 - as `Closed`
    """No node runs on this data folder."""


class Refused(MfgrouteError):  # noqa: N818 - as `Closed`
    """The node refused a command.

    Attributes:
        kind: name of the error in the node.
    """

    def __init__(self, message: str, kind: str) -> None:
        self.kind = kind
        super().__init__(message)


class Control:
    """A connection to a running node.

    Args:
        data_dir: of the node.
        timeout_s: longest wait for one answer.

    Raises:
        NotRunning: no node runs there.
        PermissionError: it runs as another user.
    """

    def __init__(self, data_dir: str | Path, *, timeout_s: float = 30.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        path = Path(data_dir) / _SOCKET_NAME
        try:
            folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                short = len(os.fsencode(path)) <= _ADDRESS_MAX
                self._socket.connect(str(path) if short else f"/proc/self/fd/{folder}/{path.name}")
            finally:
                os.close(folder)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
            self._socket.close()
            raise NotRunning(f"no node runs on `{data_dir}`") from error
        except OSError:
            self._socket.close()
            raise
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, verb: str, **arguments: Any) -> Any:
        """Send a command and return its result.

        Raises:
            Refused: the node refused it.
            ConfigError: a reload found problems.
            UnknownName: there is no such sink or source.
            NotRunning: the node stopped before it answered.
            TimeoutError: it did not answer in time.
        """
        self._socket.sendall(json.dumps({"verb": verb, **arguments}).encode() + b"\n")
        line = self._lines.readline()
        if not line:
            raise NotRunning("the node closed the connection")
        answer = json.loads(line)
        if answer["ok"]:
            return answer["result"]
        error = answer["error"]
        if error["kind"] == "ConfigError":
            raise ConfigError(msgspec.convert(error["problems"], list[Problem]))
        if error["kind"] == "UnknownName":
            raise UnknownName(error["message"])
        raise Refused(error["message"], error["kind"])

    def close(self) -> None:
        """End the connection."""
        self._lines.close()
        self._socket.close()
