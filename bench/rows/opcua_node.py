"""The node of B10: ``python -m rows.opcua_node PROJECT``; as `mfgroute run`, with one more sink adapter.

The adapter `http` sends one event for each request. A target that takes many at once has an interface of its
own, so `sheets` is what a user writes for one: an array of CloudEvents, all of which are taken or none.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import aiohttp
from msgspec import Meta

from mfgroute.adapter import Config, Context, Sink
from mfgroute.api.node import run
from mfgroute.errors import Disconnected
from mfgroute.events import Done, Event, InDoubt, Outcome, Retry
from mfgroute.registry import Registry

ADAPTER = "sheets"
BATCH_MAX = 100


class SheetsConfig(Config):
    """Where events are sent."""

    url: Annotated[str, Meta(description="Target of every request")]


class Sheets(Sink):
    """Sends up to 100 events as one array."""

    Config = SheetsConfig
    batch_max = BATCH_MAX
    # All of a request or nothing: events of one key may be in it, and the next waits for the answer.
    refuses_single = False
    writes_max = 1

    def __init__(self, config: SheetsConfig, context: Context) -> None:
        """Connect nothing yet."""
        self._url = config.url
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Prepare the session."""
        kind = {"Content-Type": "application/cloudevents-batch+json"}
        self._session = aiohttp.ClientSession(headers=kind, timeout=aiohttp.ClientTimeout(total=30))

    async def write(self, events: Sequence[Event]) -> list[Outcome]:
        """Send the events; what the target answers is meant for all of them."""
        assert self._session is not None
        body = b"[" + b",".join([event.json for event in events]) + b"]"
        try:
            async with self._session.post(self._url, data=body) as answer:
                await answer.read()
        except aiohttp.ClientConnectorError as error:
            raise Disconnected(str(error), sent=False) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Disconnected(str(error)) from error
        if answer.status in {200, 201}:
            return [Done()] * len(events)
        if answer.status >= 500:
            return [Retry(reason=f"http_{answer.status}", judged=True)] * len(events)
        return [InDoubt(f"http_{answer.status}")] * len(events)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


if __name__ == "__main__":
    left = run(
        sys.argv[1],
        adapters=Registry(sinks={ADAPTER: Sheets}),
        log_level="warning",
        on_ready=lambda _: print("ready", flush=True),
    )
    sys.exit(1 if left else 0)
