"""A simulated system listens on a port."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

from aiohttp import web

__all__ = ["Listening"]


class Listening(ABC):
    """Something that serves HTTP between `start` and `stop`, or within ``async with``.

    Attributes:
        url: where, once it listens.
    """

    url: str = ""
    _runner: web.AppRunner | None = None

    @abstractmethod
    def _app(self) -> web.Application:
        """What is served."""

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; `url` says where."""
        runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        self._runner = runner
        await web.TCPSite(runner, host, port).start()
        self.url = f"http://{host}:{runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stop listening. The ledger stays."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
