"""The tables, and how an older database becomes this version's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.schema import CreateColumn

from mfgroute.errors import SchemaNewer

METADATA = MetaData()
#: Most values in one `IN`.
_IN_MAX = 500

#: What the database says of itself: ``version`` of the tables and ``node``, whose effects it holds.
ABOUT = Table(
    "about",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

_REVERSES = text("reverses IS NOT NULL")

#: One row for each event at each sink. Amounts are exact decimals, as texts.
EFFECTS = Table(
    "effects",
    METADATA,
    Column("sink", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("request_key", Text),
    Column("sha256", Text),
    Column("reference", Text),
    Column("code", Text),
    Column("reason", Text),
    Column("amounts", Text, nullable=False),
    Column("event", Text),
    #: The body, where the sink can undo what it posts.
    Column("request", LargeBinary),
    #: Id of the event whose effect it takes back.
    Column("reverses", Text),
    #: Id of what the event reports; also in the event, unless that was too large to be kept whole.
    Column("report", Text),
    Index("effects_by_object", "object"),
    Index("effects_by_key", "key"),
    Index("effects_by_reference", "reference"),
    Index("effects_by_time", "last_ms"),
    Index("effects_by_reversed", "reverses"),
    # Few are reversals, and those that wait are looked for all the time.
    Index("effects_that_reverse", "sink", "state", sqlite_where=_REVERSES, postgresql_where=_REVERSES),
)

#: Every change, in the order in which it was taken.
CHANGES = Table(
    "changes",
    METADATA,
    Column("row", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("sink", Text, nullable=False),
    Column("life", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("id", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("request_key", Text),
    Column("attempt", Integer, nullable=False),
    Column("reference", Text),
    Column("code", Text),
    Column("reason", Text),
    UniqueConstraint("sink", "life", "number"),
    Index("changes_by_effect", "sink", "id"),
)

#: Sums over the effects that are there.
AMOUNTS = Table(
    "amounts",
    METADATA,
    Column("sink", Text, primary_key=True),
    Column("object", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("amount", Text, nullable=False),
)

#: Effects that are there and whose details were let go of: what keeps their events from being posted again.
PAST = Table(
    "past",
    METADATA,
    Column("sink", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("key", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reference", Text),
    Column("last_ms", BigInteger, nullable=False),
    Index("past_by_key", "key"),
)

#: What people have booked by hand while its event waited to be sent: what the lines of the log say, and what
#: earlier lives of the folder have said, of which the log may know nothing any more.
BOOKED = Table(
    "booked",
    METADATA,
    Column("sink", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("reference", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("life", Text, nullable=False, server_default=""),
)

#: How far the lines of each sink are taken; `missing` lines were never seen.
TAKEN = Table(
    "taken",
    METADATA,
    Column("sink", Text, primary_key=True),
    Column("life", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("missing", BigInteger, nullable=False),
)


def portions(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """Values in portions that fit into one `IN`, in their order."""
    for first in range(0, len(values), _IN_MAX):
        yield values[first : first + _IN_MAX]


def _first(connection: Connection) -> None:
    METADATA.create_all(connection)


def _with_reversals(connection: Connection) -> None:
    """Reversals, and the requests that they need."""
    _add_columns(connection, EFFECTS.c.request, EFFECTS.c.reverses)
    _with_indexes(connection)


def _with_indexes(connection: Connection) -> None:
    for index in EFFECTS.indexes:
        index.create(connection, checkfirst=True)


def _with_past(connection: Connection) -> None:
    PAST.create(connection, checkfirst=True)


def _with_reports(connection: Connection) -> None:
    """Reports of large events. Those of rows that are there stay in their events."""
    _add_columns(connection, EFFECTS.c.report)


def _with_booked(connection: Connection) -> None:
    BOOKED.create(connection, checkfirst=True)


def _with_lives(connection: Connection) -> None:
    """In which life of the folder a person has booked something. What is there is of an unknown one."""
    _add_columns(connection, BOOKED.c.life)


def _add_columns(connection: Connection, *columns: Column[Any]) -> None:
    """Add columns to tables; new ones have them already."""
    for column in columns:
        table = column.table.name
        if column.name not in {known["name"] for known in inspect(connection).get_columns(table)}:
            kind = CreateColumn(column).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {kind}")


#: From version n to n + 1.
MIGRATIONS: tuple[Callable[[Connection], None], ...] = (
    _first,
    _with_reversals,
    _with_past,
    _with_reports,
    _with_indexes,
    _with_booked,
    _with_lives,
)
VERSION = len(MIGRATIONS)


def migrate(connection: Connection, node: str) -> None:
    """Bring the tables to this version.

    Args:
        connection: in a transaction.
        node: whose effects the database holds.

    Raises:
        SchemaNewer: a later version wrote it, or another node.
    """
    about: dict[str, str] = {}
    if inspect(connection).has_table(ABOUT.name):
        about = {row.name: row.value for row in connection.execute(select(ABOUT))}
    version = int(about.get("version", 0))
    if version > VERSION:
        raise SchemaNewer(
            f"the effects database has tables of version {version}, expected at most {VERSION}: "
            "a later version of mfgroute wrote it"
        )
    if about.get("node", node) != node:
        raise SchemaNewer(
            f"the effects database belongs to node `{about['node']}`, and this is node `{node}`: "
            "each node needs one of its own"
        )
    for step in MIGRATIONS[version:]:
        step(connection)
    if not version:
        rows = [{"name": "version", "value": str(VERSION)}, {"name": "node", "value": node}]
        connection.execute(insert(ABOUT), rows)
    elif version < VERSION:
        connection.execute(update(ABOUT).where(ABOUT.c.name == "version").values(value=str(VERSION)))
