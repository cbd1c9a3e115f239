"""A named inbox on the node's HTTP listener."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import deque
from typing import Annotated

import msgspec
from msgspec import Meta

from mfgroute.adapter import Config, Context, Inbox, Secret
from mfgroute.errors import Closed, Full, TooLarge
from mfgroute.events import Intake, Receipt
from mfgroute.units import Size

__all__ = ["HttpSource", "HttpSourceConfig"]


class HttpSourceConfig(Config):
    """Who may post to the inbox, and how much may wait in it."""

    token: Annotated[
        Secret | None, Meta(description="Bearer token that a sender must show; at least 16 characters")
    ] = None
    anonymous: Annotated[
        bool, Meta(description="Take messages without a token; only for tests on the local machine")
    ] = False
    queue_max: Annotated[
        int, Meta(ge=1, le=100_000, description="Requests that wait while the core is busy; beyond it: 429")
    ] = 256
    queue_size: Annotated[
        Size, Meta(description="Bytes that wait while the core is busy; beyond it: 429")
    ] = Size(64 << 20)

    def __post_init__(self) -> None:
        """Refuse an inbox that is open by accident."""
        if self.token is not None and self.anonymous:
            raise ValueError("`token` and `anonymous: true` exclude each other")
        if self.token is not None and len(self.token.reveal()) < 16:
            raise ValueError("`token` has fewer than 16 characters")


class _Offer:
    """An intake whose sender waits."""

    __slots__ = ("answer", "intake", "size")

    def __init__(self, intake: Intake, size: int, answer: asyncio.Future[Receipt]) -> None:
        self.intake = intake
        self.size = size
        self.answer = answer


class HttpSource(Inbox):
    """A bounded queue between the listener and the ingest task.

    One offer is one intake: a receipt counts accepted items per intake and not per message, so several
    offers in one intake could not be told their own outcome. Offers may be acknowledged in any order, so
    the runtime may submit several at the same time and they share one fsync.
    """

    Config = HttpSourceConfig
    synchronous = True

    def __init__(self, config: HttpSourceConfig, context: Context) -> None:
        self._name = context.name
        self._queue_max = config.queue_max
        self._queue_bytes_max = config.queue_size
        self._token = _digest(config.token.reveal()) if config.token is not None else None
        self._waiting: deque[_Offer] = deque()
        self._taken: set[_Offer] = set()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._closed = False

    def authorized(self, authorization: str | None) -> bool:
        """Compare the bearer token in time that does not depend on it."""
        if self._token is None:
            return True
        scheme, _, token = (authorization or "").partition(" ")
        # Both are compared always; digests have one length, so the time tells nothing.
        same = hmac.compare_digest(_digest(token.strip()), self._token)
        return same and scheme.lower() == "bearer"

    async def offer(self, intake: Intake) -> Receipt:
        """Queue an intake and wait until the ingest task has its receipt.

        Cancelling (the sender hung up) takes the intake back if nobody has read it yet.

        Raises:
            Full: the queue or a stream has no room; nothing was admitted.
            Closed: the inbox is closing.
        """
        if self._closed:
            raise Closed(f"source {self._name} is closed")
        size = sum(map(len, intake.messages)) + len(intake.slab or b"")
        if len(self._waiting) >= self._queue_max or (
            self._waiting and self._bytes + size > self._queue_bytes_max
        ):
            raise Full(
                f"source {self._name} has {len(self._waiting)} requests waiting", f"source {self._name}"
            )
        offer = _Offer(intake, size, asyncio.get_running_loop().create_future())
        self._waiting.append(offer)
        self._bytes += size
        self._filled.set()
        try:
            return await offer.answer
        finally:
            self._taken.discard(offer)

    async def read(self) -> Intake:
        """Wait for the next offer whose sender still waits.

        Raises:
            Closed: the inbox was closed.
        """
        while True:
            while self._waiting:
                offer = self._waiting.popleft()
                self._bytes -= offer.size
                if not offer.answer.done():
                    self._taken.add(offer)
                    return msgspec.structs.replace(offer.intake, token=offer)
            if self._closed:
                raise Closed(f"source {self._name} is closed")
            self._filled.clear()
            await self._filled.wait()

    async def ack(self, intake: Intake, receipt: Receipt) -> None:
        """Give the sender its receipt."""
        offer = _offer(intake)
        if not offer.answer.done():
            offer.answer.set_result(receipt)

    async def refuse(self, intake: Intake, full: Full | TooLarge) -> None:
        """Tell the sender that there is no room."""
        offer = _offer(intake)
        if not offer.answer.done():
            offer.answer.set_exception(full)

    async def close(self) -> None:
        """Refuse everything that waits. Of what was read but not acknowledged nobody knows the outcome."""
        self._closed = True
        self._filled.set()
        for offer in (*self._waiting, *self._taken):
            if not offer.answer.done():
                offer.answer.set_exception(Closed(f"source {self._name} is closed"))
        self._waiting.clear()
        self._taken.clear()
        self._bytes = 0


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _offer(intake: Intake) -> _Offer:
    assert isinstance(intake.token, _Offer), "an intake of another source"
    return intake.token
