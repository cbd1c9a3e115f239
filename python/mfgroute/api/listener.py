"""The node's one HTTP listener."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import uvicorn

from mfgroute.api.http import application
from mfgroute.api.protocol import BoundedProtocol
from mfgroute.errors import CannotListen
from mfgroute.observe.logs import get_logger
from mfgroute.runtime.app import Router

CONNECTIONS_MAX = 1024
IDLE_TIMEOUT_S = 60
_BACKLOG = 1024
_log = get_logger()


class HttpListener:
    """Serves HTTP while its context is open; does nothing when the project has no listener.

    Attributes:
        address: host and port that are listened on; the port may have been chosen by the system.
    """

    def __init__(self, router: Router) -> None:
        self.address: tuple[str, int] | None = None
        self._router = router
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        http = self._router.project.model.http
        if http is None:
            return self
        bound = bind(http.host, http.port)
        self.address = bound.getsockname()[:2]
        config = uvicorn.Config(
            application(self._router),
            http=BoundedProtocol,
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_keep_alive=IDLE_TIMEOUT_S,
            timeout_graceful_shutdown=5,
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[bound]), name="http")
        ready = asyncio.create_task(self._server.ready.wait())
        await asyncio.wait((ready, self._task), return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._task.done():
            await self._task
        self._router.address = self.address
        _log.info("listening", host=self.address[0], port=self.address[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task


class _Server(uvicorn.Server):
    """A server that leaves signals alone and says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the process, not to its listener."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self.ready.set()


def bind(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        CannotListen: the address is taken, not ours, or the system does not let us.
    """
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, number)
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}:{port}: {error}") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)
        bound.setblocking(False)  # noqa: FBT003 - the name of the system call
    except OSError as error:
        bound.close()
        why = "the address is in use" if error.errno == errno.EADDRINUSE else error.strerror
        denied = error.errno in (errno.EACCES, errno.EPERM)
        raise CannotListen(f"cannot listen on {host}:{port}: {why}", denied=denied) from error
    return bound
