"""The edge's side of the link: events to the core, in blocks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

from msgspec import Meta

from mfgroute.adapter import Config, Context, Sink
from mfgroute.adapters.zeromq.book import Book
from mfgroute.adapters.zeromq.connection import EdgeConnection
from mfgroute.adapters.zeromq.frames import EVENT_HEAD
from mfgroute.adapters.zeromq.keys import PUBLIC_PATTERN, load_secret, parse_public
from mfgroute.adapters.zeromq.lane import EdgeLane
from mfgroute.errors import AdapterError, Disconnected
from mfgroute.events import Done, Event, Outcome, Refused, Retry

__all__ = ["ZeroMqSink", "ZeroMqSinkConfig"]


#: In the data folder: a file for each sink of this kind.
FOLDER = "edge-link"


class ZeroMqSinkConfig(Config):
    """Which core, and by which keys both know each other."""

    connect: Annotated[str, Meta(pattern=r"^tcp://\S+:[0-9]+$", description="The core, as `tcp://core:7447`")]
    core_key: Annotated[
        str, Meta(pattern=PUBLIC_PATTERN, description="The core's public key: `public:` and 64 hex digits")
    ]
    secret_key_file: Annotated[
        str, Meta(min_length=1, description="File of our own secret key, mode 0600, relative to the project")
    ]
    edge_id: Annotated[
        Annotated[str, Meta(min_length=1, max_length=100)] | None,
        Meta(description="Name the core knows us by; default: the node's id"),
    ] = None
    connect_timeout_s: Annotated[
        float, Meta(gt=0, le=120, description="Seconds until the core must have answered after a start")
    ] = 10.0
    answer_timeout_s: Annotated[
        float,
        Meta(gt=0, le=600, description="Seconds a block may wait for its acknowledgement before a retry"),
    ] = 20.0
    heartbeat_s: Annotated[
        float, Meta(ge=0.02, le=60, description="Seconds between heartbeats; after three the core is gone")
    ] = 5.0


_Answer: TypeAlias = "asyncio.Future[bool] | Outcome"


class ZeroMqSink(Sink):
    """Send events to the core and wait until it has them.

    A block may arrive more than once after a timeout or reconnect; the core recognises it by its number or,
    after a restart, its events by their ids. So what is not acknowledged is a retry and never in doubt.
    """

    Config = ZeroMqSinkConfig
    refuses_single = False
    batch_max = 256
    paced = True

    def __init__(self, config: ZeroMqSinkConfig, context: Context) -> None:
        self._config = config
        self._key_path = context.project_dir / config.secret_key_file
        edge = config.edge_id or context.node
        self._context = context
        self.link = EdgeConnection(
            config.connect,
            edge,
            heartbeat_s=config.heartbeat_s,
            epoch=context.epoch,
            durable=context.durable if context.epoch else (),
        )
        self._flying: dict[tuple[str, str], asyncio.Future[bool]] = {}

    @property
    def counters(self) -> Counter[str]:
        """What happened so far: blocks, repeated, bad_frames, failed_handshakes and more."""
        return self.link.counts

    @property
    def details(self) -> dict[str, Any]:
        """How the link stands: since when it is connected, how fast it is, and each lane."""
        return self.link.details()

    async def open(self) -> None:
        """Connect and wait until the core answers.

        Raises:
            AdapterError: a key is unusable, or what was noted of the core's acknowledgements is unreadable.
            Disconnected: the core is not there, or the keys do not fit.
        """
        keys = load_secret(self._key_path)
        core_key = parse_public(self._config.core_key)
        book = None
        if self._context.epoch and self._context.durable:
            book = Book(self._context.data_dir / FOLDER / f"{self._context.name}.json", self._context.epoch)
        await self.link.open(keys, core_key, timeout_s=self._config.connect_timeout_s, book=book)

    async def write(self, events: Sequence[Event]) -> list[Outcome]:
        """Send the events, those of one stream as one block, and wait for the core's acknowledgements.

        Raises:
            Disconnected: the core is gone, refuses us, or the link has forked; nothing of this batch was
                sent, and its events wait here.
        """
        if self.link.failure is not None:
            raise Disconnected(str(self.link.failure), sent=False) from self.link.failure
        streams: dict[str, list[int]] = {}
        for place, event in enumerate(events):
            streams.setdefault(event.stream, []).append(place)
        answers: list[_Answer] = [Retry(reason="the core gives no credit", waits=True)] * len(events)
        try:
            async with asyncio.timeout(self._config.answer_timeout_s):
                # Each stream has its own credit, so telemetry that waits does not hold business back.
                await asyncio.gather(
                    *(self._post(stream, places, events, answers) for stream, places in streams.items())
                )
                futures = {answer for answer in answers if isinstance(answer, asyncio.Future)}
                if futures:
                    await asyncio.wait(futures)
        except TimeoutError:
            pass  # What has no answer by now is a retry; if it arrives, the core knows the repetition.
        except (Disconnected, AdapterError) as error:
            if not any(isinstance(answer, asyncio.Future) for answer in answers):
                raise Disconnected(str(error), sent=False) from error
        return [_outcome(answer) for answer in answers]

    async def close(self) -> None:
        """Leave. What is not acknowledged is sent again by the next sink."""
        await self.link.close()

    async def _post(
        self, stream: str, places: Sequence[int], events: Sequence[Event], answers: list[_Answer]
    ) -> None:
        """Send the events of one stream in as few blocks as fit, and note in `answers` where to look."""
        lane = await self.link.lane(stream)
        chunk: list[int] = []
        empty = size = lane.size([])
        for place in places:
            event = events[place]
            more = EVENT_HEAD + len(event.json)
            flying = self._flying.get((stream, event.id))
            if flying is not None:
                answers[place] = flying  # Sent before a timeout, and still on its way.
            elif empty + more > lane.block_max:
                reason = f"{len(event.json)} bytes, the core takes blocks of {lane.block_max}"
                answers[place] = Refused("event_too_large", reason)
            else:
                if size + more > lane.block_max:
                    await self._block(lane, chunk, events, answers)
                    chunk, size = [], empty
                chunk.append(place)
                size += more
        if chunk:
            await self._block(lane, chunk, events, answers)

    async def _block(
        self, lane: EdgeLane, chunk: Sequence[int], events: Sequence[Event], answers: list[_Answer]
    ) -> None:
        block = [events[place] for place in chunk]
        answer = await self.link.post(
            lane, [event.offset for event in block], [event.json for event in block]
        )
        names = [(lane.stream, event.id) for event in block]
        self._flying.update(dict.fromkeys(names, answer))
        answer.add_done_callback(lambda _: [self._flying.pop(name, None) for name in names])
        for place in chunk:
            answers[place] = answer


def _outcome(answer: _Answer) -> Outcome:
    if not isinstance(answer, asyncio.Future):
        return answer
    if answer.done() and answer.result():
        return Done()
    return Retry(reason="sent, not acknowledged; the core recognises a repetition", sent=True)
