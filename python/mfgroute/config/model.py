"""The structure of ``mfgroute.yaml``."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from mfgroute.adapter import Config, Effect, Secret
from mfgroute.config.calendar import Calendar
from mfgroute.units import Duration, Rate, Size

NAME_PATTERN = "^[a-z0-9][a-z0-9-]*$"
DEFAULT_LISTEN = "127.0.0.1:8080"

Names: TypeAlias = str | list[str]
Name: TypeAlias = Annotated[str, Meta(min_length=1)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the parts of the file. A key that is not a field is an error."""


class Node(Section, frozen=True, kw_only=True):
    """Who this node is."""

    id: Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="Name of this node")]
    namespace: Annotated[
        str, Meta(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)*$", description="First part of every CloudEvents type")
    ]
    site: Annotated[str, Meta(max_length=64, description="Plant or site of this node")] = ""
    data_dir: Annotated[str, Meta(min_length=1, description="Folder of this node's own files")] = "data"
    dedup_window: Annotated[
        int,
        Meta(ge=1, le=100_000_000, description="Event ids that are remembered; beyond it: at least once"),
    ] = 1_000_000


class Http(Section, frozen=True, kw_only=True):
    """The one listener for inboxes, metrics and health."""

    listen: Annotated[
        str,
        Meta(
            pattern=r"^(\[[0-9a-fA-F:]+\]|[^\s:/]+):[0-9]{1,5}$",
            description="Address and port; one other than loopback needs `insecure: true` and a token on "
            "every http source",
        ),
    ] = DEFAULT_LISTEN
    insecure: Annotated[
        bool,
        Meta(description="Listen on the network without TLS: tokens and messages can be read on the way"),
    ] = False

    @property
    def host(self) -> str:
        """Address without brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """Port; 0 takes a free one."""
        return int(self.listen.rpartition(":")[2])


class Effects(Section, frozen=True, kw_only=True):
    """Where the database of effects is, which `effects`, `trace` and `reconcile` ask."""

    url: Annotated[
        Secret | None,
        Meta(
            description="A PostgreSQL database of this node's own, `postgresql://user:password@host/name`; "
            "SQLite in the data folder if not given. Needs `mfgroute[postgresql]`"
        ),
    ] = None
    keep: Annotated[
        Duration,
        Meta(
            description="How long effects that have ended are kept with their events and histories; "
            "later only what keeps an event from being posted again"
        ),
    ] = Duration(400 * 86_400.0)


class Stream(Section, frozen=True, kw_only=True):
    """An ordered log of events."""

    durability: Annotated[
        Literal["memory", "fsync"],
        Meta(
            description="What survives a crash: nothing (`memory`), "
            "or everything acknowledged as `durable` (`fsync`)"
        ),
    ]
    capacity: Annotated[
        Size | None,
        Meta(
            description="Most bytes that wait for slow sinks; `256MiB` if not given. "
            "With `fsync` the disk holds so much in whole segments of a sixteenth, and two more"
        ),
    ] = None
    keep: Annotated[
        Duration | None,
        Meta(
            description="With `fsync`, how long finished events stay on the disk, "
            "as far as `capacity` has room; `7d` if not given. Replay is not built yet"
        ),
    ] = None
    partitions: Annotated[int, Meta(ge=1, le=1024, description="Classes of keys for parallel work")] = 32
    when_full: Annotated[
        Literal["block", "drop_oldest"],
        Meta(description="`block` holds sources back; `drop_oldest` loses events"),
    ] = "block"
    first: Annotated[
        bool | None,
        Meta(
            description="Whether a sink gets its events before those of other streams; if not given, "
            "it does when all contracts of the stream are commands"
        ),
    ] = None


class Filter(Section, frozen=True, kw_only=True):
    """A named rule that drops messages; counted."""

    name: Annotated[str, Meta(min_length=1, description="Name of the rule in the counters")]
    when: Annotated[Any, Meta(description="Condition, as in a mapping")]


class Record(Section, frozen=True, kw_only=True):
    """Raw messages of a source, kept in the data folder for `diff`."""

    keep: Annotated[Duration, Meta(description="How long a message is kept")]
    size: Annotated[Size, Meta(description="Most bytes; the oldest messages go first")]


class SourceSection(Section, frozen=True, kw_only=True):
    """What every source may say, whatever its adapter."""

    adapter: Annotated[str, Meta(description="Which adapter reads it")]
    mappings: Annotated[list[str], Meta(description="Names of mappings; none: canonical CloudEvents")] = []
    filter: Annotated[Filter | list[Filter] | None, Meta(description="Messages to drop by a named rule")] = (
        None
    )
    uri: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(description="CloudEvents source; default //<site>/<name>"),
    ] = None
    on_reject: Annotated[
        Literal["next", "hold_key"],
        Meta(description="What later messages of the key of a rejected one do: they pass it, or wait for it"),
    ] = "next"
    record: Annotated[Record | None, Meta(description="Keep raw messages, with their attributes")] = None
    rejects_max: Annotated[
        RejectsMax | None, Meta(description="Rejected messages kept before this source alone is refused")
    ] = None


class RetrySection(Section, frozen=True, kw_only=True):
    """When to try again."""

    tries: Annotated[int, Meta(ge=1, le=1000, description="Counted tries before an event is parked")] = 8
    delay_max: Annotated[Duration, Meta(description="Longest pause between two tries")] = Duration(300.0)


class BreakerSection(Section, frozen=True, kw_only=True):
    """When a sink is left alone because its requests fail."""

    failures: Annotated[
        int, Meta(ge=1, le=100_000, description="Failed requests within 30 s that open the breaker at least")
    ] = 10
    share: Annotated[
        int, Meta(ge=1, le=100, description="Percent of all requests within 30 s that must have failed")
    ] = 50


class RetriesSection(Section, frozen=True, kw_only=True):
    """How many of the requests may be retries."""

    share: Annotated[
        int, Meta(ge=0, le=100, description="Most retries within 10 s, in percent of first tries")
    ] = 10
    least: Annotated[Rate, Meta(description="Retries that are allowed however few first tries there are")] = (
        Rate(1.0)
    )


class Limits(Section, frozen=True, kw_only=True):
    """How hard a sink may be pressed."""

    in_flight: Annotated[int, Meta(ge=1, le=1024, description="Requests at the same time")] = 4
    rate: Annotated[Rate | None, Meta(description="Most requests per second, minute or hour")] = None
    timeout: Annotated[Duration, Meta(description="Longest wait for one request")] = Duration(30.0)
    breaker: Annotated[
        BreakerSection, Meta(description="When to leave the target alone, because its requests fail")
    ] = BreakerSection()
    retries: Annotated[RetriesSection, Meta(description="How many of the requests may be retries")] = (
        RetriesSection()
    )


class BatchSection(Section, frozen=True, kw_only=True):
    """How many events go into one request, for adapters that take several."""

    events: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Most events in one request; as many as the adapter takes if not given"),
    ] = None
    bytes: Annotated[Size, Meta(description="Most bytes of events in one request")] = Size(1 << 20)
    linger: Annotated[
        Duration, Meta(description="How long to wait for a fuller request when some events are there")
    ] = Duration(0.0)


class RejectsMax(Section, frozen=True, kw_only=True):
    """Bounds of the rejected messages that a source keeps."""

    events: Annotated[int, Meta(ge=1, description="Most messages")] = 10_000
    bytes: Annotated[Size, Meta(description="Most bytes")] = Size(64 << 20)


class ParkedMax(Section, frozen=True, kw_only=True):
    """Bounds of what waits for a person."""

    events: Annotated[int, Meta(ge=1, description="Most events")] = 10_000
    bytes: Annotated[Size, Meta(description="Most bytes")] = Size(256 << 20)


class SinkSection(Section, frozen=True, kw_only=True):
    """What every sink may say, whatever its adapter."""

    adapter: Annotated[str, Meta(description="Which adapter writes it")]
    effect: Annotated[Effect | None, Meta(description="How one event has one effect")] = None
    on_refused: Annotated[
        Literal["park_key", "park_event"], Meta(description="What waits behind a refused event")
    ] = "park_key"
    retry: Annotated[RetrySection, Meta(description="When to try again")] = RetrySection()
    limits: Annotated[Limits, Meta(description="How hard the target may be pressed")] = Limits()
    batch: Annotated[
        BatchSection | None, Meta(description="Events in one request, for adapters that take several")
    ] = None
    parked_max: Annotated[ParkedMax, Meta(description="Bounds of what waits for a person")] = ParkedMax()
    calendar: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(description="File with maintenance windows, in which nothing is sent"),
    ] = None
    owner: Annotated[
        Annotated[str, Meta(min_length=1)] | None, Meta(description="Who mends refusals of this sink")
    ] = None


class Match(Section, frozen=True, kw_only=True):
    """Which events a route takes."""

    type: Annotated[
        Names,
        Meta(
            description="`name/1`, `name` (its newest version), `production.*`, `production.>` or `>` "
            "(as produced); or a list"
        ),
    ]
    source: Annotated[Names | None, Meta(description="Only events of these sources")] = None


class Route(Section, frozen=True, kw_only=True):
    """Which events go to which sinks."""

    name: Annotated[str, Meta(pattern=NAME_PATTERN, description="Name of the route")]
    match: Annotated[Match, Meta(description="Which events")]
    where: Annotated[
        Annotated[str, Meta(min_length=1)] | None, Meta(description="Condition on the event, in CEL")
    ] = None
    to: Annotated[Names, Meta(description="Sink or sinks")]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A source of the model.

    Attributes:
        section: the keys that all sources share.
        config: the adapter's own configuration.
        raw: everything as written, after substitution; two equal ones need no new connection.
    """

    section: SourceSection
    config: Config
    raw: dict[str, Any]


class Sink(msgspec.Struct, frozen=True, kw_only=True):
    """A sink of the model; attributes as of `Source`, and `calendar`: its maintenance windows."""

    section: SinkSection
    config: Config
    raw: dict[str, Any]
    calendar: Calendar | None = None


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """``mfgroute.yaml``, checked.

    Attributes:
        node: who this node is.
        http: the listener, or `None` when the file has no ``http`` and no source needs one.
        effects: where the database of effects is.
        streams: by name.
        sources: by name.
        sinks: by name.
        routes: in order.
    """

    node: Node
    http: Http | None
    effects: Effects
    streams: dict[str, Stream]
    sources: dict[str, Source]
    sinks: dict[str, Sink]
    routes: list[Route]
