"""The database: opened, brought to this version, and filled from lines, each of which counts once.

How far the lines of a sink are taken stands in the same transaction as what was made of them, so taking may
end anywhere and begin again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import (
    Connection,
    Engine,
    and_,
    bindparam,
    create_engine,
    delete,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from mfgroute.effects import tables
from mfgroute.effects.files import FILE_NAME
from mfgroute.effects.lines import Line, add, counts, text
from mfgroute.effects.tables import AMOUNTS, CHANGES, EFFECTS, TAKEN
from mfgroute.errors import DatabaseDown, DatabaseUnfit

#: How long SQLite waits for another process, and PostgreSQL for a connection and for one statement.
_BUSY_S, _CONNECT_S, _STATEMENT_S = 10, 5, 60
#: Most values in one `IN`.
_IN_MAX = 500
_GONE = "\N{REPLACEMENT CHARACTER}"

Row = dict[str, Any]


class Taken(msgspec.Struct, frozen=True):
    """How far the lines of a sink are taken.

    Attributes:
        number: of the last line that was taken; 0 before the first.
        missing: lines that were never seen.
    """

    number: int = 0
    missing: int = 0


class Database:
    """The effects of one node in SQL. One thread at a time may use it.

    Args:
        folder: the node's data folder; SQLite lives in it.
        url: of a PostgreSQL database instead, as ``postgresql://user:password@host/name``.
        node: id of the node.

    Raises:
        DatabaseUnfit: the URL cannot be used.
    """

    def __init__(self, folder: Path, *, url: str | None = None, node: str) -> None:
        self._node = node
        self._file = None if url else folder / FILE_NAME
        self._engine = _postgresql(url) if url else _sqlite(folder / FILE_NAME)
        self._fit = False

    @property
    def kind(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    @property
    def where(self) -> str:
        """Where it is, without its password."""
        return str(self._file) if self._file else self._engine.url.render_as_string(hide_password=True)

    def open(self) -> None:
        """Bring it to this version, unless that was done.

        Raises:
            SchemaNewer: a later version wrote it, or it belongs to another node.
            DatabaseDown: it cannot be used now.
        """
        if self._fit:
            return
        if self._file is not None:
            _make_private(self._file)
        with self._translated(), self._engine.begin() as connection:
            tables.migrate(connection, self._node)
        self._fit = True

    def close(self) -> None:
        """Let go of its connections."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction for questions.

        Raises:
            DatabaseDown: it cannot be used now.
        """
        self.open()
        with self._translated(), self._engine.begin() as connection:
            yield connection

    def taken(self, sink: str, life: str) -> Taken:
        """How far the lines of a sink are taken; number 0 in a new life of the data folder.

        Raises:
            DatabaseDown: it cannot be used now.
        """
        with self.reading() as connection:
            row = connection.execute(select(TAKEN).where(TAKEN.c.sink == sink)).one_or_none()
        if row is None:
            return Taken()
        return Taken(row.number if row.life == life else 0, row.missing)

    def take(self, sink: str, life: str, lines: Sequence[Line]) -> Taken:
        """Take lines in, oldest first; those that were taken before change nothing.

        Args:
            sink: whose lines they are.
            life: of the data folder: a restored one numbers its lines anew.
            lines: oldest first.

        Returns:
            How far they are taken now.

        Raises:
            DatabaseDown: it cannot be used now; nothing was taken.
        """
        self.open()
        with self._translated(), self._engine.begin() as connection:
            before = connection.execute(
                select(TAKEN).where(TAKEN.c.sink == sink).with_for_update()
            ).one_or_none()
            number = before.number if before is not None and before.life == life else 0
            new = [line for line in lines if line.number > number]
            missing = before.missing if before is not None else 0
            if not new:
                return Taken(number, missing)
            # A restored folder goes on where its backup was made, with numbers that may have been used since.
            last = before.number if before is not None else 0
            for line in new:
                missing += max(0, line.number - last - 1)
                last = line.number
            _write_changes(connection, sink, life, new)
            _write_effects(connection, sink, new)
            row = {"life": life, "number": last, "at_ms": new[-1].at_ms, "missing": missing}
            if before is None:
                connection.execute(insert(TAKEN), [{"sink": sink, **row}])
            else:
                connection.execute(update(TAKEN).where(TAKEN.c.sink == sink).values(**row))
            return Taken(last, missing)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            why = str(getattr(error, "orig", None) or error).strip()
            raise DatabaseDown(
                f"the effects database `{self.where}` cannot be used: {' '.join(why.split())}"
            ) from error


def _sqlite(file: Path) -> Engine:
    engine = create_engine(URL.create("sqlite", database=str(file)), connect_args={"timeout": _BUSY_S})

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _: Any) -> None:
        # The driver would begin transactions by itself, and only before some statements.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def _began(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _postgresql(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.drivername not in ("postgresql", "postgresql+psycopg"):
            raise DatabaseUnfit(
                f"the URL of the effects database begins with `{parsed.drivername}:`, expected `postgresql:`"
            )
        engine = create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            connect_args={"connect_timeout": _CONNECT_S},
            pool_pre_ping=True,
        )
    except ArgumentError:
        raise DatabaseUnfit(
            "the URL of the effects database cannot be read, expected postgresql://user:password@host/name"
        ) from None
    except (NoSuchModuleError, ModuleNotFoundError):
        raise DatabaseUnfit(
            "the driver for PostgreSQL is not installed\ninstall it with `pip install 'mfgroute[postgresql]'`"
        ) from None

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _: Any) -> None:
        # A server may be set to lose what it has confirmed; lines that it confirmed are forgotten here.
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = on")
            cursor.execute(f"SET statement_timeout = {_STATEMENT_S * 1000}")
        connection.commit()

    return engine


def _make_private(file: Path) -> None:
    """Make the file of SQLite, for its owner only; its journals get the same permissions."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise DatabaseDown(f"the effects database `{file}` cannot be used: {error.strerror}") from error


def _write_changes(connection: Connection, sink: str, life: str, lines: Sequence[Line]) -> None:
    rows = [
        {
            "sink": sink,
            "life": life,
            "number": line.number,
            "id": line.id,
            "at_ms": line.at_ms,
            "state": line.state,
            "request_key": _clean(line.key or None),
            "attempt": line.attempt,
            "reference": _clean(line.reference),
            "code": _clean(line.code),
            "reason": _clean(line.reason),
        }
        for line in lines
    ]
    connection.execute(insert(CHANGES), rows)


def _write_effects(connection: Connection, sink: str, lines: Sequence[Line]) -> None:
    """Fold lines into the rows of their effects, and into the sums."""
    old = _effects(connection, sink, sorted({line.id for line in lines}))
    rows: dict[str, Row] = {name: dict(row) for name, row in old.items()}
    for line in lines:
        rows[line.id] = _folded(rows.get(line.id), line, sink)
    added = _added(old, rows)
    new = [row for name, row in rows.items() if name not in old]
    if new:
        connection.execute(insert(EFFECTS), new)
    changed = [{f"_{name}": value for name, value in row.items()} for key, row in rows.items() if key in old]
    if changed:
        values: dict[str, Any] = {column.name: bindparam(f"_{column.name}") for column in EFFECTS.c}
        this = and_(EFFECTS.c.sink == bindparam("_sink"), EFFECTS.c.id == bindparam("_id"))
        connection.execute(update(EFFECTS).where(this).values(values), changed)
    for (thing, name), amount in sorted(added.items()):
        _add(connection, {"sink": sink, "object": thing, "name": name}, amount)


def _effects(connection: Connection, sink: str, ids: Sequence[str]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for first in range(0, len(ids), _IN_MAX):
        some = ids[first : first + _IN_MAX]
        query = select(EFFECTS).where(EFFECTS.c.sink == sink, EFFECTS.c.id.in_(some))
        found |= {row["id"]: dict(row) for row in connection.execute(query).mappings()}
    return found


def _folded(row: Row | None, line: Line, sink: str) -> Row:
    """An effect after one more change.

    What was posted stays posted: a restored log may be older than this database, and begin it once more.
    """
    if row is not None and counts(row["state"], row["reference"]) and not counts(line.state, line.reference):
        return row
    if row is None:
        row = dict.fromkeys((column.name for column in EFFECTS.c), None) | {
            "sink": sink, "id": line.id, "type": "", "key": "", "object": "", "attempts": 0,
            "first_ms": line.at_ms, "amounts": "{}",
        }  # fmt: skip
    row = row | {
        "state": "intent" if line.state == "again" else line.state,
        "last_ms": line.at_ms,
        "attempts": max(row["attempts"], line.attempt),
        "code": _clean(line.code),
        "reason": _clean(line.reason),
    }
    # What a target has accepted and did not do is no document of what a person skips.
    if line.reference is not None or line.state in ("planned", "intent", "again", "skipped"):
        row["reference"] = _clean(line.reference)
    if line.key:
        row["request_key"] = _clean(line.key)
    if line.about is not None:
        about = line.about
        document = msgspec.json.decode(about.event)
        head = document if isinstance(document, dict) else {}
        row |= {
            "object": _clean(about.object),
            "amounts": msgspec.json.encode(
                {name: text(value) for name, value in about.amounts.items()}
            ).decode(),
            "sha256": about.sha256,
            "event": bytes(about.event).decode(),
            "type": _clean(str(head.get("type", ""))),
            "key": _clean(str(head.get("subject", ""))),
        }
    return row


def _added(old: Mapping[str, Row], new: Mapping[str, Row]) -> dict[tuple[str, str], Decimal]:
    """What rows that came to count, or count no more, add to the sums."""
    added: dict[tuple[str, str], Decimal] = {}
    for name, row in new.items():
        before = name in old and counts(old[name]["state"], old[name]["reference"])
        now = counts(row["state"], row["reference"])
        if before == now or not row["object"]:
            continue
        for what, value in msgspec.json.decode(row["amounts"]).items():
            place = (row["object"], what)
            amount = Decimal(value) if now else Decimal(value).copy_negate()
            added[place] = add(added.get(place, Decimal()), amount)
    return added


def _add(connection: Connection, place: dict[str, str], amount: Decimal) -> None:
    this = and_(*(AMOUNTS.c[name] == value for name, value in place.items()))
    before = connection.execute(select(AMOUNTS.c.amount).where(this)).scalar_one_or_none()
    connection.execute(delete(AMOUNTS).where(this))
    total = add(Decimal(before or 0), amount)
    connection.execute(insert(AMOUNTS), [{**place, "amount": text(total)}])


def _clean(value: str | None) -> str | None:
    """A text that every database takes: PostgreSQL has no NUL in texts."""
    return value.replace("\0", _GONE) if value else value
