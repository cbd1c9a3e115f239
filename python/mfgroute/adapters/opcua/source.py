"""Subscribe to the nodes of an OPC UA server."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from mfgroute.adapter import Context, Source
from mfgroute.adapters.opcua.config import OpcUaConfig
from mfgroute.adapters.opcua.detect import Detection
from mfgroute.errors import Disconnected
from mfgroute.events import Intake

if TYPE_CHECKING:
    from mfgroute.adapters.opcua.connection import PlantClient
    from mfgroute.adapters.opcua.subscription import Feed, Reading

#: Longest wait before the clock is looked at again.
WAIT_S_MAX = 1.0


class OpcUaSource(Source):
    """Changes of nodes, and the messages of detectors, for the life of one connection."""

    Config = OpcUaConfig

    def __init__(self, config: OpcUaConfig, context: Context) -> None:
        """Keep the configuration."""
        self._config = config
        self._context = context
        self._detection = Detection(config.detect)
        self._raw = frozenset(config.nodes)
        self._client: PlantClient | None = None
        self._feed: Feed | None = None
        self._meta: Mapping[str, str] = {}
        self._flushed = False

    @property
    def counters(self) -> dict[str, int]:
        """What was missing, mended and late on this connection."""
        feed = self._feed
        return {
            "gaps": feed.gaps if feed else 0,
            "republished": feed.republished if feed else 0,
            "late": self._detection.late,
        }

    async def open(self, resume: bytes | None) -> None:
        """Connect and subscribe; detectors go on where the last acknowledged intake left them.

        Raises:
            Disconnected: the server cannot be reached, refuses us or lacks a node.
            AdapterError: the server is not believed.
        """
        # asyncua takes a second to import, and only who uses it should wait.
        from mfgroute.adapters.opcua import connection, subscription  # noqa: PLC0415

        config = self._config
        if resume is not None:
            self._detection.restore(resume)
        feed = self._feed = subscription.Feed(config)
        self._client = await connection.connect(config, self._context, feed.lose)
        self._meta = {
            "opcua.endpoint": config.endpoint,
            "opcua.application_uri": self._client.server_application_uri,
        }
        try:
            await feed.subscribe(self._client.uaclient.session, config.watched())
        except connection.FAILURES as error:
            raise Disconnected(
                f"cannot subscribe at {config.endpoint}: {error or type(error).__name__}"
            ) from error

    async def read(self) -> Intake:
        """Wait for changes and for what the detectors say of them.

        Raises:
            Disconnected: the connection is lost, or the core fell behind; whatever came before is read.
        """
        feed = self._feed
        assert feed is not None, "read before open"
        while True:
            if self._client is not None and self._client.withdrawn():
                feed.lose(f"the certificate of {self._config.endpoint} is not approved any more")
            wait_s = self._detection.wait_s(time.monotonic())
            readings = await feed.take(
                self._config.batch_max, WAIT_S_MAX if wait_s is None else min(WAIT_S_MAX, wait_s + 0.001)
            )
            said = [self._document(reading) for reading in readings if reading.node in self._raw]
            said += self._detect(feed, readings)
            if said:
                return self._intake(said)
            if feed.lost is not None and not readings:
                if not self._flushed:
                    self._flushed = True
                    if said := self._detection.flush():
                        return self._intake(said)
                raise Disconnected(feed.lost)

    async def close(self) -> None:
        """Disconnect."""
        if self._client is not None:
            from mfgroute.adapters.opcua import connection  # noqa: PLC0415 - see `open`

            client, self._client = self._client, None
            await connection.disconnect(client, self._config.timeout_s)

    def _document(self, reading: Reading) -> dict[str, Any]:
        from mfgroute.adapters.opcua import values  # noqa: PLC0415 - see `open`

        return values.document(reading.node, reading.data, gap=reading.gap)

    def _detect(self, feed: Feed, readings: list[Reading]) -> list[dict[str, Any]]:
        if not self._config.detect:
            return []
        from mfgroute.adapters.opcua import values  # noqa: PLC0415 - see `open`

        now_s = time.monotonic()
        if feed.server_time_us is not None:
            self._detection.clock(feed.server_time_us, now_s)
            feed.server_time_us = None
        if feed.missed:
            feed.missed = False
            self._detection.missed()
        wall_us = time.time_ns() // 1_000
        for reading in readings:
            self._detection.offer(
                values.change(reading.node, reading.data, gap=reading.gap, now_us=wall_us), now_s
            )
        return self._detection.tick(now_s)

    def _intake(self, said: list[dict[str, Any]]) -> Intake:
        return Intake(
            messages=[msgspec.json.encode(one) for one in said],
            meta=self._meta,
            metas=[{"opcua.node": one["node"]} for one in said],
            position=self._detection.snapshot() if self._config.detect else None,
        )
