"""A service as it is usually written: asyncua, models of pydantic, and an HTTP client.

``python -m compare.opcua_service CLIENT SETTINGS`` with ``aiohttp`` or ``httpx`` and a file of JSON: ``url``,
``batch`` (events of a request), ``writers``, and ``plants`` with an ``endpoint`` and ``nodes`` each. Every
change is validated, made an event with a model for it, and refused if its id was seen among the last million;
what an error of the target refuses is sent again after a pause that doubles. Nothing is kept over a restart.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from asyncua import Client, ua
from pydantic import BaseModel, ConfigDict, Field

_TRIES = 8
_FIRST_PAUSE_S = 0.5
_SEEN_MAX = 1_000_000
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:com.example:machine.temperature.measured")

Post = Callable[[bytes, dict[str, str]], Awaitable[int]]


class Plant(BaseModel):
    """One server."""

    endpoint: str
    nodes: list[str]


class Settings(BaseModel):
    """What the service is told."""

    url: str
    batch: int
    writers: int
    interval_ms: int
    server_queue: int
    silence_s: float
    plants: list[Plant]


class Change(BaseModel):
    """What the server reports; what is not declared, or has another type, is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)

    node: Annotated[str, Field(min_length=8, max_length=64, pattern=r"^ns=2;s=M[0-9]{3}\.[A-Z][A-Za-z]*$")]
    value: Annotated[float, Field(ge=-459.67, le=10000)]
    source_time: datetime
    server_time: datetime | None
    quality: Literal["good", "uncertain", "bad"]
    status: Annotated[str, Field(max_length=64)]


class Measured(BaseModel):
    """The data of an event."""

    event: str
    machine: Annotated[str, Field(pattern=r"^M[0-9]{3}$")]
    item: Annotated[str, Field(min_length=1, max_length=32)]
    value: Annotated[float, Field(ge=-273.15)]
    unit: Literal["CEL"]
    quality: Literal["good", "uncertain", "bad"]
    gap: bool
    at: str


class Envelope(BaseModel):
    """The CloudEvent."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: Literal["com.example.machine.temperature.measured.v1"] = (
        "com.example.machine.temperature.measured.v1"
    )
    time: str
    subject: str
    datacontenttype: Literal["application/json"] = "application/json"
    data: Measured


def envelope(change: Change, source: str) -> Envelope:
    """The event of a change."""
    at = change.source_time.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    machine, _, item = change.node.partition("=")[2].partition("=")[2].partition(".")
    event = f"{change.node}@{at}"
    return Envelope(
        id=str(uuid.uuid5(_NAMESPACE, event)),
        source=source,
        time=at,
        subject=f"machine/{machine}",
        data=Measured(
            event=event,
            machine=machine,
            item=item,
            value=round((change.value - 32) / 1.8, 6),
            unit="CEL",
            quality=change.quality,
            gap=False,
            at=at,
        ),
    )


class Handler:
    """Called by asyncua for each change of one server."""

    def __init__(self, service: Service, source: str) -> None:
        self._service = service
        self._source = source
        self._names: dict[ua.NodeId, str] = {}

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        """Make the event and queue it."""
        reported = data.monitored_item.Value
        name = self._names.get(node.nodeid)
        if name is None:
            name = self._names[node.nodeid] = node.nodeid.to_string()
        status = reported.StatusCode
        change = Change(
            node=name,
            value=value,
            source_time=reported.SourceTimestamp,
            server_time=reported.ServerTimestamp,
            quality="good" if status.is_good() else "uncertain" if status.is_uncertain() else "bad",
            status=status.name,
        )
        self._service.take(envelope(change, self._source))


class Service:
    """A queue between what comes and what goes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queue: asyncio.Queue[Envelope] = asyncio.Queue()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self.given_up = 0

    def take(self, event: Envelope) -> None:
        """Queue an event that is new."""
        if event.id in self._seen:
            return
        self._seen[event.id] = None
        if len(self._seen) > _SEEN_MAX:
            self._seen.popitem(last=False)
        self._queue.put_nowait(event)

    async def write(self, post: Post) -> None:
        """Send what is queued, as many events at once as there are."""
        while True:
            events = [await self._queue.get()]
            while len(events) < self._settings.batch and not self._queue.empty():
                events.append(self._queue.get_nowait())
            if self._settings.batch == 1:
                await self._send(post, events[0].model_dump_json().encode(), "cloudevents", events[0].id)
            else:
                body = "[" + ",".join([event.model_dump_json() for event in events]) + "]"
                await self._send(post, body.encode(), "cloudevents-batch", events[0].id)

    async def _send(self, post: Post, body: bytes, kind: str, key: str) -> None:
        headers = {"Content-Type": f"application/{kind}+json", "Idempotency-Key": key}
        for number in range(_TRIES):
            if await post(body, headers) < 500:
                return
            await asyncio.sleep(_FIRST_PAUSE_S * 2**number * random.uniform(0.5, 1))
        self.given_up += 1


async def _aiohttp(stack: AsyncExitStack, url: str) -> Post:
    import aiohttp

    session = await stack.enter_async_context(aiohttp.ClientSession())

    async def post(body: bytes, headers: dict[str, str]) -> int:
        async with session.post(url, data=body, headers=headers) as answer:
            await answer.read()
            return answer.status

    return post


async def _httpx(stack: AsyncExitStack, url: str) -> Post:
    import httpx

    session = await stack.enter_async_context(httpx.AsyncClient())

    async def post(body: bytes, headers: dict[str, str]) -> int:
        return (await session.post(url, content=body, headers=headers)).status_code

    return post


async def main(client: str, settings: Settings) -> int:
    """Run until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    service = Service(settings)
    async with AsyncExitStack() as stack:
        post = await {"aiohttp": _aiohttp, "httpx": _httpx}[client](stack, settings.url)
        writers = [asyncio.create_task(service.write(post)) for _ in range(settings.writers)]
        for number, plant in enumerate(settings.plants):
            connection = Client(
                plant.endpoint, timeout=settings.silence_s, watchdog_intervall=settings.silence_s
            )
            server = await stack.enter_async_context(connection)
            subscription = await server.create_subscription(
                settings.interval_ms, Handler(service, f"//DE04/plant-{number}")
            )
            nodes = [server.get_node(node) for node in plant.nodes]
            await subscription.subscribe_data_change(nodes, queuesize=settings.server_queue)
        print("ready", flush=True)
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([stopping, *writers], return_when=asyncio.FIRST_COMPLETED)
        for writer in writers:
            if writer.done():
                writer.result()
            writer.cancel()
    return service.given_up


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], Settings.model_validate_json(Path(sys.argv[2]).read_text()))))
