"""A thread of an adapter's own, for calls that may hang."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

__all__ = ["Worker"]


class Worker:
    """Runs calls one after the other in a thread that begins with the first.

    A call that hangs holds up those behind it and nobody else: not the threads that the node shares, and
    not the end of the process.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._begun = False

    async def call(self, function: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """What `function` returns or raises. One that is cancelled before its turn is not called."""
        if not self._begun:
            self._begun = True
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        future: Future[T] = Future()
        self._calls.put((future, lambda: function(*args, **named)))
        return await asyncio.wrap_future(future)

    def end(self) -> None:
        """Let the thread end after the calls that wait. A later call begins another one."""
        if self._begun:
            self._begun = False
            self._calls.put(None)

    def _run(self) -> None:
        while (one := self._calls.get()) is not None:
            future, call = one
            if not future.set_running_or_notify_cancel():
                continue
            try:
                found = call()
            except BaseException as error:  # noqa: BLE001 - whoever waits gets it
                future.set_exception(error)
            else:
                future.set_result(found)
