"""Subscribe to the nodes of an OPC UA server."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mfgroute.adapter import Context, Source
from mfgroute.adapters.opcua import positions
from mfgroute.adapters.opcua.change import micros, rfc3339
from mfgroute.adapters.opcua.config import OpcUaConfig
from mfgroute.adapters.opcua.detect import Detection
from mfgroute.errors import AdapterError, Disconnected, Quarantined
from mfgroute.events import Intake

if TYPE_CHECKING:
    from mfgroute.adapters.opcua.connection import PlantClient
    from mfgroute.adapters.opcua.subscription import Feed, Reading

#: What is counted; the page of the adapter says what each is.
COUNTERS = (
    "gaps", "gaps_overflow", "gaps_lost", "gaps_disconnected", "gaps_restarted", "lost", "republished",
    "backfilled", "history_failed", "resent", "unqueued", "quarantined", "refused",
)  # fmt: skip
#: The mapping that makes events of gaps, in the pack of this adapter.
GAP_MAPPING = "opcua-gap"
#: Longest wait before the clock is looked at again.
WAIT_S_MAX = 1.0


class OpcUaSource(Source):
    """Changes of nodes, and the messages of detectors, for the life of one connection."""

    Config = OpcUaConfig
    own_pack = Path(__file__).resolve().parents[2] / "packs" / "opcua"

    @classmethod
    def own_mappings(cls, raw: Mapping[str, Any]) -> Sequence[str]:
        """The mapping of gaps, unless the source is to make no events of them."""
        return (GAP_MAPPING,) if raw.get("gaps", "event") == "event" else ()

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
        self._seen: dict[str, positions.Mark] = {}
        self._others = False
        self._started: int | None = None
        self._counts: Counter[str] = Counter()

    @property
    def counters(self) -> dict[str, int]:
        """What was missing, mended and late on this connection."""
        counts = self._counts if self._feed is None else self._counts + self._feed.counts
        return {**dict.fromkeys(COUNTERS, 0), **counts, "late": self._detection.late}

    @property
    def details(self) -> dict[str, Any]:
        """How many nodes are watched, of which of them the server queues no changes, and a note of that."""
        feed = self._feed
        return {
            "nodes": len(self._config.watched()),
            "unqueued": [] if feed is None else feed.unqueued,
            "notes": [] if feed is None else feed.notes(),
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
        memory = positions.read(resume, config.endpoint)
        if memory.detection != positions.NOTHING:
            self._detection.restore(bytes(memory.detection))
        self._seen, self._others = dict(memory.seen), memory.others
        lost: list[str] = []
        try:
            self._client = await connection.connect(config, self._context, lost.append)
        except Quarantined:
            self._counts["quarantined"] += 1
            raise
        except AdapterError:
            self._counts["refused"] += 1
            raise
        self._started = await connection.started_us(self._client)
        feed = self._feed = subscription.Feed(
            config, memory.seen, others=memory.others, restarted=memory.restarted(self._started)
        )
        self._client.on_lost = feed.lose
        if lost:
            feed.lose(lost[0])
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
            if self._client is not None and (doubt := self._client.doubt()):
                feed.lose(f"{self._config.endpoint} is not believed any more: {doubt}")
            wait_s = self._detection.wait_s(time.monotonic())
            readings = await feed.take(
                self._config.batch_max, WAIT_S_MAX if wait_s is None else min(WAIT_S_MAX, wait_s + 0.001)
            )
            said = self._say(readings)
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

    def _say(self, readings: list[Reading]) -> list[dict[str, Any]]:
        """The messages of changes, and of gaps before them."""
        from mfgroute.adapters.opcua import values  # noqa: PLC0415 - see `open`

        said = []
        for one in readings:
            if one.mark is not None:
                self._seen[one.node] = one.mark
            else:
                self._others = True
            if one.gap and self._config.gaps != "count":
                said.append(gap_document(one))
            if one.node in self._raw and not one.resent:
                said.append(values.document(one.node, one.data, gap=bool(one.gap), backfilled=one.backfilled))
        return said

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
                values.change(reading.node, reading.data, gap=bool(reading.gap), now_us=wall_us), now_s
            )
        return self._detection.tick(now_s)

    def _intake(self, said: list[dict[str, Any]]) -> Intake:
        return Intake(
            messages=[msgspec.json.encode(one) for one in said],
            meta=self._meta,
            metas=[self._attributes(one) for one in said],
            position=positions.write(
                self._config.endpoint,
                self._started,
                self._seen,
                self._detection.snapshot() if self._config.detect else None,
                others=self._others,
            ),
        )

    def _attributes(self, said: dict[str, Any]) -> dict[str, str]:
        made = {"opcua.node": said["node"]}
        if self._config.gaps == "event" and said.get("detect") == "gap":
            made["source.mapping"] = GAP_MAPPING
        return made


def gap_document(reading: Reading) -> dict[str, Any]:
    """The message of a gap: between which source times changes of a node are missing, and why.

    A value without a source time was there when the server, or else this node, saw it.
    """
    server = reading.data.ServerTimestamp
    seen_us = time.time_ns() // 1_000 if server is None else micros(server)
    return {
        "detect": "gap",
        "node": reading.node,
        "reason": reading.gap,
        "from": None if reading.since_us is None else rfc3339(reading.since_us),
        "to": rfc3339(seen_us if reading.mark is None else reading.mark[0]),
    }
