"""A router as a process: signals, and a project folder that is watched."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from mfgroute.errors import ConfigError
from mfgroute.observe.logs import get_logger
from mfgroute.runtime.app import Router
from mfgroute.runtime.watchdog import Watchdog

_log = get_logger()


async def serve(
    router: Router,
    *,
    drain_timeout_s: float = 30.0,
    watch: bool = False,
    on_ready: Callable[[], None] | None = None,
) -> int:
    """Run `router` until SIGTERM or SIGINT. The first drains, a second stops at once; SIGHUP reloads.

    Args:
        router: not started yet.
        drain_timeout_s: how long sinks may go on after the first signal.
        watch: reload when a file of the project changes.
        on_ready: called when everything is started.

    Returns:
        How many events were left undelivered, parked ones and those in doubt among them.
    """
    stop = asyncio.Event()
    now = asyncio.Event()
    loop = asyncio.get_running_loop()
    jobs: set[asyncio.Task[None]] = set()

    def end() -> None:
        (now if stop.is_set() else stop).set()

    def reload() -> None:
        job = asyncio.create_task(_reload(router))
        jobs.add(job)
        job.add_done_callback(jobs.discard)

    handlers = {signal.SIGTERM: end, signal.SIGINT: end, signal.SIGHUP: reload}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        with Watchdog(router.tempo):
            await router.start()
            if watch:
                jobs.add(asyncio.create_task(_watch(router, stop)))
            if on_ready is not None:
                on_ready()
            await stop.wait()
            return await _drain(router, now, drain_timeout_s)
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        for number in handlers:
            loop.remove_signal_handler(number)


async def _drain(router: Router, now: asyncio.Event, drain_timeout_s: float) -> int:
    """Stop with a drain, which `now` cuts short."""
    draining = asyncio.create_task(router.stop(drain_timeout_s=drain_timeout_s))
    hurry = asyncio.create_task(now.wait())
    await asyncio.wait((draining, hurry), return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    if not draining.done():
        _log.warning("second signal: not waiting for sinks")
        router.hurry()
    return await draining


async def _reload(router: Router) -> None:
    """Reload; problems of the project are logged by the router."""
    try:
        await router.reload()
    except ConfigError:
        return
    except Exception as error:  # noqa: BLE001 - the old plan goes on, whatever is wrong with the new one
        _log.error("the reload failed; the old plan goes on", exc_info=error)


async def _watch(router: Router, stop: asyncio.Event) -> None:
    from watchfiles import awatch  # noqa: PLC0415 - only needed here

    data_dir = router.data_dir.resolve()
    # With a time limit the first round tells that the watch has begun.
    rounds = awatch(
        router.project.root.resolve(),
        stop_event=stop,
        recursive=True,
        rust_timeout=500,
        yield_on_timeout=True,
    )
    begun = False
    async for changes in rounds:
        if not begun:
            begun = True
            _log.info("watching", folder=str(router.project.root))
        if any(not _within(path, str(data_dir)) and _of_project(path) for _, path in changes):
            await _reload(router)


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _of_project(path: str) -> bool:
    return path.endswith((".yaml", ".yml", ".json", ".csv"))
