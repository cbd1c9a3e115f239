"""Which edge nodes may connect to a core, and how much they may send."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from mfgroute.adapter import Config
from mfgroute.adapters.zeromq.keys import PUBLIC_PATTERN, parse_public
from mfgroute.units import Duration, Rate, Size

__all__ = ["EdgePeer", "Roster", "ZeroMqSourceConfig"]


class EdgePeer(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An edge node that may connect."""

    id: Annotated[str, Meta(min_length=1, max_length=100, description="Name of the edge node")]
    key: Annotated[
        str, Meta(pattern=PUBLIC_PATTERN, description="Its public key: `public:` and 64 hex digits")
    ]
    next_key: Annotated[
        Annotated[str, Meta(pattern=PUBLIC_PATTERN)] | None,
        Meta(description="A second key that is accepted as well, while one takes the place of the other"),
    ] = None
    sources: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1,
            description="CloudEvents sources it may send, such as `//DE04/*`; others are rejects",
        ),
    ]

    @property
    def accepted(self) -> list[str]:
        """The keys that it may show."""
        return [self.key] if self.next_key is None else [self.key, self.next_key]


class ZeroMqSourceConfig(Config):
    """Where edge nodes connect, and which."""

    listen: Annotated[
        str,
        Meta(
            pattern=r"^tcp://\S+:([0-9]+|\*)$",
            description="Address to listen on, such as `tcp://0.0.0.0:7447`",
        ),
    ]
    secret_key_file: Annotated[
        str,
        Meta(min_length=1, description="File of the core's secret key, mode 0600, relative to the project"),
    ]
    edges: Annotated[tuple[EdgePeer, ...], Meta(min_length=1, description="The edge nodes that may connect")]
    credit_blocks: Annotated[
        int, Meta(ge=1, le=512, description="Blocks one stream of an edge may have sent without an answer")
    ] = 64
    credit_size: Annotated[
        Size, Meta(description="Bytes one stream of an edge may have sent without an answer")
    ] = Size(16 << 20)
    credit_total: Annotated[
        Size,
        Meta(description="Bytes that all edges together may have sent without an answer, in equal shares"),
    ] = Size(256 << 20)
    block_max: Annotated[Size, Meta(description="Largest frame that is taken; at most 64MiB")] = Size(1 << 20)
    first: Annotated[
        tuple[str, ...],
        Meta(description="Streams of the edges that are admitted before others, the most urgent first"),
    ] = ("business",)
    connects: Annotated[
        Rate,
        Meta(description="Connections of edges that are let in, one after the other; the others wait"),
    ] = Rate(100.0)
    clock_off_max: Annotated[
        Duration,
        Meta(description="How far the clock of an edge may be off before that is said; it decides nothing"),
    ] = Duration(5.0)

    def __post_init__(self) -> None:
        """Refuse a list in which a key or a name would be ambiguous."""
        for what, values in (
            ("id", [edge.id for edge in self.edges]),
            ("key", [key for edge in self.edges for key in edge.accepted]),
        ):
            if len(set(values)) != len(values):
                raise ValueError(f"two of `edges` have the same {what}")
        if not 4096 <= self.block_max <= 64 << 20:
            raise ValueError("`block_max` is not between 4KiB and 64MiB")


class Roster:
    """Who may connect, by which keys, and what each may send; it changes while edges are connected.

    Attributes:
        peers: the edges that may connect, by their names.
    """

    def __init__(self, edges: Iterable[EdgePeer]) -> None:
        self.peers: dict[str, EdgePeer] = {}
        self._owners: dict[bytes, str] = {}
        self._sources: dict[str, re.Pattern[str]] = {}
        self.follow(edges)

    def follow(self, edges: Iterable[EdgePeer]) -> None:
        """These edges may connect from now on."""
        self.peers = {edge.id: edge for edge in edges}
        self._owners = {parse_public(key): edge.id for edge in self.peers.values() for key in edge.accepted}
        # What came of an edge before it was taken out is judged as it was then.
        self._sources |= {
            edge.id: re.compile("|".join(fnmatch.translate(source) for source in edge.sources))
            for edge in self.peers.values()
        }

    def owner(self, key: bytes) -> str | None:
        """Whose key this is, in Z85; `None` if nobody may connect by it."""
        return self._owners.get(key)

    def may_send(self, edge: str, source: str) -> bool:
        """Whether an edge may send events of this CloudEvents source."""
        return self._sources[edge].match(source) is not None
