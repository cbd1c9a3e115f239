"""The edge's side of the link: events to the core, in blocks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, TypeAlias

from msgspec import Meta

from mfgroute.adapter import Config, Context, Sink
from mfgroute.adapters.zeromq.book import Book
from mfgroute.adapters.zeromq.connection import EdgeConnection
from mfgroute.adapters.zeromq.frames import EVENT_HEAD, EVENTS_MAX, LANES_MAX
from mfgroute.adapters.zeromq.keys import PUBLIC_PATTERN, load_secret, parse_public
from mfgroute.adapters.zeromq.lane import EdgeLane
from mfgroute.errors import AdapterError, Disconnected
from mfgroute.events import Done, Event, Outcome, Refused, Retry

__all__ = ["ZeroMqSink", "ZeroMqSinkConfig"]


#: In the data folder: a file for each sink of this kind.
FOLDER = "edge-link"
#: How long, in seconds, a stream that does not move may hold back what comes next of other streams, and when
#: its own events come again.
_PATIENCE_S, _AGAIN_S = 1.0, 1.0
#: A block has no more bytes than these, but for a single event: on a slow line nothing else is heard of the
#: core until one is over, and after three heartbeats it would be taken for gone.
_BLOCK_BYTES = 128 << 10
_BEHIND = Retry(reason="an earlier event of its key goes first, in another stream", waits=True, after_s=0.0)
_NO_CREDIT = Retry(reason="the core gives no credit", waits=True, after_s=_AGAIN_S)


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
#: Of an event: where it stands in its write, its offset, and its bytes.
_Place: TypeAlias = tuple[int, int, bytes]


class ZeroMqSink(Sink):
    """Send events to the core and wait until it has them.

    A block may arrive more than once after a timeout or reconnect; the core recognises it by its number or,
    after a restart, its events by their ids. So what is not acknowledged is a retry and never in doubt.
    """

    Config = ZeroMqSinkConfig
    refuses_single = False
    # Of two writes that wait for credit the later one could be first, with a later event of the same key.
    writes_max = 1
    batch_max = 2048
    paced = True
    watches = True
    streams_max = LANES_MAX

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
        self._streams: set[str] = set()
        self._stuck: set[str] = set()
        #: How many events of durable streams the runtime was told are done.
        self._answered = 0

    @property
    def counters(self) -> Counter[str]:
        """What happened so far: blocks, repeated, bad_frames, failed_handshakes and more."""
        return self.link.counts

    @property
    def details(self) -> dict[str, Any]:
        """How the link stands: since when it is connected, how fast it is, and each lane."""
        return self.link.details()

    @property
    def lost(self) -> Disconnected | None:
        """Why the link is over: the core is silent, refuses our key, or a stream has stopped."""
        failure = self.link.failure
        if failure is None or isinstance(failure, Disconnected):
            return failure
        return Disconnected(str(failure), sent=False)

    async def open(self) -> None:
        """Connect and wait until the core answers.

        Raises:
            AdapterError: a key is unusable, or what was noted of the core's acknowledgements is unreadable.
            Disconnected: the core is not there, or the keys do not fit.
            Quarantined: the core refuses our key.
        """
        keys = load_secret(self._key_path)
        core_key = parse_public(self._config.core_key)
        book = None
        if self._context.epoch and self._context.durable:
            book = Book(self._context.data_dir / FOLDER / f"{self._context.name}.json", self._context.epoch)
        await self.link.open(
            keys, core_key, timeout_s=self._config.connect_timeout_s, book=book, noted=self._noted
        )

    async def write(self, events: Sequence[Event]) -> list[Outcome]:
        """Send the events, those of one stream as one block, and wait for the core's acknowledgements.

        Raises:
            Disconnected: the core is gone, refuses us, or the link has forked; nothing of this batch was
                sent, and its events wait here.
        """
        if (lost := self.lost) is not None:
            raise lost
        streams, held = _by_stream(events)
        self._streams |= streams.keys()
        answers: list[_Answer] = [_NO_CREDIT] * len(events)
        for place in held:
            answers[place] = _BEHIND
        # Each stream has its own credit, so telemetry that waits does not hold business back.
        parts = {
            stream: asyncio.create_task(self._part(stream, places, events, answers))
            for stream, places in streams.items()
        }
        try:
            async with asyncio.timeout(self._config.answer_timeout_s):
                await self._moved(parts, answers)
        except TimeoutError:
            pass  # What has no answer by now is a retry; if it arrives, the core knows the repetition.
        except (Disconnected, AdapterError) as error:
            if not any(isinstance(answer, asyncio.Future) for answer in answers):
                raise self.lost or Disconnected(str(error), sent=False) from error
        finally:
            await _end(parts.values())
        said = {answer: _outcome(answer) for answer in set(answers)}  # One for each block.
        outcomes = [said[answer] for answer in answers]
        self._tell(streams, events, outcomes)
        return outcomes

    def _tell(
        self, streams: dict[str, list[int]], events: Sequence[Event], outcomes: Sequence[Outcome]
    ) -> None:
        """The runtime hands these outcomes to the log before anything else runs."""
        done = {
            stream: [events[place].offset for place in places if isinstance(outcomes[place], Done)]
            for stream, places in streams.items()
        }
        self._answered += sum(len(found) for stream, found in done.items() if stream in self._context.durable)
        for stream, found in done.items():
            if found:
                self.link.answered(stream, found, self._answered)

    def _noted(self) -> int:
        """How many of what was answered is durable in the log: it notes them in the order of the answers."""
        return self._answered - self._context.unsettled()

    async def close(self) -> None:
        """Leave. What is not acknowledged is sent again by the next sink."""
        await self.link.close()

    async def _moved(self, parts: Mapping[str, asyncio.Task[None]], answers: Sequence[_Answer]) -> None:
        """Wait until every stream's events are acknowledged, but not for streams that do not move.

        Where there is one stream only, nothing waits behind it.

        Raises:
            Disconnected: the core is gone.
        """
        patience_s = _PATIENCE_S if len(self._streams) > 1 else None
        # Those that were stuck before are waited for only if there are no others.
        wanted = set(parts) - self._stuck or set(parts)
        before = -1
        while wanted:
            await asyncio.wait(
                [parts[stream] for stream in wanted],
                timeout=patience_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for stream in [stream for stream, part in parts.items() if part.done()]:
                parts[stream].result()
                wanted.discard(stream)
                self._stuck.discard(stream)
            sent = {answer for answer in answers if isinstance(answer, asyncio.Future)}
            moved = sum(2 * answer.done() + 1 for answer in sent)
            if moved == before:
                self._stuck |= wanted
                return
            before = moved

    async def _part(
        self, stream: str, places: Sequence[int], events: Sequence[Event], answers: list[_Answer]
    ) -> None:
        """Send the events of one stream and wait until the core has acknowledged them."""
        await self._post(stream, places, events, answers)
        futures = {answer for place in places if isinstance(answer := answers[place], asyncio.Future)}
        if futures:
            await asyncio.wait(futures)

    async def _post(
        self, stream: str, places: Sequence[int], events: Sequence[Event], answers: list[_Answer]
    ) -> None:
        """Send the events of one stream in as few blocks as fit, and note in `answers` where to look."""
        lane = await self.link.lane(stream)
        chunk: list[_Place] = []
        empty = size = lane.size([])
        limit = min(lane.block_max, _BLOCK_BYTES)
        for place in places:
            event = events[place]
            offset, body = event.offset, event.json
            more = EVENT_HEAD + len(body)
            number = lane.where(offset)
            if number is not None:
                # Sent by a write that did not wait for the answer: it is here by now, or on its way.
                answers[place] = self.link.answer(lane, number)
            elif empty + more > lane.block_max:
                reason = f"{len(body)} bytes, the core takes blocks of {lane.block_max}"
                answers[place] = Refused("event_too_large", reason)
            else:
                if chunk and (size + more > limit or len(chunk) == EVENTS_MAX):
                    await self._block(lane, chunk, answers)
                    chunk, size = [], empty
                chunk.append((place, offset, body))
                size += more
        if chunk:
            await self._block(lane, chunk, answers)

    async def _block(self, lane: EdgeLane, chunk: Sequence[_Place], answers: list[_Answer]) -> None:
        places, offsets, bodies = zip(*chunk, strict=True)
        answer = await self.link.post(lane, offsets, bodies)
        for place in places:
            answers[place] = answer


def _by_stream(events: Sequence[Event]) -> tuple[dict[str, list[int]], list[int]]:
    """Where the events of each stream stand, and those that may not go yet.

    Streams overtake each other on the way, so of one key there is one stream at a time.
    """
    if len({event.stream for event in events}) == 1:
        return {events[0].stream: list(range(len(events)))}, []
    streams: dict[str, list[int]] = {}
    taken: dict[str, str | None] = {}
    held: list[int] = []
    for place, event in enumerate(events):
        if taken.setdefault(event.key, event.stream) == event.stream:
            streams.setdefault(event.stream, []).append(place)
        else:
            taken[event.key] = None
            held.append(place)
    return streams, held


async def _end(parts: Collection[asyncio.Task[None]]) -> None:
    """Send nothing more: what is not sent by now is a retry."""
    for part in parts:
        part.cancel()
    await asyncio.gather(*parts, return_exceptions=True)


def _outcome(answer: _Answer) -> Outcome:
    if not isinstance(answer, asyncio.Future):
        return answer
    if answer.done() and answer.result():
        return Done()
    return Retry(reason="sent, not acknowledged; the core recognises a repetition", sent=True)
