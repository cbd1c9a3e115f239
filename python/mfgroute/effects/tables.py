"""The tables, and how an older database becomes this version's."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    insert,
    inspect,
    select,
    update,
)

from mfgroute.errors import SchemaNewer

METADATA = MetaData()

#: What the database says of itself: ``version`` of the tables and ``node``, whose effects it holds.
ABOUT = Table(
    "about",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

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
    Index("effects_by_object", "object"),
    Index("effects_by_key", "key"),
    Index("effects_by_reference", "reference"),
    Index("effects_by_time", "last_ms"),
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


def _first(connection: Connection) -> None:
    METADATA.create_all(connection)


#: From version n to n + 1.
MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_first,)
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
