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
from collections import Counter, deque
from collections.abc import Mapping, Sequence

import msgspec
from asyncua import ua
from asyncua.client.ua_session import UaSession
from asyncua.ua.attribute_ids import AttributeIds

from mfgroute.adapters.opcua.backfill import Historian
from mfgroute.adapters.opcua.change import micros
from mfgroute.adapters.opcua.config import OpcUaConfig
from mfgroute.adapters.opcua.values import Mark, mark, overflowed
from mfgroute.errors import Disconnected

logger = logging.getLogger("mfgroute.adapters.opcua")

#: Lost notifications that are asked for again; more are a gap at once.
REPUBLISH_MAX = 100
#: Nodes in one request.
REQUEST_MAX = 500
#: How long a historian may lag behind what the server reports.
LAG_S = 1.0
_SEQUENCE_MAX = 2**32 - 1


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One value.

    Attributes:
        node: as it is configured.
        data: as the server reported it.
        mark: what it is known by, see `values.mark`.
        gap: why values are missing immediately before it; empty if none are. ``overflow``: the server's queue
            was full. ``lost``: an answer was lost. ``disconnected``, ``restarted``: nobody listened, or the
            server began anew.
        since_us: source time of the last value before the gap, if that is known.
        backfilled: it comes from the server's history.
        resent: it is the value that was seen last before the connection was lost.
    """

    node: str
    data: ua.DataValue
    mark: Mark | None
    gap: str = ""
    since_us: int | None = None
    backfilled: bool = False
    resent: bool = False


class Feed:
    """What a subscription reported and nobody took yet."""

    def __init__(
        self,
        config: OpcUaConfig,
        marks: Mapping[str, Mark] | None = None,
        *,
        others: bool = False,
        restarted: bool = False,
    ) -> None:
        """Make an empty one.

        Args:
            config: of the source.
            marks: of each node, the value that was seen last on an earlier connection.
            others: whether there were nodes besides, of which nobody knows what was seen last.
            restarted: whether the server began anew since.
        """
        self.counts: Counter[str] = Counter()
        #: Why nothing more will come.
        self.lost: str | None = None
        #: Changes of unknown nodes are missing; the reader puts it back.
        self.missed = False
        #: The server's clock, by its newest answer.
        self.server_time_us: int | None = None
        #: Nodes of which the server holds one change only, whatever it was asked for.
        self.unqueued: list[str] = []
        self._config = config
        self._waiting: deque[Reading] = deque()
        self._wake = asyncio.Event()
        self._nodes: list[str] = []
        #: Nodes whose next value comes after a gap, and why.
        self._gap_nodes: dict[str, str] = {}
        #: Newest value of each node, and nodes that were watched before and not heard of since.
        self._marks: dict[str, Mark] = dict(marks or {})
        self._away: set[str] = {*self._marks, *(config.watched() if others else ())}
        self._away_why = "restarted" if restarted else "disconnected"
        self._historian: Historian | None = None
        self._backfilled = 0
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
        if config.backfill:
            self._historian = Historian(session, min(config.timeout_s, LAG_S))
            await self._historian.learn(nodes)
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
        self.unqueued += short
        self.counts["unqueued"] += len(short)
        if short:
            logger.warning(
                "the server holds one change of %s: another one before it is published is lost unseen",
                _some(short),
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
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        self._backfilled -= sum(one.backfilled for one in taken)
        return taken

    def lose(self, reason: str) -> None:
        """Nothing more will come; what waits can still be taken."""
        if self.lost is None:
            self.lost = reason
        self._wake.set()

    def notes(self) -> list[str]:
        """What somebody should know of this subscription, one sentence each."""
        if not self.unqueued:
            return []
        count, server = len(self.unqueued), self._config.endpoint
        said = (
            f"of {count} of {len(self._nodes)} nodes {server} holds one change between two publishings, "
            "whatever it is asked for; one that another one replaces before is lost without a sign: "
        )
        return [said + _some(self.unqueued)]

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
        sequence = int(message.SequenceNumber)
        ahead = _distance(self._expected, sequence)
        if ahead > 0:
            await self._recover(ahead)
        if notifications and ahead >= 0:
            await self._accept(notifications)
            self._expected = sequence % _SEQUENCE_MAX + 1
        # Not before what was missing has come: time does not pass while changes of the past may still come.
        if message.PublishTime is not None and message.PublishTime.year > 1970:
            self.server_time_us = micros(message.PublishTime)
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
            await self._accept(message.NotificationData or [])
            self._expected = sequence % _SEQUENCE_MAX + 1
            self.counts["republished"] += 1
            count -= 1
        if count:
            self.counts["lost"] += count
            self.missed = True
            self._gap_nodes |= dict.fromkeys(self._nodes, "lost")
            for _ in range(count):
                self._expected = self._expected % _SEQUENCE_MAX + 1
            logger.error("answers are lost: %d of %s, and not sent again", count, self._config.endpoint)

    async def _accept(self, notifications: Sequence[object]) -> None:
        # A server that answers slowly must not hold back what comes after: then gaps stay gaps.
        end = time.monotonic() + self._config.timeout_s
        for one in notifications:
            if isinstance(one, ua.DataChangeNotification):
                for item in one.MonitoredItems or []:
                    await self._put(item, end)

    async def _put(self, item: ua.MonitoredItemNotification, end_s: float) -> None:
        if self.lost is not None or item.Value is None or item.ClientHandle >= len(self._nodes):
            return
        if len(self._waiting) - self._backfilled >= self._config.queue_max:
            self.lose(f"more than {self._config.queue_max} changes wait (queue_max)")
            return
        node, data = self._nodes[item.ClientHandle], item.Value
        before, now = self._marks.get(node), mark(data)
        gap = self._gap_nodes.pop(node, "")
        resent = False
        if node in self._away:
            self._away.discard(node)
            resent = now is not None and now == before
            gap = "" if resent else self._away_why
        if overflowed(data.StatusCode):
            gap = "overflow"
        if gap and before is not None and await self._fill(node, before, data, end_s):
            gap = ""
        if gap:
            self.counts["gaps"] += 1
            self.counts[f"gaps_{gap}"] += 1
            logger.error("changes are lost: of %s, before %s (%s)", node, data.SourceTimestamp, gap)
        self.counts["resent"] += resent
        since_us = before[0] if gap and before is not None else None
        self._waiting.append(
            Reading(node=node, data=data, mark=now, gap=gap, since_us=since_us, resent=resent)
        )
        if now is not None:
            self._marks[node] = now

    async def _fill(self, node: str, before: Mark, after: ua.DataValue, end_s: float) -> bool:
        """Put what the server's history has of a gap in its place, if it has all of it."""
        historian = self._historian
        if historian is None or not historian.offers(node):
            return False
        try:
            async with asyncio.timeout(max(0.0, end_s - time.monotonic())):
                room = self._config.queue_max - self._backfilled
                found = await historian.between(node, before, after, room)
        except Exception:  # noqa: BLE001 - whatever the reason, the changes are missing
            found = None
        if found is None:
            self.counts["history_failed"] += 1
            return False
        self._waiting += [Reading(node=node, data=one, mark=mark(one), backfilled=True) for one in found]
        self._backfilled += len(found)
        self.counts["backfilled"] += len(found)
        return True


def _some(nodes: Sequence[str]) -> str:
    """The first ten of these nodes."""
    more = f" and {len(nodes) - 10} more" if len(nodes) > 10 else ""
    return ", ".join(nodes[:10]) + more


def _distance(expected: int, sequence: int) -> int:
    """How far a sequence number is ahead of the expected one; after the highest comes 1."""
    ahead = (sequence - expected) % _SEQUENCE_MAX
    return ahead if ahead < _SEQUENCE_MAX // 2 else ahead - _SEQUENCE_MAX
