"""A node whose event loop no longer turns is said to hang, and ended so that it is started again."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from mfgroute.observe.logs import get_logger
from mfgroute.runtime.tempo import Tempo

_log = get_logger()
_TICK_S = 1.0
_FRAMES_MAX = 16
#: Exit code of an internal fault.
ENDED = 70


class Watchdog:
    """Watches the running event loop from a thread while it is entered.

    Nothing is answered while the loop hangs, not even ``/readyz``. After `hang_told_s` the log says which
    task hangs and where; after `hang_ended_s` the process ends with 70, and whoever supervises it starts it
    again. Time counts in turns of the thread, so that a machine that was frozen as a whole has not hung.

    Args:
        tempo: the times.
        tick_s: seconds of one turn.
        end: ends the process; for tests.
    """

    def __init__(
        self, tempo: Tempo, *, tick_s: float = _TICK_S, end: Callable[[int], object] = os._exit
    ) -> None:
        self._told = max(1, round(tempo.hang_told_s / tick_s))
        self._ended = max(1, round(tempo.hang_ended_s / tick_s))
        self._tick_s = tick_s
        self._end = end
        self._beat = threading.Event()
        self._over = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._ident = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()

    def _watch(self) -> None:
        missed = 0
        self._ask()
        while not self._over.wait(self._tick_s):
            if self._beat.is_set():
                if missed >= self._told:
                    _log.warning("the node goes on", after_s=missed * self._tick_s)
                missed = 0
                self._beat.clear()
                self._ask()
                continue
            missed += 1
            if missed == self._told:
                _log.error("the node hangs", for_s=missed * self._tick_s, **self._place())
            if missed >= self._ended:
                _log.critical("ended, since the node hangs", for_s=missed * self._tick_s, **self._place())
                self._end(ENDED)
                return

    def _ask(self) -> None:
        """Ask the loop for a beat."""
        try:
            self._loop.call_soon_threadsafe(self._beat.set)
        except RuntimeError:
            self._over.set()  # The loop is closed.

    def _place(self) -> dict[str, object]:
        """Which task holds the loop, and where it is."""
        task = asyncio.current_task(self._loop)
        frame: FrameType | None = sys._current_frames().get(self._ident)  # noqa: SLF001 - there is no other way
        places: list[str] = []
        while frame is not None and len(places) < _FRAMES_MAX:
            places.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}")
            frame = frame.f_back
        return {"task": task.get_name() if task else "", "at": places}
