"""The whole node: the router with its HTTP listener and its control socket."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Callable
from pathlib import Path

import uvloop

from mfgroute.api.control import ControlSocket
from mfgroute.api.listener import HttpListener
from mfgroute.config.load import Adapters, Project
from mfgroute.observe.logs import configure
from mfgroute.runtime.app import Router as Plain
from mfgroute.runtime.daemon import serve


class Router(Plain):
    """The daemon as a library: sources, sinks, engine, HTTP listener and control socket.

    Use it as an asynchronous context manager::

        async with mfgroute.Router("project/") as router:
            receipt = await router.submit("mes-a", [message])
    """

    services = (HttpListener, ControlSocket)


def run(
    project: str | Path | Project,
    *,
    data_dir: str | Path | None = None,
    adapters: Adapters | None = None,
    drain_timeout_s: float = 30.0,
    watch: bool = False,
    log_level: str = "info",
    on_ready: Callable[[Router], None] | None = None,
) -> int:
    """Run a node in this process until it is told to stop.

    Args:
        project: a folder, a ``mfgroute.yaml``, or a project that is loaded.
        data_dir: instead of the project's ``node.data_dir``.
        adapters: where adapters come from; the installed ones if not given.
        drain_timeout_s: how long sinks may go on after the first SIGTERM.
        watch: reload when a file of the project changes.
        log_level: from which level on to log, to standard error.
        on_ready: called when everything is started.

    Returns:
        How many events were left undelivered; those of a memory stream are lost.

    Raises:
        ConfigError: the project has problems.
        Locked: another process runs on the data folder.
        CannotListen: the listener's address is taken.
    """
    configure(level=log_level)
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # A core file would hold secrets.

    async def main() -> int:
        router = Router(project, data_dir=data_dir, adapters=adapters)
        ready = None if on_ready is None else lambda: on_ready(router)
        return await serve(router, drain_timeout_s=drain_timeout_s, watch=watch, on_ready=ready)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())
