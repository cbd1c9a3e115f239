"""Wake-ups from the engine: one per drain of its event-fd, never a future per event."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator


class Wakes:
    """Turns the engine's event-fd into `asyncio.Event`s, one for each waiting task.

    A task clears its event before it looks, and waits for it only when it found nothing: a wake-up between
    the two is not lost.

    Args:
        fd: becomes readable when there may be room to submit or data to poll.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._waiting: set[asyncio.Event] = set()
        self._loop = asyncio.get_running_loop()
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._drain)

    @contextlib.contextmanager
    def subscribe(self) -> Iterator[asyncio.Event]:
        """An event that is set at every wake-up while the context is open."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            yield event
        finally:
            self._waiting.discard(event)

    def wake(self) -> None:
        """Wake everyone."""
        for event in self._waiting:
            event.set()

    def close(self) -> None:
        """Listen no more."""
        self._loop.remove_reader(self._fd)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 8)
        self.wake()


async def wait(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait until `event` is set or `timeout_s` is over; says which."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
