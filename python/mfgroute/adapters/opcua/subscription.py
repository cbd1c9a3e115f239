"""One subscription without silent loss. Imports asyncua: only for `connection` and its tests.

asyncua's own `Subscription` drops the oldest change when it is full, recreates itself in silence when it
is stale, and does not compare sequence numbers. So this talks to its session: the publish loop hands each
answer to `on_publish`, which finds what is missing, asks for it again, and marks what stays missing.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Sequence

import msgspec
from asyncua import ua
from asyncua.client.ua_session import UaSession
from asyncua.ua.attribute_ids import AttributeIds

from mfgroute.adapters.opcua.change import micros
from mfgroute.adapters.opcua.config import OpcUaConfig
from mfgroute.adapters.opcua.values import overflowed
from mfgroute.errors import Disconnected

logger = logging.getLogger("mfgroute.adapters.opcua")

#: Lost notifications that are asked for again; more are a gap at once.
REPUBLISH_MAX = 100
#: Nodes in one request.
REQUEST_MAX = 500
_SEQUENCE_MAX = 2**32 - 1


class Reading(msgspec.Struct, frozen=True):
    """One reported value: of which node, and whether values are missing before it."""

    node: str
    data: ua.DataValue
    gap: bool


class Feed:
    """What a subscription reported and nobody took yet."""

    def __init__(self, config: OpcUaConfig) -> None:
        self.gaps = 0
        self.republished = 0
        #: Why nothing more will come.
        self.lost: str | None = None
        #: Changes of unknown nodes are missing; the reader puts it back.
        self.missed = False
        #: The server's clock, by its newest answer.
        self.server_time_us: int | None = None
        self._config = config
        self._waiting: deque[Reading] = deque()
        self._wake = asyncio.Event()
        self._nodes: list[str] = []
        self._gap_nodes: set[str] = set()
        self._expected = 1
        self._heard_s = time.monotonic()
        self._silence_s = math.inf
        self._session: UaSession | None = None
        self._id: ua.IntegerId | None = None

    async def subscribe(self, session: UaSession, nodes: Sequence[str]) -> None:
        """Watch nodes.

        Raises:
            Disconnected: the server does not have one of them, or does not let us watch it.
        """
        config = self._config
        self._session, self._nodes = session, list(nodes)
        params = ua.CreateSubscriptionParameters()
        params.RequestedPublishingInterval = config.interval_ms
        params.RequestedMaxKeepAliveCount = ua.UInt32(
            max(1, math.ceil(1000 * config.alive_s / config.interval_ms))
        )
        params.RequestedLifetimeCount = ua.UInt32(
            max(3 * params.RequestedMaxKeepAliveCount, math.ceil(60_000 / config.interval_ms))
        )
        params.MaxNotificationsPerPublish = ua.UInt32(min(config.queue_max, 1_000))
        params.PublishingEnabled = True
        result = await session.create_subscription(params, callback=self.on_publish)
        self._id = result.SubscriptionId
        keep_alive_s = result.RevisedPublishingInterval * result.RevisedMaxKeepAliveCount / 1000
        self._silence_s = 2 * keep_alive_s + config.timeout_s
        self._heard_s = time.monotonic()
        for start in range(0, len(nodes), REQUEST_MAX):
            await self._monitor(session, start, nodes[start : start + REQUEST_MAX])

    async def _monitor(self, session: UaSession, start: int, nodes: Sequence[str]) -> None:
        config = self._config
        params = ua.CreateMonitoredItemsParameters()
        assert self._id is not None
        params.SubscriptionId = self._id
        params.TimestampsToReturn = ua.TimestampsToReturn.Both
        for handle, node in enumerate(nodes, start):
            request = ua.MonitoredItemCreateRequest()
            request.ItemToMonitor.NodeId = ua.NodeId.from_string(node)
            request.ItemToMonitor.AttributeId = AttributeIds.Value
            request.MonitoringMode = ua.MonitoringMode.Reporting
            wanted = request.RequestedParameters
            wanted.ClientHandle = ua.UInt32(handle)
            wanted.SamplingInterval = -1 if config.sampling_ms is None else config.sampling_ms
            wanted.QueueSize = ua.UInt32(config.server_queue)
            wanted.DiscardOldest = True
            params.ItemsToCreate.append(request)
        results = await session.create_monitored_items(params)
        refused = [
            f"{node} ({result.StatusCode.name})"
            for node, result in zip(nodes, results, strict=True)
            if not result.StatusCode.is_good()
        ]
        if refused:
            raise Disconnected(f"cannot watch {', '.join(refused[:10])} at {config.endpoint}")
        short = [node for node, result in zip(nodes, results, strict=True) if result.RevisedQueueSize < 2]
        if short:
            logger.warning(
                "the server queues one change of %s only: a fast one is lost unseen", ", ".join(short[:10])
            )

    async def take(self, most: int, wait_s: float) -> list[Reading]:
        """Everything that waits, up to `most`; waits `wait_s` if there is nothing."""
        if not self._waiting and self.lost is None:
            self._wake.clear()
            try:
                async with asyncio.timeout(min(wait_s, self._silence_left_s())):
                    await self._wake.wait()
            except TimeoutError:
                if self._silence_left_s() <= 0:
                    self.lose(f"{self._config.endpoint} says nothing any more")
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def lose(self, reason: str) -> None:
        """Nothing more will come; what waits can still be taken."""
        if self.lost is None:
            self.lost = reason
        self._wake.set()

    def _silence_left_s(self) -> float:
        return self._heard_s + self._silence_s - time.monotonic()

    async def on_publish(self, result: ua.PublishResult) -> None:
        """Take one answer of the server; called by asyncua, one after the other."""
        self._heard_s = time.monotonic()
        message = result.NotificationMessage
        notifications = message.NotificationData or []
        for one in notifications:
            if isinstance(one, ua.StatusChangeNotification):
                self.lose(f"the subscription ended: {one.Status.name}")
        if self.lost is not None:
            return
        if message.PublishTime is not None and message.PublishTime.year > 1970:
            self.server_time_us = micros(message.PublishTime)
        sequence = int(message.SequenceNumber)
        ahead = _distance(self._expected, sequence)
        if ahead > 0:
            await self._recover(ahead)
        if notifications and ahead >= 0:
            self._accept(notifications)
            self._expected = sequence % _SEQUENCE_MAX + 1
        self._wake.set()

    async def _recover(self, count: int) -> None:
        assert self._session is not None
        assert self._id is not None
        for _ in range(min(count, REPUBLISH_MAX)):
            sequence = self._expected
            try:
                message = await self._session.republish(self._id, sequence)
            except Exception:  # noqa: BLE001 - whatever the reason, the changes are missing
                break
            if message.SequenceNumber != sequence:
                break
            self._accept(message.NotificationData or [])
            self._expected = sequence % _SEQUENCE_MAX + 1
            self.republished += 1
            count -= 1
        if count:
            self.gaps += count
            self.missed = True
            self._gap_nodes = set(self._nodes)
            for _ in range(count):
                self._expected = self._expected % _SEQUENCE_MAX + 1
            logger.error("changes are lost: %d notifications of %s are missing", count, self._config.endpoint)

    def _accept(self, notifications: Sequence[object]) -> None:
        for one in notifications:
            if isinstance(one, ua.DataChangeNotification):
                for item in one.MonitoredItems or []:
                    self._put(item)

    def _put(self, item: ua.MonitoredItemNotification) -> None:
        if self.lost is not None or item.Value is None or item.ClientHandle >= len(self._nodes):
            return
        if len(self._waiting) >= self._config.queue_max:
            self.lose(f"more than {self._config.queue_max} changes wait (queue_max)")
            return
        node = self._nodes[item.ClientHandle]
        discarded = overflowed(item.Value.StatusCode)
        if discarded:
            self.gaps += 1
            logger.error("changes are lost: the server's queue of %s was full (server_queue)", node)
        self._waiting.append(Reading(node, item.Value, gap=discarded or node in self._gap_nodes))
        self._gap_nodes.discard(node)


def _distance(expected: int, sequence: int) -> int:
    """How far a sequence number is ahead of the expected one; after the highest comes 1."""
    ahead = (sequence - expected) % _SEQUENCE_MAX
    return ahead if ahead < _SEQUENCE_MAX // 2 else ahead - _SEQUENCE_MAX
