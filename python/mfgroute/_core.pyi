"""Types of the Rust extension. Held to it by stubtest.

A default of `...` is a value that the extension makes for itself: an empty text or list, the stream
``business``, the level ``memory``.
"""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, final

__all__ = [
    "Batch",
    "Begun",
    "Block",
    "Blocks",
    "Engine",
    "Event",
    "Plan",
    "Receipt",
    "Reject",
    "__version__",
    "__zone_rules__",
    "build_info",
    "check_schema",
    "explain",
    "link_checksum",
    "log_known",
    "log_salvage",
    "log_stat",
    "log_verify",
    "parse_yaml",
    "reject_codes",
    "run_mapping",
    "units",
]

__version__: str
__zone_rules__: str
"""Release of the IANA time zone database that is built in: ``2026e``."""

@final
class Reject:
    """One refused message or item."""

    def __new__(
        cls,
        message: int,
        code: str,
        *,
        item: int | None = None,
        pointer: str = ...,
        offset: int | None = None,
        field: str | None = None,
        place: str | None = None,
        found: str = ...,
        expected: str = ...,
    ) -> Reject: ...
    @property
    def message(self) -> int: ...
    @property
    def item(self) -> int | None: ...
    @property
    def code(self) -> str: ...
    @property
    def pointer(self) -> str: ...
    @property
    def offset(self) -> int | None: ...
    @property
    def field(self) -> str | None: ...
    @property
    def place(self) -> str | None:
        """Where people find the message, such as ``BDE.csv:3``; for rows and lines of files."""
    @property
    def found(self) -> str: ...
    @property
    def expected(self) -> str: ...

@final
class Receipt:
    """What `submit` answers: what became of the items, and how safe they are."""

    def __new__(
        cls,
        *,
        accepted: int = 0,
        rejected: int = 0,
        duplicates: int = 0,
        filtered: int = 0,
        dropped: int = 0,
        level: str = ...,
        rejects: Sequence[Reject] = ...,
        unsplittable: bool = False,
        resume: tuple[int, int] | None = None,
    ) -> Receipt: ...
    @property
    def accepted(self) -> int: ...
    @property
    def rejected(self) -> int: ...
    @property
    def duplicates(self) -> int: ...
    @property
    def filtered(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    @property
    def level(self) -> str: ...
    @property
    def rejects(self) -> list[Reject]: ...
    @property
    def unsplittable(self) -> bool:
        """Whether a slab could not be taken apart at all; then it counts as one reject."""
    @property
    def resume(self) -> tuple[int, int] | None:
        """Where `submit_lines` goes on, or `None` when the whole slab was submitted."""

@final
class Begun:
    """What was written down to be sent for an event before."""

    def __new__(
        cls,
        *,
        key: str,
        body: bytes,
        attempts: int = 1,
        first_s: float = 0.0,
        last_s: float = 0.0,
        accepted: str | None = None,
    ) -> Begun: ...
    @property
    def key(self) -> str:
        """What the target knows the request by."""
    @property
    def body(self) -> bytes:
        """Exactly what is sent."""
    @property
    def attempts(self) -> int:
        """How often it was sent, or was about to be; 0 if there is only the plan to send something."""
    @property
    def first_s(self) -> float:
        """When the first of this was written down, seconds since 1970."""
    @property
    def last_s(self) -> float:
        """When the last attempt was, or when the target accepted it, seconds since 1970."""
    @property
    def accepted(self) -> str | None:
        """What the target has accepted it under; it says later what became of it. Empty if that is over."""

@final
class Event:
    """A canonical event on its way to a sink."""

    def __new__(
        cls,
        *,
        id: str,
        type: str,
        key: str,
        offset: int,
        json: bytes,
        stream: str = ...,
        attempt: int = 1,
        begun: Begun | None = None,
        replayed: bool = False,
        booked: str | None = None,
    ) -> Event: ...
    @property
    def id(self) -> str: ...
    @property
    def type(self) -> str:
        """Full CloudEvents type, such as ``com.example.production.operation.completed.v1``."""
    @property
    def key(self) -> str: ...
    @property
    def offset(self) -> int: ...
    @property
    def stream(self) -> str: ...
    @property
    def json(self) -> bytes:
        """The CloudEvent as structured JSON."""
    @property
    def attempt(self) -> int:
        """1 for the first attempt at this sink."""
    @property
    def begun(self) -> Begun | None:
        """What was written down to be sent for it before; that is what is sent again."""
    @property
    def replayed(self) -> bool:
        """Whether it is of a replay: somebody wants it to come again."""
    @property
    def booked(self) -> str | None:
        """The document by which a person has booked it while it waited: it is not to be sent."""

@final
class Batch:
    """Events handed out to one sink; leaving releases what was not settled."""

    def __enter__(self) -> Batch: ...
    def __exit__(self, kind: object, error: object, trace: object, /) -> None: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Any: ...
    @property
    def events(self) -> list[Event]: ...
    def done(self, event: Event, *, reference: str | None = None) -> None: ...
    def done_all(self) -> None: ...
    def retry_all(self, *, after_s: float | None = None, reason: str = ..., judged: bool = False) -> None:
        """Give back everything that is not settled, to come again together: one request is one again."""
    def refused(self, event: Event, code: str, reason: str = ...) -> None: ...
    def retry(
        self, event: Event, *, after_s: float | None = None, reason: str = ..., judged: bool = False
    ) -> None: ...
    def in_doubt(self, event: Event, reason: str = ..., *, code: str = ...) -> None: ...
    def taken_back(self, event: Event, reason: str) -> None:
        """End an event that was never sent: another one that waits behind it takes back what it reports."""
    def behind(
        self, event: Event, contracts: Sequence[str], text: str, *, patient: bool = True
    ) -> list[bytes] | None:
        """CloudEvents with the key of an event that wait behind it and for which nothing was sent.

        The first question reads what waits for the sink; later ones what has come since.

        Args:
            event: of this batch.
            contracts: only those of these, such as ``production.confirmation.reversed``, in any version.
            text: only those that have it as a value somewhere in their data.
            patient: read everything, and block meanwhile.

        Returns:
            The oldest first, at most 64, as structured JSON. `None` if much has come, and who asks is not
            patient: then a part of it was read.

        Raises:
            ValueError: the event is not open in this batch.
            MfgrouteError: its sink is gone.
        """
    def intend(self, entries: Sequence[tuple[Event, str, bytes, bytes]]) -> None:
        """Write down what is about to be sent, and wait until that is durable.

        Args:
            entries: event, what the target knows the request by (empty: there is only the plan to make one),
                exactly what is sent, and what followers are told about it (a JSON object in one line, or
                nothing). For an event that has `Event.begun` only the attempt is written down.

        Raises:
            LogFailed: the disk refused it; nothing may be sent.
            NobodyFollows: nobody takes the lines about effects of this sink; try again later.
            RequestUnfit: it is too large, or what is told is no JSON object in one line.
            ValueError: an event is not open in this batch.
        """
    def accepted(self, event: Event, reference: str) -> None:
        """Write down that the target has taken the request and says later what became of it.

        Args:
            event: whose request it is.
            reference: what the target is asked by; empty if that work is over without an effect, so that the
                request is sent again.
        """

    def release(self) -> None:
        """Give back what was not settled, as if it had not been polled."""

@final
class Plan:
    """A project, compiled and checked. Immutable."""

    @staticmethod
    def compile(
        root: str,
        config: bytes,
        places: Mapping[str, tuple[int, int]],
        *,
        today: tuple[int, int, int] | None = None,
    ) -> Plan:
        """Compile the project in folder `root`.

        Args:
            root: the project folder.
            config: ``mfgroute.yaml`` after substitution, as JSON.
            places: RFC 6901 pointer into `config` -> (line, column) in ``mfgroute.yaml``.
            today: year, month and day in UTC, for who asks whether the project is right on that day: a
                mapping to a contract that is past its sunset is an error then, else a warning.

        Raises:
            ConfigError: with every problem.
            ValueError: `today` is no day of the calendar.
        """
    @property
    def problems(self) -> list[dict[str, Any]]:
        """The warnings, as dicts with the fields of `errors.Problem`."""
    @property
    def summary(self) -> dict[str, Any]:
        """Contracts, mappings, lookups and routes with their versions.

        A mapping that is a conversion says the contract that it ``converts``; a route says of each contract
        that it takes the one in whose form it ``delivers`` its events.
        """

@final
class Block:
    """Events of one lane of an edge, and the frame of the edge link that they are sent in.

    Attributes:
        stream: of the edge.
        epoch: under which the blocks of the lane are numbered.
        edge: who sends it.
        session: the life of the edge's sink.
        settled: the block up to which the edge has durably taken note of acknowledgements.
        number: its own, from 1 on.
        before: hash of the block before it, so that a hash speaks of all that came before; zeros if unknown.
        offsets: of its events in the edge's log.
        runs: first and count of each run of consecutive offsets, in their order.
        events: CloudEvents as JSON.
        frame: its bytes.
        hash: 16 bytes by which both sides compare the frame.
        size: bytes of the events.
        marks: two bytes for each event, by which it is recognised when it comes again: of its id, or of
            the event if it has none.
        sources: each CloudEvents source of the events once; `None` for what is no JSON object, an empty text
            for what has none.
    """

    def __new__(
        cls,
        *,
        stream: str,
        epoch: int,
        edge: str,
        session: int,
        settled: int,
        number: int,
        offsets: Sequence[int],
        events: Sequence[bytes],
        before: bytes | None = None,
    ) -> Block:
        """Make a block.

        Raises:
            ValueError: there are no events, or more than 1024; a name has more than 255 bytes; the offsets
                are too far apart; the number is not above `settled`.
        """
    @staticmethod
    def read(frame: bytes) -> Block:
        """The block that a frame is. Its events are not copied.

        Raises:
            ValueError: the bytes are no whole block.
        """
    @property
    def stream(self) -> str: ...
    @property
    def epoch(self) -> int: ...
    @property
    def edge(self) -> str: ...
    @property
    def session(self) -> int: ...
    @property
    def settled(self) -> int: ...
    @property
    def number(self) -> int: ...
    @property
    def before(self) -> bytes: ...
    @property
    def offsets(self) -> tuple[int, ...]: ...
    @property
    def runs(self) -> list[int]: ...
    @property
    def events(self) -> tuple[bytes, ...]: ...
    @property
    def frame(self) -> bytes: ...
    @property
    def hash(self) -> bytes: ...
    @property
    def size(self) -> int: ...
    @property
    def marks(self) -> bytes: ...
    @property
    def sources(self) -> list[str | None]: ...
    def without(self, places: Sequence[int]) -> Block:
        """The block without the events at these places; `frame` and `hash` stay those of the whole."""
    def spoiled(self, lines: Mapping[str, bytes]) -> tuple[Block, int]:
        """The block with a line before each event of these sources, so it is no JSON; and their number."""
    def __len__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...

@final
class Blocks(Sequence[bytes]):
    """The events of blocks as messages: each with the attribute ``edge.id``, without an object for each.

    Attributes:
        size: bytes of all events.
    """

    def __new__(cls, blocks: Sequence[Block]) -> Blocks: ...
    @property
    def size(self) -> int: ...
    def __len__(self) -> int: ...
    def __getitem__(self, place: int, /) -> bytes: ...  # type: ignore[override]
    def __eq__(self, other: object, /) -> bool: ...

def link_checksum(data: bytes) -> int:
    """The checksum at the end of a frame of the edge link, over everything before it: CRC-32C."""

@final
class Engine:
    """Streams, sinks and dead letters of one node. Thread-safe."""

    def __new__(cls, plan: Plan, *, data_dir: str | None = None) -> Engine:
        """Open an engine.

        Args:
            plan: what runs.
            data_dir: folder of the logs; needed as soon as a stream is durable. The caller holds its lock.

        Raises:
            LogDamaged: durable records are damaged or missing.
            FolderUnfit: the folder is a symbolic link, or a later version wrote it.
            FolderDenied: this user may not read or write it.
            LogFailed: a log does not open.
            ValueError: a stream is durable and there is no folder.
        """
    @property
    def opened(self) -> list[dict[str, Any]]:
        """What opening the data folder found.

        Of each log ``stream``, ``life``, ``records``, ``torn`` (``segment``, ``offset``, ``bytes`` and
        ``kept``, or `None`), ``quarantined`` (files), and ``half_heads`` (segments of which one copy of the
        head is damaged).
        """
    def position(self, source: str) -> bytes | None:
        """The position that came with the last durable messages of a source, or `None`."""
    def install(self, plan: Plan, *, discard: Sequence[str] = ...) -> None: ...
    def submit(
        self,
        source: str,
        messages: Sequence[bytes] | Blocks,
        *,
        meta: Mapping[str, str] | None = None,
        metas: Sequence[Mapping[str, str]] | None = None,
        ack: str | None = None,
        wait_s: float | None = None,
        synchronous: bool = False,
        position: bytes | None = None,
    ) -> Receipt: ...
    def submit_lines(
        self,
        source: str,
        slab: bytes,
        *,
        meta: Mapping[str, str] | None = None,
        resume: tuple[int, int] | None = None,
        ack: str | None = None,
        wait_s: float | None = None,
        synchronous: bool = False,
        position: bytes | None = None,
    ) -> Receipt: ...
    def poll(
        self, sink: str, *, events_max: int = 500, bytes_max: int = 1_048_576, wait_s: float = 0.0
    ) -> Batch: ...
    def wake_fd(self) -> int:
        """An eventfd that becomes readable when there may be room to submit or data to poll."""
    def next_due_s(self, sink: str) -> float | None:
        """Seconds until the earliest retry of a sink is due, or `None`."""
    def dead_letters(self, request: bytes) -> bytes:
        """List, show, retry and skip rejects and parked events.

        Args:
            request: JSON object; ``kind`` is ``rejects`` or ``parked``, ``verb`` one of ``list``, ``show``,
                ``retry``, ``retry-key``, ``skip``, ``edit``, ``export``.

        Returns:
            A JSON document.
        """
    def find(self, query: str) -> bytes:
        """The local timeline of a key, an event id, a report or a document reference, as JSON."""
    def effects(self, sink: str, after: int, count_max: int) -> bytes:
        """What became of effects at a sink, as far as that is durable.

        Args:
            sink: its name.
            after: number of the last line that is known; 0 for none.
            count_max: most lines.

        Returns:
            Lines of JSON with ``number``, ``at_ms``, ``id`` (of the event), ``state`` (``planned``,
            ``intent``, ``again``, ``accepted``, ``posted``, ``refused``, ``in_doubt``, ``gave_up``,
            ``skipped``, ``superseded``, ``dropped``), ``key`` (of the request), ``attempt``,
            ``reference``, ``code``, ``reason``, and ``about`` where something was told.
        """
    def effects_taken(self, sink: str, upto: int) -> None:
        """Forget lines up to a number: who follows them has made its own of them, durably.

        Raises:
            ValueError: there has been no such line.
        """
    def pause(self, sink: str, *, who: str = "unknown", why: str = "") -> None: ...
    def resume(self, sink: str, *, who: str = "unknown", why: str = "") -> None: ...
    def stats(self) -> dict[str, Any]:
        """One consistent snapshot of all counters."""
    def hold(self, seconds: float) -> bool:
        """Keep every segment on the disk for so long, so that the data folder can be copied; 0 ends it.

        What was said before is durable when it returns.

        Returns:
            Whether segments were held until now.
        """
    def drain(self) -> None:
        """Admit nothing more; sinks go on."""
    def close(self) -> None: ...

def parse_yaml(
    text: bytes, file: str, variable: Callable[[str], str | None] | None = None
) -> tuple[Any, dict[str, tuple[int, int]], list[str]]:
    """Read strict YAML 1.2 (core schema; no duplicate keys, aliases, merge keys or tags).

    Args:
        text: at most 1 MiB.
        file: name for messages.
        variable: called for each ``${...}`` in a scalar with the text between the braces; returns its
            replacement or `None` when there is none. Without it nothing is replaced.

    Returns:
        The document, the place of each value by RFC 6901 pointer, and the pointers of values that
        contain a replacement (for redaction).

    Raises:
        ConfigError: with every problem.
    """

def check_schema(
    schema: bytes, payload: bytes, resources: Mapping[str, bytes], *, formats: bool
) -> list[Reject]: ...
def reject_codes() -> list[tuple[str, str]]:
    """Every stable reject code with its meaning."""

def units() -> dict[str, list[tuple[str, str, str]]]:
    """Units of measure (``units``: code, name, dimension) and code sets (``codes``: set, code, unit)."""

def explain(plan: Plan, source: str, message: bytes, meta: Mapping[str, str]) -> bytes:
    """Run one message through the hot path of a plan without an engine; JSON of what became of it.

    An event that some sinks get in another version says so: ``converted`` has ``to`` and ``data`` for each of
    them, ``conversions`` the mappings that make each type.
    """

def run_mapping(plan: Plan, mapping: str, message: bytes, meta: Mapping[str, str]) -> bytes:
    """Run one message through one mapping; JSON lines of events, rejects and filtered items.

    The message of a conversion is `data`; its event has no time, key and id.
    """

def build_info() -> dict[str, Any]:
    """What this build is, and how it works on this machine.

    Returns:
        ``version``, ``arch``, ``debug`` (without optimization), ``text``: how ends of texts are found
        (``sse2``, ``bytes``), ``checksum``: how those of the log are made (``sse4.2``, ``crc``, ``table``).
    """

def log_known(folder: str | PathLike[str]) -> list[dict[str, str]]:
    """The durable streams that the node's own log in a folder knows: ``name``, and ``log``, the id of each.

    Raises:
        LogFailed: the disk refuses.
    """

def log_verify(folder: str | PathLike[str]) -> dict[str, Any]:
    """Read the whole log of a folder and change nothing. It may be in use: see `mfgroute.runtime.folder`.

    Returns:
        ``first``, ``next`` and ``sealed`` (numbers of records: the oldest, the one behind the last, and below
        which the log itself attests them), ``torn`` (``segment``, ``offset`` of a write that was under way,
        or `None`), ``half_heads`` (segments with one damaged copy of their head), ``damage`` (`None`, or
        ``segment``, ``offset``, ``first`` and ``next`` of the records that cannot be read, and ``why`` as a
        sentence; all but ``segment`` and ``why`` may be `None`).

    Raises:
        LogFailed: the disk refuses, or a later version wrote the log.
    """

def log_stat(folder: str | PathLike[str]) -> list[dict[str, Any]]:
    """Say what is in each segment of the log of a folder, oldest record first.

    Returns:
        For each file ``name``, ``bytes``, ``records``, ``used`` (bytes), ``watermark``, ``newest_ms`` (of
        the newest record, 0 without any), ``state`` (``whole``, ``torn``, ``half_head``, ``damaged``,
        ``superseded``, ``newer``, ``misnamed``), ``why``, and ``head``: ``log``, ``first``, ``life`` and
        ``created_ms``, or `None` when it is unreadable.

    Raises:
        LogFailed: the disk refuses.
    """

def log_salvage(
    folder: str | PathLike[str], each: Callable[[int, int, bytes, bytes | None], object]
) -> dict[str, Any]:
    """Read every readable record of a log, however damaged, in order.

    Args:
        folder: of the log.
        each: called with the number of a record, its time in milliseconds since 1970, its bytes, and its
            CloudEvent as JSON, or `None` for a record that is no event. What it raises ends the reading.

    Returns:
        ``records`` that were read, ``damaged`` (as ``damage`` of `log_verify`, one for each range) and
        ``left_out``, the names of files that are not of this log.

    Raises:
        LogFailed: the disk refuses.
    """
