"""The contract for adapters: sources, sinks, their configuration and what they are told.

An adapter lives for **one connection**: it is made, opened, used and closed. It never retries, buffers,
counts or reconnects; after `Disconnected` the runtime waits and makes a new object.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol

import msgspec
from msgspec import Meta

from mfgroute.errors import Disconnected, Full, TooLarge
from mfgroute.events import (
    Absent,
    Accepted,
    Done,
    Event,
    InDoubt,
    Intake,
    NotYet,
    Outcome,
    Receipt,
    Refused,
    Retry,
)
from mfgroute.secret import Secret
from mfgroute.units import Duration, parse

__all__ = [
    "Books",
    "Config",
    "Context",
    "Effect",
    "Held",
    "Inbox",
    "Poster",
    "Reader",
    "Request",
    "Reverser",
    "Secret",
    "Sink",
    "Source",
    "dec_hook",
]


def dec_hook(kind: type, value: Any) -> Any:
    """Make our own types while msgspec converts a configuration.

    Raises:
        ValueError: a text does not say a size, duration or rate.
        NotImplementedError: for a type that is not ours.
    """
    made = parse(kind, value)
    if made is not None:
        return made
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    if issubclass(kind, Path) and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(kind)


class Config(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of adapter configurations. A key that is not a field is an error."""

    #: Settings whose values are kept with events or sent in the open: `check` refuses `${...}` in them,
    #: because it may be a secret.
    stored: ClassVar[frozenset[str]] = frozenset()
    #: Settings that list names of sinks of the project: `check` refuses names that no sink has.
    sink_names: ClassVar[frozenset[str]] = frozenset()

    def misfits(self, schemas: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """What cannot work with the contracts of the project, found by `check`.

        Args:
            schemas: of ``data``, by contract as ``material.consumed/1``.

        Yields:
            The place, as a pointer into this configuration, and what is wrong there.
        """
        del schemas
        yield from ()


class Effect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the target makes sure that one event has one effect."""

    by: Annotated[
        Literal["key", "lookup", "upsert", "none"],
        Meta(
            description="`key`: the target honours an idempotency key; `upsert`: it replaces by natural key; "
            "`lookup`: it can be asked; `none`: none of these"
        ),
    ]
    header: Annotated[
        str, Meta(min_length=1, description="Header that carries the event id as the idempotency key")
    ] = "Idempotency-Key"
    kept: Annotated[
        Duration | None,
        Meta(
            description="How long the target remembers a key, such as `24h`. Later an event that may have "
            "arrived is not sent again, but is in doubt"
        ),
    ] = None
    accept: Annotated[
        Literal["at_least_once", "at_most_once"] | None,
        Meta(
            description="Of `none`, required there: after a lost answer an event is sent again "
            "(`at_least_once`), or is in doubt until a person decides (`at_most_once`)"
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse a class whose cost nobody chose."""
        if self.by == "none" and self.accept is None:
            raise ValueError("`by: none` needs `accept: at_least_once` or `accept: at_most_once`")
        if self.by != "none" and self.accept is not None:
            raise ValueError(f"`accept` is of `by: none`, here is `by: {self.by}`")

    @property
    def repeatable(self) -> bool:
        """Whether an event whose outcome is unknown may be sent again without asking anybody."""
        return self.by in ("key", "upsert") or self.accept == "at_least_once"


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the runtime tells an adapter about its place.

    Attributes:
        name: of the source or sink in ``mfgroute.yaml``.
        node: id of the node.
        site: of the node, or empty.
        project_dir: relative paths in a configuration start here.
        data_dir: the node's own folder.
        epoch: random, of the data folder: copies of the folder share it; 0 if there is no such folder.
        durable: names of the streams that survive a crash.
        unsettled: of a sink that is no poster, how many events it has answered for without the log having
            durably noted it yet, which it does in the order of the answers. Perhaps more, never less.
    """

    name: str
    node: str = "node"
    site: str = ""
    project_dir: Path = Path()
    data_dir: Path = Path("data")
    epoch: int = 0
    durable: frozenset[str] = frozenset()
    unsettled: Callable[[], int] = lambda: 0


class Source(ABC):
    """A place messages come from, for the life of one connection.

    The runtime makes a source, opens it, reads until it raises, and closes it. After `Disconnected` it
    waits and makes a new one, so no source carries reconnect logic or stale state. Any other error is a
    fault of this source alone. All calls come from one task.
    """

    Config: ClassVar[type[Config]]
    #: Whether a sender waits for the receipt. Rejects of such a source are the sender's to mend; they are
    #: kept in a ring instead of the bounded store.
    synchronous: ClassVar[bool] = False
    #: Whether it has messages of several streams, each intake of one. Then nothing waits behind an intake for
    #: which there is no room: it is given back by `refuse`, and the source goes on with other streams.
    sorted_by_stream: ClassVar[bool] = False
    #: Folder of a pack with the mappings of `own_mappings` and their contracts, used without being named.
    own_pack: ClassVar[Path | None] = None

    @classmethod
    def own_mappings(cls, raw: Mapping[str, Any]) -> Sequence[str]:
        """Mappings for messages that a source of this kind makes of itself, such as what it could not get.

        Such a message has the attribute ``source.mapping`` with the name of one of them; that one alone takes
        it, and no filter of the source.

        Args:
            raw: the source as it is written in ``mfgroute.yaml``.
        """
        del raw
        return ()

    @abstractmethod
    def __init__(self, config: Any, context: Context) -> None:
        """Keep the configuration; connect nothing yet."""

    async def open(self, resume: bytes | None) -> None:
        """Connect, and go on after `resume`, the last acknowledged position.

        Raises:
            Disconnected: the peer cannot be reached; try again later.
        """

    @abstractmethod
    async def read(self) -> Intake:
        """Wait for messages; return all that are waiting, up to a limit.

        Raises:
            Disconnected: the connection is lost.
        """

    async def ack(self, intake: Intake, receipt: Receipt) -> None:
        """Let the peer forget `intake`: `receipt` says what became of each message."""

    async def refuse(self, intake: Intake, full: Full | TooLarge) -> None:
        """There is no room, and nothing of `intake` was admitted; its position is not kept.

        Only called when `synchronous`, to tell a waiting sender, and when `sorted_by_stream`, to take the
        messages back and read them again later: after `TooLarge` fewer at once.
        """

    def follow(self, config: Any) -> bool:
        """Go on with a changed configuration, and say whether that can be done.

        If it cannot, nothing has changed, and the runtime closes this object and makes another one.
        """
        del config
        return False

    @property
    def counters(self) -> Mapping[str, int]:
        """What this connection has counted besides messages and events, such as gaps; for the metrics."""
        return {}

    @property
    def details(self) -> Mapping[str, Any]:
        """How this connection stands, as JSON; for people who ask the node.

        ``notes`` in it is a list of sentences that the health of the node repeats: what does not stand in
        the way and somebody should know.
        """
        return {}

    async def close(self) -> None:
        """Release everything. Called once, even if `open` failed."""


class Inbox(Source):
    """A source that the node's HTTP listener fills."""

    @abstractmethod
    async def offer(self, intake: Intake) -> Receipt:
        """Hand over an intake and wait for its receipt. Called by the listener, from any task.

        Raises:
            Full: there is no room; nothing was admitted.
        """

    @abstractmethod
    def authorized(self, authorization: str | None) -> bool:
        """Whether an ``Authorization`` header opens this inbox."""


class Sink(ABC):
    """A place events go to, for the life of one connection.

    Calls of one object may run concurrently, up to `limits.in_flight` and `writes_max`. Two never hold
    events of the same key, unless `refuses_single` is not set.
    """

    Config: ClassVar[type[Config]]
    #: Whether the target may refuse one event of a batch. Then a batch holds at most one event per key.
    refuses_single: ClassVar[bool] = True
    #: Most calls of `write` at the same time, whatever `limits.in_flight` says. Where `refuses_single` is not
    #: set, two batches may hold events of one key; then a later one must not succeed after an earlier one
    #: failed, so that is 1 unless the target itself keeps the order.
    writes_max: ClassVar[int] = 1_024
    #: Most events in one `write`.
    batch_max: ClassVar[int] = 1
    #: Whether the target says itself how much it takes, as the core of an edge link does by its credit. Then
    #: neither a breaker nor a retry budget holds events back after an outage.
    paced: ClassVar[bool] = False
    #: Whether `open` has heard the target itself, and `lost` says when it is heard no more. Of others only
    #: the first write shows whether a new connection leads anywhere.
    watches: ClassVar[bool] = False
    #: Events of how many streams it takes at most; `None` if it makes no difference.
    streams_max: ClassVar[int | None] = None

    @abstractmethod
    def __init__(self, config: Any, context: Context) -> None:
        """Keep the configuration; connect nothing yet."""

    async def open(self) -> None:
        """Connect.

        Raises:
            Disconnected: the target cannot be reached; try again later.
        """

    @abstractmethod
    async def write(self, events: Sequence[Event]) -> list[Outcome]:
        """Send events and say what became of each, in order.

        An exception makes every event of the batch in doubt, except `Disconnected` with ``sent=False``,
        which makes them retries. A lost connection or a timeout makes them retries as well where the sink's
        `effect` allows to send again.
        """

    @property
    def counters(self) -> Mapping[str, int]:
        """What this connection has counted besides messages and events, such as gaps; for the metrics."""
        return {}

    @property
    def details(self) -> Mapping[str, Any]:
        """How this connection stands, as JSON; for people who ask the node."""
        return {}

    @property
    def lost(self) -> Disconnected | None:
        """Why this connection is over, whether anything is written or not; `None` while it stands."""
        return None

    async def close(self) -> None:
        """Release everything. Called once, even if `open` failed."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Exactly what is sent to a target for one event: on the disk before it is sent, and never made anew.

    Attributes:
        key: what the target knows it by: an idempotency key, or our reference in its document.
        body: all that is sent, as the adapter packs and unpacks it.
        object: what is posted to, such as ``order/DE04/4711``; empty if it is nothing that people ask for.
        amounts: what is added to that object, by name: ``{"yield": Decimal(10)}``.
        alone: whether what it does depends on what else was posted to the object. It is rendered and written
            down while no other request for the object is under way.
    """

    key: str
    body: bytes
    object: str = ""
    amounts: Mapping[str, Decimal] = msgspec.field(default_factory=dict)
    alone: bool = False


class Books(Protocol):
    """What a sink has posted."""

    async def posted(self, thing: str) -> Mapping[str, Decimal]:
        """Sums of the amounts of all requests that were posted to a `Request.object`, by name."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What a target holds of one amount of a thing.

    Attributes:
        amount: the sum, reversals taken off.
        documents: what it is made of, as `Done.reference` names them, oldest first.
    """

    amount: Decimal
    documents: tuple[str, ...] = ()


class Reader(Protocol):
    """A poster that can read back what its target holds, to be compared with what was posted."""

    async def read(self, thing: str) -> Mapping[str, Held]:
        """What the target holds of a `Request.object`, by the names of `Request.amounts`.

        An amount that the target holds and nobody posted from here has a name of the same form.

        Raises:
            Disconnected: the target cannot be reached, or does not answer the question now.
            AdapterError: the target answers, but not this: the reader may not see it, or it does not exist.
        """


class Reverser(Protocol):
    """A poster that knows how to undo what it posted.

    One whose settings say whether it does has a property `reversible`; where that is false it is none.
    """

    def reverse(
        self, request: Request, reference: str, *, posted: Mapping[str, Decimal], reason: str = ""
    ) -> Request | Refused:
        """Make the request that undoes a posted one, with the reference that it was posted under.

        The same for the same arguments, but for a posting date that is today's. `posted` is what the sink's
        books hold of the object of the request. `reason` is a person's and goes where the target has room
        for it. Sends nothing. `Refused` where there is nothing to undo.
        """

    def describe(self, request: Request, reversal: Request) -> str:
        """What the reversal of a request does in the target, in a line for the person who asks for it."""


class Poster(Sink):
    """A sink whose effects are recorded: a request is durable before it is sent, and so is its outcome.

    After a lost answer the runtime asks the target, sends the same request again, or leaves it to a
    person, as the sink's `effect` says. What a poster renders is kept with the event until that has ended.
    """

    @property
    @abstractmethod
    def effect(self) -> Effect:
        """How the target makes sure that one event has one effect; may become stricter while connected."""

    @abstractmethod
    async def render(self, event: Event, books: Books) -> Request | Done | Refused | NotYet:
        """Make the request of an event: the same for the same event and books. Sends nothing.

        `Done` if there is nothing to send.
        """

    async def adds(self, _event: Event, _books: Books) -> tuple[str, Mapping[str, Decimal]] | None:
        """Object and amounts of an event that `render` refuses, for a person may book it by hand."""
        return None

    @abstractmethod
    async def post(self, requests: Sequence[Request]) -> list[Outcome | Accepted | NotYet]:
        """Send requests and say what became of each, in order. May raise what `write` raises."""

    async def ask(self, request: Request) -> Done | Refused | Absent | InDoubt | Retry:
        """Ask the target what became of a request that may have arrived. Needed where `effect` is by lookup.

        `Retry` if the target cannot say now; it is asked again later.

        Raises:
            Disconnected: the target cannot be reached; asked again later.
        """
        return InDoubt(f"the target cannot be asked about {request.key}")

    async def follow(self, request: Request, reference: str) -> Outcome | Accepted | NotYet:
        """Ask what became of a request that was accepted under a reference.

        `Accepted` while the target is at work on it, or cannot say. `NotYet` and `Retry` if that work is over
        without an effect: then the request is sent again (by lookup: after the target was asked).

        Raises:
            Disconnected: the target cannot be reached; asked again later.
        """
        return InDoubt(f"the target cannot be asked about {reference} ({request.key})")

    async def write(self, events: Sequence[Event]) -> list[Outcome]:
        """Not called: the runtime renders, records and posts.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"{type(self).__name__} is a poster: {len(events)} events are rendered and posted")
