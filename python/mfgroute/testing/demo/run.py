"""Run the demo from the first process to the last."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

import aiohttp
import msgspec
from rich.console import Console

from mfgroute.testing.demo.balance import Balance
from mfgroute.testing.demo.folder import Folder, Occupied
from mfgroute.testing.demo.openings import Fault
from mfgroute.testing.demo.processes import ChildDied, Processes
from mfgroute.testing.demo.report import commands, print_commands, print_report
from mfgroute.testing.demo.scene import Scene
from mfgroute.testing.demo.screen import COLUMNS, Line, LiveScreen, PlainScreen, Screen
from mfgroute.testing.demo.teller import Teller
from mfgroute.testing.story import SYSTEMS, story

__all__ = ["main"]

#: Pause after a step: for a person who follows it, and on a terminal with `once`.
_PACE_S, _FAST_S = 1.3, 0.1
_HTTP_S = 20.0
#: How long the end of a process may take to be noticed after a request to it failed.
_REASON_S = 2.0
_T = TypeVar("_T")
_FAILED, _USAGE, _INTERNAL, _CANNOT_CREATE, _LOCKED, _INTERRUPTED = 1, 2, 70, 73, 75, 130


def main(
    *,
    once: bool,
    output: Literal["table", "json"],
    directory: Path | None = None,
    outage: bool = False,
) -> int:
    """Tell the story with real processes on loopback.

    Without `once` it is told at a pace that a person can follow, and the nodes go on running until Ctrl-C, so
    that the commands that are printed can be tried.

    Args:
        once: tell it as fast as it goes, then end.
        output: ``json`` prints the balance as one object on the last line; everything else goes to standard
            error then.
        directory: to work in and to keep; ``mfgroute-demo`` here by default.
        outage: cut the line between edge and core during the story, and kill the core meanwhile.

    Returns:
        0 if every expected effect happened exactly once and nothing is unaccounted for, else 1; other codes
        as in the reference of the command line.
    """
    try:
        faults = _faults(os.environ.get("MFGROUTE_DEMO_FAULT", ""))
    except ValueError as error:
        return _fail(str(error), _USAGE)
    try:
        folder = Folder(directory)
    except Occupied as error:
        return _fail(str(error), _LOCKED if error.held else _CANNOT_CREATE)
    except OSError as error:
        return _fail(f"cannot make the folder of the demo: {error}", _CANNOT_CREATE)
    with folder:
        demo = _Demo(folder, once=once, output=output, faults=faults, outage=outage)
        return _run(demo, folder.logs)


def _run(demo: _Demo, logs: Path) -> int:
    """Run it, and say in a sentence why it broke off if it does."""
    try:
        return asyncio.run(demo.run())
    except ChildDied as error:
        return _fail(str(error), _INTERNAL)
    except TimeoutError:
        return _fail(f"a process did not become ready or did not answer, see {logs}", _INTERNAL)
    except (OSError, ValueError, aiohttp.ClientError) as error:
        return _fail(f"the story broke off: {error}; see {logs}", _INTERNAL)


class _Demo:
    """One run in a folder."""

    def __init__(
        self, folder: Folder, *, once: bool, output: str, faults: dict[str, Fault], outage: bool
    ) -> None:
        self._folder = folder
        self._once = once
        self._json = output == "json"
        self._faults = faults
        self._outage = outage
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Everything, until it is over or somebody stops it."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        console = Console(stderr=self._json)
        if not console.is_terminal:
            console = Console(stderr=self._json, width=COLUMNS, color_system=None)
        elif console.width > COLUMNS:
            console.width = COLUMNS
        live = console.is_terminal and not console.is_dumb_terminal
        screen: Screen = LiveScreen(console) if live else PlainScreen(console)
        timeout = aiohttp.ClientTimeout(total=_HTTP_S)
        async with aiohttp.ClientSession(timeout=timeout) as http, Processes(self._folder.logs) as processes:
            scene = Scene(self._folder, processes, http)
            added = await self._until_stopped(self._tell(scene, screen, processes))
            if added is None:
                return _fail("stopped", _INTERRUPTED)
            if self._json:
                print(msgspec.json.encode(added.document()).decode(), flush=True)  # noqa: T201 - the result
            if not self._once:
                console.print("\nThe nodes go on running. Ctrl-C ends them.", style="dim")
                await self._until_stopped(processes.watch())
        return 0 if added.whole else _FAILED

    async def _tell(self, scene: Scene, screen: Screen, processes: Processes) -> Balance:
        told = story()
        with screen:
            screen.line(
                Line("note", f"three plants, an edge, a core and six systems start; {self._folder.root}")
            )
            say = lambda name, pid: screen.line(_ready(name, pid))  # noqa: E731 - for one call
            await scene.open(told, self._faults, say, outage=self._outage)
            teller = Teller(scene, told, screen, pace_s=self._pace_s(screen.console))
            try:
                added, last = await _watched(teller.tell(), processes)
            finally:
                if scene.wan is not None and self._once:
                    scene.wan.close()
        print_report(screen.console, last, added, teller.refused, screen.elapsed_s, outage=self._outage)
        ledgers = msgspec.json.format(msgspec.json.encode(last.ledgers), indent=1)
        await asyncio.to_thread((self._folder.root / "ledgers.json").write_bytes, ledgers)
        lines = commands(self._folder, teller.refused, teller.samples, last, running=not self._once)
        where = "Try these now:" if not self._once else f"Everything is kept in {self._folder.root}. Try:"
        print_commands(screen.console, lines, where)
        return added

    def _pace_s(self, console: Console) -> float:
        if "MFGROUTE_DEMO_PACE_S" in os.environ:  # Tests have no time to read along.
            return float(os.environ["MFGROUTE_DEMO_PACE_S"])
        return _PACE_S if not self._once else _FAST_S if console.is_terminal else 0.0

    async def _until_stopped(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of `work`, or `None` when somebody stops the demo."""
        task = asyncio.create_task(work)
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            for one in (task, stopped):
                one.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(task, stopped, return_exceptions=True)


async def _watched(work: Coroutine[Any, Any, _T], processes: Processes) -> _T:
    """The result of `work`.

    Raises:
        ChildDied: a process ended meanwhile, which is the reason of whatever else failed.
    """
    watch = asyncio.create_task(processes.watch())
    task = asyncio.create_task(work)
    try:
        await asyncio.wait((watch, task), return_when=asyncio.FIRST_COMPLETED)
        if task.done() and task.exception() is not None:
            await asyncio.wait((watch,), timeout=_REASON_S)
        if watch.done():
            watch.result()
        return task.result()
    finally:
        for one in (watch, task):
            one.cancel()
        await asyncio.gather(watch, task, return_exceptions=True)


def _ready(name: str, pid: int) -> Line:
    says = {
        "systems": "ERP, WMS, QMS, MES, CMMS and portal are open",
        "machines": "press 7, 8 and 9 run behind an OPC UA server",
        "core": "the core is ready",
        "edge": "the edge is ready; its link to the core is encrypted (CURVE)",
    }
    return Line("note", says[name], f"pid {pid}")


def _faults(text: str) -> dict[str, Fault]:
    """``erp:posts-twice`` from the environment, which tests use to see the demo fail."""
    if not text:
        return {}
    system, _, fault = text.partition(":")
    if system not in SYSTEMS or fault not in get_args(Fault):
        raise ValueError(f"MFGROUTE_DEMO_FAULT is `{text}`, expected for example erp:posts-twice")
    return {system: cast("Fault", fault)}


def _fail(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)  # noqa: T201 - for people
    return code
