"""Connections that end and begin again: backoff, faults and the breaker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random

from mfgroute.adapter import Sink, Source
from mfgroute.errors import Disconnected, Quarantined, Unprotected
from mfgroute.observe.health import Pulse
from mfgroute.observe.logs import get_logger
from mfgroute.runtime.backoff import Backoff
from mfgroute.runtime.tempo import Tempo
from mfgroute.runtime.wakes import wait

_log = get_logger()


class Supervisor:
    """Runs one connection after the other until it is told to stop.

    Args:
        pulse: of the source or sink.
        tempo: the times.
        random: where jitter comes from.
    """

    def __init__(self, pulse: Pulse, tempo: Tempo, random: Random) -> None:
        self.pulse = pulse
        self.stopping = asyncio.Event()
        self._tempo = tempo
        self._backoff = Backoff(first_s=tempo.backoff_first_s, max_s=tempo.backoff_max_s, random=random)
        self._quick_faults = 0
        self._log = _log.bind(**{pulse.kind: pulse.name})

    async def run(self, connection: Callable[[], Awaitable[None]]) -> None:
        """Run `connection` again and again; it raises when it ends, or returns because of `stopping`."""
        while not self.stopping.is_set():
            began = time.monotonic()
            try:
                await connection()
            except Disconnected as error:
                self.pulse.reconnects += 1
                self.pulse.enter("disconnected", str(error))
                self.pulse.quarantine = str(error) if isinstance(error, Quarantined) else ""
                self._log.warning("disconnected", reason=str(error))
            except Exception as error:  # noqa: BLE001 - a fault of this part alone must not reach the others
                self._fault(error, began)
            if self.stopping.is_set():
                break
            await wait(self.stopping, self._pause_s(began))
        self.pulse.enter("stopped")

    def _fault(self, error: Exception, began: float) -> None:
        self.pulse.faults += 1
        self.pulse.quarantine = ""
        quick = time.monotonic() - began < self._tempo.steady_s
        self._quick_faults = self._quick_faults + 1 if quick else 1
        detail = f"{type(error).__name__}: {error}"
        if self._quick_faults >= self._tempo.faults_max or isinstance(error, Unprotected):
            self.pulse.enter("down", detail)
            self._log.error("down", faults=self._quick_faults, exc_info=error)
        else:
            self.pulse.enter("disconnected", detail)
            self._log.error("fault", exc_info=error)

    def _pause_s(self, began: float) -> float:
        if self.pulse.state == "down":
            return self._tempo.breaker_s
        if time.monotonic() - began >= self._tempo.steady_s:
            self._backoff.reset()
        return self._backoff.next_s()

    def prosper(self) -> None:
        """The connection did what it is for: forget earlier failures."""
        self._backoff.reset()
        self._quick_faults = 0


async def close_quietly(adapter: Source | Sink, pulse: Pulse, timeout_s: float) -> None:
    """Close an adapter; a failure is logged and does not matter any more."""
    try:
        async with asyncio.timeout(timeout_s):
            await adapter.close()
    except Exception as error:  # noqa: BLE001 - see above
        _log.warning("close failed", **{pulse.kind: pulse.name}, exc_info=error)
